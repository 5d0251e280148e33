//! The group call in which we are outlives the program: whoever crashes comes back without being asked anew.

use bytes::{Buf as _, BufMut as _};

use crate::base::{GroupId, Person};
use crate::call::group::{Body, Entry, GroupKey, GroupMessage, Roster, roster_messages};
use crate::engine::UnfinishedGroup;
use crate::engine::clock::unix_now_s;
use crate::engine::desk::Desk;
use crate::store;

/// A call that nobody has gone on with for so long is over: nobody sits there any more.
const FORGOTTEN_AFTER_S: i64 = 12 * 60 * 60;

/// What was found at the start.
pub struct Unfinished {
    pub key: GroupKey,
    pub entries: Vec<Entry>,
    pub shown: UnfinishedGroup,
}

impl Desk {
    /// Was the last group call left?
    pub(in super::super) async fn recall_unfinished_group(&mut self) {
        match self.store.unfinished_group().await {
            Ok(Some(kept)) if unix_now_s().saturating_sub(kept.last_seen_unix_s) < FORGOTTEN_AFTER_S => {
                self.groups.unfinished = self.read(&kept);
            }
            Ok(_) => {}
            Err(why) => tracing::warn!(%why, "whether there was a group call is not known"),
        }
    }

    fn read(&self, kept: &store::Unfinished) -> Option<Unfinished> {
        let (key, entries) = unpack(&kept.roster)?;
        let mut roster = Roster::new(key);
        roster.merge(&entries).ok()?;
        if !roster.is_member(self.me.person()) {
            return None;
        }
        let name = |person: Person, said: Option<&String>| {
            self.contact(person).and_then(|contact| contact.name.clone()).or_else(|| said.cloned())
        };
        let others = roster.members().filter(|member| member.person != self.me.person());
        let members = others.map(|member| (member.person, name(member.person, member.name.as_ref()))).collect();
        let shown = UnfinishedGroup { group: key.id, members, last_seen_unix_s: kept.last_seen_unix_s };
        Some(Unfinished { key, entries, shown })
    }

    /// While we are in.
    pub(super) async fn keep_roster(&mut self, id: GroupId) {
        let Some(group) = self.groups.all.get(&id).filter(|group| group.is_joined()) else { return };
        let roster = pack(group.machine.group(), &group.machine.roster().entries(None));
        let kept = store::Unfinished { group: id, roster, last_seen_unix_s: unix_now_s() };
        if let Err(why) = self.store.set_unfinished_group(Some(kept)).await {
            tracing::warn!(%why, "after a crash we shall not find back into the group call");
        }
    }

    /// It was left.
    pub(super) async fn keep_nothing(&mut self, id: GroupId) {
        if self.groups.unfinished.as_ref().is_some_and(|unfinished| unfinished.key.id != id) {
            return;
        }
        self.groups.unfinished = None;
        if let Err(why) = self.store.set_unfinished_group(None).await {
            tracing::warn!(%why, "a group call that is over may be offered again");
        }
    }
}

/// Each message with its length in front.
fn pack(group: GroupKey, entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in roster_messages(group, entries) {
        let message = message.encode();
        bytes.put_u32(message.len() as u32);
        bytes.extend_from_slice(&message);
    }
    bytes
}

fn unpack(mut bytes: &[u8]) -> Option<(GroupKey, Vec<Entry>)> {
    let (mut key, mut entries) = (None, Vec::new());
    while bytes.len() >= 4 {
        let length = bytes.get_u32() as usize;
        let (message, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        let message = GroupMessage::decode(message).ok()?;
        key = Some(message.group);
        match message.body {
            Body::Roster(more) => entries.extend(more),
            Body::Invite(_) | Body::Ring(_) | Body::Knock { .. } | Body::Refused(_) => return None,
            Body::Declined | Body::Reports(_) => return None,
        }
    }
    Some((key?, entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::PersonKey;

    #[test]
    fn what_is_kept_is_the_roster() {
        let me = PersonKey::from_seed(&[1; 32]);
        let group = GroupKey { id: GroupId::from_bytes([7; 16]), creator: me.person() };
        let mut roster = Roster::found(&me, group, Some("Ada"));
        for seed in 2..60 {
            let person = PersonKey::from_seed(&[seed; 32]).person();
            let add = roster.add(&me, person, Some(&"x".repeat(60)), 100);
            let Ok(add) = add else { break };
            roster.merge(&[Entry::Add(add)]).unwrap();
        }
        let bytes = pack(group, &roster.entries(None));
        assert!(bytes.len() > 4 * 1024);
        let (key, entries) = unpack(&bytes).unwrap();
        let mut read = Roster::new(key);
        read.merge(&entries).unwrap();
        assert_eq!((key, read.digest()), (group, roster.digest()));
        assert_eq!(unpack(&bytes[..bytes.len() - 1]).map(|_| ()), None);
        assert_eq!(unpack(b"").map(|_| ()), None);
    }
}
