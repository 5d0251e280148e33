//! The desktop client as people use it: two windows on one desktop, driven by what a screen reader finds in them, and
//! heard through virtual microphones and speakers.
#![cfg(feature = "gui")]

mod common;
mod window_lab;

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use common::process::Launch;
use common::pulse::{Channel, Pulse};
use common::skip::skip;
use common::speech::{SAMPLE_RATE_HZ, dbfs, heard, read_wav, read_wav_channel, recording};
use common::world::{World, listens_at, ready_line};
use window_lab::{Desktop, Window};

const SEARCH: &str = "Search people or paste a link";
const SECTIONS: [&str; 4] = ["People", "Network", "Settings", "Your link and profile"];
/// Of a recording; a few sentences.
const CLIP_S: usize = 4;
/// Before and after what is recorded: for the recorder to begin, and for the last words to arrive.
const MARGIN: Duration = Duration::from_millis(800);
/// Share of a clip that arrives at least. It is looked for in some seven pieces, of which a busy machine stretches one or
/// two; how well a call sounds is judged by others.
const MOST: f32 = 0.7;
/// Between speech and nothing at all; a ring is louder, too.
const AUDIBLE_DBFS: f32 = -50.0;
const SILENT_DBFS: f32 = -75.0;

#[test]
fn two_people_call_each_other_in_their_windows() {
    let Some(lab) = Lab::start("two_people_call_each_other_in_their_windows") else { return };
    let (alice, bob) = (lab.open("Alice", 'A'), lab.open("Bob", 'B'));

    bob.sees("People can call you");
    bob.press("Copy link");
    alice.paste_into(SEARCH);
    alice.press("Add contact");
    assert_all_named(&alice, "the question for a name");
    lab.desktop.screenshot("add-contact");
    alice.write_into("Name", "Bobby");
    alice.press("Save");
    alice.sees("Online");
    alice.sees("No calls yet");
    lab.desktop.screenshot("contact");

    let tape = lab.record();
    alice.press("Call");
    alice.sees("It rings…");
    bob.offers("Answer");
    bob.sees("Alice");
    assert_all_named(&alice, "a call that rings there");
    assert_all_named(&bob, "a call that rings here");
    lab.desktop.screenshot("ringing");
    sleep(Duration::from_secs(2));
    let tape = tape.stop();
    let ring_dbfs = dbfs(&read_wav_channel(&tape, Channel::SpeakerB as usize));
    println!("it rings at {ring_dbfs:.1} dBFS");
    assert!(ring_dbfs > AUDIBLE_DBFS, "Bob hears it ring: {ring_dbfs} dBFS");

    bob.press("Answer");
    for window in [&alice, &bob] {
        window.sees("End-to-end encrypted");
        window.sees("Direct");
        window.sees("Safety words");
        window.offers("Hang up");
    }
    assert_eq!(alice.safety_words(), bob.safety_words(), "nobody listens in");
    let (alices, bobs) = (lab.clip("alice"), lab.clip("bob"));
    assert_heard(&lab.say(&alices, Channel::MicA), &alices);
    lab.desktop.screenshot("call");
    assert_heard(&lab.say(&bobs, Channel::MicB), &bobs);

    alice.press("Mute");
    alice.offers("Unmute");
    bob.sees("They are muted");
    let said = lab.say(&alices, Channel::MicA);
    assert!(heard(&read_wav(&alices), &said.mouth).share >= MOST, "she does speak");
    let level_dbfs = dbfs(&said.ear);
    println!("muted, {level_dbfs:.1} dBFS arrive");
    assert!(level_dbfs < SILENT_DBFS, "who is muted is not heard: {level_dbfs} dBFS");
    assert_all_named(&alice, "a call");
    lab.desktop.screenshot("muted");
    alice.press("Unmute");
    alice.offers("Mute");
    bob.misses("They are muted");
    assert_heard(&lab.say(&alices, Channel::MicA), &alices);

    alice.press("Hang up");
    alice.sees("You talked with Bobby for");
    bob.sees("Alice hung up after");
    alice.sees("Outgoing call ·");
    bob.sees("Incoming call ·");
    lab.desktop.screenshot("after-the-call");

    alice.press("Call");
    bob.offers("Answer");
    alice.press("Cancel");
    alice.sees("You cancelled");
    bob.sees("Missed call ·");
    bob.sees("Alice, Missed call");
    lab.desktop.screenshot("missed-call");

    alice.close();
    bob.close();
    lab.world.finish();
}

#[test]
fn a_call_needs_no_mouse() {
    let Some(lab) = Lab::start("a_call_needs_no_mouse") else { return };
    let (alice, bob) = (lab.open("Alice", 'A'), lab.open("Bob", 'B'));

    bob.sees("People can call you");
    bob.tab_to("Copy link");
    bob.keys("space");
    alice.keys("ctrl+k");
    alice.has_focus_in(SEARCH);
    alice.keys("ctrl+v");
    alice.offers("Add contact");
    alice.tab_to("Add contact");
    alice.keys("Return");
    alice.has_focus_in("Name");
    alice.write_into("Name", "Bobby");
    alice.keys("Return");
    alice.sees("Online");

    let way = alice.tab_to("Call");
    println!("to the call: {way:?}");
    alice.keys("space");
    alice.sees("It rings…");
    bob.offers("Answer");
    bob.keys("ctrl+Return");
    alice.sees("End-to-end encrypted");
    bob.sees("End-to-end encrypted");
    alice.keys("ctrl+m");
    bob.sees("They are muted");
    bob.keys("ctrl+shift+e");
    alice.sees("Bobby hung up after");
    bob.sees("You talked with Alice for");

    alice.close();
    bob.close();
    lab.world.finish();
}

