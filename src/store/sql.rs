//! Builds statements with many rows, and reads rows back.
//!
//! A statement costs a round trip (to PostgreSQL, or to the thread that owns the SQLite connection), so a batch is
//! one statement, not one for each row. Row counts are rounded up to powers of two with rows of NULLs that the
//! statement filters out, so that few texts exist and the prepared ones are used again.

use super::dialect::Dialect;
use super::error::{Failure, unreadable};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{AnyConnection, Arguments, AssertSqlSafe, Row};

/// Most rows of one statement. 256 rows of 13 columns stay far below the parameter limits (32,766 in SQLite,
/// 65,535 in PostgreSQL) and keep the prepared statements small.
pub(super) const ROWS_MAX: usize = 256;

/// One value of a row or a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Int(i64),
    NoInt,
    Text(String),
    NoText,
    Bytes(Vec<u8>),
}

impl Value {
    /// NULL of the same type: PostgreSQL wants to know the type of every parameter.
    fn absent(&self) -> Absent {
        match self {
            Self::Int(_) | Self::NoInt => Absent::Int,
            Self::Text(_) | Self::NoText => Absent::Text,
            Self::Bytes(_) => Absent::Bytes,
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Self::NoInt, Self::Int)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::NoText, Self::Text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

#[derive(Debug, Clone, Copy)]
enum Absent {
    Int,
    Text,
    Bytes,
}

/// A statement in the making: pieces of text and parameters in the order in which they stand.
pub(super) struct Statement {
    dialect: Dialect,
    text: String,
    arguments: AnyArguments,
}

impl Statement {
    /// Begins with a text of ours. Nothing from outside may ever become text.
    pub(super) fn new(dialect: Dialect, text: &'static str) -> Self {
        Self { dialect, text: text.to_owned(), arguments: AnyArguments::default() }
    }

    /// Adds more text of ours.
    pub(super) fn text(mut self, text: &'static str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Adds one parameter.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.placeholder();
        self.add(value.into());
        self
    }

    /// Adds `(VALUES (…), (…))` for the rows, of which there must be one at least. A row of NULLs may follow: the
    /// text around must not take rows whose first column is NULL.
    pub(super) fn rows<const N: usize>(mut self, rows: impl IntoIterator<Item = [Value; N]>) -> Self {
        let rows = rows.into_iter();
        self.arguments.reserve(rows.size_hint().0.next_power_of_two() * N, 0);
        self.text.push_str("(VALUES ");
        let mut count = 0_usize;
        let mut kinds = [Absent::Int; N];
        for row in rows {
            if count == 0 {
                kinds = std::array::from_fn(|column| row[column].absent());
            }
            self.row_text::<N>(count);
            row.into_iter().for_each(|value| self.add(value));
            count += 1;
        }
        for padding in count..count.next_power_of_two() {
            self.row_text::<N>(padding);
            for kind in kinds {
                self.add_absent(kind);
            }
        }
        self.text.push(')');
        self
    }

    fn row_text<const N: usize>(&mut self, before: usize) {
        self.text.push_str(if before == 0 { "(" } else { ",(" });
        // The parameters are added after the text of the row, so their numbers are counted here.
        let added = self.arguments.len();
        for column in 0..N {
            if column > 0 {
                self.text.push(',');
            }
            self.dialect.placeholder(added + column + 1, &mut self.text);
        }
        self.text.push(')');
    }

    fn placeholder(&mut self) {
        self.dialect.placeholder(self.arguments.len() + 1, &mut self.text);
    }

    fn add(&mut self, value: Value) {
        let added = match value {
            Value::Int(value) => self.arguments.add(value),
            Value::Text(value) => self.arguments.add(value),
            Value::Bytes(value) => self.arguments.add(value),
            Value::NoInt => self.arguments.add(None::<i64>),
            Value::NoText => self.arguments.add(None::<String>),
        };
        added.expect("integers, texts and bytes always encode");
    }

    fn add_absent(&mut self, kind: Absent) {
        let added = match kind {
            Absent::Int => self.arguments.add(None::<i64>),
            Absent::Text => self.arguments.add(None::<String>),
            Absent::Bytes => self.arguments.add(None::<Vec<u8>>),
        };
        added.expect("NULLs always encode");
    }

    /// Runs it; returns how many rows it changed.
    pub(super) async fn execute(self, connection: &mut AnyConnection) -> Result<u64, Failure> {
        let query = sqlx::query_with(AssertSqlSafe(self.text), self.arguments);
        Ok(query.execute(connection).await?.rows_affected())
    }

    /// Runs it; returns its rows.
    pub(super) async fn fetch(self, connection: &mut AnyConnection) -> Result<Vec<AnyRow>, Failure> {
        let query = sqlx::query_with(AssertSqlSafe(self.text), self.arguments);
        Ok(query.fetch_all(connection).await?)
    }
}

/// Reads columns of a row, naming what could not be read.
pub(super) struct Columns<'r>(pub(super) &'r AnyRow);

impl Columns<'_> {
    pub(super) fn int(&self, name: &'static str) -> Result<i64, Failure> {
        self.0.try_get(name).map_err(|error| unreadable(name, &error))
    }

    pub(super) fn maybe_int(&self, name: &'static str) -> Result<Option<i64>, Failure> {
        self.0.try_get(name).map_err(|error| unreadable(name, &error))
    }

    pub(super) fn text(&self, name: &'static str) -> Result<String, Failure> {
        self.0.try_get(name).map_err(|error| unreadable(name, &error))
    }

    pub(super) fn maybe_text(&self, name: &'static str) -> Result<Option<String>, Failure> {
        self.0.try_get(name).map_err(|error| unreadable(name, &error))
    }

    pub(super) fn bytes(&self, name: &'static str) -> Result<Vec<u8>, Failure> {
        self.0.try_get(name).map_err(|error| unreadable(name, &error))
    }
}
