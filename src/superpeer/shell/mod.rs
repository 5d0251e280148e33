//! The media relay on real sockets and a real clock, on a thread of its own: a flood of DHT messages on `net` must not
//! delay other people's calls.
//!
//! Everything runs on one thread, so the tasks share the core without locks; none holds it while it waits.

#![allow(clippy::disallowed_methods, reason = "the shell is where the clock is read")]

mod tcp;
mod udp;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Instant;

use tokio::net::UdpSocket;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;
use tokio::time::sleep_until;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::tcp::Connections;
use self::udp::Allocations;
use super::core::{Client, Core, Output, Transport};
use super::credentials::Secret;
use super::{AddressPolicy, Issuer, Limits};
use crate::nat::StunServer;

pub use super::core::Totals;

/// Files that a busy super-peer may have open: allocations, connections of clients, and the rest.
#[cfg(unix)]
const FILES: u64 = 8192;
/// Addresses served at; machines have fewer.
const MAX_ADDRESSES: usize = 8;

/// Connections accepted elsewhere that may wait for the relay's thread.
const VISITORS: usize = 64;

/// Where and how to serve.
#[derive(Debug, Clone, Default)]
pub struct ServiceConfig {
    /// Addresses to serve at, with the port that is wanted; another is taken where it is in use.
    pub listen: Vec<SocketAddr>,
    /// UDP ports for allocations; `None`: any.
    pub ports: Option<RangeInclusive<u16>>,
    /// `own` is filled in from the interfaces of this machine.
    pub policy: AddressPolicy,
    pub limits: Limits,
}

/// The service cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// No address to serve at could be opened. Check the addresses; calls are not relayed here meanwhile.
    #[error("the media relay cannot open a socket: {0}")]
    Listen(#[source] io::Error),
    /// The system refused a thread or random numbers.
    #[error("the media relay cannot start: {0}")]
    System(String),
}

/// A running relay. Dropping it closes every socket and ends every allocation.
#[derive(Debug)]
pub struct Service {
    addresses: Vec<SocketAddr>,
    stun: Vec<SocketAddr>,
    totals: watch::Receiver<Totals>,
    visitors: mpsc::Sender<std::net::TcpStream>,
    _held: DropGuard,
}

impl Service {
    /// Opens the sockets and starts the thread. The [`Issuer`] makes the passwords that this service takes.
    pub fn start(config: ServiceConfig) -> Result<(Self, Issuer), ServiceError> {
        let ServiceConfig { listen, ports, mut policy, limits } = config;
        let system = |why: &dyn std::fmt::Display| ServiceError::System(why.to_string());
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|why| system(&why))?;
        let now = Instant::now();
        let secret = Secret::new(key, now);
        let issuer = Issuer::new(secret.clone(), &limits);

        raise_file_limit();
        let doors = open_doors(&listen)?;
        let addresses: Vec<SocketAddr> = doors.iter().map(|door| door.address).collect();
        policy.own.extend(addresses.iter().map(SocketAddr::ip));
        policy.own.extend(if_addrs::get_if_addrs().unwrap_or_default().iter().map(if_addrs::Interface::ip));
        let ips = addresses.iter().map(SocketAddr::ip).collect();
        let stun_sockets = open_stun(&addresses);
        let stun = stun_sockets.iter().step_by(2).filter_map(|socket| socket.local_addr().ok()).collect();
        let core = Core::new(policy, limits.clone(), secret, ips, now);

        let (told, totals) = watch::channel(Totals::default());
        let (visitors, arriving) = mpsc::channel(VISITORS);
        let stop = CancellationToken::new();
        let held = stop.clone().drop_guard();
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|why| system(&why))?;
        let serve = move || {
            let relaying = serve(core, doors, ports, limits, told, arriving);
            runtime.block_on(LocalSet::new().run_until(async {
                let _stun = StunServer::on(stun_sockets).inspect_err(|why| tracing::warn!(%why, "no STUN service"));
                tokio::select! {
                    () = stop.cancelled() => {}
                    outcome = relaying => if let Err(why) = outcome {
                        tracing::error!(%why, "the media relay ended");
                    },
                }
            }));
        };
        std::thread::Builder::new().name("relay".into()).spawn(serve).map_err(|why| system(&why))?;
        Ok((Self { addresses, stun, totals, visitors, _held: held }, issuer))
    }

    /// Where clients find it: UDP and TCP at the same ports, STUN and TURN.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// STUN servers with all that RFC 5780 needs of as many addresses as there are: of each, the first of two ports.
    pub fn stun(&self) -> &[SocketAddr] {
        &self.stun
    }

    /// Serves a client whose connection was accepted elsewhere; one that finds a queue is closed.
    pub fn visit(&self, stream: std::net::TcpStream) {
        let _ = self.visitors.try_send(stream);
    }

    /// Not older than a second or two.
    pub fn totals(&self) -> Totals {
        *self.totals.borrow()
    }
}

/// Every allocation is a socket, and the usual limit of open files is lower than the most of them. A system that does
/// not allow more answers 508 earlier.
#[cfg(unix)]
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(FILES, |maximum| maximum.min(FILES));
    if current.is_some_and(|current| current < wanted) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

#[cfg(not(unix))]
fn raise_file_limit() {}

/// One address at which clients are served.
struct Door {
    address: SocketAddr,
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
}

