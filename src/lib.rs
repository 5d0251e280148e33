//! **twocans**: two cans and a string. People call each other with nobody in between.
//!
//! The library holds everything; the binary `twocans` is a thin face with a desktop client, command-line verbs and a
//! headless node. The house has one room (module) per concern, named in the domain's words:
//!
//! | room | concern | may import |
//! |---|---|---|
//! | [`base`] | words every room shares | – |
//! | [`identity`] | person key, links, Noise session, blinding, safety words, encrypted backup | base |
//! | [`voice`] | DSP on 10 ms frames: echo, noise, gain, Opus, jitter buffer, mixer, level | base |
//! | [`audio`] | sound in and out: devices, WAV files, silence | base, identity |
//! | [`nat`] | STUN, NAT discovery: what the network between us looks like | base, identity |
//! | [`link`] | one media connection to one peer: ICE, DTLS-SRTP, data channel | base, identity, nat |
//! | [`superpeer`] | what a reachable peer does for others: STUN and media relay (TURN) | base, identity, nat |
//! | [`rendezvous`] | DHT: publish and look up presence, ring a peer through super-peers | base, identity |
//! | [`call`] | state machines of a call, and its messages; no I/O | base, identity |
//! | [`store`] | contacts, history, settings on disk | base, identity |
//! | [`control`] | the profile's lock and local socket | base, identity |
//! | [`engine`] | joins the rooms: `Command` in; `Event` and `Snapshot` out | all above |
//! | [`ui`], [`cli`] | the faces | base, identity, engine |
//!
//! `tests/architecture.rs` enforces the table.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::unwrap_used))]

#[allow(clippy::disallowed_methods, reason = "sound has a clock of its own, and files play against ours")]
pub mod audio;
pub mod base;
pub mod call;
pub mod cli;
pub mod control;
#[allow(clippy::disallowed_methods, reason = "the engine hands the time to the rooms that have none")]
pub mod engine;
pub mod identity;
pub mod link;
pub mod nat;
pub mod rendezvous;
pub mod store;
pub mod superpeer;
#[cfg(feature = "gui")]
pub mod ui;
pub mod voice;
