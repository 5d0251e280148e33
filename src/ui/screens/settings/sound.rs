//! Devices and what is done to their sound.

use eframe::egui::Ui;
use lucide_icons::Icon;

use super::{hint, one_of, pick, row, switch};
use crate::engine::{
    AudioChoice, AudioRole, CommandKind, DeviceInfo, NoiseSuppression, SinkSpec, Snapshot, SoundTrial, SourceSpec,
    TransmitMode,
};
use crate::ui::app::App;
use crate::ui::widgets::{Kind, button, meter};
use crate::ui::words;

pub fn sound(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    microphone_and_speaker(app, ui, now);
    let audio = &now.audio;
    let mut chosen = None;
    let silent = [SinkSpec::Default, SinkSpec::Null];
    let bells = offered(&app.devices, AudioRole::Speaker, &silent, SinkSpec::Device, &audio.ring_device);
    if let Some(spec) = pick(ui, words::RING_DEVICE, &audio.ring_device, &bells) {
        chosen = Some(AudioChoice::Ring(spec));
    }
    try_sound(app, ui, now);
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
    if let Some(on) = switch(ui, audio.echo_cancellation, words::ECHO) {
        chosen = Some(AudioChoice::EchoCancellation(on));
    }
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
        row(ui, "", |ui| hint(ui, words::TALK_KEY_HINT));
    }
    if let Some(choice) = chosen {
        app.send(CommandKind::ChooseAudio(choice));
    }
}

/// The two devices of a call.
pub fn microphone_and_speaker(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let audio = &now.audio;
    let first = [SourceSpec::Default];
    let microphones = offered(&app.devices, AudioRole::Microphone, &first, SourceSpec::Device, &audio.mic);
    if let Some(spec) = pick(ui, words::MICROPHONE, &audio.mic, &microphones) {
        app.send(CommandKind::ChooseAudio(AudioChoice::Microphone(spec)));
    }
    let speakers = offered(&app.devices, AudioRole::Speaker, &[SinkSpec::Default], SinkSpec::Device, &audio.speaker);
    if let Some(spec) = pick(ui, words::SPEAKER, &audio.speaker, &speakers) {
        app.send(CommandKind::ChooseAudio(AudioChoice::Speaker(spec)));
    }
}

/// How the microphone hears and the devices sound, before or during a call.
pub fn try_sound(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let in_call = !now.calls.is_empty();
    if in_call || now.trial.is_some() {
        row(ui, words::LEVEL, |ui| meter(ui, words::LEVEL, Some(app.levels().mic_dbfs()), 240.0));
    }
    if in_call {
        return;
    }
    row(ui, words::TRY_IT, |ui| {
        let trials =
            [(Icon::Mic, words::TRY_MICROPHONE, SoundTrial::Meter), (Icon::Ear, words::HEAR_MYSELF, SoundTrial::Echo)];
        for (icon, name, trial) in trials {
            let on = now.trial == Some(trial);
            if button(ui, Some(icon), name, if on { Kind::On } else { Kind::Soft }).clicked() {
                app.send(CommandKind::TrySound((!on).then_some(trial)));
            }
        }
        if button(ui, Some(Icon::BellRing), words::RING_ONCE, Kind::Soft).clicked() {
            app.send(CommandKind::TryRing);
        }
    });
    if now.trial == Some(SoundTrial::Echo) {
        row(ui, "", |ui| hint(ui, words::HEAR_MYSELF_BODY));
    }
}

/// What may be chosen for a role: these first, then what is plugged in, and what is chosen though it is not.
fn offered<Spec: Clone + PartialEq + ToString>(
    devices: &[DeviceInfo],
    role: AudioRole,
    first: &[Spec],
    spec: fn(String) -> Spec,
    current: &Spec,
) -> Vec<(String, Spec)> {
    let plugged = devices.iter().filter(|device| device.role == role);
    let plugged = plugged.map(|device| (device.name.clone(), spec(device.id.clone())));
    let mut all: Vec<(String, Spec)> = first.iter().map(|spec| (named(spec), spec.clone())).chain(plugged).collect();
    if all.iter().all(|(_, known)| known != current) {
        all.push((named(current), current.clone()));
    }
    all
}

fn named(spec: &impl ToString) -> String {
    match spec.to_string() {
        default if default == "default" => words::SYSTEM_DEFAULT.into(),
        null if null == "null" => words::NOTHING.into(),
        other => other,
    }
}
