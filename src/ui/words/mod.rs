//! What the client says, in the user's language: one name here for each message of the files in `assets/lang/`, and a
//! function for each that has variables.

mod catalogue;
mod desktop;
mod group;
mod network;

use std::fmt;
use std::ops::Deref;
use std::time::{Duration, Instant};

use eframe::egui::WidgetText;

use self::catalogue::{say, text};
use super::view::Outcome;
use crate::engine::{Broken, CallPhase, CallSide, EndReason, Failure, FailureKind, MediaPath, PeerStats, SnapshotCall};

pub use self::catalogue::{CHOSEN_LANGUAGE, Language, speak, speak_as_chosen, spoken};
pub use self::desktop::{
    calls_you, from, no_notifications, no_session_bus, no_talk_key, no_tray, rings_silently, stranger_calls_you,
};
pub use self::group::{
    also_there, and_more_lines, call_people, chosen, do_not_hear_each_other, does_not_hear, does_not_hear_us,
    group_end, group_full, hears_through, hears_through_us, hears_us_through, in_group_for, invites_you, join_link_of,
    link_copied_until, names, not_coming, on_hold_with, past_group, people_count, remove_from_call_title, removed_by,
    stranger_invites_you, unfinished, via, wants_group, we_do_not_hear, we_do_not_hear_each_other,
};
pub use self::network::{answer, broken, cause, check, finding, remedy, verdict};

/// A message without variables: a `str` in the language of the moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word(&'static str);

impl Word {
    pub fn text(self) -> &'static str {
        text(self)
    }
}

impl Deref for Word {
    type Target = str;

    fn deref(&self) -> &str {
        self.text()
    }
}

impl AsRef<str> for Word {
    fn as_ref(&self) -> &str {
        self.text()
    }
}

impl From<Word> for String {
    fn from(word: Word) -> Self {
        word.text().to_owned()
    }
}

