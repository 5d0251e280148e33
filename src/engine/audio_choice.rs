//! What the user chooses about sound while the program runs, and how the profile remembers it.

use super::{AudioOptions, NoiseSuppression, TransmitMode};
use crate::audio::{SinkSpec, SourceSpec};

/// One choice. It holds at once, in a running call too, and at the next start of a front end that
/// [remembers](super::Options::remember).
#[derive(Debug, Clone, PartialEq)]
pub enum AudioChoice {
    Microphone(SourceSpec),
    Speaker(SinkSpec),
    /// Where it rings.
    Ring(SinkSpec),
    Noise(NoiseSuppression),
    EchoCancellation(bool),
    Transmit(TransmitMode),
}

const MICROPHONE: &str = "audio.microphone";
const SPEAKER: &str = "audio.speaker";
const RING: &str = "audio.ring";
const NOISE: &str = "audio.noise";
const ECHO_CANCELLATION: &str = "audio.echo-cancellation";
const TRANSMIT: &str = "audio.transmit";

impl AudioChoice {
    pub(super) fn apply(self, options: &mut AudioOptions) {
        match self {
            Self::Microphone(spec) => options.mic = spec,
            Self::Speaker(spec) => options.speaker = spec,
            Self::Ring(spec) => options.ring_device = spec,
            Self::Noise(noise) => options.noise_suppression = noise,
            Self::EchoCancellation(on) => options.echo_cancellation = on,
            Self::Transmit(mode) => options.transmit = mode,
        }
    }

    /// As [`Self::apply`], where `options` say what they say by default.
    pub(super) fn apply_where_unsaid(self, options: &mut AudioOptions) {
        let unsaid = AudioOptions::default();
        let is_unsaid = match &self {
            Self::Microphone(_) => options.mic == unsaid.mic,
            Self::Speaker(_) => options.speaker == unsaid.speaker,
            Self::Ring(_) => options.ring_device == unsaid.ring_device,
            Self::Noise(_) => options.noise_suppression == unsaid.noise_suppression,
            Self::EchoCancellation(_) => options.echo_cancellation == unsaid.echo_cancellation,
            Self::Transmit(_) => options.transmit == unsaid.transmit,
        };
        if is_unsaid {
            self.apply(options);
        }
    }

    /// The preference that keeps it, and its value there; part of the profile's format.
    pub(super) fn preference(&self) -> (&'static str, String) {
        match self {
            Self::Microphone(spec) => (MICROPHONE, spec.to_string()),
            Self::Speaker(spec) => (SPEAKER, spec.to_string()),
            Self::Ring(spec) => (RING, spec.to_string()),
            Self::Noise(noise) => (NOISE, word_of_noise(*noise).to_owned()),
            Self::EchoCancellation(on) => (ECHO_CANCELLATION, on.to_string()),
            Self::Transmit(mode) => (TRANSMIT, word_of_transmit(*mode).to_owned()),
        }
    }

    /// `None` for any other preference, and for a value that no version of ours has written.
    pub(super) fn from_preference(key: &str, value: &str) -> Option<Self> {
        match key {
            MICROPHONE => value.parse().ok().map(Self::Microphone),
            SPEAKER => value.parse().ok().map(Self::Speaker),
            RING => value.parse().ok().map(Self::Ring),
            NOISE => [NoiseSuppression::Off, NoiseSuppression::Standard, NoiseSuppression::Strong]
                .into_iter()
                .find(|noise| word_of_noise(*noise) == value)
                .map(Self::Noise),
            ECHO_CANCELLATION => value.parse().ok().map(Self::EchoCancellation),
            TRANSMIT => [TransmitMode::Always, TransmitMode::OnVoice, TransmitMode::OnKey]
                .into_iter()
                .find(|mode| word_of_transmit(*mode) == value)
                .map(Self::Transmit),
            _ => None,
        }
    }
}

const fn word_of_noise(noise: NoiseSuppression) -> &'static str {
    match noise {
        NoiseSuppression::Off => "off",
        NoiseSuppression::Standard => "standard",
        NoiseSuppression::Strong => "strong",
    }
}

const fn word_of_transmit(mode: TransmitMode) -> &'static str {
    match mode {
        TransmitMode::Always => "always",
        TransmitMode::OnVoice => "voice",
        TransmitMode::OnKey => "key",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices() -> [AudioChoice; 6] {
        [
            AudioChoice::Microphone(SourceSpec::Device("pulseaudio:desk".into())),
            AudioChoice::Speaker(SinkSpec::Device("alsa:hw:0".into())),
            AudioChoice::Ring(SinkSpec::Null),
            AudioChoice::Noise(NoiseSuppression::Strong),
            AudioChoice::EchoCancellation(false),
            AudioChoice::Transmit(TransmitMode::OnKey),
        ]
    }

    #[test]
    fn a_choice_is_remembered_as_it_was_made() {
        for choice in choices() {
            let (key, value) = choice.preference();
            assert_eq!(AudioChoice::from_preference(key, &value), Some(choice), "{key} = {value}");
        }
        assert_eq!(AudioChoice::from_preference(NOISE, "loud"), None);
        assert_eq!(AudioChoice::from_preference("ui.theme", "dark"), None);
    }

    #[test]
    fn what_is_remembered_gives_way_to_what_was_said() {
        let mut options = AudioOptions { mic: SourceSpec::Silence, ..AudioOptions::default() };
        choices().into_iter().for_each(|choice| choice.apply_where_unsaid(&mut options));
        assert_eq!(options.mic, SourceSpec::Silence, "named on the command line");
        assert_eq!(options.speaker, SinkSpec::Device("alsa:hw:0".into()));
        assert_eq!((options.noise_suppression, options.transmit), (NoiseSuppression::Strong, TransmitMode::OnKey));
    }
}
