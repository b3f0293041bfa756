//! What people see: lists, single incidents, counts, kept texts.

use super::codec::{self, corrupt_word, from_json, plain, timestamp, unescaped};
use super::database::{Database, Session};
use super::dialect::Dialect;
use super::error::Failure;
use super::load::record;
use super::sql::{Columns, Row, Statement};
use super::trail;
use crate::domain::apply::Document;
use crate::domain::correlate::CorrelationKey;
use crate::domain::diagnosis::Finding;
use crate::domain::incident::{Incident, IncidentId, IncidentStatus};
use crate::domain::rule::RuleHash;
use crate::domain::severity::Severity;
use crate::domain::temporary::TemporaryFix;
use crate::engine::ports::{
    IncidentQuery, IncidentView, Neighbour, Neighbours, PastKeys, PastQuery, StoreError, TEMPORARY_MAX,
};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most incidents of one page.
const PAGE_MAX: u32 = 500;

/// How many of the newest open incidents are looked at one by one. So many within a few minutes are a storm, whatever their
/// rules are. Every step that decides reads them: a thousand took a tenth of what a step costs.
const NEWEST_OPEN_MAX: usize = 256;

/// Most alerts of one view: a group of twenty thousand is counted, not listed.
const ALERTS_MAX: i64 = 500;

/// A page of incidents, newest first.
pub(super) async fn incidents(
    database: &Database,
    query: IncidentQuery,
) -> Result<Vec<Incident>, StoreError> {
    let dialect = database.dialect;
    database.read(move |session| Box::pin(async move { page(dialect, session, &query).await })).await
}

async fn page(
    dialect: Dialect,
    session: &mut Session,
    query: &IncidentQuery,
) -> Result<Vec<Incident>, Failure> {
    let limit = query.limit.min(PAGE_MAX);
    // Each status has an order of its own in the index; the page is merged out of one look at each.
    let filters: BTreeSet<&'static str> =
        query.statuses.iter().map(|status| status_filter(*status)).collect();
    let filters = if filters.is_empty() { BTreeSet::from(["WHERE TRUE"]) } else { filters };
    let mut found = Vec::new();
    for filter in filters {
        let mut statement = Statement::new(dialect, "SELECT body FROM incident ").text(filter);
        if let Some(after) = &query.after {
            statement = statement.text(" AND id < ").bind(plain(&after.0).into_owned());
        }
        let rows = statement.text(" ORDER BY id DESC LIMIT ").bind(i64::from(limit)).fetch(session).await?;
        for row in &rows {
            match codec::incident(Columns(row).str("body")?) {
                Ok(incident) => found.push(incident),
                // One row that is damaged, or that a newer version wrote, must not hide all the others.
                Err(failure) => {
                    tracing::error!(error = %StoreError::from(failure), "an incident cannot be listed");
                }
            }
        }
    }
    found.sort_unstable_by(|left: &Incident, right| right.id.cmp(&left.id));
    found.truncate(limit as usize);
    Ok(found)
}

/// The open ones say so twice, in the words of the partial index.
fn status_filter(status: IncidentStatus) -> &'static str {
    match status {
        IncidentStatus::Triggered => "WHERE status = 'triggered' AND status <> 'resolved'",
        IncidentStatus::Acknowledged => "WHERE status = 'acknowledged' AND status <> 'resolved'",
        IncidentStatus::Resolved => "WHERE status = 'resolved'",
    }
}

/// Incidents that are over, those that ended last coming first, out of the index over keys and ends.
pub(super) async fn past(database: &Database, query: PastQuery) -> Result<Vec<Incident>, StoreError> {
    let PastQuery { keys, since, limit } = query;
    let statement =
        Statement::new(database.dialect, "SELECT body FROM incident WHERE status = 'resolved' AND ");
    let statement = match &keys {
        PastKeys::One(key) => statement.text("key = ").bind(plain(&key.0).into_owned()),
        PastKeys::OfRule(rule) => {
            let (from, to) = CorrelationKey::range_of_rule(rule);
            let from = statement.text("key >= ").bind(plain(&from).into_owned());
            from.text(" AND key < ").bind(plain(&to).into_owned())
        }
    };
    let statement = statement
        .text(" AND ended_at >= ")
        .bind(since.as_millisecond())
        .text(" ORDER BY ended_at DESC, id DESC LIMIT ")
        .bind(i64::from(limit.min(PAGE_MAX)));
    let rows = database.read(move |session| Box::pin(statement.fetch(session))).await?;
    let read = |row| codec::incident(Columns(row).str("body")?);
    let found = rows.iter().map(read).collect::<Result<Vec<_>, Failure>>()?;
    // A long rule shares the beginning of its keys with others.
    let is_meant = |incident: &Incident| !matches!(&keys, PastKeys::OfRule(rule) if incident.rule != *rule);
    Ok(found.into_iter().filter(is_meant).collect())
}

