//! Looks at everything at once, and tells each result as soon as it is there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{interval, timeout_at};

use super::judge::{self, Presence, SoundFacts};
use super::{Check, CheckKind, Diagnosis, NetworkReport, Verdict, microphone};
use crate::audio::{self, AudioRole};
use crate::engine::desk::DeskInput;
use crate::engine::{AudioOptions, Options, Snapshot, relaying};
use crate::nat::{self, DiscoverConfig, MappedPort, MappingError, OpenPort};
use crate::rendezvous::{RelayGrant, Rendezvous};

/// For our presence to be stored by somebody.
const PRESENCE_PATIENCE: Duration = Duration::from_secs(10);
/// For a super-peer that knows how to be asked.
const SUPER_PEER_PATIENCE: Duration = Duration::from_secs(4);
/// For a second one to answer, after the first.
const SECOND_ANSWER: Duration = Duration::from_millis(500);
/// For a second super-peer to hold a place for us, once the first is found.
const SECOND_SUPER_PEER: Duration = Duration::from_secs(2);
const TOTALS_EVERY: Duration = Duration::from_millis(100);

/// Who is examined.
pub(in crate::engine) struct Patient {
    pub options: Options,
    pub rendezvous: Rendezvous,
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// A call has the sound devices.
    pub in_call: bool,
    pub mapping_lifetime: Option<Duration>,
}

/// Tells each check to `told`, if anybody is interested. Takes about 3 s where the network works and 10 s where it does not; with `mapping_lifetime` as long as that.
pub(in crate::engine) async fn examine(patient: Patient, told: Option<mpsc::Sender<DeskInput>>) -> Diagnosis {
    let tell = |check: Check| async {
        if let Some(desk) = &told {
            // A desk that is gone waits for nothing.
            let _ = desk.send(DeskInput::Checked(check.clone())).await;
        }
        check
    };
    let Options { network, audio, .. } = &patient.options;
    let presence = async {
        let presence = presence(&patient).await;
        let checks = [tell(judge::dht(&presence)).await, tell(judge::super_peers(&presence)).await];
        (presence, checks)
    };
    let nat = async {
        let config = DiscoverConfig {
            servers: servers(&patient).await,
            loopback_only: network.isolated,
            mapping_lifetime: patient.mapping_lifetime,
        };
        let (report, mapping) = tokio::join!(nat::discover(config), try_port_mapping(network.isolated));
        let has_ipv6 = !network.isolated && nat::has_global_ipv6();
        let checks = [
            tell(judge::udp(&report)).await,
            tell(judge::public_address(&report)).await,
            tell(judge::nat(&report)).await,
            tell(judge::ipv6(&report, has_ipv6, network.isolated)).await,
            tell(judge::port_mapping(&report, mapping)).await,
        ];
        (report, checks)
    };
    let sound = async {
        let audio = audio.clone();
        let in_call = patient.in_call;
        let facts = spawn_blocking(move || sound_facts(&audio)).await.ok();
        let devices = tell(judge::devices(facts.as_ref())).await;
        let audio = patient.options.audio.clone();
        let level = if in_call || devices.verdict == Verdict::Problem {
            None
        } else {
            spawn_blocking(move || microphone::listen(&audio.mic, audio.device_frames)).await.ok()
        };
        let level = level.map(|level| level.map_err(|why| why.to_string()));
        [devices, tell(judge::microphone(level, in_call)).await]
    };
    let ((presence, of_presence), (nat, of_nat), of_sound) = tokio::join!(presence, nat, sound);

    let mut checks: Vec<Check> = of_presence.into_iter().chain(of_nat).chain(of_sound).collect();
    checks.sort_by_key(|check| check.what);
    let reach = judge::reach(&presence, &nat, network.relay_only);
    let is_sound = |check: &&Check| matches!(check.what, CheckKind::Devices | CheckKind::MicrophoneLevel);
    let deaf = checks.iter().filter(is_sound).any(|check| check.verdict == Verdict::Problem);
    let answer = judge::answer(&presence, &nat, network.relay_only, reach, deaf);
    let Presence { connections, acks, super_peers, .. } = presence;
    Diagnosis { checks, network: NetworkReport { nat, connections, acks, super_peers, reach }, answer }
}

