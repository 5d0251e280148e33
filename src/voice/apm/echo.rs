//! Echo: what the speaker played is taken out of what the microphone heard.

use sonora::three_band_filter_bank::ThreeBandFilterBank;
use sonora_aec3::block::Block;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::common::BLOCK_SIZE;
use sonora_aec3::config::EchoCanceller3Config;

use super::{BAND_SAMPLES, BANDS, Bands};
use crate::base::{Frame, SAMPLE_RATE_HZ};

/// AEC3, which works on blocks of 4 ms, behind 10 ms frames.
pub(super) struct EchoCanceller {
    processor: BlockProcessor,
    render_bank: ThreeBandFilterBank,
    render: Queue,
    capture: Queue,
    output: Queue,
    block: Block,
}

impl EchoCanceller {
    pub fn new() -> Self {
        let mut output = Queue::new();
        output.len = OUTPUT_AHEAD;
        Self {
            processor: BlockProcessor::new(&tuning(), SAMPLE_RATE_HZ as usize, 1, 1),
            render_bank: ThreeBandFilterBank::new(),
            render: Queue::new(),
            capture: Queue::new(),
            output,
            block: Block::new(BANDS, 1),
        }
    }

    /// Takes note of 10 ms for the speaker.
    pub fn hear_render(&mut self, frame: &Frame) {
        let mut bands: Bands = [[0.0; BAND_SAMPLES]; BANDS];
        self.render_bank.analysis(frame, &mut bands);
        self.render.push(&bands);
        while self.render.pop_block(&mut self.block) {
            self.processor.buffer_render(&self.block);
        }
    }

    /// `saturated`: the microphone clipped in this frame.
    pub fn process(&mut self, bands: &mut Bands, saturated: bool) {
        self.capture.push(bands);
        while self.capture.pop_block(&mut self.block) {
            self.processor.process_capture(false, saturated, None, &mut self.block);
            self.output.push_block(&self.block);
        }
        self.output.pop(bands);
    }
}

/// WebRTC's tuning, but for what keeps more of the near voice while both speak: of its frames a third as many are cut,
/// and the echo alone falls as far as before (`tests/sim_apm.rs` prints both).
fn tuning() -> EchoCanceller3Config {
    let mut config = EchoCanceller3Config::default();
    // Trust the linear filter as far as it proves itself, not only up to a factor of 4 (low) and 1.5 (high bands): what
    // it has removed need not be suppressed once more.
    config.erle.max_l = 256.0;
    config.erle.max_h = 64.0;
    // The near voice prevails from 3 dB over the residual echo on. Then the tail beyond the filter is taken to fall
    // faster, and the gain may recover by 9 dB per block instead of 3.
    config.suppressor.dominant_nearend_detection.enr_threshold = 0.5;
    config.ep_strength.nearend_len = 0.5;
    config.suppressor.nearend_tuning.max_inc_factor = 8.0;
    config
}

/// Turns frames of 160 samples per band into blocks of 64, and back.
struct Queue {
    bands: [[f32; CAPACITY]; BANDS],
    len: usize,
}

impl Queue {
    fn new() -> Self {
        Self { bands: [[0.0; CAPACITY]; BANDS], len: 0 }
    }

    fn push(&mut self, frame: &Bands) {
        for (waiting, band) in self.bands.iter_mut().zip(frame) {
            waiting[self.len..self.len + BAND_SAMPLES].copy_from_slice(band);
        }
        self.len += BAND_SAMPLES;
    }

    /// Needs a whole frame.
    fn pop(&mut self, frame: &mut Bands) {
        for (waiting, band) in self.bands.iter_mut().zip(frame) {
            band.copy_from_slice(&waiting[..BAND_SAMPLES]);
        }
        self.forget(BAND_SAMPLES);
    }

    fn push_block(&mut self, block: &Block) {
        for (index, waiting) in self.bands.iter_mut().enumerate() {
            waiting[self.len..self.len + BLOCK_SIZE].copy_from_slice(block.view(index, 0));
        }
        self.len += BLOCK_SIZE;
    }

    /// `false` when less than a block waits.
    fn pop_block(&mut self, block: &mut Block) -> bool {
        if self.len < BLOCK_SIZE {
            return false;
        }
        for (index, waiting) in self.bands.iter().enumerate() {
            block.view_mut(index, 0).copy_from_slice(&waiting[..BLOCK_SIZE]);
        }
        self.forget(BLOCK_SIZE);
        true
    }

    fn forget(&mut self, samples: usize) {
        for waiting in &mut self.bands {
            waiting.copy_within(samples..self.len, 0);
        }
        self.len -= samples;
    }
}

/// Silence before the first output: a frame holds two and a half blocks, so every other frame must wait for half of one.
const OUTPUT_AHEAD: usize = BLOCK_SIZE / 2;
/// What a queue can hold: at most a frame beyond an unfinished block.
const CAPACITY: usize = BAND_SAMPLES + BLOCK_SIZE;
