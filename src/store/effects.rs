//! Effects: leased by workers, given back, counted. They are written and deleted by commits.

use super::codec::{effect_parts, from_json, millis, plain, timestamp, unescaped};
use super::database::{Database, Session};
use super::dialect::Dialect;
use super::error::{Failure, corrupt};
use super::sql::{Columns, Row, Statement, Value};
use crate::domain::effect::{EffectId, EffectKind};
use crate::engine::ports::{Claim, Finish, Leased, StoreError};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Of each lane only the oldest row may be carried out, leased or not.
const FIRST_OF_LANE: &str = " AND (e.lane IS NULL OR NOT EXISTS \
     (SELECT 1 FROM effect AS o WHERE o.lane = e.lane AND o.seq < e.seq))";

/// Leases effects that are due. One statement; concurrent claims never get the same row. A lease that a power cut takes
/// back is given again, and whatever was recorded under it has made it durable.
pub(super) async fn claim(database: &Database, claim: Claim) -> Result<Vec<Leased>, StoreError> {
    let dialect = database.dialect;
    database
        .write_unsynced(move |session| Box::pin(async move { leased(dialect, session, &claim).await }))
        .await
}

async fn leased(dialect: Dialect, session: &mut Session, claim: &Claim) -> Result<Vec<Leased>, Failure> {
    let statement = with_heads(dialect, claim);
    // The halves are read in index order, so that neither a long queue nor a million of wakes in the future cost
    // anything.
    let statement =
        half(statement.text(", due AS ("), dialect, claim, " AND e.urgent = 1 AND e.ready_at <= ");
    let statement = statement.text(" AS first UNION ALL ");
    let statement = half(statement, dialect, claim, " AND e.urgent = 0 AND e.ready_at <= ");
    let rows = statement
        .text(
            " AS second UNION ALL SELECT e.id, e.urgent, e.ready_at FROM heads JOIN effect AS e ON e.id = heads.id), \
             picked AS MATERIALIZED (SELECT id FROM due ORDER BY urgent DESC, ready_at LIMIT ",
        )
        .bind(i64::from(claim.limit))
        .text(") UPDATE effect SET attempt = attempt + 1, owner = ")
        .bind(plain(&claim.owner).into_owned())
        .text(", ready_at = ")
        .bind(millis(claim.lease_until))
        .text(
            " WHERE id IN (SELECT id FROM picked) \
             RETURNING id, attempt, due_at, created_at, urgent, queue, body",
        )
        .fetch(session)
        .await?;
    let mut leased = Vec::with_capacity(rows.len());
    for row in &rows {
        match lease(row) {
            Ok(lease) => leased.push(lease),
            // Written by a newer version, most likely. It must not hold up the others; its lease will end.
            Err(failure) => tracing::error!(error = %StoreError::from(failure), "an effect cannot be read"),
        }
    }
    leased.sort_by(|left, right| {
        right.urgent.cmp(&left.urgent).then(left.due_at.cmp(&right.due_at)).then(left.id.cmp(&right.id))
    });
    Ok(leased)
}

/// What is due and belongs to no queue, of one urgency.
fn half(statement: Statement, dialect: Dialect, claim: &Claim, urgency: &'static str) -> Statement {
    statement
        .text("SELECT id, urgent, ready_at FROM (SELECT e.id, e.urgent, e.ready_at FROM effect AS e WHERE e.kind = ")
        .bind(claim.kind.as_str())
        .text(" AND e.queue IS NULL")
        .text(urgency)
        .bind(millis(claim.now))
        .text(FIRST_OF_LANE)
        .text(" ORDER BY e.ready_at LIMIT ")
        .bind(i64::from(claim.limit))
        .text(dialect.skip_locked())
        .text(")")
}

