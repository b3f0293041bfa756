//! Connections: who may use one, for how long, and when one is thrown away.
//!
//! A piece of work gets a [`Session`] and is done with it when it returns. PostgreSQL has one pool, and the work runs
//! where it was asked for. SQLite has one writer and a few readers that never wait for it, each on a thread of its own
//! (see `threads`): a whole piece of work goes there and back once, however many statements it has.

use super::dialect::Dialect;
use super::error::Failure;
use super::sql::Statement;
use super::threads::Threads;
use crate::engine::ports::StoreError;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// The smallest write.
pub(super) const BEAT: &str = "UPDATE pulse SET beats = beats + 1 WHERE id = 1";

/// What a piece of work returns.
pub(super) type Work<'s, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 's>>;

/// The open database.
pub(super) struct Database {
    pub(super) dialect: Dialect,
    engine: Engine,
    /// What was said of a damaged file, once it was.
    damage: OnceLock<String>,
    /// Told when there may be something to do for other processes.
    news: Arc<Notify>,
}

pub(super) enum Engine {
    Sqlite(Box<Threads>),
    Postgres(PgPool),
}

impl Database {
    pub(super) fn new(engine: Engine) -> Self {
        let dialect = match engine {
            Engine::Sqlite(_) => Dialect::Sqlite,
            Engine::Postgres(_) => Dialect::Postgres,
        };
        Self { dialect, engine, damage: OnceLock::new(), news: Arc::default() }
    }

    /// Told after every write that other processes may want to hear of.
    pub(super) fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }

    /// Something was written that somebody may be waiting for.
    pub(super) fn tell_news(&self) {
        self.news.notify_one();
    }

    /// Does work that only reads.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl for<'s> FnOnce(&'s mut Session) -> Work<'s, T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let result = match &self.engine {
            Engine::Sqlite(threads) => threads.read(work).await,
            Engine::Postgres(pool) => over_pool(pool, work).await,
        };
        self.settle(result)
    }

    /// Does work that writes; callers are served in the order in which they came.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl for<'s> FnOnce(&'s mut Session) -> Work<'s, T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let result = match &self.engine {
            Engine::Sqlite(threads) => threads.write(work).await,
            Engine::Postgres(pool) => over_pool(pool, work).await,
        };
        self.settle(result)
    }

    /// Does work that writes one statement, and does not wait for the disk where that is SQLite's: a power cut may take
    /// it back, though nothing that was written after it stays without it. For what is found again by itself.
    pub(super) async fn write_unsynced<T: Send + 'static>(
        &self,
        work: impl for<'s> FnOnce(&'s mut Session) -> Work<'s, T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.dialect == Dialect::Postgres {
            return self.write(work).await;
        }
        self.write(move |session| {
            Box::pin(async move {
                Statement::new(Dialect::Sqlite, "PRAGMA synchronous = NORMAL").execute(session).await?;
                let result = work(session).await;
                // Where this fails the connection is not used again.
                Statement::new(Dialect::Sqlite, "PRAGMA synchronous = FULL").execute(session).await?;
                result
            })
        })
        .await
    }

    fn settle<T>(&self, result: Result<T, Failure>) -> Result<T, StoreError> {
        if let Err(failure) = &result
            && let Some(said) = failure.tells_damage()
            && self.damage.set(said.clone()).is_ok()
        {
            tracing::error!(
                error = said,
                "the database is damaged: stop the service and restore it from a backup"
            );
        }
        result.map_err(StoreError::from)
    }

    /// Writes a row, durably: reading alone would not notice a full or read-only disk.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.refuse_when_damaged()?;
        let beat = Statement::new(self.dialect, BEAT);
        self.write(move |session| Box::pin(async move { beat.execute(session).await.map(drop) })).await
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
        match &self.engine {
            Engine::Sqlite(threads) => threads.close().await,
            Engine::Postgres(pool) => pool.close().await,
        }
    }
}

async fn over_pool<T: Send>(
    pool: &PgPool,
    work: impl for<'s> FnOnce(&'s mut Session) -> Work<'s, T> + Send,
) -> Result<T, Failure> {
    let pooled = pool.acquire().await?;
    let mut session = Session::new(Link::Postgres(pooled));
    let result = work(&mut session).await;
    session.give_back(&result).await;
    result
}

/// A connection that is in use.
///
/// One of PostgreSQL goes back to the pool only through [`Session::give_back`]. A caller that gives up in the middle
/// drops it instead, and then the connection is closed: whoever used it next would write into a transaction that nobody
/// ends, be told that it is stored, and lose it.
pub(super) struct Session {
    /// None once it was given back.
    link: Option<Link>,
    /// Whether a transaction was begun and has not ended.
    in_transaction: bool,
}

/// The connection itself.
pub(super) enum Link {
    Sqlite(rusqlite::Connection),
    Postgres(PoolConnection<Postgres>),
}

const IN_USE: &str = "a session holds its connection until it is given back, which takes the session";

impl Session {
    pub(super) fn new(link: Link) -> Self {
        Self { link: Some(link), in_transaction: false }
    }

    pub(super) fn link(&mut self) -> &mut Link {
        self.link.as_mut().expect(IN_USE)
    }

    fn dialect(&mut self) -> Dialect {
        match self.link() {
            Link::Sqlite(_) => Dialect::Sqlite,
            Link::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Rows that a connection of SQLite has changed so far.
    pub(super) fn rows_changed(&mut self) -> u64 {
        match self.link() {
            Link::Sqlite(connection) => connection.total_changes(),
            Link::Postgres(_) => 0,
        }
    }

    /// Begins a transaction that may write. It is rolled back unless it is committed.
    pub(super) async fn begin(&mut self) -> Result<Transaction<'_>, Failure> {
        let dialect = self.dialect();
        Statement::new(dialect, dialect.begin()).execute(self).await?;
        self.in_transaction = true;
        Ok(Transaction(self))
    }

    async fn end(&mut self, how: &'static str) -> Result<(), Failure> {
        Statement::new(self.dialect(), how).execute(self).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Ends what a piece of work left open.
    pub(super) async fn roll_back_rest(&mut self) -> Result<(), Failure> {
        // After a full disk or an IO error SQLite has rolled back by itself.
        let by_itself = matches!(self.link(), Link::Sqlite(connection) if connection.is_autocommit());
        if self.in_transaction && !by_itself {
            self.end("ROLLBACK").await?;
        }
        self.in_transaction = false;
        Ok(())
    }

    async fn give_back<T>(mut self, result: &Result<T, Failure>) {
        let broken = result.as_ref().err().is_some_and(Failure::breaks_connection);
        if !broken && self.roll_back_rest().await.is_ok() {
            // Dropped by itself, a connection of the pool goes back there.
            drop(self.link.take());
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Dropping a connection that the pool does not own closes it: the server then rolls back.
        if let Some(Link::Postgres(pooled)) = self.link.take() {
            drop(pooled.detach());
        }
    }
}

/// A transaction under way. The session rolls it back at the end of the work, unless it was committed.
pub(super) struct Transaction<'s>(&'s mut Session);

impl Transaction<'_> {
    pub(super) async fn commit(self) -> Result<(), Failure> {
        self.0.end("COMMIT").await
    }

    pub(super) async fn rollback(self) -> Result<(), Failure> {
        self.0.end("ROLLBACK").await
    }
}

impl Deref for Transaction<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.0
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        self.0
    }
}
