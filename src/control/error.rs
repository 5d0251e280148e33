//! What can go wrong between two processes of one profile.

use std::path::{Path, PathBuf};

/// The profile is not to be had, or the process that runs it cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Another process runs this profile: use that one, end it, or choose another `--home`.
    #[error("the profile is in use by {}", holder(*pid, what))]
    InUse {
        /// `None` in the moment in which the other process is starting or ending.
        pid: Option<u32>,
        /// What that process said it is, such as `twocans answer`.
        what: String,
    },
    /// The profile's folder, or a file in it, cannot be used: check its permissions and the disk.
    #[error("cannot use {}: {why}", path.display())]
    Unreachable { path: PathBuf, why: String },
    /// No process runs this profile: start one first.
    #[error("no twocans is running on this profile")]
    NobodyThere,
    /// The other process is there but did not answer in time: try again, or restart it.
    #[error("the running twocans does not answer")]
    TimedOut,
    /// A request or an answer is larger than the protocol allows.
    #[error("a control message is at most {limit} bytes")]
    TooLong { limit: usize },
    /// What came is no message of this protocol; perhaps two versions of twocans meet: restart the running one.
    #[error("the running twocans does not speak this version's language: {why}")]
    NotUnderstood { why: String },
    /// The connection broke: try again.
    #[error("the connection to the running twocans broke: {why}")]
    Broken { why: String },
}

impl ControlError {
    pub(super) fn unreachable(path: &Path, error: &dyn std::error::Error) -> Self {
        Self::Unreachable { path: path.into(), why: error.to_string() }
    }
}

fn holder(pid: Option<u32>, what: &str) -> String {
    match (pid, what) {
        (None, _) => "another process".into(),
        (Some(pid), "") => format!("process {pid}"),
        (Some(pid), what) => format!("process {pid} ({what})"),
    }
}
