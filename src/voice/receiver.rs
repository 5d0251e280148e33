//! One peer's packets in, that peer's voice out.

use std::time::Instant;

use crate::base::{IncomingPacket, MediaTime, PayloadKind, SampleCount};

use super::jitter::{Inserted, JitterBuffer, JitterSettings, JitterStats, Operation, PacketHeader};
use super::level::LevelMeter;
use super::levelling::Leveller;
use super::opus::OpusError;
use super::red;

/// How a peer is received.
pub type ReceiverSettings = JitterSettings;
/// What was received of a peer.
pub type ReceiverStats = JitterStats;

/// The voice of one peer: takes packets apart, buffers, decodes, levels, meters.
///
/// Making one allocates some hundred kilobytes: make it elsewhere and hand it to the voice thread, and hand it back to
/// be dropped.
pub struct Receiver {
    jitter: JitterBuffer,
    leveller: Option<Leveller>,
    level: LevelMeter,
}

impl Receiver {
    pub fn new(settings: ReceiverSettings) -> Result<Self, OpusError> {
        Ok(Self { jitter: JitterBuffer::new(settings)?, leveller: None, level: LevelMeter::new() })
    }

    /// The same, with voices brought to a common loudness.
    pub fn with_levelling(mut self) -> Self {
        self.leveller = Some(Leveller::new());
        self
    }

    /// Files a packet; for RED (RFC 2198), the answer is about its primary block.
    pub fn insert_packet(&mut self, packet: IncomingPacket) -> Inserted {
        let header =
            PacketHeader { arrival: packet.arrival, ssrc: packet.ssrc, seq: packet.seq, media_time: packet.media_time };
        match packet.kind {
            PayloadKind::Opus => self.jitter.insert_packet(header, packet.payload),
            // Taken apart before it comes here.
            PayloadKind::Carried => Inserted::Invalid,
            PayloadKind::Red => {
                let Ok(blocks) = red::split(&packet.payload) else {
                    return self.jitter.insert_packet(header, packet.payload.slice(..0));
                };
                // The primary block goes first: it tells which packet this is.
                let Some(primary) = blocks.clone().last() else { return Inserted::Invalid };
                let inserted = self.jitter.insert_packet(header, packet.payload.slice_ref(primary.payload));
                if inserted != Inserted::Invalid && inserted != Inserted::Duplicate {
                    for block in blocks.filter(|block| block.offset.0 > 0) {
                        let copy = packet.payload.slice_ref(block.payload);
                        self.jitter.insert_redundant(header, block.offset, copy);
                    }
                }
                inserted
            }
        }
    }

    /// The next samples of the peer's voice, 10 ms or less. Always fills `out`, with silence if need be.
    pub fn get_audio(&mut self, now: Instant, out: &mut [f32]) -> Operation {
        let operation = self.jitter.get_audio(now, out);
        if let Some(leveller) = &mut self.leveller {
            leveller.process(out);
        }
        self.level.push(out);
        operation
    }

    /// Media time of the next sample to be heard, see [`JitterBuffer::playout_time`].
    pub fn playout_time(&self) -> Option<MediaTime> {
        self.jitter.playout_time()
    }

    /// Changes the bounds of the target delay; playout glides there.
    pub fn set_target_limits(&mut self, min: SampleCount, max: SampleCount) {
        self.jitter.set_target_limits(min, max);
    }

    pub fn statistics(&mut self) -> ReceiverStats {
        self.jitter.statistics()
    }

    pub fn level(&self) -> &LevelMeter {
        &self.level
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::base::{FRAME_SAMPLES, Frame, SeqNo};
    use crate::voice::{Encoder, EncoderSettings, Packetizer, RedDistances};

    /// What arrives of ten seconds when each packet carries the two before it and `lost` picks those that do not come.
    fn received(lost: impl Fn(usize) -> bool) -> ReceiverStats {
        let mut encoder =
            Encoder::new(EncoderSettings { dtx: false, fec: false, ..EncoderSettings::default() }).unwrap();
        let mut packetizer = Packetizer::new(SeqNo(65_000));
        packetizer.set_red(RedDistances::new(&[1, 2]), 111);
        let mut receiver = Receiver::new(ReceiverSettings::default()).unwrap();
        let (start, mut sent) = (Instant::now(), 0);
        for tick in 0..1000_u64 {
            let now = start + std::time::Duration::from_millis(tick * 10);
            let frame: Frame = std::array::from_fn(|i| ((tick as usize * FRAME_SAMPLES + i) as f32 * 0.02).sin() * 0.3);
            if let Some(encoded) = encoder.encode(&frame).unwrap() {
                let packet = packetizer.packetize(&encoded);
                sent += 1;
                if !lost(sent) {
                    receiver.insert_packet(incoming(now, packet.seq, packet.media_time, packet.kind, packet.payload));
                }
            }
            receiver.get_audio(now, &mut [0.0; FRAME_SAMPLES]);
        }
        assert!((-15.0..-12.0).contains(&receiver.level().dbfs()));
        receiver.statistics()
    }

    fn incoming(
        arrival: Instant,
        seq: SeqNo,
        media_time: MediaTime,
        kind: PayloadKind,
        payload: Bytes,
    ) -> IncomingPacket {
        IncomingPacket { arrival, ssrc: 1, seq, media_time, marker: false, kind, payload }
    }

    #[test]
    fn copies_replace_lost_packets_once_the_target_has_learned_to_wait() {
        let clean = received(|_| false);
        assert_eq!((clean.redundant_used, clean.lost), (0, 0));
        assert!(clean.target_delay_ms <= 10.0, "{clean:?}");
        let lossy = received(|packet| packet % 10 < 2);
        assert!((90..=100).contains(&lossy.lost), "{lossy:?}");
        assert!(lossy.redundant_used >= 90, "{lossy:?}");
        assert!(lossy.concealed_samples <= 12 * 960, "{lossy:?}");
    }

    #[test]
    fn damaged_red_is_counted_not_played() {
        let mut receiver = Receiver::new(ReceiverSettings::default()).unwrap();
        for payload in [&[][..], &[0x80], &[0xff, 0xff, 0xff, 0xff, 0x6f, 1, 2], &[0x6f]] {
            let packet =
                incoming(Instant::now(), SeqNo(1), MediaTime(1), PayloadKind::Red, Bytes::copy_from_slice(payload));
            assert_eq!(receiver.insert_packet(packet), Inserted::Invalid);
        }
        assert_eq!(receiver.statistics().invalid, 4);
    }
}
