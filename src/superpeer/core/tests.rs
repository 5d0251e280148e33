//! The relay against clients of all kinds, without sockets: messages are made and read with the crate's codec.

use proptest::prelude::*;
use turn_server_proto::stun::types::attribute::{Nonce, Realm, Username};
use turn_server_proto::stun::types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageIntegrityCredentials, MessageWrite, MessageWriteExt,
    MessageWriteVec, Method,
};
use turn_server_proto::stun::types::prelude::AttributeWrite;
use turn_server_proto::types::attribute::{
    ChannelNumber, Data, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use turn_server_proto::types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND};

use super::*;
use crate::base::NodeId;
use crate::superpeer::{Credentials, Issuer};

const OURS: &str = "9.9.9.9";
const PEER: &str = "8.8.8.8:5000";
const LAN: &str = "192.168.1.1:80";

struct World {
    core: Core,
    issuer: Issuer,
    now: Instant,
    next_port: u16,
    /// What left towards peers.
    sent: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    bound: Vec<SocketAddr>,
    closed: Vec<SocketAddr>,
}

impl World {
    fn new(limits: Limits) -> Self {
        let now = Instant::now();
        let secret = Secret::new([7; 32], now);
        let issuer = Issuer::new(secret.clone(), &limits);
        let ours: IpAddr = OURS.parse().unwrap();
        let policy = AddressPolicy { own: vec![ours], ..AddressPolicy::default() };
        let core = Core::new(policy, limits, secret, vec![ours], now);
        Self { core, issuer, now, next_port: 40_000, sent: vec![], bound: vec![], closed: vec![] }
    }

    fn credentials(&mut self, node: u8) -> Credentials {
        self.issuer.issue(&NodeId::from_bytes(&[node; 38]).unwrap(), None, self.now).unwrap()
    }

    /// Hands a packet in and does what the core wants; what was said to `client` comes back.
    fn say(&mut self, client: Client, packet: &[u8]) -> Vec<Vec<u8>> {
        self.core.handle_client(client, packet, self.now);
        self.carry_out(client)
    }

    fn carry_out(&mut self, client: Client) -> Vec<Vec<u8>> {
        let mut heard = Vec::new();
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::ToClient { client: to, packet } if to == client => heard.push(packet),
                Output::ToClient { client, packet } => self.sent.push((client.local, client.remote, packet)),
                Output::ToPeer { relayed, peer, payload } => self.sent.push((relayed, peer, payload)),
                Output::Bind { client, at, ipv4 } => {
                    self.next_port += 1;
                    let address = SocketAddr::new(at, self.next_port);
                    self.bound.push(address);
                    self.core.bound(client, ipv4, Ok(address), self.now);
                }
                Output::Unbind { relayed } => self.closed.push(relayed),
            }
        }
        heard
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.core.handle_timeout(self.now);
        self.carry_out(client(1));
    }
}

/// A client and what it has learnt.
struct Caller {
    client: Client,
    credentials: Credentials,
    nonce: String,
}

impl Caller {
    /// Asks for an allocation as RFC 8656 §7 has it: is challenged, and tries again with the password.
    fn new(world: &mut World, client: Client, credentials: Credentials) -> Self {
        let bare = {
            let mut message = Message::builder_request(ALLOCATE, MessageWriteVec::new());
            message.add_attribute(&RequestedTransport::new(RequestedTransport::UDP)).unwrap();
            message.finish()
        };
        let challenge = world.say(client, &bare).remove(0);
        let challenge = Message::from_bytes(&challenge).unwrap();
        assert_eq!(code(challenge.as_bytes()), Some(401));
        let nonce = challenge.attribute::<Nonce>().unwrap().nonce().to_owned();
        Self { client, credentials, nonce }
    }

    fn allocated(world: &mut World, client: Client, node: u8) -> (Self, SocketAddr) {
        let credentials = world.credentials(node);
        let caller = Self::new(world, client, credentials);
        let answer = caller.allocate(world);
        let message = Message::from_bytes(&answer).unwrap();
        let relayed = message.attribute::<XorRelayedAddress>().expect("allocated").addr(message.transaction_id());
        (caller, relayed)
    }

    fn request(&self, method: Method, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
        let mut message = Message::builder_request(method, MessageWriteVec::new());
        self.finish(&mut message, attributes);
        message.finish()
    }

