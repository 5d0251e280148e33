//! The voice through bad networks, in virtual time: an hour takes seconds, and every run is the same.

#[allow(dead_code, reason = "figures that not every scenario asks for")]
mod harness;
#[allow(dead_code, reason = "networks that not every scenario uses")]
mod network;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../common/speech.rs"]
mod sounds;

use harness::{Outcome, Scenario, looped, simulate, speech};
use network::Network;
use sounds::keep;
use twocans::base::SampleCount;
use twocans::voice::{EncoderSettings, JitterSettings, Ptime, RedDistances, ResilienceSettings, quality};

/// Delay of a packet's first sample when the network adds nothing and playout follows at once: collecting the packet.
fn packet_ms(scenario: &Scenario) -> f64 {
    f64::from(scenario.encoder.ptime.ms())
}

/// PESQ-WB of what was played after the first second, against the recording.
fn pesq(outcome: &Outcome, recording: &[f32]) -> f32 {
    let reference = looped(recording, outcome.played.len());
    quality::pesq_wb_48k(&reference[48_000..], &outcome.played[48_000..]).expect("speech was played")
}

/// Fails for every constant delay: quiet, then ±50 ms with packets overtaking each other, then quiet again.
fn changing() -> impl Network {
    network::then(network::then(network::clean(), 20e3, network::jitter(50.0)), 40e3, network::clean())
}

/// What a listener wants of [`changing`]: next to nothing concealed while it is bad, and no delay that only the bad
/// time needs while it is good.
fn is_good(outcome: &Outcome, scenario: &Scenario) -> bool {
    let quiet = 40.0 + packet_ms(scenario);
    let low_delay =
        outcome.mean_delay_ms(5e3, 20e3) <= quiet + 15.0 && outcome.mean_delay_ms(45e3, 60e3) <= quiet + 15.0;
    low_delay && outcome.concealed() <= 0.01
}

#[test]
fn changing_jitter_with_reordering_is_beyond_any_constant_target_and_within_the_adaptive_one() {
    let recording = speech("alice");
    let mut scenario = Scenario { seconds: 60.0, ..Scenario::default() };
    scenario.encoder.complexity = 5;
    for ptime in [Ptime::Ms10, Ptime::Ms20] {
        scenario.encoder.ptime = ptime;
        let adaptive = simulate(&scenario, &recording, changing());
        assert!(
            is_good(&adaptive, &scenario),
            "adaptive, {ptime:?}: {:.2} % concealed; delay {:.1}, {:.1}, {:.1} ms",
            adaptive.concealed() * 100.0,
            adaptive.mean_delay_ms(5e3, 20e3),
            adaptive.mean_delay_ms(25e3, 40e3),
            adaptive.mean_delay_ms(45e3, 60e3),
        );
    }
    for constant_ms in (0..=140).step_by(10) {
        let target = SampleCount::from_ms(constant_ms);
        let constant = Scenario {
            jitter: JitterSettings { min_target: target, max_target: target, ..JitterSettings::default() },
            ..scenario.clone()
        };
        assert!(
            !is_good(&simulate(&constant, &recording, changing()), &constant),
            "constant {constant_ms} ms is enough"
        );
    }
}

#[test]
fn a_clean_network_needs_no_delay_within_five_seconds() {
    let recording = speech("bob");
    for (ptime, phase_ms) in
        [(Ptime::Ms10, 0.1), (Ptime::Ms10, 5.0), (Ptime::Ms20, 3.0), (Ptime::Ms20, 9.9), (Ptime::Ms60, 1.0)]
    {
        let mut scenario = Scenario { seconds: 15.0, phase_ms, ..Scenario::default() };
        scenario.encoder.ptime = ptime;
        let outcome = simulate(&scenario, &recording, network::clean());
        assert!(outcome.stats[4].target_delay_ms <= 10.0, "{ptime:?}, {phase_ms}: {:?}", outcome.stats[4]);
        assert_eq!(outcome.last().concealed_samples, 0);
        let above = outcome.mean_delay_ms(5e3, 15e3) - 40.0 - packet_ms(&scenario);
        assert!(above <= 20.0, "{ptime:?}, {phase_ms}: {above:.1} ms");
    }
}

#[test]
fn jitter_of_thirty_ms_costs_little_more_than_its_range() {
    let recording = speech("alice");
    let mut scenario = Scenario { seconds: 60.0, ..Scenario::default() };
    scenario.encoder.ptime = Ptime::Ms10;
    let outcome = simulate(&scenario, &recording, network::jitter(30.0));
    let delay = outcome.mean_delay_ms(5e3, 60e3);
    // Mean 50, 95 % below 77; devices, lookahead and the packet itself have 26.5 ms of the 35.
    assert!(delay - 10.0 <= 77.0 + 8.5, "{delay:.1} ms");
    assert!(outcome.concealed() <= 0.005, "{:.2} %", outcome.concealed() * 100.0);
}

