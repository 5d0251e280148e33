//! The two kinds of ends that the link tests and the bench connect: ours, and the async `webrtc` wrapper.
#![allow(dead_code, reason = "every test file that includes this uses its own part")]

pub mod ours;
pub mod wrapper;

use std::time::Duration;

use bytes::Bytes;
use twocans::base::{MediaTime, OutgoingPacket, PayloadKind, SeqNo};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The `number`th packet of a stream of 20 ms packets.
pub fn packet(number: u16, kind: PayloadKind) -> OutgoingPacket {
    OutgoingPacket {
        seq: SeqNo(number),
        media_time: MediaTime(u32::from(number) * 960),
        marker: number == 0,
        kind,
        payload: Bytes::from(vec![number as u8; 80]),
    }
}
