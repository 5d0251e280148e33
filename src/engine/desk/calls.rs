//! One call: its sessions, its link, its place in the voice thread.
//!
//! The switchboard decides; this file carries out. A call's objects are made when it is dialled or when it rings, and
//! dropping the [`LiveCall`] ends them in order: queued goodbyes leave first.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::commands::random;
use super::reconnecting;
use super::reports::LastCounters;
use super::{Desk, DeskInput};
use crate::audio::Ringing;
use crate::base::{CallId, EndReason, GroupId, Person};
use crate::call::group::MeshLink;
use crate::call::{CallEvent, Invite, InviteReply, LinkNews as CallNews, Message, Quality, Route};
use crate::engine::doctor::{self, Gathered};
use crate::engine::link_task::{LinkJob, LinkNews, LinkTask};
use crate::engine::relaying::{self, CallRelays};
use crate::engine::ringer::Ringer;
use crate::engine::seat::{self, Seat};
use crate::engine::session::{Invitation, Opening, SessionHandle, SessionId, Verdict};
use crate::engine::sound::resilience_settings;
use crate::engine::tally::Tally;
use crate::engine::voice_thread::PeerKey;
use crate::engine::{
    self, Broken, CallPhase, CallSide, Candidate, Cause, Event, Failure, FailureKind, MediaPath, MeterId, Options,
    PeerStats, Retry, SnapshotCall,
};
use crate::identity::safety_words;
use crate::link::{CandidateKind, FailReason, Interfaces, Link, LinkConfig, LinkEvent, LinkStats, Path, Role};
use crate::rendezvous::{RelayGrant, RingFailure};
use crate::store::HistoryEntry;
use crate::voice::{PathReport, Resilience};

pub(super) struct LiveCall {
    /// `None`: an endpoint that is not ours.
    pub peer: Option<Person>,
    pub name: Option<String>,
    /// The group call of which it is a part.
    pub group: Option<GroupId>,
    pub side: CallSide,
    pub phase: CallPhase,
    pub started: Instant,
    pub started_unix_s: i64,
    pub ring: Option<Duration>,
    /// ANSWER sent or received.
    pub answered_at: Option<Instant>,
    pub connected_at: Option<Instant>,
    /// Since when, and why, the connection is being found anew.
    pub interrupted: Option<(Instant, Broken)>,
    pub peer_muted: bool,
    pub held: bool,
    pub peer_held: bool,
    pub path: Option<MediaPath>,
    pub stats: Option<PeerStats>,
    /// How the peer hears us, as it said last.
    pub heard_by_peer: Option<Quality>,
    pub tally: Tally,
    /// What to do about the loss and the queue that the peer reports.
    pub resilience: Resilience,
    /// Audio packets, and all bits with UDP and IP headers, of the last second.
    pub sent_packets: u32,
    pub sent_bps: f32,
    /// Of the packets we send, as last told.
    pub ptime_ms: Option<u32>,
    /// Counters at the last report.
    pub last: LastCounters,
    pub key: PeerKey,
    pub sessions: Vec<SessionHandle>,
    /// The data channel has taken over: a session that comes now comes late.
    pub signalling_is_over: bool,
    /// This machine has moved since the link's sockets were opened.
    pub moved: bool,
    pub dialling: Option<AbortHandle>,
    /// Ours, to be sent again if need be.
    pub invite: Option<Invite>,
    /// Rings until the call is answered or over.
    pub ringer: Option<Ringer>,
    /// The peer is not to learn our address.
    pub relay_only: bool,
    /// Super-peers that relay for this call if need be.
    pub relays: CallRelays,
    /// Which kinds of candidates our side has found.
    pub gathered: Gathered,
    pub link: Option<Link>,
    pub link_stats: LinkStats,
    pub link_task: Option<LinkTask>,
}

impl LiveCall {
    pub fn snapshot(&self, call: CallId) -> SnapshotCall {
        SnapshotCall {
            call,
            peer: self.peer,
            name: self.name.clone(),
            side: self.side,
            phase: self.phase,
            group: self.group,
            meter: MeterId(self.key.0),
            connected_at: self.connected_at,
            path: self.path.clone(),
            stats: self.stats.clone(),
            peer_muted: self.peer_muted,
            interrupted: self.interrupted,
            held: self.held,
            peer_held: self.peer_held,
        }
    }

    pub fn job(&self, job: LinkJob) {
        if let Some(task) = &self.link_task {
            task.job(job);
        }
    }
}

