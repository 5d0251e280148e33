//! When the microphone is sent: the talk key, voice activity, talking while muted, calls on hold; and the echo test.

mod common;

use std::time::Duration;

use common::machine::sharing;
use common::process::{Launch, Process};
use common::speech::{assert_heard, pesq_wb, read_wav, recording};
use common::world::{AUTO, REACTION, START_UP, World, finish, finishes_by_itself, with_files};

const SPEAKS_FROM_DBFS: f64 = -40.0;
const SILENT_BELOW_DBFS: f64 = -70.0;

fn becomes_loud(listener: &mut Process) {
    listener.next_where("stats", |line| line["speaker_dbfs"].as_f64() > Some(SPEAKS_FROM_DBFS), REACTION);
}

fn becomes_silent(listener: &mut Process) {
    listener.next_where("stats", |line| line["speaker_dbfs"].as_f64() < Some(SILENT_BELOW_DBFS), REACTION);
}

/// Hands a verb to the running process of `name`; what it answered.
fn control(world: &World, name: &str, words: &[&str]) -> serde_json::Value {
    let (code, said) = Launch::new(words[0], &world.home(name)).args(words).start_and_wait(REACTION);
    assert_eq!(code, Some(0), "{words:?}: {said:?}");
    said.last().expect("one object").clone()
}

#[test]
fn the_talk_key_opens_the_microphone_while_it_is_held() {
    let _sharing = sharing();
    let world = World::on_loopback();
    let heard = format!("file:{}", world.file("heard.wav").display());
    let mut bob = world.answering("bob", &[&AUTO[..], &["--mic", "silence", "--speaker", &heard]].concat(), None);
    let by_key = ["--mic", "tone:440", "--speaker", "null", "--transmit", "key"];
    let mut alice = world.calling("alice", &bob.link, &by_key, None);
    alice.next("connected", REACTION);
    bob.process.next("connected", REACTION);
    becomes_silent(&mut bob.process);
    for _ in 0..2 {
        control(&world, "alice", &["ptt", "press"]);
        becomes_loud(&mut bob.process);
        control(&world, "alice", &["ptt", "release"]);
        becomes_silent(&mut bob.process);
    }
    assert!(bob.process.all("muted").is_empty(), "who waits for the key is not muted");

    // Muted, the key opens the microphone all the same, and the other side sees it.
    control(&world, "alice", &["mute"]);
    bob.process.next_where("muted", |line| line["muted"] == true, REACTION);
    control(&world, "alice", &["ptt", "press"]);
    bob.process.next_where("muted", |line| line["muted"] == false, REACTION);
    becomes_loud(&mut bob.process);
    control(&world, "alice", &["ptt", "release"]);
    bob.process.next_where("muted", |line| line["muted"] == true, REACTION);
    becomes_silent(&mut bob.process);
    finish(&mut alice, 0);
    finish(&mut bob.process, 0);
    world.finish();
}

#[test]
fn with_voice_activity_no_beginning_of_a_word_is_lost() {
    let _sharing = sharing();
    let world = World::on_loopback();
    let (says, hears) = (recording("alice"), world.file("heard.wav"));
    let quiet = ["--mic".to_owned(), "silence".to_owned(), "--speaker".to_owned(), format!("file:{}", hears.display())];
    let options: Vec<&str> = AUTO.into_iter().chain(quiet.iter().map(String::as_str)).collect();
    let mut bob = world.answering("bob", &options, None);
    let audio = with_files(&says, &world.file("alice_hears.wav"));
    let options = ["--transmit", "voice", "--frame-ms", "20", "--seconds", "11"];
    let options: Vec<&str> = options.into_iter().chain(audio.iter().map(String::as_str)).collect();
    let mut alice = world.calling("alice", &bob.link, &options, None);
    alice.next("connected", REACTION);
    finishes_by_itself(&mut alice, 0, Duration::from_secs(30));
    finish(&mut bob.process, 0);
    let heard = assert_heard("by bob", &says, &hears);
    let mos = pesq_wb(&read_wav(&says), &read_wav(&hears));
    println!("voice activity: {heard:?}, PESQ-WB {mos:.2}");
    assert!(heard.share >= 0.95, "{heard:?}");
    assert!(mos >= 3.5, "{mos}");
    world.finish();
}

