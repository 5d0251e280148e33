//! What each command does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::spawn_blocking;

use super::{Desk, DeskInput};
use crate::base::{CallId, EndReason, Person};
use crate::call::{DialRefused, Invite};
use crate::control::{Ask, Response};
use crate::engine::backup::{self, BACKUP_EXPORTED, Belongings};
use crate::engine::doctor::{self, Asker, Patient};
use crate::engine::profile::{DISPLAY_NAME, stored};
use crate::engine::remote::{self, RemoteVerb};
use crate::engine::session::{Dial, Opening, Progress};
use crate::engine::voice_thread::Transmit;
use crate::engine::whom;
use crate::engine::{
    AudioChoice, CallPhase, Command, CommandId, CommandKind, CommandResult, Diagnosis, Event, Failure, FailureKind,
    LookupReport, NetworkChoice, Reply, Retry, TransmitMode,
};
use crate::identity::{Link, Passphrase, clean_name};
use crate::rendezvous::Rendezvous;

/// Ringing time of a call that another process asked for; as `--ring-timeout`'s default.
const DEFAULT_RING_TIMEOUT: Duration = Duration::from_secs(45);

impl Desk {
    pub(super) async fn obey(&mut self, command: Command) {
        let Command { id, kind } = command;
        let now = Instant::now();
        let result = match kind {
            CommandKind::Dial { to, ring_timeout } => self.dial(to, ring_timeout, now).map(Reply::Call),
            CommandKind::Answer { call } => done_if(self.switchboard.answer(call, now)),
            CommandKind::Decline { call } => done_if(self.switchboard.decline(call, now)),
            CommandKind::HangUp { call, reason } => done_if(self.hang_up(call, reason, now)),
            CommandKind::OfferSdp { patience } => self.offer_sdp(patience, now).map(Reply::Call),
            CommandKind::AcceptSdp { call, answer } => self.accept_sdp(call, &answer, now),
            CommandKind::AnswerSdp { offer, patience } => self.answer_sdp(&offer, patience, now).map(Reply::Call),
            CommandKind::SetMuted { muted } => self.set_muted(muted),
            CommandKind::HoldTalkKey { down } => self.hold_talk_key(down),
            CommandKind::SetHeld { call, held } => self.set_held(call, held, now),
            CommandKind::SetDeafened { deafened } => self.set_deafened(deafened),
            CommandKind::Group(command) => self.obey_group(command, now).await,
            CommandKind::Lookup { person } => match self.look_up(id, person) {
                Ok(()) => return,
                Err(failure) => Err(failure),
            },
            CommandKind::Diagnose { mapping_lifetime } => return self.diagnose(Asker::Command(id), mapping_lifetime),
            CommandKind::LookAt { person } => {
                let rendezvous = self.rendezvous.as_ref();
                self.looked_at = person.zip(rendezvous).map(|(person, rendezvous)| rendezvous.prepare(person));
                Ok(Reply::Done)
            }
            CommandKind::ListContacts => Ok(Reply::Contacts(self.contacts.to_vec())),
            CommandKind::AddContact { link, name } => self.add_contact(link, name).await,
            CommandKind::RenameContact { person, name } => self.rename_contact(person, name).await,
            CommandKind::RemoveContact { person } => self.remove_contact(person).await,
            CommandKind::SetBlocked { person, blocked } => self.set_blocked(person, blocked).await,
            CommandKind::SetVolume { person, volume } => self.set_volume(person, volume).await,
            CommandKind::SetRoute { person, route } => self.set_route(person, route).await,
            CommandKind::SetVerified { person, verified } => self.set_verified(person, verified).await,
            CommandKind::ChooseAudio(choice) => self.choose_audio(choice).await,
            CommandKind::ChooseNetwork(choice) => self.choose_network(choice).await,
            CommandKind::SetDisplayName { name } => self.set_display_name(name).await,
            CommandKind::TrySound(trial) => match self.try_sound(id, trial) {
                Some(result) => result,
                None => return,
            },
            CommandKind::TryRing => match self.try_ring(id) {
                Ok(()) => return,
                Err(failure) => Err(failure),
            },
            CommandKind::ListDevices => return self.list_devices(id),
            CommandKind::SetPreference { key, value } => self.set_preference(key, value).await,
            CommandKind::ExportIdentity { file, passphrase } => return self.export_identity(id, file, passphrase),
            CommandKind::ListHistory { limit } => self.store.history(limit).await.map(Reply::History).map_err(stored),
            CommandKind::Shutdown => {
                self.stopping = true;
                Ok(Reply::Done)
            }
        };
        self.finish(id, result);
    }

