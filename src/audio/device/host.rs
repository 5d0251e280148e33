//! The sound system of this machine.

use super::super::{AudioError, AudioRole};
use cpal::Device;
use cpal::traits::{DeviceTrait, HostTrait};

/// Which sound system, where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// A server if one answers, else the cards.
    Best,
    Server,
    Cards,
}

/// Ids of cards, in contrast to a server's devices.
pub const CARD_PREFIX: &str = "alsa:";

/// A connection to a sound system that answers, and its devices.
pub struct System {
    connection: Connection,
    devices: Vec<Device>,
}

/// Ids named in an error; the rest is what `twocans devices` is for.
const MAX_KNOWN: usize = 6;

impl System {
    pub fn connect(which: Which) -> Result<Self, AudioError> {
        let (connection, devices) = system::connect(which)?;
        Ok(Self { connection, devices })
    }

    /// The one that a device belongs to: a card can be used although a server runs.
    pub fn of(id: Option<&str>) -> Result<Self, AudioError> {
        let is_card = id.is_some_and(|id| id.starts_with(CARD_PREFIX));
        Self::connect(if is_card { Which::Cards } else { Which::Best })
    }

    /// Keeps the connection for a stream on one of its devices.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    /// Whether a sound server stands before the devices.
    pub fn is_served(&self) -> bool {
        self.connection.is_to_server()
    }

    pub fn devices(&self, role: AudioRole) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(move |device| serves(device, role))
    }

    /// A loopback of the very speaker that we play to is no microphone, although servers without one offer it: the
    /// others would hear themselves.
    pub fn default_device(&self, role: AudioRole) -> Option<Device> {
        match role {
            AudioRole::Microphone => {
                let microphone = self.connection.host().default_input_device()?;
                let speaker = self.connection.host().default_output_device().and_then(|speaker| speaker.id().ok());
                let own_echo = speaker.map(|speaker| format!("{speaker}{MONITOR_SUFFIX}"));
                let id = microphone.id().ok()?.to_string();
                (own_echo.as_ref() != Some(&id)).then_some(microphone)
            }
            AudioRole::Speaker | AudioRole::Ring => self.connection.host().default_output_device(),
        }
    }

    /// The default device, or one by its id, or by what people type: the id without its system, or the name.
    pub fn find(&self, role: AudioRole, wanted: Option<&str>) -> Result<Device, AudioError> {
        let Some(wanted) = wanted else {
            return self.default_device(role).ok_or(AudioError::NoDevice(role));
        };
        let by = |matches: &dyn Fn(&Device) -> bool| self.devices(role).find(|device| matches(device)).cloned();
        by(&|device| device.id().is_ok_and(|id| id.to_string() == wanted))
            .or_else(|| by(&|device| device.id().is_ok_and(|id| id.id() == wanted)))
            .or_else(|| by(&|device| device.description().is_ok_and(|text| text.name() == wanted)))
            .ok_or_else(|| AudioError::UnknownDevice { id: wanted.to_owned(), role, known: self.known(role) })
    }

    fn known(&self, role: AudioRole) -> Vec<String> {
        let ids = self.devices(role).filter(|device| is_useful(device)).filter_map(|device| device.id().ok());
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
use linux as system;
#[cfg(not(target_os = "linux"))]
use other as system;
pub use system::{Connection, is_useful, quiet_alsa};

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::{Mutex, PoisonError};

    use cpal::traits::{DeviceTrait, HostTrait};
    use cpal::{Device, HostId};

    use super::{AudioError, Which};

    /// A connection of one's own, for a listing or for the life of one stream.
    ///
    /// PulseAudio takes two playback streams of one connection for synchronised ones (cpal gives both the sync id 0) and
    /// refuses the second. And cpal's client leaves a thread and a socket behind for each connection that is dropped. So
    /// every stream has a connection to itself, and afterwards that is kept for the next one.
    pub struct Connection(Option<cpal::Host>);

    /// Connections to a server that nobody uses now: at most as many as streams were open at once.
    static IDLE: Mutex<Vec<cpal::Host>> = Mutex::new(Vec::new());

    impl Connection {
        pub fn host(&self) -> &cpal::Host {
            self.0.as_ref().expect("a connection has its host until it is dropped")
        }

        pub fn is_to_server(&self) -> bool {
            self.host().id() == HostId::PulseAudio
        }
    }

    impl Drop for Connection {
        fn drop(&mut self) {
            if let Some(host) = self.0.take()
                && host.id() == HostId::PulseAudio
            {
                IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(host);
            }
        }
    }

    /// ALSA is not touched while a server answers: it would only show the server's devices again, under other names.
    pub fn connect(which: Which) -> Result<(Connection, Vec<Device>), AudioError> {
        let served = if which == Which::Cards { None } else { pulse() };
        match served {
            Some(found) => Ok(found),
            None if which == Which::Server => Err(AudioError::NoSoundSystem),
            None => cards(),
        }
    }

    fn pulse() -> Option<(Connection, Vec<Device>)> {
        // Never locked while waiting for an answer: the server may be stuck.
        let idle = || IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        while let Some(host) = idle() {
            // One that a server of former times left behind answers nothing; its thread has ended.
            if let Ok(devices) = host.devices() {
                return Some((Connection(Some(host)), devices.collect()));
            }
        }
        let host = cpal::host_from_id(HostId::PulseAudio).ok()?;
        let devices = host.devices().ok()?.collect();
        Some((Connection(Some(host)), devices))
    }

    fn cards() -> Result<(Connection, Vec<Device>), AudioError> {
        let host = cpal::host_from_id(HostId::Alsa).map_err(|_| AudioError::NoSoundSystem)?;
        let devices: Vec<Device> = host.devices().map_err(|_| AudioError::NoSoundSystem)?.collect();
        let usable = devices.iter().any(is_useful);
        if usable { Ok((Connection(Some(host)), devices)) } else { Err(AudioError::NoSoundSystem) }
    }

    /// ALSA lists every plug-in under every name; what is left here are the ones that convert rates and formats, which
    /// any card can be used through, and the cards' own ends.
    pub fn is_useful(device: &Device) -> bool {
        const PREFIXES: [&str; 3] = ["sysdefault:", "plughw:", "hw:"];
        const PLUG_INS: [&str; 9] =
            ["null", "lavrate", "samplerate", "speexrate", "speex", "upmix", "vdownmix", "jack", "oss"];
        device.id().is_ok_and(|id| {
            let plain = !id.id().contains(':') && !PLUG_INS.contains(&id.id());
            id.host() != HostId::Alsa || plain || PREFIXES.iter().any(|prefix| id.id().starts_with(prefix))
        })
    }

    /// Keeps ALSA's complaints off stderr on this thread, for as long as the result lives.
    pub fn quiet_alsa() -> impl Sized {
        alsa::Output::local_error_handler().ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use cpal::Device;
    use cpal::traits::HostTrait;

    use super::{AudioError, Which};

    pub struct Connection(cpal::Host);

    impl Connection {
        pub fn host(&self) -> &cpal::Host {
            &self.0
        }

        pub fn is_to_server(&self) -> bool {
            false
        }
    }

    pub fn connect(_only_one: Which) -> Result<(Connection, Vec<Device>), AudioError> {
        let host = cpal::default_host();
        let devices: Vec<Device> = host.devices().map_err(|_| AudioError::NoSoundSystem)?.collect();
        if devices.is_empty() { Err(AudioError::NoSoundSystem) } else { Ok((Connection(host), devices)) }
    }

    pub fn is_useful(_device: &Device) -> bool {
        true
    }

    /// There is no ALSA here.
    pub fn quiet_alsa() {}
}
