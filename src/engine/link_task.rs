//! One link of one call: opens it on the media runtime, does its jobs in order, reports what happens.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::desk::DeskInput;
use crate::base::CallId;
use crate::link::{AudioSink, Link, LinkConfig, LinkError, LinkEvent, LinkStats, LocalDescription, TurnServer};

/// Jobs waiting for a link that is still opening; a call makes fewer in all.
const JOB_QUEUE: usize = 128;
/// How often a link's counters are read.
const STATS_EVERY: Duration = Duration::from_secs(1);

/// What the desk asks of a link. Jobs are done in order; what fails is reported, never fatal to the task.
pub(super) enum LinkJob {
    /// Describe ourselves first.
    Offer,
    /// Describe ourselves in answer to the peer's offer.
    Answer {
        offer: String,
    },
    /// The peer's answer to our offer.
    Apply {
        answer: String,
    },
    /// Begin anew: our offer. `moved`: on other addresses than before.
    Restart {
        moved: bool,
    },
    /// Begin anew by the peer's offer.
    AcceptRestart {
        offer: String,
        moved: bool,
    },
    RemoteCandidate(String),
    /// A super-peer relays for us.
    AddRelay(TurnServer),
    /// One more server that tells our address.
    AddStun(SocketAddr),
    NoMoreRelays,
    /// To the peer over the data channel.
    Message(Vec<u8>),
}

pub(super) enum LinkNews {
    /// The link has sockets and gathers candidates.
    Opened(Link),
    Described(LocalDescription),
    Event(LinkEvent),
    Stats(LinkStats),
    Failed(LinkError),
    /// It could not begin anew, perhaps because there is no network just now.
    RestartFailed {
        why: LinkError,
        moved: bool,
    },
}

/// The desk's end. Dropping it closes the link once all jobs are done: a queued BYE still leaves.
pub(super) struct LinkTask {
    jobs: mpsc::Sender<LinkJob>,
    done: JoinHandle<()>,
}

impl LinkTask {
    /// `sink` gets the packets that arrive.
    pub fn start(
        call: CallId,
        config: LinkConfig,
        sink: AudioSink,
        media: Handle,
        desk: mpsc::Sender<DeskInput>,
    ) -> Self {
        let (jobs, queue) = mpsc::channel(JOB_QUEUE);
        let done = tokio::spawn(async move {
            let report = Reporter { call, desk };
            let opened = media.spawn(Link::open(config, sink)).await;
            match opened {
                Ok(Ok((link, events))) => run(link, events, queue, report).await,
                Ok(Err(why)) => report.send(LinkNews::Failed(why)).await,
                // The media runtime is gone: the engine is stopping.
                Err(_) => {}
            }
        });
        Self { jobs, done }
    }

    pub fn job(&self, job: LinkJob) {
        if self.jobs.try_send(job).is_err() {
            tracing::debug!("a link job was dropped: the link has failed or is stuck");
        }
    }
}

impl LinkTask {
    /// Lets the queued jobs be done, closes the link, and returns what to await until then.
    pub fn close(self) -> JoinHandle<()> {
        self.done
    }
}

struct Reporter {
    call: CallId,
    desk: mpsc::Sender<DeskInput>,
}

impl Reporter {
    /// A desk that is gone needs no news.
    async fn send(&self, news: LinkNews) {
        let _ = self.desk.send(DeskInput::Link { call: self.call, news }).await;
    }
}

async fn run(link: Link, mut events: mpsc::Receiver<LinkEvent>, mut jobs: mpsc::Receiver<LinkJob>, report: Reporter) {
    report.send(LinkNews::Opened(link.clone())).await;
    let mut every_second = tokio::time::interval(STATS_EVERY);
    loop {
        tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => {
                    if let Some(news) = perform(&link, job).await {
                        report.send(news).await;
                    }
                }
                None => break,
            },
            Some(event) = events.recv() => report.send(LinkNews::Event(event)).await,
            _ = every_second.tick() => {
                if let Ok(stats) = link.stats().await {
                    report.send(LinkNews::Stats(stats)).await;
                }
            }
        }
    }
    link.close().await;
}

async fn perform(link: &Link, job: LinkJob) -> Option<LinkNews> {
    let result = match job {
        LinkJob::Offer => link.create_offer().await.map(|made| Some(LinkNews::Described(made))),
        LinkJob::Answer { offer } => link.accept_offer(offer).await.map(|made| Some(LinkNews::Described(made))),
        LinkJob::Apply { answer } => link.accept_answer(answer).await.map(|()| None),
        LinkJob::Restart { moved } => Ok(Some(described_anew(link.restart(moved).await, moved))),
        LinkJob::AcceptRestart { offer, moved } => {
            Ok(Some(described_anew(link.accept_restart(offer, moved).await, moved)))
        }
        // A candidate that cannot be used is one way less, not a failed call.
        LinkJob::RemoteCandidate(candidate) => Ok(link.add_candidate(candidate).await.err().and_then(ignored)),
        LinkJob::AddRelay(server) => Ok(link.add_relay(server).await.err().and_then(ignored)),
        LinkJob::AddStun(server) => Ok(link.add_stun(server).await.err().and_then(ignored)),
        LinkJob::NoMoreRelays => Ok(link.no_more_relays().await.err().and_then(ignored)),
        LinkJob::Message(message) => Ok(link.send_message(message).await.err().and_then(ignored)),
    };
    result.unwrap_or_else(|why| Some(LinkNews::Failed(why)))
}

fn described_anew(made: Result<LocalDescription, LinkError>, moved: bool) -> LinkNews {
    match made {
        Ok(made) => LinkNews::Described(made),
        Err(why) => LinkNews::RestartFailed { why, moved },
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the end of an error's way")]
fn ignored(why: LinkError) -> Option<LinkNews> {
    tracing::debug!(%why, "link job without effect");
    None
}
