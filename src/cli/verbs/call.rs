//! `call`: dial, ring, talk until hang-up.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::base::GroupId;
use crate::cli::driver::{Action, Driver, Input};
use crate::cli::exit::{Exit, failure_of, usage};
use crate::cli::keys::Key;
use crate::cli::output::{Output, Report};
use crate::cli::resolve::RING_TIMEOUT;
use crate::cli::run::block_on;
use crate::cli::session::Session;
use crate::cli::settings::CallSettings;
use crate::cli::talk::{self, Talk};
use crate::engine::whom::{self, Whom};
use crate::engine::{
    self, CommandKind, Event, Failure, FailureKind, GroupCommand, GroupEvent, Options, RemoteVerb, Reply,
};
use crate::identity::Link;

/// Who is to be called, once that is settled.
pub struct Callee {
    link: Link,
    name: Option<String>,
}

/// Settles whom to call before anything goes online, so that a typing error never waits for a network or a device.
/// `None`: the process that holds the profile has taken the call over. Blocks.
///
/// # Errors
/// A usage failure when nobody is meant, more than one, or oneself.
pub fn callee(home: &Path, to: &str, out: &mut dyn Output) -> Result<Option<Callee>, Failure> {
    let callee = match whom::parse(to)? {
        Whom::Link(link) => Ok(Callee { name: link.name.clone(), link }),
        Whom::Name(name) => block_on(contact(home, &name, out)),
    };
    let link = match &callee {
        Ok(callee) => {
            refuse_myself(home, &callee.link)?;
            callee.link.to_string()
        }
        // The holder of the profile has the address book and may know whom the name means.
        Err(failure) if failure.kind == FailureKind::ProfileInUse => to.to_owned(),
        Err(failure) => return Err(failure.clone()),
    };
    match engine::ask_running(home, &RemoteVerb::Call { link })? {
        Some(answer) => {
            out.report(&Report::Running { verb: "call", answer });
            Ok(None)
        }
        None => callee.map(Some),
    }
}

/// Dials, and stays until the call is over.
pub async fn run(
    options: Options,
    callee: Callee,
    settings: CallSettings,
    out: &mut dyn Output,
) -> Result<Exit, Failure> {
    let Callee { link, name } = callee;
    let mut session = Session::start(options, out)?;
    let contacts = match session.contacts().await {
        Ok(contacts) => contacts,
        Err(failure) => {
            session.close_quietly().await;
            return Err(failure);
        }
    };
    let known = contacts.into_iter().find(|contact| contact.person == link.person);
    let name = known.and_then(|contact| contact.name).or(name);
    if let Some(name) = &name {
        session.out().introduce(link.person, name);
    }
    session.run(&mut Dial::new(link, name, &settings)).await
}

async fn contact(home: &Path, name: &str, out: &mut dyn Output) -> Result<Callee, Failure> {
    let mut session = Session::start(Options::offline(home), out)?;
    let contacts = session.contacts().await;
    session.close_quietly().await;
    let contacts = contacts?;
    let contact = whom::by_name(&contacts, name)?;
    Ok(Callee { link: contact.link.clone(), name: contact.name.clone() })
}

fn refuse_myself(home: &Path, link: &Link) -> Result<(), Failure> {
    if engine::my_link(home)?.person == link.person {
        return Err(usage(
            "that is your own link, and nobody can call themselves; for a call on this machine try `twocans demo`, or \
             give the other side a profile of its own with --home",
        ));
    }
    Ok(())
}

struct Dial {
    to: Link,
    name: String,
    ring_timeout: Duration,
    limit: Option<Duration>,
    talk: Option<Talk>,
    /// Somebody wants it to become this group call.
    asked: Option<GroupId>,
    leaving: bool,
}

impl Dial {
    fn new(to: Link, name: Option<String>, settings: &CallSettings) -> Self {
        Self {
            name: name.unwrap_or_else(|| to.person.abbreviated()),
            to,
            ring_timeout: settings.ring_timeout.map_or(RING_TIMEOUT, |seconds| seconds.0),
            limit: settings.seconds.map(|seconds| seconds.0),
            talk: None,
            asked: None,
            leaving: false,
        }
    }

    fn event(&mut self, event: &Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Ready { .. } => {
                let dial = CommandKind::Dial { to: self.to.clone(), ring_timeout: self.ring_timeout };
                vec![Action::Keys(true), Action::Command(dial)]
            }
            Event::Dialing { call, .. } | Event::CommandFinished { result: Ok(Reply::Call(call)), .. } => {
                self.talk.get_or_insert_with(|| Talk::new(*call, self.limit));
                Vec::new()
            }
            Event::CommandFinished { result: Err(failure), .. } if self.talk.is_none() => {
                vec![Action::Say(Report::Failure(failure.clone())), Action::Exit(failure.kind.into())]
            }
            // We dialled each other at the same time: it is one conversation, under the other name.
            Event::Replaced { call, by } if self.talk.as_ref().is_some_and(|talk| talk.is(call)) => {
                self.talk = Some(Talk::new(*by, self.limit));
                Vec::new()
            }
            Event::Connected { call, .. } => {
                if let Some(talk) = self.talk.as_mut().filter(|talk| talk.is(call)) {
                    talk.connected(now);
                }
                Vec::new()
            }
            Event::Incoming { call, .. } if self.talk.as_ref().is_none_or(|talk| !talk.is(call)) => {
                vec![Action::Command(CommandKind::Decline { call: *call })]
            }
            Event::Group { group, event } => self.group(*group, event),
            Event::Ended { call, reason, cause, .. } if self.talk.as_ref().is_some_and(|talk| talk.is(call)) => {
                if !self.talk.as_mut().is_some_and(Talk::call_ended) {
                    return Vec::new();
                }
                let Some(failure) = failure_of(*reason, &self.name, *cause) else {
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
}

impl Dial {
    /// The call may grow into a group call; whether we come along is asked where somebody can be asked, and done by
    /// `twocans group accept` elsewhere.
    fn group(&mut self, group: GroupId, event: &GroupEvent) -> Vec<Action> {
        let Some(talk) = &mut self.talk else { return Vec::new() };
        match event {
            GroupEvent::Started | GroupEvent::Joined => talk.join(group),
            GroupEvent::Invited { .. } if talk.group().is_none() => {
                self.asked = Some(group);
                return vec![Action::Say(Report::Note(ASK.into()))];
            }
            GroupEvent::Ended { .. } if self.asked == Some(group) => self.asked = None,
            GroupEvent::Ended { .. } if talk.group() == Some(group) && talk.group_ended() => {
                return vec![Action::Exit(Exit::Fine)];
            }
            _ => {}
        }
        Vec::new()
    }

    fn key(&mut self, key: Key) -> Vec<Action> {
        match (key, self.asked) {
            (Key::Yes | Key::No, Some(group)) => {
                self.asked = None;
                vec![Action::Command(CommandKind::Group(reply_to(group, key == Key::Yes)))]
            }
            (key, _) => self.talk.as_mut().map(|talk| talk.key(key)).unwrap_or_default(),
        }
    }
}

/// What is asked of somebody who is invited into a group call.
pub(super) const ASK: &str = "Join? Press y or n, or run `twocans group accept` or `twocans group decline`.";

pub(super) fn reply_to(group: GroupId, yes: bool) -> GroupCommand {
    if yes { GroupCommand::Accept { group } } else { GroupCommand::Decline { group } }
}

impl Driver for Dial {
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

#[cfg(test)]
mod tests;
