//! How late frames come, and how late to play them.
//!
//! Everything is measured on the playout's own clock, the samples handed out so far, so that neither the sender's
//! clock, nor the network's constant delay, nor ours can be mistaken for one another:
//!
//! - a **frame's lag** is the playout clock minus the frame's media time, at the moment when it could first be decoded;
//! - the **playout's lag** is the playout clock minus the media time of the sample being played.
//!
//! A frame is in time exactly when the playout's lag is not below its own. The lags of all frames, those that came too
//! late included, go into a forgetting histogram; the target is the lag where waiting longer costs more than
//! what is still missed ([`MS_PER_PERCENT_LATE`]). Missed is the time until a late frame comes, at most all of it: then
//! concealment gives way to it. So the target adapts to the shape of the tail: what many frames need is waited for, and
//! one frame in a thousand that is a little late is not.
//!
//! The histogram forgets slowly, so that chance does not move the target. What bounds its memory is the largest lag
//! that was really seen lately: a large delay that has not recurred for [`HIGH_MEMORY`] is over, and one of up to
//! [`LOW_DELAY`] gets [`LOW_MEMORY`]. So stalls that come every other second are held (what NetEq's peak detector is
//! for), and three seconds after the last one the delay is low again.
//!
//! Frames that are recovered from later packets count with the lag of the recovery, so the target waits for redundancy
//! exactly when that pays; of one that comes too late nothing is left, since newer frames are there. Losses go on for
//! longer than stalls do, so what repairs take is remembered for longer, but for what a queue added to it.

use crate::base::{SAMPLE_RATE_HZ, SampleCount};

/// Chooses the playout's lag.
pub(super) struct DelayManager {
    histogram: Histogram,
    guess: Guess,
    fastest: WindowedMinimum,
    /// Largest lag lately, negated.
    slowest: WindowedMinimum,
    /// The same of frames that later packets had to bring.
    slowest_repair: WindowedMinimum,
    /// Of half a minute: what packets take that wait nowhere.
    unhindered: WindowedMinimum,
    newest: Newest,
    /// End of the newest frame, media time.
    reached: Option<i64>,
    target: i64,
    min_delay: i64,
    max_delay: i64,
}

impl DelayManager {
    /// `min_delay` and `max_delay` bound the target, relative to the fastest frame of the last seconds.
    pub fn new(min_delay: SampleCount, max_delay: SampleCount) -> Self {
        let (min_delay, max_delay) = (i64::from(min_delay.0), i64::from(max_delay.0));
        Self {
            histogram: Histogram::new(),
            guess: Guess::default(),
            fastest: WindowedMinimum::new(SLOT_SAMPLES),
            slowest: WindowedMinimum::new(SLOT_SAMPLES),
            slowest_repair: WindowedMinimum::new(LONG_SLOT_SAMPLES),
            unhindered: WindowedMinimum::new(LONG_SLOT_SAMPLES),
            newest: Newest::default(),
            reached: None,
            target: 0,
            min_delay,
            max_delay: max_delay.max(min_delay),
        }
    }

    /// A new stream, whose first frame has this lag: starts low and learns.
    pub fn reset(&mut self, lag: i64, clock: i64) {
        self.histogram.reset(lag);
        self.guess = Guess { lag: lag + INITIAL_DELAY, until: clock + GUESS_SAMPLES, frames: GUESS_FRAMES };
        self.fastest.reset();
        self.fastest.add(lag, clock);
        self.slowest.reset();
        self.slowest.add(-lag, clock);
        self.slowest_repair.reset();
        self.unhindered.reset();
        self.unhindered.add(lag, clock);
        self.newest = Newest::default();
        self.reached = None;
        self.update_target(clock);
    }

    /// A frame of `samples` was lost and could be decoded for the first time from what a later packet brought.
    pub fn observe_repair(&mut self, lag: i64, samples: SampleCount, clock: i64) {
        self.histogram.add_repair(lag, samples.as_ms());
        self.slowest_repair.add(-lag, clock);
        self.update_target(clock);
    }