    pub(super) fn finish(&self, id: CommandId, result: CommandResult) {
        // Whoever reads of it finds it in the snapshot.
        self.publish_snapshot();
        self.emit(Event::CommandFinished { id, result });
    }

    fn dial(&mut self, to: Link, ring_timeout: Duration, now: Instant) -> Result<CallId, Failure> {
        let Some(rendezvous) = self.rendezvous.clone() else { return Err(offline()) };
        let call = CallId::from_bytes(random());
        let name = self.options.display_name.clone();
        let invite = match self.switchboard.dial(call, to.person, name, ring_timeout, now) {
            Ok(invite) => invite,
            // Two people who dial each other want to talk.
            Err(DialRefused::TheyCall { call }) if self.switchboard.answer(call, now) => return Ok(call),
            Err(why) => return Err(refused(&why)),
        };
        self.begin_call(call, Some(to.person), crate::engine::CallSide::Caller, now);
        let said_name = to.name.clone();
        self.start_sound()?;
        self.open_link(call);
        self.emit_at(now, Event::Dialing { call, peer: to.person });
        self.ring(rendezvous, call, to, invite);
        if let Some(live) = self.calls.get_mut(&call) {
            // Somebody who is no contact is called as their link says.
            live.name = live.name.take().or(said_name);
        }
        Ok(call)
    }

    /// Looks for the callee of a call that has begun, and lets it ring there.
    pub(super) fn ring(&mut self, rendezvous: Rendezvous, call: CallId, to: Link, invite: Invite) {
        let dial = self.dial_of(rendezvous, call, to, Opening::Invite(invite.clone()));
        let task = self.signalling.spawn(dial.ring());
        if let Some(live) = self.calls.get_mut(&call) {
            live.dialling = Some(task);
            live.invite = Some(invite);
        }
    }

    pub(super) fn dial_of(&mut self, rendezvous: Rendezvous, call: CallId, to: Link, opening: Opening) -> Dial {
        Dial {
            rendezvous,
            me: self.me.clone(),
            to,
            call,
            opening,
            ids: self.new_sessions(),
            progress: Progress::default(),
            desk: self.inbox.clone(),
        }
    }

    async fn choose_audio(&mut self, choice: AudioChoice) -> CommandResult {
        let (key, value) = choice.preference();
        choice.apply(&mut self.options.audio);
        self.audio_shown = Arc::new(self.options.audio.clone());
        if let Some(sound) = &mut self.sound {
            sound.follow(&self.options.audio);
        }
        self.follow_in_trial();
        self.switch_microphone(Instant::now());
        self.set_preference(key.to_owned(), Some(value)).await
    }

    async fn choose_network(&mut self, choice: NetworkChoice) -> CommandResult {
        choice.check()?;
        let (key, value) = choice.preference();
        choice.apply(&mut self.options.network);
        self.network_shown = Arc::new(self.options.network.clone());
        self.set_preference(key.to_owned(), Some(value)).await
    }

    async fn set_display_name(&mut self, name: Option<String>) -> CommandResult {
        let name = name.as_deref().and_then(clean_name);
        self.options.display_name.clone_from(&name);
        self.set_preference(DISPLAY_NAME.to_owned(), name).await
    }

    /// Sound systems answer when they like.
    fn list_devices(&self, command: CommandId) {
        let inbox = self.inbox.clone();
        spawn_blocking(move || {
            let result = crate::engine::devices().map(Reply::Devices);
            drop(inbox.blocking_send(DeskInput::Done { command, result }));
        });
    }

