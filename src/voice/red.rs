//! Redundant audio data (RFC 2198): several Opus packets in one RTP payload.
//!
//! Payload: a 4-byte header for every redundant block (oldest first), a 1-byte header for the primary one, then the
//! blocks in the same order.
//!
//! ```text
//!  |1| block PT (7) | timestamp offset (14) | block length (10) |     redundant
//!  |0| block PT (7) |                                                primary, the rest of the payload
//! ```

use crate::base::SampleCount;

/// Longest block that the 10-bit length field can announce, bytes.
pub const MAX_BLOCK_BYTES: usize = (1 << 10) - 1;
/// Furthest distance that the 14-bit offset field can announce: 341 ms.
pub const MAX_OFFSET: SampleCount = SampleCount((1 << 14) - 1);
/// Redundant blocks that are read from, or written to, one payload.
pub const MAX_BLOCKS: usize = 4;

/// One block of a RED payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedBlock<'a> {
    /// How much older than the packet's media time; zero for the primary block.
    pub offset: SampleCount,
    pub payload: &'a [u8],
}

/// The payload is no RED: a header or a block reaches beyond its end, or it has too many blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("damaged redundant payload (RFC 2198)")]
pub struct RedError;

/// Splits a RED payload: the redundant blocks, oldest first as sent, then the primary one.
///
/// Blocks beyond the newest [`MAX_BLOCKS`] are skipped. Payload types of the blocks are not looked at: Opus is all
/// that we negotiate inside RED.
pub fn split(payload: &[u8]) -> Result<impl Iterator<Item = RedBlock<'_>> + Clone, RedError> {
    let mut blocks = [RedBlock { offset: SampleCount(0), payload: &[] }; MAX_BLOCKS + 1];
    let count = headers(payload).filter(|header| matches!(header, Ok(Header::Redundant { .. }))).count();
    let mut body = 0;
    let mut used = 0;
    for header in headers(payload) {
        if let Header::Primary { end } = header? {
            body = end;
        }
    }
    let mut index = 0;
    for header in headers(payload) {
        let block = match header? {
            Header::Redundant { offset, len } => {
                let block = RedBlock { offset, payload: payload.get(body..body + len).ok_or(RedError)? };
                body += len;
                index += 1;
                if index + MAX_BLOCKS <= count {
                    continue;
                }
                block
            }
            Header::Primary { .. } => {
                RedBlock { offset: SampleCount(0), payload: payload.get(body..).ok_or(RedError)? }
            }
        };
        blocks[used] = block;
        used += 1;
    }
    Ok(blocks.into_iter().take(used))
}

/// Writes a RED payload into `out`; returns its length, or `None` when it does not fit or a block cannot be announced.
pub fn write(blocks: &[RedBlock<'_>], primary: &[u8], payload_type: u8, out: &mut [u8]) -> Option<usize> {
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        out.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
        at += bytes.len();
        Some(at)
    };
    for block in blocks {
        if block.offset > MAX_OFFSET || block.payload.len() > MAX_BLOCK_BYTES {
            return None;
        }
        let fields = block.offset.0 << 10 | block.payload.len() as u32;
        let [_, high, middle, low] = fields.to_be_bytes();
        put(&[0x80 | payload_type, high, middle, low])?;
    }
    put(&[payload_type & 0x7f])?;
    for block in blocks {
        put(block.payload)?;
    }
    put(primary)
}

enum Header {
    Redundant { offset: SampleCount, len: usize },
    Primary { end: usize },
}

/// The headers up to and including the primary one.
fn headers(payload: &[u8]) -> impl Iterator<Item = Result<Header, RedError>> {
    let mut at = Some(0);
    std::iter::from_fn(move || {
        let start = at?;
        at = None;
        Some(match payload.get(start..) {
            Some([first, ..]) if first & 0x80 == 0 => Ok(Header::Primary { end: start + 1 }),
            Some([_, high, middle, low, ..]) => {
                let fields = u32::from_be_bytes([0, *high, *middle, *low]);
                at = Some(start + 4);
                Ok(Header::Redundant {
                    offset: SampleCount(fields >> 10),
                    len: (fields & MAX_BLOCK_BYTES as u32) as usize,
                })
            }
            _ => Err(RedError),
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_layout_of_the_rfc() {
        let blocks = [RedBlock { offset: SampleCount(960), payload: &[1, 2, 3] }];
        let mut out = [0; 32];
        let len = write(&blocks, &[9, 9], 111, &mut out).unwrap();
        assert_eq!(out[..len], [0x80 | 111, 0x0f, 0x00, 0x03, 111, 1, 2, 3, 9, 9]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            offsets in proptest::collection::vec(0u32..1 << 14, 0..=MAX_BLOCKS),
            len in 0usize..=300,
        ) {
            let body: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let blocks: Vec<_> =
                offsets.iter().map(|&o| RedBlock { offset: SampleCount(o), payload: &body[..len / 2] }).collect();
            let mut out = vec![0; 4000];
            let written = write(&blocks, &body, 111, &mut out).unwrap();
            let read: Vec<_> = split(&out[..written]).unwrap().collect();
            prop_assert_eq!(&read[..blocks.len()], &blocks[..]);
            prop_assert_eq!(read[blocks.len()].payload, &body[..]);
            prop_assert_eq!(write(&blocks, &body, 111, &mut out[..written - 1]), None);
        }

        #[test]
        fn no_payload_panics(payload in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(blocks) = split(&payload) {
                prop_assert!(blocks.count() <= MAX_BLOCKS + 1);
            }
        }
    }
}
