//! Everything that can be chosen, and how it is laid out: groups of rows with a name at the left.

mod desktop;
mod network;
mod privacy;
mod profile;
mod sound;

pub use sound::{microphone_and_speaker, try_sound};

use eframe::egui::{Color32, ComboBox, Frame, Label, Margin, RichText, ScrollArea, Theme, Ui, WidgetInfo, WidgetType};

use super::conversation::notice;
use crate::engine::Snapshot;
use crate::ui::app::App;
use crate::ui::theme::{Type, palette, space};
use crate::ui::widgets::{card, label};
use crate::ui::words::{self, Language, Word};

/// Longer lines read badly.
const WIDTH: f32 = 620.0;
const LABELS: f32 = 150.0;
/// Inside text fields.
const FIELD: Margin = Margin::symmetric(10, 7);

/// What is typed into the fields, until it is saved.
#[derive(Debug, Default)]
pub struct Drafts {
    /// `None` until somebody types.
    name: Option<String>,
    nodes: Option<String>,
}

pub fn settings(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let palette = palette(ui.ctx());
    notice(app, ui);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        Frame::new().inner_margin(Margin::symmetric(24, 18)).show(ui, |ui| {
            ui.set_max_width(WIDTH);
            label(ui, words::SETTINGS, Type::Title, palette.text);
            ui.add_space(space::S);
            group(ui, words::SOUND, Some(words::SOUND_BODY), |ui| sound::sound(app, ui, now));
            group(ui, words::DESKTOP, None, |ui| desktop::desktop(app, ui, now));
            group(ui, words::APPEARANCE, None, |ui| appearance(app, ui));
            group(ui, words::NETWORK, Some(words::NETWORK_SETTINGS_BODY), |ui| network::network(app, ui, now));
            group(ui, words::PRIVACY, None, |ui| privacy::privacy(app, ui, now));
            group(ui, words::PROFILE, Some(words::PROFILE_BODY), |ui| profile::profile(app, ui, now));
        });
    });
}

fn appearance(app: &mut App, ui: &mut Ui) {
    row(ui, words::THEME, |ui| {
        let themes = [(words::DARK, Theme::Dark), (words::LIGHT, Theme::Light)];
        if let Some(theme) = one_of(ui, ui.ctx().theme(), themes) {
            app.wear(ui.ctx(), theme);
        }
    });
    let languages = Language::ALL.map(|language| (language.own_name().to_owned(), language));
    if let Some(language) = pick(ui, words::LANGUAGE, &words::spoken(), &languages) {
        app.speak(language);
    }
}

fn group(ui: &mut Ui, title: Word, body: Option<Word>, content: impl FnOnce(&mut Ui)) {
    let palette = palette(ui.ctx());
    card(ui).show(ui, |ui| {
        ui.set_width(ui.available_width());
        label(ui, title, Type::Heading, palette.text);
        if let Some(body) = body {
            hint(ui, body);
        }
        ui.add_space(space::XS);
        content(ui);
    });
    ui.add_space(space::S);
}

/// A sentence in small type that says what something does.
fn hint(ui: &mut Ui, text: impl Into<String>) {
    small(ui, text, palette(ui.ctx()).text2);
}

/// The same for what does not work.
fn warning(ui: &mut Ui, text: impl Into<String>) {
    small(ui, text, palette(ui.ctx()).warn);
}

fn small(ui: &mut Ui, text: impl Into<String>, ink: Color32) {
    ui.add(Label::new(RichText::new(text).font(Type::Small.font()).color(ink)).wrap());
}

/// `name` at the left, in line with all other names; an empty one leaves its room.
fn row<R>(ui: &mut Ui, name: impl AsRef<str>, content: impl FnOnce(&mut Ui) -> R) -> R {
    let palette = palette(ui.ctx());
    let row = ui.horizontal(|ui| {
        ui.set_min_height(34.0);
        let start = ui.cursor().left();
        if !name.as_ref().is_empty() {
            label(ui, name.as_ref(), Type::Body, palette.text2);
        }
        ui.add_space((LABELS - (ui.cursor().left() - start)).max(0.0));
        content(ui)
    });
    row.inner
}

/// A sentence that holds or does not, below the other choices; what it was set to.
fn switch(ui: &mut Ui, on: bool, text: Word) -> Option<bool> {
    let mut now = on;
    row(ui, "", |ui| ui.checkbox(&mut now, text.text())).changed().then_some(now)
}

/// Names side by side, the present one marked; the one that was clicked.
fn one_of<T: Copy + PartialEq, const N: usize>(ui: &mut Ui, present: T, choices: [(Word, T); N]) -> Option<T> {
    let mut clicked = None;
    for (name, choice) in choices {
        if ui.selectable_label(present == choice, name.text()).clicked() {
            clicked = Some(choice);
        }
    }
    clicked
}

/// What was picked from a list instead of `current`.
fn pick<T: Clone + PartialEq>(ui: &mut Ui, name: Word, current: &T, choices: &[(String, T)]) -> Option<T> {
    let mut picked = None;
    row(ui, name, |ui| {
        let shown = choices.iter().find(|(_, choice)| choice == current).map_or("", |(shown, _)| shown);
        let combo = ComboBox::from_id_salt(name.text()).width((ui.available_width() - space::L).min(380.0)).truncate();
        let list = combo.selected_text(shown).show_ui(ui, |ui| {
            for (shown, choice) in choices {
                if ui.selectable_label(choice == current, shown).clicked() && choice != current {
                    picked = Some(choice.clone());
                }
            }
        });
        list.response.widget_info(|| WidgetInfo::labeled(WidgetType::ComboBox, true, name.text()));
    });
    picked
}
