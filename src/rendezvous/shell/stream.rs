//! The byte stream between two people's nodes, in frames.
//!
//! Every frame is a length (u16, big-endian) and that many bytes, at most 16 KiB. An empty frame is a super-peer's way
//! to say that the node is not here; nobody else sends one.

use std::io;
use std::time::{Duration, Instant};

use futures::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use libp2p::Stream;
use libp2p::core::upgrade::NegotiationError;
use tokio::time::timeout;

use super::super::StreamError;
use super::super::limits::{MAX_FRAME_BYTES, STEP_TIMEOUT, STREAM_BYTES, STREAM_LIFETIME};

const LENGTH: usize = 2;

/// A stream to a person's node. Dropping both halves resets it; [`SignalSender::close`] ends it in an orderly way.
#[derive(Debug)]
pub struct SignalStream {
    sender: SignalSender,
    receiver: SignalReceiver,
}

/// The sending half.
#[derive(Debug)]
pub struct SignalSender {
    stream: WriteHalf<Stream>,
    left_bytes: u64,
    expires: Instant,
}

/// The receiving half.
#[derive(Debug)]
pub struct SignalReceiver {
    stream: ReadHalf<Stream>,
    /// What has been read and not yet returned; at most one frame and one read more.
    buffer: Vec<u8>,
    left_bytes: u64,
    expires: Instant,
}

impl SignalStream {
    /// Longest frame, bytes.
    pub const MAX_FRAME_BYTES: usize = MAX_FRAME_BYTES;

    pub(super) fn new(stream: Stream) -> Self {
        let expires = Instant::now() + STREAM_LIFETIME;
        let (reader, writer) = stream.split();
        Self {
            sender: SignalSender { stream: writer, left_bytes: STREAM_BYTES, expires },
            receiver: SignalReceiver { stream: reader, buffer: Vec::new(), left_bytes: STREAM_BYTES, expires },
        }
    }

    /// See [`SignalSender::send`].
    pub async fn send(&mut self, frame: &[u8]) -> Result<(), StreamError> {
        self.sender.send(frame).await
    }

    /// See [`SignalReceiver::recv`].
    pub async fn recv(&mut self) -> Result<Vec<u8>, StreamError> {
        self.receiver.recv().await
    }

    /// The two directions, to be used from two tasks.
    pub fn split(self) -> (SignalSender, SignalReceiver) {
        (self.sender, self.receiver)
    }

    /// See [`SignalSender::close`].
    pub async fn close(self) -> Result<(), StreamError> {
        self.sender.close().await
    }

    /// Sends bytes that are already framed.
    pub(super) async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.sender.write(bytes).await
    }

    /// Waits until a frame can be received at once. False: the peer does not speak the protocol that the stream was
    /// opened for, which shows only at the first read because negotiation is lazy.
    pub(super) async fn ready(&mut self) -> Result<bool, StreamError> {
        match self.receiver.fill().await {
            Ok(()) => Ok(true),
            Err(Trouble::NotSpoken) => Ok(false),
            Err(Trouble::Stream(error)) => Err(error),
        }
    }

    /// Whether the first frame is the empty one.
    pub(super) fn says_not_here(&self) -> bool {
        matches!(frame(&self.receiver.buffer), Ok(Frame::Whole(0)))
    }
}

impl SignalSender {
    /// Sends one frame of 1 to 16384 bytes and sees it off. Not to be cancelled half-way: the stream is useless then.
    pub async fn send(&mut self, frame: &[u8]) -> Result<(), StreamError> {
        if frame.is_empty() {
            return Err(StreamError::TooLong);
        }
        self.write(&framed(frame).ok_or(StreamError::TooLong)?).await
    }

