//! Did the speech arrive, and how good is it?
//!
//! A score alone proves nothing: it is computed for noise too. So the loudness of what was heard, in slices of 10 ms,
//! is laid over that of what was spoken, at the shift where they agree best; speech that arrived agrees almost
//! completely, another speaker or noise does not.

use std::path::{Path, PathBuf};

use crate::cli::exit::internal;
use crate::cli::output::Heard;
use crate::engine::{self, Failure};

/// Loudness is compared in slices of 10 ms.
const SLICES_PER_SECOND: u32 = 100;
/// The recording may lag behind the speech by so many slices.
const LONGEST_SHIFT: usize = 200;
/// The envelopes of arrived speech agree at least so far; those of two different sentences stay below 0.5.
const LIKE: f32 = 0.8;
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

/// The best correlation coefficient over all shifts; −1 when the recording is too short to say.
fn likeness(spoken: &[f32], heard: &[f32]) -> f32 {
    let enough = spoken.len() * 9 / 10;
    (0..=LONGEST_SHIFT)
        .map_while(|shift| heard.get(shift..).filter(|rest| !rest.is_empty() && rest.len() >= enough))
        .map(|rest| correlation(spoken, rest))
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

    /// Something like the loudness of speech: words and pauses.
    fn speech(seed: usize) -> Vec<f32> {
        let word = |i: usize| ((i / 23 + seed) * 7919 % 13) as f32 * 3.0;
        (0..900).map(|i| (FLOOR_DBFS + word(i) + (i * seed % 7) as f32).max(FLOOR_DBFS)).collect()
    }

    fn delayed(envelope: &[f32], slices: usize) -> Vec<f32> {
        let silence = std::iter::repeat_n(FLOOR_DBFS, slices);
        silence.chain(envelope.iter().map(|db| (db - 3.0).max(FLOOR_DBFS))).collect()
    }

    #[test]
    fn late_and_quieter_speech_has_arrived() {
        let spoken = speech(3);
        let heard = delayed(&spoken, 8);
        assert!(likeness(&spoken, &heard) > 0.95);
        assert!((level_db(&spoken) - level_db(&heard)).abs() < 4.0);
    }

    #[test]
    fn silence_noise_another_speaker_and_half_a_sentence_have_not() {
        let spoken = speech(3);
        let silence = vec![FLOOR_DBFS; 1000];
        let noise: Vec<f32> = (0..1000_usize).map(|i| -30.0 + (i * 7919 % 11) as f32).collect();
        for heard in [silence, noise, delayed(&speech(5), 8), spoken[..400].to_vec(), Vec::new()] {
            let likeness = likeness(&spoken, &heard);
            assert!(likeness < 0.5, "{likeness}");
        }
    }

    #[test]
    fn the_two_shipped_voices_are_not_mistaken_for_each_other() {
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/speech");
        let (alice, bob) = (envelope(&assets.join("alice.wav")).unwrap(), envelope(&assets.join("bob.wav")).unwrap());
        assert!(likeness(&alice, &alice) > 0.99 && likeness(&bob, &bob) > 0.99);
        assert!(likeness(&alice, &bob) < 0.5, "{}", likeness(&alice, &bob));
        assert!(likeness(&bob, &alice) < 0.5, "{}", likeness(&bob, &alice));
    }
}
