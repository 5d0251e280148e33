//! Many nodes of the library in one process, each with a thread and a runtime of its own, so freezing one means that
//! its thread stops: the sockets stay open, the kernel goes on taking packets and connections, and nothing ever answers.

#![allow(dead_code, reason = "every test binary compiles all of this and uses its part")]

pub mod liar;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::mpsc;
use twocans::base::Person;
use twocans::identity::PersonKey;
use twocans::rendezvous::{LookupReport, Rendezvous, RendezvousConfig, RendezvousEvent, Totals};

/// For a node to answer, and for a record to be published.
const PATIENCE: Duration = Duration::from_secs(60);

enum Order {
    LookUp(Person, Sender<LookupReport>),
    Totals(Sender<Totals>),
    /// Never do anything again, and keep every socket open.
    Freeze,
    /// Close every socket without a word.
    Drop,
}

/// A node.
pub struct Member {
    orders: mpsc::Sender<Order>,
    pub addresses: Vec<String>,
    published: Receiver<u32>,
    thread: JoinHandle<()>,
}

impl Member {
    /// On loopback: a super-peer, with a person of its own or without, or a bare client that only looks people up.
    pub fn start(server: bool, person: Option<PersonKey>, bootstrap: &[String]) -> Self {
        let bootstrap = bootstrap.to_vec();
        let config = RendezvousConfig { person, server, bootstrap, isolated: true, ..RendezvousConfig::default() };
        Self::start_on(config, thread::spawn)
    }

    /// Any node, on the thread that `spawn` makes.
    pub fn start_on(config: RendezvousConfig, spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> JoinHandle<()>) -> Self {
        let (orders, queue) = mpsc::channel(4);
        let (tell_addresses, addresses) = channel();
        let (tell_published, published) = channel();
        let thread = spawn(Box::new(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(live(config, queue, tell_addresses, tell_published));
            // Dropping the runtime drops the sockets, without a goodbye.
        }));
        Self { orders, addresses: addresses.recv().unwrap(), published, thread }
    }

    pub fn totals(&self) -> Totals {
        let (reply, totals) = channel();
        self.order(Order::Totals(reply));
        totals.recv_timeout(PATIENCE).expect("a node that is well answers")
    }

    pub fn look_up(&self, person: Person) -> LookupReport {
        look_up(&self.orders, person)
    }

    /// Waits until the person's record lies on at least that many nodes.
    pub fn wait_published(&self, at_least: u32) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let acks = self.published.recv_timeout(deadline - Instant::now()).expect("the record is published");
            if acks >= at_least {
                return acks;
            }
        }
    }

    /// Its process is stopped.
    pub fn freeze(&self) {
        self.order(Order::Freeze);
    }

    /// Its machine is switched off.
    pub fn drop_dead(self) {
        self.order(Order::Drop);
        self.thread.join().unwrap();
    }

    fn order(&self, order: Order) {
        self.orders.blocking_send(order).ok().unwrap();
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

/// The same for the same index.
pub fn person_key(index: usize) -> PersonKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(index as u64 + 1).to_le_bytes());
    PersonKey::from_seed(&seed)
}

/// Where newcomers begin: at the first three.
pub fn entrances(members: &[Member]) -> Vec<String> {
    members.iter().take(3).flat_map(|member| member.addresses.clone()).collect()
}

/// As a super-peer does, with room for the sockets of all.
pub fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = Some(maximum.map_or(16_384, |most| most.min(16_384)));
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("below the maximum is allowed");
}

/// A reproducible choice among `below`.
pub fn choose(step: &mut u64, below: usize) -> usize {
    *step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*step >> 33) % below as u64) as usize
}

/// Lookups, `at_once` at a time, each asker's one after the other: whom, and what came of it.
pub fn look_up_all(askers: &[Member], people: &[Person], lookups: usize, at_once: usize) -> Vec<(usize, LookupReport)> {
    let reports: Vec<(usize, LookupReport)> = thread::scope(|scope| {
        let ask = |askers: &[mpsc::Sender<Order>], seed: usize| {
            let mut step = seed as u64;
            let mut one = |number: usize| {
                let whom = choose(&mut step, people.len());
                (whom, look_up(&askers[number % askers.len()], people[whom]))
            };
            (0..lookups / at_once).map(&mut one).collect::<Vec<_>>()
        };
        let askers: Vec<mpsc::Sender<Order>> = askers.iter().map(|asker| asker.orders.clone()).collect();
        let asking: Vec<_> = (0..at_once)
            .map(|share| {
                let askers: Vec<_> = askers.iter().skip(share).step_by(at_once).cloned().collect();
                scope.spawn(move || ask(&askers, share))
            })
            .collect();
        asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect()
    });
    assert_eq!(reports.len(), lookups);
    reports
}

fn look_up(orders: &mpsc::Sender<Order>, person: Person) -> LookupReport {
    let (reply, report) = channel();
    orders.blocking_send(Order::LookUp(person, reply)).ok().unwrap();
    report.recv_timeout(PATIENCE).expect("a lookup ends")
}
