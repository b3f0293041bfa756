//! What the API server refuses with 422: names, numbers, selectors, containers, and fields that may not change.
//!
//! These are the checks that an action can run into, not all that the real one does.

use serde_json::{Value, json};

use super::cron::Schedule;
use super::json::{fields, items, name, number, text};
use super::quantity::amount as quantity;
use super::resource::Resource;
use super::selector::Labels;
use super::status::{Cause, Refusal};

/// Characters of a name of DNS.
const NAME_MAX: usize = 253;
/// Characters of one label of DNS.
const LABEL_MAX: usize = 63;

/// Judges a new object.
pub(super) fn new(resource: &Resource, object: &Value) -> Result<(), Refusal> {
    let mut causes = Vec::new();
    name_causes(resource, name(object), &mut causes);
    spec_causes(resource, object, &mut causes);
    refuse(resource, object, &causes)
}

/// Judges a changed object.
pub(super) fn change(resource: &Resource, before: &Value, after: &Value) -> Result<(), Refusal> {
    let mut causes = Vec::new();
    spec_causes(resource, after, &mut causes);
    for field in immutable(resource) {
        let pointer = format!("/{}", field.replace('.', "/"));
        let (was, is) = (before.pointer(&pointer), after.pointer(&pointer));
        if was != is {
            causes.push(Cause::invalid(field, is.unwrap_or(&Value::Null), "field is immutable"));
        }
    }
    if resource.plural == "statefulsets" {
        stateful_causes(before, after, &mut causes);
    }
    if resource.plural == "persistentvolumeclaims" {
        claim_causes(before, after, &mut causes);
    }
    if resource.plural == "pods" {
        pod_causes(before, after, &mut causes);
    }
    refuse(resource, after, &causes)
}

fn refuse(resource: &Resource, object: &Value, causes: &[Cause]) -> Result<(), Refusal> {
    if causes.is_empty() { Ok(()) } else { Err(Refusal::invalid(resource, name(object), causes)) }
}

fn immutable(resource: &Resource) -> &'static [&'static str] {
    match resource.plural {
        "deployments" | "replicasets" | "daemonsets" => &["spec.selector"],
        "jobs" => &["spec.selector", "spec.template", "spec.completions", "spec.completionMode"],
        "rolebindings" | "clusterrolebindings" => &["roleRef"],
        _ => &[],
    }
}

fn name_causes(resource: &Resource, name: &str, causes: &mut Vec<Cause>) {
    let path_safe_only = resource.group == super::resource::RBAC;
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if path_safe_only {
        if name == "." || name == ".." || name.contains(['/', '%']) {
            causes.push(Cause::invalid("metadata.name", &json!(name), "may not contain '/' or '%'"));
        }
    } else if matches!(resource.plural, "namespaces" | "services") {
        if !is_label(name) {
            let why = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
                       and must start and end with an alphanumeric character";
            causes.push(Cause::invalid("metadata.name", &json!(name), why));
        }
    } else if name.len() > NAME_MAX || !name.split('.').all(is_label) {
        let why = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                   and must start and end with an alphanumeric character";
        causes.push(Cause::invalid("metadata.name", &json!(name), why));
    }
}

fn is_label(part: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !part.is_empty()
        && part.len() <= LABEL_MAX
        && part.chars().all(inside)
        && !part.starts_with('-')
        && !part.ends_with('-')
}

