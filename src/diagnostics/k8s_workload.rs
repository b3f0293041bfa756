//! `k8s.workload`: replicas, images, conditions and the rollout of a Deployment, StatefulSet or DaemonSet.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown};
use super::k8s::{Scene, ago, checked, fields, need_object};
use super::k8s_describe::conditions;
use super::{Entry, Moment, Tools, k8s};
use crate::clients::kubernetes::revision::images;
use crate::clients::kubernetes::rollout::{Rollout, of_daemon_set, of_deployment, of_stateful_set};
use crate::clients::kubernetes::{Resource, owner};
use crate::domain::catalog::{CheckedParams, DiagnosticKind, ParamsError};
use crate::domain::timeline::one_line;
use crate::params;

/// Annotation that a restart sets.
const RESTARTED_AT: &str = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.workload",
        summary: "Shows replicas, images, conditions and the rollout of a Deployment, StatefulSet or DaemonSet.",
        fields: &[
            ("kind", "Its kind."),
            ("name", "Its name."),
            ("desired", "Replicas that should be there."),
            ("current", "Replicas that are there, old and new."),
            ("updated", "Replicas of the present template."),
            ("ready", "Replicas that are ready."),
            ("available", "Replicas that have been ready for long enough."),
            ("unavailable", "Replicas that are missing: `desired` without `available`."),
            (
                "rollout",
                "`done`, `progressing`, `stuck`, `paused` or `manual`, as `kubectl rollout status` would judge.",
            ),
            ("rollout_detail", "The same as a sentence."),
            ("paused", "Whether somebody paused it."),
            ("images", "Images by container, such as `images.api`."),
            ("conditions", "Its conditions by type, each with `status`, `reason` and `message`."),
            ("generation", "Generation of what is wanted."),
            ("observed_generation", "Generation that its controller has seen."),
            ("strategy", "How it rolls out."),
            (
                "restarted_at",
                "When it was last restarted by `kubectl` or by us. Left out where it never was.",
            ),
            (
                "managed_by",
                "Who keeps it as it is: `argocd`, `flux`, `helm` or `controller`. Left out where nobody does.",
            ),
            ("age_seconds", "How old it is."),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: |params, target| need_object(params, target).into_iter().collect(),
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `k8s.workload`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Kind. Default: that of the incident's target.
    kind: Option<WorkloadKind>,
    /// Namespace. Default: that of the incident's target. May hold templates.
    namespace: Option<String>,
    /// Name. Default: that of the incident's target. May hold templates.
    name: Option<String>,
}

/// A kind that keeps replicas of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum WorkloadKind {
    /// Stateless replicas.
    Deployment,
    /// Replicas with names and disks of their own.
    StatefulSet,
    /// One replica a node.
    DaemonSet,
}

impl WorkloadKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind: _, namespace, name } = params::read(params)?;
    checked(&[("namespace", namespace.as_deref()), ("name", name.as_deref())], None)
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { kind, namespace, name } = params::read(params)?;
    let scene = Scene::of(tools, moment)?;
    let kind = kind.map(WorkloadKind::as_str);
    let of = scene.object(kind, namespace.as_deref(), name.as_deref())?;
    let object: Value = scene.reads.get(of.resource, of.namespace.as_deref(), &of.name).await?;
    let (rollout, replicas) = standing(of.resource, &object)?;
    Ok(evidence(scene, &object, &rollout, replicas))
}

/// Replicas as each kind counts them: desired, current, updated, ready, available.
type Replicas = [i64; 5];

/// Where the rollout stands, with the counts that it is judged by.
pub(super) fn standing(resource: &Resource, object: &Value) -> Result<(Rollout, Replicas), Unknown> {
    let odd =
        |error: serde_json::Error| Unknown::new(format!("the object cannot be read: {:?}", error.classify()));
    let number =
        |pointer: &str, default: i64| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(default);
    let status = |key: &str| number(&format!("/status/{key}"), 0);
    let usual = || {
        let [replicas, updated, ready, available] =
            ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"].map(status);
        [number("/spec/replicas", 1), replicas, updated, ready, available]
    };
    match resource.kind.as_ref() {
        "Deployment" => {
            let deployment: Deployment = serde_json::from_value(object.clone()).map_err(odd)?;
            Ok((of_deployment(&deployment), usual()))
        }
        "StatefulSet" => {
            let set: StatefulSet = serde_json::from_value(object.clone()).map_err(odd)?;
            Ok((of_stateful_set(&set), usual()))
        }
        "DaemonSet" => {
            let set: DaemonSet = serde_json::from_value(object.clone()).map_err(odd)?;
            let keys = [
                "desiredNumberScheduled",
                "currentNumberScheduled",
                "updatedNumberScheduled",
                "numberReady",
                "numberAvailable",
            ];
            Ok((of_daemon_set(&set), keys.map(status)))
        }
        kind => {
            Err(Unknown::new(format!("a {kind} has no rollout: name a Deployment, StatefulSet or DaemonSet")))
        }
    }
}

fn evidence(scene: Scene<'_>, object: &Value, rollout: &Rollout, replicas: Replicas) -> Evidence {
    let [desired, current, updated, ready, available] = replicas;
    let metadata = serde_json::from_value(object["metadata"].clone()).unwrap_or_default();
    let manager = owner::manager(&metadata);
    let age = scene.age_seconds(metadata.creation_timestamp.as_ref());
    let conditions = conditions(object);
    let images = images(&object["spec"]["template"]);
    let strategy = ["/spec/strategy/type", "/spec/updateStrategy/type"];
    let name = metadata.name.clone().unwrap_or_default();
    let kind = object["kind"].as_str().unwrap_or("workload");
    let mut lines = vec![
        format!(
            "{kind} {name}: {available} of {desired} replicas are available, {ready} ready, {updated} updated"
        ),
        rollout.to_string(),
    ];
    lines.extend(images.iter().map(|(container, image)| format!("{container}: {image}")));
    let unwell = conditions.iter().filter(|(kind, condition)| {
        let bad = if kind.as_str() == "ReplicaFailure" { "True" } else { "False" };
        condition["status"] == bad
    });
    lines.extend(unwell.map(|(kind, condition)| {
        let [reason, message] = ["reason", "message"].map(|key| condition[key].as_str().unwrap_or_default());
        one_line(&format!("{kind}: {reason} {message}"), 300)
    }));
    lines.extend(
        manager.as_ref().map(|manager| format!("kept by {}: {}", manager.word(), manager.consequence())),
    );
    lines.extend(age.map(|age| format!("age {}", ago(age))));
    let found = fields(json!({
        "kind": kind,
        "name": name,
        "desired": desired,
        "current": current,
        "updated": updated,
        "ready": ready,
        "available": available,
        "unavailable": (desired - available).max(0),
        "rollout": rollout.word(),
        "rollout_detail": rollout.to_string(),
        "paused": object.pointer("/spec/paused") == Some(&Value::Bool(true)),
        "images": images,
        "conditions": conditions,
        "generation": metadata.generation,
        "observed_generation": object.pointer("/status/observedGeneration"),
        "strategy": strategy.iter().find_map(|pointer| object.pointer(pointer)),
        "restarted_at": object.pointer(RESTARTED_AT),
        "managed_by": manager.map(|manager| manager.word()),
        "age_seconds": age,
    }));
    Evidence { fields: found, text: lines.join("\n"), chart: None }
}
