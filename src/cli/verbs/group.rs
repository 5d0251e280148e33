//! `group`: begins or joins a call of several, and stays until it is over.

use std::path::Path;
use std::time::{Duration, Instant};

use super::call::{ASK, reply_to};
use crate::base::GroupId;
use crate::cli::driver::{Action, Driver, Input};
use crate::cli::exit::Exit;
use crate::cli::keys::{Key, Keyboard};
use crate::cli::output::{Output, Report};
use crate::cli::session::Session;
use crate::cli::settings::GroupSettings;
use crate::cli::talk::{self, Talk};
use crate::engine::{
    self, CommandKind, Event, Failure, FailureKind, GroupCommand, GroupEvent, LeftReason, Options, RemoteVerb, Reply,
    whom,
};

/// How the call begins.
#[derive(Debug, Clone)]
pub enum Beginning {
    /// With these: links, or names of contacts.
    Start(Vec<String>),
    /// By a `twocans:join/…` link.
    Join(String),
    /// It was interrupted.
    Rejoin,
}

impl Beginning {
    /// The process that holds the profile does it, if there is one. Blocks.
    ///
    /// # Errors
    /// What that process says.
    pub fn elsewhere(&self, home: &Path, out: &mut dyn Output) -> Result<bool, Failure> {
        let (name, verb) = match self {
            Self::Start(people) => ("group start", RemoteVerb::GroupStart { people: people.clone() }),
            Self::Join(link) => ("group join", RemoteVerb::GroupJoin { link: link.clone() }),
            Self::Rejoin => ("group rejoin", RemoteVerb::GroupRejoin),
        };
        let answer = engine::ask_running(home, &verb)?;
        let done = answer.is_some();
        answer.into_iter().for_each(|answer| out.report(&Report::Running { verb: name, answer }));
        Ok(done)
    }
}

/// Stays until the call is over.
pub async fn run(
    mut options: Options,
    beginning: Beginning,
    settings: GroupSettings,
    out: &mut dyn Output,
) -> Result<Exit, Failure> {
    if let Some(limit) = settings.group_limit {
        options.group_limit = limit.0;
    }
    let mut session = Session::start(options, out)?;
    let command = match command(&mut session, beginning).await {
        Ok(command) => command,
        Err(failure) => {
            session.close_quietly().await;
            return Err(failure);
        }
    };
    let limit = settings.seconds.map(|seconds| seconds.0);
    session.run(&mut Group { command: Some(command), limit, talk: None, asked: false, leaving: false }).await
}

async fn command(session: &mut Session<'_>, beginning: Beginning) -> Result<GroupCommand, Failure> {
    let contacts = session.contacts().await?;
    Ok(match beginning {
        Beginning::Start(people) => {
            let people = people.iter().map(|who| whom::resolve(&contacts, who)).collect::<Result<Vec<_>, _>>()?;
            for link in &people {
                if let Some(name) = &link.name {
                    session.out().introduce(link.person, name);
                }
            }
            GroupCommand::Start { people, calls: Vec::new() }
        }
        Beginning::Join(link) => GroupCommand::Join { link },
        Beginning::Rejoin => GroupCommand::Resume,
    })
}

struct Group {
    /// Until we are online.
    command: Option<GroupCommand>,
    limit: Option<Duration>,
    talk: Option<Talk>,
    /// Whether we want to join is being asked.
    asked: bool,
    leaving: bool,
}

impl Group {
    fn event(&mut self, event: &Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Ready { .. } => {
                let command = self.command.take().map(|command| Action::Command(CommandKind::Group(command)));
                std::iter::once(Action::Keys(true)).chain(command).collect()
            }
            Event::CommandFinished { result: Ok(Reply::Group(group)), .. } => {
                self.talk.get_or_insert_with(|| Talk::of_group(*group, self.limit));
                Vec::new()
            }
            Event::CommandFinished { result: Err(failure), .. } if self.talk.is_none() => {
                vec![Action::Say(Report::Failure(failure.clone())), Action::Exit(failure.kind.into())]
            }
            Event::CommandFinished { result: Err(failure), .. } => {
                vec![Action::Say(Report::Failure(failure.clone()))]
            }
            Event::Group { group, event } => self.group(*group, event, now),
            Event::Incoming { call, .. } => vec![Action::Command(CommandKind::Decline { call: *call })],
            Event::Muted { by_peer: false, muted, .. } => {
                self.talk.iter_mut().for_each(|talk| talk.switched(*muted));
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn group(&mut self, group: GroupId, event: &GroupEvent, now: Instant) -> Vec<Action> {
        let talk = self.talk.get_or_insert_with(|| Talk::of_group(group, self.limit));
        if talk.group() != Some(group) {
            let declined = CommandKind::Group(reply_to(group, false));
            return if matches!(event, GroupEvent::Invited { .. }) {
                vec![Action::Command(declined)]
            } else {
                Vec::new()
            };
        }
        match event {
            // By a link. The sentence about it has said who is there and what they see of us.
            GroupEvent::Invited { .. } if Keyboard::is_there() => {
                self.asked = true;
                vec![Action::Say(Report::Note(ASK.into()))]
            }
            GroupEvent::Invited { .. } => vec![Action::Command(CommandKind::Group(reply_to(group, true)))],
            GroupEvent::Here { .. } => {
                talk.connected(now);
                Vec::new()
            }
            GroupEvent::Ended { reason, .. } => vec![Action::Keys(false), Action::Exit(exit_of(*reason))],
            GroupEvent::Started
            | GroupEvent::Joined
            | GroupEvent::Added { .. }
            | GroupEvent::Gone { .. }
            | GroupEvent::Removed { .. }
            | GroupEvent::NotComing { .. }
            | GroupEvent::Hearing { .. } => Vec::new(),
        }
    }

    fn key(&mut self, key: Key) -> Vec<Action> {
        let Some(talk) = &mut self.talk else { return Vec::new() };
        match (key, talk.group()) {
            (Key::Yes | Key::No, Some(group)) if std::mem::take(&mut self.asked) => {
                vec![Action::Command(CommandKind::Group(reply_to(group, key == Key::Yes)))]
            }
            (key, _) => talk.key(key),
        }
    }
}

fn exit_of(reason: LeftReason) -> Exit {
    match reason {
        LeftReason::Ours | LeftReason::Removed { .. } => Exit::Fine,
        LeftReason::Unreachable => FailureKind::Unreachable.into(),
        LeftReason::Refused(_) => FailureKind::Declined.into(),
        LeftReason::NoAnswer => FailureKind::NoAnswer.into(),
    }
}

impl Driver for Group {
    fn handle(&mut self, input: Input<'_>, now: Instant) -> Vec<Action> {
        match input {
            Input::Event(event) => self.event(event, now),
            Input::Key(Key::Quit | Key::HangUp) | Input::Interrupt => {
                talk::leave(self.talk.as_ref(), &mut self.leaving)
            }
            Input::Key(key) => self.key(key),
            Input::Deadline => self.talk.as_mut().map(|talk| talk.time_passed(now)).unwrap_or_default(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.talk.as_ref().and_then(Talk::deadline)
    }
}
