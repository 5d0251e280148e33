//! The fakes against the real clock. Sleeps are real: that is what is tested.

use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::audio::WavWriter;

const MS: Duration = Duration::from_millis(1);

/// A file in which sample n has the value n + 1, for `length` samples.
fn counting_file(folder: &Path, length: i16) -> std::path::PathBuf {
    let path = folder.join("count.wav");
    WavWriter::create(&path).unwrap().append(&(1..=length).collect::<Vec<_>>()).unwrap();
    path
}

fn drain(input: &mut Input) -> Vec<i16> {
    let waiting = input.samples.slots();
    input.samples.read_chunk(waiting).unwrap().into_iter().map(|sample| (sample * 32_768.0) as i16).collect()
}

/// What the microphone delivers until `until`.
fn listen(input: &mut Input, until: Instant) -> Vec<i16> {
    let mut heard = Vec::new();
    while Instant::now() < until {
        thread::sleep(20 * MS);
        heard.extend(drain(input));
    }
    heard
}

#[test]
fn the_pace_is_the_clocks_and_does_not_drift() {
    let mut input = open_silence(480, Wake::this_thread()).unwrap();
    let output = open_null(480, Wake::nobody()).unwrap();
    let mut wakes = 0;
    let start = Instant::now();
    while start.elapsed() < 1500 * MS {
        thread::park_timeout(100 * MS);
        wakes += 1;
        drain(&mut input);
    }
    for stream in [&input.stream, &output.stream] {
        let health = stream.health();
        let elapsed = health.last_callback().unwrap().duration_since(start).as_secs_f64();
        let heard = health.frames() as f64 / f64::from(SAMPLE_RATE_HZ);
        assert!((heard - elapsed).abs() < 0.025, "{heard} s of sound in {elapsed} s");
        assert_eq!(health.callback_frames(), 480);
    }
    assert!((120..=170).contains(&wakes), "{wakes} wakes in 1.5 s");
}

#[test]
fn longer_periods_wake_less_often() {
    let input = open_tone(440.0, 960, Wake::nobody()).unwrap();
    thread::sleep(500 * MS);
    let health = input.stream.health();
    assert_eq!(health.callback_frames(), 960);
    assert!((22..=27).contains(&health.callbacks()), "{} callbacks", health.callbacks());
}

#[test]
fn a_file_is_silent_until_its_gate_opens_then_plays_once_from_sample_zero_in_real_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut input = open_file_source(&counting_file(folder.path(), 9_600), false, false, 480, Wake::nobody()).unwrap();
    let closed = listen(&mut input, Instant::now() + 100 * MS);
    assert!(closed.len() > 2_000 && closed.iter().all(|sample| *sample == 0), "{} samples", closed.len());

    let opened = Instant::now();
    let t0 = input.stream.gate().open(opened);
    assert!(t0.duration_since(opened) < MS && opened.duration_since(t0) < MS);
    let heard = listen(&mut input, opened + 400 * MS);
    let first = heard.iter().position(|sample| *sample == 1).expect("the file starts");
    assert!(heard[..first].iter().all(|sample| *sample == 0));
    assert!((1..=9_600).all(|n| heard[first + n - 1] == n as i16), "the file is whole");
    assert!(heard[first + 9_600..].iter().all(|sample| *sample == 0), "and is not repeated");

    // In real time: the number of samples delivered since says which moment each one belongs to.
    let end = input.stream.health().last_callback().unwrap();
    drain(&mut input);
    let sample_0_was = end - Duration::from_secs_f64((heard.len() - first) as f64 / 48_000.0);
    let off = sample_0_was.saturating_duration_since(t0) + t0.saturating_duration_since(sample_0_was);
    assert!(off < 25 * MS, "off by {off:?}");
}

#[test]
fn a_gate_opened_in_the_past_continues_the_tape_and_loop_repeats_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = counting_file(folder.path(), 1_000);
    let mut input = open_file_source(&path, true, false, 480, Wake::nobody()).unwrap();
    input.stream.gate().open(Instant::now() - Duration::from_secs(1));
    let heard = listen(&mut input, Instant::now() + 100 * MS);
    let playing = heard.iter().position(|sample| *sample != 0).unwrap();
    assert!(heard[playing..].windows(2).all(|pair| pair[1] == pair[0] % 1_000 + 1));
}

#[test]
fn a_file_that_starts_at_launch_needs_no_call() {
    let folder = tempfile::tempdir().unwrap();
    let input = open_file_source(&counting_file(folder.path(), 10), false, true, 480, Wake::nobody()).unwrap();
    assert_eq!(input.stream.gate().t0(), Some(launched_at()));
}

#[test]
fn a_recording_lasts_from_gate_open_to_gate_close_and_each_sample_stands_at_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heard.wav");
    let mut output = open_file_sink(&path, 480, Wake::this_thread()).unwrap();
    assert_eq!(hound::WavReader::open(&path).unwrap().duration(), 0, "valid before the call");
    let mut value = 0i16;
    let mut play = |output: &mut Output, until: Instant| {
        while Instant::now() < until {
            thread::park_timeout(20 * MS);
            while output.samples.buffer().capacity() - output.samples.slots() < 960 {
                value = value % 30_000 + 1;
                output.samples.push(f32::from(value) / 32_768.0).unwrap();
            }
        }
    };
    for _ in 0..2 {
        play(&mut output, Instant::now() + 50 * MS);
        let opened = Instant::now();
        output.stream.gate().open(opened);
        play(&mut output, opened + 400 * MS);
        let during = hound::WavReader::open(&path).unwrap().duration();
        assert!(during >= 9_600, "the header of a running recording claims {during} samples");
        output.stream.gate().close();
        let lasted = opened.elapsed().as_secs_f64() * 48_000.0;
        let heard: Vec<i16> = hound::WavReader::open(&path).unwrap().samples().map(Result::unwrap).collect();
        assert!((heard.len() as f64 - lasted).abs() < 1_200.0, "{} samples in {lasted}", heard.len());
        let sound = heard.iter().position(|sample| *sample != 0).unwrap();
        assert!(sound <= 480, "at most the block that was already playing is missing: {sound}");
        assert!(heard[sound..].windows(2).all(|pair| pair[1] == pair[0] % 30_000 + 1), "nothing is lost or doubled");
        play(&mut output, Instant::now() + 50 * MS);
        assert_eq!(hound::WavReader::open(&path).unwrap().duration() as usize, heard.len(), "closed is closed");
    }
}

#[test]
fn a_path_that_cannot_be_written_is_refused_at_once() {
    let error = open_file_sink(Path::new("/nonexistent/folder/out.wav"), 480, Wake::nobody()).err().unwrap();
    assert!(check_file_sink(Path::new("/nonexistent/folder/out.wav")).is_err());
    assert!(check_file_sink(&std::env::temp_dir()).is_err());
    assert!(check_file_sink(Path::new("out.wav")).is_ok() && !Path::new("out.wav").exists());
    assert!(matches!(error, AudioError::CannotRecord { .. }) && error.to_string().contains("/nonexistent"));
}
