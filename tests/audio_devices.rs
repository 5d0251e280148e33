//! Sound devices, with a real PulseAudio and real virtual devices.

mod common;

use std::f32::consts::TAU;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::device_lab::{Lab, in_lab, without_server};
use twocans::audio::{
    AudioError, AudioRole, Input, Output, RingTone, Ringing, SinkSpec, SourceSpec, Wake, devices, open_input,
    open_output,
};

const MS: Duration = Duration::from_millis(1);
const TONE_HZ: f32 = 1_000.0;

/// A microphone fed through the sink `to_mic`, and a speaker heard at `spk.monitor`.
const HEADSET: &str = "
load-module module-null-sink sink_name=to_mic rate=48000 channels=1 channel_map=mono format=float32le norewinds=1
load-module module-remap-source source_name=mic master=to_mic.monitor source_properties=device.description=VirtualMicrophone
load-module module-null-sink sink_name=spk rate=48000 channels=2 format=float32le norewinds=1 sink_properties=device.description=VirtualSpeaker
set-default-source mic
set-default-sink spk";

/// A telephone-like microphone.
const OLD_MICROPHONE: &str = "
load-module module-null-sink sink_name=to_mic rate=44100 channels=1 channel_map=mono format=s16le norewinds=1
load-module module-null-sink sink_name=spk rate=44100 channels=1 channel_map=mono format=s16le norewinds=1
set-default-source to_mic.monitor
set-default-sink spk";

/// What is played comes back.
const CABLE: &str = "
load-module module-null-sink sink_name=cable rate=48000 channels=1 channel_map=mono format=float32le norewinds=1
load-module module-null-sink sink_name=other rate=48000 channels=1 channel_map=mono
set-default-source cable.monitor
set-default-sink other";

fn tone(rate_hz: u32, seconds: f32) -> Vec<f32> {
    (0..(rate_hz as f32 * seconds) as u32).map(|n| 0.5 * (TAU * TONE_HZ * n as f32 / rate_hz as f32).sin()).collect()
}

/// Amplitude of the tone in the samples (Goertzel's correlation), wherever it is.
fn tone_level(samples: &[f32], rate_hz: u32) -> f32 {
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let phase = TAU * (TONE_HZ * n as f32 / rate_hz as f32).fract();
        sine += sample * phase.sin();
        cosine += sample * phase.cos();
    }
    2.0 * f32::hypot(sine, cosine) / samples.len() as f32
}

/// The best whole 100 ms: a busy machine may drop some sound, which changes the phase but not the frequency. A shorter
/// rest holds no whole number of periods, and its correlation may come out above the tone's amplitude.
fn best_tone_level(samples: &[f32], rate_hz: u32) -> f32 {
    samples.chunks_exact(rate_hz as usize / 10).map(|part| tone_level(part, rate_hz)).fold(0.0, f32::max)
}

fn drain(input: &mut Input) -> Vec<f32> {
    let waiting = input.samples.slots();
    input.samples.read_chunk(waiting).unwrap().into_iter().collect()
}

fn listen(input: &mut Input, length: Duration) -> Vec<f32> {
    let until = Instant::now() + length;
    let mut heard = Vec::new();
    while Instant::now() < until {
        thread::park_timeout(20 * MS);
        heard.append(&mut drain(input));
    }
    heard
}

/// Keeps the playback ring about one callback full, from an endless sound.
fn speak(output: &mut Output, mut sound: impl Iterator<Item = f32>, length: Duration) {
    let until = Instant::now() + length;
    while Instant::now() < until {
        let waiting = output.samples.buffer().capacity() - output.samples.slots();
        for _ in waiting..2 * output.stream.health().callback_frames().max(480) as usize {
            output.samples.push(sound.next().unwrap()).unwrap();
        }
        thread::park_timeout(20 * MS);
    }
}

#[test]
fn every_listed_device_can_be_opened_by_its_id() {
    in_lab("every_listed_device_can_be_opened_by_its_id", HEADSET, |_| {
        let list = devices().unwrap();
        let ids: Vec<_> = list.iter().map(|device| (device.role, device.id.as_str(), device.is_default)).collect();
        assert_eq!(ids[0], (AudioRole::Microphone, "pulseaudio:mic", true));
        assert!(ids.contains(&(AudioRole::Speaker, "pulseaudio:spk", true)), "{ids:?}");
        assert!(ids.contains(&(AudioRole::Speaker, "pulseaudio:to_mic", false)), "{ids:?}");
        assert_eq!(list[0].name, "VirtualMicrophone");
        assert_eq!((list[0].default_rate_hz, list[0].channels), (48_000, 1));
        for device in &list {
            let health = match device.role {
                AudioRole::Microphone => {
                    let input = open_input(&SourceSpec::Device(device.id.clone()), 480, Wake::nobody()).unwrap();
                    assert_eq!(input.stream.device_id(), Some(device.id.as_str()));
                    thread::sleep(100 * MS);
                    input.stream.health().clone()
                }
                AudioRole::Speaker | AudioRole::Ring => {
                    let output = open_output(&SinkSpec::Device(device.id.clone()), 480, Wake::nobody()).unwrap();
                    assert_eq!(output.stream.device_name(), Some(device.name.as_str()));
                    thread::sleep(100 * MS);
                    output.stream.health().clone()
                }
            };
            assert!(health.callbacks() > 0, "{} stays silent", device.id);
            assert_eq!(health.fault(), None, "{}", device.id);
        }
        let by_bare_name = open_output(&SinkSpec::Device("spk".into()), 480, Wake::nobody()).unwrap();
        assert_eq!(by_bare_name.stream.device_id(), Some("pulseaudio:spk"));
    });
}