    async fn set_preference(&mut self, key: String, value: Option<String>) -> CommandResult {
        self.store.set_setting(key.clone(), value.clone()).await.map_err(stored)?;
        let all = Arc::make_mut(&mut self.preferences);
        match value {
            Some(value) => all.insert(key, value),
            None => all.remove(&key),
        };
        Ok(Reply::Done)
    }

    /// The passphrase takes its time, and so may the disk.
    fn export_identity(&self, command: CommandId, file: PathBuf, passphrase: Passphrase) {
        let content = Belongings {
            contacts: &self.contacts,
            blocked: &self.blocked,
            people: &self.people,
            preferences: &self.preferences,
        }
        .pack();
        let (key, store, inbox) = (self.me.clone(), self.store.clone(), self.inbox.clone());
        tokio::spawn(async move {
            let written = spawn_blocking(move || backup::export(&key, &content, &file, &passphrase)).await;
            let result = written.unwrap_or_else(|why| Err(internal(&why)));
            if let Ok(made_unix_s) = result {
                // The backup is there all the same; only the reminder comes again.
                if let Err(why) = store.set_setting(BACKUP_EXPORTED, Some(made_unix_s.to_string())).await {
                    tracing::warn!(%why, "it is not noted that there is a backup");
                }
            }
            let _ = inbox.send(DeskInput::Exported { command, result }).await;
        });
    }

    pub(super) fn exported(&mut self, command: CommandId, result: Result<i64, Failure>) {
        let result = result.map(|made_unix_s| {
            Arc::make_mut(&mut self.preferences).insert(BACKUP_EXPORTED.to_owned(), made_unix_s.to_string());
            Reply::Done
        });
        self.finish(command, result);
    }

    fn set_muted(&mut self, muted: bool) -> CommandResult {
        let now = Instant::now();
        (self.muted, self.talk_key) = (muted, None);
        self.switch_microphone(now);
        for call in self.calls.keys() {
            self.emit_at(now, Event::Muted { call: *call, by_peer: false, muted });
        }
        Ok(Reply::Done)
    }

    fn hold_talk_key(&mut self, down: bool) -> CommandResult {
        let open_anyway = !self.muted && self.options.audio.transmit != TransmitMode::OnKey;
        if !open_anyway && (down || self.talk_key.is_some()) {
            self.talk_key = Some(down);
            self.switch_microphone(Instant::now());
        }
        Ok(Reply::Done)
    }

    fn switch_microphone(&mut self, now: Instant) {
        if let Some(sound) = &self.sound {
            sound.set_microphone(self.microphone());
        }
        self.switchboard.set_muted(self.deafened || (self.muted && self.talk_key != Some(true)), now);
    }

    /// Whether the microphone is muted, and else when it is sent. A key that was let go lets the word end.
    pub(super) fn microphone(&self) -> (bool, Transmit) {
        match (self.talk_key, self.options.audio.transmit) {
            (Some(down), _) => (false, Transmit::OnKey { down }),
            (None, TransmitMode::OnKey) => (self.muted, Transmit::OnKey { down: false }),
            (None, TransmitMode::OnVoice) => (self.muted, Transmit::OnVoice),
            (None, TransmitMode::Always) => (self.muted, Transmit::Always),
        }
    }

    fn set_deafened(&mut self, deafened: bool) -> CommandResult {
        self.deafened = deafened;
        if let Some(sound) = &self.sound {
            sound.set_deafened(deafened);
        }
        self.switch_microphone(Instant::now());
        Ok(Reply::Done)
    }

