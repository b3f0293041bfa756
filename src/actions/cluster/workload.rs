//! A workload as a survey finds it: its rollout, what a change would take away, who owns it, and how far up its tier
//! goes for that.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::subject::Subject;
use super::words::unseen;
use super::{nothing_to_do, refused};
use crate::clients::kubernetes::revision::{self, NoPrevious, Revision};
use crate::clients::kubernetes::rollout::{self, Rollout};
use crate::clients::kubernetes::{ActHandle, ListQuery, Resource, owner};
use crate::domain::action::Tier;
use crate::domain::survey::{self, Impact, SurveyOutcome};
use crate::domain::timeline::digest_of;

/// Kinds of workloads that have pods and revisions.
pub(in crate::actions) const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];
/// Kinds of workloads whose replicas are counted.
pub(in crate::actions) const SCALABLE: [&str; 2] = ["Deployment", "StatefulSet"];

/// A workload as it was found.
#[derive(Debug, Clone)]
pub(in crate::actions) struct Workload {
    pub(in crate::actions) subject: Subject,
    pub(in crate::actions) uid: String,
    pub(in crate::actions) object: Value,
}

impl Workload {
    /// Looks at it.
    pub(in crate::actions) async fn read(
        cluster: &ActHandle,
        subject: Subject,
    ) -> Result<Self, SurveyOutcome> {
        let resource = resource(&subject.kind)?;
        let found: Option<Value> = cluster
            .find(resource, Some(&subject.namespace), &subject.name)
            .await
            .map_err(|error| unseen(&error))?;
        let object = found.ok_or_else(|| refused(format!("there is no {}", subject.shown())))?;
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
        let uid = uid.ok_or_else(|| refused(format!("{} has no uid", subject.shown())))?.to_owned();
        Ok(Self { subject, uid, object })
    }

    /// Refuses what is paused: its new template would not be rolled out.
    pub(in crate::actions) fn refuse_paused(&self) -> Result<(), SurveyOutcome> {
        if self.object.pointer("/spec/paused") == Some(&Value::Bool(true)) {
            let shown = self.subject.shown();
            return Err(refused(format!("{shown} is paused: `kubectl rollout resume` lets it go on")));
        }
        Ok(())
    }

    /// The pod template.
    pub(in crate::actions) fn template(&self) -> &Value {
        self.object.pointer("/spec/template").unwrap_or(&Value::Null)
    }

    /// The digest of what the template really says.
    pub(in crate::actions) fn template_digest(&self) -> String {
        template_digest(&self.object)
    }

    /// How many replicas it is meant to have.
    pub(in crate::actions) fn replicas(&self) -> u32 {
        let pointer = match self.subject.kind.as_str() {
            "DaemonSet" => "/status/desiredNumberScheduled",
            _ => "/spec/replicas",
        };
        // The API server fills in one where nothing is said.
        self.object.pointer(pointer).map_or(1, count)
    }

    /// How many of them are available.
    pub(in crate::actions) fn available(&self) -> u32 {
        let pointer = match self.subject.kind.as_str() {
            "DaemonSet" => "/status/numberAvailable",
            _ => "/status/availableReplicas",
        };
        self.object.pointer(pointer).map_or(0, count)
    }

    /// Where its rollout stands.
    pub(in crate::actions) fn rollout(&self) -> survey::Rollout {
        let (rollout, has_ended) = match self.subject.kind.as_str() {
            "Deployment" => self.judge(rollout::of_deployment, rollout::has_ended_deployment),
            "StatefulSet" => self.judge(rollout::of_stateful_set, rollout::has_ended_stateful_set),
            _ => self.judge(rollout::of_daemon_set, rollout::has_ended_daemon_set),
        };
        match rollout {
            Rollout::Stuck(reason) => survey::Rollout::Stuck { reason },
            Rollout::Progressing(status) if !has_ended => survey::Rollout::UnderWay { status },
            _ => survey::Rollout::Settled,
        }
    }

    fn judge<T: DeserializeOwned>(
        &self,
        of: fn(&T) -> Rollout,
        has_ended: fn(&T) -> bool,
    ) -> (Rollout, bool) {
        match serde_json::from_value::<T>(self.object.clone()) {
            Ok(typed) => (of(&typed), has_ended(&typed)),
            // What cannot be read might be under way.
            Err(error) => (Rollout::Progressing(format!("its state cannot be read: {error}")), false),
        }
    }

    /// How many available replicas a new template may take away at one time.
    pub(in crate::actions) fn disrupted_by_rollout(&self) -> u32 {
        let replicas = self.replicas();
        let spec = &self.object["spec"];
        match self.subject.kind.as_str() {
            "Deployment" if spec["strategy"]["type"] == "Recreate" => replicas,
            "Deployment" => {
                let rolling = &spec["strategy"]["rollingUpdate"];
                let quarter = Value::from("25%");
                let or_quarter =
                    |value: &Value| if value.is_null() { quarter.clone() } else { value.clone() };
                let unavailable = share(&or_quarter(&rolling["maxUnavailable"]), replicas, false);
                let surge = share(&or_quarter(&rolling["maxSurge"]), replicas, true);
                // With neither the controller could not begin: it takes one away.
                if surge == 0 { unavailable.max(1) } else { unavailable }
            }
            kind => {
                if spec["updateStrategy"]["type"] == "OnDelete" {
                    return 0;
                }
                let rolling = &spec["updateStrategy"]["rollingUpdate"];
                let surges = kind == "DaemonSet" && share(&rolling["maxSurge"], replicas, true) > 0;
                match &rolling["maxUnavailable"] {
                    _ if surges => 0,
                    Value::Null => 1,
                    some => share(some, replicas, true).max(1),
                }
            }
        }
        .min(self.available())
    }

