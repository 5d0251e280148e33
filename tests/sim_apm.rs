//! Echo, noise and gain in a simulated room: pure computation with fixed seeds, every run the same.
//!
//! Bob speaks far away, a loudspeaker plays him into a room, and a microphone hears the room, a little noise of its own
//! and, in some scenes, Alice.

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "common/speech.rs"]
mod speech;

use speech::{keep, read_wav, recording};
use twocans::base::{FRAME_SAMPLES, Frame};
use twocans::voice::{Apm, ApmSettings, Noise, quality};

const RATE: usize = 48_000;
const AEC: ApmSettings = ApmSettings { echo_cancellation: true, ..ApmSettings::OFF };
const AEC_AND_NOISE: ApmSettings = ApmSettings { noise: Noise::Standard, ..AEC };

/// What makes the echo.
#[derive(Clone, Copy)]
struct Room {
    /// From the voice thread's hand-over until the microphone's frame holds the sound.
    delay_ms: usize,
    /// Level of the echo in the microphone while Bob speaks.
    echo_dbfs: f64,
    /// How much faster the speaker's clock runs than the microphone's.
    drift_ppm: f64,
    /// Third harmonic of a small loudspeaker at its full level, as a share.
    distortion: f32,
    seed: u32,
}

impl Default for Room {
    fn default() -> Self {
        Self { delay_ms: 120, echo_dbfs: -26.0, drift_ppm: 0.0, distortion: 0.0, seed: 1 }
    }
}

struct Random(u32);

