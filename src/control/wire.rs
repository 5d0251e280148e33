//! Messages and their framing.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::ControlError;

/// Longest message, bytes with its line end. An address book of 10,000 people stays below it.
pub(super) const MAX_LINE: usize = 16 * 1024 * 1024;
/// Longest request. It must hold a link or a few names, no more.
pub(super) const MAX_REQUEST: usize = 64 * 1024;

/// A verb for the running process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub verb: String,
    /// What the verb needs; null when it needs nothing.
    #[serde(default)]
    pub args: Value,
}

/// How the running process answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    Done(Value),
    Refused {
        /// One word for scripts, such as a failure's kind.
        kind: String,
        /// One sentence for people.
        message: String,
    },
}

impl Response {
    pub fn refused(kind: &str, message: &str) -> Self {
        Self::Refused { kind: kind.into(), message: message.into() }
    }
}

/// Reads one line of at most `limit` bytes. `None`: the other side closed between two messages.
pub(super) async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncBufRead + Unpin),
    limit: usize,
) -> Result<Option<T>, ControlError> {
    let mut line = Vec::new();
    from.take(limit as u64).read_until(b'\n', &mut line).await.map_err(|error| broken(&error))?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => serde_json::from_slice(&line)
            .map(Some)
            .map_err(|error| ControlError::NotUnderstood { why: error.to_string() }),
        Some(_) if line.len() >= limit => Err(ControlError::TooLong { limit }),
        Some(_) => Err(ControlError::Broken { why: "closed in the middle of a message".into() }),
    }
}

pub(super) async fn write<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    message: &T,
    limit: usize,
) -> Result<(), ControlError> {
    let mut line =
        serde_json::to_vec(message).map_err(|error| ControlError::NotUnderstood { why: error.to_string() })?;
    line.push(b'\n');
    if line.len() > limit {
        return Err(ControlError::TooLong { limit });
    }
    to.write_all(&line).await.map_err(|error| broken(&error))?;
    to.flush().await.map_err(|error| broken(&error))
}

fn broken(error: &io::Error) -> ControlError {
    ControlError::Broken { why: error.to_string() }
}
