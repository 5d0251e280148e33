//! Calls as they should go, and as they do not.

use super::*;

#[test]
fn a_call_from_dial_to_goodbye() {
    let mut world = World::ringing();
    assert_eq!(world.trace(), ["A> INVITE", "B> RING", "B: Incoming from Alice", "A: Ringing"]);
    assert!(world.boards[BOB].answer(id(1), world.now));
    world.run();
    assert_eq!(
        world.trace(),
        [
            "B: Answered",
            "B: WantOffer",
            "B> ANSWER",
            "A: Answered",
            "A: WantAnswer",
            "A> ACCEPT",
            "B: ApplyAnswer",
            "A: CloseSignalling",
            "A: Connected",
            "B: CloseSignalling",
            "B: Connected",
        ]
    );
    assert_eq!(world.states(), [Some(State::Talking); 2]);
    assert!(world.boards[ALICE].hang_up(id(1), EndReason::HangUp, world.now));
    world.run();
    assert_eq!(world.trace(), ["A> BYE", "A: Ended(HangUp)", "B: Ended(RemoteHangUp)"]);
    assert_eq!(world.states(), [None; 2]);
    assert!(!world.boards[ALICE].hang_up(id(1), EndReason::HangUp, world.now));
}

#[test]
fn the_goodbye_goes_over_the_data_channel_once_there_is_one() {
    let mut world = World::talking();
    world.boards[BOB].hang_up(id(1), EndReason::TimeLimit, world.now);
    let transmit = world.boards[BOB].poll_transmit().unwrap();
    assert_eq!(transmit.route, Route::DataChannel);
    assert_eq!(transmit.message, Message::Bye(EndReason::TimeLimit));
    let mut world = World::ringing();
    world.boards[BOB].decline(id(1), world.now);
    assert_eq!(world.boards[BOB].poll_transmit().unwrap().route, Route::Signalling);
}

#[test]
fn no_address_leaves_before_the_human_answers() {
    let mut world = World::ringing();
    world.links_work = false;
    let _ = world.trace();
    let local = ["candidate:1 1 udp 1 10.0.0.2 9 typ host", "candidate:2 1 udp 1 192.0.2.2 9 typ srflx"];
    for who in [ALICE, BOB] {
        for candidate in local {
            world.boards[who].local_candidate(id(1), Some(candidate.into()), world.now);
        }
    }
    // The callee's link may have its offer ready long before.
    let offer = sdp([2; 32], "ufrag1", &local[..1]);
    world.boards[BOB].described(id(1), offer, [2; 32], "ufrag1".into(), world.now);
    world.run();
    assert_eq!(world.trace(), [""; 0], "nothing leaves while it rings");
    world.boards[BOB].answer(id(1), world.now);
    world.boards[BOB].local_candidate(id(1), None, world.now);
    world.run();
    assert_eq!(
        world.trace(),
        [
            "B> ANSWER",
            "B> CANDIDATE",
            "B> END OF CANDIDATES",
            "B: Answered",
            "A: Answered",
            "A: WantAnswer",
            "A> ACCEPT",
            "A> CANDIDATE",
            "A> CANDIDATE",
            r#"A: RemoteCandidate("candidate:2 1 udp 1 192.0.2.2 9 typ srflx")"#,
            "B: ApplyAnswer",
            r#"B: RemoteCandidate("candidate:1 1 udp 1 10.0.0.2 9 typ host")"#,
            r#"B: RemoteCandidate("candidate:2 1 udp 1 192.0.2.2 9 typ srflx")"#,
        ],
        "what the SDP has is not repeated"
    );
}

#[test]
fn candidates_are_bounded() {
    let mut world = World::ringing();
    world.links_work = false;
    for port in 0..1000 {
        world.boards[ALICE].local_candidate(id(1), Some(format!("candidate:{port}")), world.now);
    }
    world.boards[ALICE].local_candidate(id(1), Some("x".repeat(MAX_CANDIDATE_BYTES + 1)), world.now);
    world.boards[ALICE].local_candidate(id(1), Some("evil\r\na=x".into()), world.now);
    world.boards[BOB].answer(id(1), world.now);
    world.run();
    for port in 0..1000 {
        world.boards[BOB].handle_message(id(1), Message::Candidate(format!("candidate:{port}")), world.now);
        world.run();
    }
    let told = world.events[BOB].iter().filter(|(_, event)| matches!(event, CallEvent::RemoteCandidate(_)));
    assert_eq!(told.count(), 64);
}

