//! The shared database: several replicas, one truth.

use super::SqlStore;
use super::database::{Database, Engine};
use super::error::OpenError;
use super::hints::Hints;
use super::migrate;
use super::open::OpenOptions;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Executor};

/// What our connections call themselves.
const APPLICATION_NAME: &str = "smokejumper";

/// What every connection is told first. A commit is durable before it is answered, whatever the server's default
/// (a stricter one stays); a statement that hangs ends before its lease does; a session that lost its client within
/// a transaction lets go of its locks.
const SETUP: &str = "SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') IN ('off', 'local'); \
     SET statement_timeout = '20s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '30s'";

pub(super) async fn open(url: &str, options: &OpenOptions) -> Result<SqlStore, OpenError> {
    let connect = url
        .parse::<PgConnectOptions>()
        .map_err(|_| {
            OpenError::Url("it cannot be read as a URL; escape special characters of the password".to_owned())
        })?
        // `pg.terminate_idle` never ends sessions of this name.
        .application_name(APPLICATION_NAME)
        .disable_statement_logging();
    let place = place(&connect);
    migrate::postgres(&connect, options.wait).await.map_err(|error| migration(&place, error))?;
    let pool = PgPoolOptions::new()
        .max_connections(options.connections.max(2))
        .acquire_timeout(options.wait)
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(async move { connection.execute(SETUP).await.map(drop) }))
        .connect_lazy_with(connect.clone());
    let database = Database::new(Engine::Postgres(pool.clone()));
    let hints = Hints::start(connect, pool, database.news());
    Ok(SqlStore::new(database, None, hints))
}

/// Where the database is, for people: without its user and password.
fn place(connect: &PgConnectOptions) -> String {
    let database = connect.get_database().unwrap_or_default();
    match connect.get_socket() {
        Some(socket) => format!("postgres://{}/{database}", socket.display()),
        None => format!("postgres://{}:{}/{database}", connect.get_host(), connect.get_port()),
    }
}

fn migration(place: &str, error: MigrateError) -> OpenError {
    match error {
        MigrateError::VersionMissing(found) => {
            OpenError::Newer { place: place.to_owned(), found, known: migrate::newest() }
        }
        MigrateError::ExecuteMigration(sqlx::Error::Database(said), _)
            if said.code().as_deref() == Some("42P07") =>
        {
            // A table of that name is there, and we did not make it.
            OpenError::Foreign { place: place.to_owned() }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => explain(place, &error),
        other => OpenError::Unavailable { place: place.to_owned(), reason: other.to_string() },
    }
}

/// What a failure at start means, by SQLSTATE (PostgreSQL manual, appendix A).
fn explain(place: &str, error: &sqlx::Error) -> OpenError {
    let place = place.to_owned();
    match error {
        sqlx::Error::Database(said) => {
            let reason = said.message().to_owned();
            match said.code().as_deref() {
                // Wrong user or password, no such database, no right to connect or to make tables.
                Some("28P01" | "28000" | "3D000" | "42501") => OpenError::Refused { place, reason },
                _ => OpenError::Unavailable { place, reason },
            }
        }
        other => OpenError::Unavailable { place, reason: other.to_string() },
    }
}
