//! The fields of a backup: its file and its passphrase.

use std::fmt;
use std::path::PathBuf;

use directories::UserDirs;
use eframe::egui::{Margin, TextEdit, Ui};

use crate::ui::theme::{Type, palette, space};
use crate::ui::view::Clock;
use crate::ui::widgets::{label, named};
use crate::ui::words;

/// Shorter ones are too easy to guess.
const SHORTEST: usize = 8;

/// What is typed in.
#[derive(Default, Clone, PartialEq)]
pub struct BackupForm {
    pub path: String,
    pub passphrase: String,
    /// Once more, so that a slip does not lock it for ever.
    pub again: String,
}

impl fmt::Debug for BackupForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupForm").field("path", &self.path).finish_non_exhaustive()
    }
}

impl BackupForm {
    /// For a new backup, among the user's documents.
    pub fn new() -> Self {
        let dirs = UserDirs::new();
        let folder = dirs.as_ref().map(|dirs| dirs.document_dir().unwrap_or(dirs.home_dir()));
        let name = format!("twocans-{}.age", Clock::now().today());
        let path = folder.map_or_else(|| PathBuf::from(&name), |folder| folder.join(&name));
        Self { path: path.display().to_string(), ..Self::default() }
    }

    pub fn file(&self) -> PathBuf {
        PathBuf::from(self.path.trim())
    }

    /// What is missing before a backup can be made; `None`: nothing.
    fn lack(&self) -> Option<words::Word> {
        match () {
            () if self.path.trim().is_empty() => Some(words::NAME_A_FILE),
            () if self.passphrase.chars().count() < SHORTEST => Some(words::PASSPHRASE_SHORT),
            () if self.passphrase != self.again => Some(words::PASSPHRASES_DIFFER),
            () => None,
        }
    }
}

/// The fields for making a backup; true when all is said.
pub fn to_make(ui: &mut Ui, form: &mut BackupForm) -> bool {
    field(ui, words::FILE, &mut form.path, false);
    field(ui, words::PASSPHRASE, &mut form.passphrase, true);
    field(ui, words::PASSPHRASE_AGAIN, &mut form.again, true);
    let lack = form.lack();
    let begun = !form.passphrase.is_empty();
    label(ui, lack.filter(|_| begun).map_or("", words::Word::text), Type::Small, palette(ui.ctx()).text2);
    lack.is_none()
}

/// The fields for opening one; true when all is said.
pub fn to_open(ui: &mut Ui, form: &mut BackupForm) -> bool {
    // A file that is dropped onto the window is meant.
    let dropped = ui.input(|input| input.raw.dropped_files.iter().find_map(|file| file.path.clone()));
    if let Some(file) = dropped {
        form.path = file.display().to_string();
    }
    field(ui, words::FILE, &mut form.path, false);
    label(ui, words::DROP_FILE, Type::Small, palette(ui.ctx()).text3);
    field(ui, words::PASSPHRASE, &mut form.passphrase, true);
    !form.path.trim().is_empty() && form.passphrase.chars().count() >= SHORTEST
}

fn field(ui: &mut Ui, name: words::Word, text: &mut String, secret: bool) {
    ui.add_space(space::XS);
    label(ui, name, Type::Small, palette(ui.ctx()).text2);
    let edit = TextEdit::singleline(text).password(secret).margin(Margin::symmetric(12, 9));
    named(ui.add(edit.desired_width(f32::INFINITY)), name);
}
