//! `k8s.apply` and `k8s.remove`: the objects of a stored manifest, put in place, taken away, and put back.

use super::*;
use crate::domain::manifest::STORED;

pub(super) fn mk_map() -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "maintenance", "labels": {"app": "shop"}},
        "data": {"enabled": "true", "page": "back soon"},
    })
}

fn mk_ingress() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "shop"},
        "spec": {"defaultBackend": {"service": {"name": "maintenance", "port": {"number": 80}}}},
    })
}

/// The ingress as people made it, before any maintenance.
fn mk_ingress_before() -> Value {
    let mut ingress = mk_ingress();
    ingress["metadata"]["namespace"] = json!("prod");
    ingress["metadata"]["annotations"] = json!({"team": "shop"});
    ingress["spec"]["defaultBackend"]["service"]["name"] = json!("shop");
    ingress
}

fn mk_netpol() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "closed"},
        "spec": {"podSelector": {"matchLabels": {"app": "shop"}}, "policyTypes": ["Ingress"]},
    })
}

fn mk_job() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": "prod"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x:1"}]}}},
    })
}

/// The draft of an action on a manifest with these objects, as the loader completes it.
pub(super) fn mk_draft(kind: &str, objects: &[Value], more: Value) -> ActionPlan {
    let mut params = json!({"manifest": "maintenance-mode", STORED: {"objects": objects}});
    params.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    draft(kind, params)
}

fn get(world: &World, plural: &str, name: &str) -> Option<Value> {
    world.cluster.get(plural, "prod", name)
}

/// A manifest that makes one object and changes another, put in place.
async fn mk_maintenance() -> (World, Surveyed) {
    let world = mk_world(&[mk_ingress_before()]).await;
    let draft = mk_draft("k8s.apply", &[mk_map(), mk_ingress()], json!({"ttl": "2h"}));
    let surveyed = world.survey(&draft).await;
    assert_eq!(world.effects(), [], "a survey changes nothing");
    applied(world.act(&surveyed.plan).await);
    (world, surveyed)
}

#[tokio::test]
async fn a_manifest_is_applied_object_by_object_and_taken_back() {
    let (world, surveyed) = mk_maintenance().await;
    assert_eq!((surveyed.tier_floor, surveyed.impact.workloads), (Tier::T2, 0));
    assert_eq!(surveyed.plan.target, "StoredManifest/prod/maintenance-mode");
    assert_eq!(surveyed.plan.ttl, Some(jiff::SignedDuration::from_hours(2)));
    assert_eq!(surveyed.impact.objects, ["ConfigMap/prod/maintenance", "Ingress/prod/shop"]);
    let summary = &surveyed.plan.summary;
    assert!(summary.ends_with("in prod: ConfigMap/maintenance (new), Ingress/shop (1 change)"), "{summary}");
    assert_eq!(surveyed.notes, ["spec.defaultBackend.service.name: shop → maintenance"]);
    let writes = world.effects();
    assert_eq!(writes.len(), 2);
    for write in &writes {
        assert_eq!(write.patch_type.as_deref(), Some("application/apply-patch+yaml"));
        assert_eq!(write.field_manager.as_deref(), Some("smokejumper"));
        assert_eq!(write.execution_id.as_deref(), Some(KEY));
        assert!(write.path.contains("maintenance") || write.path.contains("shop"));
    }
    let made = get(&world, "configmaps", "maintenance").expect("it was made");
    assert_eq!(made["metadata"]["annotations"]["smokejumper.dev/manifest"], "maintenance-mode");
    let changed = get(&world, "ingresses", "shop").expect("it is there");
    assert_eq!(changed["spec"]["defaultBackend"]["service"]["name"], "maintenance");
    assert_eq!(
        changed["metadata"]["annotations"]["smokejumper.dev/manifest"],
        Value::Null,
        "it was there before"
    );
    // The same once more finds that it was done.
    applied(world.act(&surveyed.plan).await);
    applied(world.look_back(&surveyed.plan).await);
    assert_eq!(world.effects().len(), 2);
    let nothing = world.nothing(&mk_draft("k8s.apply", &[mk_map(), mk_ingress()], json!({}))).await;
    assert!(nothing.contains("in place already"), "{nothing}");

    let back = surveyed.inverse.expect("a way back");
    assert_eq!(back.ttl, None);
    applied(world.act_as(&back, "01-a1-rollback").await);
    assert_eq!(get(&world, "configmaps", "maintenance"), None);
    let restored = get(&world, "ingresses", "shop").expect("it is there");
    assert_eq!(restored["spec"]["defaultBackend"]["service"]["name"], "shop");
    assert_eq!(restored["metadata"]["annotations"]["team"], "shop");
    // Once more: what was set back is not in our own way.
    let again = world.survey(&mk_draft("k8s.apply", &[mk_map(), mk_ingress()], json!({}))).await;
    applied(world.act_as(&again.plan, "02-a1-apply").await);
}

