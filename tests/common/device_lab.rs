//! A private PulseAudio with the virtual devices that one test asks for, for tests of the library itself.
//!
//! cpal finds its server through the environment, which a process with threads must not change. So each test runs a
//! second time, in a child process whose environment points at the server: [`in_lab`] starts the server and the child,
//! and in the child calls the body.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::skip::{missing_program, skip};

/// Set in the child: the lab's folder.
const LAB_FOLDER: &str = "TWOCANS_PULSE_LAB";
const SERVER_PID: &str = "TWOCANS_PULSE_PID";

/// The lab as the test sees it, inside the child.
pub struct Lab {
    folder: PathBuf,
    server: std::cell::Cell<u32>,
}

/// Runs `body` in a lab with these PulseAudio modules (the lines of a `default.pa`). `test` is the name of the calling
/// test function. Without PulseAudio on this machine the test is skipped and says so.
pub fn in_lab(test: &str, modules: &str, body: impl FnOnce(&Lab)) {
    if let (Ok(folder), Ok(pid)) = (std::env::var(LAB_FOLDER), std::env::var(SERVER_PID)) {
        return body(&Lab { folder: folder.into(), server: std::cell::Cell::new(pid.parse().unwrap()) });
    }
    if let Some(program) = missing_program(&["pulseaudio", "pactl", "pacat", "setpriv"]) {
        return skip(test, &format!("{program} is not installed"));
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("pulse")).unwrap();
    fs::write(folder.path().join("modules.pa"), script(folder.path(), modules)).unwrap();
    let server = Server::start(folder.path());
    let output = child(test, folder.path())
        .env(LAB_FOLDER, folder.path())
        .env(SERVER_PID, server.0.id().to_string())
        .output()
        .unwrap();
    drop(server);
    report(test, &output);
}

/// Runs `body` where no sound server answers; gives back what it wrote to stderr.
pub fn without_server(test: &str, body: impl FnOnce()) -> Option<String> {
    if std::env::var(LAB_FOLDER).is_ok() {
        body();
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = child(test, folder.path()).env(LAB_FOLDER, folder.path()).output().unwrap();
    report(test, &output);
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

impl Lab {
    pub fn pactl(&self, arguments: &[&str]) -> String {
        let output = Command::new("pactl").args(arguments).output().unwrap();
        assert!(output.status.success(), "pactl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Plays mono samples into a sink, at the sink's rate, until the end or until the guard is dropped.
    pub fn play(&self, sink: &str, rate_hz: u32, samples: &[f32]) -> Running {
        let path = self.folder.join(format!("play-{sink}.raw"));
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        let file = fs::File::open(&path).unwrap();
        let mut command = pacat("--playback", sink, rate_hz);
        Running(command.stdin(file).stdout(Stdio::null()).spawn().unwrap())
    }

    /// Records so much of a source, mono: from when the server hands out the first sample, which may take a second.
    pub fn record(&self, source: &str, rate_hz: u32, length: Duration) -> Vec<f32> {
        let mut command = pacat("--record", source, rate_hz);
        let mut running = Running(command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap());
        let mut out = running.0.stdout.take().unwrap();
        let wanted = (f64::from(rate_hz) * length.as_secs_f64()) as usize;
        let (done, finished) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let mut bytes = vec![0; wanted * 4];
            let _ = done.send(out.read_exact(&mut bytes).map(|()| bytes));
        });
        let bytes = finished.recv_timeout(Duration::from_secs(10));
        running.stop();
        let bytes = bytes.expect("the source delivers in time").expect("the source delivers all");
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    /// `STOP` freezes the server, `CONT` thaws it, `KILL` ends it.
    pub fn signal_server(&self, signal: &str) {
        let status =
            Command::new("kill").arg(format!("-{signal}")).arg(self.server.get().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Starts a killed server anew, with the same modules; it lives until the test's child process ends.
    pub fn restart_server(&self) -> Server {
        let server = Server::start(&self.folder);
        self.server.set(server.0.id());
        server
    }
}

/// A program that is ended when this is dropped.
pub struct Running(Child);

impl Running {
    pub fn stop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

pub struct Server(Child);

impl Server {
    fn start(folder: &Path) -> Self {
        let log = fs::File::create(folder.join("server.log")).unwrap();
        let _ = fs::remove_file(folder.join("pulse/native"));
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "pulseaudio", "-n", "-F"])
            .arg(folder.join("modules.pa"))
            .args(["--daemonize=no", "--exit-idle-time=-1", "--disallow-exit", "--use-pid-file=no"])
            .args(["--realtime=no", "--high-priority=no", "--disable-shm=no", "--log-target=stderr"])
            .envs(environment(folder))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self(child);
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let answer = Command::new("pactl").arg("info").envs(environment(folder)).output().unwrap();
            if answer.status.success() {
                break;
            }
            let log = || fs::read_to_string(folder.join("server.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "PulseAudio does not start: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        server.make_real_time();
        server
    }

    /// The virtual devices' clocks are threads of the server: on a busy machine they need priority, where it is
    /// granted.
    fn make_real_time(&self) {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.0.id())) else { return };
        for task in tasks.flatten() {
            let _ = Command::new("chrt").args(["-f", "-p", "20"]).arg(task.file_name()).stderr(Stdio::null()).status();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn script(folder: &Path, modules: &str) -> String {
    let socket = folder.join("pulse/native");
    format!("load-module module-native-protocol-unix socket={} auth-anonymous=1\n{modules}\n", socket.display())
}

fn environment(folder: &Path) -> [(&'static str, String); 4] {
    let path = |name: &str| folder.join(name).display().to_string();
    [
        ("XDG_RUNTIME_DIR", path("")),
        ("PULSE_RUNTIME_PATH", path("pulse")),
        ("PULSE_STATE_PATH", path("state")),
        ("PULSE_SERVER", format!("unix:{}", path("pulse/native"))),
    ]
}

fn child(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).envs(environment(folder));
    command
}

fn pacat(mode: &str, device: &str, rate_hz: u32) -> Command {
    let mut command = Command::new("pacat");
    command
        .args([mode, "--raw", "--format=float32le", "--channels=1", "--latency-msec=20"])
        .arg(format!("--device={device}"))
        .arg(format!("--rate={rate_hz}"))
        .stderr(Stdio::null());
    command
}

fn report(test: &str, output: &Output) {
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{test} failed in its lab:\n{stdout}");
    assert!(stdout.contains("1 passed"), "{test} is not the name of the test:\n{stdout}");
}
