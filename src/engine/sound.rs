//! The sound of this process's calls, or of trying it: one voice thread, one microphone, one speaker, however many peers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::desk::DeskInput;
use super::voice_thread::{
    EchoLine, Encoders, Microphone, Outlet, Peer, PeerKey, Speaker, Transmit, VoiceCommand, VoiceNews, VoiceThread,
};
use super::{
    AudioOptions, Event, Failure, FailureKind, FrameLength, Levels, NoiseSuppression, Redundancy, Retry, Toggle, Volume,
};
use crate::audio::{
    self, AudioRole, Change, Gate, Input, Output, SinkSpec, SourceSpec, Stream, Wake, Watch, WatchNews, WatchOptions,
    open_input, open_output,
};
use crate::base::{SAMPLE_RATE_HZ, SeqNo};
use crate::link::Link;
use crate::voice::{Apm, ApmSettings, EncoderSettings, Noise, Protection, Ptime, Resampler, ResilienceSettings};

/// Tells the news of one [`Sound`] from those of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SoundId(pub u64);

/// What a sound stands in.
pub(super) struct Surroundings {
    pub id: SoundId,
    pub levels: Arc<Levels>,
    pub news: mpsc::Sender<VoiceNews>,
    pub desk: mpsc::Sender<DeskInput>,
    /// Cancelled once an earlier sound has let go of the devices: some can be open only once.
    pub after: CancellationToken,
    /// Of our packets, on every link.
    pub first_seq: SeqNo,
}

/// A sound system that does not let go in that time is not waited for.
const LET_GO: Duration = Duration::from_secs(1);

/// Runs from the first call's dial or answer to the last call's end, or while it is tried.
pub(super) struct Sound {
    id: SoundId,
    first_seq: SeqNo,
    voice: VoiceThread,
    options: AudioOptions,
    microphone: Option<Gate>,
    speaker: Option<Gate>,
    /// When the gates were opened, if they were.
    connected_at: Option<Instant>,
    devices: Devices,
    desk: mpsc::Sender<DeskInput>,
}

/// Who keeps the devices open.
enum Devices {
    /// They open, each at its own pace.
    Opening { microphone: Option<Stream>, speaker: Option<Stream> },
    /// Files and other fakes go on for ever.
    Fakes { _microphone: Stream, _speaker: Stream },
    /// Real ones may be unplugged: the watch replaces them.
    Watched { watch: Watch },
}

pub(super) enum SoundNews {
    Microphone(Result<Box<Input>, Failure>),
    Speaker(Result<Box<Output>, Failure>),
    Watch(Box<WatchNews>),
}

impl Sound {
    /// Starts the voice thread and begins to open the devices; they report to the desk.
    pub fn start(
        options: &AudioOptions,
        microphone: (bool, Transmit),
        deafened: bool,
        surroundings: Surroundings,
    ) -> Result<Self, Failure> {
        let Surroundings { id, levels, news, desk, after, first_seq } = surroundings;
        let encoders = Encoders::new(encoder_settings(options)).map_err(internal)?;
        let voice = VoiceThread::spawn(encoders, levels, news).map_err(internal)?;
        voice.send(VoiceCommand::SetApm(Box::new(Apm::new(apm_settings(options)))));
        if options.echo {
            voice.send(VoiceCommand::Echo(Box::new(EchoLine::new())));
        }
        voice.send(VoiceCommand::SetMuted(microphone.0));
        voice.send(VoiceCommand::SetTransmit(microphone.1));
        voice.send(VoiceCommand::SetDeafened(deafened));
        let open = |open: fn(&AudioOptions, Wake) -> SoundNews| {
            let (options, wake, desk, after) = (options.clone(), voice.wake(), desk.clone(), after.clone());
            tokio::spawn(async move {
                if timeout(LET_GO, after.cancelled()).await.is_err() {
                    tracing::warn!("the sound system has not closed the devices yet");
                }
                spawn_blocking(move || {
                    let news = open(&options, wake);
                    // A desk that has gone needs no news any more.
                    drop(desk.blocking_send(DeskInput::Sound { of: id, news }));
                });
            });
        };
        open(|options, wake| {
            let opened = open_input(&options.mic, options.device_frames, wake);
            SoundNews::Microphone(opened.map(Box::new).map_err(|why| device_failure(&why)))
        });
        open(|options, wake| {
            let opened = open_output(&options.speaker, options.device_frames, wake);
            SoundNews::Speaker(opened.map(Box::new).map_err(|why| device_failure(&why)))
        });
        let devices = Devices::Opening { microphone: None, speaker: None };
        let (microphone, speaker, connected_at, options) = (None, None, None, options.clone());
        Ok(Self { id, first_seq, voice, options, microphone, speaker, connected_at, devices, desk })
    }

