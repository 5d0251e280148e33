//! Calls through the media relay of one super-peer on this machine: the delay that it adds, and what of a core it takes.
//!
//! `RELAY_CALLS` (300) calls of 50 packets/s and 50 kb/s each way talk for `RELAY_SECONDS` (20), first straight over
//! loopback, then through the relay: the difference is what the relay adds. The sender and the receiver are two more
//! threads of the same process.

#[path = "../tests/relay_lab/mod.rs"]
mod relay_lab;

use std::time::Duration;

use relay_lab::Lab;

fn main() {
    let number = |name: &str, usual: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (calls, time) = (number("RELAY_CALLS", 300), Duration::from_secs(number("RELAY_SECONDS", 20)));
    let lab = Lab::new(calls as usize);
    let straight = lab.talk(time, false);
    println!("{}", straight.describe(&format!("{calls} calls, straight")));
    let relayed = lab.talk(time, true);
    println!("{}", relayed.describe(&format!("{calls} calls, relayed")));
    let added = |q: f64| relayed.delay_ms(q) - straight.delay_ms(q);
    println!(
        "added by the relay: p50 {:.3} / p95 {:.3} ms (target 2); of a core {:.1} % (target 60)",
        added(0.5),
        added(0.95),
        relayed.relay_cpu * 100.0
    );
}
