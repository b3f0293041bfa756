//! `pg.query`: what PostgreSQL says of itself, by a preset, or a query that the settings allow by name.
//!
//! No rule and no label holds SQL: a rule names a preset or a query of the settings, and its values travel as
//! parameters. Everything runs within a read-only transaction, inside a `SELECT` of ours. A server that is down or full is
//! *known* not to serve; where it is our own side that cannot tell, the finding is unknown. What the role may not see is
//! left out: it would look like nothing.

mod presets;
mod summary;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::access::PgAccess;
use super::evidence::{Evidence, Unknown};
use super::{Entry, Moment, Tools};
use crate::clients::postgres::{Failure, PgError, PgReads};
use crate::domain::catalog::{
    CheckedParams, DiagnosticKind, ParamsError, Reference, Slot, SlotLanguage, no_access,
};
use crate::params;
use crate::period::Period;

use presets::Preset;

/// Longest time for one look: a connection and three statements.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Kept back from the diagnostic's time, so that the better error comes first.
const ERROR_MARGIN: Duration = Duration::from_millis(250);

/// Most rows that may be asked for.
const ROWS_MAX: usize = 100;

/// Most values that one query takes.
const VALUES_MAX: usize = 16;

const SECTION: &str = "connections.postgres";

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "pg.query",
        summary: "Asks PostgreSQL for its own state by a preset (`activity`, `idle`, `top_queries`, `table_sizes`, \
                  `dead_tuples`, `locks`, `replication`), or runs a query that the settings allow by name. Reads only.",
        fields: &[
            (
                "reachable",
                "Whether it serves us. All fields but `error` and `full` are left out where it does not.",
            ),
            ("full", "Whether it takes no more connections."),
            ("error", "Why it does not serve us. Left out where it does."),
            ("count", "How many rows there are, at most `limit`."),
            ("truncated", "Whether there were more."),
            ("rows", "The rows by the names of their columns; left out if too large to keep."),
            ("value", "The value of a query that gives one row with one column."),
            ("connections", "`activity`: sessions of clients."),
            ("max_connections", "`activity`: how many connections there may be."),
            ("used_percent", "`activity`: how many of them are taken, in percent."),
            (
                "active",
                "`activity`: sessions that run a statement. Left out where the role may not see all sessions.",
            ),
            ("idle", "`activity`: sessions that do nothing. Left out likewise."),
            (
                "idle_in_transaction",
                "`activity`: sessions that do nothing within a transaction. Left out likewise.",
            ),
            ("waiting", "`activity`: sessions that wait for a lock. Left out likewise."),
            ("hidden", "`activity` and `idle`: sessions whose state the role may not see."),
            (
                "longest_query_seconds",
                "`activity`: the longest statement that runs now. Left out where there is none.",
            ),
            (
                "longest_transaction_seconds",
                "`activity`: the longest transaction that is open now. Left out where there is none.",
            ),
            ("longest_idle_seconds", "`idle`: the longest idle session. Left out where there is none."),
            ("slowest_mean_ms", "`top_queries`: the highest mean time of a statement."),
            ("database_bytes", "`table_sizes`: size of the database."),
            ("dead_max_percent", "`dead_tuples`: the largest share of dead rows among the tables shown."),
            ("dead_max", "`dead_tuples`: the most dead rows of a table."),
            ("blocked", "`locks`: sessions that wait for a lock of others."),
            ("longest_wait_seconds", "`locks`: the longest of these waits. Left out where there is none."),
            ("is_standby", "`replication`: whether this server follows another one."),
            ("replicas", "`replication`: servers that follow this one."),
            (
                "lag_bytes_max",
                "`replication`: how much the last of them lacks. Left out where there are none.",
            ),
            (
                "lag_seconds",
                "`replication`: how old the last change is that arrived here; of a standby only.",
            ),
        ],
        timeout: TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: no_access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `pg.query`. One of `preset` and `query` says what is asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Name of a database in the settings, under `connections.postgres`.
    #[schemars(length(min = 1, max = 200))]
    connection: String,
    /// What to ask.
    preset: Option<Preset>,
    /// Name of a query in the settings, under `queries` of the connection.
    #[schemars(length(min = 1, max = 200))]
    query: Option<String>,
    /// Values for `$1` and so on of that query, at most 16. May hold templates, and are never a part of the statement.
    #[serde(default)]
    values: Vec<String>,
    /// Rows to keep, at most 100. Default: 20.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 100))]
    limit: usize,
    /// For `idle`: only sessions that have been idle for so long. Default: 1h.
    idle_for: Option<Period>,
}

