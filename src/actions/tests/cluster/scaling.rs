//! `k8s.scale`, with and without an autoscaler.

use jiff::SignedDuration;

use super::*;

pub(super) fn mk_autoscaler(min: u32, max: u32) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "api-hpa", "namespace": "prod"},
        "spec": {
            "minReplicas": min, "maxReplicas": max,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}],
        },
    })
}

fn replicas(world: &World) -> Value {
    world.deployment()["spec"]["replicas"].clone()
}

#[tokio::test]
async fn replicas_are_set_to_an_absolute_number_and_back() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let surveyed = world.survey(&draft("k8s.scale", json!({"delta": 3, "max": 5, "ttl": "30m"}))).await;
    assert_eq!(surveyed.plan.summary, "scale Deployment prod/api from 3 to 5");
    assert_eq!(surveyed.plan.ttl, Some(SignedDuration::from_mins(30)));
    assert_eq!((surveyed.tier_floor, surveyed.impact.disrupted), (Tier::T1, 0));
    applied(world.act(&surveyed.plan).await);
    assert_eq!(replicas(&world), json!(5));
    let [write] = &world.effects()[..] else { panic!("one write") };
    assert_eq!(write.resource, "deployments/scale");
    assert_eq!(write.execution_id.as_deref(), Some(KEY));
    let back = surveyed.inverse.expect("a way back");
    assert_eq!(back.ttl, None);
    applied(world.act_as(&back, "01-a1-rollback").await);
    assert_eq!(replicas(&world), json!(3));
}

#[tokio::test]
async fn down_needs_an_approval_and_zero_needs_two() {
    let world = mk_world(&[mk_api("api:1"), mk_workload("StatefulSet", "redis", "redis:7")]).await;
    for (kind, name, params, tier, disrupted) in [
        ("Deployment", "api", json!({"replicas": 4}), Tier::T1, 0),
        ("Deployment", "api", json!({"replicas": 2}), Tier::T2, 1),
        ("Deployment", "api", json!({"delta": -9, "min": 1}), Tier::T2, 2),
        ("Deployment", "api", json!({"replicas": 0}), Tier::T3, 3),
        ("StatefulSet", "redis", json!({"replicas": 4}), Tier::T2, 0),
        ("StatefulSet", "redis", json!({"replicas": 2}), Tier::T3, 1),
    ] {
        let draft = draft_for("k8s.scale", params.clone(), Some(&mk_target(kind, name))).expect("a draft");
        let surveyed = world.survey(&draft).await;
        assert_eq!((surveyed.tier_floor, surveyed.impact.disrupted), (tier, disrupted), "{name} {params}");
    }
}

#[tokio::test]
async fn bounds_that_allow_no_step_leave_nothing_to_do() {
    let world = mk_world(&[mk_api("api:1")]).await;
    for params in [
        json!({"replicas": 3}),
        json!({"delta": 2, "max": 3}),
        json!({"delta": 2, "max": 2}),
        json!({"delta": -1, "min": 3}),
        json!({"delta": -1, "min": 5}),
    ] {
        let nothing = world.nothing(&draft("k8s.scale", params.clone())).await;
        assert!(nothing.contains("has 3 replicas already"), "{params}: {nothing}");
    }
}

#[tokio::test]
async fn an_autoscaler_is_respected_refused_or_given_a_higher_minimum() {
    let world = mk_world(&[mk_api("api:1"), mk_autoscaler(2, 6)]).await;
    let nothing = world.nothing(&draft("k8s.scale", json!({"replicas": 5}))).await;
    assert!(nothing.contains("HorizontalPodAutoscaler prod/api-hpa scales Deployment prod/api"), "{nothing}");
    let refusal = world.refusal(&draft("k8s.scale", json!({"replicas": 5, "hpa": "refuse"}))).await;
    assert!(refusal.contains("would not last"), "{refusal}");
    let surveyed = world.survey(&draft("k8s.scale", json!({"replicas": 9, "hpa": "raise_min"}))).await;
    assert_eq!(surveyed.plan.ttl, Some(SignedDuration::from_hours(1)), "raised for a while");
    assert!(surveyed.notes[0].contains("allows 6 replicas and not 9"), "{:?}", surveyed.notes);
    assert_eq!(surveyed.impact.objects, ["HorizontalPodAutoscaler/prod/api-hpa"], "that is what is written");
    applied(world.act(&surveyed.plan).await);
    let hpa = || world.cluster.get("horizontalpodautoscalers", "prod", "api-hpa").expect("it is there");
    assert_eq!(hpa()["spec"]["minReplicas"], json!(6));
    assert_eq!(hpa()["spec"]["metrics"].as_array().map(Vec::len), Some(1), "metrics are left alone");
    let [write] = &world.effects()[..] else { panic!("one write") };
    assert_eq!(
        (write.resource.as_str(), write.execution_id.as_deref()),
        ("horizontalpodautoscalers", Some(KEY))
    );
    let nothing = world.nothing(&draft("k8s.scale", json!({"replicas": 9, "hpa": "raise_min"}))).await;
    assert!(nothing.contains("keeps at least 6 replicas already"), "{nothing}");
    applied(world.act_as(&surveyed.inverse.expect("a way back"), "01-a1-rollback").await);
    assert_eq!(hpa()["spec"]["minReplicas"], json!(2));
}

