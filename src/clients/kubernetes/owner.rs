//! Who owns an object: Argo CD, Flux, Helm or a controller, by the labels and annotations that they document.
//!
//! What such an owner has written it writes again, so a change by hand does not last: people must know before they
//! approve one. `app.kubernetes.io/instance` alone says nothing here, since Helm charts and people set it as well.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The label of a Job that we made of a CronJob: the CronJob's name. It has no owner, whose history limit would collect
/// it, and counts as one of its Jobs all the same.
pub const CRON_JOB: &str = "smokejumper.dev/cronjob";

/// Who keeps an object as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manager {
    /// An application of Argo CD.
    ArgoCd {
        /// Its name.
        application: String,
    },
    /// A Kustomization or HelmRelease of Flux.
    Flux {
        /// Which of both.
        kind: &'static str,
        /// `namespace/name`.
        name: String,
    },
    /// A release of Helm: written again at the next upgrade.
    Helm {
        /// Its name, where the chart tells it.
        release: Option<String>,
    },
    /// A controller, as an operator is one.
    Controller {
        /// Kind of the owner.
        kind: String,
        /// Name of the owner.
        name: String,
    },
}

impl Manager {
    /// One word for findings and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::ArgoCd { .. } => "argocd",
            Self::Flux { .. } => "flux",
            Self::Helm { .. } => "helm",
            Self::Controller { .. } => "controller",
        }
    }

    /// What becomes of a change by hand, for people.
    pub fn consequence(&self) -> &'static str {
        match self {
            Self::ArgoCd { .. } | Self::Flux { .. } => "it will undo a change that is not in its repository",
            Self::Helm { .. } => "the next upgrade undoes a change that is not in its values",
            Self::Controller { .. } => "it may undo the change at once",
        }
    }
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ArgoCd { application } => write!(f, "Argo CD application {application}"),
            Self::Flux { kind, name } => write!(f, "Flux {kind} {name}"),
            Self::Helm { release: Some(release) } => write!(f, "Helm release {release}"),
            Self::Helm { release: None } => f.write_str("Helm"),
            Self::Controller { kind, name } => write!(f, "{kind} {name}"),
        }
    }
}

/// Who keeps an object as it is, if anybody.
pub fn manager(metadata: &ObjectMeta) -> Option<Manager> {
    let none = BTreeMap::new();
    let labels = metadata.labels.as_ref().unwrap_or(&none);
    let annotations = metadata.annotations.as_ref().unwrap_or(&none);
    // Flux installs charts with Helm, and Argo CD renders them: whoever writes last counts, so they are asked first.
    argo_cd(labels, annotations)
        .or_else(|| flux(labels))
        .or_else(|| helm(labels, annotations))
        .or_else(|| controller(metadata))
}

fn argo_cd(labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> Option<Manager> {
    // `application:group/kind:namespace/name`, the way of tracking that is the default since Argo CD 3.
    let tracked =
        annotations.get("argocd.argoproj.io/tracking-id").map(|id| id.split(':').next().unwrap_or(id));
    let labelled = labels.get("argocd.argoproj.io/instance").map(String::as_str);
    let application = tracked.or(labelled)?.to_owned();
    Some(Manager::ArgoCd { application })
}

fn flux(labels: &BTreeMap<String, String>) -> Option<Manager> {
    let of = |group: &str, kind| {
        let name = labels.get(&format!("{group}/name"))?;
        let name = match labels.get(&format!("{group}/namespace")) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.clone(),
        };
        Some(Manager::Flux { kind, name })
    };
    of("kustomize.toolkit.fluxcd.io", "Kustomization").or_else(|| of("helm.toolkit.fluxcd.io", "HelmRelease"))
}

fn helm(labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> Option<Manager> {
    let release = annotations.get("meta.helm.sh/release-name").cloned();
    let managed =
        labels.get("app.kubernetes.io/managed-by").is_some_and(|by| by.eq_ignore_ascii_case("helm"));
    (managed || release.is_some()).then_some(Manager::Helm { release })
}

fn controller(metadata: &ObjectMeta) -> Option<Manager> {
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    Some(Manager::Controller { kind: owner.kind.clone(), name: owner.name.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(metadata: Value) -> Option<String> {
        let metadata: ObjectMeta = serde_json::from_value(metadata).expect("metadata");
        manager(&metadata).map(|manager| format!("{}: {manager}", manager.word()))
    }

    #[test]
    fn owners_are_known_by_what_they_document() {
        for (metadata, expected) in [
            (
                json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:prod/api"}}),
                "argocd: Argo CD application shop",
            ),
            (json!({"labels": {"argocd.argoproj.io/instance": "shop"}}), "argocd: Argo CD application shop"),
            (
                json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}),
                "flux: Flux Kustomization flux-system/apps",
            ),
            (
                json!({"labels": {
                    "app.kubernetes.io/managed-by": "Helm",
                    "helm.toolkit.fluxcd.io/name": "redis",
                }}),
                "flux: Flux HelmRelease redis",
            ),
            (
                json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {"meta.helm.sh/release-name": "pss"}}),
                "helm: Helm release pss",
            ),
            (json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), "helm: Helm"),
            (
                json!({"ownerReferences": [
                    {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "1"},
                    {"apiVersion": "redis/v1", "kind": "RedisFailover", "name": "cache", "uid": "2", "controller": true},
                ]}),
                "controller: RedisFailover cache",
            ),
        ] {
            assert_eq!(of(metadata.clone()).as_deref(), Some(expected), "{metadata}");
        }
    }

    #[test]
    fn what_people_write_by_hand_is_owned_by_nobody() {
        for metadata in [
            json!({}),
            json!({"labels": {"app.kubernetes.io/instance": "shop", "app.kubernetes.io/managed-by": "Kustomize"}}),
            json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "1"}]}),
        ] {
            assert_eq!(of(metadata.clone()), None, "{metadata}");
        }
    }
}
