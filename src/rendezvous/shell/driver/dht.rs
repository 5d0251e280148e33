//! Lookups, publishing, and storing for others.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use futures::AsyncWriteExt;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{self, GetRecordOk, InboundRequest, QueryId, QueryResult, Quorum};
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Driver, draw};
use crate::identity::BlindedPerson;
use crate::rendezvous::limits::{MAX_RECORD_BYTES, RECORD_TTL};
use crate::rendezvous::presence::{Entry, Publication, Publisher};
use crate::rendezvous::record::{NodeAddresses, record_key};
use crate::rendezvous::search::Search;
use crate::rendezvous::shell::behaviour::HERE;
use crate::rendezvous::shell::command::{Command, Net, News, PROBE_TIMEOUT, SearchId};
use crate::rendezvous::shell::ring::{node_id, unix_ms, unix_s};
use crate::rendezvous::shell::stream::{framed, read_frame};
use crate::rendezvous::storage::{Source, Storage, Verdict};
use crate::rendezvous::{RendezvousConfig, RendezvousEvent};

/// A search without any node to ask waits this long for one.
const PATIENCE: Duration = Duration::from_secs(4);
/// The same where the BitTorrent DHT is asked for one first.
const LONG_PATIENCE: Duration = Duration::from_secs(15);
/// Searches under way; more end at once with nothing.
const MAX_SEARCHES: usize = 64;
/// A node on our LAN answers within this or is not asked.
const LAN_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Dht {
    queries: HashMap<QueryId, Purpose>,
    searches: BTreeMap<SearchId, Running>,
    next_search: u64,
    publisher: Option<Publisher>,
    publishing: Option<Publishing>,
    /// Where the last publication's records lie: they are taken back there.
    stored: BTreeMap<Vec<u8>, BTreeSet<PeerId>>,
    withdrawing: HashSet<QueryId>,
    storage: Storage,
    records: usize,
}

/// What a Kademlia query is for.
enum Purpose {
    Search(SearchId),
    /// Finding the nodes closest to a record's key.
    Place(Entry),
    /// Storing a record on one node.
    Store {
        key: Vec<u8>,
        node: PeerId,
    },
}

struct Running {
    search: Search,
    news: mpsc::Sender<News>,
    /// Queries under way, each with the requests that it has sent.
    queries: Vec<QueryId>,
    requests: BTreeMap<usize, u32>,
    /// Nodes on the LAN that have not answered yet.
    lan: usize,
    reached: bool,
    /// No node is known; the search begins with the first that shows itself before this moment.
    waiting_until: Option<Instant>,
}

struct Publishing {
    relays: Vec<PeerId>,
    started: Instant,
    open: usize,
    acks: BTreeSet<PeerId>,
    told: usize,
}

impl Dht {
    pub(super) fn new(config: &RendezvousConfig, me: PeerId) -> Self {
        Self {
            queries: HashMap::new(),
            searches: BTreeMap::new(),
            next_search: 0,
            publisher: config.person.clone().map(|person| Publisher::new(person, me)),
            publishing: None,
            stored: BTreeMap::new(),
            withdrawing: HashSet::new(),
            storage: Storage::new(&config.limits),
            records: 0,
        }
    }

    pub(super) fn set_reachability(&mut self, relays: Vec<NodeAddresses>, addresses: Vec<Multiaddr>, now: Instant) {
        if let Some(publisher) = &mut self.publisher {
            publisher.set_reachability(relays, addresses, now);
        }
    }

    /// Puts the record out again although it says nothing new.
    pub(super) fn publish_again(&mut self, now: Instant) {
        if let Some(publisher) = &mut self.publisher {
            publisher.publish_again(now);
        }
    }

    pub(super) fn answer_on_lan(&mut self, keys: &[BlindedPerson]) -> Option<Vec<u8>> {
        self.publisher.as_mut()?.answer(keys, unix_ms(), &draw())
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let publish = self.publisher.as_ref().and_then(Publisher::poll_timeout).map(|(at, _)| at);
        let waiting = self.searches.values().filter_map(|running| running.waiting_until).min();
        publish.into_iter().chain(waiting).min()
    }

    pub(super) fn records(&self) -> usize {
        self.records
    }

    pub(super) fn is_withdrawing(&self) -> bool {
        !self.withdrawing.is_empty()
    }
}

