//! Media relays: what we do for others as a super-peer, and what super-peers do for a call of ours.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use tokio::net::lookup_host;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::desk::DeskInput;
use super::options::{NetworkOptions, SuperPeerMode};
use crate::base::{CallId, IpRange, NodeId};
use crate::link::{CandidateKind, Path, TurnServer};
use crate::rendezvous::{RelayAnswer, RelayClient, RelayGrant, RelayOffer, Rendezvous};
use crate::superpeer::{AddressPolicy, Issuer, Limits, Service, ServiceConfig};

/// Super-peers whose relays a call may use; their paths compete, and what is not chosen is given back.
const WANTED: usize = 3;

/// For the first super-peer to grant something; then public STUN servers are asked.
const SUPER_PEER_PATIENCE: Duration = Duration::from_secs(1);
/// For a name server to answer.
const NAME_PATIENCE: Duration = Duration::from_secs(3);
/// Public STUN servers that are asked.
const MAX_PUBLIC_STUN: usize = 4;

/// Calls that are relayed here when we cease to be a super-peer have so long to end, or to move: an average call is over,
/// and whoever closes the lid of a laptop does not wait.
const DRAIN: Duration = Duration::from_secs(5 * 60);

/// Our relay for others; runs while we are a super-peer.
pub(super) struct RelayService {
    policy: AddressPolicy,
    ports: Option<RangeInclusive<u16>>,
    limits: Limits,
    served_at: Vec<SocketAddr>,
    running: Option<(Service, Issuer)>,
    /// Nobody is taken in any more, and what is left ends then.
    drained_by: Option<Instant>,
}

impl RelayService {
    pub fn new(network: &NetworkOptions) -> Self {
        let treat_as_public = network.treat_as_public.iter().filter_map(|range| IpRange::parse(range)).collect();
        Self {
            policy: AddressPolicy { isolated: network.isolated, treat_as_public, own: Vec::new() },
            ports: network.media_ports.clone(),
            limits: match network.super_peer {
                SuperPeerMode::Always => Limits::default(),
                SuperPeerMode::Auto | SuperPeerMode::Never => Limits::volunteer(),
            },
            served_at: Vec::new(),
            running: None,
            drained_by: None,
        }
    }

    /// We serve at these addresses of the rendezvous node from now on; none: no longer. The relay takes the port above
    /// each, over UDP and TCP, and STUN the two ports above that, so that a firewall can be told; others where they are
    /// in use.
    pub fn serve(&mut self, addresses: Vec<SocketAddr>, now: Instant) {
        if addresses.is_empty() {
            self.drained_by = self.running.as_ref().map(|_| now + DRAIN);
            return;
        }
        self.drained_by = None;
        let still_there = |at: &SocketAddr| addresses.contains(at);
        if self.running.is_some() && self.served_at.iter().all(still_there) {
            // A further address is not worth the calls that a new start would cut off.
            return;
        }
        self.running = None;
        self.served_at = addresses;
        let above = |at: &SocketAddr| SocketAddr::new(at.ip(), at.port().checked_add(1).unwrap_or_default());
        let listen = self.served_at.iter().map(above).collect();
        let (policy, ports, limits) = (self.policy.clone(), self.ports.clone(), self.limits.clone());
        match Service::start(ServiceConfig { listen, ports, policy, limits }) {
            Ok(running) => self.running = Some(running),
            // The rest of what a super-peer does goes on.
            Err(why) => tracing::warn!(%why, "calls are not relayed here"),
        }
    }

    /// What a client gets that asks for the use of our relay.
    pub fn answer(&mut self, from: &NodeId, address: Option<IpAddr>, now: Instant) -> RelayAnswer {
        let Some((service, issuer)) = self.running.as_mut().filter(|_| self.drained_by.is_none()) else {
            return Err("not relaying".to_owned());
        };
        if service.totals().calls >= self.limits.calls {
            return Err("relaying as many calls as it may".to_owned());
        }
        let credentials = issuer.issue(from, address, now).map_err(|why| why.to_string())?;
        Ok(RelayOffer {
            username: credentials.username,
            password: credentials.password,
            lifetime: credentials.lifetime,
            servers: service.addresses().to_vec(),
            stun: service.stun().to_vec(),
        })
    }

    /// Ends what is left of a service that takes nobody in any more, once nobody uses it or for too long.
    pub fn look_after(&mut self, now: Instant) {
        let Some(end) = self.drained_by else { return };
        let in_use = self.running.as_ref().is_some_and(|(service, _)| service.totals().allocations > 0);
        if !in_use || now >= end {
            (self.running, self.drained_by) = (None, None);
            self.served_at.clear();
        }
    }

    /// A client that came by one of the rendezvous node's TCP ports.
    pub fn visit(&self, client: RelayClient) {
        if let Some((service, _)) = &self.running {
            service.visit(client.into_stream());
        }
    }

    /// Calls that are being relayed.
    pub fn calls(&self) -> u32 {
        self.running.as_ref().map_or(0, |(service, _)| service.totals().calls)
    }
}

