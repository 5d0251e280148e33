//! The cast of the demo: three nodes, Alice and Bob, each with a profile in a temporary folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{PATIENCE, Told, too_slow, until};
use crate::cli::clock;
use crate::cli::exit::internal;
use crate::cli::output::{Output, Report, Side};
use crate::engine::{
    AudioOptions, CommandKind, Engine, Event, Events, Failure, FailureKind, FrameLength, NetworkOptions, Options,
    Retry, SinkSpec, SourceSpec, Stamped, SuperPeerMode,
};
use crate::identity::Link;

const ALICE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/speech/alice.wav"));
const BOB: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/speech/bob.wav"));
/// Enough that a record survives one of them.
const NODES: usize = 3;

/// One of the two who talk.
#[derive(Debug, Clone)]
pub struct Actor {
    pub link: Link,
    home: PathBuf,
    /// What they say.
    pub speech: PathBuf,
    /// What they hear.
    pub heard: PathBuf,
}

pub struct Stage {
    folder: TemporaryFolder,
    pub alice: Actor,
    pub bob: Actor,
    nodes: Vec<Running>,
    /// Alice and Bob, once they are online.
    peers: Vec<Running>,
}

struct Running {
    engine: Engine,
    events: Events,
}

impl Stage {
    /// Makes the folders and files; nothing runs yet.
    pub fn build(out: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(out).map_err(|why| unwritable(out, &why))?;
        let folder = TemporaryFolder::create()?;
        let actor = |name: &str, words: &[u8]| -> Result<Actor, Failure> {
            let home = folder.0.join(name);
            let speech = folder.0.join(format!("{name}.wav"));
            std::fs::write(&speech, words).map_err(|why| unwritable(&speech, &why))?;
            let link = crate::engine::my_link(&home)?;
            Ok(Actor { link, home, speech, heard: out.join(format!("heard-by-{name}.wav")) })
        };
        let (alice, bob) = (actor("alice", ALICE)?, actor("bob", BOB)?);
        Ok(Self { folder, alice, bob, nodes: Vec::new(), peers: Vec::new() })
    }

    /// Brings everybody online, until Bob can be called.
    pub async fn open(&mut self, out: &mut dyn Output) -> Result<(), Failure> {
        out.introduce(self.alice.link.person, "Alice");
        out.introduce(self.bob.link.person, "Bob");
        let mut addresses = Vec::new();
        for number in 1..=NODES {
            let home = self.folder.0.join(format!("node{number}"));
            let network = NetworkOptions { super_peer: SuperPeerMode::Always, ..isolated(&addresses) };
            let mut node = start(Options { callable: false, ..options(home, network, AudioOptions::default()) })?;
            addresses.extend(node.ready().await?);
            self.nodes.push(node);
        }
        for actor in [&self.alice, &self.bob] {
            let audio = AudioOptions {
                mic: SourceSpec::File { path: actor.speech.clone(), looped: false, at_launch: false },
                speaker: SinkSpec::File(actor.heard.clone()),
                ring_device: SinkSpec::Null,
                // The quality that is printed is that of 32 kb/s in packets of 20 ms.
                frame: FrameLength::Ms(20),
                ..AudioOptions::default()
            };
            self.peers.push(start(options(actor.home.clone(), isolated(&addresses), audio))?);
        }
        let due = clock::now() + PATIENCE;
        let mut online = [false, false];
        let mut callable = false;
        while online != [true, true] || !callable {
            let (side, stamped) = self.next_before(due, out, "Bob's presence was not stored in time").await?;
            match stamped.event {
                Event::Ready { .. } => online[side as usize] = true,
                Event::PresencePublished { acks, .. } if side == Side::B => callable |= acks > 0,
                Event::Failed(failure) => return Err(failure),
                _ => {}
            }
        }
        out.report(&Report::Note(format!("{NODES} nodes know where Bob is; Alice looks him up there.")));
        Ok(())
    }

    pub fn send(&self, side: Side, kind: CommandKind) -> Result<(), Failure> {
        let peer = self.peers.get(side as usize).ok_or_else(|| internal("nobody is on stage"))?;
        peer.engine.send(kind).map(|_| ()).map_err(|why| internal(why.to_string()))
    }

