//! Super-peers that nobody told to be one, with real binaries in a network laboratory: who is reachable comes to serve
//! and is used, who is not does not, and nobody is talked into it.

mod common;

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, identify, kad, noise, relay, tcp, yamux};
use serde_json::Value;

use common::machine::sharing;
use common::netlab::{Lab, NatKind, Netns, laboratory};
use common::process::Process;
use common::world::{AUTO, REACTION, SILENT, START_UP, World, entry_options, finish, node_id};

const NODE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const SECOND: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 21);
const VOLUNTEER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 30);
const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 31);
const LIAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 40);
const PATIENCE: Duration = Duration::from_secs(60);
/// What takes ten minutes in life takes so many seconds here, and everything that follows from it is as much faster.
const STEADY: &str = "3";

/// A process that waits for calls and may come to serve; with `mode` it is told whether to.
fn willing(world: &World, name: &str, at: Option<Ipv4Addr>, further: &[&str], host: &Netns) -> Process {
    let listen = at.map(|at| ["udp", "tcp"].map(|way| listen_at(at, way))).into_iter().flatten();
    let listen: Vec<String> = listen.flat_map(|address| ["--listen".to_owned(), address]).collect();
    let verb = [&["answer", "--volunteer-after", STEADY][..], &AUTO, &SILENT, further].concat();
    let mut process = world.launch(name, verb).args(&listen).inside(Some(host)).start();
    process.next("ready", START_UP);
    process
}

fn listen_at(ip: Ipv4Addr, way: &str) -> String {
    format!("/ip4/{ip}/{way}/4001{}", if way == "udp" { "/quic-v1" } else { "" })
}

fn begins_to_serve(process: &mut Process) -> Value {
    process.next_where("super_peer", |line| line["on"] == true, PATIENCE)
}

fn has_served(process: &Process) -> bool {
    !process.all("super_peer").is_empty()
}

/// Another node that always serves, which everybody is told of.
fn second_node(world: &mut World, lab: &Lab) -> Process {
    let host = lab.public_host("node2", &[SECOND]);
    let listen = ["udp", "tcp"].map(|way| listen_at(SECOND, way));
    let verb = ["node", "--super-peer", "always", "--listen", &listen[0], "--listen", &listen[1]];
    let mut node = world.launch("node2", verb).inside(Some(&host)).start();
    let ready = node.next("ready", START_UP);
    world.network.extend(entry_options(&ready));
    node
}

/// A firewall as desktop systems have it: what belongs to a connection from inside gets in, and nothing else.
struct Firewall<'a>(&'a Netns);

impl Firewall<'_> {
    const RULES: [&'static [&'static str]; 2] = [
        &["-i", "wan", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"],
        &["-i", "wan", "-j", "DROP"],
    ];

    fn close(&self) {
        Self::RULES.iter().for_each(|rule| self.change("-A", rule));
    }

    fn open(&self) {
        Self::RULES.iter().for_each(|rule| self.change("-D", rule));
    }

    fn change(&self, verb: &str, rule: &[&str]) {
        let changed = self.0.command(&["iptables", verb, "INPUT"]).args(rule).status().expect("it was found");
        assert!(changed.success());
    }
}

#[test]
fn a_peer_with_a_public_address_serves_and_calls_go_through_it() {
    let _machine = sharing();
    laboratory("a_peer_with_a_public_address_serves_and_calls_go_through_it", || {
        let lab = Lab::new();
        let host = lab.public_host("node", &[NODE]);
        let left = lab.site("ra", Ipv4Addr::new(203, 0, 113, 101), [192, 168, 1], NatKind::Symmetric);
        let right = lab.site("rb", Ipv4Addr::new(203, 0, 113, 102), [192, 168, 2], NatKind::Symmetric);
        let (alice_at, bob_at) = (lab.lan_host(&left, "ha", 10), lab.lan_host(&right, "hb", 10));
        let nated_at = lab.lan_host(&left, "hc", 11);
        let (volunteer_at, other_at) = (lab.public_host("vol", &[VOLUNTEER]), lab.public_host("other", &[OTHER]));
        let mut world = World::in_laboratory(&host, NODE, &[]);

        let began = Instant::now();
        let mut nated = willing(&world, "nated", None, &[], &nated_at);
        let mut never = willing(&world, "never", Some(OTHER), &["--super-peer", "never"], &other_at);
        let mut volunteer = willing(&world, "volunteer", Some(VOLUNTEER), &[], &volunteer_at);
        let served = begins_to_serve(&mut volunteer);
        println!("serves after {:.1?}: {served}", began.elapsed());
        assert_eq!(served["reason"], format!("others can reach this machine at {VOLUNTEER}"));
        assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
        let status = volunteer_status(&world);
        assert_eq!(status["super_peer"], true, "{status}");

        // Everybody knows both, and then the one that was told to serve dies.
        let id = node_id(&volunteer);
        world.network.extend(
            ["udp", "tcp"]
                .into_iter()
                .flat_map(|way| ["--bootstrap".to_owned(), format!("{}/p2p/{id}", listen_at(VOLUNTEER, way))]),
        );
        let mut bob = world.answering("bob", &[&AUTO[..], &SILENT].concat(), Some(&bob_at));
        bob.process.next_where("presence_published", |line| relays(line).len() == 2, PATIENCE);
        world.node.kill();
        let mut alice = world.calling("alice", &bob.link, &SILENT, Some(&alice_at));
        for connected in [alice.next("connected", PATIENCE), bob.process.next("connected", REACTION)] {
            assert_eq!(connected["path"], "relayed", "{connected}");
            assert_eq!(connected["via"], id.as_str(), "{connected}");
        }
        volunteer.next_where("node_stats", |line| line["relayed_calls"] == 1, PATIENCE);
        finish(&mut alice, 0);
        finish(&mut bob.process, 0);
        assert!(!has_served(&nated), "behind a NAT nobody serves");
        assert!(!has_served(&never), "nor who does not want to");
        for process in [&mut volunteer, &mut nated, &mut never] {
            finish(process, 0);
        }
    });
}

