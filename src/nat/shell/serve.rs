//! Runs the STUN service on real sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{AFTER_ERROR, MAX_DATAGRAM};
use crate::nat::{Answer, StunService};

/// A STUN server at work. Dropping it stops it and closes its sockets.
#[derive(Debug)]
pub struct StunServer {
    endpoints: Vec<SocketAddr>,
    _readers: JoinSet<()>,
}

impl StunServer {
    /// Serves these addresses; port 0: any. They must be the ones under which the world reaches this machine, not
    /// wildcards, for clients are told of them. With two ports of one IP address, clients learn more about their NAT
    /// than with one; with two ports on each of two IP addresses they learn everything (RFC 5780 §6).
    ///
    /// # Errors
    /// When an address cannot be bound.
    #[expect(clippy::unused_async, reason = "only a runtime can serve, and this says so")]
    pub async fn bind(addresses: &[SocketAddr]) -> std::io::Result<Self> {
        let sockets = addresses.iter().map(std::net::UdpSocket::bind).collect::<std::io::Result<_>>()?;
        Self::on(sockets)
    }

    /// As [`StunServer::bind`], on sockets that are open. Call it on a tokio runtime.
    ///
    /// # Errors
    /// When the runtime does not take a socket.
    pub fn on(sockets: Vec<std::net::UdpSocket>) -> std::io::Result<Self> {
        let register = |socket: std::net::UdpSocket| {
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(socket)
        };
        let sockets = sockets.into_iter().map(register).collect::<std::io::Result<Vec<_>>>()?;
        let endpoints = sockets.iter().map(UdpSocket::local_addr).collect::<std::io::Result<Vec<_>>>()?;
        let (sockets, service) = (Arc::new(sockets), Arc::new(StunService::new(endpoints.clone())));
        let mut readers = JoinSet::new();
        for index in 0..sockets.len() {
            readers.spawn(serve(index, sockets.clone(), service.clone()));
        }
        Ok(Self { endpoints, _readers: readers })
    }

    /// The addresses that are served.
    pub fn endpoints(&self) -> &[SocketAddr] {
        &self.endpoints
    }
}

async fn serve(index: usize, sockets: Arc<Vec<UdpSocket>>, service: Arc<StunService>) {
    let Some(socket) = sockets.get(index) else { return };
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            sleep(AFTER_ERROR).await;
            continue;
        };
        let answer = service.answer(index, buffer.get(..length).unwrap_or_default(), from);
        if let Some(Answer { socket, to, payload }) = answer
            && let Some(speaker) = sockets.get(socket)
        {
            // An asker who cannot be reached asks again.
            let _ = speaker.send_to(&payload, to).await;
        }
    }
}
