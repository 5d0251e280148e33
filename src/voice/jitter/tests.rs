use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::Frame;
use crate::voice::encoder::{EncodedFrame, Encoder, EncoderSettings, Ptime};
use crate::voice::recorded::recording;

/// A voice-like tone.
fn voice(frame: usize) -> Frame {
    std::array::from_fn(|i| {
        let t = (frame * FRAME_SAMPLES + i) as f32 / SAMPLE_RATE_HZ as f32;
        (1..8).map(|k| (t * 130.0 * k as f32 * std::f32::consts::TAU).sin() / (k * k) as f32).sum::<f32>() * 0.2
    })
}

/// Packets of a continuous voice, first sequence number and media time chosen to wrap soon.
fn packets(settings: EncoderSettings, frames: usize) -> Vec<(SeqNo, MediaTime, Bytes)> {
    encoded(settings, (0..frames).map(voice))
}

fn encoded(settings: EncoderSettings, frames: impl IntoIterator<Item = Frame>) -> Vec<(SeqNo, MediaTime, Bytes)> {
    let mut encoder = Encoder::starting_at(settings, MediaTime(u32::MAX - 5000)).unwrap();
    let mut seq = SeqNo(65_533);
    let mut made = Vec::new();
    for frame in frames {
        if let Some(EncodedFrame { media_time, payload, .. }) = encoder.encode(&frame).unwrap() {
            made.push((seq, media_time, Bytes::copy_from_slice(payload)));
            seq = seq.next();
        }
    }
    made
}

fn steady(ptime: Ptime) -> EncoderSettings {
    EncoderSettings { ptime, dtx: false, complexity: 5, ..EncoderSettings::default() }
}

struct Bench {
    jitter: JitterBuffer,
    start: Instant,
    ticks: u64,
}

impl Bench {
    fn new(settings: JitterSettings) -> Self {
        Self { jitter: JitterBuffer::new(settings).unwrap(), start: Instant::now(), ticks: 0 }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.ticks * 10)
    }

    fn insert(&mut self, ssrc: u32, (seq, media_time, payload): &(SeqNo, MediaTime, Bytes)) -> Inserted {
        let header = PacketHeader { arrival: self.now(), ssrc, seq: *seq, media_time: *media_time };
        self.jitter.insert_packet(header, payload.clone())
    }

    fn get(&mut self) -> (Operation, Frame) {
        let mut frame = [f32::NAN; FRAME_SAMPLES];
        let operation = self.jitter.get_audio(self.now(), &mut frame);
        self.ticks += 1;
        assert!(frame.iter().all(|sample| sample.is_finite()), "the frame is filled");
        (operation, frame)
    }

    /// Plays a stream whose packets come just in time; returns the operations.
    fn play(&mut self, ssrc: u32, stream: &[(SeqNo, MediaTime, Bytes)], frames_per_packet: usize) -> Vec<Operation> {
        let mut operations = Vec::new();
        for packet in stream {
            assert_eq!(self.insert(ssrc, packet), Inserted::Stored);
            operations.extend((0..frames_per_packet).map(|_| self.get().0));
        }
        operations
    }
}

#[test]
fn packets_of_every_length_play_without_concealment() {
    for (ptime, frames) in [(Ptime::Ms10, 1), (Ptime::Ms20, 2), (Ptime::Ms40, 4), (Ptime::Ms60, 6)] {
        let mut bench = Bench::new(JitterSettings::default());
        bench.play(1, &packets(steady(ptime), 300), frames);
        let stats = bench.jitter.statistics();
        assert_eq!((stats.concealed_samples, stats.lost, stats.late), (0, 0, 0), "{ptime:?}");
        assert!(stats.first_audio && stats.target_delay_ms <= 10.0, "{ptime:?}: {stats:?}");
        assert!(stats.total_samples >= 290 * FRAME_SAMPLES as u64);
    }
}

#[test]
fn packet_length_may_change_in_the_stream() {
    let mut encoder = Encoder::new(steady(Ptime::Ms60)).unwrap();
    let mut bench = Bench::new(JitterSettings::default());
    let mut seq = SeqNo(0);
    for frame in 0..600 {
        let ptime = [Ptime::Ms60, Ptime::Ms10, Ptime::Ms40, Ptime::Ms20][frame / 150];
        encoder.apply(&steady(ptime)).unwrap();
        if let Some(encoded) = encoder.encode(&voice(frame)).unwrap() {
            let packet = (seq, encoded.media_time, Bytes::copy_from_slice(encoded.payload));
            bench.insert(1, &packet);
            seq = seq.next();
        }
        bench.get();
    }
    let stats = bench.jitter.statistics();
    assert!(stats.concealed_samples <= 60 * 48, "{stats:?}");
}

