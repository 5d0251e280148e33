//! What each member tells all others each second: whom it hears, and what it could do for others.
//!
//! A report is signed, so that a member may pass it on to somebody whom its author does not reach. It names people by
//! [`Tag`]s, because it goes out every second on every link and a key is four times as long.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::entry::GroupKey;
use super::roster::RosterDigest;
use crate::base::{Person, SpeakerTag};
use crate::identity::PersonKey;
use crate::identity::statement::{self, Kind};

/// Most people of whom a report speaks.
pub const MAX_HEARINGS: usize = 24;
/// Most streams that a report says are carried.
pub const MAX_CARRIED: usize = 64;
/// Most failed helpers that a report names.
pub const MAX_FAILED: usize = 16;
/// Longest age that is told.
pub const MAX_AGE: Duration = Duration::from_millis(100 * (NEVER as u64 - 1));
/// The age that stands for never.
const NEVER: u8 = u8::MAX;

/// A person's short name within one group: no member can be found that has another's, 64 bits are too many to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag([u8; 8]);

impl Tag {
    /// As packets that are passed on name their speaker.
    pub const fn speaker(self) -> SpeakerTag {
        SpeakerTag(self.0)
    }

    pub fn of(group: GroupKey, person: Person) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"twocans group tag 1\0");
        hash.update(group.id.as_bytes());
        hash.update(person.as_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        Self(std::array::from_fn(|at| hash[at]))
    }
}

/// One direction: how the author of a report hears somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// Packets come over the direct link.
    pub direct: bool,
    /// They have done so without a gap for [`Rules::settle`](super::Rules::settle): no helper is needed any more.
    pub steady: bool,
    /// Their packets also, or only, come through this member.
    pub via: Option<Tag>,
    /// Since the last sign of life over the direct link; `None` for never or very long ago.
    pub age: Option<Duration>,
    /// Packets lost on the direct link, in 1/255.
    pub loss: u8,
    /// Round trip over the direct link; 0 while not known.
    pub rtt_ms: u16,
}

/// What a member can do for others, as it measures itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resources {
    /// Uplink that is left beyond the member's own streams, kb/s.
    pub spare_kbps: u16,
    /// Of the core that the voice runs on, percent.
    pub cpu_free: u8,
    /// Streams of others at a time that its owner lets it carry at most; 0 if it will not help.
    pub slots: u8,
    /// Its uplink or its CPU cannot serve everybody: it wants to send one stream and have it fanned out.
    pub weak: bool,
}

/// A member's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub from: Person,
    /// Grows by one; begins at the wall clock in ms, so that it also grows across a crash.
    pub seq: u64,
    /// Of the author's roster.
    pub digest: RosterDigest,
    pub resources: Resources,
    pub hears: BTreeMap<Tag, Heard>,
    /// Streams that the author carries: whose, to whom.
    pub carries: Vec<(Tag, Tag)>,
    /// Helpers that were to bring somebody's stream and did not: whose, which helper.
    pub failed: Vec<(Tag, Tag)>,
    pub signature: [u8; 64],
}

impl Report {
    /// Signs a report by `me`. What is beyond the limits is cut off.
    pub fn sign(me: &PersonKey, group: GroupKey, mut report: Self) -> Self {
        report.from = me.person();
        while report.hears.len() > MAX_HEARINGS {
            report.hears.pop_last();
        }
        report.carries.truncate(MAX_CARRIED);
        report.failed.truncate(MAX_FAILED);
        report.signature = statement::sign(me, Kind::GroupReport, &signed_bytes(group, report.from, &report.content()));
        report
    }

    /// Whether its author signed it for this group.
    pub fn verify(&self, group: GroupKey) -> bool {
        let bytes = signed_bytes(group, self.from, &self.content());
        statement::verify(self.from, Kind::GroupReport, &bytes, &self.signature)
    }

    /// Everything but author and signature, in the one form that there is.
    pub(super) fn content(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.digest);
        let Resources { spare_kbps, cpu_free, slots, weak } = self.resources;
        bytes.extend_from_slice(&spare_kbps.to_be_bytes());
        bytes.extend_from_slice(&[cpu_free, slots, u8::from(weak)]);
        bytes.push(self.hears.len() as u8);
        for (tag, hearing) in &self.hears {
            let Heard { direct, steady, via, age, loss, rtt_ms } = *hearing;
            bytes.extend_from_slice(&tag.0);
            bytes.push(u8::from(direct) | u8::from(steady) << 1 | u8::from(via.is_some()) << 2);
            bytes.extend_from_slice(&[age.map_or(NEVER, tenths), loss]);
            bytes.extend_from_slice(&rtt_ms.to_be_bytes());
            via.iter().for_each(|via| bytes.extend_from_slice(&via.0));
        }
        for pairs in [&self.carries, &self.failed] {
            bytes.push(pairs.len() as u8);
            pairs.iter().for_each(|(a, b)| bytes.extend_from_slice(&[a.0, b.0].concat()));
        }
        bytes
    }

    /// Reads what [`Report::content`] made. `None` for anything else: too long, cut off, in another order.
    pub(super) fn from_content(from: Person, content: &[u8], signature: [u8; 64]) -> Option<Self> {
        let mut rest = Reader(content);
        let seq = u64::from_be_bytes(rest.take()?);
        let digest = rest.take()?;
        let spare_kbps = u16::from_be_bytes(rest.take()?);
        let [cpu_free, slots, weak] = rest.take()?;
        let resources = Resources { spare_kbps, cpu_free, slots, weak: weak == 1 };
        let mut hears = BTreeMap::new();
        for _ in 0..rest.count(MAX_HEARINGS)? {
            let tag = Tag(rest.take()?);
            let [flags, age, loss] = rest.take()?;
            let rtt_ms = u16::from_be_bytes(rest.take()?);
            let via = if flags & 4 != 0 { Some(Tag(rest.take()?)) } else { None };
            let age = (age != NEVER).then(|| Duration::from_millis(100 * u64::from(age)));
            let hearing = Heard { direct: flags & 1 != 0, steady: flags & 2 != 0, via, age, loss, rtt_ms };
            hears.insert(tag, hearing);
        }
        let carries = rest.pairs(MAX_CARRIED)?;
        let failed = rest.pairs(MAX_FAILED)?;
        let report = Self { from, seq, digest, resources, hears, carries, failed, signature };
        // Of several ways to write it down, only ours is signed.
        (rest.0.is_empty() && cpu_free <= 100 && report.content() == content).then_some(report)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn count(&mut self, max: usize) -> Option<usize> {
        let [count] = self.take()?;
        (usize::from(count) <= max).then_some(usize::from(count))
    }

    fn pairs(&mut self, max: usize) -> Option<Vec<(Tag, Tag)>> {
        (0..self.count(max)?).map(|_| Some((Tag(self.take()?), Tag(self.take()?)))).collect()
    }
}

/// Tenths of a second, rounded up: nobody is made younger by passing it on.
fn tenths(age: Duration) -> u8 {
    u8::try_from(age.as_millis().div_ceil(100)).unwrap_or(NEVER)
}

fn signed_bytes(group: GroupKey, from: Person, content: &[u8]) -> Vec<u8> {
    [group.id.as_bytes(), &group.creator.as_bytes()[..], from.as_bytes(), content].concat()
}
