//! Calls with a real browser: Debian's Chromium without a screen, in a network of its own.

mod common;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::Value;
use tempfile::TempDir;

use common::chromium::Chromium;
use common::foreign::file_of;
use common::machine::measuring;
use common::netlab::{Lab, Netns, laboratory};
use common::process::{Launch, Process};
use common::skip::{missing_program, skip};
use common::speech::{assert_heard, pesq_wb, read_wav, recording};
use common::world::{finishes_by_itself, with_files};

const PATIENCE: Duration = Duration::from_secs(60);
/// Silence before the speech in the browser's microphone, which listens from the moment it is opened.
const MICROPHONE_HEAD_S: usize = 12;
/// Recordings last ten seconds.
const TALK_S: &str = "22";
const RATE_HZ: u32 = 48_000;

struct Pair {
    ours: Netns,
    theirs: Netns,
    folder: TempDir,
    _lab: Lab,
}

impl Pair {
    fn new() -> Self {
        let lab = Lab::new();
        let ours = lab.public_host("ours", &[Ipv4Addr::new(203, 0, 113, 20)]);
        let theirs = lab.public_host("theirs", &[Ipv4Addr::new(203, 0, 113, 21)]);
        let folder = TempDir::with_prefix("twocans-browser-").expect("a temporary folder can be made");
        let pair = Self { ours, theirs, folder, _lab: lab };
        // A browser begins to play a little after the connection.
        pair.write_after_silence("we_say.wav", 1, "alice");
        pair
    }

    /// A recording behind some seconds of silence.
    fn write_after_silence(&self, name: &str, seconds: usize, speaker: &str) {
        let silence = vec![0.0; seconds * RATE_HZ as usize];
        write_wav(&self.file(name), silence.into_iter().chain(read_wav(&recording(speaker))));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn twocans(&self, side: &str, options: &[&str]) -> Process {
        let exchange = self.file("exchange");
        Launch::new("twocans", &self.file("home"))
            .args(["sdp", side, exchange.to_str().expect("utf-8"), "--no-public-stun"])
            .args(with_files(&self.file("we_say.wav"), &self.file("we_hear.wav")))
            .args(options)
            .inside(Some(&self.ours))
            .start()
    }

    /// With a microphone that it may use.
    fn browser_with_microphone(&self) -> Chromium {
        self.write_after_silence("microphone.wav", MICROPHONE_HEAD_S, "bob");
        Chromium::open(&file_of("browser_peer.html"), Some(&self.file("microphone.wav")), &self.theirs)
    }

    /// Text of a description, once it is there.
    fn await_file(&self, name: &str) -> String {
        let path = self.file("exchange").join(name);
        let end = Instant::now() + PATIENCE;
        while !path.is_file() {
            assert!(Instant::now() < end, "no {name}");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::fs::read_to_string(path).expect("it is there")
    }

    /// As a person does who saves it from a page.
    fn put_file(&self, name: &str, text: &str) {
        let folder = self.file("exchange");
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        std::fs::write(folder.join("half"), text).expect("the file can be written");
        std::fs::rename(folder.join("half"), folder.join(name)).expect("it is there");
    }

    /// Both heard what the other said.
    fn assert_both_heard(&self, name: &str, browser: &mut Chromium) {
        let state: Value = state_of(browser);
        println!("{name}: the browser says {state}");
        let samples = BASE64.decode(text_of(&browser.evaluate("recording()")).as_bytes()).expect("base64");
        let samples = samples.chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32768.0);
        let they_hear = self.file("they_hear.wav");
        write_wav(&they_hear, samples);
        let pairs =
            [("bob", "browser to twocans", self.file("we_hear.wav")), ("alice", "twocans to browser", they_hear)];
        for (speaker, what, heard) in pairs {
            let said = recording(speaker);
            let found = assert_heard(&format!("{name}, {what}"), &said, &heard);
            let quality = pesq_wb(&read_wav(&said), &read_wav(&heard));
            println!("{name}, {what}: {:.2} of the speech, PESQ-WB {quality:.2}", found.share);
        }
    }
}

fn write_wav(path: &Path, samples: impl Iterator<Item = f32>) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(path, spec).expect("the file can be written");
    for sample in samples {
        wav.write_sample((sample * f32::from(i16::MAX)) as i16).expect("the disk has room");
    }
    wav.finalize().expect("the disk has room");
}

