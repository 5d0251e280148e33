//! A network laboratory in Linux network namespaces: hosts on a public segment, hosts behind NAT routers.
//!
//! ```text
//!            core  (a plain router: the internet; 203.0.113.0/24 lives behind it)
//!   ┌─────────┼───────────┬──────────────┐
//!  node      stun       site A         site B        one veth each, named w<name> in the core
//!  .20     .10  .11    router .101    router .102    a NAT of any kind, a firewall
//!                        │ bridge lan   │ bridge lan
//!                      hosts 192.168.1.x  hosts 192.168.2.x
//! ```
//!
//! All public traffic crosses the core, so impairments ([`super::netem`]) sit there and see packets as they are on the
//! public wire. The whole laboratory lives in a private mount and network namespace of a child test process
//! ([`laboratory`]): the kernel takes it down with the last process in it, however the test ends, and laboratories run
//! side by side without names in common. Without root a user namespace gives the same.

use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::{Command, Output, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::netem::{Impairment, Netem, NetemStats};
use super::skip::{missing_program, skip};

/// Set in the child test process that runs inside the private namespaces.
const INSIDE: &str = "TWOCANS_LABORATORY";
const PROGRAMS: &[&str] = &["unshare", "setpriv", "ip", "nft", "iptables", "sysctl"];

/// Runs `experiment` in a laboratory of its own, or skips `test` and says why. `test` is the libtest name of the
/// calling test, which is run again inside the new namespaces.
pub fn laboratory(test: &str, experiment: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return experiment();
    }
    if let Some(program) = missing_program(PROGRAMS) {
        return skip(test, &format!("{program} is not installed"));
    }
    let dry_run = enter().args(["ip", "netns", "add", "probe"]).output().expect("unshare was found");
    if !dry_run.status.success() {
        let why = String::from_utf8_lossy(&dry_run.stderr);
        return skip(test, &format!("network namespaces cannot be made: {}", why.trim()));
    }
    let status = enter()
        .arg(std::env::current_exe().expect("the test knows its own file"))
        .args([test, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare was found");
    assert!(status.success(), "{test} failed inside its laboratory ({status})");
}

/// `unshare` up to and including the shell that prepares the namespaces for the command given as further arguments.
fn enter() -> Command {
    // `ip netns` keeps its names under /run/netns: a private /run keeps them ours.
    const PREPARE: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && exec \"$@\"";
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--net", "--propagation", "private", "--", "sh", "-c", PREPARE, "laboratory"]);
    command
}

/// What a router does to the hosts behind it, in the words of RFC 3489 for people and of RFC 4787 for the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatKind {
    /// Routes, translates nothing, filters nothing.
    None,
    /// Endpoint-independent mapping and filtering.
    FullCone,
    /// Endpoint-independent mapping, address-dependent filtering.
    AddressRestricted,
    /// Endpoint-independent mapping, address-and-port-dependent filtering: most homes.
    PortRestricted,
    /// Address-and-port-dependent mapping and filtering.
    Symmetric,
    /// Port restricted, and hosts behind it reach each other at its public address (RFC 4787 §6).
    Hairpin,
    /// Port restricted, and the router itself answers what it did not ask for: an early packet of the other side takes
    /// the very mapping that ours would have got (RFC 4787 §10 calls that not deterministic).
    NoFirewall,
    /// Only TCP gets out.
    UdpBlocked,
    /// Only TCP to port 443 gets out.
    Tcp443,
}

/// A network namespace: one machine of the laboratory.
#[derive(Debug, Clone)]
pub struct Netns(String);

impl Netns {
    /// A command that runs inside, `words` first; further arguments may be added.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).args(words);
        command
    }

    /// Runs `work` on a thread of this process that lives inside.
    pub fn thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> std::thread::JoinHandle<T> {
        let door = File::open(format!("/run/netns/{}", self.0)).expect("the namespace exists");
        std::thread::spawn(move || {
            move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network)).expect("the namespace is ours");
            work()
        })
    }

    fn ip(&self, lines: &[String]) {
        let mut command = Command::new("ip");
        must(feed(command.args(["-n", &self.0, "-batch", "-"]), &(lines.join("\n") + "\n")), lines);
    }

    fn mangle(&self, verb: &str, rule: &[String]) {
        let output = self.command(&["iptables", "-t", "mangle", verb]).args(rule).output().expect("ip was found");
        must(output, rule);
    }

    fn nft(&self, rules: &str) {
        must(feed(&mut self.command(&["nft", "-f", "-"]), rules), &[rules.to_owned()]);
    }
}

