//! What a whole call costs: set-up times, processor, memory, quality, of real processes on this machine.
//!
//! `cargo bench --bench call` (in release, as it should be). Prints one table, targets beside the figures.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "report/mod.rs"]
mod report;

use std::time::{Duration, Instant};

use common::figures::quantile;
use common::process::Launch;
use common::speech::{pesq_wb, read_wav, recording};
use common::world::{AUTO, REACTION, SILENT, World, finish, with_files};
use report::{Table, cost_of};

/// Long enough that a clock tick (10 ms) is 0.05 % of a core.
const WINDOW: Duration = Duration::from_secs(20);
const SET_UPS: usize = 20;

fn main() {
    let table = Table::begin();
    demo(&table);
    set_up(&table);
    idle(&table);
    conversation(&table);
}

/// The demo as a person runs it.
fn demo(table: &Table) {
    let folder = tempfile::TempDir::with_prefix("twocans-bench-").expect("a temporary folder can be made");
    let out = folder.path().join("out");
    let began = Instant::now();
    let launch = Launch::new("demo", &folder.path().join("home")).args(["demo", "--out", &out.display().to_string()]);
    let (code, lines) = launch.start_and_wait(Duration::from_secs(60));
    table.row("demo: exit code", "0", f64::from(code.unwrap_or(-1)), |code| code == 0.0);
    table.row("demo: whole run, s", "≤ 20", began.elapsed().as_secs_f64(), |s| s <= 20.0);
    let number = |event: &str, field: &str| {
        let found = lines.iter().filter(|line| line["event"] == event);
        found.filter_map(|line| line[field].as_f64()).reduce(f64::max)
    };
    let answer = number("connected", "answer_to_media_ms");
    table.row_if_known("demo: dial to ringing, ms", "≤ 60", number("ringing", "ring_ms"), |ms| ms <= 60.0);
    table.row_if_known("demo: answer to first remote audio, worse side, ms", "≤ 120", answer, |ms| ms <= 120.0);
    table.row_if_known("demo: quality (PESQ-WB), as reported", "≥ 4.2", number("demo_result", "quality"), |mos| {
        mos >= 4.2
    });
}

/// A new caller process each time, everything on loopback.
fn set_up(table: &Table) {
    let world = World::on_loopback();
    let mut bob = world.answering("bob", &[&AUTO[..], &SILENT].concat(), None);
    let (mut ring, mut media, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SET_UPS {
        let began = Instant::now();
        let mut alice = world.calling("alice", &bob.link, &SILENT, None);
        let connected = alice.next("connected", REACTION);
        whole.push(began.elapsed().as_secs_f64() * 1e3);
        ring.extend(connected["ring_ms"].as_f64());
        media.extend(connected["answer_to_media_ms"].as_f64());
        finish(&mut alice, 0);
        bob.process.next("ended", REACTION);
    }
    finish(&mut bob.process, 0);
    world.finish();
    table.row("two processes: dial to ringing, cold caller, p50 ms", "≤ 60", quantile(&ring, 0.5), |ms| ms <= 60.0);
    table.row("two processes: answer to media at the caller, p50 ms", "≤ 120", quantile(&media, 0.5), |ms| {
        ms <= 120.0
    });
    table.row("two processes: process start to connected, p50 ms", "", quantile(&whole, 0.5), |_| true);
}

/// Waiting costs next to nothing.
fn idle(table: &Table) {
    let mut world = World::on_loopback();
    let mut bob = world.answering("bob", &[&AUTO[..], &SILENT].concat(), None);
    std::thread::sleep(Duration::from_secs(5));
    let [of_bob, of_node] = cost_of(WINDOW, [bob.process.pid(), world.node.pid()]);
    table.row("idle answer: CPU, % of a core", "≤ 0.5", of_bob.cpu, |cpu| cpu <= 0.5);
    table.row("idle answer: RSS, MB", "≤ 50", of_bob.rss_mb, |mb| mb <= 50.0);
    table.row("idle node: CPU, % of a core", "", of_node.cpu, |_| true);
    table.row("idle node: RSS, MB", "", of_node.rss_mb, |_| true);
    finish(&mut bob.process, 0);
    finish(&mut world.node, 0);
}

/// Two people who both speak all the time.
fn conversation(table: &Table) {
    let world = World::on_loopback();
    let (alice_says, bob_says) = (recording("alice"), recording("bob"));
    let (alice_hears, bob_hears) = (world.file("alice_hears.wav"), world.file("bob_hears.wav"));
    let endless = |audio: [String; 4]| {
        let [mic, source, speaker, sink] = audio;
        [mic, format!("{source},loop"), speaker, sink, "--frame-ms".to_owned(), "20".to_owned()]
    };
    let audio = endless(with_files(&bob_says, &bob_hears));
    let options: Vec<&str> = AUTO.into_iter().chain(audio.iter().map(String::as_str)).collect();
    let mut bob = world.answering("bob", &options, None);
    let audio = endless(with_files(&alice_says, &alice_hears));
    let options: Vec<&str> = audio.iter().map(String::as_str).collect();
    let mut alice = world.calling("alice", &bob.link, &options, None);
    alice.next("connected", REACTION);
    std::thread::sleep(Duration::from_secs(3));
    let [of_alice, of_bob] = cost_of(WINDOW, [alice.pid(), bob.process.pid()]);
    let last = alice.all("stats").into_iter().next_back().unwrap_or_default();
    finish(&mut alice, 0);
    bob.process.next("ended", REACTION);
    finish(&mut bob.process, 0);
    world.finish();

    table.row("in a call: CPU of the caller, % of a core", "≤ 5", of_alice.cpu, |cpu| cpu <= 5.0);
    table.row("in a call: CPU of the callee, % of a core", "≤ 5", of_bob.cpu, |cpu| cpu <= 5.0);
    table.row("in a call: RSS of the caller, MB", "≤ 70", of_alice.rss_mb, |mb| mb <= 70.0);
    table.row("in a call: RSS of the callee, MB", "≤ 70", of_bob.rss_mb, |mb| mb <= 70.0);
    table.row_if_known("in a call: delay capture to playout (estimate), ms", "", last["delay_ms"].as_f64(), |_| true);
    table.row_if_known("in a call: bits sent per second", "", last["tx_bps"].as_f64(), |_| true);
    for (what, said, heard) in [("alice to bob", &alice_says, &bob_hears), ("bob to alice", &bob_says, &alice_hears)] {
        // The first pass of the looped recording.
        let (said, mut heard) = (read_wav(said), read_wav(heard));
        heard.truncate(said.len() + 48_000);
        let mos = f64::from(pesq_wb(&said, &heard));
        table.row(&format!("in a call: PESQ-WB {what}"), "≥ 4.2", mos, |mos| mos >= 4.2);
    }
}
