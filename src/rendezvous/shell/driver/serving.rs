//! Streams that others open: pipes through us, rings for us, questions.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use futures::AsyncWriteExt;
use libp2p::swarm::StreamProtocol;
use libp2p::{PeerId, Stream};
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;

use super::Driver;
use crate::base::{NodeId, RateTable, source_of};
use crate::identity::BlindedPerson;
use crate::rendezvous::limits::Limits;
use crate::rendezvous::shell::autonat;
use crate::rendezvous::shell::behaviour::{CALL, DIAL_BACK, DIAL_REQUEST, HERE, PIPE, PIPE_IN, RELAY, RESERVED};
use crate::rendezvous::shell::command::{Command, Net};
use crate::rendezvous::shell::grants;
use crate::rendezvous::shell::pipe;
use crate::rendezvous::shell::ring::node_id;
use crate::rendezvous::shell::stream::{SignalStream, framed, read_frame};
use crate::rendezvous::shell::streams::{Inbound, Opened};
use crate::rendezvous::{RendezvousEvent, Via};

/// Whoever rings sends the first flight with the opening of the stream.
const FIRST_FRAME: Duration = Duration::from_secs(5);
/// Small questions being answered at a time; more are reset.
const MAX_QUESTIONS: usize = 256;
/// Blinded keys in one question on the LAN.
const MAX_KEYS: usize = 4;

pub(super) struct Serving {
    limits: Limits,
    pipes: JoinSet<()>,
    uses: HashMap<Id, PipeUse>,
    by_node: RateTable<PeerId>,
    by_address: RateTable<IpAddr>,
    arrivals: JoinSet<Option<Arrival>>,
    questions: JoinSet<()>,
}

/// Whose share of this super-peer a pipe uses up.
struct PipeUse {
    from: PeerId,
    address: Option<IpAddr>,
    to: Option<PeerId>,
}

/// What came of a task.
pub(super) enum Ended {
    Pipe(Id),
    Arrival(Option<Arrival>),
}

/// A ring whose first frame is there.
pub(super) struct Arrival {
    stream: SignalStream,
    via: Via,
}

impl Serving {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            pipes: JoinSet::new(),
            uses: HashMap::new(),
            by_node: RateTable::new(limits.pipe_rate_per_node),
            by_address: RateTable::new(limits.pipe_rate_per_address),
            arrivals: JoinSet::new(),
            questions: JoinSet::new(),
        }
    }

    pub(super) fn pipes(&self) -> usize {
        self.pipes.len()
    }

    /// The next task of ours to end; never, while there is none. May be cancelled at any time.
    pub(super) async fn next(&mut self) -> Ended {
        tokio::select! {
            Some(ended) = self.pipes.join_next_with_id() => Ended::Pipe(match ended {
                Ok((id, ())) => id,
                Err(error) => error.id(),
            }),
            Some(arrival) = self.arrivals.join_next() => Ended::Arrival(arrival.ok().flatten()),
            else => std::future::pending().await,
        }
    }

    fn admits(&mut self, from: PeerId, address: Option<IpAddr>) -> bool {
        let of_node = self.uses.values().filter(|pipe| pipe.from == from).count();
        let of_address = self.uses.values().filter(|pipe| address.is_some() && pipe.address == address).count();
        let now = Instant::now();
        self.uses.len() < self.limits.pipes
            && of_node < self.limits.pipes_per_node
            && of_address < self.limits.pipes_per_address
            && address.is_none_or(|address| self.by_address.take(&address, now))
            && self.by_node.take(&from, now)
    }
}

