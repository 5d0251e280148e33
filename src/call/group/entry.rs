//! What a roster is made of: signed sentences about who belongs to a group.

use std::fmt;

use crate::base::{GroupId, Person};
use crate::identity::statement::{self, Kind};
use crate::identity::{PersonKey, check_person, clean_name};

/// Which group: its random id and the person who began it. Both are in every signature, so whoever claims to have begun
/// a group of the same id speaks of another group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    pub id: GroupId,
    pub creator: Person,
}

impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?}", self.id, self.creator)
    }
}

/// One signed sentence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    Add(Add),
    Removal(Removal),
    Revocation(Revocation),
}

/// `inviter` says: `person` belongs to the group. The creator's own membership is an add of itself by itself.
///
/// Of two adds of one person by one inviter the greater one counts, in the order of the fields below.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Add {
    pub person: Person,
    /// Who signed it.
    pub inviter: Person,
    /// Counts the person's stays: one more than the last stay that the person or the creator has ended.
    pub generation: u32,
    /// Counts how often this inviter has taken an invitation to this stay back and given it anew.
    pub turn: u32,
    /// The inviter's own `generation` when it signed this; 0 for the creator.
    pub standing: u32,
    /// How the inviter calls the person; [clean](clean_name).
    pub name: Option<String>,
    pub signature: [u8; 64],
}

/// `remover` says: `person` no longer belongs to the group.
///
/// Of the person itself or the creator, it ends all stays up to `generation`, whoever invited. Of an inviter, it takes
/// back its own adds up to (`generation`, `turn`) and touches nobody else's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Removal {
    pub person: Person,
    /// Who signed it.
    pub remover: Person,
    pub generation: u32,
    /// 0 unless the remover is a mere inviter.
    pub turn: u32,
    pub signature: [u8; 64],
}

/// `revoker`, who is `author` or the creator, says: the links that `author` made until then are good no more.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revocation {
    pub author: Person,
    /// Who signed it.
    pub revoker: Person,
    /// By the author's clock, as [`Ticket::made_unix_s`](super::Ticket::made_unix_s).
    pub made_until_unix_s: u64,
    pub signature: [u8; 64],
}

impl Entry {
    /// Whether its signer signed exactly this for exactly this group, and it is about somebody who can be.
    pub fn verify(&self, group: GroupKey) -> bool {
        match self {
            Self::Add(add) => {
                check_person(add.person).is_ok()
                    && statement::verify(add.inviter, Kind::GroupAdd, &add.content(group), &add.signature)
            }
            Self::Removal(removal) => {
                let content = removal.content(group);
                statement::verify(removal.remover, Kind::GroupRemoval, &content, &removal.signature)
            }
            Self::Revocation(revocation) => {
                let content = revocation.content(group);
                statement::verify(revocation.revoker, Kind::GroupRevocation, &content, &revocation.signature)
            }
        }
    }

    /// What a digest of a roster is made of: the signed content does not hold the signature.
    pub(super) fn digested(&self, group: GroupKey) -> Vec<u8> {
        let (kind, content, signature) = match self {
            Self::Add(add) => (0, add.content(group), &add.signature),
            Self::Removal(removal) => (1, removal.content(group), &removal.signature),
            Self::Revocation(revocation) => (2, revocation.content(group), &revocation.signature),
        };
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        [&[kind][..], &length.to_be_bytes(), &content, signature].concat()
    }
}

impl Add {
    /// Signs an add by `me`. The signature is the only field that is not taken as it stands; a name is cleaned.
    pub fn sign(me: &PersonKey, group: GroupKey, add: Self) -> Self {
        let name = add.name.as_deref().and_then(clean_name);
        let mut add = Self { inviter: me.person(), name, ..add };
        add.signature = statement::sign(me, Kind::GroupAdd, &add.content(group));
        add
    }

    fn content(&self, group: GroupKey) -> Vec<u8> {
        let mut bytes = head(group, self.person, self.inviter);
        for number in [self.generation, self.turn, self.standing] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(self.name.as_deref().unwrap_or_default().as_bytes());
        bytes
    }
}

impl Removal {
    /// Signs a removal by `me`.
    pub fn sign(me: &PersonKey, group: GroupKey, person: Person, generation: u32, turn: u32) -> Self {
        let mut removal = Self { person, remover: me.person(), generation, turn, signature: [0; 64] };
        removal.signature = statement::sign(me, Kind::GroupRemoval, &removal.content(group));
        removal
    }

    fn content(&self, group: GroupKey) -> Vec<u8> {
        let mut bytes = head(group, self.person, self.remover);
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.turn.to_be_bytes());
        bytes
    }
}

impl Revocation {
    /// Signs a revocation by `me` of the links that `author` made.
    pub fn sign(me: &PersonKey, group: GroupKey, author: Person, made_until_unix_s: u64) -> Self {
        let mut revocation = Self { author, revoker: me.person(), made_until_unix_s, signature: [0; 64] };
        revocation.signature = statement::sign(me, Kind::GroupRevocation, &revocation.content(group));
        revocation
    }

    fn content(&self, group: GroupKey) -> Vec<u8> {
        let mut bytes = head(group, self.author, self.revoker);
        bytes.extend_from_slice(&self.made_until_unix_s.to_be_bytes());
        bytes
    }
}

impl fmt::Debug for Add {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { person, inviter, generation, turn, standing, .. } = self;
        write!(f, "{inviter:?}#{standing} adds {person:?}#{generation}.{turn}")
    }
}

impl fmt::Debug for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { person, remover, generation, turn, .. } = self;
        write!(f, "{remover:?} removes {person:?}#{generation}.{turn}")
    }
}

impl fmt::Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { author, revoker, made_until_unix_s, .. } = self;
        write!(f, "{revoker:?} revokes links of {author:?} until {made_until_unix_s}")
    }
}

/// The group, whom it is about, and who signs: all of fixed length.
fn head(group: GroupKey, about: Person, signer: Person) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + 3 * 32 + 12 + 64);
    bytes.extend_from_slice(group.id.as_bytes());
    bytes.extend_from_slice(group.creator.as_bytes());
    bytes.extend_from_slice(about.as_bytes());
    bytes.extend_from_slice(signer.as_bytes());
    bytes
}
