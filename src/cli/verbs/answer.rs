//! `answer`: wait for calls, and take them as the user says.

use std::time::{Duration, Instant};

use super::call::{ASK, reply_to};
use crate::base::GroupId;
use crate::cli::driver::{Action, Driver, Input};
use crate::cli::exit::{Exit, failure_of, usage};
use crate::cli::keys::{Key, Keyboard};
use crate::cli::output::{Output, Report};
use crate::cli::session::Session;
use crate::cli::settings::AnswerSettings;
use crate::cli::talk::Talk;
use crate::cli::values::Callers;
use crate::engine::{
    self, CommandKind, EndReason, Event, Failure, GroupCommand, GroupEvent, Options, SinkSpec, SourceSpec,
};

pub async fn run(mut options: Options, settings: AnswerSettings, out: &mut dyn Output) -> Result<Exit, Failure> {
    let policy = Policy::of(&settings, Keyboard::is_there())?;
    if !policy.needs_a_human() && options.audio.ring_device == SinkSpec::Default {
        options.audio.ring_device = SinkSpec::Null;
    }
    let link = engine::my_link(&options.home)?;
    let mut session = Session::start(options, out)?;
    session.say(&Report::Note(format!("Your link, to give to people who may call you: {link}")));
    session.say(&Report::Note(policy.promise().into()));
    if let Err(failure) = session.contacts().await {
        session.close_quietly().await;
        return Err(failure);
    }
    session.run(&mut Answer::new(policy, &settings)).await
}

/// Answers everybody and plays back what it hears.
pub async fn echo(mut options: Options, out: &mut dyn Output) -> Result<Exit, Failure> {
    options.audio.mic = SourceSpec::Silence;
    options.audio.speaker = SinkSpec::Null;
    options.audio.ring_device = SinkSpec::Null;
    options.audio.echo = true;
    let settings = AnswerSettings { auto: Some(true), from: Some(Callers::Anyone), ..AnswerSettings::default() };
    out.report(&Report::Note("Whoever calls hears themselves, a second later.".into()));
    run(options, settings, out).await
}

/// What happens to a call that comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// Ask y/n.
    Ask,
    Answer(Callers),
    Decline,
    LetItRing,
    /// Nobody can be asked.
    NoTerminal,
}

impl Policy {
    /// Whether somebody is to hear the ringing. A ring device that was named rings in any case.
    fn needs_a_human(self) -> bool {
        match self {
            Self::Ask | Self::LetItRing => true,
            Self::Answer(_) | Self::Decline | Self::NoTerminal => false,
        }
    }

    fn of(settings: &AnswerSettings, terminal: bool) -> Result<Self, Failure> {
        let said = |flag: Option<bool>| flag.unwrap_or(false);
        let scripted = (said(settings.auto), said(settings.decline), said(settings.no_answer));
        match (scripted, settings.from) {
            ((true, false, false), Some(callers)) => Ok(Self::Answer(callers)),
            ((true, false, false), None) => Err(usage(
                "--auto needs --from contacts or --from anyone: with it the microphone opens without a question",
            )),
            ((false, true, false), _) => Ok(Self::Decline),
            ((false, false, true), _) => Ok(Self::LetItRing),
            ((false, false, false), _) if terminal => Ok(Self::Ask),
            ((false, false, false), _) => Ok(Self::NoTerminal),
            _ => Err(usage("--auto, --decline and --no-answer exclude each other; choose one")),
        }
    }

    fn promise(self) -> &'static str {
        match self {
            Self::Ask => "Waiting for calls; you will be asked. Ctrl-C stops.",
            Self::Answer(Callers::Contacts) => "Answering calls of contacts, declining others. Ctrl-C stops.",
            Self::Answer(Callers::Anyone) => "Answering every call. Ctrl-C stops.",
            Self::Decline => "Declining every call. Ctrl-C stops.",
            Self::LetItRing => "Letting every call ring. Ctrl-C stops.",
            Self::NoTerminal => {
                "There is no terminal to ask at, so every call is declined; use --auto --from contacts to answer."
            }
        }
    }
}

/// What we do with a ringing call by ourselves, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Answer(Instant),
    Decline(Instant),
    Ask,
    Nothing,
}

#[derive(Debug)]
enum Stage {
    Ringing(Plan),
    Answered,
    Declined,
}

#[derive(Debug)]
struct Current {
    talk: Talk,
    stage: Stage,
}

