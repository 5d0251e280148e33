//! A client's request as it is read before the server crate sees it: who asks for what, towards whom.

use std::net::SocketAddr;

use turn_server_proto::stun::types::attribute::{ErrorCode, Username};
use turn_server_proto::stun::types::message::{
    IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageClass, MessageWrite, MessageWriteExt,
    MessageWriteVec,
};
use turn_server_proto::stun::types::prelude::{Attribute, AttributeFromRaw, AttributeStaticType};
use turn_server_proto::types::attribute::{AdditionalAddressFamily, ChannelNumber, XorPeerAddress};
use turn_server_proto::types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};

use super::REALM;

/// Peers that one request may name; ICE agents name one.
const MAX_PEERS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Allocate,
    Refresh,
    CreatePermission,
    ChannelBind,
}

/// A well-formed TURN request (RFC 8656 §5).
pub(super) struct Request<'a> {
    message: Message<'a>,
    pub kind: Kind,
    pub username: Option<String>,
    pub peers: Vec<SocketAddr>,
    pub channel: Option<u16>,
    /// A second relayed address in one allocation (RFC 8656 §7.2).
    pub wants_two_families: bool,
}

/// What a request was signed with, to sign the answer.
pub(super) struct Signature {
    key: IntegrityKey,
    algorithm: IntegrityAlgorithm,
}

impl<'a> Request<'a> {
    /// `None` for what is malformed, no request, or a request that a media relay has no use for (TCP allocations,
    /// RFC 6062).
    pub fn read(packet: &'a [u8]) -> Option<Self> {
        let message = Message::from_bytes(packet).ok().filter(|message| message.has_class(MessageClass::Request))?;
        let kind = match message.method() {
            ALLOCATE => Kind::Allocate,
            REFRESH => Kind::Refresh,
            CREATE_PERMISSION => Kind::CreatePermission,
            CHANNEL_BIND => Kind::ChannelBind,
            _ => return None,
        };
        let mut peers = Vec::new();
        for (_, attribute) in message.iter_attributes().filter(|(_, raw)| raw.get_type() == XorPeerAddress::TYPE) {
            // One that cannot be read could be read by somebody else.
            peers.push(XorPeerAddress::from_raw(attribute).ok()?.addr(message.transaction_id()));
        }
        if peers.len() > MAX_PEERS {
            return None;
        }
        let username = message.attribute::<Username>().ok().map(|name| name.username().to_owned());
        let channel = message.attribute::<ChannelNumber>().ok().map(|number| number.channel());
        let wants_two_families = message.has_attribute(AdditionalAddressFamily::TYPE);
        Some(Self { message, kind, username, peers, channel, wants_two_families })
    }

    /// Whether the request was made with the password that belongs to its name (RFC 8489 §9.2.4).
    pub fn verify(&self, password: &str) -> Option<Signature> {
        let username = self.username.clone()?;
        let credentials = LongTermKeyCredentials::new(username, password.to_owned(), REALM.to_owned());
        let signed_with = |algorithm| {
            let key = credentials.make_key(algorithm);
            self.message.validate_integrity_with_key(&key).is_ok().then_some(Signature { key, algorithm })
        };
        signed_with(IntegrityAlgorithm::Sha1).or_else(|| signed_with(IntegrityAlgorithm::Sha256))
    }

    /// An error response (RFC 8656 §19). It is signed where the request was, so that the client believes it.
    pub fn error(&self, code: u16, signature: Option<&Signature>) -> Option<Vec<u8>> {
        let mut response = Message::builder_error(&self.message, MessageWriteVec::new());
        response.add_attribute(&ErrorCode::builder(code).build().ok()?).ok()?;
        if let Some(Signature { key, algorithm }) = signature {
            response.add_message_integrity_with_key(key, *algorithm).ok()?;
        }
        response.add_fingerprint().ok()?;
        Some(response.finish())
    }
}
