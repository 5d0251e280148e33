//! Calls between real processes of the binary over loopback, held to the contract of the command line.

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use common::figures::{descriptors, quantile, rss_mb, spread, threads};
use common::machine::{measuring, sharing};
use common::process::{Launch, Process};
use common::speech::{WHOLE, assert_heard, pesq_wb, read_wav, recording};
use common::world::{AUTO, Answering, REACTION, SILENT, World, finish, finishes_by_itself, with_files};

/// Somebody who takes every call at once and hears nothing.
fn patient(world: &World, name: &str, options: &[&str]) -> Answering {
    world.answering(name, &[&AUTO[..], &SILENT, options].concat(), None)
}

/// Both sides report the connection; the two lines.
fn both_connect(caller: &mut Process, callee: &mut Process) -> (Value, Value) {
    (caller.next("connected", REACTION), callee.next("connected", REACTION))
}

fn assert_ended(process: &mut Process, reason: &str) -> Value {
    let ended = process.next("ended", REACTION);
    assert_eq!(ended["reason"], reason, "how the call ended at {}", process.name);
    ended
}

#[test]
fn two_people_find_each_other_and_talk() {
    let _quiet = measuring();
    let world = World::on_loopback();
    let (alice_says, bob_says) = (recording("alice"), recording("bob"));
    let (alice_hears, bob_hears) = (world.file("alice_hears.wav"), world.file("bob_hears.wav"));
    let bob_audio = with_files(&bob_says, &bob_hears);
    let bob_options: Vec<&str> = AUTO.into_iter().chain(bob_audio.iter().map(String::as_str)).collect();
    let mut bob = world.answering("bob", &bob_options, None);

    let alice_audio = with_files(&alice_says, &alice_hears);
    let options: Vec<&str> =
        ["--name", "Alice", "--seconds", "11"].into_iter().chain(alice_audio.iter().map(String::as_str)).collect();
    let mut alice = world.calling("alice", &bob.link, &options, None);

    let ready = alice.next("ready", REACTION);
    let dialing = alice.next("dialing", REACTION);
    assert_eq!(dialing["peer"], bob.person.as_str());
    let ringing = alice.next("ringing", REACTION);
    let incoming = bob.process.next("incoming", REACTION);
    assert_eq!(incoming["from"], ready["person"]);
    assert_eq!(incoming["name"], "Alice");
    assert_eq!(incoming["known"], false);
    bob.process.next("answered", REACTION);
    let (at_alice, at_bob) = both_connect(&mut alice, &mut bob.process);
    for line in [&dialing, &ringing, &incoming, &at_alice, &at_bob] {
        assert_eq!(line["call"], dialing["call"], "both sides speak of the same call: {line}");
    }
    for line in [&at_alice, &at_bob] {
        assert_eq!(line["path"], "direct", "{line}");
        assert_eq!(line["protocol"], "udp", "{line}");
        assert!(line["via"].is_null(), "{line}");
        assert!(line["audio_t0_ms"].is_number(), "a file is played: {line}");
    }
    assert_eq!(at_alice["peer"], bob.person.as_str());
    assert_eq!(at_bob["peer"], ready["person"]);
    assert_eq!(at_alice["ring_ms"], ringing["ring_ms"]);
    assert!(at_bob["ring_ms"].is_null(), "the callee does not know: {at_bob}");

    let at_end = alice.next_where("ended", |_| true, Duration::from_secs(20));
    assert_eq!(at_end["reason"], "time_limit");
    let seconds = at_end["seconds"].as_f64().expect("a number");
    assert!((10.5..12.5).contains(&seconds), "{at_end}");
    assert_ended(&mut bob.process, "remote_hangup");
    finishes_by_itself(&mut alice, 0, REACTION);
    finish(&mut bob.process, 0);
    assert_same_words(&alice, &bob.process);
    assert_stats_each_second(&alice, &bob.person);

    let heard_by_bob = assert_heard("alice to bob", &alice_says, &bob_hears);
    let heard_by_alice = assert_heard("bob to alice", &bob_says, &alice_hears);
    let quality = [(&alice_says, &bob_hears), (&bob_says, &alice_hears)]
        .map(|(said, heard)| pesq_wb(&read_wav(said), &read_wav(heard)));
    println!(
        "dial to ringing {} ms; answer to media {} / {} ms",
        ringing["ring_ms"], at_alice["answer_to_media_ms"], at_bob["answer_to_media_ms"]
    );
    println!("heard by bob {heard_by_bob:?}, by alice {heard_by_alice:?}; PESQ-WB {quality:.2?}");
    assert!(quality.iter().all(|&mos| mos >= WHOLE), "{quality:?}");
    world.finish();
}

