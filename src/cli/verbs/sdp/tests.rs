use super::*;
use crate::engine::{CommandId, EndReason, Summary};

const CALL: CallId = CallId::from_bytes([7; 16]);

fn verb(side: SdpSide, seconds: u64) -> (tempfile::TempDir, SdpCall, Instant) {
    let folder = tempfile::TempDir::with_prefix("twocans-sdp-").unwrap();
    let now = clock::now();
    let settings = SdpSettings { seconds: None, ring_timeout: Some(seconds.to_string().parse().unwrap()) };
    let verb = SdpCall::new(side, Exchange::open(folder.path()).unwrap(), &settings, now);
    (folder, verb, now)
}

fn event(verb: &mut SdpCall, event: &Event, now: Instant) -> Vec<Action> {
    verb.handle(Input::Event(event), now)
}

fn exit_of(actions: &[Action]) -> Option<u8> {
    actions.iter().find_map(|action| if let Action::Exit(exit) = action { Some(*exit as u8) } else { None })
}

fn command_of(actions: Vec<Action>) -> Option<CommandKind> {
    actions.into_iter().find_map(|action| if let Action::Command(kind) = action { Some(kind) } else { None })
}

fn ended(reason: EndReason) -> Event {
    Event::Ended { call: CALL, peer: None, reason, cause: None, talked: Duration::ZERO, summary: Summary::default() }
}

#[test]
fn an_offer_is_written_and_its_answer_taken() {
    let (folder, mut verb, now) = verb(SdpSide::Offer, 10);
    assert!(matches!(command_of(verb.handle(Input::Deadline, now)), Some(CommandKind::OfferSdp { .. })));
    assert_eq!(verb.deadline(), None, "the engine's turn");
    event(&mut verb, &Event::Described { call: CALL, sdp: "v=0".into() }, now);
    assert!(folder.path().join("offer.json").is_file());
    assert!(verb.handle(Input::Deadline, now).is_empty());
    assert_eq!(verb.deadline(), Some(now + LOOK_EVERY));
    verb.exchange.write(Kind::Answer, "theirs").unwrap();
    let taken = command_of(verb.handle(Input::Deadline, now + LOOK_EVERY));
    assert!(matches!(taken, Some(CommandKind::AcceptSdp { call: CALL, answer }) if answer == "theirs"));
    assert_eq!(exit_of(&event(&mut verb, &ended(EndReason::RemoteHangUp), now)), Some(0));
}

#[test]
fn an_offer_is_waited_for_and_answered() {
    let (folder, mut verb, now) = verb(SdpSide::Answer, 10);
    assert!(verb.handle(Input::Deadline, now).is_empty());
    verb.exchange.write(Kind::Offer, "theirs").unwrap();
    let taken = command_of(verb.handle(Input::Deadline, now + LOOK_EVERY));
    assert!(matches!(taken, Some(CommandKind::AnswerSdp { offer, .. }) if offer == "theirs"));
    event(&mut verb, &Event::Described { call: CALL, sdp: "ours".into() }, now);
    assert!(folder.path().join("answer.json").is_file());
}

#[test]
fn nobody_is_waited_for_without_end() {
    let (_folder, mut verb, now) = verb(SdpSide::Answer, 10);
    assert!(verb.handle(Input::Deadline, now + Duration::from_secs(9)).is_empty());
    assert_eq!(exit_of(&verb.handle(Input::Deadline, now + Duration::from_secs(10))), Some(6));
}

#[test]
fn ends_have_their_exit_codes_and_ctrl_c_leaves_at_once_or_hangs_up() {
    for (reason, code) in [
        (EndReason::NoAnswer, 6),
        (EndReason::Unreachable, 4),
        (EndReason::ConnectionLost, 8),
        (EndReason::FingerprintMismatch, 10),
        (EndReason::HangUp, 0),
    ] {
        let (_folder, mut verb, now) = verb(SdpSide::Offer, 10);
        event(&mut verb, &Event::CommandFinished { id: CommandId(1), result: Ok(Reply::Call(CALL)) }, now);
        assert_eq!(exit_of(&event(&mut verb, &ended(reason), now)), Some(code), "{reason:?}");
    }
    let (_folder, mut verb, now) = verb(SdpSide::Answer, 10);
    assert_eq!(exit_of(&verb.handle(Input::Interrupt, now)), Some(0));
    let (_folder, mut verb, now) = self::verb(SdpSide::Offer, 10);
    event(&mut verb, &Event::CommandFinished { id: CommandId(1), result: Ok(Reply::Call(CALL)) }, now);
    let hung_up = command_of(verb.handle(Input::Interrupt, now));
    assert!(matches!(hung_up, Some(CommandKind::HangUp { call: CALL, reason: EndReason::HangUp })));
}

#[test]
fn a_bad_file_is_the_users_to_mend() {
    let (folder, mut verb, now) = verb(SdpSide::Answer, 10);
    std::fs::write(folder.path().join("offer.json"), "nonsense").unwrap();
    assert_eq!(exit_of(&verb.handle(Input::Deadline, now)), Some(2));
}
