//! The strings of the client, in one place.

use std::time::{Duration, Instant};

use super::view::Outcome;
use crate::engine::{CallPhase, CallSide, CheckKind, EndReason, MediaPath, PeerStats, SnapshotCall, Verdict};

pub const TITLE: &str = "twocans";
pub const PEOPLE: &str = "People";
pub const NETWORK: &str = "Network";
pub const SETTINGS: &str = "Settings";
pub const SOUND: &str = "Sound";
pub const SOUND_BODY: &str = "Changes hold at once, also in a call. A device that is unplugged is replaced by the next one and taken back when it returns.";
pub const MICROPHONE: &str = "Microphone";
pub const SPEAKER: &str = "Speaker";
pub const RING_DEVICE: &str = "Rings on";
pub const SYSTEM_DEFAULT: &str = "The system's default";
pub const NOTHING: &str = "Nothing: calls only show";
pub const NOISE: &str = "Background noise";
pub const NOISE_OFF: &str = "Leave it";
pub const NOISE_STANDARD: &str = "Reduce";
pub const NOISE_STRONG: &str = "Reduce strongly";
pub const ECHO: &str = "Remove my loudspeaker's echo";
pub const WHEN_HEARD: &str = "I am heard";
pub const ALWAYS: &str = "Always";
pub const WHILE_SPEAKING: &str = "While I speak";
pub const WHILE_KEY: &str = "While the talk key is held";
pub const TALK_KEY_HINT: &str = "Space, while this window is in front. For a key that works everywhere, have your desktop run `twocans ptt press` and `twocans ptt release`.";
pub const APPEARANCE: &str = "Appearance";
pub const DARK: &str = "Dark";
pub const LIGHT: &str = "Light";
pub const PROFILE: &str = "Profile";
pub const PROFILE_BODY: &str =
    "Your key, contacts and calls are in this folder. Keep a copy of it: nobody else can restore them.";
pub const YOU_SECTION: &str = "Your link and profile";
pub const DARK_THEME: &str = "Dark theme";
pub const LIGHT_THEME: &str = "Light theme";
pub const SEARCH: &str = "Search people or paste a link";
pub const NOBODY_YET: &str = "Nobody here yet";
pub const NOBODY_YET_BODY: &str = "Give somebody your link, or paste theirs into the field above.";
pub const NOBODY_FOUND: &str = "Nobody of that name";
pub const ADD_CONTACT: &str = "Add contact";
pub const NAME: &str = "Name";
pub const NAME_HINT: &str = "What you call them";
pub const SAVE: &str = "Save";
pub const BACK: &str = "Back";
pub const MORE: &str = "More";
pub const RENAME: &str = "Rename…";
pub const BLOCK: &str = "Block";
pub const UNBLOCK: &str = "Unblock";
pub const BLOCKED: &str = "Blocked";
pub const REMOVE: &str = "Remove…";
pub const REMOVE_BODY: &str = "They leave your list of people; the calls you had stay in the history.";
pub const REMOVE_NOW: &str = "Remove";
pub const NOT_A_CONTACT: &str = "Not in your contacts";
pub const ONLINE: &str = "Online";
pub const OFFLINE: &str = "Not online just now";
pub const LOOKING: &str = "Looking whether they are online…";
pub const RETURN: &str = "Return to the call";
pub const IN_CALL: &str = "In a call with you";
pub const NO_CALLS: &str = "No calls yet";
pub const NO_CALLS_BODY: &str = "Calls with them will be listed here.";
pub const DISMISS: &str = "Dismiss";
pub const YOUR_LINK: &str = "Your link";
pub const LINK_HINT: &str = "Whoever has it can ring you. Nobody learns your address before you answer.";
pub const COPY: &str = "Copy link";
pub const COPIED: &str = "Copied";
pub const STARTING: &str = "Going online";
pub const NOT_CALLABLE: &str = "Not callable yet";
pub const OWN_LINK: &str = "That is your own link.";
pub const CALL: &str = "Call";
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
pub const QUALITY: &str = "Call quality";
pub const ROUND_TRIP: &str = "Round trip";
pub const JITTER: &str = "Jitter";
pub const LOSS: &str = "Packet loss";
pub const CODEC: &str = "Codec";
pub const OPUS: &str = "Opus 48 kHz";
pub const SENT_RECEIVED: &str = "Sent / received";
pub const BUFFER: &str = "Jitter buffer";
pub const MOUTH_TO_EAR: &str = "Mouth to ear";
pub const MEASURING: &str = "…";
pub const RUN_TEST: &str = "Run test";
pub const TESTING: &str = "Testing…";
pub const COPY_REPORT: &str = "Copy report";
pub const NETWORK_BODY: &str = "Can others reach you, and how do your calls travel? The test takes a few seconds.";
pub const NOT_TESTED: &str = "Not tested yet";
pub const TODAY: &str = "Today";
pub const YESTERDAY: &str = "Yesterday";

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
        (CallPhase::Ringing, CallSide::Callee) => "Calling you",
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

/// One past call in a list.
pub fn past_call(outcome: Outcome, reason: EndReason, talked: Duration) -> String {
    match (outcome, reason) {
        (Outcome::Missed, _) => "Missed call".into(),
        (Outcome::Outgoing, _) => format!("Outgoing call · {}", length(talked)),
        (Outcome::Incoming, EndReason::Declined) if talked.is_zero() => "You declined".into(),
        (Outcome::Incoming, _) if talked.is_zero() => "Incoming call, not connected".into(),
        (Outcome::Incoming, _) => format!("Incoming call · {}", length(talked)),
        (Outcome::Failed, EndReason::Declined) => "They declined".into(),
        (Outcome::Failed, EndReason::Busy) => "They were in another call".into(),
        (Outcome::Failed, EndReason::NoAnswer) => "They did not answer".into(),
        (Outcome::Failed, EndReason::NotFound) => "They were not online".into(),
        (Outcome::Failed, EndReason::HangUp | EndReason::Cancelled) => "You cancelled".into(),
        (Outcome::Failed, EndReason::FingerprintMismatch) => "Cut: somebody was in the middle".into(),
        (Outcome::Failed, _) => "The call did not get through".into(),
    }
}

