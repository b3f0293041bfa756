//! What every engine of the store must do. One function, one promise; `engines` runs them all on both.

pub mod effects;
pub mod inbox;
pub mod incidents;
pub mod ledger;
pub mod prune;
pub mod reading;
pub mod texts;

use crate::build::*;
use smokejumper::engine::ports::{IncidentWrite, Loaded, Reader, Store, StoreError, Wanted};
use std::sync::Arc;

/// A store with its reading side.
pub trait Stored: Store + Reader {}

impl<T: Store + Reader> Stored for T {}

/// What the contract is held against.
pub type Subject = Arc<dyn Stored>;

fn is_conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict))
}

async fn open_incident(store: &Subject, name: &str, correlation: &str) -> IncidentWrite {
    let write = mk_incident(name, correlation);
    store.commit(committing(vec![write.clone()])).await.expect("a new incident is stored");
    write
}

async fn by_id(store: &Subject, name: &str) -> Loaded {
    store.load(Wanted { ids: vec![id(name)], ..Wanted::default() }).await.expect("it loads")
}
