//! Descriptions of endpoints that are not ours (RFC 8866, RFC 9429): browsers, libraries, gateways.
//!
//! They choose their own mids, payload types and extensions, offer pictures and a dozen codecs, and may be hostile. So
//! the core never sees their text: [`ForeignDescription::read`] takes out of it what one voice needs and judges it,
//! [`ForeignDescription::for_link`] writes that down in the form of our own descriptions, and what leaves for them is
//! written here too. Whatever they offer beside one voice is refused by port 0 (RFC 3264 §6).

use std::fmt::Write as _;

use super::api::{DescriptionError, LocalDescription};
use super::peer::{OPUS_FMTP, OPUS_PAYLOAD_TYPE, RED_PAYLOAD_TYPE};
use super::sdp::{Credentials, attribute, judge_credentials, parse_fingerprint, split_candidates};

/// Longest foreign description that is looked at, bytes. A browser that offers voice and picture with all candidates
/// needs about 12 KiB.
pub const MAX_FOREIGN_SDP_LEN: usize = 64 * 1024;
const MAX_LINES: usize = 2000;
const MAX_SECTIONS: usize = 32;
/// Longest token that is repeated to its maker (a mid, a format).
const MAX_TOKEN: usize = 64;
/// Formats of a refused section that are repeated; one would do.
const MAX_FORMATS: usize = 8;

/// Which of the two descriptions (RFC 3264).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SdpKind {
    Offer,
    Answer,
}

/// Why a foreign description is refused, as a clause for a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignError {
    #[error("it is no session description: it does not begin with v=0")]
    NotSdp,
    #[error("it has no audio")]
    NoAudio,
    /// Port 0, or a direction in which nobody would hear anything.
    #[error("it refuses the audio")]
    AudioRefused,
    #[error("it has audio without encryption; only DTLS-SRTP (UDP/TLS/RTP/SAVPF) is spoken here")]
    NotEncrypted,
    #[error("it has no Opus, which every WebRTC endpoint must speak (RFC 7874)")]
    NoOpus,
    #[error("it wants RTCP on a port of its own; only rtcp-mux is spoken here")]
    NoRtcpMux,
    #[error("it says nothing usable about who begins the encryption (a=setup)")]
    BadSetup,
    #[error("it does not answer this offer")]
    OtherOffer,
    #[error("{0}")]
    Description(#[from] DescriptionError),
}

/// What a foreign endpoint says of itself, as far as one voice needs it.
#[derive(Clone, PartialEq, Eq)]
pub struct ForeignDescription {
    kind: SdpKind,
    fingerprint: [u8; 32],
    credentials: Credentials,
    setup: Setup,
    direction: Direction,
    ice_lite: bool,
    opus: u8,
    red: Option<u8>,
    candidates: Vec<String>,
    /// All sections, in their order: an answer has the same.
    sections: Vec<Section>,
    /// Which of them is the voice.
    audio: usize,
    bundled: bool,
}

/// Who is the DTLS client (RFC 8842 §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setup {
    ActPass,
    Active,
    Passive,
}

/// RFC 3264 §5.1, from the writer's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
}

/// One `m=` line and its mid.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    media: String,
    protocol: String,
    formats: Vec<String>,
    mid: Option<String>,
}

impl ForeignDescription {
    /// Takes out of a foreign text what one voice needs.
    ///
    /// # Errors
    /// What makes a call impossible. What is merely unknown is passed over.
    pub fn read(kind: SdpKind, sdp: &str) -> Result<Self, ForeignError> {
        let parts = Parts::of(sdp)?;
        let audio = parts.audio(kind)?;
        let lines = &parts.sections[audio];
        let header = Header::of(lines.first().copied().unwrap_or_default()).ok_or(ForeignError::NoAudio)?;
        // With keys by DTLS whatever older name it has (RFC 9429 §5.1.2).
        if !["RTP/SAVPF", "RTP/SAVP"].iter().any(|end| header.section.protocol.to_ascii_uppercase().ends_with(end)) {
            return Err(ForeignError::NotEncrypted);
        }
        if !parts.has(audio, "rtcp-mux") && !parts.has(audio, "rtcp-mux-only") {
            return Err(ForeignError::NoRtcpMux);
        }
        let (opus, red) = codecs(lines, &header.section.formats).ok_or(ForeignError::NoOpus)?;
        if kind == SdpKind::Answer && (opus != OPUS_PAYLOAD_TYPE || red.is_some_and(|red| red != RED_PAYLOAD_TYPE)) {
            return Err(ForeignError::OtherOffer);
        }
        let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let sections: Option<Vec<_>> = parts.sections.iter().map(|lines| section_of(lines)).collect();
        let mid = parts.value(audio, "mid");
        Ok(Self {
            kind,
            fingerprint: parts.fingerprint(audio)?,
            credentials: parts.credentials(audio)?,
            setup: parts.setup(audio, kind)?,
            direction: parts.direction(audio)?,
            ice_lite: parts.session.iter().any(|line| line.trim() == "a=ice-lite"),
            opus,
            red,
            candidates: split_candidates(&text).1.into_iter().map(str::to_owned).collect(),
            sections: sections.ok_or(DescriptionError::TooComplex)?,
            audio,
            bundled: parts.bundles(mid),
        })
    }