    fn towards(&self, method: Method, peer: &str, channel: Option<u16>) -> Vec<u8> {
        let mut message = Message::builder_request(method, MessageWriteVec::new());
        let peer =
            XorPeerAddress::new(peer.parse().unwrap(), Message::from_bytes(message.data()).unwrap().transaction_id());
        let number = channel.map(ChannelNumber::new);
        let mut attributes: Vec<&dyn AttributeWrite> = vec![&peer];
        attributes.extend(number.as_ref().map(|number| number as &dyn AttributeWrite));
        self.finish(&mut message, &attributes);
        message.finish()
    }

    fn finish(&self, message: &mut MessageWriteVec, attributes: &[&dyn AttributeWrite]) {
        let Credentials { username, .. } = &self.credentials;
        for attribute in attributes {
            message.add_attribute(*attribute).unwrap();
        }
        message.add_attribute(&Username::new(username).unwrap()).unwrap();
        message.add_attribute(&Realm::new(REALM).unwrap()).unwrap();
        message.add_attribute(&Nonce::new(&self.nonce).unwrap()).unwrap();
        message.add_message_integrity(&self.key(), IntegrityAlgorithm::Sha1).unwrap();
        message.add_fingerprint().unwrap();
    }

    fn key(&self) -> MessageIntegrityCredentials {
        let Credentials { username, password, .. } = &self.credentials;
        LongTermKeyCredentials::new(username.clone(), password.clone(), REALM.to_owned()).into()
    }

    fn ask(&self, world: &mut World, request: &[u8]) -> Vec<u8> {
        let mut answers = world.say(self.client, request);
        assert_eq!(answers.len(), 1, "one answer");
        answers.remove(0)
    }

    fn allocate(&self, world: &mut World) -> Vec<u8> {
        let request = self.request(ALLOCATE, &[&RequestedTransport::new(RequestedTransport::UDP)]);
        self.ask(world, &request)
    }

    fn refresh(&self, world: &mut World, seconds: u32) -> Vec<u8> {
        let request = self.request(REFRESH, &[&Lifetime::new(seconds)]);
        self.ask(world, &request)
    }

    fn permit(&self, world: &mut World, peer: &str) -> Vec<u8> {
        let request = self.towards(CREATE_PERMISSION, peer, None);
        self.ask(world, &request)
    }

    fn bind(&self, world: &mut World, channel: u16, peer: &str) -> Vec<u8> {
        let request = self.towards(CHANNEL_BIND, peer, Some(channel));
        self.ask(world, &request)
    }

    /// In a Send indication.
    fn send(&self, world: &mut World, peer: &str, payload: &[u8]) {
        let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
        let transaction = Message::from_bytes(message.data()).unwrap().transaction_id();
        message.add_attribute(&XorPeerAddress::new(peer.parse().unwrap(), transaction)).unwrap();
        message.add_attribute(&Data::new(payload)).unwrap();
        assert_eq!(world.say(self.client, &message.finish()), Vec::<Vec<u8>>::new());
    }
}

fn client(port: u16) -> Client {
    client_at("7.7.7.7", port)
}

fn client_at(ip: &str, port: u16) -> Client {
    Client {
        transport: Transport::Udp,
        remote: SocketAddr::new(ip.parse().unwrap(), port),
        local: SocketAddr::new(OURS.parse().unwrap(), 3478),
    }
}

/// The error code of an answer; `None` for a success.
fn code(answer: &[u8]) -> Option<u16> {
    let message = Message::from_bytes(answer).unwrap();
    message.has_class(turn_server_proto::stun::types::message::MessageClass::Error).then(|| {
        let error = message.attribute::<ErrorCode>().unwrap();
        error.code()
    })
}

fn channel_data(channel: u16, payload: &[u8]) -> Vec<u8> {
    [&channel.to_be_bytes()[..], &(payload.len() as u16).to_be_bytes(), payload].concat()
}

