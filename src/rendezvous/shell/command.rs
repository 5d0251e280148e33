//! What tasks ask of the driver.

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::super::Totals;
use super::super::limits::{DIAL_TIMEOUT, STEP_TIMEOUT};
use super::super::record::{NodeAddresses, Presence};
use super::super::search::Search;
use super::streams::Opened;
use crate::identity::BlindedPerson;

/// Commands under way; who sends more waits.
pub(super) const QUEUE: usize = 256;

/// A question to the driver. A dropped reply means no.
#[derive(Debug)]
pub(super) enum Command {
    /// Look a person up. Ends with [`News::Finished`], or when `news` is dropped.
    Search { search: Box<Search>, news: mpsc::Sender<News> },
    /// A node on the LAN answered a search with this value, or not at all.
    LanAnswer { search: SearchId, value: Option<Vec<u8>> },
    /// Nodes through which the network can be entered.
    Meet { nodes: Vec<(PeerId, Multiaddr)> },
    /// Have a direct connection to a node.
    Connect { node: PeerId, addresses: Vec<Multiaddr>, reply: oneshot::Sender<Connected> },
    /// Have a connection to `node` through `relay`, to which a direct connection exists.
    Circuit { relay: PeerId, node: PeerId, reply: oneshot::Sender<ConnectionId> },
    Open { node: PeerId, on: Option<ConnectionId>, protocol: StreamProtocol, opened: Opened },
    /// Continue the pipe of task `pipe` to a client with a reservation.
    PipeTo { pipe: tokio::task::Id, client: PeerId, opened: Opened },
    /// Is one of these our person? Then the record.
    Answer { keys: Vec<BlindedPerson>, reply: oneshot::Sender<Vec<u8>> },
    HasReservation { node: PeerId, reply: oneshot::Sender<bool> },
    /// A relay that holds a reservation of ours was asked whether it does.
    RelayChecked { relay: PeerId, alive: bool },
    Totals { reply: oneshot::Sender<Totals> },
    Shutdown { done: oneshot::Sender<()> },
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

/// The way to the driver. Every question is answered, or given up after a bounded time.
#[derive(Debug, Clone)]
pub(super) struct Net {
    commands: mpsc::Sender<Command>,
}

impl Net {
    pub(super) fn new() -> (Self, mpsc::Receiver<Command>) {
        let (commands, queue) = mpsc::channel(QUEUE);
        (Self { commands }, queue)
    }

    /// False when the driver has stopped.
    pub(super) async fn send(&self, command: Command) -> bool {
        self.commands.send(command).await.is_ok()
    }

    /// For callers that must not wait; false when the driver is busy or has stopped.
    pub(super) fn try_send(&self, command: Command) -> bool {
        self.commands.try_send(command).is_ok()
    }

    pub(super) async fn search(&self, search: Search) -> Option<mpsc::Receiver<News>> {
        // A person republishes rarely; news beyond this many unread ones are older than what is read last.
        let (news, receiver) = mpsc::channel(16);
        self.send(Command::Search { search: Box::new(search), news }).await.then_some(receiver)
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

    pub(super) async fn open(&self, node: PeerId, on: Option<ConnectionId>, protocol: StreamProtocol) -> Option<Stream> {
        timeout(STEP_TIMEOUT, self.ask(|opened| Command::Open { node, on, protocol, opened })).await.ok()?
    }

    pub(super) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}
