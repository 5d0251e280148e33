//! Devices and what is done to their sound, the look of the window, where the profile is.

use eframe::egui::{ComboBox, Frame, Label, Margin, RichText, ScrollArea, Theme, Ui};

use super::conversation::notice;
use crate::engine::{
    AudioChoice, AudioRole, CommandKind, DeviceInfo, NoiseSuppression, SinkSpec, Snapshot, SourceSpec, TransmitMode,
};
use crate::ui::app::App;
use crate::ui::theme::{Type, palette, space};
use crate::ui::widgets::{card, label, meter};
use crate::ui::words;

/// Longer lines read badly.
const WIDTH: f32 = 620.0;
const LABELS: f32 = 150.0;

pub fn settings(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let palette = palette(ui.ctx());
    notice(app, ui);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        Frame::new().inner_margin(Margin::symmetric(24, 18)).show(ui, |ui| {
            ui.set_max_width(WIDTH);
            label(ui, words::SETTINGS, Type::Title, palette.text);
            ui.add_space(space::S);
            group(ui, words::SOUND, Some(words::SOUND_BODY), |ui| sound(app, ui, now));
            group(ui, words::APPEARANCE, None, |ui| {
                row(ui, words::APPEARANCE, |ui| {
                    let themes = [(words::DARK, Theme::Dark), (words::LIGHT, Theme::Light)];
                    if let Some(theme) = one_of(ui, ui.ctx().theme(), themes) {
                        app.wear(ui.ctx(), theme);
                    }
                });
            });
            group(ui, words::DESKTOP, None, |ui| super::desktop::desktop(app, ui, now));
            group(ui, words::PROFILE, Some(words::PROFILE_BODY), |ui| {
                let folder = RichText::new(now.home.display().to_string()).font(Type::Mono.font()).color(palette.text2);
                ui.add(Label::new(folder).wrap().selectable(true));
            });
        });
    });
}

fn sound(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let audio = &now.audio;
    let devices = std::mem::take(&mut app.devices);
    let mut chosen = None;
    let microphones = with_fakes(&devices, AudioRole::Microphone, &[SourceSpec::Default], SourceSpec::Device);
    if let Some(spec) = pick(ui, words::MICROPHONE, &audio.mic, &microphones) {
        chosen = Some(AudioChoice::Microphone(spec));
    }
    if !now.calls.is_empty() {
        row(ui, "", |ui| meter(ui, words::MICROPHONE, Some(app.levels().mic_dbfs()), 240.0));
    }
    let speakers = with_fakes(&devices, AudioRole::Speaker, &[SinkSpec::Default], SinkSpec::Device);
    if let Some(spec) = pick(ui, words::SPEAKER, &audio.speaker, &speakers) {
        chosen = Some(AudioChoice::Speaker(spec));
    }
    let bells = with_fakes(&devices, AudioRole::Speaker, &[SinkSpec::Default, SinkSpec::Null], SinkSpec::Device);
    if let Some(spec) = pick(ui, words::RING_DEVICE, &audio.ring_device, &bells) {
        chosen = Some(AudioChoice::Ring(spec));
    }
    app.devices = devices;
    row(ui, words::NOISE, |ui| {
        let noises = [
            (words::NOISE_OFF, NoiseSuppression::Off),
            (words::NOISE_STANDARD, NoiseSuppression::Standard),
            (words::NOISE_STRONG, NoiseSuppression::Strong),
        ];
        if let Some(noise) = one_of(ui, audio.noise_suppression, noises) {
            chosen = Some(AudioChoice::Noise(noise));
        }
    });
    row(ui, "", |ui| {
        let mut on = audio.echo_cancellation;
        if ui.checkbox(&mut on, words::ECHO).changed() {
            chosen = Some(AudioChoice::EchoCancellation(on));
        }
    });
    row(ui, words::WHEN_HEARD, |ui| {
        let modes = [
            (words::ALWAYS, TransmitMode::Always),
            (words::WHILE_SPEAKING, TransmitMode::OnVoice),
            (words::WHILE_KEY, TransmitMode::OnKey),
        ];
        if let Some(mode) = one_of(ui, audio.transmit, modes) {
            chosen = Some(AudioChoice::Transmit(mode));
        }
    });
    if audio.transmit == TransmitMode::OnKey {
        let hint = RichText::new(words::TALK_KEY_HINT).font(Type::Small.font()).color(palette(ui.ctx()).text2);
        row(ui, "", |ui| ui.add(Label::new(hint).wrap()));
    }
    if let Some(choice) = chosen {
        app.send(CommandKind::ChooseAudio(choice));
    }
}

