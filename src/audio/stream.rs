//! An open stream, the same for a device and a fake.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rtrb::{Consumer, Producer};

use super::device::{self, DeviceStream};
use super::fake::{self, FakeStream};
use super::wav::check_wav;
use super::{AudioError, AudioRole, Gate, SinkSpec, SourceSpec};

/// A microphone, or what stands for one.
pub struct Input {
    /// Mono, at [`Input::rate_hz`], nominal range −1.0..=1.0. Holds 200 ms; when it is full the newest samples are
    /// dropped and an xrun is counted.
    pub samples: Consumer<f32>,
    /// Hertz.
    pub rate_hz: u32,
    /// Dropping it closes the device.
    pub stream: Stream,
}

/// A speaker, or what stands for one.
pub struct Output {
    /// Mono, at [`Output::rate_hz`], nominal range −1.0..=1.0. Holds 200 ms; when it runs dry after it was filled once,
    /// silence is played and an xrun is counted.
    pub samples: Producer<f32>,
    /// Hertz.
    pub rate_hz: u32,
    /// Dropping it closes the device.
    pub stream: Stream,
}

/// Opens a microphone. `frames` per callback are counted at 48 kHz (480 is 10 ms at every device rate); the device may
/// choose otherwise, see [`StreamHealth::callback_frames`]. Blocks for some milliseconds, at most a few seconds.
///
/// `wake` is unparked after each callback.
pub fn open_input(spec: &SourceSpec, frames: u32, wake: Wake) -> Result<Input, AudioError> {
    match spec {
        SourceSpec::Default => device::open_input(None, frames, wake),
        SourceSpec::Device(id) => device::open_input(Some(id), frames, wake),
        SourceSpec::File { path, looped, at_launch } => fake::open_file_source(path, *looped, *at_launch, frames, wake),
        SourceSpec::Tone { hz } => fake::open_tone(*hz, frames, wake),
        SourceSpec::Silence => fake::open_silence(frames, wake),
    }
}

/// Opens a speaker; as [`open_input`]. A `file:` is created at once, so that a wrong path is known before the call.
pub fn open_output(spec: &SinkSpec, frames: u32, wake: Wake) -> Result<Output, AudioError> {
    open_output_as(AudioRole::Speaker, spec, frames, wake)
}

/// As [`open_output`]; the role is only used to name the device in errors.
pub(super) fn open_output_as(role: AudioRole, spec: &SinkSpec, frames: u32, wake: Wake) -> Result<Output, AudioError> {
    match spec {
        SinkSpec::Default => device::open_output(role, None, frames, wake),
        SinkSpec::Device(id) => device::open_output(role, Some(id), frames, wake),
        SinkSpec::File(path) => fake::open_file_sink(path, frames, wake),
        SinkSpec::Null => fake::open_null(frames, wake),
    }
}

/// Whether a microphone can be expected to open, without opening it: says before anybody is called what is wrong. Reads
/// a whole file; blocks for some milliseconds, at most 3 s.
pub fn check_source(spec: &SourceSpec) -> Result<(), AudioError> {
    match spec {
        SourceSpec::Default => device::check(AudioRole::Microphone, None),
        SourceSpec::Device(id) => device::check(AudioRole::Microphone, Some(id)),
        SourceSpec::File { path, .. } => check_wav(path),
        SourceSpec::Tone { .. } | SourceSpec::Silence => Ok(()),
    }
}

/// As [`check_source`]. A file is not created, and one that exists is not touched.
pub fn check_sink(spec: &SinkSpec) -> Result<(), AudioError> {
    match spec {
        SinkSpec::Default => device::check(AudioRole::Speaker, None),
        SinkSpec::Device(id) => device::check(AudioRole::Speaker, Some(id)),
        SinkSpec::File(path) => fake::check_file_sink(path),
        SinkSpec::Null => Ok(()),
    }
}

/// The life of an open stream: dropping it closes the device and waits until that has happened, or for half a second
/// if the sound system is stuck.
pub struct Stream {
    health: Arc<StreamHealth>,
    gate: Gate,
    device: Option<DeviceName>,
    _source: Running,
}

/// What keeps the callbacks coming.
pub(super) enum Running {
    Device { _stream: DeviceStream },
    Fake { _stream: FakeStream },
}

/// The device that was really opened, whatever the wish said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeviceName {
    pub id: String,
    pub name: String,
}

impl Stream {
    pub(super) fn new(health: Arc<StreamHealth>, gate: Gate, device: Option<DeviceName>, source: Running) -> Self {
        Self { health, gate, device, _source: source }
    }

    pub fn health(&self) -> &Arc<StreamHealth> {
        &self.health
    }

    /// Starts and stops a `file:`; on every other stream it only remembers when it was opened.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Id of the device that is open, as [`devices`](super::devices) lists it; `None` for a fake.
    pub fn device_id(&self) -> Option<&str> {
        self.device.as_ref().map(|device| device.id.as_str())
    }

    /// Name of the device for people; `None` for a fake.
    pub fn device_name(&self) -> Option<&str> {
        self.device.as_ref().map(|device| device.name.as_str())
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("device", &self.device).field("health", &self.health).finish_non_exhaustive()
    }
}

/// Wakes the voice thread: one [`Thread::unpark`], which neither allocates nor blocks.
#[derive(Debug, Clone, Default)]
pub struct Wake(Option<Thread>);

impl Wake {
    /// Wakes nobody.
    pub const fn nobody() -> Self {
        Self(None)
    }

    pub const fn thread(thread: Thread) -> Self {
        Self(Some(thread))
    }

