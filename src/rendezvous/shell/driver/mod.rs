//! The task that owns the swarm: every event of the network and every command of a task passes here, one at a time.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the loop, the timers, start and end |
//! | `connections.rs` | who we are connected to, who wants to be, entering the network |
//! | `last_resort.rs` | the BitTorrent DHT as the last way in |
//! | `dht.rs` | lookups, storing for others |
//! | `publishing.rs` | our own record |
//! | `table.rs` | the routing table |
//! | `relaying.rs` | our reservations, and those of others here |
//! | `serving.rs` | streams that others open |
//! | `volunteering.rs` | serving others unasked |
//! | `dialling_back.rs` | dialling those who want to know whether they can be |

mod connections;
mod dht;
mod dialling_back;
mod last_resort;
mod publishing;
mod relaying;
mod serving;
mod table;
mod volunteering;

use std::future::Future;
use std::net::{SocketAddr, SocketAddrV4};
use std::pin::Pin;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, relay};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::connections::Connections;
use self::dht::Dht;
use self::dialling_back::DiallingBack;
use self::last_resort::Rumours;
use self::relaying::Relaying;
use self::serving::Serving;
use self::volunteering::Volunteering;
use super::super::address::{endpoint, is_relayed};
use super::super::cache::PeerCache;
use super::super::presence::Draw;
use super::super::{RendezvousConfig, RendezvousError, RendezvousEvent, Totals};
use super::behaviour::{Behaviour, BehaviourEvent};
use super::command::{Command, Net, PROBE_TIMEOUT, SHORT_PROBE_TIMEOUT};
use super::files;
use super::ring::{node_id, unix_ms};
use super::transport::{SharedRules, Traffic};

/// Housekeeping: forgotten records, the peer cache, clocks that jumped, keep-alive of TCP relays.
const TICK: Duration = Duration::from_secs(15);
/// The peer cache is written this often if it changed, and at the end.
const SAVE_CACHE: Duration = Duration::from_secs(5 * 60);
/// A wall clock that ran ahead of ours by this much: the machine slept.
const SLEPT: Duration = Duration::from_secs(10);
/// Listeners report their addresses within microseconds; a machine without interfaces never does.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(1);
/// Withdrawing the record may take this much of a shutdown.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(1500);

/// What a driver starts with.
pub(super) struct Setting {
    pub(super) config: RendezvousConfig,
    pub(super) rules: SharedRules,
    pub(super) traffic: std::sync::Arc<Traffic>,
    pub(super) net: Net,
    pub(super) commands: mpsc::Receiver<Command>,
    /// Cancelled when the last handle is gone.
    pub(super) abandoned: CancellationToken,
    pub(super) events: mpsc::Sender<RendezvousEvent>,
    pub(super) listening: watch::Sender<Vec<String>>,
    pub(super) ready: oneshot::Sender<()>,
    pub(super) bootstrap: Vec<(PeerId, Multiaddr)>,
    pub(super) cache: PeerCache,
}

pub(super) struct Driver {
    swarm: Swarm<Behaviour>,
    me: PeerId,
    config: RendezvousConfig,
    rules: SharedRules,
    traffic: std::sync::Arc<Traffic>,
    net: Net,
    commands: mpsc::Receiver<Command>,
    abandoned: CancellationToken,
    events: mpsc::Sender<RendezvousEvent>,
    listening: Listening,
    connections: Connections,
    dht: Dht,
    relaying: Relaying,
    serving: Serving,
    volunteering: Volunteering,
    dialling_back: DiallingBack,
    rumours: Rumours,
    cache: PeerCache,
    cache_saved: Option<Instant>,
    last_tick: (Instant, u64),
    leaving: Option<Leaving>,
    #[cfg(test)]
    crashed: bool,
}

/// The node's own sockets.
struct Listening {
    awaited: Vec<ListenerId>,
    give_up: Instant,
    ready: Option<oneshot::Sender<()>>,
    addresses: Vec<Multiaddr>,
    told: watch::Sender<Vec<String>>,
    /// Addresses that the user wrote down to the last digit: a super-peer gives them out whatever they look like.
    written_down: Vec<Multiaddr>,
    /// Where the router lets strangers in.
    mapped: Option<SocketAddrV4>,
    super_peer: bool,
    /// As last told by [`RendezvousEvent::Serving`].
    served_at: Vec<SocketAddr>,
}

struct Leaving {
    until: Instant,
    done: Vec<oneshot::Sender<()>>,
}

