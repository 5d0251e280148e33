//! For people: one short sentence per step, and one live line while talking.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::groups::Tone;
use super::sentences::{self, Quality};
use super::style::{self, Style};
use super::{Out, Output, Report, SdpStep, Side, groups, tables};
use crate::base::{CallId, Person};
use crate::cli::exit::failure_of;
use crate::cli::keys;
use crate::engine::{
    Cause, Check, Diagnosis, EndReason, Event, Failure, GroupEvent, MappedPort, MediaPath, PeerStats, Reach, Stamped,
    Summary, Verdict, name_of_nameless,
};

/// What a verb's user wants to read; the rest stays unsaid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Show {
    /// Whether we can be called.
    pub presence: bool,
    /// Where we listen and what we do for others.
    pub node: bool,
    /// The end of a call is told as the one who dialled sees it, with the remedy.
    pub dialled: bool,
    /// Keys work during a call, so they are named.
    pub keys: bool,
}

/// Writes sentences, colours only on a terminal.
pub struct Human {
    out: Out,
    /// Where failures go, so that they are seen when the output is not.
    err: Out,
    style: Style,
    show: Show,
    names: BTreeMap<Person, String>,
    peers: BTreeMap<CallId, Person>,
    can_be_called: Option<bool>,
    call: Option<Live>,
    drawn: bool,
}

/// A call that is connected.
struct Live {
    call: CallId,
    since: Instant,
    path: MediaPath,
    stats: Option<PeerStats>,
    muted: bool,
    peer_muted: bool,
    held: bool,
    peer_held: bool,
    reconnecting: bool,
}

impl Human {
    pub fn new(out: Out, err: Out, style: Style, show: Show) -> Self {
        Self {
            out,
            err,
            style,
            show,
            names: BTreeMap::new(),
            peers: BTreeMap::new(),
            can_be_called: None,
            call: None,
            drawn: false,
        }
    }

    fn say(&mut self, mark: &str, sentence: &str) {
        self.plain(&format!("{mark} {sentence}"));
    }

    fn step(&mut self, sentence: &str) {
        self.say(&self.style.dim("·"), sentence);
    }

    fn good(&mut self, sentence: &str) {
        self.say(&self.style.good("✓"), sentence);
    }

    fn warn(&mut self, sentence: &str) {
        self.say(&self.style.warn("!"), sentence);
    }

    fn bad(&mut self, sentence: &str) {
        self.clear();
        let text = format!("{} {sentence}\n", self.style.on_stderr().bad("✗"));
        let _ = keys::write_lines(&mut self.err, text.as_bytes()).and_then(|()| self.err.flush());
    }

    fn plain(&mut self, text: &str) {
        self.clear();
        // A reader that went away takes nothing from the call itself.
        let _ = keys::write_lines(&mut self.out, format!("{text}\n").as_bytes()).and_then(|()| self.out.flush());
    }

