//! How calls get over a change of network, a dead relay, and silence.
//!
//! The switchboard says when; here is what is done: the peer is rung anew for signalling, the link begins ICE anew on
//! sockets of the new network, and fresh relays are sought.

use std::time::{Duration, Instant};

use super::{Desk, DeskInput};
use crate::base::CallId;
use crate::call::{Interruption, Limits, Rejoin};
use crate::engine::link_task::LinkJob;
use crate::engine::session::Opening;
use crate::engine::{Broken, CallPhase, Cause, Event, MediaPath};
use crate::link::Timings;
use crate::nat::{NetworkChange, NetworkWatch};

/// Silence of the peer after which its path counts as dead. Both sides send something three times as often.
const SILENCE: Duration = Duration::from_millis(500);

/// How long a call that rings looks for another way.
const REDIAL: Duration = Duration::from_secs(8);

/// As long as the call hopes, so does its link.
pub(super) fn timings() -> Timings {
    let failed_after = Limits::default().reconnect + Duration::from_secs(5);
    Timings { silence_after: Some(SILENCE), failed_after, ..Timings::default() }
}

/// Why a call was given up.
pub(super) fn cause_of_loss(interrupted: Option<(Instant, Broken)>) -> Option<Cause> {
    interrupted.map(|(since, _)| Cause::Silence { seconds: since.elapsed().as_secs() })
}

impl Desk {
    /// Reports changes of the network as long as there is somebody to hear of them. Loopback never changes.
    pub(super) fn watch_network(&self) {
        if self.rendezvous.is_none() || self.options.network.isolated {
            return;
        }
        let mut watch = match NetworkWatch::start() {
            Ok(watch) => watch,
            Err(why) => return tracing::warn!(%why, "changes of the network will be noticed late"),
        };
        let inbox = self.inbox.clone();
        tokio::spawn(
            async move { while inbox.send(DeskInput::NetworkChanged(watch.changed().await)).await.is_ok() {} },
        );
    }

    pub(super) fn network_changed(&mut self, change: NetworkChange, now: Instant) {
        tracing::info!(?change, "the network has changed");
        self.emit_at(now, Event::NetworkChanged);
        if let Some(rendezvous) = &self.rendezvous {
            rendezvous.network_changed(change.lost_way);
        }
        if change.lost_way {
            self.calls.values_mut().for_each(|live| live.moved = true);
            // Without any network there is nobody to be told; the next change brings one.
            if change.online {
                self.switchboard.moved(now);
            }
        }
    }

    pub(super) fn reconnecting(&mut self, call: CallId, why: Interruption, now: Instant) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        live.phase = CallPhase::Reconnecting;
        live.signalling_is_over = false;
        let relayed = live.path.as_ref().is_some_and(MediaPath::is_relayed);
        let (reason, since) = match why {
            Interruption::Silence if relayed => (Broken::RelaySilent, SILENCE),
            Interruption::Silence => (Broken::Silent, SILENCE),
            Interruption::WeMoved => (Broken::WeMoved, Duration::ZERO),
            Interruption::TheyMoved => (Broken::TheyMoved, Duration::ZERO),
        };
        live.interrupted = Some((now.checked_sub(since).unwrap_or(now), reason));
        self.emit_at(now, Event::Reconnecting { call, reason });
    }

    /// Looks for the peer of a running call.
    pub(super) fn rejoin(&mut self, call: CallId, rejoin: Rejoin) {
        self.dial_anew(call, Opening::Rejoin(rejoin), Limits::default().rejoin_every);
    }

    /// Signalling was lost while it rang.
    pub(super) fn redial(&mut self, call: CallId) {
        let invite = self.calls.get(&call).and_then(|live| live.invite.clone());
        if let Some(invite) = invite {
            self.dial_anew(call, Opening::Invite(invite), REDIAL);
        }
    }

    /// Finds out at once, while somebody waits for an answer, when a super-peer on the way dies: by itself its connection
    /// would show that after a minute.
    pub(super) fn check_ways(&self) {
        let waits = |phase| matches!(phase, CallPhase::Dialing | CallPhase::Ringing | CallPhase::Reconnecting);
        if let Some(rendezvous) = self.rendezvous.as_ref().filter(|_| self.calls.values().any(|live| waits(live.phase)))
        {
            rendezvous.check();
        }
    }

    fn dial_anew(&mut self, call: CallId, opening: Opening, patience: Duration) {
        let Some(rendezvous) = self.rendezvous.clone() else { return };
        let Some(peer) = self.calls.get(&call).and_then(|live| live.peer) else { return };
        let to = self.link_of(peer);
        let dial = self.dial_of(rendezvous, call, to, opening);
        self.signalling.spawn(dial.keep_ringing(patience));
    }

    /// ICE anew, by the peer's offer if there is one.
    pub(super) fn restart_link(&mut self, call: CallId, offer: Option<String>) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        let moved = std::mem::take(&mut live.moved);
        live.job(match offer {
            Some(offer) => LinkJob::AcceptRestart { offer, moved },
            None => LinkJob::Restart { moved },
        });
        self.seek_relays(call);
    }
}
