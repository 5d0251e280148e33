//! What is asked of the BitTorrent DHT, and told. The only file that names its crate.
//!
//! Each wish enters the DHT anew and leaves it when it is done: nobody who is not in need of it talks to it, and no thread
//! stays behind.

use std::net::SocketAddrV4;
use std::time::Duration;

use futures::StreamExt;
use mainline::async_dht::AsyncDht;
use mainline::{DEFAULT_BOOTSTRAP_NODES, Dht, Id};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::super::last_resort::{TOPIC, Wish};
use super::command::{Command, Net};

/// Wishes that may wait; the core makes one at a time.
pub(super) const QUEUE: usize = 4;
/// A search or an announcement takes a few seconds.
const LONGEST: Duration = Duration::from_secs(30);
/// Addresses that are looked at in one search; more are not read.
const MAX_FOUND: usize = 512;
/// Nodes remembered for the next time, so that the first ones are not asked again and again.
const MAX_REMEMBERED: usize = 32;

/// Fulfils wishes until the driver is gone. `bootstrap`: first nodes as `HOST:PORT`; none: those that everybody uses.
pub(super) async fn run(bootstrap: Vec<String>, mut wishes: mpsc::Receiver<Wish>, net: Net) {
    let mut remembered = Vec::new();
    while let Some(wish) = wishes.recv().await {
        let dht = enter(&bootstrap, &remembered).await;
        let news = match (&dht, wish) {
            (Some(dht), Wish::Seek) => {
                // An end of the search without a result is told by silence.
                let _ = timeout(LONGEST, seek(dht, &net)).await;
                None
            }
            (Some(dht), Wish::Announce { port }) => {
                let stored = timeout(LONGEST, dht.announce_peer(Id::from(TOPIC), Some(port))).await;
                Some(Command::Announced { stored: matches!(stored, Ok(Ok(_))) })
            }
            (None, Wish::Seek) => None,
            (None, Wish::Announce { .. }) => Some(Command::Announced { stored: false }),
        };
        if let Some(dht) = &dht {
            remembered = dht.to_bootstrap().await;
            remembered.truncate(MAX_REMEMBERED);
        }
        if let Some(news) = news {
            net.send(news).await;
        }
    }
}

/// Name servers are asked here, which may take its time.
async fn enter(bootstrap: &[String], remembered: &[String]) -> Option<AsyncDht> {
    let everybodys = DEFAULT_BOOTSTRAP_NODES.map(str::to_owned);
    let first = if bootstrap.is_empty() { &everybodys[..] } else { bootstrap };
    let nodes = [first, remembered].concat();
    let built = spawn_blocking(move || Dht::builder().bootstrap(&nodes).port(0).build());
    match built.await {
        Ok(Ok(dht)) => Some(dht.as_async()),
        Ok(Err(why)) => {
            tracing::info!(%why, "the BitTorrent DHT cannot be asked");
            None
        }
        Err(_) => None,
    }
}

/// Tells the driver who is said to be where, as it comes in.
async fn seek(dht: &AsyncDht, net: &Net) {
    let mut answers = dht.get_peers(Id::from(TOPIC));
    let mut seen = 0;
    while let Some(found) = answers.next().await {
        let found: Vec<SocketAddrV4> = found.into_iter().take(MAX_FOUND - seen).collect();
        seen += found.len();
        if !net.send(Command::Rumours { found }).await || seen >= MAX_FOUND {
            return;
        }
    }
}
