//! Microphone frames in, Opus packets out.

use crate::base::{FRAME_SAMPLES, MediaTime, SampleCount};

use super::opus::{MAX_DTX_BYTES, MAX_FRAME_BYTES, OpusEncoder, OpusError};

/// Audio in one packet (SDP `ptime`, RFC 8866 §6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Ptime {
    /// For who wants the least delay on a good network.
    Ms5,
    Ms10,
    #[default]
    Ms20,
    Ms40,
    Ms60,
}

impl Ptime {
    pub const fn ms(self) -> u32 {
        match self {
            Self::Ms5 => 5,
            Self::Ms10 => 10,
            Self::Ms20 => 20,
            Self::Ms40 => 40,
            Self::Ms60 => 60,
        }
    }

    pub const fn samples(self) -> SampleCount {
        SampleCount::from_ms(self.ms())
    }

    /// `None` for a length that packets cannot have.
    pub const fn from_ms(ms: u32) -> Option<Self> {
        match ms {
            5 => Some(Self::Ms5),
            10 => Some(Self::Ms10),
            20 => Some(Self::Ms20),
            40 => Some(Self::Ms40),
            60 => Some(Self::Ms60),
            _ => None,
        }
    }
}

/// How the voice is coded. All of it may change during a call, see [`Encoder::apply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderSettings {
    pub bitrate_bps: u32,
    pub ptime: Ptime,
    /// In-band FEC (LBRR): each packet repeats the one before it at low quality. Takes effect with an expected loss,
    /// at the expense of the quality without loss (PESQ-WB 4.29 → 4.19 at 32 kb/s for 5 %).
    pub fec: bool,
    /// Send (almost) nothing while nobody speaks.
    pub dtx: bool,
    /// 0 (cheap) to 10 (best).
    pub complexity: u8,
    /// Packet loss to prepare for, percent, as the receiver reports it.
    pub expected_loss_percent: u8,
    /// Deep redundancy of so much of the past in each packet, milliseconds up to 1000; 0 is off.
    pub dred_ms: u32,
}

impl Default for EncoderSettings {
    fn default() -> Self {
        Self {
            bitrate_bps: 32_000,
            ptime: Ptime::Ms20,
            fec: true,
            dtx: true,
            complexity: 10,
            expected_loss_percent: 0,
            dred_ms: 0,
        }
    }
}

/// One encoded packet's worth of voice, ready for any number of packetizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodedFrame<'a> {
    /// Counts the packets that were made; wraps.
    pub number: u16,
    /// Of the first sample.
    pub media_time: MediaTime,
    pub samples: SampleCount,
    /// First packet of a talk spurt (RFC 3551 §4.1).
    pub marker: bool,
    pub payload: &'a [u8],
}

impl EncodedFrame<'_> {
    /// Announces silence: nothing follows until somebody speaks again, or the comfort noise is refreshed.
    pub fn is_dtx(&self) -> bool {
        self.payload.len() <= MAX_DTX_BYTES
    }
}

/// Encodes the microphone once, whatever the number of peers.
pub struct Encoder {
    codecs: Codecs,
    settings: EncoderSettings,
    pcm: Box<[f32; MAX_PTIME_SAMPLES]>,
    collected: usize,
    /// Length of the packet being collected; a change of settings takes effect with the next one.
    packet_samples: usize,
    /// Media time of `pcm[0]`.
    media_time: MediaTime,
    /// The next packet opens a talk spurt.
    spurt_starts: bool,
    in_dtx: bool,
    /// Packets made so far.
    made: u16,
    packet: Box<[u8; MAX_PACKET_BYTES]>,
}

impl Encoder {
    /// Media time starts at zero; RTP wants a random start (RFC 3550 §5.1), see [`Encoder::starting_at`].
    pub fn new(settings: EncoderSettings) -> Result<Self, OpusError> {
        Self::starting_at(settings, MediaTime(0))
    }

    pub fn starting_at(settings: EncoderSettings, media_time: MediaTime) -> Result<Self, OpusError> {
        Ok(Self {
            codecs: Codecs::new(&settings)?,
            settings,
            pcm: Box::new([0.0; MAX_PTIME_SAMPLES]),
            collected: 0,
            packet_samples: settings.ptime.samples().0 as usize,
            media_time,
            spurt_starts: true,
            in_dtx: false,
            made: 0,
            packet: Box::new([0; MAX_PACKET_BYTES]),
        })
    }

    /// Changes settings during the call; a new `ptime` begins with the next packet. On error the old ones stay.
    pub fn apply(&mut self, settings: &EncoderSettings) -> Result<(), OpusError> {
        if *settings == self.settings {
            return Ok(());
        }
        if let Err(error) = self.codecs.configure(settings) {
            self.codecs.configure(&self.settings)?;
            return Err(error);
        }
        self.settings = *settings;
        if self.collected == 0 {
            self.packet_samples = settings.ptime.samples().0 as usize;
        }
        Ok(())
    }

