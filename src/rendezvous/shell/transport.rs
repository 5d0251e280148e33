//! QUIC and TCP, and circuits through relays, behind one gate that dials only what the address rules allow.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent};
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, Transport, noise, quic, relay, tcp, yamux};
use tokio::sync::mpsc;

use super::super::RendezvousEvent;
use super::super::address::AddressRules;
use super::super::limits::{CLIENT_KEEP_ALIVE, DIAL_TIMEOUT, QUIC_IDLE_TIMEOUT, SERVER_KEEP_ALIVE, STEP_TIMEOUT};
use super::door::Door;

/// The rules that the gate obeys and the driver keeps up to date. Held for the length of one comparison.
pub(super) type SharedRules = Arc<RwLock<AddressRules>>;

/// Bytes in streams, both kinds of transport together.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) tx_bytes: AtomicU64,
    pub(super) rx_bytes: AtomicU64,
}

/// `relay`: a super-peer's way of handing over the clients of its media relay.
pub(super) fn build(
    key: &Keypair,
    server: bool,
    rules: SharedRules,
    traffic: Arc<Traffic>,
    relay: Option<mpsc::Sender<RendezvousEvent>>,
) -> Result<(Boxed<(PeerId, StreamMuxerBox)>, relay::client::Behaviour), noise::Error> {
    // Finding out how large packets may be (RFC 8899) costs eleven kilobytes on each connection, for streams of which
    // most carry one or two.
    let mut quic_config = quic::Config::new(key).disable_path_mtu_discovery();
    quic_config.handshake_timeout = DIAL_TIMEOUT;
    quic_config.max_idle_timeout = u32::try_from(QUIC_IDLE_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    quic_config.keep_alive_interval = if server { SERVER_KEEP_ALIVE } else { CLIENT_KEEP_ALIVE };
    let quic = quic::tokio::Transport::new(quic_config).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let tcp = Door::new(tcp::tokio::Transport::new(tcp::Config::new().nodelay(true)), relay)
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let direct = quic.or_transport(tcp).map(|either, _| either.into_inner());
    let direct = TransportTimeout::new(Gate { inner: direct, rules }, DIAL_TIMEOUT);

    let (circuits, relay_client) = relay::client::new(key.public().to_peer_id());
    let circuits = circuits
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let circuits = TransportTimeout::new(circuits, STEP_TIMEOUT);

    let transport = circuits
        .or_transport(direct)
        .map(|either, _| either.into_inner())
        .map(move |(peer, muxer), _| (peer, StreamMuxerBox::new(Counted { inner: muxer, traffic: traffic.clone() })))
        .boxed();
    Ok((transport, relay_client))
}

/// Refuses to dial what the rules do not allow, whoever asked: Kademlia dials what strangers tell it.
struct Gate<T> {
    inner: T,
    rules: SharedRules,
}

impl<T: Transport + Unpin> Transport for Gate<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Self::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Self::Error>> {
        if !self.rules.read().unwrap_or_else(PoisonError::into_inner).may_dial(&address) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        self.inner.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

/// Counts the bytes of a connection's streams.
struct Counted<T> {
    inner: T,
    traffic: Arc<Traffic>,
}

impl<M: StreamMuxer + Unpin> StreamMuxer for Counted<M>
where
    M::Substream: Unpin,
{
    type Substream = Counted<M::Substream>;
    type Error = M::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        let inner = ready!(Pin::new(&mut self.inner).poll_inbound(cx))?;
        Poll::Ready(Ok(Counted { inner, traffic: self.traffic.clone() }))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        let inner = ready!(Pin::new(&mut self.inner).poll_outbound(cx))?;
        Poll::Ready(Ok(Counted { inner, traffic: self.traffic.clone() }))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        self.traffic.rx_bytes.fetch_add(read as u64, Ordering::Relaxed);
        Poll::Ready(Ok(read))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buffer))?;
        self.traffic.tx_bytes.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
