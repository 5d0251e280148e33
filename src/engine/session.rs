//! Signalling sessions: who talks to whom over which stream, sealed end to end.
//!
//! A session is one byte stream through the rendezvous network with Noise IK on top. The first flight carries the INVITE,
//! or the REJOIN of a call whose link has failed, the second the reply, so that RING costs a single round trip. Opening and reading happen in tasks of their
//! own; the desk sees only whole messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::desk::DeskInput;
use crate::base::{CallId, GroupId, Person};
use crate::call::{GroupLetter, Invite, Message, Rejoin};
use crate::identity::{Initiator, Link, PersonKey, Responder, Session, SessionError, version_refusal};
use crate::rendezvous::{Rendezvous, RingFailure, SignalReceiver, SignalSender, SignalStream};

/// Streams tried for one dial: every relay of the callee, the callee itself, and a retry.
const FLIGHTS: usize = 6;
/// Sessions kept of one dial, over different ways.
pub(super) const SESSIONS: usize = 2;
/// Between attempts to meet again.
const BEFORE_RETRY: Duration = Duration::from_millis(500);
/// Messages waiting to be sent; a call needs a dozen in all.
const OUTGOING_QUEUE: usize = 64;
/// Frames read ahead of the desk.
const INCOMING_QUEUE: usize = 16;
/// A stranger who opened a stream must show the first flight within this time.
const FIRST_FLIGHT_DEADLINE: Duration = Duration::from_secs(5);
/// The callee's program must answer an INVITE within this time, whatever its human does.
const REPLY_DEADLINE: Duration = Duration::from_secs(8);
/// A message that cannot be written for this long means that the stream is dead.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// Names a session inside the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionId(pub u64);

/// The desk's end of a session. Dropping it closes the stream after what was queued has left.
pub(super) struct SessionHandle {
    pub id: SessionId,
    outgoing: mpsc::Sender<Message>,
}

impl SessionHandle {
    /// Never blocks; a session that is 64 messages behind is as good as dead and its close will be seen.
    pub fn send(&self, message: Message) {
        if self.outgoing.try_send(message).is_err() {
            tracing::debug!(session = self.id.0, "signalling message dropped");
        }
    }
}

/// What became of an INVITE that somebody sent us, decided by the desk.
pub(super) enum Verdict {
    /// Say this (RING, BUSY, DECLINE) and, if `keep`, go on talking in the session.
    Reply { message: Message, keep: bool },
    /// Close without a word.
    Ignore,
}

/// The first message that somebody sent us, already authenticated.
pub(super) struct Invitation {
    pub session: SessionHandle,
    pub opening: Opening,
    pub verdict: oneshot::Sender<Verdict>,
}

/// What a session begins with.
#[derive(Debug, Clone)]
pub(super) enum Opening {
    /// Call somebody.
    Invite(Invite),
    /// Meet the peer of a running call again.
    Rejoin(Rejoin),
    /// Say one thing about a group call; the reply is the last word.
    Letter(GroupLetter),
}

impl Opening {
    fn from(&self) -> Person {
        match self {
            Self::Invite(invite) => invite.from,
            Self::Rejoin(rejoin) => rejoin.from,
            Self::Letter(letter) => letter.from,
        }
    }

    fn message(&self) -> Message {
        match self {
            Self::Invite(invite) => Message::Invite(invite.clone()),
            Self::Rejoin(rejoin) => Message::Rejoin(*rejoin),
            Self::Letter(letter) => Message::Group(letter.clone()),
        }
    }
}

/// Rings a person over every way there is. The first answers become sessions, [`SESSIONS`] at most, in which the same is
/// said: a super-peer that dies takes one of them along, and nobody notices.
pub(super) struct Dial {
    pub rendezvous: Rendezvous,
    pub me: PersonKey,
    pub to: Link,
    pub call: CallId,
    pub opening: Opening,
    /// One for each session.
    pub ids: [SessionId; SESSIONS],
    pub progress: Progress,
    pub desk: mpsc::Sender<DeskInput>,
}

/// What the attempts of one dial have brought so far.
#[derive(Default)]
pub(super) struct Progress {
    sessions: AtomicUsize,
    answered: Notify,
}

impl Dial {
    /// Rings once; a failure is told.
    pub async fn ring(self) {
        if let Err(why) = self.attempt().await {
            let _ = self.desk.send(DeskInput::DialFailed { call: self.call, why }).await;
        }
    }

    /// Rings until there is a session, or for `patience`: networks come back when they like. An attempt may hang in a
    /// connection that the peer has left, so others follow before it ends. A failure is told.
    pub async fn keep_ringing(self, patience: Duration) {
        let dial = Arc::new(self);
        let give_up_at = Instant::now() + patience;
        let mut attempts = JoinSet::new();
        while Instant::now() < give_up_at && dial.progress.sessions.load(Ordering::Relaxed) == 0 {
            let attempt = dial.clone();
            attempts.spawn(async move { attempt.attempt().await.ok() });
            let _ = timeout(BEFORE_RETRY, dial.progress.answered.notified()).await;
        }
        while attempts.join_next().await.is_some() {}
        if dial.progress.sessions.load(Ordering::Relaxed) == 0 {
            let why = RingFailure::Unreachable;
            let _ = dial.desk.send(DeskInput::DialFailed { call: dial.call, why }).await;
        }
    }

