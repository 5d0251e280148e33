//! Calls with endpoints that are not ours, described by SDP alone.
//!
//! The front end carries the two descriptions; everything else is as in other calls, but for what a person we know and a
//! data channel would give: safety words, reports of how we are heard, and meeting again after a change of network.

use std::time::{Duration, Instant};

use super::Desk;
use super::commands::random;
use crate::base::{CallId, EndReason};
use crate::call::{ForeignCall, ForeignEvent, ForeignLimits, ForeignSide, LinkNews as CallNews};
use crate::engine::link_task::{LinkJob, LinkTask};
use crate::engine::seat::{self, Seat};
use crate::engine::sound::{preflight, resilience_settings};
use crate::engine::{Broken, CallPhase, CallSide, CommandResult, Event, Failure, FrameLength, Reply, relaying};
use crate::link::{
    ForeignDescription, ForeignError, LinkConfig, LocalDescription, Role, SdpKind, Timings, candidates_of,
    foreign_offer,
};
use crate::voice::{Ptime, Resilience};

/// What every endpoint takes (RFC 7587 §4.2): they do not say how they hear us, so nothing would tell that less or more
/// is better.
const FRAME_MS: u32 = 20;
/// Between rounds of checks while the other endpoint may not know of us for minutes yet.
const PATIENT_CHECKS: Duration = Duration::from_millis(100);
/// No link tries longer than this.
const LONGEST_TRY: Duration = Duration::from_secs(3600);

const LIMITS: ForeignLimits = ForeignLimits {
    gathering: Duration::from_secs(5),
    connecting: Duration::from_secs(30),
    first_audio: Duration::from_secs(3),
    silence: Duration::from_secs(25),
};

/// One such call.
pub(super) struct Foreign {
    pub machine: ForeignCall,
    side: ForeignSide,
    local: Option<LocalDescription>,
    remote: Option<ForeignDescription>,
}

impl Desk {
    pub(super) fn offer_sdp(&mut self, patience: Duration, now: Instant) -> Result<CallId, Failure> {
        let call = self.begin_foreign(ForeignSide::Offerer, patience, None, now)?;
        self.job_of(call, LinkJob::Offer);
        Ok(call)
    }

    pub(super) fn answer_sdp(&mut self, offer: &str, patience: Duration, now: Instant) -> Result<CallId, Failure> {
        let remote = ForeignDescription::read(SdpKind::Offer, offer).map_err(|why| unusable("offer", why))?;
        let offer = remote.for_link();
        let call = self.begin_foreign(ForeignSide::Answerer, patience, Some(remote), now)?;
        self.job_of(call, LinkJob::Answer { offer });
        Ok(call)
    }

    pub(super) fn accept_sdp(&mut self, call: CallId, answer: &str, now: Instant) -> CommandResult {
        let Some(foreign) = self.foreign.get_mut(&call).filter(|foreign| foreign.machine.awaits_answer()) else {
            return Err(Failure::usage("there is no offer that waits for an answer"));
        };
        let remote = ForeignDescription::read(SdpKind::Answer, answer).map_err(|why| unusable("answer", why))?;
        let answer = remote.for_link();
        foreign.remote = Some(remote);
        foreign.machine.answer_taken(now);
        self.job_of(call, LinkJob::Apply { answer });
        Ok(Reply::Done)
    }

    /// To whichever machine runs the call.
    pub(super) fn tell_machine(&mut self, call: CallId, news: CallNews, now: Instant) {
        match self.foreign.get_mut(&call) {
            Some(foreign) => foreign.machine.handle_link(news, now),
            None => self.switchboard.handle_link(call, news, now),
        }
    }

    /// False when there is no such call.
    pub(super) fn hang_up(&mut self, call: CallId, reason: EndReason, now: Instant) -> bool {
        match self.foreign.get_mut(&call) {
            Some(foreign) => foreign.machine.hang_up(reason),
            None => self.switchboard.hang_up(call, reason, now),
        }
    }

    /// The link made our description.
    pub(super) fn described(&mut self, call: CallId, made: LocalDescription, now: Instant) {
        match self.foreign.get_mut(&call) {
            Some(foreign) => {
                foreign.machine.described(candidates_of(&made.sdp), now);
                foreign.local = Some(made);
            }
            None => self.switchboard.described(call, made.sdp, made.fingerprint, made.ufrag, now),
        }
    }

    pub(super) fn handle_foreign_timeout(&mut self, now: Instant) {
        self.foreign.values_mut().for_each(|foreign| foreign.machine.handle_timeout(now));
    }

    pub(super) fn foreign_timeout(&self) -> Option<Instant> {
        self.foreign.values().filter_map(|foreign| foreign.machine.poll_timeout()).min()
    }

    pub(super) fn poll_foreign(&mut self) -> Option<(CallId, ForeignEvent)> {
        self.foreign.iter_mut().find_map(|(call, foreign)| Some((*call, foreign.machine.poll_event()?)))
    }