impl Driver {
    pub(super) fn new(swarm: Swarm<Behaviour>, setting: Setting) -> Result<Self, RendezvousError> {
        let Setting { config, rules, traffic, net, commands, abandoned, events, listening, ready, bootstrap, cache } =
            setting;
        let me = *swarm.local_peer_id();
        let now = Instant::now();
        let is_rung_through_relays = config.person.is_some() && !config.server;
        Ok(Self {
            dht: Dht::new(&config, me, random_u64()?),
            relaying: Relaying::new(is_rung_through_relays, random_u64()?),
            serving: Serving::new(&config.limits),
            volunteering: Volunteering::new(&config, now)?,
            dialling_back: DiallingBack::new(&config.limits),
            rumours: Rumours::new(&config, net.clone()),
            connections: Connections::new(bootstrap, cache.nodes(), is_rung_through_relays, now),
            listening: Listening {
                awaited: Vec::new(),
                give_up: now + LISTEN_TIMEOUT,
                ready: Some(ready),
                addresses: Vec::new(),
                told: listening,
                written_down: Vec::new(),
                mapped: None,
                super_peer: false,
                served_at: Vec::new(),
            },
            swarm,
            me,
            config,
            rules,
            traffic,
            net,
            commands,
            abandoned,
            events,
            cache,
            cache_saved: None,
            last_tick: (now, unix_ms()),
            leaving: None,
            #[cfg(test)]
            crashed: false,
        })
    }

    /// Opens the sockets. What the user wrote down must open; of the default addresses one is enough.
    pub(super) fn listen(&mut self, addresses: Vec<Multiaddr>) -> Result<(), RendezvousError> {
        let must = !self.config.listen.is_empty();
        let mut refused = None;
        for address in addresses {
            let specific = endpoint(&address).is_some_and(|endpoint| !endpoint.ip.is_unspecified());
            match self.swarm.listen_on(address.clone()) {
                Ok(listener) => self.listening.awaited.push(listener),
                Err(error) if must => return Err(RendezvousError::Listen(format!("{address}: {error}"))),
                Err(error) => refused = Some(format!("{address}: {error}")),
            }
            if must && specific {
                self.listening.written_down.push(address);
            }
        }
        match refused {
            Some(refused) if self.listening.awaited.is_empty() => Err(RendezvousError::Listen(refused)),
            _ => Ok(()),
        }
    }

    /// Runs until told to stop, or until nobody holds the node any more.
    pub(super) async fn run(mut self) {
        self.enter_network();
        while !self.has_left() {
            self.act(Instant::now());
            let deadline = self.deadline();
            tokio::select! {
                event = self.swarm.select_next_some() => self.handle_swarm_event(event),
                Some(command) = self.commands.recv() => self.handle_command(command),
                ended = self.serving.next() => self.served(ended),
                () = self.abandoned.cancelled(), if self.leaving.is_none() => self.leave(None),
                () = sleep_until(deadline.into()) => {}
            }
            #[cfg(test)]
            if self.crashed {
                return;
            }
        }
        self.close_all().await;
    }

    /// Whatever is due: drains the cores that decide by time.
    fn act(&mut self, now: Instant) {
        if self.listening.ready.is_some() && (self.listening.awaited.is_empty() || now >= self.listening.give_up) {
            self.announce_ready();
        }
        if now.duration_since(self.last_tick.0) >= TICK {
            self.tick(now);
        }
        self.act_on_connections(now);
        self.act_on_rumours(now);
        self.act_on_relays(now);
        self.act_on_volunteering(now);
        self.act_on_dht(now);
    }

    fn deadline(&self) -> Instant {
        let timers = [
            self.listening.ready.is_some().then_some(self.listening.give_up),
            self.leaving.as_ref().map(|leaving| leaving.until),
            self.connections.poll_timeout(),
            self.rumours.poll_timeout(),
            self.relaying.poll_timeout(),
            self.dht.poll_timeout(),
            self.volunteering.poll_timeout().filter(|_| self.leaving.is_none()),
        ];
        timers.into_iter().flatten().fold(self.last_tick.0 + TICK, Instant::min)
    }