    /// Ends when its sessions have.
    async fn attempt(&self) -> Result<(), RingFailure> {
        let payload = self.opening.message().encode();
        let (mut initiators, flights) =
            first_flights(&self.me, self.to.person, &payload).map_err(|_| RingFailure::NotFound)?;
        let mut attempts = self.rendezvous.ring(self.to.person, &self.to.hints, flights);
        let mut waiting: JoinSet<Option<Answered>> = JoinSet::new();
        let mut pumps = JoinSet::new();
        let mut why = RingFailure::NotFound;
        let mut open = true;
        let mut answered = false;
        while open || !waiting.is_empty() {
            tokio::select! {
                attempt = attempts.recv(), if open => match attempt {
                    None => open = false,
                    Some(Err(failure)) => why = likelier(why, failure),
                    Some(Ok(rung)) => if let Some(initiator) = initiators.get_mut(rung.flight).and_then(Option::take) {
                        why = likelier(why, RingFailure::Refused);
                        waiting.spawn(reply_of(rung.stream, initiator));
                    },
                },
                Some(answer) = waiting.join_next(), if !waiting.is_empty() => if let Ok(Some(answer)) = answer {
                    let Some(id) = self.ids.get(self.progress.sessions.fetch_add(1, Ordering::Relaxed)) else { break };
                    answered = true;
                    self.progress.answered.notify_one();
                    self.take(answer, *id, &mut pumps).await;
                },
                // The desk wants none of the sessions any more.
                Some(_) = pumps.join_next(), if !pumps.is_empty() => if pumps.is_empty() { break },
            }
        }
        drop(attempts);
        while pumps.join_next().await.is_some() {}
        if answered { Ok(()) } else { Err(why) }
    }

    /// Gives a session to the desk and carries its messages from now on.
    async fn take(&self, answered: Answered, id: SessionId, pumps: &mut JoinSet<()>) {
        let (stream, session, reply) = answered;
        let (outgoing, queue) = mpsc::channel(OUTGOING_QUEUE);
        let handle = SessionHandle { id, outgoing };
        if self.desk.send(DeskInput::DialAnswered { call: self.call, session: handle, reply }).await.is_ok() {
            pumps.spawn(pump(id, stream, session, queue, self.desk.clone()));
        }
    }
}

/// A letter about a group call, on its way.
pub(super) struct Letter {
    pub rendezvous: Rendezvous,
    pub me: PersonKey,
    pub to: Link,
    pub group: GroupId,
    pub letter: GroupLetter,
    pub desk: mpsc::Sender<DeskInput>,
}

impl Letter {
    /// Delivers it over whichever way is there first, and tells the reply, or that there was none.
    pub async fn deliver(self) {
        let (group, to) = (self.group, self.to.person);
        let reply = self.reply().await;
        let _ = self.desk.send(DeskInput::LetterAnswered { group, to, reply }).await;
    }

    async fn reply(&self) -> Option<GroupLetter> {
        let payload = Message::Group(self.letter.clone()).encode();
        let (mut initiators, flights) = first_flights(&self.me, self.to.person, &payload).ok()?;
        let mut attempts = self.rendezvous.ring(self.to.person, &self.to.hints, flights);
        let mut waiting = JoinSet::new();
        let mut open = true;
        while open || !waiting.is_empty() {
            tokio::select! {
                attempt = attempts.recv(), if open => match attempt {
                    None => open = false,
                    Some(Err(_)) => {}
                    Some(Ok(rung)) => if let Some(initiator) = initiators.get_mut(rung.flight).and_then(Option::take) {
                        waiting.spawn(reply_of(rung.stream, initiator));
                    },
                },
                Some(answer) = waiting.join_next(), if !waiting.is_empty() => {
                    if let Ok(Some((_, _, Message::Group(reply)))) = answer {
                        return Some(reply).filter(|reply| reply.from == self.to.person);
                    }
                }
            }
        }
        None
    }
}

/// One first flight for each way that is tried, and who reads the reply to it.
fn first_flights(me: &PersonKey, to: Person, payload: &[u8]) -> Result<FirstFlights, SessionError> {
    let made =
        (0..FLIGHTS).map(|_| Initiator::start(me, to, payload).map(|(initiator, flight)| (Some(initiator), flight)));
    made.collect::<Result<Vec<_>, _>>().map(|made| made.into_iter().unzip())
}

type FirstFlights = (Vec<Option<Initiator>>, Vec<Vec<u8>>);
type Answered = (SignalStream, Session, Message);