    fn look_up(&mut self, command: CommandId, person: Person) -> Result<(), Failure> {
        let Some(rendezvous) = self.rendezvous.clone() else { return Err(offline()) };
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let found = rendezvous.lookup(person).await;
            let report =
                LookupReport { found: found.found, seq: found.seq, took: found.took, requests: found.requests };
            let _ = inbox.send(DeskInput::Done { command, result: Ok(Reply::Lookup(report)) }).await;
        });
        Ok(())
    }

    /// Begins to look at everything; the result goes to whoever asked, and so does a refusal.
    fn diagnose(&mut self, asker: Asker, mapping_lifetime: Option<Duration>) {
        let rendezvous = match self.rendezvous.clone() {
            None => return self.tell_diagnosis(asker, Err(offline())),
            Some(_) if self.diagnosing => {
                return self.tell_diagnosis(asker, Err(Failure::usage("a diagnosis is under way already")));
            }
            Some(rendezvous) => rendezvous,
        };
        self.diagnosing = true;
        let patient = Patient {
            options: self.options.clone(),
            rendezvous,
            snapshot: self.backstage.snapshot.subscribe(),
            in_call: !self.calls.is_empty(),
            mapping_lifetime,
        };
        let inbox = self.inbox.clone();
        // Another process reads the checks with the result; here nobody asked for them.
        let told = matches!(asker, Asker::Command(_)).then(|| inbox.clone());
        tokio::spawn(async move {
            let diagnosis = Box::new(doctor::examine(patient, told).await);
            let _ = inbox.send(DeskInput::Diagnosed { asker, diagnosis }).await;
        });
    }

    pub(super) fn diagnosed(&mut self, asker: Asker, diagnosis: Box<Diagnosis>) {
        self.diagnosing = false;
        self.network = Some(diagnosis.network.clone());
        // Whoever reads the result finds the same in the snapshot.
        self.publish_snapshot();
        self.tell_diagnosis(asker, Ok(diagnosis));
    }

    fn tell_diagnosis(&self, asker: Asker, result: Result<Box<Diagnosis>, Failure>) {
        match asker {
            Asker::Command(id) => self.finish(id, result.map(Reply::Diagnosis)),
            Asker::Process(ask) => {
                let value = result.and_then(|diagnosis| serde_json::to_value(diagnosis).map_err(|why| internal(&why)));
                ask.answer(respond(value));
            }
        }
    }

    /// Another process of this profile hands over its verb.
    pub(super) async fn answer_ask(&mut self, ask: Ask) {
        match remote::from_request(&ask.request) {
            Ok(RemoteVerb::Diagnose) => self.diagnose(Asker::Process(ask), None),
            Ok(verb) => match self.group_wish(&verb) {
                Some(wish) => {
                    let done = match wish {
                        Ok(command) => self.obey_group(command, Instant::now()).await,
                        Err(why) => Err(why),
                    };
                    ask.answer(respond(done.map(|reply| self.after_group_wish(reply))));
                }
                None => ask.answer(respond(self.do_for_another(verb))),
            },
            Err(why) => ask.answer(respond(Err(why))),
        }
    }

    fn do_for_another(&mut self, verb: RemoteVerb) -> Result<serde_json::Value, Failure> {
        let now = Instant::now();
        match verb {
            // A diagnosis takes its time and is answered when it is there; group calls have had their turn.
            RemoteVerb::Status | RemoteVerb::Diagnose => {}
            RemoteVerb::GroupStart { .. }
            | RemoteVerb::GroupJoin { .. }
            | RemoteVerb::GroupRejoin
            | RemoteVerb::GroupAdd { .. }
            | RemoteVerb::GroupRemove { .. }
            | RemoteVerb::GroupLink { .. }
            | RemoteVerb::GroupRevoke
            | RemoteVerb::GroupAccept
            | RemoteVerb::GroupDecline
            | RemoteVerb::GroupLeave => {}
            RemoteVerb::Mute => drop(self.set_muted(true)?),
            RemoteVerb::TalkKey { down } => drop(self.hold_talk_key(down)?),
            RemoteVerb::Unmute => drop(self.set_muted(false)?),
            RemoteVerb::Deafen => drop(self.set_deafened(true)?),
            RemoteVerb::Undeafen => drop(self.set_deafened(false)?),
            RemoteVerb::Hold => self.hold_all(true, now)?,
            RemoteVerb::Unhold => self.hold_all(false, now)?,
            RemoteVerb::HangUp => {
                let left = self.leave_all_groups(now);
                let calls: Vec<CallId> = self.calls.keys().copied().collect();
                let ended = calls.into_iter().filter(|call| self.hang_up(*call, EndReason::HangUp, now));
                if ended.count() + left == 0 {
                    return Err(Failure::usage("there is no call to hang up"));
                }
            }
            RemoteVerb::Open { .. } | RemoteVerb::Show if !self.options.windowed => return Err(no_window()),
            RemoteVerb::Open { link } => self.emit(Event::LinkOpened { link: whom::openable(&link)? }),
            RemoteVerb::Show => self.emit(Event::ShowRequested),
            RemoteVerb::Call { link } => {
                let to = self.whom(&link)?;
                let call = self.dial(to, DEFAULT_RING_TIMEOUT, now)?;
                return Ok(json!({ "call": call.to_string() }));
            }
        }
        Ok(self.status(now))
    }

    /// Who is meant by a link, or by the name of a contact.
    pub(super) fn whom(&self, text: &str) -> Result<Link, Failure> {
        whom::resolve(&self.contacts, text)
    }

    /// What `status --json` prints.
    pub(super) fn status(&self, now: Instant) -> serde_json::Value {
        let calls: Vec<_> = self
            .calls
            .iter()
            .map(|(id, live)| {
                let call = live.snapshot(*id);
                json!({
                    "call": id.to_string(),
                    "group": call.group.map(|group| group.to_string()),
                    "peer": call.peer.map(|peer| peer.to_string()),
                    "name": call.name,
                    "phase": phase_name(call.phase),
                    "seconds": call.connected_at.map(|at| now.duration_since(at).as_secs()),
                    "path": call.path.as_ref().map(|path| if path.is_relayed() { "relayed" } else { "direct" }),
                    "peer_muted": call.peer_muted,
                    "held": call.held,
                    "peer_held": call.peer_held,
                })
            })
            .collect();
        json!({
            "person": self.me.person().to_string(),
            "link": self.my_link().to_string(),
            "node": self.node.as_ref().map(ToString::to_string),
            "super_peer": self.super_peer,
            "acks": self.presence_acks,
            "muted": self.muted,
            "talk_key": self.talk_key == Some(true),
            "deafened": self.deafened,
            "calls": calls,
            "groups": self.groups_status(now),
        })
    }
}

