//! The microphone's sound is encoded once, whatever the number of listeners.
//!
//! What the encoder does follows the listener with the worst path, but only down to a floor, so that one bad path does not
//! spoil the voice for all. Whoever is below it has a copy of their own, from a second encoder that rests otherwise.

use crate::voice::{Encoder, EncoderSettings, OpusError, Protection, Ptime};

/// Listeners beyond which packets are longer and voices take fewer bits: all of it goes out once for each.
const CROWD: usize = 6;
const PTIME_IN_CROWD: Ptime = Ptime::Ms20;
const BITRATE_IN_CROWD: u32 = 24_000;
/// What nobody has to put up with for the sake of somebody else's path.
const FLOOR_BPS: u32 = 14_000;
const FLOOR_PTIME: Ptime = Ptime::Ms20;
/// Loss that deep redundancy is made for at least.
const DRED_LOSS_PERCENT: u8 = 10;

pub struct Encoders {
    main: Encoder,
    poor: Encoder,
    /// Somebody is below the floor, and others are not.
    has_poor: bool,
}

impl Encoders {
    pub fn new(settings: EncoderSettings) -> Result<Self, OpusError> {
        Ok(Self { main: Encoder::new(settings)?, poor: Encoder::new(settings)?, has_poor: false })
    }

    /// The one that serves all, or nearly all.
    pub fn main(&mut self) -> &mut Encoder {
        &mut self.main
    }

    /// The one for those below the floor, if there are some.
    pub fn poor(&mut self) -> Option<&mut Encoder> {
        self.has_poor.then_some(&mut self.poor)
    }

    /// Whether who has this path gets the packets of [`Encoders::poor`].
    pub fn is_poor(&self, protection: &Protection) -> bool {
        self.has_poor && is_below_floor(protection)
    }

    /// Does what these paths need.
    pub fn follow(&mut self, paths: &[Protection]) {
        let below = paths.iter().filter(|path| is_below_floor(path)).count();
        let had_poor = std::mem::replace(&mut self.has_poor, (1..paths.len()).contains(&below));
        let crowded = paths.len() > CROWD;
        let of_main = paths.iter().filter(|path| !self.has_poor || !is_below_floor(path));
        apply(&mut self.main, of_main, crowded);
        if self.has_poor {
            if !had_poor {
                self.poor.restart_at(self.main.position());
            }
            apply(&mut self.poor, paths.iter().filter(|path| is_below_floor(path)), crowded);
        }
    }
}

fn is_below_floor(path: &Protection) -> bool {
    path.bitrate_bps < FLOOR_BPS || path.ptime > FLOOR_PTIME
}

fn apply<'a>(encoder: &mut Encoder, paths: impl Iterator<Item = &'a Protection> + Clone, crowded: bool) {
    let mut settings = *encoder.settings();
    if let Some(bitrate_bps) = paths.clone().map(|path| path.bitrate_bps).min() {
        settings.bitrate_bps = if crowded { bitrate_bps.min(BITRATE_IN_CROWD) } else { bitrate_bps };
    }
    if let Some(ptime) = paths.clone().map(|path| path.ptime).max() {
        settings.ptime = if crowded { ptime.max(PTIME_IN_CROWD) } else { ptime };
    }
    settings.expected_loss_percent = paths.map(|path| path.fec_for_percent).max().unwrap_or(0);
    settings.fec = settings.expected_loss_percent > 0;
    if settings.dred_ms > 0 {
        // libopus adds none where no loss is expected.
        settings.expected_loss_percent = settings.expected_loss_percent.max(DRED_LOSS_PERCENT);
    }
    if let Err(why) = encoder.apply(&settings) {
        tracing::debug!(%why, "the encoder keeps its settings");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::RedDistances;

    const GOOD: Protection =
        Protection { ptime: Ptime::Ms10, bitrate_bps: 48_000, red: RedDistances::NONE, fec_for_percent: 0 };
    const LOSSY: Protection = Protection { ptime: Ptime::Ms20, bitrate_bps: 16_000, ..GOOD };
    const NARROW: Protection = Protection { ptime: Ptime::Ms60, bitrate_bps: 8_000, ..GOOD };

    fn after(paths: &[Protection]) -> (Encoders, Option<EncoderSettings>) {
        let mut encoders = Encoders::new(EncoderSettings::default()).unwrap();
        encoders.follow(paths);
        let poor = encoders.poor().map(|poor| *poor.settings());
        (encoders, poor)
    }

    #[test]
    fn the_voice_follows_the_worst_path_down_to_a_floor_and_who_is_below_has_their_own() {
        let (mut encoders, poor) = after(&[GOOD, LOSSY, GOOD]);
        assert_eq!((encoders.main().settings().bitrate_bps, encoders.main().settings().ptime), (16_000, Ptime::Ms20));
        assert!(poor.is_none());
        let (mut encoders, poor) = after(&[GOOD, NARROW, GOOD]);
        assert_eq!((encoders.main().settings().bitrate_bps, encoders.main().settings().ptime), (48_000, Ptime::Ms10));
        assert_eq!(poor.map(|it| (it.bitrate_bps, it.ptime)), Some((8_000, Ptime::Ms60)));
        assert!(encoders.is_poor(&NARROW) && !encoders.is_poor(&GOOD));
        let (mut encoders, poor) = after(&[NARROW]);
        assert_eq!((encoders.main().settings().bitrate_bps, poor.is_none()), (8_000, true), "nobody is spoilt by it");
    }

    #[test]
    fn in_a_crowd_packets_are_longer_and_take_fewer_bits() {
        let (mut encoders, _) = after(&[GOOD; 7]);
        assert_eq!((encoders.main().settings().bitrate_bps, encoders.main().settings().ptime), (24_000, Ptime::Ms20));
        let (mut encoders, _) = after(&[GOOD; 6]);
        assert_eq!((encoders.main().settings().bitrate_bps, encoders.main().settings().ptime), (48_000, Ptime::Ms10));
    }
}
