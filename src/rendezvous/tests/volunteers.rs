//! Super-peers that nobody told to be one.

use std::time::Instant;

use super::*;

/// Everything that takes minutes takes a two-hundredth of it.
const STEADY: Duration = Duration::from_secs(3);

/// Loopback stands for the internet.
fn willing(bootstrap: &[&Node]) -> RendezvousConfig {
    let treat_as_public = vec!["127.0.0.0/8".to_owned()];
    RendezvousConfig { volunteer: Some(STEADY), treat_as_public, limits: Limits::volunteer(), ..isolated(bootstrap) }
}

async fn begins_to_serve(node: &mut Node) -> String {
    node.wait(|event| match event {
        RendezvousEvent::SuperPeer { on, reason } => {
            assert!(on, "{reason}");
            Some(reason)
        }
        _ => None,
    })
    .await
}

fn has_served(node: &mut Node) -> bool {
    let mut served = false;
    while let Ok(event) = node.events.try_recv() {
        served |= matches!(event, RendezvousEvent::SuperPeer { .. } | RendezvousEvent::Serving { .. });
    }
    served
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_reachable_becomes_a_super_peer_and_is_used_as_one() {
    let first = Node::super_peer(&[]).await;
    let started = Instant::now();
    let mut volunteer = Node::start(RendezvousConfig { person: Some(key(3)), ..willing(&[&first]) }).await;
    let mut unwilling = Node::start(RendezvousConfig { volunteer: None, ..willing(&[&first]) }).await;
    let mut unnamed = Node::start(RendezvousConfig { treat_as_public: vec![], ..willing(&[&first]) }).await;

    let reason = begins_to_serve(&mut volunteer).await;
    assert!(started.elapsed() >= STEADY, "{:?}", started.elapsed());
    assert_eq!(reason, "others can reach this machine at 127.0.0.1");
    let served_at = volunteer
        .wait(|event| match event {
            RendezvousEvent::Serving { addresses } => Some(addresses),
            _ => None,
        })
        .await;
    assert_eq!(served_at.len(), 1);
    assert!(volunteer.addresses().iter().any(|address| address.contains(&format!("udp/{}/", served_at[0].port()))));

    // Who knows nobody else has a place there, is found there, and is rung there.
    let mut callee = Node::person(1, &[&volunteer]).await;
    callee.published(1).await;
    let id = volunteer.rendezvous.node().clone();
    let totals = volunteer.rendezvous.totals().await.unwrap();
    assert!(totals.reservations == 1 && totals.records >= 1, "{totals:?}");
    first.rendezvous.shutdown().await;
    let _callee = callee.answer();
    let caller = Node::person(2, &[&volunteer]).await;
    assert_eq!(ring(&caller, person(1)).await.unwrap().via, Via::Pipe(id));
    assert!(!has_served(&mut unwilling) && !has_served(&mut unnamed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volunteers_own_address_is_given_away_only_when_there_is_no_other_way_to_ring() {
    let first = Node::super_peer(&[]).await;
    let mut volunteer = Node::start(RendezvousConfig { person: Some(key(3)), ..willing(&[&first]) }).await;
    begins_to_serve(&mut volunteer).await;
    let bootstrap = volunteer.addresses();
    let reader = Node::start(RendezvousConfig { bootstrap, ..isolated(&[]) }).await;
    let held = reader.rendezvous.presence_of(person(3)).await.expect("it is published");
    assert_eq!((held.relays.len(), held.addresses.len()), (1, 0), "a place elsewhere is where it is rung");
    first.rendezvous.shutdown().await;
    let began = Instant::now();
    let alone = loop {
        match reader.rendezvous.presence_of(person(3)).await {
            Some(presence) if presence.relays.is_empty() => break presence,
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        assert!(began.elapsed() < PATIENCE * 2, "nobody else is left to ring through");
    };
    assert!(began.elapsed() >= STEADY / 4, "a moment's interruption gives nothing away: {:?}", began.elapsed());
    assert_eq!((alone.addresses.len(), alone.withdrawn), (2, false), "over QUIC and TCP");
    let _volunteer = volunteer.answer();
    assert_eq!(ring(&reader, person(3)).await.unwrap().via, Via::Direct);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volunteer_that_changes_networks_stops_in_order_and_comes_back() {
    let first = Node::super_peer(&[]).await;
    let mut volunteer = Node::start(willing(&[&first])).await;
    begins_to_serve(&mut volunteer).await;
    let mut client = Node::person(1, &[&volunteer, &first]).await;
    client.published(2).await;

    volunteer.rendezvous.network_changed(true);
    let reason = volunteer
        .wait(|event| match event {
            RendezvousEvent::SuperPeer { on: false, reason } => Some(reason),
            _ => None,
        })
        .await;
    assert_eq!(reason, "this machine has changed networks");
    volunteer
        .wait(|event| matches!(event, RendezvousEvent::Serving { addresses } if addresses.is_empty()).then_some(()))
        .await;
    // Its client is rung through the other one alone.
    let elsewhere = first.rendezvous.node().clone();
    client
        .wait(|event| match event {
            RendezvousEvent::PresencePublished { relays, .. } => (relays == [elsewhere.clone()]).then_some(()),
            _ => None,
        })
        .await;
    begins_to_serve(&mut volunteer).await;
}
