//! Alerts that fire in open incidents, for whoever asks Alertmanager about them.

use super::codec::{from_json, millis, plain, unescaped};
use super::database::{Database, Session};
use super::dialect::Dialect;
use super::error::Failure;
use super::sql::{Columns, ROWS_MAX, Row, Statement, Value};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::incident::IncidentId;
use crate::engine::ports::{Firing, FiringPage, StoreError};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Open incidents of one page.
const INCIDENTS_PER_PAGE: usize = 128;

/// Most alerts of one page, some ten megabytes. Of an incident that has more by itself, the others are left out.
const ALERTS_PER_PAGE: usize = 10_000;

/// The open ones of each status, which has an order of its own in the index.
const OPEN: [&str; 2] = [
    "SELECT id FROM incident WHERE status = 'triggered' AND status <> 'resolved' AND id > ",
    "SELECT id FROM incident WHERE status = 'acknowledged' AND status <> 'resolved' AND id > ",
];

/// Alerts that fire in open incidents after this one, in their order.
pub(super) async fn firing(
    database: &Database,
    after: Option<&IncidentId>,
) -> Result<FiringPage, StoreError> {
    let dialect = database.dialect;
    let after = after.map_or_else(String::new, |id| plain(&id.0).into_owned());
    database.read(move |session| Box::pin(page(dialect, session, after))).await
}

async fn page(dialect: Dialect, session: &mut Session, after: String) -> Result<FiringPage, Failure> {
    let limit = i64::try_from(INCIDENTS_PER_PAGE).expect("it is small");
    let mut open = BTreeSet::new();
    for text in OPEN {
        let rows = Statement::new(dialect, text)
            .bind(after.clone())
            .text(" ORDER BY id LIMIT ")
            .bind(limit)
            .fetch(session)
            .await?;
        for row in &rows {
            open.insert(Columns(row).text("id")?);
        }
    }
    let open: Vec<String> = open.into_iter().take(INCIDENTS_PER_PAGE).collect();
    let Some(last) = open.last().cloned() else { return Ok(FiringPage::default()) };
    let more = open.len() == INCIDENTS_PER_PAGE;
    let rows = Statement::new(
        dialect,
        "SELECT incident_id, confirmed_at, body FROM alert WHERE status = 'firing' AND incident_id IN ",
    )
    .rows(open.into_iter().map(|id| [Value::from(id)]))
    .text(" ORDER BY incident_id, fingerprint LIMIT ")
    .bind(i64::try_from(ALERTS_PER_PAGE).expect("it is small"))
    .fetch(session)
    .await?;
    let mut alerts = rows.iter().map(one).collect::<Result<Vec<_>, Failure>>()?;
    if rows.len() < ALERTS_PER_PAGE {
        let next = more.then(|| IncidentId(unescaped(last)));
        return Ok(FiringPage { alerts, next });
    }
    // The last incident may have more than were read: it begins the next page, unless it fills this one alone.
    let cut = alerts.last().map(|alert| alert.incident.clone());
    let whole = alerts.iter().rposition(|alert| Some(&alert.incident) != cut.as_ref());
    match whole {
        Some(place) => {
            alerts.truncate(place + 1);
            let next = alerts.last().map(|alert| alert.incident.clone());
            Ok(FiringPage { alerts, next })
        }
        None => Ok(FiringPage { alerts, next: cut }),
    }
}

fn one(row: &Row) -> Result<Firing, Failure> {
    let columns = Columns(row);
    let incident = IncidentId(unescaped(columns.text("incident_id")?));
    Ok(Firing {
        confirmed: columns.maybe_int("confirmed_at")?.is_some(),
        alert: from_json(format_args!("an alert of incident {incident}"), columns.str("body")?)?,
        incident,
    })
}

/// Takes note that Alertmanager was seen to hold these alerts. A note that only ever comes true needs no version, and one
/// that a power cut takes back is taken again.
pub(super) async fn confirm(
    database: &Database,
    alerts: Vec<(IncidentId, Fingerprint)>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let (dialect, at) = (database.dialect, millis(at));
    for chunk in alerts.chunks(ROWS_MAX) {
        let rows = chunk.iter().map(|(incident, fingerprint)| {
            let incident = Value::from(plain(&incident.0).into_owned());
            [incident, Value::from(fingerprint.as_u64().cast_signed()), Value::from(at)]
        });
        let statement = Statement::each(
            dialect,
            "UPDATE alert SET confirmed_at = column3",
            " FROM ",
            rows.collect::<Vec<_>>(),
            " WHERE incident_id = column1 AND fingerprint = column2",
        );
        database.write(move |session| Box::pin(statement.execute(session))).await?;
    }
    Ok(())
}