#[tokio::test]
async fn a_number_that_a_person_set_since_is_not_overruled() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let surveyed = world.survey(&draft("k8s.scale", json!({"replicas": 5}))).await;
    world.change("deployments", "api", "/spec/replicas", json!(8));
    let reason = not_applied(world.act(&surveyed.plan).await);
    assert!(
        reason.contains("somebody changed spec.replicas") && reason.contains("it is 8, and was 3"),
        "{reason}"
    );
    let reason = not_applied(world.act_as(&surveyed.inverse.expect("a way back"), "01-a1-rollback").await);
    assert!(reason.contains("it is 8, and was 5"), "{reason}");
    assert_eq!((replicas(&world), world.effects().len()), (json!(8), 0));
}

#[test]
fn a_number_comes_from_one_place_and_stays_within_bounds() {
    for (params, place) in [
        (json!({}), ""),
        (json!({"replicas": 3, "delta": 1}), ""),
        (json!({"delta": 1}), "/delta"),
        (json!({"delta": 0, "max": 3}), "/delta"),
        (json!({"replicas": 9, "max": 5}), "/replicas"),
        (json!({"replicas": 0, "min": 1}), "/replicas"),
        (json!({"replicas": 3, "min": 6, "max": 5}), "/max"),
        (json!({"replicas": 5000}), "/replicas"),
        (json!({"replicas": 3, "ttl": "10s"}), "/ttl"),
        (json!({"replicas": 3, "ttl": "30d"}), "/ttl"),
        (json!({"replicas": 3, "kind": "DaemonSet"}), "/kind"),
        (json!({"replicas": 3, "namespace": "{{ labels.ns }}"}), "/namespace"),
    ] {
        let refused = check("k8s.scale", params.clone()).map_err(|error| error.pointer);
        assert_eq!(refused, Err(place.to_owned()), "{params}");
    }
}

/// A person sets the number by hand.
fn set_by_hand(world: &World, number: u32) {
    let mut object = world.deployment();
    object["spec"]["replicas"] = json!(number);
    let entries = object["metadata"]["managedFields"].as_array_mut().expect("a record");
    entries.retain(|entry| entry["fieldsV1"]["f:spec"]["f:replicas"].is_null());
    entries.push(json!({
        "manager": "kubectl", "operation": "Update", "subresource": "scale", "apiVersion": "apps/v1",
        "time": "2026-11-21T12:05:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }));
    world.cluster.put(object).expect("an object that is played");
}

#[tokio::test]
async fn a_number_that_a_person_set_back_after_a_crash_is_theirs() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let surveyed = world.survey(&draft("k8s.scale", json!({"replicas": 5, "ttl": "30m"}))).await;
    // The attempt arrived, the process was killed, and a person took it back meanwhile.
    applied(world.act(&surveyed.plan).await);
    set_by_hand(&world, 3);
    not_applied(world.look_back(&surveyed.plan).await);
    let reason = not_applied(world.act(&surveyed.plan).await);
    assert!(reason.contains("kubectl (scale) at 2026-11-21T12:05:00Z set the replicas"), "{reason}");
    assert_eq!((replicas(&world), world.effects().len()), (json!(3), 1));
    // Likewise for the way back: what somebody else has set is not ours to undo.
    let back = surveyed.inverse.expect("a way back");
    set_by_hand(&world, 5);
    let reason = not_applied(world.act_as(&back, "01-a1-rollback").await);
    assert!(reason.contains("and has the last word"), "{reason}");
    assert_eq!((replicas(&world), world.effects().len()), (json!(5), 1));
    // A new look sees who has set it, and plans over that.
    applied(world.act(&world.survey(&draft("k8s.scale", json!({"replicas": 4}))).await.plan).await);
}
