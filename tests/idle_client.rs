//! What a client costs that nobody calls: the real binary behind a NAT, on a network of a hundred DHT servers, with its
//! three places at super-peers and twenty contacts.
//!
//! The presence record is renewed every 25 minutes, by turns on the nodes that had it and on those that are closest then;
//! here every minute, by the option that sets it, so that one renewal of each kind falls into the time that is watched.
//! What the time before costs and what a renewal adds is measured apart, and put together as 25 minutes have it.

mod common;
mod dht_lab;

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use twocans::rendezvous::RendezvousConfig;

use common::figures::{cpu_time, rss_mb};
use common::machine::measuring;
use common::netlab::{Lab, NatKind, Netns, laboratory};
use common::process::Process;
use common::world::{LABORATORY, SILENT, finish};
use dht_lab::{Member, entrances, person_key, raise_file_limit};

const SERVERS: usize = 110;
const SERVERS_AT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const CONTACTS: usize = 20;
/// What production does, and what is set here.
const PERIOD_S: f64 = 25.0 * 60.0;
const RENEWAL_S: u64 = 60;
/// After a renewal: connections that it made are closed after 15 s.
const RENEWED: Duration = Duration::from_secs(25);
const QUIET: Duration = Duration::from_secs(25);
const PATIENCE: Duration = Duration::from_secs(60);

/// Targets of the issue, averages over 25 minutes.
const MAX_BYTES_PER_S: f64 = 250.0;
const MAX_SWITCHES_PER_S: f64 = 5.0;
const MAX_CPU: f64 = 0.003;
/// The processor of a test build, on a machine that may be slower.
const CPU_MARGIN: f64 = 3.0;

/// Everything that a process and its machine have used up so far.
#[derive(Debug, Clone)]
struct Meter {
    at: Instant,
    /// IP packets with their headers, both ways.
    bytes: f64,
    packets: f64,
    /// Voluntary context switches by thread.
    switches: BTreeMap<String, f64>,
    cpu_s: f64,
}

/// The difference of two.
#[derive(Debug, Clone)]
struct Cost {
    seconds: f64,
    bytes: f64,
    packets: f64,
    switches: f64,
    cpu_s: f64,
}

impl Meter {
    fn read(host: &Netns, process: &Process) -> Self {
        const ETHERNET_HEADER: f64 = 14.0;
        let table = host.command(&["cat", "/proc/net/dev"]).output().expect("ip was found").stdout;
        let table = String::from_utf8_lossy(&table);
        let line = table.lines().find_map(|line| line.trim().strip_prefix("eth0:")).expect("the machine has eth0");
        let fields: Vec<f64> = line.split_whitespace().map(|field| field.parse().expect("a number")).collect();
        let packets = fields[1] + fields[9];
        Self {
            at: Instant::now(),
            bytes: fields[0] + fields[8] - packets * ETHERNET_HEADER,
            packets,
            switches: voluntary_switches(process.pid()),
            cpu_s: cpu_time(process.pid()).as_secs_f64(),
        }
    }

    fn since(&self, before: &Self) -> Cost {
        let sum = |meter: &Self| meter.switches.values().sum::<f64>();
        Cost {
            seconds: (self.at - before.at).as_secs_f64(),
            bytes: self.bytes - before.bytes,
            packets: self.packets - before.packets,
            switches: sum(self) - sum(before),
            cpu_s: self.cpu_s - before.cpu_s,
        }
    }

    /// Which threads woke up how often.
    fn threads_since(&self, before: &Self) -> Vec<(String, f64)> {
        let woken = |(thread, switches): (&String, &f64)| {
            let count = switches - before.switches.get(thread).copied().unwrap_or_default();
            (count > 0.0).then(|| (thread.clone(), count))
        };
        self.switches.iter().filter_map(woken).collect()
    }
}

/// Of every thread, from `/proc`.
fn voluntary_switches(pid: u32) -> BTreeMap<String, f64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives").flatten();
    let switches = tasks.filter_map(|task| {
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let name = format!("{} {}", field("Name:")?, task.file_name().to_string_lossy());
        Some((name, field("voluntary_ctxt_switches:")?.parse().ok()?))
    });
    switches.collect()
}

/// Near midnight (UTC) a record lies under two keys, and a renewal costs twice as much.
fn keys() -> f64 {
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    if (3..21).contains(&(unix_s / 3600 % 24)) { 1.0 } else { 2.0 }
}