    pub fn settings(&self) -> &EncoderSettings {
        &self.settings
    }

    /// Delay of the coded signal behind the microphone, without packet collection.
    pub fn lookahead(&mut self) -> SampleCount {
        self.codecs.current().lookahead()
    }

    /// What [`Encoder::encode`] takes: 10 ms, or a whole packet where that is less.
    pub fn piece(&self) -> SampleCount {
        SampleCount(self.packet_samples.min(FRAME_SAMPLES) as u32)
    }

    /// Takes a [`piece`](Self::piece); returns a packet each `ptime`, and `None` while collecting or while silence
    /// needs no packet.
    ///
    /// RFC 7587 §3.1.3: packets of at most 2 bytes need not be sent. The first of a pause is sent all the same, so
    /// that the receiver knows that the pause is none of the network's doing; the rest only advance the media time.
    pub fn encode(&mut self, piece: &[f32]) -> Result<Option<EncodedFrame<'_>>, OpusError> {
        // A longer piece than was asked for makes a longer packet.
        self.packet_samples = self.packet_samples.max(self.collected + piece.len()).min(MAX_PTIME_SAMPLES);
        let room = piece.len().min(MAX_PTIME_SAMPLES - self.collected);
        self.pcm[self.collected..self.collected + room].copy_from_slice(&piece[..room]);
        self.collected += room;
        if self.collected < self.packet_samples {
            return Ok(None);
        }
        let media_time = self.media_time;
        let samples = SampleCount(self.packet_samples as u32);
        if self.codecs.has_low_delay != wants_low_delay(&self.settings) {
            self.codecs.change()?;
        }
        let encoded = self.codecs.current().encode(&self.pcm[..self.packet_samples], &mut self.packet[..]);
        self.begin_packet(samples);
        let len = encoded?;

        let silent = len <= MAX_DTX_BYTES;
        let suppressed = silent && self.in_dtx;
        self.in_dtx = silent;
        if suppressed {
            self.spurt_starts = true;
            return Ok(None);
        }
        let marker = std::mem::replace(&mut self.spurt_starts, silent) && !silent;
        let number = self.made;
        self.made = number.wrapping_add(1);
        Ok(Some(EncodedFrame { number, media_time, samples, marker, payload: &self.packet[..len] }))
    }

    /// Of the next sample that is taken.
    pub fn position(&self) -> MediaTime {
        self.media_time.add(SampleCount(self.collected as u32))
    }

    /// Begins a packet anew, whose first sample is of that time.
    pub fn restart_at(&mut self, media_time: MediaTime) {
        (self.media_time, self.spurt_starts) = (media_time, true);
        self.begin_packet(SampleCount(0));
    }

    /// Lets 10 ms pass without sending anything: the microphone is muted. What was collected is discarded, and the
    /// next packet opens a talk spurt.
    pub fn skip_frame(&mut self) {
        let skipped = SampleCount((self.collected + FRAME_SAMPLES) as u32);
        self.begin_packet(skipped);
        self.spurt_starts = true;
    }

    fn begin_packet(&mut self, passed: SampleCount) {
        self.media_time = self.media_time.add(passed);
        self.collected = 0;
        self.packet_samples = self.settings.ptime.samples().0 as usize;
    }
}

/// Two encoders, of which one is in use: which one an encoder is cannot be changed, and making one allocates.
struct Codecs {
    standard: OpusEncoder,
    low_delay: OpusEncoder,
    has_low_delay: bool,
}

impl Codecs {
    fn new(settings: &EncoderSettings) -> Result<Self, OpusError> {
        let (standard, low_delay) = (OpusEncoder::new()?, OpusEncoder::with_low_delay()?);
        let mut codecs = Self { standard, low_delay, has_low_delay: wants_low_delay(settings) };
        codecs.standard.set_signal_voice()?;
        codecs.low_delay.set_signal_voice()?;
        codecs.configure(settings)?;
        Ok(codecs)
    }

    fn configure(&mut self, settings: &EncoderSettings) -> Result<(), OpusError> {
        configure(&mut self.standard, settings)?;
        configure(&mut self.low_delay, settings)
    }

    fn current(&mut self) -> &mut OpusEncoder {
        if self.has_low_delay { &mut self.low_delay } else { &mut self.standard }
    }

    /// To the other one, which begins anew.
    fn change(&mut self) -> Result<(), OpusError> {
        self.has_low_delay = !self.has_low_delay;
        self.current().reset()
    }
}

