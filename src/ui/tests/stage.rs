//! The client on a stage: its window without a screen, an engine that stays offline, and a snapshot that a test sets.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eframe::egui::{Context, IconData, Ui};

use crate::base::{CallId, GroupId, NodeId, Person};
use crate::engine::{
    CallPhase, CallSide, Candidate, Check, CheckKind, Contact, EndReason, Engine, Finding, GroupPhase, HearingPath,
    HistoryEntry, MediaPath, MeterId, Options, PastMember, PeerStats, PersonSettings, Presence, Snapshot, SnapshotCall,
    SnapshotGroup, SnapshotMember, Verdict,
};
use crate::identity::Link;
use crate::ui::app::{App, icon_texture};
use crate::ui::desktop::Desktop;
use crate::ui::view::Clock;
use crate::ui::words::{self, Language};
use crate::ui::{After, ICON, theme};

/// Monday, 23 November 2026, 10:45 UTC.
const NOW: i64 = 1_795_430_700;

pub struct Stage {
    app: App,
    pub now: Snapshot,
    began: Instant,
    /// The window that paints has our fonts and pictures.
    is_dressed: bool,
    _home: tempfile::TempDir,
}

impl Stage {
    /// The first frame is yet to come: nobody is known, and others can call.
    pub fn new() -> Self {
        words::speak(Language::English);
        let home = tempfile::tempdir().unwrap();
        let options = Options::offline(home.path());
        let (engine, events) = Engine::start(options, Arc::new(|| {})).unwrap();
        let me = person(42);
        let now = Snapshot {
            me: Some(me),
            link: Some(Link { person: me, name: Some("Eve".into()), hints: Vec::new() }),
            node: NodeId::from_bytes(b"node"),
            home: "/home/eve/.local/share/twocans".into(),
            presence_acks: 3,
            ..Snapshot::default()
        };
        let (desktop, after) = (Desktop::new(&engine), Rc::new(Cell::new(After::Quit)));
        let mut app = App::new(&Context::default(), engine, events, &icon(), desktop, after);
        app.clock = || Clock::at(NOW);
        Self { app, now, began: now_is(), is_dressed: false, _home: home }
    }

    /// To set what the test wants to see.
    pub fn app(&mut self) -> &mut App {
        &mut self.app
    }

    /// When the call began: 4 minutes and 12 seconds ago.
    pub fn began(&self) -> Instant {
        self.began.checked_sub(Duration::from_millis(252_100)).unwrap_or(self.began)
    }

    pub fn paint(&mut self, ui: &mut Ui) {
        if !self.is_dressed {
            self.is_dressed = true;
            theme::install(ui.ctx());
            self.app.icon = icon_texture(ui.ctx(), &icon());
            // The fonts are there from the next frame on.
            return;
        }
        self.app.frame(ui, &self.now);
    }

    /// Some people with a past.
    pub fn with_friends(&mut self) {
        let names = [(alice(), "Alice"), (bob(), "Bob Marley"), (person(3), "Łukasz"), (person(4), "Zoë van den Berg")];
        self.now.contacts = Arc::new(names.iter().map(|(person, name)| contact(*person, name)).collect());
        let verified = PersonSettings { verified_unix_s: Some(NOW), ..PersonSettings::default() };
        self.now.people = Arc::new([(bob(), verified)].into());
        self.now.blocked = Arc::new([person(4)].into());
        self.app().history = Arc::new(past_calls(12, |call| if call % 4 == 3 { alice() } else { bob() }));
    }
}

fn icon() -> IconData {
    eframe::icon_data::from_png_bytes(ICON).unwrap()
}

/// Stages begin at the moment of their first frame.
#[allow(clippy::disallowed_methods, reason = "tests run in real time")]
fn now_is() -> Instant {
    Instant::now()
}

pub fn person(number: usize) -> Person {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Person::from_bytes(bytes)
}

pub fn alice() -> Person {
    person(1)
}

pub fn bob() -> Person {
    person(2)
}

pub fn contact(person: Person, name: &str) -> Contact {
    let link = Link { person, name: None, hints: Vec::new() };
    Contact { person, name: Some(name.into()), link }
}

/// The newest first, seven hours apart, of all kinds.
pub fn past_calls(count: usize, with: impl Fn(usize) -> Person) -> Vec<HistoryEntry> {
    let kinds = [
        (true, 728, EndReason::HangUp),
        (false, 0, EndReason::Cancelled),
        (false, 65, EndReason::RemoteHangUp),
        (true, 0, EndReason::NoAnswer),
    ];
    let entry = |call: usize| {
        let (outgoing, talked_s, reason) = kinds[call % kinds.len()];
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(call as u64).to_be_bytes());
        HistoryEntry {
            call: CallId::from_bytes(id),
            person: with(call),
            name: None,
            outgoing,
            started_unix_s: NOW - 3600 - call as i64 * 25_200,
            talked: Duration::from_secs(talked_s),
            reason,
            members: Vec::new(),
        }
    };
    (0..count).map(entry).collect()
}

