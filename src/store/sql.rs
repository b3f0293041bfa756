//! Builds statements with many rows, and reads rows back.
//!
//! A statement costs a round trip (to PostgreSQL, or to the thread that owns the SQLite connection), so a batch is
//! one statement, not one for each row. Row counts are rounded up to powers of two with rows of NULLs that the
//! statement filters out, so that few texts exist and the prepared ones are used again.

use super::database::{Link, Session};
use super::dialect::Dialect;
use super::error::{Failure, corrupt};
use super::{over_postgres, over_sqlite};
use bytes::Bytes;
use std::sync::Arc;

/// Most rows of one statement. 256 rows of 13 columns stay far below the parameter limits (32,766 in SQLite,
/// 65,535 in PostgreSQL) and keep the prepared statements small.
pub(super) const ROWS_MAX: usize = 256;

/// One value of a row or a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Int(i64),
    NoInt,
    Text(String),
    /// A text of ours, such as the name of a status.
    Word(&'static str),
    NoText,
    Bytes(Bytes),
    NoBytes,
}

impl Value {
    /// NULL of the same type: PostgreSQL wants to know the type of every parameter.
    fn absent(&self) -> Self {
        match self {
            Self::Int(_) | Self::NoInt => Self::NoInt,
            Self::Text(_) | Self::Word(_) | Self::NoText => Self::NoText,
            Self::Bytes(_) | Self::NoBytes => Self::NoBytes,
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

impl From<&'static str> for Value {
    fn from(value: &'static str) -> Self {
        Self::Word(value)
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::NoText, Self::Text)
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Self::Bytes(value)
    }
}

/// A statement in the making: pieces of text and parameters in the order in which they stand.
pub(super) struct Statement {
    dialect: Dialect,
    text: String,
    arguments: Vec<Value>,
    /// Parameters of one row, where the statement is carried out for one row after the other.
    row_width: Option<usize>,
    /// What is tried before it for each of them.
    tried_first: Option<String>,
}

impl Statement {
    /// Begins with a text of ours. Nothing from outside may ever become text.
    pub(super) fn new(dialect: Dialect, text: &'static str) -> Self {
        Self { dialect, text: text.to_owned(), arguments: Vec::new(), row_width: None, tried_first: None }
    }

    /// Adds more text of ours.
    pub(super) fn text(mut self, text: &'static str) -> Self {
        self.text.push_str(text);
        self
    }

    /// A statement over rows, of which there must be one at least. Its texts call the values of a row `column1` and so
    /// on; `joined` is how rows come in between, such as ` FROM `. PostgreSQL gets them all at once. SQLite gets one row
    /// after the other, as parameters: there is no way to be saved, and rows that are listed would be a table of their
    /// own, made and thrown away each time.
    pub(super) fn each<const N: usize>(
        dialect: Dialect,
        before: &'static str,
        joined: &'static str,
        rows: impl IntoIterator<Item = [Value; N]>,
        after: &'static str,
    ) -> Self {
        let statement = Self::new(dialect, before);
        match dialect {
            Dialect::Postgres => statement.text(joined).rows(rows).text(" AS v").text(after),
            Dialect::Sqlite => statement.text(after).one_by_one(rows),
        }
    }

    /// What is tried first for each row, where that spares SQLite work; the statement itself is for rows that this did
    /// not change. Both have the same values.
    pub(super) fn unless(mut self, text: &'static str) -> Self {
        if self.dialect == Dialect::Sqlite {
            self.tried_first = Some(with_parameters(text));
        }
        self
    }

    /// Rows that become rows of a table: `into` names it with its columns, `values` says what goes there, and `after`
    /// what to do with those that are there.
    pub(super) fn insert<const N: usize>(
        dialect: Dialect,
        into: &'static str,
        values: &str,
        rows: impl IntoIterator<Item = [Value; N]>,
        after: &'static str,
    ) -> Self {
        let mut statement = Self::new(dialect, "INSERT INTO ").text(into);
        match dialect {
            Dialect::Postgres => {
                statement.text.push_str(" SELECT ");
                statement.text.push_str(values);
                statement.text(" FROM ").rows(rows).text(" AS v WHERE column1 IS NOT NULL").text(after)
            }
            Dialect::Sqlite => {
                statement.text.push_str(" VALUES (");
                statement.text.push_str(values);
                statement.text(")").text(after).one_by_one(rows)
            }
        }
    }

    fn one_by_one<const N: usize>(mut self, rows: impl IntoIterator<Item = [Value; N]>) -> Self {
        self.text = with_parameters(&self.text);
        self.arguments = rows.into_iter().flatten().collect();
        self.row_width = Some(N);
        self
    }

    /// Adds one parameter.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.placeholder();
        self.arguments.push(value.into());
        self
    }