fn assert_same_words(one: &Process, other: &Process) {
    let words = |process: &Process| process.all("safety_words").first().map(|line| line["words"].clone());
    let spoken = words(one).expect("safety words are shown");
    assert_eq!(spoken.as_array().map(Vec::len), Some(12));
    assert_eq!(Some(spoken), words(other), "both sides read the same words");
}

/// One line a second and per peer; what must be known after three seconds of a call with sound is known.
fn assert_stats_each_second(process: &Process, peer: &str) {
    let stats = process.all("stats");
    assert!((9..=13).contains(&stats.len()), "{} lines of stats in 11 s", stats.len());
    let late = &stats[3];
    assert_eq!(late["peer"], peer);
    for field in [
        "rtt_ms",
        "jitter_ms",
        "loss",
        "concealed",
        "target_delay_ms",
        "buffer_ms",
        "delay_ms",
        "tx_bps",
        "rx_bps",
        "mic_dbfs",
        "speaker_dbfs",
        "cpu",
        "rss_mb",
    ] {
        assert!(!late[field].is_null(), "{field} is unknown after three seconds: {late}");
    }
}

#[test]
fn refusals_and_silence_have_their_own_endings() {
    let _sharing = sharing();
    let world = World::on_loopback();

    let mut decliner = world.answering("decliner", &[&["--decline"][..], &SILENT].concat(), None);
    let mut caller = world.calling("caller", &decliner.link, &SILENT, None);
    assert_refused(&mut caller, "declined", 5);
    assert_ended(&mut decliner.process, "declined");
    finish(&mut decliner.process, 0);

    let mut deaf = world.answering("deaf", &[&["--no-answer"][..], &SILENT].concat(), None);
    let mut caller = world.calling("caller", &deaf.link, &[&["--ring-timeout", "2"][..], &SILENT].concat(), None);
    let rang = caller.next("ringing", REACTION)["mono_ms"].as_f64().expect("a number");
    assert_refused(&mut caller, "no_answer", 6);
    let waited = caller.all("ended")[0]["mono_ms"].as_f64().expect("a number") - rang;
    assert!((1500.0..4000.0).contains(&waited), "rang for {waited} ms");
    deaf.process.next("ended", REACTION);

    // Ctrl-C while it rings takes the call back on both sides.
    let mut caller = world.calling("caller", &deaf.link, &SILENT, None);
    caller.next("ringing", REACTION);
    deaf.process.next("incoming", REACTION);
    caller.interrupt();
    assert_ended(&mut caller, "cancelled");
    finishes_by_itself(&mut caller, 0, REACTION);
    assert_ended(&mut deaf.process, "cancelled");
    finish(&mut deaf.process, 0);

    let mut bob = patient(&world, "bob", &[]);
    let mut first = world.calling("first", &bob.link, &SILENT, None);
    both_connect(&mut first, &mut bob.process);
    let mut second = world.calling("second", &bob.link, &SILENT, None);
    assert_refused(&mut second, "busy", 5);
    assert!(first.is_running(), "the conversation goes on");
    finish(&mut first, 0);
    assert_ended(&mut bob.process, "remote_hangup");
    finish(&mut bob.process, 0);
    world.finish();
}

#[test]
fn people_are_found_by_their_record_alone() {
    let _sharing = sharing();
    let world = World::on_loopback();
    let mut bob = patient(&world, "bob", &[]);
    let found = lookup(&world, &bob.link);
    assert_eq!(found["found"], true, "{found}");
    assert!(found["seq"].is_number() && found["ms"].is_number() && found["requests"].is_number(), "{found}");

    // The record goes with its owner: nobody is found any more, although the node still knows who was connected.
    finish(&mut bob.process, 0);
    assert_eq!(lookup(&world, &bob.link)["found"], false);
    let mut caller = world.calling("caller", &bob.link, &SILENT, None);
    assert_refused(&mut caller, "not_found", 3);

    // A record whose owner died: found, but not there.
    let mut carol = patient(&world, "carol", &[]);
    carol.process.kill();
    carol.process.wait_exit(REACTION);
    let mut caller = world.calling("caller", &carol.link, &SILENT, None);
    assert_refused(&mut caller, "unreachable", 4);
    world.finish();
}

