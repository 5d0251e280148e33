use super::*;
use crate::nat::MappingProtocol;

fn known() -> Presence {
    Presence {
        callable: true,
        acks: 3,
        took: Duration::from_millis(420),
        connections: 5,
        super_peers: 2,
        is_super_peer: false,
        isolated: false,
    }
}

fn alone() -> Presence {
    Presence { acks: 0, connections: 0, super_peers: 0, ..known() }
}

fn behind(mapping: Option<Mapping>, filtering: Option<Filtering>) -> NatReport {
    let local = SocketAddr::from(([192, 168, 1, 2], 5000));
    let public = SocketAddr::from(([198, 51, 100, 7], 5000));
    let seen = Seen { local, public, mapping, filtering, hairpin: Some(false), mapping_lifetime: None };
    NatReport { servers: 2, ipv4: Some(seen), ipv6: None, udp_blocked: Some(false) }
}

fn open() -> NatReport {
    let mut report = behind(Some(Mapping::EndpointIndependent), Some(Filtering::EndpointIndependent));
    if let Some(seen) = &mut report.ipv4 {
        seen.local = seen.public;
        seen.hairpin = None;
    }
    report
}

fn port_restricted() -> NatReport {
    behind(Some(Mapping::EndpointIndependent), Some(Filtering::AddressAndPortDependent))
}

fn symmetric() -> NatReport {
    behind(Some(Mapping::AddressAndPortDependent), Some(Filtering::AddressAndPortDependent))
}

fn blocked() -> NatReport {
    NatReport { servers: 2, udp_blocked: Some(true), ..NatReport::default() }
}

/// Reach and answer without `--relay-only` and with working devices.
fn told(presence: &Presence, report: &NatReport) -> (Reach, String) {
    let reach = reach(presence, report, false);
    (reach, answer(presence, report, false, reach, false))
}

#[test]
fn the_answer_says_whether_and_how() {
    for (presence, report, expected, words) in [
        (known(), open(), Reach::Direct, "directly from everywhere"),
        (known(), port_restricted(), Reach::Direct, "through a relay from symmetric ones"),
        (known(), symmetric(), Reach::Relayed, "directly from open networks"),
        (known(), blocked(), Reach::Relayed, "this network blocks UDP"),
        (known(), NatReport::default(), Reach::Unclear, "is not known"),
        (alone(), open(), Reach::Nowhere, "No, you cannot be called: no node"),
        (Presence { connections: 4, ..alone() }, open(), Reach::Nowhere, "no node keeps your presence"),
    ] {
        let (reach, answer) = told(&presence, &report);
        assert_eq!(reach, expected, "{answer}");
        assert!(answer.contains(words), "{answer}");
    }
    let relayed = reach(&known(), &open(), true);
    assert_eq!(relayed, Reach::Relayed);
    assert!(answer(&known(), &open(), true, relayed, true).contains("--relay-only asks. But no call will have sound"));
}

#[test]
fn without_a_server_nothing_is_guessed() {
    let nothing = NatReport::default();
    for check in [udp(&nothing), public_address(&nothing), nat(&nothing)] {
        assert_eq!(check.verdict, Verdict::Unknown, "{check:?}");
        assert_eq!(check.finding, "not known: there is nobody to ask");
        assert!(check.remedy.unwrap().contains("--stun"));
    }
    let silent = NatReport { servers: 2, ..NatReport::default() };
    assert_eq!((udp(&silent).verdict, nat(&silent).verdict), (Verdict::Warning, Verdict::Unknown));
    assert_eq!(public_address(&silent).finding, "not known: no STUN server answers");
}

