//! Links through our own media relay, and coturn's client against it: an implementation that shares nothing with ours.

mod link_peers;
#[path = "common/skip.rs"]
#[allow(dead_code, reason = "shared with tests that use all of it")]
mod skip;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use link_peers::ours::{End, connect};
use link_peers::{packet, runtime};
use twocans::base::{NodeId, PayloadKind, Rate};
use twocans::link::{CandidateKind, Interfaces, LinkConfig, LinkEvent, Role, TurnServer};
use twocans::superpeer::{AddressPolicy, Issuer, Limits, Service, ServiceConfig};

/// Three hosts of one machine, told apart by their addresses.
const RELAY: Ipv4Addr = Ipv4Addr::LOCALHOST;
const OFFERER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const ANSWERER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

struct Relay {
    service: Service,
    issuer: Issuer,
}

impl Relay {
    fn start(at: IpAddr) -> Self {
        Self::with_limits(at, Limits::default())
    }

    fn with_limits(at: IpAddr, limits: Limits) -> Self {
        let policy = AddressPolicy { isolated: true, ..AddressPolicy::default() };
        let listen = vec![SocketAddr::new(at, 0)];
        let config = ServiceConfig { listen, ports: None, policy, limits };
        let (service, issuer) = Service::start(config).expect("loopback has ports");
        Self { service, issuer }
    }

    fn server(&mut self, node: u8) -> TurnServer {
        let node = NodeId::from_bytes(&[node; 38]).expect("a node id");
        let credentials = self.issuer.issue(&node, None, Instant::now()).expect("nobody has asked before");
        let address = self.service.addresses()[0];
        TurnServer { address, tcp: None, username: credentials.username, password: credentials.password }
    }

    fn relayed(&mut self, role: Role, host: IpAddr) -> LinkConfig {
        LinkConfig { turn: vec![self.server(role as u8)], relay_only: true, ..hosted(role, host) }
    }
}

fn hosted(role: Role, host: IpAddr) -> LinkConfig {
    LinkConfig { interfaces: Interfaces::Only(vec![host]), ..LinkConfig::new(role) }
}

/// Packets both ways at the pace of a call; how long each took, µs, slowest first.
async fn volley(one: &mut End, other: &mut End, count: u16) -> Vec<u128> {
    let mut took = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    for number in 0..count {
        tick.tick().await;
        let sent = packet(number, PayloadKind::Opus);
        let began = Instant::now();
        assert!(one.link.send(sent.clone()) && other.link.send(sent.clone()));
        for end in [&mut *one, &mut *other] {
            assert_eq!(end.next_audio().await.payload, sent.payload);
        }
        took.push(began.elapsed().as_micros());
    }
    took.sort_unstable_by(|a, b| b.cmp(a));
    took
}

fn spread(sorted: &[u128]) -> String {
    let at = |share: usize| sorted[sorted.len() * (100 - share) / 100];
    format!("p50 {} p95 {} max {} µs", at(50), at(95), sorted[0])
}

