//! From the sender's wrapping numbers to ones that only grow, and what their order tells about the network
//! (RFC 3550 appendix A.1, A.3, A.8).

use std::time::Instant;

use crate::base::{MediaTime, SAMPLE_RATE_HZ, SeqNo};

/// Media time without wrap, samples since some moment of the sender's.
pub(super) type ExtendedTime = i64;
/// Sequence number without wrap.
pub(super) type ExtendedSeq = i64;

/// Follows one sender's numbering.
#[derive(Debug)]
pub(super) struct Source {
    pub ssrc: u32,
    newest_seq: (SeqNo, ExtendedSeq),
    newest_time: (MediaTime, ExtendedTime),
    first_seq: ExtendedSeq,
    /// Which of the last packets up to `newest_seq` came; bit 0 is the newest.
    seen: u128,
    /// Which of them could be decoded, from themselves or from what later packets repeat.
    covered: u128,
    received: u64,
    duplicates: u64,
    /// The oldest number of which it is still open whether it was lost or is late.
    undecided: ExtendedSeq,
    lost: u64,
    gaps: u64,
    transit: Option<Transit>,
    jitter_samples: f64,
}

/// Where a packet stands in the sender's numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub seq: ExtendedSeq,
    pub time: ExtendedTime,
    pub duplicate: bool,
}

#[derive(Debug, Clone, Copy)]
struct Transit {
    arrival: Instant,
    time: ExtendedTime,
}

impl Source {
    pub fn new(ssrc: u32, seq: SeqNo, time: MediaTime) -> Self {
        Self {
            ssrc,
            newest_seq: (seq, FIRST_EXTENDED),
            newest_time: (time, FIRST_EXTENDED),
            first_seq: FIRST_EXTENDED,
            seen: 0,
            covered: 0,
            received: 0,
            duplicates: 0,
            undecided: FIRST_EXTENDED,
            lost: 0,
            gaps: 0,
            transit: None,
            jitter_samples: 0.0,
        }
    }

    /// Where a packet would stand, without counting it.
    pub fn locate(&self, seq: SeqNo, time: MediaTime) -> Position {
        let steps = i64::from(seq.since(self.newest_seq.0));
        let seq = self.newest_seq.1 + steps;
        Position { seq, time: self.newest_time.1 + time.since(self.newest_time.0), duplicate: self.came(seq) }
    }

    /// The sender's own name for a moment of its media.
    pub fn media_time(&self, time: ExtendedTime) -> MediaTime {
        MediaTime(self.newest_time.0.0.wrapping_add((time - self.newest_time.1) as u32))
    }

    /// Whether the number is so far off that the packet is a stray, or the sender began anew (RFC 3550 A.1).
    pub fn is_jump(&self, position: Position) -> bool {
        let steps = position.seq - self.newest_seq.1;
        self.received > 0 && !(-MAX_MISORDER..=MAX_DROPOUT).contains(&steps)
    }

    /// Counts a packet that [`Source::locate`] has placed.
    pub fn count(&mut self, seq: SeqNo, time: MediaTime, position: Position, arrival: Instant) {
        if position.duplicate {
            self.duplicates += 1;
            return;
        }
        self.received += 1;
        self.first_seq = self.first_seq.min(position.seq);
        let steps = position.seq - self.newest_seq.1;
        if steps > 0 {
            self.count_lost(position.seq);
            self.seen = if steps < 128 { self.seen << steps } else { 0 };
            self.covered = if steps < 128 { self.covered << steps } else { 0 };
            self.newest_seq = (seq, position.seq);
        }
        if let Some(bit) = self.bit_of(position.seq) {
            self.seen |= bit;
        }
        if position.time > self.newest_time.1 {
            self.newest_time = (time, position.time);
        }
        self.measure_jitter(arrival, position.time);
    }

    /// Notes that a packet's audio can be decoded from now on; false if it could before, or if the packet is older
    /// than the first or the last 128.
    pub fn cover(&mut self, seq: ExtendedSeq) -> bool {
        let bit = self.bit_of(seq).filter(|_| seq >= self.first_seq).unwrap_or(0);
        let new = bit & !self.covered != 0;
        self.covered |= bit;
        new
    }

    /// One of the last 128 packets, and here.
    fn came(&self, seq: ExtendedSeq) -> bool {
        self.bit_of(seq).is_some_and(|bit| self.seen & bit != 0)
    }

    /// One of the last 128 packets, since the first, and not here.
    pub fn is_missing(&self, seq: ExtendedSeq) -> bool {
        seq >= self.first_seq && self.bit_of(seq).is_some_and(|bit| self.seen & bit == 0)
    }

    fn bit_of(&self, seq: ExtendedSeq) -> Option<u128> {
        u32::try_from(self.newest_seq.1 - seq).ok().and_then(|age| 1_u128.checked_shl(age))
    }

