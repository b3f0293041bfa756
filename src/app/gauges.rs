//! Gauges that are read from the store now and then.

use crate::engine::ports::{Reader, Store, StoreError};
use crate::metrics::Metrics;
use crate::store::SqlStore;

/// Reads them all.
pub(super) async fn refresh(store: &SqlStore, metrics: &Metrics) -> Result<(), StoreError> {
    let inbox = store.inbox_depth().await?;
    let effects = store.effect_depth().await?;
    metrics.set_depths(inbox, &effects);
    metrics.set_incidents(&store.counts().await?);
    Ok(())
}
