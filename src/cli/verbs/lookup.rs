//! `lookup`: what does the DHT say of a person?

use std::time::Instant;

use crate::cli::driver::{Action, Driver, Input};
use crate::cli::exit::Exit;
use crate::cli::keys::Key;
use crate::cli::output::{Output, Report};
use crate::cli::session::Session;
use crate::engine::{CommandKind, Event, Failure, Options, Reply};
use crate::identity::Link;

pub async fn run(options: Options, link: Link, out: &mut dyn Output) -> Result<Exit, Failure> {
    Session::start(options, out)?.run(&mut Lookup { link }).await
}

struct Lookup {
    link: Link,
}

impl Driver for Lookup {
    fn handle(&mut self, input: Input<'_>, _: Instant) -> Vec<Action> {
        match input {
            Input::Event(Event::Ready { .. }) => {
                vec![Action::Command(CommandKind::Lookup { person: self.link.person })]
            }
            Input::Event(Event::CommandFinished { result: Ok(Reply::Lookup(found)), .. }) => {
                let exit = if found.found { Exit::Fine } else { Exit::NotFound };
                vec![Action::Say(Report::Lookup { link: self.link.clone(), found: *found }), Action::Exit(exit)]
            }
            Input::Event(Event::CommandFinished { result: Err(failure), .. }) => {
                vec![Action::Say(Report::Failure(failure.clone())), Action::Exit(failure.kind.into())]
            }
            Input::Event(Event::Incoming { call, .. }) => vec![Action::Command(CommandKind::Decline { call: *call })],
            Input::Interrupt | Input::Key(Key::Quit) => vec![Action::Exit(Exit::Fine)],
            Input::Event(_) | Input::Key(_) | Input::Deadline => Vec::new(),
        }
    }
}