    /// What has not come when a packet so much newer does is lost; before, it may have been overtaken.
    fn count_lost(&mut self, newest: ExtendedSeq) {
        while self.undecided <= newest - REORDERED {
            if !self.came(self.undecided) {
                self.lost += 1;
                self.gaps += u64::from(self.came(self.undecided - 1));
            }
            self.undecided += 1;
        }
    }

    /// Interarrival jitter (RFC 3550 §6.4.1).
    fn measure_jitter(&mut self, arrival: Instant, time: ExtendedTime) {
        if let Some(last) = self.transit {
            let arrived = arrival.saturating_duration_since(last.arrival).as_secs_f64()
                - last.arrival.saturating_duration_since(arrival).as_secs_f64();
            let difference = arrived * f64::from(SAMPLE_RATE_HZ) - (time - last.time) as f64;
            // A pause or a stall is no jitter.
            if difference.abs() < f64::from(SAMPLE_RATE_HZ) {
                self.jitter_samples += (difference.abs() - self.jitter_samples) / 16.0;
            }
        }
        self.transit = Some(Transit { arrival, time });
    }

    /// Packets that were sent and never came, or too late to be of use.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Times that packets were lost between two that came.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    pub fn jitter_ms(&self) -> f32 {
        (self.jitter_samples * 1000.0 / f64::from(SAMPLE_RATE_HZ)) as f32
    }

    pub fn received(&self) -> u64 {
        self.received
    }

    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }
}

/// Extended numbers start here, so that packets older than the first one stay positive.
const FIRST_EXTENDED: i64 = 1 << 40;
/// Steps forward that a loss can explain, packets (RFC 3550 A.1).
const MAX_DROPOUT: i64 = 3000;
/// Steps backward that reordering can explain, packets (RFC 3550 A.1).
const MAX_MISORDER: i64 = 100;
/// Newer packets that may overtake one before it counts as lost: 120 ms of packets of 10 ms.
const REORDERED: i64 = 12;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbering_survives_wrap_loss_and_reordering(
            first: u16, start: u32, order in Just((0u16..60).collect::<Vec<_>>()).prop_shuffle(), lost in 0u16..60
        ) {
            let at = |index: u16| (SeqNo(first.wrapping_add(index)), MediaTime(start.wrapping_add(u32::from(index) * 960)));
            let now = Instant::now();
            let (seq, time) = at(order[0]);
            let mut source = Source::new(1, seq, time);
            let mut first_time = None;
            for &index in order.iter().filter(|&&index| index != lost) {
                let (seq, time) = at(index);
                let position = source.locate(seq, time);
                prop_assert!(!position.duplicate && !source.is_jump(position));
                let origin = position.time - i64::from(index) * 960;
                prop_assert_eq!(*first_time.get_or_insert(origin), origin);
                source.count(seq, time, position, now);
                prop_assert!(source.locate(seq, time).duplicate);
            }
            prop_assert_eq!(source.received(), 60 - u64::from(lost < 60));
        }
    }

    #[test]
    fn what_was_overtaken_is_not_lost_and_bursts_are_counted_once() {
        let mut source = Source::new(1, SeqNo(0), MediaTime(0));
        let mut take = |index: u16| {
            let (seq, time) = (SeqNo(index), MediaTime(u32::from(index) * 480));
            source.count(seq, time, source.locate(seq, time), Instant::now());
            (source.lost(), source.gaps())
        };
        let order = [0, 4, 2, 3, 1, 9, 5, 7, 6, 8];
        order.into_iter().chain(10..40).for_each(|index| _ = take(index));
        assert_eq!(take(40), (0, 0), "ten were in disorder");
        // 41, 42, 43 and 45 never come.
        [44, 46].into_iter().chain(47..60).for_each(|index| _ = take(index));
        assert_eq!(take(60), (4, 2));
        assert_eq!(take(300), (4 + 228, 3), "61 to 288 of a long gap");
    }

    #[test]
    fn a_steady_stream_has_no_jitter() {
        let (mut source, start) = (Source::new(1, SeqNo(0), MediaTime(0)), Instant::now());
        for index in 0..100u16 {
            let (seq, time) = (SeqNo(index), MediaTime(u32::from(index) * 960));
            let wobble = if index % 2 == 0 { 0 } else { 8 };
            let arrival = start + Duration::from_millis(u64::from(index) * 20 + if index < 50 { 0 } else { wobble });
            source.count(seq, time, source.locate(seq, time), arrival);
            if index == 49 {
                assert!(source.jitter_ms() < 0.01);
            }
        }
        assert!((7.0..8.1).contains(&source.jitter_ms()), "{}", source.jitter_ms());
        assert!(source.is_jump(source.locate(SeqNo(10_000), MediaTime(0))));
    }
}