    /// A device has opened, or another one took its place; a file that opened late joins a call that is already running.
    /// What people are to be told of it.
    pub fn handle(&mut self, news: SoundNews) -> Result<Option<Event>, Failure> {
        match news {
            SoundNews::Microphone(input) => {
                let Input { samples, rate_hz, stream } = *input?;
                self.install_microphone(samples, rate_hz, stream.gate().clone())?;
                self.opened(AudioRole::Microphone, stream)?;
                Ok(None)
            }
            SoundNews::Speaker(output) => {
                let Output { samples, rate_hz, stream } = *output?;
                let (health, gate) = (stream.health().clone(), stream.gate().clone());
                self.install_speaker(samples, rate_hz, health, gate)?;
                self.opened(AudioRole::Speaker, stream)?;
                Ok(None)
            }
            SoundNews::Watch(news) => match *news {
                WatchNews::Changed(change) => self.changed(change).map(Some),
                // Everything stays as it was.
                WatchNews::Refused { error, .. } => Ok(Some(Event::Failed(device_failure(&error)))),
            },
        }
    }

    fn changed(&mut self, change: Change) -> Result<Event, Failure> {
        match change.sound {
            audio::Sound::Captured { samples, rate_hz, gate, .. } => {
                self.install_microphone(samples, rate_hz, gate)?;
            }
            audio::Sound::Played { samples, rate_hz, health, gate } => {
                self.install_speaker(samples, rate_hz, health, gate)?;
            }
        }
        let stand_in = match change.role {
            AudioRole::Microphone => "silence",
            AudioRole::Speaker | AudioRole::Ring => "null",
        };
        let to = change.to.unwrap_or_else(|| stand_in.to_owned());
        Ok(Event::DeviceChanged { role: change.role, from: change.from, to, gap: change.gap })
    }

    fn install_microphone(&mut self, samples: rtrb::Consumer<f32>, rate_hz: u32, gate: Gate) -> Result<(), Failure> {
        let resampler = Resampler::new(rate_hz, SAMPLE_RATE_HZ).map_err(|why| device_failure(&why))?;
        if let Some(at) = self.connected_at {
            gate.open(at);
        }
        self.microphone = Some(gate);
        self.voice.send(VoiceCommand::SetMicrophone(Some(Box::new(Microphone::new(samples, resampler)))));
        Ok(())
    }

    fn install_speaker(
        &mut self,
        samples: rtrb::Producer<f32>,
        rate_hz: u32,
        health: Arc<audio::StreamHealth>,
        gate: Gate,
    ) -> Result<(), Failure> {
        let resampler = Resampler::new(SAMPLE_RATE_HZ, rate_hz).map_err(|why| device_failure(&why))?;
        if let Some(at) = self.connected_at {
            gate.open(at);
        }
        self.speaker = Some(gate);
        self.voice.send(VoiceCommand::SetSpeaker(Some(Box::new(Speaker::new(samples, rate_hz, health, resampler)))));
        Ok(())
    }

