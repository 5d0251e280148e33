//! Runs a discovery over real sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use super::{AFTER_ERROR, MAX_DATAGRAM};
use crate::nat::discovery::{Discovery, LIFETIMES, MAX_LIFETIMES, MAX_SERVERS, Setup, Timing};
use crate::nat::report::{NatReport, Seen};
use crate::nat::stun;

/// Datagrams that may wait for the discovery; later ones are dropped, and asked for again.
const INPUT_QUEUE: usize = 64;
/// For a server to answer over TCP, when none did over UDP.
const TCP_PATIENCE: Duration = Duration::from_secs(3);
/// Beyond the longest idle time, for the tests before and after it.
const MARGIN: Duration = Duration::from_secs(12);
/// The shortest idle time that is tried for a mapping; each further one is twice as long.
const SHORTEST_IDLE: Duration = Duration::from_secs(15);
const HEADER_LEN: usize = 20;

/// Whom to ask, and how far to go.
#[derive(Debug, Clone, Default)]
pub struct DiscoverConfig {
    /// STUN servers. Of each address family the first four are asked.
    pub servers: Vec<SocketAddr>,
    /// Bind to loopback and ask nobody else: no packet leaves the machine.
    pub loopback_only: bool,
    /// Find out how long the NAT keeps an idle mapping, up to this time; takes as long. `None`: not tried.
    pub mapping_lifetime: Option<Duration>,
}

/// Finds out how this machine looks from outside. Takes 2 round trips without a NAT, about 3 s with one, and 8 s when
/// nobody answers.
pub async fn discover(config: DiscoverConfig) -> NatReport {
    let mut servers: Vec<SocketAddr> = Vec::new();
    for server in config.servers {
        let is_allowed = !config.loopback_only || server.ip().is_loopback();
        if is_allowed && !servers.contains(&server) {
            servers.push(server);
        }
    }
    let lifetimes = idle_times(config.mapping_lifetime);
    let family =
        |is_ipv4: bool| servers.iter().copied().filter(move |server| server.is_ipv4() == is_ipv4).take(MAX_SERVERS);
    let (ipv4, ipv6) = tokio::join!(
        discover_family(family(true).collect(), config.loopback_only, &lifetimes),
        discover_family(family(false).collect(), config.loopback_only, &lifetimes)
    );
    let udp_blocked =
        if ipv4.is_some() || ipv6.is_some() { Some(false) } else { answers_over_tcp(&servers).await.then_some(true) };
    NatReport { servers: servers.len(), ipv4, ipv6, udp_blocked }
}

/// 15 s, 30 s, … up to `limit`.
fn idle_times(limit: Option<Duration>) -> Vec<Duration> {
    let Some(limit) = limit else { return Vec::new() };
    let doubled = std::iter::successors(Some(SHORTEST_IDLE), |idle| idle.checked_mul(2));
    let mut times: Vec<Duration> = doubled.take_while(|idle| *idle < limit).take(MAX_LIFETIMES - 1).collect();
    times.push(limit);
    times
}

/// `None` when nobody answers, or this machine has no way to the servers at all.
async fn discover_family(servers: Vec<SocketAddr>, loopback_only: bool, lifetimes: &[Duration]) -> Option<Seen> {
    let first = *servers.first()?;
    let local_ip = route_to(first).await?;
    let any: IpAddr = match (loopback_only, first.is_ipv4()) {
        (true, _) => local_ip,
        (false, true) => Ipv4Addr::UNSPECIFIED.into(),
        (false, false) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let mut sockets = Vec::new();
    for _ in 0..LIFETIMES + lifetimes.len() {
        sockets.push(Arc::new(UdpSocket::bind((any, 0)).await.ok()?));
    }
    let addresses: Option<Vec<SocketAddr>> =
        sockets.iter().map(|socket| Some(SocketAddr::new(local_ip, socket.local_addr().ok()?.port()))).collect();
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).ok()?;
    let setup = Setup { servers, sockets: addresses?, lifetimes: lifetimes.to_vec(), timing: Timing::default(), seed };
    let discovery = Discovery::new(setup, Instant::now());
    let deadline = Instant::now() + MARGIN + lifetimes.last().copied().unwrap_or_default();
    run(discovery, &sockets, deadline).await
}

/// Our own address on the way to a server. Connecting a UDP socket sends nothing.
async fn route_to(server: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

/// Whether this machine has an IPv6 address that could be known to the world: not loopback, link-local or unique local.
pub fn has_global_ipv6() -> bool {
    let is_global = |ip: Ipv6Addr| !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unique_local();
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().any(|interface| matches!(interface.ip(), IpAddr::V6(ip) if is_global(ip)))
}

/// Feeds the discovery until it is done, or until the deadline: then what is known is what there is.
async fn run(mut discovery: Discovery, sockets: &[Arc<UdpSocket>], deadline: Instant) -> Option<Seen> {
    let (arrived, mut inputs) = mpsc::channel(INPUT_QUEUE);
    // Ends with this function, and the readers with it.
    let mut readers = JoinSet::new();
    for (index, socket) in sockets.iter().enumerate() {
        let (socket, arrived) = (socket.clone(), arrived.clone());
        readers.spawn(async move {
            let mut buffer = [0; MAX_DATAGRAM];
            loop {
                let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
                    sleep(AFTER_ERROR).await;
                    continue;
                };
                let datagram = buffer.get(..length).unwrap_or_default().to_vec();
                let _ = arrived.try_send((index, from, datagram));
            }
        });
    }
    while !discovery.is_done() {
        while let Some(transmit) = discovery.poll_transmit() {
            if let Some(socket) = sockets.get(transmit.socket) {
                // What cannot be sent is like what is lost: it is sent again, or given up in time.
                let _ = socket.send_to(&transmit.payload, transmit.to).await;
            }
        }
        let due = discovery.poll_timeout().map_or(deadline, |(at, _)| at.min(deadline));
        tokio::select! {
            Some((socket, from, datagram)) = inputs.recv() => {
                discovery.handle_input(socket, from, &datagram, Instant::now());
            }
            () = sleep_until(due.into()) => {
                let now = Instant::now();
                if now >= deadline {
                    break;
                }
                discovery.handle_timeout(now);
            }
        }
    }
    discovery.seen()
}

