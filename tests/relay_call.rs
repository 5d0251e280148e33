//! Calls that a super-peer relays, with real binaries in a network laboratory: two homes behind NATs, and one node in
//! public that is everything they have. No server is configured: not `--stun`, not `--turn`.

mod common;

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;

use common::figures::{quantile, spread};
use common::machine::measuring;
use common::netem::Impairment;
use common::netlab::{Lab, NatKind, Netns, laboratory};
use common::speech::{WHOLE, assert_heard, pesq_wb, read_wav, recording};
use common::world::{AUTO, REACTION, SILENT, World, finish, finishes_by_itself, node_id, with_files};

const NODE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const PATIENCE: Duration = Duration::from_secs(40);

/// Two homes, each with one machine, and a node.
struct Homes {
    lab: Lab,
    world: World,
    node: String,
    alice: Netns,
    bob: Netns,
}

impl Homes {
    fn new(left: NatKind, right: NatKind) -> Self {
        let lab = Lab::new();
        let host = lab.public_host("node", &[NODE]);
        let left = lab.site("ra", Ipv4Addr::new(203, 0, 113, 101), [192, 168, 1], left);
        let right = lab.site("rb", Ipv4Addr::new(203, 0, 113, 102), [192, 168, 2], right);
        let (alice, bob) = (lab.lan_host(&left, "ha", 10), lab.lan_host(&right, "hb", 10));
        let world = World::in_laboratory(&host, NODE, &[]);
        let node = node_id(&world.node);
        Self { lab, world, node, alice, bob }
    }

    /// One call in which both speak; what each side said of it when it was connected.
    fn talk(&self, name: &str) -> [Value; 2] {
        let world = &self.world;
        let (alice_says, bob_says) = (recording("alice"), recording("bob"));
        let (alice_hears, bob_hears) = (world.file("alice_hears.wav"), world.file("bob_hears.wav"));
        let audio = with_files(&bob_says, &bob_hears);
        let options: Vec<&str> = AUTO.into_iter().chain(audio.iter().map(String::as_str)).collect();
        let mut bob = world.answering("bob", &options, Some(&self.bob));
        let audio = with_files(&alice_says, &alice_hears);
        let options: Vec<&str> = ["--seconds", "11"].into_iter().chain(audio.iter().map(String::as_str)).collect();
        let mut alice = world.calling("alice", &bob.link, &options, Some(&self.alice));
        let at_alice = alice.next("connected", PATIENCE);
        let at_bob = bob.process.next("connected", REACTION);
        finishes_by_itself(&mut alice, 0, PATIENCE);
        bob.process.next_where("ended", |line| line["reason"] == "remote_hangup", REACTION);
        finish(&mut bob.process, 0);

        let to_bob = assert_heard("alice to bob", &alice_says, &bob_hears);
        let to_alice = assert_heard("bob to alice", &bob_says, &alice_hears);
        let quality = [(&alice_says, &bob_hears), (&bob_says, &alice_hears)]
            .map(|(said, heard)| pesq_wb(&read_wav(said), &read_wav(heard)));
        println!(
            "{name}: {} {} / {} via {}, dial to ringing {} ms, answer to media {} / {} ms; round trips {} ms",
            at_alice["path"],
            at_alice["local"],
            at_alice["remote"],
            at_alice["via"],
            at_alice["ring_ms"],
            at_alice["answer_to_media_ms"],
            at_bob["answer_to_media_ms"],
            spread(&round_trips(&alice.events())),
        );
        println!("heard by bob {to_bob:?}, by alice {to_alice:?}; PESQ-WB {quality:.2?}");
        assert!(quality.iter().all(|&mos| mos >= WHOLE), "{quality:?}");
        [at_alice, at_bob]
    }

    /// A call in which nobody speaks, until it is connected.
    fn ring(&self, name: &str, of_alice: &[&str], of_bob: &[&str]) -> [Value; 2] {
        let world = &self.world;
        let mut bob = world.answering(&format!("bob-{name}"), &[&AUTO[..], &SILENT, of_bob].concat(), Some(&self.bob));
        let options = [&SILENT[..], of_alice].concat();
        let mut alice = world.calling(&format!("alice-{name}"), &bob.link, &options, Some(&self.alice));
        let connected = [alice.next("connected", PATIENCE), bob.process.next("connected", REACTION)];
        finish(&mut alice, 0);
        finish(&mut bob.process, 0);
        connected
    }

    fn assert_relayed(&self, connected: &[Value; 2]) {
        for side in connected {
            assert_eq!(side["path"], "relayed", "{side}");
            assert_eq!(side["via"], self.node.as_str(), "{side}");
        }
    }
}

