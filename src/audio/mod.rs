//! Sound in and out: devices, WAV files, silence.

mod spec;

pub use spec::{AudioRole, DeviceInfo, SinkSpec, SourceSpec};
