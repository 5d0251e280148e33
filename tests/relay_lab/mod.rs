//! Many calls through the media relay of one super-peer, over loopback: how long it holds a packet, and what that costs.
//!
//! A call is a client with an allocation and a channel (RFC 8656 §12), and a peer that has none: what a relay carries
//! when one of two networks is difficult. All packets of a direction leave within a millisecond of their turn; the calls
//! are spread over the 20 ms of a packet, as calls are that know nothing of each other.

#![allow(dead_code, reason = "the test and the bench take different figures")]

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use turn_server_proto::stun::types::attribute::{Nonce, Realm, Username};
use turn_server_proto::stun::types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageWrite, MessageWriteExt, MessageWriteVec,
    Method,
};
use turn_server_proto::stun::types::prelude::AttributeWrite;
use turn_server_proto::types::attribute::{ChannelNumber, RequestedTransport, XorPeerAddress, XorRelayedAddress};
use turn_server_proto::types::message::{ALLOCATE, CHANNEL_BIND};
use twocans::base::NodeId;
use twocans::superpeer::{AddressPolicy, Credentials, Issuer, Limits, Service, ServiceConfig};

/// 50 kb/s in 50 packets: an Opus frame of 32 kb/s with a copy, under SRTP.
const PAYLOAD: usize = 125;
const PTIME: Duration = Duration::from_millis(20);
/// The sender wakes this often.
const STEP: Duration = Duration::from_millis(1);
const CHANNEL: u16 = 0x4000;
const CHANNEL_HEADER: usize = 4;
/// The relay allows one address fewer calls than it carries in all.
const CALLS_PER_ADDRESS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(5);
/// Packets that are still on their way when the sending ends.
const STRAGGLERS: Duration = Duration::from_millis(500);

/// What a load did.
#[derive(Debug)]
pub struct Figures {
    pub sent: u64,
    pub arrived: u64,
    /// From the sending call to the receiving one, both directions, ms, sorted.
    pub delays_ms: Vec<f64>,
    /// Of one core: the relay's thread; the whole process.
    pub relay_cpu: f64,
    pub process_cpu: f64,
}

impl Figures {
    /// The `q` quantile (0..=1) of the delay, ms.
    pub fn delay_ms(&self, q: f64) -> f64 {
        let rank = (q * self.delays_ms.len() as f64).ceil() as usize;
        self.delays_ms[rank.clamp(1, self.delays_ms.len()) - 1]
    }

    pub fn describe(&self, what: &str) -> String {
        format!(
            "{what}: {} of {} packets arrived; under way p50 {:.3} / p95 {:.3} / p99 {:.3} / max {:.3} ms; the relay's thread {:.1} % of a core, the whole process {:.1} %",
            self.arrived,
            self.sent,
            self.delay_ms(0.5),
            self.delay_ms(0.95),
            self.delay_ms(0.99),
            self.delay_ms(1.0),
            self.relay_cpu * 100.0,
            self.process_cpu * 100.0,
        )
    }
}

/// A relay and calls through it.
pub struct Lab {
    service: Service,
    calls: Vec<Call>,
    /// Everybody's other side.
    peer: UdpSocket,
}

struct Call {
    client: UdpSocket,
    relayed: SocketAddr,
}

