//! The wire format.

use proptest::prelude::*;

use super::*;

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn person() -> Person {
    PersonKey::from_seed(&[1; 32]).person()
}

fn example() -> Vec<(&'static str, Message)> {
    let description = Description {
        sdp: "v=0\r\n".into(),
        fingerprint: [0xf0; 32],
        ufrag: "uF1x".into(),
        signature: [0x51; 64],
        generation: 0,
    };
    let call = CallId::from_bytes(std::array::from_fn(|at| at as u8));
    let invite = Invite {
        call,
        from: person(),
        name: Some("Ada Lovélace".into()),
        versions: vec![1],
        sent_unix_s: Some(1_767_225_600),
        group: None,
    };
    let quality =
        Quality { fraction_lost: 0.25, concealed: 0.5, jitter_ms: 12.5, target_delay_ms: 60.0, ..Quality::default() };
    vec![
        ("invite", Message::Invite(invite)),
        ("ring", Message::Ring),
        ("busy", Message::Busy),
        ("decline", Message::Decline),
        ("cancel", Message::Cancel),
        ("answer", Message::Answer(description.clone())),
        ("accept", Message::Accept(description)),
        ("candidate", Message::Candidate("candidate:1 1 udp 1 192.0.2.1 9 typ host".into())),
        ("end_of_candidates", Message::EndOfCandidates),
        ("bye", Message::Bye(EndReason::ConnectionLost)),
        ("muted", Message::Muted(true)),
        ("unmuted", Message::Muted(false)),
        ("held", Message::Held(true)),
        ("quality", Message::Quality(quality)),
        ("unsupported", Message::Unsupported { versions: vec![1, 2] }),
        ("rejoin", Message::Rejoin(Rejoin { call, from: person(), generation: 2, moved: true })),
        ("rejoined", Message::Rejoined),
    ]
}

#[test]
fn the_format_has_not_drifted() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/vectors/messages.json")).unwrap();
    let examples = example();
    assert_eq!(vectors.as_object().unwrap().len(), examples.len());
    for (name, message) in examples {
        assert_eq!(Some(hex(&message.encode()).as_str()), vectors[name].as_str(), "{name}");
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
}

#[test]
fn every_reason_survives_the_wire() {
    use EndReason::*;
    let all = [
        HangUp,
        RemoteHangUp,
        TimeLimit,
        Declined,
        Busy,
        NoAnswer,
        Cancelled,
        NotFound,
        Unreachable,
        ConnectionLost,
        FingerprintMismatch,
        Device,
        Shutdown,
    ];
    for reason in all {
        assert_eq!(Message::decode(&Message::Bye(reason).encode()), Ok(Message::Bye(reason)));
    }
    // Field 10, a reason of the future.
    assert_eq!(Message::decode(&[0x50, 0x63]), Ok(Message::Bye(HangUp)));
}

#[test]
fn later_versions_are_understood_as_far_as_possible() {
    // Field 99, a message of the future; nothing at all.
    assert_eq!(Message::decode(&[0x9a, 0x06, 0x01, 0x00]), Err(MessageError::UnknownKind));
    assert_eq!(Message::decode(&[]), Err(MessageError::UnknownKind));
    // A known message with a field of the future, inside and beside it.
    assert_eq!(Message::decode(&[0x12, 0x03, 0x9a, 0x06, 0x00]), Ok(Message::Ring));
    assert_eq!(Message::decode(&[0x12, 0x00, 0x9a, 0x06, 0x00]), Ok(Message::Ring));
}

#[test]
fn limits_hold() {
    let too_long = Message::decode(&vec![0; MAX_MESSAGE_BYTES + 1]);
    assert_eq!(too_long, Err(MessageError::TooLong { bytes: MAX_MESSAGE_BYTES + 1 }));
    let refused = |message: Message, field| {
        assert_eq!(Message::decode(&message.encode()), Err(MessageError::BadField { field }), "{}", message.kind());
    };
    let description = || match example().swap_remove(5).1 {
        Message::Answer(description) => description,
        _ => unreachable!(),
    };
    for bad in [
        Description { sdp: String::new(), ..description() },
        Description { sdp: "x".repeat(MAX_SDP_BYTES + 1), ..description() },
        Description { sdp: "v=0\0".into(), ..description() },
        Description { ufrag: String::new(), ..description() },
        Description { ufrag: "a b".into(), ..description() },
        Description { ufrag: "u".repeat(257), ..description() },
    ] {
        refused(Message::Answer(bad.clone()), "description");
        refused(Message::Accept(bad), "description");
    }
    refused(Message::Candidate(String::new()), "candidate");
    refused(Message::Candidate("c".repeat(MAX_CANDIDATE_BYTES + 1)), "candidate");
    refused(Message::Candidate("a\r\nb".into()), "candidate");
    refused(Message::Unsupported { versions: vec![] }, "list of versions");
    refused(Message::Unsupported { versions: vec![1; 17] }, "list of versions");
    for bad in [-0.1, 1.1, f32::NAN, f32::INFINITY] {
        refused(Message::Quality(Quality { fraction_lost: bad, ..Quality::default() }), "quality report");
    }
    // A call id of 15 bytes, a person of 31.
    assert_eq!(
        Message::decode(&[&[0x0a, 17, 0x0a, 15][..], &[1; 15]].concat()),
        Err(MessageError::BadField { field: "call id" })
    );
    let short = [&[0x0a, 51, 0x0a, 16][..], &[1; 16], &[0x12, 31], &[1; 31]].concat();
    assert_eq!(Message::decode(&short), Err(MessageError::BadField { field: "person" }));
    let largest = Description { sdp: "é".repeat(MAX_SDP_BYTES / 2), ufrag: "u".repeat(256), ..description() };
    assert!(Message::Answer(largest).encode().len() <= MAX_MESSAGE_BYTES);
}

#[test]
fn strangers_names_are_made_harmless() {
    let Message::Invite(mut invite) = example().swap_remove(0).1 else { unreachable!() };
    invite.name = Some("\u{202e}evil\r\n\u{7}".repeat(100));
    let Ok(Message::Invite(read)) = Message::decode(&Message::Invite(invite).encode()) else { panic!() };
    assert!(read.name.unwrap().chars().all(|c| c.is_ascii_lowercase() || c == ' '));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = Message::decode(&bytes);
    }

    /// Real messages with some bytes changed reach deeper than noise does.
    #[test]
    fn no_damaged_message_panics(
        which in 0usize..15,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        cut: proptest::sample::Index,
    ) {
        let mut bytes = example().swap_remove(which).1.encode();
        for (at, value) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }
}
