//! What to play next: decode, rebuild, conceal, pause; and how to glide to the target delay.

use crate::voice::opus::{self, MAX_DTX_BYTES, MIN_STEP_SAMPLES};

use super::packet_buffer::BufferedPacket;
use super::stretch::{MAX_LAG, MIN_LAG, Tolerance, WINDOW, mean_square};
use super::{JitterBuffer, LastDecoded, Operation};
use crate::base::{FRAME_SAMPLES, SampleCount};

/// ```text
///            a packet is due              nothing to decode
///   Pause ───────────────────▶ Playing ─────────────────────▶ Expanding
///     ▲    DTX, or a gap that     │ ▲        a packet came        │
///     └───── the sender made ─────┘ └─────────────────────────────┘
///   any ── a new source ──▶ Pause
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The sender is silent, or has not begun. Time is elastic here: the next packet is played exactly at the target
    /// delay, whatever the delay was before.
    Pause,
    Playing,
    /// Nothing is there to decode, and nothing newer either. The samples invented since then: they make playout later,
    /// or fill the gap if it turns out that packets were lost.
    Expanding {
        invented: i64,
    },
}

/// Comfort noise that was made and not played yet.
#[derive(Debug)]
pub(super) struct Noise {
    samples: Box<[f32; FRAME_SAMPLES]>,
    left: usize,
    /// In a row, of which nothing could be heard.
    inaudible_frames: u32,
}

/// Mean square of −90 dBFS, half a step of 16 bits.
const INAUDIBLE: f32 = 1e-9;
/// So many frames of it in a row, and the pause is silent to its end: there is nothing to carry on.
const PATIENT_FRAMES: u32 = 5;

impl Noise {
    pub fn new() -> Self {
        Self { samples: Box::new([0.0; FRAME_SAMPLES]), left: 0, inaudible_frames: 0 }
    }

    fn made(&mut self) {
        self.left = FRAME_SAMPLES;
        let inaudible = mean_square(&self.samples[..]) < INAUDIBLE;
        self.inaudible_frames = if inaudible { self.inaudible_frames + 1 } else { 0 };
    }

    fn is_inaudible(&self) -> bool {
        self.inaudible_frames >= PATIENT_FRAMES
    }

    fn take(&mut self, wanted: usize) -> &[f32] {
        let from = FRAME_SAMPLES - self.left;
        let taken = wanted.min(self.left);
        self.left -= taken;
        &self.samples[from..from + taken]
    }

    /// A packet has come.
    fn forget(&mut self) {
        (self.left, self.inaudible_frames) = (0, 0);
    }
}

impl JitterBuffer {
    /// Makes at least one more sample ready, about `wanted`.
    pub(super) fn produce(&mut self, wanted: usize) -> Operation {
        match self.phase {
            Phase::Pause => self.pause(wanted),
            Phase::Playing | Phase::Expanding { .. } => self.play(wanted),
        }
    }

    /// What is still being played when nothing new had to be produced.
    pub(super) fn continuing(&self) -> Operation {
        match self.phase {
            _ if self.sync.future_len() == 0 => Operation::Silence,
            Phase::Playing if !self.last_decoded.dtx => Operation::Normal,
            Phase::Playing | Phase::Pause if self.last_decoded.dtx => Operation::ComfortNoise,
            Phase::Playing | Phase::Pause => Operation::Silence,
            Phase::Expanding { .. } => Operation::Expand,
        }
    }

    /// Waits, with comfort noise, for the next packet's time.
    fn pause(&mut self, wanted: usize) -> Operation {
        let Some(packet) = self.packets.front() else { return self.fill_pause(wanted) };
        let (time, lag) = (packet.time, self.clock + self.sync.future_len() as i64 - packet.time);
        let early = self.delay.target_lag() - lag;
        if early > 0 {
            return self.fill_pause(wanted.min(early as usize));
        }
        self.cursor = time;
        self.phase = Phase::Playing;
        self.play(wanted)
    }

