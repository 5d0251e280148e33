//! A test that cannot run on this machine says why and is counted; CI fails when the count is not zero.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, Stdio};

/// Names the file that collects skipped tests.
const LOG_VARIABLE: &str = "TWOCANS_SKIP_LOG";

/// Reports that `test` is left out. The caller returns right after it.
pub fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED: {test}: {reason}");
    println!("{line}");
    if let Some(path) = std::env::var_os(LOG_VARIABLE) {
        let mut log = OpenOptions::new().create(true).append(true).open(path).expect("the skip log can be written");
        writeln!(log, "{line}").expect("the skip log can be written");
    }
}

/// The first of `programs` that this machine lacks.
pub fn missing_program<'a>(programs: &[&'a str]) -> Option<&'a str> {
    programs.iter().copied().find(|program| {
        !Command::new("sh")
            .args(["-c", "command -v \"$1\"", "sh", program])
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}
