//! Sources and sinks that are no devices, on a real clock.

mod pacer;
mod sink;
mod source;

use std::io::ErrorKind;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;

use rtrb::RingBuffer;

use super::stream::Running;
use super::wav::{Recorder, read_wav_i16};
use super::{
    AudioError, CaptureCallback, Gate, Input, Output, PlaybackCallback, Stream, StreamHealth, Wake, launched_at,
};
use crate::base::SAMPLE_RATE_HZ;
pub(super) use pacer::FakeStream;
use pacer::Paced;
use sink::{FakeSink, Tape};
use source::{FakeSource, Signal};

/// Seconds of ring ÷ 5, as for devices.
const RING_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 5;

pub(super) fn open_file_source(
    path: &Path,
    looped: bool,
    at_launch: bool,
    frames: u32,
    wake: Wake,
) -> Result<Input, AudioError> {
    let samples = read_wav_i16(path)?.into();
    let gate = Gate::closed();
    if at_launch {
        gate.open(launched_at());
    }
    open_source(Signal::File { samples, looped }, gate, frames, wake)
}

pub(super) fn open_tone(hz: f32, frames: u32, wake: Wake) -> Result<Input, AudioError> {
    open_source(Signal::Tone { hz }, Gate::closed(), frames, wake)
}

pub(super) fn open_silence(frames: u32, wake: Wake) -> Result<Input, AudioError> {
    open_source(Signal::Silence, Gate::closed(), frames, wake)
}

fn open_source(signal: Signal, gate: Gate, frames: u32, wake: Wake) -> Result<Input, AudioError> {
    let (producer, samples) = RingBuffer::new(RING_SAMPLES);
    let health = Arc::new(StreamHealth::new(SAMPLE_RATE_HZ));
    // The pacer wakes the voice thread once per tick, after all fakes have had their turn.
    let callback = CaptureCallback::new(producer, NonZeroU16::MIN, health.clone(), Wake::nobody());
    let source = FakeSource::new(signal, gate.clone(), callback);
    let running = FakeStream::start(Paced::Source(source), health.clone(), frames, wake, None)?;
    let stream = Stream::new(health, gate, None, Running::Fake { _stream: running });
    Ok(Input { samples, rate_hz: SAMPLE_RATE_HZ, stream })
}

pub(super) fn open_file_sink(path: &Path, frames: u32, wake: Wake) -> Result<Output, AudioError> {
    let health = Arc::new(StreamHealth::new(SAMPLE_RATE_HZ));
    let (recorder, ring) = Recorder::create(path, health.clone())?;
    let gate = Gate::of_recorder(recorder.clone());
    open_sink(Some(Tape::new(ring, gate.clone())), gate, health, frames, wake, Some(recorder))
}

/// Sees the usual mistakes: no such folder, a folder instead of a file.
pub(super) fn check_file_sink(path: &Path) -> Result<(), AudioError> {
    let refuse = |kind: ErrorKind| AudioError::CannotRecord { path: path.to_owned(), source: kind.into() };
    if path.is_dir() {
        return Err(refuse(ErrorKind::IsADirectory));
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => Err(refuse(ErrorKind::NotFound)),
        _ => Ok(()),
    }
}

pub(super) fn open_null(frames: u32, wake: Wake) -> Result<Output, AudioError> {
    let health = Arc::new(StreamHealth::new(SAMPLE_RATE_HZ));
    open_sink(None, Gate::closed(), health, frames, wake, None)
}

fn open_sink(
    tape: Option<Tape>,
    gate: Gate,
    health: Arc<StreamHealth>,
    frames: u32,
    wake: Wake,
    recorder: Option<Arc<Recorder>>,
) -> Result<Output, AudioError> {
    let (samples, consumer) = RingBuffer::new(RING_SAMPLES);
    let callback = PlaybackCallback::new(consumer, NonZeroU16::MIN, health.clone(), Wake::nobody());
    let sink = FakeSink::new(tape, callback);
    let running = FakeStream::start(Paced::Sink(sink), health.clone(), frames, wake, recorder)?;
    let stream = Stream::new(health, gate, None, Running::Fake { _stream: running });
    Ok(Output { samples, rate_hz: SAMPLE_RATE_HZ, stream })
}

#[cfg(test)]
mod tests;
