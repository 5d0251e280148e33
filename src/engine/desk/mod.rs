//! The engine's desk: one select loop on the `net` runtime through which everything that happens passes.
//!
//! The rooms report by [`DeskInput`]; front ends by [`Command`](super::Command); nothing here blocks. After each input the switchboard
//! (the call state machines) is drained into messages, link jobs and events, and the snapshot is published if it
//! changed. What belongs to one call lies in [`calls`], how it gets over a change or failure in [`reconnecting`], calls
//! with endpoints that are not ours in [`foreign`], calls on hold in [`hold`], group calls in [`groups`], what is known of people in [`people`], what a command does in [`commands`], sound in [`sounds`], figures in [`reports`].

mod calls;
mod commands;
mod foreign;
mod groups;
mod hold;
mod people;
mod reconnecting;
mod reports;
mod sounds;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Interval, sleep_until};
use tokio_util::sync::CancellationToken;

use self::calls::LiveCall;
use self::foreign::Foreign;
use self::groups::Groups;
use self::sounds::Trial;
use super::clock::unix_now_s;
use super::doctor::Asker;
use super::handle::Backstage;
use super::link_task::LinkNews;
use super::ports::Ports;
use super::relaying::RelayService;
use super::seat::Seat;
use super::session::{self, Invitation, SessionHandle, SessionId};
use super::sound::{Sound, SoundId, SoundNews};
use super::usage::UsageMeter;
use super::voice_thread::{PeerKey, VoiceNews};
use super::{
    AudioOptions, Check, Diagnosis, Event, Failure, NetworkOptions, NetworkReport, Options, Snapshot, Stamped,
    SuperPeerMode,
};
use crate::base::{CallId, GroupId, NodeId, Person};
use crate::call::{GroupLetter, Limits, Message, Switchboard};
use crate::control::{Ask, ControlServer};
use crate::identity::{Link, PersonKey};
use crate::nat::{MappedPort, NetworkChange};
use crate::rendezvous::{Preparation, RelayGrant, Rendezvous, RendezvousEvent, RingFailure, Totals};
use crate::store::{Contact, PersonSettings, Store};

/// Reports waiting for the desk. A room that finds it full waits; the desk never waits for a room.
const INPUT_QUEUE: usize = 256;
/// News from the voice thread; see there for what happens when it is full.
pub(super) const VOICE_NEWS_QUEUE: usize = 256;
/// How often an idle process says what it costs.
const NET_EVERY: Duration = Duration::from_secs(10);
/// How often the ways are checked over which somebody rings.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// Goodbyes that have not left by then are not waited for.
const GOODBYE: Duration = Duration::from_secs(2);

/// What the rooms report.
pub(super) enum DeskInput {
    DialAnswered {
        call: CallId,
        session: SessionHandle,
        reply: Message,
    },
    DialFailed {
        call: CallId,
        why: RingFailure,
    },
    Invited(Invitation),
    Signal {
        session: SessionId,
        message: Message,
    },
    SessionClosed(SessionId),
    Link {
        call: CallId,
        news: LinkNews,
    },
    /// What came of a letter of ours about a group call; `None`: it reached nobody.
    LetterAnswered {
        group: GroupId,
        to: Person,
        reply: Option<GroupLetter>,
    },
    /// A super-peer relays for the call; `None`: no more will.
    Relay {
        call: CallId,
        grant: Option<RelayGrant>,
    },
    /// This machine's way into the network is another one.
    NetworkChanged(NetworkChange),
    /// No super-peer was found in time: these STUN servers may tell our address.
    PublicStun {
        call: CallId,
        servers: Vec<SocketAddr>,
    },
    /// The router has opened a port, or closed it.
    PortMapped(Option<MappedPort>),
    Sound {
        of: SoundId,
        news: SoundNews,
    },
    /// It has rung for trial.
    RingTried {
        command: super::CommandId,
        result: super::CommandResult,
    },
    /// A command that took its time has ended.
    Done {
        command: super::CommandId,
        result: super::CommandResult,
    },
    /// A backup was written, at this Unix time in seconds.
    Exported {
        command: super::CommandId,
        result: Result<i64, Failure>,
    },
    RingFailed {
        call: CallId,
        why: String,
    },
    Totals(Totals),
    Checked(Check),
    Diagnosed {
        asker: Asker,
        diagnosis: Box<Diagnosis>,
    },
}

