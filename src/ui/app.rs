//! The client's own state, which is little: what the engine knows is read from its snapshot in every frame.

use std::sync::Arc;
use std::time::Duration;

use eframe::egui::{
    self, CentralPanel, ColorImage, Context, Frame, Key, Margin, Modifiers, Panel, ScrollArea, TextureFilter,
    TextureHandle, TextureOptions, Ui, UserAttentionType, ViewportCommand,
};
use qrcode::{Color, QrCode};

use super::screens;
use super::theme::{self, QR_GROUND, QR_INK, palette, space};
use super::words;
use crate::base::Person;
use crate::engine::name_of_nameless;
use crate::engine::{CallPhase, CallSide, CommandKind, EndReason, Engine, Event, Events, Snapshot, SnapshotCall};
use crate::identity::Link;

/// Below this width one column shows everything.
const WIDE: f32 = 820.0;
/// How long we let it ring at the other side.
const RING_TIMEOUT: Duration = Duration::from_secs(45);
/// "Copied" is shown so long.
const COPIED: f64 = 1.6;

pub struct App {
    engine: Engine,
    events: Events,
    pub icon: TextureHandle,
    qr: Option<(String, TextureHandle)>,
    copied_at: Option<f64>,
    pub dial_text: String,
    pub focus_dial: bool,
    /// Whom the user looked at last: they may be called next.
    looked_at: Option<Person>,
    /// How the last call ended or what went wrong, and whether it is a worry.
    pub notice: Option<(String, bool)>,
    /// Of the running call; shown until it ends.
    pub safety_words: String,
}

impl App {
    pub fn new(ctx: &Context, engine: Engine, events: Events, icon: &egui::IconData) -> Self {
        theme::install(ctx);
        let size = [icon.width as usize, icon.height as usize];
        let image = ColorImage::from_rgba_unmultiplied(size, &icon.rgba);
        let icon =
            ctx.load_texture("icon", image, TextureOptions::LINEAR.with_mipmap_mode(Some(TextureFilter::Linear)));
        Self {
            engine,
            events,
            icon,
            qr: None,
            copied_at: None,
            dial_text: String::new(),
            focus_dial: false,
            looked_at: None,
            notice: None,
            safety_words: String::new(),
        }
    }

    /// Never blocks; a wish that the engine cannot take now is told.
    pub fn send(&mut self, kind: CommandKind) {
        if let Err(why) = self.engine.send(kind) {
            self.notice = Some((words::sentence(&why.to_string()), true));
        }
    }

    /// Tells the engine who may be called next, whenever that changes.
    pub fn look_at(&mut self, person: Person) {
        if self.looked_at != Some(person) {
            self.looked_at = Some(person);
            self.send(CommandKind::LookAt { person: Some(person) });
        }
    }

    pub fn dial(&mut self, to: Link) {
        self.notice = None;
        self.dial_text.clear();
        self.send(CommandKind::Dial { to, ring_timeout: RING_TIMEOUT });
    }

    pub fn copy(&mut self, ctx: &Context, link: &Link) {
        ctx.copy_text(link.to_string());
        self.copied_at = Some(ctx.input(|input| input.time));
        ctx.request_repaint_after(Duration::from_secs_f64(COPIED));
    }

    pub fn was_copied(&self, ctx: &Context) -> bool {
        self.copied_at.is_some_and(|at| ctx.input(|input| input.time) - at < COPIED)
    }

    /// The link as a picture, made once per link.
    pub fn qr_code(&mut self, ctx: &Context, link: &Link) -> Option<TextureHandle> {
        let text = link.to_string();
        if self.qr.as_ref().is_none_or(|(of, _)| *of != text) {
            let texture = ctx.load_texture("qr", qr_image(link)?, TextureOptions::NEAREST);
            self.qr = Some((text, texture));
        }
        self.qr.as_ref().map(|(_, texture)| texture.clone())
    }

    fn heard(&mut self, ctx: &Context, event: &Event) {
        match event {
            Event::Incoming { .. } => {
                self.notice = None;
                ctx.send_viewport_cmd(ViewportCommand::Minimized(false));
                ctx.send_viewport_cmd(ViewportCommand::RequestUserAttention(UserAttentionType::Critical));
            }
            Event::SafetyWords { words, .. } => self.safety_words = words.join("  "),
            Event::Ended { call, peer, reason, talked, .. } => {
                self.safety_words.clear();
                let now = self.engine.snapshot();
                let known = now.calls.iter().find(|known| known.call == *call).and_then(|known| known.name.clone());
                let contact = now.contacts.iter().find(|contact| Some(contact.person) == *peer);
                let name = known.or_else(|| contact.and_then(|contact| contact.name.clone()));
                let name = name.unwrap_or_else(|| name_of_nameless(peer.as_ref()));
                self.notice = Some(words::end(*reason, &name, *talked));
            }
            Event::Failed(failure) | Event::CommandFinished { result: Err(failure), .. } => {
                self.notice = Some((words::sentence(&failure.detail), true));
            }
            Event::Stopped => ctx.send_viewport_cmd(ViewportCommand::Close),
            _ => {}
        }
    }

