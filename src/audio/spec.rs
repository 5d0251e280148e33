//! Which sound devices there are and which one is meant.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where the microphone's sound comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceSpec {
    Default,
    Device(String),
    /// A WAV file: silence until the first `connected` (unless `at_launch`), then once from sample 0, then silence.
    File {
        path: PathBuf,
        looped: bool,
        at_launch: bool,
    },
    Tone {
        hz: f32,
    },
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
    /// Hertz; 0 when the device is busy and does not tell.
    pub default_rate_hz: u32,
    /// 0 when the device is busy and does not tell.
    pub channels: u16,
    pub is_default: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioRole {
    Microphone,
    Speaker,
    Ring,
}

/// The text names no source or sink.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSpecError {
    #[error("a device name is missing; `default` takes the system's")]
    Empty,
    #[error("`file:` needs a path, such as file:speech.wav")]
    NoPath,
    #[error("\"{0}\" is no tone: `tone:` needs a frequency from {MIN_TONE_HZ} to {MAX_TONE_HZ} Hz, such as tone:440")]
    Tone(String),
    #[error("a microphone cannot be `null`; use `silence`")]
    NullSource,
    #[error("a speaker cannot be `{0}`; use `null`")]
    NotASink(String),
    /// Playing options on a recording.
    #[error("`{0}` is for microphones; a speaker file is recorded from the first `connected` to the end of the call")]
    SinkOption(&'static str),
}

/// Lowest tone, hertz.
const MIN_TONE_HZ: f32 = 20.0;
/// Highest tone, hertz: half the sample rate would alias.
const MAX_TONE_HZ: f32 = 20_000.0;

const LOOP: &str = ",loop";
const START_AT_LAUNCH: &str = ",start=launch";

/// `default`, `silence`, `tone:HZ`, `file:PATH[,loop][,start=launch]`, or a device id. Options are taken off the end
/// only, so a path may contain commas.
impl FromStr for SourceSpec {
    type Err = ParseSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err(ParseSpecError::Empty),
            "default" => Ok(Self::Default),
            "silence" => Ok(Self::Silence),
            "null" => Err(ParseSpecError::NullSource),
            _ => match text.split_once(':') {
                Some(("tone", hz)) => parse_tone(hz),
                Some(("file", rest)) => parse_source_file(rest),
                _ => Ok(Self::Device(text.to_owned())),
            },
        }
    }
}

/// The form that [`FromStr`] reads.
impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Device(id) => f.write_str(id),
            Self::File { path, looped, at_launch } => {
                let looped = if *looped { LOOP } else { "" };
                let at_launch = if *at_launch { START_AT_LAUNCH } else { "" };
                write!(f, "file:{}{looped}{at_launch}", path.display())
            }
            Self::Tone { hz } => write!(f, "tone:{hz}"),
            Self::Silence => f.write_str("silence"),
        }
    }
}

/// `default`, `null`, `file:PATH`, or a device id.
impl FromStr for SinkSpec {
    type Err = ParseSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err(ParseSpecError::Empty),
            "default" => Ok(Self::Default),
            "null" => Ok(Self::Null),
            "silence" => Err(ParseSpecError::NotASink(text.to_owned())),
            _ => match text.split_once(':') {
                Some(("tone", _)) => Err(ParseSpecError::NotASink(text.to_owned())),
                Some(("file", "")) => Err(ParseSpecError::NoPath),
                Some(("file", path)) if path.ends_with(LOOP) => Err(ParseSpecError::SinkOption(LOOP)),
                Some(("file", path)) if path.ends_with(START_AT_LAUNCH) => {
                    Err(ParseSpecError::SinkOption(START_AT_LAUNCH))
                }
                Some(("file", path)) => Ok(Self::File(PathBuf::from(path))),
                _ => Ok(Self::Device(text.to_owned())),
            },
        }
    }
}

/// The form that [`FromStr`] reads.
impl fmt::Display for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Device(id) => f.write_str(id),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Null => f.write_str("null"),
        }
    }
}

fn parse_tone(text: &str) -> Result<SourceSpec, ParseSpecError> {
    match text.parse::<f32>() {
        Ok(hz) if (MIN_TONE_HZ..=MAX_TONE_HZ).contains(&hz) => Ok(SourceSpec::Tone { hz }),
        _ => Err(ParseSpecError::Tone(text.to_owned())),
    }
}

