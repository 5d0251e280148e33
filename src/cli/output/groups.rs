//! Group calls, for programs and for people.

use std::time::Duration;

use super::line::Line;
use super::names::reason_name;
use super::sentences;
use crate::base::Person;
use crate::engine::{GroupEvent, HearingPath, LeftReason};

/// The contract's name of an event.
pub fn name_of(event: &GroupEvent) -> &'static str {
    match event {
        GroupEvent::Started => "group_started",
        GroupEvent::Invited { .. } => "group_invited",
        GroupEvent::Joined => "group_joined",
        GroupEvent::Added { .. } => "member_added",
        GroupEvent::Here { .. } => "member_here",
        GroupEvent::Gone { .. } => "member_gone",
        GroupEvent::Removed { .. } => "member_removed",
        GroupEvent::NotComing { .. } => "member_not_coming",
        GroupEvent::Hearing { .. } => "hearing",
        GroupEvent::Ended { .. } => "group_ended",
    }
}

pub fn fields_of(line: Line, event: &GroupEvent) -> Line {
    match event {
        GroupEvent::Started | GroupEvent::Joined => line,
        GroupEvent::Invited { by, name, known, members } => line
            .text("by", by)
            .put("name", name)
            .put("known", known)
            .put("members", &members.iter().map(ToString::to_string).collect::<Vec<_>>()),
        GroupEvent::Added { person, by } => line.text("peer", person).text("by", by),
        GroupEvent::Here { person } | GroupEvent::Gone { person } => line.text("peer", person),
        GroupEvent::Removed { person, by } => line.text("peer", person).maybe_text("by", by.as_ref()),
        GroupEvent::NotComing { person, why } => line.text("peer", person).put("reason", reason_name(*why)),
        GroupEvent::Hearing { from, to, path } => {
            let (path, via) = match path {
                HearingPath::Unknown => ("unknown", None),
                HearingPath::Direct => ("direct", None),
                HearingPath::Via(helper) => ("via", Some(*helper)),
                HearingPath::Missing => ("missing", None),
            };
            line.text("from", from).text("to", to).put("path", path).maybe_text("via", via.as_ref())
        }
        GroupEvent::Ended { reason, talked } => {
            let (word, by, why) = match reason {
                LeftReason::Ours => ("left", None, None),
                LeftReason::Removed { by } => ("removed", Some(*by), None),
                LeftReason::Unreachable => ("unreachable", None, None),
                LeftReason::Refused(why) => ("refused", None, Some(why.to_string())),
                LeftReason::NoAnswer => ("no_answer", None, None),
            };
            let line = line.put("reason", word).maybe_text("by", by.as_ref()).put("message", &why);
            line.number("seconds", Some(talked.as_secs_f64()), 3)
        }
    }
}

/// How weighty a sentence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Rings,
    Step,
    Good,
    Warn,
    Bad,
}

/// What people read of it; `name` says how somebody is called. `None`: nothing.
pub fn sentence(event: &GroupEvent, name: impl Fn(&Person) -> String) -> Option<(Tone, String)> {
    Some(match event {
        GroupEvent::Started => (Tone::Step, "Beginning a group call.".into()),
        GroupEvent::Invited { by, members, .. } => {
            let others = members.iter().filter(|member| *member != by).map(&name).collect();
            (Tone::Rings, invitation(&name(by), others))
        }
        GroupEvent::Joined => (Tone::Good, "You are in the group call.".into()),
        GroupEvent::Added { person, by } => {
            (Tone::Step, format!("{} is ringing; {} asked them.", name(person), name(by)))
        }
        GroupEvent::Here { person } => (Tone::Good, format!("{} is in the call.", name(person))),
        GroupEvent::Gone { person } => {
            (Tone::Warn, format!("Nobody hears {} any more; waiting for them.", name(person)))
        }
        GroupEvent::Removed { person, by } if by.is_none() || by.as_ref() == Some(person) => {
            (Tone::Step, format!("{} has left.", name(person)))
        }
        GroupEvent::Removed { person, by } => {
            let by = by.as_ref().map_or_else(String::new, |by| format!(" by {}", name(by)));
            (Tone::Step, format!("{} was removed{by}.", name(person)))
        }
        GroupEvent::NotComing { person, why } => (Tone::Warn, sentences::end(*why, &name(person), Duration::ZERO)),
        GroupEvent::Hearing { from, to, path } => match path {
            HearingPath::Missing => (Tone::Warn, format!("{} does not hear {}.", name(to), name(from))),
            HearingPath::Via(helper) => {
                (Tone::Step, format!("{} hears {} through {}.", name(to), name(from), name(helper)))
            }
            HearingPath::Unknown | HearingPath::Direct => return None,
        },
        GroupEvent::Ended { reason, talked } => match reason {
            LeftReason::Ours if talked.is_zero() => (Tone::Step, "The group call is over.".into()),
            LeftReason::Ours => (Tone::Good, format!("The group call is over after {}.", sentences::timer(*talked))),
            LeftReason::Removed { by } => (Tone::Warn, format!("{} has removed you from the group call.", name(by))),
            LeftReason::Unreachable => {
                (Tone::Bad, "Nobody of the group can be reached: ask one of them to call you.".into())
            }
            LeftReason::Refused(why) => (Tone::Bad, format!("You were not let in: {why}.")),
            LeftReason::NoAnswer => (Tone::Step, "The invitation to the group call is over.".into()),
        },
    })
}

fn invitation(by: &str, others: Vec<String>) -> String {
    let who = match others.split_last() {
        None => String::new(),
        Some((only, [])) => format!(" with {only}"),
        Some((last, before)) => format!(" with {} and {last}", before.join(", ")),
    };
    format!("{by} asks you into a group call{who}. Whoever is in it sees the addresses of all others.")
}
