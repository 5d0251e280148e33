//! The sockets of a link: one per address of this machine, so that every datagram leaves from where its candidate says.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::task::{Context, Poll};

use tokio::net::UdpSocket;

use super::super::api::LinkError;
use super::super::config::{Interfaces, LinkConfig};
use crate::nat::{binding_indication, usable_addresses};

/// Most sockets of one link; machines with many virtual interfaces have more addresses than are worth a check.
const MAX_SOCKETS: usize = 8;

/// Our own router, and the next one, where the packet ends.
const OPENING_HOPS: u32 = 2;

/// Bound sockets, best first: IPv4 before IPv6, so that candidate priorities are stable.
pub(super) struct Sockets(Vec<(SocketAddr, UdpSocket)>);

impl Sockets {
    /// Binds one socket on every interface asked for. Interfaces that refuse are skipped as long as one remains.
    pub async fn open(config: &LinkConfig) -> Result<Self, LinkError> {
        let mut sockets = Vec::new();
        let mut last_error = io::Error::new(io::ErrorKind::AddrNotAvailable, "no usable network interface");
        for ip in addresses(&config.interfaces).into_iter().take(MAX_SOCKETS) {
            match bind(ip, config.media_ports.clone()) {
                Ok(bound) => sockets.push(bound),
                Err(error) => last_error = error,
            }
        }
        if sockets.is_empty() {
            return Err(LinkError::Socket(last_error));
        }
        for (_, socket) in &sockets {
            // Until the reactor has seen the socket, `try_send_to` answers WouldBlock and the first check is lost.
            socket.writable().await.map_err(LinkError::Socket)?;
        }
        Ok(Self(sockets))
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|(address, _)| *address).collect()
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn try_recv(&self, socket: usize, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        self.0.get(socket)?.1.try_recv_from(buffer).ok()
    }

    /// False when the kernel would not take the datagram.
    pub fn try_send(&self, socket: usize, to: SocketAddr, payload: &[u8]) -> bool {
        self.0.get(socket).is_some_and(|(_, socket)| socket.try_send_to(payload, to).is_ok())
    }

    /// Sends a packet that opens our own router towards `to` and dies on the way there: of no harm when it does not.
    pub fn open_way(&self, socket: usize, to: SocketAddr) {
        let Some((_, socket)) = self.0.get(socket) else { return };
        let Ok(usual) = socket.ttl() else { return };
        if socket.set_ttl(OPENING_HOPS).is_ok() {
            let _ = socket.try_send_to(&binding_indication([0; 12]), to);
            let _ = socket.set_ttl(usual);
        }
    }

    /// Index of a socket that has something to read. `start` rotates, so that a flood on one does not starve the rest.
    pub fn poll_readable(&self, start: usize, context: &mut Context<'_>) -> Poll<usize> {
        let count = self.0.len();
        for offset in 0..count {
            let index = (start + offset) % count;
            if self.0[index].1.poll_recv_ready(context).is_ready() {
                return Poll::Ready(index);
            }
        }
        Poll::Pending
    }
}

fn addresses(interfaces: &Interfaces) -> Vec<IpAddr> {
    let loopback = || vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    match interfaces {
        Interfaces::Loopback => loopback(),
        Interfaces::Only(addresses) => addresses.clone(),
        Interfaces::All => {
            let found = usable_addresses();
            if found.is_empty() { loopback() } else { found.into_iter().collect() }
        }
    }
}

fn bind(ip: IpAddr, ports: Option<RangeInclusive<u16>>) -> io::Result<(SocketAddr, UdpSocket)> {
    let mut last_error = io::Error::new(io::ErrorKind::AddrInUse, "no free port in the range of media ports");
    for port in ports.unwrap_or(0..=0) {
        match std::net::UdpSocket::bind((ip, port)) {
            Ok(socket) => {
                socket.set_nonblocking(true)?;
                return Ok((socket.local_addr()?, UdpSocket::from_std(socket)?));
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last_error = error,
            Err(error) => return Err(error),
        }
    }
    Err(last_error)
}
