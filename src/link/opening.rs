//! Opening our own NAT before the peer's is knocked at.
//!
//! Of two ends the answerer knows the other's candidates first, and its checks are at the peer's router before the peer
//! has sent anything. Most routers drop them. One that has no firewall for itself takes them for its own, and with them
//! the very mapping that the peer's first packet would have got: the peer comes out at another port than it was told, and
//! the two never meet (RFC 4787 §10 calls such a NAT not deterministic). So the answerer first sends a packet that opens
//! its own router and dies on the way (a TTL of 2), and leaves the first check to the peer for as long as the answer takes
//! to get there. The peer's checks come in then, and are answered at once.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long checks of such a candidate are left to the peer: longer than an answer usually takes to reach it.
const LEFT_TO_PEER: Duration = Duration::from_millis(120);

/// Candidates of the peer that are not checked yet.
#[derive(Debug, Default)]
pub(super) struct Openings {
    /// `None`: not opened yet.
    held: VecDeque<(Option<Instant>, String)>,
    towards: VecDeque<SocketAddr>,
}

impl Openings {
    /// Holds a candidate back; its number is bounded by that of a peer's candidates.
    pub fn hold(&mut self, candidate: String, address: SocketAddr) {
        self.held.push_back((None, candidate));
        self.towards.push_back(address);
    }

    /// Whither a way is to be opened from every socket that can reach it.
    pub fn poll_towards(&mut self) -> Option<SocketAddr> {
        self.towards.pop_front()
    }

    /// The next candidate whose time has come.
    pub fn poll_candidate(&mut self, now: Instant) -> Option<String> {
        for (due, _) in &mut self.held {
            due.get_or_insert(now + LEFT_TO_PEER);
        }
        self.held.pop_front_if(|(due, _)| due.is_some_and(|due| due <= now)).map(|(_, candidate)| candidate)
    }

    /// When [`Openings::poll_candidate`] has something to say.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.held.front().and_then(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_opened_at_once_and_the_check_comes_later() {
        let mut openings = Openings::default();
        let start = Instant::now();
        assert_eq!((openings.poll_timeout(), openings.poll_candidate(start)), (None, None));
        let address = "203.0.113.7:4000".parse().unwrap();
        openings.hold("one".to_owned(), address);
        assert_eq!((openings.poll_towards(), openings.poll_towards()), (Some(address), None));
        assert_eq!(openings.poll_candidate(start), None);
        let due = openings.poll_timeout().unwrap();
        assert_eq!(due, start + LEFT_TO_PEER);
        openings.hold("two".to_owned(), address);
        assert_eq!(openings.poll_candidate(due).as_deref(), Some("one"));
        assert_eq!(openings.poll_candidate(due), None);
        assert_eq!(openings.poll_candidate(due + LEFT_TO_PEER).as_deref(), Some("two"));
        assert_eq!(openings.poll_timeout(), None);
    }
}
