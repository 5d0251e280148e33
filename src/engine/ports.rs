//! The port that the router keeps open for a super-peer of ours.

use std::net::{SocketAddr, SocketAddrV4};

use tokio::sync::mpsc;

use super::desk::DeskInput;
use super::options::NetworkOptions;
use crate::nat::PortKeeper;

/// At most one: that of QUIC. The media relay would need a port for each call, so a super-peer behind a router serves the
/// hash table and ringing alone.
#[derive(Default)]
pub(super) struct Ports {
    kept: Option<(SocketAddrV4, PortKeeper)>,
}

impl Ports {
    /// We serve at these addresses of our own from now on.
    pub fn serve(&mut self, addresses: &[SocketAddr], network: &NetworkOptions, desk: &mpsc::Sender<DeskInput>) {
        self.keep(behind_router(addresses), network, desk);
    }

    /// Has the router lead strangers to this address of ours, if the user lets us ask. News of the port come as
    /// [`DeskInput::PortMapped`].
    pub fn keep(&mut self, internal: Option<SocketAddrV4>, network: &NetworkOptions, desk: &mpsc::Sender<DeskInput>) {
        let wanted = internal.filter(|_| network.port_mapping && !network.isolated);
        if wanted == self.kept.as_ref().map(|(internal, _)| *internal) {
            return;
        }
        if let Some((_, before)) = self.kept.take() {
            tokio::spawn(before.close());
        }
        self.kept = wanted.map(|internal| (internal, PortKeeper::start(internal)));
        if let Some((_, keeper)) = &self.kept {
            let (mut news, desk) = (keeper.subscribe(), desk.clone());
            tokio::spawn(async move {
                while news.changed().await.is_ok() {
                    let mapped = *news.borrow_and_update();
                    if desk.send(DeskInput::PortMapped(mapped)).await.is_err() {
                        return;
                    }
                }
            });
        }
    }

    /// Gives the port back.
    pub async fn close(&mut self) {
        if let Some((_, keeper)) = self.kept.take() {
            keeper.close().await;
        }
    }
}

/// The address to which a router would have to lead strangers: a private one, where there is no public one.
fn behind_router(addresses: &[SocketAddr]) -> Option<SocketAddrV4> {
    let v4 = || addresses.iter().filter_map(|address| if let SocketAddr::V4(v4) = address { Some(*v4) } else { None });
    let is_inside = |address: &SocketAddrV4| address.ip().is_private() || address.ip().is_link_local();
    let has_public = v4().any(|address| !is_inside(&address) && !address.ip().is_loopback());
    v4().find(is_inside).filter(|_| !has_public)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_inside_alone_asks_for_a_port() {
        let of = |texts: &[&str]| {
            let addresses: Vec<SocketAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
            behind_router(&addresses)
        };
        assert_eq!(of(&["192.168.1.5:4001"]), Some("192.168.1.5:4001".parse().unwrap()));
        assert_eq!(of(&["[fd00::1]:4001", "10.0.0.5:7"]), Some("10.0.0.5:7".parse().unwrap()));
        assert_eq!(of(&["192.168.1.5:4001", "8.8.8.8:4001"]), None);
        assert_eq!(of(&["127.0.0.1:4001"]), None);
        assert_eq!(of(&[]), None);
    }
}
