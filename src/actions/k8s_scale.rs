//! `k8s.scale`: sets the number of replicas, within bounds, and never against an autoscaler.
//!
//! The plan holds an absolute number and the one that it was planned over. Under a HorizontalPodAutoscaler a number set by
//! hand does not last: the action leaves it alone, or raises the autoscaler's own minimum for a while.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::autoscaler::{Autoscaler, min_replicas};
use super::cluster::declared::Declared;
use super::cluster::edit::{Edit, Write};
use super::cluster::plan::{outlined, ready, way_back};
use super::cluster::subject::Naming;
use super::cluster::workload::{SCALABLE, Workload, owned_floor};
use super::cluster::{drafted, hand, nothing_to_do, object_of, refused, ttl};
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::changes::{Change, FieldPath};
use crate::clients::kubernetes::{ActHandle, Resource};
use crate::domain::action::{ActionPlan, Tier};
use crate::domain::catalog::{AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject};
use crate::domain::rule::TargetSpec;
use crate::domain::survey::Impact;
use crate::engine::ports::SurveyContext;
use crate::params;
use crate::period::Period;

/// Most replicas that a rule may ask for: beyond this it is no remedy but a capacity plan.
const REPLICAS_MAX: u32 = 1_000;

/// How long a raised minimum stands where the rule says nothing.
const RAISED_FOR: Period = Period::from_hours(1);

pub(super) const ENTRY: Entry = Declared {
    name: "k8s.scale",
    summary: "Sets the replicas of a Deployment or StatefulSet to a number, or changes them by one, within `min` \
              and `max`. Up is T1, down T2, to zero T3. Under a HorizontalPodAutoscaler `hpa` says what is done: \
              `respect` leaves it alone, `raise_min` raises its minimum within its maximum for a while (`ttl`, by \
              default 1h), `refuse` stops the ladder.",
    tier_floor: Tier::T1,
    inverse: Inverse::Recorded,
    check,
    schema: params::schema::<Params>,
    access,
    outline,
    survey: |hands, draft, context| Box::pin(survey(hands, draft, context)),
}
.by_edit();

/// Parameters of `k8s.scale`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// `Deployment` or `StatefulSet`. Default: the target's.
    kind: Option<String>,
    /// Namespace, as it stands in the rule. Default: the target's.
    namespace: Option<String>,
    /// Name of the workload. Default: the target's. May hold templates.
    name: Option<String>,
    /// How many replicas there are to be. Either this or `delta`.
    #[schemars(range(max = 1000))]
    replicas: Option<u32>,
    /// How many more, or fewer, than now. Either this or `replicas`.
    delta: Option<i32>,
    /// Never fewer than this. Default: 1.
    min: Option<u32>,
    /// Never more than this. Must be given with a `delta` above zero.
    #[schemars(range(max = 1000))]
    max: Option<u32>,
    /// What is done under a HorizontalPodAutoscaler. Default: `respect`.
    #[serde(default)]
    hpa: Hpa,
    /// How long the change is to stand, from 1m to 7d; then it is taken back. Default: for good, or 1h for a raised
    /// minimum.
    ttl: Option<Period>,
}

/// What is done under a HorizontalPodAutoscaler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Hpa {
    /// Leave it alone: there is nothing to do here, and the next remedy may do.
    #[default]
    Respect,
    /// Raise its minimum, for a while.
    RaiseMin,
    /// Stop, and tell people.
    Refuse,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind, namespace, name, replicas, delta, min, max, ttl: lasts, .. } = params::read(params)?;
    let checked = Naming::of(&kind, &namespace, &name).checked(&SCALABLE)?;
    ttl::check(lasts)?;
    let least = min.unwrap_or(1);
    let most = max.unwrap_or(REPLICAS_MAX);
    params::within("/max", most, least, REPLICAS_MAX)?;
    match (replicas, delta) {
        (Some(0), None) if min.is_none() => {}
        (Some(replicas), None) => params::within("/replicas", replicas, least, most)?,
        (None, Some(0)) => return Err(ParamsError::at("/delta", "a delta of 0 changes nothing")),
        (None, Some(1..)) if max.is_none() => {
            return Err(ParamsError::at(
                "/delta",
                "a delta above zero needs a `max`: it may be taken again and again",
            ));
        }
        (None, Some(_)) => {}
        _ => return Err(ParamsError::at("", "give either `replicas` or `delta`")),
    }
    Ok(checked)
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let naming = Naming::in_params(params);
    let Some(read) = naming.need_workload(&["get"], target) else { return Vec::new() };
    let scale =
        AccessNeed { resource: format!("{}/scale", read.resource), verbs: vec!["patch"], ..read.clone() };
    let autoscalers = |verbs: &[&'static str]| {
        naming.need_all(&Resource::AUTOSCALERS.group, &Resource::AUTOSCALERS.plural, verbs)
    };
    let raises = params.get("hpa").and_then(Value::as_str) == Some("raise_min");
    let autoscalers = autoscalers(if raises { &["get", "list", "patch"] } else { &["list"] });
    vec![read, scale, autoscalers]
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { kind, namespace, name, replicas, delta, ttl, .. } = params::read(params)?;
    let subject = Naming::of(&kind, &namespace, &name).subject(&SCALABLE, plan.target)?;
    let summary = match (replicas, delta) {
        (Some(replicas), _) => format!("scale {} to {replicas}", subject.shown()),
        (None, delta) => format!("scale {} by {:+}", subject.shown(), delta.unwrap_or_default()),
    };
    Ok(PlanOutline { ttl: ttl.map(Period::signed), ..outlined(&subject, params, summary) })
}