#[tokio::test]
async fn what_was_applied_is_removed_and_can_be_put_back() {
    let (world, _) = mk_maintenance().await;
    let before = get(&world, "configmaps", "maintenance").expect("it is there");
    let objects = [mk_map()];
    let surveyed = world.survey(&mk_draft("k8s.remove", &objects, json!({}))).await;
    assert_eq!(surveyed.tier_floor, Tier::T2, "we brought it: {:?}", surveyed.notes);
    assert_eq!(surveyed.plan.summary, "remove manifest maintenance-mode from prod: ConfigMap/maintenance");
    let done = world.effects().len();
    applied(world.act_as(&surveyed.plan, "02-a1-apply").await);
    let write = world.effects().pop().expect("a write");
    assert_eq!(
        (write.verb.as_str(), &write.body["preconditions"]["uid"]),
        ("delete", &before["metadata"]["uid"])
    );
    assert_eq!((world.effects().len(), get(&world, "configmaps", "maintenance")), (done + 1, None));
    applied(world.look_back(&surveyed.plan).await);
    let reason = not_applied(world.act_as(&surveyed.plan, "02-a1-apply").await);
    assert!(reason.contains("is so already"), "{reason}");
    assert!(
        world.nothing(&mk_draft("k8s.remove", &objects, json!({}))).await.contains("nothing of manifest")
    );

    applied(world.act_as(&surveyed.inverse.expect("a way back"), "02-a1-rollback").await);
    let after = get(&world, "configmaps", "maintenance").expect("it is there again");
    assert_eq!(
        (&after["data"], &after["metadata"]["labels"]),
        (&before["data"], &before["metadata"]["labels"])
    );
    let again = world.survey(&mk_draft("k8s.remove", &objects, json!({}))).await;
    assert_eq!(again.tier_floor, Tier::T2, "it is still known as ours");
}

#[tokio::test]
async fn removal_concerns_the_objects_that_the_manifest_names_and_no_others() {
    let mut others = mk_map();
    others["metadata"]["name"] = json!("another");
    others["metadata"]["namespace"] = json!("prod");
    let mut theirs = mk_map();
    theirs["metadata"]["namespace"] = json!("prod");
    let world = mk_world(&[others, theirs]).await;
    let surveyed = world.survey(&mk_draft("k8s.remove", &[mk_map()], json!({}))).await;
    assert_eq!(surveyed.tier_floor, Tier::T3);
    assert_eq!(surveyed.notes, ["maintenance: this manifest did not bring it"]);
    applied(world.act(&surveyed.plan).await);
    let [write] = &world.effects()[..] else { panic!("one write") };
    assert_eq!((write.resource.as_str(), write.name.as_str()), ("configmaps", "maintenance"));
    assert!(get(&world, "configmaps", "another").is_some());
}

#[tokio::test]
async fn a_manifest_that_takes_replicas_away_is_weighed_as_a_scale() {
    let sized = |replicas: u32| {
        let mut api = mk_api("api:1");
        api["spec"]["replicas"] = json!(replicas);
        api
    };
    for (replicas, floor, disrupted) in [(0, Tier::T3, 4), (1, Tier::T2, 3), (6, Tier::T2, 0)] {
        let world = mk_world(&[sized(4)]).await;
        let draft = mk_draft("k8s.apply", &[sized(replicas)], json!({}));
        let surveyed = world.survey(&draft).await;
        assert_eq!((surveyed.tier_floor, surveyed.impact.disrupted), (floor, disrupted), "{surveyed:?}");
    }
}

#[test]
fn a_job_is_not_applied_since_it_could_run_twice() {
    let of = |objects: &[Value]| json!({"manifest": "maintenance-mode", STORED: {"objects": objects}});
    let error = check("k8s.apply", of(&[mk_map(), mk_job()])).expect_err("it holds a Job");
    assert_eq!(error.pointer, "/manifest");
    assert!(error.message.contains("the Job once, which `k8s.job_run` runs"), "{}", error.message);
    assert!(check("k8s.remove", of(&[mk_map(), mk_job()])).is_ok());
    assert!(check("k8s.job_run", of(&[mk_job()])).is_ok());
}

