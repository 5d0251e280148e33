//! The `voice` thread: microphone to links, links to speaker.
//!
//! It sleeps until a device callback unparks it, never by a timer of its own (the park timeout only bounds how long a
//! command waits while no device runs). The microphone's ring is drained in 10 ms frames, encoded once for all peers.
//! Playout has one clock, the speaker: whenever its ring runs low another frame is mixed from the peers' jitter buffers.
//! Everything that allocates (decoders, rings, resamplers, the audio processing) is made by the engine and handed over; what is no longer
//! needed travels back, so that nothing is freed here either.

mod echo;
mod encoders;
mod ends;
mod played;

use std::sync::Arc;
use std::sync::mpsc::{Receiver as CommandReceiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{Levels, MeterId};
use crate::audio::Wake;
use crate::base::{FRAME_SAMPLES, Frame, IncomingPacket, PayloadKind, SeqNo};
use crate::link::Link;
use crate::voice::{
    Apm, EncodedFrame, Fader, LevelMeter, Mixer, MutedTalk, Operation, Packetizer, Protection, Receiver, ReceiverStats,
    RedDistances, TalkGate, VoiceActivity,
};

pub(super) use self::echo::EchoLine;
pub(super) use self::encoders::Encoders;
pub(super) use self::ends::{Microphone, Speaker};

/// Commands waiting for the thread; the engine sends a handful per call.
const COMMAND_QUEUE: usize = 64;
/// Longest sleep while no device calls.
const PARK: Duration = Duration::from_millis(50);
/// How often each peer's figures are reported.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// What is played at a time: 2 ms. Shorter steps leave less waiting in the speaker's ring.
const PLAYOUT_STEP: usize = FRAME_SAMPLES / 5;
/// As our descriptions have it, for as long as the link does not say which it is.
const OPUS_PAYLOAD_TYPE: u8 = 111;
/// Most steps made in one go; an idle ring is refilled over several wake-ups rather than in one burst.
const MAX_STEPS_PER_WAKE: usize = 60;

/// More than ever take part.
const MAX_PEERS: usize = 32;

/// Names a peer inside the voice thread; chosen by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PeerKey(pub u64);

/// Everything the thread needs to talk with one person.
pub(super) struct Peer {
    pub key: PeerKey,
    incoming: rtrb::Consumer<IncomingPacket>,
    receiver: Receiver,
    outlet: Option<Box<Outlet>>,
    /// What this peer adds to the mix, and how loud.
    step: [f32; PLAYOUT_STEP],
    fader: Fader,
    /// What the samples are multiplied by while nobody holds the call.
    gain: f32,
    /// Neither hears the other.
    on_hold: bool,
    /// Not played, though neither side holds the call.
    silenced: bool,
    heard: bool,
}

/// The way to one person.
pub(super) struct Outlet {
    link: Link,
    packetizer: Packetizer,
    protection: Protection,
    /// Below the floor of what all others get.
    is_poor: bool,
    /// False: nothing is sent; somebody passes it on, or there is nobody to hear it.
    pub listens: bool,
}

impl Outlet {
    /// `first_seq` as [`Packetizer::new`]'s: the same for all.
    pub fn new(link: Link, first_seq: SeqNo, protection: Protection) -> Self {
        Self { link, packetizer: Packetizer::new(first_seq), protection, is_poor: false, listens: true }
    }
}

impl Peer {
    pub fn new(key: PeerKey, incoming: rtrb::Consumer<IncomingPacket>, receiver: Receiver, gain: f32) -> Self {
        let step = [0.0; PLAYOUT_STEP];
        let fader = Fader::new(gain);
        let (on_hold, silenced, heard) = (false, false, false);
        Self { key, incoming, receiver, outlet: None, step, fader, gain, on_hold, silenced, heard }
    }

    pub fn set_on_hold(&mut self, on_hold: bool) {
        self.on_hold = on_hold;
        self.fade();
    }

    pub fn set_silenced(&mut self, silenced: bool) {
        self.silenced = silenced;
        self.fade();
    }

    fn set_gain(&mut self, gain: f32) {
        self.gain = gain;
        self.fade();
    }

    fn fade(&mut self) {
        self.fader.fade_to(if self.on_hold || self.silenced { 0.0 } else { self.gain });
    }
}

pub(super) enum VoiceCommand {
    SetMicrophone(Option<Box<Microphone>>),
    SetSpeaker(Option<Box<Speaker>>),
    AddPeer(Box<Peer>),
    RemovePeer(PeerKey),
    /// Another way to this person, or none for now. What is first heard afterwards is told anew.
    SetOutlet(PeerKey, Option<Box<Outlet>>),
    SetListens(PeerKey, bool),
    SetSilenced(PeerKey, bool),
    /// What to do about this peer's loss from now on.
    Protect(PeerKey, Protection),
    /// What this peer's samples are multiplied by from now on.
    SetVolume(PeerKey, f32),
    /// From now on neither hears the other, or both do again.
    SetOnHold(PeerKey, bool),
    /// What happens to the microphone's sound from now on.
    SetApm(Box<Apm>),
    SetMuted(bool),
    SetTransmit(Transmit),
    /// From now on what is heard is said, a second later, instead of the microphone's sound.
    Echo(Box<EchoLine>),
    /// From now on the microphone's sound is played, too, a second later.
    PlayBack(Box<EchoLine>),
    SetDeafened(bool),
}

/// When the microphone is sent, unless it is muted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transmit {
    Always,
    /// While somebody speaks.
    OnVoice,
    /// While the key is down, and to the end of the word.
    OnKey {
        down: bool,
    },
}

