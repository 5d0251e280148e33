//! TCP streams to relays, for networks that let no UDP through. Each carries what would be datagrams, one message after
//! the other (RFC 8656 §3.1).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::nat::{STREAM_HEADER, padded_length, stream_message};

/// Messages waiting for a slow stream; later ones are dropped, as a network would.
const OUTGOING: usize = 64;
/// Messages read ahead of the link's task.
const INCOMING: usize = 64;
const CONNECT: Duration = Duration::from_secs(5);
/// Longest message taken; a longer one ends the stream.
const MAX_MESSAGE: usize = 2048;

/// A message of a relay, from the stream of this index.
pub(super) struct Arrived {
    pub stream: usize,
    pub from: SocketAddr,
    pub message: Vec<u8>,
}

/// The streams of one link, by indices that follow those of its sockets.
pub(super) struct Streams {
    open: BTreeMap<usize, mpsc::Sender<BytesMut>>,
    arrived: mpsc::Receiver<Arrived>,
    /// Given to each stream's task.
    arrivals: mpsc::Sender<Arrived>,
}

impl Streams {
    pub fn new() -> Self {
        let (arrivals, arrived) = mpsc::channel(INCOMING);
        Self { open: BTreeMap::new(), arrived, arrivals }
    }

    /// Sends on stream `index`, which is opened to `to` with its first message; false when the message is lost. Streams
    /// that have closed stay so.
    pub fn try_send(&mut self, index: usize, to: SocketAddr, message: BytesMut) -> bool {
        let queue = self.open.entry(index).or_insert_with(|| {
            let (queue, outgoing) = mpsc::channel(OUTGOING);
            tokio::spawn(converse(index, to, outgoing, self.arrivals.clone()));
            queue
        });
        queue.try_send(message).is_ok()
    }

    /// The next message of any stream; never, while none is open.
    pub async fn recv(&mut self) -> Option<Arrived> {
        self.arrived.recv().await
    }
}

/// Ends when the link has closed its end, after what was queued has left, or when the stream breaks.
async fn converse(stream: usize, to: SocketAddr, outgoing: mpsc::Receiver<BytesMut>, arrivals: mpsc::Sender<Arrived>) {
    let Ok(Ok(connection)) = timeout(CONNECT, TcpStream::connect(to)).await else { return };
    if connection.set_nodelay(true).is_err() {
        return;
    }
    let (reader, writer) = connection.into_split();
    tokio::select! {
        () = write(writer, outgoing) => {}
        () = read(stream, to, reader, arrivals) => {}
    }
}

async fn write(mut writer: OwnedWriteHalf, mut outgoing: mpsc::Receiver<BytesMut>) {
    while let Some(mut message) = outgoing.recv().await {
        message.resize(padded_length(message.len()), 0);
        if writer.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn read(stream: usize, from: SocketAddr, mut reader: OwnedReadHalf, arrivals: mpsc::Sender<Arrived>) {
    let mut buffer = [0; MAX_MESSAGE];
    loop {
        let mut header = [0; STREAM_HEADER];
        if reader.read_exact(&mut header).await.is_err() {
            return;
        }
        let Some(measured) = stream_message(header).filter(|measured| measured.padded <= MAX_MESSAGE) else { return };
        buffer[..STREAM_HEADER].copy_from_slice(&header);
        if reader.read_exact(&mut buffer[STREAM_HEADER..measured.padded]).await.is_err() {
            return;
        }
        let message = buffer[..measured.length].to_vec();
        if arrivals.send(Arrived { stream, from, message }).await.is_err() {
            return;
        }
    }
}
