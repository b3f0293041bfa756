//! The kinds of objects that we know, and where the API keeps them.

use std::borrow::Cow;
use std::fmt;

use super::error::Failure;
use crate::domain::dns::{is_dns_label, is_dns_subdomain};

/// Where the API keeps the objects of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: Cow<'static, str>,
    /// Version of the group.
    pub version: Cow<'static, str>,
    /// Kind, such as `Deployment`.
    pub kind: Cow<'static, str>,
    /// Name in paths and permissions, such as `deployments`.
    pub plural: Cow<'static, str>,
    /// Whether its objects lie in namespaces.
    pub namespaced: bool,
}

macro_rules! kinds {
    ($($name:ident = $scope:ident $group:literal $version:literal $kind:literal $plural:literal;)*) => {
        impl Resource {
            $(
                #[doc = concat!("`", $kind, "`.")]
                pub const $name: Resource = Resource {
                    group: Cow::Borrowed($group),
                    version: Cow::Borrowed($version),
                    kind: Cow::Borrowed($kind),
                    plural: Cow::Borrowed($plural),
                    namespaced: kinds!(@$scope),
                };
            )*
        }

        /// All kinds that rules may name.
        const KNOWN: &[Resource] = &[$(Resource::$name),*];
    };
    (@in_namespace) => { true };
    (@in_cluster) => { false };
}

kinds! {
    PODS = in_namespace "" "v1" "Pod" "pods";
    SERVICES = in_namespace "" "v1" "Service" "services";
    CONFIG_MAPS = in_namespace "" "v1" "ConfigMap" "configmaps";
    SECRETS = in_namespace "" "v1" "Secret" "secrets";
    EVENTS = in_namespace "" "v1" "Event" "events";
    VOLUME_CLAIMS = in_namespace "" "v1" "PersistentVolumeClaim" "persistentvolumeclaims";
    SERVICE_ACCOUNTS = in_namespace "" "v1" "ServiceAccount" "serviceaccounts";
    RESOURCE_QUOTAS = in_namespace "" "v1" "ResourceQuota" "resourcequotas";
    NODES = in_cluster "" "v1" "Node" "nodes";
    NAMESPACES = in_cluster "" "v1" "Namespace" "namespaces";
    VOLUMES = in_cluster "" "v1" "PersistentVolume" "persistentvolumes";
    DEPLOYMENTS = in_namespace "apps" "v1" "Deployment" "deployments";
    STATEFUL_SETS = in_namespace "apps" "v1" "StatefulSet" "statefulsets";
    DAEMON_SETS = in_namespace "apps" "v1" "DaemonSet" "daemonsets";
    REPLICA_SETS = in_namespace "apps" "v1" "ReplicaSet" "replicasets";
    CONTROLLER_REVISIONS = in_namespace "apps" "v1" "ControllerRevision" "controllerrevisions";
    JOBS = in_namespace "batch" "v1" "Job" "jobs";
    CRON_JOBS = in_namespace "batch" "v1" "CronJob" "cronjobs";
    AUTOSCALERS = in_namespace "autoscaling" "v2" "HorizontalPodAutoscaler" "horizontalpodautoscalers";
    DISRUPTION_BUDGETS = in_namespace "policy" "v1" "PodDisruptionBudget" "poddisruptionbudgets";
    INGRESSES = in_namespace "networking.k8s.io" "v1" "Ingress" "ingresses";
    NETWORK_POLICIES = in_namespace "networking.k8s.io" "v1" "NetworkPolicy" "networkpolicies";
    ENDPOINT_SLICES = in_namespace "discovery.k8s.io" "v1" "EndpointSlice" "endpointslices";
    NEW_EVENTS = in_namespace "events.k8s.io" "v1" "Event" "events";
    POD_METRICS = in_namespace "metrics.k8s.io" "v1beta1" "PodMetrics" "pods";
    NODE_METRICS = in_cluster "metrics.k8s.io" "v1beta1" "NodeMetrics" "nodes";
    CERTIFICATES = in_namespace "cert-manager.io" "v1" "Certificate" "certificates";
    ISSUERS = in_namespace "cert-manager.io" "v1" "Issuer" "issuers";
    CLUSTER_ISSUERS = in_cluster "cert-manager.io" "v1" "ClusterIssuer" "clusterissuers";
}

impl Resource {
    /// The kind that rules call `kind`, in the spelling of manifests. Of kinds with the same name, the core one.
    pub fn of_kind(kind: &str) -> Option<&'static Resource> {
        KNOWN.iter().find(|resource| resource.kind == kind)
    }

    /// The kind of a manifest, by its `apiVersion` and `kind`.
    pub fn of_manifest(api_version: &str, kind: &str) -> Option<&'static Resource> {
        KNOWN.iter().find(|resource| resource.kind == kind && resource.api_version() == api_version)
    }

    /// The words in a manifest: `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        match self.group.as_ref() {
            "" => self.version.to_string(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The path of all objects in a namespace, or in the cluster.
    pub(super) fn path(&self, namespace: Option<&str>) -> Result<String, Failure> {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let root = format!("{root}/{}", self.api_version());
        match (namespace, self.namespaced) {
            (Some(namespace), true) if is_dns_label(namespace) => {
                Ok(format!("{root}/namespaces/{namespace}/{}", self.plural))
            }
            (Some(namespace), true) => {
                Err(Failure::Refused(format!("{namespace:?} is no name of a namespace")))
            }
            (None, true) => Err(Failure::Refused(format!("{self} lie in a namespace, and none is named"))),
            (_, false) => Ok(format!("{root}/{}", self.plural)),
        }
    }

    /// The path of one object.
    pub(super) fn path_of(&self, namespace: Option<&str>, name: &str) -> Result<String, Failure> {
        if !is_dns_subdomain(name) {
            return Err(Failure::Refused(format!("{name:?} is no name of an object")));
        }
        Ok(format!("{}/{name}", self.path(namespace)?))
    }
}

/// As in permissions: `deployments.apps`, `pods`.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plural)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}
