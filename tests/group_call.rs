//! Calls of several people between real processes of the binary over loopback.
//!
//! `TWOCANS_TEST_BINARY=target/release/twocans TWOCANS_TEST_MEMBERS=10 cargo test --test group_call -- --nocapture` measures
//! what people get, on a quiet machine.

mod common;
mod group_lab;

use std::time::{Duration, Instant};

use common::figures::quantile;
use common::machine::measuring;
use common::process::BINARY_VARIABLE;
use common::speech::WHOLE;
use common::staircase::{climb, write_staircase};
use common::world::{REACTION, World};
use group_lab::{JOINING, Member, judged, mono_of, write_tape};

/// Each speaks alone for so long, one after another, seconds.
const TURN: f64 = 3.0;
const SLOT: f64 = 4.0;
/// Then three speak at once, while processor and network are watched.
const TOGETHER: f64 = 10.0;
/// What is cut out of a recording before the speech, ms.
const BEFORE: f64 = 300.0;
/// Until everybody is in, on every tape.
const LEAD: f64 = 6.0;

/// A step of the staircase makes 100 ms, up to half as much again is the reading's error, and the jitter buffer may stretch
/// the sound by as much: what is missing from it would make more.
const STEADY_MS: usize = 200;

/// How many take part: ten where a release build is measured; where all tests run side by side with nothing optimised,
/// five, which make twenty directions.
fn members() -> usize {
    std::env::var("TWOCANS_TEST_MEMBERS").ok().and_then(|number| number.parse().ok()).unwrap_or(5)
}

#[test]
fn everybody_hears_everybody() {
    let _quiet = measuring();
    let (world, count) = (World::on_loopback(), members());
    let together = LEAD + count as f64 * SLOT;
    let length = together + TOGETHER;
    let tapes: Vec<_> = (0..count)
        .map(|who| {
            let path = world.file(&format!("tape-{who}.wav"));
            let turn = LEAD + who as f64 * SLOT;
            let said = write_tape(&path, who, &[turn], TURN, length);
            if who < 3 {
                // The same tape, and on it what is said with others at once.
                let chorus: Vec<f64> = (0..(TOGETHER / TURN) as usize).map(|n| together + n as f64 * TURN).collect();
                write_tape(&path, who, &[&[turn], &chorus[..]].concat(), TURN, length);
            }
            (path, said)
        })
        .collect();
    let mut people: Vec<Member> =
        (1..count).map(|who| Member::waiting(&world, &format!("m{who}"), &tapes[who].0, None)).collect();
    let others: Vec<&Member> = people.iter().collect();
    let starter = Member::starting(&world, "m0", &tapes[0].0, &others, None);
    people.insert(0, starter);

    let everybody: Vec<String> = people.iter().map(|member| member.person.clone()).collect();
    let joined: Vec<f64> = people
        .iter_mut()
        .map(|member| {
            let complete = member.hears_all(&everybody, JOINING);
            let answered = member.process.all("answered").first().map(mono_of).expect("it has answered");
            complete - answered
        })
        .collect();
    println!(
        "hears everybody after answering: p50 {:.0} ms, max {:.0} ms",
        quantile(&joined, 0.5),
        quantile(&joined, 1.0)
    );

    let end = people.iter().map(Member::tape_began).fold(0.0, f64::max) + length * 1e3;
    let began = people[0].tape_began();
    let wait = end - common::figures::mono_ms();
    std::thread::sleep(Duration::from_secs_f64(wait.max(0.0) / 1e3));
    report_cost(&people, began + together * 1e3 + 1500.0, began + length * 1e3);
    people.iter_mut().for_each(Member::leaves);

    let (mut scores, mut delays) = (Vec::new(), Vec::new());
    for (who, speaker) in people.iter().enumerate() {
        let said_at = speaker.tape_began() + (LEAD + who as f64 * SLOT) * 1e3;
        for listener in people.iter().filter(|listener| listener.person != speaker.person) {
            let recorded = listener.recorded(said_at - BEFORE, TURN + 0.9);
            let (share, pesq, lag_ms) = judged(&tapes[who].1, &recorded);
            assert!(share >= 0.8, "{} hears {} of {}", listener.name, share, speaker.name);
            scores.push(f64::from(pesq));
            delays.push(f64::from(lag_ms) - BEFORE);
        }
    }
    println!("mouth to ear: p50 {:.0} ms, p95 {:.0} ms", quantile(&delays, 0.5), quantile(&delays, 0.95));
    let (worst, median) = (quantile(&scores, 0.0), quantile(&scores, 0.5));
    println!("{} directions heard: PESQ-WB worst {worst:.2}, median {median:.2}", scores.len());
    assert_eq!(scores.len(), count * (count - 1));
    let wanted = if std::env::var_os(BINARY_VARIABLE).is_some() { 3.9 } else { f64::from(WHOLE) };
    assert!(median >= wanted, "PESQ-WB {scores:?}");
    world.finish();
}

