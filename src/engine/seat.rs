//! A person's place in our ears: where their packets are put, whichever way they come.
//!
//! ```text
//!  their link ────────┬──▶ Inlet ──▶ voice thread
//!                     └──▶ links of members who do not hear them   (we help)
//!  a helper's link ───────▶ Inlet                                  (we are helped)
//! ```
//!
//! Packets go from the link that brings them straight to where they belong, on the media runtime: the desk only says who
//! helps whom.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::{Carried, IncomingPacket, OutgoingPacket, PayloadKind, Person, SpeakerTag};
use crate::link::{AudioSink, Link};

/// Packets that may wait for the voice thread: a second at 10 ms per packet, doubled.
const PACKET_QUEUE: usize = 256;

/// A way into the voice thread.
pub(super) struct Seat {
    pub inlet: Inlet,
    /// Taken by the voice thread once media flows.
    pub packets: Option<rtrb::Consumer<IncomingPacket>>,
}

impl Seat {
    pub fn new() -> Self {
        let (queue, packets) = rtrb::RingBuffer::new(PACKET_QUEUE);
        let shared = Shared {
            queue: Mutex::new(queue),
            forwards: Mutex::default(),
            direct: AtomicU32::new(0),
            carried: AtomicU32::new(0),
        };
        Self { inlet: Inlet(Arc::new(shared)), packets: Some(packets) }
    }
}

/// Where one person's packets are put.
#[derive(Clone)]
pub(super) struct Inlet(Arc<Shared>);

struct Shared {
    queue: Mutex<rtrb::Producer<IncomingPacket>>,
    /// To whom we pass them on, and how we name the speaker.
    forwards: Mutex<Option<(SpeakerTag, Vec<Link>)>>,
    /// Packets that came, by themselves and through helpers; they wrap.
    direct: AtomicU32,
    carried: AtomicU32,
}

impl Inlet {
    /// To whom this person's packets are passed on from now on.
    pub fn pass_on(&self, speaker: SpeakerTag, to: Vec<Link>) {
        *lock(&self.0.forwards) = Some((speaker, to)).filter(|(_, to)| !to.is_empty());
    }

    /// Packets that came over the person's own link, and through helpers, so far.
    pub fn counts(&self) -> (u32, u32) {
        (self.0.direct.load(Ordering::Relaxed), self.0.carried.load(Ordering::Relaxed))
    }

    /// A voice thread that is 256 packets behind has stopped; the newest packet is as good to lose as any.
    fn put(&self, packet: IncomingPacket) {
        drop(lock(&self.0.queue).push(packet));
    }

    fn forward(&self, packet: &IncomingPacket) {
        let forwards = lock(&self.0.forwards);
        let Some((speaker, links)) = forwards.as_ref() else { return };
        let IncomingPacket { ssrc, seq, media_time, kind, .. } = *packet;
        let carried = Carried { speaker: *speaker, ssrc, seq, media_time, kind, payload: packet.payload.clone() };
        let Some(payload) = carried.encode() else { return };
        for link in links {
            let payload = payload.clone();
            // One that does not go is lost, as on any way.
            link.send(OutgoingPacket { seq, media_time, marker: false, kind: PayloadKind::Carried, payload });
        }
    }
}

/// Whose packets we take from whom, of those that come on behalf of others.
#[derive(Clone, Default)]
pub(super) struct Helpers(Arc<Mutex<BTreeMap<SpeakerTag, (Person, Inlet)>>>);

impl Helpers {
    /// From now on these, and no others. Whoever is not named for a speaker cannot put words into their mouth.
    pub fn set(&self, helpers: BTreeMap<SpeakerTag, (Person, Inlet)>) {
        *lock(&self.0) = helpers;
    }

    fn arrived(&self, by: Person, packet: &IncomingPacket) {
        let Some(carried) = Carried::decode(&packet.payload) else { return };
        let helpers = lock(&self.0);
        let Some((_, inlet)) = helpers.get(&carried.speaker).filter(|(helper, _)| *helper == by) else { return };
        inlet.0.carried.fetch_add(1, Ordering::Relaxed);
        let Carried { ssrc, seq, media_time, kind, payload, .. } = carried;
        inlet.put(IncomingPacket { arrival: packet.arrival, ssrc, seq, media_time, marker: false, kind, payload });
    }
}

/// What becomes of the packets that a link brings, which leads to `peer`; `None`: an endpoint that is not ours.
pub(super) fn sink(inlet: Inlet, helpers: Helpers, peer: Option<Person>) -> AudioSink {
    Box::new(move |packet| {
        if packet.kind == PayloadKind::Carried {
            return peer.into_iter().for_each(|by| helpers.arrived(by, &packet));
        }
        inlet.0.direct.fetch_add(1, Ordering::Relaxed);
        inlet.forward(&packet);
        inlet.put(packet);
    })
}

/// Nothing that is done under these locks can panic half way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;

    use super::*;
    use crate::base::{MediaTime, SeqNo};

    const TAG: SpeakerTag = SpeakerTag(*b"carol   ");

    fn person(number: u8) -> Person {
        Person::from_bytes([number; 32])
    }

    fn packet(kind: PayloadKind, payload: Bytes) -> IncomingPacket {
        let (arrival, ssrc, seq, media_time) = (Instant::now(), 5, SeqNo(6), MediaTime(7));
        IncomingPacket { arrival, ssrc, seq, media_time, marker: false, kind, payload }
    }

    fn carried() -> IncomingPacket {
        let (kind, payload) = (PayloadKind::Opus, Bytes::from_static(b"words"));
        let inner = Carried { speaker: TAG, ssrc: 1, seq: SeqNo(2), media_time: MediaTime(3), kind, payload };
        packet(PayloadKind::Carried, inner.encode().unwrap())
    }

    #[test]
    fn packets_come_to_their_speaker_from_the_named_helper_alone() {
        let (mut carol, mut bob) = (Seat::new(), Seat::new());
        let helpers = Helpers::default();
        let mut from_bob = sink(bob.inlet.clone(), helpers.clone(), Some(person(2)));
        let mut from_mallory = sink(Seat::new().inlet, helpers.clone(), Some(person(9)));
        from_bob(carried());
        assert_eq!(carol.inlet.counts(), (0, 0), "nobody was named");
        helpers.set(BTreeMap::from([(TAG, (person(2), carol.inlet.clone()))]));
        from_mallory(carried());
        assert_eq!(carol.inlet.counts(), (0, 0), "another was");
        from_bob(carried());
        from_bob(packet(PayloadKind::Opus, Bytes::from_static(b"his own")));
        assert_eq!((carol.inlet.counts(), bob.inlet.counts()), ((0, 1), (1, 0)));
        let got = carol.packets.as_mut().unwrap().pop().unwrap();
        assert_eq!((got.ssrc, got.seq, got.media_time, &got.payload[..]), (1, SeqNo(2), MediaTime(3), &b"words"[..]));
        assert_eq!(&bob.packets.as_mut().unwrap().pop().unwrap().payload[..], b"his own");
    }
}
