//! Looking a person up, and ringing them through every way at once.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::super::record::{NodeAddresses, Presence};
use super::super::search::Search;
use super::super::{LookupReport, Reached, RingAttempt, RingFailure, StreamError, Via};
use super::behaviour::{CALL, PIPE};
use super::command::{Command, Net, News, SHORT_PROBE_TIMEOUT};
use super::stream::{SignalStream, framed};
use crate::base::{NodeId, Person};

/// A lookup that has found the person waits this long for a newer record.
const SETTLE: Duration = Duration::from_millis(150);
/// The first frame of an answer is there within this, or the way is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);
/// Before a way that failed is tried a second time.
const BEFORE_RETRY: Duration = Duration::from_millis(100);

/// What the network says of `person`: the newest of what comes at first and a little later.
pub(super) async fn look_up(net: Net, person: Person) -> LookupReport {
    let started = Instant::now();
    let mut report = LookupReport { found: false, seq: None, took: Duration::ZERO, requests: 0 };
    let searching = match Search::new(person, unix_s()) {
        Some(search) => net.search(search, false).await,
        None => None,
    };
    if let Some(mut news) = searching {
        let mut first_at = None;
        loop {
            let settled = async {
                match first_at {
                    Some(_) => sleep(SETTLE).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = news.recv() => match message {
                    Some(News::Presence { presence, seq, requests }) => {
                        (report.found, report.seq) = (!presence.withdrawn, Some(seq));
                        if first_at.is_none() {
                            first_at = Some(started.elapsed());
                            report.requests = requests;
                        }
                    }
                    Some(News::Finished { requests, .. }) => {
                        if first_at.is_none() {
                            report.requests = requests;
                        }
                        break;
                    }
                    None => break,
                },
                () = settled, if report.found => break,
            }
        }
        report.took = first_at.unwrap_or_else(|| started.elapsed());
    }
    report
}

/// Rings `person` until the search and every attempt have ended, or nobody listens to `attempts` any more.
pub(super) async fn ring(
    net: Net,
    person: Person,
    hints: Vec<(PeerId, Multiaddr)>,
    flights: Vec<Vec<u8>>,
    attempts: mpsc::Sender<RingAttempt>,
) {
    if !hints.is_empty() {
        net.send(Command::Meet { nodes: hints }).await;
    }
    let searching = match Search::new(person, unix_s()) {
        Some(search) => net.search(search, true).await,
        None => None,
    };
    let Some(mut news) = searching else {
        let _ = attempts.send(Err(RingFailure::NotFound)).await;
        return;
    };
    let flights = flights.into_iter().enumerate().collect();
    let mut ring = Ring { net, flights, tried: BTreeSet::new(), running: FuturesUnordered::new() };
    let mut searching = true;
    while searching || !ring.running.is_empty() {
        tokio::select! {
            message = news.recv(), if searching => match message {
                Some(News::Presence { presence, .. }) => ring.try_ways(&presence),
                Some(News::Finished { reached, .. }) => {
                    searching = false;
                    if ring.tried.is_empty() {
                        let failure = if reached { RingFailure::NotFound } else { RingFailure::Unreachable };
                        let _ = attempts.send(Err(failure)).await;
                    }
                }
                None => searching = false,
            },
            Some(step) = ring.running.next(), if !ring.running.is_empty() => {
                if let Some(attempt) = ring.take(step) && attempts.send(attempt).await.is_err() {
                    return;
                }
            },
            () = attempts.closed() => return,
        }
    }
}

struct Ring {
    net: Net,
    /// Taken from the front, one for each way.
    flights: VecDeque<(usize, Vec<u8>)>,
    /// The callee's node and a super-peer, or no super-peer for the direct way.
    tried: BTreeSet<(PeerId, Option<PeerId>)>,
    running: FuturesUnordered<Pin<Box<dyn Future<Output = Step> + Send>>>,
}

/// How far a way has come.
enum Step {
    /// There is a direct connection to the callee's node.
    Connected(PeerId),
    /// There is none, and none was to be expected: we know no address of theirs, nor are they on our LAN.
    NoDirectWay,
    Ended(RingAttempt),
}

impl Ring {
    /// Sets out on every way that has not been tried yet.
    fn try_ways(&mut self, presence: &Presence) {
        if presence.withdrawn {
            return;
        }
        let callee = presence.node;
        if self.tried.insert((callee, None)) {
            let (net, direct) =
                (self.net.clone(), NodeAddresses { node: callee, addresses: presence.addresses.clone() });
            self.running.push(Box::pin(async move {
                match net.connect(&direct).await {
                    Some(_) => Step::Connected(callee),
                    None if direct.addresses.is_empty() => Step::NoDirectWay,
                    None => Step::Ended(Err(RingFailure::Unreachable)),
                }
            }));
        }
        for relay in &presence.relays {
            if !self.tried.insert((callee, Some(relay.node))) {
                continue;
            }
            let Some((flight, bytes)) = self.flights.pop_front() else { return };
            let (net, relay) = (self.net.clone(), relay.clone());
            self.running.push(Box::pin(async move {
                let reached = through_relay(&net, &relay, callee, &bytes).await;
                Step::Ended(reached.map(|(stream, via)| Reached { stream, flight, via }))
            }));
        }
    }

    /// The attempt that ended with this step, if one did.
    fn take(&mut self, step: Step) -> Option<RingAttempt> {
        match step {
            Step::Ended(attempt) => Some(attempt),
            Step::NoDirectWay => None,
            Step::Connected(callee) => {
                let (flight, bytes) = self.flights.pop_front()?;
                let net = self.net.clone();
                self.running.push(Box::pin(async move {
                    let reached = directly(&net, callee, &bytes).await;
                    Step::Ended(reached.map(|stream| Reached { stream, flight, via: Via::Direct }))
                }));
                None
            }
        }
    }
}

async fn directly(net: &Net, callee: PeerId, flight: &[u8]) -> Result<SignalStream, RingFailure> {
    let flight = framed(flight).ok_or(RingFailure::Refused)?;
    let stream = net.open(callee, None, CALL).await.ok_or(RingFailure::Unreachable)?;
    match exchange(SignalStream::new(stream), &flight).await? {
        Answer::Stream(stream) => Ok(stream),
        Answer::NotSpoken => Err(RingFailure::Refused),
    }
}

/// Through the pipe, or through a circuit where the super-peer has none. A way that breaks is tried a second time;
/// "not here" is an answer and is not.
async fn through_relay(
    net: &Net,
    relay: &NodeAddresses,
    callee: PeerId,
    flight: &[u8],
) -> Result<(SignalStream, Via), RingFailure> {
    let again = match through_relay_once(net, relay, callee, flight).await {
        Err(failure @ (RingFailure::Unreachable | RingFailure::Refused)) => failure,
        end => return end,
    };
    if again == RingFailure::Unreachable {
        // Perhaps our connection to it died unnoticed: then it is closed now, and a new one is made.
        net.probe(relay.node, None, SHORT_PROBE_TIMEOUT).await;
    }
    sleep(BEFORE_RETRY).await;
    through_relay_once(net, relay, callee, flight).await
}

async fn through_relay_once(
    net: &Net,
    relay: &NodeAddresses,
    callee: PeerId,
    flight: &[u8],
) -> Result<(SignalStream, Via), RingFailure> {
    let connected = net.connect(relay).await.ok_or(RingFailure::Unreachable)?;
    let flight = framed(flight).ok_or(RingFailure::Refused)?;
    let name = |make: fn(NodeId) -> Via| node_id(&relay.node).map(make).ok_or(RingFailure::Refused);
    if connected.pipe != Some(false) {
        let header = framed(&callee.to_bytes()).ok_or(RingFailure::Refused)?;
        let stream = net.open(relay.node, None, PIPE).await.ok_or(RingFailure::Unreachable)?;
        // Header and first flight leave together: the ring costs one round trip from end to end.
        match exchange(SignalStream::new(stream), &[header, flight.clone()].concat()).await? {
            Answer::Stream(stream) => return Ok((stream, name(Via::Pipe)?)),
            Answer::NotSpoken => {}
        }
    }
    let circuit = net.circuit(relay.node, callee).await.ok_or(RingFailure::NotHere)?;
    let stream = net.open(callee, Some(circuit), CALL).await.ok_or(RingFailure::Refused)?;
    match exchange(SignalStream::new(stream), &flight).await? {
        Answer::Stream(stream) => Ok((stream, name(Via::Circuit)?)),
        Answer::NotSpoken => Err(RingFailure::Refused),
    }
}

enum Answer {
    Stream(SignalStream),
    NotSpoken,
}

/// Sends the opening bytes and waits for the first frame of the answer.
async fn exchange(mut stream: SignalStream, opening: &[u8]) -> Result<Answer, RingFailure> {
    let step = async {
        // A refusal may already be there when we write.
        let sent = stream.send_raw(opening).await;
        let ready = stream.ready().await;
        sent.and(ready)
    };
    match timeout(ANSWER_TIMEOUT, step).await {
        Ok(Ok(true)) if stream.says_not_here() => Err(RingFailure::NotHere),
        Ok(Ok(true)) => Ok(Answer::Stream(stream)),
        Ok(Ok(false)) => Ok(Answer::NotSpoken),
        Ok(Err(StreamError::TimedOut)) | Err(_) => Err(RingFailure::Unreachable),
        Ok(Err(_)) => Err(RingFailure::Refused),
    }
}

pub(super) fn node_id(peer: &PeerId) -> Option<NodeId> {
    NodeId::from_bytes(&peer.to_bytes())
}

/// Seconds since the Unix epoch by this machine's clock.
pub(super) fn unix_s() -> u64 {
    unix_ms() / 1000
}

/// Milliseconds since the Unix epoch by this machine's clock; 0 for a clock before it.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
