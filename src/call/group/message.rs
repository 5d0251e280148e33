//! What two members' programs say to each other about a group.

use prost::Message as _;

use super::entry::{Add, Entry, GroupKey, Removal, Revocation};
use super::invitation::{Ticket, TicketRefused};
use super::report::Report;
use super::wire;
use crate::base::{GroupId, Person};
use crate::identity::clean_name;

/// Longest group message, bytes: fits into a frame of the signalling session with an INVITE around it.
pub const MAX_GROUP_MESSAGE_BYTES: usize = 14 * 1024;
/// Most entries in one message.
pub const MAX_ENTRIES: usize = 128;
/// Entries of a message are cut off beyond this, bytes.
const MAX_ENTRIES_BYTES: usize = 12 * 1024;
/// Most people whom a [`Hello`] says are here.
pub const MAX_HERE: usize = 16;
/// Most reports in one message.
pub const MAX_REPORTS: usize = 24;

/// A message about one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMessage {
    pub group: GroupKey,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Member: come in. The receiver's human is asked, and reads who is there first.
    Invite(Hello),
    /// Member to member: let there be a link between us. No human is asked.
    Ring(Hello),
    /// Bearer of a link, to a member: let me in.
    Knock { ticket: Ticket, name: Option<String> },
    /// The reply to [`Body::Knock`] when nothing comes of it; otherwise it is [`Body::Invite`].
    Refused(TicketRefused),
    /// The invited human does not want to.
    Declined,
    /// Entries that the receiver may lack.
    Roster(Vec<Entry>),
    /// The sender's report, and those of others whom the receiver does not hear.
    Reports(Vec<Report>),
}

/// How a member presents itself and the group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hello {
    /// The roster, the receiver's (in [`Body::Invite`]) or the sender's chain to the creator first.
    pub entries: Vec<Entry>,
    /// Members that the sender believes to be in the call now.
    pub here: Vec<Person>,
}

/// Why some bytes are no group message. Drop it; the session or link itself is fine.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupMessageError {
    /// A later version's message. Ignore it.
    #[error("a kind of group message that this version does not know")]
    UnknownKind,
    #[error("{bytes} bytes are too long for a group message (at most {MAX_GROUP_MESSAGE_BYTES})")]
    TooLong { bytes: usize },
    #[error("damaged group message: {0}")]
    Garbled(#[from] prost::DecodeError),
    #[error("a group message has an impossible {field}")]
    BadField { field: &'static str },
}

impl GroupMessage {
    /// At most [`MAX_GROUP_MESSAGE_BYTES`] for everything that this house sends.
    pub fn encode(&self) -> Vec<u8> {
        let kind = match &self.body {
            Body::Invite(hello) => wire::Kind::Invite(hello.to_wire()),
            Body::Ring(hello) => wire::Kind::Ring(hello.to_wire()),
            Body::Knock { ticket, name } => wire::Kind::Knock(wire::Knock {
                ticket: Some(ticket.to_wire()),
                name: name.clone().unwrap_or_default(),
            }),
            Body::Refused(why) => wire::Kind::Refused(refusal_number(*why)),
            Body::Declined => wire::Kind::Declined(wire::Empty {}),
            Body::Roster(entries) => {
                wire::Kind::Roster(wire::Entries { entries: entries.iter().map(to_wire).collect() })
            }
            Body::Reports(reports) => {
                wire::Kind::Reports(wire::Reports { reports: reports.iter().map(Report::to_wire).collect() })
            }
        };
        let (id, creator) = (self.group.id.as_bytes().to_vec(), self.group.creator.as_bytes().to_vec());
        wire::Envelope { group: id, creator, kind: Some(kind) }.encode_to_vec()
    }

    /// Reads one message. Never panics; every field of the result is within its limits. Signatures, but for a ticket's,
    /// are another matter: [`Roster::merge`](super::Roster::merge), [`Report::verify`].
    pub fn decode(bytes: &[u8]) -> Result<Self, GroupMessageError> {
        if bytes.len() > MAX_GROUP_MESSAGE_BYTES {
            return Err(GroupMessageError::TooLong { bytes: bytes.len() });
        }
        let envelope = wire::Envelope::decode(bytes)?;
        let group = GroupKey {
            id: GroupId::from_bytes(exactly(&envelope.group, "group")?),
            creator: person(&envelope.creator, "creator")?,
        };
        let body = match envelope.kind.ok_or(GroupMessageError::UnknownKind)? {
            wire::Kind::Invite(hello) => Body::Invite(Hello::from_wire(hello)?),
            wire::Kind::Ring(hello) => Body::Ring(Hello::from_wire(hello)?),
            wire::Kind::Knock(knock) => {
                let ticket = knock.ticket.and_then(Ticket::from_wire);
                let ticket = ticket.ok_or(GroupMessageError::BadField { field: "ticket" })?;
                Body::Knock { ticket, name: clean_name(&knock.name) }
            }
            wire::Kind::Refused(number) => Body::Refused(refusal_of(number)),
            wire::Kind::Declined(_) => Body::Declined,
            wire::Kind::Roster(wire::Entries { entries }) => Body::Roster(from_wire(entries)?),
            wire::Kind::Reports(wire::Reports { reports }) => {
                check(reports.len() <= MAX_REPORTS, "list of reports")?;
                Body::Reports(reports.iter().map(Report::from_wire).collect::<Result<_, _>>()?)
            }
        };
        Ok(Self { group, body })
    }
}

impl Body {
    /// For traces.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Invite(_) => "INVITE",
            Self::Ring(_) => "RING",
            Self::Knock { .. } => "KNOCK",
            Self::Refused(_) => "REFUSED",
            Self::Declined => "DECLINED",
            Self::Roster(_) => "ROSTER",
            Self::Reports(_) => "REPORTS",
        }
    }
}

