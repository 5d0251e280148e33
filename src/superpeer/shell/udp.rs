//! Datagrams: clients at the service's addresses, peers at the sockets of allocations.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::rc::{Rc, Weak};
use std::time::Instant;

use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use super::{Relay, Shared, bind_udp};
use crate::superpeer::core::{Client, Transport, Unbound};
use crate::superpeer::limits::MAX_PACKET;

/// Datagrams read before others get their turn.
const BATCH: usize = 32;

/// Reads one of the service's own sockets for ever.
pub(super) async fn read_clients(relay: Rc<Relay>, door: usize) {
    let Some((local, socket)) = relay.doors.get(door) else { return };
    // One byte more than is taken, so that a cut datagram shows.
    let mut buffer = [0; MAX_PACKET + 1];
    loop {
        if socket.readable().await.is_err() {
            return;
        }
        for _ in 0..BATCH {
            let Ok((length, remote)) = socket.try_recv_from(&mut buffer) else { break };
            let client = Client { transport: Transport::Udp, remote, local: *local };
            relay.with_core(|core| core.handle_client(client, &buffer[..length], Instant::now()));
        }
        tokio::task::yield_now().await;
    }
}

/// A socket for each allocation.
pub(super) struct Allocations {
    ports: Option<RangeInclusive<u16>>,
    open: Shared<SocketAddr, Allocation>,
}

struct Allocation {
    socket: Rc<UdpSocket>,
    reader: AbortHandle,
}

impl Allocations {
    pub fn new(ports: Option<RangeInclusive<u16>>) -> Self {
        Self { ports, open: Shared::default() }
    }

    pub fn open(&self, relay: &Rc<Relay>, at: IpAddr) -> Result<SocketAddr, Unbound> {
        let mut ports = self.ports.clone().unwrap_or(0..=0);
        let (address, socket) = ports.find_map(|port| bind_udp(at, port).ok()).ok_or(Unbound::NoRoom)?;
        let socket = Rc::new(socket);
        let reader = tokio::task::spawn_local(read_peers(Rc::downgrade(relay), address, socket.clone()));
        self.open.borrow_mut().insert(address, Allocation { socket, reader: reader.abort_handle() });
        Ok(address)
    }

    pub fn send(&self, relayed: SocketAddr, peer: SocketAddr, payload: &[u8]) {
        if let Some(allocation) = self.open.borrow().get(&relayed) {
            // A full send buffer loses the packet, as any router would.
            let _ = allocation.socket.try_send_to(payload, peer);
        }
    }

    pub fn close(&self, relayed: SocketAddr) {
        if let Some(allocation) = self.open.borrow_mut().remove(&relayed) {
            allocation.reader.abort();
        }
    }
}

async fn read_peers(relay: Weak<Relay>, relayed: SocketAddr, socket: Rc<UdpSocket>) {
    let mut buffer = [0; MAX_PACKET + 1];
    loop {
        if socket.readable().await.is_err() {
            return;
        }
        let Some(relay) = relay.upgrade() else { return };
        for _ in 0..BATCH {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, peer)) => {
                    relay.with_core(|core| core.handle_peer(relayed, peer, &buffer[..length], Instant::now()));
                }
                // An ICMP error of an earlier packet shows as an error of its own; the socket goes on.
                Err(_) => break,
            }
        }
        drop(relay);
        tokio::task::yield_now().await;
    }
}