/// What start-up has prepared.
pub(super) struct Furniture {
    pub options: Options,
    /// What the profile keeps of choices and for front ends.
    pub preferences: BTreeMap<String, String>,
    pub me: PersonKey,
    pub store: Store,
    pub control: ControlServer,
    pub asks: mpsc::Receiver<Ask>,
    pub online: Option<(Rendezvous, mpsc::Receiver<RendezvousEvent>)>,
    pub media: Handle,
    pub backstage: Backstage,
    pub wake: Arc<dyn Fn() + Send + Sync>,
    pub first_failures: Vec<Failure>,
}

pub(super) struct Desk {
    options: Options,
    me: PersonKey,
    store: Store,
    media: Handle,
    backstage: Backstage,
    wake: Arc<dyn Fn() + Send + Sync>,
    rendezvous: Option<Rendezvous>,

    switchboard: Switchboard,
    calls: BTreeMap<CallId, LiveCall>,
    /// Those of `calls` whose other end is not ours.
    foreign: BTreeMap<CallId, Foreign>,
    sessions: BTreeMap<SessionId, CallId>,
    next_session: u64,
    /// Shared with every snapshot; replaced as a whole.
    contacts: Arc<Vec<Contact>>,
    blocked: Arc<BTreeSet<Person>>,
    people: Arc<BTreeMap<Person, PersonSettings>>,
    preferences: Arc<BTreeMap<String, String>>,
    /// The options' sound, as snapshots share it.
    audio_shown: Arc<AudioOptions>,
    network_shown: Arc<NetworkOptions>,

    /// Of calls.
    sound: Option<Sound>,
    trial: Option<Trial>,
    trying_ring: bool,
    /// Cancelled when the last sound that ended has let go of the devices.
    devices_are_free: CancellationToken,
    /// When this process's microphone file began.
    mic_t0: Option<Instant>,
    muted: bool,
    /// Whether the push-to-talk key is down; `None` while it has not been touched since the microphone was last switched.
    talk_key: Option<bool>,
    deafened: bool,

    inbox: mpsc::Sender<DeskInput>,
    voice_news: mpsc::Sender<VoiceNews>,
    /// Dials and signalling sessions, ours and others'.
    signalling: JoinSet<()>,
    /// Links and devices that are being closed.
    closing: JoinSet<()>,
    usage: UsageMeter,
    node: Option<NodeId>,
    super_peer: bool,
    relay_service: RelayService,
    ports: Ports,
    /// What the router has opened.
    mapped: Option<MappedPort>,
    presence_acks: u32,
    diagnosing: bool,
    /// Keeps the way to whose contact is on screen warm.
    looked_at: Option<Preparation>,
    groups: Groups,
    /// Ways into the voice thread, by whom they are for.
    seats: BTreeMap<PeerKey, Seat>,
    /// Synchronisation source of our voice, as long as there is a call.
    ssrc: u32,
    network: Option<NetworkReport>,
    /// When the ways were checked last.
    checked: Instant,
    stopping: bool,
}

