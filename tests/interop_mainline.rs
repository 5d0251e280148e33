//! First contact through the BitTorrent DHT, whose one node here is libtorrent: people who know no node of ours at all
//! find a super-peer there and call each other. In a network of its own.

mod common;

use std::net::Ipv4Addr;
use std::time::Duration;

use twocans::identity::{Link, PersonKey};

use common::foreign::{Foreign, has_python};
use common::machine::sharing;
use common::netlab::{Lab, Netns, laboratory};
use common::process::{Launch, Process};
use common::world::{AUTO, REACTION, SILENT, START_UP, finish};

const NODE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const FOREIGN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 30);
const FOREIGN_PORT: &str = "6881";
/// SHA-1 of "twocans-bootstrap-v1", as everybody can compute it.
const TOPIC: &str = "edee0e1dd50257273669e388ed730b1976253311";
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    folder: tempfile::TempDir,
    lab: Lab,
    foreign: Foreign,
}

impl World {
    fn new() -> Self {
        let lab = Lab::new();
        let host = lab.public_host("foreign", &[FOREIGN]);
        let mut foreign = Foreign::python("mainline_peer.py", &[&FOREIGN.to_string(), FOREIGN_PORT], Some(&host));
        foreign.wait_for("start", |line| line == "ready", START_UP);
        Self { folder: tempfile::TempDir::with_prefix("twocans-mainline-").expect("a folder"), lab, foreign }
    }

    /// A process that knows no node, but one of the BitTorrent DHT.
    fn launch(&self, name: &str, words: &[&str], host: &Netns) -> Process {
        let foreign = format!("{FOREIGN}:{FOREIGN_PORT}");
        Launch::new(name, &self.folder.path().join(name))
            .args(words)
            .args(["--no-mdns", "--no-public-stun", "--treat-as-public", "203.0.113.0/24"])
            .args(["--mainline-bootstrap", &foreign])
            .inside(Some(host))
            .start()
    }

    fn super_peer(&self) -> Process {
        let host = self.lab.public_host("node", &[NODE]);
        let listen = format!("/ip4/{NODE}/udp/4001/quic-v1");
        self.launch("node", &["node", "--super-peer", "always", "--listen", &listen], &host)
    }
}

#[test]
fn who_knows_nobody_finds_a_super_peer_and_rings() {
    const TEST: &str = "who_knows_nobody_finds_a_super_peer_and_rings";
    let _machine = sharing();
    if !has_python(TEST, "libtorrent") {
        return;
    }
    laboratory(TEST, || {
        let mut world = World::new();
        let mut node = world.super_peer();
        let announced = world.foreign.wait_for("announcement", |line| line.starts_with("announced "), PATIENCE);
        assert_eq!(announced, format!("announced {NODE} 4001 {TOPIC}"));

        let hosts = [("alice", 101), ("bob", 102)]
            .map(|(name, number)| world.lab.public_host(name, &[Ipv4Addr::new(203, 0, 113, number)]));
        let mut bob = world.launch("bob", &[&["answer"][..], &AUTO, &SILENT].concat(), &hosts[1]);
        let ready = bob.next("ready", START_UP);
        let published = bob.next_where("presence_published", |event| event["acks"].as_f64() >= Some(1.0), PATIENCE);
        println!("bob can be called {:.1} s after his start", (number(&published) - number(&ready)) / 1e3);

        let link = ready["link"].as_str().expect("text");
        let mut alice = world.launch("alice", &[&["call", link][..], &SILENT].concat(), &hosts[0]);
        let ringing = alice.next("ringing", PATIENCE);
        println!("dial to ringing {} ms, cold, with nothing but the BitTorrent DHT", ringing["ring_ms"]);
        alice.next("connected", PATIENCE);
        bob.next("connected", REACTION);
        finish(&mut alice, 0);
        finish(&mut bob, 0);
        finish(&mut node, 0);
    });
}

/// Whoever is there, told by its own clock, ms.
fn number(event: &serde_json::Value) -> f64 {
    event["t_ms"].as_f64().expect("a number")
}

#[test]
fn switched_off_nobody_is_asked() {
    const TEST: &str = "switched_off_nobody_is_asked";
    let _machine = sharing();
    if !has_python(TEST, "libtorrent") {
        return;
    }
    laboratory(TEST, || {
        let mut world = World::new();
        let host = world.lab.public_host("alice", &[Ipv4Addr::new(203, 0, 113, 101)]);
        // A person of whom nobody has ever heard.
        let link = Link { person: PersonKey::from_seed(&[9; 32]).person(), name: None, hints: vec![] }.to_string();
        for (options, asks) in [(&["--no-mainline"][..], false), (&[], true)] {
            let mut alice = world.launch("alice", &[&["lookup", &link][..], options].concat(), &host);
            let _ = alice.wait_exit(PATIENCE);
            let asked = world.foreign.heard(|line| line == format!("asked {TOPIC}"));
            assert_eq!(asked, asks, "with {options:?}");
        }
    });
}
