//! Any integer or float PCM WAV file, of any rate and number of channels, as 48 kHz mono.
//!
//! The file is outside input: sizes in its headers are claims. Nothing is allocated from a claim; what is read is
//! bounded by [`MAX_MINUTES`].

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek};
use std::path::Path;

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler};

use super::super::{AudioError, WavError};
use crate::base::SAMPLE_RATE_HZ;

/// Lowest sample rate of a file, hertz.
pub const MIN_RATE_HZ: u32 = 1_000;
/// Highest sample rate of a file, hertz.
pub const MAX_RATE_HZ: u32 = 384_000;
/// Longest file, minutes: it is held in memory, 5.8 MB a minute.
pub const MAX_MINUTES: u32 = 30;

const MAX_CHANNELS: u16 = 64;
/// More chunks than this before the sound are nonsense.
const MAX_CHUNKS: usize = 1_000;
/// `fmt ` chunks have 16, 18 or 40 bytes.
const FMT_BYTES: usize = 40;
/// Frames decoded at once.
const BLOCK_FRAMES: usize = 1_024;

/// Reads a whole file as mono 48 kHz, range −1.0..=1.0. Several channels are averaged; other rates are resampled
/// without delay: sample 0 stays sample 0.
pub fn read_wav(path: &Path) -> Result<Vec<f32>, AudioError> {
    let mut sound = Vec::new();
    read_blocks(path, |block| sound.extend_from_slice(block))?;
    Ok(sound)
}

/// As [`read_wav`], at half the memory.
pub fn read_wav_i16(path: &Path) -> Result<Vec<i16>, AudioError> {
    let mut sound = Vec::new();
    read_blocks(path, |block| sound.extend(block.iter().map(|sample| (sample * 32_768.0).round() as i16)))?;
    sound.shrink_to_fit();
    Ok(sound)
}

/// Whether [`read_wav`] would succeed.
pub fn check_wav(path: &Path) -> Result<(), AudioError> {
    read_blocks(path, |_| {})
}

fn read_blocks(path: &Path, sink: impl FnMut(&[f32])) -> Result<(), AudioError> {
    let unreadable = |source| AudioError::CannotRead { path: path.to_owned(), source };
    let bad = |why| AudioError::BadWav { path: path.to_owned(), why };
    // Before opening: opening a pipe that nobody writes to would block.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(bad(WavError::NotAFile));
    }
    let mut file = BufReader::with_capacity(64 * 1024, File::open(path).map_err(unreadable)?);
    decode(&mut file, sink).map_err(|error| match error {
        DecodeError::Wav(why) => bad(why),
        DecodeError::Io(source) => unreadable(source),
    })
}

enum DecodeError {
    Wav(WavError),
    Io(std::io::Error),
}

impl From<WavError> for DecodeError {
    fn from(error: WavError) -> Self {
        Self::Wav(error)
    }
}

/// A file that ends early is the file's fault; anything else is the disk's.
impl From<std::io::Error> for DecodeError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::Wav(WavError::Truncated),
            _ => Self::Io(error),
        }
    }
}

fn decode(file: &mut (impl Read + Seek), mut sink: impl FnMut(&[f32])) -> Result<(), DecodeError> {
    let (format, data_bytes) = read_header(file)?;
    let frame_bytes = format.frame_bytes();
    let max_frames = u64::from(format.rate_hz) * 60 * u64::from(MAX_MINUTES);
    let mut resampler = ToInternalRate::new(format.rate_hz);
    let mut bytes = vec![0; BLOCK_FRAMES * frame_bytes];
    let mut block = Vec::with_capacity(BLOCK_FRAMES);
    let mut left = data_bytes;
    let mut frames = 0u64;
    loop {
        let wanted = left.min(bytes.len() as u64) as usize;
        let got = read_up_to(file, &mut bytes[..wanted])?;
        left -= got as u64;
        // A recorder that was killed leaves half a frame; it is dropped.
        block.clear();
        block.extend(bytes[..got].chunks_exact(frame_bytes).map(|frame| format.mono(frame)));
        frames += block.len() as u64;
        if frames > max_frames {
            return Err(WavError::TooLong.into());
        }
        resampler.push(&block, &mut sink);
        if got < bytes.len() {
            break;
        }
    }
    if frames == 0 {
        return Err(WavError::Empty.into());
    }
    resampler.finish(&mut sink);
    Ok(())
}

