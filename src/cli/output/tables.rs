//! Answers that are more than one sentence.

use std::collections::BTreeSet;

use super::sentences::{self, Quality};
use super::{Change, DemoResult, Heard, Style};
use crate::base::Person;
use crate::engine::{AudioRole, Contact, DeviceInfo, HistoryEntry};

pub fn devices(devices: &[DeviceInfo], style: Style) -> String {
    let mut text = String::new();
    for (role, title) in
        [(AudioRole::Microphone, "Microphones"), (AudioRole::Speaker, "Speakers"), (AudioRole::Ring, "Ringing")]
    {
        let rows: Vec<&DeviceInfo> = devices.iter().filter(|device| device.role == role).collect();
        if rows.is_empty() && role == AudioRole::Ring {
            continue;
        }
        text += &format!("{}\n", style.bold(title));
        if rows.is_empty() {
            text += &format!("  {}\n", style.warn("none; plug one in, or use file:PATH, tone:HZ, silence or null"));
        }
        let width = rows.iter().map(|device| device.id.chars().count()).max().unwrap_or(0);
        for device in rows {
            let mark = if device.is_default { style.good("●") } else { style.dim("○") };
            let channels = if device.channels == 1 { "mono".into() } else { format!("{} channels", device.channels) };
            let about = format!("{}, {} Hz, {channels}", device.name, device.default_rate_hz);
            text += &format!("  {mark} {:<width$}  {}\n", device.id, style.dim(&about));
        }
    }
    text + &style.dim("● is the default; use an id with --mic, --speaker or --ring-device")
}

pub fn contacts(contacts: &[Contact], blocked: &BTreeSet<Person>, style: Style) -> String {
    if contacts.is_empty() {
        return "No contacts yet; add one with `twocans contacts add LINK --name NAME`.".into();
    }
    let name = |contact: &Contact| contact.name.clone().unwrap_or_else(|| "(no name)".into());
    let width = contacts.iter().map(|contact| name(contact).chars().count()).max().unwrap_or(0);
    let rows = contacts.iter().map(|contact| {
        let is_blocked = blocked.contains(&contact.person);
        let blocked = if is_blocked { format!("  {}", style.warn("blocked")) } else { String::new() };
        format!("{:<width$}  {}{blocked}", name(contact), style.dim(&contact.link.to_string()))
    });
    rows.collect::<Vec<_>>().join("\n")
}

pub fn change(what: Change, name: &str) -> String {
    match what {
        Change::Added => format!("{name} is in your contacts."),
        Change::Renamed => format!("They are called {name} now."),
        Change::Removed => format!("{name} is no longer in your contacts."),
        Change::Blocked => format!("{name} is blocked: their calls are refused without ringing."),
        Change::Unblocked => format!("{name} can ring again."),
    }
}