fn lookup(world: &World, link: &str) -> Value {
    let mut asking = world.launch("asker", ["lookup", link]).start();
    let code = asking.wait_exit(REACTION + REACTION);
    let answer = asking.events().into_iter().find(|line| line.get("found").is_some());
    let answer = answer.unwrap_or_else(|| panic!("lookup answers: {}", asking.last_words()));
    assert_eq!(code, Some(if answer["found"] == true { 0 } else { 3 }));
    answer
}

/// The caller reads of it as an end and as a failure of the same kind, and leaves with `code`.
fn assert_refused(caller: &mut Process, kind: &str, code: i32) {
    finishes_by_itself(caller, code, Duration::from_secs(25));
    let reasons: Vec<Value> = caller.all("ended").into_iter().map(|line| line["reason"].clone()).collect();
    assert_eq!(reasons, [kind], "how the call ended at {}", caller.name);
    let failures = caller.all("failure");
    assert!(failures.iter().any(|line| line["kind"] == kind), "a failure says {kind}: {failures:?}");
}

#[test]
fn ctrl_c_hangs_up_on_either_side() {
    let _sharing = sharing();
    let world = World::on_loopback();
    let mut bob = patient(&world, "bob", &[]);

    let mut alice = world.calling("alice", &bob.link, &SILENT, None);
    both_connect(&mut alice, &mut bob.process);
    finish(&mut alice, 0);
    assert_eq!(alice.all("ended")[0]["reason"], "hangup");
    assert_ended(&mut bob.process, "remote_hangup");

    let mut alice = world.calling("alice", &bob.link, &SILENT, None);
    both_connect(&mut alice, &mut bob.process);
    finish(&mut bob.process, 0);
    assert_ended(&mut alice, "remote_hangup");
    finishes_by_itself(&mut alice, 0, REACTION);
    world.finish();
}

#[test]
fn a_second_process_controls_the_first() {
    let _sharing = sharing();
    let world = World::on_loopback();
    let heard = world.file("heard.wav");
    let speaker = format!("file:{}", heard.display());
    let mut bob = world.answering("bob", &[&AUTO[..], &["--mic", "silence", "--speaker", &speaker]].concat(), None);
    let mut alice = world.calling("alice", &bob.link, &["--mic", "tone:440", "--speaker", "null"], None);
    both_connect(&mut alice, &mut bob.process);
    let control = |verb: &str| {
        let done = Launch::new(verb, &world.home("alice")).args([verb]).start_and_wait(REACTION);
        assert_eq!(done.0, Some(0), "{verb}: {:?}", done.1);
        done.1.into_iter().next_back().unwrap_or_else(|| panic!("{verb} answers an object"))
    };

    let speaks = |bob: &mut Process| bob.next("stats", REACTION)["speaker_dbfs"].as_f64().unwrap_or(-100.0);
    bob.process.next_where("stats", |line| line["speaker_dbfs"].as_f64() > Some(-40.0), REACTION);
    assert!(control("status").is_object());
    control("mute");
    alice.next("muted", REACTION);
    bob.process.next("muted", REACTION);
    bob.process.next_where("stats", |line| line["speaker_dbfs"].as_f64() < Some(-70.0), REACTION);
    control("unmute");
    alice.next("muted", REACTION);
    bob.process.next("muted", REACTION);
    bob.process.next_where("stats", |line| line["speaker_dbfs"].as_f64() > Some(-40.0), REACTION);
    assert!(speaks(&mut bob.process) > -40.0, "it stays unmuted");

    // A second waiting process is told who holds the profile.
    let mut rival = world.launch("alice", ["answer"]).start();
    finishes_by_itself(&mut rival, 9, REACTION);
    let failures = rival.all("failure");
    assert_eq!(failures[0]["kind"], "profile_in_use");
    assert!(
        failures[0]["message"].as_str().is_some_and(|text| text.contains(&alice.pid().to_string())),
        "{failures:?}"
    );

    control("hangup");
    assert_ended(&mut alice, "hangup");
    finishes_by_itself(&mut alice, 0, REACTION);
    assert_ended(&mut bob.process, "remote_hangup");
    finish(&mut bob.process, 0);
    world.finish();
}

