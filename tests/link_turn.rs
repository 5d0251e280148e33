//! Links through a real TURN server: coturn, an implementation that shares nothing with ours.

mod link_peers;
#[path = "common/skip.rs"]
#[allow(dead_code, reason = "shared with tests that use all of it")]
mod skip;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use link_peers::ours::{End, connect, connect_via};
use link_peers::{packet, runtime};
use tokio::net::UdpSocket as AsyncUdpSocket;
use twocans::base::PayloadKind;
use twocans::link::{CandidateKind, Interfaces, LinkConfig, LinkEvent, Path, Role, TurnServer};
use twocans::nat;

/// Three hosts of one machine: the server and the two ends, told apart by their addresses.
const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const OFFERER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const ANSWERER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

#[test]
fn two_relayed_links_talk() {
    let Some(coturn) = Coturn::start("two_relayed_links_talk") else { return };
    runtime().block_on(async {
        let mut offerer = End::open(coturn.relayed(Role::Offerer, OFFERER)).await;
        let mut answerer = End::open(coturn.relayed(Role::Answerer, ANSWERER)).await;
        let took = connect(&mut offerer, &mut answerer).await;
        println!("relayed on both sides: connected after {took:?}");
        let kinds = [PayloadKind::Opus, PayloadKind::Red];
        let mut slowest = Duration::ZERO;
        for number in 0..50u16 {
            let sent = packet(number, kinds[usize::from(number % 2)]);
            let began = Instant::now();
            assert!(offerer.link.send(sent.clone()) && answerer.link.send(sent.clone()));
            for end in [&mut offerer, &mut answerer] {
                let got = end.next_audio().await;
                assert_eq!((got.seq, got.kind, got.payload), (sent.seq, sent.kind, sent.payload.clone()));
            }
            slowest = slowest.max(began.elapsed());
        }
        println!("slowest of 50 packets both ways: {slowest:?}");
        for end in [&offerer, &answerer] {
            let path = end.link.stats().await.unwrap().path.unwrap();
            assert_eq!((path.local, path.relay), (CandidateKind::Relayed, Some(coturn.address)));
        }
        offerer.link.send_message(b"through a relay".to_vec()).await.unwrap();
        assert_eq!(answerer.message().await, b"through a relay");
        offerer.link.close().await;
        assert_eq!(answerer.wait_for(|event| *event == LinkEvent::Closed).await, Some(LinkEvent::Closed));
    });
}

#[test]
fn relay_only_leaks_no_address() {
    let Some(coturn) = Coturn::start("relay_only_leaks_no_address") else { return };
    runtime().block_on(async {
        // The secretive end talks to an end without a relay, and to a stranger whose candidate the peer slips in.
        let mut secretive = End::open(coturn.relayed(Role::Offerer, OFFERER)).await;
        let mut open = End::open(hosted(Role::Answerer, ANSWERER)).await;
        let stranger = AsyncUdpSocket::bind((STRANGER, 0)).await.unwrap();
        let lure = format!("9 1 udp 2130706431 {STRANGER} {} typ host", stranger.local_addr().unwrap().port());
        secretive.link.add_candidate(lure).await.unwrap();

        let mut told = Vec::new();
        connect_via(&mut secretive, &mut open, |side, text| {
            if side == 0 {
                told.push(text.clone());
            }
            text
        })
        .await;
        assert!(!told.concat().contains(&OFFERER.to_string()), "{told:?}");
        assert!(!told.concat().contains("typ host") && !told.concat().contains("typ srflx"), "{told:?}");

        let path: Path = open.link.stats().await.unwrap().path.unwrap();
        assert_eq!(path.remote_address.reveal().ip(), IpAddr::V4(SERVER));
        assert!(secretive.link.send(packet(1, PayloadKind::Opus)));
        assert_eq!(open.next_audio().await.seq.0, 1);

        let mut buffer = [0; 2048];
        let mut heard = 0;
        while let Ok(Ok((_, from))) =
            tokio::time::timeout(Duration::from_millis(300), stranger.recv_from(&mut buffer)).await
        {
            assert_eq!(from.ip(), IpAddr::V4(SERVER), "a check that came from the secretive end itself");
            heard += 1;
        }
        assert!(heard > 0, "the lure was never checked, so this proves nothing");
    });
}

