//! `am.silence`: a silence in Alertmanager for a time, such as for a maintenance window.
//!
//! It is for whatever its matchers match, so its survey shows which alerts that would be now, and refuses what is broader
//! than the rule allows. It is found again by its mark, so an interrupted attempt makes no second one, and it is ended
//! where it did not help. People silence the alerts of one incident by a button, which is another thing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::access::Silencing;
use super::cluster::{drafted, refused};
use super::outcome::{not_applied, not_now, unknown};
use super::{Entry, Hands, Looked};
use crate::clients::alertmanager::api::{AlertmanagerClient, ApiError, Silence, SilenceMatcher};
use crate::domain::action::{ActionOutcome, ActionPlan, Repeatability, Tier};
use crate::domain::catalog::{
    ActionKind, CheckedParams, Inverse, ParamsError, Performer, PlanOutline, PlanSubject, Reference, Slot,
    SlotLanguage, no_access,
};
use crate::domain::counted::counted;
use crate::domain::matcher::{MatchOp, Matcher, ParseMode, parse_matcher};
use crate::domain::survey::{Impact, SurveyOutcome, Surveyed};
use crate::domain::timeline::one_line;
use crate::engine::ports::{ActionContext, SurveyContext};
use crate::params;
use crate::period::Period;

/// Longest time for one attempt: several peers, each with a question and an order.
const TIMEOUT: Duration = Duration::from_secs(45);

/// Most matchers of one silence.
const MATCHERS_MAX: usize = 20;

/// Alerts that are shown by name.
const SHOWN_MAX: usize = 10;

/// How much earlier than now a silence begins: Alertmanager would wait where our clock is ahead of its own.
const BEGINS_EARLIER: SignedDuration = SignedDuration::from_mins(1);

pub(super) const ENTRY: Entry = Entry {
    kind: ActionKind {
        name: "am.silence",
        summary: "Sets a silence in Alertmanager for whatever its matchers match, at most as long as \
                  `alertmanager.silence_max`, and ends it where it did not help. Shows first which alerts it would be for.",
        tier_floor: Tier::T1,
        repeatability: Repeatability::Idempotent,
        performer: Performer::Machine,
        inverse: Inverse::Recorded,
        timeout: TIMEOUT,
        is_surveyed: true,
        check,
        schema: params::schema::<Params>,
        access: no_access,
        outline,
    },
    act: |hands, plan, context| Box::pin(act(hands, plan, context)),
    survey: Some(|hands, draft, context| Box::pin(survey(hands, draft, context))),
    look_back: Some(|hands, plan, context| Box::pin(look_back(hands, plan, context))),
};

/// Parameters of `am.silence`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Alertmanager's matchers; all must match, and at least one is of the form `name="value"`. May hold templates within
    /// double quotes, whose values are escaped.
    #[schemars(length(min = 1, max = 20))]
    matchers: Vec<String>,
    /// How long, from 1m to `alertmanager.silence_max`.
    duration: Period,
    /// Why, for whoever reads it there. May hold templates.
    #[schemars(length(min = 1, max = 500))]
    comment: Option<String>,
    /// How many alerts it may be for at most, of those that fire now. Default: 50.
    #[serde(default = "default_max")]
    #[schemars(range(min = 1, max = 10000))]
    max_alerts: usize,
}

fn default_max() -> usize {
    50
}

/// A plan with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum Order {
    /// A silence until then.
    Set { matchers: Vec<SilenceMatcher>, until: Timestamp, comment: String },
    /// The end of one, by its identity at one peer.
    End { id: String },
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { matchers, duration, comment, max_alerts } = params::read(params)?;
    params::count_within("/matchers", matchers.len(), MATCHERS_MAX, "matchers")?;
    params::within("/duration", duration, Period::from_mins(1), Period::from_days(31))?;
    params::within("/max_alerts", max_alerts, 1, 10_000)?;
    let mut slots = Vec::new();
    for (index, text) in matchers.iter().enumerate() {
        let place = format!("/matchers/{index}");
        params::text_within(&place, text, 1_000)?;
        slots.push(Slot::new(place, SlotLanguage::Logql));
    }
    if let Some(comment) = &comment {
        params::text_within("/comment", comment, 500)?;
        slots.push(Slot::new("/comment", SlotLanguage::Text));
    }
    if !matchers.iter().any(|text| params::is_template(text)) {
        read(&matchers)?;
    }
    Ok(CheckedParams { slots, references: vec![Reference::Alertmanager], ..CheckedParams::default() })
}

