//! `smokejumper rbac`: what the loaded rules need in a Kubernetes cluster, as roles that hold nothing else.
//!
//! Each kind of diagnostic and action states its needs in its own file; here they are brought together. Diagnostics read
//! under one account, actions write under another. A need goes into a Role where the rule fixes the namespace, by its
//! text or by an equality matcher over the label that the text names; everything else must go into a ClusterRole.
//! Nothing is asked of a cluster. Reading order: [`needs`], [`grants`], then [`manifest`].

pub mod manifest;

#[cfg(test)]
mod tests;

use super::rulebook;
use crate::clients::kubernetes::Resource;
use crate::domain::catalog::{AccessNeed, Catalog};
use crate::domain::rule::ResponseRule;
use crate::rules::ruleset::RuleSet;
use crate::settings::{Settings, process_environment};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What `rbac` was told.
#[derive(Debug, Clone)]
pub struct RbacOptions {
    /// The settings file.
    pub config: Option<PathBuf>,
    /// Namespace of the service accounts, where the settings do not say it.
    pub namespace: Option<String>,
}

/// Under whom something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// Diagnostics.
    Read,
    /// Actions.
    Act,
}

impl Identity {
    /// The word in names, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Act => "act",
        }
    }
}

/// One permission that a rule needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleNeed {
    /// Name of the rule.
    pub rule: String,
    /// What needs it, such as `diagnostic logs` or `remedy restart`.
    pub part: String,
    /// Under whom.
    pub identity: Identity,
    /// The permission.
    pub need: AccessNeed,
    /// The namespace, where it is fixed; none means that it comes from labels, or that the cluster is meant.
    pub namespace: Option<String>,
}

/// Everything that the rules need, rule by rule, with what guardrails look at before a rule acts on the cluster.
pub fn needs(set: &RuleSet, catalog: &Catalog, looks_at_nodes: bool) -> Vec<RuleNeed> {
    set.looking().flat_map(|rule| of_rule(rule, catalog, looks_at_nodes)).collect()
}

fn of_rule(rule: &ResponseRule, catalog: &Catalog, looks_at_nodes: bool) -> Vec<RuleNeed> {
    let target = rule.target.as_ref();
    let mut all = Vec::new();
    let mut take = |part: String, identity, needs: Vec<AccessNeed>| {
        all.extend(needs.into_iter().map(|need| {
            let namespace = need.namespace_in(rule);
            RuleNeed { rule: rule.name.clone(), part: part.clone(), identity, need, namespace }
        }));
    };
    for spec in &rule.diagnostics {
        if let Some(kind) = catalog.diagnostic(&spec.kind) {
            take(format!("diagnostic {}", spec.name), Identity::Read, (kind.access)(&spec.params, target));
        }
    }
    for spec in &rule.remedies {
        for action in [Some(&spec.action), spec.rollback.as_ref()].into_iter().flatten() {
            if let Some(kind) = catalog.action(&action.kind) {
                take(format!("remedy {}", spec.name), Identity::Act, (kind.access)(&action.params, target));
            }
        }
    }
    let kinds = rule.remedies.iter().filter_map(|spec| catalog.action(&spec.action.kind));
    if looks_at_nodes && kinds.into_iter().any(|kind| kind.is_surveyed) {
        let nodes = AccessNeed::cluster("", &Resource::NODES.plural, &["list"]);
        take("guardrail correlation".to_owned(), Identity::Read, vec![nodes]);
    }
    for action in &rule.on_resolve {
        if let Some(kind) = catalog.action(&action.kind) {
            take("onResolve".to_owned(), Identity::Act, (kind.access)(&action.params, target));
        }
    }
    all
}

/// Where a role holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Everywhere: a ClusterRole.
    Cluster,
    /// In a namespace: a Role.
    Namespace(String),
}

/// What a permission is for: group, resource and names, none of which means all.
type Thing = (String, String, Vec<String>);

/// The verbs of one thing, with the rules that need each.
type Verbs = BTreeMap<&'static str, BTreeSet<String>>;

/// The permissions of one identity in one place, without anything that another of its permissions covers.
pub type Grants = BTreeMap<(Identity, Place), BTreeMap<Thing, Verbs>>;

/// Brings needs together.
pub fn grants(needs: &[RuleNeed]) -> Grants {
    let mut all = Grants::new();
    for RuleNeed { rule, identity, need, namespace, .. } in needs {
        let place = namespace.clone().map_or(Place::Cluster, Place::Namespace);
        let thing = (need.group.clone(), need.resource.clone(), need.names.clone());
        let verbs = all.entry((*identity, place)).or_default().entry(thing).or_default();
        for verb in &need.verbs {
            verbs.entry(verb).or_default().insert(rule.clone());
        }
    }
    without_covered(all)
}

/// A permission for all objects covers one for some of them, and one in the cluster covers one in a namespace.
fn without_covered(all: Grants) -> Grants {
    let covers = |identity: Identity, place: &Place, thing: &Thing, verb: &str| {
        let holds = |place: &Place, thing: &Thing| {
            let things = all.get(&(identity, place.clone()));
            things.and_then(|things| things.get(thing)).is_some_and(|verbs| verbs.contains_key(verb))
        };
        let (group, resource, names) = thing;
        let whole = (group.clone(), resource.clone(), Vec::new());
        let is_narrow = !names.is_empty();
        (is_narrow && holds(place, &whole))
            || (*place != Place::Cluster && (holds(&Place::Cluster, thing) || holds(&Place::Cluster, &whole)))
    };
    let mut left = Grants::new();
    for ((identity, place), things) in &all {
        for (thing, verbs) in things {
            for (verb, rules) in verbs {
                if !covers(*identity, place, thing, verb) {
                    let things = left.entry((*identity, place.clone())).or_default();
                    things.entry(thing.clone()).or_default().insert(verb, rules.clone());
                }
            }
        }
    }
    left
}

/// The roles, bindings and accounts for the rules that the settings name.
///
/// # Errors
/// Settings or rules that cannot be used.
pub fn rbac(options: &RbacOptions) -> anyhow::Result<manifest::Manifest> {
    let settings = Settings::load(options.config.as_deref(), &process_environment())?;
    let book = rulebook::open(&settings)?;
    let needs = needs(&book.current(), book.catalog(), settings.guardrails.looks_at_nodes());
    let accounts = manifest::Accounts::of(&settings, options.namespace.as_deref());
    Ok(manifest::Manifest::new(&grants(&needs), &accounts))
}
