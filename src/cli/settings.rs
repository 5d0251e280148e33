//! Groups of options. Each group is at once a part of the command line and a section of `config.toml`, so that every
//! option has a key: its long name.

#![allow(rustdoc::broken_intra_doc_links, reason = "these comments are the help text, in its own notation")]

use clap::Args;
use serde::Deserialize;

use super::config_file::{text, texts};
use super::values::{
    AutoOff, Bitrate, Callers, DeviceFrames, Dred, FrameMs, GroupLimit, HostPort, Ns, PortRange, PresenceRefresh, Red,
    Seconds, SuperPeer, TransmitWhen, Turn, VolunteerAfter,
};
use crate::engine::{SinkSpec, SourceSpec};

/// Something said on the command line wins over the same thing said in the file.
pub trait Over {
    #[must_use]
    fn over(self, file: Self) -> Self;
}

impl<T> Over for Option<T> {
    fn over(self, file: Self) -> Self {
        self.or(file)
    }
}

/// A list replaces a list; they are not joined.
impl<T> Over for Vec<T> {
    fn over(self, file: Self) -> Self {
        if self.is_empty() { file } else { self }
    }
}

macro_rules! settings {
    ($(#[$outer:meta])* $name:ident, $heading:literal { $($(#[$inner:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Default, Args, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        #[command(next_help_heading = $heading)]
        pub struct $name {
            $($(#[$inner])* pub $field: $type,)*
        }

        impl Over for $name {
            fn over(self, file: Self) -> Self {
                Self { $($field: self.$field.over(file.$field),)* }
            }
        }
    };
}

settings! {
    /// `[network]`: every verb that goes online.
    NetworkSettings, "Network" {
        /// Listen here; repeatable [default: QUIC and TCP on every interface (loopback with --isolated), any port]
        #[arg(long, value_name = "MULTIADDR")]
        #[serde(deserialize_with = "texts")]
        listen: Vec<String>,
        /// Get in through this node, a multiaddress that ends in /p2p/ID; repeatable [default: the nodes met before]
        #[arg(long, value_name = "MULTIADDR")]
        #[serde(deserialize_with = "texts")]
        bootstrap: Vec<String>,
        /// Neither look for peers in the local network nor be seen there [default: false]
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        no_mdns: Option<bool>,
        /// Neither look for a first node in the BitTorrent DHT nor be found there [default: false]
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        no_mainline: Option<bool>,
        /// Enter the BitTorrent DHT through this node; repeatable [default: the nodes that everybody uses]
        #[arg(long, value_name = "HOST:PORT")]
        #[serde(deserialize_with = "texts")]
        mainline_bootstrap: Vec<HostPort>,
        /// Ask this server how we look from outside, instead of super-peers; repeatable [default: none]
        #[arg(long, value_name = "HOST:PORT")]
        #[serde(deserialize_with = "texts")]
        stun: Vec<HostPort>,
        /// Ask this server of others when no super-peer is found; repeatable
        /// [default: stun.cloudflare.com:3478 and stun.l.google.com:19302]
        #[arg(long, value_name = "HOST:PORT")]
        #[serde(deserialize_with = "texts")]
        public_stun: Vec<HostPort>,
        /// Ask no such server [default: false]
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        no_public_stun: Option<bool>,
        /// A media relay of your own, turn:USER:PASS@HOST:PORT, or @FILE with one per line; repeatable [default: none]
        #[arg(long, value_name = "TURN")]
        #[serde(deserialize_with = "texts")]
        turn: Vec<Turn>,
        /// Send media through relays only, so that the peer never learns our address [default: false]
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        relay_only: Option<bool>,
        /// Behind a router, do not have it open a port so that others reach this super-peer [default: false]
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        no_port_mapping: Option<bool>,
        /// Serve others as a super-peer: auto (a client that is there to be called, or a node, once strangers have got
        /// through to it for ten minutes, within the bounds of a home line; not with --relay-only), always, or never (for
        /// connections that are paid for by volume) [default: auto]
        #[arg(long, value_name = "WHEN")]
        #[serde(deserialize_with = "text")]
        super_peer: Option<SuperPeer>,
        /// For laboratories: with --super-peer auto serve after so long instead, seconds: 1 to 3600 [default: 600]
        #[arg(long, value_name = "S")]
        #[serde(deserialize_with = "text")]
        volunteer_after: Option<VolunteerAfter>,
        /// Renew the presence record this often, seconds: 60 to 1500 [default: 1500]
        #[arg(long, value_name = "S")]
        #[serde(deserialize_with = "text")]
        presence_refresh: Option<PresenceRefresh>,
        /// UDP ports for media [default: any]
        #[arg(long, value_name = "MIN-MAX")]
        #[serde(deserialize_with = "text")]
        media_port: Option<PortRange>,
        /// Loopback only: no packet leaves this machine [default: false]
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        isolated: Option<bool>,
        /// For laboratories: count these addresses as public; repeatable [default: none]
        #[arg(long, value_name = "CIDR")]
        #[serde(deserialize_with = "texts")]
        treat_as_public: Vec<String>,
    }
}

settings! {
    /// `[audio]`: verbs that talk.
    AudioSettings, "Sound" {
        /// default, an id of `twocans devices`, file:PATH[,loop][,start=launch], tone:HZ or silence [default: default]
        #[arg(long, value_name = "SRC")]
        #[serde(deserialize_with = "text")]
        mic: Option<SourceSpec>,
        /// default, an id of `twocans devices`, file:PATH (WAV) or null [default: default]
        #[arg(long, value_name = "SINK")]
        #[serde(deserialize_with = "text")]
        speaker: Option<SinkSpec>,
        /// Where it rings; as --speaker [default: default]
        #[arg(long, value_name = "SINK")]
        #[serde(deserialize_with = "text")]
        ring_device: Option<SinkSpec>,
        /// Frames per device callback to ask for [default: 240]
        #[arg(long, value_name = "N")]
        #[serde(deserialize_with = "text")]
        device_frames: Option<DeviceFrames>,
        /// Speech per packet: auto, 5, 10, 20, 40 or 60 ms; 5 is for headsets on a good network: least delay, no processing
        /// [default: auto]
        #[arg(long, value_name = "MS")]
        #[serde(deserialize_with = "text")]
        frame_ms: Option<FrameMs>,
        /// Opus bitrate of 20 ms packets, bit/s; shorter packets get more [default: 32000]
        #[arg(long, value_name = "BPS")]
        #[serde(deserialize_with = "text")]
        bitrate: Option<Bitrate>,
        /// Leave the speaker's echo in the microphone's sound [default: false; files and tones go as they are]
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        no_aec: Option<bool>,
        /// Suppress the noise behind the voice: off, standard or strong [default: standard, for microphones only]
        #[arg(long, value_name = "LEVEL")]
        #[serde(deserialize_with = "text")]
        ns: Option<Ns>,
        /// Leave the microphone's level as it is; =false raises quiet voices, and with them what is left of an echo [default: true]
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        no_agc: Option<bool>,
        /// When the microphone is sent: always, while a voice is heard in it, or while `twocans ptt press` holds the key
        /// [default: always]
        #[arg(long, value_name = "WHEN")]
        #[serde(deserialize_with = "text")]
        transmit: Option<TransmitWhen>,
        /// Copies of earlier frames in each packet (RFC 2198): auto, off or a number [default: auto]
        #[arg(long, value_name = "N")]
        #[serde(deserialize_with = "text")]
        red: Option<Red>,
        /// Opus forward error correction: auto or off [default: auto]
        #[arg(long, value_name = "WHEN")]
        #[serde(deserialize_with = "text")]
        fec: Option<AutoOff>,
        /// Deep redundancy in each packet: auto, off or ms of the past; auto is off, for copies do better [default: auto]
        #[arg(long, value_name = "MS")]
        #[serde(deserialize_with = "text")]
        dred: Option<Dred>,
        /// The name that people we call see [default: none]
        #[arg(long, value_name = "DISPLAY_NAME")]
        #[serde(deserialize_with = "text")]
        name: Option<String>,
    }
}

settings! {
    /// `[call]`: how we dial.
    CallSettings, "Call" {
        /// Hang up after so many seconds of talk [default: talk until somebody hangs up]
        #[arg(long, value_name = "N")]
        #[serde(deserialize_with = "text")]
        seconds: Option<Seconds>,
        /// Give up when nobody answers for so many seconds [default: 45]
        #[arg(long, value_name = "S")]
        #[serde(deserialize_with = "text")]
        ring_timeout: Option<Seconds>,
    }
}

settings! {
    /// `[group]`: calls of several.
    GroupSettings, "Group" {
        /// Leave after so many seconds of talk [default: talk until everybody has left]
        #[arg(long, value_name = "N")]
        #[serde(deserialize_with = "text")]
        seconds: Option<Seconds>,
        /// Most people in the call, yourself counted: 2 to 15 [default: 10]
        #[arg(long, value_name = "N")]
        #[serde(deserialize_with = "text")]
        group_limit: Option<GroupLimit>,
    }
}

settings! {
    /// `[answer]`: how we take calls.
    AnswerSettings, "Answering" {
        /// Answer without asking; needs --from [default: false: ask]
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        auto: Option<bool>,
        /// Whom --auto answers, contacts or anyone; others are declined [no default: it must be said]
        #[arg(long, value_name = "WHO")]
        #[serde(deserialize_with = "text")]
        from: Option<Callers>,
        /// Let it ring so long before --auto answers or --decline declines [default: 0]
        #[arg(long, value_name = "S")]
        #[serde(deserialize_with = "text")]
        answer_after: Option<Seconds>,
        /// Decline every call [default: false]
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        decline: Option<bool>,
        /// Let every call ring and do nothing [default: false]
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        no_answer: Option<bool>,
        /// Stop after the first call [default: false]
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        once: Option<bool>,
        /// Hang up after so many seconds of talk [default: talk until somebody hangs up]
        #[arg(long, value_name = "N")]
        #[serde(deserialize_with = "text")]
        seconds: Option<Seconds>,
    }
}

settings! {
    /// `[sdp]`: calls by files.
    SdpSettings, "Call" {
        /// Hang up after so many seconds of talk [default: talk until somebody hangs up]
        #[arg(long, value_name = "N")]
        #[serde(deserialize_with = "text")]
        seconds: Option<Seconds>,
        /// Give up when the other file does not come, or the other endpoint does not begin, for so many seconds
        /// [default: 600]
        #[arg(long, value_name = "S")]
        #[serde(deserialize_with = "text")]
        ring_timeout: Option<Seconds>,
    }
}

settings! {
    /// `[doctor]`.
    DoctorSettings, "Doctor" {
        /// Find out how long the router keeps an idle mapping, up to so many seconds; takes as long [default: not tried]
        #[arg(long, value_name = "S")]
        #[serde(deserialize_with = "text")]
        mapping_lifetime: Option<Seconds>,
    }
}

settings! {
    /// `[demo]`.
    DemoSettings, "Demo" {
        /// Where the two received WAV files go [default: ./twocans-demo]
        #[arg(long, value_name = "DIR")]
        out: Option<std::path::PathBuf>,
    }
}