/// Runs until [`super::CommandKind::Shutdown`] or until the last handle and front end are gone.
pub(super) async fn run(furniture: Furniture) {
    let Furniture {
        options,
        preferences,
        me,
        store,
        control,
        mut asks,
        online,
        media,
        backstage,
        wake,
        first_failures,
    } = furniture;
    let (inbox, mut inputs) = mpsc::channel(INPUT_QUEUE);
    let (voice_news, mut voice) = mpsc::channel(VOICE_NEWS_QUEUE);
    let (rendezvous, mut network) = match online {
        Some((rendezvous, events)) => (Some(rendezvous), Some(events)),
        None => (None, None),
    };
    let contacts = Arc::new(store.contacts().await.unwrap_or_default());
    let blocked = Arc::new(store.blocked().await.unwrap_or_default());
    let people = Arc::new(store.people().await.unwrap_or_default());
    let audio_shown = Arc::new(options.audio.clone());
    let network_shown = Arc::new(options.network.clone());
    let relay_service = RelayService::new(&options.network);
    // A second caller waits where somebody can choose.
    let calls = if options.windowed { 2 } else { 1 };
    let limits = Limits { calls, ..Limits::default() };
    let mut desk = Desk {
        switchboard: Switchboard::new(me.clone(), limits),
        options,
        me,
        store,
        media,
        backstage,
        wake,
        rendezvous,
        calls: BTreeMap::new(),
        foreign: BTreeMap::new(),
        sessions: BTreeMap::new(),
        next_session: 1,
        contacts,
        blocked,
        people,
        preferences: Arc::new(preferences),
        audio_shown,
        network_shown,
        sound: None,
        trial: None,
        trying_ring: false,
        devices_are_free: sounds::nothing_is_open(),
        mic_t0: None,
        muted: false,
        talk_key: None,
        deafened: false,
        inbox,
        voice_news,
        signalling: JoinSet::new(),
        closing: JoinSet::new(),
        usage: UsageMeter::new(Instant::now()),
        node: None,
        super_peer: false,
        relay_service,
        ports: Ports::default(),
        mapped: None,
        presence_acks: 0,
        diagnosing: false,
        looked_at: None,
        groups: Groups::default(),
        seats: BTreeMap::new(),
        ssrc: 0,
        network: None,
        checked: Instant::now(),
        stopping: false,
    };
    desk.watch_network();
    desk.recall_unfinished_group().await;
    desk.switchboard.set_clock(unix_now_s().unsigned_abs(), Instant::now());
    for contact in desk.contacts.iter() {
        desk.switchboard.set_known(contact.person, true);
    }
    for person in desk.blocked.iter() {
        desk.switchboard.set_blocked(*person, true);
    }
    for failure in first_failures {
        desk.emit(Event::Failed(failure));
    }
    let mut every_10_s = tokio::time::interval_at(tokio::time::Instant::now() + NET_EVERY, NET_EVERY);
    while !desk.stopping {
        desk.drain_switchboard().await;
        desk.publish_snapshot();
        desk.step(&mut inputs, &mut voice, &mut network, &mut asks, &mut every_10_s).await;
    }
    desk.say_goodbye(&mut inputs).await;
    drop(control);
    desk.emit(Event::Stopped);
}

impl Desk {
    /// Waits for one thing to happen and deals with it.
    async fn step(
        &mut self,
        inputs: &mut mpsc::Receiver<DeskInput>,
        voice: &mut mpsc::Receiver<VoiceNews>,
        network: &mut Option<mpsc::Receiver<RendezvousEvent>>,
        asks: &mut mpsc::Receiver<Ask>,
        every_10_s: &mut Interval,
    ) {
        let timeout = self.switchboard.poll_timeout().map(|(at, _reason)| at);
        let others = [self.foreign_timeout(), self.trial_timeout(), self.groups_timeout()];
        let timeout = timeout.into_iter().chain(others.into_iter().flatten()).min();
        // Nothing to check, and nothing to wake up for, without a call.
        let check_at = (!self.calls.is_empty()).then_some(self.checked + CHECK_EVERY);
        tokio::select! {
            Some(input) = inputs.recv() => self.handle_input(input),
            Some(news) = voice.recv() => self.handle_voice(news),
            event = next_of(network) => self.handle_network(event),
            command = self.backstage.commands.recv() => match command {
                Some(command) => self.obey(command).await,
                None => self.stopping = true,
            },
            Some(ask) = asks.recv() => self.answer_ask(ask).await,
            () = sleep_until(timeout.unwrap_or_else(Instant::now).into()), if timeout.is_some() => {
                self.switchboard.handle_timeout(Instant::now());
                self.handle_foreign_timeout(Instant::now());
                self.handle_trial_timeout(Instant::now());
                self.handle_groups_timeout(Instant::now());
            }
            () = sleep_until(check_at.unwrap_or_else(Instant::now).into()), if check_at.is_some() => {
                self.checked = Instant::now();
                self.check_ways();
            }
            _ = every_10_s.tick() => self.ask_totals(),
            Some(_) = self.closing.join_next(), if !self.closing.is_empty() => {}
            Some(_) = self.signalling.join_next(), if !self.signalling.is_empty() => {}
        }
    }

