//! The wire format.

use proptest::prelude::*;

use super::roster::{add, example, group, person, removal};
use super::*;
use crate::call::group::message::{GroupMessageError, MAX_ENTRIES, MAX_HERE, MAX_REPORTS};
use crate::call::group::report::{Heard, MAX_CARRIED, MAX_FAILED, MAX_HEARINGS, Tag};

fn ticket() -> Ticket {
    Ticket::sign(&key(1), group(), Some("Ada Lovélace"), &[person(1), person(0), person(2)], 1_000, 2_000)
}

fn report() -> Report {
    let tag = |who| Tag::of(group(), person(who));
    let told = Heard {
        direct: true,
        steady: true,
        via: Some(tag(3)),
        age: Some(Duration::from_millis(1_200)),
        loss: 25,
        rtt_ms: 80,
    };
    let unsigned = Report {
        from: person(1),
        seq: 1_800_000_000_123,
        digest: [3; 16],
        resources: Resources { spare_kbps: 900, cpu_free: 75, slots: 6, weak: true },
        hears: BTreeMap::from([(tag(0), told), (tag(2), Heard::default())]),
        carries: vec![(tag(0), tag(2))],
        failed: vec![(tag(2), tag(3))],
        signature: [0; 64],
    };
    Report::sign(&key(1), group(), unsigned)
}

fn examples() -> Vec<GroupMessage> {
    let mut entries = example().entries(None);
    entries.extend([removal(1, 3, 1, 2), example().revoke(&key(1), person(1), 77)]);
    let hello = Hello { entries: entries.clone(), here: vec![person(0), person(1)] };
    let bodies = [
        Body::Invite(hello.clone()),
        Body::Ring(hello),
        Body::Knock { ticket: ticket(), name: Some("Bob".into()) },
        Body::Knock { ticket: Ticket::sign(&key(2), group(), None, &[], 5, 6), name: None },
        Body::Refused(TicketRefused::Full),
        Body::Declined,
        Body::Roster(entries),
        Body::Reports(vec![report(), report()]),
        Body::Reports(vec![]),
    ];
    bodies.into_iter().map(|body| GroupMessage { group: group(), body }).collect()
}

#[test]
fn every_message_survives_the_wire() {
    for message in examples() {
        assert_eq!(GroupMessage::decode(&message.encode()), Ok(message.clone()), "{}", message.body.kind());
    }
    use TicketRefused::*;
    for why in [Expired, Revoked, AuthorIsGone, OtherGroup, Full, Banned, TooMany, NotIn] {
        let message = GroupMessage { group: group(), body: Body::Refused(why) };
        assert_eq!(GroupMessage::decode(&message.encode()), Ok(message));
    }
    assert!(report().verify(group()));
    assert!(!report().verify(GroupKey { creator: person(2), ..group() }));
}

