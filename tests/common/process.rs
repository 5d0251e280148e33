//! A process of the built binary: its JSON lines with deadlines, and an orderly end whatever happens.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::netlab::Netns;

/// The binary under test.
pub const TWOCANS: &str = env!("CARGO_BIN_EXE_twocans");
/// Another build of it, to measure what people get: tests are built to be built fast.
pub const BINARY_VARIABLE: &str = "TWOCANS_TEST_BINARY";
/// From SIGINT to the end of the process: hanging up and withdrawing presence fit well inside.
const GRACE: Duration = Duration::from_secs(8);
/// Diagnosis of a failed wait shows this many last lines of either stream.
const TAIL_LINES: usize = 25;
/// As many, when somebody asked for logs.
const LOGGED_TAIL_LINES: usize = 1000;
/// A `--log` filter for every process of the tests, to find out what went wrong in one of them.
const LOG_VARIABLE: &str = "TWOCANS_TEST_LOG";

/// How to start one process.
pub struct Launch {
    name: String,
    home: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    netns: Option<Netns>,
    input: Option<String>,
}

impl Launch {
    /// `name` is for diagnosis; `home` is the profile.
    pub fn new(name: &str, home: &Path) -> Self {
        Self {
            name: name.to_owned(),
            home: home.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            netns: None,
            input: None,
        }
    }

    /// What it reads on standard input, which is no terminal; nothing otherwise.
    pub fn input(mut self, text: &str) -> Self {
        self.input = Some(text.to_owned());
        self
    }

    /// Adds the verb, its options, its arguments.
    pub fn args<S: AsRef<str>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    pub fn envs(mut self, variables: &[(String, String)]) -> Self {
        self.environment.extend_from_slice(variables);
        self
    }

    /// Runs the process inside a host of the network laboratory.
    pub fn inside(mut self, netns: Option<&Netns>) -> Self {
        self.netns = netns.cloned();
        self
    }

    /// Starts it with `--json`, without a terminal on stdin.
    pub fn start(self) -> Process {
        let mut child = self.spawn(true);
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let output = Arc::new(Output::default());
        let readers = vec![
            std::thread::spawn({
                let output = output.clone();
                move || output.collect_events(stdout)
            }),
            std::thread::spawn({
                let output = output.clone();
                move || output.collect_log(stderr)
            }),
        ];
        Process { name: self.name, home: self.home, child, exit: None, output, cursor: 0, readers }
    }

    /// Starts it with `--json` and waits for its end; the exit code and all it said.
    pub fn start_and_wait(self, deadline: Duration) -> (Option<i32>, Vec<Value>) {
        let mut process = self.start();
        let code = process.wait_exit(deadline);
        (code, process.events())
    }

    /// Starts it as a person does, without `--json`, and waits for its end; panics at the deadline.
    pub fn run_for_people(self, deadline: Duration) -> Finished {
        let mut child = self.spawn(false);
        let mut stdout = child.stdout.take().expect("stdout is piped");
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let out = std::thread::spawn(move || read_all(&mut stdout));
        let err = std::thread::spawn(move || read_all(&mut stderr));
        let exit = wait_until(&mut child, Instant::now() + deadline);
        if exit.is_none() {
            stop(&mut child);
        }
        let finished = Finished {
            code: exit.and_then(|status| status.code()),
            stdout: out.join().expect("the reader ends with the process"),
            stderr: err.join().expect("the reader ends with the process"),
        };
        assert!(exit.is_some(), "{} did not end within {deadline:?}: {finished:?}", self.name);
        finished
    }

    fn spawn(&self, json: bool) -> Child {
        let mut child = self.command(json).spawn().expect("the binary starts");
        if let (Some(text), Some(mut stdin)) = (&self.input, child.stdin.take()) {
            // A process that ends without reading it shows by its exit code why.
            let _ = stdin.write_all(text.as_bytes());
        }
        child
    }