#[test]
fn an_empty_buffer_is_silent_and_a_stream_that_ends_fades_out() {
    let mut bench = Bench::new(JitterSettings::default());
    assert_eq!(bench.get(), (Operation::Silence, [0.0; FRAME_SAMPLES]));
    bench.play(1, &packets(steady(Ptime::Ms20), 100), 2);
    let tail: Vec<_> = (0..100).map(|_| bench.get()).collect();
    assert!(tail.iter().any(|(operation, _)| *operation == Operation::Expand));
    assert!(
        tail[40..].iter().all(|(operation, frame)| *operation == Operation::Silence && *frame == [0.0; FRAME_SAMPLES])
    );
    let step = |frame: &Frame| frame.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    assert!(tail.iter().all(|(_, frame)| step(frame) < 0.1), "no click");
}

#[test]
fn duplicates_late_packets_and_rubbish_are_told_apart() {
    let mut bench = Bench::new(JitterSettings::default());
    let stream = packets(steady(Ptime::Ms20), 100);
    bench.play(1, &stream[..20], 2);
    assert_eq!(bench.insert(1, &stream[19]), Inserted::Duplicate);
    assert_eq!(bench.insert(1, &stream[5]), Inserted::Duplicate);
    // Packet 20 is overtaken by the next two and comes after its time.
    for packet in &stream[21..23] {
        bench.insert(1, packet);
        bench.get();
        bench.get();
    }
    bench.get();
    bench.get();
    assert_eq!(bench.insert(1, &stream[20]), Inserted::Late);
    assert_eq!(bench.insert(1, &(SeqNo(9), MediaTime(9), Bytes::from_static(&[3]))), Inserted::Invalid);
    assert_eq!(bench.insert(1, &(SeqNo(9), MediaTime(9), Bytes::new())), Inserted::Invalid);
    let stats = bench.jitter.statistics();
    assert_eq!((stats.packets, stats.lost, stats.late, stats.duplicates, stats.invalid), (23, 0, 1, 2, 2));
}

#[test]
fn a_sender_that_begins_anew_is_followed_at_once_and_strays_are_not() {
    let mut bench = Bench::new(JitterSettings::default());
    let stream = packets(steady(Ptime::Ms20), 200);
    bench.play(1, &stream[..30], 2);
    // A new SSRC.
    let operations = bench.play(2, &stream[..30], 2);
    assert!(operations[2..].iter().all(|operation| *operation >= Operation::Normal));
    assert_eq!(bench.insert(1, &stream[30]), Inserted::Invalid, "left over from the former source");
    // The same SSRC with new numbers: the second packet in a row proves it.
    let restarted: Vec<_> = stream
        .iter()
        .map(|(seq, time, payload)| (seq.add(20_000), MediaTime(time.0 ^ 1 << 31), payload.clone()))
        .collect();
    assert_eq!(bench.insert(2, &restarted[0]), Inserted::Invalid);
    bench.get();
    let operations = bench.play(2, &restarted[1..40], 2);
    assert!(operations[4..].iter().all(|operation| *operation >= Operation::Normal && *operation != Operation::Expand));
    let stats = bench.jitter.statistics();
    assert_eq!(stats.packets, 30 + 30 + 39);
    assert_eq!(stats.lost, 0);
}

#[test]
fn a_pause_of_the_sender_is_no_loss() {
    let settings = EncoderSettings { dtx: true, ..steady(Ptime::Ms20) };
    let mut encoder = Encoder::new(settings).unwrap();
    let mut bench = Bench::new(JitterSettings::default());
    let mut seq = SeqNo(0);
    let mut sent = 0;
    for frame in 0..1000 {
        // Two seconds of voice, three of a quiet room.
        let silent: Frame = std::array::from_fn(|i| ((i * 7919 + frame * 104_729) % 1000) as f32 * 1e-7);
        let input = if frame % 500 < 200 { voice(frame) } else { silent };
        if let Some(encoded) = encoder.encode(&input).unwrap() {
            sent += 1;
            bench.insert(1, &(seq, encoded.media_time, Bytes::copy_from_slice(encoded.payload)));
            seq = seq.next();
        }
        bench.get();
    }
    let stats = bench.jitter.statistics();
    assert!(sent < 300, "DTX saves packets: {sent}");
    assert_eq!((stats.concealed_samples, stats.lost, stats.late), (0, 0, 0));
    assert!(stats.target_delay_ms <= 10.0 && stats.playout_delay_ms <= 20.0, "{stats:?}");
}

#[test]
fn a_muted_microphone_is_no_loss_either() {
    let mut encoder = Encoder::new(steady(Ptime::Ms20)).unwrap();
    let mut bench = Bench::new(JitterSettings::default());
    let mut seq = SeqNo(0);
    for frame in 0..900 {
        if (300..600).contains(&frame) {
            encoder.skip_frame();
        } else if let Some(encoded) = encoder.encode(&voice(frame)).unwrap() {
            bench.insert(1, &(seq, encoded.media_time, Bytes::copy_from_slice(encoded.payload)));
            seq = seq.next();
        }
        bench.get();
    }
    let stats = bench.jitter.statistics();
    // Until the next packet nobody can know that this is no stall; then concealment has faded.
    assert!(stats.concealed_samples - stats.silent_concealed_samples <= 250 * 48, "{stats:?}");
    assert!(stats.lost == 0 && stats.playout_delay_ms <= 20.0, "{stats:?}");
}