/// Looking up.
impl Driver {
    pub(super) fn search(&mut self, search: Search, news: mpsc::Sender<News>) {
        if self.dht.searches.len() >= MAX_SEARCHES {
            let _ = news.try_send(News::Finished { reached: false, requests: 0 });
            return;
        }
        let id = SearchId(self.dht.next_search);
        self.dht.next_search += 1;
        let lan = self.connections.lan();
        let now = Instant::now();
        let patience = if self.rumours.hurry(now) { LONG_PATIENCE } else { PATIENCE };
        let running = Running {
            search,
            news,
            queries: Vec::new(),
            requests: BTreeMap::new(),
            lan: lan.len(),
            reached: false,
            waiting_until: Some(now + patience),
        };
        for node in lan {
            tokio::spawn(ask_on_lan(self.net.clone(), id, node, running.search.targets().to_vec()));
        }
        self.dht.searches.insert(id, running);
        // Our own relays are the first to be asked; one that died unnoticed must not hold the search up.
        self.check_relays(PROBE_TIMEOUT);
        self.connections.hurry(Instant::now());
        self.start_queries(id);
    }

    /// Asks the network, unless there is nobody to ask.
    fn start_queries(&mut self, id: SearchId) {
        let Some(running) = self.dht.searches.get_mut(&id) else { return };
        let kad = &mut self.swarm.behaviour_mut().kad;
        let alone = kad.kbuckets().next().is_none() && kad.mode() == kad::Mode::Client;
        if alone || running.waiting_until.is_none() {
            return;
        }
        running.waiting_until = None;
        for blinded in running.search.targets() {
            let query = kad.get_record(record_key(blinded).into());
            self.dht.queries.insert(query, Purpose::Search(id));
            running.queries.push(query);
        }
    }

    /// Asks a node that has just appeared on the LAN for everybody who is being looked for.
    pub(super) fn ask_newcomer(&mut self, node: NodeAddresses) {
        for (id, running) in &mut self.dht.searches {
            running.lan += 1;
            let keys = running.search.targets().to_vec();
            tokio::spawn(ask_on_lan(self.net.clone(), *id, node.clone(), keys));
        }
    }

    fn found(&mut self, id: SearchId, value: &[u8]) {
        let Some(running) = self.dht.searches.get_mut(&id) else { return };
        let requests = running.requests();
        let Some(presence) = running.search.offer(value, unix_s()).cloned() else { return };
        let seq = running.search.seq().unwrap_or_default();
        // A reader that has not read sixteen newer records yet does without this one.
        let _ = running.news.try_send(News::Presence { presence, seq, requests });
    }

    pub(super) fn lan_answered(&mut self, id: SearchId, value: Option<Vec<u8>>) {
        if let Some(running) = self.dht.searches.get_mut(&id) {
            running.lan = running.lan.saturating_sub(1);
            running.reached |= value.is_some();
        }
        if let Some(value) = value {
            self.found(id, &value);
        }
        self.finish_search(id);
    }

    fn search_progressed(
        &mut self,
        id: SearchId,
        query: QueryId,
        result: QueryResult,
        stats: &kad::QueryStats,
        last: bool,
    ) {
        if let Some(running) = self.dht.searches.get_mut(&id)
            && let Some(at) = running.queries.iter().position(|known| *known == query)
        {
            running.requests.insert(at, stats.num_requests());
            running.reached |= stats.num_successes() > 0;
            if running.news.is_closed() {
                self.abandon_search(id);
                return;
            }
        }
        if let QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) = result {
            self.found(id, &found.record.value);
        }
        if last {
            self.dht.queries.remove(&query);
            self.finish_search(id);
        }
    }

    /// Ends a search when nothing of it is under way any more.
    fn finish_search(&mut self, id: SearchId) {
        let Some(running) = self.dht.searches.get(&id) else { return };
        let open = running.queries.iter().any(|query| self.dht.queries.contains_key(query));
        if open || running.lan > 0 || running.waiting_until.is_some() {
            return;
        }
        let _ = running.news.try_send(News::Finished { reached: running.reached, requests: running.requests() });
        self.dht.searches.remove(&id);
    }

    fn abandon_search(&mut self, id: SearchId) {
        let Some(running) = self.dht.searches.remove(&id) else { return };
        for query in running.queries {
            self.dht.queries.remove(&query);
            if let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&query) {
                query.finish();
            }
        }
    }
}

impl Running {
    fn requests(&self) -> u32 {
        self.requests.values().sum()
    }
}

