//! What watches over alerting itself. On a manual clock: the real engine, store and rules against scripted Alertmanagers.
//! With real programs: the built binary beside a real Alertmanager.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test starts servers, reads its own options and reports"
)]

mod audit;
mod desk;
mod pages;
mod real;
mod reconciler;
mod resolved;
mod silences;
mod watchdogs;
mod worsening;

#[path = "../support/servers.rs"]
mod servers;
