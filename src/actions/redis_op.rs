//! `redis.op`: empties a database, deletes keys by a pattern, has a snapshot written, or sets a parameter, at a Redis server of
//! the settings.
//!
//! Each of these is allowed by a list in the settings that is empty unless somebody filled it, and looked up again right
//! before the act. There is no `FLUSHALL` and no `SAVE`: the one forgets queues and sessions of others, the other
//! holds up every client.

mod keys;
mod order;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{DELETE_PREFIX_CHARS_MIN, RedisAccess};
use super::cluster::{drafted, nothing_to_do, refused, ttl};
use super::outcome::{not_applied, not_now, unknown};
use super::{Entry, Hands, Looked, request};
use crate::clients::redis::{Failure, RedisError, RedisHand};
use crate::domain::action::{ActionOutcome, ActionPlan, Repeatability, Tier};
use crate::domain::catalog::{
    ActionKind, CheckedParams, Inverse, ParamsError, Performer, PlanOutline, PlanSubject, Reference,
    no_access,
};
use crate::domain::survey::{Impact, SurveyOutcome, Surveyed};
use crate::engine::ports::{ActionContext, SurveyContext};
use crate::params;
use crate::period::Period;

use keys::{Count, KEYS_DEFAULT, KEYS_MAX, PATTERN_BYTES_MAX};
use order::{Order, bytes_of};

/// Longest time for one attempt, below the minute that the engine gives it.
const TIMEOUT: Duration = Duration::from_secs(50);

/// Longest value of a parameter.
const VALUE_BYTES_MAX: usize = 1_000;

/// Its name.
pub(super) const NAME: &str = "redis.op";

const SECTION: &str = "connections.redis";

pub(super) const ENTRY: Entry = Entry {
    kind: ActionKind {
        name: NAME,
        summary: "Empties one database, deletes the keys that match a pattern, has the snapshot written in the background, or sets a parameter until the next \
                  start, at a Redis server of the settings, as far as its `act` allows. A parameter is put back where it \
                  did not help or when its `ttl` is over; what was emptied or deleted stays so.",
        tier_floor: Tier::T2,
        repeatability: Repeatability::AtMostOnce,
        performer: Performer::Machine,
        inverse: Inverse::Recorded,
        timeout: TIMEOUT,
        is_surveyed: true,
        check,
        schema: params::schema::<Params>,
        access: no_access,
        outline,
    },
    act: |hands, plan, _| Box::pin(act(hands, plan)),
    survey: Some(|hands, draft, context| Box::pin(survey(hands, draft, context))),
    look_back: Some(|hands, plan, context| Box::pin(look_back(hands, plan, context))),
};

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Op {
    /// Empties `database`.
    Flushdb,
    /// Deletes the keys of `database` that match `pattern`, a few at a time.
    DeleteKeys,
    /// Has the snapshot written in the background.
    Bgsave,
    /// Sets `parameter` to `value`.
    ConfigSet,
}