struct Answer {
    policy: Policy,
    after: Duration,
    once: bool,
    limit: Option<Duration>,
    current: Option<Current>,
    /// Somebody wants the call under way to become this group call.
    asked: Option<GroupId>,
    leaving: bool,
}

impl Answer {
    fn new(policy: Policy, settings: &AnswerSettings) -> Self {
        Self {
            policy,
            after: settings.answer_after.map_or(Duration::ZERO, |seconds| seconds.0),
            once: settings.once.unwrap_or(false),
            limit: settings.seconds.map(|seconds| seconds.0),
            current: None,
            asked: None,
            leaving: false,
        }
    }

    fn plan(&self, known: bool, now: Instant) -> Plan {
        match self.policy {
            Policy::Ask => Plan::Ask,
            Policy::Answer(Callers::Contacts) if !known => Plan::Decline(now),
            Policy::Answer(_) => Plan::Answer(now + self.after),
            Policy::Decline => Plan::Decline(now + self.after),
            Policy::LetItRing => Plan::Nothing,
            Policy::NoTerminal => Plan::Decline(now),
        }
    }

    /// Carries out a plan whose time has come.
    fn follow_plan(&mut self, now: Instant) -> Vec<Action> {
        let Some(current) = &mut self.current else { return Vec::new() };
        let call = current.talk.call;
        match current.stage {
            Stage::Ringing(Plan::Answer(at)) if at <= now => {
                current.stage = Stage::Answered;
                vec![Action::Command(match current.talk.group() {
                    Some(group) => CommandKind::Group(reply_to(group, true)),
                    None => CommandKind::Answer { call },
                })]
            }
            Stage::Ringing(Plan::Decline(at)) if at <= now => {
                current.stage = Stage::Declined;
                vec![decline(&current.talk)]
            }
            Stage::Ringing(_) | Stage::Answered | Stage::Declined => current.talk.time_passed(now),
        }
    }

