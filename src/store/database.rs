//! Connections: who may use one, and when one is thrown away.
//!
//! SQLite has one writer, behind a fair lock, and a few readers that never wait for it. PostgreSQL has one pool.

use super::dialect::Dialect;
use super::error::Failure;
use super::sql::Statement;
use crate::engine::ports::StoreError;
use sqlx::any::{Any, AnyConnectOptions};
use sqlx::pool::PoolConnection;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection, Executor, Transaction};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, Notify};

/// The smallest write.
pub(super) const BEAT: &str = "UPDATE pulse SET beats = beats + 1 WHERE id = 1";

/// The open database.
pub(super) struct Database {
    pub(super) dialect: Dialect,
    /// SQLite's writer; none while it has to be opened again. Not used with PostgreSQL.
    writer: Mutex<Option<AnyConnection>>,
    connect: AnyConnectOptions,
    /// What every new connection is told first.
    setup: String,
    pool: AnyPool,
    /// How long to wait for the writer.
    wait: Duration,
    /// What was said of a damaged file, once it was.
    damage: OnceLock<String>,
    /// Told when there may be something to do for other processes.
    news: Arc<Notify>,
}

impl Database {
    pub(super) fn new(
        dialect: Dialect,
        writer: Option<AnyConnection>,
        connect: AnyConnectOptions,
        setup: String,
        pool: AnyPool,
        wait: Duration,
    ) -> Self {
        let (writer, news) = (Mutex::new(writer), Arc::default());
        Self { dialect, writer, connect, setup, pool, wait, damage: OnceLock::new(), news }
    }

    /// All connections of PostgreSQL, or the readers of SQLite.
    pub(super) fn pool(&self) -> AnyPool {
        self.pool.clone()
    }

    /// Told after every write that other processes may want to hear of.
    pub(super) fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }

    /// Something was written that somebody may be waiting for.
    pub(super) fn tell_news(&self) {
        self.news.notify_one();
    }

    /// A connection to read with.
    pub(super) async fn reader(&self) -> Result<Session<'_>, StoreError> {
        let pooled = self.pool.acquire().await.map_err(|error| StoreError::from(Failure::from(error)))?;
        Ok(Session::new(Held::Pooled(pooled), &self.damage))
    }

    /// The connection to write with; callers are served in the order in which they came.
    pub(super) async fn writer(&self) -> Result<Session<'_>, StoreError> {
        if self.dialect == Dialect::Postgres {
            return self.reader().await;
        }
        // While another process holds the lock, everybody who writes waits for it in turn: nobody may wait for all.
        let Ok(mut guard) = tokio::time::timeout(self.wait, self.writer.lock()).await else {
            return Err(StoreError::Unavailable(format!(
                "the writer of the database file was not free within {:?}: another process may hold its lock, or the \
                 disk is slow",
                self.wait
            )));
        };
        if guard.is_none() {
            *guard = Some(self.open_writer().await.map_err(|error| StoreError::from(Failure::from(error)))?);
        }
        Ok(Session::new(Held::Writer(guard), &self.damage))
    }

    async fn open_writer(&self) -> Result<AnyConnection, sqlx::Error> {
        let mut connection = AnyConnection::connect_with(&self.connect).await?;
        connection.execute(AssertSqlSafe(self.setup.clone())).await?;
        Ok(connection)
    }

    /// Writes a row, durably: reading alone would not notice a full or read-only disk.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.refuse_when_damaged()?;
        let mut session = self.writer().await?;
        let beat = Statement::new(self.dialect, BEAT);
        let result = beat.execute(&mut session).await.map(drop);
        session.settle(result).await
    }

    /// Nothing is promised any more over a file that is known to be damaged: until it is restored, which needs a
    /// restart, senders are asked to come again.
    pub(super) fn refuse_when_damaged(&self) -> Result<(), StoreError> {
        match self.damage.get() {
            None => Ok(()),
            Some(said) => Err(StoreError::Unavailable(said.clone())),
        }
    }

    /// Closes all connections; SQLite writes its log back into the file.
    pub(super) async fn close(&self) {
        self.pool.close().await;
        if let Some(connection) = self.writer.lock().await.take() {
            // Whatever it says, everything that was committed is in the file or its log.
            let _ = connection.close().await;
        }
    }
}

/// A connection that is in use.
///
/// It goes back only through [`Session::settle`]. A caller that gives up in the middle drops it instead, and then the
/// connection is closed: the driver forgets a transaction whose `BEGIN` was sent and not yet answered, and whoever
/// used that connection next would write into it, be told that it is stored, and lose it.
pub(super) struct Session<'a> {
    /// None once it was given back.
    connection: Option<Held<'a>>,
    damage: &'a OnceLock<String>,
}

enum Held<'a> {
    Writer(MutexGuard<'a, Option<AnyConnection>>),
    Pooled(PoolConnection<Any>),
}

impl<'a> Session<'a> {
    fn new(held: Held<'a>, damage: &'a OnceLock<String>) -> Self {
        Self { connection: Some(held), damage }
    }

    /// Begins a transaction that may write. It is rolled back when it is dropped.
    pub(super) async fn begin(&mut self, dialect: Dialect) -> Result<Transaction<'_, Any>, Failure> {
        Ok((**self).begin_with(dialect.begin()).await?)
    }

    /// Ends the use: closes the connection where the failure may have left it in a state of its own.
    pub(super) async fn settle<T>(mut self, result: Result<T, Failure>) -> Result<T, StoreError> {
        if let Err(failure) = &result
            && let Some(said) = failure.tells_damage()
            && self.damage.set(said.clone()).is_ok()
        {
            tracing::error!(
                error = said,
                "the database is damaged: stop the service and restore it from a backup"
            );
        }
        let broken = match (&result, &self.connection) {
            // After a full disk or an IO error SQLite has rolled back by itself, and the driver, which does not
            // know, would take the next transaction for a nested one.
            (Err(failure), Some(Held::Writer(_))) => !matches!(failure, Failure::Told(_)),
            (Err(failure), _) => failure.breaks_connection(),
            (Ok(_), _) => false,
        };
        if broken {
            if let Some(connection) = self.take() {
                // Whatever it says: the failure that is told is the first one.
                let _ = connection.close().await;
            }
        } else {
            self.connection = None;
        }
        result.map_err(StoreError::from)
    }

    /// Takes the connection out of what keeps it, so that nobody uses it again.
    fn take(&mut self) -> Option<AnyConnection> {
        match self.connection.take()? {
            Held::Writer(mut guard) => guard.take(),
            Held::Pooled(connection) => Some(connection.detach()),
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // Dropping a connection closes it: the server, or SQLite, then rolls back.
        drop(self.take());
    }
}

const IN_USE: &str = "a session holds its connection until it is settled, which takes the session";

impl Deref for Session<'_> {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match self.connection.as_ref().expect(IN_USE) {
            Held::Writer(guard) => guard.as_ref().expect(IN_USE),
            Held::Pooled(connection) => connection,
        }
    }
}

impl DerefMut for Session<'_> {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match self.connection.as_mut().expect(IN_USE) {
            Held::Writer(guard) => guard.as_mut().expect(IN_USE),
            Held::Pooled(connection) => connection,
        }
    }
}
