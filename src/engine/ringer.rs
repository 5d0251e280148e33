//! Rings, for the callee on the ring device and for the caller as ringback.

use std::sync::mpsc::{SyncSender, sync_channel};

use crate::audio::{RingTone, Ringing, SinkSpec};

/// Rings until it is dropped. A machine without a ring device rings silently: the call shows on the screen all the
/// same.
pub(super) struct Ringer {
    /// Dropping it wakes the ringing thread, which closes the device.
    _until: SyncSender<()>,
}

impl Ringer {
    /// `None` when the ring device is `null`. Opening a device may take a while, so that happens elsewhere; `failed` is
    /// told there why nothing is heard.
    pub fn start(ringing: Ringing, sink: &SinkSpec, failed: impl FnOnce(String) + Send + 'static) -> Option<Self> {
        if *sink == SinkSpec::Null {
            return None;
        }
        let (until, dropped) = sync_channel::<()>(0);
        let sink = sink.clone();
        let ring = move || match RingTone::start(ringing, &sink) {
            // Returns when the ringer is dropped.
            Ok(_tone) => drop(dropped.recv()),
            Err(why) => failed(why.to_string()),
        };
        std::thread::Builder::new().name("ringer".into()).spawn(ring).ok()?;
        Some(Self { _until: until })
    }
}
