//! The client in its desktop: notifications, the tray, a talk key that works in front of any window, and the window
//! itself: where it was left, and in front while somebody rings.
//!
//! The services run on a thread of their own ([`services`]), follow the engine's snapshot and wait for what the desktop
//! says; none looks again and again. They act on the engine themselves, so that "Answer" works while the window hangs, and
//! hand only what concerns the window to it as a [`Wish`]. A desktop that lacks a service costs nothing but that service:
//! [`Status`] says why.

#[cfg(target_os = "linux")]
mod grab;
mod keeper;
#[cfg(target_os = "linux")]
mod notices;
#[cfg(target_os = "linux")]
mod picture;
#[cfg(target_os = "linux")]
mod portal;
mod raise;
mod scene;
mod services;
mod talk_key;
#[cfg(target_os = "linux")]
mod tray;

use std::sync::Arc;
use std::time::Duration;

use eframe::CreationContext;
use eframe::egui::{Context, IconData, Id, UserAttentionType, ViewportBuilder, ViewportCommand, WindowLevel};

use self::keeper::Keeper;
use self::raise::{Raise, Step};
use self::scene::Scene;
use self::services::Services;
use super::app::{App, Section};
use super::groups::link_of;
use crate::engine::{CommandKind, Engine, Snapshot};

pub use services::{Service, Status, Wish};
pub use talk_key::Combination;

/// The preference that names the talk key that works in front of any window, such as "F9" or "Ctrl+Alt+Space"; none: there
/// is no such key. It is taken while the microphone is sent by key only.
pub const TALK_KEY: &str = "ui.talk-key";
/// The preference that keeps the client running in the tray when its window is closed, when it is [`YES`].
pub const CLOSE_TO_TRAY: &str = "ui.close-to-tray";
pub const YES: &str = "yes";
/// The preference that keeps where the window was.
const WINDOW: &str = "ui.window";
/// How long the window waits for the profile's preferences before it opens anyway.
const PREFERENCES: Duration = Duration::from_secs(1);

/// The window's side of all services.
pub struct Desktop {
    engine: Engine,
    keeper: Keeper,
    raise: Raise,
    services: Services,
    /// The window is closed, and the client lives on in the tray.
    hidden: bool,
    /// Why it does not ring aloud, while somebody rings.
    silence: Option<String>,
}

impl Desktop {
    /// Before the window is opened: learns from the profile where it was. Blocks for at most a second.
    pub fn new(engine: &Engine) -> Self {
        let mut engine = engine.clone();
        let now = preferences(&mut engine);
        let keeper = Keeper::new(now.preferences.get(WINDOW).map(String::as_str));
        Self { engine, keeper, raise: Raise::default(), services: Services::none(), hidden: false, silence: None }
    }

    /// The window as it was left.
    pub fn place(&self, viewport: ViewportBuilder) -> ViewportBuilder {
        self.keeper.arrange(viewport)
    }

    /// The window is there: the services begin.
    pub fn start(&mut self, cc: &CreationContext<'_>, icon: &Arc<IconData>) {
        if let Some(window) = cc.winit_window() {
            let screens = window.available_monitors().map(|monitor| {
                let scale = monitor.scale_factor();
                let (at, size) = (monitor.position().to_logical(scale), monitor.size().to_logical(scale));
                keeper::Screen { x: at.x, y: at.y, width: size.width, height: size.height }
            });
            if let Some(back) = self.keeper.back_on_screen(&screens.collect::<Vec<_>>()) {
                cc.egui_ctx.send_viewport_cmd(ViewportCommand::OuterPosition(back));
            }
        }
        self.services = Services::start(&cc.egui_ctx, &self.engine, icon);
    }

    /// The section that was open.
    pub fn section(&self) -> Section {
        self.keeper.section()
    }

    /// Of the list of people, as it was left, points.
    pub fn list_width(&self) -> f32 {
        self.keeper.list_width()
    }

    /// What works on this desktop, and what does not and why.
    pub fn status(&self) -> Status {
        self.services.status()
    }

    /// There is a window, but nobody can see it: nothing need be painted.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Why the present call does not ring aloud, if so: a clause.
    pub fn silence(&self) -> Option<&str> {
        self.silence.as_deref()
    }

    /// It does not ring aloud.
    pub fn is_silent(&mut self, why: &str) {
        self.silence = Some(why.to_owned());
    }

    /// Somebody wants to see the window.
    pub fn show(&mut self, ctx: &Context) {
        self.appear(ctx);
        ctx.send_viewport_cmd(ViewportCommand::Focus);
    }

    /// The window is going: what is to be kept is kept, and the services end.
    pub fn leave(&mut self) {
        self.keep(None);
        self.services.stop();
    }

