//! The sound of calls, and sound that is tried without one.

use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::calls::LiveCall;
use super::commands::{internal, random};
use super::foreign::Foreign;
use super::{Desk, DeskInput};
use crate::audio::{RingTone, Ringing, SinkSpec};
use crate::base::{CallId, EndReason, Person, SeqNo};
use crate::engine::sound::{Sound, SoundId, SoundNews, Surroundings, device_failure};
use crate::engine::voice_thread::{Peer, PeerKey, Transmit};
use crate::engine::{AudioOptions, CommandId, CommandResult, Event, Failure, FailureKind, Reply, Retry, SoundTrial};
use crate::voice::{Receiver, ReceiverSettings};

/// A microphone that was forgotten must not stay open.
const LONGEST_TRIAL: Duration = Duration::from_secs(120);
/// As long as the first strokes of the bells.
const TRIAL_RING: Duration = Duration::from_secs(2);

/// Sound without a call.
pub(super) struct Trial {
    pub kind: SoundTrial,
    sound: Sound,
    until: Instant,
    /// Waits for the devices to open.
    command: Option<CommandId>,
}

/// As if what was open had been closed.
pub(super) fn nothing_is_open() -> CancellationToken {
    let token = CancellationToken::new();
    token.cancel();
    token
}

/// Calls.
impl Desk {
    /// The voice thread and the devices, if they do not run already.
    pub(super) fn start_sound(&mut self) -> Result<(), Failure> {
        if self.sound.is_none() {
            self.stop_trial();
            let (microphone, deafened) = (self.microphone(), self.deafened);
            let surroundings = self.surroundings();
            self.sound = Some(Sound::start(&self.options.audio, microphone, deafened, surroundings)?);
        }
        Ok(())
    }

    /// Lets go of the devices, which may take a while.
    pub(super) fn close_sound(&mut self, sound: Sound) {
        self.devices_are_free = CancellationToken::new();
        let free = self.devices_are_free.clone().drop_guard();
        self.closing.spawn(async move {
            let close = spawn_blocking(move || {
                sound.close();
                drop(free);
            });
            drop(close.await);
        });
    }

    /// Nobody is talked with any more, and nobody is waited for.
    pub(super) fn close_sound_if_unused(&mut self) {
        if self.calls.is_empty()
            && !self.groups.any_joined()
            && let Some(sound) = self.sound.take()
        {
            self.close_sound(sound);
        }
    }

    /// Media may flow: there is a way to the peer.
    pub(super) fn join_voice(&mut self, call: CallId) {
        let Some(live) = self.calls.get(&call) else { return };
        let (key, person) = (live.key, live.peer);
        self.take_seat(key, person);
        let Some(live) = self.calls.get(&call) else { return };
        let (Some(sound), Some(link)) = (&self.sound, &live.link) else { return };
        sound.set_outlet(key, Some((link.clone(), live.resilience.protection())));
        sound.set_on_hold(key, live.is_on_hold());
        let listens = match live.group.zip(person) {
            Some((group, person)) => self.groups.sends_to(group, person),
            None => self.foreign.get(&call).is_none_or(Foreign::listens),
        };
        sound.set_listens(key, listens);
    }

    /// A person's jitter buffer moves into the voice thread, unless it is there.
    pub(super) fn take_seat(&mut self, key: PeerKey, person: Option<Person>) {
        let gain = person.map(|person| self.person(person).volume).unwrap_or_default().gain();
        let (Some(sound), Some(seat)) = (&self.sound, self.seats.get_mut(&key)) else { return };
        let Some(incoming) = seat.packets.take() else { return };
        match Receiver::new(ReceiverSettings::default()).map(Receiver::with_levelling) {
            Ok(receiver) => sound.add_peer(Box::new(Peer::new(key, incoming, receiver, gain))),
            Err(why) => tracing::error!(%why, "no decoder for this peer"),
        }
    }

    /// The way of a call that is over. Whose voice is still to be heard, over another way, keeps their seat.
    pub(super) fn leave_voice(&mut self, live: &LiveCall) {
        let has_another_way = self.calls.values().any(|other| other.key == live.key && other.link_task.is_some());
        let stays = self.groups.has_seat(live.key);
        if let Some(sound) = self.sound.as_ref().filter(|_| !has_another_way) {
            if stays {
                sound.set_outlet(live.key, None);
            } else {
                sound.remove_peer(live.key);
            }
        }
        if !has_another_way && !stays {
            self.seats.remove(&live.key);
        }
    }

    pub(super) fn handle_sound(&mut self, of: SoundId, news: SoundNews, now: Instant) {
        if let Some(trial) = self.trial.as_mut().filter(|trial| trial.sound.is(of)) {
            let told = trial.sound.handle(news);
            return self.handle_trial(told, now);
        }
        // What an earlier sound had on its way is closed by being dropped.
        let Some(sound) = self.sound.as_mut().filter(|sound| sound.is(of)) else { return };
        match sound.handle(news) {
            Ok(told) => told.into_iter().for_each(|event| self.emit_at(now, event)),
            Err(why) => {
                self.emit_at(now, Event::Failed(why));
                self.leave_all_groups(now);
                let calls: Vec<CallId> = self.calls.keys().copied().collect();
                for call in calls {
                    self.hang_up(call, EndReason::Device, now);
                }
            }
        }
    }

