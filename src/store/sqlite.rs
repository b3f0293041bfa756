//! The embedded database: one file, one process, one writer.

use super::SqlStore;
use super::database::{BEAT, Database};
use super::dialect::Dialect;
use super::error::OpenError;
use super::hints::Hints;
use super::migrate;
use super::open::OpenOptions;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::MigrateError;
use sqlx::{AnyConnection, AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Marks the file as ours (`SMJP`), so that somebody else's database is never taken for an empty one.
const APPLICATION_ID: i64 = 0x534D_4A50;

/// Files up to this size are checked page by page at every start, at roughly a gigabyte a second. Larger ones would
/// delay the start too long; damage in them shows when the page is read.
const CHECKED_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Pages of this size are SQLite's default, and what our files are made of.
const PAGE_BYTES: u64 = 4_096;

/// What the writer is told first. `FULL`: what was answered survives a power cut, not only a crash. The busy timeout
/// covers backup tools; there is no second writer of ours.
fn writer_setup(options: &OpenOptions) -> String {
    let mut setup = format!(
        "PRAGMA busy_timeout = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864; \
         PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 8000;",
        options.wait.as_millis()
    );
    if let Some(bytes) = options.file_bytes_max {
        setup.push_str(&format!("PRAGMA max_page_count = {};", bytes.div_ceil(PAGE_BYTES)));
    }
    setup
}

/// What readers are told first.
fn reader_setup(options: &OpenOptions) -> String {
    format!(
        "PRAGMA busy_timeout = {}; PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;",
        options.wait.as_millis()
    )
}

pub(super) async fn open(url: &str, options: &OpenOptions) -> Result<SqlStore, OpenError> {
    let path = path_of(url)?;
    let lock = lock(&path)?;
    let connect: AnyConnectOptions = url_of(&path)
        .parse::<AnyConnectOptions>()
        .map_err(|error| OpenError::Url(error.to_string()))?
        .disable_statement_logging();
    let told = |error: sqlx::Error| explain(&path, &error);
    let mut writer = AnyConnection::connect_with(&connect).await.map_err(told)?;
    refuse_foreign(&mut writer, &path).await?;
    let setup = writer_setup(options);
    writer.execute(AssertSqlSafe(setup.clone())).await.map_err(told)?;
    refuse_damaged(&mut writer, &path).await?;
    migrate::run(Dialect::Sqlite, &connect, options.wait).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => {
            OpenError::Newer { place: path.display().to_string(), found, known: migrate::newest() }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => explain(&path, &error),
        other => OpenError::Damaged { path: path.clone(), reason: other.to_string() },
    })?;
    // Tables that are up to date are not written at start, so a file that cannot be written would show only later.
    writer.execute(BEAT).await.map_err(told)?;
    let readers = reader_setup(options);
    let pool = AnyPoolOptions::new()
        .max_connections(options.connections.max(1))
        .acquire_timeout(options.wait)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(move |connection, _| {
            let setup = AssertSqlSafe(readers.clone());
            Box::pin(async move { connection.execute(setup).await.map(drop) })
        })
        .connect_lazy_with(connect.clone());
    let database = Database::new(Dialect::Sqlite, Some(writer), connect, setup, pool, options.wait);
    Ok(SqlStore::new(database, Some(lock), Hints::silent()))
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

/// The URL of a file for the driver: whatever its name holds is escaped.
fn url_of(path: &Path) -> String {
    let mut url = String::from("sqlite://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                url.push(char::from(*byte))
            }
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    url.push_str("?mode=rwc");
    url
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
async fn refuse_foreign(writer: &mut AnyConnection, path: &Path) -> Result<(), OpenError> {
    let told = |error: sqlx::Error| explain(path, &error);
    let mark = one_int(writer, "PRAGMA application_id").await.map_err(told)?;
    if mark == APPLICATION_ID {
        return Ok(());
    }
    let tables = one_int(writer, "SELECT COUNT(*) FROM sqlite_schema").await.map_err(told)?;
    if tables > 0 || mark != 0 {
        return Err(OpenError::Foreign { place: path.display().to_string() });
    }
    writer.execute("PRAGMA application_id = 1397574224").await.map_err(told)?;
    Ok(())
}

async fn refuse_damaged(writer: &mut AnyConnection, path: &Path) -> Result<(), OpenError> {
    let told = |error: sqlx::Error| explain(path, &error);
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    if bytes > CHECKED_BYTES_MAX {
        return Ok(());
    }
    let row = sqlx::query("PRAGMA quick_check(1)").fetch_one(writer).await.map_err(told)?;
    match row.try_get::<String, _>(0).map_err(told)? {
        good if good == "ok" => Ok(()),
        reason => Err(OpenError::Damaged { path: path.to_owned(), reason }),
    }
}

async fn one_int(connection: &mut AnyConnection, query: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query(query).fetch_one(connection).await?.try_get(0)
}

/// What a failure at start means, by SQLite's primary result code (sqlite.org/rescode.html).
fn explain(path: &Path, error: &sqlx::Error) -> OpenError {
    let path = path.to_owned();
    let reason = error.to_string();
    let code = match error {
        sqlx::Error::Database(said) => said.code().and_then(|code| code.parse::<u32>().ok()),
        _ => None,
    };
    match code.map(|code| code & 0xff) {
        Some(5 | 6) => OpenError::InUse { path },
        Some(8 | 10 | 13 | 14 | 23) => OpenError::NotWritable { path, reason },
        Some(11 | 26) => OpenError::Damaged { path, reason },
        _ => OpenError::Unavailable { place: path.display().to_string(), reason },
    }
}