impl Cost {
    fn describe(&self, what: &str) -> String {
        format!(
            "{what}, {:.0} s: {:.0} bytes in {:.0} packets, {:.0} voluntary context switches, {:.2} s of processor",
            self.seconds, self.bytes, self.packets, self.switches, self.cpu_s
        )
    }
}

#[test]
fn a_client_that_nobody_calls_costs_next_to_nothing() {
    let _machine = measuring();
    laboratory("a_client_that_nobody_calls_costs_next_to_nothing", || {
        raise_file_limit();
        let lab = Lab::new();
        let servers_host = lab.public_host("servers", &[SERVERS_AT]);
        let site = lab.site("ra", Ipv4Addr::new(203, 0, 113, 101), [192, 168, 1], NatKind::PortRestricted);
        let host = lab.lan_host(&site, "ha", 10);
        let mut servers: Vec<Member> = Vec::new();
        for _ in 0..SERVERS {
            let config = RendezvousConfig {
                server: true,
                mdns: false,
                bootstrap: entrances(&servers),
                listen: ["udp/0/quic-v1", "tcp/0"].map(|way| format!("/ip4/{SERVERS_AT}/{way}")).to_vec(),
                treat_as_public: vec!["203.0.113.0/24".to_owned()],
                ..RendezvousConfig::default()
            };
            servers.push(Member::start_on(config, |work| servers_host.thread(work)));
        }
        let bootstrap: Vec<String> =
            entrances(&servers).iter().flat_map(|at| ["--bootstrap".to_owned(), at.clone()]).collect();
        let folder = tempfile::TempDir::with_prefix("twocans-idle-").expect("a temporary folder can be made");
        let launch = |verb: &[&str]| common::process::Launch::new("client", folder.path()).args(verb);
        for number in 0..CONTACTS {
            let link = format!("twocans:{}", person_key(number).person());
            let (code, _) = launch(&["contacts", "add", &link]).start_and_wait(PATIENCE);
            assert_eq!(code, Some(0));
        }
        let renewal = RENEWAL_S.to_string();
        let mut client = launch(&["answer", "--presence-refresh", &renewal])
            .args(SILENT)
            .args(LABORATORY)
            .args(&bootstrap)
            .inside(Some(&host))
            .start();
        let full = |event: &serde_json::Value| {
            event["relays"].as_array().is_some_and(|relays| relays.len() == 3) && event["acks"].as_f64() >= Some(15.0)
        };
        let published = client.next_where("presence_published", full, PATIENCE);
        println!("published on {} nodes through three super-peers", published["acks"]);
        thread::sleep(RENEWED);

        let begin = Meter::read(&host, &client);
        thread::sleep(QUIET);
        let quiet_end = Meter::read(&host, &client);
        for _ in 0..2 {
            client.next_where("presence_published", full, PATIENCE * 2);
            thread::sleep(RENEWED);
        }
        let end = Meter::read(&host, &client);

        let (quiet, all) = (quiet_end.since(&begin), end.since(&begin));
        println!("{}", quiet.describe("quiet"));
        println!("woken meanwhile: {:?}", quiet_end.threads_since(&begin));
        println!("{}", all.describe("with two renewals"));
        println!("woken in all: {:?}", end.threads_since(&begin));
        let average = |value: fn(&Cost) -> f64| {
            let per_second = value(&quiet) / quiet.seconds;
            let renewal = (value(&all) - per_second * all.seconds) / 2.0 / keys();
            (per_second, renewal, per_second + renewal / PERIOD_S)
        };
        let (bytes, switches, cpu) =
            (average(|cost| cost.bytes), average(|cost| cost.switches), average(|cost| cost.cpu_s));
        println!("a renewal costs {:.0} bytes, {:.0} switches, {:.3} s", bytes.1, switches.1, cpu.1);
        println!(
            "an idle client, averages over 25 minutes with one renewal: {:.0} B/s (quiet {:.0}), {:.2} voluntary context switches/s (quiet {:.2}), {:.3} % CPU; {:.0} MB",
            bytes.2,
            bytes.0,
            switches.2,
            switches.0,
            cpu.2 * 100.0,
            rss_mb(client.pid())
        );
        assert!(bytes.2 <= MAX_BYTES_PER_S, "{} bytes per second", bytes.2);
        assert!(switches.2 <= MAX_SWITCHES_PER_S, "{} switches per second", switches.2);
        assert!(cpu.2 <= MAX_CPU * CPU_MARGIN, "{} of a core", cpu.2);
        finish(&mut client, 0);
    });
}
