//! One link without its sockets: bytes and time in, bytes and events out.
//!
//! Contract: call a `handle_*` or command method, then [`Core::drain`], then take all of [`Core::poll_transmit`],
//! [`Core::poll_opening`], [`Core::poll_audio`] and [`Core::poll_event`]; come back at the instant that `drain` returned.

mod checks;
mod flow;
mod liveness;
mod restart;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::sansio::Protocol;

use crate::base::{IncomingPacket, OutgoingPacket, PayloadKind, Redacted};

use super::api::{
    CandidateError, CandidateKind, DescriptionError, LinkError, LinkEvent, LinkStats, LocalDescription, Path,
};
use super::candidate::{MAX_REMOTE_CANDIDATES, essence, judge_remote};
use super::config::{LinkConfig, Role, Timings, TurnServer};
use super::dtls::HandshakeGuard;
use super::gate::Gate;
use super::gather::{Gatherer, Transmit};
use super::opening::Openings;
use super::peer::{MAX_MESSAGE_LEN, Peer, core_error};
use super::sdp::{credentials_of, fingerprint_of, split_candidates};
use checks::CheckPace;
use liveness::Liveness;

/// Messages kept until the data channel opens.
const MAX_EARLY_MESSAGES: usize = 16;
/// ```text
///          both descriptions        DTLS connected
///                                                        silence, restart
///  Opened ───────────────► Connecting ─────────► Connected ◄────────► Disconnected
///    │                         │                     │   heard, path found │
///    └────────── close, failure, or the peer's close from any state ───────┴──► Ended
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Gathering; at most one description is known.
    Opened,
    Connecting,
    Connected,
    Disconnected,
    Ended,
}

/// What the peer's description binds it to.
struct Announced {
    fingerprint: [u8; 32],
    ufrag: String,
}

pub(super) struct Core {
    config: LinkConfig,
    role: Role,
    timings: Timings,
    relay_only: bool,
    phase: Phase,
    peer: Peer,
    gatherer: Gatherer,
    /// Exists with our description: before it nobody can know our password, so nothing is admitted.
    gate: Option<Gate>,
    guard: HandshakeGuard,
    checks: CheckPace,
    announced: Option<Announced>,
    /// Candidates of the peer that came before its description.
    early_candidates: Vec<String>,
    remote_candidates: usize,
    /// What the peer said of them: a check may come before it, and show a peer-reflexive candidate where a better name is
    /// known later.
    told: Vec<(CandidateKind, SocketAddr)>,
    openings: Openings,
    /// Of the opening that is being made.
    ways: Vec<(usize, SocketAddr)>,
    end_of_candidates_sent: bool,
    has_path: bool,
    /// When the handshake is given up.
    handshake_deadline: Option<Instant>,
    release_relays_at: Option<Instant>,
    liveness: Liveness,
    channel_open: bool,
    early_messages: VecDeque<Vec<u8>>,
    stats: LinkStats,
    transmits: VecDeque<Transmit>,
    audio: VecDeque<IncomingPacket>,
    events: VecDeque<LinkEvent>,
}

