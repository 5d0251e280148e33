//! What `doctor` and the discovery below it find out, in a network laboratory with NATs of every kind: asked of coturn,
//! of our own STUN service, and by independent clients; and on this machine's loopback.

mod common;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use stun_client::nat_behavior_discovery::{
    NATFilteringType, NATMappingType, check_nat_filtering_behavior, check_nat_mapping_behavior,
};
use twocans::nat::{DiscoverConfig, Filtering, Mapping, MappingLifetime, NatReport, Seen, StunServer, discover};

use common::contract;
use common::machine::sharing;
use common::natprobe::{Behaviour, Dependence, Responder, probe};
use common::netlab::{Lab, NatKind, Netns, laboratory};
use common::process::Launch;
use common::skip::{missing_program, skip};
use common::world::{AUTO, SILENT, World, finish};

const NODE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const COTURN: [Ipv4Addr; 2] = [Ipv4Addr::new(203, 0, 113, 10), Ipv4Addr::new(203, 0, 113, 11)];
const OWN: [Ipv4Addr; 2] = [Ipv4Addr::new(203, 0, 113, 30), Ipv4Addr::new(203, 0, 113, 31)];
const PORTS: [u16; 2] = [3478, 3479];
/// `doctor` gives itself ten seconds; the machine may be busy.
const DOCTOR: Duration = Duration::from_secs(40);

fn primary(server: [Ipv4Addr; 2]) -> SocketAddr {
    (server[0], PORTS[0]).into()
}

/// coturn with RFC 5780 on two addresses.
struct Coturn(Child);

