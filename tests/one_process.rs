//! The whole call in one process: a super-peer and two people, driven through the engine API only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::block_in_place;
use tokio::time::timeout;
use twocans::base::{CallId, GroupId};
use twocans::engine::{
    self, AudioChoice, AudioOptions, CallPhase, CommandId, CommandKind, CommandResult, EndReason, Engine, Event,
    Events, FailureKind, GroupCommand, GroupEvent, NetworkOptions, NoiseSuppression, Options, Passphrase, Presence,
    Reply, Route, SinkSpec, SnapshotMember, SoundTrial, SourceSpec, SuperPeerMode, Volume, quality,
};
use twocans::identity::Link;

/// PESQ-WB from which on speech has come through whole, as for calls between processes.
const WHOLE: f32 = 3.3;
/// Everything here happens on loopback within milliseconds; this only bounds a failure.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_people_find_each_other_and_talk() {
    let mut house = House::build().await;
    let (mut alice, mut bob) = (house.person("alice").await, house.person("bob").await);
    alice.call_and_connect(&mut bob).await;
    // The clips are nine seconds long and begin when each side is connected.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let call = alice.call.expect("connected");
    alice.tell(CommandKind::HangUp { call, reason: EndReason::HangUp }).await.expect("a call can be hung up");
    assert_eq!(alice.ended().await, EndReason::HangUp);
    assert_eq!(bob.ended().await, EndReason::RemoteHangUp);
    for person in [&mut alice, &mut bob] {
        person.stop().await;
    }
    for (speaker, listener) in [(&alice, &bob), (&bob, &alice)] {
        let score = quality::pesq_wb(&speaker.says, &listener.hears).expect("both recordings are speech");
        println!("{} → {}: PESQ-WB {score:.2}", speaker.name, listener.name);
        assert!(score >= WHOLE, "{} hardly understood {}: {score}", listener.name, speaker.name);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn calls_that_come_to_nothing_say_why() {
    let mut house = House::build().await;
    let (mut alice, mut bob) = (house.person("alice").await, house.person("bob").await);

    // Declined.
    let call = alice.dial(&bob.link).await.expect("nobody is in a call");
    let theirs = bob.rung().await;
    assert_eq!(theirs, call, "both sides name the call alike");
    bob.tell(CommandKind::Decline { call }).await.expect("it rings");
    assert_eq!(alice.ended().await, EndReason::Declined);
    assert_eq!(bob.ended().await, EndReason::Declined);

    // Not there: a person who never came online.
    let nobody = "twocans:yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy".parse::<Link>();
    assert!(nobody.is_err(), "a link that is no key is refused before anybody is called");
    let mut absent = house.person("absent").await;
    let link = absent.link.clone();
    absent.stop().await;
    alice.dial(&link).await.expect("anybody may be dialled");
    assert_eq!(alice.ended().await, EndReason::NotFound, "presence was withdrawn");

    // Ourselves.
    let myself = alice.link.clone();
    assert_eq!(alice.dial(&myself).await.expect_err("nobody calls themselves").kind, FailureKind::Usage);

    // Blocked people do not ring.
    bob.tell(CommandKind::AddContact { link: alice.link.clone(), name: Some("Alice".into()) }).await.expect("saved");
    bob.tell(CommandKind::SetBlocked { person: alice.link.person, blocked: true }).await.expect("saved");
    alice.dial(&bob.link).await.expect("the caller is not told beforehand");
    let reason = alice.ended().await;
    assert!(matches!(reason, EndReason::Declined | EndReason::NoAnswer | EndReason::Unreachable), "{reason:?}");

    alice.stop().await;
    bob.stop().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_caller_may_cancel_at_any_moment() {
    let mut house = House::build().await;
    let (mut alice, mut bob) = (house.person("alice").await, house.person("bob").await);
    // Bob's answer may be under way, may have arrived and not been looked at, or may have been taken.
    for thought_ms in (0..40).map(|round| round % 8) {
        let call = alice.dial(&bob.link).await.expect("nobody is in a call");
        bob.rung().await;
        tokio::time::sleep(Duration::from_millis(thought_ms)).await;
        alice.tell(CommandKind::HangUp { call, reason: EndReason::HangUp }).await.expect("it rings");
        assert_eq!(alice.ended().await, EndReason::Cancelled);
        assert_eq!(bob.ended().await, EndReason::Cancelled);
    }
    for person in [&mut alice, &mut bob] {
        person.stop().await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_second_call_waits_and_both_become_one() {
    let mut house = House::build().await;
    let (mut bob, mut carol) = (house.person("bob").await, house.person("carol").await);
    let mut alice = house.person_with("alice", |options| options.windowed = true).await;
    alice.call_and_connect(&mut bob).await;
    let with_bob = alice.call.expect("connected");

    carol.dial(&alice.link.clone()).await.expect("nobody is in a call");
    let with_carol = alice.rung().await;
    alice.tell(CommandKind::Answer { call: with_carol }).await.expect("it rings");
    assert_eq!((alice.connected().await, carol.connected().await), (with_carol, with_carol));
    let held = |person: &Guest| {
        let now = person.engine.snapshot();
        now.calls.iter().map(|call| (call.call, call.held)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(held(&alice), BTreeMap::from([(with_bob, true), (with_carol, false)]), "who answers talks to one");
    // And a third caller hears that she is busy.
    let mut dave = house.person("dave").await;
    dave.dial(&alice.link.clone()).await.expect("nobody is in a call");
    assert_eq!(dave.ended().await, EndReason::Busy);

    let start = GroupCommand::Start { people: Vec::new(), calls: vec![with_bob, with_carol] };
    let reply = alice.tell(CommandKind::Group(start)).await.expect("both are connected");
    let Reply::Group(group) = reply else { panic!("{reply:?}") };
    for person in [&mut bob, &mut carol] {
        let asked = person.group_event(|event| matches!(event, GroupEvent::Invited { .. })).await;
        assert_eq!(asked, group);
        person.tell(CommandKind::Group(GroupCommand::Accept { group })).await.expect("it was asked");
    }
    for person in [&mut bob, &mut carol] {
        person.group_event(|event| matches!(event, GroupEvent::Joined)).await;
    }
    for person in [&alice, &bob, &carol] {
        let complete = || {
            let now = person.engine.snapshot();
            let talks = |member: &SnapshotMember| {
                member.presence == Presence::Here && member.phase == Some(CallPhase::Connected) && !member.held
            };
            let all_talk = now.groups.iter().any(|it| it.members.len() == 2 && it.members.iter().all(talks));
            all_talk && now.calls.iter().all(|call| call.group == Some(group) && !call.held)
        };
        eventually(complete).await;
    }
    for person in [&mut alice, &mut bob, &mut carol, &mut dave] {
        person.stop().await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_chosen_and_who_was_blocked_outlive_the_program() {
    let mut house = House::build().await;
    let (mut alice, mut bob) = (house.person("alice").await, house.person("bob").await);
    // Bob is no contact of Alice's.
    alice.tell(CommandKind::SetBlocked { person: bob.link.person, blocked: true }).await.expect("anybody can be");
    let strong = AudioChoice::Noise(NoiseSuppression::Strong);
    alice.tell(CommandKind::ChooseAudio(strong)).await.expect("it can be chosen");
    assert_eq!(alice.engine.snapshot().audio.noise_suppression, NoiseSuppression::Strong, "it holds at once");
    alice.stop().await;

    let mut alice = house.person_with("alice", |options| options.remember = true).await;
    let now = alice.engine.snapshot();
    assert_eq!(now.audio.noise_suppression, NoiseSuppression::Strong);
    assert!(now.blocked.contains(&bob.link.person));
    bob.dial(&alice.link.clone()).await.expect("the caller is not told beforehand");
    assert_eq!(bob.ended().await, EndReason::Declined);
    for person in [&mut alice, &mut bob] {
        person.stop().await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_set_for_a_person_holds_in_the_call_and_outlives_it() {
    let mut house = House::build().await;
    let tone = |options: &mut Options| options.audio.mic = SourceSpec::Tone { hz: 440.0 };
    let (mut alice, mut bob) = (house.person_with("alice", tone).await, house.person("bob").await);
    let person = alice.link.person;
    alice.call_and_connect(&mut bob).await;
    // A tone is brought to the loudness of speech first.
    let mut full = bob.hears_steadily().await;
    for (percent, change_db) in [(50, -12.04), (200, 12.04), (10, -40.0), (100, 0.0)] {
        let volume = Volume::from_percent(percent);
        bob.tell(CommandKind::SetVolume { person, volume }).await.expect("it can be kept");
        let now = bob.hears_steadily().await;
        println!("{percent} %: {:+.1} dB", now - full);
        // The limiter takes what is louder than it can be.
        let wanted = (full + change_db).min(-2.0);
        assert!((now - wanted).abs() < 1.0, "{percent} %: {now} instead of {wanted} dBFS");
        full = if percent == 100 { now } else { full };
    }
    bob.tell(CommandKind::SetVolume { person, volume: Volume::SILENT }).await.expect("it can be kept");
    assert!(bob.hears_steadily().await < -70.0);
    bob.tell(CommandKind::SetVerified { person, verified: true }).await.expect("it can be kept");
    bob.tell(CommandKind::SetRoute { person, route: Route::RelayOnly }).await.expect("it can be kept");
    let call = alice.call.expect("connected");
    alice.tell(CommandKind::HangUp { call, reason: EndReason::HangUp }).await.expect("a call can be hung up");
    bob.ended().await;
    bob.stop().await;

    let mut bob = house.person("bob").await;
    let kept = bob.engine.snapshot().person(person);
    assert_eq!((kept.volume, kept.route), (Volume::SILENT, Route::RelayOnly));
    assert!(kept.verified_unix_s.is_some_and(|at| at > 1_700_000_000), "{kept:?}");
    assert!(bob.engine.snapshot().contacts.is_empty(), "nobody becomes a contact by it");

    // Bob's calls with Alice take a relay from now on, whoever calls; all others do not.
    alice.ended().await;
    let call = alice.dial(&bob.link).await.expect("nobody is in a call");
    bob.rung().await;
    bob.tell(CommandKind::Answer { call }).await.expect("it rings");
    assert!(bob.connected_by_relay().await, "as is set for Alice");
    assert!(bob.hears_steadily().await < -70.0, "silent from the start");
    for setting in [
        CommandKind::SetVolume { person, volume: Volume::default() },
        CommandKind::SetRoute { person, route: Route::Any },
        CommandKind::SetVerified { person, verified: false },
    ] {
        bob.tell(setting).await.expect("it can be taken back");
    }
    assert!(bob.engine.snapshot().people.is_empty());
    assert!(bob.hears_steadily().await > -40.0);
    for person in [&mut alice, &mut bob] {
        person.stop().await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn sound_is_tried_without_a_call_and_gives_way_to_one() {
    let mut house = House::build().await;
    let tone = |options: &mut Options| options.audio.mic = SourceSpec::Tone { hz: 440.0 };
    let (mut alice, mut bob) = (house.person_with("alice", tone).await, house.person("bob").await);
    let trial = |engine: &Engine| engine.snapshot().trial;

    alice.tell(CommandKind::TrySound(Some(SoundTrial::Meter))).await.expect("a tone can be measured");
    assert_eq!(trial(&alice.engine), Some(SoundTrial::Meter));
    alice.level_is(|mic, speaker| mic > -40.0 && speaker < -90.0).await;
    assert!(!alice.hears.exists(), "the speaker stays closed");

    // The other way of trying takes over, muted or not.
    alice.tell(CommandKind::SetMuted { muted: true }).await.expect("always");
    alice.tell(CommandKind::TrySound(Some(SoundTrial::Echo))).await.expect("and played");
    alice.level_is(|mic, speaker| mic > -40.0 && speaker > -40.0).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    alice.tell(CommandKind::TrySound(None)).await.expect("it can be stopped");
    assert_eq!(trial(&alice.engine), None);
    alice.level_is(|mic, speaker| mic < -90.0 && speaker < -90.0).await;
    let (began, loudness) = sound_of(&alice.hears);
    println!("what is said comes back after {began:.2} s");
    assert!((0.95..2.0).contains(&began), "after {began} s");
    assert!(loudness > -40.0, "{loudness} dBFS");
    alice.tell(CommandKind::SetMuted { muted: false }).await.expect("always");

    // A call takes the devices.
    alice.tell(CommandKind::TrySound(Some(SoundTrial::Meter))).await.expect("again");
    alice.call_and_connect(&mut bob).await;
    assert_eq!(trial(&alice.engine), None);
    let refused = alice.tell(CommandKind::TrySound(Some(SoundTrial::Echo))).await.expect_err("not in a call");
    assert_eq!(refused.kind, FailureKind::Usage);
    assert!(bob.hears_steadily().await > -40.0, "the call has the microphone");
    for person in [&mut alice, &mut bob] {
        person.stop().await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_device_that_does_not_open_is_told_to_who_tries_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut options = options(folder.path().join("alice"), Vec::new());
    let ring = folder.path().join("ring.wav");
    options.online = false;
    options.audio.mic = SourceSpec::Device("nothing:of-that-name".into());
    options.audio.ring_device = SinkSpec::File(ring.clone());
    let mut alice = Guest::start("alice", options, PathBuf::new(), PathBuf::new());
    for kind in [SoundTrial::Meter, SoundTrial::Echo] {
        let failure = alice.tell(CommandKind::TrySound(Some(kind))).await.expect_err("there is no such device");
        assert_eq!(failure.kind, FailureKind::Device, "{failure}");
        assert_eq!(alice.engine.snapshot().trial, None);
    }
    alice.tell(CommandKind::TrySound(None)).await.expect("nothing to stop is no failure");

    let first = alice.engine.send(CommandKind::TryRing).expect("the engine takes commands");
    let busy = alice.tell(CommandKind::TryRing).await.expect_err("it rings already");
    assert_eq!(busy.kind, FailureKind::Busy);
    alice.finished(first).await.expect("a file can ring");
    let samples = hound::WavReader::open(&ring).expect("a recording").len();
    assert!((90_000..130_000).contains(&samples), "two seconds, not {samples} samples");
    assert!(sound_of(&ring).1 > -50.0);
    for (sink, kind) in
        [(SinkSpec::Null, FailureKind::Usage), (SinkSpec::Device("nothing:of-that-name".into()), FailureKind::Device)]
    {
        alice.tell(CommandKind::ChooseAudio(AudioChoice::Ring(sink))).await.expect("anything can be wished for");
        assert_eq!(alice.tell(CommandKind::TryRing).await.expect_err("it cannot ring").kind, kind);
    }
    alice.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_backup_is_made_while_the_client_runs_and_read_at_its_first_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let offline = |name: &str| Options { online: false, ..options(folder.path().join(name), Vec::new()) };
    let start = |name| Guest::start("alice", offline(name), PathBuf::new(), PathBuf::new());
    let friend = engine::my_link(&folder.path().join("friend")).expect("a profile can be made");
    let file = folder.path().join("alice.twocans");
    let passphrase = Passphrase::new("correct horse battery".into()).expect("long enough");
    let mut alice = start("old");
    let person = friend.person;
    alice.tell(CommandKind::AddContact { link: friend, name: Some("Bob".into()) }).await.expect("saved");
    alice.tell(CommandKind::SetVolume { person, volume: Volume::from_percent(70) }).await.expect("saved");
    alice.tell(CommandKind::SetVerified { person, verified: true }).await.expect("saved");
    for (key, value) in [("ui.theme", "dark"), ("audio.microphone", "pulseaudio:desk")] {
        let (key, value) = (key.to_owned(), Some(value.to_owned()));
        alice.tell(CommandKind::SetPreference { key, value }).await.expect("saved");
    }
    assert!(!alice.engine.snapshot().preferences.contains_key(engine::BACKUP_EXPORTED));
    let export = || CommandKind::ExportIdentity { file: file.clone(), passphrase: passphrase.clone() };
    alice.tell(export()).await.expect("there is room");
    let exported = alice.engine.snapshot().preferences.get(engine::BACKUP_EXPORTED).cloned().expect("noted");
    assert_eq!(alice.tell(export()).await.expect_err("it is there").kind, FailureKind::Usage);
    let kept = alice.engine.snapshot();
    alice.stop().await;
    assert!(engine::has_identity(&folder.path().join("old")));

    let home = folder.path().join("new");
    assert!(!engine::has_identity(&home));
    let wrong = Passphrase::new("correct horse batterx".into()).expect("long enough");
    block_in_place(|| engine::import_identity(&home, &file, &wrong)).expect_err("another passphrase");
    let imported = block_in_place(|| engine::import_identity(&home, &file, &passphrase)).expect("a new profile");
    assert_eq!((imported.link.person, imported.contacts), (alice.link.person, 1));
    let mut alice = start("new");
    // The profile has been read when a command is done.
    alice.tell(CommandKind::ListContacts).await.expect("read");
    let now = alice.engine.snapshot();
    assert_eq!((now.me, &now.contacts, &now.people), (kept.me, &kept.contacts, &kept.people));
    assert_eq!(now.preferences.get("ui.theme").map(String::as_str), Some("dark"));
    assert_eq!(now.preferences.get("audio.microphone"), None, "there may be no such device here");
    assert_eq!(now.preferences.get(engine::BACKUP_EXPORTED), Some(&exported), "there is a backup");
    alice.stop().await;

    // Somebody else takes the profile over: whom they compared words with is another matter.
    let home = folder.path().join("friend");
    let mut bob = start("friend");
    bob.tell(CommandKind::SetVerified { person: kept.me.expect("known"), verified: true }).await.expect("saved");
    bob.stop().await;
    block_in_place(|| engine::replace_identity(&home, &file, &passphrase)).expect("that was asked for");
    let mut alice = start("friend");
    alice.tell(CommandKind::ListContacts).await.expect("read");
    assert_eq!(alice.engine.snapshot().people, kept.people);
    alice.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_who_dial_each_other_at_once_get_one_call() {
    let mut house = House::build().await;
    let (mut alice, mut bob) = (house.person("alice").await, house.person("bob").await);
    let (to_bob, to_alice) = (bob.link.clone(), alice.link.clone());
    let (ours, theirs) = tokio::join!(alice.dial(&to_bob), bob.dial(&to_alice));
    ours.and(theirs).expect("neither knows of the other yet");
    assert_eq!(alice.connected().await, bob.connected().await, "they are in the same call");
    alice.stop().await;
    bob.stop().await;
    house.close().await;
}

/// A super-peer on loopback and a folder for everybody's profile.
struct House {
    folder: TempDir,
    node: Guest,
    bootstrap: Vec<String>,
}

impl House {
    async fn build() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut options = options(folder.path().join("node"), Vec::new());
        options.network.super_peer = SuperPeerMode::Always;
        let mut node = Guest::start("node", options, PathBuf::new(), PathBuf::new());
        let bootstrap = node.until(|event| match event {
            Event::Ready { listen, .. } => Some(listen.clone()),
            _ => None,
        });
        let bootstrap = bootstrap.await;
        Self { folder, node, bootstrap }
    }

    /// Somebody who can be called and says the clip of that name, or nothing if there is none.
    async fn person(&self, name: &'static str) -> Guest {
        self.person_with(name, |_| ()).await
    }

    async fn person_with(&self, name: &'static str, adjust: impl FnOnce(&mut Options)) -> Guest {
        let mut options = options(self.folder.path().join(name), self.bootstrap.clone());
        let says = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/speech/{name}.wav"));
        let hears = self.folder.path().join(format!("{name} heard.wav"));
        options.callable = true;
        if says.exists() {
            options.audio.mic = SourceSpec::File { path: says.clone(), looped: false, at_launch: false };
        }
        options.audio.speaker = SinkSpec::File(hears.clone());
        adjust(&mut options);
        let mut guest = Guest::start(name, options, says, hears);
        guest.until(|event| matches!(event, Event::PresencePublished { acks, .. } if *acks >= 1).then_some(())).await;
        guest
    }

    async fn close(&mut self) {
        self.node.stop().await;
    }
}

/// One engine and what it said so far.
struct Guest {
    name: &'static str,
    engine: Engine,
    events: Events,
    link: Link,
    says: PathBuf,
    hears: PathBuf,
    call: Option<CallId>,
}

impl Guest {
    fn start(name: &'static str, options: Options, says: PathBuf, hears: PathBuf) -> Self {
        let link = engine::my_link(&options.home).expect("a profile can be made");
        let (engine, events) = Engine::start(options, Arc::new(|| {})).expect("the engine starts");
        Self { name, engine, events, link, says, hears, call: None }
    }

    /// Reads events until one is what is looked for.
    async fn until<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let (name, events) = (self.name, &mut self.events);
        let mut seen = Vec::new();
        let search = async {
            while let Some(stamped) = events.recv().await {
                if let Some(found) = wanted(&stamped.event) {
                    return Some(found);
                }
                seen.push(stamped.event);
            }
            None
        };
        let found = timeout(SOON, search).await.ok().flatten();
        found.unwrap_or_else(|| panic!("{name} waited in vain; it saw {seen:#?}"))
    }

    async fn tell(&mut self, kind: CommandKind) -> CommandResult {
        let id = self.engine.send(kind).expect("the engine takes commands");
        self.finished(id).await
    }

    async fn finished(&mut self, id: CommandId) -> CommandResult {
        self.until(|event| match event {
            Event::CommandFinished { id: done, result } if *done == id => Some(result.clone()),
            _ => None,
        })
        .await
    }

    async fn dial(&mut self, to: &Link) -> Result<CallId, engine::Failure> {
        match self.tell(CommandKind::Dial { to: to.clone(), ring_timeout: SOON }).await? {
            Reply::Call(call) => Ok(call),
            other => panic!("a dial made {other:?}"),
        }
    }

    async fn rung(&mut self) -> CallId {
        self.until(|event| match event {
            Event::Incoming { call, .. } => Some(*call),
            _ => None,
        })
        .await
    }

    async fn connected(&mut self) -> CallId {
        self.until(|event| match event {
            Event::Connected { call, path, .. } => (!path.is_relayed()).then_some(*call),
            _ => None,
        })
        .await
    }

    /// Whether the call that connects next goes through a relay.
    async fn connected_by_relay(&mut self) -> bool {
        self.until(|event| match event {
            Event::Connected { path, .. } => Some(path.is_relayed()),
            _ => None,
        })
        .await
    }

    /// How loud it is, dBFS, once two seconds on end sound the same.
    async fn hears_steadily(&mut self) -> f32 {
        let mut last = f32::NAN;
        self.until(|event| match event {
            Event::Stats(stats) => {
                let now = stats.speaker_dbfs?;
                let is_steady = (now - last).abs() < 0.3;
                last = now;
                is_steady.then_some(now)
            }
            _ => None,
        })
        .await
    }

    /// Waits until the live levels of microphone and speaker are as wanted.
    async fn level_is(&self, wanted: impl Fn(f32, f32) -> bool) {
        let levels = || (self.engine.levels().mic_dbfs(), self.engine.levels().speaker_dbfs());
        let there = async {
            while !wanted(levels().0, levels().1) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(timeout(SOON, there).await.is_ok(), "{:?}", levels());
    }

    async fn ended(&mut self) -> EndReason {
        self.until(|event| match event {
            Event::Ended { reason, .. } => Some(*reason),
            _ => None,
        })
        .await
    }

    async fn call_and_connect(&mut self, callee: &mut Self) {
        let call = self.dial(&callee.link).await.expect("nobody is in a call");
        callee.rung().await;
        callee.tell(CommandKind::Answer { call }).await.expect("it rings");
        assert_eq!((self.connected().await, callee.connected().await), (call, call));
        (self.call, callee.call) = (Some(call), Some(call));
    }

    /// The group of the first such event.
    async fn group_event(&mut self, wanted: impl Fn(&GroupEvent) -> bool) -> GroupId {
        self.until(|event| match event {
            Event::Group { group, event } if wanted(event) => Some(*group),
            _ => None,
        })
        .await
    }

    async fn stop(&mut self) {
        self.engine.send(CommandKind::Shutdown).expect("the engine takes commands");
        self.until(|event| matches!(event, Event::Stopped).then_some(())).await;
    }
}

async fn eventually(holds: impl Fn() -> bool) {
    let waits = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, waits).await.expect("it comes to hold");
}

/// Where the sound in a recording begins, seconds, and how loud it is from there on, dBFS.
fn sound_of(file: &Path) -> (f32, f32) {
    let samples: Vec<f32> = hound::WavReader::open(file)
        .expect("a recording")
        .samples::<i16>()
        .map(|sample| f32::from(sample.expect("a sample")) / 32_768.0)
        .collect();
    let began = samples.iter().position(|sample| sample.abs() > 0.01).expect("it is not silent");
    let power = samples[began..].iter().map(|sample| sample * sample).sum::<f32>() / (samples.len() - began) as f32;
    (began as f32 / 48_000.0, 10.0 * power.log10())
}

fn options(home: PathBuf, bootstrap: Vec<String>) -> Options {
    Options {
        home,
        display_name: None,
        remember: false,
        group_limit: engine::DEFAULT_GROUP_LIMIT,
        online: true,
        callable: false,
        windowed: false,
        serves: false,
        network: NetworkOptions { bootstrap, isolated: true, super_peer: SuperPeerMode::Never, ..Default::default() },
        audio: AudioOptions {
            mic: SourceSpec::Silence,
            speaker: SinkSpec::Null,
            ring_device: SinkSpec::Null,
            ..AudioOptions::default()
        },
    }
}