/// Open incidents, oldest first: the newest [`NEWEST_OPEN_MAX`] of each status. Where even the oldest of these began since
/// then, there is a storm.
pub(super) async fn neighbours(database: &Database, since: Timestamp) -> Result<Neighbours, StoreError> {
    let dialect = database.dialect;
    database.read(move |session| Box::pin(newest_open(dialect, session, since))).await
}

async fn newest_open(
    dialect: Dialect,
    session: &mut Session,
    since: Timestamp,
) -> Result<Neighbours, Failure> {
    let mut found = Neighbours::default();
    for status in [IncidentStatus::Triggered, IncidentStatus::Acknowledged] {
        let rows = Statement::new(dialect, "SELECT id, rule, key, started_at FROM incident ")
            .text(status_filter(status))
            .text(" ORDER BY id DESC LIMIT ")
            .bind(i64::try_from(NEWEST_OPEN_MAX).expect("it is small"))
            .fetch(session)
            .await?;
        let of_status = rows.iter().map(neighbour).collect::<Result<Vec<_>, Failure>>()?;
        if let (Some(oldest), NEWEST_OPEN_MAX) = (of_status.last(), of_status.len()) {
            found.known_from = found.known_from.max(Some(oldest.id.clone()));
            found.is_storm |= of_status.iter().all(|one| one.started_at >= since);
        }
        found.incidents.extend(of_status);
    }
    found.incidents.sort_unstable_by(|left, right| left.id.cmp(&right.id));
    Ok(found)
}

fn neighbour(row: &Row) -> Result<Neighbour, Failure> {
    let columns = Columns(row);
    Ok(Neighbour {
        id: IncidentId(unescaped(columns.text("id")?)),
        rule: unescaped(columns.text("rule")?),
        key: CorrelationKey(unescaped(columns.text("key")?)),
        started_at: timestamp("incident", columns.int("started_at")?)?,
    })
}

/// Keys of open incidents of a rule, out of their index alone.
pub(super) async fn keys_of_rule(
    database: &Database,
    rule: &str,
    limit: u32,
) -> Result<Vec<CorrelationKey>, StoreError> {
    let (from, to) = CorrelationKey::range_of_rule(rule);
    let statement =
        Statement::new(database.dialect, "SELECT key FROM incident WHERE status <> 'resolved' AND key >= ")
            .bind(plain(&from).into_owned())
            .text(" AND key < ")
            .bind(plain(&to).into_owned())
            .text(" LIMIT ")
            .bind(i64::from(limit));
    let rows = database.read(move |session| Box::pin(statement.fetch(session))).await?;
    let key = |row| Ok(CorrelationKey(unescaped(Columns(row).text("key")?)));
    Ok(rows.iter().map(key).collect::<Result<_, Failure>>()?)
}

/// Temporary fixes in force, those that end first coming first.
pub(super) async fn temporary_fixes(database: &Database) -> Result<Vec<TemporaryFix>, StoreError> {
    let dialect = database.dialect;
    let read = async move |session: &mut Session| -> Result<Vec<TemporaryFix>, Failure> {
        let rows = Statement::new(dialect, "SELECT body FROM temporary_fix ORDER BY until, action_id LIMIT ")
            .bind(i64::try_from(TEMPORARY_MAX).expect("it is small"))
            .fetch(session)
            .await?;
        rows.iter().map(|row| from_json("temporary_fix", Columns(row).str("body")?)).collect()
    };
    database.read(move |session| Box::pin(async move { read(session).await })).await
}

/// One incident with everything.
pub(super) async fn incident(
    database: &Database,
    id: &IncidentId,
) -> Result<Option<IncidentView>, StoreError> {
    let (dialect, id) = (database.dialect, id.clone());
    database.read(move |session| Box::pin(async move { view(dialect, session, &id).await })).await
}

