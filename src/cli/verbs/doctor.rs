//! `doctor`: can I be called?

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::clock;
use crate::cli::driver::{Action, Driver, Input};
use crate::cli::exit::Exit;
use crate::cli::keys::Key;
use crate::cli::output::{Output, Report};
use crate::cli::session::Session;
use crate::cli::settings::DoctorSettings;
use crate::engine::{self, CommandKind, Diagnosis, Event, Failure, Options, Reply, Stamped};

/// Asks the process that holds the profile, as it is the one that is to be called. `None`: there is none. Blocks.
pub fn run_elsewhere(home: &Path, out: &mut dyn Output) -> Result<Option<Exit>, Failure> {
    let Some(diagnosis) = engine::diagnose_running(home)? else { return Ok(None) };
    out.report(&Report::Note("The twocans that runs with this profile has looked, with its own options.".into()));
    for check in &diagnosis.checks {
        out.event(&Stamped { at: clock::now(), group: None, event: Event::Checked(check.clone()) }, None);
    }
    let exit = exit_of(&diagnosis);
    out.report(&Report::Diagnosis(Box::new(diagnosis)));
    Ok(Some(exit))
}

pub async fn run(options: Options, settings: DoctorSettings, out: &mut dyn Output) -> Result<Exit, Failure> {
    out.report(&Report::Note("Looking at the network and the sound devices; this takes up to ten seconds.".into()));
    let mapping_lifetime = settings.mapping_lifetime.map(|seconds| seconds.0);
    Session::start(options, out)?.run(&mut Doctor { mapping_lifetime }).await
}

struct Doctor {
    mapping_lifetime: Option<Duration>,
}

impl Driver for Doctor {
    fn handle(&mut self, input: Input<'_>, _: Instant) -> Vec<Action> {
        match input {
            Input::Event(Event::Ready { .. }) => {
                vec![Action::Command(CommandKind::Diagnose { mapping_lifetime: self.mapping_lifetime })]
            }
            Input::Event(Event::CommandFinished { result: Ok(Reply::Diagnosis(diagnosis)), .. }) => {
                vec![Action::Say(Report::Diagnosis(diagnosis.clone())), Action::Exit(exit_of(diagnosis))]
            }
            Input::Event(Event::CommandFinished { result: Err(failure), .. }) => {
                vec![Action::Say(Report::Failure(failure.clone())), Action::Exit(failure.kind.into())]
            }
            // Nobody is there to talk; whoever rings now should try again later.
            Input::Event(Event::Incoming { call, .. }) => vec![Action::Command(CommandKind::Decline { call: *call })],
            Input::Interrupt | Input::Key(Key::Quit) => vec![Action::Exit(Exit::Fine)],
            Input::Event(_) | Input::Key(_) | Input::Deadline => Vec::new(),
        }
    }
}

fn exit_of(diagnosis: &Diagnosis) -> Exit {
    match (diagnosis.can_be_called(), diagnosis.network.is_connected()) {
        (true, _) => Exit::Fine,
        (false, true) => Exit::Other,
        (false, false) => Exit::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{NatReport, NetworkReport, Reach};

    #[test]
    fn the_exit_code_tells_cannot_be_called_from_no_network_at_all() {
        let with = |reach, connections| {
            let network = NetworkReport { nat: NatReport::default(), connections, acks: 0, super_peers: 0, reach };
            exit_of(&Diagnosis { checks: Vec::new(), network, answer: String::new() })
        };
        assert_eq!(with(Reach::Direct, 3), Exit::Fine);
        assert_eq!(with(Reach::Unclear, 1), Exit::Fine);
        assert_eq!(with(Reach::Nowhere, 3), Exit::Other);
        assert_eq!(with(Reach::Nowhere, 0), Exit::Unreachable);
    }
}