/// A call that rings without a sound shows all the same, and why.
pub(super) fn ring(
    ringing: Ringing,
    call: CallId,
    options: &Options,
    desk: &mpsc::Sender<DeskInput>,
) -> Option<Ringer> {
    let desk = desk.clone();
    let failed = move |why| drop(desk.blocking_send(DeskInput::RingFailed { call, why }));
    Ringer::start(ringing, &options.audio.ring_device, failed)
}

/// How a dial that reached nobody is told.
pub(super) fn reason_of(why: RingFailure) -> EndReason {
    match why {
        RingFailure::NotFound | RingFailure::NotHere => EndReason::NotFound,
        RingFailure::Unreachable | RingFailure::Refused => EndReason::Unreachable,
    }
}

// From the rooms to the switchboard.
impl Desk {
    pub(super) fn begin_call(&mut self, call: CallId, peer: Option<Person>, side: CallSide, now: Instant) {
        let name = peer.and_then(|peer| self.contact(peer)).and_then(|contact| contact.name.clone());
        let route = peer.map(|peer| self.person(peer).route).unwrap_or_default();
        if self.calls.is_empty() && self.groups.is_empty() {
            self.ssrc = u32::from_ne_bytes(random());
        }
        let live = LiveCall {
            peer,
            name,
            group: None,
            side,
            phase: match side {
                CallSide::Caller => CallPhase::Dialing,
                CallSide::Callee => CallPhase::Ringing,
            },
            started: now,
            started_unix_s: engine::clock::unix_now_s(),
            ring: None,
            answered_at: None,
            connected_at: None,
            interrupted: None,
            peer_muted: false,
            held: false,
            peer_held: false,
            path: None,
            stats: None,
            heard_by_peer: None,
            tally: Tally::default(),
            resilience: Resilience::new(resilience_settings(&self.options.audio)),
            sent_packets: 0,
            sent_bps: 0.0,
            ptime_ms: None,
            last: LastCounters::default(),
            key: self.new_seat(),
            sessions: Vec::new(),
            signalling_is_over: false,
            moved: false,
            dialling: None,
            invite: None,
            ringer: None,
            relay_only: self.options.network.relay_only || route == engine::Route::RelayOnly,
            relays: CallRelays::default(),
            gathered: Gathered::default(),
            link: None,
            link_stats: LinkStats::default(),
            link_task: None,
        };
        self.calls.insert(call, live);
    }

    /// A way into the voice thread.
    pub(super) fn new_seat(&mut self) -> PeerKey {
        let key = PeerKey(self.new_session().0);
        self.seats.insert(key, Seat::new());
        key
    }

    pub(super) fn dial_answered(&mut self, call: CallId, session: SessionHandle, reply: Message, now: Instant) {
        if self.calls.get(&call).is_some_and(|live| !live.signalling_is_over) {
            self.keep_session(call, session);
            self.switchboard.handle_message(call, reply, now);
        }
    }

    pub(super) fn invited(&mut self, invitation: Invitation, now: Instant) {
        let Invitation { session, opening, verdict } = invitation;
        let (reply, name) = match opening {
            Opening::Letter(letter) => return drop(verdict.send(self.letter_came(&letter, now))),
            Opening::Invite(invite) if invite.group.is_some() => (self.rung_by_member(&invite, now), None),
            Opening::Invite(invite) => {
                let reply = self.switchboard.invited(&invite, now);
                if let InviteReply::Ring { call } = reply {
                    self.begin_call(call, Some(invite.from), CallSide::Callee, now);
                }
                (reply, invite.name)
            }
            Opening::Rejoin(rejoin) => (self.switchboard.rejoins(&rejoin, now), None),
        };
        let (message, keeper) = match reply {
            InviteReply::Ring { call } => {
                if let Some(live) = self.calls.get_mut(&call) {
                    live.name = live.name.take().or(name);
                }
                if !self.waits_its_turn(call) {
                    self.open_link(call);
                }
                (Message::Ring, Some(call))
            }
            InviteReply::RingAgain { call } => (Message::Ring, Some(call)),
            InviteReply::Rejoined { call } => (Message::Rejoined, Some(call)),
            InviteReply::Refuse(message) => (message, None),
            // The session's task sees that nobody wants its invitation.
            InviteReply::Ignore => return drop(verdict.send(Verdict::Ignore)),
        };
        let rejoined = matches!(message, Message::Rejoined);
        // The session's task may have died meanwhile; its close is reported separately.
        let _ = verdict.send(Verdict::Reply { message, keep: keeper.is_some() });
        if let Some(call) = keeper {
            self.keep_session(call, session);
            if rejoined {
                self.switchboard.resume(call, now);
            }
        }
    }

