//! What the network between us looks like: STUN (RFC 8489).
//!
//! This is the only room that names `rtc-stun` (as `rtc::stun`): others get bytes and addresses, never its types.
//!
//! - [`binding_request`] and [`mapped_address`] are a client's two halves: "how do you see me?" and the reply;
//! - [`answer`] is the whole of a stateless STUN server: a datagram in, a datagram out;
//! - [`is_authentic_request`] tells a connectivity check (RFC 8445 §7.3) that knows the password from one that does not;
//! - [`transaction_id`], [`is_request`] and [`is_response`] say whose a datagram is on a socket that many share.
//!
//! Everything here is pure and takes hostile bytes: no input panics, and what is not well formed is refused.

mod framing;
mod stun;

pub use framing::{STREAM_HEADER, StreamMessage, padded_length, stream_message};
pub use stun::{
    StunError, TransactionId, answer, binding_request, is_authentic_request, is_request, is_response, mapped_address,
    transaction_id,
};
