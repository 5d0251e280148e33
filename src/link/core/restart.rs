//! ICE anew (RFC 8445 §9) for a link whose path has failed or whose machine has moved. DTLS, SRTP and the data channel go
//! on as if nothing had happened (RFC 8842 §5.4): neither keys nor sequence numbers change.
//!
//! The offerer of the call offers the restart too, whoever needs it, so that both can never do so at once.

use std::net::SocketAddr;
use std::time::Instant;

use rtc::peer_connection::sdp::RTCSessionDescription;

use super::super::api::{CandidateKind, LinkError, LinkEvent, LocalDescription};
use super::super::config::Role;
use super::super::gather::{GatherEvent, Gatherer};
use super::super::opening::Openings;
use super::super::peer::core_error;
use super::super::sdp::split_candidates;
use super::{Core, Phase};

impl Core {
    /// Our offer to begin ICE anew. `bases`: the sockets with which to go on, if they are others than before; with the
    /// same ones, allocations that stood by are used. Candidates follow as events.
    pub fn restart(&mut self, bases: Option<Vec<SocketAddr>>, now: Instant) -> Result<LocalDescription, LinkError> {
        self.expect_established(Role::Offerer)?;
        let dead = self.dead_allocation();
        self.peer.connection.restart_ice();
        let offer = self.peer.connection.create_offer(None).map_err(core_error)?;
        self.begin_anew(offer, bases, dead, now)
    }

    /// Takes the peer's offer to begin anew; our answer. Checks begin.
    pub fn accept_restart(
        &mut self,
        sdp: &str,
        bases: Option<Vec<SocketAddr>>,
        now: Instant,
    ) -> Result<LocalDescription, LinkError> {
        self.expect_established(Role::Answerer)?;
        let dead = self.dead_allocation();
        let candidates = self.read_remote(sdp, RTCSessionDescription::offer, now)?;
        let answer = self.peer.connection.create_answer(None).map_err(core_error)?;
        let made = self.begin_anew(answer, bases, dead, now)?;
        self.add_all(candidates);
        Ok(made)
    }

    /// Takes the peer's answer to [`Core::restart`]. Checks begin.
    pub(super) fn accept_restart_answer(&mut self, sdp: &str, now: Instant) -> Result<(), LinkError> {
        self.expect_established(Role::Offerer)?;
        let candidates = self.read_remote(sdp, RTCSessionDescription::answer, now)?;
        self.add_all(candidates);
        Ok(())
    }

    /// ICE has found a path again.
    pub(super) fn restarted(&mut self, now: Instant) {
        self.liveness.begin(now);
        if self.phase == Phase::Disconnected {
            self.phase = Phase::Connected;
            let path = self.path();
            self.events.extend(path.map(LinkEvent::Reconnected));
        }
    }

    /// Gives back the allocations that the path does not use, but for one on another relay if the path is relayed.
    pub(super) fn release_spare_relays(&mut self, now: Instant) {
        let mut keep = Vec::new();
        if let Some(path) = self.path() {
            keep.push(*path.local_address.reveal());
            let of_peer = (path.remote == CandidateKind::Relayed).then(|| path.remote_address.reveal().ip());
            let in_use: Vec<_> = path.relay.map(|relay| relay.ip()).into_iter().chain(of_peer).collect();
            if !in_use.is_empty() {
                keep.extend(self.gatherer.standby(&in_use));
            }
        }
        for transmit in self.gatherer.release_all_but(&keep, now) {
            self.transmit(transmit);
        }
    }

    /// The core adopts our description, with which the agent forgets all candidates; then they are found anew.
    fn begin_anew(
        &mut self,
        description: RTCSessionDescription,
        bases: Option<Vec<SocketAddr>>,
        dead: Option<SocketAddr>,
        now: Instant,
    ) -> Result<LocalDescription, LinkError> {
        self.checks.restart();
        let mut made = self.described(description, now)?;
        self.phase = Phase::Disconnected;
        self.has_path = false;
        self.liveness.forget_path();
        self.release_relays_at = None;
        self.end_of_candidates_sent = false;
        self.remote_candidates = 0;
        self.told.clear();
        self.openings = Openings::default();
        self.ways.clear();
        if let Some(bases) = bases {
            self.gatherer = Gatherer::new(&self.config, bases, now)?;
        } else {
            for transmit in self.gatherer.restart(dead, self.config.expects_relays, now)? {
                self.transmit(transmit);
            }
        }
        // The candidates in it are those of before; the new ones must not come later than the checks sent from them, or
        // the peer would take a relay's address for ours.
        made.sdp = split_candidates(&made.sdp).0;
        while let Some(event) = self.gatherer.poll_event() {
            match event {
                GatherEvent::Candidate(candidate) if self.adopt(candidate) => {
                    made.sdp += &format!("a=candidate:{candidate}\r\n");
                }
                GatherEvent::Candidate(_) => {}
                other => self.handle_gathered(other, now),
            }
        }
        Ok(made)
    }

    /// The allocation through which the peer fell silent. One through which it is still heard is as good as any.
    fn dead_allocation(&mut self) -> Option<SocketAddr> {
        let silent = self.phase == Phase::Disconnected;
        let path = self.path().filter(|path| silent && path.local == CandidateKind::Relayed)?;
        Some(*path.local_address.reveal())
    }

    fn expect_established(&self, role: Role) -> Result<(), LinkError> {
        match self.phase {
            Phase::Ended => Err(LinkError::Closed),
            Phase::Connected | Phase::Disconnected if self.role == role => Ok(()),
            Phase::Opened | Phase::Connecting | Phase::Connected | Phase::Disconnected => {
                Err(LinkError::Core("a restart at the wrong time".to_owned()))
            }
        }
    }
}
