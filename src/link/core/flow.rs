//! How bytes, events and time run through a link.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::peer_connection::state::{RTCIceConnectionState, RTCPeerConnectionState};
use rtc::peer_connection::transport::{RTCDtlsTransportState, RTCIceCandidateInit};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use crate::base::{IncomingPacket, MediaTime, PayloadKind, SeqNo};
use crate::nat;

use super::super::api::{FailReason, LinkEvent};
use super::super::candidate::LocalCandidate;
use super::super::dtls::{self, Verdict};
use super::super::gather::{GatherEvent, Transmit};
use super::super::peer::MAX_MESSAGE_LEN;
use super::{Core, Phase};

/// Rounds of one drain. A sound core is quiet after three or four; one with a stuck timer must not spin.
const MAX_ROUNDS: usize = 32;
/// What a drain that did not come to rest waits before it goes on.
const BREATHER: Duration = Duration::from_millis(1);
/// After the path is chosen the other relays are kept for this long (RFC 8445 §8.3 says 3 s): the peer may still be
/// sending checks through them.
const RELAY_LINGER: Duration = Duration::from_secs(3);
/// TLS alerts (RFC 5246 §7.2) by which either side says that a certificate is not the announced one.
const CERTIFICATE_ALERTS: std::ops::RangeInclusive<u8> = 42..=46;

impl Core {
    /// A datagram arrived at the socket of this index.
    pub fn handle_datagram(&mut self, socket: usize, from: SocketAddr, datagram: &[u8], now: Instant) {
        self.stats.packets_received += 1;
        self.stats.bytes_received += datagram.len() as u64;
        let datagram = BytesMut::from(datagram);
        if let Some(datagram) = self.gatherer.handle_datagram(socket, from, datagram, now) {
            // On a stream there is nobody but the relay.
            let Some(local) = self.gatherer.base(socket) else { return };
            if self.relay_only {
                self.stats.datagrams_refused += 1;
            } else {
                self.handle_peer_datagram(local, from, datagram, now);
            }
        }
        if self.config.channel && !self.channel_open && self.phase != Phase::Ended {
            // The core loses data that it reads before it has worked off the event that opens the channel, which the
            // datagram before it brought.
            self.turn_over(now);
        }
    }

    /// The socket would not take a datagram.
    pub fn handle_unsent(&mut self) {
        self.stats.datagrams_unsent += 1;
    }

    /// The event of a message could not be handed over.
    pub fn handle_undelivered_message(&mut self) {
        self.stats.messages_dropped += 1;
    }

    /// Works until everything is quiet and fires what is due; the instant at which to come back.
    pub fn drain(&mut self, now: Instant) -> Option<Instant> {
        for _ in 0..MAX_ROUNDS {
            if self.phase == Phase::Ended {
                return None;
            }
            if self.turn_over(now) {
                continue;
            }
            match self.next_deadline() {
                Some(at) if at <= now => self.handle_timeout(now),
                later => return later,
            }
        }
        Some(now + BREATHER)
    }

    /// One round; whether anything moved.
    fn turn_over(&mut self, now: Instant) -> bool {
        // Writes before events: an event may start DTLS, and the STUN response that tells the peer of the selected pair
        // must leave before the ClientHello, which the peer would otherwise drop.
        let mut moved = self.write_out(now);
        while let Some(event) = self.peer.connection.poll_event() {
            moved = true;
            self.handle_event(event, now);
        }
        if moved {
            // Datagrams of a DTLS client that an event started are only collected here.
            self.check_core(now);
        }
        while let Some(TaggedRTCMessage { now: arrival, message }) = self.peer.connection.poll_read() {
            moved = true;
            self.handle_message(message, arrival);
        }
        moved |= self.write_out(now);
        while let Some(event) = self.gatherer.poll_event() {
            moved = true;
            self.handle_gathered(event, now);
        }
        while let Some(transmit) = self.gatherer.poll_transmit() {
            moved = true;
            self.transmit(transmit);
        }
        while let Some(candidate) = self.openings.poll_candidate(now) {
            moved = true;
            // One that is refused does not spoil the others.
            let _ = self.check_candidate(candidate);
        }
        self.announce_end_of_candidates();
        moved
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        let own =
            [self.handshake_deadline, self.release_relays_at, self.liveness_deadline(), self.openings.poll_timeout()]
                .into_iter()
                .flatten();
        let parts = [self.peer.connection.poll_timeout(), self.gatherer.poll_timeout(), self.guard.poll_timeout()];
        parts.into_iter().flatten().chain(own).min()
    }