#[test]
fn every_control_of_every_section_has_a_name() {
    let Some(lab) = Lab::start("every_control_of_every_section_has_a_name") else { return };
    let window = lab.open("Alice", 'A');
    for section in SECTIONS {
        window.press(section);
        // Each section has controls of its own, which take a moment.
        sleep(MARGIN);
        assert_all_named(&window, section);
        lab.desktop.screenshot(&section.to_lowercase().replace(' ', "-"));
    }
    window.close();
    lab.world.finish();
}

fn assert_all_named(window: &Window, place: &str) {
    let (controls, nameless) = (window.controls(), window.nameless());
    println!("{place}: {controls:?}");
    assert!(controls.len() >= 2, "{place} has controls: {}", window.everything());
    assert!(nameless.is_empty(), "{place}: without a name: {nameless:?} in\n{}", window.everything());
}

/// What went into one microphone, and what came out of the other side's speaker meanwhile.
struct Said {
    mouth: Vec<f32>,
    ear: Vec<f32>,
}

fn assert_heard(said: &Said, clip: &Path) {
    let reference = read_wav(clip);
    let found = heard(&reference, &said.ear);
    println!("heard {:.0} % at {:.1} dBFS", found.share * 100.0, found.level_dbfs);
    assert!(found.share >= MOST, "only part of the speech arrived: {found:?}");
    assert!(found.level_dbfs > AUDIBLE_DBFS, "too quiet: {found:?}");
}

/// A network, sound and a desktop, all of this test's own.
struct Lab {
    desktop: Desktop,
    pulse: Pulse,
    world: World,
}

impl Lab {
    fn start(test: &str) -> Option<Self> {
        let world = World::on_loopback();
        let parts = Pulse::start(&world.file("pulse"))
            .and_then(|pulse| Desktop::start(&world.file("desktop")).map(|desktop| (pulse, desktop)));
        match parts {
            Ok((pulse, desktop)) => Some(Self { desktop, pulse, world }),
            Err(why) => {
                skip(test, &why);
                world.finish();
                None
            }
        }
    }

    /// The window of somebody with a new profile, at the microphone and speaker of this letter. The microphone's sound is
    /// sent as it is: the window is judged, not the processing.
    fn open(&self, name: &str, letter: char) -> Window<'_> {
        let sound = self.pulse.environment();
        let device = |direction: &str, kind: &str| self.world.device_id(&sound, direction, &format!("{kind}{letter}"));
        let (mic, speaker) = (device("input", "mic"), device("output", "spk"));
        let home = self.world.home(&name.to_lowercase());
        std::fs::create_dir_all(&home).expect("a profile can be made");
        let bootstrap = listens_at(&ready_line(&self.world.node));
        let config = format!(
            "[network]\nisolated = true\nbootstrap = {bootstrap:?}\n\
             [audio]\nname = {name:?}\nmic = {mic:?}\nspeaker = {speaker:?}\nring-device = {speaker:?}\n\
             no-aec = true\nns = \"off\"\nno-agc = true\n"
        );
        std::fs::write(home.join("config.toml"), config).expect("the profile can be written");
        let launch = Launch::new(&name.to_lowercase(), &home).envs(&self.desktop.environment()).envs(&sound);
        let window = Window::open(&self.desktop, launch);
        window.past_first_run();
        window
    }

    fn record(&self) -> common::pulse::Recording {
        let tape = self.pulse.record(&self.world.file("tape.wav"));
        sleep(MARGIN);
        tape
    }

    /// Speaks a clip into a microphone.
    fn say(&self, clip: &Path, mic: Channel) -> Said {
        let (sink, ear) = match mic {
            Channel::MicA => ("to_micA", Channel::SpeakerB),
            Channel::MicB => ("to_micB", Channel::SpeakerA),
            Channel::SpeakerA | Channel::SpeakerB => panic!("{mic:?} is no microphone"),
        };
        let tape = self.record();
        assert!(self.pulse.play(clip, sink).wait().expect("paplay runs").success());
        sleep(MARGIN);
        let tape = tape.stop();
        Said { mouth: read_wav_channel(&tape, mic as usize), ear: read_wav_channel(&tape, ear as usize) }
    }

    /// The beginning of a recording, as a file.
    fn clip(&self, voice: &str) -> PathBuf {
        let path = self.world.file(voice).with_extension("clip.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: SAMPLE_RATE_HZ as u32,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut wav = hound::WavWriter::create(&path, spec).expect("the world's folder can be written");
        for sample in read_wav(&recording(voice)).into_iter().take(CLIP_S * SAMPLE_RATE_HZ) {
            wav.write_sample(sample).expect("the disk has room");
        }
        wav.finalize().expect("the disk has room");
        path
    }
}
