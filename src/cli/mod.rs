//! The command line: verbs over the engine's API.
//!
//! `args` is what can be typed, `settings` and `config_file` what can be configured, `resolve` what it comes to.
//! A verb that stays is a [`driver`] that a [`session`] feeds with events, keys and time; what it says goes through
//! `output`, once for programs and once for people.

mod args;
mod clock;
mod config_file;
mod driver;
mod exit;
mod interrupt;
mod keys;
mod logging;
mod output;
mod passphrase;
mod resolve;
mod run;
mod session;
mod settings;
mod talk;
mod values;
mod verbs;

pub use exit::Exit;
#[cfg(feature = "gui")]
pub use run::Client;
pub use run::{Next, run};