    /// Once both streams are open and one of them is a device, they are watched.
    fn opened(&mut self, role: AudioRole, stream: Stream) -> Result<(), Failure> {
        let Devices::Opening { microphone, speaker } = &mut self.devices else { return Ok(()) };
        match role {
            AudioRole::Microphone => *microphone = Some(stream),
            AudioRole::Speaker | AudioRole::Ring => *speaker = Some(stream),
        }
        let (Some(_), Some(_)) = (&microphone, &speaker) else { return Ok(()) };
        let (Some(microphone), Some(speaker)) = (microphone.take(), speaker.take()) else { return Ok(()) };
        if microphone.device_id().is_none() && speaker.device_id().is_none() {
            self.devices = Devices::Fakes { _microphone: microphone, _speaker: speaker };
            return Ok(());
        }
        let options = WatchOptions {
            microphone: (self.options.mic.clone(), microphone),
            speaker: (self.options.speaker.clone(), speaker),
            frames: self.options.device_frames,
            wake: self.voice.wake(),
        };
        let (of, desk) = (self.id, self.desk.clone());
        let tell = move |news| {
            let news = SoundNews::Watch(Box::new(news));
            // A desk that has gone needs no news any more.
            drop(desk.blocking_send(DeskInput::Sound { of, news }));
        };
        let watch = Watch::start(options, tell).map_err(|why| device_failure(&why))?;
        self.devices = Devices::Watched { watch };
        Ok(())
    }

    /// Other devices, or another treatment of their sound, are wished for. Files and their like stay until the next call.
    pub fn follow(&mut self, options: &AudioOptions) {
        if apm_settings(options) != apm_settings(&self.options) {
            self.voice.send(VoiceCommand::SetApm(Box::new(Apm::new(apm_settings(options)))));
        }
        if let Devices::Watched { watch } = &self.devices {
            if options.mic != self.options.mic {
                watch.switch_microphone(options.mic.clone());
            }
            if options.speaker != self.options.speaker {
                watch.switch_speaker(options.speaker.clone());
            }
        }
        self.options = options.clone();
    }

    pub fn is(&self, id: SoundId) -> bool {
        self.id == id
    }

    /// Both devices are open.
    pub fn is_open(&self) -> bool {
        match self.devices {
            Devices::Opening { .. } => false,
            Devices::Fakes { .. } | Devices::Watched { .. } => true,
        }
    }

    /// The microphone is heard in the speaker, a second later.
    pub fn play_back(&self) {
        self.voice.send(VoiceCommand::PlayBack(Box::new(EchoLine::new())));
    }

    pub fn add_peer(&self, peer: Box<Peer>) {
        self.voice.send(VoiceCommand::AddPeer(peer));
    }

    /// The way to this person from now on.
    pub fn set_outlet(&self, key: PeerKey, way: Option<(Link, Protection)>) {
        let outlet = way.map(|(link, protection)| Box::new(Outlet::new(link, self.first_seq, protection)));
        self.voice.send(VoiceCommand::SetOutlet(key, outlet));
    }

    /// Whether anything is sent to this person.
    pub fn set_listens(&self, key: PeerKey, listens: bool) {
        self.voice.send(VoiceCommand::SetListens(key, listens));
    }

    pub fn set_silenced(&self, key: PeerKey, silenced: bool) {
        self.voice.send(VoiceCommand::SetSilenced(key, silenced));
    }

    pub fn remove_peer(&self, key: PeerKey) {
        self.voice.send(VoiceCommand::RemovePeer(key));
    }

    pub fn protect(&self, key: PeerKey, protection: Protection) {
        self.voice.send(VoiceCommand::Protect(key, protection));
    }

    pub fn set_volume(&self, key: PeerKey, volume: Volume) {
        self.voice.send(VoiceCommand::SetVolume(key, volume.gain()));
    }

    pub fn set_on_hold(&self, key: PeerKey, on_hold: bool) {
        self.voice.send(VoiceCommand::SetOnHold(key, on_hold));
    }

    pub fn set_microphone(&self, (muted, transmit): (bool, Transmit)) {
        self.voice.send(VoiceCommand::SetMuted(muted));
        self.voice.send(VoiceCommand::SetTransmit(transmit));
    }

    pub fn set_deafened(&self, deafened: bool) {
        self.voice.send(VoiceCommand::SetDeafened(deafened));
    }

    /// The first call of this sound is connected at `now`: files begin. `mic_t0` is when this process's microphone
    /// file began in an earlier call; a tape that runs does not start again. Returns when it began.
    pub fn connected(&mut self, mic_t0: Option<Instant>, now: Instant) -> Option<Instant> {
        if self.connected_at.is_none() {
            self.connected_at = Some(now);
            if let Some(speaker) = &self.speaker {
                speaker.open(now);
            }
        }
        self.microphone.as_ref().map(|gate| gate.open(mic_t0.unwrap_or(now)))
    }

