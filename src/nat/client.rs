//! The asking side of STUN over UDP: requests that are sent again until they are answered or given up
//! (RFC 8489 §6.2.1 and §6.3). Time, datagrams and transaction ids enter as parameters.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::stun::{self, Binding, StunError, Wishes};

/// Transactions that may be open at once; a discovery needs fewer than 30.
const MAX_OPEN: usize = 64;

/// When a request is sent again, and when it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retransmission {
    /// Until the first repetition; doubles with each.
    pub rto: Duration,
    /// How often the request is sent in all (the RFC's Rc).
    pub sends: u32,
    /// How long the last one is waited for, in units of the first `rto` (the RFC's Rm).
    pub patience: u32,
}

impl Default for Retransmission {
    /// RFC 8489 §6.2.1: at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s, given up at 39.5 s.
    fn default() -> Self {
        Self { rto: Duration::from_millis(500), sends: 7, patience: 16 }
    }
}

/// What to ask of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Index of the socket that asks.
    pub socket: usize,
    pub to: SocketAddr,
    pub wishes: Wishes,
    /// Index of the socket that the response comes to; another than `socket` with [`Wishes::response_port`]. One on
    /// `socket` is taken, too: servers that do not know the wish answer there.
    pub answered_on: usize,
    pub retransmission: Retransmission,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Answered {
        /// Index of the socket that the response came to.
        socket: usize,
        /// The address that answered: another than was asked only when that was wished for.
        from: SocketAddr,
        binding: Binding,
    },
    /// An error response, with its code (RFC 8489 §14.8).
    Refused(u16),
    /// No response to any of the requests.
    Silence,
}

/// A datagram for the socket of this index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    pub socket: usize,
    pub to: SocketAddr,
    pub payload: Vec<u8>,
}

/// The request was not taken: too many are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many STUN requests at once")]
pub struct TooMany;

/// Open transactions over any number of sockets.
#[derive(Debug, Default)]
pub struct Client {
    open: BTreeMap<[u8; 12], Open>,
    transmits: VecDeque<Transmit>,
    finished: VecDeque<([u8; 12], Outcome)>,
}

#[derive(Debug)]
struct Open {
    question: Question,
    sent: u32,
    /// When to send again or to give up.
    due: Instant,
}

impl Client {
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a request. `transaction` must be unpredictable and new: it is all that ties the response to us.
    ///
    /// # Errors
    /// When 64 are open already.
    pub fn ask(&mut self, transaction: [u8; 12], question: Question, now: Instant) -> Result<(), TooMany> {
        if self.open.len() >= MAX_OPEN {
            return Err(TooMany);
        }
        self.open.insert(transaction, Open { question, sent: 0, due: now });
        self.handle_timeout(now);
        Ok(())
    }

    /// Takes a response to one of our requests. False for every other datagram, and for one that bears our
    /// transaction but comes the wrong way or makes no sense: that is ignored and the right one waited for.
    pub fn handle_input(&mut self, socket: usize, from: SocketAddr, datagram: &[u8]) -> bool {
        let Some(transaction) = stun::transaction_id(datagram).map(|id| id.0) else { return false };
        let Some(Open { question, .. }) = self.open.get(&transaction) else { return false };
        let moves = question.wishes.change_ip || question.wishes.change_port;
        let is_ours = socket == question.answered_on || socket == question.socket;
        if !is_ours || (!moves && from != question.to) {
            return false;
        }
        let outcome = match stun::binding(datagram, transaction) {
            Ok(binding) => Outcome::Answered { socket, from, binding },
            Err(StunError::Refused(code)) => Outcome::Refused(code),
            Err(StunError::Malformed | StunError::Unrelated | StunError::NoAddress) => return false,
        };
        self.open.remove(&transaction);
        self.finished.push_back((transaction, outcome));
        true
    }

    /// Whether this transaction is one of ours and still open: tells our own request when a NAT brings it back.
    pub fn is_open(&self, transaction: [u8; 12]) -> bool {
        self.open.contains_key(&transaction)
    }

