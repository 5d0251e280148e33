//! A group call as its screen shows it: a tile for everybody, and who does not hear whom.

use std::collections::BTreeMap;
use std::time::Instant;

use super::speaking::{OURS, Voice};
use crate::base::Person;
use crate::engine::{CallPhase, GroupPhase, HearingPath, Presence, Snapshot, SnapshotGroup, SnapshotMember};
use crate::ui::words;

/// What a tile looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Quiet,
    Speaking,
    /// Rung, or being connected.
    Ringing,
    Connecting,
    /// Something is wrong, and being mended.
    Broken,
    Held,
    Gone,
}

/// One person in the grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    /// [`OURS`] is our own.
    pub who: Voice,
    pub name: String,
    /// What the initials are made of; ours are not those of "You".
    pub called: String,
    /// For the colour.
    pub key: Option<Person>,
    pub mark: Mark,
    pub muted: bool,
    /// We do not play them.
    pub silenced: bool,
    /// One word or two; empty where there is nothing to say.
    pub caption: String,
    /// Why, or how; it may be empty.
    pub detail: String,
    /// What is said in it is to be noticed.
    pub worry: bool,
}

impl Tile {
    /// What assistive programs read.
    pub fn spoken(&self) -> String {
        let muted = if self.muted { words::MICROPHONE_OFF.text() } else { "" };
        let silenced = if self.silenced { words::SILENCED.text() } else { "" };
        let parts = [self.name.as_str(), &self.caption, &self.detail, muted, silenced];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

/// Ourselves, then everybody in the engine's order, so that nobody jumps about.
pub fn tiles(now: &Snapshot, group: &SnapshotGroup, speaks: impl Fn(Voice) -> bool, at: Instant) -> Vec<Tile> {
    let others = group.members.iter().map(|member| tile(group, member, speaks(Some(member.person)), at));
    std::iter::once(ours(now, group, speaks(OURS))).chain(others).collect()
}

fn ours(now: &Snapshot, group: &SnapshotGroup, speaks: bool) -> Tile {
    let muted = now.muted || now.deafened;
    let (mark, caption) = match () {
        () if group.held => (Mark::Held, words::TILE_HELD.into()),
        () if speaks && !muted => (Mark::Speaking, words::SPEAKING.into()),
        () => (Mark::Quiet, String::new()),
    };
    let name: String = words::YOU.into();
    let called = now.link.as_ref().and_then(|link| link.name.clone()).unwrap_or_else(|| name.clone());
    let key = now.me;
    Tile { who: OURS, name, called, key, mark, muted, silenced: false, caption, detail: String::new(), worry: false }
}

fn tile(group: &SnapshotGroup, member: &SnapshotMember, speaks: bool, at: Instant) -> Tile {
    let (mark, caption, detail) = state(group, member, speaks, at);
    let bad = || member.stats.as_ref().and_then(words::quality).filter(|(_, worry)| *worry);
    let calm = matches!(mark, Mark::Quiet | Mark::Speaking) && detail.is_empty();
    let bad = if calm { bad() } else { None };
    let worry = bad.is_some();
    Tile {
        who: Some(member.person),
        name: member.display_name(),
        called: member.display_name(),
        key: Some(member.person),
        mark,
        muted: member.muted && member.presence == Presence::Here,
        silenced: member.silenced,
        caption,
        detail: bad.map_or(detail, |(quality, _)| quality),
        worry,
    }
}

fn state(group: &SnapshotGroup, member: &SnapshotMember, speaks: bool, at: Instant) -> (Mark, String, String) {
    let plain = |mark, word: words::Word| (mark, word.into(), String::new());
    match member.presence {
        Presence::Invited => return plain(Mark::Ringing, words::TILE_RINGING),
        Presence::Gone => return (Mark::Gone, words::TILE_GONE.into(), words::TILE_GONE_BODY.into()),
        Presence::Here => {}
    }
    let helper = match member.heard {
        HearingPath::Via(helper) => Some(words::via(&name_in(group, helper))),
        HearingPath::Unknown | HearingPath::Direct | HearingPath::Missing => None,
    };
    let reconnecting = member.interrupted.is_some() || member.phase == Some(CallPhase::Reconnecting);
    match member.phase {
        _ if member.held => plain(Mark::Held, words::TILE_HELD),
        _ if helper.is_some() && speaks => (Mark::Speaking, words::SPEAKING.into(), helper.unwrap_or_default()),
        _ if helper.is_some() => (Mark::Quiet, String::new(), helper.unwrap_or_default()),
        _ if reconnecting => {
            let Some((since, why)) = member.interrupted else { return plain(Mark::Broken, words::RECONNECTING) };
            let seconds = at.saturating_duration_since(since).as_secs();
            (Mark::Broken, format!("{} {seconds} s", words::RECONNECTING), words::broken(why).into())
        }
        Some(CallPhase::Connected) if member.heard == HearingPath::Missing => plain(Mark::Broken, words::TILE_MISSING),
        Some(CallPhase::Connected) if speaks && !member.muted => plain(Mark::Speaking, words::SPEAKING),
        Some(CallPhase::Connected) => (Mark::Quiet, String::new(), String::new()),
        Some(CallPhase::Dialing | CallPhase::Ringing | CallPhase::Connecting | CallPhase::Ended) | None => {
            plain(Mark::Connecting, words::PHASE_CONNECTING)
        }
        Some(CallPhase::Reconnecting) => plain(Mark::Broken, words::RECONNECTING),
    }
}

/// How members who do not reach each other are helped: by listener and speaker, the helper.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Helpers(BTreeMap<(Person, Person), Person>);

impl Helpers {
    pub fn hear(&mut self, from: Person, to: Person, path: HearingPath) {
        match path {
            HearingPath::Via(helper) => drop(self.0.insert((to, from), helper)),
            HearingPath::Unknown | HearingPath::Direct | HearingPath::Missing => drop(self.0.remove(&(to, from))),
        }
    }
}

/// Who does not hear whom, and who is heard through somebody: one sentence each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps {
    pub missing: Vec<String>,
    pub helped: Vec<String>,
}

/// Two ears that do not hear the other's mouth: a listener and a speaker, `None` being ourselves.
type Gap = (Option<Person>, Option<Person>);

pub fn gaps(now: &Snapshot, group: &SnapshotGroup, helpers: &Helpers) -> Gaps {
    if group.phase != GroupPhase::In {
        return Gaps::default();
    }
    let here: Vec<&SnapshotMember> = group.members.iter().filter(|member| member.presence == Presence::Here).collect();
    let is_here = |person: &Person| here.iter().any(|member| member.person == *person);
    let mut gaps: Vec<Gap> = Vec::new();
    for member in &here {
        let them = Some(member.person);
        // What is being connected anew is told on its tile.
        let broken = |path| path == HearingPath::Missing && member.interrupted.is_none();
        if broken(member.heard) {
            gaps.push((None, them));
        }
        if broken(member.hears_us) {
            gaps.push((them, None));
        }
        gaps.extend(member.misses.iter().filter(|missed| is_here(missed)).map(|missed| (them, Some(*missed))));
    }
    let name = |person: Person| name_in(group, person);
    let say = |(listener, speaker): Gap, mutual: bool| match (listener, speaker, mutual) {
        (Some(one), Some(other), true) => words::do_not_hear_each_other(&name(one), &name(other)),
        (Some(one), Some(other), false) => words::does_not_hear(&name(one), &name(other)),
        (None, Some(other), true) | (Some(other), None, true) => words::we_do_not_hear_each_other(&name(other)),
        (None, Some(other), false) => words::we_do_not_hear(&name(other)),
        (Some(one), None, false) => words::does_not_hear_us(&name(one)),
        (None, None, _) => String::new(),
    };
    let mut missing = Vec::new();
    for (at, gap) in gaps.iter().enumerate() {
        let other_way = gaps.iter().position(|other| *other == (gap.1, gap.0));
        match other_way {
            Some(first) if first < at => {}
            Some(_) => missing.push(say(*gap, true)),
            None => missing.push(say(*gap, false)),
        }
    }
    let mut helped: Vec<String> = here
        .iter()
        .filter_map(|member| match member.hears_us {
            HearingPath::Via(helper) => Some(words::hears_us_through(&member.display_name(), &name(helper))),
            HearingPath::Unknown | HearingPath::Direct | HearingPath::Missing => None,
        })
        .collect();
    let others = helpers.0.iter().filter(|((to, from), _)| is_here(to) && is_here(from));
    helped.extend(others.map(|((to, from), helper)| match now.me == Some(*helper) {
        true => words::hears_through_us(&name(*to), &name(*from)),
        false => words::hears_through(&name(*to), &name(*from), &name(*helper)),
    }));
    Gaps { missing, helped }
}

/// How somebody in a group is called.
pub fn name_in(group: &SnapshotGroup, person: Person) -> String {
    let member = group.members.iter().find(|member| member.person == person);
    member.map_or_else(|| person.abbreviated(), SnapshotMember::display_name)
}

/// How tiles are laid out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    pub columns: usize,
    pub width: f32,
    pub height: f32,
}

