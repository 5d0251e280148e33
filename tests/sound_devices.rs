//! A call between two processes with real sound devices: virtual microphones and speakers of a private PulseAudio
//! server, opened through cpal as any device is.

mod common;

use std::time::Duration;

use common::process::Process;
use common::pulse::{Channel, Pulse};
use common::skip::skip;
use common::speech::{Heard, SAMPLE_RATE_HZ, dbfs, heard, pesq_wb, read_wav, read_wav_channel, recording};
use common::world::{AUTO, REACTION, UNPROCESSED, World, finish};

#[test]
fn two_people_talk_through_sound_devices() {
    let world = World::on_loopback();
    let pulse = match Pulse::start(&world.file("pulse")) {
        Ok(pulse) => pulse,
        Err(why) => return skip("two_people_talk_through_sound_devices", &why),
    };
    let environment = pulse.environment();
    let device = |kind: &str, name: &str| world.device_id(&environment, kind, name);
    let (mic_a, speaker_a) = (device("input", "micA"), device("output", "spkA"));
    let (mic_b, speaker_b) = (device("input", "micB"), device("output", "spkB"));
    println!("microphones {mic_a}, {mic_b}; speakers {speaker_a}, {speaker_b}");

    let options = [&AUTO[..], &UNPROCESSED, &["--mic", &mic_b, "--speaker", &speaker_b]].concat();
    let mut bob = world.answering_with("bob", &options, None, &environment);
    let words = [&["call", &bob.link, "--mic", &mic_a, "--speaker", &speaker_a][..], &UNPROCESSED].concat();
    let mut alice = world.launch("alice", words).envs(&environment).start();
    alice.next("connected", REACTION);
    bob.process.next("connected", REACTION);

    // One after the other, as people do: then each speaker must hold the other's voice alone.
    let tape = world.file("tape.wav");
    let recording_all = pulse.record(&tape);
    std::thread::sleep(Duration::from_millis(700));
    for (voice, sink) in [("alice", "to_micA"), ("bob", "to_micB")] {
        let mut player = pulse.play(&recording(voice), sink);
        assert!(player.wait().expect("paplay runs").success());
    }
    std::thread::sleep(Duration::from_millis(700));
    let tape = recording_all.stop();

    let to_bob = judge(&tape, "alice", Channel::MicA, Channel::SpeakerB);
    let to_alice = judge(&tape, "bob", Channel::MicB, Channel::SpeakerA);
    report_devices(&alice);
    report_devices(&bob.process);
    for side in [to_bob, to_alice] {
        assert!(side.share >= 0.9, "{side:?}");
        assert!(side.level_dbfs > -35.0, "{side:?}");
    }
    finish(&mut alice, 0);
    bob.process.next_where("ended", |line| line["reason"] == "remote_hangup", REACTION);
    finish(&mut bob.process, 0);
    world.finish();
}

/// What went into a microphone against what came out of the far speaker, on the same tape.
fn judge(tape: &std::path::Path, voice: &str, said: Channel, heard_at: Channel) -> Heard {
    let (mouth, ear) = (read_wav_channel(tape, said as usize), read_wav_channel(tape, heard_at as usize));
    let reference = read_wav(&recording(voice));
    let (at_mouth, at_ear) = (heard(&reference, &mouth), heard(&reference, &ear));
    println!(
        "{voice}: mouth to ear {:.1} ms, {:.0} % of the speech, {:.1} dBFS, PESQ-WB {:.2}",
        at_ear.lag_ms - at_mouth.lag_ms,
        at_ear.share * 100.0,
        at_ear.level_dbfs,
        pesq_wb(&reference, &ear)
    );
    at_ear
}

fn report_devices(process: &Process) {
    if let Some(last) = process.all("stats").last() {
        println!(
            "{}: delay estimate {} ms, buffer {} ms, cpu {} %",
            process.name, last["delay_ms"], last["buffer_ms"], last["cpu"]
        );
    }
}

