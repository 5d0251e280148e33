//! Asks the router for ports, keeps them open, and gives them back. The only file that names the crates for it.
//!
//! PCP and NAT-PMP are one datagram to the default gateway, so they come first; UPnP has to look for the router by
//! multicast. A lease is always for a limited time: a process that is killed leaves nothing behind for long.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU16;
use std::time::Duration;

use crab_nat::natpmp;
use crab_nat::{InternetProtocol, MappingFailure, PortMapping, PortMappingOptions, PortMappingType, TimeoutConfig};
use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{PortMappingProtocol, SearchOptions};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::super::mapping::{MappedPort, MappingError, MappingProtocol, gateway_of};
use super::super::outlook::default_gateways;

/// How long a port is asked for.
const LEASE: Duration = Duration::from_secs(3600);
/// A lease is renewed when half of it is over, but not more often than this, whatever the router grants.
const SHORTEST_RENEWAL: Duration = Duration::from_secs(60);
/// After a failure, doubled each time.
const RETRY: Duration = Duration::from_secs(60);
const LONGEST_RETRY: Duration = Duration::from_secs(30 * 60);
/// A home router answers within milliseconds; three datagrams are sent.
const FIRST_ANSWER: TimeoutConfig = TimeoutConfig {
    initial_timeout: Duration::from_millis(250),
    max_retries: 2,
    max_retry_timeout: Some(Duration::from_secs(1)),
};
/// For a router to be found by UPnP, and for it to do what it is asked.
const SEARCH: Duration = Duration::from_secs(2);
const REQUEST: Duration = Duration::from_secs(3);
/// Giving everything back must not hold up the end of the program.
const GIVE_BACK: Duration = Duration::from_millis(1500);
/// What routers show in their list of open ports.
const DESCRIPTION: &str = "twocans";

/// A UDP port that the router keeps open for us, until it is given back.
pub struct OpenPort {
    mapped: MappedPort,
    lease: Duration,
    way: Way,
}

/// Whom to tell when it is renewed or given back.
enum Way {
    Pmp(Box<PortMapping>),
    Upnp(Box<Gateway<Tokio>>),
}

impl OpenPort {
    /// Asks the router to send what comes to a port of its own to `internal`, a UDP socket of this machine.
    ///
    /// # Errors
    /// After about 5 s when no router answers.
    pub async fn ask(internal: SocketAddrV4) -> Result<Self, MappingError> {
        let first = Self::ask_gateway(internal).await;
        match first {
            Ok(open) => Ok(open),
            Err(why) => match Self::ask_upnp(internal).await {
                Err(MappingError::NoRouter) => Err(why),
                other => other,
            },
        }
    }

    pub fn mapped(&self) -> MappedPort {
        self.mapped
    }

    /// Asks for more time. On an error the port is lost.
    async fn renew(mut self) -> Result<Self, MappingError> {
        match &mut self.way {
            Way::Pmp(mapping) => {
                mapping.renew().await.map_err(refused)?;
                Self::of_gateway(mapping.as_ref().clone(), self.mapped.internal).await
            }
            Way::Upnp(router) => {
                let again = open_by_upnp(router, self.mapped.internal, Some(self.mapped.external.port())).await?;
                Ok(Self { mapped: again, ..self })
            }
        }
    }

    /// Has the router close the port; one that does not listen closes it when the lease is over.
    pub async fn give_back(self) {
        let Self { mapped, way, .. } = self;
        let given_back = timeout(GIVE_BACK, async {
            match way {
                Way::Pmp(mapping) => mapping.try_drop().await.is_ok(),
                Way::Upnp(router) => router.remove_port(PortMappingProtocol::UDP, mapped.external.port()).await.is_ok(),
            }
        });
        if !given_back.await.unwrap_or(false) {
            tracing::debug!("the router did not take a port back");
        }
    }

    /// By PCP, or by NAT-PMP where the router says that it is older.
    async fn ask_gateway(internal: SocketAddrV4) -> Result<Self, MappingError> {
        let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
        let gateways = default_gateways(&table);
        let gateway = gateways.iter().find_map(|route| gateway_of(route)).ok_or(MappingError::NoRouter)?;
        let port = NonZeroU16::new(internal.port()).ok_or(MappingError::NoRouter)?;
        let options = PortMappingOptions {
            external_port: Some(port),
            lifetime_seconds: Some(LEASE.as_secs() as u32),
            timeout_config: Some(FIRST_ANSWER),
        };
        let client = IpAddr::V4(*internal.ip());
        let mapping = PortMapping::new(gateway.into(), client, InternetProtocol::Udp, port, options).await;
        Self::of_gateway(mapping.map_err(refused)?, internal).await
    }

    async fn of_gateway(mapping: PortMapping, internal: SocketAddrV4) -> Result<Self, MappingError> {
        let (ip, by) = match mapping.mapping_type() {
            PortMappingType::Pcp { external_ip: IpAddr::V4(ip), .. } => (ip, MappingProtocol::Pcp),
            PortMappingType::Pcp { .. } => return Err(MappingError::Refused("it has no IPv4 address".to_owned())),
            PortMappingType::NatPmp => {
                let told = natpmp::external_address(mapping.gateway(), Some(FIRST_ANSWER)).await;
                (told.map_err(|why| MappingError::Refused(why.to_string()))?, MappingProtocol::NatPmp)
            }
        };
        let external = SocketAddrV4::new(believable(ip)?, mapping.external_port().get());
        let lease = Duration::from_secs(mapping.lifetime().into());
        Ok(Self { mapped: MappedPort { internal, external, by }, lease, way: Way::Pmp(Box::new(mapping)) })
    }

