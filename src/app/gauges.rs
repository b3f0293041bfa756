//! Gauges that are read from the store now and then.

use crate::domain::temporary::RESTORE_RETRY;
use crate::engine::ports::{Reader, Store, StoreError};
use crate::engine::stepping::Signals;
use crate::metrics::Metrics;
use crate::store::SqlStore;
use jiff::Timestamp;
use std::sync::atomic::Ordering;

/// Reads them all. What the intake believes to wait is put right on the way: other replicas consume what this one
/// stored, and it does not hear of it.
pub(super) async fn refresh(
    store: &SqlStore,
    metrics: &Metrics,
    signals: &Signals,
    now: Timestamp,
) -> Result<(), StoreError> {
    let inbox = store.inbox_depth().await?;
    signals.backlog.store(inbox, Ordering::Relaxed);
    let effects = store.effect_depth().await?;
    metrics.set_depths(inbox, &effects);
    metrics.set_incidents(&store.counts().await?);
    let fixes = store.temporary_fixes().await?;
    let overdue = fixes.iter().filter(|fix| now.duration_since(fix.until) > RESTORE_RETRY).count();
    metrics.set_temporary(fixes.len(), overdue);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ports::{Delivery, Source};
    use crate::store::OpenOptions;

    #[tokio::test]
    async fn what_others_consumed_does_not_count_as_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}/s.db", folder.path().display());
        let store = SqlStore::open(&url, &OpenOptions::default()).await.expect("a store");
        let (id, body) = ("d1".to_owned(), bytes::Bytes::from_static(b"{}"));
        let delivery =
            Delivery { id, source: Source::Alertmanager, received_at: Timestamp::UNIX_EPOCH, body };
        store.append(vec![delivery]).await.expect("stored");
        let signals = Signals::default();
        signals.backlog.store(200_000, Ordering::Relaxed);
        refresh(&store, &Metrics::new(), &signals, Timestamp::UNIX_EPOCH).await.expect("reads");
        assert_eq!(signals.backlog.load(Ordering::Relaxed), 1);
    }
}
