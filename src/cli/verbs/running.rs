//! Verbs for the process that holds the profile.

use std::path::Path;

use crate::cli::exit::{Exit, usage};
use crate::cli::output::{Output, Report};
use crate::engine::{self, Failure, RemoteVerb};

/// Hands the verb over and tells what came back.
pub fn run(home: &Path, name: &'static str, verb: &RemoteVerb, out: &mut dyn Output) -> Result<Exit, Failure> {
    match engine::ask_running(home, verb)? {
        Some(answer) => {
            out.report(&Report::Running { verb: name, answer });
            Ok(Exit::Fine)
        }
        None => Err(usage(format!(
            "no twocans runs with the profile {}; start one with `twocans answer` or `twocans call`, or name its \
             profile with --home",
            home.display()
        ))),
    }
}
