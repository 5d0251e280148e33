//! The network laboratory itself: its NATs do what RFC 4787 calls them, its impairments what they were told.

mod common;

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use common::figures::{quantile, spread};
use common::machine::{measuring, sharing};
use common::natprobe::{Behaviour, Dependence, Responder, probe};
use common::netem::{Impairment, Loss};
use common::netlab::{Lab, NatKind, Netns, Way, laboratory};

const RESPONDER: [Ipv4Addr; 2] = [Ipv4Addr::new(203, 0, 113, 10), Ipv4Addr::new(203, 0, 113, 11)];
const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const ECHO: SocketAddrV4 = SocketAddrV4::new(PUBLIC, 7);

#[test]
fn every_nat_kind_behaves_as_it_is_called() {
    let _machine = sharing();
    laboratory("every_nat_kind_behaves_as_it_is_called", || {
        use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
        let kinds = [
            (NatKind::None, EndpointIndependent, EndpointIndependent),
            (NatKind::FullCone, EndpointIndependent, EndpointIndependent),
            (NatKind::AddressRestricted, EndpointIndependent, AddressDependent),
            (NatKind::PortRestricted, EndpointIndependent, AddressAndPortDependent),
            (NatKind::Symmetric, AddressAndPortDependent, AddressAndPortDependent),
        ];
        let lab = Lab::new();
        let stun = lab.public_host("stun", &RESPONDER);
        let _responder = Responder::start(&stun, RESPONDER);
        for (number, (kind, mapping, filtering)) in (1u8..).zip(kinds) {
            let wan = Ipv4Addr::new(203, 0, 113, 100 + number);
            let site = lab.site(&format!("r{number}"), wan, [192, 168, number], kind);
            let host = lab.lan_host(&site, &format!("h{number}"), 10);
            let seen = probe(&host, RESPONDER);
            let expected = Behaviour { mapping, filtering, translated: kind != NatKind::None };
            assert_eq!(seen, Some(expected), "{kind:?}");
            println!("{kind:?}: mapping {mapping:?}, filtering {filtering:?}");
        }
    });
}

#[test]
fn impairments_do_what_they_are_told() {
    let _machine = measuring();
    laboratory("impairments_do_what_they_are_told", || {
        let mut lab = Lab::new();
        let far = lab.public_host("far", &[PUBLIC]);
        let site = lab.site("ra", Ipv4Addr::new(203, 0, 113, 101), [192, 168, 1], NatKind::PortRestricted);
        let near = lab.lan_host(&site, "ha", 10);
        let _echo = echo(&far);

        let clean = round_trips(&near, 100);
        assert!(quantile(&clean, 0.5) < 2.0, "a clean line takes no time: {}", spread(&clean));

        let delays = lab.impair_both("ra", Impairment::delay_ms(20));
        let delayed = round_trips(&near, 100);
        let lateness: Vec<f64> = delays.map(|netem| netem.stop().mean_late_ms).into();
        println!("40 ms round trip: {} ms; verdicts late by {lateness:.3?} ms", spread(&delayed));
        assert!((40.0..45.0).contains(&quantile(&delayed, 0.5)), "{}", spread(&delayed));

        let jitter = lab.impair("ra", Way::Up, Impairment::delay_ms(30).with_jitter_ms(20).with_seed(3));
        let spread_out = round_trips(&near, 100);
        jitter.stop();
        println!("30 ± 20 ms one way: {} ms", spread(&spread_out));
        assert!(quantile(&spread_out, 0.05) < 20.0 && quantile(&spread_out, 0.95) > 40.0, "{}", spread(&spread_out));

        let random = lab.impair("ra", Way::Up, Impairment::default().with_loss(Loss::Random(0.1)).with_seed(1));
        let lost = loss(&near, 4_000);
        let stats = random.stop();
        println!("10 % random loss: {:.2} %", lost * 100.0);
        assert!((0.085..0.115).contains(&lost), "{lost}");
        assert_eq!(stats.packets, 4_000);

        // 2 % enter the bad state, 25 % leave it: bad for 2/27 of the time.
        let gilbert = Loss::GilbertElliott { to_bad: 0.02, to_good: 0.25, loss_in_good: 0.0, loss_in_bad: 1.0 };
        let bursts = lab.impair("ra", Way::Down, Impairment::default().with_loss(gilbert).with_seed(2));
        let lost = loss(&near, 4_000);
        bursts.stop();
        println!("Gilbert-Elliott: {:.2} % of 7.41 %", lost * 100.0);
        assert!((0.05..0.1).contains(&lost), "{lost}");

        assert!(loss(&near, 500) == 0.0, "the line is clean again");
    });
}

/// An echo service for the life of this process.
fn echo(inside: &Netns) -> std::thread::JoinHandle<()> {
    let socket = inside.thread(|| UdpSocket::bind(ECHO).expect("the port is free")).join().expect("the socket opens");
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    })
}

/// Milliseconds of `count` round trips that came back, one at a time.
fn round_trips(from: &Netns, count: u32) -> Vec<f64> {
    let measure = move || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("any port is free");
        socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout can be set");
        let round_trip = |number: u32| {
            let sent = Instant::now();
            socket.send_to(&number.to_be_bytes(), ECHO).expect("the network is there");
            let mut buffer = [0; 64];
            socket.recv_from(&mut buffer).ok().map(|_| sent.elapsed().as_secs_f64() * 1e3)
        };
        (0..count).filter_map(round_trip).collect::<Vec<_>>()
    };
    from.thread(measure).join().expect("the round trips run")
}

/// Share of `count` packets that do not come back, sent in small groups.
fn loss(from: &Netns, count: u32) -> f64 {
    const GROUP: u32 = 50;
    let measure = move || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("any port is free");
        let mut back = 0;
        let mut buffer = [0; 64];
        for group in 0..count / GROUP {
            for number in 0..GROUP {
                socket.send_to(&(group * GROUP + number).to_be_bytes(), ECHO).expect("the network is there");
            }
            socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout can be set");
            back += std::iter::from_fn(|| socket.recv_from(&mut buffer).ok()).take(GROUP as usize).count() as u32;
        }
        1.0 - f64::from(back) / f64::from(count)
    };
    from.thread(measure).join().expect("the packets are sent")
}