fn round_trips(events: &[Value]) -> Vec<f64> {
    events.iter().filter(|line| line["event"] == "stats").filter_map(|line| line["rtt_ms"].as_f64()).collect()
}

#[test]
fn two_homes_behind_symmetric_nats_talk_through_a_super_peer() {
    let _machine = measuring();
    laboratory("two_homes_behind_symmetric_nats_talk_through_a_super_peer", || {
        let mut homes = Homes::new(NatKind::Symmetric, NatKind::Symmetric);
        let connected = homes.talk("symmetric to symmetric");
        homes.assert_relayed(&connected);
        let stats = homes.world.node.next_where("node_stats", |line| line["relayed_calls"] == 1, PATIENCE);
        println!("the node said {stats}");
        homes.world.finish();
    });
}

#[test]
fn port_restricted_homes_still_talk_directly() {
    let _machine = measuring();
    laboratory("port_restricted_homes_still_talk_directly", || {
        let homes = Homes::new(NatKind::PortRestricted, NatKind::PortRestricted);
        for side in homes.talk("port-restricted to port-restricted") {
            assert_eq!(side["path"], "direct", "{side}");
            assert_eq!(side["via"], Value::Null, "{side}");
        }
        homes.world.finish();
    });
}

#[test]
fn relay_only_is_relayed_whoever_asks_for_it() {
    let _machine = measuring();
    laboratory("relay_only_is_relayed_whoever_asks_for_it", || {
        let homes = Homes::new(NatKind::PortRestricted, NatKind::PortRestricted);
        const ONLY: [&str; 1] = ["--relay-only"];
        for (name, of_alice, of_bob) in [("caller", &ONLY[..], &[][..]), ("callee", &[], &ONLY), ("both", &ONLY, &ONLY)]
        {
            let connected = homes.ring(name, of_alice, of_bob);
            println!(
                "relay only for the {name}: {} / {}, answer to media {} ms",
                connected[0]["local"], connected[0]["remote"], connected[0]["answer_to_media_ms"]
            );
            homes.assert_relayed(&connected);
        }
        homes.world.finish();
    });
}

/// Alice's network lets TCP through and nothing else; with Bob's it makes no difference what he has.
#[test]
fn a_home_without_udp_talks_over_tcp() {
    let _machine = measuring();
    laboratory("a_home_without_udp_talks_over_tcp", || {
        let homes = Homes::new(NatKind::PortRestricted, NatKind::PortRestricted);
        let block = ["iptables", "-A", "INPUT", "-p", "udp", "-j", "DROP"];
        assert!(homes.alice.command(&block).status().expect("it was found").success());
        let connected = homes.talk("no UDP to port-restricted");
        homes.assert_relayed(&connected);
        assert_eq!(connected[0]["protocol"], "tcp", "{}", connected[0]);
        homes.world.finish();
    });
}

#[test]
fn relayed_calls_come_up_within_700_ms() {
    let _machine = measuring();
    const CALLS: usize = 8;
    laboratory("relayed_calls_come_up_within_700_ms", || {
        let mut homes = Homes::new(NatKind::Symmetric, NatKind::PortRestricted);
        let (mut ring, mut media) = (Vec::new(), Vec::new());
        for number in 0..CALLS {
            let connected = homes.ring(&number.to_string(), &[], &[]);
            homes.assert_relayed(&connected);
            ring.extend(connected[0]["ring_ms"].as_f64());
            media.extend(connected[0]["answer_to_media_ms"].as_f64());
        }
        println!(
            "symmetric to port-restricted, {CALLS} calls through the node: dial to ringing {} ms, answer to media {} ms",
            spread(&ring),
            spread(&media)
        );
        assert!(quantile(&media, 0.5) <= 700.0, "{}", spread(&media));

        let _distance = homes.lab.impair_both("node", Impairment::delay_ms(40));
        let (mut ring, mut media) = (Vec::new(), Vec::new());
        for number in 0..CALLS {
            let connected = homes.ring(&format!("far{number}"), &[], &[]);
            homes.assert_relayed(&connected);
            ring.extend(connected[0]["ring_ms"].as_f64());
            media.extend(connected[0]["answer_to_media_ms"].as_f64());
        }
        println!(
            "80 ms RTT to the node, {CALLS} calls through it: dial to ringing {} ms, answer to media {} ms",
            spread(&ring),
            spread(&media)
        );
        assert!(quantile(&media, 0.5) <= 1500.0, "{}", spread(&media));
        homes.world.finish();
    });
}
