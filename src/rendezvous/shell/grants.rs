//! Asking super-peers for the use of their media relays.

use std::net::{IpAddr, SocketAddr};
use std::sync::PoisonError;
use std::time::Duration;

use futures::AsyncWriteExt;
use libp2p::Stream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::relay::{self, MAX_ANSWER, QUESTION, RelayAnswer};
use super::super::{RelayGrant, RendezvousEvent};
use super::behaviour::RELAY;
use super::command::{Command, FoundRelay, Net};
use super::ring::node_id;
use super::stream::{framed, read_frame};
use super::transport::SharedRules;
use crate::base::NodeId;

/// A super-peer answers within this, or another is asked.
const ANSWER: Duration = Duration::from_secs(4);
/// Super-peers that are met later are of no use to a call that rings.
const PATIENCE: Duration = Duration::from_secs(15);
/// Super-peers asked in all, refusals included.
const MAX_ASKED: usize = 8;

/// The way of an answer back to the client that asked.
#[derive(Debug)]
pub struct RelayReply(oneshot::Sender<RelayAnswer>);

impl RelayReply {
    /// A client that has gone meanwhile does not want it any more.
    pub fn send(self, answer: RelayAnswer) {
        let _ = self.0.send(answer);
    }
}

/// Asks super-peers that we are connected to, and those that we get connected to meanwhile, until `wanted` of them have
/// granted something, nobody listens any more, or [`PATIENCE`] is over.
pub(super) async fn collect(net: Net, rules: SharedRules, wanted: usize, grants: mpsc::Sender<RelayGrant>) {
    let (tell, mut found) = mpsc::channel(MAX_ASKED);
    if !net.send(Command::Relays { found: tell }).await {
        return;
    }
    let patience = sleep(PATIENCE);
    tokio::pin!(patience);
    let mut asking: JoinSet<Option<RelayGrant>> = JoinSet::new();
    let (mut asked, mut granted) = (0, 0);
    while granted < wanted {
        tokio::select! {
            node = found.recv(), if asked < MAX_ASKED && granted + asking.len() < wanted => match node {
                Some(found) => {
                    asked += 1;
                    asking.spawn(ask(net.clone(), rules.clone(), found));
                }
                None => return,
            },
            Some(answer) = asking.join_next(), if !asking.is_empty() => {
                if let Ok(Some(grant)) = answer {
                    granted += 1;
                    if grants.send(grant).await.is_err() {
                        return;
                    }
                }
            }
            () = grants.closed() => return,
            () = &mut patience => return,
        }
    }
}

async fn ask(net: Net, rules: SharedRules, FoundRelay { node, tcp }: FoundRelay) -> Option<RelayGrant> {
    let exchange = async {
        let mut stream = net.open(node, None, RELAY).await?;
        stream.write_all(&framed(&QUESTION)?).await.ok()?;
        stream.flush().await.ok()?;
        relay::decode(&read_frame(&mut stream, MAX_ANSWER).await.ok()?)
    };
    let mut offer = match timeout(ANSWER, exchange).await.ok()?? {
        Ok(offer) => offer,
        Err(reason) => {
            tracing::debug!(reason, "a super-peer does not relay media for us");
            return None;
        }
    };
    let believed = |server: &SocketAddr| {
        let rules = rules.read().unwrap_or_else(PoisonError::into_inner);
        server.port() != 0 && rules.may_reach(server.ip())
    };
    // Somebody else's LAN, or ours: a super-peer could have us knock there.
    offer.servers.retain(believed);
    offer.stun.retain(believed);
    let relay = node_id(&node).filter(|_| !offer.servers.is_empty())?;
    Some(RelayGrant { relay, offer, tcp })
}

/// A client asks us. The engine decides: it knows whether we relay.
pub(super) async fn answer(
    events: mpsc::Sender<RendezvousEvent>,
    from: NodeId,
    address: Option<IpAddr>,
    mut stream: Stream,
) {
    let exchange = async {
        let question = read_frame(&mut stream, QUESTION.len()).await.ok()?;
        if question != QUESTION {
            return None;
        }
        let (reply, decided) = oneshot::channel();
        let asked = RendezvousEvent::RelayAsked { from, address, reply: RelayReply(reply) };
        // Half of the queue is left to everything else: our own person must be rung however many ask.
        let has_room = events.capacity() > events.max_capacity() / 2;
        let answer: RelayAnswer = if has_room && events.try_send(asked).is_ok() {
            decided.await.unwrap_or_else(|_| Err("not relaying".to_owned()))
        } else {
            Err("too busy".to_owned())
        };
        stream.write_all(&framed(&relay::encode(&answer))?).await.ok()?;
        stream.close().await.ok()
    };
    let _ = timeout(ANSWER, exchange).await;
}
