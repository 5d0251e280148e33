//! How much the way to a peer carries, judged by its queue (delay-based congestion control, after RFC 8868 §4 and
//! draft-ietf-rmcat-gcc-02).
//!
//! A packet that waits in front of a narrow link comes later than one that did not. So when even the fastest packets of
//! the last moments are late, and are not getting less so, we send more than the narrowest link passes on. What it did
//! pass on is then known, and we stay below that until the queue is gone, and a little below for good. After a while of
//! quiet more is tried; the time between tries doubles with each that fails, so that a call on a narrow link is not
//! disturbed again and again.
//!
//! Something else may have filled the link for a moment. So soon after the queue is gone, half of what passed at best and
//! does not now is wanted again, and then, as far as it is used, step by step the rest; each time that this makes a queue
//! anew, a little less of it, and twice as long after. (BIC searches the window between what failed and what passed in the
//! same way: Xu, Harfoush, Rhee, INFOCOM 2004.)
//!
//! Until a queue shows nothing is known, and nothing limited.

use super::resilience::PathReport;

/// Follows one path; updated with each report, once a second.
#[derive(Debug, Clone)]
pub(super) struct Congestion {
    limit_bps: Option<f32>,
    /// What passed when the queue last grew.
    passed_bps: f32,
    /// What passed at best, as far as that is still believed.
    best_bps: f32,
    /// Reports without a queue that are waited for before it is wanted again.
    reserve: u32,
    queue_ms: f32,
    /// The same as of the report before.
    queue_before_ms: f32,
    /// Reports without a queue since the last one with.
    calm: u32,
    /// Those of them in which the limit was used.
    shown: u32,
    /// So many of these are waited for before more is tried.
    patience: u32,
    /// More is being tried.
    trying: bool,
}

impl Congestion {
    pub fn new() -> Self {
        Self {
            limit_bps: None,
            passed_bps: 0.0,
            best_bps: 0.0,
            reserve: FIRST_RESERVE,
            queue_ms: 0.0,
            queue_before_ms: 0.0,
            calm: 0,
            shown: 0,
            patience: FIRST_PATIENCE,
            trying: false,
        }
    }

    /// Bits per second, with all headers, that may be sent; `None` while no limit is known.
    pub fn limit_bps(&self) -> Option<u32> {
        self.limit_bps.map(|bps| bps as u32)
    }

    /// Learns from a report.
    pub fn update(&mut self, report: &PathReport) {
        let queue_ms = if report.queue_ms.is_finite() { report.queue_ms.clamp(0.0, 10_000.0) } else { 0.0 };
        self.queue_before_ms = std::mem::replace(&mut self.queue_ms, queue_ms);
        let grown_ms = queue_ms - self.queue_before_ms;
        if queue_ms > QUEUE_MS && grown_ms > -queue_ms * DRAINING {
            self.yield_to(passed(report, grown_ms));
        } else if queue_ms > QUEUE_MS / 2.0 {
            (self.calm, self.shown) = (0, 0);
        } else {
            self.rise(report.sent_bps);
        }
    }

    /// More than what is known to pass is wanted.
    pub fn is_trying(&self) -> bool {
        self.trying
    }

    /// Whether what the last report lost was lost by a queue that overflows: less must be sent then, not more. A loss
    /// shows only when a later packet comes, maybe after the queue is gone.
    pub fn loses_by_itself(&self) -> bool {
        self.queue_ms.max(self.queue_before_ms) > QUEUE_MS && self.limit_bps.is_some_and(|bps| bps > LEAST_BPS)
    }

    fn yield_to(&mut self, passed_bps: f32) {
        if self.trying {
            self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
        }
        let before = self.limit_bps.unwrap_or(f32::INFINITY);
        let returning = !self.trying && self.limit_bps.is_some_and(|bps| bps > self.passed_bps);
        if returning {
            self.reserve = (self.reserve * 2).min(LONGEST_PATIENCE);
            self.best_bps *= DOUBT;
        }
        self.best_bps = self.best_bps.max(passed_bps);
        (self.calm, self.shown, self.trying) = (0, 0, false);
        self.passed_bps = passed_bps;
        self.limit_bps = Some((passed_bps * YIELD).min(before * YIELD).max(LEAST_BPS));
    }

    /// What was not sent was not shown to pass either.
    fn rise(&mut self, sent_bps: f32) {
        self.calm += 1;
        let Some(limit) = self.limit_bps else { return };
        let is_used = sent_bps >= limit * USED;
        self.shown += u32::from(is_used);
        self.trying = self.shown >= self.patience;
        let (known, best) = (self.passed_bps * NEARLY_ALL, self.best_bps * NEARLY_ALL);
        let (half, may_return) = (known.midpoint(best), self.calm >= self.reserve);
        let is_back = limit >= best;
        if is_back {
            self.reserve = FIRST_RESERVE;
        }
        let (growth, most) = match () {
            () if is_back && self.trying => (TRY, sent_bps * BEYOND_SENT),
            () if may_return && limit < half => (RETURN, half),
            () if may_return && is_used => (RISE, best),
            () => (RISE, known),
        };
        self.limit_bps = Some((limit * growth).min(most).max(limit)).filter(|bps| *bps < UNLIMITED_BPS);
        self.trying &= self.limit_bps.is_some();
    }
}

/// What the narrowest link passed on: what came, less what came out of its queue or went into it.
fn passed(report: &PathReport, grown_ms: f32) -> f32 {
    report.sent_bps.max(0.0) * (1.0 - report.lost()) / (1.0 + grown_ms.max(0.0) / 1000.0)
}

