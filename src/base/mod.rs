//! Words every room shares.
//!
//! Nothing here does I/O, reads a clock or knows another room. Numbers that are easy to mix up (sequence numbers,
//! media time, sample counts, bare 32-byte keys) have types of their own.

mod carried;
mod ids;
mod media;
mod packet;
mod range;
mod rate;
mod reason;
mod redacted;

pub use carried::{Carried, SpeakerTag};
pub use ids::{CallId, GroupId, NodeId, ParsePersonError, Person, z_base_32};
pub use media::{FRAME_MS, FRAME_SAMPLES, Frame, MediaTime, SAMPLE_RATE_HZ, SampleCount, SeqNo, dbfs_from_mean_square};
pub use packet::{IncomingPacket, OutgoingPacket, PayloadKind};
pub use range::IpRange;
pub use rate::{Rate, RateTable, source_of};
pub use reason::EndReason;
pub use redacted::Redacted;
