//! Counting, in the words of WebRTC's statistics (W3C `RTCInboundRtpStreamStats`).

use crate::base::SAMPLE_RATE_HZ;

use super::Operation;
use super::timeline::Source;

/// What happened to one stream. Counters run from the first packet; differences of two readings give rates.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct JitterStats {
    /// Distinct packets received.
    pub packets: u64,
    /// Packets sent, as far as sequence numbers tell, that never came, the last dozen not counted.
    pub lost: u64,
    /// Times that packets were missing between two that came: `lost` by `gaps` is the mean length of a burst.
    pub gaps: u64,
    /// Packets that came after their playout.
    pub late: u64,
    pub duplicates: u64,
    /// Damaged or stray packets.
    pub invalid: u64,
    /// Packets given up because the buffer was full.
    pub flushed: u64,
    /// Frames rebuilt from in-band FEC, from DRED, and from copies in later packets.
    pub fec_used: u64,
    pub dred_used: u64,
    pub redundant_used: u64,
    /// Samples played since the first one, comfort noise and concealment included.
    pub total_samples: u64,
    /// Samples invented because nothing was there to decode.
    pub concealed_samples: u64,
    /// Of those, silence: concealment that had faded out.
    pub silent_concealed_samples: u64,
    /// Times that concealment began.
    pub concealment_events: u64,
    pub removed_samples_for_acceleration: u64,
    pub inserted_samples_for_deceleration: u64,
    /// Interarrival jitter (RFC 3550 §6.4.1), milliseconds.
    pub jitter_ms: f32,
    /// Delay that playout aims at, above the fastest packet of the last seconds, milliseconds.
    pub target_delay_ms: f32,
    /// Delay that playout had, above the fastest packet, mean since the last reading, milliseconds.
    pub playout_delay_ms: f32,
    /// Time that a sample waited between its packet's insertion and its playout, mean since the last reading.
    pub buffer_ms: f32,
    /// How much later than the fastest packet of the last half minute the fastest of the last twenty came:
    /// the wait in front of a link that is too narrow for what is sent.
    pub queue_ms: f32,
    /// Packets waiting now.
    pub waiting: usize,
    /// Sound of the sender has been played.
    pub first_audio: bool,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub late: u64,
    pub invalid: u64,
    pub flushed: u64,
    pub fec_used: u64,
    pub dred_used: u64,
    pub redundant_used: u64,
    pub removed: u64,
    pub inserted: u64,
    total: u64,
    concealed: u64,
    silent_concealed: u64,
    events: u64,
    concealing: bool,
    first_audio: bool,
    /// Of sources that were replaced.
    past_packets: u64,
    past_lost: u64,
    past_duplicates: u64,
    past_gaps: u64,
    since_reading: Means,
}

#[derive(Debug, Default)]
struct Means {
    playout_delay: f64,
    ticks: u32,
    waited: f64,
    packets: u32,
}

impl Counters {
    /// `playout_delay`: samples behind the fastest packet.
    pub fn count_audio(&mut self, operation: Operation, samples: usize, playout_delay: i64) {
        self.first_audio |= operation >= Operation::Normal && operation != Operation::Expand;
        if !self.first_audio {
            return;
        }
        self.total += samples as u64;
        let concealing = operation == Operation::Expand;
        self.events += u64::from(concealing && !self.concealing);
        self.concealing = concealing;
        if operation > Operation::ComfortNoise {
            self.since_reading.playout_delay += playout_delay as f64;
            self.since_reading.ticks += 1;
        }
    }

    pub fn count_concealed(&mut self, samples: usize, silent: bool) {
        if self.first_audio {
            self.concealed += samples as u64;
            self.silent_concealed += if silent { samples as u64 } else { 0 };
        }
    }

    /// A packet was decoded `waited` samples after it was inserted.
    pub fn count_decoded(&mut self, waited: i64) {
        self.since_reading.waited += waited as f64;
        self.since_reading.packets += 1;
    }

    /// Keeps the totals of a source that is replaced.
    pub fn absorb(&mut self, source: &Source) {
        self.past_packets += source.received();
        self.past_lost += source.lost();
        self.past_duplicates += source.duplicates();
        self.past_gaps += source.gaps();
    }

    /// `target`: samples above the fastest packet; `queue`: samples that packets wait.
    pub fn statistics(&mut self, source: Option<&Source>, target: i64, queue: i64, waiting: usize) -> JitterStats {
        let packets = self.past_packets + source.map_or(0, Source::received);
        let means = std::mem::take(&mut self.since_reading);
        JitterStats {
            packets,
            lost: self.past_lost + source.map_or(0, Source::lost),
            gaps: self.past_gaps + source.map_or(0, Source::gaps),
            late: self.late,
            duplicates: self.past_duplicates + source.map_or(0, Source::duplicates),
            invalid: self.invalid,
            flushed: self.flushed,
            fec_used: self.fec_used,
            dred_used: self.dred_used,
            redundant_used: self.redundant_used,
            total_samples: self.total,
            concealed_samples: self.concealed,
            silent_concealed_samples: self.silent_concealed,
            concealment_events: self.events,
            removed_samples_for_acceleration: self.removed,
            inserted_samples_for_deceleration: self.inserted,
            jitter_ms: source.map_or(0.0, Source::jitter_ms),
            target_delay_ms: samples_to_ms(target as f64),
            playout_delay_ms: samples_to_ms(means.playout_delay / f64::from(means.ticks.max(1))),
            buffer_ms: samples_to_ms(means.waited / f64::from(means.packets.max(1))),
            queue_ms: samples_to_ms(queue as f64),
            waiting,
            first_audio: self.first_audio,
        }
    }
}

fn samples_to_ms(samples: f64) -> f32 {
    (samples * 1000.0 / f64::from(SAMPLE_RATE_HZ)) as f32
}
