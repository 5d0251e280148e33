//! From encoded voice to RTP packets, one packetizer per link.

use bytes::Bytes;

use crate::base::{MediaTime, OutgoingPacket, PayloadKind, SampleCount, SeqNo};

use super::encoder::EncodedFrame;
use super::red::{self, RedBlock};

/// How many packets back the copies in a RED packet reach, nearest first: `[1, 2]` repeats the last two packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RedDistances {
    distances: [u8; red::MAX_BLOCKS],
}

impl RedDistances {
    /// No redundancy.
    pub const NONE: Self = Self { distances: [0; red::MAX_BLOCKS] };

    /// Zeros and distances beyond [`MAX_DISTANCE`] are left out, as is all but the first four.
    pub fn new(distances: &[u8]) -> Self {
        let mut kept = Self::NONE;
        let valid = distances.iter().copied().filter(|distance| (1..=MAX_DISTANCE as u8).contains(distance));
        for (slot, distance) in kept.distances.iter_mut().zip(valid) {
            *slot = distance;
        }
        kept.distances.sort_unstable_by_key(|&distance| if distance == 0 { u8::MAX } else { distance });
        kept
    }

    /// The first so many of them.
    #[must_use]
    pub fn nearest(mut self, count: usize) -> Self {
        self.distances.iter_mut().skip(count).for_each(|distance| *distance = 0);
        self
    }

    /// Copies of earlier packets in each packet.
    pub fn depth(&self) -> usize {
        self.distances.iter().filter(|&&distance| distance > 0).count()
    }
}

/// Furthest packet that can be repeated.
pub const MAX_DISTANCE: usize = 8;

/// Numbers the packets of one link and adds what redundancy that link needs.
///
/// The same packet has the same number on every link that began with the same one, so that somebody who gets it over two
/// ways knows it.
pub struct Packetizer {
    first_seq: SeqNo,
    last_seq: Option<SeqNo>,
    /// Number of the next packet, whatever its encoder counts.
    resumes_at: Option<SeqNo>,
    red: RedDistances,
    /// Payload type of Opus as negotiated, written into RED block headers.
    opus_payload_type: u8,
    /// The last packets, a ring; `sent` counts all of them.
    history: Box<[Sent; MAX_DISTANCE]>,
    sent: usize,
    payload: Box<[u8; MAX_PAYLOAD_BYTES]>,
}

impl Packetizer {
    /// `first_seq`, the number of the encoder's first packet, should be random (RFC 3550 §5.1).
    pub fn new(first_seq: SeqNo) -> Self {
        Self {
            first_seq,
            last_seq: None,
            resumes_at: None,
            red: RedDistances::NONE,
            opus_payload_type: DEFAULT_OPUS_PAYLOAD_TYPE,
            history: Box::new([Sent::EMPTY; MAX_DISTANCE]),
            sent: 0,
            payload: Box::new([0; MAX_PAYLOAD_BYTES]),
        }
    }

    /// Sends copies of earlier packets along (`audio/red`), from the next packet on.
    pub fn set_red(&mut self, red: RedDistances, opus_payload_type: u8) {
        self.red = red;
        self.opus_payload_type = opus_payload_type & 0x7f;
    }

    /// Makes the next packet. With no copy worth sending it is plain Opus, whatever the redundancy asked for.
    pub fn packetize(&mut self, frame: &EncodedFrame<'_>) -> OutgoingPacket {
        let (kind, payload) = match self.redundant_payload(frame) {
            Some(len) => (PayloadKind::Red, Bytes::copy_from_slice(&self.payload[..len])),
            None => (PayloadKind::Opus, Bytes::copy_from_slice(frame.payload)),
        };
        self.remember(frame);
        if let Some(seq) = self.resumes_at.take() {
            self.first_seq = seq.add(frame.number.wrapping_neg());
        }
        let seq = self.first_seq.add(frame.number);
        self.last_seq = Some(seq);
        OutgoingPacket { seq, media_time: frame.media_time, marker: frame.marker, kind, payload }
    }

    /// A packet that does not go over this link, and is not missed there: the next one takes its number.
    pub fn skip(&mut self) {
        self.first_seq = self.first_seq.add(u16::MAX);
    }

    /// Packets of another encoder follow: numbers run on, and earlier packets are not repeated.
    pub fn change_source(&mut self) {
        (self.resumes_at, self.sent) = (self.last_seq.map(SeqNo::next), 0);
    }