    fn fill_pause(&mut self, wanted: usize) -> Operation {
        if !self.last_decoded.dtx || self.concealed_run > MAX_COMFORT_NOISE {
            self.push_silence(wanted);
            return Operation::Silence;
        }
        // Between the packets that refresh it, the decoder carries its comfort noise on by itself, for which it works as
        // long as for 10 ms whatever it is asked for.
        if self.noise.left == 0 && !self.noise.is_inaudible() {
            match self.decoder.comfort_noise(&mut self.noise.samples[..]) {
                Ok(FRAME_SAMPLES) => self.noise.made(),
                Ok(_) | Err(_) => self.noise.forget(),
            }
        }
        if self.noise.left == 0 {
            self.push_silence(wanted);
        } else {
            self.sync.push(self.noise.take(wanted));
        }
        Operation::ComfortNoise
    }

    fn play(&mut self, wanted: usize) -> Operation {
        self.counters.late += self.packets.discard_before(self.cursor);
        let Some(packet) = self.packets.front() else {
            return if self.last_decoded.dtx { self.begin_pause(wanted) } else { self.expand(wanted) };
        };
        let gap = packet.time - self.cursor;
        if gap <= 0 {
            return self.decode_front();
        }
        if self.sender_paused_before(packet) {
            return self.begin_pause(wanted);
        }
        // The gap is loss: what was invented in the meantime fills it.
        if let Phase::Expanding { invented } = self.phase {
            let filled = invented.min(gap);
            self.cursor += filled;
            self.phase =
                if invented > filled { Phase::Expanding { invented: invented - filled } } else { Phase::Playing };
            if filled == gap {
                return self.decode_front();
            }
        }
        self.rebuild(wanted)
    }

    /// The sender let media time pass without sending anything: no packet is missing.
    fn sender_paused_before(&self, packet: &BufferedPacket) -> bool {
        let next = self.last_decoded.seq.map(|seq| seq + 1);
        self.last_decoded.dtx || (next.is_some() && packet.seq == next)
    }

    fn begin_pause(&mut self, wanted: usize) -> Operation {
        self.phase = Phase::Pause;
        self.pause(wanted)
    }

    /// Decodes the front packet and appends what lies beyond the cursor.
    fn decode_front(&mut self) -> Operation {
        let Some(packet) = self.packets.pop() else { return Operation::Silence };
        let Ok(samples) = self.decoder.decode(&packet.payload, &mut self.pcm[..]) else {
            // Its header was sound and its body is not: lost.
            self.counters.invalid += 1;
            return self.conceal_lost(packet.samples.0 as usize);
        };
        self.counters.count_decoded(self.clock + self.sync.future_len() as i64 - packet.inserted_at);
        let overlap = usize::try_from(self.cursor - packet.time).unwrap_or(0).min(samples);
        let out_of_phase = overlap > 0 || matches!(self.phase, Phase::Expanding { .. });
        self.cursor = packet.end();
        self.phase = Phase::Playing;
        self.concealed_run = 0;
        self.noise.forget();
        let dtx = packet.payload.len() <= MAX_DTX_BYTES;
        self.last_decoded = LastDecoded { seq: packet.seq.or(self.last_decoded.seq.map(|seq| seq + 1)), dtx };
        let fresh = &self.pcm[overlap..samples];
        if out_of_phase {
            self.counters.inserted += self.stretch.merge(&mut self.sync, fresh) as u64;
            return Operation::Merge;
        }
        self.sync.push(fresh);
        if dtx { Operation::ComfortNoise } else { Operation::Normal }
    }

    /// Fills the gap before the front packet as well as that packet allows: in-band FEC for the frame just before it,
    /// DRED further back, else concealment.
    fn rebuild(&mut self, wanted: usize) -> Operation {
        let Some(packet) = self.packets.front() else { return self.expand(wanted) };
        let gap = (packet.time - self.cursor) as usize;
        let (fec, frame) = (opus::packet_has_fec(&packet.payload), opus::packet_frame_samples(&packet.payload));
        let fec_reach = frame.filter(|_| fec).map_or(0, |frame| frame.0 as usize);
        if gap <= fec_reach {
            return self.rebuild_from_fec(gap, fec_reach);
        }
        let step = wanted.next_multiple_of(MIN_STEP_SAMPLES).min(gap - fec_reach).min(FRAME_SAMPLES);
        if step.is_multiple_of(MIN_STEP_SAMPLES) && self.dred_reach() >= gap as i64 {
            let decoded = self.decoder.decode_dred(&self.dred, SampleCount(gap as u32), &mut self.pcm[..step]);
            if decoded == Ok(step) {
                self.counters.dred_used += 1;
                self.cursor += step as i64;
                self.sync.push(&self.pcm[..step]);
                return Operation::Normal;
            }
        }
        self.conceal_lost(step)
    }

