//! The handle that the engine holds.

use std::net::{IpAddr, SocketAddrV4};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use libp2p::Multiaddr;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::address::{AddressRules, endpoint, parse_node};
use super::super::limits::HTTPS;
use super::super::{LookupReport, RelayGrant, RendezvousConfig, RendezvousError, RendezvousEvent, RingAttempt, Totals};
#[cfg(test)]
use super::super::{record::Presence, search::Search};
use super::behaviour;
#[cfg(test)]
use super::command::News;
use super::command::{Command, Net};
use super::driver::{Driver, Setting};
use super::files;
use super::grants;
use super::prepare::{self, Preparation};
use super::ring;
use super::transport::{SharedRules, Traffic};
use crate::base::{IpRange, NodeId, Person};

/// Unread events; the newest are dropped beyond.
const EVENTS: usize = 256;
/// Unread attempts of one ring; the ring waits beyond.
const ATTEMPTS: usize = 8;
/// What a shutdown may take: withdrawing the record, then closing connections.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// A running node. Cheap to clone; when the last clone is dropped the node leaves the network by itself, but only
/// [`Rendezvous::shutdown`] waits for that.
#[derive(Debug, Clone)]
pub struct Rendezvous {
    net: Net,
    node: NodeId,
    rules: SharedRules,
    listen: watch::Receiver<Vec<String>>,
    isolated: bool,
    runtime: Handle,
    /// Cancels [`Setting::abandoned`] when the last clone goes.
    _held: Arc<DropGuard>,
}

impl Rendezvous {
    /// Opens the sockets and joins the network, on the current tokio runtime. Returns when the addresses are known;
    /// [`RendezvousEvent::Ready`] is then the first event in the queue. Joining and publishing go on behind.
    pub async fn start(config: RendezvousConfig) -> Result<(Self, mpsc::Receiver<RendezvousEvent>), RendezvousError> {
        let mut rules = AddressRules::new(config.isolated, ranges(&config.treat_as_public)?);
        let listen = listen_addresses(&config)?;
        let bootstrap = nodes(&config.bootstrap, config.isolated)?;
        for ip in listen.iter().chain(bootstrap.iter().map(|(_, address)| address)).filter_map(ip_of) {
            rules.trust(ip);
        }
        let key = files::node_key(&config.node_key)?;
        let me = key.public().to_peer_id();
        let node = ring::node_id(&me).ok_or_else(|| RendezvousError::System("a node id of odd length".into()))?;
        let cache = config.peer_cache.as_deref().map(|path| files::read_cache(path, &rules)).unwrap_or_default();

        let traffic = Arc::new(Traffic::default());
        let rules = Arc::new(RwLock::new(rules));
        let isolated = config.isolated;
        let (events, event_queue) = mpsc::channel(EVENTS);
        let relay = (config.server || config.volunteer.is_some()).then(|| events.clone());
        let swarm = behaviour::swarm(&key, &config, rules.clone(), traffic.clone(), relay)?;
        let (net, commands) = Net::new(me);
        let (listening, listen_watch) = watch::channel(Vec::new());
        let (ready, when_ready) = oneshot::channel();
        let abandoned = CancellationToken::new();
        let held = Arc::new(abandoned.clone().drop_guard());
        let setting = Setting {
            config,
            rules: rules.clone(),
            traffic,
            net: net.clone(),
            commands,
            abandoned,
            events,
            listening,
            ready,
            bootstrap,
            cache,
        };
        let mut driver = Driver::new(swarm, setting)?;
        driver.listen(listen)?;
        tokio::spawn(driver.run());
        when_ready.await.map_err(|_| RendezvousError::Stopped)?;
        let runtime = Handle::current();
        Ok((Self { net, node, rules, listen: listen_watch, isolated, runtime, _held: held }, event_queue))
    }

    /// This node's id.
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Where this node listens now, each address with `/p2p/ID`: what others can take as `bootstrap`.
    pub fn listen_addrs(&self) -> Vec<String> {
        self.listen.borrow().clone()
    }

    /// What the network says of a person, without ringing. Takes as long as the first valid record does and a moment
    /// more, at most about 10 s.
    pub async fn lookup(&self, person: Person) -> LookupReport {
        ring::look_up(self.net.clone(), person).await
    }

    /// Looks `person` up and rings them through all their super-peers at once, or directly. Every way that is tried
    /// takes one of `flights`, the opening frames of as many Noise sessions; three super-peers and a direct way make
    /// four. Each attempt ends in the receiver; it closes when all have. Dropping it gives up what is still under way.
    ///
    /// `hints` are node addresses from the person's link; those that are none are left out.
    pub fn ring(&self, person: Person, hints: &[String], flights: Vec<Vec<u8>>) -> mpsc::Receiver<RingAttempt> {
        let (attempts, receiver) = mpsc::channel(ATTEMPTS);
        let hints = hints.iter().take(EVENTS).filter_map(|hint| parse_node(hint));
        let hints = hints.filter(|(_, address)| !self.isolated || ip_of(address).is_some_and(|ip| ip.is_loopback()));
        let hints = hints.take(8).collect();
        self.runtime.spawn(ring::ring(self.net.clone(), person, hints, flights, attempts));
        receiver
    }

    /// Somebody may ring `person` soon: their contact is on screen. Until the result is dropped their record is kept at
    /// hand and their super-peers connected, at the cost of a small exchange with each of them every 10 s.
    pub fn prepare(&self, person: Person) -> Preparation {
        Preparation(self.runtime.spawn(prepare::prepare(self.net.clone(), person)).abort_handle())
    }

