//! Which sound devices there are and which one is meant.

use std::path::PathBuf;

/// Where the microphone's sound comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceSpec {
    Default,
    Device(String),
    /// A WAV file: silence until the first `connected` (unless `at_launch`), then once from sample 0, then silence.
    File { path: PathBuf, looped: bool, at_launch: bool },
    Tone { hz: f32 },
    Silence,
}

/// Where sound goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkSpec {
    Default,
    Device(String),
    /// WAV, 48 kHz mono, from `connected` to `ended`.
    File(PathBuf),
    Null,
}

/// One sound device as `devices` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Stable across restarts; contains the device's own name.
    pub id: String,
    pub name: String,
    pub role: AudioRole,
    pub default_rate_hz: u32,
    pub channels: u16,
    pub is_default: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioRole {
    Microphone,
    Speaker,
    Ring,
}
