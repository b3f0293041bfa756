//! Grants as objects that `kubectl` can apply: two accounts, their roles, and the bindings between them.

use super::{Grants, Identity, Place, Thing, Verbs};
use crate::settings::Settings;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where the accounts live unless the settings say otherwise.
const NAMESPACE: &str = "smokejumper";

/// The version of all RBAC objects.
const API: &str = "rbac.authorization.k8s.io/v1";

/// How Kubernetes writes a service account as a user.
const ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// Under which service accounts the two identities run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    /// Namespace of both.
    pub namespace: String,
    /// Name of the account that reads.
    pub read: String,
    /// Name of the account that acts.
    pub act: String,
    /// Whether the service acts by a kubeconfig of that account's own, and needs no right to impersonate it.
    pub has_own_kubeconfig: bool,
}

impl Accounts {
    /// Those of the settings, where `kubernetes.act.impersonate` names a service account; otherwise our own names.
    pub fn of(settings: &Settings, namespace: Option<&str>) -> Self {
        let identity = settings.kubernetes.as_ref().map(|kubernetes| &kubernetes.act);
        let has_own_kubeconfig =
            identity.is_some_and(|act| act.kubeconfig.is_some() || act.context.is_some());
        let act = identity.and_then(|act| act.impersonate.as_deref());
        let act = act.and_then(|user| user.strip_prefix(ACCOUNT_PREFIX)?.split_once(':'));
        let (stated, name) = act.unzip();
        Self {
            namespace: namespace.or(stated).unwrap_or(NAMESPACE).to_owned(),
            read: "smokejumper-read".to_owned(),
            act: name.unwrap_or("smokejumper-act").to_owned(),
            has_own_kubeconfig,
        }
    }

    fn name(&self, identity: Identity) -> &str {
        match identity {
            Identity::Read => &self.read,
            Identity::Act => &self.act,
        }
    }

    /// The acting account as the settings name it.
    pub fn act_as_user(&self) -> String {
        format!("{ACCOUNT_PREFIX}{}:{}", self.namespace, self.act)
    }
}

/// The objects, in the order in which they are applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    head: String,
    /// Each with a sentence that says what it is for.
    objects: Vec<(String, Value)>,
}

impl Manifest {
    /// The objects for these grants. Without any there are none: the rules have nothing to do with a cluster.
    pub fn new(grants: &Grants, accounts: &Accounts) -> Self {
        if grants.is_empty() {
            let head = "# The rules need no permission in a Kubernetes cluster.\n".to_owned();
            return Self { head, objects: Vec::new() };
        }
        let mut head = format!(
            "# What the loaded rules need in the cluster, and nothing else. Written by `smokejumper rbac`.\n\
             # The service runs as {namespace}/{read}",
            namespace = accounts.namespace,
            read = accounts.read,
        );
        head += &if accounts.has_own_kubeconfig {
            format!(", and `kubernetes.act` in its settings names credentials of {}.\n", accounts.act)
        } else {
            let user = accounts.act_as_user();
            format!(
                ", with this in its settings:\n#   kubernetes: {{ act: {{ impersonate: \"{user}\" }} }}\n"
            )
        };
        let mut objects: Vec<(String, Value)> = [Identity::Read, Identity::Act]
            .map(|identity| {
                let what = match identity {
                    Identity::Read => "The service runs under it, and diagnostics read under it.",
                    Identity::Act => "Actions write under it; nothing runs under it by itself.",
                };
                (what.to_owned(), account(accounts, identity))
            })
            .into();
        if !accounts.has_own_kubeconfig {
            objects.extend(impersonation(accounts));
        }
        for ((identity, place), things) in grants {
            let name = accounts.name(*identity);
            let needed: BTreeSet<&String> = things.values().flat_map(BTreeMap::values).flatten().collect();
            let needed: Vec<&str> = needed.into_iter().map(String::as_str).collect();
            let why = format!("For the rules {}.", needed.join(", "));
            objects.push((why, role(name, place, policy_rules(things))));
            objects.push((String::new(), binding(name, place, accounts, *identity)));
        }
        Self { head, objects }
    }

    /// YAML with a sentence before each role.
    pub fn yaml(&self) -> String {
        let mut text = self.head.clone();
        for (why, object) in &self.objects {
            text.push_str("---\n");
            if !why.is_empty() {
                text.push_str(&format!("# {why}\n"));
            }
            text.push_str(&serde_saphyr::to_string(object).expect("objects are plain values"));
        }
        text
    }

    /// One list that holds all objects.
    pub fn list(&self) -> Value {
        let items: Vec<&Value> = self.objects.iter().map(|(_, object)| object).collect();
        json!({"apiVersion": "v1", "kind": "List", "items": items})
    }
}

/// The right to act under the other account.
fn impersonation(accounts: &Accounts) -> [(String, Value); 2] {
    let name = format!("{}-impersonate", accounts.read);
    let home = Place::Namespace(accounts.namespace.clone());
    let rules = vec![json!({
        "apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"],
        "resourceNames": [accounts.act],
    })];
    let why = "Lets the service act under the other account.".to_owned();
    [(why, role(&name, &home, rules)), (String::new(), binding(&name, &home, accounts, Identity::Read))]
}

fn account(accounts: &Accounts, identity: Identity) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": accounts.name(identity), "namespace": accounts.namespace},
    })
}

fn metadata(name: &str, place: &Place) -> Value {
    match place {
        Place::Cluster => json!({"name": name}),
        Place::Namespace(namespace) => json!({"name": name, "namespace": namespace}),
    }
}

fn role(name: &str, place: &Place, rules: Vec<Value>) -> Value {
    let kind = if *place == Place::Cluster { "ClusterRole" } else { "Role" };
    json!({"apiVersion": API, "kind": kind, "metadata": metadata(name, place), "rules": rules})
}

fn binding(name: &str, place: &Place, accounts: &Accounts, identity: Identity) -> Value {
    let (kind, role) = match place {
        Place::Cluster => ("ClusterRoleBinding", "ClusterRole"),
        Place::Namespace(_) => ("RoleBinding", "Role"),
    };
    let account = accounts.name(identity);
    json!({
        "apiVersion": API, "kind": kind, "metadata": metadata(name, place),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": accounts.namespace}],
    })
}

/// Group, names and verbs: what resources of one rule have in common.
type Alike<'g> = (&'g str, &'g [String], Vec<&'g str>);

/// One rule for all resources of a group that are treated alike.
fn policy_rules(things: &BTreeMap<Thing, Verbs>) -> Vec<Value> {
    let mut alike: BTreeMap<Alike<'_>, Vec<&str>> = BTreeMap::new();
    for ((group, resource, names), verbs) in things {
        let verbs: Vec<&str> = verbs.keys().copied().collect();
        alike.entry((group, names, verbs)).or_default().push(resource);
    }
    alike
        .into_iter()
        .map(|((group, names, verbs), resources)| {
            let mut rule = json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
            if !names.is_empty() {
                rule["resourceNames"] = json!(names);
            }
            rule
        })
        .collect()
}
