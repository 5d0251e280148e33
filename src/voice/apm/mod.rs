//! What happens to the microphone's sound before anybody hears it: echo, noise and level.
//!
//! ```text
//!  to the speaker ─ bands ─────────┐
//!                                  ▼
//!  microphone ─ high-pass ─ bands ─ echo ─ noise (standard) ─ one band ─ noise (strong) ─ gain, limiter ─▶ encoder
//! ```
//!
//! The parts are those of WebRTC's audio processing module (`sonora`, a port to Rust: AEC3, NS, AGC2) and RNNoise
//! (`nnnoiseless`). They are put together here because `sonora`'s own assembly fixes the echo canceller's tuning, halves
//! the band to 16 kHz unless told otherwise, and holds 2 ms more than it must.
//!
//! | stage | delay |
//! |---|---|
//! | high-pass, gain, limiter | 0 |
//! | into three bands and back (whenever echo or standard noise is on) | 1 ms |
//! | echo: 10 ms frames into 4 ms blocks and back, then overlapping blocks | 2 + 4 ms |
//! | noise, standard: overlapping frames | 6 ms |
//! | noise, strong: overlapping frames | 10 ms |

mod activity;
mod echo;
mod gain;
mod noise;

pub use self::activity::{MutedTalk, VoiceActivity};
use sonora::high_pass_filter::HighPassFilter;
use sonora::three_band_filter_bank::ThreeBandFilterBank;

use self::echo::EchoCanceller;
use self::gain::GainControl;
use self::noise::{StandardNoise, StrongNoise};
use crate::base::{FRAME_SAMPLES, Frame, SAMPLE_RATE_HZ};

/// Which parts are on; by default all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApmSettings {
    /// AEC3: takes out of the microphone what the speaker played.
    pub echo_cancellation: bool,
    pub noise: Noise,
    /// AGC2: brings the voice to a common level, and limits. Digital only: the system's mixer stays as it is.
    pub gain_control: bool,
}

impl ApmSettings {
    /// The sound goes as it is.
    pub const OFF: Self = Self { echo_cancellation: false, noise: Noise::Off, gain_control: false };
}

impl Default for ApmSettings {
    fn default() -> Self {
        Self { echo_cancellation: true, noise: Noise::Standard, gain_control: true }
    }
}

/// How noise is suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Noise {
    Off,
    /// WebRTC's NS: steady noise falls by 6 dB, speech is left alone.
    #[default]
    Standard,
    /// RNNoise, a neural network: also takes keyboards and voices in the background down, and now and then some speech.
    Strong,
}

/// Audio processing of one microphone: mono 48 kHz frames in, the same number of frames out, delayed as the table in
/// the module's documentation says.
///
/// After [`new`](Self::new) nothing allocates, with two exceptions below us: AEC3 makes its scratch vectors anew for
/// each 4 ms block once something was played (28 pieces, 14 KB, per frame: `tests/apm_allocations.rs`), and RNNoise
/// plans its Fourier transforms at the first frame that a thread processes.
#[derive(Default)]
pub struct Apm {
    /// None: everything is off and nothing is touched.
    stages: Option<Stages>,
    /// What is played, until there is a frame of it.
    render: Vec<f32>,
}

impl Apm {
    pub fn new(settings: ApmSettings) -> Self {
        if settings == ApmSettings::OFF {
            return Self::default();
        }
        let bands = settings.echo_cancellation || settings.noise == Noise::Standard;
        let stages = Stages {
            high_pass: HighPassFilter::new(SAMPLE_RATE_HZ as i32, 1),
            scratch: [vec![0.0; FRAME_SAMPLES]],
            banded: bands.then(|| Banded {
                bank: ThreeBandFilterBank::new(),
                echo: settings.echo_cancellation.then(EchoCanceller::new),
                noise: (settings.noise == Noise::Standard).then(StandardNoise::new),
            }),
            strong_noise: (settings.noise == Noise::Strong).then(StrongNoise::new),
            gain: settings.gain_control.then(GainControl::new),
        };
        Self { stages: Some(stages), render: Vec::with_capacity(FRAME_SAMPLES) }
    }