#[tokio::test]
async fn a_job_that_an_earlier_version_drafted_is_not_applied() {
    let world = mk_world(&[mk_ingress_before()]).await;
    let mut draft = mk_draft("k8s.apply", &[mk_map()], json!({}));
    draft.params[STORED]["objects"] = json!([mk_map(), mk_job()]);
    let refusal = world.refusal(&draft).await;
    assert!(refusal.contains("which `k8s.job_run` runs"), "{refusal}");
}

#[tokio::test]
async fn a_job_that_an_earlier_version_made_and_that_was_collected_is_not_made_again() {
    let world = mk_world(&[mk_ingress_before()]).await;
    let mut plan = world.survey(&mk_draft("k8s.apply", &[mk_map()], json!({}))).await.plan;
    plan.params["parts"][0]["put"]["object"] = mk_job();
    let reason = not_applied(world.act(&plan).await);
    assert!(reason.contains("Job prod/once may have run already"), "{reason}");
    assert_eq!(world.effects(), []);
}

#[tokio::test]
async fn what_cannot_be_put_back_as_it_was_has_no_way_back() {
    let job = mk_job();
    let mut secret = mk_map();
    secret["metadata"]["namespace"] = json!("prod");
    secret["data"]["page"] = json!(SECRET);
    let world = mk_world(&[job.clone(), secret]).await;
    for (object, said) in [(job, "it would run again"), (mk_map(), "holds a secret")] {
        let surveyed = world.survey(&mk_draft("k8s.remove", &[object], json!({}))).await;
        assert!(surveyed.inverse.is_none());
        assert!(surveyed.notes.iter().any(|note| note.contains(said)), "{:?}", surveyed.notes);
        assert!(!format!("{surveyed:?}").contains(SECRET));
    }
    let mut api = mk_api("api:1");
    api["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "DB_PASSWORD", "value": "hunter2"}]);
    let full = mk_world(&[api]).await;
    let surveyed = full.survey(&mk_draft("k8s.remove", &[mk_api("api:1")], json!({}))).await;
    assert!(surveyed.inverse.is_none() && !format!("{surveyed:?}").contains("hunter2"), "{surveyed:?}");
    let mut secret = mk_map();
    secret["data"]["token"] = json!(SECRET);
    let refusal = world.refusal(&mk_draft("k8s.apply", &[secret], json!({}))).await;
    assert!(refusal.contains("holds a secret") && !refusal.contains(SECRET), "{refusal}");
}

#[tokio::test]
async fn fields_of_others_are_left_to_them_unless_the_rule_says_force() {
    let mut theirs = mk_map();
    theirs["metadata"]["namespace"] = json!("prod");
    theirs["data"]["enabled"] = json!("false");
    theirs["metadata"]["managedFields"] = json!([{
        "manager": "argocd-controller", "operation": "Apply", "apiVersion": "v1", "time": "2026-11-21T11:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:enabled": {}}},
    }]);
    let world = mk_world(&[theirs]).await;
    let refusal = world.refusal(&mk_draft("k8s.apply", &[mk_map()], json!({}))).await;
    assert!(refusal.contains("others manage fields that it would set (409)"), "{refusal}");
    assert!(refusal.contains("argocd-controller") && refusal.contains(".data.enabled"), "{refusal}");
    let surveyed = world.survey(&mk_draft("k8s.apply", &[mk_map()], json!({"force": true}))).await;
    assert_eq!(surveyed.tier_floor, Tier::T3);
    assert!(surveyed.notes[0].contains("by force"), "{:?}", surveyed.notes);
    applied(world.act(&surveyed.plan).await);
    let [write] = &world.effects()[..] else { panic!("one write") };
    assert!(get(&world, "configmaps", "maintenance").expect("it")["data"]["enabled"] == "true");
    assert_eq!(write.execution_id.as_deref(), Some(KEY));
}