    /// What a change would take away.
    pub(in crate::actions) fn impact(&self, disrupted: u32, ends_rollout: bool) -> Impact {
        Impact {
            kind: self.subject.kind.clone(),
            workloads: 1,
            replicas: self.replicas(),
            available: self.available(),
            disrupted,
            rollout: self.rollout(),
            ends_rollout,
            objects: Vec::new(),
            affects: Vec::new(),
        }
    }

    /// The tier of a change of it that is `base` for an object that is stateless and nobody's, with the reasons.
    pub(in crate::actions) fn floor(&self, base: Tier, notes: &mut Vec<String>) -> Tier {
        let tier = if self.is_stateful() {
            notes.push(format!("{} keeps state: one tier higher", self.subject.shown()));
            one_higher(base)
        } else {
            base
        };
        owned_floor(&self.object, tier, notes)
    }

    fn is_stateful(&self) -> bool {
        self.subject.kind == "StatefulSet" || mounts_claims(self.template())
    }

    /// Its revisions, newest first.
    pub(in crate::actions) async fn revisions(
        &self,
        cluster: &ActHandle,
    ) -> Result<Vec<Revision>, SurveyOutcome> {
        revisions(cluster, &self.subject, &self.object).await.map_err(|error| unseen(&error))
    }

    /// The revision to go back to.
    pub(in crate::actions) fn previous<'r>(
        &self,
        revisions: &'r [Revision],
        to: Option<i64>,
    ) -> Result<&'r Revision, SurveyOutcome> {
        revision::previous(&self.object, revisions, to).map_err(|why| {
            let reason = format!("{}: {why}", self.subject.shown());
            match why {
                NoPrevious::NoHistory | NoPrevious::AllTheSame | NoPrevious::AllBad(_) => {
                    nothing_to_do(reason)
                }
                NoPrevious::NotKept(_) | NoPrevious::Bad(_) | NoPrevious::Present(_) => refused(reason),
            }
        })
    }
}

/// The revisions of a workload, newest first.
pub(in crate::actions) async fn revisions(
    cluster: &ActHandle,
    subject: &Subject,
    object: &Value,
) -> Result<Vec<Revision>, crate::clients::kubernetes::KubernetesError> {
    let is_deployment = subject.kind == "Deployment";
    let resource = if is_deployment { &Resource::REPLICA_SETS } else { &Resource::CONTROLLER_REVISIONS };
    let selector = selector(object);
    let query = ListQuery { labels: selector.as_deref(), ..ListQuery::default() };
    let kept: Vec<Value> = cluster.list(resource, Some(&subject.namespace), query).await?;
    Ok(if is_deployment {
        revision::of_replica_sets(object, &kept)
    } else {
        revision::of_controller_revisions(object, &kept)
    })
}

/// The selector of a workload's pods as a query has it. Expressions are left out: it only narrows a list whose items are
/// looked at for their owner.
pub(in crate::actions) fn selector(object: &Value) -> Option<String> {
    let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object)?;
    let pairs: Vec<String> =
        labels.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?))).collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

/// The resource of a kind.
pub(in crate::actions) fn resource(kind: &str) -> Result<&'static Resource, SurveyOutcome> {
    Resource::of_kind(kind).ok_or_else(|| refused(format!("this version knows no kind `{kind}`")))
}

/// The digest of what the template of a workload really says.
pub(in crate::actions) fn template_digest(object: &Value) -> String {
    digest_of(&revision::meaningful(object.pointer("/spec/template").unwrap_or(&Value::Null)))
}

/// At least T2 where somebody else keeps the object as it is, with the reason.
pub(in crate::actions) fn owned_floor(object: &Value, base: Tier, notes: &mut Vec<String>) -> Tier {
    let metadata: ObjectMeta = serde_json::from_value(object["metadata"].clone()).unwrap_or_default();
    match owner::manager(&metadata) {
        None => base,
        Some(manager) => {
            notes.push(format!("owned by {manager}: {}", manager.consequence()));
            base.max(Tier::T2)
        }
    }
}

/// Why a change of an object of this kind is T3, whatever it says.
pub(in crate::actions) fn why_two_people(kind: &str) -> Option<&'static str> {
    match kind {
        "NetworkPolicy" => Some("a NetworkPolicy cuts off or lets in"),
        "PodDisruptionBudget" => Some("a PodDisruptionBudget says what may be taken away"),
        _ => None,
    }
}

/// Whether pods of a template, or a pod, mount claims to volumes.
pub(in crate::actions) fn mounts_claims(pod: &Value) -> bool {
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
    volumes.into_iter().flatten().any(|volume| volume.get("persistentVolumeClaim").is_some())
}

/// The next tier; the highest stays.
pub(in crate::actions) fn one_higher(tier: Tier) -> Tier {
    match tier {
        Tier::T0 => Tier::T1,
        Tier::T1 => Tier::T2,
        Tier::T2 | Tier::T3 => Tier::T3,
    }
}

fn count(value: &Value) -> u32 {
    value.as_u64().and_then(|value| u32::try_from(value).ok()).unwrap_or_default()
}

/// A number, or a share of `replicas` in percent.
fn share(value: &Value, replicas: u32, rounds_up: bool) -> u32 {
    let Some(percent) = value.as_str().and_then(|text| text.strip_suffix('%')) else { return count(value) };
    let hundredths = u64::from(replicas) * percent.parse::<u64>().unwrap_or(100).min(1_000);
    let whole = if rounds_up { hundredths.div_ceil(100) } else { hundredths / 100 };
    u32::try_from(whole).unwrap_or(u32::MAX)
}