impl Coturn {
    fn start(inside: &Netns) -> Self {
        let mut command = inside.command(&["setpriv", "--pdeathsig", "KILL", "--", "turnserver", "-n", "--stun-only"]);
        for address in COTURN {
            command.args(["--listening-ip", &address.to_string()]);
        }
        command.args(["--listening-port", "3478", "--alt-listening-port", "3479", "--no-tls", "--no-dtls", "--no-cli"]);
        command.args(["--relay-threads", "1", "--log-file", "stdout", "--simple-log"]);
        command.args(["--pidfile", "/run/turnserver.pid", "--userdb", "/run/turnserver.db"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = Self(child.expect("it was found"));
        let end = Instant::now() + Duration::from_secs(10);
        // Both ports of both addresses, in hexadecimal as the kernel writes them.
        let wanted = ["0A7100CB:0D96", "0A7100CB:0D97", "0B7100CB:0D96", "0B7100CB:0D97"];
        loop {
            let table = inside.command(&["cat", "/proc/net/udp"]).output().expect("ip was found").stdout;
            let table = String::from_utf8_lossy(&table).into_owned();
            if wanted.iter().all(|endpoint| table.contains(endpoint)) {
                return server;
            }
            assert!(Instant::now() < end, "coturn does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Our own STUN service inside a machine of the laboratory, until dropped.
struct Service {
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Service {
    fn start(inside: &Netns, endpoints: &[SocketAddr]) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (ready, is_ready) = mpsc::channel();
        let endpoints = endpoints.to_vec();
        let thread = inside.thread(move || {
            here(async move {
                let server = StunServer::bind(&endpoints).await.expect("the machine owns these addresses");
                ready.send(()).expect("the test waits");
                let _ = stopped.await;
                drop(server);
            });
        });
        is_ready.recv().expect("the service starts");
        Self { stop: Some(stop), thread: Some(thread) }
    }

    /// Everything RFC 5780 asks for.
    fn full(inside: &Netns) -> Self {
        Self::start(inside, &OWN.map(|ip| PORTS.map(|port| SocketAddr::from((ip, port)))).concat())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn here<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts").block_on(work)
}

fn discover_from(inside: &Netns, servers: &[SocketAddr]) -> std::thread::JoinHandle<NatReport> {
    let config = DiscoverConfig { servers: servers.to_vec(), loopback_only: false, mapping_lifetime: None };
    inside.thread(move || here(discover(config)))
}

/// The laboratory's public machines, and hosts behind routers of every kind.
struct World5780 {
    _coturn: Coturn,
    _service: Service,
    hosts: Vec<(String, Netns, Option<Expected>)>,
    _lab: Lab,
}

/// `None` in its place: UDP does not get out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Expected {
    mapping: Mapping,
    filtering: Filtering,
    translated: bool,
    hairpin: Option<bool>,
}

impl World5780 {
    fn new() -> Self {
        use Filtering as F;
        use Mapping as M;
        let lab = Lab::new();
        let coturn = Coturn::start(&lab.public_host("stun", &COTURN));
        let service = Service::full(&lab.public_host("own", &OWN));
        let nat = |mapping, filtering, hairpin| {
            Some(Expected { mapping, filtering, translated: true, hairpin: Some(hairpin) })
        };
        let independent = M::EndpointIndependent;
        let open =
            Expected { mapping: independent, filtering: F::EndpointIndependent, translated: false, hairpin: None };
        let kinds = [
            (NatKind::None, Some(open)),
            (NatKind::FullCone, nat(independent, F::EndpointIndependent, false)),
            (NatKind::AddressRestricted, nat(independent, F::AddressDependent, false)),
            (NatKind::PortRestricted, nat(independent, F::AddressAndPortDependent, false)),
            (NatKind::Hairpin, nat(independent, F::AddressAndPortDependent, true)),
            (NatKind::Symmetric, nat(M::AddressAndPortDependent, F::AddressAndPortDependent, false)),
            (NatKind::UdpBlocked, None),
        ];
        let mut hosts = Vec::new();
        for (number, (kind, expected)) in (1u8..).zip(kinds) {
            let wan = Ipv4Addr::new(203, 0, 113, 100 + number);
            let site = lab.site(&format!("r{number}"), wan, [192, 168, number], kind);
            hosts.push((format!("{kind:?}"), lab.lan_host(&site, &format!("h{number}"), 10), expected));
            if kind == NatKind::PortRestricted {
                let inner = lab.site_behind(&site, "inner", 2, [10, 0, 0], NatKind::PortRestricted);
                hosts.push(("double NAT".to_owned(), lab.lan_host(&inner, "hd", 10), expected));
            }
        }
        Self { _coturn: coturn, _service: service, hosts, _lab: lab }
    }
}

fn found(seen: &Seen) -> Option<Expected> {
    let Seen { hairpin, .. } = *seen;
    Some(Expected { mapping: seen.mapping?, filtering: seen.filtering?, translated: seen.is_translated(), hairpin })
}

/// Runs `experiment` in a laboratory with coturn, or skips `test`.
fn with_coturn(test: &str, experiment: impl FnOnce()) {
    match missing_program(&["turnserver", "turnutils_natdiscovery", "turnutils_stunclient"]) {
        Some(program) => skip(test, &format!("{program} is not installed")),
        None => laboratory(test, experiment),
    }
}

#[test]
fn every_kind_of_nat_is_told_by_coturn_and_by_our_own_service() {
    let _machine = sharing();
    with_coturn("every_kind_of_nat_is_told_by_coturn_and_by_our_own_service", || {
        let world = World5780::new();
        let began = Instant::now();
        let asked: Vec<_> = world
            .hosts
            .iter()
            .map(|(name, host, expected)| {
                let servers = [COTURN, OWN].map(|server| discover_from(host, &[primary(server)]));
                (name, expected, servers)
            })
            .collect();
        for (name, expected, [by_coturn, by_us]) in asked {
            let (by_coturn, by_us) = (by_coturn.join().expect("it runs"), by_us.join().expect("it runs"));
            println!("{name}: by coturn {:?}, by our service {:?}", by_coturn.ipv4, by_us.ipv4);
            match expected {
                Some(_) => {
                    assert_eq!(by_coturn.ipv4.as_ref().and_then(found), *expected, "{name}, coturn");
                    assert_eq!(by_us.ipv4.as_ref().and_then(found), *expected, "{name}, our service");
                    assert_eq!((by_coturn.udp_blocked, by_us.udp_blocked), (Some(false), Some(false)));
                }
                None => {
                    // coturn listens on TCP, too, and so tells a blocked UDP from a dead network.
                    assert_eq!((by_coturn.ipv4, by_coturn.udp_blocked), (None, Some(true)), "{name}, coturn");
                    assert_eq!((by_us.ipv4, by_us.udp_blocked), (None, None), "{name}, our service");
                }
            }
        }
        println!("{} networks, two servers each, in {:.1} s", world.hosts.len(), began.elapsed().as_secs_f64());
    });
}

#[test]
fn plain_servers_tell_the_mapping_and_one_with_two_ports_tells_more() {
    let _machine = sharing();
    laboratory("plain_servers_tell_the_mapping_and_one_with_two_ports_tells_more", || {
        let lab = Lab::new();
        let machine = lab.public_host("own", &OWN);
        let [one, two] = OWN;
        let endpoint = |ip: Ipv4Addr, port: u16| SocketAddr::from((ip, port));
        let _plain = [endpoint(one, 3478), endpoint(two, 3478)].map(|at| Service::start(&machine, &[at]));
        let _two_ports = Service::start(&machine, &[endpoint(one, 5000), endpoint(one, 5001)]);
        let sites = [(1, NatKind::PortRestricted), (2, NatKind::Symmetric)].map(|(number, kind)| {
            let site =
                lab.site(&format!("r{number}"), Ipv4Addr::new(203, 0, 113, 100 + number), [192, 168, number], kind);
            lab.lan_host(&site, &format!("h{number}"), 10)
        });
        let told = |host: &Netns, servers: &[SocketAddr]| {
            let report = discover_from(host, servers).join().expect("it runs");
            let seen = report.ipv4.expect("a server answers");
            println!("{servers:?}: {:?} / {:?}, {:?}", seen.mapping, seen.filtering, seen.kind());
            (seen.mapping, seen.filtering)
        };
        let [restricted, symmetric] = &sites;
        let (independent, dependent) = (Some(Mapping::EndpointIndependent), Some(Mapping::AddressAndPortDependent));
        let strict = Some(Filtering::AddressAndPortDependent);
        let plain = [endpoint(one, 3478), endpoint(two, 3478)];
        assert_eq!(told(restricted, &plain), (independent, None));
        assert_eq!(told(symmetric, &plain), (dependent, None));
        assert_eq!(told(restricted, &plain[..1]), (None, None), "one plain server proves nothing");
        assert_eq!(told(restricted, &[endpoint(one, 5000)]), (None, strict));
        assert_eq!(told(symmetric, &[endpoint(one, 5000)]), (dependent, strict));
        assert_eq!(told(restricted, &[endpoint(one, 5000), plain[1]]), (independent, strict), "together they know all");
    });
}

#[test]
fn the_lifetime_of_an_idle_mapping_is_found() {
    let _machine = sharing();
    with_coturn("the_lifetime_of_an_idle_mapping_is_found", || {
        const IDLE: Duration = Duration::from_secs(10);
        let lab = Lab::new();
        let _coturn = Coturn::start(&lab.public_host("stun", &COTURN));
        let _service = Service::full(&lab.public_host("own", &OWN));
        let asked: Vec<_> = [(1, None), (2, Some(4))]
            .into_iter()
            .flat_map(|(number, forgets_after_s)| {
                let wan = Ipv4Addr::new(203, 0, 113, 100 + number);
                let site = lab.site(&format!("r{number}"), wan, [192, 168, number], NatKind::PortRestricted);
                if let Some(seconds) = forgets_after_s {
                    for key in ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"] {
                        let setting = format!("net.netfilter.{key}={seconds}");
                        let set = site.router.command(&["sysctl", "-qw", &setting]).status().expect("ip was found");
                        assert!(set.success(), "{setting}");
                    }
                }
                let host = lab.lan_host(&site, &format!("h{number}"), 10);
                [COTURN, OWN].map(|server| {
                    let servers = vec![primary(server)];
                    let config = DiscoverConfig { servers, loopback_only: false, mapping_lifetime: Some(IDLE) };
                    (forgets_after_s, server, host.thread(move || here(discover(config))))
                })
            })
            .collect();
        for (forgets_after_s, server, report) in asked {
            let lifetime = report.join().expect("it runs").ipv4.and_then(|seen| seen.mapping_lifetime);
            println!("the router forgets after {forgets_after_s:?} s, asked {server:?}: {lifetime:?}");
            let expected = match forgets_after_s {
                None => MappingLifetime { at_least: IDLE, gone_after: None },
                Some(_) => MappingLifetime { at_least: Duration::ZERO, gone_after: Some(IDLE) },
            };
            assert_eq!(lifetime, Some(expected));
        }
    });
}

#[test]
fn independent_clients_learn_the_same_from_our_service() {
    let _machine = sharing();
    with_coturn("independent_clients_learn_the_same_from_our_service", || {
        let world = World5780::new();
        // Side by side, for what they wait for most of the time is silence.
        let said: Vec<_> = std::thread::scope(|scope| {
            let asked: Vec<_> = world
                .hosts
                .iter()
                .filter_map(|(name, host, expected)| Some((name, host, (*expected)?)))
                .map(|(name, host, expected)| {
                    (name, expected, scope.spawn(|| (crate_stun_client(host), coturns_client(host))))
                })
                .collect();
            asked.into_iter().map(|(name, expected, said)| (name, expected, said.join().expect("it runs"))).collect()
        });
        for (name, expected, ([mapping, filtering], said)) in said {
            println!("{name}: the crate says {mapping:?} / {filtering:?}; coturn's client says {said:?}");
            let (as_mapping, as_filtering) = in_words_of_the_crate(expected);
            assert_eq!((mapping, filtering), (as_mapping, as_filtering), "{name}");
            for words in in_words_of_coturn(expected) {
                assert!(said.contains(&words.to_owned()), "{name}: {words:?} is not in {said:?}");
            }
        }
    });
}

/// What the crate `stun-client` finds out through our service.
fn crate_stun_client(host: &Netns) -> [String; 2] {
    let ask = || {
        here(async {
            let server = primary(OWN);
            // A fresh socket each, lest the mapping test opens the filter.
            let mut client = stun_client::Client::new("0.0.0.0:0", None).await.expect("a socket opens");
            let mapping = check_nat_mapping_behavior(&mut client, server).await.expect("our service answers");
            let mut client = stun_client::Client::new("0.0.0.0:0", None).await.expect("a socket opens");
            let filtering = check_nat_filtering_behavior(&mut client, server).await.expect("our service answers");
            [format!("{:?}", mapping.mapping_type), format!("{:?}", filtering.filtering_type)]
        })
    };
    host.thread(ask).join().expect("the client runs")
}

fn in_words_of_the_crate(expected: Expected) -> (String, String) {
    let mapping = match expected.mapping {
        _ if !expected.translated => NATMappingType::NoNAT,
        Mapping::EndpointIndependent => NATMappingType::EndpointIndependent,
        Mapping::AddressDependent => NATMappingType::AddressDependent,
        Mapping::AddressAndPortDependent => NATMappingType::AddressAndPortDependent,
    };
    let filtering = match expected.filtering {
        Filtering::EndpointIndependent => NATFilteringType::EndpointIndependent,
        Filtering::AddressDependent => NATFilteringType::AddressDependent,
        Filtering::AddressAndPortDependent => NATFilteringType::AddressAndPortDependent,
    };
    (format!("{mapping:?}"), format!("{filtering:?}"))
}

/// What coturn's own client finds out through our service, line by line.
fn coturns_client(host: &Netns) -> Vec<String> {
    let [ip, _] = OWN;
    let run = |words: &[&str]| {
        let output = host.command(words).arg(ip.to_string()).stdin(Stdio::null()).output().expect("it was found");
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
    };
    // `-f` after `-m` in one run would find the filter opened by the first test.
    let text = [run(&["turnutils_natdiscovery", "-m"]), run(&["turnutils_natdiscovery", "-f"])].concat();
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn in_words_of_coturn(expected: Expected) -> [&'static str; 2] {
    // Bound to any address it cannot tell a NAT that is endpoint-independent from none.
    let mapping = match expected.mapping {
        Mapping::EndpointIndependent => "NAT with Endpoint Independent Mapping!",
        Mapping::AddressDependent => "NAT with Address Dependent Mapping!",
        Mapping::AddressAndPortDependent => "NAT with Address and Port Dependent Mapping!",
    };
    let filtering = match expected.filtering {
        Filtering::EndpointIndependent => "NAT with Endpoint Independent Filtering!",
        Filtering::AddressDependent => "NAT with Address Dependent Filtering!",
        Filtering::AddressAndPortDependent => "NAT with Address and Port Dependent Filtering!",
    };
    [mapping, filtering]
}

/// The laboratory is what it is called: a failure here is the machine's, not the product's.
#[test]
fn the_laboratorys_further_networks_behave_as_they_are_called() {
    let _machine = sharing();
    laboratory("the_laboratorys_further_networks_behave_as_they_are_called", || {
        let lab = Lab::new();
        let _responder = Responder::start(&lab.public_host("stun", &COTURN), COTURN);
        let wan = |number| Ipv4Addr::new(203, 0, 113, number);
        let outer = lab.site("r1", wan(101), [192, 168, 1], NatKind::PortRestricted);
        let inner = lab.site_behind(&outer, "inner", 2, [10, 0, 0], NatKind::PortRestricted);
        let hairpin = lab.site("r2", wan(102), [192, 168, 2], NatKind::Hairpin);
        let blocked = lab.site("r3", wan(103), [192, 168, 3], NatKind::UdpBlocked);
        let as_home = Some(Behaviour {
            mapping: Dependence::EndpointIndependent,
            filtering: Dependence::AddressAndPortDependent,
            translated: true,
        });
        assert_eq!(probe(&lab.lan_host(&inner, "hd", 10), COTURN), as_home);
        assert_eq!(probe(&lab.lan_host(&hairpin, "h2", 10), COTURN), as_home);
        assert_eq!(probe(&lab.lan_host(&blocked, "h3", 10), COTURN), None);
    });
}

#[test]
fn the_doctor_says_what_each_network_means() {
    let _machine = sharing();
    with_coturn("the_doctor_says_what_each_network_means", || {
        let lab = Lab::new();
        let node = lab.public_host("node", &[NODE]);
        let _coturn = Coturn::start(&lab.public_host("stun", &COTURN));
        let world = World::in_laboratory(&node, NODE, &["--stun", "203.0.113.10:3478"]);
        assert_diagnoses(&lab, &world);
        world.finish();
    });
}

/// Nobody is named but a node to enter by; that node has two addresses, and so all that RFC 5780 needs.
#[test]
fn without_options_the_doctor_asks_super_peers() {
    let _machine = sharing();
    laboratory("without_options_the_doctor_asks_super_peers", || {
        let lab = Lab::new();
        let addresses = [NODE, Ipv4Addr::new(203, 0, 113, 21)];
        let world = World::in_laboratory_at(&lab.public_host("node", &addresses), &addresses, &["--no-public-stun"]);
        assert_diagnoses(&lab, &world);
        let site = lab.site("r5", Ipv4Addr::new(203, 0, 113, 105), [192, 168, 5], NatKind::Tcp443);
        let host = lab.lan_host(&site, "h5", 10);
        let launch = world.launch("p5", [&["doctor"][..], &SILENT].concat()).inside(Some(&host));
        let (code, lines) = launch.start_and_wait(DOCTOR);
        assert_eq!(code, Some(0), "{lines:#?}");
        assert_eq!(the(&lines, "check", |line| line["what"] == "udp")["verdict"], "problem", "told over TCP port 443");
        assert_eq!(the(&lines, "diagnosis", |_| true)["reach"], "relayed");
        world.finish();
    });
}

/// What the doctor says in four kinds of network.
fn assert_diagnoses(lab: &Lab, world: &World) {
    for (number, kind, nat, reach, words) in [
        (1, NatKind::None, Some("open"), "direct", "directly from everywhere"),
        (2, NatKind::PortRestricted, Some("port_restricted"), "direct", "directly from most networks"),
        (3, NatKind::Symmetric, Some("symmetric"), "relayed", "through a relay from all others"),
        (4, NatKind::UdpBlocked, None, "relayed", "this network blocks UDP"),
    ] {
        let wan = Ipv4Addr::new(203, 0, 113, 100 + number);
        let site = lab.site(&format!("r{number}"), wan, [192, 168, number], kind);
        let host = lab.lan_host(&site, &format!("h{number}"), 10);
        let launch = |name: &str| world.launch(name, [&["doctor"][..], &SILENT].concat()).inside(Some(&host));
        let began = Instant::now();
        let (code, lines) = launch(&format!("p{number}")).start_and_wait(DOCTOR);
        println!("{kind:?}: {:.1} s", began.elapsed().as_secs_f64());
        contract::check("doctor", &lines);
        let diagnosis = the(&lines, "diagnosis", |_| true);
        assert_eq!(code, Some(0), "{lines:#?}");
        assert_eq!(diagnosis["nat"].as_str(), nat, "{diagnosis}");
        assert_eq!((diagnosis["reach"].as_str(), diagnosis["callable"].as_bool()), (Some(reach), Some(true)));
        assert!(diagnosis["answer"].as_str().is_some_and(|answer| answer.contains(words)), "{diagnosis}");
        let udp = if kind == NatKind::UdpBlocked { "problem" } else { "fine" };
        assert_eq!(the(&lines, "check", |line| line["what"] == "udp")["verdict"], udp);
        let finished = launch(&format!("q{number}")).run_for_people(DOCTOR);
        println!("{}", finished.said());
        assert_eq!(finished.code, Some(0));
        assert!(finished.stdout.contains(words), "{finished:?}");
    }
}

/// The one line that is meant.
fn the<'a>(lines: &'a [Value], event: &str, wanted: impl Fn(&Value) -> bool) -> &'a Value {
    let found: Vec<&Value> = lines.iter().filter(|line| line["event"] == event && wanted(line)).collect();
    assert_eq!(found.len(), 1, "{event} in {lines:#?}");
    found[0]
}

#[test]
fn on_loopback_the_doctor_finds_a_node_and_a_server() {
    let _machine = sharing();
    let world = World::on_loopback();
    here(async {
        let addresses = [[127, 0, 0, 1], [127, 0, 0, 2]].map(|ip| SocketAddrV4::new(ip.into(), 0).into());
        let server = StunServer::bind(&addresses).await.expect("loopback is there");
        let stun = server.endpoints()[0].to_string();
        let options = ["doctor", "--stun", &stun, "--mic", "tone:440", "--speaker", "null", "--ring-device", "null"];
        let launch = world.launch("alice", options);
        let (code, lines) = tokio::task::spawn_blocking(|| launch.start_and_wait(DOCTOR)).await.expect("it runs");
        contract::check("doctor", &lines);
        assert_eq!(code, Some(0), "{lines:#?}");
        let verdict = |what: &str| the(&lines, "check", |line| line["what"] == what)["verdict"].clone();
        for fine in ["dht", "udp", "public_address", "nat", "devices", "microphone_level"] {
            assert_eq!(verdict(fine), "fine", "{fine}: {lines:#?}");
        }
        assert_eq!(verdict("ipv6"), "unknown", "isolated means isolated");
        let diagnosis = the(&lines, "diagnosis", |_| true);
        assert_eq!((diagnosis["nat"].as_str(), diagnosis["reach"].as_str()), (Some("open"), Some("direct")));
    });
    world.finish();
}

#[test]
fn the_process_that_is_to_be_called_is_the_one_that_looks() {
    let _machine = sharing();
    let world = World::on_loopback();
    let mut bob = world.answering("bob", &[&AUTO[..], &SILENT].concat(), None);
    let doctor = || Launch::new("doctor", &world.home("bob")).args(["doctor", "--isolated"]);
    let (code, lines) = doctor().start_and_wait(DOCTOR);
    contract::check("doctor", &lines);
    assert_eq!(code, Some(0), "{lines:#?}");
    assert_eq!(the(&lines, "check", |line| line["what"] == "dht")["verdict"], "fine");
    assert_eq!(the(&lines, "diagnosis", |_| true)["callable"], true);
    let finished = doctor().run_for_people(DOCTOR);
    assert!(finished.stdout.contains("Yes, you can be called"), "{finished:?}");
    assert!(bob.process.all("check").is_empty(), "whoever answers did not ask");
    finish(&mut bob.process, 0);
    world.finish();
}

#[test]
fn alone_on_loopback_the_doctor_says_so_and_guesses_nothing() {
    let _machine = sharing();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let doctor = |name: &str| {
        Launch::new(name, &folder.path().join(name)).args(["doctor", "--isolated", "--no-mdns"]).args(SILENT)
    };
    let (code, lines) = doctor("alice").start_and_wait(DOCTOR);
    contract::check("doctor", &lines);
    assert_eq!(code, Some(4), "nothing can be reached: {lines:#?}");
    for what in ["udp", "public_address", "nat"] {
        let check = the(&lines, "check", |line| line["what"] == what);
        assert_eq!(check["verdict"], "unknown");
        assert!(check["finding"].as_str().is_some_and(|finding| finding.contains("there is nobody to ask")), "{check}");
    }
    assert_eq!(
        the(&lines, "check", |line| line["what"] == "microphone_level")["verdict"],
        "warning",
        "silence is silent"
    );
    let finished = doctor("bob").run_for_people(DOCTOR);
    println!("{}", finished.said());
    assert_eq!(finished.code, Some(4));
    assert!(finished.stderr.contains("No, you cannot be called: no node of the network answers"), "{finished:?}");
}
