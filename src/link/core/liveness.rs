//! Whether the peer is still there, told by what arrives and by what we send when there is nothing to say.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use super::super::api::LinkEvent;
use super::{Core, Phase};
use crate::nat;

/// Signs of life that may be lost before the peer counts as silent.
const SIGNS_PER_SILENCE: u32 = 3;

/// When the peer was heard last, and when it last heard of us.
pub(super) struct Liveness {
    silence_after: Option<Duration>,
    heard: Instant,
    said: Instant,
    /// Both ends of the selected pair as the core addresses them: those of the last datagram that was not STUN.
    pair: Option<(SocketAddr, SocketAddr)>,
    signs: u64,
}

impl Liveness {
    pub fn new(silence_after: Option<Duration>, now: Instant) -> Self {
        Self { silence_after, heard: now, said: now, pair: None, signs: 0 }
    }

    /// Media may flow from now on.
    pub fn begin(&mut self, now: Instant) {
        (self.heard, self.said) = (now, now);
    }

    /// The path is given up.
    pub fn forget_path(&mut self) {
        self.pair = None;
    }

    /// This leaves for the peer.
    pub fn said(&mut self, pair: (SocketAddr, SocketAddr), datagram: &[u8], now: Instant) {
        self.said = now;
        if nat::transaction_id(datagram).is_none() {
            self.pair = Some(pair);
        }
    }

    fn silent_at(&self) -> Option<Instant> {
        self.silence_after.map(|silence| self.heard + silence)
    }

    fn sign_at(&self) -> Option<Instant> {
        self.pair?;
        self.silence_after.map(|silence| self.said + silence / SIGNS_PER_SILENCE)
    }

    /// Not to be answered, so its transaction need not be unpredictable.
    fn sign(&mut self) -> Vec<u8> {
        self.signs += 1;
        let mut transaction = [0; 12];
        transaction[4..].copy_from_slice(&self.signs.to_be_bytes());
        nat::binding_indication(transaction)
    }
}

impl Core {
    /// DTLS is up, whatever has become of the path since.
    pub(super) fn is_established(&self) -> bool {
        matches!(self.phase, Phase::Connected | Phase::Disconnected)
    }

    /// Something authentic came from the peer.
    pub(super) fn heard(&mut self, now: Instant) {
        self.liveness.heard = now;
        let came_back = self.phase == Phase::Disconnected && self.has_path && self.liveness.silence_after.is_some();
        if came_back && let Some(path) = self.path() {
            self.phase = Phase::Connected;
            self.events.push_back(LinkEvent::Reconnected(path));
        }
    }

    pub(super) fn liveness_deadline(&self) -> Option<Instant> {
        if !self.has_path || !self.is_established() {
            return None;
        }
        let silent = self.liveness.silent_at().filter(|_| self.phase == Phase::Connected);
        silent.into_iter().chain(self.liveness.sign_at()).min()
    }

    pub(super) fn watch_liveness(&mut self, now: Instant) {
        if !self.has_path || !self.is_established() {
            return;
        }
        if self.phase == Phase::Connected && self.liveness.silent_at().is_some_and(|at| at <= now) {
            self.phase = Phase::Disconnected;
            self.events.push_back(LinkEvent::Disconnected);
        }
        if let Some((local_addr, peer_addr)) = self.liveness.pair
            && self.liveness.sign_at().is_some_and(|at| at <= now)
        {
            let transport =
                TransportContext { local_addr, peer_addr, ecn: None, transport_protocol: TransportProtocol::UDP };
            let message = self.liveness.sign().as_slice().into();
            self.route(TaggedBytesMut { now, transport, message }, now);
        }
    }
}