    /// A frame of `samples` could be decoded for the first time.
    pub fn observe(&mut self, lag: i64, samples: SampleCount, clock: i64) {
        let begins = clock - lag;
        let pause = self.reached.map_or(0, |reached| begins - reached);
        if pause >= SHORTEST_PAUSE {
            self.histogram.add_pause(lag, pause.min(LONGEST_PAUSE) as f32 / SAMPLES_PER_MS);
        }
        self.reached = self.reached.max(Some(begins + i64::from(samples.0)));
        self.histogram.add(lag, samples.as_ms());
        self.guess.frames = self.guess.frames.saturating_sub(1);
        self.fastest.add(lag, clock);
        self.slowest.add(-lag, clock);
        self.unhindered.add(lag, clock);
        self.newest.add(lag, clock);
        self.update_target(clock);
    }

    pub fn set_limits(&mut self, min_delay: SampleCount, max_delay: SampleCount) {
        self.min_delay = i64::from(min_delay.0);
        self.max_delay = i64::from(max_delay.0).max(self.min_delay);
    }

    /// The lag that the playout should have.
    pub fn target_lag(&self) -> i64 {
        self.target
    }

    /// The lag of the fastest frame of the last seconds.
    pub fn fastest_lag(&self, clock: i64) -> i64 {
        self.fastest.get(clock, FASTEST_MEMORY).unwrap_or(self.target)
    }

    /// Samples by which the fastest of the newest frames came later than the fastest of the last half minute: they
    /// waited in a queue, all of them. 0 while too few came for a judgement, as in a pause of the sender's.
    pub fn queue(&self, clock: i64) -> i64 {
        let least = self.unhindered.get(clock, SLOTS as i64);
        self.newest.fastest(clock).zip(least).map_or(0, |(now, least)| (now - least).max(0))
    }

    fn update_target(&mut self, clock: i64) {
        let fastest = self.fastest.get(clock, FASTEST_MEMORY);
        let held_ms = fastest.map_or(0.0, |fastest| (self.target - fastest).max(0) as f32 / SAMPLES_PER_MS);
        let best = self.histogram.cheapest_lag(self.target, held_ms * INERTIA);
        let fastest = fastest.unwrap_or(best);
        let slowest = |memory| self.slowest.get(clock, memory).map_or(best, |lag| -lag);
        let repaired = |memory| self.slowest_repair.get_recent(clock, memory).map_or(i64::MIN, |lag| -lag);
        // A copy that came out of a queue came late because of the queue.
        let repair = repaired(HIGH_REPAIR_MEMORY).max(repaired(SLOTS as i64).min(fastest + LOW_REPAIR_DELAY));
        let seen = slowest(HIGH_MEMORY).max(slowest(LOW_MEMORY).min(fastest + LOW_DELAY)).max(repair);
        let guess = if self.guess.holds(clock) { self.guess.lag } else { i64::MIN };
        self.target = best.min(seen).max(guess).clamp(fastest + self.min_delay, fastest + self.max_delay);
    }
}

/// What the first frame makes of the delay, until enough others have come.
#[derive(Default)]
struct Guess {
    lag: i64,
    /// Moment of the playout's clock.
    until: i64,
    frames: u32,
}

impl Guess {
    fn holds(&self, clock: i64) -> bool {
        self.frames > 0 || clock < self.until
    }
}

/// Weights of lags in buckets of 2.5 ms, the older the lighter.
///
/// A bucket holds the lags up to and including its upper edge. Packets of whole buckets' length all lie on one grid,
/// and the first lag is the grid's origin: so a bucket's edge *is* the lag of the frames in it, and nothing is added.
struct Histogram {
    weights: Box<[f32; BUCKETS]>,
    /// Those of frames that later packets had to bring.
    repairs: Box<[f32; BUCKETS]>,
    /// Upper edge of bucket 0.
    origin: i64,
    total: f32,
    /// Length of a frame.
    frame_buckets: usize,
}

impl Histogram {
    fn new() -> Self {
        let empty = || Box::new([0.0; BUCKETS]);
        Self { weights: empty(), repairs: empty(), origin: 0, total: 0.0, frame_buckets: 1 }
    }

    fn reset(&mut self, lag: i64) {
        self.weights.fill(0.0);
        self.repairs.fill(0.0);
        self.total = 0.0;
        self.origin = lag - HEADROOM * BUCKET;
    }

    fn add(&mut self, lag: i64, duration_ms: f32) {
        self.age(duration_ms);
        self.frame_buckets = ((duration_ms / BUCKET_MS) as usize).clamp(1, BUCKETS);
        let index = self.bucket_of(lag);
        self.weights[index] += duration_ms;
    }

