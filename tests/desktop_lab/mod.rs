//! A desktop for the client under test: a screen that nobody sees with a window manager, a session bus of its own, and on
//! it, if the test wants them, a notification server, a tray and a shortcuts portal. None of them is the machine's.

#![allow(dead_code, unused_imports, reason = "every test binary compiles all of this and uses its part")]

mod notifications;
mod portal;
mod screen;
mod tray;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use twocans::engine::{CommandKind, Engine, Event, Options};

use crate::common::process::{Launch, Process};
use crate::common::skip::missing_program;
use crate::common::world::{START_UP, World};

pub use notifications::Notifications;
pub use portal::Portal;
pub use screen::{Screen, XWindow};
pub use tray::TrayHost;

/// For the client or the desktop to react.
pub const SOON: Duration = Duration::from_secs(10);

/// The screen and the bus. Dropping it ends both.
pub struct Desktop {
    pub screen: Screen,
    pub bus: String,
    _bus: Server,
}

/// A program that serves the test and ends with it.
pub struct Server(pub Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Desktop {
    /// Starts both; `Err`: why this machine cannot.
    pub fn start(folder: &Path) -> Result<Self, String> {
        if let Some(program) = missing_program(&["Xvfb", "openbox", "dbus-daemon", "setpriv"]) {
            return Err(format!("{program} is not installed"));
        }
        fs::create_dir_all(folder).map_err(|why| why.to_string())?;
        let (bus, address) = start_bus(folder)?;
        Ok(Self { screen: Screen::start(folder)?, bus: address, _bus: bus })
    }

    /// The client of `name` on this desktop, not yet started. It goes online in `world` and is silent.
    pub fn client(&self, world: &World, name: &str) -> Launch {
        let home = world.home(name);
        fs::create_dir_all(&home).expect("a profile can be made");
        let bootstrap: Vec<&str> =
            world.network.iter().filter(|option| option.starts_with('/')).map(String::as_str).collect();
        let config = format!(
            "[network]\nisolated = true\nbootstrap = {bootstrap:?}\n\
             [audio]\nmic = \"silence\"\nspeaker = \"null\"\nring-device = \"null\"\n"
        );
        fs::write(home.join("config.toml"), config).expect("a profile can be written");
        self.on_it(Launch::new(name, &home))
    }

    /// On this screen and this bus, and on no other of this machine.
    pub fn on_it(&self, launch: Launch) -> Launch {
        launch
            .env("DISPLAY", &self.screen.display)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus)
            .env("WAYLAND_DISPLAY", "")
            .env("XDG_SESSION_TYPE", "x11")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
    }

    /// A client that can be called, and its window.
    pub fn open(&self, world: &World, name: &str) -> (Process, XWindow) {
        let mut client = self.client(world, name).start();
        let window = self.screen.window_of(&mut client);
        until("the client can be called", || (status(world, name)?["acks"].as_u64() >= Some(1)).then_some(()));
        (client, window)
    }
}

/// What the running process of `name` does; `None` while there is none.
pub fn status(world: &World, name: &str) -> Option<Value> {
    let (code, said) = Launch::new("status", &world.home(name)).args(["status"]).start_and_wait(START_UP);
    (code == Some(0)).then(|| said.into_iter().next_back()).flatten()
}

/// Asks until the answer is there, or panics.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON * 2;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Writes preferences into a profile that nobody runs.
pub fn prefer(home: &Path, preferences: &[(&str, &str)]) {
    let (engine, mut events) =
        Engine::start(Options::offline(home), std::sync::Arc::new(|| ())).expect("the profile can be opened");
    for (key, value) in preferences {
        let set = CommandKind::SetPreference { key: (*key).to_owned(), value: Some((*value).to_owned()) };
        engine.send(set).expect("the engine takes commands");
    }
    engine.send(CommandKind::Shutdown).expect("the engine takes commands");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { while events.recv().await.is_some_and(|last| last.event != Event::Stopped) {} });
}

/// What a profile that nobody runs prefers.
pub fn preference(home: &Path, key: &str) -> Option<String> {
    let (mut engine, mut events) =
        Engine::start(Options::offline(home), std::sync::Arc::new(|| ())).expect("the profile can be opened");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        while engine.snapshot().me.is_none() && engine.changed().await {}
        let value = engine.snapshot().preferences.get(key).cloned();
        engine.send(CommandKind::Shutdown).expect("the engine takes commands");
        while events.recv().await.is_some_and(|last| last.event != Event::Stopped) {}
        value
    })
}

/// A bus that starts no service by itself.
fn start_bus(folder: &Path) -> Result<(Server, String), String> {
    let config = folder.join("bus.conf");
    let text = format!(
        "<busconfig><type>session</type><listen>unix:path={}</listen><policy context=\"default\">\
         <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/></policy>\
         </busconfig>",
        folder.join("bus").display()
    );
    fs::write(&config, text).map_err(|why| why.to_string())?;
    let mut bus = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "dbus-daemon", "--nofork", "--print-address"])
        .arg(format!("--config-file={}", config.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|why| why.to_string())?;
    let stdout = bus.stdout.take().ok_or("stdout is piped")?;
    let bus = Server(bus);
    let mut address = String::new();
    BufReader::new(stdout).read_line(&mut address).map_err(|why| why.to_string())?;
    if address.trim().is_empty() { Err("dbus-daemon does not start".into()) } else { Ok((bus, address.trim().into())) }
}
