//! The few places in which SQLite and PostgreSQL want different words. Everything else is one SQL text.

/// The database behind the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Embedded, one process.
    Sqlite,
    /// Shared by replicas.
    Postgres,
}

impl Dialect {
    /// Begins a transaction that may write.
    ///
    /// SQLite would otherwise start as a reader and fail at its first write (`SQLITE_BUSY_SNAPSHOT`) where somebody
    /// wrote in between, and no busy timeout helps with that.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Suffix of a subquery whose rows are taken: rows that another worker is taking are left to it.
    pub(super) fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// Writes the placeholder of parameter `number`, counted from 1.
    ///
    /// SQLite gets bare question marks: it keeps numbered ones as names in a list that is searched once for each
    /// parameter, which makes a statement of a thousand parameters five times as slow.
    pub(super) fn placeholder(self, number: usize, sql: &mut String) {
        match self {
            Self::Sqlite => sql.push('?'),
            Self::Postgres => {
                sql.push('$');
                sql.push_str(&number.to_string());
            }
        }
    }

    /// Fills the type words into the text of a migration.
    pub(super) fn migration(self, text: &str) -> String {
        let (key, bytes, clustered) = match self {
            Self::Sqlite => ("TEXT", "BLOB", " WITHOUT ROWID"),
            Self::Postgres => ("TEXT COLLATE \"C\"", "BYTEA", ""),
        };
        text.replace("{{key}}", key).replace("{{bytes}}", bytes).replace("{{clustered}}", clustered)
    }
}