/// Parameters of `redis.op`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Name of a server in the settings, under `connections.redis`; it needs an `act`.
    #[schemars(length(min = 1, max = 200))]
    connection: String,
    /// What to do.
    op: Op,
    /// Number of the database, for `flushdb` and `delete_keys`.
    database: Option<u16>,
    /// Pattern as Redis reads it (`*`, `?`, `[ab]`), for `delete_keys`. What stands before its first wildcard has at least 3
    /// characters, and begins with a prefix of the settings.
    #[schemars(length(min = 3, max = 200))]
    pattern: Option<String>,
    /// Most keys that may match, for `delete_keys`, up to 1000000. Default: 10000. More are refused.
    max_keys: Option<u32>,
    /// Name of the parameter, for `config_set`.
    #[schemars(length(min = 1, max = 100))]
    parameter: Option<String>,
    /// Its value, for `config_set`.
    #[schemars(length(max = 1000))]
    value: Option<String>,
    /// How long it is to stand, from 1m to 7d, for `config_set`; then it is put back. Default: until the server starts anew.
    ttl: Option<Period>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { connection, op, database, pattern, max_keys, parameter, value, ttl: lasts } =
        params::read(params)?;
    request::fixed_name("/connection", &connection, "a connection")?;
    ttl::check(lasts)?;
    let wanted = [
        ("database", matches!(op, Op::Flushdb | Op::DeleteKeys), database.is_some()),
        ("pattern", op == Op::DeleteKeys, pattern.is_some()),
        ("parameter", op == Op::ConfigSet, parameter.is_some()),
        ("value", op == Op::ConfigSet, value.is_some()),
    ];
    for (key, needed, there) in wanted {
        match (needed, there) {
            (true, false) => return Err(ParamsError::at("", format!("`{key}` is missing for this `op`"))),
            (false, true) => {
                return Err(ParamsError::at(params::pointer(&[key]), "this does not belong to this `op`"));
            }
            _ => {}
        }
    }
    if let Some(pattern) = &pattern {
        params::text_within("/pattern", pattern, PATTERN_BYTES_MAX)?;
        if keys::prefix_of(pattern).chars().count() < DELETE_PREFIX_CHARS_MIN {
            let message = format!(
                "at least {DELETE_PREFIX_CHARS_MIN} characters must stand before the first wildcard: use `flushdb` to empty a \
                 database"
            );
            return Err(ParamsError::at("/pattern", message));
        }
    }
    if max_keys.is_some() && op != Op::DeleteKeys {
        return Err(ParamsError::at("/max_keys", "this does not belong to this `op`"));
    }
    if max_keys.is_some_and(|keys| keys == 0 || keys > KEYS_MAX) {
        return Err(ParamsError::at("/max_keys", format!("from 1 to {KEYS_MAX}")));
    }
    if lasts.is_some() && op != Op::ConfigSet {
        return Err(ParamsError::at("/ttl", "only a parameter can be put back"));
    }
    for (key, text) in [("/parameter", &parameter), ("/value", &value)] {
        if let Some(text) = text {
            params::text_within(key, text, VALUE_BYTES_MAX)?;
        }
    }
    let reference = Reference::Connection { section: SECTION, name: connection, acts: true };
    Ok(CheckedParams { references: vec![reference], ..CheckedParams::default() })
}

fn outline(params: &Value, _: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { connection, op, database, pattern, parameter, value, ttl, .. } = params::read(params)?;
    let (summary, repeatability) = match op {
        Op::Flushdb => {
            let number = database.unwrap_or_default();
            (format!("empty database {number} of Redis {connection}"), Repeatability::AtMostOnce)
        }
        Op::DeleteKeys => {
            let (number, pattern) = (database.unwrap_or_default(), pattern.unwrap_or_default());
            let summary =
                format!("delete keys that match {pattern} in database {number} of Redis {connection}");
            (summary, Repeatability::Idempotent)
        }
        Op::Bgsave => (format!("have Redis {connection} write its snapshot"), Repeatability::Idempotent),
        Op::ConfigSet => {
            let (name, value) = (parameter.unwrap_or_default(), value.unwrap_or_default());
            (format!("set {name} to {value} on Redis {connection}"), Repeatability::Idempotent)
        }
    };
    let target = Some(format!("Redis/{connection}"));
    Ok(PlanOutline { target, summary, repeatability, ttl: ttl.map(Period::signed), ..PlanOutline::default() })
}

/// The connection, where the settings allow this order at it.
fn allowed<'h>(hands: &'h Hands, connection: &str, order: &Order) -> Result<&'h RedisAccess, String> {
    let access = hands.connections.redis.get(connection);
    let access = access.ok_or_else(|| {
        format!("there is no `{connection}` with an `act` under `{SECTION}` in the settings")
    })?;
    let (is_allowed, key, what) = match order {
        Order::Flush { database, .. } => {
            (access.flushdb.contains(database), "flushdb", format!("`{database}`"))
        }
        Order::Delete { pattern, .. } => {
            let what = format!("a prefix of `{pattern}`");
            (keys::is_below(pattern, &access.delete_keys), "delete_keys", what)
        }
        Order::Save { .. } => (access.bgsave, "bgsave", "`true`".to_owned()),
        Order::Set { parameter, .. } => {
            (access.config_set.contains(parameter), "config_set", format!("`{parameter}`"))
        }
    };
    let missing = || format!("the settings do not allow it: `{SECTION}.{connection}.act.{key}` lacks {what}");
    is_allowed.then_some(access).ok_or_else(missing)
}

