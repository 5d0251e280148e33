//! What strangers can send to a node, and that it stays what it was.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use futures::{AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::kad::{self, Quorum};
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::address::{AddressRules, endpoint, parse_node};
use super::super::autonat::{Answer, MAX_ANSWER, Question};
use super::super::limits::Limits;
use super::super::record::{NONCE, Presence, record_key, seal};
use super::super::{Rendezvous, RendezvousConfig};
use super::autonat::read_message;
use super::behaviour::{self, Behaviour, BehaviourEvent, CALL, DIAL_BACK, DIAL_REQUEST, PIPE, PIPE_IN, RESERVED};
use super::ring::unix_s;
use super::stream::{framed, read_frame};
use super::transport::Traffic;
use crate::identity::{BlindedKey, Period, PersonKey};

/// A node that does whatever a test wants.
struct Stranger {
    swarm: Swarm<Behaviour>,
    victim: PeerId,
}

impl Stranger {
    async fn connect(victim: &Rendezvous) -> Self {
        let config = RendezvousConfig { isolated: true, ..RendezvousConfig::default() };
        let rules = Arc::new(RwLock::new(AddressRules::new(true, vec![])));
        let key = Keypair::generate_ed25519();
        let mut swarm = behaviour::swarm(&key, &config, rules, Arc::new(Traffic::default()), None).unwrap();
        let addresses: Vec<(PeerId, Multiaddr)> =
            victim.listen_addrs().iter().map(|address| parse_node(address).unwrap()).collect();
        let victim = addresses[0].0;
        for (peer, address) in addresses {
            swarm.behaviour_mut().kad.add_address(&peer, address);
        }
        swarm.dial(victim).unwrap();
        while !swarm.is_connected(&victim) {
            swarm.select_next_some().await;
        }
        Self { swarm, victim }
    }

    async fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        let expires = Some(Instant::now() + Duration::from_secs(1_000_000));
        let record = kad::Record { key: key.into(), value, publisher: None, expires };
        let kad = &mut self.swarm.behaviour_mut().kad;
        let query = kad.put_record_to(record, std::iter::once(self.victim), Quorum::N(NonZeroUsize::MIN));
        loop {
            let event = self.swarm.select_next_some().await;
            if let SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed { id, .. })) = event
                && id == query
            {
                return;
            }
        }
    }

    /// Wants to be dialled.
    async fn ask_for_dial(&mut self, addresses: Vec<Multiaddr>) -> Option<Answer> {
        let question = Question { addresses, nonce: 7 }.encode();
        let answer = self.exchange(DIAL_REQUEST, &question, async |stream| read_message(stream, MAX_ANSWER).await.ok());
        Answer::decode(&answer.await?)
    }

    /// Opens a stream, sends `bytes`, and returns the first frame of the answer.
    async fn say(&mut self, protocol: StreamProtocol, bytes: &[u8]) -> Option<Vec<u8>> {
        self.exchange(protocol, bytes, async |stream| read_frame(stream, 16 * 1024).await.ok()).await
    }

    async fn exchange(
        &mut self,
        protocol: StreamProtocol,
        bytes: &[u8],
        read: impl AsyncFnOnce(&mut Stream) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let (opened, stream) = oneshot::channel();
        self.swarm.behaviour_mut().streams.open(self.victim, None, protocol, opened);
        let talk = async {
            let mut stream = stream.await.ok()?;
            stream.write_all(bytes).await.ok()?;
            stream.flush().await.ok()?;
            read(&mut stream).await
        };
        let drive = async {
            loop {
                self.swarm.select_next_some().await;
            }
        };
        tokio::select! {
            answer = timeout(Duration::from_secs(10), talk) => answer.ok().flatten(),
            () = drive => None,
        }
    }
}

fn isolated() -> RendezvousConfig {
    RendezvousConfig { isolated: true, ..RendezvousConfig::default() }
}

