//! What tasks ask of the driver.

use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use futures::AsyncWriteExt;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::super::Totals;
use super::super::autonat::Answer;
use super::super::limits::{DIAL_TIMEOUT, STEP_TIMEOUT};
use super::super::record::{NodeAddresses, Presence};
use super::super::search::Search;
use super::behaviour::RESERVED;
use super::stream::{framed, is_not_spoken, read_frame};
use super::streams::Opened;
use crate::identity::BlindedPerson;

/// A super-peer answers within this or is taken for dead.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// As long as somebody waits who would notice.
pub(super) const SHORT_PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Commands under way; who sends more waits.
pub(super) const QUEUE: usize = 256;

/// A question to the driver. A dropped reply means no.
#[derive(Debug)]
pub(super) enum Command {
    /// Look a person up. Ends with [`News::Finished`], or when `news` is dropped.
    /// `known`: begin with the record that was found last.
    Search {
        search: Box<Search>,
        known: bool,
        news: mpsc::Sender<News>,
    },
    /// A node on the LAN answered a search with this value, or not at all.
    LanAnswer {
        search: SearchId,
        value: Option<Vec<u8>>,
    },
    /// Nodes through which the network can be entered.
    Meet {
        nodes: Vec<(PeerId, Multiaddr)>,
    },
    /// Have a direct connection to a node.
    Connect {
        node: PeerId,
        addresses: Vec<Multiaddr>,
        reply: oneshot::Sender<Connected>,
    },
    /// Have a connection to `node` through `relay`, to which a direct connection exists.
    Circuit {
        relay: PeerId,
        node: PeerId,
        reply: oneshot::Sender<ConnectionId>,
    },
    Open {
        node: PeerId,
        on: Option<ConnectionId>,
        protocol: StreamProtocol,
        opened: Opened,
    },
    /// Continue the pipe of task `pipe` to a client with a reservation.
    PipeTo {
        pipe: tokio::task::Id,
        client: PeerId,
        opened: Opened,
    },
    /// Is one of these our person? Then the record.
    Answer {
        keys: Vec<BlindedPerson>,
        reply: oneshot::Sender<Vec<u8>>,
    },
    HasReservation {
        node: PeerId,
        reply: oneshot::Sender<bool>,
    },
    /// Say which super-peers with a media relay we are connected to, and which we get connected to.
    Relays {
        found: mpsc::Sender<FoundRelay>,
    },
    /// A super-peer was asked whether we have a place there.
    Probed {
        node: PeerId,
        /// The connection that was asked over; `None`: any.
        on: Option<ConnectionId>,
        outcome: Probe,
    },
    /// A super-peer was asked to dial us at `address` and say `nonce`. `None`: it did not answer.
    Examined {
        server: PeerId,
        address: Multiaddr,
        nonce: u64,
        answer: Option<Answer>,
    },
    /// Somebody has dialled us and says this number.
    DialledBy {
        nonce: u64,
        reply: oneshot::Sender<()>,
    },
    /// Have a connection made to a node that wants to know whether it can be; `None`: it cannot.
    DialBack {
        node: PeerId,
        address: Multiaddr,
        reply: oneshot::Sender<Option<ConnectionId>>,
    },
    /// It has served its purpose.
    HangUp {
        connection: ConnectionId,
    },
    /// In the BitTorrent DHT somebody is said to be here.
    Rumours {
        found: Vec<SocketAddrV4>,
    },
    /// We have announced ourselves there, or failed to.
    Announced {
        stored: bool,
    },
    Totals {
        reply: oneshot::Sender<Totals>,
    },
    /// This machine got into another network; `lost_way`: what we are connected to cannot reach us any more.
    NetworkChanged {
        lost_way: bool,
    },
    /// The router leads strangers from here to our QUIC port; `None`: no longer.
    Mapped {
        external: Option<SocketAddrV4>,
    },
    /// Find out which connections are dead.
    Check,
    Shutdown {
        done: oneshot::Sender<()>,
    },
    /// Stop without a word, as a process that is killed does.
    #[cfg(test)]
    Crash,
}

