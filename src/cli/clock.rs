//! The one file of this room that reads clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
#[allow(clippy::disallowed_methods, reason = "a front end is where time enters")]
pub fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970.
#[allow(clippy::disallowed_methods, reason = "a front end is where time enters")]
pub fn unix_now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
