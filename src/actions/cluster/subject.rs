//! Which object an action means: the one that its parameters name, or the incident's own.
//!
//! A namespace stands in the rule or comes from the incident's target, never from a template of the action, so that no
//! label widens where it reaches. The cluster's own namespaces are touched only where the rule names them itself.

use serde_json::{Value, json};

use super::workload::WORKLOADS;
use crate::clients::kubernetes::Resource;
use crate::domain::catalog::{AccessNeed, CheckedParams, ParamsError, Reference, Slot, SlotLanguage};
use crate::domain::correlate::Target;
use crate::domain::dns::{is_dns_label, is_dns_subdomain};
use crate::domain::rule::TargetSpec;
use crate::params;

/// Namespaces of the cluster itself begin so.
const OF_THE_CLUSTER: &str = "kube-";

/// The parameters that name an object.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::actions) struct Naming<'a> {
    pub(in crate::actions) kind: Option<&'a str>,
    pub(in crate::actions) namespace: Option<&'a str>,
    pub(in crate::actions) name: Option<&'a str>,
}

/// An object, named in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::actions) struct Subject {
    pub(in crate::actions) kind: String,
    pub(in crate::actions) namespace: String,
    pub(in crate::actions) name: String,
}

impl<'a> Naming<'a> {
    /// The naming of typed parameters.
    pub(in crate::actions) fn of(
        kind: &'a Option<String>,
        namespace: &'a Option<String>,
        name: &'a Option<String>,
    ) -> Self {
        Self { kind: kind.as_deref(), namespace: namespace.as_deref(), name: name.as_deref() }
    }

    /// The naming that stands in parameters, in the fields that all of these actions call the same.
    pub(in crate::actions) fn in_params(params: &'a Value) -> Self {
        let text = |key: &str| params.get(key).and_then(Value::as_str);
        Self { kind: text("kind"), namespace: text("namespace"), name: text("name") }
    }

    /// Checks it as the rule has it, and begins what is said of the parameters as a whole: where templates stand, and
    /// that there must be a cluster. `kinds` are those that the action can act on.
    pub(in crate::actions) fn checked(&self, kinds: &[&str]) -> Result<CheckedParams, ParamsError> {
        let slots = self.check(kinds)?;
        Ok(CheckedParams { slots, references: vec![Reference::Kubernetes], ..CheckedParams::default() })
    }

    fn check(&self, kinds: &[&str]) -> Result<Vec<Slot>, ParamsError> {
        if let Some(kind) = self.kind.filter(|kind| !kinds.contains(kind)) {
            return Err(ParamsError::at("/kind", format!("`{kind}` is none of {}", kinds.join(", "))));
        }
        if let Some(namespace) = self.namespace {
            check_namespace(namespace)?;
        }
        let Some(name) = self.name else { return Ok(Vec::new()) };
        if !params::is_template(name) && !is_dns_subdomain(name) {
            return Err(ParamsError::at("/name", format!("{name:?} is no name of an object")));
        }
        Ok(vec![Slot::new("/name", SlotLanguage::KubernetesName)])
    }

    /// The object that rendered parameters mean, in the incident with this target.
    pub(in crate::actions) fn subject(
        &self,
        kinds: &[&str],
        target: Option<&Target>,
    ) -> Result<Subject, ParamsError> {
        let missing = |field: &str| {
            let message = format!("`{field}` is not given, and the rule has no target that says it");
            ParamsError::at(format!("/{field}"), message)
        };
        let kind = self.kind.or(target.map(|target| target.kind.as_str()));
        let kind = kind.ok_or_else(|| missing("kind"))?;
        if !kinds.contains(&kind) {
            return Err(ParamsError::at("/kind", format!("a {kind} is none of {}", kinds.join(", "))));
        }
        let namespace = self.namespace(target)?;
        // A name of another kind's object says nothing about ours.
        let own = target.filter(|target| target.kind == kind).map(|target| target.name.as_str());
        let name = self.name.or(own).ok_or_else(|| missing("name"))?;
        if !is_dns_subdomain(name) {
            return Err(ParamsError::at("/name", format!("{name:?} is no name of an object")));
        }
        Ok(Subject { kind: kind.to_owned(), namespace, name: name.to_owned() })
    }

    /// The namespace that rendered parameters mean.
    pub(in crate::actions) fn namespace(&self, target: Option<&Target>) -> Result<String, ParamsError> {
        if let Some(namespace) = self.namespace {
            check_namespace(namespace)?;
            return Ok(namespace.to_owned());
        }
        let message = "`namespace` is not given, and the rule has no target that says it";
        let namespace = &target.ok_or_else(|| ParamsError::at("/namespace", message))?.namespace;
        if !is_dns_label(namespace) {
            return Err(ParamsError::at("/namespace", format!("{namespace:?} is no name of a namespace")));
        }
        if namespace.starts_with(OF_THE_CLUSTER) {
            let message = format!(
                "`{namespace}` is a namespace of the cluster itself: a rule that means it says `namespace: {namespace}`"
            );
            return Err(ParamsError::at("/namespace", message));
        }
        Ok(namespace.clone())
    }

