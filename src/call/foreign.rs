//! A call whose signalling is two descriptions that somebody carries from one endpoint to the other by hand: with a
//! browser, a library, anything that speaks WebRTC. There is no person on the other side whom we know, no data channel,
//! and nobody to meet again when the path fails; what is left of a call's machine is small.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::LinkNews;
use crate::base::EndReason;

/// Candidates of ours that go into our description; a link finds fewer.
const MAX_CANDIDATES: usize = 64;

/// How long what may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignLimits {
    /// For our candidates; what is not found by then is left out.
    pub gathering: Duration,
    /// For the two endpoints to meet once both descriptions are known here. The other endpoint may get ours much later:
    /// a person carries it.
    pub connecting: Duration,
    /// For the first sound; then the other endpoint counts as silent, and the call as connected.
    pub first_audio: Duration,
    /// Silence of the path that a call survives (RFC 7675 §5.1 has consent expire after 30 s).
    pub silence: Duration,
}

/// Which description we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignSide {
    Offerer,
    Answerer,
}

/// ```text
///              described, all candidates known         the other's description
///  Gathering ───────────────────────────────► Offered ─────────────────────────► Connecting
///      └──────────── answerer: ours was the last description ────────────────────────▲ │ link connected
///                                                                                      ▼
///                                 Interrupted ◄────────────► Talking ◄──────────── LinkUp
///                                              silence, heard         first audio
///  every state ──► Ended
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Gathering,
    /// Our offer waits for its answer.
    Offered,
    Connecting,
    LinkUp,
    Talking,
    Interrupted,
    Ended,
}

/// What a foreign call tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForeignEvent {
    /// Our description is complete: the link's text and all candidates.
    Described {
        candidates: Vec<String>,
    },
    /// Both descriptions are known.
    Answered,
    /// The first sound was heard, or waited for in vain.
    Connected,
    Interrupted,
    Recovered,
    /// Terminal.
    Ended(EndReason),
}

pub struct ForeignCall {
    side: ForeignSide,
    state: State,
    limits: ForeignLimits,
    /// How long our offer waits for its answer.
    patience: Duration,
    described: bool,
    all_found: bool,
    heard: bool,
    candidates: Vec<String>,
    deadline: Option<Instant>,
    events: VecDeque<ForeignEvent>,
}

impl ForeignCall {
    /// `patience`: how long our offer may wait for its answer.
    pub fn new(side: ForeignSide, patience: Duration, limits: ForeignLimits, now: Instant) -> Self {
        Self {
            side,
            state: State::Gathering,
            limits,
            patience,
            described: false,
            all_found: false,
            heard: false,
            candidates: Vec::new(),
            deadline: Some(now + limits.gathering),
            events: VecDeque::new(),
        }
    }

    /// The link made our description; `candidates`: those that were known by then.
    pub fn described(&mut self, candidates: Vec<String>, now: Instant) {
        if self.state == State::Gathering && !self.described {
            self.described = true;
            candidates.into_iter().for_each(|candidate| self.found(candidate));
            self.tell_when_complete(now);
        }
    }

    /// A candidate of ours, or `None` after the last. One that comes too late is of no use: nobody would be told.
    pub fn local_candidate(&mut self, candidate: Option<String>, now: Instant) {
        if self.state != State::Gathering {
            return;
        }
        match candidate {
            Some(candidate) => self.found(candidate),
            None => {
                self.all_found = true;
                self.tell_when_complete(now);
            }
        }
    }

    /// Whether an answer can be taken now.
    pub fn awaits_answer(&self) -> bool {
        self.state == State::Offered
    }

    /// The link was given the answer to our offer.
    pub fn answer_taken(&mut self, now: Instant) {
        if self.awaits_answer() {
            self.connect(now);
        }
    }