    fn handle_input(&mut self, input: DeskInput) {
        let now = Instant::now();
        match input {
            DeskInput::DialAnswered { call, session, reply } => self.dial_answered(call, session, reply, now),
            DeskInput::DialFailed { call, why } => self.switchboard.dial_failed(call, calls::reason_of(why), now),
            DeskInput::Invited(invitation) => self.invited(invitation, now),
            DeskInput::Signal { session, message } => {
                if let Some(call) = self.sessions.get(&session) {
                    self.switchboard.handle_message(*call, message, now);
                }
            }
            DeskInput::SessionClosed(session) => self.session_closed(session, now),
            DeskInput::Link { call, news } => self.handle_link(call, news, now),
            DeskInput::LetterAnswered { group, to, reply } => self.letter_answered(group, to, reply, now),
            DeskInput::Relay { call, grant } => self.relay_granted(call, grant),
            DeskInput::NetworkChanged(change) => self.network_changed(change, now),
            DeskInput::PublicStun { call, servers } => self.ask_public_stun(call, servers),
            DeskInput::PortMapped(mapped) => self.port_mapped(mapped, now),
            DeskInput::Sound { of, news } => self.handle_sound(of, news, now),
            DeskInput::RingTried { command, result } => self.ring_tried(command, result),
            DeskInput::Done { command, result } => self.finish(command, result),
            DeskInput::Exported { command, result } => self.exported(command, result),
            DeskInput::RingFailed { call, why } => {
                tracing::info!(%why, "cannot ring aloud");
                self.emit_at(now, Event::RingFailed { call, why });
            }
            DeskInput::Totals(totals) => self.report_totals(totals),
            DeskInput::Checked(check) => self.emit(Event::Checked(check)),
            DeskInput::Diagnosed { asker, diagnosis } => self.diagnosed(asker, diagnosis),
        }
    }

    fn handle_network(&mut self, event: RendezvousEvent) {
        match event {
            RendezvousEvent::Ready { node, listen, super_peer } => {
                self.node = Some(node.clone());
                self.super_peer = super_peer;
                let (person, link) = (self.me.person(), self.my_link());
                self.emit(Event::Ready { person, link, node, listen, super_peer });
            }
            RendezvousEvent::PresencePublished { relays, acks, took } => {
                self.presence_acks = acks;
                self.emit(Event::PresencePublished { relays, acks, took });
            }
            RendezvousEvent::Incoming { stream, via } => {
                tracing::debug!(?via, "somebody opened a signalling stream");
                let id = self.new_session();
                self.signalling.spawn(session::admit(stream, self.me.clone(), id, self.inbox.clone()));
            }
            RendezvousEvent::SuperPeer { on, reason } => {
                self.super_peer = on;
                self.emit(Event::SuperPeer { on, reason });
            }
            RendezvousEvent::Serving { addresses } => {
                // Who serves unasked has asked its router beforehand, or needs none.
                if self.options.network.super_peer == SuperPeerMode::Always {
                    self.ports.serve(&addresses, &self.options.network, &self.inbox);
                }
                self.relay_service.serve(addresses, Instant::now());
            }
            RendezvousEvent::Inside { address } => {
                self.ports.keep(address, &self.options.network, &self.inbox);
                if address.is_none() {
                    self.port_mapped(None, Instant::now());
                }
            }
            RendezvousEvent::RelayAsked { from, address, reply } => {
                reply.send(self.relay_service.answer(&from, address, Instant::now()));
            }
            RendezvousEvent::Woke => self.emit(Event::NetworkChanged),
            RendezvousEvent::RelayVisited { client } => self.relay_service.visit(client),
        }
    }

