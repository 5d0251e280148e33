//! Joins the rooms: [`Command`] in; [`Event`] and [`Snapshot`] out.

mod api;
mod audio_choice;
mod backup;
mod clock;
mod desk;
mod doctor;
mod group;
mod handle;
mod levels;
mod link_task;
mod network_choice;
mod options;
mod ports;
mod profile;
pub mod quality;
mod relaying;
mod remote;
mod ringer;
mod seat;
mod session;
mod sound;
mod start;
mod tally;
mod usage;
mod voice_thread;
pub mod whom;

pub use crate::audio::{AudioRole, DeviceInfo, SinkSpec, SourceSpec};
pub use crate::base::EndReason;
pub use crate::call::group::{LeftReason, Path as HearingPath, Presence, Ticket as JoinLink, TicketRefused};
pub use crate::identity::{Passphrase, PassphraseError};
pub use crate::link::TurnServer;
pub use crate::nat::{Filtering, MappedPort, Mapping, MappingLifetime, MappingProtocol, NatKind, NatReport, Seen};
pub use crate::store::{Contact, HistoryEntry, Member as PastMember, PersonSettings, Route, Volume};
pub use api::{
    Broken, CallPhase, CallSide, Candidate, Command, CommandId, CommandKind, CommandResult, Event, Failure,
    FailureKind, LookupReport, MediaPath, NetTotals, NodeTotals, PeerStats, Reply, Retry, Snapshot, SnapshotCall,
    SoundTrial, Stamped, Summary, name_of_nameless,
};
pub use audio_choice::AudioChoice;
pub use backup::{BACKUP_EXPORTED, Imported, has_identity, import_identity, replace_identity};
pub use clock::MonotonicClock;
pub use doctor::{Cause, Check, CheckKind, Diagnosis, Finding, NetworkReport, Reach, Verdict};
pub use group::{GroupCommand, GroupEvent, GroupPhase, MeterId, SnapshotGroup, SnapshotMember, UnfinishedGroup};
pub use handle::{Engine, Events, SendError};
pub use levels::Levels;
pub use network_choice::NetworkChoice;
pub use options::{
    AudioOptions, DEFAULT_GROUP_LIMIT, FrameLength, NetworkOptions, NoiseSuppression, Options, Redundancy,
    SuperPeerMode, Toggle, TransmitMode,
};
pub use profile::my_link;
pub use remote::{RemoteVerb, ask_running, diagnose_running};
pub use start::devices;
