//! Joins the rooms: [`Command`] in; [`Event`] and [`Snapshot`] out.

mod api;
mod handle;
mod options;

pub use crate::audio::{AudioRole, DeviceInfo, SinkSpec, SourceSpec};
pub use crate::base::EndReason;
pub use crate::link::TurnServer;
pub use crate::store::{Contact, HistoryEntry};
pub use api::{
    CallPhase, CallSide, Candidate, Command, CommandId, CommandKind, CommandResult, Event, Failure, FailureKind,
    LookupReport, MediaPath, NetTotals, NodeTotals, PeerStats, Reply, Retry, Snapshot, SnapshotCall, Stamped, Summary,
};
pub use handle::{Engine, Events, SendError};
pub use options::{
    AudioOptions, FrameLength, NetworkOptions, NoiseSuppression, Options, Redundancy, SuperPeerMode, Toggle,
};
