//! Calls through NATs, with real binaries in a network laboratory: two homes behind port-restricted routers, one node
//! and one STUN server in public.

mod common;

use std::net::Ipv4Addr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use common::figures::{quantile, spread};
use common::machine::{measuring, sharing};
use common::netem::{Impairment, Loss};
use common::netlab::{Lab, NatKind, Netns, Site, laboratory};
use common::process::Process;
use common::skip::{missing_program, skip};
use common::speech::{WHOLE, assert_heard, pesq_wb, read_wav, recording};
use common::world::{AUTO, REACTION, SILENT, World, finish, finishes_by_itself, with_files};

const NODE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const STUN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const STUN_OPTION: [&str; 2] = ["--stun", "203.0.113.10:3478"];
/// For a call that loses packets to stand.
const PATIENCE: Duration = Duration::from_secs(40);

/// Two homes behind NATs, a node, a STUN server.
struct Homes {
    lab: Lab,
    node: Netns,
    left: Site,
    right: Site,
    _stun: StunServer,
}

impl Homes {
    fn new(kind: NatKind) -> Self {
        let lab = Lab::new();
        let node = lab.public_host("node", &[NODE]);
        let stun = lab.public_host("stun", &[STUN]);
        let left = lab.site("ra", Ipv4Addr::new(203, 0, 113, 101), [192, 168, 1], kind);
        let right = lab.site("rb", Ipv4Addr::new(203, 0, 113, 102), [192, 168, 2], kind);
        Self { lab, node, left, right, _stun: StunServer::start(&stun) }
    }

    fn world(&self) -> World {
        World::in_laboratory(&self.node, NODE, &STUN_OPTION)
    }
}

/// coturn, as STUN server only.
struct StunServer(Child);

