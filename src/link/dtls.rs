//! Makes the DTLS handshake survive loss.
//!
//! The core's handshaker (`rtc-dtls` 0.21.1) has two weaknesses. It stops its retransmission timer whenever handshake
//! records arrive that bring nothing new, so a lost flight of ours plus a repeated flight of the peer's ends in silence
//! on both sides for good; and where the timer does run, its interval is one second, at any round-trip time.
//!
//! [`HandshakeGuard`] stands between the sockets and the core and does what RFC 6347 §4.2.4 asks of both:
//!
//! - a datagram of handshake messages that were all received before never reaches the core. It means that our last
//!   flight was lost, so that flight leaves again;
//! - a flight leaves again after 1.5 round trips as measured by ICE (RFC 9147 §5.8.2), then after twice that, and so on,
//!   until the next flight does. What the peer did receive, its replay window drops (RFC 6347 §4.1.2.6): the repetition is
//!   the same bytes;
//! - the last flight, which nothing answers, is repeated until the peer shows that it has the keys.
//!
//! The guard needs no key: before the keys exist handshake messages are in the clear.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use rtc::shared::TaggedBytesMut;

/// Bounds of the wait before the first repetition.
const MIN_WAIT: Duration = Duration::from_millis(50);
const MAX_WAIT: Duration = Duration::from_secs(1);
/// The first wait when ICE has measured nothing.
const UNMEASURED_WAIT: Duration = Duration::from_millis(250);
/// Repetitions of one flight, timed and provoked together: also the bound on what a forger can make us send.
const MAX_REPEATS: u32 = 12;
/// Repetitions of the flight that ends the handshake for us: nobody may be waiting for it.
const MAX_FINAL_REPEATS: u32 = 6;
/// After so many repetitions of our flight, repetitions of the peer's reach the core again.
const PATIENT_REPEATS: u32 = 3;
/// Datagrams kept of one flight. A flight is one or two; later ones are left to the core's own timer.
const MAX_FLIGHT: usize = 8;
/// Handshake messages remembered; a whole handshake has about 15.
const MAX_SEEN: usize = 128;

const RECORD_HEADER_LEN: usize = 13;
const MESSAGE_HEADER_LEN: usize = 12;
const CONTENT_CHANGE_CIPHER_SPEC: u8 = 20;
const CONTENT_ALERT: u8 = 21;
const CONTENT_HANDSHAKE: u8 = 22;
const CONTENT_APPLICATION_DATA: u8 = 23;
const CLIENT_HELLO: u8 = 1;
const ALERT_FATAL: u8 = 2;

/// What to do with a datagram that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Hand it to the core.
    Pass,
    /// Nothing new in it; our own flight was sent again if that was due.
    Repeated,
}

/// ```text
///          first flight leaves            completed()             keys shown / repeats spent
/// Idle ─────────────────────────► Shaking ───────────► Finishing ──────────────────────────► Done
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// Flights go back and forth.
    Shaking,
    /// Our side is complete, but the peer may still lack our last flight.
    Finishing,
    /// Everything passes.
    Done,
}

pub(super) struct HandshakeGuard {
    phase: Phase,
    /// We opened with a ClientHello.
    is_client: bool,
    /// Messages (or fragments of them) of the peer that reached the core.
    seen: BTreeSet<MessageId>,
    flight: Vec<TaggedBytesMut>,
    /// When the flight's first datagram left; a flight leaves in one instant.
    flight_left: Option<Instant>,
    /// News came since the flight left: what the core sends next is the next flight, not this one again.
    answered: bool,
    repeats: u32,
    first_wait: Duration,
    /// When the flight leaves again unless the next one left.
    repeat_at: Option<Instant>,
    /// When it last left for any reason.
    last_left: Option<Instant>,
    out: VecDeque<TaggedBytesMut>,
}

impl HandshakeGuard {
    pub fn new() -> Self {
        Self {
            phase: Phase::Idle,
            is_client: false,
            seen: BTreeSet::new(),
            flight: Vec::new(),
            flight_left: None,
            answered: false,
            repeats: 0,
            first_wait: UNMEASURED_WAIT,
            repeat_at: None,
            last_left: None,
            out: VecDeque::new(),
        }
    }

