//! The command line.

#![allow(rustdoc::broken_intra_doc_links, reason = "these comments are the help text, in its own notation")]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::settings::{
    AnswerSettings, AudioSettings, CallSettings, DemoSettings, DoctorSettings, GroupSettings, NetworkSettings,
    SdpSettings,
};

/// Peer-to-peer voice calls with nobody in between.
///
/// Without a verb the desktop client opens. Options can also be written in config.toml in the profile, under the same
/// names without the dashes, in the sections [network], [audio], [call], [group], [answer], [sdp], [doctor] and [demo]; the
/// command line wins.
#[derive(Debug, Parser)]
#[command(name = "twocans", version, max_term_width = 110, hide_possible_values = true)]
#[command(subcommand_help_heading = "Verbs", subcommand_value_name = "VERB", disable_help_subcommand = true)]
#[command(after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

const EXAMPLES: &str = "\
Examples:
  twocans demo                       two peers on this machine hold a real call
  twocans answer                     wait for calls; prints the link to give away
  twocans call twocans:…             call somebody
  twocans twocans:…                  show that link in the desktop client
  twocans contacts add twocans:… --name Alice && twocans call Alice

Exit codes:
  0 fine   1 other   2 usage   3 not found   4 unreachable   5 declined or busy   6 no answer
  7 audio device   8 connection lost   9 profile in use or damaged   10 fingerprint alarm";

