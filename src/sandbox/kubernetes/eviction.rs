//! Evictions: a deletion that asks the disruption budgets first.

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Value, json};

use super::body;
use super::change;
use super::handle::Incoming;
use super::json::{count, is_deleting, is_true, name, namespace, set, text};
use super::resource::{BUDGETS, PODS};
use super::selector::Labels;
use super::status::{Refusal, answer as reply};
use super::store::World;
use super::verbs::{deletion, find};

/// Answers an eviction.
pub(super) fn evict(world: &mut World, incoming: &Incoming) -> Result<Response, Refusal> {
    let asked = &incoming.asked;
    let eviction = body::read(&incoming.body)?;
    let said = name(&eviction);
    if !said.is_empty() && said != asked.name {
        let message = format!("name in URL does not match name in Eviction object: {} != {said}", asked.name);
        return Err(Refusal::bad_request(message));
    }
    let pod = find(world, &PODS, asked)?;
    let mut deletion = deletion(asked, &eviction["deleteOptions"]);
    deletion.dry_run |= asked.is_dry_run();
    let ended = matches!(text(&pod, "/status/phase"), "Succeeded" | "Failed" | "Pending");
    if !ended && !is_deleting(&pod) {
        let budgets = budgets_of(world, &pod);
        if budgets.len() > 1 {
            return Ok(too_many_budgets());
        }
        if let Some(budget) = budgets.first() {
            spend(world, budget, &pod, deletion.dry_run)?;
        }
    }
    change::delete(world, &PODS, &pod, &deletion)?;
    let done =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(reply(201, &done))
}

/// The real server answers this with HTTP 201 and a `Status` that says 500: its handler takes it for a result.
fn too_many_budgets() -> Response {
    let message =
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    reply(201, &Refusal::new(500, "", message).status())
}

fn budgets_of(world: &World, pod: &Value) -> Vec<Arc<Value>> {
    let mut budgets = world.within(&BUDGETS, namespace(pod));
    // A budget without a selector means nothing, and one with an empty selector everything.
    budgets.retain(|budget| {
        let selector = budget.pointer("/spec/selector");
        selector.is_some_and(|selector| !selector.is_null()) && Labels::of(selector).fit(pod)
    });
    budgets
}

/// Takes one disruption off the budget.
fn spend(world: &mut World, budget: &Arc<Value>, pod: &Value, dry_run: bool) -> Result<(), Refusal> {
    let (healthy, needed) =
        (count(budget, "/status/currentHealthy"), count(budget, "/status/desiredHealthy"));
    if !is_true(pod, "Ready") {
        let always = text(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow";
        if always || (healthy >= needed && needed > 0) {
            return Ok(());
        }
    }
    if count(budget, "/status/observedGeneration") < count(budget, "/metadata/generation") {
        let mut refusal = Refusal::disruption_budget(name(budget), needed, healthy);
        refusal.message = "Cannot evict pod as it would violate the pod's disruption budget.".into();
        refusal.details = json!({
            "causes": [{
                "reason": "DisruptionBudget",
                "message": format!("The disruption budget {} is still being processed by the server.", name(budget)),
            }],
            "retryAfterSeconds": 10,
        });
        refusal.retry_after_seconds = Some(10);
        return Err(refusal);
    }
    let allowed = count(budget, "/status/disruptionsAllowed");
    if allowed < 1 {
        return Err(Refusal::disruption_budget(name(budget), needed, healthy));
    }
    if !dry_run {
        let mut after = Value::clone(budget);
        set(&mut after, "/status/disruptionsAllowed", allowed - 1);
        let pointer = format!("/status/disruptedPods/{}", super::json::token(name(pod)));
        set(&mut after, &pointer, super::json::stamp(world.now));
        world.save(&BUDGETS, after);
    }
    Ok(())
}
