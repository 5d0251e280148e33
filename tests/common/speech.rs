//! Did the speech arrive, how late, how well? Answers from a reference recording and what the other side heard.

use std::path::{Path, PathBuf};

pub const SAMPLE_RATE_HZ: usize = 48_000;

/// Speech is compared at this rate: enough for the waveform's fine structure, three times cheaper than 48 kHz.
const MATCH_RATE_HZ: usize = 16_000;
/// Envelope for the coarse search: one value per millisecond.
const ENVELOPE_HZ: usize = 1000;
/// Pieces of reference speech that are looked for one by one, so that a stretched pause between them does no harm.
const PIECE_MS: usize = 500;
/// A piece may stray this far from the common lag: a jitter buffer that adapts.
const STRAY_MS: usize = 120;
/// A piece counts as heard from this correlation coefficient on.
const HEARD_FROM: f32 = 0.6;
/// Half of a piece from this one on: shorter sounds are alike more easily.
const HALF_HEARD_FROM: f32 = 0.75;
/// Halves are this close to their places beside each other.
const STRETCH_MS: usize = 30;
/// Reference pieces below this level hold a pause and are not looked for.
const PAUSE_DBFS: f32 = -45.0;

/// PESQ-WB from which on speech has come through whole. Calls that lose nothing scored 4.0 to 4.4 on a quiet machine and
/// down to 3.8 beside a compiler, which makes the delay change amid words; what is lost and concealed costs more: the
/// simulator's calls with 9 % lost score 2.3. How well a call sounds is judged there and by the bench.
pub const WHOLE: f32 = 3.3;

/// A recording of the project, `alice` or `bob`.
pub fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/speech").join(name).with_extension("wav")
}

/// Mono samples of a 48 kHz WAV; the first channel of more.
pub fn read_wav(path: &Path) -> Vec<f32> {
    read_wav_channel(path, 0)
}

/// One channel of a 48 kHz WAV of 16-bit or float samples.
pub fn read_wav_channel(path: &Path, channel: usize) -> Vec<f32> {
    let mut wav = hound::WavReader::open(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let spec = wav.spec();
    assert_eq!(spec.sample_rate as usize, SAMPLE_RATE_HZ, "{}", path.display());
    let whole: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => wav.samples::<f32>().map_while(Result::ok).collect(),
        hound::SampleFormat::Int => {
            let full_scale = (1i64 << (spec.bits_per_sample - 1)) as f32;
            wav.samples::<i32>().map_while(Result::ok).map(|sample| sample as f32 / full_scale).collect()
        }
    };
    whole.into_iter().skip(channel).step_by(usize::from(spec.channels)).collect()
}

/// Names a folder for the sounds that a test made, for judges of other languages (`make mos`).
const KEEP_VARIABLE: &str = "TWOCANS_KEEP_SOUNDS";

/// Keeps a mono sound of 48 kHz as `name`.wav, at 16 kHz, where such a folder is wanted.
pub fn keep(name: &str, samples: &[f32]) {
    let Some(folder) = std::env::var_os(KEEP_VARIABLE) else { return };
    let path = Path::new(&folder).join(name).with_extension("wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: MATCH_RATE_HZ as u32,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(&path, spec).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    to_i16(&downsample(samples)).into_iter().for_each(|sample| wav.write_sample(sample).expect("the disk has room"));
    wav.finalize().expect("the disk has room");
}

/// How much of the reference was heard.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Share of the reference's speech pieces found in the degraded signal, 0..=1.
    pub share: f32,
    /// Median of the time by which pieces come later in the degraded signal than in the reference, ms.
    pub lag_ms: f32,
    /// The same of each piece that was found, from the earliest to the latest.
    pub lags_ms: Vec<f32>,
    /// Level of the degraded signal from the first to the last piece, dBFS RMS.
    pub level_dbfs: f32,
}

/// Looks for the speech of `reference` in `degraded` (both 48 kHz), which may begin up to 3 s earlier, or anywhere later.
pub fn heard(reference: &[f32], degraded: &[f32]) -> Heard {
    let (reference, degraded) = (downsample(reference), downsample(degraded));
    let common = coarse_lag(&reference, &degraded);
    let piece = MATCH_RATE_HZ * PIECE_MS / 1000;
    let mut lags = Vec::new();
    let mut pieces = 0;
    for start in (0..reference.len().saturating_sub(piece)).step_by(piece) {
        let wanted = &reference[start..start + piece];
        if dbfs(wanted) < PAUSE_DBFS {
            continue;
        }
        pieces += 1;
        let lag = heard_at(wanted, &degraded, start as isize + common);
        lags.extend(lag.map(|at| at - start as isize));
    }
    assert!(pieces > 0, "the reference holds no speech");
    lags.sort_unstable();
    let lag = lags.get(lags.len() / 2).copied().unwrap_or(common);
    let from = (lag.max(0) as usize).min(degraded.len());
    let until = (lag.max(0) as usize + reference.len()).min(degraded.len());
    let ms = |lag: isize| lag as f32 * 1000.0 / MATCH_RATE_HZ as f32;
    Heard {
        share: lags.len() as f32 / pieces as f32,
        lag_ms: ms(lag),
        lags_ms: lags.iter().copied().map(ms).collect(),
        level_dbfs: dbfs(&degraded[from..until]),
    }
}

/// Panics unless nearly all of the speech arrived. `what` names the direction.
pub fn assert_heard(what: &str, reference: &Path, degraded: &Path) -> Heard {
    let found = heard(&read_wav(reference), &read_wav(degraded));
    assert!(found.share >= 0.9, "{what}: only part of the speech arrived: {found:?}");
    found
}

