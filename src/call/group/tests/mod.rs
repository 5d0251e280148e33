//! Members, the network between them, and hostile ones.

mod agreement;
mod chaos;
mod hostile;
mod laws;
mod mending;
mod messages;
mod planning;
mod roster;
mod sim;
mod walkthrough;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::message::MAX_GROUP_MESSAGE_BYTES;
use super::*;
use crate::base::{EndReason, GroupId, Person};
use crate::identity::PersonKey;
use sim::{SECOND, Sim};

/// Person keys by number; their order is not that of the numbers.
fn key(number: usize) -> PersonKey {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
    PersonKey::from_seed(&seed)
}

/// A clock reading; only differences matter.
fn any_instant() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(|| Instant::now() + Duration::from_secs(3600))
}