pub fn history(calls: &[HistoryEntry], now_unix_s: i64, style: Style) -> String {
    if calls.is_empty() {
        return "No calls yet.".into();
    }
    let rows = calls.iter().map(|entry| {
        let arrow = if entry.outgoing { style.accent("→") } else { style.good("←") };
        let name = entry.name.clone().unwrap_or_else(|| entry.person.abbreviated());
        let ago = sentences::ago(now_unix_s.saturating_sub(entry.started_unix_s));
        let how = if entry.talked.is_zero() {
            sentences::why_no_talk(entry.reason, entry.outgoing).to_owned()
        } else {
            format!("talked {}", sentences::timer(entry.talked))
        };
        format!("{arrow} {name:<24}  {how:<16}  {}", style.dim(&ago))
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// The answer of the running process, field by field.
pub fn running(verb: &str, answer: &serde_json::Value, style: Style) -> String {
    let done = match verb {
        "mute" => "Muted.",
        "unmute" => "You can be heard again.",
        "ptt press" => "You can be heard while the key is held.",
        "ptt release" => "The key is up.",
        "deafen" => "Deafened: you hear nothing and are not heard.",
        "undeafen" => "You hear and can be heard again.",
        "hold" => "On hold: neither of you hears the other.",
        "unhold" => "No longer on hold.",
        "hangup" => "Hung up.",
        "open" => "The running twocans of this profile shows the link.",
        "show" => "twocans is running already; its window is shown.",
        "call" => "The running twocans of this profile is calling.",
        _ => "",
    };
    if !done.is_empty() {
        return format!("{} {done}", style.good("✓"));
    }
    let Some(fields) = answer.as_object() else { return answer.to_string() };
    if verb == "status" {
        return status(answer, style);
    }
    let width = fields.keys().map(String::len).max().unwrap_or(0);
    let rows = fields.iter().map(|(key, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{}  {value}", style.dim(&format!("{key:<width$}")))
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// What the process that holds the profile does, in sentences; fields it does not send are passed over.
fn status(answer: &serde_json::Value, style: Style) -> String {
    let text = |value: &serde_json::Value, field: &str| value[field].as_str().map(str::to_owned);
    let is = |field: &str| answer[field].as_bool() == Some(true);
    let mut lines = Vec::new();
    match answer["acks"].as_u64() {
        Some(0) | None => lines.push(format!("{} Online.", style.dim("·"))),
        Some(1) => lines.push(format!("{} You can be called: 1 node knows where you are.", style.good("✓"))),
        Some(nodes) => {
            lines.push(format!("{} You can be called: {nodes} nodes know where you are.", style.good("✓")));
        }
    }
    if is("super_peer") {
        lines.push(format!("{} Serving others.", style.good("✓")));
    }
    let calls = answer["calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    for call in calls {
        let person = text(call, "peer").and_then(|peer| peer.parse().ok()).map(|person: Person| person.abbreviated());
        let name = text(call, "name").or(person).unwrap_or_else(|| "somebody".into());
        let seconds = call["seconds"].as_f64().filter(|seconds| seconds.is_finite()).unwrap_or(0.0).clamp(0.0, 1e9);
        let talked = sentences::timer(std::time::Duration::from_secs_f64(seconds));
        let on_hold = match (call["held"].as_bool(), call["peer_held"].as_bool()) {
            (Some(true), _) => Some("on hold".to_owned()),
            (_, Some(true)) => Some("they put you on hold".to_owned()),
            _ => None,
        };
        let facts = [text(call, "phase"), text(call, "path"), Some(talked), on_hold];
        let facts: Vec<String> = facts.into_iter().flatten().collect();
        lines.push(format!("{} In a call with {}: {}.", style.accent("☎"), style.bold(&name), facts.join(", ")));
    }
    if calls.is_empty() {
        lines.push(format!("{} Not in a call.", style.dim("·")));
    }
    if is("deafened") {
        lines.push(format!("{} Deafened: you hear nothing and are not heard.", style.warn("!")));
    } else if is("muted") {
        lines.push(format!("{} Muted.", style.warn("!")));
    }
    lines.extend(text(answer, "link").map(|link| style.dim(&link)));
    lines.join("\n")
}

pub fn demo(result: &DemoResult, style: Style) -> String {
    const LABEL: usize = 20;
    const CELL: usize = 15;
    let row = |label: &str, left: String, right: String| {
        format!("  {}{left:>CELL$}{right:>CELL$}\n", style.dim(&format!("{label:<LABEL$}")))
    };
    let both = |label: &str, show: fn(&Heard) -> String| row(label, show(&result.b), show(&result.a));
    let unknown = || "–".to_owned();

    let title = format!("  {:<LABEL$}{:>CELL$}{:>CELL$}", "", "Alice → Bob", "Bob → Alice");
    let mut text = format!("\n{}\n", style.bold(&title));
    text += &both("speech arrived", |heard| if heard.arrived { "yes".into() } else { "NO".into() });
    text += &row(
        "quality (PESQ-WB)",
        result.b.quality.map_or_else(unknown, |score| format!("{score:.2}")),
        result.a.quality.map_or_else(unknown, |score| format!("{score:.2}")),
    );
    text += &row(
        "loss",
        result.b.loss.map_or_else(unknown, sentences::percent),
        result.a.loss.map_or_else(unknown, sentences::percent),
    );
    text += &row(
        "delay",
        result.b.delay_ms.map_or_else(unknown, |ms| format!("{ms:.0} ms")),
        result.a.delay_ms.map_or_else(unknown, |ms| format!("{ms:.0} ms")),
    );
    let fact = |label: &str, value: &str| format!("  {}{value}\n", style.dim(&format!("{label:<LABEL$}")));
    let (ring, media) = (sentences::took(result.ring), sentences::took(result.answer_to_media));
    text += "\n";
    text += &fact("set-up", &format!("rings after {ring}, first sound {media} after the answer"));
    text += &fact("path", &result.path);
    text += &fact("Bob heard", &result.b.file.display().to_string());
    text += &fact("Alice heard", &result.a.file.display().to_string());
    let seconds = result.took.as_secs_f32();
    let verdict = if result.a.arrived && result.b.arrived {
        let worst = [result.a.quality, result.b.quality].into_iter().flatten().fold(f32::INFINITY, f32::min);
        let word = if worst.is_finite() { Quality::of_mos(worst).word() } else { "unmeasured" };
        style.good(&format!("✓ The speech arrived both ways, quality {word}, all in {seconds:.1} s."))
    } else {
        style.bad("✗ The speech did not arrive both ways; run again with --log debug to see why.")
    };
    text + "\n" + &verdict
}
