//! The embedded database: one file, one process, one writer.

use super::SqlStore;
use super::database::{BEAT, Database, Engine};
use super::error::{OpenError, said};
use super::hints::Hints;
use super::migrate::{self, SqliteRefused};
use super::open::OpenOptions;
use super::over_sqlite::STATEMENTS_KEPT;
use super::threads::{Opener, Openers, Threads};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Marks the file as ours (`SMJP`), so that somebody else's database is never taken for an empty one.
const APPLICATION_ID: i64 = 0x534D_4A50;

/// Files up to this size are checked page by page at every start, at roughly a gigabyte a second. Larger ones would
/// delay the start too long; damage in them shows when the page is read.
const CHECKED_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Pages of new files, for which it must be said before anything is written; others stay as they are. Two incidents fit
/// in one of these and three webhooks, and a page costs more to write than the bytes in it.
const PAGE_SIZE: &str = "PRAGMA page_size = 8192";

/// The log is written back once it holds so many bytes, unless `Threads` has done so before.
const LOG_BYTES: u64 = 64 * 1024 * 1024;

/// Sets the writer up. `FULL`: what was answered survives a power cut, not only a crash. The busy timeout covers backup
/// tools; there is no second writer of ours.
fn set_up_writer(connection: &Connection, options: &OpenOptions) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&format!(
        "PRAGMA busy_timeout = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = {}; \
         PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = {LOG_BYTES}; \
         PRAGMA cache_size = -16384;",
        options.wait.as_millis(),
        if options.durable { "FULL" } else { "OFF" },
    ))?;
    let page_bytes = u64::from(connection.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0))?);
    connection.execute_batch(&format!("PRAGMA wal_autocheckpoint = {};", LOG_BYTES / page_bytes))?;
    match options.file_bytes_max {
        Some(bytes) => {
            connection.execute_batch(&format!("PRAGMA max_page_count = {};", bytes.div_ceil(page_bytes)))
        }
        None => Ok(()),
    }
}

/// Sets a reader up.
fn set_up_reader(connection: &Connection, options: &OpenOptions) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&format!(
        "PRAGMA busy_timeout = {}; PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;",
        options.wait.as_millis()
    ))
}

/// Sets up what writes the log back: it writes no rows, and leaves the rest to another time where somebody is in its way.
fn set_up_copier(connection: &Connection, options: &OpenOptions) -> Result<(), rusqlite::Error> {
    let synchronous = if options.durable { "FULL" } else { "OFF" };
    connection.execute_batch(&format!("PRAGMA synchronous = {synchronous}; PRAGMA cache_size = 0;"))
}

type SetUp = fn(&Connection, &OpenOptions) -> Result<(), rusqlite::Error>;

pub(super) async fn open(url: &str, options: &OpenOptions) -> Result<SqlStore, OpenError> {
    let path = path_of(url)?;
    let lock = lock(&path)?;
    let opener = |set_up| opener(path.clone(), set_up, options.clone());
    let openers = Openers {
        writer: opener(set_up_writer),
        reader: opener(set_up_reader),
        copier: opener(set_up_copier),
    };
    let (place, own) = (path.clone(), options.clone());
    let prepared = tokio::task::spawn_blocking(move || prepare(&place, &own)).await;
    let writer = match prepared {
        Ok(writer) => writer?,
        Err(error) => return Err(unavailable(&path, &error)),
    };
    let readers = options.connections.max(1);
    let threads =
        Threads::start(writer, openers, readers, options.wait).map_err(|error| unavailable(&path, &error))?;
    Ok(SqlStore::new(Database::new(Engine::Sqlite(Box::new(threads))), Some(lock), Hints::silent()))
}