#[test]
fn what_a_person_gets_wrong_is_one_sentence_and_an_exit_code() {
    let _sharing = sharing();
    let world = World::on_loopback();
    let home = world.home("alice");
    let link = link_of(&home);
    let somebody = link_of(&world.home("somebody"));
    let somebody = somebody.as_str();
    let no_wav = world.file("no.wav");
    fs::write(&no_wav, b"RIFF is how it starts, but this is no sound").expect("the folder can be written");
    let no_wav = format!("file:{}", no_wav.display());
    let no_file = format!("file:{}", world.file("absent.wav").display());
    let typo = |change: fn(&str) -> String| change(&link);

    let cases: Vec<(&str, i32, Vec<String>)> = vec![
        ("a letter that no link has", 2, call(&typo(|link| format!("{}l", &link[..link.len() - 1])), &[])),
        ("a letter too few", 2, call(&typo(|link| link[..link.len() - 1].to_owned()), &[])),
        ("another program's link", 2, call("tel:+4912345", &[])),
        ("nothing at all", 2, call("", &[])),
        ("a contact that nobody is", 2, call("grandmother", &[])),
        ("oneself", 2, call(&link, &[])),
        ("no such option", 2, call(somebody, &["--frobnicate"])),
        ("no such verb", 2, vec!["frobnicate".to_owned()]),
        ("an unknown microphone", 7, call(somebody, &["--mic", "no-such-device", "--speaker", "null"])),
        ("an unknown speaker", 7, call(somebody, &["--mic", "silence", "--speaker", "no-such-device"])),
        ("a WAV that is no WAV", 7, call(somebody, &["--mic", &no_wav, "--speaker", "null"])),
        ("a WAV that is not there", 7, call(somebody, &["--mic", &no_file, "--speaker", "null"])),
        ("automatic answers to nobody in particular", 2, vec!["answer".to_owned(), "--auto".to_owned()]),
        ("a key that is nobody's", 2, call(&format!("twocans:{}", "y".repeat(52)), &[])),
        ("an address that is none", 2, vec!["node".to_owned(), "--listen".to_owned(), "/ip4/nowhere".to_owned()]),
    ];
    for (what, code, words) in cases {
        let done = Launch::new(what, &home).args(&words).args(isolated(&words)).run_for_people(Duration::from_secs(20));
        println!("{what}: {:?} {}", done.code, done.said().trim());
        assert_eq!(done.code, Some(code), "{what}: {done:?}");
        assert_plain_words(what, &done.said());
    }

    // A damaged profile is said so and left as it is.
    let damaged = world.home("damaged");
    link_of(&damaged);
    for file in files_of(&damaged) {
        fs::write(&file, b"garbage").expect("the profile is ours");
    }
    let done = Launch::new("a damaged profile", &damaged).args(["id"]).run_for_people(REACTION);
    println!("a damaged profile: {:?} {}", done.code, done.said().trim());
    assert_eq!(done.code, Some(9), "{done:?}");
    assert_plain_words("a damaged profile", &done.said());
    assert!(files_of(&damaged).iter().any(|file| fs::read(file).is_ok_and(|bytes| bytes == b"garbage")));
    world.finish();
}

/// Makes the profile when it is new.
fn link_of(home: &Path) -> String {
    let told = Launch::new("id", home).args(["id"]).run_for_people(REACTION);
    assert_eq!(told.code, Some(0), "{told:?}");
    let link = told.stdout.split_whitespace().find(|word| word.starts_with("twocans:"));
    link.expect("id prints the link").to_owned()
}

fn call(whom: &str, options: &[&str]) -> Vec<String> {
    ["call", whom].iter().chain(options).map(|word| (*word).to_owned()).collect()
}

/// Verbs that would go online stay on loopback.
fn isolated(words: &[String]) -> &'static [&'static str] {
    if words.first().is_some_and(|verb| verb == "frobnicate") { &[] } else { &["--isolated"] }
}