#[test]
fn a_client_talks_to_a_peer_by_indication_and_by_channel() {
    let mut world = World::new(Limits::default());
    let (caller, relayed) = Caller::allocated(&mut world, client(1), 1);
    assert_eq!(relayed.ip(), OURS.parse::<IpAddr>().unwrap());
    let peer: SocketAddr = PEER.parse().unwrap();

    caller.send(&mut world, PEER, b"too early");
    assert!(world.sent.is_empty(), "no permission yet");
    assert_eq!(code(&caller.permit(&mut world, PEER)), None);
    caller.send(&mut world, PEER, b"hello");
    assert_eq!(world.sent.pop(), Some((relayed, peer, b"hello".to_vec())));
    world.core.handle_peer(relayed, peer, b"hi", world.now);
    let heard = world.carry_out(caller.client);
    assert_eq!(Message::from_bytes(&heard[0]).unwrap().attribute::<Data>().unwrap().data(), b"hi");

    assert_eq!(code(&caller.bind(&mut world, 0x4000, PEER)), None);
    world.say(caller.client, &channel_data(0x4000, b"hello again"));
    assert_eq!(world.sent.pop(), Some((relayed, peer, b"hello again".to_vec())));
    world.core.handle_peer(relayed, peer, b"hi again", world.now);
    assert_eq!(world.carry_out(caller.client), [channel_data(0x4000, b"hi again")]);
    world.core.handle_peer(relayed, "8.8.4.4:5000".parse().unwrap(), b"who is this", world.now);
    assert!(world.carry_out(caller.client).is_empty(), "a stranger has no permission");

    let totals = world.core.totals(world.now);
    assert_eq!((totals.allocations, totals.calls), (1, 1));
    assert_eq!(totals.relayed_bytes, 5 + 2 + 11 + 8);
    assert_eq!(code(&caller.refresh(&mut world, 0)), None);
    assert_eq!(world.closed, [relayed]);
    assert_eq!(world.core.totals(world.now).allocations, 0);
    assert_eq!(world.core.sessions.len(), 0, "nothing is remembered");
}

#[test]
fn binding_requests_are_answered() {
    let mut world = World::new(Limits::default());
    let answer = world.say(client(5), &nat::binding_request([3; 12])).remove(0);
    assert_eq!(nat::mapped_address(&answer, [3; 12]), Ok(client(5).remote));
    assert_eq!(world.core.sessions.len(), 0);
}

#[test]
fn an_answer_that_was_lost_is_given_again() {
    let mut world = World::new(Limits::default());
    let credentials = world.credentials(1);
    let caller = Caller::new(&mut world, client(1), credentials);
    let request = caller.request(ALLOCATE, &[&RequestedTransport::new(RequestedTransport::UDP)]);
    let first = caller.ask(&mut world, &request);
    assert_eq!(code(&first), None);
    assert_eq!(caller.ask(&mut world, &request), first);
    assert_eq!(world.bound.len(), 1);
    // Another request is another matter (437, RFC 8656 §7.2).
    assert_eq!(code(&caller.allocate(&mut world)), Some(437));
}

#[test]
fn wrong_and_foreign_passwords_do_nothing() {
    let mut world = World::new(Limits::default());
    let (mine, relayed) = Caller::allocated(&mut world, client(1), 1);
    let genuine = world.credentials(2);
    let elsewhere = Secret::new([8; 32], world.now).password_of(&genuine.username).unwrap();
    for credentials in [
        Credentials { password: "guess".into(), ..genuine.clone() },
        Credentials { password: elsewhere, ..genuine.clone() },
        Credentials { username: "root".into(), ..genuine.clone() },
        Credentials { username: format!("9999999:{}", "x".repeat(40)), ..genuine.clone() },
    ] {
        let caller = Caller::new(&mut world, client(2), credentials.clone());
        assert_eq!(code(&caller.allocate(&mut world)), Some(401));
        // On somebody's allocation, from their own address.
        let thief = Caller { client: mine.client, credentials, nonce: mine.nonce.clone() };
        assert_eq!(code(&thief.refresh(&mut world, 0)), Some(401));
        assert_eq!(code(&thief.permit(&mut world, PEER)), Some(401));
    }
    // Good credentials, but not those of this allocation (441, RFC 8656 §5).
    let thief = Caller { client: mine.client, credentials: genuine, nonce: mine.nonce.clone() };
    assert_eq!(code(&thief.refresh(&mut world, 0)), Some(441));
    assert_eq!(code(&thief.permit(&mut world, PEER)), Some(441));
    mine.send(&mut world, PEER, b"no permission came of it");
    assert!(world.sent.is_empty());
    assert_eq!(world.core.totals(world.now).allocations, 1);
    assert_eq!(world.bound, [relayed]);
}

