//! Time stretching by whole pitch periods: speech gets shorter or longer, its pitch stays (NetEq's Accelerate,
//! PreemptiveExpand and Merge).
//!
//! All three join two stretches of the signal where they look alike. The likeness is measured by normalised
//! cross-correlation: coarsely on a copy decimated to 8 kHz, then sample by sample around the best place.

use super::sync_buffer::{HISTORY_SAMPLES, SyncBuffer, fade};

/// How much a join may be heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tolerance {
    /// Lowest correlation to accept, −1..=1.
    pub correlation: f32,
    /// Below this mean square the signal counts as a pause, and anything may be joined to anything.
    pub quiet_mean_square: f32,
}

/// Stretches, with scratch memory for it.
pub(super) struct Stretch {
    finder: Finder,
    /// The past carried on by its own pitch, for [`Stretch::merge`].
    continued: Box<[f32; MAX_LAG + 2 * OVERLAP]>,
    merged: Box<[f32; MAX_LAG + OVERLAP]>,
}

/// Finds where two stretches of signal look alike.
struct Finder {
    target: Box<[f32; WINDOW / DECIMATION]>,
    search: Box<[f32; (MAX_LAG + WINDOW) / DECIMATION]>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Likeness {
    offset: usize,
    correlation: f32,
}

impl Stretch {
    pub fn new() -> Self {
        Self {
            finder: Finder::new(),
            continued: Box::new([0.0; MAX_LAG + 2 * OVERLAP]),
            merged: Box::new([0.0; MAX_LAG + OVERLAP]),
        }
    }

    /// Shortens the future by one pitch period of at most `max_removed` samples; returns how many samples went.
    pub fn accelerate(&mut self, sync: &mut SyncBuffer, max_removed: usize, tolerance: Tolerance) -> usize {
        let future = sync.future();
        // Each lag needs itself and a window to compare in the future; a short future allows short lags only.
        let window = WINDOW.min(future.len().saturating_sub(MIN_LAG) / 2);
        let max_lag = MAX_LAG.min(max_removed).min(future.len().saturating_sub(window));
        if window < MIN_WINDOW || max_lag < MIN_LAG {
            return 0;
        }
        let search = &future[MIN_LAG..max_lag + window];
        let Some(lag) = self.finder.acceptable(&future[..window], search, tolerance).map(|offset| MIN_LAG + offset)
        else {
            return 0;
        };
        let overlap = lag.min(future.len() - lag).min(OVERLAP);
        sync.remove(lag, overlap);
        lag
    }

    /// Takes less than a pitch period out of a pause, where nothing is heard of it; returns how many samples went.
    pub fn trim(&mut self, sync: &mut SyncBuffer, samples: usize, tolerance: Tolerance) -> usize {
        let future = sync.future();
        let is_quiet = mean_square(&future[..WINDOW.min(future.len())]) <= tolerance.quiet_mean_square;
        if !is_quiet || future.len() < WINDOW.max(2 * samples) {
            return 0;
        }
        sync.remove(samples, samples);
        samples
    }

    /// Lengthens the future by one pitch period; returns how many samples came.
    pub fn preemptive_expand(&mut self, sync: &mut SyncBuffer, tolerance: Tolerance) -> usize {
        let (line, play) = sync.line();
        let window = WINDOW.min(line.len() - play);
        if window < MIN_WINDOW || sync.free() < MAX_LAG {
            return 0;
        }
        let search = &line[play - MAX_LAG..play - MIN_LAG + window];
        let Some(offset) = self.finder.acceptable(&line[play..play + window], search, tolerance) else {
            return 0;
        };
        let lag = MAX_LAG - offset;
        sync.repeat(lag, lag.min(window).min(OVERLAP));
        lag
    }

