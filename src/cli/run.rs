//! From the command line to the verb.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use super::args::{Cli, ContactsVerb, GlobalArgs, TalkKey, Verb};
use super::config_file::ConfigFile;
use super::exit::{Exit, internal, usage};
use super::keys::Keyboard;
use super::logging;
use super::output::{self, Output, Report, Show};
use super::settings::Over;
use super::{resolve, verbs};
use crate::engine::{Failure, MonotonicClock, Options, RemoteVerb, whom};

/// What is left to do after the command line was read.
pub enum Next {
    /// The verb is done.
    Exit(ExitCode),
    /// No verb was given and there is a display: open the desktop client.
    #[cfg(feature = "gui")]
    Client(Box<Client>),
}

/// How the desktop client is to be started.
#[cfg(feature = "gui")]
pub struct Client {
    pub options: Options,
    json: bool,
    clock: MonotonicClock,
    _logs: logging::Logs,
}

#[cfg(feature = "gui")]
impl Client {
    /// Tells why the client could not run, if so, and gives the exit code.
    pub fn finish(self, result: Result<(), Failure>) -> ExitCode {
        let mut out = output::for_stdout(self.json, self.clock, Show::default());
        conclude(result.map(|()| Exit::Fine), &mut *out)
    }
}

/// Reads the command line and does what it says.
pub fn run(words: impl IntoIterator<Item = OsString>) -> Next {
    let clock = MonotonicClock::start();
    let words: Vec<OsString> = words.into_iter().collect();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return Next::Exit(refuse(&error, &words, clock)),
    };
    let mut json = cli.global.json;
    let result = carry_out(cli, &mut json, clock);
    result.unwrap_or_else(|failure| {
        Next::Exit(conclude(Err(failure), &mut *output::for_stdout(json, clock, Show::default())))
    })
}

fn carry_out(cli: Cli, json: &mut bool, clock: MonotonicClock) -> Result<Next, Failure> {
    let GlobalArgs { home, json: _, log } = cli.global;
    let home = resolve::home(home)?;
    let config = ConfigFile::read(&home)?;
    *json |= config.json.unwrap_or(false);
    let filter = log.or_else(|| config.log.clone());
    let Some(verb) = cli.verb else { return client(&home, config, filter.as_deref(), *json, clock) };
    let _logs = logging::start(filter.as_deref(), keeps_logs(&verb).then_some(home.as_path()))?;
    let mut out = output::for_stdout(*json, clock, show(&verb));
    let result = perform(verb, &home, config, &mut *out);
    Ok(Next::Exit(conclude(result, &mut *out)))
}

fn perform(verb: Verb, home: &Path, config: ConfigFile, out: &mut dyn Output) -> Result<Exit, Failure> {
    let running = |name, verb, out: &mut dyn Output| verbs::running::run(home, name, &verb, out);
    match verb {
        Verb::Id => verbs::id::run(home, out),
        Verb::Node { network } => {
            let online = resolve::online(home, false, network.over(config.network), config.audio)?;
            block_on(verbs::node::run(Options { serves: true, ..online }, out))
        }
        Verb::Call { to, call, network, audio } => {
            let Some(callee) = verbs::call::callee(home, &to, out)? else { return Ok(Exit::Fine) };
            let options = resolve::online(home, false, network.over(config.network), audio.over(config.audio))?;
            block_on(verbs::call::run(options, callee, call.over(config.call), out))
        }
        Verb::Answer { answer, network, audio } => {
            let options = resolve::online(home, true, network.over(config.network), audio.over(config.audio))?;
            block_on(verbs::answer::run(options, answer.over(config.answer), out))
        }
        Verb::Sdp { side, dir, sdp, network, audio } => {
            let options = resolve::online(home, false, network.over(config.network), audio.over(config.audio))?;
            block_on(verbs::sdp::run(options, side, &dir, sdp.over(config.sdp), out))
        }
        Verb::Echo { network } => {
            let options = resolve::online(home, true, network.over(config.network), config.audio)?;
            block_on(verbs::answer::echo(options, out))
        }
        Verb::Lookup { link, network } => {
            let link = whom::link(&link)?;
            let options = resolve::online(home, false, network.over(config.network), config.audio)?;
            block_on(verbs::lookup::run(options, link, out))
        }
        Verb::Contacts { action } => {
            let action = action.unwrap_or(ContactsVerb::List);
            block_on(verbs::contacts::run(resolve::offline(home), action, out))
        }
        Verb::History { limit } => block_on(verbs::history::run(resolve::offline(home), limit, out)),
        Verb::Demo { demo } => {
            let folder = demo.over(config.demo).out.unwrap_or_else(|| PathBuf::from("twocans-demo"));
            block_on(verbs::demo::run(&folder, out))
        }
        Verb::Doctor { doctor, network, audio } => {
            if let Some(exit) = verbs::doctor::run_elsewhere(home, out)? {
                return Ok(exit);
            }
            let options = resolve::online(home, true, network.over(config.network), audio.over(config.audio))?;
            block_on(verbs::doctor::run(options, doctor.over(config.doctor), out))
        }
        Verb::Devices => verbs::devices::run(out),
        Verb::Status => running("status", RemoteVerb::Status, out),
        Verb::Mute => running("mute", RemoteVerb::Mute, out),
        Verb::Unmute => running("unmute", RemoteVerb::Unmute, out),
        Verb::Ptt { key } => {
            let down = key == TalkKey::Press;
            running(if down { "ptt press" } else { "ptt release" }, RemoteVerb::TalkKey { down }, out)
        }
        Verb::Deafen => running("deafen", RemoteVerb::Deafen, out),
        Verb::Undeafen => running("undeafen", RemoteVerb::Undeafen, out),
        Verb::Hangup => running("hangup", RemoteVerb::HangUp, out),
    }
}

