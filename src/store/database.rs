//! Connections: who may use one, and when one is thrown away.
//!
//! SQLite has one writer, behind a fair lock, and a few readers that never wait for it. PostgreSQL has one pool.

use super::dialect::Dialect;
use super::error::Failure;
use super::sql::Statement;
use crate::engine::ports::StoreError;
use sqlx::any::{Any, AnyConnectOptions};
use sqlx::pool::PoolConnection;
use sqlx::{AnyConnection, AnyPool, Connection, Executor, Transaction};
use std::ops::{Deref, DerefMut};
use tokio::sync::{Mutex, MutexGuard};

/// The open database.
pub(super) struct Database {
    pub(super) dialect: Dialect,
    /// SQLite's writer; none while it has to be opened again. Not used with PostgreSQL.
    writer: Mutex<Option<AnyConnection>>,
    connect: AnyConnectOptions,
    /// What every new connection is told first.
    setup: &'static str,
    pool: AnyPool,
}

impl Database {
    pub(super) fn new(
        dialect: Dialect,
        writer: Option<AnyConnection>,
        connect: AnyConnectOptions,
        setup: &'static str,
        pool: AnyPool,
    ) -> Self {
        Self { dialect, writer: Mutex::new(writer), connect, setup, pool }
    }

    /// A connection to read with.
    pub(super) async fn reader(&self) -> Result<Session<'_>, StoreError> {
        let pooled = self.pool.acquire().await.map_err(|error| StoreError::from(Failure::from(error)))?;
        Ok(Session::Pooled(pooled))
    }

    /// The connection to write with; callers are served in the order in which they came.
    pub(super) async fn writer(&self) -> Result<Session<'_>, StoreError> {
        if self.dialect == Dialect::Postgres {
            return self.reader().await;
        }
        let mut guard = self.writer.lock().await;
        if guard.is_none() {
            *guard = Some(self.open_writer().await.map_err(|error| StoreError::from(Failure::from(error)))?);
        }
        Ok(Session::Writer(guard))
    }

    async fn open_writer(&self) -> Result<AnyConnection, sqlx::Error> {
        let mut connection = AnyConnection::connect_with(&self.connect).await?;
        connection.execute(self.setup).await?;
        Ok(connection)
    }

    /// Writes a row, durably: reading alone would not notice a full or read-only disk.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let mut session = self.writer().await?;
        let beat = Statement::new(self.dialect, "UPDATE pulse SET beats = beats + 1 WHERE id = 1");
        let result = beat.execute(&mut session).await.map(drop);
        session.settle(result).await
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
pub(super) enum Session<'a> {
    Writer(MutexGuard<'a, Option<AnyConnection>>),
    Pooled(PoolConnection<Any>),
}

impl Session<'_> {
    /// Begins a transaction that may write. It is rolled back when it is dropped.
    pub(super) async fn begin(&mut self, dialect: Dialect) -> Result<Transaction<'_, Any>, Failure> {
        Ok((**self).begin_with(dialect.begin()).await?)
    }

    /// Ends the use: throws the connection away where the failure may have left it in a state of its own.
    pub(super) async fn settle<T>(self, result: Result<T, Failure>) -> Result<T, StoreError> {
        let Err(failure) = result else { return result.map_err(StoreError::from) };
        match self {
            // After a full disk or an IO error SQLite has rolled back by itself, and the driver, which does not
            // know, would take the next transaction for a nested one.
            Self::Writer(mut guard) if !matches!(failure, Failure::Told(_)) => {
                if let Some(connection) = guard.take() {
                    let _ = connection.close().await;
                }
            }
            Self::Pooled(connection) if failure.breaks_connection() => {
                let _ = connection.close().await;
            }
            Self::Writer(_) | Self::Pooled(_) => {}
        }
        Err(failure.into())
    }
}

impl Deref for Session<'_> {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match self {
            Self::Writer(guard) => {
                guard.as_ref().expect("the writer is opened before a session is given out")
            }
            Self::Pooled(connection) => connection,
        }
    }
}

impl DerefMut for Session<'_> {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match self {
            Self::Writer(guard) => {
                guard.as_mut().expect("the writer is opened before a session is given out")
            }
            Self::Pooled(connection) => connection,
        }
    }
}