/// The look under the identity that will act, so that what it may not do shows before anybody approves.
async fn survey(hands: &Hands, draft: &ActionPlan, _: &SurveyContext) -> Looked {
    let Params { connection, op, database, pattern, max_keys, parameter, value, .. } = drafted(draft)?;
    let (parameter, value) = (parameter.unwrap_or_default(), value.unwrap_or_default());
    let mut order = match op {
        Op::Flushdb => {
            Order::Flush { connection, database: database.unwrap_or_default(), run_id: String::new() }
        }
        Op::DeleteKeys => Order::Delete {
            connection,
            database: database.unwrap_or_default(),
            pattern: pattern.unwrap_or_default(),
            keys_max: max_keys.unwrap_or(KEYS_DEFAULT),
        },
        Op::Bgsave => Order::Save { connection, last_save: 0 },
        Op::ConfigSet => {
            Order::Set { connection, parameter, from: String::new(), to: value, restores: false }
        }
    };
    let access = allowed(hands, order.connection(), &order).map_err(refused)?;
    let mut hand = RedisHand::connect(&access.options.now(), order.database()).await.map_err(unseen)?;
    let info = hand.reads().info().await.map_err(unseen)?;
    let says = |name: &str| info.get(name).map(String::as_str).unwrap_or_default();
    let mut notes = vec![format!("{} (version {})", hand.reads().place(), says("redis_version"))];
    if says("loading") == "1" {
        return Err(later("it is loading its data"));
    }
    let mut summary = draft.summary.clone();
    let mut inverse = None;
    match &mut order {
        Order::Flush { database, run_id, .. } => {
            if says("role") != "master" {
                return Err(refused("this server is a replica: what is emptied there comes again"));
            }
            let keys = hand.reads().keys().await.map_err(unseen)?;
            if keys == 0 {
                return Err(nothing_to_do(format!("database {database} holds no keys")));
            }
            summary = format!("{summary}: {keys} keys");
            *run_id = says("run_id").to_owned();
            notes.push(format!("database {database} holds {keys} keys, and they do not come back"));
            let others = info.keys().filter(|name| is_database(name) && **name != format!("db{database}"));
            notes.push(match others.cloned().collect::<Vec<_>>() {
                others if others.is_empty() => "no other database holds keys".to_owned(),
                others => format!("other databases keep theirs: {}", others.join(", ")),
            });
        }
        Order::Delete { database, pattern, keys_max, .. } => {
            if says("role") != "master" {
                return Err(refused("this server is a replica: what is deleted there comes again"));
            }
            if says("cluster_enabled") == "1" {
                return Err(refused("this server is one of a cluster: other keys that match are elsewhere"));
            }
            let Count { keys, is_whole } = keys::count(&mut hand, pattern).await.map_err(unseen)?;
            if keys == 0 && is_whole {
                return Err(nothing_to_do(format!("no key of database {database} matches {pattern}")));
            }
            let about = if is_whole { "" } else { "about " };
            if keys > u64::from(*keys_max) {
                return Err(refused(format!(
                    "{about}{keys} keys match {pattern}, and `max_keys` is {keys_max}"
                )));
            }
            summary = format!("{summary}: {about}{keys} keys");
            let all = hand.reads().keys().await.map_err(unseen)?;
            notes.push(format!("{about}{keys} of {all} keys match, and they do not come back"));
        }
        Order::Save { last_save, .. } => {
            if says("rdb_bgsave_in_progress") == "1" {
                return Err(later("it is writing a snapshot already"));
            }
            *last_save = hand.reads().last_save().await.map_err(unseen)?;
        }
        Order::Set { parameter, from, to, .. } => {
            let now = hand.reads().parameter(parameter).await.map_err(unseen)?;
            let now = now.ok_or_else(|| refused(format!("it has no parameter `{parameter}`")))?;
            if let (Some(bytes), true) = (bytes_of(to), now.parse::<u64>().is_ok()) {
                *to = bytes.to_string();
            }
            if now == *to {
                return Err(nothing_to_do(format!("{parameter} is {to} already")));
            }
            summary = format!("{summary} (now {now})");
            notes.push("it holds until the server starts anew".to_owned());
            *from = now;
        }
    }
    if let Some(back) = order.inverse() {
        inverse = Some(ActionPlan { ttl: None, ..fixed(draft, &back, back.summary()) });
    }
    let plan = fixed(draft, &order, summary);
    let surveyed = Surveyed { plan, inverse, tier_floor: Tier::T2, notes, impact: Impact::elsewhere() };
    Ok(SurveyOutcome::Ready(Box::new(surveyed)))
}

