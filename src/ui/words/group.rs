//! What is said of group calls.

use std::time::Duration;

use super::{
    GROUP_MISSED, GROUP_REMOVED, GROUP_UNREACHABLE, REFUSED_AUTHOR_GONE, REFUSED_BANNED, REFUSED_EXPIRED, REFUSED_FULL,
    REFUSED_NOT_IN, REFUSED_OTHER_GROUP, REFUSED_REVOKED, REFUSED_TOO_MANY, UNFINISHED_ALONE, length, say, timer,
};
use crate::engine::{EndReason, LeftReason, TicketRefused};
use crate::ui::view::Outcome;

/// Names that are all said; of more, the first two.
const ALL: usize = 3;

/// "Bob", "Bob and Carol", "Bob, Carol and 2 more".
pub fn names(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] if names.len() <= ALL => {
            say("two-names", &[("first", most.join(", ").into()), ("second", last.as_str().into())])
        }
        [first, second, more @ ..] => {
            say("names-and-more", &[("names", format!("{first}, {second}").into()), ("count", more.len().into())])
        }
    }
}

/// "Group call · 04:12".
pub fn in_group_for(talked: Duration) -> String {
    say("in-group-for", &[("length", timer(talked).into())])
}

pub fn via(helper: &str) -> String {
    say("via", &[("helper", helper.into())])
}

pub fn do_not_hear_each_other(first: &str, second: &str) -> String {
    say("not-hearing-each-other", &[("first", first.into()), ("second", second.into())])
}

pub fn does_not_hear(listener: &str, speaker: &str) -> String {
    say("not-hearing", &[("listener", listener.into()), ("speaker", speaker.into())])
}

pub fn we_do_not_hear_each_other(name: &str) -> String {
    say("we-not-hearing-each-other", &[("name", name.into())])
}

pub fn we_do_not_hear(speaker: &str) -> String {
    say("we-not-hearing", &[("speaker", speaker.into())])
}

pub fn does_not_hear_us(listener: &str) -> String {
    say("not-hearing-us", &[("listener", listener.into())])
}

pub fn hears_us_through(listener: &str, helper: &str) -> String {
    say("hearing-us-through", &[("listener", listener.into()), ("helper", helper.into())])
}

pub fn hears_through(listener: &str, speaker: &str, helper: &str) -> String {
    let variables = [("listener", listener.into()), ("speaker", speaker.into()), ("helper", helper.into())];
    say("hearing-through", &variables)
}

pub fn hears_through_us(listener: &str, speaker: &str) -> String {
    say("hearing-through-us", &[("listener", listener.into()), ("speaker", speaker.into())])
}

pub fn invites_you(name: &str) -> String {
    say("invites-you", &[("name", name.into())])
}

pub fn stranger_invites_you(name: &str) -> String {
    say("stranger-invites-you", &[("name", name.into())])
}

/// The other side of the running call asks; `others` may be empty.
pub fn wants_group(name: &str, others: &str) -> String {
    if others.is_empty() {
        return say("wants-group", &[("name", name.into())]);
    }
    say("wants-group-with", &[("name", name.into()), ("others", others.into())])
}

pub fn also_there(names: &str) -> String {
    say("also-there", &[("names", names.into())])
}

/// While people are chosen: `room` people more are taken.
pub fn chosen(chosen: usize, room: usize, most: usize) -> String {
    if room == 0 {
        return say("chosen-all", &[("chosen", chosen.into()), ("most", most.into())]);
    }
    say("chosen-of", &[("chosen", chosen.into()), ("room", room.into())])
}

pub fn group_full(most: usize) -> String {
    say("group-full", &[("most", most.into())])
}

/// `time`: of day, tomorrow.
pub fn link_copied_until(time: &str) -> String {
    say("link-copied-until", &[("time", time.into())])
}

