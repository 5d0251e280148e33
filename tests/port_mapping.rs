//! Super-peers behind a router that opens ports when asked: miniupnpd, as in many homes, in a network laboratory.

mod common;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::machine::sharing;
use common::netlab::{Lab, NatKind, Netns, Site, laboratory};
use common::process::{Launch, Process};
use common::skip::{missing_program, skip};
use common::world::{AUTO, SILENT, START_UP, finish};

/// miniupnpd maps nothing at an address that is not public, and documentation addresses are not.
const WAN: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 101);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 102);
const INSIDE: &str = "192.168.1.10";
const PATIENCE: Duration = Duration::from_secs(40);
const CHAINS: &str = "table inet miniupnpd {
  chain forward { }
  chain prerouting { type nat hook prerouting priority -100; policy accept; }
  chain postrouting { type nat hook postrouting priority 100; policy accept; }
}";

/// A home, its router, and somebody outside.
struct Home {
    site: Site,
    host: Netns,
    outside: Netns,
    daemon: Child,
    folder: tempfile::TempDir,
    _lab: Lab,
}

impl Home {
    /// `pmp`: the router speaks NAT-PMP and PCP beside UPnP.
    fn new(pmp: bool) -> Self {
        let lab = Lab::new();
        let site = lab.site("home", WAN, [192, 168, 1], NatKind::PortRestricted);
        let host = lab.lan_host(&site, "node", 10);
        let outside = lab.public_host("outside", &[OUTSIDE]);
        let folder = tempfile::TempDir::with_prefix("twocans-upnp-").expect("a temporary folder can be made");
        let daemon = start_daemon(&site, folder.path(), pmp);
        Self { site, host, outside, daemon, folder, _lab: lab }
    }

    fn launch(&self, name: &str, words: &[&str], host: &Netns) -> Launch {
        Launch::new(name, &self.folder.path().join(name))
            .args(words)
            .args(["--no-mdns", "--no-mainline", "--no-public-stun"])
            .inside(Some(host))
    }

    /// The router's rules that lead somebody in.
    fn open_ports(&self) -> Vec<String> {
        let rules =
            self.site.router.command(&["nft", "list", "table", "inet", "miniupnpd"]).output().expect("nft is there");
        let rules = String::from_utf8_lossy(&rules.stdout).into_owned();
        rules.lines().filter(|line| line.contains("dnat")).map(|line| line.trim().to_owned()).collect()
    }