    /// Takes the live line away; it is drawn again after the next event.
    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = self.out.write_all(b"\r\x1b[2K").and_then(|()| self.out.flush());
        }
    }

    fn name(&self, person: &Person) -> String {
        self.names.get(person).cloned().unwrap_or_else(|| person.abbreviated())
    }

    fn name_of(&self, peer: Option<&Person>) -> String {
        peer.map_or_else(|| name_of_nameless(None), |person| self.name(person))
    }

    fn peer(&self, call: &CallId) -> String {
        self.peers.get(call).map_or_else(|| "the other side".into(), |person| self.name(person))
    }

    fn presence(&mut self, acks: u32, took: Duration) {
        let can = acks > 0;
        if !self.show.presence || self.can_be_called == Some(can) {
            return;
        }
        let before = self.can_be_called.replace(can);
        if can {
            let nodes = if acks == 1 { "1 node knows".into() } else { format!("{acks} nodes know") };
            self.good(&format!("You can be called: {nodes} where you are ({}).", sentences::took(took)));
        } else if before.is_some() {
            self.warn("Nobody can call you just now: no node keeps your presence. Still trying.");
        } else {
            self.warn(
                "Nobody can call you yet: no node keeps your presence. Give a node with --bootstrap. Still trying.",
            );
        }
    }

    fn incoming(&mut self, from: Person, name: Option<&String>, known: bool) {
        let sentence = match (name, known) {
            (Some(name), true) => {
                self.names.insert(from, name.clone());
                format!("{} is calling.", self.style.bold(name))
            }
            (None, known) if known || self.names.contains_key(&from) => {
                format!("{} is calling.", self.style.bold(&self.name(&from)))
            }
            (Some(name), false) => {
                let claimed = format!("{} who goes by “{name}”", from.abbreviated());
                self.names.insert(from, format!("“{name}”"));
                format!("{} is calling; not one of your contacts.", self.style.bold(&claimed))
            }
            (None, _) => format!("{} is calling; not one of your contacts.", self.style.bold(&from.abbreviated())),
        };
        self.say(&self.style.accent("☎"), &sentence);
    }

    fn ended(
        &mut self,
        call: CallId,
        peer: Option<&Person>,
        reason: EndReason,
        cause: Option<Cause>,
        talked: Duration,
        summary: &Summary,
    ) {
        self.peers.remove(&call);
        if self.call.as_ref().is_some_and(|live| live.call == call) {
            self.call = None;
        }
        let name = self.name_of(peer);
        match failure_of(reason, &name, cause).filter(|_| self.show.dialled) {
            Some(failure) => self.failure(&failure),
            None => {
                let mut sentence = sentences::end(reason, &name, talked);
                if peer.is_none() {
                    sentence = capitalised(&sentence);
                }
                if let Some(cause) = cause {
                    sentence = format!("{sentence} {}.", capitalised(&cause.to_string()));
                }
                if let Some(heard) = sentences::summary(summary) {
                    sentence = format!("{sentence} {}", self.style.dim(&format!("({heard})")));
                }
                match reason {
                    EndReason::HangUp | EndReason::RemoteHangUp | EndReason::TimeLimit => self.good(&sentence),
                    EndReason::FingerprintMismatch => self.bad(&self.style.on_stderr().alarm(&sentence)),
                    EndReason::ConnectionLost | EndReason::Device => self.bad(&sentence),
                    _ => self.step(&sentence),
                }
            }
        }
    }

    fn group(&mut self, event: &GroupEvent) {
        if let GroupEvent::Invited { by, name: Some(name), .. } = event {
            self.names.entry(*by).or_insert_with(|| format!("“{name}”"));
        }
        let Some((tone, sentence)) = groups::sentence(event, |person| self.name(person)) else { return };
        match tone {
            Tone::Rings => self.say(&self.style.accent("☎"), &sentence),
            Tone::Step => self.step(&sentence),
            Tone::Good => self.good(&sentence),
            Tone::Warn => self.warn(&sentence),
            Tone::Bad => self.bad(&sentence),
        }
    }

    /// One line, its columns under those of the other checks.
    fn checked(&mut self, check: &Check) {
        let mark = match check.verdict {
            Verdict::Fine => self.style.good("✓"),
            Verdict::Warning => self.style.warn("!"),
            Verdict::Problem => self.style.bad("✗"),
            Verdict::Unknown => self.style.dim("?"),
        };
        let label = format!("{:<14}", sentences::check(check.what));
        let remedy = check.remedy.as_ref().map(|remedy| self.style.dim(&format!(" → {remedy}"))).unwrap_or_default();
        self.say(&mark, &format!("{label}  {}{remedy}", check.finding));
    }

    fn diagnosis(&mut self, diagnosis: &Diagnosis) {
        self.plain("");
        match diagnosis.network.reach {
            Reach::Direct | Reach::Relayed | Reach::Unclear => self.good(&diagnosis.answer),
            Reach::Nowhere => self.bad(&diagnosis.answer),
        }
    }

    fn failure(&mut self, failure: &Failure) {
        let sentence = sentence(&failure.detail);
        match failure.kind {
            crate::engine::FailureKind::FingerprintMismatch => self.bad(&self.style.on_stderr().alarm(&sentence)),
            _ => self.bad(&sentence),
        }
    }

    fn draw(&mut self, now: Instant) {
        let Some(live) = self.call.as_ref().filter(|_| self.style.live) else { return };
        let line = live.line(now, self.style, self.show.keys);
        let text = format!("\r\x1b[2K{line}");
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        self.drawn = true;
    }
}

