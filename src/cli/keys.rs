//! Single keys from a terminal, without Enter.
//!
//! A terminal gives single keys only in raw mode, and one that is left in raw mode is broken for the user's shell. So
//! raw mode is a guard: it ends when [`Keyboard`] is dropped, and a panic anywhere ends it before its message appears.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal;
use tokio::sync::mpsc;

use super::exit::{internal, usage};
use crate::engine::Failure;

/// What the user means by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Yes,
    No,
    Mute,
    /// `q`: end the call.
    HangUp,
    /// Ctrl-C or Ctrl-D: end the call and the program.
    Quit,
}

/// Keys waiting to be read; one that hits a full queue is lost, like one pressed while nobody looks.
const QUEUE: usize = 16;
/// How long the reading thread may outlive the keyboard.
const POLL: Duration = Duration::from_millis(100);

/// Longest text that is typed unseen, bytes.
const MAX_UNSEEN: usize = 4096;

/// Set while the terminal is in raw mode, where a line feed no longer returns the carriage.
static RAW: AtomicBool = AtomicBool::new(false);

/// An open keyboard: the terminal is in raw mode until this is dropped.
pub struct Keyboard {
    keys: mpsc::Receiver<Key>,
    stop: Arc<AtomicBool>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Keyboard {
    /// Whether somebody can press keys and see the answer.
    pub fn is_there() -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// # Errors
    /// When the terminal refuses raw mode.
    pub fn open() -> Result<Self, Failure> {
        restore_before_panics();
        terminal::enable_raw_mode().map_err(|why| internal(format!("the terminal gives no single keys: {why}")))?;
        RAW.store(true, Ordering::SeqCst);
        let (sender, keys) = mpsc::channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let reader = thread::Builder::new().name("keys".into()).spawn(move || read_keys(&sender, &stopped));
        let mut keyboard = Self { keys, stop, reader: None };
        keyboard.reader = Some(reader.map_err(|why| internal(format!("cannot read the keyboard: {why}")))?);
        Ok(keyboard)
    }

    /// The next key; `None` when the terminal went away.
    pub async fn next(&mut self) -> Option<Key> {
        self.keys.recv().await
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        leave_raw_mode();
    }
}

/// What is typed until Enter, without showing it.
///
/// # Errors
/// When the terminal refuses raw mode or goes away, and when the user leaves with Esc, Ctrl-C or Ctrl-D.
pub fn read_unseen() -> Result<String, Failure> {
    restore_before_panics();
    terminal::enable_raw_mode().map_err(|why| internal(format!("the terminal gives no single keys: {why}")))?;
    RAW.store(true, Ordering::SeqCst);
    let mut text = String::new();
    let typed = loop {
        match event::read() {
            Ok(Event::Key(pressed)) => match typing(pressed, &mut text) {
                Typing::GoesOn => {}
                Typing::Done => break Ok(()),
                Typing::GivenUp => break Err(usage("nothing was typed; nothing was done")),
            },
            Ok(_) => {}
            Err(why) => break Err(internal(format!("cannot read the keyboard: {why}"))),
        }
    };
    leave_raw_mode();
    typed.map(|()| text)
}

#[derive(Debug, PartialEq, Eq)]
enum Typing {
    GoesOn,
    Done,
    /// The user gave it up.
    GivenUp,
}

fn typing(pressed: KeyEvent, text: &mut String) -> Typing {
    if pressed.kind == KeyEventKind::Release {
        return Typing::GoesOn;
    }
    let control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    match pressed.code {
        KeyCode::Enter => return Typing::Done,
        KeyCode::Esc => return Typing::GivenUp,
        KeyCode::Char('c' | 'd') if control => return Typing::GivenUp,
        // As in a shell: begin anew.
        KeyCode::Char('u') if control => text.clear(),
        KeyCode::Char(letter) if !control && text.len() < MAX_UNSEEN => text.push(letter),
        KeyCode::Backspace => drop(text.pop()),
        _ => {}
    }
    Typing::GoesOn
}

/// Writes whole lines, with the carriage returns that raw mode needs.
///
/// # Errors
/// As [`Write::write_all`].
pub fn write_lines(out: &mut dyn Write, text: &[u8]) -> io::Result<()> {
    if !RAW.load(Ordering::SeqCst) {
        return out.write_all(text);
    }
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => {
                out.write_all(line)?;
                out.write_all(b"\r\n")?;
            }
            None => out.write_all(line)?,
        }
    }
    Ok(())
}

fn read_keys(keys: &mpsc::Sender<Key>, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        match event::poll(POLL) {
            Ok(false) => {}
            Ok(true) => match event::read() {
                Ok(Event::Key(pressed)) => {
                    if let Some(key) = meaning(pressed) {
                        let _ = keys.try_send(key);
                    }
                }
                Ok(_) => {}
                Err(_) => return,
            },
            Err(_) => return,
        }
    }
}

fn meaning(pressed: KeyEvent) -> Option<Key> {
    if pressed.kind != KeyEventKind::Press {
        return None;
    }
    let KeyCode::Char(letter) = pressed.code else {
        return (pressed.code == KeyCode::Esc).then_some(Key::HangUp);
    };
    if pressed.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(letter, 'c' | 'd').then_some(Key::Quit);
    }
    match letter.to_ascii_lowercase() {
        'y' => Some(Key::Yes),
        'n' => Some(Key::No),
        'm' => Some(Key::Mute),
        'q' => Some(Key::HangUp),
        _ => None,
    }
}

fn leave_raw_mode() {
    if RAW.swap(false, Ordering::SeqCst) {
        let _ = terminal::disable_raw_mode();
    }
}

fn restore_before_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            leave_raw_mode();
            usual(info);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_help_says() {
        let press = |code, modifiers| meaning(KeyEvent::new(code, modifiers));
        assert_eq!(press(KeyCode::Char('m'), KeyModifiers::NONE), Some(Key::Mute));
        assert_eq!(press(KeyCode::Char('M'), KeyModifiers::SHIFT), Some(Key::Mute));
        assert_eq!(press(KeyCode::Char('q'), KeyModifiers::NONE), Some(Key::HangUp));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Quit));
        assert_eq!(press(KeyCode::Char('y'), KeyModifiers::CONTROL), None);
        assert_eq!(press(KeyCode::Char('x'), KeyModifiers::NONE), None);
    }

    #[test]
    fn unseen_text_is_edited_like_any_other() {
        let mut text = String::new();
        let mut press = |code, modifiers| typing(KeyEvent::new(code, modifiers), &mut text);
        for letter in "wroog".chars() {
            assert_eq!(press(KeyCode::Char(letter), KeyModifiers::NONE), Typing::GoesOn);
        }
        press(KeyCode::Char('u'), KeyModifiers::CONTROL);
        for letter in "Ünsx".chars() {
            press(KeyCode::Char(letter), KeyModifiers::SHIFT);
        }
        press(KeyCode::Backspace, KeyModifiers::NONE);
        press(KeyCode::Char('x'), KeyModifiers::CONTROL);
        press(KeyCode::Left, KeyModifiers::NONE);
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Typing::GivenUp);
        assert_eq!(press(KeyCode::Enter, KeyModifiers::NONE), Typing::Done);
        assert_eq!(text, "Üns");
    }

    #[test]
    fn lines_are_untouched_outside_raw_mode() {
        let mut out = Vec::new();
        write_lines(&mut out, b"one\ntwo").unwrap();
        assert_eq!(out, b"one\ntwo");
    }
}