impl Random {
    /// −1..1
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// The direct sound and sixty reflections within 120 ms that fall by 60 dB in 190 ms.
fn echo(far: &[f32], room: Room) -> Vec<f32> {
    let mut random = Random(room.seed);
    let mut taps = vec![(room.delay_ms * RATE / 1000, 0.35)];
    for k in 1..60 {
        let at = (room.delay_ms + 2 * k) * RATE / 1000 + (random.next().abs() * 48.0) as usize;
        taps.push((at, 0.2 * 0.93_f32.powi(k as i32) * random.next().signum()));
    }
    let played: Vec<f32> = (0..far.len())
        .map(|i| {
            let at = i as f64 * (1.0 + room.drift_ppm * 1e-6);
            let (whole, part) = (at as usize, at.fract() as f32);
            let sample = |k: usize| far.get(k).copied().unwrap_or_default();
            // Catmull–Rom: exact at the samples, good to the 8 kHz that the recordings hold.
            let (a, b, c, d) = (sample(whole.saturating_sub(1)), sample(whole), sample(whole + 1), sample(whole + 2));
            let x =
                b + 0.5 * part * (c - a + part * (2.0 * a - 5.0 * b + 4.0 * c - d + part * (3.0 * (b - c) + d - a)));
            x - room.distortion * (4.0 * x * x * x)
        })
        .collect();
    let mut heard = vec![0.0; far.len()];
    for (at, gain) in taps {
        for (sample, played) in heard[at..].iter_mut().zip(&played) {
            *sample += gain * played;
        }
    }
    at_level(&heard, room.echo_dbfs)
}

fn dbfs(signal: &[f32]) -> f64 {
    let energy: f64 = signal.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    10.0 * (energy / signal.len() as f64 + 1e-12).log10()
}

/// Level of the frames that are at most 35 dB below the loudest one.
fn active_dbfs(signal: &[f32]) -> f64 {
    let levels: Vec<f64> = signal.chunks_exact(FRAME_SAMPLES).map(dbfs).collect();
    let loudest = levels.iter().copied().fold(f64::MIN, f64::max);
    let active: Vec<f64> = levels.into_iter().filter(|level| *level > loudest - 35.0).collect();
    10.0 * (active.iter().map(|level| 10_f64.powf(level / 10.0)).sum::<f64>() / active.len() as f64).log10()
}

fn at_level(signal: &[f32], dbfs: f64) -> Vec<f32> {
    let gain = 10_f64.powf((dbfs - active_dbfs(signal)) / 20.0) as f32;
    signal.iter().map(|sample| sample * gain).collect()
}

fn looped(voice: &str, seconds: f32) -> Vec<f32> {
    let voice = read_wav(&recording(voice));
    voice.iter().copied().cycle().take((seconds * RATE as f32) as usize).collect()
}

/// `seconds` of silence, then the voice at −26 dBFS, then silence up to `len` samples.
fn near(voice: &str, seconds: f32, len: usize) -> Vec<f32> {
    let mut near = vec![0.0; (seconds * RATE as f32) as usize];
    near.extend(at_level(&read_wav(&recording(voice)), -26.0));
    near.resize(len, 0.0);
    near
}

fn sum(signals: &[&[f32]]) -> Vec<f32> {
    let mut random = Random(99);
    // The microphone's own noise: −75 dBFS.
    (0..signals[0].len()).map(|i| signals.iter().map(|signal| signal[i]).sum::<f32>() + 3e-4 * random.next()).collect()
}

fn process(settings: ApmSettings, far: &[f32], mic: &[f32]) -> Vec<f32> {
    let mut apm = Apm::new(settings);
    let mut out = Vec::with_capacity(mic.len());
    for (far, mic) in far.chunks_exact(FRAME_SAMPLES).zip(mic.chunks_exact(FRAME_SAMPLES)) {
        let mut frame: Frame = mic.try_into().unwrap();
        apm.process_render(far);
        apm.process_capture(&mut frame);
        out.extend(frame);
    }
    out
}

fn seconds(from: f32, to: f32) -> std::ops::Range<usize> {
    (from * RATE as f32) as usize..(to * RATE as f32) as usize
}

/// How much weaker the echo is after the processing.
fn erle_db(mic: &[f32], out: &[f32], range: std::ops::Range<usize>) -> f64 {
    dbfs(&mic[range.clone()]) - dbfs(&out[range])
}

/// Share of Alice's frames above −40 dBFS that come out more than 10 dB too weak, and PESQ-WB of what is left of her.
fn double_talk(settings: ApmSettings, room: Room) -> (f64, f32) {
    let far = looped("bob", 20.0);
    let near = near("alice", 10.0, far.len());
    let mic = sum(&[&echo(&far, room), &near]);
    let out = process(settings, &far, &mic);
    // Samples; src/voice/apm/tests.rs measures it.
    let delay = if settings.noise == Noise::Off { 336 } else { 624 };
    let (mut active, mut cut) = (0, 0);
    for start in (0..out.len() - FRAME_SAMPLES - delay).step_by(FRAME_SAMPLES) {
        let level = dbfs(&near[start..start + FRAME_SAMPLES]);
        if level > -40.0 {
            active += 1;
            cut += usize::from(dbfs(&out[start + delay..start + delay + FRAME_SAMPLES]) < level - 10.0);
        }
    }
    let talk = seconds(10.0, 19.5);
    (f64::from(cut as u32) / f64::from(active), quality::pesq_wb_48k(&near[talk.clone()], &out[talk]).unwrap())
}

#[test]
fn echo_alone_falls_at_every_delay() {
    let far = looped("bob", 20.0);
    for delay_ms in [30, 120, 250] {
        let mic = sum(&[&echo(&far, Room { delay_ms, ..Room::default() })]);
        for settings in [AEC, AEC_AND_NOISE] {
            let out = process(settings, &far, &mic);
            let (first, then) = (erle_db(&mic, &out, seconds(0.5, 3.0)), erle_db(&mic, &out, seconds(3.0, 20.0)));
            println!("{delay_ms} ms, {settings:?}: echo −{first:.1} dB within 3 s, then −{then:.1} dB");
            assert!(first >= 28.0 && then >= 42.0, "{delay_ms} ms, {settings:?}: {first:.1} dB, {then:.1} dB");
        }
    }
}

#[test]
fn echo_falls_though_the_clocks_differ_the_loudspeaker_distorts_and_the_room_changes() {
    let far = looped("bob", 20.0);
    let falls = |echo: &[f32], from: f32| {
        let mic = sum(&[echo]);
        erle_db(&mic, &process(AEC, &far, &mic), seconds(from, 20.0))
    };
    for drift_ppm in [100.0, -100.0] {
        let erle = falls(&echo(&far, Room { drift_ppm, ..Room::default() }), 3.0);
        println!("clocks {drift_ppm:+} ppm apart: echo −{erle:.1} dB");
        assert!(erle >= 33.0, "{drift_ppm} ppm: {erle:.1} dB");
    }
    let erle = falls(&echo(&far, Room { distortion: 0.3, ..Room::default() }), 3.0);
    println!("distorting loudspeaker: echo −{erle:.1} dB");
    assert!(erle >= 42.0, "{erle:.1} dB");
    // Somebody carries the laptop into another room after 10 s.
    let (one, other) = (echo(&far, Room::default()), echo(&far, Room { seed: 5, delay_ms: 90, ..Room::default() }));
    let moved: Vec<f32> = one[..10 * RATE].iter().chain(&other[10 * RATE..]).copied().collect();
    let erle = falls(&moved, 12.0);
    println!("another room: echo −{erle:.1} dB from 2 s after the move on");
    assert!(erle >= 42.0, "{erle:.1} dB");
}

/// A device that loses or repeats a piece of sound moves the echo to another delay.
#[test]
fn echo_falls_again_after_its_delay_has_moved() {
    let far = looped("bob", 20.0);
    for step_ms in [1, 5, 20] {
        let mut played = far.clone();
        for at in [5, 10, 15] {
            played.splice(at * RATE..at * RATE, vec![0.0; step_ms * RATE / 1000]);
        }
        played.truncate(far.len());
        let mic = sum(&[&echo(&played, Room::default())]);
        let out = process(AEC, &far, &mic);
        for at in [5.0, 10.0, 15.0] {
            let (at_once, then) = (seconds(at, at + 2.0), seconds(at + 2.0, at + 5.0));
            let (at_once, then) = (erle_db(&mic, &out, at_once), erle_db(&mic, &out, then));
            println!("{step_ms} ms later at {at} s: echo −{at_once:.1} dB within 2 s, then −{then:.1} dB");
            assert!(at_once >= 6.0 && then >= 35.0, "{step_ms} ms at {at} s: {at_once:.1} dB, {then:.1} dB");
        }
    }
}

#[test]
fn the_gain_control_does_not_raise_what_is_left_of_the_echo() {
    let far = looped("bob", 20.0);
    let mic = sum(&[&echo(&far, Room::default())]);
    let left = dbfs(&process(ApmSettings::default(), &far, &mic)[seconds(3.0, 20.0)]);
    println!("everything on: {left:.1} dBFS of the echo are left");
    assert!(left <= -62.0, "{left:.1} dBFS");
}

/// Both speak at once for 9.5 s, after 10 s of Bob alone.
#[test]
fn double_talk_leaves_most_of_the_near_voice() {
    for (echo_dbfs, at_most) in [(-26.0, 0.25), (-36.0, 0.11)] {
        for delay_ms in [30, 120, 250] {
            for settings in [AEC, AEC_AND_NOISE] {
                let (cut, pesq) = double_talk(settings, Room { delay_ms, echo_dbfs, ..Room::default() });
                println!(
                    "near {:+.0} dB over echo, {delay_ms} ms, {settings:?}: {:.1} % of the frames cut, PESQ-WB {pesq:.2}",
                    -26.0 - echo_dbfs,
                    cut * 100.0,
                );
                assert!(cut <= at_most, "{echo_dbfs} dBFS, {delay_ms} ms, {settings:?}: {cut:.2}");
            }
        }
    }
}

#[test]
fn the_near_voice_alone_stays_as_it_is() {
    let silence = vec![0.0; 20 * RATE];
    let near = near("alice", 1.0, silence.len());
    let mic = sum(&[&near]);
    for (settings, at_least) in [
        (AEC, 4.0),
        (AEC_AND_NOISE, 4.0),
        (ApmSettings { gain_control: true, ..ApmSettings::OFF }, 4.0),
        (ApmSettings { noise: Noise::Strong, ..ApmSettings::OFF }, 4.1),
        (ApmSettings { noise: Noise::Strong, ..ApmSettings::default() }, 4.0),
        (ApmSettings::default(), 4.0),
    ] {
        let out = process(settings, &silence, &mic);
        let talk = seconds(1.0, 11.0);
        let pesq = quality::pesq_wb_48k(&near[talk.clone()], &out[talk]).unwrap();
        println!("{settings:?}: PESQ-WB {pesq:.2}");
        assert!(pesq >= at_least, "{settings:?}: {pesq:.2}");
    }
}

/// Devices that are muted, or have a gate, deliver zeros.
#[test]
fn a_voice_out_of_utter_silence_is_no_noise() {
    let silence = vec![0.0; 20 * RATE];
    let mic = near("alice", 6.0, silence.len());
    for settings in [AEC_AND_NOISE, ApmSettings { noise: Noise::Strong, ..AEC }] {
        let out = process(settings, &silence, &mic);
        let talk = seconds(6.0, 16.0);
        let pesq = quality::pesq_wb_48k(&mic[talk.clone()], &out[talk]).unwrap();
        println!("after zeros, {settings:?}: PESQ-WB {pesq:.2}");
        assert!(pesq >= 4.2, "{settings:?}: {pesq:.2}");
    }
}

/// A fan at −50 dBFS, 24 dB below the voice.
#[test]
fn noise_falls_and_strong_suppression_takes_more() {
    let silence = vec![0.0; 20 * RATE];
    let mut random = Random(3);
    let fan: Vec<f32> = (0..silence.len()).map(|_| random.next() * 5.5e-3).collect();
    let near = near("alice", 4.0, silence.len());
    let mic = sum(&[&near, &fan]);
    let pause = seconds(15.0, 20.0);
    let fall = |noise: Noise| {
        let out = process(ApmSettings { noise, ..ApmSettings::OFF }, &silence, &mic);
        dbfs(&mic[pause.clone()]) - dbfs(&out[pause.clone()])
    };
    let (standard, strong) = (fall(Noise::Standard), fall(Noise::Strong));
    println!("noise in a pause: standard −{standard:.1} dB, strong −{strong:.1} dB");
    assert!(standard >= 4.5 && strong >= standard + 6.0, "{standard:.1} dB, {strong:.1} dB");
}

/// Keys that are struck some five times a second, as loud as Alice, and many people who talk behind her, 5 dB below.
#[test]
fn strong_suppression_spares_the_voice_among_keys_and_people() {
    let silence = vec![0.0; 15 * RATE];
    let near = near("alice", 4.0, silence.len());
    let talk = seconds(4.0, 14.0);
    let noises = [("keyboard", keyboard(silence.len()), -26.0, 0.3), ("babble", babble(silence.len()), -31.0, 0.03)];
    for (name, noise, dbfs, gain) in noises {
        let mic = sum(&[&near, &at_level(&noise, dbfs)]);
        let out = process(ApmSettings { noise: Noise::Strong, ..ApmSettings::OFF }, &silence, &mic);
        keep(&format!("dns-{name}-noisy"), &mic[talk.clone()]);
        keep(&format!("dns-{name}-strong"), &out[talk.clone()]);
        let score = |sound: &[f32]| quality::pesq_wb_48k(&near[talk.clone()], &sound[talk.clone()]).unwrap();
        let (before, after) = (score(&mic), score(&out));
        println!("{name}: PESQ-WB {before:.2}, {after:.2} with strong suppression");
        assert!(after >= before + gain, "{name}: {before:.2}, {after:.2}");
    }
}

/// Clicks of 8 ms, bright, each of a loudness of its own.
fn keyboard(len: usize) -> Vec<f32> {
    let mut random = Random(17);
    let mut noise = vec![0.0; len];
    let mut at = 0;
    while at + 2 * FRAME_SAMPLES < len {
        let loud = 0.3 + random.next().abs();
        let (mut low, mut before) = (0.0, 0.0);
        for (i, sample) in noise[at..at + 2 * FRAME_SAMPLES].iter_mut().enumerate() {
            let white = random.next();
            low += 0.6 * (white - low);
            *sample = loud * (low - before) * (-(i as f32) / 200.0).exp();
            before = low;
        }
        at += RATE / 8 + (random.next().abs() * RATE as f32 / 5.0) as usize;
    }
    noise
}

/// Eight people: both voices, forwards and backwards, at other speeds.
fn babble(len: usize) -> Vec<f32> {
    let mut all = vec![0.0; len];
    for (person, speed) in [0.87_f32, 0.93, 1.06, 1.13, 0.9, 0.97, 1.03, 1.1].into_iter().enumerate() {
        let mut voice = at_level(&read_wav(&recording(["alice", "bob"][person % 2])), -26.0);
        if person >= 4 {
            voice.reverse();
        }
        let start = person as f32 * 1.3 * RATE as f32;
        for (i, sample) in all.iter_mut().enumerate() {
            *sample += voice[(start + i as f32 * speed) as usize % voice.len()];
        }
    }
    all
}

#[test]
fn quiet_and_loud_voices_come_closer() {
    let far = vec![0.0; 40 * RATE];
    let level = |dbfs: f64| {
        let mic = sum(&[&at_level(&looped("alice", 40.0), dbfs)]);
        let out = process(ApmSettings { gain_control: true, ..ApmSettings::OFF }, &far, &mic);
        assert!(out.iter().all(|sample| sample.abs() <= 1.0));
        active_dbfs(&out[seconds(30.0, 40.0)])
    };
    let (quiet, loud) = (level(-46.0), level(-16.0));
    println!("voices of −46 and −16 dBFS come out at {quiet:.1} and {loud:.1} dBFS");
    assert!(quiet >= -28.0 && loud <= -14.0 && loud - quiet <= 12.0, "{quiet:.1} dBFS, {loud:.1} dBFS");
}
