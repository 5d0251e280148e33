//! Getting ready to ring somebody whose contact is on screen: their record is looked up, and their super-peers are
//! connected to and kept so. A ring then costs one round trip from end to end.

use std::time::{Duration, Instant};

use futures::future::join_all;
use libp2p::PeerId;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::super::rate::backoff;
use super::super::record::{NodeAddresses, Presence};
use super::super::search::Search;
use super::command::{Net, News, PROBE_TIMEOUT};
use super::ring::unix_s;
use crate::base::Person;

/// Asked this often, a super-peer keeps the connection: unused ones are closed after 15 s.
const KEEP: Duration = Duration::from_secs(10);
/// The record is looked up anew this often, and as soon as none of the super-peers knows the person any more. Who is
/// not there is looked for ever more rarely, down to this.
const AGAIN: Duration = Duration::from_secs(5 * 60);
/// A search that has found the person goes on this long for something newer.
const SETTLE: Duration = Duration::from_secs(1);
/// A window that is left open with a contact on it does not cost for ever.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// Keeps the way to a person warm until it is dropped, for half an hour at most.
#[derive(Debug)]
pub struct Preparation(pub(super) AbortHandle);

impl Drop for Preparation {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) async fn prepare(net: Net, person: Person) {
    let _ = timeout(LONGEST, keep_ready(net, person)).await;
}

async fn keep_ready(net: Net, person: Person) {
    let mut misses = 0;
    loop {
        let looked_up = Instant::now();
        let presence = newest(&net, person).await.filter(|presence| !presence.withdrawn);
        let mut was_here = false;
        if let Some(presence) = presence {
            while looked_up.elapsed() < AGAIN && is_reserved_somewhere(&net, &presence).await {
                was_here = true;
                sleep(KEEP).await;
            }
        }
        // Whoever was here a moment ago has moved; whoever was not may be away for long.
        misses = if was_here { 0 } else { misses + 1 };
        if misses > 0 {
            sleep(backoff(misses, KEEP, AGAIN, 0)).await;
        }
    }
}

/// The newest record that a search finds soon. The driver remembers it for the ring.
async fn newest(net: &Net, person: Person) -> Option<Presence> {
    let mut news = net.search(Search::new(person, unix_s())?, true).await?;
    let mut newest = None;
    loop {
        let message = match &newest {
            None => news.recv().await,
            Some(_) => timeout(SETTLE, news.recv()).await.ok().flatten(),
        };
        match message {
            Some(News::Presence { presence, .. }) => newest = Some(presence),
            Some(News::Finished { .. }) | None => return newest,
        }
    }
}

/// Whether one of the person's super-peers holds a place for their node. All are asked, and connected to for that.
async fn is_reserved_somewhere(net: &Net, presence: &Presence) -> bool {
    // Who is a public super-peer has no places elsewhere.
    let direct = NodeAddresses { node: presence.node, addresses: presence.addresses.clone() };
    let asking = presence.relays.iter().map(|relay| is_reserved(net, relay, presence.node));
    let (reachable, reserved) =
        tokio::join!(async { !direct.addresses.is_empty() && net.connect(&direct).await.is_some() }, join_all(asking));
    reachable || reserved.contains(&true)
}

async fn is_reserved(net: &Net, relay: &NodeAddresses, node: PeerId) -> bool {
    let question = async {
        net.connect(relay).await?;
        net.is_reserved(relay.node, None, node).await
    };
    timeout(PROBE_TIMEOUT, question).await.ok().flatten().unwrap_or(false)
}