/// A home or office network behind a router.
#[derive(Debug, Clone)]
pub struct Site {
    pub router: Netns,
    pub wan: Ipv4Addr,
    name: String,
    lan: [u8; 3],
}

/// Which way packets go that an impairment meets, seen from the machine whose access link it sits on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Up,
    Down,
}

/// The laboratory: namespaces made so far. Gone with the test process.
pub struct Lab {
    core: Netns,
    impairments: u16,
}

impl Lab {
    /// The core alone. Only inside [`laboratory`].
    pub fn new() -> Self {
        assert!(std::env::var_os(INSIDE).is_some(), "a Lab is built inside netlab::laboratory");
        let core = add_namespace("core");
        core.ip(&["addr add 203.0.113.1/32 dev lo".to_owned()]);
        make_router(&core);
        Self { core, impairments: 0 }
    }

    /// A machine with public addresses and no firewall.
    pub fn public_host(&self, name: &str, addresses: &[Ipv4Addr]) -> Netns {
        let host = add_namespace(name);
        self.attach(&host, name, addresses);
        host
    }

    /// A router with one public address, and its LAN `lan`.0/24.
    pub fn site(&self, name: &str, wan: Ipv4Addr, lan: [u8; 3], kind: NatKind) -> Site {
        let router = add_namespace(name);
        self.attach(&router, name, &[wan]);
        let site = Self::site_of(router, name, wan, lan, kind);
        if kind == NatKind::None {
            let [a, b, c] = lan;
            self.core.ip(&[format!("route add {a}.{b}.{c}.0/24 via {wan} dev w{name}")]);
        }
        site
    }

    /// A router on the LAN of another one, where its address ends in `number`: two NATs in a row.
    pub fn site_behind(&self, outer: &Site, name: &str, number: u8, lan: [u8; 3], kind: NatKind) -> Site {
        assert!(kind != NatKind::None, "the outer router knows no way to a LAN that is not translated");
        let router = add_namespace(name);
        let [a, b, c] = outer.lan;
        outer.router.ip(&[
            format!("link add l{name} type veth peer name wan netns {name}"),
            format!("link set l{name} master lan up"),
        ]);
        router.ip(&[
            "link set wan up".to_owned(),
            format!("addr add {a}.{b}.{c}.{number}/24 dev wan"),
            format!("route add default via {a}.{b}.{c}.1"),
        ]);
        Self::site_of(router, name, Ipv4Addr::new(a, b, c, number), lan, kind)
    }

    /// Makes a router of a machine whose interface `wan` is up.
    fn site_of(router: Netns, name: &str, wan: Ipv4Addr, lan: [u8; 3], kind: NatKind) -> Site {
        let [a, b, c] = lan;
        router.ip(&[
            "link add lan type bridge".to_owned(),
            format!("addr add {a}.{b}.{c}.1/24 dev lan"),
            "link set lan up".to_owned(),
        ]);
        make_router(&router);
        router.nft(&nat_rules(kind, wan));
        Site { router, wan, name: name.to_owned(), lan }
    }

    /// A machine on a site's LAN: its address ends in `number`.
    pub fn lan_host(&self, site: &Site, name: &str, number: u8) -> Netns {
        let host = add_namespace(name);
        let [a, b, c] = site.lan;
        site.router.ip(&[
            format!("link add l{name} type veth peer name eth0 netns {name}"),
            format!("link set l{name} master lan up"),
        ]);
        host.ip(&[
            "link set eth0 up".to_owned(),
            format!("addr add {a}.{b}.{c}.{number}/24 dev eth0"),
            format!("route add default via {a}.{b}.{c}.1"),
        ]);
        host
    }

