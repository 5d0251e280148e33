//! A sender, a network and a receiver in virtual time.

use std::time::{Duration, Instant};

use twocans::base::{FRAME_SAMPLES, Frame, IncomingPacket, MediaTime, OutgoingPacket, SeqNo};
use twocans::voice::{
    Encoder, EncoderSettings, HEADER_BYTES, JitterSettings, JitterStats, Operation, Packetizer, PathReport, Protection,
    Receiver, RedDistances, Resilience, ResilienceSettings,
};

use crate::network::{Network, Random};

/// Set: each report is printed, and what the sender makes of it.
const TRACE_VARIABLE: &str = "SIM_TRACE";

/// What is simulated.
#[derive(Clone)]
pub struct Scenario {
    pub seed: u64,
    pub seconds: f64,
    pub encoder: EncoderSettings,
    pub red: RedDistances,
    /// The sender follows the receiver's reports; then its bit rate, packet length and `red` are its own choice.
    pub resilience: Option<ResilienceSettings>,
    pub jitter: JitterSettings,
    /// The sender's clock runs so much faster than the receiver's.
    pub drift_ppm: f64,
    /// Between the sender's start and the receiver's first tick.
    pub phase_ms: f64,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 1,
            seconds: 30.0,
            encoder: EncoderSettings { dtx: false, ..EncoderSettings::default() },
            red: RedDistances::NONE,
            resilience: None,
            jitter: JitterSettings::default(),
            drift_ppm: 0.0,
            phase_ms: 3.3,
        }
    }
}

/// What came out.
pub struct Outcome {
    pub played: Vec<f32>,
    pub operations: Vec<Operation>,
    /// One per tick with sound: when it was played and how long after its capture, ms.
    pub delays: Vec<(f64, f64)>,
    /// Read once per second.
    pub stats: Vec<JitterStats>,
    pub payload_bits_per_second: f64,
}

impl Outcome {
    pub fn last(&self) -> &JitterStats {
        self.stats.last().expect("at least one second was simulated")
    }

    /// Share of all samples that were concealed.
    pub fn concealed(&self) -> f64 {
        let stats = self.last();
        stats.concealed_samples as f64 / stats.total_samples.max(1) as f64
    }

    pub fn mean_delay_ms(&self, from_ms: f64, to_ms: f64) -> f64 {
        let delays = self.delays_between(from_ms, to_ms);
        delays.iter().sum::<f64>() / delays.len().max(1) as f64
    }

    pub fn max_delay_ms(&self, from_ms: f64, to_ms: f64) -> f64 {
        self.delays_between(from_ms, to_ms).into_iter().fold(0.0, f64::max)
    }

    fn delays_between(&self, from_ms: f64, to_ms: f64) -> Vec<f64> {
        self.delays.iter().filter(|(at, _)| (from_ms..to_ms).contains(at)).map(|(_, delay)| *delay).collect()
    }

    pub fn count(&self, operation: Operation) -> usize {
        self.operations.iter().filter(|done| **done == operation).count()
    }
}

/// Sends `speech`, over and over, through `network`.
pub fn simulate(scenario: &Scenario, speech: &[f32], mut network: impl Network) -> Outcome {
    let mut sender = Sender::new(scenario, speech);
    let mut receiver = Receiver::new(scenario.jitter).expect("default settings are valid");
    let mut random = Random::new(scenario.seed);
    let mut resilience = scenario.resilience.map(Resilience::new);
    if let Some(resilience) = &resilience {
        sender.protect(resilience.protection());
    }
    let mut on_the_way: Vec<(f64, u64, IncomingPacket)> = Vec::new();
    let epoch = Instant::now();
    let instant = |ms: f64| epoch + Duration::from_secs_f64(ms / 1000.0);
    let mut outcome = Outcome {
        played: Vec::new(),
        operations: Vec::new(),
        delays: Vec::new(),
        stats: Vec::new(),
        payload_bits_per_second: 0.0,
    };

    let ticks = (scenario.seconds * 100.0) as usize;
    let (mut payload_bytes, mut sent_bytes, mut packets) = (0, 0, 0);
    for tick in 0..ticks {
        let now_ms = scenario.phase_ms + 10.0 * tick as f64;
        while let Some((sent_ms, packet)) = sender.next_until(now_ms) {
            payload_bytes += packet.payload.len();
            let bytes = packet.payload.len() + HEADER_BYTES as usize;
            sent_bytes += bytes;
            packets += 1;
            if let Some(delay) = network.delay_ms(sent_ms, bytes, &mut random) {
                let arrival_ms = sent_ms + delay;
                let packet = IncomingPacket {
                    arrival: instant(arrival_ms),
                    ssrc: 7,
                    seq: packet.seq,
                    media_time: packet.media_time,
                    marker: packet.marker,
                    kind: packet.kind,
                    payload: packet.payload,
                };
                on_the_way.push((arrival_ms, on_the_way.len() as u64, packet));
            }
        }
        on_the_way.sort_by(|a, b| a.0.total_cmp(&b.0));
        let arrived = on_the_way.partition_point(|(at, _, _)| *at <= now_ms);
        for (_, _, packet) in on_the_way.drain(..arrived) {
            receiver.insert_packet(packet);
        }
        let mut frame: Frame = [0.0; FRAME_SAMPLES];
        let before = receiver.playout_time();
        let operation = receiver.get_audio(instant(now_ms), &mut frame);
        assert!(frame.iter().all(|sample| sample.is_finite()));
        if let Some(playout_time) = before.filter(|_| operation >= Operation::Normal) {
            outcome.delays.push((now_ms, now_ms - sender.captured_at_ms(playout_time)));
        }
        outcome.operations.push(operation);
        outcome.played.extend_from_slice(&frame);
        if tick % 100 == 99 {
            let before = outcome.stats.last().copied().unwrap_or_default();
            let stats = receiver.statistics();
            outcome.stats.push(stats);
            if let Some(resilience) = &mut resilience {
                let sent_bps = std::mem::take(&mut sent_bytes) as f32 * 8.0;
                let report =
                    PathReport { packets: std::mem::take(&mut packets), sent_bps, ..report_between(&before, &stats) };
                let protection = resilience.update(&report);
                if std::env::var_os(TRACE_VARIABLE).is_some() {
                    println!("{} s: {report:?} → {protection:?}", tick / 100);
                }
                sender.protect(protection);
            }
        }
    }
    outcome.payload_bits_per_second = payload_bytes as f64 * 8.0 / scenario.seconds;
    outcome
}