    /// What was not sent between two frames was not late either: so a pause forgets as fast as speech.
    fn add_pause(&mut self, lag: i64, duration_ms: f32) {
        self.age(duration_ms);
        let index = self.bucket_of(lag);
        self.weights[index] += duration_ms;
    }

    fn add_repair(&mut self, lag: i64, duration_ms: f32) {
        self.age(duration_ms);
        let index = self.bucket_of(lag);
        self.repairs[index] += duration_ms;
    }

    fn age(&mut self, duration_ms: f32) {
        let keep = (-duration_ms / MEMORY_MS).exp();
        for weight in self.weights.iter_mut().chain(self.repairs.iter_mut()) {
            *weight *= keep;
        }
        self.total = self.total * keep + duration_ms;
    }

    /// Moves the range when the lag has drifted out of it; lags beyond any range count as its edge.
    fn bucket_of(&mut self, lag: i64) -> usize {
        let index = (lag - self.origin + BUCKET - 1).div_euclid(BUCKET);
        if let Some(index) = usize::try_from(index).ok().filter(|index| *index < BUCKETS) {
            return index;
        }
        let shift = (index - HEADROOM).clamp(-(BUCKETS as i64), BUCKETS as i64);
        for weights in [&mut self.weights, &mut self.repairs] {
            let mut moved = [0.0; BUCKETS];
            for (i, weight) in weights.iter().enumerate() {
                moved[(i as i64 - shift).clamp(0, BUCKETS as i64 - 1) as usize] += weight;
            }
            **weights = moved;
        }
        self.origin += shift * BUCKET;
        (index - shift).clamp(0, BUCKETS as i64 - 1) as usize
    }

    /// The lag at which delay and late frames together cost least; `present` is preferred by so many milliseconds.
    fn cheapest_lag(&self, present: i64, preference_ms: f32) -> i64 {
        let present = (present - self.origin + BUCKET - 1).div_euclid(BUCKET);
        let ms_per_weight = MS_PER_PERCENT_LATE * 100.0 / self.total.max(f32::MIN_POSITIVE);
        let (mut best, mut least) = (BUCKETS - 1, f32::INFINITY);
        // Of all frames that come later than this: how much is late, how much of that is missed, and how much is less
        // than a frame late, of which more is missed with each step.
        let (mut late, mut missed, mut partly) = (0.0_f32, 0.0_f32, 0.0_f32);
        for index in (0..BUCKETS).rev() {
            let preference = if index as i64 == present { preference_ms } else { 0.0 };
            let lost = MERGE_SHARE * late + (1.0 - MERGE_SHARE) * missed;
            let cost = index as f32 * BUCKET_MS + lost * ms_per_weight - preference;
            if cost < least {
                (best, least) = (index, cost);
            }
            late += self.weights[index] + self.repairs[index];
            partly += self.weights[index] - self.weights.get(index + self.frame_buckets).copied().unwrap_or_default();
            missed += self.repairs[index] + partly / self.frame_buckets as f32;
        }
        self.origin + best as i64 * BUCKET
    }
}

/// Smallest value of the last slots of time.
struct WindowedMinimum {
    slot_samples: i64,
    /// Number of the slot and the smallest value in it.
    slots: [Option<(i64, i64)>; SLOTS],
}

impl WindowedMinimum {
    fn new(slot_samples: i64) -> Self {
        Self { slot_samples, slots: [None; SLOTS] }
    }

    fn reset(&mut self) {
        self.slots = [None; SLOTS];
    }

    fn add(&mut self, value: i64, clock: i64) {
        let number = clock.div_euclid(self.slot_samples);
        let slot = &mut self.slots[number.rem_euclid(SLOTS as i64) as usize];
        *slot = match *slot {
            Some((held, least)) if held == number => Some((number, least.min(value))),
            _ => Some((number, value)),
        };
    }

    /// The smallest value of the last `memory` slots, or, when nothing came in them, of the newest one.
    fn get(&self, clock: i64, memory: i64) -> Option<i64> {
        let newest = || self.slots.iter().flatten().max_by_key(|(number, _)| *number).map(|(_, value)| *value);
        self.get_recent(clock, memory).or_else(newest)
    }

    /// The smallest value of the last `memory` slots, if anything came in them.
    fn get_recent(&self, clock: i64, memory: i64) -> Option<i64> {
        let oldest = clock.div_euclid(self.slot_samples) - memory;
        self.slots.iter().flatten().filter(|(number, _)| *number > oldest).map(|(_, value)| *value).min()
    }
}

