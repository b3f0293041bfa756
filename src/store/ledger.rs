//! What limits and pauses are judged over. Its one version row orders all replicas.

use super::codec::{from_json, millis, plain, timestamp, unescaped};
use super::database::{Database, Session};
use super::dialect::Dialect;
use super::error::{Failure, corrupt};
use super::sql::{Columns, Row, Statement};
use crate::domain::action::ActionId;
use crate::domain::guardrail::{Pause, Start, StartEnd, StartResult};
use crate::engine::ports::{Ledger, PauseChange, StoreError};
use jiff::Timestamp;

/// The ledger. The version is read first: whatever changes while the rest is read makes the later commit fail.
pub(super) async fn ledger(database: &Database, since: Timestamp) -> Result<Ledger, StoreError> {
    let dialect = database.dialect;
    database.read(move |session| Box::pin(read(dialect, session, since))).await
}

async fn read(dialect: Dialect, session: &mut Session, since: Timestamp) -> Result<Ledger, Failure> {
    let rows = Statement::new(dialect, "SELECT version FROM ledger WHERE id = 1").fetch(session).await?;
    let row = rows.first().ok_or_else(|| corrupt("ledger", "its row is missing"))?;
    let version = u64::try_from(Columns(row).int("version")?).map_err(|error| corrupt("ledger", error))?;
    let pauses = pauses_in_force(dialect, session).await?;
    let starts = Statement::new(
        dialect,
        "SELECT remedy, target, others, namespace, started_at, action_id, ended_at, result FROM action_start \
         WHERE started_at >= ",
    )
    .bind(millis(since))
    .text(" OR (action_id IS NOT NULL AND ended_at IS NULL) ORDER BY started_at")
    .fetch(session)
    .await?;
    let starts = starts.iter().map(start).collect::<Result<_, _>>()?;
    Ok(Ledger { version, pauses, starts })
}

fn start(row: &Row) -> Result<Start, Failure> {
    let columns = Columns(row);
    Ok(Start {
        remedy: unescaped(columns.text("remedy")?),
        target: unescaped(columns.text("target")?),
        others: match columns.maybe_text("others")? {
            Some(text) => from_json("the objects of an action", &text)?,
            None => Vec::new(),
        },
        namespace: columns.maybe_text("namespace")?.map(unescaped),
        at: timestamp("action_start", columns.int("started_at")?)?,
        action: columns.maybe_text("action_id")?.map(unescaped).map(ActionId),
        end: end(&columns)?,
    })
}

fn end(columns: &Columns<'_>) -> Result<Option<StartEnd>, Failure> {
    let Some(at) = columns.maybe_int("ended_at")? else { return Ok(None) };
    let word = columns.maybe_text("result")?.unwrap_or_default();
    let result = StartResult::from_word(&word)
        .ok_or_else(|| corrupt("action_start", format!("`{word}` is no result")))?;
    Ok(Some(StartEnd { at: timestamp("action_start", at)?, result }))
}

/// Pauses in force.
pub(super) async fn pauses(database: &Database) -> Result<Vec<Pause>, StoreError> {
    let dialect = database.dialect;
    database.read(move |session| Box::pin(pauses_in_force(dialect, session))).await
}

async fn pauses_in_force(dialect: Dialect, session: &mut Session) -> Result<Vec<Pause>, Failure> {
    let rows =
        Statement::new(dialect, "SELECT namespace, set_by, reason, since FROM pause ORDER BY namespace")
            .fetch(session)
            .await?;
    rows.iter().map(pause).collect()
}

fn pause(row: &Row) -> Result<Pause, Failure> {
    let columns = Columns(row);
    let namespace = unescaped(columns.text("namespace")?);
    Ok(Pause {
        namespace: (!namespace.is_empty()).then_some(namespace),
        by: unescaped(columns.text("set_by")?),
        reason: unescaped(columns.text("reason")?),
        since: timestamp("pause", columns.int("since")?)?,
    })
}

/// Sets or lifts a pause, and raises the version, so that what was judged before must be judged again.
pub(super) async fn set_pause(database: &Database, change: PauseChange) -> Result<(), StoreError> {
    let dialect = database.dialect;
    database.write(move |session| Box::pin(changed(dialect, session, change))).await
}

async fn changed(dialect: Dialect, session: &mut Session, change: PauseChange) -> Result<(), Failure> {
    let mut transaction = session.begin().await?;
    let statement = match change {
        PauseChange::Set(pause) => Statement::new(
            dialect,
            "INSERT INTO pause (namespace, set_by, reason, since) VALUES (",
        )
        .bind(scope(pause.namespace.as_deref()))
        .text(", ")
        .bind(plain(&pause.by).into_owned())
        .text(", ")
        .bind(plain(&pause.reason).into_owned())
        .text(", ")
        .bind(millis(pause.since))
        .text(
            ") ON CONFLICT (namespace) DO UPDATE SET set_by = excluded.set_by, reason = excluded.reason, \
             since = excluded.since",
        ),
        PauseChange::Lift { namespace } => {
            Statement::new(dialect, "DELETE FROM pause WHERE namespace = ").bind(scope(namespace.as_deref()))
        }
    };
    statement.execute(&mut transaction).await?;
    Statement::new(dialect, "UPDATE ledger SET version = version + 1 WHERE id = 1")
        .execute(&mut transaction)
        .await?;
    transaction.commit().await
}

/// The column of a scope; the global pause has an empty one.
fn scope(namespace: Option<&str>) -> String {
    plain(namespace.unwrap_or_default()).into_owned()
}
