//! The durable engine: events go in, one transaction comes out, effects are carried out from the store.
//!
//! A delivery enters through [`intake`] (group commit), is read and judged by [`step`] (the only writer of incident
//! state), and what it wishes is carried out by [`worker`], which feeds each result back into a step. A timer is an
//! effect that is due later. After a crash the same three go on with what the store holds; there is no second path.
//!
//! [`ports`], [`playbook`] and [`meter`] are what it needs from the rest of the house.

pub mod auditing;
pub mod checking;
#[allow(clippy::disallowed_methods, reason = "this is where time and identities come in")]
pub mod clock;
pub mod commands;
pub mod doorbells;
pub mod executor;
pub mod fixes;
pub mod gathering;
pub mod holds;
pub mod intake;
mod looking_again;
pub mod meter;
pub mod own_alerts;
pub mod playbook;
pub mod ports;
pub mod reconciling;
mod settings;
mod silencing;
pub mod step;
pub mod stepping;
pub mod watchdogs;
pub mod worker;

pub use settings::EngineSettings;
