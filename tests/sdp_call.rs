//! `twocans sdp`: calls by two files, between two processes of ours, and what goes wrong with such files.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use common::contract;
use common::machine::sharing;
use common::process::{Launch, Process};
use common::speech::{assert_heard, recording};
use common::world::{REACTION, SILENT, finish, finishes_by_itself, with_files};

const PATIENCE: Duration = Duration::from_secs(30);

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::with_prefix("twocans-sdp-").expect("a temporary folder can be made"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).expect("the file can be written");
    }

    fn launch<S: AsRef<str>>(&self, side: &str, options: impl IntoIterator<Item = S>) -> Launch {
        let dir = self.0.path().to_str().expect("utf-8");
        Launch::new(side, &self.file(&format!("home-{side}"))).args(["sdp", side, dir, "--isolated"]).args(options)
    }

    fn silent(&self, side: &str, options: &[&str]) -> Launch {
        self.launch(side, [options, &SILENT].concat())
    }
}

fn ended(process: &mut Process, reason: &str, code: i32) {
    assert_eq!(process.next("ended", PATIENCE)["reason"], reason);
    finishes_by_itself(process, code, PATIENCE);
}

#[test]
fn two_of_ours_talk_by_files() {
    let _machine = sharing();
    let folder = Folder::new();
    let hears = [folder.file("a_hears.wav"), folder.file("b_hears.wav")];
    let audio = |says: &str, hears: &Path| with_files(&recording(says), hears);
    let mut a = folder.launch("offer", audio("alice", &hears[0])).start();
    let mut b =
        folder.launch("answer", ["--seconds".into(), "11".into()].into_iter().chain(audio("bob", &hears[1]))).start();
    for process in [&mut a, &mut b] {
        let connected = process.next("connected", PATIENCE);
        assert!(connected["peer"].is_null() && connected["local"] == "host", "{connected}");
    }
    ended(&mut b, "time_limit", 0);
    ended(&mut a, "remote_hangup", 0);
    assert_heard("bob to alice", &recording("bob"), &hears[0]);
    assert_heard("alice to bob", &recording("alice"), &hears[1]);
}

#[test]
fn what_is_wrong_with_a_file_is_the_users_to_mend() {
    let _machine = sharing();
    for (text, why) in [
        ("nonsense", "it is not {\"type\", \"sdp\"} in JSON"),
        (r#"{"type":"answer","sdp":"v=0\r\n"}"#, "its type is not \"offer\""),
        (r#"{"type":"offer","sdp":"v=0\r\n"}"#, "it has no audio"),
        (r#"{"type":"offer","sdp":"v=0\r\nm=audio 9 RTP/AVP 0\r\n"}"#, "audio without encryption"),
    ] {
        let folder = Folder::new();
        folder.put("offer.json", text);
        let (code, lines) = folder.silent("answer", &[]).start_and_wait(PATIENCE);
        assert_eq!(code, Some(2), "{text}: {lines:?}");
        let failure = lines.iter().find(|line| line["event"] == "failure").expect("a failure is told");
        assert!(failure["message"].as_str().is_some_and(|message| message.contains(why)), "{failure}");
        assert!(!folder.file("answer.json").exists());
        contract::check("answer", &lines);
    }
}

#[test]
fn nobody_waits_for_ever() {
    let _machine = sharing();
    let folder = Folder::new();
    let mut offers = folder.silent("offer", &["--ring-timeout", "2"]).start();
    ended(&mut offers, "no_answer", 6);

    // The offer is still there, and nobody behind it any more.
    let mut answers = folder.silent("answer", &["--ring-timeout", "3"]).start();
    ended(&mut answers, "unreachable", 4);

    // An answer from an earlier call is none to this offer.
    let mut again = folder.silent("offer", &["--ring-timeout", "2"]).start();
    ended(&mut again, "no_answer", 6);

    let empty = Folder::new();
    let (code, lines) = empty.silent("answer", &["--ring-timeout", "1"]).start_and_wait(PATIENCE);
    assert_eq!(code, Some(6), "{lines:?}");
}

#[test]
fn ctrl_c_ends_a_wait_and_a_call() {
    let _machine = sharing();
    let folder = Folder::new();
    let mut waits = folder.silent("answer", &[]).start();
    waits.next("sdp_awaited", PATIENCE);
    finish(&mut waits, 0);

    let mut a = folder.silent("offer", &[]).start();
    let mut b = folder.silent("answer", &[]).start();
    a.next("connected", PATIENCE);
    b.next("connected", REACTION);
    finish(&mut b, 0);
    ended(&mut a, "remote_hangup", 0);
}
