//! Ctrl-C and the system's wish that we go.

use super::exit::internal;
use crate::engine::Failure;

#[cfg(unix)]
pub use unix::Interrupts;

#[cfg(unix)]
mod unix {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::{Failure, internal};

    /// SIGINT, SIGTERM and SIGHUP, from the moment this exists.
    pub struct Interrupts {
        interrupt: Signal,
        terminate: Signal,
        hang_up: Signal,
    }

    impl Interrupts {
        /// Needs a runtime.
        ///
        /// # Errors
        /// When the system refuses a handler.
        pub fn listen() -> Result<Self, Failure> {
            let open = |kind| signal(kind).map_err(|why| internal(format!("cannot listen for Ctrl-C: {why}")));
            Ok(Self {
                interrupt: open(SignalKind::interrupt())?,
                terminate: open(SignalKind::terminate())?,
                hang_up: open(SignalKind::hangup())?,
            })
        }

        pub async fn next(&mut self) {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
                _ = self.hang_up.recv() => {}
            }
        }
    }
}

#[cfg(not(unix))]
pub struct Interrupts;

#[cfg(not(unix))]
impl Interrupts {
    pub fn listen() -> Result<Self, Failure> {
        Ok(Self)
    }

    pub async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
