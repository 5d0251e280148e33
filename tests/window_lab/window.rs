//! A window of the client, and the person in front of it. Whatever is awaited has a deadline; when it passes, the test
//! fails with everything that was in the window, and a picture.

use std::time::{Duration, Instant};

use atspi::Role;

use super::assistive::Widget;
use super::{Desktop, WINDOW_STEP};
use crate::common::process::{Launch, Process};

/// For the window to show what it was made to do; drawing is done in software here.
const PATIENCE: Duration = Duration::from_secs(20);
const GLANCE: Duration = Duration::from_millis(50);
/// No section has so many controls.
const MOST_TABS: usize = 60;

pub struct Window<'a> {
    desktop: &'a Desktop,
    pub process: Process,
    /// Of the window, as the X server names it.
    id: String,
}

impl<'a> Window<'a> {
    /// Starts the client (`launch` has no verb) and returns when its window shows something.
    pub fn open(desktop: &'a Desktop, launch: Launch) -> Self {
        let process = launch.start();
        let mut window = Self { desktop, process, id: String::new() };
        window.id = window.wait_for("a window", |_| window.find_id());
        let at = desktop.windows.replace(desktop.windows.get() + 1) * WINDOW_STEP;
        window.xdotool(&["windowmove", &window.id, &at.to_string(), "0"]);
        window.wait_for("anything to press", |widgets| widgets.iter().any(Widget::is_control).then_some(()));
        window
    }

    /// Waits until the client is under way, and leaves the first steps out if a new profile begins with them.
    pub fn past_first_run(&self) {
        let is_skip = |widget: &Widget| widget.is_control() && widget.name == "Skip";
        let skip = self.wait_for("the link or the first steps", |widgets| {
            let skip = widgets.iter().find(|widget| is_skip(widget)).cloned();
            let under_way = widgets.iter().any(|widget| widget.name == "Copy link");
            (skip.is_some() || under_way).then_some(skip)
        });
        if let Some(skip) = skip {
            self.desktop.assistive.press(&skip);
            self.wait_for("the first steps to go", |widgets| (!widgets.iter().any(is_skip)).then_some(()));
        }
    }

    /// Presses the one control of this name, as soon as it can be.
    pub fn press(&self, name: &str) {
        self.wait_for(&format!("one control {name:?} to press"), |widgets| {
            let control = only(widgets, |widget| widget.is_control() && widget.name == name)?;
            (control.is_enabled() && self.desktop.assistive.press(control)).then_some(())
        });
    }

    /// Puts the cursor into the one field of this name.
    pub fn enter(&self, name: &str) {
        self.bring_to_front();
        let is_it = |widget: &Widget| widget.is_field() && widget.name == name;
        self.wait_for(&format!("the focus in one field {name:?}"), |widgets| {
            let field = only(widgets, is_it)?;
            if !field.has_focus() {
                self.desktop.assistive.focus(field);
            }
            field.has_focus().then_some(())
        });
    }

    /// Pastes what was copied anywhere on this desktop into a field.
    pub fn paste_into(&self, name: &str) {
        self.enter(name);
        self.keys("ctrl+v");
    }

    /// Types over what a field holds.
    pub fn write_into(&self, name: &str, text: &str) {
        self.enter(name);
        self.keys("ctrl+a");
        self.type_text(text);
    }

    /// A combination of keys as xdotool names them, pressed in this window.
    pub fn keys(&self, combination: &str) {
        self.bring_to_front();
        self.xdotool(&["key", "--clearmodifiers", combination]);
    }

    /// Types with the keyboard into whatever has the focus.
    pub fn type_text(&self, text: &str) {
        self.bring_to_front();
        self.xdotool(&["type", "--clearmodifiers", "--delay", "30", text]);
    }

    /// Goes from control to control by the Tab key until it is at the one of this name; all names on the way.
    pub fn tab_to(&self, name: &str) -> Vec<String> {
        let mut way: Vec<String> = Vec::new();
        let mut at = self.focused();
        while way.len() < MOST_TABS && at.as_ref().is_none_or(|widget| widget.name != name) {
            self.keys("Tab");
            at = Some(self.wait_for("the focus on another control", |_| {
                let now = self.focused()?;
                at.as_ref().is_none_or(|before| !before.is_same_as(&now)).then_some(now)
            }));
            way.extend(at.as_ref().map(|widget| widget.name.clone()));
        }
        assert!(at.is_some_and(|widget| widget.name == name), "Tab does not lead to {name:?}, but to {way:?}");
        way
    }