/// Walks the chunks up to the sound and says how many bytes of it are claimed.
fn read_header(file: &mut (impl Read + Seek)) -> Result<(Format, u64), DecodeError> {
    let mut riff = [0; 12];
    let got = read_up_to(file, &mut riff)?;
    if got < riff.len() || &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
        return Err(WavError::NotWav.into());
    }
    let mut format = None;
    for _ in 0..MAX_CHUNKS {
        let mut head = [0; 8];
        file.read_exact(&mut head)?;
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        match &head[..4] {
            b"fmt " => {
                let mut body = [0; FMT_BYTES];
                let known = FMT_BYTES.min(size as usize);
                file.read_exact(&mut body[..known])?;
                format = Some(Format::parse(&body[..known])?);
                file.seek_relative(padded(size) - known as i64)?;
            }
            b"data" => {
                let format = format.ok_or(WavError::Damaged("sound before its format"))?;
                // Programs that write to a pipe, or were killed, leave the size open.
                let to_the_end = size == 0 || size == u32::MAX;
                return Ok((format, if to_the_end { u64::MAX } else { size.into() }));
            }
            _ => file.seek_relative(padded(size))?,
        }
    }
    Err(WavError::Damaged("too many chunks").into())
}

/// Chunks start at even positions.
fn padded(size: u32) -> i64 {
    i64::from(size) + i64::from(size % 2)
}

fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> Result<usize, std::io::Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// How one sample is stored. Integers sit in the high bits of their container, so its width is all that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    U8,
    I16,
    I24,
    I32,
    F32,
    F64,
}

#[derive(Debug, Clone, Copy)]
struct Format {
    encoding: Encoding,
    channels: u16,
    rate_hz: u32,
}

impl Format {
    fn parse(fmt: &[u8]) -> Result<Self, WavError> {
        const PCM: u16 = 1;
        const FLOAT: u16 = 3;
        /// `WAVE_FORMAT_EXTENSIBLE`: the format proper is in the first two bytes of the sub-format's GUID.
        const EXTENSIBLE: u16 = 0xfffe;
        let u16_at = |at: usize| fmt.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let u32_at = |at: usize| fmt.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let short = WavError::Damaged("format too short");
        let (Some(tag), Some(channels), Some(rate_hz), Some(frame_bytes)) =
            (u16_at(0), u16_at(2), u32_at(4), u16_at(12))
        else {
            return Err(short);
        };
        let tag = if tag == EXTENSIBLE { u16_at(24).ok_or(short)? } else { tag };
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(WavError::Damaged("number of channels"));
        }
        if !(MIN_RATE_HZ..=MAX_RATE_HZ).contains(&rate_hz) {
            return Err(WavError::Rate(rate_hz));
        }
        if frame_bytes % channels != 0 {
            return Err(WavError::Damaged("bytes per frame"));
        }
        let encoding = match (tag, frame_bytes / channels) {
            (PCM, 1) => Encoding::U8,
            (PCM, 2) => Encoding::I16,
            (PCM, 3) => Encoding::I24,
            (PCM, 4) => Encoding::I32,
            (FLOAT, 4) => Encoding::F32,
            (FLOAT, 8) => Encoding::F64,
            (PCM | FLOAT, _) => return Err(WavError::Damaged("bytes per sample")),
            _ => return Err(WavError::Compressed(tag)),
        };
        Ok(Self { encoding, channels, rate_hz })
    }

    fn frame_bytes(self) -> usize {
        let sample_bytes = match self.encoding {
            Encoding::U8 => 1,
            Encoding::I16 => 2,
            Encoding::I24 => 3,
            Encoding::I32 | Encoding::F32 => 4,
            Encoding::F64 => 8,
        };
        sample_bytes * usize::from(self.channels)
    }

    /// One frame as one sample, −1.0..=1.0.
    fn mono(self, frame: &[u8]) -> f32 {
        let sum: f32 = match self.encoding {
            Encoding::U8 => frame.iter().map(|byte| (f32::from(*byte) - 128.0) / 128.0).sum(),
            Encoding::I16 => samples(frame, |b| f32::from(i16::from_le_bytes(b)) / 32_768.0),
            Encoding::I24 => samples(frame, |[a, b, c]| i32::from_le_bytes([0, a, b, c]) as f32 / 2_147_483_648.0),
            Encoding::I32 => samples(frame, |b| i32::from_le_bytes(b) as f32 / 2_147_483_648.0),
            Encoding::F32 => samples(frame, f32::from_le_bytes),
            Encoding::F64 => samples(frame, |b| f64::from_le_bytes(b) as f32),
        };
        let mean = sum / f32::from(self.channels);
        if mean.is_finite() { mean.clamp(-1.0, 1.0) } else { 0.0 }
    }
}