    fn handle_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.handle_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.connection_established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                self.connection_closed(peer_id, connection_id);
            }
            SwarmEvent::Dialing { peer_id: Some(peer), connection_id } => {
                self.connections.dialling(peer, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id, connection_id, error } => {
                self.dial_failed(peer_id, connection_id, &error);
            }
            SwarmEvent::NewListenAddr { listener_id, address } => self.listening_on(listener_id, address),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.no_longer_listening_on(&address),
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                self.reservation_ended(listener_id, &reason);
                self.listening.awaited.retain(|awaited| *awaited != listener_id);
                for address in addresses {
                    self.no_longer_listening_on(&address);
                }
            }
            // The rest is of no consequence here, and the enum is open-ended.
            _ => {}
        }
    }

    fn handle_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Kad(event) => self.handle_kad_event(event),
            BehaviourEvent::Identify(event) => self.handle_identify_event(event),
            BehaviourEvent::Relay(event) => self.relaying.handle_server_event(event),
            BehaviourEvent::RelayClient(relay::client::Event::ReservationReqAccepted { relay_peer_id, .. }) => {
                self.reservation_accepted(relay_peer_id);
            }
            BehaviourEvent::RelayClient(
                relay::client::Event::OutboundCircuitEstablished { .. }
                | relay::client::Event::InboundCircuitEstablished { .. },
            ) => {}
            BehaviourEvent::Streams(inbound) => self.serve(inbound),
            BehaviourEvent::Mdns(event) => self.handle_mdns_event(event),
            BehaviourEvent::Limits(never) => match never {},
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Search { search, known, news } => self.search(*search, known, news),
            Command::LanAnswer { search, value } => self.lan_answered(search, value),
            Command::Meet { nodes } => self.meet(nodes),
            Command::Connect { node, addresses, reply } => self.connect(node, addresses, reply),
            Command::Circuit { relay, node, reply } => self.dial_circuit(relay, node, reply),
            Command::Open { node, on, protocol, opened } => {
                self.swarm.behaviour_mut().streams.open(node, on, protocol, opened);
            }
            Command::PipeTo { pipe, client, opened } => self.continue_pipe(pipe, client, opened),
            Command::Answer { keys, reply } => {
                if let Some(value) = self.dht.answer_on_lan(&keys) {
                    let _ = reply.send(value);
                }
            }
            Command::HasReservation { node, reply } => {
                let _ = reply.send(self.relaying.has_client(&node));
            }
            Command::Relays { found } => self.tell_relays(found),
            Command::Probed { node, on, outcome } => self.probed(node, on, outcome),
            Command::Examined { server, address, nonce, answer } => self.examined(server, &address, nonce, answer),
            Command::DialledBy { nonce, reply } => self.dialled_by(nonce, reply),
            Command::DialBack { node, address, reply } => self.dial_back(node, address, reply),
            Command::HangUp { connection } => drop(self.swarm.close_connection(connection)),
            Command::Rumours { found } => self.rumoured(found),
            Command::Announced { stored } => self.rumours.announced(stored, Instant::now()),
            Command::Totals { reply } => {
                let _ = reply.send(self.totals());
            }
            Command::NetworkChanged { lost_way } => self.network_changed(lost_way),
            Command::Mapped { external } => {
                self.listening.mapped = external;
                self.reconsider_service();
            }
            Command::Check => {
                self.check_relays(SHORT_PROBE_TIMEOUT);
                self.check_everybody(SHORT_PROBE_TIMEOUT);
            }
            Command::Shutdown { done } => self.leave(Some(done)),
            #[cfg(test)]
            Command::Crash => self.crashed = true,
        }
    }

    fn listening_on(&mut self, listener: ListenerId, address: Multiaddr) {
        self.listening.awaited.retain(|awaited| *awaited != listener);
        let Some(at) = endpoint(&address).filter(|_| !is_relayed(&address)) else { return };
        if self.listening.addresses.contains(&address) {
            return;
        }
        self.rules.write().unwrap_or_else(PoisonError::into_inner).attach(at.ip);
        self.listening.addresses.push(address);
        self.addresses_changed();
    }

    fn no_longer_listening_on(&mut self, address: &Multiaddr) {
        let before = self.listening.addresses.len();
        self.listening.addresses.retain(|known| known != address);
        if self.listening.addresses.len() == before {
            return;
        }
        if let Some(gone) = endpoint(address)
            && !self.listening.addresses.iter().filter_map(endpoint).any(|left| left.ip == gone.ip)
        {
            self.rules.write().unwrap_or_else(PoisonError::into_inner).detach(gone.ip);
        }
        self.swarm.remove_external_address(address);
        self.addresses_changed();
    }

    fn addresses_changed(&mut self) {
        let with_id = |address: &Multiaddr| address.clone().with(Protocol::P2p(self.me)).to_string();
        self.listening.told.send_replace(self.listening.addresses.iter().map(with_id).collect());
        if self.listening.ready.is_none() {
            self.reconsider_service();
            self.look_around(PROBE_TIMEOUT);
        }
    }

    fn announce_ready(&mut self) {
        let Some(ready) = self.listening.ready.take() else { return };
        self.reconsider_service();
        let node = node_id(&self.me);
        if let Some(node) = node {
            let listen = self.listening.told.borrow().clone();
            self.tell(RendezvousEvent::Ready { node, listen, super_peer: self.listening.super_peer });
        }
        let _ = ready.send(());
    }

    /// Our addresses have changed.
    fn reconsider_service(&mut self) {
        if self.config.server {
            self.update_service();
        } else {
            self.reconsider_addresses(Instant::now());
        }
    }

    /// A super-peer serves at the addresses that the user wrote down and at its public ones; if it has none, at those
    /// of its LAN, for those who are there. Then its own person, if any, is rung at the same addresses. One that serves
    /// unasked does so where strangers got through.
    fn update_service(&mut self) {
        let (own, serving) = if self.config.server {
            let own = self.service_addresses();
            let serving = own.iter().cloned().chain(self.mapped_address()).collect();
            (own, serving)
        } else {
            let serving = self.volunteering.serving().to_vec();
            let is_own = |address: &&Multiaddr| self.listening.addresses.contains(address);
            (serving.iter().filter(is_own).cloned().collect(), serving)
        };
        for address in self.swarm.external_addresses().cloned().collect::<Vec<_>>() {
            if !serving.contains(&address) && !is_relayed(&address) {
                self.swarm.remove_external_address(&address);
            }
        }
        for address in &serving {
            self.swarm.add_external_address(address.clone());
        }
        let on = !serving.is_empty();
        if on != self.listening.super_peer {
            self.listening.super_peer = on;
            if let Some(relay) = self.swarm.behaviour_mut().relay.as_mut() {
                relay.set_status(Some(if on { relay::Status::Enable } else { relay::Status::Disable }));
            }
            let reason = match self.config.server {
                true if on => format!("serving at {}", serving[0]),
                true => "no address left to serve at".into(),
                false => self.volunteering.reason().to_owned(),
            };
            self.tell(RendezvousEvent::SuperPeer { on, reason });
        }
        self.announce_to_strangers(&serving);
        let addresses = one_for_each_ip(&own);
        if addresses != self.listening.served_at {
            self.listening.served_at.clone_from(&addresses);
            self.tell(RendezvousEvent::Serving { addresses });
        }
        if self.config.server {
            self.dht.set_reachability(Vec::new(), serving, Instant::now());
        } else {
            self.update_reachability(Instant::now());
        }
    }

    fn mapped_address(&self) -> Option<Multiaddr> {
        let external = self.listening.mapped?;
        let address = Multiaddr::from(*external.ip()).with(Protocol::Udp(external.port())).with(Protocol::QuicV1);
        self.rules.read().unwrap_or_else(PoisonError::into_inner).is_public(&address).then_some(address)
    }

    fn service_addresses(&self) -> Vec<Multiaddr> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let all = &self.listening.addresses;
        let useful = |address: &&Multiaddr| {
            rules.is_public(address) || self.listening.written_down.iter().any(|written| same_socket(written, address))
        };
        let useful: Vec<Multiaddr> = all.iter().filter(useful).cloned().collect();
        if !useful.is_empty() {
            return useful;
        }
        let local = |address: &&Multiaddr| endpoint(address).is_some_and(|endpoint| !endpoint.ip.is_loopback());
        all.iter().filter(local).cloned().collect()
    }

    /// libp2p's QUIC does not migrate connections (RFC 9000 §9), and TCP cannot: a client that sends from elsewhere has
    /// none left, and does not wait to find that out. Those of a super-peer may be over its other addresses.
    fn network_changed(&mut self, lost_way: bool) {
        self.volunteer_in_new_network(lost_way, Instant::now());
        self.look_around(SHORT_PROBE_TIMEOUT);
        self.relaying.publish_when_checked();
        if self.config.server {
            self.dht.publish_again(Instant::now());
        } else if lost_way {
            for peer in self.swarm.connected_peers().copied().collect::<Vec<_>>() {
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
    }

    /// What was out of reach may not be any more, and the reverse.
    fn look_around(&mut self, patience: Duration) {
        let now = Instant::now();
        self.connections.hurry(now);
        self.relaying.network_changed(now);
        self.check_relays(patience);
    }

    fn tick(&mut self, now: Instant) {
        let (last, last_unix_ms) = self.last_tick;
        self.last_tick = (now, unix_ms());
        let wall = Duration::from_millis(self.last_tick.1.saturating_sub(last_unix_ms));
        if wall > now.duration_since(last) + SLEPT {
            self.network_changed(false);
            self.check_everybody(SHORT_PROBE_TIMEOUT);
            self.tell(RendezvousEvent::Woke);
        }
        self.forget_expired_records(now);
        self.keep_tcp_relays_alive(now);
        self.close_old_dial_backs(now);
        if self.swarm.behaviour().relay.is_enabled() {
            self.swarm.behaviour_mut().streams.look_at_connections();
        }
        let due = self.cache_saved.is_none_or(|saved| now.duration_since(saved) >= SAVE_CACHE);
        if due && self.connections.take_news_for_cache() {
            self.cache_saved = Some(now);
            self.save_cache();
        }
    }

    fn save_cache(&self) {
        if let Some(path) = self.config.peer_cache.clone() {
            let cache = self.cache.clone();
            // A handful of kilobytes, but fsync may take long: not on this task's time.
            tokio::task::spawn_blocking(move || files::write_cache(&path, &cache));
        }
    }

    fn totals(&self) -> Totals {
        use std::sync::atomic::Ordering::Relaxed;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (dialled, visited) = self.connections.opened();
        Totals {
            tx_bytes: self.traffic.tx_bytes.load(Relaxed),
            rx_bytes: self.traffic.rx_bytes.load(Relaxed),
            dialled,
            visited,
            answered: self.dht.answered(),
            connections: count(self.connections.count()),
            reservations: count(self.relaying.clients()),
            records: count(self.dht.records()),
            pipes: count(self.serving.pipes()),
            relays: count(self.relaying.held().len()),
        }
    }

    fn tell(&self, event: RendezvousEvent) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.events.try_send(event) {
            tracing::warn!("nobody reads the node's events; one was dropped");
        }
    }

    /// Takes the record back; the loop ends when that is done or has taken too long.
    fn leave(&mut self, done: Option<oneshot::Sender<()>>) {
        let leaving =
            self.leaving.get_or_insert_with(|| Leaving { until: Instant::now() + LEAVE_TIMEOUT, done: Vec::new() });
        let first = leaving.done.is_empty();
        leaving.done.extend(done);
        if first {
            self.withdraw();
        }
    }

    fn has_left(&self) -> bool {
        let Some(leaving) = &self.leaving else { return false };
        !self.dht.is_withdrawing() || Instant::now() >= leaving.until
    }

    /// Closes connections in an orderly way, so that super-peers know at once that we are gone.
    async fn close_all(mut self) {
        for peer in self.swarm.connected_peers().copied().collect::<Vec<_>>() {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closing = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        let closing: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(closing);
        tokio::select! {
            () = closing => {}
            () = sleep(Duration::from_millis(300)) => {}
        }
        if let Some(path) = self.config.peer_cache.take() {
            let cache = std::mem::take(&mut self.cache);
            let _ = tokio::task::spawn_blocking(move || files::write_cache(&path, &cache)).await;
        }
        for done in self.leaving.take().into_iter().flat_map(|leaving| leaving.done) {
            let _ = done.send(());
        }
    }
}

/// What one publication draws at random. A system without random numbers does not get this far: the node key and TLS
/// need them first.
fn draw() -> Draw {
    let mut draw = Draw { nonces: Default::default(), jitter: 0 };
    let drawn = draw.nonces.iter_mut().try_for_each(|nonce| getrandom::fill(nonce));
    if drawn.is_err() {
        tracing::error!("the system gives no random numbers");
    }
    draw.jitter = random_u64().unwrap_or_default();
    draw
}

fn random_u64() -> Result<u64, RendezvousError> {
    getrandom::u64().map_err(|error| RendezvousError::System(error.to_string()))
}

/// Of addresses with one IP, that of QUIC.
fn one_for_each_ip(addresses: &[Multiaddr]) -> Vec<SocketAddr> {
    let mut endpoints: Vec<_> = addresses.iter().filter_map(endpoint).collect();
    endpoints.sort_by_key(|endpoint| !endpoint.quic);
    let mut chosen: Vec<SocketAddr> = Vec::new();
    for endpoint in endpoints {
        if chosen.iter().all(|known| known.ip() != endpoint.ip) {
            chosen.push(SocketAddr::new(endpoint.ip, endpoint.port));
        }
    }
    chosen
}

fn same_socket(written: &Multiaddr, actual: &Multiaddr) -> bool {
    match (endpoint(written), endpoint(actual)) {
        (Some(written), Some(actual)) => {
            written.ip == actual.ip && written.quic == actual.quic && (written.port == 0 || written.port == actual.port)
        }
        _ => false,
    }
}
