//! The asking process's end of the control socket.

use std::io;
use std::path::Path;
use std::time::Duration;

use interprocess::local_socket::tokio::{Stream, prelude::*};
use tokio::io::BufReader;
use tokio::time::{sleep, timeout};

use super::server::PATIENCE;
use super::wire::{self, MAX_LINE, MAX_REQUEST};
use super::{ControlError, Request, Response, address, lock};

/// How long a process that holds the profile may take to open its socket.
const START: Duration = Duration::from_secs(2);
/// Between two looks at a process that is starting.
const LOOK: Duration = Duration::from_millis(20);
/// Longer than the server gives the engine, so that its word about a late answer still arrives.
const ANSWER: Duration = PATIENCE.answer.saturating_add(Duration::from_secs(5));

/// Asks the process that runs a profile.
#[derive(Debug)]
pub struct ControlClient;

impl ControlClient {
    /// Hands one request to the process that runs the profile in `home`; [`ControlError::NobodyThere`] when none does.
    /// A process that is just starting is waited for, 2 s at most.
    pub async fn send(home: &Path, request: &Request) -> Result<Response, ControlError> {
        let stream = connect(home).await?;
        let exchange = async {
            wire::write(&mut &stream, request, MAX_REQUEST).await?;
            wire::read(&mut BufReader::new(&stream), MAX_LINE)
                .await?
                .ok_or_else(|| ControlError::Broken { why: "closed without an answer".into() })
        };
        timeout(ANSWER, exchange).await.map_err(|_| ControlError::TimedOut)?
    }
}

async fn connect(home: &Path) -> Result<Stream, ControlError> {
    let knock = async {
        loop {
            let owner = lock::owner(home).ok_or(ControlError::NobodyThere)?;
            if let Some(socket) = &owner.socket
                && let Some(stream) = try_connect(socket).await?
            {
                return Ok(stream);
            }
            sleep(LOOK).await;
        }
    };
    // It holds the profile and does not listen: it hangs, it ends, or its id belongs to another program by now.
    timeout(START, knock).await.map_err(|_| ControlError::NobodyThere)?
}

/// `None` when nobody listens there.
async fn try_connect(socket: &str) -> Result<Option<Stream>, ControlError> {
    let unreachable = |error: &io::Error| ControlError::unreachable(Path::new(socket), error);
    let name = address::name(socket).map_err(|error| unreachable(&error))?;
    match Stream::connect(name).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(unreachable(&error)),
    }
}
