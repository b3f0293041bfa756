//! Permissions in a Kubernetes cluster, described as data: what a use of a diagnostic or an action needs there.
//!
//! Each kind states its own needs in its own file. The generator of roles and the look at permissions at start read
//! them from the catalog, so that neither knows a kind.

use crate::matcher::MatchOp;
use crate::rule::{ResponseRule, TargetSpec, is_template};
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// Where a permission is needed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessScope {
    /// In the namespace of the incident's target.
    TargetNamespace,
    /// In this namespace. As it stands in the rule, so it may be a template.
    Namespace(String),
    /// In the whole cluster, for things that lie in no namespace.
    Cluster,
}

/// One permission: these verbs on this resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AccessNeed {
    /// API group; empty for the core group.
    pub group: String,
    /// Resource in the plural, with its subresource where one is meant: `pods`, `pods/log`, `deployments/scale`.
    pub resource: String,
    /// Verbs as RBAC knows them: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verbs: Vec<&'static str>,
    /// Where.
    pub scope: AccessScope,
    /// Only objects of these names (`resourceNames`); empty means all. Never a template: a name that is only known
    /// when it is rendered cannot narrow a role.
    pub names: Vec<String>,
}

/// The permissions that one use of a kind needs: of its parameters, rendered or as they stand in the rule, and of the
/// rule's target, which stands in where the parameters say nothing. Parameters that do not fit need nothing.
pub type AccessOf = fn(&Value, Option<&TargetSpec>) -> Vec<AccessNeed>;

/// For kinds that have nothing to do with a cluster.
pub fn no_access(_: &Value, _: Option<&TargetSpec>) -> Vec<AccessNeed> {
    Vec::new()
}

impl AccessNeed {
    /// `verbs` on `resource` in the target's namespace.
    pub fn namespaced(group: &str, resource: &str, verbs: &[&'static str]) -> Self {
        Self {
            group: group.to_owned(),
            resource: resource.to_owned(),
            verbs: verbs.to_vec(),
            scope: AccessScope::TargetNamespace,
            names: Vec::new(),
        }
    }

    /// `verbs` on `resource` in the whole cluster.
    pub fn cluster(group: &str, resource: &str, verbs: &[&'static str]) -> Self {
        Self { scope: AccessScope::Cluster, ..Self::namespaced(group, resource, verbs) }
    }

    /// The same in `namespace`; without one it stays as it is.
    #[must_use]
    pub fn in_namespace(mut self, namespace: Option<&str>) -> Self {
        if let Some(namespace) = namespace {
            self.scope = AccessScope::Namespace(namespace.to_owned());
        }
        self
    }

    /// The namespace that a rule fixes for it: by its text, or by an equality matcher over the label that the text names.
    /// None where it comes from labels, or where the cluster is meant.
    pub fn namespace_in(&self, rule: &ResponseRule) -> Option<String> {
        let text = match &self.scope {
            AccessScope::Cluster => return None,
            AccessScope::Namespace(text) => text.as_str(),
            AccessScope::TargetNamespace => rule.target.as_ref()?.namespace.0.as_str(),
        };
        if !is_template(text) {
            return Some(text.to_owned());
        }
        // `{{ labels.namespace }}` is fixed where a matcher lets only one value through.
        let label = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim().strip_prefix("labels.")?;
        let equal =
            rule.matchers.iter().find(|matcher| matcher.name() == label && matcher.op() == MatchOp::Equal);
        equal.map(|matcher| matcher.value().to_owned()).filter(|value| !value.is_empty())
    }

    /// Only for the object called `name`; a template or no name at all narrows nothing. RBAC cannot hold `create` to
    /// names, nor `list` of anything but that one name, so neither is narrowed.
    #[must_use]
    pub fn named(mut self, name: Option<&str>) -> Self {
        let can_be_narrowed = !self.verbs.iter().any(|verb| matches!(*verb, "create" | "list" | "watch"));
        if let Some(name) = name.filter(|name| can_be_narrowed && !is_template(name)) {
            self.names = vec![name.to_owned()];
        }
        self
    }
}

/// For people: `get, list pods/log in namespace prod`.
impl fmt::Display for AccessNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verbs.join(", "), self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if let [name] = self.names.as_slice() {
            write!(f, " `{name}`")?;
        }
        match &self.scope {
            AccessScope::TargetNamespace => write!(f, " in the target's namespace"),
            AccessScope::Namespace(namespace) => write!(f, " in namespace {namespace}"),
            AccessScope::Cluster => write!(f, " in the cluster"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_reads_as_a_sentence() {
        let need = AccessNeed::namespaced("apps", "deployments", &["get", "patch"]);
        assert_eq!(need.to_string(), "get, patch deployments.apps in the target's namespace");
        let named = need.in_namespace(Some("prod")).named(Some("api"));
        assert_eq!(named.to_string(), "get, patch deployments.apps `api` in namespace prod");
        assert_eq!(AccessNeed::cluster("", "nodes", &["list"]).to_string(), "list nodes in the cluster");
    }

    #[test]
    fn only_a_fixed_name_narrows_and_only_verbs_that_can_be() {
        let named =
            |verbs: &[&'static str], name| AccessNeed::namespaced("", "pods", verbs).named(name).names;
        assert_eq!(named(&["get", "delete"], Some("redis-0")), ["redis-0"]);
        assert!(named(&["get"], Some("{{ labels.pod }}")).is_empty());
        assert!(named(&["get"], None).is_empty());
        for verb in ["create", "list", "watch"] {
            assert!(named(&["get", verb], Some("redis-0")).is_empty(), "{verb}");
        }
    }
}