fn volunteer_status(world: &World) -> Value {
    let (code, lines) =
        common::process::Launch::new("volunteer", &world.home("volunteer")).args(["status"]).start_and_wait(REACTION);
    assert_eq!(code, Some(0));
    lines.into_iter().next().expect("one line")
}

fn relays(published: &Value) -> &[Value] {
    published["relays"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn a_firewall_that_opens_makes_a_super_peer_and_one_that_closes_ends_it() {
    let _machine = sharing();
    laboratory("a_firewall_that_opens_makes_a_super_peer_and_one_that_closes_ends_it", || {
        let lab = Lab::new();
        let host = lab.public_host("node", &[NODE]);
        let (volunteer_at, control_at) = (lab.public_host("vol", &[VOLUNTEER]), lab.public_host("other", &[OTHER]));
        let left = lab.site("ra", Ipv4Addr::new(203, 0, 113, 101), [192, 168, 1], NatKind::PortRestricted);
        let right = lab.site("rb", Ipv4Addr::new(203, 0, 113, 102), [192, 168, 2], NatKind::PortRestricted);
        let (alice_at, bob_at) = (lab.lan_host(&left, "ha", 10), lab.lan_host(&right, "hb", 10));
        let mut world = World::in_laboratory(&host, NODE, &[]);
        let mut second = second_node(&mut world, &lab);

        let firewall = Firewall(&volunteer_at);
        firewall.close();
        let mut volunteer = willing(&world, "volunteer", Some(VOLUNTEER), &[], &volunteer_at);
        let mut control = willing(&world, "control", Some(OTHER), &[], &control_at);
        begins_to_serve(&mut control);
        assert!(!has_served(&volunteer), "nobody gets through to it");
        firewall.open();
        let opened = Instant::now();
        begins_to_serve(&mut volunteer);
        println!("serves {:.1?} after the firewall opened", opened.elapsed());

        // Bob has a place there too, and it is taken from him in an orderly way.
        let id = node_id(&volunteer);
        let bootstrap = format!("{}/p2p/{id}", listen_at(VOLUNTEER, "udp"));
        let verb = [&["--bootstrap", &bootstrap][..], &AUTO, &SILENT].concat();
        let mut bob = world.answering("bob", &verb, Some(&bob_at));
        let holds = |line: &Value| relays(line).iter().any(|relay| *relay == id.as_str());
        bob.process.next_where("presence_published", holds, PATIENCE);
        firewall.close();
        let closed = Instant::now();
        let ended = volunteer.next_where("super_peer", |line| line["on"] == false, PATIENCE);
        println!("ends {:.1?} after the firewall closed: {ended}", closed.elapsed());
        assert_eq!(ended["reason"], "others cannot reach this machine any more");
        bob.process.next_where("presence_published", |line| !relays(line).is_empty() && !holds(line), PATIENCE);

        let mut alice = world.calling("alice", &bob.link, &SILENT, Some(&alice_at));
        alice.next("connected", PATIENCE);
        bob.process.next("connected", REACTION);
        finish(&mut alice, 0);
        for process in [&mut bob.process, &mut control, &mut volunteer, &mut second] {
            finish(process, 0);
        }
        world.finish();
    });
}

#[test]
fn one_that_confirms_everything_talks_nobody_into_serving_when_others_say_no() {
    let _machine = sharing();
    laboratory("one_that_confirms_everything_talks_nobody_into_serving_when_others_say_no", || {
        let lab = Lab::new();
        let host = lab.public_host("node", &[NODE]);
        let (victim_at, control_at) = (lab.public_host("vic", &[VOLUNTEER]), lab.public_host("other", &[OTHER]));
        let liar_at = lab.public_host("liar", &[LIAR]);
        let (tell, told) = std::sync::mpsc::channel();
        liar_at.thread(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(lie(&tell));
        });
        let liar = format!("{}/p2p/{}", listen_at(LIAR, "udp"), told.recv().expect("it starts"));
        let mut world = World::in_laboratory(&host, NODE, &[]);
        let honest = world.network.clone();
        let only_liar: Vec<String> = common::world::LABORATORY
            .map(str::to_owned)
            .into_iter()
            .chain(["--bootstrap".to_owned(), liar.clone()])
            .collect();
        for host in [&victim_at, &control_at] {
            Firewall(host).close();
        }

        // Who knows nobody else believes it: the lie is a good one.
        world.network = only_liar;
        let mut control = willing(&world, "control", Some(OTHER), &[], &control_at);
        begins_to_serve(&mut control);
        world.network = honest;
        let mut second = second_node(&mut world, &lab);
        let mut victim = willing(&world, "victim", Some(VOLUNTEER), &["--bootstrap", &liar], &victim_at);
        // As long as it took the other one, and much longer: rounds come after 6, 12 and 24 seconds.
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            assert!(!has_served(&victim), "it was talked into it");
            thread::sleep(Duration::from_millis(200));
        }
        for process in [&mut victim, &mut control, &mut second] {
            finish(process, 0);
        }
        world.finish();
    });
}

