//! Did the speech arrive, and how good is it?
//!
//! A score alone proves nothing: it is computed for noise too. So the loudness of what was heard, in slices of 10 ms,
//! is laid over that of what was spoken. The jitter buffer stretches time a little, so the speech is compared in
//! pieces of 2 s, each of which may lie a little aside of where the whole fits best. Nearly all pieces of speech that
//! arrived agree, those of another speaker or of noise do not.

use std::path::{Path, PathBuf};

use crate::cli::exit::internal;
use crate::cli::output::Heard;
use crate::engine::{self, Failure};

/// Loudness is compared in slices of 10 ms.
const SLICES_PER_SECOND: u32 = 100;
/// The recording may lag behind the speech by so many slices.
const LONGEST_SHIFT: usize = 200;
/// Pieces of 2 s, one each second.
const PIECE: usize = 200;
/// A piece may lie so far aside of where the whole fits best, slices.
const PLAY: usize = 30;
/// Three quarters of the pieces agree at least so far. Speech that arrived over an idle machine reaches 0.9, over one
/// that is hopelessly overloaded 0.4; another speaker stays below 0.3.
const LIKE: f32 = 0.35;
/// What was heard may be this much louder or quieter than what was spoken, dB.
const LEVEL_DIFFERENCE_DB: f32 = 10.0;
/// Slices below this are equally silent, dBFS.
const FLOOR_DBFS: f32 = -60.0;

/// Compares a recording with what was spoken, on threads of their own.
pub async fn judge(spoken: PathBuf, heard: PathBuf) -> Result<Heard, Failure> {
    let judged = tokio::task::spawn_blocking(move || {
        let (reference, recording) = (envelope(&spoken)?, envelope(&heard)?);
        let likeness = likeness(&reference, &recording);
        let same_level = (level_db(&reference) - level_db(&recording)).abs() <= LEVEL_DIFFERENCE_DB;
        let quality = engine::quality::pesq_wb(&spoken, &heard);
        if let Err(why) = &quality {
            tracing::warn!("no quality score: {why}");
        }
        let arrived = likeness >= LIKE && same_level;
        Ok(Heard { arrived, likeness, loss: None, delay_ms: None, quality: quality.ok(), file: heard })
    });
    judged.await.map_err(|_| internal("the comparison of the recordings failed"))?
}

/// Loudness per slice, dBFS.
fn envelope(path: &Path) -> Result<Vec<f32>, Failure> {
    let unreadable = |why: hound::Error| internal(format!("cannot read {}: {why}", path.display()));
    let mut reader = hound::WavReader::open(path).map_err(unreadable)?;
    let spec = reader.spec();
    let samples: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect::<Result<_, _>>().map_err(unreadable)?,
        hound::SampleFormat::Int => {
            let full = (1_i64 << (spec.bits_per_sample - 1)) as f32;
            let scaled = reader.samples::<i32>().map(|sample| sample.map(|sample| sample as f32 / full));
            scaled.collect::<Result<_, _>>().map_err(unreadable)?
        }
    };
    let slice = (spec.sample_rate / SLICES_PER_SECOND) as usize * usize::from(spec.channels.max(1));
    let energy = |slice: &[f32]| slice.iter().map(|sample| sample * sample).sum::<f32>() / slice.len() as f32;
    Ok(samples.chunks(slice.max(1)).map(|slice| decibels(energy(slice))).collect())
}

fn decibels(mean_square: f32) -> f32 {
    (10.0 * mean_square.max(1e-12).log10()).max(FLOOR_DBFS)
}

/// Mean level of the slices that are not silent, dBFS.
fn level_db(envelope: &[f32]) -> f32 {
    let loud: Vec<f32> = envelope.iter().filter(|db| **db > FLOOR_DBFS).map(|db| 10_f32.powf(db / 10.0)).collect();
    decibels(loud.iter().sum::<f32>() / loud.len().max(1) as f32)
}

