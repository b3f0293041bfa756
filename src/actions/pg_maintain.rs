//! `pg.maintain`: upkeep of one table of PostgreSQL that does not block those who work: ANALYZE, VACUUM, and indexes built
//! anew beside the old ones.
//!
//! `VACUUM FULL`, `REINDEX DATABASE` and plain `REINDEX` are not here: they hold up every writer. What does not end
//! within an attempt is cancelled by the server: a table that needs longer is upkept in a maintenance window.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::cluster::{drafted, refused};
use super::outcome::{failed, not_applied, unknown};
use super::pg::{self, SECTION, applied, denied, unseen};
use super::{Entry, Hands, Looked, request};
use crate::clients::postgres::{Failure, PgError, PgHand, Upkeep};
use crate::domain::action::{ActionOutcome, ActionPlan, Repeatability, Tier};
use crate::domain::catalog::{
    ActionKind, CheckedParams, Inverse, ParamsError, Performer, PlanOutline, PlanSubject, Reference, Slot,
    SlotLanguage, no_access,
};
use crate::domain::survey::{Impact, SurveyOutcome, Surveyed};
use crate::engine::ports::SurveyContext;
use crate::params;
use crate::period::Period;

/// Longest time for one attempt, below the minute that the engine gives it.
const TIMEOUT: Duration = Duration::from_secs(55);

/// Time of the statement where the rule says nothing, and the most that it gets.
const WITHIN_MAX: Period = Period::from_secs(45);

/// Longest name: two names of PostgreSQL and a dot.
const TABLE_BYTES_MAX: usize = 127;

pub(super) const ENTRY: Entry = Entry {
    kind: ActionKind {
        name: "pg.maintain",
        summary: "Upkeep of one table that the settings list: `analyze`, `vacuum_analyze`, or `reindex_concurrently` (T3), \
                  none of which blocks those who work. What takes longer than `within` is cancelled.",
        tier_floor: Tier::T2,
        repeatability: Repeatability::AtMostOnce,
        performer: Performer::Machine,
        inverse: Inverse::FromRule,
        timeout: TIMEOUT,
        is_surveyed: true,
        check,
        schema: params::schema::<Params>,
        access: no_access,
        outline,
    },
    act: |hands, plan, _| Box::pin(act(hands, plan)),
    survey: Some(|hands, draft, context| Box::pin(survey(hands, draft, context))),
    look_back: Some(|hands, plan, _| Box::pin(look_back(hands, plan))),
};

/// Parameters of `pg.maintain`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Name of a database in the settings, under `connections.postgres`; it needs an `act`.
    #[schemars(length(min = 1, max = 200))]
    connection: String,
    /// What to do.
    op: Upkeep,
    /// The table, as `schema.table`. May hold templates; what comes of them must be on the list of the settings.
    #[schemars(length(min = 3, max = 500))]
    table: String,
    /// Longest time for it, at most 45s. Default: 45s.
    within: Option<Period>,
}

/// A plan with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    connection: String,
    op: Upkeep,
    schema: String,
    table: String,
    /// Another table of that name is another one.
    oid: u64,
    within_ms: u64,
    /// When it was vacuumed and analyzed before.
    before: Value,
}