impl Output for Human {
    fn event(&mut self, stamped: &Stamped, side: Option<Side>) {
        // `demo` plays both sides; people follow A, and read of B that it rings there and who hung up.
        let told_by_b = matches!(stamped.event, Event::Incoming { .. } | Event::Ended { .. });
        if side == Some(Side::A) && told_by_b || side == Some(Side::B) && !told_by_b {
            return;
        }
        if stamped.group.is_some() {
            return;
        }
        match &stamped.event {
            Event::Group { event, .. } => self.group(event),
            Event::Ready { listen, node, .. } => {
                if self.show.node {
                    self.good(&format!("Online as node {node}."));
                    for address in listen {
                        self.step(&format!("Listening on {}", self.style.accent(address)));
                    }
                } else if side.is_none() {
                    self.step("Online.");
                }
            }
            Event::PresencePublished { acks, took, .. } => self.presence(*acks, *took),
            Event::SuperPeer { on, reason } if self.show.node => {
                let does = if *on { "Serving others" } else { "Not serving others" };
                self.step(&format!("{does}: {reason}."));
            }
            // Nobody asked a client to serve others, so it says that it does, and why it no longer does.
            Event::SuperPeer { on: true, reason } if self.show.presence => {
                self.step(&format!("Helping others to connect: {reason} (--super-peer never turns that off)."));
            }
            Event::SuperPeer { on: false, reason } if self.show.presence => {
                self.step(&format!("No longer helping others to connect: {reason}."));
            }
            Event::SuperPeer { .. } => {}
            Event::PortMapped(mapped) if self.show.presence => match mapped {
                Some(MappedPort { external, by, .. }) => {
                    self.good(&format!(
                        "The router lets others in at {external} ({by}), for the hash table and ringing."
                    ));
                }
                None => self.warn("The router does not let others in any more."),
            },
            Event::PortMapped(_) => {}
            Event::NetworkChanged => self.step("The network has changed; finding the way again."),
            Event::Dialing { call, peer } => {
                self.peers.insert(*call, *peer);
                self.step(&format!("Calling {}…", self.style.bold(&self.name(peer))));
            }
            Event::Ringing { took, .. } => self.step(&format!("It rings ({}).", sentences::took(*took))),
            Event::Incoming { call, from, name, known } => {
                self.peers.insert(*call, *from);
                self.incoming(*from, name.as_ref(), *known);
            }
            Event::Answered { .. } => self.step("Answered; connecting."),
            Event::SafetyWords { words, .. } => {
                let words = self.style.bold(&words.join(" "));
                self.step(&format!(
                    "Safety words: {words}; they are the same at both ends unless somebody listens in."
                ));
            }
            Event::Connected { call, peer, answer_to_media, path, .. } => {
                self.peers.extend(peer.map(|peer| (*call, peer)));
                let first = sentences::took(*answer_to_media);
                self.good(&format!("Connected, {}; first sound after {first}.", sentences::path(path)));
                self.call = Some(Live {
                    call: *call,
                    since: stamped.at,
                    path: path.clone(),
                    stats: None,
                    muted: false,
                    peer_muted: false,
                    held: false,
                    peer_held: false,
                    reconnecting: false,
                });
            }
            Event::PathChanged { path, .. } => {
                if let Some(live) = &mut self.call {
                    live.path = path.clone();
                }
                self.step(&format!("The path is now {}.", sentences::path(path)));
            }
            Event::Replaced { call, by } => {
                if let Some(peer) = self.peers.remove(call) {
                    self.peers.insert(*by, peer);
                }
                self.step("You called each other at the same moment; it is one call.");
            }
            Event::Reconnecting { call, reason } => {
                if let Some(live) = &mut self.call {
                    live.reconnecting = true;
                }
                self.warn(&format!("The connection to {} is interrupted ({reason}); reconnecting.", self.peer(call)));
            }
            Event::Reconnected { gap, .. } => {
                if let Some(live) = &mut self.call {
                    live.reconnecting = false;
                }
                self.good(&format!("Connected again after {}.", sentences::took(*gap)));
            }
            Event::Muted { call, by_peer, muted } => {
                if let Some(live) = &mut self.call {
                    *(if *by_peer { &mut live.peer_muted } else { &mut live.muted }) = *muted;
                }
                let who = if *by_peer { self.peer(call) } else { "You".into() };
                let (is, can) = if *by_peer { ("is", "can") } else { ("are", "can") };
                let state = if *muted { format!("{is} muted") } else { format!("{can} be heard again") };
                self.step(&format!("{who} {state}."));
            }
            Event::TalkingWhileMuted { .. } => {
                self.warn("You are talking, but your microphone is muted; press m to be heard.");
            }
            Event::Held { call, by_peer, held } => {
                if let Some(live) = &mut self.call {
                    *(if *by_peer { &mut live.peer_held } else { &mut live.held }) = *held;
                }
                let who = if *by_peer { self.peer(call) } else { "You".into() };
                self.step(&format!("{who} {}.", if *held { "put the call on hold" } else { "resumed the call" }));
            }
            Event::DeviceChanged { role, to, gap, .. } => {
                let (role, gap) = (sentences::role(*role), sentences::took(*gap));
                self.step(&format!("The {role} is now {to} (silent for {gap})."));
            }
            Event::Stats(stats) => {
                if let Some(live) = self.call.as_mut().filter(|live| live.call == stats.call) {
                    live.stats = Some(stats.clone());
                }
            }
            Event::Ended { call, peer, reason, cause, talked, summary } => {
                self.ended(*call, peer.as_ref(), *reason, *cause, *talked, summary);
            }
            Event::Checked(check) => self.checked(check),
            Event::Failed(failure) => self.failure(failure),
            Event::RingFailed { why, .. } => self.warn(&format!("It rings without a sound: {why}.")),
            Event::LinkOpened { .. } | Event::ShowRequested => {}
            Event::FrameLengthChanged { .. } | Event::Net(_) | Event::NodeStats(_) | Event::CommandFinished { .. } => {}
            Event::Described { .. } => {}
            Event::Lagged { .. } | Event::Stopped => {}
        }
        self.draw(stamped.at);
    }

