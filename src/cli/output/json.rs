//! For programs: one object per line, field names and units as the contract has them.

use std::time::Instant;

use super::line::{Line, ms_of};
use super::names::{
    candidate_name, change_name, check_name, filtering_name, kind_name, mapping_name, nat_name, reach_name,
    reason_name, retry_name, role_name, sdp_step_name, verdict_name,
};
use super::{DemoResult, Heard, Out, Output, Report, Side, groups};
use crate::base::Person;
use crate::cli::clock;
use crate::engine::{
    Diagnosis, Event, Failure, MediaPath, MonotonicClock, NetTotals, NetworkReport, NodeTotals, PeerStats, Seen,
    Stamped, Summary,
};

/// Writes events as JSON lines and flushes each.
pub struct Json {
    out: Out,
    clock: MonotonicClock,
    /// Time on the last line. Two engines, or an engine and a verb, may tell their news a hair out of order; lines
    /// never run backwards.
    last: Option<Instant>,
}

impl Json {
    pub fn new(out: Out, clock: MonotonicClock) -> Self {
        Self { out, clock, last: None }
    }

    fn line(&mut self, event: &str, at: Instant) -> Line {
        let at = self.last.map_or(at, |last| last.max(at));
        self.last = Some(at);
        Line::new().put("event", event).ms("t_ms", self.clock.t_ms(at)).ms("mono_ms", self.clock.mono_ms(at))
    }

    fn write(&mut self, line: Line) {
        // A reader that went away takes nothing from the call itself.
        let _ = self.out.write_all(line.finish().as_bytes()).and_then(|()| self.out.flush());
    }
}

impl Output for Json {
    fn event(&mut self, stamped: &Stamped, side: Option<Side>) {
        let Some(name) = name_of(&stamped.event) else { return };
        let line = self.line(name, stamped.at);
        let line = match side {
            Some(Side::A) => line.put("side", "a"),
            Some(Side::B) => line.put("side", "b"),
            None => line,
        };
        let line = fields_of(line, &stamped.event, &self.clock);
        let line = stamped.group.iter().fold(line, |line, group| line.text("group", group));
        self.write(line);
    }

    fn report(&mut self, report: &Report) {
        let Some((name, fields)) = report_of(report) else { return };
        let line = fields(self.line(name, clock::now()));
        self.write(line);
    }

    fn introduce(&mut self, _: Person, _: &str) {}

    fn ticks(&self) -> bool {
        false
    }

    fn tick(&mut self, _: Instant) {}
}

/// `None`: the event is between the engine and the verb.
fn name_of(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::Ready { .. } => "ready",
        Event::PresencePublished { .. } => "presence_published",
        Event::SuperPeer { .. } => "super_peer",
        Event::NetworkChanged => "network_changed",
        Event::PortMapped(_) => "port_mapping",
        Event::Dialing { .. } => "dialing",
        Event::Ringing { .. } => "ringing",
        Event::Incoming { .. } => "incoming",
        Event::Answered { .. } => "answered",
        Event::SafetyWords { .. } => "safety_words",
        Event::Connected { .. } => "connected",
        Event::PathChanged { .. } => "path_changed",
        Event::Replaced { .. } => "replaced",
        Event::Reconnecting { .. } => "reconnecting",
        Event::Reconnected { .. } => "reconnected",
        Event::Muted { .. } => "muted",
        Event::Held { .. } => "held",
        Event::TalkingWhileMuted { .. } => "talking_while_muted",
        Event::FrameLengthChanged { .. } => "frame_ms_changed",
        Event::DeviceChanged { .. } => "device_changed",
        Event::Stats(_) => "stats",
        Event::Net(_) => "net",
        Event::NodeStats(_) => "node_stats",
        Event::Ended { .. } => "ended",
        Event::Group { event, .. } => groups::name_of(event),
        Event::Checked(_) => "check",
        Event::Failed(_) => "failure",
        Event::Lagged { .. } => "lagged",
        Event::Stopped => "stopped",
        Event::CommandFinished { .. } | Event::Described { .. } => return None,
        Event::RingFailed { .. } | Event::LinkOpened { .. } | Event::ShowRequested => return None,
    })
}

