//! The link on a real clock and real sockets: one task per link, no locks.
#![allow(clippy::disallowed_methods, reason = "the shell is where the clock is read")]

mod sockets;
mod streams;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::base::{IncomingPacket, OutgoingPacket, PayloadKind};

use super::api::{LinkError, LinkEvent, LinkStats, LocalDescription};
use super::config::{LinkConfig, TurnServer};
use super::core::Core;
use super::gather::Transmit;
use sockets::Sockets;
use streams::{Arrived, Streams};

/// Audio packets that may wait for the task: 640 ms at 20 ms each. A full queue drops the newest.
const AUDIO_QUEUE: usize = 32;
/// Requests that may wait for the task; more callers wait their turn.
const COMMAND_QUEUE: usize = 16;
/// Events that may wait for their reader.
const EVENT_QUEUE: usize = 256;
/// News kept for a reader that is behind the queue; messages of the peer are dropped long before.
const MAX_BACKLOG: usize = 64;
/// Datagrams read before what they caused is sent.
const BATCH: usize = 32;
/// When the goodbye is said again: spread, since losses come in bursts.
const GOODBYE_PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(60)];
/// No payload type has this number (RFC 3551 §6).
const NOT_TAKEN: u8 = 255;
/// Longest datagram read, bytes; longer ones are cut and then refused.
const DATAGRAM: usize = 2048;

/// Receives the peer's audio packets, on the link's runtime. It must not block.
pub type AudioSink = Box<dyn FnMut(IncomingPacket) + Send>;

/// A cheap handle to one media connection. When the last one is dropped the link closes as if asked to.
#[derive(Clone)]
pub struct Link {
    commands: mpsc::Sender<Command>,
    audio: mpsc::Sender<OutgoingPacket>,
    shared: Arc<Shared>,
}

/// What the handle may look at without asking the task.
struct Shared {
    /// Audio packets that the handle itself dropped.
    audio_dropped: AtomicU64,
    /// Payload types, by [`place_of`] their kind; [`NOT_TAKEN`] of those that the peer does not take.
    payload_types: [AtomicU8; 2],
}

enum Command {
    CreateOffer(Reply<LocalDescription>),
    AcceptOffer(String, Reply<LocalDescription>),
    AcceptAnswer(String, Reply<()>),
    Restart(bool, Reply<LocalDescription>),
    AcceptRestart(String, bool, Reply<LocalDescription>),
    AddCandidate(String, Reply<()>),
    AddRelay(TurnServer, Reply<()>),
    AddStun(SocketAddr, Reply<()>),
    NoMoreRelays(Reply<()>),
    SendMessage(Vec<u8>, Reply<()>),
    Stats(Reply<LinkStats>),
    Close(Reply<()>),
}

type Reply<T> = oneshot::Sender<Result<T, LinkError>>;

impl Link {
    /// Binds the sockets and starts gathering candidates; must be called on the runtime that is to carry the link.
    ///
    /// Events are never lost while their receiver lives, but for the peer's messages: when [`EVENT_QUEUE`] of all kinds
    /// wait to be read, messages are dropped and counted. A link whose events are not read beyond any reason, or whose
    /// receiver is dropped, keeps working; the news is then lost.
    pub async fn open(config: LinkConfig, sink: AudioSink) -> Result<(Self, mpsc::Receiver<LinkEvent>), LinkError> {
        let sockets = Sockets::open(&config).await?;
        let mut ssrc = [0; 4];
        getrandom::fill(&mut ssrc).map_err(|error| LinkError::Core(error.to_string()))?;
        let ssrc = config.ssrc.unwrap_or(u32::from_ne_bytes(ssrc));
        let core = Core::new(&config, sockets.addresses(), ssrc, Instant::now())?;

        let (commands, command_rx) = mpsc::channel(COMMAND_QUEUE);
        let (audio, audio_rx) = mpsc::channel(AUDIO_QUEUE);
        let (events, event_rx) = mpsc::channel(EVENT_QUEUE);
        let payload_types = [const { AtomicU8::new(NOT_TAKEN) }; 2];
        let shared = Arc::new(Shared { audio_dropped: AtomicU64::new(0), payload_types });
        let task = Task {
            config,
            core,
            sockets,
            streams: Streams::new(),
            commands: command_rx,
            audio: audio_rx,
            news: News { queue: events, backlog: VecDeque::new() },
            sink,
            shared: shared.clone(),
            next_socket: 0,
        };
        tokio::spawn(task.run());
        Ok((Self { commands, audio, shared }, event_rx))
    }

