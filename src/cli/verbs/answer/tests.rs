use super::*;
use crate::base::{CallId, Person};
use crate::cli::values::Seconds;
use crate::engine::Summary;

const CALL: CallId = CallId::from_bytes([1; 16]);
const OTHER: CallId = CallId::from_bytes([2; 16]);

fn settings(auto: bool, from: Option<Callers>) -> AnswerSettings {
    AnswerSettings { auto: Some(auto), from, ..AnswerSettings::default() }
}

fn answer(policy: Policy, settings: &AnswerSettings) -> Answer {
    Answer::new(policy, settings)
}

fn incoming(call: CallId, known: bool) -> Event {
    Event::Incoming { call, from: Person::from_bytes([0x58; 32]), name: None, known }
}

fn ended(reason: EndReason) -> Event {
    let peer = Person::from_bytes([0x58; 32]);
    Event::Ended {
        call: CALL,
        peer: Some(peer),
        reason,
        cause: None,
        talked: Duration::ZERO,
        summary: Summary::default(),
    }
}

fn commands(actions: &[Action]) -> Vec<String> {
    let name = |action: &Action| match action {
        Action::Command(kind) => Some(format!("{kind:?}").split([' ', '{']).next().unwrap_or_default().to_owned()),
        Action::Exit(exit) => Some(format!("exit {}", *exit as u8)),
        Action::Say(_) | Action::Keys(_) => None,
    };
    actions.iter().filter_map(name).collect()
}

#[test]
fn the_policy_is_what_was_said() {
    let none = AnswerSettings::default();
    assert_eq!(Policy::of(&none, true), Ok(Policy::Ask));
    assert_eq!(Policy::of(&none, false), Ok(Policy::NoTerminal));
    assert!(Policy::of(&settings(true, None), true).unwrap_err().detail.contains("--from"));
    let all = settings(true, Some(Callers::Anyone));
    assert_eq!(Policy::of(&all, false), Ok(Policy::Answer(Callers::Anyone)));
    let torn = AnswerSettings { decline: Some(true), ..all };
    assert!(Policy::of(&torn, true).is_err());
    let mute = AnswerSettings { no_answer: Some(true), ..AnswerSettings::default() };
    assert_eq!(Policy::of(&mute, false), Ok(Policy::LetItRing));
}

#[test]
fn contacts_are_answered_after_the_time_and_strangers_declined_at_once() {
    let settings = AnswerSettings {
        answer_after: Some(Seconds(Duration::from_secs(2))),
        ..settings(true, Some(Callers::Contacts))
    };
    let policy = Policy::Answer(Callers::Contacts);
    let now = Instant::now();
    let mut waiting = answer(policy, &settings);
    assert_eq!(commands(&waiting.handle(Input::Event(&incoming(CALL, false)), now)), ["Decline"]);

    let mut waiting = answer(policy, &settings);
    assert!(commands(&waiting.handle(Input::Event(&incoming(CALL, true)), now)).is_empty());
    let later = now + Duration::from_secs(2);
    assert_eq!(waiting.deadline(), Some(later));
    assert_eq!(commands(&waiting.handle(Input::Deadline, later)), ["Answer"]);
}

#[test]
fn the_user_is_asked() {
    let now = Instant::now();
    for (key, expected) in [(Key::Yes, "Answer"), (Key::No, "Decline"), (Key::HangUp, "Decline")] {
        let mut waiting = answer(Policy::Ask, &AnswerSettings::default());
        assert!(commands(&waiting.handle(Input::Event(&incoming(CALL, false)), now)).is_empty());
        assert!(commands(&waiting.handle(Input::Key(Key::Mute), now)).is_empty());
        assert_eq!(commands(&waiting.handle(Input::Key(key), now)), [expected]);
        assert!(commands(&waiting.handle(Input::Key(Key::Yes), now)).is_empty(), "asked once");
    }
}

#[test]
fn without_a_terminal_every_call_is_declined_and_it_is_said() {
    let mut waiting = answer(Policy::NoTerminal, &AnswerSettings::default());
    let actions = waiting.handle(Input::Event(&incoming(CALL, true)), Instant::now());
    assert_eq!(commands(&actions), ["Decline"]);
    let said = |action: &Action| matches!(action, Action::Say(Report::Note(text)) if text.contains("no terminal"));
    assert!(actions.iter().any(said));
}

#[test]
fn a_second_caller_is_declined_while_the_first_is_there() {
    let mut waiting = answer(Policy::LetItRing, &AnswerSettings::default());
    let now = Instant::now();
    assert!(commands(&waiting.handle(Input::Event(&incoming(CALL, true)), now)).is_empty());
    assert_eq!(commands(&waiting.handle(Input::Event(&incoming(OTHER, true)), now)), ["Decline"]);
}

#[test]
fn once_stops_after_the_first_call_with_its_exit_code() {
    for (reason, exit) in [
        (EndReason::RemoteHangUp, "exit 0"),
        (EndReason::Cancelled, "exit 0"),
        (EndReason::Declined, "exit 0"),
        (EndReason::NoAnswer, "exit 0"),
        (EndReason::ConnectionLost, "exit 8"),
        (EndReason::FingerprintMismatch, "exit 10"),
        (EndReason::Device, "exit 7"),
    ] {
        let settings = AnswerSettings { once: Some(true), ..AnswerSettings::default() };
        let mut waiting = answer(Policy::LetItRing, &settings);
        waiting.handle(Input::Event(&incoming(CALL, true)), Instant::now());
        assert_eq!(commands(&waiting.handle(Input::Event(&ended(reason)), Instant::now())), [exit]);
    }
}

#[test]
fn without_once_it_waits_for_the_next_call() {
    let mut waiting = answer(Policy::Decline, &AnswerSettings::default());
    let now = Instant::now();
    for _ in 0..3 {
        assert_eq!(commands(&waiting.handle(Input::Event(&incoming(CALL, true)), now)), ["Decline"]);
        assert!(commands(&waiting.handle(Input::Event(&ended(EndReason::Declined)), now)).is_empty());
    }
}

#[test]
fn ctrl_c_ends_the_call_first_and_then_the_program() {
    let mut waiting = answer(Policy::Answer(Callers::Anyone), &AnswerSettings::default());
    let now = Instant::now();
    assert_eq!(commands(&waiting.handle(Input::Event(&incoming(CALL, true)), now)), ["Answer"]);
    assert_eq!(commands(&waiting.handle(Input::Interrupt, now)), ["HangUp"]);
    assert_eq!(commands(&waiting.handle(Input::Event(&ended(EndReason::HangUp)), now)), ["exit 0"]);

    let mut idle = answer(Policy::Ask, &AnswerSettings::default());
    assert_eq!(commands(&idle.handle(Input::Interrupt, now)), ["exit 0"]);
}