    /// The same in the form of our own descriptions, for [`Link::accept_offer`](super::Link::accept_offer) or
    /// [`Link::accept_answer`](super::Link::accept_answer).
    pub fn for_link(&self) -> String {
        let setup = match self.setup {
            Setup::ActPass => "actpass",
            Setup::Active => "active",
            Setup::Passive => "passive",
        };
        let lite = if self.ice_lite { "a=ice-lite\r\n" } else { "" };
        let Credentials { ufrag, password } = &self.credentials;
        let mut sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 {}\r\n{lite}a=group:BUNDLE 0\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF {}\r\nc=IN IP4 0.0.0.0\r\na=setup:{setup}\r\na=mid:0\r\na=ice-ufrag:{ufrag}\r\n\
             a=ice-pwd:{password}\r\na=rtcp-mux\r\n",
            hex(&self.fingerprint),
            self.formats(),
        );
        self.write_codecs(&mut sdp);
        // Whether anything is sent that way is decided above the core.
        sdp.push_str("a=sendrecv\r\n");
        for candidate in &self.candidates {
            let _ = write!(sdp, "a=candidate:{candidate}\r\n");
        }
        sdp
    }

    /// Our answer to this offer, complete: `local` is what the link made of [`ForeignDescription::for_link`], and
    /// `candidates` are all that it found.
    pub fn answer(&self, local: &LocalDescription, candidates: &[String]) -> String {
        let own = |name: &str| value_in(&local.sdp, name).unwrap_or_default();
        let origin = local.sdp.lines().find(|line| line.starts_with("o=")).unwrap_or("o=- 1 1 IN IP4 0.0.0.0").trim();
        let mut sdp = format!("v=0\r\n{origin}\r\ns=-\r\nt=0 0\r\n");
        if let Some(mid) = self.sections[self.audio].mid.as_ref().filter(|_| self.bundled) {
            let _ = write!(sdp, "a=group:BUNDLE {mid}\r\n");
        }
        for (index, Section { media, protocol, formats, mid }) in self.sections.iter().enumerate() {
            let mid = mid.as_ref().map(|mid| format!("a=mid:{mid}\r\n")).unwrap_or_default();
            if index != self.audio {
                let formats = formats.join(" ");
                let _ = write!(sdp, "m={media} 0 {protocol} {formats}\r\nc=IN IP4 0.0.0.0\r\n{mid}a=inactive\r\n");
                continue;
            }
            let setup = if self.setup == Setup::Active { "passive" } else { "active" };
            let direction = match self.direction {
                Direction::SendRecv => "sendrecv",
                Direction::SendOnly => "recvonly",
                Direction::RecvOnly => "sendonly",
            };
            let _ = write!(
                sdp,
                "m=audio 9 {protocol} {}\r\nc=IN IP4 0.0.0.0\r\n{mid}a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n\
                 a=fingerprint:sha-256 {}\r\na=setup:{setup}\r\na=rtcp-mux\r\na={direction}\r\n",
                self.formats(),
                local.ufrag,
                own("ice-pwd"),
                hex(&local.fingerprint),
            );
            self.write_codecs(&mut sdp);
            if let Some(ssrc) = value_in(&local.sdp, "ssrc").and_then(|value| value.split(' ').next()) {
                let _ = write!(sdp, "a=msid:voice voice\r\na=ssrc:{ssrc} cname:voice\r\n");
            }
            write_candidates(&mut sdp, candidates);
        }
        sdp
    }

    /// Whether they listen at all.
    pub fn listens(&self) -> bool {
        self.direction != Direction::SendOnly
    }

    fn formats(&self) -> String {
        let red = self.red.map(|red| format!(" {red}")).unwrap_or_default();
        format!("{}{red}", self.opus)
    }

    fn write_codecs(&self, sdp: &mut String) {
        let opus = self.opus;
        let _ = write!(sdp, "a=rtpmap:{opus} opus/48000/2\r\na=fmtp:{opus} {OPUS_FMTP}\r\n");
        if let Some(red) = self.red {
            let _ = write!(sdp, "a=rtpmap:{red} red/48000/2\r\na=fmtp:{red} {opus}/{opus}\r\n");
        }
    }
}