    /// Our offer, with the candidates known so far; later ones come as [`LinkEvent::Candidate`].
    pub async fn create_offer(&self) -> Result<LocalDescription, LinkError> {
        self.ask(Command::CreateOffer).await
    }

    /// Offers to begin ICE anew after [`LinkEvent::Connected`]: the path has failed, or this machine or the peer's has
    /// moved. What is negotiated stays, keys and channel too; [`LinkEvent::Reconnected`] tells when there is a path.
    /// `moved`: this machine's addresses are others now, so its sockets are opened anew.
    pub async fn restart(&self, moved: bool) -> Result<LocalDescription, LinkError> {
        self.ask(|reply| Command::Restart(moved, reply)).await
    }

    /// Takes the peer's offer to begin anew and makes our answer. `moved` as in [`Link::restart`].
    pub async fn accept_restart(&self, sdp: String, moved: bool) -> Result<LocalDescription, LinkError> {
        self.ask(|reply| Command::AcceptRestart(sdp, moved, reply)).await
    }

    /// Takes the peer's offer and makes our answer.
    pub async fn accept_offer(&self, sdp: String) -> Result<LocalDescription, LinkError> {
        self.ask(|reply| Command::AcceptOffer(sdp, reply)).await
    }

    /// Takes the peer's answer to our offer.
    pub async fn accept_answer(&self, sdp: String) -> Result<(), LinkError> {
        self.ask(|reply| Command::AcceptAnswer(sdp, reply)).await
    }

    /// Takes a candidate of the peer: the value of an `a=candidate` line. It may come before the description.
    pub async fn add_candidate(&self, line: String) -> Result<(), LinkError> {
        self.ask(|reply| Command::AddCandidate(line, reply)).await
    }

    /// One more relay to allocate on, which is a STUN server too: candidates follow. While there is a path it is
    /// ignored.
    pub async fn add_relay(&self, server: TurnServer) -> Result<(), LinkError> {
        self.ask(|reply| Command::AddRelay(server, reply)).await
    }

    /// One more STUN server; as [`Link::add_relay`].
    pub async fn add_stun(&self, server: SocketAddr) -> Result<(), LinkError> {
        self.ask(|reply| Command::AddStun(server, reply)).await
    }

    /// No relay will be added any more: what [`LinkConfig::expects_relays`] announced is over.
    pub async fn no_more_relays(&self) -> Result<(), LinkError> {
        self.ask(Command::NoMoreRelays).await
    }

