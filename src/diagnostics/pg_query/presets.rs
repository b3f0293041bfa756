//! What can be asked of PostgreSQL by a name: SQL over its own catalogs and statistics, and the fields that come of it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::summary::{evidence, largest, with};
use crate::clients::postgres::{Failure, PgError, PgReads};
use crate::diagnostics::evidence::{Evidence, Unknown};

/// How long a session has been idle to be shown, where the rule says nothing.
pub(super) const IDLE_FOR: Duration = Duration::from_secs(3600);

/// As whom we are there.
pub(super) const ROLE: &str =
    "SELECT rolname AS name, rolsuper AS superuser FROM pg_catalog.pg_roles WHERE rolname = current_user";

/// Sessions of clients, and how many of them the role may not see into: of those it does not even learn that they are
/// clients.
const COUNTS: &str = "\
SELECT count(*) AS connections, current_setting('max_connections')::int AS max_connections,
  round(100.0 * count(*) / current_setting('max_connections')::int, 1) AS used_percent,
  count(*) FILTER (WHERE state IS NULL) AS hidden,
  count(*) FILTER (WHERE state = 'active') AS active,
  count(*) FILTER (WHERE state = 'idle') AS idle,
  count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_in_transaction,
  count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting,
  floor(extract(epoch FROM max(clock_timestamp() - query_start) FILTER (WHERE state = 'active')))::bigint
    AS longest_query_seconds,
  floor(extract(epoch FROM max(clock_timestamp() - xact_start)))::bigint AS longest_transaction_seconds
FROM pg_catalog.pg_stat_activity WHERE pid <> pg_backend_pid()
  AND (backend_type = 'client backend' OR (backend_type IS NULL AND datname IS NOT NULL))";

const ACTIVITY: &str = "\
SELECT pid, usename AS user, datname AS database, application_name AS application, state,
  wait_event_type || ':' || wait_event AS waits_for,
  floor(extract(epoch FROM clock_timestamp() - query_start))::bigint AS query_seconds,
  floor(extract(epoch FROM clock_timestamp() - xact_start))::bigint AS transaction_seconds,
  left(query, 200) AS query
FROM pg_catalog.pg_stat_activity WHERE pid <> pg_backend_pid()
  AND (backend_type = 'client backend' OR (backend_type IS NULL AND datname IS NOT NULL))
ORDER BY (state = 'idle') NULLS LAST, xact_start NULLS LAST, query_start NULLS LAST";

const IDLE: &str = "\
SELECT pid, usename AS user, datname AS database, application_name AS application, state, client_addr AS client,
  floor(extract(epoch FROM clock_timestamp() - state_change))::bigint AS idle_seconds, left(query, 200) AS last_query
FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND state LIKE 'idle%'
  AND state_change <= clock_timestamp() - make_interval(secs => $1::double precision)
ORDER BY state_change";

const TOP_QUERIES: &str = "\
SELECT round(mean_exec_time::numeric, 2) AS mean_ms, calls, round(total_exec_time::numeric) AS total_ms,
  round((100 * total_exec_time / nullif(sum(total_exec_time) OVER (), 0))::numeric, 1) AS percent_of_all,
  rows, left(query, 300) AS query
FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
ORDER BY total_exec_time DESC";

const TABLE_SIZES: &str = "\
SELECT schemaname AS schema, relname AS table, pg_total_relation_size(relid) AS bytes,
  pg_indexes_size(relid) AS index_bytes, n_live_tup AS rows,
  pg_size_pretty(pg_total_relation_size(relid)) AS size
FROM pg_catalog.pg_stat_user_tables ORDER BY 3 DESC";

const DEAD_TUPLES: &str = "\
SELECT schemaname AS schema, relname AS table, n_dead_tup AS dead, n_live_tup AS live,
  round(100.0 * n_dead_tup / nullif(n_dead_tup + n_live_tup, 0), 1) AS dead_percent,
  greatest(last_vacuum, last_autovacuum) AS vacuumed, greatest(last_analyze, last_autoanalyze) AS analyzed,
  n_mod_since_analyze AS changed_since_analyzed
FROM pg_catalog.pg_stat_user_tables ORDER BY n_dead_tup DESC";

const LOCKS: &str = "\
SELECT blocked.pid, blocked.usename AS user, blocked.application_name AS application,
  floor(extract(epoch FROM clock_timestamp() - blocked.query_start))::bigint AS waits_seconds,
  left(blocked.query, 200) AS query, array_to_json(pg_blocking_pids(blocked.pid)) AS blocked_by,
  (SELECT string_agg(blocker.usename || ' (' || blocker.pid || ', ' || coalesce(blocker.state, 'hidden') || '): '
     || left(blocker.query, 100), '; ')
   FROM pg_catalog.pg_stat_activity AS blocker WHERE blocker.pid = ANY (pg_blocking_pids(blocked.pid))) AS blockers
FROM pg_catalog.pg_stat_activity AS blocked WHERE cardinality(pg_blocking_pids(blocked.pid)) > 0
ORDER BY blocked.query_start";

const REPLICATION: &str = "\
SELECT application_name AS name, client_addr AS client, state, sync_state,
  pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
    replay_lsn)::bigint AS lag_bytes,
  round(extract(epoch FROM replay_lag)::numeric, 1) AS lag_seconds