#[test]
fn refusals() {
    let mut world = World::ringing();
    assert!(world.boards[BOB].decline(id(1), world.now));
    world.run();
    assert_eq!((world.endings(ALICE), world.endings(BOB)), (vec![EndReason::Declined], vec![EndReason::Declined]));
    assert!(!world.boards[BOB].decline(id(1), world.now));

    let mut world = World::ringing();
    assert!(world.boards[ALICE].hang_up(id(1), EndReason::HangUp, world.now));
    world.run();
    assert_eq!((world.endings(ALICE), world.endings(BOB)), (vec![EndReason::Cancelled], vec![EndReason::Cancelled]));
    assert!(!world.boards[BOB].answer(id(1), world.now));

    let mut world = World::ringing();
    assert!(world.boards[BOB].hang_up(id(1), EndReason::Shutdown, world.now));
    world.run();
    assert_eq!((world.endings(ALICE), world.endings(BOB)), (vec![EndReason::Declined], vec![EndReason::Shutdown]));
}

#[test]
fn whoever_leaves_while_connecting_tells_the_other() {
    for who in [ALICE, BOB] {
        let mut world = World::ringing();
        world.links_work = false;
        world.boards[BOB].answer(id(1), world.now);
        world.run();
        assert_eq!(world.states(), [Some(State::Connecting); 2]);
        world.boards[who].hang_up(id(1), EndReason::HangUp, world.now);
        world.run();
        assert_eq!(world.endings(who), [EndReason::HangUp]);
        assert_eq!(world.endings(1 - who), [EndReason::RemoteHangUp]);
    }
}

#[test]
fn every_wait_ends() {
    // Nobody is found.
    let mut world = World::new();
    world.dial(ALICE, id(1));
    world.wire.clear();
    assert_eq!(world.boards[ALICE].poll_timeout(), Some((world.now + RING, "dial")));
    world.pass(RING - MS);
    assert_eq!(world.endings(ALICE), []);
    world.pass(MS);
    assert_eq!(world.endings(ALICE), [EndReason::Unreachable]);
    assert_eq!(world.boards[ALICE].poll_timeout(), None);

    // Nobody answers.
    let mut world = World::ringing();
    assert_eq!(world.boards[ALICE].poll_timeout().unwrap().1, "ring");
    world.pass(RING);
    assert_eq!((world.endings(ALICE), world.endings(BOB)), (vec![EndReason::NoAnswer], vec![EndReason::Cancelled]));

    // The caller is gone, and its CANCEL was lost.
    let mut world = World::ringing();
    world.boards[ALICE].hang_up(id(1), EndReason::HangUp, world.now);
    world.drain();
    world.wire.clear();
    world.pass(Limits::default().alert);
    assert_eq!(world.endings(BOB), [EndReason::NoAnswer]);

    // No path for media.
    let mut world = World::ringing();
    world.links_work = false;
    world.boards[BOB].answer(id(1), world.now);
    world.run();
    assert_eq!(world.boards.each_ref().map(|board| board.poll_timeout().unwrap().1), ["connect"; 2]);
    world.pass(Limits::default().connect);
    assert_eq!(
        (world.endings(ALICE), world.endings(BOB)),
        (vec![EndReason::Unreachable], vec![EndReason::Unreachable])
    );

    // The link never makes its offer.
    let mut world = World::ringing();
    assert!(world.boards[BOB].answer(id(1), world.now));
    let _ = std::iter::from_fn(|| world.boards[BOB].poll_event()).count();
    world.pass(Limits::default().connect);
    assert_eq!(world.endings(BOB), [EndReason::Unreachable]);
    assert_eq!(world.endings(ALICE), [EndReason::Unreachable]);
}

#[test]
fn a_silent_peer_counts_as_connected_after_a_while() {
    let mut world = World::ringing();
    world.links_work = false;
    world.boards[BOB].answer(id(1), world.now);
    world.run();
    world.links(id(1), &[LinkNews::ChannelOpen, LinkNews::Connected]);
    world.run();
    assert_eq!(world.states(), [Some(State::LinkUp); 2]);
    assert_eq!(world.boards[ALICE].calls().next().unwrap().phase, Phase::Connecting);
    world.boards[BOB].handle_link(id(1), LinkNews::FirstAudio, world.now);
    world.run();
    assert_eq!(world.states(), [Some(State::LinkUp), Some(State::Talking)]);
    world.pass(Limits::default().first_audio);
    assert_eq!(world.states(), [Some(State::Talking); 2]);
    assert_eq!(world.boards[ALICE].poll_timeout(), None);
}

