//! The whole call in one process: a super-peer and two people, driven through the engine API only.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;
use twocans::base::CallId;
use twocans::engine::{
    AudioChoice, AudioOptions, CommandId, CommandKind, CommandResult, EndReason, Engine, Event, Events, FailureKind,
    NetworkOptions, NoiseSuppression, Options, Reply, SinkSpec, SourceSpec, SuperPeerMode, quality,
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
async fn what_was_chosen_and_who_was_blocked_outlive_the_program() {
    let mut house = House::build().await;
    let (mut alice, mut bob) = (house.person("alice").await, house.person("bob").await);
    // Bob is no contact of Alice's.
    alice.tell(CommandKind::SetBlocked { person: bob.link.person, blocked: true }).await.expect("anybody can be");
    let strong = AudioChoice::Noise(NoiseSuppression::Strong);
    alice.tell(CommandKind::ChooseAudio(strong)).await.expect("it can be chosen");
    assert_eq!(alice.engine.snapshot().audio.noise_suppression, NoiseSuppression::Strong, "it holds at once");
    alice.stop().await;

    let mut alice = house.person_with("alice", |options| options.audio.remember = true).await;
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
        let link = twocans::engine::my_link(&options.home).expect("a profile can be made");
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

    async fn dial(&mut self, to: &Link) -> Result<CallId, twocans::engine::Failure> {
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

    async fn stop(&mut self) {
        self.engine.send(CommandKind::Shutdown).expect("the engine takes commands");
        self.until(|event| matches!(event, Event::Stopped).then_some(())).await;
    }
}

fn options(home: PathBuf, bootstrap: Vec<String>) -> Options {
    Options {
        home,
        display_name: None,
        online: true,
        callable: false,
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
