//! `config.toml` of a profile: the same options as on the command line, one section per group.

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::exit::usage;
use super::settings::{
    AnswerSettings, AudioSettings, CallSettings, DemoSettings, DoctorSettings, GroupSettings, NetworkSettings,
    SdpSettings,
};
use crate::engine::Failure;

/// Its name inside the profile.
pub const FILE_NAME: &str = "config.toml";

/// The whole file; a section or key that is absent says nothing, and one that is unknown is an error.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConfigFile {
    pub json: Option<bool>,
    pub log: Option<String>,
    pub network: NetworkSettings,
    pub audio: AudioSettings,
    pub call: CallSettings,
    pub group: GroupSettings,
    pub answer: AnswerSettings,
    pub sdp: SdpSettings,
    pub doctor: DoctorSettings,
    pub demo: DemoSettings,
}

impl ConfigFile {
    /// Reads the profile's file. No file is an empty file.
    ///
    /// # Errors
    /// A usage failure that names file, line and key.
    pub fn read(home: &Path) -> Result<Self, Failure> {
        let path = home.join(FILE_NAME);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map_err(|why| usage(format!("{}, {why}", path.display()))),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(why) => Err(usage(format!("{}: {why}", path.display()))),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| place(text, &error))
    }
}

/// A value written as text, a number or a boolean, read as on the command line.
pub fn text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: Display,
{
    scalar(toml::Value::deserialize(deserializer)?).map(Some).map_err(D::Error::custom)
}

/// A list of such values, or a single one.
pub fn texts<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: Display,
{
    let values = match toml::Value::deserialize(deserializer)? {
        toml::Value::Array(values) => values,
        single => vec![single],
    };
    values.into_iter().map(|value| scalar(value).map_err(D::Error::custom)).collect()
}

fn scalar<T: FromStr>(value: toml::Value) -> Result<T, String>
where
    T::Err: Display,
{
    let text = match value {
        toml::Value::String(text) => text,
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(value) => value.to_string(),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
            return Err("expected text, a number or a boolean".into());
        }
    };
    text.parse().map_err(|why: T::Err| why.to_string())
}

/// "line N, key `section.key`: reason", from where the parser stopped.
fn place(text: &str, error: &toml::de::Error) -> String {
    let reason = error.message().lines().next().unwrap_or_default();
    let Some(span) = error.span() else { return reason.to_owned() };
    let before = text.get(..span.start).unwrap_or(text);
    let number = before.matches('\n').count();
    let line = text.lines().nth(number).unwrap_or_default();
    let section = text
        .lines()
        .take(number)
        .filter_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'))
        .last()
        .filter(|_| !line.trim_start().starts_with('['));
    match line.split_once('=').map(|(key, _)| key.trim()).filter(|key| !key.is_empty()) {
        Some(key) => {
            let prefix = section.map(|section| format!("{section}.")).unwrap_or_default();
            format!("line {}, key {prefix}{key}: {reason}", number + 1)
        }
        None => format!("line {}: {reason}", number + 1),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::settings::Over;
    use crate::cli::values::{Bitrate, Seconds};

    const FULL: &str = r#"
json = true
log = "twocans=debug"

[network]
listen = ["/ip4/127.0.0.1/udp/0/quic-v1"]
bootstrap = "/ip4/192.0.2.1/tcp/1/p2p/X"
no-mdns = true
no-mainline = true
mainline-bootstrap = ["dht.example.org:6881"]
stun = ["192.0.2.1:3478"]
public-stun = "stun.example.org:3478"
no-public-stun = true
turn = ["turn:a:b@192.0.2.1:3478"]
relay-only = false
no-port-mapping = true
super-peer = "always"
presence-refresh = 600
volunteer-after = 5
media-port = "40000-40100"
isolated = true
treat-as-public = ["192.0.2.0/24"]

[audio]
mic = "file:/tmp/a.wav,loop"
speaker = "null"
ring-device = "null"
device-frames = 256
frame-ms = 20
bitrate = "24k"
no-aec = true
ns = "strong"
no-agc = false
transmit = "voice"
red = "off"
fec = "auto"
dred = 100
name = "Alice"

[call]
seconds = 2.5
ring-timeout = 20

[answer]
auto = true
from = "contacts"
answer-after = 1
decline = false
no-answer = false
once = true
seconds = 30

[sdp]
seconds = 30
ring-timeout = 60

[doctor]
mapping-lifetime = 120

[demo]
out = "/tmp/demo"
"#;

    #[test]
    fn every_option_has_a_key() {
        let file = ConfigFile::parse(FULL).unwrap();
        assert_eq!(file.network.bootstrap, ["/ip4/192.0.2.1/tcp/1/p2p/X"]);
        assert_eq!(file.audio.bitrate, Some(Bitrate(24_000)));
        assert_eq!(file.call.seconds, Some(Seconds(Duration::from_millis(2500))));

        let known: toml::Table = FULL.parse().unwrap();
        let sections = ["network", "audio", "call", "answer", "sdp", "doctor", "demo"];
        let keys: Vec<_> = sections.iter().flat_map(|section| known[*section].as_table().unwrap().keys()).collect();
        for option in crate::cli::args::option_names() {
            let global = ["home", "json", "log", "help", "version"].contains(&option.as_str());
            assert!(global || keys.iter().any(|key| **key == option), "--{option} has no key");
        }
    }

    #[test]
    fn the_command_line_wins() {
        let file = ConfigFile::parse(FULL).unwrap();
        let typed = CallSettings { seconds: Some(Seconds(Duration::from_secs(9))), ring_timeout: None };
        let both = typed.over(file.call);
        assert_eq!(both.seconds, Some(Seconds(Duration::from_secs(9))));
        assert_eq!(both.ring_timeout, Some(Seconds(Duration::from_secs(20))));
    }

    #[test]
    fn mistakes_are_named_by_line_and_key() {
        for (text, expected) in [
            ("[audio]\nbitrate = 5", "line 2, key audio.bitrate: a bitrate is 6000"),
            ("log = 'x'\n[network]\n\nmedia-port = '9-8'\n", "line 4, key network.media-port: a port range is"),
            ("[network]\nstun = ['a:1', 'b']", "line 2, key network.stun: an address is HOST:PORT"),
            ("[network]\nspeed = 3", "line 2, key network.speed: unknown field `speed`"),
            ("[network]\nno-mdns = 'maybe'", "line 2, key network.no-mdns: invalid type"),
            ("[nonsense]\n", "line 1: unknown field `nonsense`"),
            ("json = maybe\n", "line 1, key json: "),
        ] {
            let error = ConfigFile::parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