fn parse_source_file(text: &str) -> Result<SourceSpec, ParseSpecError> {
    let (mut path, mut looped, mut at_launch) = (text, false, false);
    loop {
        if let Some(shorter) = path.strip_suffix(LOOP) {
            (path, looped) = (shorter, true);
        } else if let Some(shorter) = path.strip_suffix(START_AT_LAUNCH) {
            (path, at_launch) = (shorter, true);
        } else if path.is_empty() {
            return Err(ParseSpecError::NoPath);
        } else {
            return Ok(SourceSpec::File { path: PathBuf::from(path), looped, at_launch });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str, looped: bool, at_launch: bool) -> SourceSpec {
        SourceSpec::File { path: path.into(), looped, at_launch }
    }

    #[test]
    fn sources_are_read_as_the_command_line_documents_them() {
        let cases = [
            ("default", SourceSpec::Default),
            ("silence", SourceSpec::Silence),
            ("tone:440", SourceSpec::Tone { hz: 440.0 }),
            ("tone:997.5", SourceSpec::Tone { hz: 997.5 }),
            ("pulseaudio:alsa_input.usb", SourceSpec::Device("pulseaudio:alsa_input.usb".into())),
            ("alsa:plughw:CARD=0,DEV=0", SourceSpec::Device("alsa:plughw:CARD=0,DEV=0".into())),
            ("file:a.wav", file("a.wav", false, false)),
            ("file:a.wav,loop", file("a.wav", true, false)),
            ("file:a.wav,start=launch", file("a.wav", false, true)),
            ("file:a.wav,start=launch,loop", file("a.wav", true, true)),
            ("file:/x,y/a,b.wav,loop,start=launch", file("/x,y/a,b.wav", true, true)),
            ("file:C:\\a.wav", file("C:\\a.wav", false, false)),
        ];
        for (text, spec) in cases {
            assert_eq!(text.parse(), Ok(spec), "{text}");
        }
    }

    #[test]
    fn sinks_are_read_as_the_command_line_documents_them() {
        assert_eq!("default".parse(), Ok(SinkSpec::Default));
        assert_eq!("null".parse(), Ok(SinkSpec::Null));
        assert_eq!("file:out,1.wav".parse(), Ok(SinkSpec::File("out,1.wav".into())));
        assert_eq!("alsa:default".parse(), Ok(SinkSpec::Device("alsa:default".into())));
    }

    #[test]
    fn mistakes_are_named() {
        for text in ["tone:", "tone:abc", "tone:-1", "tone:NaN", "tone:1e9"] {
            assert!(matches!(text.parse::<SourceSpec>(), Err(ParseSpecError::Tone(_))), "{text}");
        }
        for text in ["file:", "file:,loop", "file:,loop,start=launch"] {
            assert_eq!(text.parse::<SourceSpec>(), Err(ParseSpecError::NoPath), "{text}");
        }
        assert_eq!("".parse::<SourceSpec>(), Err(ParseSpecError::Empty));
        assert_eq!("".parse::<SinkSpec>(), Err(ParseSpecError::Empty));
        assert_eq!("null".parse::<SourceSpec>(), Err(ParseSpecError::NullSource));
        assert_eq!("file:".parse::<SinkSpec>(), Err(ParseSpecError::NoPath));
        assert_eq!("file:a.wav,loop".parse::<SinkSpec>(), Err(ParseSpecError::SinkOption(LOOP)));
        assert!(matches!("tone:440".parse::<SinkSpec>(), Err(ParseSpecError::NotASink(_))));
        assert!(matches!("silence".parse::<SinkSpec>(), Err(ParseSpecError::NotASink(_))));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(path in "[a-z,/.= ]{1,20}\\.wav", looped: bool, at_launch: bool) {
            let source = file(&path, looped, at_launch);
            prop_assert_eq!(source.to_string().parse::<SourceSpec>(), Ok(source));
            let sink = SinkSpec::File(path.into());
            prop_assert_eq!(sink.to_string().parse::<SinkSpec>(), Ok(sink));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<SourceSpec>();
            let _ = text.parse::<SinkSpec>();
        }
    }
}