    /// Writes a RED payload; returns its length.
    fn redundant_payload(&mut self, frame: &EncodedFrame<'_>) -> Option<usize> {
        let Self { red, history, sent, payload, opus_payload_type, .. } = self;
        let mut blocks = [RedBlock { offset: SampleCount(0), payload: &[] }; red::MAX_BLOCKS];
        let mut count = 0;
        let furthest_first = red.distances.iter().rev().map(|&distance| usize::from(distance));
        for distance in furthest_first.filter(|distance| (1..=*sent).contains(distance)) {
            let copy = &history[(*sent - distance) % MAX_DISTANCE];
            let offset = frame.media_time.since(copy.media_time);
            let reachable = (1..=i64::from(red::MAX_OFFSET.0)).contains(&offset);
            if reachable && copy.len > 0 {
                blocks[count] = RedBlock { offset: SampleCount(offset as u32), payload: &copy.payload[..copy.len] };
                count += 1;
            }
        }
        if count == 0 {
            return None;
        }
        red::write(&blocks[..count], frame.payload, *opus_payload_type, &mut payload[..])
    }

    fn remember(&mut self, frame: &EncodedFrame<'_>) {
        let slot = &mut self.history[self.sent % MAX_DISTANCE];
        slot.media_time = frame.media_time;
        // Announcements of silence and packets too long for a RED block are never repeated.
        slot.len = if frame.is_dtx() || frame.payload.len() > red::MAX_BLOCK_BYTES { 0 } else { frame.payload.len() };
        slot.payload[..slot.len].copy_from_slice(&frame.payload[..slot.len]);
        self.sent += 1;
    }
}

#[derive(Clone, Copy)]
struct Sent {
    media_time: MediaTime,
    /// 0: not to be repeated.
    len: usize,
    payload: [u8; red::MAX_BLOCK_BYTES],
}

impl Sent {
    const EMPTY: Self = Self { media_time: MediaTime(0), len: 0, payload: [0; red::MAX_BLOCK_BYTES] };
}

/// What WebRTC implementations offer for Opus.
const DEFAULT_OPUS_PAYLOAD_TYPE: u8 = 111;
/// RTP payload that fits an IPv6 path of 1280 bytes with its headers and the SRTP tag. Copies that do not fit are left
/// out altogether.
const MAX_PAYLOAD_BYTES: usize = 1180;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(index: u32, payload: &[u8]) -> EncodedFrame<'_> {
        let (media_time, samples) = (MediaTime(index * 960), SampleCount(960));
        EncodedFrame { number: index as u16, media_time, samples, marker: index == 0, payload }
    }

    #[test]
    fn sequence_numbers_run_on_across_the_wrap() {
        let mut packetizer = Packetizer::new(SeqNo(u16::MAX));
        assert_eq!(packetizer.packetize(&frame(0, &[1, 2, 3])).seq, SeqNo(u16::MAX));
        let second = packetizer.packetize(&frame(1, &[1, 2, 3]));
        assert_eq!((second.seq, second.kind), (SeqNo(0), PayloadKind::Opus));
    }

    #[test]
    fn a_packet_has_one_number_on_all_links_but_where_it_is_skipped() {
        let mut links = [Packetizer::new(SeqNo(7)), Packetizer::new(SeqNo(7))];
        links[0].packetize(&frame(0, &[1]));
        assert_eq!(links.each_mut().map(|link| link.packetize(&frame(1, &[1])).seq), [SeqNo(8); 2], "one joined late");
        links[0].skip();
        assert_eq!(links.each_mut().map(|link| link.packetize(&frame(3, &[1])).seq), [SeqNo(9), SeqNo(10)]);
    }

    #[test]
    fn numbers_run_on_when_the_encoder_changes() {
        let mut packetizer = Packetizer::new(SeqNo(7));
        packetizer.packetize(&frame(5, &[1]));
        packetizer.change_source();
        let of_other = [900, 901].map(|number| packetizer.packetize(&frame(number, &[1])).seq);
        assert_eq!(of_other, [SeqNo(13), SeqNo(14)]);
    }

    #[test]
    fn red_repeats_the_packets_asked_for() {
        let mut packetizer = Packetizer::new(SeqNo(0));
        packetizer.set_red(RedDistances::new(&[1, 3, 0, 99]), 111);
        let packets: Vec<_> = (0..6u8).map(|i| packetizer.packetize(&frame(u32::from(i), &[i; 5]))).collect();
        assert_eq!(packets[0].kind, PayloadKind::Opus);
        let blocks: Vec<_> = red::split(&packets[5].payload).unwrap().collect();
        let read: Vec<_> = blocks.iter().map(|block| (block.offset.0, block.payload[0])).collect();
        assert_eq!(read, [(3 * 960, 2), (960, 4), (0, 5)]);
    }

    #[test]
    fn silence_and_long_packets_are_not_repeated() {
        let mut packetizer = Packetizer::new(SeqNo(0));
        packetizer.set_red(RedDistances::new(&[1]), 111);
        packetizer.packetize(&frame(0, &[1]));
        assert_eq!(packetizer.packetize(&frame(1, &[2; 1100])).kind, PayloadKind::Opus);
        assert_eq!(packetizer.packetize(&frame(2, &[3; 600])).kind, PayloadKind::Opus);
        assert_eq!(packetizer.packetize(&frame(3, &[4; 900])).kind, PayloadKind::Opus, "both do not fit one datagram");
    }
}
