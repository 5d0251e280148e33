//! What a storing node takes, and from whom.
//!
//! Anybody can send records to anybody in a Kademlia network. A node keeps a record only if it is what it says: within
//! size, signed by the key that its name is the hash of, newer than the one held, fresh by the clock, and from a
//! source that does not send too many.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use libp2p::PeerId;

use super::limits::{CLOCK_SKEW, Limits, MAX_RECORD_BYTES, RECORD_TTL};
use super::record::{self, RecordError};
use crate::base::RateTable;

/// Who sent a record: a node, and the address it came from unless a relay stands in between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    pub(super) node: PeerId,
    pub(super) ip: Option<IpAddr>,
}

/// What to do with a record that was sent to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Keep it, and forget it at this moment.
    Store {
        until: Instant,
    },
    /// We hold the very same; its expiry stands.
    Known,
    Refuse(Refusal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the source sends too many records")]
    TooMany,
    #[error("not a valid record: {0}")]
    Invalid(RecordError),
    #[error("the record does not belong under this key")]
    WrongKey,
    #[error("we hold a newer one")]
    Outdated,
    #[error("it was made too long ago, or in the future")]
    Stale,
}

/// The rules, with a memory of who sent how much.
#[derive(Debug)]
pub(super) struct Storage {
    by_node: RateTable<PeerId>,
    by_address: RateTable<IpAddr>,
}

impl Storage {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            by_node: RateTable::new(limits.record_rate_per_node),
            by_address: RateTable::new(limits.record_rate_per_address),
        }
    }

    /// Judges `value`, sent to be kept under `key` until `asked` at the latest. `held` is what lies there now.
    pub(super) fn judge(
        &mut self,
        source: Source,
        key: &[u8],
        value: &[u8],
        held: Option<&[u8]>,
        asked: Option<Instant>,
        (now, unix_ms): (Instant, u64),
    ) -> Verdict {
        // Cheap checks first: a signature costs 100 µs, and a flood must not.
        let by_address = source.ip.is_none_or(|ip| self.by_address.take(&ip, now));
        if !by_address || !self.by_node.take(&source.node, now) {
            return Verdict::Refuse(Refusal::TooMany);
        }
        if value.len() > MAX_RECORD_BYTES {
            return Verdict::Refuse(Refusal::Invalid(RecordError::Size));
        }
        if held == Some(value) {
            return Verdict::Known;
        }
        let Some(seq) = record::claimed_seq(value) else {
            return Verdict::Refuse(Refusal::Invalid(RecordError::Size));
        };
        if held.and_then(record::claimed_seq).is_some_and(|held| seq <= held) {
            return Verdict::Refuse(Refusal::Outdated);
        }
        let Some(age_left) = time_left(seq, unix_ms) else { return Verdict::Refuse(Refusal::Stale) };
        let envelope = match record::verify(value) {
            Ok(envelope) => envelope,
            Err(error) => return Verdict::Refuse(Refusal::Invalid(error)),
        };
        if record::record_key(&envelope.blinded) != key {
            return Verdict::Refuse(Refusal::WrongKey);
        }
        let longest = now + age_left.min(RECORD_TTL);
        Verdict::Store { until: asked.unwrap_or(longest).min(longest) }
    }
}

