//! From one person's mouth to the other's ear: delay, quality and cost of real calls through sound devices.
//!
//! `cargo bench --bench mouth_to_ear` (in release, as it should be). With `BENCH_PART=clean` or `impaired` it does
//! one half, with `BENCH_OPTIONS="--ns off"` one call with these options. Two processes open virtual microphones and
//! speakers of a private PulseAudio server through cpal, as they open any device; one recording holds what was said and
//! what was heard, so no clock but its own is involved. Everything runs in network namespaces of its own.

#[path = "../tests/common/mod.rs"]
mod common;
#[allow(dead_code, reason = "figures that not every bench prints")]
#[path = "report/mod.rs"]
mod report;

use std::net::Ipv4Addr;
use std::time::Duration;

use common::figures::quantile;
use common::netem::{Impairment, Loss};
use common::netlab::{Lab, Netns, laboratory};
use common::process::Process;
use common::pulse::{Channel, Pulse};
use common::speech::{heard, pesq_wb, read_wav, read_wav_channel, recording};
use common::world::{AUTO, REACTION, UNPROCESSED, World, finish};
use report::{Table, cost_during};

const SMALL_DEVICES: [&str; 2] = ["--device-frames", "240"];
/// Speech from which delay and quality are read begins so long after the call: what adapts has adapted.
const SETTLED: Duration = Duration::from_secs(6);
const CALLER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 30);
const CALLEE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 40);
const NODE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);

fn main() {
    laboratory("mouth_to_ear", || {
        let table = Table::begin();
        if let Ok(options) = std::env::var("BENCH_OPTIONS") {
            return one_call(&table, &options);
        }
        let part = std::env::var("BENCH_PART").unwrap_or_default();
        if part != "impaired" {
            through_loopback(&table);
        }
        if part != "clean" {
            through_bad_networks(&table);
        }
    });
}

/// To try something: a call with these options at both ends.
fn one_call(table: &Table, options: &str) {
    let world = World::on_loopback();
    let options: Vec<&str> = options.split_whitespace().collect();
    let call = Place { world: &world, caller: None, callee: None }.call("tried", &options);
    table.row("mouth to ear p50, ms", "", call.delay(0.5), |_| true);
    table.row("… p95, ms", "", call.delay(0.95), |_| true);
    table.row("… PESQ-WB", "", call.pesq, |_| true);
    table.row("… of the speech heard, %", "", call.heard * 100.0, |_| true);
    table.row("… CPU of one process, % of a core", "", call.cpu, |_| true);
    table.row("… CPU of PulseAudio, % of a core", "", call.pulse_cpu, |_| true);
    world.finish();
}

