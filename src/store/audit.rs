//! What the audit looks at: incidents whose next step is not there, and what is due and not worked on.

use super::codec::{millis, unescaped};
use super::database::{Database, Session};
use super::dialect::Dialect;
use super::error::Failure;
use super::sql::{Columns, Row, Statement, Value};
use crate::domain::incident::IncidentId;
use crate::engine::ports::{AuditView, StoreError};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Incidents that one audit names. Where there are more, the next audits find them.
const WITHOUT_STEP_MAX: i64 = 256;

/// Open incidents that nobody has and that are to escalate further: with a time for the next step, or with a policy that
/// is not used up, which the fallback of urgent ones never is; those whose acknowledgement is to expire; and those whose silence is to end.
/// Of each the effects lie together in the primary key, so a look costs as much as there are open incidents. In JSON a
/// quote within a text is escaped, so the patterns are only met where they are keys and words of ours.
const WITHOUT_STEP: &str = "SELECT i.id FROM incident AS i WHERE i.status = 'triggered' AND i.status <> 'resolved' \
     AND (i.next_escalation_at IS NOT NULL OR (i.body LIKE '%\"escalation\":{\"policy\":%' \
     AND (i.severity IN ('P0', 'P1') OR i.body NOT LIKE '%,\"used_up\":true}%'))) \
     AND NOT EXISTS (SELECT 1 FROM effect AS e WHERE e.id > i.id || '-e' AND e.id < i.id || '-f' \
     AND e.kind = 'wake' AND e.body = '{\"wake\":\"escalate\"}') \
     UNION ALL SELECT i.id FROM incident AS i WHERE i.status = 'acknowledged' AND i.status <> 'resolved' \
     AND i.body LIKE '%[\"acknowledgement_expires\",\"%' \
     AND NOT EXISTS (SELECT 1 FROM effect AS e WHERE e.id > i.id || '-e' AND e.id < i.id || '-f' \
     AND e.kind = 'wake' AND e.body = '{\"wake\":\"acknowledgement_expires\"}') \
     UNION ALL SELECT i.id FROM incident AS i WHERE i.status = 'acknowledged' AND i.status <> 'resolved' \
     AND i.body LIKE '%[\"silence\",\"%' \
     AND NOT EXISTS (SELECT 1 FROM effect AS e WHERE e.id > i.id || '-e' AND e.id < i.id || '-f' \
     AND e.kind = 'wake' AND e.body = '{\"wake\":\"silence\"}') LIMIT ";

/// Wakes that could have been claimed since then.
const OVERDUE_WAKES: &str = "SELECT COUNT(*) AS waiting FROM effect WHERE kind = 'wake' AND queue IS NULL \
     AND urgent IN (0, 1) AND ready_at < ";

/// Deliveries that have been waiting since then.
const OVERDUE_DELIVERIES: &str = "SELECT COUNT(*) AS waiting FROM inbox WHERE received_at < ";

pub(super) async fn audit(database: &Database, overdue: Timestamp) -> Result<AuditView, StoreError> {
    let dialect = database.dialect;
    database.read(move |session| Box::pin(look(dialect, session, millis(overdue)))).await
}

async fn look(dialect: Dialect, session: &mut Session, overdue: i64) -> Result<AuditView, Failure> {
    let rows = Statement::new(dialect, WITHOUT_STEP).bind(WITHOUT_STEP_MAX).fetch(session).await?;
    let id = |row: &Row| Ok(IncidentId(unescaped(Columns(row).text("id")?)));
    Ok(AuditView {
        without_step: rows.iter().map(id).collect::<Result<_, Failure>>()?,
        overdue_wakes: count(dialect, session, OVERDUE_WAKES, overdue).await?,
        overdue_deliveries: count(dialect, session, OVERDUE_DELIVERIES, overdue).await?,
    })
}

async fn count(
    dialect: Dialect,
    session: &mut Session,
    text: &'static str,
    before: i64,
) -> Result<u64, Failure> {
    let rows = Statement::new(dialect, text).bind(before).fetch(session).await?;
    let waiting = rows.first().map_or(Ok(0), |row| Columns(row).int("waiting"))?;
    Ok(u64::try_from(waiting).unwrap_or(0))
}

/// When each watchdog was last heard.
pub(super) async fn beats(database: &Database) -> Result<BTreeMap<String, Timestamp>, StoreError> {
    let statement = Statement::new(database.dialect, "SELECT name, heard_at FROM beat");
    let rows = database.read(move |session| Box::pin(statement.fetch(session))).await?;
    let beat = |row: &Row| {
        let columns = Columns(row);
        Ok((unescaped(columns.text("name")?), super::codec::timestamp("beat", columns.int("heard_at")?)?))
    };
    Ok(rows.iter().map(beat).collect::<Result<_, Failure>>()?)
}

/// A row of the table of beats.
pub(super) fn beat_columns(name: &str, at: Timestamp) -> [Value; 2] {
    [Value::from(super::codec::plain(name).into_owned()), Value::from(millis(at))]
}
