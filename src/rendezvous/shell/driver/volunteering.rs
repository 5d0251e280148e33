//! Serving others unasked: carries out what [`Volunteer`] decides.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddrV4};
use std::sync::PoisonError;
use std::time::Instant;

use libp2p::kad::Mode;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use super::dht::Purpose;
use super::{Driver, draw, random_u64};
use crate::rendezvous::address::{Reach, endpoint};
use crate::rendezvous::autonat::Answer;
use crate::rendezvous::limits::DISMISS_CLIENTS;
use crate::rendezvous::shell::autonat;
use crate::rendezvous::shell::behaviour::{Role, relay_server, taken_protocols};
use crate::rendezvous::volunteer::{MAX_CANDIDATES, Pace, Verdict, Volunteer};
use crate::rendezvous::{RendezvousConfig, RendezvousError, RendezvousEvent};

/// Numbers that super-peers were asked to say: one for each of our addresses and whom is asked, of two rounds at most.
const MAX_NONCES: usize = 8 * MAX_CANDIDATES;

pub(super) struct Volunteering {
    /// `None`: this node serves always, or never.
    core: Option<Volunteer>,
    pace: Pace,
    started: Instant,
    /// The numbers for which we listen, and whether they have been said.
    nonces: BTreeMap<u64, bool>,
    /// Where we serve, as carried out.
    serving: Vec<Multiaddr>,
    /// Who still has a place here has had time to find another by then.
    dismiss_at: Option<Instant>,
    alone: Alone,
    /// What a router would have to lead strangers to, as last told, and when to look again.
    inside: Option<SocketAddrV4>,
    inside_due: Option<Instant>,
}

/// Being a super-peer at which others are rung, and having a place at none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alone {
    No,
    Since(Instant),
    /// Long enough to be rung at our own address.
    ForLong,
}

impl Volunteering {
    pub(super) fn new(config: &RendezvousConfig, now: Instant) -> Result<Self, RendezvousError> {
        let pace = config.volunteer.filter(|_| !config.server).map(|steady| Pace { steady });
        let random = random_u64()?;
        Ok(Self {
            core: pace.map(|pace| Volunteer::new(pace, random)),
            pace: pace.unwrap_or(Pace { steady: RendezvousConfig::VOLUNTEER_AFTER }),
            started: now,
            nonces: BTreeMap::new(),
            serving: Vec::new(),
            dismiss_at: None,
            alone: Alone::No,
            inside: None,
            inside_due: None,
        })
    }

    /// Whether this node may come to serve.
    pub(super) fn is_willing(&self) -> bool {
        self.core.is_some()
    }

    pub(super) fn is_serving(&self) -> bool {
        !self.serving.is_empty()
    }

    /// Where strangers get through to us.
    pub(super) fn serving(&self) -> &[Multiaddr] {
        &self.serving
    }

    pub(super) fn reason(&self) -> &str {
        self.core.as_ref().map_or("", Volunteer::reason)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let core = self.core.as_ref().and_then(Volunteer::poll_timeout).map(|(at, _)| at);
        let names_itself = match self.alone {
            Alone::Since(since) => Some(since + self.pace.settled()),
            Alone::No | Alone::ForLong => None,
        };
        [core, self.dismiss_at, names_itself, self.inside_due].into_iter().flatten().min()
    }
}

impl Driver {
    pub(super) fn act_on_volunteering(&mut self, now: Instant) {
        if !self.volunteering.is_willing() || self.leaving.is_some() {
            return;
        }
        if let Some(core) = &mut self.volunteering.core {
            core.handle_timeout(now);
        }
        self.ask_whether_reachable(now);
        self.follow_volunteer(now);
        if self.volunteering.inside_due.is_some_and(|due| due <= now) {
            self.volunteering.inside_due = None;
            self.tell_inside(now);
        }
        if self.volunteering.dismiss_at.is_some_and(|at| at <= now) {
            self.volunteering.dismiss_at = None;
            for client in self.relaying.dismiss_clients() {
                let _ = self.swarm.disconnect_peer_id(client);
            }
        }
        if matches!(self.volunteering.alone, Alone::Since(since) if since + self.volunteering.pace.settled() <= now) {
            self.update_reachability(now);
        }
    }

    fn ask_whether_reachable(&mut self, now: Instant) {
        let Some(core) = self.volunteering.core.as_mut().filter(|core| core.is_due(now)) else { return };
        for ask in core.poll_asks(&self.relaying.super_peers(), now) {
            let numbered = |address: Multiaddr| random_u64().ok().map(|nonce| (address, nonce));
            let questions: Vec<(Multiaddr, u64)> = ask.addresses.into_iter().filter_map(numbered).collect();
            for (_, nonce) in &questions {
                if self.volunteering.nonces.len() >= MAX_NONCES {
                    self.volunteering.nonces.pop_first();
                }
                self.volunteering.nonces.insert(*nonce, false);
            }
            tokio::spawn(autonat::inquire(self.net.clone(), ask.server, questions));
        }
    }

    /// A super-peer got through to us, or so somebody says who knows the number.
    pub(super) fn dialled_by(&mut self, nonce: u64, reply: oneshot::Sender<()>) {
        if let Some(said) = self.volunteering.nonces.get_mut(&nonce) {
            *said = true;
            let _ = reply.send(());
        }
    }

    /// A super-peer has said how its dial went.
    pub(super) fn examined(&mut self, server: PeerId, address: &Multiaddr, nonce: u64, answer: Option<Answer>) {
        let said = self.volunteering.nonces.remove(&nonce).unwrap_or(false);
        let verdict = match answer {
            Some(Answer::Reached) if said => Verdict::Reachable,
            Some(Answer::NotReached) => Verdict::Unreachable,
            Some(Answer::Reached | Answer::Refused) | None => Verdict::NoAnswer,
        };
        tracing::debug!(?verdict, ?answer, "a super-peer was asked to dial us");
        if let Some(core) = &mut self.volunteering.core {
            core.heard(server, address, verdict, Instant::now());
        }
    }