impl Lab {
    /// Allocates for that many calls.
    pub fn new(calls: usize) -> Self {
        let listen = vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)];
        let policy = AddressPolicy { isolated: true, ..AddressPolicy::default() };
        let config = ServiceConfig { listen, policy, limits: Limits::default(), ports: None };
        let (service, mut issuer) = Service::start(config).expect("loopback can be served");
        let at = service.addresses()[0];
        let peer = UdpSocket::bind("127.0.0.99:0").expect("loopback is there");
        let peer_at = peer.local_addr().expect("it is bound");
        let calls = (0..calls).map(|number| Call::new(number, at, peer_at, &mut issuer)).collect();
        Self { service, calls, peer }
    }

    /// Both sides of all calls talk for that long. `relayed`: through the relay; otherwise straight to each other's
    /// sockets, which shows what of the delay is the laboratory's own.
    pub fn talk(&self, time: Duration, relayed: bool) -> Figures {
        let done = AtomicBool::new(false);
        let (epoch, relay) = (Instant::now(), relay_thread());
        let (cpu_before, relay_before) = (process_ticks(), relay.map_or(0, thread_ticks));
        thread::scope(|scope| {
            let receiving = scope.spawn(|| self.receive(epoch, &done));
            let sent = self.send(epoch, time, relayed);
            let seconds = epoch.elapsed().as_secs_f64();
            let share = |before: u64, after: u64| {
                (after - before) as f64 / rustix::param::clock_ticks_per_second() as f64 / seconds
            };
            let relay_cpu = share(relay_before, relay.map_or(0, thread_ticks));
            let process_cpu = share(cpu_before, process_ticks());
            thread::sleep(STRAGGLERS);
            done.store(true, Ordering::Relaxed);
            let mut delays_ms = receiving.join().expect("the receiver runs");
            delays_ms.sort_by(f64::total_cmp);
            Figures { sent, arrived: delays_ms.len() as u64, delays_ms, relay_cpu, process_cpu }
        })
    }

    /// Calls that the relay counts.
    pub fn counted(&self) -> u32 {
        self.service.totals().calls
    }

    fn send(&self, epoch: Instant, time: Duration, relayed: bool) -> u64 {
        let steps_per_packet = PTIME.as_millis() / STEP.as_millis();
        let at = self.service.addresses()[0];
        let peer = self.peer.local_addr().expect("it is bound");
        let clients: Vec<SocketAddr> =
            self.calls.iter().map(|call| call.client.local_addr().expect("it is bound")).collect();
        let mut packet = [0; CHANNEL_HEADER + PAYLOAD];
        packet[..2].copy_from_slice(&CHANNEL.to_be_bytes());
        packet[2..4].copy_from_slice(&(PAYLOAD as u16).to_be_bytes());
        let (mut sent, mut step) = (0, 0);
        while epoch.elapsed() < time {
            let turn = (step % steps_per_packet) as usize;
            for (number, call) in self.calls.iter().enumerate().skip(turn).step_by(steps_per_packet as usize) {
                let stamp = |packet: &mut [u8]| {
                    packet[..8].copy_from_slice(&(epoch.elapsed().as_nanos() as u64).to_be_bytes());
                };
                // A full queue would show as a packet that does not arrive.
                stamp(&mut packet[CHANNEL_HEADER..]);
                let _ = if relayed {
                    call.client.send_to(&packet, at)
                } else {
                    call.client.send_to(&packet[CHANNEL_HEADER..], peer)
                };
                stamp(&mut packet[CHANNEL_HEADER..]);
                let back = if relayed { call.relayed } else { clients[number] };
                let _ = self.peer.send_to(&packet[CHANNEL_HEADER..], back);
                sent += 2;
            }
            step += 1;
            let due = STEP * u32::try_from(step).unwrap_or(u32::MAX);
            thread::sleep(due.saturating_sub(epoch.elapsed()));
        }
        sent
    }

    /// The delay of every packet that arrives, ms.
    fn receive(&self, epoch: Instant, done: &AtomicBool) -> Vec<f64> {
        let readers: Vec<&UdpSocket> = self.calls.iter().map(|call| &call.client).chain([&self.peer]).collect();
        let queue = epoll::create(epoll::CreateFlags::CLOEXEC).expect("the system has epoll");
        for (index, reader) in readers.iter().enumerate() {
            reader.set_nonblocking(true).expect("a socket can be told");
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&queue, reader, data, epoll::EventFlags::IN).expect("the socket is open");
        }
        let mut delays = Vec::new();
        let mut buffer = [0; 2048];
        let mut events = Vec::with_capacity(256);
        let patience = rustix::event::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        while !done.load(Ordering::Relaxed) {
            events.clear();
            let woken = epoll::wait(&queue, rustix::buffer::spare_capacity(&mut events), Some(&patience));
            if woken.is_err() {
                continue;
            }
            for event in &events {
                let index = event.data.u64() as usize;
                while let Ok(length) = readers[index].recv(&mut buffer) {
                    let now = epoch.elapsed().as_nanos() as u64;
                    let at = if length == CHANNEL_HEADER + PAYLOAD { CHANNEL_HEADER } else { 0 };
                    let stamp = buffer[at..at + 8].try_into().expect("eight bytes");
                    delays.push(now.saturating_sub(u64::from_be_bytes(stamp)) as f64 / 1e6);
                }
            }
        }
        delays
    }
}

