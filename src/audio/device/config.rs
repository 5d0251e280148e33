//! Which of a device's formats to use.

use cpal::traits::DeviceTrait;
use cpal::{
    BufferSize, Device, Error, ErrorKind, SampleFormat, StreamConfig, SupportedBufferSize, SupportedStreamConfigRange,
};

use super::super::AudioRole;
use crate::base::SAMPLE_RATE_HZ;

/// The format in which a device is opened.
#[derive(Debug, Clone, Copy)]
pub struct Chosen {
    pub config: StreamConfig,
    pub format: SampleFormat,
}

/// `frames` per callback at 48 kHz; the device's own rate gets as many as last as long.
pub fn choose(device: &Device, role: AudioRole, frames: u32) -> Result<Chosen, Error> {
    if is_served(device) {
        return choose_served(device, role, frames);
    }
    let ranges: Vec<_> = match role {
        AudioRole::Microphone => device.supported_input_configs()?.collect(),
        AudioRole::Speaker | AudioRole::Ring => device.supported_output_configs()?.collect(),
    };
    let best = ranges.iter().max_by_key(|range| fitness(range, role)).ok_or(ErrorKind::UnsupportedConfig)?;
    let rate = rate_of(best);
    let config = StreamConfig {
        channels: best.channels(),
        sample_rate: rate,
        buffer_size: period(frames, rate, best.buffer_size()),
    };
    Ok(Chosen { config, format: best.sample_format() })
}

/// Whether a sound server stands before the device: it converts everything, so the device's own rate (ours resamples
/// better) and one channel (the server knows which of the device's channels are which) are asked for.
pub fn is_served(device: &Device) -> bool {
    device.id().is_ok_and(|id| id.host().name() == "PulseAudio")
}

fn choose_served(device: &Device, role: AudioRole, frames: u32) -> Result<Chosen, Error> {
    let own = match role {
        AudioRole::Microphone => device.default_input_config()?,
        AudioRole::Speaker | AudioRole::Ring => device.default_output_config()?,
    };
    let rate = own.sample_rate();
    let config = StreamConfig { channels: 1, sample_rate: rate, buffer_size: period(frames, rate, own.buffer_size()) };
    Ok(Chosen { config, format: SampleFormat::F32 })
}

/// A fixed size always: what a server chooses by itself lasts half a second.
fn period(frames: u32, rate_hz: u32, supported: &SupportedBufferSize) -> BufferSize {
    let wanted = (u64::from(frames) * u64::from(rate_hz)).div_ceil(u64::from(SAMPLE_RATE_HZ)) as u32;
    match supported {
        SupportedBufferSize::Range { min, max } => BufferSize::Fixed(wanted.max(*min).min(*max)),
        SupportedBufferSize::Unknown => BufferSize::Fixed(wanted),
    }
}

/// Rate first: resampling costs delay. Then a format without conversion, then the fewest channels that sound right.
fn fitness(range: &SupportedStreamConfigRange, role: AudioRole) -> (u8, u8, i32) {
    let rate = match rate_of(range) {
        SAMPLE_RATE_HZ => 3,
        44_100 => 2,
        rate if rate > SAMPLE_RATE_HZ => 1,
        _ => 0,
    };
    let format = match range.sample_format() {
        SampleFormat::F32 => 5,
        SampleFormat::I16 => 4,
        SampleFormat::I32 => 3,
        SampleFormat::I24 => 2,
        format if format.is_dsd() => 0,
        _ => 1,
    };
    let preferred = match role {
        AudioRole::Microphone => 1,
        AudioRole::Speaker | AudioRole::Ring => 2,
    };
    (rate, format, -(i32::from(range.channels()) - preferred).abs())
}

/// The rate nearest to ours, of those that devices really run at.
fn rate_of(range: &SupportedStreamConfigRange) -> u32 {
    [SAMPLE_RATE_HZ, 44_100]
        .into_iter()
        .find(|rate| (range.min_sample_rate()..=range.max_sample_rate()).contains(rate))
        .unwrap_or_else(|| SAMPLE_RATE_HZ.clamp(range.min_sample_rate(), range.max_sample_rate()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(channels: u16, rate: (u32, u32), format: SampleFormat) -> SupportedStreamConfigRange {
        SupportedStreamConfigRange::new(channels, rate.0, rate.1, SupportedBufferSize::Unknown, format)
    }

    fn best(ranges: &[SupportedStreamConfigRange], role: AudioRole) -> (u16, u32, SampleFormat) {
        let best = ranges.iter().max_by_key(|range| fitness(range, role)).unwrap();
        (best.channels(), rate_of(best), best.sample_format())
    }

    #[test]
    fn the_rate_counts_most_then_the_format_then_the_channels() {
        use AudioRole::{Microphone, Speaker};
        use SampleFormat::{F32, I16, U8};
        let card = [
            range(2, (44_100, 44_100), F32),
            range(2, (48_000, 48_000), I16),
            range(6, (48_000, 48_000), I16),
            range(1, (48_000, 96_000), U8),
        ];
        assert_eq!(best(&card, Microphone), (2, 48_000, I16));
        assert_eq!(best(&card, Speaker), (2, 48_000, I16));
        let plug: Vec<_> = (1..=8).map(|channels| range(channels, (4_000, 192_000), F32)).collect();
        assert_eq!(best(&plug, Microphone), (1, 48_000, F32));
        assert_eq!(best(&plug, Speaker), (2, 48_000, F32));
        assert_eq!(best(&[range(1, (8_000, 16_000), I16)], Microphone), (1, 16_000, I16));
    }

    #[test]
    fn a_period_lasts_as_long_at_every_rate_and_fits_the_device() {
        let any = SupportedBufferSize::Unknown;
        assert_eq!(period(480, 48_000, &any), BufferSize::Fixed(480));
        assert_eq!(period(480, 44_100, &any), BufferSize::Fixed(441));
        assert_eq!(period(240, 16_000, &any), BufferSize::Fixed(80));
        let narrow = SupportedBufferSize::Range { min: 512, max: 2_048 };
        assert_eq!(period(480, 48_000, &narrow), BufferSize::Fixed(512));
        assert_eq!(period(9_600, 48_000, &narrow), BufferSize::Fixed(2_048));
    }
}
