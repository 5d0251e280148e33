//! Sockets, clocks and randomness for this room.

#![allow(clippy::disallowed_methods, reason = "the shell is where the clock is read")]

mod discover;
mod mapping;
mod serve;
mod watch;

use std::time::Duration;

pub use discover::{DiscoverConfig, discover, has_global_ipv6};
pub use mapping::{OpenPort, PortKeeper};
pub use serve::StunServer;
pub use watch::{NetworkWatch, usable_addresses};

/// Longest datagram that is read; STUN messages are far shorter.
const MAX_DATAGRAM: usize = 1500;
/// After an error on a socket: it belongs to a packet that was sent before (ICMP), and the next datagram may be fine, but
/// a socket that fails for good must not keep the processor busy.
const AFTER_ERROR: Duration = Duration::from_millis(10);