fn is_database(name: &str) -> bool {
    name.strip_prefix("db")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn fixed(draft: &ActionPlan, order: &Order, summary: String) -> ActionPlan {
    let values = serde_json::to_value(order).expect("an order is made of texts and numbers");
    ActionPlan { basis: Some(order.basis()), params: values, summary, ..draft.clone() }
}

fn later(reason: &str) -> SurveyOutcome {
    SurveyOutcome::NotNow { reason: reason.to_owned(), wait: None }
}

/// A survey that could not be made.
fn unseen(error: RedisError) -> SurveyOutcome {
    let reason = error.to_string();
    if error.is_passing() { SurveyOutcome::NotNow { reason, wait: None } } else { refused(reason) }
}

/// A command that was not answered as it should.
fn denied(error: &RedisError) -> ActionOutcome {
    let why = error.to_string();
    match &error.failure {
        Failure::Broken(_) => unknown(why),
        _ if error.is_passing() => not_now(why, None),
        _ => not_applied(why),
    }
}

async fn act(hands: &Hands, plan: &ActionPlan) -> ActionOutcome {
    match ordered(hands, plan).await {
        Ok((order, mut hand)) => order.carry_out(&mut hand).await.unwrap_or_else(|error| denied(&error)),
        Err(early) => early,
    }
}

async fn look_back(hands: &Hands, plan: &ActionPlan, _: &ActionContext) -> ActionOutcome {
    match ordered(hands, plan).await {
        Ok((order, mut hand)) => match order.look_back(&mut hand).await {
            Ok(outcome) => outcome,
            Err(error) => unknown(format!("it cannot be looked at: {error}")),
        },
        Err(ActionOutcome::NotNow { reason, .. }) => unknown(format!("it cannot be looked at: {reason}")),
        Err(early) => early,
    }
}

/// Whether somebody else has brought about what this way back is for.
pub(super) async fn is_so(hands: &Hands, way_back: &ActionPlan) -> Option<String> {
    let (order, mut hand) = ordered(hands, way_back).await.ok()?;
    order.is_so(&mut hand).await.ok()?
}

/// The order of a plan, where it is still allowed, and the hand that carries it out.
async fn ordered(hands: &Hands, plan: &ActionPlan) -> Result<(Order, RedisHand), ActionOutcome> {
    let order: Order = params::read(&plan.params)
        .map_err(|error| not_applied(format!("the plan has no fixed values: {error}")))?;
    let access = allowed(hands, order.connection(), &order).map_err(not_applied)?;
    let hand = RedisHand::connect(&access.options.now(), order.database()).await;
    Ok((order, hand.map_err(|error| denied(&error))?))
}

/// What people approve, and what must still hold at the click.
impl Order {
    fn basis(&self) -> Value {
        match self {
            Self::Flush { connection, database, run_id } => {
                json!({"connection": connection, "database": database, "run_id": run_id})
            }
            Self::Delete { connection, database, pattern, keys_max } => {
                json!({"connection": connection, "database": database, "pattern": pattern, "keys_max": keys_max})
            }
            Self::Save { connection, .. } => json!({"connection": connection}),
            Self::Set { connection, parameter, from, to, .. } => {
                json!({"connection": connection, "parameter": parameter, "from": from, "to": to})
            }
        }
    }
}