/// The vectors come from another implementation, `tests/vectors/make_group.py`.
#[test]
fn the_format_has_not_drifted() {
    let [creator, alice, bob] = [1, 2, 3].map(|seed| PersonKey::from_seed(&[seed; 32]));
    let id = GroupId::from_bytes(std::array::from_fn(|at| at as u8));
    let group = GroupKey { id, creator: creator.person() };
    let unsigned = Add {
        person: alice.person(),
        inviter: creator.person(),
        generation: 1,
        turn: 2,
        standing: 3,
        name: Some("Zoë".into()),
        signature: [0; 64],
    };
    let entries = vec![
        Entry::Add(Add::sign(&creator, group, unsigned)),
        Entry::Removal(Removal::sign(&alice, group, bob.person(), 4, 5)),
        Entry::Revocation(Revocation::sign(&creator, group, alice.person(), 1_800_000_000)),
    ];
    let ticket = Ticket::sign(&alice, group, Some("Zoë"), &[bob.person()], 1_800_000_000, 1_800_086_400);
    let tag = |key: &PersonKey| Tag::of(group, key.person());
    let heard = Heard {
        direct: true,
        steady: true,
        via: Some(tag(&alice)),
        age: Some(Duration::from_millis(300)),
        loss: 25,
        rtt_ms: 80,
    };
    let unsigned = Report {
        from: bob.person(),
        seq: 1_800_000_000_123,
        digest: [9; 16],
        resources: Resources { spare_kbps: 900, cpu_free: 75, slots: 6, weak: true },
        hears: BTreeMap::from([(tag(&creator), heard), (tag(&alice), Heard::default())]),
        carries: vec![(tag(&creator), tag(&alice))],
        failed: vec![(tag(&alice), tag(&creator))],
        signature: [0; 64],
    };
    let hello = Hello { entries: entries.clone(), here: vec![creator.person(), alice.person()] };
    let bodies = [
        ("invite", Body::Invite(hello.clone())),
        ("ring", Body::Ring(hello)),
        ("knock", Body::Knock { ticket: ticket.clone(), name: Some("Bob".into()) }),
        ("refused", Body::Refused(TicketRefused::Full)),
        ("declined", Body::Declined),
        ("roster", Body::Roster(entries)),
        ("reports", Body::Reports(vec![Report::sign(&bob, group, unsigned)])),
    ];
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/group.json")).unwrap();
    assert_eq!(vectors.as_object().unwrap().len(), bodies.len() + 1);
    assert_eq!(Some(ticket.to_string().as_str()), vectors["link"].as_str());
    for (name, body) in bodies {
        let encoded = GroupMessage { group, body }.encode();
        assert_eq!(Some(data_encoding::HEXLOWER.encode(&encoded).as_str()), vectors[name].as_str(), "{name}");
    }
}

#[test]
fn later_versions_are_understood_as_far_as_possible() {
    let declined = GroupMessage { group: group(), body: Body::Declined }.encode();
    // A field of the future beside it.
    assert_eq!(GroupMessage::decode(&[&declined[..], &[0x9a, 0x06, 0x00]].concat()).unwrap().body, Body::Declined);
    // Nothing but one of the future.
    let envelope = &declined[..declined.len() - 2];
    assert_eq!(GroupMessage::decode(envelope), Err(GroupMessageError::UnknownKind));
    // A refusal and an entry of the future.
    let refused = [envelope, &[0x30, 0x63]].concat();
    assert_eq!(GroupMessage::decode(&refused).unwrap().body, Body::Refused(TicketRefused::OtherGroup));
    let roster = [envelope, &[0x42, 0x04, 0x0a, 0x02, 0x7a, 0x00]].concat();
    assert_eq!(GroupMessage::decode(&roster).unwrap().body, Body::Roster(vec![]));
}

#[test]
fn limits_hold() {
    let refused = |body: Body, field| {
        let kind = body.kind();
        let read = GroupMessage::decode(&GroupMessage { group: group(), body }.encode());
        assert_eq!(read, Err(GroupMessageError::BadField { field }), "{kind}");
    };
    let bytes = vec![0; MAX_GROUP_MESSAGE_BYTES + 1];
    assert_eq!(GroupMessage::decode(&bytes), Err(GroupMessageError::TooLong { bytes: MAX_GROUP_MESSAGE_BYTES + 1 }));
    let Entry::Add(plain) = add(0, 1, 0, 0, 0) else { unreachable!() };
    for name in ["", " x", "a\r\nb", "\u{202e}evil", &"n".repeat(65)] {
        let bad = Add { name: Some(name.into()), ..plain.clone() };
        let read = GroupMessage { group: group(), body: Body::Roster(vec![Entry::Add(bad)]) };
        match GroupMessage::decode(&read.encode()) {
            Err(error) => assert_eq!(error, GroupMessageError::BadField { field: "name" }),
            Ok(read) => assert!(name.is_empty(), "{read:?}"),
        }
    }
    refused(Body::Reports(vec![report(); MAX_REPORTS + 1]), "list of reports");
    let mut ticket = ticket();
    ticket.expires_unix_s += 1;
    refused(Body::Knock { ticket, name: None }, "ticket");
    let short = [&[0x0a, 15][..], &[1; 15]].concat();
    assert_eq!(GroupMessage::decode(&short), Err(GroupMessageError::BadField { field: "group" }));
    // More than fits is cut off when it is sent, or sent in parts.
    let entries: Vec<Entry> = (1..=MAX_ENTRIES + 20).map(|whom| add(0, whom, 0, 0, 0)).collect();
    let hello = Hello { entries: entries.clone(), here: vec![person(0); MAX_HERE + 5] };
    let read = GroupMessage::decode(&GroupMessage { group: group(), body: Body::Invite(hello) }.encode()).unwrap();
    let Body::Invite(read) = read.body else { panic!() };
    assert_eq!((read.here.len(), &read.entries[..]), (MAX_HERE, &entries[..read.entries.len()]));
    let parts = roster_messages(group(), &entries);
    let whole: Vec<Entry> = parts
        .iter()
        .flat_map(|part| match GroupMessage::decode(&part.encode()).unwrap().body {
            Body::Roster(entries) => entries,
            _ => panic!(),
        })
        .collect();
    assert!(parts.len() > 1 && whole == entries);
}

