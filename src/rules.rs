//! Rules: from YAML files to checked values, and from checked values to rendered plans and judged conditions.
//!
//! Nothing here touches the world: files are read, never written, and no label can become code.
//! Reading order: [`vocabulary`] (names that rules may use) → [`scope`] (the values behind them) → [`template`] and
//! [`render`] → [`condition`] → `raw` (files as written) → [`mod@load`] → [`ruleset`] and [`index`] → [`book`] and
//! [`mod@watch`] → [`compiled`], [`opening`] and `plan` → `playbook`, which answers the engine. [`schema`]
//! describes the files for editors.

pub mod book;
pub mod compiled;
pub mod condition;
pub mod index;
pub mod known;
pub mod last_resort;
pub mod load;
pub mod opening;
mod plan;
mod playbook;
mod raw;
pub mod render;
pub mod ruleset;
pub mod schema;
pub mod scope;
pub mod template;
#[cfg(test)]
mod test_support;
pub mod vocabulary;
pub mod watch;

pub use book::{BookSource, Reload, RuleBook};
pub use known::Known;
pub use load::{RuleErrors, load};
pub use raw::API_VERSION;
pub use ruleset::RuleSet;
