//! Values of options, written the same way on the command line and in `config.toml`.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::engine::{FrameLength, NoiseSuppression, Redundancy, SuperPeerMode, Toggle, TransmitMode, TurnServer};

/// A length of time, in seconds with an optional fraction; at most a year.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seconds(pub Duration);

impl Seconds {
    const YEAR: f64 = 366.0 * 86_400.0;
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse::<f64>() {
            Ok(seconds) if (0.0..=Self::YEAR).contains(&seconds) => Ok(Self(Duration::from_secs_f64(seconds))),
            Ok(_) | Err(_) => Err("seconds are a number such as 20 or 2.5".into()),
        }
    }
}

/// People in a group call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupLimit(pub usize);

impl FromStr for GroupLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse() {
            Ok(people) if (2..=15).contains(&people) => Ok(Self(people)),
            Ok(_) | Err(_) => Err("a group call has 2 to 15 people".into()),
        }
    }
}

/// `MIN-MAX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRange(pub RangeInclusive<u16>);

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('-').and_then(|(min, max)| Some((min.parse().ok()?, max.parse().ok()?)));
        match parsed {
            Some((min, max)) if 1 <= min && min <= max => Ok(Self(min..=max)),
            _ => Err("a port range is MIN-MAX, such as 40000-40100".into()),
        }
    }
}

/// `HOST:PORT`, where HOST is a name, an IPv4 address or `[an IPv6 address]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort(String);

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').unwrap_or_default();
        let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        if host.is_empty() || bare_v6 || !port.parse::<u16>().is_ok_and(|port| port != 0) {
            return Err("an address is HOST:PORT, such as stun.example.org:3478 or [2001:db8::1]:3478".into());
        }
        Ok(Self(text.to_owned()))
    }
}

impl HostPort {
    /// The first address of the host. With `isolated`, names are refused, since asking for one leaves the machine.
    pub fn resolve(&self, isolated: bool) -> Result<SocketAddr, String> {
        if let Ok(address) = self.0.parse() {
            return Ok(address);
        }
        if isolated {
            return Err(format!("{self} is a name, and --isolated asks no name server; give an address"));
        }
        match self.0.to_socket_addrs() {
            Ok(mut found) => found.next().ok_or_else(|| format!("{self} has no address")),
            Err(why) => Err(format!("cannot find the address of {self}: {why}")),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `turn:USER:PASS@HOST:PORT`, or `@FILE` with one such line per server, which keeps passwords out of process lists.
#[derive(Clone, PartialEq, Eq)]
pub enum Turn {
    Server { username: String, password: String, at: HostPort },
    File(PathBuf),
}

impl FromStr for Turn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix('@') {
            return Ok(Self::File(path.into()));
        }
        let parts = text.strip_prefix("turn:").and_then(|rest| rest.rsplit_once('@'));
        let Some(((username, password), at)) = parts.and_then(|(who, at)| Some((who.split_once(':')?, at))) else {
            return Err("a TURN server is turn:USER:PASS@HOST:PORT, or @FILE with one such line per server".into());
        };
        Ok(Self::Server { username: username.to_owned(), password: password.to_owned(), at: at.parse()? })
    }
}

/// Without the password.
impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { at, .. } => write!(f, "turn:…@{at}"),
            Self::File(path) => write!(f, "@{}", path.display()),
        }
    }
}

impl Turn {
    /// The servers meant, with files read and names resolved.
    pub fn resolve(&self, isolated: bool) -> Result<Vec<TurnServer>, String> {
        match self {
            Self::Server { username, password, at } => {
                let address = at.resolve(isolated)?;
                Ok(vec![TurnServer { address, tcp: None, username: username.clone(), password: password.clone() }])
            }
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
                let mut servers = Vec::new();
                for (index, line) in text.lines().enumerate() {
                    let line = line.trim();
                    if line.is_empty() || line.starts_with('#') {
                        continue;
                    }
                    let place = |why: String| format!("{}, line {}: {why}", path.display(), index + 1);
                    match line.parse().map_err(place)? {
                        Self::File(_) => return Err(place("a file cannot name another file".into())),
                        server @ Self::Server { .. } => servers.extend(server.resolve(isolated).map_err(place)?),
                    }
                }
                Ok(servers)
            }
        }
    }
}

