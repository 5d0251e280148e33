//! The first steps of a new profile: a name, a microphone that works, the link to give away. Each can be skipped.

use eframe::egui::{Align, Frame, Label, Layout, Margin, RichText, ScrollArea, TextEdit, Ui, vec2};
use lucide_icons::Icon;

use super::backup::BackupForm;
use super::conversation::notice;
use super::settings::{microphone_and_speaker, try_sound};
use super::you::link_card;
use crate::engine::{CommandKind, Snapshot, SoundTrial};
use crate::ui::app::{App, Sheet};
use crate::ui::theme::{Type, palette, space};
use crate::ui::widgets::{Kind, button, card, label, named};
use crate::ui::words::{self, Word};

/// Of the card.
const WIDTH: f32 = 540.0;

/// Where the user is on the way.
#[derive(Debug, Default)]
pub struct Welcome {
    step: Step,
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Step {
    #[default]
    Name,
    Sound,
    Link,
}

impl Step {
    const ALL: [Self; 3] = [Self::Name, Self::Sound, Self::Link];

    /// About that of its card, to put it in the middle.
    const fn height(self) -> f32 {
        match self {
            Self::Name | Self::Sound => 480.0,
            Self::Link => 710.0,
        }
    }

    const fn title(self) -> (Word, Word) {
        match self {
            Self::Name => (words::WELCOME, words::WELCOME_BODY),
            Self::Sound => (words::WELCOME_SOUND, words::WELCOME_SOUND_BODY),
            Self::Link => (words::YOUR_LINK, words::WELCOME_LINK_BODY),
        }
    }
}

pub fn welcome(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let Some(mut state) = app.welcome.take() else { return };
    let palette = palette(ui.ctx());
    let mut next = Some(state.step);
    notice(app, ui);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.add_space(((ui.available_height() - state.step.height()) / 2.0).max(space::S));
        ui.with_layout(Layout::top_down(Align::Center), |ui| {
            card(ui).inner_margin(Margin::same(28)).show(ui, |ui| {
                ui.set_width((ui.available_width() - 2.0 * space::L).min(WIDTH));
                ui.with_layout(Layout::top_down(Align::Min), |ui| {
                    let (title, body) = state.step.title();
                    label(ui, title, Type::Display, palette.text);
                    ui.add(Label::new(RichText::new(body).font(Type::Body.font()).color(palette.text2)).wrap());
                    ui.add_space(space::L);
                    match state.step {
                        Step::Name => name(app, ui, now, &mut state),
                        Step::Sound => sound(app, ui, now),
                        Step::Link => link(app, ui, now),
                    }
                    ui.add_space(space::L);
                    next = steps(app, ui, &state);
                });
            });
        });
    });
    match next {
        Some(step) => {
            state.step = step;
            app.welcome = Some(state);
        }
        None => app.end_welcome(),
    }
}

fn name(app: &mut App, ui: &mut Ui, now: &Snapshot, state: &mut Welcome) {
    let known = now.link.as_ref().and_then(|link| link.name.clone()).unwrap_or_default();
    let text = state.name.get_or_insert(known);
    label(ui, words::YOUR_NAME, Type::Small, palette(ui.ctx()).text2);
    let edit = TextEdit::singleline(text).hint_text(words::YOUR_NAME_HINT.text()).margin(Margin::symmetric(12, 9));
    let edit = named(ui.add(edit.desired_width(f32::INFINITY)), words::YOUR_NAME);
    // The only thing to type into.
    if app.sheet.is_none() && ui.memory(|memory| memory.focused().is_none()) && !edit.lost_focus() {
        edit.request_focus();
    }
    ui.add_space(space::M);
    if button(ui, Some(Icon::RotateCcw), words::RESTORE_OFFER, Kind::Ghost).clicked() {
        app.sheet = Some(Sheet::Restore(BackupForm::default()));
    }
}

fn sound(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    microphone_and_speaker(app, ui, now);
    try_sound(app, ui, now);
}

fn link(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    ui.with_layout(Layout::top_down(Align::Center), |ui| link_card(app, ui, now));
    Frame::new().inner_margin(Margin::symmetric(0, 12)).show(ui, |ui| {
        ui.add(Label::new(RichText::new(words::BACKUP_BODY).font(Type::Small.font())).wrap());
        if button(ui, Some(Icon::Save), words::MAKE_BACKUP, Kind::Soft).clicked() {
            app.sheet = Some(Sheet::Backup(BackupForm::new()));
        }
    });
}

/// The dots and the ways on; the step that follows, or `None` at the end.
fn steps(app: &mut App, ui: &mut Ui, state: &Welcome) -> Option<Step> {
    let palette = palette(ui.ctx());
    let at = Step::ALL.iter().position(|step| *step == state.step).unwrap_or_default();
    let following = Step::ALL.get(at + 1).copied();
    let mut next = Some(state.step);
    ui.allocate_ui_with_layout(vec2(ui.available_width(), 36.0), Layout::right_to_left(Align::Center), |ui| {
        let name = if following.is_some() { words::CONTINUE } else { words::DONE };
        if button(ui, None, name, Kind::Accent).clicked() {
            leave(app, state);
            next = following;
        }
        if following.is_some() && button(ui, None, words::SKIP, Kind::Ghost).clicked() {
            next = None;
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            for step in Step::ALL {
                let (rect, _) = ui.allocate_exact_size(vec2(10.0, 10.0), eframe::egui::Sense::hover());
                let ink = if step == state.step { palette.accent } else { palette.border_strong };
                ui.painter().circle_filled(rect.center(), 4.0, ink);
            }
        });
    });
    if next == Some(Step::Sound) && state.step != Step::Sound {
        app.send(CommandKind::ListDevices);
        app.send(CommandKind::TrySound(Some(SoundTrial::Meter)));
    }
    next
}

/// What a step has to do when it is over.
fn leave(app: &mut App, state: &Welcome) {
    match (state.step, &state.name) {
        (Step::Name, Some(name)) if !name.trim().is_empty() => {
            app.send(CommandKind::SetDisplayName { name: Some(name.clone()) });
        }
        (Step::Name | Step::Link, _) => {}
        (Step::Sound, _) => drop(app.send(CommandKind::TrySound(None))),
    }
}
