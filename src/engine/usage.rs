//! What this process costs: processor time and memory.

use std::time::{Duration, Instant};

/// Measures processor use between two calls of [`UsageMeter::sample`].
pub(super) struct UsageMeter {
    last: Option<(Instant, Duration)>,
    usage: Usage,
    sampled: Option<Instant>,
}

/// Whoever asks again so soon gets the same: too short a time measures nothing.
const SAME: Duration = Duration::from_millis(500);

/// Unknown on systems where it is not read.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Usage {
    /// Of all threads together since the last sample, % of one core.
    pub cpu: Option<f32>,
    /// Resident memory, MiB.
    pub rss_mb: Option<f32>,
}

impl UsageMeter {
    pub fn new(now: Instant) -> Self {
        Self { last: cpu_time().map(|spent| (now, spent)), usage: Usage::default(), sampled: None }
    }

    pub fn sample(&mut self, now: Instant) -> Usage {
        if self.sampled.is_some_and(|at| now.saturating_duration_since(at) < SAME) {
            return self.usage;
        }
        let spent = cpu_time();
        let cpu = match (self.last, spent) {
            (Some((then, before)), Some(spent)) if now > then => {
                let wall = now.duration_since(then).as_secs_f32();
                Some(spent.saturating_sub(before).as_secs_f32() / wall * 100.0)
            }
            _ => None,
        };
        self.last = spent.map(|spent| (now, spent));
        (self.usage, self.sampled) = (Usage { cpu, rss_mb: resident_mb() }, Some(now));
        self.usage
    }
}

/// User and system time of all threads, living and dead.
#[cfg(unix)]
fn cpu_time() -> Option<Duration> {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32))
}

#[cfg(not(unix))]
fn cpu_time() -> Option<Duration> {
    None
}

/// From `/proc/self/statm`: size and resident pages (proc(5)).
#[cfg(target_os = "linux")]
fn resident_mb() -> Option<f32> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f32 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as f32 / (1024.0 * 1024.0))
}

#[cfg(not(target_os = "linux"))]
fn resident_mb() -> Option<f32> {
    None
}