    pub(super) async fn handle_foreign_event(&mut self, call: CallId, event: ForeignEvent) {
        let now = Instant::now();
        match event {
            ForeignEvent::Described { candidates } => {
                if let Some(sdp) = self.foreign.get(&call).and_then(|foreign| foreign.complete(&candidates)) {
                    self.emit_at(now, Event::Described { call, sdp });
                }
            }
            ForeignEvent::Answered => self.foreign_answered(call, now),
            ForeignEvent::Connected => self.connected(call, now),
            ForeignEvent::Interrupted => {
                if let Some(live) = self.calls.get_mut(&call) {
                    live.phase = CallPhase::Reconnecting;
                    live.interrupted = Some((now, Broken::Silent));
                }
                self.emit_at(now, Event::Reconnecting { call, reason: Broken::Silent });
            }
            ForeignEvent::Recovered => self.reconnected(call, now),
            ForeignEvent::Ended(reason) => {
                self.end_call(call, reason, now).await;
                self.foreign.remove(&call);
            }
        }
    }

    fn foreign_answered(&mut self, call: CallId, now: Instant) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        live.phase = CallPhase::Connecting;
        live.answered_at = Some(now);
        self.emit_at(now, Event::Answered { call });
        if let Err(failure) = self.start_sound() {
            self.emit_at(now, Event::Failed(failure));
            self.hang_up(call, EndReason::Device, now);
        }
    }

    fn begin_foreign(
        &mut self,
        side: ForeignSide,
        patience: Duration,
        remote: Option<ForeignDescription>,
        now: Instant,
    ) -> Result<CallId, Failure> {
        if !self.calls.is_empty() {
            return Err(Failure::usage("there is a call already; hang up first"));
        }
        preflight(&self.options.audio)?;
        let call = CallId::from_bytes(random());
        let (call_side, role) = match side {
            ForeignSide::Offerer => (CallSide::Caller, Role::Offerer),
            ForeignSide::Answerer => (CallSide::Callee, Role::Answerer),
        };
        self.begin_call(call, None, call_side, now);
        let limits = match side {
            ForeignSide::Offerer => LIMITS,
            ForeignSide::Answerer => ForeignLimits { connecting: patience, ..LIMITS },
        };
        let machine = ForeignCall::new(side, patience, limits, now);
        self.foreign.insert(call, Foreign { machine, side, local: None, remote });
        let config = self.foreign_link_config(side, role, patience);
        let (media, desk) = (self.media.clone(), self.inbox.clone());
        let mut settings = resilience_settings(&self.options.audio);
        if self.options.audio.frame == FrameLength::Auto {
            settings.ptime = Ptime::from_ms(FRAME_MS);
        }
        if let Some(live) = self.calls.get_mut(&call) {
            live.resilience = Resilience::new(settings);
            let inlet = self.seats.entry(live.key).or_insert_with(Seat::new).inlet.clone();
            let sink = seat::sink(inlet, self.groups.helpers.clone(), None);
            live.link_task = Some(LinkTask::start(call, config, sink, media, desk));
        }
        let public_stun = self.options.network.stun_of_others().to_vec();
        tokio::spawn(relaying::seek_public_stun(call, public_stun, self.inbox.clone()));
        Ok(call)
    }

    fn foreign_link_config(&self, side: ForeignSide, role: Role, patience: Duration) -> LinkConfig {
        let (check_interval, failed_after) = match side {
            ForeignSide::Offerer => (Timings::default().check_interval, LIMITS.connecting),
            ForeignSide::Answerer => (PATIENT_CHECKS, patience.clamp(LIMITS.connecting, LONGEST_TRY)),
        };
        // They may keep quiet while they have nothing to say.
        let timings = Timings { silence_after: None, failed_after, check_interval, ..Timings::default() };
        LinkConfig { role, channel: false, expects_relays: true, timings, ..self.link_config_of_network() }
    }

    fn job_of(&self, call: CallId, job: LinkJob) {
        if let Some(live) = self.calls.get(&call) {
            live.job(job);
        }
    }
}

impl Foreign {
    /// Whether the other endpoint wants to hear us.
    pub fn listens(&self) -> bool {
        self.remote.as_ref().is_none_or(ForeignDescription::listens)
    }

    fn complete(&self, candidates: &[String]) -> Option<String> {
        let local = self.local.as_ref()?;
        Some(match (&self.remote, self.side) {
            (Some(offer), ForeignSide::Answerer) => offer.answer(local, candidates),
            (_, ForeignSide::Offerer) | (None, ForeignSide::Answerer) => foreign_offer(local, candidates),
        })
    }
}

fn unusable(what: &str, why: ForeignError) -> Failure {
    Failure::usage(format!("the {what} cannot be used: {why}"))
}
