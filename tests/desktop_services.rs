//! The client in its desktop: the real binary with its window on a screen that nobody sees, a window manager, and a session
//! bus with a notification server, a tray and a shortcuts portal that are the test's own.

#![cfg(all(target_os = "linux", feature = "gui"))]

mod common;
mod desktop_lab;

use std::time::Duration;

use serde_json::Value;

use common::figures::cpu_time;
use common::machine::{measuring, sharing};
use common::process::{Launch, Process};
use common::skip::skip;
use common::world::{AUTO, REACTION, SILENT, START_UP, World, finish, finishes_by_itself};
use desktop_lab::{Desktop, Notifications, Portal, SOON, TrayHost, prefer, preference, status, until};

/// Categories of the desktop notifications specification.
const INCOMING: &str = "call.incoming";
const MISSED: &str = "call.unanswered";
/// X11's names of keys.
const F9: u32 = 0xffc6;

/// A world and a desktop in it; `None`: this machine has none, which has been said.
fn laboratory(test: &str) -> Option<(World, Desktop)> {
    let world = World::on_loopback();
    match Desktop::start(&world.file("desktop")) {
        Ok(desktop) => Some((world, desktop)),
        Err(why) => {
            skip(test, &why);
            None
        }
    }
}

fn link_of(world: &World, name: &str) -> String {
    let status = status(world, name).expect("it runs");
    status["link"].as_str().expect("text").to_owned()
}

/// The only call of the running process of `name`; `None` while there is none.
fn call_of(world: &World, name: &str) -> Option<Value> {
    status(world, name)?["calls"].as_array()?.first().cloned()
}

/// Alice calls; it rings when this returns.
fn rings(world: &World, link: &str, further: &[&str]) -> Process {
    let mut alice = world.calling("alice", link, &[&SILENT[..], further].concat(), None);
    alice.next("ringing", REACTION);
    alice
}

fn ended(process: &mut Process, reason: &str) {
    let ended = process.next("ended", SOON);
    assert_eq!(ended["reason"], reason, "{ended}");
}

#[test]
fn a_notification_says_who_calls_and_answers_or_declines() {
    let _sharing = sharing();
    let Some((world, desktop)) = laboratory("a_notification_says_who_calls_and_answers_or_declines") else { return };
    let server = Notifications::start(&desktop.bus);
    let (mut client, window) = desktop.open(&world, "bob");
    let link = link_of(&world, "bob");
    desktop.screen.work_elsewhere();

    // Declined. The caller's name is no markup.
    let mut alice = rings(&world, &link, &["--name", "<b>Alice</b> & Co"]);
    let shown = server.wait(INCOMING, 0);
    assert_eq!(shown.summary, "Incoming call");
    assert!(shown.body.starts_with("&lt;b&gt;Alice&lt;/b&gt; &amp; Co"), "{}", shown.body);
    assert_eq!(shown.labels(), ["Answer", "Decline", "Open"]);
    until("the window is above all others", || desktop.screen.is_above(window).then_some(()));
    assert!(!desktop.screen.is_focused(window), "whoever types elsewhere goes on typing there");
    server.activate(shown.id, "decline");
    ended(&mut alice, "declined");
    finishes_by_itself(&mut alice, 5, SOON);
    server.wait_closed(shown.id);
    until("the window is as before", || (!desktop.screen.is_above(window)).then_some(()));

    // Given up: it was missed, and can be called back.
    let mut alice = rings(&world, &link, &["--name", "Alice"]);
    let shown = server.wait(INCOMING, 1);
    finish(&mut alice, 0);
    server.wait_closed(shown.id);
    let missed = server.wait(MISSED, 0);
    assert_eq!((missed.summary.as_str(), missed.body.as_str()), ("Missed call", "From Alice"));
    assert_eq!(missed.labels(), ["Call back", "Open"]);
    let waiting = [&AUTO[..], &SILENT[..]].concat();
    let mut alice = world.answering("alice", &waiting, None);
    server.activate(missed.id, "call-back");
    alice.process.next("connected", REACTION);
    let hang_up = Launch::new("hangup", &world.home("bob")).args(["hangup"]).start_and_wait(REACTION);
    assert_eq!(hang_up.0, Some(0), "{:?}", hang_up.1);
    ended(&mut alice.process, "remote_hangup");
    finish(&mut alice.process, 0);

    // Answered.
    desktop.screen.work_elsewhere();
    let mut alice = rings(&world, &link, &["--name", "Alice"]);
    let shown = server.wait(INCOMING, 2);
    server.activate(shown.id, "answer");
    alice.next("connected", REACTION);
    server.wait_closed(shown.id);
    finish(&mut alice, 0);
    assert_eq!((server.count(INCOMING), server.count(MISSED)), (3, 1));
    finish(&mut client, 0);
    world.finish();
}

