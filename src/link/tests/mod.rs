//! Tests of whole links: simulated in virtual time (`world`), and on real sockets over loopback.

mod loopback;
mod simulated;
mod world;
