//! The real clock and the real source of identities.

use super::ports::{Clock, Ids};
use crate::domain::incident::IncidentId;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        to_millisecond(Timestamp::now())
    }
}

/// A step of the wall clock beyond this is a jump. Clocks that are kept by NTP are slewed and not stepped.
pub const JUMP_MIN: SignedDuration = SignedDuration::from_secs(5);

/// The wall clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jump {
    /// Forward by so much: everything in between is due at once, as it would be after a long stop.
    Forward(SignedDuration),
    /// Back by so much: what was due soon would be due late.
    Back(SignedDuration),
}

/// Compares the wall clock with a clock that nobody sets.
#[derive(Debug, Default)]
pub struct ClockWatch {
    last: Option<(Timestamp, Duration)>,
}

impl ClockWatch {
    /// Looks at both clocks. `steady` counts from anywhere and only forward.
    pub fn look(&mut self, wall: Timestamp, steady: Duration) -> Option<Jump> {
        let (wall_before, steady_before) = self.last.replace((wall, steady))?;
        let passed = SignedDuration::try_from(steady.saturating_sub(steady_before)).ok()?;
        let gained = wall.duration_since(wall_before) - passed;
        match gained {
            gained if gained > JUMP_MIN => Some(Jump::Forward(gained)),
            gained if gained < -JUMP_MIN => Some(Jump::Back(-gained)),
            _ => None,
        }
    }
}

/// When the wall clock was last found to have been set. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct LastJump(Arc<AtomicI64>);

impl LastJump {
    /// It was found to have been set.
    pub fn note(&self, now: Timestamp) {
        self.0.store(now.as_millisecond(), Ordering::Relaxed);
    }

    /// When; none if never.
    pub fn get(&self) -> Option<Timestamp> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            at => Timestamp::from_millisecond(at).ok(),
        }
    }
}

/// Drops what is below a millisecond, as the store does.
pub fn to_millisecond(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// Identities that sort by time and never meet (UUID version 7, RFC 9562).
#[derive(Debug, Clone, Copy, Default)]
pub struct TimeOrderedIds;

impl Ids for TimeOrderedIds {
    fn incident(&self) -> IncidentId {
        IncidentId(uuid::Uuid::now_v7().simple().to_string())
    }

    fn delivery(&self) -> String {
        uuid::Uuid::now_v7().simple().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_told_from_one_that_runs() {
        let mut watch = ClockWatch::default();
        let mut look = |wall: i64, steady: u64| {
            watch.look(Timestamp::from_second(wall).expect("in range"), Duration::from_secs(steady))
        };
        assert_eq!(look(100_000, 7), None, "the first look has nothing to compare with");
        assert_eq!(look(100_001, 8), None);
        assert_eq!(look(100_060, 67), None, "a look that comes late sees both clocks run");
        assert_eq!(look(13_660, 67), Some(Jump::Back(SignedDuration::from_hours(24))));
        assert_eq!(look(13_661, 68), None, "told once");
        assert_eq!(look(100_062, 69), Some(Jump::Forward(SignedDuration::from_secs(86_400))));
        assert_eq!(look(100_066, 69), None, "NTP may correct a little");
    }
}
