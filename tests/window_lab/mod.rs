//! A desktop that nobody sees, with windows of the client in it, used the way somebody does who cannot see them either:
//! what is there is read from the accessibility bus (AT-SPI), where every widget has a name and a role, and pressed there.
//! Keys go to the window in front, as from a keyboard.
//!
//! The screen (Xvfb), the window manager and both buses belong to one test alone and end with it.

#![allow(dead_code, reason = "every test binary compiles all of this and uses its part")]

mod assistive;
mod window;

use std::cell::Cell;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::common::skip::missing_program;
use assistive::Assistive;

pub use window::Window;

/// Two windows of the client fit side by side, the second one so far to the right.
const SCREEN: &str = "2280x780x24";
const WINDOW_STEP: u32 = 1140;
const START_UP: Duration = Duration::from_secs(10);
/// Where distributions keep it.
const LAUNCHERS: [&str; 3] = [
    "/usr/libexec/at-spi-bus-launcher",
    "/usr/lib/at-spi2-core/at-spi-bus-launcher",
    "/usr/lib/at-spi2/at-spi-bus-launcher",
];

/// The running desktop. Dropping it ends everything in it.
pub struct Desktop {
    folder: PathBuf,
    display: String,
    assistive: Assistive,
    /// How many windows were opened here.
    windows: Cell<u32>,
    /// In the order in which they are ended.
    _programs: Vec<Program>,
}

impl Desktop {
    /// Starts a desktop whose files live in `folder`. `Err`: why this machine cannot.
    pub fn start(folder: &Path) -> Result<Self, String> {
        let needed = ["Xvfb", "openbox", "dbus-daemon", "xdotool", "import", "setpriv"];
        if let Some(program) = missing_program(&needed) {
            return Err(format!("{program} is not installed"));
        }
        let launcher = LAUNCHERS.iter().find(|path| Path::new(path).exists());
        let launcher = launcher.ok_or("at-spi2-core is not installed")?;
        for part in ["runtime", "home"] {
            fs::create_dir_all(folder.join(part)).map_err(|why| why.to_string())?;
        }
        let socket = folder.join("bus");
        fs::write(folder.join("bus.conf"), bus_configuration(&socket)).map_err(|why| why.to_string())?;

        let (screen, display) = start_screen()?;
        let start = |program: &str, arguments: &[&str]| {
            Program::start(program, arguments, &variables(folder, &display), Stdio::null())
        };
        let configuration = format!("--config-file={}", folder.join("bus.conf").display());
        let bus = start("dbus-daemon", &[&configuration, "--nofork", "--nopidfile"])?;
        let manager = start("openbox", &[])?;
        until("the session bus listens", || socket.exists().then_some(()))?;
        let accessibility = start(launcher, &["--launch-immediately"])?;
        let session = format!("unix:path={}", socket.display());
        let assistive = until("the accessibility bus listens", || Assistive::connect(&session).ok())?;
        let programs = vec![accessibility, manager, bus, screen];
        Ok(Self { folder: folder.to_owned(), display, assistive, windows: Cell::new(0), _programs: programs })
    }

    /// What a program needs to appear on this desktop and on no other.
    pub fn environment(&self) -> Vec<(String, String)> {
        variables(&self.folder, &self.display)
    }

    /// Keeps what is on the screen as `target/screens/NAME.png`, for people to look at.
    pub fn screenshot(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screens");
        fs::create_dir_all(&folder).expect("the target folder can be written");
        let file = folder.join(name).with_extension("png");
        let taken = self.command("import").args(["-window", "root"]).arg(&file).status();
        if !taken.is_ok_and(|status| status.success()) {
            eprintln!("there is no picture {}", file.display());
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(self.environment()).stdin(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// A program that is killed when this is dropped or when the test dies.
struct Program(Child);

impl Program {
    fn start(program: &str, arguments: &[&str], variables: &[(String, String)], out: Stdio) -> Result<Self, String> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]).args(arguments);
        command.envs(variables.iter().map(|(key, value)| (key, value))).env_remove("WAYLAND_DISPLAY");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(Stdio::null()).spawn();
        child.map(Self).map_err(|why| format!("{program}: {why}"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The screen, and its name; the server finds a free one by itself and tells it.
fn start_screen() -> Result<(Program, String), String> {
    let arguments = ["-displayfd", "1", "-screen", "0", SCREEN, "-nolisten", "tcp"];
    let mut screen = Program::start("Xvfb", &arguments, &[], Stdio::piped())?;
    let mut number = String::new();
    let out = screen.0.stdout.take().ok_or("Xvfb has no stdout")?;
    BufReader::new(out).read_line(&mut number).map_err(|why| why.to_string())?;
    match number.trim() {
        "" => Err("Xvfb does not start".to_owned()),
        number => Ok((screen, format!(":{number}"))),
    }
}

/// No service is started by asking for it: what the machine has installed stays out of the tests.
fn bus_configuration(socket: &Path) -> String {
    let socket = socket.display();
    format!(
        "<busconfig><type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>\
         <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>\
         <allow own=\"*\"/></policy></busconfig>\n"
    )
}

fn variables(folder: &Path, display: &str) -> Vec<(String, String)> {
    let path = |part: &str| folder.join(part).display().to_string();
    vec![
        ("DISPLAY".to_owned(), display.to_owned()),
        ("WAYLAND_DISPLAY".to_owned(), String::new()),
        ("XDG_RUNTIME_DIR".to_owned(), path("runtime")),
        ("HOME".to_owned(), path("home")),
        ("DBUS_SESSION_BUS_ADDRESS".to_owned(), format!("unix:path={}", path("bus"))),
        // Settings that a desktop would keep for the user are forgotten.
        ("GSETTINGS_BACKEND".to_owned(), "memory".to_owned()),
        ("LIBGL_ALWAYS_SOFTWARE".to_owned(), "1".to_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
    ]
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let end = Instant::now() + START_UP;
    loop {
        match look() {
            Some(found) => return Ok(found),
            None if Instant::now() >= end => return Err(format!("in vain waited until {what}")),
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