pub(super) enum VoiceNews {
    /// The first decoded frame of this peer was put into the speaker's ring.
    FirstAudio {
        key: PeerKey,
        at: Instant,
    },
    /// Somebody talks into a muted microphone.
    TalkingWhileMuted,
    Report {
        key: PeerKey,
        report: VoiceReport,
    },
    /// Handed back to be dropped elsewhere.
    Retired(#[expect(dead_code, reason = "carried only to be dropped by the receiver")] Retired),
}

#[expect(dead_code, reason = "carried only to be dropped by the receiver")]
pub(super) enum Retired {
    Peer(Box<Peer>),
    Outlet(Box<Outlet>),
    Microphone(Box<Microphone>),
    Speaker(Box<Speaker>),
    Apm(Box<Apm>),
}

/// One second of one peer, as the voice thread sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct VoiceReport {
    pub stats: ReceiverStats,
    pub ptime_ms: u32,
    /// Delay of the coded signal behind the microphone, beside the packet's length.
    pub lookahead_ms: f32,
    /// Copies of earlier packets in each packet that we send.
    pub red: u8,
    pub fec: bool,
    pub dred_ms: u32,
    /// Sound waiting between the mixer and the loudspeaker, milliseconds.
    pub speaker_delay_ms: f32,
    pub mic_dbfs: f32,
    pub speaker_dbfs: f32,
}

/// Handle to the running thread.
pub(super) struct VoiceThread {
    commands: Option<SyncSender<VoiceCommand>>,
    thread: Option<JoinHandle<()>>,
    wake: Wake,
}

impl VoiceThread {
    /// `levels` follow what is heard and said.
    pub fn spawn(encoders: Encoders, levels: Arc<Levels>, news: mpsc::Sender<VoiceNews>) -> std::io::Result<Self> {
        let (commands, queue) = sync_channel(COMMAND_QUEUE);
        let thread = std::thread::Builder::new().name("voice".into()).spawn(move || {
            raise_priority();
            VoiceLoop::new(encoders, levels, queue, news).run();
        })?;
        let wake = Wake::thread(thread.thread().clone());
        Ok(Self { commands: Some(commands), thread: Some(thread), wake })
    }

    /// What device callbacks call when they have moved samples.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Never blocks; `false` when the thread is 64 commands behind, which only a dead thread is.
    pub fn send(&self, command: VoiceCommand) -> bool {
        let sent = self.commands.as_ref().is_some_and(|queue| queue.try_send(command).is_ok());
        self.wake.wake();
        sent
    }
}

/// The thread ends when its command queue closes; at most one frame of work is left then.
impl Drop for VoiceThread {
    fn drop(&mut self) {
        drop(self.commands.take());
        self.wake.wake();
        if let Some(thread) = self.thread.take() {
            // A panic in there has been reported by the panic hook; nothing more can be done with it here.
            let _ = thread.join();
        }
    }
}