/// Lags of the newest frames, each with the moment at which it came.
#[derive(Default)]
struct Newest {
    frames: [Option<(i64, i64)>; NEWEST],
    next: usize,
}

impl Newest {
    fn add(&mut self, lag: i64, clock: i64) {
        self.frames[self.next] = Some((clock, lag));
        self.next = (self.next + 1) % NEWEST;
    }

    /// `None` unless all of them came lately. Of twenty packets with a jitter of 60 ms one comes within 20 ms of the
    /// fastest possible in all but one of 3,000 cases; of the few of a pause, hardly ever.
    fn fastest(&self, clock: i64) -> Option<i64> {
        let lately = |(at, lag): (i64, i64)| (clock - at <= NEWEST_MEMORY).then_some(lag);
        self.frames.iter().map(|frame| frame.and_then(lately)).try_fold(i64::MAX, |least, lag| Some(least.min(lag?)))
    }
}

/// What one percent of late audio is worth, milliseconds of delay for all of it. By the E-model (ITU-T G.107) one
/// percent of loss costs about as much as 200 ms below the knee of the delay curve; conversations suffer earlier.
const MS_PER_PERCENT_LATE: f32 = 60.0;
/// Time in which a frame's weight falls to 1/e, milliseconds of received audio.
const MEMORY_MS: f32 = 6000.0;
/// A gap between two frames from which on it is a pause of the sender's (it sends a frame of noise each 400 ms), not a
/// loss; a longer one counts for as much.
const SHORTEST_PAUSE: i64 = SAMPLE_RATE_HZ as i64 / 5;
const LONGEST_PAUSE: i64 = SAMPLE_RATE_HZ as i64;
/// Where concealment gives way to the frame there is a seam, however short it was: as bad as this share of a frame.
const MERGE_SHARE: f32 = 0.2;
/// Delay beyond the first frame's before anything is known: for a second, and until so many frames have come.
const INITIAL_DELAY: i64 = SAMPLE_RATE_HZ as i64 / 100;
const GUESS_SAMPLES: i64 = SAMPLE_RATE_HZ as i64;
const GUESS_FRAMES: u32 = 25;

