//! The messages as protocol buffers (proto3). Field numbers are for ever: new fields get new ones, old ones are never
//! used again. Readers skip fields that they do not know.

/// One message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Envelope {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17")]
    pub kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    #[prost(message, tag = "1")]
    Invite(Invite),
    #[prost(message, tag = "2")]
    Ring(Empty),
    #[prost(message, tag = "3")]
    Busy(Empty),
    #[prost(message, tag = "4")]
    Decline(Empty),
    #[prost(message, tag = "5")]
    Cancel(Empty),
    #[prost(message, tag = "6")]
    Answer(Description),
    #[prost(message, tag = "7")]
    Accept(Description),
    #[prost(string, tag = "8")]
    Candidate(String),
    #[prost(message, tag = "9")]
    EndOfCandidates(Empty),
    /// See `reason_number` in `message.rs`.
    #[prost(uint32, tag = "10")]
    Bye(u32),
    #[prost(bool, tag = "11")]
    Muted(bool),
    #[prost(bool, tag = "12")]
    Held(bool),
    #[prost(message, tag = "13")]
    Quality(Quality),
    /// One byte per version.
    #[prost(bytes = "vec", tag = "14")]
    Unsupported(Vec<u8>),
    #[prost(message, tag = "15")]
    Rejoin(Rejoin),
    #[prost(message, tag = "16")]
    Rejoined(Empty),
    #[prost(message, tag = "17")]
    Group(GroupLetter),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Invite {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub from: Vec<u8>,
    #[prost(string, tag = "3")]
    pub name: String,
    /// One byte per version.
    #[prost(bytes = "vec", tag = "4")]
    pub versions: Vec<u8>,
    /// 0: not known.
    #[prost(uint64, tag = "5")]
    pub sent_unix_s: u64,
    /// See `group/wire.rs`; empty: of no group.
    #[prost(bytes = "vec", tag = "6")]
    pub group: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct GroupLetter {
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub from: Vec<u8>,
    /// See `group/wire.rs`.
    #[prost(bytes = "vec", tag = "2")]
    pub message: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Rejoin {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub from: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub generation: u32,
    #[prost(bool, tag = "4")]
    pub moved: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Description {
    #[prost(string, tag = "1")]
    pub sdp: String,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub fingerprint: Vec<u8>,
    #[prost(string, tag = "3")]
    pub ufrag: String,
    /// 64 bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub signature: Vec<u8>,
    #[prost(uint32, tag = "5")]
    pub generation: u32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Quality {
    #[prost(float, tag = "1")]
    pub fraction_lost: f32,
    #[prost(float, tag = "2")]
    pub concealed: f32,
    #[prost(float, tag = "3")]
    pub jitter_ms: f32,
    #[prost(float, tag = "4")]
    pub target_delay_ms: f32,
    #[prost(float, tag = "5")]
    pub mean_burst: f32,
    #[prost(float, tag = "6")]
    pub queue_ms: f32,
}
