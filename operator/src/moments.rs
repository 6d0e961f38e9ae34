//! Times and durations, as people say and read them. Times are shown in UTC.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999: what comes after cannot be written as a date.
const LAST_SECOND: i64 = 253_402_300_799;

const MICROS: i64 = 1_000_000;

/// A time on the command line: `2h` is two hours ago, and a date is itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So long ago.
    Ago(Duration),
    /// Then, in microseconds since 1970.
    At(i64),
}

impl When {
    /// In microseconds since 1970, where it is `now`.
    pub fn micros(self, now: i64) -> i64 {
        match self {
            Self::Ago(ago) => now.saturating_sub(micros(ago)),
            Self::At(at) => at,
        }
    }
}

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(ago) = humantime::parse_duration(text) {
            return Ok(Self::Ago(ago));
        }
        // A day, or a minute of it, is its beginning.
        let mut whole = ["", ":00", " 00:00:00"].iter().map(|rest| format!("{text}{rest}"));
        let at = whole.find_map(|text| humantime::parse_rfc3339_weak(&text).ok());
        let at = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        at.map(|at| Self::At(micros(at))).ok_or(
            "give how long ago, like 30m, 2h or 7d, or a time in UTC, like 2030-12-31, \
             '2030-12-31 18:00' or 2030-12-31T18:00:00Z",
        )
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// How long, on the command line: `15m`, `2h`, `30d`.
///
/// # Errors
/// When it is something else.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| "give a number with a unit, like 15m, 2h or 30d")
}

/// `2030-12-31T18:00:05Z`, for machines. `micros` since 1970.
pub fn date(micros: i64) -> String {
    let seconds = micros.div_euclid(MICROS).clamp(0, LAST_SECOND);
    let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + seconds).to_string()
}

/// `2030-12-31 18:00:05`, for people.
pub fn stamp(micros: i64) -> String {
    date(micros).replace('T', " ").trim_end_matches('Z').to_owned()
}

/// Seconds of a column as microseconds.
pub fn from_seconds(seconds: i64) -> i64 {
    seconds.saturating_mul(MICROS)
}

/// The two largest units of so many microseconds: `2h 5m`, `3days 4h`, `40s`.
pub fn age(micros: i64) -> String {
    let seconds = u64::try_from(micros.max(0) / MICROS).unwrap_or_default();
    let whole = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    let units: Vec<&str> = whole.split(' ').take(2).collect();
    units.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_so_long_ago_or_a_date() {
        let now = 1_000_000 * MICROS;
        let of = |text: &str| text.parse::<When>().map(|when| when.micros(now));
        assert_eq!(of("2h"), Ok(now - 7200 * MICROS));
        assert_eq!(of("1970-01-02T00:00:00Z"), Ok(86_400 * MICROS));
        assert_eq!(of("1970-01-02 00:00:01"), Ok(86_401 * MICROS));
        assert_eq!(of("1970-01-02"), Ok(86_400 * MICROS));
        assert_eq!(of("1970-01-02 01:00"), Ok(90_000 * MICROS));
        assert_eq!(of("99999years").map(|at| at < 0), Ok(true));
        for bad in
            ["", "2", "yesterday", "1969-12-31T00:00:00Z", "-2h", "1970-01", "1970-13-01", "01:00"]
        {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert!(duration("15").is_err());
    }

    #[test]
    fn a_time_beyond_the_calendar_is_its_end() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(stamp(1_700_000_000_123_456), "2023-11-14 22:13:20");
        assert_eq!(stamp(i64::MAX), "9999-12-31 23:59:59");
        assert_eq!(stamp(i64::MIN), "1970-01-01 00:00:00");
        assert_eq!(stamp(from_seconds(i64::MAX)), "9999-12-31 23:59:59");
    }

    #[test]
    fn an_age_has_two_units_at_most() {
        let of = |seconds: i64| age(seconds * MICROS);
        assert_eq!([of(0), of(40), of(61)], ["0s", "40s", "1m 1s"]);
        assert_eq!([of(7505), of(90_061), of(-5)], ["2h 5m", "1day 1h", "0s"]);
    }
}
