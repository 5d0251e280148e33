//! What a sender does about loss and narrow links: one table, chosen by measurement and driven by what the receiver
//! reports, within what [`congestion`](super::congestion) allows.
//!
//! Opus repeats the packet before at low quality (in-band FEC, LBRR), packets can carry whole copies of earlier ones
//! (RED, RFC 2198), and a lower bit rate pays for more copies. `TABLE` says which of them wins at which loss; the figures
//! are PESQ-WB of a minute of speech over recorded losses, printed by `cargo test --test sim_voice -- --nocapture`.

use super::congestion::Congestion;
use super::encoder::Ptime;
use super::packetizer::RedDistances;

/// How the sender's packets fared, as their receiver counts them, over about a second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PathReport {
    /// Packets sent in that time: few in a pause, when a report says little. The sender's own figure.
    pub packets: u32,
    /// Packets lost before any repair (RFC 3550 §6.4.1), 0..=1.
    pub fraction_lost: f32,
    /// Packets lost in a row, mean; 0 when none was lost.
    pub mean_burst: f32,
    /// How much later than the fastest packet of the last half minute the fastest of the last moments came, ms.
    pub queue_ms: f32,
    /// What was sent in that time with UDP and IP headers, bits per second. The sender's own figure.
    pub sent_bps: f32,
}

