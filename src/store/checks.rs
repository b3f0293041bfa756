//! Scheduled checks: the last report of each, and the effects that are their next runs.

use super::codec::{from_json, json, millis, plain, timestamp, unescaped};
use super::database::{Database, Session};
use super::dialect::Dialect;
use super::error::Failure;
use super::sql::{Columns, Statement, Value};
use crate::domain::effect::{Effect, EffectId};
use crate::domain::scheduled::CheckReport;
use crate::engine::ports::{ChecksView, Commit, Pending, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Their identities begin with a word and a colon, which no incident's does, so they lie together.
const PENDING: &str =
    "SELECT id, due_at, body FROM effect WHERE kind = 'diagnose' AND id > 'check:' AND id < 'check;'";

pub(super) async fn view(database: &Database) -> Result<ChecksView, StoreError> {
    let dialect = database.dialect;
    database.read(move |session| Box::pin(look(dialect, session))).await
}

async fn look(dialect: Dialect, session: &mut Session) -> Result<ChecksView, Failure> {
    let mut pending = Vec::new();
    for row in Statement::new(dialect, PENDING).fetch(session).await? {
        let columns = Columns(&row);
        let id = EffectId(unescaped(columns.text("id")?));
        let due_at = timestamp("effect", columns.int("due_at")?)?;
        let effect: Effect = from_json(format_args!("effect {id}"), columns.str("body")?)?;
        if let Effect::Check { check, asked_by: None } = effect {
            pending.push(Pending { id, check, due_at });
        }
    }
    let mut results = BTreeMap::new();
    for row in Statement::new(dialect, "SELECT name, body FROM check_report").fetch(session).await? {
        let columns = Columns(&row);
        let name = unescaped(columns.text("name")?);
        let report = from_json(format_args!("the report of {name}"), columns.str("body")?)?;
        results.insert(name, report);
    }
    Ok(ChecksView { pending, results })
}

/// Rows of reports, each check once: the last word counts.
pub(super) fn reports(commit: &Commit) -> Vec<[Value; 3]> {
    let row = |report: &CheckReport| {
        let name = Value::from(plain(&report.check).into_owned());
        [name, Value::from(millis(report.ran_at)), Value::from(json(report))]
    };
    let rows: BTreeMap<&str, [Value; 3]> =
        commit.reports.iter().map(|report| (report.check.as_str(), row(report))).collect();
    rows.into_values().collect()
}

/// Names of checks whose report goes, each once.
pub(super) fn forgotten(commit: &Commit) -> Vec<[Value; 1]> {
    let names: BTreeSet<&str> = commit.forgotten.iter().map(String::as_str).collect();
    names.into_iter().map(|name| [Value::from(plain(name).into_owned())]).collect()
}
