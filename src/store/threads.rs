//! SQLite on threads of its own: one that writes, a few that read, and one that copies the log back into the file.
//!
//! SQLite's calls block, and a commit waits for the disk, so they keep off the threads that answer requests. A whole
//! piece of work is sent to a thread as one job. Callers take their turn before they send, so that whoever waits for
//! too long is told so while the job of another is stuck behind a lock.

use super::database::{Link, Session, Work};
use super::dialect::Dialect;
use super::error::Failure;
use super::sql::Statement;
use crate::engine::ports::StoreError;
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Opens a connection, set up for its use.
pub(super) type Opener = Arc<dyn Fn() -> Result<rusqlite::Connection, rusqlite::Error> + Send + Sync>;

/// Takes the session, or why there is none; tells whether the session may be used again.
type Job = Box<dyn FnOnce(Result<&mut Session, Failure>, Busy) -> bool + Send>;

/// A hand at work. Dropped, it waits for the next job, and its turn is free.
struct Busy {
    number: usize,
    idle: Arc<Mutex<Vec<usize>>>,
    _turn: OwnedSemaphorePermit,
}

impl Drop for Busy {
    fn drop(&mut self) {
        // The turn is a field, which goes after this: whoever has a turn finds a hand that waits.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}

/// How the connections of a file are opened.
pub(super) struct Openers {
    pub(super) writer: Opener,
    pub(super) reader: Opener,
    /// For what copies the log back.
    pub(super) copier: Opener,
}

/// After so many changed rows the log is copied back into the file, which nobody waits for. A webhook that opens an
/// incident changes ten, so this is about a third of what the log may hold before the writer copies it itself.
const ROWS_BETWEEN_COPIES: u64 = 8_192;

/// The threads of one file.
pub(super) struct Threads {
    writer: Crew,
    readers: Crew,
    copier: Crew,
    /// Rows that the writer has changed.
    changed: Arc<AtomicU64>,
    /// Rows that it had changed when the log was last copied back.
    copied: AtomicU64,
}

impl Threads {
    /// A writer that goes on with `writer`, and readers that open their connections when they are first needed.
    pub(super) fn start(
        writer: rusqlite::Connection,
        open: Openers,
        readers: u32,
        wait: Duration,
    ) -> std::io::Result<Self> {
        let session = Session::new(Link::Sqlite(writer));
        Ok(Self {
            writer: Crew::start("writer", vec![Some(session)], open.writer, wait)?,
            readers: Crew::start("reader", (0..readers).map(|_| None).collect(), open.reader, wait)?,
            copier: Crew::start("copier", vec![None], open.copier, wait)?,
            changed: Arc::default(),
            copied: AtomicU64::new(0),
        })
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl for<'s> FnOnce(&'s mut Session) -> Work<'s, T> + Send + 'static,
    ) -> Result<T, Failure> {
        self.readers.work(work).await
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl for<'s> FnOnce(&'s mut Session) -> Work<'s, T> + Send + 'static,
    ) -> Result<T, Failure> {
        let changed = Arc::clone(&self.changed);
        let result = self.writer.work(move |session| {
            Box::pin(async move {
                let result = work(&mut *session).await;
                changed.store(session.rows_changed(), Ordering::Relaxed);
                result
            })
        });
        let result = result.await;
        self.copy_back();
        result
    }

    /// Has the log copied back into the file when enough has come together: the writer would do so itself in the end,
    /// and everybody who writes would wait for the disk twice. What it still has to do then is short.
    fn copy_back(&self) {
        let rows = self.changed.load(Ordering::Relaxed);
        // A new connection counts anew.
        let copied = self.copied.load(Ordering::Relaxed).min(rows);
        if rows - copied < ROWS_BETWEEN_COPIES {
            return;
        }
        self.copied.store(rows, Ordering::Relaxed);
        self.copier.post(|session| {
            Box::pin(async move {
                Statement::new(Dialect::Sqlite, "PRAGMA wal_checkpoint(PASSIVE)")
                    .execute(session)
                    .await
                    .map(drop)
            })
        });
    }

    /// Ends the threads after the work that was sent; the writer last, so that it closes the file and writes the log
    /// back into it.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.copier.close().await;
        self.writer.close().await;
    }
}

/// Threads that do the same kind of work.
struct Crew {
    /// What they do.
    name: &'static str,
    /// A door to each hand; none once it is closed.
    doors: Mutex<Vec<Sender<(Job, Busy)>>>,
    /// Hands that wait, the one that worked last on top: most of the time few of them have a connection open, and what
    /// it has read is still at hand.
    idle: Arc<Mutex<Vec<usize>>>,
    turns: Arc<Semaphore>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// How long to wait for a turn.
    wait: Duration,
}