    /// The round trip of the path that the handshake takes.
    pub fn set_round_trip(&mut self, rtt: Duration) {
        self.first_wait = (rtt * 3 / 2).clamp(MIN_WAIT, MAX_WAIT);
    }

    /// A datagram arrived that the core would accept now.
    pub fn handle_incoming(&mut self, datagram: &[u8], now: Instant) -> Verdict {
        if self.phase == Phase::Done {
            return Verdict::Pass;
        }
        let Some(&first) = datagram.first() else { return Verdict::Pass };
        if first == CONTENT_APPLICATION_DATA || is_media(first) {
            // Only a peer that has our last flight encrypts.
            if self.phase == Phase::Finishing {
                self.finish();
            }
            return Verdict::Pass;
        }
        let Some(handshake) = Handshake::parse(datagram) else { return Verdict::Pass };
        // A core that has said nothing may not have begun: it may drop this ClientHello, and needs the next one. The
        // one that it does answer is the last before our first flight; when that comes again, the flight was lost.
        if self.phase == Phase::Idle {
            self.seen = handshake.messages.into_iter().collect();
            return Verdict::Pass;
        }
        // What comes under keys cannot be told apart. As long as our side is not complete it is news.
        let is_news = handshake.under_keys && self.phase == Phase::Shaking;
        if !is_news && handshake.messages.iter().all(|message| self.seen.contains(message)) {
            self.answer_repetition(now);
            // Both sides repeat themselves in vain: the core may have dropped what we took for received.
            return if self.repeats > PATIENT_REPEATS { Verdict::Pass } else { Verdict::Repeated };
        }
        if self.seen.len() + handshake.messages.len() <= MAX_SEEN {
            self.seen.extend(handshake.messages);
        }
        // The timer runs on: this may be a part of the peer's flight whose rest is lost, or a message that the core
        // took before we watched and will drop now.
        self.answered = true;
        Verdict::Pass
    }

    /// A datagram of the core's leaves now.
    pub fn handle_outgoing(&mut self, datagram: &TaggedBytesMut) {
        let first = datagram.message.first().copied();
        if self.phase == Phase::Done || !matches!(first, Some(CONTENT_HANDSHAKE | CONTENT_CHANGE_CIPHER_SPEC)) {
            return;
        }
        if self.phase == Phase::Idle {
            self.phase = Phase::Shaking;
            let hello = Handshake::parse(&datagram.message);
            self.is_client = hello.is_some_and(|hello| hello.messages.iter().any(|(kind, ..)| *kind == CLIENT_HELLO));
        }
        let now = datagram.now;
        if self.flight_left != Some(now) {
            // The next flight, or the core's own repetition of this one under new record numbers.
            if self.answered {
                self.repeats = 0;
                self.answered = false;
            }
            self.flight.clear();
            self.flight_left = Some(now);
            self.last_left = Some(now);
            self.repeat_at = Some(now + self.wait());
        }
        if self.flight.len() < MAX_FLIGHT {
            self.flight.push(copy(datagram, now));
        }
    }

