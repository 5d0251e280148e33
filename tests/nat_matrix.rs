//! Everybody reaches everybody: a call between any two of nine kinds of network, with real binaries in a network
//! laboratory and one super-peer in public, and nothing else configured. Speech must be heard both ways in all 45 pairs, both
//! dialled from either side; it must go directly exactly where RFC 4787 says that it can, and through the super-peer
//! elsewhere.

mod common;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use twocans::nat::{Filtering, LikelyPath, Mapping, NatReport, Seen, likely_path};

use common::machine::measuring;
use common::netlab::{Lab, NatKind, Netns, laboratory};
use common::speech::{heard, read_wav, recording};
use common::world::{AUTO, World, node_id, with_files};

const NODE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
/// Pairs at a time: a call's two processes wait most of the time.
const AT_ONCE: usize = 3;
/// Seconds of talk; the recordings are cut to [`CLIP_S`].
const TALK_S: &str = "6";
const CLIP_S: usize = 4;
/// Share of a clip's half seconds that must be found again. The machine is busy, so an interruption may cost two of eight.
const HEARD_FROM: f32 = 0.7;
const PATIENCE: Duration = Duration::from_secs(40);
const REACTION: Duration = Duration::from_secs(10);
const BUDGET: Duration = Duration::from_secs(8 * 60);

/// What somebody's network is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Network {
    None,
    FullCone,
    AddressRestricted,
    PortRestricted,
    Symmetric,
    DoubleNat,
    NoFirewall,
    UdpBlocked,
    Tcp443,
}

const NETWORKS: [Network; 9] = [
    Network::None,
    Network::FullCone,
    Network::AddressRestricted,
    Network::PortRestricted,
    Network::Symmetric,
    Network::DoubleNat,
    Network::NoFirewall,
    Network::UdpBlocked,
    Network::Tcp443,
];

impl Network {
    /// In a table.
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::FullCone => "full cone",
            Self::AddressRestricted => "addr restr",
            Self::PortRestricted => "port restr",
            Self::Symmetric => "symmetric",
            Self::DoubleNat => "double NAT",
            Self::NoFirewall => "no firewall",
            Self::UdpBlocked => "no UDP",
            Self::Tcp443 => "TCP 443",
        }
    }

    /// In the words of RFC 4787 §4.1 and §5: mapping and filtering; `None` where no UDP passes. Two port restricted NATs
    /// in a row are one.
    fn behaviour(self) -> Option<(Mapping, Filtering)> {
        let independent = Mapping::EndpointIndependent;
        match self {
            Self::None | Self::FullCone => Some((independent, Filtering::EndpointIndependent)),
            Self::AddressRestricted => Some((independent, Filtering::AddressDependent)),
            Self::PortRestricted | Self::DoubleNat | Self::NoFirewall => {
                Some((independent, Filtering::AddressAndPortDependent))
            }
            Self::Symmetric => Some((Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent)),
            Self::UdpBlocked | Self::Tcp443 => None,
        }
    }

    /// What `doctor` would find out.
    fn report(self) -> NatReport {
        let Some((mapping, filtering)) = self.behaviour() else {
            return NatReport { servers: 1, udp_blocked: Some(true), ..NatReport::default() };
        };
        // Of each end another public address; of no importance which.
        let public = ([203, 0, 113, 100 + self as u8], 4000).into();
        let local = if self == Self::None { public } else { ([192, 168, 100 + self as u8, 10], 4000).into() };
        let seen = Seen {
            local,
            public,
            mapping: Some(mapping),
            filtering: Some(filtering),
            hairpin: Some(false),
            mapping_lifetime: None,
        };
        NatReport { servers: 1, ipv4: Some(seen), ipv6: None, udp_blocked: Some(false) }
    }

    /// A machine in a network of its own. `side` is unique in the laboratory and at most 3 characters; `last` and the
    /// one after it are free in 203.0.113.0/24.
    fn machine(self, lab: &Lab, side: &str, number: u8) -> Netns {
        let wan = Ipv4Addr::new(203, 0, 113, number);
        let (router, host, lan) = (format!("r{side}"), format!("h{side}"), [192, 168, number]);
        let kind = match self {
            Self::None => return lab.public_host(&host, &[wan]),
            Self::FullCone => NatKind::FullCone,
            Self::AddressRestricted => NatKind::AddressRestricted,
            Self::PortRestricted => NatKind::PortRestricted,
            Self::Symmetric => NatKind::Symmetric,
            Self::NoFirewall => NatKind::NoFirewall,
            Self::UdpBlocked => NatKind::UdpBlocked,
            Self::Tcp443 => NatKind::Tcp443,
            Self::DoubleNat => {
                let outer = lab.site(&format!("o{side}"), wan, [100, 64, number], NatKind::PortRestricted);
                let inner = lab.site_behind(&outer, &router, 10, lan, NatKind::PortRestricted);
                return lab.lan_host(&inner, &host, 10);
            }
        };
        lab.lan_host(&lab.site(&router, wan, lan, kind), &host, 10)
    }
}