/// Something was said, and it is prose: no panic, no type names, no braces of a Debug print.
fn assert_plain_words(what: &str, said: &str) {
    assert!(said.split_whitespace().count() >= 3, "{what}: {said:?} says nothing");
    for trace in ["panicked", "RUST_BACKTRACE", "Err(", "Some(", "{ ", "Error("] {
        assert!(!said.contains(trace), "{what}: {said:?} is no sentence for people");
    }
}

fn files_of(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("the profile is there");
    entries.map_while(Result::ok).map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

#[test]
fn garbage_on_every_port_disturbs_no_call() {
    let _sharing = sharing();
    let world = World::on_loopback();
    let mut bob = patient(&world, "bob", &[]);
    let mut alice = world.calling("alice", &bob.link, &SILENT, None);
    both_connect(&mut alice, &mut bob.process);
    let mut sent = 0;
    for pid in [world.node.pid(), bob.process.pid(), alice.pid()] {
        sent += common::garbage::send_to_every_port_of(pid);
    }
    println!("{sent} ports got garbage");
    assert!(sent >= 6, "node, callee and caller listen somewhere");

    bob.process.next("stats", REACTION);
    let stats = bob.process.next("stats", REACTION);
    assert!(stats["rx_bps"].as_f64() > Some(0.0), "the conversation goes on: {stats}");
    finish(&mut alice, 0);
    assert_ended(&mut bob.process, "remote_hangup");
    let mut again = world.calling("alice", &bob.link, &SILENT, None);
    both_connect(&mut again, &mut bob.process);
    finish(&mut again, 0);
    finish(&mut bob.process, 0);
    for process in [&alice, &again, &bob.process, &world.node] {
        assert!(!process.log().contains("panicked"), "{}", process.last_words());
    }
    world.finish();
}

#[test]
fn a_hundred_calls_leave_nothing_behind() {
    const CALLS: usize = 100;
    /// By then lazily made things (pools, caches, the allocator's arenas) are there.
    const SETTLED: usize = 30;
    let _quiet = measuring();
    let world = World::on_loopback();
    let mut bob = patient(&world, "bob", &[]);
    let footprint = |process: &Process| (rss_mb(process.pid()), descriptors(process.pid()), threads(process.pid()));
    let (mut ring, mut whole, mut media) = (Vec::new(), Vec::new(), Vec::new());
    let mut settled = None;
    let began = Instant::now();
    for number in 1..=CALLS {
        let dialled = Instant::now();
        let mut alice = world.calling("alice", &bob.link, &SILENT, None);
        let (at_alice, _) = both_connect(&mut alice, &mut bob.process);
        whole.push(dialled.elapsed().as_secs_f64() * 1e3);
        ring.extend(at_alice["ring_ms"].as_f64());
        media.extend(at_alice["answer_to_media_ms"].as_f64());
        finish(&mut alice, 0);
        assert_ended(&mut bob.process, "remote_hangup");
        if number == SETTLED {
            settled = Some((footprint(&bob.process), footprint(&world.node)));
        }
    }
    let took = began.elapsed();
    let (bob_before, node_before) = settled.expect("there were enough calls");
    let (bob_after, node_after) = (footprint(&bob.process), footprint(&world.node));
    println!(
        "{CALLS} calls in {:.1} s: dial to ringing {} ms, answer to media {} ms, process start to connected {} ms",
        took.as_secs_f64(),
        spread(&ring),
        spread(&media),
        spread(&whole)
    );
    println!(
        "answering (RSS MB, descriptors, threads): {bob_before:.1?} after {SETTLED}, {bob_after:.1?} after {CALLS}"
    );
    println!("node: {node_before:.1?} after {SETTLED}, {node_after:.1?} after {CALLS}");
    for (name, before, after) in [("answering", bob_before, bob_after), ("node", node_before, node_after)] {
        assert!(after.0 - before.0 < 6.0, "{name} grew from {before:?} to {after:?}");
        assert!(after.1 <= before.1 + 2, "{name} leaks descriptors: {before:?} to {after:?}");
        assert!(after.2 <= before.2 + 2, "{name} leaks threads: {before:?} to {after:?}");
    }
    assert!(quantile(&whole, 1.0) < 5000.0);
    finish(&mut bob.process, 0);
    world.finish();
}