impl Crew {
    fn start(
        name: &'static str,
        sessions: Vec<Option<Session>>,
        open: Opener,
        wait: Duration,
    ) -> std::io::Result<Self> {
        let idle: Arc<Mutex<Vec<usize>>> = Arc::new(Mutex::new((0..sessions.len()).rev().collect()));
        let turns = Arc::new(Semaphore::new(sessions.len()));
        let (mut doors, mut threads) = (Vec::new(), Vec::new());
        for session in sessions {
            let (door, jobs) = channel(1);
            let hand = Hand { session, open: Arc::clone(&open), jobs };
            let thread = std::thread::Builder::new().name(format!("sqlite-{name}"));
            threads.push(thread.spawn(move || hand.run())?);
            doors.push(door);
        }
        Ok(Self { name, doors: Mutex::new(doors), idle, turns, threads: Mutex::new(threads), wait })
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl for<'s> FnOnce(&'s mut Session) -> Work<'s, T> + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = self.turn().await?;
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |session, busy| {
            let result = session.and_then(|session| carry_out(session, work));
            // What the engine itself said no to leaves a connection as it was; after the rest a new one is opened.
            let is_usable = matches!(&result, Ok(_) | Err(Failure::Told(_)));
            // Before the answer: whoever asks next finds this hand, whose connection is open.
            drop(busy);
            // A caller that gave up does not hear of it; what was committed stays committed.
            let _ = answer.send(result);
            is_usable
        });
        self.send(job, turn)?;
        let panicked = || StoreError::Unavailable("the work on the database panicked".to_owned());
        answered.await.unwrap_or_else(|_| Err(Failure::Told(panicked())))
    }

    /// Sends work that nobody waits for, unless all hands are busy.
    fn post(&self, work: impl for<'s> FnOnce(&'s mut Session) -> Work<'s, ()> + Send + 'static) {
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else { return };
        let name = self.name;
        let job: Job = Box::new(move |session, _busy| {
            if let Err(failure) = session.and_then(|session| carry_out(session, work)) {
                // Whoever writes next will meet it, and tell.
                tracing::debug!(error = %StoreError::from(failure), thread = name, "work on the file failed");
                return false;
            }
            true
        });
        // A store that is being closed does it at the end.
        let _ = self.send(job, turn);
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Failure> {
        // While another process holds the lock, everybody who writes waits for it in turn: nobody may wait for all.
        match tokio::time::timeout(self.wait, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(turn) => turn.map_err(|_| gone()),
            Err(_) => Err(Failure::Told(StoreError::Unavailable(format!(
                "no {} of the database file was free within {:?}: another process may hold its lock, or the disk is \
                 slow",
                self.name, self.wait
            )))),
        }
    }

    fn send(&self, job: Job, turn: OwnedSemaphorePermit) -> Result<(), Failure> {
        let doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().ok_or_else(gone)?;
        let busy = Busy { number, idle: Arc::clone(&self.idle), _turn: turn };
        doors.get(number).ok_or_else(gone)?.try_send((job, busy)).map_err(|_| gone())
    }

    async fn close(&self) {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A thread that panicked has told so; there is nothing left to close.
                let _ = thread.join();
            }
        });
        let _ = ended.await;
    }
}

fn gone() -> Failure {
    Failure::Told(StoreError::Unavailable("the database is closed".to_owned()))
}

/// Does the work at once: over SQLite no statement is ever waited for, so nothing has to wake anybody up.
fn carry_out<T>(
    session: &mut Session,
    work: impl for<'s> FnOnce(&'s mut Session) -> Work<'s, T>,
) -> Result<T, Failure> {
    let defect = || Failure::Told(StoreError::Unavailable("work over SQLite did not end".to_owned()));
    let result = work(session).now_or_never().unwrap_or_else(|| Err(defect()));
    let rest = session.roll_back_rest().now_or_never().unwrap_or_else(|| Err(defect()));
    // A transaction that cannot be ended takes its connection with it, whatever the work said.
    rest.and(result)
}

/// One thread.
struct Hand {
    session: Option<Session>,
    open: Opener,
    jobs: Receiver<(Job, Busy)>,
}