/// A longer queue is taken for one. Jitter leaves less: some packet of a quarter of a second is fast.
const QUEUE_MS: f32 = 20.0;
/// A queue that has lost this part of itself since the last report is on its way out.
const DRAINING: f32 = 0.25;
/// Part of what passes that is sent until the queue is gone.
const YIELD: f32 = 0.85;
/// Part of what passes that is sent from then on.
const NEARLY_ALL: f32 = 0.95;
/// Growth per report: towards what passed, and beyond it.
const RISE: f32 = 1.03;
/// The same towards half of what passed at best.
const RETURN: f32 = 1.2;
/// Reports before that.
const FIRST_RESERVE: u32 = 3;
/// Part of the best that is believed after it has failed once more.
const DOUBT: f32 = 0.9;
const TRY: f32 = 1.05;
/// The limit is so much above what was sent at most.
const BEYOND_SENT: f32 = 1.15;
/// Part of the limit that is sent when it is used, and not only the packets of a pause.
const USED: f32 = 0.5;
/// Reports before more is tried.
const FIRST_PATIENCE: u32 = 30;
const LONGEST_PATIENCE: u32 = 480;
/// Less is not asked of anybody: a voice of 8 kb/s in packets of 60 ms.
const LEAST_BPS: f32 = 16_000.0;
/// From here on the limit limits nothing.
const UNLIMITED_BPS: f32 = 120_000.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A link of `capacity` bits per second with a buffer of 200 ms, on which the sender uses all it may.
    fn narrow(congestion: &mut Congestion, capacity: f32, demand: f32, queue_ms: &mut f32) -> f32 {
        let sent_bps = demand.min(congestion.limit_bps().map_or(f32::INFINITY, |bps| bps as f32));
        let queue = *queue_ms + (sent_bps / capacity - 1.0) * 1000.0;
        *queue_ms = queue.clamp(0.0, 200.0);
        let lost = ((queue - 200.0) / 1000.0).max(0.0) * capacity / sent_bps;
        congestion.update(&PathReport { queue_ms: *queue_ms, fraction_lost: lost, sent_bps, ..PathReport::default() });
        sent_bps
    }

    #[test]
    fn a_wide_path_is_never_limited() {
        let mut congestion = Congestion::new();
        for second in 0..100 {
            let jitter_ms = (second % 5) as f32;
            let report =
                PathReport { queue_ms: jitter_ms, fraction_lost: 0.1, sent_bps: 60e3, ..PathReport::default() };
            congestion.update(&report);
            assert_eq!(congestion.limit_bps(), None);
        }
    }

    #[test]
    fn a_narrow_link_is_left_without_a_queue_and_used_well() {
        let (mut congestion, mut queue_ms) = (Congestion::new(), 0.0);
        for _ in 0..5 {
            narrow(&mut congestion, 64e3, 83e3, &mut queue_ms);
        }
        assert!(queue_ms < 20.0, "{queue_ms} ms after 5 s");
        let (mut sent, mut queued) = (0.0, 0);
        for _ in 0..300 {
            sent += narrow(&mut congestion, 64e3, 83e3, &mut queue_ms) / 300.0;
            queued += u32::from(queue_ms > 40.0);
        }
        assert!(sent > 0.85 * 64e3, "{sent} b/s");
        assert!(queued <= 12, "{queued} of 300 s with a queue");
    }

    #[test]
    fn a_link_that_gets_wide_again_is_used_again() {
        let (mut congestion, mut queue_ms) = (Congestion::new(), 0.0);
        for _ in 0..20 {
            narrow(&mut congestion, 40e3, 83e3, &mut queue_ms);
        }
        let seconds = (1..).find(|_| narrow(&mut congestion, 1e6, 83e3, &mut queue_ms) >= 83e3).unwrap();
        assert!(seconds <= 60, "{seconds} s");
    }

    #[test]
    fn what_passed_before_is_soon_wanted_again_and_less_and_less_often() {
        let (mut congestion, mut queue_ms) = (Congestion::new(), 0.0);
        for _ in 0..20 {
            narrow(&mut congestion, 64e3, 83e3, &mut queue_ms);
        }
        // Something else takes most of it for ten seconds.
        for _ in 0..10 {
            narrow(&mut congestion, 20e3, 83e3, &mut queue_ms);
        }
        assert!(congestion.limit_bps().unwrap() < 25_000);
        let mut back = |bps| (1..).find(|_| narrow(&mut congestion, 64e3, 83e3, &mut queue_ms) > bps).unwrap();
        let (half, most) = (back(38e3), back(54e3));
        assert!(half <= 8 && half + most <= 24, "{half} s, and {most} more");
        // And then for good.
        let mut queued = 0;
        for _ in 0..120 {
            narrow(&mut congestion, 20e3, 83e3, &mut queue_ms);
            queued += u32::from(queue_ms > 40.0);
        }
        assert!(queued <= 10, "{queued} of 120 s with a queue");
    }

    proptest! {
        #[test]
        fn no_report_takes_the_limit_out_of_its_range(
            reports in proptest::collection::vec((any::<f32>(), any::<f32>(), 0f32..1e7), 1..50)
        ) {
            let mut congestion = Congestion::new();
            for (queue_ms, fraction_lost, sent_bps) in reports {
                congestion.update(&PathReport { queue_ms, fraction_lost, sent_bps, ..PathReport::default() });
                prop_assert!(congestion.limit_bps().is_none_or(|bps| bps >= LEAST_BPS as u32));
            }
        }
    }
}
