//! The languages of the client: one Fluent file each in `assets/lang/`, all with the same messages.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

use super::{WORDS, Word};

/// A language that the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    German,
    Spanish,
}

impl Language {
    pub const ALL: [Self; 3] = [Self::English, Self::German, Self::Spanish];

    /// BCP 47, as the profile keeps it.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Spanish => "es",
        }
    }

    /// What it calls itself.
    pub const fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
            Self::Spanish => "Español",
        }
    }

    /// The language of a tag or locale, such as "de", "es-MX" or "de_AT.UTF-8"; `None` for one that we do not speak.
    pub fn of(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_', '.', '@']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// The desktop's, or English where we do not speak that.
    pub fn of_desktop() -> Self {
        sys_locale::get_locales().find_map(|locale| Self::of(&locale)).unwrap_or(Self::English)
    }

    const fn source(self) -> &'static str {
        match self {
            Self::English => include_str!("../../../assets/lang/en.ftl"),
            Self::German => include_str!("../../../assets/lang/de.ftl"),
            Self::Spanish => include_str!("../../../assets/lang/es.ftl"),
        }
    }

    fn catalogue(self) -> &'static Catalogue {
        static READ: [OnceLock<Catalogue>; Language::ALL.len()] = [const { OnceLock::new() }; Language::ALL.len()];
        READ[self as usize].get_or_init(|| Catalogue::read(self))
    }
}

thread_local! {
    static SPOKEN: Cell<Language> = const { Cell::new(Language::English) };
}

/// The preference that names the language, by its tag.
pub const CHOSEN_LANGUAGE: &str = "ui.language";

/// What was chosen, or else what the desktop speaks.
pub fn speak_as_chosen(preferences: &BTreeMap<String, String>) {
    let chosen = preferences.get(CHOSEN_LANGUAGE).and_then(|tag| Language::of(tag));
    speak(chosen.unwrap_or_else(Language::of_desktop));
}

/// What this thread speaks from now on: the window's, or the one of the services around it.
pub fn speak(language: Language) {
    SPOKEN.set(language);
}

pub fn spoken() -> Language {
    SPOKEN.get()
}

/// A message without variables. One that a language lacks is said in English.
pub fn text(word: Word) -> &'static str {
    let of = |language: Language| language.catalogue().plain.get(word.0).map(String::as_str);
    of(spoken()).or_else(|| of(Language::English)).unwrap_or(word.0)
}

/// A message with its variables filled in.
pub fn say(key: &'static str, variables: &[(&'static str, FluentValue<'_>)]) -> String {
    let args: FluentArgs<'_> = variables.iter().cloned().collect();
    let of = |language: Language| language.catalogue().say(key, &args);
    of(spoken()).or_else(|| of(Language::English)).unwrap_or_else(|| key.to_owned())
}

/// What a word is called in the files.
fn key(word: &str) -> String {
    word.to_lowercase().replace('_', "-")
}

struct Catalogue {
    bundle: FluentBundle<FluentResource>,
    /// Messages without variables, which are most and are asked for in every frame.
    plain: BTreeMap<&'static str, String>,
}

impl Catalogue {
    fn read(language: Language) -> Self {
        // What of a file cannot be read is left out; a test reads them all.
        let (Ok(resource) | Err((resource, _))) = FluentResource::try_new(language.source().to_owned());
        let tag: LanguageIdentifier = language.tag().parse().unwrap_or_default();
        let mut bundle = FluentBundle::new_concurrent(vec![tag]);
        // The marks that isolate a variable's direction have no glyph; names are put in order where they are painted.
        bundle.set_use_isolating(false);
        bundle.add_resource_overriding(resource);
        let mut catalogue = Self { bundle, plain: BTreeMap::new() };
        let none = FluentArgs::new();
        let plain = |word: &Word| Some((word.0, catalogue.say(&key(word.0), &none)?));
        catalogue.plain = WORDS.iter().filter_map(plain).collect();
        catalogue
    }

    /// `None` where the message is missing, or a variable of it.
    fn say(&self, key: &str, args: &FluentArgs<'_>) -> Option<String> {
        let pattern = self.bundle.get_message(key)?.value()?;
        let mut errors = Vec::new();
        let text = self.bundle.format_pattern(pattern, Some(args), &mut errors);
        errors.is_empty().then(|| text.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fluent_syntax::ast::Entry;
    use fluent_syntax::parser::parse;

    use super::*;

    /// The messages of a file and the names of their variables.
    fn messages(language: Language) -> Vec<(String, BTreeSet<String>)> {
        let resource = parse(language.source()).expect("the file can be read");
        let message = |entry| match entry {
            Entry::Message(message) => Some(message),
            Entry::Comment(_) | Entry::GroupComment(_) | Entry::ResourceComment(_) => None,
            Entry::Term(_) | Entry::Junk { .. } => panic!("{language:?} has what is no message"),
        };
        let messages = resource.body.into_iter().filter_map(message);
        messages
            .map(|message| {
                // The tree's own text names each variable; walking it would say no more.
                let tree = format!("{:?}", message.value);
                let names = tree.split("VariableReference { id: Identifier { name: \"").skip(1);
                let names = names.filter_map(|rest| rest.split('"').next().map(str::to_owned)).collect();
                (message.id.name.to_owned(), names)
            })
            .collect()
    }

    #[test]
    fn all_languages_say_the_same() {
        let english: BTreeMap<_, _> = messages(Language::English).into_iter().collect();
        assert!(english.len() > 90 && english["cause-silence"].contains("seconds"));
        for language in Language::ALL {
            let messages = messages(language);
            let other: BTreeMap<_, _> = messages.iter().cloned().collect();
            assert_eq!(other.len(), messages.len(), "{language:?} says something twice");
            let lost: Vec<_> = english.keys().filter(|key| !other.contains_key(*key)).collect();
            let odd: Vec<_> = other.iter().filter(|(key, names)| english.get(*key) != Some(names)).collect();
            assert!(lost.is_empty() && odd.is_empty(), "{language:?}: missing {lost:?}, different {odd:?}");
        }
    }

    #[test]
    fn a_locale_names_a_language() {
        assert_eq!(Language::of("de_AT.UTF-8"), Some(Language::German));
        assert_eq!(Language::of("ES-mx"), Some(Language::Spanish));
        assert_eq!((Language::of("C"), Language::of("")), (None, None));
    }
}
