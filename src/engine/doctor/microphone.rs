//! Does the microphone hear anything?

use std::thread;
use std::time::{Duration, Instant};

use crate::audio::{AudioError, Input, SourceSpec, Wake, open_input};
use crate::base::dbfs_from_mean_square;

/// How long is listened.
const LISTEN: Duration = Duration::from_millis(700);
/// At the beginning many devices click, or are not awake yet.
const WARM_UP: Duration = Duration::from_millis(200);
/// Longest wait for a callback that would end the wait by itself.
const NAP: Duration = Duration::from_millis(20);

/// Level of the microphone, dBFS RMS, −100 in silence; `None` when it opens but delivers nothing. Blocks for about a
/// second.
pub(super) fn listen(source: &SourceSpec, frames: u32) -> Result<Option<f32>, AudioError> {
    let Input { mut samples, rate_hz, stream } = open_input(source, frames, Wake::this_thread())?;
    let start = Instant::now();
    stream.gate().open(start);
    let mut skip = (WARM_UP.as_secs_f64() * f64::from(rate_hz)) as usize;
    let (mut energy, mut count) = (0.0_f64, 0_u64);
    while start.elapsed() < WARM_UP + LISTEN {
        while let Ok(sample) = samples.pop() {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            energy += f64::from(sample) * f64::from(sample);
            count += 1;
        }
        thread::park_timeout(NAP);
    }
    Ok((count > 0).then(|| dbfs_from_mean_square((energy / count as f64) as f32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_heard_and_silence_is_not() {
        let level = |source: &str| listen(&source.parse().unwrap(), 480).unwrap().unwrap();
        assert_eq!(level("silence"), -100.0);
        assert!(level("tone:440") > -30.0);
    }
}