/// Between two tiles.
pub const GAP: f32 = 12.0;
/// A name has room on it.
const LEAST_WIDTH: f32 = 148.0;
const LEAST_HEIGHT: f32 = 128.0;
/// Higher ones look empty.
const TALLEST: f32 = 1.15;

impl Grid {
    /// The largest tiles of which `count` fit into a room; where even the smallest do not, it scrolls downwards.
    pub fn of(count: usize, width: f32, height: f32) -> Self {
        let most = (((width + GAP) / (LEAST_WIDTH + GAP)).floor() as usize).clamp(1, 5).min(count.max(1));
        let grids = (1..=most).map(|columns| {
            let rows = count.max(1).div_ceil(columns) as f32;
            let tile = (width - GAP * (columns - 1) as f32) / columns as f32;
            let tall = (height - GAP * (rows - 1.0)) / rows;
            let height = tall.min(tile * TALLEST).max(LEAST_HEIGHT);
            (Self { columns, width: tile, height }, tall >= LEAST_HEIGHT, tile.min(tall))
        });
        let better = |one: &(Self, bool, f32), two: &(Self, bool, f32)| {
            // What has to scroll scrolls the less the more columns it has.
            one.1.cmp(&two.1).then(if one.1 { one.2.total_cmp(&two.2) } else { one.0.columns.cmp(&two.0.columns) })
        };
        let best = grids.max_by(better).map(|(grid, ..)| grid);
        best.unwrap_or(Self { columns: 1, width, height: LEAST_HEIGHT })
    }

