//! Where: which namespaces and kinds of objects actions may touch, and that the responder never touches itself.

use super::{Guardrail, GuardrailVerdict, Subject, allowed, denied};
use crate::survey::Impact;
use serde::{Deserialize, Serialize};

/// Namespaces that belong to the cluster itself. A remedy there is a matter for people.
pub const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// Where actions may touch something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Only these namespaces; empty means all but those of the cluster itself.
    pub namespaces: Vec<String>,
    /// Only these kinds of objects, such as `Deployment`; empty means all that actions know.
    pub kinds: Vec<String>,
    /// Where the responder itself runs, where it knows.
    pub own: Option<Own>,
}

/// Where the responder itself runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// Its namespace.
    pub namespace: String,
    /// Its workload; none protects the whole namespace.
    pub name: Option<String>,
}

pub(super) fn allow_list(subject: Subject<'_>, scope: &Scope) -> GuardrailVerdict {
    let Some(kind) = subject.touch.kind() else {
        return allowed(Guardrail::AllowList, "it touches no object of a cluster");
    };
    let Some(namespace) = subject.namespace else {
        let text = format!("a {kind} without a namespace is never touched");
        return denied(Guardrail::AllowList, text, None);
    };
    let namespace_fits = match scope.namespaces.is_empty() {
        true => !SYSTEM_NAMESPACES.contains(&namespace),
        false => scope.namespaces.iter().any(|one| one == namespace),
    };
    if !namespace_fits {
        let text = format!("namespace {namespace} is not among those that actions may touch");
        return denied(Guardrail::AllowList, text, None);
    }
    let is_listed = |kind: &str| scope.kinds.iter().any(|listed| listed == kind);
    let others = subject.touch.impact().into_iter().flat_map(Impact::kinds);
    let mut kinds = std::iter::once(kind).chain(others);
    if let Some(kind) = kinds.find(|kind| !scope.kinds.is_empty() && !is_listed(kind)) {
        let text = format!("{kind} is not among the kinds that actions may touch");
        return denied(Guardrail::AllowList, text, None);
    }
    allowed(Guardrail::AllowList, format!("{kind} in {namespace} may be touched"))
}

/// A responder that restarts itself in the middle of an incident is the end of the response.
pub(super) fn own(subject: Subject<'_>, own: Option<&Own>) -> GuardrailVerdict {
    let Some(own) = own else {
        return allowed(Guardrail::OwnWorkload, "it does not know where it runs itself");
    };
    let others = subject.touch.impact().into_iter().flat_map(|impact| &impact.objects).map(String::as_str);
    let mut touched = std::iter::once(subject.target).chain(others);
    // A NetworkPolicy reaches further than its name tells.
    let is_ours = |object: &str| {
        let is_named = own.name.as_deref().is_none_or(|name| object.rsplit('/').next() == Some(name));
        is_named || object.starts_with("NetworkPolicy/")
    };
    if subject.namespace == Some(own.namespace.as_str()) && touched.any(is_ours) {
        return denied(Guardrail::OwnWorkload, "it would act on itself".to_owned(), None);
    }
    allowed(Guardrail::OwnWorkload, "it does not act on itself")
}
