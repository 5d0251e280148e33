//! Safe face of libopus 1.6 (RFC 6716, RFC 8251).
//!
//! Mono, 48 kHz, `f32`. Nothing here allocates on the Rust heap after construction, and libopus itself allocates only
//! in its `*_create` functions. Every length that reaches C is taken from a slice, so no call can read or write beyond
//! what Rust owns; libopus answers wrong lengths and damaged packets with an error code.

#![allow(unsafe_code, reason = "the foreign function interface of libopus")]

use std::ffi::{CStr, c_int};
use std::ptr::{self, NonNull};

use opusic_sys as sys;

use crate::base::{SAMPLE_RATE_HZ, SampleCount};

/// Longest Opus packet: 120 ms (RFC 6716 §3.2.5).
pub const MAX_PACKET_SAMPLES: usize = 5760;
/// Longest single Opus frame, bytes, with its table-of-contents byte (RFC 6716 §3.4, R2). Packets of more than 20 ms
/// hold several of them.
pub const MAX_FRAME_BYTES: usize = 1276;
/// Concealment and redundancy are decoded in steps of 2.5 ms, the shortest Opus frame.
pub const MIN_STEP_SAMPLES: usize = 120;

/// RFC 7587 §3.1.3: an Opus packet of 2 bytes or less announces silence (DTX).
pub const MAX_DTX_BYTES: usize = 2;
/// Highest decoder complexity that conceals without a neural network.
const CLASSIC_COMPLEXITY: u8 = 4;

const RATE: i32 = SAMPLE_RATE_HZ as i32;

/// libopus refused. On outside input it means a damaged packet: drop it. On settings it means a value out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("opus: {}", describe(*.0))]
pub struct OpusError(c_int);

fn describe(code: c_int) -> &'static str {
    // SAFETY: `opus_strerror` returns a pointer to a static C string for every input, known code or not.
    let text = unsafe { CStr::from_ptr(sys::opus_strerror(code)) };
    text.to_str().unwrap_or("unknown error")
}

/// Negative return values are errors, others are counts.
fn count(result: c_int) -> Result<usize, OpusError> {
    usize::try_from(result).map_err(|_| OpusError(result))
}

/// Version of the linked library, such as `libopus 1.6.1`.
pub fn version() -> &'static str {
    // SAFETY: returns a pointer to a static C string.
    let text = unsafe { CStr::from_ptr(sys::opus_get_version_string()) };
    text.to_str().unwrap_or("libopus")
}

/// One mono encoder.
pub struct OpusEncoder {
    state: NonNull<sys::OpusEncoder>,
}

// SAFETY: the C state is plain memory owned by this value alone; libopus keeps no thread-local or global mutable state.
unsafe impl Send for OpusEncoder {}

impl OpusEncoder {
    /// Tuned for intelligible speech ("VoIP"): SILK, hybrid and CELT modes, 6.5 ms of lookahead.
    pub fn new() -> Result<Self, OpusError> {
        Self::of(sys::OPUS_APPLICATION_VOIP)
    }

    /// CELT only, without in-band FEC, for 2.5 ms of lookahead.
    pub fn with_low_delay() -> Result<Self, OpusError> {
        Self::of(sys::OPUS_APPLICATION_RESTRICTED_LOWDELAY)
    }

    fn of(application: c_int) -> Result<Self, OpusError> {
        let mut error = sys::OPUS_OK;
        // SAFETY: `error` outlives the call; the result is checked for null below.
        let state = unsafe { sys::opus_encoder_create(RATE, 1, application, &mut error) };
        NonNull::new(state).map(|state| Self { state }).ok_or(OpusError(error))
    }

    pub fn set_bitrate_bps(&mut self, bitrate_bps: u32) -> Result<(), OpusError> {
        self.set(sys::OPUS_SET_BITRATE_REQUEST, bitrate_bps.min(510_000) as c_int)
    }

    /// 0 (cheap) to 10 (best).
    pub fn set_complexity(&mut self, complexity: u8) -> Result<(), OpusError> {
        self.set(sys::OPUS_SET_COMPLEXITY_REQUEST, c_int::from(complexity.min(10)))
    }

    /// Low bit-rate redundancy of the previous frame inside each packet. Needs an expected loss above zero.
    pub fn set_in_band_fec(&mut self, on: bool) -> Result<(), OpusError> {
        self.set(sys::OPUS_SET_INBAND_FEC_REQUEST, c_int::from(on))
    }

    /// Discontinuous transmission: packets of at most 2 bytes while nobody speaks.
    pub fn set_dtx(&mut self, on: bool) -> Result<(), OpusError> {
        self.set(sys::OPUS_SET_DTX_REQUEST, c_int::from(on))
    }