/// `auto|always|never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuperPeer(pub SuperPeerMode);

impl FromStr for SuperPeer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self(SuperPeerMode::Auto)),
            "always" => Ok(Self(SuperPeerMode::Always)),
            "never" => Ok(Self(SuperPeerMode::Never)),
            _ => Err("expected auto, always or never".into()),
        }
    }
}

/// `auto|5|10|20|40|60`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameMs(pub FrameLength);

impl FromStr for FrameMs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self(FrameLength::Auto)),
            "5" | "10" | "20" | "40" | "60" => Ok(Self(FrameLength::Ms(text.parse().unwrap_or(20)))),
            _ => Err("expected auto, 5, 10, 20, 40 or 60 (ms)".into()),
        }
    }
}

/// `auto|off|N`: copies of earlier frames in each packet, at most 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Red(pub Redundancy);

impl FromStr for Red {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse::<u8>()) {
            ("auto", _) => Ok(Self(Redundancy::Auto)),
            ("off", _) | (_, Ok(0)) => Ok(Self(Redundancy::Off)),
            (_, Ok(copies @ 1..=8)) => Ok(Self(Redundancy::Copies(copies))),
            _ => Err("expected auto, off, or a number of copies from 1 to 8".into()),
        }
    }
}

/// `auto|off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutoOff(pub Toggle);

impl FromStr for AutoOff {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self(Toggle::Auto)),
            "off" => Ok(Self(Toggle::Off)),
            _ => Err("expected auto or off".into()),
        }
    }
}

/// `auto|off` or milliseconds (libopus keeps at most a second).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dred(pub u32);

impl FromStr for Dred {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            // Copies win wherever they were measured: see the table in voice/resilience.rs.
            "auto" | "off" => Ok(Self(0)),
            _ => match text.parse() {
                Ok(ms @ 10..=1000) => Ok(Self(ms)),
                Ok(_) | Err(_) => Err("expected auto, off or 10 to 1000 ms".into()),
            },
        }
    }
}

/// `off|standard|strong`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ns(pub NoiseSuppression);

impl FromStr for Ns {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(NoiseSuppression::Off)),
            "standard" => Ok(Self(NoiseSuppression::Standard)),
            "strong" => Ok(Self(NoiseSuppression::Strong)),
            _ => Err("expected off, standard or strong".into()),
        }
    }
}

/// `always|voice|key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransmitWhen(pub TransmitMode);

impl FromStr for TransmitWhen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "always" => Ok(Self(TransmitMode::Always)),
            "voice" => Ok(Self(TransmitMode::OnVoice)),
            "key" => Ok(Self(TransmitMode::OnKey)),
            _ => Err("expected always, voice or key".into()),
        }
    }
}

/// Opus bitrate in bit/s (RFC 6716 §2.1.1); `32k` is 32000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bitrate(pub u32);

impl FromStr for Bitrate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, unit) = text.strip_suffix('k').map_or((text, 1), |digits| (digits, 1000));
        match digits.parse::<u32>().ok().and_then(|number| number.checked_mul(unit)) {
            Some(bps @ 6_000..=510_000) => Ok(Self(bps)),
            _ => Err("a bitrate is 6000 to 510000 bit/s, such as 32000 or 32k".into()),
        }
    }
}

/// Between two renewals of the presence record: it is believed for an hour, and one renewal may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceRefresh(pub Duration);

impl FromStr for PresenceRefresh {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(seconds @ 60..=1500) => Ok(Self(Duration::from_secs(seconds))),
            _ => Err("the presence record is renewed every 60 to 1500 seconds".into()),
        }
    }
}

/// Seconds for which strangers must have got through before a node serves them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolunteerAfter(pub Duration);

