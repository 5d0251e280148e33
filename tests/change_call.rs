//! Calls that get over change and failure, with real binaries in a network laboratory: a machine that is carried into
//! another network, a super-peer that is killed. Nothing is configured but where to enter the network.

mod common;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use common::figures::mono_ms;
use common::machine::measuring;
use common::netem::Impairment;
use common::netlab::{Lab, NatKind, Netns, Site, laboratory};
use common::process::Process;
use common::staircase::{Climb, climb, write_staircase};
use common::world::{AUTO, Answering, REACTION, SILENT, START_UP, World, entry_options, finish, node_id, with_files};

const NODES: [Ipv4Addr; 2] = [Ipv4Addr::new(203, 0, 113, 20), Ipv4Addr::new(203, 0, 113, 21)];
const PATIENCE: Duration = Duration::from_secs(30);
/// Sound before and after the event, in the calls that are measured.
const BEFORE: Duration = Duration::from_secs(4);
const AFTER: Duration = Duration::from_secs(6);
/// Of the staircase that is heard around it; a call ends before it does.
const STAIRCASE_S: usize = 60;
/// Beside the gap, half a step on each side and the jitter buffer's adaptation.
const READING_ERROR_MS: usize = 100;

/// Two homes, a third one to go to, and one or two super-peers.
struct Town {
    lab: Lab,
    world: World,
    second: Option<Process>,
    nodes: Vec<String>,
    elsewhere: Site,
    alice: Netns,
    bob: Netns,
}

impl Town {
    fn new(super_peers: usize, kind: NatKind) -> Self {
        let lab = Lab::new();
        let hosts: Vec<Netns> = ["node", "node2"]
            .iter()
            .zip(NODES)
            .take(super_peers)
            .map(|(name, at)| lab.public_host(name, &[at]))
            .collect();
        let left = lab.site("ra", Ipv4Addr::new(203, 0, 113, 101), [192, 168, 1], kind);
        let right = lab.site("rb", Ipv4Addr::new(203, 0, 113, 102), [192, 168, 2], kind);
        let elsewhere = lab.site("rc", Ipv4Addr::new(203, 0, 113, 103), [192, 168, 3], kind);
        let (alice, bob) = (lab.lan_host(&left, "ha", 10), lab.lan_host(&right, "hb", 10));
        let mut world = World::in_laboratory(&hosts[0], NODES[0], &[]);
        let mut nodes = vec![node_id(&world.node)];
        let second = hosts.get(1).map(|host| {
            let listen = [format!("/ip4/{}/udp/4001/quic-v1", NODES[1]), format!("/ip4/{}/tcp/4001", NODES[1])];
            let verb = ["node", "--super-peer", "always", "--listen", &listen[0], "--listen", &listen[1]];
            let mut node = world.launch("node2", verb).inside(Some(host)).start();
            let ready = node.next("ready", START_UP);
            nodes.push(node_id(&node));
            world.network.extend(entry_options(&ready));
            node
        });
        Self { lab, world, second, nodes, elsewhere, alice, bob }
    }

    fn kill(&self, node: &str) {
        let first = self.nodes[0] == node;
        let process = if first { Some(&self.world.node) } else { self.second.as_ref() };
        process.expect("this node runs").kill();
    }

    /// Both hear the staircase of the other. Bob answers.
    fn talk(&self, name: &str) -> Talk {
        let world = &self.world;
        let said = world.file("staircase.wav");
        write_staircase(&said, STAIRCASE_S);
        let heard = ["alice", "bob"].map(|who| world.file(&format!("{name}-{who}-hears.wav")));
        let audio = with_files(&said, &heard[1]);
        let options: Vec<&str> = AUTO.into_iter().chain(audio.iter().map(String::as_str)).collect();
        let mut bob = world.answering(&format!("bob-{name}"), &options, Some(&self.bob));
        let audio = with_files(&said, &heard[0]);
        let options: Vec<&str> = audio.iter().map(String::as_str).collect();
        let mut alice = world.calling(&format!("alice-{name}"), &bob.link, &options, Some(&self.alice));
        let connected = [alice.next("connected", PATIENCE), bob.process.next("connected", REACTION)];
        Talk { alice, bob, heard, connected }
    }
}

struct Talk {
    alice: Process,
    bob: Answering,
    heard: [PathBuf; 2],
    connected: [Value; 2],
}

impl Talk {
    fn sides(&mut self) -> [&mut Process; 2] {
        [&mut self.alice, &mut self.bob.process]
    }