#[test]
fn audio_may_be_decoded_before_the_link_reports_itself() {
    let mut world = World::ringing();
    world.links_work = false;
    world.boards[BOB].answer(id(1), world.now);
    world.run();
    let _ = world.trace();
    world.links(id(1), &[LinkNews::FirstAudio, LinkNews::Connected]);
    world.run();
    assert_eq!(world.trace(), ["A: Connected", "B: Connected"]);
}

#[test]
fn interruptions_heal_or_end_the_call() {
    let mut world = World::talking();
    world.links_work = false;
    world.links(id(1), &[LinkNews::Interrupted]);
    world.run();
    assert_eq!(world.states(), [Some(State::Reconnecting); 2]);
    world.pass(Limits::default().reconnect / 2);
    world.links(id(1), &[LinkNews::Recovered]);
    world.run();
    assert_eq!(world.states(), [Some(State::Talking); 2]);
    let count =
        |world: &World, wanted: CallEvent| world.events[ALICE].iter().filter(|(_, event)| *event == wanted).count();
    assert_eq!(count(&world, CallEvent::Reconnecting(Interruption::Silence)), 1);
    assert_eq!(count(&world, CallEvent::Reconnected), 1);
    world.links(id(1), &[LinkNews::Interrupted]);
    world.run();
    let asked =
        |world: &World| world.events[ALICE].iter().filter(|(_, event)| matches!(event, CallEvent::Rejoin(_))).count();
    let before = asked(&world);
    world.pass(Limits::default().rejoin_every);
    assert_eq!(asked(&world), before + 1, "it is tried again");
    world.pass(Limits::default().reconnect);
    assert_eq!(world.endings(ALICE), [EndReason::ConnectionLost]);
    let mut world = World::talking();
    world.boards[ALICE].handle_link(id(1), LinkNews::Failed, world.now);
    world.run();
    assert_eq!(world.endings(ALICE), [EndReason::ConnectionLost]);
}

#[test]
fn the_callee_offers_the_restart_whoever_notices() {
    let exchange = ["B> ANSWER", "A: WantRestartAnswer", "A> ACCEPT", "B: ApplyAnswer"];
    for who in [ALICE, BOB] {
        let mut world = World::talking();
        let _ = world.trace();
        world.boards[who].handle_link(id(1), LinkNews::Interrupted, world.now);
        world.run();
        assert_eq!(world.states(), [Some(State::Talking); 2]);
        let trace = world.trace();
        let heard: Vec<&str> = trace.iter().map(String::as_str).filter(|line| exchange.contains(line)).collect();
        assert_eq!(heard, exchange, "{trace:?}");
    }
}

#[test]
fn whoever_moved_says_so_and_a_late_rejoin_disturbs_nobody() {
    let mut world = World::talking();
    world.boards[ALICE].moved(world.now);
    world.run();
    assert_eq!(world.states(), [Some(State::Talking); 2]);
    assert!(world.events[ALICE].contains(&(id(1), CallEvent::Reconnecting(Interruption::WeMoved))));
    assert!(world.events[BOB].contains(&(id(1), CallEvent::Reconnecting(Interruption::TheyMoved))));
    let rejoin = world.events[ALICE].iter().find_map(|(_, event)| match event {
        CallEvent::Rejoin(rejoin) => Some(*rejoin),
        _ => None,
    });
    let rejoin = rejoin.unwrap();
    // The same over another super-peer, or from somebody who kept it.
    assert_eq!(world.boards[BOB].rejoins(&rejoin, world.now), InviteReply::Ignore);
    assert_eq!(world.states(), [Some(State::Talking); 2]);
    let stranger = Rejoin { from: PersonKey::from_seed(&[9; 32]).person(), generation: 7, ..rejoin };
    assert_eq!(world.boards[BOB].rejoins(&stranger, world.now), InviteReply::Ignore);
    let unknown = Rejoin { call: id(9), ..rejoin };
    let over = InviteReply::Refuse(Message::Bye(EndReason::ConnectionLost));
    assert_eq!(world.boards[BOB].rejoins(&unknown, world.now), over);
}

#[test]
fn what_was_lost_on_the_way_is_said_again_in_the_next_session() {
    let mut world = World::talking();
    world.links_work = false;
    world.boards[ALICE].handle_link(id(1), LinkNews::Interrupted, world.now);
    world.drain();
    // REJOIN arrives, and the offer does not.
    world.deliver(0);
    world.boards[BOB].local_candidate(id(1), Some("candidate:7".into()), world.now);
    world.drain();
    world.wire.clear();
    let _ = world.trace();
    world.boards[BOB].resume(id(1), world.now);
    world.drain();
    assert_eq!(world.trace(), ["B> ANSWER", "B> CANDIDATE"]);
    world.run();
    assert!(world.events[ALICE].contains(&(id(1), CallEvent::RemoteCandidate("candidate:7".into()))));
    assert!(world.events[BOB].iter().filter(|(_, event)| *event == CallEvent::WantRestart).count() == 1);
}

