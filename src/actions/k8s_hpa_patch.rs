//! `k8s.hpa_patch`: changes the bounds and targets of a HorizontalPodAutoscaler, usually for a while.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::autoscaler::{AUTOSCALER, Autoscaler, max_replicas, min_replicas};
use super::cluster::declared::Declared;
use super::cluster::edit::{Edit, Write};
use super::cluster::plan::{outlined, ready, way_back};
use super::cluster::subject::{Naming, Subject};
use super::cluster::words::unseen;
use super::cluster::workload::{Workload, owned_floor};
use super::cluster::{drafted, hand, nothing_to_do, object_of, refused, ttl};
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::changes::{Change, FieldPath};
use crate::clients::kubernetes::{ActHandle, Resource};
use crate::domain::action::{ActionPlan, Tier};
use crate::domain::catalog::{AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject};
use crate::domain::rule::TargetSpec;
use crate::domain::survey::SurveyOutcome;
use crate::engine::ports::SurveyContext;
use crate::params;
use crate::period::Period;

/// The autoscaler itself, or the workload that it scales.
const KINDS: [&str; 3] = [AUTOSCALER, "Deployment", "StatefulSet"];

/// Most replicas that a rule may allow, as for `k8s.scale`.
const REPLICAS_MAX: u32 = 1_000;

/// Highest utilisation that a target makes sense with: requests are often far below what pods use.
const UTILISATION_PERCENT_MAX: u32 = 500;

pub(super) const ENTRY: Entry = Declared {
    name: "k8s.hpa_patch",
    summary: "Changes the bounds of a HorizontalPodAutoscaler and the utilisation that it aims at. Metrics that are \
              not named stay as they are. With `ttl` it is put back after that time.",
    tier_floor: Tier::T2,
    inverse: Inverse::Recorded,
    check,
    schema: params::schema::<Params>,
    access,
    outline,
    survey: |hands, draft, context| Box::pin(survey(hands, draft, context)),
}
.by_edit();

/// Parameters of `k8s.hpa_patch`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// `HorizontalPodAutoscaler`, or the kind of the workload that it scales. Default: the target's.
    kind: Option<String>,
    /// Namespace, as it stands in the rule. Default: the target's.
    namespace: Option<String>,
    /// Name of the autoscaler or workload. Default: the target's. May hold templates.
    name: Option<String>,
    /// The fewest replicas.
    #[schemars(range(min = 1, max = 1000))]
    min: Option<u32>,
    /// The most replicas.
    #[schemars(range(min = 1, max = 1000))]
    max: Option<u32>,
    /// Average utilisation to aim at, in percent, by resource, such as `cpu: 60`.
    #[serde(default)]
    targets: BTreeMap<String, u32>,
    /// How long it is to stand, from 1m to 7d; then it is put back. Default: for good.
    ttl: Option<Period>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind, namespace, name, min, max, targets, ttl: lasts, .. } = params::read(params)?;
    ttl::check(lasts)?;
    if min.is_none() && max.is_none() && targets.is_empty() {
        return Err(ParamsError::at("", "there is nothing to change: give `min`, `max` or `targets`"));
    }
    params::within("/max", max.unwrap_or(1), 1, REPLICAS_MAX)?;
    params::within("/min", min.unwrap_or(1), 1, max.unwrap_or(REPLICAS_MAX))?;
    for (name, percent) in &targets {
        params::within(&params::pointer(&["targets", name]), *percent, 1, UTILISATION_PERCENT_MAX)?;
    }
    Naming::of(&kind, &namespace, &name).checked(&KINDS)
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let naming = Naming::in_params(params);
    let Resource { group, plural, .. } = Resource::AUTOSCALERS;
    if naming.kind_in(target) == Some(AUTOSCALER) {
        let autoscaler = naming.need(&group, &plural, &["get", "patch"], target);
        return [autoscaler].into_iter().chain(naming.need_scaled()).collect();
    }
    let workload = naming.need_workload(&["get"], target);
    workload.into_iter().chain([naming.need_all(&group, &plural, &["get", "list", "patch"])]).collect()
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { min, max, targets, ttl, .. } = params::read(params)?;
    let subject = Naming::in_params(params).subject(&KINDS, plan.target)?;
    let bounds = [("min", min), ("max", max)]
        .into_iter()
        .filter_map(|(word, value)| Some(format!("{word} {}", value?)));
    let aims = targets.iter().map(|(name, percent)| format!("{name} {percent}%"));
    let set: Vec<String> = bounds.chain(aims).collect();
    let whose = if subject.kind == AUTOSCALER {
        subject.shown()
    } else {
        format!("the autoscaler of {}", subject.shown())
    };
    let summary = format!("set {} on {whose}", set.join(", "));
    let touches = match subject.kind.as_str() {
        AUTOSCALER => Vec::new(),
        // What it scales changes with it.
        kind => vec![kind.to_owned(), AUTOSCALER.to_owned()],
    };
    Ok(PlanOutline { ttl: ttl.map(Period::signed), touches, ..outlined(&subject, params, summary) })
}

