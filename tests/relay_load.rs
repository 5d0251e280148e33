//! A small version of `benches/relay.rs`: every packet of forty calls passes a super-peer's media relay, and it is not
//! held up there.

mod relay_lab;

use std::time::Duration;

use relay_lab::Lab;

const CALLS: usize = 40;
const TIME: Duration = Duration::from_secs(5);

#[test]
fn forty_calls_pass_the_relay_whole_and_soon() {
    let lab = Lab::new(CALLS);
    let figures = lab.talk(TIME, true);
    println!("{}", figures.describe("40 calls, 50 packets/s and 50 kb/s each way"));
    assert!(figures.arrived >= figures.sent * 999 / 1000, "{} of {}", figures.arrived, figures.sent);
    assert_eq!(lab.counted(), CALLS as u32, "as many as there are");
    // Half a millisecond at most was measured, beside compilers; a busy machine holds packets up by whole time slices.
    assert!(figures.delay_ms(0.5) <= 5.0, "p50 {} ms", figures.delay_ms(0.5));
}
