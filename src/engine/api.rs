//! The engine's API: all that a front end or an integration test ever talks to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{
    AudioChoice, AudioOptions, Cause, Check, Diagnosis, GroupCommand, GroupEvent, MeterId, NetworkChoice,
    NetworkOptions, NetworkReport, SnapshotGroup, UnfinishedGroup,
};
use crate::audio::{AudioRole, DeviceInfo};
use crate::base::{CallId, EndReason, GroupId, NodeId, Person};
use crate::identity::{Link, Passphrase};
use crate::nat::MappedPort;
use crate::store::{Contact, HistoryEntry, PersonSettings, Route, Volume};

/// Chosen by the front end; comes back in [`Event::CommandFinished`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// A wish. Every command ends in exactly one [`Event::CommandFinished`] with the same id.
#[derive(Debug, Clone)]
pub struct Command {
    pub id: CommandId,
    pub kind: CommandKind,
}

#[derive(Debug, Clone)]
pub enum CommandKind {
    /// Ring a person. Finishes with [`Reply::Call`] as soon as the call exists; its fate follows as events.
    Dial {
        to: Link,
        ring_timeout: Duration,
    },
    /// Take an incoming call. Until then the caller learns no address of ours.
    Answer {
        call: CallId,
    },
    /// Refuse an incoming call.
    Decline {
        call: CallId,
    },
    /// End a call in whatever state it is: cancels a dial, hangs up a conversation.
    /// `reason` is [`EndReason::HangUp`] or [`EndReason::TimeLimit`].
    HangUp {
        call: CallId,
        reason: EndReason,
    },
    /// Begin a call with any WebRTC endpoint, described by SDP alone (RFC 8829), by an offer. Finishes with
    /// [`Reply::Call`]; [`Event::Described`] brings the offer. `patience`: how long it may wait for its answer.
    OfferSdp {
        patience: Duration,
    },
    /// The answer to our offer.
    AcceptSdp {
        call: CallId,
        answer: String,
    },
    /// Answer such an offer. Finishes with [`Reply::Call`]; [`Event::Described`] brings our answer. `patience`: how long
    /// the other endpoint may take to begin.
    AnswerSdp {
        offer: String,
        patience: Duration,
    },
    /// Stop or resume sending our microphone, in all calls.
    SetMuted {
        muted: bool,
    },
    /// The push-to-talk key goes down or up. Down, it opens a microphone that is muted or waits for the key; where the
    /// microphone is open anyway it changes nothing.
    HoldTalkKey {
        down: bool,
    },
    /// Put a call on hold, or take it off. While either side holds it, neither hears the other: nothing of the peer is
    /// played, and instead of the microphone the peer gets silence, as when muted. What is muted stays so. Refused
    /// while the call is not connected.
    SetHeld {
        call: CallId,
        held: bool,
    },
    /// Stop or resume playing anything, in all calls; implies muting, as in every voice program.
    SetDeafened {
        deafened: bool,
    },
    /// Calls of more than two.
    Group(GroupCommand),
    /// Ask the DHT about a person without ringing. Finishes with [`Reply::Lookup`].
    Lookup {
        person: Person,
    },
    /// This person's contact is on screen, or none is: a dial that follows rings sooner.
    LookAt {
        person: Option<Person>,
    },
    /// Finishes with [`Reply::Contacts`]: the whole address book.
    ListContacts,
    AddContact {
        link: Link,
        name: Option<String>,
    },
    RenameContact {
        person: Person,
        name: String,
    },
    RemoveContact {
        person: Person,
    },
    /// A blocked person's calls are refused without ringing.
    SetBlocked {
        person: Person,
        blocked: bool,
    },
    /// How loud a person is played, at once in a running call too; kept in the profile.
    SetVolume {
        person: Person,
        volume: Volume,
    },
    /// Which ways calls with a person may take, from the next call on; kept in the profile. Where the options say relay
    /// only, that holds for everybody.
    SetRoute {
        person: Person,
        route: Route,
    },
    /// The safety words of a call with this person were compared and are the same, or that is taken back.
    SetVerified {
        person: Person,
        verified: bool,
    },
    /// A sound device or what is done to the sound, from now on.
    ChooseAudio(AudioChoice),
    /// How to be reached, and by whom.
    ChooseNetwork(NetworkChoice),
    /// What the people we call read, and what our link says; `None`: nothing.
    SetDisplayName {
        name: Option<String>,
    },
    /// Finishes with [`Reply::Devices`]: what is plugged in.
    ListDevices,
    /// Try microphone and speaker without a call, or stop that. Finishes when the devices are open, or with a failure of the
    /// kind [`FailureKind::Device`]. It stops by itself after two minutes and when a call needs the devices; during a
    /// call it is refused.
    TrySound(Option<SoundTrial>),
    /// Ring for two seconds on the ring device; finishes after it, or with a failure of the kind
    /// [`FailureKind::Device`].
    TryRing,
    /// Keeps a front end's own setting in the profile; `None` forgets it. See [`Snapshot::preferences`].
    SetPreference {
        key: String,
        value: Option<String>,
    },
    /// Writes an encrypted backup of the identity, the people and the preferences to a file that is not there yet. Takes
    /// about a second; [`BACKUP_EXPORTED`](super::BACKUP_EXPORTED) says when it was done last.
    ExportIdentity {
        file: PathBuf,
        passphrase: Passphrase,
    },
    /// Finishes with [`Reply::History`], newest first, at most `limit` entries.
    ListHistory {
        limit: u32,
    },
    /// "Can I be called?" Each [`Event::Checked`] follows as soon as it is known; finishes with [`Reply::Diagnosis`].
    Diagnose {
        /// Find out how long the NAT keeps an idle mapping, up to this time; takes as long.
        mapping_lifetime: Option<Duration>,
    },
    /// Say goodbye to everybody, withdraw presence, stop. Nothing is accepted after it.
    Shutdown,
}