    fn report(&mut self, report: &Report) {
        let style = self.style;
        match report {
            Report::Identity { link } => {
                self.plain(&link.to_string());
                if style.live {
                    self.plain(&format!("\n{}", crate::identity::qr_terminal(link).trim_end_matches('\n')));
                }
            }
            Report::Exported { link, file } => {
                let file = style.accent(&file.display().to_string());
                self.good(&format!("{} is kept in {file}.", link.person.abbreviated()));
                self.step("Without the passphrase nobody can open it, not even you; put a copy on another device.");
            }
            Report::Imported(imported) => {
                let contacts = match imported.contacts {
                    1 => "one contact".to_owned(),
                    contacts => format!("{contacts} contacts"),
                };
                self.good(&format!("This profile is {} now, with {contacts}.", imported.link.person.abbreviated()));
                if let Some(file) = &imported.set_aside {
                    self.step(&format!(
                        "The key that it had before is in {}.",
                        style.accent(&file.display().to_string())
                    ));
                }
            }
            Report::Lookup { link, found } if found.found => {
                let seq = found.seq.map(|seq| format!(", record {seq}")).unwrap_or_default();
                let (name, took) = (self.name(&link.person), sentences::took(found.took));
                self.good(&format!("{name} can be called (found in {took} with {} requests{seq}).", found.requests));
            }
            Report::Lookup { link, found } => {
                let (name, took) = (self.name(&link.person), sentences::took(found.took));
                self.bad(&format!(
                    "{name} was not found ({} requests, {took}). They may be offline; ask them to start twocans.",
                    found.requests
                ));
            }
            Report::Diagnosis(diagnosis) => self.diagnosis(diagnosis),
            Report::Sdp { step, kind, file } => {
                let file = style.accent(&file.display().to_string());
                match step {
                    SdpStep::Written => self.good(&format!("Wrote the {kind} for the other endpoint: {file}")),
                    SdpStep::Awaited => self.step(&format!("Waiting for its {kind}: {file}")),
                    SdpStep::Read => self.good(&format!("Read its {kind}.")),
                }
            }
            Report::Devices(devices) => self.plain(&tables::devices(devices, style)),
            Report::Contacts { contacts, blocked } => self.plain(&tables::contacts(contacts, blocked, style)),
            Report::ContactChanged { what, person, name } => {
                let name = name.clone().unwrap_or_else(|| self.name(person));
                self.good(&tables::change(*what, &name));
            }
            Report::History { calls, now_unix_s } => self.plain(&tables::history(calls, *now_unix_s, style)),
            Report::Running { verb, answer } => self.plain(&tables::running(verb, answer, style)),
            Report::Demo(result) => self.plain(&tables::demo(result, style)),
            Report::Note(text) => self.step(text),
            Report::Failure(failure) => self.failure(failure),
            Report::CallFailure(_) => {}
        }
    }