    /// Hands over one audio packet. Never blocks or waits, so the real-time voice thread may call it; false when the
    /// packet was dropped here, which is counted.
    pub fn send(&self, packet: OutgoingPacket) -> bool {
        let taken = self.audio.try_send(packet).is_ok();
        if !taken {
            self.shared.audio_dropped.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Whether the peer takes this kind of payload. False until both descriptions are in place.
    pub fn accepts(&self, kind: PayloadKind) -> bool {
        self.payload_type(kind).is_some()
    }

    /// The number that this kind of payload has on this link: RED names that of Opus for each copy (RFC 2198 §3).
    pub fn payload_type(&self, kind: PayloadKind) -> Option<u8> {
        let number = self.shared.payload_types[place_of(kind)?].load(Ordering::Relaxed);
        (number != NOT_TAKEN).then_some(number)
    }

    /// Queues a message on the data channel: reliable, in order, at most [`MAX_MESSAGE_LEN`](super::MAX_MESSAGE_LEN).
    /// Before [`LinkEvent::ChannelOpen`] a few messages are kept.
    pub async fn send_message(&self, message: Vec<u8>) -> Result<(), LinkError> {
        self.ask(|reply| Command::SendMessage(message, reply)).await
    }

    pub async fn stats(&self) -> Result<LinkStats, LinkError> {
        let stats = self.ask(Command::Stats).await?;
        let here = self.shared.audio_dropped.load(Ordering::Relaxed);
        Ok(LinkStats { audio_dropped: stats.audio_dropped + here, ..stats })
    }

    /// Closes the link, whoever else holds a handle. When this returns, the messages that were queued, the abort of the
    /// data channel and DTLS's close_notify have left, three times within 80 ms, and the sockets are closed. Closing a
    /// closed link does nothing.
    pub async fn close(self) {
        let _ = self.ask(Command::Close).await;
        // The reply comes before the sockets close; the channel ends after.
        self.commands.closed().await;
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, LinkError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| LinkError::Closed)?;
        answer.await.map_err(|_| LinkError::Closed)?
    }
}

struct Task {
    config: LinkConfig,
    core: Core,
    sockets: Sockets,
    streams: Streams,
    commands: mpsc::Receiver<Command>,
    audio: mpsc::Receiver<OutgoingPacket>,
    news: News,
    sink: AudioSink,
    shared: Arc<Shared>,
    next_socket: usize,
}

impl Task {
    async fn run(mut self) {
        let mut buffer = vec![0; DATAGRAM];
        let mut closing = None;
        let goodbye = loop {
            let wake_at = self.core.drain(Instant::now());
            let sent = self.flush();
            if self.core.is_ended() {
                break sent;
            }
            tokio::select! {
                biased;
                command = self.commands.recv() => closing = self.handle_command(command).await,
                Some(packet) = self.audio.recv() => {
                    self.core.send_audio(packet, Instant::now());
                }
                socket = poll_fn(|context| self.sockets.poll_readable(self.next_socket, context)) => {
                    self.read(socket, &mut buffer);
                }
                Some(Arrived { stream, from, message }) = self.streams.recv() => {
                    self.core.handle_datagram(stream, from, &message, Instant::now());
                }
                () = self.news.deliver(), if self.news.is_behind() => {}
                () = sleep_until(wake_at) => {}
            }
        };
        repeat(goodbye, &self.sockets).await;
        // The sockets close before the reply and before the command queue, for which `Link::close` waits.
        drop(self.sockets);
        self.news.deliver_all();
        if let Some(reply) = closing {
            let _: Result<(), _> = Reply::send(reply, Ok(()));
        }
    }

    /// The reply that waits for the end, if this was the end. All handles gone is the same as a request to close.
    async fn handle_command(&mut self, command: Option<Command>) -> Option<Reply<()>> {
        let now = Instant::now();
        // Nobody minds when a caller has stopped waiting for the answer.
        match command {
            Some(Command::CreateOffer(reply)) => drop(reply.send(self.core.create_offer(now))),
            Some(Command::AcceptOffer(sdp, reply)) => {
                let answer = self.core.accept_offer(&sdp, now);
                self.publish_payload_kinds();
                drop(reply.send(answer));
            }
            Some(Command::AcceptAnswer(sdp, reply)) => {
                let accepted = self.core.accept_answer(&sdp, now);
                self.publish_payload_kinds();
                drop(reply.send(accepted));
            }
            Some(Command::Restart(moved, reply)) => {
                let made = match self.sockets_after(moved).await {
                    Ok(bases) => self.core.restart(bases, Instant::now()),
                    Err(why) => Err(why),
                };
                drop(reply.send(made));
            }
            Some(Command::AcceptRestart(sdp, moved, reply)) => {
                let made = match self.sockets_after(moved).await {
                    Ok(bases) => self.core.accept_restart(&sdp, bases, Instant::now()),
                    Err(why) => Err(why),
                };
                drop(reply.send(made));
            }
            Some(Command::AddCandidate(line, reply)) => drop(reply.send(self.core.add_candidate(&line))),
            Some(Command::AddRelay(server, reply)) => drop(reply.send(self.core.add_relay(&server, now))),
            Some(Command::AddStun(server, reply)) => drop(reply.send(self.core.add_stun(server, now))),
            Some(Command::NoMoreRelays(reply)) => {
                self.core.no_more_relays();
                drop(reply.send(Ok(())));
            }
            Some(Command::SendMessage(message, reply)) => drop(reply.send(self.core.send_message(message, now))),
            Some(Command::Stats(reply)) => drop(reply.send(Ok(self.core.stats(now)))),
            Some(Command::Close(reply)) => {
                self.core.close(now);
                return Some(reply);
            }
            None => self.core.close(now),
        }
        None
    }