#[test]
fn the_largest_report_of_everybody_fits() {
    let tag = |who: usize| Tag::of(group(), person(who));
    let told = Heard { via: Some(tag(0)), ..Heard::default() };
    let many = Report {
        hears: (0..MAX_HEARINGS + 3).map(|who| (tag(who), told)).collect(),
        carries: vec![(tag(1), tag(2)); MAX_CARRIED + 3],
        failed: vec![(tag(1), tag(2)); MAX_FAILED + 3],
        ..report()
    };
    let many = Report::sign(&key(1), group(), many);
    assert_eq!((many.hears.len(), many.carries.len(), many.failed.len()), (MAX_HEARINGS, MAX_CARRIED, MAX_FAILED));
    assert_eq!(Report::from_content(many.from, &many.content(), many.signature), Some(many.clone()));
    // In a mesh of the largest size, with one hole, there are two of them per message, and rarely more.
    let usual = GroupMessage { group: group(), body: Body::Reports(vec![report(); 10]) };
    assert!(usual.encode().len() <= MAX_GROUP_MESSAGE_BYTES / 3);
}

#[test]
fn a_report_has_one_form_only() {
    let report = report();
    let content = report.content();
    let read = |content: &[u8]| Report::from_content(report.from, content, report.signature);
    assert_eq!(read(&content), Some(report.clone()));
    assert_eq!(read(&[&content[..], &[0]].concat()), None);
    assert!((0..content.len()).all(|at| read(&content[..at]).is_none()));
    // A flag that means nothing; 101 percent; a weakness that is neither yes nor no.
    for (at, value) in [(30 + 8, 0x80), (26, 101), (28, 2)] {
        let mut bad = content.clone();
        bad[at] = value;
        assert_eq!(read(&bad), None, "byte {at}");
    }
    // An age is never made younger.
    let age = |ms| {
        let told = Heard { age: Some(Duration::from_millis(ms)), ..Heard::default() };
        let one = Report { hears: BTreeMap::from([(Tag::of(group(), person(0)), told)]), ..report.clone() };
        let read = Report::from_content(one.from, &one.content(), one.signature).unwrap();
        read.hears.values().next().unwrap().age
    };
    assert_eq!(age(0), Some(Duration::ZERO));
    assert_eq!(age(1), Some(Duration::from_millis(100)));
    assert_eq!(age(25_301), Some(Duration::from_millis(25_400)));
    assert_eq!(age(26_000), None);
}

