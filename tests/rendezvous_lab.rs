//! The rendezvous room on networks that are not loopback: a LAN without any server, and what an idle client costs.

mod common;

use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver as Events;
use tokio::time::{sleep, timeout};
use twocans::identity::PersonKey;
use twocans::rendezvous::{Reached, Rendezvous, RendezvousConfig, RendezvousEvent, RingFailure, Via};

use common::machine::{measuring, sharing};
use common::netlab::{Lab, NatKind, Netns, laboratory};

const PATIENCE: Duration = Duration::from_secs(20);

fn config(seed: u8) -> RendezvousConfig {
    RendezvousConfig { person: Some(key(seed)), mdns: false, ..RendezvousConfig::default() }
}

fn key(seed: u8) -> PersonKey {
    PersonKey::from_seed(&[seed; 32])
}

/// Runs `work` on a runtime of its own inside `host`.
fn inside<F: Future<Output = T> + 'static, T: Send + 'static>(
    host: &Netns,
    work: impl FnOnce() -> F + Send + 'static,
) -> std::thread::JoinHandle<T> {
    host.thread(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(work())
    })
}

async fn answer_everybody(mut events: Events<RendezvousEvent>) {
    while let Some(event) = events.recv().await {
        if let RendezvousEvent::Incoming { mut stream, .. } = event {
            tokio::spawn(async move {
                stream.recv().await.expect("a first flight");
                stream.send(b"RING").await.expect("the caller is there");
                // The caller closes.
                let _ = stream.recv().await;
            });
        }
    }
}

/// A person who answers until `stop` is dropped.
async fn answer_until(
    config: RendezvousConfig,
    ready: Sender<Vec<String>>,
    mut stop: tokio::sync::oneshot::Receiver<()>,
) {
    let (node, events) = Rendezvous::start(config).await.expect("the node starts");
    ready.send(node.listen_addrs()).expect("the test waits");
    tokio::select! {
        () = answer_everybody(events) => {}
        _ = &mut stop => {}
    }
    node.shutdown().await;
}

async fn ring(node: &Rendezvous, seed: u8) -> Result<Reached, Vec<RingFailure>> {
    let mut attempts = node.ring(key(seed).person(), &[], vec![b"flight".to_vec(); 4]);
    let mut failures = Vec::new();
    while let Some(attempt) = timeout(PATIENCE, attempts.recv()).await.expect("a ring ends") {
        match attempt {
            Ok(reached) => return Ok(reached),
            Err(failure) => failures.push(failure),
        }
    }
    Err(failures)
}

fn received<T>(queue: &Receiver<T>) -> T {
    queue.recv_timeout(PATIENCE).expect("it comes")
}

#[test]
fn two_people_on_one_lan_need_nobody_else() {
    let _machine = sharing();
    laboratory("two_people_on_one_lan_need_nobody_else", || {
        let lab = Lab::new();
        let site = lab.site("ra", Ipv4Addr::new(203, 0, 113, 101), [192, 168, 1], NatKind::PortRestricted);
        let (here, there) = (lab.lan_host(&site, "ha", 10), lab.lan_host(&site, "hb", 11));
        let (ready, is_ready) = channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let callee = inside(&there, move || answer_until(RendezvousConfig { mdns: true, ..config(1) }, ready, stopped));
        received(&is_ready);
        let caller = inside(&here, || async {
            let (node, _events) =
                Rendezvous::start(RendezvousConfig { mdns: true, ..config(2) }).await.expect("the node starts");
            let began = Instant::now();
            // mDNS answers within a second or so; nothing else tells these two of each other.
            while !node.lookup(key(1).person()).await.found {
                assert!(began.elapsed() < PATIENCE, "mDNS did not find the other");
                sleep(Duration::from_millis(100)).await;
            }
            println!("found on the LAN after {:.1?}", began.elapsed());
            let began = Instant::now();
            let mut reached = ring(&node, 1).await.expect("they are there");
            assert_eq!(reached.stream.recv().await.as_deref(), Ok(b"RING".as_slice()));
            println!("rung directly after {:.1?}", began.elapsed());
            assert_eq!(reached.via, Via::Direct);
            assert!(!node.lookup(key(3).person()).await.found, "a third person is nobody here");
            node.shutdown().await;
        });
        caller.join().expect("the caller is well");
        drop(stop);
        callee.join().expect("the callee is well");
    });
}

#[test]
fn without_mdns_nothing_is_said_on_the_lan() {
    let _machine = sharing();
    laboratory("without_mdns_nothing_is_said_on_the_lan", || {
        let lab = Lab::new();
        let site = lab.site("ra", Ipv4Addr::new(203, 0, 113, 101), [192, 168, 1], NatKind::PortRestricted);
        let host = lab.lan_host(&site, "ha", 10);
        let before = spoken(&host);
        let isolated = RendezvousConfig { mdns: true, isolated: true, ..config(1) };
        inside(&host, || async {
            let (quiet, _events) = Rendezvous::start(config(2)).await.expect("the node starts");
            let (isolated, _events) = Rendezvous::start(isolated).await.expect("the node starts");
            assert!(!quiet.lookup(key(1).person()).await.found);
            assert!(!isolated.lookup(key(2).person()).await.found);
            sleep(Duration::from_secs(2)).await;
            quiet.shutdown().await;
            isolated.shutdown().await;
        })
        .join()
        .expect("both are well");
        assert_eq!(spoken(&host) - before, 0, "datagrams and segments");
    });
}