#[test]
fn a_lost_signalling_path_matters_only_until_the_link_can_do_without() {
    let lost = |mut world: World, who: usize| {
        world.boards[who].signalling_lost(id(1), world.now);
        world.run();
        world.endings(who)
    };
    let connecting = || {
        let mut world = World::ringing();
        world.links_work = false;
        world.boards[BOB].answer(id(1), world.now);
        world.run();
        world
    };
    assert_eq!(lost(World::ringing(), ALICE), []);
    assert_eq!(lost(World::ringing(), BOB), [EndReason::Cancelled]);
    for who in [ALICE, BOB] {
        assert_eq!(lost(connecting(), who), []);
        assert_eq!(lost(World::talking(), who), []);
    }
    let mut world = World::new();
    world.dial(ALICE, id(1));
    assert_eq!(lost(world, ALICE), []);
    let mut world = World::new();
    world.dial(ALICE, id(1));
    world.boards[ALICE].dial_failed(id(1), EndReason::NotFound, world.now);
    world.drain();
    assert_eq!(world.endings(ALICE), [EndReason::NotFound]);
}

#[test]
fn who_loses_signalling_while_it_rings_dials_again() {
    for found in [true, false] {
        let mut world = World::ringing();
        let invite = Invite {
            call: id(1),
            from: world.people[ALICE],
            name: None,
            versions: crate::identity::WIRE_VERSIONS.to_vec(),
            sent_unix_s: None,
            group: None,
        };
        world.boards[ALICE].signalling_lost(id(1), world.now);
        world.drain();
        assert!(world.events[ALICE].contains(&(id(1), CallEvent::Redial)));
        if found {
            world.send(BOB, id(1), Message::Invite(invite));
            world.run();
            world.boards[ALICE].dial_failed(id(1), EndReason::NotFound, world.now);
            world.boards[BOB].answer(id(1), world.now);
            world.run();
            assert_eq!(world.states(), [Some(State::Talking); 2], "one of the ways is enough");
        } else {
            world.boards[ALICE].dial_failed(id(1), EndReason::NotFound, world.now);
            world.run();
            assert_eq!(world.endings(ALICE), [EndReason::Unreachable]);
        }
    }
}

#[test]
fn muting_is_told_now_or_as_soon_as_possible() {
    let mut world = World::ringing();
    world.boards[ALICE].set_muted(true, world.now);
    world.boards[BOB].answer(id(1), world.now);
    world.run();
    assert!(world.events[BOB].contains(&(id(1), CallEvent::PeerMuted(true))));
    world.boards[ALICE].set_muted(true, world.now);
    world.boards[ALICE].set_muted(false, world.now);
    assert!(world.boards[BOB].set_held(id(1), true, world.now));
    assert!(!world.boards[BOB].set_held(id(2), true, world.now), "there is no such call");
    let quality = Quality {
        fraction_lost: f32::NAN,
        mean_burst: 1e9,
        concealed: 7.0,
        jitter_ms: 3.0,
        target_delay_ms: -1.0,
        queue_ms: 1e9,
    };
    world.boards[BOB].report_quality(id(1), quality, world.now);
    let _ = world.trace();
    world.run();
    let quality = Quality {
        fraction_lost: 0.0,
        mean_burst: 1000.0,
        concealed: 1.0,
        jitter_ms: 3.0,
        target_delay_ms: 0.0,
        queue_ms: 3.6e6,
    };
    let heard = format!("A: Quality({quality:?})");
    let told = ["B: PeerMuted(false)", "A: PeerHeld(true)", heard.as_str()];
    assert_eq!(world.trace(), [&["A> MUTED", "B> HELD", "B> QUALITY"][..], &told].concat());
}

#[test]
fn an_oversized_description_of_ours_ends_the_call_instead_of_sending_it() {
    let mut world = World::ringing();
    world.boards[BOB].answer(id(1), world.now);
    let _ = std::iter::from_fn(|| world.boards[BOB].poll_event()).count();
    let huge = sdp([2; 32], "ufrag1", &vec!["candidate:1"; 2000]);
    world.boards[BOB].described(id(1), huge, [2; 32], "ufrag1".into(), world.now);
    world.run();
    assert_eq!(
        (world.endings(ALICE), world.endings(BOB)),
        (vec![EndReason::Unreachable], vec![EndReason::Unreachable])
    );
}
