//! Group calls on screen: pictures, the keyboard, and what a frame costs.

use std::sync::Arc;
use std::time::Duration;

use eframe::egui::{Key, Modifiers, Theme, Vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};

use super::stage::{self, Stage, alice, bob, call_with, contact, group_of, past_group, person, stats, talking};
use super::{Gallery, staged};
use crate::base::{CallId, Person};
use crate::engine::{
    Broken, CallPhase, CallSide, EndReason, GroupEvent, GroupPhase, HearingPath, Levels, PeerStats, Presence,
    SnapshotCall, SnapshotGroup, SnapshotMember, UnfinishedGroup,
};
use crate::ui::app::Sheet;
use crate::ui::screens::InviteForm;
use crate::ui::words;

const SPEAKS: f32 = -20.0;
const SILENT: f32 = -100.0;

fn names() -> [(Person, &'static str); 9] {
    let names = [
        "Mei Tanaka",
        "Jonas Lindqvist",
        "Priya Nair",
        "Tomás Herrera",
        "Grace Whitfield",
        "Дарья Волкова",
        "Zoë van den Berg-Oosterhout",
        "Łukasz",
        "Amara Okafor",
    ];
    std::array::from_fn(|place| (person(10 + place), names[place]))
}

/// In this call since 4 minutes and 12 seconds ago; Mei speaks, if she is in it.
fn in_group(stage: &mut Stage, mut group: SnapshotGroup) {
    stage.with_friends();
    group.connected_at = Some(stage.began());
    group.started = stage.began();
    stage.now.groups = vec![group];
    stage.app().at_call = true;
    stage.app().groups.loudness = |_: &Levels, member: Option<&SnapshotMember>| {
        let mei = member.and_then(|member| member.name.as_deref()) == Some("Mei Tanaka");
        if mei { SPEAKS } else { SILENT }
    };
}

fn interrupted(stage: &Stage, member: &mut SnapshotMember) {
    member.phase = Some(CallPhase::Reconnecting);
    member.interrupted = Some((stage.began() + Duration::from_secs(249), Broken::Silent));
}

/// Six people, of whom one speaks, one is being found again, one is on hold.
fn six(stage: &mut Stage) {
    let mut group = group_of(&names()[..5]);
    group.members[1].muted = true;
    interrupted(stage, &mut group.members[3]);
    (group.members[4].held, group.members[4].muted) = (true, true);
    in_group(stage, group);
}

/// Ten people in all the states that there are, who do not all hear each other.
fn ten(stage: &mut Stage) {
    let mut group = group_of(&names());
    let [mei, jonas, priya, tomas, grace, darya, zoe, lukasz, amara] = &mut group.members[..] else { return };
    (mei.heard, mei.hears_us) = (HearingPath::Via(jonas.person), HearingPath::Via(jonas.person));
    jonas.silenced = true;
    (priya.misses, tomas.misses) = (vec![tomas.person], vec![priya.person]);
    grace.presence = Presence::Invited;
    darya.presence = Presence::Gone;
    zoe.stats = Some(PeerStats { concealed: Some(0.08), delay_ms: Some(480.0), ..stats(0) });
    lukasz.heard = HearingPath::Missing;
    amara.phase = Some(CallPhase::Connecting);
    in_group(stage, group);
    stage.now.muted = true;
}

#[test]
fn a_group_call() {
    let mut gallery = Gallery::open();
    gallery.show("group", six);
    for width in ["wide", "middle", "narrow"] {
        gallery.show_in(Theme::Dark, width, "group-ten", ten);
    }
    gallery.show_in(Theme::Light, "wide", "group-ten", ten);
    let two = |stage: &mut Stage| in_group(stage, group_of(&names()[..1]));
    gallery.show_in(Theme::Dark, "wide", "group-two", two);
    gallery.show_in(Theme::Light, "narrow", "group-two", two);
    gallery.close();
}

#[test]
fn a_member_and_what_can_be_done_about_them() {
    let mut gallery = Gallery::open();
    let scene = |stage: &mut Stage| {
        six(stage);
        let note = stage.app().notes.of(CallId::from_bytes([5; 16]));
        note.safety_words = "exist  private  north  puzzle  cycle  north  attack  float".into();
        stage.now.groups[0].members[0].stats = Some(stats(0));
    };
    for (theme, size) in [(Theme::Dark, [1120.0, 720.0]), (Theme::Light, [420.0, 640.0])] {
        let mut harness = staged(theme, size.into(), scene);
        harness.get_by_label_contains("Mei Tanaka, Speaking").click();
        harness.run_steps(20);
        for wanted in [words::VOLUME, words::MUTE_FOR_ME, words::WORDS_MATCH, words::REMOVE_FROM_CALL] {
            assert!(harness.query_all_by_label(wanted.text()).next().is_some(), "{wanted:?} is not in the menu");
        }
        let called = if theme == Theme::Dark { "dark-wide" } else { "light-narrow" };
        gallery.0.add(harness.try_snapshot_options(format!("group-member-{called}"), &super::tolerance()));
    }
    gallery.close();
}

#[test]
fn somebody_asks_us_to_a_group_call() {
    let mut gallery = Gallery::open();
    let invited = |stage: &mut Stage| {
        stage.with_friends();
        let mut group = group_of(&[(bob(), "Bob Marley"), names()[0], names()[1], names()[2], names()[3]]);
        group.phase = GroupPhase::Invited { by: bob() };
        stage.now.groups = vec![group];
    };
    gallery.show("invited", invited);
    // Over the call with whoever asks.
    let grows = |stage: &mut Stage| {
        stage.with_friends();
        stage.now.calls = vec![talking(stage.began())];
        let mut group = group_of(&[(bob(), "Bob Marley"), (alice(), "Alice")]);
        group.phase = GroupPhase::Invited { by: bob() };
        stage.now.groups = vec![group];
        stage.app().chosen = Some(bob());
        stage.app().at_call = true;
    };
    gallery.show_in(Theme::Dark, "wide", "call-grows", grows);
    gallery.show_in(Theme::Light, "narrow", "call-grows", grows);
    // We have asked, and nobody has opened yet.
    let asking = |stage: &mut Stage| {
        stage.now.groups = vec![SnapshotGroup { phase: GroupPhase::Asking, ..group_of(&[]) }];
        stage.app().at_call = true;
    };
    gallery.show_in(Theme::Dark, "middle", "group-asking", asking);
    gallery.close();
}

#[test]
fn people_are_chosen() {
    let mut gallery = Gallery::open();
    let panel = |stage: &mut Stage| {
        six(stage);
        let id = stage.now.groups[0].group;
        let mut form = InviteForm::group(id);
        form.chosen = vec![contact(alice(), "Alice").link];
        stage.app().sheet = Some(Sheet::Invite(form));
    };
    gallery.show_in(Theme::Dark, "wide", "invite", panel);
    gallery.show_in(Theme::Dark, "narrow", "invite", panel);
    gallery.show_in(Theme::Light, "middle", "invite", panel);
    let full = |stage: &mut Stage| {
        panel(stage);
        stage.now.groups[0].limit = 6;
        stage.app().sheet = Some(Sheet::Invite(InviteForm::group(group_of(&[]).group)));
    };
    gallery.show_in(Theme::Light, "wide", "invite-full", full);
    gallery.close();
}

#[test]
fn a_second_call() {
    let mut gallery = Gallery::open();
    let second = |stage: &mut Stage| {
        stage.with_friends();
        let second = CallId::from_bytes([9; 16]);
        let rings = SnapshotCall { call: second, ..call_with(alice(), "Alice", CallSide::Callee, CallPhase::Ringing) };
        stage.now.calls = vec![talking(stage.began()), rings];
        stage.app().chosen = Some(bob());
        stage.app().at_call = true;
    };
    gallery.show("second-call", second);
    let held = |stage: &mut Stage| {
        six(stage);
        let mut held = talking(stage.began());
        held.held = true;
        stage.now.calls = vec![held];
    };
    gallery.show_in(Theme::Dark, "wide", "call-waits", held);
    gallery.show_in(Theme::Light, "narrow", "call-waits", held);
    gallery.close();
}

#[test]
fn group_calls_that_are_over() {
    let mut gallery = Gallery::open();
    let scene = |stage: &mut Stage| {
        stage.with_friends();
        let people = [(bob(), "Bob Marley"), (alice(), "Alice"), names()[0], names()[1]];
        let mut history = stage.app().history.to_vec();
        history.insert(0, past_group(&people, 0, 728, EndReason::HangUp));
        history.insert(1, past_group(&people[..2], 1, 0, EndReason::NoAnswer));
        stage.app().history = Arc::new(history);
        stage.app().chosen = Some(bob());
        let members = people.iter().map(|(person, name)| (*person, Some((*name).to_owned()))).collect();
        let group = group_of(&[]).group;
        stage.now.unfinished = Some(UnfinishedGroup { group, members, last_seen_unix_s: 1_795_430_000 });
    };
    gallery.show_in(Theme::Dark, "wide", "group-past", scene);
    gallery.show_in(Theme::Light, "narrow", "group-past", scene);
    gallery.close();
}

#[test]
fn the_keyboard_chooses_people() {
    let mut harness = staged(Theme::Dark, [1120.0, 720.0].into(), six);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::I);
    harness.run_steps(4);
    harness.event(eframe::egui::Event::Text("zoë".into()));
    harness.run_steps(2);
    harness.event(eframe::egui::Event::Text(" nobody".into()));
    harness.run_steps(2);
    harness.key_press(Key::Enter);
    harness.run_steps(2);
    let chosen = |harness: &mut Harness<'_, Stage>| match &harness.state_mut().app().sheet {
        Some(Sheet::Invite(form)) => form.chosen.len(),
        _ => panic!("the panel is open"),
    };
    assert_eq!(chosen(&mut harness), 0, "nobody is called that");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.event(eframe::egui::Event::Text("alice".into()));
    harness.run_steps(2);
    harness.key_press(Key::Enter);
    harness.run_steps(3);
    assert_eq!(chosen(&mut harness), 1);
    harness.key_press(Key::Escape);
    harness.run_steps(3);
    assert!(harness.state_mut().app().sheet.is_none());
}

