//! The talk key that works in front of any window: which one it is, and its service.

use std::fmt;
use std::str::FromStr;

#[cfg(target_os = "linux")]
pub use linux::serve;

/// Longest text that is read, bytes.
const MAX_BYTES: usize = 40;

/// A key with its modifiers, such as "Ctrl+Alt+Space". Names are read in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combination {
    pub ctrl: bool,
    pub alt: bool,
    pub shift: bool,
    /// The key with the logo on it.
    pub logo: bool,
    pub key: Key,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// What people call it.
    pub name: String,
    /// As X11 and xkbcommon name it.
    pub keysym: u32,
    pub xkb: String,
}

/// Why a text names no talk key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CombinationError {
    /// Nobody could press that.
    #[error("this is too long for a key; write it like F9 or Ctrl+Alt+Space")]
    TooLong,
    /// Modifiers alone, or nothing.
    #[error("a key is missing; write it like F9 or Ctrl+Alt+Space")]
    NoKey,
    /// A typing error, or a key that cannot be used.
    #[error(
        "there is no key {0:?}; a letter, a digit, F1 to F24, Space, Pause, ScrollLock, Insert or Menu can be used"
    )]
    UnknownKey(String),
    /// Only the last one is the key.
    #[error("{0:?} is no key to hold with another; Ctrl, Alt, Shift and Super are")]
    UnknownModifier(String),
    /// It would be taken from every other program, also while somebody writes.
    #[error("{0} alone could not be typed any more anywhere; add Ctrl, Alt or Super")]
    TooCommon(String),
}

impl FromStr for Combination {
    type Err = CombinationError;

    fn from_str(text: &str) -> Result<Self, CombinationError> {
        if text.len() > MAX_BYTES {
            return Err(CombinationError::TooLong);
        }
        let mut words: Vec<&str> = text.split('+').map(str::trim).collect();
        let name = words.pop().filter(|name| !name.is_empty()).ok_or(CombinationError::NoKey)?;
        let (mut ctrl, mut alt, mut shift, mut logo) = (false, false, false, false);
        for word in words {
            let modifier = match word.to_ascii_lowercase().as_str() {
                "ctrl" | "control" => &mut ctrl,
                "alt" => &mut alt,
                "shift" => &mut shift,
                "super" | "meta" | "win" | "logo" => &mut logo,
                _ => return Err(CombinationError::UnknownModifier(word.to_owned())),
            };
            *modifier = true;
        }
        if ["ctrl", "control", "alt", "shift", "super", "meta", "win", "logo"].contains(&&*name.to_ascii_lowercase()) {
            return Err(CombinationError::NoKey);
        }
        let (key, is_typed) = key(name).ok_or_else(|| CombinationError::UnknownKey(name.to_owned()))?;
        if is_typed && !(ctrl || alt || logo) {
            return Err(CombinationError::TooCommon(key.name));
        }
        Ok(Self { ctrl, alt, shift, logo, key })
    }
}

impl Combination {
    /// As the shortcuts specification of freedesktop.org writes it.
    pub fn trigger(&self) -> String {
        let held = [(self.ctrl, "CTRL+"), (self.alt, "ALT+"), (self.shift, "SHIFT+"), (self.logo, "LOGO+")];
        let held: String = held.into_iter().filter_map(|(on, name)| on.then_some(name)).collect();
        held + &self.key.xkb
    }
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = [(self.ctrl, "Ctrl+"), (self.alt, "Alt+"), (self.shift, "Shift+"), (self.logo, "Super+")];
        for (_, name) in held.into_iter().filter(|(on, _)| *on) {
            f.write_str(name)?;
        }
        f.write_str(&self.key.name)
    }
}

/// The key, and whether people type with it.
fn key(name: &str) -> Option<(Key, bool)> {
    const NAMED: [(&str, u32, &str, bool); 16] = [
        ("Space", 0x20, "space", true),
        ("Home", 0xff50, "Home", true),
        ("End", 0xff57, "End", true),
        ("PageUp", 0xff55, "Page_Up", true),
        ("PageDown", 0xff56, "Page_Down", true),
        ("Left", 0xff51, "Left", true),
        ("Up", 0xff52, "Up", true),
        ("Right", 0xff53, "Right", true),
        ("Down", 0xff54, "Down", true),
        ("Tab", 0xff09, "Tab", true),
        ("Delete", 0xffff, "Delete", true),
        ("Pause", 0xff13, "Pause", false),
        ("ScrollLock", 0xff14, "Scroll_Lock", false),
        ("Insert", 0xff63, "Insert", false),
        ("Menu", 0xff67, "Menu", false),
        ("MicMute", 0x1008_ffb2, "XF86AudioMicMute", false),
    ];
    const F1: u32 = 0xffbe;
    let found = NAMED.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
    if let Some((name, keysym, xkb, is_typed)) = found {
        return Some((Key { name: (*name).to_owned(), keysym: *keysym, xkb: (*xkb).to_owned() }, *is_typed));
    }
    let mut letters = name.chars();
    if let (Some(letter), None) = (letters.next(), letters.next()) {
        let small = letter.to_ascii_lowercase();
        let key =
            Key { name: small.to_ascii_uppercase().to_string(), keysym: u32::from(small), xkb: small.to_string() };
        return small.is_ascii_alphanumeric().then_some((key, true));
    }
    let number: u32 = name.strip_prefix(['F', 'f']).and_then(|number| number.parse().ok())?;
    let name = format!("F{number}");
    let key = Key { keysym: F1 + number.checked_sub(1)?, xkb: name.clone(), name };
    (number <= 24).then_some((key, false))
}

