//! Sound in and out: devices through `cpal`, WAV files, tones, silence; all of them look alike to the voice thread.
//!
//! ```text
//!  microphone ─┐ CaptureCallback            Input.samples ─▶ ┌────────┐ ─▶ Output.samples       PlaybackCallback ┌─▶ speaker
//!  file, tone ─┴──────────────▶ SPSC ring ─────────────────▶ │ voice  │ ─────────────▶ SPSC ring ────────────────┴─▶ file, null
//!  silence                 └── unpark (Wake) ──────────────▶ │ thread │
//! ```
//!
//! The rings carry mono `f32` at the device's own rate ([`Input::rate_hz`], [`Output::rate_hz`]); resampling, drift and
//! levels are the voice thread's business. The two callbacks copy, convert and count; they never allocate, lock or log.
//! Every stream tells how it fares in a [`StreamHealth`], without a message: a device that was pulled out simply stops
//! calling back.
//!
//! Fakes (`file:`, `tone:`, `silence`, `null`) run on a real clock as hardware does: one pacing thread for all of them,
//! with absolute deadlines, alive only while one is open. A `file:` starts and stops with its [`Gate`].

mod callback;
mod device;
mod error;
mod fake;
mod gate;
mod ring;
mod spec;
mod stream;
mod watch;
mod wav;

pub use callback::{CaptureCallback, PlaybackCallback};
pub use device::devices;
pub use error::{AudioError, WavError};
pub use gate::{Gate, launched_at};
pub use ring::{RingTone, Ringing};
pub use spec::{AudioRole, DeviceInfo, ParseSpecError, SinkSpec, SourceSpec};
pub use stream::{
    Input, Output, Stream, StreamFault, StreamHealth, Wake, check_sink, check_source, open_input, open_output,
};
pub use watch::{Change, Sound, Watch, WatchNews, WatchOptions};
pub use wav::{WavWriter, read_wav};