#[test]
fn an_unknown_device_is_refused_with_the_known_ones() {
    in_lab("an_unknown_device_is_refused_with_the_known_ones", HEADSET, |_| {
        let error = open_input(&SourceSpec::Device("pulseaudio:nosuch".into()), 480, Wake::nobody()).err().unwrap();
        let sentence = error.to_string();
        assert!(matches!(error, AudioError::UnknownDevice { .. }));
        assert!(sentence.contains("no microphone called \"pulseaudio:nosuch\""), "{sentence}");
        assert!(sentence.contains("pulseaudio:mic"), "{sentence}");
    });
}

#[test]
fn a_microphone_is_captured_at_its_own_rate() {
    in_lab("a_microphone_is_captured_at_its_own_rate", HEADSET, |lab| capture(lab, 48_000));
}

#[test]
fn a_44100_hz_mono_microphone_is_captured_at_its_own_rate() {
    in_lab("a_44100_hz_mono_microphone_is_captured_at_its_own_rate", OLD_MICROPHONE, |lab| capture(lab, 44_100));
}

fn capture(lab: &Lab, rate_hz: u32) {
    let _player = lab.play("to_mic", rate_hz, &tone(rate_hz, 5.0));
    let mut input = open_input(&SourceSpec::Default, 480, Wake::this_thread()).unwrap();
    assert_eq!(input.rate_hz, rate_hz);
    listen(&mut input, 500 * MS);
    let health = input.stream.health().clone();
    let (frames, since) = (health.frames(), health.last_callback().unwrap());
    let heard = listen(&mut input, 1500 * MS);
    let level = best_tone_level(&heard, rate_hz);
    assert!((0.45..0.55).contains(&level), "the tone of amplitude 0.5 arrives with {level}");
    let seconds = health.last_callback().unwrap().duration_since(since).as_secs_f64();
    let rate = (health.frames() - frames) as f64 / seconds;
    assert!((rate / f64::from(rate_hz) - 1.0).abs() < 0.03, "{rate} frames a second");
    assert_eq!(health.fault(), None);
}

#[test]
fn playback_reaches_the_speaker() {
    in_lab("playback_reaches_the_speaker", HEADSET, |lab| play_back(lab, 48_000));
}

#[test]
fn playback_reaches_a_44100_hz_mono_speaker() {
    in_lab("playback_reaches_a_44100_hz_mono_speaker", OLD_MICROPHONE, |lab| play_back(lab, 44_100));
}

fn play_back(lab: &Lab, rate_hz: u32) {
    let playing = Arc::new(AtomicBool::new(true));
    let goes_on = playing.clone();
    let speaker = thread::spawn(move || {
        let mut output = open_output(&SinkSpec::Default, 480, Wake::this_thread()).unwrap();
        assert_eq!(output.rate_hz, rate_hz);
        let mut sound = tone(rate_hz, 1.0).into_iter().cycle();
        while goes_on.load(Ordering::Relaxed) {
            speak(&mut output, &mut sound, 100 * MS);
        }
        assert_eq!(output.stream.health().fault(), None);
    });
    let heard = lab.record("spk.monitor", rate_hz, 2_000 * MS);
    playing.store(false, Ordering::Relaxed);
    speaker.join().unwrap();
    let level = best_tone_level(&heard, rate_hz);
    assert!((0.45..0.55).contains(&level), "the tone of amplitude 0.5 arrives with {level}");
}

/// PulseAudio's client lets only one playback stream of a connection run.
#[test]
fn several_streams_run_at_once_on_any_devices() {
    in_lab("several_streams_run_at_once_on_any_devices", HEADSET, |_| {
        let output = |id: &str| open_output(&SinkSpec::Device(id.into()), 480, Wake::nobody()).unwrap();
        let ring = RingTone::start(Ringing::Incoming, &SinkSpec::Default).unwrap();
        let outputs = [output("pulseaudio:spk"), output("pulseaudio:spk"), output("pulseaudio:to_mic")];
        let input = || open_input(&SourceSpec::Default, 480, Wake::nobody()).unwrap();
        let inputs = [input(), input()];
        drop(ring);
        thread::sleep(200 * MS);
        for stream in outputs.iter().map(|output| &output.stream).chain(inputs.iter().map(|input| &input.stream)) {
            assert!(stream.health().silent_for(Instant::now()) < 100 * MS && stream.health().fault().is_none());
        }
    });
}

