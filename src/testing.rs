//! Rule tests: `smokejumper test` plays what a test file says through the real rules and the real engine, on a clock that
//! it holds and over a store of its own, and compares.
//!
//! There is no second engine here: decisions, guardrails, durable steps, approvals, verifications and the drawing of
//! messages are those of the service. Only what is outside is played: [`world`] answers what the file says.
//!
//! Reading order: [`mod@format`] (files as written) → [`files`] → [`platform`] (settings and rules) → [`stage`] (a process
//! on a clock that somebody holds; the house's own stories play on it as well) → [`world`] and [`people`] → [`play`] →
//! [`judge`] and [`complaints`] → [`report`] and [`coverage`] → [`run`].

pub mod complaints;
pub mod coverage;
pub mod files;
pub mod format;
pub mod judge;
pub mod people;
pub mod platform;
pub mod play;
pub mod report;
pub mod run;
pub mod stage;
pub mod trail;
pub mod world;