impl Call {
    /// As RFC 8656 §7 and §12 have it: a challenge, an allocation, a channel.
    fn new(number: usize, relay: SocketAddr, peer: SocketAddr, issuer: &mut Issuer) -> Self {
        let client = UdpSocket::bind((IpAddr::from([127, 0, 1, (number / CALLS_PER_ADDRESS) as u8 + 1]), 0))
            .expect("loopback is there");
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let node = NodeId::from_bytes(&[&[0; 36], &(number as u16).to_be_bytes()[..]].concat()).expect("short enough");
        let credentials = issuer.issue(&node, None, Instant::now()).expect("the first of this node");

        let wanted = RequestedTransport::new(RequestedTransport::UDP);
        let mut bare = Message::builder_request(ALLOCATE, MessageWriteVec::new());
        bare.add_attribute(&wanted).expect("it fits");
        let challenge = exchange(&client, relay, &bare.finish());
        let challenge = Message::from_bytes(&challenge).expect("a message");
        let nonce = challenge.attribute::<Nonce>().expect("a challenge").nonce().to_owned();
        let realm = challenge.attribute::<Realm>().expect("a challenge").realm().to_owned();
        let sign = |method: Method, peer: Option<SocketAddr>| {
            let mut message = Message::builder_request(method, MessageWriteVec::new());
            let transaction = Message::from_bytes(message.data()).expect("a message").transaction_id();
            let towards = peer.map(|peer| (XorPeerAddress::new(peer, transaction), ChannelNumber::new(CHANNEL)));
            let mut add = |attribute: &dyn AttributeWrite| message.add_attribute(attribute).expect("it fits");
            match &towards {
                Some((peer, channel)) => {
                    add(peer);
                    add(channel);
                }
                None => add(&wanted),
            }
            let Credentials { username, password, .. } = &credentials;
            add(&Username::new(username).expect("short enough"));
            add(&Realm::new(&realm).expect("short enough"));
            add(&Nonce::new(&nonce).expect("short enough"));
            let key = LongTermKeyCredentials::new(username.clone(), password.clone(), realm.clone()).into();
            message.add_message_integrity(&key, IntegrityAlgorithm::Sha1).expect("it fits");
            message.finish()
        };
        let allocated = exchange(&client, relay, &sign(ALLOCATE, None));
        let allocated = Message::from_bytes(&allocated).expect("a message");
        let relayed = allocated.attribute::<XorRelayedAddress>().expect("allocated").addr(allocated.transaction_id());
        let bound = exchange(&client, relay, &sign(CHANNEL_BIND, Some(peer)));
        let bound = Message::from_bytes(&bound).expect("a message");
        assert!(bound.has_class(MessageClass::Success), "the channel is bound");
        Self { client, relayed }
    }
}

fn exchange(client: &UdpSocket, relay: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut answer = [0; 2048];
    for _ in 0..3 {
        client.send_to(request, relay).expect("loopback is there");
        match client.recv(&mut answer) {
            Ok(length) => return answer[..length].to_vec(),
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(why) => panic!("no answer from the relay: {why}"),
        }
    }
    panic!("no answer from the relay");
}

/// The thread of the media relay in this process.
fn relay_thread() -> Option<u32> {
    let tasks = fs::read_dir("/proc/self/task").expect("a process has threads");
    let mut ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
    ids.find(|id| {
        fs::read_to_string(format!("/proc/self/task/{id}/comm")).is_ok_and(|name: String| name.trim() == "relay")
    })
}

fn thread_ticks(id: u32) -> u64 {
    ticks(&format!("/proc/self/task/{id}/stat"))
}

fn process_ticks() -> u64 {
    ticks("/proc/self/stat")
}

/// User and system time (proc(5)), in clock ticks.
fn ticks(path: &str) -> u64 {
    let stat = fs::read_to_string(path).expect("it lives");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    [11, 12].iter().map(|&index| fields[index].parse::<u64>().expect("utime and stime are numbers")).sum()
}
