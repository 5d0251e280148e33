//! One process per profile, and how other processes talk to it.
//!
//! [`ProfileLock`] is held by the process that runs a profile; the operating system gives it back whatever way that
//! process ends. [`ControlServer`] answers requests over a local socket that only the profile's owner can reach;
//! [`ControlClient`] is the other end: a second `twocans` on the same profile hands its verb over instead of fighting
//! for the sockets. What a request means is the engine's business.
//!
//! On the wire: one JSON object per line, [`Request`] one way, [`Response`] the other, any number of them per
//! connection, one at a time.

mod address;
mod client;
mod error;
mod lock;
mod server;
mod wire;

#[cfg(test)]
mod tests;

pub use client::ControlClient;
pub use error::ControlError;
pub use lock::ProfileLock;
pub use server::{Ask, ControlServer};
pub use wire::{Request, Response};