    /// The permissions that an action needs on the object that a rule means, as it stands there.
    pub(in crate::actions) fn need(
        &self,
        group: &str,
        resource: &str,
        verbs: &[&'static str],
        target: Option<&'a TargetSpec>,
    ) -> AccessNeed {
        let kind = self.kind_in(target);
        let own = target.filter(|target| kind == Some(target.kind.as_str()));
        let name = self.name.or(own.map(|target| target.name.0.as_str()));
        AccessNeed::namespaced(group, resource, verbs).in_namespace(self.namespace).named(name)
    }

    /// The permissions that an action needs on the workload that a rule means.
    pub(in crate::actions) fn need_workload(
        &self,
        verbs: &[&'static str],
        target: Option<&'a TargetSpec>,
    ) -> Option<AccessNeed> {
        let kind = self.kind_in(target).filter(|kind| WORKLOADS.contains(kind))?;
        let resource = Resource::of_kind(kind)?;
        Some(self.need(&resource.group, &resource.plural, verbs, target))
    }

    /// The permissions that an action needs to give the workload that a rule means another template. Only pods show that the
    /// rollout of a StatefulSet or DaemonSet hangs, and only their revisions which pods are new.
    pub(in crate::actions) fn need_template(&self, target: Option<&'a TargetSpec>) -> Vec<AccessNeed> {
        let workload = self.need_workload(&["get", "patch"], target);
        let is_set = matches!(self.kind_in(target), Some("StatefulSet" | "DaemonSet"));
        let pods = || [self.need_all("apps", "controllerrevisions", &["list"]), self.need_pods()];
        workload.into_iter().chain(is_set.then(pods).into_iter().flatten()).collect()
    }

    /// The permission that it needs to see whether a rollout hangs.
    pub(in crate::actions) fn need_pods(&self) -> AccessNeed {
        self.need_all("", "pods", &["list"])
    }

    /// The permissions that it needs to look at whatever an autoscaler scales.
    pub(in crate::actions) fn need_scaled(&self) -> [AccessNeed; 2] {
        ["deployments", "statefulsets"].map(|plural| self.need_all("apps", plural, &["get"]))
    }

    /// The permissions that it needs on all objects of a kind beside the one that a rule means.
    pub(in crate::actions) fn need_all(
        &self,
        group: &str,
        resource: &str,
        verbs: &[&'static str],
    ) -> AccessNeed {
        AccessNeed::namespaced(group, resource, verbs).in_namespace(self.namespace)
    }

    /// The permissions that it needs to find the pods of the workload that a rule means, or the workload of its pod.
    pub(in crate::actions) fn need_keeper(&self, target: Option<&'a TargetSpec>) -> Vec<AccessNeed> {
        match self.need_workload(&["get"], target) {
            None => self.need_any_keeper(),
            Some(workload) if self.kind_in(target) == Some("Deployment") => {
                vec![workload, self.need_all("apps", "replicasets", &["list"])]
            }
            Some(workload) => vec![workload],
        }
    }

    /// The permissions that it needs to find the workload of any pod.
    pub(in crate::actions) fn need_any_keeper(&self) -> Vec<AccessNeed> {
        let workloads = ["deployments", "statefulsets", "daemonsets"];
        let workloads = workloads.map(|plural| self.need_all("apps", plural, &["get"]));
        let sets = self.need_all("apps", "replicasets", &["get", "list"]);
        workloads.into_iter().chain([sets]).collect()
    }

    /// The kind that a rule means.
    pub(in crate::actions) fn kind_in(&self, target: Option<&'a TargetSpec>) -> Option<&'a str> {
        self.kind.or(target.map(|target| target.kind.as_str()))
    }
}

fn check_namespace(namespace: &str) -> Result<(), ParamsError> {
    if params::is_template(namespace) {
        let message = "a namespace must stand in the rule: a label must not choose it; leave it out to mean the target's";
        return Err(ParamsError::at("/namespace", message));
    }
    if !is_dns_label(namespace) {
        return Err(ParamsError::at("/namespace", format!("{namespace:?} is no name of a namespace")));
    }
    Ok(())
}

impl Subject {
    /// As limits per target and people know it.
    pub(in crate::actions) fn target(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }

    /// For people: `Deployment prod/api`.
    pub(in crate::actions) fn shown(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }

    /// Rendered parameters with the object named in full, so that a survey needs no incident to know it.
    pub(in crate::actions) fn complete(&self, params: &Value) -> Value {
        let mut params = params.clone();
        for (key, value) in [("kind", &self.kind), ("namespace", &self.namespace), ("name", &self.name)] {
            params[key] = json!(value);
        }
        params
    }

    /// The object that complete parameters name.
    pub(in crate::actions) fn in_params(params: &Value) -> Option<Self> {
        let Naming { kind, namespace, name } = Naming::in_params(params);
        Some(Self { kind: kind?.to_owned(), namespace: namespace?.to_owned(), name: name?.to_owned() })
    }
}
