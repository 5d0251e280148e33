//! What the benches of whole programs print: one table, targets beside the figures.

use std::time::{Duration, Instant};

use super::common::figures::{cpu_time, rss_mb};

/// What a process used.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Percent of a core.
    pub cpu: f64,
    /// Resident set, MB.
    pub rss_mb: f64,
}

/// Watches processes for so long.
pub fn cost_of<const N: usize>(window: Duration, processes: [u32; N]) -> [Cost; N] {
    cost_during(processes, || std::thread::sleep(window)).0
}

/// What processes use while `work` goes on.
pub fn cost_during<const N: usize, T>(processes: [u32; N], work: impl FnOnce() -> T) -> ([Cost; N], T) {
    let (before, began) = (processes.map(cpu_time), Instant::now());
    let done = work();
    let (after, window) = (processes.map(cpu_time), began.elapsed().as_secs_f64());
    let cost = |of: usize| Cost {
        cpu: (after[of] - before[of]).as_secs_f64() / window * 100.0,
        rss_mb: rss_mb(processes[of]),
    };
    (std::array::from_fn(cost), done)
}

/// Rows are printed as they come: a bench takes minutes.
pub struct Table(());

impl Table {
    pub fn begin() -> Self {
        println!("On {}.\n\n| what | target | measured | holds |\n|---|---|---|---|", machine());
        Self(())
    }

    pub fn row(&self, what: &str, target: &str, figure: f64, holds: impl Fn(f64) -> bool) {
        let verdict = match (target.is_empty(), holds(figure)) {
            (true, _) => "",
            (false, true) => "yes",
            (false, false) => "NO",
        };
        println!("| {what} | {target} | {} | {verdict} |", plain(figure));
    }

    pub fn row_if_known(&self, what: &str, target: &str, figure: Option<f64>, holds: impl Fn(f64) -> bool) {
        match figure {
            Some(figure) => self.row(what, target, figure, holds),
            None => println!("| {what} | {target} | unknown | NO |"),
        }
    }
}

/// Three significant digits or so: no more is measured.
fn plain(figure: f64) -> String {
    if figure.abs() >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{} ({cores} cores), {build} build", model.trim_start_matches([' ', '\t', ':']))
}