/// How sound is tried without a call. Everything is done to it that is done in calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoundTrial {
    /// The microphone is open, and [`Engine::levels`](super::Engine::levels) follow it; nothing is played.
    Meter,
    /// And what it picks up is played a second later.
    Echo,
}

/// How a command ended.
pub type CommandResult = Result<Reply, Failure>;

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Done,
    Call(CallId),
    Group(GroupId),
    /// A `twocans:join/…` link.
    GroupLink(String),
    Lookup(LookupReport),
    Contacts(Vec<Contact>),
    History(Vec<HistoryEntry>),
    Diagnosis(Box<Diagnosis>),
    Devices(Vec<DeviceInfo>),
}

/// What the DHT says of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookupReport {
    pub found: bool,
    /// Sequence number of the newest valid record.
    pub seq: Option<u64>,
    /// Until the first valid record, or until the search was given up.
    pub took: Duration,
    /// Kademlia requests sent for it.
    pub requests: u32,
}

/// Why a connection has to be found anew. [`fmt::Display`] says it as a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    Silent,
    RelaySilent,
    WeMoved,
    TheyMoved,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "no sound arrives any more",
            Self::RelaySilent => "nothing comes through the relay any more",
            Self::WeMoved => "this device is in another network now",
            Self::TheyMoved => "the other side is in another network now",
        })
    }
}

/// Something that happened, with the moment at which it did.
#[derive(Debug, Clone)]
pub struct Stamped {
    pub at: Instant,
    /// The group call to which the event's call belongs.
    pub group: Option<GroupId>,
    pub event: Event,
}

