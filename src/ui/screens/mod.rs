//! What the window shows.

mod backup;
mod beside;
mod call;
mod conversation;
mod group;
mod incoming;
mod network;
mod people;
mod quality;
mod rail;
mod settings;
mod sheet;
mod welcome;
mod you;

pub use backup::BackupForm;
pub use beside::beside;
pub use call::call;
pub use conversation::conversation;
pub use group::{InviteForm, group};
pub use incoming::incoming;
pub use network::network;
pub use people::people;
pub use rail::rail;
pub use settings::{Drafts, settings};
pub use sheet::sheet;
pub use welcome::{Welcome, welcome};
pub use you::you;
