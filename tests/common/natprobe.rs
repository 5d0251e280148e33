//! What a NAT really does, in the words of RFC 4787: a probe with its own tiny protocol, so that it judges the
//! laboratory independently of any STUN code.
//!
//! Request `E tag` → reply `tag ip port` with the sender as seen. Request `R i j tag` → the same reply, sent from the
//! responder's socket with address `i`, port `j`.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::netlab::Netns;

const PORTS: [u16; 2] = [7000, 7001];
const PATIENCE: Duration = Duration::from_millis(250);

/// RFC 4787 §4.1 and §5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependence {
    EndpointIndependent,
    AddressDependent,
    AddressAndPortDependent,
}

/// What was seen from inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    pub mapping: Dependence,
    pub filtering: Dependence,
    /// The responder saw another address than the socket's own.
    pub translated: bool,
}

/// Answers probes at two addresses and two ports of each until dropped.
pub struct Responder {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Responder {
    pub fn start(inside: &Netns, addresses: [Ipv4Addr; 2]) -> Self {
        let sockets = inside
            .thread(move || {
                let endpoints = addresses.iter().flat_map(|ip| PORTS.map(|port| SocketAddrV4::new(*ip, port)));
                endpoints.map(|at| UdpSocket::bind(at).expect("the responder owns its addresses")).collect::<Vec<_>>()
            })
            .join()
            .expect("the responder's sockets open");
        let sockets = Arc::new(sockets);
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..sockets.len())
            .map(|index| {
                let (sockets, stop) = (sockets.clone(), stop.clone());
                std::thread::spawn(move || respond(&sockets, index, &stop))
            })
            .collect();
        Self { stop, threads }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn respond(sockets: &[UdpSocket], index: usize, stop: &AtomicBool) {
    let own = &sockets[index];
    own.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout can be set");
    let mut buffer = [0; 100];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = own.recv_from(&mut buffer) else { continue };
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        let via = match words[..] {
            ["R", i, j, _] => &sockets[2 * i.parse::<usize>().unwrap_or(0) + j.parse::<usize>().unwrap_or(0)],
            _ => own,
        };
        let reply = format!("{} {} {}", words.last().copied().unwrap_or(""), from.ip(), from.port());
        // An unreachable asker shows as silence there.
        let _ = via.send_to(reply.as_bytes(), from);
    }
}

/// Probes from inside a host; `None`: nothing comes back at all.
pub fn probe(from: &Netns, responder: [Ipv4Addr; 2]) -> Option<Behaviour> {
    from.thread(move || Prober::new().behaviour(responder)).join().expect("the probe runs")
}

struct Prober {
    socket: UdpSocket,
    asked: u32,
}

impl Prober {
    fn new() -> Self {
        Self { socket: UdpSocket::bind("0.0.0.0:0").expect("any port is free"), asked: 0 }
    }

    fn behaviour(&mut self, [here, there]: [Ipv4Addr; 2]) -> Option<Behaviour> {
        let at = |ip, port| SocketAddrV4::new(ip, port);
        let home = at(here, PORTS[0]);
        let first = self.ask(home, "E")?;
        // Filtering first, while the mapping has spoken to one endpoint only.
        let filtering = if self.ask(home, "R 1 1").is_some() {
            Dependence::EndpointIndependent
        } else if self.ask(home, "R 0 1").is_some() {
            Dependence::AddressDependent
        } else {
            Dependence::AddressAndPortDependent
        };
        let same_ip = self.ask(at(here, PORTS[1]), "E")?;
        let other_ip = self.ask(at(there, PORTS[0]), "E")?;
        let other_both = self.ask(at(there, PORTS[1]), "E")?;
        let mapping = if [same_ip, other_ip, other_both] == [first; 3] {
            Dependence::EndpointIndependent
        } else if first == same_ip && other_ip == other_both {
            Dependence::AddressDependent
        } else {
            Dependence::AddressAndPortDependent
        };
        // A connected twin tells our own address on the way there.
        let twin = UdpSocket::bind("0.0.0.0:0").and_then(|s| s.connect(home).and_then(|()| s.local_addr())).ok()?;
        Some(Behaviour { mapping, filtering, translated: SocketAddr::V4(first).ip() != twin.ip() })
    }

    /// Our address as the responder saw it; `None` when nothing came in two tries.
    fn ask(&mut self, at: SocketAddrV4, request: &str) -> Option<SocketAddrV4> {
        (0..2).find_map(|_| {
            self.asked += 1;
            let tag = format!("t{}", self.asked);
            self.socket.send_to(format!("{request} {tag}").as_bytes(), at).ok()?;
            self.reply_to(&tag)
        })
    }

    fn reply_to(&self, tag: &str) -> Option<SocketAddrV4> {
        let end = Instant::now() + PATIENCE;
        let mut buffer = [0; 100];
        loop {
            let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            self.socket.set_read_timeout(Some(left)).ok()?;
            let Ok((length, _)) = self.socket.recv_from(&mut buffer) else { continue };
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if let [found, ip, port] = text.split(' ').collect::<Vec<_>>()[..]
                && found == tag
            {
                return Some(SocketAddrV4::new(ip.parse().ok()?, port.parse().ok()?));
            }
        }
    }
}
