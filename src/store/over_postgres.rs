//! Statements over PostgreSQL.

use super::sql::{Row, Value};
use bytes::Bytes;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, AssertSqlSafe, Column, PgConnection, Row as _, TypeInfo};
use std::sync::Arc;

pub(super) async fn execute(
    connection: &mut PgConnection,
    text: String,
    values: Vec<Value>,
) -> Result<u64, sqlx::Error> {
    let query = sqlx::query_with(AssertSqlSafe(text), arguments(values)?);
    Ok(query.execute(connection).await?.rows_affected())
}

pub(super) async fn fetch(
    connection: &mut PgConnection,
    text: String,
    values: Vec<Value>,
) -> Result<Vec<Row>, sqlx::Error> {
    let rows = sqlx::query_with(AssertSqlSafe(text), arguments(values)?).fetch_all(connection).await?;
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let names: Arc<[String]> = first.columns().iter().map(|column| column.name().to_owned()).collect();
    rows.iter().map(|row| Ok(Row::new(&names, row_values(row)?))).collect()
}

fn arguments(values: Vec<Value>) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        match value {
            Value::Int(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Word(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(&value[..]),
            Value::NoInt => arguments.add(None::<i64>),
            Value::NoText => arguments.add(None::<String>),
            Value::NoBytes => arguments.add(None::<Vec<u8>>),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn row_values(row: &PgRow) -> Result<Vec<Value>, sqlx::Error> {
    let value = |(index, column): (usize, &sqlx::postgres::PgColumn)| {
        Ok(match column.type_info().name() {
            "INT8" => Value::from(row.try_get::<Option<i64>, _>(index)?),
            "BYTEA" => row
                .try_get::<Option<Vec<u8>>, _>(index)?
                .map_or(Value::NoBytes, |bytes| Value::from(Bytes::from(bytes))),
            // The tables hold nothing else: see the words of the migrations.
            _ => Value::from(row.try_get::<Option<String>, _>(index)?),
        })
    };
    row.columns().iter().enumerate().map(value).collect()
}
