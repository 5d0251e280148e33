//! What somebody wants to speak into or listen to.

use super::super::device::{Inventory, Present};
use super::super::{AudioError, AudioRole, Input, Output, SinkSpec, SourceSpec, Stream, Wake, open_input, open_output};
use super::Sound;

#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    Microphone(SourceSpec),
    Speaker(SinkSpec),
}

/// A stream and the voice thread's end of it.
pub struct Opened {
    pub stream: Stream,
    pub sound: Sound,
}

impl Wish {
    pub fn role(&self) -> AudioRole {
        match self {
            Self::Microphone(_) => AudioRole::Microphone,
            Self::Speaker(_) => AudioRole::Speaker,
        }
    }

    /// The device that is wished for by id.
    pub fn device_id(&self) -> Option<&str> {
        match self {
            Self::Microphone(SourceSpec::Device(id)) | Self::Speaker(SinkSpec::Device(id)) => Some(id),
            Self::Microphone(_) | Self::Speaker(_) => None,
        }
    }

    fn is_default(&self) -> bool {
        matches!(self, Self::Microphone(SourceSpec::Default) | Self::Speaker(SinkSpec::Default))
    }

    /// A device needs to be watched; a fake does not.
    pub fn is_device(&self) -> bool {
        self.is_default() || self.device_id().is_some()
    }

    /// The same wish for one device.
    pub fn device(&self, id: String) -> Self {
        match self {
            Self::Microphone(_) => Self::Microphone(SourceSpec::Device(id)),
            Self::Speaker(_) => Self::Speaker(SinkSpec::Device(id)),
        }
    }

    /// What stands in while there is no device: it keeps the voice thread's clock going.
    pub fn stand_in(&self) -> Self {
        match self {
            Self::Microphone(_) => Self::Microphone(SourceSpec::Silence),
            Self::Speaker(_) => Self::Speaker(SinkSpec::Null),
        }
    }

    /// What fulfils the wish best of what is plugged in: the preferred device if it is there, else the default.
    pub fn best(&self, inventory: &Inventory) -> Option<Self> {
        let present = inventory.of(self.role());
        let default = || present.default_id.clone().map(|id| self.device(id));
        match self.device_id() {
            Some(id) if present.has(id) || !inventory.covers(id) => Some(self.clone()),
            Some(_) => default(),
            None if self.is_default() => default(),
            None => Some(self.clone()),
        }
    }

    /// Blocks; see [`open_input`].
    pub fn open(&self, frames: u32, wake: Wake) -> Result<Opened, AudioError> {
        match self {
            Self::Microphone(spec) => {
                let Input { samples, rate_hz, stream } = open_input(spec, frames, wake)?;
                let (health, gate) = (stream.health().clone(), stream.gate().clone());
                Ok(Opened { stream, sound: Sound::Captured { samples, rate_hz, health, gate } })
            }
            Self::Speaker(spec) => {
                let Output { samples, rate_hz, stream } = open_output(spec, frames, wake)?;
                let (health, gate) = (stream.health().clone(), stream.gate().clone());
                Ok(Opened { stream, sound: Sound::Played { samples, rate_hz, health, gate } })
            }
        }
    }
}

impl Present {
    fn has(&self, id: &str) -> bool {
        self.ids.iter().any(|present| present == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugged(default: &str, ids: &[&str]) -> Inventory {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let speakers = Present { default_id: Some(default.to_owned()), ids };
        Inventory { is_served: true, microphones: Present::default(), speakers }
    }

    fn speaker(id: &str) -> Wish {
        Wish::Speaker(SinkSpec::Device(id.to_owned()))
    }

    #[test]
    fn the_preferred_device_is_best_then_the_default_then_nothing() {
        let both = plugged("pulseaudio:a", &["pulseaudio:a", "pulseaudio:b"]);
        let one = plugged("pulseaudio:a", &["pulseaudio:a"]);
        assert_eq!(speaker("pulseaudio:b").best(&both), Some(speaker("pulseaudio:b")));
        assert_eq!(speaker("pulseaudio:b").best(&one), Some(speaker("pulseaudio:a")));
        assert_eq!(Wish::Speaker(SinkSpec::Default).best(&both), Some(speaker("pulseaudio:a")));
        assert_eq!(Wish::Speaker(SinkSpec::Default).best(&Inventory::default()), None);
        assert_eq!(speaker("pulseaudio:b").best(&Inventory::default()), None);
        assert_eq!(Wish::Microphone(SourceSpec::Default).best(&both), None, "speakers are no microphones");
    }

    #[test]
    fn a_card_that_the_server_does_not_list_is_not_missing() {
        let served = plugged("pulseaudio:a", &["pulseaudio:a"]);
        assert_eq!(speaker("alsa:plughw:CARD=0").best(&served), Some(speaker("alsa:plughw:CARD=0")));
    }

    #[test]
    fn a_fake_needs_no_device() {
        let wish = Wish::Speaker(SinkSpec::Null);
        assert_eq!(wish.best(&Inventory::default()), Some(wish.clone()));
        assert!(!wish.is_device() && speaker("x").is_device() && Wish::Speaker(SinkSpec::Default).is_device());
    }
}
