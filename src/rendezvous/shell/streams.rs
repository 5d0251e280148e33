//! The behaviour that opens and takes our own streams.
//!
//! It does less than `libp2p-stream`, on purpose: that crate drops an inbound stream when another one arrived in the
//! same moment (a caller rings through three super-peers at once), forgets no connection it has ever seen, picks any of
//! a peer's connections, and dials by itself. Here inbound streams are swarm events, so the connection's own
//! back-pressure bounds them; an outbound stream goes over the connection that was asked for, or over the newest
//! direct one; a peer that is not connected is an error.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll, Waker};

use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, FromSwarm};
use libp2p::swarm::handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, NetworkBehaviour, NotifyHandler,
    SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, Stream, StreamProtocol};
use tokio::sync::oneshot;

use super::super::limits::STEP_TIMEOUT;

/// Streams being opened on one connection; more are refused.
const MAX_OPENING: usize = 128;

/// A stream that a peer opened.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) peer: PeerId,
    pub(super) connection: ConnectionId,
    pub(super) protocol: StreamProtocol,
    pub(super) stream: Stream,
}

/// Where an opened stream goes; dropped if it could not be opened.
pub(super) type Opened = oneshot::Sender<Stream>;

pub(super) struct Behaviour {
    protocols: Vec<StreamProtocol>,
    connections: BTreeMap<PeerId, Vec<Connection>>,
    /// Connections that serve a purpose of their own: streams go over them only when they are named.
    aside: BTreeSet<ConnectionId>,
    /// Bounded by what the connections' handlers and the driver's commands can have under way.
    actions: VecDeque<ToSwarm<Inbound, Order>>,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    id: ConnectionId,
    relayed: bool,
}

impl Behaviour {
    /// `protocols`: those in which streams are taken.
    pub(super) fn new(protocols: Vec<StreamProtocol>) -> Self {
        let (connections, aside) = (BTreeMap::new(), BTreeSet::new());
        Self { protocols, connections, aside, actions: VecDeque::new(), waker: None }
    }

    /// Takes streams in these protocols from now on, and no others.
    pub(super) fn take(&mut self, protocols: Vec<StreamProtocol>) {
        if protocols == self.protocols {
            return;
        }
        for (peer, connections) in &self.connections {
            let tell = |connection: &Connection| ToSwarm::NotifyHandler {
                peer_id: *peer,
                handler: NotifyHandler::One(connection.id),
                event: Order::Take(protocols.clone()),
            };
            self.actions.extend(connections.iter().map(tell));
        }
        self.protocols = protocols;
        self.wake();
    }

    /// Keeps a connection, or one that is being made, for those who name it.
    pub(super) fn set_aside(&mut self, connection: ConnectionId) {
        self.aside.insert(connection);
    }

    /// It could not be made, or is gone.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.aside.remove(&connection);
    }

    /// Opens a stream over connection `on`, or over the newest direct connection to `peer`. Without one, `opened` is
    /// dropped.
    pub(super) fn open(&mut self, peer: PeerId, on: Option<ConnectionId>, protocol: StreamProtocol, opened: Opened) {
        let connections = self.connections.get(&peer).map_or(&[][..], Vec::as_slice);
        let chosen = match on {
            Some(id) => connections.iter().find(|connection| connection.id == id),
            None => {
                let is_for_all = |connection: &&Connection| !connection.relayed && !self.aside.contains(&connection.id);
                connections.iter().rev().find(is_for_all)
            }
        };
        let Some(Connection { id, .. }) = chosen else { return };
        self.actions.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(*id),
            event: Order::Open { protocol, opened },
        });
        self.wake();
    }

    /// Has every connection look whether anybody still needs it. The relay service's part says "for ten seconds more"
    /// when it is asked, and nothing makes the connection ask again.
    pub(super) fn look_at_connections(&mut self) {
        for (peer, connections) in &self.connections {
            let look = |connection: &Connection| ToSwarm::NotifyHandler {
                peer_id: *peer,
                handler: NotifyHandler::One(connection.id),
                event: Order::Look,
            };
            self.actions.extend(connections.iter().map(look));
        }
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn handler(&self) -> Handler {
        Handler { protocols: self.protocols.clone(), wanted: VecDeque::new(), opening: 0, arrived: VecDeque::new() }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Inbound;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, endpoint, .. }) => {
                let connection = Connection { id: connection_id, relayed: endpoint.is_relayed() };
                self.connections.entry(peer_id).or_default().push(connection);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                self.forget(connection_id);
                if let Some(connections) = self.connections.get_mut(&peer_id) {
                    connections.retain(|connection| connection.id != connection_id);
                    if connections.is_empty() {
                        self.connections.remove(&peer_id);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        let Arrived { protocol, stream } = event;
        self.actions.push_back(ToSwarm::GenerateEvent(Inbound { peer, connection, protocol, stream }));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(action) = self.actions.pop_front() {
            return Poll::Ready(action);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// To a connection.
#[derive(Debug)]
pub(super) enum Order {
    Open {
        protocol: StreamProtocol,
        opened: Opened,
    },
    /// Take streams in these protocols.
    Take(Vec<StreamProtocol>),
    /// Being told anything is what makes it look.
    Look,
}

/// From a connection: a stream was opened by the peer.
#[derive(Debug)]
pub(super) struct Arrived {
    protocol: StreamProtocol,
    stream: Stream,
}

pub(super) struct Handler {
    protocols: Vec<StreamProtocol>,
    wanted: VecDeque<(StreamProtocol, Opened)>,
    opening: usize,
    arrived: VecDeque<Arrived>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Order;
    type ToBehaviour = Arrived;
    type InboundProtocol = Raw;
    type OutboundProtocol = Raw;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Opened;

    fn listen_protocol(&self) -> SubstreamProtocol<Raw> {
        SubstreamProtocol::new(Raw(self.protocols.clone()), ())
    }

    fn on_behaviour_event(&mut self, order: Order) {
        match order {
            Order::Open { protocol, opened } if self.opening + self.wanted.len() < MAX_OPENING => {
                self.wanted.push_back((protocol, opened));
            }
            Order::Take(protocols) => self.protocols = protocols,
            Order::Open { .. } | Order::Look => {}
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Raw, Opened, Arrived>> {
        if let Some(arrived) = self.arrived.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(arrived));
        }
        if let Some((protocol, opened)) = self.wanted.pop_front() {
            self.opening += 1;
            let protocol = SubstreamProtocol::new(Raw(vec![protocol]), opened).with_timeout(STEP_TIMEOUT);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Raw, Raw, (), Opened>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol), ..
            }) => {
                self.arrived.push_back(Arrived { protocol, stream });
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: (stream, _), info }) => {
                self.opening = self.opening.saturating_sub(1);
                // Whoever asked may have given up; the stream is then reset.
                let _ = info.send(stream);
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { .. }) => {
                self.opening = self.opening.saturating_sub(1);
            }
            _ => {}
        }
    }
}

/// The upgrade that leaves a negotiated stream as it is.
#[derive(Debug, Clone)]
pub(super) struct Raw(Vec<StreamProtocol>);

impl UpgradeInfo for Raw {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Raw {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for Raw {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