#[test]
fn the_tray_shows_the_state_and_has_what_is_wanted_without_the_window() {
    let _sharing = sharing();
    let test = "the_tray_shows_the_state_and_has_what_is_wanted_without_the_window";
    let Some((world, desktop)) = laboratory(test) else { return };
    prefer(&world.home("bob"), &[("ui.close-to-tray", "yes")]);
    let tray = TrayHost::start(&desktop.bus);
    let (mut client, window) = desktop.open(&world, "bob");
    let link = link_of(&world, "bob");
    let item = tray.wait();
    let title = tray.property(&item, "Title");
    assert_eq!(<&str>::try_from(&title), Ok("twocans"));
    tray.item(&item, "People can call you");

    tray.click(&item, "Mute");
    tray.item(&item, "Unmute");
    assert_eq!(status(&world, "bob").expect("it runs")["muted"], true);
    tray.click(&item, "Unmute");
    tray.item(&item, "Mute");

    // Closed, the window is gone and the client is not. A call brings it back, above all others.
    desktop.screen.close(window);
    until("the window is hidden", || (!desktop.screen.is_shown(window)).then_some(()));
    let mut alice = rings(&world, &link, &["--name", "Alice"]);
    tray.item(&item, "Alice is calling you");
    until("the window is back", || (desktop.screen.is_shown(window) && desktop.screen.is_above(window)).then_some(()));
    tray.click(&item, "Answer");
    alice.next("connected", REACTION);
    tray.item(&item, "In a call");
    tray.click(&item, "Hang up");
    ended(&mut alice, "remote_hangup");
    finishes_by_itself(&mut alice, 0, SOON);
    assert!(desktop.screen.is_shown(window), "whoever answered sees the window still");

    desktop.screen.close(window);
    until("the window is hidden again", || (!desktop.screen.is_shown(window)).then_some(()));
    tray.activate(&item);
    until("a click on the icon brings it back", || desktop.screen.is_shown(window).then_some(()));

    // When the tray goes, nothing else would bring the window back.
    desktop.screen.close(window);
    until("the window is hidden once more", || (!desktop.screen.is_shown(window)).then_some(()));
    tray.end();
    until("the window is back without the tray", || desktop.screen.is_shown(window).then_some(()));
    let tray = TrayHost::start(&desktop.bus);
    let item = tray.wait();

    tray.click(&item, "Quit");
    finishes_by_itself(&mut client, 0, SOON);
    world.finish();
}

#[test]
fn a_desktop_without_services_costs_no_call() {
    let _sharing = sharing();
    let Some((world, mut desktop)) = laboratory("a_desktop_without_services_costs_no_call") else { return };
    // A bus on which nobody serves, then none at all.
    for no_bus in [false, true] {
        if no_bus {
            desktop.bus = "unix:path=/nonexistent".to_owned();
        }
        let (mut client, window) = desktop.open(&world, "bob");
        let link = link_of(&world, "bob");
        desktop.screen.minimize(window);
        let mut alice = rings(&world, &link, &[]);
        until("the window is shown above all others", || {
            (desktop.screen.is_shown(window) && desktop.screen.is_above(window)).then_some(())
        });
        finish(&mut alice, 0);
        until("it is as before", || (!desktop.screen.is_above(window)).then_some(()));
        desktop.screen.close(window);
        finishes_by_itself(&mut client, 0, SOON);
    }
    world.finish();
}