    pub fn rows(&self, count: usize) -> usize {
        count.div_ceil(self.columns)
    }

    /// Of all rows.
    pub fn total_height(&self, count: usize) -> f32 {
        let rows = self.rows(count) as f32;
        rows * self.height + (rows - 1.0).max(0.0) * GAP
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Broken;
    use crate::ui::tests::stage::{alice, bob, group_of, person};

    fn carol() -> Person {
        person(3)
    }

    fn three() -> SnapshotGroup {
        group_of(&[(alice(), "Alice"), (bob(), "Bob"), (carol(), "Carol")])
    }

    /// Alice's tile after a change to her.
    fn alices(speaks: bool, change: impl Fn(&mut SnapshotMember)) -> Tile {
        let mut group = three();
        change(&mut group.members[0]);
        let at = group.started;
        tiles(&Snapshot::default(), &group, |who| speaks && who == Some(alice()), at)[1].clone()
    }

    #[test]
    fn a_tile_says_what_matters_most() {
        let said = |speaks, change: &dyn Fn(&mut SnapshotMember)| {
            let tile = alices(speaks, change);
            (tile.mark, tile.spoken())
        };
        assert_eq!(said(false, &|_| {}), (Mark::Quiet, "Alice".into()));
        assert_eq!(said(true, &|_| {}), (Mark::Speaking, "Alice, Speaking".into()));
        assert_eq!(said(true, &|alice| alice.muted = true), (Mark::Quiet, "Alice, Microphone off".into()));
        assert_eq!(said(true, &|alice| alice.held = true).0, Mark::Held);
        assert_eq!(said(true, &|alice| alice.presence = Presence::Gone).0, Mark::Gone);
        assert_eq!(said(false, &|alice| alice.presence = Presence::Invited), (Mark::Ringing, "Alice, Ringing…".into()));
        assert_eq!(said(false, &|alice| alice.phase = None).0, Mark::Connecting);
        assert_eq!(said(false, &|alice| alice.heard = HearingPath::Missing).0, Mark::Broken);
        assert!(said(false, &|alice| alice.silenced = true).1.ends_with(words::SILENCED.text()));
        let via = said(true, &|alice| {
            alice.heard = HearingPath::Via(bob());
            alice.phase = Some(CallPhase::Reconnecting);
        });
        assert_eq!(via, (Mark::Speaking, "Alice, Speaking, via Bob".into()), "who is heard is not reconnecting");
    }

    #[test]
    fn an_interruption_has_a_reason_and_a_time() {
        let mut group = three();
        group.members[0].interrupted = Some((group.started, Broken::TheyMoved));
        group.members[0].phase = Some(CallPhase::Reconnecting);
        let at = group.started + std::time::Duration::from_secs(4);
        let tile = tiles(&Snapshot::default(), &group, |_| false, at)[1].clone();
        assert_eq!((tile.mark, tile.caption.as_str()), (Mark::Broken, "Reconnecting… 4 s"));
        assert_eq!(tile.detail, "They are in another network now");
    }

    #[test]
    fn our_own_tile_tells_whether_we_are_heard() {
        let now = Snapshot { muted: true, ..Snapshot::default() };
        let tile = tiles(&now, &three(), |_| true, crate::ui::now())[0].clone();
        assert_eq!((tile.mark, tile.muted, tile.who), (Mark::Quiet, true, OURS));
    }

    #[test]
    fn who_does_not_hear_whom_is_said_once() {
        let mut group = three();
        group.members[0].misses = vec![bob()];
        group.members[1].misses = vec![alice(), carol(), person(99)];
        group.members[2].heard = HearingPath::Missing;
        let told = gaps(&Snapshot::default(), &group, &Helpers::default());
        let wanted = ["Alice and Bob do not hear each other.", "Bob does not hear Carol.", "You do not hear Carol."];
        assert_eq!(told.missing, wanted);
        assert!(told.helped.is_empty());
        group.members[2].hears_us = HearingPath::Missing;
        let told = gaps(&Snapshot::default(), &group, &Helpers::default());
        assert_eq!(told.missing.last().map(String::as_str), Some("You and Carol do not hear each other."));
        group.members[1].presence = Presence::Gone;
        let told = gaps(&Snapshot::default(), &group, &Helpers::default());
        assert_eq!(told.missing, ["You and Carol do not hear each other."], "nobody hears who is not there");
    }

    #[test]
    fn whoever_helps_is_named() {
        let group = three();
        let mut helpers = Helpers::default();
        helpers.hear(alice(), bob(), HearingPath::Via(carol()));
        helpers.hear(bob(), alice(), HearingPath::Via(person(42)));
        let now = Snapshot { me: Some(person(42)), ..Snapshot::default() };
        let wanted = ["Alice hears Bob through you.", "Bob hears Alice through Carol."];
        assert_eq!(gaps(&now, &group, &helpers).helped, wanted);
        helpers.hear(alice(), bob(), HearingPath::Direct);
        assert_eq!(gaps(&now, &group, &helpers).helped.len(), 1);
    }

    #[test]
    fn tiles_fill_the_room() {
        // The window's content at 1120, 840 and 420 points of width.
        let columns = |count, width, height| Grid::of(count, width, height).columns;
        assert_eq!([2, 3, 4, 6, 8, 10].map(|count| columns(count, 716.0, 528.0)), [2, 2, 2, 3, 4, 4]);
        assert_eq!([2, 4, 6, 10].map(|count| columns(count, 332.0, 440.0)), [1, 2, 2, 2]);
        for count in 1..=10 {
            for (width, height) in [(716.0, 528.0), (656.0, 450.0), (436.0, 440.0), (332.0, 440.0), (100.0, 90.0)] {
                let grid = Grid::of(count, width, height);
                let right = grid.columns as f32 * grid.width + (grid.columns - 1) as f32 * GAP;
                assert!(right <= width + 0.1, "{count} in {width}: {grid:?}");
                assert!(grid.height >= LEAST_HEIGHT && grid.rows(count) * grid.columns >= count);
            }
        }
    }
}