/// Our offer, complete: `candidates` are all that the link found.
pub fn foreign_offer(local: &LocalDescription, candidates: &[String]) -> String {
    // One section, whose lines come last.
    let mut sdp = split_candidates(&local.sdp).0;
    write_candidates(&mut sdp, candidates);
    sdp
}

/// The candidates in a description of our own.
pub fn candidates_of(sdp: &str) -> Vec<String> {
    split_candidates(sdp).1.into_iter().map(str::to_owned).collect()
}

fn write_candidates(sdp: &mut String, candidates: &[String]) {
    for candidate in candidates {
        let _ = write!(sdp, "a=candidate:{candidate}\r\n");
    }
    sdp.push_str("a=end-of-candidates\r\n");
}

/// The lines of a description, by section.
struct Parts<'a> {
    session: Vec<&'a str>,
    /// The `m=` line comes first in each.
    sections: Vec<Vec<&'a str>>,
}

impl<'a> Parts<'a> {
    fn of(sdp: &'a str) -> Result<Self, ForeignError> {
        if sdp.len() > MAX_FOREIGN_SDP_LEN {
            return Err(DescriptionError::TooLong.into());
        }
        let lines: Vec<_> = sdp.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.first() != Some(&"v=0") {
            return Err(ForeignError::NotSdp);
        }
        let mut parts = Self { session: Vec::new(), sections: Vec::new() };
        if lines.len() > MAX_LINES {
            return Err(DescriptionError::TooComplex.into());
        }
        for line in lines {
            if line.starts_with("m=") {
                parts.sections.push(vec![line]);
            } else {
                parts.sections.last_mut().unwrap_or(&mut parts.session).push(line);
            }
        }
        if parts.sections.len() > MAX_SECTIONS {
            return Err(DescriptionError::TooComplex.into());
        }
        Ok(parts)
    }

    /// The first section with audio that is not refused. Our own offer has one section, so its answer has one too.
    fn audio(&self, kind: SdpKind) -> Result<usize, ForeignError> {
        if kind == SdpKind::Answer && self.sections.len() != 1 {
            return Err(ForeignError::OtherOffer);
        }
        let is_audio = |lines: &&Vec<&str>| lines.first().is_some_and(|line| line.starts_with("m=audio "));
        let audio = self.sections.iter().position(|lines| is_audio(&lines)).ok_or(ForeignError::NoAudio)?;
        let is_open = |index: &usize| {
            let port = self.sections[*index].first().and_then(|line| Header::of(line)).map(|header| header.port);
            port.is_some_and(|port| port != 0) || self.has(*index, "bundle-only")
        };
        let open = (audio..self.sections.len()).filter(|index| is_audio(&&self.sections[*index])).find(is_open);
        open.ok_or(ForeignError::AudioRefused)
    }

    /// A property attribute of the section.
    fn has(&self, section: usize, name: &str) -> bool {
        self.sections[section].iter().any(|line| line.strip_prefix("a=") == Some(name))
    }

    /// Values of an attribute: the section's own, or else those of the whole session.
    fn values(&self, section: usize, name: &str) -> Vec<&'a str> {
        let of = |lines: &[&'a str]| -> Vec<&'a str> {
            lines.iter().filter_map(|line| attribute(line)).filter(|(key, _)| *key == name).map(|(_, v)| v).collect()
        };
        let own = of(&self.sections[section]);
        if own.is_empty() { of(&self.session) } else { own }
    }

