//! From the command line to the verb.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use super::args::{Cli, ContactsVerb, GlobalArgs, GroupVerb, IdentityVerb, TalkKey, Verb};
use super::config_file::ConfigFile;
use super::exit::{Exit, internal, usage};
use super::keys::Keyboard;
use super::logging;
use super::output::{self, Output, Report, Show};
use super::settings::Over;
use super::verbs::group::Beginning;
use super::{resolve, verbs};
use crate::engine::{self, Failure, MonotonicClock, Options, RemoteVerb, whom};

/// What every link begins with, in upper or lower case.
const LINK_SCHEME: &str = "twocans:";

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
    /// To be shown at once.
    pub link: Option<String>,
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
    let words = name_the_verb(words.into_iter().collect());
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
    let start = Start { home: &home, filter: filter.as_deref(), json: *json, clock };
    let verb = match cli.verb {
        None => return client(start, config, None),
        Some(Verb::Open { link }) => return client(start, config, Some(whom::openable(&link)?)),
        Some(verb) => verb,
    };
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
        Verb::Group { action } => group(action, home, config, out),
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
            block_on(verbs::contacts::run(Options::offline(home), action, out))
        }
        Verb::History { limit } => block_on(verbs::history::run(Options::offline(home), limit, out)),
        Verb::Identity { action: IdentityVerb::Export { file } } => {
            block_on(verbs::identity::export(Options::offline(home), file, out))
        }
        Verb::Identity { action: IdentityVerb::Import { file, force } } => {
            verbs::identity::import(home, &file, force, out)
        }
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
        Verb::Open { link } => running("open", RemoteVerb::Open { link }, out),
        Verb::Status => running("status", RemoteVerb::Status, out),
        Verb::Mute => running("mute", RemoteVerb::Mute, out),
        Verb::Unmute => running("unmute", RemoteVerb::Unmute, out),
        Verb::Ptt { key } => {
            let down = key == TalkKey::Press;
            running(if down { "ptt press" } else { "ptt release" }, RemoteVerb::TalkKey { down }, out)
        }
        Verb::Deafen => running("deafen", RemoteVerb::Deafen, out),
        Verb::Undeafen => running("undeafen", RemoteVerb::Undeafen, out),
        Verb::Hold => running("hold", RemoteVerb::Hold, out),
        Verb::Unhold => running("unhold", RemoteVerb::Unhold, out),
        Verb::Hangup => running("hangup", RemoteVerb::HangUp, out),
    }
}

fn group(action: GroupVerb, home: &Path, config: ConfigFile, out: &mut dyn Output) -> Result<Exit, Failure> {
    let running = |name, verb, out: &mut dyn Output| verbs::running::run(home, name, &verb, out);
    let (beginning, settings, network, audio) = match action {
        GroupVerb::Start { people, group, network, audio } => (Beginning::Start(people), group, network, audio),
        GroupVerb::Join { link, group, network, audio } => (Beginning::Join(link), group, network, audio),
        GroupVerb::Rejoin { group, network, audio } => (Beginning::Rejoin, group, network, audio),
        GroupVerb::Add { who } => return running("group add", RemoteVerb::GroupAdd { who }, out),
        GroupVerb::Remove { who } => return running("group remove", RemoteVerb::GroupRemove { who }, out),
        GroupVerb::Link { hours } => return running("group link", RemoteVerb::GroupLink { hours }, out),
        GroupVerb::Revoke => return running("group revoke", RemoteVerb::GroupRevoke, out),
        GroupVerb::Accept => return running("group accept", RemoteVerb::GroupAccept, out),
        GroupVerb::Decline => return running("group decline", RemoteVerb::GroupDecline, out),
        GroupVerb::Leave => return running("group leave", RemoteVerb::GroupLeave, out),
    };
    if beginning.elsewhere(home, out)? {
        return Ok(Exit::Fine);
    }
    let options = resolve::online(home, true, network.over(config.network), audio.over(config.audio))?;
    block_on(verbs::group::run(options, beginning, settings.over(config.group), out))
}

/// One thread is enough for a front end; the engine has its own.
pub(super) fn block_on<T>(verb: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|why| internal(format!("the system gives us no event loop: {why}")))?.block_on(verb)
}

