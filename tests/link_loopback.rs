//! Links on real sockets over loopback, driven through the public API.

mod link_peers;
#[path = "common/skip.rs"]
#[allow(dead_code, reason = "shared with tests that use all of it")]
mod skip;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use link_peers::ours::{End, connect, connect_via, loopback};
use link_peers::{packet, runtime};
use tokio::net::UdpSocket;
use twocans::base::PayloadKind;
use twocans::link::{CandidateKind, Interfaces, LinkConfig, LinkError, LinkEvent, Role, fingerprint_of, ufrag_of};

async fn pair() -> (End, End) {
    (End::open(loopback(Role::Offerer)).await, End::open(loopback(Role::Answerer)).await)
}

async fn connected_pair() -> (End, End) {
    let (mut offerer, mut answerer) = pair().await;
    connect(&mut offerer, &mut answerer).await;
    (offerer, answerer)
}

#[test]
fn two_links_connect_within_milliseconds() {
    runtime().block_on(async {
        let mut took = Vec::new();
        for _ in 0..20 {
            let (mut offerer, mut answerer) = pair().await;
            took.push(connect(&mut offerer, &mut answerer).await);
            offerer.link.close().await;
            answerer.link.close().await;
        }
        took.sort();
        println!("connect over loopback: p50 {:?}, max {:?}", took[10], took[19]);
        // A handshake waits for nothing: only the processor sets the pace. The bound allows for a busy machine.
        assert!(took[10] < Duration::from_millis(50), "{took:?}");
    });
}

#[test]
fn audio_flows_both_ways_with_its_arrival() {
    runtime().block_on(async {
        let (mut offerer, mut answerer) = connected_pair().await;
        assert!(offerer.link.accepts(PayloadKind::Opus) && offerer.link.accepts(PayloadKind::Red));
        assert!(answerer.link.accepts(PayloadKind::Opus) && answerer.link.accepts(PayloadKind::Red));
        let kinds = [PayloadKind::Opus, PayloadKind::Red];
        for number in 0..50u16 {
            let sent = packet(number, kinds[usize::from(number % 2)]);
            let before = Instant::now();
            assert!(offerer.link.send(sent.clone()) && answerer.link.send(sent.clone()));
            for end in [&mut offerer, &mut answerer] {
                let got = end.next_audio().await;
                assert!(got.arrival >= before && got.arrival <= Instant::now());
                assert_eq!((got.seq, got.media_time, got.marker), (sent.seq, sent.media_time, sent.marker));
                assert_eq!((got.kind, &got.payload), (sent.kind, &sent.payload));
            }
        }
        let stats = offerer.link.stats().await.unwrap();
        assert_eq!((stats.audio_sent, stats.audio_received, stats.audio_dropped), (50, 50, 0));
        assert!(stats.rtt.is_some_and(|rtt| rtt < Duration::from_millis(100)), "{stats:?}");
        let path = stats.path.unwrap();
        assert_eq!((path.local, path.relay), (CandidateKind::Host, None));
        assert!(path.local_address.reveal().ip().is_loopback() && path.remote_address.reveal().ip().is_loopback());
    });
}

