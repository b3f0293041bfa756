//! `k8s.set_env`: sets environment variables of a container, usually for a while.
//!
//! What a variable was is kept in the plan, so that exactly that is put back. What looks like a secret is not kept
//! anywhere, so such a variable is left alone.

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
use crate::clients::kubernetes::confidential::change_holds_secret;
use crate::domain::action::{ActionPlan, Tier};
use crate::domain::catalog::{
    AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject, Slot, SlotLanguage,
};
use crate::domain::rule::TargetSpec;
use crate::engine::ports::SurveyContext;
use crate::params;
use crate::period::Period;

/// Most variables of one use: more are a new configuration.
const VARS_MAX: usize = 20;

/// Longest value, rendered.
const VALUE_BYTES_MAX: usize = 4_096;

pub(super) const ENTRY: Entry = Declared {
    name: "k8s.set_env",
    summary: "Sets environment variables of one container of a Deployment, StatefulSet or DaemonSet, which starts \
              a rollout. With `ttl` they are put back after that time. Variables that hold secrets are left alone.",
    tier_floor: Tier::T2,
    inverse: Inverse::Recorded,
    check,
    schema: params::schema::<Params>,
    access,
    outline,
    survey: |hands, draft, context| Box::pin(survey(hands, draft, context)),
}
.by_edit();

/// Parameters of `k8s.set_env`.
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
    /// The variables, at most 20. Values may hold templates.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 20))]
    vars: BTreeMap<String, String>,
    /// How long they are to stand, from 1m to 7d; then they are put back. Default: for good.
    ttl: Option<Period>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind, namespace, name, vars, ttl: lasts, .. } = params::read(params)?;
    ttl::check(lasts)?;
    params::count_within("/vars", vars.len(), VARS_MAX, "variables")?;
    let mut checked = Naming::of(&kind, &namespace, &name).checked(&WORKLOADS)?;
    for (name, value) in &vars {
        let place = params::pointer(&["vars", name]);
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_word) {
            return Err(ParamsError::at(place, format!("{name:?} is no name of an environment variable")));
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(ParamsError::at(place, format!("this value is longer than {VALUE_BYTES_MAX} bytes")));
        }
        checked.slots.push(Slot::new(place, SlotLanguage::Text));
    }
    Ok(checked)
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    Naming::in_params(params).need_template(target)
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { vars, ttl, .. } = params::read(params)?;
    let subject = Naming::in_params(params).subject(&WORKLOADS, plan.target)?;
    let set: Vec<String> = vars.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let summary = format!("set {} on {}", set.join(", "), subject.shown());
    Ok(PlanOutline { ttl: ttl.map(Period::signed), ..outlined(&subject, params, summary) })
}

async fn survey(hands: &Hands, draft: &ActionPlan, context: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let params: Params = drafted(draft)?;
    let subject = object_of(draft)?;
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
    if let Some(change) = changes.iter().find(|change| change_holds_secret(&redactor, change)) {
        let reason = format!("{} holds a secret, which is kept nowhere: change it by hand", change.path);
        return Err(refused(reason));
    }
    survey_change(cluster, draft, &workload, changes, Tier::T2, context.now).await
}
