//! What the window shows.

mod call;
mod conversation;
mod desktop;
mod incoming;
mod network;
mod people;
mod quality;
mod rail;
mod settings;
mod sheet;
mod you;

pub use call::{call, return_to_call};
pub use conversation::conversation;
pub use incoming::incoming;
pub use network::network;
pub use people::people;
pub use rail::rail;
pub use settings::settings;
pub use sheet::sheet;
pub use you::you;