#[tokio::test]
async fn owners_and_reach_raise_the_tier() {
    let mut helm = mk_ingress_before();
    helm["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm"});
    let world = mk_world(&[helm]).await;
    for (kind, objects, more, tier) in [
        ("k8s.apply", vec![mk_ingress()], json!({}), Tier::T3),
        ("k8s.remove", vec![mk_ingress()], json!({}), Tier::T3),
        ("k8s.apply", vec![mk_map()], json!({}), Tier::T2),
        ("k8s.apply", vec![mk_map(), mk_netpol()], json!({}), Tier::T3),
        ("k8s.apply", vec![mk_map()], json!({STORED: {"tier": "T3", "objects": [mk_map()]}}), Tier::T3),
    ] {
        let surveyed = world.survey(&mk_draft(kind, &objects, more)).await;
        assert_eq!(surveyed.tier_floor, tier, "{kind} {objects:?}: {:?}", surveyed.notes);
    }
    let surveyed = world.survey(&mk_draft("k8s.apply", &[mk_ingress()], json!({}))).await;
    assert!(surveyed.notes.iter().any(|note| note.contains("owned by Helm")), "{:?}", surveyed.notes);
}

#[tokio::test]
async fn a_workload_of_a_manifest_counts_with_what_its_rollout_takes() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let mut object = mk_api("api:2");
    object["metadata"] = json!({"name": "api"});
    let surveyed = world.survey(&mk_draft("k8s.apply", &[object.clone()], json!({}))).await;
    let impact = &surveyed.impact;
    assert_eq!(
        (impact.kind.as_str(), impact.workloads, impact.replicas, impact.available),
        ("Deployment", 1, 3, 3)
    );
    assert_eq!(surveyed.notes, ["spec.template.spec.containers[api].image: api:1 → api:2"]);
    let removal = world.survey(&mk_draft("k8s.remove", &[object.clone()], json!({}))).await;
    assert_eq!((removal.impact.disrupted, removal.tier_floor), (3, Tier::T3));
    world.change("deployments", "api", "/spec", {
        let mut spec = world.deployment()["spec"].clone();
        spec["paused"] = json!(true);
        spec
    });
    let refusal = world.refusal(&mk_draft("k8s.apply", &[object], json!({}))).await;
    assert!(refusal.contains("is paused"), "{refusal}");
}

#[tokio::test]
async fn nothing_is_done_where_one_object_is_not_as_it_was() {
    let (world, surveyed) = mk_maintenance().await;
    let done = world.effects().len();
    // A person goes on where we left: neither forward nor back is it overwritten.
    world.change("ingresses", "shop", "/spec/defaultBackend/service/name", json!("status-page"));
    let back = surveyed.inverse.expect("a way back");
    let reason = not_applied(world.act_as(&back, "01-a1-rollback").await);
    assert!(
        reason.contains("somebody changed spec.defaultBackend.service.name of Ingress prod/shop"),
        "{reason}"
    );
    assert!(get(&world, "configmaps", "maintenance").is_some(), "not even the other object is touched");
    let removal = world.survey(&mk_draft("k8s.remove", &[mk_map()], json!({}))).await.plan;
    world.change("configmaps", "maintenance", "/data/page", json!("tomorrow"));
    let reason = not_applied(world.act_as(&removal, "02-a1-apply").await);
    assert!(reason.contains("somebody changed ConfigMap prod/maintenance"), "{reason}");

    let plan = world.survey(&mk_draft("k8s.apply", &[mk_netpol()], json!({}))).await.plan;
    let mut theirs = mk_netpol();
    theirs["metadata"]["namespace"] = json!("prod");
    world.cluster.put(theirs).expect("an object that is played");
    let reason = not_applied(world.act_as(&plan, "03-a1-apply").await);
    assert!(reason.contains("somebody made NetworkPolicy prod/closed"), "{reason}");
    assert_eq!(world.effects().len(), done);
}

#[tokio::test]
async fn an_object_under_an_old_name_is_not_taken_for_the_one_that_was_brought() {
    let (world, surveyed) = mk_maintenance().await;
    world.cluster.remove("configmaps", "prod", "maintenance");
    let mut theirs = mk_map();
    theirs["metadata"]["namespace"] = json!("prod");
    world.cluster.put(theirs).expect("an object that is played");
    let back = surveyed.inverse.expect("a way back");
    let reason = not_applied(world.act_as(&back, "01-a1-rollback").await);
    assert!(reason.contains("is not the one that this manifest brought"), "{reason}");
    // Neither is the one that somebody else edits by now.
    let mut edited = mk_map();
    edited["metadata"]["namespace"] = json!("prod");
    edited["metadata"]["annotations"] = json!({"smokejumper.dev/manifest": "maintenance-mode"});
    edited["metadata"]["managedFields"] = json!([{
        "manager": "kubectl-edit", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:page": {}}},
    }]);
    world.cluster.put(edited).expect("an object that is played");
    let reason = not_applied(world.act_as(&back, "01-a1-rollback").await);
    assert!(reason.contains("somebody changed ConfigMap prod/maintenance"), "{reason}");
    assert!(get(&world, "configmaps", "maintenance").is_some());
}