fn record(seed: u8, seq: u64) -> (Vec<u8>, Vec<u8>) {
    let me = PersonKey::from_seed(&[seed; 32]);
    let period = Period::of(unix_s());
    let presence = Presence {
        expires_unix_s: unix_s() + 3600,
        node: PeerId::random(),
        relays: vec![],
        addresses: vec![],
        withdrawn: false,
    };
    let key = record_key(&BlindedKey::derive(&me, period).public());
    (key, seal(&me, period, seq, &presence, [seed; NONCE]).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storing_node_takes_only_what_is_valid_fresh_and_newer() {
    let (node, _events) = Rendezvous::start(RendezvousConfig { server: true, ..isolated() }).await.unwrap();
    let mut stranger = Stranger::connect(&node).await;
    let bootstrap = node.listen_addrs();
    let (reader, _) = Rendezvous::start(RendezvousConfig { bootstrap, ..isolated() }).await.unwrap();
    let seq = async |seed: u8| reader.lookup(PersonKey::from_seed(&[seed; 32]).person()).await.seq;
    let now_ms = unix_s() * 1000;
    let hour_ms = 3_600_000;

    let (key, value) = record(1, now_ms);
    stranger.put(key.clone(), value.clone()).await;
    assert_eq!(seq(1).await, Some(now_ms));
    stranger.put(key.clone(), record(1, now_ms - 1).1).await;
    assert_eq!(seq(1).await, Some(now_ms), "an older one does not replace it");
    stranger.put(key.clone(), record(1, now_ms + 1).1).await;
    assert_eq!(seq(1).await, Some(now_ms + 1), "a newer one does");

    let (key, value) = record(2, now_ms - 5 * hour_ms);
    stranger.put(key.clone(), value).await;
    assert_eq!(seq(2).await, None, "a replay of what was made hours ago");
    stranger.put(key.clone(), record(2, now_ms + 5 * hour_ms).1).await;
    assert_eq!(seq(2).await, None, "made in the future");
    let mut forged = record(2, now_ms).1;
    forged[60] ^= 1;
    stranger.put(key.clone(), forged).await;
    assert_eq!(seq(2).await, None, "a wrong signature");
    stranger.put(key.clone(), [record(2, now_ms).1, vec![0; 1200]].concat()).await;
    assert_eq!(seq(2).await, None, "too long");
    stranger.put(key.clone(), record(3, now_ms).1).await;
    assert_eq!(seq(2).await, None, "somebody else's record under this key");
    stranger.put(b"/tc1/anything".to_vec(), b"anything".to_vec()).await;
    assert_eq!(node.totals().await.unwrap().records, 1);

    let burst = Limits::default().record_rate_per_node.burst;
    for step in 2..u64::from(burst) + 10 {
        let (key, value) = record(4, now_ms + step);
        stranger.put(key, value).await;
    }
    let last = seq(4).await.unwrap() - now_ms;
    assert!(last < u64::from(burst), "a source that sends too many is cut off, at {last}");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_survived() {
    let (node, _events) = Rendezvous::start(RendezvousConfig { server: true, ..isolated() }).await.unwrap();
    for address in node.listen_addrs() {
        let endpoint = endpoint(&address.parse().unwrap()).unwrap();
        let target = SocketAddr::new(endpoint.ip, endpoint.port);
        for size in [1, 20, 1200] {
            let garbage: Vec<u8> = (0..size).map(|i| (i * 7 + size) as u8).collect();
            if endpoint.quic {
                UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&garbage, target).unwrap();
            } else {
                TcpStream::connect(target).unwrap().write_all(&garbage).unwrap();
            }
        }
    }
    let mut stranger = Stranger::connect(&node).await;
    let nobody = PeerId::random().to_bytes();
    let mut header = framed(&nobody).unwrap();
    assert_eq!(stranger.say(PIPE, &header).await, Some(vec![]), "not here");
    assert_eq!(stranger.say(RESERVED, &header).await, Some(vec![0]));
    header.extend(framed(b"a first flight").unwrap());
    assert_eq!(stranger.say(PIPE, &header).await, Some(vec![]), "not here either");
    assert_eq!(stranger.say(PIPE, &[0xff; 100]).await, None, "a header that is none");
    assert_eq!(stranger.say(PIPE, &framed(b"no peer id").unwrap()).await, None);
    assert_eq!(stranger.say(RESERVED, &[0, 1, 7]).await, None);
    assert_eq!(stranger.say(PIPE_IN, &framed(b"hello").unwrap()).await, None, "a bare node takes no calls");
    assert_eq!(stranger.say(CALL, &framed(b"hello").unwrap()).await, None);
    assert_eq!(stranger.say(RESERVED, &framed(&nobody).unwrap()).await, Some(vec![0]), "and it still answers");
    let totals = node.totals().await.unwrap();
    assert_eq!((totals.pipes, totals.reservations), (0, 0));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_cannot_pipe_to_a_client_that_did_not_reserve_with_it() {
    let person = Some(PersonKey::from_seed(&[1; 32]));
    let (node, mut events) = Rendezvous::start(RendezvousConfig { person, ..isolated() }).await.unwrap();
    let mut stranger = Stranger::connect(&node).await;
    assert_eq!(stranger.say(PIPE_IN, &framed(b"a first flight").unwrap()).await, None);
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, super::super::RendezvousEvent::Incoming { .. }));
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_dialled_but_who_asks_and_not_for_long_or_often() {
    let (node, _events) = Rendezvous::start(RendezvousConfig { server: true, ..isolated() }).await.unwrap();
    let mut stranger = Stranger::connect(&node).await;
    let at = |text: &str| -> Vec<Multiaddr> { vec![text.parse().unwrap()] };
    let door = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    door.set_nonblocking(true).unwrap();
    let elsewhere = format!("/ip4/127.0.0.2/tcp/{}", door.local_addr().unwrap().port());
    assert_eq!(stranger.ask_for_dial(at(&elsewhere)).await, Some(Answer::Refused), "somebody else's door");
    assert_eq!(door.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody knocked there");
    for text in ["/ip4/8.8.8.8/tcp/1", "/ip4/127.0.0.1/tcp/0", "/dns4/localhost/tcp/1"] {
        assert_eq!(stranger.ask_for_dial(at(text)).await, Some(Answer::Refused), "{text}");
    }
    assert_eq!(stranger.ask_for_dial(vec![]).await, Some(Answer::Refused));
    assert_eq!(stranger.ask_for_dial(at("/ip4/127.0.0.1/tcp/9")).await, Some(Answer::NotReached));
    assert_eq!(stranger.say(DIAL_REQUEST, &[0xff; 100]).await, None, "a question that is none");
    assert_eq!(stranger.say(DIAL_BACK, &[9, 9]).await, None, "who serves already listens for no numbers");

    // It can be dialled, does not know the protocol, and the connection is not kept.
    stranger.swarm.listen_on("/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()).unwrap();
    let own = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = stranger.swarm.select_next_some().await {
            break address;
        }
    };
    assert_eq!(stranger.ask_for_dial(vec![own.clone()]).await, Some(Answer::NotReached));
    let began = Instant::now();
    while stranger.swarm.network_info().connection_counters().num_established() > 1 {
        stranger.swarm.select_next_some().await;
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    let burst = Limits::default().dial_back_rate_per_node.burst;
    let mut answered = 0;
    for _ in 0..burst {
        answered += u32::from(stranger.ask_for_dial(at("/ip4/127.0.0.1/tcp/9")).await.is_some());
    }
    assert!(answered < burst, "a node that asks too often is cut off: {answered}");
    node.shutdown().await;
}
