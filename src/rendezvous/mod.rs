//! How two people who know nothing but each other's link find and ring each other.
//!
//! A person publishes a *presence record*: a sealed note, signed with the person's key as blinded for the day, that
//! says through which super-peers they can be rung. It lies on the nodes of a private Kademlia network whose ids are
//! closest to the record's key. Whoever has the link computes the key, gets the record, and opens a byte stream to the
//! person's node through one of those super-peers. What is said in the stream is not this room's business: it is
//! already encrypted between the two people (Noise IK, see `identity`).
//!
//! ```text
//!   caller ──get──▶ storing nodes        presence record: node id, 2–3 super-peers
//!   caller ──/twocans/pipe/1──▶ super-peer ──/twocans/pipe-in/1──▶ callee       ring pipe, the fast path
//!   caller ──circuit relay v2──▶ super-peer ─────────────────────▶ callee       where the super-peer has no pipe
//!   both   ──/twocans/relay/1──▶ super-peers                        the use of their media relays, for the call
//!   caller ──/twocans/call/1─────────────────────────────────────▶ callee       callee is public, or on our LAN
//! ```
//!
//! This is the only room that names libp2p: its API breaks with every minor release. The core is pure and tested
//! without a network: [`record`] (the record's format), [`storage`] (what a storing node takes), [`presence`] (when to
//! publish what), [`search`] (what a lookup believes), [`relays`] (which super-peers to hold), [`address`] (which
//! addresses to believe), [`cache`] (nodes remembered from last time), [`known`] (people found lately), [`upkeep`] (when
//! to look after the routing table), [`last_resort`] (the BitTorrent DHT as the last way in), [`volunteer`] (whether to serve
//! others unasked), [`autonat`] (what super-peers are asked about that). Sockets, clocks and tasks live in [`shell`].
//!
//! A super-peer learns which nodes talk, never who they are; a storing node learns the address that published a
//! record, never whose record it is.

mod address;
mod api;
mod autonat;
mod cache;
mod config;
mod known;
mod last_resort;
mod limits;
mod presence;
mod rate;
mod record;
mod relay;
mod relays;
mod search;
mod shell;
mod storage;
mod upkeep;
mod volunteer;

#[cfg(test)]
mod tests;

pub use address::is_node_address;
pub use api::{
    LookupReport, Reached, RelayGrant, RendezvousError, RendezvousEvent, RingAttempt, RingFailure, StreamError, Totals,
    Via,
};
pub use config::{NodeKey, RendezvousConfig};
pub use limits::Limits;
pub use relay::{RelayAnswer, RelayOffer};
pub use shell::{Preparation, RelayClient, RelayReply, Rendezvous, SignalReceiver, SignalSender, SignalStream};
