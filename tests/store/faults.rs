//! What must hold when a database is full, locked, damaged, foreign, newer, or gone.

mod postgres;
mod sqlite;

use crate::build::*;
use smokejumper::engine::ports::{Commit, Reader, Store};
use smokejumper::store::SqlStore;

/// A step that writes into every important table.
fn step(number: u64) -> Commit {
    let name = format!("i{number:06}");
    Commit {
        alerts: vec![mk_firing(number, &name)],
        effects: vec![mk_notice(&name, 1, 0)],
        ..committing(vec![mk_incident(&name, &name)])
    }
}

/// Whether a step is there: as a whole, or not at all.
async fn is_there(store: &SqlStore, number: u64) -> bool {
    let view = store.incident(&id(&format!("i{number:06}"))).await.expect("readable");
    let Some(view) = view else { return false };
    assert_eq!((view.timeline.len(), view.alerts.len()), (1, 1), "step {number} is there in part");
    true
}

/// The text of an error that must come.
fn told<T>(result: Result<T, impl std::fmt::Display>) -> String {
    match result {
        Ok(_) => panic!("this should have been refused"),
        Err(error) => error.to_string(),
    }
}

/// All effects that can be claimed, which must be one for each step that is there.
async fn count_effects(store: &SqlStore) -> u64 {
    store.effect_depth().await.expect("countable").values().sum()
}