/// Whom to ask how we look from outside: who was named, else super-peers, else the public servers.
async fn servers(patient: &Patient) -> Vec<SocketAddr> {
    let network = &patient.options.network;
    if !network.stun.is_empty() {
        return network.stun.clone();
    }
    let mut grants = patient.rendezvous.relay_grants(judge::ENOUGH_SUPER_PEERS as usize);
    let mut found = Vec::new();
    let mut deadline = Instant::now() + SUPER_PEER_PATIENCE;
    while let Ok(Some(RelayGrant { offer, tcp, .. })) = timeout_at(deadline.into(), grants.recv()).await {
        let told = if offer.stun.is_empty() { offer.servers } else { offer.stun };
        // Reached over TCP alone: perhaps there is nothing else here, and then it answers there.
        found.extend(tcp.into_iter().chain(told));
        deadline = deadline.min(Instant::now() + SECOND_ANSWER);
    }
    if found.is_empty() {
        found = relaying::addresses_of(network.stun_of_others().to_vec()).await;
    }
    found
}

/// Has the router open a port for a moment. `None` where there is nothing to ask.
async fn try_port_mapping(isolated: bool) -> Option<Result<MappedPort, MappingError>> {
    let inside = |ip: &IpAddr| if let IpAddr::V4(ip) = ip { Some(*ip).filter(Ipv4Addr::is_private) } else { None };
    let ip = nat::usable_addresses().iter().find_map(inside).filter(|_| !isolated)?;
    // Held until the port is given back, so that it leads to nobody else.
    let socket = UdpSocket::bind((ip, 0)).await.ok()?;
    let internal = SocketAddrV4::new(ip, socket.local_addr().ok()?.port());
    match OpenPort::ask(internal).await {
        Ok(port) => {
            let mapped = port.mapped();
            port.give_back().await;
            Some(Ok(mapped))
        }
        Err(why) => Some(Err(why)),
    }
}

/// Waits until we can be called, or until there is no hope.
async fn presence(patient: &Patient) -> Presence {
    let start = Instant::now();
    let deadline = start + PRESENCE_PATIENCE;
    let mut snapshot = patient.snapshot.clone();
    let stored = async { snapshot.wait_for(|now| now.presence_acks > 0).await.is_ok() };
    let callable = patient.options.callable;
    let is_stored = callable && timeout_at(deadline.into(), stored).await.unwrap_or(false);
    let took = start.elapsed();
    let until = deadline.min(Instant::now() + SECOND_SUPER_PEER);
    let mut ticks = interval(TOTALS_EVERY);
    let totals = loop {
        ticks.tick().await;
        // An engine that is stopping has no network any more.
        let totals = patient.rendezvous.totals().await.unwrap_or_default();
        let settled = !is_stored || totals.relays >= judge::ENOUGH_SUPER_PEERS;
        if settled || Instant::now() >= until {
            break totals;
        }
    };
    let now = patient.snapshot.borrow().clone();
    Presence {
        callable,
        acks: now.presence_acks,
        took,
        connections: totals.connections,
        super_peers: totals.relays,
        is_super_peer: now.super_peer,
        isolated: patient.options.network.isolated,
    }
}

/// Blocks for some milliseconds, at most 3 s.
fn sound_facts(options: &AudioOptions) -> SoundFacts {
    let devices = audio::devices().unwrap_or_default();
    let name_of = |role: AudioRole| {
        devices.iter().find(|device| device.role == role && device.is_default).map(|device| device.name.clone())
    };
    let called = |wish: String, default: Option<String>| if wish == "default" { default.unwrap_or(wish) } else { wish };
    SoundFacts {
        microphone: audio::check_source(&options.mic)
            .map(|()| called(options.mic.to_string(), name_of(AudioRole::Microphone)))
            .map_err(|why| why.to_string()),
        speaker: audio::check_sink(&options.speaker)
            .map(|()| called(options.speaker.to_string(), name_of(AudioRole::Speaker)))
            .map_err(|why| why.to_string()),
        ring: audio::check_sink(&options.ring_device).map_err(|why| why.to_string()),
    }
}
