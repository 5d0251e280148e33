//! One media connection to one peer.

mod config;

pub use config::TurnServer;