/// As many messages as it takes to send these entries.
pub fn roster_messages(group: GroupKey, entries: &[Entry]) -> Vec<GroupMessage> {
    let mut messages = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(how_many_fit(rest).max(1));
        messages.push(GroupMessage { group, body: Body::Roster(now.to_vec()) });
        rest = later;
    }
    messages
}

/// How many of the first entries fit into one message.
pub(super) fn how_many_fit(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        // With the field's tag and length.
        bytes += to_wire(entry).encoded_len() + 4;
        bytes <= MAX_ENTRIES_BYTES
    };
    entries.iter().take(MAX_ENTRIES).take_while(fits).count()
}

impl Hello {
    fn to_wire(&self) -> wire::Hello {
        let fit = how_many_fit(&self.entries);
        wire::Hello {
            entries: self.entries.iter().take(fit).map(to_wire).collect(),
            here: self.here.iter().take(MAX_HERE).map(|person| person.as_bytes().to_vec()).collect(),
        }
    }

    fn from_wire(hello: wire::Hello) -> Result<Self, GroupMessageError> {
        check(hello.here.len() <= MAX_HERE, "list of people")?;
        let here = hello.here.iter().map(|bytes| person(bytes, "person")).collect::<Result<_, _>>()?;
        Ok(Self { entries: from_wire(hello.entries)?, here })
    }
}

impl Report {
    fn to_wire(&self) -> wire::Report {
        wire::Report {
            from: self.from.as_bytes().to_vec(),
            content: self.content(),
            signature: self.signature.to_vec(),
        }
    }

    fn from_wire(report: &wire::Report) -> Result<Self, GroupMessageError> {
        let from = person(&report.from, "person")?;
        let signature = exactly(&report.signature, "signature")?;
        Self::from_content(from, &report.content, signature).ok_or(GroupMessageError::BadField { field: "report" })
    }
}

