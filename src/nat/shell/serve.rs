//! Runs the STUN service on real sockets.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{AFTER_ERROR, MAX_DATAGRAM};
use crate::base::{Rate, RateTable, source_of};
use crate::nat::{Answer, StunService};

/// Datagrams from one source that are looked at, at each socket. Discovery asks some forty questions once in a while, a
/// carrier NAT puts many people behind one address, and whoever forges a victim's address (RFC 8489 §16.2.1) must not
/// reach it with more than this.
const REQUESTS_PER_SOURCE: Rate = Rate::new(200, Duration::from_millis(50));

/// A STUN server at work. Dropping it stops it and closes its sockets. A source that asks too much gets no answer; the
/// table of sources is bounded as [`RateTable`] says.
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
    let mut asked: RateTable<IpAddr> = RateTable::new(REQUESTS_PER_SOURCE);
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            sleep(AFTER_ERROR).await;
            continue;
        };
        if !asked.take(&source_of(from.ip()), Instant::now()) {
            continue;
        }
        let answer = service.answer(index, buffer.get(..length).unwrap_or_default(), from);
        if let Some(Answer { socket, to, payload }) = answer
            && let Some(speaker) = sockets.get(socket)
        {
            // An asker who cannot be reached asks again.
            let _ = speaker.send_to(&payload, to).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::nat::{binding_request, mapped_address};

    async fn asker(ip: &str) -> UdpSocket {
        UdpSocket::bind((ip.parse::<IpAddr>().unwrap(), 0)).await.unwrap()
    }

    /// Answers that arrive until none has come for a while.
    async fn answers(at: &UdpSocket) -> u32 {
        let mut buffer = [0; MAX_DATAGRAM];
        let mut count = 0;
        while timeout(Duration::from_millis(500), at.recv(&mut buffer)).await.is_ok() {
            count += 1;
        }
        count
    }

    #[tokio::test]
    async fn who_floods_is_not_answered_for_long_and_others_are() {
        const FLOOD: u32 = 2000;
        let server = StunServer::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
        let at = server.endpoints()[0];
        let (flooding, another) = (asker("127.0.0.2").await, asker("127.0.0.2").await);
        let start = Instant::now();
        for number in 0..FLOOD {
            let transaction: [u8; 12] = [number.to_be_bytes(), [7; 4], [7; 4]].concat().try_into().unwrap();
            flooding.send_to(&binding_request(transaction), at).await.unwrap();
            // The server shares this thread; its queue must not be what limits the flood.
            tokio::task::yield_now().await;
        }
        let earned = start.elapsed().as_millis() / REQUESTS_PER_SOURCE.interval.as_millis() + 1;
        let answered = answers(&flooding).await;
        let most = REQUESTS_PER_SOURCE.burst + u32::try_from(earned).unwrap();
        assert!(answered >= REQUESTS_PER_SOURCE.burst / 2 && answered <= most, "{answered} of {FLOOD}, {most} allowed");

        let bystander = asker("127.0.0.3").await;
        bystander.send_to(&binding_request([1; 12]), at).await.unwrap();
        let mut buffer = [0; MAX_DATAGRAM];
        let length = timeout(Duration::from_secs(5), bystander.recv(&mut buffer)).await.unwrap().unwrap();
        assert_eq!(mapped_address(&buffer[..length], [1; 12]).unwrap(), bystander.local_addr().unwrap());
        // Time heals: one request more than half a second has earned ten.
        another.send_to(&binding_request([2; 12]), at).await.unwrap();
        assert_eq!(answers(&another).await, 1);
    }
}