impl Order {
    fn named(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { connection, table, within, .. } = params::read(params)?;
    request::fixed_name("/connection", &connection, "a connection")?;
    params::text_within("/table", &table, 500)?;
    params::period_within("/within", within, Period::from_secs(1), WITHIN_MAX)?;
    let reference = Reference::Connection { section: SECTION, name: connection, acts: true };
    let slots = vec![Slot::new("/table", SlotLanguage::Text)];
    Ok(CheckedParams { slots, references: vec![reference], ..CheckedParams::default() })
}

fn outline(params: &Value, _: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { connection, op, table, .. } = params::read(params)?;
    let (_, _) = names(&table).map_err(|why| ParamsError::at("/table", why))?;
    let repeatability = match op {
        Upkeep::Analyze | Upkeep::VacuumAnalyze => Repeatability::Idempotent,
        Upkeep::ReindexConcurrently => Repeatability::AtMostOnce,
    };
    let target = Some(format!("PostgreSQL/{connection}"));
    let summary = format!("{} {table} of PostgreSQL {connection}", op.words());
    Ok(PlanOutline { target, summary, repeatability, ..PlanOutline::default() })
}

/// Schema and table of a rendered name.
fn names(table: &str) -> Result<(String, String), String> {
    match table.split_once('.') {
        Some((schema, name)) if !schema.is_empty() && !name.is_empty() && table.len() <= TABLE_BYTES_MAX => {
            Ok((schema.to_owned(), name.to_owned()))
        }
        _ => Err("this is no name of a table: write `schema.table`".to_owned()),
    }
}

fn allowed<'h>(
    hands: &'h Hands,
    connection: &str,
    table: &str,
) -> Result<&'h super::access::PgAccess, String> {
    let access = pg::access(hands, connection)?;
    let missing =
        || format!("the settings do not allow it: `{SECTION}.{connection}.act.maintain` lacks this table");
    access.maintain.iter().any(|listed| listed == table).then_some(access).ok_or_else(missing)
}

async fn look(hand: &mut PgHand, schema: &str, table: &str) -> Result<Option<Map<String, Value>>, PgError> {
    let sql = "SELECT stat.relid::bigint AS oid, pg_size_pretty(pg_total_relation_size(stat.relid)) AS size,
        stat.n_live_tup AS live, stat.n_dead_tup AS dead,
        stat.last_vacuum, stat.last_analyze,
        (SELECT count(*) FROM pg_catalog.pg_index WHERE indrelid = stat.relid AND NOT indisvalid) AS invalid_indexes,
        (SELECT count(*) FROM pg_catalog.pg_stat_activity
         WHERE query ILIKE 'vacuum%' AND state = 'active' AND pid <> pg_backend_pid()) AS vacuums
      FROM pg_catalog.pg_stat_user_tables AS stat WHERE stat.schemaname = $1 AND stat.relname = $2";
    let values = [schema.to_owned(), table.to_owned()];
    Ok(hand.reads().rows(sql, &values, 1).await?.rows.pop())
}

async fn survey(hands: &Hands, draft: &ActionPlan, _: &SurveyContext) -> Looked {
    let Params { connection, op, table: named, within } = drafted(draft)?;
    let (schema, table) = names(&named).map_err(refused)?;
    let access = allowed(hands, &connection, &named).map_err(refused)?;
    let mut hand = pg::hand(access).await.map_err(unseen)?;
    let found = look(&mut hand, &schema, &table).await;
    hand.close().await;
    let found = found.map_err(unseen)?.ok_or_else(|| refused(format!("there is no table {named}")))?;
    let text = |name: &str| found.get(name).map(|value| value.to_string().trim_matches('"').to_owned());
    let number = |name: &str| found.get(name).and_then(Value::as_u64).unwrap_or_default();
    let mut notes = vec![format!(
        "{named} has {} with its indexes, {} rows, and {} dead ones",
        text("size").unwrap_or_default(),
        number("live"),
        number("dead")
    )];
    if op == Upkeep::ReindexConcurrently {
        notes.push(
            "it needs the room of its indexes once more, and waits for transactions that are open".to_owned(),
        );
        if number("invalid_indexes") > 0 {
            return Err(refused(format!(
                "{named} has an index that is not valid, such as one of an earlier try: drop it first"
            )));
        }
    }
    let within = within.unwrap_or(WITHIN_MAX);
    notes.push(format!("it is cancelled where it takes longer than {within}"));
    let order = Order {
        connection,
        op,
        schema,
        table,
        oid: number("oid"),
        within_ms: u64::try_from(within.get().as_millis()).unwrap_or_default(),
        before: json!({"last_vacuum": found.get("last_vacuum"), "last_analyze": found.get("last_analyze")}),
    };
    let basis = json!({"connection": order.connection, "op": order.op, "table": named, "oid": order.oid});
    let tier_floor = if op == Upkeep::ReindexConcurrently { Tier::T3 } else { Tier::T2 };
    let values = serde_json::to_value(&order).expect("an order is made of texts and numbers");
    let plan = ActionPlan { params: values, basis: Some(basis), ..draft.clone() };
    let surveyed = Surveyed { plan, inverse: None, tier_floor, notes, impact: Impact::elsewhere() };
    Ok(SurveyOutcome::Ready(Box::new(surveyed)))
}