fn no_window() -> Failure {
    Failure {
        kind: FailureKind::ProfileInUse,
        retry: Retry::AfterUserAction,
        detail: format!(
            "the profile is in use by process {}, which has no window: end it first, or have it call somebody with \
             `twocans call LINK`",
            std::process::id()
        ),
    }
}

fn respond(result: Result<serde_json::Value, Failure>) -> Response {
    match result {
        Ok(value) => Response::Done(value),
        Err(failure) => Response::refused(remote::name_of(failure.kind), &failure.detail),
    }
}

pub(super) fn internal(why: &impl std::fmt::Display) -> Failure {
    Failure { kind: FailureKind::Internal, retry: Retry::Later, detail: why.to_string() }
}

pub(super) fn phase_name(phase: CallPhase) -> &'static str {
    match phase {
        CallPhase::Dialing => "dialing",
        CallPhase::Ringing => "ringing",
        CallPhase::Connecting => "connecting",
        CallPhase::Connected => "connected",
        CallPhase::Reconnecting => "reconnecting",
        CallPhase::Ended => "ended",
    }
}

fn done_if(possible: bool) -> CommandResult {
    if possible { Ok(Reply::Done) } else { Err(Failure::usage("there is no such call any more")) }
}

fn refused(why: &DialRefused) -> Failure {
    match why {
        DialRefused::Myself => Failure::usage("that is your own link: to try a call alone, run `twocans demo`"),
        DialRefused::Busy | DialRefused::TheyCall { .. } => {
            Failure { kind: FailureKind::Busy, retry: Retry::Later, detail: why.to_string() }
        }
        _ => Failure::usage(why.to_string()),
    }
}

pub(super) fn offline() -> Failure {
    Failure::usage("this process is not on the network")
}

pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system's random source works: keys could not be made without it");
    bytes
}