    /// Asks super-peers for the use of their media relays, all at once: those that this node is connected to, and those
    /// that it gets connected to in the next 15 s, until `wanted` have granted it. The receiver closes when no more will
    /// come; dropping it ends the asking.
    pub fn relay_grants(&self, wanted: usize) -> mpsc::Receiver<RelayGrant> {
        let (grants, receiver) = mpsc::channel(wanted.max(1));
        self.runtime.spawn(grants::collect(self.net.clone(), self.rules.clone(), wanted, grants));
        receiver
    }

    /// This machine got into another network. `lost_way`: it sends from other addresses than before, so connections lead
    /// nowhere now; they are made anew, and our presence is published again as soon as a super-peer is reached.
    pub fn network_changed(&self, lost_way: bool) {
        let net = self.net.clone();
        self.runtime.spawn(async move { net.send(Command::NetworkChanged { lost_way }).await });
    }

    /// The router leads strangers from this address to the QUIC port at which this super-peer serves; `None`: no longer.
    /// Believed as far as it is a public address.
    pub fn set_mapped(&self, external: Option<SocketAddrV4>) {
        let net = self.net.clone();
        self.runtime.spawn(async move { net.send(Command::Mapped { external }).await });
    }

    /// Finds out which of our connections are dead, and closes them: what runs over them ends then. Costs a small
    /// exchange with each node that we are connected to, at most a few dozen.
    pub fn check(&self) {
        let net = self.net.clone();
        self.runtime.spawn(async move { net.send(Command::Check).await });
    }

    /// Counters, for `status` and for super-peers' operators.
    pub async fn totals(&self) -> Result<Totals, RendezvousError> {
        self.net.ask(|reply| Command::Totals { reply }).await.ok_or(RendezvousError::Stopped)
    }

    /// Withdraws the presence record, closes all connections and stops: at most 3 s.
    pub async fn shutdown(self) {
        let _ = timeout(SHUTDOWN, self.net.ask(|done| Command::Shutdown { done })).await;
    }
}

#[cfg(test)]
impl Rendezvous {
    /// Stops without a word, as a process that is killed does.
    pub(in super::super) async fn crash(self) {
        self.net.send(Command::Crash).await;
    }

    /// What a whole search finds to be the newest that the person has published.
    pub(in super::super) async fn presence_of(&self, person: Person) -> Option<Presence> {
        let mut news = self.net.search(Search::new(person, ring::unix_s())?, false).await?;
        let mut newest = None;
        while let Some(News::Presence { presence, .. }) = news.recv().await {
            newest = Some(presence);
        }
        newest
    }

    /// Requests that a search had sent when it first found the person.
    pub(in super::super) async fn first_found_after(&self, person: Person, known: bool) -> Option<u32> {
        let search = Search::new(person, ring::unix_s())?;
        match self.net.search(search, known).await?.recv().await? {
            News::Presence { requests, .. } => Some(requests),
            News::Finished { .. } => None,
        }
    }
}

fn ranges(texts: &[String]) -> Result<Vec<IpRange>, RendezvousError> {
    texts.iter().map(|text| IpRange::parse(text).ok_or_else(|| RendezvousError::BadRange(text.clone()))).collect()
}

/// The configured addresses, or QUIC and TCP on every interface; a super-peer's also on port 443.
fn listen_addresses(config: &RendezvousConfig) -> Result<Vec<Multiaddr>, RendezvousError> {
    let parse = |text: &String| {
        let address: Option<Multiaddr> = text.parse().ok().filter(|address| endpoint(address).is_some());
        let address = address.ok_or_else(|| RendezvousError::BadListenAddress(text.clone()))?;
        check_isolation(text, &address, config.isolated)?;
        Ok(address)
    };
    let addresses = config.listen.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    if !addresses.is_empty() {
        return Ok(addresses);
    }
    let hosts: &[IpAddr] = if config.isolated {
        &[IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)]
    } else {
        &[IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)]
    };
    use libp2p::multiaddr::Protocol;
    let both = |host: &IpAddr| {
        let host = Multiaddr::from(*host);
        [host.clone().with(Protocol::Udp(0)).with(Protocol::QuicV1), host.with(Protocol::Tcp(0))]
    };
    let everywhere = hosts.iter().flat_map(both);
    // Only the root user or a service with the capability gets it; a super-peer that does not is one of the others.
    let restricted = hosts.iter().map(|host| Multiaddr::from(*host).with(Protocol::Tcp(HTTPS)));
    let restricted = restricted.filter(|_| config.server && !config.isolated);
    Ok(everywhere.chain(restricted).collect())
}

fn nodes(texts: &[String], isolated: bool) -> Result<Vec<(libp2p::PeerId, Multiaddr)>, RendezvousError> {
    let parse = |text: &String| {
        let (node, address) = parse_node(text).ok_or_else(|| RendezvousError::BadNodeAddress(text.clone()))?;
        check_isolation(text, &address, isolated)?;
        Ok((node, address))
    };
    texts.iter().map(parse).collect()
}

fn check_isolation(text: &str, address: &Multiaddr, isolated: bool) -> Result<(), RendezvousError> {
    if isolated && !ip_of(address).is_some_and(|ip| ip.is_loopback()) {
        return Err(RendezvousError::NotIsolated(text.to_owned()));
    }
    Ok(())
}

fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    endpoint(address).map(|endpoint| endpoint.ip)
}
