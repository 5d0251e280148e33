//! `sdp`: a call with any WebRTC endpoint, whose two descriptions are files that somebody carries.

mod exchange;

use std::path::Path;
use std::time::{Duration, Instant};

use self::exchange::{Exchange, Kind};
use crate::base::CallId;
use crate::cli::args::SdpSide;
use crate::cli::clock;
use crate::cli::driver::{Action, Driver, Input};
use crate::cli::exit::{Exit, failure_of};
use crate::cli::keys::Key;
use crate::cli::output::{Output, Report, SdpStep};
use crate::cli::session::Session;
use crate::cli::settings::SdpSettings;
use crate::cli::talk::{self, Talk};
use crate::engine::{CommandKind, Event, Failure, FailureKind, Options, Reply, Retry, SinkSpec, name_of_nameless};

/// How long the other side's file is waited for unless told otherwise: a person may carry it.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often the folder is looked into.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Writes one file, waits for the other, and talks until somebody hangs up.
pub async fn run(
    mut options: Options,
    side: SdpSide,
    dir: &Path,
    settings: SdpSettings,
    out: &mut dyn Output,
) -> Result<Exit, Failure> {
    let exchange = Exchange::open(dir)?;
    options.online = false;
    // Nothing rings.
    options.audio.ring_device = SinkSpec::Null;
    let mut session = Session::start(options, out)?;
    if side == SdpSide::Answer {
        session.say(&exchange.report(Kind::Offer, SdpStep::Awaited));
    }
    let verb = SdpCall::new(side, exchange, &settings, clock::now());
    session.run(&mut { verb }).await
}

/// ```text
///  offer:   Starting ──► Describing ──► AwaitingFile ──► Talking
///  answer:  AwaitingFile ──► Describing ──► Talking
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing was asked of the engine yet.
    Starting,
    /// The engine makes our description.
    Describing,
    AwaitingFile,
    /// Both descriptions are with the engine.
    Talking,
}

struct SdpCall {
    side: SdpSide,
    exchange: Exchange,
    step: Step,
    patience: Duration,
    give_up_at: Instant,
    look_at: Instant,
    limit: Option<Duration>,
    talk: Option<Talk>,
    leaving: bool,
}

impl SdpCall {
    fn new(side: SdpSide, exchange: Exchange, settings: &SdpSettings, now: Instant) -> Self {
        let patience = settings.ring_timeout.map_or(PATIENCE, |seconds| seconds.0);
        Self {
            side,
            exchange,
            step: if side == SdpSide::Offer { Step::Starting } else { Step::AwaitingFile },
            patience,
            give_up_at: now + patience,
            look_at: now,
            limit: settings.seconds.map(|seconds| seconds.0),
            talk: None,
            leaving: false,
        }
    }

    /// Looks for the other side's file.
    fn look(&mut self, now: Instant) -> Vec<Action> {
        let (kind, talk) = match self.side {
            SdpSide::Offer => (Kind::Answer, self.talk.as_ref()),
            SdpSide::Answer => (Kind::Offer, None),
        };
        let sdp = match self.exchange.read(kind, now) {
            Ok(Some(sdp)) => sdp,
            // The engine gives up on an offer that nobody answers.
            Ok(None) if talk.is_none() && now >= self.give_up_at => return fail(self.nobody_came(kind)),
            Ok(None) => {
                self.look_at = now + LOOK_EVERY;
                return Vec::new();
            }
            Err(failure) => return fail(failure),
        };
        let found = self.exchange.report(kind, SdpStep::Read);
        let command = match talk {
            Some(talk) => {
                self.step = Step::Talking;
                CommandKind::AcceptSdp { call: talk.call, answer: sdp }
            }
            None => {
                self.step = Step::Describing;
                CommandKind::AnswerSdp { offer: sdp, patience: self.patience }
            }
        };
        vec![Action::Say(found), Action::Command(command)]
    }