    fn keep_session(&mut self, call: CallId, session: SessionHandle) {
        if let Some(live) = self.calls.get_mut(&call) {
            self.sessions.insert(session.id, call);
            live.sessions.push(session);
        }
    }

    pub(super) fn session_closed(&mut self, session: SessionId, now: Instant) {
        let Some(call) = self.sessions.remove(&session) else { return };
        let Some(live) = self.calls.get_mut(&call) else { return };
        live.sessions.retain(|open| open.id != session);
        if live.sessions.is_empty() {
            self.switchboard.signalling_lost(call, now);
        }
    }

    pub(super) fn handle_link(&mut self, call: CallId, news: LinkNews, now: Instant) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        match news {
            LinkNews::Opened(link) => live.link = Some(link),
            LinkNews::Described(made) => self.described(call, made, now),
            LinkNews::Stats(stats) => {
                live.link_stats = stats;
                self.check_path(call, now);
            }
            LinkNews::Failed(why) => {
                tracing::warn!(%why, "the media link failed");
                self.tell_machine(call, CallNews::Failed, now);
            }
            LinkNews::RestartFailed { why, moved } => {
                tracing::info!(%why, "the media link cannot begin anew yet");
                live.moved |= moved;
                self.switchboard.restart_failed(call, now);
            }
            LinkNews::Event(event) => self.handle_link_event(call, event, now),
        }
    }

    fn handle_link_event(&mut self, call: CallId, event: LinkEvent, now: Instant) {
        match event {
            LinkEvent::Candidate(candidate) => {
                if let Some(live) = self.calls.get_mut(&call) {
                    live.gathered.note(&candidate);
                }
                self.found_candidate(call, Some(candidate), now);
            }
            LinkEvent::EndOfCandidates => self.found_candidate(call, None, now),
            LinkEvent::Connected(path) => {
                self.note_path(call, &path);
                self.join_voice(call);
                self.tell_machine(call, CallNews::Connected, now);
            }
            LinkEvent::Disconnected => self.tell_machine(call, CallNews::Interrupted, now),
            LinkEvent::Reconnected(path) => {
                if let Some(path) = self.note_path(call, &path) {
                    self.emit_at(now, Event::PathChanged { call, path });
                }
                self.tell_machine(call, CallNews::Recovered, now);
            }
            LinkEvent::Failed(FailReason::Certificate) => {
                self.tell_machine(call, CallNews::FingerprintMismatch, now);
            }
            LinkEvent::Failed(why) => {
                tracing::info!(%why, "the media connection is lost");
                self.tell_machine(call, CallNews::Failed, now);
            }
            LinkEvent::ServerUnusable { why, .. } => tracing::info!(%why, "a STUN or TURN server does not serve us"),
            LinkEvent::Message(bytes) => match Message::decode(&bytes) {
                Ok(Message::Group(letter)) => self.letter_over_link(call, &letter, now),
                Ok(message) => self.switchboard.handle_message(call, message, now),
                Err(why) => tracing::debug!(%why, "unreadable message on the data channel"),
            },
            LinkEvent::ChannelOpen => self.switchboard.handle_link(call, CallNews::ChannelOpen, now),
            // An authenticated goodbye of the transport: the peer hung up and its BYE was lost.
            LinkEvent::Closed => match self.foreign.get_mut(&call) {
                Some(foreign) => foreign.machine.closed(),
                None => self.switchboard.handle_message(call, Message::Bye(EndReason::HangUp), now),
            },
        }
    }

    fn found_candidate(&mut self, call: CallId, candidate: Option<String>, now: Instant) {
        match self.foreign.get_mut(&call) {
            Some(foreign) => foreign.machine.local_candidate(candidate, now),
            None => self.switchboard.local_candidate(call, candidate, now),
        }
    }

    /// What the path is may become known after it is found: whose address the other end's is.
    fn check_path(&mut self, call: CallId, now: Instant) {
        let Some(live) = self.calls.get(&call).filter(|live| live.phase == CallPhase::Connected) else { return };
        if let Some(path) = live.link_stats.path
            && let Some(path) = self.note_path(call, &path)
        {
            self.emit_at(now, Event::PathChanged { call, path });
        }
    }

    /// The path, when it is another one than before.
    fn note_path(&mut self, call: CallId, path: &Path) -> Option<MediaPath> {
        let live = self.calls.get_mut(&call)?;
        let path = media_path(path, &live.relays);
        let before = live.path.replace(path.clone());
        (before.as_ref() != Some(&path)).then_some(path)
    }

    /// A super-peer relays for this call, or no more will.
    pub(super) fn relay_granted(&mut self, call: CallId, grant: Option<RelayGrant>) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        match grant {
            Some(grant) => {
                let servers = live.relays.add(grant);
                servers.into_iter().for_each(|server| live.job(LinkJob::AddRelay(server)));
            }
            None => live.job(LinkJob::NoMoreRelays),
        }
    }

    pub(super) fn ask_public_stun(&mut self, call: CallId, servers: Vec<SocketAddr>) {
        if let Some(live) = self.calls.get(&call) {
            servers.into_iter().for_each(|server| live.job(LinkJob::AddStun(server)));
        }
    }
}

