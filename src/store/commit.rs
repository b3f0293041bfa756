//! Writes one step: everything in one transaction, or nothing.
//!
//! The statements are prepared first, so that nothing but the database is waited for while its locks are held. Rows
//! are written in the order of their keys and tables always in the same order, so that replicas wait for each other
//! instead of deadlocking; the ledger's row, which everybody wants, comes last and is held for the shortest time.
//!
//! Whatever a statement expected and did not find is a conflict: somebody else was first.

use super::audit::beat_columns;
use super::checks::{forgotten, reports};
use super::codec::{effect_parts, incident_columns, json, json_of_about, millis, plain};
use super::database::{Database, Session};
use super::dialect::Dialect;
use super::error::Failure;
use super::load::record_columns;
use super::sql::{ROWS_MAX, Statement, Value, columns};
use super::trail;
use crate::domain::guardrail::StartEnd;
use crate::domain::temporary::TemporaryChange;
use crate::engine::ports::{AlertWrite, Commit, Finish, IncidentWrite, StoreError};
use std::collections::BTreeMap;
use std::iter::Take;
use std::vec::IntoIter;

/// About what the usual alert, effect and list of objects take as JSON.
const ALERT_BYTES: usize = 1_024;
const EFFECT_BYTES: usize = 128;
const OTHERS_BYTES: usize = 256;

/// Which effects a list of leases means. The row itself is compared, so that PostgreSQL looks at it again when it had to
/// wait for somebody who claimed it.
const OF_LEASE: &str = " WHERE owner IS NOT NULL AND id = column1 AND attempt = column2";

/// Most changes of an incident leave alone what the indexes are over. PostgreSQL sees that by itself; SQLite writes an
/// index anew wherever a column of it is set.
const SAME_STANDING: &str = "UPDATE incident SET version = column2, phase = column7, updated_at = column10, \
     next_escalation_at = column12, body = column14 WHERE id = column1 AND version = column3 AND key = column4 \
     AND status = column5 AND severity = column6 AND rule = column8 AND started_at = column9 \
     AND ended_at = column11 AND bridge IS NOT DISTINCT FROM column13";

/// A statement with the number of rows that it must change; none where any number will do.
struct Step {
    statement: Statement,
    expected: Option<u64>,
}

/// The statements are made when this is called, while the database may be busy with an earlier step; the future
/// writes them.
pub(super) fn commit(
    database: &Database,
    commit: Commit,
) -> impl Future<Output = Result<(), StoreError>> + Send + use<'_> {
    let due_now = commit.at.is_some_and(|at| commit.effects.iter().any(|effect| effect.due_at <= at));
    let buries = !commit.dead.is_empty();
    let plan = Plan::new(database.dialect, &commit);
    // There is a lot of it, and the plan has all that is needed.
    drop(commit);
    async move {
        if buries {
            // What cannot be read because the file is damaged can be read again once it is restored.
            database.refuse_when_damaged()?;
        }
        let steps = plan?.steps;
        if steps.is_empty() {
            return Ok(());
        }
        database.write(move |session| Box::pin(run(session, steps))).await?;
        if due_now {
            database.tell_news();
        }
        Ok(())
    }
}

async fn run(session: &mut Session, steps: Vec<Step>) -> Result<(), Failure> {
    let mut transaction = session.begin().await?;
    for step in steps {
        let changed = step.statement.execute(&mut transaction).await?;
        if step.expected.is_some_and(|expected| expected != changed) {
            // An explicit rollback: the next user of the connection should not have to wait for it.
            transaction.rollback().await?;
            return Err(Failure::conflict());
        }
    }
    transaction.commit().await
}

/// The statements of a commit, in the order in which all replicas take their locks.
struct Plan {
    dialect: Dialect,
    steps: Vec<Step>,
}

