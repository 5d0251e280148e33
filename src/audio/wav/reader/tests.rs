//! Good files are read exactly; bad ones give one sentence.

use std::f32::consts::TAU;
use std::io::Cursor;

use proptest::prelude::*;

use super::*;

/// A `fmt ` chunk and a `data` chunk in a RIFF.
fn wav(tag: u16, channels: u16, rate_hz: u32, sample_bytes: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
    let frame_bytes = channels.wrapping_mul(sample_bytes);
    bytes.extend(tag.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate_hz.to_le_bytes());
    bytes.extend(rate_hz.wrapping_mul(frame_bytes.into()).to_le_bytes());
    bytes.extend(frame_bytes.to_le_bytes());
    bytes.extend((sample_bytes * 8).to_le_bytes());
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<f32>, WavError> {
    let mut sound = Vec::new();
    match decode(&mut Cursor::new(bytes), |block| sound.extend_from_slice(block)) {
        Ok(()) => Ok(sound),
        Err(DecodeError::Wav(error)) => Err(error),
        Err(DecodeError::Io(error)) => panic!("{error}"),
    }
}

fn sine(rate_hz: u32, hz: f32, seconds: f32) -> Vec<f32> {
    (0..(rate_hz as f32 * seconds) as usize).map(|i| 0.5 * (TAU * hz * i as f32 / rate_hz as f32).sin()).collect()
}

#[test]
fn every_encoding_is_read() {
    let cases: [(u16, u16, Vec<u8>); 6] = [
        (1, 1, vec![128, 192, 0]),
        (1, 2, [0i16, 16_384, i16::MIN].iter().flat_map(|s| s.to_le_bytes()).collect()),
        (1, 3, vec![0, 0, 0, 0, 0, 0x40, 0, 0, 0x80]),
        (1, 4, [0i32, 1 << 30, i32::MIN].iter().flat_map(|s| s.to_le_bytes()).collect()),
        (3, 4, [0f32, 0.5, -1.0].iter().flat_map(|s| s.to_le_bytes()).collect()),
        (3, 8, [0f64, 0.5, -1.0].iter().flat_map(|s| s.to_le_bytes()).collect()),
    ];
    for (tag, bytes, data) in cases {
        assert_eq!(read(&wav(tag, 1, 48_000, bytes, &data)), Ok(vec![0.0, 0.5, -1.0]), "{tag} {bytes}");
    }
}

#[test]
fn channels_are_averaged_and_nonsense_floats_are_silence() {
    let data: Vec<u8> =
        [0.5f32, 0.0, f32::NAN, 0.5, 9.0, 9.0, f32::INFINITY, 0.0].iter().flat_map(|s| s.to_le_bytes()).collect();
    assert_eq!(read(&wav(3, 2, 48_000, 4, &data)), Ok(vec![0.25, 0.0, 1.0, 0.0]));
}

#[test]
fn extensible_format_and_foreign_chunks_are_understood() {
    let mut bytes = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x28\0\0\0".to_vec();
    bytes.extend([0xfe, 0xff, 1, 0]);
    bytes.extend(48_000u32.to_le_bytes());
    bytes.extend([0, 0, 0, 0, 2, 0, 16, 0, 22, 0, 16, 0, 4, 0, 0, 0, 1, 0]);
    bytes.extend([0; 14]);
    bytes.extend(b"fact\x04\0\0\0\x01\0\0\0data\x02\0\0\0");
    bytes.extend(16_384i16.to_le_bytes());
    bytes.extend(b"LIST\x04\0\0\0tail");
    assert_eq!(read(&bytes), Ok(vec![0.5]));
}

#[test]
fn other_rates_are_resampled_in_place() {
    for rate_hz in [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 44_101, 96_000, 192_000] {
        let data: Vec<u8> = sine(rate_hz, 440.0, 0.5).iter().flat_map(|s| s.to_le_bytes()).collect();
        let sound = read(&wav(3, 1, rate_hz, 4, &data)).unwrap();
        let expected = sine(SAMPLE_RATE_HZ, 440.0, 0.5);
        assert!(sound.len().abs_diff(expected.len()) <= 7, "{rate_hz}: {} samples", sound.len());
        let worst =
            sound.iter().zip(&expected).skip(4_000).take(16_000).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // A rate with no common measure with ours is placed within half a sample.
        let bound = if rate_hz == 44_101 { 0.017 } else { 2e-3 };
        assert!(worst < bound, "{rate_hz}: off by {worst}");
    }
}

#[test]
fn a_click_keeps_its_place_and_short_files_are_whole() {
    let mut clip = vec![0.0f32; 441];
    clip[100] = 0.9;
    let data: Vec<u8> = clip.iter().flat_map(|s| s.to_le_bytes()).collect();
    let sound = read(&wav(3, 1, 44_100, 4, &data)).unwrap();
    assert_eq!(sound.len(), 480);
    let peak = (0..sound.len()).max_by(|a, b| sound[*a].total_cmp(&sound[*b])).unwrap();
    assert!(peak.abs_diff(100 * 480 / 441) <= 1, "{peak}");
}

#[test]
fn a_recorder_that_was_killed_leaves_a_playable_file() {
    let mut bytes = wav(1, 1, 48_000, 2, &[0, 0x40, 0, 0x40]);
    for claim in [0, u32::MAX, 1_000_000] {
        bytes[40..44].copy_from_slice(&claim.to_le_bytes());
        assert_eq!(read(&bytes), Ok(vec![0.5, 0.5]));
    }
    assert_eq!(read(&bytes[..47]), Ok(vec![0.5]), "half a sample is dropped");
}

#[test]
fn bad_files_are_refused_in_one_sentence() {
    let good = wav(1, 1, 48_000, 2, &[1, 2, 3, 4]);
    assert_eq!(read(b""), Err(WavError::NotWav));
    assert_eq!(read(b"ID3\x04 not a wav file at all"), Err(WavError::NotWav));
    assert_eq!(read(&good[..20]), Err(WavError::Truncated));
    assert_eq!(read(&good[..40]), Err(WavError::Truncated));
    assert_eq!(read(&good[..44]), Err(WavError::Empty));
    assert_eq!(read(&wav(1, 0, 48_000, 2, &[1, 2])), Err(WavError::Damaged("number of channels")));
    assert_eq!(read(&wav(1, 65_535, 48_000, 2, &[1, 2])), Err(WavError::Damaged("number of channels")));
    assert_eq!(read(&wav(1, 1, 0, 2, &[1, 2])), Err(WavError::Rate(0)));
    assert_eq!(read(&wav(1, 1, u32::MAX, 2, &[1, 2])), Err(WavError::Rate(u32::MAX)));
    assert_eq!(read(&wav(1, 1, 48_000, 0, &[1, 2])), Err(WavError::Damaged("bytes per sample")));
    assert_eq!(read(&wav(1, 1, 48_000, 7, &[1, 2])), Err(WavError::Damaged("bytes per sample")));
    assert_eq!(read(&wav(0x55, 1, 48_000, 2, &[1, 2])), Err(WavError::Compressed(0x55)));
    let endless =
        b"RIFF\0\0\0\0WAVE".iter().copied().chain((0..2_000).flat_map(|_| *b"junk\0\0\0\0")).collect::<Vec<_>>();
    assert_eq!(read(&endless), Err(WavError::Damaged("too many chunks")));
    let no_format = b"RIFF\0\0\0\0WAVEdata\x02\0\0\0\x01\x02";
    assert_eq!(read(no_format), Err(WavError::Damaged("sound before its format")));
    let huge_chunk = b"RIFF\xff\xff\xff\xffWAVEjunk\xff\xff\xff\xff";
    assert_eq!(read(huge_chunk), Err(WavError::Truncated));
    let short_format = b"RIFF\0\0\0\0WAVEfmt \x04\0\0\0\x01\0\x01\0data\x02\0\0\0\x01\x02";
    assert_eq!(read(short_format), Err(WavError::Damaged("format too short")));
}

#[test]
fn a_path_that_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(read_wav(folder.path()), Err(AudioError::BadWav { why: WavError::NotAFile, .. })));
    let error = read_wav(&folder.path().join("none.wav")).unwrap_err();
    assert!(matches!(error, AudioError::CannotRead { .. }));
    assert!(error.to_string().contains("none.wav"), "{error}");
}

#[test]
fn a_file_without_end_is_refused_after_half_an_hour_of_sound() {
    struct Endless(Cursor<Vec<u8>>);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer)? {
                0 => {
                    buffer.fill(0);
                    Ok(buffer.len())
                }
                got => Ok(got),
            }
        }
    }
    impl Seek for Endless {
        fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
            self.0.seek(to)
        }
    }
    let mut header = wav(1, 1, MIN_RATE_HZ, 1, &[]);
    header[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut samples = 0u64;
    let error = decode(&mut Endless(Cursor::new(header)), |block| samples += block.len() as u64);
    assert!(matches!(error, Err(DecodeError::Wav(WavError::TooLong))));
    assert!(samples <= u64::from(SAMPLE_RATE_HZ * 60 * MAX_MINUTES));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
    }

    #[test]
    fn a_damaged_header_never_panics(at in 0usize..44, byte: u8, cut in 0usize..64) {
        let mut bytes = wav(1, 2, 44_100, 2, &[7; 20]);
        bytes[at] = byte;
        bytes.truncate(bytes.len().saturating_sub(cut));
        let _ = read(&bytes);
    }
}