#[test]
fn old_credentials_keep_what_they_have_and_get_nothing_new() {
    let mut world = World::new(Limits::default());
    let (caller, _) = Caller::allocated(&mut world, client(1), 1);
    for _ in 0..11 {
        world.wait(Duration::from_secs(60));
        assert_eq!(code(&caller.refresh(&mut world, 600)), None);
    }
    let late = Caller::new(&mut world, client(2), caller.credentials.clone());
    assert_eq!(code(&late.allocate(&mut world)), Some(401));
    assert_eq!(world.core.totals(world.now).allocations, 1);
}

#[test]
fn what_must_not_be_reached_is_forbidden() {
    let mut world = World::new(Limits::default());
    let (caller, _) = Caller::allocated(&mut world, client(1), 1);
    for peer in [LAN, "127.0.0.1:631", "169.254.169.254:80", "100.64.0.9:5060", "224.0.0.251:5353", "0.0.0.0:1"] {
        for answer in [caller.permit(&mut world, peer), caller.bind(&mut world, 0x4001, peer)] {
            assert_eq!(code(&answer), Some(403), "{peer}");
            let answer = Message::from_bytes(&answer).unwrap();
            assert!(answer.validate_integrity(&caller.key()).is_ok(), "signed, or clients would not believe it");
        }
        caller.send(&mut world, peer, b"hello printer");
        world.say(caller.client, &channel_data(0x4001, b"hello printer"));
    }
    // A permission for a good address opens no other.
    assert_eq!(code(&caller.permit(&mut world, PEER)), None);
    caller.send(&mut world, LAN, b"hello printer");
    assert!(world.sent.is_empty(), "{:?}", world.sent);
    // And a host on the LAN does not get through to the client.
    let relayed = world.bound[0];
    world.core.handle_peer(relayed, LAN.parse().unwrap(), b"hello", world.now);
    assert!(world.carry_out(caller.client).is_empty());
    assert!(world.core.totals(world.now).refused_peers >= 12);
}

#[test]
fn our_own_address_is_good_for_other_allocations_only() {
    let mut world = World::new(Limits::default());
    let (alice, of_alice) = Caller::allocated(&mut world, client(1), 1);
    assert_eq!(code(&alice.permit(&mut world, "9.9.9.9:22")), Some(403));
    let (bob, of_bob) = Caller::allocated(&mut world, client(2), 2);
    assert_eq!(code(&alice.bind(&mut world, 0x4000, &of_bob.to_string())), None);
    assert_eq!(code(&bob.bind(&mut world, 0x4000, &of_alice.to_string())), None);
    assert_eq!(code(&alice.bind(&mut world, 0x4002, "9.9.9.9:22")), None, "a permission is for an address");
    world.say(alice.client, &channel_data(0x4002, b"hello sshd"));
    alice.send(&mut world, "9.9.9.9:22", b"hello sshd");
    assert!(world.sent.is_empty(), "but nothing goes there: {:?}", world.sent);

    world.say(alice.client, &channel_data(0x4000, b"hello bob"));
    let heard = channel_data(0x4000, b"hello bob");
    assert_eq!(world.sent.pop(), Some((bob.client.local, bob.client.remote, heard)), "without leaving the machine");
    world.say(bob.client, &channel_data(0x4000, b"hello alice"));
    assert_eq!(world.sent.len(), 1);
    assert_eq!(world.core.totals(world.now).calls, 1, "two allocations, one call");
}

#[test]
fn quotas_hold() {
    let limits =
        Limits { allocations: 9, allocations_per_requester: 3, allocations_per_address: 5, ..Limits::default() };
    let mut world = World::new(limits);
    let outcome = |world: &mut World, ip: &str, port: u16, node: u8| {
        let credentials = world.credentials(node);
        let caller = Caller::new(world, client_at(ip, port), credentials);
        code(&caller.allocate(world))
    };
    assert_eq!(
        (1..=4).map(|port| outcome(&mut world, "7.7.7.7", port, 1)).collect::<Vec<_>>(),
        [None, None, None, Some(486)]
    );
    assert_eq!(
        (5..=7).map(|port| outcome(&mut world, "7.7.7.7", port, 2)).collect::<Vec<_>>(),
        [None, None, Some(486)]
    );
    let others: Vec<_> = (1..=5).map(|node| outcome(&mut world, &format!("6.6.6.{node}"), 1, 10 + node)).collect();
    assert_eq!(others, [None, None, None, None, Some(508)]);
    assert_eq!(world.core.totals(world.now).allocations, 9);
}