#[tokio::test]
async fn what_a_person_took_back_by_hand_is_noticed_and_not_taken_back_again() {
    let (world, surveyed) = mk_maintenance().await;
    let back = surveyed.inverse.expect("a way back");
    assert_eq!(world.actions.is_so(&back).await, None);
    world.cluster.remove("configmaps", "prod", "maintenance");
    assert_eq!(world.actions.is_so(&back).await, None, "one of both still stands");
    world.change("ingresses", "shop", "/spec/defaultBackend/service/name", json!("shop"));
    let so = world.actions.is_so(&back).await.expect("it is so");
    assert_eq!(so, "Ingress/prod/shop, ConfigMap/prod/maintenance: it is so already");
    assert_eq!(world.actions.is_so(&surveyed.plan).await, None, "a plan is no way back");
    let done = world.effects().len();
    let outcome = world.act_as(&back, "01-a1-rollback").await;
    assert_eq!(outcome, ActionOutcome::AlreadySo { detail: so });
    assert_eq!(world.effects().len(), done);
}

#[tokio::test]
async fn half_of_a_manifest_is_told_as_half() {
    let world = mk_world(&[mk_ingress_before()]).await;
    let plan = world.survey(&mk_draft("k8s.apply", &[mk_map(), mk_ingress()], json!({}))).await.plan;
    world.cluster.faults().next("patch ingresses", Fault::vendor_error("Forbidden"));
    let ActionOutcome::Unknown { reason } = world.act(&plan).await else {
        panic!("neither done nor not done")
    };
    assert!(
        reason.starts_with("1 of 2 objects are done: ConfigMap prod/maintenance: put in place"),
        "{reason}"
    );
    assert!(
        reason.contains("not done: patch ingresses.networking.k8s.io prod/shop: not permitted (403)"),
        "{reason}"
    );
    let ActionOutcome::Unknown { reason } = world.look_back(&plan).await else { panic!("still half") };
    assert!(reason.contains("1 of 2") && reason.contains("Ingress prod/shop does not show it"), "{reason}");
    // The same attempt again does the other half, and nothing twice.
    applied(world.act(&plan).await);
    assert_eq!(world.effects().len(), 2);
}

#[test]
fn a_rule_names_a_manifest_and_nothing_of_it() {
    let stored = |object: Value| json!({"manifest": "m", STORED: {"objects": [object]}});
    let mut elsewhere = stored(mk_map());
    elsewhere[STORED]["objects"][0]["metadata"]["namespace"] = json!("shop");
    elsewhere["namespace"] = json!("prod");
    let mut secret = mk_map();
    secret["kind"] = json!("Secret");
    for (params, place) in [
        (json!({}), ""),
        (json!({"manifest": ""}), "/manifest"),
        (json!({"manifest": "{{ labels.manifest }}"}), "/manifest"),
        (json!({"manifest": "m", "namespace": "{{ labels.namespace }}"}), "/namespace"),
        (json!({"manifest": "m", "ttl": "1s"}), "/ttl"),
        (stored(secret), "/stored/objects/0/kind"),
        (elsewhere, "/namespace"),
    ] {
        let refused = check("k8s.apply", params.clone()).map_err(|error| error.pointer);
        assert_eq!(refused, Err(place.to_owned()), "{params}");
    }
    let mut named = stored(mk_map());
    named[STORED]["objects"][0]["metadata"]["name"] = json!("{{ labels.service }}-off");
    assert!(check("k8s.apply", named.clone()).is_ok(), "a template before it is rendered");
    let target = mk_target("Deployment", "api");
    let refused = draft_for("k8s.apply", named, Some(&target)).expect_err("it was never rendered");
    assert_eq!(refused.pointer, "/stored/objects/0/metadata/name");
    let refused = draft_for("k8s.apply", json!({"manifest": "m"}), Some(&target)).expect_err("no manifest");
    assert!(refused.message.contains("no stored manifest `m`"), "{refused}");
    let system = Target { namespace: "kube-system".to_owned(), ..target };
    let refused = draft_for("k8s.apply", stored(mk_map()), Some(&system)).expect_err("the cluster's own");
    assert!(refused.message.contains("a namespace of the cluster itself"), "{refused}");
}

