//! Opens the database: whose it is, whether it is whole, and which version its tables have.

use super::dialect::Dialect;
use super::error::OpenError;
use super::sqlite;
use super::{SqlStore, postgres};
use std::time::Duration;

/// How the store is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Connections that read beside the writer (SQLite), or all connections (PostgreSQL).
    pub connections: u32,
    /// How long to wait for a lock or a free connection before the store counts as unavailable.
    pub wait: Duration,
    /// Largest size of a SQLite file, in bytes; none lets it grow as far as the disk allows. A file that has reached
    /// it takes deletes and replacements, and is unavailable for anything that needs more room.
    pub file_bytes_max: Option<u64>,
    /// Whether what was committed survives a power cut. Only a file that is thrown away at its end may go without: it
    /// never waits for the disk.
    pub durable: bool,
}

impl Default for OpenOptions {
    /// Four connections: workers and readers wait for each other rarely, and each costs a thread or a server
    /// process. Five seconds: Alertmanager gives a delivery up after ten.
    fn default() -> Self {
        Self { connections: 4, wait: Duration::from_secs(5), file_bytes_max: None, durable: true }
    }
}

/// Opens the database that `url` names, and brings its tables up to date.
pub(super) async fn open(url: &str, options: &OpenOptions) -> Result<SqlStore, OpenError> {
    match dialect_of(url)? {
        Dialect::Sqlite => sqlite::open(url, options).await,
        Dialect::Postgres => postgres::open(url, options).await,
    }
}

fn dialect_of(url: &str) -> Result<Dialect, OpenError> {
    let scheme = url.split(':').next().unwrap_or_default();
    match scheme {
        "sqlite" => Ok(Dialect::Sqlite),
        "postgres" | "postgresql" => Ok(Dialect::Postgres),
        "" => Err(OpenError::Url("it is empty".to_owned())),
        // The rest may hold a password.
        other => Err(OpenError::Url(format!("`{other}` is no database that it knows"))),
    }
}
