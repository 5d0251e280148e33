//! Tests of whole links: simulated in virtual time (`world`), and on real sockets over loopback.

mod loopback;
mod simulated;
#[allow(dead_code, reason = "the world offers more than each test needs")]
mod world;
