//! Links on real sockets over loopback.