    /// Carries a machine into another site's LAN: its interface there is gone, and another one is up with an address that
    /// ends in `number`, as when somebody walks from one wireless network into the next. When it left the old one, by
    /// CLOCK_MONOTONIC, ms.
    pub fn carry(&self, host: &Netns, to: &Site, number: u8) -> f64 {
        let [a, b, c] = to.lan;
        let Netns(name) = host;
        to.router.ip(&[
            format!("link add m{name} type veth peer name eth1 netns {name}"),
            format!("link set m{name} master lan up"),
        ]);
        host.ip(&["link set eth1 up".to_owned()]);
        // As on a real network, the link works before it gives an address. The kernel takes up to a second to begin
        // forwarding on a new port of a bridge.
        let state = format!("/sys/class/net/m{name}/brport/state");
        let forwards = || {
            let output = to.router.command(&["cat", &state]).output().expect("ip was found");
            String::from_utf8_lossy(&output.stdout).trim() == "3"
        };
        let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !forwards() {
            assert!(std::time::Instant::now() < end, "the bridge does not take up {name}'s new link");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let moved = super::figures::mono_ms();
        host.ip(&[
            "link del eth0".to_owned(),
            format!("addr add {a}.{b}.{c}.{number}/24 dev eth1"),
            format!("route add default via {a}.{b}.{c}.1"),
        ]);
        moved
    }

    /// A machine on a LAN behind a public machine that routes nothing: `lan`.1 is the public machine, `lan`.10 the new one.
    pub fn behind(&self, owner: &Netns, name: &str, lan: [u8; 3]) -> Netns {
        let host = add_namespace(name);
        let [a, b, c] = lan;
        owner.ip(&[
            format!("link add l{name} type veth peer name eth0 netns {name}"),
            format!("addr add {a}.{b}.{c}.1/24 dev l{name}"),
            format!("link set l{name} up"),
        ]);
        host.ip(&[
            "link set eth0 up".to_owned(),
            format!("addr add {a}.{b}.{c}.10/24 dev eth0"),
            format!("route add default via {a}.{b}.{c}.1"),
        ]);
        host
    }

    /// Nothing passes between these public addresses, either way, until the guard is dropped.
    pub fn sever(&self, one: Ipv4Addr, other: Ipv4Addr) -> Severed {
        let (one, other) = (one.to_string(), other.to_string());
        let rules = [[&one, &other], [&other, &one]]
            .map(|[from, to]| ["FORWARD", "-s", from, "-d", to, "-j", "DROP"].map(str::to_owned));
        rules.iter().for_each(|rule| self.core.mangle("-A", rule));
        Severed { core: self.core.clone(), rules }
    }

    /// Impairs the access link of a public machine or a site's router until the guard is dropped.
    pub fn impair(&mut self, machine: &str, way: Way, impairment: Impairment) -> Impaired {
        self.impairments += 1;
        let queue = self.impairments;
        let netem = Netem::start(&self.core, queue, impairment);
        let (chain, side) = match way {
            Way::Up => ("PREROUTING", "-i"),
            Way::Down => ("POSTROUTING", "-o"),
        };
        // iptables, because kernels with NFQUEUE often lack nftables' own `queue`. Bypass: without us packets pass.
        let (link, number) = (format!("w{machine}"), queue.to_string());
        let rule = [chain, side, &link, "-j", "NFQUEUE", "--queue-bypass", "--queue-num", &number].map(str::to_owned);
        self.core.mangle("-A", &rule);
        Impaired { core: self.core.clone(), rule, netem: Some(netem) }
    }

    /// The same impairment up and down.
    pub fn impair_both(&mut self, machine: &str, impairment: Impairment) -> [Impaired; 2] {
        let other = Impairment { seed: impairment.seed.wrapping_add(1), ..impairment.clone() };
        [self.impair(machine, Way::Up, impairment), self.impair(machine, Way::Down, other)]
    }

    /// The access link of a site, for [`Lab::impair`].
    pub fn access_of(site: &Site) -> &str {
        &site.name
    }

    /// Routed, not bridged: /32 addresses and host routes, so that no ARP crosses the "internet".
    fn attach(&self, machine: &Netns, name: &str, addresses: &[Ipv4Addr]) {
        let first = addresses[0];
        let mut core =
            vec![format!("link add w{name} type veth peer name wan netns {name}"), format!("link set w{name} up")];
        core.extend(addresses.iter().map(|address| format!("route add {address}/32 dev w{name} src 203.0.113.1")));
        self.core.ip(&core);
        let mut own = vec!["link set wan up".to_owned()];
        own.extend(addresses.iter().map(|address| format!("addr add {address}/32 dev wan")));
        own.push(format!("route add 203.0.113.1 dev wan src {first}"));
        own.push(format!("route add default via 203.0.113.1 dev wan src {first}"));
        machine.ip(&own);
    }
}

/// A way that is blocked. Dropping it opens it.
pub struct Severed {
    core: Netns,
    rules: [[String; 7]; 2],
}

impl Drop for Severed {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.rules.iter().for_each(|rule| self.core.mangle("-D", rule));
        }
    }
}

/// An impairment at work. Dropping it releases the packets it holds and clears the line.
pub struct Impaired {
    core: Netns,
    rule: [String; 8],
    netem: Option<Netem>,
}

impl Impaired {
    /// Ends it and says what it did.
    pub fn stop(mut self) -> NetemStats {
        self.clear().unwrap_or_default()
    }

    fn clear(&mut self) -> Option<NetemStats> {
        let netem = self.netem.take()?;
        // A rule whose queue nobody serves would let packets pass, but past any later rule, too.
        self.core.mangle("-D", &self.rule);
        Some(netem.stop())
    }
}