pub fn call_with(peer: Person, name: &str, side: CallSide, phase: CallPhase) -> SnapshotCall {
    SnapshotCall {
        call: CallId::from_bytes([5; 16]),
        peer: Some(peer),
        name: Some(name.into()),
        side,
        phase,
        group: None,
        meter: MeterId::default(),
        connected_at: None,
        path: None,
        stats: None,
        peer_muted: false,
        interrupted: None,
        held: false,
        peer_held: false,
    }
}

/// In a good call with Bob since `began`.
pub fn talking(began: Instant) -> SnapshotCall {
    let path = MediaPath { local: Candidate::ServerReflexive, remote: Candidate::Host, protocol: "udp", via: None };
    SnapshotCall {
        connected_at: Some(began),
        path: Some(path),
        stats: Some(stats(0)),
        ..call_with(bob(), "Bob Marley", CallSide::Caller, CallPhase::Connected)
    }
}

/// A group call in which everybody hears everybody; we have begun it just now.
pub fn group_of(people: &[(Person, &str)]) -> SnapshotGroup {
    let member = |(person, name): &(Person, &str)| SnapshotMember {
        person: *person,
        name: Some((*name).into()),
        inviter: self::person(42),
        presence: Presence::Here,
        removable: true,
        call: Some(CallId::from_bytes([5; 16])),
        phase: Some(CallPhase::Connected),
        interrupted: None,
        meter: Some(MeterId::default()),
        muted: false,
        held: false,
        silenced: false,
        heard: HearingPath::Direct,
        hears_us: HearingPath::Direct,
        misses: Vec::new(),
        stats: None,
    };
    SnapshotGroup {
        group: GroupId::from_bytes([6; 16]),
        phase: GroupPhase::In,
        creator: person(42),
        started: now_is(),
        connected_at: None,
        members: people.iter().map(member).collect(),
        held: false,
        shows_address: true,
        limit: 10,
    }
}

/// A past group call with these people.
pub fn past_group(people: &[(Person, &str)], hours_ago: i64, talked_s: u64, reason: EndReason) -> HistoryEntry {
    let member = |(person, name): &(Person, &str)| PastMember { person: *person, name: Some((*name).into()) };
    let one = past_calls(1, |_| people[0].0).remove(0);
    HistoryEntry {
        call: CallId::from_bytes([hours_ago.unsigned_abs() as u8; 16]),
        outgoing: talked_s > 0,
        started_unix_s: NOW - hours_ago * 3600,
        talked: Duration::from_secs(talked_s),
        reason,
        members: people.iter().map(member).collect(),
        ..one
    }
}

/// Of one second of a good call.
pub fn stats(second: u16) -> PeerStats {
    let wave = f32::from(second % 7);
    PeerStats {
        call: CallId::from_bytes([5; 16]),
        peer: Some(bob()),
        rtt_ms: Some(38.0 + wave),
        jitter_ms: Some(2.0 + wave / 3.0),
        loss: Some(if second == 20 { 0.02 } else { 0.0 }),
        concealed: Some(0.0),
        target_delay_ms: Some(12.0),
        buffer_ms: Some(14.0),
        delay_ms: Some(61.0),
        tx_bps: Some(51_000),
        rx_bps: Some(48_000),
        red: 1,
        fec: true,
        dred_ms: 0,
        mic_dbfs: Some(-30.0),
        speaker_dbfs: Some(-28.0),
        cpu: Some(5.0),
        rss_mb: Some(90.0),
    }
}

/// One finding of each kind.
pub fn check(verdict: Verdict) -> Check {
    let (what, code, facts) = match verdict {
        Verdict::Fine => (CheckKind::Dht, Finding::PresenceKept, vec!["3".to_owned()]),
        Verdict::Warning => (CheckKind::Nat, Finding::DirectToFew, Vec::new()),
        Verdict::Problem => (CheckKind::Udp, Finding::UdpBlocked, Vec::new()),
        Verdict::Unknown => (CheckKind::PublicAddress, Finding::NobodyToAsk, Vec::new()),
    };
    Check { what, verdict, code, facts, finding: String::new(), remedy: None }
}

/// Of this thread.
pub fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
