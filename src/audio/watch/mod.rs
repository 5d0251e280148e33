//! Keeps a microphone and a speaker alive: follows the system's default, notices an unplugged device by its silence,
//! goes on with the next one and comes back to the preferred one when it returns.
//!
//! One thread per [`Watch`]. It never waits for the sound system itself: listing and opening devices happen on threads of
//! their own that report back, so a stuck server delays neither the noticing nor the stopping.

mod keeper;
mod wish;

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rtrb::{Consumer, Producer};

use super::device::Inventory;
use super::{AudioError, AudioRole, Gate, SinkSpec, SourceSpec, Stream, StreamHealth, Wake};
use keeper::{Keeper, Step};
use wish::{Opened, Wish};

/// What to keep alive. The streams are those that [`open_input`](super::open_input) and
/// [`open_output`](super::open_output) gave for these specs; the watch closes them.
pub struct WatchOptions {
    pub microphone: (SourceSpec, Stream),
    pub speaker: (SinkSpec, Stream),
    /// As for [`open_input`](super::open_input).
    pub frames: u32,
    pub wake: Wake,
}

/// A stream took the place of another.
#[derive(Debug)]
pub struct Change {
    pub role: AudioRole,
    /// Id of the device until now; `None` for a fake.
    pub from: Option<String>,
    /// Id of the device from now on; `None` for a fake: the one that was wished for, or silence because there is no
    /// device left.
    pub to: Option<String>,
    /// Without sound; zero when the old stream played until the new one was there.
    pub gap: Duration,
    pub sound: Sound,
}

/// The voice thread's end of the new stream.
pub enum Sound {
    Captured { samples: Consumer<f32>, rate_hz: u32, health: Arc<StreamHealth>, gate: Gate },
    Played { samples: Producer<f32>, rate_hz: u32, health: Arc<StreamHealth>, gate: Gate },
}

/// What a watch has to say.
#[derive(Debug)]
pub enum WatchNews {
    Changed(Change),
    /// A wished switch is impossible; everything stays as it was.
    Refused {
        role: AudioRole,
        error: AudioError,
    },
}

/// Dropping it closes the microphone and the speaker.
pub struct Watch {
    messages: SyncSender<Message>,
    thread: Option<JoinHandle<()>>,
}

#[allow(clippy::large_enum_variant, reason = "a handful in a call")]
enum Message {
    Listed(Result<Inventory, AudioError>),
    Opened { wish: Wish, result: Result<Opened, AudioError> },
    Switch(Wish),
    Stop,
}

/// One listing, two openings, and a few wishes of the user.
const QUEUE: usize = 16;
/// Between two looks at what is plugged in and what is the default.
const LIST_EVERY: Duration = Duration::from_millis(500);
/// The same while a device is missing.
const LIST_URGENTLY_EVERY: Duration = Duration::from_millis(150);
/// A listing that takes longer will not help.
const LIST_DEADLINE: Duration = Duration::from_millis(400);
/// A server that was there until lately is expected to return: its cards are not taken away from it.
const SERVER_RETURNS_WITHIN: Duration = Duration::from_secs(5);

impl Watch {
    /// `news` is called on the watch's thread and should be quick.
    pub fn start(options: WatchOptions, news: impl FnMut(WatchNews) + Send + 'static) -> Result<Self, AudioError> {
        let (messages, inbox) = sync_channel(QUEUE);
        let (microphone, speaker) = (options.microphone, options.speaker);
        let watcher = Watcher {
            keepers: [
                Keeper::new(Wish::Microphone(microphone.0), microphone.1),
                Keeper::new(Wish::Speaker(speaker.0), speaker.1),
            ],
            frames: options.frames,
            wake: options.wake,
            messages: messages.clone(),
            news: Box::new(news),
            next_list: Instant::now() + LIST_EVERY,
            listing: None,
            server_seen: None,
        };
        let thread = thread::Builder::new()
            .name("audio-watch".into())
            .spawn(move || watcher.run(&inbox))
            .map_err(AudioError::NoThread)?;
        Ok(Self { messages, thread: Some(thread) })
    }

    /// Changes the microphone in the running call. The outcome is news.
    pub fn switch_microphone(&self, to: SourceSpec) {
        let _ = self.messages.send(Message::Switch(Wish::Microphone(to)));
    }