struct VoiceLoop {
    queue: CommandReceiver<VoiceCommand>,
    news: mpsc::Sender<VoiceNews>,
    apm: Box<Apm>,
    encoders: Encoders,
    /// Of all outlets; kept so that nothing is allocated.
    paths: Vec<Protection>,
    mixer: Mixer,
    microphone: Option<Box<Microphone>>,
    speaker: Option<Box<Speaker>>,
    #[allow(clippy::vec_box, reason = "peers come and go by pointer: nothing is copied or freed on this thread")]
    peers: Vec<Box<Peer>>,
    muted: bool,
    deafened: bool,
    transmit: Transmit,
    talk_gate: TalkGate,
    activity: VoiceActivity,
    muted_talk: MutedTalk,
    echo: Option<Box<EchoLine>>,
    play_back: Option<Box<EchoLine>>,
    mic_level: LevelMeter,
    speaker_level: LevelMeter,
    levels: Arc<Levels>,
    next_report: Instant,
}

impl VoiceLoop {
    fn new(
        encoders: Encoders,
        levels: Arc<Levels>,
        queue: CommandReceiver<VoiceCommand>,
        news: mpsc::Sender<VoiceNews>,
    ) -> Self {
        Self {
            queue,
            news,
            apm: Box::default(),
            encoders,
            paths: Vec::with_capacity(MAX_PEERS),
            mixer: Mixer::new(),
            microphone: None,
            speaker: None,
            peers: Vec::with_capacity(MAX_PEERS),
            muted: false,
            deafened: false,
            transmit: Transmit::Always,
            talk_gate: TalkGate::default(),
            activity: VoiceActivity::new(),
            muted_talk: MutedTalk::default(),
            echo: None,
            play_back: None,
            mic_level: LevelMeter::new(),
            speaker_level: LevelMeter::new(),
            levels,
            next_report: Instant::now() + REPORT_EVERY,
        }
    }

    fn run(mut self) {
        while self.take_commands() {
            self.hear_what_was_played();
            self.capture();
            self.play();
            self.tell_levels();
            self.report();
            std::thread::park_timeout(PARK);
        }
        self.levels.fall_silent();
    }

