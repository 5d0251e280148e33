//! The thread on which the services live, and what passes between them and the window.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use eframe::egui::{Context, IconData};
use tokio::sync::watch;

use crate::base::Person;
use crate::engine::Engine;
#[cfg(not(target_os = "linux"))]
use crate::ui::words;

/// Wishes that the window has not fulfilled yet; further ones are dropped, and the user clicks again.
const WISHES: usize = 16;

/// What somebody wants from the window, outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Show,
    /// A call was answered; it is with this person.
    ShowCall(Option<Person>),
    CallBack(Person),
    Quit,
}

/// What this desktop offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    pub notifications: Service,
    pub tray: Service,
    /// The one that works in front of any window.
    pub talk_key: Service,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Service {
    /// Not asked for, or not known yet.
    #[default]
    Off,
    Works,
    /// Not available: a sentence that says why.
    Fails(String),
}

/// What the services know of the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// It is in front, and the keyboard is in it.
    pub focused: bool,
    /// The client ends.
    pub leaving: bool,
}

/// The window's end.
pub struct Services {
    window: watch::Sender<Window>,
    wishes: Option<Receiver<Wish>>,
    status: watch::Receiver<Status>,
    thread: Option<JoinHandle<()>>,
}

impl Services {
    /// Before there is a window.
    pub fn none() -> Self {
        let (_, status) = watch::channel(Status::default());
        Self { window: watch::Sender::default(), wishes: None, status, thread: None }
    }

    /// Each wish wakes `ctx`.
    pub fn start(ctx: &Context, engine: &Engine, icon: &Arc<IconData>) -> Self {
        let (wishes, wished) = sync_channel(WISHES);
        let (status, said) = watch::channel(Status::default());
        let window = watch::Sender::new(Window::default());
        let outbox = Outbox { wishes, status: Arc::new(status), ctx: ctx.clone() };
        let thread = begin(engine.clone(), window.subscribe(), outbox, icon.clone());
        Self { window, wishes: Some(wished), status: said, thread }
    }

    pub fn wish(&mut self) -> Option<Wish> {
        self.wishes.as_ref()?.try_recv().ok()
    }

    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    pub fn tell_focus(&self, focused: bool) {
        self.window.send_if_modified(|window| std::mem::replace(&mut window.focused, focused) != focused);
    }

    /// Takes back what is shown. Blocks for as long as the desktop takes, at most a second.
    pub fn stop(&mut self) {
        self.window.send_modify(|window| window.leaving = true);
        if let Some(thread) = self.thread.take() {
            // It panics nowhere that we know of, and there is nothing left to do if it did.
            let _ = thread.join();
        }
    }
}

/// The services' end; cheap to clone.
#[derive(Clone)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there are no services yet"))]
pub struct Outbox {
    wishes: SyncSender<Wish>,
    status: Arc<watch::Sender<Status>>,
    ctx: Context,
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there are no services yet"))]
impl Outbox {
    pub fn wish(&self, wish: Wish) {
        if self.wishes.try_send(wish).is_err() {
            tracing::info!(?wish, "the window does not keep up with what is wished from it");
        }
        self.ctx.request_repaint();
    }

    /// Changes what is said of one service. Written to the log once per change.
    pub fn say(&self, name: &'static str, service: impl FnOnce(&mut Status) -> &mut Service, is: Service) {
        let changed = self.status.send_if_modified(|status| {
            let said = service(status);
            let changed = *said != is;
            if let (true, Service::Fails(why)) = (changed, &is) {
                tracing::info!(name, why, "a service of the desktop is not available");
            }
            *said = is;
            changed
        });
        if changed {
            self.ctx.request_repaint();
        }
    }
}

#[cfg(target_os = "linux")]
fn begin(
    engine: Engine,
    window: watch::Receiver<Window>,
    outbox: Outbox,
    icon: Arc<IconData>,
) -> Option<JoinHandle<()>> {
    let run = move || linux::run(engine, window, &outbox, &icon);
    std::thread::Builder::new().name("desktop".into()).spawn(run).ok()
}

#[cfg(not(target_os = "linux"))]
fn begin(_: Engine, _: watch::Receiver<Window>, outbox: Outbox, _: Arc<IconData>) -> Option<JoinHandle<()>> {
    let none = || Service::Fails(words::NOT_ON_THIS_SYSTEM.into());
    outbox.say("notifications", |status| &mut status.notifications, none());
    outbox.say("tray", |status| &mut status.tray, none());
    outbox.say("talk key", |status| &mut status.talk_key, none());
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;
    use crate::ui::desktop::{notices, talk_key, tray};
    use crate::ui::words;

    /// A session bus answers at once or not at all.
    const CONNECT: Duration = Duration::from_secs(5);
    /// For taking back what is shown.
    const FAREWELL: Duration = Duration::from_secs(1);

    pub fn run(engine: Engine, mut window: watch::Receiver<Window>, outbox: &Outbox, icon: &IconData) {
        words::speak_as_chosen(&engine.snapshot().preferences);
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let mut services = JoinSet::new();
            let mut leaving = window.clone();
            let connected = tokio::select! {
                connected = timeout(CONNECT, zbus::Connection::session()) => connected,
                _ = leaving.wait_for(|window| window.leaving) => return,
            };
            let bus = match connected {
                Ok(Ok(bus)) => Ok(bus),
                Ok(Err(why)) => Err(words::no_session_bus(&why.to_string())),
                Err(_) => Err(words::no_session_bus(&words::NO_ANSWER)),
            };
            services.spawn(talk_key::serve(engine.clone(), window.clone(), outbox.clone(), bus.clone().ok()));
            match bus {
                Ok(bus) => {
                    services.spawn(notices::serve(engine.clone(), window.clone(), outbox.clone(), bus));
                    services.spawn(tray::serve(engine, window.clone(), outbox.clone(), icon.clone()));
                }
                Err(why) => {
                    outbox.say("notifications", |status| &mut status.notifications, Service::Fails(why.clone()));
                    outbox.say("tray", |status| &mut status.tray, Service::Fails(why));
                }
            }
            // An error means that the window is gone.
            let _ = window.wait_for(|window| window.leaving).await;
            let ended = async { while services.join_next().await.is_some() {} };
            let _ = timeout(FAREWELL, ended).await;
        });
        runtime.shutdown_background();
    }
}
