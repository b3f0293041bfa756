//! What the diagnostics of Kubernetes share: which object or pods are meant, the permissions for that, ages and fields.
//!
//! Where parameters name nothing, the incident's target is meant. Namespaces are bound by the permissions of the reading
//! identity; a name that is empty or leads elsewhere is refused before anything is asked.

pub(super) mod pod;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value};

use super::evidence::{Unknown, length};
use super::{KubernetesAccess, Moment, Tools};
use crate::clients::kubernetes::selector::selector_text;
use crate::clients::kubernetes::{ListQuery, ReadHandle, Resource};
use crate::domain::catalog::{AccessNeed, CheckedParams, ParamsError, Reference, Slot, SlotLanguage};
use crate::domain::correlate::Target;
use crate::domain::rule::{TargetSpec, is_template};
use crate::domain::selector::selector_problem;

/// Longest time for one diagnostic. Several exchanges with a busy API server fit in.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);

/// Kinds whose pods are found by their own selector.
const WORKLOADS: [&str; 5] = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"];

/// The cluster, the time, and what the incident is about.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) access: &'a KubernetesAccess,
    pub(super) reads: &'a ReadHandle,
    pub(super) now: Timestamp,
    target: Option<&'a Target>,
}

/// One object that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) resource: &'static Resource,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// Which pods are meant, before it is known which those are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PodChoice<'p> {
    pub(super) namespace: Option<&'p str>,
    pub(super) selector: Option<&'p str>,
    pub(super) pod: Option<&'p str>,
}

/// Pods that were selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) namespace: String,
    pub(super) by: By,
}

/// How pods are selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    /// One by its name.
    Name(String),
    /// Those that match a selector.
    Labels(String),
}

impl<'a> Scene<'a> {
    /// The scene of one run, or the way out.
    pub(super) fn of(tools: &'a Tools, moment: Moment<'a>) -> Result<Self, Unknown> {
        let way_out = "no cluster is configured: set `kubernetes` in the settings";
        let access = tools.kubernetes.as_ref().ok_or_else(|| Unknown::new(way_out))?;
        Ok(Self { access, reads: &access.reads, now: moment.now, target: moment.target })
    }

    /// The namespace that is named, or else that of the target.
    pub(super) fn namespace(self, named: Option<&str>) -> Result<String, Unknown> {
        let way_out = "no namespace is named, and the incident has no Kubernetes target";
        let target = || self.target.map(|target| target.namespace.as_str());
        named.or_else(target).map(str::to_owned).ok_or_else(|| Unknown::new(way_out))
    }

    /// The object that is named, or else the target. What is named in part is completed from the target only where it is
    /// of the same kind.
    pub(super) fn object(
        self,
        kind: Option<&str>,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<Object, Unknown> {
        let target_kind = self.target.map(|target| target.kind.as_str());
        let kind = kind.or(target_kind).ok_or_else(|| Unknown::new(NO_OBJECT))?;
        let resource = Resource::of_kind(kind)
            .ok_or_else(|| Unknown::new(format!("`{kind}` is no kind that this version knows")))?;
        let target_name = self.target.filter(|target| target.kind == kind).map(|target| target.name.as_str());
        let name = name.or(target_name).ok_or_else(|| Unknown::new(NO_OBJECT))?.to_owned();
        let namespace = if resource.namespaced { Some(self.namespace(namespace)?) } else { None };
        Ok(Object { resource, namespace, name })
    }

    /// Which pods are meant: one that is named, those of a selector, or those of the target.
    pub(super) async fn selection(self, choice: PodChoice<'_>) -> Result<Selection, Unknown> {
        let namespace = self.namespace(choice.namespace)?;
        if let Some(pod) = choice.pod {
            return Ok(Selection { namespace, by: By::Name(pod.to_owned()) });
        }
        if let Some(selector) = choice.selector {
            return Ok(Selection { namespace, by: By::Labels(selector.to_owned()) });
        }
        let object = self.object(None, choice.namespace, None)?;
        if object.resource == &Resource::PODS {
            return Ok(Selection { namespace, by: By::Name(object.name) });
        }
        let kind = object.resource.kind.as_ref();
        if !WORKLOADS.contains(&kind) {
            return Err(Unknown::new(format!(
                "the target is a {kind}, which has no pods: name a `selector`"
            )));
        }
        let workload: Value =
            self.reads.get(object.resource, object.namespace.as_deref(), &object.name).await?;
        let selector = workload.pointer("/spec/selector").map(selector_text).unwrap_or_default();
        match selector_problem(&selector) {
            None => Ok(Selection { namespace, by: By::Labels(selector) }),
            Some(problem) => Err(Unknown::new(format!("the selector of {kind} {}: {problem}", object.name))),
        }
    }

    /// Hands the selected pods to `take`, page by page.
    pub(super) async fn each_pod(self, of: &Selection, mut take: impl FnMut(Pod)) -> Result<(), Unknown> {
        let namespace = Some(of.namespace.as_str());
        match &of.by {
            By::Name(name) => take(self.reads.get(&Resource::PODS, namespace, name).await?),
            By::Labels(labels) => {
                let query = ListQuery { labels: Some(labels), ..ListQuery::default() };
                self.reads.each(&Resource::PODS, namespace, query, take).await?;
            }
        }
        Ok(())
    }

    /// How long ago that was, in seconds; never negative, as clocks differ.
    pub(super) fn age_seconds(self, at: Option<&Time>) -> Option<i64> {
        at.map(|at| self.now.duration_since(at.0).as_secs().max(0))
    }
}

const NO_OBJECT: &str = "no object is named, and the incident has no Kubernetes target of that kind";

/// What a use of a diagnostic of Kubernetes refers to, with the texts of it that may hold templates: names, and the
/// selector where it has one.
pub(super) fn checked(
    names: &[(&str, Option<&str>)],
    selector: Option<&str>,
) -> Result<CheckedParams, ParamsError> {
    let mut slots = Vec::new();
    for (key, text) in names {
        let Some(text) = text else { continue };
        let pointer = format!("/{key}");
        if text.trim().is_empty() {
            return Err(ParamsError::at(pointer, "this name is empty, which must not mean everything"));
        }
        if !is_template(text) && !crate::domain::dns::is_dns_subdomain(text) {
            let way_out = "is no name in Kubernetes: lower-case letters, digits, `-` and `.` are allowed";
            return Err(ParamsError::at(pointer, format!("{text:?} {way_out}")));
        }
        slots.push(Slot::new(pointer, SlotLanguage::KubernetesName));
    }
    if let Some(text) = selector {
        if let Some(problem) = selector_problem(text).filter(|_| !is_template(text)) {
            return Err(ParamsError::at("/selector", problem));
        }
        slots.push(Slot::new("/selector", SlotLanguage::KubernetesSelector));
    }
    Ok(CheckedParams { slots, references: vec![Reference::Kubernetes], ..CheckedParams::default() })
}

/// Refuses two ways to say which.
pub(super) fn one_of(pairs: &[(&str, bool)]) -> Result<(), ParamsError> {
    let named: Vec<&str> = pairs.iter().filter(|(_, there)| *there).map(|(key, _)| *key).collect();
    match named.as_slice() {
        [first, second, ..] => {
            Err(ParamsError::at(format!("/{second}"), format!("this and `{first}` exclude each other")))
        }
        _ => Ok(()),
    }
}

/// Raw or rendered parameters, as far as permissions need them.
pub(super) fn text<'p>(params: &'p Value, key: &str) -> Option<&'p str> {
    params.get(key).and_then(Value::as_str)
}

