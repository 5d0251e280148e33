//! When to try again.

use std::time::Duration;

/// Doubles from `first` to `longest`, spread by up to a quarter: many clients that lose one super-peer must not come
/// back together. `random` is any number.
pub(super) fn backoff(failures: u32, first: Duration, longest: Duration, random: u64) -> Duration {
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
    doubled - doubled.mul_f64((random % 256) as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_longest() {
        let (first, longest) = (Duration::from_secs(30), Duration::from_secs(900));
        assert_eq!(backoff(1, first, longest, 0), first);
        assert_eq!(backoff(2, first, longest, 0), first * 2);
        assert_eq!(backoff(60, first, longest, 0), longest);
        let spread = backoff(1, first, longest, 255);
        assert!(spread < first && spread > first * 3 / 4 - Duration::from_millis(100));
    }
}
