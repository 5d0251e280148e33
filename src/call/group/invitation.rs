//! Links with which people join a group: `twocans:join/…`.
//!
//! A link holds a [`Ticket`]: a member's signed word that whoever shows it may come in, until it expires. It makes nobody
//! a member by itself. The bearer shows it to any member that can be reached ([`Ticket::ring`] names some, the author
//! first), and that member adds the bearer to the roster with its own signature, as any member may invite. So the link
//! works while its author is offline, expiry is judged once, by the clock of the member who lets the bearer in, and the
//! roster needs no second kind of add.
//!
//! A ticket is good no more when it has expired, when its author or the creator has revoked it (an entry of the roster,
//! so it travels with it), or when its author is no longer a member. A member who has not heard of a revocation yet may
//! still let somebody in: the creator, and that member, can remove them.
//!
//! ```text
//! bearer                         a member
//!   │ KNOCK {ticket, name} ────────▶ │  checks the ticket, adds the bearer
//!   │ ◀──────────── INVITE {roster}  │  or REFUSED {why}
//!   │ the human reads who is in      │
//!   │ RING {roster} to everybody     │
//! ```

use std::fmt;
use std::str::FromStr;

use prost::Message as _;

use super::entry::GroupKey;
use super::roster::Roster;
use super::wire;
use crate::base::{GroupId, Person, z_base_32};
use crate::identity::statement::{self, Kind};
use crate::identity::{PersonKey, check_person, clean_name};

/// People whom a ticket names to be rung, the author not counted.
pub const MAX_RING: usize = 4;
/// Longest time for which a ticket is good, seconds: 30 days.
pub const MAX_VALIDITY_S: u64 = 30 * 24 * 60 * 60;
/// Longest text that is read as a link to join, bytes.
pub const MAX_JOIN_LINK_BYTES: usize = 2048;

const SCHEME: &str = "twocans:";
const BODY: &str = "join/";

/// A member's word that whoever shows it may join. See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub group: GroupKey,
    /// Who made and signed it.
    pub author: Person,
    /// How the author is called, [cleaned](clean_name), to be shown to whoever got the link.
    pub name: Option<String>,
    /// By the author's clock; revocations name links by it.
    pub made_unix_s: u64,
    /// When it is good no more.
    pub expires_unix_s: u64,
    /// Further members that may be rung, at most [`MAX_RING`].
    pub ring: Vec<Person>,
    pub signature: [u8; 64],
}

/// Why a text is not a link to join a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseTicketError {
    /// Something else was pasted, perhaps a person's link.
    #[error("this is not a link to a group: such a link starts with \"twocans:join/\"")]
    NotAJoinLink,
    /// Something else was pasted behind it.
    #[error("this is too long for a link to a group")]
    TooLong,
    /// Copy the whole link again.
    #[error("the link is damaged: copy the whole of it again")]
    Damaged,
}

/// Why a member does not let the bearer of a ticket in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum TicketRefused {
    /// Ask for a new link.
    #[error("this link has expired; ask for a new one")]
    Expired,
    /// Ask for a new link.
    #[error("this link has been withdrawn; ask for a new one")]
    Revoked,
    /// Ask somebody who is in the group.
    #[error("whoever made this link is no longer in the group; ask somebody who is")]
    AuthorIsGone,
    /// The link is for another group than the one it was shown to.
    #[error("this link is for another group")]
    OtherGroup,
    /// Wait until somebody leaves.
    #[error("the group is full; somebody has to leave first")]
    Full,
    /// Ask the person who began the group.
    #[error("you have been removed from this group; ask the person who began it")]
    Banned,
    /// Wait a minute.
    #[error("too many people want to join at once; try again in a minute")]
    TooMany,
    /// Whoever was asked has left the group.
    #[error("they have left the group; ask somebody else who is in it")]
    NotIn,
}

impl Ticket {
    /// Signs a ticket by `me`, good for at most [`MAX_VALIDITY_S`]; of `ring`, the first [`MAX_RING`] are named.
    pub fn sign(
        me: &PersonKey,
        group: GroupKey,
        name: Option<&str>,
        ring: &[Person],
        made_unix_s: u64,
        expires_unix_s: u64,
    ) -> Self {
        let mut ticket = Self {
            group,
            author: me.person(),
            name: name.and_then(clean_name),
            made_unix_s,
            expires_unix_s: expires_unix_s.min(made_unix_s.saturating_add(MAX_VALIDITY_S)),
            ring: ring.iter().copied().filter(|person| *person != me.person()).take(MAX_RING).collect(),
            signature: [0; 64],
        };
        ticket.signature = statement::sign(me, Kind::GroupLink, &ticket.content());
        ticket
    }