impl Hand {
    fn run(mut self) {
        while let Some((job, busy)) = self.jobs.blocking_recv() {
            let session = match &mut self.session {
                Some(session) => Ok(session),
                empty => match (self.open)() {
                    Ok(connection) => Ok(empty.insert(Session::new(Link::Sqlite(connection)))),
                    Err(error) => Err(Failure::from(error)),
                },
            };
            let done = std::panic::catch_unwind(AssertUnwindSafe(|| job(session, busy)));
            if !done.unwrap_or(false) {
                self.session = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::database::{Database, Engine};
    use crate::store::sql::Columns;

    fn start(folder: &tempfile::TempDir) -> Threads {
        let path = folder.path().join("s.db");
        let open: Opener = Arc::new(move || rusqlite::Connection::open(&path));
        let writer = open().expect("it opens");
        writer.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (n BIGINT)").expect("a table");
        let open = Openers { writer: Arc::clone(&open), reader: Arc::clone(&open), copier: open };
        Threads::start(writer, open, 1, Duration::from_secs(5)).expect("threads")
    }

    fn say(text: &'static str) -> Statement {
        Statement::new(Dialect::Sqlite, text)
    }

    async fn rows(threads: &Threads) -> i64 {
        let count = threads.read(|session| Box::pin(say("SELECT COUNT(*) AS n FROM t").fetch(session))).await;
        Columns(&count.expect("readable")[0]).int("n").expect("a number")
    }

    #[tokio::test]
    async fn what_work_leaves_open_is_rolled_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let threads = start(&folder);
        let failed = threads.write(|session| {
            Box::pin(async move {
                let mut transaction = session.begin().await?;
                say("INSERT INTO t VALUES (1)").execute(&mut transaction).await?;
                Err::<(), _>(Failure::conflict())
            })
        });
        assert!(matches!(failed.await, Err(Failure::Told(StoreError::Conflict))));
        let kept = threads.write(|session| Box::pin(say("INSERT INTO t VALUES (2)").execute(session)));
        assert_eq!(kept.await.expect("no transaction is in the way"), 1);
        assert_eq!(rows(&threads).await, 1);
    }

    /// How the writer waits for the disk.
    fn how(session: &mut Session) -> Work<'_, i64> {
        Box::pin(async move {
            let rows = say("SELECT synchronous AS n FROM pragma_synchronous").fetch(session).await?;
            Columns(&rows[0]).int("n")
        })
    }

    #[tokio::test]
    async fn only_what_asks_for_it_does_not_wait_for_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::new(Engine::Sqlite(Box::new(start(&folder))));
        const NORMAL: i64 = 1;
        const FULL: i64 = 2;
        assert_eq!(database.write_unsynced(how).await.expect("readable"), NORMAL);
        assert_eq!(database.write(how).await.expect("readable"), FULL);
        let refused = database.write_unsynced(|_| Box::pin(async { Err::<(), _>(Failure::conflict()) }));
        assert!(refused.await.is_err());
        assert_eq!(database.write(how).await.expect("readable"), FULL);
    }

    #[tokio::test]
    async fn what_was_written_is_copied_back_without_the_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let threads = start(&folder);
        threads
            .write(|session| Box::pin(say("PRAGMA wal_autocheckpoint = 0").execute(session)))
            .await
            .expect("set");
        let fill = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 9000) \
                    INSERT INTO t SELECT n FROM n";
        let written = threads.write(|session| Box::pin(say(fill).execute(session))).await.expect("written");
        assert!(written > ROWS_BETWEEN_COPIES);
        threads.copier.close().await;
        let file = folder.path().join("s.db");
        assert!(
            file.metadata().expect("a file").len() > 32 * 1024,
            "the rows are in the file and not only in its log"
        );
    }

    #[tokio::test]
    async fn callers_one_after_the_other_share_one_connection() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s.db");
        let opened = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&opened);
        let open: Opener = Arc::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            rusqlite::Connection::open(&path)
        });
        let readers =
            Crew::start("reader", vec![None, None, None], open, Duration::from_secs(5)).expect("a crew");
        for _ in 0..16 {
            let read = readers.work(|session| Box::pin(say("SELECT 1 AS n").fetch(session)));
            read.await.expect("readable");
        }
        assert_eq!(opened.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn work_that_panics_takes_its_connection_with_it_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let threads = start(&folder);
        let broken = threads.write::<()>(|_| panic!("a defect"));
        assert!(broken.await.is_err());
        let next = threads.write(|session| Box::pin(say("INSERT INTO t VALUES (1)").execute(session)));
        assert_eq!(next.await.expect("a new connection"), 1);
    }

    #[tokio::test]
    async fn whoever_gives_up_does_not_keep_the_next_from_the_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let threads = start(&folder);
        let given_up = threads.write(|session| Box::pin(say("INSERT INTO t VALUES (1)").execute(session)));
        assert!(given_up.now_or_never().is_none(), "it is under way");
        threads.close().await;
        let after = threads.write(|session| Box::pin(say("INSERT INTO t VALUES (2)").execute(session)));
        assert!(after.await.is_err(), "closed");
        let file = rusqlite::Connection::open(folder.path().join("s.db")).expect("it opens");
        let count: i64 = file.query_row("SELECT COUNT(*) FROM t", [], |row| row.get(0)).expect("a count");
        assert_eq!(count, 1, "what was sent is done before the threads end");
    }
}
