//! Decoded samples: what was played a moment ago, and what is ready to be played.

/// A line of samples with the playout position in it. The past stays for a while, because time stretching and merging
/// look for the pitch in it.
pub(super) struct SyncBuffer {
    samples: Box<[f32]>,
    /// Next sample to be played; the past lies before it.
    play: usize,
    end: usize,
}

/// Of the past, at least so much is kept: two pitch periods of 15 ms and a window to compare.
pub(super) const HISTORY_SAMPLES: usize = 2400;

impl SyncBuffer {
    /// `capacity`: samples that may wait at once.
    pub fn new(capacity: usize) -> Self {
        // Twice, so that the line moves back to the front once in a while, not with every frame.
        let samples = vec![0.0; 2 * (HISTORY_SAMPLES + capacity)].into_boxed_slice();
        Self { samples, play: HISTORY_SAMPLES, end: HISTORY_SAMPLES }
    }

    /// Samples ready to be played.
    pub fn future(&self) -> &[f32] {
        &self.samples[self.play..self.end]
    }

    pub fn future_len(&self) -> usize {
        self.end - self.play
    }

    /// The past and the future as one line, and the index of the first sample of the future.
    pub fn line(&self) -> (&[f32], usize) {
        (&self.samples[..self.end], self.play)
    }

    /// Room for more samples.
    pub fn free(&self) -> usize {
        self.samples.len() - HISTORY_SAMPLES - self.future_len()
    }

    /// Appends as much as there is room for; returns how much that was.
    pub fn push(&mut self, samples: &[f32]) -> usize {
        let count = samples.len().min(self.free());
        self.make_room(count);
        self.samples[self.end..self.end + count].copy_from_slice(&samples[..count]);
        self.end += count;
        count
    }

    /// Takes `out.len()` samples; what is missing becomes silence.
    pub fn pop(&mut self, out: &mut [f32]) {
        let count = out.len().min(self.future_len());
        out[..count].copy_from_slice(&self.samples[self.play..self.play + count]);
        out[count..].fill(0.0);
        self.play += count;
    }

    /// Forgets what was not played yet.
    pub fn drop_future(&mut self) {
        self.end = self.play;
    }

    /// Accelerate: the first `lag` samples of the future melt into the `lag` samples after them, by a cross-fade over
    /// `overlap` samples. Needs `lag + overlap` samples of future, and `overlap <= lag`.
    pub fn remove(&mut self, lag: usize, overlap: usize) {
        let future = &mut self.samples[self.play..self.end];
        for i in 0..overlap {
            let fade_in = fade(i, overlap);
            future[i + lag] = future[i] * (1.0 - fade_in) + future[i + lag] * fade_in;
        }
        // The past moves up, so that history and future stay one line.
        self.samples.copy_within(..self.play, lag);
        self.play += lag;
    }

    /// Preemptive expand: the last `lag` samples of the past are heard a second time, by a cross-fade over `overlap`
    /// samples. Needs `overlap` samples of future, `overlap <= lag`, and room for `lag`.
    pub fn repeat(&mut self, lag: usize, overlap: usize) {
        self.make_room(lag);
        let (play, end) = (self.play, self.end);
        self.samples.copy_within(play..end, play + lag);
        self.end += lag;
        // [play, play+overlap) still holds the old future's beginning: fade it into the past one period earlier,
        // then let the rest of that period follow.
        for i in 0..overlap {
            let fade_in = fade(i, overlap);
            let repeated = self.samples[play - lag + i];
            self.samples[play + i] = self.samples[play + i] * (1.0 - fade_in) + repeated * fade_in;
        }
        self.samples.copy_within(play - lag + overlap..play, play + overlap);
    }

    fn make_room(&mut self, count: usize) {
        if self.end + count > self.samples.len() {
            let first = self.play - HISTORY_SAMPLES;
            self.samples.copy_within(first..self.end, 0);
            self.play -= first;
            self.end -= first;
        }
    }
}

/// Weight of the incoming signal at sample `i` of a cross-fade of `len`.
pub(super) fn fade(i: usize, len: usize) -> f32 {
    (i as f32 + 0.5) / len as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line whose pitch period is 100 samples, so that a stretch by 100 must be invisible.
    fn periodic(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * std::f32::consts::TAU / 100.0).sin()).collect()
    }

    fn filled(wave: &[f32]) -> SyncBuffer {
        let mut buffer = SyncBuffer::new(5000);
        buffer.push(&wave[..1000]);
        buffer.pop(&mut [0.0; 500]);
        buffer
    }

    #[test]
    fn removing_or_repeating_a_period_leaves_the_wave_unbroken() {
        let wave = periodic(2000);
        for removing in [true, false] {
            let mut buffer = filled(&wave);
            let (lag, len) = if removing { (100, 400) } else { (100, 600) };
            if removing {
                buffer.remove(lag, 80);
            } else {
                buffer.repeat(lag, 80);
            }
            assert_eq!(buffer.future_len(), len);
            for (i, sample) in buffer.future().iter().enumerate() {
                assert!((sample - wave[500 + i]).abs() < 1e-4, "{i}");
            }
            let (line, play) = buffer.line();
            assert!((line[play - 1] - wave[499]).abs() < 1e-4);
        }
    }

    #[test]
    fn the_line_runs_for_ever_within_its_room() {
        let mut buffer = SyncBuffer::new(1000);
        let mut next = 0.0;
        for step in 0..2000 {
            let chunk: Vec<f32> = (0..(step % 7) * 60).map(|i| next + i as f32).collect();
            next += buffer.push(&chunk) as f32;
            let mut out = [0.0; 180];
            let ready = buffer.future_len().min(180);
            buffer.pop(&mut out);
            assert!(out[..ready].windows(2).all(|pair| pair[1] == pair[0] + 1.0));
            assert!(out[ready..].iter().all(|sample| *sample == 0.0));
        }
    }
}