#[test]
fn a_tile_is_opened_and_controls_reached_by_keyboard() {
    let mut harness = staged(Theme::Dark, [1120.0, 720.0].into(), |stage| {
        six(stage);
        stage.now.contacts = Arc::default();
        stage.app().history = Arc::default();
    });
    let mut reached = Vec::new();
    for _ in 0..30 {
        harness.key_press(Key::Tab);
        harness.run_steps(2);
        let focused = harness.root().children_recursive().find(egui_kittest::Node::is_focused);
        let name = focused.and_then(|node| node.accesskit_node().label()).unwrap_or_default();
        if name.starts_with("Jonas Lindqvist") && !reached.contains(&name) {
            harness.key_press(Key::Enter);
            harness.run_steps(3);
            assert!(harness.query_by_label(words::MUTE_FOR_ME.text()).is_some(), "the menu is open");
            harness.key_press(Key::Escape);
            harness.run_steps(3);
        }
        reached.push(name);
    }
    for wanted in [words::MUTE, words::DEAFEN, words::INVITE, words::HOLD, words::LEAVE] {
        assert!(reached.iter().any(|name| *name == *wanted.text()), "{wanted:?} is not among {reached:?}");
    }
    assert!(reached.iter().any(|name| name == "Jonas Lindqvist, Microphone off"), "{reached:?}");
}

