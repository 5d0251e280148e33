//! What the network between us looks like: STUN (RFC 8489), NAT behaviour discovery (RFC 5780), and what follows from it
//! for a call (RFC 4787).
//!
//! This is the only room that names `rtc-stun` (as `rtc::stun`): others get bytes and addresses, never its types.
//!
//! - [`discover`] asks STUN servers and brings a [`NatReport`]; [`likely_path`] tells from two of them which way a call
//!   will take;
//! - [`StunServer`] is the service that a reachable peer offers others; [`StunService`] is what it says, and [`answer`]
//!   the same for a server with one address;
//! - [`Client`] repeats requests until they are answered, and [`Discovery`] is the whole of RFC 5780 on top of it;
//! - [`binding_request`] and [`mapped_address`] are a client's two halves: "how do you see me?" and the reply;
//! - [`is_authentic_request`] tells a connectivity check (RFC 8445 §7.3) that knows the password from one that does not;
//! - [`transaction_id`], [`is_request`] and [`is_response`] say whose a datagram is on a socket that many share;
//! - [`binding_indication`] keeps a path alive without asking for an answer;
//! - [`NetworkWatch`] tells when this machine gets into another network;
//! - [`OpenPort`] and [`PortKeeper`] have the router open a port (PCP, NAT-PMP, UPnP).
//!
//! All but `shell` is pure and takes hostile bytes: no input panics, and what is not well formed is refused.

mod client;
mod discovery;
mod framing;
mod mapping;
mod outlook;
mod path;
mod report;
mod service;
mod shell;
mod stun;

pub use client::{Client, Outcome, Question, Retransmission, TooMany, Transmit};
pub use discovery::{Discovery, Setup, Timing};
pub use framing::{STREAM_HEADER, StreamMessage, padded_length, stream_message};
pub use mapping::{MappedPort, MappingError, MappingProtocol};
pub use outlook::{NetworkChange, Outlook, is_usable};
pub use path::{LikelyPath, likely_path};
pub use report::{Filtering, Mapping, MappingLifetime, NatKind, NatReport, Seen, classify_mapping};
pub use service::{Answer, StunService};
pub use shell::{
    DiscoverConfig, NetworkWatch, OpenPort, PortKeeper, StunServer, discover, has_global_ipv6, usable_addresses,
};
pub use stun::{
    Binding, StunError, TransactionId, Wishes, answer, binding, binding_indication, binding_request,
    binding_request_with, is_authentic_request, is_indication, is_request, is_response, mapped_address, transaction_id,
};
