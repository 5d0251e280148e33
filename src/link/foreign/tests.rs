use proptest::prelude::*;

use super::*;

/// What a browser offers that has a camera, too: three sections in one bundle, numbers and mids of its own.
const BROWSER: &str = "v=0\r
o=- 46117317 2 IN IP4 127.0.0.1\r
s=-\r
t=0 0\r
a=group:BUNDLE v a d\r
a=extmap-allow-mixed\r
a=msid-semantic: WMS s\r
m=video 9 UDP/TLS/RTP/SAVPF 96 97\r
c=IN IP4 0.0.0.0\r
a=ice-ufrag:vide\r
a=ice-pwd:0123456789012345678901\r
a=fingerprint:sha-256 AA:AA\r
a=mid:v\r
a=rtpmap:96 VP8/90000\r
m=audio 54321 UDP/TLS/RTP/SAVPF 100 101 9 13 110\r
c=IN IP4 192.0.2.7\r
a=rtcp:9 IN IP4 0.0.0.0\r
a=candidate:1 1 udp 2113937151 5b1c-de.local 54321 typ host generation 0\r
a=candidate:2 1 udp 2113937150 192.0.2.7 54321 typ host generation 0\r
a=ice-ufrag:abcd\r
a=ice-pwd:0123456789012345678901\r
a=ice-options:trickle\r
a=fingerprint:sha-512 00\r
a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0b:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r
a=setup:actpass\r
a=mid:a\r
a=extmap:14 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r
a=sendrecv\r
a=rtcp-mux\r
a=rtpmap:100 red/48000/2\r
a=fmtp:100 101/101\r
a=rtpmap:101 opus/48000/2\r
a=fmtp:101 minptime=10;useinbandfec=1\r
a=rtpmap:9 G722/8000\r
a=rtpmap:13 CN/8000\r
a=rtpmap:110 telephone-event/48000\r
a=ssrc:3570614608 cname:4TOk42mSjXCkVIa6\r
m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r
c=IN IP4 0.0.0.0\r
a=mid:d\r
a=sctp-port:5000\r
";

fn offer(sdp: &str) -> Result<ForeignDescription, ForeignError> {
    ForeignDescription::read(SdpKind::Offer, sdp)
}

fn local() -> LocalDescription {
    let sdp = "v=0\r\no=- 7 8 IN IP4 0.0.0.0\r\nm=audio 9 x 111\r\na=ice-pwd:ours\r\na=ssrc:42 cname:x\r\n".to_owned();
    LocalDescription { sdp, fingerprint: [0xab; 32], ufrag: "ourufrag".to_owned() }
}

#[test]
fn one_voice_is_taken_and_the_rest_refused_in_order() {
    let read = offer(BROWSER).unwrap();
    assert_eq!((read.opus, read.red, read.audio, read.bundled), (101, Some(100), 1, true));
    assert_eq!((read.direction, read.setup), (Direction::SendRecv, Setup::ActPass));
    assert_eq!(read.candidates.len(), 2);
    let answer = read.answer(&local(), &["h0 1 udp 1 192.0.2.1 5 typ host".to_owned()]);
    let media: Vec<_> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        media,
        [
            "m=video 0 UDP/TLS/RTP/SAVPF 96 97",
            "m=audio 9 UDP/TLS/RTP/SAVPF 101 100",
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel"
        ]
    );
    for line in [
        "a=group:BUNDLE a",
        "a=mid:v",
        "a=mid:a",
        "a=mid:d",
        "a=setup:active",
        "a=ice-pwd:ours",
        "a=ice-ufrag:ourufrag",
        "a=fmtp:100 101/101",
        "a=ssrc:42 cname:voice",
        "a=candidate:h0 1 udp 1 192.0.2.1 5 typ host",
        "a=end-of-candidates",
    ] {
        assert!(answer.lines().any(|found| found == line), "{line} is missing in\n{answer}");
    }
}

#[test]
fn what_the_core_sees_is_ours_and_reads_the_same() {
    let read = offer(BROWSER).unwrap();
    let text = read.for_link();
    let again = offer(&text).unwrap();
    assert_eq!((again.fingerprint, &again.candidates), (read.fingerprint, &read.candidates));
    assert_eq!((again.opus, again.red, again.setup), (101, Some(100), Setup::ActPass));
    assert!(!text.contains("extmap") && !text.contains("VP8"), "{text}");
    assert_eq!(super::super::fingerprint_of(&text), Ok(read.fingerprint));
    assert_eq!(super::super::ufrag_of(&text).as_deref(), Ok("abcd"));
}