/// The matchers of rendered texts: never one that widens a silence to everything.
fn read(texts: &[String]) -> Result<Vec<Matcher>, ParamsError> {
    let mut matchers = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let matcher = parse_matcher(text, ParseMode::Fallback)
            .map_err(|error| ParamsError::at(format!("/matchers/{index}"), error.to_string()))?;
        matchers.push(matcher);
    }
    let names_one = |matcher: &Matcher| matcher.op() == MatchOp::Equal && !matcher.value().is_empty();
    if !matchers.iter().any(names_one) {
        let message = "one of the matchers must name a value, such as `namespace=\"prod\"`: this would silence too much";
        return Err(ParamsError::at("/matchers", message));
    }
    Ok(matchers)
}

fn outline(params: &Value, _: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { matchers, duration, .. } = params::read(params)?;
    let matchers = read(&matchers)?;
    let shown: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    let summary = format!("silence {} for {duration}", one_line(&shown.join(", "), 300));
    Ok(PlanOutline { target: Some("Alertmanager".to_owned()), summary, ..PlanOutline::default() })
}

fn hand(hands: &Hands) -> Result<&Silencing, String> {
    let access = hands.connections.alertmanager.as_ref();
    access.ok_or_else(|| "the settings have no section `alertmanager`".to_owned())
}

async fn survey(hands: &Hands, draft: &ActionPlan, context: &SurveyContext) -> Looked {
    let Params { matchers, duration, comment, max_alerts } = drafted(draft)?;
    let matchers = read(&matchers).map_err(|error| refused(error.to_string()))?;
    let access = hand(hands).map_err(refused)?;
    if duration > access.silence_max {
        let reason =
            format!("{duration} is longer than `alertmanager.silence_max`, which is {}", access.silence_max);
        return Err(refused(reason));
    }
    let peer = answering(access).await.map_err(unseen)?;
    let alerts = peer.alerts().await.map_err(unseen)?;
    let fits = |listed: &&crate::clients::alertmanager::api::Listed| {
        matchers.iter().all(|matcher| matcher.matches(&listed.alert.labels))
    };
    let meant: Vec<String> = alerts
        .iter()
        .filter(fits)
        .map(|listed| {
            let pairs = listed.alert.labels.iter().map(|(name, value)| format!("{name}={value:?}"));
            one_line(&pairs.collect::<Vec<_>>().join(", "), 200)
        })
        .collect();
    if meant.len() > max_alerts {
        return Err(refused(format!(
            "it would silence {}, and the rule allows {max_alerts} (`max_alerts`)",
            counted(meant.len(), "alert")
        )));
    }
    let mut notes = vec![match meant.len() {
        0 => "no alert that fires now matches".to_owned(),
        count => format!("it is for {} that fire now, and for all that will match", counted(count, "alert")),
    }];
    notes.extend(meant.iter().take(SHOWN_MAX).cloned());
    if meant.len() > SHOWN_MAX {
        notes.push(format!("… and {} more", meant.len() - SHOWN_MAX));
    }
    let matchers: Vec<SilenceMatcher> = matchers.iter().map(silence_matcher).collect();
    let until = context.now.checked_add(duration.signed()).unwrap_or(Timestamp::MAX);
    let basis = json!({"matchers": matchers, "duration_seconds": duration.get().as_secs()});
    let comment = comment.unwrap_or_else(|| "silenced by a rule".to_owned());
    let order = Order::Set { matchers, until, comment };
    let values = serde_json::to_value(&order).expect("an order is made of texts and times");
    let plan = ActionPlan { params: values, basis: Some(basis), ..draft.clone() };
    let surveyed = Surveyed { plan, inverse: None, tier_floor: Tier::T1, notes, impact: Impact::elsewhere() };
    Ok(SurveyOutcome::Ready(Box::new(surveyed)))
}

fn silence_matcher(matcher: &Matcher) -> SilenceMatcher {
    let op = matcher.op();
    SilenceMatcher {
        name: matcher.name().to_owned(),
        value: matcher.value().to_owned(),
        is_regex: matches!(op, MatchOp::Regex | MatchOp::NotRegex),
        is_equal: matches!(op, MatchOp::Equal | MatchOp::Regex),
    }
}