#[test]
fn what_is_passed_on_for_others_goes_beside_our_own_voice_and_as_fast() {
    runtime().block_on(async {
        let (offerer, mut answerer) = connected_pair().await;
        // The channel opens a moment after the connection.
        while !offerer.link.send(packet(0, PayloadKind::Carried)) || offerer.link.stats().await.unwrap().audio_sent == 0
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Several may have got through in that moment.
        assert!(offerer.link.send(packet(0, PayloadKind::Opus)));
        while answerer.next_audio().await.kind != PayloadKind::Opus {}
        let mut slowest = Duration::ZERO;
        for number in 1..300u16 {
            for kind in [PayloadKind::Opus, PayloadKind::Carried] {
                let (sent, before) = (packet(number, kind), Instant::now());
                assert!(offerer.link.send(sent.clone()));
                let got = answerer.next_audio().await;
                assert_eq!((got.kind, &got.payload), (kind, &sent.payload));
                slowest = slowest.max(got.arrival - before);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        println!("slowest of 600: {slowest:?}");
        assert!(slowest < Duration::from_millis(50), "{slowest:?}");
    });
}

#[test]
fn messages_flow_in_order_even_before_the_channel_is_open() {
    runtime().block_on(async {
        let (mut offerer, mut answerer) = pair().await;
        offerer.link.send_message(b"early".to_vec()).await.unwrap();
        connect(&mut offerer, &mut answerer).await;
        offerer.link.send_message(vec![7; twocans::link::MAX_MESSAGE_LEN]).await.unwrap();
        answerer.link.send_message(b"hello".to_vec()).await.unwrap();
        assert_eq!(answerer.message().await, b"early");
        assert_eq!(answerer.message().await, vec![7; twocans::link::MAX_MESSAGE_LEN]);
        assert_eq!(offerer.message().await, b"hello");
        let too_long = offerer.link.send_message(vec![0; twocans::link::MAX_MESSAGE_LEN + 1]).await;
        assert!(matches!(too_long, Err(LinkError::MessageTooLong)));
    });
}

#[test]
fn a_close_is_noticed_at_once_and_the_last_message_arrives() {
    runtime().block_on(async {
        for closes_first in [Role::Offerer, Role::Answerer] {
            let (mut offerer, mut answerer) = connected_pair().await;
            for end in [&mut offerer, &mut answerer] {
                end.wait_for(|event| *event == LinkEvent::ChannelOpen).await.unwrap();
            }
            let (leaver, stayer) = match closes_first {
                Role::Offerer => (offerer, &mut answerer),
                Role::Answerer => (answerer, &mut offerer),
            };
            leaver.link.send_message(b"bye".to_vec()).await.unwrap();
            let began = Instant::now();
            leaver.link.close().await;
            let closing = began.elapsed();
            assert_eq!(stayer.message().await, b"bye");
            assert_eq!(stayer.wait_for(|event| *event == LinkEvent::Closed).await, Some(LinkEvent::Closed));
            let noticed = began.elapsed();
            println!("close took {closing:?}, noticed after {noticed:?}");
            assert!(noticed < Duration::from_millis(200), "{noticed:?}");
            assert_eq!(stayer.events.recv().await, None, "Closed is the last event");
            assert!(matches!(stayer.link.stats().await, Err(LinkError::Closed)));
            assert!(!stayer.link.send(packet(0, PayloadKind::Opus)) || stayer.link.stats().await.is_err());
        }
    });
}

#[test]
fn dropping_the_handle_closes_too() {
    runtime().block_on(async {
        let (offerer, mut answerer) = connected_pair().await;
        drop(offerer);
        assert_eq!(answerer.wait_for(|event| *event == LinkEvent::Closed).await, Some(LinkEvent::Closed));
    });
}

#[test]
fn nothing_is_left_behind_by_a_hundred_links() {
    runtime().block_on(async {
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        drop(connected_pair().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let before = (descriptors(), tasks());
        for round in 0..100 {
            let (offerer, answerer) = if round % 4 == 0 { pair().await } else { connected_pair().await };
            offerer.link.close().await;
            if round % 2 == 0 {
                answerer.link.close().await;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!((descriptors(), tasks()), before);
    });
}

#[test]
fn ports_are_taken_from_the_range_only() {
    runtime().block_on(async {
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = LinkConfig { media_ports: Some(free..=free), ..loopback(Role::Offerer) };
        let end = End::open(config.clone()).await;
        let sdp = end.link.create_offer().await.unwrap().sdp;
        assert!(sdp.contains(&format!(" 127.0.0.1 {free} typ host")), "{sdp}");
        let second = twocans::link::Link::open(config.clone(), Box::new(drop)).await;
        assert!(matches!(second, Err(LinkError::Socket(_))));
        end.link.close().await;
        End::open(config).await;
    });
}

#[test]
fn links_meet_over_ipv6() {
    let ipv6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    if let Err(why) = std::net::UdpSocket::bind((ipv6, 0)) {
        return skip::skip("links_meet_over_ipv6", &format!("no IPv6 loopback ({why})"));
    }
    runtime().block_on(async {
        let config = |role| LinkConfig { interfaces: Interfaces::Only(vec![ipv6]), ..LinkConfig::new(role) };
        let (mut offerer, mut answerer) =
            (End::open(config(Role::Offerer)).await, End::open(config(Role::Answerer)).await);
        connect(&mut offerer, &mut answerer).await;
        let path = offerer.link.stats().await.unwrap().path.unwrap();
        assert!(path.remote_address.reveal().is_ipv6());
        assert!(offerer.link.send(packet(3, PayloadKind::Opus)));
        assert_eq!(answerer.next_audio().await.payload.len(), 80);
    });
}

#[test]
fn the_description_says_what_is_signed() {
    runtime().block_on(async {
        let (offerer, answerer) = pair().await;
        let offer = offerer.link.create_offer().await.unwrap();
        let answer = answerer.link.accept_offer(offer.sdp.clone()).await.unwrap();
        for description in [&offer, &answer] {
            assert_eq!(fingerprint_of(&description.sdp), Ok(description.fingerprint));
            assert_eq!(ufrag_of(&description.sdp).as_ref(), Ok(&description.ufrag));
            for line in ["a=rtpmap:111 opus/48000/2", "a=rtpmap:63 red/48000/2", "minptime=10;useinbandfec=1;usedtx=1"]
            {
                assert!(description.sdp.contains(line), "{}", description.sdp);
            }
        }
        assert!(offer.sdp.contains("a=setup:actpass") && answer.sdp.contains("a=setup:active"));
    });
}

#[test]
fn a_swapped_certificate_is_noticed() {
    runtime().block_on(async {
        let (mut offerer, mut answerer) = pair().await;
        let offer = offerer.link.create_offer().await.unwrap();
        // Somebody in between puts another fingerprint into the answer.
        let answer = answerer.link.accept_offer(offer.sdp).await.unwrap();
        let ours: Vec<_> = answer.fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
        let mut theirs = ours.clone();
        theirs[0] = if ours[0] == "00" { "01".into() } else { "00".into() };
        let swap = |sdp: &str, from: &[String], to: &[String]| {
            let (from, to) = (from.join(":"), to.join(":"));
            sdp.replace(&from, &to).replace(&from.to_lowercase(), &to.to_lowercase())
        };
        let forged = swap(&answer.sdp, &ours, &theirs);
        assert_ne!(fingerprint_of(&forged), Ok(answer.fingerprint));
        offerer.link.accept_answer(forged).await.unwrap();
        let began = Instant::now();
        for end in [&mut offerer, &mut answerer] {
            let end = end.wait_for(|event| matches!(event, LinkEvent::Failed(_) | LinkEvent::Connected(_))).await;
            assert_eq!(end, Some(LinkEvent::Failed(twocans::link::FailReason::Certificate)));
        }
        assert!(began.elapsed() < Duration::from_secs(2));
    });
}

#[test]
fn hostile_datagrams_neither_stop_nor_stall_a_link() {
    runtime().block_on(async {
        let (mut offerer, mut answerer) = pair().await;
        let mut ports = Vec::new();
        let attacker = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let flood = |ports: Vec<SocketAddr>, attacker: Arc<UdpSocket>| async move {
            for round in 0..200u32 {
                for to in &ports {
                    for datagram in hostile(round) {
                        let _ = attacker.send_to(&datagram, to).await;
                    }
                }
                tokio::task::yield_now().await;
            }
        };
        connect_via(&mut offerer, &mut answerer, |_, text| {
            let found: Vec<SocketAddr> = ports_in(&text);
            for to in &found {
                for datagram in hostile(7) {
                    let _ = attacker.try_send_to(&datagram, *to);
                }
            }
            ports.extend(found);
            text
        })
        .await;
        tokio::spawn(flood(ports, attacker));
        for number in 0..100u16 {
            assert!(offerer.link.send(packet(number, PayloadKind::Opus)));
            let began = Instant::now();
            let got = answerer.next_audio().await;
            assert_eq!(got.seq.0, number);
            assert!(began.elapsed() < Duration::from_millis(500), "stalled for {:?}", began.elapsed());
        }
        let stats = answerer.link.stats().await.unwrap();
        println!("{} hostile datagrams refused", stats.datagrams_refused);
        assert!(stats.datagrams_refused > 100);
        assert!(!answerer.seen.iter().any(|event| matches!(event, LinkEvent::Disconnected | LinkEvent::Failed(_))));
    });
}

/// Garbage, and every protocol of the socket cut short or lying about its length.
fn hostile(round: u32) -> Vec<Vec<u8>> {
    let noise: Vec<u8> = (0..700u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(round) >> 13) as u8).collect();
    let mut stun = vec![0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
    stun.extend(&noise[..12]);
    stun.extend([0x80, 0x29, 0, 4, 1, 2, 3, 4]);
    let mut lying_stun = stun.clone();
    lying_stun[2..4].copy_from_slice(&[0xff, 0xfc]);
    let mut role_grab = vec![0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42];
    role_grab.extend(&noise[..12]);
    role_grab.extend([0x80, 0x2a, 0, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    let fatal_alert = vec![21, 254, 253, 0, 0, 0, 0, 0, 0, 0, round as u8, 0, 2, 2, 40];
    let client_hello = [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, round as u8, 2, 0, 1][..], &noise[..511]].concat();
    let rtp = [&[0x80, 111, 0, round as u8][..], &noise[..200]].concat();
    let rtcp = [&[0x81, 201, 0, 7][..], &noise[..28]].concat();
    let channel_data = [&[0x40, 0, 0xff, 0xff][..], &noise[..20]].concat();
    let mut all = vec![
        vec![],
        noise[..(round as usize % 700)].to_vec(),
        stun.clone(),
        lying_stun,
        role_grab,
        fatal_alert,
        client_hello.clone(),
        rtp.clone(),
        rtcp.clone(),
        channel_data,
    ];
    for whole in [stun, client_hello, rtp, rtcp] {
        all.push(whole[..round as usize % whole.len()].to_vec());
    }
    all
}

fn ports_in(text: &str) -> Vec<SocketAddr> {
    let candidates = text.lines().filter(|line| line.contains(" typ host"));
    let address = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        format!("{}:{}", words[4], words[5]).parse().ok()
    };
    candidates.filter_map(address).collect()
}

#[test]
fn sixty_links_connect_through_ten_percent_loss() {
    let mut took = Vec::new();
    runtime().block_on(async {
        for batch in 0..4u64 {
            let links = (0..15).map(|index| async move {
                let (mut offerer, mut answerer) = pair().await;
                let path = LossyPath::new(batch * 15 + index).await;
                let took = connect_via(&mut offerer, &mut answerer, |side, text| path.translate(side, text)).await;
                offerer.link.close().await;
                answerer.link.close().await;
                took
            });
            took.extend(futures::future::join_all(links).await);
        }
    });
    took.sort();
    println!("60 links, 10 % loss each way, 40 ms RTT: p50 {:?}, p90 {:?}, max {:?}", took[30], took[54], took[59]);
    assert_eq!(took.len(), 60);
    assert!(took[54] < Duration::from_secs(3), "{took:?}");
}

/// Two proxy sockets between two links: what side 0 sends arrives at side 1 from a socket that stands for side 0, 20 ms
/// later, or in 10 % of the cases never.
struct LossyPath {
    /// Port that stands for each side.
    ports: [u16; 2],
    /// Port that each side really has.
    real: Arc<[std::sync::atomic::AtomicU16; 2]>,
}

impl LossyPath {
    async fn new(seed: u64) -> Self {
        let mut sockets = Vec::new();
        for _ in 0..2 {
            sockets.push(Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap()));
        }
        let ports = [0, 1].map(|side: usize| sockets[side].local_addr().unwrap().port());
        let real: Arc<[std::sync::atomic::AtomicU16; 2]> = Arc::default();
        for side in 0..2 {
            let (stands_for, other) = (sockets[side].clone(), sockets[1 - side].clone());
            let real = real.clone();
            let mut random = seed.wrapping_mul(2).wrapping_add(side as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            tokio::spawn(async move {
                let mut buffer = [0; 2048];
                while let Ok((len, _)) = stands_for.recv_from(&mut buffer).await {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    if random % 100 < 10 {
                        continue;
                    }
                    let port = real[side].load(std::sync::atomic::Ordering::Relaxed);
                    let (datagram, other) = (buffer[..len].to_vec(), other.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        let _ = other.send_to(&datagram, ("127.0.0.1", port)).await;
                    });
                }
            });
        }
        Self { ports, real }
    }

    /// Puts the port that stands for a side in the place of its own.
    fn translate(&self, side: usize, text: String) -> String {
        let mut lines = Vec::new();
        for line in text.lines() {
            match ports_in(line).first() {
                Some(address) => {
                    self.real[side].store(address.port(), std::sync::atomic::Ordering::Relaxed);
                    let stands_in = self.ports[side];
                    lines.push(line.replace(&format!(" {} typ", address.port()), &format!(" {stands_in} typ")));
                }
                None => lines.push(line.to_owned()),
            }
        }
        lines.join("\r\n")
    }
}
