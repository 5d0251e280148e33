//! Programs of others that the interop tests talk to, installed by `.ci/interop` below the target folder.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::netlab::Netns;
use super::skip::{missing_program, skip};

/// Where `.ci/interop` puts what it installs.
fn tools() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder is below the target folder");
    target.join("tools")
}

/// A file of `tests/interop/`.
pub fn file_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name)
}

/// Whether a Python package is there; else `test` is skipped.
pub fn has_python(test: &str, package: &str) -> bool {
    let found = missing_program(&["python3"]).is_none() && tools().join("python").join(package).is_dir();
    if !found {
        skip(test, &format!("{package} is not installed for python3; `make setup` does it"));
    }
    found
}

/// Whether an npm package is there; else `test` is skipped.
pub fn has_node(test: &str, package: &str) -> bool {
    let modules = tools().join("node/node_modules");
    let found = modules.join(package).is_dir() && modules.join(".bin/node").exists();
    if !found {
        skip(test, &format!("{package} is not installed for node; `make setup` does it"));
    }
    found
}

/// A foreign program that runs. It ends with this value, however the test ends.
pub struct Foreign {
    name: String,
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Foreign {
    /// A script of `tests/interop/` with its arguments, in Python.
    pub fn python(script: &str, arguments: &[&str], host: Option<&Netns>) -> Self {
        let path = tools().join("python");
        Self::start(
            script,
            &[&["python3"], &[file_of(script).to_str().expect("utf-8")], arguments].concat(),
            host,
            |command| {
                command.env("PYTHONPATH", path);
            },
        )
    }

    /// A script of `tests/interop/` with its arguments, in JavaScript.
    pub fn node(script: &str, arguments: &[&str], host: Option<&Netns>) -> Self {
        let node = tools().join("node");
        // Modules are looked for beside the script.
        let copy = node.join(script);
        std::fs::copy(file_of(script), &copy).expect("the tools' folder can be written");
        let program = node.join("node_modules/.bin/node");
        let words = [program.to_str().expect("utf-8"), copy.to_str().expect("utf-8")];
        Self::start(script, &[&words[..], arguments].concat(), host, |_| {})
    }

    fn start(name: &str, words: &[&str], host: Option<&Netns>, prepare: impl FnOnce(&mut Command)) -> Self {
        let prefix = ["setpriv", "--pdeathsig", "KILL", "--"];
        let mut command = match host {
            Some(host) => host.command(&prefix),
            None => {
                let mut command = Command::new(prefix[0]);
                command.args(&prefix[1..]);
                command
            }
        };
        prepare(&mut command);
        let mut child =
            command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("setpriv is there");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { name: name.to_owned(), child, lines, said: Vec::new() }
    }

    /// The next line of which `wanted` is true.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&str) -> bool, deadline: Duration) -> String {
        let end = Instant::now() + deadline;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if wanted(&line) => {
                    self.said.clear();
                    return line;
                }
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{}: no {what} within {deadline:?}: {:?}", self.name, self.said)
                }
                Err(RecvTimeoutError::Disconnected) => panic!("{} ended without {what}: {:?}", self.name, self.said),
            }
        }
    }

    /// Whether it has said such a line since the last one that was waited for.
    pub fn heard(&mut self, wanted: impl Fn(&str) -> bool) -> bool {
        self.said.extend(self.lines.try_iter());
        self.said.iter().any(|line| wanted(line))
    }

    /// Its exit code.
    pub fn wait_exit(&mut self, deadline: Duration) -> Option<i32> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(Instant::now() < end, "{} did not end within {deadline:?}", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
