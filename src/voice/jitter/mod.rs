//! Jitter buffer of NetEq's shape: packets in whenever they come, an unbroken signal out at the pace of playout.
//!
//! [`JitterBuffer::insert_packet`] files a packet and notes how late it is ([`delay`]). [`JitterBuffer::get_audio`] is
//! the playout tick and the only clock: it decodes what is due ([`playout`]), conceals or rebuilds what is missing, and
//! lengthens or shortens the signal by single pitch periods ([`stretch`]) until playout is as late as it should be.
//! Because only played samples are counted, the drift between the sender's clock and ours is absorbed like any other
//! change of delay.
//!
//! Nothing allocates after `new()`, no input panics, and every call of `get_audio` fills its frame.

mod delay;
mod packet_buffer;
mod playout;
mod statistics;
mod stretch;
mod sync_buffer;
mod timeline;

use std::time::Instant;

use bytes::Bytes;

use crate::base::{FRAME_SAMPLES, MediaTime, SAMPLE_RATE_HZ, SampleCount, SeqNo};

use super::opus::{self, Dred, MAX_PACKET_SAMPLES, OpusDecoder, OpusError};
use delay::DelayManager;
use packet_buffer::{BufferedPacket, PacketBuffer, Stored};
use playout::Phase;
use statistics::Counters;
pub use statistics::JitterStats;
use stretch::Stretch;
use sync_buffer::SyncBuffer;
use timeline::{ExtendedSeq, ExtendedTime, Position, Source};

/// Bounds and cost of reception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JitterSettings {
    /// Lower and upper bound of the target delay.
    pub min_target: SampleCount,
    pub max_target: SampleCount,
    /// Packets that wait at once.
    pub max_packets: usize,
    /// Decoder complexity 0..=10: below 5 classic concealment, from 5 on the neural one, from 6 on low bit rates are
    /// enhanced as well (PESQ-WB 3.46 → 3.71 at 11, 4.02 → 4.09 at 16 kb/s).
    pub decoder_complexity: u8,
}

impl Default for JitterSettings {
    fn default() -> Self {
        Self {
            min_target: SampleCount(0),
            max_target: SampleCount::from_ms(500),
            max_packets: 200,
            decoder_complexity: 6,
        }
    }
}

/// What [`JitterBuffer::get_audio`] did, in NetEq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Nothing to play: no packet yet, or none for so long that concealment has faded out.
    Silence,
    /// The sender pauses (DTX): comfort noise. No loss.
    ComfortNoise,
    /// Decoded signal, in-band FEC and redundancy included.
    Normal,
    /// Decoded signal, shortened by a pitch period.
    Accelerate,
    /// Decoded signal, lengthened by a pitch period.
    PreemptiveExpand,
    /// Decoded signal, joined to a concealed one.
    Merge,
    /// Concealment of something lost or late.
    Expand,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Inserted {
    Stored,
    /// Came twice.
    Duplicate,
    /// Its time of playout has passed.
    Late,
    /// No Opus packet, or a stray one: numbers far from all others.
    Invalid,
    /// Stored; the buffer was full, so the oldest packet was given up.
    Overflow,
}

/// Header fields of one packet, as the buffer needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketHeader {
    pub arrival: Instant,
    pub ssrc: u32,
    pub seq: SeqNo,
    pub media_time: MediaTime,
}

/// One sender's stream.
pub struct JitterBuffer {
    decoder: OpusDecoder,
    dred: Dred,
    /// Media time of the packet whose redundancy `dred` holds, and how far back it reaches.
    dred_of: Option<(ExtendedTime, i64)>,
    source: Option<Source>,
    previous_ssrc: Option<u32>,
    /// A packet with far-off numbers; a second one that follows it proves that the sender began anew.
    stray: Option<(SeqNo, MediaTime)>,
    packets: PacketBuffer,
    delay: DelayManager,
    sync: SyncBuffer,
    stretch: Stretch,
    pcm: Box<[f32; MAX_PACKET_SAMPLES]>,
    /// The playout clock: samples handed out.
    clock: i64,
    last_tick: Option<Tick>,
    phase: Phase,
    /// Media time just after the last decoded sample.
    cursor: ExtendedTime,
    last_decoded: LastDecoded,
    /// Samples concealed in a row.
    concealed_run: usize,
    /// Samples played since the last time stretch.
    since_stretch: i64,
    /// Sum of the samples by which playout was later (or, negative, earlier) than it should be, since it became so.
    impatience: i64,
    /// Playout is so late that it must get faster at once.
    hurry: bool,
    noise_floor: f32,
    noise: playout::Noise,
    counters: Counters,
}

/// How a frame reached us first.
#[derive(Debug, Clone, Copy)]
enum Came {
    ByItself,
    /// Its packet was lost; a later one carried it.
    Repaired,
}