    fn command(&self, json: bool) -> Command {
        // The kernel ends the child when the thread that started it dies, so that not even a killed test leaves one.
        let prefix = ["setpriv", "--pdeathsig", "KILL", "--"];
        let mut command = match &self.netns {
            Some(netns) => netns.command(&prefix),
            None => {
                let mut command = Command::new(prefix[0]);
                command.args(&prefix[1..]);
                command
            }
        };
        command.arg(std::env::var_os(BINARY_VARIABLE).unwrap_or_else(|| TWOCANS.into())).arg("--home").arg(&self.home);
        if json {
            command.arg("--json");
        }
        if let Some(filter) = std::env::var_os(LOG_VARIABLE) {
            command.arg("--log").arg(filter);
        }
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .env_remove("TWOCANS_HOME")
            .stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// What a process that ran to its end left behind.
#[derive(Debug)]
pub struct Finished {
    /// `None`: ended by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// All that a person at a terminal reads.
    pub fn said(&self) -> String {
        [self.stdout.as_str(), &self.stderr].concat()
    }
}

/// A running process. Dropping it ends it: SIGINT, a grace, SIGKILL, always by its own id.
pub struct Process {
    pub name: String,
    pub home: PathBuf,
    child: Child,
    exit: Option<ExitStatus>,
    output: Arc<Output>,
    /// Events before it have been handed out by [`Process::next`].
    cursor: usize,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next event of this kind after the last one handed out; earlier events of other kinds are passed over.
    pub fn next(&mut self, event: &str, deadline: Duration) -> Value {
        self.next_where(event, |_| true, deadline)
    }

    /// The next event of this kind that satisfies `wanted`. Panics with the process's last words at the deadline, or
    /// as soon as the process has ended without saying it.
    pub fn next_where(&mut self, event: &str, wanted: impl Fn(&Value) -> bool, deadline: Duration) -> Value {
        match self.try_next_where(event, wanted, deadline) {
            Ok(found) => found,
            Err(why) => panic!("{}: no {event:?} event: {why}", self.name),
        }
    }

    /// As [`Process::next_where`], with the reason where that panics.
    pub fn try_next_where(
        &mut self,
        event: &str,
        wanted: impl Fn(&Value) -> bool,
        deadline: Duration,
    ) -> Result<Value, String> {
        let end = Instant::now() + deadline;
        let mut lines = self.output.lock();
        loop {
            while let Some(line) = lines.events.get(self.cursor) {
                self.cursor += 1;
                if line["event"] == event && wanted(line) {
                    return Ok(line.clone());
                }
            }
            if lines.closed {
                return Err("the process has ended".to_owned());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("{deadline:?} have passed"));
            }
            lines = self.output.news.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// All events of this kind so far.
    pub fn all(&self, event: &str) -> Vec<Value> {
        self.output.lock().events.iter().filter(|line| line["event"] == event).cloned().collect()
    }

    /// Everything on stdout so far, parsed.
    pub fn events(&self) -> Vec<Value> {
        self.output.lock().events.clone()
    }

    /// Everything on stderr so far.
    pub fn log(&self) -> String {
        self.output.lock().log.clone()
    }

    /// As Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// As a power cut does.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    pub fn is_running(&mut self) -> bool {
        self.exit.is_none() && matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end; the exit code, or `None` after a signal. All its output has been read when this returns.
    pub fn wait_exit(&mut self, deadline: Duration) -> Option<i32> {
        let exit = self.exit.or_else(|| wait_until(&mut self.child, Instant::now() + deadline));
        let Some(exit) = exit else {
            panic!("{} did not end within {deadline:?}", self.name);
        };
        self.exit = Some(exit);
        for reader in self.readers.drain(..) {
            reader.join().expect("the readers end with the process");
        }
        exit.code()
    }

    /// Ctrl-C, and the exit code.
    pub fn finish(&mut self) -> Option<i32> {
        if self.is_running() {
            self.interrupt();
        }
        self.wait_exit(GRACE)
    }

    /// The end of both streams, for the report of a failure.
    pub fn last_words(&self) -> String {
        let tail = if std::env::var_os(LOG_VARIABLE).is_some() { LOGGED_TAIL_LINES } else { TAIL_LINES };
        let lines = self.output.lock();
        let events: Vec<String> = lines.events.iter().rev().take(tail).map(Value::to_string).collect();
        let log: Vec<&str> = lines.log.lines().rev().take(tail).collect();
        let in_order = |tail: Vec<String>| tail.into_iter().rev().collect::<Vec<_>>().join("\n  ");
        format!(
            "--- {} says:\n  {}\n--- and logs:\n  {}",
            self.name,
            in_order(events),
            in_order(log.into_iter().map(str::to_owned).collect())
        )
    }

    fn signal(&self, signal: Signal) {
        if self.exit.is_none()
            && let Some(pid) = Pid::from_raw(self.child.id() as i32)
        {
            // Fails only when the process has just ended by itself.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.last_words());
        }
        if self.exit.is_none() {
            stop(&mut self.child);
        }
    }
}

/// Both streams of a process, filled by its two readers.
#[derive(Default)]
struct Output {
    lines: Mutex<Lines>,
    news: Condvar,
}

#[derive(Default)]
struct Lines {
    events: Vec<Value>,
    log: String,
    closed: bool,
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line that is no JSON object is kept as a string and fails the contract check.
    fn collect_events(&self, stdout: impl Read) {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            self.lock().events.push(value);
            self.news.notify_all();
        }
        self.lock().closed = true;
        self.news.notify_all();
    }

    fn collect_log(&self, stderr: impl Read) {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut lines = self.lock();
            lines.log.push_str(&line);
            lines.log.push('\n');
        }
    }
}

fn read_all(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    // A broken pipe ends the text; what came before it still tells the story.
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `None` at the deadline.
fn wait_until(child: &mut Child, end: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait().expect("our own child can be waited for") {
            Some(status) => return Some(status),
            None if Instant::now() >= end => return None,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn stop(child: &mut Child) {
    if let (Ok(None), Some(pid)) = (child.try_wait(), Pid::from_raw(child.id() as i32)) {
        let _ = kill_process(pid, Signal::INT);
        if wait_until(child, Instant::now() + GRACE).is_none() {
            let _ = child.kill();
        }
    }
    let _ = child.wait();
}