/// PESQ-WB (ITU-T P.862.2) of `degraded` against `reference` (both 48 kHz, any lag): MOS-LQO 1.0..=4.64.
pub fn pesq_wb(reference: &[f32], degraded: &[f32]) -> f32 {
    let lag_ms = heard(reference, degraded).lag_ms;
    let shift = (lag_ms * SAMPLE_RATE_HZ as f32 / 1000.0) as isize;
    // A little of what came before and after the speech belongs to the judgement; seconds of silence do not.
    let from = shift.max(0) as usize;
    let until = (from + reference.len()).min(degraded.len());
    let cut = &degraded[from.min(until)..until];
    pesq::pesq_wb(&to_i16(&downsample(reference)), &to_i16(&downsample(cut))).expect("both signals hold speech")
}

/// RMS level, dBFS; −100 for silence.
pub fn dbfs(samples: &[f32]) -> f32 {
    let power = samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32;
    if power > 1e-10 { 10.0 * power.log10() } else { -100.0 }
}

/// 48 → 16 kHz: windowed-sinc low pass at 7.6 kHz, every third sample. The filter's delay is taken out.
fn downsample(samples: &[f32]) -> Vec<f32> {
    const HALF: isize = 60;
    let taps: Vec<f32> = (-HALF..=HALF)
        .map(|n| {
            let x = std::f32::consts::PI * n as f32;
            let cutoff = 2.0 * 7600.0 / SAMPLE_RATE_HZ as f32;
            let sinc = if n == 0 { cutoff } else { (x * cutoff).sin() / x };
            let window = 0.54 + 0.46 * (x / HALF as f32).cos();
            sinc * window
        })
        .collect();
    (0..samples.len() as isize)
        .step_by(SAMPLE_RATE_HZ / MATCH_RATE_HZ)
        .map(|centre| {
            let inside = (-HALF..=HALF)
                .zip(&taps)
                .filter_map(|(n, tap)| Some((samples.get(usize::try_from(centre + n).ok()?)?, tap)));
            inside.map(|(sample, tap)| sample * tap).sum()
        })
        .collect()
}

/// The lag, in samples at [`MATCH_RATE_HZ`], at which the two envelopes look most alike.
fn coarse_lag(reference: &[f32], degraded: &[f32]) -> isize {
    const EARLIEST_MS: isize = -3000;
    let (a, b) = (envelope(reference), envelope(degraded));
    let likeness = |lag: &isize| -> f32 {
        let pairs =
            a.iter().enumerate().filter_map(|(i, x)| Some((x, b.get(usize::try_from(i as isize + lag).ok()?)?)));
        pairs.map(|(x, y)| x * y).sum()
    };
    let best = (EARLIEST_MS..b.len() as isize).map(|lag| (likeness(&lag), lag)).max_by(|x, y| x.0.total_cmp(&y.0));
    best.map_or(0, |(_, lag)| lag * (MATCH_RATE_HZ / ENVELOPE_HZ) as isize)
}

/// Level per millisecond around its own mean, compressed so that loud vowels do not decide alone.
fn envelope(samples: &[f32]) -> Vec<f32> {
    let raw: Vec<f32> =
        samples.chunks(MATCH_RATE_HZ / ENVELOPE_HZ).map(|ms| ms.iter().map(|s| s.abs()).sum::<f32>().sqrt()).collect();
    let mean = raw.iter().sum::<f32>() / raw.len().max(1) as f32;
    raw.into_iter().map(|value| value - mean).collect()
}

/// Where around `expected` a piece was heard: as a whole, or in two halves with a stretch of the jitter buffer's between.
fn heard_at(piece: &[f32], signal: &[f32], expected: isize) -> Option<isize> {
    let (at, likeness) = best_match(piece, signal, expected);
    if likeness >= HEARD_FROM {
        return Some(at);
    }
    let (first, second) = piece.split_at(piece.len() / 2);
    let half = first.len() as isize;
    let [first, second] = [(first, expected), (second, expected + half)].map(|(half, at)| best_match(half, signal, at));
    let stretch = second.0 - first.0 - half;
    let is_heard =
        first.1.min(second.1) >= HALF_HEARD_FROM && stretch.unsigned_abs() <= MATCH_RATE_HZ * STRETCH_MS / 1000;
    is_heard.then_some(first.0)
}

/// Where around `expected` the piece fits best, and how well (correlation coefficient).
fn best_match(piece: &[f32], signal: &[f32], expected: isize) -> (isize, f32) {
    let reach = MATCH_RATE_HZ as isize * STRAY_MS as isize / 1000;
    let first = usize::try_from(expected - reach).unwrap_or(0);
    let last = usize::try_from(expected + reach + 1).unwrap_or(0).min((signal.len() + 1).saturating_sub(piece.len()));
    let energy = |samples: &[f32]| samples.iter().map(|s| f64::from(s * s)).sum::<f64>();
    let own = energy(piece);
    let mut there = signal.get(first..first + piece.len()).map_or(0.0, energy);
    (first..last)
        .map(|at| {
            let window = &signal[at..at + piece.len()];
            let dot: f32 = piece.iter().zip(window).map(|(x, y)| x * y).sum();
            let likeness = f64::from(dot) / (own * there).sqrt().max(1e-6);
            // The window's energy moves on with it instead of being summed anew.
            there += signal.get(at + piece.len()).map_or(0.0, |s| f64::from(s * s)) - f64::from(window[0] * window[0]);
            there = there.max(0.0);
            (at as isize, likeness as f32)
        })
        .max_by(|x, y| x.1.total_cmp(&y.1))
        .unwrap_or((expected, 0.0))
}

fn to_i16(samples: &[f32]) -> Vec<i16> {
    samples.iter().map(|s| (s * 32768.0).clamp(-32768.0, 32767.0) as i16).collect()
}
