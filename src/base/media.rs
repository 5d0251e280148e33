//! Media clocks and audio frames.

use std::cmp::Ordering;

/// Sample rate of all audio inside the program, hertz. Devices of other rates are resampled at the edge.
pub const SAMPLE_RATE_HZ: u32 = 48_000;
/// Length of one processing frame, milliseconds.
pub const FRAME_MS: u32 = 10;
/// Samples in one mono processing frame.
pub const FRAME_SAMPLES: usize = (SAMPLE_RATE_HZ / 1000 * FRAME_MS) as usize;

/// 10 ms of mono PCM at 48 kHz, nominal range −1.0..=1.0.
pub type Frame = [f32; FRAME_SAMPLES];

/// RTP sequence number (RFC 3550 §5.1): 16 bits, wraps, ordered by the shorter way round (RFC 1982).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeqNo(pub u16);

impl SeqNo {
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    #[must_use]
    pub const fn add(self, packets: u16) -> Self {
        Self(self.0.wrapping_add(packets))
    }

    /// Packets from `earlier` to `self`, negative when `self` is the older one.
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0) as i16 as i32
    }

    pub const fn is_newer_than(self, other: Self) -> bool {
        self.since(other) > 0
    }
}

/// RTP timestamp (RFC 3550 §5.1) in 48 kHz samples (RFC 7587 §4.1): 32 bits, wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MediaTime(pub u32);

impl MediaTime {
    #[must_use]
    pub const fn add(self, samples: SampleCount) -> Self {
        Self(self.0.wrapping_add(samples.0))
    }

    /// Samples from `earlier` to `self`, negative when `self` is the older one.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.wrapping_sub(earlier.0) as i32 as i64
    }

    /// Order by the shorter way round the 32-bit circle.
    pub fn cmp_wrapping(self, other: Self) -> Ordering {
        self.since(other).cmp(&0)
    }
}

/// A number of samples at 48 kHz.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SampleCount(pub u32);

impl SampleCount {
    pub const fn from_ms(ms: u32) -> Self {
        Self(ms * (SAMPLE_RATE_HZ / 1000))
    }

    pub fn as_ms(self) -> f32 {
        self.0 as f32 * 1000.0 / SAMPLE_RATE_HZ as f32
    }
}

/// Level in dB relative to full scale of a mean square (not root) sample value; −100 dB stands for silence.
pub fn dbfs_from_mean_square(mean_square: f32) -> f32 {
    if mean_square > 1e-10 { 10.0 * mean_square.log10() } else { -100.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sequence_order_survives_the_wrap(start: u16, step in 1u16..0x7fff) {
            let (a, b) = (SeqNo(start), SeqNo(start).add(step));
            prop_assert!(b.is_newer_than(a) && !a.is_newer_than(b));
            prop_assert_eq!(b.since(a), i32::from(step));
        }

        #[test]
        fn media_time_order_survives_the_wrap(start: u32, step in 1u32..0x7fff_ffff) {
            let (a, b) = (MediaTime(start), MediaTime(start).add(SampleCount(step)));
            prop_assert_eq!(b.since(a), i64::from(step));
            prop_assert_eq!(a.cmp_wrapping(b), Ordering::Less);
        }
    }
}
