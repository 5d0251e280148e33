//! The bodies of the device callbacks: real-time code.
//!
//! They copy between the device's buffer and a preallocated ring, convert the sample format, mix channels, bump atomics
//! and unpark the voice thread. They never allocate, free, lock, log or panic. The fakes run the same bodies.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cpal::{FromSample, Sample};
use rtrb::{Consumer, Producer};

use super::{StreamHealth, Wake};

/// Device to ring.
pub struct CaptureCallback {
    ring: Producer<f32>,
    channels: NonZeroU16,
    health: Arc<StreamHealth>,
    wake: Wake,
    largest: LargestCallback,
}

/// Ring to device.
pub struct PlaybackCallback {
    ring: Consumer<f32>,
    channels: NonZeroU16,
    health: Arc<StreamHealth>,
    wake: Wake,
    largest: LargestCallback,
    least_left: LeastLeft,
    /// Running dry counts only after the ring has been filled once.
    started: bool,
}

impl CaptureCallback {
    pub fn new(ring: Producer<f32>, channels: NonZeroU16, health: Arc<StreamHealth>, wake: Wake) -> Self {
        Self { ring, channels, health, wake, largest: LargestCallback::default() }
    }

    /// Takes the device's interleaved samples, their channels mixed into one. `latency`: since they were captured.
    pub fn run<T>(&mut self, interleaved: &[T], latency: Duration)
    where
        T: Sample,
        f32: FromSample<T>,
    {
        let channels = usize::from(self.channels.get());
        let frames = interleaved.len() / channels;
        let fitting = frames.min(self.ring.slots());
        if let Ok(chunk) = self.ring.write_chunk_uninit(fitting) {
            let scale = 1.0 / channels as f32;
            chunk.fill_from_iter(
                interleaved
                    .chunks_exact(channels)
                    .map(|frame| frame.iter().map(|sample| f32::from_sample(*sample)).sum::<f32>() * scale),
            );
        }
        if fitting < frames {
            self.health.count_xrun();
        }
        self.health.set_callback_frames(self.largest.after(frames));
        self.health.set_device_latency(latency);
        self.health.count_callback(Instant::now(), frames);
        self.wake.wake();
    }
}

impl PlaybackCallback {
    pub fn new(ring: Consumer<f32>, channels: NonZeroU16, health: Arc<StreamHealth>, wake: Wake) -> Self {
        Self {
            ring,
            channels,
            health,
            wake,
            largest: LargestCallback::default(),
            least_left: LeastLeft::default(),
            started: false,
        }
    }

    /// Fills the device's interleaved buffer: the voice on the first two channels, silence on further ones and wherever
    /// the ring is dry. `latency`: until it will be heard.
    pub fn run<T>(&mut self, interleaved: &mut [T], latency: Duration)
    where
        T: Sample + FromSample<f32>,
    {
        let channels = usize::from(self.channels.get());
        let frames = interleaved.len() / channels;
        let available = frames.min(self.ring.slots());
        let (voiced, dry) = interleaved.split_at_mut(available * channels);
        if let Ok(chunk) = self.ring.read_chunk(available) {
            for (frame, sample) in voiced.chunks_exact_mut(channels).zip(chunk) {
                let (front, rest) = frame.split_at_mut(channels.min(2));
                front.fill(sample.to_sample::<T>());
                rest.fill(T::EQUILIBRIUM);
            }
        }
        dry.fill(T::EQUILIBRIUM);
        self.started |= available > 0;
        if self.started && available < frames {
            self.health.count_xrun();
        }
        self.health.count_missing(frames - available);
        self.health.set_least_left(self.least_left.after(self.ring.slots()));
        self.health.set_callback_frames(self.largest.after(frames));
        self.health.set_device_latency(latency);
        self.health.count_callback(Instant::now(), frames);
        self.wake.wake();
    }
}

/// The largest callback of the last one or two windows: one odd callback (servers ask for two periods at the start)
/// is forgotten soon.
#[derive(Default)]
struct LargestCallback {
    in_last_window: u32,
    in_this_window: u32,
    callbacks: u32,
}

impl LargestCallback {
    /// Half a second of 10 ms callbacks.
    const WINDOW_CALLBACKS: u32 = 50;

    fn after(&mut self, frames: usize) -> u32 {
        self.in_this_window = self.in_this_window.max(u32::try_from(frames).unwrap_or(u32::MAX));
        let largest = self.in_this_window.max(self.in_last_window);
        self.callbacks += 1;
        if self.callbacks == Self::WINDOW_CALLBACKS {
            *self = Self { in_last_window: self.in_this_window, ..Self::default() };
        }
        largest
    }
}

