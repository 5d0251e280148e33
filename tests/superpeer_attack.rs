//! A super-peer under attack, with real binaries in a network laboratory: a flood of junk, dials that go no further,
//! records that are none, and a password of its media relay turned against its own LAN. A call that began before goes on,
//! another begins meanwhile, memory stays bounded, and afterwards the processor rests.

mod common;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, Quorum};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use sha2::{Digest, Sha256};
use twocans::rendezvous::{RelayOffer, Rendezvous, RendezvousConfig};

use common::figures::{cpu_time, quantile, rss_mb};
use common::machine::measuring;
use common::netlab::{Lab, NatKind, Netns, laboratory};
use common::skip::{missing_program, skip};
use common::speech::{assert_heard, recording};
use common::world::{AUTO, REACTION, World, finish, finishes_by_itself, listens_at, node_id, ready_line, with_files};

const NODE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const ATTACKER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 66);
/// At another address than the flood, whose requests nobody listens to any more.
const THIEF: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 67);
const BYSTANDER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
/// On the super-peer owner's LAN.
const PRINTER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 10);
const PRINTER_PORT: u16 = 9100;
const PATIENCE: Duration = Duration::from_secs(40);

const JUNK_PER_S: u64 = 10_000;
/// Rendezvous, media relay, STUN.
const JUNK_PORTS: [u16; 3] = [4001, 4002, 4003];
const HALF_OPEN: usize = 1000;
const HALF_OPEN_PORTS: [u16; 3] = [4001, 443, 4002];
const BAD_RECORDS: usize = 1000;
/// Nodes that the bad records come from.
const BAD_NODES: usize = 10;

const MAX_GROWTH_MB: f64 = 64.0;
/// Of one core, once the attack is over.
const MAX_CPU_AFTER: f64 = 0.05;

/// Sends datagrams that mean nothing, or nearly something, until told to stop; how many.
fn flood(stop: &AtomicBool) -> u64 {
    const BATCH: u64 = 50;
    let socket = UdpSocket::bind((ATTACKER, 0)).expect("a port is free");
    let start = Instant::now();
    let (mut sent, mut random) = (0u64, 1u64);
    let mut junk = [0; 600];
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..BATCH {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            for (index, byte) in junk.iter_mut().enumerate() {
                *byte = (random >> (index % 56)) as u8;
            }
            // A third looks like a STUN request, a third like a QUIC Initial.
            match random >> 62 {
                0 => junk[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]),
                1 => junk[..5].copy_from_slice(&[0xc3, 0, 0, 0, 1]),
                _ => {}
            }
            let length = 20 + (random >> 40) as usize % 580;
            let port = JUNK_PORTS[(random >> 33) as usize % JUNK_PORTS.len()];
            // A full queue loses it, as the network would.
            let _ = socket.send_to(&junk[..length], (NODE, port));
            sent += 1;
        }
        let due = start + Duration::from_secs_f64(sent as f64 / JUNK_PER_S as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    sent
}