/// The first peer that answers.
async fn answering(access: &Silencing) -> Result<AlertmanagerClient, ApiError> {
    let mut last = ApiError::Garbled("there is no Alertmanager to ask".to_owned());
    for peer in access.peers.now() {
        match peer.status().await {
            Ok(_) => return Ok(peer),
            Err(error) if error.retryable() => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn unseen(error: ApiError) -> SurveyOutcome {
    let reason = error.to_string();
    if error.retryable() { SurveyOutcome::NotNow { reason, wait: None } } else { refused(reason) }
}

fn mark(context: &ActionContext) -> String {
    format!("[smokejumper {}]", context.key)
}

/// Ours that is not over, by its mark.
async fn ours(
    peer: &AlertmanagerClient,
    matchers: &[SilenceMatcher],
    mark: &str,
) -> Result<Option<Silence>, ApiError> {
    // A plan has one: without it Alertmanager would be asked for nothing.
    let equal = matchers.iter().find(|matcher| matcher.is_equal && !matcher.is_regex);
    let filter = equal.and_then(|one| Matcher::new(&one.name, MatchOp::Equal, &one.value).ok());
    let Some(filter) = filter else { return Ok(None) };
    let found = peer.silences(filter.to_string()).await?;
    Ok(found.into_iter().find(|silence| silence.comment.contains(mark) && !silence.is_over()))
}

async fn act(hands: &Hands, plan: &ActionPlan, context: &ActionContext) -> ActionOutcome {
    let (access, order) = match ordered(hands, plan) {
        Ok(both) => both,
        Err(why) => return not_applied(why),
    };
    let peer = match answering(access).await {
        Ok(peer) => peer,
        Err(error) => return denied(&error),
    };
    match order {
        Order::Set { until, .. } if until <= context.now => not_applied("its time is over"),
        Order::Set { matchers, until, comment } => {
            match set(&peer, &matchers, until, &comment, context).await {
                Ok(id) => applied(plan, until, id),
                Err(error) => denied(&error),
            }
        }
        Order::End { id } => match peer.expire_silence(&id).await {
            Ok(()) => ActionOutcome::Applied {
                detail: format!("the silence {id} was ended"),
                inverse: None,
                requests: Vec::new(),
            },
            Err(ApiError::NotFound(_)) => {
                ActionOutcome::AlreadySo { detail: format!("the silence {id} is not there any more") }
            }
            Err(error) => denied(&error),
        },
    }
}

fn denied(error: &ApiError) -> ActionOutcome {
    match error {
        ApiError::Unreachable(broken) if broken.maybe_sent() => unknown(error.to_string()),
        _ if error.retryable() => not_now(error.to_string(), None),
        _ => not_applied(error.to_string()),
    }
}

/// Its identity, whether it was there before or is made now.
async fn set(
    peer: &AlertmanagerClient,
    matchers: &[SilenceMatcher],
    until: Timestamp,
    comment: &str,
    context: &ActionContext,
) -> Result<Option<String>, ApiError> {
    let mark = mark(context);
    if let Some(standing) = ours(peer, matchers, &mark).await? {
        return Ok(standing.id);
    }
    let silence = Silence {
        id: None,
        matchers: matchers.to_vec(),
        starts_at: context.now.checked_sub(BEGINS_EARLIER).unwrap_or(context.now),
        ends_at: until,
        created_by: "Smokejumper".to_owned(),
        comment: format!("{comment} {mark}"),
        status: None,
    };
    match peer.put_silence(&silence).await {
        Ok(id) => Ok(Some(id)),
        // It may be there all the same.
        Err(error) => match ours(peer, matchers, &mark).await {
            Ok(Some(standing)) => Ok(standing.id),
            _ => Err(error),
        },
    }
}

fn applied(plan: &ActionPlan, until: Timestamp, id: Option<String>) -> ActionOutcome {
    let id = id.unwrap_or_default();
    let order = Order::End { id: id.clone() };
    let inverse = ActionPlan {
        params: serde_json::to_value(&order).expect("an order is made of texts"),
        basis: Some(json!({"id": id})),
        summary: format!("end the silence {id}"),
        ttl: None,
        ..plan.clone()
    };
    let detail = format!("silenced until {}, as {id}", until.strftime("%Y-%m-%dT%H:%M:%SZ"));
    ActionOutcome::Applied { detail, inverse: Some(inverse), requests: Vec::new() }
}

fn ordered<'h>(hands: &'h Hands, plan: &ActionPlan) -> Result<(&'h Silencing, Order), String> {
    let order =
        params::read(&plan.params).map_err(|error| format!("the plan has no fixed values: {error}"))?;
    Ok((hand(hands)?, order))
}

async fn look_back(hands: &Hands, plan: &ActionPlan, context: &ActionContext) -> ActionOutcome {
    match ordered(hands, plan) {
        Ok((access, Order::Set { matchers, until, .. })) => {
            let mark = mark(context);
            let found = match answering(access).await {
                Ok(peer) => ours(&peer, &matchers, &mark).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(Some(standing)) => applied(plan, until, standing.id),
                Ok(None) => not_applied("no silence bears its mark"),
                Err(error) => unknown(format!("it cannot be looked at: {error}")),
            }
        }
        // To end it once more does no harm.
        Ok((_, Order::End { .. })) => not_applied("it is not known whether it was ended"),
        Err(why) => unknown(why),
    }
}
