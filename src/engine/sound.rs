//! The sound of this process's calls: one voice thread, one microphone, one speaker, however many peers.

use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::desk::DeskInput;
use super::voice_thread::{Microphone, Peer, PeerKey, Speaker, VoiceCommand, VoiceNews, VoiceThread};
use super::{AudioOptions, Failure, FailureKind, FrameLength, Retry, Toggle};
use crate::audio::{self, Gate, SinkSpec, SourceSpec, Wake, open_input, open_output};
use crate::base::SAMPLE_RATE_HZ;
use crate::voice::{Encoder, EncoderSettings, Ptime, Resampler};

/// Runs from the first call's dial or answer to the last call's end.
pub(super) struct Sound {
    voice: VoiceThread,
    microphone: Option<Gate>,
    speaker: Option<Gate>,
    /// When the gates were opened, if they were.
    connected_at: Option<Instant>,
}

pub(super) enum SoundNews {
    Microphone(Result<Box<Microphone>, Failure>),
    Speaker(Result<Box<Speaker>, Failure>),
}

impl Sound {
    /// Starts the voice thread and begins to open the devices; they report to the desk.
    pub fn start(
        options: &AudioOptions,
        muted: bool,
        deafened: bool,
        news: mpsc::Sender<VoiceNews>,
        desk: mpsc::Sender<DeskInput>,
    ) -> Result<Self, Failure> {
        let encoder = Encoder::new(encoder_settings(options)).map_err(internal)?;
        let voice = VoiceThread::spawn(encoder, news).map_err(internal)?;
        voice.send(VoiceCommand::SetMuted(muted));
        voice.send(VoiceCommand::SetDeafened(deafened));
        let (mic, frames, wake, to_desk) = (options.mic.clone(), options.device_frames, voice.wake(), desk.clone());
        spawn_blocking(move || {
            let opened = open_microphone(&mic, frames, wake);
            let _ = to_desk.blocking_send(DeskInput::Sound(SoundNews::Microphone(opened)));
        });
        let (sink, frames, wake) = (options.speaker.clone(), options.device_frames, voice.wake());
        spawn_blocking(move || {
            let opened = open_speaker(&sink, frames, wake);
            let _ = desk.blocking_send(DeskInput::Sound(SoundNews::Speaker(opened)));
        });
        Ok(Self { voice, microphone: None, speaker: None, connected_at: None })
    }

    /// A device has opened; a file that opened late joins a call that is already running.
    pub fn install_microphone(&mut self, microphone: Box<Microphone>) {
        let gate = microphone.input.stream.gate().clone();
        if let Some(at) = self.connected_at {
            gate.open(at);
        }
        self.microphone = Some(gate);
        self.voice.send(VoiceCommand::SetMicrophone(Some(microphone)));
    }

    pub fn install_speaker(&mut self, speaker: Box<Speaker>) {
        let gate = speaker.output.stream.gate().clone();
        if let Some(at) = self.connected_at {
            gate.open(at);
        }
        self.speaker = Some(gate);
        self.voice.send(VoiceCommand::SetSpeaker(Some(speaker)));
    }

    pub fn add_peer(&self, peer: Box<Peer>) {
        self.voice.send(VoiceCommand::AddPeer(peer));
    }

    pub fn remove_peer(&self, key: PeerKey) {
        self.voice.send(VoiceCommand::RemovePeer(key));
    }

    pub fn set_muted(&self, muted: bool) {
        self.voice.send(VoiceCommand::SetMuted(muted));
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
pub(super) fn preflight(options: &AudioOptions) -> Result<(), Failure> {
    let wanted_mic = match &options.mic {
        SourceSpec::File { path, .. } => {
            audio::read_wav(path).map_err(|why| device_failure(&why))?;
            None
        }
        SourceSpec::Device(id) => Some(id),
        SourceSpec::Default | SourceSpec::Tone { .. } | SourceSpec::Silence => None,
    };
    let wanted_speaker = match &options.speaker {
        SinkSpec::Device(id) => Some(id),
        SinkSpec::Default | SinkSpec::File(_) | SinkSpec::Null => None,
    };
    if wanted_mic.is_none() && wanted_speaker.is_none() {
        return Ok(());
    }
    let known = audio::devices().map_err(|why| device_failure(&why))?;
    for id in [wanted_mic, wanted_speaker].into_iter().flatten() {
        if !known.iter().any(|device| &device.id == id) {
            return Err(Failure {
                kind: FailureKind::Device,
                retry: Retry::AfterUserAction,
                detail: format!("there is no sound device \"{id}\"; `twocans devices` lists what there is"),
            });
        }
    }
    Ok(())
}

pub(super) fn device_failure(why: &impl std::fmt::Display) -> Failure {
    Failure { kind: FailureKind::Device, retry: Retry::AfterUserAction, detail: why.to_string() }
}

/// What the options ask for; the rest are the values at which speech of one voice sounds best (media.md).
fn encoder_settings(options: &AudioOptions) -> EncoderSettings {
    let ptime = match options.frame {
        FrameLength::Auto => Ptime::Ms20,
        FrameLength::Ms(ms) => Ptime::from_ms(ms).unwrap_or(Ptime::Ms20),
    };
    EncoderSettings {
        bitrate_bps: options.bitrate_bps,
        ptime,
        fec: options.fec == Toggle::Auto,
        ..EncoderSettings::default()
    }
}

fn open_microphone(source: &SourceSpec, frames: u32, wake: Wake) -> Result<Box<Microphone>, Failure> {
    let input = open_input(source, frames, wake).map_err(|why| device_failure(&why))?;
    let resampler = Resampler::new(input.rate_hz, SAMPLE_RATE_HZ).map_err(|why| device_failure(&why))?;
    Ok(Box::new(Microphone { input, resampler }))
}

fn open_speaker(sink: &SinkSpec, frames: u32, wake: Wake) -> Result<Box<Speaker>, Failure> {
    let output = open_output(sink, frames, wake).map_err(|why| device_failure(&why))?;
    let resampler = Resampler::new(SAMPLE_RATE_HZ, output.rate_hz).map_err(|why| device_failure(&why))?;
    Ok(Box::new(Speaker { output, resampler }))
}

fn internal(why: impl std::fmt::Display) -> Failure {
    Failure { kind: FailureKind::Internal, retry: Retry::Later, detail: why.to_string() }
}