#[derive(Debug, Clone, Copy)]
struct Tick {
    at: Instant,
    samples: i64,
}

/// What the decoder saw last.
#[derive(Debug, Clone, Copy, Default)]
struct LastDecoded {
    seq: Option<ExtendedSeq>,
    /// It announced silence.
    dtx: bool,
}

impl JitterBuffer {
    pub fn new(settings: JitterSettings) -> Result<Self, OpusError> {
        Ok(Self {
            decoder: OpusDecoder::new(settings.decoder_complexity)?,
            dred: Dred::new()?,
            dred_of: None,
            source: None,
            previous_ssrc: None,
            stray: None,
            packets: PacketBuffer::new(settings.max_packets.max(1)),
            delay: DelayManager::new(settings.min_target, settings.max_target),
            sync: SyncBuffer::new(2 * MAX_PACKET_SAMPLES),
            stretch: Stretch::new(),
            pcm: Box::new([0.0; MAX_PACKET_SAMPLES]),
            clock: 0,
            last_tick: None,
            phase: Phase::Pause,
            cursor: 0,
            last_decoded: LastDecoded::default(),
            concealed_run: 0,
            since_stretch: 0,
            impatience: 0,
            hurry: false,
            noise_floor: playout::INITIAL_NOISE_FLOOR,
            noise: playout::Noise::new(),
            counters: Counters::default(),
        })
    }

    /// Changes the bounds of the target delay; playout glides there.
    pub fn set_target_limits(&mut self, min: SampleCount, max: SampleCount) {
        self.delay.set_limits(min, max);
    }

    /// Files a packet.
    pub fn insert_packet(&mut self, header: PacketHeader, payload: Bytes) -> Inserted {
        let Some(samples) = opus::packet_samples(&payload) else {
            self.counters.invalid += 1;
            return Inserted::Invalid;
        };
        let Some(position) = self.place(&header) else {
            self.counters.invalid += 1;
            return Inserted::Invalid;
        };
        if let Some(source) = &mut self.source {
            source.count(header.seq, header.media_time, position, header.arrival);
        }
        if position.duplicate {
            return Inserted::Duplicate;
        }
        self.note_fec(&header, position, &payload);
        self.note_available(&header, position.seq, position.time, samples, Came::ByItself);
        self.store(position.time, Some(position.seq), samples, payload)
    }

    /// Files a copy of an earlier packet that came inside the packet of `header` (RFC 2198); call it after
    /// [`JitterBuffer::insert_packet`] of that packet.
    pub fn insert_redundant(&mut self, header: PacketHeader, offset: SampleCount, payload: Bytes) -> Inserted {
        let (Some(samples), Some(source)) = (opus::packet_samples(&payload), &self.source) else {
            return Inserted::Invalid;
        };
        if source.ssrc != header.ssrc {
            return Inserted::Invalid;
        }
        let carrier = source.locate(header.seq, header.media_time);
        let time = carrier.time - i64::from(offset.0);
        let seq = carrier.seq - i64::from(offset.0.div_ceil(samples.0));
        if !source.is_missing(seq) {
            return Inserted::Duplicate;
        }
        self.note_available(&header, seq, time, samples, Came::Repaired);
        let stored = self.store(time, None, samples, payload);
        self.counters.redundant_used += u64::from(stored == Inserted::Stored);
        stored
    }

    /// Fills `out` with the next samples: 10 ms as a rule, any length up to that in low-delay set-ups. `now` is the
    /// moment of the call; it serves to see packets that are in time only just.
    pub fn get_audio(&mut self, now: Instant, out: &mut [f32]) -> Operation {
        let mut done = Operation::Silence;
        for part in out.chunks_mut(FRAME_SAMPLES) {
            let mut operation = self.continuing();
            while self.sync.future_len() < part.len() {
                operation = self.produce(part.len() - self.sync.future_len()).max(operation);
            }
            if operation == Operation::Normal {
                operation = self.adapt(part.len()).unwrap_or(operation);
            }
            let playout_delay = self.playout_lag() - self.delay.fastest_lag(self.clock);
            self.counters.count_audio(operation, part.len(), playout_delay);
            self.sync.pop(part);
            self.clock += part.len() as i64;
            self.since_stretch += part.len() as i64;
            self.last_tick = Some(Tick { at: now, samples: part.len() as i64 });
            done = done.max(operation);
        }
        done
    }

    /// Media time of the next sample to be heard; `None` while the sender pauses or has not begun. While something is
    /// concealed that may still come, it stands still.
    pub fn playout_time(&self) -> Option<MediaTime> {
        let source = self.source.as_ref().filter(|_| self.phase != Phase::Pause)?;
        Some(source.media_time(self.cursor - self.sync.future_len() as i64))
    }

