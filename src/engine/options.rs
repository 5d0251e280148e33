//! Everything that can be configured, resolved: command line over `config.toml` over these defaults.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::audio::{SinkSpec, SourceSpec};
use crate::link::TurnServer;

/// How a process of twocans behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The profile's folder: identity, database, peer cache, logs, control socket, `config.toml`.
    pub home: PathBuf,
    /// Shown to people we call.
    pub display_name: Option<String>,
    /// False: nobody is looked for or found; the address book and history answer (verbs `contacts`, `history`), and calls
    /// that are described by SDP alone have their media sockets.
    pub online: bool,
    /// Publish presence and take calls (`answer`, the client); `call`, `lookup` and `node` do not.
    pub callable: bool,
    /// There is a window: what another process of this profile wants to be seen is told by
    /// [`Event::LinkOpened`](super::Event) and [`Event::ShowRequested`](super::Event), and else refused.
    pub windowed: bool,
    /// This process is there for others (`node`): as one that is callable, it may become a super-peer by itself.
    pub serves: bool,
    pub network: NetworkOptions,
    pub audio: AudioOptions,
    /// Begin with what was chosen last ([`CommandKind::ChooseAudio`](super::CommandKind) and the like), where these
    /// options say what they say by default. For front ends in which it is chosen.
    pub remember: bool,
    /// Most people in a group call, ourselves counted, beyond whom we invite nobody and let nobody in.
    pub group_limit: usize,
}

/// Beyond it, who is not silent has to send more than many an uplink takes.
pub const DEFAULT_GROUP_LIMIT: usize = 10;

impl Options {
    /// Of a process that only reads and writes the profile.
    pub fn offline(home: &Path) -> Self {
        Self {
            home: home.to_path_buf(),
            display_name: None,
            online: false,
            callable: false,
            windowed: false,
            serves: false,
            network: NetworkOptions::default(),
            audio: AudioOptions::default(),
            remember: false,
            group_limit: DEFAULT_GROUP_LIMIT,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkOptions {
    /// Multiaddresses to listen on; empty: QUIC and TCP on every interface (loopback when isolated), any port.
    pub listen: Vec<String>,
    /// Multiaddresses with `/p2p/ID` of first nodes.
    pub bootstrap: Vec<String>,
    pub mdns: bool,
    /// Look for a first node in the BitTorrent DHT when there is no other, and be found there as a super-peer.
    pub mainline: bool,
    /// First nodes of that DHT, as `HOST:PORT`; empty: those that everybody uses.
    pub mainline_bootstrap: Vec<String>,
    pub stun: Vec<SocketAddr>,
    /// STUN servers of others, as `HOST:PORT`; see [`Self::stun_of_others`].
    pub public_stun: Vec<String>,
    /// Not even when no super-peer is there to ask.
    pub no_public_stun: bool,
    pub turn: Vec<TurnServer>,
    pub relay_only: bool,
    /// A super-peer behind a router, or who would be one, has it open a port (PCP, NAT-PMP, UPnP). Never when isolated.
    pub port_mapping: bool,
    pub super_peer: SuperPeerMode,
    /// [`SuperPeerMode::Auto`]: serve others once they have got through to us for so long; `None`: ten minutes.
    pub volunteer_after: Option<Duration>,
    /// Between two renewals of the presence record, 1 to 25 minutes; `None`: 25.
    pub presence_refresh: Option<Duration>,
    /// UDP ports for media; `None`: any.
    pub media_ports: Option<RangeInclusive<u16>>,
    /// Loopback only: no packet leaves the machine.
    pub isolated: bool,
    /// Laboratory: these ranges count as public addresses (CIDR).
    pub treat_as_public: Vec<String>,
}

impl NetworkOptions {
    /// Whom to ask when no super-peer is there. Who has servers of their own, or shows no address, wants no others.
    pub(super) fn stun_of_others(&self) -> &[String] {
        let unwanted = self.no_public_stun || self.relay_only || !self.stun.is_empty();
        if unwanted { &[] } else { &self.public_stun }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SuperPeerMode {
    /// While strangers get through to a process that is there to be called, or for others: see
    /// [`NetworkOptions::volunteer_after`]. It gives less than one that is told to serve. Never with `relay_only`, and
    /// isolated only at a loopback address that is treated as public.
    #[default]
    Auto,
    Always,
    /// And have no router open a port.
    Never,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AudioOptions {
    pub mic: SourceSpec,
    pub speaker: SinkSpec,
    pub ring_device: SinkSpec,
    /// Frames per device callback to ask for.
    pub device_frames: u32,
    pub frame: FrameLength,
    pub bitrate_bps: u32,
    /// The three parts of the processing that real microphones get; other sources go as they are.
    pub echo_cancellation: bool,
    pub noise_suppression: NoiseSuppression,
    pub gain_control: bool,
    pub fec: Toggle,
    pub redundancy: Redundancy,
    /// Deep redundancy (DRED) in each packet, milliseconds of the past; 0 is off. By default off: at the same bits whole
    /// copies win at every loss that was measured.
    pub dred_ms: u32,
    pub transmit: TransmitMode,
    /// Instead of the microphone's sound, what is heard is said, a second later.
    pub echo: bool,
}

impl Default for AudioOptions {
    fn default() -> Self {
        Self {
            mic: SourceSpec::Default,
            speaker: SinkSpec::Default,
            ring_device: SinkSpec::Default,
            device_frames: 240,
            frame: FrameLength::Auto,
            bitrate_bps: 32_000,
            echo_cancellation: true,
            noise_suppression: NoiseSuppression::default(),
            // In a call through real devices it raised what is left of the echo: 7 dB below the speech, where it is 57 dB
            // below without.
            gain_control: false,
            fec: Toggle::Auto,
            redundancy: Redundancy::Auto,
            dred_ms: 0,
            transmit: TransmitMode::Always,
            echo: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrameLength {
    #[default]
    Auto,
    Ms(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Toggle {
    #[default]
    Auto,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Redundancy {
    #[default]
    Auto,
    Off,
    /// Copies of earlier frames in each packet.
    Copies(u8),
}

/// When the microphone is sent, unless it is muted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransmitMode {
    #[default]
    Always,
    /// While somebody speaks.
    OnVoice,
    /// While the talk key is held ([`CommandKind::HoldTalkKey`](super::CommandKind)).
    OnKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoiseSuppression {
    Off,
    #[default]
    Standard,
    Strong,
}
