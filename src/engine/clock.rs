//! One clock for all processes of a machine.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Relates [`Instant`]s of this process to `CLOCK_MONOTONIC`, which all processes of a machine share, and to the start
/// of the process.
#[derive(Debug, Clone, Copy)]
pub struct MonotonicClock {
    start: Instant,
    start_mono: Duration,
}

impl MonotonicClock {
    /// Starts counting now.
    pub fn start() -> Self {
        Self { start: Instant::now(), start_mono: monotonic_now() }
    }

    /// Milliseconds of `at` after the start of this clock, 0 for anything earlier.
    pub fn t_ms(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.start).as_secs_f64() * 1e3
    }

    /// Milliseconds of `at` on `CLOCK_MONOTONIC`.
    pub fn mono_ms(&self, at: Instant) -> f64 {
        let start = self.start_mono.as_secs_f64();
        let offset = match at.checked_duration_since(self.start) {
            Some(after) => after.as_secs_f64(),
            None => -self.start.duration_since(at).as_secs_f64(),
        };
        (start + offset) * 1e3
    }
}

/// Seconds since 1970, for records that other machines read and for the history.
pub(super) fn unix_now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// The same in milliseconds.
pub(super) fn unix_now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(unix)]
fn monotonic_now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Other systems have no such clock; comparing processes there is not offered.
#[cfg(not(unix))]
fn monotonic_now() -> Duration {
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_scales_run_at_the_same_speed() {
        let clock = MonotonicClock::start();
        let later = clock.start + Duration::from_millis(250);
        assert_eq!(clock.t_ms(later), 250.0);
        assert!((clock.mono_ms(later) - clock.mono_ms(clock.start) - 250.0).abs() < 1e-3);
        let earlier = clock.start.checked_sub(Duration::from_millis(50)).unwrap();
        assert!((clock.mono_ms(clock.start) - clock.mono_ms(earlier) - 50.0).abs() < 1e-3);
    }
}
