//! AutoNAT v2 against libp2p's own implementation, which shares nothing with ours: its server dials our node, and our
//! super-peer dials its client. On loopback, in one process.

use std::time::Duration;

use futures::StreamExt;
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{StreamProtocol, SwarmBuilder, identify, kad, noise, relay, tcp, yamux};
use libp2p_autonat::v2;
use tokio::time::timeout;
use twocans::rendezvous::{Rendezvous, RendezvousConfig, RendezvousEvent};

const PATIENCE: Duration = Duration::from_secs(30);

fn isolated(bootstrap: Vec<String>) -> RendezvousConfig {
    RendezvousConfig { isolated: true, bootstrap, ..RendezvousConfig::default() }
}

fn swarm<B: NetworkBehaviour>(of: impl FnOnce(&libp2p::identity::Keypair) -> B) -> Swarm<B> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_quic()
        .with_behaviour(of)
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build();
    swarm.listen_on("/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()).unwrap();
    swarm
}

fn introduction(key: &libp2p::identity::Keypair) -> identify::Behaviour {
    identify::Behaviour::new(identify::Config::new("/twocans/1".into(), key.public()))
}

#[derive(NetworkBehaviour)]
struct Server {
    kad: kad::Behaviour<MemoryStore>,
    relay: relay::Behaviour,
    identify: identify::Behaviour,
    autonat: v2::server::Behaviour,
}

#[tokio::test]
async fn their_server_dials_our_node() {
    let mut theirs = swarm(|key| {
        let me = key.public().to_peer_id();
        let config = kad::Config::new(StreamProtocol::new("/twocans/kad/1"));
        let mut kad = kad::Behaviour::with_config(me, MemoryStore::new(me), config);
        kad.set_mode(Some(kad::Mode::Server));
        let mut relay = relay::Behaviour::new(me, relay::Config::default());
        relay.set_status(Some(relay::Status::Enable));
        Server { kad, relay, identify: introduction(key), autonat: v2::server::Behaviour::default() }
    });
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = theirs.select_next_some().await {
            break address;
        }
    };
    theirs.add_external_address(address.clone());
    let bootstrap = vec![format!("{address}/p2p/{}", theirs.local_peer_id())];
    tokio::spawn(async move {
        loop {
            if let SwarmEvent::Behaviour(ServerEvent::Autonat(event)) = theirs.select_next_some().await {
                println!("their server: {event:?}");
            }
        }
    });
    let volunteer = Some(Duration::from_secs(1));
    let config = RendezvousConfig { volunteer, treat_as_public: vec!["127.0.0.0/8".to_owned()], ..isolated(bootstrap) };
    let (ours, mut events) = Rendezvous::start(config).await.unwrap();
    let serves = async {
        loop {
            if let Some(RendezvousEvent::SuperPeer { on, .. }) = events.recv().await {
                return on;
            }
        }
    };
    assert!(timeout(PATIENCE, serves).await.expect("their server confirms our address"));
    ours.shutdown().await;
}

#[derive(NetworkBehaviour)]
struct Client {
    identify: identify::Behaviour,
    autonat: v2::client::Behaviour,
}

#[tokio::test]
async fn our_super_peer_dials_their_client() {
    let (ours, _events) = Rendezvous::start(RendezvousConfig { server: true, ..isolated(vec![]) }).await.unwrap();
    let mut theirs = swarm(|key| Client { identify: introduction(key), autonat: v2::client::Behaviour::default() });
    let quic = ours.listen_addrs().into_iter().find(|address| address.contains("quic")).unwrap();
    while !matches!(theirs.select_next_some().await, SwarmEvent::NewListenAddr { .. }) {}
    theirs.dial(quic.parse::<libp2p::Multiaddr>().unwrap()).unwrap();
    let confirmed = async {
        loop {
            if let SwarmEvent::Behaviour(ClientEvent::Autonat(event)) = theirs.select_next_some().await {
                return event;
            }
        }
    };
    let event = timeout(PATIENCE, confirmed).await.expect("their client hears of it");
    assert!(event.result.is_ok(), "{event:?}");
    assert_eq!(event.server.to_string(), ours.node().to_string());
    assert_eq!(event.bytes_sent, 0, "nobody has to pay for being dialled at their own address");
    ours.shutdown().await;
}
