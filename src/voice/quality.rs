//! How good the voice is: estimated from network figures, or measured against the original.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler};

use crate::base::SAMPLE_RATE_HZ;

/// Two signals cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QualityError {
    /// PESQ wants at least a quarter of a second; useful scores begin at about five.
    #[error("too little speech to judge ({samples} samples)")]
    TooShort { samples: usize },
    /// One of the signals is silent.
    #[error("no speech found in one of the signals")]
    NoSpeech,
    /// Not expected: the fixed conversion 48 → 16 kHz failed.
    #[error("cannot convert to 16 kHz: {0}")]
    Resample(String),
}

/// Listening quality of a call, MOS 1..=4.5, by the E-model (ITU-T G.107) with Opus's robustness.
///
/// `loss`: share of packets lost after recovery, 0..=1; `concealed`: share of samples concealed, 0..=1 (the larger of
/// the two counts, for late packets are no loss and recovered ones no harm); `delay_ms`: mouth to ear.
pub fn e_model(loss: f32, concealed: f32, delay_ms: f32) -> f32 {
    let delay = delay_ms.max(0.0);
    // G.107 (12/2011) appendix: the knee at 177.3 ms.
    let delay_impairment = 0.024 * delay + if delay > 177.3 { 0.11 * (delay - 177.3) } else { 0.0 };
    let percent = 100.0 * loss.min(concealed).max(concealed).clamp(0.0, 1.0);
    let loss_impairment = (95.0 - CODEC_IMPAIRMENT) * percent / (percent + LOSS_ROBUSTNESS);
    let r = (93.2 - delay_impairment - CODEC_IMPAIRMENT - loss_impairment).clamp(0.0, 100.0);
    // G.107 annex B.
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
}

/// PESQ wide-band (ITU-T P.862.2), MOS-LQO 1.0..=4.64, of two mono signals at 48 kHz.
///
/// The signals need not begin together: the degraded one is shifted to where its loudness follows the reference's
/// (up to ±5 s), and PESQ aligns the rest.
pub fn pesq_wb_48k(reference: &[f32], degraded: &[f32]) -> Result<f32, QualityError> {
    let (reference, degraded) = (to_16_khz(reference)?, to_16_khz(degraded)?);
    if is_silent(&reference) || is_silent(&degraded) {
        return Err(QualityError::NoSpeech);
    }
    let degraded = aligned(&reference, &degraded);
    pesq::pesq_wb(&reference, &degraded).map_err(|error| match error {
        pesq::PesqError::SignalTooShort { samples } => QualityError::TooShort { samples },
        pesq::PesqError::NoUtterancesFound => QualityError::NoSpeech,
    })
}

fn to_16_khz(signal: &[f32]) -> Result<Vec<i16>, QualityError> {
    let fail = |error: &dyn std::fmt::Display| QualityError::Resample(error.to_string());
    if signal.len() < SAMPLE_RATE_HZ as usize / 4 {
        return Err(QualityError::TooShort { samples: signal.len() });
    }
    let mut resampler =
        Fft::<f32>::new(SAMPLE_RATE_HZ as usize, RATE_16K, 1024, 1, FixedSync::Input).map_err(|error| fail(&error))?;
    let input = SequentialSlice::new(signal, 1, signal.len()).map_err(|error| fail(&error))?;
    let output = resampler.process_all(&input, signal.len(), None).map_err(|error| fail(&error))?;
    Ok(output.take_data().into_iter().map(|sample| (sample.clamp(-1.0, 1.0) * 32767.0).round() as i16).collect())
}

/// Below −66 dBFS on the whole.
fn is_silent(signal: &[i16]) -> bool {
    let energy: f64 = signal.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    energy < 256.0 * signal.len() as f64
}

/// The degraded signal, shifted to where it fits the reference best, and cut to the same length.
fn aligned(reference: &[i16], degraded: &[i16]) -> Vec<i16> {
    let (of_reference, of_degraded) = (loudness(reference), loudness(degraded));
    let coarse = best_shift(0, MAX_SHIFT_STEPS, |shift| likeness(&of_reference, &of_degraded, shift));
    let wave = |signal: &[i16]| signal.iter().map(|sample| f32::from(*sample)).collect::<Vec<_>>();
    let (reference_wave, degraded_wave) = (wave(reference), wave(degraded));
    let shift =
        best_shift(coarse * STEP as isize, 2 * STEP as isize, |shift| likeness(&reference_wave, &degraded_wave, shift));
    (0..reference.len())
        .map(|i| i.checked_add_signed(shift).and_then(|i| degraded.get(i)).copied().unwrap_or(0))
        .collect()
}

fn best_shift(around: isize, range: isize, likeness: impl Fn(isize) -> f32) -> isize {
    let shifts = (around - range..=around + range).map(|shift| (shift, likeness(shift)));
    shifts.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(around, |(shift, _)| shift)
}

/// Inner product of `a` with `b` read `shift` later.
fn likeness(a: &[f32], b: &[f32], shift: isize) -> f32 {
    let skipped = shift.unsigned_abs();
    let (a, b) = if shift < 0 { (a.get(skipped..), Some(b)) } else { (Some(a), b.get(skipped..)) };
    a.unwrap_or(&[]).iter().zip(b.unwrap_or(&[])).map(|(a, b)| a * b).sum()
}

/// Loudness per step, without its mean.
fn loudness(signal: &[i16]) -> Vec<f32> {
    let level = |step: &[i16]| step.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>().max(1.0).log10();
    let mut levels: Vec<f32> = signal.chunks_exact(STEP).map(level).collect();
    let mean = levels.iter().sum::<f32>() / levels.len().max(1) as f32;
    levels.iter_mut().for_each(|level| *level -= mean);
    levels
}

const RATE_16K: usize = 16_000;
/// 10 ms at 16 kHz.
const STEP: usize = 160;
const MAX_SHIFT_STEPS: isize = 500;
/// Equipment impairment of Opus at 32 kb/s: next to none.
const CODEC_IMPAIRMENT: f32 = 0.5;
/// Packet-loss robustness (G.113's Bpl) of Opus with neural concealment; G.711 with concealment has 25.1.
const LOSS_ROBUSTNESS: f32 = 20.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_e_model_falls_with_loss_and_delay() {
        assert!(e_model(0.0, 0.0, 50.0) > 4.3);
        assert!((3.9..4.4).contains(&e_model(0.0, 0.0, 200.0)));
        assert!(e_model(0.0, 0.0, 400.0) < 3.6);
        assert!(e_model(0.05, 0.05, 50.0) < e_model(0.05, 0.01, 50.0));
        assert!(e_model(1.0, 1.0, 50.0) < 2.0);
        assert!((1.0..=4.5).contains(&e_model(9.0, f32::INFINITY, -1.0)));
    }

    #[test]
    fn signals_that_cannot_be_judged_are_errors() {
        assert!(matches!(pesq_wb_48k(&[0.0; 100], &[0.0; 100]), Err(QualityError::TooShort { .. })));
        assert!(matches!(pesq_wb_48k(&[0.0; 96_000], &[0.0; 96_000]), Err(QualityError::NoSpeech)));
    }
}
