//! Two hundred DHT nodes in one process: everybody is found when all are well, when 30 % have dropped out, when 30 % are
//! frozen (connections open, no reply), and when fifty liars have settled next to the very keys that are looked for.
//!
//! Every node has a thread and a runtime of its own, so freezing one means that its thread stops: the sockets stay
//! open, the kernel goes on taking packets and connections, and nothing ever answers.

mod common;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, RecordStore};
use libp2p::kad::{self, KBucketKey, Quorum};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, identify, noise, tcp, yamux};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use twocans::base::Person;
use twocans::identity::{BlindedKey, Period, PersonKey};
use twocans::rendezvous::{LookupReport, Rendezvous, RendezvousConfig, RendezvousEvent, Totals};

use common::figures::cpu_time;

const NODES: usize = 200;
const GONE: usize = NODES * 3 / 10;
const ASKERS: usize = 10;
const LOOKUPS: usize = 500;
/// A record on this many nodes is safe; Kademlia's k is 20.
const ENOUGH: u32 = 15;
/// Targets of the issue, on loopback.
const P99: Duration = Duration::from_millis(600);
const REQUESTS: f64 = 30.0;
/// A query is given up after 10 s.
const GIVEN_UP: Duration = Duration::from_secs(11);
/// A quarter of the honest nodes, half of them around each of two people.
const LIARS: usize = 50;
/// Lookups of each of these people.
const ATTACKED_LOOKUPS: usize = 100;
/// Lookups at a time: as many as the smallest machine has cores.
const AT_ONCE: usize = 2;
/// Publishing is over by then.
const SETTLED: Duration = Duration::from_secs(30);
/// What idle nodes do is watched for this long.
const IDLE: Duration = Duration::from_secs(20);

enum Order {
    LookUp(Person, Sender<LookupReport>),
    Totals(Sender<Totals>),
    /// Never do anything again, and keep every socket open.
    Freeze,
    /// Close every socket without a word.
    Drop,
}

struct Member {
    orders: mpsc::Sender<Order>,
    addresses: Vec<String>,
    published: Receiver<u32>,
    thread: JoinHandle<()>,
}

impl Member {
    /// A super-peer, with a person of its own or without, or a bare client that only looks people up.
    fn start(server: bool, person: Option<PersonKey>, bootstrap: &[String]) -> Self {
        let (orders, queue) = mpsc::channel(4);
        let (tell_addresses, addresses) = channel();
        let (tell_published, published) = channel();
        let bootstrap = bootstrap.to_vec();
        let config = RendezvousConfig { person, server, bootstrap, isolated: true, ..RendezvousConfig::default() };
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(live(config, queue, tell_addresses, tell_published));
            // Dropping the runtime drops the sockets, without a goodbye.
        });
        Self { orders, addresses: addresses.recv().unwrap(), published, thread }
    }

    fn totals(&self) -> Totals {
        let (reply, totals) = channel();
        self.orders.blocking_send(Order::Totals(reply)).ok().unwrap();
        totals.recv_timeout(Duration::from_secs(30)).expect("a node that is well answers")
    }

    /// Waits until the person's record lies on at least that many nodes.
    fn wait_published(&self, at_least: u32) -> u32 {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let acks = self.published.recv_timeout(deadline - Instant::now()).expect("the record is published");
            if acks >= at_least {
                return acks;
            }
        }
    }
}

async fn live(
    config: RendezvousConfig,
    mut orders: mpsc::Receiver<Order>,
    addresses: Sender<Vec<String>>,
    published: Sender<u32>,
) {
    let (node, mut events) = Rendezvous::start(config).await.unwrap();
    addresses.send(node.listen_addrs()).unwrap();
    loop {
        tokio::select! {
            Some(event) = events.recv() => {
                if let RendezvousEvent::PresencePublished { acks, .. } = event {
                    let _ = published.send(acks);
                }
            }
            order = orders.recv() => match order {
                Some(Order::Totals(reply)) => reply.send(node.totals().await.unwrap()).unwrap(),
                Some(Order::LookUp(person, reply)) => reply.send(node.lookup(person).await).unwrap(),
                Some(Order::Freeze) => loop { thread::park() },
                Some(Order::Drop) | None => return,
            }
        }
    }
}

fn person_key(index: usize) -> PersonKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(index as u64 + 1).to_le_bytes());
    PersonKey::from_seed(&seed)
}