/// 2.5 ms of lookahead instead of 6.5, for what SILK and its in-band FEC give: on good paths only, and where there
/// are bits enough. In packets of 10 ms PESQ-WB of two voices is 4.45 and 4.46 with low delay at 64 kb/s, 4.49 and 4.48
/// without at 48; at 48 kb/s low delay has 4.31 and 4.35.
fn wants_low_delay(settings: &EncoderSettings) -> bool {
    match settings.ptime {
        Ptime::Ms5 => true,
        Ptime::Ms10 => {
            let is_good_path = settings.expected_loss_percent == 0 && settings.dred_ms == 0;
            is_good_path && settings.bitrate_bps >= LOW_DELAY_BPS
        }
        Ptime::Ms20 | Ptime::Ms40 | Ptime::Ms60 => false,
    }
}

fn configure(opus: &mut OpusEncoder, settings: &EncoderSettings) -> Result<(), OpusError> {
    opus.set_bitrate_bps(settings.bitrate_bps)?;
    opus.set_wideband_only(settings.bitrate_bps <= MAX_WIDEBAND_BPS)?;
    opus.set_complexity(settings.complexity)?;
    opus.set_in_band_fec(settings.fec)?;
    opus.set_dtx(settings.dtx)?;
    opus.set_expected_loss_percent(settings.expected_loss_percent)?;
    opus.set_dred_ms(settings.dred_ms)
}

/// Up to this bit rate the highs above 8 kHz cost the rest more than they are worth, by default from 14 kb/s on: PESQ-WB
/// at 14 and 16 kb/s 3.64 and 3.80 with them, 3.89 and 4.02 without.
const MAX_WIDEBAND_BPS: u32 = 20_000;
/// From here on packets of 10 ms are as good with low delay.
const LOW_DELAY_BPS: u32 = 60_000;
const MAX_PTIME_SAMPLES: usize = Ptime::Ms60.samples().0 as usize;
/// A 60 ms packet holds up to three 20 ms frames.
const MAX_PACKET_BYTES: usize = 3 * MAX_FRAME_BYTES;

#[cfg(test)]
mod tests {
    use super::super::opus::OpusDecoder;
    use super::*;

    const SHORT: EncoderSettings = EncoderSettings {
        bitrate_bps: 64_000,
        ptime: Ptime::Ms10,
        fec: false,
        dtx: false,
        complexity: 10,
        expected_loss_percent: 0,
        dred_ms: 0,
    };
    const LONG: EncoderSettings = EncoderSettings { bitrate_bps: 32_000, ptime: Ptime::Ms20, ..SHORT };

    #[test]
    fn short_packets_have_less_lookahead_while_the_path_is_good() {
        let lookahead = |settings| Encoder::new(settings).unwrap().lookahead().as_ms();
        assert_eq!((lookahead(SHORT), lookahead(LONG)), (2.5, 6.5));
        assert_eq!(lookahead(EncoderSettings { expected_loss_percent: 5, ..SHORT }), 6.5);
        assert_eq!(lookahead(EncoderSettings { bitrate_bps: 48_000, ..SHORT }), 6.5);
    }

    /// A tone through an encoder that goes to and fro between both codecs stays a tone, but for a shift of 4 ms.
    #[test]
    fn a_change_of_the_codec_makes_neither_gap_nor_click() {
        let mut encoder = Encoder::new(SHORT).unwrap();
        let mut decoder = OpusDecoder::new(6).unwrap();
        let mut heard = Vec::new();
        for frame in 0..600 {
            if frame % 100 == 0 {
                encoder.apply(if frame % 200 == 0 { &SHORT } else { &LONG }).unwrap();
            }
            let tone = |i: usize| 0.3 * (std::f32::consts::TAU * 220.0 * (frame * 480 + i) as f32 / 48_000.0).sin();
            let piece: Vec<f32> = (0..480).map(tone).collect();
            if let Some(encoded) = encoder.encode(&piece).unwrap() {
                let mut out = [0.0; 2880];
                let samples = decoder.decode(encoded.payload, &mut out).unwrap();
                heard.extend_from_slice(&out[..samples]);
            }
        }
        let settled = &heard[4800..];
        let steepest = settled.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        let rms = |piece: &[f32]| (piece.iter().map(|sample| sample * sample).sum::<f32>() / piece.len() as f32).sqrt();
        let (least, most) =
            settled.chunks_exact(480).map(rms).fold((1.0_f32, 0.0_f32), |(a, b), rms| (a.min(rms), b.max(rms)));
        println!("steepest step {steepest:.3}, 10 ms have {least:.3} to {most:.3}");
        // Of the tone itself: 0.0086 a sample, and 0.212.
        assert!(steepest < 0.1 && least > 0.12 && most < 0.32, "{steepest:.3}, {least:.3} to {most:.3}");
    }
}