fn default_limit() -> usize {
    20
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { connection, preset, query, values, limit, idle_for } = params::read(params)?;
    super::access::fixed_connection(&connection)?;
    params::within("/limit", limit, 1, ROWS_MAX)?;
    match (preset, &query) {
        (None, None) => return Err(ParamsError::at("", "say what to ask: a `preset` or a `query`")),
        (Some(_), Some(_)) => return Err(ParamsError::at("/query", "keep this or `preset`")),
        (_, Some(name)) if params::is_template(name) => {
            return Err(ParamsError::at(
                "/query",
                "a query must stand in the rule: a label must not choose it",
            ));
        }
        _ => {}
    }
    if query.is_none() && !values.is_empty() {
        return Err(ParamsError::at("/values", "only a `query` takes values"));
    }
    if values.len() > VALUES_MAX {
        return Err(ParamsError::at("/values", format!("{VALUES_MAX} values at most")));
    }
    if idle_for.is_some() && preset != Some(Preset::Idle) {
        return Err(ParamsError::at("/idle_for", "this belongs to `preset: idle`"));
    }
    params::period_within("/idle_for", idle_for, Period::from_secs(1), Period::from_days(30))?;
    let slots = (0..values.len()).map(|index| Slot::new(format!("/values/{index}"), SlotLanguage::Text));
    let mut references =
        vec![Reference::Connection { section: SECTION, name: connection.clone(), acts: false }];
    references.extend(query.map(|name| Reference::Query { connection, name }));
    Ok(CheckedParams { slots: slots.collect(), references, ..CheckedParams::default() })
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let params: Params = params::read(params)?;
    let name = &params.connection;
    let access = tools.connections.postgres.get(name);
    let access = access
        .ok_or_else(|| Unknown::new(format!("there is no `{name}` under `{SECTION}` in the settings")))?;
    let mut options = access.options.now();
    let room = moment.timeout.saturating_sub(ERROR_MARGIN).max(ERROR_MARGIN);
    options.timeout = options.timeout.min(room);
    let mut pg = match PgReads::connect(&options).await {
        Ok(pg) => pg,
        Err(error) if error.is_down() => return Ok(down(&error)),
        Err(error) => return Err(error.into()),
    };
    let found = ask(&mut pg, &params, access).await;
    pg.close().await;
    let Evidence { mut fields, text, .. } = found?;
    fields.insert("reachable".to_owned(), json!(true));
    fields.insert("full".to_owned(), json!(false));
    Ok(Evidence { fields, text, chart: None })
}

async fn ask(pg: &mut PgReads, params: &Params, access: &PgAccess) -> Result<Evidence, Unknown> {
    match (params.preset, &params.query) {
        (Some(preset), _) => {
            let idle = params.idle_for.map_or(presets::IDLE_FOR, Period::get);
            Ok(preset.ask(pg, params.limit, idle).await?)
        }
        (None, Some(name)) => listed(pg, params, name, &access.queries).await,
        (None, None) => Err(Unknown::new("nothing is asked")),
    }
}

/// A query of the settings. As a superuser it is not run: a function could then do what a read-only transaction cannot
/// keep it from, such as reading files of the server.
async fn listed(
    pg: &mut PgReads,
    params: &Params,
    name: &str,
    queries: &BTreeMap<String, String>,
) -> Result<Evidence, Unknown> {
    let sql = queries.get(name).ok_or_else(|| {
        let connection = &params.connection;
        Unknown::new(format!(
            "there is no query `{name}` under `{SECTION}.{connection}.queries` in the settings"
        ))
    })?;
    let role = pg.row(presets::ROLE, &[]).await?;
    if role.get("superuser") == Some(&json!(true)) {
        let words = "the role is a superuser, and queries of the settings are run by roles that only read";
        return Err(Unknown::new(format!("{}: {words}", pg.place())));
    }
    let rows = pg.rows(sql, &params.values, params.limit).await?;
    let mut evidence = summary::evidence(&rows, Map::new(), Vec::new());
    if let ([only], false) = (rows.rows.as_slice(), rows.truncated)
        && let (1, Some(value)) = (only.len(), only.values().next())
        && !value.is_null()
    {
        evidence.fields.insert("value".to_owned(), value.clone());
    }
    Ok(evidence)
}

fn down(error: &PgError) -> Evidence {
    let text = error.to_string();
    let mut fields = Map::new();
    fields.insert("reachable".to_owned(), json!(false));
    fields.insert("full".to_owned(), json!(matches!(error.failure, Failure::Full(_))));
    fields.insert("error".to_owned(), json!(text));
    Evidence { fields, text, chart: None }
}
