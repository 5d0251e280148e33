//! The window's part in group calls: what it does about them and remembers of them, and no call state of its own.

use std::time::{Duration, Instant};

use eframe::egui::Context;

use super::app::{App, Notice, Offer};
use super::view::{Gaps, Helpers, OURS, People, Speaking, Talk, TalkId, Talks, Tile, gaps, name_in, tiles};
use super::words;
use crate::base::{CallId, GroupId, Person};
use crate::engine::{
    CommandId, CommandKind, GroupCommand, GroupEvent, LeftReason, Levels, Reply, Snapshot, SnapshotGroup,
    SnapshotMember,
};
use crate::identity::Link;

/// A link to join is good for so long.
const LINK_VALID: Duration = Duration::from_secs(24 * 60 * 60);

/// What the window remembers of group calls.
pub struct Groups {
    pub speaking: Speaking,
    helpers: Helpers,
    /// How the group is that we are in, or were in a moment ago: when it has ended, the snapshot knows no more.
    last: Option<SnapshotGroup>,
    /// A call that is being answered, to become a part of this call when it is connected.
    adding: Option<(CallId, TalkId)>,
    /// A link that is being made.
    making_link: Option<CommandId>,
    /// What became of the links of the open invitation panel.
    pub about_links: Option<String>,
    /// Who can be chosen in it.
    pub choice: People,
    /// Its search field is to have the keyboard.
    pub focus_choice: bool,
    /// How loud somebody is, dBFS; tests set it.
    pub loudness: fn(&Levels, Option<&SnapshotMember>) -> f32,
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            speaking: Speaking::default(),
            helpers: Helpers::default(),
            last: None,
            adding: None,
            making_link: None,
            about_links: None,
            choice: People::default(),
            focus_choice: false,
            loudness: measured,
        }
    }
}

fn measured(levels: &Levels, member: Option<&SnapshotMember>) -> f32 {
    match member {
        None => levels.mic_dbfs(),
        Some(member) => member.meter.map_or(f32::NEG_INFINITY, |meter| levels.voice_dbfs(meter)),
    }
}

impl App {
    pub fn group(&mut self, wish: GroupCommand) -> Option<CommandId> {
        self.send(CommandKind::Group(wish))
    }

    /// Rings all of them into a new call; one person alone is called as ever.
    pub fn call_all(&mut self, mut people: Vec<Link>) {
        match (people.pop(), people.is_empty()) {
            (None, _) => {}
            (Some(only), true) => self.dial(only),
            (Some(last), false) => {
                people.push(last);
                self.start_group(people, Vec::new());
            }
        }
    }

    /// The calls run on and become part of it.
    pub fn start_group(&mut self, people: Vec<Link>, calls: Vec<CallId>) {
        self.notice = None;
        self.go_to_call();
        self.group(GroupCommand::Start { people, calls });
    }

    /// Asks to be let in.
    pub fn join(&mut self, link: String) {
        self.notice = None;
        self.search.clear();
        self.go_to_call();
        self.group(GroupCommand::Join { link });
    }

    pub fn resume_group(&mut self) {
        self.go_to_call();
        self.group(GroupCommand::Resume);
    }

    /// Shows the running call, whichever it is.
    pub fn go_to_call(&mut self) {
        self.choose(None);
        self.at_call = true;
    }

    /// Goes to whoever rings.
    pub fn take(&mut self, talk: Talk<'_>) {
        self.send(talk.id().take());
        self.choose(talk.peer());
        self.at_call = true;
    }

    /// Answers a call and, when it is connected, makes it a part of the present one.
    pub fn take_in(&mut self, call: CallId, present: TalkId) {
        self.groups.adding = Some((call, present));
        self.send(TalkId::Call(call).take());
        self.at_call = true;
    }

    /// The one call goes on hold, and the other goes on.
    pub fn swap(&mut self, present: Option<TalkId>, other: TalkId) {
        if let Some(present) = present {
            self.send(present.set_held(true));
        }
        self.send(other.set_held(false));
    }

    pub fn make_link(&mut self, group: GroupId) {
        self.groups.making_link = self.group(GroupCommand::MakeLink { group, valid: LINK_VALID });
    }

    pub fn revoke_links(&mut self, group: GroupId) {
        self.group(GroupCommand::RevokeLinks { group });
        self.groups.about_links = Some(words::LINKS_REVOKED.into());
    }

    /// To be told how every command ended. Whether it was one of ours that is not to be told elsewhere.
    pub fn link_made(&mut self, ctx: &Context, id: CommandId, reply: &Reply) {
        if let Reply::GroupLink(link) = reply
            && self.groups.making_link.take_if(|asked| *asked == id).is_some()
        {
            ctx.copy_text(link.clone());
            self.groups.about_links = Some(words::link_copied_until(&(self.clock)().time_now()));
        }
    }

