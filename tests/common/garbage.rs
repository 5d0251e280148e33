//! What the internet throws at an open port.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::time::Duration;

/// Sends every kind of garbage to every port on which the process listens; how many ports that were. IPv4 sockets on
/// loopback or on every address.
pub fn send_to_every_port_of(pid: u32) -> usize {
    let (udp, tcp) = (ports(pid, "udp", |state| state == "07"), ports(pid, "tcp", |state| state == "0A"));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("any port is free");
    for at in udp.iter().map(|&port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)) {
        for piece in pieces() {
            // A refused datagram is the other side's right.
            let _ = socket.send_to(&piece[..piece.len().min(60_000)], at);
        }
    }
    for at in tcp.iter().map(|&port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)) {
        for piece in pieces() {
            if let Ok(mut stream) = TcpStream::connect_timeout(&at.into(), Duration::from_secs(1)) {
                let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
                let _ = stream.write_all(&piece);
            }
        }
    }
    udp.len() + tcp.len()
}

/// Nothing, noise of many lengths, and the beginnings of every protocol that lives here.
fn pieces() -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = |length: usize| -> Vec<u8> {
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .take(length)
        .collect()
    };
    let mut all = vec![Vec::new(), vec![0; 1], vec![0xff; 1200], vec![0; 60_000]];
    all.extend([1, 2, 12, 13, 20, 28, 100, 1200, 1472, 9000].map(&mut noise));
    let beginnings: [&[u8]; 7] = [
        b"\x13/multistream/1.0.0\n",
        b"\x00\x01\xff\xf0\x21\x12\xa4\x42", // STUN binding request, length a lie
        b"\x01\x01\x00\x08\x21\x12\xa4\x42AAAAAAAAAAAA\x00\x20\x00\xff", // STUN success, attribute beyond its end
        b"\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff", // DTLS handshake record, length a lie
        b"\x80\x6f\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", // RTP without a payload
        b"\xc3\x00\x00\x00\x01\xff",         // QUIC long header, absurd connection id
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    all.extend(beginnings.map(|beginning| [beginning.to_vec(), noise(64)].concat()));
    all
}

/// IPv4 ports of a process's sockets of one protocol in a state that `/proc/net` writes as `wanted` (proc(5)).
fn ports(pid: u32, protocol: &str, wanted: fn(&str) -> bool) -> BTreeSet<u16> {
    let sockets: BTreeSet<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("the process lives")
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = fs::read_to_string(format!("/proc/{pid}/net/{protocol}")).expect("the process lives");
    let port_of = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (_, port) = address.split_once(':')?;
        let ours = wanted(state) && sockets.contains(*inode);
        ours.then(|| u16::from_str_radix(port, 16).ok()).flatten()
    };
    table.lines().skip(1).filter_map(port_of).collect()
}
