//! The device callbacks never touch the allocator: a single allocation or free in them aborts this test.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use rtrb::RingBuffer;
use twocans::audio::{CaptureCallback, PlaybackCallback, StreamHealth, Wake};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

const LATENCY: Duration = Duration::from_millis(7);

fn stereo() -> NonZeroU16 {
    NonZeroU16::new(2).unwrap()
}

/// A thread that parks, as the voice thread does, so that the wake-up is a real one.
fn with_sleeper(test: impl FnOnce(Wake)) {
    let stop = Arc::new(AtomicBool::new(false));
    let sleeper = thread::spawn({
        let stop = stop.clone();
        move || {
            while !stop.load(Ordering::Relaxed) {
                thread::park();
            }
        }
    });
    test(Wake::thread(sleeper.thread().clone()));
    stop.store(true, Ordering::Relaxed);
    sleeper.thread().unpark();
    sleeper.join().unwrap();
}

#[test]
fn capture_allocates_nothing_with_room_without_room_and_without_a_reader() {
    with_sleeper(|wake| {
        let health = Arc::new(StreamHealth::new(48_000));
        let (producer, consumer) = RingBuffer::new(1_000);
        let mut capture = CaptureCallback::new(producer, stereo(), health.clone(), wake);
        let (ints, floats) = ([1_000i16; 960], [0.1f32; 960]);
        assert_no_alloc(|| {
            capture.run(&ints, LATENCY);
            capture.run(&floats, LATENCY);
            capture.run(&floats, LATENCY);
        });
        assert_eq!((health.xruns(), health.callbacks()), (1, 3));
        drop(consumer);
        assert_no_alloc(|| (0..200).for_each(|_| capture.run(&ints, LATENCY)));
    });
}

#[test]
fn playback_allocates_nothing_filled_dry_and_without_a_writer() {
    with_sleeper(|wake| {
        let health = Arc::new(StreamHealth::new(48_000));
        let (mut producer, consumer) = RingBuffer::new(1_000);
        let mut playback = PlaybackCallback::new(consumer, stereo(), health.clone(), wake);
        let (mut ints, mut floats) = ([0i16; 960], [0f32; 960]);
        producer.push_entire_slice(&[0.5; 720]).unwrap();
        assert_no_alloc(|| {
            playback.run(&mut ints, LATENCY);
            playback.run(&mut floats, LATENCY);
            playback.run(&mut floats, LATENCY);
        });
        assert_eq!((health.xruns(), health.frames()), (2, 1_440));
        drop(producer);
        assert_no_alloc(|| (0..200).for_each(|_| playback.run(&mut ints, LATENCY)));
    });
}

/// The test would not notice anything if the allocator were not in force.
#[test]
fn the_allocator_is_in_force() {
    const CHILD: &str = "TWOCANS_ALLOCATES";
    if std::env::var(CHILD).is_ok() {
        assert_no_alloc(|| drop(mpsc::channel::<Box<u8>>().0.send(Box::new(1))));
        return;
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_allocator_is_in_force", "--nocapture"])
        .env(CHILD, "1")
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success(), "an allocation went unnoticed");
}