#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    /// The profile: identity, contacts, settings, logs [default: the platform's data folder]
    #[arg(long, global = true, env = "TWOCANS_HOME", value_name = "DIR", hide_env_values = true)]
    pub home: Option<PathBuf>,
    /// Print one JSON object per line [default: sentences]
    #[arg(long, global = true)]
    pub json: bool,
    /// Log to stderr and to the profile's logs what passes this filter, such as debug or twocans=trace,libp2p=info
    /// [default: nothing to stderr, twocans=info,warn to the file]
    #[arg(long, global = true, value_name = "FILTER", verbatim_doc_comment)]
    pub log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Print your link, and a QR code on a terminal
    Id,
    /// Run a headless peer that serves others: DHT, signalling relay
    Node {
        #[command(flatten)]
        network: NetworkSettings,
    },
    /// Call somebody and talk (m mutes, q or Ctrl-C hangs up)
    Call {
        /// A twocans: link, or the name of a contact
        #[arg(value_name = "LINK_OR_CONTACT")]
        to: String,
        #[command(flatten)]
        call: CallSettings,
        #[command(flatten)]
        network: NetworkSettings,
        #[command(flatten)]
        audio: AudioSettings,
    },
    /// A call of several people: begin one, join one, or change the one that runs
    ///
    /// Whoever is in it sees the addresses of all others, unless only relays are used.
    Group {
        #[command(subcommand)]
        action: GroupVerb,
    },
    /// Wait for calls
    ///
    /// Anyone may ring, and you are asked y/n. Without a terminal and without --auto every call is declined.
    Answer {
        #[command(flatten)]
        answer: AnswerSettings,
        #[command(flatten)]
        network: NetworkSettings,
        #[command(flatten)]
        audio: AudioSettings,
    },
    /// Answer everybody and play back what they say a second later, to try a microphone and a line
    Echo {
        #[command(flatten)]
        network: NetworkSettings,
    },
    /// Call any WebRTC endpoint, such as a browser: offer and answer are files that you carry
    ///
    /// offer writes DIR/offer.json and waits for DIR/answer.json; answer waits for the first and writes the second. Both
    /// hold {"type", "sdp"} as WebRTC has them. Nobody is looked for, and there are no safety words.
    Sdp {
        /// offer or answer
        #[arg(value_name = "offer|answer", value_enum)]
        side: SdpSide,
        /// Where the two files are put
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        #[command(flatten)]
        sdp: SdpSettings,
        #[command(flatten)]
        network: NetworkSettings,
        #[command(flatten)]
        audio: AudioSettings,
    },
    /// Ask the DHT about a person, without ringing
    Lookup {
        /// A twocans: link
        link: String,
        #[command(flatten)]
        network: NetworkSettings,
    },
    /// The address book
    Contacts {
        #[command(subcommand)]
        action: Option<ContactsVerb>,
    },
    /// Past calls, newest first
    History {
        /// At most so many [default: 20]
        #[arg(long, value_name = "N", default_value_t = 20, hide_default_value = true)]
        limit: u32,
    },
    /// Keep your identity safe in an encrypted file, or take it over from one
    ///
    /// With it go your contacts, whom you block, what you set for people, and preferences. The passphrase is asked for on a
    /// terminal; elsewhere it is the first line of standard input.
    Identity {
        #[command(subcommand)]
        action: IdentityVerb,
    },
    /// Two peers and a small DHT on this machine hold a real call; its quality is measured
    Demo {
        #[command(flatten)]
        demo: DemoSettings,
    },
    /// Can I be called? One line per check, with what to do about it
    Doctor {
        #[command(flatten)]
        doctor: DoctorSettings,
        #[command(flatten)]
        network: NetworkSettings,
        #[command(flatten)]
        audio: AudioSettings,
    },
    /// List sound devices and their ids
    Devices,
    /// Show a link in the desktop client: what a bare link becomes
    #[command(hide = true)]
    Open {
        /// A twocans: link
        link: String,
    },
    /// What the running process of this profile does
    Status,
    /// Stop sending the microphone of the running process
    Mute,
    /// Send it again
    Unmute,
    /// The push-to-talk key of the running process: opens a muted microphone while it is held
    Ptt {
        /// press or release
        #[arg(value_name = "press|release", value_enum)]
        key: TalkKey,
    },
    /// Stop playing anything in the running process; mutes too
    Deafen,
    /// Play and send again
    Undeafen,
    /// Put the calls of the running process on hold: neither side hears the other
    Hold,
    /// Go on with them
    Unhold,
    /// Hang up the calls of the running process
    Hangup,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SdpSide {
    Offer,
    Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TalkKey {
    Press,
    Release,
}

#[derive(Debug, Subcommand)]
pub enum ContactsVerb {
    /// List everybody
    List,
    /// Add somebody
    Add {
        link: String,
        /// What to call them [default: the name in the link]
        #[arg(long, value_name = "N")]
        name: Option<String>,
    },
    /// Change a name
    Rename {
        #[arg(value_name = "NAME_OR_LINK")]
        who: String,
        name: String,
    },
    /// Forget somebody
    Remove {
        #[arg(value_name = "NAME_OR_LINK")]
        who: String,
    },
    /// Refuse their calls without ringing
    Block {
        #[arg(value_name = "NAME_OR_LINK")]
        who: String,
    },
    /// Let them ring again
    Unblock {
        #[arg(value_name = "NAME_OR_LINK")]
        who: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum GroupVerb {
    /// Ring these people; if a process of this profile is in a call already, that call grows
    Start {
        /// twocans: links, or names of contacts
        #[arg(value_name = "LINK_OR_CONTACT", required = true)]
        people: Vec<String>,
        #[command(flatten)]
        group: GroupSettings,
        #[command(flatten)]
        network: NetworkSettings,
        #[command(flatten)]
        audio: AudioSettings,
    },
    /// Join by a link that somebody in the call has made
    Join {
        /// A twocans:join/ link
        link: String,
        #[command(flatten)]
        group: GroupSettings,
        #[command(flatten)]
        network: NetworkSettings,
        #[command(flatten)]
        audio: AudioSettings,
    },
    /// Go on with the group call that this profile was in when its program ended
    Rejoin {
        #[command(flatten)]
        group: GroupSettings,
        #[command(flatten)]
        network: NetworkSettings,
        #[command(flatten)]
        audio: AudioSettings,
    },
    /// Ring one more person into the running group call
    Add {
        #[arg(value_name = "LINK_OR_CONTACT")]
        who: String,
    },
    /// Remove somebody whom you have invited, or anybody if you have begun the call
    Remove {
        #[arg(value_name = "LINK_OR_CONTACT")]
        who: String,
    },
    /// Make a link with which others can join the running group call
    Link {
        /// For so many hours: 1 to 720 [default: 24]
        #[arg(long, value_name = "N", default_value_t = 24, hide_default_value = true,
              value_parser = clap::value_parser!(u32).range(1..=720))]
        hours: u32,
    },
    /// Make the links that you have made so far worthless
    Revoke,
    /// Accept the invitation to a group call that the running process has
    Accept,
    /// Refuse it
    Decline,
    /// Leave the running group call
    Leave,
}

#[derive(Debug, Subcommand)]
pub enum IdentityVerb {
    /// Write the file, where there is none yet
    Export { file: PathBuf },
    /// Read it into a profile that has no identity yet
    Import {
        file: PathBuf,
        /// Replace the profile's identity; its key stays as a file beside the new one [default: refuse]
        #[arg(long)]
        force: bool,
    },
}

/// The long names of all options of all verbs.
#[cfg(test)]
pub fn option_names() -> std::collections::BTreeSet<String> {
    use clap::CommandFactory;
    let command = Cli::command();
    let verbs = command.get_subcommands().filter(|verb| !["contacts", "history"].contains(&verb.get_name()));
    verbs.flat_map(clap::Command::get_arguments).filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_states_every_default() {
        let command = Cli::command();
        for verb in command.get_subcommands().chain([&command]) {
            for option in verb.get_opts() {
                let help = option.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("default:"), "{} --{}: {help}", verb.get_name(), option.get_id());
            }
        }
    }

    #[test]
    fn flags_can_be_taken_back() {
        let cli = Cli::try_parse_from(["twocans", "node", "--no-mdns=false", "--isolated", "--json"]).unwrap();
        assert!(cli.global.json);
        let Some(Verb::Node { network }) = cli.verb else { panic!("another verb") };
        assert_eq!((network.no_mdns, network.isolated, network.relay_only), (Some(false), Some(true), None));
    }

    #[test]
    fn mistakes_are_refused() {
        for line in
            ["call", "fly", "call x --speed 3", "answer --from friends", "call x --bitrate 1", "node --mic silence"]
        {
            let words = std::iter::once("twocans").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{line} was taken");
        }
    }
}