/// A writer over a file that is ours, whole and up to date.
fn prepare(path: &Path, options: &OpenOptions) -> Result<Connection, OpenError> {
    let told = |error: rusqlite::Error| explain(path, &error);
    let mut writer = connect(path).map_err(told)?;
    writer.execute_batch(PAGE_SIZE).map_err(told)?;
    refuse_foreign(&writer, path)?;
    set_up_writer(&writer, options).map_err(told)?;
    refuse_damaged(&writer, path)?;
    migrate::sqlite(&mut writer).map_err(|error| match error {
        SqliteRefused::Newer(found) => {
            OpenError::Newer { place: path.display().to_string(), found, known: migrate::newest() }
        }
        SqliteRefused::Changed(version) => OpenError::Damaged {
            path: path.to_owned(),
            reason: format!("its tables were made by another text of schema {version}"),
        },
        SqliteRefused::Said(error) => explain(path, &error),
    })?;
    // Tables that are up to date are not written at start, so a file that cannot be written would show only later.
    writer.execute_batch(BEAT).map_err(told)?;
    // Pages that only the start has looked at are memory that the service would hold.
    writer.execute_batch("PRAGMA shrink_memory").map_err(told)?;
    Ok(writer)
}

fn opener(path: PathBuf, set_up: SetUp, options: OpenOptions) -> Opener {
    Arc::new(move || {
        let connection = connect(&path)?;
        set_up(&connection, &options)?;
        Ok(connection)
    })
}

/// Opens the file by its name alone, whatever that holds: names that look like URIs are names as well.
fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Without it a statement with `LIMIT ?` is prepared anew each time, since the planner has looked at the value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

fn unavailable(path: &Path, error: &dyn std::error::Error) -> OpenError {
    OpenError::Unavailable { place: path.display().to_string(), reason: error.to_string() }
}

/// The file that a URL names: `sqlite://relative.db`, `sqlite:///absolute.db` or `sqlite:either.db`.
fn path_of(url: &str) -> Result<PathBuf, OpenError> {
    let rest = url.trim_start_matches("sqlite:");
    let name = rest.strip_prefix("//").unwrap_or(rest);
    if name.is_empty() || name.starts_with(":memory:") {
        return Err(OpenError::Url("a database in memory would lose every alert; name a file".to_owned()));
    }
    if let Some((_, parameters)) = name.split_once('?') {
        return Err(OpenError::Url(format!("`?{parameters}` is not needed; name the file only")));
    }
    std::path::absolute(name).map_err(|source| OpenError::Directory { path: name.into(), source })
}

/// Keeps other processes out for as long as the file handle lives; the system frees it when the process dies.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|source| OpenError::Directory { path: path.to_owned(), source })?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(OpenError::Directory { path: path.to_owned(), source }),
    }
}

/// Our mark is set while the file is still empty; a file with tables and without it is somebody else's.
fn refuse_foreign(writer: &Connection, path: &Path) -> Result<(), OpenError> {
    let told = |error: rusqlite::Error| explain(path, &error);
    let one_int = |query| writer.query_row(query, [], |row| row.get::<_, i64>(0)).map_err(told);
    let mark = one_int("PRAGMA application_id")?;
    if mark == APPLICATION_ID {
        return Ok(());
    }
    let tables = one_int("SELECT COUNT(*) FROM sqlite_schema")?;
    if tables > 0 || mark != 0 {
        return Err(OpenError::Foreign { place: path.display().to_string() });
    }
    writer.execute_batch("PRAGMA application_id = 1397574224").map_err(told)
}

fn refuse_damaged(writer: &Connection, path: &Path) -> Result<(), OpenError> {
    let told = |error: rusqlite::Error| explain(path, &error);
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    if bytes > CHECKED_BYTES_MAX {
        return Ok(());
    }
    match writer.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)).map_err(told)? {
        good if good == "ok" => Ok(()),
        reason => Err(OpenError::Damaged { path: path.to_owned(), reason }),
    }
}

/// What a failure at start means, by SQLite's primary result code (sqlite.org/rescode.html).
fn explain(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    let (code, reason) = said(error).map_or((None, error.to_string()), |(code, words)| (Some(code), words));
    match code.map(|code| code & 0xff) {
        Some(5 | 6) => OpenError::InUse { path },
        Some(8 | 10 | 13 | 14 | 23) => OpenError::NotWritable { path, reason },
        Some(11 | 26) => OpenError::Damaged { path, reason },
        _ => OpenError::Unavailable { place: path.display().to_string(), reason },
    }
}