#[test]
fn an_idle_client_costs_a_few_bytes_a_second() {
    let _machine = measuring();
    const SECONDS: u64 = 60;
    laboratory("an_idle_client_costs_a_few_bytes_a_second", || {
        let lab = Lab::new();
        let public = "203.0.113.0/24".to_owned();
        let mut stops = Vec::new();
        let mut threads = Vec::new();
        let mut bootstrap: Vec<String> = Vec::new();
        for last in 21..24u8 {
            let ip = Ipv4Addr::new(203, 0, 113, last);
            let host = lab.public_host(&format!("n{last}"), &[ip]);
            let (ready, is_ready) = channel();
            let (stop, stopped) = tokio::sync::oneshot::channel();
            let config = RendezvousConfig {
                person: None,
                server: true,
                listen: vec![format!("/ip4/{ip}/udp/4001/quic-v1"), format!("/ip4/{ip}/tcp/4001")],
                bootstrap: bootstrap.clone(),
                treat_as_public: vec![public.clone()],
                ..config(0)
            };
            threads.push(inside(&host, move || answer_until(config, ready, stopped)));
            bootstrap.extend(received(&is_ready));
            stops.push(stop);
        }
        let site = lab.site("ra", Ipv4Addr::new(203, 0, 113, 101), [192, 168, 1], NatKind::PortRestricted);
        let host = lab.lan_host(&site, "ha", 10);
        let config = RendezvousConfig { bootstrap, treat_as_public: vec![public], ..config(1) };
        let client = inside(&host, || async {
            let (node, mut events) = Rendezvous::start(config).await.expect("the node starts");
            let published = async {
                while let Some(event) = events.recv().await {
                    if matches!(&event, RendezvousEvent::PresencePublished { relays, .. } if relays.len() == 3) {
                        return;
                    }
                }
            };
            timeout(PATIENCE, published).await.expect("three relays hold a place");
            // Introductions are over, idle connections are closed.
            sleep(Duration::from_secs(20)).await;
            let before = (own_bytes(), node.totals().await.expect("it runs"));
            sleep(Duration::from_secs(SECONDS)).await;
            let after = (own_bytes(), node.totals().await.expect("it runs"));
            assert_eq!(after.1.relays, 3);
            node.shutdown().await;
            (after.0 - before.0, after.1.tx_bytes + after.1.rx_bytes - before.1.tx_bytes - before.1.rx_bytes)
        });
        let (on_the_wire, in_streams) = client.join().expect("the client is well");
        println!("idle with 3 reservations: {} B/s on the wire, {in_streams} B in streams", on_the_wire / SECONDS);
        assert!(on_the_wire <= 60 * SECONDS, "{on_the_wire} bytes in {SECONDS} s");
        drop(stops);
        for thread in threads {
            thread.join().expect("the super-peers are well");
        }
    });
}

/// UDP datagrams and TCP segments that programs of a host have sent. What the kernel says on its own (IPv6 neighbour
/// discovery) is not among them.
fn spoken(host: &Netns) -> u64 {
    let counters = host.command(&["cat", "/proc/net/snmp", "/proc/net/snmp6"]).output().expect("ip was found").stdout;
    let counters = String::from_utf8_lossy(&counters).into_owned();
    let lines: Vec<Vec<&str>> = counters.lines().map(|line| line.split_whitespace().collect()).collect();
    // A line of names, then a line of values.
    let of_ipv4 = |protocol: &str, counter: &str| {
        let mut rows = lines.iter().filter(|words| words[0] == protocol);
        let (names, values) = (rows.next().expect("names"), rows.next().expect("values"));
        values[names.iter().position(|name| *name == counter).expect("the counter")]
    };
    let udp6 = lines.iter().find(|words| words[0] == "Udp6OutDatagrams").expect("the counter")[1];
    let counts = [of_ipv4("Udp:", "OutDatagrams"), of_ipv4("Tcp:", "OutSegs"), udp6];
    counts.iter().map(|count| count.parse::<u64>().expect("a number")).sum()
}

/// Bytes in and out of the interfaces of the thread's own network, loopback aside.
fn own_bytes() -> u64 {
    sum(&std::fs::read_to_string("/proc/thread-self/net/dev").expect("Linux"))
}

fn sum(table: &str) -> u64 {
    let lines = table.lines().filter_map(|line| line.split_once(':')).filter(|(name, _)| name.trim() != "lo");
    let fields = lines.flat_map(|(_, rest)| {
        let fields: Vec<u64> = rest.split_whitespace().map(|field| field.parse().expect("a number")).collect();
        [fields[0], fields[8]]
    });
    fields.sum()
}
