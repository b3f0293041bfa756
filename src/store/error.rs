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
    /// The database said no.
    Database(sqlx::Error),
    /// Already known what the caller is to be told.
    Told(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
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
            Failure::Database(error) => sorted(&error),
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
        let Self::Database(sqlx::Error::Database(said)) = self else { return None };
        let code = said.code().filter(|code| code.len() < 5)?.parse::<u32>().ok()?;
        matches!(code & 0xff, 11 | 26).then(|| damaged(said.message()))
    }

    /// Whether the connection should not be used again: anything that the database itself did not say.
    pub(super) fn breaks_connection(&self) -> bool {
        match self {
            Self::Told(_) => false,
            Self::Database(sqlx::Error::Database(error)) => {
                // PostgreSQL ends these sessions itself (class 57P: shutdown, crash, database dropped).
                error.code().is_some_and(|code| code.starts_with("57P"))
            }
            Self::Database(_) => true,
        }
    }
}

/// A column that does not hold what it should.
pub(super) fn unreadable(column: &str, error: &sqlx::Error) -> Failure {
    Failure::Told(StoreError::Corrupt(format!("column {column}: {error}")))
}

/// A stored JSON text that does not read, named by its row.
pub(super) fn corrupt(row: impl std::fmt::Display, why: impl std::fmt::Display) -> Failure {
    Failure::Told(StoreError::Corrupt(format!("{row}: {why}")))
}

/// Sorts by SQLite's result codes (sqlite.org/rescode.html) and PostgreSQL's SQLSTATE classes (appendix A).
fn sorted(error: &sqlx::Error) -> StoreError {
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
    if said.is_unique_violation() || matches!(&*code, "40001" | "40P01") {
        return StoreError::Conflict;
    }
    if let Ok(number) = code.parse::<u32>()
        && code.len() < 5
    {
        return sqlite(number, message);
    }
    match code.get(..2) {
        // Data exceptions, integrity violations, corrupted data or index.
        Some("22" | "23" | "XX") => StoreError::Corrupt(format!("refused by the database: {message}")),
        _ => StoreError::Unavailable(message.to_owned()),
    }
}

fn damaged(message: &str) -> String {
    format!("the database file is damaged, restore it from a backup ({message})")
}

fn sqlite(code: u32, message: &str) -> StoreError {
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
