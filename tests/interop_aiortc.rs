//! Calls with aiortc, a WebRTC endpoint in Python that shares no code with ours. Each has a network of its own.

mod common;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use common::contract;
use common::foreign::{Foreign, has_python};
use common::machine::measuring;
use common::netlab::{Lab, Netns, laboratory};
use common::process::{Launch, Process};
use common::speech::{assert_heard, pesq_wb, read_wav, recording};
use common::world::{finishes_by_itself, with_files};

const PATIENCE: Duration = Duration::from_secs(40);
/// A little more than the recordings last.
const TALK_S: &str = "12";

/// Two machines, and a folder through which their people exchange files.
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
        let folder = TempDir::with_prefix("twocans-interop-").expect("a temporary folder can be made");
        Self { ours, theirs, folder, _lab: lab }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("utf-8").to_owned()
    }

    fn twocans(&self, side: &str, options: &[&str]) -> Process {
        let audio = with_files(&recording("alice"), Path::new(&self.file("we_hear.wav")));
        Launch::new("twocans", &self.folder.path().join("home"))
            .args(["sdp", side, &self.file("exchange"), "--no-public-stun"])
            .args(audio)
            .args(options)
            .inside(Some(&self.ours))
            .start()
    }

    fn aiortc(&self, side: &str, seconds: &str) -> Foreign {
        let says = recording("bob");
        let (exchange, hears) = (self.file("exchange"), self.file("they_hear.wav"));
        std::fs::create_dir_all(&exchange).expect("the folder can be made");
        let arguments = [side, &exchange, says.to_str().expect("utf-8"), &hears, seconds];
        Foreign::python("aiortc_peer.py", &arguments, Some(&self.theirs))
    }

    /// Both heard what the other said.
    fn assert_both_heard(&self, name: &str) {
        let (we_hear, they_hear) = (self.file("we_hear.wav"), self.file("they_hear.wav"));
        let pairs = [("bob", "aiortc to twocans", we_hear), ("alice", "twocans to aiortc", they_hear)];
        for (speaker, what, heard) in pairs {
            let (said, heard) = (recording(speaker), Path::new(&heard));
            let found = assert_heard(&format!("{name}, {what}"), &said, heard);
            println!(
                "{name}, {what}: {:.2} of the speech, PESQ-WB {:.2}",
                found.share,
                pesq_wb(&read_wav(&said), &read_wav(heard))
            );
        }
    }
}

fn assert_connected(process: &mut Process) {
    let connected = process.next("connected", PATIENCE);
    assert_eq!((connected["path"].as_str(), connected["peer"].is_null()), (Some("direct"), true), "{connected}");
    println!("answer to media {} ms", connected["answer_to_media_ms"]);
}

#[test]
fn aiortc_answers_our_offer() {
    const TEST: &str = "aiortc_answers_our_offer";
    let _machine = measuring();
    if !has_python(TEST, "aiortc") {
        return;
    }
    laboratory(TEST, || {
        let pair = Pair::new();
        let mut ours = pair.twocans("offer", &["--seconds", TALK_S]);
        let mut theirs = pair.aiortc("answer", "0");
        assert_connected(&mut ours);
        ours.next("stats", PATIENCE);
        let ended = ours.next("ended", PATIENCE);
        assert_eq!(ended["reason"], "time_limit");
        finishes_by_itself(&mut ours, 0, PATIENCE);
        theirs.wait_for("goodbye", |line| line == "closed", PATIENCE);
        assert_eq!(theirs.wait_exit(PATIENCE), Some(0));
        pair.assert_both_heard("our offer");
    });
}

#[test]
fn we_answer_the_offer_of_aiortc() {
    const TEST: &str = "we_answer_the_offer_of_aiortc";
    let _machine = measuring();
    if !has_python(TEST, "aiortc") {
        return;
    }
    laboratory(TEST, || {
        let pair = Pair::new();
        let mut theirs = pair.aiortc("offer", TALK_S);
        let mut ours = pair.twocans("answer", &[]);
        assert_connected(&mut ours);
        let ended = ours.next("ended", PATIENCE);
        assert_eq!(ended["reason"], "remote_hangup");
        finishes_by_itself(&mut ours, 0, PATIENCE);
        assert_eq!(theirs.wait_exit(PATIENCE), Some(0));
        pair.assert_both_heard("their offer");
    });
}

/// An endpoint that is gone leaves silence, and no word.
#[test]
fn an_endpoint_that_dies_is_missed() {
    const TEST: &str = "an_endpoint_that_dies_is_missed";
    let _machine = measuring();
    if !has_python(TEST, "aiortc") {
        return;
    }
    laboratory(TEST, || {
        let pair = Pair::new();
        let mut ours = pair.twocans("offer", &[]);
        let theirs = pair.aiortc("answer", "0");
        assert_connected(&mut ours);
        drop(theirs);
        ours.next("reconnecting", PATIENCE);
        let ended = ours.next("ended", PATIENCE);
        assert_eq!(ended["reason"], "connection_lost");
        assert_eq!(ours.wait_exit(PATIENCE), Some(8));
        contract::check("twocans", &ours.events());
    });
}