/// One thread is enough for a front end; the engine has its own.
pub(super) fn block_on<T>(verb: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|why| internal(format!("the system gives us no event loop: {why}")))?.block_on(verb)
}

/// Verbs that only ask another process, or need no profile, leave no trace in one.
fn keeps_logs(verb: &Verb) -> bool {
    match verb {
        Verb::Node { .. } | Verb::Call { .. } | Verb::Answer { .. } | Verb::Echo { .. } | Verb::Lookup { .. } => true,
        Verb::Sdp { .. } | Verb::Doctor { .. } => true,
        Verb::Contacts { .. } | Verb::History { .. } => true,
        Verb::Id | Verb::Demo { .. } | Verb::Devices | Verb::Status | Verb::Mute | Verb::Unmute => false,
        Verb::Ptt { .. } | Verb::Deafen | Verb::Undeafen | Verb::Hangup => false,
    }
}

fn show(verb: &Verb) -> Show {
    Show {
        presence: matches!(verb, Verb::Answer { .. } | Verb::Echo { .. } | Verb::Node { .. }),
        node: matches!(verb, Verb::Node { .. }),
        dialled: matches!(verb, Verb::Call { .. } | Verb::Sdp { .. }),
        keys: matches!(verb, Verb::Call { .. } | Verb::Answer { .. } | Verb::Sdp { .. }) && Keyboard::is_there(),
    }
}

fn conclude(result: Result<Exit, Failure>, out: &mut dyn Output) -> ExitCode {
    let exit = result.unwrap_or_else(|failure| {
        out.report(&Report::Failure(failure.clone()));
        failure.kind.into()
    });
    exit.into()
}

/// Help and version are no mistakes; everything else is, told in the form that was asked for.
fn refuse(error: &clap::Error, words: &[OsString], clock: MonotonicClock) -> ExitCode {
    let asked_for_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let json = words.iter().any(|word| word == "--json");
    if json && !asked_for_help {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(first);
        return conclude(Err(usage(message)), &mut *output::for_stdout(true, clock, Show::default()));
    }
    // Nothing is left to do when not even this can be written.
    let _ = error.print();
    if asked_for_help { Exit::Fine.into() } else { Exit::Usage.into() }
}

#[cfg(feature = "gui")]
fn client(
    home: &Path,
    config: ConfigFile,
    filter: Option<&str>,
    json: bool,
    clock: MonotonicClock,
) -> Result<Next, Failure> {
    let has = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let display = has("DISPLAY") || has("WAYLAND_DISPLAY") || has("WAYLAND_SOCKET");
    if !display && !cfg!(any(windows, target_os = "macos")) {
        return Err(usage(
            "there is no display for the desktop client; try `twocans demo`, or `twocans call LINK` to talk from here",
        ));
    }
    let logs = logging::start(filter, Some(home))?;
    let mut options = resolve::online(home, true, config.network, config.audio)?;
    options.audio.remember = true;
    Ok(Next::Client(Box::new(Client { options, json, clock, _logs: logs })))
}

#[cfg(not(feature = "gui"))]
fn client(_: &Path, _: ConfigFile, _: Option<&str>, _: bool, _: MonotonicClock) -> Result<Next, Failure> {
    Err(usage("this twocans has no desktop client; try `twocans demo`, or `twocans call LINK` to talk from here"))
}
