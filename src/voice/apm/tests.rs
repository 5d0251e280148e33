use super::*;

fn noise(seed: u32, peak: f32) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 8_388_608.0 - 1.0) * peak
    }
}

/// Every combination that does something.
fn combinations() -> impl Iterator<Item = ApmSettings> {
    let noises = [Noise::Off, Noise::Standard, Noise::Strong];
    noises.into_iter().flat_map(|noise| {
        [(false, false), (true, false), (false, true), (true, true)]
            .into_iter()
            .map(move |(echo_cancellation, gain_control)| ApmSettings { echo_cancellation, noise, gain_control })
    })
}

#[test]
fn with_everything_off_each_bit_passes() {
    let mut apm = Apm::new(ApmSettings::OFF);
    let odd: [f32; 6] = [-0.0, f32::MIN_POSITIVE / 2.0, 1.5, -7.0, f32::INFINITY, f32::from_bits(0x7fc0_1234)];
    let frame: Frame = std::array::from_fn(|i| odd[i % odd.len()]);
    let mut processed = frame;
    apm.process_render(&[0.5; FRAME_SAMPLES]);
    apm.process_capture(&mut processed);
    assert!(frame.iter().zip(&processed).all(|(before, after)| before.to_bits() == after.to_bits()));
}

#[test]
fn no_input_of_either_side_gets_out_of_range_or_stays() {
    for settings in combinations() {
        let mut apm = Apm::new(settings);
        let mut random = noise(7, 1.0);
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
            let mut frame: Frame = std::array::from_fn(|i| if i % 7 == 0 { broken } else { random() });
            apm.process_render(&frame);
            apm.process_capture(&mut frame);
            if settings != ApmSettings::OFF {
                assert!(frame.iter().all(|sample| sample.abs() <= 1.0), "{settings:?}");
            }
        }
        if settings == ApmSettings::OFF {
            continue;
        }
        let mut last = [1.0; FRAME_SAMPLES];
        for _ in 0..300 {
            last = [0.0; FRAME_SAMPLES];
            apm.process_render(&last.clone());
            apm.process_capture(&mut last);
        }
        assert!(last.iter().all(|sample| sample.abs() < 1e-3), "{settings:?}: {:?}", &last[..8]);
    }
}

/// The table in the module's documentation, measured with clicks.
#[test]
fn the_delays_are_those_of_the_table() {
    for (settings, expected_ms) in [
        (ApmSettings { gain_control: true, ..ApmSettings::OFF }, 0.0),
        (ApmSettings { noise: Noise::Standard, ..ApmSettings::OFF }, 7.0),
        (ApmSettings { noise: Noise::Strong, ..ApmSettings::OFF }, 10.0),
        (ApmSettings { echo_cancellation: true, ..ApmSettings::OFF }, 7.0),
        (ApmSettings::default(), 13.0),
        (ApmSettings { noise: Noise::Strong, ..ApmSettings::default() }, 17.0),
    ] {
        let mut apm = Apm::new(settings);
        let mut heard = vec![0.0_f32; CLICK_EVERY];
        for frame in 0..200 {
            // A click at the beginning of every tenth frame.
            let mut sound: Frame = [0.0; FRAME_SAMPLES];
            sound[0] = if frame % 10 == 0 { 0.3 } else { 0.0 };
            apm.process_render(&[0.0; FRAME_SAMPLES]);
            apm.process_capture(&mut sound);
            for (i, sample) in sound.iter().enumerate() {
                heard[(frame * FRAME_SAMPLES + i) % CLICK_EVERY] += sample.abs();
            }
        }
        let loudest = (0..CLICK_EVERY).max_by(|a, b| heard[*a].total_cmp(&heard[*b])).unwrap();
        let ms = loudest as f32 / 48.0;
        println!("{settings:?}: {ms:.2} ms");
        assert!((ms - expected_ms).abs() < 0.3, "{settings:?}: {ms:.2} ms, {expected_ms} in the table");
    }
}

const CLICK_EVERY: usize = 10 * FRAME_SAMPLES;
