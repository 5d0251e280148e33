//! The voice through bad networks, in virtual time: an hour takes seconds, and every run is the same.

mod harness;
mod network;

use harness::{Scenario, simulate, speech};

#[test]
fn tuning_table() {
    let speech = speech("alice");
    let scenario = Scenario { seconds: 60.0, ..Scenario::default() };
    let show = |name: &str, o: harness::Outcome, base: f64| {
        let s = o.last();
        println!("{name:28} concealed {:5.2} % events {:4} delay-above-base {:6.1} max {:6.1} target {:5.1} acc {} exp {} late {} fec {} ops A{} P{} M{} E{}",
            o.concealed()*100.0, s.concealment_events, o.mean_delay_ms(5e3, 60e3)-base, o.max_delay_ms(5e3,60e3)-base, s.target_delay_ms,
            s.removed_samples_for_acceleration, s.inserted_samples_for_deceleration, s.late, s.fec_used,
            o.count(twocans::voice::Operation::Accelerate), o.count(twocans::voice::Operation::PreemptiveExpand), o.count(twocans::voice::Operation::Merge), o.count(twocans::voice::Operation::Expand));
    };
    for ptime in [twocans::voice::Ptime::Ms10, twocans::voice::Ptime::Ms20] {
        let mut scenario = scenario.clone();
        scenario.encoder.ptime = ptime;
        let b = f64::from(ptime.ms());
        println!("ptime {b}");
        show("clean", simulate(&scenario, &speech, network::clean()), 40.0 + b);
        show("jitter 5", simulate(&scenario, &speech, network::jitter(5.0)), 50.0 + b);
        show("jitter 30", simulate(&scenario, &speech, network::jitter(30.0)), 50.0 + b);
        show("jitter 50", simulate(&scenario, &speech, network::jitter(50.0)), 50.0 + b);
        show("ordered jitter 30", simulate(&scenario, &speech, network::ordered_jitter(30.0)), 50.0 + b);
        show("exp 10", simulate(&scenario, &speech, network::exponential_jitter(10.0)), 40.0 + b);
        show("exp 20", simulate(&scenario, &speech, network::exponential_jitter(20.0)), 40.0 + b);
        show("loss 2", simulate(&scenario, &speech, network::random_loss(0.02)), 40.0 + b);
        show("loss 10", simulate(&scenario, &speech, network::random_loss(0.10)), 40.0 + b);
        let o = simulate(&scenario, &speech, network::stalls(150.0, 2000.0, 40e3));
        println!("after last stall: +1s {:.1} +2s {:.1} +3s {:.1}", o.mean_delay_ms(39.2e3,39.3e3), o.mean_delay_ms(40.2e3,40.3e3), o.mean_delay_ms(41.2e3,41.3e3));
        show("stalls 150", o, 40.0 + b);
        let jumpy = network::then(network::jitter(50.0), 30e3, network::clean());
        show("jitter 50 then clean", simulate(&scenario, &speech, jumpy), 40.0 + b);
        let mut drift = scenario.clone();
        for ppm in [200.0, -200.0] {
            drift.drift_ppm = ppm;
            drift.seconds = 300.0;
            show("drift 200ppm", simulate(&drift, &speech, network::clean()), 40.0 + b);
            show("drift 200ppm jitter 1", simulate(&drift, &speech, network::jitter(1.0)), 50.0 + b);
        }
    }
}