    fn keys(&mut self, ctx: &Context, now: &Snapshot, call: Option<&SnapshotCall>) {
        let pressed = |modifiers: Modifiers, key: Key| ctx.input_mut(|input| input.consume_key(modifiers, key));
        if pressed(Modifiers::COMMAND, Key::M) {
            self.send(CommandKind::SetMuted { muted: !now.muted });
        }
        if pressed(Modifiers::COMMAND | Modifiers::SHIFT, Key::M) {
            self.send(CommandKind::SetDeafened { deafened: !now.deafened });
        }
        if pressed(Modifiers::COMMAND, Key::D) {
            self.focus_dial = true;
        }
        let Some(call) = call else { return };
        if rings(call) && pressed(Modifiers::COMMAND, Key::Enter) {
            self.send(CommandKind::Answer { call: call.call });
        }
        if pressed(Modifiers::COMMAND | Modifiers::SHIFT, Key::E) {
            self.send(CommandKind::HangUp { call: call.call, reason: EndReason::HangUp });
        }
    }

    fn panels(&mut self, ui: &mut Ui, now: &Snapshot, call: Option<&SnapshotCall>) {
        let palette = palette(ui.ctx());
        let at = super::now();
        let talk = call.filter(|call| !rings(call));
        let wide = ui.available_width() >= WIDE;
        if wide {
            let frame = Frame::new().fill(palette.surface).inner_margin(Margin::same(20));
            let panel = Panel::left("you").exact_size(300.0).resizable(false).frame(frame);
            panel.show(ui, |ui| ScrollArea::vertical().show(ui, |ui| screens::you(self, ui, now)));
        }
        let frame = Frame::new().fill(palette.canvas).inner_margin(Margin::symmetric(20, 0));
        CentralPanel::default().frame(frame).show(ui, |ui| match talk {
            Some(call) => screens::call(self, ui, now, call, at),
            None => {
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                    if !wide {
                        ui.add_space(space::L);
                        screens::you(self, ui, now);
                    }
                    screens::dial(self, ui, now);
                    ui.add_space(space::XL);
                });
            }
        });
    }
}

impl eframe::App for App {
    /// Runs also while the window is hidden, so that a call is noticed then.
    fn logic(&mut self, ctx: &Context, _: &mut eframe::Frame) {
        while let Some(stamped) = self.events.try_recv() {
            self.heard(ctx, &stamped.event);
        }
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        let now: Arc<Snapshot> = self.engine.snapshot();
        let call = now.calls.iter().find(|call| call.phase != CallPhase::Ended);
        let ctx = ui.ctx().clone();
        self.keys(&ctx, &now, call);
        self.panels(ui, &now, call);
        if let Some(call) = call.filter(|call| rings(call)) {
            screens::incoming(self, &ctx, call);
        }
        if let Some(since) = call.and_then(|call| call.connected_at) {
            ctx.request_repaint_after(until_next_second(super::now().saturating_duration_since(since)));
        }
    }
}

/// Somebody waits for our answer.
fn rings(call: &SnapshotCall) -> bool {
    call.side == CallSide::Callee && matches!(call.phase, CallPhase::Dialing | CallPhase::Ringing)
}

fn until_next_second(talked: Duration) -> Duration {
    Duration::from_secs(1) - Duration::from_nanos(u64::from(talked.subsec_nanos()))
}

/// One pixel per module. A bare link in upper case fits the compact alphanumeric mode (ISO/IEC 18004 §7.4.4), and
/// links are read without regard to case.
fn qr_image(link: &Link) -> Option<ColorImage> {
    let bare = link.name.is_none() && link.hints.is_empty();
    let text = if bare { link.to_string().to_uppercase() } else { link.to_string() };
    let code = QrCode::new(text).ok()?;
    let ink = |colour: Color| if colour == Color::Dark { QR_INK } else { QR_GROUND };
    let pixels = code.to_colors().into_iter().map(ink).collect();
    Some(ColorImage::new([code.width(), code.width()], pixels))
}