impl PathReport {
    /// The share of lost packets, within 0..=1 whatever was reported.
    pub(super) fn lost(&self) -> f32 {
        if self.fraction_lost.is_finite() { self.fraction_lost.clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// What goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    pub ptime: Ptime,
    /// Of the voice itself; each copy costs as much again.
    pub bitrate_bps: u32,
    pub red: RedDistances,
    /// Loss that in-band FEC prepares for, percent; 0 switches it off.
    pub fec_for_percent: u8,
}

/// What the user allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResilienceSettings {
    /// `None`: 10 ms where the path is good, 20 ms where it loses packets, more where it is narrow.
    pub ptime: Option<Ptime>,
    /// Bit rate of the voice while nothing is lost, and at most, in packets of 20 ms. Shorter ones cost more bits for the
    /// same quality, and get them: see [`of_length`].
    pub bitrate_bps: u32,
    /// How many copies each packet carries; `None` lets the table decide.
    pub copies: Option<u8>,
    pub fec: bool,
}

/// Follows the loss of one peer.
#[derive(Debug, Clone)]
pub struct Resilience {
    settings: ResilienceSettings,
    /// Smoothed: rises within two seconds of speech, falls within half a minute.
    loss: f32,
    /// Seconds of speech that were reported, and the shares of them that were lost and that began a burst: decayed sums.
    /// Until more is known losses are taken for bursts, whose remedy is the cheaper one.
    reported: f32,
    lost_sum: f32,
    burst_sum: f32,
    level: usize,
    congestion: Congestion,
}

/// One line of the table.
struct Level {
    /// Loss from which on it holds, and below which the line before holds again.
    from: f32,
    until: f32,
    /// Where packets are lost one by one, and where they are lost in bursts.
    scattered: Remedy,
    bursty: Remedy,
}

/// Bit rate of the voice, at most the user's, and how many packets back the copies reach.
struct Remedy(u32, &'static [u8]);

/// Voice and copies together stay below 50 kb/s where losses come in bursts, for those are queues that overflow, and
/// more bits would lengthen them; radio loses what it loses, and may take 70. At the same bits copies beat in-band FEC,
/// deep redundancy (DRED), and their mixtures everywhere, so those are for who forbids copies. At 20 kb/s and less the
/// voice is coded up to 8 kHz only, which is worth more to the copies' price than the highs are: 16 kb/s so sound as
/// 24 kb/s with them (PESQ-WB 4.09 and 4.13).
///
/// PESQ-WB, random losses of 2, 5 and 20 %: 3.59, 3.00, 1.64 without, 4.12, 4.16, 4.03 by the table; recorded bursts of
/// 10, 20, 30 %: 2.5, 1.8, 1.4 without, 3.3, 3.1, 2.8 by the table.
const TABLE: [Level; 4] = [
    Level { from: 0.0, until: 0.0, scattered: Remedy(u32::MAX, &[]), bursty: Remedy(u32::MAX, &[]) },
    Level { from: 0.01, until: 0.005, scattered: Remedy(23_000, &[1]), bursty: Remedy(15_000, &[1, 2]) },
    Level { from: 0.13, until: 0.087, scattered: Remedy(16_000, &[1, 2, 3]), bursty: Remedy(15_000, &[1, 2]) },
    Level { from: 0.33, until: 0.22, scattered: Remedy(11_500, &[1, 2, 3]), bursty: Remedy(15_000, &[1, 3]) },
];
/// What goes out until a path has shown what it is, so that the first words are heard on any. In bursts one copy from
/// further back is worth two from near.
const UNKNOWN: Remedy = Remedy(28_000, &[2]);
/// What goes out while more than before is tried.
const PROBE: Remedy = Remedy(u32::MAX, &[1, 2]);
/// Seconds of speech after which a path is known.
const KNOWN: f32 = 1.5;
/// Packets of a second of speech, and the seconds that a report counts for at most, whatever it claims.
const PACKETS: f32 = 50.0;
const MOST_SECONDS: f32 = 2.0;
/// Part that stays of the distance between the smoothed loss and a higher one, and a lower one, after a second.
const ATTACK: f32 = 0.3;
const DECAY: f32 = 0.88;
/// What is left of a second's losses after another one.
const BURST_MEMORY: f32 = 0.93;
/// Losses are bursts when they are so much longer than chance makes them.
const BURSTY: f32 = 1.1;

impl Resilience {
    pub fn new(settings: ResilienceSettings) -> Self {
        Self {
            settings,
            loss: 0.0,
            reported: 0.0,
            lost_sum: 0.1,
            burst_sum: 0.05,
            level: 0,
            congestion: Congestion::new(),
        }
    }

    /// What to do after this report.
    pub fn update(&mut self, report: &PathReport) -> Protection {
        self.congestion.update(report);
        if !self.congestion.loses_by_itself() {
            self.learn(report);
        }
        self.protection()
    }

    fn learn(&mut self, report: &PathReport) {
        let seconds = (report.packets as f32 / PACKETS).min(MOST_SECONDS);
        let lost = report.lost();
        let stays = if lost > self.loss { ATTACK } else { DECAY };
        self.loss = lost + (self.loss - lost) * stays.powf(seconds);
        let bursts = if report.mean_burst >= 1.0 { lost / report.mean_burst } else { 0.0 };
        let memory = BURST_MEMORY.powf(seconds);
        self.reported = self.reported * memory + seconds;
        self.lost_sum = self.lost_sum * memory + lost * seconds;
        self.burst_sum = self.burst_sum * memory + bursts * seconds;
        while TABLE.get(self.level + 1).is_some_and(|next| self.loss >= next.from) {
            self.level += 1;
        }
        while self.level > 0 && self.loss < TABLE[self.level].until {
            self.level -= 1;
        }
    }

    /// What to do now.
    pub fn protection(&self) -> Protection {
        let (fixed, limit_bps) = (self.settings.ptime, self.congestion.limit_bps());
        let (is_good, wanted) = (self.is_good(), self.wanted(self.remedy()));
        let fitting = fit(wanted, fixed, limit_bps);
        if is_good && self.congestion.is_trying() && fitting != fit(wanted, fixed, None) {
            // Copies fill what a little more than what passes for certain leaves, and mend what that loses.
            return fit(self.wanted(&PROBE), fixed, limit_bps);
        }
        fitting
    }

    /// Whether losses come in a row more often than chance would have it; independent ones of a share p have a mean
    /// length of 1 / (1 − p).
    fn is_bursty(&self) -> bool {
        let share = self.lost_sum / self.reported.max(1.0);
        self.lost_sum * (1.0 - share) >= self.burst_sum * BURSTY
    }

    /// Known, and next to nothing is lost.
    fn is_good(&self) -> bool {
        self.level == 0 && self.reported >= KNOWN
    }

    /// What the loss alone calls for.
    fn remedy(&self) -> &'static Remedy {
        let level = &TABLE[self.level];
        match self.level {
            0 if !self.is_good() => &UNKNOWN,
            _ if self.is_bursty() => &level.bursty,
            _ => &level.scattered,
        }
    }

    /// A remedy as far as the user allows it.
    fn wanted(&self, Remedy(bitrate_bps, by_table): &Remedy) -> Protection {
        let red = match self.settings.copies {
            None => RedDistances::new(by_table),
            Some(copies) => RedDistances::new(&[1, 2, 3, 4][..usize::from(copies.min(4))]),
        };
        let copies_forbidden = self.settings.copies == Some(0);
        let fec = self.settings.fec && copies_forbidden && self.level > 0;
        let bitrate_bps = if copies_forbidden { self.settings.bitrate_bps } else { *bitrate_bps };
        let by_loss = if by_table.is_empty() { Ptime::Ms10 } else { Ptime::Ms20 };
        Protection {
            ptime: self.settings.ptime.unwrap_or(by_loss),
            bitrate_bps: bitrate_bps.min(self.settings.bitrate_bps),
            red,
            fec_for_percent: if fec { (self.loss * 100.0).ceil().clamp(1.0, 30.0) as u8 } else { 0 },
        }
    }
}

/// As much of `wanted` as `limit_bps` has room for: first packets get longer than 10 ms, then the voice takes fewer
/// bits, then copies go, then packets get longer still, for half of what a narrow link carries are headers.
fn fit(wanted: Protection, fixed: Option<Ptime>, limit_bps: Option<u32>) -> Protection {
    let Some(limit_bps) = limit_bps else {
        return Protection { bitrate_bps: of_length(wanted.bitrate_bps, wanted.ptime), ..wanted };
    };
    let within = |ptime: Ptime, copies: usize| -> Option<Protection> {
        let packet_bytes = HEADER_BYTES + copies as u32 * RED_HEADER_BYTES;
        let headers_bps = packet_bytes * 8 * 1000 / ptime.ms();
        let bitrate_bps = limit_bps.saturating_sub(headers_bps) / (1 + copies as u32);
        let most = of_length(wanted.bitrate_bps, ptime);
        let enough = match ptime {
            Ptime::Ms5 | Ptime::Ms10 if fixed.is_none() => most,
            Ptime::Ms5 | Ptime::Ms10 | Ptime::Ms20 => ENOUGH_BPS.min(most),
            Ptime::Ms40 | Ptime::Ms60 => SCARCE_BPS.min(most),
        };
        let red = wanted.red.nearest(copies);
        (bitrate_bps >= enough).then(|| Protection { ptime, red, bitrate_bps: bitrate_bps.min(most), ..wanted })
    };
    let lengths = [Ptime::Ms5, Ptime::Ms10, Ptime::Ms20, Ptime::Ms40, Ptime::Ms60];
    let allowed = |ptime: &Ptime| fixed.map_or(*ptime >= wanted.ptime, |fixed| *ptime == fixed);
    let mut choices = lengths.into_iter().filter(allowed).flat_map(|ptime| {
        let copies = (0..=wanted.red.depth()).rev();
        copies.filter_map(move |copies| within(ptime, copies))
    });
    let least = Protection {
        ptime: fixed.unwrap_or(Ptime::Ms60),
        bitrate_bps: LEAST_BPS.min(wanted.bitrate_bps),
        red: RedDistances::NONE,
        ..wanted
    };
    choices.next().unwrap_or(least)
}

/// What packets of this length need for the quality that this bit rate has in packets of 20 ms, with the least delay:
/// PESQ-WB of two voices 4.42 and 4.29 at 32 kb/s; packets of 10 ms have 4.45 and 4.46 at 64, those of 5 ms 4.49 and 4.52.
const fn of_length(bitrate_bps: u32, ptime: Ptime) -> u32 {
    match ptime {
        Ptime::Ms5 | Ptime::Ms10 => bitrate_bps.saturating_mul(2),
        Ptime::Ms20 | Ptime::Ms40 | Ptime::Ms60 => bitrate_bps,
    }
}

/// IPv4, UDP, RTP and the tag of SRTP.
pub const HEADER_BYTES: u32 = 54;
/// What each copy adds (RFC 2198 §3).
const RED_HEADER_BYTES: u32 = 4;
/// Below this, and below that on a link where nothing better fits, the voice suffers more from the coding than from
/// what else could be done.
const ENOUGH_BPS: u32 = 14_000;
const SCARCE_BPS: u32 = 10_000;
const LEAST_BPS: u32 = 8_000;

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: ResilienceSettings = ResilienceSettings { ptime: None, bitrate_bps: 32_000, copies: None, fec: true };