/// Written from RFC 4787 and from nothing else: is there a direct path for UDP between two such networks that are not one
/// and the same? Each end sends to where the other is seen from; the packets of an end pass the other's filter if it has
/// sent to where they come from.
fn direct_path_possible(one: Network, two: Network) -> bool {
    let (Some(one_behaves), Some(two_behaves)) = (one.behaviour(), two.behaviour()) else { return false };
    let admits_unforeseen_port = |(_, filtering): (Mapping, Filtering)| match filtering {
        Filtering::EndpointIndependent | Filtering::AddressDependent => true,
        Filtering::AddressAndPortDependent => false,
    };
    match (one_behaves.0, two_behaves.0) {
        (Mapping::EndpointIndependent, Mapping::EndpointIndependent) => true,
        (Mapping::EndpointIndependent, _) => admits_unforeseen_port(one_behaves),
        (_, Mapping::EndpointIndependent) => admits_unforeseen_port(two_behaves),
        // Both ports are unforeseeable, and neither end lets such packets in.
        (_, _) => false,
    }
}

/// What came of one pair.
struct Cell {
    pair: (Network, Network),
    outcome: Result<Call, String>,
    took: Duration,
}

struct Call {
    at_caller: Value,
    at_callee: Value,
    /// Share of the speech that arrived at the callee and at the caller.
    heard: [f32; 2],
}

/// The first seconds of a recording, in a file of the world's.
fn clip(world: &World, name: &str) {
    let path = world.file(&format!("{name}_short.wav"));
    let mut whole = hound::WavReader::open(recording(name)).expect("a recording");
    let spec = whole.spec();
    let samples = CLIP_S * spec.sample_rate as usize * usize::from(spec.channels);
    let mut short = hound::WavWriter::create(&path, spec).expect("a temporary file");
    for sample in whole.samples::<i16>().take(samples) {
        short.write_sample(sample.expect("a whole file")).expect("room on the disk");
    }
    short.finalize().expect("room on the disk");
}