fn fields_of(line: Line, event: &Event, clock: &MonotonicClock) -> Line {
    match event {
        Event::Ready { person, link, node, listen, super_peer } => line
            .text("person", person)
            .text("link", link)
            .text("node", node)
            .put("listen", listen)
            .put("super_peer", super_peer),
        Event::PresencePublished { relays, acks, took } => line
            .put("relays", &relays.iter().map(ToString::to_string).collect::<Vec<_>>())
            .put("acks", acks)
            .duration("ms", *took),
        Event::PortMapped(mapped) => line
            .maybe_text("external", mapped.as_ref().map(|mapped| &mapped.external))
            .maybe_text("by", mapped.as_ref().map(|mapped| &mapped.by)),
        Event::SuperPeer { on, reason } => line.put("on", on).put("reason", reason),
        Event::NetworkChanged | Event::Stopped | Event::CommandFinished { .. } | Event::Described { .. } => line,
        Event::LinkOpened { .. } | Event::ShowRequested => line,
        Event::Group { group, event } => groups::fields_of(line.text("group", group), event),
        Event::RingFailed { call, why } => line.text("call", call).put("why", why),
        Event::Dialing { call, peer } => line.text("call", call).text("peer", peer),
        Event::Ringing { call, took } => line.text("call", call).duration("ring_ms", *took),
        Event::Incoming { call, from, name, known } => {
            line.text("call", call).text("from", from).put("name", name).put("known", known)
        }
        Event::Answered { call } => line.text("call", call),
        Event::SafetyWords { call, words } => line.text("call", call).put("words", words),
        Event::Connected { call, peer, ring, answer_to_media, path, audio_t0 } => {
            let line = line.text("call", call).maybe_text("peer", peer.as_ref()).maybe_ms("ring_ms", ring.map(ms_of));
            let line = path_fields(line.duration("answer_to_media_ms", *answer_to_media), path);
            line.maybe_ms("audio_t0_ms", audio_t0.map(|at| clock.mono_ms(at)))
        }
        Event::PathChanged { call, path } => path_fields(line.text("call", call), path),
        Event::Replaced { call, by } => line.text("call", call).text("by", by),
        Event::Reconnecting { call, reason } => line.text("call", call).text("reason", reason),
        Event::Reconnected { call, gap } => line.text("call", call).duration("gap_ms", *gap),
        Event::Muted { call, by_peer, muted } => line.text("call", call).put("by_peer", by_peer).put("muted", muted),
        Event::Held { call, by_peer, held } => line.text("call", call).put("by_peer", by_peer).put("held", held),
        Event::TalkingWhileMuted { call } => line.text("call", call),
        Event::FrameLengthChanged { call, frame_ms } => line.text("call", call).put("frame_ms", frame_ms),
        Event::DeviceChanged { role, from, to, gap } => {
            line.put("role", role_name(*role)).put("from", from).put("to", to).duration("gap_ms", *gap)
        }
        Event::Stats(stats) => stats_fields(line, stats),
        Event::Net(net) => net_fields(line, net),
        Event::NodeStats(node) => node_fields(line, node),
        Event::Ended { call, peer, reason, cause, talked, summary } => line
            .text("call", call)
            .maybe_text("peer", peer.as_ref())
            .put("reason", reason_name(*reason))
            .number("seconds", Some(talked.as_secs_f64()), 3)
            .object("summary", summary_fields(summary))
            .maybe_text("cause", cause.as_ref()),
        Event::Checked(check) => line
            .put("what", check_name(check.what))
            .put("verdict", verdict_name(check.verdict))
            .put("finding", &check.finding)
            .put("remedy", &check.remedy),
        Event::Failed(failure) => failure_fields(line, failure),
        Event::Lagged { missed } => line.put("missed", missed),
    }
}

fn path_fields(line: Line, path: &MediaPath) -> Line {
    line.put("path", if path.is_relayed() { "relayed" } else { "direct" })
        .put("local", candidate_name(path.local))
        .put("remote", candidate_name(path.remote))
        .put("protocol", path.protocol)
        .put("via", &path.via)
}

