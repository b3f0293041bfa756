//! What a step needs to know, in a handful of statements whatever the size of the batch.
//!
//! The statements do not share a snapshot. That is safe because alerts change only together with the version of
//! their incident: the version that each alert was read under is compared with the incident that is returned.

use super::codec::{incident, millis, plain, timestamp};
use super::database::{Database, Session};
use super::dialect::Dialect;
use super::error::{Failure, corrupt};
use super::sql::{Columns, Row, Statement, Value};
use crate::domain::alert::{AlertRecord, AlertStatus};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::incident::{Incident, IncidentId};
use crate::engine::ports::{Loaded, StoreError, StoredAlert, Wanted};
use std::collections::{BTreeMap, BTreeSet};

/// Most values of one list in a statement; two lists stay below SQLite's 32,766 parameters.
const LIST_MAX: usize = 8_192;

/// How often a load is begun anew because a commit ran between its statements. Each time somebody else made
/// progress, so a few times are enough; the caller may always ask again.
const ATTEMPTS_MAX: u32 = 5;

pub(super) async fn load(database: &Database, wanted: Wanted) -> Result<Loaded, StoreError> {
    let dialect = database.dialect;
    database.read(move |session| Box::pin(attempts(dialect, session, wanted))).await
}

async fn attempts(dialect: Dialect, session: &mut Session, wanted: Wanted) -> Result<Loaded, Failure> {
    let mut result = Err(Failure::conflict());
    for _ in 0..ATTEMPTS_MAX {
        result = attempt(dialect, session, &wanted).await;
        if !matches!(result, Err(Failure::Told(StoreError::Conflict))) {
            break;
        }
    }
    result
}

async fn attempt(dialect: Dialect, session: &mut Session, wanted: &Wanted) -> Result<Loaded, Failure> {
    let mut incidents = BTreeMap::new();
    let ids: BTreeSet<&str> = wanted.ids.iter().map(|id| id.0.as_str()).collect();
    by_ids(dialect, session, ids, &mut incidents).await?;
    let keys: BTreeSet<&str> = wanted.keys.iter().map(|key| key.0.as_str()).collect();
    by_keys(dialect, session, keys.clone(), &mut incidents).await?;
    by_bridges(dialect, session, &wanted.bridges, &mut incidents).await?;

    let fingerprints: BTreeSet<Fingerprint> = wanted.fingerprints.iter().copied().collect();
    let alerts = by_fingerprints(dialect, session, fingerprints, &incidents).await?;
    let missing: BTreeSet<&str> = alerts
        .iter()
        .filter(|found| found.wants_incident)
        .filter_map(|found| found.alert.incident.as_ref())
        .filter(|id| !incidents.contains_key(*id))
        .map(|id| id.0.as_str())
        .collect();
    by_ids(dialect, session, missing, &mut incidents).await?;
    // An alert may still fire in an incident that a person ended: another one may stand for its key by now.
    let ended: BTreeSet<String> = incidents
        .values()
        .filter(|incident| !incident.is_open() && !keys.contains(incident.key.0.as_str()))
        .map(|incident| incident.key.0.clone())
        .collect();
    by_keys(dialect, session, ended.iter().map(String::as_str).collect(), &mut incidents).await?;

    let stale = |found: &FoundAlert| {
        let incident = found.alert.incident.as_ref().and_then(|id| incidents.get(id));
        incident.is_some_and(|incident: &Incident| incident.version != found.version)
    };
    if alerts.iter().any(stale) {
        return Err(Failure::conflict());
    }
    Ok(Loaded {
        incidents: incidents.into_values().collect(),
        alerts: alerts.into_iter().map(|found| found.alert).collect(),
    })
}

async fn by_ids(
    dialect: Dialect,
    session: &mut Session,
    ids: BTreeSet<&str>,
    into: &mut BTreeMap<IncidentId, Incident>,
) -> Result<(), Failure> {
    let rows: Vec<[Value; 1]> = ids.into_iter().map(|id| [Value::from(plain(id).into_owned())]).collect();
    for chunk in rows.chunks(LIST_MAX) {
        let found = Statement::new(dialect, "SELECT body FROM incident WHERE id IN ")
            .rows(chunk.iter().cloned())
            .fetch(session)
            .await?;
        keep(&found, into)?;
    }
    Ok(())
}

async fn by_keys(
    dialect: Dialect,
    session: &mut Session,
    keys: BTreeSet<&str>,
    into: &mut BTreeMap<IncidentId, Incident>,
) -> Result<(), Failure> {
    let rows: Vec<[Value; 1]> = keys.into_iter().map(|key| [Value::from(plain(key).into_owned())]).collect();
    for chunk in rows.chunks(LIST_MAX) {
        let found = Statement::new(
            dialect,
            "SELECT incident.body FROM (SELECT COALESCE(\
             (SELECT o.id FROM incident AS o WHERE o.key = column1 AND o.status <> 'resolved'), \
             (SELECT e.id FROM incident AS e WHERE e.key = column1 AND e.status = 'resolved' \
             ORDER BY e.ended_at DESC LIMIT 1)) AS id FROM ",
        )
        .rows(chunk.iter().cloned())
        .text(" AS v) AS found JOIN incident ON incident.id = found.id")
        .fetch(session)
        .await?;
        keep(&found, into)?;
    }
    Ok(())
}