FROM pg_catalog.pg_stat_replication ORDER BY 5 DESC NULLS LAST";

const STANDBY: &str = "\
SELECT pg_is_in_recovery() AS is_standby, (SELECT count(*) FROM pg_catalog.pg_stat_replication) AS replicas,
  CASE WHEN NOT pg_is_in_recovery() THEN NULL
    WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE round(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::numeric, 1) END AS lag_seconds";

/// What to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Preset {
    /// Sessions, the longest at work first, and how many connections are taken.
    Activity,
    /// Sessions that have been idle for `idle_for`.
    Idle,
    /// Statements that take the most time in all; needs the extension pg_stat_statements.
    TopQueries,
    /// Tables by their size.
    TableSizes,
    /// Tables by their dead rows, and when they were vacuumed and analyzed.
    DeadTuples,
    /// Sessions that wait for locks, and who holds them.
    Locks,
    /// Servers that follow this one, and how far they are behind.
    Replication,
}

impl Preset {
    pub(super) async fn ask(
        self,
        pg: &mut PgReads,
        limit: usize,
        idle: Duration,
    ) -> Result<Evidence, Unknown> {
        let none = &[][..];
        Ok(match self {
            Self::Activity => {
                let counts = visible(pg.row(COUNTS, none).await?);
                let notes = hidden_note(&counts);
                evidence(&pg.rows(ACTIVITY, none, limit).await?, counts, notes)
            }
            Self::Idle => {
                let counts = pg.row(COUNTS, none).await?;
                let idle = [idle.as_secs_f64().to_string()];
                let rows = pg.rows(IDLE, &idle, limit).await?;
                let hidden = counts.get("hidden").cloned().unwrap_or_default();
                if rows.rows.is_empty() && hidden.as_u64().is_some_and(|hidden| hidden > 0) {
                    let words = format!(
                        "{}: the role may not see into {hidden} sessions: grant it `pg_read_all_stats`",
                        pg.place()
                    );
                    return Err(Unknown::new(words));
                }
                let longest = largest(&rows, "idle_seconds");
                let notes = hidden_note(&counts);
                evidence(&rows, with([("hidden", hidden), ("longest_idle_seconds", longest)]), notes)
            }
            Self::TopQueries => {
                let rows = pg.rows(TOP_QUERIES, none, limit).await.map_err(without_extension)?;
                let slowest = largest(&rows, "mean_ms");
                evidence(&rows, with([("slowest_mean_ms", slowest)]), Vec::new())
            }
            Self::TableSizes => {
                let size = "SELECT pg_database_size(current_database()) AS database_bytes";
                let size = pg.row(size, none).await?;
                evidence(&pg.rows(TABLE_SIZES, none, limit).await?, size, Vec::new())
            }
            Self::DeadTuples => {
                let rows = pg.rows(DEAD_TUPLES, none, limit).await?;
                let (dead, percent) = (largest(&rows, "dead"), largest(&rows, "dead_percent"));
                evidence(&rows, with([("dead_max", dead), ("dead_max_percent", percent)]), Vec::new())
            }
            Self::Locks => {
                let count = "SELECT count(*) AS blocked FROM pg_catalog.pg_stat_activity \
                             WHERE cardinality(pg_blocking_pids(pid)) > 0";
                let mut found = pg.row(count, none).await?;
                let rows = pg.rows(LOCKS, none, limit).await?;
                found.extend(with([("longest_wait_seconds", largest(&rows, "waits_seconds"))]));
                evidence(&rows, found, Vec::new())
            }
            Self::Replication => {
                let mut found = pg.row(STANDBY, none).await?;
                let rows = pg.rows(REPLICATION, none, limit).await?;
                found.extend(with([("lag_bytes_max", largest(&rows, "lag_bytes"))]));
                evidence(&rows, found, Vec::new())
            }
        })
    }
}

/// Counts over states that the role may not see would be too low, and look healthy.
fn visible(mut counts: Map<String, Value>) -> Map<String, Value> {
    if counts.get("hidden").and_then(Value::as_u64) != Some(0) {
        for name in ["active", "idle", "idle_in_transaction", "waiting", "longest_query_seconds"] {
            counts.remove(name);
        }
        counts.remove("longest_transaction_seconds");
    }
    counts
}

fn hidden_note(counts: &Map<String, Value>) -> Vec<String> {
    match counts.get("hidden").and_then(Value::as_u64) {
        Some(hidden) if hidden > 0 => {
            vec![format!("the role may not see into {hidden} sessions: grant it `pg_read_all_stats`")]
        }
        _ => Vec::new(),
    }
}

fn without_extension(error: PgError) -> Unknown {
    match &error.failure {
        Failure::Missing(_) => Unknown::new(format!(
            "{error}; run `CREATE EXTENSION pg_stat_statements` in this database (PostgreSQL 13 or newer)"
        )),
        Failure::Said(words) if words.contains("shared_preload_libraries") => Unknown::new(format!(
            "{error}; add `pg_stat_statements` to `shared_preload_libraries`, and start the server anew"
        )),
        _ => error.into(),
    }
}
