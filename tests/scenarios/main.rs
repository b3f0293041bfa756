//! Whole stories on a manual clock: real rules, engine, diagnostics and actions over the simulated cluster, whose time
//! is everybody's time. Nothing waits for real time, so that a quarter of an hour of guardrails takes a moment.
//!
//! The cluster's own record says what was done to it; the timeline has to say why.

#![allow(clippy::disallowed_methods, reason = "a test starts servers")]

mod absence;
mod guards;
mod nights;
mod rollouts;
mod scaling;
mod shadow;
mod stage;

#[path = "../support/rules.rs"]
mod rules;