/// Verbs that only ask another process, or need no profile, leave no trace in one.
fn keeps_logs(verb: &Verb) -> bool {
    match verb {
        Verb::Group { .. } => true,
        Verb::Node { .. } | Verb::Call { .. } | Verb::Answer { .. } | Verb::Echo { .. } | Verb::Lookup { .. } => true,
        Verb::Sdp { .. } | Verb::Doctor { .. } => true,
        Verb::Contacts { .. } | Verb::History { .. } => true,
        Verb::Identity { .. } | Verb::Id | Verb::Demo { .. } | Verb::Devices | Verb::Open { .. } => false,
        Verb::Status | Verb::Mute | Verb::Unmute | Verb::Ptt { .. } | Verb::Deafen | Verb::Undeafen => false,
        Verb::Hold | Verb::Unhold | Verb::Hangup => false,
    }
}

fn show(verb: &Verb) -> Show {
    Show {
        presence: matches!(verb, Verb::Answer { .. } | Verb::Echo { .. } | Verb::Node { .. }),
        node: matches!(verb, Verb::Node { .. }),
        dialled: matches!(verb, Verb::Call { .. } | Verb::Sdp { .. }),
        keys: matches!(verb, Verb::Call { .. } | Verb::Answer { .. } | Verb::Group { .. } | Verb::Sdp { .. })
            && Keyboard::is_there(),
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

/// A link as the first word is what a link handler runs. Options of all verbs may stand before it.
fn name_the_verb(mut words: Vec<OsString>) -> Vec<OsString> {
    let is_link = |word: &OsString| {
        let start = word.to_str().and_then(|word| word.get(..LINK_SCHEME.len()));
        start.is_some_and(|start| start.eq_ignore_ascii_case(LINK_SCHEME))
    };
    let mut at = 1;
    while let Some(word) = words.get(at) {
        match word.to_str() {
            Some("--home" | "--log") => at += 2,
            Some(option) if option.starts_with("--") && option.len() > 2 => at += 1,
            _ => break,
        }
    }
    if words.get(at).is_some_and(is_link) {
        words.insert(at, "open".into());
    }
    words
}

/// What the desktop client is started with, besides its configuration.
#[cfg_attr(not(feature = "gui"), allow(dead_code, reason = "nothing is started then"))]
struct Start<'a> {
    home: &'a Path,
    filter: Option<&'a str>,
    json: bool,
    clock: MonotonicClock,
}

/// The client, unless it runs already: then it is shown, and `link` in it.
fn client(start: Start<'_>, config: ConfigFile, link: Option<String>) -> Result<Next, Failure> {
    let (verb, request) = match &link {
        Some(link) => ("open", RemoteVerb::Open { link: link.clone() }),
        None => ("show", RemoteVerb::Show),
    };
    if let Some(answer) = engine::ask_running(start.home, &request)? {
        let mut out = output::for_stdout(start.json, start.clock, Show::default());
        out.report(&Report::Running { verb, answer });
        return Ok(Next::Exit(Exit::Fine.into()));
    }
    new_client(start, config, link)
}

#[cfg(feature = "gui")]
fn new_client(start: Start<'_>, config: ConfigFile, link: Option<String>) -> Result<Next, Failure> {
    let Start { home, filter, json, clock } = start;
    let has = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let display = has("DISPLAY") || has("WAYLAND_DISPLAY") || has("WAYLAND_SOCKET");
    if !display && !cfg!(any(windows, target_os = "macos")) {
        return Err(usage(
            "there is no display for the desktop client; try `twocans demo`, or `twocans call LINK` to talk from here",
        ));
    }
    let logs = logging::start(filter, Some(home))?;
    let mut options = resolve::online(home, true, config.network, config.audio)?;
    options.remember = true;
    options.windowed = true;
    Ok(Next::Client(Box::new(Client { options, link, json, clock, _logs: logs })))
}

#[cfg(not(feature = "gui"))]
fn new_client(_: Start<'_>, _: ConfigFile, _: Option<String>) -> Result<Next, Failure> {
    Err(usage("this twocans has no desktop client; try `twocans demo`, or `twocans call LINK` to talk from here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(line: &str) -> String {
        let words = name_the_verb(line.split(' ').map(OsString::from).collect());
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_bare_link_is_to_be_opened() {
        assert_eq!(named("twocans twocans:abc"), "twocans open twocans:abc");
        assert_eq!(named("twocans --home /p --json TwoCans:abc"), "twocans --home /p --json open TwoCans:abc");
        assert_eq!(named("twocans --log=debug twocans:abc --json"), "twocans --log=debug open twocans:abc --json");
    }

    #[test]
    fn every_other_line_stays_as_it_is() {
        for line in
            ["twocans", "twocans call twocans:abc", "twocans fly", "twocans --home twocans:abc", "twocans -- twocans:a"]
        {
            assert_eq!(named(line), line);
        }
    }
}
