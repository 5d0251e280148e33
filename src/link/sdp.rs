//! Reading descriptions (RFC 8866, RFC 8839, RFC 8122) strictly.
//!
//! What is signed must be what is used. SDP allows several fingerprints and credentials, at session and at media level,
//! and implementations differ in which they take; so a description in which there is any choice is refused.

use super::api::DescriptionError;

/// Longest description that is looked at, bytes.
pub const MAX_SDP_LEN: usize = 16 * 1024;
/// Most lines in a description; ours has about 70.
const MAX_LINES: usize = 256;
/// Most `m=` sections; ours has three: our voice, what we pass on, and the data channel.
const MAX_SECTIONS: usize = 4;
/// Bounds of RFC 8839 §5.4, in characters.
const UFRAG_LEN: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD_LEN: std::ops::RangeInclusive<usize> = 22..=256;

/// ICE credentials of one side (RFC 8445 §5.3).
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub ufrag: String,
    pub password: String,
}

/// SHA-256 of the certificate that the maker of `sdp` will use in DTLS.
pub fn fingerprint_of(sdp: &str) -> Result<[u8; 32], DescriptionError> {
    check_size(sdp)?;
    let value = only_value(sdp, "fingerprint", DescriptionError::AmbiguousFingerprint)?
        .ok_or(DescriptionError::NoFingerprint)?;
    parse_fingerprint(value).ok_or(DescriptionError::BadFingerprint)
}

/// ICE username fragment that the maker of `sdp` will use.
pub fn ufrag_of(sdp: &str) -> Result<String, DescriptionError> {
    credentials_of(sdp).map(|credentials| credentials.ufrag)
}

pub(super) fn credentials_of(sdp: &str) -> Result<Credentials, DescriptionError> {
    check_size(sdp)?;
    let only = |name| only_value(sdp, name, DescriptionError::AmbiguousCredentials);
    let (Some(ufrag), Some(password)) = (only("ice-ufrag")?, only("ice-pwd")?) else {
        return Err(DescriptionError::NoCredentials);
    };
    judge_credentials(ufrag, password)
}

/// Credentials within the bounds of RFC 8839 §5.4.
pub(super) fn judge_credentials(ufrag: &str, password: &str) -> Result<Credentials, DescriptionError> {
    let ice_chars = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
    let fits = UFRAG_LEN.contains(&ufrag.len()) && PASSWORD_LEN.contains(&password.len());
    if !fits || !ice_chars(ufrag) || !ice_chars(password) {
        return Err(DescriptionError::BadCredentials);
    }
    Ok(Credentials { ufrag: ufrag.to_owned(), password: password.to_owned() })
}

/// The description without its candidates, and the candidates' values: they are judged one by one before the core
/// sees them.
pub(super) fn split_candidates(sdp: &str) -> (String, Vec<&str>) {
    let mut rest = String::with_capacity(sdp.len());
    let mut candidates = Vec::new();
    for line in sdp.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
        match attribute(line).filter(|(key, _)| key.eq_ignore_ascii_case("candidate")) {
            Some((_, candidate)) => candidates.push(candidate),
            None => {
                rest.push_str(line);
                rest.push_str("\r\n");
            }
        }
    }
    // A bundled description repeats its candidates in every section.
    candidates.sort_unstable();
    candidates.dedup();
    (rest, candidates)
}

fn check_size(sdp: &str) -> Result<(), DescriptionError> {
    if sdp.len() > MAX_SDP_LEN {
        return Err(DescriptionError::TooLong);
    }
    let sections = sdp.lines().filter(|line| line.starts_with("m=")).count();
    if sdp.lines().count() > MAX_LINES || sections > MAX_SECTIONS {
        return Err(DescriptionError::TooComplex);
    }
    Ok(())
}

/// The value of attribute `name`, however often it is repeated; `ambiguous` when the repetitions differ.
fn only_value<'a>(sdp: &'a str, name: &str, ambiguous: DescriptionError) -> Result<Option<&'a str>, DescriptionError> {
    let mut found = None;
    for line in sdp.split(['\r', '\n']) {
        let Some((key, value)) = attribute(line) else { continue };
        if !key.eq_ignore_ascii_case(name) {
            continue;
        }
        if found.is_some_and(|earlier: &str| earlier != value) {
            return Err(ambiguous);
        }
        found = Some(value);
    }
    Ok(found)
}

/// Name and value of an `a=name:value` line. Spaces are tolerated wherever the laxest parser would tolerate them: a second
/// value must not hide behind a spelling that only some parsers know.
pub(super) fn attribute(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let (kind, name) = key.split_once('=')?;
    kind.trim().eq_ignore_ascii_case("a").then_some((name.trim(), value.trim()))
}