fn through_loopback(table: &Table) {
    let world = World::on_loopback();
    let lab = Place { world: &world, caller: None, callee: None };
    let mut pulse_cpu: f64 = 0.0;

    let plain = lab.call("clean-10", &[&UNPROCESSED[..], &SMALL_DEVICES, &["--frame-ms", "10"]].concat());
    table.row("10 ms frames, processing off: mouth to ear p50, ms", "≤ 36", plain.delay(0.5), |ms| ms <= 36.0);
    table.row("… p95, ms", "≤ 45", plain.delay(0.95), |ms| ms <= 45.0);
    table.row("… PESQ-WB", "", plain.pesq, |_| true);
    table.row("… CPU of one process, % of a core", "", plain.cpu, |_| true);
    pulse_cpu = pulse_cpu.max(plain.pulse_cpu);

    let all = lab.call("all-10", &[&SMALL_DEVICES[..], &["--frame-ms", "10"]].concat());
    table.row("10 ms frames, everything on: mouth to ear p50, ms", "≤ 50", all.delay(0.5), |ms| ms <= 50.0);
    table.row("… p95, ms", "≤ 60", all.delay(0.95), |ms| ms <= 60.0);
    table.row("… PESQ-WB", "≥ 4.0", all.pesq, |mos| mos >= 4.0);
    table.row("… CPU of one process, % of a core", "≤ 12", all.cpu, |cpu| cpu <= 12.0);
    pulse_cpu = pulse_cpu.max(all.pulse_cpu);

    let slow = lab.call("clean-20", &[&UNPROCESSED[..], &SMALL_DEVICES, &["--frame-ms", "20"]].concat());
    table.row("20 ms frames, processing off: mouth to ear p50, ms", "", slow.delay(0.5), |_| true);
    table.row("… PESQ-WB, 32 kb/s", "≥ 4.2", slow.pesq, |mos| mos >= 4.2);
    table.row("… CPU of one process, % of a core", "≤ 5", slow.cpu, |cpu| cpu <= 5.0);

    let usual = lab.call("all-20", &[&SMALL_DEVICES[..], &["--frame-ms", "20"]].concat());
    table.row("20 ms frames, everything on: mouth to ear p50, ms", "", usual.delay(0.5), |_| true);
    table.row("… CPU of one process, % of a core", "≤ 8", usual.cpu, |cpu| cpu <= 8.0);

    let default = lab.call("default", &[]);
    table.row("no option given: mouth to ear p50, ms", "", default.delay(0.5), |_| true);
    table.row("… p95, ms", "", default.delay(0.95), |_| true);
    table.row("… PESQ-WB", "≥ 4.0", default.pesq, |mos| mos >= 4.0);
    table.row("… CPU of one process, % of a core", "≤ 12", default.cpu, |cpu| cpu <= 12.0);

    let low = lab.call("low", &[&UNPROCESSED[..], &SMALL_DEVICES, &["--frame-ms", "5"]].concat());
    table.row("low delay (5 ms frames, processing off): mouth to ear p50, ms", "≤ 28", low.delay(0.5), |ms| {
        ms <= 28.0
    });
    table.row("… PESQ-WB", "", low.pesq, |_| true);
    pulse_cpu = pulse_cpu.max(low.pulse_cpu);
    table.row("CPU of PulseAudio, two microphones and two speakers, % of a core", "≤ 15", pulse_cpu, |cpu| {
        cpu <= 15.0
    });
    world.finish();
}

fn through_bad_networks(table: &Table) {
    let mut lab = Lab::new();
    let host = lab.public_host("node", &[NODE]);
    let (caller, callee) = (lab.public_host("caller", &[CALLER]), lab.public_host("callee", &[CALLEE]));
    let world = World::in_laboratory(&host, NODE, &[]);
    let place = Place { world: &world, caller: Some(&caller), callee: Some(&callee) };
    let ten = [&SMALL_DEVICES[..], &["--frame-ms", "10"]].concat();

    // Uniform 20..80 ms: mean 50, 95 % within 27 ms of it.
    let jitter = Impairment::delay_ms(50).with_jitter_ms(30).with_seed(7);
    let at_work = lab.impair_both("caller", jitter);
    let plain = place.call("jitter", &[&UNPROCESSED[..], &ten].concat());
    table.row("delay 50 ± 30 ms, processing off: mouth to ear p50, ms", "≤ 112", plain.delay(0.5), |ms| ms <= 112.0);
    table.row("… concealed, %", "≤ 0.5", plain.concealed * 100.0, |share| share <= 0.5);
    table.row("… PESQ-WB", "", plain.pesq, |_| true);
    table.row("… of the speech heard, %", "≥ 99", plain.heard * 100.0, |share| share >= 99.0);
    let all = place.call("jitter-all", &ten);
    table.row("delay 50 ± 30 ms, everything on: mouth to ear p50, ms", "≤ 122", all.delay(0.5), |ms| ms <= 122.0);
    table.row("… PESQ-WB", "", all.pesq, |_| true);
    table.row("… of the speech heard, %", "≥ 99", all.heard * 100.0, |share| share >= 99.0);
    drop(at_work);

    // Which packets a burst takes is chance: the middle one of three calls.
    let bursts = Loss::GilbertElliott { to_bad: 0.035, to_good: 0.36, loss_in_good: 0.0, loss_in_bad: 1.0 };
    let mut calls: Vec<Measured> = [11, 21, 31]
        .map(|seed| {
            let _at_work = lab.impair_both("caller", Impairment::delay_ms(20).with_loss(bursts).with_seed(seed));
            place.call("bursts", &UNPROCESSED)
        })
        .into();
    calls.sort_by(|one, other| one.pesq.total_cmp(&other.pesq));
    table.row("20 ms, 9 % lost in bursts of 2.8: PESQ-WB, median of three", "≥ 2.8", calls[1].pesq, |mos| mos >= 2.8);
    table.row("… mouth to ear p50, ms", "", calls[1].delay(0.5), |_| true);
    world.finish();
}