fn to_wire(entry: &Entry) -> wire::Entry {
    use wire::EntryKind;
    let bytes = |person: &Person| person.as_bytes().to_vec();
    let kind = match entry {
        Entry::Add(add) => EntryKind::Add(wire::Add {
            person: bytes(&add.person),
            inviter: bytes(&add.inviter),
            generation: add.generation,
            turn: add.turn,
            standing: add.standing,
            name: add.name.clone().unwrap_or_default(),
            signature: add.signature.to_vec(),
        }),
        Entry::Removal(removal) => EntryKind::Removal(wire::Removal {
            person: bytes(&removal.person),
            remover: bytes(&removal.remover),
            generation: removal.generation,
            turn: removal.turn,
            signature: removal.signature.to_vec(),
        }),
        Entry::Revocation(revocation) => EntryKind::Revocation(wire::Revocation {
            author: bytes(&revocation.author),
            revoker: bytes(&revocation.revoker),
            made_until_unix_s: revocation.made_until_unix_s,
            signature: revocation.signature.to_vec(),
        }),
    };
    wire::Entry { kind: Some(kind) }
}

/// Entries of a kind that a later version invented are skipped.
fn from_wire(entries: Vec<wire::Entry>) -> Result<Vec<Entry>, GroupMessageError> {
    check(entries.len() <= MAX_ENTRIES, "list of entries")?;
    entries.into_iter().filter_map(|entry| entry.kind).map(entry_from_wire).collect()
}

fn entry_from_wire(kind: wire::EntryKind) -> Result<Entry, GroupMessageError> {
    use wire::EntryKind;
    Ok(match kind {
        EntryKind::Add(add) => {
            let name = clean_name(&add.name);
            // A name is signed as it stands, so it has to be clean from the start.
            check(name.as_deref().unwrap_or_default() == add.name, "name")?;
            Entry::Add(Add {
                person: person(&add.person, "person")?,
                inviter: person(&add.inviter, "inviter")?,
                generation: add.generation,
                turn: add.turn,
                standing: add.standing,
                name,
                signature: exactly(&add.signature, "signature")?,
            })
        }
        EntryKind::Removal(removal) => Entry::Removal(Removal {
            person: person(&removal.person, "person")?,
            remover: person(&removal.remover, "remover")?,
            generation: removal.generation,
            turn: removal.turn,
            signature: exactly(&removal.signature, "signature")?,
        }),
        EntryKind::Revocation(revocation) => Entry::Revocation(Revocation {
            author: person(&revocation.author, "author")?,
            revoker: person(&revocation.revoker, "revoker")?,
            made_until_unix_s: revocation.made_until_unix_s,
            signature: exactly(&revocation.signature, "signature")?,
        }),
    })
}

fn person(bytes: &[u8], field: &'static str) -> Result<Person, GroupMessageError> {
    exactly(bytes, field).map(Person::from_bytes)
}

fn exactly<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N], GroupMessageError> {
    bytes.try_into().map_err(|_| GroupMessageError::BadField { field })
}

fn check(fine: bool, field: &'static str) -> Result<(), GroupMessageError> {
    fine.then_some(()).ok_or(GroupMessageError::BadField { field })
}

/// Numbers of refusals on the wire; as the field numbers, they are for ever.
const REFUSALS: [(TicketRefused, u32); 8] = [
    (TicketRefused::Expired, 1),
    (TicketRefused::Revoked, 2),
    (TicketRefused::AuthorIsGone, 3),
    (TicketRefused::OtherGroup, 4),
    (TicketRefused::Full, 5),
    (TicketRefused::Banned, 6),
    (TicketRefused::TooMany, 7),
    (TicketRefused::NotIn, 8),
];

fn refusal_number(why: TicketRefused) -> u32 {
    REFUSALS.iter().find(|(known, _)| *known == why).map_or(4, |(_, number)| *number)
}

/// A refusal that a later version invented says no more than that the link does not fit.
fn refusal_of(number: u32) -> TicketRefused {
    REFUSALS.iter().find(|(_, known)| *known == number).map_or(TicketRefused::OtherGroup, |(why, _)| *why)
}