    async fn ask_upnp(internal: SocketAddrV4) -> Result<Self, MappingError> {
        let mut options = SearchOptions::default();
        // The multicast leaves by the interface that the port is on.
        options.bind_addr = SocketAddr::new(IpAddr::V4(*internal.ip()), 0);
        options.timeout = Some(SEARCH);
        options.single_search_timeout = Some(SEARCH);
        let router = search_gateway(options).await.map_err(|_| MappingError::NoRouter)?;
        let mapped = open_by_upnp(&router, internal, None).await?;
        Ok(Self { mapped, lease: LEASE, way: Way::Upnp(Box::new(router)) })
    }
}

/// `external`: the port that we have already, of which more time is wanted.
async fn open_by_upnp(
    router: &Gateway<Tokio>,
    internal: SocketAddrV4,
    external: Option<u16>,
) -> Result<MappedPort, MappingError> {
    let refused = |why: &dyn std::fmt::Display| MappingError::Refused(why.to_string());
    let exchange = async {
        let IpAddr::V4(ip) = router.get_external_ip().await.map_err(|why| refused(&why))? else {
            return Err(MappingError::Refused("it has no IPv4 address".to_owned()));
        };
        let (lease, at) = (LEASE.as_secs() as u32, SocketAddr::V4(internal));
        let wanted = external.unwrap_or(internal.port());
        let same = router.add_port(PortMappingProtocol::UDP, wanted, at, lease, DESCRIPTION).await;
        let port = match same {
            Ok(()) => wanted,
            Err(_) if external.is_none() => router
                .add_any_port(PortMappingProtocol::UDP, at, lease, DESCRIPTION)
                .await
                .map_err(|why| refused(&why))?,
            Err(why) => return Err(refused(&why)),
        };
        let external = SocketAddrV4::new(believable(ip)?, port);
        Ok(MappedPort { internal, external, by: MappingProtocol::Upnp })
    };
    timeout(REQUEST, exchange).await.unwrap_or_else(|_| Err(MappingError::Refused("it does not answer".to_owned())))
}

fn believable(ip: Ipv4Addr) -> Result<Ipv4Addr, MappingError> {
    let is_an_address = !ip.is_unspecified() && !ip.is_broadcast() && !ip.is_multicast() && !ip.is_loopback();
    is_an_address.then_some(ip).ok_or_else(|| MappingError::Refused(format!("it says that its address is {ip}")))
}

fn refused(why: MappingFailure) -> MappingError {
    match why {
        MappingFailure::NatPmp(natpmp::Failure::Timeout | natpmp::Failure::Socket(_))
        | MappingFailure::Pcp(crab_nat::pcp::Failure::Timeout | crab_nat::pcp::Failure::Socket(_)) => {
            MappingError::NoRouter
        }
        other => MappingError::Refused(other.to_string()),
    }
}

/// Keeps a port open as long as this exists; [`PortKeeper::close`] waits until it is given back.
pub struct PortKeeper {
    stop: CancellationToken,
    keeping: JoinHandle<()>,
    told: watch::Receiver<Option<MappedPort>>,
}

impl PortKeeper {
    /// Must be called on a runtime.
    pub fn start(internal: SocketAddrV4) -> Self {
        let (tell, told) = watch::channel(None);
        let stop = CancellationToken::new();
        let keeping = tokio::spawn(keep(internal, tell, stop.clone()));
        Self { stop, keeping, told }
    }

    /// The port that is open now, and each change.
    pub fn subscribe(&self) -> watch::Receiver<Option<MappedPort>> {
        self.told.clone()
    }

    pub async fn close(self) {
        self.stop.cancel();
        let _ = timeout(2 * GIVE_BACK, self.keeping).await;
    }
}

async fn keep(internal: SocketAddrV4, tell: watch::Sender<Option<MappedPort>>, stop: CancellationToken) {
    let mut open: Option<OpenPort> = None;
    let mut retry = RETRY;
    loop {
        let before = open.take();
        let attempt = async {
            let renewed = match before {
                Some(port) => port.renew().await.ok(),
                None => None,
            };
            match renewed {
                Some(port) => Ok(port),
                None => OpenPort::ask(internal).await,
            }
        };
        // A port that is being asked for when everything ends closes with its lease.
        let outcome = tokio::select! {
            outcome = attempt => outcome,
            () = stop.cancelled() => return,
        };
        let wait = match outcome {
            Ok(port) => {
                retry = RETRY;
                let wait = (port.lease / 2).clamp(SHORTEST_RENEWAL, LEASE);
                open = Some(port);
                wait
            }
            Err(why) => {
                tracing::debug!(%why, "the router opens no port");
                let wait = retry;
                retry = (retry * 2).min(LONGEST_RETRY);
                wait
            }
        };
        let mapped = open.as_ref().map(OpenPort::mapped);
        tell.send_if_modified(|told| std::mem::replace(told, mapped) != mapped);
        tokio::select! {
            () = sleep_until(Instant::now() + wait) => {}
            () = stop.cancelled() => break,
        }
    }
    if let Some(port) = open {
        port.give_back().await;
    }
}
