//! Every screen in its states, in both themes and three widths, against pictures in `tests/snapshots`; what assistive
//! programs read of them; and what a long list costs. `UPDATE_SNAPSHOTS=1 cargo test --lib ui::tests` paints the
//! pictures anew: look at them before they are committed.

mod group;
pub mod stage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eframe::egui::accesskit::Role;
use eframe::egui::{Key, Modifiers, Theme, Vec2};
use egui_kittest::kittest::{NodeT, Queryable};
use egui_kittest::{Harness, SnapshotOptions};

use super::app::{LookedUp, Notice, Offer, Section, Sheet};
use super::screens::{BackupForm, Welcome};
use super::words;
use crate::engine::{Broken, CallPhase, CallSide, SnapshotCall, SoundTrial, SuperPeerMode, Verdict};
use stage::{Stage, alice, bob, call_with, check, contact, past_calls, stats, talking};

/// A window as people have it, one with a list of its own, and a narrow one.
const SIZES: [(&str, [f32; 2]); 3] =
    [("wide", [1120.0, 720.0]), ("middle", [840.0, 640.0]), ("narrow", [420.0, 640.0])];

/// The pictures of one test.
struct Gallery(egui_kittest::SnapshotResults);

impl Gallery {
    fn open() -> Self {
        Self(egui_kittest::SnapshotResults::new())
    }

    /// A picture in each theme and width.
    fn show(&mut self, name: &str, scene: impl Fn(&mut Stage)) {
        for theme in [Theme::Dark, Theme::Light] {
            for (width, _) in SIZES {
                self.show_in(theme, width, name, &scene);
            }
        }
    }

    /// One picture: what is put together from parts that are shown elsewhere needs no more.
    fn show_in(&mut self, theme: Theme, width: &str, name: &str, scene: impl Fn(&mut Stage)) {
        let called = if theme == Theme::Dark { "dark" } else { "light" };
        let size = SIZES.into_iter().find(|(known, _)| *known == width).map(|(_, size)| size).expect("a known width");
        let mut harness = staged(theme, size.into(), &scene);
        every_widget_has_a_name(&harness, name);
        self.0.add(harness.try_snapshot_options(format!("{name}-{called}-{width}"), &tolerance()));
    }

    fn close(self) {
        self.0.unwrap();
    }
}

/// Rounding differs a little between processors.
fn tolerance() -> SnapshotOptions {
    SnapshotOptions::new().threshold(1.0).failed_pixel_count_threshold(60)
}

fn staged(theme: Theme, size: Vec2, scene: impl Fn(&mut Stage)) -> Harness<'static, Stage> {
    let mut stage = Stage::new();
    scene(&mut stage);
    let builder = Harness::builder().with_size(size).with_theme(theme).with_step_dt(0.05).wgpu();
    let mut harness = builder.build_ui_state(|ui, stage: &mut Stage| stage.paint(ui), stage);
    // What moves for ever is looked at after a second.
    harness.run_steps(20);
    harness
}

fn every_widget_has_a_name(harness: &Harness<'_, Stage>, scene: &str) {
    let acts = |role| {
        matches!(
            role,
            Role::Button | Role::TextInput | Role::MultilineTextInput | Role::CheckBox | Role::ComboBox | Role::Slider
        )
    };
    let mut acting = 0;
    for node in harness.root().children_recursive().filter(|node| acts(node.accesskit_node().role())) {
        acting += 1;
        let name = node.accesskit_node().label().unwrap_or_default();
        assert!(!name.trim().is_empty(), "{scene}: a {:?} has no name", node.accesskit_node().role());
    }
    assert!(acting > 0, "{scene}: there is nothing to do");
}

#[test]
fn the_first_steps() {
    let mut gallery = Gallery::open();
    gallery.show("welcome", |stage| stage.app().welcome = Some(Welcome::default()));
    gallery.show("restore", |stage| {
        stage.app().welcome = Some(Welcome::default());
        stage.app().sheet =
            Some(Sheet::Restore(BackupForm { path: "/media/stick/twocans.age".into(), ..Default::default() }));
    });
    gallery.close();
}

#[test]
fn nobody_is_there_yet() {
    let mut gallery = Gallery::open();
    gallery.show("empty", |stage| stage.now.presence_acks = 0);
    gallery.close();
}

