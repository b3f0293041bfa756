//! PostgreSQL, as far as it is asked for its own state, and the few statements that change something.
//!
//! [`PgReads`] runs every query within a read-only transaction, as the inner part of a `SELECT` that we write, with limits of
//! time for statements and locks; values travel as parameters and never as text of the statement. [`PgHand`] is
//! what changes something, and only `actions/` is given it. One connection for each use, since a server in trouble
//! has none to spare. The store has connections of its own, with which this has nothing to do.

pub mod error;
pub mod hand;

use std::time::Duration;

use futures::TryStreamExt as _;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Executor as _, PgConnection, Row as _, SqlSafeStr as _,
};

pub use error::{Failure, PgError};
pub use hand::{Ended, PgHand, Session, Upkeep};

use error::failure_of;

/// What our connections call themselves, so that nobody ends them by mistake and we never end our own.
pub const APPLICATION_NAME: &str = "smokejumper";

/// Time to find the address and sign in, where the exchange has more.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Longest wait for a lock. Who looks must not stand in the queue of those who work.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Where a database is, and as whom to speak to it.
#[derive(Debug, Clone)]
pub struct PgOptions {
    /// `postgres://host/database`; may hold a user and a password.
    pub url: SecretString,
    /// The user, instead of the one in the address.
    pub username: Option<String>,
    /// The password, instead of the one in the address.
    pub password: Option<SecretString>,
    /// Certificates in PEM to trust instead of the system's; the server must then show a good one.
    pub authorities_pem: Option<Vec<u8>>,
    /// Time for one statement.
    pub timeout: Duration,
}

/// A connection on which nothing can be changed.
pub struct PgReads {
    connection: PgConnection,
    place: String,
    timeout: Duration,
}

/// Rows of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// By the names of their columns.
    pub rows: Vec<Map<String, Value>>,
    /// Whether there were more.
    pub truncated: bool,
}

impl PgReads {
    /// Connects and signs in.
    ///
    /// # Errors
    /// [`PgError`].
    pub async fn connect(options: &PgOptions) -> Result<Self, PgError> {
        super::http::install_crypto_provider();
        let connect = connect_options(options)?;
        let place = place_of(&connect);
        let timeout = options.timeout;
        match tokio::time::timeout(CONNECT_TIMEOUT.min(timeout), connect.connect()).await {
            Ok(Ok(connection)) => Ok(Self { connection, place, timeout }),
            Ok(Err(error)) => Err(PgError { place, failure: failure_of(&error).while_connecting() }),
            Err(_) => {
                let waited = CONNECT_TIMEOUT.min(timeout).as_millis();
                let failure = Failure::NotReached(format!("it did not answer within {waited} ms"));
                Err(PgError { place, failure })
            }
        }
    }

    /// Where it is, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Rows of a query, at most this many. `sql` is one that we or the settings wrote, and stands within a `SELECT` of ours:
    /// it can be no other statement, and the transaction is a read-only one. Values are bound to `$1` and so on, as texts.
    ///
    /// # Errors
    /// [`PgError`].
    pub async fn rows(&mut self, sql: &str, values: &[String], most: usize) -> Result<Rows, PgError> {
        let timeout = self.timeout.as_millis();
        let begin = format!(
            "BEGIN TRANSACTION READ ONLY; SET LOCAL statement_timeout = {timeout}; \
             SET LOCAL lock_timeout = {}; SET LOCAL idle_in_transaction_session_timeout = 30000",
            LOCK_TIMEOUT.as_millis()
        );
        // A line break ends a comment at the end of the inner part.
        let asked = format!("SELECT row_to_json(found)::text FROM (\n{sql}\n) AS found LIMIT {}", most + 1);
        self.raw(begin).await?;
        let found = self.fetch(asked, values).await;
        // After an error the transaction is void, and this puts an end to it as well.
        let ended = self.raw("ROLLBACK".to_owned()).await;
        let mut rows = found?;
        ended?;
        let truncated = rows.len() > most;
        rows.truncate(most);
        Ok(Rows { rows, truncated })
    }

    /// As [`Self::rows`], where there is exactly one.
    ///
    /// # Errors
    /// [`PgError`].
    pub async fn row(&mut self, sql: &str, values: &[String]) -> Result<Map<String, Value>, PgError> {
        let found = self.rows(sql, values, 1).await?.rows.pop();
        found.ok_or_else(|| self.fails(Failure::Said("the query gave no row".to_owned())))
    }

    /// Whether the server understands a query and the role may run it: it is planned, and not run.
    ///
    /// # Errors
    /// [`PgError`].
    pub async fn understands(&mut self, sql: &str) -> Result<(), PgError> {
        let asked = format!("SELECT row_to_json(found)::text FROM (\n{sql}\n) AS found");
        let prepared = self.connection.prepare(AssertSqlSafe(asked).into_sql_str()).await;
        prepared.map(drop).map_err(|error| self.failed(&error))
    }

    /// Says farewell, so that the server does not have to notice.
    pub async fn close(self) {
        let _ = tokio::time::timeout(LOCK_TIMEOUT, self.connection.close()).await;
    }

    async fn fetch(&mut self, sql: String, values: &[String]) -> Result<Vec<Map<String, Value>>, PgError> {
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in values {
            query = query.bind(value.as_str());
        }
        let asked = async {
            let mut rows = Vec::new();
            let mut stream = query.fetch(&mut self.connection);
            while let Some(row) = stream.try_next().await? {
                rows.push(row.try_get::<String, _>(0)?);
            }
            Ok::<_, sqlx::Error>(rows)
        };
        let rows = asked.await.map_err(|error| self.failed(&error))?;
        let read = |text: String| serde_json::from_str(&text);
        let rows: Result<_, _> = rows.into_iter().map(read).collect();
        rows.map_err(|error| self.fails(Failure::Said(format!("this is no row: {error}"))))
    }

    async fn raw(&mut self, sql: String) -> Result<(), PgError> {
        let done = self.connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
        done.map(drop).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &sqlx::Error) -> PgError {
        self.fails(failure_of(error))
    }

    fn fails(&self, failure: Failure) -> PgError {
        PgError { place: self.place.clone(), failure }
    }
}

fn connect_options(options: &PgOptions) -> Result<PgConnectOptions, PgError> {
    let invalid = || PgError {
        place: "the address of the settings".to_owned(),
        failure: Failure::Setup("expected `postgres://host:5432/database`".to_owned()),
    };
    let url = options.url.expose_secret();
    let is_ours = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    // The library's words may quote the address, which may hold a password.
    let parsed = url.parse::<PgConnectOptions>().ok().filter(|_| is_ours);
    let mut connect =
        parsed.ok_or_else(invalid)?.application_name(APPLICATION_NAME).disable_statement_logging();
    if let Some(username) = &options.username {
        connect = connect.username(username);
    }
    if let Some(password) = &options.password {
        connect = connect.password(password.expose_secret());
    }
    if let Some(pem) = &options.authorities_pem {
        connect = connect.ssl_root_cert_from_pem(pem.clone());
        if !url.contains("sslmode=") {
            connect = connect.ssl_mode(PgSslMode::VerifyFull);
        }
    }
    Ok(connect)
}

/// Host, port and database: what may be shown of an address.
fn place_of(connect: &PgConnectOptions) -> String {
    let database = connect.get_database().unwrap_or_default();
    match connect.get_socket() {
        Some(socket) => format!("PostgreSQL at {}/{database}", socket.display()),
        None => format!("PostgreSQL at {}:{}/{database}", connect.get_host(), connect.get_port()),
    }
}
