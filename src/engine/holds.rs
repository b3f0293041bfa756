//! Which queues are left alone for now, because their destination asked for patience.
//!
//! A courtesy that spares work: a queue of ten thousand notices for a channel that takes one a second is then looked
//! at once a second, not ten thousand times. It lives in memory; whoever forgets it is told again by the destination.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Longest hold. A destination may ask for minutes; its queue is still looked at this often, because a page that
/// waits too long must be told elsewhere.
pub const HOLD_MAX: Duration = Duration::from_secs(5);

/// Queues with the end of their hold.
#[derive(Debug, Default)]
pub struct Holds {
    ends: Mutex<HashMap<String, Instant>>,
}

impl Holds {
    /// Leaves a queue alone for `wait`, or for [`HOLD_MAX`].
    pub fn hold(&self, queue: &str, wait: Duration) {
        let end = Instant::now() + wait.min(HOLD_MAX);
        self.ends().insert(queue.to_owned(), end);
    }

    /// The queues that are held now. Holds that have ended are forgotten.
    pub fn held(&self) -> Vec<String> {
        let now = Instant::now();
        let mut ends = self.ends();
        ends.retain(|_, end| *end > now);
        ends.keys().cloned().collect()
    }

    /// When the next hold ends.
    pub fn next_end(&self) -> Option<Instant> {
        self.ends().values().min().copied()
    }

    fn ends(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        // Nothing panics while the lock is held, and the map is whole after every line.
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_hold_ends_and_never_lasts_long() {
        let holds = Holds::default();
        holds.hold("slack:#a", Duration::from_secs(1));
        holds.hold("slack:#b", Duration::from_secs(600));
        assert_eq!(holds.next_end(), Some(Instant::now() + Duration::from_secs(1)));
        assert_eq!(holds.held().len(), 2);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(holds.held(), ["slack:#b"]);
        tokio::time::advance(HOLD_MAX).await;
        assert!(holds.held().is_empty());
        assert_eq!(holds.next_end(), None);
    }
}
