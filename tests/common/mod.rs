//! What the integration tests share: real processes of the built binary, recorded speech, and laboratories for
//! networks and sound devices. Nothing here uses the library under test: the harness is a judge, not a party.
//!
//! | module | gives |
//! |---|---|
//! | [`process`] | a process of `twocans`, its JSON lines with deadlines, an orderly end |
//! | [`contract`] | the JSON contract of the command line, field by field |
//! | [`world`] | a node and people on loopback or in a laboratory, ready to call each other |
//! | [`speech`] | did the speech arrive, how late, how good |
//! | [`staircase`] | how long nothing new arrived, and whether anything was played twice |
//! | [`figures`] | percentiles, `/proc` |
//! | [`machine`] | quiet for tests that measure |
//! | [`chromium`] | a real browser and what a page in it says |
//! | [`foreign`] | programs of others: WebRTC and libp2p in other languages, a BitTorrent client |
//! | [`garbage`] | what the internet throws at an open port |
//! | [`netlab`] | hosts, NAT routers and a public segment in network namespaces |
//! | [`netem`] | delay, jitter and loss on any of its links |
//! | [`natprobe`] | RFC 4787 probe that tells what a NAT really does |
//! | [`pulse`] | a private PulseAudio server with virtual microphones and speakers |
//! | [`device_lab`] | a private PulseAudio server with any devices, for tests of the library itself |
//! | [`skip`] | a test that cannot run here says so |

#![allow(dead_code, reason = "every test binary compiles all of this and uses its part")]

pub mod chromium;
pub mod contract;
pub mod device_lab;
pub mod figures;
pub mod foreign;
pub mod garbage;
pub mod machine;
pub mod natprobe;
pub mod netem;
pub mod netlab;
pub mod process;
pub mod pulse;
pub mod skip;
pub mod speech;
pub mod staircase;
pub mod world;