    fn follow(&mut self, ctx: &Context, now: &Snapshot, section: Section) {
        let scene = Scene::of(now);
        if scene.rings.is_none() {
            self.silence = None;
        }
        let focused = ctx.input(|input| input.focused) && !self.hidden;
        self.services.tell_focus(focused);
        match self.raise.step(scene.rings.is_some(), scene.talks.is_some(), self.hidden, focused) {
            Step::Stay => {}
            Step::Forward => {
                // First of all, for a window manager knows no level of a window that it does not show.
                self.appear(ctx);
                ctx.send_viewport_cmd(ViewportCommand::WindowLevel(WindowLevel::AlwaysOnTop));
                ctx.send_viewport_cmd(ViewportCommand::RequestUserAttention(UserAttentionType::Critical));
            }
            Step::Back { hide } => {
                ctx.send_viewport_cmd(ViewportCommand::RequestUserAttention(UserAttentionType::Reset));
                ctx.send_viewport_cmd(ViewportCommand::WindowLevel(WindowLevel::Normal));
                if hide {
                    self.hide(ctx);
                }
            }
        }
        self.hide_instead_of_closing(ctx, now);
        if self.hidden && !self.has_tray() {
            // The tray has gone, and with it the only way back to the window.
            self.show(ctx);
        }
        if self.keeper.look(ctx, section, self.hidden) {
            self.keep(Some(ctx));
        }
    }

    /// Writes the window's state into the profile when it has been the same for a while, or at once without `ctx`.
    fn keep(&mut self, ctx: Option<&Context>) {
        let due = self.keeper.due(super::now(), ctx.is_none());
        match (due, ctx) {
            (keeper::Due::Now(value), _) => {
                let kept = CommandKind::SetPreference { key: WINDOW.to_owned(), value: Some(value) };
                // An engine that cannot take it now gets it with the next change.
                let _ = self.engine.send(kept);
            }
            (keeper::Due::In(wait), Some(ctx)) => ctx.request_repaint_after(wait),
            (keeper::Due::In(_) | keeper::Due::Never, _) => {}
        }
    }

    fn hide_instead_of_closing(&mut self, ctx: &Context, now: &Snapshot) {
        let closing = ctx.input(|input| input.viewport().close_requested());
        let wanted = now.preferences.get(CLOSE_TO_TRAY).map(String::as_str) == Some(YES);
        if closing && wanted && can_hide() && self.has_tray() && !is_quitting(ctx) {
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
            self.hide(ctx);
        }
    }

    fn hide(&mut self, ctx: &Context) {
        self.hidden = true;
        ctx.send_viewport_cmd(ViewportCommand::Visible(false));
    }

    fn appear(&mut self, ctx: &Context) {
        ctx.send_viewport_cmd(ViewportCommand::Visible(true));
        // On X11 this also takes the focus, so only where it has to be.
        if ctx.input(|input| input.viewport().minimized) == Some(true) {
            ctx.send_viewport_cmd(ViewportCommand::Minimized(false));
        }
        // To a window manager it is a new window, which it would put somewhere else.
        if let (true, Some(place)) = (std::mem::take(&mut self.hidden), self.keeper.place()) {
            ctx.send_viewport_cmd(ViewportCommand::OuterPosition(place));
        }
    }

    fn has_tray(&self) -> bool {
        self.status().tray == Service::Works
    }
}

/// To be called in each pass, also while the window is hidden.
pub fn attend(app: &mut App, ctx: &Context) {
    let now = app.desktop.engine.snapshot();
    let section = app.section;
    app.desktop.follow(ctx, &now, section);
    while let Some(wish) = app.desktop.services.wish() {
        match wish {
            Wish::Show => app.desktop.show(ctx),
            Wish::ShowCall(person) => {
                app.desktop.show(ctx);
                app.choose(person);
                app.at_call = true;
            }
            Wish::CallBack(person) => {
                app.desktop.show(ctx);
                app.dial(link_of(&now, person));
            }
            Wish::Quit => quit(ctx),
        }
    }
}

/// A link to a person or to a group call was opened on the desktop. Whoever it leads to is shown, ready to be called,
/// added or joined, and nothing is done yet: a page in a browser may have opened it.
pub fn open_link(app: &mut App, ctx: &Context, link: &str) {
    app.desktop.show(ctx);
    app.sheet = None;
    app.choose(None);
    link.clone_into(&mut app.search);
    app.focus_search = true;
}

/// Ends the client, also where closing its window would not.
pub fn quit(ctx: &Context) {
    ctx.data_mut(|data| data.insert_temp(quitting(), true));
    ctx.send_viewport_cmd(ViewportCommand::Close);
    ctx.request_repaint();
}

/// On Wayland a program can neither hide its window nor bring it back.
pub fn can_hide() -> bool {
    !(cfg!(target_os = "linux") && (is_said("WAYLAND_DISPLAY") || is_said("WAYLAND_SOCKET")))
}

/// An environment variable says something.
fn is_said(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn is_quitting(ctx: &Context) -> bool {
    ctx.data(|data| data.get_temp(quitting())).unwrap_or(false)
}

fn quitting() -> Id {
    Id::new("quitting")
}

/// The first snapshot that knows the profile; an empty one where that takes too long.
fn preferences(engine: &mut Engine) -> Arc<Snapshot> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    if let Ok(runtime) = runtime {
        let known = async { while engine.snapshot().me.is_none() && engine.changed().await {} };
        let _ = runtime.block_on(async { tokio::time::timeout(PREFERENCES, known).await });
    }
    engine.snapshot()
}