    /// Our addresses, or what the router opens, have changed.
    pub(super) fn reconsider_addresses(&mut self, now: Instant) {
        let candidates = self.candidates();
        let Some(core) = &mut self.volunteering.core else { return };
        core.set_candidates(candidates, now);
        let settled = self.volunteering.started + self.volunteering.pace.settled();
        self.volunteering.inside_due = Some(now.max(settled));
        self.follow_volunteer(now);
    }

    /// As [`Volunteer::network_changed`].
    pub(super) fn volunteer_in_new_network(&mut self, lost_way: bool, now: Instant) {
        if let Some(core) = &mut self.volunteering.core {
            core.network_changed(lost_way, now);
            self.follow_volunteer(now);
        }
    }

    /// Tells those who have our link where to ring: at the super-peers that hold a place for us. Only who is a super-peer
    /// and finds no other one for a while is rung at its own address. In a record that gives away where its person is,
    /// and nobody has asked for that; and a place elsewhere still rings when our own address fails.
    pub(super) fn update_reachability(&mut self, now: Instant) {
        let held = self.relaying.held();
        let volunteering = &mut self.volunteering;
        let alone = held.is_empty() && volunteering.is_serving();
        volunteering.alone = match volunteering.alone {
            Alone::No | Alone::Since(_) | Alone::ForLong if !alone => Alone::No,
            Alone::No => Alone::Since(now),
            Alone::Since(since) if since + volunteering.pace.settled() <= now => Alone::ForLong,
            since @ (Alone::Since(_) | Alone::ForLong) => since,
        };
        let own = if volunteering.alone == Alone::ForLong { volunteering.serving.clone() } else { Vec::new() };
        self.dht.set_reachability(held, own, now);
    }

    /// Becomes what the decision says, in an order in which nobody is invited who would find nothing.
    fn follow_volunteer(&mut self, now: Instant) {
        let Some(core) = &self.volunteering.core else { return };
        if core.serving() == self.volunteering.serving {
            return;
        }
        let was_serving = self.volunteering.is_serving();
        self.volunteering.serving = core.serving().to_vec();
        let is_serving = self.volunteering.is_serving();
        if is_serving {
            self.have_relay_service();
            self.update_service();
        }
        if is_serving != was_serving {
            let mode = if is_serving { Mode::Server } else { Mode::Client };
            self.swarm.behaviour_mut().kad.set_mode(Some(mode));
            self.dht.upkeep.set_server(is_serving, now, draw().jitter);
            self.volunteering.dismiss_at = (!is_serving && self.relaying.clients() > 0).then(|| now + DISMISS_CLIENTS);
        }
        self.take_streams();
        if is_serving && !was_serving {
            // Those who are to know us are our neighbours.
            let query = self.swarm.behaviour_mut().kad.get_closest_peers(self.me);
            self.dht.queries.insert(query, Purpose::Refresh { own: true });
        }
        if !is_serving {
            self.update_service();
        } else if was_serving {
            // Who is connected hears of new protocols by itself, of other addresses only now.
            let connected: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
            self.swarm.behaviour_mut().identify.push(connected);
        }
    }

    /// A client does without: its part of each connection would hold the connection for half a minute more. It has to be
    /// there before it is told of our addresses.
    fn have_relay_service(&mut self) {
        let relay = &mut self.swarm.behaviour_mut().relay;
        if !relay.is_enabled() {
            *relay = Some(relay_server(self.me, &self.config.limits)).into();
        }
    }

    /// Takes the streams of what we are now. Media cannot be relayed through one port that a router has opened.
    fn take_streams(&mut self) {
        let own = |address: &Multiaddr| self.listening.addresses.contains(address);
        let role = match self.volunteering.serving.as_slice() {
            [] => Role::Client,
            serving => Role::Server { media: serving.iter().any(own) },
        };
        let protocols = taken_protocols(&self.config, role);
        self.swarm.behaviour_mut().streams.take(protocols);
    }

    /// Addresses of ours at which strangers might reach us: of a public range, none through a relay.
    fn candidates(&self) -> Vec<Multiaddr> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let own = self.listening.addresses.iter().filter(|address| rules.may_serve_at(address));
        own.cloned().chain(self.mapped_address()).collect()
    }

    /// A router could lead strangers to us: we have an address on its inside and none outside.
    fn tell_inside(&mut self, now: Instant) {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let of_v4 = || {
            let endpoints = self.listening.addresses.iter().filter_map(endpoint).filter(|at| at.quic);
            endpoints.filter_map(|at| if let IpAddr::V4(ip) = at.ip { Some((ip, at.port)) } else { None })
        };
        let has_public = of_v4().any(|(ip, _)| rules.reach(ip.into()) == Reach::Public);
        let inside = of_v4().find(|(ip, _)| rules.reach((*ip).into()) == Reach::Local).filter(|_| !has_public);
        drop(rules);
        let inside = inside.map(|(ip, port)| SocketAddrV4::new(ip, port));
        if inside.is_some() && !self.connections.has_entered() {
            // Without anybody to ask about it, an open port is of no use.
            self.volunteering.inside_due = Some(now + self.volunteering.pace.settled());
            return;
        }
        if inside != self.volunteering.inside {
            self.volunteering.inside = inside;
            self.tell(RendezvousEvent::Inside { address: inside });
        }
    }
}