fn text_of(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn state_of(browser: &mut Chromium) -> Value {
    serde_json::from_str(&text_of(&browser.evaluate("state()"))).expect("JSON")
}

/// A text as a JavaScript expression.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn laboratory_with_browser(test: &str, experiment: impl FnOnce()) {
    let _machine = measuring();
    if let Some(program) = missing_program(&["chromium"]) {
        return skip(test, &format!("{program} is not installed"));
    }
    laboratory(test, experiment);
}

/// The browser has our addresses and hides its own behind a name (`….local`): its checks show where it is.
#[test]
fn a_browser_answers_our_offer_and_hides_its_address() {
    laboratory_with_browser("a_browser_answers_our_offer_and_hides_its_address", || {
        let pair = Pair::new();
        let mut browser = Chromium::open(&file_of("browser_peer.html"), None, &pair.theirs);
        let mut ours = pair.twocans("offer", &["--seconds", TALK_S]);
        let offer = pair.await_file("offer.json");
        let wav = BASE64.encode(&std::fs::read(recording("bob")).expect("it is there"));
        browser.evaluate(&format!("prepare({{ microphone: false, wav: \"{wav}\" }})"));
        let answer = text_of(&browser.evaluate(&format!("answer({})", quoted(&offer))));
        assert!(answer.contains(".local "), "the browser hides nothing: {answer}");
        pair.put_file("answer.json", &answer);
        let connected = ours.next("connected", PATIENCE);
        assert_eq!(connected["remote"], "peer_reflexive", "{connected}");
        let ended = ours.next("ended", PATIENCE);
        assert_eq!(ended["reason"], "time_limit");
        finishes_by_itself(&mut ours, 0, PATIENCE);
        pair.assert_both_heard("our offer", &mut browser);
    });
}

/// A page with microphone, camera and a data channel: the voice is taken, the rest refused.
#[test]
fn we_answer_a_browser_that_offers_pictures_too() {
    laboratory_with_browser("we_answer_a_browser_that_offers_pictures_too", || {
        let pair = Pair::new();
        let mut browser = pair.browser_with_microphone();
        browser.evaluate("prepare({ microphone: true, camera: true })");
        let offer = text_of(&browser.evaluate("offer()"));
        assert!(offer.contains("m=video") && offer.contains("m=application"), "{offer}");
        pair.put_file("offer.json", &offer);
        let mut ours = pair.twocans("answer", &[]);
        let answer = pair.await_file("answer.json");
        browser.evaluate(&format!("accept({})", quoted(&answer)));
        let connected = ours.next("connected", PATIENCE);
        assert_eq!(connected["remote"], "host", "{connected}");
        let end = Instant::now() + PATIENCE;
        while state_of(&mut browser)["heard"].as_f64() < Some(25.0) {
            assert!(Instant::now() < end, "the browser hears nothing: {}", state_of(&mut browser));
            std::thread::sleep(Duration::from_millis(500));
        }
        pair.assert_both_heard_after_closing(&mut ours, &mut browser);
    });
}

impl Pair {
    fn assert_both_heard_after_closing(&self, ours: &mut Process, browser: &mut Chromium) {
        let state = state_of(browser);
        assert_eq!(state["connection"], "connected", "{state}");
        browser.evaluate("peer.close()");
        let ended = ours.next("ended", PATIENCE);
        assert_eq!(ended["reason"], "remote_hangup");
        finishes_by_itself(ours, 0, PATIENCE);
        self.assert_both_heard("their offer", browser);
    }
}
