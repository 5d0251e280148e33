//! What holds whatever happens.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::identity::Role;

/// One thing that an engine, a peer or a clock may do to a switchboard.
#[derive(Debug, Clone)]
enum Step {
    Dial(u8),
    DialFailed(u8),
    Invited(u8, u8),
    Message(u8, Message),
    /// A description that the peer has signed as it should.
    Signed(u8, Role),
    Answer(u8),
    Decline(u8),
    HangUp(u8, EndReason),
    Described(u8),
    Candidate(u8, bool),
    Link(u8, LinkNews),
    SignallingLost(u8),
    Mute(bool),
    Pass(u16),
    /// Not draining after a step must not change anything but the moment of delivery.
    Drain,
}

fn any_reason() -> impl Strategy<Value = EndReason> {
    proptest::sample::select(vec![
        EndReason::HangUp,
        EndReason::NoAnswer,
        EndReason::Shutdown,
        EndReason::Device,
        EndReason::FingerprintMismatch,
    ])
}

fn any_message() -> impl Strategy<Value = Message> {
    let forged = || Description {
        sdp: sdp([1; 32], "u", &[]),
        fingerprint: [1; 32],
        ufrag: "u".into(),
        signature: [3; 64],
        generation: 1,
    };
    prop_oneof![
        4 => Just(Message::Ring),
        1 => Just(Message::Busy),
        1 => Just(Message::Decline),
        1 => Just(Message::Cancel),
        1 => Just(Message::Answer(forged())),
        1 => Just(Message::Accept(forged())),
        2 => Just(Message::Candidate("candidate:9".into())),
        1 => Just(Message::EndOfCandidates),
        1 => any_reason().prop_map(Message::Bye),
        1 => any::<bool>().prop_map(Message::Muted),
        1 => any::<bool>().prop_map(Message::Held),
        1 => Just(Message::Quality(Quality::default())),
        1 => Just(Message::Unsupported { versions: vec![9] }),
        1 => Just(Message::Rejoined),
    ]
}

fn any_news() -> impl Strategy<Value = LinkNews> {
    use LinkNews::*;
    proptest::sample::select(vec![
        Connected,
        Connected,
        ChannelOpen,
        FirstAudio,
        Interrupted,
        Recovered,
        Failed,
        FingerprintMismatch,
    ])
}

fn any_step() -> impl Strategy<Value = Step> {
    let call = || 0u8..4;
    let role = prop_oneof![Just(Role::Offerer), Just(Role::Answerer)];
    prop_oneof![
        2 => call().prop_map(Step::Dial),
        1 => call().prop_map(Step::DialFailed),
        3 => (call(), 0u8..3).prop_map(|(call, from)| Step::Invited(call, from)),
        6 => (call(), any_message()).prop_map(|(call, message)| Step::Message(call, message)),
        5 => (call(), role).prop_map(|(call, role)| Step::Signed(call, role)),
        3 => call().prop_map(Step::Answer),
        1 => call().prop_map(Step::Decline),
        1 => (call(), any_reason()).prop_map(|(call, reason)| Step::HangUp(call, reason)),
        5 => call().prop_map(Step::Described),
        4 => (call(), any::<bool>()).prop_map(|(call, more)| Step::Candidate(call, more)),
        6 => (call(), any_news()).prop_map(|(call, news)| Step::Link(call, news)),
        1 => call().prop_map(Step::SignallingLost),
        1 => any::<bool>().prop_map(Step::Mute),
        2 => any::<u16>().prop_map(Step::Pass),
        8 => Just(Step::Drain),
    ]
}

#[derive(Debug, Clone, PartialEq)]
enum Output {
    Sent(Transmit),
    Told(CallId, CallEvent),
}

/// Person 0 is the peer in most calls; the others interfere.
fn peer(number: u8) -> PersonKey {
    PersonKey::from_seed(&[number + 10; 32])
}

fn drain(board: &mut Switchboard, out: &mut Vec<Output>) {
    while let Some(transmit) = board.poll_transmit() {
        out.push(Output::Sent(transmit));
    }
    while let Some((call, event)) = board.poll_event() {
        out.push(Output::Told(call, event));
    }
}

