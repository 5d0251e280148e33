//! Speech for tests.

use crate::base::Frame;

/// A recorded voice, over and over. In-band FEC, DTX and voice activity listen for speech; a tone will not do.
pub fn recording(frames: usize) -> Vec<Frame> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/speech/alice.wav");
    let mut reader = hound::WavReader::open(path).unwrap();
    let samples: Vec<f32> = reader.samples::<i16>().map(|sample| f32::from(sample.unwrap()) / 32768.0).collect();
    samples.as_chunks().0.iter().copied().cycle().take(frames).collect()
}