/// What it cost each member between these moments of the common clock.
fn report_cost(people: &[Member], from: f64, until: f64) {
    let (mut cpu, mut up, mut rss, mut silent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (who, member) in people.iter().enumerate() {
        let stats: Vec<_> = member.process.all("stats");
        let stats: Vec<_> = stats.iter().filter(|line| (from..until).contains(&mono_of(line))).collect();
        let of = |field: &str| stats.iter().filter_map(|line| line[field].as_f64()).collect::<Vec<f64>>();
        cpu.push(quantile(&of("cpu"), 0.5));
        rss.push(quantile(&of("rss_mb"), 1.0));
        let seconds = (until - from) / 1e3;
        let sent: f64 = of("tx_bps").iter().sum::<f64>() / seconds.floor();
        if who < 3 { up.push(sent / 1e6) } else { silent.push(sent / 1e6) }
    }
    println!(
        "while three speak: cpu of a member p50 {:.1} %, max {:.1} %; up {:.3} Mb/s at most who speaks, {:.3} who does \
         not; {:.0} MB at most",
        quantile(&cpu, 0.5),
        quantile(&cpu, 1.0),
        quantile(&up, 1.0),
        if silent.is_empty() { 0.0 } else { quantile(&silent, 1.0) },
        quantile(&rss, 1.0),
    );
}

#[test]
fn a_call_between_two_grows_and_shrinks_without_a_gap() {
    let _quiet = measuring();
    let world = World::on_loopback();
    let (stairs, silence) = (world.file("stairs.wav"), world.file("silence.wav"));
    write_staircase(&stairs, 30);
    write_tape(&silence, 0, &[], 1.0, 1.0);
    let mut bob = Member::waiting(&world, "bob", &stairs, None);
    let mut carol = Member::waiting(&world, "carol", &silence, None);
    let mut alice = Member::in_group(&world, "alice", &stairs, ["call", &bob.link], None);
    alice.process.next("connected", REACTION);
    std::thread::sleep(Duration::from_secs(3));

    let link = carol.link.clone();
    let grown = alice.asks(&world, &["group", "start", &link]);
    assert_eq!(grown["groups"][0]["phase"], "in", "{grown}");
    let everybody = [&alice, &bob, &carol].map(|member| member.person.clone());
    for member in [&mut alice, &mut bob, &mut carol] {
        member.hears_all(&everybody, JOINING);
    }
    std::thread::sleep(Duration::from_secs(3));
    carol.asks(&world, &["group", "leave"]);
    carol.process.next("group_ended", REACTION);
    for member in [&mut alice, &mut bob] {
        let left = member.process.next("member_removed", REACTION);
        assert_eq!((&left["peer"], &left["by"]), (&left["by"], &left["peer"]), "{left}");
    }
    std::thread::sleep(Duration::from_secs(3));
    let status = alice.asks(&world, &["status"]);
    assert_eq!(status["groups"][0]["size"], 2, "two go on: {status}");
    alice.leaves();
    bob.leaves();
    carol.leaves();
    for member in [&alice, &bob] {
        let climb = climb(&member.hears);
        println!("{} hears {climb:?}", member.name);
        assert!(climb.longest_standstill_ms <= STEADY_MS && climb.repeated == 0 && climb.steps_heard > 80, "{climb:?}");
    }
    assert_eq!(alice.process.all("connected").len(), 2, "one link to each, and the old one stayed");
    world.finish();
}

#[test]
fn who_crashes_is_missed_by_name_and_comes_back_and_the_others_hear_no_gap() {
    let _quiet = measuring();
    let world = World::on_loopback();
    let (stairs, silence) = (world.file("stairs.wav"), world.file("silence.wav"));
    write_staircase(&stairs, 40);
    write_tape(&silence, 0, &[], 1.0, 1.0);
    let mut bob = Member::waiting(&world, "bob", &stairs, None);
    let mut carol = Member::waiting(&world, "carol", &silence, None);
    // Who begins the call is nobody special: it is the one that dies.
    let mut alice = Member::starting(&world, "alice", &silence, &[&bob, &carol], None);
    let everybody = [&alice, &bob, &carol].map(|member| member.person.clone());
    for member in [&mut alice, &mut bob, &mut carol] {
        member.hears_all(&everybody, JOINING);
    }
    std::thread::sleep(Duration::from_secs(2));
    let killed = common::figures::mono_ms();
    alice.process.kill();
    alice.process.wait_exit(REACTION);
    for member in [&mut bob, &mut carol] {
        let gone = member.process.next("member_gone", REACTION);
        let noticed = mono_of(&gone) - killed;
        println!("{} misses alice after {noticed:.0} ms", member.name);
        assert!(gone["peer"] == alice.person.as_str() && noticed <= 3000.0, "{gone}");
    }
    std::thread::sleep(Duration::from_secs(1));
    let back = Instant::now();
    let mut again = Member::in_group(&world, "alice", &silence, ["group", "rejoin"], None);
    again.hears_all(&everybody, JOINING);
    for member in [&mut bob, &mut carol] {
        let here = member.process.next_where("member_here", |line| line["peer"] == alice.person.as_str(), REACTION);
        println!("{} has her back at {:.0} ms", member.name, mono_of(&here) - killed);
    }
    println!("with the start of the program it took {:?}", back.elapsed());
    assert!(back.elapsed() <= Duration::from_secs(3), "{:?}", back.elapsed());
    std::thread::sleep(Duration::from_secs(1));
    for member in [&mut again, &mut bob, &mut carol] {
        member.leaves();
    }
    let climb = climb(&carol.hears);
    println!("carol hears {climb:?}");
    assert!(climb.longest_standstill_ms <= STEADY_MS && climb.repeated == 0, "{climb:?}");
    world.finish();
}

#[test]
fn links_open_the_door_until_they_are_withdrawn_and_who_was_removed_stays_out() {
    let _quiet = measuring();
    let world = World::on_loopback();
    let silence = world.file("silence.wav");
    write_tape(&silence, 0, &[], 1.0, 1.0);
    let mut bob = Member::waiting(&world, "bob", &silence, None);
    let mut alice = Member::starting(&world, "alice", &silence, &[&bob], None);
    let pair = [&alice, &bob].map(|member| member.person.clone());
    alice.hears_all(&pair, JOINING);
    let made = bob.asks(&world, &["group", "link", "--hours", "1"]);
    let link = made["join"].as_str().expect("a link").to_owned();
    assert!(link.starts_with("twocans:join/"), "{made}");

    let mut carol = Member::in_group(&world, "carol", &silence, ["group", "join", &link], None);
    let invited = carol.process.next("group_invited", REACTION);
    let told: Vec<&str> =
        invited["members"].as_array().expect("an array").iter().filter_map(|it| it.as_str()).collect();
    assert!(
        pair.iter().all(|person| told.contains(&person.as_str())),
        "who is there is said before joining: {invited}"
    );
    let three = [&alice, &bob, &carol].map(|member| member.person.clone());
    carol.hears_all(&three, JOINING);
    // Bob let her in; Alice, who began the call, may remove her all the same.
    alice.asks(&world, &["group", "remove", &carol.link.clone()]);
    let ended = carol.process.next("group_ended", REACTION);
    assert_eq!((&ended["reason"], ended["by"].as_str()), (&"removed".into(), Some(alice.person.as_str())), "{ended}");
    assert_eq!(carol.process.wait_exit(REACTION), Some(0));
    let mut refused = Member::in_group(&world, "carol", &silence, ["group", "join", &link], None);
    let ended = refused.process.next("group_ended", REACTION);
    assert_eq!(ended["reason"], "refused", "{ended}");
    assert_eq!(refused.process.wait_exit(REACTION), Some(5));

    bob.asks(&world, &["group", "revoke"]);
    let mut dave = Member::in_group(&world, "dave", &silence, ["group", "join", &link], None);
    let ended = dave.process.next("group_ended", REACTION);
    assert!(ended["message"].as_str().is_some_and(|why| why.contains("withdrawn")), "{ended}");
    assert_eq!(dave.process.wait_exit(REACTION), Some(5));
    alice.leaves();
    bob.leaves();
    world.finish();
}