#[test]
fn who_talks_while_muted_is_told_once() {
    let _sharing = sharing();
    let world = World::on_loopback();
    let mut bob = world.answering("bob", &[&AUTO[..], &["--mic", "silence", "--speaker", "null"]].concat(), None);
    let says = format!("file:{},loop", recording("alice").display());
    let mut alice = world.calling("alice", &bob.link, &["--mic", &says, "--speaker", "null"], None);
    alice.next("connected", REACTION);
    control(&world, "alice", &["mute"]);
    alice.next("talking_while_muted", REACTION);
    control(&world, "alice", &["unmute"]);
    bob.process.next("connected", REACTION);
    becomes_loud(&mut bob.process);
    assert_eq!(alice.all("talking_while_muted").len(), 1);
    finish(&mut alice, 0);
    finish(&mut bob.process, 0);
    world.finish();
}

#[test]
fn on_hold_neither_hears_the_other_whoever_holds() {
    let _sharing = sharing();
    let world = World::on_loopback();
    // Tones, unlike speech, have no pauses that could pass for being on hold.
    let says = |tone| ["--mic", tone, "--speaker", "null"];
    let bob = world.answering("bob", &[&AUTO[..], &says("tone:300")].concat(), None);
    let (mut bob, link) = (bob.process, bob.link);
    let mut alice = world.calling("alice", &link, &says("tone:440"), None);
    alice.next("connected", REACTION);
    bob.next("connected", REACTION);
    let both_are_heard = |alice: &mut Process, bob: &mut Process| [alice, bob].map(becomes_loud);
    let nobody_is_heard = |alice: &mut Process, bob: &mut Process| [alice, bob].map(becomes_silent);
    both_are_heard(&mut alice, &mut bob);

    let held = |process: &mut Process, by_peer: bool, held: bool| {
        process.next_where("held", |line| line["by_peer"] == by_peer && line["held"] == held, REACTION);
    };
    control(&world, "alice", &["hold"]);
    held(&mut alice, false, true);
    held(&mut bob, true, true);
    nobody_is_heard(&mut alice, &mut bob);
    let status = control(&world, "bob", &["status"]);
    assert_eq!((&status["calls"][0]["held"], &status["calls"][0]["peer_held"]), (&false.into(), &true.into()));

    // When both hold it, one of them is not enough to go on.
    control(&world, "bob", &["hold"]);
    held(&mut alice, true, true);
    control(&world, "alice", &["mute"]);
    control(&world, "alice", &["unhold"]);
    held(&mut bob, true, false);
    nobody_is_heard(&mut alice, &mut bob);
    control(&world, "bob", &["unhold"]);
    held(&mut alice, true, false);
    becomes_loud(&mut alice);
    becomes_silent(&mut bob);
    control(&world, "alice", &["unmute"]);
    becomes_loud(&mut bob);

    finish(&mut alice, 0);
    let ended = bob.next("ended", REACTION);
    assert!(ended["summary"]["concealed"].as_f64() < Some(0.02), "silence is sent, not lost: {ended}");
    let (code, said) = Launch::new("hold", &world.home("bob")).args(["hold"]).start_and_wait(REACTION);
    assert_eq!((code, &said[0]["kind"]), (Some(2), &"usage".into()), "there is nothing to hold: {said:?}");
    finish(&mut bob, 0);
    world.finish();
}

#[test]
fn the_echo_peer_plays_back_what_it_hears_a_second_later() {
    let _sharing = sharing();
    let world = World::on_loopback();
    let mut echo = world.launch("echo", ["echo"]).start();
    let ready = echo.next("ready", START_UP);
    echo.next_where("presence_published", |event| event["acks"].as_f64() >= Some(1.0), START_UP);
    let (says, hears) = (recording("alice"), world.file("heard.wav"));
    let audio = with_files(&says, &hears);
    let options: Vec<&str> = ["--seconds", "13"].into_iter().chain(audio.iter().map(String::as_str)).collect();
    let mut alice = world.calling("alice", ready["link"].as_str().expect("text"), &options, None);
    alice.next("connected", REACTION);
    finishes_by_itself(&mut alice, 0, Duration::from_secs(30));
    let ended = echo.next("ended", REACTION);
    finish(&mut echo, 0);
    let heard = assert_heard("by alice herself", &says, &hears);
    println!("echo: after {:.0} ms, {:.0} % of the speech; {}", heard.lag_ms, heard.share * 100.0, ended["summary"]);
    assert!((1000.0..1500.0).contains(&heard.lag_ms), "{heard:?}");
    assert!(ended["summary"]["quality"].as_f64() >= Some(3.5), "{ended}");
    world.finish();
}