/// Whether any of these servers answers over TCP (RFC 8489 §6.2.2): then it is UDP that does not come through.
async fn answers_over_tcp(servers: &[SocketAddr]) -> bool {
    let mut asked = JoinSet::new();
    for server in servers.iter().copied().take(MAX_SERVERS) {
        asked.spawn(timeout(TCP_PATIENCE, ask_over_tcp(server)));
    }
    while let Some(answer) = asked.join_next().await {
        if matches!(answer, Ok(Ok(Some(())))) {
            return true;
        }
    }
    false
}

async fn ask_over_tcp(server: SocketAddr) -> Option<()> {
    let mut transaction = [0; 12];
    getrandom::fill(&mut transaction).ok()?;
    let mut stream = TcpStream::connect(server).await.ok()?;
    stream.write_all(&stun::binding_request(transaction)).await.ok()?;
    let mut response = vec![0; HEADER_LEN];
    stream.read_exact(&mut response).await.ok()?;
    let length = usize::from(u16::from_be_bytes([*response.get(2)?, *response.get(3)?]));
    if HEADER_LEN + length > MAX_DATAGRAM {
        return None;
    }
    response.resize(HEADER_LEN + length, 0);
    stream.read_exact(response.get_mut(HEADER_LEN..)?).await.ok()?;
    stun::mapped_address(&response, transaction).ok().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nat::{Filtering, NatKind, StunServer};

    #[test]
    fn idle_times_double_up_to_the_limit() {
        let seconds = |limit: Option<u64>| {
            idle_times(limit.map(Duration::from_secs)).iter().map(Duration::as_secs).collect::<Vec<_>>()
        };
        assert!(seconds(None).is_empty());
        assert_eq!(seconds(Some(1)), [1]);
        assert_eq!(seconds(Some(100)), [15, 30, 60, 100]);
        assert_eq!(seconds(Some(1_000_000)).len(), MAX_LIFETIMES);
    }

    fn run_here<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn our_own_service_on_two_loopback_addresses_tells_an_open_network() {
        run_here(async {
            let addresses = ["127.0.0.1:0", "127.0.0.2:0"].map(|text| text.parse().unwrap());
            let server = StunServer::bind(&addresses).await.unwrap();
            let config =
                DiscoverConfig { servers: vec![server.endpoints()[0]], loopback_only: true, mapping_lifetime: None };
            let report = discover(config).await;
            let seen = report.ipv4.unwrap();
            assert_eq!((seen.kind(), seen.filtering), (NatKind::Open, Some(Filtering::EndpointIndependent)));
            assert_eq!((report.servers, report.udp_blocked, report.ipv6), (1, Some(false), None));
            assert_eq!(seen.public, seen.local);
        });
    }

    #[test]
    fn both_families_are_told_apart() {
        run_here(async {
            let addresses = ["127.0.0.1:0", "[::1]:0", "[::1]:0"].map(|text| text.parse().unwrap());
            let server = StunServer::bind(&addresses).await.unwrap();
            let servers = server.endpoints()[..2].to_vec();
            let report = discover(DiscoverConfig { servers, loopback_only: true, mapping_lifetime: None }).await;
            let [ipv4, ipv6] = [report.ipv4, report.ipv6].map(Option::unwrap);
            assert_eq!((ipv4.kind(), ipv4.public.ip()), (NatKind::Untranslated, addresses[0].ip()));
            // Two ports of one address: other ports get in, of other addresses nothing is known.
            assert_eq!((ipv6.kind(), ipv6.public.ip()), (NatKind::Untranslated, addresses[1].ip()));
            assert_eq!(ipv6.filtering, Some(Filtering::AddressDependent));
        });
    }

    #[test]
    fn an_idle_mapping_on_loopback_outlives_a_second() {
        run_here(async {
            let server = StunServer::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
            let limit = Duration::from_secs(1);
            let config = DiscoverConfig {
                servers: server.endpoints().to_vec(),
                loopback_only: true,
                mapping_lifetime: Some(limit),
            };
            let lifetime = discover(config).await.ipv4.and_then(|seen| seen.mapping_lifetime).unwrap();
            assert_eq!((lifetime.at_least, lifetime.gone_after), (limit, None));
        });
    }

    #[test]
    fn isolation_asks_nobody_outside() {
        let servers = vec!["192.0.2.1:3478".parse().unwrap(), "[2001:db8::1]:3478".parse().unwrap()];
        let config = DiscoverConfig { servers, loopback_only: true, mapping_lifetime: None };
        assert_eq!(run_here(discover(config)), NatReport::default());
    }

    #[test]
    fn a_server_that_answers_over_tcp_alone_betrays_blocked_udp() {
        run_here(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let server = listener.local_addr().unwrap();
            let serve = async {
                let (mut stream, from) = listener.accept().await.unwrap();
                let mut request = [0; 28];
                stream.read_exact(&mut request).await.unwrap();
                stream.write_all(&stun::answer(&request, from).unwrap()).await.unwrap();
                stream
            };
            let servers = [server];
            let (answered, _stream) = tokio::join!(answers_over_tcp(&servers), serve);
            assert!(answered);
            drop(listener);
            assert!(!answers_over_tcp(&servers).await);
        });
    }
}
