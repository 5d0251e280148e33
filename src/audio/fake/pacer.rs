//! The one thread that stands for the clocks of all fake devices.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::gate::Position;
use super::super::wav::Recorder;
use super::super::{AudioError, StreamHealth, Wake};
use super::sink::FakeSink;
use super::source::FakeSource;
use crate::base::FRAME_SAMPLES;

/// Ticks come at multiples of 10 ms, counted from the launch: absolute deadlines, so nothing drifts, and all fakes tick
/// together, so the voice thread wakes once for a microphone and a speaker.
const TICK_SAMPLES: i64 = FRAME_SAMPLES as i64;
/// A thread that was late by no more than this makes up for it at once; after a longer stall (a stopped process) what
/// was missed is lost, as with hardware.
const MAX_LATE_TICKS: i64 = 10;
/// Longest period of a fake, ticks.
const MAX_PERIOD_TICKS: i64 = 10;

/// A fake device, paced.
pub enum Paced {
    Source(FakeSource),
    Sink(FakeSink),
}

impl Paced {
    fn tick(&mut self, now: Position, frames: usize) {
        match self {
            Self::Source(source) => source.tick(now, frames),
            Self::Sink(sink) => sink.tick(now, frames),
        }
    }
}

/// A fake that is open; dropping it closes it.
pub struct FakeStream {
    id: u64,
    recorder: Option<Arc<Recorder>>,
}

impl FakeStream {
    /// `frames` per callback, rounded down to whole ticks of 480, at least one.
    pub fn start(
        fake: Paced,
        health: Arc<StreamHealth>,
        frames: u32,
        wake: Wake,
        recorder: Option<Arc<Recorder>>,
    ) -> Result<Self, AudioError> {
        let period_ticks = (i64::from(frames) / TICK_SAMPLES).clamp(1, MAX_PERIOD_TICKS);
        let mut pacer = lock();
        let id = pacer.next_id;
        pacer.next_id += 1;
        if !pacer.running {
            thread::Builder::new().name("audio-pacer".into()).spawn(run).map_err(AudioError::NoThread)?;
            pacer.running = true;
        }
        pacer.fakes.push(Slot { id, fake, health, wake, period_ticks, due: None });
        // Speakers take before microphones give: what the voice thread then makes of the new sound has a whole period
        // to be fetched.
        pacer.fakes.sort_by_key(|slot| matches!(slot.fake, Paced::Source(_)));
        CHANGED.notify_all();
        Ok(Self { id, recorder })
    }
}

impl Drop for FakeStream {
    fn drop(&mut self) {
        let mut pacer = lock();
        pacer.fakes.retain(|slot| slot.id != self.id);
        CHANGED.notify_all();
        drop(pacer);
        if let Some(recorder) = &self.recorder {
            recorder.shut_down();
        }
    }
}

struct Pacer {
    fakes: Vec<Slot>,
    next_id: u64,
    /// Whether there is a thread; it ends when the last fake is closed.
    running: bool,
}

struct Slot {
    id: u64,
    fake: Paced,
    health: Arc<StreamHealth>,
    wake: Wake,
    period_ticks: i64,
    /// The tick that comes next; `None` before the first.
    due: Option<i64>,
}

static PACER: Mutex<Pacer> = Mutex::new(Pacer { fakes: Vec::new(), next_id: 0, running: false });
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Pacer> {
    PACER.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run() {
    let mut pacer = lock();
    let mut done = Position::at(Instant::now()).0.div_euclid(TICK_SAMPLES);
    while !pacer.fakes.is_empty() {
        let now = Instant::now();
        let reached = Position::at(now).0.div_euclid(TICK_SAMPLES);
        done = done.max(reached - MAX_LATE_TICKS);
        while done < reached {
            done += 1;
            pacer.tick(done);
        }
        // A newly opened fake or a closed one wakes us early; then nothing is due yet.
        let wait = tick_time(pacer.next_due(done)).saturating_duration_since(Instant::now());
        if wait > Duration::ZERO {
            pacer = CHANGED.wait_timeout(pacer, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
    pacer.running = false;
}

fn tick_time(tick: i64) -> Instant {
    Position(tick * TICK_SAMPLES).instant()
}

impl Pacer {
    fn tick(&mut self, tick: i64) {
        for slot in self.fakes.iter_mut().filter(|slot| slot.is_due(tick)) {
            if slot.due.is_some_and(|due| due != tick) {
                slot.health.count_xrun();
            }
            slot.due = Some(tick + slot.period_ticks);
            slot.fake.tick(Position(tick * TICK_SAMPLES), (slot.period_ticks * TICK_SAMPLES) as usize);
        }
        let mut woken: Option<&Wake> = None;
        for slot in self.fakes.iter().filter(|slot| slot.is_due(tick)) {
            if !woken.is_some_and(|woken| woken.is_same_as(&slot.wake)) {
                slot.wake.wake();
                woken = Some(&slot.wake);
            }
        }
    }

    fn next_due(&self, done: i64) -> i64 {
        let after = |slot: &Slot| (done.div_euclid(slot.period_ticks) + 1) * slot.period_ticks;
        self.fakes.iter().map(after).min().unwrap_or(done + 1)
    }
}

impl Slot {
    fn is_due(&self, tick: i64) -> bool {
        tick.rem_euclid(self.period_ticks) == 0
    }
}