/// How far three quarters of the speech agree at least, −1..1; −1 when the recording is too short to say.
fn likeness(spoken: &[f32], heard: &[f32]) -> f32 {
    let enough = spoken.len() * 9 / 10;
    let shifts = (0..=LONGEST_SHIFT).take_while(|shift| !heard.is_empty() && heard.len() >= enough + shift);
    let fits = shifts.map(|shift| (correlation(spoken, &heard[shift..]), shift));
    let Some((_, shift)) = fits.max_by(|(a, _), (b, _)| a.total_cmp(b)) else { return -1.0 };

    let pieces = spoken.windows(PIECE).enumerate().step_by(PIECE / 2);
    let mut agreements: Vec<f32> = pieces.map(|(start, piece)| agreement(piece, heard, start + shift)).collect();
    agreements.sort_by(f32::total_cmp);
    agreements.get(agreements.len() / 4).copied().unwrap_or(-1.0)
}

/// How well a piece agrees with what was heard around `at`.
fn agreement(piece: &[f32], heard: &[f32], at: usize) -> f32 {
    (at.saturating_sub(PLAY)..=at + PLAY)
        .filter_map(|start| heard.get(start..(start + PIECE).min(heard.len())))
        .filter(|heard| heard.len() >= PIECE * 9 / 10)
        .map(|heard| correlation(piece, heard))
        .fold(-1.0, f32::max)
}

/// Pearson's coefficient over the common length; 0 when one of the two never changes.
fn correlation(x: &[f32], y: &[f32]) -> f32 {
    let n = x.len().min(y.len());
    let (x, y) = (&x[..n], &y[..n]);
    let mean = |values: &[f32]| values.iter().sum::<f32>() / n as f32;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (x, y) = (x - mean_x, y - mean_y);
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    if xx * yy > f32::EPSILON { xy / (xx * yy).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something like the loudness of speech: words and pauses of a quarter of a second.
    fn speech(seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut word = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            FLOOR_DBFS + (state >> 24) as f32 / 6.0
        };
        (0..36).flat_map(|_| std::iter::repeat_n(word(), 25)).collect()
    }

    fn delayed(envelope: &[f32], slices: usize) -> Vec<f32> {
        let silence = std::iter::repeat_n(FLOOR_DBFS, slices);
        silence.chain(envelope.iter().map(|db| (db - 3.0).max(FLOOR_DBFS))).collect()
    }

    #[test]
    fn late_and_quieter_speech_has_arrived() {
        let spoken = speech(3);
        let heard = delayed(&spoken, 8);
        assert!(likeness(&spoken, &heard) > 0.9);
        assert!((level_db(&spoken) - level_db(&heard)).abs() < 4.0);
    }

    #[test]
    fn stretched_speech_has_arrived() {
        let spoken = speech(3);
        let slower: Vec<f32> = (0..940).map(|slice| spoken[(slice as f32 * 0.957) as usize]).collect();
        assert!(likeness(&spoken, &slower) > 0.8, "{}", likeness(&spoken, &slower));
    }

    #[test]
    fn silence_noise_another_speaker_and_half_a_sentence_have_not() {
        let spoken = speech(3);
        let silence = vec![FLOOR_DBFS; 1000];
        let noise: Vec<f32> = (0..1000_usize).map(|i| -30.0 + (i * 7919 % 11) as f32).collect();
        let broken_off = [&spoken[..500], &silence[..400]].concat();
        for heard in [silence, noise, broken_off, delayed(&speech(5), 8), spoken[..400].to_vec(), Vec::new()] {
            let likeness = likeness(&spoken, &heard);
            assert!(likeness < LIKE, "{likeness}");
        }
    }

    #[test]
    fn the_two_shipped_voices_are_not_mistaken_for_each_other() {
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/speech");
        let (alice, bob) = (envelope(&assets.join("alice.wav")).unwrap(), envelope(&assets.join("bob.wav")).unwrap());
        assert!(likeness(&alice, &alice) > 0.99 && likeness(&bob, &bob) > 0.99);
        assert!(likeness(&alice, &bob) < LIKE, "{}", likeness(&alice, &bob));
        assert!(likeness(&bob, &alice) < LIKE, "{}", likeness(&bob, &alice));
    }
}
