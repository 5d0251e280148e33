//! Moments as people say them.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::ui::words;

/// The time of day where the user is.
#[derive(Debug, Clone)]
pub struct Clock {
    now: Zoned,
}

impl Clock {
    /// By this machine's clock and time zone.
    pub fn now() -> Self {
        Self { now: Zoned::now() }
    }

    #[cfg(test)]
    pub fn at(unix_s: i64) -> Self {
        Self { now: Timestamp::from_second(unix_s).expect("a moment").to_zoned(TimeZone::UTC) }
    }

    /// "2026-11-23".
    pub fn today(&self) -> String {
        self.now.date().to_string()
    }

    /// The day of a moment, seconds since the Unix epoch.
    pub fn date(&self, unix_s: i64) -> Date {
        self.moment(unix_s).date()
    }

    /// "14:05".
    pub fn time(&self, unix_s: i64) -> String {
        self.moment(unix_s).strftime("%H:%M").to_string()
    }

    /// "14:05", at this moment.
    pub fn time_now(&self) -> String {
        self.now.strftime("%H:%M").to_string()
    }

    /// As short as it is clear: "14:05" today, then "Yesterday", "Mon", "3 Mar", "3 Mar 2024".
    pub fn brief(&self, unix_s: i64) -> String {
        let then = self.moment(unix_s);
        match self.days_since(then.date()) {
            i32::MIN..=0 => self.time(unix_s),
            1 => words::YESTERDAY.into(),
            2..=6 => words::short_weekday(weekday(then.date())).to_owned(),
            _ => words::short_day_of_month(part(then.day()), part(then.month()), self.other_year(then.date())),
        }
    }

    /// The heading of a day: "Today", "Yesterday", "Monday, 3 March", "3 March 2024".
    pub fn day(&self, date: Date) -> String {
        match self.days_since(date) {
            i32::MIN..=0 => words::TODAY.into(),
            1 => words::YESTERDAY.into(),
            _ => match self.other_year(date) {
                None => words::day_heading(weekday(date), part(date.day()), part(date.month())),
                year => words::day_of_month(part(date.day()), part(date.month()), year),
            },
        }
    }

    /// Its year, where that is not this one.
    fn other_year(&self, date: Date) -> Option<i16> {
        Some(date.year()).filter(|year| *year != self.now.year())
    }

    fn days_since(&self, date: Date) -> i32 {
        date.until(self.now.date()).map_or(0, |span| span.get_days())
    }

    /// The epoch for a moment that no calendar knows: a file may hold anything.
    fn moment(&self, unix_s: i64) -> Zoned {
        Timestamp::from_second(unix_s).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(self.zone())
    }

    fn zone(&self) -> TimeZone {
        self.now.time_zone().clone()
    }
}

/// 1 is Monday.
fn weekday(date: Date) -> u8 {
    part(date.weekday().to_monday_one_offset())
}

/// The calendar counts days and months from 1.
fn part(number: i8) -> u8 {
    number.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    /// Monday, 23 November 2026, 10:45 UTC.
    const NOW: i64 = 1_795_430_700;

    #[test]
    fn moments_are_as_short_as_they_are_clear() {
        let clock = Clock::at(NOW);
        let said: Vec<String> = [0, 1, 3, 30, 400].map(|days| clock.brief(NOW - days * DAY)).into();
        assert_eq!(said, ["10:45", "Yesterday", "Fri", "24 Oct", "19 Oct 2025"]);
        let days: Vec<String> = [0, 1, 3, 400].map(|days| clock.day(clock.date(NOW - days * DAY))).into();
        assert_eq!(days, ["Today", "Yesterday", "Friday, 20 November", "19 October 2025"]);
        assert_eq!(clock.brief(NOW + DAY), "10:45", "a clock that was set back");
        clock.brief(i64::MAX);
        clock.brief(i64::MIN);
    }
}
