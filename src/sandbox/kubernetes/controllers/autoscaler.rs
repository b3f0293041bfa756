//! Horizontal autoscalers: within their bounds, by what the metrics API plays; off while nothing is to run.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::super::events;
use super::super::json::{count, is_true, items, namespace, number, set, stamp, text};
use super::super::metrics::{MetricsApi, used};
use super::super::pod_status::{Condition, set_condition};
use super::super::quantity::amount as quantity;
use super::super::resource::{self, AUTOSCALERS, PODS, Resource};
use super::super::selector::Labels;
use super::super::store::World;

/// How often an autoscaler looks.
const EVERY: SignedDuration = SignedDuration::from_secs(15);
/// How far the ratio may be off without anything being done.
const TOLERANCE: f64 = 0.1;

pub(super) fn sync(world: &mut World) {
    for autoscaler in world.all(&AUTOSCALERS) {
        let key = super::super::json::uid(&autoscaler).to_owned();
        let due = world.play.looks.get(&key).copied().unwrap_or(world.now);
        if due > world.now {
            world.play.wake_at(due);
            continue;
        }
        let next = world.now.checked_add(EVERY).unwrap_or(world.now);
        world.play.looks.insert(key, next);
        world.play.wake_at(next);
        look(world, &autoscaler);
    }
}

fn look(world: &mut World, autoscaler: &Value) {
    let mut after = autoscaler.clone();
    let Some((resource, target)) = target(world, autoscaler) else {
        let message = "the HPA controller was unable to get the target's current scale: not found";
        note(world, &mut after, "AbleToScale", false, "FailedGetScale", message);
        world.save(&AUTOSCALERS, after);
        return;
    };
    let replicas = count(&target, "/spec/replicas");
    note(
        world,
        &mut after,
        "AbleToScale",
        true,
        "SucceededGetScale",
        "the HPA controller was able to get the target's current scale",
    );
    set(&mut after, "/status/currentReplicas", count(&target, "/status/replicas"));
    if replicas == 0 {
        set(&mut after, "/status/desiredReplicas", 0);
        let message = "scaling is disabled since the replica count of the target is zero";
        note(world, &mut after, "ScalingActive", false, "ScalingDisabled", message);
        world.save(&AUTOSCALERS, after);
        return;
    }
    let wanted = wanted(world, &mut after, &target, replicas);
    set(&mut after, "/status/desiredReplicas", wanted);
    set(&mut after, "/status/observedGeneration", count(autoscaler, "/metadata/generation"));
    if wanted != replicas {
        let now = stamp(world.now);
        set(&mut after, "/status/lastScaleTime", now);
        let mut scaled = Value::clone(&target);
        set(&mut scaled, "/spec/replicas", wanted);
        set(&mut scaled, "/metadata/generation", count(&target, "/metadata/generation") + 1);
        world.save(resource, scaled);
        let message = format!(
            "New size: {wanted}; reason: {}",
            if wanted > replicas {
                "resource utilization above target, or too few replicas"
            } else {
                "All metrics below target, or too many replicas"
            }
        );
        events::normal(world, autoscaler, "horizontal-pod-autoscaler", "SuccessfulRescale", &message);
    }
    world.save(&AUTOSCALERS, after);
}

fn target(world: &World, autoscaler: &Value) -> Option<(&'static Resource, std::sync::Arc<Value>)> {
    let aim = autoscaler.pointer("/spec/scaleTargetRef")?;
    let resource = resource::of_kind(text(aim, "/apiVersion"), text(aim, "/kind"))?;
    world.find(resource, namespace(autoscaler), text(aim, "/name")).map(|found| (resource, found))
}