/// What was left in the ring after a callback, at least, during the last one or two windows: how much less would have
/// been enough.
#[derive(Default)]
struct LeastLeft {
    in_last_window: Option<u32>,
    in_this_window: Option<u32>,
    callbacks: u32,
}

impl LeastLeft {
    /// A quarter of a second of 5 ms callbacks.
    const WINDOW_CALLBACKS: u32 = 50;

    fn after(&mut self, left: usize) -> u32 {
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let least = self.in_this_window.map_or(left, |least| least.min(left));
        self.in_this_window = Some(least);
        let of_both = self.in_last_window.map_or(least, |last| last.min(least));
        self.callbacks += 1;
        if self.callbacks == Self::WINDOW_CALLBACKS {
            *self = Self { in_last_window: self.in_this_window, ..Self::default() };
        }
        of_both
    }
}

#[cfg(test)]
mod tests {
    use rtrb::RingBuffer;

    use super::*;

    fn health() -> Arc<StreamHealth> {
        Arc::new(StreamHealth::new(48_000))
    }

    fn channels(n: u16) -> NonZeroU16 {
        NonZeroU16::new(n).unwrap()
    }

    #[test]
    fn capture_mixes_channels_and_counts_what_it_drops() {
        let (producer, mut consumer) = RingBuffer::new(3);
        let health = health();
        let mut capture = CaptureCallback::new(producer, channels(2), health.clone(), Wake::nobody());
        capture.run(&[i16::MAX, i16::MAX, i16::MIN, i16::MIN], Duration::from_millis(3));
        assert!((consumer.pop().unwrap() - 1.0).abs() < 1e-3);
        assert_eq!(consumer.pop().unwrap(), -1.0);
        assert_eq!(health.xruns(), 0);
        capture.run(&[0.5f32, 0.0, 0.5, 0.0, 0.5, 0.0, 0.5, 0.0], Duration::ZERO);
        assert_eq!(consumer.slots(), 3);
        assert_eq!(consumer.pop(), Ok(0.25));
        assert_eq!((health.xruns(), health.callbacks(), health.frames(), health.callback_frames()), (1, 2, 6, 4));
        assert_eq!(health.device_latency(), Duration::ZERO);
    }

    #[test]
    fn playback_fills_two_channels_and_stays_silent_when_dry() {
        let (mut producer, consumer) = RingBuffer::new(8);
        let health = health();
        let mut playback = PlaybackCallback::new(consumer, channels(3), health.clone(), Wake::nobody());
        let mut out = [7u8; 6];
        playback.run(&mut out, Duration::ZERO);
        assert_eq!(out, [128; 6]);
        assert_eq!(health.xruns(), 0, "not started yet");
        producer.push(0.5).unwrap();
        playback.run(&mut out, Duration::from_millis(20));
        assert_eq!(out, [192, 192, 128, 128, 128, 128]);
        assert_eq!((health.xruns(), health.frames()), (1, 4));
        assert_eq!(health.taken_and_missing(), (1, 3));
        assert_eq!(health.device_latency(), Duration::from_millis(20));
    }

    #[test]
    fn a_buffer_that_is_no_whole_number_of_frames_is_survived() {
        let (producer, mut consumer) = RingBuffer::new(8);
        CaptureCallback::new(producer, channels(2), health(), Wake::nobody()).run(&[1.0f32; 3], Duration::ZERO);
        assert_eq!(consumer.slots(), 1);
        let (mut producer, ring) = RingBuffer::new(8);
        producer.push_entire_slice(&[1.0; 4]).unwrap();
        let mut out = [9.0f32; 3];
        PlaybackCallback::new(ring, channels(2), health(), Wake::nobody()).run(&mut out, Duration::ZERO);
        assert_eq!(out, [1.0, 1.0, 0.0]);
        assert_eq!(consumer.pop(), Ok(1.0));
    }

    #[test]
    fn the_least_that_was_left_is_remembered_for_a_window_or_two() {
        let mut least = LeastLeft::default();
        assert_eq!((least.after(300), least.after(100), least.after(200)), (300, 100, 100));
        for _ in 0..LeastLeft::WINDOW_CALLBACKS {
            assert_eq!(least.after(200), 100);
        }
        for _ in 0..LeastLeft::WINDOW_CALLBACKS {
            least.after(200);
        }
        assert_eq!(least.after(200), 200);
    }

    #[test]
    fn one_large_callback_is_forgotten() {
        let mut largest = LargestCallback::default();
        assert_eq!(largest.after(960), 960);
        for _ in 0..2 * LargestCallback::WINDOW_CALLBACKS {
            largest.after(480);
        }
        assert_eq!(largest.after(480), 480);
    }
}