fn stats_fields(line: Line, stats: &PeerStats) -> Line {
    line.text("call", &stats.call)
        .maybe_text("peer", stats.peer.as_ref())
        .single("rtt_ms", stats.rtt_ms, 2)
        .single("jitter_ms", stats.jitter_ms, 2)
        .single("loss", stats.loss, 5)
        .single("concealed", stats.concealed, 5)
        .single("target_delay_ms", stats.target_delay_ms, 2)
        .single("buffer_ms", stats.buffer_ms, 2)
        .single("delay_ms", stats.delay_ms, 2)
        .put("tx_bps", &stats.tx_bps)
        .put("rx_bps", &stats.rx_bps)
        .put("red", &stats.red)
        .put("fec", &stats.fec)
        .put("dred", &stats.dred_ms)
        .single("mic_dbfs", stats.mic_dbfs, 1)
        .single("speaker_dbfs", stats.speaker_dbfs, 1)
        .single("cpu", stats.cpu, 2)
        .single("rss_mb", stats.rss_mb, 1)
}

fn net_fields(line: Line, net: &NetTotals) -> Line {
    line.put("tx_bytes", &net.tx_bytes)
        .put("rx_bytes", &net.rx_bytes)
        .put("connections", &net.connections)
        .single("cpu", net.cpu, 2)
        .single("rss_mb", net.rss_mb, 1)
}

fn node_fields(line: Line, node: &NodeTotals) -> Line {
    line.put("relayed_calls", &node.relayed_calls)
        .put("reservations", &node.reservations)
        .put("records", &node.records)
        .put("tx_bytes", &node.tx_bytes)
        .put("rx_bytes", &node.rx_bytes)
}

fn summary_fields(summary: &Summary) -> Line {
    Line::new()
        .single("loss", summary.loss, 5)
        .single("concealed", summary.concealed, 5)
        .single("delay_ms_p50", summary.delay_ms_p50, 2)
        .single("delay_ms_p95", summary.delay_ms_p95, 2)
        .single("quality", summary.quality, 2)
}

fn failure_fields(line: Line, failure: &Failure) -> Line {
    line.put("kind", kind_name(failure.kind)).put("retry", retry_name(failure.retry)).put("message", &failure.detail)
}

type Fields<'a> = Box<dyn FnOnce(Line) -> Line + 'a>;

/// `None`: for people only.
fn report_of(report: &Report) -> Option<(&'static str, Fields<'_>)> {
    Some(match report {
        Report::Identity { link } => ("id", Box::new(move |line| line.text("person", &link.person).text("link", link))),
        Report::Exported { link, file } => (
            "identity_exported",
            Box::new(move |line| line.text("person", &link.person).text("link", link).text("file", &file.display())),
        ),
        Report::Imported(imported) => (
            "identity_imported",
            Box::new(move |line| {
                line.text("person", &imported.link.person)
                    .text("link", &imported.link)
                    .put("contacts", &imported.contacts)
                    .put("blocked", &imported.blocked)
                    .maybe_text("set_aside", imported.set_aside.as_ref().map(|file| file.display()).as_ref())
            }),
        ),
        Report::Lookup { link, found } => (
            "lookup",
            Box::new(move |line| {
                line.text("person", &link.person)
                    .put("found", &found.found)
                    .put("seq", &found.seq)
                    .duration("ms", found.took)
                    .put("requests", &found.requests)
            }),
        ),
        Report::Sdp { step, kind, file } => {
            (sdp_step_name(*step), Box::new(move |line| line.put("type", kind).text("file", &file.display())))
        }
        Report::Devices(devices) => {
            let rows = devices.iter().map(|device| {
                Line::new()
                    .put("role", role_name(device.role))
                    .put("id", &device.id)
                    .put("name", &device.name)
                    .put("rate_hz", &device.default_rate_hz)
                    .put("channels", &device.channels)
                    .put("default", &device.is_default)
            });
            let rows: Vec<Line> = rows.collect();
            ("devices", Box::new(move |line| line.objects("devices", rows)))
        }
        Report::Diagnosis(diagnosis) => ("diagnosis", Box::new(move |line| diagnosis_fields(line, diagnosis))),
        Report::Contacts { contacts, blocked } => {
            let rows = contacts.iter().map(|contact| {
                Line::new()
                    .text("person", &contact.person)
                    .text("link", &contact.link)
                    .put("name", &contact.name)
                    .put("blocked", &blocked.contains(&contact.person))
            });
            let rows: Vec<Line> = rows.collect();
            ("contacts", Box::new(move |line| line.objects("contacts", rows)))
        }
        Report::ContactChanged { what, person, name } => (
            "contact_changed",
            Box::new(move |line| line.put("change", change_name(*what)).text("person", person).put("name", name)),
        ),
        Report::History { calls, .. } => {
            let rows = calls.iter().map(|entry| {
                Line::new()
                    .text("call", &entry.call)
                    .text("peer", &entry.person)
                    .put("name", &entry.name)
                    .put("outgoing", &entry.outgoing)
                    .put("started_unix_s", &entry.started_unix_s)
                    .number("seconds", Some(entry.talked.as_secs_f64()), 3)
                    .put("reason", reason_name(entry.reason))
            });
            let rows: Vec<Line> = rows.collect();
            ("history", Box::new(move |line| line.objects("calls", rows)))
        }
        Report::Running { verb, answer } => (verb, Box::new(move |line| line.merge(answer))),
        Report::Demo(result) => ("demo_result", Box::new(move |line| demo_fields(line, result))),
        Report::Failure(failure) | Report::CallFailure(failure) => {
            ("failure", Box::new(move |line| failure_fields(line, failure)))
        }
        Report::Note(_) => return None,
    })
}

