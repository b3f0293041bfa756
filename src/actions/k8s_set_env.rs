//! `k8s.set_env`: sets environment variables of a container, usually for a while.
//!
//! What a variable was is kept in the plan, so that exactly that is put back. What looks like a secret is not kept
//! anywhere, so such a variable is left alone.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::container::{container, survey_change};
use super::cluster::edit;
use super::cluster::plan::outlined;
use super::cluster::subject::{Naming, Subject};
use super::cluster::workload::{WORKLOADS, Workload};
use super::cluster::{hand, nothing_to_do, refused, settle, ttl};
use super::{Entry, Hands};
use crate::clients::kubernetes::changes::Change;
use crate::domain::action::{ActionPlan, Repeatability, Tier};
use crate::domain::catalog::{
    AccessNeed, ActionKind, CheckedParams, Inverse, ParamsError, Performer, PlanOutline, PlanSubject,
    Reference, Slot, SlotLanguage,
};
use crate::domain::rule::TargetSpec;
use crate::domain::survey::SurveyOutcome;
use crate::engine::ports::SurveyContext;
use crate::params;
use crate::period::Period;

/// Most variables of one use: more are a new configuration.
const VARS_MAX: usize = 20;

/// Longest value, rendered.
const VALUE_BYTES_MAX: usize = 4_096;

pub(super) const ENTRY: Entry = Entry {
    kind: ActionKind {
        name: "k8s.set_env",
        summary: "Sets environment variables of one container of a Deployment, StatefulSet or DaemonSet, which starts \
                  a rollout. With `ttl` they are put back after that time. Variables that hold secrets are left alone.",
        tier_floor: Tier::T2,
        repeatability: Repeatability::Idempotent,
        performer: Performer::Machine,
        inverse: Inverse::Recorded,
        timeout: edit::TIMEOUT,
        is_surveyed: true,
        check,
        schema: params::schema::<Params>,
        access,
        outline,
    },
    act: |hands, plan, context| Box::pin(edit::act(hands, plan, context)),
    survey: Some(|hands, draft, context| {
        Box::pin(async move { settle(survey(hands, draft, context).await) })
    }),
    look_back: Some(|hands, plan, context| Box::pin(edit::look_back(hands, plan, context))),
};

/// Parameters of `k8s.set_env`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "the names are read by `Naming`")]
struct Params {
    /// `Deployment`, `StatefulSet` or `DaemonSet`. Default: the target's.
    kind: Option<String>,
    /// Namespace, as it stands in the rule. Default: the target's.
    namespace: Option<String>,
    /// Name of the workload. Default: the target's. May hold templates.
    name: Option<String>,
    /// Name of the container. Default: the only one.
    container: Option<String>,
    /// The variables, at most 20. Values may hold templates.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 20))]
    vars: BTreeMap<String, String>,
    /// How long they are to stand, from 1m to 7d; then they are put back. Default: for good.
    ttl: Option<Period>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { vars, ttl: lasts, .. } = params::read(params)?;
    ttl::check(lasts)?;
    params::count_within("/vars", vars.len(), VARS_MAX, "variables")?;
    let mut slots = Naming::in_params(params).check(&WORKLOADS)?;
    for (name, value) in &vars {
        let place = params::pointer(&["vars", name]);
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_word) {
            return Err(ParamsError::at(place, format!("{name:?} is no name of an environment variable")));
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(ParamsError::at(place, format!("this value is longer than {VALUE_BYTES_MAX} bytes")));
        }
        slots.push(Slot::new(place, SlotLanguage::Text));
    }
    Ok(CheckedParams { slots, references: vec![Reference::Kubernetes], ..CheckedParams::default() })
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    Naming::in_params(params).need_workload(&["get", "patch"], target).into_iter().collect()
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { vars, ttl, .. } = params::read(params)?;
    let subject = Naming::in_params(params).subject(&WORKLOADS, plan.target)?;
    let set: Vec<String> = vars.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let summary = format!("set {} on {}", set.join(", "), subject.shown());
    Ok(PlanOutline { ttl: ttl.map(Period::signed), ..outlined(&subject, params, summary) })
}

async fn survey(
    hands: &Hands,
    draft: &ActionPlan,
    _: &SurveyContext,
) -> Result<SurveyOutcome, SurveyOutcome> {
    let cluster = hand(hands)?;
    let params: Params = params::read(&draft.params).map_err(|error| refused(error.to_string()))?;
    let subject = Subject::in_params(&draft.params).ok_or_else(|| refused("the draft names no object"))?;
    let workload = Workload::read(cluster, subject).await?;
    let (_, place) = container(&workload, params.container.as_deref())?;
    let changes: Vec<Change> = params
        .vars
        .iter()
        .map(|(name, value)| {
            let path = place.clone().field("env").item(name);
            Change::of(&workload.object, path, json!({"name": name, "value": value}))
        })
        .filter(|change| change.from != change.to)
        .collect();
    if changes.is_empty() {
        return Err(nothing_to_do(format!("{} has these values already", workload.subject.shown())));
    }
    let redactor = hands.keyring.redactor();
    for change in &changes {
        // As it would stand in a file, since a name such as PASSWORD tells as much as a value.
        let line = |side: &Value| {
            format!(
                "{}={}",
                side["name"].as_str().unwrap_or_default(),
                side["value"].as_str().unwrap_or_default()
            )
        };
        if [&change.from, &change.to].into_iter().any(|side| redactor.redact(&line(side)) != line(side)) {
            let reason = format!("{} holds a secret, which is kept nowhere: change it by hand", change.path);
            return Err(refused(reason));
        }
    }
    survey_change(cluster, draft, &workload, changes, Tier::T2).await
}
