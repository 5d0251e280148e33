//! The harness itself: what it calls speech is speech, and what breaks the contract is found.

mod common;

use std::time::Duration;

use serde_json::json;

use common::pulse::{Channel, Pulse};
use common::skip::skip;
use common::speech::{heard, pesq_wb, read_wav, read_wav_channel, recording};

#[test]
fn speech_is_recognised_late_quiet_and_in_part() {
    let (alice, bob) = (read_wav(&recording("alice")), read_wav(&recording("bob")));
    let late: Vec<f32> = std::iter::repeat_n(0.0, 9600).chain(alice.iter().map(|s| s * 0.5)).collect();
    let found = heard(&alice, &late);
    assert!(found.share == 1.0 && (found.lag_ms - 200.0).abs() < 0.1, "{found:?}");
    assert!((found.level_dbfs + 30.0).abs() < 0.5, "half as loud as the recording's -24 dBFS: {found:?}");
    let early = heard(&alice, &alice[4800..]);
    assert!(early.share >= 0.9 && (early.lag_ms + 100.0).abs() < 0.1, "{early:?}");

    let half: Vec<f32> = alice.iter().enumerate().map(|(i, s)| if i < alice.len() / 2 { *s } else { 0.0 }).collect();
    assert!((0.35..0.65).contains(&heard(&alice, &half).share));
    let stretch = |(i, piece): (usize, &[f32])| match i % 2 {
        0 => [&piece[..12_000], &piece[11_520..]].concat(),
        _ => [&piece[..11_760], &piece[12_240..]].concat(),
    };
    let stretched: Vec<f32> = alice.chunks_exact(24_000).enumerate().flat_map(stretch).collect();
    let found = heard(&alice, &stretched);
    assert!(found.share >= 0.9, "10 ms more or less amid each piece: {found:?}");
    let torn: Vec<f32> =
        alice.chunks_exact(24_000).flat_map(|piece| [&[0.0; 12_000], &piece[12_000..]].concat()).collect();
    assert!(heard(&alice, &torn).share < 0.6, "half of each piece is not the piece: {:?}", heard(&alice, &torn));
    assert!(heard(&alice, &bob).share < 0.1, "another voice is another voice");
    assert!(heard(&alice, &vec![0.0; 480_000]).share == 0.0, "silence is silence");
}

#[test]
fn quality_falls_with_damage() {
    let alice = read_wav(&recording("alice"));
    let late: Vec<f32> = std::iter::repeat_n(0.0, 4800).chain(alice.iter().copied()).collect();
    let clean = pesq_wb(&alice, &late);
    // One 20 ms packet in ten lost and replaced by silence.
    let torn: Vec<f32> = alice.iter().enumerate().map(|(i, s)| if i / 960 % 10 == 7 { 0.0 } else { *s }).collect();
    let damaged = pesq_wb(&alice, &torn);
    println!("PESQ-WB: untouched {clean:.2}, every tenth packet silent {damaged:.2}");
    assert!(clean > 4.5 && damaged < 3.0, "{clean} {damaged}");
}

#[test]
fn breaches_of_the_contract_are_found() {
    let good = json!({"event": "answered", "t_ms": 5, "mono_ms": 17.5, "call": "0123456789abcdef0123456789abcdef"});
    assert_eq!(common::contract::breaches(std::slice::from_ref(&good)), Vec::<String>::new());
    let spoil = |field: &str, value: serde_json::Value| {
        let mut line = good.clone();
        line[field] = value;
        common::contract::breaches(&[line]).len()
    };
    assert_eq!(spoil("call", json!("0123")), 1);
    assert_eq!(spoil("call", json!(null)), 1);
    assert_eq!(spoil("mono_ms", json!("soon")), 1);
    assert_eq!(spoil("added_later", json!(1)), 0);
    let earlier = json!({"event": "unknown yet", "t_ms": 6, "mono_ms": 17.0});
    assert_eq!(common::contract::breaches(&[good, earlier]), ["mono_ms runs backwards"]);
    assert_eq!(common::contract::breaches(&[json!("plain text")]).len(), 1);
}

#[test]
fn what_goes_into_a_virtual_microphone_is_on_its_own_channel() {
    let folder = tempfile::TempDir::with_prefix("twocans-test-").expect("a temporary folder can be made");
    let pulse = match Pulse::start(folder.path()) {
        Ok(pulse) => pulse,
        Err(why) => return skip("what_goes_into_a_virtual_microphone_is_on_its_own_channel", &why),
    };
    let tape = pulse.record(&folder.path().join("tape.wav"));
    std::thread::sleep(Duration::from_millis(500));
    assert!(pulse.play(&recording("alice"), "to_micA").wait().expect("paplay runs").success());
    let tape = tape.stop();
    let alice = read_wav(&recording("alice"));
    assert!(heard(&alice, &read_wav_channel(&tape, Channel::MicA as usize)).share >= 0.9);
    for silent in [Channel::SpeakerA, Channel::MicB, Channel::SpeakerB] {
        assert!(heard(&alice, &read_wav_channel(&tape, silent as usize)).share == 0.0, "{silent:?}");
    }
}
