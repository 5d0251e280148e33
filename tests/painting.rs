//! How the window is painted where the processor has to do it: only what changed is, which must look as if everything were,
//! and must be cheap.

#![cfg(all(target_os = "linux", feature = "gui"))]

mod common;
mod desktop_lab;

use std::time::{Duration, Instant};

use common::figures::{rss_mb, thread_times};
use common::machine::measuring;
use common::process::{Launch, Process};
use common::skip::skip;
use common::speech::recording;
use common::world::{REACTION, World, finish};
use desktop_lab::{Desktop, XWindow, prefer, status, until};

/// X11's names of keys.
const CONTROL: u32 = 0xffe3;
const RETURN: u32 = 0xff0d;
const TAB: u32 = 0xff09;
const ESCAPE: u32 = 0xff1b;
const SPACE: u32 = 0x20;

const SIZE: (u32, u32) = (1120, 720);
/// As long as a call is watched.
const WATCHED: Duration = Duration::from_secs(10);
/// Of one core, in a test build on a machine that does other things, too. A release build on a quiet one takes half of it.
const MAX_DRAWING: f64 = 0.30;
/// Meters move twenty times a second while somebody speaks; a speaker pauses, and a busy machine misses some.
const MOVES_PER_S: std::ops::RangeInclusive<f64> = 8.0..=25.0;
/// Something fades in or out for so long, and a tooltip waits.
const FADING: Duration = Duration::from_millis(700);

/// A world and a desktop in it with Bob's window, who speaks when he is called; `None`: this machine has no desktop, which
/// has been said.
fn laboratory(test: &str, options: &[&str]) -> Option<(World, Desktop, Process, XWindow)> {
    let world = World::on_loopback();
    let desktop = match Desktop::start(&world.file("desktop")) {
        Ok(desktop) => desktop,
        Err(why) => {
            skip(test, &why);
            world.finish();
            return None;
        }
    };
    prefer(&world.home("bob"), &[("ui.welcomed", "yes"), ("ui.language", "en")]);
    let launch = desktop.client(&world, "bob").args(options);
    let config = world.home("bob").join("config.toml");
    let silent = std::fs::read_to_string(&config).expect("the laboratory wrote it");
    let speaking = silent.replace("\"silence\"", &format!("\"{}\"", speech("bob")));
    std::fs::write(&config, speaking).expect("it can be written");
    let mut bob = launch.start();
    let window = desktop.screen.window_of(&mut bob);
    desktop.screen.move_and_resize(window, (20, 30), SIZE);
    until("Bob can be called", || (status(&world, "bob")?["acks"].as_u64() >= Some(1)).then_some(()));
    until("the window has the focus", || desktop.screen.is_focused(window).then_some(()));
    Some((world, desktop, bob, window))
}

fn speech(voice: &str) -> String {
    format!("file:{},loop", recording(voice).display())
}

/// Alice calls and speaks, and Bob answers by the keyboard.
fn call(world: &World, desktop: &Desktop, pause: Duration) -> Process {
    let link = status(world, "bob").expect("it runs")["link"].as_str().expect("text").to_owned();
    let mic = speech("alice");
    let options = ["--mic", &mic, "--speaker", "null", "--ring-device", "null", "--name", "Alice"];
    let mut alice = world.calling("alice", &link, &options, None);
    alice.next("ringing", REACTION);
    std::thread::sleep(pause);
    desktop.screen.press(&[CONTROL, RETURN]);
    alice.next("connected", REACTION);
    alice
}

#[test]
fn a_call_is_drawn_for_little() {
    let _measuring = measuring();
    let Some((world, desktop, mut bob, window)) = laboratory("a_call_is_drawn_for_little", &[]) else { return };
    let mut alice = call(&world, &desktop, FADING);
    // The beginning of a call has more to show than its course.
    std::thread::sleep(REACTION / 3);

    // The portrait and the meters below it; they are looked at twice as often as they move.
    let (place, size) = ((430, 120), (440, 340));
    let (mut moves, mut looked) = (0, 0);
    let mut before = desktop.screen.picture(window, place, size);
    let (begin, times) = (Instant::now(), thread_times(bob.pid()));
    while begin.elapsed() < WATCHED {
        std::thread::sleep(Duration::from_millis(20));
        let now = desktop.screen.picture(window, place, size);
        (moves, looked) = (moves + u32::from(now != before), looked + 1);
        before = now;
    }
    let watched_s = begin.elapsed().as_secs_f64();
    let mut drawing_s = 0.0;
    for (id, name, time) in thread_times(bob.pid()) {
        let earlier = times.iter().find(|(other, ..)| *other == id).map_or(Duration::ZERO, |(.., time)| *time);
        if id == bob.pid() || name.starts_with("llvmpipe") {
            let spent_s = (time - earlier).as_secs_f64();
            println!("{name}: {:.1} % of a core", spent_s / watched_s * 100.0);
            drawing_s += spent_s;
        }
    }
    let (share, per_s) = (drawing_s / watched_s, f64::from(moves) / watched_s);
    println!(
        "drawing: {:.1} % of a core, {per_s:.1} moves a second in {looked} looks, {:.0} MB",
        share * 100.0,
        rss_mb(bob.pid())
    );
    assert!(MOVES_PER_S.contains(&per_s), "the meters move {per_s:.1} times a second");
    assert!(share <= MAX_DRAWING, "{:.1} % of a core", share * 100.0);
    finish(&mut alice, 0);
    finish(&mut bob, 0);
    world.finish();
}