/// Sum over the channels of one frame.
fn samples<const N: usize>(frame: &[u8], decode: impl Fn([u8; N]) -> f32) -> f32 {
    frame.as_chunks::<N>().0.iter().map(|bytes| decode(*bytes)).sum()
}

/// Streams blocks of any length through a resampler and takes its delay off.
struct ToInternalRate {
    /// `None`: the file has our rate.
    resampler: Option<Fft<f32>>,
    rate_hz: u32,
    pending: Vec<f32>,
    resampled: Vec<f32>,
    /// Resampled samples still to be dropped: the resampler's delay.
    lead: usize,
    taken: u64,
    given: u64,
}

impl ToInternalRate {
    fn new(rate_hz: u32) -> Self {
        // Fails for rates of 0 only, which the format excludes; the rate of the file is then taken as ours.
        let resampler = (rate_hz != SAMPLE_RATE_HZ)
            .then(|| Fft::new(rate_hz as usize, SAMPLE_RATE_HZ as usize, BLOCK_FRAMES, 1, FixedSync::Input).ok())
            .flatten();
        let lead = resampler.as_ref().map_or(0, Resampler::output_delay);
        let longest = resampler.as_ref().map_or(0, Resampler::output_frames_max);
        Self { resampler, rate_hz, pending: Vec::new(), resampled: vec![0.0; longest], lead, taken: 0, given: 0 }
    }

    fn push(&mut self, block: &[f32], sink: &mut impl FnMut(&[f32])) {
        if self.resampler.is_none() {
            return sink(block);
        }
        self.taken += block.len() as u64;
        self.pending.extend_from_slice(block);
        self.run(None, sink);
    }

    /// Pushes silence until everything that went in has come out.
    fn finish(&mut self, sink: &mut impl FnMut(&[f32])) {
        if self.resampler.is_none() {
            return;
        }
        let expected = (self.taken * u64::from(SAMPLE_RATE_HZ)).div_ceil(self.rate_hz.into());
        while self.given < expected {
            let wanted = self.resampler.as_ref().map_or(0, Resampler::input_frames_next);
            self.pending.resize(wanted.max(self.pending.len()), 0.0);
            let before = self.given;
            self.run(Some(expected), sink);
            if self.given == before && self.lead == 0 {
                break;
            }
        }
    }

    fn run(&mut self, limit: Option<u64>, sink: &mut impl FnMut(&[f32])) {
        let Some(resampler) = &mut self.resampler else { return };
        let mut used = 0;
        while self.pending.len() - used >= resampler.input_frames_next() {
            let input = &self.pending[used..];
            let longest = self.resampled.len();
            let (Ok(from), Ok(mut to)) = (
                SequentialSlice::new(input, 1, input.len()),
                SequentialSlice::new_mut(&mut self.resampled, 1, longest),
            ) else {
                break;
            };
            let Ok((read, written)) = resampler.process_into_buffer(&from, &mut to, None::<&Indexing>) else { break };
            used += read;
            let dropped = self.lead.min(written);
            self.lead -= dropped;
            let room = limit.map_or(u64::MAX, |limit| limit - self.given);
            let until = dropped + ((written - dropped) as u64).min(room) as usize;
            self.given += (until - dropped) as u64;
            // Ringing at steep edges may exceed the range by a little.
            self.resampled[dropped..until].iter_mut().for_each(|sample| *sample = sample.clamp(-1.0, 1.0));
            sink(&self.resampled[dropped..until]);
        }
        self.pending.drain(..used);
    }
}

#[cfg(test)]
mod tests;
