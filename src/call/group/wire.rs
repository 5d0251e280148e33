//! The messages of a group as protocol buffers (proto3). Field numbers are for ever: new fields get new ones, old ones
//! are never used again. Readers skip fields that they do not know.

/// One message, about one group.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Envelope {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub group: Vec<u8>,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub creator: Vec<u8>,
    #[prost(oneof = "Kind", tags = "3, 4, 5, 6, 7, 8, 9")]
    pub kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    #[prost(message, tag = "3")]
    Invite(Hello),
    #[prost(message, tag = "4")]
    Ring(Hello),
    #[prost(message, tag = "5")]
    Knock(Knock),
    /// See `refusal_number` in `message.rs`.
    #[prost(uint32, tag = "6")]
    Refused(u32),
    #[prost(message, tag = "7")]
    Declined(Empty),
    #[prost(message, tag = "8")]
    Roster(Entries),
    #[prost(message, tag = "9")]
    Reports(Reports),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Hello {
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Entry>,
    /// 32 bytes each.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub here: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Knock {
    #[prost(message, optional, tag = "1")]
    pub ticket: Option<Ticket>,
    #[prost(string, tag = "2")]
    pub name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Entries {
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Entry {
    #[prost(oneof = "EntryKind", tags = "1, 2, 3")]
    pub kind: Option<EntryKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum EntryKind {
    #[prost(message, tag = "1")]
    Add(Add),
    #[prost(message, tag = "2")]
    Removal(Removal),
    #[prost(message, tag = "3")]
    Revocation(Revocation),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Add {
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub person: Vec<u8>,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub inviter: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub generation: u32,
    #[prost(uint32, tag = "4")]
    pub turn: u32,
    #[prost(uint32, tag = "5")]
    pub standing: u32,
    #[prost(string, tag = "6")]
    pub name: String,
    /// 64 bytes.
    #[prost(bytes = "vec", tag = "7")]
    pub signature: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Removal {
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub person: Vec<u8>,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub remover: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub generation: u32,
    #[prost(uint32, tag = "4")]
    pub turn: u32,
    /// 64 bytes.
    #[prost(bytes = "vec", tag = "5")]
    pub signature: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Revocation {
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub author: Vec<u8>,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub revoker: Vec<u8>,
    #[prost(uint64, tag = "3")]
    pub made_until_unix_s: u64,
    /// 64 bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub signature: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Ticket {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub group: Vec<u8>,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub creator: Vec<u8>,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub author: Vec<u8>,
    #[prost(string, tag = "4")]
    pub name: String,
    #[prost(uint64, tag = "5")]
    pub made_unix_s: u64,
    #[prost(uint64, tag = "6")]
    pub expires_unix_s: u64,
    /// 32 bytes each.
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub ring: Vec<Vec<u8>>,
    /// 64 bytes.
    #[prost(bytes = "vec", tag = "8")]
    pub signature: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Reports {
    #[prost(message, repeated, tag = "1")]
    pub reports: Vec<Report>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Report {
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub from: Vec<u8>,
    /// The rest as it was signed, see `report.rs`.
    #[prost(bytes = "vec", tag = "2")]
    pub content: Vec<u8>,
    /// 64 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub signature: Vec<u8>,
}
