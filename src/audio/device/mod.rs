//! Sound devices through `cpal`: PulseAudio (also PipeWire's) if a server answers, else ALSA; elsewhere the system's own.

mod config;
mod host;
mod open;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{AudioError, AudioRole, DeviceInfo};
use cpal::traits::DeviceTrait;
use host::{System, Which};
pub(super) use open::{DeviceStream, open_input, open_output};

/// A sound server that has not answered by then is stuck.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);

/// All microphones and speakers, defaults first, monitors (what a speaker plays, as a source) last. Every speaker can
/// ring, so none is listed a second time as [`AudioRole::Ring`]. Blocks for some milliseconds, at most 3 s.
pub fn devices() -> Result<Vec<DeviceInfo>, AudioError> {
    within(ANSWER_DEADLINE, list)?
}

fn list() -> Result<Vec<DeviceInfo>, AudioError> {
    let system = System::connect(Which::Best)?;
    let mut list = Vec::new();
    for role in [AudioRole::Microphone, AudioRole::Speaker] {
        let default = system.default_device(role).and_then(|device| device.id().ok());
        let mut of_role: Vec<DeviceInfo> = system
            .devices(role)
            .filter(|device| host::is_useful(device))
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

/// Whether the device, or a default one, is there.
pub(super) fn check(role: AudioRole, id: Option<&str>) -> Result<(), AudioError> {
    let id = id.map(str::to_owned);
    within(ANSWER_DEADLINE, move || System::of(id.as_deref())?.find(role, id.as_deref()).map(drop))?
}

/// Which devices are plugged in, without asking them anything.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// A sound server listed them.
    pub is_served: bool,
    pub microphones: Present,
    pub speakers: Present,
}

#[derive(Debug, Default)]
pub(super) struct Present {
    pub default_id: Option<String>,
    pub ids: Vec<String>,
}

impl Inventory {
    /// Blocks for as long as the sound system takes to answer. `only_served`: a sound server or nothing.
    pub fn take(only_served: bool) -> Result<Self, AudioError> {
        let _quiet = host::quiet_alsa();
        let system = System::connect(if only_served { Which::Server } else { Which::Best })?;
        let id = |device: &cpal::Device| Some(device.id().ok()?.to_string());
        let present = |role| Present {
            default_id: system.default_device(role).as_ref().and_then(id),
            ids: system.devices(role).filter_map(id).collect(),
        };
        let (microphones, speakers) = (present(AudioRole::Microphone), present(AudioRole::Speaker));
        Ok(Self { is_served: system.is_served(), microphones, speakers })
    }

    pub fn of(&self, role: AudioRole) -> &Present {
        match role {
            AudioRole::Microphone => &self.microphones,
            AudioRole::Speaker | AudioRole::Ring => &self.speakers,
        }
    }

    /// Whether a device would be listed here if it were there: a server does not list the cards behind it.
    pub fn covers(&self, id: &str) -> bool {
        !(self.is_served && id.starts_with(host::CARD_PREFIX))
    }
}

/// Runs a job that talks to the sound system on a thread of its own, so that a stuck server costs a thread and not the
/// program. What comes too late is dropped there, which closes it.
fn within<T: Send + 'static>(deadline: Duration, job: impl FnOnce() -> T + Send + 'static) -> Result<T, AudioError> {
    let (done, wait) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("audio-device".into())
        .spawn(move || {
            let _quiet = host::quiet_alsa();
            let _ = done.send(job());
        })
        .map_err(AudioError::NoThread)?;
    wait.recv_timeout(deadline).map_err(|_| AudioError::Hung)
}