#[test]
fn every_kind_of_network_has_its_sentence() {
    for (report, verdict, words) in [
        (open(), Verdict::Fine, "none: everybody can reach"),
        (port_restricted(), Verdict::Fine, "port restricted"),
        (symmetric(), Verdict::Warning, "symmetric"),
        (behind(None, None), Verdict::Unknown, "single server"),
        (behind(Some(Mapping::EndpointIndependent), None), Verdict::Fine, "most networks"),
    ] {
        let check = nat(&report);
        assert_eq!(check.verdict, verdict, "{check:?}");
        assert!(check.finding.contains(words), "{check:?}");
        assert_eq!(check.remedy.is_some(), verdict != Verdict::Fine, "{check:?}");
    }
    assert!(
        nat(&port_restricted())
            .finding
            .ends_with("(mapping endpoint-independent, filtering address-and-port-dependent, no hairpin)")
    );
    assert_eq!(public_address(&open()).finding, "198.51.100.7, this machine's own");
    assert_eq!(udp(&blocked()).verdict, Verdict::Problem);
    assert_eq!(port_mapping(&open(), None).verdict, Verdict::Fine);
    assert!(port_mapping(&symmetric(), None).finding.starts_with("not tried"));
    let mapped = |ip: &str| MappedPort {
        internal: "192.168.1.5:4001".parse().unwrap(),
        external: format!("{ip}:4001").parse().unwrap(),
        by: MappingProtocol::NatPmp,
    };
    for (tried, verdict, words) in [
        (Ok(mapped("198.51.100.7")), Verdict::Fine, "when asked (NAT-PMP), at 198.51.100.7"),
        (Ok(mapped("100.64.0.7")), Verdict::Warning, "behind another NAT itself (100.64.0.7)"),
        (Err(MappingError::NoRouter), Verdict::Unknown, "no router answers"),
    ] {
        let check = port_mapping(&symmetric(), Some(tried));
        assert_eq!(check.verdict, verdict, "{check:?}");
        assert!(check.finding.contains(words), "{check:?}");
    }
}

#[test]
fn presence_is_judged_by_who_keeps_it() {
    assert_eq!(dht(&known()).finding, "3 nodes keep your presence (after 420 ms)");
    assert_eq!((dht(&alone()).verdict, super_peers(&alone()).verdict), (Verdict::Problem, Verdict::Problem));
    let isolated = Presence { isolated: true, ..alone() };
    assert!(dht(&isolated).remedy.unwrap().contains("--isolated"));
    assert_eq!(dht(&Presence { acks: 0, ..known() }).verdict, Verdict::Problem);
    assert_eq!(dht(&Presence { acks: 0, callable: false, ..known() }).verdict, Verdict::Fine);
    assert_eq!(super_peers(&Presence { super_peers: 1, ..known() }).verdict, Verdict::Warning);
    assert_eq!(super_peers(&Presence { is_super_peer: true, ..alone() }).verdict, Verdict::Fine);
    let volunteer = super_peers(&Presence { is_super_peer: true, super_peers: 1, ..known() });
    assert_eq!(volunteer.verdict, Verdict::Fine, "one place is enough for who can be reached");
    assert_eq!(volunteer.finding, "1 holds a place for you, and this machine is one itself");
}

#[test]
fn sound_is_judged_by_what_is_there_and_heard() {
    let working = SoundFacts { microphone: Ok("Desk".into()), speaker: Ok("Head".into()), ring: Ok(()) };
    assert_eq!(devices(Some(&working)).finding, "microphone Desk, speaker Head");
    let none = Err("there is no microphone; plug one in, or use `--mic silence`".to_owned());
    let broken = devices(Some(&SoundFacts { microphone: none, ..working.clone() }));
    assert_eq!((broken.verdict, broken.finding.as_str()), (Verdict::Problem, "there is no microphone"));
    assert_eq!(broken.remedy.as_deref(), Some("plug one in, or use `--mic silence`"));
    let mute = devices(Some(&SoundFacts { ring: Err("there is no ring device".into()), ..working }));
    assert_eq!(mute.verdict, Verdict::Warning);

    let level = |dbfs| microphone(Some(Ok(dbfs)), false);
    assert_eq!((level(Some(-41.2)).verdict, level(Some(-41.2)).finding), (Verdict::Fine, "-41 dBFS".into()));
    assert_eq!((level(Some(-100.0)).verdict, level(None).verdict), (Verdict::Warning, Verdict::Problem));
    assert_eq!(microphone(None, true).verdict, Verdict::Unknown);
}
