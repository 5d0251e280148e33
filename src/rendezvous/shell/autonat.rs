//! Asking super-peers to dial us, and dialling those who ask: the exchanges of [`autonat`] on streams.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::{Multiaddr, PeerId, Stream};
use tokio::time::timeout;

use super::super::address::{endpoint, without_peer};
use super::super::autonat::{self, Answer, MAX_ANSWER, MAX_QUESTION, Question};
use super::super::limits::DIAL_TIMEOUT;
use super::super::record::NodeAddresses;
use super::behaviour::{DIAL_BACK, DIAL_REQUEST};
use super::command::{Command, Net};

/// For the whole exchange about one address: the server dials and talks on two connections.
const EXCHANGE: Duration = Duration::from_secs(12);
/// For a question, or a number, to arrive once its stream is open; and for each step of a dial-back.
const STEP: Duration = Duration::from_secs(4);

/// Asks one super-peer about addresses of ours, one after the other; each comes with the number to listen for.
pub(super) async fn inquire(net: Net, server: NodeAddresses, questions: Vec<(Multiaddr, u64)>) {
    let connected = net.connect(&server).await.is_some();
    for (address, nonce) in questions {
        let answer = match connected {
            true => timeout(EXCHANGE, ask(&net, server.node, address.clone(), nonce)).await.ok().flatten(),
            false => None,
        };
        net.send(Command::Examined { server: server.node, address, nonce, answer }).await;
    }
}

async fn ask(net: &Net, server: PeerId, address: Multiaddr, nonce: u64) -> Option<Answer> {
    let mut stream = net.open(server, None, DIAL_REQUEST).await?;
    stream.write_all(&Question { addresses: vec![address], nonce }.encode()).await.ok()?;
    stream.flush().await.ok()?;
    let answer = Answer::decode(&read_message(&mut stream, MAX_ANSWER).await.ok()?);
    let _ = stream.close().await;
    answer
}

/// Somebody has dialled us and says a number.
pub(super) async fn be_dialled(net: Net, mut stream: Stream) {
    let exchange = async {
        let nonce = autonat::read_nonce(&read_message(&mut stream, MAX_ANSWER).await.ok()?)?;
        net.ask(|reply| Command::DialledBy { nonce, reply }).await?;
        stream.write_all(&autonat::thanks()).await.ok()?;
        stream.close().await.ok()
    };
    let _ = timeout(STEP, exchange).await;
}

/// A node that is connected from `ip` wants to be dialled. No other address than that is dialled for it: nobody is made
/// to knock at somebody else's door.
pub(super) async fn answer(net: Net, asker: PeerId, ip: IpAddr, mut stream: Stream) {
    let Ok(Ok(question)) = timeout(STEP, read_message(&mut stream, MAX_QUESTION)).await else { return };
    let Some(Question { addresses, nonce }) = Question::decode(&question) else { return };
    let its_own = |address: &Multiaddr| {
        endpoint(address).is_some_and(|at| at.port != 0 && at.ip.to_canonical() == ip.to_canonical())
    };
    // The answer speaks of the first address, which is the only one that our own kind asks about.
    let answer = match addresses.first().filter(|address| its_own(address)) {
        Some(address) => dial_back(&net, asker, without_peer(address), nonce).await,
        None => Answer::Refused,
    };
    let reply = async {
        stream.write_all(&answer.encode()).await?;
        stream.close().await
    };
    let _ = timeout(STEP, reply).await;
}

async fn dial_back(net: &Net, node: PeerId, address: Multiaddr, nonce: u64) -> Answer {
    let dial = net.ask(|reply| Command::DialBack { node, address, reply });
    let connection = match timeout(DIAL_TIMEOUT * 2, dial).await {
        Ok(Some(Some(connection))) => connection,
        Ok(Some(None)) => return Answer::NotReached,
        Ok(None) | Err(_) => return Answer::Refused,
    };
    let exchange = async {
        let mut stream = net.open(node, Some(connection), DIAL_BACK).await?;
        stream.write_all(&autonat::nonce(nonce)).await.ok()?;
        stream.flush().await.ok()?;
        let thanks = read_message(&mut stream, MAX_ANSWER).await.ok()?;
        autonat::is_thanks(&thanks).then_some(())
    };
    let reached = timeout(STEP, exchange).await.ok().flatten();
    net.send(Command::HangUp { connection }).await;
    if reached.is_some() { Answer::Reached } else { Answer::NotReached }
}

/// Reads a message that comes after its length (a varint).
pub(super) async fn read_message(stream: &mut (impl AsyncReadExt + Unpin), longest: usize) -> io::Result<Vec<u8>> {
    let mut length = 0;
    for shift in [0, 7] {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            if length > longest {
                break;
            }
            let mut message = vec![0; length];
            stream.read_exact(&mut message).await?;
            return Ok(message);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lengths_are_varints_and_bounded() {
        let read =
            async |bytes: &[u8], longest| read_message(&mut futures::io::Cursor::new(bytes.to_vec()), longest).await;
        assert_eq!(read(&[2, 7, 8, 9], 10).await.unwrap(), [7, 8]);
        assert!(read(&[0], 10).await.unwrap().is_empty());
        let long = [&[0xc8, 1][..], &[5; 200]].concat();
        assert_eq!(read(&long, 200).await.unwrap(), [5; 200]);
        assert_eq!(read(&long, 199).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(&[0xff, 0xff, 0xff, 1], MAX_QUESTION).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(&[9, 1], 10).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