/// Publishing.
impl Driver {
    pub(super) fn act_on_dht(&mut self, now: Instant) {
        let overdue = |running: &Running| running.waiting_until.is_some_and(|until| until <= now);
        let overdue: Vec<SearchId> =
            self.dht.searches.iter().filter(|(_, running)| overdue(running)).map(|(id, _)| *id).collect();
        for id in overdue {
            if let Some(running) = self.dht.searches.get_mut(&id) {
                running.waiting_until = None;
            }
            self.finish_search(id);
        }
        let publication = self.dht.publisher.as_mut().and_then(|publisher| {
            publisher.poll_timeout().filter(|(at, _)| *at <= now)?;
            publisher.poll_publication(now, unix_ms(), &draw())
        });
        if let Some(publication) = publication {
            self.publish(publication, now);
        }
    }

    fn publish(&mut self, Publication { entries, relays }: Publication, now: Instant) {
        self.dht.stored.clear();
        self.dht.publishing =
            Some(Publishing { relays, started: now, open: entries.len(), acks: BTreeSet::new(), told: 0 });
        for entry in entries {
            let query = self.swarm.behaviour_mut().kad.get_closest_peers(entry.key.clone());
            self.dht.queries.insert(query, Purpose::Place(entry));
        }
    }

    /// Stores an entry on each of the nodes closest to its key. One query for each: what counts is which of them took
    /// it, and one that is frozen must not delay the news of the others.
    fn place(&mut self, entry: Entry, mut nodes: Vec<PeerId>) {
        nodes.retain(|node| *node != self.me);
        let Entry { key, value } = entry;
        let kad = &mut self.swarm.behaviour_mut().kad;
        let record =
            kad::Record { key: key.clone().into(), value, publisher: None, expires: Some(Instant::now() + RECORD_TTL) };
        let open = nodes.len();
        for node in nodes {
            let query = kad.put_record_to(record.clone(), std::iter::once(node), Quorum::One);
            self.dht.queries.insert(query, Purpose::Store { key: key.clone(), node });
        }
        // A super-peer's own record lies on itself as well: it may be the only node there is.
        let own = kad.mode() == kad::Mode::Server && kad.store_mut().put(record).is_ok();
        if let Some(publishing) = &mut self.dht.publishing {
            publishing.open += open;
        }
        if own {
            self.acknowledged(key, self.me);
        }
        self.one_publishing_step_ended();
    }

    fn acknowledged(&mut self, key: Vec<u8>, node: PeerId) {
        self.dht.stored.entry(key).or_default().insert(node);
        let Some(publishing) = &mut self.dht.publishing else { return };
        publishing.acks.insert(node);
        if publishing.told == 0 {
            self.tell_published();
        }
    }

    fn one_publishing_step_ended(&mut self) {
        let Some(publishing) = &mut self.dht.publishing else { return };
        publishing.open = publishing.open.saturating_sub(1);
        if publishing.open > 0 {
            return;
        }
        let acks = publishing.acks.len();
        if acks > publishing.told {
            self.tell_published();
        }
        self.dht.publishing = None;
        if let Some(publisher) = &mut self.dht.publisher {
            publisher.finished(u32::try_from(acks).unwrap_or(u32::MAX), Instant::now(), &draw());
        }
    }

    fn tell_published(&mut self) {
        let Some(publishing) = &mut self.dht.publishing else { return };
        publishing.told = publishing.acks.len();
        let event = RendezvousEvent::PresencePublished {
            relays: publishing.relays.iter().filter_map(node_id).collect(),
            acks: u32::try_from(publishing.told).unwrap_or(u32::MAX),
            took: publishing.started.elapsed(),
        };
        self.tell(event);
    }

    /// Takes our records back from the nodes that have them.
    pub(super) fn withdraw(&mut self) {
        let Some(publisher) = &mut self.dht.publisher else { return };
        let entries = publisher.withdraw(unix_ms(), &draw());
        self.dht.publishing = None;
        let kad = &mut self.swarm.behaviour_mut().kad;
        for Entry { key, value } in entries {
            let nodes = self.dht.stored.remove(&key).unwrap_or_default();
            let nodes: Vec<PeerId> = nodes.into_iter().filter(|node| *node != self.me).collect();
            let record =
                kad::Record { key: key.into(), value, publisher: None, expires: Some(Instant::now() + RECORD_TTL) };
            if let Some(all) = NonZeroUsize::new(nodes.len()) {
                self.dht.withdrawing.insert(kad.put_record_to(record, nodes.into_iter(), Quorum::N(all)));
            }
        }
    }
}

