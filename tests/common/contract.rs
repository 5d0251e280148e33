//! The JSON contract of the command line, field by field: every line that any test's process prints is held to it.
//!
//! Fields may be added to an event, so unknown fields and unknown events pass; a known field that is missing, of
//! another type or out of range does not.

use serde_json::Value;

/// What a field may hold.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    /// A number ≥ 0.
    Number,
    /// 0..=1.
    Share,
    /// dBFS: −200..=20.
    Level,
    /// 32 hexadecimal digits.
    Call,
    /// 52 characters of z-base-32.
    Person,
    /// `twocans:…`.
    Link,
    /// An array of text.
    Texts,
    /// An array of multiaddresses with `/p2p/ID`.
    Addresses,
    OneOf(&'static [&'static str]),
    Object(&'static [Field]),
}

/// A field, and whether `null` (unknown) is allowed.
type Field = (&'static str, Kind, bool);

const KNOWN: bool = false;
const NULLABLE: bool = true;

const CANDIDATES: Kind = Kind::OneOf(&["host", "server_reflexive", "peer_reflexive", "relayed"]);

const END_REASONS: Kind = Kind::OneOf(&[
    "hangup",
    "remote_hangup",
    "time_limit",
    "declined",
    "busy",
    "no_answer",
    "cancelled",
    "not_found",
    "unreachable",
    "connection_lost",
    "fingerprint_mismatch",
    "device",
    "shutdown",
]);

const FAILURE_KINDS: Kind = Kind::OneOf(&[
    "not_found",
    "unreachable",
    "relay_refused",
    "declined",
    "busy",
    "no_answer",
    "device",
    "profile_in_use",
    "profile_damaged",
    "usage",
    "connection_lost",
    "fingerprint_mismatch",
    "internal",
]);

const DEPENDENCE: Kind = Kind::OneOf(&["endpoint_independent", "address_dependent", "address_and_port_dependent"]);

const MEMBER: &[Field] = &[("group", Kind::Call, KNOWN), ("peer", Kind::Person, KNOWN)];

const SUMMARY: Kind = Kind::Object(&[
    ("loss", Kind::Share, NULLABLE),
    ("concealed", Kind::Share, NULLABLE),
    ("delay_ms_p50", Kind::Number, NULLABLE),
    ("delay_ms_p95", Kind::Number, NULLABLE),
    ("quality", Kind::Number, NULLABLE),
]);

/// On every line.
const ENVELOPE: &[Field] =
    &[("event", Kind::Text, KNOWN), ("t_ms", Kind::Number, KNOWN), ("mono_ms", Kind::Number, KNOWN)];

const SDP_FILE: &[Field] = &[("type", Kind::OneOf(&["offer", "answer"]), KNOWN), ("file", Kind::Text, KNOWN)];

const EVENTS: &[(&str, &[Field])] = &[
    (
        "ready",
        &[
            ("person", Kind::Person, KNOWN),
            ("link", Kind::Link, KNOWN),
            ("node", Kind::Text, KNOWN),
            ("listen", Kind::Addresses, KNOWN),
            ("super_peer", Kind::Flag, KNOWN),
        ],
    ),
    (
        "presence_published",
        &[("relays", Kind::Texts, KNOWN), ("acks", Kind::Number, KNOWN), ("ms", Kind::Number, KNOWN)],
    ),
    ("super_peer", &[("on", Kind::Flag, KNOWN), ("reason", Kind::Text, KNOWN)]),
    ("dialing", &[("call", Kind::Call, KNOWN), ("peer", Kind::Person, KNOWN)]),
    ("ringing", &[("call", Kind::Call, KNOWN), ("ring_ms", Kind::Number, KNOWN)]),
    (
        "incoming",
        &[
            ("call", Kind::Call, KNOWN),
            ("from", Kind::Person, KNOWN),
            ("name", Kind::Text, NULLABLE),
            ("known", Kind::Flag, KNOWN),
        ],
    ),
    ("answered", &[("call", Kind::Call, KNOWN)]),
    ("safety_words", &[("call", Kind::Call, KNOWN), ("words", Kind::Texts, KNOWN)]),
    (
        "connected",
        &[
            ("call", Kind::Call, KNOWN),
            ("peer", Kind::Person, NULLABLE),
            ("ring_ms", Kind::Number, NULLABLE),
            ("answer_to_media_ms", Kind::Number, KNOWN),
            ("path", Kind::OneOf(&["direct", "relayed"]), KNOWN),
            ("local", CANDIDATES, KNOWN),
            ("remote", CANDIDATES, KNOWN),
            ("protocol", Kind::OneOf(&["udp", "tcp"]), KNOWN),
            ("via", Kind::Text, NULLABLE),
            ("audio_t0_ms", Kind::Number, NULLABLE),
        ],
    ),
    ("muted", &[("call", Kind::Call, KNOWN), ("by_peer", Kind::Flag, KNOWN), ("muted", Kind::Flag, KNOWN)]),
    ("talking_while_muted", &[("call", Kind::Call, KNOWN)]),
    ("held", &[("call", Kind::Call, KNOWN), ("by_peer", Kind::Flag, KNOWN), ("held", Kind::Flag, KNOWN)]),
    ("reconnecting", &[("reason", Kind::Text, KNOWN)]),
    ("reconnected", &[("gap_ms", Kind::Number, KNOWN)]),
    ("frame_ms_changed", &[("call", Kind::Text, KNOWN), ("frame_ms", Kind::Number, KNOWN)]),
    (
        "device_changed",
        &[
            ("role", Kind::Text, KNOWN),
            ("from", Kind::Text, NULLABLE),
            ("to", Kind::Text, KNOWN),
            ("gap_ms", Kind::Number, KNOWN),
        ],
    ),
    (
        "stats",
        &[
            ("call", Kind::Call, KNOWN),
            ("peer", Kind::Person, NULLABLE),
            ("rtt_ms", Kind::Number, NULLABLE),
            ("jitter_ms", Kind::Number, NULLABLE),
            ("loss", Kind::Share, NULLABLE),
            ("concealed", Kind::Share, NULLABLE),
            ("target_delay_ms", Kind::Number, NULLABLE),
            ("buffer_ms", Kind::Number, NULLABLE),
            ("delay_ms", Kind::Number, NULLABLE),
            ("tx_bps", Kind::Number, NULLABLE),
            ("rx_bps", Kind::Number, NULLABLE),
            ("red", Kind::Number, NULLABLE),
            ("fec", Kind::Flag, NULLABLE),
            ("dred", Kind::Number, NULLABLE),
            ("mic_dbfs", Kind::Level, NULLABLE),
            ("speaker_dbfs", Kind::Level, NULLABLE),
            ("cpu", Kind::Number, NULLABLE),
            ("rss_mb", Kind::Number, NULLABLE),
        ],
    ),
    (
        "net",
        &[
            ("tx_bytes", Kind::Number, KNOWN),
            ("rx_bytes", Kind::Number, KNOWN),
            ("connections", Kind::Number, KNOWN),
            ("cpu", Kind::Number, NULLABLE),
            ("rss_mb", Kind::Number, NULLABLE),
        ],
    ),
    (
        "node_stats",
        &[
            ("relayed_calls", Kind::Number, KNOWN),
            ("reservations", Kind::Number, KNOWN),
            ("records", Kind::Number, KNOWN),
            ("tx_bytes", Kind::Number, KNOWN),
            ("rx_bytes", Kind::Number, KNOWN),
        ],
    ),
    (
        "ended",
        &[
            ("call", Kind::Call, KNOWN),
            ("reason", END_REASONS, KNOWN),
            ("seconds", Kind::Number, KNOWN),
            ("summary", SUMMARY, KNOWN),
        ],
    ),
    ("sdp_written", SDP_FILE),
    ("sdp_awaited", SDP_FILE),
    ("sdp_read", SDP_FILE),
    ("identity_exported", &[("person", Kind::Person, KNOWN), ("link", Kind::Link, KNOWN), ("file", Kind::Text, KNOWN)]),
    (
        "identity_imported",
        &[
            ("person", Kind::Person, KNOWN),
            ("link", Kind::Link, KNOWN),
            ("contacts", Kind::Number, KNOWN),
            ("blocked", Kind::Number, KNOWN),
            ("set_aside", Kind::Text, NULLABLE),
        ],
    ),
    ("group_started", &[("group", Kind::Call, KNOWN)]),
    (
        "group_invited",
        &[
            ("group", Kind::Call, KNOWN),
            ("by", Kind::Person, KNOWN),
            ("name", Kind::Text, NULLABLE),
            ("known", Kind::Flag, KNOWN),
            ("members", Kind::Texts, KNOWN),
        ],
    ),
    ("group_joined", &[("group", Kind::Call, KNOWN)]),
    ("member_added", &[("group", Kind::Call, KNOWN), ("peer", Kind::Person, KNOWN), ("by", Kind::Person, KNOWN)]),
    ("member_here", MEMBER),
    ("member_gone", MEMBER),
    ("member_removed", &[("group", Kind::Call, KNOWN), ("peer", Kind::Person, KNOWN), ("by", Kind::Person, NULLABLE)]),
    (
        "member_not_coming",
        &[("group", Kind::Call, KNOWN), ("peer", Kind::Person, KNOWN), ("reason", END_REASONS, KNOWN)],
    ),
    (
        "hearing",
        &[
            ("group", Kind::Call, KNOWN),
            ("from", Kind::Person, KNOWN),
            ("to", Kind::Person, KNOWN),
            ("path", Kind::OneOf(&["unknown", "direct", "via", "missing"]), KNOWN),
            ("via", Kind::Person, NULLABLE),
        ],
    ),
    (
        "group_ended",
        &[
            ("group", Kind::Call, KNOWN),
            ("reason", Kind::OneOf(&["left", "removed", "unreachable", "refused", "no_answer"]), KNOWN),
            ("by", Kind::Person, NULLABLE),
            ("message", Kind::Text, NULLABLE),
            ("seconds", Kind::Number, KNOWN),
        ],
    ),
    (
        "demo_result",
        &[
            ("set_up_ms", Kind::Number, KNOWN),
            ("path", Kind::OneOf(&["direct", "relayed"]), KNOWN),
            ("loss", Kind::Share, NULLABLE),
            ("delay_ms", Kind::Number, NULLABLE),
            ("quality", Kind::Number, NULLABLE),
        ],
    ),
    (
        "check",
        &[
            ("what", Kind::Text, KNOWN),
            ("verdict", Kind::OneOf(&["fine", "warning", "problem", "unknown"]), KNOWN),
            ("finding", Kind::Text, KNOWN),
            ("remedy", Kind::Text, NULLABLE),
        ],
    ),
    (
        "diagnosis",
        &[
            ("callable", Kind::Flag, KNOWN),
            ("reach", Kind::OneOf(&["direct", "relayed", "unclear", "nowhere"]), KNOWN),
            ("answer", Kind::Text, KNOWN),
            ("connections", Kind::Number, KNOWN),
            ("acks", Kind::Number, KNOWN),
            ("super_peers", Kind::Number, KNOWN),
            ("stun_servers", Kind::Number, KNOWN),
            ("public_ipv4", Kind::Text, NULLABLE),
            ("public_ipv6", Kind::Text, NULLABLE),
            ("udp_blocked", Kind::Flag, NULLABLE),
            ("nat", Kind::Text, NULLABLE),
            ("mapping", DEPENDENCE, NULLABLE),
            ("filtering", DEPENDENCE, NULLABLE),
            ("hairpin", Kind::Flag, NULLABLE),
            ("mapping_lifetime_s", Kind::Number, NULLABLE),
        ],
    ),
    (
        "failure",
        &[
            ("kind", FAILURE_KINDS, KNOWN),
            ("retry", Kind::OneOf(&["never", "later", "after_user_action"]), KNOWN),
            ("message", Kind::Text, KNOWN),
        ],
    ),
];

/// Holds every line of a process to the contract; one complaint per breach.
pub fn breaches(lines: &[Value]) -> Vec<String> {
    let mut complaints: Vec<String> = lines.iter().flat_map(breaches_of_line).collect();
    let clocks: Vec<f64> = lines.iter().filter_map(|line| line["mono_ms"].as_f64()).collect();
    if clocks.windows(2).any(|pair| pair[1] < pair[0]) {
        complaints.push("mono_ms runs backwards".to_owned());
    }
    complaints
}

/// Panics with all complaints.
pub fn check(name: &str, lines: &[Value]) {
    let complaints = breaches(lines);
    assert!(complaints.is_empty(), "{name} broke the JSON contract:\n  {}", complaints.join("\n  "));
}

fn breaches_of_line(line: &Value) -> Vec<String> {
    if !line.is_object() {
        return vec![format!("not a JSON object: {line}")];
    }
    let event = line["event"].as_str().unwrap_or_default();
    let own = EVENTS.iter().find(|(name, _)| *name == event).map_or(&[][..], |(_, fields)| fields);
    ENVELOPE
        .iter()
        .chain(own)
        .filter_map(|field| breach_of_field(line, field).map(|why| format!("{event}: {why}")))
        .collect()
}

fn breach_of_field(holder: &Value, &(name, kind, nullable): &Field) -> Option<String> {
    let Some(value) = holder.get(name) else {
        return Some(format!("{name} is missing"));
    };
    if value.is_null() {
        return (!nullable).then(|| format!("{name} is null"));
    }
    if let Kind::Object(fields) = kind {
        return fields.iter().find_map(|field| breach_of_field(value, field)).map(|why| format!("{name}.{why}"));
    }
    (!fits(value, kind)).then(|| format!("{name} is {value}"))
}

fn fits(value: &Value, kind: Kind) -> bool {
    let number_in = |low: f64, high: f64| value.as_f64().is_some_and(|number| (low..=high).contains(&number));
    let text_that = |test: &dyn Fn(&str) -> bool| value.as_str().is_some_and(test);
    let texts_that = |test: &dyn Fn(&str) -> bool| {
        value.as_array().is_some_and(|items| items.iter().all(|item| item.as_str().is_some_and(test)))
    };
    match kind {
        Kind::Text => text_that(&|text| !text.is_empty()),
        Kind::Flag => value.is_boolean(),
        Kind::Number => number_in(0.0, f64::MAX),
        Kind::Share => number_in(0.0, 1.0),
        Kind::Level => number_in(-200.0, 20.0),
        Kind::Call => text_that(&|text| text.len() == 32 && text.chars().all(|c| c.is_ascii_hexdigit())),
        Kind::Person => text_that(&is_person),
        Kind::Link => {
            text_that(&|text| text.strip_prefix("twocans:").and_then(|rest| rest.get(..52)).is_some_and(is_person))
        }
        Kind::Texts => texts_that(&|text| !text.is_empty()),
        Kind::Addresses => texts_that(&|text| text.starts_with('/') && text.contains("/p2p/")),
        Kind::OneOf(words) => text_that(&|text| words.contains(&text)),
        Kind::Object(_) => value.is_object(),
    }
}

fn is_person(text: &str) -> bool {
    text.len() == 52 && text.chars().all(|c| "ybndrfg8ejkmcpqxot1uwisza345h769".contains(c))
}