async fn survey(hands: &Hands, draft: &ActionPlan, _: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let params: Params = drafted(draft)?;
    let subject = object_of(draft)?;
    let (autoscaler, workload) = find(cluster, subject).await?;
    let changes = changes(&autoscaler, &params)?;
    let shown = autoscaler.subject.shown();
    if changes.is_empty() {
        return Err(nothing_to_do(format!("{shown} is so already")));
    }
    let (least, most) = (params.min.unwrap_or(autoscaler.min()), params.max.unwrap_or(autoscaler.max()));
    if least > most {
        return Err(refused(format!("{shown} would keep at least {least} and at most {most} replicas")));
    }
    let mut edit = Edit::of(&autoscaler.subject, &autoscaler.uid, Write::Merge(changes));
    edit.rehearse(cluster, &autoscaler.object).await?;
    let mut notes: Vec<String> = edit.changes().iter().map(ToString::to_string).collect();
    let tier_floor = owned_floor(&autoscaler.object, Tier::T2, &mut notes);
    let impact = match &workload {
        Some(workload) => autoscaler.impact_with(workload, edit.changes()),
        None => autoscaler.impact_of(edit.changes()),
    };
    let tier_floor = workload.map_or(tier_floor, |workload| workload.floor(tier_floor, &mut notes));
    let inverse = way_back(draft, &edit);
    Ok(ready(draft, &edit, edit.basis(), inverse, tier_floor, notes, impact))
}

/// The autoscaler that is meant, and its workload; none where that is gone, or of a kind that nobody here knows.
async fn find(
    cluster: &ActHandle,
    subject: Subject,
) -> Result<(Autoscaler, Option<Workload>), SurveyOutcome> {
    if subject.kind == AUTOSCALER {
        let found: Option<Value> = cluster
            .find(&Resource::AUTOSCALERS, Some(&subject.namespace), &subject.name)
            .await
            .map_err(|error| unseen(&error))?;
        let object = found.ok_or_else(|| refused(format!("there is no {}", subject.shown())))?;
        let autoscaler = Autoscaler::read(object, &subject.namespace)?;
        let workload = autoscaler.scaled(cluster).await.map_err(|error| unseen(&error))?;
        return Ok((autoscaler, workload));
    }
    let workload = Workload::read(cluster, subject).await?;
    let found = Autoscaler::of(cluster, &workload.subject).await?;
    let shown = workload.subject.shown();
    Ok((
        found.ok_or_else(|| refused(format!("nothing scales {shown}: it has no autoscaler")))?,
        Some(workload),
    ))
}

fn changes(autoscaler: &Autoscaler, params: &Params) -> Result<Vec<Change>, SurveyOutcome> {
    let object = &autoscaler.object;
    let bounds = [(min_replicas(), params.min), (max_replicas(), params.max)];
    let mut changes: Vec<Change> = bounds
        .into_iter()
        .filter_map(|(path, value)| Some(Change::of(object, path, json!(value?))))
        .collect();
    if !params.targets.is_empty() {
        // The list has no merge key: it is written as a whole, with all metrics that are not meant as they were.
        let path = FieldPath::fields(["spec", "metrics"]);
        let mut metrics = path.of(object).cloned().unwrap_or_else(|| json!([]));
        for (name, percent) in &params.targets {
            let all = metrics.as_array_mut().into_iter().flatten();
            let mut of_name = all.filter(|metric| metric["resource"]["name"] == name.as_str());
            let metric = of_name.next().ok_or_else(|| {
                refused(format!(
                    "{} does not look at {name}: its targets are others",
                    autoscaler.subject.shown()
                ))
            })?;
            metric["resource"]["target"] = json!({"type": "Utilization", "averageUtilization": percent});
        }
        changes.push(Change::of(object, path, metrics));
    }
    changes.retain(|change| change.from != change.to);
    Ok(changes)
}
