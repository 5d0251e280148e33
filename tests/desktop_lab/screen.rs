//! A screen that nobody sees, its window manager, and a look at the windows on it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ClientMessageEvent, ConfigureWindowAux,
    ConnectionExt as _, CreateWindowAux, EventMask, GrabMode, ImageFormat, KEY_PRESS_EVENT, KEY_RELEASE_EVENT,
    MOTION_NOTIFY_EVENT, MapState, ModMask, Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use super::{Server, until};
use crate::common::process::Process;

pub struct Screen {
    pub display: String,
    connection: RustConnection,
    root: Window,
    _manager: Server,
    _server: Server,
}

/// A window of the client under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XWindow(Window);

impl Screen {
    /// 1600 × 1000 pixels, with a window manager.
    pub fn start(folder: &Path) -> Result<Self, String> {
        let mut server = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "Xvfb", "-displayfd", "1", "-screen", "0", "1600x1000x24"])
            .args(["-nolisten", "tcp", "-noreset"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("Xvfb.log")).map_err(|why| why.to_string())?)
            .spawn()
            .map_err(|why| why.to_string())?;
        let stdout = server.stdout.take().ok_or("stdout is piped")?;
        let server = Server(server);
        let mut number = String::new();
        BufReader::new(stdout).read_line(&mut number).map_err(|why| why.to_string())?;
        let display = format!(":{}", number.trim());
        let (connection, _) = x11rb::connect(Some(&display)).map_err(|why| format!("Xvfb does not start: {why}"))?;
        let root = connection.setup().roots[0].root;
        let manager = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "openbox", "--sm-disable"])
            .env("DISPLAY", &display)
            .env("HOME", folder)
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("openbox.log")).map_err(|why| why.to_string())?)
            .spawn()
            .map_err(|why| why.to_string())?;
        let screen = Self { display, connection, root, _manager: Server(manager), _server: server };
        until("the window manager runs", || screen.words(root, "_NET_SUPPORTING_WM_CHECK").first().copied());
        Ok(screen)
    }

    /// Waits until the client shows its window.
    pub fn window_of(&self, client: &mut Process) -> XWindow {
        let pid = client.pid();
        until("the window is there", || {
            assert!(client.is_running(), "the client has ended: {}", client.last_words());
            let windows = self.words(self.root, "_NET_CLIENT_LIST");
            windows.into_iter().find(|window| self.words(*window, "_NET_WM_PID").first() == Some(&pid)).map(XWindow)
        })
    }

    /// Something else to work in, which has the focus when this returns.
    pub fn work_elsewhere(&self) {
        let window = self.connection.generate_id().expect("an id");
        let aux = CreateWindowAux::new().background_pixel(0x0030_3030);
        let class = WindowClass::INPUT_OUTPUT;
        self.connection.create_window(0, window, self.root, 0, 0, 300, 200, 0, class, 0, &aux).expect("a window");
        self.connection
            .change_property8(
                x11rb::protocol::xproto::PropMode::REPLACE,
                window,
                AtomEnum::WM_NAME,
                AtomEnum::STRING,
                b"elsewhere",
            )
            .expect("a title");
        self.connection.map_window(window).expect("it is shown");
        self.connection.flush().expect("the screen is there");
        until("the other window is managed", || {
            self.words(self.root, "_NET_CLIENT_LIST").contains(&window).then_some(())
        });
        self.ask(window, "_NET_ACTIVE_WINDOW", [2, 0, 0, 0, 0]);
        until("the other window has the focus", || (self.active() == window).then_some(()));
    }

    pub fn is_focused(&self, window: XWindow) -> bool {
        self.active() == window.0
    }

    /// Mapped and not minimised.
    pub fn is_shown(&self, window: XWindow) -> bool {
        let attributes = self.connection.get_window_attributes(window.0).ok().and_then(|cookie| cookie.reply().ok());
        attributes.is_some_and(|attributes| attributes.map_state == MapState::VIEWABLE)
            && !self.has_state(window, "_NET_WM_STATE_HIDDEN")
    }

    /// Above all others, whatever has the focus.
    pub fn is_above(&self, window: XWindow) -> bool {
        self.has_state(window, "_NET_WM_STATE_ABOVE")
    }

    pub fn minimize(&self, window: XWindow) {
        self.ask(window.0, "WM_CHANGE_STATE", [3, 0, 0, 0, 0]);
        until("the window is minimised", || self.has_state(window, "_NET_WM_STATE_HIDDEN").then_some(()));
    }

    /// As a click on its cross does.
    pub fn close(&self, window: XWindow) {
        self.ask(window.0, "_NET_CLOSE_WINDOW", [0, 2, 0, 0, 0]);
    }

    pub fn move_and_resize(&self, window: XWindow, (x, y): (i32, i32), (width, height): (u32, u32)) {
        let aux = ConfigureWindowAux::new().x(x).y(y).width(width).height(height);
        self.connection.configure_window(window.0, &aux).expect("the screen is there");
        self.connection.flush().expect("the screen is there");
        until("the window has its new size", || {
            let (_, size) = self.geometry(window);
            (size == (width, height)).then_some(())
        });
    }

    /// Where its content is, and how large.
    pub fn geometry(&self, window: XWindow) -> ((i32, i32), (u32, u32)) {
        let geometry = self.connection.get_geometry(window.0).expect("asked").reply().expect("the window is there");
        let place = self.connection.translate_coordinates(window.0, self.root, 0, 0).expect("asked");
        let place = place.reply().expect("the window is there");
        let at = (i32::from(place.dst_x), i32::from(place.dst_y));
        (at, (u32::from(geometry.width), u32::from(geometry.height)))
    }

    /// What is to be seen of a window in a rectangle of its content, four bytes for each pixel.
    pub fn picture(&self, window: XWindow, (x, y): (i16, i16), (width, height): (u16, u16)) -> Vec<u8> {
        let all = u32::MAX;
        let asked = self.connection.get_image(ImageFormat::Z_PIXMAP, window.0, x, y, width, height, all);
        asked.expect("asked").reply().expect("the window is in sight").data
    }

    /// Moves the pointer to a place in a window's content.
    pub fn point_at(&self, window: XWindow, (x, y): (i32, i32)) {
        let ((left, top), _) = self.geometry(window);
        let (x, y) = ((left + x) as i16, (top + y) as i16);
        let asked = self.connection.xtest_fake_input(MOTION_NOTIFY_EVENT, 0, 0, self.root, x, y, 0);
        asked.expect("asked").check().expect("XTEST");
    }

    /// Turns the mouse's wheel by one step.
    pub fn scroll(&self, down: bool) {
        let button = if down { 5 } else { 4 };
        for kind in [BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT] {
            let asked = self.connection.xtest_fake_input(kind, button, 0, self.root, 0, 0, 0);
            asked.expect("asked").check().expect("XTEST");
        }
    }

    /// Presses and releases keys together, in this order and in the opposite one.
    pub fn press(&self, keysyms: &[u32]) {
        keysyms.iter().for_each(|keysym| self.key(*keysym, true));
        keysyms.iter().rev().for_each(|keysym| self.key(*keysym, false));
    }

    /// A key of the keyboard goes down or up.
    pub fn key(&self, keysym: u32, down: bool) {
        let kind = if down { KEY_PRESS_EVENT } else { KEY_RELEASE_EVENT };
        let code = self.code(keysym);
        self.connection.xtest_fake_input(kind, code, 0, self.root, 0, 0, 0).expect("asked").check().expect("XTEST");
    }

    /// Takes a key from everybody, as another program would.
    pub fn take_key(&self, keysym: u32) {
        let (code, mode) = (self.code(keysym), GrabMode::ASYNC);
        let grab = self.connection.grab_key(false, self.root, ModMask::ANY, code, mode, mode).expect("asked");
        grab.check().expect("nobody has it");
    }

    fn code(&self, keysym: u32) -> u8 {
        let setup = self.connection.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let keyboard = self.connection.get_keyboard_mapping(first, last - first + 1).expect("asked").reply();
        let keyboard = keyboard.expect("there is a keyboard");
        let keys = keyboard.keysyms.chunks(usize::from(keyboard.keysyms_per_keycode));
        keys.zip(first..=last).find(|(keysyms, _)| keysyms[0] == keysym).expect("the keyboard has this key").1
    }

    fn active(&self) -> Window {
        self.words(self.root, "_NET_ACTIVE_WINDOW").first().copied().unwrap_or(0)
    }

    fn has_state(&self, window: XWindow, state: &str) -> bool {
        self.words(window.0, "_NET_WM_STATE").contains(&self.atom(state))
    }

    /// Has the window manager do it.
    fn ask(&self, window: Window, what: &str, data: [u32; 5]) {
        let message = ClientMessageEvent::new(32, window, self.atom(what), data);
        let mask = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_REDIRECT;
        self.connection.send_event(false, self.root, mask, message).expect("the screen is there");
        self.connection.flush().expect("the screen is there");
    }

    /// Of a property; none if it is not there.
    fn words(&self, window: Window, property: &str) -> Vec<u32> {
        let asked = self.connection.get_property(false, window, self.atom(property), AtomEnum::ANY, 0, 1024);
        let reply = asked.ok().and_then(|cookie| cookie.reply().ok());
        reply.and_then(|reply| reply.value32().map(Iterator::collect)).unwrap_or_default()
    }

    fn atom(&self, name: &str) -> Atom {
        let asked = self.connection.intern_atom(false, name.as_bytes()).expect("the screen is there");
        asked.reply().expect("the screen is there").atom
    }
}
