//! The sentences that people read.

use std::time::Duration;

use crate::engine::{AudioRole, Candidate, CheckKind, EndReason, MediaPath, PeerStats, Summary};

/// "0:07", "12:34", "1:02:03".
pub fn timer(talked: Duration) -> String {
    let seconds = talked.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// "84 ms", "1.2 s".
pub fn took(duration: Duration) -> String {
    match duration.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        ms => format!("{:.1} s", ms as f64 / 1000.0),
    }
}

/// "0 %", "0.4 %", "12 %", from 0..1.
pub fn percent(share: f32) -> String {
    let percent = share * 100.0;
    if percent < 0.05 {
        "0 %".into()
    } else if percent < 10.0 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// "direct, host to host over udp" or "relayed through …".
pub fn path(path: &MediaPath) -> String {
    let ends = format!("{} to {} over {}", candidate(path.local), candidate(path.remote), path.protocol);
    match (&path.via, path.is_relayed()) {
        (Some(via), true) => format!("relayed through {via}, {ends}"),
        (None, true) => format!("relayed, {ends}"),
        (_, false) => format!("direct, {ends}"),
    }
}

fn candidate(candidate: Candidate) -> &'static str {
    match candidate {
        Candidate::Host => "host",
        Candidate::ServerReflexive => "server-reflexive",
        Candidate::PeerReflexive => "peer-reflexive",
        Candidate::Relayed => "relay",
    }
}

pub fn role(role: AudioRole) -> &'static str {
    match role {
        AudioRole::Microphone => "microphone",
        AudioRole::Speaker => "speaker",
        AudioRole::Ring => "ring",
    }
}

/// What is looked at, in at most 14 characters.
pub fn check(what: CheckKind) -> &'static str {
    match what {
        CheckKind::Dht => "peers",
        CheckKind::SuperPeers => "super-peers",
        CheckKind::Udp => "UDP",
        CheckKind::PublicAddress => "public address",
        CheckKind::Nat => "NAT",
        CheckKind::Ipv6 => "IPv6",
        CheckKind::PortMapping => "port mapping",
        CheckKind::Devices => "sound devices",
        CheckKind::MicrophoneLevel => "microphone",
    }
}

/// How a call sounds, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quality {
    Good,
    Fair,
    Poor,
}

impl Quality {
    /// Of the last second. Delay limits are those of ITU-T G.114; concealment is heard from about one percent.
    pub fn of_stats(stats: &PeerStats) -> Option<Self> {
        let concealed = stats.concealed.or(stats.loss)?;
        let delay_ms = stats.delay_ms.unwrap_or(0.0);
        Some(match () {
            () if concealed < 0.01 && delay_ms < 250.0 => Self::Good,
            () if concealed < 0.05 && delay_ms < 400.0 => Self::Fair,
            () => Self::Poor,
        })
    }

    /// Of a whole call, MOS 1..4.5. The limits are those of user satisfaction in ITU-T G.107, table B.1.
    pub fn of_mos(mos: f32) -> Self {
        match mos {
            4.03.. => Self::Good,
            3.1.. => Self::Fair,
            _ => Self::Poor,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fair => "fair",
            Self::Poor => "poor",
        }
    }
}

/// "Quality good (4.3), loss 0.2 %, delay 62 ms." or nothing when nothing was heard.
pub fn summary(summary: &Summary) -> Option<String> {
    let quality = summary.quality.map(|mos| format!("quality {} ({mos:.1} of 4.5)", Quality::of_mos(mos).word()));
    let loss = summary.loss.map(|loss| format!("loss {}", percent(loss)));
    let delay = summary.delay_ms_p50.map(|ms| format!("delay {ms:.0} ms"));
    let parts: Vec<String> = [quality, loss, delay].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// How a call with `peer` ended, for whoever took part in it, when it ended as calls should.
pub fn end(reason: EndReason, peer: &str, talked: Duration) -> String {
    let length = timer(talked);
    let never = talked.is_zero();
    match reason {
        EndReason::HangUp if never => format!("Stopped before {peer} was connected."),
        EndReason::HangUp => format!("You hung up after {length}."),
        EndReason::RemoteHangUp if never => format!("{peer} hung up before the call was connected."),
        EndReason::RemoteHangUp => format!("{peer} hung up after {length}."),
        EndReason::TimeLimit => format!("Hung up after the {length} that were asked for."),
        EndReason::Cancelled => format!("The call with {peer} was cancelled."),
        EndReason::Shutdown => format!("The call with {peer} ended after {length}: the program was closed."),
        EndReason::Declined => format!("The call with {peer} was declined."),
        EndReason::Busy => format!("{peer} and you could not talk: the line was busy."),
        EndReason::NoAnswer => format!("The call with {peer} was not answered."),
        EndReason::NotFound => format!("{peer} was not found."),
        EndReason::Unreachable => format!("{peer} could not be reached."),
        EndReason::ConnectionLost => format!("The connection to {peer} was lost after {length}."),
        EndReason::FingerprintMismatch => {
            format!("ALARM: the encryption was not set up by {peer}; the call was cut. Ask them another way.")
        }
        EndReason::Device => format!("The call with {peer} ended after {length}: a sound device stopped working."),
    }
}

/// What became of a past call in which nobody talked, in a few words.
pub fn why_no_talk(reason: EndReason, outgoing: bool) -> &'static str {
    match (reason, outgoing) {
        (EndReason::Declined, true) => "declined",
        (EndReason::Declined, false) => "you declined",
        (EndReason::Busy, true) => "busy",
        (EndReason::NoAnswer, true) => "no answer",
        (EndReason::Cancelled, true) => "cancelled",
        (EndReason::NotFound, true) => "not found",
        (EndReason::Unreachable, true) => "not reached",
        (EndReason::Busy | EndReason::NoAnswer | EndReason::Cancelled, false) => "missed",
        (EndReason::NotFound | EndReason::Unreachable, false) => "missed",
        (EndReason::FingerprintMismatch, _) => "ALARM: cut",
        (
            EndReason::HangUp
            | EndReason::RemoteHangUp
            | EndReason::TimeLimit
            | EndReason::ConnectionLost
            | EndReason::Device
            | EndReason::Shutdown,
            _,
        ) => "did not connect",
    }
}

/// "3 minutes ago".
pub fn ago(seconds: i64) -> String {
    let (number, unit) = match seconds {
        ..60 => return "just now".into(),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        let timers = [0, 7, 754, 3723].map(|seconds| timer(Duration::from_secs(seconds)));
        assert_eq!(timers, ["0:00", "0:07", "12:34", "1:02:03"]);
        assert_eq!([59, 60, 7200, 86_400 * 3].map(ago), ["just now", "1 minute ago", "2 hours ago", "3 days ago"]);
        assert_eq!([84, 1234].map(|ms| took(Duration::from_millis(ms))), ["84 ms", "1.2 s"]);
        assert_eq!([0.0, 0.004, 0.123].map(percent), ["0 %", "0.4 %", "12 %"]);
    }
}