fn ordered<'h>(hands: &'h Hands, plan: &ActionPlan) -> Result<(Order, &'h super::access::PgAccess), String> {
    let order: Order =
        params::read(&plan.params).map_err(|error| format!("the plan has no fixed values: {error}"))?;
    let access = allowed(hands, &order.connection, &order.named())?;
    Ok((order, access))
}

async fn act(hands: &Hands, plan: &ActionPlan) -> ActionOutcome {
    let (order, access) = match ordered(hands, plan) {
        Ok(both) => both,
        Err(why) => return not_applied(why),
    };
    let mut hand = match pg::hand(access).await {
        Ok(hand) => hand,
        Err(error) => return denied(&error),
    };
    let before = match look(&mut hand, &order.schema, &order.table).await {
        Ok(Some(found)) if found.get("oid").and_then(Value::as_u64) == Some(order.oid) => found,
        Ok(_) => return not_applied(format!("{} is another table than the one of the plan", order.named())),
        Err(error) => return denied(&error),
    };
    let within = Duration::from_millis(order.within_ms).min(WITHIN_MAX.get());
    let done = hand.keep_up(order.op, &order.schema, &order.table, within).await;
    let outcome = match done {
        // PostgreSQL only warns where a role may not keep a table up, and skips it.
        Ok(()) if is_skipped(&mut hand, &order, &before).await => failed(format!(
            "the server skipped {}: only its owner may do this, or it is locked",
            order.named()
        )),
        Ok(()) => applied(format!("{} {} is done", order.op.words(), order.named())),
        Err(error) => match &error.failure {
            // It was begun, and the server put an end to it.
            Failure::TooLong(_) => failed(match order.op {
                Upkeep::ReindexConcurrently => format!(
                    "{error}; an index with the ending _ccnew may be left, and is to be dropped by hand"
                ),
                _ => error.to_string(),
            }),
            _ => denied(&error),
        },
    };
    hand.close().await;
    outcome
}

/// The column that shows when it was kept up last; none where nothing shows it.
fn shown_by(op: Upkeep) -> Option<&'static str> {
    match op {
        Upkeep::Analyze => Some("last_analyze"),
        Upkeep::VacuumAnalyze => Some("last_vacuum"),
        Upkeep::ReindexConcurrently => None,
    }
}

/// Whether the server shows no trace of what it says is done.
async fn is_skipped(hand: &mut PgHand, order: &Order, before: &Map<String, Value>) -> bool {
    let Some(key) = shown_by(order.op) else { return false };
    let now = look(hand, &order.schema, &order.table).await;
    matches!(now, Ok(Some(now)) if now.get(key) == before.get(key))
}

/// Whether it has been vacuumed or analyzed since the plan was made, by us or by another.
async fn look_back(hands: &Hands, plan: &ActionPlan) -> ActionOutcome {
    let (order, access) = match ordered(hands, plan) {
        Ok(both) => both,
        Err(why) => return unknown(why),
    };
    let found = async {
        let mut hand = pg::hand(access).await?;
        let found = look(&mut hand, &order.schema, &order.table).await;
        hand.close().await;
        found
    };
    let Some(key) = shown_by(order.op) else {
        return unknown("nothing shows whether indexes were built anew");
    };
    match found.await {
        Ok(Some(found)) if found.get("vacuums").and_then(Value::as_u64) > Some(0) => {
            unknown("a vacuum is running, which may be this one")
        }
        Ok(Some(found)) if found.get(key).is_some_and(|now| !now.is_null() && *now != order.before[key]) => {
            applied(format!("{} was kept up since", order.named()))
        }
        Ok(_) => not_applied(format!("{} was not kept up since", order.named())),
        Err(error) => unknown(format!("it cannot be looked at: {error}")),
    }
}