    /// Our description is complete.
    fn described(&mut self, sdp: &str, now: Instant) -> Vec<Action> {
        let kind = if self.side == SdpSide::Offer { Kind::Offer } else { Kind::Answer };
        if let Err(failure) = self.exchange.write(kind, sdp) {
            return fail(failure);
        }
        let warning = "This call has no safety words: it is as private as the way on which the two files travel.";
        let mut said = vec![self.exchange.report(kind, SdpStep::Written), Report::Note(warning.to_owned())];
        if kind == Kind::Offer {
            (self.step, self.look_at) = (Step::AwaitingFile, now);
            said.push(self.exchange.report(Kind::Answer, SdpStep::Awaited));
        } else {
            self.step = Step::Talking;
        }
        said.into_iter().map(Action::Say).collect()
    }

    fn event(&mut self, event: &Event, now: Instant) -> Vec<Action> {
        let is_ours = |call: &CallId| self.talk.as_ref().is_some_and(|talk| talk.is(call));
        match event {
            Event::CommandFinished { result: Ok(Reply::Call(call)), .. } => {
                self.talk.get_or_insert_with(|| Talk::new(*call, self.limit));
                Vec::new()
            }
            Event::CommandFinished { result: Err(failure), .. } => fail(failure.clone()),
            Event::Described { call, sdp } => {
                self.talk.get_or_insert_with(|| Talk::new(*call, self.limit));
                self.described(sdp, now)
            }
            Event::Connected { call, .. } => {
                if let Some(talk) = self.talk.as_mut().filter(|talk| talk.is(call)) {
                    talk.connected(now);
                }
                Vec::new()
            }
            Event::Ended { call, reason, cause, .. } if is_ours(call) => {
                let Some(failure) = failure_of(*reason, &name_of_nameless(None), *cause) else {
                    return vec![Action::Exit(Exit::Fine)];
                };
                let exit = failure.kind.into();
                vec![Action::Keys(false), Action::Say(Report::CallFailure(failure)), Action::Exit(exit)]
            }
            Event::Muted { by_peer: false, muted, .. } => {
                if let Some(talk) = &mut self.talk {
                    talk.switched(*muted);
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn time_passed(&mut self, now: Instant) -> Vec<Action> {
        match self.step {
            Step::Starting => {
                self.step = Step::Describing;
                let offer = CommandKind::OfferSdp { patience: self.patience };
                vec![Action::Keys(true), Action::Command(offer)]
            }
            Step::AwaitingFile if now >= self.look_at => self.look(now),
            Step::AwaitingFile | Step::Describing => Vec::new(),
            Step::Talking => self.talk.as_mut().map(|talk| talk.time_passed(now)).unwrap_or_default(),
        }
    }

    fn nobody_came(&self, kind: Kind) -> Failure {
        let (file, waited) = (self.exchange.path(kind), self.patience.as_secs());
        let detail = format!("no {} came within {waited} s; --ring-timeout makes it longer", file.display());
        Failure { kind: FailureKind::NoAnswer, retry: Retry::Later, detail }
    }
}

fn fail(failure: Failure) -> Vec<Action> {
    let exit = failure.kind.into();
    vec![Action::Keys(false), Action::Say(Report::Failure(failure)), Action::Exit(exit)]
}

impl Driver for SdpCall {
    fn handle(&mut self, input: Input<'_>, now: Instant) -> Vec<Action> {
        match input {
            Input::Event(event) => self.event(event, now),
            Input::Key(Key::Quit | Key::HangUp) | Input::Interrupt => {
                talk::leave(self.talk.as_ref(), &mut self.leaving)
            }
            Input::Key(key) => self.talk.as_mut().map(|talk| talk.key(key)).unwrap_or_default(),
            Input::Deadline => self.time_passed(now),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.step {
            Step::Starting | Step::AwaitingFile => Some(self.look_at),
            Step::Describing => None,
            Step::Talking => self.talk.as_ref().and_then(Talk::deadline),
        }
    }
}

#[cfg(test)]
mod tests;
