//! One STUN or TURN server as seen from one of our sockets.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use rtc::turn::client::{Client, ClientConfig, Event};

use crate::nat::{self, TransactionId};

use super::TurnServer;
use super::api::LinkError;

/// Before a call is answered nothing else flows from our socket to the server, and NATs forget a UDP mapping within
/// 30 s; RFC 8445 §11 keeps them alive every 15 s.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Datagrams kept for one peer while its permission is asked for; later ones are dropped, the senders repeat them.
const MAX_HELD: usize = 16;
/// Peers with a permission under way at one time.
const MAX_PENDING: usize = 32;
/// Attempts at one permission: the first may meet a stale nonce (RFC 8656 §5).
const MAX_ATTEMPTS: u32 = 3;

/// What a server told us.
#[derive(Debug)]
pub(super) enum RelayEvent {
    /// Our address as seen by the server.
    Mapped(SocketAddr),
    /// We hold this address on the server.
    Allocated(SocketAddr),
    /// A peer's datagram came through our allocation.
    Data { peer: SocketAddr, payload: BytesMut },
    /// The server did not serve us.
    Unusable(String),
}

/// A STUN binding kept fresh, or a TURN allocation with its permissions.
pub(super) struct Relay {
    /// Index of the socket, or of the stream, that it is talked to on.
    pub socket: usize,
    /// Local address of the socket; of a stream, of the socket whose place it takes.
    pub base: SocketAddr,
    pub server: SocketAddr,
    /// Our address on the server; `None` for a STUN server and before the allocation is granted.
    pub relayed: Option<SocketAddr>,
    pub is_turn: bool,
    client: Client,
    /// Something came from the server.
    pub heard: bool,
    /// The server has answered or was given up.
    settled: bool,
    keepalive_at: Option<Instant>,
    pending: BTreeMap<SocketAddr, Permission>,
    events: VecDeque<RelayEvent>,
}

/// A permission (RFC 8656 §9) that was asked for.
struct Permission {
    transaction: Option<TransactionId>,
    attempts: u32,
    held: VecDeque<BytesMut>,
}

impl Relay {
    /// Asks a STUN server how it sees the socket `base`.
    pub fn stun(socket: usize, base: SocketAddr, server: SocketAddr, now: Instant) -> Result<Self, LinkError> {
        let mut relay = Self::new(socket, base, server, None)?;
        relay.client.send_binding_request(now).map_err(core_error)?;
        relay.keepalive_at = Some(now + KEEPALIVE);
        Ok(relay)
    }

    /// Asks a TURN server for an allocation.
    pub fn turn(socket: usize, base: SocketAddr, server: &TurnServer, now: Instant) -> Result<Self, LinkError> {
        let mut relay = Self::new(socket, base, server.address, Some(server))?;
        relay.client.allocate(now).map_err(core_error)?;
        Ok(relay)
    }

    fn new(
        socket: usize,
        base: SocketAddr,
        server: SocketAddr,
        credentials: Option<&TurnServer>,
    ) -> Result<Self, LinkError> {
        let (username, password) = credentials.map(|c| (c.username.clone(), c.password.clone())).unwrap_or_default();
        let config = ClientConfig {
            // IP:port in text: the client would look a name up, and block.
            stun_serv_addr: server.to_string(),
            turn_serv_addr: server.to_string(),
            local_addr: base,
            transport_protocol: TransportProtocol::UDP,
            username,
            password,
            allocation_refresh_interval_cap: Some(KEEPALIVE),
            ..ClientConfig::default()
        };
        let provider = rtc::crypto::default_provider().map_err(core_error)?;
        let client = Client::new(config, provider).map_err(core_error)?;
        Ok(Self {
            socket,
            base,
            server,
            relayed: None,
            is_turn: credentials.is_some(),
            client,
            heard: false,
            settled: false,
            keepalive_at: None,
            pending: BTreeMap::new(),
            events: VecDeque::new(),
        })
    }

    /// Whether a datagram from the server's address is for us: a STUN and a TURN server may share one address, so a
    /// response belongs to whoever asked (RFC 8489 §6.3.1), and the rest to the allocation.
    pub fn claims(&self, socket: usize, from: SocketAddr, datagram: &[u8]) -> bool {
        if socket != self.socket || from != self.server {
            return false;
        }
        let is_response = nat::transaction_id(datagram).is_some_and(|id| self.client.has_transaction(&id));
        is_response || (self.relayed.is_some() && !nat::is_request(datagram))
    }