    fn after(settings: ResilienceSettings, reports: impl IntoIterator<Item = PathReport>) -> Protection {
        let mut resilience = Resilience::new(settings);
        let mut protection = resilience.protection();
        reports.into_iter().for_each(|report| protection = resilience.update(&report));
        protection
    }

    fn loss(fraction_lost: f32, mean_burst: f32) -> PathReport {
        PathReport { packets: 50, fraction_lost, mean_burst, ..PathReport::default() }
    }

    #[test]
    fn a_clean_path_carries_nothing_but_the_voice() {
        let clean = after(FREE, std::iter::repeat_n(loss(0.0, 0.0), 10));
        assert_eq!(
            clean,
            Protection { ptime: Ptime::Ms10, bitrate_bps: 64_000, red: RedDistances::NONE, fec_for_percent: 0 }
        );
    }

    #[test]
    fn heavy_loss_is_answered_within_three_reports_and_forgotten_within_half_a_minute() {
        let mut resilience = Resilience::new(FREE);
        resilience.update(&loss(0.2, 1.2));
        resilience.update(&loss(0.2, 1.2));
        assert!(resilience.update(&loss(0.2, 1.2)).red.depth() >= 2);
        let seconds = (1..).find(|_| resilience.update(&loss(0.0, 0.0)).red == RedDistances::NONE).unwrap();
        assert!((10..30).contains(&seconds), "{seconds} s");
    }

