//! The wiring, in one straight line: settings → secrets → store → rules → adapters → engine → doors.
//!
//! Everything is started in that order and stopped in the opposite one. A task that must not end and does makes the
//! process exit with a failure: a responder that only looks alive is worse than one that is restarted.

mod adapters;
pub mod check;
mod decoder;
pub mod demo;
mod desk;
pub mod explain;
mod files;
mod gauges;
pub mod hindsight;
mod house;
pub mod online;
mod own;
mod permissions;
pub mod rbac;
mod rulebook;
mod upkeep;
mod watching;

pub use demo::{DemoOptions, FIRST_SCENARIO, demo};
pub use house::{House, Running};
pub use rulebook::{catalog, engine_settings, kinds, known};

use crate::settings::{Settings, process_environment};
use crate::telemetry::Telemetry;
use anyhow::Context;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// What `serve` was told.
#[derive(Debug, Clone, Default)]
pub struct ServeOptions {
    /// The settings file; none means defaults and environment only.
    pub config: Option<PathBuf>,
}

/// Runs the service until a signal, or until something that must not end has ended.
///
/// # Errors
/// Bad settings or rules, a store that cannot be opened, an address that is taken, or a critical task that ended.
pub async fn serve(options: ServeOptions) -> anyhow::Result<()> {
    let environment = process_environment();
    let mut settings = Settings::load(options.config.as_deref(), &environment)?;
    own::fill_in(&mut settings, &environment);
    let keyring = settings.open_secrets(options.config.as_deref(), &environment)?;
    let telemetry =
        Telemetry::start(&settings.telemetry, &keyring).context("telemetry could not be started")?;
    let own = &settings.guardrails.own;
    tracing::info!(own.namespace, own.name, "it never acts on itself, as far as it knows where it runs");
    let stop = CancellationToken::new();
    let running = House::new(settings, keyring).start().await?;
    tracing::info!(address = %running.address, "listening");
    upkeep::stop_on_signal(stop.clone());
    let ended = running.wait(stop).await;
    tokio::task::spawn_blocking(move || telemetry.stop()).await?;
    ended
}