impl Core {
    /// `bases`: local addresses of the sockets, best first; datagrams name them by index. Gathering begins.
    pub fn new(config: &LinkConfig, bases: Vec<SocketAddr>, ssrc: u32, now: Instant) -> Result<Self, LinkError> {
        Ok(Self {
            config: config.clone(),
            role: config.role,
            timings: config.timings,
            relay_only: config.relay_only,
            phase: Phase::Opened,
            peer: Peer::new(config, ssrc, now)?,
            gatherer: Gatherer::new(config, bases, now)?,
            gate: None,
            guard: HandshakeGuard::new(),
            checks: CheckPace::default(),
            announced: None,
            early_candidates: Vec::new(),
            remote_candidates: 0,
            told: Vec::new(),
            openings: Openings::default(),
            ways: Vec::new(),
            end_of_candidates_sent: false,
            has_path: false,
            handshake_deadline: None,
            release_relays_at: None,
            liveness: Liveness::new(config.timings.silence_after, now),
            channel_open: false,
            early_messages: VecDeque::new(),
            stats: LinkStats::default(),
            transmits: VecDeque::new(),
            audio: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// Our offer with the candidates known so far.
    pub fn create_offer(&mut self, now: Instant) -> Result<LocalDescription, LinkError> {
        self.expect(Role::Offerer)?;
        let offer = self.peer.connection.create_offer(None).map_err(core_error)?;
        self.described(offer, now)
    }

    /// Takes the peer's offer; our answer, with the candidates known so far. Checks begin.
    pub fn accept_offer(&mut self, sdp: &str, now: Instant) -> Result<LocalDescription, LinkError> {
        self.expect(Role::Answerer)?;
        let candidates = self.read_remote(sdp, RTCSessionDescription::offer, now)?;
        let answer = self.peer.connection.create_answer(None).map_err(core_error)?;
        let description = self.described(answer, now)?;
        self.begin(candidates);
        Ok(description)
    }

    /// Takes the peer's answer to our offer, the first or that of a restart. Checks begin.
    pub fn accept_answer(&mut self, sdp: &str, now: Instant) -> Result<(), LinkError> {
        if self.is_established() {
            return self.accept_restart_answer(sdp, now);
        }
        self.expect(Role::Offerer)?;
        let candidates = self.read_remote(sdp, RTCSessionDescription::answer, now)?;
        self.begin(candidates);
        Ok(())
    }

    /// Takes a trickled candidate of the peer; one that comes before the description waits for it.
    pub fn add_candidate(&mut self, line: &str) -> Result<(), LinkError> {
        if self.phase == Phase::Ended {
            return Err(LinkError::Closed);
        }
        let candidate = judge_remote(line, self.gatherer.on_loopback())?;
        if self.remote_candidates >= MAX_REMOTE_CANDIDATES {
            return Err(CandidateError::TooMany.into());
        }
        self.remote_candidates += 1;
        if self.phase == Phase::Opened {
            self.early_candidates.push(candidate);
            return Ok(());
        }
        let essence = essence(&candidate);
        self.told.extend(essence);
        match essence {
            Some((CandidateKind::ServerReflexive, address)) if self.opens_first() && address.is_ipv4() => {
                self.openings.hold(candidate, address);
                Ok(())
            }
            _ => self.check_candidate(candidate),
        }
    }

    /// See [`super::opening`].
    fn opens_first(&self) -> bool {
        self.role == Role::Answerer && !self.relay_only && !self.has_path
    }

    fn check_candidate(&mut self, candidate: String) -> Result<(), LinkError> {
        let init = RTCIceCandidateInit { candidate, ..RTCIceCandidateInit::default() };
        self.peer.connection.add_remote_candidate(init).map_err(core_error)
    }

    /// A socket, and where it is to send a packet that opens our NAT and does not arrive.
    pub fn poll_opening(&mut self) -> Option<(usize, SocketAddr)> {
        if self.ways.is_empty() {
            let to = self.openings.poll_towards()?;
            self.ways = self.gatherer.sockets_towards(to).map(|socket| (socket, to)).collect();
        }
        self.ways.pop()
    }

    /// One more relay, found after the link was opened. A path that is chosen stays, so it is of no use then.
    pub fn add_relay(&mut self, server: &TurnServer, now: Instant) -> Result<(), LinkError> {
        if self.phase == Phase::Ended {
            return Err(LinkError::Closed);
        }
        if self.has_path {
            return Ok(());
        }
        self.gatherer.add_relay(server, now)
    }

    /// One more STUN server; as [`Core::add_relay`].
    pub fn add_stun(&mut self, server: SocketAddr, now: Instant) -> Result<(), LinkError> {
        if self.phase == Phase::Ended {
            return Err(LinkError::Closed);
        }
        if self.has_path { Ok(()) } else { self.gatherer.ask_stun(server, now) }
    }

    pub fn no_more_relays(&mut self) {
        self.gatherer.no_more_relays();
    }

    /// Sends one audio packet; false when it was dropped.
    pub fn send_audio(&mut self, packet: OutgoingPacket, now: Instant) -> bool {
        // Whoever hears nothing any more may still be heard.
        let sent = self.is_established() && self.has_path && self.peer.send_audio(packet, now);
        if sent {
            self.stats.audio_sent += 1;
        } else {
            self.stats.audio_dropped += 1;
        }
        sent
    }

    /// Sends a message, reliably and in order; before the channel is open it waits, within bounds.
    pub fn send_message(&mut self, message: Vec<u8>, now: Instant) -> Result<(), LinkError> {
        if message.len() > MAX_MESSAGE_LEN {
            return Err(LinkError::MessageTooLong);
        }
        if self.phase == Phase::Ended {
            return Err(LinkError::Closed);
        }
        if !self.config.channel {
            return Err(LinkError::NoChannel);
        }
        if self.channel_open {
            return self.peer.send_message(&message, now);
        }
        if self.early_messages.len() >= MAX_EARLY_MESSAGES {
            return Err(LinkError::Congested);
        }
        self.early_messages.push_back(message);
        Ok(())
    }

    /// Number of this kind of payload on this link, once both descriptions are in place.
    pub fn payload_type(&self, kind: PayloadKind) -> Option<u8> {
        self.peer.payload_types().number(kind)
    }

    pub fn stats(&mut self, now: Instant) -> LinkStats {
        let rtt = if self.has_path { self.peer.round_trip(now) } else { None };
        LinkStats { rtt, path: self.path(), ..self.stats }
    }

    /// Says goodbye: the closing datagrams are in [`Core::poll_transmit`] when this returns.
    pub fn close(&mut self, now: Instant) {
        self.end(LinkEvent::Closed, now);
    }

    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    pub fn poll_audio(&mut self) -> Option<IncomingPacket> {
        self.audio.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    fn path(&mut self) -> Option<Path> {
        let [(local, local_address), (remote, remote_address)] = self.peer.selected_pair()?;
        let told = self.told.iter().find(|(_, address)| *address == remote_address).map(|(kind, _)| *kind);
        let remote = told.filter(|_| remote == CandidateKind::PeerReflexive).unwrap_or(remote);
        let relay = if local == CandidateKind::Relayed { self.gatherer.server_of(local_address) } else { None };
        let (relay, protocol) = relay.map_or((None, "udp"), |(server, protocol)| (Some(server), protocol));
        Some(Path {
            local,
            remote,
            protocol,
            local_address: Redacted::new(local_address),
            remote_address: Redacted::new(remote_address),
            relay,
        })
    }

    fn expect(&self, role: Role) -> Result<(), LinkError> {
        match self.phase {
            Phase::Ended => Err(LinkError::Closed),
            Phase::Opened if self.role == role => Ok(()),
            _ => Err(LinkError::Core("a description at the wrong time".to_owned())),
        }
    }

    /// Makes our description final and opens the gate to those who read it.
    fn described(&mut self, description: RTCSessionDescription, now: Instant) -> Result<LocalDescription, LinkError> {
        let sdp = description.sdp.clone();
        self.peer.connection.set_local_description(now, description).map_err(core_error)?;
        let (fingerprint, credentials) = (fingerprint_of(&sdp)?, credentials_of(&sdp)?);
        let ufrag = credentials.ufrag.clone();
        self.gate = Some(Gate::new(credentials));
        Ok(LocalDescription { sdp, fingerprint, ufrag })
    }

    /// Gives the peer's description to the core, without the candidates, which are returned. All of a link's descriptions
    /// are of one certificate.
    fn read_remote(
        &mut self,
        sdp: &str,
        kind: fn(String) -> rtc::shared::error::Result<RTCSessionDescription>,
        now: Instant,
    ) -> Result<Vec<String>, LinkError> {
        let announced = Announced { fingerprint: fingerprint_of(sdp)?, ufrag: credentials_of(sdp)?.ufrag };
        if self.announced.as_ref().is_some_and(|before| before.fingerprint != announced.fingerprint) {
            return Err(DescriptionError::OtherFingerprint.into());
        }
        let (rest, candidates) = split_candidates(sdp);
        let description = kind(rest).map_err(core_error)?;
        self.peer.connection.set_remote_description(now, description).map_err(core_error)?;
        self.announced = Some(announced);
        Ok(candidates.into_iter().map(str::to_owned).collect())
    }

    /// Both descriptions are in place.
    fn begin(&mut self, candidates: Vec<String>) {
        self.phase = Phase::Connecting;
        self.peer.negotiated();
        let early = std::mem::take(&mut self.early_candidates);
        self.remote_candidates = self.remote_candidates.saturating_sub(early.len());
        self.add_all(candidates.into_iter().chain(early));
    }

    /// A candidate that is refused does not spoil the others.
    fn add_all(&mut self, candidates: impl IntoIterator<Item = String>) {
        for candidate in candidates {
            let _ = self.add_candidate(&candidate);
        }
    }

    /// Ends once, with the last words in `transmits`.
    fn end(&mut self, event: LinkEvent, now: Instant) {
        if self.phase == Phase::Ended {
            return;
        }
        self.check_core(now);
        let _ = self.peer.connection.close();
        while let Some(datagram) = self.peer.connection.poll_write() {
            self.route(datagram, now);
        }
        for transmit in self.gatherer.release_all_but(&[], now) {
            self.transmit(transmit);
        }
        self.phase = Phase::Ended;
        self.events.push_back(event);
    }
}
