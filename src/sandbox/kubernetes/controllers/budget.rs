//! Disruption budgets: how many pods are healthy, how many must be, and how many may go.

use serde_json::{Value, json};

use super::super::json::{count, is_deleting, is_true, name, namespace, set, stamp, text};
use super::super::resource::{self, BUDGETS, PODS};
use super::super::selector::Labels;
use super::super::store::World;

pub(super) fn sync(world: &mut World) {
    for budget in world.all(&BUDGETS) {
        write_status(world, &budget);
    }
}

fn write_status(world: &mut World, budget: &Value) {
    let selector = budget.pointer("/spec/selector");
    let mut pods = world.within(&PODS, namespace(budget));
    pods.retain(|pod| selector.is_some() && Labels::of(selector).fit(pod));
    pods.retain(|pod| !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed"));
    let healthy = pods.iter().filter(|pod| is_true(pod, "Ready") && !is_deleting(pod)).count();
    let healthy = i64::try_from(healthy).unwrap_or(i64::MAX);
    let there = i64::try_from(pods.len()).unwrap_or(i64::MAX);
    let (expected, needed) = wanted(world, budget, &pods, there);
    let allowed = if expected > 0 { (healthy - needed).max(0) } else { 0 };
    let mut after = budget.clone();
    let (status, reason) =
        if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let had = super::super::json::condition(budget, "DisruptionAllowed");
    let same = had.filter(|had| text(had, "/status") == status).map(|had| text(had, "/lastTransitionTime"));
    let since = same.map_or_else(|| stamp(world.now), str::to_owned);
    set(
        &mut after,
        "/status",
        json!({
            "currentHealthy": healthy,
            "desiredHealthy": needed,
            "disruptionsAllowed": allowed,
            "expectedPods": expected,
            "observedGeneration": count(budget, "/metadata/generation"),
            "conditions": [{
                "type": "DisruptionAllowed",
                "status": status,
                "reason": reason,
                "message": "",
                "observedGeneration": count(budget, "/metadata/generation"),
                "lastTransitionTime": since,
            }],
        }),
    );
    world.save(&BUDGETS, after);
}

/// How many pods there should be, and how many of them must be healthy.
fn wanted(world: &World, budget: &Value, pods: &[std::sync::Arc<Value>], there: i64) -> (i64, i64) {
    let most = budget.pointer("/spec/maxUnavailable").filter(|value| !value.is_null());
    if let Some(most) = most {
        let expected = scale_of(world, pods).unwrap_or(there);
        return (expected, (expected - share(most, expected)).max(0));
    }
    match budget.pointer("/spec/minAvailable") {
        Some(Value::Number(number)) => (there, number.as_i64().unwrap_or_default()),
        Some(part) => {
            let expected = scale_of(world, pods).unwrap_or(there);
            (expected, share(part, expected))
        }
        None => (there, 1),
    }
}

/// A number, or a share that is rounded up, of the pods.
fn share(value: &Value, of: i64) -> i64 {
    let percent = value.as_str().and_then(|words| words.trim_end_matches('%').parse::<i64>().ok());
    percent.map_or_else(|| value.as_i64().unwrap_or_default(), |percent| (of * percent + 99) / 100)
}

/// The replicas that the pods' owners ask for, each owner counted once.
fn scale_of(world: &World, pods: &[std::sync::Arc<Value>]) -> Option<i64> {
    let mut seen = Vec::new();
    let mut sum = 0;
    for pod in pods {
        let owner = controller_of(world, pod)?;
        let top = controller_of(world, &owner).unwrap_or(owner);
        let id = super::super::json::uid(&top).to_owned();
        if !seen.contains(&id) {
            seen.push(id);
            sum += count(&top, "/spec/replicas");
        }
    }
    (!seen.is_empty()).then_some(sum)
}

fn controller_of(world: &World, object: &Value) -> Option<std::sync::Arc<Value>> {
    let references = super::super::json::items(object, "/metadata/ownerReferences");
    let owner = references.iter().find(|owner| super::super::json::flag(owner, "/controller"))?;
    let resource = resource::of_kind(text(owner, "/apiVersion"), text(owner, "/kind"))?;
    world.find(resource, namespace(object), name(owner))
}