// From the switchboard to the rooms.
impl Desk {
    /// Carries out what the state machines decided, until they want nothing more.
    pub(super) async fn drain_switchboard(&mut self) {
        loop {
            if let Some(transmit) = self.switchboard.poll_transmit() {
                self.transmit(transmit.call, transmit.message, transmit.route);
            } else if let Some((call, event)) = self.switchboard.poll_event() {
                self.handle_call_event(call, event).await;
            } else if let Some((call, event)) = self.poll_foreign() {
                self.handle_foreign_event(call, event).await;
            } else if self.groups_have_done_something().await {
                // And so may have the switchboard.
            } else {
                return;
            }
        }
    }

    fn transmit(&mut self, call: CallId, message: Message, route: Route) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        if matches!(message, Message::Answer(_)) {
            live.answered_at = Some(Instant::now());
        }
        match route {
            // The same in each: whichever lasts brings it.
            Route::Signalling => live.sessions.iter().for_each(|session| session.send(message.clone())),
            Route::DataChannel => live.job(LinkJob::Message(message.encode())),
        }
    }

    async fn handle_call_event(&mut self, call: CallId, event: CallEvent) {
        let now = Instant::now();
        let Some(live) = self.calls.get_mut(&call) else { return };
        match event {
            CallEvent::Ringing => {
                live.phase = CallPhase::Ringing;
                let took = now.duration_since(live.started);
                live.ring = Some(took);
                if live.group.is_none_or(|group| self.groups.is_waiting(group)) {
                    live.ringer = ring(Ringing::Ringback, call, &self.options, &self.inbox);
                }
                self.emit_at(now, Event::Ringing { call, took });
            }
            // The group's invitation is what the human is asked about, if at all.
            CallEvent::Incoming { .. } if live.group.is_some() => {}
            CallEvent::Incoming { from, .. } => {
                let name = live.name.clone();
                live.ringer = ring(Ringing::Incoming, call, &self.options, &self.inbox);
                let known = self.contact(from).is_some();
                self.emit_at(now, Event::Incoming { call, from, name, known });
            }
            CallEvent::Answered => {
                live.phase = CallPhase::Connecting;
                live.ringer = None;
                // The callee's clock starts when its ANSWER leaves.
                if live.side == CallSide::Caller {
                    live.answered_at = Some(now);
                }
                let in_group = live.group.is_some();
                self.emit_at(now, Event::Answered { call });
                // Members answer each other by themselves, also while the group is on hold.
                if !in_group {
                    self.hold_all_but(&[call], now);
                }
                if let Err(failure) = self.start_sound() {
                    self.emit_at(now, Event::Failed(failure));
                    self.switchboard.hang_up(call, EndReason::Device, now);
                }
            }
            CallEvent::WantOffer => live.job(LinkJob::Offer),
            CallEvent::WantAnswer { sdp } => live.job(LinkJob::Answer { offer: sdp }),
            CallEvent::ApplyAnswer { sdp } => live.job(LinkJob::Apply { answer: sdp }),
            CallEvent::RemoteCandidate(candidate) => live.job(LinkJob::RemoteCandidate(candidate)),
            CallEvent::Connected => self.connected(call, now),
            CallEvent::Redial => self.redial(call),
            CallEvent::Reconnecting(why) => {
                self.reconnecting(call, why, now);
                self.tell_group(call, MeshLink::Interrupted, now);
            }
            CallEvent::Rejoin(rejoin) => self.rejoin(call, rejoin),
            CallEvent::WantRestart => self.restart_link(call, None),
            CallEvent::WantRestartAnswer { sdp } => self.restart_link(call, Some(sdp)),
            CallEvent::Reconnected => {
                self.reconnected(call, now);
                self.tell_group(call, MeshLink::Up, now);
            }
            CallEvent::PeerMuted(muted) => {
                live.peer_muted = muted;
                self.emit_at(now, Event::Muted { call, by_peer: true, muted });
            }
            CallEvent::PeerHeld(held) => self.peer_held(call, held, now),
            CallEvent::Quality(quality) => {
                let Quality { fraction_lost, mean_burst, queue_ms, .. } = quality;
                live.heard_by_peer = Some(quality);
                let (packets, sent_bps) = (live.sent_packets, live.sent_bps);
                let report = PathReport { packets, fraction_lost, mean_burst, queue_ms, sent_bps };
                let before = live.resilience.protection();
                let protection = live.resilience.update(&report);
                if let Some(sound) = self.sound.as_ref().filter(|_| protection != before) {
                    sound.protect(live.key, protection);
                }
            }
            CallEvent::CloseSignalling => {
                live.signalling_is_over = true;
                live.sessions.clear();
                if live.phase != CallPhase::Reconnecting {
                    self.tell_group(call, MeshLink::Up, now);
                }
            }
            CallEvent::NoCommonVersion { theirs } => self.emit_at(now, Event::Failed(too_different(&theirs))),
            CallEvent::Replaced { by } => {
                let group = live.group;
                self.group_call_replaced(call, by);
                self.put_away(call);
                self.emit_of(now, group, Event::Replaced { call, by });
            }
            CallEvent::Ended(reason) => self.end_call(call, reason, now).await,
        }
    }

    /// The first frame of the peer has been decoded: now the call is what people call connected.
    pub(super) fn connected(&mut self, call: CallId, now: Instant) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        live.phase = CallPhase::Connected;
        let at = live.connected_at.unwrap_or(now);
        live.connected_at = Some(at);
        let audio_t0 = self.sound.as_mut().and_then(|sound| sound.connected(self.mic_t0, at));
        self.mic_t0 = self.mic_t0.or(audio_t0);
        let answer_to_media = live.answered_at.map_or(Duration::ZERO, |answered| at.duration_since(answered));
        let path = live.path.clone().unwrap_or(MediaPath {
            local: Candidate::Host,
            remote: Candidate::Host,
            protocol: "udp",
            via: None,
        });
        let (peer, ring) = (live.peer, live.ring);
        if let Some(peer) = peer {
            let words = safety_words(self.me.person(), peer).iter().map(|word| (*word).to_owned()).collect();
            self.emit_at(now, Event::SafetyWords { call, words });
        }
        self.emit_at(at, Event::Connected { call, peer, ring, answer_to_media, path, audio_t0 });
        self.follow_hold_of_group(call, now);
    }

    pub(super) fn reconnected(&mut self, call: CallId, now: Instant) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        live.phase = CallPhase::Connected;
        let gap = live.interrupted.take().map_or(Duration::ZERO, |(since, _)| now.duration_since(since));
        self.emit_at(now, Event::Reconnected { call, gap });
    }

    pub(super) async fn end_call(&mut self, call: CallId, reason: EndReason, now: Instant) {
        let Some(live) = self.put_away(call) else { return };
        self.tell_group(call, MeshLink::Closed(reason), now);
        self.close_sound_if_unused();
        let talked = live.connected_at.map_or(Duration::ZERO, |since| now.duration_since(since));
        // An endpoint without a person can neither be named nor called again.
        if let Some(person) = live.peer.filter(|_| live.group.is_none()) {
            let entry = HistoryEntry {
                call,
                person,
                name: live.name.clone(),
                outgoing: live.side == CallSide::Caller,
                started_unix_s: live.started_unix_s,
                talked,
                reason,
                members: Vec::new(),
            };
            if let Err(why) = self.store.add_history(entry).await {
                tracing::warn!(%why, "the call is missing from the history");
            }
        }
        let summary = live.tally.summary();
        let cause = self.cause_of(&live, reason);
        self.emit_of(now, live.group, Event::Ended { call, peer: live.peer, reason, cause, talked, summary });
    }

    /// Both wanted to talk, and no media path came about: what stood in the way, by what we know of our own end.
    fn cause_of(&self, live: &LiveCall, reason: EndReason) -> Option<Cause> {
        if reason == EndReason::ConnectionLost {
            return reconnecting::cause_of_loss(live.interrupted);
        }
        if reason == EndReason::Unreachable && live.ring.is_some() && live.answered_at.is_none() {
            return Some(Cause::SuperPeersGone);
        }
        let wanted = reason == EndReason::Unreachable && live.answered_at.is_some();
        let network = &self.options.network;
        let (stun_is_set, nat) = (!network.stun.is_empty(), self.network.as_ref().map(|known| &known.nat));
        wanted.then(|| doctor::cause_of_failure(nat, live.gathered, stun_is_set, live.relay_only))
    }

    /// Takes a call off the desk: its dial, its voice, its link. Goodbyes that are queued still leave.
    fn put_away(&mut self, call: CallId) -> Option<LiveCall> {
        let mut live = self.calls.remove(&call)?;
        self.sessions.retain(|_, of| *of != call);
        live.ringer = None;
        // A dial whose call is over must not ring on; a session that exists ends by its queue instead.
        if let Some(task) = live.dialling.take().filter(|_| live.sessions.is_empty()) {
            task.abort();
        }
        live.sessions.clear();
        self.leave_voice(&live);
        if let Some(task) = live.link_task.take() {
            let done = task.close();
            self.closing.spawn(async move { drop(done.await) });
        }
        Some(live)
    }

    /// Opens the link while it rings, so that an answer finds the candidates gathered.
    pub(super) fn open_link(&mut self, call: CallId) {
        let config = self.link_config(call);
        let (media, desk) = (self.media.clone(), self.inbox.clone());
        if let Some(live) = self.calls.get_mut(&call) {
            let inlet = self.seats.entry(live.key).or_insert_with(Seat::new).inlet.clone();
            let sink = seat::sink(inlet, self.groups.helpers.clone(), live.peer);
            live.link_task = Some(LinkTask::start(call, config, sink, media, desk));
        }
        self.seek_relays(call);
    }

    /// Asks super-peers to relay the call if need be.
    pub(super) fn seek_relays(&self, call: CallId) {
        if let Some(rendezvous) = self.rendezvous.clone() {
            let relay_only = self.calls.get(&call).is_some_and(|live| live.relay_only);
            let public_stun = if relay_only { &[] } else { self.options.network.stun_of_others() }.to_vec();
            tokio::spawn(relaying::seek(rendezvous, call, public_stun, self.inbox.clone()));
        }
    }

    fn link_config(&self, call: CallId) -> LinkConfig {
        let live = self.calls.get(&call);
        let role = match live.map(|live| live.side) {
            // The callee offers with its ANSWER, so that an answer costs one trip.
            Some(CallSide::Callee) | None => Role::Offerer,
            Some(CallSide::Caller) => Role::Answerer,
        };
        LinkConfig {
            role,
            expects_relays: self.rendezvous.is_some(),
            timings: reconnecting::timings(),
            relay_only: live.is_some_and(|live| live.relay_only),
            ..self.link_config_of_network()
        }
    }

    /// What the options say.
    pub(super) fn link_config_of_network(&self) -> LinkConfig {
        let network = &self.options.network;
        LinkConfig {
            interfaces: if network.isolated { Interfaces::Loopback } else { Interfaces::All },
            stun: network.stun.clone(),
            turn: network.turn.clone(),
            relay_only: network.relay_only,
            ssrc: Some(self.ssrc),
            media_ports: network.media_ports.clone(),
            ..LinkConfig::new(Role::Answerer)
        }
    }
}

fn too_different(theirs: &[u8]) -> Failure {
    Failure {
        kind: FailureKind::Unreachable,
        retry: Retry::AfterUserAction,
        detail: format!("the other side speaks only versions {theirs:?} of the call protocol: one of you must update"),
    }
}

fn media_path(path: &Path, relays: &CallRelays) -> MediaPath {
    MediaPath {
        local: candidate(path.local),
        remote: candidate(path.remote),
        protocol: path.protocol,
        via: relays.via(path),
    }
}

fn candidate(kind: CandidateKind) -> Candidate {
    match kind {
        CandidateKind::Host => Candidate::Host,
        CandidateKind::ServerReflexive => Candidate::ServerReflexive,
        CandidateKind::PeerReflexive => Candidate::PeerReflexive,
        CandidateKind::Relayed => Candidate::Relayed,
    }
}
