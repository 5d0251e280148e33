//! Small measurements: percentiles, and what `/proc` says of a process.

use std::fs;
use std::time::Duration;

/// The `q` quantile (0..=1) of `values`, nearest rank.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    assert!(!values.is_empty(), "no values to take a quantile of");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// `p50 / p95 / max` of `values`, whole numbers, for a line that people read.
pub fn spread(values: &[f64]) -> String {
    format!("p50 {:.0} / p95 {:.0} / max {:.0}", quantile(values, 0.5), quantile(values, 0.95), quantile(values, 1.0))
}

/// Resident set of a process, MB (10⁶ bytes).
pub fn rss_mb(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS is always there");
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().expect("VmRSS is a number of kB");
    kib * 1024.0 / 1e6
}

/// Open descriptors of a process.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives").count()
}

/// Threads of a process.
pub fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives").count()
}

/// Processor time a process has used so far, user and system, in steps of a clock tick (10 ms).
pub fn cpu_time(pid: u32) -> Duration {
    time_in(&fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives"))
}

fn time_in(stat: &str) -> Duration {
    // The name may hold spaces and brackets; the fields after its last bracket are plain (proc(5)).
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|&i| fields[i].parse::<u64>().expect("utime and stime are numbers")).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

/// The same by thread: its id, its name, its time.
pub fn thread_times(pid: u32) -> Vec<(u32, String, Duration)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives").flatten();
    let times = tasks.filter_map(|task| {
        let id: u32 = task.file_name().to_string_lossy().parse().ok()?;
        // It may have ended meanwhile.
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        let name = stat.split_once('(')?.1.rsplit_once(')')?.0;
        Some((id, name.to_owned(), time_in(&stat)))
    });
    times.collect()
}

/// CLOCK_MONOTONIC in milliseconds: the base of `mono_ms` in the JSON contract.
pub fn mono_ms() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}
