//! Two people, the wire between them, and a stand-in for the engine.

mod attacks;
mod flow;
mod glare;
mod invites;
mod messages;
mod properties;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::*;
use crate::identity::PersonKey;

const RING: Duration = Duration::from_secs(45);
const MS: Duration = Duration::from_millis(1);

fn id(byte: u8) -> CallId {
    CallId::from_bytes([byte; 16])
}

/// Alice's is the lower one.
fn keys() -> [PersonKey; 2] {
    let mut keys = [PersonKey::from_seed(&[1; 32]), PersonKey::from_seed(&[2; 32])];
    keys.sort_by_key(PersonKey::person);
    keys
}

/// A clock reading; only differences matter.
fn any_instant() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now)
}

fn sdp(fingerprint: [u8; 32], ufrag: &str, candidates: &[&str]) -> String {
    let fingerprint = fingerprint.map(|byte| format!("{byte:02X}")).join(":");
    let mut sdp = format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 {fingerprint}\r\n");
    sdp += &format!("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n");
    candidates.iter().for_each(|candidate| sdp += &format!("a={candidate}\r\n"));
    sdp
}

const ALICE: usize = 0;
const BOB: usize = 1;

struct Parcel {
    to: usize,
    message: Message,
    call: CallId,
}

type Tamper = Box<dyn FnMut(usize, &mut Message)>;

struct World {
    now: Instant,
    people: [Person; 2],
    boards: [Switchboard; 2],
    wire: VecDeque<Parcel>,
    /// Everything that happened, as text: `A> RING`, `B: Connected`.
    trace: Vec<String>,
    events: [Vec<(CallId, CallEvent)>; 2],
    /// Changes messages on the way, as somebody in the middle would.
    tamper: Tamper,
    /// Links come up by themselves as soon as both descriptions are applied.
    links_work: bool,
}

impl World {
    fn new() -> Self {
        let keys = keys();
        let people = [keys[ALICE].person(), keys[BOB].person()];
        Self {
            now: any_instant(),
            people,
            boards: keys.map(|key| Switchboard::new(key, Limits::default())),
            wire: VecDeque::new(),
            trace: Vec::new(),
            events: [Vec::new(), Vec::new()],
            tamper: Box::new(|_, _| {}),
            links_work: true,
        }
    }

    fn dial(&mut self, who: usize, call: CallId) {
        let to = self.people[1 - who];
        let invite = self.boards[who].dial(call, to, Some(["Alice", "Bob"][who].into()), RING, self.now).unwrap();
        self.send(1 - who, call, Message::Invite(invite));
    }

    fn send(&mut self, to: usize, call: CallId, message: Message) {
        self.trace.push(format!("{}> {}", ['A', 'B'][1 - to], message.kind()));
        self.wire.push_back(Parcel { to, message, call });
    }

    /// Delivers everything that is on the wire, and what that causes, until nothing is left.
    fn run(&mut self) {
        self.drain();
        while !self.wire.is_empty() {
            self.deliver(0);
        }
    }

    /// Delivers one parcel, by its place on the wire.
    fn deliver(&mut self, at: usize) {
        let Some(Parcel { to, mut message, call }) = self.wire.remove(at) else { return };
        (self.tamper)(to, &mut message);
        let bytes = message.encode();
        assert!(bytes.len() <= MAX_MESSAGE_BYTES);
        self.now += 40 * MS;
        match Message::decode(&bytes).unwrap() {
            Message::Invite(invite) => match self.boards[to].invited(&invite, self.now) {
                InviteReply::Ring { .. } | InviteReply::RingAgain { .. } => self.send(1 - to, call, Message::Ring),
                InviteReply::Refuse(message) => self.send(1 - to, call, message),
                InviteReply::Rejoined { .. } | InviteReply::Ignore => {}
            },
            message => self.boards[to].handle_message(call, message, self.now),
        }
        self.drain();
    }

    /// What the engine does after each input.
    fn drain(&mut self) {
        while self.poll(ALICE) || self.poll(BOB) {}
    }

    /// False when this side has nothing to say.
    fn poll(&mut self, who: usize) -> bool {
        if let Some(transmit) = self.boards[who].poll_transmit() {
            self.send(1 - who, transmit.call, transmit.message);
        } else if let Some((call, event)) = self.boards[who].poll_event() {
            self.trace.push(format!("{}: {}", ['A', 'B'][who], name_of(&event)));
            self.events[who].push((call, event.clone()));
            self.obey(who, call, event);
        } else {
            return false;
        }
        true
    }

    fn obey(&mut self, who: usize, call: CallId, event: CallEvent) {
        let (fingerprint, ufrag) = ([who as u8 + 1; 32], format!("ufrag{who}"));
        match event {
            CallEvent::WantOffer
            | CallEvent::WantAnswer { .. }
            | CallEvent::WantRestart
            | CallEvent::WantRestartAnswer { .. } => {
                let sdp = sdp(fingerprint, &ufrag, &[]);
                self.boards[who].described(call, sdp, fingerprint, ufrag, self.now);
            }
            CallEvent::ApplyAnswer { .. } if self.links_work => {
                self.links(call, &[LinkNews::Connected, LinkNews::ChannelOpen, LinkNews::FirstAudio]);
            }
            _ => {}
        }
    }

    /// The same news at both ends.
    fn links(&mut self, call: CallId, news: &[LinkNews]) {
        for what in news {
            self.boards.iter_mut().for_each(|board| board.handle_link(call, *what, self.now));
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.boards.iter_mut().for_each(|board| board.handle_timeout(self.now));
        self.run();
    }

    fn trace(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trace)
    }

    /// A call up to the moment where Bob's human is asked.
    fn ringing() -> Self {
        let mut world = Self::new();
        world.dial(ALICE, id(1));
        world.run();
        world
    }

    fn talking() -> Self {
        let mut world = Self::ringing();
        assert!(world.boards[BOB].answer(id(1), world.now));
        world.run();
        assert_eq!(world.states(), [Some(State::Talking); 2]);
        world
    }

    fn states(&self) -> [Option<State>; 2] {
        [ALICE, BOB].map(|who| self.boards[who].calls().next().map(|view| view.state))
    }

    fn endings(&self, who: usize) -> Vec<EndReason> {
        let reason = |(_, event): &(CallId, CallEvent)| match event {
            CallEvent::Ended(reason) => Some(*reason),
            _ => None,
        };
        self.events[who].iter().filter_map(reason).collect()
    }
}

fn name_of(event: &CallEvent) -> String {
    match event {
        CallEvent::Incoming { name, .. } => format!("Incoming from {}", name.as_deref().unwrap_or("?")),
        CallEvent::WantAnswer { .. } => "WantAnswer".into(),
        CallEvent::WantRestartAnswer { .. } => "WantRestartAnswer".into(),
        CallEvent::Rejoin(_) => "Rejoin".into(),
        CallEvent::ApplyAnswer { .. } => "ApplyAnswer".into(),
        CallEvent::Replaced { .. } => "Replaced".into(),
        other => format!("{other:?}"),
    }
}