    /// Steers how much of the bit rate goes into redundancy and how little frames lean on each other.
    pub fn set_expected_loss_percent(&mut self, percent: u8) -> Result<(), OpusError> {
        self.set(sys::OPUS_SET_PACKET_LOSS_PERC_REQUEST, c_int::from(percent.min(100)))
    }

    /// Deep redundancy (DRED): up to 1 s of the past as coarse speech features in each packet; 0 is off.
    pub fn set_dred_ms(&mut self, duration_ms: u32) -> Result<(), OpusError> {
        self.set(sys::OPUS_SET_DRED_DURATION_REQUEST, (duration_ms / 10).min(100) as c_int)
    }

    /// Codes nothing above 8 kHz: all bits go into what makes speech intelligible.
    pub fn set_wideband_only(&mut self, on: bool) -> Result<(), OpusError> {
        let most = if on { sys::OPUS_BANDWIDTH_WIDEBAND } else { sys::OPUS_BANDWIDTH_FULLBAND };
        self.set(sys::OPUS_SET_MAX_BANDWIDTH_REQUEST, most)
    }

    /// Says that the signal is speech, instead of letting the encoder guess.
    pub fn set_signal_voice(&mut self) -> Result<(), OpusError> {
        self.set(sys::OPUS_SET_SIGNAL_REQUEST, sys::OPUS_SIGNAL_VOICE)
    }

    /// Forgets the signal, keeps the settings.
    pub fn reset(&mut self) -> Result<(), OpusError> {
        // SAFETY: the state is valid; this request takes no argument.
        let result = unsafe { sys::opus_encoder_ctl(self.state.as_ptr(), sys::OPUS_RESET_STATE) };
        if result == sys::OPUS_OK { Ok(()) } else { Err(OpusError(result)) }
    }

    /// Delay of the coded signal behind the input.
    pub fn lookahead(&mut self) -> SampleCount {
        let mut samples: i32 = 0;
        // SAFETY: the state is valid for the life of `self`; this request writes one `i32` through the pointer.
        let result = unsafe {
            sys::opus_encoder_ctl(self.state.as_ptr(), sys::OPUS_GET_LOOKAHEAD_REQUEST, ptr::from_mut(&mut samples))
        };
        SampleCount(if result == sys::OPUS_OK { samples.max(0) as u32 } else { 0 })
    }

    /// Encodes one frame of 2.5, 5, 10, 20, 40 or 60 ms; returns the packet's length in `packet`.
    pub fn encode(&mut self, pcm: &[f32], packet: &mut [u8]) -> Result<usize, OpusError> {
        // SAFETY: the state is valid; libopus reads `pcm.len()` samples (mono) and writes at most `packet.len()` bytes.
        count(unsafe {
            sys::opus_encode_float(
                self.state.as_ptr(),
                pcm.as_ptr(),
                pcm.len() as c_int,
                packet.as_mut_ptr(),
                packet.len().min(i32::MAX as usize) as i32,
            )
        })
    }

    fn set(&mut self, request: c_int, value: c_int) -> Result<(), OpusError> {
        // SAFETY: the state is valid; every request used in this file's setters takes one `opus_int32`, passed as
        // C `int` of the same width.
        let result = unsafe { sys::opus_encoder_ctl(self.state.as_ptr(), request, value) };
        if result == sys::OPUS_OK { Ok(()) } else { Err(OpusError(result)) }
    }
}

impl Drop for OpusEncoder {
    fn drop(&mut self) {
        // SAFETY: made by `opus_encoder_create`, destroyed once.
        unsafe { sys::opus_encoder_destroy(self.state.as_ptr()) };
    }
}

/// One mono decoder: packets, in-band FEC, DRED and concealment.
pub struct OpusDecoder {
    state: NonNull<sys::OpusDecoder>,
    complexity: u8,
}

// SAFETY: as for `OpusEncoder`.
unsafe impl Send for OpusDecoder {}

impl OpusDecoder {
    /// `complexity`: below 5 classic concealment, from 5 on the neural one ("deep PLC"), from 6 on also neural
    /// enhancement of low bit rates (OSCE).
    pub fn new(complexity: u8) -> Result<Self, OpusError> {
        let mut error = sys::OPUS_OK;
        // SAFETY: `error` outlives the call; the result is checked for null below.
        let state = unsafe { sys::opus_decoder_create(RATE, 1, &mut error) };
        let state = NonNull::new(state).ok_or(OpusError(error))?;
        let mut decoder = Self { state, complexity: complexity.min(10) };
        decoder.set_complexity(decoder.complexity)?;
        Ok(decoder)
    }

