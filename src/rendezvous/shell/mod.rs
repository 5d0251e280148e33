//! Sockets, clocks and tasks: the only place that speaks libp2p.
//!
//! One task, the [`driver`], owns the swarm and all state; nothing is shared but the address rules and the traffic
//! counters. Everything that takes several steps (ringing, piping, asking on the LAN) is a task of its own that sends
//! the driver [`command`]s and owns nothing but its streams.

#![allow(clippy::disallowed_methods, reason = "the shell is where the clock is read")]

mod autonat;
mod behaviour;
mod bittorrent;
mod command;
mod door;
mod driver;
mod files;
mod grants;
#[cfg(test)]
mod hostile;
mod node;
mod pipe;
mod prepare;
mod ring;
mod stream;
mod streams;
mod transport;

pub use door::RelayClient;
pub use grants::RelayReply;
pub use node::Rendezvous;
pub use prepare::Preparation;
pub use stream::{SignalReceiver, SignalSender, SignalStream};