impl Driver {
    /// Serves a stream that a peer opened; what is over a limit is dropped, which resets it.
    pub(super) fn serve(&mut self, Inbound { peer, connection, protocol, stream }: Inbound) {
        let relay = self.connections.relay_of(&peer, connection);
        let net = self.net.clone();
        // A question has ended and nobody was told: they are swept up here.
        while self.serving.questions.try_join_next().is_some() {}
        let room = self.serving.questions.len() < MAX_QUESTIONS;
        if protocol == PIPE {
            let address = self.connections.remote_ip(&peer, connection).map(source_of);
            if relay.is_none() && self.serving.admits(peer, address) {
                let (bytes, lifetime) = (self.serving.limits.pipe_bytes, self.serving.limits.pipe_lifetime);
                let task = self.serving.pipes.spawn(pipe::serve(net, stream, bytes, lifetime));
                self.serving.uses.insert(task.id(), PipeUse { from: peer, address, to: None });
            }
        } else if protocol == PIPE_IN || protocol == CALL {
            self.await_first_frame(&protocol, peer, relay, stream);
        } else if protocol == HERE && room {
            self.serving.questions.spawn(answer_on_lan(net, stream));
        } else if protocol == RESERVED && room {
            self.serving.questions.spawn(answer_reserved(net, stream));
        } else if protocol == RELAY
            && room
            && relay.is_none()
            && let Some(from) = node_id(&peer)
        {
            let address = self.connections.remote_ip(&peer, connection);
            self.serving.questions.spawn(grants::answer(self.events.clone(), from, address, stream));
        } else if protocol == DIAL_REQUEST
            && room
            && relay.is_none()
            && let Some(address) = self.connections.remote_ip(&peer, connection)
            && self.dialling_back.admits(peer, source_of(address))
        {
            self.serving.questions.spawn(autonat::answer(net, peer, address, stream));
        } else if protocol == DIAL_BACK && room && relay.is_none() && self.connections.is_visit(&peer, connection) {
            // It is there for this alone, and will be closed.
            self.swarm.behaviour_mut().streams.set_aside(connection);
            self.serving.questions.spawn(autonat::be_dialled(net, stream));
        }
    }

    /// A ring for us. Only super-peers that hold a place for us may pipe.
    fn await_first_frame(&mut self, protocol: &StreamProtocol, peer: PeerId, relay: Option<PeerId>, stream: Stream) {
        if self.serving.arrivals.len() >= self.serving.limits.incoming_streams || self.leaving.is_some() {
            return;
        }
        let via = if *protocol == CALL {
            relay.map_or(Some(Via::Direct), |relay| node_id(&relay).map(Via::Circuit))
        } else {
            node_id(&peer).filter(|_| self.relaying.is_held(&peer)).map(Via::Pipe)
        };
        let Some(via) = via else { return };
        self.serving.arrivals.spawn(async move {
            let mut stream = SignalStream::new(stream);
            let ready = timeout(FIRST_FRAME, stream.ready()).await;
            matches!(ready, Ok(Ok(true))).then_some(Arrival { stream, via })
        });
    }

    pub(super) fn served(&mut self, ended: Ended) {
        match ended {
            Ended::Pipe(id) => drop(self.serving.uses.remove(&id)),
            Ended::Arrival(Some(Arrival { stream, via })) => self.tell(RendezvousEvent::Incoming { stream, via }),
            Ended::Arrival(None) => {}
        }
    }

    /// Opens the second half of a pipe, if the client has a place here. Otherwise `opened` is dropped: "not here".
    pub(super) fn continue_pipe(&mut self, pipe: Id, client: PeerId, opened: Opened) {
        let towards = self.serving.uses.values().filter(|pipe| pipe.to == Some(client)).count();
        let Some(known) = self.serving.uses.get_mut(&pipe) else { return };
        if !self.relaying.has_client(&client) || towards >= self.serving.limits.pipes_per_client {
            return;
        }
        known.to = Some(client);
        self.swarm.behaviour_mut().streams.open(client, None, PIPE_IN, opened);
    }
}

async fn answer_on_lan(net: Net, mut stream: Stream) {
    let exchange = async {
        let question = read_frame(&mut stream, MAX_KEYS * 32).await.ok()?;
        let keys = question.as_chunks::<32>().0.iter().map(|key| BlindedPerson::from_bytes(*key)).collect();
        let value = net.ask(|reply| Command::Answer { keys, reply }).await.unwrap_or_default();
        stream.write_all(&framed(&value)?).await.ok()?;
        stream.close().await.ok()
    };
    let _ = timeout(FIRST_FRAME, exchange).await;
}

async fn answer_reserved(net: Net, mut stream: Stream) {
    let exchange = async {
        let question = read_frame(&mut stream, NodeId::MAX_LEN).await.ok()?;
        let node = PeerId::from_bytes(&question).ok()?;
        let reserved = net.ask(|reply| Command::HasReservation { node, reply }).await.unwrap_or(false);
        stream.write_all(&framed(&[u8::from(reserved)])?).await.ok()?;
        stream.close().await.ok()
    };
    let _ = timeout(FIRST_FRAME, exchange).await;
}
