//! Golden lines: what scripts and people rely on.

use std::time::{Duration, Instant};

use super::testing::Shared;
use super::*;
use crate::base::{CallId, NodeId};
use crate::cli::clock;
use crate::cli::exit::failure_of;
use crate::engine::{
    AudioRole, Broken, Candidate, Cause, Check, CheckKind, CommandId, EndReason, Event, FailureKind, Finding, Mapping,
    MediaPath, NatReport, NetTotals, NetworkReport, NodeTotals, PeerStats, Reach, Reply, Retry, Seen, Summary, Verdict,
};

const CALL: CallId = CallId::from_bytes([0xab; 16]);
const CALL_TEXT: &str = "abababababababababababababababab";

fn alice() -> Person {
    Person::from_bytes([0x58; 32])
}

fn link() -> Link {
    Link { person: alice(), name: None, hints: Vec::new() }
}

fn node() -> NodeId {
    NodeId::from_bytes(&[1, 2, 3, 4]).unwrap()
}

fn relayed() -> MediaPath {
    let via = Some("203.0.113.9:3478".into());
    MediaPath { local: Candidate::Relayed, remote: Candidate::PeerReflexive, protocol: "udp", via }
}

fn direct() -> MediaPath {
    MediaPath { local: Candidate::Host, remote: Candidate::ServerReflexive, protocol: "udp", via: None }
}

fn stats() -> PeerStats {
    PeerStats {
        call: CALL,
        peer: Some(alice()),
        rtt_ms: Some(24.04),
        jitter_ms: None,
        loss: Some(0.002),
        concealed: Some(0.0),
        target_delay_ms: Some(40.0),
        buffer_ms: Some(f32::NAN),
        delay_ms: Some(61.7),
        tx_bps: Some(33_000),
        rx_bps: None,
        red: 0,
        fec: true,
        dred_ms: 0,
        mic_dbfs: Some(-21.26),
        speaker_dbfs: None,
        cpu: Some(2.5),
        rss_mb: Some(40.0),
    }
}

fn summary() -> Summary {
    Summary {
        loss: Some(0.002),
        concealed: Some(0.0),
        delay_ms_p50: Some(62.0),
        delay_ms_p95: None,
        quality: Some(4.31),
    }
}

fn ended(reason: EndReason, seconds: u64) -> Event {
    Event::Ended {
        call: CALL,
        peer: Some(alice()),
        reason,
        cause: None,
        talked: Duration::from_secs(seconds),
        summary: summary(),
    }
}

fn failure() -> Failure {
    Failure { kind: FailureKind::Device, retry: Retry::AfterUserAction, detail: "no microphone".into() }
}

