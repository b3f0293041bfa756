//! Deliveries: written before they are answered, read in the order in which they came.

use super::codec::{millis, plain, timestamp, unescaped};
use super::database::Database;
use super::error::{Failure, corrupt};
use super::sql::{Columns, ROWS_MAX, Statement, Value};
use crate::engine::ports::{Delivery, Source, StoreError};
use sqlx::any::AnyRow;

/// Writes deliveries. The hot path: a batch that fits one statement needs no transaction of its own.
pub(super) async fn append(database: &Database, deliveries: Vec<Delivery>) -> Result<(), StoreError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let mut session = database.writer().await?;
    let result = if deliveries.len() <= ROWS_MAX {
        insert(database, &deliveries).execute(&mut session).await.map(drop)
    } else {
        append_chunks(database, &mut session, &deliveries).await
    };
    session.settle(result).await?;
    database.tell_news();
    Ok(())
}

async fn append_chunks(
    database: &Database,
    session: &mut super::database::Session<'_>,
    deliveries: &[Delivery],
) -> Result<(), Failure> {
    let mut transaction = session.begin(database.dialect).await?;
    for chunk in deliveries.chunks(ROWS_MAX) {
        insert(database, chunk).execute(&mut transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// A delivery that is there already is left as it is: the caller repeats a call whose answer was lost.
fn insert(database: &Database, deliveries: &[Delivery]) -> Statement {
    let rows = deliveries.iter().map(|delivery| {
        [
            Value::from(plain(&delivery.id).into_owned()),
            Value::from(delivery.source.as_str()),
            Value::from(millis(delivery.received_at)),
            Value::from(delivery.body.to_vec()),
        ]
    });
    Statement::new(
        database.dialect,
        "INSERT INTO inbox (id, source, received_at, body) SELECT column1, column2, column3, column4 FROM ",
    )
    .rows(rows)
    .text(" AS v WHERE column1 IS NOT NULL ON CONFLICT (id) DO NOTHING")
}

/// The oldest deliveries; identities sort by time.
pub(super) async fn peek(database: &Database, limit: u32) -> Result<Vec<Delivery>, StoreError> {
    let mut session = database.reader().await?;
    let statement = Statement::new(
        database.dialect,
        "SELECT id, source, received_at, body FROM inbox ORDER BY id LIMIT ",
    )
    .bind(i64::from(limit));
    let result = statement.fetch(&mut session).await.and_then(|rows| rows.iter().map(delivery).collect());
    session.settle(result).await
}

fn delivery(row: &AnyRow) -> Result<Delivery, Failure> {
    let columns = Columns(row);
    let id = unescaped(columns.text("id")?);
    let source = match columns.text("source")?.as_str() {
        "alertmanager" => Source::Alertmanager,
        "slack" => Source::Slack,
        other => {
            return Err(corrupt(format_args!("delivery {id}"), format_args!("unknown source `{other}`")));
        }
    };
    let received_at = timestamp("delivery", columns.int("received_at")?)?;
    Ok(Delivery { id, source, received_at, body: columns.bytes("body")?.into() })
}

/// How many deliveries wait.
pub(super) async fn depth(database: &Database) -> Result<u64, StoreError> {
    let mut session = database.reader().await?;
    let statement = Statement::new(database.dialect, "SELECT COUNT(*) AS waiting FROM inbox");
    let result = statement.fetch(&mut session).await.and_then(|rows| {
        let row = rows.first().ok_or_else(|| corrupt("inbox", "COUNT gave no row"))?;
        Ok(u64::try_from(Columns(row).int("waiting")?).unwrap_or(0))
    });
    session.settle(result).await
}
