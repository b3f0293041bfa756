//! Where: which namespaces and kinds of objects actions may touch, and that the responder never touches itself.

use super::{Guardrail, GuardrailVerdict, Subject, allowed, denied};
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

/// Where the responder itself runs. At least one of the two is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// Its namespace; none means any.
    pub namespace: Option<String>,
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
    if let Some(kind) = subject.touch.kinds().find(|kind| !scope.kinds.is_empty() && !is_listed(kind)) {
        let text = format!("{kind} is not among the kinds that actions may touch");
        return denied(Guardrail::AllowList, text, None);
    }
    let mut kinds: Vec<&str> = subject.touch.kinds().collect();
    kinds.dedup();
    allowed(Guardrail::AllowList, format!("{} in {namespace} may be touched", kinds.join(", ")))
}

/// A responder that restarts itself in the middle of an incident is the end of the response.
pub(super) fn own(subject: Subject<'_>, own: Option<&Own>) -> GuardrailVerdict {
    let Some(own) = own else {
        return allowed(Guardrail::OwnWorkload, "it does not know where it runs itself");
    };
    let is_near = own.namespace.is_none() || subject.namespace == own.namespace.as_deref();
    let Some(object) = subject.objects().find(|object| is_near && is_ours(object, own)) else {
        return allowed(Guardrail::OwnWorkload, "it does not act on itself");
    };
    let text = match own.name {
        Some(_) => format!("it would act on itself: {object}"),
        None => format!(
            "{object} lies where the responder itself runs; `guardrails.own.name` tells it from its neighbours"
        ),
    };
    denied(Guardrail::OwnWorkload, text, None)
}

fn is_ours(object: &str, own: &Own) -> bool {
    let Some(own) = own.name.as_deref() else { return true };
    let name = object.rsplit('/').next().unwrap_or_default();
    match object.split('/').next() {
        // It reaches further than its name tells.
        Some("NetworkPolicy") => true,
        // They are called after their workload.
        Some("Pod" | "ReplicaSet") => {
            name.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        }
        _ => name == own,
    }
}