    pub fn handle_link(&mut self, news: LinkNews, now: Instant) {
        match (news, self.state) {
            // An answerer's link may be up before all our candidates are known.
            (LinkNews::Connected, State::Gathering | State::Offered | State::Connecting) => {
                self.enter(State::LinkUp, Some(now + self.limits.first_audio));
                if self.heard {
                    self.talk();
                }
            }
            (LinkNews::FirstAudio, State::LinkUp) => self.talk(),
            (LinkNews::FirstAudio, _) => self.heard = true,
            (LinkNews::Interrupted, State::LinkUp | State::Talking) => {
                self.enter(State::Interrupted, Some(now + self.limits.silence));
                self.events.push_back(ForeignEvent::Interrupted);
            }
            (LinkNews::Recovered, State::Interrupted) => {
                self.enter(State::Talking, None);
                self.events.push_back(ForeignEvent::Recovered);
            }
            (LinkNews::Failed, State::LinkUp | State::Talking | State::Interrupted) => {
                self.end(EndReason::ConnectionLost);
            }
            (LinkNews::Failed, State::Gathering | State::Offered | State::Connecting) => {
                self.end(EndReason::Unreachable);
            }
            (LinkNews::FingerprintMismatch, _) => self.end(EndReason::FingerprintMismatch),
            (LinkNews::Failed, State::Ended)
            | (LinkNews::Connected | LinkNews::ChannelOpen | LinkNews::Interrupted | LinkNews::Recovered, _) => {}
        }
    }

    /// The link was closed by the other endpoint.
    pub fn closed(&mut self) {
        self.end(EndReason::RemoteHangUp);
    }