    /// Sends again, or gives up, what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due: Vec<[u8; 12]> = self.open.iter().filter(|(_, open)| open.due <= now).map(|(id, _)| *id).collect();
        for transaction in due {
            let Some(open) = self.open.get_mut(&transaction) else { continue };
            let Retransmission { rto, sends, patience } = open.question.retransmission;
            if open.sent >= sends {
                self.open.remove(&transaction);
                self.finished.push_back((transaction, Outcome::Silence));
                continue;
            }
            let payload = stun::binding_request_with(transaction, open.question.wishes);
            self.transmits.push_back(Transmit { socket: open.question.socket, to: open.question.to, payload });
            open.sent += 1;
            let wait = if open.sent < sends {
                rto.saturating_mul(1 << (open.sent - 1).min(16))
            } else {
                rto.saturating_mul(patience)
            };
            open.due = now + wait;
        }
    }

    /// When [`Client::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.open.values().map(|open| open.due).min().map(|due| (due, "STUN request"))
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// A transaction that ended, and how.
    pub fn poll_finished(&mut self) -> Option<([u8; 12], Outcome)> {
        self.finished.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nat::StunService;

    const TRANSACTION: [u8; 12] = *b"twelve bytes";

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn server() -> SocketAddr {
        at("192.0.2.1:3478")
    }

    fn ordinary() -> Question {
        let retransmission = Retransmission::default();
        Question { socket: 0, to: server(), wishes: Wishes::default(), answered_on: 0, retransmission }
    }

    fn asked(question: Question, now: Instant) -> (Client, Vec<u8>) {
        let mut client = Client::new();
        client.ask(TRANSACTION, question, now).unwrap();
        let request = client.poll_transmit().unwrap();
        assert_eq!((request.socket, request.to), (question.socket, question.to));
        (client, request.payload)
    }

    /// What the server says to the request, sent from its endpoint `speaker`.
    fn response(request: &[u8]) -> Vec<u8> {
        let service = StunService::new(vec![server(), at("192.0.2.1:3479"), at("192.0.2.2:3479")]);
        service.answer(0, request, at("198.51.100.7:4000")).unwrap().payload
    }

    #[test]
    fn requests_are_repeated_and_given_up_at_the_times_of_the_rfc() {
        let start = Instant::now();
        let (mut client, first) = asked(ordinary(), start);
        let mut sends = vec![0];
        while let Some((due, _)) = client.poll_timeout() {
            client.handle_timeout(due);
            while let Some(again) = client.poll_transmit() {
                assert_eq!(again.payload, first, "a repetition is the same request");
                sends.push(due.duration_since(start).as_millis());
            }
            if let Some((transaction, outcome)) = client.poll_finished() {
                assert_eq!((transaction, outcome), (TRANSACTION, Outcome::Silence));
                assert_eq!(due.duration_since(start).as_millis(), 39_500);
            }
        }
        assert_eq!(sends, [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
    }

    #[test]
    fn nothing_is_sent_before_it_is_due_nor_after_the_answer() {
        let start = Instant::now();
        let (mut client, request) = asked(ordinary(), start);
        client.handle_timeout(start + Duration::from_millis(499));
        assert_eq!(client.poll_transmit(), None);
        assert!(client.handle_input(0, server(), &response(&request)));
        let (_, outcome) = client.poll_finished().unwrap();
        let Outcome::Answered { from, binding, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(
            (from, binding.mapped, binding.other),
            (server(), at("198.51.100.7:4000"), Some(at("192.0.2.2:3479")))
        );
        assert_eq!(client.poll_timeout(), None);
        assert!(!client.handle_input(0, server(), &response(&request)), "a second copy is nobody's");
    }

    #[test]
    fn a_response_that_comes_the_wrong_way_is_not_believed() {
        let (mut client, request) = asked(ordinary(), Instant::now());
        let answer = response(&request);
        assert!(!client.handle_input(0, at("203.0.113.66:3478"), &answer), "from a stranger");
        assert!(!client.handle_input(1, server(), &answer), "on another socket");
        assert!(!client.handle_input(0, server(), &request), "our own request");
        assert!(!client.handle_input(0, server(), &answer[..answer.len() - 1]), "cut short");
        assert!(client.handle_input(0, server(), &answer));
    }

    #[test]
    fn a_response_from_elsewhere_is_believed_where_it_was_asked_for() {
        let question = Question { wishes: Wishes { change_port: true, ..Wishes::default() }, ..ordinary() };
        let (mut client, request) = asked(question, Instant::now());
        assert!(client.handle_input(0, at("192.0.2.1:3479"), &response(&request)));
        assert!(matches!(client.poll_finished(), Some((_, Outcome::Answered { from, .. })) if from.port() == 3479));

        let question = Question {
            wishes: Wishes { response_port: Some(4001), ..Wishes::default() },
            answered_on: 1,
            ..ordinary()
        };
        for on in [1, 0] {
            let (mut client, request) = asked(question, Instant::now());
            assert!(!client.handle_input(2, server(), &response(&request)));
            assert!(client.handle_input(on, server(), &response(&request)));
            assert!(matches!(client.poll_finished(), Some((_, Outcome::Answered { socket, .. })) if socket == on));
        }
    }

    #[test]
    fn a_refusal_ends_the_transaction() {
        let question = Question { wishes: Wishes { change_ip: true, ..Wishes::default() }, ..ordinary() };
        let (mut client, request) = asked(question, Instant::now());
        // No endpoint of this server has the same port at another address.
        assert!(client.handle_input(0, server(), &response(&request)));
        assert_eq!(client.poll_finished(), Some((TRANSACTION, Outcome::Refused(420))));
    }

    #[test]
    fn the_number_of_open_transactions_is_bounded() {
        let (mut client, now) = (Client::new(), Instant::now());
        for number in 0..64 {
            client.ask([number; 12], ordinary(), now).unwrap();
        }
        assert_eq!(client.ask([99; 12], ordinary(), now), Err(TooMany));
    }

    proptest! {
        #[test]
        fn hostile_datagrams_neither_panic_nor_end_a_transaction(
            noise in prop::collection::vec(any::<u8>(), 0..120),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let (mut client, request) = asked(ordinary(), Instant::now());
            client.handle_input(0, server(), &noise);
            prop_assert!(client.is_open(TRANSACTION));
            let mut mangled = response(&request);
            for (position, value) in edits {
                let position = position.index(mangled.len());
                mangled[position] = value;
            }
            client.handle_input(0, server(), &mangled);
            prop_assert!(client.open.len() + client.finished.len() == 1);
        }
    }
}
