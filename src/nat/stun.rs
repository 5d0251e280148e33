//! STUN messages as bytes (RFC 8489), over the codec of `rtc-stun`.

use std::net::{IpAddr, SocketAddr};

use rtc::crypto;
use rtc::stun::addr::MappedAddress;
use rtc::stun::attributes::{
    ATTR_CHANGE_REQUEST, ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_NONCE, ATTR_OTHER_ADDRESS,
    ATTR_PASSWORD_ALGORITHM, ATTR_PRIORITY, ATTR_REALM, ATTR_RESPONSE_ORIGIN, ATTR_RESPONSE_PORT, ATTR_USE_CANDIDATE,
    ATTR_USER_HASH, ATTR_USERNAME, ATTR_XORMAPPED_ADDRESS, AttrType, RawAttribute,
};
use rtc::stun::error_code::{CODE_UNKNOWN_ATTRIBUTE, ErrorCodeAttribute};
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::integrity::MessageIntegrity;
pub use rtc::stun::message::TransactionId;
use rtc::stun::message::{
    BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, CLASS_INDICATION, Getter, METHOD_BINDING, Message, MessageType,
    Setter, is_stun_message,
};
use rtc::stun::uattrs::UnknownAttributes;
use rtc::stun::xoraddr::XorMappedAddress;

/// Unknown attributes that a refusal names; more would make it longer than the request is worth.
const MAX_UNKNOWN: usize = 4;
/// Longest STUN message that is looked at, bytes: RFC 8489 §6.1 keeps them within one datagram of the path MTU.
const MAX_MESSAGE_LEN: usize = 1500;
/// Bytes of XOR-MAPPED-ADDRESS before the address itself (RFC 8489 §14.2): reserved, family, port.
const ADDRESS_PREFIX_LEN: usize = 4;
const FAMILY_IPV4: u8 = 1;
const FAMILY_IPV6: u8 = 2;
/// Flags of CHANGE-REQUEST (RFC 5780 §7.2).
const CHANGE_IP: u8 = 0x04;
const CHANGE_PORT: u8 = 0x02;
/// Attributes of the comprehension-required range (RFC 8489 §14) that a Binding request may carry. The ones without
/// meaning for a server without credentials are passed over.
const UNDERSTOOD: &[AttrType] = &[
    ATTR_CHANGE_REQUEST,
    ATTR_RESPONSE_PORT,
    ATTR_USERNAME,
    ATTR_USER_HASH,
    ATTR_REALM,
    ATTR_NONCE,
    ATTR_PASSWORD_ALGORITHM,
    ATTR_MESSAGE_INTEGRITY,
    ATTR_MESSAGE_INTEGRITY_SHA256,
    ATTR_PRIORITY,
    ATTR_USE_CANDIDATE,
];

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

/// From where, and where to, a Binding request wants its response: RFC 5780 §7.2 and §7.5. The default is an ordinary
/// response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wishes {
    /// From the server's other IP address.
    pub change_ip: bool,
    /// From the server's other port.
    pub change_port: bool,
    /// To this port of the asker's IP address instead of the one the request came from.
    pub response_port: Option<u16>,
}

/// What a Binding response says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Where the request came from, as the server saw it.
    pub mapped: SocketAddr,
    /// The address from which the server answers a request to change IP and port (RFC 5780 §7.4); absent on servers
    /// that have one address.
    pub other: Option<SocketAddr>,
}

/// A Binding request as a server reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub transaction: TransactionId,
    pub wishes: Wishes,
    /// Attributes that must be understood and are not.
    pub unknown: Vec<u16>,
}

/// A Binding request (RFC 8489 §3). `transaction` must be unpredictable: it is all that ties the response to us.
pub fn binding_request(transaction: [u8; 12]) -> Vec<u8> {
    binding_request_with(transaction, Wishes::default())
}

/// A Binding request with wishes about its response.
pub fn binding_request_with(transaction: [u8; 12], wishes: Wishes) -> Vec<u8> {
    let Wishes { change_ip, change_port, response_port } = wishes;
    let mut attributes: Vec<Box<dyn Setter>> = Vec::new();
    if change_ip || change_port {
        let flags = (u8::from(change_ip) * CHANGE_IP) | (u8::from(change_port) * CHANGE_PORT);
        attributes.push(raw(ATTR_CHANGE_REQUEST, vec![0, 0, 0, flags]));
    }
    if let Some([high, low]) = response_port.map(u16::to_be_bytes) {
        attributes.push(raw(ATTR_RESPONSE_PORT, vec![high, low, 0, 0]));
    }
    attributes.push(Box::new(FINGERPRINT));
    encode(BINDING_REQUEST, TransactionId(transaction), &attributes).unwrap_or_default()
}

