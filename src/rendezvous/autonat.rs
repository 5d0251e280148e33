//! AutoNAT v2 (libp2p specs, `autonat/autonat-v2.md`): a node asks another one to dial it, and learns whether strangers
//! reach it. The messages, each after its length.
//!
//! ```text
//!   asker ──/libp2p/autonat/2/dial-request──▶ server     DialRequest: addresses, nonce
//!   asker ◀──/libp2p/autonat/2/dial-back───── server     on a new connection from a new port: DialBack, the nonce
//!         ──────────────────────────────────▶            DialBackResponse
//!         ◀── on the first stream ───────────            DialResponse
//! ```
//! libp2p's own implementation is not used, for what it does not let us choose: it asks one server at random about each
//! address, once and never again, and lets the whole swarm believe that one. Its server would dial wherever it is told,
//! after 30 to 100 kB of ballast from the asker; ours dials nobody but the asker's own address, so no ballast is needed,
//! and who is asked for it goes away.

use libp2p::Multiaddr;
use prost::Message;

/// Longest question that is read, bytes: what the specification's own implementation sends at most.
pub(super) const MAX_QUESTION: usize = 4102;
/// Longest of the other messages.
pub(super) const MAX_ANSWER: usize = 64;
/// Addresses of a question that are looked at.
const MAX_ADDRESSES: usize = 8;

/// How a dial went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Reached,
    NotReached,
    /// The server did not try.
    Refused,
}

/// Dial one of these, and say this number there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) addresses: Vec<Multiaddr>,
    pub(super) nonce: u64,
}

impl Question {
    pub(super) fn encode(&self) -> Vec<u8> {
        let addrs = self.addresses.iter().map(Multiaddr::to_vec).collect();
        let request = DialRequest { addrs, nonce: self.nonce };
        Envelope { body: Some(Body::Request(request)) }.encode_length_delimited_to_vec()
    }

    /// Reads the message without its length. What is no address is left out.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let Body::Request(DialRequest { addrs, nonce }) = Envelope::decode(bytes).ok()?.body? else { return None };
        let addresses = addrs.into_iter().take(MAX_ADDRESSES).filter_map(|bytes| Multiaddr::try_from(bytes).ok());
        Some(Self { addresses: addresses.collect(), nonce })
    }
}

impl Answer {
    pub(super) fn encode(self) -> Vec<u8> {
        let (status, dial_status) = match self {
            Self::Reached => (STATUS_OK, DIAL_OK),
            Self::NotReached => (STATUS_OK, DIAL_ERROR),
            Self::Refused => (STATUS_REFUSED, 0),
        };
        let response = DialResponse { status, index: 0, dial_status };
        Envelope { body: Some(Body::Response(response)) }.encode_length_delimited_to_vec()
    }

    /// Reads the message without its length; `None` if it is no answer to a question with one address.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let Body::Response(response) = Envelope::decode(bytes).ok()?.body? else { return None };
        match response {
            DialResponse { status: STATUS_OK, index: 0, dial_status: DIAL_OK } => Some(Self::Reached),
            DialResponse { status: STATUS_OK, index: 0, dial_status: DIAL_ERROR | DIAL_BACK_ERROR } => {
                Some(Self::NotReached)
            }
            DialResponse { status: STATUS_OK, .. } => None,
            DialResponse { .. } => Some(Self::Refused),
        }
    }
}

/// What the server says on the new connection.
pub(super) fn nonce(nonce: u64) -> Vec<u8> {
    DialBack { nonce }.encode_length_delimited_to_vec()
}

pub(super) fn read_nonce(bytes: &[u8]) -> Option<u64> {
    DialBack::decode(bytes).ok().map(|message| message.nonce)
}

/// What the asker says to it.
pub(super) fn thanks() -> Vec<u8> {
    DialBackResponse { status: 0 }.encode_length_delimited_to_vec()
}

pub(super) fn is_thanks(bytes: &[u8]) -> bool {
    DialBackResponse::decode(bytes).is_ok_and(|message| message.status == 0)
}

const STATUS_REFUSED: i32 = 101;
const STATUS_OK: i32 = 200;
const DIAL_ERROR: i32 = 100;
const DIAL_BACK_ERROR: i32 = 101;
const DIAL_OK: i32 = 200;

#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(oneof = "Body", tags = "1, 2, 3, 4")]
    body: Option<Body>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Body {
    #[prost(message, tag = "1")]
    Request(DialRequest),
    #[prost(message, tag = "2")]
    Response(DialResponse),
    /// The server wants ballast first.
    #[prost(message, tag = "3")]
    DataRequest(Nothing),
    #[prost(message, tag = "4")]
    DataResponse(Nothing),
}

#[derive(Clone, PartialEq, Message)]
struct DialRequest {
    #[prost(bytes = "vec", repeated, tag = "1")]
    addrs: Vec<Vec<u8>>,
    #[prost(fixed64, tag = "2")]
    nonce: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct DialResponse {
    #[prost(int32, tag = "1")]
    status: i32,
    #[prost(uint32, tag = "2")]
    index: u32,
    #[prost(int32, tag = "3")]
    dial_status: i32,
}

/// Nobody here reads what is in it.
#[derive(Clone, Copy, PartialEq, Message)]
struct Nothing {}

#[derive(Clone, Copy, PartialEq, Message)]
struct DialBack {
    #[prost(fixed64, tag = "1")]
    nonce: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct DialBackResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Without the length, which is one byte here.
    fn bare(message: &[u8]) -> &[u8] {
        assert_eq!(usize::from(message[0]), message.len() - 1);
        &message[1..]
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        let address: Multiaddr = "/ip4/9.1.1.1/udp/5000/quic-v1".parse().unwrap();
        let question = Question { addresses: vec![address], nonce: 0x0102_0304_0506_0708 };
        assert_eq!(Question::decode(bare(&question.encode())), Some(question.clone()));
        for answer in [Answer::Reached, Answer::NotReached, Answer::Refused] {
            assert_eq!(Answer::decode(bare(&answer.encode())), Some(answer));
            assert_eq!(Question::decode(bare(&answer.encode())), None);
        }
        assert_eq!(Answer::decode(bare(&question.encode())), None);
        assert_eq!(read_nonce(bare(&nonce(7))), Some(7));
        assert!(is_thanks(bare(&thanks())));
    }

    #[test]
    fn the_wire_is_the_specifications() {
        // By hand, from autonat-v2.proto: field 1 (message): field 2 (fixed64).
        let question = Question { addresses: vec![], nonce: 1 };
        assert_eq!(question.encode(), [11, 0x0a, 9, 0x11, 1, 0, 0, 0, 0, 0, 0, 0]);
        // Field 2 (message): field 1 and field 3 (varint 200).
        assert_eq!(Answer::Reached.encode(), [8, 0x12, 6, 0x08, 0xc8, 1, 0x18, 0xc8, 1]);
        // A demand for ballast (field 3) is no answer.
        assert_eq!(Answer::decode(&[0x1a, 4, 0x10, 0xb0, 0xea, 1]), None);
        assert_eq!(Answer::decode(&[0x12, 5, 0x08, 0xc8, 1, 0x18, 0x64]), Some(Answer::NotReached));
        assert_eq!(Answer::decode(&[0x12, 2, 0x08, 0x64]), Some(Answer::Refused), "rejected");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let question = Question::decode(&bytes);
            prop_assert!(question.is_none_or(|question| question.addresses.len() <= MAX_ADDRESSES));
            let _ = (Answer::decode(&bytes), read_nonce(&bytes), is_thanks(&bytes));
        }
    }
}