#[derive(NetworkBehaviour)]
struct Liar {
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
    relay: relay::Behaviour,
    streams: libp2p_stream::Behaviour,
}

/// A super-peer to all appearances, which tells everybody that they can be reached. It says the secret number, too: it
/// gets in by the hole that the asker's own connection to it has made, from the same port.
async fn lie(tell: &std::sync::mpsc::Sender<PeerId>) {
    const DIAL_REQUEST: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-request");
    const DIAL_BACK: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-back");
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("noise is there")
        .with_quic()
        .with_behaviour(|key| {
            let me = key.public().to_peer_id();
            let mut config = kad::Config::new(StreamProtocol::new("/twocans/kad/1"));
            config.set_periodic_bootstrap_interval(None);
            let mut kad = kad::Behaviour::with_config(me, MemoryStore::new(me), config);
            kad.set_mode(Some(kad::Mode::Server));
            let mut relay = relay::Behaviour::new(me, relay::Config::default());
            relay.set_status(Some(relay::Status::Enable));
            let identify = identify::Behaviour::new(identify::Config::new("/twocans/1".into(), key.public()));
            Liar { kad, identify, relay, streams: libp2p_stream::Behaviour::new() }
        })
        .expect("it fits together")
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build();
    let address: Multiaddr = listen_at(LIAR, "udp").parse().expect("an address");
    swarm.listen_on(address.clone()).expect("the port is free");
    swarm.add_external_address(address);
    tell.send(*swarm.local_peer_id()).expect("the test waits");
    let control = swarm.behaviour().streams.new_control();
    let mut questions = control.clone().accept(DIAL_REQUEST).expect("once");
    let (dial, mut dials) = tokio::sync::mpsc::channel::<PeerId>(16);
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                if let SwarmEvent::ConnectionEstablished { endpoint, .. } = event
                    && endpoint.is_dialer()
                {
                    println!("the liar got in");
                }
            }
            Some(asker) = dials.recv() => {
                // One of the two; at the other somebody else answers, or nobody.
                for at in [VOLUNTEER, OTHER] {
                    let address: Multiaddr = listen_at(at, "udp").parse().expect("an address");
                    let options = DialOpts::peer_id(asker).addresses(vec![address]).condition(PeerCondition::Always);
                    let _ = swarm.dial(options.build());
                }
            }
            Some((asker, mut stream)) = questions.next() => {
                let (mut control, dial) = (control.clone(), dial.clone());
                tokio::spawn(async move {
                    let mut length = [0];
                    stream.read_exact(&mut length).await.ok()?;
                    let mut question = vec![0; usize::from(length[0])];
                    stream.read_exact(&mut question).await.ok()?;
                    // The number is what a question ends with, in the form of a DialBack but for the field's number.
                    let number = question[question.len() - 8..].to_vec();
                    dial.send(asker).await.ok()?;
                    // Any of the connections is taken; the asker listens on those alone that it did not make itself.
                    for _ in 0..40 {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        let said = async {
                            let mut back = control.open_stream(asker, DIAL_BACK).await.ok()?;
                            back.write_all(&[&[9, 0x09][..], &number].concat()).await.ok()?;
                            back.flush().await.ok()?;
                            back.read_exact(&mut [0]).await.ok()
                        };
                        if let Ok(Some(())) = tokio::time::timeout(Duration::from_millis(500), said).await {
                            println!("the liar said the number");
                            break;
                        }
                    }
                    // DialResponse: OK, and the dial was OK.
                    stream.write_all(&[8, 0x12, 6, 0x08, 0xc8, 1, 0x18, 0xc8, 1]).await.ok()?;
                    stream.close().await.ok()
                });
            }
        }
    }
}