impl StunServer {
    fn start(inside: &Netns) -> Self {
        let mut command = inside.command(&["setpriv", "--pdeathsig", "KILL", "--", "turnserver", "-n", "--stun-only"]);
        command.args(["--listening-ip", &STUN.to_string(), "--listening-port", "3478", "--no-tls", "--no-dtls"]);
        command.args(["--no-cli", "--relay-threads", "1", "--log-file", "stdout", "--simple-log"]);
        command.args(["--pidfile", "/run/turnserver.pid", "--userdb", "/run/turnserver.db"]);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it was found");
        let server = Self(child);
        let end = Instant::now() + Duration::from_secs(10);
        while !server.listens(inside) {
            assert!(Instant::now() < end, "coturn does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn listens(&self, inside: &Netns) -> bool {
        let table = inside.command(&["cat", "/proc/net/udp"]).output().expect("ip was found").stdout;
        // 3478 in hexadecimal.
        String::from_utf8_lossy(&table).contains(":0D96 ")
    }
}

impl Drop for StunServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `experiment` in a laboratory that has a STUN server, or skips `test`.
fn with_homes(test: &str, experiment: impl FnOnce()) {
    match missing_program(&["turnserver"]) {
        Some(program) => skip(test, &format!("{program} is not installed")),
        None => laboratory(test, experiment),
    }
}

#[test]
fn two_homes_behind_port_restricted_nats_talk_directly() {
    let _machine = measuring();
    with_homes("two_homes_behind_port_restricted_nats_talk_directly", || {
        let homes = Homes::new(NatKind::PortRestricted);
        let (alice_host, bob_host) =
            (homes.lab.lan_host(&homes.left, "ha", 10), homes.lab.lan_host(&homes.right, "hb", 10));
        let world = homes.world();
        let (alice_says, bob_says) = (recording("alice"), recording("bob"));
        let (alice_hears, bob_hears) = (world.file("alice_hears.wav"), world.file("bob_hears.wav"));

        let audio = with_files(&bob_says, &bob_hears);
        let options: Vec<&str> = AUTO.into_iter().chain(audio.iter().map(String::as_str)).collect();
        let mut bob = world.answering("bob", &options, Some(&bob_host));
        let audio = with_files(&alice_says, &alice_hears);
        let options: Vec<&str> = ["--seconds", "11"].into_iter().chain(audio.iter().map(String::as_str)).collect();
        let mut alice = world.calling("alice", &bob.link, &options, Some(&alice_host));

        let at_alice = alice.next("connected", PATIENCE);
        let at_bob = bob.process.next("connected", REACTION);
        assert_punched(&at_alice);
        assert_punched(&at_bob);
        finishes_by_itself(&mut alice, 0, PATIENCE);
        bob.process.next_where("ended", |line| line["reason"] == "remote_hangup", REACTION);
        finish(&mut bob.process, 0);

        let to_bob = assert_heard("alice to bob", &alice_says, &bob_hears);
        let to_alice = assert_heard("bob to alice", &bob_says, &alice_hears);
        let quality = [(&alice_says, &bob_hears), (&bob_says, &alice_hears)]
            .map(|(said, heard)| pesq_wb(&read_wav(said), &read_wav(heard)));
        println!(
            "path {}: {} / {}, dial to ringing {} ms, answer to media {} / {} ms",
            at_alice["path"],
            at_alice["local"],
            at_alice["remote"],
            at_alice["ring_ms"],
            at_alice["answer_to_media_ms"],
            at_bob["answer_to_media_ms"]
        );
        println!("heard by bob {to_bob:?}, by alice {to_alice:?}; PESQ-WB {quality:.2?}");
        assert!(quality.iter().all(|&mos| mos >= WHOLE), "{quality:?}");
        world.finish();
    });
}

/// The media goes from NAT to NAT with nothing in between.
fn assert_punched(connected: &Value) {
    assert_eq!(connected["path"], "direct", "{connected}");
    let reflexive = ["server_reflexive", "peer_reflexive"];
    let remote = connected["remote"].as_str().expect("text");
    assert!(reflexive.contains(&remote), "the other side is seen at its router: {connected}");
    assert!(connected["local"] != "relayed", "{connected}");
}

#[test]
fn a_cold_caller_hears_ringing_within_600_ms_at_80_ms_to_the_node() {
    let _machine = measuring();
    const CALLS: usize = 15;
    with_homes("a_cold_caller_hears_ringing_within_600_ms_at_80_ms_to_the_node", || {
        let mut homes = Homes::new(NatKind::PortRestricted);
        let (alice_host, bob_host) =
            (homes.lab.lan_host(&homes.left, "ha", 10), homes.lab.lan_host(&homes.right, "hb", 10));
        let _distance = homes.lab.impair_both("node", Impairment::delay_ms(40));
        let world = homes.world();
        let mut bob = world.answering("bob", &[&AUTO[..], &SILENT].concat(), Some(&bob_host));
        let (mut ring, mut seen, mut start, mut media) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for number in 0..CALLS {
            // A new profile each time: no peer cache, no key, no connection from before.
            let began = common::figures::mono_ms();
            let mut alice = world.calling(&format!("alice{number}"), &bob.link, &SILENT, Some(&alice_host));
            let dialing = moment(&alice.next("dialing", PATIENCE));
            let ringing = alice.next("ringing", PATIENCE);
            ring.extend(ringing["ring_ms"].as_f64());
            seen.push(moment(&ringing) - dialing);
            start.push(moment(&ringing) - began);
            let connected = alice.next("connected", PATIENCE);
            media.extend(connected["answer_to_media_ms"].as_f64());
            assert_punched(&connected);
            finish(&mut alice, 0);
            bob.process.next("ended", REACTION);
        }
        println!(
            "80 ms RTT to the node, cold caller, {CALLS} calls: dial to ringing {} ms (by our clock {} ms), process start to ringing {} ms, answer to media {} ms",
            spread(&ring),
            spread(&seen),
            spread(&start),
            spread(&media)
        );
        assert!(quantile(&ring, 0.5) <= 600.0, "{}", spread(&ring));
        // The program's own figure tells what a watch tells.
        assert!((quantile(&ring, 0.5) - quantile(&seen, 0.5)).abs() < 60.0);
        finish(&mut bob.process, 0);
        world.finish();
    });
}

fn moment(line: &Value) -> f64 {
    line["mono_ms"].as_f64().expect("mono_ms is a number")
}

#[test]
fn sixty_calls_connect_at_ten_percent_loss() {
    let _machine = measuring();
    const PAIRS: u8 = 4;
    const CALLS_EACH: usize = 15;
    with_homes("sixty_calls_connect_at_ten_percent_loss", || {
        let mut homes = Homes::new(NatKind::PortRestricted);
        let world = homes.world();
        let bad_line = Impairment::delay_ms(20).with_loss(Loss::Random(0.1)).with_seed(7);
        let line = homes.lab.impair_both("ra", bad_line);
        let began = Instant::now();
        let hosts: Vec<(Netns, Netns)> = (0..PAIRS)
            .map(|pair| {
                let caller = homes.lab.lan_host(&homes.left, &format!("ha{pair}"), 10 + pair);
                (caller, homes.lab.lan_host(&homes.right, &format!("hb{pair}"), 10 + pair))
            })
            .collect();
        let results: Vec<Vec<CallTimes>> = std::thread::scope(|scope| {
            let world = &world;
            let pairs: Vec<_> = (0..PAIRS)
                .zip(&hosts)
                .map(|(pair, (left, right))| scope.spawn(move || calls_of_a_pair(world, pair, CALLS_EACH, left, right)))
                .collect();
            pairs.into_iter().map(|pair| pair.join().expect("every call of the pair connects")).collect()
        });
        let all: Vec<CallTimes> = results.into_iter().flatten().collect();
        let column = |pick: fn(&CallTimes) -> f64| all.iter().map(pick).collect::<Vec<_>>();
        let stats = line.map(common::netlab::Impaired::stop);
        println!(
            "{} calls at 10 % loss each way and 40 ms RTT in {:.0} s: dial to ringing {} ms, answer to media {} ms, \
             goodbye {} ms",
            all.len(),
            began.elapsed().as_secs_f64(),
            spread(&column(|times| times.ring_ms)),
            spread(&column(|times| times.media_ms)),
            spread(&column(|times| times.goodbye_ms))
        );
        println!(
            "lost: {} of {} up, {} of {} down",
            stats[0].dropped, stats[0].packets, stats[1].dropped, stats[1].packets
        );
        assert_eq!(all.len(), usize::from(PAIRS) * CALLS_EACH);
        world.finish();
    });
}

#[derive(Default)]
struct CallTimes {
    ring_ms: f64,
    media_ms: f64,
    /// From the caller's hang-up to the end at the callee.
    goodbye_ms: f64,
}

fn calls_of_a_pair(world: &World, pair: u8, calls: usize, left: &Netns, right: &Netns) -> Vec<CallTimes> {
    let mut callee = world.answering(&format!("callee{pair}"), &[&AUTO[..], &SILENT].concat(), Some(right));
    let caller = format!("caller{pair}");
    let times = (0..calls)
        .map(|_| {
            let mut process = world.calling(&caller, &callee.link, &SILENT, Some(left));
            let times = connected_times(&mut process);
            callee.process.next("connected", PATIENCE);
            let hung_up = Instant::now();
            finish(&mut process, 0);
            // Not by the silence that follows: the goodbye is said often enough to arrive.
            let ended = callee.process.next("ended", PATIENCE);
            assert_eq!(ended["reason"], "remote_hangup");
            CallTimes { goodbye_ms: hung_up.elapsed().as_secs_f64() * 1e3, ..times }
        })
        .collect();
    finish(&mut callee.process, 0);
    times
}

fn connected_times(caller: &mut Process) -> CallTimes {
    let connected = caller.next("connected", PATIENCE);
    let number = |field: &str| connected[field].as_f64().expect("a number");
    CallTimes { ring_ms: number("ring_ms"), media_ms: number("answer_to_media_ms"), ..CallTimes::default() }
}

/// coturn is found and answers: a failure here is the machine's, not the product's.
#[test]
fn the_stun_server_of_the_laboratory_answers() {
    let _machine = sharing();
    with_homes("the_stun_server_of_the_laboratory_answers", || {
        let homes = Homes::new(NatKind::PortRestricted);
        let host = homes.lab.lan_host(&homes.left, "ha", 10);
        let mapped = host.thread(|| {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("any port is free");
            socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout can be set");
            // Binding request (RFC 8489 §5): type, length, magic cookie, transaction id.
            let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], b"twocans-lab!"].concat();
            socket.send_to(&request, (STUN, 3478)).expect("the network is there");
            let mut reply = [0; 200];
            let length = socket.recv(&mut reply).expect("the server answers");
            reply[..length].to_vec()
        });
        let reply = mapped.join().expect("the request runs");
        assert_eq!(&reply[..2], &[1, 1], "binding success");
        // 203.0.113.101 under the magic cookie, as XOR-MAPPED-ADDRESS writes it.
        let mapped: Vec<u8> = [203u8, 0, 113, 101].iter().zip([0x21, 0x12, 0xa4, 0x42]).map(|(a, b)| a ^ b).collect();
        assert!(reply.windows(4).any(|four| four == mapped), "{reply:02x?}");
    });
}