    /// To be told in each pass.
    pub fn look_at_groups(&mut self, now: &Snapshot) {
        let present = now.groups.iter().find(|group| !group.held).or(now.groups.first());
        if let Some(group) = present {
            if self.groups.last.as_ref().is_none_or(|last| last.group != group.group) {
                self.groups.helpers = Helpers::default();
            }
            self.groups.last = Some(group.clone());
        }
    }

    /// A call between two is connected: it may be one that was answered to be taken into another.
    pub fn connected(&mut self, call: CallId) {
        let Some((_, present)) = self.groups.adding.take_if(|(adding, _)| *adding == call) else { return };
        match present {
            TalkId::Call(present) => self.start_group(Vec::new(), vec![present, call]),
            TalkId::Group(group) => drop(self.group(GroupCommand::Merge { group, call })),
        }
    }

    /// It will not be connected any more.
    pub fn call_is_over(&mut self, call: CallId) {
        self.groups.adding.take_if(|(adding, _)| *adding == call);
    }

    pub fn heard_of_group(&mut self, now: &Snapshot, group: GroupId, event: &GroupEvent) {
        let known = now.groups.iter().find(|known| known.group == group).or(self.groups.last.as_ref());
        let known = known.filter(|known| known.group == group).cloned();
        let name = |person: Person| known.as_ref().map_or_else(|| person.abbreviated(), |known| name_in(known, person));
        match event {
            GroupEvent::Invited { .. } => self.notice = None,
            GroupEvent::Started | GroupEvent::Joined => self.groups.helpers = Helpers::default(),
            GroupEvent::Hearing { from, to, path } => self.groups.helpers.hear(*from, *to, *path),
            // What we did ourselves needs no telling, and who leaves is seen to leave.
            GroupEvent::Removed { person, by: Some(by) }
                if by != person && Some(*by) != now.me && Some(*person) != now.me =>
            {
                self.notice = Some(Notice::calm(words::removed_by(&name(*by), &name(*person))));
            }
            GroupEvent::NotComing { person, why } => {
                let (text, again) = words::not_coming(&name(*person), *why);
                let offer = again.then(|| Offer::InviteAgain(group, link_of(now, *person)));
                self.notice = Some(Notice { text, detail: None, worry: again, offer });
            }
            GroupEvent::Ended { reason, talked } => self.group_is_over(now, group, known.as_ref(), *reason, *talked),
            GroupEvent::Added { .. }
            | GroupEvent::Here { .. }
            | GroupEvent::Gone { .. }
            | GroupEvent::Removed { .. } => {}
        }
    }

    fn group_is_over(
        &mut self,
        now: &Snapshot,
        group: GroupId,
        known: Option<&SnapshotGroup>,
        reason: LeftReason,
        talked: Duration,
    ) {
        self.groups.last.take_if(|last| last.group == group);
        self.groups.adding.take_if(|(_, present)| *present == TalkId::Group(group));
        let others = Talks::of(now).current.is_some_and(|talk| talk.id() != TalkId::Group(group));
        self.at_call &= others;
        self.list_history();
        let by = match reason {
            LeftReason::Removed { by } => known.map(|known| name_in(known, by)),
            LeftReason::Ours | LeftReason::Unreachable | LeftReason::Refused(_) | LeftReason::NoAnswer => None,
        };
        if let Some((text, worry)) = words::group_end(reason, by.as_deref(), talked) {
            self.notice = Some(Notice { text, detail: None, worry, offer: None });
        }
    }

    /// The tiles of this frame, and who does not hear whom.
    pub fn grid(&mut self, ctx: &Context, now: &Snapshot, group: &SnapshotGroup, at: Instant) -> (Vec<Tile>, Gaps) {
        let mut speaking = std::mem::take(&mut self.groups.speaking);
        speaking.keep(|person| group.members.iter().any(|member| member.person == person));
        if group.connected_at.is_some() && !group.held {
            let (levels, loudness) = (self.levels(), self.groups.loudness);
            speaking.hear(OURS, loudness(levels, None), at);
            for member in &group.members {
                speaking.hear(Some(member.person), loudness(levels, Some(member)), at);
            }
        } else {
            speaking = Speaking::default();
        }
        if let Some(silence) = speaking.next_silence(at) {
            ctx.request_repaint_after(silence.max(SOONEST));
        }
        let tiles = tiles(now, group, |who| speaking.is(who), at);
        self.groups.speaking = speaking;
        (tiles, gaps(now, group, &self.groups.helpers))
    }
}

/// Borders change so often at most.
const SOONEST: Duration = Duration::from_millis(50);

/// With the hints that were handed over; a bare one for a stranger.
pub fn link_of(now: &Snapshot, person: Person) -> Link {
    let contact = now.contacts.iter().find(|contact| contact.person == person);
    contact.map_or_else(|| Link { person, name: None, hints: Vec::new() }, |contact| contact.link.clone())
}