/// A reproducible choice among `below`.
fn choose(step: &mut u64, below: usize) -> usize {
    *step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*step >> 33) % below as u64) as usize
}

/// Asks one member.
fn look_up(orders: &mpsc::Sender<Order>, person: Person) -> LookupReport {
    let (reply, report) = channel();
    orders.blocking_send(Order::LookUp(person, reply)).ok().unwrap();
    report.recv_timeout(Duration::from_secs(30)).expect("a lookup ends")
}

/// Lookups, [`AT_ONCE`] at a time, each asker's one after the other: whom, and what came of it.
fn look_up_all(askers: &[Member], people: &[Person], lookups: usize) -> Vec<(usize, LookupReport)> {
    let each = lookups / AT_ONCE;
    let askers: Vec<mpsc::Sender<Order>> = askers.iter().map(|asker| asker.orders.clone()).collect();
    let reports: Vec<(usize, LookupReport)> = thread::scope(|scope| {
        let ask = |askers: &[mpsc::Sender<Order>], seed: usize| {
            let mut step = seed as u64;
            let mut one = |number: usize| {
                let whom = choose(&mut step, people.len());
                (whom, look_up(&askers[number % askers.len()], people[whom]))
            };
            (0..each).map(&mut one).collect::<Vec<_>>()
        };
        let shares = askers.chunks(askers.len().div_ceil(AT_ONCE)).enumerate();
        let asking: Vec<_> = shares.map(|(seed, askers)| scope.spawn(move || ask(askers, seed))).collect();
        asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect()
    });
    assert_eq!(reports.len(), lookups);
    reports
}

/// Waits until the nodes are busy with nothing: what is looked for is the time that a lookup takes, not what this machine
/// needs for the work of two hundred.
fn settle() {
    let start = Instant::now();
    loop {
        let before = cpu_time(std::process::id());
        thread::sleep(Duration::from_secs(2));
        let share = (cpu_time(std::process::id()) - before).as_secs_f64() / 2.0;
        if share < 0.2 || start.elapsed() > SETTLED {
            println!("after {:.0} s the nodes use {:.0} % of a core", start.elapsed().as_secs_f64(), share * 100.0);
            return;
        }
    }
}

/// Prints what came of lookups, and checks it.
fn judge(what: &str, reports: &[(usize, LookupReport)]) {
    let (missed, requests, p99) = print(what, reports);
    assert_eq!(missed, 0, "{what}: everybody is found");
    assert!(p99 <= P99, "{what}: p99 {p99:?}");
    assert!(requests <= REQUESTS, "{what}: {requests} requests");
}

/// Prints what came of lookups: how many failed, requests of each, p99 of the time.
fn print(what: &str, reports: &[(usize, LookupReport)]) -> (usize, f64, Duration) {
    let missed = reports.iter().filter(|(_, report)| !report.found).count();
    let requests: u32 = reports.iter().map(|(_, report)| report.requests).sum();
    let requests = f64::from(requests) / reports.len() as f64;
    let mut took: Vec<Duration> = reports.iter().map(|(_, report)| report.took).collect();
    took.sort();
    let percentile = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!(
        "{what}: {} of {} found; first valid record p50 {:.1?}, p95 {:.1?}, p99 {:.1?}, max {:.1?}; {requests:.1} requests each, {} at most",
        reports.len() - missed,
        reports.len(),
        percentile(50),
        percentile(95),
        percentile(99),
        percentile(100),
        reports.iter().map(|(_, report)| report.requests).max().unwrap_or_default(),
    );
    let slow = reports.iter().filter(|(_, report)| report.took > P99);
    let slow: Vec<_> = slow.map(|(whom, report)| (whom, report.took, report.requests)).collect();
    if !slow.is_empty() {
        println!("{what}: slow, by person: {slow:?}");
    }
    (missed, requests, percentile(99))
}

/// What each node has done since `before`, in bytes of its streams, and what lies on it.
fn print_load(what: &str, members: &[Member], before: &[Totals], over: Duration) {
    let now: Vec<Totals> = members.iter().map(Member::totals).collect();
    let spread = |mut values: Vec<u64>| {
        values.sort_unstable();
        format!(
            "p50 {} / p95 {} / max {}",
            values[values.len() / 2],
            values[values.len() * 95 / 100],
            values[values.len() - 1]
        )
    };
    let bytes = |totals: &Totals| totals.tx_bytes + totals.rx_bytes;
    let moved = now.iter().zip(before).map(|(now, before)| bytes(now).saturating_sub(bytes(before))).collect();
    println!(
        "{what}, {:.0} s: bytes in streams of each node {}; records {}; connections {}",
        over.as_secs_f64(),
        spread(moved),
        spread(now.iter().map(|totals| totals.records.into()).collect()),
        spread(now.iter().map(|totals| totals.connections.into()).collect()),
    );
}