    /// False when the call was over already.
    pub fn hang_up(&mut self, reason: EndReason) -> bool {
        let running = self.state != State::Ended;
        self.end(reason);
        running
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_none_or(|at| now < at) {
            return;
        }
        self.deadline = None;
        match self.state {
            // What is there has to do; without a description there is nothing.
            State::Gathering if self.described => {
                self.all_found = true;
                self.tell_when_complete(now);
            }
            State::Gathering | State::Connecting => self.end(EndReason::Unreachable),
            State::Offered => self.end(EndReason::NoAnswer),
            State::LinkUp => self.talk(),
            State::Interrupted => self.end(EndReason::ConnectionLost),
            State::Talking | State::Ended => {}
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    pub fn poll_event(&mut self) -> Option<ForeignEvent> {
        self.events.pop_front()
    }

    fn found(&mut self, candidate: String) {
        if self.candidates.len() < MAX_CANDIDATES && !self.candidates.contains(&candidate) {
            self.candidates.push(candidate);
        }
    }

    fn tell_when_complete(&mut self, now: Instant) {
        if !self.described || !self.all_found {
            return;
        }
        let candidates = std::mem::take(&mut self.candidates);
        self.events.push_back(ForeignEvent::Described { candidates });
        match self.side {
            ForeignSide::Offerer => self.enter(State::Offered, Some(now + self.patience)),
            ForeignSide::Answerer => self.connect(now),
        }
    }

    fn connect(&mut self, now: Instant) {
        self.enter(State::Connecting, Some(now + self.limits.connecting));
        self.events.push_back(ForeignEvent::Answered);
    }

    fn talk(&mut self) {
        self.enter(State::Talking, None);
        self.events.push_back(ForeignEvent::Connected);
    }

    fn end(&mut self, reason: EndReason) {
        if self.state != State::Ended {
            self.enter(State::Ended, None);
            self.events.push_back(ForeignEvent::Ended(reason));
        }
    }

    fn enter(&mut self, state: State, deadline: Option<Instant>) {
        self.state = state;
        self.deadline = deadline;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ForeignLimits = ForeignLimits {
        gathering: Duration::from_secs(5),
        connecting: Duration::from_secs(30),
        first_audio: Duration::from_secs(2),
        silence: Duration::from_secs(25),
    };
    const PATIENCE: Duration = Duration::from_secs(100);

    fn call(side: ForeignSide) -> (ForeignCall, Instant) {
        let now = Instant::now();
        (ForeignCall::new(side, PATIENCE, LIMITS, now), now)
    }

    fn told(call: &mut ForeignCall) -> Vec<ForeignEvent> {
        std::iter::from_fn(|| call.poll_event()).collect()
    }

    fn offered() -> (ForeignCall, Instant) {
        let (mut call, now) = call(ForeignSide::Offerer);
        call.described(vec!["a".into()], now);
        call.local_candidate(Some("b".into()), now);
        assert!(told(&mut call).is_empty(), "not all candidates are known");
        call.local_candidate(None, now);
        assert_eq!(told(&mut call), [ForeignEvent::Described { candidates: vec!["a".into(), "b".into()] }]);
        (call, now)
    }

    #[test]
    fn an_offer_is_complete_and_leads_to_a_conversation() {
        let (mut call, now) = offered();
        assert!(call.awaits_answer());
        call.answer_taken(now);
        call.handle_link(LinkNews::Connected, now);
        call.handle_link(LinkNews::FirstAudio, now);
        assert_eq!(told(&mut call), [ForeignEvent::Answered, ForeignEvent::Connected]);
        assert!(!call.awaits_answer());
        assert_eq!(call.poll_timeout(), None);
        call.handle_link(LinkNews::Interrupted, now);
        call.handle_link(LinkNews::Recovered, now);
        call.closed();
        assert!(!call.hang_up(EndReason::HangUp));
        let ends = [ForeignEvent::Interrupted, ForeignEvent::Recovered, ForeignEvent::Ended(EndReason::RemoteHangUp)];
        assert_eq!(told(&mut call), ends);
    }

    #[test]
    fn every_wait_has_an_end() {
        let end_of = |call: &mut ForeignCall| {
            let at = call.poll_timeout().expect("a deadline");
            call.handle_timeout(at - Duration::from_millis(1));
            assert!(told(call).is_empty(), "too early");
            call.handle_timeout(at);
            told(call)
        };
        let (mut gathering, _) = call(ForeignSide::Offerer);
        assert_eq!(end_of(&mut gathering), [ForeignEvent::Ended(EndReason::Unreachable)]);

        let (mut slow, now) = call(ForeignSide::Answerer);
        slow.described(vec!["a".into()], now);
        let complete = ForeignEvent::Described { candidates: vec!["a".into()] };
        assert_eq!(end_of(&mut slow), [complete, ForeignEvent::Answered]);
        assert_eq!(end_of(&mut slow), [ForeignEvent::Ended(EndReason::Unreachable)]);

        let (mut waiting, _) = offered();
        assert_eq!(end_of(&mut waiting), [ForeignEvent::Ended(EndReason::NoAnswer)]);

        let (mut silent, now) = offered();
        silent.answer_taken(now);
        silent.handle_link(LinkNews::Connected, now);
        told(&mut silent);
        assert_eq!(end_of(&mut silent), [ForeignEvent::Connected]);
        silent.handle_link(LinkNews::Interrupted, now);
        told(&mut silent);
        assert_eq!(end_of(&mut silent), [ForeignEvent::Ended(EndReason::ConnectionLost)]);
        assert_eq!(silent.poll_timeout(), None);
    }

    #[test]
    fn how_a_link_dies_decides_how_the_call_ends() {
        for (news, connected, reason) in [
            (LinkNews::Failed, false, EndReason::Unreachable),
            (LinkNews::Failed, true, EndReason::ConnectionLost),
            (LinkNews::FingerprintMismatch, false, EndReason::FingerprintMismatch),
        ] {
            let (mut call, now) = offered();
            call.answer_taken(now);
            if connected {
                call.handle_link(LinkNews::Connected, now);
            }
            told(&mut call);
            call.handle_link(news, now);
            assert_eq!(told(&mut call), [ForeignEvent::Ended(reason)]);
            call.handle_link(news, now);
            assert!(told(&mut call).is_empty());
        }
    }
}
