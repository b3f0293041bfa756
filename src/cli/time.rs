//! The time, and times for people: how long ago, or how soon.

use jiff::Timestamp;

use crate::engine::clock::SystemClock;
use crate::engine::ports::Clock;

/// The time as the service would see it.
pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

/// Reads a time that somebody wrote as an argument.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "write a time with its offset, such as 2026-03-01T03:00:00Z or …+01:00".to_owned())
}

/// How far `at` is from `now`, in its largest unit: `now`, `5m ago`, `in 3h`.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.duration_since(now).as_secs();
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("in {}", length(seconds.unsigned_abs())),
        _ => format!("{} ago", length(seconds.unsigned_abs())),
    }
}

/// As [`relative`], for a time as the API writes it; a text that is none is shown as it is.
pub(super) fn relative_text(at: &str, now: Timestamp) -> String {
    at.parse().map_or_else(|_| at.to_owned(), |at| relative(at, now))
}

fn length(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m", seconds / MINUTE),
        // Two days in hours still tell the night from the day.
        HOUR..172_800 => format!("{}h", seconds / HOUR),
        _ => format!("{}d", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_its_largest_unit() {
        let now: Timestamp = "2026-03-01T03:00:00Z".parse().expect("a time");
        let told = |at: &str| relative_text(at, now);
        assert_eq!(told("2026-03-01T03:00:00.4Z"), "now");
        assert_eq!(told("2026-03-01T02:59:01Z"), "59s ago");
        assert_eq!(told("2026-03-01T02:55:01Z"), "4m ago");
        assert_eq!(told("2026-03-01T04:30:00Z"), "in 1h");
        assert_eq!(told("2026-02-27T04:00:00Z"), "47h ago");
        assert_eq!(told("2026-02-20T03:00:00Z"), "9d ago");
        assert_eq!(told("never"), "never");
    }
}