#[test]
fn a_link_survives_what_programs_do_to_it() {
    let ticket = ticket();
    assert_eq!(ticket.ring, [person(0), person(2)], "the author is rung anyway");
    let text = ticket.to_string();
    assert!(text.starts_with("twocans:join/") && text.len() < 600 && text.bytes().all(|byte| byte.is_ascii_graphic()));
    for mangled in [
        text.clone(),
        format!(" {text}\r\n"),
        text.to_uppercase(),
        text.replace("twocans:", "twocans://"),
        format!("{text}/"),
    ] {
        assert_eq!(mangled.parse(), Ok(ticket.clone()), "{mangled}");
    }
    let person_link = format!("twocans:{}", person(1));
    for other in ["", "join/", "https://example.org", "twocans:", person_link.as_str(), "twocans:jo"] {
        assert_eq!(other.parse::<Ticket>(), Err(ParseTicketError::NotAJoinLink), "{other}");
    }
    assert_eq!(format!("{text}{}", "y".repeat(3000)).parse::<Ticket>(), Err(ParseTicketError::TooLong));
    // No letter can be changed, left out, or added.
    for at in 13..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'y' { b'b' } else { b'y' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(changed.parse::<Ticket>(), Err(ParseTicketError::Damaged), "{at}");
        assert_eq!(text[..at].parse::<Ticket>(), Err(ParseTicketError::Damaged), "{at}");
    }
}

#[test]
fn a_link_is_good_for_thirty_days_at_most() {
    let ticket = Ticket::sign(&key(1), group(), None, &[], 1_000, u64::MAX);
    assert_eq!(ticket.expires_unix_s, 1_000 + 30 * 24 * 3600);
    let roster = example();
    assert_eq!(ticket.check(&roster, ticket.expires_unix_s - 1), Ok(()));
    assert_eq!(ticket.check(&roster, ticket.expires_unix_s), Err(TicketRefused::Expired));
    let of_nobody = Ticket::sign(&key(9), group(), None, &[], 1_000, 2_000);
    assert_eq!(of_nobody.check(&roster, 1_500), Err(TicketRefused::AuthorIsGone));
    let elsewhere = Ticket::sign(&key(1), GroupKey { creator: person(1), ..group() }, None, &[], 1_000, 2_000);
    assert_eq!(elsewhere.check(&roster, 1_500), Err(TicketRefused::OtherGroup));
    // Revoked is what was made until then, not what is made later, nor what others made.
    let mut roster = example();
    roster.merge(&[roster.revoke(&key(1), person(1), 1_000)]).unwrap();
    assert_eq!(ticket.check(&roster, 1_500), Err(TicketRefused::Revoked));
    let next = Ticket::sign(&key(1), group(), None, &[], 1_001, 2_000);
    assert_eq!(next.check(&roster, 1_500), Ok(()));
    let of_2 = Ticket::sign(&key(2), group(), None, &[], 900, 2_000);
    assert_eq!(of_2.check(&roster, 1_500), Ok(()));
    // Nobody revokes for others, but the creator.
    roster.merge(&[roster.revoke(&key(1), person(2), 2_000)]).unwrap();
    assert_eq!(of_2.check(&roster, 1_500), Ok(()));
    roster.merge(&[roster.revoke(&key(0), person(2), 2_000)]).unwrap();
    assert_eq!(of_2.check(&roster, 1_500), Err(TicketRefused::Revoked));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = GroupMessage::decode(&bytes);
        let _ = Report::from_content(person(1), &bytes, [0; 64]);
    }

    #[test]
    fn no_text_panics(text: String, tail in "[ybndrfg8ejkmcpqxot1uwisza345h769]{0,300}") {
        let _ = text.parse::<Ticket>();
        let _ = format!("twocans:join/{tail}").parse::<Ticket>();
    }

    /// Real messages with some bytes changed reach deeper than noise does.
    #[test]
    fn no_damaged_message_panics(
        which in 0usize..9,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        cut: proptest::sample::Index,
    ) {
        static EXAMPLES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
        let mut bytes = EXAMPLES.get_or_init(|| examples().iter().map(GroupMessage::encode).collect())[which].clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        if let Ok(message) = GroupMessage::decode(&bytes) {
            prop_assert_eq!(GroupMessage::decode(&message.encode()), Ok(message));
        }
    }
}