    pub fn statistics(&mut self) -> JitterStats {
        let target = self.delay.target_lag() - self.delay.fastest_lag(self.clock);
        let queue = self.delay.queue(self.clock);
        self.counters.statistics(self.source.as_ref(), target, queue, self.packets.len())
    }

    /// Finds the packet's place in its sender's numbering; `None` for strays.
    fn place(&mut self, header: &PacketHeader) -> Option<Position> {
        if self.previous_ssrc == Some(header.ssrc) {
            return None;
        }
        if self.source.as_ref().is_none_or(|source| source.ssrc != header.ssrc) {
            return Some(self.begin_source(header));
        }
        let position = self.source.as_ref()?.locate(header.seq, header.media_time);
        let lag = self.clock - position.time;
        let leap = (lag - self.delay.target_lag()).abs() > MAX_LEAP;
        if !leap && !self.source.as_ref()?.is_jump(position) {
            self.stray = None;
            return Some(position);
        }
        let follows = self.stray.is_some_and(|(seq, time)| {
            header.seq.since(seq) == 1 && (0..MAX_LEAP).contains(&header.media_time.since(time))
        });
        self.stray = Some((header.seq, header.media_time));
        follows.then(|| self.begin_source(header))
    }

    /// A sender's first packet, or its first after it began anew.
    fn begin_source(&mut self, header: &PacketHeader) -> Position {
        let source = Source::new(header.ssrc, header.seq, header.media_time);
        let position = source.locate(header.seq, header.media_time);
        if let Some(old) = self.source.replace(source) {
            self.counters.absorb(&old);
            self.previous_ssrc = Some(old.ssrc).filter(|ssrc| *ssrc != header.ssrc);
            self.decoder.reset();
        }
        self.stray = None;
        self.packets.clear();
        self.sync.drop_future();
        self.dred_of = None;
        self.last_decoded = LastDecoded::default();
        self.phase = Phase::Pause;
        self.cursor = position.time;
        self.delay.reset(self.clock - position.time, self.clock);
        position
    }

    /// When the packet before this one is missing and this one can rebuild it, that frame is available from now on.
    fn note_fec(&mut self, header: &PacketHeader, position: Position, payload: &[u8]) {
        if let Some(frame) = opus::packet_frame_samples(payload)
            && opus::packet_has_fec(payload)
        {
            self.note_available(header, position.seq - 1, position.time - i64::from(frame.0), frame, Came::Repaired);
        }
    }

    /// Tells the delay manager when a frame could be decoded first, in whatever form.
    ///
    /// A frame that missed the coming tick by a hair, or would miss it if it came a hair later, counts as if it had:
    /// so the target moves before playout suffers.
    fn note_available(
        &mut self,
        header: &PacketHeader,
        seq: ExtendedSeq,
        time: ExtendedTime,
        samples: SampleCount,
        came: Came,
    ) {
        if !self.source.as_mut().is_some_and(|source| source.cover(seq)) {
            return;
        }
        let narrow = self.last_tick.map_or(0, |tick| {
            let since = header.arrival.saturating_duration_since(tick.at).as_secs_f64() * f64::from(SAMPLE_RATE_HZ);
            if (since as i64 - tick.samples).abs() < NARROW { tick.samples } else { 0 }
        });
        let lag = self.clock - time + narrow;
        match came {
            Came::ByItself => self.delay.observe(lag, samples, self.clock),
            Came::Repaired => self.delay.observe_repair(lag, samples, self.clock),
        }
    }

    fn store(
        &mut self,
        time: ExtendedTime,
        seq: Option<ExtendedSeq>,
        samples: SampleCount,
        payload: Bytes,
    ) -> Inserted {
        if self.is_past(time, samples) {
            self.counters.late += u64::from(seq.is_some());
            return Inserted::Late;
        }
        let packet = BufferedPacket { time, samples, seq, payload, inserted_at: self.clock };
        match self.packets.insert(packet) {
            Stored::New => Inserted::Stored,
            Stored::Duplicate => Inserted::Duplicate,
            Stored::Overflow => {
                self.counters.flushed += 1;
                Inserted::Overflow
            }
        }
    }

    fn is_past(&self, time: ExtendedTime, samples: SampleCount) -> bool {
        self.phase != Phase::Pause && time + i64::from(samples.0) <= self.cursor
    }

    /// Samples by which the signal in the ear is behind the playout clock.
    fn playout_lag(&self) -> i64 {
        self.clock + self.sync.future_len() as i64 - self.cursor
    }
}

/// A change of lag that no network makes: the sender began anew, or somebody's clock stood still.
const MAX_LEAP: i64 = 3 * SAMPLE_RATE_HZ as i64;
/// Packets this close to the expected tick are in time only just: 1.5 ms.
const NARROW: i64 = SAMPLE_RATE_HZ as i64 * 3 / 2000;

#[cfg(test)]
mod tests;
