//! What a reachable peer does for others beside signalling: it tells them their address (STUN, RFC 8489) and carries
//! the media of those who cannot reach each other (TURN, RFC 8656). This is the only room that names the TURN server
//! crate.
//!
//! ```text
//!                       peers' encrypted stream
//!   client ◀── Credentials, ≤ 10 min ── Issuer                 (engine, with `rendezvous`)
//!     │                                   │ one Secret
//!     │ UDP, or TCP on the same port      ▼
//!     └──────────────▶ shell: sockets ─▶ core ─▶ one TURN server state per client
//!                                         │ policy       whom may be sent to at all
//!                                         │ limits       how much of it
//!                                         ▼
//!                      a socket per allocation ◀──────▶ the other person
//! ```
//!
//! It runs on strangers' machines for strangers, so the rules come before the service: an [`AddressPolicy`] keeps it
//! from opening its owner's LAN, every figure stands in one table of [`Limits`], and a password is good for ten minutes
//! and for one requester. The crate's tables of users, nonces and clients only ever grow; here every client has a
//! server state of its own, in a bounded table, and what it remembered goes with it.
//!
//! The relay sees who talks to whom by address, and how much; never what: media is encrypted between the two people.

mod core;
mod credentials;
mod limits;
mod policy;
mod shell;

pub use credentials::{Credentials, Issuer, Refusal};
pub use limits::Limits;
pub use policy::AddressPolicy;
pub use shell::{Service, ServiceConfig, ServiceError, Totals};