/// A call of `pair`, number `number` of all.
fn call(world: &World, hosts: [&Netns; 2], number: usize) -> Result<Call, String> {
    let (alice_says, bob_says) = (world.file("alice_short.wav"), world.file("bob_short.wav"));
    let [alice_hears, bob_hears] = ["alice", "bob"].map(|name| world.file(&format!("{name}_hears_{number}.wav")));
    let audio = with_files(&bob_says, &bob_hears);
    let options: Vec<&str> = AUTO.into_iter().chain(audio.iter().map(String::as_str)).collect();
    let mut bob = world
        .launch(&format!("bob{number}"), ["answer", "--ring-device", "null"].iter().chain(&options))
        .inside(Some(hosts[1]))
        .start();
    let ready = bob.try_next_where("ready", |_| true, PATIENCE).map_err(|why| format!("callee's start: {why}"))?;
    let published = bob.try_next_where("presence_published", |line| line["acks"].as_f64() >= Some(1.0), PATIENCE);
    published.map_err(|why| format!("callee's presence: {why}"))?;
    let audio = with_files(&alice_says, &alice_hears);
    let link = ready["link"].as_str().unwrap_or_default();
    let mut alice = world
        .launch(&format!("alice{number}"), ["call", link, "--seconds", TALK_S])
        .args(&audio)
        .inside(Some(hosts[0]))
        .start();
    let connected = alice.try_next_where("connected", |_| true, PATIENCE);
    let at_caller = connected.map_err(|why| format!("caller: {why}\n{}\n{}", alice.last_words(), bob.last_words()))?;
    let connected = bob.try_next_where("connected", |_| true, REACTION);
    let at_callee = connected.map_err(|why| format!("callee: {why}\n{}", bob.last_words()))?;
    alice.try_next_where("ended", |line| line["reason"] == "time_limit", PATIENCE)?;
    alice.wait_exit(PATIENCE);
    bob.try_next_where("ended", |line| line["reason"] == "remote_hangup", REACTION)?;
    bob.finish();
    common::contract::check("alice", &alice.events());
    common::contract::check("bob", &bob.events());
    let share = |said, heard_as| heard(&read_wav(said), &read_wav(heard_as)).share;
    let heard = [share(&alice_says, &bob_hears), share(&bob_says, &alice_hears)];
    Ok(Call { at_caller, at_callee, heard })
}

/// What is wrong with a cell; `None`: nothing.
fn complaint(cell: &Cell, node: &str) -> Option<String> {
    let (one, two) = cell.pair;
    let call = match &cell.outcome {
        Ok(call) => call,
        Err(why) => return Some(why.clone()),
    };
    let expected = if direct_path_possible(one, two) { "direct" } else { "relayed" };
    let over_tcp = [one, two].map(|network| network.behaviour().is_none());
    for (side, blocked) in [(&call.at_caller, over_tcp[0]), (&call.at_callee, over_tcp[1])] {
        if side["path"] != expected {
            return Some(format!("{} instead of {expected}: {side}", side["path"]));
        }
        if expected == "relayed" && side["via"] != node {
            return Some(format!("not through the super-peer: {side}"));
        }
        if blocked && side["protocol"] != "tcp" {
            return Some(format!("not over TCP: {side}"));
        }
    }
    let all = call.heard.iter().all(|&share| share >= HEARD_FROM);
    (!all).then(|| format!("only {:.2?} of the speech was heard", call.heard))
}

fn in_a_word(call: &Call) -> String {
    let path = if call.at_caller["path"] == "direct" { "direct" } else { "relay" };
    let tcp = [&call.at_caller, &call.at_callee].iter().any(|side| side["protocol"] == "tcp");
    let ms = call.at_caller["answer_to_media_ms"].as_f64().unwrap_or_default();
    format!("{path}{} {ms:.0}", if tcp { "/t" } else { "" })
}

fn print_table(cells: &[Cell]) {
    let by_pair: BTreeMap<(Network, Network), &Cell> = cells.iter().map(|cell| (cell.pair, cell)).collect();
    println!("caller ↓, callee →; path (relay/t: one end over TCP), answer to media in ms");
    let heads: Vec<String> = NETWORKS.iter().map(|network| format!("{:>12}", network.name())).collect();
    println!("{:>12}{}", "", heads.concat());
    for one in NETWORKS {
        let row = NETWORKS.iter().map(|&two| match by_pair.get(&(one, two)).map(|cell| &cell.outcome) {
            Some(Ok(call)) => format!("{:>12}", in_a_word(call)),
            Some(Err(_)) => format!("{:>12}", "FAILED"),
            None => format!("{:>12}", ""),
        });
        println!("{:>12}{}", one.name(), row.collect::<String>());
    }
}