/// Names side by side, the present one marked; the one that was clicked.
fn one_of<T: Copy + PartialEq, const N: usize>(ui: &mut Ui, present: T, choices: [(&str, T); N]) -> Option<T> {
    let mut clicked = None;
    for (name, choice) in choices {
        if ui.selectable_label(present == choice, name).clicked() {
            clicked = Some(choice);
        }
    }
    clicked
}

/// What may be chosen for a role: these first, then what is plugged in.
fn with_fakes<Spec: Clone>(
    devices: &[DeviceInfo],
    role: AudioRole,
    first: &[Spec],
    spec: fn(String) -> Spec,
) -> Vec<(Option<String>, Spec)> {
    let plugged = devices.iter().filter(|device| device.role == role);
    let plugged = plugged.map(|device| (Some(device.name.clone()), spec(device.id.clone())));
    first.iter().map(|spec| (None, spec.clone())).chain(plugged).collect()
}

/// What was picked instead of `current`.
fn pick<Spec: Clone + PartialEq + ToString>(
    ui: &mut Ui,
    name: &str,
    current: &Spec,
    choices: &[(Option<String>, Spec)],
) -> Option<Spec> {
    let named = |(device, spec): &(Option<String>, Spec)| {
        device.clone().unwrap_or_else(|| match spec.to_string().as_str() {
            "default" => words::SYSTEM_DEFAULT.to_owned(),
            "null" => words::NOTHING.to_owned(),
            other => other.to_owned(),
        })
    };
    let mut picked = None;
    row(ui, name, |ui| {
        let known = choices.iter().find(|(_, spec)| spec == current).map(named);
        let combo = ComboBox::from_id_salt(name).width((ui.available_width() - space::L).min(380.0)).truncate();
        let shown = combo.selected_text(known.unwrap_or_else(|| current.to_string())).show_ui(ui, |ui| {
            for choice in choices {
                if ui.selectable_label(choice.1 == *current, named(choice)).clicked() && choice.1 != *current {
                    picked = Some(choice.1.clone());
                }
            }
        });
        shown
            .response
            .widget_info(|| eframe::egui::WidgetInfo::labeled(eframe::egui::WidgetType::ComboBox, true, name));
    });
    picked
}

fn group(ui: &mut Ui, title: &str, body: Option<&str>, content: impl FnOnce(&mut Ui)) {
    let palette = palette(ui.ctx());
    card(ui).show(ui, |ui| {
        ui.set_width(ui.available_width());
        label(ui, title, Type::Heading, palette.text);
        if let Some(body) = body {
            ui.add(Label::new(RichText::new(body).font(Type::Small.font()).color(palette.text2)).wrap());
        }
        ui.add_space(space::XS);
        content(ui);
    });
    ui.add_space(space::S);
}

pub(super) fn row<R>(ui: &mut Ui, name: &str, content: impl FnOnce(&mut Ui) -> R) -> R {
    let palette = palette(ui.ctx());
    let row = ui.horizontal(|ui| {
        ui.set_min_height(34.0);
        let start = ui.cursor().left();
        if !name.is_empty() {
            label(ui, name, Type::Body, palette.text2);
        }
        ui.add_space((LABELS - (ui.cursor().left() - start)).max(0.0));
        content(ui)
    });
    row.inner
}