/// The first due row of each queue that is not held. The names of the queues are found by leaps through the index,
/// so that a queue of a hundred thousand rows costs as much as one of two.
fn with_heads(dialect: Dialect, claim: &Claim) -> Statement {
    let statement = Statement::new(
        dialect,
        "WITH RECURSIVE queues(name) AS (SELECT MIN(e.queue) FROM effect AS e WHERE e.queue IS NOT NULL AND e.kind = ",
    )
    .bind(claim.kind.as_str())
    .text(
        " UNION ALL SELECT (SELECT MIN(e.queue) FROM effect AS e WHERE e.queue IS NOT NULL \
         AND e.queue > queues.name AND e.kind = ",
    )
    .bind(claim.kind.as_str())
    .text(") FROM queues WHERE queues.name IS NOT NULL), heads AS (SELECT COALESCE(");
    let statement = head(statement, dialect, claim, " AND e.urgent = 1 AND e.ready_at <= ").text(", ");
    let statement =
        head(statement, dialect, claim, " AND e.urgent = 0 AND e.ready_at <= ").text(") AS id FROM queues");
    let statement = statement.text(" WHERE queues.name IS NOT NULL");
    if claim.held.is_empty() {
        return statement.text(")");
    }
    statement
        .text(" AND queues.name NOT IN (SELECT column1 FROM ")
        .rows(claim.held.iter().map(|queue| [Value::from(plain(queue).into_owned())]))
        .text(" AS v WHERE column1 IS NOT NULL))")
}

fn head(statement: Statement, dialect: Dialect, claim: &Claim, urgency: &'static str) -> Statement {
    statement
        .text(
            "(SELECT e.id FROM effect AS e WHERE e.queue IS NOT NULL AND e.queue = queues.name AND e.kind = ",
        )
        .bind(claim.kind.as_str())
        .text(urgency)
        .bind(millis(claim.now))
        .text(FIRST_OF_LANE)
        .text(" ORDER BY e.ready_at LIMIT 1")
        .text(dialect.skip_locked())
        .text(")")
}

fn lease(row: &Row) -> Result<Leased, Failure> {
    let columns = Columns(row);
    let id = EffectId(unescaped(columns.text("id")?));
    let (incident, _) = effect_parts(&id)?;
    let attempt = u32::try_from(columns.int("attempt")?).map_err(|error| corrupt(&id, error))?;
    Ok(Leased {
        incident,
        attempt,
        due_at: timestamp("effect", columns.int("due_at")?)?,
        created_at: timestamp("effect", columns.int("created_at")?)?,
        urgent: columns.int("urgent")? != 0,
        queue: columns.maybe_text("queue")?.map(unescaped),
        effect: from_json(format_args!("effect {id}"), columns.str("body")?)?,
        id,
    })
}

/// Gives a lease back until later. What waits behind it in its lane waits as long: it could not be carried out
/// anyway, and rows that are due but blocked would be looked at by every claim.
pub(super) async fn postpone(
    database: &Database,
    effect: Finish,
    until: Timestamp,
) -> Result<(), StoreError> {
    let (dialect, until) = (database.dialect, millis(until));
    database
        .write(move |session| Box::pin(async move { given_back(dialect, session, &effect, until).await }))
        .await
}

async fn given_back(
    dialect: Dialect,
    session: &mut Session,
    effect: &Finish,
    until: i64,
) -> Result<(), Failure> {
    let id = plain(&effect.id.0).into_owned();
    let mut transaction = session.begin().await?;
    let lanes = Statement::new(dialect, "UPDATE effect SET owner = NULL, ready_at = ")
        .bind(until)
        .text(" WHERE owner IS NOT NULL AND id = ")
        .bind(id)
        .text(" AND attempt = ")
        .bind(i64::from(effect.attempt))
        .text(" RETURNING lane, seq")
        .fetch(&mut transaction)
        .await?;
    if let Some(row) = lanes.first()
        && let Some(lane) = Columns(row).maybe_text("lane")?
    {
        Statement::new(dialect, "UPDATE effect SET ready_at = ")
            .bind(until)
            .text(" WHERE lane = ")
            .bind(lane)
            .text(" AND seq > ")
            .bind(Columns(row).int("seq")?)
            .text(" AND ready_at < ")
            .bind(until)
            .execute(&mut transaction)
            .await?;
    }
    transaction.commit().await
}

