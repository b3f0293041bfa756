//! What went wrong in the database, sorted into what the caller can do about it.

use crate::engine::ports::StoreError;
use std::path::PathBuf;

/// Why the store cannot be opened, with the way out. Never holds the password of a URL.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none of ours.
    #[error(
        "store.url is not usable: {0}; write `sqlite://PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`"
    )]
    Url(String),
    /// The directory of the database file is missing or cannot be written.
    #[error("cannot use the directory of {path}: {source}; create it, let this user write in it, or change store.url", path = path.display())]
    Directory {
        /// The database file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has the file open.
    #[error("{path} is in use by another process; stop that one first, or use PostgreSQL to run several replicas", path = path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("{path} cannot be written: {reason}; give this user the right to write it, and check that the disk is not mounted read-only or full", path = path.display())]
    NotWritable {
        /// The database file.
        path: PathBuf,
        /// What the database said.
        reason: String,
    },
    /// The file is damaged, or no SQLite database.
    #[error("{path} is damaged or not a SQLite database ({reason}); move it away and restore it from a backup, or point store.url to a new file", path = path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A database with tables that are not ours.
    #[error("{place} holds tables of something else; point store.url to an empty database")]
    Foreign {
        /// Which database, without secrets.
        place: String,
    },
    /// A newer version of this program has changed the tables.
    #[error(
        "{place} was written by a newer version (schema {found}, this one knows up to {known}); run the newer version again, or restore the backup that was taken before the upgrade"
    )]
    Newer {
        /// Which database, without secrets.
        place: String,
        /// The schema's version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The server refuses the user or the password, or does not know the database.
    #[error("{place} refuses the connection: {reason}; check user, password and database name in store.url")]
    Refused {
        /// Which database, without secrets.
        place: String,
        /// What the server said.
        reason: String,
    },
    /// The database does not answer or refuses a statement.
    #[error("{place} is not available: {reason}; check that it runs and can be reached from here")]
    Unavailable {
        /// Which database, without secrets.
        place: String,
        /// What happened.
        reason: String,
    },
}

/// A failure within the store, before it is told to the caller.
#[derive(Debug)]
pub(super) enum Failure {
    /// PostgreSQL, or the way to it, said no.
    Postgres(sqlx::Error),
    /// SQLite said no.
    Sqlite(rusqlite::Error),
    /// Already known what the caller is to be told.
    Told(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Told(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Told(error) => error,
            Failure::Postgres(error) => postgres(&error),
            Failure::Sqlite(error) => sqlite(&error),
        }
    }
}

impl Failure {
    /// Somebody else wrote first.
    pub(super) fn conflict() -> Self {
        Self::Told(StoreError::Conflict)
    }

    /// What to say of a file that is damaged as such, rather than one row of it.
    pub(super) fn tells_damage(&self) -> Option<String> {
        let Self::Sqlite(error) = self else { return None };
        let (code, message) = said(error)?;
        matches!(code & 0xff, 11 | 26).then(|| damaged(&message))
    }

    /// Whether a connection to PostgreSQL should not be used again: anything that the server itself did not say.
    pub(super) fn breaks_connection(&self) -> bool {
        match self {
            Self::Told(_) => false,
            Self::Postgres(sqlx::Error::Database(error)) => {
                // PostgreSQL ends these sessions itself (class 57P: shutdown, crash, database dropped).
                error.code().is_some_and(|code| code.starts_with("57P"))
            }
            Self::Postgres(_) | Self::Sqlite(_) => true,
        }
    }
}

/// A stored JSON text that does not read, named by its row.
pub(super) fn corrupt(row: impl std::fmt::Display, why: impl std::fmt::Display) -> Failure {
    Failure::Told(StoreError::Corrupt(format!("{row}: {why}")))
}

/// Sorts by PostgreSQL's SQLSTATE classes (manual, appendix A).
fn postgres(error: &sqlx::Error) -> StoreError {
    let sqlx::Error::Database(said) = error else {
        return match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                StoreError::Corrupt(error.to_string())
            }
            _ => StoreError::Unavailable(error.to_string()),
        };
    };
    let message = said.message();
    let code = said.code().unwrap_or_default();
    // Unique violations, failures to serialise, deadlocks.
    if matches!(&*code, "23505" | "40001" | "40P01") {
        return StoreError::Conflict;
    }
    match code.get(..2) {
        // Data exceptions, integrity violations, corrupted data or index.
        Some("22" | "23" | "XX") => StoreError::Corrupt(format!("refused by the database: {message}")),
        _ => StoreError::Unavailable(message.to_owned()),
    }
}

/// SQLite's extended result code with its words; none for what the driver says itself.
pub(super) fn said(error: &rusqlite::Error) -> Option<(i32, String)> {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            let words = message.clone().unwrap_or_else(|| code.to_string());
            Some((code.extended_code, words))
        }
        _ => None,
    }
}

/// Sorts by SQLite's result codes (sqlite.org/rescode.html).
fn sqlite(error: &rusqlite::Error) -> StoreError {
    let Some((code, message)) = said(error) else {
        return match error {
            rusqlite::Error::Utf8Error(..) | rusqlite::Error::InvalidColumnType(..) => {
                StoreError::Corrupt(error.to_string())
            }
            _ => StoreError::Unavailable(error.to_string()),
        };
    };
    // SQLITE_CONSTRAINT_PRIMARYKEY and SQLITE_CONSTRAINT_UNIQUE.
    if matches!(code, 1555 | 2067) {
        return StoreError::Conflict;
    }
    sqlite_code(code, &message)
}

fn damaged(message: &str) -> String {
    format!("the database file is damaged, restore it from a backup ({message})")
}

fn sqlite_code(code: i32, message: &str) -> StoreError {
    // The low byte is the primary code; the rest says more about it.
    match code & 0xff {
        5 | 6 => {
            StoreError::Unavailable(format!("the database file is locked by another process ({message})"))
        }
        8 => StoreError::Unavailable(format!("the database file is read-only ({message})")),
        10 => StoreError::Unavailable(format!(
            "the database file cannot be read or written: check the disk, its mount, quotas and limits ({message})"
        )),
        13 => StoreError::Unavailable(format!("the disk is full ({message})")),
        11 | 26 => StoreError::Corrupt(damaged(message)),
        18..=20 => StoreError::Corrupt(format!("refused by the database: {message}")),
        _ => StoreError::Unavailable(message.to_owned()),
    }
}
