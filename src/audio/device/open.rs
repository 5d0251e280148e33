//! Opening a device and closing it again.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, Device, Error, ErrorKind, FromSample, I24, SampleFormat, SizedSample, U24};
use rtrb::{Consumer, Producer, RingBuffer};

use super::super::stream::{DeviceName, Running};
use super::super::{
    AudioError, AudioRole, CaptureCallback, Gate, Input, Output, PlaybackCallback, Stream, StreamFault, StreamHealth,
    Wake,
};
use super::config::{Chosen, choose, is_served};
use super::host::{Connection, System};
use super::{ANSWER_DEADLINE, within};

/// An open device; dropping it closes the device.
pub struct DeviceStream(Option<(cpal::Stream, Connection)>);

/// A server that has not closed a stream by then is stuck; the rest happens behind our back.
const CLOSE_DEADLINE: Duration = Duration::from_millis(500);
/// Rings hold this part of a second.
const RING_PARTS_OF_SECOND: u32 = 5;

pub fn open_input(id: Option<&str>, frames: u32, wake: Wake) -> Result<Input, AudioError> {
    let (role, id) = (AudioRole::Microphone, id.map(str::to_owned));
    within(ANSWER_DEADLINE, move || {
        let (system, device, name) = find(role, id.as_deref())?;
        let opened = open_with_fallback(&device, role, frames, |chosen| {
            let (producer, samples) = ring(chosen);
            let health = Arc::new(StreamHealth::new(chosen.config.sample_rate));
            let callback = CaptureCallback::new(producer, channels(chosen), health.clone(), wake.clone());
            let stream = start_input(&device, chosen, callback, &health, &wake)?;
            Ok((stream, health, samples, chosen.config.sample_rate))
        });
        let (stream, health, samples, rate_hz) = opened.map_err(|error| describe(role, &name, &error))?;
        Ok(Input { samples, rate_hz, stream: running(system, stream, health, name) })
    })?
}

pub fn open_output(role: AudioRole, id: Option<&str>, frames: u32, wake: Wake) -> Result<Output, AudioError> {
    let id = id.map(str::to_owned);
    within(ANSWER_DEADLINE, move || {
        let (system, device, name) = find(role, id.as_deref())?;
        let opened = open_with_fallback(&device, role, frames, |chosen| {
            let (samples, consumer) = ring(chosen);
            let health = Arc::new(StreamHealth::new(chosen.config.sample_rate));
            let callback = PlaybackCallback::new(consumer, channels(chosen), health.clone(), wake.clone());
            let stream = start_output(&device, chosen, callback, &health, &wake)?;
            Ok((stream, health, samples, chosen.config.sample_rate))
        });
        let (stream, health, samples, rate_hz) = opened.map_err(|error| describe(role, &name, &error))?;
        Ok(Output { samples, rate_hz, stream: running(system, stream, health, name) })
    })?
}

fn running(system: System, stream: cpal::Stream, health: Arc<StreamHealth>, name: DeviceName) -> Stream {
    let stream = DeviceStream(Some((stream, system.into_connection())));
    Stream::new(health, Gate::closed(), Some(name), Running::Device { _stream: stream })
}

impl Drop for DeviceStream {
    fn drop(&mut self) {
        let stream = self.0.take();
        // Closing waits for the server. Should there be no thread for it, it happens right here. The stream goes first:
        // the connection is free then.
        let _ = within(CLOSE_DEADLINE, move || drop(stream));
    }
}

fn find(role: AudioRole, id: Option<&str>) -> Result<(System, Device, DeviceName), AudioError> {
    let system = System::of(id)?;
    let device = system.find(role, id)?;
    let id = device.id().map_or_else(|_| String::new(), |id| id.to_string());
    let name = device.description().map_or_else(|_| id.clone(), |text| text.name().to_owned());
    Ok((system, device, DeviceName { id, name }))
}

/// Some drivers refuse every fixed size; theirs is taken then. Never a server's: it would last half a second.
fn open_with_fallback<T>(
    device: &Device,
    role: AudioRole,
    frames: u32,
    open: impl Fn(Chosen) -> Result<T, Error>,
) -> Result<T, Error> {
    let chosen = choose(device, role, frames)?;
    open(chosen).or_else(|error| {
        if error.kind() != ErrorKind::UnsupportedConfig || is_served(device) {
            return Err(error);
        }
        let mut chosen = chosen;
        chosen.config.buffer_size = BufferSize::Default;
        open(chosen)
    })
}