    /// The handshake is complete on our side. The DTLS server sent the last flight; the client has nothing left to say.
    pub fn completed(&mut self) {
        match self.phase {
            Phase::Idle | Phase::Shaking if self.is_client => self.finish(),
            Phase::Idle | Phase::Shaking => self.phase = Phase::Finishing,
            Phase::Finishing | Phase::Done => {}
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.repeat_at.is_some_and(|at| at <= now) {
            self.repeat(now);
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.repeat_at
    }

    pub fn poll_transmit(&mut self) -> Option<TaggedBytesMut> {
        self.out.pop_front()
    }

    /// The peer repeats itself: it lacks our flight. A flight that left a moment ago is probably still under way.
    fn answer_repetition(&mut self, now: Instant) {
        let just_left = self.last_left.is_some_and(|left| now.saturating_duration_since(left) < self.first_wait / 2);
        if !just_left {
            self.repeat(now);
        }
    }

    fn repeat(&mut self, now: Instant) {
        let allowed = if self.phase == Phase::Finishing { MAX_FINAL_REPEATS } else { MAX_REPEATS };
        if self.repeats >= allowed {
            self.repeat_at = None;
            if self.phase == Phase::Finishing {
                self.finish();
            }
            return;
        }
        self.repeats += 1;
        self.last_left = Some(now);
        self.repeat_at = Some(now + self.wait());
        self.out.extend(self.flight.iter().map(|datagram| copy(datagram, now)));
    }

    fn wait(&self) -> Duration {
        (self.first_wait * 2u32.saturating_pow(self.repeats.min(8))).min(MAX_WAIT)
    }

    fn finish(&mut self) {
        self.phase = Phase::Done;
        self.flight = Vec::new();
        self.seen = BTreeSet::new();
        self.repeat_at = None;
    }
}

fn copy(datagram: &TaggedBytesMut, now: Instant) -> TaggedBytesMut {
    TaggedBytesMut { now, transport: datagram.transport, message: datagram.message.clone() }
}

/// The description of a fatal alert (RFC 5246 §7.2) sent in the clear, as long as the handshake is not complete.
pub(super) fn fatal_alert(datagram: &[u8]) -> Option<u8> {
    records(datagram).find_map(|record| match (record.content, record.epoch, record.body) {
        (CONTENT_ALERT, 0, [ALERT_FATAL, description]) => Some(*description),
        _ => None,
    })
}

/// Whether a datagram is DTLS at all (RFC 7983).
pub(super) fn is_dtls(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| (20..64).contains(first))
}

/// RTP and RTCP (RFC 7983).
fn is_media(first: u8) -> bool {
    (128..192).contains(&first)
}

/// Type, message sequence and fragment offset of a handshake message.
type MessageId = (u8, u16, u32);

/// A datagram of the handshake.
struct Handshake {
    /// Messages in the clear, at least one.
    messages: Vec<MessageId>,
    /// There are records under keys behind them (the client's Finished).
    under_keys: bool,
}

impl Handshake {
    /// `None` for what holds anything else, holds no message in the clear, or is cut short.
    fn parse(datagram: &[u8]) -> Option<Self> {
        let mut handshake = Self { messages: Vec::new(), under_keys: false };
        let mut covered = 0;
        for record in records(datagram) {
            covered += RECORD_HEADER_LEN + record.body.len();
            match (record.content, record.epoch) {
                (CONTENT_HANDSHAKE, 0) => handshake.messages.extend(messages_of(record.body)?),
                (CONTENT_HANDSHAKE | CONTENT_CHANGE_CIPHER_SPEC, _) => handshake.under_keys = true,
                _ => return None,
            }
        }
        (covered == datagram.len() && !handshake.messages.is_empty()).then_some(handshake)
    }
}

/// Messages in the body of one handshake record: usually one, but RFC 6347 §4.2.3 allows more.
fn messages_of(mut body: &[u8]) -> Option<Vec<MessageId>> {
    let mut messages = Vec::new();
    while !body.is_empty() {
        let header = body.get(..MESSAGE_HEADER_LEN)?;
        let u24 = |at: usize| u32::from_be_bytes([0, header[at], header[at + 1], header[at + 2]]);
        messages.push((header[0], u16::from_be_bytes([header[4], header[5]]), u24(6)));
        body = body.get(MESSAGE_HEADER_LEN + u24(9) as usize..)?;
    }
    Some(messages)
}

struct Record<'a> {
    content: u8,
    epoch: u16,
    body: &'a [u8],
}

