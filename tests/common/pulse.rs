//! A private PulseAudio server without a sound card: two virtual microphones and two virtual speakers.
//!
//! All four are channels of one null sink, so one recording of its monitor holds what was said into either microphone
//! and what came out of either speaker, aligned to the sample. Sinks `to_micA`, `to_micB` feed the microphones;
//! programs open the sources `micA`, `micB` and the sinks `spkA`, `spkB`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::skip::missing_program;

/// Channels of a recording, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    MicA,
    SpeakerA,
    MicB,
    SpeakerB,
}

const CHANNEL_MAP: &str = "front-left,front-right,rear-left,rear-right";

/// The running server. Dropping it ends it.
pub struct Pulse {
    folder: PathBuf,
    server: Child,
}

impl Pulse {
    /// Starts a server whose files live in `folder`. `Err`: why this machine cannot.
    pub fn start(folder: &Path) -> Result<Self, String> {
        if let Some(program) = missing_program(&["pulseaudio", "pactl", "paplay", "parec", "setpriv"]) {
            return Err(format!("{program} is not installed"));
        }
        for part in ["runtime/pulse", "state", "home"] {
            fs::create_dir_all(folder.join(part)).map_err(|why| why.to_string())?;
        }
        let socket = folder.join("runtime/pulse/native");
        fs::write(folder.join("lab.pa"), modules(&socket)).map_err(|why| why.to_string())?;
        fs::write(folder.join("alsa.conf"), ALSA_OVER_PULSE).map_err(|why| why.to_string())?;
        let log = fs::File::create(folder.join("log")).map_err(|why| why.to_string())?;
        let server = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--", "pulseaudio", "-n", "-F"])
            .arg(folder.join("lab.pa"))
            .args(["--daemonize=no", "--exit-idle-time=-1", "--disallow-exit", "--use-pid-file=no", "--realtime=no"])
            .args(["--high-priority=no", "--log-target=stderr"])
            .envs(variables(folder))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|why| why.to_string())?;
        let pulse = Self { folder: folder.to_owned(), server };
        pulse.wait_until_ready()?;
        pulse.ask_for_real_time();
        Ok(pulse)
    }

    /// What points a program at this server and at nothing else.
    pub fn environment(&self) -> Vec<(String, String)> {
        variables(&self.folder)
    }

    /// Plays a WAV into a microphone's feeding sink until its end or until the child is dropped by the caller.
    pub fn play(&self, wav: &Path, sink: &str) -> Child {
        self.command("paplay").arg(format!("--device={sink}")).arg(wav).spawn().expect("paplay was found")
    }

    /// Records all four channels until [`Recording::stop`].
    pub fn record(&self, into: &Path) -> Recording {
        let child = self
            .command("parec")
            .args(["--device=lab.monitor", "--rate=48000", "--format=s16le", "--channels=4", "--latency-msec=50"])
            .arg(format!("--channel-map={CHANNEL_MAP}"))
            .arg("--file-format=wav")
            .arg(into)
            .spawn()
            .expect("parec was found");
        Recording { child, file: into.to_owned() }
    }

    /// What speaker A plays is heard by microphone A, some 30 ms later.
    pub fn let_speaker_a_be_heard_by_microphone_a(&self) {
        let echo = ["load-module", "module-loopback", "source=spkA.monitor", "sink=to_micA", "latency_msec=30"];
        let loaded = self.command("pactl").args(echo).status();
        assert!(loaded.expect("pactl was found").success());
    }

    /// Takes the device away that was made with `sink_name=` or `source_name=` and this name.
    pub fn unplug(&self, name: &str) {
        let listed = self.command("pactl").args(["list", "short", "modules"]).stdout(Stdio::piped()).output();
        let modules = listed.expect("pactl was found").stdout;
        let modules = String::from_utf8_lossy(&modules).into_owned();
        let module =
            modules.lines().find(|line| line.contains(&format!("_name={name} "))).expect("the device is there");
        let number = module.split('\t').next().expect("a number");
        let unloaded = self.command("pactl").args(["unload-module", number]).status();
        assert!(unloaded.expect("pactl was found").success(), "{module}");
    }

    /// Processor time of the server itself.
    pub fn pid(&self) -> u32 {
        self.server.id()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(variables(&self.folder)).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn wait_until_ready(&self) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            let listed = self.command("pactl").args(["list", "short", "sources"]).stdout(Stdio::piped()).output();
            if listed.is_ok_and(|listed| String::from_utf8_lossy(&listed.stdout).contains("micB")) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        Err(format!("pulseaudio does not start: {}", log.lines().last().unwrap_or("it says nothing")))
    }

    /// Keeps the virtual clock steady on a busy machine; where it is not allowed, the clock is what it is.
    fn ask_for_real_time(&self) {
        let _ = Command::new("chrt")
            .args(["-a", "-f", "-p", "20", &self.server.id().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        end(&mut self.server, Signal::TERM);
    }
}

/// A running recording.
pub struct Recording {
    child: Child,
    file: PathBuf,
}

impl Recording {
    /// Ends it; the file is complete afterwards.
    pub fn stop(mut self) -> PathBuf {
        end(&mut self.child, Signal::INT);
        std::mem::take(&mut self.file)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        end(&mut self.child, Signal::INT);
    }
}

fn end(child: &mut Child, signal: Signal) {
    if let (Ok(None), Some(pid)) = (child.try_wait(), Pid::from_raw(child.id() as i32)) {
        let _ = kill_process(pid, signal);
        let deadline = Instant::now() + Duration::from_secs(3);
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
    }
    let _ = child.wait();
}

fn variables(folder: &Path) -> Vec<(String, String)> {
    let path = |part: &str| folder.join(part).display().to_string();
    vec![
        ("XDG_RUNTIME_DIR".to_owned(), path("runtime")),
        ("PULSE_RUNTIME_PATH".to_owned(), path("runtime/pulse")),
        ("PULSE_STATE_PATH".to_owned(), path("state")),
        ("PULSE_SERVER".to_owned(), format!("unix:{}", path("runtime/pulse/native"))),
        ("PULSE_COOKIE".to_owned(), path("state/cookie")),
        ("ALSA_CONFIG_PATH".to_owned(), path("alsa.conf")),
    ]
}

/// ALSA's own configuration with its default device turned to the PulseAudio server.
const ALSA_OVER_PULSE: &str = "</usr/share/alsa/alsa.conf>\npcm.!default { type pulse }\nctl.!default { type pulse }\n";

fn modules(socket: &Path) -> String {
    let microphone = |letter: char, channel: &str| {
        format!(
            "load-module module-remap-sink sink_name=to_mic{letter} master=lab channels=1 channel_map=mono \
             master_channel_map={channel} remix=no\n\
             load-module module-remap-source source_name=mic{letter} master=lab.monitor channels=1 channel_map=mono \
             master_channel_map={channel} remix=no source_properties=device.description=VirtualMic{letter}\n"
        )
    };
    let speaker = |letter: char, channel: &str| {
        format!(
            "load-module module-remap-sink sink_name=spk{letter} master=lab channels=1 channel_map=mono \
             master_channel_map={channel} remix=no sink_properties=device.description=VirtualSpeaker{letter}\n"
        )
    };
    [
        format!("load-module module-native-protocol-unix socket={} auth-anonymous=1\n", socket.display()),
        format!(
            "load-module module-null-sink sink_name=lab rate=48000 channels=4 channel_map={CHANNEL_MAP} \
             format=float32le norewinds=1\n"
        ),
        microphone('A', "front-left"),
        speaker('A', "front-right"),
        microphone('B', "rear-left"),
        speaker('B', "rear-right"),
        "set-default-sink spkA\nset-default-source micA\n".to_owned(),
    ]
    .concat()
}