#[test]
fn a_client_has_so_many_peers_and_no_number_twice() {
    let mut world = World::new(Limits { peers: 4, ..Limits::default() });
    let (caller, _) = Caller::allocated(&mut world, client(1), 1);
    let outcomes: Vec<_> = (1..=5).map(|last| code(&caller.permit(&mut world, &format!("8.8.8.{last}:1")))).collect();
    assert_eq!(outcomes, [None, None, None, None, Some(508)]);
    world.wait(Duration::from_secs(301));
    let (caller, _) = Caller::allocated(&mut world, client(2), 1);
    assert_eq!(code(&caller.bind(&mut world, 0x4000, PEER)), None);
    assert_eq!(code(&caller.bind(&mut world, 0x4000, "8.8.4.4:1")), Some(400));
    assert_eq!(code(&caller.bind(&mut world, 0x4000, PEER)), None, "binding again refreshes");
}

#[test]
fn more_than_a_call_needs_is_dropped_and_counted() {
    let limits = Limits::default();
    let allowed = f64::from(limits.bits_per_second) / 8.0;
    let mut world = World::new(limits);
    let (caller, relayed) = Caller::allocated(&mut world, client(1), 1);
    caller.bind(&mut world, 0x4000, PEER);
    for _ in 0..1000 {
        // 800 kb/s each way, for 10 s.
        world.now += Duration::from_millis(10);
        world.say(caller.client, &channel_data(0x4000, &[0; 996]));
        world.core.handle_peer(relayed, PEER.parse().unwrap(), &[0; 1000], world.now);
        world.carry_out(client(99));
    }
    let up: usize = world.sent.iter().filter(|(from, ..)| *from == relayed).map(|(.., payload)| payload.len()).sum();
    let down: usize = world.sent.iter().filter(|(from, ..)| *from != relayed).map(|(.., packet)| packet.len()).sum();
    for passed in [up, down] {
        assert!((passed as f64) < 10.6 * allowed && passed as f64 > 9.0 * allowed, "{passed} bytes in 10 s");
    }
    assert!(world.core.totals(world.now).dropped_packets > 1400);
}

#[test]
fn a_volunteers_line_is_not_exceeded_by_many_calls_together() {
    let limits = Limits::volunteer();
    let most = f64::from(limits.bits_per_second_in_all) / 8.0;
    let mut world = World::new(limits);
    let callers: Vec<Caller> =
        (1..=10).map(|number| Caller::allocated(&mut world, client(number), number as u8).0).collect();
    for caller in &callers {
        assert_eq!(code(&caller.permit(&mut world, PEER)), None);
    }
    world.sent.clear();
    // Each stays within its own share (200 kb/s): 20 packets of 1000 bytes a second, for ten seconds.
    for _ in 0..200 {
        for caller in &callers {
            caller.send(&mut world, PEER, &[0; 1000]);
        }
        world.now += Duration::from_millis(50);
    }
    let passed: usize = world.sent.iter().map(|(_, _, payload)| payload.len()).sum();
    let allowed = most * (10.0 + LINE_BURST_S);
    assert!((passed as f64) <= allowed && passed as f64 > 0.9 * allowed, "{passed} of {allowed}");
    assert_eq!(world.core.totals(world.now).dropped_packets, 2000 - passed as u64 / 1000);
}