async fn by_bridges(
    dialect: Dialect,
    session: &mut Session,
    bridges: &[String],
    into: &mut BTreeMap<IncidentId, Incident>,
) -> Result<(), Failure> {
    let rows: Vec<[Value; 1]> = bridges.iter().map(|name| [Value::from(plain(name).into_owned())]).collect();
    for chunk in rows.chunks(LIST_MAX) {
        let found = Statement::new(dialect, "SELECT body FROM incident WHERE bridge IN ")
            .rows(chunk.iter().cloned())
            .fetch(session)
            .await?;
        keep(&found, into)?;
    }
    Ok(())
}

fn keep(rows: &[Row], into: &mut BTreeMap<IncidentId, Incident>) -> Result<(), Failure> {
    for row in rows {
        let incident = incident(Columns(row).str("body")?)?;
        into.insert(incident.id.clone(), incident);
    }
    Ok(())
}

struct FoundAlert {
    alert: StoredAlert,
    /// The version of its incident when it was read.
    version: u64,
    /// Its incident is open, or it is still recorded as firing there.
    wants_incident: bool,
}

/// Records in incidents that are over, where the alert is over as well, matter only if the incident was asked for or
/// is the alert's newest: an alert that flaps for weeks would otherwise bring its whole past.
async fn by_fingerprints(
    dialect: Dialect,
    session: &mut Session,
    fingerprints: BTreeSet<Fingerprint>,
    asked_for: &BTreeMap<IncidentId, Incident>,
) -> Result<Vec<FoundAlert>, Failure> {
    let mut found = Vec::new();
    let rows: Vec<[Value; 1]> = fingerprints
        .into_iter()
        .map(|fingerprint| [Value::from(fingerprint.as_u64().cast_signed())])
        .collect();
    for chunk in rows.chunks(LIST_MAX) {
        let rows = Statement::new(
            dialect,
            "SELECT alert.fingerprint, alert.incident_id, alert.status, alert.starts_at, alert.ends_at, \
             alert.updated_at, incident.version, incident.status AS incident_status \
             FROM alert LEFT JOIN incident ON incident.id = alert.incident_id WHERE alert.fingerprint IN ",
        )
        .rows(chunk.iter().cloned())
        .fetch(session)
        .await?;
        for row in &rows {
            found.push(found_alert(row)?);
        }
    }
    // The index gives no order within a fingerprint; identities of incidents sort by time.
    let mut newest: BTreeMap<Fingerprint, Option<IncidentId>> = BTreeMap::new();
    for FoundAlert { alert, .. } in &found {
        let known = newest.entry(alert.fingerprint).or_default();
        if alert.incident > *known {
            known.clone_from(&alert.incident);
        }
    }
    found.retain(|FoundAlert { alert, wants_incident, .. }| {
        let is_newest = newest.get(&alert.fingerprint) == Some(&alert.incident);
        *wants_incident || is_newest || alert.incident.as_ref().is_none_or(|id| asked_for.contains_key(id))
    });
    Ok(found)
}

fn found_alert(row: &Row) -> Result<FoundAlert, Failure> {
    let columns = Columns(row);
    let incident_id = columns.text("incident_id")?;
    let record = record(row)?;
    let open = columns.maybe_text("incident_status")?.is_some_and(|status| status != "resolved");
    Ok(FoundAlert {
        version: columns.maybe_int("version")?.and_then(|version| u64::try_from(version).ok()).unwrap_or(0),
        wants_incident: !incident_id.is_empty() && (open || record.status == AlertStatus::Firing),
        alert: StoredAlert {
            fingerprint: Fingerprint::from(columns.int("fingerprint")?.cast_unsigned()),
            incident: (!incident_id.is_empty()).then(|| IncidentId(super::codec::unescaped(incident_id))),
            record,
        },
    })
}

/// What is remembered of an alert, out of its columns.
pub(super) fn record(row: &Row) -> Result<AlertRecord, Failure> {
    let columns = Columns(row);
    let status = match columns.text("status")?.as_str() {
        "firing" => AlertStatus::Firing,
        "resolved" => AlertStatus::Resolved,
        other => return Err(corrupt("alert", format_args!("unknown status `{other}`"))),
    };
    Ok(AlertRecord {
        status,
        starts_at: timestamp("alert", columns.int("starts_at")?)?,
        ends_at: columns.maybe_int("ends_at")?.map(|at| timestamp("alert", at)).transpose()?,
        updated_at: timestamp("alert", columns.int("updated_at")?)?,
    })
}

/// The columns of a record.
pub(super) fn record_columns(record: &AlertRecord) -> [Value; 4] {
    [
        Value::from(record.status.as_str()),
        Value::from(millis(record.starts_at)),
        Value::from(record.ends_at.map(millis)),
        Value::from(millis(record.updated_at)),
    ]
}
