//! What can go wrong with sound, in sentences for the person who has to do something about it.

use std::io;
use std::path::PathBuf;

use super::AudioRole;

/// Opening or using a sound device or file failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// Start PulseAudio or PipeWire, or use a file or `null` instead of a device.
    #[error(
        "there is no sound system here: no PulseAudio or PipeWire server answers and ALSA has no card; \
         start one, or use `--mic silence` and `--speaker null`"
    )]
    NoSoundSystem,
    /// Plug one in, or name another source or sink.
    #[error("there is no {}; plug one in, or use `--{}`", .0.noun(), .0.substitute())]
    NoDevice(AudioRole),
    /// Choose one of `known`, as `twocans devices` lists them.
    #[error("there is no {} called \"{id}\"; {}", .role.noun(), list_known(.known))]
    UnknownDevice {
        id: String,
        role: AudioRole,
        /// Ids that do exist, at most a handful.
        known: Vec<String>,
    },
    /// Another program holds the device: close it there, or choose another device.
    #[error("{device} is in use by another program; close it there or choose another device")]
    Busy { device: String },
    /// Allow this user or program to use the device.
    #[error("{device} may not be used: the system denies access; check its privacy or group settings")]
    Denied { device: String },
    /// Choose another device; the reason is the driver's.
    #[error("{device} cannot be used: {why}")]
    Unusable { device: String, why: String },
    /// The sound server accepted a request and never answered: restart it.
    #[error("the sound system does not answer; restarting it (or the computer) usually helps")]
    Hung,
    /// Check the path.
    #[error("cannot read {path}: {source}")]
    CannotRead { path: PathBuf, source: io::Error },
    /// Give a WAV file (integer or float PCM).
    #[error("cannot play {path}: {why}")]
    BadWav { path: PathBuf, why: WavError },
    /// Check the folder, its permissions and the free space.
    #[error("cannot record to {path}: {source}")]
    CannotRecord { path: PathBuf, source: io::Error },
    /// The system is out of threads or memory.
    #[error("cannot start a thread for sound: {0}")]
    NoThread(io::Error),
}

/// Why a file is no WAV file that can be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WavError {
    #[error("it is not a regular file")]
    NotAFile,
    #[error("it is not a WAV file")]
    NotWav,
    #[error("the WAV file ends in the middle of its header")]
    Truncated,
    #[error("the WAV file's header is damaged ({0})")]
    Damaged(&'static str),
    /// Convert the file to plain PCM.
    #[error("the WAV file holds compressed sound (format {0:#06x}); convert it to PCM")]
    Compressed(u16),
    #[error("the WAV file's rate of {0} Hz is outside {min} to {max} Hz", min = super::wav::MIN_RATE_HZ, max = super::wav::MAX_RATE_HZ)]
    Rate(u32),
    #[error("the WAV file contains no sound")]
    Empty,
    #[error("the WAV file is longer than {} minutes", super::wav::MAX_MINUTES)]
    TooLong,
}

impl AudioRole {
    /// The word a person uses for it.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Microphone => "microphone",
            Self::Speaker => "speaker",
            Self::Ring => "ring device",
        }
    }

    /// The option that does without a device.
    const fn substitute(self) -> &'static str {
        match self {
            Self::Microphone => "mic silence",
            Self::Speaker => "speaker null",
            Self::Ring => "ring-device null",
        }
    }
}

fn list_known(known: &[String]) -> String {
    if known.is_empty() { "none is plugged in".to_owned() } else { format!("there are: {}", known.join(", ")) }
}