#[test]
fn strangers_cost_little_and_are_forgotten() {
    let mut world = World::new(Limits::default());
    let (caller, _) = Caller::allocated(&mut world, client(1), 1);
    let mut bare = Message::builder_request(ALLOCATE, MessageWriteVec::new());
    bare.add_attribute(&RequestedTransport::new(RequestedTransport::UDP)).unwrap();
    let bare = bare.finish();
    for number in 0..10_000u32 {
        let forged = Client { remote: SocketAddr::new((0x0b00_0000 + number).to_be_bytes().into(), 5), ..client(1) };
        world.say(forged, &bare);
    }
    assert!(world.core.sessions.len() <= Limits::default().half_open + 1);
    let answered = (0..1000).filter(|port| !world.say(client_at("6.6.6.6", 1000 + port), &bare).is_empty()).count();
    assert_eq!(answered, Limits::default().strangers_per_address.burst as usize, "one address has its share");
    assert_eq!(code(&caller.permit(&mut world, PEER)), None, "who is known goes on undisturbed");
    world.wait(Duration::from_secs(12));
    world.wait(Duration::from_secs(2));
    assert_eq!(world.core.sessions.len(), 1);
    assert_eq!(world.core.half_open.len(), 0);
}

#[test]
fn who_falls_silent_or_stays_too_long_is_forgotten() {
    let mut world = World::new(Limits::default());
    let (_, relayed) = Caller::allocated(&mut world, client(1), 1);
    world.wait(Duration::from_secs(299));
    assert!(world.closed.is_empty());
    world.wait(Duration::from_secs(2));
    assert_eq!(world.closed, [relayed]);
    assert_eq!(world.core.poll_timeout(), None, "an idle relay does not wake");

    let (caller, _) = Caller::allocated(&mut world, client(2), 1);
    let mut hours = 0;
    while world.core.totals(world.now).allocations == 1 {
        assert!(hours < 13, "it never ends");
        hours += 1;
        for _ in 0..60 {
            world.wait(Duration::from_secs(60));
            let request = caller.request(REFRESH, &[&Lifetime::new(600)]);
            world.say(caller.client, &request);
        }
    }
    assert_eq!(hours, 13, "in the hour after the twelfth");
}

#[test]
fn tcp_towards_peers_is_not_offered() {
    let mut world = World::new(Limits::default());
    let credentials = world.credentials(1);
    let caller = Caller::new(&mut world, client(1), credentials);
    let request = caller.request(ALLOCATE, &[&RequestedTransport::new(RequestedTransport::TCP)]);
    assert_eq!(code(&caller.ask(&mut world, &request)), Some(400));
    // Connect, RFC 6062 §4.3.
    assert!(world.say(caller.client, &caller.towards(Method::new(0x000a), PEER, None)).is_empty());
    assert!(world.bound.is_empty());
}

fn exercise(world: &mut World, packet: &[u8]) {
    for port in 1..=2 {
        let before = world.core.sessions.len();
        world.say(client(port), packet);
        assert!(world.core.sessions.len() <= before + 1);
    }
    if let Some(relayed) = world.bound.first().copied() {
        world.core.handle_peer(relayed, PEER.parse().unwrap(), packet, world.now);
        world.carry_out(client(1));
    }
    assert!(world.sent.iter().all(|(_, to, _)| to.ip() != LAN.parse::<SocketAddr>().unwrap().ip()));
}

proptest! {
    #[test]
    fn random_packets_never_panic(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..20)) {
        let mut world = World::new(Limits::default());
        let (caller, _) = Caller::allocated(&mut world, client(1), 1);
        caller.permit(&mut world, PEER);
        for packet in packets {
            exercise(&mut world, &packet);
        }
    }

    #[test]
    fn mangled_requests_never_panic(
        edits in prop::collection::vec((0usize..5, any::<prop::sample::Index>(), any::<u8>()), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut world = World::new(Limits::default());
        let (caller, _) = Caller::allocated(&mut world, client(1), 1);
        let requests = [
            caller.request(ALLOCATE, &[&RequestedTransport::new(RequestedTransport::UDP)]),
            caller.request(REFRESH, &[&Lifetime::new(600)]),
            caller.towards(CREATE_PERMISSION, PEER, None),
            caller.towards(CHANNEL_BIND, PEER, Some(0x4000)),
            channel_data(0x4000, b"payload"),
        ];
        for (which, position, value) in edits {
            let mut packet = requests[which].clone();
            let position = position.index(packet.len());
            packet[position] = value;
            exercise(&mut world, &packet);
            if packet.len() > 24 {
                // With the length field made to match, the cut reaches the attribute parser.
                let kept = 20 + cut.index(packet.len() - 20) / 4 * 4;
                packet[2..4].copy_from_slice(&((kept - 20) as u16).to_be_bytes());
                exercise(&mut world, &packet[..kept]);
            }
        }
    }
}