impl From<Word> for WidgetText {
    fn from(word: Word) -> Self {
        word.text().into()
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Names for messages: `NAME_HINT` is `name-hint` in the files.
macro_rules! words {
    ($($name:ident),* $(,)?) => {
        $(pub const $name: Word = Word(stringify!($name));)*
        /// All of them.
        const WORDS: &[Word] = &[$($name),*];
    };
}

words! {
    TITLE, PEOPLE, LIST_WIDTH, NETWORK, SETTINGS, SOUND, SOUND_BODY, MICROPHONE, SPEAKER, RING_DEVICE, SYSTEM_DEFAULT,
    NOTHING, NOISE, NOISE_OFF, NOISE_STANDARD, NOISE_STRONG, ECHO, WHEN_HEARD, ALWAYS, WHILE_SPEAKING,
    WHILE_KEY, TALK_KEY_HINT, APPEARANCE, DARK, LIGHT, PROFILE, PROFILE_BODY, YOU_SECTION, DARK_THEME,
    LIGHT_THEME, SEARCH, NOBODY_YET, NOBODY_YET_BODY, NOBODY_FOUND, NOBODY_FOUND_BODY, ADD_CONTACT, NAME, NAME_HINT, SAVE, BACK,
    MORE, RENAME, BLOCK, UNBLOCK, BLOCKED, REMOVE, REMOVE_BODY, REMOVE_NOW, NOT_A_CONTACT, ONLINE, OFFLINE,
    LOOKING, RETURN, IN_CALL, NO_CALLS, NO_CALLS_BODY, DISMISS, YOUR_LINK, LINK_HINT, COPY, COPIED, STARTING,
    CALLABLE, NOT_CALLABLE, OWN_LINK, CALL, INCOMING, ANSWER, DECLINE, HANG_UP, CANCEL, MUTE, UNMUTE, DEAFEN, UNDEAFEN,
    ENCRYPTED, THEY_ARE_MUTED, YOU, THEY, SAFETY_WORDS, QUALITY, ROUND_TRIP, JITTER, LOSS, CODEC, OPUS,
    SENT_RECEIVED, BUFFER, MOUTH_TO_EAR, MEASURING, RUN_TEST, TESTING, COPY_REPORT, NETWORK_BODY, NOT_TESTED, NOT_TESTED_BODY,
    OPEN, QUIT, DESKTOP, CLOSING, KEEP_RUNNING, CANNOT_HIDE, TALK_KEY, TALK_KEY_EXAMPLE, TALK_KEY_BODY,
    NOTIFICATIONS, NOTIFICATIONS_WORK, CALL_BACK, MISSED, TRAY_CALLABLE, TRAY_IN_CALL, TRAY_MUTED, NO_TRAY,
    NO_ANSWER, NO_PORTAL, KEY_IS_TAKEN, KEY_IS_MISSING, TALK_KEY_SHORTCUT, NOT_ON_THIS_SYSTEM,
    WELCOME, WELCOME_BODY, WELCOME_SOUND, WELCOME_SOUND_BODY, WELCOME_LINK_BODY, CONTINUE, SKIP, DONE, BACKUP,
    BACKUP_BODY, BACKUP_MADE, NO_BACKUP, MAKE_BACKUP, RESTORE, RESTORE_OFFER, RESTORE_BODY, RESTORING, FILE,
    DROP_FILE, NAME_A_FILE, PASSPHRASE, PASSPHRASE_AGAIN, PASSPHRASE_SHORT, PASSPHRASES_DIFFER, LEVEL, TRY_IT,
    TRY_MICROPHONE,  HEAR_MYSELF, HEAR_MYSELF_BODY, RING_ONCE, VERIFIED, VERIFIED_BODY,
    WORDS_MATCH, DETOUR, DETOUR_BODY, VOLUME, HOLD, UNHOLD, ON_HOLD, THEY_HOLD,
    NETWORK_SETTINGS_BODY, PRIVACY, THEME, LANGUAGE, HELP_OTHERS, HELP_OTHERS_BODY, ASK_PUBLIC_STUN,
    ASK_PUBLIC_STUN_BODY, FIRST_NODES, FIRST_NODES_HINT, RESTART, RESTART_BODY, RELAY_ONLY, RELAY_ONLY_BODY,
    BLOCKED_PEOPLE, NOBODY_BLOCKED, YOUR_NAME, YOUR_NAME_HINT, FOLDER, SEEN_BY_RELAY, SEEN_BY_THEM, NO_PICTURE, NO_CODE, NO_LINK_IN_CODE, CALL_AGAIN, OPEN_SETTINGS, TALKING_WHILE_MUTED, UNMUTE_NOW, TODAY, YESTERDAY, WEEKDAYS, SHORT_WEEKDAYS, MONTHS, SHORT_MONTHS, DECIMAL_MARK,
    PHASE_DIALING, PHASE_RINGING, PHASE_RINGS_YOU, PHASE_CONNECTING, PHASE_RECONNECTING, PHASE_ENDED,
    PATH_RELAYED, QUALITY_GOOD, QUALITY_FAIR, QUALITY_POOR,
    PAST_MISSED, PAST_YOU_DECLINED, PAST_NOT_CONNECTED, PAST_THEY_DECLINED, PAST_BUSY, PAST_NO_ANSWER,
    PAST_NOT_FOUND, PAST_YOU_CANCELLED, PAST_CUT, PAST_FAILED,
    CHECK_DHT, CHECK_SUPER_PEERS, CHECK_UDP, CHECK_PUBLIC_ADDRESS, CHECK_NAT, CHECK_IPV6, CHECK_PORT_MAPPING,
    CHECK_DEVICES, CHECK_MICROPHONE, VERDICT_FINE, VERDICT_WARNING, VERDICT_PROBLEM, VERDICT_UNKNOWN,
    BROKEN_RELAY_SILENT, BROKEN_SILENT, BROKEN_THEY_MOVED, BROKEN_WE_MOVED, CAUSE_NOT_EVEN_RELAYED,
    CAUSE_NO_DIRECT_PATH, CAUSE_NO_RELAY, CAUSE_STRICT_ROUTER, CAUSE_SUPER_PEERS_GONE, CAUSE_UDP_BLOCKED,
    CAUSE_UDP_MAY_BE_BLOCKED, REACH_DIRECT, REACH_NOBODY_ANSWERS, REACH_NOWHERE, REACH_RELAYED, REACH_TCP_ONLY,
    REACH_UNCLEAR, REMEDY_ANOTHER_NODE, REMEDY_CONNECTION, REMEDY_DEVICE, REMEDY_LATER, REMEDY_MICROPHONE,
    REMEDY_NETWORK_OWNER, REMEDY_STRICT_ROUTER, REMEDY_UPNP,
    GROUP_CALL, SPEAKING, RECONNECTING, TILE_RINGING, TILE_GONE, TILE_GONE_BODY, TILE_HELD, TILE_MISSING,
    MICROPHONE_OFF, SILENCED, ENCRYPTED_SHORT, INVITE, LEAVE, ADD_PEOPLE, ADD_PEOPLE_TITLE, ADD_PEOPLE_BODY,
    NEW_GROUP, INVITE_TITLE, NOBODY_TO_INVITE, MUTE_FOR_ME, REMOVE_FROM_CALL, REMOVE_FROM_CALL_BODY, COPY_JOIN_LINK,
    COPY_JOIN_LINK_BODY, REVOKE_LINKS, LINKS_REVOKED, JOIN, HOLD_AND_JOIN, HOLD_AND_ANSWER, ADD_TO_CALL,
    SHOWS_ADDRESS, ASKING, ASKING_BODY, JOIN_LINK, ASK_TO_JOIN, SWAP, REJOIN, FORGET, IN_GROUP, INVITE_AGAIN,
    NOBODY_ELSE, NOBODY_ELSE_BODY, GAP_ADVICE, GROUP_MISSED, GROUP_UNREACHABLE, GROUP_REMOVED, REFUSED_EXPIRED,
    REFUSED_REVOKED, REFUSED_AUTHOR_GONE, REFUSED_OTHER_GROUP, REFUSED_FULL, REFUSED_BANNED, REFUSED_TOO_MANY,
    REFUSED_NOT_IN, PAST_GROUP_MISSED, CALL_THEM_AGAIN, UNFINISHED_ALONE,
    FAILURE_DEVICE, FAILURE_PROFILE_IN_USE, FAILURE_PROFILE_DAMAGED, FAILURE_USAGE, FAILURE_UNREACHABLE,
    FAILURE_RELAY_REFUSED, FAILURE_BUSY, FAILURE_INTERNAL, FAILURE_NOT_FOUND, FAILURE_DECLINED, FAILURE_NO_ANSWER,
    FAILURE_CONNECTION_LOST, FAILURE_FINGERPRINT, NO_CLIPBOARD, NOTHING_TO_PASTE, NO_PICTURE_PASTED,
}

/// Other rooms write their errors without a capital and a full stop.
pub fn sentence(text: &str) -> String {
    let mut letters = text.trim().chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.trim_end().ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

/// What a call waits for; `None` while it needs no words.
pub fn phase(phase: CallPhase, side: CallSide) -> Option<Word> {
    match (phase, side) {
        (CallPhase::Dialing, _) => Some(PHASE_DIALING),
        (CallPhase::Ringing, CallSide::Caller) => Some(PHASE_RINGING),
        (CallPhase::Ringing, CallSide::Callee) => Some(PHASE_RINGS_YOU),
        (CallPhase::Connecting, _) => Some(PHASE_CONNECTING),
        (CallPhase::Connected, _) => None,
        (CallPhase::Reconnecting, _) => Some(PHASE_RECONNECTING),
        (CallPhase::Ended, _) => Some(PHASE_ENDED),
    }
}

pub fn path(path: &MediaPath) -> String {
    match (&path.via, path.is_relayed()) {
        (Some(via), true) => say("path-relayed-via", &[("via", via.as_str().into())]),
        (None, true) => PATH_RELAYED.into(),
        (_, false) => say("path-direct", &[("protocol", path.protocol.to_uppercase().into())]),
    }
}

/// How the last second sounded: the word, and whether it gives reason to worry.
pub fn quality(stats: &PeerStats) -> Option<(String, bool)> {
    let concealed = stats.concealed.or(stats.loss)?;
    let delay_ms = stats.delay_ms.unwrap_or(0.0);
    let (word, worry) = match () {
        () if concealed < 0.01 && delay_ms < 250.0 => (QUALITY_GOOD, false),
        () if concealed < 0.05 && delay_ms < 400.0 => (QUALITY_FAIR, true),
        () => (QUALITY_POOR, true),
    };
    let delay = stats.delay_ms.map(|ms| format!(" · {ms:.0} ms")).unwrap_or_default();
    Some((format!("{word}{delay}"), worry))
}

pub fn timer(talked: Duration) -> String {
    let seconds = talked.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes:02}:{seconds:02}") }
}

/// What went wrong, in the user's language, and in English what the engine says of it, where that adds something.
pub fn failure(failure: &Failure) -> (String, Option<String>) {
    let (word, adds_something) = match failure.kind {
        FailureKind::Device => (FAILURE_DEVICE, true),
        FailureKind::ProfileInUse => (FAILURE_PROFILE_IN_USE, true),
        FailureKind::ProfileDamaged => (FAILURE_PROFILE_DAMAGED, true),
        FailureKind::Usage => (FAILURE_USAGE, true),
        FailureKind::Unreachable => (FAILURE_UNREACHABLE, true),
        FailureKind::RelayRefused => (FAILURE_RELAY_REFUSED, true),
        FailureKind::Busy => (FAILURE_BUSY, true),
        FailureKind::Internal => (FAILURE_INTERNAL, true),
        FailureKind::NotFound => (FAILURE_NOT_FOUND, false),
        FailureKind::Declined => (FAILURE_DECLINED, false),
        FailureKind::NoAnswer => (FAILURE_NO_ANSWER, false),
        FailureKind::ConnectionLost => (FAILURE_CONNECTION_LOST, false),
        FailureKind::FingerprintMismatch => (FAILURE_FINGERPRINT, false),
    };
    let detail = adds_something.then(|| sentence(&failure.detail));
    match (spoken(), detail) {
        // It says what happened and what to do, and more than we could.
        (Language::English, Some(detail)) => (detail, None),
        (Language::English | Language::German | Language::Spanish, detail) => (word.into(), detail),
    }
}

/// How the last call ended; the second value: something went wrong.
pub fn end(reason: EndReason, peer: &str, talked: Duration) -> (String, bool) {
    let (key, worry) = match reason {
        EndReason::HangUp | EndReason::TimeLimit if talked.is_zero() => ("end-before-talk", false),
        EndReason::HangUp | EndReason::TimeLimit | EndReason::Shutdown => ("end-talked", false),
        EndReason::RemoteHangUp => ("end-remote", false),
        EndReason::Cancelled => ("end-cancelled", false),
        EndReason::Declined => ("end-declined", false),
        EndReason::Busy => ("end-busy", true),
        EndReason::NoAnswer => ("end-no-answer", true),
        EndReason::NotFound => ("end-not-found", true),
        EndReason::Unreachable => ("end-unreachable", true),
        EndReason::ConnectionLost => ("end-connection-lost", true),
        EndReason::Device => ("end-device", true),
        EndReason::FingerprintMismatch => ("end-fingerprint", true),
    };
    (say(key, &[("peer", peer.into()), ("length", timer(talked).into())]), worry)
}

/// One past call in a list.
pub fn past_call(outcome: Outcome, reason: EndReason, talked: Duration) -> String {
    let word = match (outcome, reason) {
        (Outcome::Missed, _) => PAST_MISSED,
        (Outcome::Outgoing, _) => return say("past-outgoing", &[("length", length(talked).into())]),
        (Outcome::Incoming, EndReason::Declined) if talked.is_zero() => PAST_YOU_DECLINED,
        (Outcome::Incoming, _) if talked.is_zero() => PAST_NOT_CONNECTED,
        (Outcome::Incoming, _) => return say("past-incoming", &[("length", length(talked).into())]),
        (Outcome::Failed, EndReason::Declined) => PAST_THEY_DECLINED,
        (Outcome::Failed, EndReason::Busy) => PAST_BUSY,
        (Outcome::Failed, EndReason::NoAnswer) => PAST_NO_ANSWER,
        (Outcome::Failed, EndReason::NotFound) => PAST_NOT_FOUND,
        (Outcome::Failed, EndReason::HangUp | EndReason::Cancelled) => PAST_YOU_CANCELLED,
        (Outcome::Failed, EndReason::FingerprintMismatch) => PAST_CUT,
        (Outcome::Failed, _) => PAST_FAILED,
    };
    word.into()
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

/// "In call · 04:12", or what the call waits for.
pub fn in_call(call: &SnapshotCall, at: Instant) -> String {
    match call.connected_at {
        Some(since) => say("in-call-for", &[("length", timer(at.saturating_duration_since(since)).into())]),
        None => phase(call.phase, call.side).map(String::from).unwrap_or_default(),
    }
}

/// "No sound arrives any more · 4 s".
pub fn interrupted(why: Broken, since: Duration) -> String {
    format!("{} · {} s", broken(why), since.as_secs())
}

/// When the last backup was made.
pub fn backup_of(when: &str) -> String {
    say("backup-of", &[("when", when.into())])
}

pub fn remove_title(who: &str) -> String {
    say("remove-title", &[("who", who.into())])
}

pub fn rename_title(who: &str) -> String {
    say("rename-title", &[("who", who.into())])
}

pub fn kbps(tx: Option<u32>, rx: Option<u32>) -> String {
    let kilo = |bps: Option<u32>| bps.map_or_else(|| "–".to_owned(), |bps| (bps / 1000).to_string());
    format!("{} / {} kb/s", kilo(tx), kilo(rx))
}

pub fn milliseconds(ms: Option<f32>) -> String {
    match ms {
        Some(ms) if ms < 10.0 => format!("{} ms", decimal(ms)),
        Some(ms) => format!("{ms:.0} ms"),
        None => MEASURING.into(),
    }
}

pub fn percent(share: Option<f32>) -> String {
    share.map_or_else(|| MEASURING.into(), |share| format!("{} %", decimal(share * 100.0)))
}

/// With one digit behind the language's decimal mark.
fn decimal(figure: f32) -> String {
    format!("{figure:.1}").replace('.', &DECIMAL_MARK)
}

/// "Monday"; 1 is Monday, as ISO 8601 counts.
pub fn weekday(day: u8) -> &'static str {
    nth(&WEEKDAYS, day)
}

/// "Mon".
pub fn short_weekday(day: u8) -> &'static str {
    nth(&SHORT_WEEKDAYS, day)
}

/// "3 March", "3 March 2024".
pub fn day_of_month(day: u8, month: u8, year: Option<i16>) -> String {
    dated("date-long", "date-long-with-year", day, nth(&MONTHS, month), year)
}

/// "3 Mar", "3 Mar 2024".
pub fn short_day_of_month(day: u8, month: u8, year: Option<i16>) -> String {
    dated("date-short", "date-short-with-year", day, nth(&SHORT_MONTHS, month), year)
}

/// "Monday, 3 March".
pub fn day_heading(weekday_of_it: u8, day: u8, month: u8) -> String {
    say("day-heading", &[("weekday", weekday(weekday_of_it).into()), ("date", day_of_month(day, month, None).into())])
}

fn dated(plain: &'static str, with_year: &'static str, day: u8, month: &str, year: Option<i16>) -> String {
    let (key, year) = if let Some(year) = year { (with_year, year.to_string()) } else { (plain, String::new()) };
    say(key, &[("day", day.into()), ("month", month.into()), ("year", year.into())])
}

/// One of a list of names that stand in one message, the first being number 1.
fn nth(names: &Word, number: u8) -> &'static str {
    names.text().split(' ').nth(usize::from(number).saturating_sub(1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Cause, Retry};

    #[test]
    fn every_word_is_a_message() {
        for word in WORDS {
            assert_ne!(word.text(), word.0, "{word:?} is not in the files");
        }
    }

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

    #[test]
    fn every_failure_is_said_in_each_language() {
        let kinds = [
            FailureKind::NotFound,
            FailureKind::Unreachable,
            FailureKind::RelayRefused,
            FailureKind::Declined,
            FailureKind::Busy,
            FailureKind::NoAnswer,
            FailureKind::Device,
            FailureKind::ProfileInUse,
            FailureKind::ProfileDamaged,
            FailureKind::Usage,
            FailureKind::ConnectionLost,
            FailureKind::FingerprintMismatch,
            FailureKind::Internal,
        ];
        let said = |language, kind| {
            speak(language);
            let said = failure(&Failure { kind, retry: Retry::Later, detail: "no such device: hw:7".into() });
            speak(Language::English);
            said
        };
        for kind in kinds {
            let mut texts: Vec<String> = Vec::new();
            for language in [Language::German, Language::Spanish] {
                let (text, detail) = said(language, kind);
                assert!(text.ends_with('.') && text.contains(' '), "{language:?}, {kind:?}: {text}");
                assert!(!text.contains("hw:7"), "{language:?}, {kind:?}: {text}");
                assert!(detail.is_none_or(|detail| detail == "No such device: hw:7."), "{language:?}, {kind:?}");
                texts.push(text);
            }
            let (text, detail) = said(Language::English, kind);
            assert!(text.ends_with('.') && detail.is_none(), "{kind:?}: {text}, {detail:?}");
            assert!(texts[0] != texts[1] && !texts.contains(&text), "{kind:?}: {texts:?}");
        }
        assert_eq!(said(Language::English, FailureKind::Device).0, "No such device: hw:7.");
        assert_eq!(said(Language::English, FailureKind::NoAnswer).0, "They did not answer.");
    }

    #[test]
    fn each_language_counts_and_writes_figures_its_own_way() {
        let said = |language| {
            speak(language);
            let waited = |seconds| cause(Cause::Silence { seconds });
            let said = (waited(1), waited(3), percent(Some(0.025)), day_of_month(3, 3, Some(2024)));
            speak(Language::English);
            said
        };
        let (one, more, share, date) = said(Language::English);
        assert_eq!((share.as_str(), date.as_str()), ("2.5 %", "3 March 2024"));
        assert!(one.ends_with("a second.") && more.ends_with("3 seconds."), "{one}; {more}");
        assert_eq!(said(Language::German).2, "2,5 %");
        assert_eq!(said(Language::German).3, "3. März 2024");
        assert_eq!(said(Language::Spanish).3, "3 de marzo de 2024");
    }
}