    fn await_no_open_port(&self) {
        let end = Instant::now() + PATIENCE;
        while !self.open_ports().is_empty() {
            assert!(Instant::now() < end, "ports stay open: {:?}", self.open_ports());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn start_daemon(site: &Site, folder: &Path, pmp: bool) -> Child {
    let (chains, config, log) = (folder.join("chains"), folder.join("config"), folder.join("log"));
    std::fs::write(&chains, CHAINS).expect("the file can be written");
    let made = site.router.command(&["nft", "-f", chains.to_str().expect("utf-8")]).status().expect("nft is there");
    assert!(made.success());
    let pmp = if pmp { "yes" } else { "no" };
    let text = format!(
        "ext_ifname=wan\next_ip={WAN}\nlistening_ip=lan\nenable_natpmp={pmp}\nenable_upnp=yes\nsecure_mode=yes\n\
         upnp_table_name=miniupnpd\nupnp_nat_table_name=miniupnpd\nupnp_forward_chain=forward\n\
         upnp_nat_chain=prerouting\nupnp_nat_postrouting_chain=postrouting\n\
         uuid=00000000-0000-0000-0000-000000000001\nallow 1-65535 192.168.1.0/24 1-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n"
    );
    std::fs::write(&config, text).expect("the file can be written");
    let log = std::fs::File::create(log).expect("the file can be made");
    let mut command: Command = site.router.command(&["setpriv", "--pdeathsig", "KILL", "--", "miniupnpd", "-d", "-f"]);
    command.arg(&config).stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
    command.spawn().expect("setpriv is there")
}

fn laboratory_with_daemon(test: &str, experiment: impl FnOnce()) {
    let _machine = sharing();
    if let Some(program) = missing_program(&["miniupnpd"]) {
        return skip(test, &format!("{program} is not installed"));
    }
    laboratory(test, experiment);
}

fn next_mapping(node: &mut Process) -> (String, String) {
    let mapping = node.next_where("port_mapping", |event| event["external"].is_string(), PATIENCE);
    let text = |field: &str| mapping[field].as_str().expect("text").to_owned();
    (text("external"), text("by"))
}

fn a_super_peer_at_home_is_reached(pmp: bool, ways: &[&str]) {
    let home = Home::new(pmp);
    let listen = format!("/ip4/{INSIDE}/udp/4001/quic-v1");
    let mut node = home.launch("node", &["node", "--super-peer", "always", "--listen", &listen], &home.host).start();
    let ready = node.next("ready", START_UP);
    let (external, by) = next_mapping(&mut node);
    assert_eq!(external, format!("{WAN}:4001"));
    assert!(ways.contains(&by.as_str()), "{by}");
    println!("opened by {by}: {:?}", home.open_ports());

    // Somebody outside enters the network through the router's address alone.
    let bootstrap = format!("/ip4/{WAN}/udp/4001/quic-v1/p2p/{}", ready["node"].as_str().expect("text"));
    let options = [&["answer"][..], &AUTO, &SILENT, &["--bootstrap", &bootstrap]].concat();
    let mut bob = home.launch("bob", &options, &home.outside).start();
    bob.next_where("presence_published", |event| event["acks"].as_f64() >= Some(1.0), PATIENCE);
    finish(&mut bob, 0);
    finish(&mut node, 0);
    home.await_no_open_port();
}

#[test]
fn a_super_peer_behind_a_router_with_pcp_is_reached() {
    laboratory_with_daemon("a_super_peer_behind_a_router_with_pcp_is_reached", || {
        a_super_peer_at_home_is_reached(true, &["PCP", "NAT-PMP"]);
    });
}

#[test]
fn a_super_peer_behind_a_router_with_upnp_alone_is_reached() {
    laboratory_with_daemon("a_super_peer_behind_a_router_with_upnp_alone_is_reached", || {
        a_super_peer_at_home_is_reached(false, &["UPnP"]);
    });
}

/// What takes ten minutes in life takes three seconds here.
#[test]
fn somebody_at_home_serves_through_the_router_unless_told_not_to() {
    laboratory_with_daemon("somebody_at_home_serves_through_the_router_unless_told_not_to", || {
        let home = Home::new(true);
        let listen = format!("/ip4/{OUTSIDE}/udp/4001/quic-v1");
        let mut node =
            home.launch("node", &["node", "--super-peer", "always", "--listen", &listen], &home.outside).start();
        let id = node.next("ready", START_UP)["node"].as_str().expect("text").to_owned();
        let (bootstrap, listen) = (format!("{listen}/p2p/{id}"), format!("/ip4/{INSIDE}/udp/4001/quic-v1"));
        let willing = |name: &str, mode: &str| {
            let verb = ["answer", "--volunteer-after", "3", "--bootstrap", &bootstrap, "--listen", &listen];
            let words = [&verb[..], &AUTO, &SILENT, &["--super-peer", mode]].concat();
            let mut process = home.launch(name, &words, &home.host).start();
            process.next_where("presence_published", |event| event["acks"].as_f64() >= Some(1.0), PATIENCE);
            process
        };
        let mut never = willing("never", "never");
        // The other one asks the router after one and a half.
        std::thread::sleep(Duration::from_secs(6));
        assert_eq!(home.open_ports(), Vec::<String>::new());
        finish(&mut never, 0);

        let mut alice = willing("alice", "auto");
        let (external, by) = next_mapping(&mut alice);
        assert_eq!(external, format!("{WAN}:4001"));
        let served = alice.next_where("super_peer", |event| event["on"] == true, PATIENCE);
        println!("opened by {by}: {served}");
        assert_eq!(served["reason"], format!("others can reach this machine at {WAN}"));

        // Somebody outside knows nobody else.
        finish(&mut node, 0);
        let id = alice.all("ready")[0]["node"].as_str().expect("text").to_owned();
        let bootstrap = format!("/ip4/{WAN}/udp/4001/quic-v1/p2p/{id}");
        let options = [&["answer"][..], &AUTO, &SILENT, &["--bootstrap", &bootstrap]].concat();
        let mut bob = home.launch("bob", &options, &home.outside).start();
        let published = bob.next_where("presence_published", |event| event["acks"].as_f64() >= Some(1.0), PATIENCE);
        assert_eq!(published["relays"][0], id.as_str(), "{published}");
        finish(&mut bob, 0);
        finish(&mut alice, 0);
        home.await_no_open_port();
    });
}

#[test]
fn the_doctor_says_whether_the_router_opens_ports() {
    laboratory_with_daemon("the_doctor_says_whether_the_router_opens_ports", || {
        let mut home = Home::new(true);
        let examine = |home: &Home, name: &str| {
            let (_, lines) =
                home.launch(name, &[&["doctor"][..], &SILENT].concat(), &home.host).start_and_wait(PATIENCE);
            let check = lines.iter().find(|line| line["event"] == "check" && line["what"] == "port_mapping");
            check.unwrap_or_else(|| panic!("no check of it: {lines:?}")).clone()
        };
        let check = examine(&home, "first");
        assert_eq!(check["verdict"], "fine", "{check}");
        assert!(check["finding"].as_str().is_some_and(|finding| finding.contains(&WAN.to_string())), "{check}");
        home.await_no_open_port();
        home.daemon.kill().expect("it runs");
        home.daemon.wait().expect("it ended");
        let check = examine(&home, "second");
        assert_eq!(check["verdict"], "unknown", "{check}");
    });
}