    /// Waits until something reads so, in whole or in part.
    pub fn sees(&self, text: &str) -> String {
        self.wait_for(&format!("{text:?} to be read"), |widgets| {
            widgets.iter().find(|widget| widget.name.contains(text)).map(|widget| widget.name.clone())
        })
    }

    /// Waits until nothing reads so any more.
    pub fn misses(&self, text: &str) {
        self.wait_for(&format!("{text:?} to go"), |widgets| {
            // A window without anything in it tells nothing.
            let there = widgets.iter().any(|widget| widget.name.contains(text));
            (!widgets.is_empty() && !there).then_some(())
        });
    }

    /// Waits until the field of this name has the focus.
    pub fn has_focus_in(&self, name: &str) {
        self.wait_for(&format!("the focus in {name:?}"), |widgets| {
            widgets.iter().any(|widget| widget.is_field() && widget.has_focus() && widget.name == name).then_some(())
        });
    }

    /// The line that follows their heading.
    pub fn safety_words(&self) -> String {
        self.wait_for("safety words", |widgets| {
            let heading = widgets.iter().position(|widget| widget.name.starts_with("Safety words"))?;
            widgets.get(heading + 1).map(|widget| widget.name.clone())
        })
    }

    /// Waits until there is a control of this name.
    pub fn offers(&self, name: &str) {
        self.wait_for(&format!("a control {name:?}"), |widgets| {
            widgets.iter().any(|widget| widget.is_control() && widget.name == name).then_some(())
        });
    }

    /// Windows and controls that a screen reader can only call by their kind, each with what is read before it.
    pub fn nameless(&self) -> Vec<String> {
        let widgets = self.widgets();
        let nameless = |at: usize| {
            let before = widgets[..at].iter().rev().find(|widget| !widget.name.is_empty());
            format!("{} after {:?}", widgets[at].role, before.map(|widget| &widget.name))
        };
        let is_nameless = |at: &usize| {
            let widget = &widgets[*at];
            (widget.is_control() || widget.role == Role::Frame) && widget.name.trim().is_empty()
        };
        (0..widgets.len()).filter(is_nameless).map(nameless).collect()
    }

    /// Names of all controls, in reading order.
    pub fn controls(&self) -> Vec<String> {
        self.widgets().into_iter().filter(Widget::is_control).map(|widget| widget.name).collect()
    }

    /// Ends the client as Ctrl-C does.
    pub fn close(mut self) {
        assert_eq!(self.process.finish(), Some(0), "{} ends properly", self.process.name);
    }

    /// Everything in the window, one line each.
    pub fn everything(&self) -> String {
        self.widgets().iter().map(|widget| format!("{widget}\n")).collect()
    }

    fn focused(&self) -> Option<Widget> {
        self.widgets().into_iter().find(|widget| widget.is_control() && widget.has_focus())
    }

    fn widgets(&self) -> Vec<Widget> {
        self.desktop.assistive.widgets(self.process.pid())
    }

    fn wait_for<T>(&self, what: &str, look: impl Fn(&[Widget]) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(&self.widgets()) {
                return found;
            }
            let name = &self.process.name;
            assert!(Instant::now() < end, "{name} in vain waits for {what}; there is\n{}", self.everything());
            std::thread::sleep(GLANCE);
        }
    }

    fn find_id(&self) -> Option<String> {
        let pid = self.process.pid().to_string();
        let found = self.desktop.command("xdotool").args(["search", "--onlyvisible", "--pid", &pid]).output().ok()?;
        Some(String::from_utf8_lossy(&found.stdout).lines().next()?.to_owned())
    }

    fn bring_to_front(&self) {
        self.xdotool(&["windowactivate", "--sync", &self.id]);
    }

    fn xdotool(&self, arguments: &[&str]) {
        let done = self.desktop.command("xdotool").args(arguments).status();
        assert!(done.is_ok_and(|status| status.success()), "xdotool {arguments:?} fails");
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.desktop.screenshot(&format!("failure-{}", self.process.name));
        }
    }
}

/// The one widget that is meant; none while there are several.
fn only(widgets: &[Widget], is_meant: impl Fn(&Widget) -> bool) -> Option<&Widget> {
    let mut meant = widgets.iter().filter(|widget| is_meant(widget));
    let first = meant.next()?;
    meant.next().is_none().then_some(first)
}