#[test]
fn what_is_painted_in_parts_is_what_painting_everything_gives() {
    let _measuring = measuring();
    let test = "what_is_painted_in_parts_is_what_painting_everything_gives";
    let checked = ["--log", "twocans::painting=trace"];
    let Some((world, desktop, mut bob, window)) = laboratory(test, &checked) else { return };
    let screen = &desktop.screen;
    let rest = || std::thread::sleep(FADING);
    let sweep = |x: std::ops::Range<i32>, y: i32| {
        for x in x.step_by(9) {
            screen.point_at(window, (x, y));
            std::thread::sleep(Duration::from_millis(15));
        }
        rest();
    };
    let in_all_sections = || {
        for key in ['1', '2', ',', '3'] {
            screen.press(&[CONTROL, u32::from(key)]);
            rest();
            for _ in 0..7 {
                screen.press(&[TAB]);
                std::thread::sleep(Duration::from_millis(60));
            }
            sweep(300..1100, 200);
            for down in [true, true, true, false] {
                screen.scroll(down);
                std::thread::sleep(Duration::from_millis(120));
            }
        }
    };
    let mut so_far = 0;
    let mut look = |bob: &Process, what: &str| {
        let log = bob.log();
        let right = log.matches("a part is painted right").count();
        println!("{what}: {} parts painted right", right - so_far);
        let wrong: Vec<&str> = log.lines().filter(|line| line.contains("a part is painted wrong")).collect();
        assert!(
            wrong.is_empty(),
            "{what}: {} of {}: {:#?}",
            wrong.len(),
            right + wrong.len(),
            &wrong[..wrong.len().min(9)]
        );
        // A window that has got another size between layout and painting shows its ground for one frame.
        let lost = log.matches("the rest of a picture is lost").count();
        assert!(lost * 500 <= right, "{what}: {lost} lost of {right}");
        assert!(right > so_far, "{what}: nothing was checked:\n{}", bob.last_words());
        so_far = right;
    };

    in_all_sections();
    look(&bob, "all sections");
    // The pointer over the rail, and tooltips.
    for y in (60..700).step_by(35) {
        sweep(20..50, y);
    }
    look(&bob, "the rail");
    // Typing, and a selection.
    screen.press(&[CONTROL, u32::from('k')]);
    for key in "nobody here".chars() {
        screen.press(&[u32::from(key)]);
        std::thread::sleep(Duration::from_millis(40));
    }
    screen.press(&[CONTROL, u32::from('a')]);
    rest();
    screen.press(&[ESCAPE]);
    look(&bob, "a text field");

    let mut alice = call(&world, &desktop, FADING * 3);
    std::thread::sleep(REACTION / 3);
    look(&bob, "an incoming call, and the call");
    sweep(430..900, 660);
    sweep(430..900, 30);
    screen.press(&[CONTROL, u32::from('m')]);
    rest();
    screen.press(&[CONTROL, u32::from('h')]);
    rest();
    look(&bob, "the controls of a call");
    // The question whom to invite slides in over the meters.
    screen.press(&[CONTROL, u32::from('h')]);
    screen.press(&[CONTROL, u32::from('i')]);
    rest();
    sweep(300..800, 400);
    screen.press(&[ESCAPE]);
    rest();
    look(&bob, "a sheet during a call");
    in_all_sections();
    look(&bob, "all sections during a call");
    for size in [(1121, 720), (700, 720), (421, 561), SIZE] {
        screen.move_and_resize(window, (20, 30), size);
        rest();
        rest();
    }
    look(&bob, "other sizes");
    let hang_up = Launch::new("hangup", &world.home("bob")).args(["hangup"]).start_and_wait(REACTION);
    assert_eq!(hang_up.0, Some(0), "{:?}", hang_up.1);
    alice.next("ended", REACTION);
    rest();
    screen.press(&[SPACE]);
    rest();
    look(&bob, "the end of a call");
    finish(&mut bob, 0);
    world.finish();
}
