//! Brings the tables up to date at start. Only forward: an older program refuses tables that it does not know.

use super::dialect::Dialect;
use rusqlite::Connection;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, SqlSafeStr};
use std::collections::BTreeMap;
use std::time::Duration;

/// The versions in order. A released text must never change: its checksum is kept in the database.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "tables", include_str!("migrations/0001_tables.sql")),
    (2, "ends", include_str!("migrations/0002_ends.sql")),
    (3, "temporary", include_str!("migrations/0003_temporary.sql")),
    (4, "fewer pages", include_str!("migrations/0004_fewer_pages.sql")),
    (5, "text ages", include_str!("migrations/0005_text_ages.sql")),
    (6, "places", include_str!("migrations/0006_places.sql")),
    (7, "others", include_str!("migrations/0007_others.sql")),
    (8, "confirmed", include_str!("migrations/0008_confirmed.sql")),
    (9, "bridge", include_str!("migrations/0009_bridge.sql")),
    (10, "silences", include_str!("migrations/0010_silences.sql")),
    (11, "beats", include_str!("migrations/0011_beats.sql")),
    (12, "checks", include_str!("migrations/0012_checks.sql")),
];

/// The table that remembers which versions were applied.
const VERSIONS_TABLE: &str = "smokejumper_schema";

/// The newest version that this program knows.
pub(super) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |(version, ..)| *version)
}

fn migrations(dialect: Dialect) -> Vec<Migration> {
    let migration = |(version, name, text): &(i64, &'static str, &'static str)| {
        let text = AssertSqlSafe(dialect.migration(text)).into_sql_str();
        Migration::new(*version, (*name).into(), MigrationType::Simple, text, false)
    };
    MIGRATIONS.iter().map(migration).collect()
}

/// Applies what is missing, over a connection of its own. Several replicas may do so at once: an advisory lock orders
/// them, and it is given up with the connection, whatever happened.
pub(super) async fn postgres(server: &PgConnectOptions, wait: Duration) -> Result<(), MigrateError> {
    let mut migrator = Migrator::with_migrations(migrations(Dialect::Postgres));
    // A database may be shared with other programs, which may use the library's own name.
    migrator.dangerous_set_table_name(VERSIONS_TABLE);
    let pool =
        PgPoolOptions::new().max_connections(1).acquire_timeout(wait).connect_with(server.clone()).await?;
    let migrated = migrator.run(&pool).await;
    pool.close().await;
    migrated
}

/// Why the tables of a file could not be brought up to date.
pub(super) enum SqliteRefused {
    /// A newer version has changed them.
    Newer(i64),
    /// A text that was applied is not the one that this program has.
    Changed(i64),
    /// SQLite said no.
    Said(rusqlite::Error),
}

impl From<rusqlite::Error> for SqliteRefused {
    fn from(error: rusqlite::Error) -> Self {
        Self::Said(error)
    }
}

/// The same in a file, which no other process has open. The table of versions has the form that the library gives it.
pub(super) fn sqlite(connection: &mut Connection) -> Result<(), SqliteRefused> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS smokejumper_schema (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
         installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, \
         checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
    )?;
    let applied: BTreeMap<i64, Vec<u8>> = connection
        .prepare("SELECT version, checksum FROM smokejumper_schema")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let known = migrations(Dialect::Sqlite);
    if let Some(found) = applied.keys().find(|found| !known.iter().any(|it| it.version == **found)) {
        return Err(SqliteRefused::Newer(*found));
    }
    for migration in known {
        match applied.get(&migration.version) {
            Some(checksum) if checksum[..] == migration.checksum[..] => {}
            Some(_) => return Err(SqliteRefused::Changed(migration.version)),
            None => {
                let transaction = connection.transaction()?;
                transaction.execute_batch(migration.sql.as_str())?;
                transaction.execute(
                    "INSERT INTO smokejumper_schema (version, description, success, checksum, execution_time) \
                     VALUES (?, ?, TRUE, ?, 0)",
                    (migration.version, &*migration.description, &*migration.checksum),
                )?;
                transaction.commit()?;
            }
        }
    }
    Ok(())
}