async fn view(
    dialect: Dialect,
    session: &mut Session,
    id: &IncidentId,
) -> Result<Option<IncidentView>, Failure> {
    let key = plain(&id.0).into_owned();
    let rows = Statement::new(dialect, "SELECT body FROM incident WHERE id = ")
        .bind(key.clone())
        .fetch(session)
        .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let incident = codec::incident(Columns(row).str("body")?)?;

    let alerts = Statement::new(
        dialect,
        "SELECT status, starts_at, ends_at, updated_at, body FROM alert WHERE incident_id = ",
    )
    .bind(key.clone())
    // Of more than are listed those that fire are wanted: they are shown, and silenced.
    .text(" ORDER BY CASE WHEN status = 'firing' THEN 0 ELSE 1 END, starts_at LIMIT ")
    .bind(ALERTS_MAX)
    .fetch(session)
    .await?;
    let mut told = Vec::with_capacity(alerts.len());
    for row in &alerts {
        let alert = from_json(format_args!("an alert of incident {id}"), Columns(row).str("body")?)?;
        told.push((record(row)?, alert));
    }
    told.sort_by_key(|(record, _)| record.starts_at);

    let lines = Statement::new(dialect, "SELECT body FROM timeline WHERE incident_id = ")
        .bind(key.clone())
        .text(" ORDER BY seq")
        .fetch(session)
        .await?;
    let mut timeline = Vec::with_capacity(lines.len());
    for row in &lines {
        let what = format_args!("a timeline line of incident {id}");
        trail::read(what, Columns(row).str("body")?, &mut timeline)?;
    }
    let findings = findings_of(dialect, session, id).await?;
    let documents = documents_of(dialect, session, key).await?;
    Ok(Some(IncidentView { incident, alerts: told, findings, documents, timeline }))
}

async fn documents_of(
    dialect: Dialect,
    session: &mut Session,
    key: String,
) -> Result<Vec<Document>, Failure> {
    let rows = Statement::new(dialect, "SELECT title, body FROM document WHERE incident_id = ")
        .bind(key)
        .text(" ORDER BY written_at, title")
        .fetch(session)
        .await?;
    let document = |row| {
        let columns = Columns(row);
        Ok(Document { title: unescaped(columns.text("title")?), body: unescaped(columns.text("body")?) })
    };
    rows.iter().map(document).collect()
}

/// The newest finding of each name, in the order of the rule.
pub(super) async fn findings(database: &Database, id: &IncidentId) -> Result<Vec<Finding>, StoreError> {
    let (dialect, id) = (database.dialect, id.clone());
    database.read(move |session| Box::pin(async move { findings_of(dialect, session, &id).await })).await
}

async fn findings_of(
    dialect: Dialect,
    session: &mut Session,
    id: &IncidentId,
) -> Result<Vec<Finding>, Failure> {
    let rows = Statement::new(dialect, "SELECT body FROM finding WHERE incident_id = ")
        .bind(plain(&id.0).into_owned())
        .text(" ORDER BY place, name")
        .fetch(session)
        .await?;
    let finding = |row| from_json(format_args!("a finding of incident {id}"), Columns(row).str("body")?);
    rows.iter().map(finding).collect()
}

/// The text of a rule or policy.
pub(super) async fn text(database: &Database, hash: &RuleHash) -> Result<Option<Value>, StoreError> {
    let statement = Statement::new(database.dialect, "SELECT body FROM rule_text WHERE hash = ")
        .bind(plain(&hash.0).into_owned());
    let rows = database.read(move |session| Box::pin(statement.fetch(session))).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(from_json(format_args!("text {}", hash.0), Columns(row).str("body")?).map(Some)?)
}

/// How many open incidents there are of each severity and status.
pub(super) async fn counts(
    database: &Database,
) -> Result<BTreeMap<(Severity, IncidentStatus), u64>, StoreError> {
    let statement = Statement::new(
        database.dialect,
        "SELECT severity, status, COUNT(*) AS standing FROM incident WHERE status <> 'resolved' \
         GROUP BY severity, status",
    );
    let rows = database.read(move |session| Box::pin(statement.fetch(session))).await?;
    Ok(rows.iter().map(count).collect::<Result<_, Failure>>()?)
}

fn count(row: &Row) -> Result<((Severity, IncidentStatus), u64), Failure> {
    let columns = Columns(row);
    let severity = columns.str("severity")?;
    let severity = severity.parse().map_err(|_| corrupt_word("severity", severity))?;
    let status = match columns.str("status")? {
        "triggered" => IncidentStatus::Triggered,
        "acknowledged" => IncidentStatus::Acknowledged,
        other => return Err(corrupt_word("status", other)),
    };
    Ok(((severity, status), u64::try_from(columns.int("standing")?).unwrap_or(0)))
}