    /// `false` once the engine has let go of the thread.
    fn take_commands(&mut self) -> bool {
        loop {
            match self.queue.try_recv() {
                Ok(command) => self.obey(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn obey(&mut self, command: VoiceCommand) {
        match command {
            VoiceCommand::SetMicrophone(new) => {
                if let Some(old) = std::mem::replace(&mut self.microphone, new) {
                    self.retire(Retired::Microphone(old));
                }
            }
            VoiceCommand::SetSpeaker(new) => {
                if let Some(old) = std::mem::replace(&mut self.speaker, new) {
                    self.retire(Retired::Speaker(old));
                }
            }
            VoiceCommand::AddPeer(peer) => self.peers.push(peer),
            VoiceCommand::SetOutlet(key, new) => {
                let Some(peer) = self.peer(key) else {
                    return new.into_iter().for_each(|unused| self.retire(Retired::Outlet(unused)));
                };
                let old = std::mem::replace(&mut peer.outlet, new);
                peer.heard = false;
                old.into_iter().for_each(|old| self.retire(Retired::Outlet(old)));
                self.follow_protection();
            }
            VoiceCommand::SetListens(key, listens) => {
                if let Some(outlet) = self.peer(key).and_then(|peer| peer.outlet.as_mut()) {
                    outlet.listens = listens;
                }
            }
            VoiceCommand::SetSilenced(key, silenced) => {
                if let Some(peer) = self.peer(key) {
                    peer.set_silenced(silenced);
                }
            }
            VoiceCommand::Protect(key, protection) => {
                if let Some(outlet) = self.peer(key).and_then(|peer| peer.outlet.as_mut()) {
                    outlet.protection = protection;
                    self.follow_protection();
                }
            }
            VoiceCommand::SetVolume(key, gain) => {
                if let Some(peer) = self.peer(key) {
                    peer.set_gain(gain);
                }
            }
            VoiceCommand::SetOnHold(key, on_hold) => {
                if let Some(peer) = self.peer(key) {
                    peer.set_on_hold(on_hold);
                }
                self.muted_talk.reset();
            }
            VoiceCommand::RemovePeer(key) => {
                if let Some(at) = self.peers.iter().position(|peer| peer.key == key) {
                    let gone = self.peers.swap_remove(at);
                    self.retire(Retired::Peer(gone));
                    self.follow_protection();
                }
            }
            VoiceCommand::SetApm(new) => {
                let old = std::mem::replace(&mut self.apm, new);
                self.retire(Retired::Apm(old));
            }
            VoiceCommand::SetMuted(muted) => {
                self.muted = muted;
                self.muted_talk.reset();
            }
            VoiceCommand::SetTransmit(transmit) => self.transmit = transmit,
            VoiceCommand::Echo(line) => self.echo = Some(line),
            VoiceCommand::PlayBack(line) => self.play_back = Some(line),
            VoiceCommand::SetDeafened(deafened) => self.deafened = deafened,
        }
    }

    fn peer(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.key == key).map(Box::as_mut)
    }

    /// What is encoded follows the paths of those who listen; copies are each link's own.
    fn follow_protection(&mut self) {
        self.paths.clear();
        self.paths.extend(self.peers.iter().filter_map(|peer| Some(peer.outlet.as_ref()?.protection)));
        self.encoders.follow(&self.paths);
        for outlet in self.peers.iter_mut().filter_map(|peer| peer.outlet.as_deref_mut()) {
            let Outlet { link, packetizer, protection, .. } = outlet;
            let red = if link.accepts(PayloadKind::Red) { protection.red } else { RedDistances::NONE };
            let opus = link.payload_type(PayloadKind::Opus).unwrap_or(OPUS_PAYLOAD_TYPE);
            packetizer.set_red(red, opus);
            let is_poor = self.encoders.is_poor(&outlet.protection);
            if std::mem::replace(&mut outlet.is_poor, is_poor) != is_poor {
                outlet.packetizer.change_source();
            }
        }
    }

    /// If the engine is not listening any more, freeing here is harmless: there is no call left to disturb.
    fn retire(&self, retired: Retired) {
        let _ = self.news.try_send(VoiceNews::Retired(retired));
    }

    /// Only what is really played can come back as an echo, and never before.
    fn hear_what_was_played(&mut self) {
        if let Some(speaker) = &mut self.speaker {
            speaker.tell_played(|samples| self.apm.process_render(samples));
        }
    }

    /// Microphone → 10 ms frames → echo, noise, gain → one Opus packet → every link.
    fn capture(&mut self) {
        let Some(mut microphone) = self.microphone.take() else { return };
        // As when muted, they get silence. Who waits while others talk gets nothing: there is one encoder, and links keep
        // themselves alive.
        let all_wait = !self.peers.is_empty() && self.peers.iter().all(|peer| peer.on_hold);
        let mut frame: Frame = [0.0; FRAME_SAMPLES];
        loop {
            // Processing, detector and gate work on whole frames.
            let whole = !self.apm.is_off() || self.transmit != Transmit::Always || self.muted;
            let piece = if whole { FRAME_SAMPLES } else { self.encoders.main().piece().0 as usize };
            if !microphone.next_samples(&mut frame[..piece]) {
                break;
            }
            if let Some(echo) = &mut self.echo {
                echo.say(&mut frame[..piece]);
            }
            self.apm.process_capture(&mut frame);
            self.mic_level.push(&frame[..piece]);
            if all_wait {
                frame.fill(0.0);
            } else {
                self.gate(&mut frame);
            }
            if let Some(line) = &mut self.play_back {
                line.hear(&frame[..piece]);
            }
            if self.peers.is_empty() {
                continue;
            }
            // Encoding fails only on a broken encoder state; the next frame starts anew.
            if let Ok(Some(encoded)) = self.encoders.main().encode(&frame[..piece]) {
                send(&mut self.peers, false, &encoded, all_wait);
            }
            if let Some(Ok(Some(encoded))) = self.encoders.poor().map(|poor| poor.encode(&frame[..piece])) {
                send(&mut self.peers, true, &encoded, all_wait);
            }
        }
        self.microphone = Some(microphone);
    }

    /// What of the microphone's sound is nobody's business becomes silence.
    fn gate(&mut self, frame: &mut Frame) {
        if self.muted || self.deafened {
            if self.muted && self.muted_talk.follow(self.activity.is_speech(frame)) {
                // A hint that does not fit the queue comes again.
                let _ = self.news.try_send(VoiceNews::TalkingWhileMuted);
            }
            return frame.fill(0.0);
        }
        let (open, pause) = match self.transmit {
            Transmit::Always => return,
            Transmit::OnVoice => {
                let speech = self.activity.is_speech(frame);
                (speech, !speech)
            }
            Transmit::OnKey { down } => (down, !self.activity.is_speech(frame)),
        };
        self.talk_gate.process(frame, open, pause);
    }

    /// Jitter buffers → mix → speaker, as long as the speaker's ring has room below its target.
    fn play(&mut self) {
        let Some(mut speaker) = self.speaker.take() else { return };
        speaker.follow_callbacks();
        for _ in 0..MAX_STEPS_PER_WAKE {
            if !speaker.wants_more() {
                break;
            }
            let mixed = self.mixed_step();
            if let Some(echo) = &mut self.echo {
                echo.hear(&mixed);
            }
            speaker.push(&mixed);
        }
        self.speaker = Some(speaker);
    }

    fn mixed_step(&mut self) -> [f32; PLAYOUT_STEP] {
        let now = Instant::now();
        for peer in &mut self.peers {
            while let Ok(packet) = peer.incoming.pop() {
                peer.receiver.insert_packet(packet);
            }
            let operation = peer.receiver.get_audio(now, &mut peer.step);
            peer.fader.process(&mut peer.step);
            if !peer.heard && is_decoded(operation) {
                peer.heard = true;
                // The desk reads its queue faster than people can join.
                let _ = self.news.try_send(VoiceNews::FirstAudio { key: peer.key, at: now });
            }
        }
        let back = self.play_back.as_mut().map(|line| {
            let mut back = [0.0; PLAYOUT_STEP];
            line.say(&mut back);
            back
        });
        let voices = self.peers.iter().map(|peer| &peer.step).chain(&back);
        let mut mixed = [0.0; PLAYOUT_STEP];
        self.mixer.mix(voices.map(|voice| (&voice[..], 1.0)), &mut mixed);
        if self.deafened {
            mixed.fill(0.0);
        }
        self.speaker_level.push(&mixed);
        mixed
    }

    fn tell_levels(&self) {
        self.levels.set(self.mic_level.dbfs(), self.speaker_level.dbfs());
        self.levels.set_voices(self.peers.iter().map(|peer| (MeterId(peer.key.0), peer.receiver.level().dbfs())));
    }

    fn report(&mut self) {
        let now = Instant::now();
        if now < self.next_report {
            return;
        }
        self.next_report = now + REPORT_EVERY;
        let lookahead_ms = self.encoders.main().lookahead().as_ms();
        let settings = *self.encoders.main().settings();
        let (ptime_ms, fec, dred_ms) = (settings.ptime.ms(), settings.fec, settings.dred_ms);
        let speaker_delay_ms = self.speaker.as_ref().map_or(0.0, |speaker| speaker.delay_ms());
        let (mic_dbfs, speaker_dbfs) = (self.mic_level.dbfs(), self.speaker_level.dbfs());
        for peer in &mut self.peers {
            let stats = peer.receiver.statistics();
            let red = peer.outlet.as_ref().map_or(0, |outlet| outlet.protection.red.depth() as u8);
            let report = VoiceReport {
                stats,
                ptime_ms,
                lookahead_ms,
                red,
                fec,
                dred_ms,
                speaker_delay_ms,
                mic_dbfs,
                speaker_dbfs,
            };
            // The engine reads a report a second; one that does not fit is superseded by the next.
            let _ = self.news.try_send(VoiceNews::Report { key: peer.key, report });
        }
    }
}

/// To those who get this encoder's packets.
fn send(peers: &mut [Box<Peer>], poor: bool, encoded: &EncodedFrame<'_>, all_wait: bool) {
    for peer in peers {
        let Some(outlet) = peer.outlet.as_mut().filter(|outlet| outlet.is_poor == poor) else { continue };
        if peer.on_hold && !all_wait {
            outlet.packetizer.skip();
        } else if outlet.listens {
            let packet = outlet.packetizer.packetize(encoded);
            // A full link queue is counted by the link and shown as loss by the other side's report.
            outlet.link.send(packet);
        }
    }
}

fn is_decoded(operation: Operation) -> bool {
    match operation {
        Operation::Normal | Operation::Accelerate | Operation::PreemptiveExpand | Operation::Merge => true,
        Operation::Silence | Operation::ComfortNoise | Operation::Expand => false,
    }
}

/// Sound must not wait for other work of the machine. Without the privilege the thread runs like any other.
#[cfg(target_os = "linux")]
fn raise_priority() {
    if rustix::process::setpriority_process(Some(rustix::thread::gettid()), -11).is_err() {
        tracing::debug!("voice thread runs at normal priority");
    }
}

#[cfg(not(target_os = "linux"))]
fn raise_priority() {}