/// How long a record made at `seq` (ms since the Unix epoch) may still be kept, allowing for clocks that disagree.
fn time_left(seq: u64, unix_ms: u64) -> Option<Duration> {
    let (made, now) = (Duration::from_millis(seq), Duration::from_millis(unix_ms));
    if made > now + CLOCK_SKEW {
        return None;
    }
    (made + RECORD_TTL + CLOCK_SKEW).checked_sub(now).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use libp2p::Multiaddr;

    use super::*;
    use crate::identity::{BlindedKey, Period, PersonKey};
    use crate::rendezvous::record::{NONCE, Presence, record_key, seal};

    const NOW_S: u64 = 1_800_000_000;

    struct Node {
        storage: Storage,
        start: Instant,
        source: Source,
    }

    impl Node {
        fn new() -> Self {
            let source = Source { node: PeerId::random(), ip: Some("192.0.2.1".parse().unwrap()) };
            Self { storage: Storage::new(&Limits::default()), start: Instant::now(), source }
        }

        fn judge(&mut self, key: &[u8], value: &[u8], held: Option<&[u8]>) -> Verdict {
            self.storage.judge(self.source, key, value, held, None, (self.start, NOW_S * 1000))
        }
    }

    fn record(seed: u8, seq: u64) -> (Vec<u8>, Vec<u8>) {
        let me = PersonKey::from_seed(&[seed; 32]);
        let period = Period::of(NOW_S);
        let address: Multiaddr = "/ip4/192.0.2.7/udp/4001/quic-v1".parse().unwrap();
        let presence = Presence {
            expires_unix_s: NOW_S + 3600,
            node: PeerId::random(),
            relays: vec![],
            addresses: vec![address],
            withdrawn: false,
        };
        let key = record_key(&BlindedKey::derive(&me, period).public());
        (key, seal(&me, period, seq, &presence, [seed; NONCE]).unwrap())
    }

    #[test]
    fn an_honest_record_is_kept_for_an_hour_at_most() {
        let mut node = Node::new();
        let (key, value) = record(1, NOW_S * 1000);
        assert_eq!(node.judge(&key, &value, None), Verdict::Store { until: node.start + RECORD_TTL });
        let asked = node.start + Duration::from_secs(60);
        let verdict = node.storage.judge(node.source, &key, &value, None, Some(asked), (node.start, NOW_S * 1000));
        assert_eq!(verdict, Verdict::Store { until: asked });
        let greedy = node.start + Duration::from_secs(1_000_000);
        let verdict = node.storage.judge(node.source, &key, &value, None, Some(greedy), (node.start, NOW_S * 1000));
        assert_eq!(verdict, Verdict::Store { until: node.start + RECORD_TTL });
    }

    #[test]
    fn only_a_higher_sequence_number_replaces() {
        let mut node = Node::new();
        let (key, old) = record(1, NOW_S * 1000);
        let (_, new) = record(1, NOW_S * 1000 + 1);
        assert!(matches!(node.judge(&key, &new, Some(&old)), Verdict::Store { .. }));
        assert_eq!(node.judge(&key, &old, Some(&new)), Verdict::Refuse(Refusal::Outdated));
        assert_eq!(node.judge(&key, &new, Some(&new)), Verdict::Known);
    }

    #[test]
    fn replays_and_records_from_the_future_are_refused() {
        let mut node = Node::new();
        let hour_ms = 3_600_000;
        for (offset_ms, fresh) in
            [(-3 * hour_ms, true), (-4 * hour_ms, false), (3 * hour_ms, true), (3 * hour_ms + 1, false)]
        {
            let (key, value) = record(1, (NOW_S * 1000).saturating_add_signed(offset_ms));
            let verdict = node.judge(&key, &value, None);
            assert_eq!(matches!(verdict, Verdict::Store { .. }), fresh, "{offset_ms} ms: {verdict:?}");
        }
    }

    #[test]
    fn what_is_not_as_it_says_is_refused() {
        let mut node = Node::new();
        let (key, value) = record(1, NOW_S * 1000);
        let (other_key, _) = record(2, NOW_S * 1000);
        assert_eq!(node.judge(&other_key, &value, None), Verdict::Refuse(Refusal::WrongKey));
        for position in [9, 45, value.len() - 1] {
            let mut damaged = value.clone();
            damaged[position] ^= 1;
            let verdict = node.judge(&key, &damaged, None);
            assert_eq!(verdict, Verdict::Refuse(Refusal::Invalid(RecordError::Signature)), "byte {position}");
        }
        let mut renumbered = value.clone();
        renumbered[7] ^= 1;
        assert_eq!(node.judge(&key, &renumbered, None), Verdict::Refuse(Refusal::Invalid(RecordError::Signature)));
        let too_long = [value.as_slice(), &[0; 1200]].concat();
        assert_eq!(node.judge(&key, &too_long, None), Verdict::Refuse(Refusal::Invalid(RecordError::Size)));
        for length in 0..value.len().min(130) {
            assert!(matches!(node.judge(&key, &value[..length], None), Verdict::Refuse(_)));
            node = Node::new();
        }
    }

    #[test]
    fn a_source_that_sends_too_many_is_cut_off() {
        let mut node = Node::new();
        let (key, value) = record(1, NOW_S * 1000);
        let burst = Limits::default().record_rate_per_node.burst;
        let kept = (0..burst + 10).filter(|_| matches!(node.judge(&key, &value, None), Verdict::Store { .. })).count();
        assert_eq!(kept, burst as usize);
        assert_eq!(node.judge(&key, &value, None), Verdict::Refuse(Refusal::TooMany));
        node.source.node = PeerId::random();
        assert!(matches!(node.judge(&key, &value, None), Verdict::Store { .. }), "its neighbour is not");
    }
}