#[test]
fn two_links_talk_through_our_relay_and_it_costs_little_time() {
    let mut relay = Relay::start(RELAY.into());
    runtime().block_on(async {
        let mut offerer = End::open(relay.relayed(Role::Offerer, OFFERER.into())).await;
        let mut answerer = End::open(relay.relayed(Role::Answerer, ANSWERER.into())).await;
        let took = connect(&mut offerer, &mut answerer).await;
        let through_both = volley(&mut offerer, &mut answerer, 300).await;
        for end in [&offerer, &answerer] {
            let path = end.link.stats().await.unwrap().path.unwrap();
            assert_eq!((path.local, path.remote), (CandidateKind::Relayed, CandidateKind::Relayed));
            assert_eq!(path.relay, Some(relay.service.addresses()[0]));
        }
        let began = Instant::now();
        while relay.service.totals().calls != 1 {
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", relay.service.totals());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let totals = relay.service.totals();
        assert_eq!((totals.allocations, totals.dropped_packets, totals.refused_peers), (2, 0, 0), "{totals:?}");
        offerer.link.close().await;
        answerer.link.close().await;

        let mut offerer = End::open(relay.relayed(Role::Offerer, OFFERER.into())).await;
        let mut answerer = End::open(hosted(Role::Answerer, ANSWERER.into())).await;
        connect(&mut offerer, &mut answerer).await;
        let through_one = volley(&mut offerer, &mut answerer, 300).await;
        let path = answerer.link.stats().await.unwrap().path.unwrap();
        assert_eq!((path.local, path.remote), (CandidateKind::Host, CandidateKind::Relayed));

        let mut offerer = End::open(hosted(Role::Offerer, OFFERER.into())).await;
        let mut answerer = End::open(hosted(Role::Answerer, ANSWERER.into())).await;
        connect(&mut offerer, &mut answerer).await;
        let direct = volley(&mut offerer, &mut answerer, 300).await;
        println!("relayed on both sides: connected after {took:?}");
        println!(
            "a packet each way: direct {}; one relay {}; both sides relayed {}",
            spread(&direct),
            spread(&through_one),
            spread(&through_both)
        );
        // In one process on one core the hops add up; a frame is 10 000 µs.
        assert!(through_both[through_both.len() / 20] < 3_000 + direct[direct.len() / 20], "{}", spread(&through_both));
    });
}

#[test]
fn relays_may_come_late() {
    let mut relay = Relay::start(RELAY.into());
    runtime().block_on(async {
        let empty = |role, host| LinkConfig { relay_only: true, expects_relays: true, ..hosted(role, host) };
        let mut offerer = End::open(empty(Role::Offerer, OFFERER.into())).await;
        let mut answerer = End::open(empty(Role::Answerer, ANSWERER.into())).await;
        let offer = offerer.link.create_offer().await.unwrap();
        let answer = answerer.link.accept_offer(offer.sdp).await.unwrap();
        offerer.link.accept_answer(answer.sdp).await.unwrap();
        for (end, node) in [(&mut offerer, 1), (&mut answerer, 2)] {
            assert!(end.events.try_recv().is_err(), "nothing to say without a relay, not even the end of candidates");
            end.link.add_relay(relay.server(node)).await.unwrap();
            end.link.no_more_relays().await.unwrap();
        }
        for (from, to) in [(true, false), (false, true)] {
            let pick = |first| if first { &offerer.link } else { &answerer.link };
            let target = pick(to).clone();
            let source = if from { &mut offerer } else { &mut answerer };
            let candidate = source.wait_for(|event| matches!(event, LinkEvent::Candidate(_))).await;
            let Some(LinkEvent::Candidate(line)) = candidate else { panic!("{candidate:?}") };
            assert!(line.contains("typ relay"), "{line}");
            target.add_candidate(line).await.unwrap();
            assert!(source.wait_for(|event| *event == LinkEvent::EndOfCandidates).await.is_some());
        }
        offerer.connected().await;
        answerer.connected().await;
        volley(&mut offerer, &mut answerer, 20).await;
    });
}

#[test]
fn a_relay_on_ipv6_serves_those_who_have_it() {
    let mut relay = Relay::start(Ipv6Addr::LOCALHOST.into());
    runtime().block_on(async {
        let mut offerer = End::open(relay.relayed(Role::Offerer, Ipv6Addr::LOCALHOST.into())).await;
        let mut answerer = End::open(relay.relayed(Role::Answerer, Ipv6Addr::LOCALHOST.into())).await;
        let took = connect(&mut offerer, &mut answerer).await;
        println!("over IPv6: connected after {took:?}");
        volley(&mut offerer, &mut answerer, 20).await;
    });
}

#[test]
fn a_wrong_password_is_named() {
    let mut relay = Relay::start(RELAY.into());
    runtime().block_on(async {
        let mut config = relay.relayed(Role::Offerer, OFFERER.into());
        config.turn[0].password = "guess".to_owned();
        let mut end = End::open(config).await;
        end.link.create_offer().await.unwrap();
        let event = end.wait_for(|event| matches!(event, LinkEvent::ServerUnusable { .. })).await;
        let Some(LinkEvent::ServerUnusable { why, .. }) = event else { panic!("{event:?}") };
        assert!(why.contains("401"), "{why}");
        assert_eq!(relay.service.totals().allocations, 0);
    });
}

/// Good credentials, and a peer on the relay's own LAN: this machine's loopback stands for it.
#[test]
fn the_relays_own_lan_is_not_reached() {
    let listen = vec![SocketAddr::new(RELAY.into(), 0)];
    let config = ServiceConfig { listen, ..ServiceConfig::default() };
    let (service, issuer) = Service::start(config).expect("loopback has ports");
    let mut relay = Relay { service, issuer };
    runtime().block_on(async {
        let mut caller = End::open(relay.relayed(Role::Offerer, OFFERER.into())).await;
        let offer = caller.link.create_offer().await.unwrap();
        let on_lan = End::open(hosted(Role::Answerer, ANSWERER.into())).await;
        let answer = on_lan.link.accept_offer(offer.sdp).await.unwrap();
        assert!(answer.sdp.contains("127.0.0.3"), "the host to be attacked is named");
        caller.link.accept_answer(answer.sdp).await.unwrap();
        caller.wait_for(|event| matches!(event, LinkEvent::Candidate(_) | LinkEvent::EndOfCandidates)).await;
        let began = Instant::now();
        while relay.service.totals().refused_peers == 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", relay.service.totals());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!("{:?}", relay.service.totals());
        assert_eq!(relay.service.totals().allocations, 1);
        assert_eq!(on_lan.link.stats().await.unwrap().packets_received, 0);
    });
}

/// A call goes on while a stranger sends 10,000 packets of junk a second: random bytes, requests, channel data.
#[test]
fn a_call_goes_on_under_a_flood_of_junk() {
    const SECONDS: u64 = 5;
    let mut relay = Relay::start(RELAY.into());
    let target = relay.service.addresses()[0];
    let flood = std::thread::spawn(move || {
        let sockets: Vec<UdpSocket> =
            (0..16).map(|_| UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 9), 0)).unwrap()).collect();
        let kinds: [Vec<u8>; 4] = [
            twocans::nat::binding_request([9; 12]),
            // An Allocate request without a password.
            [&[0, 3, 0, 8, 0x21, 0x12, 0xa4, 0x42][..], &[5; 12], &[0, 0x19, 0, 4, 17, 0, 0, 0]].concat(),
            [&[0x40, 0, 0, 60][..], &[7; 60]].concat(),
            (0..200u8).collect(),
        ];
        let began = Instant::now();
        let mut sent = 0u64;
        while began.elapsed() < Duration::from_secs(SECONDS) {
            for _ in 0..50 {
                let packet = &kinds[sent as usize % kinds.len()];
                let _ = sockets[sent as usize % sockets.len()].send_to(packet, target);
                sent += 1;
            }
            let due = Duration::from_micros(sent * 100);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        sent
    });
    runtime().block_on(async {
        let mut offerer = End::open(relay.relayed(Role::Offerer, OFFERER.into())).await;
        let mut answerer = End::open(relay.relayed(Role::Answerer, ANSWERER.into())).await;
        connect(&mut offerer, &mut answerer).await;
        let (mut sent, mut heard) = (0u16, 0);
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while u64::from(sent) < (SECONDS - 1) * 50 {
            tick.tick().await;
            assert!(offerer.link.send(packet(sent, PayloadKind::Opus)));
            sent += 1;
            while answerer.audio.try_recv().is_ok() {
                heard += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        while answerer.audio.try_recv().is_ok() {
            heard += 1;
        }
        let junk = flood.join().unwrap();
        println!("{junk} packets of junk in {SECONDS} s; {heard} of {sent} audio packets arrived");
        println!("{:?}", relay.service.totals());
        assert!(junk >= SECONDS * 8_000, "this machine is too slow to flood: {junk}");
        assert!(f64::from(heard) >= 0.98 * f64::from(sent), "{heard} of {sent}");
        assert!(relay.service.totals().refused_requests > 0);
    });
}

/// Two by two, `clients` of coturn's clients send each other `messages` of 125 bytes, 20 ms apart: 50 kb/s each way.
/// What the program said; `None`, and a counted skip, on a machine without it.
fn coturns_client(test: &str, server: &TurnServer, options: &[&str], clients: u32, messages: u32) -> Option<String> {
    let TurnServer { address, username, password, .. } = server;
    let mut command = Command::new("turnutils_uclient");
    // Client to client, without RTCP twins.
    command.args(["-y", "-c", "-l", "125", "-z", "20", "-m", &clients.to_string(), "-n", &messages.to_string()]);
    command.args(options).args(["-u", username, "-w", password]);
    command.args(["-p", &address.port().to_string(), &address.ip().to_string()]);
    match command.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{said}");
            Some(said)
        }
        Err(why) => {
            skip::skip(test, &format!("turnutils_uclient: {why}"));
            None
        }
    }
}

