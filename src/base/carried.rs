//! Audio packets that a member of a group passes on for another.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{MediaTime, PayloadKind, SeqNo};

/// One packet of a speaker, as it came to the helper: numbers and all, so that it fits between those that the listener
/// gets directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    pub speaker: SpeakerTag,
    pub ssrc: u32,
    pub seq: SeqNo,
    pub media_time: MediaTime,
    /// [`PayloadKind::Opus`] or [`PayloadKind::Red`].
    pub kind: PayloadKind,
    pub payload: Bytes,
}

/// Names a person within one group, in few bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpeakerTag(pub [u8; 8]);

const HEADER_BYTES: usize = 8 + 4 + 2 + 4 + 1;
/// Longest payload: a packet that came in one datagram goes on in one.
const MAX_PAYLOAD_BYTES: usize = 1200;
const OPUS: u8 = 0;
const RED: u8 = 1;

impl Carried {
    /// What goes over the link; `None` for what cannot be passed on: too long, or passed on already.
    pub fn encode(&self) -> Option<Bytes> {
        let kind = match self.kind {
            PayloadKind::Opus => OPUS,
            PayloadKind::Red => RED,
            PayloadKind::Carried => return None,
        };
        if self.payload.len() > MAX_PAYLOAD_BYTES {
            return None;
        }
        let mut bytes = BytesMut::with_capacity(HEADER_BYTES + self.payload.len());
        bytes.put_slice(&self.speaker.0);
        bytes.put_u32(self.ssrc);
        bytes.put_u16(self.seq.0);
        bytes.put_u32(self.media_time.0);
        bytes.put_u8(kind);
        bytes.put_slice(&self.payload);
        Some(bytes.freeze())
    }

    /// Reads what a peer sent; `None` for anything that [`Carried::encode`] does not make.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let (speaker, rest) = bytes.split_first_chunk::<8>()?;
        let (ssrc, rest) = rest.split_first_chunk::<4>()?;
        let (seq, rest) = rest.split_first_chunk::<2>()?;
        let (media_time, rest) = rest.split_first_chunk::<4>()?;
        let (kind, payload) = rest.split_first()?;
        let kind = match *kind {
            OPUS => PayloadKind::Opus,
            RED => PayloadKind::Red,
            _ => return None,
        };
        (payload.len() <= MAX_PAYLOAD_BYTES).then(|| Self {
            speaker: SpeakerTag(*speaker),
            ssrc: u32::from_be_bytes(*ssrc),
            seq: SeqNo(u16::from_be_bytes(*seq)),
            media_time: MediaTime(u32::from_be_bytes(*media_time)),
            kind,
            payload: bytes.slice(HEADER_BYTES..),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn carried(kind: PayloadKind, bytes: usize) -> Carried {
        let payload = Bytes::from(vec![7; bytes]);
        Carried { speaker: SpeakerTag(*b"somebody"), ssrc: 9, seq: SeqNo(8), media_time: MediaTime(7), kind, payload }
    }

    #[test]
    fn what_goes_comes() {
        for (kind, bytes) in [(PayloadKind::Opus, 0), (PayloadKind::Red, 1200)] {
            let packet = carried(kind, bytes);
            assert_eq!(Carried::decode(&packet.encode().unwrap()), Some(packet));
        }
        assert_eq!(carried(PayloadKind::Opus, 1201).encode(), None);
        assert_eq!(carried(PayloadKind::Carried, 1).encode(), None, "nothing is passed on twice");
    }

    proptest! {
        #[test]
        fn nonsense_is_refused_or_reads_as_what_it_says(bytes in proptest::collection::vec(any::<u8>(), 0..1400)) {
            let bytes = Bytes::from(bytes);
            if let Some(packet) = Carried::decode(&bytes) {
                prop_assert_eq!(packet.encode(), Some(bytes));
            }
        }
    }
}
