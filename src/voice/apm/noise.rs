//! Noise: what goes on behind the voice.

use nnnoiseless::DenoiseState;
use sonora_ns::config::{NsConfig, SuppressionLevel};
use sonora_ns::noise_suppressor::NoiseSuppressor;

use super::{BANDS, Bands};
use crate::base::{FRAME_SAMPLES, Frame};

/// WebRTC's NS on three bands: the lowest is filtered, the others follow its upper end.
///
/// Its mildest level: with 12 dB speech alone loses 0.2 MOS (`tests/sim_apm.rs`).
pub(super) struct StandardNoise(NoiseSuppressor);

impl StandardNoise {
    pub fn new() -> Self {
        Self(NoiseSuppressor::new_with_bands(NsConfig { target_level: SuppressionLevel::K6dB }, BANDS))
    }

    /// Measures the noise.
    pub fn analyze(&mut self, bands: &Bands) {
        self.0.analyze(&bands[0]);
    }

    pub fn process(&mut self, bands: &mut Bands) {
        let [low, upper @ ..] = bands;
        self.0.process(low);
        let gain = self.0.upper_band_gain();
        for (index, band) in upper.iter_mut().enumerate() {
            self.0.process_upper_band(band, index, gain);
        }
    }
}

/// RNNoise on the whole band.
pub(super) struct StrongNoise(Box<DenoiseState<'static>>);

impl StrongNoise {
    pub fn new() -> Self {
        Self(DenoiseState::new())
    }

    pub fn process(&mut self, frame: &mut Frame) {
        let mut clean: Frame = [0.0; FRAME_SAMPLES];
        self.0.process_frame(&mut clean, frame);
        *frame = clean;
    }
}
