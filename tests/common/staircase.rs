//! Sound that tells its own time: a tone that rises every tenth of a second. What a gap took away, and whether anything
//! was played twice, can be read from what arrives.

use std::path::Path;

use super::speech::{dbfs, read_wav};

const RATE_HZ: u32 = 48_000;
const STEP_MS: usize = 100;
const FIRST_HZ: f32 = 300.0;
const STEP_HZ: f32 = 12.0;
/// What is looked at in one piece, and by how much the next piece is later.
const WINDOW: usize = RATE_HZ as usize / 20;
const HOP: usize = RATE_HZ as usize / 100;
const HOP_MS: usize = 10;
/// Steps by which a sound in a row of windows is behind what was heard before, to be one that is played again.
const AGAIN: usize = 3;

/// What arrived of a staircase.
#[derive(Debug, Clone, Copy)]
pub struct Climb {
    /// Steps of which something was heard.
    pub steps_heard: usize,
    pub last_step: usize,
    /// The longest time in which nothing new was heard, between the first and the last step, ms; an undisturbed step
    /// makes 100.
    pub longest_standstill_ms: usize,
    /// Steps that were heard again after later ones.
    pub repeated: usize,
}

/// Writes a staircase of so many seconds.
pub fn write_staircase(path: &Path, seconds: usize) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(path, spec).expect("the file can be written");
    let step_samples = RATE_HZ as usize * STEP_MS / 1000;
    let mut phase = 0.0f32;
    for sample in 0..seconds * RATE_HZ as usize {
        let hz = FIRST_HZ + STEP_HZ * (sample / step_samples) as f32;
        phase = (phase + hz / RATE_HZ as f32).fract();
        let value = 0.3 * (std::f32::consts::TAU * phase).sin();
        wav.write_sample((value * f32::from(i16::MAX)) as i16).expect("the disk has room");
    }
    wav.finalize().expect("the disk has room");
}

/// Reads what was recorded of one.
pub fn climb(path: &Path) -> Climb {
    let samples = read_wav(path);
    let (mut highest, mut since, mut begun) = (0, 0, false);
    let mut climb = Climb { steps_heard: 0, last_step: 0, longest_standstill_ms: 0, repeated: 0 };
    let (mut behind, mut last_repeated) = (0, None);
    for (number, start) in (0..samples.len().saturating_sub(WINDOW)).step_by(HOP).enumerate() {
        let Some(step) = step_at(&samples[start..start + WINDOW]) else {
            behind = 0;
            continue;
        };
        // A window across the edge of two steps, or of sound and silence, may be read as any step.
        let is_next = !begun || (step > highest && step <= highest + 40);
        if is_next {
            if begun {
                climb.longest_standstill_ms = climb.longest_standstill_ms.max((number - since) * HOP_MS);
            }
            (highest, since, begun) = (step, number, true);
            climb.steps_heard += 1;
        }
        behind = if step + AGAIN <= highest { behind + 1 } else { 0 };
        if behind >= 4 && last_repeated != Some(step) {
            climb.repeated += 1;
            last_repeated = Some(step);
        }
    }
    climb.last_step = highest;
    climb
}

/// `None` where there is no clean tone.
fn step_at(window: &[f32]) -> Option<usize> {
    if dbfs(window) < -35.0 {
        return None;
    }
    let crossings: Vec<f32> = window
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] < 0.0 && pair[1] >= 0.0)
        .map(|(at, pair)| at as f32 + pair[0] / (pair[0] - pair[1]))
        .collect();
    let periods: Vec<f32> = crossings.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mean = periods.iter().sum::<f32>() / periods.len().max(1) as f32;
    let is_clean = periods.len() >= 8 && periods.iter().all(|period| (period / mean - 1.0).abs() < 0.08);
    let step = (RATE_HZ as f32 / mean - FIRST_HZ) / STEP_HZ;
    (is_clean && step > -0.5).then(|| step.round() as usize)
}

#[test]
fn gaps_and_repetitions_are_read_from_a_staircase() {
    let folder = tempfile::TempDir::with_prefix("twocans-staircase-").expect("a temporary folder can be made");
    let (whole, damaged) = (folder.path().join("whole.wav"), folder.path().join("damaged.wav"));
    write_staircase(&whole, 6);
    let fine = climb(&whole);
    assert!((59..=60).contains(&fine.steps_heard) && fine.repeated == 0, "{fine:?}");
    assert!((90..=150).contains(&fine.longest_standstill_ms), "{fine:?}");

    let samples = read_wav(&whole);
    let at = |ms: usize| ms * 48;
    let damage = |from: usize, until: usize, instead: &[f32]| {
        let spec = hound::WavReader::open(&whole).expect("it was written").spec();
        let mut wav = hound::WavWriter::create(&damaged, spec).expect("the file can be written");
        for sample in samples[..at(from)].iter().chain(instead).chain(&samples[at(until)..]) {
            wav.write_sample((sample * f32::from(i16::MAX)) as i16).expect("the disk has room");
        }
        wav.finalize().expect("the disk has room");
        climb(&damaged)
    };
    let gap = damage(2000, 2800, &vec![0.0; at(800)]);
    assert!((800..=1000).contains(&gap.longest_standstill_ms) && gap.repeated == 0, "{gap:?}");
    let again = damage(3000, 3000, &samples[at(2000)..at(3000)]);
    assert!(again.repeated >= 5, "{again:?}");
}
