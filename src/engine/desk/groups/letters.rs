//! What is said about groups outside of any call: knocking with a link, declining, being told that one is out.

use std::time::{Duration, Instant};

use crate::base::{GroupId, Person, Rate, RateTable};
use crate::call::group::{Body, GroupMessage, TicketRefused};
use crate::call::{GroupLetter, Message};
use crate::engine::desk::Desk;
use crate::engine::session::{Letter, Verdict};

/// Of one person: so many at once, then one per interval.
const LETTERS_OF_ONE: Rate = Rate::new(20, Duration::from_secs(1));
/// Of everybody together.
const LETTERS: Rate = Rate::new(200, Duration::from_millis(50));

/// Letters in and out.
pub(super) struct Post {
    of_one: RateTable<Person>,
    of_all: RateTable<()>,
    /// Whose letter is being read, and our reply to it.
    reading: Option<(Person, Option<Vec<u8>>)>,
}

impl Default for Post {
    fn default() -> Self {
        Self { of_one: RateTable::new(LETTERS_OF_ONE), of_all: RateTable::new(LETTERS), reading: None }
    }
}

impl Desk {
    /// A letter in a session of its own, whose sender is authenticated.
    pub(in super::super) fn letter_came(&mut self, letter: &GroupLetter, now: Instant) -> Verdict {
        let from = letter.from;
        let post = &mut self.groups.post;
        let heard = !self.blocked.contains(&from) && post.of_one.take(&from, now) && post.of_all.take(&(), now);
        let Some(message) = GroupMessage::decode(&letter.message).ok().filter(|_| heard) else {
            return Verdict::Ignore;
        };
        let id = message.group.id;
        post.reading = Some((from, None));
        match self.groups.all.get_mut(&id) {
            Some(group) => {
                if let Err(why) = group.machine.handle_message(from, message, now) {
                    tracing::debug!(%why, ?from, "a letter is not heeded");
                }
                while let Some(said) = self.groups.all.get_mut(&id).and_then(|group| group.machine.poll_transmit()) {
                    self.group_says(id, said, now);
                }
            }
            None if matches!(message.body, Body::Knock { .. }) => {
                let body = Body::Refused(TicketRefused::NotIn);
                let reply = GroupMessage { group: message.group, body }.encode();
                self.groups.post.reading = Some((from, Some(reply)));
            }
            None => {}
        }
        let reply = self.groups.post.reading.take().and_then(|(_, reply)| reply).unwrap_or_default();
        let message = Message::Group(GroupLetter { from: self.me.person(), message: reply });
        Verdict::Reply { message, keep: false }
    }

    /// A letter of ours; the reply to the one that is being read goes back with it.
    pub(super) fn post_letter(&mut self, id: GroupId, to: Person, message: Vec<u8>) {
        if let Some((from, reply @ None)) = &mut self.groups.post.reading
            && *from == to
        {
            *reply = Some(message);
            return;
        }
        let Some(rendezvous) = self.rendezvous.clone() else { return };
        let letter = Letter {
            rendezvous,
            me: self.me.clone(),
            to: self.link_of(to),
            group: id,
            letter: GroupLetter { from: self.me.person(), message },
            desk: self.inbox.clone(),
        };
        self.signalling.spawn(letter.deliver());
    }

    pub(in super::super) fn letter_answered(
        &mut self,
        id: GroupId,
        to: Person,
        reply: Option<GroupLetter>,
        now: Instant,
    ) {
        let Some(group) = self.groups.all.get_mut(&id) else { return };
        match reply.map(|reply| GroupMessage::decode(&reply.message)) {
            Some(Ok(message)) => {
                if let Err(why) = group.machine.handle_message(to, message, now) {
                    tracing::debug!(%why, ?to, "the reply to a letter is not heeded");
                }
            }
            // To anything but a knock there is nothing to say.
            Some(Err(_)) | None => group.machine.knock_failed(to, now),
        }
    }
}
