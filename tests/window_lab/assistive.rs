//! What a screen reader has of a window: the tree of its widgets, over D-Bus.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use atspi::{Role, State, StateSet};
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};
use zbus::Connection;
use zbus::connection;
use zbus::zvariant::{DynamicType, OwnedObjectPath, OwnedValue, Type, Value};

const ACCESSIBLE: &str = "org.a11y.atspi.Accessible";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// A window that does not answer so long hangs.
const ANSWER: Duration = Duration::from_secs(10);
/// No tree of ours is so large or so deep.
const MOST_WIDGETS: usize = 5000;

/// An object of the accessibility bus: whose, and which.
type Address = (String, OwnedObjectPath);

pub struct Assistive {
    runtime: Runtime,
    bus: Connection,
}

/// A widget as it was when it was read.
#[derive(Debug, Clone)]
pub struct Widget {
    pub name: String,
    pub role: Role,
    states: StateSet,
    depth: usize,
    address: Address,
}

impl Widget {
    /// Somebody can do something with it.
    pub fn is_control(&self) -> bool {
        match self.role {
            Role::Button
            | Role::ToggleButton
            | Role::CheckBox
            | Role::RadioButton
            | Role::ComboBox
            | Role::Entry
            | Role::PasswordText
            | Role::Slider
            | Role::SpinButton
            | Role::Link
            | Role::MenuItem => true,
            _ => self.states.contains(State::Focusable) && self.role != Role::Frame,
        }
    }

    pub fn is_field(&self) -> bool {
        matches!(self.role, Role::Entry | Role::PasswordText)
    }

    pub fn is_enabled(&self) -> bool {
        self.states.contains(State::Enabled)
    }

    pub fn has_focus(&self) -> bool {
        self.states.contains(State::Focused)
    }

    /// Whatever became of it since.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl fmt::Display for Widget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = "  ".repeat(self.depth);
        let focus = if self.has_focus() { ", in focus" } else { "" };
        let state = if self.is_enabled() { "" } else { ", disabled" };
        write!(f, "{indent}{} {:?}{focus}{state}", self.role, self.name)
    }
}

impl Assistive {
    /// Finds the accessibility bus by the session's, and tells all programs that a screen reader listens there: some are
    /// silent before.
    pub fn connect(session_bus: &str) -> zbus::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        let bus = runtime.block_on(async {
            let session = connection::Builder::address(session_bus)?.method_timeout(ANSWER).build().await?;
            let (name, path) = (Some("org.a11y.Bus"), "/org/a11y/bus");
            for property in ["IsEnabled", "ScreenReaderEnabled"] {
                let body = ("org.a11y.Status", property, Value::from(true));
                session.call_method(name, path, Some(PROPERTIES), "Set", &body).await?;
            }
            let reply = session.call_method(name, path, Some("org.a11y.Bus"), "GetAddress", &()).await?;
            let address: String = reply.body().deserialize()?;
            connection::Builder::address(address.as_str())?.method_timeout(ANSWER).build().await
        })?;
        Ok(Self { runtime, bus })
    }

    /// Everything in the windows of a process, in the order in which it is read aloud; nothing while it has none.
    pub fn widgets(&self, pid: u32) -> Vec<Widget> {
        self.wait(async {
            let Some(application) = self.application(pid).await else { return Vec::new() };
            let mut widgets = Vec::new();
            let mut seen = HashSet::new();
            let mut left = vec![(application, 0)];
            while let Some((address, depth)) = left.pop() {
                if widgets.len() >= MOST_WIDGETS || !seen.insert(address.clone()) {
                    continue;
                }
                // What went away since its parent was read is not there.
                let Ok(children) = self.children(&address).await else { continue };
                left.extend(children.into_iter().rev().map(|child| (child, depth + 1)));
                widgets.extend(self.widget(address, depth).await);
            }
            widgets
        })
    }

    /// What a click does; false: the widget went away or takes none.
    pub fn press(&self, widget: &Widget) -> bool {
        let done = self.wait(self.ask(&widget.address, "org.a11y.atspi.Action", "DoAction", &(0_i32,)));
        done.unwrap_or(false)
    }

    pub fn focus(&self, widget: &Widget) -> bool {
        let done = self.wait(self.ask(&widget.address, "org.a11y.atspi.Component", "GrabFocus", &()));
        done.unwrap_or(false)
    }

    async fn application(&self, pid: u32) -> Option<Address> {
        let registry = ("org.a11y.atspi.Registry".to_owned(), root());
        for application in self.children(&registry).await.ok()? {
            let bus = ("org.freedesktop.DBus".to_owned(), root());
            let owner = self.ask(&bus, "org.freedesktop.DBus", "GetConnectionUnixProcessID", &(&application.0,)).await;
            if owner.is_ok_and(|owner: u32| owner == pid) {
                return Some(application);
            }
        }
        None
    }

    async fn widget(&self, address: Address, depth: usize) -> Option<Widget> {
        let name: OwnedValue = self.ask(&address, PROPERTIES, "Get", &(ACCESSIBLE, "Name")).await.ok()?;
        let name = String::try_from(name).ok()?;
        let role: u32 = self.ask(&address, ACCESSIBLE, "GetRole", &()).await.ok()?;
        let states = self.ask(&address, ACCESSIBLE, "GetState", &()).await.ok()?;
        Some(Widget { name, role: Role::try_from(role).ok()?, states, depth, address })
    }

    async fn children(&self, of: &Address) -> zbus::Result<Vec<Address>> {
        self.ask(of, ACCESSIBLE, "GetChildren", &()).await
    }

    async fn ask<Body, Answer>(
        &self,
        (owner, path): &Address,
        interface: &str,
        method: &str,
        body: &Body,
    ) -> zbus::Result<Answer>
    where
        Body: serde::Serialize + DynamicType,
        Answer: DeserializeOwned + Type,
    {
        let reply = self.bus.call_method(Some(owner.as_str()), path, Some(interface), method, body).await?;
        reply.body().deserialize()
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

fn root() -> OwnedObjectPath {
    OwnedObjectPath::try_from("/org/a11y/atspi/accessible/root").expect("a path")
}
