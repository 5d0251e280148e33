//! Fifty DHT nodes in one process: everybody is found when all are well, when 30 % have dropped out, and when 30 % are
//! frozen (connections open, no reply).
//!
//! Every node has a thread and a runtime of its own, so freezing one means that its thread stops: the sockets stay
//! open, the kernel goes on taking packets and connections, and nothing ever answers.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use twocans::base::Person;
use twocans::identity::PersonKey;
use twocans::rendezvous::{LookupReport, Rendezvous, RendezvousConfig, RendezvousEvent};

const NODES: usize = 50;
const GONE: usize = NODES * 3 / 10;
const ASKERS: usize = 10;
const LOOKUPS: usize = 500;
/// A record on this many nodes is safe; Kademlia's k is 20.
const ENOUGH: u32 = 15;
/// Target of the issue, on loopback.
const P95: Duration = Duration::from_millis(300);

enum Order {
    LookUp(Person, Sender<LookupReport>),
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
    /// A super-peer with a person of its own, or a bare client that only looks people up.
    fn start(person: Option<PersonKey>, bootstrap: &[String]) -> Self {
        let (orders, queue) = mpsc::channel(4);
        let (tell_addresses, addresses) = channel();
        let (tell_published, published) = channel();
        let server = person.is_some();
        let bootstrap = bootstrap.to_vec();
        let config = RendezvousConfig { person, server, bootstrap, isolated: true, ..RendezvousConfig::default() };
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(live(config, queue, tell_addresses, tell_published));
            // Dropping the runtime drops the sockets, without a goodbye.
        });
        Self { orders, addresses: addresses.recv().unwrap(), published, thread }
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

/// All lookups, each asker's one after the other; prints and checks what came of them.
fn look_everybody_up(what: &str, askers: &[Member], people: &[Person]) {
    let reports: Vec<(usize, LookupReport)> = thread::scope(|scope| {
        let ask = |(index, orders): (usize, mpsc::Sender<Order>)| {
            let mut step = index as u64;
            let mut one = || {
                let whom = choose(&mut step, people.len());
                (whom, look_up(&orders, people[whom]))
            };
            (0..LOOKUPS / ASKERS).map(|_| one()).collect::<Vec<_>>()
        };
        let askers = askers.iter().map(|asker| asker.orders.clone()).enumerate();
        let asking: Vec<_> = askers.map(|asker| scope.spawn(move || ask(asker))).collect();
        asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect()
    });
    assert_eq!(reports.len(), LOOKUPS);
    let missed = reports.iter().filter(|(_, report)| !report.found).count();
    let requests: u32 = reports.iter().map(|(_, report)| report.requests).sum();
    let mut took: Vec<Duration> = reports.iter().map(|(_, report)| report.took).collect();
    took.sort();
    let percentile = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!(
        "{what}: {} of {LOOKUPS} found; first valid record p50 {:.1?}, p95 {:.1?}, max {:.1?}; {:.1} requests each",
        LOOKUPS - missed,
        percentile(50),
        percentile(95),
        percentile(100),
        f64::from(requests) / LOOKUPS as f64,
    );
    let slow = reports.iter().filter(|(_, report)| report.took > P95);
    let slow: Vec<_> = slow.map(|(whom, report)| (whom, report.took, report.requests)).collect();
    if !slow.is_empty() {
        println!("{what}: slow, by person: {slow:?}");
    }
    assert_eq!(missed, 0, "{what}: everybody is found");
    assert!(percentile(95) <= P95, "{what}: p95 {:?}", percentile(95));
}

#[test]
fn everybody_is_found_with_a_third_of_the_nodes_gone_or_frozen() {
    let started = Instant::now();
    let mut members: Vec<Member> = Vec::new();
    let mut people = Vec::new();
    let join = |members: &mut Vec<Member>, people: &mut Vec<Person>| {
        let bootstrap: Vec<String> = members.iter().take(3).flat_map(|member| member.addresses.clone()).collect();
        let key = person_key(people.len());
        people.push(key.person());
        members.push(Member::start(Some(key), &bootstrap));
    };
    for _ in 0..NODES {
        join(&mut members, &mut people);
    }
    let acks: Vec<u32> = members.iter().map(|member| member.wait_published(ENOUGH)).collect();
    println!("{NODES} nodes after {:.1?}; records on at least {} nodes", started.elapsed(), acks.iter().min().unwrap());
    let bootstrap: Vec<String> = members.iter().take(3).flat_map(|member| member.addresses.clone()).collect();
    let askers: Vec<Member> = (0..ASKERS).map(|_| Member::start(None, &bootstrap)).collect();

    look_everybody_up("all well", &askers, &people);

    for _ in 0..GONE {
        // Not the three that newcomers begin with.
        let member = members.remove(members.len() / 2);
        member.orders.blocking_send(Order::Drop).ok().unwrap();
        member.thread.join().unwrap();
    }
    look_everybody_up("30 % dropped", &askers, &people);

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
    thread::sleep(Duration::from_millis(200));
    look_everybody_up("30 % frozen", &askers, &people);
    println!("all in {:.1?}", started.elapsed());
}
