//! What is said outside the window: by notifications, the tray and the talk key.

use super::say;

pub fn calls_you(name: &str) -> String {
    say("calls-you", &[("name", name.into())])
}

pub fn stranger_calls_you(name: &str) -> String {
    say("stranger-calls-you", &[("name", name.into())])
}

pub fn from(name: &str) -> String {
    say("from", &[("name", name.into())])
}

pub fn no_session_bus(why: &str) -> String {
    say("no-session-bus", &[("why", why.into())])
}

pub fn no_notifications(why: &str) -> String {
    say("no-notifications", &[("why", why.into())])
}

pub fn no_tray(why: &str) -> String {
    say("no-tray-because", &[("why", why.into())])
}

pub fn no_talk_key(why: &str) -> String {
    say("no-talk-key", &[("why", why.into())])
}

pub fn rings_silently(why: &str) -> String {
    say("rings-silently", &[("why", why.into())])
}