/// The contract's fields hold the worse of the two directions.
fn demo_fields(line: Line, result: &DemoResult) -> Line {
    let worse = |of: fn(&Heard) -> Option<f32>, pick: fn(f32, f32) -> f32| Some(pick(of(&result.a)?, of(&result.b)?));
    line.duration("set_up_ms", result.ring + result.answer_to_media)
        .put("path", if result.relayed { "relayed" } else { "direct" })
        .single("loss", worse(|heard| heard.loss, f32::max), 5)
        .single("delay_ms", worse(|heard| heard.delay_ms, f32::max), 2)
        .single("quality", worse(|heard| heard.quality, f32::min), 3)
        .duration("ring_ms", result.ring)
        .duration("answer_to_media_ms", result.answer_to_media)
        .put("arrived", &(result.a.arrived && result.b.arrived))
        .object("a", heard_fields(&result.a))
        .object("b", heard_fields(&result.b))
        .number("seconds", Some(result.took.as_secs_f64()), 1)
}

fn diagnosis_fields(line: Line, diagnosis: &Diagnosis) -> Line {
    let NetworkReport { nat, connections, acks, super_peers, reach } = &diagnosis.network;
    // NAT is a matter of IPv4 first.
    let seen = nat.families().next();
    let lifetime = seen.and_then(|seen| seen.mapping_lifetime);
    let public = |seen: Option<Seen>| seen.map(|seen| seen.public.ip().to_string());
    line.put("callable", &diagnosis.can_be_called())
        .put("reach", reach_name(*reach))
        .put("answer", &diagnosis.answer)
        .put("connections", connections)
        .put("acks", acks)
        .put("super_peers", super_peers)
        .put("stun_servers", &nat.servers)
        .put("public_ipv4", &public(nat.ipv4))
        .put("public_ipv6", &public(nat.ipv6))
        .put("udp_blocked", &nat.udp_blocked)
        .put("nat", &seen.map(|seen| nat_name(seen.kind())))
        .put("mapping", &seen.and_then(|seen| seen.mapping).map(mapping_name))
        .put("filtering", &seen.and_then(|seen| seen.filtering).map(filtering_name))
        .put("hairpin", &seen.and_then(|seen| seen.hairpin))
        .number("mapping_lifetime_s", lifetime.map(|lifetime| lifetime.at_least.as_secs_f64()), 0)
}

fn heard_fields(heard: &Heard) -> Line {
    Line::new()
        .put("arrived", &heard.arrived)
        .single("likeness", Some(heard.likeness), 3)
        .single("loss", heard.loss, 5)
        .single("delay_ms", heard.delay_ms, 2)
        .single("quality", heard.quality, 3)
        .text("file", &heard.file.display())
}
