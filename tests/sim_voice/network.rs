//! Made-up networks: for each packet sent, when it arrives. Seeded, so every run is the same.

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.unit() * (high - low)
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

/// What the network does to a packet sent `at_ms` after the beginning.
pub trait Network {
    /// Milliseconds on the way for a packet of so many bytes with all headers, `None` when lost. Packets may overtake
    /// each other.
    fn delay_ms(&mut self, at_ms: f64, bytes: usize, random: &mut Random) -> Option<f64>;
}

impl<F: FnMut(f64, &mut Random) -> Option<f64>> Network for F {
    fn delay_ms(&mut self, at_ms: f64, _bytes: usize, random: &mut Random) -> Option<f64> {
        self(at_ms, random)
    }
}

/// A narrow link with a queue in front of it, which drops what does not fit.
pub struct Bottleneck {
    pub bits_per_second: f64,
    pub queue_ms: f64,
    /// When everything in the queue will have left, ms.
    pub busy_until_ms: f64,
    /// When each packet came, and how long it waited in the queue, ms.
    pub waits: Vec<(f64, f64)>,
}

impl Bottleneck {
    pub fn new(bits_per_second: f64, queue_ms: f64) -> Self {
        Self { bits_per_second, queue_ms, busy_until_ms: 0.0, waits: Vec::new() }
    }

    pub fn mean_wait_ms(&self, from_ms: f64, to_ms: f64) -> f64 {
        let waits: Vec<f64> =
            self.waits.iter().filter(|(at, _)| (from_ms..to_ms).contains(at)).map(|(_, wait)| *wait).collect();
        waits.iter().sum::<f64>() / waits.len().max(1) as f64
    }
}

impl Network for &mut Bottleneck {
    fn delay_ms(&mut self, at_ms: f64, bytes: usize, _random: &mut Random) -> Option<f64> {
        let begins = self.busy_until_ms.max(at_ms);
        self.waits.push((at_ms, begins - at_ms));
        if begins - at_ms > self.queue_ms {
            return None;
        }
        self.busy_until_ms = begins + bytes as f64 * 8e3 / self.bits_per_second;
        Some(40.0 + self.busy_until_ms - at_ms)
    }
}

/// Constant delay, nothing lost.
pub fn clean() -> impl Network {
    |_: f64, _: &mut Random| Some(40.0)
}

/// Uniform jitter around 50 ms, each packet for itself: packets overtake each other.
pub fn jitter(plus_minus_ms: f64) -> impl Network {
    move |_: f64, random: &mut Random| Some(50.0 + random.between(-plus_minus_ms, plus_minus_ms))
}

/// Uniform jitter of a queue: packets stay in order.
pub fn ordered_jitter(plus_minus_ms: f64) -> impl Network {
    let mut last_arrival = 0.0_f64;
    move |at: f64, random: &mut Random| {
        last_arrival = last_arrival.max(at + 50.0 + random.between(-plus_minus_ms, plus_minus_ms));
        Some(last_arrival - at)
    }
}

/// Queueing delay with an exponential tail, as on a busy wireless network.
pub fn exponential_jitter(mean_ms: f64) -> impl Network {
    move |_: f64, random: &mut Random| Some(40.0 - mean_ms * (1.0 - random.unit()).ln())
}

/// Each packet lost for itself.
pub fn random_loss(share: f64) -> impl Network {
    move |_: f64, random: &mut Random| (!random.chance(share)).then_some(40.0)
}

/// Losses in bursts whose lengths are geometric (Gilbert's model), of so many packets on average.
pub fn bursts(share: f64, mean_length: f64) -> impl Network {
    let mut losing = false;
    move |_: f64, random: &mut Random| {
        let ends = 1.0 / mean_length;
        let begins = ends * share / (1.0 - share);
        losing = if losing { !random.chance(ends) } else { random.chance(begins) };
        (!losing).then_some(40.0)
    }
}

/// Nothing gets through for `stall_ms` every `period_ms`, then everything at once, until `until_ms`.
pub fn stalls(stall_ms: f64, period_ms: f64, until_ms: f64) -> impl Network {
    move |at: f64, _: &mut Random| {
        let phase = at % period_ms;
        let stalled = at < until_ms && at > period_ms / 2.0 && phase < stall_ms;
        Some(40.0 + if stalled { stall_ms - phase } else { 0.0 })
    }
}

/// One network, then, from `at_ms` on, another.
pub fn then(first: impl Network, at_ms: f64, second: impl Network) -> impl Network {
    Then { first, at_ms, second }
}

struct Then<A, B> {
    first: A,
    at_ms: f64,
    second: B,
}

impl<A: Network, B: Network> Network for Then<A, B> {
    fn delay_ms(&mut self, at_ms: f64, bytes: usize, random: &mut Random) -> Option<f64> {
        if at_ms < self.at_ms {
            self.first.delay_ms(at_ms, bytes, random)
        } else {
            self.second.delay_ms(at_ms, bytes, random)
        }
    }
}

/// Losses as recorded: one digit per packet, 1 is lost; repeats when it is over.
pub fn recorded_loss(trace: &str) -> impl Network {
    let lost: Vec<bool> = trace.bytes().filter(u8::is_ascii_digit).map(|digit| digit == b'1').collect();
    let mut next = 0;
    move |_: f64, _: &mut Random| {
        let is_lost = lost[next % lost.len()];
        next += 1;
        (!is_lost).then_some(40.0)
    }
}