/// Twenty seconds of speech without every tenth packet.
fn speech_with_losses(settings: JitterSettings) -> JitterStats {
    let encoder = EncoderSettings { expected_loss_percent: 20, ..steady(Ptime::Ms20) };
    let mut bench = Bench::new(settings);
    for (index, packet) in encoded(encoder, recording(2000)).iter().enumerate() {
        if index % 10 != 9 {
            bench.insert(1, packet);
        }
        bench.get();
        bench.get();
    }
    bench.jitter.statistics()
}

#[test]
fn in_band_fec_rebuilds_single_losses() {
    let settings = JitterSettings { min_target: SampleCount::from_ms(20), ..JitterSettings::default() };
    let stats = speech_with_losses(settings);
    // The last one may still come.
    assert_eq!(stats.lost, 98);
    // Pauses carry no FEC and need none.
    assert!(stats.fec_used >= 80, "{stats:?}");
    assert!(stats.concealed_samples < 20 * 960, "{stats:?}");
}

#[test]
fn the_target_waits_for_fec_when_losses_are_frequent() {
    let stats = speech_with_losses(JitterSettings::default());
    assert!((20.0..=30.0).contains(&stats.target_delay_ms), "{stats:?}");
    assert!(stats.fec_used >= 75, "{stats:?}");
}

#[test]
fn a_full_buffer_gives_up_the_oldest() {
    let mut bench = Bench::new(JitterSettings { max_packets: 10, ..JitterSettings::default() });
    let stream = packets(steady(Ptime::Ms20), 100);
    let results: Vec<_> = stream[..30].iter().map(|packet| bench.insert(1, packet)).collect();
    assert_eq!(results.iter().filter(|result| **result == Inserted::Overflow).count(), 20);
    assert_eq!(bench.jitter.statistics().waiting, 10);
    assert!((0..50).any(|_| bench.get().0 == Operation::Normal));
}

/// One thing that may happen to the buffer.
#[derive(Debug, Clone)]
enum Event {
    Packet { index: usize, ssrc: u32, damage: Option<usize> },
    Copy { index: usize, offset: u32 },
    Rubbish { seq: u16, time: u32, payload: Vec<u8> },
    Get { samples: usize },
    Limits { min: u32, max: u32 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0usize..60, 0u32..2, proptest::option::weighted(0.1, 0usize..100))
            .prop_map(|(index, ssrc, damage)| Event::Packet { index, ssrc, damage }),
        2 => (0usize..60, 0u32..1 << 14).prop_map(|(index, offset)| Event::Copy { index, offset }),
        1 => (any::<u16>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(seq, time, payload)| Event::Rubbish { seq, time, payload }),
        8 => prop_oneof![Just(480usize), Just(240), 0usize..=1000].prop_map(|samples| Event::Get { samples }),
        1 => (0u32..100_000, 0u32..100_000).prop_map(|(min, max)| Event::Limits { min, max }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn whatever_comes_every_frame_is_filled_and_the_buffer_stays_in_bound(
        events in proptest::collection::vec(event(), 1..300)
    ) {
        let settings = EncoderSettings { expected_loss_percent: 20, dred_ms: 100, ..steady(Ptime::Ms20) };
        let stream = packets(settings, 120);
        let mut jitter =
            JitterBuffer::new(JitterSettings { max_packets: 16, ..JitterSettings::default() }).unwrap();
        let start = Instant::now();
        let mut played = 0_u64;
        for event in events {
            let now = start + Duration::from_micros(played * 1000 / 48);
            let header = |ssrc, seq, media_time| PacketHeader { arrival: now, ssrc, seq, media_time };
            match event {
                Event::Packet { index, ssrc, damage } => {
                    let (seq, time, payload) = &stream[index];
                    let mut payload = payload.to_vec();
                    if let Some(at) = damage {
                        let at = at % payload.len();
                        payload[at] ^= 0x55;
                        payload.truncate(at + 1);
                    }
                    jitter.insert_packet(header(ssrc, *seq, *time), payload.into());
                }
                Event::Copy { index, offset } => {
                    let (seq, time, payload) = &stream[index];
                    jitter.insert_redundant(header(0, *seq, *time), SampleCount(offset), payload.clone());
                }
                Event::Rubbish { seq, time, payload } => {
                    jitter.insert_packet(header(0, SeqNo(seq), MediaTime(time)), payload.into());
                }
                Event::Get { samples } => {
                    let mut out = vec![f32::NAN; samples];
                    jitter.get_audio(now, &mut out);
                    prop_assert!(out.iter().all(|sample| sample.is_finite()));
                    played += samples as u64;
                }
                Event::Limits { min, max } => jitter.set_target_limits(SampleCount(min), SampleCount(max)),
            }
            let stats = jitter.statistics();
            prop_assert!(stats.waiting <= 16);
            prop_assert!(stats.concealed_samples <= stats.total_samples + 6000);
        }
    }
}