#[test]
fn stalls_lose_no_words_and_are_forgotten_soon() {
    let recording = speech("bob");
    let scenario = Scenario { seconds: 30.0, ..Scenario::default() };
    // The last stall begins at 18 s.
    let outcome = simulate(&scenario, &recording, network::stalls(150.0, 2000.0, 19e3));
    let above = |from, to| outcome.mean_delay_ms(from, to) - 40.0 - packet_ms(&scenario);
    assert!(above(21.15e3, 22e3) < 60.0, "{:.0} ms", above(21.15e3, 22e3));
    assert!(outcome.concealed() < 0.012, "{:.2} %", outcome.concealed() * 100.0);
    assert_eq!(outcome.last().late, 0, "everything was played");
}

#[test]
fn clocks_may_differ_for_an_hour() {
    // A tone: whatever is not a sine any more is a click. Cheap coding, as what matters is the buffer.
    let tone: Vec<f32> =
        (0..48_000).map(|i| (i as f32 * 400.0 / 48_000.0 * std::f32::consts::TAU).sin() * 0.3).collect();
    let encoder = EncoderSettings { complexity: 0, fec: false, dtx: false, ..EncoderSettings::default() };
    for drift_ppm in [200.0, -200.0] {
        let scenario = Scenario { seconds: 3600.0, drift_ppm, encoder, ..Scenario::default() };
        let outcome = simulate(&scenario, &tone, network::jitter(1.0));
        let above = outcome.max_delay_ms(10e3, 3600e3) - 50.0 - packet_ms(&scenario);
        assert!(above <= 35.0, "{drift_ppm}: {above:.1} ms");
        assert!(outcome.concealed() <= 1e-4, "{drift_ppm}: {:.4} %", outcome.concealed() * 100.0);
        let largest_step =
            outcome.played[96_000..].windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        let sine_step = 0.3 * 400.0 / 48_000.0 * std::f32::consts::TAU;
        assert!(largest_step < 1.6 * sine_step, "{drift_ppm}: click of {largest_step}");
    }
}

#[test]
fn speech_survives_loss_better_with_each_kind_of_redundancy() {
    let recording = speech("alice");
    let with = |loss: f64, fec: bool, red: &[u8]| {
        let encoder = EncoderSettings {
            fec,
            expected_loss_percent: if fec { 20 } else { 0 },
            dtx: false,
            ..EncoderSettings::default()
        };
        let scenario = Scenario { seconds: 28.0, encoder, red: RedDistances::new(red), ..Scenario::default() };
        pesq(&simulate(&scenario, &recording, network::random_loss(loss)), &recording)
    };
    let (clean, concealed) = (with(0.0, false, &[]), with(0.1, false, &[]));
    let (fec, red) = (with(0.1, true, &[]), with(0.1, false, &[1, 2]));
    assert!(clean >= 4.2, "clean {clean:.2}");
    assert!(concealed < clean - 1.0, "concealed {concealed:.2}");
    assert!(fec > concealed + 0.4, "in-band FEC {fec:.2} over {concealed:.2}");
    assert!(red > fec && red >= 4.0, "RED {red:.2} over {fec:.2}");
}

/// The sender does what the receiver's reports call for, beginning with nothing.
fn adapting() -> Scenario {
    let resilience = ResilienceSettings { ptime: None, bitrate_bps: 32_000, copies: None, fec: true };
    Scenario { seconds: 60.0, resilience: Some(resilience), ..Scenario::default() }
}

/// Losses of the Opus project's model of real ones, 60 s each; the sender adapts.
#[test]
fn bursts_of_loss_are_survived_at_about_fifty_kilobits() {
    let (recording, scenario) = (speech("alice"), adapting());
    for (percent, at_least) in [(10, 3.2), (20, 3.1), (30, 2.7)] {
        let outcomes: Vec<(f32, f64, f64)> = (1..=5)
            .map(|seed| {
                let trace = format!("{}/tests/sim_voice/traces/burst{percent}-{seed}.txt", env!("CARGO_MANIFEST_DIR"));
                let trace = std::fs::read_to_string(trace).expect("the trace is there");
                let outcome = simulate(&scenario, &recording, network::recorded_loss(&trace));
                keep(&format!("plc-burst{percent}-{seed}"), &outcome.played);
                let buffer_ms = outcome.mean_delay_ms(5e3, 60e3) - 40.0 - packet_ms(&scenario);
                (pesq(&outcome, &recording), outcome.payload_bits_per_second / 1e3, buffer_ms)
            })
            .collect();
        let median_of = |of: fn(&(f32, f64, f64)) -> f64| {
            let mut figures: Vec<f64> = outcomes.iter().map(of).collect();
            figures.sort_by(f64::total_cmp);
            figures[2]
        };
        let (median, kilobits, buffer_ms) = (median_of(|o| f64::from(o.0)), median_of(|o| o.1), median_of(|o| o.2));
        println!(
            "bursts of {percent} %: PESQ-WB {outcomes:.2?}, median {median:.2}; {kilobits:.1} kb/s; buffer {buffer_ms:.0} ms"
        );
        assert!(median >= at_least, "{percent} %: {median:.2}");
        assert!(kilobits <= 50.0 && buffer_ms <= 80.0, "{kilobits:.1} kb/s, {buffer_ms:.0} ms");
    }
}