#[cfg(target_os = "linux")]
mod linux {
    use std::env;

    use tokio::sync::watch;
    use tokio::task::{JoinHandle, spawn_blocking};

    use super::Combination;
    use crate::engine::{CommandKind, Engine, SendError, Snapshot, TransmitMode};
    use crate::ui::desktop::grab::Grab;
    use crate::ui::desktop::services::{Outbox, Service, Window};
    use crate::ui::desktop::{TALK_KEY, is_said, portal};
    use crate::ui::words;

    /// Runs until the client ends.
    pub async fn serve(
        mut engine: Engine,
        mut window: watch::Receiver<Window>,
        outbox: Outbox,
        bus: Option<zbus::Connection>,
    ) {
        let say = |is| outbox.say("talk key", |status| &mut status.talk_key, is);
        let mut wanted = None;
        let mut held = Held::Nothing;
        loop {
            let now = wish(&engine.snapshot());
            if now != wanted {
                held.end().await;
                held = match &now {
                    None => {
                        say(Service::Off);
                        Held::Nothing
                    }
                    Some(text) => match text.parse::<Combination>() {
                        Ok(combination) => take(combination, &engine, &outbox, bus.as_ref()).await,
                        Err(why) => {
                            say(Service::Fails(words::sentence(&why.to_string())));
                            Held::Nothing
                        }
                    },
                };
                wanted = now;
            }
            tokio::select! {
                alive = engine.changed() => if !alive { break },
                changed = window.changed() => if changed.is_err() || window.borrow().leaving { break },
            }
        }
        held.end().await;
    }

    /// The key goes down or up. One that stayed down for ever would be an open microphone, so a busy engine is asked again.
    pub fn tell(engine: &Engine, down: bool) {
        while engine.send(CommandKind::HoldTalkKey { down }) == Err(SendError::Busy) {
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }

    fn wish(now: &Snapshot) -> Option<String> {
        let by_key = now.audio.transmit == TransmitMode::OnKey;
        now.preferences.get(TALK_KEY).filter(|text| by_key && !text.trim().is_empty()).cloned()
    }

    enum Held {
        Nothing,
        ByX11(Grab),
        ByPortal { task: JoinHandle<()>, stop: watch::Sender<bool> },
    }

    impl Held {
        async fn end(&mut self) {
            match std::mem::replace(self, Self::Nothing) {
                Self::Nothing => {}
                Self::ByX11(grab) => drop(spawn_blocking(move || drop(grab)).await),
                Self::ByPortal { task, stop } => {
                    let _ = stop.send(true);
                    let _ = task.await;
                }
            }
        }
    }

    /// A Wayland desktop gives programs no key but through its portal; there, X11 would see the key in front of some windows
    /// only.
    async fn take(wanted: Combination, engine: &Engine, outbox: &Outbox, bus: Option<&zbus::Connection>) -> Held {
        let say = |is| outbox.say("talk key", |status| &mut status.talk_key, is);
        let wayland = is_said("WAYLAND_DISPLAY") || env::var("XDG_SESSION_TYPE").is_ok_and(|kind| kind == "wayland");
        if wayland {
            let Some(bus) = bus.cloned() else {
                say(Service::Fails(words::no_talk_key(&words::NO_PORTAL)));
                return Held::Nothing;
            };
            let (stop, stopped) = watch::channel(false);
            let task = tokio::spawn(portal::serve(bus, wanted, engine.clone(), outbox.clone(), stopped));
            return Held::ByPortal { task, stop };
        }
        let (to_engine, name) = (engine.clone(), wanted.to_string());
        match spawn_blocking(move || Grab::take(&wanted, to_engine)).await {
            Ok(Ok(grab)) => {
                say(Service::Works);
                Held::ByX11(grab)
            }
            Ok(Err(why)) => {
                say(Service::Fails(words::no_talk_key(&format!("{name}: {why}"))));
                Held::Nothing
            }
            Err(_) => Held::Nothing,
        }
    }
}

#[cfg(target_os = "linux")]
pub use linux::tell;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_people_write_them() {
        for (text, shown, keysym, trigger) in [
            ("F9", "F9", 0xffc6, "F9"),
            (" ctrl + ALT+space ", "Ctrl+Alt+Space", 0x20, "CTRL+ALT+space"),
            ("win+Shift+t", "Shift+Super+T", 0x74, "SHIFT+LOGO+t"),
            ("scrolllock", "ScrollLock", 0xff14, "Scroll_Lock"),
            ("f24", "F24", 0xffd5, "F24"),
        ] {
            let read: Combination = text.parse().unwrap();
            assert_eq!((read.to_string(), read.key.keysym, read.trigger()), (shown.into(), keysym, trigger.into()));
            assert_eq!(shown.parse(), Ok(read), "what is shown can be read");
        }
    }

    #[test]
    fn what_is_no_key_is_told() {
        use CombinationError as E;
        let why = |text: &str| text.parse::<Combination>().unwrap_err();
        assert_eq!(why(""), E::NoKey);
        assert_eq!(why("Ctrl+"), E::NoKey);
        assert_eq!(why("Ctrl+Alt"), E::NoKey);
        assert_eq!(why("a"), E::TooCommon("A".into()));
        assert_eq!(why("Shift+Space"), E::TooCommon("Space".into()));
        assert_eq!(why("F9+Ctrl"), E::UnknownModifier("F9".into()));
        for unknown in ["F0", "F25", "F4294967296", "ä", "Hyper", "🎤", "F-1"] {
            assert_eq!(why(unknown), E::UnknownKey(unknown.into()));
        }
        assert_eq!(why(&"Ctrl+".repeat(9)), E::TooLong);
    }
}