/// As a super-peer does, with room for the sockets of all.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = Some(maximum.map_or(16_384, |most| most.min(16_384)));
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("below the maximum is allowed");
}

/// The key of a person's record today, as the DHT sees it.
fn record_key(of: &PersonKey) -> Vec<u8> {
    let today = Period::of(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
    let blinded = BlindedKey::derive(of, today).public();
    [b"/tc1/".as_slice(), Sha256::digest(blinded.as_bytes()).as_slice()].concat()
}

/// Node keys that lie closer to this key than any that came about by chance.
fn keys_next_to(key: &[u8], count: usize) -> Vec<Keypair> {
    let target = KBucketKey::new(key.to_vec());
    let mut keys: Vec<_> = (0..8000)
        .map(|_| {
            let keypair = Keypair::generate_ed25519();
            let distance = KBucketKey::from(keypair.public().to_peer_id()).distance(&target);
            (distance, keypair)
        })
        .collect();
    keys.sort_by_key(|(distance, _)| *distance);
    keys.into_iter().take(count).map(|(_, keypair)| keypair).collect()
}

#[derive(NetworkBehaviour)]
struct Liar {
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

/// A node next to a key that answers everybody: says that it stores and does not, gives out a record that is none, knows
/// nobody but its like, and floods the others with more of the same. Runs until the process ends.
fn start_liar(keypair: Keypair, target: Vec<u8>, friends: Vec<PeerId>, victims: Vec<Multiaddr>) {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(lie(keypair, target, friends, victims));
    });
}

async fn lie(keypair: Keypair, target: Vec<u8>, friends: Vec<PeerId>, victims: Vec<Multiaddr>) {
    let mut swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_quic()
        .with_behaviour(|key| {
            let me = key.public().to_peer_id();
            let protocol = StreamProtocol::new("/twocans/kad/1");
            let mut config = kad::Config::new(protocol);
            // It takes every record and keeps none.
            config.set_record_filtering(kad::StoreInserts::FilterBoth).set_kbucket_inserts(kad::BucketInserts::Manual);
            let mut kad = kad::Behaviour::with_config(me, MemoryStore::new(me), config);
            kad.set_mode(Some(kad::Mode::Server));
            let value = (0..400u32).map(|at| (at * 31) as u8).collect();
            let bad = kad::Record { key: target.clone().into(), value, publisher: None, expires: None };
            kad.store_mut().put(bad).unwrap();
            Liar { kad, identify: identify::Behaviour::new(identify::Config::new("/twocans/1".into(), key.public())) }
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .build();
    swarm.listen_on("/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()).unwrap();
    for friend in friends {
        // Where it is does not matter: whoever believes it loses time.
        swarm.behaviour_mut().kad.add_address(&friend, "/ip4/127.0.0.1/udp/9/quic-v1".parse().unwrap());
    }
    for victim in victims {
        let _ = swarm.dial(victim);
    }
    let mut flood = tokio::time::interval(Duration::from_millis(500));
    let mut round = 0u64;
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                if let SwarmEvent::NewListenAddr { address, .. } = event {
                    swarm.add_external_address(address);
                }
            }
            _ = flood.tick() => {
                let connected: Vec<PeerId> = swarm.connected_peers().copied().collect();
                if connected.is_empty() {
                    continue;
                }
                round += 1;
                let victim = connected[choose(&mut round.clone(), connected.len())];
                let key = [target.as_slice(), &round.to_be_bytes()].concat();
                let record = kad::Record { key: key.into(), value: vec![0; 1100], publisher: None, expires: None };
                let kad = &mut swarm.behaviour_mut().kad;
                kad.put_record_to(record, std::iter::once(victim), Quorum::One);
            }
        }
    }
}

