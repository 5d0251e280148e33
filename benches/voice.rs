//! What the voice costs: everything that the voice thread does, per 10 ms frame or per packet.
//!
//! One core has 10 000 µs per frame; a call of two people with everything on should stay below a few hundred.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use twocans::base::{FRAME_SAMPLES, Frame, MediaTime, SampleCount, SeqNo};
use twocans::voice::{
    Apm, ApmSettings, EncodedFrame, Encoder, EncoderSettings, JitterBuffer, JitterSettings, Mixer, Noise, PacketHeader,
    Packetizer, Ptime, RedDistances, Resampler,
};

/// A voice-like tone with syllables.
fn voice(frame: usize) -> Frame {
    std::array::from_fn(|i| {
        let t = (frame * FRAME_SAMPLES + i) as f32 / 48_000.0;
        let syllable = (t * 4.0 * std::f32::consts::TAU).sin().max(0.05);
        (1..10).map(|k| (t * 130.0 * k as f32 * std::f32::consts::TAU).sin() / k as f32).sum::<f32>() * 0.15 * syllable
    })
}

type Packet = (SeqNo, MediaTime, Bytes);

/// Five seconds of packets.
fn stream(settings: EncoderSettings) -> Vec<Packet> {
    let (mut encoder, mut seq, mut packets) = (Encoder::new(settings).unwrap(), SeqNo(0), Vec::new());
    for frame in 0..500 {
        if let Some(encoded) = encoder.encode(&voice(frame)).unwrap() {
            packets.push((seq, encoded.media_time, Bytes::copy_from_slice(encoded.payload)));
            seq = seq.next();
        }
    }
    packets
}

/// Somebody speaks while the loudspeaker plays what the microphone hears 50 ms later.
fn apm(c: &mut Criterion) {
    let mut group = c.benchmark_group("audio processing 10 ms");
    for (name, settings) in [
        ("off", ApmSettings::OFF),
        ("echo", ApmSettings { echo_cancellation: true, ..ApmSettings::OFF }),
        ("noise, standard", ApmSettings { noise: Noise::Standard, ..ApmSettings::OFF }),
        ("noise, strong", ApmSettings { noise: Noise::Strong, ..ApmSettings::OFF }),
        ("gain", ApmSettings { gain_control: true, ..ApmSettings::OFF }),
        ("everything", ApmSettings::default()),
    ] {
        let (mut apm, sounds, mut tick) = (Apm::new(settings), (0..500).map(voice).collect::<Vec<_>>(), 0);
        group.bench_function(name, |b| {
            b.iter(|| {
                tick += 1;
                let mut heard = sounds[(tick + 495) % 500];
                apm.process_render(black_box(&sounds[tick % 500]));
                apm.process_capture(&mut heard);
                heard[0]
            });
        });
    }
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode 20 ms");
    for (name, settings) in [
        ("complexity 10", EncoderSettings::default()),
        ("complexity 5", EncoderSettings { complexity: 5, ..EncoderSettings::default() }),
        ("with DRED 500 ms", EncoderSettings { dred_ms: 500, expected_loss_percent: 20, ..EncoderSettings::default() }),
    ] {
        let (mut encoder, mut frame) = (Encoder::new(settings).unwrap(), 0);
        group.bench_function(name, |b| {
            b.iter(|| {
                frame += 2;
                let first = encoder.encode(&voice(frame)).unwrap().is_some();
                first | encoder.encode(&voice(frame + 1)).unwrap().is_some()
            });
        });
    }
}

/// Plays `packets` at their pace, without those for which `lost` says so.
fn play(jitter: &mut JitterBuffer, packets: &[Packet], lost: impl Fn(usize) -> bool) -> f32 {
    let (start, mut frame, mut sum) = (Instant::now(), [0.0; FRAME_SAMPLES], 0.0);
    for (index, (seq, media_time, payload)) in packets.iter().enumerate() {
        let now = start + Duration::from_millis(20 * index as u64);
        if !lost(index) {
            let header = PacketHeader { arrival: now, ssrc: 1, seq: *seq, media_time: *media_time };
            jitter.insert_packet(header, payload.clone());
        }
        for tick in 0..2 {
            jitter.get_audio(now + Duration::from_millis(10 * tick), &mut frame);
            sum += frame[0];
        }
    }
    sum
}

fn receive(c: &mut Criterion) {
    let mut group = c.benchmark_group("receive 5 s");
    group.sample_size(10);
    let plain = stream(EncoderSettings::default());
    let dred = stream(EncoderSettings { dred_ms: 500, expected_loss_percent: 20, ..EncoderSettings::default() });
    type Loss = fn(usize) -> bool;
    for (name, packets, lost) in [
        ("clean", &plain, (|_| false) as Loss),
        ("10 % lost, FEC", &plain, |index| index % 10 == 9),
        ("bursts of 4, concealment", &plain, |index| index % 20 < 4),
        ("bursts of 4, DRED", &dred, |index| index % 20 < 4),
    ] {
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                || JitterBuffer::new(JitterSettings::default()).unwrap(),
                |jitter| play(jitter, packets, lost),
                BatchSize::LargeInput,
            );
        });
    }
}

fn packetize(c: &mut Criterion) {
    let payload = [1; 80];
    let mut packetizer = Packetizer::new(SeqNo(0));
    packetizer.set_red(RedDistances::new(&[1, 2]), 111);
    let mut media_time = MediaTime(0);
    c.bench_function("packetize with RED of two copies", |b| {
        b.iter(|| {
            media_time = media_time.add(Ptime::Ms20.samples());
            packetizer.packetize(&EncodedFrame {
                number: 0,
                media_time,
                samples: SampleCount(960),
                marker: false,
                payload: &payload,
            })
        });
    });
}

fn mix(c: &mut Criterion) {
    let (mut mixer, voices, mut out) = (Mixer::new(), [voice(1), voice(2), voice(3), voice(4)], [0.0; FRAME_SAMPLES]);
    c.bench_function("mix four voices, 10 ms", |b| {
        b.iter(|| mixer.mix(black_box(&voices).iter().map(|voice| (&voice[..], 1.0)), &mut out));
    });
}

fn resample(c: &mut Criterion) {
    let mut group = c.benchmark_group("resample 10 ms");
    for (from, to) in [(44_100, 48_000), (48_000, 44_100), (16_000, 48_000), (48_000, 48_000)] {
        let mut resampler = Resampler::new(from, to).unwrap();
        let (input, mut output) = (vec![0.1; from as usize / 100], vec![0.0; to as usize / 100]);
        group.bench_function(format!("{from} → {to} Hz"), |b| {
            b.iter(|| {
                resampler.push(black_box(&input));
                resampler.pull(&mut output)
            });
        });
    }
}

criterion_group!(benches, apm, encode, receive, packetize, mix, resample);
criterion_main!(benches);