    /// Opens the sockets anew if the machine has moved; their addresses then. Binding takes no time worth mentioning.
    async fn sockets_after(&mut self, moved: bool) -> Result<Option<Vec<SocketAddr>>, LinkError> {
        if !moved {
            return Ok(None);
        }
        self.sockets = Sockets::open(&self.config).await?;
        self.streams = Streams::new();
        Ok(Some(self.sockets.addresses()))
    }

    fn publish_payload_kinds(&self) {
        for kind in [PayloadKind::Opus, PayloadKind::Red] {
            let number = self.core.payload_type(kind).unwrap_or(NOT_TAKEN);
            if let Some(place) = place_of(kind) {
                self.shared.payload_types[place].store(number, Ordering::Relaxed);
            }
        }
    }

    fn read(&mut self, socket: usize, buffer: &mut [u8]) {
        self.next_socket = socket + 1;
        for _ in 0..BATCH {
            let Some((len, from)) = self.sockets.try_recv(socket, buffer) else { break };
            self.core.handle_datagram(socket, from, &buffer[..len], Instant::now());
        }
    }

    /// Sends what the core has to say; returns the last datagrams once the core has ended.
    fn flush(&mut self) -> Vec<Transmit> {
        let mut last = Vec::new();
        while let Some(transmit) = self.core.poll_transmit() {
            let Transmit { socket, to, payload } = transmit;
            let sent = if socket < self.sockets.count() {
                let sent = self.sockets.try_send(socket, to, &payload);
                if self.core.is_ended() {
                    last.push(Transmit { socket, to, payload });
                }
                sent
            } else {
                self.streams.try_send(socket, to, payload)
            };
            if !sent {
                self.core.handle_unsent();
            }
        }
        while let Some((socket, to)) = self.core.poll_opening() {
            self.sockets.open_way(socket, to);
        }
        while let Some(packet) = self.core.poll_audio() {
            (self.sink)(packet);
        }
        while let Some(event) = self.core.poll_event() {
            if !self.news.push(event) {
                self.core.handle_undelivered_message();
            }
        }
        last
    }
}

/// A goodbye that is lost leaves the other side waiting for the end of a silence. DTLS drops what comes twice
/// (RFC 6347 §4.1.2.6).
async fn repeat(goodbye: Vec<Transmit>, sockets: &Sockets) {
    for pause in GOODBYE_PAUSES.into_iter().filter(|_| !goodbye.is_empty()) {
        tokio::time::sleep(pause).await;
        for Transmit { socket, to, payload } in &goodbye {
            sockets.try_send(*socket, *to, payload);
        }
    }
}

/// The way of events to their reader.
struct News {
    queue: mpsc::Sender<LinkEvent>,
    backlog: VecDeque<LinkEvent>,
}

impl News {
    /// False when the event was dropped.
    fn push(&mut self, event: LinkEvent) -> bool {
        let event = if self.backlog.is_empty() {
            match self.queue.try_send(event) {
                Ok(()) => return true,
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
                Err(mpsc::error::TrySendError::Full(event)) => event,
            }
        } else {
            event
        };
        if matches!(event, LinkEvent::Message(_)) || self.backlog.len() >= MAX_BACKLOG {
            return false;
        }
        self.backlog.push_back(event);
        true
    }

    fn is_behind(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Hands over one event of the backlog as soon as there is room. Cancelling loses nothing.
    async fn deliver(&mut self) {
        match self.queue.reserve().await {
            Ok(room) => {
                if let Some(event) = self.backlog.pop_front() {
                    room.send(event);
                }
            }
            Err(_) => self.backlog.clear(),
        }
    }

    /// The link is over: a reader that is behind gets the rest from a task of its own, so that nothing waits for it.
    fn deliver_all(mut self) {
        if self.is_behind() {
            tokio::spawn(async move {
                while self.is_behind() {
                    self.deliver().await;
                }
            });
        }
    }
}

/// `None` of what has no number, since it goes another way.
fn place_of(kind: PayloadKind) -> Option<usize> {
    match kind {
        PayloadKind::Opus => Some(0),
        PayloadKind::Red => Some(1),
        PayloadKind::Carried => None,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
