//! Brings the tables up to date at start. Only forward: an older program refuses tables that it does not know.

use super::dialect::Dialect;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};
use std::time::Duration;

/// The versions in order. A released text must never change: its checksum is kept in the database.
const MIGRATIONS: &[(i64, &str, &str)] = &[(1, "tables", include_str!("migrations/0001_tables.sql"))];

/// The table that remembers which versions were applied.
const VERSIONS_TABLE: &str = "smokejumper_schema";

/// The newest version that this program knows.
pub(super) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |(version, ..)| *version)
}

/// Applies what is missing, over a connection of its own. Several replicas may do so at once: an advisory lock orders
/// them, and it is given up with the connection, whatever happened.
pub(super) async fn run(
    dialect: Dialect,
    server: &AnyConnectOptions,
    wait: Duration,
) -> Result<(), MigrateError> {
    let migrations = MIGRATIONS.iter().map(|(version, name, text)| {
        let text = AssertSqlSafe(dialect.migration(text)).into_sql_str();
        Migration::new(*version, (*name).into(), MigrationType::Simple, text, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // A database may be shared with other programs, which may use the library's own name.
    migrator.dangerous_set_table_name(VERSIONS_TABLE);
    let pool =
        AnyPoolOptions::new().max_connections(1).acquire_timeout(wait).connect_with(server.clone()).await?;
    let migrated = migrator.run(&pool).await;
    pool.close().await;
    migrated
}
