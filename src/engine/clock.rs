//! The real clock and the real source of identities.

use super::ports::{Clock, Ids};
use crate::domain::incident::IncidentId;
use jiff::Timestamp;

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        to_millisecond(Timestamp::now())
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