impl Drop for Impaired {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.clear();
        }
    }
}

fn add_namespace(name: &str) -> Netns {
    assert!(name.len() <= 12, "{name}: interface names hold 15 characters");
    let output = Command::new("ip").args(["netns", "add", name]).output().expect("ip was found");
    must(output, &[name.to_owned()]);
    let netns = Netns(name.to_owned());
    netns.ip(&["link set lo up".to_owned()]);
    netns
}

fn make_router(machine: &Netns) {
    // Where br_netfilter is on, bridged frames would be translated like routed ones, and hairpin fails. Kernels
    // without it lack the key.
    let settings = "sysctl -qw net.ipv4.ip_forward=1; sysctl -eqw net.bridge.bridge-nf-call-iptables=0 || true";
    let output = machine.command(&["sh", "-c", settings]).output().expect("ip was found");
    must(output, &[settings.to_owned()]);
}

/// The router's whole rule set.
///
/// The input chain drops what nobody asked for, as home routers do ([`NatKind::NoFirewall`] does not).
fn nat_rules(kind: NatKind, wan: Ipv4Addr) -> String {
    if kind == NatKind::None {
        return "table ip nat_lab { }\n".to_owned();
    }
    // The kernel's masquerade maps per endpoint but keeps the port, which is endpoint-independent as long as no two
    // hosts collide: port restricted. `random,fully-random` breaks that: symmetric.
    let masquerade = match kind {
        NatKind::Symmetric => "ip protocol udp masquerade random,fully-random\n masquerade",
        _ => "masquerade",
    };
    let hairpin = format!("iifname \"lan\" ip daddr {wan} dnat ip addr . port to udp dport map @mapped");
    // External port → inside endpoint, learned from what leaves, refreshed by it.
    let (learn, admit) = match kind {
        NatKind::FullCone => (LEARN_MAPPING.to_owned(), "iifname \"wan\" dnat ip addr . port to udp dport map @mapped"),
        NatKind::AddressRestricted => (
            format!(
                "{LEARN_MAPPING}\n oifname \"wan\" meta l4proto udp ct direction original update @spoken_to {{ udp sport . ip daddr }}"
            ),
            "iifname \"wan\" udp dport . ip saddr @spoken_to dnat ip addr . port to udp dport map @mapped",
        ),
        NatKind::Hairpin => (LEARN_MAPPING.to_owned(), hairpin.as_str()),
        NatKind::None
        | NatKind::PortRestricted
        | NatKind::Symmetric
        | NatKind::NoFirewall
        | NatKind::UdpBlocked
        | NatKind::Tcp443 => (String::new(), ""),
    };
    let turn_round = match kind {
        NatKind::Hairpin => format!("iifname \"lan\" oifname \"lan\" ct status dnat snat to {wan}"),
        _ => String::new(),
    };
    let outward = match kind {
        NatKind::UdpBlocked => "meta l4proto tcp",
        NatKind::Tcp443 => "tcp dport 443",
        _ => "",
    };
    let unasked = if kind == NatKind::NoFirewall { "accept" } else { "drop" };
    format!(
        r#"table ip nat_lab {{
  map mapped {{ type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout 60s; size 4096; }}
  set spoken_to {{ type inet_service . ipv4_addr; flags dynamic,timeout; timeout 60s; size 4096; }}
  chain learn {{ type filter hook postrouting priority 300; policy accept;
    {learn}
  }}
  chain before {{ type nat hook prerouting priority -100; policy accept;
    {admit}
  }}
  chain after {{ type nat hook postrouting priority 100; policy accept;
    {turn_round}
    oifname != "wan" accept
    {masquerade}
  }}
  chain input {{ type filter hook input priority 0; policy {unasked};
    ct state established,related accept
    iifname {{ "lan", "lo" }} accept
    ip protocol icmp accept
  }}
  chain forward {{ type filter hook forward priority 0; policy drop;
    ct state established,related accept
    ct status dnat accept
    iifname "lan" oifname "wan" {outward} accept
  }}
}}
"#
    )
}

const LEARN_MAPPING: &str = "oifname \"wan\" meta l4proto udp ct direction original \
     update @mapped { udp sport : ct original ip saddr . ct original proto-src }";

fn feed(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the laboratory's programs were found");
    child.stdin.take().expect("stdin is piped").write_all(input.as_bytes()).expect("the program reads its input");
    child.wait_with_output().expect("the program ends")
}

fn must(output: Output, what: &[String]) {
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr).trim(), what.join("\n"));
}