#[test]
fn permissions_are_those_on_the_objects_by_their_names() {
    let kind = |name: &str| kinds().into_iter().find(|kind| kind.name == name).expect("a kind");
    let mut named = mk_map();
    named["metadata"]["name"] = json!("{{ labels.service }}-off");
    let params = json!({"manifest": "m", "namespace": "shop", STORED: {"objects": [mk_ingress(), named]}});
    for name in ["k8s.apply", "k8s.remove"] {
        let needs: Vec<String> = (kind(name).access)(&params, None).iter().map(ToString::to_string).collect();
        assert_eq!(
            needs,
            [
                "get, create, patch, delete ingresses.networking.k8s.io `shop` in namespace shop",
                "get, create, patch, delete configmaps in namespace shop",
            ],
            "{name}"
        );
    }
    assert!((kind("k8s.apply").access)(&json!({"manifest": "m"}), None).is_empty());
}

#[test]
fn every_kind_that_a_manifest_may_hold_is_one_that_we_know() {
    for (version, kind) in crate::domain::manifest::KINDS {
        let known = crate::clients::kubernetes::Resource::of_manifest(version, kind);
        assert!(known.is_some_and(|resource| resource.namespaced), "{kind} of {version}");
    }
}

#[tokio::test]
async fn what_was_not_tried_is_told_as_well() {
    let world = mk_world(&[mk_ingress_before()]).await;
    let plan =
        world.survey(&mk_draft("k8s.apply", &[mk_map(), mk_ingress(), mk_netpol()], json!({}))).await.plan;
    world.cluster.faults().next("patch ingresses", Fault::vendor_error("Forbidden"));
    let ActionOutcome::Unknown { reason } = world.act(&plan).await else { panic!("half") };
    assert!(reason.ends_with("; not tried: NetworkPolicy prod/closed"), "{reason}");
}

#[tokio::test]
async fn what_passes_is_told_from_what_does_not_for_several_objects() {
    let world = mk_world(&[mk_ingress_before()]).await;
    let surveyed = world.survey(&mk_draft("k8s.apply", &[mk_map(), mk_ingress()], json!({}))).await;
    let passes = |outcome: &ActionOutcome| matches!(outcome, ActionOutcome::NotNow { .. });
    world.cluster.faults().next("get configmaps", Fault::rate_limited(7));
    let outcome = world.act(&surveyed.plan).await;
    let asked = jiff::SignedDuration::from_secs(7);
    assert!(
        matches!(&outcome, ActionOutcome::NotNow { wait: Some(wait), .. } if *wait == asked),
        "{outcome:?}"
    );
    world.cluster.faults().next("patch configmaps", Fault::rate_limited(7));
    assert!(passes(&world.act(&surveyed.plan).await));
    world.cluster.faults().next("patch configmaps", Fault::vendor_error("Forbidden"));
    assert!(!passes(&world.act(&surveyed.plan).await));
    // Half of a remedy is for people, half of its way back is gone to its end.
    world.cluster.faults().next("patch ingresses", Fault::rate_limited(7));
    assert!(matches!(world.act(&surveyed.plan).await, ActionOutcome::Unknown { .. }));
    applied(world.act(&surveyed.plan).await);
    let back = surveyed.inverse.expect("a way back");
    world.cluster.faults().next("delete configmaps", Fault::rate_limited(7));
    let outcome = world.act_as(&back, "01-a1-rollback").await;
    assert!(passes(&outcome) && format!("{outcome:?}").contains("1 of 2 objects are done"), "{outcome:?}");
    applied(world.act_as(&back, "01-a1-rollback").await);
    assert_eq!(get(&world, "configmaps", "maintenance"), None);
}

