//! The voice path must not touch the heap once it is built: the voice thread would wait for the allocator's locks.

use std::time::{Duration, Instant};

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use bytes::Bytes;
use twocans::base::{FRAME_SAMPLES, Frame, IncomingPacket, OutgoingPacket, SeqNo};
use twocans::voice::{
    Apm, ApmSettings, Encoder, EncoderSettings, LevelMeter, Mixer, Noise, Operation, Packetizer, Ptime, Receiver,
    ReceiverSettings, RedDistances, Resampler,
};

/// Aborts the test on any allocation inside `assert_no_alloc`.
#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

fn voice(frame: usize) -> Frame {
    std::array::from_fn(|i| {
        let t = (frame * FRAME_SAMPLES + i) as f32 / 48_000.0;
        let syllable = (t * 3.0 * std::f32::consts::TAU).sin().max(0.0);
        (1..8).map(|k| (t * 120.0 * k as f32 * std::f32::consts::TAU).sin() / k as f32).sum::<f32>() * 0.2 * syllable
    })
}

/// Everything that can happen to a stream: loss, bursts, lateness, duplicates, reordering, pauses.
#[test]
fn the_voice_path_does_not_allocate() {
    // The library refuses to work without the check; a release build would skip it silently.
    const { assert!(cfg!(debug_assertions), "run this test in the dev profile") }
    let settings = EncoderSettings { dred_ms: 100, expected_loss_percent: 20, ..EncoderSettings::default() };
    let mut encoder = Encoder::new(settings).unwrap();
    let mut packetizer = Packetizer::new(SeqNo(65_530));
    let mut receiver = Receiver::new(ReceiverSettings { max_packets: 20, ..ReceiverSettings::default() }).unwrap();
    let (mut mixer, mut level) = (Mixer::new(), LevelMeter::new());
    let mut capture = Resampler::new(44_100, 48_000).unwrap();
    let mut playback = Resampler::adjustable(48_000, 16_000).unwrap();

    let start = Instant::now();
    let mut packets: Vec<(usize, IncomingPacket)> = Vec::with_capacity(64);
    let mut seen = [0_usize; 7];
    for tick in 0..3000_usize {
        let microphone = if tick % 700 > 500 { [0.0; FRAME_SAMPLES] } else { voice(tick) };
        // Payloads are the stated exception: made outside, as the link's are.
        let mut encoded = [0_u8; 4000];
        let made = assert_no_alloc(|| {
            if tick == 1000 {
                encoder.apply(&EncoderSettings { ptime: Ptime::Ms10, ..settings }).unwrap();
            }
            let frame = encoder.encode(&microphone).unwrap()?;
            encoded[..frame.payload.len()].copy_from_slice(frame.payload);
            Some((frame.number, frame.media_time, frame.samples, frame.marker, frame.payload.len()))
        });
        if tick == 1500 {
            packetizer.set_red(RedDistances::new(&[1, 3]), 111);
        }
        if let Some((number, media_time, samples, marker, len)) = made {
            let payload = &encoded[..len];
            let frame = twocans::voice::EncodedFrame { number, media_time, samples, marker, payload };
            let out = packetizer.packetize(&frame);
            let arrival = tick + [0, 0, 3, 0, 9, 1, 0][tick % 7] + 20_usize.saturating_sub(tick % 400);
            if tick % 11 != 0 && !(2000..2030).contains(&tick) {
                packets.push((arrival, incoming(&out, start, arrival)));
            }
            if tick % 50 == 0 {
                packets.push((arrival + 2, incoming(&out, start, arrival + 2)));
            }
        }
        while let Some(index) = packets.iter().position(|(arrival, _)| *arrival <= tick) {
            let (_, packet) = packets.swap_remove(index);
            // Dropping a payload may free it, so a second handle outlives the check.
            let handle: Bytes = packet.payload.clone();
            assert_no_alloc(|| receiver.insert_packet(packet));
            #[allow(clippy::mem_forget, reason = "the payload must not be freed inside a later check")]
            std::mem::forget(handle);
        }
        assert_no_alloc(|| {
            let (mut voice, mut mixed, mut device) = ([0.0; FRAME_SAMPLES], [0.0; FRAME_SAMPLES], [0.0; 160]);
            let operation = receiver.get_audio(start + Duration::from_millis(10 * tick as u64), &mut voice);
            seen[operation as usize] += 1;
            mixer.mix([(&voice[..], 1.0), (&microphone[..], 0.5)].into_iter(), &mut mixed);
            level.push(&mixed);
            playback.push(&mixed);
            playback.set_drift_ppm((tick % 200) as f64);
            while playback.pull(&mut device) {}
            capture.push(&mixed[..441]);
            while capture.pull(&mut mixed) {}
            let _ = receiver.statistics();
        });
    }
    for operation in
        [Operation::Normal, Operation::Accelerate, Operation::PreemptiveExpand, Operation::Merge, Operation::Expand]
    {
        assert!(seen[operation as usize] > 0, "{operation:?} was not tried: {seen:?}");
    }
    assert!(receiver.statistics().redundant_used > 0);
}

/// All but the echo canceller, which allocates by design of its port (`tests/apm_allocations.rs`). Of that, taking note
/// of what is played is checked here.
#[test]
fn noise_and_gain_do_not_allocate() {
    for noise in [Noise::Off, Noise::Standard, Noise::Strong] {
        for gain_control in [false, true] {
            let mut apm = Apm::new(ApmSettings { noise, gain_control, ..ApmSettings::OFF });
            // RNNoise plans its transforms at a thread's first frame.
            apm.process_capture(&mut voice(0));
            for tick in 1..1000 {
                let mut frame = if tick % 300 > 200 { [0.0; FRAME_SAMPLES] } else { voice(tick) };
                assert_no_alloc(|| apm.process_capture(&mut frame));
            }
        }
    }
    let mut echo = Apm::new(ApmSettings { echo_cancellation: true, ..ApmSettings::OFF });
    for tick in 0..1000 {
        let frame = voice(tick);
        assert_no_alloc(|| echo.process_render(&frame));
    }
}

fn incoming(packet: &OutgoingPacket, start: Instant, arrival_tick: usize) -> IncomingPacket {
    IncomingPacket {
        arrival: start + Duration::from_millis(10 * arrival_tick as u64),
        ssrc: 1,
        seq: packet.seq,
        media_time: packet.media_time,
        marker: packet.marker,
        kind: packet.kind,
        payload: packet.payload.clone(),
    }
}
