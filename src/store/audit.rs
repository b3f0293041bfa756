//! What the audit looks at: incidents whose next step is not there or of which nobody has heard, and what is due and not
//! worked on.

use super::codec::{from_json, millis, unescaped};
use super::database::{Database, Session};
use super::dialect::Dialect;
use super::error::Failure;
use super::sql::{Columns, Row, Statement, Value};
use crate::domain::effect::Effect;
use crate::domain::incident::IncidentId;
use crate::engine::ports::{AuditView, StoreError};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Incidents that one audit names. Where there are more, the next audits find them.
const WITHOUT_STEP_MAX: i64 = 256;

/// Incidents that are looked at more closely. Where there are more, the first are alarm enough.
const UNTOLD_MAX: i64 = 64;

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

/// Urgent incidents that nobody has and where something did not arrive, or waits since then. In JSON a quote within a text
/// is escaped, so the pattern is only met where it is a key of ours.
const DOUBTFUL: &str = "SELECT i.id, i.body FROM incident AS i WHERE i.status = 'triggered' AND i.status <> 'resolved' \
     AND i.severity IN ('P0', 'P1') AND (i.body LIKE '%,\"replaced\":true%' OR EXISTS (SELECT 1 FROM effect AS e \
     WHERE e.id > i.id || '-e' AND e.id < i.id || '-f' AND e.kind = 'notify' AND e.due_at < ";

/// Notices that wait.
const WAITING: &str = "SELECT e.id, e.body FROM effect AS e WHERE e.kind = 'notify' AND e.due_at < ";

/// What counts as late: timers and deliveries that were due before `overdue`, notices before `untold`.
pub(super) async fn audit(
    database: &Database,
    overdue: Timestamp,
    untold: Timestamp,
) -> Result<AuditView, StoreError> {
    let dialect = database.dialect;
    let (overdue, untold) = (millis(overdue), millis(untold));
    database.read(move |session| Box::pin(look(dialect, session, overdue, untold))).await
}

/// Urgent incidents of which no destination has heard: of those that were told in this episode each has failed, or what
/// it should say waits.
async fn untold(dialect: Dialect, session: &mut Session, before: i64) -> Result<Vec<IncidentId>, Failure> {
    let doubtful =
        Statement::new(dialect, DOUBTFUL).bind(before).text(")) ORDER BY i.id LIMIT ").bind(UNTOLD_MAX);
    let rows = doubtful.fetch(session).await?;
    let mut untold = Vec::new();
    for row in &rows {
        let columns = Columns(row);
        let id = columns.text("id")?;
        let incident = super::codec::incident(columns.str("body")?)?;
        let waiting = Statement::new(dialect, WAITING)
            .bind(before)
            .text(" AND e.id > ")
            .bind(format!("{id}-e"))
            .text(" AND e.id < ")
            .bind(format!("{id}-f"))
            .fetch(session)
            .await?;
        let waiting = waiting.iter().map(|row| {
            let columns = Columns(row);
            from_json(format_args!("an effect of incident {id}"), columns.str("body")?)
        });
        let waiting = waiting.collect::<Result<Vec<Effect>, Failure>>()?;
        if incident.is_untold(&waiting) {
            untold.push(IncidentId(unescaped(id)));
        }
    }
    Ok(untold)
}

async fn look(
    dialect: Dialect,
    session: &mut Session,
    overdue: i64,
    untold_since: i64,
) -> Result<AuditView, Failure> {
    let rows = Statement::new(dialect, WITHOUT_STEP).bind(WITHOUT_STEP_MAX).fetch(session).await?;
    let id = |row: &Row| Ok(IncidentId(unescaped(Columns(row).text("id")?)));
    Ok(AuditView {
        without_step: rows.iter().map(id).collect::<Result<_, Failure>>()?,
        untold: untold(dialect, session, untold_since).await?,
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
