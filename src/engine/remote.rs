//! Verbs that another process hands to the one that holds the profile.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Diagnosis, Failure, FailureKind, Retry};
use crate::control::{ControlClient, ControlError, Request, Response};

/// What a running process does for another one of the same profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verb", content = "args")]
pub enum RemoteVerb {
    /// Answers with the snapshot as an object.
    Status,
    Mute,
    Unmute,
    /// The push-to-talk key.
    TalkKey {
        down: bool,
    },
    Deafen,
    Undeafen,
    /// All connected calls.
    Hold,
    Unhold,
    HangUp,
    /// Answers with a [`Diagnosis`].
    Diagnose,
    /// Dial.
    Call {
        link: String,
    },
    /// A link was opened on the desktop: show it in the window, without dialling.
    Open {
        link: String,
    },
    /// Bring the window to the front.
    Show,
    /// Begin a group call, of which connected calls become part. Links, or names of contacts.
    GroupStart {
        people: Vec<String>,
    },
    /// By a `twocans:join/…` link.
    GroupJoin {
        link: String,
    },
    /// Go on with the group call that was interrupted.
    GroupRejoin,
    /// A link, or the name of a contact.
    GroupAdd {
        who: String,
    },
    GroupRemove {
        who: String,
    },
    /// Answers with the link.
    GroupLink {
        hours: u32,
    },
    GroupRevoke,
    GroupAccept,
    GroupDecline,
    GroupLeave,
}

/// Hands a verb to the process that holds the profile; `None` when nobody does. Blocks for at most 20 s.
pub fn ask_running(home: &Path, verb: &RemoteVerb) -> Result<Option<Value>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(internal)?;
    match runtime.block_on(ControlClient::send(home, &to_request(verb)?)) {
        Ok(Response::Done(value)) => Ok(Some(value)),
        Ok(Response::Refused { kind, message }) => {
            Err(Failure { kind: kind_of(&kind), retry: Retry::AfterUserAction, detail: message })
        }
        Err(ControlError::NobodyThere) => Ok(None),
        Err(why) => Err(internal(why)),
    }
}

/// "Can I be called?", asked of the process that holds the profile; `None` when nobody does. Blocks for at most 20 s.
pub fn diagnose_running(home: &Path) -> Result<Option<Diagnosis>, Failure> {
    ask_running(home, &RemoteVerb::Diagnose)?.map(serde_json::from_value).transpose().map_err(internal)
}

fn to_request(verb: &RemoteVerb) -> Result<Request, Failure> {
    serde_json::to_value(verb).and_then(serde_json::from_value).map_err(internal)
}

/// What another process asked for, if it makes sense.
pub(super) fn from_request(request: &Request) -> Result<RemoteVerb, Failure> {
    serde_json::to_value(request).and_then(serde_json::from_value).map_err(|_| Failure {
        kind: FailureKind::Usage,
        retry: Retry::Never,
        detail: format!("a running twocans does not know the verb \"{}\"", request.verb),
    })
}

/// The contract's name of a kind, as it travels between processes.
pub(super) fn name_of(kind: FailureKind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("internal", |(_, name)| name)
}

fn kind_of(name: &str) -> FailureKind {
    KINDS.iter().find(|(_, known)| *known == name).map_or(FailureKind::Internal, |(kind, _)| *kind)
}

const KINDS: [(FailureKind, &str); 13] = [
    (FailureKind::NotFound, "not_found"),
    (FailureKind::Unreachable, "unreachable"),
    (FailureKind::RelayRefused, "relay_refused"),
    (FailureKind::Declined, "declined"),
    (FailureKind::Busy, "busy"),
    (FailureKind::NoAnswer, "no_answer"),
    (FailureKind::Device, "device"),
    (FailureKind::ProfileInUse, "profile_in_use"),
    (FailureKind::ProfileDamaged, "profile_damaged"),
    (FailureKind::Usage, "usage"),
    (FailureKind::ConnectionLost, "connection_lost"),
    (FailureKind::FingerprintMismatch, "fingerprint_mismatch"),
    (FailureKind::Internal, "internal"),
];

fn internal(why: impl std::fmt::Display) -> Failure {
    Failure { kind: FailureKind::Internal, retry: Retry::Later, detail: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_survive_the_socket() {
        for verb in [
            RemoteVerb::Status,
            RemoteVerb::HangUp,
            RemoteVerb::Unhold,
            RemoteVerb::Show,
            RemoteVerb::TalkKey { down: true },
            RemoteVerb::Call { link: "twocans:x".into() },
        ] {
            assert_eq!(from_request(&to_request(&verb).unwrap()), Ok(verb));
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let request = Request { verb: "dance".into(), args: Value::Null };
        assert!(from_request(&request).unwrap_err().detail.contains("dance"));
    }

    #[test]
    fn kinds_have_one_name_each() {
        for (kind, name) in KINDS {
            assert_eq!((kind_of(name), name_of(kind)), (kind, name));
        }
    }
}
