//! Lookups, what Kademlia says, and storing for others.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use futures::AsyncWriteExt;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{self, GetRecordOk, InboundRequest, QueryId, QueryResult};
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::publishing::Publishing;
use super::{Driver, draw};
use crate::base::source_of;
use crate::identity::BlindedPerson;
use crate::rendezvous::RendezvousConfig;
use crate::rendezvous::known::Known;
use crate::rendezvous::limits::MAX_RECORD_BYTES;
use crate::rendezvous::presence::{Entry, Publisher};
use crate::rendezvous::record::{NodeAddresses, record_key};
use crate::rendezvous::search::Search;
use crate::rendezvous::shell::behaviour::HERE;
use crate::rendezvous::shell::command::{Command, Net, News, PROBE_TIMEOUT, SearchId};
use crate::rendezvous::shell::ring::{unix_ms, unix_s};
use crate::rendezvous::shell::stream::{framed, read_frame};
use crate::rendezvous::storage::{Source, Storage, Verdict};
use crate::rendezvous::upkeep::Upkeep;

/// A search without any node to ask waits this long for one.
const PATIENCE: Duration = Duration::from_secs(4);
/// The same where the BitTorrent DHT is asked for one first.
const LONG_PATIENCE: Duration = Duration::from_secs(15);
/// Searches under way; more end at once with nothing.
const MAX_SEARCHES: usize = 64;
/// A node on our LAN answers within this or is not asked.
const LAN_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Dht {
    pub(super) queries: HashMap<QueryId, Purpose>,
    searches: BTreeMap<SearchId, Running>,
    next_search: u64,
    known: Known,
    pub(super) publisher: Option<Publisher>,
    pub(super) publishing: Option<Publishing>,
    /// Where the last publication's records lie: they are taken back there.
    pub(super) stored: BTreeMap<Vec<u8>, BTreeSet<PeerId>>,
    /// Where the nodes found for it are, and whether they were looked for at the last publication.
    pub(super) places: BTreeMap<PeerId, Vec<Multiaddr>>,
    pub(super) placed_anew: bool,
    pub(super) withdrawing: HashSet<QueryId>,
    storage: Storage,
    records: usize,
    pub(super) upkeep: Upkeep,
    /// Requests of others that were answered since the start.
    answered: u32,
}

/// What a Kademlia query is for.
pub(super) enum Purpose {
    Search(SearchId),
    /// Finding the nodes closest to a record's key.
    Place(Entry),
    /// Finding the nodes behind `nodes`, which a reader of this record asks as well.
    PlaceWidely {
        entry: Entry,
        nodes: BTreeSet<PeerId>,
    },
    /// Looking after the routing table. `own`: our own neighbourhood.
    Refresh {
        own: bool,
    },
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

impl Dht {
    pub(super) fn new(config: &RendezvousConfig, me: PeerId, random: u64) -> Self {
        Self {
            queries: HashMap::new(),
            searches: BTreeMap::new(),
            next_search: 0,
            known: Known::default(),
            publisher: config.person.clone().map(|person| Publisher::new(person, me, config.presence_refresh)),
            publishing: None,
            stored: BTreeMap::new(),
            places: BTreeMap::new(),
            placed_anew: false,
            withdrawing: HashSet::new(),
            storage: Storage::new(&config.limits),
            records: 0,
            upkeep: Upkeep::new(config.server, Instant::now(), random),
            answered: 0,
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
        let refresh = self.upkeep.poll_timeout().map(|(at, _)| at);
        publish.into_iter().chain(waiting).chain(refresh).min()
    }

    pub(super) fn answered(&self) -> u32 {
        self.answered
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
    pub(super) fn search(&mut self, search: Search, known: bool, news: mpsc::Sender<News>) {
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
        let person = running.search.person();
        self.dht.searches.insert(id, running);
        if let Some(record) = self.dht.known.of(&person).filter(|_| known).map(<[u8]>::to_vec) {
            self.found(id, &record);
        }
        // Our own relays are the first to be asked; one that died unnoticed must not hold the search up.
        self.check_relays(PROBE_TIMEOUT);
        if self.connections.is_cut_off() {
            self.connections.hurry(Instant::now());
        }
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
        self.dht.known.remember(running.search.person(), value);
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
        if !running.reached {
            self.connections.fell_out(Instant::now());
        }
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

/// What is due, and events of Kademlia.
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
        self.refresh_table(now);
    }

    pub(super) fn handle_kad_event(&mut self, event: kad::Event) {
        if matches!(event, kad::Event::InboundRequest { .. }) {
            self.dht.answered = self.dht.answered.saturating_add(1);
        }
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
        if let QueryResult::Bootstrap(_) = &result {
            self.end_bootstrap(id);
        }
        if let Some(Purpose::Search(search)) = self.dht.queries.get(&id) {
            self.search_progressed(*search, id, result, stats, last);
            return;
        }
        if let Some(Purpose::PlaceWidely { nodes, .. }) = self.dht.queries.get_mut(&id) {
            match &result {
                // An old record of ours, or a wrong one.
                QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => nodes.extend(found.peer),
                QueryResult::GetRecord(Ok(GetRecordOk::FinishedWithNoAdditionalRecord { cache_candidates })) => {
                    nodes.extend(cache_candidates.values());
                }
                QueryResult::GetRecord(Err(kad::GetRecordError::NotFound { closest_peers, .. })) => {
                    nodes.extend(closest_peers);
                }
                _ => {}
            }
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
                self.found_place(entry, nodes);
            }
            (Some(Purpose::PlaceWidely { entry, nodes }), _) => self.place(entry, nodes.into_iter().collect()),
            (Some(Purpose::Refresh { own: true }), _) if stats.num_successes() == 0 => {
                self.connections.fell_out(Instant::now());
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
        let source = Source { node: source, ip: self.connections.remote_ip(&source, connection).map(source_of) };
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