/// The records of a datagram (RFC 6347 §4.1), up to the first that is cut short.
fn records(mut datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let header = datagram.get(..RECORD_HEADER_LEN)?;
        let len = u16::from_be_bytes([header[11], header[12]]) as usize;
        let body = datagram.get(RECORD_HEADER_LEN..RECORD_HEADER_LEN + len)?;
        let record = Record { content: header[0], epoch: u16::from_be_bytes([header[3], header[4]]), body };
        datagram = &datagram[RECORD_HEADER_LEN + len..];
        Some(record)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(40);
    const HELLO_VERIFY_REQUEST: u8 = 3;
    const SERVER_HELLO: u8 = 2;
    const CERTIFICATE: u8 = 11;

    /// A datagram with one record in the clear that holds one whole handshake message.
    fn datagram(kind: u8, message_seq: u8, record_seq: u8) -> Vec<u8> {
        let body = [kind, 0, 0, 1, 0, message_seq, 0, 0, 0, 0, 0, 1, 0xaa];
        let header = [CONTENT_HANDSHAKE, 254, 255, 0, 0, 0, 0, 0, 0, 0, record_seq, 0, body.len() as u8];
        [&header[..], &body].concat()
    }

    fn outgoing(bytes: &[u8], now: Instant) -> TaggedBytesMut {
        TaggedBytesMut { now, transport: Default::default(), message: bytes.into() }
    }

    fn guard() -> (HandshakeGuard, Instant) {
        let mut guard = HandshakeGuard::new();
        guard.set_round_trip(ROUND_TRIP);
        (guard, Instant::now())
    }

    fn sent(guard: &mut HandshakeGuard) -> Option<Vec<u8>> {
        guard.poll_transmit().map(|sent| sent.message.to_vec())
    }

    #[test]
    fn a_lost_hello_verify_request_leaves_again() {
        let (mut guard, start) = guard();
        assert_eq!(guard.handle_incoming(&datagram(CLIENT_HELLO, 0, 0), start), Verdict::Pass);
        let request = datagram(HELLO_VERIFY_REQUEST, 0, 0);
        guard.handle_outgoing(&outgoing(&request, start));

        let later = start + Duration::from_millis(55);
        assert_eq!(guard.handle_incoming(&datagram(CLIENT_HELLO, 0, 0), later), Verdict::Repeated);
        assert_eq!(sent(&mut guard), Some(request));

        // The hello that carries the cookie is another message: it is news.
        assert_eq!(guard.handle_incoming(&datagram(CLIENT_HELLO, 1, 1), later), Verdict::Pass);
    }

    #[test]
    fn every_hello_reaches_a_core_that_has_not_begun() {
        let (mut guard, start) = guard();
        for attempt in 0..5 {
            assert_eq!(guard.handle_incoming(&datagram(CLIENT_HELLO, 0, attempt), start), Verdict::Pass);
        }
    }

    /// The core answered a hello before the guard watched; its answer is lost, and the repeated hello, news to the guard,
    /// moves nothing in the core.
    #[test]
    fn a_flight_leaves_again_although_something_came() {
        let (mut guard, start) = guard();
        let request = datagram(HELLO_VERIFY_REQUEST, 0, 0);
        guard.handle_outgoing(&outgoing(&request, start));
        assert_eq!(guard.handle_incoming(&datagram(CLIENT_HELLO, 0, 0), start), Verdict::Pass);
        let due = guard.poll_timeout().expect("a timer");
        assert_eq!(due, start + ROUND_TRIP * 3 / 2);
        guard.handle_timeout(due);
        assert_eq!(sent(&mut guard), Some(request));
    }

    #[test]
    fn half_a_flight_does_not_stop_the_timer_and_the_next_flight_sets_it_anew() {
        let (mut guard, start) = guard();
        let hello = datagram(CLIENT_HELLO, 1, 1);
        guard.handle_outgoing(&outgoing(&hello, start));
        guard.handle_timeout(start + ROUND_TRIP * 3 / 2);
        assert_eq!(sent(&mut guard), Some(hello.clone()));
        let answer = start + 2 * ROUND_TRIP;
        assert_eq!(guard.handle_incoming(&datagram(SERVER_HELLO, 1, 1), answer), Verdict::Pass);
        assert!(guard.poll_timeout().is_some());
        assert_eq!(guard.handle_incoming(&datagram(CERTIFICATE, 2, 2), answer), Verdict::Pass);
        guard.handle_outgoing(&outgoing(&datagram(CERTIFICATE, 2, 2), answer));
        assert_eq!(guard.poll_timeout(), Some(answer + ROUND_TRIP * 3 / 2));
    }

    #[test]
    fn a_forger_cannot_make_us_send_without_end() {
        let (mut guard, start) = guard();
        guard.handle_incoming(&datagram(CLIENT_HELLO, 0, 0), start);
        guard.handle_outgoing(&outgoing(&datagram(HELLO_VERIFY_REQUEST, 0, 0), start));
        let mut repeated = 0;
        for number in 1..1000 {
            guard.handle_incoming(&datagram(CLIENT_HELLO, 0, 0), start + number * ROUND_TRIP);
            repeated += std::iter::from_fn(|| guard.poll_transmit()).count();
        }
        assert_eq!(repeated, MAX_REPEATS as usize);
    }
}