#[test]
fn people_and_a_conversation() {
    let mut gallery = Gallery::open();
    gallery.show("conversation", |stage| {
        stage.with_friends();
        stage.app().chosen = Some(bob());
    });
    gallery.show("conversation-empty", |stage| {
        stage.with_friends();
        stage.app().history = Arc::default();
        stage.app().chosen = Some(alice());
        stage.app().notice = Some(Notice {
            text: "Alice was not found. They may be offline.".into(),
            detail: None,
            worry: true,
            offer: Some(Offer::CallAgain(contact(alice(), "Alice").link)),
        });
    });
    gallery.close();
}

#[test]
fn questions_stand_in_front() {
    let mut gallery = Gallery::open();
    gallery.show("remove", |stage| {
        stage.with_friends();
        stage.app().sheet = Some(Sheet::Remove { person: bob(), name: "Bob Marley".into() });
    });
    gallery.show("backup", |stage| {
        stage.with_friends();
        let form = BackupForm { path: "/home/me/twocans.age".into(), passphrase: "short".into(), again: String::new() };
        stage.app().sheet = Some(Sheet::Backup(form));
    });
    gallery.close();
}

#[test]
fn somebody_rings() {
    let mut gallery = Gallery::open();
    gallery.show("incoming", |stage| {
        stage.with_friends();
        stage.now.calls = vec![call_with(bob(), "Bob Marley", CallSide::Callee, CallPhase::Ringing)];
    });
    gallery.close();
}

#[test]
fn a_call_in_each_phase() {
    let mut gallery = Gallery::open();
    let mut scene = |name: &str, change: &dyn Fn(&mut SnapshotCall)| {
        gallery.show(name, |stage| {
            stage.with_friends();
            let mut call = talking(stage.began());
            change(&mut call);
            stage.now.calls = vec![call];
            stage.app().chosen = Some(bob());
            stage.app().at_call = true;
            let call = stage.now.calls[0].call;
            let note = stage.app().notes.of(call);
            note.safety_words = "exist  private  north  puzzle  cycle  north  attack  float".into();
            (0..40).for_each(|second| note.trends.add(&stats(second)));
        });
    };
    scene("call-ringing", &|call| {
        *call = call_with(bob(), "Bob Marley", CallSide::Caller, CallPhase::Ringing);
    });
    scene("call", &|_| {});
    scene("call-held", &|call| (call.held, call.peer_held) = (true, true));
    scene("call-reconnecting", &|call| {
        call.phase = CallPhase::Reconnecting;
        call.interrupted = call.connected_at.map(|at| (at + Duration::from_secs(249), Broken::TheyMoved));
    });
    gallery.close();
}

#[test]
fn the_network_page() {
    let mut gallery = Gallery::open();
    gallery.show("network-untested", |stage| stage.app().section = Section::Network);
    gallery.show("network", |stage| {
        stage.app().section = Section::Network;
        stage.app().examination.checks =
            [Verdict::Fine, Verdict::Warning, Verdict::Problem, Verdict::Unknown].map(check).into();
        stage.app().examination.answer = Some(words::REACH_DIRECT);
    });
    gallery.close();
}

#[test]
fn the_settings_page() {
    let mut gallery = Gallery::open();
    gallery.show("settings", |stage| {
        stage.with_friends();
        stage.app().section = Section::Settings;
        stage.now.trial = Some(SoundTrial::Echo);
        let mut network = (*stage.now.network_options).clone();
        network.super_peer = SuperPeerMode::Never;
        stage.now.network_options = Arc::new(network);
    });
    gallery.close();
}

#[test]
fn the_link_page() {
    let mut gallery = Gallery::open();
    gallery.show("you", |stage| stage.app().section = Section::You);
    gallery.close();
}

#[test]
fn every_language_fits() {
    let widths = |language| {
        let mut harness = staged(Theme::Dark, [420.0, 640.0].into(), |stage| {
            words::speak(language);
            stage.with_friends();
            stage.now.calls = vec![talking(stage.began())];
            stage.app().at_call = true;
        });
        harness.run_steps(2);
        let controls: Vec<_> = [words::MUTE, words::DEAFEN, words::HOLD, words::ADD_PEOPLE, words::HANG_UP]
            .map(|word| harness.get_by_label(word.text()).rect())
            .into();
        words::speak(words::Language::English);
        controls
    };
    for language in words::Language::ALL {
        let controls = widths(language);
        assert!(controls.iter().all(|rect| rect.left() >= 0.0 && rect.right() <= 420.0), "{language:?}: {controls:?}");
    }
}

