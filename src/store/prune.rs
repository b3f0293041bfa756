//! Deletes what is older than the retention, a bounded batch at a time, so that no transaction grows long.

use super::codec::{from_json, millis};
use super::database::{Database, Session};
use super::dialect::Dialect;
use super::error::Failure;
use super::sql::{Columns, Statement, Value};
use crate::engine::ports::StoreError;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Incidents of one transaction. A hundred with all their rows take some milliseconds.
const INCIDENTS_PER_BATCH: usize = 128;

/// Other rows of one transaction.
const ROWS_PER_BATCH: u64 = 1_000;

/// How much longer than incidents the starts of actions are kept: the longest cooldown goes by them.
const STARTS_LONGER: SignedDuration = SignedDuration::from_hours(366 * 24);

/// How much longer than incidents texts are kept: longer than [`crate::engine::step::TEXT_TAKEN_FOR`].
const TEXTS_LONGER: SignedDuration = SignedDuration::from_hours(2 * 24);

/// Deletes what ended before then; returns how many incidents went.
pub(super) async fn prune(database: &Database, ended_before: Timestamp) -> Result<u64, StoreError> {
    let before = millis(ended_before);
    let mut pruned = 0;
    loop {
        // The writer is given up between batches: whoever waits for it comes first.
        let dialect = database.dialect;
        let count = database.write(move |session| Box::pin(incidents(dialect, session, before))).await?;
        pruned += count;
        if count < INCIDENTS_PER_BATCH as u64 {
            break;
        }
    }
    for old in [
        "DELETE FROM alert WHERE incident_id = '' AND fingerprint IN (SELECT fingerprint FROM alert \
         WHERE incident_id = '' AND starts_at < ",
        "DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter WHERE failed_at < ",
    ] {
        rows(database, old, before).await?;
    }
    let starts_before = ended_before.checked_sub(STARTS_LONGER).unwrap_or(Timestamp::MIN);
    let old = "DELETE FROM action_start WHERE started_at IN (SELECT started_at FROM action_start WHERE started_at < ";
    rows(database, old, millis(starts_before)).await?;
    texts(database, ended_before).await?;
    Ok(pruned)
}

/// Deletes texts of rules and policies that no incident refers to any more.
///
/// An incident writes its text when it opens, or knows that a day before at most it was written: one that was not taken
/// for longer is referred to by incidents alone that opened before, and those that are still here are looked through.
/// Whoever takes a text at this moment writes its row, which then is not as old any more.
async fn texts(database: &Database, ended_before: Timestamp) -> Result<(), StoreError> {
    let dialect = database.dialect;
    let unused = ended_before.checked_sub(TEXTS_LONGER).unwrap_or(Timestamp::MIN);
    let old = Statement::new(dialect, "SELECT hash FROM rule_text WHERE used_at < ")
        .bind(millis(unused))
        .text(" ORDER BY used_at, hash LIMIT ")
        .bind(ROWS_PER_BATCH.cast_signed());
    let read = async move |session: &mut Session| -> Result<BTreeSet<String>, Failure> {
        let rows = old.fetch(session).await?;
        rows.iter().map(|row| Columns(row).text("hash")).collect()
    };
    let mut unreferred = database.read(move |session| Box::pin(async move { read(session).await })).await?;
    if unreferred.is_empty() {
        return Ok(());
    }
    let mut after = String::new();
    loop {
        let page = Statement::new(dialect, "SELECT id, body FROM incident WHERE started_at < ")
            .bind(millis(ended_before))
            .text(" AND id > ")
            .bind(after.clone())
            .text(" ORDER BY id LIMIT ")
            .bind(INCIDENTS_PER_BATCH as i64);
        let read = async move |session: &mut Session| -> Result<Vec<(String, Referring)>, Failure> {
            let rows = page.fetch(session).await?;
            let each = rows.iter().map(|row| {
                let columns = Columns(row);
                Ok((columns.text("id")?, from_json("incident", columns.str("body")?)?))
            });
            each.collect()
        };
        let found = database.read(move |session| Box::pin(async move { read(session).await })).await?;
        for (_, Referring { rule_hash, escalation }) in &found {
            unreferred.remove(rule_hash);
            if let Some(policy) = escalation {
                unreferred.remove(&policy.hash);
            }
        }
        match found.last() {
            Some((last, _)) if !unreferred.is_empty() => after.clone_from(last),
            _ => break,
        }
    }
    if unreferred.is_empty() {
        return Ok(());
    }
    let gone = Statement::new(dialect, "DELETE FROM rule_text WHERE used_at < ")
        .bind(millis(unused))
        .text(" AND hash IN ")
        .rows(unreferred.into_iter().map(|hash| [Value::from(hash)]));
    database.write(move |session| Box::pin(gone.execute(session))).await.map(|_| ())
}

/// Which texts an incident keeps to.
#[derive(Deserialize)]
struct Referring {
    rule_hash: String,
    #[serde(default)]
    escalation: Option<Policy>,
}

#[derive(Deserialize)]
struct Policy {
    hash: String,
}

async fn incidents(dialect: Dialect, session: &mut Session, before: i64) -> Result<u64, Failure> {
    let found = Statement::new(dialect, "SELECT id FROM incident WHERE status = 'resolved' AND ended_at < ")
        .bind(before)
        .text(" ORDER BY ended_at LIMIT ")
        .bind(INCIDENTS_PER_BATCH as i64)
        .fetch(session)
        .await?;
    if found.is_empty() {
        return Ok(0);
    }
    let mut ids = Vec::with_capacity(found.len());
    for row in &found {
        ids.push([Value::from(Columns(row).text("id")?)]);
    }
    let mut transaction = session.begin().await?;
    // The incidents first, looked at again under their locks: one that was opened again in between stays.
    let gone = Statement::new(dialect, "DELETE FROM incident WHERE status = 'resolved' AND ended_at < ")
        .bind(before)
        .text(" AND id IN ")
        .rows(ids)
        .text(" RETURNING id")
        .fetch(&mut transaction)
        .await?;
    let mut ids = Vec::with_capacity(gone.len());
    for row in &gone {
        ids.push([Value::from(Columns(row).text("id")?)]);
    }
    if !ids.is_empty() {
        for table in [
            "DELETE FROM alert WHERE incident_id IN ",
            "DELETE FROM timeline WHERE incident_id IN ",
            "DELETE FROM finding WHERE incident_id IN ",
            "DELETE FROM document WHERE incident_id IN ",
        ] {
            Statement::new(dialect, table).rows(ids.iter().cloned()).execute(&mut transaction).await?;
        }
        // An effect's identity begins with its incident's.
        Statement::new(dialect, "DELETE FROM effect WHERE id IN (SELECT effect.id FROM ")
            .rows(ids)
            .text(
                " AS v JOIN effect ON effect.id >= column1 || '-e' AND effect.id < column1 || '-f' \
                 WHERE column1 IS NOT NULL)",
            )
            .execute(&mut transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(gone.len() as u64)
}

async fn rows(database: &Database, old: &'static str, before: i64) -> Result<(), StoreError> {
    loop {
        let statement = Statement::new(database.dialect, old)
            .bind(before)
            .text(" LIMIT ")
            .bind(ROWS_PER_BATCH.cast_signed())
            .text(")");
        if database.write(move |session| Box::pin(statement.execute(session))).await? < ROWS_PER_BATCH {
            return Ok(());
        }
    }
}