/// Bursts longer than what copies reach back for.
#[test]
fn bursts_of_five_packets_are_survived_better_than_by_concealment() {
    let (recording, scenario) = (speech("alice"), adapting());
    let plain = Scenario { resilience: None, ..scenario.clone() };
    let mut scores: Vec<(f32, f32)> = (1..=5)
        .map(|seed| {
            let [adapted, plain] = [&scenario, &plain]
                .map(|of| simulate(&Scenario { seed, ..of.clone() }, &recording, network::bursts(0.2, 5.0)));
            keep(&format!("plc-mean5-{seed}"), &adapted.played);
            assert!(adapted.payload_bits_per_second <= 50e3, "{}", adapted.payload_bits_per_second);
            (pesq(&adapted, &recording), pesq(&plain, &recording))
        })
        .collect();
    scores.sort_by(|a, b| (a.0 - a.1).total_cmp(&(b.0 - b.1)));
    println!("20 % in bursts of 5, PESQ-WB with and without: {scores:.2?}");
    assert!(scores[2].0 >= scores[2].1 + 0.5, "{scores:.2?}");
}

/// Somebody answers, listens, and speaks for ten seconds: nothing in the silence tells the speaker of the losses.
#[test]
fn the_first_words_survive_bursts() {
    let recording = [vec![0.0; 6 * 48_000], speech("bob")].concat();
    let mut scenario = Scenario { seconds: 16.5, ..adapting() };
    scenario.encoder.dtx = true;
    let score = |scenario: &Scenario, seed: u64| {
        let outcome = simulate(&Scenario { seed, ..scenario.clone() }, &recording, network::bursts(0.09, 2.8));
        quality::pesq_wb_48k(&recording[288_000..], &outcome.played[288_000..]).expect("speech was played")
    };
    let plain = Scenario { resilience: None, ..scenario.clone() };
    let mut scores: Vec<(f32, f32)> = (1..=15).map(|seed| (score(&scenario, seed), score(&plain, seed))).collect();
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!("first words through bursts, PESQ-WB with and without: {scores:.2?}");
    assert!(scores[7].0 >= 2.8, "median {:.2}", scores[7].0);
    let gain = scores.iter().map(|(adapted, plain)| adapted - plain).sum::<f32>() / scores.len() as f32;
    assert!(gain >= 0.5, "{gain:.2}");
}

#[test]
fn a_narrow_link_carries_the_voice_without_a_queue() {
    let recording = speech("alice");
    let scenario = adapting();
    let mut link = network::Bottleneck::new(64e3, 200.0);
    let outcome = simulate(&scenario, &recording, &mut link);
    let (settled, later) = (link.mean_wait_ms(5e3, 10e3), link.mean_wait_ms(10e3, 60e3));
    let reference = looped(&recording, outcome.played.len());
    // PESQ is made for some ten seconds (ITU-T P.862.3 §7).
    let score = |second: usize| {
        let (from, to) = (second * 48_000, (second + 10) * 48_000);
        let delay = 48 * outcome.mean_delay_ms(second as f64 * 1e3, (second + 1) as f64 * 1e3) as usize;
        quality::pesq_wb_48k(&reference[from..to], &outcome.played[from + delay..to + delay])
            .expect("speech was played")
    };
    let tens: Vec<f32> = (5..55).step_by(10).map(score).collect();
    println!("64 kb/s: queue {settled:.0} ms in seconds 5 to 10, {later:.0} ms afterwards; PESQ-WB {tens:.2?}");
    assert!(settled <= 40.0 && later <= 40.0, "{settled:.0}, {later:.0} ms");
    assert!(tens.iter().sum::<f32>() >= 3.8 * tens.len() as f32, "{tens:.2?}");
    assert!(tens.iter().all(|mos| *mos >= 3.4), "{tens:.2?}");
}

#[test]
fn scattered_loss_is_answered_with_copies() {
    let (recording, scenario) = (speech("alice"), adapting());
    let without = Scenario { resilience: None, ..scenario.clone() };
    for (share, at_least) in [(0.02, 4.1), (0.05, 4.1), (0.2, 4.0)] {
        let score = |scenario: &Scenario| {
            let outcome = simulate(scenario, &recording, network::random_loss(share));
            assert!(outcome.payload_bits_per_second <= 75e3, "{}", outcome.payload_bits_per_second);
            pesq(&outcome, &recording)
        };
        let (plain, adapted) = (score(&without), score(&scenario));
        println!("random loss of {:.0} %: PESQ-WB {plain:.2} without, {adapted:.2} with copies", share * 100.0);
        assert!(adapted >= at_least && adapted > plain + 0.4);
    }
}
