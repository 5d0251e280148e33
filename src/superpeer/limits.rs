//! Every figure that bounds what others may use of this machine, in one table. Tests run what ships.

use std::time::{Duration, Instant};

use crate::base::Rate;

/// A request is one datagram; the path MTU of RFC 8489 §6.1 with room for what the internet really carries.
pub(super) const MAX_PACKET: usize = 2048;

/// Shares of the media relay. Per-address figures are wide because a carrier NAT puts many people behind one address;
/// an IPv6 "address" is a /64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a password allocates; what was allocated with it may be kept and refreshed.
    pub credential_lifetime: Duration,
    pub credentials_per_node: Rate,
    pub credentials_per_address: Rate,

    /// Calls relayed at a time; who asks beyond is sent elsewhere.
    pub calls: u32,
    /// Payload that leaves this machine for all of them, bits per second: what no miscount of calls can exceed.
    pub bits_per_second_in_all: u32,

    /// Allocations in all, of one requester (a call makes one for each of its addresses), from one address.
    pub allocations: usize,
    pub allocations_per_requester: usize,
    pub allocations_per_address: usize,
    /// No allocation grows older, however often it is refreshed.
    pub allocation_age: Duration,
    /// A client that sends nothing has no permission left either (RFC 8656 §9) and is forgotten.
    pub silence: Duration,
    /// Peers of one allocation.
    pub peers: usize,
    /// Payload of one allocation each way, bits per second, and how much may come at once, bytes.
    pub bits_per_second: u32,
    pub burst_bytes: u32,
    /// Requests of one client that has an allocation.
    pub requests: Rate,

    /// Requests from one address that nobody vouches for.
    pub strangers_per_address: Rate,
    /// Clients that were challenged and have not shown a password yet; the oldest makes room.
    pub half_open: usize,
    pub half_open_age: Duration,

    /// TCP connections of clients, in all and from one address.
    pub tcp_connections: usize,
    pub tcp_connections_per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            credential_lifetime: Duration::from_secs(10 * 60),
            credentials_per_node: Rate::new(20, Duration::from_secs(10)),
            credentials_per_address: Rate::new(400, Duration::from_millis(500)),

            // Allocations are what bounds them: these two are no limits of their own.
            calls: 1024,
            bits_per_second_in_all: 200_000_000,

            allocations: 1024,
            allocations_per_requester: 16,
            allocations_per_address: 256,
            allocation_age: Duration::from_secs(12 * 60 * 60),
            silence: Duration::from_secs(5 * 60),
            peers: 32,
            bits_per_second: 200_000,
            burst_bytes: 12_500,
            requests: Rate::new(100, Duration::from_millis(20)),

            strangers_per_address: Rate::new(200, Duration::from_millis(50)),
            half_open: 2048,
            half_open_age: Duration::from_secs(10),

            tcp_connections: 512,
            tcp_connections_per_address: 64,
        }
    }
}

impl Limits {
    /// What a machine gives that serves without having been told to: somebody's home line, on which they talk.
    ///
    /// A relayed call of 50 kb/s each way takes 100 kb/s of the line's uplink. Four of them leave room for a call of its
    /// owner's and more on the slowest line still sold (1 Mb/s upwards), and are a twentieth of a usual one; the bound for
    /// all holds when callers send more than that. While it rings, a caller has a place at each of three relays and uses
    /// one, so there are more places than calls.
    pub fn volunteer() -> Self {
        Self {
            calls: 4,
            bits_per_second_in_all: 640_000,
            allocations: 48,
            allocations_per_requester: 8,
            allocations_per_address: 16,
            half_open: 128,
            tcp_connections: 48,
            tcp_connections_per_address: 16,
            ..Self::default()
        }
    }
}

/// A token bucket that is counted in units of its own, such as bytes; full at first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    size: f64,
    per_second: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    pub fn new(size: f64, per_second: f64, now: Instant) -> Self {
        Self { size, per_second, level: size, at: now }
    }

    pub fn of_rate(rate: Rate, now: Instant) -> Self {
        Self::new(f64::from(rate.burst), 1.0 / rate.interval.as_secs_f64().max(1e-6), now)
    }

    /// Takes `amount` if that much is there.
    pub fn take(&mut self, amount: f64, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + since * self.per_second).min(self.size);
        self.at = self.at.max(now);
        let enough = self.level >= amount;
        if enough {
            self.level -= amount;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_more_passes_than_the_rate_allows(
            steps in prop::collection::vec((0u64..200, 1u32..1500), 1..400)
        ) {
            let start = Instant::now();
            let mut bucket = Bucket::new(12_500.0, 25_000.0, start);
            let (mut now, mut passed) = (start, 0.0);
            for (wait_ms, bytes) in steps {
                now += Duration::from_millis(wait_ms);
                if bucket.take(f64::from(bytes), now) {
                    passed += f64::from(bytes);
                }
            }
            let seconds = now.duration_since(start).as_secs_f64();
            prop_assert!(passed <= 12_500.0 + 25_000.0 * seconds + 1.0, "{passed} in {seconds}");
        }
    }

    #[test]
    fn a_voice_call_with_double_redundancy_passes_whole() {
        let start = Instant::now();
        let limits = Limits::default();
        let per_second = f64::from(limits.bits_per_second) / 8.0;
        let mut bucket = Bucket::new(f64::from(limits.burst_bytes), per_second, start);
        // 100 packets of 190 bytes a second: 10 ms frames of 32 kb/s with two copies, under SRTP.
        for packet in 0..1000 {
            assert!(bucket.take(190.0, start + Duration::from_millis(10 * packet)), "packet {packet}");
        }
    }
}