/// A permission on `resource` in the namespace that the parameters name.
pub(super) fn need(params: &Value, resource: &Resource, part: &str, verbs: &[&'static str]) -> AccessNeed {
    let plural =
        if part.is_empty() { resource.plural.to_string() } else { format!("{}/{part}", resource.plural) };
    if !resource.namespaced {
        return AccessNeed::cluster(&resource.group, &plural, verbs);
    }
    AccessNeed::namespaced(&resource.group, &plural, verbs).in_namespace(text(params, "namespace"))
}

/// The permission to get the one object that the parameters or the target name.
pub(super) fn need_object(params: &Value, target: Option<&TargetSpec>) -> Option<AccessNeed> {
    let kind = text(params, "kind").or(target.map(|target| target.kind.as_str()))?;
    let of_target = target.filter(|target| target.kind == kind).map(|target| target.name.0.as_str());
    let name = text(params, "name").or(of_target);
    Some(need(params, Resource::of_kind(kind)?, "", &["get"]).named(name))
}

/// The permissions to find the pods that the parameters or the target mean.
pub(super) fn need_pods(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let pods = &Resource::PODS;
    if let Some(pod) = text(params, "pod") {
        return vec![need(params, pods, "", &["get"]).named(Some(pod))];
    }
    if text(params, "selector").is_some() {
        return vec![need(params, pods, "", &["list"])];
    }
    match target {
        Some(target) if target.kind == "Pod" => {
            vec![need(params, pods, "", &["get"]).named(Some(&target.name.0))]
        }
        Some(target) if WORKLOADS.contains(&target.kind.as_str()) => {
            let owner = need_object(&Value::Null, Some(target));
            owner.into_iter().chain([need(params, pods, "", &["list"])]).collect()
        }
        _ => vec![need(params, pods, "", &["list"])],
    }
}

/// Fields of a finding from an object; what is `null` is left out, so that a condition over it is unknown.
pub(super) fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    }
}

/// Seconds for people: `2h 5m`, in the two largest units.
pub(super) fn ago(seconds: i64) -> String {
    let rounded = match seconds {
        s if s >= 86_400 => s - s % 3_600,
        s if s >= 3_600 => s - s % 60,
        s => s,
    };
    length(jiff::SignedDuration::from_secs(rounded))
}

/// A count of the API, which leaves zero out.
pub(super) fn count(number: Option<i32>) -> i64 {
    number.unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_in_two_units() {
        assert_eq!([ago(59), ago(3_725), ago(90_061)], ["59s", "1h 2m", "25h"].map(str::to_owned));
    }
}
