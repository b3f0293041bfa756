//! Whose pods they are: pods are taken for those of a workload by their owner, never by their labels alone, and a pod
//! that is named stands for the workload above it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::refused;
use super::subject::Subject;
use super::words::unseen;
use super::workload::{WORKLOADS, Workload};
use crate::clients::kubernetes::selector::selector_text;
use crate::clients::kubernetes::{ActHandle, ListQuery, Resource};
use crate::domain::selector::selector_problem;
use crate::domain::survey::{Impact, Rollout, SurveyOutcome};

/// What keeps pods alive, at the top: a Deployment, not its ReplicaSet.
#[derive(Debug, Clone)]
pub(in crate::actions) struct Keeper {
    pub(in crate::actions) subject: Subject,
    /// All pods of it that have not run to their end.
    pub(in crate::actions) pods: Vec<Value>,
    /// How many it is meant to have; 0 where that is not known.
    replicas: u32,
    pub(in crate::actions) rollout: Rollout,
}

/// Another object that controls one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Controller {
    api_version: String,
    kind: String,
    name: String,
    uid: String,
}

impl Keeper {
    /// A workload that is named, with its pods.
    pub(in crate::actions) async fn read(
        cluster: &ActHandle,
        subject: Subject,
    ) -> Result<Self, SurveyOutcome> {
        Self::of(cluster, Workload::read(cluster, subject).await?).await
    }

    async fn of(cluster: &ActHandle, workload: Workload) -> Result<Self, SurveyOutcome> {
        let pods = pods_of(cluster, &workload).await?;
        let (replicas, rollout) = match WORKLOADS.contains(&workload.subject.kind.as_str()) {
            true => (workload.replicas(), workload.rollout()),
            // A ReplicaSet that nobody rolls out.
            false => (workload.replicas(), Rollout::Settled),
        };
        Ok(Self { subject: workload.subject, pods, replicas, rollout })
    }

    /// Those who keep the pods that are `taken`, each once. `known` are all pods that were looked at.
    pub(in crate::actions) async fn of_pods(
        cluster: &ActHandle,
        namespace: &str,
        taken: &[&Value],
        known: &[Value],
    ) -> Result<Vec<Self>, SurveyOutcome> {
        let mut keepers: Vec<Self> = Vec::new();
        let mut seen = BTreeSet::new();
        for controller in taken.iter().filter_map(|pod| controller(pod)) {
            if !seen.insert(controller.uid.clone()) {
                continue;
            }
            let top = top(cluster, namespace, controller.clone()).await?;
            let subject =
                Subject { kind: top.kind.clone(), namespace: namespace.to_owned(), name: top.name.clone() };
            let same = keepers.iter_mut().find(|keeper| keeper.subject == subject);
            match (same, top.is_workload()) {
                (Some(_), true) => {}
                (None, true) => {
                    let workload = Workload::read(cluster, subject).await?;
                    if workload.uid != top.uid {
                        let shown = workload.subject.shown();
                        return Err(refused(format!("{shown} was replaced: nobody would make a new pod")));
                    }
                    keepers.push(Self::of(cluster, workload).await?);
                }
                // What is not known of its kind is not taken to be better than what was seen.
                (same, false) => {
                    let is_of =
                        |pod: &&Value| self::controller(pod).is_some_and(|one| one.uid == controller.uid);
                    let mut pods: Vec<Value> = known.iter().filter(is_of).cloned().collect();
                    match same {
                        Some(keeper) => keeper.pods.append(&mut pods),
                        None => keepers.push(Self { subject, pods, replicas: 0, rollout: Rollout::Settled }),
                    }
                }
            }
        }
        Ok(keepers)
    }

    fn replicas(&self) -> u32 {
        if self.replicas == 0 { count(self.pods.len()) } else { self.replicas }
    }

    fn available(&self) -> u32 {
        count(self.pods.iter().filter(|pod| is_ready(pod)).count())
    }

    fn disrupted(&self, taken: &[&Value]) -> u32 {
        let is_ours =
            |pod: &&&Value| self.pods.iter().any(|own| own["metadata"]["uid"] == pod["metadata"]["uid"]);
        count(taken.iter().filter(is_ours).filter(|pod| is_ready(pod)).count())
    }
}

impl Controller {
    /// Whether it is of the kinds that come with Kubernetes, and not of a namesake.
    fn is_workload(&self) -> bool {
        self.api_version.starts_with("apps/")
            && (self.kind == "ReplicaSet" || WORKLOADS.contains(&self.kind.as_str()))
    }
}

