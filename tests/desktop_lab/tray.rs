//! A tray: takes icons as KDE's does, and clicks in their menus.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use zbus::blocking::{Connection, Proxy, connection};
use zbus::zvariant::{OwnedValue, Structure, Value};

use super::until;

pub struct TrayHost {
    bus: Connection,
    items: Arc<Mutex<Vec<String>>>,
}

/// One item of a menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MenuItem {
    id: i32,
    pub label: String,
    pub enabled: bool,
}

impl TrayHost {
    pub fn start(bus: &str) -> Self {
        let items = Arc::<Mutex<Vec<String>>>::default();
        let watcher = Watcher { items: items.clone() };
        let bus = connection::Builder::address(bus)
            .and_then(|builder| builder.serve_at("/StatusNotifierWatcher", watcher))
            .and_then(|builder| builder.name("org.kde.StatusNotifierWatcher"))
            .and_then(connection::Builder::build)
            .expect("the bus takes us");
        Self { bus, items }
    }

    /// Waits for the first icon.
    pub fn wait(&self) -> String {
        until("an icon is in the tray", || self.items.lock().unwrap_or_else(PoisonError::into_inner).first().cloned())
    }

    /// Takes no icons any more.
    pub fn end(self) {
        self.bus.close().expect("the bus lets us go");
    }

    pub fn property(&self, item: &str, name: &str) -> OwnedValue {
        let item = self.proxy(item, "/StatusNotifierItem", "org.kde.StatusNotifierItem");
        item.get_property(name).expect("the item has it")
    }

    pub fn menu(&self, item: &str) -> Vec<MenuItem> {
        type Layout = (u32, (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>));
        let menu = self.proxy(item, "/MenuBar", "com.canonical.dbusmenu");
        let layout: Layout = menu.call("GetLayout", &(0_i32, -1_i32, Vec::<&str>::new())).expect("the item has a menu");
        let items = layout.1.2.into_iter().filter_map(|item| {
            let item = Structure::try_from(Value::from(item)).ok()?;
            let [id, properties, _] = item.fields() else { return None };
            let properties = HashMap::<String, OwnedValue>::try_from(properties.try_clone().ok()?).ok()?;
            let label = properties.get("label").and_then(|label| <&str>::try_from(label).ok())?.to_owned();
            let enabled = properties.get("enabled").and_then(|enabled| bool::try_from(enabled).ok()).unwrap_or(true);
            Some(MenuItem { id: i32::try_from(id).ok()?, label, enabled })
        });
        items.collect()
    }

    /// Waits for a menu item of this name.
    pub fn item(&self, item: &str, label: &str) -> MenuItem {
        until(&format!("the menu offers {label}"), || self.menu(item).into_iter().find(|known| known.label == label))
    }

    pub fn click(&self, item: &str, label: &str) {
        let clicked = self.item(item, label);
        assert!(clicked.enabled, "{label} can be clicked");
        let menu = self.proxy(item, "/MenuBar", "com.canonical.dbusmenu");
        menu.call::<_, _, ()>("Event", &(clicked.id, "clicked", Value::from(0_i32), 0_u32)).expect("it takes clicks");
    }

    /// As a click on the icon itself does.
    pub fn activate(&self, item: &str) {
        let item = self.proxy(item, "/StatusNotifierItem", "org.kde.StatusNotifierItem");
        item.call::<_, _, ()>("Activate", &(0_i32, 0_i32)).expect("it takes clicks");
    }

    fn proxy(&self, name: &str, path: &'static str, interface: &'static str) -> Proxy<'static> {
        Proxy::new(&self.bus, name.to_owned(), path, interface).expect("a proxy can be made")
    }
}

struct Watcher {
    items: Arc<Mutex<Vec<String>>>,
}

#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, service: String) {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).push(service);
    }

    fn register_status_notifier_host(&self, _service: String) {}

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }
}
