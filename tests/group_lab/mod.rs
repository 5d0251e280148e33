//! Several people in one call: real processes, each with a microphone and a recording of what it hears.

#![allow(dead_code, reason = "every test binary compiles all of this and uses its part")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::common::netlab::Netns;
use super::common::process::{Launch, Process};
use super::common::speech::{SAMPLE_RATE_HZ, heard, pesq_wb, read_wav, recording};
use super::common::world::{AUTO, REACTION, World, finish, with_files};

/// Until everybody hears everybody.
pub const JOINING: Duration = Duration::from_secs(20);

/// One of them.
pub struct Member {
    pub process: Process,
    pub name: String,
    pub person: String,
    pub link: String,
    /// What it hears.
    pub hears: PathBuf,
}

impl Member {
    /// Waits for calls, and takes every one; says `says`.
    pub fn waiting(world: &World, name: &str, says: &Path, host: Option<&Netns>) -> Self {
        let hears = world.file(&format!("{name}-hears.wav"));
        let audio = with_files(says, &hears);
        let options: Vec<&str> = AUTO.into_iter().chain(audio.iter().map(String::as_str)).collect();
        let answering = world.answering(name, &options, host);
        let (process, person, link) = (answering.process, answering.person, answering.link);
        Self { process, name: name.to_owned(), person, link, hears }
    }

    /// Begins the call with these.
    pub fn starting(world: &World, name: &str, says: &Path, with: &[&Member], host: Option<&Netns>) -> Self {
        let people = with.iter().map(|member| member.link.as_str());
        Self::in_group(world, name, says, ["group", "start"].into_iter().chain(people), host)
    }

    /// Any verb that ends in a group call.
    pub fn in_group<'a>(
        world: &World,
        name: &str,
        says: &Path,
        verb: impl IntoIterator<Item = &'a str>,
        host: Option<&Netns>,
    ) -> Self {
        let hears = world.file(&format!("{name}-hears.wav"));
        let verb: Vec<String> = verb.into_iter().map(str::to_owned).chain(with_files(says, &hears)).collect();
        let mut process = world.launch(name, &verb).inside(host).start();
        let ready = process.next("ready", REACTION);
        let text = |field: &str| ready[field].as_str().expect("text").to_owned();
        Self { name: name.to_owned(), person: text("person"), link: text("link"), process, hears }
    }

    /// Asks the running process for something; its answer.
    pub fn asks(&self, world: &World, verb: &[&str]) -> Value {
        let launch = Launch::new(&format!("{} {verb:?}", self.name), &world.home(&self.name)).args(verb);
        let (code, lines) = launch.start_and_wait(REACTION);
        assert_eq!(code, Some(0), "{verb:?}: {lines:?}");
        lines.into_iter().next().expect("an answer")
    }

    /// Waits until it hears everybody of these, by its own word or anybody's; when that was, on the common clock, ms.
    pub fn hears_all(&mut self, others: &[String], deadline: Duration) -> f64 {
        let mut left: Vec<&String> = others.iter().filter(|person| **person != self.person).collect();
        let end = Instant::now() + deadline;
        let (mut at, mut seen) = (0.0, 0);
        while !left.is_empty() {
            for event in self.process.events().into_iter().skip(seen) {
                seen += 1;
                let heard = event["event"] == "hearing" && event["to"] == self.person.as_str();
                if heard && (event["path"] == "direct" || event["path"] == "via") {
                    let before = left.len();
                    left.retain(|person| event["from"] != person.as_str());
                    at = if left.len() < before { mono_of(&event) } else { at };
                }
            }
            if Instant::now() >= end {
                self.keep_events();
            }
            assert!(Instant::now() < end, "{} does not hear {left:?}: {}", self.name, self.process.last_words());
            std::thread::sleep(Duration::from_millis(20));
        }
        at
    }

    /// What it heard from `from` for `seconds`, by the common clock in ms.
    pub fn recorded(&self, from: f64, seconds: f64) -> Vec<f32> {
        let connected = self.process.all("connected");
        let began = mono_of(connected.first().expect("it was connected"));
        let samples = read_wav(&self.hears);
        let at = |ms: f64| ((ms - began).max(0.0) * SAMPLE_RATE_HZ as f64 / 1e3) as usize;
        let until = at(from + seconds * 1e3).min(samples.len());
        samples[at(from).min(until)..until].to_vec()
    }

    /// When its microphone's file began, by the common clock in ms. Waits until it has: while nobody speaks, that is up to
    /// three seconds after the first link is there.
    pub fn tape_began(&self) -> f64 {
        let end = Instant::now() + JOINING;
        loop {
            let connected = self.process.all("connected");
            if let Some(began) = connected.iter().find_map(|line| line["audio_t0_ms"].as_f64()) {
                return began;
            }
            assert!(Instant::now() < end, "{} plays no file: {}", self.name, self.process.last_words());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn leaves(&mut self) {
        self.keep_events();
        finish(&mut self.process, 0);
    }

    /// Where `TWOCANS_TEST_EVENTS` names a folder, what it told stays there.
    fn keep_events(&self) {
        if let Ok(folder) = std::env::var("TWOCANS_TEST_EVENTS") {
            let events: String = self.process.events().iter().map(|event| format!("{event}\n")).collect();
            std::fs::write(Path::new(&folder).join(format!("{}.json", self.name)), events)
                .expect("the folder is there");
        }
    }
}

pub fn mono_of(line: &Value) -> f64 {
    line["mono_ms"].as_f64().expect("a number")
}

/// A tape on which a person says `seconds` of speech from each of `at` (seconds) on. Even and odd people have different
/// voices.
pub fn write_tape(path: &Path, who: usize, at: &[f64], seconds: f64, length: f64) -> Vec<f32> {
    let voice = read_wav(&recording(if who.is_multiple_of(2) { "alice" } else { "bob" }));
    // Past the silence at the beginning.
    let speech: Vec<f32> = voice.into_iter().skip(SAMPLE_RATE_HZ / 2).collect();
    let mut tape = vec![0.0f32; (length * SAMPLE_RATE_HZ as f64) as usize];
    for at in at {
        let from = (at * SAMPLE_RATE_HZ as f64) as usize;
        for (i, sample) in tape[from..].iter_mut().take((seconds * SAMPLE_RATE_HZ as f64) as usize).enumerate() {
            *sample = speech[i % speech.len()];
        }
    }
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE_HZ as u32,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(path, spec).expect("the file can be written");
    for sample in &tape {
        wav.write_sample((sample * f32::from(i16::MAX)) as i16).expect("the disk has room");
    }
    wav.finalize().expect("the disk has room");
    speech.into_iter().take((seconds * SAMPLE_RATE_HZ as f64) as usize).collect()
}

/// How well one direction came through: share of the speech, PESQ-WB, and how much later than in `said` it is, ms.
pub fn judged(said: &[f32], recorded: &[f32]) -> (f32, f32, f32) {
    let found = heard(said, recorded);
    (found.share, pesq_wb(said, recorded), found.lag_ms)
}