/// What taking these pods away from those who keep them comes to. Of several keepers, the worst counts: the largest
/// share that is taken from one, the fewest that are left to one, and a rollout of any.
pub(in crate::actions) fn impact(keepers: &[Keeper], taken: &[&Value]) -> Impact {
    let hit = || keepers.iter().filter(|keeper| keeper.disrupted(taken) > 0);
    let left = hit().map(|keeper| keeper.available().saturating_sub(keeper.disrupted(taken))).min();
    // One that is missing is always allowed, so that more than one of ten is worse than one of two.
    let share = |keeper: &&Keeper| {
        let disrupted = u64::from(keeper.disrupted(taken));
        (disrupted > 1, disrupted * 1_000_000 / u64::from(keeper.replicas().max(1)))
    };
    let worst = hit().max_by_key(share).or(keepers.first());
    let disrupted = worst.map_or(0, |keeper| keeper.disrupted(taken));
    let available = worst.map_or(0, Keeper::available);
    let rollouts = || keepers.iter().map(|keeper| &keeper.rollout);
    let moving = rollouts().find(|rollout| matches!(rollout, Rollout::UnderWay { .. }));
    let restless = moving.or_else(|| rollouts().find(|rollout| **rollout != Rollout::Settled));
    Impact {
        kind: "Pod".to_owned(),
        workloads: count(keepers.len()),
        replicas: worst.map_or(0, Keeper::replicas),
        available: left.map_or(available, |left| left + disrupted),
        disrupted,
        rollout: restless.cloned().unwrap_or(Rollout::Settled),
        ends_rollout: false,
        objects: Vec::new(),
        affects: match keepers {
            [_] => Vec::new(),
            several => several.iter().map(|keeper| keeper.subject.target()).collect(),
        },
    }
}

/// The pods of a namespace with these labels that have not run to their end: what has is no replica.
pub(in crate::actions) async fn list(
    cluster: &ActHandle,
    namespace: &str,
    labels: &str,
) -> Result<Vec<Value>, SurveyOutcome> {
    let pods = listed(cluster, &Resource::PODS, namespace, labels).await?;
    let has_ended = |pod: &Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    Ok(pods.into_iter().filter(|pod| !has_ended(pod)).collect())
}

/// Whether a pod is ready to answer. One that is to end may still say so, and is lost all the same.
pub(in crate::actions) fn is_ready(pod: &Value) -> bool {
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        return false;
    }
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    conditions.is_some_and(|conditions| conditions.iter().any(ready))
}

async fn listed(
    cluster: &ActHandle,
    resource: &Resource,
    namespace: &str,
    labels: &str,
) -> Result<Vec<Value>, SurveyOutcome> {
    let query = ListQuery { labels: Some(labels), ..ListQuery::default() };
    cluster.list(resource, Some(namespace), query).await.map_err(|error| unseen(&error))
}

/// The pods that a workload controls. Another's may have its labels as well.
pub(super) async fn pods_of(cluster: &ActHandle, workload: &Workload) -> Result<Vec<Value>, SurveyOutcome> {
    let Workload { subject, uid, object } = workload;
    let labels = selector_text(&object["spec"]["selector"]);
    if let Some(problem) = selector_problem(&labels) {
        return Err(refused(format!("{} selects no pods by labels: {problem}", subject.shown())));
    }
    let mut owners = BTreeSet::from([uid.clone()]);
    if subject.kind == "Deployment" {
        let sets = listed(cluster, &Resource::REPLICA_SETS, &subject.namespace, &labels).await?;
        let is_ours = |set: &&Value| controller(set).is_some_and(|owner| owner.uid == *uid);
        owners = sets
            .iter()
            .filter(is_ours)
            .filter_map(|set| set["metadata"]["uid"].as_str())
            .map(str::to_owned)
            .collect();
    }
    let pods = list(cluster, &subject.namespace, &labels).await?;
    let is_ours = |pod: &Value| controller(pod).is_some_and(|owner| owners.contains(&owner.uid));
    Ok(pods.into_iter().filter(is_ours).collect())
}

/// Whoever stands above a controller of pods: for a ReplicaSet its own controller, where it has one.
async fn top(
    cluster: &ActHandle,
    namespace: &str,
    controller: Controller,
) -> Result<Controller, SurveyOutcome> {
    if controller.kind != "ReplicaSet" || !controller.is_workload() {
        return Ok(controller);
    }
    let Controller { name, uid, .. } = &controller;
    let found: Option<Value> =
        cluster.find(&Resource::REPLICA_SETS, Some(namespace), name).await.map_err(|error| unseen(&error))?;
    match found.filter(|set| set["metadata"]["uid"] == uid.as_str()) {
        Some(set) => Ok(self::controller(&set).unwrap_or(controller)),
        None => Err(refused(format!("ReplicaSet {namespace}/{name} is gone: nobody would make a new pod"))),
    }
}

/// The owner of an object that controls it.
fn controller(object: &Value) -> Option<Controller> {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
    // A node is no workload: it makes static pods from files.
    let owner = owners.iter().find(|owner| owner["controller"] == true && owner["kind"] != "Node")?;
    let text = |key: &str| owner[key].as_str().map(str::to_owned);
    Some(Controller {
        api_version: text("apiVersion")?,
        kind: text("kind")?,
        name: text("name")?,
        uid: text("uid")?,
    })
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
