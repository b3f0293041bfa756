//! Brings the tables up to date at start. Only forward: an older program refuses tables that it does not know.

use super::dialect::Dialect;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AssertSqlSafe, SqlSafeStr};

/// The versions in order. A released text must never change: its checksum is kept in the database.
const MIGRATIONS: &[(i64, &str, &str)] = &[(1, "tables", include_str!("migrations/0001_tables.sql"))];

/// The table that remembers which versions were applied.
pub(super) const VERSIONS_TABLE: &str = "smokejumper_schema";

/// The newest version that this program knows.
pub(super) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |(version, ..)| *version)
}

/// Applies what is missing. Several replicas may do so at once: an advisory lock orders them.
pub(super) async fn run(dialect: Dialect, connection: &mut AnyConnection) -> Result<(), MigrateError> {
    let migrations = MIGRATIONS.iter().map(|(version, name, text)| {
        let text = AssertSqlSafe(dialect.migration(text)).into_sql_str();
        Migration::new(*version, (*name).into(), MigrationType::Simple, text, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // A database may be shared with other programs, which may use the library's own name.
    migrator.dangerous_set_table_name(VERSIONS_TABLE);
    migrator.run(connection).await
}