#[tokio::test]
async fn replicas_beside_an_autoscaler_are_refused() {
    let mut api = mk_api("api:1");
    api["spec"]["replicas"] = json!(4);
    let stored = |object: &Value| {
        let mut object = object.clone();
        object["metadata"].as_object_mut().expect("an object").remove("namespace");
        object
    };
    let autoscaler = super::scaling::mk_autoscaler(2, 6);
    let world = mk_world(&[mk_api("api:1"), autoscaler.clone()]).await;
    let refusal = world.refusal(&mk_draft("k8s.apply", &[stored(&api)], json!({"force": true}))).await;
    assert!(
        refusal.starts_with(
            "HorizontalPodAutoscaler prod/api-hpa scales Deployment prod/api: leave `spec.replicas`"
        ),
        "{refusal}"
    );
    // Without a number it is applied.
    let mut without = stored(&api);
    without["spec"].as_object_mut().expect("an object").remove("replicas");
    without["metadata"]["labels"] = json!({"tier": "web"});
    world.survey(&mk_draft("k8s.apply", &[without], json!({}))).await;
    // The same for what the manifest itself would make.
    let world = mk_world(&[mk_ingress_before()]).await;
    let refusal =
        world.refusal(&mk_draft("k8s.apply", &[stored(&api), stored(&autoscaler)], json!({}))).await;
    assert!(refusal.contains("api-hpa of the same manifest scales Deployment prod/api"), "{refusal}");
    let kind = kinds().into_iter().find(|kind| kind.name == "k8s.apply").expect("a kind");
    let needs = |objects: &[Value]| -> String {
        let params = json!({"manifest": "m", "namespace": "shop", STORED: {"objects": objects}});
        (kind.access)(&params, None).iter().map(|need| format!("{need}; ")).collect()
    };
    assert!(needs(&[stored(&api)]).contains("list horizontalpodautoscalers.autoscaling in namespace shop"));
    assert!(!needs(&[mk_map()]).contains("autoscalers"));
}

#[tokio::test]
async fn the_mark_of_another_write_of_ours_is_not_in_the_way() {
    let mut before = mk_map();
    before["metadata"]["namespace"] = json!("prod");
    before["data"]["enabled"] = json!("false");
    let world = mk_world(&[before]).await;
    let surveyed = world.survey(&mk_draft("k8s.apply", &[mk_map()], json!({"ttl": "2h"}))).await;
    applied(world.act(&surveyed.plan).await);
    // A patch marks the same object, under our name and yet as another manager.
    let patch = json!({"metadata": {"annotations": {"note": "hi"}}});
    let patch = json!({
        "kind": "ConfigMap", "name": "maintenance",
        "allowed_paths": ["/metadata/annotations/note"], "patch": patch,
    });
    let patch = world.survey(&draft("k8s.patch", patch)).await.plan;
    applied(world.act_as(&patch, "02-a1-apply").await);
    applied(world.act_as(&surveyed.inverse.expect("a way back"), "01-a1-rollback").await);
    let map = get(&world, "configmaps", "maintenance").expect("it is there");
    assert_eq!(
        (&map["data"]["enabled"], &map["metadata"]["annotations"]["note"]),
        (&json!("false"), &json!("hi"))
    );
    assert_eq!(map["metadata"]["annotations"]["smokejumper.dev/execution-id"], "01-a1-rollback");
}

#[tokio::test]
async fn a_lower_bound_above_takes_replicas_away_whichever_action_sets_it() {
    let mut autoscaler = super::scaling::mk_autoscaler(2, 6);
    autoscaler["status"] = json!({"currentReplicas": 5, "desiredReplicas": 5});
    let world = mk_world(&[autoscaler.clone()]).await;
    world.change(
        "horizontalpodautoscalers",
        "api-hpa",
        "/status",
        json!({"currentReplicas": 5, "desiredReplicas": 5}),
    );
    let mut stored = autoscaler;
    stored["metadata"] = json!({"name": "api-hpa"});
    stored["spec"]["maxReplicas"] = json!(3);
    stored.as_object_mut().expect("an object").remove("status");
    let named = json!({"kind": "HorizontalPodAutoscaler", "name": "api-hpa"});
    let with = |more: Value| {
        let mut params = named.clone();
        params.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        params
    };
    let patch = with(json!({"allowed_paths": ["/spec/maxReplicas"], "patch": {"spec": {"maxReplicas": 3}}}));
    for draft in [
        draft("k8s.hpa_patch", with(json!({"max": 3}))),
        draft("k8s.patch", patch),
        mk_draft("k8s.apply", &[stored], json!({"force": true})),
    ] {
        let impact = world.survey(&draft).await.impact;
        let weighed = (impact.workloads, impact.replicas, impact.available, impact.disrupted);
        assert_eq!(weighed, (1, 5, 5, 2), "{}", draft.kind);
    }
}
