//! Deliveries: written before they are answered, read in the order in which they came.

use super::codec::{millis, plain, timestamp, unescaped};
use super::database::{Database, Session};
use super::dialect::Dialect;
use super::error::{Failure, corrupt};
use super::sql::{Columns, ROWS_MAX, Row, Statement, Value};
use crate::engine::ports::{Delivery, PEEK_BYTES_MAX, Source, StoreError};

/// Writes deliveries. The hot path: a batch that fits one statement needs no transaction of its own.
pub(super) async fn append(database: &Database, deliveries: Vec<Delivery>) -> Result<(), StoreError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    database.refuse_when_damaged()?;
    let mut statements: Vec<Statement> =
        deliveries.chunks(ROWS_MAX).map(|chunk| insert(database.dialect, chunk)).collect();
    let single = if statements.len() == 1 { statements.pop() } else { None };
    match single {
        Some(single) => {
            database.write(move |session| Box::pin(single.execute(session))).await?;
        }
        None => database.write(move |session| Box::pin(append_chunks(session, statements))).await?,
    }
    database.tell_news();
    Ok(())
}

async fn append_chunks(session: &mut Session, statements: Vec<Statement>) -> Result<(), Failure> {
    let mut transaction = session.begin().await?;
    for statement in statements {
        statement.execute(&mut transaction).await?;
    }
    transaction.commit().await
}

/// A delivery that is there already is left as it is: the caller repeats a call whose answer was lost.
fn insert(dialect: Dialect, deliveries: &[Delivery]) -> Statement {
    let rows = deliveries.iter().map(|delivery| {
        [
            Value::from(plain(&delivery.id).into_owned()),
            Value::from(delivery.source.as_str()),
            Value::from(millis(delivery.received_at)),
            Value::from(delivery.body.clone()),
        ]
    });
    Statement::new(
        dialect,
        "INSERT INTO inbox (id, source, received_at, body) SELECT column1, column2, column3, column4 FROM ",
    )
    .rows(rows)
    .text(" AS v WHERE column1 IS NOT NULL ON CONFLICT (id) DO NOTHING")
}

/// The oldest deliveries after one; identities sort by time, and none is empty. Sizes are asked for first, so that a queue of large bodies is never
/// in memory as a whole.
pub(super) async fn peek(
    database: &Database,
    after: String,
    limit: u32,
) -> Result<Vec<Delivery>, StoreError> {
    let dialect = database.dialect;
    let after = plain(&after).into_owned();
    database.read(move |session| Box::pin(oldest(dialect, session, after, limit))).await
}

async fn oldest(
    dialect: Dialect,
    session: &mut Session,
    after: String,
    limit: u32,
) -> Result<Vec<Delivery>, Failure> {
    let sizes =
        Statement::new(dialect, "SELECT id, CAST(LENGTH(body) AS BIGINT) AS bytes FROM inbox WHERE id > ")
            .bind(after.clone())
            .text(" ORDER BY id LIMIT ")
            .bind(i64::from(limit))
            .fetch(session)
            .await?;
    let (mut count, mut bytes, mut last) = (0, 0, None);
    for row in sizes.iter().map(Columns) {
        if bytes >= PEEK_BYTES_MAX {
            break;
        }
        count += 1;
        bytes += row.int("bytes")?.unsigned_abs();
        last = Some(row.text("id")?);
    }
    let Some(last) = last else { return Ok(Vec::new()) };
    Statement::new(dialect, "SELECT id, source, received_at, body FROM inbox WHERE id > ")
        .bind(after)
        .text(" AND id <= ")
        .bind(last)
        .text(" ORDER BY id LIMIT ")
        .bind(count)
        .fetch(session)
        .await?
        .iter()
        .map(delivery)
        .collect()
}

fn delivery(row: &Row) -> Result<Delivery, Failure> {
    let columns = Columns(row);
    let id = unescaped(columns.text("id")?);
    let source = match columns.text("source")?.as_str() {
        "alertmanager" => Source::Alertmanager,
        "grafana" => Source::Grafana,
        "pagerduty" => Source::PagerDuty,
        "slack" => Source::Slack,
        "reconciler" => Source::Reconciler,
        "own" => Source::Own,
        other => {
            return Err(corrupt(format_args!("delivery {id}"), format_args!("unknown source `{other}`")));
        }
    };
    let received_at = timestamp("delivery", columns.int("received_at")?)?;
    Ok(Delivery { id, source, received_at, body: columns.bytes("body")? })
}

/// How many deliveries wait.
pub(super) async fn depth(database: &Database) -> Result<u64, StoreError> {
    let statement = Statement::new(database.dialect, "SELECT COUNT(*) AS waiting FROM inbox");
    let rows = database.read(move |session| Box::pin(statement.fetch(session))).await?;
    let row = rows.first().ok_or_else(|| corrupt("inbox", "COUNT gave no row"))?;
    Ok(u64::try_from(Columns(row).int("waiting")?).unwrap_or(0))
}
