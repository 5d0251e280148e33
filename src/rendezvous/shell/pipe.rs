//! The ring pipe, on the super-peer's side.
//!
//! The caller's first frame names a client that has a place reserved here; whatever follows, a Noise first flight in
//! the same packet, is copied to the client and back. For a client that is not here the answer is an empty frame, one
//! round trip after the question.

use std::io;
use std::time::Duration;

use futures::future::try_join;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{PeerId, Stream};
use tokio::time::timeout;

use super::super::limits::STEP_TIMEOUT;
use super::command::{Command, Net};
use super::stream::read_frame;
use crate::base::NodeId;

/// Runs one pipe to its end; the driver has admitted it.
pub(super) async fn serve(net: Net, mut caller: Stream, longest_bytes: u64, lifetime: Duration) {
    let Some(pipe) = tokio::task::try_id() else { return };
    let job = async {
        let header = timeout(STEP_TIMEOUT, read_frame(&mut caller, NodeId::MAX_LEN)).await??;
        let client = PeerId::from_bytes(&header).map_err(io::Error::other)?;
        let opening = net.ask(|opened| Command::PipeTo { pipe, client, opened });
        let Some(client) = timeout(STEP_TIMEOUT, opening).await? else {
            caller.write_all(&[0, 0]).await?;
            return caller.close().await;
        };
        let ((from_caller, to_caller), (from_client, to_client)) = (caller.split(), client.split());
        let there = copy(from_caller, to_client, longest_bytes);
        let back = copy(from_client, to_caller, longest_bytes);
        try_join(there, back).await.map(|_| ())
    };
    if let Ok(Err(error)) = timeout(lifetime, job).await {
        tracing::trace!(%error, "a ring pipe ended early");
    }
}

/// Copies until the reader ends; every chunk goes on at once, because a ring is waiting for it.
async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, longest_bytes: u64) -> io::Result<()> {
    let (mut chunk, mut left) = ([0; 4096], longest_bytes);
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return to.close().await;
        }
        left = left.checked_sub(read as u64).ok_or_else(|| io::Error::other("a pipe carries no more"))?;
        to.write_all(&chunk[..read]).await?;
        to.flush().await?;
    }
}