    /// The next event of Alice or Bob, told as it passes; `None` when `end` comes first.
    pub async fn next_until(&mut self, end: Instant, out: &mut dyn Output) -> Result<Option<Told>, Failure> {
        let [alice, bob] = self.peers.as_mut_slice() else { return Err(internal("nobody is on stage")) };
        let told = tokio::select! {
            stamped = alice.events.recv() => stamped.map(|stamped| (Side::A, stamped)),
            stamped = bob.events.recv() => stamped.map(|stamped| (Side::B, stamped)),
            () = until(end) => return Ok(None),
        };
        let told = told.ok_or_else(|| internal("an engine stopped in the middle of the demo"))?;
        out.event(&told.1, Some(told.0));
        Ok(Some(told))
    }

    /// As [`Stage::next_until`], but time running out is a failure.
    pub async fn next_before(&mut self, due: Instant, out: &mut dyn Output, slow: &str) -> Result<Told, Failure> {
        self.next_until(due, out).await?.ok_or_else(|| too_slow(slow))
    }

    /// How long the longer of the two speaks.
    pub fn speech_length(&self) -> Duration {
        let length = |words: &[u8]| {
            let reader = hound::WavReader::new(words).ok()?;
            Some(Duration::from_secs_f64(f64::from(reader.duration()) / f64::from(reader.spec().sample_rate)))
        };
        length(ALICE).max(length(BOB)).unwrap_or_default()
    }

    /// Sends everybody home, the peers before the nodes that serve them, and shows what the peers still say.
    pub async fn close(&mut self, out: &mut dyn Output) {
        let sides = [Side::A, Side::B];
        for (side, peer) in sides.into_iter().zip(self.peers.drain(..)) {
            peer.stop(|stamped| out.event(stamped, Some(side))).await;
        }
        for node in &self.nodes {
            let _ = node.engine.send(CommandKind::Shutdown);
        }
        for node in self.nodes.drain(..) {
            node.stop(|_| {}).await;
        }
    }
}

fn start(options: Options) -> Result<Running, Failure> {
    let (engine, events) = Engine::start(options, Arc::new(|| {}))?;
    Ok(Running { engine, events })
}

impl Running {
    /// Waits until sockets are open and gives their addresses.
    async fn ready(&mut self) -> Result<Vec<String>, Failure> {
        let listening = async {
            loop {
                match self.events.recv().await.map(|stamped| stamped.event) {
                    Some(Event::Ready { listen, .. }) => return Ok(listen),
                    Some(Event::Failed(failure)) => return Err(failure),
                    Some(_) => {}
                    None => return Err(internal("a node of the demo stopped")),
                }
            }
        };
        tokio::time::timeout(PATIENCE, listening).await.map_err(|_| too_slow("a node did not start in time"))?
    }

    async fn stop(mut self, mut tell: impl FnMut(&Stamped)) {
        let _ = self.engine.send(CommandKind::Shutdown);
        let stopped = async {
            while let Some(stamped) = self.events.recv().await {
                tell(&stamped);
                if stamped.event == Event::Stopped {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(3), stopped).await;
    }
}

fn isolated(bootstrap: &[String]) -> NetworkOptions {
    NetworkOptions {
        bootstrap: bootstrap.to_vec(),
        isolated: true,
        super_peer: SuperPeerMode::Never,
        ..NetworkOptions::default()
    }
}

fn options(home: PathBuf, network: NetworkOptions, audio: AudioOptions) -> Options {
    Options {
        home,
        display_name: None,
        online: true,
        callable: true,
        windowed: false,
        serves: false,
        network,
        audio,
        remember: false,
        group_limit: crate::engine::DEFAULT_GROUP_LIMIT,
    }
}

fn unwritable(path: &Path, why: &std::io::Error) -> Failure {
    Failure {
        kind: FailureKind::Usage,
        retry: Retry::AfterUserAction,
        detail: format!("cannot write {}: {why}; choose another folder with --out", path.display()),
    }
}

/// Removed with everything in it when dropped.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn create() -> Result<Self, Failure> {
        let parent = std::env::temp_dir();
        for number in 0..100 {
            let path = parent.join(format!("twocans-demo-{}-{number}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(why) => return Err(internal(format!("cannot make a folder in {}: {why}", parent.display()))),
            }
        }
        Err(internal(format!("{} is full of folders of earlier demos", parent.display())))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