fn ring(chosen: Chosen) -> (Producer<f32>, Consumer<f32>) {
    RingBuffer::new((chosen.config.sample_rate / RING_PARTS_OF_SECOND) as usize)
}

fn channels(chosen: Chosen) -> NonZeroU16 {
    NonZeroU16::new(chosen.config.channels).unwrap_or(NonZeroU16::MIN)
}

/// Calls a function that is generic over the sample type with the type that a format stands for.
macro_rules! with_sample_type {
    ($format:expr, $function:ident($($argument:expr),*)) => {
        match $format {
            SampleFormat::I8 => $function::<i8>($($argument),*),
            SampleFormat::I16 => $function::<i16>($($argument),*),
            SampleFormat::I24 => $function::<I24>($($argument),*),
            SampleFormat::I32 => $function::<i32>($($argument),*),
            SampleFormat::I64 => $function::<i64>($($argument),*),
            SampleFormat::U8 => $function::<u8>($($argument),*),
            SampleFormat::U16 => $function::<u16>($($argument),*),
            SampleFormat::U24 => $function::<U24>($($argument),*),
            SampleFormat::U32 => $function::<u32>($($argument),*),
            SampleFormat::U64 => $function::<u64>($($argument),*),
            SampleFormat::F32 => $function::<f32>($($argument),*),
            SampleFormat::F64 => $function::<f64>($($argument),*),
            _ => Err(ErrorKind::UnsupportedConfig.into()),
        }
    };
}

fn start_input(
    device: &Device,
    chosen: Chosen,
    callback: CaptureCallback,
    health: &Arc<StreamHealth>,
    wake: &Wake,
) -> Result<cpal::Stream, Error> {
    with_sample_type!(chosen.format, build_input(device, chosen, callback, health, wake))
}

fn start_output(
    device: &Device,
    chosen: Chosen,
    callback: PlaybackCallback,
    health: &Arc<StreamHealth>,
    wake: &Wake,
) -> Result<cpal::Stream, Error> {
    with_sample_type!(chosen.format, build_output(device, chosen, callback, health, wake))
}

fn build_input<T>(
    device: &Device,
    chosen: Chosen,
    mut callback: CaptureCallback,
    health: &Arc<StreamHealth>,
    wake: &Wake,
) -> Result<cpal::Stream, Error>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let data = move |samples: &[T], info: &cpal::InputCallbackInfo| {
        let stamp = info.timestamp();
        callback.run(samples, stamp.callback.saturating_duration_since(stamp.capture));
    };
    play(device.build_input_stream(chosen.config, data, on_error(health, wake), Some(ANSWER_DEADLINE))?)
}

fn build_output<T>(
    device: &Device,
    chosen: Chosen,
    mut callback: PlaybackCallback,
    health: &Arc<StreamHealth>,
    wake: &Wake,
) -> Result<cpal::Stream, Error>
where
    T: SizedSample + FromSample<f32>,
{
    let data = move |samples: &mut [T], info: &cpal::OutputCallbackInfo| {
        let stamp = info.timestamp();
        callback.run(samples, stamp.playback.saturating_duration_since(stamp.callback));
    };
    play(device.build_output_stream(chosen.config, data, on_error(health, wake), Some(ANSWER_DEADLINE))?)
}

fn play(stream: cpal::Stream) -> Result<cpal::Stream, Error> {
    stream.play()?;
    Ok(stream)
}

/// Faults are left where the engine looks for them; the voice thread is woken because no callback may ever come again.
fn on_error(health: &Arc<StreamHealth>, wake: &Wake) -> impl FnMut(Error) + Send + 'static {
    let (health, wake) = (health.clone(), wake.clone());
    move |error| {
        let fault = match error.kind() {
            ErrorKind::Xrun => return health.count_xrun(),
            ErrorKind::RealtimeDenied | ErrorKind::DeviceChanged => return,
            ErrorKind::DeviceNotAvailable => StreamFault::Unplugged,
            ErrorKind::StreamInvalidated | ErrorKind::HostUnavailable => StreamFault::Invalidated,
            _ => StreamFault::Broken,
        };
        health.report_fault(fault);
        wake.wake();
    }
}

/// The driver's words, in ours.
fn describe(role: AudioRole, name: &DeviceName, error: &Error) -> AudioError {
    let device = format!("the {} \"{}\"", role.noun(), name.name);
    match error.kind() {
        ErrorKind::DeviceBusy => AudioError::Busy { device },
        ErrorKind::PermissionDenied => AudioError::Denied { device },
        ErrorKind::DeviceNotAvailable => AudioError::NoDevice(role),
        _ => AudioError::Unusable { device, why: error.to_string() },
    }
}