/// `sha-256 AB:CD:…` (RFC 8122 §5).
pub(super) fn parse_fingerprint(value: &str) -> Option<[u8; 32]> {
    let (hash, hex) = value.split_once(' ')?;
    if !hash.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let mut octets = hex.trim().split(':').map(|octet| {
        let digits = octet.len() == 2 && octet.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| u8::from_str_radix(octet, 16).ok()).flatten()
    });
    let mut fingerprint = [0; 32];
    for byte in &mut fingerprint {
        *byte = octets.next()??;
    }
    octets.next().is_none().then_some(fingerprint)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "00:01:02:03:04:05:06:07:08:09:0A:0b:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F";
    const PASSWORD: &str = "abcdefghijklmnopqrstuv";

    fn sdp(lines: &[&str]) -> String {
        lines.join("\r\n")
    }

    #[test]
    fn the_one_fingerprint_is_read() {
        let line = format!("a=fingerprint:sha-256 {HEX}");
        let expected: [u8; 32] = std::array::from_fn(|i| i as u8);
        assert_eq!(fingerprint_of(&sdp(&["v=0", &line])), Ok(expected));
        assert_eq!(fingerprint_of(&sdp(&[&line, "m=audio 9 X 1", &line])), Ok(expected));
    }

    #[test]
    fn a_second_fingerprint_cannot_hide() {
        let first = format!("a=fingerprint:sha-256 {HEX}");
        let other = HEX.replace("1F", "2F");
        for second in [
            format!("a=fingerprint:sha-256 {other}"),
            format!(" A=Fingerprint: sha-256 {other}"),
            format!("a = fingerprint :sha-256 {other}"),
            format!("a=fingerprint:sha-1 {HEX}"),
        ] {
            for separator in ["\r\n", "\n", "\r"] {
                let text = format!("v=0{separator}{first}{separator}m=audio 9 X 1{separator}{second}");
                assert_eq!(fingerprint_of(&text), Err(DescriptionError::AmbiguousFingerprint), "{text:?}");
            }
        }
    }

    #[test]
    fn bad_fingerprints_are_refused() {
        assert_eq!(fingerprint_of("v=0"), Err(DescriptionError::NoFingerprint));
        for value in ["sha-1 00", "sha-256", "sha-256 00:01", &format!("sha-256 {HEX}:20"), "sha-256 +1:"] {
            let text = format!("a=fingerprint:{value}");
            assert_eq!(fingerprint_of(&text), Err(DescriptionError::BadFingerprint), "{text}");
        }
    }

    #[test]
    fn credentials_are_read_and_bounded() {
        let text = sdp(&["a=ice-ufrag:abcd", &format!("a=ice-pwd:{PASSWORD}")]);
        assert_eq!(ufrag_of(&text).as_deref(), Ok("abcd"));
        let with = |ufrag: &str| ufrag_of(&sdp(&[ufrag, &format!("a=ice-pwd:{PASSWORD}")]));
        assert_eq!(with("a=ice-ufrag:abc"), Err(DescriptionError::BadCredentials));
        assert_eq!(with("a=ice-ufrag:ab:cd"), Err(DescriptionError::BadCredentials));
        assert_eq!(with("a=ice-ufrag:abcd\na=ice-ufrag:efgh"), Err(DescriptionError::AmbiguousCredentials));
        assert_eq!(with("v=0"), Err(DescriptionError::NoCredentials));
    }

    #[test]
    fn oversized_descriptions_are_refused() {
        assert_eq!(fingerprint_of(&"a".repeat(MAX_SDP_LEN + 1)), Err(DescriptionError::TooLong));
        assert_eq!(fingerprint_of(&"a=b\n".repeat(MAX_LINES + 1)), Err(DescriptionError::TooComplex));
        assert_eq!(fingerprint_of(&"m=b\n".repeat(MAX_SECTIONS + 1)), Err(DescriptionError::TooComplex));
    }

    #[test]
    fn candidates_are_taken_out_once() {
        let (rest, candidates) = split_candidates("v=0\r\na=candidate:1 x\rm=a\n a=Candidate: 1 x\r\na=candidate:2 y");
        assert_eq!(rest, "v=0\r\nm=a\r\n");
        assert_eq!(candidates, ["1 x", "2 y"]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,300}") {
            let _ = fingerprint_of(&text);
            let _ = ufrag_of(&text);
            split_candidates(&text);
            let _ = fingerprint_of(&format!("a=fingerprint:sha-256 {text}"));
        }
    }
}
