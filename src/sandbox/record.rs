//! The ground truth: what really reached a stand-in, in order, with the time it came.
//!
//! Tests compare it with what the product believes it did. It is bounded, and it says how much it forgot; it
//! must never be written by anything but the stand-in that owns it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

/// How many entries a record keeps unless told otherwise: hours of a demo, and the whole of a test.
pub const DEFAULT_CAPACITY: usize = 10_000;

/// One line of a record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry<T> {
    /// Position since the start, from 1, without gaps even where old entries were forgotten.
    pub seq: u64,
    /// When the stand-in took note (wall clock).
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub what: T,
}

/// A bounded, ordered log that can be awaited. Clones share the same log.
#[derive(Debug)]
pub struct Record<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    capacity: usize,
    log: Mutex<Log<T>>,
    last_seq: watch::Sender<u64>,
}

#[derive(Debug)]
struct Log<T> {
    entries: VecDeque<Entry<T>>,
    last_seq: u64,
}

/// A wait on a record that ended without the awaited state.
#[derive(Debug, thiserror::Error)]
#[error("the record did not reach the awaited state within {waited:?}; it holds {entries} entries")]
pub struct NotReached {
    /// How long was waited.
    pub waited: Duration,
    /// How many entries the record held at the end.
    pub entries: usize,
}

impl<T> Clone for Record<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Clone> Record<T> {
    /// An empty record that keeps the newest `capacity` entries (at least one).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let log = Mutex::new(Log { entries: VecDeque::new(), last_seq: 0 });
        let shared = Shared { capacity: capacity.max(1), log, last_seq: watch::Sender::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// Notes `what` with the present time and returns its position.
    pub fn push(&self, what: T) -> u64 {
        let mut log = self.log();
        log.last_seq += 1;
        let seq = log.last_seq;
        if log.entries.len() == self.shared.capacity {
            log.entries.pop_front();
        }
        log.entries.push_back(Entry { seq, at: Timestamp::now(), what });
        drop(log);
        self.shared.last_seq.send_replace(seq);
        seq
    }

    /// Everything still kept, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry<T>> {
        self.log().entries.iter().cloned().collect()
    }

    /// Everything still kept after position `seq`, oldest first.
    #[must_use]
    pub fn after(&self, seq: u64) -> Vec<Entry<T>> {
        self.log().entries.iter().filter(|entry| entry.seq > seq).cloned().collect()
    }

    /// How many entries were ever noted, forgotten ones included.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.log().last_seq
    }

    /// How many entries were forgotten because the record is bounded. A test that counts must see 0 here.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        let log = self.log();
        log.last_seq - log.entries.len() as u64
    }

    /// Waits until `reached` holds for the kept entries, and returns them.
    ///
    /// # Errors
    /// [`NotReached`] after `timeout`.
    pub async fn wait_until(
        &self,
        timeout: Duration,
        reached: impl Fn(&[Entry<T>]) -> bool,
    ) -> Result<Vec<Entry<T>>, NotReached> {
        let mut news = self.shared.last_seq.subscribe();
        let waiting = async {
            loop {
                // Marked as seen before looking, so that an entry noted in between wakes us again.
                news.borrow_and_update();
                let entries = self.entries();
                if reached(&entries) {
                    return entries;
                }
                if news.changed().await.is_err() {
                    // The sender lives in `self`; this cannot end while we are borrowed.
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(timeout, waiting)
            .await
            .map_err(|_| NotReached { waited: timeout, entries: self.entries().len() })
    }

    fn log(&self) -> MutexGuard<'_, Log<T>> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_record_forgets_the_oldest_and_says_so() {
        let record = Record::new(3);
        for number in 1..=5 {
            record.push(number);
        }
        let kept: Vec<_> = record.entries().into_iter().map(|entry| (entry.seq, entry.what)).collect();
        assert_eq!(kept, [(3, 3), (4, 4), (5, 5)]);
        assert_eq!((record.total(), record.forgotten()), (5, 2));
        assert_eq!(record.after(4).len(), 1);
    }

    #[tokio::test]
    async fn waiting_ends_as_soon_as_the_awaited_entry_is_noted() {
        let record = Record::new(10);
        let writer = record.clone();
        let waiting = record.wait_until(Duration::from_secs(5), |entries| entries.len() == 2);
        let (waited, ()) = tokio::join!(waiting, async move {
            writer.push("first");
            tokio::task::yield_now().await;
            writer.push("second");
        });
        assert_eq!(waited.expect("both came").last().map(|entry| entry.what), Some("second"));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_in_vain_tells_how_much_there_was() {
        let record = Record::new(10);
        record.push(());
        let error =
            record.wait_until(Duration::from_secs(1), |entries| entries.len() > 1).await.expect_err("vain");
        assert_eq!(error.entries, 1);
    }
}
