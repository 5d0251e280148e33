//! One peer's packets in, that peer's voice out.

use std::time::Instant;

use crate::base::{Frame, IncomingPacket, PayloadKind};

use super::jitter::{Inserted, JitterBuffer, JitterSettings, JitterStats, Operation, PacketHeader};
use super::level::LevelMeter;
use super::opus::OpusError;
use super::red;

/// How a peer is received.
pub type ReceiverSettings = JitterSettings;
/// What was received of a peer.
pub type ReceiverStats = JitterStats;

/// The voice of one peer: takes packets apart, buffers, decodes, meters.
///
/// Making one allocates some hundred kilobytes: make it elsewhere and hand it to the voice thread, and hand it back to
/// be dropped.
pub struct Receiver {
    jitter: JitterBuffer,
    level: LevelMeter,
}

impl Receiver {
    pub fn new(settings: ReceiverSettings) -> Result<Self, OpusError> {
        Ok(Self { jitter: JitterBuffer::new(settings)?, level: LevelMeter::new() })
    }

    /// Files a packet; for RED (RFC 2198), the answer is about its primary block.
    pub fn insert_packet(&mut self, packet: IncomingPacket) -> Inserted {
        let header =
            PacketHeader { arrival: packet.arrival, ssrc: packet.ssrc, seq: packet.seq, media_time: packet.media_time };
        match packet.kind {
            PayloadKind::Opus => self.jitter.insert_packet(header, packet.payload),
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

    /// The next 10 ms of the peer's voice. Always fills `out`, with silence if need be.
    pub fn get_audio(&mut self, now: Instant, out: &mut Frame) -> Operation {
        self.get_samples(now, out)
    }

    /// As [`Receiver::get_audio`], for ticks shorter than 10 ms.
    pub fn get_samples(&mut self, now: Instant, out: &mut [f32]) -> Operation {
        let operation = self.jitter.get_audio(now, out);
        self.level.push(out);
        operation
    }

    pub fn jitter_mut(&mut self) -> &mut JitterBuffer {
        &mut self.jitter
    }

    pub fn statistics(&mut self) -> ReceiverStats {
        self.jitter.statistics()
    }

    pub fn level(&self) -> &LevelMeter {
        &self.level
    }
}