/// Where a call is held.
struct Place<'a> {
    world: &'a World,
    caller: Option<&'a Netns>,
    callee: Option<&'a Netns>,
}

/// One direction of one call.
struct Measured {
    /// Of pieces of half a second each, ms.
    delays: Vec<f64>,
    /// 0..1 of the pieces were found.
    heard: f64,
    pesq: f64,
    /// The busier of the two processes, % of a core.
    cpu: f64,
    pulse_cpu: f64,
    /// 0..1, after the call had settled.
    concealed: f64,
}

impl Measured {
    fn delay(&self, q: f64) -> f64 {
        quantile(&self.delays, q)
    }
}

impl Place<'_> {
    /// Alice calls Bob; what she says is measured at his ear.
    fn call(&self, name: &str, options: &[&str]) -> Measured {
        let world = self.world;
        let pulse = Pulse::start(&world.file(&format!("pulse-{name}"))).expect("PulseAudio runs on this machine");
        let environment = pulse.environment();
        let audio = |mic, speaker| ["--mic", mic, "--speaker", speaker, "--ring-device", "null"];
        let words = [&AUTO[..], &audio("pulseaudio:micB", "pulseaudio:spkB"), options].concat();
        let mut bob = world.answering_with("bob", &words, self.callee, &environment);
        let words = [&["call", &bob.link][..], &audio("pulseaudio:micA", "pulseaudio:spkA"), options].concat();
        let mut alice = world.launch("alice", words).inside(self.caller).envs(&environment).start();
        alice.next("connected", REACTION);
        bob.process.next("connected", REACTION);

        let processes = [alice.pid(), bob.process.pid(), pulse.pid()];
        std::thread::sleep(SETTLED);
        let settled = bob.process.all("stats").len();
        let tape = pulse.record(&world.file(&format!("{name}.wav")));
        let ([of_alice, of_bob, of_pulse], ()) = cost_during(processes, || {
            let mut player = pulse.play(&recording("alice"), "to_micA");
            assert!(player.wait().expect("paplay runs").success());
        });
        std::thread::sleep(Duration::from_millis(500));
        let tape = tape.stop();
        let concealed = mean_of(&bob.process, "concealed", settled);
        finish(&mut alice, 0);
        bob.process.next("ended", REACTION);
        finish(&mut bob.process, 0);

        let said = read_wav(&recording("alice"));
        let at_mouth = heard(&said, &read_wav_channel(&tape, Channel::MicA as usize));
        let ear = read_wav_channel(&tape, Channel::SpeakerB as usize);
        let at_ear = heard(&said, &ear);
        assert!(at_ear.share > 0.0, "{name}: no speech arrived: {at_ear:?}");
        let delays = at_ear.lags_ms.iter().map(|lag| f64::from(lag - at_mouth.lag_ms)).collect();
        Measured {
            delays,
            heard: f64::from(at_ear.share),
            pesq: f64::from(pesq_wb(&said, &ear)),
            cpu: of_alice.cpu.max(of_bob.cpu),
            pulse_cpu: of_pulse.cpu,
            concealed,
        }
    }
}

/// Of the figures of each second, leaving out the first `skipped`.
fn mean_of(process: &Process, field: &str, skipped: usize) -> f64 {
    let figures: Vec<f64> = process.all("stats").iter().skip(skipped).filter_map(|line| line[field].as_f64()).collect();
    figures.iter().sum::<f64>() / figures.len().max(1) as f64
}
