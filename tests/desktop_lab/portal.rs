//! A GlobalShortcuts portal whose user agrees to everything, or to nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use zbus::blocking::{Connection, connection};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value};

use super::until;

const PATH: &str = "/org/freedesktop/portal/desktop";
const INTERFACE: &str = "org.freedesktop.portal.GlobalShortcuts";

pub struct Portal {
    bus: Connection,
    bound: Arc<Mutex<Vec<Bound>>>,
}

#[derive(Debug, Clone)]
pub struct Bound {
    pub session: OwnedObjectPath,
    pub shortcut: String,
    pub trigger: String,
}

impl Portal {
    pub fn start(bus: &str, agrees: bool) -> Self {
        let bound = Arc::<Mutex<Vec<Bound>>>::default();
        let shortcuts = Shortcuts { bound: bound.clone(), agrees };
        let bus = connection::Builder::address(bus)
            .and_then(|builder| builder.serve_at(PATH, shortcuts))
            .and_then(|builder| builder.name("org.freedesktop.portal.Desktop"))
            .and_then(connection::Builder::build)
            .expect("the bus takes us");
        Self { bus, bound }
    }

    /// Waits for somebody who wants a key.
    pub fn wait(&self) -> Bound {
        until("a key is asked for", || self.bound.lock().unwrap_or_else(PoisonError::into_inner).first().cloned())
    }

    /// The key goes down or up.
    pub fn press(&self, bound: &Bound, down: bool) {
        let body = (&bound.session, &bound.shortcut, 0_u64, HashMap::<&str, Value<'_>>::new());
        let name = if down { "Activated" } else { "Deactivated" };
        self.bus.emit_signal(None::<()>, PATH, INTERFACE, name, &body).expect("the bus takes signals");
    }
}

struct Shortcuts {
    bound: Arc<Mutex<Vec<Bound>>>,
    agrees: bool,
}

type Wanted = Vec<(String, HashMap<String, OwnedValue>)>;

fn text<'a>(options: &'a HashMap<String, OwnedValue>, key: &str) -> &'a str {
    options.get(key).and_then(|value| <&str>::try_from(value).ok()).unwrap_or_default()
}

/// Requests and sessions are named after who asks.
fn path(kind: &str, header: &Header<'_>, token: &str) -> ObjectPath<'static> {
    let sender = header.sender().expect("a bus names senders").trim_start_matches(':').replace('.', "_");
    ObjectPath::try_from(format!("{PATH}/{kind}/{sender}/{token}")).expect("tokens are names")
}

async fn respond(emitter: &SignalEmitter<'_>, request: &ObjectPath<'_>, code: u32, results: HashMap<&str, Value<'_>>) {
    let interface = "org.freedesktop.portal.Request";
    let response =
        emitter.connection().emit_signal(None::<()>, request.clone(), interface, "Response", &(code, results));
    response.await.expect("the bus takes signals");
}

#[zbus::interface(name = "org.freedesktop.portal.GlobalShortcuts")]
impl Shortcuts {
    async fn create_session(
        &self,
        options: HashMap<String, OwnedValue>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> OwnedObjectPath {
        let request = path("request", &header, text(&options, "handle_token"));
        let session = path("session", &header, text(&options, "session_handle_token"));
        respond(&emitter, &request, 0, HashMap::from([("session_handle", Value::from(session.as_str()))])).await;
        request.into()
    }

    async fn bind_shortcuts(
        &self,
        session: OwnedObjectPath,
        shortcuts: Wanted,
        _parent_window: String,
        options: HashMap<String, OwnedValue>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> OwnedObjectPath {
        let request = path("request", &header, text(&options, "handle_token"));
        let (id, wanted) = shortcuts.first().expect("one is wanted");
        let trigger = text(wanted, "preferred_trigger").to_owned();
        let description = HashMap::from([("trigger_description", Value::from(trigger.as_str()))]);
        let granted = Value::from(vec![(id.as_str(), description)]);
        let bound = Bound { session, shortcut: id.clone(), trigger };
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).push(bound);
        let code = if self.agrees { 0 } else { 1 };
        respond(&emitter, &request, code, HashMap::from([("shortcuts", granted)])).await;
        request.into()
    }

    #[zbus(property, name = "version")]
    fn version(&self) -> u32 {
        1
    }
}
