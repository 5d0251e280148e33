//! When a `file:` starts and stops, and the clock that all fakes share.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::wav::Recorder;
use crate::base::SAMPLE_RATE_HZ;

/// When this process first asked for the time of sound: the engine calls it at its start. A microphone file with
/// `,start=launch` counts from here.
pub fn launched_at() -> Instant {
    static LAUNCHED: OnceLock<Instant> = OnceLock::new();
    *LAUNCHED.get_or_init(Instant::now)
}

/// A moment on the fakes' clock: 48 kHz samples since [`launched_at`], negative before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(pub i64);

impl Position {
    /// The nearest sample.
    pub fn at(instant: Instant) -> Self {
        let launched = launched_at();
        let samples = |time: Duration| (time.as_nanos() * u128::from(SAMPLE_RATE_HZ) + 500_000_000) / 1_000_000_000;
        Self(match instant.checked_duration_since(launched) {
            Some(after) => samples(after) as i64,
            None => -(samples(launched - instant) as i64),
        })
    }

    pub fn instant(self) -> Instant {
        let ns =
            |samples: u64| Duration::from_nanos_u128(u128::from(samples) * 1_000_000_000 / u128::from(SAMPLE_RATE_HZ));
        match u64::try_from(self.0) {
            Ok(after) => launched_at() + ns(after),
            Err(_) => launched_at() - ns(self.0.unsigned_abs()),
        }
    }
}

/// Lets a file's sound in or out from one sample on.
///
/// A microphone file is silent until its gate opens, then plays sample 0 at the moment given, and never starts again:
/// it is a tape that runs. A speaker file is recorded while its gate is open; its sample 0 is the moment given; opening
/// it again records the file anew.
#[derive(Debug, Clone)]
pub struct Gate(Arc<GateState>);

#[derive(Debug)]
struct GateState {
    /// Sample 0, or [`CLOSED`].
    start: AtomicI64,
    /// Openings so far.
    session: AtomicU32,
    /// Set where something is recorded; serialises opening and closing, which are not real-time.
    recorder: Mutex<Option<Arc<Recorder>>>,
}

const CLOSED: i64 = i64::MAX;

impl Gate {
    pub(super) fn closed() -> Self {
        Self::with(None)
    }

    pub(super) fn of_recorder(recorder: Arc<Recorder>) -> Self {
        Self::with(Some(recorder))
    }

    fn with(recorder: Option<Arc<Recorder>>) -> Self {
        let (start, session) = (AtomicI64::new(CLOSED), AtomicU32::new(0));
        Self(Arc::new(GateState { start, session, recorder: Mutex::new(recorder) }))
    }

    /// Opens at a moment, usually now, and says which one counts: the moment of sample 0, which is the earlier one if
    /// the gate is open already. A moment in the past starts a microphone file in the middle.
    pub fn open(&self, at: Instant) -> Instant {
        let recorder = self.0.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(start) = self.start() {
            return start.instant();
        }
        if let Some(recorder) = &*recorder {
            recorder.begin();
        }
        let start = Position::at(at);
        self.0.session.fetch_add(1, Ordering::Relaxed);
        self.0.start.store(start.0, Ordering::Release);
        start.instant()
    }

    /// Ends a recording: the file is complete when this returns. A microphone file plays on.
    pub fn close(&self) {
        let recorder = self.0.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recorder) = &*recorder {
            self.0.start.store(CLOSED, Ordering::Release);
            recorder.finish();
        }
    }

    /// When sample 0 was, or will be, played; `None` while the gate is closed.
    pub fn t0(&self) -> Option<Instant> {
        self.start().map(Position::instant)
    }

    pub(super) fn start(&self) -> Option<Position> {
        match self.0.start.load(Ordering::Acquire) {
            CLOSED => None,
            start => Some(Position(start)),
        }
    }

    /// Tells one opening from the next.
    pub(super) fn session(&self) -> u32 {
        self.0.session.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_positions_convert_within_a_sample() {
        let launched = launched_at();
        assert_eq!(Position::at(launched), Position(0));
        for ns in [0, 1, 20_833, 20_834, 999_999_999, 86_400_000_000_000] {
            let moment = launched + Duration::from_nanos(ns);
            let back = Position::at(moment).instant();
            let off = back.saturating_duration_since(moment) + moment.saturating_duration_since(back);
            assert!(off <= Duration::from_nanos(10_418), "{ns}: {off:?}");
        }
        assert_eq!(Position::at(Position(480_000_000).instant()), Position(480_000_000));
        if let Some(before) = launched.checked_sub(Duration::from_millis(10)) {
            assert_eq!(Position::at(before), Position(-480));
        }
    }

    #[test]
    fn the_first_opening_counts() {
        let gate = Gate::closed();
        assert_eq!(gate.t0(), None);
        let t0 = gate.open(launched_at() + Duration::from_millis(10));
        assert_eq!(gate.open(t0 + Duration::from_secs(5)), t0);
        gate.close();
        assert_eq!(gate.t0(), Some(t0), "a microphone file is a tape that runs");
    }
}
