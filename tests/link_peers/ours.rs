//! An end made of `twocans::link`.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout;
use twocans::base::IncomingPacket;
use twocans::link::{Interfaces, Link, LinkConfig, LinkEvent, Path, Role};

use super::PATIENCE;

pub struct End {
    pub link: Link,
    pub events: mpsc::Receiver<LinkEvent>,
    pub audio: mpsc::Receiver<IncomingPacket>,
    /// Events that were read.
    pub seen: Vec<LinkEvent>,
    /// Messages that came and were not asked for yet.
    unread: VecDeque<Vec<u8>>,
}

/// One socket, on 127.0.0.1.
pub fn loopback(role: Role) -> LinkConfig {
    LinkConfig { interfaces: Interfaces::Only(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]), ..LinkConfig::new(role) }
}

impl End {
    pub async fn open(config: LinkConfig) -> Self {
        let (sink, audio) = mpsc::channel(4096);
        let sink = Box::new(move |packet| drop(sink.try_send(packet)));
        let (link, events) = Link::open(config, sink).await.unwrap();
        Self { link, events, audio, seen: Vec::new(), unread: VecDeque::new() }
    }

    /// Waits for an event, keeping the others; `None` when the link ended without it.
    pub async fn wait_for(&mut self, wanted: impl Fn(&LinkEvent) -> bool) -> Option<LinkEvent> {
        let wait = async {
            while let Some(event) = self.events.recv().await {
                self.note(&event);
                if wanted(&event) {
                    return Some(event);
                }
            }
            None
        };
        timeout(PATIENCE, wait).await.expect("an event within the test's patience")
    }

    pub async fn connected(&mut self) -> Path {
        match self.wait_for(|event| matches!(event, LinkEvent::Connected(_) | LinkEvent::Failed(_))).await {
            Some(LinkEvent::Connected(path)) => path,
            other => panic!("not connected: {other:?}, after {:?}", self.seen),
        }
    }

    pub async fn next_audio(&mut self) -> IncomingPacket {
        timeout(PATIENCE, self.audio.recv()).await.expect("audio within the test's patience").unwrap()
    }

    /// The next message, even if it came while something else was waited for.
    pub async fn message(&mut self) -> Vec<u8> {
        if self.unread.is_empty() {
            self.wait_for(|event| matches!(event, LinkEvent::Message(_))).await;
        }
        self.unread.pop_front().unwrap_or_else(|| panic!("the link ended without a message: {:?}", self.seen))
    }

    fn note(&mut self, event: &LinkEvent) {
        self.seen.push(event.clone());
        if let LinkEvent::Message(message) = event {
            self.unread.push_back(message.clone());
        }
    }
}

/// Connects two ends of ours, trickling both ways; how long it took from the offer on.
pub async fn connect(offerer: &mut End, answerer: &mut End) -> Duration {
    connect_via(offerer, answerer, |_, text| text).await
}

/// As [`connect`], with `translate(side, text)` between: what a proxy does to descriptions and candidates of side 0 (the
/// offerer) and side 1.
pub async fn connect_via(
    offerer: &mut End,
    answerer: &mut End,
    mut translate: impl FnMut(usize, String) -> String,
) -> Duration {
    let began = Instant::now();
    let offer = offerer.link.create_offer().await.unwrap();
    let answer = answerer.link.accept_offer(translate(0, offer.sdp)).await.unwrap();
    offerer.link.accept_answer(translate(1, answer.sdp)).await.unwrap();
    let (mut left, mut right) = (false, false);
    let both = async {
        while !(left && right) {
            tokio::select! {
                event = offerer.events.recv() => {
                    left |= step(0, event, offerer, answerer, &mut translate).await;
                }
                event = answerer.events.recv() => {
                    right |= step(1, event, answerer, offerer, &mut translate).await;
                }
            }
        }
    };
    timeout(PATIENCE, both).await.expect("a connection within the test's patience");
    began.elapsed()
}

async fn step(
    side: usize,
    event: Option<LinkEvent>,
    from: &mut End,
    to: &End,
    translate: &mut impl FnMut(usize, String) -> String,
) -> bool {
    let event = event.unwrap_or_else(|| panic!("side {side} ended: {:?}", from.seen));
    from.note(&event);
    match event {
        LinkEvent::Candidate(line) => {
            to.link.add_candidate(translate(side, line)).await.unwrap();
            false
        }
        LinkEvent::Connected(_) => true,
        LinkEvent::Failed(why) => panic!("side {side} failed: {why}"),
        _ => false,
    }
}
