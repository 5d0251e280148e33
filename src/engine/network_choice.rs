//! What the user chooses about the network, and how the profile remembers it.

use super::{Failure, NetworkOptions, SuperPeerMode};
use crate::rendezvous;

/// Nodes to start from that may be named; more is a mistake.
const MOST_NODES: usize = 16;

/// One choice, kept for the next start of a front end that [remembers](super::Options::remember).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkChoice {
    /// No address of ours is shown to the people we talk with. Holds from the next call on.
    RelayOnly(bool),
    /// Ask STUN servers of others where no super-peer answers. Holds from the next call on.
    PublicStun(bool),
    /// Holds from the next start on.
    SuperPeer(SuperPeerMode),
    /// Multiaddresses with `/p2p/ID` of first nodes. Holds from the next start on.
    Bootstrap(Vec<String>),
}

const RELAY_ONLY: &str = "network.relay-only";
const PUBLIC_STUN: &str = "network.public-stun";
const SUPER_PEER: &str = "network.super-peer";
const BOOTSTRAP: &str = "network.bootstrap";

impl NetworkChoice {
    /// # Errors
    /// What cannot be a node, or too many of them: a sentence for the user.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Self::Bootstrap(nodes) = self else { return Ok(()) };
        if nodes.len() > MOST_NODES {
            return Err(Failure::usage(format!("name at most {MOST_NODES} nodes to start from")));
        }
        match nodes.iter().find(|node| !rendezvous::is_node_address(node)) {
            None => Ok(()),
            Some(odd) => Err(Failure::usage(format!(
                "\"{odd}\" is not the address of a node; one looks like /ip4/203.0.113.7/udp/4001/quic-v1/p2p/12D3KooW…"
            ))),
        }
    }

    pub(super) fn apply(self, options: &mut NetworkOptions) {
        match self {
            Self::RelayOnly(on) => options.relay_only = on,
            Self::PublicStun(on) => options.no_public_stun = !on,
            Self::SuperPeer(mode) => options.super_peer = mode,
            Self::Bootstrap(nodes) => options.bootstrap = nodes,
        }
    }

    /// As [`Self::apply`], where `options` say what they say by default.
    pub(super) fn apply_where_unsaid(self, options: &mut NetworkOptions) {
        let unsaid = NetworkOptions::default();
        let is_unsaid = match &self {
            Self::RelayOnly(_) => options.relay_only == unsaid.relay_only,
            Self::PublicStun(_) => options.no_public_stun == unsaid.no_public_stun,
            Self::SuperPeer(_) => options.super_peer == unsaid.super_peer,
            Self::Bootstrap(_) => options.bootstrap == unsaid.bootstrap,
        };
        if is_unsaid {
            self.apply(options);
        }
    }

    /// The preference that keeps it, and its value there; part of the profile's format.
    pub(super) fn preference(&self) -> (&'static str, String) {
        match self {
            Self::RelayOnly(on) => (RELAY_ONLY, on.to_string()),
            Self::PublicStun(on) => (PUBLIC_STUN, on.to_string()),
            Self::SuperPeer(mode) => (SUPER_PEER, word_of(*mode).to_owned()),
            Self::Bootstrap(nodes) => (BOOTSTRAP, nodes.join("\n")),
        }
    }

    /// `None` for any other preference, and for a value that no version of ours has written.
    pub(super) fn from_preference(key: &str, value: &str) -> Option<Self> {
        let choice = match key {
            RELAY_ONLY => Self::RelayOnly(value.parse().ok()?),
            PUBLIC_STUN => Self::PublicStun(value.parse().ok()?),
            SUPER_PEER => {
                let modes = [SuperPeerMode::Auto, SuperPeerMode::Always, SuperPeerMode::Never];
                Self::SuperPeer(modes.into_iter().find(|mode| word_of(*mode) == value)?)
            }
            BOOTSTRAP => Self::Bootstrap(value.lines().map(str::to_owned).collect()),
            _ => return None,
        };
        choice.check().ok().map(|()| choice)
    }
}

const fn word_of(mode: SuperPeerMode) -> &'static str {
    match mode {
        SuperPeerMode::Auto => "auto",
        SuperPeerMode::Always => "always",
        SuperPeerMode::Never => "never",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "/ip4/203.0.113.7/udp/4001/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    #[test]
    fn a_choice_is_remembered_as_it_was_made() {
        let choices = [
            NetworkChoice::RelayOnly(true),
            NetworkChoice::PublicStun(false),
            NetworkChoice::SuperPeer(SuperPeerMode::Never),
            NetworkChoice::Bootstrap(vec![NODE.to_owned(), NODE.to_owned()]),
            NetworkChoice::Bootstrap(Vec::new()),
        ];
        for choice in choices {
            let (key, value) = choice.preference();
            assert_eq!(NetworkChoice::from_preference(key, &value), Some(choice), "{key} = {value}");
        }
        assert_eq!(NetworkChoice::from_preference(SUPER_PEER, "sometimes"), None);
        assert_eq!(NetworkChoice::from_preference(BOOTSTRAP, "http://example.org"), None);
    }

    #[test]
    fn what_cannot_be_a_node_is_refused() {
        for odd in ["", "example.org", "/ip4/203.0.113.7/udp/4001/quic-v1", "/ip4/1/p2p/x"] {
            assert!(NetworkChoice::Bootstrap(vec![odd.to_owned()]).check().is_err(), "{odd}");
        }
        assert!(NetworkChoice::Bootstrap(vec![NODE.to_owned(); MOST_NODES + 1]).check().is_err());
        NetworkChoice::Bootstrap(vec![NODE.to_owned()]).check().unwrap();
    }

    #[test]
    fn what_is_remembered_gives_way_to_what_was_said() {
        let mut options = NetworkOptions { super_peer: SuperPeerMode::Always, ..NetworkOptions::default() };
        NetworkChoice::SuperPeer(SuperPeerMode::Never).apply_where_unsaid(&mut options);
        NetworkChoice::RelayOnly(true).apply_where_unsaid(&mut options);
        assert_eq!((options.super_peer, options.relay_only), (SuperPeerMode::Always, true));
    }
}
