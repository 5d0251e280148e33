//! The voice on 10 ms frames: echo, noise and gain, Opus, jitter buffer, mixer, level, resampling, quality.
//!
//! ```text
//!  microphone ─ Resampler ─▶ Frame ─ Apm ─ TalkGate ─ Encoder ─▶ EncodedFrame ─ Packetizer (one per link) ─▶ OutgoingPacket
//!  speaker ◀─ Resampler ─ Frame ◀─ Mixer ◀─ Receiver (one per peer: jitter buffer, decoder, level) ◀─ IncomingPacket
//! ```
//!
//! Pure: no clock, socket, thread or random source. Nothing here allocates after its constructor, except for the
//! payload bytes of an [`OutgoingPacket`](crate::base::OutgoingPacket) and what [`Apm`] says of itself. Everything is
//! `Send` and nothing is shared, so encoders and receivers are made on one thread and handed to another.

mod apm;
mod congestion;
mod encoder;
mod fader;
mod jitter;
mod level;
mod levelling;
mod mixer;
mod opus;
mod packetizer;
pub mod quality;
mod receiver;
#[cfg(test)]
mod recorded;
pub mod red;
mod resample;
mod resilience;
mod talk_gate;

pub use apm::{Apm, ApmSettings, MutedTalk, Noise, VoiceActivity};
pub use encoder::{EncodedFrame, Encoder, EncoderSettings, Ptime};
pub use fader::Fader;
pub use jitter::{Inserted, JitterBuffer, JitterSettings, JitterStats, Operation, PacketHeader};
pub use level::LevelMeter;
pub use levelling::Leveller;
pub use mixer::Mixer;
pub use opus::{OpusError, version as opus_version};
pub use packetizer::{MAX_DISTANCE, Packetizer, RedDistances};
pub use receiver::{Receiver, ReceiverSettings, ReceiverStats};
pub use resample::{ResampleError, Resampler};
pub use resilience::{HEADER_BYTES, PathReport, Protection, Resilience, ResilienceSettings};
pub use talk_gate::TalkGate;