/// Of two failed ways, the one that tells more: a person who was reached in part is there.
fn likelier(one: RingFailure, other: RingFailure) -> RingFailure {
    let rank = |failure: &RingFailure| match failure {
        RingFailure::NotFound => 0,
        RingFailure::NotHere => 1,
        RingFailure::Unreachable => 2,
        RingFailure::Refused => 3,
    };
    if rank(&other) > rank(&one) { other } else { one }
}

/// `None` when the stream ends or speaks nonsense; another one may do better.
async fn reply_of(mut stream: SignalStream, initiator: Initiator) -> Option<Answered> {
    let reply = timeout(REPLY_DEADLINE, stream.recv()).await.ok()?.ok()?;
    let (session, payload) = initiator.finish(&reply).ok()?;
    let message = Message::decode(&payload).ok()?;
    Some((stream, session, message))
}

/// Reads a stranger's first flight and asks the desk what to say.
pub(super) async fn admit(mut stream: SignalStream, me: PersonKey, id: SessionId, desk: mpsc::Sender<DeskInput>) {
    let Some((responder, opening)) = first_flight(&mut stream, &me).await else { return };
    let (outgoing, queue) = mpsc::channel(OUTGOING_QUEUE);
    let (verdict, decided) = oneshot::channel();
    let invitation = Invitation { session: SessionHandle { id, outgoing }, opening, verdict };
    if desk.send(DeskInput::Invited(invitation)).await.is_err() {
        return;
    }
    let Ok(Verdict::Reply { message, keep }) = decided.await else { return };
    let Ok((session, flight)) = responder.finish(&message.encode()) else { return };
    match timeout(WRITE_DEADLINE, stream.send(&flight)).await {
        Ok(Ok(())) if keep => pump(id, stream, session, queue, desk).await,
        // It was our last word; whether its acknowledgement arrives does not matter.
        Ok(Ok(())) => drop(stream.close().await),
        Ok(Err(_)) | Err(_) => {
            let _ = desk.send(DeskInput::SessionClosed(id)).await;
        }
    }
}

/// The first message names a person; it must be the one whose key opened the session.
async fn first_flight(stream: &mut SignalStream, me: &PersonKey) -> Option<(Responder, Opening)> {
    let flight = timeout(FIRST_FLIGHT_DEADLINE, stream.recv()).await.ok()?.ok()?;
    let (responder, payload) = match Responder::read(me, &flight) {
        Ok(read) => read,
        Err(why) => {
            tracing::debug!(%why, "refused a first flight");
            if let SessionError::UnknownVersion { .. } = why {
                // So that the other side's person learns that one of the two must update.
                let _ = timeout(WRITE_DEADLINE, stream.send(&version_refusal())).await;
            }
            return None;
        }
    };
    let opening = match Message::decode(&payload) {
        Ok(Message::Invite(invite)) => Opening::Invite(invite),
        Ok(Message::Rejoin(rejoin)) => Opening::Rejoin(rejoin),
        Ok(Message::Group(letter)) => Opening::Letter(letter),
        Ok(_) | Err(_) => return None,
    };
    responder.peer_matches(opening.from()).then_some((responder, opening))
}

/// Carries messages both ways until either side is done.
async fn pump(
    id: SessionId,
    stream: SignalStream,
    mut session: Session,
    mut outgoing: mpsc::Receiver<Message>,
    desk: mpsc::Sender<DeskInput>,
) {
    let (mut sender, receiver) = stream.split();
    let (frames_in, mut frames) = mpsc::channel(INCOMING_QUEUE);
    // Whoever gives the dial up drops this task: a reader that stayed would keep the stream open, and the peer ringing.
    let reader = AbortOnDropHandle::new(tokio::spawn(read_frames(receiver, frames_in)));
    loop {
        tokio::select! {
            message = outgoing.recv() => match message {
                Some(message) => if !send_sealed(&mut sender, &mut session, &message).await { break },
                None => break,
            },
            frame = frames.recv() => {
                let Some(frame) = frame else { break };
                let Ok(plain) = session.open(&frame) else { break };
                match Message::decode(&plain) {
                    Ok(message) => if desk.send(DeskInput::Signal { session: id, message }).await.is_err() { break },
                    Err(why) => tracing::debug!(%why, "unreadable signalling message"),
                }
            }
        }
    }
    drop(reader);
    // The desk first: a peer that has gone may leave the close unanswered, and a callee must stop ringing then.
    let _ = desk.send(DeskInput::SessionClosed(id)).await;
    // A stream that breaks while it is closed is closed.
    let _ = timeout(WRITE_DEADLINE, sender.close()).await;
}

async fn send_sealed(sender: &mut SignalSender, session: &mut Session, message: &Message) -> bool {
    let Ok(sealed) = session.seal(&message.encode()) else { return false };
    matches!(timeout(WRITE_DEADLINE, sender.send(&sealed)).await, Ok(Ok(())))
}

/// Reading a frame cannot be interrupted half way, so it has a task of its own.
async fn read_frames(mut receiver: SignalReceiver, frames: mpsc::Sender<Vec<u8>>) {
    while let Ok(frame) = receiver.recv().await {
        if frames.send(frame).await.is_err() {
            return;
        }
    }
}