    pub fn handle_datagram(&mut self, datagram: BytesMut, now: Instant) {
        self.heard = true;
        let transport = TransportContext {
            local_addr: self.base,
            peer_addr: self.server,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        // Malformed answers are the server's fault or a forgery; the transaction goes on either way.
        let _ = self.client.handle_read(TaggedBytesMut { now, transport, message: datagram });
        self.collect(now);
    }

    /// Sends through the allocation; what cannot go before the permission is granted is held.
    pub fn send_to(&mut self, peer: SocketAddr, payload: &[u8], now: Instant) {
        let Some(relayed) = self.relayed else { return };
        let Ok(mut allocation) = self.client.relay(relayed) else { return };
        if allocation.send_to(now, payload, peer).is_ok() {
            return;
        }
        if let Some(permission) = self.pending.get_mut(&peer) {
            if permission.held.len() < MAX_HELD {
                permission.held.push_back(BytesMut::from(payload));
            }
        } else if self.pending.len() < MAX_PENDING {
            let transaction = allocation.create_permission(now, peer).ok().flatten();
            let held = VecDeque::from([BytesMut::from(payload)]);
            self.pending.insert(peer, Permission { transaction, attempts: 1, held });
        }
    }

    /// Gives the allocation back (RFC 8656 §7). What it queues must still be sent.
    pub fn release(&mut self, now: Instant) {
        self.keepalive_at = None;
        if let Some(relayed) = self.relayed.take() {
            let _ = self.client.relay(relayed).and_then(|mut allocation| allocation.close(now));
        }
    }

    /// The path is chosen: the mapping is kept alive by the media itself.
    pub fn stop_keepalive(&mut self) {
        self.keepalive_at = None;
    }

    pub fn is_settled(&self) -> bool {
        self.settled
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.keepalive_at.is_some_and(|at| at <= now) {
            self.keepalive_at = Some(now + KEEPALIVE);
            let _ = self.client.send_binding_request(now);
        }
        let _ = self.client.handle_timeout(now);
        self.collect(now);
    }

    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.client.poll_timeout().into_iter().chain(self.keepalive_at).min()
    }

    /// A datagram for the server.
    pub fn poll_transmit(&mut self) -> Option<BytesMut> {
        self.client.poll_write().map(|transmit| transmit.message)
    }

    pub fn poll_event(&mut self) -> Option<RelayEvent> {
        self.events.pop_front()
    }

    fn collect(&mut self, now: Instant) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::BindingResponse(_, mapped) => {
                    self.settled = true;
                    self.events.push_back(RelayEvent::Mapped(mapped));
                }
                Event::AllocateResponse(_, relayed) => {
                    self.settled = true;
                    self.relayed = Some(relayed);
                    self.events.push_back(RelayEvent::Allocated(relayed));
                }
                Event::DataIndicationOrChannelData(_, peer, payload) => {
                    self.events.push_back(RelayEvent::Data { peer, payload });
                }
                Event::CreatePermissionResponse(_, peer) => self.permitted(peer, now),
                Event::CreatePermissionError(id, _) => self.refused(id, now),
                Event::BindingError(_, why) | Event::AllocateError(_, why) => self.give_up(why.to_string()),
                Event::TransactionTimeout(id) => {
                    self.refused(id, now);
                    self.give_up("no answer".to_owned());
                }
                // The enum is open: an event of a later version is none that we asked for.
                _ => {}
            }
        }
    }

    fn permitted(&mut self, peer: SocketAddr, now: Instant) {
        let Some(permission) = self.pending.remove(&peer) else { return };
        let Some(Ok(mut allocation)) = self.relayed.map(|relayed| self.client.relay(relayed)) else { return };
        for payload in permission.held {
            let _ = allocation.send_to(now, &payload, peer);
        }
    }

    /// A permission was refused: usually the nonce was stale and the next attempt has a fresh one.
    fn refused(&mut self, id: TransactionId, now: Instant) {
        let asked_for = |permission: &Permission| permission.transaction.as_ref().is_some_and(|t| t.0 == id.0);
        let Some(peer) = self.pending.iter().find(|(_, permission)| asked_for(permission)).map(|(peer, _)| *peer)
        else {
            return;
        };
        let Some(permission) = self.pending.get_mut(&peer) else { return };
        permission.attempts += 1;
        let allocation = self.relayed.map(|relayed| self.client.relay(relayed));
        match allocation {
            Some(Ok(mut allocation)) if permission.attempts <= MAX_ATTEMPTS => {
                permission.transaction = allocation.create_permission(now, peer).ok().flatten();
            }
            _ => {
                self.pending.remove(&peer);
            }
        }
    }

    /// Only the first answer counts: a keepalive or a permission that fails later does not take back an address.
    fn give_up(&mut self, why: String) {
        if !self.settled {
            self.settled = true;
            self.keepalive_at = None;
            let kind = if self.is_turn { "TURN" } else { "STUN" };
            self.events.push_back(RelayEvent::Unusable(format!("{kind}: {why}")));
        }
    }
}

fn core_error(error: impl std::fmt::Display) -> LinkError {
    LinkError::Core(error.to_string())
}
