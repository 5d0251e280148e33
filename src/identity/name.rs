//! Display names, as strangers send them.

/// Longest display name, in characters.
pub const MAX_NAME_CHARS: usize = 64;

/// What is left of a display name after everything that could disturb a line of text is gone: control characters,
/// invisible and direction-changing characters, repeated and outer white space, anything beyond [`MAX_NAME_CHARS`].
/// `None` when nothing is left. Cleaning twice changes nothing.
pub fn clean_name(raw: &str) -> Option<String> {
    let visible: String = raw.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(is_visible).collect();
    let spaced = visible.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let short: String = spaced.chars().take(MAX_NAME_CHARS).collect();
    let name = short.trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

/// False for control characters and for the format characters of Unicode that hide or reorder text.
fn is_visible(c: &char) -> bool {
    let hides = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !hides
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_made_harmless() {
        assert_eq!(clean_name("  Ada \t\n Lovelace "), Some("Ada Lovelace".into()));
        assert_eq!(clean_name("\u{202e}evil\u{7}\u{1b}[31m"), Some("evil[31m".into()));
        assert_eq!(clean_name(" \u{200b}\r\n"), None);
        assert_eq!(clean_name(&"é".repeat(1000)).map(|name| name.chars().count()), Some(MAX_NAME_CHARS));
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(raw: String) {
            let once = clean_name(&raw);
            prop_assert_eq!(once.as_deref().and_then(clean_name), once);
        }
    }
}