#[test]
fn a_speaker_that_is_unplugged_in_a_call_is_replaced_within_a_second() {
    let world = World::on_loopback();
    let pulse = match Pulse::start(&world.file("pulse")) {
        Ok(pulse) => pulse,
        Err(why) => return skip("a_speaker_that_is_unplugged_in_a_call_is_replaced_within_a_second", &why),
    };
    let environment = pulse.environment();
    let device = |kind: &str, name: &str| world.device_id(&environment, kind, name);
    let (mic_b, speaker_b) = (device("input", "micB"), device("output", "spkB"));
    let options = [&AUTO[..], &UNPROCESSED, &["--mic", &mic_b, "--speaker", &speaker_b]].concat();
    let mut bob = world.answering_with("bob", &options, None, &environment);
    let mic_a = device("input", "micA");
    let words = [&["call", &bob.link, "--mic", &mic_a, "--speaker", "null"][..], &UNPROCESSED].concat();
    let mut alice = world.launch("alice", words).envs(&environment).start();
    alice.next("connected", REACTION);
    bob.process.next("connected", REACTION);

    pulse.unplug("spkB");
    let changed = bob.process.next_where("device_changed", |line| line["to"] == device("output", "spkA"), REACTION);
    println!("the speaker {speaker_b} was replaced after {} ms without sound", changed["gap_ms"]);
    assert_eq!((changed["role"].as_str(), changed["from"].as_str()), (Some("output"), Some(&*speaker_b)));
    assert!(changed["gap_ms"].as_f64().is_some_and(|ms| ms < 1000.0), "{changed}");

    let tape = pulse.record(&world.file("tape.wav"));
    let mut player = pulse.play(&recording("alice"), "to_micA");
    assert!(player.wait().expect("paplay runs").success());
    std::thread::sleep(Duration::from_millis(500));
    let heard = judge(&tape.stop(), "alice", Channel::MicA, Channel::SpeakerA);
    assert!(heard.share >= 0.9, "{heard:?}");
    finish(&mut alice, 0);
    finish(&mut bob.process, 0);
    world.finish();
}

/// Bob talks, Alice's microphone hears her speaker: what of it comes back to Bob?
#[test]
fn an_echo_does_not_come_back() {
    let world = World::on_loopback();
    let pulse = match Pulse::start(&world.file("pulse")) {
        Ok(pulse) => pulse,
        Err(why) => return skip("an_echo_does_not_come_back", &why),
    };
    let environment = pulse.environment();
    let device = |kind: &str, name: &str| world.device_id(&environment, kind, name);
    let (mic_a, speaker_a) = (device("input", "micA"), device("output", "spkA"));
    let (mic_b, speaker_b) = (device("input", "micB"), device("output", "spkB"));
    pulse.let_speaker_a_be_heard_by_microphone_a();

    let options = [&AUTO[..], &UNPROCESSED, &["--mic", &mic_b, "--speaker", &speaker_b]].concat();
    let mut bob = world.answering_with("bob", &options, None, &environment);
    let mut came_back = |processing: &[&str]| {
        let words = [&["call", &bob.link, "--mic", &mic_a, "--speaker", &speaker_a][..], processing].concat();
        let mut alice = world.launch("alice", words).envs(&environment).start();
        alice.next("connected", REACTION);
        bob.process.next("connected", REACTION);
        let tape = pulse.record(&world.file("tape.wav"));
        let mut player = pulse.play(&recording("bob"), "to_micB");
        assert!(player.wait().expect("paplay runs").success());
        let tape = tape.stop();
        finish(&mut alice, 0);
        bob.process.next_where("ended", |line| line["reason"] == "remote_hangup", REACTION);
        // The canceller has had three seconds to learn the way.
        let level = |channel| dbfs(&read_wav_channel(&tape, channel as usize)[3 * SAMPLE_RATE_HZ..]);
        level(Channel::SpeakerB) - level(Channel::SpeakerA)
    };
    let with = came_back(&[]);
    let without = came_back(&UNPROCESSED);
    println!("of what Alice hears comes back to Bob: {with:.1} dB; {without:.1} dB without processing");
    finish(&mut bob.process, 0);
    world.finish();
    assert!(without > -10.0, "the microphone hears the speaker: {without:.1} dB");
    assert!(with < without - 25.0, "{with:.1} dB");
}