/// A super-peer with a media relay that we are connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FoundRelay {
    pub(super) node: PeerId,
    /// Where we have dialled it, when that was over TCP.
    pub(super) tcp: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SearchId(pub(super) u64);

/// What a search finds.
#[derive(Debug, Clone)]
pub(super) enum News {
    /// A record newer than any before; it may say that the person has left.
    Presence { presence: Presence, seq: u64, requests: u32 },
    /// Nothing more will come. `reached`: at least one node answered.
    Finished { reached: bool, requests: u32 },
}

/// What is known of a node that we are connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connected {
    /// Whether it has a ring pipe; `None` before it has introduced itself.
    pub(super) pipe: Option<bool>,
}

/// What a super-peer says when it is asked whether we have a place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    Reserved,
    NotReserved,
    /// No answer in time: it, or the connection to it, is dead.
    Silent,
}

/// The way to the driver. Every question is answered, or given up after a bounded time.
#[derive(Debug, Clone)]
pub(super) struct Net {
    me: PeerId,
    commands: mpsc::Sender<Command>,
}

impl Net {
    pub(super) fn new(me: PeerId) -> (Self, mpsc::Receiver<Command>) {
        let (commands, queue) = mpsc::channel(QUEUE);
        (Self { me, commands }, queue)
    }

    /// False when the driver has stopped.
    pub(super) async fn send(&self, command: Command) -> bool {
        self.commands.send(command).await.is_ok()
    }

    /// `known`: what was found last is the first news.
    pub(super) async fn search(&self, search: Search, known: bool) -> Option<mpsc::Receiver<News>> {
        // A person republishes rarely; news beyond this many unread ones are older than what is read last.
        let (news, receiver) = mpsc::channel(16);
        self.send(Command::Search { search: Box::new(search), known, news }).await.then_some(receiver)
    }

    pub(super) async fn connect(&self, node: &NodeAddresses) -> Option<Connected> {
        let NodeAddresses { node, addresses } = node.clone();
        let ask = self.ask(|reply| Command::Connect { node, addresses, reply });
        // The transport has a limit for each address; they are dialled at the same time, some a little later.
        timeout(DIAL_TIMEOUT * 2, ask).await.ok()?
    }

    pub(super) async fn circuit(&self, relay: PeerId, node: PeerId) -> Option<ConnectionId> {
        timeout(STEP_TIMEOUT, self.ask(|reply| Command::Circuit { relay, node, reply })).await.ok()?
    }

    pub(super) async fn open(
        &self,
        node: PeerId,
        on: Option<ConnectionId>,
        protocol: StreamProtocol,
    ) -> Option<Stream> {
        timeout(STEP_TIMEOUT, self.ask(|opened| Command::Open { node, on, protocol, opened })).await.ok()?
    }

    /// Asks a super-peer whether we have a place reserved there; the driver draws the consequences. One that we are
    /// not connected to counts as silent. `on`: over this connection, which alone is closed if it is dead.
    pub(super) async fn probe(&self, node: PeerId, on: Option<ConnectionId>, patience: Duration) {
        let outcome = match timeout(patience, self.is_reserved(node, on, self.me)).await.ok().flatten() {
            Some(true) => Probe::Reserved,
            Some(false) => Probe::NotReserved,
            None => Probe::Silent,
        };
        self.send(Command::Probed { node, on, outcome }).await;
    }

    /// Whether a super-peer that we are connected to says that it holds a place for `who`; `None`: it does not answer.
    pub(super) async fn is_reserved(&self, at: PeerId, on: Option<ConnectionId>, who: PeerId) -> Option<bool> {
        let mut stream = self.open(at, on, RESERVED).await?;
        stream.write_all(&framed(&who.to_bytes())?).await.ok()?;
        stream.flush().await.ok()?;
        match read_frame(&mut stream, 1).await {
            Ok(answer) => Some(answer == [1]),
            // One of another make cannot say; it did answer, though.
            Err(error) => is_not_spoken(&error).then_some(true),
        }
    }

    pub(super) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}