#[test]
fn a_direct_path_is_preferred_to_a_relay() {
    let Some(coturn) = Coturn::start("a_direct_path_is_preferred_to_a_relay") else { return };
    runtime().block_on(async {
        // STUN and TURN on one address, as every TURN server offers.
        let config =
            |role, host| LinkConfig { relay_only: false, stun: vec![coturn.address], ..coturn.relayed(role, host) };
        let mut offerer = End::open(config(Role::Offerer, OFFERER)).await;
        let mut answerer = End::open(config(Role::Answerer, ANSWERER)).await;
        connect(&mut offerer, &mut answerer).await;
        let path = offerer.link.stats().await.unwrap().path.unwrap();
        assert_eq!((path.local, path.remote, path.relay), (CandidateKind::Host, CandidateKind::Host, None));
        let unusable = |end: &End| end.seen.iter().any(|event| matches!(event, LinkEvent::ServerUnusable { .. }));
        assert!(!unusable(&offerer) && !unusable(&answerer));
    });
}

#[test]
fn a_relay_that_refuses_is_named() {
    let Some(coturn) = Coturn::start("a_relay_that_refuses_is_named") else { return };
    runtime().block_on(async {
        let mut config = coturn.relayed(Role::Offerer, OFFERER);
        config.turn[0].password = "wrong".to_owned();
        let mut end = End::open(config).await;
        end.link.create_offer().await.unwrap();
        let event = end.wait_for(|event| matches!(event, LinkEvent::ServerUnusable { .. })).await;
        let Some(LinkEvent::ServerUnusable { server, why }) = event else { panic!("{event:?}") };
        assert_eq!(server, coturn.address);
        assert!(why.contains("401"), "{why}");
        assert_eq!(end.wait_for(|event| *event == LinkEvent::EndOfCandidates).await, Some(LinkEvent::EndOfCandidates));
    });
}

#[test]
fn coturn_and_our_codec_agree() {
    let Some(coturn) = Coturn::start("coturn_and_our_codec_agree") else { return };
    let socket = UdpSocket::bind((OFFERER, 0)).unwrap();
    assert_eq!(ask(&socket, coturn.address), Some(socket.local_addr().unwrap()));
}

fn hosted(role: Role, host: Ipv4Addr) -> LinkConfig {
    LinkConfig { interfaces: Interfaces::Only(vec![host.into()]), ..LinkConfig::new(role) }
}

/// A coturn of our own on loopback; ended, by its process id, when dropped.
struct Coturn {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Coturn {
    /// `None`, and a counted skip, on a machine without coturn.
    fn start(test: &str) -> Option<Self> {
        let port = UdpSocket::bind((SERVER, 0)).unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let spawned = Command::new("turnserver")
            .args(["-n", "--listening-ip", &SERVER.to_string(), "--relay-ip", &SERVER.to_string()])
            .args(["--listening-port", &port.to_string(), "--realm", "twocans.test"])
            .args(["--lt-cred-mech", "--user", "u:p", "--allow-loopback-peers", "--cli-password", "unused"])
            .args(["--no-cli", "--no-tls", "--no-dtls", "--no-tcp-relay", "--no-multicast-peers"])
            .args(["--userdb", &path("users"), "--pidfile", &path("pid"), "--log-file", &path("log")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = match spawned {
            Ok(process) => process,
            Err(why) => {
                skip::skip(test, &format!("cannot start coturn's turnserver ({why})"));
                return None;
            }
        };
        let coturn = Self { process, address: SocketAddr::from((SERVER, port)), _folder: folder };
        let socket = UdpSocket::bind((SERVER, 0)).unwrap();
        let began = Instant::now();
        while ask(&socket, coturn.address).is_none() {
            assert!(began.elapsed() < Duration::from_secs(10), "coturn does not answer");
        }
        Some(coturn)
    }

    fn relayed(&self, role: Role, host: Ipv4Addr) -> LinkConfig {
        let server =
            TurnServer { address: self.address, tcp: None, username: "u".to_owned(), password: "p".to_owned() };
        LinkConfig { turn: vec![server], relay_only: true, ..hosted(role, host) }
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One Binding request; our address as the server sees it.
fn ask(socket: &UdpSocket, server: SocketAddr) -> Option<SocketAddr> {
    let transaction = *b"one question";
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    socket.send_to(&nat::binding_request(transaction), server).ok()?;
    let mut buffer = [0; 1500];
    let (len, _) = socket.recv_from(&mut buffer).ok()?;
    nat::mapped_address(&buffer[..len], transaction).ok()
}
