//! Rules: from YAML files to checked values, and from checked values to rendered plans and judged conditions.
//!
//! Nothing here touches the world: files are read, never written, and no label can become code.
//! Reading order: [`vocabulary`] (names that rules may use) → [`scope`] (the values behind them) → [`template`] and
//! [`render`] → [`condition`] → `raw` (files as written) → [`load`] → [`ruleset`] and [`index`].

pub mod condition;
pub mod index;
pub mod known;
pub mod load;
mod raw;
pub mod render;
pub mod ruleset;
pub mod scope;
pub mod template;
#[cfg(test)]
mod test_support;
pub mod vocabulary;

pub use known::Known;
pub use load::{RuleErrors, load};
pub use ruleset::RuleSet;
