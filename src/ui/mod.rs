//! The desktop client: the people you call, the calls you had, who rings, the running call, and how the network is.
//!
//! It reads the engine's snapshot in every frame and sends commands; it holds no call state of its own, never blocks,
//! and is painted only when the engine wakes it or something on screen moves.

mod app;
mod canvas;
mod desktop;
mod groups;
mod meters;
mod picture;
mod restore;
mod screens;
mod script;
mod theme;
mod view;
mod widgets;
mod words;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use eframe::egui::{Context, IconData, ViewportBuilder};

use crate::engine::{
    CommandKind, Engine, Event, Events, Failure, FailureKind, Options, Passphrase, Retry, replace_identity,
};
use app::App;
use desktop::Desktop;

const ICON: &[u8] = include_bytes!("../../assets/icon.png");
/// How long good-byes and the withdrawal of our presence may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// Opens the window, with `link` shown in it, and stays until it is closed.
///
/// # Errors
/// When the profile is in use or damaged, or no window can be opened.
pub fn run(options: Options, link: Option<String>) -> Result<(), Failure> {
    let window: Arc<OnceLock<Context>> = Arc::default();
    let awake = window.clone();
    let wake = move || {
        if let Some(ctx) = awake.get() {
            ctx.request_repaint();
        }
    };
    let (engine, events) = Engine::start(options, Arc::new(wake))?;
    let farewell = engine.subscribe();
    let home = engine.snapshot().home.clone();
    let after = Rc::new(Cell::new(After::Quit));
    let result = show(engine.clone(), events, &window, after.clone(), link);
    stop(&engine, farewell);
    drop(engine);
    match after.take() {
        After::Quit => result,
        After::StartAgain => start_again(),
        After::Restore { file, passphrase } => {
            replace_identity(&home, &file, &passphrase)?;
            start_again()
        }
    }
}

/// What is left to do when the window has closed and the profile is free.
#[derive(Default)]
enum After {
    #[default]
    Quit,
    StartAgain,
    /// Become who the backup holds; it has been opened once and is sound.
    Restore {
        file: PathBuf,
        passphrase: Passphrase,
    },
}

/// The program anew, as it was called.
fn start_again() -> Result<(), Failure> {
    let failed = |why: std::io::Error| Failure {
        kind: FailureKind::Internal,
        retry: Retry::AfterUserAction,
        detail: format!("twocans could not be started again: {why}; start it yourself"),
    };
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.args(std::env::args_os().skip(1));
    #[cfg(unix)]
    return Err(failed(std::os::unix::process::CommandExt::exec(&mut command)));
    #[cfg(not(unix))]
    command.spawn().map(drop).map_err(failed)
}

fn show(
    engine: Engine,
    events: Events,
    window: &Arc<OnceLock<Context>>,
    after: Rc<Cell<After>>,
    link: Option<String>,
) -> Result<(), Failure> {
    let icon = eframe::icon_data::from_png_bytes(ICON).map_err(|why| no_window(&why.to_string()))?;
    let icon: Arc<IconData> = Arc::new(icon);
    let viewport = ViewportBuilder::default()
        .with_title(words::TITLE.text())
        .with_app_id("twocans")
        .with_icon(icon.clone())
        .with_min_inner_size([420.0, 560.0]);
    let mut desktop = Desktop::new(&engine);
    let viewport = desktop.place(viewport);
    let options = eframe::NativeOptions {
        viewport,
        // Nothing here has gradients wide enough to show bands, and software renderers pay for it in every pixel.
        dithering: false,
        ..eframe::NativeOptions::default()
    };
    let window = window.clone();
    let create: eframe::AppCreator<'_> = Box::new(move |cc| {
        let ctx = &cc.egui_ctx;
        canvas::install(ctx, cc.gl.as_ref());
        desktop.start(cc, &icon);
        let mut app = App::new(ctx, engine, events, &icon, desktop, after);
        if let Some(link) = link {
            desktop::open_link(&mut app, ctx, &link);
        }
        let _ = window.set(ctx.clone());
        close_on_interrupt(ctx.clone());
        Ok(Box::new(app))
    });
    eframe::run_native("twocans", options, create).map_err(|why| no_window(&why.to_string()))
}

/// Ctrl-C in the terminal from which the client was started closes the window, which says good-bye to the peer.
fn close_on_interrupt(ctx: Context) {
    let wait = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            desktop::quit(&ctx);
        }
    };
    // Without the thread Ctrl-C ends the program at once, as it does by default.
    let _ = std::thread::Builder::new().name("interrupt".into()).spawn(wait);
}

fn stop(engine: &Engine, mut events: Events) {
    if engine.send(CommandKind::Shutdown).is_err() {
        return;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    let stopped = async { while events.recv().await.is_some_and(|last| last.event != Event::Stopped) {} };
    let _ = runtime.block_on(async { tokio::time::timeout(FAREWELL, stopped).await });
}

fn no_window(why: &str) -> Failure {
    Failure {
        kind: FailureKind::Internal,
        retry: Retry::AfterUserAction,
        detail: format!("cannot open a window: {why}; `twocans call` and `twocans answer` need none"),
    }
}

/// The one place where the client reads the clock.
#[allow(clippy::disallowed_methods, reason = "a front end is where time enters")]
fn now() -> Instant {
    Instant::now()
}
