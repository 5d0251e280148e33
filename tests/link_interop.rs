//! Our link and the async `webrtc` wrapper, an independent driver: each must take the other for one of its own.

mod link_peers;

use std::time::Duration;

use link_peers::ours::{End, loopback};
use link_peers::wrapper::{Wrapper, next_packet};
use link_peers::{PATIENCE, packet, runtime};
use tokio::time::timeout;
use twocans::base::PayloadKind;
use twocans::link::{LinkEvent, Role};
use webrtc::peer_connection::RTCPeerConnectionState;

#[test]
fn our_offer_meets_their_answer() {
    runtime().block_on(async {
        let (mut ours, mut theirs) = (End::open(loopback(Role::Offerer)).await, Wrapper::open().await);
        let offer = ours.link.create_offer().await.unwrap();
        let answer = theirs.accept_offer(offer.sdp).await;
        ours.link.accept_answer(answer).await.unwrap();
        connect(&mut ours, &mut theirs).await;
        talk(&mut ours, &mut theirs).await;
    });
}

#[test]
fn their_offer_meets_our_answer() {
    runtime().block_on(async {
        let (mut ours, mut theirs) = (End::open(loopback(Role::Answerer)).await, Wrapper::open().await);
        let offer = theirs.create_offer().await;
        let answer = ours.link.accept_offer(offer).await.unwrap();
        theirs.accept_answer(answer.sdp).await;
        connect(&mut ours, &mut theirs).await;
        talk(&mut ours, &mut theirs).await;
    });
}

#[test]
fn their_close_is_noticed_at_once() {
    runtime().block_on(async {
        let (mut ours, mut theirs) = (End::open(loopback(Role::Offerer)).await, Wrapper::open().await);
        let offer = ours.link.create_offer().await.unwrap();
        let answer = theirs.accept_offer(offer.sdp).await;
        ours.link.accept_answer(answer).await.unwrap();
        connect(&mut ours, &mut theirs).await;
        ours.wait_for(|event| *event == LinkEvent::ChannelOpen).await.unwrap();
        theirs.connection.close().await.unwrap();
        let noticed = timeout(Duration::from_secs(2), ours.wait_for(|event| *event == LinkEvent::Closed));
        assert_eq!(noticed.await.unwrap(), Some(LinkEvent::Closed));
    });
}

async fn connect(ours: &mut End, theirs: &mut Wrapper) {
    let (mut left, mut right) = (false, false);
    let both = async {
        while !(left && right) {
            tokio::select! {
                event = ours.events.recv() => match event.unwrap() {
                    LinkEvent::Candidate(line) => theirs.add_candidate(line).await,
                    LinkEvent::Connected(_) => left = true,
                    LinkEvent::Failed(why) => panic!("{why}"),
                    _ => {}
                },
                Some(line) = theirs.candidates.recv() => ours.link.add_candidate(line).await.unwrap(),
                Some(state) = theirs.states.recv() => right |= state == RTCPeerConnectionState::Connected,
            }
        }
    };
    timeout(PATIENCE, both).await.expect("a connection within the test's patience");
}

/// Audio of both kinds, and messages, both ways.
async fn talk(ours: &mut End, theirs: &mut Wrapper) {
    let kinds = [PayloadKind::Opus, PayloadKind::Red];
    assert!(kinds.into_iter().all(|kind| ours.link.accepts(kind)));
    let sent = |number: u16| packet(number, kinds[usize::from(number % 2)]);
    assert!(ours.link.send(sent(0)));
    let track = theirs.remote_track().await;
    for number in 1..20u16 {
        assert!(ours.link.send(sent(number)));
        let got = loop {
            let got = next_packet(&*track).await;
            if got.header.sequence_number == number {
                break got;
            }
        };
        assert_eq!(got.payload, sent(number).payload);
        assert_eq!(got.header.timestamp, sent(number).media_time.0);
        assert_eq!(got.header.payload_type, [111, 63][usize::from(number % 2)]);

        theirs.send(sent(number)).await;
        let got = ours.next_audio().await;
        assert_eq!((got.seq, got.kind, got.payload), (sent(number).seq, sent(number).kind, sent(number).payload));
    }
    ours.link.send_message(b"from ours".to_vec()).await.unwrap();
    assert_eq!(theirs.message().await, b"from ours");
    theirs.send_message(b"from theirs").await;
    assert_eq!(ours.message().await, b"from theirs");
}
