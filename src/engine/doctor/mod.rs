//! "Can I be called?" [`examine()`] looks at the network and the sound, [`judge`] says what it means, one [`Check`] at a
//! time, and a [`Diagnosis`] at the end.

mod cause;
mod examine;
mod judge;
mod microphone;

use serde::{Deserialize, Serialize};

use super::CommandId;
use crate::control::Ask;
use crate::nat::NatReport;

pub use cause::Cause;
pub(super) use cause::{Gathered, cause_of_failure};
pub(super) use examine::{Patient, examine};

/// Who wants to know.
pub(super) enum Asker {
    Command(CommandId),
    /// Another process of this profile.
    Process(Ask),
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub what: CheckKind,
    pub verdict: Verdict,
    /// What was found, for a front end that has its own words for it.
    pub code: Finding,
    /// What those words fill in; see [`Finding`].
    pub facts: Vec<String>,
    /// What was found, in a terminal's words: a sentence without capital and full stop.
    pub finding: String,
    /// What to do about it, in a terminal's words.
    pub remedy: Option<String>,
}

/// What a check can find, and the facts that go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// Nodes that keep our presence.
    PresenceKept,
    PresenceNotKept,
    /// Nodes that are connected, where nobody is to call us.
    Connected,
    NobodyAnswers,
    IsSuperPeer,
    /// How many hold a place for us, who are one ourselves.
    AlsoSuperPeer,
    RungAtOwnAddress,
    NoSuperPeer,
    OneSuperPeer,
    /// How many.
    SuperPeers,
    NobodyToAsk,
    NoStunAnswer,
    UdpPasses,
    UdpBlocked,
    /// The addresses.
    OwnAddress,
    /// The addresses.
    RoutersAddress,
    /// Nothing stands between this machine and the others.
    Open,
    NoRouterInBetween,
    DirectToMost,
    /// A symmetric NAT.
    DirectToFew,
    RouterOfSomeKind,
    Ipv6Works,
    Ipv6Untried,
    NoIpv6,
    MappingNotNeeded,
    MappingWorks,
    MappingBehindAnother,
    NoMapping,
    /// Microphone and speaker.
    DevicesWork,
    /// What is wrong.
    DeviceFails,
    /// What is wrong.
    RingFails,
    MicrophoneHears,
    MicrophoneSilent,
    MicrophoneInCall,
    NotLookedAt,
}

/// What is looked at, in the order in which people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CheckKind {
    /// Do nodes of the network answer, and do they keep our presence?
    Dht,
    /// Do super-peers hold a place for us, through which others ring?
    SuperPeers,
    Udp,
    PublicAddress,
    /// Mapping, filtering and hairpinning of the NAT.
    Nat,
    Ipv6,
    /// Does the router open a port for us?
    PortMapping,
    Devices,
    MicrophoneLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    Fine,
    /// It works, but not always or not well.
    Warning,
    /// It does not work.
    Problem,
    /// It could not be found out.
    Unknown,
}

/// How calls reach us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// Directly, from most networks.
    Direct,
    /// Through a relay, from most networks.
    Relayed,
    /// They do; which way is not known.
    Unclear,
    /// They do not.
    Nowhere,
}

/// What is known of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkReport {
    pub nat: NatReport,
    /// Nodes that are connected.
    pub connections: u32,
    /// Nodes that keep our presence.
    pub acks: u32,
    /// Super-peers that hold a place for us.
    pub super_peers: u32,
    pub reach: Reach,
}

impl NetworkReport {
    /// Anybody out there has answered us at all.
    pub fn is_connected(&self) -> bool {
        self.connections > 0 || self.acks > 0 || self.nat.families().next().is_some() || self.nat.udp_blocked.is_some()
    }
}

/// The answer to "can I be called?"
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// In the order of [`CheckKind`].
    pub checks: Vec<Check>,
    pub network: NetworkReport,
    /// One or two plain sentences.
    pub answer: String,
}

impl Diagnosis {
    pub fn can_be_called(&self) -> bool {
        self.network.reach != Reach::Nowhere
    }
}