/// One address that cannot be opened does not matter while another can.
fn open_doors(listen: &[SocketAddr]) -> Result<Vec<Door>, ServiceError> {
    let mut doors = Vec::new();
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "no address to serve at");
    for wanted in listen.iter().take(MAX_ADDRESSES) {
        let anywhere = SocketAddr::new(wanted.ip(), 0);
        match Door::open(*wanted).or_else(|_| Door::open(anywhere)) {
            Ok(door) => doors.push(door),
            Err(why) => last = why,
        }
    }
    if doors.is_empty() { Err(ServiceError::Listen(last)) } else { Ok(doors) }
}

/// Two sockets for each address that has room for them, the two ports above the relay's: RFC 5780 §6 wants the same pair
/// everywhere. What cannot be had is left out; the relay tells its clients how it sees them, too.
fn open_stun(addresses: &[SocketAddr]) -> Vec<std::net::UdpSocket> {
    let Some(first) = addresses.first() else { return Vec::new() };
    let ports = [1, 2].map(|above| first.port().checked_add(above).unwrap_or_default());
    let pair = |address: &SocketAddr| -> Option<[std::net::UdpSocket; 2]> {
        let open = |port| std::net::UdpSocket::bind((address.ip(), port));
        let open = |[one, two]: [u16; 2]| Some([open(one).ok()?, open(two).ok()?]);
        open(ports).or_else(|| open([0; 2]))
    };
    addresses.iter().filter_map(pair).flatten().collect()
}

impl Door {
    fn open(at: SocketAddr) -> io::Result<Self> {
        let udp = std::net::UdpSocket::bind(at)?;
        let address = udp.local_addr()?;
        let tcp = std::net::TcpListener::bind(address)?;
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        // A burst of all calls at once fits; where the system allows less, less it is.
        let _ = socket2::SockRef::from(&udp).set_recv_buffer_size(1 << 20);
        Ok(Self { address, udp, tcp })
    }
}

/// What the tasks share.
struct Relay {
    core: RefCell<Core>,
    doors: Vec<(SocketAddr, UdpSocket)>,
    allocations: Allocations,
    connections: Connections,
}

async fn serve(
    core: Core,
    doors: Vec<Door>,
    ports: Option<RangeInclusive<u16>>,
    limits: Limits,
    told: watch::Sender<Totals>,
    arriving: mpsc::Receiver<std::net::TcpStream>,
) -> io::Result<()> {
    let mut listeners = Vec::new();
    let mut sockets = Vec::new();
    for Door { address, udp, tcp } in doors {
        sockets.push((address, UdpSocket::from_std(udp)?));
        listeners.push((address, tokio::net::TcpListener::from_std(tcp)?));
    }
    let relay = Rc::new(Relay {
        core: RefCell::new(core),
        doors: sockets,
        allocations: Allocations::new(ports),
        connections: Connections::new(&limits),
    });
    for door in 0..relay.doors.len() {
        tokio::task::spawn_local(udp::read_clients(relay.clone(), door));
    }
    tokio::task::spawn_local(tcp::welcome(relay.clone(), arriving));
    for (address, listener) in listeners {
        tokio::task::spawn_local(tcp::accept(relay.clone(), address, listener));
    }
    // Waits without waking while nobody is here.
    loop {
        relay.connections.or_arrival(relay.deadline()).await;
        let now = Instant::now();
        relay.with_core(|core| core.handle_timeout(now));
        told.send_replace(relay.core.borrow().totals(now));
    }
}

impl Relay {
    fn deadline(&self) -> Option<Instant> {
        self.core.borrow().poll_timeout()
    }

    /// Works on the core and does what it wants. Not to be called from within itself.
    fn with_core(self: &Rc<Self>, work: impl FnOnce(&mut Core)) {
        let was_idle = self.deadline().is_none();
        work(&mut self.core.borrow_mut());
        loop {
            let Some(output) = self.core.borrow_mut().poll_output() else { break };
            self.carry_out(output);
        }
        if was_idle && self.deadline().is_some() {
            self.connections.arrived();
        }
    }

    fn carry_out(self: &Rc<Self>, output: Output) {
        match output {
            Output::ToClient { client: client @ Client { transport: Transport::Udp, .. }, packet } => {
                let door = self.doors.iter().find(|(address, _)| *address == client.local);
                if let Some((_, socket)) = door {
                    // A full send buffer loses the packet, as any router would.
                    let _ = socket.try_send_to(&packet, client.remote);
                }
            }
            Output::ToClient { client, packet } => self.connections.send(client, packet),
            Output::ToPeer { relayed, peer, payload } => self.allocations.send(relayed, peer, &payload),
            Output::Bind { client, at, ipv4 } => {
                let bound = self.allocations.open(self, at);
                self.core.borrow_mut().bound(client, ipv4, bound, Instant::now());
            }
            Output::Unbind { relayed } => self.allocations.close(relayed),
        }
    }
}

/// A UDP socket that the reactor knows.
fn bind_udp(ip: IpAddr, port: u16) -> io::Result<(SocketAddr, UdpSocket)> {
    let socket = std::net::UdpSocket::bind((ip, port))?;
    socket.set_nonblocking(true)?;
    Ok((socket.local_addr()?, UdpSocket::from_std(socket)?))
}

async fn sleep_or_never(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}

/// Entries by key, shared by the tasks of one thread.
type Shared<K, V> = RefCell<BTreeMap<K, V>>;
