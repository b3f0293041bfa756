//! `k8s.patch`: changes fields of an object, within the paths that the rule allows.
//!
//! The cluster rehearses the patch, and what it would really change is compared with the paths: also what a server or a
//! webhook would add. The plan then holds those fields one by one, with what they were.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::cluster::autoscaler::{AUTOSCALER, Autoscaler};
use super::cluster::declared::Declared;
use super::cluster::edit::{Edit, Write};
use super::cluster::hanging;
use super::cluster::plan::{outlined, ready, way_back};
use super::cluster::subject::{Naming, Subject};
use super::cluster::words::unseen;
use super::cluster::workload::{WORKLOADS, Workload, owned_floor, why_two_people};
use super::cluster::{drafted, hand, nothing_to_do, object_of, refused, ttl};
use super::http_call::text_slots;
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::changes::{Change, compare, shown};
use crate::clients::kubernetes::confidential::change_holds_secret;
use crate::clients::kubernetes::{ActHandle, Patch, Resource};
use crate::domain::action::{ActionPlan, Tier};
use crate::domain::catalog::{AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject};
use crate::domain::rule::TargetSpec;
use crate::domain::survey::{Impact, Rollout, SurveyOutcome};
use crate::engine::ports::SurveyContext;
use crate::params;
use crate::period::Period;

/// Kinds that can be patched: no secrets, and nothing that gives permissions.
const KINDS: [&str; 12] = [
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "CronJob",
    "Service",
    "Ingress",
    "ConfigMap",
    "PersistentVolumeClaim",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "Certificate",
];

/// Kinds that know no strategic merge patch.
const CUSTOM: [&str; 1] = ["Certificate"];

/// Most paths of one use.
const PATHS_MAX: usize = 20;

/// What `k8s.scale` alone changes, which knows of autoscalers and what fewer replicas take away.
const REPLICAS: &str = "/spec/replicas";

/// Longest patch.
const PATCH_BYTES_MAX: usize = 16 * 1024;

pub(super) const ENTRY: Entry = Declared {
    name: "k8s.patch",
    summary: "Changes fields of an object by a merge patch (a strategic one, but for custom resources), within \
              `allowed_paths`: JSON pointers in which `*` stands for one step and items of lists are named by their \
              `name`. Whatever else the patch would change makes it refused. With `ttl` it is put back after that \
              time. A NetworkPolicy or PodDisruptionBudget is T3, and replicas are left to `k8s.scale`.",
    tier_floor: Tier::T2,
    inverse: Inverse::Recorded,
    check,
    schema: params::schema::<Params>,
    access,
    outline,
    survey: |hands, draft, context| Box::pin(survey(hands, draft, context)),
}
.by_edit();

/// Parameters of `k8s.patch`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Kind of the object, such as `Deployment`, `Ingress` or `PersistentVolumeClaim`. Default: the target's.
    kind: Option<String>,
    /// Namespace, as it stands in the rule. Default: the target's.
    namespace: Option<String>,
    /// Name of the object. Default: the target's. May hold templates.
    name: Option<String>,
    /// What may change, such as `/spec/template/spec/containers/*/readinessProbe`: below `/spec`, `/data`,
    /// `/metadata/annotations` or `/metadata/labels`.
    #[schemars(length(min = 1, max = 20))]
    allowed_paths: Vec<String>,
    /// The patch. Texts in it may hold templates.
    patch: serde_json::Map<String, Value>,
    /// How long it is to stand, from 1m to 7d; then it is put back. Default: for good.
    ttl: Option<Period>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind, namespace, name, allowed_paths, patch, ttl: lasts, .. } = params::read(params)?;
    ttl::check(lasts)?;
    params::count_within("/allowed_paths", allowed_paths.len(), PATHS_MAX, "paths")?;
    for (index, path) in allowed_paths.iter().enumerate() {
        let place = format!("/allowed_paths/{index}");
        let roots = ["/spec/", "/data/", "/metadata/annotations/", "/metadata/labels/"];
        let is_inside = roots.iter().any(|root| path.strip_prefix(root).is_some_and(|rest| !rest.is_empty()));
        if !is_inside || params::is_template(path) {
            let message = format!("`{path}` is no path below {}", roots.join(", "));
            return Err(ParamsError::at(place, message));
        }
    }
    let patch = Value::Object(patch);
    if patch.pointer(REPLICAS).is_some() {
        return Err(ParamsError::at("/patch/spec/replicas", "the number of replicas is set by `k8s.scale`"));
    }
    if patch.to_string().len() > PATCH_BYTES_MAX {
        return Err(ParamsError::at("/patch", format!("the patch is longer than {PATCH_BYTES_MAX} bytes")));
    }
    let mut checked = Naming::of(&kind, &namespace, &name).checked(&KINDS)?;
    text_slots(&patch, "/patch", &mut checked.slots);
    Ok(checked)
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let naming = Naming::in_params(params);
    let kind = naming.kind_in(target).filter(|kind| KINDS.contains(kind));
    let may_roll_out = params["allowed_paths"].to_string().contains("\"/spec/");
    if kind.is_some_and(|kind| WORKLOADS.contains(&kind)) && may_roll_out {
        return naming.need_template(target);
    }
    let scaled = naming.need_scaled().into_iter().filter(|_| kind == Some(AUTOSCALER));
    let need =
        |resource: &Resource| naming.need(&resource.group, &resource.plural, &["get", "patch"], target);
    kind.and_then(Resource::of_kind).map(need).into_iter().chain(scaled).collect()
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { patch, ttl, .. } = params::read(params)?;
    let subject = Naming::in_params(params).subject(&KINDS, plan.target)?;
    let summary = format!("patch {}: {}", subject.shown(), shown(&Value::Object(patch)));
    Ok(PlanOutline { ttl: ttl.map(Period::signed), ..outlined(&subject, params, summary) })
}

