//! Finding and ringing each other, and what happens when somebody goes away.

use std::time::Instant;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_looked_up_rung_through_the_pipe_and_answered() {
    let super_peer = Node::super_peer(&[]).await;
    let mut callee = Node::person(1, &[&super_peer]).await;
    assert_eq!(callee.published(1).await, (vec![super_peer.rendezvous.node().clone()], 1));
    let callee = callee.answer();

    let caller = Node::person(2, &[&super_peer]).await;
    let report = caller.rendezvous.lookup(person(1)).await;
    assert!(report.found && report.seq.is_some() && report.requests >= 1, "{report:?}");

    let started = Instant::now();
    let mut reached = ring(&caller, person(1)).await.unwrap();
    let took = started.elapsed();
    assert_eq!(reached.via, Via::Pipe(super_peer.rendezvous.node().clone()));
    let answer = reached.stream.recv().await.unwrap();
    assert_eq!(answer, format!("RING flight {}", reached.flight).into_bytes());
    let longest = vec![7; SignalStream::MAX_FRAME_BYTES];
    reached.stream.send(&longest).await.unwrap();
    assert_eq!(reached.stream.recv().await.unwrap(), longest);
    assert_eq!(reached.stream.send(&[]).await, Err(StreamError::TooLong));
    assert_eq!(reached.stream.send(&[0; SignalStream::MAX_FRAME_BYTES + 1]).await, Err(StreamError::TooLong));
    println!("lookup {:?}, ring (lookup included) {took:?}", report.took);
    assert!(took < Duration::from_millis(500), "{took:?}");
    reached.stream.close().await.unwrap();
    callee.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_found_who_is_not_there() {
    let super_peer = Node::super_peer(&[]).await;
    let caller = Node::person(2, &[&super_peer]).await;
    let report = caller.rendezvous.lookup(person(9)).await;
    assert_eq!((report.found, report.seq), (false, None));
    assert_eq!(ring(&caller, person(9)).await.unwrap_err(), [RingFailure::NotFound]);

    let alone = Node::person(3, &[]).await;
    assert_eq!(ring(&alone, person(9)).await.unwrap_err(), [RingFailure::Unreachable]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_left_is_not_found() {
    let super_peer = Node::super_peer(&[]).await;
    let mut callee = Node::person(1, &[&super_peer]).await;
    callee.published(1).await;
    let caller = Node::person(2, &[&super_peer]).await;
    let before = caller.rendezvous.lookup(person(1)).await;
    assert!(before.found);
    callee.rendezvous.shutdown().await;
    let after = caller.rendezvous.lookup(person(1)).await;
    assert!(!after.found && after.seq > before.seq, "{after:?}");
    assert_eq!(ring(&caller, person(1)).await.unwrap_err(), [RingFailure::NotFound]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_vanished_is_not_here() {
    let super_peer = Node::super_peer(&[]).await;
    let mut callee = Node::person(1, &[&super_peer]).await;
    callee.published(1).await;
    let caller = Node::person(2, &[&super_peer]).await;
    // A crash: no withdrawal, but the socket is closed.
    callee.rendezvous.crash().await;
    let failures = ring(&caller, person(1)).await.unwrap_err();
    assert!(failures.contains(&RingFailure::NotHere), "{failures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_super_peer_is_replaced_and_the_record_published_anew() {
    let first = Node::super_peer(&[]).await;
    let second = Node::super_peer(&[&first]).await;
    let third = Node::super_peer(&[&first, &second]).await;
    let fourth = Node::super_peer(&[&first, &second, &third]).await;
    let mut callee = Node::person(1, &[&first, &second, &third, &fourth]).await;
    let (held, _) = callee.published(3).await;
    let mut nodes = vec![first, second, third, fourth];
    let dies = nodes.iter().position(|node| held.contains(node.rendezvous.node())).unwrap();
    let dead = nodes.remove(dies);
    let dead_id = dead.rendezvous.node().clone();
    dead.rendezvous.shutdown().await;
    callee
        .wait(|event| match event {
            RendezvousEvent::PresencePublished { relays, .. } => {
                (relays.len() == 3 && !relays.contains(&dead_id)).then_some(())
            }
            _ => None,
        })
        .await;
    let _callee = callee.answer();
    let caller = Node::person(2, &[&nodes[0]]).await;
    assert!(ring(&caller, person(1)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_serves_where_the_super_peer_has_no_pipe() {
    let limits = Limits { pipes: 0, ..Limits::default() };
    let super_peer = Node::start(RendezvousConfig { server: true, limits, ..isolated(&[]) }).await;
    let mut callee = Node::person(1, &[&super_peer]).await;
    callee.published(1).await;
    let _callee = callee.answer();
    let caller = Node::person(2, &[&super_peer]).await;
    let mut reached = ring(&caller, person(1)).await.unwrap();
    assert_eq!(reached.via, Via::Circuit(super_peer.rendezvous.node().clone()));
    assert!(reached.stream.recv().await.unwrap().starts_with(b"RING flight"));
    // Now that it has introduced itself, the circuit is taken without trying the pipe.
    let reached = ring(&caller, person(1)).await.unwrap();
    assert!(matches!(reached.via, Via::Circuit(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_super_peers_own_person_is_rung_directly() {
    let config = RendezvousConfig { person: Some(key(1)), server: true, ..isolated(&[]) };
    let mut callee = Node::start(config).await;
    assert!(callee.published(0).await.1 >= 1, "its record lies on itself at least");
    let addresses = callee.addresses();
    let _callee = callee.answer();
    let caller = Node::start(RendezvousConfig { person: Some(key(2)), bootstrap: addresses, ..isolated(&[]) }).await;
    let reached = ring(&caller, person(1)).await.unwrap();
    assert_eq!(reached.via, Via::Direct);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hint_in_the_link_brings_a_newcomer_in() {
    let super_peer = Node::super_peer(&[]).await;
    let mut callee = Node::person(1, &[&super_peer]).await;
    callee.published(1).await;
    let _callee = callee.answer();
    let newcomer = Node::person(2, &[]).await;
    let hints = [super_peer.addresses(), vec!["/ip4/8.8.8.8/tcp/1".into(), "nonsense".into()]].concat();
    let mut attempts = newcomer.rendezvous.ring(person(1), &hints, flights(4));
    let reached = timeout(PATIENCE, attempts.recv()).await.unwrap().unwrap();
    assert!(reached.is_ok(), "{reached:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_peer_cache_alone_brings_a_node_back() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Some(folder.path().join("peers"));
    let super_peer = Node::super_peer(&[]).await;
    let mut callee = Node::person(1, &[&super_peer]).await;
    callee.published(1).await;
    let first = Node::start(RendezvousConfig { peer_cache: cache.clone(), ..isolated(&[&super_peer]) }).await;
    assert!(first.rendezvous.lookup(person(1)).await.found);
    first.rendezvous.shutdown().await;
    let second = Node::start(RendezvousConfig { peer_cache: cache, ..isolated(&[]) }).await;
    assert!(second.rendezvous.lookup(person(1)).await.found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_client_hardly_says_anything() {
    let super_peer = Node::super_peer(&[]).await;
    let mut callee = Node::person(1, &[&super_peer]).await;
    callee.published(1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = callee.rendezvous.totals().await.unwrap();
    assert_eq!((before.relays, before.connections), (1, 1));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let after = callee.rendezvous.totals().await.unwrap();
    let bytes = (after.tx_bytes + after.rx_bytes) - (before.tx_bytes + before.rx_bytes);
    println!("{bytes} stream bytes in 10 s");
    assert!(bytes < 200, "{bytes} bytes in 10 s of silence");
    assert_eq!(after.connections, 1);
    let served = super_peer.rendezvous.totals().await.unwrap();
    // Near midnight (UTC) a person's record lies under two keys.
    let unix_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let keys = search::periods(unix_s).len() as u32;
    assert_eq!((served.reservations, served.records, served.pipes), (1, keys, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_begins_with_what_was_found_last() {
    let super_peer = Node::super_peer(&[]).await;
    let mut callee = Node::person(1, &[&super_peer]).await;
    callee.published(1).await;
    let caller = Node::person(2, &[&super_peer]).await;
    assert!(caller.rendezvous.first_found_after(person(1), true).await >= Some(1), "nothing is known yet");
    assert_eq!(caller.rendezvous.first_found_after(person(1), true).await, Some(0));
    assert!(caller.rendezvous.first_found_after(person(1), false).await >= Some(1), "a lookup asks the network");
    callee.rendezvous.shutdown().await;
    // What is known is out of date, and the network says so.
    assert_eq!(ring(&caller, person(1)).await.unwrap_err(), [RingFailure::NotHere]);
    assert_eq!(ring(&caller, person(1)).await.unwrap_err(), [RingFailure::NotFound]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_super_peers_of_whose_contact_is_on_screen_stay_connected() {
    let first = Node::super_peer(&[]).await;
    let second = Node::super_peer(&[&first]).await;
    let mut callee = Node::person(1, &[&first, &second]).await;
    callee.published(2).await;
    // One that is not rung itself has no connections of its own.
    let caller = Node::start(isolated(&[&first])).await;
    let connections = async || caller.rendezvous.totals().await.unwrap().connections;
    let on_screen = caller.rendezvous.prepare(person(1));
    // Unused connections are closed after fifteen seconds.
    tokio::time::sleep(Duration::from_secs(18)).await;
    assert_eq!(connections().await, 2);
    drop(on_screen);
    let closed = async {
        while connections().await > 0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE * 2, closed).await.expect("nobody needs them any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn super_peers_without_visitors_have_no_connections() {
    let first = Node::super_peer(&[]).await;
    let second = Node::super_peer(&[&first]).await;
    let connections = async |node: &Node| node.rendezvous.totals().await.unwrap().connections;
    let met = async {
        while connections(&second).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, met).await.expect("one enters through the other");
    let parted = async {
        while connections(&first).await + connections(&second).await > 0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE * 4, parted).await.expect("they know each other and want nothing");
    let dialled = second.rendezvous.totals().await.unwrap().dialled;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = second.rendezvous.totals().await.unwrap();
    assert_eq!((after.connections, after.dialled), (0, dialled), "they do not enter again and again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_settings_are_told_in_one_sentence() {
    let tell = async |config: RendezvousConfig| match Rendezvous::start(config).await {
        Ok(_) => panic!("started"),
        Err(error) => error.to_string(),
    };
    let listen = |text: &str| RendezvousConfig { listen: vec![text.into()], ..isolated(&[]) };
    assert!(tell(listen("nonsense")).await.contains("cannot listen on \"nonsense\""));
    assert!(tell(listen("/ip4/0.0.0.0/tcp/0")).await.contains("not on loopback"));
    let bootstrap = RendezvousConfig { bootstrap: vec!["/ip4/127.0.0.1/tcp/1".into()], ..isolated(&[]) };
    assert!(tell(bootstrap).await.contains("is no node address"));
    let range = RendezvousConfig { treat_as_public: vec!["10.0.0.0".into()], ..isolated(&[]) };
    assert!(tell(range).await.contains("is no address range"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    assert!(tell(listen(&format!("/ip4/127.0.0.1/tcp/{port}"))).await.contains("cannot open a socket"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn super_peers_let_clients_use_their_relays() {
    let willing = Node::super_peer(&[]).await;
    let deceitful = Node::super_peer(&[&willing]).await;
    let unwilling = Node::super_peer(&[&willing]).await;
    let caller = Node::person(2, &[&willing, &deceitful, &unwilling]).await;
    let offer = |servers: &[&str]| RelayOffer {
        username: "600:somebody".into(),
        password: "secret".into(),
        lifetime: Duration::from_secs(600),
        servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
        stun: servers.iter().map(|server| server.parse().unwrap()).collect(),
    };
    let good = offer(&["127.0.0.1:4002"]);
    let (expected, asker) = (good.clone(), caller.rendezvous.node().clone());
    let relay = willing.rendezvous.node().clone();
    let _answering = [
        answer_relay(willing, asker.clone(), Ok(good)),
        // Isolated, so nothing but loopback is reached; outside it would be the LAN.
        answer_relay(deceitful, asker.clone(), Ok(offer(&["192.168.1.1:53", "8.8.8.8:53", "127.0.0.1:0"]))),
        answer_relay(unwilling, asker, Err("full".into())),
    ];
    let mut grants = caller.rendezvous.relay_grants(3);
    let first = timeout(PATIENCE, grants.recv()).await.expect("a grant").expect("one is willing");
    assert_eq!(first, RelayGrant { relay, offer: expected, tcp: None });
    assert!(timeout(Duration::from_secs(1), grants.recv()).await.is_err(), "the others grant nothing usable");
}

/// Gives everybody who asks the same answer; they must be `asker`.
fn answer_relay(node: Node, asker: NodeId, answer: RelayAnswer) -> JoinHandle<()> {
    let Node { rendezvous, mut events } = node;
    tokio::spawn(async move {
        let _held = rendezvous;
        while let Some(event) = events.recv().await {
            if let RendezvousEvent::RelayAsked { from, address, reply } = event {
                assert_eq!((from, address), (asker.clone(), Some("127.0.0.1".parse().unwrap())));
                reply.send(answer.clone());
            }
        }
    })
}