    /// The far end: what goes to the speaker now, in pieces of any length. The echo canceller finds out by itself how
    /// much later the microphone hears it, up to about half a second. While no speaker runs there is nothing to say.
    pub fn process_render(&mut self, mut samples: &[f32]) {
        let echo = self.stages.as_mut().and_then(|stages| stages.banded.as_mut()).and_then(|bands| bands.echo.as_mut());
        let Some(echo) = echo else { return };
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(FRAME_SAMPLES - self.render.len()));
            self.render.extend_from_slice(now);
            samples = later;
            if let Ok(frame) = <&mut Frame>::try_from(&mut self.render[..]) {
                to_16_bit_range(frame);
                echo.hear_render(frame);
                self.render.clear();
            }
        }
    }

    /// Whether there is nothing to be done: then pieces of any length may be sent as they are.
    pub fn is_off(&self) -> bool {
        self.stages.is_none()
    }

    /// The near end: turns 10 ms of the microphone into what is sent.
    pub fn process_capture(&mut self, frame: &mut Frame) {
        if let Some(stages) = &mut self.stages {
            stages.process(frame);
        }
    }
}

/// The parts, in the order in which the sound passes them. All of them count in the range of 16-bit samples.
struct Stages {
    high_pass: HighPassFilter,
    /// Where the high-pass filter works: it wants a list of channels.
    scratch: [Vec<f32>; 1],
    banded: Option<Banded>,
    strong_noise: Option<StrongNoise>,
    gain: Option<GainControl>,
}

/// The parts that work on three bands of 8 kHz each.
struct Banded {
    bank: ThreeBandFilterBank,
    echo: Option<EchoCanceller>,
    noise: Option<StandardNoise>,
}

/// 10 ms in three bands, each at 16 kHz, the lowest first.
type Bands = [[f32; BAND_SAMPLES]; BANDS];

impl Stages {
    fn process(&mut self, frame: &mut Frame) {
        to_16_bit_range(frame);
        let saturated = frame.iter().any(|sample| sample.abs() >= SATURATED);
        self.scratch[0].copy_from_slice(frame);
        self.high_pass.process_channels(&mut self.scratch);
        frame.copy_from_slice(&self.scratch[0]);
        if let Some(banded) = &mut self.banded {
            banded.process(frame, saturated);
        }
        if let Some(noise) = &mut self.strong_noise {
            noise.process(frame);
        }
        if let Some(gain) = &mut self.gain {
            gain.process(frame);
        }
        for sample in frame {
            *sample = (*sample / FULL_SCALE).clamp(-1.0, 1.0);
        }
    }
}

impl Banded {
    fn process(&mut self, frame: &mut Frame, saturated: bool) {
        let mut bands: Bands = [[0.0; BAND_SAMPLES]; BANDS];
        self.bank.analysis(frame, &mut bands);
        // The noise is measured where no echo suppressor has cut holes into it.
        if let Some(noise) = &mut self.noise {
            noise.analyze(&bands);
        }
        if let Some(echo) = &mut self.echo {
            echo.process(&mut bands, saturated);
        }
        if let Some(noise) = &mut self.noise {
            noise.process(&mut bands);
        }
        self.bank.synthesis(&bands, frame);
    }
}

/// NaN and infinity from a broken device end here: the filters would keep them for ever.
fn to_16_bit_range(frame: &mut Frame) {
    for sample in frame {
        *sample = if sample.is_finite() { sample.clamp(-1.0, 1.0) * FULL_SCALE } else { 0.0 };
    }
}

const BANDS: usize = 3;
const BAND_SAMPLES: usize = FRAME_SAMPLES / BANDS;
const FULL_SCALE: f32 = 32_768.0;
/// From here on a microphone is taken to clip, and its echo not to be linear (AEC3's own figure).
const SATURATED: f32 = 32_700.0;

#[cfg(test)]
mod tests;