async fn survey(hands: &Hands, draft: &ActionPlan, context: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let params: Params = drafted(draft)?;
    let subject = object_of(draft)?;
    let object = Workload::read(cluster, subject).await?;
    let shown = object.subject.shown();
    let changes = rehearsed(cluster, &object, params.patch).await?;
    if changes.is_empty() {
        return Err(nothing_to_do(format!("{shown} is so already")));
    }
    let changes = allowed(changes, &params.allowed_paths).map_err(|change| {
        refused(format!("the patch of {shown} would also change {change}, which no allowed path covers"))
    })?;
    // A patch may do this without naming it, such as one that replaces the whole.
    if changes.iter().any(|change| change.path.is_below(REPLICAS)) {
        return Err(refused(format!("the patch of {shown} would also change its replicas: use `k8s.scale`")));
    }
    let redactor = hands.keyring.redactor();
    if let Some(change) = changes.iter().find(|change| change_holds_secret(&redactor, change)) {
        return Err(refused(format!(
            "{} of {shown} holds a secret, which is kept nowhere: change it by hand",
            change.path
        )));
    }
    let is_workload = WORKLOADS.contains(&object.subject.kind.as_str());
    let rolls_out = is_workload && changes.iter().any(Change::is_in_template);
    if rolls_out {
        object.refuse_paused()?;
    }
    let mut edit = Edit::of(&object.subject, &object.uid, Write::Fields(changes));
    edit.rehearse(cluster, &object.object).await?;
    let mut notes: Vec<String> = edit.changes().iter().map(ToString::to_string).collect();
    let tier_floor = if is_workload {
        object.floor(Tier::T2, &mut notes)
    } else {
        owned_floor(&object.object, Tier::T2, &mut notes)
    };
    let why = why_two_people(&object.subject.kind);
    notes.extend(why.map(str::to_owned));
    let mut tier_floor = if why.is_some() { Tier::T3 } else { tier_floor };
    let impact = if rolls_out {
        let rollout = hanging::rollout(cluster, &object, context.now).await;
        let hangs = matches!(rollout, Rollout::Stuck { .. });
        Impact { rollout, ..object.impact(object.disrupted_by_rollout(), hangs) }
    } else if is_workload {
        object.impact(0, false)
    } else if object.subject.kind == AUTOSCALER {
        let autoscaler = Autoscaler::read(object.object.clone(), &object.subject.namespace)?;
        match autoscaler.scaled(cluster).await.map_err(|error| unseen(&error))? {
            Some(workload) => {
                tier_floor = workload.floor(tier_floor, &mut notes);
                autoscaler.impact_with(&workload, edit.changes())
            }
            None => autoscaler.impact_of(edit.changes()),
        }
    } else {
        Impact::on(&object.subject.kind)
    };
    // A volume grows and never shrinks.
    let inverse = way_back(draft, &edit).filter(|_| object.subject.kind != "PersistentVolumeClaim");
    Ok(ready(draft, &edit, edit.basis(), inverse, tier_floor, notes, impact))
}

/// What the cluster would really change.
async fn rehearsed(
    cluster: &ActHandle,
    object: &Workload,
    patch: serde_json::Map<String, Value>,
) -> Result<Vec<Change>, SurveyOutcome> {
    let Subject { kind, namespace, name } = &object.subject;
    let resource = super::cluster::workload::resource(kind)?;
    let patch = Value::Object(patch);
    let patch = if CUSTOM.contains(&kind.as_str()) { Patch::Merge(patch) } else { Patch::Strategic(patch) };
    let made: Value = cluster
        .patch(resource, None, Some(namespace), name, &patch, true)
        .await
        .map_err(|error| unseen(&error))?;
    let changes = compare(&object.object, &made);
    Ok(changes.into_iter().filter(|change| !change.is_noise()).collect())
}

/// The changes that the paths allow, or the first that they do not. Where a parent appears or goes away with its fields,
/// as with the first annotation, its fields are judged.
fn allowed(changes: Vec<Change>, paths: &[String]) -> Result<Vec<Change>, Box<Change>> {
    let mut all = Vec::new();
    for change in changes {
        if paths.iter().any(|path| change.path.is_below(path)) {
            all.push(change);
            continue;
        }
        match change.parts() {
            Some(parts) => all.extend(allowed(parts, paths)?),
            None => return Err(Box::new(change)),
        }
    }
    Ok(all)
}
