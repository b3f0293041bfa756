//! What the actions share that ask the engine instead of touching the world.
//!
//! They run alone, and twice is as good as once: what they ask for happens when their answer is recorded, which it is
//! once.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::action::{ActionOutcome, Request, Task, TaskItem};
use crate::domain::catalog::{ParamsError, PlanOutline, Slot, SlotLanguage};
use crate::params;

/// Longest time for asking the engine: nothing is waited for.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// Most steps or items of a list. A longer one is a document, and belongs behind a link.
pub(super) const ITEMS_MAX: usize = 50;

/// Longest title or owner, as it is written.
const TITLE_BYTES_MAX: usize = 200;

/// Longest step, item or message, as it is written.
const TEXT_BYTES_MAX: usize = 2_000;

/// The engine is asked for one thing.
pub(super) fn asked(detail: impl Into<String>, request: Request) -> ActionOutcome {
    ActionOutcome::Applied { detail: detail.into(), inverse: None, requests: vec![request] }
}

/// The outline of a plan that touches nothing.
pub(super) fn outline(summary: impl Into<String>) -> PlanOutline {
    PlanOutline { summary: summary.into(), ..PlanOutline::default() }
}

/// Checks a title or an owner.
pub(super) fn title_slot(pointer: &str, text: &str) -> Result<Slot, ParamsError> {
    params::text_within(pointer, text, TITLE_BYTES_MAX)?;
    Ok(Slot::new(pointer, SlotLanguage::Text))
}

/// Checks a text for people.
pub(super) fn text_slot(pointer: &str, text: &str) -> Result<Slot, ParamsError> {
    params::text_within(pointer, text, TEXT_BYTES_MAX)?;
    Ok(Slot::new(pointer, SlotLanguage::Text))
}

/// Checks a name that a label must not choose, such as a channel.
pub(super) fn fixed_name(pointer: &str, name: &str, what: &str) -> Result<(), ParamsError> {
    params::text_within(pointer, name, TITLE_BYTES_MAX)?;
    if params::is_template(name) {
        return Err(ParamsError::at(
            pointer,
            format!("{what} must stand in the rule: a label must not choose it"),
        ));
    }
    Ok(())
}

/// Checks a list of things to do under `key`.
pub(super) fn item_slots(key: &str, items: &[String]) -> Result<Vec<Slot>, ParamsError> {
    params::count_within(&params::pointer(&[key]), items.len(), ITEMS_MAX, key)?;
    items
        .iter()
        .enumerate()
        .map(|(index, item)| text_slot(&params::pointer(&[key, &index.to_string()]), item))
        .collect()
}

/// A task out of rendered texts.
pub(super) fn task(
    title: String,
    owner: Option<String>,
    items: Vec<String>,
    due_at: Option<Timestamp>,
) -> Task {
    let items = items.into_iter().map(|text| TaskItem { text, done_by: None, done_at: None }).collect();
    Task { title, owner, items, due_at, action: None }
}