/// Events of Kademlia.
impl Driver {
    pub(super) fn handle_kad_event(&mut self, event: kad::Event) {
        match event {
            kad::Event::InboundRequest {
                request: InboundRequest::PutRecord { source, connection, record: Some(record) },
            } => self.store(source, connection, record),
            kad::Event::OutboundQueryProgressed { id, result, stats, step } => {
                self.query_progressed(id, result, &stats, step.last);
            }
            kad::Event::RoutingUpdated { is_new_peer: true, .. } => {
                if let Some(publisher) = &mut self.dht.publisher {
                    publisher.somebody_came(Instant::now());
                }
                for id in self.dht.searches.keys().copied().collect::<Vec<_>>() {
                    self.start_queries(id);
                }
            }
            // Nodes enter the routing table when they have introduced themselves, not by answering a dial.
            kad::Event::InboundRequest { .. }
            | kad::Event::RoutingUpdated { .. }
            | kad::Event::UnroutablePeer { .. }
            | kad::Event::RoutablePeer { .. }
            | kad::Event::PendingRoutablePeer { .. }
            | kad::Event::ModeChanged { .. } => {}
        }
    }

    fn query_progressed(&mut self, id: QueryId, result: QueryResult, stats: &kad::QueryStats, last: bool) {
        if last && self.dht.withdrawing.remove(&id) {
            return;
        }
        if let Some(Purpose::Search(search)) = self.dht.queries.get(&id) {
            self.search_progressed(*search, id, result, stats, last);
            return;
        }
        if !last {
            return;
        }
        match (self.dht.queries.remove(&id), result) {
            (Some(Purpose::Place(entry)), QueryResult::GetClosestPeers(found)) => {
                let nodes = match found {
                    Ok(found) => found.peers,
                    Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
                };
                self.place(entry, nodes.into_iter().map(|node| node.peer_id).collect());
            }
            (Some(Purpose::Store { key, node }), QueryResult::PutRecord(stored)) => {
                if stored.is_ok() {
                    self.acknowledged(key, node);
                }
                self.one_publishing_step_ended();
            }
            _ => {}
        }
    }

    /// Keeps a record for somebody, if it deserves it. The sender gets the same answer either way: libp2p
    /// acknowledges before asking us.
    fn store(&mut self, source: PeerId, connection: ConnectionId, mut record: kad::Record) {
        let now = Instant::now();
        let source = Source { node: source, ip: self.connections.remote_ip(&source, connection) };
        let store = self.swarm.behaviour_mut().kad.store_mut();
        let held = store.get(&record.key).filter(|held| !held.is_expired(now)).map(|held| held.value.clone());
        let verdict = self.dht.storage.judge(
            source,
            record.key.as_ref(),
            &record.value,
            held.as_deref(),
            record.expires,
            (now, unix_ms()),
        );
        match verdict {
            Verdict::Store { until } => {
                record.expires = Some(until);
                match store.put(record) {
                    Ok(()) => self.dht.records += usize::from(held.is_none()),
                    Err(error) => tracing::debug!(?error, "a presence record could not be stored"),
                }
            }
            Verdict::Known => {}
            Verdict::Refuse(refusal) => tracing::debug!(%refusal, "a presence record was refused"),
        }
    }

    pub(super) fn forget_expired_records(&mut self, now: Instant) {
        let store = self.swarm.behaviour_mut().kad.store_mut();
        let mut left = 0;
        store.retain(|_, record| {
            let keep = !record.is_expired(now);
            left += usize::from(keep);
            keep
        });
        self.dht.records = left;
    }
}

/// Asks one node on the LAN whether it is whom we look for.
async fn ask_on_lan(net: Net, search: SearchId, node: NodeAddresses, keys: Vec<BlindedPerson>) {
    let question = async {
        net.connect(&node).await?;
        let mut stream = net.open(node.node, None, HERE).await?;
        let keys: Vec<u8> = keys.iter().flat_map(|key| *key.as_bytes()).collect();
        stream.write_all(&framed(&keys)?).await.ok()?;
        stream.flush().await.ok()?;
        read_frame(&mut stream, MAX_RECORD_BYTES).await.ok()
    };
    let value = timeout(LAN_TIMEOUT, question).await.ok().flatten();
    net.send(Command::LanAnswer { search, value }).await;
}
