//! Which resources there are: their groups, names and subresources, as discovery tells them.

/// One kind of object that the API serves.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resource {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub short: &'static [&'static str],
    pub namespaced: bool,
    pub subresources: &'static [&'static str],
    /// Built into the API server: it knows its schema, so strategic merge patches and defaults work.
    pub built_in: bool,
    /// Whether `metadata.generation` counts changes of its spec.
    pub counts_generations: bool,
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.into() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `pods` or `deployments.apps`, as messages name it.
    pub(super) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.into() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `Pod` or `Deployment.apps`, as messages about invalid objects name it.
    pub(super) fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.into() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// Whether it has the status subresource, so that writing the object leaves its status alone.
    pub(super) fn has_status(&self) -> bool {
        self.subresources.contains(&"status")
    }

    /// Where objects of this resource are kept: both event APIs look at the same ones.
    pub(super) fn storage(&'static self) -> &'static Resource {
        if self == &NEW_EVENTS { &EVENTS } else { self }
    }
}

const fn core(plural: &'static str, kind: &'static str, short: &'static [&'static str]) -> Resource {
    Resource {
        group: "",
        version: "v1",
        plural,
        kind,
        short,
        namespaced: true,
        subresources: &[],
        built_in: true,
        counts_generations: false,
    }
}

const fn grouped(group: &'static str, plural: &'static str, kind: &'static str) -> Resource {
    Resource { group, ..core(plural, kind, &[]) }
}

const fn workload(plural: &'static str, kind: &'static str, short: &'static [&'static str]) -> Resource {
    let subresources = &["status", "scale"];
    Resource { group: "apps", subresources, counts_generations: true, ..core(plural, kind, short) }
}

const fn custom(plural: &'static str, kind: &'static str, short: &'static [&'static str]) -> Resource {
    let (group, subresources) = ("cert-manager.io", &["status"] as &[&str]);
    Resource { group, subresources, built_in: false, counts_generations: true, ..core(plural, kind, short) }
}

pub(super) static NAMESPACES: Resource = Resource {
    namespaced: false,
    subresources: &["status", "finalize"],
    ..core("namespaces", "Namespace", &["ns"])
};
pub(super) static PODS: Resource = Resource {
    subresources: &["status", "eviction", "log", "exec", "attach", "portforward"],
    counts_generations: true,
    ..core("pods", "Pod", &["po"])
};
pub(super) static SERVICES: Resource =
    Resource { subresources: &["status"], ..core("services", "Service", &["svc"]) };
pub(super) static ENDPOINTS: Resource = core("endpoints", "Endpoints", &["ep"]);
pub(super) static ENDPOINT_SLICES: Resource =
    Resource { counts_generations: true, ..grouped("discovery.k8s.io", "endpointslices", "EndpointSlice") };
pub(super) static EVENTS: Resource = core("events", "Event", &["ev"]);
pub(super) static NEW_EVENTS: Resource = grouped("events.k8s.io", "events", "Event");
pub(super) static CONFIG_MAPS: Resource = core("configmaps", "ConfigMap", &["cm"]);
pub(super) static SECRETS: Resource = core("secrets", "Secret", &[]);
pub(super) static SERVICE_ACCOUNTS: Resource =
    Resource { subresources: &["token"], ..core("serviceaccounts", "ServiceAccount", &["sa"]) };
pub(super) static NODES: Resource =
    Resource { namespaced: false, subresources: &["status"], ..core("nodes", "Node", &["no"]) };
pub(super) static CLAIMS: Resource = Resource {
    subresources: &["status"],
    ..core("persistentvolumeclaims", "PersistentVolumeClaim", &["pvc"])
};
pub(super) static QUOTAS: Resource =
    Resource { subresources: &["status"], ..core("resourcequotas", "ResourceQuota", &["quota"]) };
pub(super) static DEPLOYMENTS: Resource = workload("deployments", "Deployment", &["deploy"]);
pub(super) static REPLICA_SETS: Resource = workload("replicasets", "ReplicaSet", &["rs"]);
pub(super) static STATEFUL_SETS: Resource = workload("statefulsets", "StatefulSet", &["sts"]);
pub(super) static DAEMON_SETS: Resource =
    Resource { subresources: &["status"], ..workload("daemonsets", "DaemonSet", &["ds"]) };
