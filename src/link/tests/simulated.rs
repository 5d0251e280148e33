//! Whole handshakes and calls in virtual time.

use std::time::Duration;

use super::world::{ANSWERER, OFFERER, Weather, World, packet};
use crate::base::PayloadKind;
use crate::link::api::{DescriptionError, LinkError, LinkEvent};
use crate::link::config::{LinkConfig, Role, Timings};

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

/// As calls have them.
fn lively(role: Role) -> LinkConfig {
    let timings = Timings { silence_after: Some(Duration::from_millis(500)), ..Timings::default() };
    LinkConfig { timings, ..LinkConfig::new(role) }
}

/// Packets both ways at the pace of a call; how many arrived at each end.
fn talk(world: &mut World, packets: std::ops::Range<u16>) -> [usize; 2] {
    world.audio = Default::default();
    for number in packets {
        for end in [OFFERER, ANSWERER] {
            let now = world.now;
            world.ends[end].send_audio(packet(number, PayloadKind::Opus), now);
        }
        world.settle();
        world.run_for(Duration::from_millis(20));
    }
    world.run_for(Duration::from_millis(100));
    [OFFERER, ANSWERER].map(|end| world.audio[end].len())
}

#[test]
fn a_machine_that_moves_is_found_again_under_the_same_keys() {
    for mover in [OFFERER, ANSWERER] {
        let mut world = World::with_configs(1, CLEAR, lively);
        world.negotiate();
        world.run_until(Duration::from_secs(5), connected).unwrap();
        assert_eq!(talk(&mut world, 0..50), [50, 50]);
        for (first, address) in [(50, "203.0.113.9:5000"), (100, "203.0.113.10:5000")] {
            world.move_to(mover, address);
            world.forget_events();
            // The other may hear the mover's next check before it finds the silence long.
            let silent = world.run_until_at(mover, Duration::from_secs(2), |event| *event == LinkEvent::Disconnected);
            let silent = silent.expect("the mover hears nothing");
            // A consent check from the new address may have been answered there.
            assert!(silent <= Duration::from_millis(1550), "{silent:?}");
            world.forget_events();
            world.restart([OFFERER, ANSWERER].map(|end| end == mover));
            let again = |event: &LinkEvent| matches!(event, LinkEvent::Reconnected(_));
            let took = world.run_until(Duration::from_secs(5), again).unwrap_or_else(|| panic!("{:?}", world.events));
            println!("end {mover} moved: silence noticed after {silent:?}, a path {took:?} after the descriptions");
            assert!(took <= Duration::from_millis(300), "{took:?}");
            assert_eq!(talk(&mut world, first..first + 50), [50, 50]);
        }
        let silence = |event: &LinkEvent| *event == LinkEvent::Disconnected;
        world.forget_events();
        assert_eq!(world.run_until(Duration::from_secs(20), silence), None, "who has nothing to say still lives");
    }
}

#[test]
fn a_restart_with_another_certificate_is_refused() {
    let mut world = World::with_configs(1, CLEAR, lively);
    let mut stranger = World::with_configs(2, CLEAR, lively);
    world.negotiate();
    world.run_until(Duration::from_secs(5), connected).unwrap();
    stranger.settle();
    let offer = stranger.ends[OFFERER].create_offer(stranger.now).unwrap();
    let now = world.now;
    let refused = world.ends[ANSWERER].accept_restart(&offer.sdp, None, now);
    assert!(matches!(refused, Err(LinkError::Description(DescriptionError::OtherFingerprint))), "{refused:?}");
    assert_eq!(talk(&mut world, 0..20), [20, 20], "and changes nothing");
}