    /// Changes the speaker in the running call. The outcome is news.
    pub fn switch_speaker(&self, to: SinkSpec) {
        let _ = self.messages.send(Message::Switch(Wish::Speaker(to)));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watcher {
    keepers: [Keeper; 2],
    frames: u32,
    wake: Wake,
    messages: SyncSender<Message>,
    news: Box<dyn FnMut(WatchNews) + Send>,
    next_list: Instant,
    /// A listing is under way since then.
    listing: Option<Instant>,
    /// When a sound server last answered.
    server_seen: Option<Instant>,
}

impl Watcher {
    fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let now = Instant::now();
            let dead: Vec<Stream> = self.keepers.iter_mut().filter_map(|keeper| keeper.check(now)).collect();
            if !dead.is_empty() || now >= self.next_list {
                self.list(now);
            }
            dead.into_iter().for_each(close);
            if self.is_left_alone(now) {
                self.reconsider(&Inventory::default());
            }
            match inbox.recv_timeout(self.sleep(now)) {
                Ok(Message::Listed(list)) => self.listed(list),
                Ok(Message::Opened { wish, result }) => {
                    let step = self.keeper(wish.role()).opened(&wish, result, Instant::now());
                    self.take(wish.role(), step);
                    let step = self.keeper(wish.role()).go_on();
                    self.take(wish.role(), step);
                }
                Ok(Message::Switch(wish)) => {
                    let role = wish.role();
                    let step = self.keeper(role).switch(wish);
                    self.take(role, step);
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Until something may have to be done.
    fn sleep(&self, now: Instant) -> Duration {
        let checks = self.keepers.iter().filter_map(|keeper| keeper.next_check(now));
        let answer = self.listing.map(|since| since + LIST_DEADLINE).filter(|_| self.someone_is_dead());
        let until = checks.chain(answer).fold(self.next_list, Instant::min);
        until.saturating_duration_since(now)
    }

    /// A sound system that does not answer has nothing to offer.
    fn is_left_alone(&self, now: Instant) -> bool {
        self.someone_is_dead() && self.listing.is_some_and(|since| now >= since + LIST_DEADLINE)
    }

    fn someone_is_dead(&self) -> bool {
        self.keepers.iter().any(Keeper::is_dead)
    }

    fn list(&mut self, now: Instant) {
        let urgent = self.keepers.iter().any(Keeper::is_in_need);
        self.next_list = now + if urgent { LIST_URGENTLY_EVERY } else { LIST_EVERY };
        if self.listing.is_some() {
            return;
        }
        let wait_for_server = self.server_seen.is_some_and(|seen| now < seen + SERVER_RETURNS_WITHIN);
        let started = self.elsewhere(move || Message::Listed(Inventory::take(wait_for_server)));
        self.listing = started.then_some(now);
    }

    fn listed(&mut self, list: Result<Inventory, AudioError>) {
        self.listing = None;
        let inventory = list.unwrap_or_else(|error| {
            tracing::debug!(%error, "sound devices cannot be listed");
            Inventory::default()
        });
        if inventory.is_served {
            self.server_seen = Some(Instant::now());
        }
        self.reconsider(&inventory);
    }

    fn reconsider(&mut self, inventory: &Inventory) {
        for role in [AudioRole::Microphone, AudioRole::Speaker] {
            let step = self.keeper(role).reconsider(inventory);
            self.take(role, step);
        }
    }

    /// Does what a keeper decided.
    fn take(&mut self, role: AudioRole, step: Step) {
        match step {
            Step::Stay => {}
            Step::Open(wish) => {
                let (frames, wake, opening) = (self.frames, self.wake.clone(), wish.clone());
                let started = self.elsewhere(move || {
                    let result = opening.open(frames, wake);
                    Message::Opened { wish: opening, result }
                });
                if !started {
                    self.keeper(role).opening_failed();
                }
            }
            Step::Tell { news, retired } => {
                (self.news)(news);
                retired.into_iter().for_each(close);
            }
        }
    }

    fn keeper(&mut self, role: AudioRole) -> &mut Keeper {
        let [microphone, speaker] = &mut self.keepers;
        match role {
            AudioRole::Microphone => microphone,
            AudioRole::Speaker | AudioRole::Ring => speaker,
        }
    }

    fn elsewhere(&self, job: impl FnOnce() -> Message + Send + 'static) -> bool {
        let messages = self.messages.clone();
        let run = move || drop(messages.send(job()));
        thread::Builder::new().name("audio-devices".into()).spawn(run).is_ok()
    }
}

/// A dead device may take its time to close; nobody waits for it.
fn close(stream: Stream) {
    let _ = thread::Builder::new().name("audio-close".into()).spawn(move || drop(stream));
}

impl fmt::Debug for Sound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, rate_hz) = match self {
            Self::Captured { rate_hz, .. } => ("Captured", rate_hz),
            Self::Played { rate_hz, .. } => ("Played", rate_hz),
        };
        f.debug_struct(name).field("rate_hz", rate_hz).finish_non_exhaustive()
    }
}