#[test]
fn controls_fit_in_every_language() {
    for language in words::Language::ALL {
        let mut harness = staged(Theme::Dark, [420.0, 640.0].into(), |stage| {
            words::speak(language);
            six(stage);
        });
        harness.run_steps(2);
        let controls = [words::MUTE, words::DEAFEN, words::INVITE, words::HOLD, words::LEAVE];
        let rects = controls.map(|word| harness.get_by_label(word.text()).rect());
        words::speak(words::Language::English);
        assert!(rects.iter().all(|rect| rect.left() >= 64.0 && rect.right() <= 420.0), "{language:?}: {rects:?}");
        let apart = rects.windows(2).all(|two| two[0].right() <= two[1].left());
        assert!(apart, "{language:?}: {rects:?}");
    }
}

#[test]
fn what_happens_in_a_group_is_told_with_what_to_do() {
    let mut stage = Stage::new();
    in_group(&mut stage, group_of(&names()[..2]));
    let (now, group) = (stage.now.clone(), stage.now.groups[0].group);
    let app = stage.app();
    app.look_at_groups(&now);
    let (mei, jonas) = (names()[0].0, names()[1].0);
    app.heard_of_group(&now, group, &GroupEvent::NotComing { person: mei, why: EndReason::NoAnswer });
    let told = app.notice.take().expect("it is told");
    assert!(told.text.starts_with("Mei Tanaka did not answer.") && told.offer.is_some(), "{told:?}");
    app.heard_of_group(&now, group, &GroupEvent::Removed { person: mei, by: Some(jonas) });
    assert_eq!(
        app.notice.take().map(|told| told.text).as_deref(),
        Some("Jonas Lindqvist took Mei Tanaka off the call.")
    );
    app.heard_of_group(&now, group, &GroupEvent::Removed { person: mei, by: Some(mei) });
    assert_eq!(app.notice, None, "who leaves is seen to leave");
    // The engine knows no more of it by the time it is told.
    let reason = crate::engine::LeftReason::Removed { by: jonas };
    let over = GroupEvent::Ended { reason, talked: Duration::from_secs(60) };
    app.heard_of_group(&crate::engine::Snapshot::default(), group, &over);
    let told = app.notice.take().expect("it is told");
    assert!(told.worry && told.text.starts_with("Jonas Lindqvist took you off"), "{told:?}");
    assert!(!app.at_call);
}

/// By the processor's time, so that other programs do not count.
#[test]
fn eight_people_who_speak_are_painted_in_time() {
    let mut stage = Stage::new();
    in_group(&mut stage, group_of(&names()[..8]));
    stage.app().groups.loudness = |_, _| SPEAKS;
    let builder = Harness::builder().with_size(Vec2::new(1120.0, 720.0)).with_step_dt(0.05);
    let mut harness = builder.build_ui_state(|ui, stage: &mut Stage| stage.paint(ui), stage);
    harness.run_steps(5);
    let speak = harness.query_all_by_label_contains(words::SPEAKING.text()).count();
    assert_eq!(speak, 9, "all of them and we");
    let mut spent: Vec<Duration> = (0..200)
        .map(|_| {
            let before = stage::processor_time();
            harness.step();
            stage::processor_time() - before
        })
        .collect();
    spent.sort();
    let p95 = spent[spent.len() * 95 / 100];
    println!("a frame of eight people who speak takes {:?} (median), {p95:?} (p95)", spent[spent.len() / 2]);
    assert!(p95 <= Duration::from_millis(8), "{p95:?}");
}
