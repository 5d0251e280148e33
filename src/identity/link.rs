//! The `twocans:` link.

use crate::base::Person;

/// An address to hand out: `twocans:` + z-base-32 of the person's public key, optionally with hints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub person: Person,
    /// Suggested display name.
    pub name: Option<String>,
    /// Multiaddresses (with `/p2p/ID`) of nodes through which a newcomer can get in.
    pub hints: Vec<String>,
}
