//! The running process's end of the control socket.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use interprocess::local_socket::ListenerOptions;
use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use tokio::io::BufReader;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::wire::{self, MAX_LINE, MAX_REQUEST};
use super::{ControlError, ProfileLock, Request, Response, address};

/// Connections at a time; further ones wait in the operating system's queue until one ends.
const CONNECTIONS: usize = 16;
/// Requests that wait for the engine; further ones are refused as busy.
const QUEUE: usize = 16;
/// How long things may take.
pub(super) const PATIENCE: Patience = Patience { idle: Duration::from_secs(5), answer: Duration::from_secs(15) };
/// Pause after the operating system refused a connection (it is out of descriptors, say).
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// A connection that asks nothing, or does not read its answer, for this long is closed.
    pub idle: Duration,
    /// For the engine's answer.
    pub answer: Duration,
}

/// A request and the way back. Dropping it unanswered refuses it.
#[derive(Debug)]
pub struct Ask {
    pub request: Request,
    reply: oneshot::Sender<Response>,
}

impl Ask {
    pub fn answer(self, response: Response) {
        // An error means that the other side has gone; there is nobody to tell.
        let _ = self.reply.send(response);
    }
}

/// Listens as long as it lives; its socket is gone when it is dropped.
#[derive(Debug)]
pub struct ControlServer {
    accepting: AbortHandle,
    address: String,
    /// Nobody else may use the address while we remove it.
    _lock: ProfileLock,
}

impl ControlServer {
    /// Opens the profile's control socket on the current tokio runtime. The lock makes it safe to replace a socket that
    /// a killed process left behind.
    pub fn start(lock: &ProfileLock) -> Result<(Self, mpsc::Receiver<Ask>), ControlError> {
        Self::start_with(lock, PATIENCE)
    }

    pub(super) fn start_with(
        lock: &ProfileLock,
        patience: Patience,
    ) -> Result<(Self, mpsc::Receiver<Ask>), ControlError> {
        let home = lock.home();
        let address = address::of(home).map_err(|error| ControlError::unreachable(home, &error))?;
        let listener = listen(&address).map_err(|error| ControlError::unreachable(Path::new(&address), &error))?;
        let (asks, requests) = mpsc::channel(QUEUE);
        let accepting = tokio::spawn(accept(listener, asks, patience)).abort_handle();
        let server = Self { accepting, address, _lock: lock.clone() };
        lock.announce(Some(server.address.clone()))?;
        Ok((server, requests))
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.accepting.abort();
        // Named pipes vanish by themselves.
        #[cfg(unix)]
        let _ = std::fs::remove_file(&self.address);
    }
}

fn listen(address: &str) -> io::Result<Listener> {
    let options = ListenerOptions::new()
        .name(address::name(address)?)
        .try_overwrite(true)
        .max_spin_time(Duration::from_secs(1))
        // The listener is dropped by its task at some later time, when the name may be a successor's.
        .reclaim_name(false);
    #[cfg(unix)]
    let options = interprocess::os::unix::local_socket::ListenerOptionsExt::mode(options, 0o600);
    options.create_tokio()
}

async fn accept(listener: Listener, asks: mpsc::Sender<Ask>, patience: Patience) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Ended connections are reaped here, so the set never holds more than there are places.
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok(stream) => {
                let asks = asks.clone();
                connections.spawn(async move {
                    serve(&stream, &asks, patience).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a control connection could not be accepted");
                sleep(AFTER_ACCEPT_ERROR).await;
            }
        }
    }
}

/// One connection, until it closes, idles or breaks the rules.
async fn serve(stream: &Stream, asks: &mpsc::Sender<Ask>, patience: Patience) {
    let (mut from, mut to) = (BufReader::new(stream), stream);
    loop {
        let (response, go_on) = match timeout(patience.idle, wire::read(&mut from, MAX_REQUEST)).await {
            Ok(Ok(Some(request))) => (ask(request, asks, patience).await, true),
            Ok(Err(error @ (ControlError::TooLong { .. } | ControlError::NotUnderstood { .. }))) => {
                (Response::refused("usage", &error.to_string()), false)
            }
            Ok(Ok(None) | Err(_)) | Err(_) => return,
        };
        let written = timeout(patience.idle, wire::write(&mut to, &response, MAX_LINE)).await;
        if !(go_on && matches!(written, Ok(Ok(())))) {
            return;
        }
    }
}

async fn ask(request: Request, asks: &mpsc::Sender<Ask>, patience: Patience) -> Response {
    let (reply, answer) = oneshot::channel();
    match asks.try_send(Ask { request, reply }) {
        Ok(()) => {}
        Err(mpsc::error::TrySendError::Full(_)) => return Response::refused("busy", "twocans is busy, try again"),
        Err(mpsc::error::TrySendError::Closed(_)) => return Response::refused("internal", "twocans is stopping"),
    }
    match timeout(patience.answer, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Response::refused("internal", "twocans is stopping"),
        Err(_) => Response::refused("internal", "twocans did not answer in time"),
    }
}