/// How many replicas there should be: by the bounds alone where they are left, else by the metrics within them.
fn wanted(world: &mut World, after: &mut Value, target: &Value, replicas: i64) -> i64 {
    let (least, most) = (number(after, "/spec/minReplicas").unwrap_or(1), count(after, "/spec/maxReplicas"));
    if replicas > most || replicas < least {
        return replicas.clamp(least, most);
    }
    let Some((ratio, measured)) = measured(world, after, target) else {
        let message = "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get \
                       metrics for resource cpu";
        note(world, after, "ScalingActive", false, "FailedGetResourceMetric", message);
        return replicas;
    };
    note(
        world,
        after,
        "ScalingActive",
        true,
        "ValidMetricFound",
        "the HPA was able to successfully calculate a replica count",
    );
    set(after, "/status/currentMetrics", measured);
    let proposed = if (ratio - 1.0).abs() <= TOLERANCE { replicas } else { ceiling(ratio, replicas) };
    let wanted = proposed.clamp(least, most);
    let (limited, reason, message) = match proposed {
        more if more > most => {
            (true, "TooManyReplicas", "the desired replica count is more than the maximum replica count")
        }
        less if less < least => {
            (true, "TooFewReplicas", "the desired replica count is less than the minimum replica count")
        }
        _ => (false, "DesiredWithinRange", "the desired count is within the acceptable range"),
    };
    note(world, after, "ScalingLimited", limited, reason, message);
    wanted
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "replicas are few")]
fn ceiling(ratio: f64, replicas: i64) -> i64 {
    (ratio * replicas as f64).ceil() as i64
}

/// The highest ratio of use to target over all metrics that can be had, and how the status tells it.
#[allow(clippy::cast_precision_loss, reason = "what pods use is far below what a double cannot tell apart")]
fn measured(world: &World, autoscaler: &Value, target: &Value) -> Option<(f64, Value)> {
    if world.play.metrics != MetricsApi::Present {
        return None;
    }
    let labels = Labels::of(target.pointer("/spec/selector"));
    let mut pods = world.within(&PODS, namespace(target));
    pods.retain(|pod| labels.fit(pod) && is_true(pod, "Ready"));
    let mut told = Vec::new();
    let mut highest: Option<f64> = None;
    for metric in
        items(autoscaler, "/spec/metrics").iter().filter(|metric| text(metric, "/type") == "Resource")
    {
        let resource = text(metric, "/resource/name");
        let (mut uses, mut asks) = (0.0, 0.0);
        for pod in &pods {
            let (cpu, memory) = used(world, pod);
            let each = if resource == "cpu" { cpu as f64 / 1_000.0 } else { memory as f64 };
            for container in items(pod, "/spec/containers") {
                uses += each;
                let request = container.pointer(&format!("/resources/requests/{resource}"));
                asks += request.and_then(quantity).unwrap_or_default();
            }
        }
        let aim = metric.pointer("/resource/target")?;
        let average = uses / (pods.len().max(1) as f64);
        let (ratio, utilization) = match text(aim, "/type") {
            "Utilization" if asks > 0.0 => {
                let percent = uses / asks * 100.0;
                (percent / count(aim, "/averageUtilization").max(1) as f64, Some(percent))
            }
            "AverageValue" => (average / quantity(&aim["averageValue"])?, None),
            _ => continue,
        };
        highest = Some(highest.map_or(ratio, |highest| highest.max(ratio)));
        let mut current = json!({ "averageValue": value(resource, average) });
        if let Some(percent) = utilization {
            current["averageUtilization"] = ceiling(percent.floor(), 1).into();
        }
        told.push(json!({ "type": "Resource", "resource": { "name": resource, "current": current } }));
    }
    highest.map(|highest| (highest, Value::Array(told)))
}

fn value(resource: &str, amount: f64) -> String {
    if resource == "cpu" {
        format!("{}m", ceiling(amount * 1_000.0, 1))
    } else {
        ceiling(amount, 1).to_string()
    }
}

fn note(world: &World, autoscaler: &mut Value, kind: &str, status: bool, reason: &str, message: &str) {
    set_condition(autoscaler, world.now, &Condition { kind, status, reason, message });
}
