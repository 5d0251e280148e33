//! The handle a front end holds: commands in, events and snapshots out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::{broadcast, mpsc, watch};

use super::{Command, CommandId, CommandKind, Event, Levels, Snapshot, Stamped};

/// Commands waiting for the engine; a front end that outruns it is refused, not queued without bound.
const COMMAND_QUEUE: usize = 64;
/// Events a front end may be behind before it is marked lagged.
const EVENT_QUEUE: usize = 1024;

/// A cheap handle to a running engine. Dropping the last one does not stop it: send [`CommandKind::Shutdown`].
#[derive(Clone)]
pub struct Engine {
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<Stamped>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    next_id: Arc<AtomicU64>,
    levels: Arc<Levels>,
}

/// The command was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Too many commands are waiting; try again in a moment.
    #[error("the engine is busy, try again in a moment")]
    Busy,
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Stopped,
}

impl Engine {
    /// Never blocks. The result comes as [`Event::CommandFinished`] with the returned id.
    pub fn send(&self, kind: CommandKind) -> Result<CommandId, SendError> {
        let id = CommandId(self.next_id.fetch_add(1, Ordering::Relaxed));
        match self.commands.try_send(Command { id, kind }) {
            Ok(()) => Ok(id),
            Err(mpsc::error::TrySendError::Full(_)) => Err(SendError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SendError::Stopped),
        }
    }

    /// The current truth.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// Waits until the snapshot is another one than when this handle, or the one that it was cloned from, waited last.
    /// False once the engine has stopped. Nothing is lost when the future is dropped.
    pub async fn changed(&mut self) -> bool {
        self.snapshot.changed().await.is_ok()
    }

    /// Of the running call, or of sound that is tried; always up to date.
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Events from now on.
    pub fn subscribe(&self) -> Events {
        Events { queue: self.events.subscribe() }
    }
}

/// One front end's view of the event stream.
pub struct Events {
    queue: broadcast::Receiver<Stamped>,
}

impl Events {
    /// The next event; `None` once the engine has stopped and everything was read.
    pub async fn recv(&mut self) -> Option<Stamped> {
        match self.queue.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(lagged(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// An event that is already there, without waiting: what a frame of a user interface drains.
    pub fn try_recv(&mut self) -> Option<Stamped> {
        match self.queue.try_recv() {
            Ok(event) => Some(event),
            Err(broadcast::error::TryRecvError::Lagged(missed)) => Some(lagged(missed)),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => None,
        }
    }
}

fn lagged(missed: u64) -> Stamped {
    Stamped { at: Instant::now(), group: None, event: Event::Lagged { missed } }
}

/// The engine's own ends of the channels behind [`Engine`].
pub(super) struct Backstage {
    pub commands: mpsc::Receiver<Command>,
    pub events: broadcast::Sender<Stamped>,
    pub snapshot: watch::Sender<Arc<Snapshot>>,
    pub levels: Arc<Levels>,
}

pub(super) fn handle_pair(initial: Snapshot) -> (Engine, Events, Backstage) {
    let (command_tx, commands) = mpsc::channel(COMMAND_QUEUE);
    let (events, queue) = broadcast::channel(EVENT_QUEUE);
    let (snapshot_tx, snapshot) = watch::channel(Arc::new(initial));
    let levels = Arc::new(Levels::default());
    let engine = Engine {
        commands: command_tx,
        events: events.clone(),
        snapshot,
        next_id: Arc::new(AtomicU64::new(1)),
        levels: levels.clone(),
    };
    (engine, Events { queue }, Backstage { commands, events, snapshot: snapshot_tx, levels })
}
