//! STUN messages as bytes (RFC 8489), over the codec of `rtc-stun`.

use std::net::SocketAddr;

use rtc::crypto;
use rtc::stun::attributes::{ATTR_USERNAME, ATTR_XORMAPPED_ADDRESS};
use rtc::stun::error_code::ErrorCodeAttribute;
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::integrity::MessageIntegrity;
pub use rtc::stun::message::TransactionId;
use rtc::stun::message::{
    BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Getter, Message, MessageType, Setter, is_stun_message,
};
use rtc::stun::xoraddr::XorMappedAddress;

/// Longest STUN message that is looked at, bytes: RFC 8489 §6.1 keeps them within one datagram of the path MTU.
const MAX_MESSAGE_LEN: usize = 1500;
/// Bytes of XOR-MAPPED-ADDRESS before the address itself (RFC 8489 §14.2): reserved, family, port.
const ADDRESS_PREFIX_LEN: usize = 4;
const FAMILY_IPV4: u8 = 1;
const FAMILY_IPV6: u8 = 2;

/// Why a datagram is not the STUN response that was hoped for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StunError {
    /// Not STUN, cut short, or too long. Ignore the datagram.
    #[error("not a well-formed STUN message")]
    Malformed,
    /// Well formed, but of another kind or another transaction. Ignore it and keep waiting.
    #[error("a STUN message that answers something else")]
    Unrelated,
    /// The server refused, with the code of RFC 8489 §14.8. Another server may be kinder.
    #[error("the STUN server answered with error {0}")]
    Refused(u16),
    /// A success response without a usable XOR-MAPPED-ADDRESS. Do not use this server.
    #[error("the STUN server's answer holds no address")]
    NoAddress,
}

/// A Binding request (RFC 8489 §3). `transaction` must be unpredictable: it is all that ties the response to us.
pub fn binding_request(transaction: [u8; 12]) -> Vec<u8> {
    encode(BINDING_REQUEST, TransactionId(transaction), &[Box::new(FINGERPRINT)]).unwrap_or_default()
}

/// Our address as the server saw it, from its response to the request of the same `transaction`.
pub fn mapped_address(response: &[u8], transaction: [u8; 12]) -> Result<SocketAddr, StunError> {
    let message = decode(response)?;
    if message.transaction_id.0 != transaction {
        return Err(StunError::Unrelated);
    }
    match message.typ {
        BINDING_SUCCESS => read_address(&message),
        BINDING_ERROR => {
            let mut code = ErrorCodeAttribute::default();
            code.get_from(&message).map_err(|_| StunError::Malformed)?;
            Err(StunError::Refused(code.code.0))
        }
        _ => Err(StunError::Unrelated),
    }
}

/// The STUN server's answer to one datagram that came from `from`; `None` for all that is no Binding request.
///
/// The answer is never much longer than the question, so this cannot be used to amplify a flood.
pub fn answer(request: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let message = decode(request).ok().filter(|message| message.typ == BINDING_REQUEST)?;
    let seen = XorMappedAddress { ip: from.ip(), port: from.port() };
    encode(BINDING_SUCCESS, message.transaction_id, &[Box::new(seen), Box::new(FINGERPRINT)])
}

/// Whether the datagram is a Binding request whose USERNAME names `our_fragment` as its receiver and whose
/// MESSAGE-INTEGRITY was made with `our_password`: a connectivity check by somebody who read our description
/// (RFC 8445 §7.2.2, RFC 8489 §9.1).
pub fn is_authentic_request(datagram: &[u8], our_fragment: &str, our_password: &str) -> bool {
    let Ok(mut message) = decode(datagram) else { return false };
    let names_us = || {
        let username = message.get(ATTR_USERNAME).ok()?;
        username.strip_prefix(our_fragment.as_bytes())?.starts_with(b":").then_some(())
    };
    if message.typ != BINDING_REQUEST || names_us().is_none() {
        return false;
    }
    let Ok(provider) = crypto::default_provider() else { return false };
    MessageIntegrity::check(&mut message, our_password.as_bytes(), provider.crypto()).is_ok()
}

/// Whether the datagram is a STUN message of any kind, as told apart from media by RFC 7983 and the magic cookie.
fn is_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| *first < 4) && is_stun_message(datagram)
}

/// Whether the datagram is a STUN request of any method (RFC 8489 §5: both class bits clear).
pub fn is_request(datagram: &[u8]) -> bool {
    is_stun(datagram) && matches!(datagram, [high, low, ..] if high & 0x01 == 0 && low & 0x10 == 0)
}

/// Whether the datagram is a STUN response, success or error (RFC 8489 §5: the high class bit set).
pub fn is_response(datagram: &[u8]) -> bool {
    is_stun(datagram) && datagram.first().is_some_and(|high| high & 0x01 == 1)
}

/// The transaction a STUN message belongs to; `None` for what is no STUN message.
pub fn transaction_id(datagram: &[u8]) -> Option<TransactionId> {
    if !is_stun(datagram) {
        return None;
    }
    datagram.get(8..20)?.try_into().ok().map(TransactionId)
}

