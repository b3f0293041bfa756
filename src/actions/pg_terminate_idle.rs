//! `pg.terminate_idle`: ends sessions that hold a connection and have done nothing for long.
//!
//! How long a session has been idle is counted from its last change of state, never from its last query. People see
//! the very sessions before they approve, each by its process and the time of its start; right at the act each must
//! still be that session, and still be idle for so long. Only users and databases on the lists of the settings, never
//! superusers, never replication, never our own.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::access::IdleSessions;
use super::cluster::{drafted, nothing_to_do, refused};
use super::outcome::{not_applied, unknown};
use super::pg::{self, SECTION, applied, denied, unseen};
use super::{Entry, Hands, Looked, request};
use crate::clients::postgres::hand::OPENED;
use crate::clients::postgres::{APPLICATION_NAME, PgError, PgHand, Session};
use crate::domain::action::{ActionOutcome, ActionPlan, Repeatability, Tier};
use crate::domain::catalog::{
    ActionKind, CheckedParams, Inverse, ParamsError, Performer, PlanOutline, PlanSubject, Reference,
    no_access,
};
use crate::domain::counted::counted;
use crate::domain::survey::{Impact, SurveyOutcome, Surveyed};
use crate::domain::timeline::one_line;
use crate::engine::ports::SurveyContext;
use crate::params;
use crate::period::Period;

/// Longest time for one attempt.
const TIMEOUT: Duration = Duration::from_secs(45);

/// Most sessions that one action ends.
const SESSIONS_MAX: u32 = 100;

/// Sessions that are shown one by one.
const SHOWN_MAX: usize = 10;

/// Between two looks whether they are gone.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks before what is still there is told: two seconds.
const LOOKS_MAX: usize = 20;

pub(super) const ENTRY: Entry = Entry {
    kind: ActionKind {
        name: "pg.terminate_idle",
        summary: "Ends sessions of PostgreSQL that have been idle for so long, of users and in databases that the settings \
                  list. Shows them first, ends exactly those that are still the same and still idle, the longest idle \
                  first, and never its own. Pools connect again by themselves.",
        tier_floor: Tier::T2,
        repeatability: Repeatability::Idempotent,
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

/// Parameters of `pg.terminate_idle`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Name of a database in the settings, under `connections.postgres`; it needs an `act`.
    #[schemars(length(min = 1, max = 200))]
    connection: String,
    /// How long a session must have been idle, from 1m to 30d.
    idle_for: Period,
    /// Whether sessions that are idle within a transaction count as well: what they had not committed is lost.
    #[serde(default)]
    in_transaction: bool,
    /// Only sessions in this database. Default: all that the settings list.
    database: Option<String>,
    /// Only sessions of this user. Default: all that the settings list.
    user: Option<String>,
    /// Names that sessions call themselves (`application_name`) whose sessions are spared.
    #[serde(default)]
    spare: Vec<String>,
    /// How many to end at most. Default: 20.
    #[serde(default = "default_max")]
    #[schemars(range(min = 1, max = 100))]
    max: u32,
}

fn default_max() -> u32 {
    20
}

/// A plan with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    connection: String,
    idle_seconds: u64,
    sessions: Vec<Session>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { connection, idle_for, max, spare, .. } = params::read(params)?;
    request::fixed_name("/connection", &connection, "a connection")?;
    params::within("/idle_for", idle_for, Period::from_mins(1), Period::from_days(30))?;
    params::within("/max", max, 1, SESSIONS_MAX)?;
    if spare.len() > 20 {
        return Err(ParamsError::at("/spare", "20 names at most"));
    }
    let reference = Reference::Connection { section: SECTION, name: connection, acts: true };
    Ok(CheckedParams { references: vec![reference], ..CheckedParams::default() })
}

fn outline(params: &Value, _: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { connection, idle_for, max, .. } = params::read(params)?;
    let target = Some(format!("PostgreSQL/{connection}"));
    let summary =
        format!("end at most {max} sessions of PostgreSQL {connection} that are idle for {idle_for}");
    Ok(PlanOutline { target, summary, ..PlanOutline::default() })
}

