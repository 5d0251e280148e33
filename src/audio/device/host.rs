//! The sound system of this machine.

use super::super::{AudioError, AudioRole};
use cpal::Device;
use cpal::traits::{DeviceTrait, HostTrait};

/// The device of this id or name, or the default one.
pub fn find(role: AudioRole, id: Option<&str>) -> Result<Device, AudioError> {
    match id {
        Some(id) => System::connect(Which::of_id(id))?.find(role, id),
        None => System::connect(Which::Best)?.default_device(role).ok_or(AudioError::NoDevice(role)),
    }
}

/// Which sound system, where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// A server if one answers, else the cards.
    Best,
    Server,
    Cards,
}

impl Which {
    /// The one that an id belongs to: a card can be used although a server runs.
    pub fn of_id(id: &str) -> Self {
        if id.starts_with(CARD_PREFIX) { Self::Cards } else { Self::Best }
    }
}

/// Ids of cards, in contrast to a server's devices.
pub const CARD_PREFIX: &str = "alsa:";

/// A sound system that answers, and its devices.
pub struct System {
    host: linux::Host,
    devices: Vec<Device>,
}

/// Ids named in an error; the rest is what `twocans devices` is for.
const MAX_KNOWN: usize = 6;

impl System {
    pub fn connect(which: Which) -> Result<Self, AudioError> {
        let (host, devices) = linux::connect(which)?;
        Ok(Self { host, devices })
    }

    /// Whether a sound server stands before the devices.
    pub fn is_served(&self) -> bool {
        linux::is_server(&self.host)
    }

    pub fn devices(&self, role: AudioRole) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(move |device| serves(device, role))
    }

    /// A loopback of the very speaker that we play to is no microphone, although servers without one offer it: the
    /// others would hear themselves.
    pub fn default_device(&self, role: AudioRole) -> Option<Device> {
        match role {
            AudioRole::Microphone => {
                let microphone = self.host.default_input_device()?;
                let speaker = self.host.default_output_device().and_then(|speaker| speaker.id().ok());
                let own_echo = speaker.map(|speaker| format!("{speaker}{MONITOR_SUFFIX}"));
                let id = microphone.id().ok()?.to_string();
                (own_echo.as_ref() != Some(&id)).then_some(microphone)
            }
            AudioRole::Speaker | AudioRole::Ring => self.host.default_output_device(),
        }
    }

    /// By id, or by what people type: the id without its system, or the name.
    pub fn find(&self, role: AudioRole, wanted: &str) -> Result<Device, AudioError> {
        let by = |matches: &dyn Fn(&Device) -> bool| self.devices(role).find(|device| matches(device)).cloned();
        by(&|device| device.id().is_ok_and(|id| id.to_string() == wanted))
            .or_else(|| by(&|device| device.id().is_ok_and(|id| id.id() == wanted)))
            .or_else(|| by(&|device| device.description().is_ok_and(|text| text.name() == wanted)))
            .ok_or_else(|| AudioError::UnknownDevice { id: wanted.to_owned(), role, known: self.known(role) })
    }

    fn known(&self, role: AudioRole) -> Vec<String> {
        let ids = self.devices(role).filter(|device| linux::is_useful(device)).filter_map(|device| device.id().ok());
        ids.map(|id| id.to_string()).take(MAX_KNOWN).collect()
    }
}

const MONITOR_SUFFIX: &str = ".monitor";

/// Both PulseAudio and PipeWire name the loopback of a speaker so.
pub fn is_monitor(id: &str) -> bool {
    id.ends_with(MONITOR_SUFFIX)
}

fn serves(device: &Device, role: AudioRole) -> bool {
    match role {
        AudioRole::Microphone => device.supports_input(),
        AudioRole::Speaker | AudioRole::Ring => device.supports_output(),
    }
}

#[cfg(target_os = "linux")]
pub use linux::{is_useful, quiet_alsa};

