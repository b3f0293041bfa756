//! Statements over SQLite. Nothing here waits for anything but the file.

use super::sql::{Row, Value};
use bytes::Bytes;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement, ToSql};
use std::sync::Arc;

/// Prepared statements that a connection keeps. There is one for each power of two of rows.
pub(super) const STATEMENTS_KEPT: usize = 128;

pub(super) fn execute(
    connection: &Connection,
    text: &str,
    arguments: &[Value],
) -> Result<u64, rusqlite::Error> {
    let mut statement = connection.prepare_cached(text)?;
    bind(&mut statement, arguments)?;
    if statement.column_count() == 0 {
        return Ok(statement.raw_execute()? as u64);
    }
    // Such as a pragma that answers with what it was set to.
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(0)
}

/// Carries a statement out for each row of arguments, unless what is tried first has changed it; returns how many rows
/// were changed in all.
pub(super) fn execute_each<'a>(
    connection: &Connection,
    tried_first: Option<&str>,
    text: &str,
    rows: impl Iterator<Item = &'a [Value]>,
) -> Result<u64, rusqlite::Error> {
    let mut first = tried_first.map(|text| connection.prepare_cached(text)).transpose()?;
    let mut statement = connection.prepare_cached(text)?;
    let mut changed = 0;
    for row in rows {
        if let Some(first) = &mut first {
            bind(first, row)?;
            let count = first.raw_execute()? as u64;
            changed += count;
            if count > 0 {
                continue;
            }
        }
        bind(&mut statement, row)?;
        changed += statement.raw_execute()? as u64;
    }
    Ok(changed)
}

pub(super) fn fetch(
    connection: &Connection,
    text: &str,
    arguments: &[Value],
) -> Result<Vec<Row>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(text)?;
    bind(&mut statement, arguments)?;
    let names: Arc<[String]> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut found = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let values = (0..names.len()).map(|column| value(row.get_ref(column)?, column));
        found.push(Row::new(&names, values.collect::<Result<_, rusqlite::Error>>()?));
    }
    Ok(found)
}

fn bind(statement: &mut Statement<'_>, arguments: &[Value]) -> Result<(), rusqlite::Error> {
    for (index, argument) in arguments.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, argument)?;
    }
    Ok(())
}

impl ToSql for Value {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>, rusqlite::Error> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Word(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
            Self::NoInt | Self::NoText | Self::NoBytes => ValueRef::Null,
        }))
    }
}

fn value(stored: ValueRef<'_>, column: usize) -> Result<Value, rusqlite::Error> {
    match stored {
        ValueRef::Null => Ok(Value::NoInt),
        ValueRef::Integer(value) => Ok(Value::Int(value)),
        ValueRef::Blob(value) => Ok(Value::Bytes(Bytes::copy_from_slice(value))),
        ValueRef::Text(value) => match std::str::from_utf8(value) {
            Ok(text) => Ok(Value::Text(text.to_owned())),
            Err(error) => Err(rusqlite::Error::Utf8Error(column, error)),
        },
        ValueRef::Real(_) => Err(rusqlite::Error::InvalidColumnType(
            column,
            "a number with a point".to_owned(),
            rusqlite::types::Type::Real,
        )),
    }
}