/// A Binding indication (RFC 8445 §11): says that we are there, and is not answered.
pub fn binding_indication(transaction: [u8; 12]) -> Vec<u8> {
    let kind = MessageType { method: METHOD_BINDING, class: CLASS_INDICATION };
    let attributes: [Box<dyn Setter>; 1] = [Box::new(FINGERPRINT)];
    encode(kind, TransactionId(transaction), &attributes).unwrap_or_default()
}

/// Our address as the server saw it, from its response to the request of the same `transaction`.
pub fn mapped_address(response: &[u8], transaction: [u8; 12]) -> Result<SocketAddr, StunError> {
    binding(response, transaction).map(|binding| binding.mapped)
}

/// What the server says in its response to the request of the same `transaction`.
pub fn binding(response: &[u8], transaction: [u8; 12]) -> Result<Binding, StunError> {
    let message = decode(response)?;
    if message.transaction_id.0 != transaction {
        return Err(StunError::Unrelated);
    }
    match message.typ {
        BINDING_SUCCESS => Ok(Binding { mapped: read_address(&message)?, other: read_other_address(&message) }),
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

/// Reads a Binding request; `None` for everything else.
pub(super) fn question(datagram: &[u8]) -> Option<Question> {
    let message = decode(datagram).ok().filter(|message| message.typ == BINDING_REQUEST)?;
    let value = |attribute| message.get(attribute).ok();
    let flags = value(ATTR_CHANGE_REQUEST).and_then(|value| value.get(3).copied()).unwrap_or(0);
    let response_port =
        value(ATTR_RESPONSE_PORT).and_then(|value| Some(u16::from_be_bytes([*value.first()?, *value.get(1)?])));
    let attributes = message.attributes.0.iter().map(|attribute| attribute.typ);
    let unknown = attributes.filter(|kind| kind.required() && !UNDERSTOOD.contains(kind)).map(|kind| kind.value());
    Some(Question {
        transaction: message.transaction_id,
        wishes: Wishes {
            change_ip: flags & CHANGE_IP != 0,
            change_port: flags & CHANGE_PORT != 0,
            response_port: response_port.filter(|port| *port != 0),
        },
        unknown: unknown.take(MAX_UNKNOWN).collect(),
    })
}

/// A response that tells who asked, from where it is sent, and where else this server answers (RFC 5780 §6.1).
pub(super) fn success(
    transaction: TransactionId,
    seen: SocketAddr,
    origin: SocketAddr,
    other: Option<SocketAddr>,
) -> Option<Vec<u8>> {
    let mut attributes: Vec<Box<dyn Setter>> = vec![
        Box::new(XorMappedAddress { ip: seen.ip(), port: seen.port() }),
        raw(ATTR_RESPONSE_ORIGIN, plain_address(origin)?),
    ];
    if let Some(other) = other {
        attributes.push(raw(ATTR_OTHER_ADDRESS, plain_address(other)?));
    }
    attributes.push(Box::new(FINGERPRINT));
    encode(BINDING_SUCCESS, transaction, &attributes)
}

/// The refusal of attributes that are not understood or cannot be served (RFC 8489 §6.3.1, error 420).
pub(super) fn refusal(transaction: TransactionId, unknown: &[u16]) -> Option<Vec<u8>> {
    let unknown = UnknownAttributes(unknown.iter().copied().map(AttrType).collect());
    encode(BINDING_ERROR, transaction, &[Box::new(CODE_UNKNOWN_ATTRIBUTE), Box::new(unknown), Box::new(FINGERPRINT)])
}

/// The attribute that a server without a second address refuses.
pub(super) const CHANGE_REQUEST: u16 = ATTR_CHANGE_REQUEST.0;

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

/// Whether the datagram is a STUN indication of any method (RFC 8489 §5: only the low class bit set).
pub fn is_indication(datagram: &[u8]) -> bool {
    is_stun(datagram) && matches!(datagram, [high, low, ..] if high & 0x01 == 0 && low & 0x10 != 0)
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

fn read_address(message: &Message) -> Result<SocketAddr, StunError> {
    check_address(message, ATTR_XORMAPPED_ADDRESS).ok_or(StunError::NoAddress)?;
    let mut address = XorMappedAddress::default();
    address.get_from(message).map_err(|_| StunError::NoAddress)?;
    usable(address.ip, address.port).ok_or(StunError::NoAddress)
}

/// OTHER-ADDRESS, which is not obscured (RFC 5780 §7.4). One that nobody could answer from is none.
fn read_other_address(message: &Message) -> Option<SocketAddr> {
    check_address(message, ATTR_OTHER_ADDRESS)?;
    let mut address = MappedAddress::default();
    address.get_from_as(message, ATTR_OTHER_ADDRESS).ok()?;
    usable(address.ip, address.port)
}

/// The codec pads a short address with zeros, so the length is checked here first.
fn check_address(message: &Message, attribute: AttrType) -> Option<()> {
    let value = message.get(attribute).ok()?;
    let address_len = match value.get(1) {
        Some(&FAMILY_IPV4) => 4,
        Some(&FAMILY_IPV6) => 16,
        _ => return None,
    };
    (value.len() == ADDRESS_PREFIX_LEN + address_len).then_some(())
}

fn usable(ip: IpAddr, port: u16) -> Option<SocketAddr> {
    (port != 0 && !ip.is_unspecified() && !ip.is_multicast()).then(|| SocketAddr::new(ip, port))
}

/// The value of an address attribute that is not obscured (RFC 8489 §14.1).
fn plain_address(address: SocketAddr) -> Option<Vec<u8>> {
    let mut message = Message::new();
    MappedAddress { ip: address.ip(), port: address.port() }.add_to_as(&mut message, ATTR_OTHER_ADDRESS).ok()?;
    message.get(ATTR_OTHER_ADDRESS).ok()
}

fn raw(kind: AttrType, value: Vec<u8>) -> Box<dyn Setter> {
    Box::new(RawAttribute { typ: kind, length: 0, value })
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

    #[test]
    fn wishes_are_read_as_they_were_written() {
        for (change_ip, change_port, response_port) in
            [(false, false, None), (true, false, None), (false, true, Some(9)), (true, true, Some(65_535))]
        {
            let wishes = Wishes { change_ip, change_port, response_port };
            let read = question(&binding_request_with(TRANSACTION, wishes)).unwrap();
            assert_eq!((read.wishes, read.transaction.0, read.unknown), (wishes, TRANSACTION, vec![]));
        }
        // RFC 5780 §7.2: the flags are the third and second lowest bits.
        let both =
            binding_request_with(TRANSACTION, Wishes { change_ip: true, change_port: true, response_port: None });
        assert_eq!(both[20..28], [0, 3, 0, 4, 0, 0, 0, 6]);
    }

    #[test]
    fn the_other_address_is_read_in_both_families() {
        let (seen, origin): (SocketAddr, SocketAddr) =
            ("192.0.2.1:5".parse().unwrap(), "192.0.2.9:3478".parse().unwrap());
        for other in ["203.0.113.2:3479", "[2001:db8::2]:3479"] {
            let other: SocketAddr = other.parse().unwrap();
            let response = success(TransactionId(TRANSACTION), seen, origin, Some(other)).unwrap();
            assert_eq!(binding(&response, TRANSACTION), Ok(Binding { mapped: seen, other: Some(other) }));
        }
        for nobody in ["203.0.113.2:0", "0.0.0.0:3479", "224.0.0.1:3479"] {
            let response = success(TransactionId(TRANSACTION), seen, origin, nobody.parse().ok()).unwrap();
            assert_eq!(binding(&response, TRANSACTION), Ok(Binding { mapped: seen, other: None }), "{nobody}");
        }
    }

    fn exercise(datagram: &[u8]) {
        let from = "127.0.0.1:9".parse().unwrap();
        let _ = mapped_address(datagram, TRANSACTION);
        let _ = is_authentic_request(datagram, "evtj", RFC_5769_PASSWORD);
        let _ = transaction_id(datagram);
        let _ = question(datagram);
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