    fn handle_timeout(&mut self, now: Instant) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if due(self.handshake_deadline) {
            return self.end(LinkEvent::Failed(FailReason::Handshake), now);
        }
        if due(self.release_relays_at) {
            self.release_relays_at = None;
            self.release_spare_relays(now);
        }
        self.watch_liveness(now);
        self.guard.handle_timeout(now);
        self.gatherer.handle_timeout(now);
        self.check_core(now);
    }

    /// Errors of the core's timers concern single packets and leave the rest working.
    pub(super) fn check_core(&mut self, now: Instant) {
        let _ = self.peer.connection.handle_timeout(now);
    }

    fn handle_peer_datagram(&mut self, local: SocketAddr, from: SocketAddr, datagram: BytesMut, now: Instant) {
        let Some(gate) = &mut self.gate else {
            self.stats.datagrams_refused += 1;
            return;
        };
        let (admitted, trusted) = (gate.admits(&datagram, from), gate.trusts(from));
        let is_sign_of_life = trusted && nat::is_indication(&datagram);
        if trusted && (admitted || is_sign_of_life) {
            self.heard(now);
        }
        if is_sign_of_life {
            return;
        }
        if !admitted {
            self.stats.datagrams_refused += 1;
            return;
        }
        self.checks.heard((local, from));
        let is_dtls = dtls::is_dtls(&datagram);
        // Without a path the core drops all but STUN, so the guard must not take note of it either.
        if self.has_path && self.guard.handle_incoming(&datagram, now) == Verdict::Repeated {
            return;
        }
        if let Some(alert) = dtls::fatal_alert(&datagram).filter(|_| self.phase == Phase::Connecting && self.has_path) {
            return self.end(LinkEvent::Failed(reason_of(alert)), now);
        }
        let transport = TransportContext {
            local_addr: local,
            peer_addr: from,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        let _ = self.peer.connection.handle_read(TaggedBytesMut { now, transport, message: datagram });
        if is_dtls && self.peer.dtls_state() == Some(RTCDtlsTransportState::Closed) {
            self.end(LinkEvent::Closed, now);
        }
    }

    pub(super) fn handle_gathered(&mut self, event: GatherEvent, now: Instant) {
        match event {
            GatherEvent::Candidate(candidate) => self.announce(candidate),
            GatherEvent::Data { relayed, peer, payload } => self.handle_peer_datagram(relayed, peer, payload, now),
            GatherEvent::Unusable { server, why } => self.events.push_back(LinkEvent::ServerUnusable { server, why }),
        }
    }

    fn announce(&mut self, candidate: LocalCandidate) {
        // Until our description is made candidates go into it.
        if self.adopt(candidate) && self.gate.is_some() {
            self.events.push_back(LinkEvent::Candidate(candidate.to_string()));
        }
    }

    /// Gives a candidate of ours to the core; false when it is refused.
    pub(super) fn adopt(&mut self, candidate: LocalCandidate) -> bool {
        let init = RTCIceCandidateInit { candidate: candidate.to_string(), ..RTCIceCandidateInit::default() };
        self.peer.connection.add_local_candidate(init).is_ok()
    }

    fn announce_end_of_candidates(&mut self) {
        if !self.end_of_candidates_sent && self.gate.is_some() && self.gatherer.is_complete() {
            self.end_of_candidates_sent = true;
            self.events.push_back(LinkEvent::EndOfCandidates);
        }
    }

    fn handle_event(&mut self, event: RTCPeerConnectionEvent, now: Instant) {
        match event {
            RTCPeerConnectionEvent::OnIceConnectionStateChangeEvent(RTCIceConnectionState::Connected) => {
                self.found_path(now);
            }
            RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) => self.handle_state(state, now),
            RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(channel))
                if self.peer.is_channel(channel) =>
            {
                self.open_channel(now);
            }
            // Nobody closes the control channel but by leaving.
            RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnClose(channel))
                if self.peer.is_channel(channel) =>
            {
                self.end(LinkEvent::Closed, now);
            }
            // Negotiation, tracks and further channels have no say in a link that has one of each.
            _ => {}
        }
    }

    fn handle_state(&mut self, state: RTCPeerConnectionState, now: Instant) {
        match (self.phase, state) {
            (Phase::Connecting, RTCPeerConnectionState::Connected) => self.connected(now),
            (Phase::Disconnected, RTCPeerConnectionState::Connected) => {
                self.phase = Phase::Connected;
                let path = self.path();
                self.events.extend(path.map(LinkEvent::Reconnected));
            }
            (Phase::Connected, RTCPeerConnectionState::Disconnected) => {
                self.phase = Phase::Disconnected;
                self.events.push_back(LinkEvent::Disconnected);
            }
            (_, RTCPeerConnectionState::Failed) => {
                let reason = match (self.has_path, self.phase) {
                    (false, _) => FailReason::NoPath,
                    (true, Phase::Connecting) => FailReason::Handshake,
                    (true, _) => FailReason::Silence,
                };
                self.end(LinkEvent::Failed(reason), now);
            }
            _ => {}
        }
    }

    /// ICE has selected a pair; without a restart this core never changes it.
    fn found_path(&mut self, now: Instant) {
        if self.has_path {
            return;
        }
        self.has_path = true;
        self.gatherer.stop_keepalives();
        if self.is_established() {
            self.restarted(now);
        } else {
            self.handshake_deadline = Some(now + self.timings.failed_after);
        }
        self.release_relays_at = Some(now + RELAY_LINGER);
        if let Some(rtt) = self.peer.round_trip(now) {
            self.guard.set_round_trip(rtt);
        }
    }

    /// DTLS is up. The core has compared the certificate with the description it parsed; here it is compared with what
    /// our stricter reading found, which is what was signed.
    fn connected(&mut self, now: Instant) {
        self.guard.completed();
        self.handshake_deadline = None;
        let (fingerprint, ufrag) = (self.peer.remote_fingerprint(), self.peer.remote_ufrag());
        let as_announced = self.announced.as_ref().is_some_and(|announced| {
            fingerprint == Some(announced.fingerprint) && ufrag.as_deref() == Some(announced.ufrag.as_str())
        });
        match self.path() {
            Some(path) if as_announced => {
                self.phase = Phase::Connected;
                self.liveness.begin(now);
                self.events.push_back(LinkEvent::Connected(path));
            }
            _ => self.end(LinkEvent::Failed(FailReason::Certificate), now),
        }
    }

    fn open_channel(&mut self, now: Instant) {
        self.channel_open = true;
        while let Some(message) = self.early_messages.pop_front() {
            // Far fewer bytes than the channel's bound, so none is refused for want of room.
            let _ = self.peer.send_message(&message, now);
        }
        self.events.push_back(LinkEvent::ChannelOpen);
    }

    fn handle_message(&mut self, message: RTCMessage, arrival: Instant) {
        match message {
            RTCMessage::RtpPacket(track, packet) => {
                let header = packet.header;
                let Some(kind) = self.peer.kind(&track, header.payload_type) else { return };
                self.stats.audio_received += u64::from(kind != PayloadKind::Carried);
                self.audio.push_back(IncomingPacket {
                    arrival,
                    ssrc: header.ssrc,
                    seq: SeqNo(header.sequence_number),
                    media_time: MediaTime(header.timestamp),
                    marker: header.marker,
                    kind,
                    payload: packet.payload,
                });
            }
            RTCMessage::DataChannelMessage(channel, message) if self.peer.is_channel(channel) => {
                if message.data.len() <= MAX_MESSAGE_LEN {
                    self.events.push_back(LinkEvent::Message(message.data.to_vec()));
                } else {
                    self.stats.messages_dropped += 1;
                }
            }
            // RTCP is the core's business; other channels do not exist.
            _ => {}
        }
    }

    /// Moves what the core and the guard want to send; whether there was anything.
    fn write_out(&mut self, now: Instant) -> bool {
        let mut moved = false;
        while let Some(datagram) = self.peer.connection.poll_write() {
            moved = true;
            let alert = dtls::fatal_alert(&datagram.message);
            self.guard.handle_outgoing(&datagram);
            self.route(datagram, now);
            if let Some(alert) = alert.filter(|_| self.phase == Phase::Connecting) {
                self.end(LinkEvent::Failed(reason_of(alert)), now);
                return true;
            }
        }
        while let Some(datagram) = self.guard.poll_transmit() {
            moved = true;
            self.route(datagram, now);
        }
        moved
    }

    /// Onto the socket, or through the relay, that the datagram's local address stands for.
    pub(super) fn route(&mut self, datagram: TaggedBytesMut, now: Instant) {
        let (local, to) = (datagram.transport.local_addr, datagram.transport.peer_addr);
        if nat::is_request(&datagram.message) && !self.checks.admits((local, to), now) {
            return;
        }
        self.liveness.said((local, to), &datagram.message, now);
        if self.gatherer.send_relayed(local, to, &datagram.message, now) {
            while let Some(transmit) = self.gatherer.poll_transmit() {
                self.transmit(transmit);
            }
        } else if let Some(socket) = self.gatherer.socket_of(local).filter(|_| !self.relay_only) {
            self.transmit(Transmit { socket, to, payload: datagram.message });
        }
    }

    pub(super) fn transmit(&mut self, transmit: Transmit) {
        self.stats.packets_sent += 1;
        self.stats.bytes_sent += transmit.payload.len() as u64;
        self.transmits.push_back(transmit);
    }
}

/// Why a handshake failed that ended with this alert, whoever sent it.
fn reason_of(alert: u8) -> FailReason {
    if CERTIFICATE_ALERTS.contains(&alert) { FailReason::Certificate } else { FailReason::Handshake }
}