/// What the receiver reports of a second.
fn report_between(before: &JitterStats, after: &JitterStats) -> PathReport {
    let (lost, received) = (after.lost.saturating_sub(before.lost), after.packets - before.packets);
    PathReport {
        fraction_lost: lost as f32 / (lost + received).max(1) as f32,
        mean_burst: lost as f32 / (after.gaps - before.gaps).max(1) as f32,
        queue_ms: after.queue_ms,
        ..PathReport::default()
    }
}

/// A microphone that plays a recording in a loop.
struct Sender<'a> {
    encoder: Encoder,
    packetizer: Packetizer,
    speech: &'a [f32],
    frames: usize,
    /// Length of a 10 ms frame of the sender's in the receiver's time.
    frame_ms: f64,
}

/// An RTP timestamp that wraps soon after the start.
const FIRST_MEDIA_TIME: MediaTime = MediaTime(u32::MAX - 100_000);

impl<'a> Sender<'a> {
    fn new(scenario: &Scenario, speech: &'a [f32]) -> Self {
        let mut packetizer = Packetizer::new(SeqNo(65_500));
        packetizer.set_red(scenario.red, 111);
        Self {
            encoder: Encoder::starting_at(scenario.encoder, FIRST_MEDIA_TIME).expect("valid settings"),
            packetizer,
            speech,
            frames: 0,
            frame_ms: 10.0 / (1.0 + scenario.drift_ppm * 1e-6),
        }
    }

    fn protect(&mut self, protection: Protection) {
        let mut settings = *self.encoder.settings();
        settings.bitrate_bps = protection.bitrate_bps;
        settings.ptime = protection.ptime;
        settings.expected_loss_percent = protection.fec_for_percent;
        settings.fec = protection.fec_for_percent > 0;
        self.encoder.apply(&settings).expect("valid settings");
        self.packetizer.set_red(protection.red, 111);
    }

    /// The next packet that was complete at `now_ms`.
    fn next_until(&mut self, now_ms: f64) -> Option<(f64, OutgoingPacket)> {
        loop {
            let complete_ms = (self.frames + 1) as f64 * self.frame_ms;
            if complete_ms > now_ms {
                return None;
            }
            let at = self.frames * FRAME_SAMPLES % (self.speech.len() / FRAME_SAMPLES * FRAME_SAMPLES);
            let frame: &Frame = self.speech[at..at + FRAME_SAMPLES].try_into().expect("whole frames");
            self.frames += 1;
            if let Some(encoded) = self.encoder.encode(frame).expect("valid frames") {
                return Some((complete_ms, self.packetizer.packetize(&encoded)));
            }
        }
    }

    /// When the sample of this media time was captured, in the receiver's time.
    fn captured_at_ms(&self, time: MediaTime) -> f64 {
        time.since(FIRST_MEDIA_TIME) as f64 / FRAME_SAMPLES as f64 * self.frame_ms
    }
}

/// A recording that ships with the program.
pub fn speech(name: &str) -> Vec<f32> {
    let path = format!("{}/assets/speech/{name}.wav", env!("CARGO_MANIFEST_DIR"));
    let mut reader = hound::WavReader::open(path).expect("the recording is there");
    assert_eq!((reader.spec().sample_rate, reader.spec().channels), (48_000, 1));
    reader.samples::<i16>().map(|sample| f32::from(sample.expect("sound file")) / 32768.0).collect()
}

/// The reference to compare `played` with: the same recording in the same loop.
pub fn looped(speech: &[f32], samples: usize) -> Vec<f32> {
    let whole = speech.len() / FRAME_SAMPLES * FRAME_SAMPLES;
    speech[..whole].iter().copied().cycle().take(samples).collect()
}