    fn port_mapped(&mut self, mapped: Option<MappedPort>, now: Instant) {
        if self.mapped == mapped {
            return;
        }
        self.mapped = mapped;
        if let Some(rendezvous) = &self.rendezvous {
            rendezvous.set_mapped(mapped.map(|mapped| mapped.external));
        }
        self.emit_at(now, Event::PortMapped(mapped));
    }

    fn new_session(&mut self) -> SessionId {
        self.next_session += 1;
        SessionId(self.next_session)
    }

    fn new_sessions(&mut self) -> [SessionId; session::SESSIONS] {
        std::array::from_fn(|_| self.new_session())
    }

    fn my_link(&self) -> Link {
        Link { person: self.me.person(), name: self.options.display_name.clone(), hints: Vec::new() }
    }

    fn contact(&self, person: Person) -> Option<&Contact> {
        self.contacts.iter().find(|contact| contact.person == person)
    }

    /// Their link as the address book has it, or a bare one.
    fn link_of(&self, person: Person) -> Link {
        let known = self.contact(person).map(|contact| contact.link.clone());
        known.unwrap_or(Link { person, name: None, hints: Vec::new() })
    }

    fn emit(&self, event: Event) {
        self.emit_at(Instant::now(), event);
    }

    fn emit_at(&self, at: Instant, event: Event) {
        let group = event.call().and_then(|call| self.calls.get(&call)?.group);
        self.emit_of(at, group, event);
    }

    /// A stream that nobody reads is fine: the snapshot says the same.
    fn emit_of(&self, at: Instant, group: Option<GroupId>, event: Event) {
        let _ = self.backstage.events.send(Stamped { at, group, event });
        (self.wake)();
    }

    fn publish_snapshot(&self) {
        let new = self.snapshot();
        self.backstage.snapshot.send_if_modified(|current| {
            let changed = **current != new;
            if changed {
                *current = Arc::new(new);
            }
            changed
        });
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            me: Some(self.me.person()),
            link: Some(self.my_link()),
            node: self.node.clone(),
            home: self.options.home.clone(),
            super_peer: self.super_peer,
            presence_acks: self.presence_acks,
            calls: self.calls.iter().map(|(id, call)| call.snapshot(*id)).collect(),
            groups: self.groups_shown(),
            unfinished: self.groups.unfinished.as_ref().map(|it| it.shown.clone()),
            muted: self.muted,
            talk_key: self.talk_key == Some(true),
            deafened: self.deafened,
            contacts: self.contacts.clone(),
            blocked: self.blocked.clone(),
            people: self.people.clone(),
            audio: self.audio_shown.clone(),
            network_options: self.network_shown.clone(),
            preferences: self.preferences.clone(),
            trial: self.trial.as_ref().map(|trial| trial.kind),
            network: self.network.clone(),
        }
    }

    /// Hangs up, withdraws presence, closes devices and files; each within a deadline.
    async fn say_goodbye(&mut self, inputs: &mut mpsc::Receiver<DeskInput>) {
        self.leave_all_groups(Instant::now());
        let calls: Vec<CallId> = self.calls.keys().copied().collect();
        for call in calls {
            self.hang_up(call, crate::base::EndReason::Shutdown, Instant::now());
        }
        self.drain_switchboard().await;
        self.stop_trial();
        let goodbyes = async {
            while self.signalling.join_next().await.is_some() {}
            while self.closing.join_next().await.is_some() {}
        };
        let nobody_waits = async { while inputs.recv().await.is_some() {} };
        tokio::select! {
            _ = tokio::time::timeout(GOODBYE, goodbyes) => {}
            () = nobody_waits => {}
        }
        self.looked_at = None;
        let mut ports = std::mem::take(&mut self.ports);
        let leave = async {
            if let Some(rendezvous) = self.rendezvous.take() {
                rendezvous.shutdown().await;
            }
        };
        tokio::join!(leave, ports.close());
        self.store.clone().close().await;
    }
}

/// Pending for ever where there is no network.
async fn next_of(network: &mut Option<mpsc::Receiver<RendezvousEvent>>) -> RendezvousEvent {
    if let Some(events) = network
        && let Some(event) = events.recv().await
    {
        return event;
    }
    std::future::pending().await
}
