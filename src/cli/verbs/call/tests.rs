use super::*;
use crate::base::{CallId, Person};
use crate::cli::values::Seconds;
use crate::engine::{Candidate, CommandId, EndReason, FailureKind, MediaPath, Retry, Summary};

const CALL: CallId = CallId::from_bytes([1; 16]);
const OTHER: CallId = CallId::from_bytes([2; 16]);

fn bob() -> Person {
    Person::from_bytes([0x58; 32])
}

fn dial(seconds: Option<u64>) -> Dial {
    let link = Link { person: bob(), name: None, hints: Vec::new() };
    let seconds = seconds.map(|seconds| Seconds(Duration::from_secs(seconds)));
    Dial::new(link, Some("Bob".into()), &CallSettings { seconds, ring_timeout: None })
}

fn connected(call: CallId) -> Event {
    let path = MediaPath { local: Candidate::Host, remote: Candidate::Host, protocol: "udp", via: None };
    Event::Connected { call, peer: Some(bob()), ring: None, answer_to_media: Duration::ZERO, path, audio_t0: None }
}

fn ended(call: CallId, reason: EndReason) -> Event {
    Event::Ended { call, peer: Some(bob()), reason, cause: None, talked: Duration::ZERO, summary: Summary::default() }
}

/// What the driver wants, in short.
fn wishes(actions: &[Action]) -> Vec<String> {
    let wish = |action: &Action| match action {
        Action::Command(kind) => format!("{kind:?}").split([' ', '{']).next().unwrap_or_default().to_owned(),
        Action::Say(Report::CallFailure(failure) | Report::Failure(failure)) => format!("{:?}", failure.kind),
        Action::Say(_) => "say".into(),
        Action::Keys(on) => format!("keys {on}"),
        Action::Exit(exit) => format!("exit {}", *exit as u8),
    };
    actions.iter().map(wish).collect()
}

fn event(dial: &mut Dial, event: &Event, now: Instant) -> Vec<String> {
    wishes(&dial.handle(Input::Event(event), now))
}

#[test]
fn dials_when_online_and_hangs_up_after_the_seconds_of_talk() {
    let (mut dial, now) = (dial(Some(20)), Instant::now());
    let ready = Event::Ready {
        person: bob(),
        link: dial.to.clone(),
        node: crate::base::NodeId::from_bytes(&[1]).unwrap(),
        listen: Vec::new(),
        super_peer: false,
    };
    assert_eq!(event(&mut dial, &ready, now), ["keys true", "Dial"]);
    assert!(event(&mut dial, &Event::Dialing { call: CALL, peer: bob() }, now).is_empty());
    assert_eq!(dial.deadline(), None, "ringing is not talk");
    event(&mut dial, &connected(CALL), now);
    let end = now + Duration::from_secs(20);
    assert_eq!(dial.deadline(), Some(end));
    let actions = dial.handle(Input::Deadline, end);
    let reason = EndReason::TimeLimit;
    assert!(matches!(actions[..], [Action::Command(CommandKind::HangUp { call: CALL, reason: r })] if r == reason));
    assert_eq!(event(&mut dial, &ended(CALL, reason), end), ["exit 0"]);
}

#[test]
fn every_way_to_fail_has_its_failure_and_exit_code() {
    for (reason, expected) in [
        (EndReason::Declined, ["keys false", "Declined", "exit 5"]),
        (EndReason::Busy, ["keys false", "Busy", "exit 5"]),
        (EndReason::NoAnswer, ["keys false", "NoAnswer", "exit 6"]),
        (EndReason::NotFound, ["keys false", "NotFound", "exit 3"]),
        (EndReason::Unreachable, ["keys false", "Unreachable", "exit 4"]),
        (EndReason::ConnectionLost, ["keys false", "ConnectionLost", "exit 8"]),
        (EndReason::FingerprintMismatch, ["keys false", "FingerprintMismatch", "exit 10"]),
    ] {
        let (mut dial, now) = (dial(None), Instant::now());
        event(&mut dial, &Event::Dialing { call: CALL, peer: bob() }, now);
        assert_eq!(event(&mut dial, &ended(CALL, reason), now), expected);
    }
}

#[test]
fn a_dial_that_is_refused_at_once_ends_the_verb() {
    let failure = Failure { kind: FailureKind::Device, retry: Retry::AfterUserAction, detail: String::new() };
    let finished = Event::CommandFinished { id: CommandId(1), result: Err(failure) };
    assert_eq!(event(&mut dial(None), &finished, Instant::now()), ["Device", "exit 7"]);
}

#[test]
fn ctrl_c_hangs_up_and_the_second_one_leaves() {
    let (mut dial, now) = (dial(None), Instant::now());
    event(&mut dial, &Event::Dialing { call: CALL, peer: bob() }, now);
    assert_eq!(wishes(&dial.handle(Input::Interrupt, now)), ["HangUp"]);
    assert_eq!(wishes(&dial.handle(Input::Interrupt, now)), ["exit 0"]);
}

#[test]
fn m_switches_the_microphone_also_after_another_process_did() {
    let (mut dial, now) = (dial(None), Instant::now());
    event(&mut dial, &Event::Dialing { call: CALL, peer: bob() }, now);
    event(&mut dial, &connected(CALL), now);
    let pressed = |dial: &mut Dial| match dial.handle(Input::Key(Key::Mute), now).as_slice() {
        [Action::Command(CommandKind::SetMuted { muted })] => *muted,
        other => panic!("{other:?}"),
    };
    assert!(pressed(&mut dial));
    event(&mut dial, &Event::Muted { call: CALL, by_peer: false, muted: true }, now);
    assert!(!pressed(&mut dial));
}

#[test]
fn when_both_dial_at_once_it_is_one_conversation() {
    let (mut dial, now) = (dial(None), Instant::now());
    event(&mut dial, &Event::Dialing { call: CALL, peer: bob() }, now);
    assert!(event(&mut dial, &Event::Replaced { call: CALL, by: OTHER }, now).is_empty());
    event(&mut dial, &connected(OTHER), now);
    assert_eq!(event(&mut dial, &ended(OTHER, EndReason::RemoteHangUp), now), ["exit 0"]);
}