impl Plan {
    fn new(dialect: Dialect, commit: &Commit) -> Result<Self, Failure> {
        // The store has no clock. A caller that does not say when leaves its rows without a known age.
        let at = commit.at.map_or(0, millis);
        let mut plan = Self { dialect, steps: Vec::new() };
        plan.dead_letters(commit, at);
        plan.consumed(commit);
        plan.finished(commit);
        plan.held(commit);
        plan.cancelled(commit);
        plan.incidents(&commit.incidents);
        plan.alerts(&commit.alerts);
        plan.timeline(&commit.incidents);
        plan.findings(&commit.incidents);
        plan.documents(&commit.incidents, at);
        plan.effects(commit, at)?;
        plan.texts(commit);
        plan.temporary(commit);
        plan.beats(commit);
        plan.checks(commit);
        plan.ledger(commit);
        Ok(plan)
    }

    /// Adds one statement for each batch of rows, made by `statement`.
    fn batches<const N: usize>(
        &mut self,
        rows: Vec<[Value; N]>,
        must_change_all: bool,
        statement: impl Fn(Dialect, Take<&mut IntoIter<[Value; N]>>) -> Statement,
    ) {
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            let count = rows.len().min(ROWS_MAX);
            let statement = statement(self.dialect, rows.by_ref().take(count));
            let expected = must_change_all.then_some(count as u64);
            self.steps.push(Step { statement, expected });
        }
    }

    /// Adds a change of rows that are there, or a deletion.
    fn each<const N: usize>(
        &mut self,
        before: &'static str,
        joined: &'static str,
        rows: Vec<[Value; N]>,
        after: &'static str,
        must_change_all: bool,
    ) {
        self.batches(rows, must_change_all, |dialect, rows| {
            Statement::each(dialect, before, joined, rows, after)
        });
    }

    /// Adds new rows of a table.
    fn insert<const N: usize>(
        &mut self,
        into: &'static str,
        rows: Vec<[Value; N]>,
        after: &'static str,
        must_change_all: bool,
    ) {
        let values = columns(N);
        self.batches(rows, must_change_all, |dialect, rows| {
            Statement::insert(dialect, into, &values, rows, after)
        });
    }

    fn dead_letters(&mut self, commit: &Commit, at: i64) {
        let rows: BTreeMap<&str, [Value; 3]> = commit
            .dead
            .iter()
            .map(|dead| {
                let id = Value::from(plain(&dead.delivery).into_owned());
                (dead.delivery.as_str(), [id, at.into(), Value::from(plain(&dead.error).into_owned())])
            })
            .collect();
        self.each(
            "INSERT INTO dead_letter (id, source, received_at, failed_at, error, body) \
             SELECT inbox.id, inbox.source, inbox.received_at, column2, column3, inbox.body FROM inbox",
            ", ",
            rows.into_values().collect(),
            " WHERE inbox.id = column1",
            true,
        );
    }

    fn consumed(&mut self, commit: &Commit) {
        let mut ids: Vec<&str> = commit.consumed.iter().map(String::as_str).collect();
        ids.extend(commit.dead.iter().map(|dead| dead.delivery.as_str()));
        ids.sort_unstable();
        ids.dedup();
        let rows = ids.into_iter().map(|id| [Value::from(plain(id).into_owned())]).collect();
        self.each("DELETE FROM inbox", " USING ", rows, " WHERE id = column1", true);
    }

    /// A lease stands as long as nobody was given a later attempt.
    fn finished(&mut self, commit: &Commit) {
        self.each("DELETE FROM effect", " USING ", leases(&commit.finished), OF_LEASE, true);
    }

    /// The row is written as it is: whoever would claim it meanwhile waits for this transaction and then sees what it
    /// brought.
    fn held(&mut self, commit: &Commit) {
        self.each("UPDATE effect SET owner = owner", " FROM ", leases(&commit.held), OF_LEASE, true);
    }

    /// A leased effect is left to its worker, which will find out that it is no longer wanted.
    fn cancelled(&mut self, commit: &Commit) {
        let mut ids: Vec<&str> = commit.cancelled.iter().map(|id| id.0.as_str()).collect();
        ids.sort_unstable();
        let rows = ids.into_iter().map(|id| [Value::from(plain(id).into_owned())]).collect();
        self.each("DELETE FROM effect", " USING ", rows, " WHERE owner IS NULL AND id = column1", false);
    }

    /// New incidents are inserted; others are replaced where they still have the version that was loaded. One that
    /// was loaded and is gone does not come back to life.
    fn incidents(&mut self, writes: &[IncidentWrite]) {
        let mut writes: Vec<&IncidentWrite> = writes.iter().collect();
        writes.sort_unstable_by(|left, right| left.incident.id.cmp(&right.incident.id));
        let (new, changed): (Vec<_>, Vec<_>) =
            writes.into_iter().partition(|write| write.loaded_version == 0);
        self.insert(
            "incident (id, version, replaced, key, status, severity, phase, rule, started_at, updated_at, ended_at, \
             next_escalation_at, bridge, body)",
            new.into_iter().map(incident_columns).collect(),
            " ON CONFLICT (id) DO NOTHING",
            true,
        );
        let changed = changed.into_iter().map(incident_columns).collect();
        self.batches(changed, true, |dialect, rows| {
            Statement::each(
                dialect,
                "UPDATE incident SET version = column2, key = column4, status = column5, severity = column6, \
                 phase = column7, rule = column8, started_at = column9, updated_at = column10, \
                 ended_at = column11, next_escalation_at = column12, bridge = column13, body = column14",
                " FROM ",
                rows,
                " WHERE incident.id = column1 AND incident.version = column3",
            )
            .unless(SAME_STANDING)
        });
    }

    fn alerts(&mut self, writes: &[AlertWrite]) {
        // One statement cannot change a row twice; the last word counts.
        let rows: BTreeMap<(&str, u64), &AlertWrite> = writes
            .iter()
            .map(|write| {
                let incident = write.incident.as_ref().map_or("", |id| id.0.as_str());
                ((incident, write.alert.fingerprint.as_u64()), write)
            })
            .collect();
        let rows = rows.into_iter().map(|((incident, fingerprint), write)| {
            let [status, starts_at, ends_at, updated_at] = record_columns(&write.record);
            let fingerprint = Value::from(fingerprint.cast_signed());
            let incident = Value::from(plain(incident).into_owned());
            [
                fingerprint,
                incident,
                status,
                starts_at,
                ends_at,
                updated_at,
                json_of_about(ALERT_BYTES, write.alert.as_ref()).into(),
            ]
        });
        self.insert(
            "alert (fingerprint, incident_id, status, starts_at, ends_at, updated_at, body)",
            rows.collect(),
            " ON CONFLICT (incident_id, fingerprint) DO UPDATE SET status = excluded.status, \
             starts_at = excluded.starts_at, ends_at = excluded.ends_at, updated_at = excluded.updated_at, \
             body = excluded.body",
            true,
        );
    }

    fn timeline(&mut self, writes: &[IncidentWrite]) {
        let rows = writes.iter().flat_map(|write| {
            trail::rows(&write.lines).map(|(seq, body)| {
                let incident = Value::from(plain(&write.incident.id.0).into_owned());
                [incident, Value::from(seq.cast_signed()), body.into()]
            })
        });
        self.insert("timeline (incident_id, seq, body)", rows.collect(), "", true);
    }

    fn findings(&mut self, writes: &[IncidentWrite]) {
        // A round of diagnostics comes in the order of the rule, and people read it in that order.
        let rows: BTreeMap<(&str, &str), [Value; 4]> = writes
            .iter()
            .flat_map(|write| {
                (0_i64..)
                    .zip(&write.findings)
                    .map(move |(place, finding)| (&write.incident.id, place, finding))
            })
            .map(|(id, place, finding)| {
                let incident = Value::from(plain(&id.0).into_owned());
                let name = Value::from(plain(&finding.name).into_owned());
                ((id.0.as_str(), finding.name.as_str()), [incident, name, place.into(), json(finding).into()])
            })
            .collect();
        self.insert(
            "finding (incident_id, name, place, body)",
            rows.into_values().collect(),
            " ON CONFLICT (incident_id, name) DO UPDATE SET place = excluded.place, body = excluded.body",
            true,
        );
    }

    fn documents(&mut self, writes: &[IncidentWrite], at: i64) {
        let rows: BTreeMap<(&str, &str), [Value; 4]> = writes
            .iter()
            .flat_map(|write| write.documents.iter().map(move |document| (&write.incident.id, document)))
            .map(|(id, document)| {
                let incident = Value::from(plain(&id.0).into_owned());
                let title = Value::from(plain(&document.title).into_owned());
                let body = Value::from(plain(&document.body).into_owned());
                ((id.0.as_str(), document.title.as_str()), [incident, title, at.into(), body])
            })
            .collect();
        self.insert(
            "document (incident_id, title, written_at, body)",
            rows.into_values().collect(),
            " ON CONFLICT (incident_id, title) DO UPDATE SET written_at = excluded.written_at, \
             body = excluded.body",
            true,
        );
    }

    fn effects(&mut self, commit: &Commit, at: i64) -> Result<(), Failure> {
        let (mut free, mut in_lanes) = (Vec::with_capacity(commit.effects.len()), Vec::new());
        for wish in &commit.effects {
            let (_, seq) = effect_parts(&wish.id)?;
            let rows = if wish.lane.is_none() { &mut free } else { &mut in_lanes };
            rows.push([
                Value::from(plain(&wish.id.0).into_owned()),
                Value::from(wish.effect.kind().as_str()),
                Value::from(wish.lane.as_deref().map(|lane| plain(lane).into_owned())),
                Value::from(wish.queue.as_deref().map(|queue| plain(queue).into_owned())),
                Value::from(seq),
                Value::from(i64::from(wish.urgent)),
                Value::from(millis(wish.due_at)),
                Value::from(millis(wish.due_at)),
                Value::from(at),
                Value::from(json_of_about(EFFECT_BYTES, &wish.effect)),
            ]);
        }
        self.insert(
            "effect (id, kind, lane, queue, seq, urgent, ready_at, due_at, created_at, body)",
            free,
            "",
            true,
        );
        self.batches(in_lanes, true, |dialect, rows| {
            Statement::insert(
                dialect,
                "effect (id, kind, lane, queue, seq, urgent, ready_at, due_at, created_at, body)",
                // What joins a lane whose first row was postponed waits as long: see `effects::postpone`.
                "column1, column2, column3, column4, column5, column6, COALESCE((SELECT MAX(o.ready_at) \
                 FROM effect AS o WHERE o.lane = column3 AND o.owner IS NULL AND o.ready_at > column7), column7), \
                 column8, column9, column10",
                rows,
                "",
            )
        });
        Ok(())
    }

    fn texts(&mut self, commit: &Commit) {
        // Without a time it is not known how long they are needed.
        let used_at = commit.at.map_or(i64::MAX, millis);
        let rows: BTreeMap<&str, [Value; 3]> = commit
            .texts
            .iter()
            .map(|(hash, text)| {
                let row = [Value::from(plain(&hash.0).into_owned()), json(text).into(), used_at.into()];
                (hash.0.as_str(), row)
            })
            .collect();
        let rows = rows.into_values().collect();
        // What is there already is taken anew, which holds off whoever is about to delete it.
        let anew = " ON CONFLICT (hash) DO UPDATE SET used_at = excluded.used_at \
                    WHERE rule_text.used_at < excluded.used_at";
        self.insert("rule_text (hash, body, used_at)", rows, anew, false);
    }

    fn temporary(&mut self, commit: &Commit) {
        let (mut begun, mut ended) = (BTreeMap::new(), BTreeMap::new());
        for change in &commit.temporary {
            match change {
                TemporaryChange::Begun(fix) => {
                    let action = Value::from(plain(&fix.action.0).into_owned());
                    let row = [action, Value::from(millis(fix.until)), Value::from(json(fix))];
                    begun.insert(fix.action.0.as_str(), row);
                }
                TemporaryChange::Ended(action) => {
                    begun.remove(action.0.as_str());
                    ended.insert(action.0.as_str(), [Value::from(plain(&action.0).into_owned())]);
                }
            }
        }
        let ended = ended.into_values().collect();
        self.each("DELETE FROM temporary_fix", " USING ", ended, " WHERE action_id = column1", false);
        self.insert(
            "temporary_fix (action_id, until, body)",
            begun.into_values().collect(),
            " ON CONFLICT (action_id) DO UPDATE SET until = excluded.until, body = excluded.body",
            true,
        );
    }

    fn beats(&mut self, commit: &Commit) {
        let beats: BTreeMap<&str, [Value; 2]> =
            commit.beats.iter().map(|(name, at)| (name.as_str(), beat_columns(name, *at))).collect();
        self.insert(
            "beat (name, heard_at)",
            beats.into_values().collect(),
            " ON CONFLICT (name) DO UPDATE SET heard_at = excluded.heard_at",
            true,
        );
    }

    fn checks(&mut self, commit: &Commit) {
        self.each("DELETE FROM check_report", " USING ", forgotten(commit), " WHERE name = column1", false);
        self.insert(
            "check_report (name, ran_at, body)",
            reports(commit),
            " ON CONFLICT (name) DO UPDATE SET ran_at = excluded.ran_at, body = excluded.body",
            true,
        );
    }

    fn ledger(&mut self, commit: &Commit) {
        let rows = commit.starts.iter().map(|start| {
            [
                Value::from(plain(&start.remedy).into_owned()),
                Value::from(plain(&start.target).into_owned()),
                Value::from((!start.others.is_empty()).then(|| json_of_about(OTHERS_BYTES, &start.others))),
                Value::from(start.namespace.as_deref().map(|name| plain(name).into_owned())),
                Value::from(millis(start.at)),
                Value::from(start.action.as_ref().map(|action| plain(&action.0).into_owned())),
                Value::from(start.end.map(|end| millis(end.at))),
                Value::from(start.end.map(|end| end.result.as_str().to_owned())),
            ]
        });
        self.insert(
            "action_start (remedy, target, others, namespace, started_at, action_id, ended_at, result)",
            rows.collect(),
            // What sets something back is tried again as the same action. No other start is written twice.
            " ON CONFLICT (action_id) WHERE action_id IS NOT NULL DO UPDATE SET started_at = excluded.started_at, \
             others = excluded.others, ended_at = excluded.ended_at, result = excluded.result \
             WHERE action_start.result = 'not_started'",
            true,
        );
        let ends: BTreeMap<&str, &StartEnd> =
            commit.ends.iter().map(|(action, end)| (action.0.as_str(), end)).collect();
        let rows = ends.into_iter().map(|(action, end)| {
            let action = Value::from(plain(action).into_owned());
            [action, Value::from(millis(end.at)), Value::from(end.result.as_str())]
        });
        self.each(
            "UPDATE action_start SET ended_at = column2, result = column3",
            " FROM ",
            rows.collect(),
            " WHERE action_start.action_id = column1 AND action_start.ended_at IS NULL",
            false,
        );
        let raise = Statement::new(self.dialect, "UPDATE ledger SET version = version + 1 WHERE id = 1");
        let statement = match commit.ledger_version {
            Some(judged_over) => raise.text(" AND version = ").bind(judged_over.cast_signed()),
            None if commit.starts.is_empty() && commit.ends.is_empty() => return,
            None => raise,
        };
        self.steps.push(Step { statement, expected: Some(1) });
    }
}

/// Rows of leases, in the order of their identities.
fn leases(leased: &[Finish]) -> Vec<[Value; 2]> {
    let rows: BTreeMap<&str, [Value; 2]> = leased
        .iter()
        .map(|finish| {
            let id = Value::from(plain(&finish.id.0).into_owned());
            (finish.id.0.as_str(), [id, i64::from(finish.attempt).into()])
        })
        .collect();
    rows.into_values().collect()
}