#[test]
fn a_ring_tone_is_heard_on_a_device() {
    in_lab("a_ring_tone_is_heard_on_a_device", HEADSET, |lab| {
        let ring = RingTone::start(Ringing::Incoming, &SinkSpec::Device("pulseaudio:spk".into())).unwrap();
        let heard = lab.record("spk.monitor", 48_000, 1_500 * MS);
        drop(ring);
        assert!(heard.iter().any(|sample| sample.abs() > 0.1), "silence");
    });
}

/// The sound of a click goes out and comes back: both device buffers, without our rings' or anybody's processing.
#[test]
fn the_round_trip_is_short() {
    in_lab("the_round_trip_is_short", CABLE, |_| {
        for frames in [480, 240] {
            let mut input = open_input(&SourceSpec::Default, frames, Wake::this_thread()).unwrap();
            let spec = SinkSpec::Device("pulseaudio:cable".into());
            let mut output = open_output(&spec, frames, Wake::this_thread()).unwrap();
            listen(&mut input, 300 * MS);
            let mut trips_ms: Vec<f64> = (0..20).filter_map(|_| click(&mut input, &mut output)).collect();
            trips_ms.sort_by(f64::total_cmp);
            assert!(trips_ms.len() >= 10, "only {} of 20 clicks came back", trips_ms.len());
            let (p50, p95) = (trips_ms[trips_ms.len() / 2], trips_ms[trips_ms.len() * 95 / 100]);
            eprintln!("measured: round trip with {frames} frames: p50 {p50:.1} ms, p95 {p95:.1} ms");
            assert!(p50 < 80.0, "{p50} ms");
        }
    });
}

/// From handing a click to the empty playback ring until the callback that brings it back.
fn click(input: &mut Input, output: &mut Output) -> Option<f64> {
    listen(input, 53 * MS);
    output.samples.push(0.9).ok()?;
    let start = Instant::now();
    while start.elapsed() < 300 * MS {
        thread::park_timeout(5 * MS);
        if drain(input).iter().any(|sample| *sample > 0.3) {
            return Some(input.stream.health().last_callback()?.duration_since(start).as_secs_f64() * 1e3);
        }
    }
    None
}

#[test]
fn opening_and_closing_leaves_nothing_behind() {
    in_lab("opening_and_closing_leaves_nothing_behind", HEADSET, |_| {
        let once = || {
            let input = open_input(&SourceSpec::Default, 480, Wake::nobody()).unwrap();
            let output = open_output(&SinkSpec::Default, 480, Wake::nobody()).unwrap();
            devices().unwrap();
            drop((input, output));
        };
        let count = |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
        (0..3).for_each(|_| once());
        thread::sleep(100 * MS);
        let before = (count("fd"), count("task"));
        (0..20).for_each(|_| once());
        thread::sleep(100 * MS);
        assert_eq!((count("fd"), count("task")), before, "descriptors, threads");
    });
}

#[test]
fn a_frozen_server_costs_an_error_and_not_the_program() {
    in_lab("a_frozen_server_costs_an_error_and_not_the_program", HEADSET, |lab| {
        let input = open_input(&SourceSpec::Default, 480, Wake::nobody()).unwrap();
        lab.signal_server("STOP");
        let start = Instant::now();
        assert!(matches!(devices(), Err(AudioError::Hung)));
        assert!(matches!(open_output(&SinkSpec::Default, 480, Wake::nobody()).err(), Some(AudioError::Hung)));
        assert!(input.stream.health().silent_for(Instant::now()) > 1_000 * MS);
        let closing = Instant::now();
        drop(input);
        assert!(closing.elapsed() < 1_000 * MS, "closing took {:?}", closing.elapsed());
        assert!(start.elapsed() < 8_000 * MS);
        lab.signal_server("CONT");
        assert!(devices().is_ok());
    });
}

#[test]
fn without_any_sound_system_there_is_one_sentence_and_a_clean_stderr() {
    let stderr = without_server("without_any_sound_system_there_is_one_sentence_and_a_clean_stderr", || {
        match open_input(&SourceSpec::Default, 480, Wake::nobody()) {
            Ok(input) => eprintln!("this machine has {:?}", input.stream.device_name()),
            Err(error) => eprintln!("sentence: {error}"),
        }
        let _ = devices();
        let _ = open_output(&SinkSpec::Default, 480, Wake::nobody());
        let _ = open_output(&SinkSpec::Device("alsa:plughw:CARD=9,DEV=9".into()), 480, Wake::nobody());
    });
    if let Some(stderr) = stderr {
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(!stderr.contains("ALSA lib"), "{stderr}");
    }
}