#[test]
fn coturns_client_is_served_over_udp_and_tcp() {
    for (transport, options) in [("udp", &[][..]), ("tcp", &["-t"])] {
        let mut relay = Relay::start(RELAY.into());
        let server = relay.server(1);
        let Some(said) = coturns_client("coturns_client_is_served_over_udp_and_tcp", &server, options, 2, 100) else {
            return;
        };
        println!("{transport}: {:?}", relay.service.totals());
        assert!(said.contains("Total lost packets 0 "), "{transport}: {said}");
        assert!(relay.service.totals().relayed_bytes >= 100 * 125, "{:?}", relay.service.totals());
    }
}

/// 600 allocations, two by two. All come from one address here, so the shares per address and requester are widened;
/// the rest is as shipped.
#[test]
fn three_hundred_calls_pass_at_once() {
    const CALLS: u32 = 300;
    const MESSAGES: u32 = 500;
    let wide = Rate::new(1_000_000, Duration::from_micros(10));
    let limits = Limits {
        allocations_per_requester: 1024,
        allocations_per_address: 1024,
        strangers_per_address: wide,
        ..Limits::default()
    };
    let others = relay_threads();
    let mut relay = Relay::with_limits(RELAY.into(), limits);
    let server = relay.server(1);
    let ended = Arc::new(AtomicBool::new(false));
    let told = ended.clone();
    let watch = std::thread::spawn(move || {
        let spent =
            || relay_threads().into_iter().filter(|t| !others.contains(t)).map(processor_time).sum::<Duration>();
        let (mut busiest, mut most) = (0.0f64, 0);
        while !told.load(Ordering::Relaxed) {
            let (before, began) = (spent(), Instant::now());
            std::thread::sleep(Duration::from_secs(2));
            busiest = busiest.max(spent().saturating_sub(before).as_secs_f64() / began.elapsed().as_secs_f64());
            most = most.max(relay.service.totals().calls);
        }
        (busiest, most, relay)
    });
    let said = coturns_client("three_hundred_calls_pass_at_once", &server, &[], 2 * CALLS, MESSAGES);
    ended.store(true, Ordering::Relaxed);
    let (busiest, most, relay) = watch.join().unwrap();
    let Some(said) = said else { return };
    for line in said.lines().filter(|line| line.contains("lost packets") || line.contains("Average")) {
        println!("{line}");
    }
    println!("{most} calls at once, {:.0} % of a core; {:?}", busiest * 100.0, relay.service.totals());
    assert!(most >= CALLS, "{most} calls at once");
    assert_eq!(relay.service.totals().dropped_packets, 0);
    assert!(busiest < 0.9, "{busiest}");
}

/// Threads of this process that relay.
fn relay_threads() -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
    let name = |id: &u32| std::fs::read_to_string(format!("/proc/self/task/{id}/comm")).unwrap_or_default();
    ids.filter(|id| name(id).trim() == "relay").collect()
}

/// User and system time of a thread (proc(5): fields 14 and 15, in hundredths of a second).
fn processor_time(thread: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}
