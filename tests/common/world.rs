//! A node and people around it, on loopback or in a network laboratory, ready to call each other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::contract;
use super::netlab::Netns;
use super::process::{Launch, Process};

/// For a process to open its sockets, and for a presence record to be stored.
pub const START_UP: Duration = Duration::from_secs(20);
/// For the other side of a call to show a reaction.
pub const REACTION: Duration = Duration::from_secs(10);

/// The node everybody starts from, and the folder of everybody's profiles.
pub struct World {
    pub node: Process,
    /// Every network option a person's process needs.
    pub network: Vec<String>,
    folder: TempDir,
}

/// Somebody who waits for calls and can be found.
pub struct Answering {
    pub process: Process,
    pub link: String,
    pub person: String,
}

impl World {
    /// On this machine's loopback: no packet leaves it.
    pub fn on_loopback() -> Self {
        Self::start(&["--isolated"], None, &[])
    }

    /// The node on a public host of the laboratory, at `address`. `further` options are given to every person.
    pub fn in_laboratory(host: &Netns, address: std::net::Ipv4Addr, further: &[&str]) -> Self {
        Self::in_laboratory_at(host, &[address], further)
    }

    /// The same with several addresses.
    pub fn in_laboratory_at(host: &Netns, addresses: &[std::net::Ipv4Addr], further: &[&str]) -> Self {
        // Port 443 as a super-peer does by itself where nothing is configured.
        let ways = ["udp/4001/quic-v1", "tcp/4001", "tcp/443"];
        let listen: Vec<String> =
            addresses.iter().flat_map(|address| ways.map(|way| format!("/ip4/{address}/{way}"))).collect();
        let listen: Vec<&str> = listen.iter().flat_map(|address| ["--listen", address]).collect();
        Self::start(&[&LABORATORY[..], &listen].concat(), Some(host), &[&LABORATORY[..], further].concat())
    }

    fn start(node_options: &[&str], host: Option<&Netns>, person_options: &[&str]) -> Self {
        let folder = TempDir::with_prefix("twocans-test-").expect("a temporary folder can be made");
        let mut node = Launch::new("node", &folder.path().join("node"))
            .args(["node", "--super-peer", "always"])
            .args(node_options)
            .inside(host)
            .start();
        let ready = node.next("ready", START_UP);
        let isolated: &[&str] = if host.is_none() { &["--isolated"] } else { &[] };
        let said = isolated.iter().chain(person_options).map(|option| (*option).to_owned());
        let network = said.chain(entry_options(&ready)).collect();
        Self { node, network, folder }
    }

    /// Where `name`'s profile is or will be.
    pub fn home(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Any other file of this world.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A process of `name` with `verb` (and its arguments) and the network options of this world, not yet started.
    pub fn launch<S: AsRef<str>>(&self, name: &str, verb: impl IntoIterator<Item = S>) -> Launch {
        Launch::new(name, &self.home(name)).args(verb).args(&self.network)
    }

    /// `name` waits for calls; returns once their presence is stored.
    pub fn answering(&self, name: &str, options: &[&str], host: Option<&Netns>) -> Answering {
        self.answering_with(name, options, host, &[])
    }

    pub fn answering_with(
        &self,
        name: &str,
        options: &[&str],
        host: Option<&Netns>,
        environment: &[(String, String)],
    ) -> Answering {
        let launch = self.launch(name, [&["answer"][..], options].concat());
        let mut process = launch.inside(host).envs(environment).start();
        let ready = process.next("ready", START_UP);
        process.next_where("presence_published", |event| event["acks"].as_f64() >= Some(1.0), START_UP);
        let text = |field: &str| ready[field].as_str().expect("text").to_owned();
        Answering { process, link: text("link"), person: text("person") }
    }

    /// `name` dials `link`.
    pub fn calling(&self, name: &str, link: &str, options: &[&str], host: Option<&Netns>) -> Process {
        self.launch(name, [&["call", link][..], options].concat()).inside(host).start()
    }

    /// Id of the sound device of this direction (`input`, `output`) whose id or name holds `name`.
    pub fn device_id(&self, environment: &[(String, String)], direction: &str, name: &str) -> String {
        let launch = Launch::new("devices", &self.home("devices")).args(["devices"]).envs(environment);
        let (code, lines) = launch.start_and_wait(REACTION);
        assert_eq!(code, Some(0), "{lines:?}");
        // One object per device, or one object that holds them all.
        let listed: Vec<Value> = lines
            .iter()
            .flat_map(|line| line["devices"].as_array().cloned().unwrap_or_else(|| vec![line.clone()]))
            .collect();
        let is_meant = |device: &&Value| {
            device["role"].as_str().is_none_or(|role| role == direction) && device.to_string().contains(name)
        };
        let device = listed.iter().find(is_meant).unwrap_or_else(|| panic!("{name} is among the devices: {listed:?}"));
        device["id"].as_str().expect("a device has an id").to_owned()
    }

    /// Ends the node and holds its output to the contract.
    pub fn finish(mut self) {
        assert_eq!(self.node.finish(), Some(0), "the node ends properly");
        contract::check("node", &self.node.events());
    }
}

/// What enters the network at the node that said this when it was ready.
pub fn entry_options(ready: &Value) -> impl Iterator<Item = String> {
    listens_at(ready).into_iter().flat_map(|address| ["--bootstrap".to_owned(), address])
}

/// The addresses of the node that said this when it was ready.
pub fn listens_at(ready: &Value) -> Vec<String> {
    let listen = ready["listen"].as_array().expect("listen is an array").iter();
    listen.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What a running node said when it was ready.
pub fn ready_line(node: &Process) -> Value {
    node.events().into_iter().find(|line| line["event"] == "ready").expect("the node is ready")
}

/// A running node's own name.
pub fn node_id(node: &Process) -> String {
    ready_line(node)["node"].as_str().expect("text").to_owned()
}

/// In the laboratory documentation addresses are public ones, and nobody is found by mDNS: by the DHT alone.
pub const LABORATORY: [&str; 3] = ["--no-mdns", "--treat-as-public", "203.0.113.0/24"];

/// Options of somebody who takes every call at once.
pub const AUTO: [&str; 3] = ["--auto", "--from", "anyone"];

/// Audio options of somebody whose microphone is sent as it is: the devices are judged then, not the processing, which
/// changes the waveform.
pub const UNPROCESSED: [&str; 4] = ["--no-aec", "--ns", "off", "--no-agc"];

/// Audio options: says `mic` (a WAV), writes what is heard to `speaker`.
pub fn with_files(mic: &Path, speaker: &Path) -> [String; 4] {
    let file = |path: &Path| format!("file:{}", path.display());
    ["--mic".to_owned(), file(mic), "--speaker".to_owned(), file(speaker)]
}

/// Audio options of a call in which nobody speaks.
pub const SILENT: [&str; 6] = ["--mic", "silence", "--speaker", "null", "--ring-device", "null"];

/// Ends a process as Ctrl-C does; its exit code must be `code`, and all it said is held to the contract.
pub fn finish(process: &mut Process, code: i32) {
    assert_eq!(process.finish(), Some(code), "exit code of {}", process.name);
    contract::check(&process.name, &process.events());
}

/// As [`finish`], for a process that ends by itself.
pub fn finishes_by_itself(process: &mut Process, code: i32, deadline: Duration) {
    assert_eq!(process.wait_exit(deadline), Some(code), "exit code of {}", process.name);
    contract::check(&process.name, &process.events());
}
