//! Whole nodes over loopback: the room as the engine sees it.

mod network;
mod vectors;
mod volunteers;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::base::{NodeId, Person};
use crate::identity::PersonKey;

const PATIENCE: Duration = Duration::from_secs(20);

struct Node {
    rendezvous: Rendezvous,
    events: mpsc::Receiver<RendezvousEvent>,
}

impl Node {
    async fn start(config: RendezvousConfig) -> Self {
        let (rendezvous, events) = Rendezvous::start(config).await.unwrap();
        Self { rendezvous, events }
    }

    /// A bare super-peer on loopback.
    async fn super_peer(bootstrap: &[&Node]) -> Self {
        Self::start(RendezvousConfig { server: true, ..isolated(bootstrap) }).await
    }

    /// A person who can be rung through relays.
    async fn person(seed: u8, bootstrap: &[&Node]) -> Self {
        Self::start(RendezvousConfig { person: Some(key(seed)), ..isolated(bootstrap) }).await
    }

    fn addresses(&self) -> Vec<String> {
        self.rendezvous.listen_addrs()
    }

    /// Waits for an event that `wanted` takes.
    async fn wait<T>(&mut self, mut wanted: impl FnMut(RendezvousEvent) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let event = self.events.recv().await.expect("the node stopped");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, waiting).await.expect("the event did not come")
    }

    /// Waits until a record with that many relays is published; says through which, and on how many nodes.
    async fn published(&mut self, at_least: usize) -> (Vec<NodeId>, u32) {
        self.wait(|event| match event {
            RendezvousEvent::PresencePublished { relays, acks, .. } if relays.len() >= at_least => Some((relays, acks)),
            _ => None,
        })
        .await
    }

    /// Answers every ring with `reply` and whatever was sent.
    fn answer(self) -> JoinHandle<()> {
        let Self { rendezvous, mut events } = self;
        tokio::spawn(async move {
            let _held = rendezvous;
            while let Some(event) = events.recv().await {
                if let RendezvousEvent::Incoming { mut stream, .. } = event {
                    tokio::spawn(async move {
                        let flight = stream.recv().await.unwrap();
                        stream.send(&[b"RING ".as_slice(), &flight].concat()).await.unwrap();
                        while let Ok(frame) = stream.recv().await {
                            stream.send(&frame).await.unwrap();
                        }
                    });
                }
            }
        })
    }
}

fn key(seed: u8) -> PersonKey {
    PersonKey::from_seed(&[seed; 32])
}

fn person(seed: u8) -> Person {
    key(seed).person()
}

fn isolated(bootstrap: &[&Node]) -> RendezvousConfig {
    let bootstrap = bootstrap.iter().flat_map(|node| node.addresses()).collect();
    RendezvousConfig { isolated: true, bootstrap, ..RendezvousConfig::default() }
}

fn flights(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|index| format!("flight {index}").into_bytes()).collect()
}

/// The first way that leads to the person.
async fn ring(node: &Node, who: Person) -> Result<Reached, Vec<RingFailure>> {
    let mut attempts = node.rendezvous.ring(who, &[], flights(4));
    let mut failures = Vec::new();
    let ringing = async {
        while let Some(attempt) = attempts.recv().await {
            match attempt {
                Ok(reached) => return Ok(reached),
                Err(failure) => failures.push(failure),
            }
        }
        Err(failures)
    };
    timeout(PATIENCE, ringing).await.expect("the ring did not end")
}