    fn introduce(&mut self, person: Person, name: &str) {
        self.names.insert(person, name.to_owned());
    }

    fn ticks(&self) -> bool {
        self.style.live && self.call.is_some()
    }

    fn tick(&mut self, now: Instant) {
        self.draw(now);
    }
}

impl Live {
    /// " 3:12  direct · good · 62 ms · loss 0 %  muted   m mute · q hang up", cut to the terminal.
    fn line(&self, now: Instant, style: Style, keys: bool) -> String {
        let mut parts = vec![if self.path.is_relayed() { "relayed" } else { "direct" }.to_owned()];
        if let Some(stats) = &self.stats {
            parts.extend(Quality::of_stats(stats).map(|quality| quality.word().to_owned()));
            parts.extend(stats.delay_ms.map(|ms| format!("{ms:.0} ms")));
            parts.extend(stats.loss.map(|loss| format!("loss {}", sentences::percent(loss))));
        }
        if self.reconnecting {
            parts.push("reconnecting".into());
        }
        parts.extend(self.held.then(|| "on hold".to_owned()));
        parts.extend(self.peer_held.then(|| "they put you on hold".to_owned()));
        parts.extend(self.muted.then(|| "you are muted".to_owned()));
        parts.extend(self.peer_muted.then(|| "they are muted".to_owned()));
        let timer = format!("{:>7}", sentences::timer(now.saturating_duration_since(self.since)));
        let state = parts.join(" · ");
        let hint = match (keys, self.muted) {
            (false, _) => "",
            (true, false) => "m mute · q hang up",
            (true, true) => "m unmute · q hang up",
        };

        let room = style::columns().saturating_sub(timer.len() + 3);
        let state: String = state.chars().take(room).collect();
        let hint = if state.chars().count() + 4 + hint.chars().count() <= room { hint } else { "" };
        let worry = self.reconnecting || self.stats.as_ref().and_then(Quality::of_stats) == Some(Quality::Poor);
        let state = if worry || self.muted || self.held || self.peer_held { style.warn(&state) } else { state };
        format!("{}  {state}    {}", style.bold(&timer), style.dim(hint)).trim_end().to_owned()
    }
}

/// A capital at the start and a full stop at the end, whoever wrote it.
fn sentence(text: &str) -> String {
    let text = capitalised(text.trim());
    if text.ends_with(['.', '!', '?', '…']) { text } else { text + "." }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    // Names of links, options and files keep their case.
    let is_word = text.chars().take_while(|c| !c.is_whitespace()).all(|c| c.is_alphabetic() || c == ',' || c == '\'');
    if is_word { first + letters.as_str() } else { text.to_owned() }
}