    fn rebuild_from_fec(&mut self, gap: usize, frame: usize) -> Operation {
        let Some(packet) = self.packets.front() else { return Operation::Silence };
        if self.decoder.decode_fec(&packet.payload, &mut self.pcm[..frame]) != Ok(frame) {
            return self.conceal_lost(gap);
        }
        self.counters.fec_used += 1;
        self.cursor += gap as i64;
        let fresh = &self.pcm[frame - gap..frame];
        if gap == frame {
            self.sync.push(fresh);
            return Operation::Normal;
        }
        self.counters.inserted += self.stretch.merge(&mut self.sync, fresh) as u64;
        Operation::Merge
    }

    /// Samples before the front packet that its deep redundancy reaches back.
    fn dred_reach(&mut self) -> i64 {
        let Some(packet) = self.packets.front() else { return 0 };
        if let Some((time, reach)) = self.dred_of
            && time == packet.time
        {
            return reach;
        }
        let reach = self.dred.parse(&packet.payload).map_or(0, |reach| i64::from(reach.0));
        self.dred_of = Some((packet.time, reach));
        reach
    }

    /// Conceals part of a gap whose end is known.
    fn conceal_lost(&mut self, samples: usize) -> Operation {
        self.conceal(samples);
        self.cursor += samples as i64;
        Operation::Expand
    }

    /// Conceals while nobody knows whether packets are lost or late.
    fn expand(&mut self, wanted: usize) -> Operation {
        let samples = wanted.next_multiple_of(MIN_STEP_SAMPLES).min(FRAME_SAMPLES);
        self.conceal(samples);
        let before = if let Phase::Expanding { invented } = self.phase { invented } else { 0 };
        self.phase = Phase::Expanding { invented: before + samples as i64 };
        if self.concealed_run > MAX_CONCEALED { Operation::Silence } else { Operation::Expand }
    }

    /// Appends exactly `samples` of concealment, which fades out when it lasts.
    fn conceal(&mut self, samples: usize) {
        let exact = samples.next_multiple_of(MIN_STEP_SAMPLES);
        let silent = self.concealed_run >= MAX_CONCEALED || self.decoder.conceal(&mut self.pcm[..exact]) != Ok(exact);
        if silent {
            self.pcm[..exact].fill(0.0);
        }
        let fade_from = MAX_CONCEALED - FADE;
        for (i, sample) in self.pcm[..samples].iter_mut().enumerate() {
            let into_fade = (self.concealed_run + i).saturating_sub(fade_from);
            *sample *= 1.0 - (into_fade as f32 / FADE as f32).min(1.0);
        }
        self.sync.push(&self.pcm[..samples]);
        self.concealed_run += samples;
        self.counters.count_concealed(samples, silent);
    }

    fn push_silence(&mut self, samples: usize) -> usize {
        self.pcm[..samples].fill(0.0);
        self.sync.push(&self.pcm[..samples])
    }

    /// Moves playout towards the target delay by one pitch period, if there is reason to and the signal allows.
    pub(super) fn adapt(&mut self, wanted: usize) -> Option<Operation> {
        self.follow_noise_floor();
        let excess = self.playout_lag() - self.delay.target_lag();
        let (too_late, too_early) = (excess >= TRIMMED_FROM, excess < 0);
        self.hurry = excess >= FAST_EXCESS || (self.hurry && excess >= MIN_LAG as i64);
        self.impatience = match () {
            () if too_late => self.impatience.max(0) + excess * wanted as i64,
            () if too_early => self.impatience.min(0) + excess * wanted as i64,
            () => 0,
        };
        if self.impatience >= PATIENCE && self.since_stretch >= pace_of_accelerating(excess) {
            return self.accelerate(excess, wanted);
        }
        if too_early && self.since_stretch >= PACE_OF_EXPANDING {
            return self.preemptive_expand();
        }
        None
    }