/// Asks super-peers to relay a call. Runs beside the ringing, which does not wait for it.
///
/// They tell our address, too. `public_stun`: servers of others, as `HOST:PORT`, which are asked when no super-peer is
/// found in time, and not otherwise.
pub(super) async fn seek(
    rendezvous: Rendezvous,
    call: CallId,
    mut public_stun: Vec<String>,
    desk: mpsc::Sender<DeskInput>,
) {
    let mut grants = rendezvous.relay_grants(WANTED);
    let patience = sleep(SUPER_PEER_PATIENCE);
    tokio::pin!(patience);
    loop {
        tokio::select! {
            grant = grants.recv() => match grant {
                Some(grant) => {
                    public_stun.clear();
                    if desk.send(DeskInput::Relay { call, grant: Some(grant) }).await.is_err() {
                        return;
                    }
                }
                None => break,
            },
            () = &mut patience, if !public_stun.is_empty() => {
                let servers = addresses_of(std::mem::take(&mut public_stun)).await;
                let _ = desk.send(DeskInput::PublicStun { call, servers }).await;
            }
        }
    }
    let _ = desk.send(DeskInput::Relay { call, grant: None }).await;
}

/// For a call without super-peers: servers of others tell our address, and no relay will come.
pub(super) async fn seek_public_stun(call: CallId, public_stun: Vec<String>, desk: mpsc::Sender<DeskInput>) {
    if !public_stun.is_empty() {
        let servers = addresses_of(public_stun).await;
        let _ = desk.send(DeskInput::PublicStun { call, servers }).await;
    }
    let _ = desk.send(DeskInput::Relay { call, grant: None }).await;
}

/// The first address of each host, of those that the name servers tell in time.
pub(super) async fn addresses_of(hosts: Vec<String>) -> Vec<SocketAddr> {
    let mut asked = JoinSet::new();
    for host in hosts.into_iter().take(MAX_PUBLIC_STUN) {
        asked.spawn(async move { timeout(NAME_PATIENCE, lookup_host(host)).await.ok()?.ok()?.next() });
    }
    asked.join_all().await.into_iter().flatten().collect()
}

/// The relays that a call may use, by the addresses at which they are.
#[derive(Default)]
pub(super) struct CallRelays(Vec<(SocketAddr, NodeId)>);

impl CallRelays {
    /// Takes note of a grant; its servers are for the link.
    pub fn add(&mut self, grant: RelayGrant) -> Vec<TurnServer> {
        let RelayGrant { relay, offer: RelayOffer { username, password, servers, .. }, tcp } = grant;
        let known: Vec<SocketAddr> = servers.iter().copied().chain(tcp).collect();
        self.0.retain(|(address, _)| !known.contains(address));
        self.0.extend(known.into_iter().map(|server| (server, relay.clone())));
        let server = |(index, address)| {
            let tcp = tcp.filter(|_| index == 0);
            TurnServer { address, tcp, username: username.clone(), password: password.clone() }
        };
        servers.into_iter().enumerate().map(server).collect()
    }

    /// Who relays this path: a node where it is known to be one, else the server's address. The peer's relay is often
    /// one that was offered to us too.
    pub fn via(&self, path: &Path) -> Option<String> {
        let node = |matches: &dyn Fn(SocketAddr) -> bool| {
            self.0.iter().find(|(server, _)| matches(*server)).map(|(_, relay)| relay.to_string())
        };
        if let Some(relay) = path.relay {
            return Some(node(&|server| server == relay).unwrap_or_else(|| relay.to_string()));
        }
        let remote = path.remote_address.reveal().ip();
        node(&|server| server.ip() == remote).filter(|_| path.remote == CandidateKind::Relayed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_ceases_takes_nobody_in_and_goes_when_nobody_is_left() {
        let network = NetworkOptions { isolated: true, ..NetworkOptions::default() };
        let mut relay = RelayService::new(&network);
        let node = NodeId::from_bytes(&[1; 38]).unwrap();
        let here: Vec<SocketAddr> = vec!["127.0.0.1:47000".parse().unwrap()];
        let start = Instant::now();
        assert!(relay.answer(&node, None, start).is_err());
        relay.serve(here.clone(), start);
        let servers = relay.answer(&node, None, start).unwrap().servers;

        // A moment's absence costs nobody their relay.
        relay.serve(Vec::new(), start);
        assert!(relay.answer(&node, None, start).is_err());
        relay.serve(here.clone(), start);
        assert_eq!(relay.answer(&node, None, start).unwrap().servers, servers);

        relay.serve(Vec::new(), start);
        assert!(relay.running.is_some());
        relay.look_after(start);
        assert!(relay.running.is_none(), "nobody used it");
        relay.serve(here, start);
        assert!(relay.answer(&node, None, start).is_ok());
        relay.look_after(start + DRAIN * 2);
        assert!(relay.running.is_some(), "it serves");
    }
}
