//! `k8s.delete` of Jobs.

use super::*;

fn mk_job(name: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "namespace": "prod"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x:1"}]}}},
    })
}

#[tokio::test]
async fn a_job_is_deleted_once_and_never_its_successor() {
    let world = mk_world(&[mk_job("migrate")]).await;
    let draft = draft("k8s.delete", json!({"kind": "Job", "name": "migrate"}));
    let surveyed = world.survey(&draft).await;
    assert_eq!((surveyed.tier_floor, surveyed.inverse.is_none()), (Tier::T2, true));
    assert!(world.cluster.get("jobs", "prod", "migrate").is_some(), "a survey deletes nothing");
    applied(world.act(&surveyed.plan).await);
    let [write] = &world.effects()[..] else { panic!("one write") };
    assert_eq!(write.body["preconditions"]["uid"], surveyed.plan.params["uid"]);
    assert_eq!(write.body["propagationPolicy"], "Background");
    settle(&world.cluster);
    assert!(world.cluster.get("jobs", "prod", "migrate").is_none());
    applied(world.look_back(&surveyed.plan).await);
    world.cluster.put(mk_job("migrate")).expect("an object that is played");
    let reason = not_applied(world.act(&surveyed.plan).await);
    assert!(reason.contains("replaced by another of that name"), "{reason}");
    assert!(world.cluster.get("jobs", "prod", "migrate").is_some());
}

#[test]
fn nothing_but_jobs_can_be_deleted() {
    for kind in ["Deployment", "Secret", "Namespace", "PersistentVolumeClaim", "Pod"] {
        assert!(check("k8s.delete", json!({"kind": kind, "name": "x"})).is_err(), "{kind}");
    }
}