#[test]
fn everybody_is_found_with_nodes_gone_frozen_or_lying() {
    raise_file_limit();
    let started = Instant::now();
    let mut members: Vec<Member> = Vec::new();
    let mut people = Vec::new();
    let join = |members: &mut Vec<Member>, people: &mut Vec<Person>| {
        let bootstrap: Vec<String> = members.iter().take(3).flat_map(|member| member.addresses.clone()).collect();
        let key = person_key(people.len());
        people.push(key.person());
        members.push(Member::start(true, Some(key), &bootstrap));
    };
    // A record lies where it was put until it is published again, 25 minutes later: on a network that grows tenfold in
    // that time it would be lost. This one doubles.
    for _ in 0..NODES / 2 {
        let bootstrap: Vec<String> = members.iter().take(3).flat_map(|member| member.addresses.clone()).collect();
        members.push(Member::start(true, None, &bootstrap));
    }
    for _ in 0..NODES / 2 {
        join(&mut members, &mut people);
    }
    let acks: Vec<u32> = members[NODES / 2..].iter().map(|member| member.wait_published(ENOUGH)).collect();
    println!("{NODES} nodes after {:.1?}; records on at least {} nodes", started.elapsed(), acks.iter().min().unwrap());
    let bootstrap: Vec<String> = members.iter().take(3).flat_map(|member| member.addresses.clone()).collect();
    let askers: Vec<Member> = (0..ASKERS).map(|_| Member::start(false, None, &bootstrap)).collect();

    settle();
    let totals = |members: &[Member]| members.iter().map(Member::totals).collect::<Vec<_>>();
    let (before, start) = (totals(&members), Instant::now());
    judge("all well", &look_up_all(&askers, &people, LOOKUPS));
    print_load("under these lookups", &members, &before, start.elapsed());
    // Connections that nobody needs are closed after 15 s.
    thread::sleep(IDLE);
    let (before, start) = (totals(&members), Instant::now());
    thread::sleep(IDLE);
    print_load("idle", &members, &before, start.elapsed());

    for _ in 0..GONE {
        // Not the three that newcomers begin with.
        let member = members.remove(members.len() / 2);
        member.orders.blocking_send(Order::Drop).ok().unwrap();
        member.thread.join().unwrap();
    }
    settle();
    judge("30 % dropped", &look_up_all(&askers, &people, LOOKUPS));

    let survivors = members.len();
    for _ in 0..GONE {
        join(&mut members, &mut people);
    }
    for member in &members[survivors..] {
        member.wait_published(ENOUGH);
    }
    let mut frozen = Vec::new();
    for index in 0..GONE {
        let member = members.remove(3 + (index * 7) % (members.len() - 3));
        member.orders.blocking_send(Order::Freeze).ok().unwrap();
        frozen.push(member);
    }
    settle();
    judge("30 % frozen", &look_up_all(&askers, &people, LOOKUPS));

    // One has published before the liars came, one does afterwards.
    let (early, late) = (person_key(0), person_key(NODES * 10));
    let victims: Vec<Multiaddr> = members.iter().map(|member| member.addresses[0].parse().unwrap()).collect();
    for attacked in [&early, &late] {
        let target = record_key(attacked);
        let keys = keys_next_to(&target, LIARS / 2);
        let friends: Vec<PeerId> = keys.iter().map(|key| key.public().to_peer_id()).collect();
        for key in keys {
            start_liar(key, target.clone(), friends.clone(), victims.clone());
        }
    }
    thread::sleep(Duration::from_secs(10));
    let bootstrap: Vec<String> = members.iter().take(3).flat_map(|member| member.addresses.clone()).collect();
    let newcomer = Member::start(true, Some(late.clone()), &bootstrap);
    println!(
        "{LIARS} liars came; the record of a newcomer whom they attack lies on {} nodes",
        newcomer.wait_published(1)
    );
    settle();
    let askers: Vec<Member> = (0..ASKERS).map(|_| Member::start(false, None, &bootstrap)).collect();
    judge("liars, others", &look_up_all(&askers, &people[1..], LOOKUPS));
    judge("liars, published before", &look_up_all(&askers, &[early.person()], ATTACKED_LOOKUPS));
    let (before, start) = (totals(&members), Instant::now());
    // Twenty-five liars are closer to this key than the twenty nodes on which a record is laid, and were there first: who
    // is not found then must at least be told so.
    let (_, _, p99) = print("liars, published since", &look_up_all(&askers, &[late.person()], ATTACKED_LOOKUPS));
    assert!(p99 <= GIVEN_UP, "{p99:?}");
    print_load("under these lookups and a flood", &members, &before, start.elapsed());
    println!("all in {:.1?}", started.elapsed());
}