    /// Completes the recording and closes the devices. Blocks while the sound system lets go of them.
    pub fn close(self) {
        if let Some(speaker) = &self.speaker {
            speaker.close();
        }
    }
}

/// Refuses what can be known to be wrong before anybody is called: a file that is no WAV, a device that is not there.
/// Whether there is a default device matters only once somebody talks: it may be plugged in until then.
pub(super) fn preflight(options: &AudioOptions) -> Result<(), Failure> {
    if options.mic != SourceSpec::Default {
        audio::check_source(&options.mic).map_err(|why| device_failure(&why))?;
    }
    if options.speaker != SinkSpec::Default {
        audio::check_sink(&options.speaker).map_err(|why| device_failure(&why))?;
    }
    Ok(())
}

pub(super) fn device_failure(why: &impl std::fmt::Display) -> Failure {
    Failure { kind: FailureKind::Device, retry: Retry::AfterUserAction, detail: why.to_string() }
}

/// What may be done about loss.
pub(super) fn resilience_settings(options: &AudioOptions) -> ResilienceSettings {
    let copies = match options.redundancy {
        Redundancy::Auto => None,
        Redundancy::Off => Some(0),
        Redundancy::Copies(copies) => Some(copies),
    };
    ResilienceSettings {
        ptime: ptime(options),
        bitrate_bps: options.bitrate_bps,
        copies,
        fec: options.fec == Toggle::Auto,
    }
}

/// What the options ask for; the rest are the values at which speech of one voice sounds best (media.md).
fn encoder_settings(options: &AudioOptions) -> EncoderSettings {
    let ptime = ptime(options).unwrap_or(Ptime::Ms10);
    EncoderSettings {
        bitrate_bps: options.bitrate_bps,
        ptime,
        fec: false,
        dred_ms: options.dred_ms,
        ..EncoderSettings::default()
    }
}

/// `None`: as the path has it.
fn ptime(options: &AudioOptions) -> Option<Ptime> {
    match options.frame {
        FrameLength::Auto => None,
        FrameLength::Ms(ms) => Ptime::from_ms(ms),
    }
}

/// Processing is for microphones: files, tones and silence go as they are. A stand-in that takes an unplugged
/// microphone's place in the middle of a call is processed like it. Nor does it suit packets of 5 ms, which are for who
/// wants the least delay of all and wears a headset.
fn apm_settings(options: &AudioOptions) -> ApmSettings {
    if options.frame == FrameLength::Ms(5) {
        return ApmSettings::OFF;
    }
    match options.mic {
        SourceSpec::Default | SourceSpec::Device(_) => ApmSettings {
            echo_cancellation: options.echo_cancellation,
            noise: match options.noise_suppression {
                NoiseSuppression::Off => Noise::Off,
                NoiseSuppression::Standard => Noise::Standard,
                NoiseSuppression::Strong => Noise::Strong,
            },
            gain_control: options.gain_control,
        },
        SourceSpec::File { .. } | SourceSpec::Tone { .. } | SourceSpec::Silence => ApmSettings::OFF,
    }
}

fn internal(why: impl std::fmt::Display) -> Failure {
    Failure { kind: FailureKind::Internal, retry: Retry::Later, detail: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microphones_are_processed_and_nothing_else() {
        let with = |mic: &str| AudioOptions { mic: mic.parse().unwrap(), ..AudioOptions::default() };
        let usual = ApmSettings { gain_control: false, ..ApmSettings::default() };
        assert_eq!(apm_settings(&with("default")), usual);
        assert_eq!(apm_settings(&with("pulse:desk")), usual);
        for fake in ["file:a.wav", "file:a.wav,loop", "tone:440", "silence"] {
            assert_eq!(apm_settings(&with(fake)), ApmSettings::OFF, "{fake}");
        }
        let off = AudioOptions {
            echo_cancellation: false,
            noise_suppression: NoiseSuppression::Off,
            gain_control: false,
            ..AudioOptions::default()
        };
        assert_eq!(apm_settings(&off), ApmSettings::OFF);
        let strong = AudioOptions { noise_suppression: NoiseSuppression::Strong, ..off };
        assert_eq!(apm_settings(&strong), ApmSettings { noise: Noise::Strong, ..ApmSettings::OFF });
    }
}