/// Gives all leases back, where one process owns the database: whoever held them is gone.
pub(super) async fn release_all(database: &Database) -> Result<u64, StoreError> {
    if database.dialect == Dialect::Postgres {
        // Other replicas may be at work; their leases end by themselves.
        return Ok(0);
    }
    let statement = Statement::new(
        database.dialect,
        "UPDATE effect SET owner = NULL, ready_at = due_at WHERE owner IS NOT NULL",
    );
    database.write(move |session| Box::pin(statement.execute(session))).await
}

/// How far in the future an effect must have been wished to be taken for one of another time, where nobody has seen
/// the clock being set: the clocks of replicas differ a little, and wrong ones by more.
const WISHED_AHEAD_MIN: SignedDuration = SignedDuration::from_secs(60);
/// The same where it was seen.
const WISHED_AHEAD_SEEN: SignedDuration = SignedDuration::from_secs(1);

/// Moves effects back that were wished before the clock was set back.
///
/// An effect that lies in the future as a whole is moved by what is known: by as much as the clock was set back, or
/// so that it was wished just now. Once moved it does not lie in the future any more, so replicas may all do this.
pub(super) async fn clock_went_back(
    database: &Database,
    now: Timestamp,
    by: Option<SignedDuration>,
) -> Result<u64, StoreError> {
    let least = if by.is_some() { WISHED_AHEAD_SEEN } else { WISHED_AHEAD_MIN };
    let ahead = now.checked_add(least).unwrap_or(Timestamp::MAX);
    let set = |statement: Statement, column: &'static str| {
        let statement = statement.text(column);
        match by {
            Some(by) => statement.bind(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
            None => statement.text("(created_at - ").bind(millis(now)).text(")"),
        }
    };
    let statement = Statement::new(database.dialect, "UPDATE effect SET ready_at = ");
    let statement = set(statement, "ready_at - ");
    let statement = set(statement, ", due_at = due_at - ");
    let statement = set(statement, ", created_at = created_at - ");
    let statement = statement.text(" WHERE created_at > ").bind(millis(ahead));
    let moved = database.write(move |session| Box::pin(statement.execute(session))).await?;
    if moved > 0 {
        database.tell_news();
    }
    Ok(moved)
}

/// When the next effect can be claimed, or a lease ends. Looks at every effect.
pub(super) async fn next_due(database: &Database) -> Result<Option<Timestamp>, StoreError> {
    let statement =
        Statement::new(database.dialect, "SELECT MIN(e.ready_at) AS ready_at FROM effect AS e WHERE 1 = 1")
            .text(FIRST_OF_LANE);
    let rows = database.read(move |session| Box::pin(statement.fetch(session))).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Columns(row).maybe_int("ready_at")?.map(|at| timestamp("effect", at)).transpose()?)
}

/// How many effects wait, by kind.
pub(super) async fn depth(database: &Database) -> Result<BTreeMap<EffectKind, u64>, StoreError> {
    let statement =
        Statement::new(database.dialect, "SELECT kind, COUNT(*) AS waiting FROM effect GROUP BY kind");
    let rows = database.read(move |session| Box::pin(statement.fetch(session))).await?;
    Ok(rows.iter().map(counted).collect::<Result<_, Failure>>()?)
}

fn counted(row: &Row) -> Result<(EffectKind, u64), Failure> {
    let columns = Columns(row);
    let word = columns.text("kind")?;
    let kind = EffectKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    let kind = kind.ok_or_else(|| corrupt("effect", format_args!("unknown kind `{word}`")))?;
    Ok((kind, u64::try_from(columns.int("waiting")?).unwrap_or(0)))
}