    /// Waits until both have reconnected after `happened`; what each said: how late it noticed, why, the gap it told.
    fn reconnects(&mut self, happened: f64) -> [Told; 2] {
        self.sides().map(|process| {
            let noticed = process.next("reconnecting", PATIENCE);
            let again = process.next("reconnected", PATIENCE);
            let since = |line: &Value| line["mono_ms"].as_f64().expect("a number") - happened;
            Told {
                noticed_ms: since(&noticed),
                reason: noticed["reason"].as_str().expect("text").to_owned(),
                again_ms: since(&again),
                gap_ms: again["gap_ms"].as_f64().expect("a number"),
            }
        })
    }

    /// Hangs up; what each heard of the other.
    fn end(mut self) -> [Climb; 2] {
        finish(&mut self.alice, 0);
        self.bob.process.next_where("ended", |line| line["reason"] == "remote_hangup", REACTION);
        finish(&mut self.bob.process, 0);
        self.heard.each_ref().map(|file| climb(file))
    }
}

#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
struct Told {
    noticed_ms: f64,
    reason: String,
    again_ms: f64,
    gap_ms: f64,
}

fn assert_climbs(climbs: &[Climb; 2], longest_ms: usize) {
    for climb in climbs {
        assert!(climb.longest_standstill_ms <= longest_ms + READING_ERROR_MS, "{climbs:?}");
        assert_eq!(climb.repeated, 0, "a word was repeated: {climbs:?}");
        // Half a second of it may still be under way when the call ends, or have gone by before it began.
        let until = (BEFORE + AFTER).as_millis() as usize / 100 - 5;
        assert!(climb.last_step >= until, "sound goes on to the end: {climbs:?}");
    }
}

/// One call in which one of the two is carried into the third home.
fn carry(name: &str, kind: NatKind, caller: bool, rtt: Option<Duration>) {
    let mut town = Town::new(2, kind);
    let _distance = rtt.map(|rtt| {
        ["node", "node2"].map(|node| town.lab.impair_both(node, Impairment::delay_ms(rtt.as_millis() as u64 / 2)))
    });
    let mut talk = town.talk(name);
    for process in talk.sides() {
        assert!(process.all("network_changed").is_empty(), "nothing has changed yet: {:?}", process.events());
    }
    std::thread::sleep(BEFORE);
    let host = if caller { &town.alice } else { &town.bob };
    let moved = town.lab.carry(host, &town.elsewhere, 77);
    let carried = mono_ms();
    let told = talk.reconnects(moved);
    let back = |line: &Value| line["mono_ms"].as_f64().expect("a number") - carried;
    let mover = if caller { &mut talk.alice } else { &mut talk.bob.process };
    let changed = mover.all("network_changed").iter().map(back).collect::<Vec<_>>();
    if !caller {
        let at = |line: &Value| line["mono_ms"].as_f64() > Some(moved);
        let end = std::time::Instant::now() + PATIENCE;
        let published = loop {
            if let Some(line) = mover.all("presence_published").into_iter().find(&at) {
                break back(&line);
            }
            assert!(std::time::Instant::now() < end, "presence is not published again");
            std::thread::sleep(Duration::from_millis(20));
        };
        println!("{name}: presence published {published:.0} ms after the network was back");
        assert!(published <= 2000.0, "{published}");
    }
    std::thread::sleep(AFTER);
    let path = talk.connected[0]["path"].clone();
    let climbs = talk.end();
    println!("{name} ({path}): moved within {:.0} ms, network_changed at {changed:.0?} ms", carried - moved);
    println!("{name}: alice {:.0?}, bob {:.0?}", told[0], told[1]);
    println!("{name}: heard by alice {:?}, by bob {:?}", climbs[0], climbs[1]);
    assert!(!changed.is_empty() && changed.len() <= 2, "told once, or once for the loss and once for the gain");
    let (own, other) = if caller { (&told[0], &told[1]) } else { (&told[1], &told[0]) };
    assert!(own.reason.contains("this device"), "{}", own.reason);
    assert!(!other.reason.is_empty());
    assert_climbs(&climbs, 1500);
    town.world.finish();
}

#[test]
fn a_caller_that_changes_network_keeps_its_call() {
    let _machine = measuring();
    laboratory("a_caller_that_changes_network_keeps_its_call", || {
        carry("caller moves", NatKind::PortRestricted, true, None);
    });
}

#[test]
fn a_callee_that_changes_network_keeps_its_call_and_can_be_called() {
    let _machine = measuring();
    laboratory("a_callee_that_changes_network_keeps_its_call_and_can_be_called", || {
        carry("callee moves", NatKind::PortRestricted, false, None);
    });
}

