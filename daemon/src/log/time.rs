//! Time stamps: RFC 3339 in UTC with milliseconds.

use std::time::{SystemTime, UNIX_EPOCH};

const MILLIS_PER_DAY: u128 = 86_400_000;

/// `2026-11-21T17:57:56.123Z`
pub(super) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    stamp(since.as_millis())
}

fn stamp(epoch_millis: u128) -> String {
    let (year, month, day) = civil(epoch_millis / MILLIS_PER_DAY);
    let of_day = epoch_millis % MILLIS_PER_DAY;
    let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (seconds, millis) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. The year is taken
/// to begin in March, so that the leap day is its last (Howard Hinnant, "chrono-compatible low-level
/// date algorithms").
fn civil(day: u128) -> (u128, u128, u128) {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let of_month = of_year - (153 * march_month + 2) / 5 + 1;
    (era * 400 + year + u128::from(month <= 2), month, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamp(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(stamp(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(stamp(1_795_283_876_123), "2026-11-21T17:57:56.123Z");
        assert_eq!(stamp(2_147_483_648_000), "2038-01-19T03:14:08.000Z");
        assert_eq!(stamp(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil(0);
        for day in 1..200_000 {
            let (year, month, of_month) = civil(day);
            let next = match before {
                (y, 12, 31) => (y + 1, 1, 1),
                (y, m, d) if (year, month) == (y, m) => (y, m, d + 1),
                (y, m, d) => {
                    assert!(d >= 28 && of_month == 1, "{y}-{m}-{d} then {year}-{month}-{of_month}");
                    (y, m + 1, 1)
                }
            };
            assert_eq!((year, month, of_month), next);
            before = next;
        }
    }
}