    /// Says that nothing more will come; what was sent arrives.
    pub async fn close(mut self) -> Result<(), StreamError> {
        self.within(async |stream| stream.close().await).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.left_bytes = self.left_bytes.checked_sub(bytes.len() as u64).ok_or(StreamError::TooLong)?;
        self.within(async |stream| {
            stream.write_all(bytes).await?;
            stream.flush().await
        })
        .await
    }

    async fn within(
        &mut self,
        step: impl AsyncFnOnce(&mut WriteHalf<Stream>) -> io::Result<()>,
    ) -> Result<(), StreamError> {
        let limit = STEP_TIMEOUT.min(left(self.expires));
        match timeout(limit, step(&mut self.stream)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(StreamError::Broken),
            Err(_) => Err(StreamError::TimedOut),
        }
    }
}

impl SignalReceiver {
    /// The next frame. May be cancelled at any time without losing anything.
    pub async fn recv(&mut self) -> Result<Vec<u8>, StreamError> {
        match self.fill().await {
            Ok(()) => {}
            Err(Trouble::Stream(error)) => return Err(error),
            Err(Trouble::NotSpoken) => return Err(StreamError::Broken),
        }
        let Frame::Whole(length) = frame(&self.buffer)? else { return Err(StreamError::Broken) };
        let rest = self.buffer.split_off(LENGTH + length);
        let mut whole = std::mem::replace(&mut self.buffer, rest);
        whole.drain(..LENGTH);
        if whole.is_empty() { Err(StreamError::NotHere) } else { Ok(whole) }
    }

    /// Reads until the buffer begins with a whole frame.
    async fn fill(&mut self) -> Result<(), Trouble> {
        while let Frame::Partial = frame(&self.buffer)? {
            let mut chunk = [0; 4096];
            let read = match timeout(left(self.expires), self.stream.read(&mut chunk)).await {
                Ok(Ok(0)) if self.buffer.is_empty() => return Err(StreamError::Closed.into()),
                Ok(Ok(0)) => return Err(StreamError::Broken.into()),
                Ok(Ok(read)) => read,
                Ok(Err(error)) if is_not_spoken(&error) => return Err(Trouble::NotSpoken),
                Ok(Err(_)) => return Err(StreamError::Broken.into()),
                Err(_) => return Err(StreamError::TimedOut.into()),
            };
            self.left_bytes = self.left_bytes.checked_sub(read as u64).ok_or(StreamError::TooLong)?;
            self.buffer.extend_from_slice(&chunk[..read]);
        }
        Ok(())
    }
}

/// `bytes` with its length before it; `None` if too long for a frame.
pub(super) fn framed(bytes: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(bytes.len()).ok().filter(|length| usize::from(*length) <= MAX_FRAME_BYTES)?;
    Some([length.to_be_bytes().as_slice(), bytes].concat())
}

/// Reads one frame of at most `longest` bytes, as the small exchanges and headers of this room do.
pub(super) async fn read_frame(stream: &mut (impl AsyncReadExt + Unpin), longest: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; LENGTH];
    stream.read_exact(&mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > longest {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

/// Whether the peer refused the protocol of a lazily negotiated stream.
pub(super) fn is_not_spoken(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<NegotiationError>());
    matches!(inner, Some(NegotiationError::Failed))
}

enum Frame {
    Partial,
    /// A frame of this many bytes, its length aside.
    Whole(usize),
}

fn frame(buffer: &[u8]) -> Result<Frame, StreamError> {
    let Some(length) = buffer.first_chunk::<LENGTH>() else { return Ok(Frame::Partial) };
    let length = usize::from(u16::from_be_bytes(*length));
    if length > MAX_FRAME_BYTES {
        return Err(StreamError::TooLong);
    }
    Ok(if buffer.len() >= LENGTH + length { Frame::Whole(length) } else { Frame::Partial })
}

enum Trouble {
    NotSpoken,
    Stream(StreamError),
}

impl From<StreamError> for Trouble {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

fn left(expires: Instant) -> Duration {
    expires.saturating_duration_since(Instant::now())
}
