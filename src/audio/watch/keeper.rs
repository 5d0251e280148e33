//! Decides about one stream; does nothing itself.

use std::time::{Duration, Instant};

use super::super::device::Inventory;
use super::super::{AudioError, Stream};
use super::wish::{Opened, Wish};
use super::{Change, Sound, WatchNews};

/// A running device that has not called back for so long is gone. Ordinary callbacks come every 5 to 20 ms.
const SILENCE_MEANS_GONE: Duration = Duration::from_millis(220);
/// The same in callback periods, for devices with large buffers.
const SILENT_PERIODS_MEAN_GONE: u32 = 4;
/// A device that was just opened may take its time (Bluetooth does).
const SLOWEST_START: Duration = Duration::from_secs(3);

/// ```text
///            silence, fault                 opened
///  ┌ alive ──────────────────▶ dead ─────────────────────▶ alive
///  │   │  better device listed   │ nothing to open
///  │   └──▶ opening ──▶ alive    └──▶ standing in ── device listed ──▶ opening ──▶ alive
/// ```
pub struct Keeper {
    wish: Wish,
    /// `None`: dead. It is closed at once, so that it does not hold a device that returns.
    stream: Option<Stream>,
    /// What is open: the wish itself, the next best device, or the stand-in.
    current: Wish,
    /// Since when there is no sound, or only the stand-in's.
    silent_since: Option<Instant>,
    /// A stream is being opened.
    opening: bool,
    /// What the user wants next.
    asked: Option<Wish>,
    /// What is being opened is what the user asked for; the wish changes when that has worked.
    switching: bool,
}

/// What is to be done.
#[allow(clippy::large_enum_variant, reason = "taken apart as soon as it is made")]
pub enum Step {
    Stay,
    Open(Wish),
    /// Tell the engine and close what was replaced.
    Tell {
        news: WatchNews,
        retired: Option<Stream>,
    },
}

impl Keeper {
    pub fn new(wish: Wish, stream: Stream) -> Self {
        // People may name a device loosely; from now on it has its id.
        let current = match stream.device_id() {
            Some(id) => wish.device(id.to_owned()),
            None => wish.clone(),
        };
        let wish = if wish.device_id().is_some() { current.clone() } else { wish };
        let stream = Some(stream);
        Self { wish, stream, current, silent_since: None, opening: false, asked: None, switching: false }
    }

    /// A stream that is found dead, to be closed.
    pub fn check(&mut self, now: Instant) -> Option<Stream> {
        let stream = self.stream.as_ref().filter(|_| self.current.is_device())?;
        if now < self.gone_at(stream) && stream.health().fault().is_none() {
            return None;
        }
        self.silent_since = stream.health().last_callback().or(Some(now));
        self.stream.take()
    }

    /// When silence would mean that the device is gone.
    pub fn next_check(&self, now: Instant) -> Option<Instant> {
        let stream = self.stream.as_ref().filter(|_| self.current.is_device())?;
        Some(self.gone_at(stream).max(now))
    }

    pub fn is_dead(&self) -> bool {
        self.stream.is_none()
    }

    /// Whether a device is missed.
    pub fn is_in_need(&self) -> bool {
        self.silent_since.is_some()
    }

    /// Something may have been plugged in or out.
    pub fn reconsider(&mut self, inventory: &Inventory) -> Step {
        if self.opening {
            return Step::Stay;
        }
        match self.wish.best(inventory) {
            Some(best) if self.is_dead() || best != self.current => self.open(best),
            None if self.is_dead() => self.open(self.wish.stand_in()),
            Some(_) | None => Step::Stay,
        }
    }

    /// The user wants something else.
    pub fn switch(&mut self, wish: Wish) -> Step {
        self.asked = Some(wish);
        self.go_on()
    }

    /// What is to be done after everything else.
    pub fn go_on(&mut self) -> Step {
        match self.asked.take_if(|_| !self.opening) {
            Some(wish) => {
                self.switching = true;
                self.open(wish)
            }
            None => Step::Stay,
        }
    }

    pub fn opened(&mut self, wish: &Wish, result: Result<Opened, AudioError>, now: Instant) -> Step {
        self.opening = false;
        let switching = std::mem::take(&mut self.switching);
        match result {
            Ok(opened) => {
                let change = self.change(wish, switching, opened.stream.device_id(), opened.sound, now);
                let retired = self.stream.replace(opened.stream);
                Step::Tell { news: WatchNews::Changed(change), retired }
            }
            Err(error) if switching => {
                Step::Tell { news: WatchNews::Refused { role: wish.role(), error }, retired: None }
            }
            Err(error) => {
                tracing::debug!(%error, "a sound device does not open yet");
                if self.is_dead() { self.open(self.wish.stand_in()) } else { Step::Stay }
            }
        }
    }

    /// There was not even a thread to open it.
    pub fn opening_failed(&mut self) {
        (self.opening, self.switching) = (false, false);
    }

    fn open(&mut self, wish: Wish) -> Step {
        self.opening = true;
        Step::Open(wish)
    }

    /// Takes note of what is open now.
    fn change(&mut self, wish: &Wish, switching: bool, id: Option<&str>, sound: Sound, now: Instant) -> Change {
        let gap = self.silent_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let from = self.current.device_id().map(str::to_owned);
        self.current = id.map_or_else(|| wish.clone(), |id| wish.device(id.to_owned()));
        if switching {
            self.wish = if wish.device_id().is_some() { self.current.clone() } else { wish.clone() };
        }
        // A fake counts as sound if it was wished for.
        if id.is_some() || self.current == self.wish {
            self.silent_since = None;
        }
        Change { role: wish.role(), from, to: id.map(str::to_owned), gap, sound }
    }

    fn gone_at(&self, stream: &Stream) -> Instant {
        let health = stream.health();
        match health.last_callback() {
            Some(last) => {
                let periods = health.callback_period() * SILENT_PERIODS_MEAN_GONE;
                last + SILENCE_MEANS_GONE.max(periods)
            }
            None => health.opened() + SLOWEST_START,
        }
    }
}
