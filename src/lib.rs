//! Smokejumper answers Prometheus alerts: it matches rules, gathers evidence, acts under guardrails, verifies,
//! rolls back and escalates. `docs/architecture.md` is the map of these modules.

pub use smokejumper_domain as domain;

pub mod actions;
pub mod alerting;
pub mod app;
pub mod backtest;
pub mod chart;
pub mod cli;
pub mod clients;
pub mod diagnostics;
pub mod engine;
pub mod http;
pub mod metrics;
pub mod notify;
pub mod params;
pub mod period;
pub mod rules;
#[allow(clippy::disallowed_methods, reason = "the simulated world has clocks and clients of its own")]
pub mod sandbox;
pub mod secret;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod testing;
pub mod yaml;