/// Every event, what programs read of it after `event` and the times, and what people read.
fn all() -> Vec<(Event, &'static str, String, &'static str)> {
    let ms = Duration::from_millis;
    let person = alice();
    let call = CALL;
    let p = person.to_string();
    let at_all = |rest: &str| rest.replace('P', &p).replace('C', CALL_TEXT);
    vec![
        (
            Event::Ready { person, link: link(), node: node(), listen: vec!["/ip4/1".into()], super_peer: false },
            "ready",
            at_all(r#""person":"P","link":"twocans:P","node":"2VfUX","listen":["/ip4/1"],"super_peer":false"#),
            "· Online.\n",
        ),
        (
            Event::PresencePublished { relays: vec![node()], acks: 3, took: ms(420) },
            "presence_published",
            at_all(r#""relays":["2VfUX"],"acks":3,"ms":420.0"#),
            "✓ You can be called: 3 nodes know where you are (420 ms).\n",
        ),
        (
            Event::SuperPeer { on: true, reason: "others can reach this machine at 9.1.1.1".into() },
            "super_peer",
            at_all(r#""on":true,"reason":"others can reach this machine at 9.1.1.1""#),
            "· Helping others to connect: others can reach this machine at 9.1.1.1 (--super-peer never turns that off).\n",
        ),
        (
            Event::SuperPeer { on: false, reason: "this machine has changed networks".into() },
            "super_peer",
            at_all(r#""on":false,"reason":"this machine has changed networks""#),
            "· No longer helping others to connect: this machine has changed networks.\n",
        ),
        (
            Event::NetworkChanged,
            "network_changed",
            String::new(),
            "· The network has changed; finding the way again.\n",
        ),
        (Event::Dialing { call, peer: person }, "dialing", at_all(r#""call":"C","peer":"P""#), "· Calling Alice…\n"),
        (
            Event::Ringing { call, took: Duration::from_micros(52_345) },
            "ringing",
            at_all(r#""call":"C","ring_ms":52.345"#),
            "· It rings (52 ms).\n",
        ),
        (
            Event::Incoming { call, from: person, name: Some("Al".into()), known: true },
            "incoming",
            at_all(r#""call":"C","from":"P","name":"Al","known":true"#),
            "☎ Al is calling.\n",
        ),
        (Event::Answered { call }, "answered", at_all(r#""call":"C""#), "· Answered; connecting.\n"),
        (
            Event::SafetyWords { call, words: vec!["zoo".into(), "able".into()] },
            "safety_words",
            at_all(r#""call":"C","words":["zoo","able"]"#),
            "· Safety words: zoo able; they are the same at both ends unless somebody listens in.\n",
        ),
        (
            Event::Connected {
                call,
                peer: Some(person),
                ring: None,
                answer_to_media: ms(84),
                path: direct(),
                audio_t0: None,
            },
            "connected",
            at_all(
                r#""call":"C","peer":"P","ring_ms":null,"answer_to_media_ms":84.0,"path":"direct","local":"host","remote":"server_reflexive","protocol":"udp","via":null,"audio_t0_ms":null"#,
            ),
            "✓ Connected, direct, host to server-reflexive over udp; first sound after 84 ms.\n",
        ),
        (
            Event::Replaced { call, by: CALL },
            "replaced",
            at_all(r#""call":"C","by":"C""#),
            "· You called each other at the same moment; it is one call.\n",
        ),
        (
            Event::PathChanged { call, path: relayed() },
            "path_changed",
            at_all(
                r#""call":"C","path":"relayed","local":"relayed","remote":"peer_reflexive","protocol":"udp","via":"203.0.113.9:3478""#,
            ),
            "· The path is now relayed through 203.0.113.9:3478, relay to peer-reflexive over udp.\n",
        ),
        (
            Event::Reconnecting { call, reason: Broken::Silent },
            "reconnecting",
            at_all(r#""call":"C","reason":"no sound arrives any more""#),
            "! The connection to Al is interrupted (no sound arrives any more); reconnecting.\n",
        ),
        (
            Event::Reconnected { call, gap: ms(1200) },
            "reconnected",
            at_all(r#""call":"C","gap_ms":1200.0"#),
            "✓ Connected again after 1.2 s.\n",
        ),
        (
            Event::Muted { call, by_peer: true, muted: true },
            "muted",
            at_all(r#""call":"C","by_peer":true,"muted":true"#),
            "· Al is muted.\n",
        ),
        (
            Event::Held { call, by_peer: false, held: true },
            "held",
            at_all(r#""call":"C","by_peer":false,"held":true"#),
            "· You put the call on hold.\n",
        ),
        (
            Event::TalkingWhileMuted { call },
            "talking_while_muted",
            at_all(r#""call":"C""#),
            "! You are talking, but your microphone is muted; press m to be heard.\n",
        ),
        (
            Event::FrameLengthChanged { call, frame_ms: 20 },
            "frame_ms_changed",
            at_all(r#""call":"C","frame_ms":20"#),
            "",
        ),
        (
            Event::DeviceChanged { role: AudioRole::Speaker, from: None, to: "usb".into(), gap: ms(30) },
            "device_changed",
            at_all(r#""role":"output","from":null,"to":"usb","gap_ms":30.0"#),
            "· The speaker is now usb (silent for 30 ms).\n",
        ),
        (
            Event::Stats(stats()),
            "stats",
            at_all(
                r#""call":"C","peer":"P","rtt_ms":24.04,"jitter_ms":null,"loss":0.002,"concealed":0.0,"target_delay_ms":40.0,"buffer_ms":null,"delay_ms":61.7,"tx_bps":33000,"rx_bps":null,"red":0,"fec":true,"dred":0,"mic_dbfs":-21.3,"speaker_dbfs":null,"cpu":2.5,"rss_mb":40.0"#,
            ),
            "",
        ),
        (
            Event::Net(NetTotals { tx_bytes: 1, rx_bytes: 2, connections: 3, cpu: None, rss_mb: Some(30.25) }),
            "net",
            at_all(r#""tx_bytes":1,"rx_bytes":2,"connections":3,"cpu":null,"rss_mb":30.3"#),
            "",
        ),
        (
            Event::NodeStats(NodeTotals { relayed_calls: 1, reservations: 2, records: 3, tx_bytes: 4, rx_bytes: 5 }),
            "node_stats",
            at_all(r#""relayed_calls":1,"reservations":2,"records":3,"tx_bytes":4,"rx_bytes":5"#),
            "",
        ),
        (
            ended(EndReason::RemoteHangUp, 83),
            "ended",
            at_all(
                r#""call":"C","peer":"P","reason":"remote_hangup","seconds":83.0,"summary":{"loss":0.002,"concealed":0.0,"delay_ms_p50":62.0,"delay_ms_p95":null,"quality":4.31},"cause":null"#,
            ),
            "✓ Al hung up after 1:23. (quality good (4.3 of 4.5), loss 0.2 %, delay 62 ms)\n",
        ),
        (
            Event::Failed(failure()),
            "failure",
            at_all(r#""kind":"device","retry":"after_user_action","message":"no microphone""#),
            "✗ No microphone.\n",
        ),
        (
            Event::Checked(Check {
                what: CheckKind::Nat,
                verdict: Verdict::Warning,
                code: Finding::DirectToFew,
                facts: Vec::new(),
                finding: "symmetric".into(),
                remedy: Some("wait".into()),
            }),
            "check",
            at_all(r#""what":"nat","verdict":"warning","finding":"symmetric","remedy":"wait""#),
            "! NAT             symmetric → wait\n",
        ),
        (Event::Lagged { missed: 7 }, "lagged", at_all(r#""missed":7"#), ""),
        (Event::Stopped, "stopped", String::new(), ""),
    ]
}

#[test]
fn programs_read_every_event_as_the_contract_has_it() {
    let shared = Shared::default();
    let clock = MonotonicClock::start();
    let mut json = Json::new(Box::new(shared.clone()), clock);
    let at = clock::now() + Duration::from_millis(1500);
    for (event, name, fields, _) in all() {
        json.event(&Stamped { at, group: None, event }, None);
        let line = shared.take();
        let times = format!("\"t_ms\":{},\"mono_ms\":{}", rounded(clock.t_ms(at)), rounded(clock.mono_ms(at)));
        let comma = if fields.is_empty() { "" } else { "," };
        assert_eq!(line, format!("{{\"event\":\"{name}\",{times}{comma}{fields}}}\n"));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["event"], name);
    }
}

fn rounded(ms: f64) -> String {
    serde_json::to_string(&((ms * 1000.0).round() / 1000.0)).unwrap()
}

#[test]
fn people_read_one_sentence_per_step() {
    let shared = Shared::default();
    let show = Show { presence: true, ..Show::default() };
    let mut human = Human::new(Box::new(shared.clone()), Box::new(shared.clone()), Style::PLAIN, show);
    human.introduce(alice(), "Alice");
    let at = Instant::now();
    for (event, name, _, sentence) in all() {
        human.event(&Stamped { at, group: None, event }, None);
        assert_eq!(shared.take(), sentence, "{name}");
    }
}

#[test]
fn results_of_commands_are_between_engine_and_verb() {
    let shared = Shared::default();
    let mut json = Json::new(Box::new(shared.clone()), MonotonicClock::start());
    let event = Event::CommandFinished { id: CommandId(1), result: Ok(Reply::Done) };
    json.event(&Stamped { at: Instant::now(), group: None, event }, None);
    assert_eq!(shared.take(), "");
}

#[test]
fn the_demo_says_whose_event_it_is() {
    let shared = Shared::default();
    let mut json = Json::new(Box::new(shared.clone()), MonotonicClock::start());
    json.event(&Stamped { at: Instant::now(), group: None, event: Event::Answered { call: CALL } }, Some(Side::B));
    assert!(shared.take().contains(r#","side":"b","call":""#));
}

#[test]
fn strangers_are_told_from_contacts() {
    let shared = Shared::default();
    let mut human = Human::new(Box::new(shared.clone()), Box::new(shared.clone()), Style::PLAIN, Show::default());
    let event = Event::Incoming { call: CALL, from: alice(), name: Some("The Bank".into()), known: false };
    human.event(&Stamped { at: Instant::now(), group: None, event }, None);
    let said = shared.take();
    assert!(said.contains("who goes by “The Bank” is calling; not one of your contacts"), "{said}");
    assert!(said.contains(&alice().abbreviated()), "{said}");
}

#[test]
fn a_call_that_failed_is_told_once_and_with_a_remedy() {
    let (shared, at) = (Shared::default(), Instant::now());
    let mut human = Human::new(
        Box::new(shared.clone()),
        Box::new(shared.clone()),
        Style::PLAIN,
        Show { dialled: true, ..Show::default() },
    );
    human.introduce(alice(), "Alice");
    human.event(&Stamped { at, group: None, event: ended(EndReason::NoAnswer, 0) }, None);
    human.report(&Report::CallFailure(failure_of(EndReason::NoAnswer, "Alice", None).unwrap()));
    assert_eq!(shared.take(), "✗ Alice did not answer; try again later.\n");

    let mut json = Json::new(Box::new(shared.clone()), MonotonicClock::start());
    json.report(&Report::CallFailure(failure_of(EndReason::NoAnswer, "Alice", None).unwrap()));
    assert!(shared.take().contains(r#""kind":"no_answer","retry":"later","message":"Alice did not"#));
}

#[test]
fn whoever_was_called_learns_what_stood_in_the_way_too() {
    let (shared, at) = (Shared::default(), Instant::now());
    let mut human = Human::new(Box::new(shared.clone()), Box::new(shared.clone()), Style::PLAIN, Show::default());
    human.introduce(alice(), "Alice");
    let event = match ended(EndReason::Unreachable, 0) {
        Event::Ended { call, peer, reason, talked, .. } => {
            let (cause, summary) = (Some(Cause::UdpBlocked), Summary::default());
            Event::Ended { call, peer, reason, cause, talked, summary }
        }
        other => other,
    };
    human.event(&Stamped { at, group: None, event }, None);
    assert_eq!(shared.take(), "· Alice could not be reached. This network blocks UDP, and no relay could be used.\n");
}

#[test]
fn the_live_line_is_drawn_over_and_only_on_terminals() {
    let (shared, at) = (Shared::default(), Instant::now());
    let live = Style { colours: false, live: true };
    let mut human = Human::new(Box::new(shared.clone()), Box::new(shared.clone()), live, Show::default());
    human.introduce(alice(), "Alice");
    let connected = Event::Connected {
        call: CALL,
        peer: Some(alice()),
        ring: None,
        answer_to_media: Duration::from_millis(84),
        path: direct(),
        audio_t0: None,
    };
    human.event(&Stamped { at, group: None, event: connected }, None);
    assert!(human.ticks());
    shared.take();
    human.event(&Stamped { at: at + Duration::from_secs(72), group: None, event: Event::Stats(stats()) }, None);
    let line = shared.take();
    assert!(line.starts_with("\r\x1b[2K   1:12  direct · good · 62 ms · loss 0.2 %"), "{line:?}");
    human.event(&Stamped { at, group: None, event: Event::Muted { call: CALL, by_peer: false, muted: true } }, None);
    let said = shared.take();
    assert!(said.starts_with("\r\x1b[2K· You are muted.\n\r\x1b[2K"), "{said:?}");
    human.event(&Stamped { at, group: None, event: ended(EndReason::HangUp, 72) }, None);
    assert!(!human.ticks());
    assert!(shared.take().ends_with("delay 62 ms)\n"));
}

fn diagnosis(reach: Reach) -> Report {
    let seen = Seen {
        local: "192.168.1.2:5".parse().unwrap(),
        public: "198.51.100.7:5".parse().unwrap(),
        mapping: Some(Mapping::EndpointIndependent),
        filtering: None,
        hairpin: Some(true),
        mapping_lifetime: None,
    };
    let nat = NatReport { servers: 2, ipv4: Some(seen), ipv6: None, udp_blocked: Some(false) };
    let network = NetworkReport { nat, connections: 4, acks: 3, super_peers: 2, reach };
    Report::Diagnosis(Box::new(Diagnosis { checks: Vec::new(), network, answer: "An answer.".into() }))
}

#[test]
fn a_diagnosis_ends_with_its_answer() {
    let (shared, failed) = (Shared::default(), Shared::default());
    let mut human = Human::new(Box::new(shared.clone()), Box::new(failed.clone()), Style::PLAIN, Show::default());
    human.report(&diagnosis(Reach::Direct));
    assert_eq!((shared.take().as_str(), failed.take().as_str()), ("\n✓ An answer.\n", ""));
    human.report(&diagnosis(Reach::Nowhere));
    assert_eq!((shared.take().as_str(), failed.take().as_str()), ("\n", "✗ An answer.\n"));
}

#[test]
fn reports_have_stable_fields() {
    let shared = Shared::default();
    let mut json = Json::new(Box::new(shared.clone()), MonotonicClock::start());
    let p = alice().to_string();
    let heard = |quality| Heard {
        arrived: true,
        likeness: 0.97,
        loss: Some(0.0),
        delay_ms: Some(60.0),
        quality,
        file: "x.wav".into(),
    };
    let demo = DemoResult {
        ring: Duration::from_millis(34),
        answer_to_media: Duration::from_millis(71),
        relayed: false,
        path: String::new(),
        a: heard(Some(4.4)),
        b: heard(Some(4.3)),
        took: Duration::from_secs(14),
    };
    let found = LookupReport { found: true, seq: Some(4), took: Duration::from_millis(80), requests: 6 };
    let device = DeviceInfo {
        id: "hw:1".into(),
        name: "USB".into(),
        role: AudioRole::Microphone,
        default_rate_hz: 44_100,
        channels: 1,
        is_default: true,
    };
    for (report, expected) in [
        (Report::Identity { link: link() }, format!(r#""person":"{p}","link":"twocans:{p}""#)),
        (
            Report::Lookup { link: link(), found },
            format!(r#""person":"{p}","found":true,"seq":4,"ms":80.0,"requests":6"#),
        ),
        (
            Report::Devices(vec![device]),
            r#""devices":[{"role":"input","id":"hw:1","name":"USB","rate_hz":44100,"channels":1,"default":true}]"#
                .into(),
        ),
        (
            diagnosis(Reach::Direct),
            [
                r#""callable":true,"reach":"direct","answer":"An answer.","connections":4,"acks":3,"super_peers":2,"#,
                r#""stun_servers":2,"public_ipv4":"198.51.100.7","public_ipv6":null,"udp_blocked":false,"nat":"cone","#,
                r#""mapping":"endpoint_independent","filtering":null,"hairpin":true,"mapping_lifetime_s":null"#,
            ]
            .concat(),
        ),
        (Report::Contacts { contacts: Vec::new(), blocked: Arc::default() }, r#""contacts":[]"#.into()),
        (Report::History { calls: Vec::new(), now_unix_s: 0 }, r#""calls":[]"#.into()),
        (
            Report::Running { verb: "status", answer: serde_json::json!({"event": "x", "calls": 1}) },
            r#""calls":1"#.into(),
        ),
        (
            Report::Demo(demo),
            r#""set_up_ms":105.0,"path":"direct","loss":0.0,"delay_ms":60.0,"quality":4.3,"ring_ms":34.0"#.into(),
        ),
        (Report::Failure(failure()), r#""kind":"device","retry":"after_user_action","message":"no microphone""#.into()),
    ] {
        json.report(&report);
        let line = shared.take();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(value["event"].is_string() && value["t_ms"].is_number() && value["mono_ms"].is_number());
        assert!(line.contains(&expected), "{line}");
    }
    json.report(&Report::Note("hello".into()));
    assert_eq!(shared.take(), "");
}

#[test]
fn past_calls_say_what_became_of_them() {
    let call = |reason, outgoing, seconds| HistoryEntry {
        call: CALL,
        person: alice(),
        name: Some("Alice".into()),
        outgoing,
        started_unix_s: 1000,
        talked: Duration::from_secs(seconds),
        reason,
        members: Vec::new(),
    };
    let calls = [
        call(EndReason::HangUp, true, 83),
        call(EndReason::NoAnswer, true, 0),
        call(EndReason::Cancelled, false, 0),
        call(EndReason::Declined, false, 0),
    ];
    let shown = tables::history(&calls, 1000 + 7200, Style::PLAIN);
    let lines: Vec<Vec<&str>> =
        shown.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    let ago = "2 hours ago";
    assert_eq!(
        lines,
        [
            ["→ Alice", "talked 1:23", ago],
            ["→ Alice", "no answer", ago],
            ["← Alice", "missed", ago],
            ["← Alice", "you declined", ago],
        ]
    );
}

#[test]
fn a_running_process_says_who_holds_the_call() {
    let status = |held, peer_held| {
        let call = serde_json::json!({ "name": "Alice", "phase": "connected", "path": "direct", "seconds": 7,
            "held": held, "peer_held": peer_held });
        tables::running("status", &serde_json::json!({ "acks": 2, "calls": [call] }), Style::PLAIN)
    };
    assert!(status(false, false).contains("In a call with Alice: connected, direct, 0:07."));
    assert!(status(true, true).contains("0:07, on hold."));
    assert!(status(false, true).contains("0:07, they put you on hold."));
}

#[test]
fn a_backup_is_told_to_programs_and_people() {
    let shared = Shared::default();
    let mut json = Json::new(Box::new(shared.clone()), MonotonicClock::start());
    let p = alice().to_string();
    let exported = Report::Exported { link: link(), file: "/tmp/me".into() };
    let imported = |contacts, set_aside| Report::Imported(Imported { link: link(), contacts, blocked: 2, set_aside });
    for (report, expected) in [
        (exported.clone(), format!(r#""person":"{p}","link":"twocans:{p}","file":"/tmp/me""#)),
        (imported(1, None), format!(r#""link":"twocans:{p}","contacts":1,"blocked":2,"set_aside":null"#)),
        (imported(0, Some("/old".into())), r#""contacts":0,"blocked":2,"set_aside":"/old""#.into()),
    ] {
        json.report(&report);
        let line = shared.take();
        assert!(line.contains(&expected), "{line}");
    }
    let mut human = Human::new(Box::new(shared.clone()), Box::new(shared.clone()), Style::PLAIN, Show::default());
    human.report(&exported);
    assert!(shared.take().contains("is kept in /tmp/me"));
    human.report(&imported(1, Some("/old".into())));
    let said = shared.take();
    assert!(said.contains("with one contact") && said.contains("before is in /old"), "{said}");
}