/// Past tense. The queue towards a front end is bounded; one that falls behind gets [`Event::Lagged`] and reads the
/// [`Snapshot`].
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Sockets are open.
    Ready {
        person: Person,
        link: Link,
        node: NodeId,
        listen: Vec<String>,
        super_peer: bool,
    },
    /// Our presence record is stored on `acks` nodes: we can be called when `acks` ≥ 1.
    PresencePublished {
        relays: Vec<NodeId>,
        acks: u32,
        took: Duration,
    },
    SuperPeer {
        on: bool,
        reason: String,
    },
    NetworkChanged,
    /// The router lets strangers in at this address, for a super-peer of ours; `None`: no longer.
    PortMapped(Option<MappedPort>),
    Dialing {
        call: CallId,
        peer: Person,
    },
    /// The other side rings. `took`: dial command to RING.
    Ringing {
        call: CallId,
        took: Duration,
    },
    Incoming {
        call: CallId,
        from: Person,
        name: Option<String>,
        known: bool,
    },
    Answered {
        call: CallId,
    },
    SafetyWords {
        call: CallId,
        words: Vec<String>,
    },
    /// Our description of a call that is described by SDP alone, complete: the other endpoint is to get it.
    Described {
        call: CallId,
        sdp: String,
    },
    Connected {
        call: CallId,
        /// `None`: an endpoint that is not ours.
        peer: Option<Person>,
        /// Dial to RING; `None` on the callee's side.
        ring: Option<Duration>,
        /// ANSWER received (caller) or sent (callee) to the first decoded remote audio frame.
        answer_to_media: Duration,
        path: MediaPath,
        /// When sample 0 of a `file:` microphone was, or will be, played; `None` for other sources.
        audio_t0: Option<Instant>,
    },
    /// Both had dialled each other: this dial goes on as the call `by`, which answers itself. The last event of `call`.
    Replaced {
        call: CallId,
        by: CallId,
    },
    PathChanged {
        call: CallId,
        path: MediaPath,
    },
    Reconnecting {
        call: CallId,
        reason: Broken,
    },
    Reconnected {
        call: CallId,
        gap: Duration,
    },
    Muted {
        call: CallId,
        by_peer: bool,
        muted: bool,
    },
    /// The person talks, and nobody hears it: at most every 15 s.
    TalkingWhileMuted {
        call: CallId,
    },
    /// A side put the call on hold, or took it off.
    Held {
        call: CallId,
        by_peer: bool,
        held: bool,
    },
    /// We send packets of another length from now on.
    FrameLengthChanged {
        call: CallId,
        frame_ms: u32,
    },
    DeviceChanged {
        role: AudioRole,
        from: Option<String>,
        to: String,
        gap: Duration,
    },
    Stats(PeerStats),
    Net(NetTotals),
    NodeStats(NodeTotals),
    Ended {
        call: CallId,
        peer: Option<Person>,
        reason: EndReason,
        /// Why nothing came through, where that is known.
        cause: Option<Cause>,
        talked: Duration,
        summary: Summary,
    },
    Group {
        group: GroupId,
        event: GroupEvent,
    },
    /// One check of a diagnosis is done.
    Checked(Check),
    /// It rings, and nothing is heard of it: the ring device cannot be used.
    RingFailed {
        call: CallId,
        why: String,
    },
    /// Another process of this profile was given this link, perhaps by a page in a browser: it is to be shown, not dialled.
    LinkOpened {
        /// A person's, or one to join a group call.
        link: String,
    },
    /// Another process of this profile was to open the window that is there already.
    ShowRequested,
    /// Something failed that no command asked for (a device that died, a store that is full).
    Failed(Failure),
    CommandFinished {
        id: CommandId,
        result: CommandResult,
    },
    /// Events were dropped because the front end was slow.
    Lagged {
        missed: u64,
    },
    /// The last event: everything is closed.
    Stopped,
}