/// The lists of the settings, narrowed by the rule.
fn lists(allowed: &IdleSessions, params: &Params) -> Result<(Vec<String>, Vec<String>), String> {
    let narrowed = |list: &[String], wanted: &Option<String>, key: &str| match wanted {
        None if list.is_empty() => Err(format!("the settings list no {key} whose sessions may be ended")),
        None => Ok(list.to_vec()),
        Some(one) if list.contains(one) => Ok(vec![one.clone()]),
        Some(one) => Err(format!("the settings do not list `{}` among the {key}", one_line(one, 63))),
    };
    Ok((
        narrowed(&allowed.databases, &params.database, "databases")?,
        narrowed(&allowed.users, &params.user, "users")?,
    ))
}

async fn survey(hands: &Hands, draft: &ActionPlan, _: &SurveyContext) -> Looked {
    let params: Params = drafted(draft)?;
    let access = pg::access(hands, &params.connection).map_err(refused)?;
    let (databases, users) = lists(&access.terminate_idle, &params).map_err(refused)?;
    let mut hand = pg::hand(access).await.map_err(unseen)?;
    let found = sessions(&mut hand, &params, &databases, &users, &access.terminate_idle.applications).await;
    let hidden = hidden(&mut hand, &databases, &users).await;
    hand.close().await;
    let (sessions, hidden) = (found.map_err(unseen)?, hidden.map_err(unseen)?);
    if sessions.is_empty() {
        return Err(match hidden {
            0 => nothing_to_do(format!("no such session is idle for {}", params.idle_for)),
            hidden => refused(format!(
                "the acting user may not see into {hidden} of these sessions: grant it `pg_read_all_stats`"
            )),
        });
    }
    let summary = format!(
        "end {} of PostgreSQL {} that {} idle for {} or longer",
        counted(sessions.len(), "session"),
        params.connection,
        if sessions.len() == 1 { "is" } else { "are" },
        params.idle_for
    );
    let mut notes: Vec<String> = sessions.iter().take(SHOWN_MAX).map(line).collect();
    if sessions.len() > SHOWN_MAX {
        notes.push(format!("… and {} more", sessions.len() - SHOWN_MAX));
    }
    if sessions.iter().any(|session| session.state != "idle") {
        notes.push("what a session had not committed is lost".to_owned());
    }
    if hidden > 0 {
        notes.push(format!("{hidden} further sessions cannot be seen into, and are left alone"));
    }
    // Which sessions are idle changes all the time: people approve whose, and of those that they saw only what is still so
    // is ended.
    let basis = json!({
        "connection": params.connection, "databases": databases, "users": users, "spare": params.spare,
        "in_transaction": params.in_transaction, "idle_seconds": params.idle_for.get().as_secs(), "max": params.max,
    });
    let order =
        Order { connection: params.connection, idle_seconds: params.idle_for.get().as_secs(), sessions };
    let values = serde_json::to_value(&order).expect("an order is made of texts and numbers");
    let plan = ActionPlan { params: values, basis: Some(basis), summary, ..draft.clone() };
    let surveyed = Surveyed { plan, inverse: None, tier_floor: Tier::T2, notes, impact: Impact::elsewhere() };
    Ok(SurveyOutcome::Ready(Box::new(surveyed)))
}

fn line(session: &Session) -> String {
    let Session { pid, user, database, application, state, idle_seconds, .. } = session;
    let application = if application.is_empty() { "without a name" } else { application };
    let text = format!("pid {pid}: {user} in {database}, {application}, {state} for {idle_seconds} s");
    one_line(&text, 200)
}

/// Whose sessions are meant, whatever they do; whoever may not see into one does not learn its kind either. Our own and
/// superusers' never are.
const MEANT: &str = "\
(activity.backend_type = 'client backend' OR activity.backend_type IS NULL) AND activity.pid <> pg_backend_pid()
  AND NOT role.rolsuper AND NOT role.rolreplication
  AND activity.datname = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)))
  AND activity.usename = ANY (ARRAY(SELECT jsonb_array_elements_text($2::jsonb)))";

