//! WAV files (RIFF/WAVE, Microsoft "Multimedia Programming Interface and Data Specifications 1.0", 1991).

mod reader;
mod recorder;
mod writer;

pub use reader::read_wav;
pub(super) use reader::{MAX_MINUTES, MAX_RATE_HZ, MIN_RATE_HZ, check_wav, read_wav_i16};
pub(super) use recorder::Recorder;
pub use writer::WavWriter;