fn spec_causes(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    match resource.plural {
        "deployments" | "replicasets" | "statefulsets" | "daemonsets" => {
            for field in ["replicas", "minReadySeconds", "revisionHistoryLimit"] {
                not_negative(object, &format!("spec.{field}"), causes);
            }
            template_causes(object, "Always", causes);
            selector_causes(object, causes);
        }
        "jobs" => {
            for field in ["parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished"] {
                not_negative(object, &format!("spec.{field}"), causes);
            }
            let policy = text(object, "/spec/template/spec/restartPolicy");
            if !matches!(policy, "Never" | "OnFailure") {
                let why = "valid values: \"OnFailure\", \"Never\"";
                causes.push(Cause::required("spec.template.spec.restartPolicy", why));
            }
            container_causes(object, "spec.template.spec", causes);
        }
        "pods" => container_causes(object, "spec", causes),
        "cronjobs" if Schedule::read(text(object, "/spec/schedule")).is_none() => {
            let why = "expected exactly 5 fields that mean a time";
            causes.push(Cause::invalid("spec.schedule", &object["spec"]["schedule"], why));
        }
        "horizontalpodautoscalers" => autoscaler_causes(object, causes),
        "poddisruptionbudgets" => {
            let both = ["minAvailable", "maxUnavailable"]
                .iter()
                .all(|field| object.pointer(&format!("/spec/{field}")).is_some_and(|value| !value.is_null()));
            if both {
                let why = "minAvailable and maxUnavailable cannot be both set";
                causes.push(Cause::invalid("spec", &object["spec"], why));
            }
        }
        _ => {}
    }
}

fn not_negative(object: &Value, field: &str, causes: &mut Vec<Cause>) {
    let pointer = format!("/{}", field.replace('.', "/"));
    if number(object, &pointer).is_some_and(|value| value < 0) {
        let value = object.pointer(&pointer).unwrap_or(&Value::Null);
        causes.push(Cause::invalid(field, value, "must be greater than or equal to 0"));
    }
}

fn template_causes(object: &Value, policy: &str, causes: &mut Vec<Cause>) {
    let has = text(object, "/spec/template/spec/restartPolicy");
    if !has.is_empty() && has != policy {
        let message = format!("Unsupported value: \"{has}\": supported values: \"{policy}\"");
        let field = "spec.template.spec.restartPolicy".to_owned();
        causes.push(Cause { reason: "FieldValueNotSupported", field, message });
    }
    container_causes(object, "spec.template.spec", causes);
}

fn selector_causes(object: &Value, causes: &mut Vec<Cause>) {
    let selector = Labels::of(object.pointer("/spec/selector"));
    if selector.is_empty() {
        let why = "empty selector is invalid for deployment";
        causes.push(Cause::invalid("spec.selector", &object["spec"]["selector"], why));
    } else if !selector.fit_map(fields(object, "/spec/template/metadata/labels")) {
        let labels = object.pointer("/spec/template/metadata/labels").unwrap_or(&Value::Null);
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, why));
    }
}

fn container_causes(object: &Value, place: &str, causes: &mut Vec<Cause>) {
    let pointer = format!("/{}/containers", place.replace('.', "/"));
    let containers = items(object, &pointer);
    if containers.is_empty() {
        causes.push(Cause::required(&format!("{place}.containers"), ""));
    }
    let mut names = Vec::new();
    for (index, container) in containers.iter().enumerate() {
        let field = |name: &str| format!("{place}.containers[{index}].{name}");
        let has = text(container, "/name");
        if has.is_empty() {
            causes.push(Cause::required(&field("name"), ""));
        } else if !is_label(has) {
            causes.push(Cause::invalid(
                &field("name"),
                &json!(has),
                "a lowercase RFC 1123 label must be given",
            ));
        }
        if names.contains(&has) {
            causes.push(Cause::duplicate(&field("name"), &json!(has)));
        }
        names.push(has);
        if text(container, "/image").is_empty() {
            causes.push(Cause::required(&field("image"), ""));
        }
        resource_causes(container, &field("resources"), causes);
        for (at, variable) in items(container, "/env").iter().enumerate() {
            if text(variable, "/name").is_empty() {
                causes.push(Cause::required(&format!("{}[{at}].name", field("env")), ""));
            }
        }
    }
}