    fn surroundings(&mut self) -> Surroundings {
        Surroundings {
            id: SoundId(self.new_session().0),
            levels: self.backstage.levels.clone(),
            news: self.voice_news.clone(),
            desk: self.inbox.clone(),
            after: self.devices_are_free.clone(),
            first_seq: SeqNo(u16::from_ne_bytes(random())),
        }
    }
}

/// Trying it out.
impl Desk {
    /// `None`: the command finishes when the devices are open.
    pub(super) fn try_sound(&mut self, command: CommandId, wish: Option<SoundTrial>) -> Option<CommandResult> {
        let Some(kind) = wish else {
            self.stop_trial();
            return Some(Ok(Reply::Done));
        };
        if !self.calls.is_empty() {
            return Some(Err(Failure::usage("there is a call, and sound cannot be tried during one; hang up first")));
        }
        let until = Instant::now() + LONGEST_TRIAL;
        if let Some(trial) = self.trial.as_mut().filter(|trial| trial.kind == kind) {
            trial.until = until;
            return Some(Ok(Reply::Done));
        }
        self.stop_trial();
        let surroundings = self.surroundings();
        let options = trial_options(&self.options.audio, kind);
        // Muting is about who hears us: here nobody does.
        let mut sound = match Sound::start(&options, (false, Transmit::Always), false, surroundings) {
            Ok(sound) => sound,
            Err(why) => return Some(Err(why)),
        };
        // Files begin at once, and anew in the next call.
        sound.connected(None, Instant::now());
        if kind == SoundTrial::Echo {
            sound.play_back();
        }
        self.trial = Some(Trial { kind, sound, until, command: Some(command) });
        None
    }

    /// Other devices or another treatment of their sound were chosen.
    pub(super) fn follow_in_trial(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.sound.follow(&trial_options(&self.options.audio, trial.kind));
        }
    }

    pub(super) fn stop_trial(&mut self) {
        if let Some(trial) = self.trial.take() {
            self.close_sound(trial.sound);
            if let Some(command) = trial.command {
                self.finish(command, Err(Failure::usage("it was stopped before the devices were open")));
            }
        }
    }

    pub(super) fn trial_timeout(&self) -> Option<Instant> {
        self.trial.as_ref().map(|trial| trial.until)
    }

    pub(super) fn handle_trial_timeout(&mut self, now: Instant) {
        if self.trial_timeout().is_some_and(|until| until <= now) {
            self.stop_trial();
        }
    }

    fn handle_trial(&mut self, told: Result<Option<Event>, Failure>, now: Instant) {
        let Some(trial) = &mut self.trial else { return };
        match told {
            Ok(told) => {
                let finished = trial.command.take_if(|_| trial.sound.is_open());
                told.into_iter().for_each(|event| self.emit_at(now, event));
                finished.into_iter().for_each(|command| self.finish(command, Ok(Reply::Done)));
            }
            Err(why) => {
                let command = trial.command.take();
                self.stop_trial();
                match command {
                    Some(command) => self.finish(command, Err(why)),
                    None => self.emit_at(now, Event::Failed(why)),
                }
            }
        }
    }

    /// The command finishes when it has rung.
    pub(super) fn try_ring(&mut self, command: CommandId) -> Result<(), Failure> {
        let sink = self.options.audio.ring_device.clone();
        if sink == SinkSpec::Null {
            return Err(Failure::usage("ringing is turned off; choose a device for it first"));
        }
        if std::mem::replace(&mut self.trying_ring, true) {
            return Err(Failure {
                kind: FailureKind::Busy,
                retry: Retry::Later,
                detail: "it is ringing already".to_owned(),
            });
        }
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let result = ring_once(sink).await.map(|()| Reply::Done);
            let _ = inbox.send(DeskInput::RingTried { command, result }).await;
        });
        Ok(())
    }

    pub(super) fn ring_tried(&mut self, command: CommandId, result: CommandResult) {
        self.trying_ring = false;
        self.finish(command, result);
    }
}

/// The echo canceller stays on: it takes away what the loudspeaker plays, so that no word comes back a second time, and
/// leaves what is said, as in a call.
fn trial_options(options: &AudioOptions, kind: SoundTrial) -> AudioOptions {
    let speaker = match kind {
        SoundTrial::Meter => SinkSpec::Null,
        SoundTrial::Echo => options.speaker.clone(),
    };
    AudioOptions { speaker, echo: false, ..options.clone() }
}

async fn ring_once(sink: SinkSpec) -> Result<(), Failure> {
    let died = |why: tokio::task::JoinError| internal(&why);
    let tone = spawn_blocking(move || RingTone::start(Ringing::Incoming, &sink)).await.map_err(died)?;
    let tone = tone.map_err(|why| device_failure(&why))?;
    tokio::time::sleep(TRIAL_RING).await;
    spawn_blocking(move || drop(tone)).await.map_err(died)
}
