//! The `twocans:` link.

use std::fmt;
use std::str::FromStr;

use super::{UnusableKey, check_person, clean_name};
use crate::base::Person;

/// Longest text that is read as a link, bytes. Every link within the other limits prints shorter than this.
pub const MAX_LINK_BYTES: usize = 8192;
/// Most hints in a link.
pub const MAX_HINTS: usize = 8;
/// Longest hint, bytes.
pub const MAX_HINT_BYTES: usize = 256;

const SCHEME: &str = "twocans";
/// 256 bits in letters of 5 bits.
const KEY_CHARS: usize = 52;

/// An address to hand out: `twocans:` + z-base-32 of the person's public key, optionally with hints.
///
/// ```text
/// twocans:h6b…ry?name=Ada%20Lovelace&via=/ip4/192.0.2.1/udp/443/quic-v1/p2p/12D3…
/// ```
///
/// Printing and reading back gives the same link, provided that its name is clean (see
/// [`clean_name`]) and its hints are within the limits. Links are read without regard to case, white
/// space around them, or the `//` that some programs insert; parameters of later versions are skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub person: Person,
    /// Suggested display name.
    pub name: Option<String>,
    /// Multiaddresses (with `/p2p/ID`) of nodes through which a newcomer can get in.
    pub hints: Vec<String>,
}

/// Why a text is not a link. Positions count characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseLinkError {
    /// Something else was pasted.
    #[error("this is not a twocans link: a link starts with \"twocans:\"")]
    NotALink,
    /// Far longer than any link; something else was pasted behind it.
    #[error("this is too long for a link ({bytes} bytes, at most {MAX_LINK_BYTES})")]
    TooLong { bytes: usize },
    /// A typing error: look at this character.
    #[error(
        "the link has a typing error at character {position}: {found:?} never occurs there \
         (the key has no l, v, 0 or 2, and no punctuation)"
    )]
    BadCharacter { found: char, position: usize },
    /// A character is missing, or one too many: compare with the original.
    #[error("the key in the link has {found} characters instead of {KEY_CHARS}: something is missing or added")]
    WrongLength { found: usize },
    /// All characters are possible, but together they are no key: two were swapped, or one mistyped.
    #[error("the link has a typing error: its key is nobody's; copy it again rather than retyping it")]
    NotAKey(#[from] UnusableKey),
    /// The part behind `?` is damaged; the part before it still works alone.
    #[error("the link is damaged at character {position}; the part before the \"?\" is enough")]
    BadEscape { position: usize },
    /// More hints than anybody needs; the part before `?` works alone.
    #[error("the link has more than {MAX_HINTS} hints; the part before the \"?\" is enough")]
    TooManyHints,
    /// A hint is no multiaddress; the part before `?` works alone.
    #[error("hint {number} of the link is no network address; the part before the \"?\" is enough")]
    BadHint { number: usize },
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}:{}", self.person)?;
        let name = self.name.iter().map(|name| ("name", name));
        let hints = self.hints.iter().map(|hint| ("via", hint));
        for (at, (key, value)) in name.chain(hints).enumerate() {
            let separator = if at == 0 { '?' } else { '&' };
            write!(f, "{separator}{key}={}", escape(value))?;
        }
        Ok(())
    }
}

impl FromStr for Link {
    type Err = ParseLinkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (scheme, rest) = text.split_once(':').ok_or(ParseLinkError::NotALink)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(ParseLinkError::NotALink);
        }
        if text.len() > MAX_LINK_BYTES {
            return Err(ParseLinkError::TooLong { bytes: text.len() });
        }
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (key, query) = rest.split_once('?').unwrap_or((rest, ""));
        // Everything in front of the key is ASCII, so bytes are characters there.
        let person = parse_key(key.strip_suffix('/').unwrap_or(key), text.len() - rest.len())?;
        let mut link = Link { person, name: None, hints: Vec::new() };
        let mut position = text.chars().count() - query.chars().count();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = |parameters_before| unescape(value).map_err(|at| parameters_before + key.len() + 1 + at);
            let value = value(position).map_err(|at| ParseLinkError::BadEscape { position: at + 1 });
            match key {
                "name" if link.name.is_none() => link.name = clean_name(&value?),
                "via" => link.hints.push(checked_hint(value?, link.hints.len())?),
                _ => {}
            }
            position += parameter.chars().count() + 1;
        }
        Ok(link)
    }
}

/// `before` characters stand in front of the key.
fn parse_key(key: &str, before: usize) -> Result<Person, ParseLinkError> {
    let typo = |c: &char| !c.is_ascii_alphanumeric() || "lv02LV".contains(*c);
    if let Some((at, found)) = key.chars().enumerate().find(|(_, c)| typo(c)) {
        return Err(ParseLinkError::BadCharacter { found, position: before + at + 1 });
    }
    if key.len() != KEY_CHARS {
        return Err(ParseLinkError::WrongLength { found: key.len() });
    }
    // The last letter carries one bit of the key; anything else in it is a typing error too.
    let person: Person = key.parse().map_err(|_| UnusableKey)?;
    check_person(person)?;
    Ok(person)
}

fn checked_hint(hint: String, hints_before: usize) -> Result<String, ParseLinkError> {
    let fine =
        hint.len() <= MAX_HINT_BYTES && hint.starts_with('/') && hint.bytes().all(|byte| byte.is_ascii_graphic());
    if !fine {
        return Err(ParseLinkError::BadHint { number: hints_before + 1 });
    }
    if hints_before == MAX_HINTS {
        return Err(ParseLinkError::TooManyHints);
    }
    Ok(hint)
}

