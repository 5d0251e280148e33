//! One TCP port for everything. Networks that let nothing out but TCP to port 443 leave room for one listener, so the
//! clients of the media relay come to the same port as nodes, and the first byte tells them apart: a message of STUN or
//! TURN begins with two zero bits (RFC 8489 §5), a node with the length of its first protocol's name.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Future;
use futures::future::Ready;
use libp2p::Transport;
use libp2p::core::Multiaddr;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::tcp::tokio::{TcpStream, Transport as Tcp};
use tokio::sync::mpsc;

use super::super::RendezvousEvent;

/// The highest first byte of a STUN message: the most significant bits of its type.
const LAST_OF_STUN: u8 = 3;

/// A connection that is for the media relay. It has sent something already, which nobody has read yet.
#[derive(Debug)]
pub struct RelayClient(std::net::TcpStream);

impl RelayClient {
    /// Non-blocking.
    pub fn into_stream(self) -> std::net::TcpStream {
        self.0
    }
}

/// The TCP transport, less the connections that are for the media relay.
pub(super) struct Door {
    inner: Tcp,
    /// Where the relay's clients go; `None`: nobody relays here, so they are left to fail as nodes.
    relay: Option<mpsc::Sender<RendezvousEvent>>,
}

impl Door {
    pub(super) fn new(inner: Tcp, relay: Option<mpsc::Sender<RendezvousEvent>>) -> Self {
        Self { inner, relay }
    }
}

impl Transport for Door {
    type Output = TcpStream;
    type Error = io::Error;
    type ListenerUpgrade = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;
    type Dial = <Tcp as Transport>::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        self.inner.dial(address, options)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let event = Pin::new(&mut self.inner).poll(cx);
        let relay = &self.relay;
        event
            .map(|event| event.map_upgrade(|stream| -> Self::ListenerUpgrade { Box::pin(sort(stream, relay.clone())) }))
    }
}

/// A node's connection; the relay's clients show as an error here and are served elsewhere. Whoever says nothing is
/// given up with the deadline that every new connection has.
async fn sort(
    arrived: Ready<io::Result<TcpStream>>,
    relay: Option<mpsc::Sender<RendezvousEvent>>,
) -> io::Result<TcpStream> {
    let stream = arrived.await?;
    let Some(relay) = relay else { return Ok(stream) };
    let mut first = [0];
    if stream.0.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if first[0] > LAST_OF_STUN {
        return Ok(stream);
    }
    // Half of the queue is left to everything else.
    if relay.capacity() > relay.max_capacity() / 2 {
        let client = RelayClient(stream.0.into_std()?);
        let _ = relay.try_send(RendezvousEvent::RelayVisited { client });
    }
    Err(io::Error::other("a client of the media relay"))
}