/// Caller and callee: 45 pairs, of which 36 have two orders.
fn pairs() -> Vec<(Network, Network)> {
    let mut pairs: Vec<_> = NETWORKS.iter().flat_map(|&one| NETWORKS.map(|two| (one, two))).collect();
    // To look into some of them: `NAT_MATRIX="no firewall"` is all pairs with that name in them.
    if let Ok(wanted) = std::env::var("NAT_MATRIX") {
        pairs.retain(|(one, two)| wanted.split(',').all(|name| [one.name(), two.name()].contains(&name)));
    }
    pairs
}

#[test]
fn the_oracle_and_our_own_prediction_agree() {
    for (one, two) in pairs() {
        let mut theirs = two.report();
        if let Some(seen) = &mut theirs.ipv4 {
            // Another home than ours, though of the same kind.
            seen.public.set_ip([203, 0, 113, 200].into());
        }
        let predicted = likely_path(&one.report(), &theirs).map(LikelyPath::is_direct);
        assert_eq!(predicted, Some(direct_path_possible(one, two)), "{one:?} to {two:?}");
    }
}

#[test]
fn every_pair_of_networks_gets_a_call() {
    let _machine = measuring();
    laboratory("every_pair_of_networks_gets_a_call", || {
        let start = Instant::now();
        let lab = Lab::new();
        let host = lab.public_host("node", &[NODE]);
        let mut world = World::in_laboratory(&host, NODE, &[]);
        let node = node_id(&world.node);
        for name in ["alice", "bob"] {
            clip(&world, name);
        }
        let pairs = pairs();
        let (next, cells) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(&pair) = pairs.get(number) else { return };
                        let began = Instant::now();
                        let last = 40 + 2 * number as u8;
                        let caller = pair.0.machine(&lab, &format!("a{number}"), last);
                        let callee = pair.1.machine(&lab, &format!("b{number}"), last + 1);
                        let outcome = call(&world, [&caller, &callee], number);
                        let cell = Cell { pair, outcome, took: began.elapsed() };
                        cells.lock().expect("no cell panics").push(cell);
                    }
                });
            }
        });
        let cells = cells.into_inner().expect("no cell panics");
        print_table(&cells);
        let count = |path: &str| {
            let calls = cells.iter().filter_map(|cell| cell.outcome.as_ref().ok());
            calls.filter(|call| call.at_caller["path"] == path).count()
        };
        let calls = cells.iter().filter_map(|cell| cell.outcome.as_ref().ok());
        let shares: Vec<f32> = calls.flat_map(|call| call.heard).collect();
        let slowest = cells.iter().map(|cell| cell.took).max().unwrap_or_default();
        println!(
            "{} pairs in {:.0} s, {AT_ONCE} at a time, the slowest {:.1} s: {} direct, {} relayed; least heard {:.2}, on average {:.3}",
            cells.len(),
            start.elapsed().as_secs_f64(),
            slowest.as_secs_f64(),
            count("direct"),
            count("relayed"),
            shares.iter().copied().fold(1.0, f32::min),
            shares.iter().sum::<f32>() / shares.len().max(1) as f32,
        );
        if let Ok(stats) = world.node.try_next_where("node_stats", |_| true, Duration::from_secs(12)) {
            println!("the node at the end: {stats}");
        }
        let complaints: Vec<String> = cells
            .iter()
            .filter_map(|cell| {
                Some(format!("{} to {}: {}", cell.pair.0.name(), cell.pair.1.name(), complaint(cell, &node)?))
            })
            .collect();
        world.finish();
        assert_eq!(cells.len(), pairs.len());
        assert!(complaints.is_empty(), "{} of {} pairs:\n{}", complaints.len(), cells.len(), complaints.join("\n"));
        assert!(start.elapsed() <= BUDGET, "{:?}", start.elapsed());
    });
}
