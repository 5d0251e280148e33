//! A notification server that shows nothing and remembers everything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zbus::blocking::{Connection, connection};
use zbus::zvariant::OwnedValue;

use super::until;

const PATH: &str = "/org/freedesktop/Notifications";
const NAME: &str = "org.freedesktop.Notifications";

pub struct Notifications {
    bus: Connection,
    shown: Arc<Mutex<Vec<Notification>>>,
}

#[derive(Debug, Clone)]
pub struct Notification {
    pub id: u32,
    pub summary: String,
    pub body: String,
    /// Key, label, key, label, …
    pub actions: Vec<String>,
    pub category: String,
    pub closed: bool,
}

impl Notification {
    /// The labels of its actions.
    pub fn labels(&self) -> Vec<&str> {
        self.actions.iter().skip(1).step_by(2).map(String::as_str).collect()
    }
}

impl Notifications {
    pub fn start(bus: &str) -> Self {
        let shown = Arc::<Mutex<Vec<Notification>>>::default();
        let server = Server { shown: shown.clone() };
        let bus = connection::Builder::address(bus)
            .and_then(|builder| builder.serve_at(PATH, server))
            .and_then(|builder| builder.name(NAME))
            .and_then(connection::Builder::build)
            .expect("the bus takes us");
        Self { bus, shown }
    }

    /// Waits for the notification number `n` (from 0) of this category.
    pub fn wait(&self, category: &str, n: usize) -> Notification {
        until(&format!("notification {n} of {category} is shown"), || {
            self.shown().iter().filter(|shown| shown.category == category).nth(n).cloned()
        })
    }

    pub fn count(&self, category: &str) -> usize {
        self.shown().iter().filter(|shown| shown.category == category).count()
    }

    pub fn wait_closed(&self, id: u32) {
        until("the notification is taken back", || {
            self.shown().iter().find(|shown| shown.id == id).filter(|shown| shown.closed).map(drop)
        });
    }

    /// As a click on the button does.
    pub fn activate(&self, id: u32, action: &str) {
        let signal = self.bus.emit_signal(None::<()>, PATH, NAME, "ActionInvoked", &(id, action));
        signal.expect("the bus takes signals");
    }

    fn shown(&self) -> MutexGuard<'_, Vec<Notification>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Server {
    shown: Arc<Mutex<Vec<Notification>>>,
}

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Server {
    fn get_capabilities(&self) -> Vec<String> {
        ["actions", "body", "body-markup"].map(str::to_owned).to_vec()
    }

    fn get_server_information(&self) -> (String, String, String, String) {
        ("test".into(), "twocans".into(), "1".into(), "1.2".into())
    }

    #[allow(clippy::too_many_arguments, reason = "the specification's")]
    fn notify(
        &self,
        _app_name: String,
        _replaces_id: u32,
        _app_icon: String,
        summary: String,
        body: String,
        actions: Vec<String>,
        hints: HashMap<String, OwnedValue>,
        _expire_timeout: i32,
    ) -> u32 {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let id = shown.len() as u32 + 1;
        let category = hints.get("category").and_then(|value| <&str>::try_from(value).ok()).unwrap_or_default().into();
        shown.push(Notification { id, summary, body, actions, category, closed: false });
        id
    }

    fn close_notification(&self, id: u32) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shown.iter_mut().find(|known| known.id == id) {
            known.closed = true;
        }
    }
}
