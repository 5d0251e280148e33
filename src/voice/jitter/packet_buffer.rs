//! Packets waiting for their playout, in media order.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::SampleCount;

use super::timeline::{ExtendedSeq, ExtendedTime};

/// One Opus packet waiting to be decoded.
#[derive(Debug, Clone)]
pub(super) struct BufferedPacket {
    pub time: ExtendedTime,
    pub samples: SampleCount,
    /// `None` for a copy that came inside a later packet (RFC 2198), whose header says nothing about it.
    pub seq: Option<ExtendedSeq>,
    pub payload: Bytes,
    /// Playout clock when it came.
    pub inserted_at: i64,
}

impl BufferedPacket {
    /// Media time just after the packet.
    pub fn end(&self) -> ExtendedTime {
        self.time + i64::from(self.samples.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    New,
    /// The same media time is here already.
    Duplicate,
    /// The buffer was full: the oldest packet made room.
    Overflow,
}

/// Reorder buffer of fixed capacity. Full, it gives up the oldest packet: what is newest matters most.
pub(super) struct PacketBuffer {
    packets: VecDeque<BufferedPacket>,
    capacity: usize,
}

impl PacketBuffer {
    pub fn new(capacity: usize) -> Self {
        Self { packets: VecDeque::with_capacity(capacity), capacity }
    }

    pub fn insert(&mut self, packet: BufferedPacket) -> Stored {
        let at = self.packets.partition_point(|held| held.time < packet.time);
        if let Some(held) = self.packets.get_mut(at).filter(|held| held.time == packet.time) {
            // The copy came first: the original adds its sequence number.
            held.seq = held.seq.or(packet.seq);
            return Stored::Duplicate;
        }
        if self.packets.len() < self.capacity {
            self.packets.insert(at, packet);
            return Stored::New;
        }
        if at > 0 {
            self.packets.pop_front();
            self.packets.insert(at - 1, packet);
        }
        Stored::Overflow
    }

    pub fn front(&self) -> Option<&BufferedPacket> {
        self.packets.front()
    }

    pub fn pop(&mut self) -> Option<BufferedPacket> {
        self.packets.pop_front()
    }

    /// Drops packets that end at or before `cursor`; returns how many.
    pub fn discard_before(&mut self, cursor: ExtendedTime) -> u64 {
        let mut discarded = 0;
        while self.packets.front().is_some_and(|packet| packet.end() <= cursor) {
            self.packets.pop_front();
            discarded += 1;
        }
        discarded
    }

    pub fn clear(&mut self) {
        self.packets.clear();
    }

    pub fn len(&self) -> usize {
        self.packets.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(time: i64) -> BufferedPacket {
        BufferedPacket { time, samples: SampleCount(960), seq: None, payload: Bytes::new(), inserted_at: 0 }
    }

    proptest! {
        #[test]
        fn packets_leave_in_order_and_the_newest_survive(times in proptest::collection::vec(0i64..100, 1..200)) {
            let mut buffer = PacketBuffer::new(16);
            for &time in &times {
                buffer.insert(packet(time * 960));
                prop_assert!(buffer.len() <= 16);
            }
            let newest = times.iter().max().map(|time| time * 960);
            let left: Vec<_> = std::iter::from_fn(|| buffer.pop()).map(|packet| packet.time).collect();
            prop_assert!(left.is_sorted());
            prop_assert_eq!(left.last().copied(), newest);
        }
    }

    #[test]
    fn a_copy_and_its_original_are_one() {
        let mut buffer = PacketBuffer::new(4);
        assert_eq!(buffer.insert(packet(0)), Stored::New);
        assert_eq!(buffer.insert(BufferedPacket { seq: Some(7), ..packet(0) }), Stored::Duplicate);
        assert_eq!(buffer.front().and_then(|held| held.seq), Some(7));
        assert_eq!(buffer.discard_before(960), 1);
    }
}