    /// Wakes the calling thread out of [`thread::park`].
    pub fn this_thread() -> Self {
        Self(Some(thread::current()))
    }

    pub fn wake(&self) {
        if let Some(thread) = &self.0 {
            thread.unpark();
        }
    }

    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.0.as_ref().map(Thread::id) == other.0.as_ref().map(Thread::id)
    }
}

/// How a stream fares: written by its callbacks, read by anybody.
#[derive(Debug)]
pub struct StreamHealth {
    opened: Instant,
    rate_hz: u32,
    callbacks: AtomicU64,
    frames: AtomicU64,
    /// Of [`Self::frames`], those that playback had nothing for.
    missing: AtomicU64,
    xruns: AtomicU64,
    /// Nanoseconds after `opened`; 0 before the first callback.
    last_callback_ns: AtomicU64,
    callback_frames: AtomicU32,
    least_left: AtomicU32,
    device_latency_us: AtomicU32,
    fault: AtomicU8,
}

/// Why a stream is dead. Many dead devices report nothing at all: look at [`StreamHealth::silent_for`] too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFault {
    /// The device is gone.
    Unplugged,
    /// The sound server is gone, or wants the stream to be opened anew.
    Invalidated,
    /// The driver reports something else, or a recording cannot be written any more (disk full).
    Broken,
}

impl StreamHealth {
    /// Of a stream that was opened right now.
    pub fn new(rate_hz: u32) -> Self {
        Self {
            opened: Instant::now(),
            rate_hz,
            callbacks: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            xruns: AtomicU64::new(0),
            last_callback_ns: AtomicU64::new(0),
            callback_frames: AtomicU32::new(0),
            least_left: AtomicU32::new(0),
            device_latency_us: AtomicU32::new(0),
            fault: AtomicU8::new(0),
        }
    }

    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// Callbacks so far.
    pub fn callbacks(&self) -> u64 {
        self.callbacks.load(Ordering::Relaxed)
    }

    /// Frames that the device has delivered or taken so far: with [`Self::last_callback`] the device's own clock.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Frames of sound that playback has taken from the ring so far, and frames of silence that it has played
    /// because there was no more.
    pub fn taken_and_missing(&self) -> (u64, u64) {
        let frames = self.frames.load(Ordering::Acquire);
        let missing = self.missing.load(Ordering::Relaxed);
        (frames.saturating_sub(missing), missing)
    }

    /// Times that samples were lost (capture) or missing (playback).
    pub fn xruns(&self) -> u64 {
        self.xruns.load(Ordering::Relaxed)
    }

    /// Most frames per callback seen lately: what the playback ring must hold at least when the next one comes.
    /// 0 before the first callback.
    pub fn callback_frames(&self) -> u32 {
        self.callback_frames.load(Ordering::Relaxed)
    }

    /// [`Self::callback_frames`] as a time.
    pub fn callback_period(&self) -> Duration {
        Duration::from_secs(u64::from(self.callback_frames())) / self.rate_hz.max(1)
    }

    /// Fewest frames that playback callbacks left in the ring lately: so much less would have been enough.
    pub fn least_left(&self) -> u32 {
        self.least_left.load(Ordering::Relaxed)
    }

    /// Time between the callback and the microphone's membrane or the speaker's cone, as the driver reports it; the
    /// ring is not part of it.
    pub fn device_latency(&self) -> Duration {
        Duration::from_micros(self.device_latency_us.load(Ordering::Relaxed).into())
    }

    /// When the last callback ran.
    pub fn last_callback(&self) -> Option<Instant> {
        match self.last_callback_ns.load(Ordering::Acquire) {
            0 => None,
            ns => Some(self.opened + Duration::from_nanos(ns)),
        }
    }

    /// Time without a callback, counted from the opening if there was none yet.
    pub fn silent_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_callback().unwrap_or(self.opened))
    }

    /// The first fault that was reported.
    pub fn fault(&self) -> Option<StreamFault> {
        match self.fault.load(Ordering::Relaxed) {
            1 => Some(StreamFault::Unplugged),
            2 => Some(StreamFault::Invalidated),
            3 => Some(StreamFault::Broken),
            _ => None,
        }
    }

    pub(super) fn count_callback(&self, now: Instant, frames: usize) {
        let ns = now.saturating_duration_since(self.opened).as_nanos() as u64;
        self.callbacks.fetch_add(1, Ordering::Relaxed);
        self.frames.fetch_add(frames as u64, Ordering::Release);
        self.last_callback_ns.store(ns.max(1), Ordering::Release);
    }

    /// Before [`Self::count_callback`], so that a reader sees no frame as sound that was silence.
    pub(super) fn count_missing(&self, frames: usize) {
        self.missing.fetch_add(frames as u64, Ordering::Relaxed);
    }

    pub(super) fn count_xrun(&self) {
        self.xruns.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_callback_frames(&self, frames: u32) {
        self.callback_frames.store(frames, Ordering::Relaxed);
    }

    pub(super) fn set_least_left(&self, frames: u32) {
        self.least_left.store(frames, Ordering::Relaxed);
    }

    pub(super) fn set_device_latency(&self, latency: Duration) {
        self.device_latency_us.store(latency.as_micros().min(u128::from(u32::MAX)) as u32, Ordering::Relaxed);
    }

    pub(super) fn report_fault(&self, fault: StreamFault) {
        let code = match fault {
            StreamFault::Unplugged => 1,
            StreamFault::Invalidated => 2,
            StreamFault::Broken => 3,
        };
        // The first fault is the cause; what follows are its consequences.
        let _ = self.fault.compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    }
}
