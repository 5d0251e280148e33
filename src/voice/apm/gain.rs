//! Gain: a quiet voice is raised, a loud one limited.
//!
//! All levels count in the range of 16-bit samples, but for the limiter's.

use sonora_agc2::adaptive_digital_gain_controller::{AdaptiveDigitalGainController, FrameInfo};
use sonora_agc2::common::{
    ADJACENT_SPEECH_FRAMES_THRESHOLD, SATURATION_PROTECTOR_INITIAL_HEADROOM_DB, float_s16_to_dbfs,
};
use sonora_agc2::fixed_digital_level_estimator::FixedDigitalLevelEstimator;
use sonora_agc2::noise_level_estimator::NoiseLevelEstimator;
use sonora_agc2::saturation_protector::SaturationProtector;
use sonora_agc2::speech_level_estimator::{AdaptiveDigitalConfig, SpeechLevelEstimator};
use sonora_agc2::vad_wrapper::VoiceActivityDetectorWrapper;

use super::super::mixer::Limiter;
use super::FULL_SCALE;
use crate::base::{FRAME_SAMPLES, Frame, SAMPLE_RATE_HZ};

/// AGC2's digital half: only what its detector takes for speech moves the gain.
pub(super) struct GainControl {
    speech: VoiceActivityDetectorWrapper,
    noise_level: NoiseLevelEstimator,
    speech_level: SpeechLevelEstimator,
    headroom: SaturationProtector,
    gain: AdaptiveDigitalGainController,
    /// What reaches the limiter, so that the gain does not drive it.
    envelope: FixedDigitalLevelEstimator,
    /// The mixer's: AGC2's own allocates in each frame.
    limiter: Limiter,
}

impl GainControl {
    pub fn new() -> Self {
        Self {
            speech: VoiceActivityDetectorWrapper::new(sonora_simd::detect_backend(), SAMPLE_RATE_HZ as i32),
            noise_level: NoiseLevelEstimator::default(),
            speech_level: SpeechLevelEstimator::new(&TUNING, ADJACENT_SPEECH_FRAMES_THRESHOLD),
            headroom: SaturationProtector::new(
                SATURATION_PROTECTOR_INITIAL_HEADROOM_DB,
                ADJACENT_SPEECH_FRAMES_THRESHOLD,
            ),
            gain: AdaptiveDigitalGainController::new(TUNING, ADJACENT_SPEECH_FRAMES_THRESHOLD),
            envelope: FixedDigitalLevelEstimator::new(FRAME_SAMPLES),
            limiter: Limiter::default(),
        }
    }

    pub fn process(&mut self, frame: &mut Frame) {
        let peak = frame.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        let rms = (frame.iter().map(|sample| sample * sample).sum::<f32>() / FRAME_SAMPLES as f32).sqrt();
        // What the echo canceller leaves sounds like speech, but nobody speaks so low: raised, it would be an echo again.
        let detected = self.speech.analyze(frame);
        let speech_probability = if float_s16_to_dbfs(rms) >= QUIETEST_SPEECH_DBFS { detected } else { 0.0 };
        let noise_rms_dbfs = self.noise_level.analyze(&[&frame[..]]);
        self.speech_level.update(float_s16_to_dbfs(rms), speech_probability);
        let speech_level_dbfs = self.speech_level.level_dbfs();
        self.headroom.analyze(speech_probability, float_s16_to_dbfs(peak), speech_level_dbfs);
        let info = FrameInfo {
            speech_probability,
            speech_level_dbfs,
            speech_level_reliable: self.speech_level.is_confident(),
            noise_rms_dbfs,
            headroom_db: self.headroom.headroom_db(),
            limiter_envelope_dbfs: float_s16_to_dbfs(self.envelope.last_audio_level()),
        };
        self.gain.process(&info, &mut [&mut frame[..]]);
        self.envelope.compute_level(&[&frame[..]]);
        frame.iter_mut().for_each(|sample| *sample /= FULL_SCALE);
        self.limiter.limit(frame);
        frame.iter_mut().for_each(|sample| *sample *= FULL_SCALE);
    }
}

/// Frames below this hold no speech worth following. Through a loopback of the speaker into the microphone, speech came
/// back at -13 dB without this bound, and at -57 dB without gain control.
const QUIETEST_SPEECH_DBFS: f32 = -60.0;
/// WebRTC's own figures, but for the gain at the start (15 dB there, which drives common microphones into the limiter
/// until the first words have been heard) and the largest (50 dB there).
const TUNING: AdaptiveDigitalConfig = AdaptiveDigitalConfig {
    headroom_db: 5.0,
    max_gain_db: 30.0,
    initial_gain_db: 6.0,
    max_gain_change_db_per_second: 6.0,
    max_output_noise_level_dbfs: -50.0,
};
