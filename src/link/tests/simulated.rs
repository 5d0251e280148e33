//! Whole handshakes and calls in virtual time.

use std::time::Duration;

use super::world::{Weather, World};
use crate::link::api::LinkEvent;

fn connected(event: &LinkEvent) -> bool {
    matches!(event, LinkEvent::Connected(_))
}

const CLEAR: Weather = Weather { delay: Duration::from_millis(20), loss: 0.0 };

#[test]
fn a_clean_handshake_takes_its_round_trips() {
    let mut world = World::new(1, CLEAR);
    world.negotiate();
    let took = world.run_until(Duration::from_secs(5), connected).unwrap();
    println!("connected after {took:?}, {} datagrams", world.sent);
}

#[test]
fn loss_does_not_stop_a_handshake() {
    let mut took: Vec<_> = (0..200)
        .map(|seed| {
            let mut world = World::new(seed, Weather { loss: 0.1, ..CLEAR });
            world.negotiate();
            let took = world.run_until(Duration::from_secs(20), connected);
            took.unwrap_or_else(|| panic!("seed {seed}: {:?}", world.events))
        })
        .collect();
    took.sort();
    println!("10 % loss, 40 ms RTT: p50 {:?} p95 {:?} max {:?}", took[100], took[190], took[199]);
}