impl Event {
    /// The call between two that it is about.
    pub fn call(&self) -> Option<CallId> {
        match self {
            Self::Dialing { call, .. }
            | Self::Ringing { call, .. }
            | Self::Incoming { call, .. }
            | Self::Answered { call }
            | Self::SafetyWords { call, .. }
            | Self::Described { call, .. }
            | Self::Connected { call, .. }
            | Self::Replaced { call, .. }
            | Self::PathChanged { call, .. }
            | Self::Reconnecting { call, .. }
            | Self::Reconnected { call, .. }
            | Self::Muted { call, .. }
            | Self::TalkingWhileMuted { call }
            | Self::Held { call, .. }
            | Self::FrameLengthChanged { call, .. }
            | Self::Ended { call, .. }
            | Self::RingFailed { call, .. } => Some(*call),
            Self::Stats(stats) => Some(stats.call),
            Self::Ready { .. }
            | Self::PresencePublished { .. }
            | Self::SuperPeer { .. }
            | Self::NetworkChanged
            | Self::PortMapped(_)
            | Self::DeviceChanged { .. }
            | Self::Net(_)
            | Self::NodeStats(_)
            | Self::Group { .. }
            | Self::Checked(_)
            | Self::LinkOpened { .. }
            | Self::ShowRequested
            | Self::Failed(_)
            | Self::CommandFinished { .. }
            | Self::Lagged { .. }
            | Self::Stopped => None,
        }
    }
}

/// ICE candidate type (RFC 8445 §5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Candidate {
    Host,
    ServerReflexive,
    PeerReflexive,
    Relayed,
}

/// The nominated candidate pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPath {
    pub local: Candidate,
    pub remote: Candidate,
    /// "udp" or "tcp".
    pub protocol: &'static str,
    /// The super-peer or TURN server that relays our side, where known.
    pub via: Option<String>,
}

impl MediaPath {
    /// Relayed when either end of the pair is.
    pub fn is_relayed(&self) -> bool {
        self.local == Candidate::Relayed || self.remote == Candidate::Relayed
    }
}

/// One second of one peer's media. Unknown values are `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerStats {
    pub call: CallId,
    pub peer: Option<Person>,
    pub rtt_ms: Option<f32>,
    /// Interarrival jitter (RFC 3550 §6.4.1).
    pub jitter_ms: Option<f32>,
    /// `fraction_lost`, 0..1, over the last second.
    pub loss: Option<f32>,
    /// Share of played samples that were concealed, 0..1, over the last second.
    pub concealed: Option<f32>,
    pub target_delay_ms: Option<f32>,
    pub buffer_ms: Option<f32>,
    /// Capture to playout estimate.
    pub delay_ms: Option<f32>,
    pub tx_bps: Option<u32>,
    pub rx_bps: Option<u32>,
    /// RED depth in use towards the peer; 0 is none.
    pub red: u8,
    pub fec: bool,
    pub dred_ms: u32,
    pub mic_dbfs: Option<f32>,
    pub speaker_dbfs: Option<f32>,
    /// Of this process, % of one core.
    pub cpu: Option<f32>,
    pub rss_mb: Option<f32>,
}

/// What an idle process costs; every 10 s.
#[derive(Debug, Clone, PartialEq)]
pub struct NetTotals {
    pub tx_bytes: u64,
    pub rx_bytes: u64,
    pub connections: u32,
    pub cpu: Option<f32>,
    pub rss_mb: Option<f32>,
}

/// What a super-peer does for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeTotals {
    pub relayed_calls: u32,
    pub reservations: u32,
    pub records: u32,
    pub tx_bytes: u64,
    pub rx_bytes: u64,
}

/// A whole call in four numbers; `None` where nothing was heard.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Summary {
    pub loss: Option<f32>,
    pub concealed: Option<f32>,
    pub delay_ms_p50: Option<f32>,
    pub delay_ms_p95: Option<f32>,
    /// Estimated listening quality, MOS 1..4.5 (E-model, ITU-T G.107) from loss, concealment and delay.
    pub quality: Option<f32>,
}