    fn event(&mut self, event: &Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Incoming { call, .. } if self.current.is_some() || self.leaving => {
                vec![Action::Command(CommandKind::Decline { call: *call })]
            }
            Event::Incoming { call, known, .. } => {
                let plan = self.plan(*known, now);
                self.current = Some(Current { talk: Talk::new(*call, self.limit), stage: Stage::Ringing(plan) });
                let mut actions = vec![Action::Keys(true)];
                if plan == Plan::Ask {
                    actions.push(Action::Say(Report::Note("Answer? Press y or n.".into())));
                }
                if self.policy == Policy::NoTerminal {
                    actions.push(Action::Say(Report::Note("Declined: there is no terminal to ask at.".into())));
                }
                actions.extend(self.follow_plan(now));
                actions
            }
            // Another process of this profile has asked for a call.
            Event::Dialing { call, .. } if self.current.is_none() => {
                self.current = Some(Current { talk: Talk::new(*call, self.limit), stage: Stage::Answered });
                vec![Action::Keys(true)]
            }
            Event::Connected { call, .. } => {
                if let Some(current) = self.current.as_mut().filter(|current| current.talk.is(call)) {
                    current.talk.connected(now);
                }
                Vec::new()
            }
            Event::Group { group, event } => self.group(*group, event, now),
            Event::Ended { call, reason, .. } if self.current.as_ref().is_some_and(|now| now.talk.is(call)) => {
                if !self.current.as_mut().is_some_and(|current| current.talk.call_ended()) {
                    return Vec::new();
                }
                self.current = None;
                let mut actions = vec![Action::Keys(false)];
                if self.once || self.leaving {
                    actions.push(Action::Exit(exit_after(*reason)));
                }
                actions
            }
            Event::Muted { by_peer: false, muted, .. } => {
                if let Some(current) = &mut self.current {
                    current.talk.switched(*muted);
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn group(&mut self, group: GroupId, event: &GroupEvent, now: Instant) -> Vec<Action> {
        match (event, &mut self.current) {
            (GroupEvent::Invited { .. }, _) if self.leaving => vec![group_command(reply_to(group, false))],
            (GroupEvent::Invited { known, .. }, None) => {
                let plan = self.plan(*known, now);
                self.current = Some(Current { talk: Talk::of_group(group, self.limit), stage: Stage::Ringing(plan) });
                let ask = (plan == Plan::Ask).then(|| Action::Say(Report::Note(ASK.into())));
                let keys = std::iter::once(Action::Keys(true));
                keys.chain(ask).chain(self.follow_plan(now)).collect()
            }
            // Into a group call out of the call that is under way.
            (GroupEvent::Invited { .. }, Some(current)) => match (self.policy, &current.stage) {
                (Policy::Answer(_), Stage::Answered) if current.talk.group().is_none() => {
                    vec![group_command(reply_to(group, true))]
                }
                (Policy::Ask, Stage::Answered) if current.talk.group().is_none() => {
                    self.asked = Some(group);
                    vec![Action::Say(Report::Note(ASK.into()))]
                }
                _ => vec![group_command(reply_to(group, false))],
            },
            // Or another process of this profile has begun one, or joined one.
            (GroupEvent::Started | GroupEvent::Joined, None) => {
                self.current = Some(Current { talk: Talk::of_group(group, self.limit), stage: Stage::Answered });
                vec![Action::Keys(true)]
            }
            (GroupEvent::Started | GroupEvent::Joined, Some(current)) => {
                current.talk.join(group);
                current.stage = Stage::Answered;
                Vec::new()
            }
            (GroupEvent::Here { .. }, Some(current)) if current.talk.group() == Some(group) => {
                current.talk.connected(now);
                Vec::new()
            }
            (GroupEvent::Ended { .. }, Some(current)) if current.talk.group() == Some(group) => {
                if !current.talk.group_ended() {
                    return Vec::new();
                }
                self.current = None;
                let end = (self.once || self.leaving).then_some(Action::Exit(Exit::Fine));
                std::iter::once(Action::Keys(false)).chain(end).collect()
            }
            (GroupEvent::Ended { .. }, _) if self.asked == Some(group) => {
                self.asked = None;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn key(&mut self, key: Key, now: Instant) -> Vec<Action> {
        if let (Key::Yes | Key::No, Some(group)) = (key, self.asked) {
            self.asked = None;
            return vec![group_command(reply_to(group, key == Key::Yes))];
        }
        let Some(current) = &mut self.current else { return self.leave_on(key) };
        match (&current.stage, key) {
            (Stage::Ringing(Plan::Ask | Plan::Nothing), Key::Yes) => {
                current.stage = Stage::Ringing(Plan::Answer(now));
                self.follow_plan(now)
            }
            (Stage::Ringing(_), Key::No | Key::HangUp) => {
                current.stage = Stage::Ringing(Plan::Decline(now));
                self.follow_plan(now)
            }
            (_, Key::Quit) => self.leave(),
            (Stage::Ringing(_) | Stage::Declined, _) => Vec::new(),
            (Stage::Answered, key) => current.talk.key(key),
        }
    }

    fn leave_on(&mut self, key: Key) -> Vec<Action> {
        if key == Key::Quit { self.leave() } else { Vec::new() }
    }

    /// Ends the call first, and the program when it has ended.
    fn leave(&mut self) -> Vec<Action> {
        let first = !std::mem::replace(&mut self.leaving, true);
        match &self.current {
            Some(current) if first => match current.stage {
                Stage::Ringing(_) => vec![decline(&current.talk)],
                Stage::Answered | Stage::Declined => vec![current.talk.hang_up()],
            },
            Some(_) | None => vec![Action::Exit(Exit::Fine)],
        }
    }
}

fn decline(talk: &Talk) -> Action {
    Action::Command(match talk.group() {
        Some(group) => CommandKind::Group(reply_to(group, false)),
        None => CommandKind::Decline { call: talk.call },
    })
}

fn group_command(command: GroupCommand) -> Action {
    Action::Command(CommandKind::Group(command))
}

/// A caller who gave up, or a call declined as asked, is no failure of the one who waits for calls.
fn exit_after(reason: EndReason) -> Exit {
    match reason {
        EndReason::Declined | EndReason::NoAnswer | EndReason::Busy => Exit::Fine,
        reason => failure_of(reason, "", None).map_or(Exit::Fine, |failure| failure.kind.into()),
    }
}

impl Driver for Answer {
    fn handle(&mut self, input: Input<'_>, now: Instant) -> Vec<Action> {
        match input {
            Input::Event(event) => self.event(event, now),
            Input::Key(key) => self.key(key, now),
            Input::Interrupt => self.leave(),
            Input::Deadline => self.follow_plan(now),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let current = self.current.as_ref()?;
        match current.stage {
            Stage::Ringing(Plan::Answer(at) | Plan::Decline(at)) => Some(at),
            Stage::Ringing(Plan::Ask | Plan::Nothing) | Stage::Declined => None,
            Stage::Answered => current.talk.deadline(),
        }
    }
}

#[cfg(test)]
mod tests;
