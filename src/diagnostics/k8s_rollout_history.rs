//! `k8s.rollout_history`: the revisions of a workload, and what the newest changed.
//!
//! Restarts make revisions too: what an undo would go back to is the newest that really differs. Values of environment
//! variables stay out of the difference.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown, table, whole_list};
use super::k8s::{Scene, ago, checked, fields, need, need_object};
use super::k8s_workload::WorkloadKind;
use super::{Entry, Moment, Tools, k8s};
use crate::clients::kubernetes::changes::Change;
use crate::clients::kubernetes::revision::{
    BAD, Revision, bad_names, diff, of_controller_revisions, of_replica_sets, present, previous,
};
use crate::clients::kubernetes::{ListQuery, Resource};
use crate::domain::catalog::{AccessNeed, CheckedParams, DiagnosticKind, ParamsError};
use crate::domain::rule::TargetSpec;
use crate::domain::timeline::one_line;
use crate::params;

/// Differences that are shown. A revision that changes more is another program.
const CHANGES_SHOWN_MAX: usize = 20;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.rollout_history",
        summary: "Lists the revisions of a workload, newest first, and what changed since the one that an undo would go back to.",
        fields: &[
            ("count", "How many revisions are kept."),
            ("current", "Number of the revision that is wanted now. Left out where none is kept."),
            (
                "current_seconds",
                "How long ago that revision was made: when somebody last deployed or restarted.",
            ),
            ("images", "Images of the present template by container."),
            (
                "previous",
                "Number of the revision that an undo would go back to: the newest that really differs and is not marked as bad. Left out where there is none.",
            ),
            ("previous_images", "Its images by container. Left out where there is none."),
            ("no_previous", "Why there is none. Left out where there is one."),
            (
                "changes",
                "What the present revision changed against that one, one text each. Values of variables are left out.",
            ),
            ("images_changed", "Whether an image is among them."),
            ("revisions", "Each with `number`, `name`, `images`, `age_seconds`, `bad`."),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `k8s.rollout_history`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Kind. Default: that of the incident's target.
    kind: Option<WorkloadKind>,
    /// Namespace. Default: that of the incident's target. May hold templates.
    namespace: Option<String>,
    /// Name. Default: that of the incident's target. May hold templates.
    name: Option<String>,
    /// Whether to say what changed. Default: true.
    #[serde(default = "yes")]
    diff: bool,
}

fn yes() -> bool {
    true
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind: _, namespace, name, diff: _ } = params::read(params)?;
    checked(&[("namespace", namespace.as_deref()), ("name", name.as_deref())], None)
}

/// The kind that keeps the revisions of workloads of `kind`.
fn keeper(kind: &str) -> Option<&'static Resource> {
    match kind {
        "Deployment" => Some(&Resource::REPLICA_SETS),
        "StatefulSet" | "DaemonSet" => Some(&Resource::CONTROLLER_REVISIONS),
        _ => None,
    }
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let kind = k8s::text(params, "kind").or(target.map(|target| target.kind.as_str()));
    let kept = kind.and_then(keeper).map(|resource| need(params, resource, "", &["list"]));
    need_object(params, target).into_iter().chain(kept).collect()
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { kind, namespace, name, diff } = params::read(params)?;
    let scene = Scene::of(tools, moment)?;
    let of = scene.object(kind.map(WorkloadKind::as_str), namespace.as_deref(), name.as_deref())?;
    let kind = of.resource.kind.as_ref();
    let keeper = keeper(kind).ok_or_else(|| {
        Unknown::new(format!("a {kind} has no revisions: name a Deployment, StatefulSet or DaemonSet"))
    })?;
    let place = of.namespace.as_deref();
    let workload: Value = scene.reads.get(of.resource, place, &of.name).await?;
    let uid = workload.pointer("/metadata/uid").cloned().unwrap_or_default();
    let mut kept: Vec<Value> = Vec::new();
    let take = |object: Value| {
        // Those of other workloads are let go page by page.
        let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        if owners.into_iter().flatten().any(|owner| owner["uid"] == uid) {
            kept.push(object);
        }
    };
    scene.reads.each(keeper, place, ListQuery::default(), take).await?;
    let revisions = match kind {
        "Deployment" => of_replica_sets(&workload, &kept),
        _ => of_controller_revisions(&workload, &kept),
    };
    Ok(evidence(scene, &of.name, &workload, &kept, &revisions, diff))
}

fn evidence(
    scene: Scene<'_>,
    name: &str,
    workload: &Value,
    kept: &[Value],
    revisions: &[Revision],
    with_changes: bool,
) -> Evidence {
    let age = |revision: &Revision| {
        let object = kept.iter().find(|object| object["metadata"]["name"] == revision.name.as_str())?;
        let at = serde_json::from_value(object["metadata"]["creationTimestamp"].clone()).ok()?;
        scene.age_seconds(Some(&at))
    };
    let marked = bad_names(workload);
    let is_bad =
        |revision: &Revision| marked.contains(&revision.name) || revision.annotations.contains_key(BAD);
    let now = present(workload, revisions);
    let back = previous(workload, revisions, None);
    let template = &workload["spec"]["template"];
    let changes = match &back {
        Ok(back) if with_changes => diff(&back.template, template),
        _ => Vec::new(),
    };
    let images_changed = changes.iter().any(|change| change.path.to_string().ends_with("image"));
    let texts: Vec<String> = changes.iter().map(words).collect();
    let values: Vec<Value> = revisions
        .iter()
        .map(|revision| {
            Value::Object(fields(json!({
                "number": revision.number,
                "name": revision.name,
                "images": revision.images(),
                "age_seconds": age(revision),
                "bad": is_bad(revision),
            })))
        })
        .collect();
    let rows: Vec<String> = revisions
        .iter()
        .map(|revision| {
            let when = age(revision).map(|age| format!(", {} ago", ago(age))).unwrap_or_default();
            let mark = if is_bad(revision) { ", marked as bad" } else { "" };
            let here = if now == Some(revision) { ", wanted now" } else { "" };
            format!("{revision}{when}{here}{mark}")
        })
        .collect();
    let mut lines = vec![format!("{name} keeps {} revisions", revisions.len()), table(&rows)];
    match &back {
        Ok(back) => lines.push(format!("an undo would go back to revision {}", back.number)),
        Err(why) => lines.push(why.to_string()),
    }
    lines.extend(texts.iter().take(CHANGES_SHOWN_MAX).map(|text| format!("  {text}")));
    let found = fields(json!({
        "count": revisions.len(),
        "current": now.map(|revision| revision.number),
        "current_seconds": now.and_then(age),
        "images": crate::clients::kubernetes::revision::images(template),
        "previous": back.as_ref().ok().map(|revision| revision.number),
        "previous_images": back.as_ref().ok().map(|revision| revision.images()),
        "no_previous": back.as_ref().err().map(ToString::to_string),
        "changes": with_changes.then(|| whole_list(texts.iter().map(|text| json!(text)).collect())).flatten(),
        "images_changed": with_changes.then_some(images_changed),
        "revisions": whole_list(values),
    }));
    Evidence { fields: found, text: lines.join("\n"), chart: None }
}

/// A change for people.
fn words(change: &Change) -> String {
    one_line(&change.to_string(), 300)
}
