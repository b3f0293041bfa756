//! The HorizontalPodAutoscaler of a workload: whoever sets replicas beside one is overruled within seconds.

use serde_json::Value;

use super::refused;
use super::subject::Subject;
use super::words::unseen;
use super::workload::{SCALABLE, Workload};
use crate::clients::kubernetes::changes::{Change, FieldPath};
use crate::clients::kubernetes::{ActHandle, KubernetesError, ListQuery, Resource};
use crate::domain::survey::{Impact, SurveyOutcome};

/// An autoscaler as it was found.
#[derive(Debug, Clone)]
pub(in crate::actions) struct Autoscaler {
    pub(in crate::actions) subject: Subject,
    pub(in crate::actions) uid: String,
    pub(in crate::actions) object: Value,
}

/// Its kind.
pub(in crate::actions) const AUTOSCALER: &str = "HorizontalPodAutoscaler";

/// The field of its lower bound.
pub(in crate::actions) fn min_replicas() -> FieldPath {
    FieldPath::fields(["spec", "minReplicas"])
}

/// The field of its upper bound.
pub(in crate::actions) fn max_replicas() -> FieldPath {
    FieldPath::fields(["spec", "maxReplicas"])
}

impl Autoscaler {
    /// The one that scales a workload, if any. A cluster that does not serve autoscalers has none.
    pub(in crate::actions) async fn of(
        cluster: &ActHandle,
        workload: &Subject,
    ) -> Result<Option<Self>, SurveyOutcome> {
        let all = cluster.list(&Resource::AUTOSCALERS, Some(&workload.namespace), ListQuery::default()).await;
        let all: Vec<Value> = match all {
            Err(error) if error.is_not_found() => Vec::new(),
            all => all.map_err(|error| unseen(&error))?,
        };
        let mut found = all.into_iter().filter(|object| Self::scales(object, workload));
        let one = found.next().map(|object| Self::read(object, &workload.namespace)).transpose()?;
        if found.next().is_some() {
            return Err(refused(format!("{} has several autoscalers", workload.shown())));
        }
        Ok(one)
    }

    /// Whether an autoscaler is that of a workload.
    pub(in crate::actions) fn scales(object: &Value, workload: &Subject) -> bool {
        let of = &object["spec"]["scaleTargetRef"];
        of["kind"] == workload.kind.as_str() && of["name"] == workload.name.as_str()
    }

    /// What an object says.
    pub(in crate::actions) fn read(object: Value, namespace: &str) -> Result<Self, SurveyOutcome> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let (Some(name), Some(uid)) = (text("/metadata/name"), text("/metadata/uid")) else {
            return Err(refused("an autoscaler has no name or uid"));
        };
        let subject = Subject { kind: AUTOSCALER.to_owned(), namespace: namespace.to_owned(), name };
        Ok(Self { subject, uid, object })
    }

    /// The workload that it scales, as it says itself.
    pub(in crate::actions) fn workload(&self) -> Option<Subject> {
        let text = |key: &str| Some(self.object["spec"]["scaleTargetRef"][key].as_str()?.to_owned());
        Some(Subject { kind: text("kind")?, namespace: self.subject.namespace.clone(), name: text("name")? })
    }

    /// The workload that it scales, as it is; none where that is gone, or of a kind that nobody here knows.
    pub(in crate::actions) async fn scaled(
        &self,
        cluster: &ActHandle,
    ) -> Result<Option<Workload>, KubernetesError> {
        let of = &self.object["spec"]["scaleTargetRef"];
        let is_known = of["apiVersion"].as_str().is_some_and(|version| version.starts_with("apps/"));
        let subject = self.workload().filter(|one| is_known && SCALABLE.contains(&one.kind.as_str()));
        let Some((subject, resource)) =
            subject.and_then(|subject| Resource::of_kind(&subject.kind).map(|resource| (subject, resource)))
        else {
            return Ok(None);
        };
        let found: Option<Value> = cluster.find(resource, Some(&subject.namespace), &subject.name).await?;
        Ok(found.and_then(|object| {
            let uid = object.pointer("/metadata/uid")?.as_str()?.to_owned();
            Some(Workload { subject, uid, object })
        }))
    }

    /// The fewest replicas that it sets.
    pub(in crate::actions) fn min(&self) -> u32 {
        number(min_replicas().of(&self.object)).unwrap_or(1)
    }

    /// The most replicas that it sets.
    pub(in crate::actions) fn max(&self) -> u32 {
        number(max_replicas().of(&self.object)).unwrap_or(1)
    }

    /// How many replicas there are, as it saw them last.
    fn replicas(&self) -> u32 {
        number(self.object.pointer("/status/currentReplicas")).unwrap_or_default()
    }

    /// How many replicas are above `most`, which it would take away.
    pub(in crate::actions) fn above(&self, most: u32) -> u32 {
        self.replicas().saturating_sub(most)
    }

    /// What a new upper bound takes away, where nobody looked at its workload.
    pub(in crate::actions) fn impact(&self, most: u32) -> Impact {
        let replicas = self.replicas();
        let disrupted = self.above(most);
        let affects = self.workload().map(|workload| workload.target()).into_iter().collect();
        Impact { workloads: 1, replicas, available: replicas, disrupted, affects, ..Impact::on(AUTOSCALER) }
    }

    /// What changes of its fields take away, whichever action makes them.
    pub(in crate::actions) fn impact_of(&self, changes: &[Change]) -> Impact {
        self.impact(self.most(changes))
    }

    /// The same, where its workload was looked at: both are held to what is said of either.
    pub(in crate::actions) fn impact_with(&self, workload: &Workload, changes: &[Change]) -> Impact {
        Impact {
            objects: vec![self.subject.target()],
            affects: vec![workload.subject.target()],
            ..workload.impact(self.above(self.most(changes)), false)
        }
    }

    /// The most replicas that it sets after these changes.
    fn most(&self, changes: &[Change]) -> u32 {
        let bound = changes.iter().find(|change| change.path == max_replicas());
        bound.and_then(|change| number(Some(&change.to))).unwrap_or(self.max())
    }
}

fn number(value: Option<&Value>) -> Option<u32> {
    u32::try_from(value?.as_u64()?).ok()
}