/// Keeps [`HALF_OPEN`] connections that say nothing; each that is closed is dialled again. How many in all.
fn half_open(stop: &AtomicBool) -> u64 {
    let mut open: Vec<TcpStream> = Vec::new();
    let mut dialled = 0;
    while !stop.load(Ordering::Relaxed) {
        open.retain(|stream| {
            let mut byte = [0];
            // Nothing to read yet: it is still open.
            matches!(stream.peek(&mut byte), Err(why) if why.kind() == std::io::ErrorKind::WouldBlock)
        });
        while open.len() < HALF_OPEN && !stop.load(Ordering::Relaxed) {
            let port = HALF_OPEN_PORTS[dialled as usize % HALF_OPEN_PORTS.len()];
            dialled += 1;
            let at = SocketAddr::from((NODE, port));
            let Ok(stream) = TcpStream::connect_timeout(&at, Duration::from_secs(1)) else { break };
            if stream.set_nonblocking(true).is_ok() {
                open.push(stream);
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    dialled
}

/// Offers records that are too long or signed by nobody, from several nodes; how many were sent.
async fn bad_records(node: PeerId, at: Multiaddr) -> usize {
    let mut sent = 0;
    for number in 0..BAD_NODES {
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("keys can be made")
            .with_behaviour(|key| {
                let me = key.public().to_peer_id();
                let config = kad::Config::new(StreamProtocol::new("/twocans/kad/1"));
                kad::Behaviour::with_config(me, MemoryStore::new(me), config)
            })
            .expect("it is one behaviour")
            .build();
        swarm.behaviour_mut().add_address(&node, at.clone());
        let mut open = 0;
        for index in 0..BAD_RECORDS / BAD_NODES {
            let key = [b"/tc1/".as_slice(), Sha256::digest([number as u8, index as u8]).as_slice()].concat();
            let length = if index % 2 == 0 { 400 } else { 8000 };
            let value = (0..length).map(|at| (at * 7 + index) as u8).collect();
            let record = kad::Record { key: key.into(), value, publisher: None, expires: None };
            swarm.behaviour_mut().put_record_to(record, std::iter::once(node), Quorum::N(NonZeroUsize::MIN));
            open += 1;
            sent += 1;
        }
        let drained = async {
            while open > 0 {
                if let SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed { step, .. }) =
                    swarm.select_next_some().await
                    && step.last
                {
                    open -= 1;
                }
            }
        };
        // Those that the super-peer leaves unanswered run into their time limit.
        let _ = tokio::time::timeout(Duration::from_secs(15), drained).await;
    }
    sent
}

/// A password of the super-peer's relay, got as every caller gets one.
async fn password(bootstrap: Vec<String>) -> RelayOffer {
    let config = RendezvousConfig {
        bootstrap,
        mdns: false,
        treat_as_public: vec!["203.0.113.0/24".into()],
        ..RendezvousConfig::default()
    };
    let (node, _events) = Rendezvous::start(config).await.expect("the node starts");
    let grant = tokio::time::timeout(PATIENCE, node.relay_grants(1).recv()).await;
    let grant = grant.expect("an answer in time").expect("the super-peer relays");
    node.shutdown().await;
    grant.offer
}

/// Has coturn's client send through the relay to this peer.
fn relay_to(inside: &Netns, offer: &RelayOffer, peer: Ipv4Addr, port: u16) -> String {
    let relay = offer.servers[0];
    let mut command = inside.command(&["timeout", "10", "turnutils_uclient"]);
    command.args(["-u", &offer.username, "-w", &offer.password, "-e", &peer.to_string(), "-r", &port.to_string()]);
    command.args(["-p", &relay.port().to_string(), "-m", "1", "-n", "5", "-l", "60", "-z", "20", "-c"]);
    let output = command.arg(relay.ip().to_string()).output().expect("ip was found");
    [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
}

/// Counts what arrives by UDP, and connections, at a port of a machine.
struct Ear {
    heard: Arc<AtomicU64>,
}

impl Ear {
    fn open(inside: &Netns, at: Ipv4Addr) -> Self {
        let heard = Arc::new(AtomicU64::new(0));
        let (udp, tcp) = inside
            .thread(move || {
                let udp = UdpSocket::bind((at, PRINTER_PORT)).expect("the port is free");
                (udp, TcpListener::bind((at, PRINTER_PORT)).expect("the port is free"))
            })
            .join()
            .expect("the sockets open");
        let count = heard.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while udp.recv_from(&mut buffer).is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let count = heard.clone();
        std::thread::spawn(move || {
            while tcp.accept().is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { heard }
    }

    fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }
}

/// Processor time of a process over a span, as a share of one core.
fn cpu_over(pid: u32, span: Duration) -> f64 {
    let (before, start) = (cpu_time(pid), Instant::now());
    std::thread::sleep(span);
    (cpu_time(pid) - before).as_secs_f64() / start.elapsed().as_secs_f64()
}

fn concealed(events: &[Value]) -> Vec<f64> {
    events.iter().filter(|line| line["event"] == "stats").filter_map(|line| line["concealed"].as_f64()).collect()
}

/// The connections of the attack, and the pipes to the processes.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = Some(maximum.map_or(8192, |most| most.min(8192)));
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("below the maximum is allowed");
}

struct Side {
    name: &'static str,
    host: Netns,
}

/// A call from one side to the other in which both speak, once `during` says that it may begin; ends by itself.
fn talk(world: &World, number: usize, sides: [&Side; 2]) -> [Vec<f64>; 2] {
    let [caller, callee] = sides;
    let (caller_says, callee_says) = (recording("alice"), recording("bob"));
    let [caller_hears, callee_hears] =
        [caller, callee].map(|side| world.file(&format!("{}{number}_hears.wav", side.name)));
    let audio = with_files(&callee_says, &callee_hears);
    let options: Vec<&str> = AUTO.into_iter().chain(audio.iter().map(String::as_str)).collect();
    let mut answering = world.answering(&format!("{}{number}", callee.name), &options, Some(&callee.host));
    let audio = with_files(&caller_says, &caller_hears);
    let options: Vec<&str> = ["--seconds", "12"].into_iter().chain(audio.iter().map(String::as_str)).collect();
    let mut calling = world.calling(&format!("{}{number}", caller.name), &answering.link, &options, Some(&caller.host));
    let at_caller = calling.next("connected", PATIENCE);
    let at_callee = answering.process.next("connected", REACTION);
    assert_eq!((&at_caller["path"], &at_callee["path"]), (&"relayed".into(), &"relayed".into()), "{at_caller}");
    finishes_by_itself(&mut calling, 0, PATIENCE);
    answering.process.next_where("ended", |line| line["reason"] == "remote_hangup", REACTION);
    finish(&mut answering.process, 0);
    let heard = [
        assert_heard("caller to callee", &caller_says, &callee_hears).share,
        assert_heard("callee to caller", &callee_says, &caller_hears).share,
    ];
    println!(
        "call {number}: dial to ringing {} ms, answer to media {} ms, heard {heard:.2?}",
        at_caller["ring_ms"], at_caller["answer_to_media_ms"]
    );
    [concealed(&calling.events()), concealed(&answering.process.events())]
}

#[test]
fn a_super_peer_under_attack_goes_on_relaying_and_opens_no_lan() {
    let _machine = measuring();
    const NAME: &str = "a_super_peer_under_attack_goes_on_relaying_and_opens_no_lan";
    if let Some(program) = missing_program(&["turnutils_uclient"]) {
        return skip(NAME, &format!("{program} is not installed"));
    }
    laboratory(NAME, || {
        raise_file_limit();
        let lab = Lab::new();
        let host = lab.public_host("node", &[NODE]);
        let printer = lab.behind(&host, "printer", [192, 168, 77]);
        let attacker = lab.public_host("attacker", &[ATTACKER]);
        let thief = lab.public_host("thief", &[THIEF]);
        let bystander = lab.public_host("bystander", &[BYSTANDER]);
        let left = lab.site("ra", Ipv4Addr::new(203, 0, 113, 101), [192, 168, 1], NatKind::Symmetric);
        let right = lab.site("rb", Ipv4Addr::new(203, 0, 113, 102), [192, 168, 2], NatKind::Symmetric);
        let alice = Side { name: "alice", host: lab.lan_host(&left, "ha", 10) };
        let bob = Side { name: "bob", host: lab.lan_host(&right, "hb", 10) };
        let world = World::in_laboratory(&host, NODE, &[]);
        let listen = listens_at(&ready_line(&world.node));
        let peer: PeerId = node_id(&world.node).parse().expect("a node id");
        let pid = world.node.pid();

        talk(&world, 0, [&alice, &bob]);
        let idle = cpu_over(pid, Duration::from_secs(3));
        let before = rss_mb(pid);

        let stop = Arc::new(AtomicBool::new(false));
        let attack = |work: fn(&AtomicBool) -> u64| {
            let stop = stop.clone();
            attacker.thread(move || work(&stop))
        };
        let (start, flooding, dialling) = (Instant::now(), attack(flood), attack(half_open));
        let tcp: Multiaddr = format!("/ip4/{NODE}/tcp/4001").parse().expect("an address");
        let lying = attacker.thread(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(bad_records(peer, tcp))
        });
        let cpu_before = cpu_time(pid);
        let watching = {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut most = 0.0f64;
                while !stop.load(Ordering::Relaxed) {
                    most = most.max(rss_mb(pid));
                    std::thread::sleep(Duration::from_millis(200));
                }
                most
            })
        };

        // It begins and ends under attack.
        let share_concealed = talk(&world, 1, [&alice, &bob]);
        let (ear, control) = (Ear::open(&printer, PRINTER), Ear::open(&bystander, BYSTANDER));
        let own_ear = Ear::open(&host, Ipv4Addr::UNSPECIFIED);
        let offer = {
            let listen = listen.clone();
            let got = thief.thread(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(password(listen))
            });
            got.join().expect("the thief is well")
        };
        let allowed = relay_to(&thief, &offer, BYSTANDER, PRINTER_PORT);
        for address in [PRINTER, Ipv4Addr::new(192, 168, 77, 1), Ipv4Addr::LOCALHOST, NODE] {
            let said = relay_to(&thief, &offer, address, PRINTER_PORT);
            let refused = said.lines().find(|line| line.contains("error")).unwrap_or("nothing arrives");
            println!("through the relay to {address}: {refused}");
            // Its own public address is a peer as far as other allocations stand there, and no further.
            assert!(said.contains("403") || address == NODE, "{said}");
        }
        println!("through the relay to a public address: {} datagrams arrive", control.heard());
        assert!(control.heard() > 0, "the password is good for what it is meant for: {allowed}");
        assert_eq!(ear.heard(), 0, "the LAN is not reached");
        assert_eq!(own_ear.heard(), 0, "nor the super-peer's machine");

        let sent_records = lying.join().expect("the liar is well");
        let during = (cpu_time(pid) - cpu_before).as_secs_f64() / start.elapsed().as_secs_f64();
        let seconds = start.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        let (junk, dialled) = (flooding.join().expect("no panic"), dialling.join().expect("no panic"));
        let most = watching.join().expect("no panic");
        std::thread::sleep(Duration::from_secs(5));
        let after_cpu = cpu_over(pid, Duration::from_secs(5));
        let after = rss_mb(pid);
        talk(&world, 2, [&alice, &bob]);

        let stats = world.node.all("node_stats").pop().unwrap_or_default();
        println!(
            "{seconds:.0} s of attack: {:.0} junk packets/s, {dialled} half-open dials, {sent_records} bad records",
            junk as f64 / seconds
        );
        println!(
            "memory {before:.1} MB before, {most:.1} at most, {after:.1} after; processor {:.1} % of a core idle, {:.1} % \
             under attack, {:.1} % after",
            idle * 100.0,
            during * 100.0,
            after_cpu * 100.0
        );
        for (side, concealed) in ["caller", "callee"].into_iter().zip(&share_concealed) {
            println!("concealed under attack, {side}: {:.4} at p95 of seconds", quantile(concealed, 0.95));
        }
        println!("the node said {stats}");
        assert!(junk as f64 / seconds >= 0.8 * JUNK_PER_S as f64, "this machine is too slow to flood");
        assert!(dialled >= HALF_OPEN as u64 && sent_records >= BAD_RECORDS);
        // A person who has left leaves a withdrawal behind for a while.
        assert!(stats["records"].as_u64() <= Some(20), "no bad record was taken: {stats}");
        assert!(most - before <= MAX_GROWTH_MB, "{most} MB");
        assert!(after_cpu <= MAX_CPU_AFTER, "{after_cpu}");
        world.finish();
    });
}
