//! The metrics API: what pods and nodes use, as a scenario plays it, or its absence.

use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::json::{annotation, is_true, items, name, namespace, stamp, text};
use super::request::Asked;
use super::resource::{NODES, PODS};
use super::selector::Labels;
use super::status::{Refusal, answer as reply, no_such_path};
use super::store::World;

/// The group of the metrics API.
pub(super) const GROUP: &str = "metrics.k8s.io";
/// The annotation of a pod (or its template) with what each of its containers uses, such as `cpu=250m memory=100Mi`.
pub const USAGE: &str = "sandbox.smokejumper.dev/usage";

/// Whether there is a metrics API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricsApi {
    /// It answers.
    #[default]
    Present,
    /// It was never installed: 404.
    Absent,
    /// It is installed, and its server is down: 503.
    Unavailable,
}

/// What each container of some pods uses.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    pub namespace: String,
    pub labels: Labels,
    pub cpu_millis: u64,
    pub memory_bytes: u64,
}

/// What a container uses: thousandths of a processor, and bytes.
pub(super) fn used(world: &World, pod: &Value) -> (u64, u64) {
    let played = world.play.usage.iter().rev();
    let mut played = played.filter(|usage| usage.namespace == namespace(pod) && usage.labels.fit(pod));
    if let Some(usage) = played.next() {
        return (usage.cpu_millis, usage.memory_bytes);
    }
    let (mut cpu, mut memory) = (10, 32 * 1024 * 1024);
    for word in annotation(pod, USAGE).unwrap_or_default().split_whitespace() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let amount = super::quantity::amount(&json!(value)).unwrap_or_default();
        match key {
            "cpu" => cpu = whole(amount * 1_000.0),
            "memory" => memory = whole(amount),
            _ => {}
        }
    }
    (cpu, memory)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "quantities of a scenario are small and positive"
)]
fn whole(amount: f64) -> u64 {
    amount.max(0.0).round() as u64
}

/// Answers a request to the metrics API.
pub(super) fn answer(world: &World, asked: &Asked) -> Result<Response, Refusal> {
    match world.play.metrics {
        MetricsApi::Absent => return Ok(no_such_path()),
        MetricsApi::Unavailable => {
            return Ok((http::StatusCode::SERVICE_UNAVAILABLE, "service unavailable\n").into_response());
        }
        MetricsApi::Present => {}
    }
    let (kind, all) = match asked.plural.as_str() {
        "pods" => ("PodMetrics", pods(world, asked)?),
        "nodes" => ("NodeMetrics", nodes(world, asked)?),
        _ => return Ok(no_such_path()),
    };
    match asked.verb {
        "list" => Ok(reply(
            200,
            &json!({
                "kind": format!("{kind}List"), "apiVersion": format!("{GROUP}/v1beta1"), "metadata": {}, "items": all,
            }),
        )),
        "get" => {
            let found = all.into_iter().find(|found| name(found) == asked.name);
            let missing = || {
                let message =
                    format!("{}.{GROUP} \"{}/{}\" not found", asked.plural, asked.namespace, asked.name);
                Refusal::new(404, "NotFound", message)
            };
            Ok(reply(200, &found.ok_or_else(missing)?))
        }
        _ => Err(Refusal::method_not_allowed()),
    }
}

fn pods(world: &World, asked: &Asked) -> Result<Vec<Value>, Refusal> {
    let labels = Labels::read(asked.query.text("labelSelector"))?;
    let all =
        if asked.namespace.is_empty() { world.all(&PODS) } else { world.within(&PODS, &asked.namespace) };
    let measured = all.iter().filter(|pod| text(pod, "/status/phase") == "Running" && labels.fit(pod));
    Ok(measured.map(|pod| pod_metrics(world, pod)).collect())
}

fn pod_metrics(world: &World, pod: &Value) -> Value {
    let (cpu, memory) = used(world, pod);
    let container = |container: &Value| json!({ "name": container["name"], "usage": usage(cpu, memory) });
    json!({
        "kind": "PodMetrics",
        "apiVersion": format!("{GROUP}/v1beta1"),
        "metadata": {
            "name": name(pod),
            "namespace": namespace(pod),
            "labels": pod["metadata"]["labels"],
            "creationTimestamp": stamp(world.now),
        },
        "timestamp": stamp(world.now),
        "window": "15s",
        "containers": items(pod, "/spec/containers").iter().map(container).collect::<Vec<_>>(),
    })
}

fn usage(cpu_millis: u64, memory_bytes: u64) -> Value {
    json!({ "cpu": format!("{}n", cpu_millis * 1_000_000), "memory": format!("{}Ki", memory_bytes / 1024) })
}

fn nodes(world: &World, asked: &Asked) -> Result<Vec<Value>, Refusal> {
    let labels = Labels::read(asked.query.text("labelSelector"))?;
    let pods = world.all(&PODS);
    let measured = world.all(&NODES).into_iter().filter(|node| labels.fit(node) && is_true(node, "Ready"));
    let told = |node: std::sync::Arc<Value>| {
        let own = pods.iter().filter(|pod| text(pod, "/spec/nodeName") == name(&node));
        let sums = own.fold((100, 1024 * 1024 * 1024), |(cpu, memory), pod| {
            let (more_cpu, more_memory) = used(world, pod);
            (cpu + more_cpu, memory + more_memory)
        });
        json!({
            "kind": "NodeMetrics",
            "apiVersion": format!("{GROUP}/v1beta1"),
            "metadata": { "name": name(&node), "creationTimestamp": stamp(world.now) },
            "timestamp": stamp(world.now),
            "window": "20s",
            "usage": usage(sums.0, sums.1),
        })
    };
    Ok(measured.map(told).collect())
}
