//! Logs: to stderr when asked for, and to a file per day in the profile.

use std::io::{self, Write};
use std::path::Path;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::exit::usage;
use super::keys;
use crate::engine::Failure;

/// What the file gets when `--log` says nothing. The TURN server's crates report every stranger's mistake as an error,
/// with addresses.
const FILE_FILTER: &str = "twocans=info,warn,turn_server_proto=off,stun_proto=off";
/// Days of logs that are kept.
const KEPT_FILES: usize = 7;

/// Writes out what is still in memory when dropped.
#[must_use]
pub struct Logs {
    _file: Option<WorkerGuard>,
}

/// Starts logging. `home` is `None` for verbs that have no profile; they log to stderr only.
///
/// # Errors
/// A usage failure when the filter cannot be read. A folder that cannot be written is not an error: nobody should miss
/// a call for it.
pub fn start(filter: Option<&str>, home: Option<&Path>) -> Result<Logs, Failure> {
    let to_stderr = match filter {
        Some(filter) => Some(fmt::layer().with_writer(Stderr).with_filter(parse(filter)?)),
        None => None,
    };
    let (to_file, guard) = match home.and_then(open_file) {
        Some(appender) => {
            let (writer, guard) = tracing_appender::non_blocking(appender);
            let layer = fmt::layer().with_ansi(false).with_writer(writer);
            (Some(layer.with_filter(parse(filter.unwrap_or(FILE_FILTER))?)), Some(guard))
        }
        None => (None, None),
    };
    // An error means that a test or an embedding program logs already; then its way of logging stands.
    let _ = tracing_subscriber::registry().with(to_stderr).with(to_file).try_init();
    Ok(Logs { _file: guard })
}

fn parse(filter: &str) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(filter).map_err(|why| usage(format!("--log {filter}: {why}; try debug or twocans=trace")))
}

fn open_file(home: &Path) -> Option<RollingFileAppender> {
    let folder = home.join("logs");
    create_private(&folder).ok()?;
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("twocans")
        .filename_suffix("log")
        .max_log_files(KEPT_FILES)
        .build(folder)
        .ok()
}

/// Logs say when somebody calls, so only the owner reads them.
fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Standard error that stays legible while the terminal is in raw mode.
#[derive(Clone, Copy)]
struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for Stderr {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        keys::write_lines(&mut io::stderr().lock(), text)?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