async fn survey(hands: &Hands, draft: &ActionPlan, _: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let params: Params = drafted(draft)?;
    let subject = object_of(draft)?;
    let workload = Workload::read(cluster, subject).await?;
    match (Autoscaler::of(cluster, &workload.subject).await?, params.hpa) {
        (None, _) => set_replicas(cluster, draft, &params, &workload).await,
        (Some(autoscaler), Hpa::RaiseMin) => raise_min(cluster, draft, &params, &workload, &autoscaler).await,
        (Some(autoscaler), Hpa::Respect) => {
            let reason = format!("{} scales {}", autoscaler.subject.shown(), workload.subject.shown());
            Err(nothing_to_do(format!("{reason}, and is respected")))
        }
        (Some(autoscaler), Hpa::Refuse) => {
            let reason = format!("{} scales {}", autoscaler.subject.shown(), workload.subject.shown());
            Err(refused(format!("{reason}: a number set by hand would not last")))
        }
    }
}

impl Params {
    /// The number that is meant, within the bounds.
    fn wanted(&self, now: u32) -> u32 {
        let wanted = match (self.replicas, self.delta) {
            (Some(0), _) => return 0,
            (Some(replicas), _) => replicas,
            (None, delta) => now.saturating_add_signed(delta.unwrap_or_default()),
        };
        wanted.clamp(self.min.unwrap_or(1), self.max.unwrap_or(REPLICAS_MAX))
    }
}

async fn set_replicas(
    cluster: &ActHandle,
    draft: &ActionPlan,
    params: &Params,
    workload: &Workload,
) -> Looked {
    let now = workload.replicas();
    let wanted = params.wanted(now);
    let shown = workload.subject.shown();
    // A bound must not turn a step up into one down: whoever is beyond it has gone there on purpose.
    if wanted == now || params.delta.is_some_and(|delta| (delta > 0) != (wanted > now)) {
        return Err(nothing_to_do(format!(
            "{shown} has {now} replicas already, which is what the bounds allow"
        )));
    }
    let path = FieldPath::fields(["spec", "replicas"]);
    let change = Change { path, from: json!(now), to: json!(wanted) };
    let mut edit = Edit::of_replicas(workload, change);
    edit.rehearse(cluster, &workload.object).await?;
    let mut notes = Vec::new();
    let base = match wanted {
        0 => {
            notes.push("nothing of it is left to answer".to_owned());
            Tier::T3
        }
        wanted if wanted < now => Tier::T2,
        _ => Tier::T1,
    };
    let tier_floor = workload.floor(base, &mut notes);
    let impact = workload.impact(now.saturating_sub(wanted), false);
    let draft = ActionPlan { summary: format!("scale {shown} from {now} to {wanted}"), ..draft.clone() };
    let inverse = way_back(&draft, &edit);
    Ok(ready(&draft, &edit, edit.basis(), inverse, tier_floor, notes, impact))
}

async fn raise_min(
    cluster: &ActHandle,
    draft: &ActionPlan,
    params: &Params,
    workload: &Workload,
    autoscaler: &Autoscaler,
) -> Looked {
    let (shown, min, max) = (autoscaler.subject.shown(), autoscaler.min(), autoscaler.max());
    let wanted = params.wanted(workload.replicas());
    if wanted < workload.replicas() {
        return Err(nothing_to_do(format!("{shown} takes replicas away by itself")));
    }
    let raised = wanted.min(max);
    if raised <= min {
        return Err(nothing_to_do(format!(
            "{shown} keeps at least {min} replicas already, and at most {max}"
        )));
    }
    let mut notes = Vec::new();
    if raised < wanted {
        notes.push(format!("{shown} allows {max} replicas and not {wanted}: `k8s.hpa_patch` raises that"));
    }
    let change = Change::of(&autoscaler.object, min_replicas(), json!(raised));
    let mut edit = Edit::of(&autoscaler.subject, &autoscaler.uid, Write::Merge(vec![change]));
    edit.rehearse(cluster, &autoscaler.object).await?;
    let tier_floor = owned_floor(&autoscaler.object, Tier::T1, &mut notes);
    let tier_floor = workload.floor(tier_floor, &mut notes);
    let draft = ActionPlan {
        summary: format!("raise the minimum of {shown} from {min} to {raised} replicas"),
        ttl: draft.ttl.or(Some(RAISED_FOR.signed())),
        ..draft.clone()
    };
    let inverse = way_back(&draft, &edit);
    // The autoscaler is what is written; the workload is the target.
    let impact = Impact { objects: vec![autoscaler.subject.target()], ..workload.impact(0, false) };
    Ok(ready(&draft, &edit, edit.basis(), inverse, tier_floor, notes, impact))
}
