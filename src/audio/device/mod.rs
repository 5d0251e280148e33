//! Sound devices through `cpal`: PulseAudio (also PipeWire's) if a server answers, else ALSA; elsewhere the system's own.

mod config;
mod host;
mod open;

use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use super::{AudioError, AudioRole, DeviceInfo};
use cpal::traits::DeviceTrait;
use host::System;
pub(super) use open::{DeviceStream, open_input, open_output};

/// A sound server that has not answered by then is stuck.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);

/// All microphones and speakers, defaults first, monitors (what a speaker plays, as a source) last. Every speaker can
/// ring, so none is listed a second time as [`AudioRole::Ring`]. Blocks for some milliseconds, at most 3 s.
pub fn devices() -> Result<Vec<DeviceInfo>, AudioError> {
    within(ANSWER_DEADLINE, list)?
}

fn list() -> Result<Vec<DeviceInfo>, AudioError> {
    let system = System::connect()?;
    let mut list = Vec::new();
    for role in [AudioRole::Microphone, AudioRole::Speaker] {
        let default = system.default_device(role).and_then(|device| device.id().ok());
        let mut of_role: Vec<DeviceInfo> = system
            .devices(role)
            .filter_map(|device| {
                let id = device.id().ok()?;
                let config = match role {
                    AudioRole::Microphone => device.default_input_config(),
                    AudioRole::Speaker | AudioRole::Ring => device.default_output_config(),
                };
                let (default_rate_hz, channels) = match config {
                    Ok(config) => (config.sample_rate(), config.channels()),
                    Err(error) if error.kind() == cpal::ErrorKind::DeviceBusy => (0, 0),
                    Err(_) => return None,
                };
                let is_default = default.as_ref() == Some(&id);
                let name = device.description().map_or_else(|_| id.to_string(), |text| text.name().to_owned());
                Some(DeviceInfo { id: id.to_string(), name, role, default_rate_hz, channels, is_default })
            })
            .collect();
        of_role.sort_by_key(|device| (!device.is_default, host::is_monitor(&device.id)));
        list.append(&mut of_role);
    }
    Ok(list)
}

/// Opening one stream while another one is being opened or closed makes PulseAudio's client refuse with "Invalid
/// argument": a ring tone that ends and a speaker that opens do that at every answered call.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a job that talks to the sound system on a thread of its own, so that a stuck server costs a thread and not the
/// program. What comes too late is dropped there, which closes it.
fn within<T: Send + 'static>(deadline: Duration, job: impl FnOnce() -> T + Send + 'static) -> Result<T, AudioError> {
    let (done, wait) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("audio-device".into())
        .spawn(move || {
            let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
            let _quiet = host::quiet_alsa();
            let _ = done.send(job());
        })
        .map_err(AudioError::NoThread)?;
    wait.recv_timeout(deadline).map_err(|_| AudioError::Hung)
}