    /// Adds `(VALUES (…), (…))` for the rows, of which there must be one at least. A row of NULLs may follow: the
    /// text around must not take rows whose first column is NULL.
    pub(super) fn rows<const N: usize>(mut self, rows: impl IntoIterator<Item = [Value; N]>) -> Self {
        let rows = rows.into_iter();
        self.arguments.reserve(rows.size_hint().0.next_power_of_two() * N);
        self.text.push_str("(VALUES ");
        let mut count = 0_usize;
        let mut kinds = [const { Value::NoInt }; N];
        for row in rows {
            if count == 0 {
                kinds = std::array::from_fn(|column| row[column].absent());
            }
            self.row_text::<N>(count);
            self.arguments.extend(row);
            count += 1;
        }
        for padding in count..count.next_power_of_two() {
            self.row_text::<N>(padding);
            self.arguments.extend(kinds.iter().cloned());
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

    /// Runs it; returns how many rows it changed.
    pub(super) async fn execute(self, session: &mut Session) -> Result<u64, Failure> {
        match session.link() {
            Link::Sqlite(connection) => match self.row_width {
                Some(width) => {
                    let rows = self.arguments.chunks_exact(width);
                    Ok(over_sqlite::execute_each(connection, self.tried_first.as_deref(), &self.text, rows)?)
                }
                None => Ok(over_sqlite::execute(connection, &self.text, &self.arguments)?),
            },
            Link::Postgres(connection) => {
                Ok(over_postgres::execute(connection, self.text, self.arguments).await?)
            }
        }
    }

    /// Runs it; returns its rows.
    pub(super) async fn fetch(self, session: &mut Session) -> Result<Vec<Row>, Failure> {
        match session.link() {
            Link::Sqlite(connection) => Ok(over_sqlite::fetch(connection, &self.text, &self.arguments)?),
            Link::Postgres(connection) => {
                Ok(over_postgres::fetch(connection, self.text, self.arguments).await?)
            }
        }
    }
}

/// `column1` to `columnN`, as a list.
pub(super) fn columns(count: usize) -> String {
    let mut list = String::new();
    for column in 1..=count {
        list.push_str(if column == 1 { "column" } else { ", column" });
        list.push_str(&column.to_string());
    }
    list
}

/// A text with parameters for the values of a row. No name of ours has the word in it.
fn with_parameters(text: &str) -> String {
    text.replace("column", "?")
}

/// A row as it was read.
#[derive(Debug)]
pub(super) struct Row {
    names: Arc<[String]>,
    values: Vec<Value>,
}

impl Row {
    /// A row of as many values as there are names.
    pub(super) fn new(names: &Arc<[String]>, values: Vec<Value>) -> Self {
        Self { names: Arc::clone(names), values }
    }
}

/// Reads columns of a row, naming what could not be read.
pub(super) struct Columns<'r>(pub(super) &'r Row);

impl<'r> Columns<'r> {
    pub(super) fn int(&self, name: &'static str) -> Result<i64, Failure> {
        self.maybe_int(name)?.ok_or_else(|| unreadable(name, "it is empty"))
    }

    pub(super) fn maybe_int(&self, name: &'static str) -> Result<Option<i64>, Failure> {
        match self.value(name)? {
            Value::Int(value) => Ok(Some(*value)),
            Value::NoInt | Value::NoText | Value::NoBytes => Ok(None),
            Value::Text(_) | Value::Word(_) | Value::Bytes(_) => Err(unreadable(name, "it is no integer")),
        }
    }

    pub(super) fn text(&self, name: &'static str) -> Result<String, Failure> {
        self.str(name).map(str::to_owned)
    }

    pub(super) fn str(&self, name: &'static str) -> Result<&'r str, Failure> {
        self.maybe_str(name)?.ok_or_else(|| unreadable(name, "it is empty"))
    }

    pub(super) fn maybe_text(&self, name: &'static str) -> Result<Option<String>, Failure> {
        Ok(self.maybe_str(name)?.map(str::to_owned))
    }

    fn maybe_str(&self, name: &'static str) -> Result<Option<&'r str>, Failure> {
        match self.value(name)? {
            Value::Text(value) => Ok(Some(value)),
            Value::Word(value) => Ok(Some(value)),
            Value::NoInt | Value::NoText | Value::NoBytes => Ok(None),
            Value::Int(_) | Value::Bytes(_) => Err(unreadable(name, "it is no text")),
        }
    }

    pub(super) fn bytes(&self, name: &'static str) -> Result<Bytes, Failure> {
        match self.value(name)? {
            Value::Bytes(value) => Ok(value.clone()),
            _ => Err(unreadable(name, "it holds no bytes")),
        }
    }

    fn value(&self, name: &'static str) -> Result<&'r Value, Failure> {
        let place = self.0.names.iter().position(|known| known == name);
        place
            .and_then(|place| self.0.values.get(place))
            .ok_or_else(|| unreadable(name, "the answer has no such column"))
    }
}

/// A column that does not hold what it should.
fn unreadable(column: &str, why: &str) -> Failure {
    corrupt(format_args!("column {column}"), why)
}