#[cfg(target_os = "linux")]
mod linux {
    use std::ops::Deref;
    use std::sync::{Arc, Mutex, PoisonError};

    use cpal::traits::{DeviceTrait, HostTrait};
    use cpal::{Device, HostId};

    use super::{AudioError, Which};

    /// Shared: a connection to a sound server is kept for the life of the process, because cpal's client leaves a
    /// thread and a socket behind for each one that is dropped.
    pub struct Host(Arc<cpal::Host>);

    impl Deref for Host {
        type Target = cpal::Host;

        fn deref(&self) -> &cpal::Host {
            &self.0
        }
    }

    /// ALSA is not touched while a server answers: it would only show the server's devices again, under other names.
    pub fn connect(which: Which) -> Result<(Host, Vec<Device>), AudioError> {
        let served = if which == Which::Cards { None } else { pulse() };
        match served {
            Some(found) => Ok(found),
            None if which == Which::Server => Err(AudioError::NoSoundSystem),
            None => cards(),
        }
    }

    pub fn is_server(host: &Host) -> bool {
        host.id() == HostId::PulseAudio
    }

    fn cards() -> Result<(Host, Vec<Device>), AudioError> {
        let host = cpal::host_from_id(HostId::Alsa).map_err(|_| AudioError::NoSoundSystem)?;
        let devices: Vec<Device> = host.devices().map_err(|_| AudioError::NoSoundSystem)?.collect();
        if devices.iter().any(is_useful) { Ok((Host(Arc::new(host)), devices)) } else { Err(AudioError::NoSoundSystem) }
    }

    fn pulse() -> Option<(Host, Vec<Device>)> {
        static SERVER: Mutex<Option<Arc<cpal::Host>>> = Mutex::new(None);
        let server = || SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        // Never locked while waiting for an answer: the server may be stuck.
        let known = server().clone();
        if let Some(host) = known
            && let Ok(devices) = host.devices()
        {
            return Some((Host(host), devices.collect()));
        }
        let host = Arc::new(cpal::host_from_id(HostId::PulseAudio).ok()?);
        let devices = host.devices().ok()?.collect();
        *server() = Some(host.clone());
        Some((Host(host), devices))
    }

    /// ALSA lists every plug-in under every name; what is left here are the ones that convert rates and formats, which
    /// any card can be used through, and the cards' own ends.
    pub fn is_useful(device: &Device) -> bool {
        const PREFIXES: [&str; 3] = ["sysdefault:", "plughw:", "hw:"];
        const PLUG_INS: [&str; 7] = ["null", "lavrate", "samplerate", "speexrate", "speex", "upmix", "vdownmix"];
        device.id().is_ok_and(|id| {
            let name = id.id();
            let plain = !name.contains(':') && !PLUG_INS.contains(&name) && !matches!(name, "jack" | "oss");
            plain || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        })
    }

    /// Keeps ALSA's complaints off stderr on this thread, for as long as the result lives.
    pub fn quiet_alsa() -> impl Sized {
        alsa::Output::local_error_handler().ok()
    }
}

#[cfg(not(target_os = "linux"))]
use other as linux;
#[cfg(not(target_os = "linux"))]
pub use other::{is_useful, quiet_alsa};

#[cfg(not(target_os = "linux"))]
mod other {
    use cpal::Device;
    use cpal::traits::HostTrait;

    use super::{AudioError, Which};

    pub use cpal::Host;

    pub fn connect(_only_one: Which) -> Result<(Host, Vec<Device>), AudioError> {
        let host = cpal::default_host();
        let devices: Vec<Device> = host.devices().map_err(|_| AudioError::NoSoundSystem)?.collect();
        if devices.is_empty() { Err(AudioError::NoSoundSystem) } else { Ok((host, devices)) }
    }

    pub fn is_server(_host: &Host) -> bool {
        false
    }

    pub fn is_useful(_device: &Device) -> bool {
        true
    }

    /// There is no ALSA here.
    pub fn quiet_alsa() {}
}
