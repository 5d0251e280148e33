//! Our nodes and js-libp2p, which shares no code with the library that we use: records are got and stored, and super-peers
//! relay to and for it. In a network of its own.

mod common;

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use twocans::identity::{Link, Period, blinding};

use common::foreign::{Foreign, has_node};
use common::machine::sharing;
use common::netlab::{Lab, laboratory};
use common::process::Launch;
use common::world::{AUTO, SILENT, START_UP, World, finish};

const NODE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 22);
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_foreign_node_gets_stores_and_is_relayed() {
    const TEST: &str = "a_foreign_node_gets_stores_and_is_relayed";
    let _machine = sharing();
    if !has_node(TEST, "libp2p") {
        return;
    }
    laboratory(TEST, || {
        let lab = Lab::new();
        let host = lab.public_host("node", &[NODE]);
        let (others, bobs) =
            (lab.public_host("other", &[OTHER]), lab.public_host("bob", &[Ipv4Addr::new(203, 0, 113, 23)]));
        let theirs = lab.public_host("theirs", &[Ipv4Addr::new(203, 0, 113, 21)]);
        let world = World::in_laboratory(&host, NODE, &[]);
        // A network of one node, which knows nobody.
        let listen = format!("/ip4/{OTHER}/tcp/4001");
        let mut other = Launch::new("other", &world.home("other"))
            .args([
                "node",
                "--super-peer",
                "always",
                "--no-mdns",
                "--treat-as-public",
                "203.0.113.0/24",
                "--listen",
                &listen,
            ])
            .inside(Some(&others))
            .start();
        let other_at = tcp_address(&other.next("ready", START_UP));
        let ready = world.node.events().into_iter().find(|line| line["event"] == "ready").expect("the node is ready");
        let mut bob = world.answering("bob", &[&AUTO[..], &SILENT].concat(), Some(&bobs));
        let bobs_node =
            bob.process.events().iter().find(|line| line["event"] == "ready").expect("he is")["node"].clone();

        let link: Link = bob.link.parse().expect("a link");
        let keys = record_keys(&link);
        let mut arguments = vec![tcp_address(&ready), other_at.clone(), bobs_node.as_str().expect("text").to_owned()];
        arguments.extend(keys);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut foreign = Foreign::node("libp2p_peer.mjs", &arguments, Some(&theirs));
        let mut line = |start: &str| foreign.wait_for(start, |line| line.starts_with(start), PATIENCE);
        println!("{}", line("got "));
        assert_eq!(line("forged "), "forged is gone");
        assert_eq!(line("stored "), "stored 1");
        assert_eq!(line("same "), "same true");
        assert_eq!(line("circuit "), "circuit /twocans/call/1");
        assert!(line("reserved ").contains("/p2p-circuit"));
        assert!(line("reached ").starts_with("reached true"));
        line("done");
        assert_eq!(foreign.wait_exit(PATIENCE), Some(0));

        // Who knows only the other node finds Bob there, by what the foreign node stored.
        let lookup = Launch::new("reader", &world.home("reader"))
            .args(["lookup", &bob.link, "--no-mdns", "--treat-as-public", "203.0.113.0/24", "--bootstrap", &other_at])
            .inside(Some(&theirs));
        let (code, lines) = lookup.start_and_wait(PATIENCE);
        assert_eq!(code, Some(0), "{lines:?}");
        finish(&mut bob.process, 0);
        finish(&mut other, 0);
        world.finish();
    });
}

/// Where a node listens on TCP port 4001.
fn tcp_address(ready: &serde_json::Value) -> String {
    let listen = ready["listen"].as_array().expect("listen is an array").iter().filter_map(|address| address.as_str());
    listen.into_iter().find(|address| address.contains("/tcp/4001/")).expect("it listens on TCP").to_owned()
}

/// The keys under which the person's record may lie about now: around midnight (UTC) there are two of them.
fn record_keys(link: &Link) -> Vec<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let today = Period::of(now);
    let periods = today.neighbours().into_iter().chain([today]);
    let key = |period| {
        let blinded = blinding::blind(link.person, period).expect("a person's key");
        HEXLOWER.encode(&[&b"/tc1/"[..], &Sha256::digest(blinded.as_bytes())].concat())
    };
    periods.map(key).collect()
}