/// What went wrong, in a form that a person and a script can both use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    pub kind: FailureKind,
    pub retry: Retry,
    /// One sentence: what happened and what to do.
    pub detail: String,
}

impl Failure {
    /// What was asked for has to be changed.
    pub fn usage(detail: impl Into<String>) -> Self {
        Self { kind: FailureKind::Usage, retry: Retry::AfterUserAction, detail: detail.into() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    NotFound,
    Unreachable,
    RelayRefused,
    Declined,
    Busy,
    NoAnswer,
    Device,
    ProfileInUse,
    ProfileDamaged,
    Usage,
    ConnectionLost,
    FingerprintMismatch,
    Internal,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    Never,
    Later,
    AfterUserAction,
}

/// The current truth, replaced as a whole whenever something changes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// `None` until the sockets are open.
    pub me: Option<Person>,
    pub link: Option<Link>,
    pub node: Option<NodeId>,
    pub home: PathBuf,
    pub super_peer: bool,
    /// Nodes that store our presence; 0 means that nobody can call us yet.
    pub presence_acks: u32,
    pub calls: Vec<SnapshotCall>,
    pub groups: Vec<SnapshotGroup>,
    /// To be [gone on with](GroupCommand::Resume) or [forgotten](GroupCommand::Forget).
    pub unfinished: Option<UnfinishedGroup>,
    pub muted: bool,
    /// The push-to-talk key is held.
    pub talk_key: bool,
    pub deafened: bool,
    pub contacts: Arc<Vec<Contact>>,
    /// Whose calls are refused without ringing, contacts or not.
    pub blocked: Arc<BTreeSet<Person>>,
    /// What is set for one person, contacts or not; who is missing has the defaults.
    pub people: Arc<BTreeMap<Person, PersonSettings>>,
    /// The sound devices that are wished for, and what is done to the sound.
    pub audio: Arc<AudioOptions>,
    /// How the network is used; what was chosen for the next start, too.
    pub network_options: Arc<NetworkOptions>,
    /// What front ends keep in the profile.
    pub preferences: Arc<BTreeMap<String, String>>,
    /// Sound is being tried.
    pub trial: Option<SoundTrial>,
    /// What the last diagnosis found out about the network; `None` before the first.
    pub network: Option<NetworkReport>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotCall {
    pub call: CallId,
    /// `None`: an endpoint that is not ours.
    pub peer: Option<Person>,
    pub name: Option<String>,
    pub side: CallSide,
    pub phase: CallPhase,
    /// The group call of which it is a part; screens show that one.
    pub group: Option<GroupId>,
    pub meter: MeterId,
    pub connected_at: Option<Instant>,
    pub path: Option<MediaPath>,
    pub stats: Option<PeerStats>,
    pub peer_muted: bool,
    /// Since when, and why, the connection is being found anew.
    pub interrupted: Option<(Instant, Broken)>,
    /// We put it on hold.
    pub held: bool,
    /// They did; both may.
    pub peer_held: bool,
}

impl Snapshot {
    /// What is set for a person.
    pub fn person(&self, person: Person) -> PersonSettings {
        self.people.get(&person).copied().unwrap_or_default()
    }
}

/// A person who has no name, or an endpoint that is not even a person.
pub fn name_of_nameless(peer: Option<&Person>) -> String {
    peer.map_or_else(|| "the other endpoint".to_owned(), Person::abbreviated)
}

impl SnapshotCall {
    /// The person's name, or what there is instead of one.
    pub fn peer_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| name_of_nameless(self.peer.as_ref()))
    }

    /// What tells this peer from others at a glance: the person's key, or else the call's.
    pub fn peer_seed(&self) -> &[u8] {
        self.peer.as_ref().map_or(self.call.as_bytes(), |peer| peer.as_bytes())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallSide {
    Caller,
    Callee,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallPhase {
    Dialing,
    Ringing,
    Connecting,
    Connected,
    Reconnecting,
    Ended,
}