/// A target is left when another one is better by this part of the delay: chance alone must not move it to and fro.
const INERTIA: f32 = 0.15;
const SAMPLES_PER_MS: f32 = SAMPLE_RATE_HZ as f32 / 1000.0;
const BUCKET_MS: f32 = 2.5;
const BUCKET: i64 = SAMPLE_RATE_HZ as i64 / 400;
/// 3.2 s of lags.
const BUCKETS: usize = 1280;
/// Buckets below the first lag: there is more room for slower than for faster.
const HEADROOM: i64 = 320;
/// How long the fastest frame counts, in slots: 2 s. In longer times clocks drift.
const FASTEST_MEMORY: i64 = 20;
/// How long a large lag counts, in slots: 2.4 s.
const HIGH_MEMORY: i64 = 24;
/// How long a lag of up to [`LOW_DELAY`] above the fastest counts, in slots: 8 s.
const LOW_MEMORY: i64 = SLOTS as i64;
const LOW_DELAY: i64 = SAMPLE_RATE_HZ as i64 / 25;
/// The same of repairs, of which a large lag counts for 2.6 s (in long slots): copies reach back by up to three packets, 60 ms.
const HIGH_REPAIR_MEMORY: i64 = 7;
const LOW_REPAIR_DELAY: i64 = LOW_DELAY + 3 * SAMPLE_RATE_HZ as i64 / 50;
const SLOTS: usize = 80;
const SLOT_SAMPLES: i64 = SAMPLE_RATE_HZ as i64 / 10;
/// 30 s in all slots. In longer times clocks drift, by up to 200 ppm: 6 ms.
const LONG_SLOT_SAMPLES: i64 = SAMPLE_RATE_HZ as i64 * 30 / SLOTS as i64;
/// What counts as now for a queue: so many frames, and for how long. Those of 60 ms take 1.2 s.
const NEWEST: usize = 20;
const NEWEST_MEMORY: i64 = SAMPLE_RATE_HZ as i64 * 3 / 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: i64 = 48;
    const FRAME: SampleCount = SampleCount(960);

    /// Feeds one frame per 20 ms and returns the target above the fastest frame, milliseconds.
    fn settle(delay: &mut DelayManager, clock: &mut i64, lags_ms: impl IntoIterator<Item = i64>) -> i64 {
        for lag in lags_ms {
            *clock += 960;
            delay.observe(lag * MS, FRAME, *clock);
        }
        (delay.target_lag() - delay.fastest_lag(*clock)) / MS
    }

    fn started() -> DelayManager {
        let mut delay = DelayManager::new(SampleCount(0), SampleCount::from_ms(500));
        delay.reset(0, 0);
        delay
    }

    #[test]
    fn a_clean_network_needs_no_delay_and_a_jittery_one_all_of_its_range() {
        let (mut delay, mut clock) = (started(), 0);
        assert_eq!(settle(&mut delay, &mut clock, [0]), 10, "starts low");
        assert_eq!(settle(&mut delay, &mut clock, std::iter::repeat_n(0, 500)), 0);
        assert_eq!(settle(&mut delay, &mut clock, (0..200).map(|i| i * 7 % 60 / 10 * 10)), 50);
    }

    #[test]
    fn a_stall_is_remembered_while_stalls_come_and_forgotten_after() {
        let (mut delay, mut clock) = (started(), 0);
        let stall = || (0..100).map(|i| (150 - i * 20).max(0));
        for _ in 0..4 {
            settle(&mut delay, &mut clock, stall());
        }
        assert!(settle(&mut delay, &mut clock, stall()) >= 100);
        // The last stall began two seconds ago.
        assert!(settle(&mut delay, &mut clock, std::iter::repeat_n(0, 40)) <= 50);
        assert!(settle(&mut delay, &mut clock, std::iter::repeat_n(0, 400)) <= 10);
    }

    #[test]
    fn what_came_late_before_a_pause_is_forgotten_in_it() {
        let (mut delay, mut clock) = (started(), 0);
        for frame in 0..500 {
            clock += 960;
            match frame % 20 {
                0 => delay.observe_repair(100 * MS, FRAME, clock),
                _ => delay.observe(0, FRAME, clock),
            }
        }
        assert_eq!(delay.target_lag() / MS, 100);
        for _ in 0..25 {
            clock += 400 * MS;
            delay.observe(0, FRAME, clock);
        }
        assert!(delay.target_lag() / MS <= 10, "{}", delay.target_lag() / MS);
    }

    #[test]
    fn limits_hold() {
        let mut delay = DelayManager::new(SampleCount::from_ms(40), SampleCount::from_ms(60));
        delay.reset(0, 0);
        let mut clock = 0;
        assert_eq!(settle(&mut delay, &mut clock, std::iter::repeat_n(0, 100)), 40);
        assert_eq!(settle(&mut delay, &mut clock, (0..100).map(|i| i % 10 * 20)), 60);
    }

    #[test]
    fn a_queue_is_seen_and_a_jittery_pause_is_none() {
        let (mut delay, mut clock) = (started(), 0);
        let jitter = |i: i64| (i * 37) % 60;
        settle(&mut delay, &mut clock, (0..200).map(jitter));
        assert!(delay.queue(clock) <= 5 * MS, "jitter");
        // A packet every 400 ms, as silent senders send.
        for i in 0..20 {
            clock += 19_200;
            delay.observe((30 + jitter(i) / 2) * MS, FRAME, clock);
            assert!(delay.queue(clock) <= 5 * MS, "a pause");
        }
        settle(&mut delay, &mut clock, (0..40).map(|i| 80 + jitter(i)));
        assert!((70..90).contains(&(delay.queue(clock) / MS)), "all of them wait 80 ms");
    }

    proptest! {
        #[test]
        fn the_target_stays_within_the_limits_whatever_comes(lags in proptest::collection::vec(-1i64 << 40..1 << 40, 1..50)) {
            let mut delay = started();
            for (i, lag) in lags.iter().enumerate() {
                let clock = i as i64 * 960;
                delay.observe(*lag, FRAME, clock);
                let above = delay.target_lag() - delay.fastest_lag(clock);
                prop_assert!((0..=500 * MS).contains(&above));
            }
        }

        #[test]
        fn a_drifting_grid_is_followed(step in -3i64..=3) {
            let (mut delay, mut clock, mut lag) = (started(), 0, 0);
            for _ in 0..20_000 {
                clock += 960;
                lag += step;
                delay.observe(lag, FRAME, clock);
            }
            prop_assert!((delay.target_lag() - lag).abs() <= 30 * MS);
        }
    }
}