#[test]
fn a_second_process_hands_over_to_the_first() {
    let _sharing = sharing();
    let Some((world, desktop)) = laboratory("a_second_process_hands_over_to_the_first") else { return };
    let (mut client, window) = desktop.open(&world, "bob");
    let second = |words: &[&str]| {
        let launch = Launch::new("second", &world.home("bob")).args(words);
        desktop.on_it(launch).run_for_people(START_UP)
    };
    desktop.screen.work_elsewhere();
    desktop.screen.minimize(window);
    let shown = second(&[]);
    assert_eq!((shown.code, shown.stdout.trim()), (Some(0), "✓ twocans is running already; its window is shown."));
    until("the window is in front", || {
        (desktop.screen.is_shown(window) && desktop.screen.is_focused(window)).then_some(())
    });

    // A link is shown and not called: a page in a browser may have opened it.
    let carol = twocans::engine::my_link(&world.home("carol")).expect("a profile can be made").to_string();
    desktop.screen.work_elsewhere();
    let shown = second(&[&carol]);
    assert_eq!((shown.code, shown.stdout.trim()), (Some(0), "✓ The running twocans of this profile shows the link."));
    until("the window is in front", || desktop.screen.is_focused(window).then_some(()));
    assert_eq!(call_of(&world, "bob"), None);
    let wrong = second(&["twocans:nonsense"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    finish(&mut client, 0);

    // Whoever holds the profile without a window is named.
    let bob = world.answering("bob", &SILENT, None);
    for words in [&[][..], &[carol.as_str()][..]] {
        let refused = second(words);
        assert_eq!(refused.code, Some(9), "{refused:?}");
        let pid = format!("process {}", bob.process.pid());
        assert!(refused.stderr.contains(&pid) || refused.stdout.contains(&pid), "{refused:?}");
    }
    let mut bob = bob.process;
    finish(&mut bob, 0);

    // Nobody runs: the client opens.
    let mut first = desktop.on_it(Launch::new("bob", &world.home("bob")).args([&carol])).start();
    desktop.screen.window_of(&mut first);
    finish(&mut first, 0);
    world.finish();
}

#[test]
fn a_talk_key_works_in_front_of_any_window() {
    let _sharing = sharing();
    let Some((world, desktop)) = laboratory("a_talk_key_works_in_front_of_any_window") else { return };
    let talks = || status(&world, "bob").expect("it runs")["talk_key"] == true;
    prefer(&world.home("bob"), &[("ui.talk-key", "F9"), ("audio.transmit", "key")]);
    let (mut client, _) = desktop.open(&world, "bob");
    desktop.screen.work_elsewhere();
    until("the key is taken", || {
        desktop.screen.key(F9, true);
        let heard = talks();
        if !heard {
            desktop.screen.key(F9, false);
        }
        heard.then_some(())
    });
    desktop.screen.key(F9, false);
    until("it is let go", || (!talks()).then_some(()));
    finish(&mut client, 0);

    // Another program has it.
    desktop.screen.take_key(F9);
    let mut client = desktop.client(&world, "bob").args(["--log", "twocans=info"]).start();
    desktop.screen.window_of(&mut client);
    until("it is said", || client.log().contains("another program has taken it").then_some(()));
    finish(&mut client, 0);
    world.finish();
}

#[test]
fn on_wayland_the_portal_gives_the_talk_key() {
    let _sharing = sharing();
    let Some((world, desktop)) = laboratory("on_wayland_the_portal_gives_the_talk_key") else { return };
    prefer(&world.home("bob"), &[("ui.talk-key", "Ctrl+Alt+Space"), ("audio.transmit", "key")]);
    let talks = || status(&world, "bob").is_some_and(|status| status["talk_key"] == true);
    let portal = Portal::start(&desktop.bus, true);
    // A window of X11 on a Wayland desktop: X11 would give it the key in front of some windows only.
    let mut client = desktop.client(&world, "bob").env("XDG_SESSION_TYPE", "wayland").start();
    desktop.screen.window_of(&mut client);
    let bound = portal.wait();
    assert_eq!(bound.trigger, "CTRL+ALT+space");
    until("the key is heard", || {
        portal.press(&bound, true);
        talks().then_some(())
    });
    portal.press(&bound, false);
    until("it is let go", || (!talks()).then_some(()));
    finish(&mut client, 0);
    world.finish();
}

#[test]
fn a_portal_that_refuses_is_told() {
    let _sharing = sharing();
    let Some((world, desktop)) = laboratory("a_portal_that_refuses_is_told") else { return };
    prefer(&world.home("bob"), &[("ui.talk-key", "F9"), ("audio.transmit", "key")]);
    let portal = Portal::start(&desktop.bus, false);
    let client = desktop.client(&world, "bob").env("XDG_SESSION_TYPE", "wayland").args(["--log", "twocans=info"]);
    let mut client = client.start();
    portal.wait();
    until("it is said", || client.log().contains("The talk key works in this window only").then_some(()));
    finish(&mut client, 0);
    world.finish();
}

#[test]
fn the_window_is_where_it_was_left() {
    let _sharing = sharing();
    let Some((world, desktop)) = laboratory("the_window_is_where_it_was_left") else { return };
    let (mut client, window) = desktop.open(&world, "bob");
    desktop.screen.move_and_resize(window, (310, 120), (900, 640));
    let left = until("the window has come to rest", || {
        let before = desktop.screen.geometry(window);
        std::thread::sleep(Duration::from_millis(200));
        (desktop.screen.geometry(window) == before).then_some(before)
    });
    desktop.screen.close(window);
    finishes_by_itself(&mut client, 0, SOON);
    let kept = preference(&world.home("bob"), "ui.window").expect("it is kept");
    assert!(kept.contains("width=900 height=640"), "{kept}");

    // It does not creep from one time to the next.
    for _ in 0..2 {
        let (mut client, window) = desktop.open(&world, "bob");
        until("the window is where it was", || (desktop.screen.geometry(window) == left).then_some(()));
        desktop.screen.close(window);
        finishes_by_itself(&mut client, 0, SOON);
    }

    // Its screen is gone.
    prefer(&world.home("bob"), &[("ui.window", "x=5000 y=200 width=900 height=640 maximized=no")]);
    let (mut client, window) = desktop.open(&world, "bob");
    until("the window is in sight", || {
        let ((x, y), (width, height)) = desktop.screen.geometry(window);
        (x >= 0 && y >= 0 && x + width as i32 <= 1600 && y + height as i32 <= 1000).then_some(())
    });
    finish(&mut client, 0);
    world.finish();
}

#[test]
fn nobody_pays_for_services_that_wait() {
    const WATCHED: Duration = Duration::from_secs(20);
    /// Of one core; the issue asks for 0.004 of a release build.
    const MAX_CPU: f64 = 0.004 * 3.0;
    let _measuring = measuring();
    let Some((world, desktop)) = laboratory("nobody_pays_for_services_that_wait") else { return };
    prefer(&world.home("bob"), &[("ui.close-to-tray", "yes"), ("ui.talk-key", "F9"), ("audio.transmit", "key")]);
    let _server = Notifications::start(&desktop.bus);
    let tray = TrayHost::start(&desktop.bus);
    let (mut client, window) = desktop.open(&world, "bob");
    tray.item(&tray.wait(), "People can call you");
    for hidden in [false, true] {
        if hidden {
            desktop.screen.close(window);
            until("the window is hidden", || (!desktop.screen.is_shown(window)).then_some(()));
        }
        // What start-up or hiding left to do.
        std::thread::sleep(Duration::from_secs(5));
        let before = cpu_time(client.pid());
        std::thread::sleep(WATCHED);
        let cpu = (cpu_time(client.pid()) - before).as_secs_f64() / WATCHED.as_secs_f64();
        println!("idle, hidden: {hidden}: {:.2} % of a core", cpu * 100.0);
        assert!(cpu <= MAX_CPU, "hidden: {hidden}: {:.2} % of a core", cpu * 100.0);
    }
    finish(&mut client, 0);
    world.finish();
}
