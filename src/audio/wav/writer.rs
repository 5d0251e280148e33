//! 48 kHz mono 16 bit, with a header that is true at every moment.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use crate::base::SAMPLE_RATE_HZ;

/// Writes a WAV file that can be read at any time, even after the process was killed: the header never claims a sample
/// that is not in the file.
#[derive(Debug)]
pub struct WavWriter {
    file: File,
    samples: u32,
}

const HEADER_BYTES: u32 = 44;
const SAMPLE_BYTES: u32 = 2;
/// 12 hours; a WAV file's sizes are 32 bits wide.
const MAX_SAMPLES: u32 = (u32::MAX - HEADER_BYTES) / SAMPLE_BYTES;

impl WavWriter {
    /// Creates the file, or empties it.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut writer = Self { file: File::create(path)?, samples: 0 };
        writer.write_header()?;
        Ok(writer)
    }

    /// Appends samples, then corrects the header. Once the file is full (12 hours) further samples are dropped.
    pub fn append(&mut self, samples: &[i16]) -> io::Result<()> {
        let fitting = samples.len().min((MAX_SAMPLES - self.samples) as usize);
        if fitting == 0 {
            return Ok(());
        }
        let bytes: Vec<u8> = samples[..fitting].iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.file.seek(SeekFrom::Start(u64::from(HEADER_BYTES) + u64::from(self.samples) * u64::from(SAMPLE_BYTES)))?;
        self.file.write_all(&bytes)?;
        self.samples += fitting as u32;
        self.write_header()
    }

    /// Starts again with an empty file.
    pub fn restart(&mut self) -> io::Result<()> {
        self.samples = 0;
        self.file.set_len(0)?;
        self.write_header()
    }

    fn write_header(&mut self) -> io::Result<()> {
        let data_bytes = self.samples * SAMPLE_BYTES;
        let mut header = [0; HEADER_BYTES as usize];
        let fields: [&[u8]; 13] = [
            b"RIFF",
            &(HEADER_BYTES - 8 + data_bytes).to_le_bytes(),
            b"WAVE",
            b"fmt ",
            &16u32.to_le_bytes(),
            &1u16.to_le_bytes(), // PCM
            &1u16.to_le_bytes(), // channels
            &SAMPLE_RATE_HZ.to_le_bytes(),
            &(SAMPLE_RATE_HZ * SAMPLE_BYTES).to_le_bytes(),
            &(SAMPLE_BYTES as u16).to_le_bytes(),
            &(SAMPLE_BYTES as u16 * 8).to_le_bytes(),
            b"data",
            &data_bytes.to_le_bytes(),
        ];
        (&mut header[..]).write_all(&fields.concat())?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_whole_after_every_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.wav");
        let mut writer = WavWriter::create(&path).unwrap();
        assert_eq!(hound::WavReader::open(&path).unwrap().duration(), 0);
        let mut expected = Vec::new();
        for length in [480, 1, 12_000] {
            let block: Vec<i16> = (0..length).map(|i| (i * 7 - 3_000) as i16).collect();
            writer.append(&block).unwrap();
            expected.extend(block);
            let mut reader = hound::WavReader::open(&path).unwrap();
            let spec = reader.spec();
            assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, SAMPLE_RATE_HZ, 16));
            let read: Vec<i16> = reader.samples().collect::<Result<_, _>>().unwrap();
            assert_eq!(read, expected);
        }
        writer.restart().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), u64::from(HEADER_BYTES));
    }

    #[test]
    fn between_samples_and_header_the_header_claims_less_than_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.wav");
        let mut writer = WavWriter::create(&path).unwrap();
        writer.append(&[1, 2, 3]).unwrap();
        // What a kill between the two writes leaves behind.
        writer.file.seek(SeekFrom::End(0)).unwrap();
        writer.file.write_all(&[4, 0, 5]).unwrap();
        let read: Vec<i16> = hound::WavReader::open(&path).unwrap().samples().collect::<Result<_, _>>().unwrap();
        assert_eq!(read, [1, 2, 3]);
    }
}