fn encode(kind: MessageType, transaction: TransactionId, attributes: &[Box<dyn Setter + '_>]) -> Option<Vec<u8>> {
    let mut message = Message::new();
    message.build(&[Box::new(kind), Box::new(transaction)]).ok()?;
    for attribute in attributes {
        attribute.add_to(&mut message).ok()?;
    }
    Some(message.raw)
}

fn decode(datagram: &[u8]) -> Result<Message, StunError> {
    if datagram.len() > MAX_MESSAGE_LEN || !is_stun(datagram) {
        return Err(StunError::Malformed);
    }
    let mut message = Message { raw: datagram.to_vec(), ..Message::default() };
    message.decode().map_err(|_| StunError::Malformed)?;
    Ok(message)
}

/// The codec pads a short address with zeros, so the length is checked here first.
fn read_address(message: &Message) -> Result<SocketAddr, StunError> {
    let value = message.get(ATTR_XORMAPPED_ADDRESS).map_err(|_| StunError::NoAddress)?;
    let address_len = match value.get(1) {
        Some(&FAMILY_IPV4) => 4,
        Some(&FAMILY_IPV6) => 16,
        _ => return Err(StunError::NoAddress),
    };
    if value.len() != ADDRESS_PREFIX_LEN + address_len {
        return Err(StunError::NoAddress);
    }
    let mut address = XorMappedAddress::default();
    address.get_from(message).map_err(|_| StunError::NoAddress)?;
    if address.port == 0 || address.ip.is_unspecified() || address.ip.is_multicast() {
        return Err(StunError::NoAddress);
    }
    Ok(SocketAddr::new(address.ip, address.port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRANSACTION: [u8; 12] = *b"twelve bytes";
    /// The key, the message and the address of RFC 5769 §2.1 and §2.2.
    const RFC_5769_PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    fn rfc_5769_request() -> Vec<u8> {
        data_encoding::HEXLOWER
            .decode(
                b"000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff\
                  80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249\
                  c1b571a280280004e57a3bcf",
            )
            .unwrap()
    }

    #[test]
    fn the_answer_names_the_asker() {
        for from in ["192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853", "127.0.0.1:1"] {
            let from: SocketAddr = from.parse().unwrap();
            let response = answer(&binding_request(TRANSACTION), from).unwrap();
            assert_eq!(mapped_address(&response, TRANSACTION), Ok(from));
            assert_eq!(mapped_address(&response, [0; 12]), Err(StunError::Unrelated));
        }
    }

    #[test]
    fn published_vectors_are_read_as_published() {
        let ipv4 = data_encoding::HEXLOWER
            .decode(
                b"0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643\
                  000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96",
            )
            .unwrap();
        let transaction: [u8; 12] = ipv4[8..20].try_into().unwrap();
        assert_eq!(mapped_address(&ipv4, transaction), Ok("192.0.2.1:32853".parse().unwrap()));
    }

    #[test]
    fn a_check_needs_the_name_and_the_password() {
        let check = rfc_5769_request();
        assert!(is_authentic_request(&check, "evtj", RFC_5769_PASSWORD));
        assert!(!is_authentic_request(&check, "evt", RFC_5769_PASSWORD));
        assert!(!is_authentic_request(&check, "evtj", "another password"));
        assert!(!is_authentic_request(&binding_request(TRANSACTION), "evtj", RFC_5769_PASSWORD));
        for position in 0..check.len() {
            let mut forged = check.clone();
            forged[position] ^= 1;
            // What follows MESSAGE-INTEGRITY (the FINGERPRINT, 8 bytes) is not covered by it.
            let covered = position < check.len() - 8;
            assert!(!(covered && is_authentic_request(&forged, "evtj", RFC_5769_PASSWORD)), "byte {position}");
        }
    }

    #[test]
    fn bad_addresses_are_refused() {
        let response = |value: &[u8]| {
            let mut message = Message::new();
            message.build(&[Box::new(BINDING_SUCCESS), Box::new(TransactionId(TRANSACTION))]).unwrap();
            message.add(ATTR_XORMAPPED_ADDRESS, value);
            mapped_address(&message.raw, TRANSACTION)
        };
        let short_ipv4 = [0, 1, 0x11, 0x22, 9];
        let ipv4_in_ipv6 = [0, 2, 0x11, 0x22, 9, 9, 9, 9];
        let unknown_family = [0, 7, 0x11, 0x22, 9, 9, 9, 9];
        let unspecified = [0, 1, 0x11, 0x22, 0x21, 0x12, 0xa4, 0x42];
        for value in [&[][..], &short_ipv4, &ipv4_in_ipv6, &unknown_family, &unspecified] {
            assert_eq!(response(value), Err(StunError::NoAddress), "{value:?}");
        }
    }

    #[test]
    fn a_refusal_carries_its_code() {
        let mut message = Message::new();
        message
            .build(&[
                Box::new(BINDING_ERROR),
                Box::new(TransactionId(TRANSACTION)),
                Box::new(rtc::stun::error_code::CODE_TRY_ALTERNATE),
            ])
            .unwrap();
        assert!(matches!(mapped_address(&message.raw, TRANSACTION), Err(StunError::Refused(_))));
    }

    fn exercise(datagram: &[u8]) {
        let from = "127.0.0.1:9".parse().unwrap();
        let _ = mapped_address(datagram, TRANSACTION);
        let _ = is_authentic_request(datagram, "evtj", RFC_5769_PASSWORD);
        let _ = transaction_id(datagram);
        if let Some(response) = answer(datagram, from) {
            assert!(response.len() <= 44);
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(datagram in prop::collection::vec(any::<u8>(), 0..200)) {
            exercise(&datagram);
        }

        #[test]
        fn mangled_messages_never_panic(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut check = rfc_5769_request();
            for (position, value) in edits {
                let position = position.index(check.len());
                check[position] = value;
            }
            exercise(&check);
            exercise(&check[..cut.index(check.len())]);
            // With the length field made to match, the cut reaches the attribute parser.
            let kept = 20 + cut.index(check.len() - 20) / 4 * 4;
            check[2..4].copy_from_slice(&((kept - 20) as u16).to_be_bytes());
            exercise(&check[..kept]);
        }
    }
}