    /// Joins `fresh`, decoded after an expansion, to what was played before it; returns how many samples longer the
    /// line became than by `fresh` alone.
    ///
    /// The expansion has lost the phase of the voice. So the past is carried on by its pitch for up to one period, to
    /// the place where it looks most like the beginning of `fresh`, and fades over there.
    pub fn merge(&mut self, sync: &mut SyncBuffer, fresh: &[f32]) -> usize {
        let window = MERGE_WINDOW.min(fresh.len());
        if window < MIN_WINDOW || sync.free() < fresh.len() + MAX_LAG {
            sync.push(fresh);
            return 0;
        }
        self.continue_past(sync);
        let (start, search) = (&fresh[..window], MAX_LAG + window);
        let mut found = Likeness { offset: 0, correlation: 0.0 };
        // Without energy on one of the sides there is no phase to keep.
        if mean_square(&self.continued[..search]) > SILENCE && mean_square(start) > SILENCE {
            found = self.finder.most_alike(start, &self.continued[..search]);
        }
        let offset = if found.correlation > 0.0 { found.offset } else { 0 };
        let overlap = OVERLAP.min(fresh.len());
        let joined = &mut self.merged[..offset + overlap];
        joined.copy_from_slice(&self.continued[..offset + overlap]);
        for (i, sample) in joined[offset..].iter_mut().enumerate() {
            let fade_in = fade(i, overlap);
            *sample = *sample * (1.0 - fade_in) + fresh[i] * fade_in;
        }
        sync.push(&self.merged[..offset + overlap]);
        sync.push(&fresh[overlap..]);
        offset
    }

    /// Fills `continued` with the line carried on by repeating its last pitch period.
    fn continue_past(&mut self, sync: &SyncBuffer) {
        let (line, _) = sync.line();
        let tail = &line[line.len() - HISTORY_SAMPLES..];
        let (window, end) = (WINDOW, tail.len());
        let search_start = end - window - MAX_LAG;
        let found = self.finder.most_alike(&tail[end - window..], &tail[search_start..end - MIN_LAG]);
        let lag = MAX_LAG - found.offset;
        for i in 0..self.continued.len() {
            self.continued[i] = tail[end - lag + i % lag];
        }
    }
}

impl Finder {
    fn new() -> Self {
        Self { target: Box::new([0.0; WINDOW / DECIMATION]), search: Box::new([0.0; (MAX_LAG + WINDOW) / DECIMATION]) }
    }

    /// The offset at which `search` continues like `target` does, if `tolerance` accepts it.
    fn acceptable(&mut self, target: &[f32], search: &[f32], tolerance: Tolerance) -> Option<usize> {
        let found = self.most_alike(target, search);
        let quiet =
            mean_square(target) < tolerance.quiet_mean_square && mean_square(search) < tolerance.quiet_mean_square;
        (quiet || found.correlation >= tolerance.correlation).then_some(found.offset)
    }

    /// Finds the offset in `search` where it looks most like `target`; `search` is longer than `target`.
    fn most_alike(&mut self, target: &[f32], search: &[f32]) -> Likeness {
        let (few_target, few_search) = (target.len() / DECIMATION, search.len() / DECIMATION);
        decimate(target, &mut self.target[..few_target]);
        decimate(search, &mut self.search[..few_search]);
        let (coarse_target, coarse_search) = (&self.target[..few_target], &self.search[..few_search]);
        let coarse = best_offset(coarse_target, coarse_search, 0..few_search - few_target + 1);
        let around = coarse.offset * DECIMATION;
        let last = search.len() - target.len();
        best_offset(target, search, around.saturating_sub(DECIMATION)..(around + DECIMATION).min(last) + 1)
    }
}

fn best_offset(target: &[f32], search: &[f32], offsets: std::ops::Range<usize>) -> Likeness {
    let mut best = Likeness { offset: offsets.start, correlation: f32::NEG_INFINITY };
    let target_energy = energy(target);
    for offset in offsets {
        let candidate = &search[offset..offset + target.len()];
        let cross: f32 = target.iter().zip(candidate).map(|(a, b)| a * b).sum();
        let correlation = cross / (target_energy * energy(candidate)).sqrt().max(TINY);
        if correlation > best.correlation {
            best = Likeness { offset, correlation };
        }
    }
    best
}

fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum()
}

pub(super) fn mean_square(samples: &[f32]) -> f32 {
    energy(samples) / samples.len().max(1) as f32
}

/// To 8 kHz; the average is low-pass enough for finding a pitch.
fn decimate(samples: &[f32], out: &mut [f32]) {
    for (decimated, group) in out.iter_mut().zip(samples.chunks_exact(DECIMATION)) {
        *decimated = group.iter().sum::<f32>() * (1.0 / DECIMATION as f32);
    }
}

