//! Endpoints and endpoint slices: the addresses of the pods that a Service selects, the ready ones apart.

use serde_json::{Value, json};

use super::super::change;
use super::super::json::{fields, is_deleting, is_true, items, name, namespace, set, text, uid};
use super::super::resource::{ENDPOINT_SLICES, ENDPOINTS, PODS, Resource, SERVICES};
use super::super::selector::Labels;
use super::super::store::World;
use super::owner_reference;

pub(super) fn sync(world: &mut World) {
    for service in world.all(&SERVICES) {
        if let Some(selector) = fields(&service, "/spec/selector").filter(|_| !is_deleting(&service)) {
            write(world, &service, &Labels::of_map(selector));
        }
    }
}

fn write(world: &mut World, service: &Value, labels: &Labels) {
    let mut pods = world.within(&PODS, namespace(service));
    pods.retain(|pod| labels.fit(pod) && !text(pod, "/status/podIP").is_empty());
    pods.retain(|pod| !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed"));
    let address = |pod: &Value| {
        json!({
            "ip": pod["status"]["podIP"],
            "nodeName": pod["spec"]["nodeName"],
            "targetRef": { "kind": "Pod", "namespace": namespace(pod), "name": name(pod), "uid": uid(pod) },
        })
    };
    let is_ready = |pod: &Value| is_true(pod, "Ready") && !is_deleting(pod);
    let (ready, waiting): (Vec<_>, Vec<_>) = pods.iter().partition(|pod| is_ready(pod));
    let ports: Vec<Value> = items(service, "/spec/ports").iter().map(port).collect();
    let mut subset = json!({ "ports": ports });
    for (field, pods) in [("addresses", ready), ("notReadyAddresses", waiting)] {
        if !pods.is_empty() {
            subset[field] = pods.into_iter().map(|pod| address(pod)).collect();
        }
    }
    let subsets = if pods.is_empty() { json!([]) } else { json!([subset]) };
    let labels = json!({ "kubernetes.io/service-name": name(service) });
    let endpoints =
        json!({ "metadata": { "namespace": namespace(service), "name": name(service) }, "subsets": subsets });
    keep(world, &ENDPOINTS, endpoints, "subsets");
    let told: Vec<Value> = pods.iter().map(|pod| {
        json!({
            "addresses": [pod["status"]["podIP"]],
            "conditions": { "ready": is_ready(pod), "serving": is_true(pod, "Ready"), "terminating": is_deleting(pod) },
            "nodeName": pod["spec"]["nodeName"],
            "targetRef": address(pod)["targetRef"],
        })
    }).collect();
    let slice = json!({
        "metadata": {
            "namespace": namespace(service),
            "name": format!("{}-1", name(service)),
            "labels": labels,
            "ownerReferences": owner_reference(service),
        },
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": told,
    });
    keep(world, &ENDPOINT_SLICES, slice, "endpoints");
}

fn port(port: &Value) -> Value {
    let target = port.get("targetPort").filter(|target| target.is_number()).unwrap_or(&port["port"]);
    json!({ "name": port["name"], "port": target, "protocol": port["protocol"] })
}

/// Makes an object, or brings the one field up to date that changes.
fn keep(world: &mut World, resource: &'static Resource, new: Value, field: &str) {
    match world.find(resource, namespace(&new), name(&new)) {
        None => drop(change::insert(world, resource, new)),
        Some(had) if had[field] == new[field] => {}
        Some(had) => {
            let mut after = Value::clone(&had);
            set(&mut after, &format!("/{field}"), new[field].clone());
            world.save(resource, after);
        }
    }
}