async fn sessions(
    hand: &mut PgHand,
    params: &Params,
    databases: &[String],
    users: &[String],
    applications: &[String],
) -> Result<Vec<Session>, PgError> {
    let sql = format!(
        "SELECT activity.pid, {OPENED} AS opened, activity.usename AS user, activity.datname AS database,
           coalesce(activity.application_name, '') AS application, activity.state,
           floor(extract(epoch FROM clock_timestamp() - activity.state_change))::bigint AS idle_seconds
         FROM pg_catalog.pg_stat_activity AS activity
         JOIN pg_catalog.pg_roles AS role ON role.oid = activity.usesysid
         WHERE {MEANT}
           AND activity.state = ANY (ARRAY(SELECT jsonb_array_elements_text($3::jsonb)))
           AND activity.state_change <= clock_timestamp() - make_interval(secs => $4::double precision)
           AND activity.application_name <> '{APPLICATION_NAME}'
           AND (jsonb_array_length($5::jsonb) = 0
             OR activity.application_name = ANY (ARRAY(SELECT jsonb_array_elements_text($5::jsonb))))
           AND activity.application_name <> ALL (ARRAY(SELECT jsonb_array_elements_text($6::jsonb)))
         ORDER BY activity.state_change"
    );
    let states: &[&str] = match params.in_transaction {
        false => &["idle"],
        true => &["idle", "idle in transaction", "idle in transaction (aborted)"],
    };
    let values = [
        json!(databases).to_string(),
        json!(users).to_string(),
        json!(states).to_string(),
        params.idle_for.get().as_secs_f64().to_string(),
        json!(applications).to_string(),
        json!(params.spare).to_string(),
    ];
    let most = usize::try_from(params.max).unwrap_or(usize::MAX);
    let rows = hand.reads().rows(&sql, &values, most).await?.rows;
    // A row is what the statement above selects.
    Ok(rows.into_iter().filter_map(|row| serde_json::from_value(Value::Object(row)).ok()).collect())
}

/// How many of those that are meant cannot be seen into.
async fn hidden(hand: &mut PgHand, databases: &[String], users: &[String]) -> Result<u64, PgError> {
    let sql = format!(
        "SELECT count(*) AS hidden FROM pg_catalog.pg_stat_activity AS activity
         JOIN pg_catalog.pg_roles AS role ON role.oid = activity.usesysid
         WHERE {MEANT} AND activity.state IS NULL"
    );
    let values = [json!(databases).to_string(), json!(users).to_string()];
    let row = hand.reads().row(&sql, &values).await?;
    Ok(row.get("hidden").and_then(Value::as_u64).unwrap_or_default())
}

/// The order of a plan, where whom it ends is still on the lists.
fn ordered<'h>(hands: &'h Hands, plan: &ActionPlan) -> Result<(Order, &'h super::access::PgAccess), String> {
    let order: Order =
        params::read(&plan.params).map_err(|error| format!("the plan has no fixed values: {error}"))?;
    let access = pg::access(hands, &order.connection)?;
    let IdleSessions { databases, users, .. } = &access.terminate_idle;
    let is_listed =
        |session: &Session| databases.contains(&session.database) && users.contains(&session.user);
    if !order.sessions.iter().all(is_listed) {
        return Err("the settings do not list all of these sessions' users and databases any more".to_owned());
    }
    Ok((order, access))
}

async fn act(hands: &Hands, plan: &ActionPlan) -> ActionOutcome {
    let (order, access) = match ordered(hands, plan) {
        Ok(both) => both,
        Err(why) => return not_applied(why),
    };
    let ended = async {
        let mut hand = pg::hand(access).await?;
        let ended = hand.end_sessions(&order.sessions, Duration::from_secs(order.idle_seconds)).await?;
        let spared = order.sessions.len().saturating_sub(ended.told);
        let mut left = hand.still_there(&order.sessions).await?;
        for _ in 0..LOOKS_MAX {
            if left <= spared {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            left = hand.still_there(&order.sessions).await?;
        }
        hand.close().await;
        Ok::<_, PgError>((ended.told, spared, left))
    };
    match ended.await {
        Ok((0, _, _)) => not_applied("none of these sessions is still there and idle"),
        Ok((told, spared, left)) => {
            let mut detail = format!("ended {}", counted(told, "session"));
            if spared > 0 {
                detail += &format!("; {spared} had work again or were gone");
            }
            if left > spared {
                detail += &format!("; {} take their time to go", left - spared);
            }
            applied(detail)
        }
        Err(error) => denied(&error),
    }
}

async fn look_back(hands: &Hands, plan: &ActionPlan) -> ActionOutcome {
    let (order, access) = match ordered(hands, plan) {
        Ok(both) => both,
        Err(why) => return unknown(why),
    };
    let left = async {
        let mut hand = pg::hand(access).await?;
        let left = hand.still_there(&order.sessions).await;
        hand.close().await;
        left
    };
    match left.await {
        Ok(0) => applied("all of these sessions are gone"),
        Ok(left) => {
            not_applied(format!("{left} of {} are still there", counted(order.sessions.len(), "session")))
        }
        Err(error) => unknown(format!("it cannot be looked at: {error}")),
    }
}