    /// Decodes a whole packet; returns the samples written. `out` must hold the packet's duration, at most
    /// [`MAX_PACKET_SAMPLES`].
    pub fn decode(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, OpusError> {
        if packet.is_empty() {
            return Err(OpusError(sys::OPUS_INVALID_PACKET));
        }
        let mut decode = |decoder: &mut Self| decoder.decode_float(packet.as_ptr(), packet.len(), out, false);
        if packet.len() <= MAX_DTX_BYTES { self.without_network(decode) } else { decode(self) }
    }

    /// Decodes the in-band FEC that `packet` carries for the `out.len()` samples before it; conceals what it does not
    /// cover. `out.len()` must be a multiple of [`MIN_STEP_SAMPLES`].
    pub fn decode_fec(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, OpusError> {
        if packet.is_empty() {
            return Err(OpusError(sys::OPUS_INVALID_PACKET));
        }
        self.decode_float(packet.as_ptr(), packet.len(), out, true)
    }

    /// Packet loss concealment: continues the signal for `out.len()` samples, a multiple of [`MIN_STEP_SAMPLES`].
    pub fn conceal(&mut self, out: &mut [f32]) -> Result<usize, OpusError> {
        self.decode_float(ptr::null(), 0, out, false)
    }

    /// Comfort noise while the sender is silent (DTX), in the same steps. Classic concealment: the neural one would
    /// invent the same noise for twenty times the work.
    pub fn comfort_noise(&mut self, out: &mut [f32]) -> Result<usize, OpusError> {
        self.without_network(|decoder| decoder.conceal(out))
    }

    /// Rebuilds `out.len()` samples from deep redundancy, starting `offset` samples before the packet that carried it.
    pub fn decode_dred(&mut self, dred: &Dred, offset: SampleCount, out: &mut [f32]) -> Result<usize, OpusError> {
        // SAFETY: both states are valid; libopus writes at most `out.len()` samples (mono).
        count(unsafe {
            sys::opus_decoder_dred_decode_float(
                self.state.as_ptr(),
                dred.features.as_ptr(),
                offset.0 as i32,
                out.as_mut_ptr(),
                out.len() as c_int,
            )
        })
    }

    /// Forgets the signal so far; the complexity stays.
    pub fn reset(&mut self) {
        // SAFETY: the state is valid; this request takes no argument.
        unsafe { sys::opus_decoder_ctl(self.state.as_ptr(), sys::OPUS_RESET_STATE) };
    }

    fn without_network(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<usize, OpusError>,
    ) -> Result<usize, OpusError> {
        self.set_complexity(self.complexity.min(CLASSIC_COMPLEXITY))?;
        let done = work(self);
        self.set_complexity(self.complexity)?;
        done
    }

    fn set_complexity(&mut self, complexity: u8) -> Result<(), OpusError> {
        // SAFETY: the state is valid; this request takes one `opus_int32`.
        let result = unsafe {
            sys::opus_decoder_ctl(self.state.as_ptr(), sys::OPUS_SET_COMPLEXITY_REQUEST, c_int::from(complexity))
        };
        count(result).map(drop)
    }

    fn decode_float(&mut self, data: *const u8, len: usize, out: &mut [f32], fec: bool) -> Result<usize, OpusError> {
        // SAFETY: the state is valid; `data` is null with length 0 (concealment) or comes from a slice of `len` bytes
        // that outlives the call; libopus writes at most `out.len()` samples (mono).
        count(unsafe {
            sys::opus_decode_float(
                self.state.as_ptr(),
                data,
                len.min(i32::MAX as usize) as i32,
                out.as_mut_ptr(),
                out.len().min(MAX_PACKET_SAMPLES) as c_int,
                c_int::from(fec),
            )
        })
    }
}

impl Drop for OpusDecoder {
    fn drop(&mut self) {
        // SAFETY: made by `opus_decoder_create`, destroyed once.
        unsafe { sys::opus_decoder_destroy(self.state.as_ptr()) };
    }
}

/// Parser and store for the deep redundancy (DRED) of one packet.
pub struct Dred {
    parser: NonNull<sys::OpusDREDDecoder>,
    features: NonNull<sys::OpusDRED>,
}

// SAFETY: as for `OpusEncoder`.
unsafe impl Send for Dred {}

impl Dred {
    pub fn new() -> Result<Self, OpusError> {
        let mut error = sys::OPUS_OK;
        // SAFETY: `error` outlives the call; the result is checked for null.
        let parser = unsafe { sys::opus_dred_decoder_create(&mut error) };
        let parser = NonNull::new(parser).ok_or(OpusError(error))?;
        // SAFETY: as above.
        let features = unsafe { sys::opus_dred_alloc(&mut error) };
        let Some(features) = NonNull::new(features) else {
            // SAFETY: made above, destroyed once.
            unsafe { sys::opus_dred_decoder_destroy(parser.as_ptr()) };
            return Err(OpusError(error));
        };
        Ok(Self { parser, features })
    }

    /// Reads the redundancy of `packet`; returns how far back before the packet it reaches (0: it has none).
    pub fn parse(&mut self, packet: &[u8]) -> Result<SampleCount, OpusError> {
        if packet.is_empty() {
            return Err(OpusError(sys::OPUS_INVALID_PACKET));
        }
        let mut end = 0;
        // SAFETY: both states are valid, `packet` outlives the call, `end` takes one C `int`.
        let reach = unsafe {
            sys::opus_dred_parse(
                self.parser.as_ptr(),
                self.features.as_ptr(),
                packet.as_ptr(),
                packet.len().min(i32::MAX as usize) as i32,
                RATE,
                RATE,
                &mut end,
                0,
            )
        };
        count(reach).map(|samples| SampleCount(samples as u32))
    }
}

impl Drop for Dred {
    fn drop(&mut self) {
        // SAFETY: made by `opus_dred_alloc` and `opus_dred_decoder_create`, freed once.
        unsafe {
            sys::opus_dred_free(self.features.as_ptr());
            sys::opus_dred_decoder_destroy(self.parser.as_ptr());
        }
    }
}

/// Duration of a packet from its header; `None` when it is no Opus packet.
pub fn packet_samples(packet: &[u8]) -> Option<SampleCount> {
    if packet.is_empty() {
        return None;
    }
    // SAFETY: reads at most the first two bytes and checks the length before the second.
    let samples =
        unsafe { sys::opus_packet_get_nb_samples(packet.as_ptr(), packet.len().min(i32::MAX as usize) as i32, RATE) };
    (samples > 0 && samples as usize <= MAX_PACKET_SAMPLES).then_some(SampleCount(samples as u32))
}

/// Duration of one of the frames inside the packet: what its in-band FEC covers.
pub fn packet_frame_samples(packet: &[u8]) -> Option<SampleCount> {
    if packet.is_empty() {
        return None;
    }
    // SAFETY: reads the first byte only.
    let samples = unsafe { sys::opus_packet_get_samples_per_frame(packet.as_ptr(), RATE) };
    (samples > 0).then_some(SampleCount(samples as u32))
}

/// Whether the packet carries in-band FEC of the frame before it.
pub fn packet_has_fec(packet: &[u8]) -> bool {
    // SAFETY: libopus parses within `len` bytes and answers damaged packets with an error code.
    !packet.is_empty() && unsafe { sys::opus_packet_has_lbrr(packet.as_ptr(), packet.len() as i32) } == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tone(samples: usize) -> Vec<f32> {
        (0..samples).map(|i| (i as f32 * 0.05).sin() * 0.3).collect()
    }

    #[test]
    fn a_packet_decodes_to_the_length_that_its_header_announces() {
        let mut encoder = OpusEncoder::new().unwrap();
        let mut decoder = OpusDecoder::new(5).unwrap();
        let (mut packet, mut pcm) = ([0; MAX_FRAME_BYTES * 3], [0.0; MAX_PACKET_SAMPLES]);
        for samples in [120, 240, 480, 960, 1920, 2880] {
            let len = encoder.encode(&tone(samples), &mut packet).unwrap();
            assert_eq!(packet_samples(&packet[..len]), Some(SampleCount(samples as u32)));
            assert_eq!(decoder.decode(&packet[..len], &mut pcm), Ok(samples));
        }
        assert_eq!(encoder.lookahead(), SampleCount(312));
        assert_eq!(OpusEncoder::with_low_delay().unwrap().lookahead(), SampleCount(120));
    }

    #[test]
    fn wrong_lengths_are_errors_not_crashes() {
        let mut encoder = OpusEncoder::new().unwrap();
        assert!(encoder.encode(&tone(481), &mut [0; 100]).is_err());
        assert!(encoder.encode(&tone(480), &mut []).is_err());
        let mut decoder = OpusDecoder::new(0).unwrap();
        assert!(decoder.decode(&[], &mut [0.0; 480]).is_err());
        assert!(decoder.conceal(&mut [0.0; 481]).is_err());
        assert!(Dred::new().unwrap().parse(&[]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
        #[test]
        fn no_packet_crashes_the_decoder(packet in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = OpusDecoder::new(5).unwrap();
            let mut pcm = vec![0.0; MAX_PACKET_SAMPLES];
            let announced = packet_samples(&packet);
            if let Ok(samples) = decoder.decode(&packet, &mut pcm) {
                prop_assert_eq!(announced, Some(SampleCount(samples as u32)));
            }
            let _ = packet_has_fec(&packet);
            let _ = packet_frame_samples(&packet);
            let _ = decoder.decode_fec(&packet, &mut pcm[..960]);
            let _ = Dred::new().unwrap().parse(&packet);
        }
    }
}
