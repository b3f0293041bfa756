//! `k8s.set_resources`: changes requests and limits of a container, up to a cap.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::container::{container, survey_change};
use super::cluster::declared::Declared;
use super::cluster::plan::outlined;
use super::cluster::subject::Naming;
use super::cluster::workload::{WORKLOADS, Workload};
use super::cluster::{drafted, hand, nothing_to_do, object_of, refused, ttl};
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::changes::Change;
use crate::clients::kubernetes::quantity::Amount;
use crate::domain::action::{ActionPlan, Tier};
use crate::domain::catalog::{AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject};
use crate::domain::rule::TargetSpec;
use crate::engine::ports::SurveyContext;
use crate::params;
use crate::period::Period;

/// The resources that a rule may change.
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// The largest step in percent: ten times as much is another machine.
const PERCENT_MAX: u32 = 1_000;

type Amounts = BTreeMap<String, String>;

pub(super) const ENTRY: Entry = Declared {
    name: "k8s.set_resources",
    summary: "Changes requests and limits of one container of a Deployment, StatefulSet or DaemonSet, which starts a \
              rollout. A percentage such as `150%` is taken of what is set now. Nothing goes above `cap`. With `ttl` \
              they are put back after that time.",
    tier_floor: Tier::T2,
    inverse: Inverse::Recorded,
    check,
    schema: params::schema::<Params>,
    access,
    outline,
    survey: |hands, draft, context| Box::pin(survey(hands, draft, context)),
}
.by_edit();

/// Parameters of `k8s.set_resources`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// `Deployment`, `StatefulSet` or `DaemonSet`. Default: the target's.
    kind: Option<String>,
    /// Namespace, as it stands in the rule. Default: the target's.
    namespace: Option<String>,
    /// Name of the workload. Default: the target's. May hold templates.
    name: Option<String>,
    /// Name of the container. Default: the only one.
    container: Option<String>,
    /// What it is promised: `cpu`, `memory`, `ephemeral-storage`; quantities such as `500m` or `1500Mi`, or percentages.
    #[serde(default)]
    requests: Amounts,
    /// What it may use at most, likewise.
    #[serde(default)]
    limits: Amounts,
    /// The most that either may come to, as quantities. A percentage needs one.
    #[serde(default)]
    cap: Amounts,
    /// How long they are to stand, from 1m to 7d; then they are put back. Default: for good.
    ttl: Option<Period>,
}

/// A value as a rule writes it.
enum Wanted {
    Amount(Amount),
    Percent(u32),
}

fn wanted(place: &str, text: &str) -> Result<Wanted, ParamsError> {
    if let Some(percent) = text.strip_suffix('%') {
        let percent: u32 = percent
            .parse()
            .map_err(|_| ParamsError::at(place, format!("`{text}` is no percentage: write it as `150%`")))?;
        params::within(place, percent, 1, PERCENT_MAX)?;
        return Ok(Wanted::Percent(percent));
    }
    amount(place, text).map(Wanted::Amount)
}

fn amount(place: &str, text: &str) -> Result<Amount, ParamsError> {
    let amount = Amount::parse(text).map_err(|error| ParamsError::at(place, error.to_string()))?;
    if !amount.is_positive() {
        return Err(ParamsError::at(place, "an amount is above zero"));
    }
    Ok(amount)
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind, namespace, name, requests, limits, cap, ttl: lasts, .. } = params::read(params)?;
    ttl::check(lasts)?;
    if requests.is_empty() && limits.is_empty() {
        return Err(ParamsError::at("", "there is nothing to set: give `requests` or `limits`"));
    }
    for (field, amounts) in [("cap", &cap), ("requests", &requests), ("limits", &limits)] {
        for (name, text) in amounts {
            let place = params::pointer(&[field, name]);
            if !RESOURCES.contains(&name.as_str()) {
                return Err(ParamsError::at(place, format!("`{name}` is none of {}", RESOURCES.join(", "))));
            }
            let most =
                cap.get(name).map(|text| amount(&params::pointer(&["cap", name]), text)).transpose()?;
            match (wanted(&place, text)?, most) {
                (Wanted::Percent(_), _) if field == "cap" => {
                    return Err(ParamsError::at(place, "a cap is a quantity"));
                }
                (Wanted::Percent(_), None) => {
                    return Err(ParamsError::at(place, format!("a percentage needs a `cap` for {name}")));
                }
                (Wanted::Amount(amount), Some(most)) if amount > most => {
                    return Err(ParamsError::at(place, format!("{text} is above the cap of {most}")));
                }
                _ => {}
            }
        }
    }
    Naming::of(&kind, &namespace, &name).checked(&WORKLOADS)
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    Naming::in_params(params).need_template(target)
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { requests, limits, ttl, .. } = params::read(params)?;
    let subject = Naming::in_params(params).subject(&WORKLOADS, plan.target)?;
    let words = |field: &str, amounts: &Amounts| -> Vec<String> {
        amounts.iter().map(|(name, text)| format!("{field} {name} {text}")).collect()
    };
    let set = [words("requests", &requests), words("limits", &limits)].concat();
    let summary = format!("set {} on {}", set.join(", "), subject.shown());
    Ok(PlanOutline { ttl: ttl.map(Period::signed), ..outlined(&subject, params, summary) })
}

async fn survey(hands: &Hands, draft: &ActionPlan, context: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let params: Params = drafted(draft)?;
    let subject = object_of(draft)?;
    let workload = Workload::read(cluster, subject).await?;
    let (_, place) = container(&workload, params.container.as_deref())?;
    let mut changes = Vec::new();
    for (field, amounts) in [("requests", &params.requests), ("limits", &params.limits)] {
        for (name, text) in amounts {
            let path = place.clone().field("resources").field(field).field(name);
            let now = path.of(&workload.object).and_then(Value::as_str);
            let now = now.map(Amount::parse).transpose().map_err(|error| refused(error.to_string()))?;
            let cap = params.cap.get(name).and_then(|text| Amount::parse(text).ok());
            let becomes = match wanted("", text).map_err(|error| refused(error.to_string()))? {
                Wanted::Amount(amount) => amount,
                Wanted::Percent(percent) => now
                    .ok_or_else(|| refused(format!("{path} is not set, so that {text} of it says nothing")))?
                    .percent(percent)
                    .min(cap.unwrap_or_else(|| Amount::parse("0").expect("a quantity"))),
            };
            // A percentage that the cap turns around would take away what somebody gave on purpose.
            let turned = text.ends_with('%') && now.is_some_and(|now| becomes < now && !is_less(text));
            if now != Some(becomes) && !turned {
                changes.push(Change::of(&workload.object, path, json!(becomes.to_string())));
            }
        }
    }
    if changes.is_empty() {
        let shown = workload.subject.shown();
        return Err(nothing_to_do(format!("{shown} has these amounts already, or is at the cap")));
    }
    survey_change(cluster, draft, &workload, changes, Tier::T2, context.now).await
}

/// Whether a percentage asks for less than now.
fn is_less(text: &str) -> bool {
    text.strip_suffix('%')
        .and_then(|percent| percent.parse::<u32>().ok())
        .is_some_and(|percent| percent < 100)
}