fn resource_causes(container: &Value, field: &str, causes: &mut Vec<Cause>) {
    for (name, request) in fields(container, "/resources/requests").into_iter().flatten() {
        let limit = fields(container, "/resources/limits").and_then(|limits| limits.get(name));
        let (Some(asked), Some(most)) = (quantity(request), limit.and_then(quantity)) else { continue };
        if asked > most {
            let said = limit.and_then(Value::as_str).unwrap_or_default();
            let why = format!("must be less than or equal to {name} limit of {said}");
            causes.push(Cause::invalid(&format!("{field}.requests"), request, &why));
        }
    }
    for list in ["requests", "limits"] {
        for (name, value) in fields(container, &format!("/resources/{list}")).into_iter().flatten() {
            if quantity(value).is_none_or(|quantity| quantity < 0.0) {
                let why = "must be greater than or equal to 0";
                causes.push(Cause::invalid(&format!("{field}.{list}[{name}]"), value, why));
            }
        }
    }
}

fn autoscaler_causes(object: &Value, causes: &mut Vec<Cause>) {
    let (least, most) = (number(object, "/spec/minReplicas"), number(object, "/spec/maxReplicas"));
    let value = |field: &str| object.pointer(&format!("/spec/{field}")).unwrap_or(&Value::Null);
    if least.is_some_and(|least| least < 1) {
        let why = "must be greater than or equal to 1";
        causes.push(Cause::invalid("spec.minReplicas", value("minReplicas"), why));
    }
    match most {
        None | Some(..1) => {
            let why = "must be greater than 0";
            causes.push(Cause::invalid("spec.maxReplicas", &json!(most.unwrap_or_default()), why));
        }
        Some(most) if least.is_some_and(|least| least > most) => {
            let why = "must be greater than or equal to `minReplicas`";
            causes.push(Cause::invalid("spec.maxReplicas", value("maxReplicas"), why));
        }
        Some(_) => {}
    }
}

/// Of a StatefulSet's spec only a few fields may change.
fn stateful_causes(before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    const MAY_CHANGE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let rest = |object: &Value| {
        let mut spec = fields(object, "/spec").cloned().unwrap_or_default();
        spec.retain(|field, _| !MAY_CHANGE.contains(&field.as_str()));
        spec
    };
    if rest(before) != rest(after) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                   'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                   'minReadySeconds' are forbidden";
        causes.push(Cause::forbidden("spec", why));
    }
}

/// A claim may ask for more once it has a volume, and never for less than it has.
fn claim_causes(before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    const ASKED: &str = "/spec/resources/requests/storage";
    let is_bound = text(before, "/status/phase") == "Bound";
    let mut rest = after["spec"].clone();
    if is_bound {
        let had = before.pointer("/spec/resources/requests").cloned().unwrap_or_default();
        super::json::set(&mut rest, "/resources/requests", had);
    }
    if rest != before["spec"] {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
                   claims";
        causes.push(Cause::forbidden("spec", why));
    }
    let asked =
        |object: &Value, pointer: &str| object.pointer(pointer).and_then(quantity).unwrap_or_default();
    let (was, is) = (asked(before, ASKED), asked(after, ASKED));
    if is < was && is <= asked(before, "/status/capacity/storage") {
        let why = "field can not be less than status.capacity";
        causes.push(Cause::forbidden("spec.resources.requests.storage", why));
    }
}

/// Of a pod's spec hardly anything may change.
fn pod_causes(before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    let rest = |object: &Value| {
        let mut spec = object["spec"].clone();
        for field in [
            "activeDeadlineSeconds",
            "tolerations",
            "terminationGracePeriodSeconds",
            "nodeName",
            "ephemeralContainers",
        ] {
            spec.as_object_mut().map(|spec| spec.remove(field));
        }
        for list in ["containers", "initContainers"] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                container.as_object_mut().map(|container| container.remove("image"));
            }
        }
        spec
    };
    if rest(before) != rest(after) {
        let why = "pod updates may not change fields other than `spec.containers[*].image`, \
                   `spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` (only additions \
                   to existing tolerations), `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                   previously negative)";
        causes.push(Cause::forbidden("spec", why));
    }
}