/// Does all the steps; `after` sees the board after each, and what was drained so far.
fn play(me: &PersonKey, steps: &[Step], mut after: impl FnMut(&Switchboard, &Step)) -> Vec<Output> {
    let mut now = any_instant();
    let mut board = Switchboard::new(me.clone(), Limits { calls: 2, ..Limits::default() });
    let mut out = Vec::new();
    for step in steps {
        match step.clone() {
            Step::Dial(call) => drop(board.dial(id(call), peer(0).person(), None, RING, now)),
            Step::DialFailed(call) => board.dial_failed(id(call), EndReason::Unreachable, now),
            Step::Invited(call, from) => {
                let from = peer(from).person();
                let invite =
                    Invite { call: id(call), from, name: None, versions: vec![1], sent_unix_s: None, group: None };
                board.invited(&invite, now);
            }
            Step::Message(call, message) => board.handle_message(id(call), message, now),
            Step::Signed(call, role) => {
                let made = Description::sign(
                    &peer(0),
                    id(call),
                    me.person(),
                    role,
                    sdp([7; 32], "peer", &[]),
                    [7; 32],
                    "peer".into(),
                );
                let message = match role {
                    Role::Offerer => Message::Answer(made),
                    Role::Answerer => Message::Accept(made),
                };
                board.handle_message(id(call), message, now);
            }
            Step::Answer(call) => drop(board.answer(id(call), now)),
            Step::Decline(call) => drop(board.decline(id(call), now)),
            Step::HangUp(call, reason) => drop(board.hang_up(id(call), reason, now)),
            Step::Described(call) => board.described(id(call), sdp([1; 32], "me", &[]), [1; 32], "me".into(), now),
            Step::Candidate(call, more) => {
                board.local_candidate(id(call), more.then(|| "candidate:1".into()), now);
            }
            Step::Link(call, news) => board.handle_link(id(call), news, now),
            Step::SignallingLost(call) => board.signalling_lost(id(call), now),
            Step::Mute(muted) => board.set_muted(muted, now),
            Step::Pass(ms) => {
                now += Duration::from_millis(u64::from(ms));
                board.handle_timeout(now);
            }
            Step::Drain => drain(&mut board, &mut out),
        }
        after(&board, step);
        if let Some((at, _)) = board.poll_timeout() {
            assert!(at > now || !matches!(step, Step::Pass(_)), "a time-out that is due was handled");
        }
    }
    drain(&mut board, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_panics_and_the_end_is_the_end(steps in proptest::collection::vec(any_step(), 0..80)) {
        let me = PersonKey::from_seed(&[1; 32]);
        let out = play(&me, &steps, |board, _| assert!(board.calls().count() <= 3));
        let mut over = BTreeSet::new();
        let mut answered = BTreeSet::new();
        let mut connected = BTreeSet::new();
        for output in &out {
            if let Output::Told(call, event) = output {
                prop_assert!(!over.contains(call), "{event:?} of {call} after its end");
                match event {
                    CallEvent::Ended(_) | CallEvent::Replaced { .. } => prop_assert!(over.insert(*call)),
                    CallEvent::Answered => prop_assert!(answered.insert(*call), "answered twice"),
                    CallEvent::Connected => {
                        prop_assert!(answered.contains(call) && connected.insert(*call), "connected once, after the answer");
                    }
                    CallEvent::Reconnecting(_) => prop_assert!(answered.contains(call)),
                    _ => {}
                }
            }
        }
    }

    /// No message with an address of ours leaves before the human on the callee's side has answered.
    #[test]
    fn addresses_wait_for_the_human(steps in proptest::collection::vec(any_step(), 0..80)) {
        let me = PersonKey::from_seed(&[1; 32]);
        let every_step_drained: Vec<Step> = steps.iter().flat_map(|step| [step.clone(), Step::Drain]).collect();
        let mut may_know = BTreeSet::new();
        // Whoever has a call past alerting and ringing has an answer.
        let out = play(&me, &every_step_drained, |board, _| {
            let answered = |view: &CallView| !matches!(view.state, State::Dialing | State::Ringing | State::Alerting);
            may_know.extend(board.calls().filter(answered).map(|view| view.call));
        });
        let mut told = BTreeSet::new();
        for output in out {
            match output {
                Output::Told(call, CallEvent::Answered) => drop(told.insert(call)),
                Output::Sent(Transmit { call, message, .. }) => {
                    let has_address = matches!(message, Message::Answer(_) | Message::Accept(_) | Message::Candidate(_));
                    prop_assert!(!has_address || may_know.contains(&call), "{} too early", message.kind());
                }
                Output::Told(..) => {}
            }
        }
        prop_assert!(told.is_subset(&may_know));
    }

    #[test]
    fn the_same_input_gives_the_same_trace(steps in proptest::collection::vec(any_step(), 0..60)) {
        let me = PersonKey::from_seed(&[1; 32]);
        prop_assert_eq!(play(&me, &steps, |_, _| {}), play(&me, &steps, |_, _| {}));
    }
}