#[test]
fn the_keyboard_reaches_everything() {
    let mut harness = staged(Theme::Dark, [1120.0, 720.0].into(), Stage::with_friends);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Comma);
    harness.run_steps(3);
    assert_eq!(harness.state_mut().app().section, Section::Settings);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::K);
    harness.run_steps(3);
    assert!(harness.get_by_label(words::SEARCH.text()).is_focused(), "the search field");
    // From there the tab key walks through the list and on to the conversation.
    let mut reached: BTreeMap<String, usize> = BTreeMap::new();
    for step in 0..40 {
        harness.key_press(Key::Tab);
        harness.run_steps(2);
        let focused = harness.root().children_recursive().find(egui_kittest::Node::is_focused);
        if let Some(name) = focused.and_then(|node| node.accesskit_node().label()) {
            reached.entry(name).or_insert(step);
        }
    }
    for wanted in [words::NETWORK, words::SETTINGS, words::YOU_SECTION, words::COPY] {
        assert!(reached.contains_key(wanted.text()), "{wanted:?} is not among {reached:?}");
    }
    assert!(reached.keys().any(|name| name.starts_with("Bob Marley")), "{reached:?}");
}

#[test]
fn a_person_is_opened_with_a_click_and_a_call_controlled() {
    let mut harness = staged(Theme::Dark, [1120.0, 720.0].into(), Stage::with_friends);
    harness.get_by_label_contains("Bob Marley,").click();
    harness.run_steps(3);
    assert_eq!(harness.state_mut().app().chosen, Some(bob()));
    assert!(harness.query_by_label(words::CALL.text()).is_some(), "there is a way to call them");
}

/// The targets of a large profile, by the processor's time so that other programs do not count.
#[test]
fn a_thousand_people_and_ten_thousand_calls_are_painted_in_time() {
    let mut stage = Stage::new();
    stage.now.contacts =
        Arc::new((0..1000).map(|number| contact(stage::person(number), &format!("Person {number}"))).collect());
    stage.app().history =
        Arc::new(past_calls(10_000, |call| stage::person(if call % 2 == 0 { 7 } else { call % 1000 })));
    stage.app().chosen = Some(stage::person(7));
    let builder = Harness::builder().with_size(Vec2::new(1120.0, 720.0)).with_step_dt(0.05);
    let mut harness = builder.build_ui_state(|ui, stage: &mut Stage| stage.paint(ui), stage);
    harness.run_steps(5);
    let mut spent: Vec<Duration> = (0..200)
        .map(|frame| {
            // The list on the left scrolls all the time.
            harness.hover_at([200.0, 400.0].into());
            let delta = Vec2::new(0.0, if frame % 40 < 20 { -90.0 } else { 60.0 });
            harness.event(eframe::egui::Event::MouseWheel {
                unit: eframe::egui::MouseWheelUnit::Point,
                delta,
                modifiers: Modifiers::NONE,
                phase: eframe::egui::TouchPhase::Move,
            });
            let before = stage::processor_time();
            harness.step();
            stage::processor_time() - before
        })
        .collect();
    spent.sort();
    let p95 = spent[spent.len() * 95 / 100];
    println!("a frame of 1,000 people and 10,000 calls takes {:?} (median), {p95:?} (p95)", spent[spent.len() / 2]);
    assert!(p95 <= Duration::from_millis(8), "{p95:?}");
}

#[test]
fn looking_at_somebody_tells_whether_they_are_there() {
    let mut harness = staged(Theme::Dark, [1120.0, 720.0].into(), |stage| {
        stage.with_friends();
        stage.app().chosen = Some(bob());
    });
    let known = harness.state_mut().app().looked_up.expect("they are looked up");
    harness.state_mut().app().looked_up = Some(LookedUp { online: Some(true), ..known });
    harness.run_steps(3);
    assert!(harness.query_by_label_contains(words::ONLINE.text()).is_some());
}
