//! Discovery: which version the server has, which groups there are, and which resources are in them.

use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::metrics::{self, MetricsApi};
use super::resource::{RESOURCES, Resource};
use super::reviews;
use super::status::answer as reply;
use super::store::World;

/// The version of Kubernetes that is played.
const VERSION: (&str, &str, &str) = ("1", "36", "v1.36.0");

/// Answers a path that asks for no resource; nothing for a path that it does not know.
pub(super) fn answer(world: &World, path: &str) -> Option<Response> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let found = match parts.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => return Some("ok".into_response()),
        ["version"] => json!({
            "major": VERSION.0,
            "minor": VERSION.1,
            "gitVersion": VERSION.2,
            "gitCommit": "0000000000000000000000000000000000000000",
            "gitTreeState": "clean",
            "buildDate": "2026-04-22T00:00:00Z",
            "goVersion": "go1.26.0",
            "compiler": "gc",
            "platform": "linux/amd64",
        }),
        ["api"] => json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] }),
        ["apis"] => json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups(world) }),
        ["api", version] => resources("", version)?,
        ["apis", metrics::GROUP, "v1beta1"] => metrics(world)?,
        ["apis", reviews::GROUP, "v1"] => list(reviews::GROUP, "v1", &reviewed()),
        ["apis", group] => groups(world).into_iter().find(|found| found["name"] == *group)?,
        ["apis", group, version] => resources(group, version)?,
        _ => return None,
    };
    Some(reply(200, &found))
}

fn groups(world: &World) -> Vec<Value> {
    let mut names: Vec<(&str, &str)> = vec![(reviews::GROUP, "v1")];
    if world.play.metrics != MetricsApi::Absent {
        names.push((metrics::GROUP, "v1beta1"));
    }
    for resource in RESOURCES.iter().filter(|resource| !resource.group.is_empty()) {
        if !names.contains(&(resource.group, resource.version)) {
            names.push((resource.group, resource.version));
        }
    }
    let told = |(group, version): (&str, &str)| {
        let version = json!({ "groupVersion": format!("{group}/{version}"), "version": version });
        json!({
            "kind": "APIGroup",
            "apiVersion": "v1",
            "name": group,
            "versions": [version],
            "preferredVersion": version,
        })
    };
    names.into_iter().map(told).collect()
}

/// The metrics API is another server behind the same door; discovery shows when it is down.
fn metrics(world: &World) -> Option<Value> {
    let told = |(plural, kind, namespaced): (&str, &str, bool)| json!({ "name": plural, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"] });
    let all = [("nodes", "NodeMetrics", false), ("pods", "PodMetrics", true)].map(told);
    (world.play.metrics == MetricsApi::Present).then(|| list(metrics::GROUP, "v1beta1", &all))
}

fn reviewed() -> Vec<Value> {
    let kinds = ["SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"];
    let told = |kind: &str| {
        let plural = format!("{}s", kind.to_lowercase());
        json!({ "name": plural, "singularName": "", "namespaced": false, "kind": kind, "verbs": ["create"] })
    };
    kinds.map(told).to_vec()
}

fn list(group: &str, version: &str, resources: &[Value]) -> Value {
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": format!("{group}/{version}"),
        "resources": resources,
    })
}

fn resources(group: &str, version: &str) -> Option<Value> {
    let own: Vec<_> =
        RESOURCES.iter().filter(|found| found.group == group && found.version == version).collect();
    let first = own.first()?;
    let told: Vec<Value> = own.iter().flat_map(|resource| told(resource)).collect();
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": first.api_version(),
        "resources": told,
    }))
}

fn told(resource: &Resource) -> Vec<Value> {
    let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let mut all = vec![json!({
        "name": resource.plural,
        "singularName": resource.kind.to_lowercase(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": verbs,
        "shortNames": resource.short,
    })];
    for subresource in resource.subresources {
        let (kind, verbs): (&str, &[&str]) = match *subresource {
            "scale" => ("Scale", &["get", "patch", "update"]),
            "eviction" => ("Eviction", &["create"]),
            "exec" | "attach" | "portforward" => ("PodExecOptions", &["create", "get"]),
            "log" => (resource.kind, &["get"]),
            _ => (resource.kind, &["get", "patch", "update"]),
        };
        all.push(json!({
            "name": format!("{}/{subresource}", resource.plural),
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": kind,
            "verbs": verbs,
        }));
    }
    all
}
