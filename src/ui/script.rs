//! Text of all scripts. The fonts that the program brings know Latin, Greek and Cyrillic; for a letter that they lack
//! one of the system's fonts is added when it is first shown. And the painter puts letters one after the other from left
//! to right and knows one shape for each, so that Arabic and Hebrew are put in visual order (Unicode Annex #9) and Arabic
//! letters joined before they are painted. What assistive programs read stays as it was written.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};

use eframe::egui::{Context, FontData, Id};
use eframe::epaint::text::{FontInsert, FontPriority, InsertFontFamily};
use skrifa::{FontRef, MetadataProvider};
use unicode_bidi::BidiInfo;

use super::theme::{Type, text_families};

/// Letters that are looked for; further ones stay boxes.
const MOST_SOUGHT: usize = 1000;
/// Letters that wait to be looked for; one that finds no room is asked for again when it is next painted.
const QUEUE: usize = 64;

/// One line of text as it is to be painted.
pub fn shown<'a>(ctx: &Context, text: &'a str) -> Cow<'a, str> {
    if text.chars().all(|c| c < '\u{250}') {
        return Cow::Borrowed(text);
    }
    let visual = visual(text);
    cover(ctx, &visual);
    visual
}

/// Sees to it that a text can be painted, if not at once.
pub fn cover(ctx: &Context, text: &str) {
    let font = Type::Body.font();
    let unknown =
        |c: &char| *c >= '\u{250}' && !c.is_whitespace() && !ctx.fonts_mut(|fonts| fonts.has_glyph(&font, *c));
    let unknown: Vec<char> = text.chars().filter(unknown).collect();
    if unknown.is_empty() {
        return;
    }
    let finder = ctx.data_mut(|data| data.get_temp_mut_or_insert_with(Id::new("font finder"), Finder::default).clone());
    for letter in unknown {
        finder.seek(ctx, letter);
    }
}

/// Finds fonts on a thread of its own, which is started when the first letter is missing.
#[derive(Clone, Default)]
struct Finder(Arc<std::sync::Mutex<Sought>>);

#[derive(Default)]
struct Sought {
    letters: BTreeSet<char>,
    queue: Option<SyncSender<char>>,
}

impl Finder {
    fn seek(&self, ctx: &Context, letter: char) {
        let Ok(mut sought) = self.0.lock() else { return };
        if sought.letters.contains(&letter) || sought.letters.len() >= MOST_SOUGHT {
            return;
        }
        let queue = sought.queue.get_or_insert_with(|| start(ctx.clone()));
        if queue.try_send(letter).is_ok() {
            sought.letters.insert(letter);
        }
    }
}

fn start(ctx: Context) -> SyncSender<char> {
    let (queue, letters) = mpsc::sync_channel(QUEUE);
    let find = move || {
        let mut system = fontdb::Database::new();
        system.load_system_fonts();
        let mut added = BTreeSet::new();
        while let Ok(letter) = letters.recv() {
            if let Some((name, data)) = font_with(&system, letter).filter(|(name, _)| added.insert(name.clone())) {
                let lowest = |family| InsertFontFamily { family, priority: FontPriority::Lowest };
                let families = text_families().into_iter().map(lowest).collect();
                ctx.add_font(FontInsert { name, data, families });
                ctx.request_repaint();
            }
        }
    };
    // Without the thread such letters stay boxes.
    let _ = std::thread::Builder::new().name("fonts".into()).spawn(find);
    queue
}

/// The plainest of the system's fonts that has a letter.
fn font_with(system: &fontdb::Database, letter: char) -> Option<(String, FontData)> {
    let has = |face: &&fontdb::FaceInfo| {
        let knows = |bytes: &[u8], index| {
            FontRef::from_index(bytes, index).is_ok_and(|font| font.charmap().map(letter).is_some())
        };
        system.with_face_data(face.id, knows) == Some(true)
    };
    let plainness = |face: &&fontdb::FaceInfo| {
        let odd = face.style != fontdb::Style::Normal || face.monospaced;
        (odd, face.weight.0.abs_diff(fontdb::Weight::NORMAL.0), face.post_script_name.len())
    };
    let mut faces: Vec<&fontdb::FaceInfo> = system.faces().collect();
    faces.sort_by_key(plainness);
    let face = faces.into_iter().find(has)?;
    let mut data = FontData::from_owned(system.with_face_data(face.id, |bytes, _| bytes.to_vec())?);
    data.index = face.index;
    Some((face.post_script_name.clone(), data))
}

fn visual(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_right_to_left) {
        return Cow::Borrowed(text);
    }
    let joined = ar_reshaper::reshape_line(text);
    let bidi = BidiInfo::new(&joined, None);
    let lines = bidi.paragraphs.iter().map(|paragraph| bidi.reorder_line(paragraph, paragraph.range.clone()));
    Cow::Owned(lines.collect())
}

/// Hebrew, Arabic and their neighbours, and the presentation forms of both.
fn is_right_to_left(c: char) -> bool {
    matches!(c,
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}' | '\u{10800}'..='\u{10fff}'
        | '\u{1e800}'..='\u{1efff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hebrew_is_painted_from_its_end() {
        assert_eq!(visual("שלום"), "םולש");
        assert_eq!(visual("Dana דנה 7"), "Dana 7 הנד");
    }

    #[test]
    fn arabic_letters_are_joined_and_turned() {
        // Lam and alef in the middle of "salam" are one sign; meem after it stands alone.
        assert_eq!(visual("سلام"), "\u{fee1}\u{fefc}\u{feb3}");
    }

    #[test]
    fn other_text_is_left_alone() {
        for text in ["Alice", "李小龍", "สมชาย", "अमित", "🎈"] {
            assert!(matches!(visual(text), Cow::Borrowed(same) if same == text));
        }
    }
}