/// How a group call ended for us; the second value: something went wrong. `None`: it was our own wish, and there is
/// nothing to tell.
pub fn group_end(reason: LeftReason, name: Option<&str>, talked: Duration) -> Option<(String, bool)> {
    Some(match (reason, name) {
        (LeftReason::Ours, _) if talked.is_zero() => return None,
        (LeftReason::Ours, _) => (say("group-left", &[("length", timer(talked).into())]), false),
        (LeftReason::Removed { .. }, Some(name)) => (say("group-removed-by", &[("name", name.into())]), true),
        (LeftReason::Removed { .. }, None) => (GROUP_REMOVED.into(), true),
        (LeftReason::Unreachable, _) => (GROUP_UNREACHABLE.into(), true),
        (LeftReason::NoAnswer, _) => (GROUP_MISSED.into(), true),
        (LeftReason::Refused(why), _) => {
            let why = match why {
                TicketRefused::Expired => REFUSED_EXPIRED,
                TicketRefused::Revoked => REFUSED_REVOKED,
                TicketRefused::AuthorIsGone => REFUSED_AUTHOR_GONE,
                TicketRefused::OtherGroup => REFUSED_OTHER_GROUP,
                TicketRefused::Full => REFUSED_FULL,
                TicketRefused::Banned => REFUSED_BANNED,
                TicketRefused::TooMany => REFUSED_TOO_MANY,
                TicketRefused::NotIn => REFUSED_NOT_IN,
            };
            (why.into(), true)
        }
    })
}

pub fn removed_by(name: &str, who: &str) -> String {
    say("removed-by", &[("name", name.into()), ("who", who.into())])
}

/// Somebody whom we had invited does not come; the second value: inviting them again can help.
pub fn not_coming(name: &str, why: EndReason) -> (String, bool) {
    let (key, again) = match why {
        EndReason::Declined => ("not-coming-declined", false),
        EndReason::Busy => ("not-coming-busy", true),
        EndReason::NoAnswer | EndReason::Cancelled | EndReason::TimeLimit => ("not-coming-no-answer", true),
        EndReason::NotFound => ("not-coming-not-found", true),
        EndReason::HangUp
        | EndReason::RemoteHangUp
        | EndReason::Unreachable
        | EndReason::ConnectionLost
        | EndReason::Device
        | EndReason::FingerprintMismatch
        | EndReason::Shutdown => ("not-coming-unreachable", true),
    };
    (say(key, &[("name", name.into())]), again)
}

pub fn unfinished(names: &str) -> String {
    if names.is_empty() { UNFINISHED_ALONE.into() } else { say("unfinished-with", &[("names", names.into())]) }
}

/// One past group call in a list.
pub fn past_group(outcome: Outcome, names: &str, talked: Duration) -> String {
    let key = match outcome {
        Outcome::Outgoing | Outcome::Incoming if !talked.is_zero() => {
            return say("past-group", &[("names", names.into()), ("length", length(talked).into())]);
        }
        Outcome::Outgoing | Outcome::Failed => "past-group-nobody",
        Outcome::Incoming => "past-group-not-joined",
        Outcome::Missed => "past-group-missed-of",
    };
    say(key, &[("names", names.into())])
}

pub fn remove_from_call_title(who: &str) -> String {
    say("remove-from-call-title", &[("who", who.into())])
}

pub fn on_hold_with(name: &str) -> String {
    say("on-hold-with", &[("name", name.into())])
}

pub fn join_link_of(name: &str) -> String {
    say("join-link-of", &[("name", name.into())])
}

pub fn and_more_lines(count: usize) -> String {
    say("and-more-lines", &[("count", count.into())])
}

pub fn people_count(count: usize) -> String {
    say("people-count", &[("count", count.into())])
}

pub fn call_people(count: usize) -> String {
    say("call-people", &[("count", count.into())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::words::{Language, speak};

    #[test]
    fn names_are_few() {
        let said = |count: usize| names(&["Bob", "Carol", "Dave", "Erin", "Frank"].map(String::from)[..count]);
        let said: Vec<String> = (0..=5).map(said).collect();
        let wanted =
            ["", "Bob", "Bob and Carol", "Bob, Carol and Dave", "Bob, Carol and 2 more", "Bob, Carol and 3 more"];
        assert_eq!(said, wanted);
    }

    #[test]
    fn every_end_says_what_to_do() {
        let hour = Duration::from_secs(3600);
        let end = |reason| group_end(reason, Some("Bob"), hour);
        assert_eq!(end(LeftReason::Ours), Some(("You were in the group call for 1:00:00.".into(), false)));
        assert_eq!(group_end(LeftReason::Ours, None, Duration::ZERO), None, "who declines knows");
        for language in Language::ALL {
            speak(language);
            for why in [TicketRefused::Expired, TicketRefused::Full, TicketRefused::NotIn] {
                let (text, worry) = end(LeftReason::Refused(why)).unwrap_or_default();
                assert!(worry && text.contains(". "), "{text}");
            }
        }
        speak(Language::English);
        let (text, again) = not_coming("Carol", EndReason::NoAnswer);
        assert_eq!((text.as_str(), again), ("Carol did not answer. Invite them again later.", true));
        assert!(!not_coming("Carol", EndReason::Declined).1);
    }
}