    #[test]
    fn a_loss_about_a_threshold_does_not_make_it_flutter() {
        let mut resilience = Resilience::new(FREE);
        let answers: Vec<_> = (0..60).map(|i| resilience.update(&loss([0.12, 0.14][i % 2], 1.0)).red).collect();
        assert!(answers[10..].windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    }

    #[test]
    fn copies_are_spread_over_bursts() {
        let bursts = after(FREE, std::iter::repeat_n(loss(0.18, 4.0), 10));
        assert_eq!((bursts.red, bursts.ptime), (RedDistances::new(&[1, 2]), Ptime::Ms20));
        let longer = after(FREE, std::iter::repeat_n(loss(0.4, 4.0), 10));
        assert_eq!(longer.red, RedDistances::new(&[1, 3]));
    }

    #[test]
    fn the_user_has_the_last_word() {
        let heavy = || std::iter::repeat_n(loss(0.1, 1.0), 20);
        let without = after(ResilienceSettings { copies: Some(0), ..FREE }, heavy());
        assert_eq!((without.red, without.bitrate_bps, without.fec_for_percent), (RedDistances::NONE, 32_000, 10));
        let neither = after(ResilienceSettings { copies: Some(0), fec: false, ..FREE }, heavy());
        assert_eq!(neither.fec_for_percent, 0);
        let always = Resilience::new(ResilienceSettings { copies: Some(1), ..FREE }).protection();
        assert_eq!(always.red, RedDistances::new(&[1]));
        let generous = after(ResilienceSettings { bitrate_bps: 64_000, ..FREE }, [loss(0.0, 0.0), loss(0.0, 0.0)]);
        assert_eq!((generous.ptime, generous.bitrate_bps), (Ptime::Ms10, 128_000));
        let narrow = after(ResilienceSettings { bitrate_bps: 12_000, ..FREE }, heavy());
        assert_eq!(narrow.bitrate_bps, 12_000);
    }

    #[test]
    fn an_unknown_path_is_not_trusted_and_a_pause_says_little_of_it() {
        let pause = PathReport { packets: 2, ..loss(0.0, 0.0) };
        let silent = after(FREE, std::iter::repeat_n(pause, 10));
        assert_eq!((silent.ptime, silent.red), (Ptime::Ms20, RedDistances::new(&[2])));
        let one_of_two = after(FREE, [loss(0.0, 0.0), loss(0.0, 0.0), PathReport { packets: 2, ..loss(0.5, 1.0) }]);
        assert_eq!(one_of_two.red, RedDistances::new(&[1, 2]), "a loss, but not one of half");
        let claimed = PathReport { packets: u32::MAX, ..loss(0.0, 0.0) };
        assert_eq!(after(FREE, [claimed]).ptime, Ptime::Ms10);
    }

    #[test]
    fn packets_are_short_only_where_nothing_is_lost() {
        assert_eq!(after(FREE, std::iter::repeat_n(loss(0.0, 0.0), 2)).ptime, Ptime::Ms10);
        assert_eq!(after(FREE, std::iter::repeat_n(loss(0.05, 1.0), 5)).ptime, Ptime::Ms20);
        let fixed = ResilienceSettings { ptime: Some(Ptime::Ms40), ..FREE };
        assert_eq!(after(fixed, [loss(0.0, 0.0)]).ptime, Ptime::Ms40);
    }

    #[test]
    fn what_goes_out_fits_the_link() {
        let short = Protection { ptime: Ptime::Ms10, bitrate_bps: 32_000, red: RedDistances::NONE, fec_for_percent: 0 };
        let loud = Protection { ptime: Ptime::Ms20, red: RedDistances::new(&[1, 3]), ..short };
        let on = |wanted: Protection, limit: u32| {
            let fitting = fit(wanted, None, Some(limit));
            let packet_bits = 8 * (HEADER_BYTES + RED_HEADER_BYTES * fitting.red.depth() as u32);
            let bps = packet_bits * 1000 / fitting.ptime.ms() + fitting.bitrate_bps * (1 + fitting.red.depth() as u32);
            assert!(bps <= limit, "{bps} of {limit}: {fitting:?}");
            (fitting.ptime.ms(), fitting.bitrate_bps / 1000, fitting.red.depth())
        };
        assert_eq!(on(short, 200_000), (10, 64, 0));
        assert_eq!(on(short, 100_000), (20, 32, 0));
        assert_eq!(on(short, 60_000), (20, 32, 0));
        assert_eq!(on(short, 50_000), (20, 28, 0));
        assert_eq!(on(short, 30_000), (40, 19, 0));
        assert_eq!(on(short, 18_000), (60, 10, 0));
        assert_eq!(on(loud, 200_000), (20, 32, 2));
        assert_eq!(on(loud, 70_000), (20, 15, 2));
        assert_eq!(on(loud, 60_000), (20, 18, 1));
        let fixed = fit(short, Some(Ptime::Ms20), Some(20_000));
        assert_eq!((fixed.ptime, fixed.bitrate_bps), (Ptime::Ms20, LEAST_BPS));
        let short = fit(short, Some(Ptime::Ms10), Some(70_000));
        assert_eq!((short.ptime, short.bitrate_bps), (Ptime::Ms10, 26_800), "fewer bits, not the fewest");
        let shortest = fit(Protection { ptime: Ptime::Ms5, ..short }, Some(Ptime::Ms5), Some(120_000));
        assert_eq!((shortest.ptime, shortest.bitrate_bps), (Ptime::Ms5, 33_600));
    }

    #[test]
    fn nonsense_from_the_network_does_no_harm() {
        let report = loss(f32::INFINITY, f32::INFINITY);
        let endless = PathReport { queue_ms: f32::NAN, sent_bps: f32::INFINITY, ..loss(f32::NAN, f32::NAN) };
        let protection = after(FREE, [report, endless, loss(-1.0, -3.0), loss(0.0, 0.0)]);
        assert!(protection.bitrate_bps <= 64_000);
    }
}
