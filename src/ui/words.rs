//! The strings of the client, in one place.

use std::time::Duration;

use crate::engine::{CallPhase, CallSide, EndReason, MediaPath, PeerStats};

pub const TITLE: &str = "twocans";
pub const YOUR_LINK: &str = "Your link";
pub const LINK_HINT: &str = "Whoever has it can ring you. Nobody learns your address before you answer.";
pub const COPY: &str = "Copy link";
pub const COPIED: &str = "Copied";
pub const STARTING: &str = "Going online";
pub const NOT_CALLABLE: &str = "Not callable yet";
pub const DIAL_TITLE: &str = "Call somebody";
pub const DIAL_BODY: &str = "Paste the link that they gave you.";
pub const DIAL_FIELD: &str = "twocans:…";
pub const OWN_LINK: &str = "That is your own link.";
pub const CALL: &str = "Call";
pub const CONTACTS: &str = "Contacts";
pub const INCOMING: &str = "Incoming call";
pub const ANSWER: &str = "Answer";
pub const DECLINE: &str = "Decline";
pub const HANG_UP: &str = "Hang up";
pub const CANCEL: &str = "Cancel";
pub const MUTE: &str = "Mute";
pub const UNMUTE: &str = "Unmute";
pub const DEAFEN: &str = "Deafen";
pub const UNDEAFEN: &str = "Undeafen";
pub const ENCRYPTED: &str = "End-to-end encrypted";
pub const THEY_ARE_MUTED: &str = "They are muted";
pub const YOU: &str = "You";
pub const THEY: &str = "They";
pub const SAFETY_WORDS: &str = "Safety words: read them to each other; they differ only if somebody listens in";

pub fn callable(nodes: u32) -> String {
    match nodes {
        1 => "Callable · 1 node knows the way".into(),
        nodes => format!("Callable · {nodes} nodes know the way"),
    }
}

/// Other rooms write their errors without a capital and a full stop.
pub fn sentence(text: &str) -> String {
    let mut letters = text.trim().chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.trim_end().ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

pub fn phase(phase: CallPhase, side: CallSide) -> &'static str {
    match (phase, side) {
        (CallPhase::Dialing, _) => "Looking for them…",
        (CallPhase::Ringing, CallSide::Caller) => "It rings…",
        (CallPhase::Ringing, CallSide::Callee) => "is calling you",
        (CallPhase::Connecting, _) => "Connecting…",
        (CallPhase::Connected, _) => "",
        (CallPhase::Reconnecting, _) => "Connection interrupted, reconnecting…",
        (CallPhase::Ended, _) => "Ended",
    }
}

pub fn path(path: &MediaPath) -> String {
    match (&path.via, path.is_relayed()) {
        (Some(via), true) => format!("Relayed via {via}"),
        (None, true) => "Relayed".into(),
        (_, false) => format!("Direct · {}", path.protocol.to_uppercase()),
    }
}

/// How the last second sounded: the word, and whether it gives reason to worry.
pub fn quality(stats: &PeerStats) -> Option<(String, bool)> {
    let concealed = stats.concealed.or(stats.loss)?;
    let delay_ms = stats.delay_ms.unwrap_or(0.0);
    let (word, worry) = match () {
        () if concealed < 0.01 && delay_ms < 250.0 => ("Good", false),
        () if concealed < 0.05 && delay_ms < 400.0 => ("Fair", true),
        () => ("Poor", true),
    };
    let delay = stats.delay_ms.map(|ms| format!(" · {ms:.0} ms")).unwrap_or_default();
    Some((format!("{word}{delay}"), worry))
}

pub fn timer(talked: Duration) -> String {
    let seconds = talked.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes:02}:{seconds:02}") }
}

/// How the last call ended; the second value: something went wrong.
pub fn end(reason: EndReason, peer: &str, talked: Duration) -> (String, bool) {
    let length = timer(talked);
    match reason {
        EndReason::HangUp | EndReason::TimeLimit if talked.is_zero() => ("The call was ended.".into(), false),
        EndReason::HangUp | EndReason::TimeLimit | EndReason::Shutdown => {
            (format!("You talked with {peer} for {length}."), false)
        }
        EndReason::RemoteHangUp => (format!("{peer} hung up after {length}."), false),
        EndReason::Cancelled => (format!("The call with {peer} was cancelled."), false),
        EndReason::Declined => (format!("The call with {peer} was declined."), false),
        EndReason::Busy => (format!("{peer} is in another call. Try again later."), true),
        EndReason::NoAnswer => (format!("The call with {peer} was not answered."), true),
        EndReason::NotFound => (format!("{peer} was not found. They may be offline."), true),
        EndReason::Unreachable => (format!("{peer} could not be reached. Try again in a minute."), true),
        EndReason::ConnectionLost => (format!("The connection to {peer} was lost. Call again."), true),
        EndReason::Device => ("A sound device stopped working. Check your microphone and speaker.".into(), true),
        EndReason::FingerprintMismatch => {
            (format!("ALARM: the encryption was not set up by {peer}. The call was cut; ask them another way."), true)
        }
    }
}