pub(super) static REVISIONS: Resource = grouped("apps", "controllerrevisions", "ControllerRevision");
pub(super) static JOBS: Resource =
    Resource { subresources: &["status"], counts_generations: true, ..grouped("batch", "jobs", "Job") };
pub(super) static CRON_JOBS: Resource = Resource {
    subresources: &["status"],
    counts_generations: true,
    short: &["cj"],
    ..grouped("batch", "cronjobs", "CronJob")
};
pub(super) static AUTOSCALERS: Resource = Resource {
    version: "v2",
    subresources: &["status"],
    short: &["hpa"],
    ..grouped("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
};
pub(super) static BUDGETS: Resource = Resource {
    subresources: &["status"],
    counts_generations: true,
    short: &["pdb"],
    ..grouped("policy", "poddisruptionbudgets", "PodDisruptionBudget")
};
pub(super) static INGRESSES: Resource = Resource {
    subresources: &["status"],
    counts_generations: true,
    short: &["ing"],
    ..grouped("networking.k8s.io", "ingresses", "Ingress")
};
pub(super) static NETWORK_POLICIES: Resource = Resource {
    counts_generations: true,
    short: &["netpol"],
    ..grouped("networking.k8s.io", "networkpolicies", "NetworkPolicy")
};
pub(super) static ROLES: Resource = grouped(RBAC, "roles", "Role");
pub(super) static ROLE_BINDINGS: Resource = grouped(RBAC, "rolebindings", "RoleBinding");
pub(super) static CLUSTER_ROLES: Resource =
    Resource { namespaced: false, ..grouped(RBAC, "clusterroles", "ClusterRole") };
pub(super) static CLUSTER_ROLE_BINDINGS: Resource =
    Resource { namespaced: false, ..grouped(RBAC, "clusterrolebindings", "ClusterRoleBinding") };
pub(super) static CERTIFICATES: Resource = custom("certificates", "Certificate", &["cert", "certs"]);
pub(super) static CERTIFICATE_REQUESTS: Resource =
    custom("certificaterequests", "CertificateRequest", &["cr"]);
pub(super) static ISSUERS: Resource = custom("issuers", "Issuer", &[]);
pub(super) static CLUSTER_ISSUERS: Resource =
    Resource { namespaced: false, ..custom("clusterissuers", "ClusterIssuer", &[]) };

/// The group of roles and bindings.
pub(super) const RBAC: &str = "rbac.authorization.k8s.io";

/// Every resource that is stored.
pub(super) static RESOURCES: [&Resource; 34] = [
    &NAMESPACES,
    &PODS,
    &SERVICES,
    &ENDPOINTS,
    &EVENTS,
    &CONFIG_MAPS,
    &SECRETS,
    &SERVICE_ACCOUNTS,
    &NODES,
    &CLAIMS,
    &QUOTAS,
    &DEPLOYMENTS,
    &REPLICA_SETS,
    &STATEFUL_SETS,
    &DAEMON_SETS,
    &REVISIONS,
    &JOBS,
    &CRON_JOBS,
    &AUTOSCALERS,
    &BUDGETS,
    &INGRESSES,
    &NETWORK_POLICIES,
    &ENDPOINT_SLICES,
    &NEW_EVENTS,
    &ROLES,
    &ROLE_BINDINGS,
    &CLUSTER_ROLES,
    &CLUSTER_ROLE_BINDINGS,
    &CERTIFICATES,
    &CERTIFICATE_REQUESTS,
    &ISSUERS,
    &CLUSTER_ISSUERS,
    &LEASES,
    &STORAGE_CLASSES,
];

pub(super) static STORAGE_CLASSES: Resource = Resource {
    namespaced: false,
    short: &["sc"],
    ..grouped("storage.k8s.io", "storageclasses", "StorageClass")
};
pub(super) static LEASES: Resource = grouped("coordination.k8s.io", "leases", "Lease");

/// The resource that a path names.
pub(super) fn named(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    let fits =
        |found: &&&Resource| found.group == group && found.version == version && found.plural == plural;
    RESOURCES.iter().find(fits).copied()
}

/// The resource of an object, by its `apiVersion` and `kind`.
pub(super) fn of_kind(api_version: &str, kind: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|found| found.kind == kind && found.api_version() == api_version).copied()
}

/// The resource of an owner, whatever its version.
pub(super) fn of_plural(plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|found| found.plural == plural).copied()
}