#[test]
fn relayed_calls_survive_a_change_of_network() {
    let _machine = measuring();
    laboratory("relayed_calls_survive_a_change_of_network", || {
        carry("relayed, caller moves", NatKind::Symmetric, true, None);
    });
}

#[test]
fn a_change_of_network_far_from_the_super_peers() {
    let _machine = measuring();
    laboratory("a_change_of_network_far_from_the_super_peers", || {
        carry("80 ms away, caller moves", NatKind::PortRestricted, true, Some(Duration::from_millis(80)));
    });
}

#[test]
fn the_second_super_peer_takes_over_when_the_relay_is_killed() {
    let _machine = measuring();
    laboratory("the_second_super_peer_takes_over_when_the_relay_is_killed", || {
        let mut town = Town::new(2, NatKind::Symmetric);
        let mut talk = town.talk("relay");
        let via = talk.connected[0]["via"].as_str().expect("the call is relayed").to_owned();
        std::thread::sleep(BEFORE);
        let killed = mono_ms();
        town.kill(&via);
        let told = talk.reconnects(killed);
        std::thread::sleep(AFTER);
        let now_via = talk.sides().map(|process| process.all("path_changed").last().map(|line| line["via"].clone()));
        let climbs = talk.end();
        println!("the relay was killed: alice {:.0?}, bob {:.0?}", told[0], told[1]);
        println!("heard by alice {:?}, by bob {:?}", climbs[0], climbs[1]);
        for (side, via_after) in told.iter().zip(now_via) {
            assert!(side.noticed_ms <= 600.0, "{side:?}");
            assert!(side.reason.contains("relay"), "{side:?}");
            let other = town.nodes.iter().find(|node| **node != via).expect("there are two");
            assert_eq!(via_after, Some(Value::String(other.clone())));
        }
        assert_climbs(&climbs, 2000);
        let survivor = if town.nodes[0] == via { town.second.as_mut().expect("it runs") } else { &mut town.world.node };
        finish(survivor, 0);
    });
}

#[test]
fn a_call_that_cannot_be_saved_ends_with_the_truth() {
    let _machine = measuring();
    laboratory("a_call_that_cannot_be_saved_ends_with_the_truth", || {
        let town = Town::new(1, NatKind::Symmetric);
        let mut talk = town.talk("lost");
        let killed = mono_ms();
        town.kill(&town.nodes[0]);
        for process in talk.sides() {
            let ended = process.next("ended", Duration::from_secs(45));
            let after_s = (ended["mono_ms"].as_f64().expect("a number") - killed) / 1e3;
            println!("{} was told after {after_s:.1} s: {ended}", process.name);
            assert_eq!(ended["reason"], "connection_lost");
            assert!((29.0..36.0).contains(&after_s), "30 s are promised: {after_s}");
        }
        let code = talk.alice.wait_exit(REACTION);
        println!("alice's last words: {}", talk.alice.all("failure").last().expect("a reason"));
        assert_eq!(code, Some(8));
    });
}

/// One of two super-peers dies while it rings.
fn ring_on(victim: usize) {
    let town = Town::new(2, NatKind::PortRestricted);
    let options = [&AUTO[..], &SILENT, &["--answer-after", "3"]].concat();
    let mut bob = town.world.answering("bob", &options, Some(&town.bob));
    let end = std::time::Instant::now() + START_UP;
    let reachable = |line: &Value| line["relays"].as_array().is_some_and(|relays| relays.len() >= 2);
    while !bob.process.all("presence_published").iter().any(reachable) {
        assert!(std::time::Instant::now() < end, "both super-peers hold a place for Bob");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut alice = town.world.calling("alice", &bob.link, &SILENT, Some(&town.alice));
    alice.next("ringing", PATIENCE);
    std::thread::sleep(Duration::from_millis(500));
    town.kill(&town.nodes[victim]);
    let connected = alice.next("connected", PATIENCE);
    bob.process.next("connected", REACTION);
    println!("super-peer {victim} died: answer to media {} ms, {}", connected["answer_to_media_ms"], connected["path"]);
    assert!(connected["answer_to_media_ms"].as_f64() <= Some(1500.0), "{connected}");
    finish(&mut alice, 0);
    finish(&mut bob.process, 0);
}

#[test]
fn a_call_that_rings_is_answered_although_the_first_super_peer_died() {
    let _machine = measuring();
    laboratory("a_call_that_rings_is_answered_although_the_first_super_peer_died", || ring_on(0));
}

#[test]
fn a_call_that_rings_is_answered_although_the_second_super_peer_died() {
    let _machine = measuring();
    laboratory("a_call_that_rings_is_answered_although_the_second_super_peer_died", || ring_on(1));
}