    fn value(&self, section: usize, name: &str) -> Option<&'a str> {
        self.values(section, name).first().copied()
    }

    /// The only one of its kind; repetitions of the same are tolerated.
    fn only(
        &self,
        section: usize,
        name: &str,
        missing: DescriptionError,
        ambiguous: DescriptionError,
    ) -> Result<&'a str, ForeignError> {
        let values = self.values(section, name);
        let first = *values.first().ok_or(missing)?;
        if values.iter().any(|value| *value != first) {
            return Err(ambiguous.into());
        }
        Ok(first)
    }

    /// SHA-256 of the certificate. Some also give other digests of the same one (RFC 8122 §5), which we need not.
    fn fingerprint(&self, section: usize) -> Result<[u8; 32], ForeignError> {
        let values = self.values(section, "fingerprint");
        let is_sha256 =
            |value: &&&str| value.split(' ').next().is_some_and(|digest| digest.eq_ignore_ascii_case("sha-256"));
        let mut found = None;
        for value in values.iter().filter(is_sha256) {
            let fingerprint = parse_fingerprint(value).ok_or(DescriptionError::BadFingerprint)?;
            if found.is_some_and(|other| other != fingerprint) {
                return Err(DescriptionError::AmbiguousFingerprint.into());
            }
            found = Some(fingerprint);
        }
        let missing =
            if values.is_empty() { DescriptionError::NoFingerprint } else { DescriptionError::BadFingerprint };
        Ok(found.ok_or(missing)?)
    }

    fn credentials(&self, section: usize) -> Result<Credentials, ForeignError> {
        let only =
            |name| self.only(section, name, DescriptionError::NoCredentials, DescriptionError::AmbiguousCredentials);
        Ok(judge_credentials(only("ice-ufrag")?, only("ice-pwd")?)?)
    }

    fn setup(&self, section: usize, kind: SdpKind) -> Result<Setup, ForeignError> {
        match (self.value(section, "setup"), kind) {
            (Some("actpass") | None, SdpKind::Offer) => Ok(Setup::ActPass),
            (Some("active"), _) => Ok(Setup::Active),
            (Some("passive"), _) => Ok(Setup::Passive),
            (Some(_), SdpKind::Offer) | (_, SdpKind::Answer) => Err(ForeignError::BadSetup),
        }
    }

    fn direction(&self, section: usize) -> Result<Direction, ForeignError> {
        let of = |lines: &[&str]| lines.iter().find_map(|line| direction_of(line));
        match of(&self.sections[section]).or_else(|| of(&self.session)) {
            Some(Some(direction)) => Ok(direction),
            Some(None) => Err(ForeignError::AudioRefused),
            None => Ok(Direction::SendRecv),
        }
    }

    /// Whether a section of this mid may share its transport with others (RFC 9143).
    fn bundles(&self, mid: Option<&str>) -> bool {
        let groups = self.session.iter().filter_map(|line| line.strip_prefix("a=group:BUNDLE "));
        mid.is_some_and(|mid| groups.flat_map(|group| group.split(' ')).any(|member| member == mid))
    }
}

/// `Some(None)` is `inactive`.
fn direction_of(line: &str) -> Option<Option<Direction>> {
    match line {
        "a=sendrecv" => Some(Some(Direction::SendRecv)),
        "a=sendonly" => Some(Some(Direction::SendOnly)),
        "a=recvonly" => Some(Some(Direction::RecvOnly)),
        "a=inactive" => Some(None),
        _ => None,
    }
}

/// An `m=` line (RFC 8866 §5.14).
struct Header {
    port: u16,
    section: Section,
}

impl Header {
    fn of(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("m=")?.split_ascii_whitespace();
        let (media, port, protocol) = (token(words.next()?)?, words.next()?, token(words.next()?)?);
        let port = port.split('/').next()?.parse().ok()?;
        let formats: Vec<String> = words.map(token).collect::<Option<_>>()?;
        (!formats.is_empty()).then_some(Self { port, section: Section { media, protocol, formats, mid: None } })
    }
}

fn section_of(lines: &[&str]) -> Option<Section> {
    let Header { mut section, .. } = Header::of(lines.first()?)?;
    section.formats.truncate(MAX_FORMATS);
    let mid = lines.iter().filter_map(|line| attribute(line)).find(|(key, _)| *key == "mid").map(|(_, mid)| mid);
    section.mid = match mid {
        Some(mid) => Some(token(mid)?),
        None => None,
    };
    Some(section)
}

/// A word that may be repeated to its maker.
fn token(word: &str) -> Option<String> {
    let fits = !word.is_empty() && word.len() <= MAX_TOKEN && word.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| word.to_owned())
}

/// Payload types of Opus, and of RED that holds nothing but Opus.
fn codecs(lines: &[&str], formats: &[String]) -> Option<(u8, Option<u8>)> {
    let values = |name: &'static str| {
        let attributes = lines.iter().filter_map(|line| attribute(line)).filter(move |(key, _)| *key == name);
        attributes.filter_map(|(_, value)| value.split_once(' ')).filter_map(|(number, rest)| {
            let number: u8 = number.parse().ok().filter(|number| *number < 128)?;
            formats.contains(&number.to_string()).then_some((number, rest.trim()))
        })
    };
    let numbers_of = |codec: &'static str| {
        values("rtpmap").filter(move |(_, name)| name.eq_ignore_ascii_case(codec)).map(|(number, _)| number)
    };
    let opus = numbers_of("opus/48000/2").next()?;
    let holds_opus_alone = |red: &u8| {
        let blocks = values("fmtp").find(|(number, _)| number == red).map(|(_, blocks)| blocks);
        blocks.is_some_and(|blocks| blocks.split('/').all(|block| block.trim() == opus.to_string()))
    };
    let red = numbers_of("red/48000/2").filter(|red| *red != opus).find(holds_opus_alone);
    Some((opus, red))
}

/// The first value of an attribute of our own text.
fn value_in<'a>(sdp: &'a str, name: &str) -> Option<&'a str> {
    sdp.lines().filter_map(attribute).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn hex(fingerprint: &[u8; 32]) -> String {
    fingerprint.map(|byte| format!("{byte:02X}")).join(":")
}

#[cfg(test)]
mod tests;
