//! `call`: dial, ring, talk until hang-up.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::base::{CallId, Person};
use crate::cli::driver::{Action, Driver, Input};
use crate::cli::exit::{Exit, failure_of, usage};
use crate::cli::keys::Key;
use crate::cli::output::{Output, Report, short};
use crate::cli::resolve::RING_TIMEOUT;
use crate::cli::session::Session;
use crate::cli::settings::CallSettings;
use crate::cli::talk::Talk;
use crate::cli::whom::{self, Whom};
use crate::engine::{self, CommandKind, Event, Failure, Options, RemoteVerb, Reply};
use crate::identity::Link;

/// Dials from this process, or lets the one that holds the profile do it.
pub async fn run(options: Options, to: &str, settings: CallSettings, out: &mut dyn Output) -> Result<Exit, Failure> {
    let whom = whom::parse(to)?;
    if let Whom::Link(link) = &whom {
        refuse_myself(&options.home, link)?;
    }
    if let Some(answer) = engine::ask_running(&options.home, &RemoteVerb::Call { link: to.to_owned() })? {
        out.report(&Report::Running { verb: "call", answer });
        return Ok(Exit::Fine);
    }
    let home = options.home.clone();
    let mut session = Session::start(options, out)?;
    let found = async {
        let contacts = session.contacts().await?;
        match whom {
            Whom::Link(link) => {
                let known = contacts.iter().find(|contact| contact.person == link.person);
                let name = known.and_then(|contact| contact.name.clone()).or_else(|| link.name.clone());
                Ok((link, name))
            }
            Whom::Name(name) => {
                let contact = whom::by_name(&contacts, &name)?;
                refuse_myself(&home, &contact.link)?;
                Ok((contact.link.clone(), contact.name.clone()))
            }
        }
    }
    .await;
    match found {
        Ok((link, name)) => {
            if let Some(name) = &name {
                session.out().introduce(link.person, name);
            }
            session.run(&mut Dial::new(link, name, &settings)).await
        }
        Err(failure) => {
            session.close_quietly().await;
            Err(failure)
        }
    }
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
    leaving: bool,
}

impl Dial {
    fn new(to: Link, name: Option<String>, settings: &CallSettings) -> Self {
        Self {
            name: name.unwrap_or_else(|| short(&to.person)),
            to,
            ring_timeout: settings.ring_timeout.map_or(RING_TIMEOUT, |seconds| seconds.0),
            limit: settings.seconds.map(|seconds| seconds.0),
            talk: None,
            leaving: false,
        }
    }

    fn adopt(&mut self, call: CallId) -> &mut Talk {
        match self.talk.take() {
            Some(talk) if talk.is(&call) => self.talk.insert(talk),
            _ => self.talk.insert(Talk::new(call, self.limit)),
        }
    }

    fn is_mine(&self, call: &CallId, peer: &Person) -> bool {
        *peer == self.to.person && self.talk.as_ref().is_none_or(|talk| talk.is(call))
    }

    fn leave(&mut self) -> Vec<Action> {
        match (&self.talk, std::mem::replace(&mut self.leaving, true)) {
            (Some(talk), false) => vec![talk.hang_up()],
            // Nothing to hang up yet, or the user cannot wait.
            (None, _) | (_, true) => vec![Action::Exit(Exit::Fine)],
        }
    }

    fn event(&mut self, event: &Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Ready { .. } => {
                let dial = CommandKind::Dial { to: self.to.clone(), ring_timeout: self.ring_timeout };
                vec![Action::Keys(true), Action::Command(dial)]
            }
            Event::Dialing { call, .. } | Event::CommandFinished { result: Ok(Reply::Call(call)), .. } => {
                if self.talk.is_none() {
                    self.adopt(*call);
                }
                Vec::new()
            }
            Event::CommandFinished { result: Err(failure), .. } if self.talk.is_none() => {
                vec![Action::Say(Report::Failure(failure.clone())), Action::Exit(failure.kind.into())]
            }
            // Both of us dialled at the same time, and theirs won: it is the same conversation.
            Event::Connected { call, peer, .. } if *peer == self.to.person => {
                self.adopt(*call).connected(now);
                Vec::new()
            }
            Event::Incoming { call, from, .. } if *from == self.to.person => {
                self.adopt(*call);
                vec![Action::Command(CommandKind::Answer { call: *call })]
            }
            Event::Incoming { call, .. } => vec![Action::Command(CommandKind::Decline { call: *call })],
            Event::Ended { call, peer, reason, .. } if self.is_mine(call, peer) => {
                let Some(failure) = failure_of(*reason, &self.name) else { return vec![Action::Exit(Exit::Fine)] };
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

impl Driver for Dial {
    fn handle(&mut self, input: Input<'_>, now: Instant) -> Vec<Action> {
        match input {
            Input::Event(event) => self.event(event, now),
            Input::Key(Key::Quit | Key::HangUp) | Input::Interrupt => self.leave(),
            Input::Key(key) => self.talk.as_mut().map(|talk| talk.key(key)).unwrap_or_default(),
            Input::Deadline => self.talk.as_mut().map(|talk| talk.time_passed(now)).unwrap_or_default(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.talk.as_ref().and_then(Talk::deadline)
    }

    fn amend(&self, event: &mut Event) {
        if let Some(talk) = &self.talk {
            talk.amend(event);
        }
    }
}

#[cfg(test)]
mod tests;
