//! Clients on TCP (RFC 8656 §3.1): for networks that let no UDP through. The stream is cut into messages here; the rest
//! does not know the difference.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::{Relay, Shared, sleep_or_never};
use crate::base::source_of;
use crate::nat::{STREAM_HEADER, padded_length, stream_message};
use crate::superpeer::Limits;
use crate::superpeer::core::{Client, Transport};
use crate::superpeer::limits::MAX_PACKET;

/// Packets that may wait for a slow connection: half a second of a call. Later ones are dropped.
const OUTGOING: usize = 64;
/// A connection without an allocation is closed after this; one with an allocation lives as long as that.
const NO_ALLOCATION: Duration = Duration::from_secs(10);
/// Between looks at whether the allocation still stands.
const LOOK: Duration = Duration::from_secs(30);

/// The connections that are open, and the bell that wakes the service when the first client comes.
pub(super) struct Connections {
    most: usize,
    most_per_address: usize,
    open: Shared<Client, mpsc::Sender<Vec<u8>>>,
    bell: Notify,
}

impl Connections {
    pub fn new(limits: &Limits) -> Self {
        let Limits { tcp_connections, tcp_connections_per_address, .. } = *limits;
        Self {
            most: tcp_connections,
            most_per_address: tcp_connections_per_address,
            open: Shared::default(),
            bell: Notify::new(),
        }
    }

    pub fn arrived(&self) {
        self.bell.notify_one();
    }

    /// Waits until `deadline`, or until somebody arrives.
    pub async fn or_arrival(&self, deadline: Option<Instant>) {
        tokio::select! {
            () = self.bell.notified() => {}
            () = sleep_or_never(deadline) => {}
        }
    }

    pub fn send(&self, client: Client, mut packet: Vec<u8>) {
        packet.resize(padded_length(packet.len()), 0);
        if let Some(queue) = self.open.borrow().get(&client) {
            let _ = queue.try_send(packet);
        }
    }

    fn has_room(&self, ip: IpAddr) -> bool {
        let open = self.open.borrow();
        let of_address = open.keys().filter(|client| source_of(client.remote.ip()) == source_of(ip)).count();
        open.len() < self.most && of_address < self.most_per_address
    }
}

/// Takes connections for ever.
pub(super) async fn accept(relay: Rc<Relay>, local: SocketAddr, listener: TcpListener) {
    loop {
        let Ok((stream, remote)) = listener.accept().await else {
            // Out of file descriptors, most likely: some will be given back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        admit(&relay, Client { transport: Transport::Tcp, remote, local }, stream);
    }
}

/// Takes connections that were accepted elsewhere.
pub(super) async fn welcome(relay: Rc<Relay>, mut arriving: mpsc::Receiver<std::net::TcpStream>) {
    while let Some(stream) = arriving.recv().await {
        let Ok(stream) = TcpStream::from_std(stream) else { continue };
        // One that has gone meanwhile has no address.
        if let (Ok(remote), Ok(local)) = (stream.peer_addr(), stream.local_addr()) {
            admit(&relay, Client { transport: Transport::Tcp, remote, local }, stream);
        }
    }
}

fn admit(relay: &Rc<Relay>, client: Client, stream: TcpStream) {
    if relay.connections.has_room(client.remote.ip()) && stream.set_nodelay(true).is_ok() {
        tokio::task::spawn_local(converse(relay.clone(), client, stream));
    }
}

async fn converse(relay: Rc<Relay>, client: Client, stream: TcpStream) {
    let (queue, outgoing) = mpsc::channel(OUTGOING);
    relay.connections.open.borrow_mut().insert(client, queue);
    let (reader, writer) = stream.into_split();
    tokio::select! {
        () = read(&relay, client, reader) => {}
        () = write(writer, outgoing) => {}
        () = without_allocation(&relay, client) => {}
    }
    relay.connections.open.borrow_mut().remove(&client);
    relay.with_core(|core| core.client_left(client));
}

/// Ends when the client has no allocation (any more).
async fn without_allocation(relay: &Rc<Relay>, client: Client) {
    tokio::time::sleep(NO_ALLOCATION).await;
    while relay.core.borrow().has_allocation(client) {
        tokio::time::sleep(LOOK).await;
    }
}

async fn write(mut writer: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Vec<u8>>) {
    while let Some(packet) = outgoing.recv().await {
        // A connection that takes nothing for that long carries no call.
        if !matches!(timeout(NO_ALLOCATION, writer.write_all(&packet)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Ends with the stream, or with something in it that is no message.
async fn read(relay: &Rc<Relay>, client: Client, mut reader: OwnedReadHalf) {
    let mut packet = [0; MAX_PACKET];
    loop {
        let mut header = [0; STREAM_HEADER];
        if reader.read_exact(&mut header).await.is_err() {
            return;
        }
        let Some(measured) = stream_message(header).filter(|measured| measured.padded <= MAX_PACKET) else { return };
        packet[..STREAM_HEADER].copy_from_slice(&header);
        if reader.read_exact(&mut packet[STREAM_HEADER..measured.padded]).await.is_err() {
            return;
        }
        relay.with_core(|core| core.handle_client(client, &packet[..measured.length], Instant::now()));
    }
}
