//! STUN and TURN messages on a stream (RFC 8489 §6.2.2, RFC 8656 §12.5).

/// Bytes that tell how long a message is.
pub const STREAM_HEADER: usize = 4;
/// STUN's own header; its length field does not count it (RFC 8489 §5).
const STUN_HEADER: usize = 20;

/// A message on a stream: how long it is, and with the padding that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamMessage {
    pub length: usize,
    pub padded: usize,
}

/// Measures the message that begins with `header`; `None` for what is neither STUN nor a channel's message. The result
/// is at most 65 556 bytes: whoever reads has a bound of their own.
pub fn stream_message(header: [u8; STREAM_HEADER]) -> Option<StreamMessage> {
    let value = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let length = match header[0] {
        0..=3 => STUN_HEADER + value,
        0x40..=0x7f => STREAM_HEADER + value,
        _ => return None,
    };
    Some(StreamMessage { length, padded: padded_length(length) })
}

/// Messages begin at multiples of four bytes on a stream.
pub fn padded_length(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_out_of_a_stream() {
        let measured = |header| stream_message(header).map(|StreamMessage { length, padded }| (length, padded));
        assert_eq!(measured([0, 3, 0, 8]), Some((28, 28)));
        assert_eq!(measured([0x40, 0, 0, 5]), Some((9, 12)));
        assert_eq!(measured([0x7f, 0xff, 0, 0]), Some((4, 4)));
        assert_eq!(measured([0, 1, 0xff, 0xff]), Some((65_555, 65_556)));
        assert_eq!(measured([0x80, 0, 0, 0]), None);
        assert_eq!(measured([0x16, 3, 1, 0]), None, "TLS");
    }
}