impl FromStr for VolunteerAfter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(seconds @ 1..=3600) => Ok(Self(Duration::from_secs(seconds))),
            _ => Err("others are served after 1 to 3600 seconds".into()),
        }
    }
}

/// Frames per device callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceFrames(pub u32);

impl FromStr for DeviceFrames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(frames @ 32..=16_384) => Ok(Self(frames)),
            _ => Err("device frames are a number from 32 to 16384".into()),
        }
    }
}

/// `contacts|anyone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    Contacts,
    Anyone,
}

impl FromStr for Callers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "contacts" => Ok(Self::Contacts),
            "anyone" => Ok(Self::Anyone),
            _ => Err("expected contacts or anyone".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: FromStr + fmt::Debug>(texts: &[&str]) {
        for text in texts {
            assert!(text.parse::<T>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn numbers_have_limits() {
        assert_eq!("2.5".parse(), Ok(Seconds(Duration::from_millis(2500))));
        assert_eq!("0".parse(), Ok(Seconds(Duration::ZERO)));
        refused::<Seconds>(&["", "-1", "inf", "NaN", "1e99", "5s"]);
        assert_eq!("32k".parse(), Ok(Bitrate(32_000)));
        refused::<Bitrate>(&["", "k", "5999", "510001", "99999999k", "-1"]);
        refused::<DeviceFrames>(&["0", "31", "16385", "x"]);
        refused::<PresenceRefresh>(&["59", "1501", "2.5", "-60", ""]);
        assert_eq!("600".parse(), Ok(VolunteerAfter(Duration::from_secs(600))));
        refused::<VolunteerAfter>(&["0", "3601", "1.5", "-1", ""]);
        refused::<FrameMs>(&["", "15", "20 ms"]);
        assert_eq!("40".parse(), Ok(FrameMs(FrameLength::Ms(40))));
        assert_eq!("0".parse(), Ok(Red(Redundancy::Off)));
        assert_eq!("2".parse(), Ok(Red(Redundancy::Copies(2))));
        refused::<Red>(&["", "9", "-1", "on"]);
        assert_eq!("strong".parse(), Ok(Ns(NoiseSuppression::Strong)));
        refused::<Ns>(&["", "on", "auto", "Strong"]);
    }

    #[test]
    fn port_ranges_run_upwards() {
        assert_eq!("40000-40100".parse(), Ok(PortRange(40_000..=40_100)));
        refused::<PortRange>(&["", "40000", "0-5", "9-8", "1-65536", "a-b"]);
    }

    #[test]
    fn addresses_are_host_and_port() {
        let address: HostPort = "127.0.0.1:3478".parse().unwrap();
        assert_eq!(address.resolve(true), Ok("127.0.0.1:3478".parse().unwrap()));
        let name: HostPort = "stun.invalid:3478".parse().unwrap();
        assert!(name.resolve(true).unwrap_err().contains("--isolated"));
        "[2001:db8::1]:3478".parse::<HostPort>().unwrap();
        refused::<HostPort>(&["", "host", ":1", "host:", "host:0", "2001:db8::1:3478"]);
    }

    #[test]
    fn turn_servers_come_from_the_command_line_or_a_file() {
        let server: Turn = "turn:me:p@ss:w@127.0.0.1:3478".parse().unwrap();
        let servers = server.resolve(true).unwrap();
        assert_eq!((servers[0].username.as_str(), servers[0].password.as_str()), ("me", "p@ss:w"));
        assert!(!format!("{server:?}").contains("p@ss"));
        refused::<Turn>(&["", "turn:", "turn:me@host:1", "me:pw@host:1", "turn:me:pw@host"]);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turn");
        std::fs::write(&path, "# ours\n\nturn:a:b@127.0.0.1:1\nnonsense\n").unwrap();
        let file: Turn = format!("@{}", path.display()).parse().unwrap();
        assert!(file.resolve(true).unwrap_err().contains("line 4"));
        std::fs::write(&path, "turn:a:b@127.0.0.1:1\nturn:c:d@127.0.0.1:2\n").unwrap();
        assert_eq!(file.resolve(true).unwrap().len(), 2);
    }
}