#[test]
fn what_makes_a_call_impossible_is_named() {
    let without = |line: &str| BROWSER.replace(&format!("{line}\r\n"), "");
    let with = |from: &str, to: &str| BROWSER.replace(from, to);
    for (sdp, why) in [
        (String::new(), ForeignError::NotSdp),
        ("{}".to_owned(), ForeignError::NotSdp),
        (with("m=audio", "m=message"), ForeignError::NoAudio),
        (with("m=audio 54321", "m=audio 0"), ForeignError::AudioRefused),
        (with("a=sendrecv", "a=inactive"), ForeignError::AudioRefused),
        (with("54321 UDP/TLS/RTP/SAVPF", "54321 RTP/AVP"), ForeignError::NotEncrypted),
        (without("a=rtpmap:101 opus/48000/2"), ForeignError::NoOpus),
        (with("SAVPF 100 101", "SAVPF 100"), ForeignError::NoOpus),
        (without("a=rtcp-mux"), ForeignError::NoRtcpMux),
        (with("setup:actpass", "setup:holdconn"), ForeignError::BadSetup),
        (without("a=ice-ufrag:abcd"), DescriptionError::NoCredentials.into()),
        (
            with("a=ice-ufrag:abcd", "a=ice-ufrag:abcd\r\na=ice-ufrag:efgh"),
            DescriptionError::AmbiguousCredentials.into(),
        ),
        (with("a=ice-ufrag:abcd", "a=ice-ufrag:a b"), DescriptionError::BadCredentials.into()),
        (with("sha-256 00:01", "sha-256 00:0x"), DescriptionError::BadFingerprint.into()),
        (with("fingerprint:sha", "fingerprints:sha"), DescriptionError::NoFingerprint.into()),
        (with("a=mid:v", &format!("a=mid:{}", "v".repeat(99))), DescriptionError::TooComplex.into()),
        (format!("{BROWSER}{}", "m=video 9 x 1\r\n".repeat(MAX_SECTIONS)), DescriptionError::TooComplex.into()),
        (format!("{BROWSER}{}", "a=b\r\n".repeat(MAX_LINES)), DescriptionError::TooComplex.into()),
        (format!("{BROWSER}{}", "x".repeat(MAX_FOREIGN_SDP_LEN)), DescriptionError::TooLong.into()),
    ] {
        assert_eq!(offer(&sdp).err(), Some(why), "{}", &sdp[..sdp.len().min(2500)]);
    }
}

#[test]
fn roles_and_directions_are_mirrored() {
    for (theirs, ours, listens) in
        [("a=sendrecv", "a=sendrecv", true), ("a=sendonly", "a=recvonly", false), ("a=recvonly", "a=sendonly", true)]
    {
        let read = offer(&BROWSER.replace("a=sendrecv", theirs)).unwrap();
        let answer = read.answer(&local(), &[]);
        assert!(answer.lines().any(|line| line == ours), "{theirs}: {answer}");
        assert_eq!(read.listens(), listens);
    }
    for (theirs, ours) in [("actpass", "active"), ("passive", "active"), ("active", "passive")] {
        let read = offer(&BROWSER.replace("setup:actpass", &format!("setup:{theirs}"))).unwrap();
        assert!(read.answer(&local(), &[]).contains(&format!("a=setup:{ours}\r\n")), "{theirs}");
    }
}

#[test]
fn an_answer_must_be_to_our_offer() {
    let answer = |sdp: &str| ForeignDescription::read(SdpKind::Answer, sdp).map(|read| (read.opus, read.red));
    let ours = offer(BROWSER).unwrap().for_link().replace("101", "111").replace("100", "63");
    assert_eq!(answer(&ours.replace("actpass", "active")), Ok((111, Some(63))));
    assert_eq!(answer(&ours), Err(ForeignError::BadSetup));
    assert_eq!(answer(&ours.replace("111", "109").replace("actpass", "active")), Err(ForeignError::OtherOffer));
    assert_eq!(answer(&BROWSER.replace("actpass", "active")), Err(ForeignError::OtherOffer));
    assert_eq!(answer(&ours.replace("audio 9", "audio 0")), Err(ForeignError::AudioRefused));
}

#[test]
fn redundancy_of_anything_but_opus_is_left_alone() {
    let read = offer(&BROWSER.replace("101/101", "101/9")).unwrap();
    assert_eq!((read.opus, read.red), (101, None));
}

proptest! {
    #[test]
    fn no_text_panics(at in 0..BROWSER.len(), text in "\\PC{0,40}") {
        let (before, after) = BROWSER.split_at(at);
        for sdp in [format!("{before}{text}{after}"), format!("v=0\n{text}"), format!("{before}\n{text}\n"), before.to_owned()] {
            for kind in [SdpKind::Offer, SdpKind::Answer] {
                if let Ok(read) = ForeignDescription::read(kind, &sdp) {
                    prop_assert!(offer(&read.for_link()).is_ok());
                    read.answer(&local(), &[]);
                }
            }
        }
    }
}
