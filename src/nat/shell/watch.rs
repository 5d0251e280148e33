//! Notices at once when this machine gets into another network.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::super::outlook::{NetworkChange, Outlook, default_gateways, is_usable};

/// A change comes in pieces: an address goes, another comes, then a route. This much quiet means that all are there.
const SETTLE: Duration = Duration::from_millis(30);
/// Where pieces come without end, this is waited for at most.
const LONGEST_SETTLE: Duration = Duration::from_millis(200);
/// Addresses that no packet is ever sent to (RFC 5737, RFC 3849): connecting a socket to them tells the way.
const SOMEWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// Watches addresses and default routes. Where the system tells of changes (Linux's netlink) it costs nothing while
/// nothing happens; elsewhere it looks every two seconds.
pub struct NetworkWatch {
    seen: Outlook,
    alarm: Alarm,
}

impl NetworkWatch {
    /// Begins with things as they are now. Fails when the system refuses a socket.
    pub fn start() -> io::Result<Self> {
        let alarm = Alarm::start()?;
        Ok(Self { seen: look(), alarm })
    }

    /// Waits for the next change.
    pub async fn changed(&mut self) -> NetworkChange {
        loop {
            let mut address_lost = self.alarm.wait().await;
            let latest = Instant::now() + LONGEST_SETTLE;
            while let Ok(lost) = timeout_at(latest.min(Instant::now() + SETTLE), self.alarm.wait()).await {
                address_lost |= lost;
            }
            let now = look();
            let change = now.change_since(&self.seen, address_lost);
            self.seen = now;
            if let Some(change) = change {
                return change;
            }
        }
    }
}

/// This machine's addresses that others could know.
pub fn usable_addresses() -> BTreeSet<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default().into_iter();
    interfaces.map(|interface| interface.ip()).filter(|ip| is_usable(*ip)).collect()
}

fn look() -> Outlook {
    // Only Linux has this file; elsewhere the sources tell nearly as much.
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    Outlook { addresses: usable_addresses(), sources: SOMEWHERE.map(source), gateways: default_gateways(&table) }
}

/// The address from which packets to `somewhere` leave.
fn source(somewhere: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match somewhere {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((somewhere, 9)).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

#[cfg(target_os = "linux")]
use netlink::Alarm;
#[cfg(not(target_os = "linux"))]
use polling::Alarm;

#[cfg(target_os = "linux")]
mod netlink {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::io::Errno;
    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
    use tokio::io::unix::AsyncFd;

    use super::super::super::outlook::tells_of_lost_address;

    /// Multicast groups of rtnetlink(7): IPv4 addresses and routes, IPv6 addresses and routes.
    const GROUPS: u32 = 0x10 | 0x40 | 0x100 | 0x400;
    /// Longest batch of messages that is read; longer ones are cut.
    const BATCH: usize = 8192;

    /// The kernel's word that something about addresses or routes is new.
    pub(super) struct Alarm(AsyncFd<OwnedFd>);

    impl Alarm {
        pub(super) fn start() -> io::Result<Self> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            // No protocol number is number 0, which is `NETLINK_ROUTE`.
            let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
            bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
            #[expect(
                deprecated,
                reason = "its successor is unsafe for types that lie about their descriptor; this one does not"
            )]
            let socket = AsyncFd::new(socket)?;
            Ok(Self(socket))
        }

        /// Waits for news; whether they tell of a lost address. What comes in a burst is counted as one.
        pub(super) async fn wait(&mut self) -> bool {
            let mut buffer = [0; BATCH];
            let Ok(mut ready) = self.0.readable().await else { return std::future::pending().await };
            let mut address_lost = false;
            loop {
                match recv(ready.get_inner(), &mut buffer[..], RecvFlags::empty()) {
                    Ok((length, _)) => address_lost |= tells_of_lost_address(buffer.get(..length).unwrap_or_default()),
                    // So much has happened that the kernel dropped some of it: look.
                    Err(Errno::NOBUFS | Errno::INTR) => {}
                    Err(_) => {
                        ready.clear_ready();
                        return address_lost;
                    }
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod polling {
    use std::io;
    use std::time::Duration;

    const EVERY: Duration = Duration::from_secs(2);

    pub(super) struct Alarm;

    impl Alarm {
        #[allow(clippy::unnecessary_wraps, reason = "as on Linux")]
        pub(super) fn start() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn wait(&mut self) -> bool {
            tokio::time::sleep(EVERY).await;
            false
        }
    }
}