    /// Whom the bearer tries, one after another.
    pub fn whom_to_ring(&self) -> impl Iterator<Item = Person> {
        std::iter::once(self.author).chain(self.ring.iter().copied())
    }

    /// Whether a member with this roster lets the bearer in now.
    pub fn check(&self, roster: &Roster, unix_s: u64) -> Result<(), TicketRefused> {
        if self.group != roster.group() {
            return Err(TicketRefused::OtherGroup);
        }
        if !roster.is_member(self.author) {
            return Err(TicketRefused::AuthorIsGone);
        }
        if roster.is_revoked(self) {
            return Err(TicketRefused::Revoked);
        }
        if unix_s >= self.expires_unix_s {
            return Err(TicketRefused::Expired);
        }
        Ok(())
    }

    pub(super) fn to_wire(&self) -> wire::Ticket {
        wire::Ticket {
            group: self.group.id.as_bytes().to_vec(),
            creator: self.group.creator.as_bytes().to_vec(),
            author: self.author.as_bytes().to_vec(),
            name: self.name.clone().unwrap_or_default(),
            made_unix_s: self.made_unix_s,
            expires_unix_s: self.expires_unix_s,
            ring: self.ring.iter().map(|person| person.as_bytes().to_vec()).collect(),
            signature: self.signature.to_vec(),
        }
    }

    /// `None` for anything that the author did not sign.
    pub(super) fn from_wire(ticket: wire::Ticket) -> Option<Self> {
        let person = |bytes: &[u8]| Some(Person::from_bytes(bytes.try_into().ok()?));
        let name = clean_name(&ticket.name);
        let ticket = Self {
            group: GroupKey {
                id: GroupId::from_bytes(ticket.group.as_slice().try_into().ok()?),
                creator: person(&ticket.creator)?,
            },
            author: person(&ticket.author)?,
            name: (name.as_deref().unwrap_or_default() == ticket.name).then_some(name)?,
            made_unix_s: ticket.made_unix_s,
            expires_unix_s: ticket.expires_unix_s,
            ring: (ticket.ring.len() <= MAX_RING)
                .then(|| ticket.ring.iter().map(|bytes| person(bytes)).collect::<Option<_>>())??,
            signature: ticket.signature.as_slice().try_into().ok()?,
        };
        let sane = check_person(ticket.group.creator).is_ok()
            && ticket.expires_unix_s.saturating_sub(ticket.made_unix_s) <= MAX_VALIDITY_S;
        let signed = || statement::verify(ticket.author, Kind::GroupLink, &ticket.content(), &ticket.signature);
        (sane && signed()).then_some(ticket)
    }

    /// Fields of fixed length, then the list with its length, then the name.
    fn content(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(self.group.id.as_bytes());
        bytes.extend_from_slice(self.group.creator.as_bytes());
        bytes.extend_from_slice(self.author.as_bytes());
        bytes.extend_from_slice(&self.made_unix_s.to_be_bytes());
        bytes.extend_from_slice(&self.expires_unix_s.to_be_bytes());
        bytes.push(u8::try_from(self.ring.len()).unwrap_or(u8::MAX));
        self.ring.iter().for_each(|person| bytes.extend_from_slice(person.as_bytes()));
        bytes.extend_from_slice(self.name.as_deref().unwrap_or_default().as_bytes());
        bytes
    }
}

/// `twocans:join/` and the ticket in z-base-32, which survives being dictated in upper case.
impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{BODY}{}", z_base_32().encode(&self.to_wire().encode_to_vec()))
    }
}

/// Reads a link without regard to case, white space around it, or the `//` that some programs insert.
impl FromStr for Ticket {
    type Err = ParseTicketError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.len() > MAX_JOIN_LINK_BYTES {
            return Err(ParseTicketError::TooLong);
        }
        let rest = after(text, SCHEME).ok_or(ParseTicketError::NotAJoinLink)?;
        let body = after(rest.trim_start_matches('/'), BODY).ok_or(ParseTicketError::NotAJoinLink)?;
        let bytes = z_base_32().decode(body.trim_end_matches('/').as_bytes()).map_err(|_| ParseTicketError::Damaged)?;
        let ticket = wire::Ticket::decode(bytes.as_slice()).map_err(|_| ParseTicketError::Damaged)?;
        Self::from_wire(ticket).ok_or(ParseTicketError::Damaged)
    }
}

/// What follows `head`, which is compared without regard to case.
fn after<'a>(text: &'a str, head: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(head.len())?;
    start.eq_ignore_ascii_case(head).then_some(rest)
}