/// Percent-encoding (RFC 3986 §2.1) of all that may not stand in a query value, and of its own `&`, `=` and `+`.
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:@,".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// The error is where, in characters from 0, the value goes wrong.
fn unescape(value: &str) -> Result<String, usize> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let position = || value.chars().count() - rest[at..].chars().count();
        let digits = rest.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or_else(position)?;
        bytes.push(byte);
        rest = &rest[at + 3..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::PersonKey;
    use super::super::testing::{Vectors, hex};
    use super::*;

    fn bare(seed: u8) -> Link {
        Link { person: PersonKey::from_seed(&[seed; 32]).person(), name: None, hints: Vec::new() }
    }

    #[test]
    fn the_format_has_not_drifted() {
        for vector in Vectors::read(include_str!("../../tests/vectors/link.json")) {
            let link: Link = vector.text("link").parse().unwrap();
            vector.expect("link", &link.to_string());
            vector.expect("person", &hex(link.person.as_bytes()));
            vector.expect("name", link.name.as_deref().unwrap_or(""));
            vector.expect("hints", &link.hints.join(" "));
        }
    }

    #[test]
    fn a_typing_error_is_pointed_at() {
        let good = bare(1).to_string();
        let parse = |text: &str| text.parse::<Link>().unwrap_err();
        assert_eq!(parse(""), ParseLinkError::NotALink);
        assert_eq!(parse(&good[8..]), ParseLinkError::NotALink);
        assert_eq!(parse("twocan:abc"), ParseLinkError::NotALink);
        assert_eq!(parse("https://example.org/"), ParseLinkError::NotALink);
        assert_eq!(parse(&good[..59]), ParseLinkError::WrongLength { found: 51 });
        assert_eq!(parse(&format!("{good}y")), ParseLinkError::WrongLength { found: 53 });
        assert_eq!(parse("twocans:"), ParseLinkError::WrongLength { found: 0 });
        for found in ['0', 'l', 'V', '-', 'é', ' '] {
            let typo: String = good.chars().enumerate().map(|(at, c)| if at == 20 { found } else { c }).collect();
            assert_eq!(parse(&typo), ParseLinkError::BadCharacter { found, position: 21 });
        }
        assert_eq!(parse(&format!("{good}?name=%zz")), ParseLinkError::BadEscape { position: 67 });
        assert_eq!(parse(&format!("{good}?x=é&name=a%4")), ParseLinkError::BadEscape { position: 72 });
        assert_eq!(parse(&format!("{good}?via=/ip4/1.2.3.4&via=tcp")), ParseLinkError::BadHint { number: 2 });
        assert_eq!(parse(&format!("{good}?{}", "via=/ip4&".repeat(9))), ParseLinkError::TooManyHints);
        assert_eq!(parse(&format!("{good}?x={}", "y".repeat(9000))), ParseLinkError::TooLong { bytes: 9063 });
    }

    #[test]
    fn one_wrong_letter_is_nearly_always_noticed() {
        let good = bare(1).to_string();
        let mut unnoticed = 0;
        for at in 8..60 {
            let typo: String = good.chars().enumerate().map(|(i, c)| if i == at { other(c) } else { c }).collect();
            match typo.parse::<Link>() {
                Ok(link) => {
                    assert_ne!(link.person, bare(1).person);
                    unnoticed += 1;
                }
                Err(error) => assert_eq!(error, ParseLinkError::NotAKey(UnusableKey)),
            }
        }
        assert!(unnoticed <= 8, "{unnoticed} of 52");
    }

    fn other(c: char) -> char {
        if c == 'y' { 'b' } else { 'y' }
    }

    #[test]
    fn links_survive_what_programs_do_to_them() {
        let link = Link { name: Some("Ada & Bob, 100 %".into()), ..bare(2) };
        let text = link.to_string();
        for mangled in [
            format!("  {text}\r\n"),
            text.replace("twocans:", "TwoCans:"),
            text.replace("twocans:", "twocans://"),
            text.replace("twocans:", "twocans://").replace('?', "/?"),
            format!("{text}&later=1&&name=Mallory"),
        ] {
            assert_eq!(mangled.parse().as_ref(), Ok(&link), "{mangled}");
        }
        assert_eq!(format!("{}?name=%20", bare(2)).parse(), Ok(bare(2)));
    }

    fn any_link() -> impl Strategy<Value = Link> {
        let hint = "/[!-~]{0,255}";
        (any::<u8>(), any::<Option<String>>(), proptest::collection::vec(hint, 0..=MAX_HINTS))
            .prop_map(|(seed, name, hints)| Link { name: name.as_deref().and_then(clean_name), hints, ..bare(seed) })
    }

    proptest! {
        #[test]
        fn printing_and_reading_gives_the_same_link(link in any_link()) {
            let text = link.to_string();
            prop_assert!(text.len() <= MAX_LINK_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(text.parse(), Ok(link));
        }

        #[test]
        fn no_text_panics(text: String, tail: String) {
            let _ = text.parse::<Link>();
            if let Ok(link) = format!("{}?{tail}", bare(3)).parse::<Link>() {
                prop_assert_eq!(link.to_string().parse(), Ok(link));
            }
        }

        #[test]
        fn no_nearly_valid_text_panics(tail in "[y?=&%/a-f0-9é]{0,80}") {
            let _ = format!("twocans:{tail}").parse::<Link>();
            let _ = format!("{}{tail}", bare(3)).parse::<Link>();
            let _ = format!("{}?name={tail}", bare(3)).parse::<Link>();
        }
    }
}
