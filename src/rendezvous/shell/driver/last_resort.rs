//! The BitTorrent DHT as the last way in: carries out what [`LastResort`] decides.

use std::net::{IpAddr, SocketAddrV4};
use std::sync::PoisonError;
use std::time::Instant;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::DialOpts;
use tokio::sync::mpsc;

use super::{Driver, random_u64};
use crate::rendezvous::RendezvousConfig;
use crate::rendezvous::address::{Reach, endpoint};
use crate::rendezvous::last_resort::{LastResort, Wish};
use crate::rendezvous::shell::bittorrent;
use crate::rendezvous::shell::command::Net;

pub(super) struct Rumours {
    core: LastResort,
    wishes: mpsc::Sender<Wish>,
}

impl Rumours {
    /// Must be called on the node's runtime.
    pub(super) fn new(config: &RendezvousConfig, net: Net) -> Self {
        let (wishes, queue) = mpsc::channel(bittorrent::QUEUE);
        let bootstrap = config.mainline.clone().filter(|_| !config.isolated);
        let core = LastResort::new(bootstrap.is_some());
        if let Some(bootstrap) = bootstrap {
            tokio::spawn(bittorrent::run(bootstrap, queue, net));
        }
        Self { core, wishes }
    }

    pub(super) fn announced(&mut self, stored: bool, now: Instant) {
        tracing::debug!(stored, "announced as a first node");
        self.core.announced(stored, random_u64().unwrap_or_default(), now);
    }

    /// Somebody is being looked for; whether that may help them.
    pub(super) fn hurry(&mut self, now: Instant) -> bool {
        self.core.hurry(now)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.core.poll_timeout()
    }
}

impl Driver {
    pub(super) fn act_on_rumours(&mut self, now: Instant) {
        let alone = self.connections.nodes().next().is_none() && self.leaving.is_none();
        self.rumours.core.set_alone(alone, now);
        for address in self.rumours.core.poll_dials(now) {
            let address = Multiaddr::from(*address.ip()).with(Protocol::Udp(address.port())).with(Protocol::QuicV1);
            // Whoever answers introduces itself; that it cannot be dialled is no news.
            let _ = self.swarm.dial(DialOpts::unknown_peer_id().address(address).build());
        }
        while let Some(wish) = self.rumours.core.poll_wish(random_u64().unwrap_or_default(), now) {
            if self.rumours.wishes.try_send(wish).is_err() {
                tracing::debug!(?wish, "a wish of the BitTorrent DHT is dropped: the last one takes long");
            }
        }
    }

    /// What strangers say of strangers: only what leads into the internet, and not to ourselves, is worth a packet.
    pub(super) fn rumoured(&mut self, found: Vec<SocketAddrV4>) {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let own = &self.listening.served_at;
        let found = found.into_iter().filter(|address| {
            let ip = IpAddr::V4(*address.ip());
            let worth = address.port() != 0 && rules.reach(ip) == Reach::Public && rules.may_reach(ip);
            worth && !own.contains(&(*address).into())
        });
        self.rumours.core.rumoured(found, Instant::now());
    }

    /// Where strangers far away reach us over QUIC, they may be told so.
    pub(super) fn announce_to_strangers(&mut self, serving: &[Multiaddr]) {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let public = serving.iter().filter(|address| rules.is_public(address)).filter_map(endpoint);
        let port = public.filter(|endpoint| endpoint.quic && endpoint.ip.is_ipv4()).map(|endpoint| endpoint.port).min();
        drop(rules);
        self.rumours.core.serve(port, Instant::now());
    }
}