/// "42 s", "12 min 08 s", "1 h 05 min".
pub fn length(talked: Duration) -> String {
    let seconds = talked.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

pub const fn check(what: CheckKind) -> &'static str {
    match what {
        CheckKind::Dht => "Other nodes",
        CheckKind::SuperPeers => "Super-peers",
        CheckKind::Udp => "UDP",
        CheckKind::PublicAddress => "Public address",
        CheckKind::Nat => "Router (NAT)",
        CheckKind::Ipv6 => "IPv6",
        CheckKind::PortMapping => "Port mapping",
        CheckKind::Devices => "Sound devices",
        CheckKind::MicrophoneLevel => "Microphone",
    }
}

pub const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fine => "OK",
        Verdict::Warning => "Limited",
        Verdict::Problem => "Unavailable",
        Verdict::Unknown => "Unknown",
    }
}

/// "In call · 04:12", or what the call waits for.
pub fn in_call(call: &SnapshotCall, at: Instant) -> String {
    match call.connected_at {
        Some(since) => format!("In call · {}", timer(at.saturating_duration_since(since))),
        None => phase(call.phase, call.side).to_owned(),
    }
}

pub fn remove_title(who: &str) -> String {
    format!("Remove {who}?")
}

pub fn rename_title(who: &str) -> String {
    format!("Rename {who}")
}

pub fn kbps(tx: Option<u32>, rx: Option<u32>) -> String {
    let kilo = |bps: Option<u32>| bps.map_or_else(|| "–".to_owned(), |bps| (bps / 1000).to_string());
    format!("{} / {} kb/s", kilo(tx), kilo(rx))
}

pub fn milliseconds(ms: Option<f32>) -> String {
    match ms {
        Some(ms) if ms < 10.0 => format!("{ms:.1} ms"),
        Some(ms) => format!("{ms:.0} ms"),
        None => MEASURING.to_owned(),
    }
}

pub fn percent(share: Option<f32>) -> String {
    share.map_or_else(|| MEASURING.to_owned(), |share| format!("{:.1} %", share * 100.0))
}

// desktop
pub const OPEN: &str = "Open";
pub const QUIT: &str = "Quit";
pub const DESKTOP: &str = "Desktop";
pub const CLOSING: &str = "Closing the window";
pub const KEEP_RUNNING: &str = "Keep running in the tray";
pub const CANNOT_HIDE: &str =
    "On a Wayland desktop no window can be hidden and brought back, so closing it ends twocans.";
pub const TALK_KEY: &str = "Talk key";
pub const TALK_KEY_EXAMPLE: &str = "None; such as F9 or Ctrl+Alt+Space";
pub const TALK_KEY_BODY: &str =
    "Works in front of every window, while you are heard only as long as the talk key is held.";
pub const NOTIFICATIONS: &str = "Notifications";
pub const NOTIFICATIONS_WORK: &str = "Calls are announced while this window is not in front.";
pub const CALL_BACK: &str = "Call back";
pub const MISSED: &str = "Missed call";
pub const TRAY_CALLABLE: &str = "Callable";
pub const TRAY_IN_CALL: &str = "In a call";
pub const TRAY_MUTED: &str = "In a call, muted";
pub const NO_TRAY: &str = "This desktop shows no tray icons.";
pub const NO_ANSWER: &str = "it does not answer";
pub const NO_PORTAL: &str = "there is no session bus to ask the desktop for it";
pub const KEY_IS_TAKEN: &str = "another program has taken it; choose another key";
pub const KEY_IS_MISSING: &str = "this keyboard has no such key; choose another";
pub const TALK_KEY_SHORTCUT: &str = "Talk while it is held";
#[cfg(not(target_os = "linux"))]
pub const NOT_ON_THIS_SYSTEM: &str = "Not available on this system yet.";

pub fn calls_you(name: &str) -> String {
    format!("{name} is calling you")
}

pub fn stranger_calls_you(name: &str) -> String {
    format!("{name}, who is not in your contacts, is calling you")
}

pub fn from(name: &str) -> String {
    format!("From {name}")
}

pub fn no_session_bus(why: &str) -> String {
    format!("This desktop has no session bus ({why}).")
}

pub fn no_notifications(why: &str) -> String {
    format!("This desktop shows no notifications ({why}).")
}

pub fn no_tray(why: &str) -> String {
    format!("This desktop shows no tray icons ({why}).")
}

pub fn no_talk_key(why: &str) -> String {
    format!("The talk key works in this window only: {why}.")
}

pub fn rings_silently(why: &str) -> String {
    format!("It rings without a sound: {why}.")
}
// end of desktop

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_precise_as_they_need_be() {
        let said: Vec<String> = [42, 728, 3900].map(|seconds| length(Duration::from_secs(seconds))).into();
        assert_eq!(said, ["42 s", "12 min 08 s", "1 h 05 min"]);
    }

    #[test]
    fn errors_become_sentences() {
        assert_eq!(sentence("no such device"), "No such device.");
        assert_eq!(sentence("Really?"), "Really?");
    }
}