    fn accelerate(&mut self, excess: i64, wanted: usize) -> Option<Operation> {
        // Decode ahead, as far as packets are there without a gap.
        while self.sync.future_len() < wanted + MAX_LAG + WINDOW
            && self.packets.front().is_some_and(|packet| packet.time == self.cursor)
        {
            self.decode_front();
        }
        let correlation = match () {
            () if self.hurry => FAIR_LIKENESS,
            () if self.impatience >= END_OF_PATIENCE => GOOD_LIKENESS,
            () => PAUSES_ONLY,
        };
        let spare = self.sync.future_len().saturating_sub(wanted);
        let tolerance = self.tolerance(correlation);
        let most = spare.min(excess as usize);
        let removed = if most < MIN_LAG {
            self.stretch.trim(&mut self.sync, most, tolerance)
        } else {
            self.stretch.accelerate(&mut self.sync, most, tolerance)
        };
        self.counters.removed += removed as u64;
        self.stretched(removed, Operation::Accelerate)
    }

    fn preemptive_expand(&mut self) -> Option<Operation> {
        let correlation = if self.impatience <= -END_OF_PATIENCE_EXPANDING { GOOD_LIKENESS } else { PAUSES_ONLY };
        let tolerance = self.tolerance(correlation);
        let added = self.stretch.preemptive_expand(&mut self.sync, tolerance);
        self.counters.inserted += added as u64;
        self.stretched(added, Operation::PreemptiveExpand)
    }

    fn stretched(&mut self, samples: usize, operation: Operation) -> Option<Operation> {
        if samples == 0 {
            return None;
        }
        self.since_stretch = 0;
        Some(operation)
    }

    fn tolerance(&self, correlation: f32) -> Tolerance {
        // Below four times the noise floor the signal is a pause in the speech.
        Tolerance { correlation, quiet_mean_square: (self.noise_floor * 4.0).clamp(1e-7, 1e-4) }
    }

    /// Follows the quietest level of the last seconds: rises by 1.5 dB per second, falls at once.
    fn follow_noise_floor(&mut self) {
        let level = mean_square(self.sync.future());
        self.noise_floor = (self.noise_floor * 1.0035).clamp(1e-9, 1.0).min(level.max(1e-9));
    }
}

/// Samples to play between two accelerations: the larger the excess, the fewer.
const fn pace_of_accelerating(excess: i64) -> i64 {
    match excess {
        FAST_EXCESS.. => 0,
        MODERATE_EXCESS.. => 1440,
        _ => 4800,
    }
}

/// How much too late for how long playout must be before it is accelerated: 10 ms for a second, 100 ms for a tenth of
/// it. A little too late may be right again in a moment.
const PATIENCE: i64 = 480 * 48_000;
/// A pause in the speech is the place to get faster, for there nothing is heard of it. After six times the patience no
/// pause is waited for any more.
const END_OF_PATIENCE: i64 = 6 * PATIENCE;
/// The same for getting slower: being early costs concealment as soon as a packet comes late.
const END_OF_PATIENCE_EXPANDING: i64 = PATIENCE;
/// Mean square of −60 dBFS, a quiet room.
pub(super) const INITIAL_NOISE_FLOOR: f32 = 1e-6;
/// Less than a pitch period is taken out of pauses only, and not for less than half a millisecond.
const TRIMMED_FROM: i64 = 24;
const PACE_OF_EXPANDING: i64 = 960;
/// 40 ms and 20 ms too much.
const FAST_EXCESS: i64 = 1920;
const MODERATE_EXCESS: i64 = 960;
const GOOD_LIKENESS: f32 = 0.9;
const FAIR_LIKENESS: f32 = 0.5;
const PAUSES_ONLY: f32 = 2.0;
/// Concealment is silent after 240 ms, the last 80 ms of which fade.
const MAX_CONCEALED: usize = 11_520;
const FADE: usize = 3840;
/// libopus refreshes its comfort noise every 400 ms; a sender silent for so long has gone.
const MAX_COMFORT_NOISE: usize = 48_000 * 10;
