//! The STUN service of a peer that others can reach (RFC 8489 §6.3, RFC 5780 §6.1): who asks is told how they are seen,
//! and, where this peer has more than one address, from which others it can answer.

use std::net::SocketAddr;

use super::stun::{self, CHANGE_REQUEST, Question, Wishes};

/// Addresses that one service may have.
const MAX_ENDPOINTS: usize = 16;

/// A stateless STUN server with one or more addresses: a datagram in, a datagram out.
///
/// Only addresses that are really served may be named here: a client that is told of another one believes that a
/// firewall swallows what never was sent.
#[derive(Debug, Clone)]
pub struct StunService {
    /// By socket: the address under which the world reaches it.
    endpoints: Vec<SocketAddr>,
}

/// A response, and the way it has to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Index of the socket to send it from.
    pub socket: usize,
    pub to: SocketAddr,
    pub payload: Vec<u8>,
}

impl StunService {
    /// `endpoints` in the order of the sockets; more than 16 are not served.
    pub fn new(mut endpoints: Vec<SocketAddr>) -> Self {
        endpoints.truncate(MAX_ENDPOINTS);
        Self { endpoints }
    }

    /// What to say to a datagram that came from `from` to the socket of this index; `None`: nothing.
    ///
    /// A response goes to the IP address of whoever asked, and is at most about twice as long as the smallest request
    /// with its IP and UDP headers: it does not make a flood worse.
    pub fn answer(&self, socket: usize, datagram: &[u8], from: SocketAddr) -> Option<Answer> {
        let Question { transaction, wishes, mut unknown } = stun::question(datagram)?;
        let speaker = self.speaker(socket, wishes);
        if speaker.is_none() {
            unknown.push(CHANGE_REQUEST);
        }
        let (socket, payload) = match speaker {
            Some(speaker) if unknown.is_empty() => {
                let endpoint = |index: usize| self.endpoints.get(index).copied();
                let other = self.other(socket).and_then(endpoint);
                (speaker, stun::success(transaction, from, endpoint(speaker)?, other)?)
            }
            Some(_) | None => (socket, stun::refusal(transaction, &unknown)?),
        };
        let port = wishes.response_port.unwrap_or(from.port());
        Some(Answer { socket, to: SocketAddr::new(from.ip(), port), payload })
    }

    /// The socket that differs from this one as much as possible: IP and port, else the port alone (RFC 5780 §7.4).
    fn other(&self, socket: usize) -> Option<usize> {
        self.find(socket, true, true).or_else(|| self.find(socket, false, true))
    }

    /// The socket from which the response is wanted.
    fn speaker(&self, socket: usize, wishes: Wishes) -> Option<usize> {
        match (wishes.change_ip, wishes.change_port) {
            (false, false) => Some(socket),
            (change_ip, change_port) => self.find(socket, change_ip, change_port),
        }
    }

    /// The first socket of the same family whose IP and port differ from this one's exactly as said.
    fn find(&self, socket: usize, change_ip: bool, change_port: bool) -> Option<usize> {
        let here = self.endpoints.get(socket)?;
        self.endpoints.iter().position(|there| {
            there.is_ipv4() == here.is_ipv4()
                && (there.ip() != here.ip()) == change_ip
                && (there.port() != here.port()) == change_port
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nat::stun::{StunError, binding, binding_request, binding_request_with};

    const TRANSACTION: [u8; 12] = *b"twelve bytes";

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// The four addresses of RFC 5780 §6.
    fn full() -> StunService {
        let endpoints = ["192.0.2.1:3478", "192.0.2.1:3479", "192.0.2.2:3478", "192.0.2.2:3479"];
        StunService::new(endpoints.map(at).to_vec())
    }

    fn ask(service: &StunService, socket: usize, wishes: Wishes) -> Answer {
        service.answer(socket, &binding_request_with(TRANSACTION, wishes), at("198.51.100.7:4000")).unwrap()
    }

    #[test]
    fn the_response_leaves_from_where_it_is_wanted() {
        for (socket, change_ip, change_port, speaker) in [
            (0, false, false, 0),
            (0, false, true, 1),
            (0, true, false, 2),
            (0, true, true, 3),
            (3, true, true, 0),
            (2, false, true, 3),
        ] {
            let answer = ask(&full(), socket, Wishes { change_ip, change_port, response_port: None });
            assert_eq!(answer.socket, speaker, "{socket} {change_ip} {change_port}");
            assert_eq!(answer.to, at("198.51.100.7:4000"));
            let read = binding(&answer.payload, TRANSACTION).unwrap();
            assert_eq!(read.mapped, at("198.51.100.7:4000"));
            let other = full().endpoints[3 - socket];
            assert_eq!(read.other, Some(other), "OTHER-ADDRESS depends on who was asked, not on who answers");
        }
    }

    #[test]
    fn a_server_promises_only_what_it_has() {
        let one = StunService::new(vec![at("192.0.2.1:3478")]);
        let answer = ask(&one, 0, Wishes::default());
        assert_eq!(binding(&answer.payload, TRANSACTION).unwrap().other, None);
        let change_port = Wishes { change_port: true, ..Wishes::default() };
        assert_eq!(binding(&ask(&one, 0, change_port).payload, TRANSACTION), Err(StunError::Refused(420)));

        let two_ports = StunService::new(vec![at("192.0.2.1:3478"), at("192.0.2.1:3479"), at("[2001:db8::1]:3479")]);
        let answer = ask(&two_ports, 0, change_port);
        assert_eq!(answer.socket, 1);
        assert_eq!(binding(&answer.payload, TRANSACTION).unwrap().other, Some(at("192.0.2.1:3479")));
        let change_ip = Wishes { change_ip: true, change_port: true, response_port: None };
        let refused = ask(&two_ports, 0, change_ip);
        assert_eq!((refused.socket, binding(&refused.payload, TRANSACTION)), (0, Err(StunError::Refused(420))));
    }

    #[test]
    fn another_port_of_the_asker_can_be_answered() {
        let wishes = Wishes { response_port: Some(4001), ..Wishes::default() };
        let answer = ask(&full(), 0, wishes);
        assert_eq!((answer.socket, answer.to), (0, at("198.51.100.7:4001")));
        assert_eq!(binding(&answer.payload, TRANSACTION).unwrap().mapped, at("198.51.100.7:4000"));
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_refused() {
        let mut request = binding_request(TRANSACTION);
        // A made-up attribute 0x7ffe of no bytes, before FINGERPRINT.
        request.splice(20..20, [0x7f, 0xfe, 0, 0]);
        request[3] += 4;
        let answer = full().answer(0, &request, at("198.51.100.7:4000")).unwrap();
        assert_eq!(binding(&answer.payload, TRANSACTION), Err(StunError::Refused(420)));
        assert!(answer.payload.windows(2).any(|pair| pair == [0x7f, 0xfe]), "the attribute is named");
    }

    #[test]
    fn the_service_answers_neither_noise_nor_responses() {
        let service = full();
        assert_eq!(service.answer(0, b"hello", at("198.51.100.7:4000")), None);
        assert_eq!(service.answer(9, &binding_request(TRANSACTION), at("198.51.100.7:4000")), None);
        let response = ask(&service, 0, Wishes::default()).payload;
        assert_eq!(service.answer(0, &response, at("198.51.100.7:4000")), None);
    }
}
