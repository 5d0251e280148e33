//! The talk key on X11: a passive grab of the root window, which tells press and release in front of any window.

use std::sync::Arc;
use std::thread::JoinHandle;

use x11rb::CURRENT_TIME;
use x11rb::connection::Connection;
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::xkb::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, GrabMode, Keycode, Mapping, ModMask,
    Window, WindowClass,
};
use x11rb::protocol::{ErrorKind, Event};
use x11rb::rust_connection::RustConnection;

use super::talk_key::{Combination, tell};
use crate::engine::Engine;
use crate::ui::words;

/// Caps Lock and Num Lock are modifiers to X11, and to nobody else.
const LOCKS: [ModMask; 2] = [ModMask::LOCK, ModMask::M2];

/// The key is ours until this is dropped.
pub struct Grab {
    screen: Arc<Screen>,
    thread: Option<JoinHandle<()>>,
}

/// Why the key could not be had. The text is a clause for people.
#[derive(Debug, thiserror::Error)]
pub enum GrabError {
    #[error("{}", words::KEY_IS_TAKEN)]
    Taken,
    #[error("{}", words::KEY_IS_MISSING)]
    NotOnThisKeyboard,
    #[error("no connection to the screen: {0}")]
    NoScreen(#[from] ConnectError),
    #[error("the screen refuses it: {0}")]
    Refused(#[from] ReplyError),
    #[error("the screen refuses it: {0}")]
    NoId(#[from] ReplyOrIdError),
    #[error("the connection to the screen broke: {0}")]
    Broken(#[from] ConnectionError),
    #[error("the system gives us no thread: {0}")]
    NoThread(#[from] std::io::Error),
}

struct Screen {
    connection: RustConnection,
    root: Window,
    /// Ours, never shown: a message to it ends the thread.
    inbox: Window,
}

impl Grab {
    /// Press and release are told to `engine` from now on. Blocks for a few round trips to the screen.
    pub fn take(wanted: &Combination, engine: Engine) -> Result<Self, GrabError> {
        let screen = Screen::open()?;
        screen.take(wanted)?;
        let screen = Arc::new(screen);
        let (watched, wanted) = (screen.clone(), wanted.clone());
        let watch = move || watched.watch(&wanted, &engine);
        let thread = std::thread::Builder::new().name("talk-key".into()).spawn(watch)?;
        Ok(Self { screen, thread: Some(thread) })
    }
}

impl Drop for Grab {
    fn drop(&mut self) {
        let sent = self.screen.end();
        if let (Ok(()), Some(thread)) = (sent, self.thread.take()) {
            // A thread that panicked has ended too.
            let _ = thread.join();
        }
    }
}

impl Screen {
    fn open() -> Result<Self, GrabError> {
        let (connection, number) = x11rb::connect(None)?;
        let root = connection.setup().roots.get(number).map(|screen| screen.root).unwrap_or_default();
        // A key that is held repeats; with this flag, without releases in between.
        connection.xkb_use_extension(1, 0)?.reply()?;
        let flag = xkb::PerClientFlag::DETECTABLE_AUTO_REPEAT;
        let none = xkb::BoolCtrl::default();
        connection.xkb_per_client_flags(xkb::ID::USE_CORE_KBD.into(), flag, flag, none, none, none)?.reply()?;
        let inbox = connection.generate_id()?;
        let (class, aux) = (WindowClass::INPUT_ONLY, CreateWindowAux::new());
        connection.create_window(0, inbox, root, -1, -1, 1, 1, 0, class, 0, &aux)?.check()?;
        Ok(Self { connection, root, inbox })
    }

    fn take(&self, wanted: &Combination) -> Result<(), GrabError> {
        let codes = self.codes(wanted.key.keysym)?;
        if codes.is_empty() {
            return Err(GrabError::NotOnThisKeyboard);
        }
        for code in codes {
            for modifiers in with_locks(modifiers(wanted)) {
                let asynchronous = GrabMode::ASYNC;
                let grab =
                    self.connection.grab_key(false, self.root, modifiers, code, asynchronous, asynchronous)?.check();
                grab.map_err(|why| match why {
                    ReplyError::X11Error(error) if error.error_kind == ErrorKind::Access => GrabError::Taken,
                    other => GrabError::Refused(other),
                })?;
            }
        }
        Ok(())
    }

    /// The keys on this keyboard that give this keysym without Shift.
    fn codes(&self, keysym: u32) -> Result<Vec<Keycode>, GrabError> {
        let setup = self.connection.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let count = last.saturating_sub(first).saturating_add(1);
        let keyboard = self.connection.get_keyboard_mapping(first, count)?.reply()?;
        let levels = usize::from(keyboard.keysyms_per_keycode).max(1);
        let keys = keyboard.keysyms.chunks(levels).zip(first..=last);
        Ok(keys.filter(|(keysyms, _)| keysyms.first() == Some(&keysym)).map(|(_, code)| code).collect())
    }

    /// Until the connection ends or [`Screen::end`] is called.
    fn watch(&self, wanted: &Combination, engine: &Engine) {
        let mut down = false;
        let mut hold = |now: bool| {
            if std::mem::replace(&mut down, now) != now {
                tell(engine, now);
            }
        };
        loop {
            match self.connection.wait_for_event() {
                Ok(Event::KeyPress(_)) => hold(true),
                Ok(Event::KeyRelease(_)) => hold(false),
                Ok(Event::ClientMessage(message)) if message.window == self.inbox => break,
                Ok(Event::MappingNotify(changed)) if changed.request == Mapping::KEYBOARD => {
                    if let Err(why) = self.take_anew(wanted) {
                        tracing::info!(%why, "the talk key was lost when the keyboard changed");
                    }
                }
                Ok(_) => {}
                Err(why) => {
                    tracing::info!(%why, "the talk key was lost");
                    break;
                }
            }
        }
        hold(false);
        // The screen frees the grabs of a connection that is closed; here its other owner may still hold it.
        let _ = self.release();
    }

    fn take_anew(&self, wanted: &Combination) -> Result<(), GrabError> {
        self.release()?;
        self.take(wanted)
    }

    fn release(&self) -> Result<(), ConnectionError> {
        // 0 is any key.
        self.connection.ungrab_key(0, self.root, ModMask::ANY)?;
        self.connection.flush()
    }

    fn end(&self) -> Result<(), ConnectionError> {
        let message = ClientMessageEvent::new(32, self.inbox, AtomEnum::NOTICE, [CURRENT_TIME; 5]);
        self.connection.send_event(false, self.inbox, EventMask::NO_EVENT, message)?;
        self.connection.flush()
    }
}

fn modifiers(wanted: &Combination) -> ModMask {
    let held = [
        (wanted.ctrl, ModMask::CONTROL),
        (wanted.alt, ModMask::M1),
        (wanted.shift, ModMask::SHIFT),
        (wanted.logo, ModMask::M4),
    ];
    held.into_iter().filter(|(on, _)| *on).fold(ModMask::default(), |all, (_, one)| all | one)
}

fn with_locks(modifiers: ModMask) -> [ModMask; 4] {
    let [caps, num] = LOCKS;
    [modifiers, modifiers | caps, modifiers | num, modifiers | caps | num]
}