const DECIMATION: usize = 6;
/// Pitch periods that are looked for: 2.5 to 15 ms, 400 to 67 Hz, and their multiples in that range.
pub(super) const MIN_LAG: usize = 120;
pub(super) const MAX_LAG: usize = 720;
/// Signal compared, at most: 10 ms.
pub(super) const WINDOW: usize = 480;
const MIN_WINDOW: usize = 120;
/// Longest cross-fade: 5 ms.
const OVERLAP: usize = 240;
const MERGE_WINDOW: usize = 240;
/// Mean square of what nobody hears: −80 dBFS.
const SILENCE: f32 = 1e-8;
const TINY: f32 = 1e-12;

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Tolerance = Tolerance { correlation: 0.9, quiet_mean_square: 0.0 };

    /// A voice-like wave: ten harmonics of `hz` that decay within each period.
    fn voice(hz: f32, count: usize) -> Vec<f32> {
        let phase = |i: usize| i as f32 * hz / 48_000.0 * std::f32::consts::TAU;
        (0..count).map(|i| (1..10).map(|k| (phase(i) * k as f32).sin() / (k * k) as f32).sum::<f32>() * 0.2).collect()
    }

    fn buffer_with(wave: &[f32], played: usize) -> SyncBuffer {
        let mut sync = SyncBuffer::new(9000);
        sync.push(wave);
        sync.pop(&mut vec![0.0; played]);
        sync
    }

    /// Largest step between neighbours, as a measure of clicks.
    fn roughness(samples: &[f32]) -> f32 {
        samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn voices_of_all_pitches_are_shortened_and_lengthened_by_whole_periods() {
        for hz in [70.0, 95.0, 140.0, 220.0, 300.0, 390.0] {
            let wave = voice(hz, 6000);
            let (mut stretch, mut sync) = (Stretch::new(), buffer_with(&wave, 3000));
            let removed = stretch.accelerate(&mut sync, MAX_LAG, STRICT);
            let added = stretch.preemptive_expand(&mut sync, STRICT);
            for lag in [removed, added] {
                let periods = lag as f32 * hz / 48_000.0;
                assert!(lag > 0 && (periods - periods.round()).abs() < 0.03, "{hz} Hz: {lag} samples");
            }
            assert_eq!(sync.future_len(), 3000 - removed + added);
            let (line, play) = sync.line();
            assert!(roughness(&line[play - 2000..]) < 1.05 * roughness(&wave), "{hz} Hz");
        }
    }

    #[test]
    fn noise_is_left_alone_unless_it_is_quiet() {
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let noise: Vec<f32> = (0..6000).map(|_| random() * 0.1).collect();
        let mut sync = buffer_with(&noise, 3000);
        let mut stretch = Stretch::new();
        assert_eq!(stretch.accelerate(&mut sync, MAX_LAG, STRICT), 0);
        assert_eq!(stretch.preemptive_expand(&mut sync, STRICT), 0);
        let quiet = Tolerance { quiet_mean_square: 0.1, ..STRICT };
        assert!(stretch.accelerate(&mut sync, MAX_LAG, quiet) >= MIN_LAG);
        assert!(stretch.preemptive_expand(&mut sync, quiet) >= MIN_LAG);
    }

    #[test]
    fn a_short_future_is_never_overrun() {
        let wave = voice(100.0, 6000);
        for len in 0..1300 {
            let (mut stretch, mut sync) = (Stretch::new(), buffer_with(&wave[..4000 + len], 4000));
            let removed = stretch.accelerate(&mut sync, MAX_LAG, Tolerance { correlation: -1.0, ..STRICT });
            assert!(removed <= len && sync.future_len() == len - removed);
            assert!(removed <= MAX_LAG);
        }
    }

    #[test]
    fn merging_keeps_the_phase() {
        let wave = voice(130.0, 12_000);
        for slip in [0, 37, 150, 300] {
            let (mut stretch, mut sync) = (Stretch::new(), buffer_with(&wave[..4000], 4000));
            let fresh = &wave[4000 + slip..4960 + slip];
            let added = stretch.merge(&mut sync, fresh);
            assert_eq!(sync.future_len(), 960 + added);
            let (line, _) = sync.line();
            assert!(roughness(&line[2500..]) < 1.1 * roughness(&wave), "{slip}");
        }
        let mut sync = SyncBuffer::new(9000);
        assert_eq!(Stretch::new().merge(&mut sync, &wave[..960]), 0, "after silence there is no phase to keep");
    }
}
