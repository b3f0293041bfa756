//! `k8s.delete` of Jobs, `k8s.job_run`, and `k8s.exec`.

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

fn mk_cronjob(policy: &str) -> Value {
    let job = json!({"spec": {"template": {"spec": {
        "restartPolicy": "Never",
        "containers": [{"name": "c", "image": "backup:1", "args": ["full"]}],
    }}}});
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": "backup", "namespace": "prod"},
        "spec": {"schedule": "0 2 * * *", "concurrencyPolicy": policy, "jobTemplate": job},
        "status": {},
    })
}

fn mk_run(params: Value) -> ActionPlan {
    let mut all = json!({"name": "backup", "timeout": "1s"});
    all.as_object_mut().expect("an object").extend(params.as_object().expect("an object").clone());
    draft("k8s.job_run", all)
}

/// The Job that was made, ended as a condition says.
fn end(world: &World, condition: &str, message: &str) {
    let mut job = world.cluster.list("jobs", "prod").pop().expect("a Job");
    job["status"]["conditions"] = json!([{"type": condition, "status": "True", "message": message}]);
    world.cluster.put(job).expect("an object that is played");
}

#[tokio::test]
async fn a_job_is_made_once_from_its_cron_job_and_looked_at() {
    let world = mk_world(&[mk_cronjob("Allow")]).await;
    let surveyed = world.survey(&mk_run(json!({"args": ["quick"]}))).await;
    assert_eq!((surveyed.tier_floor, world.effects()), (Tier::T1, vec![]));
    let detail = applied(world.act(&surveyed.plan).await);
    assert!(detail.contains("still runs"), "{detail}");
    let jobs = world.cluster.list("jobs", "prod");
    let [job] = &jobs[..] else { panic!("one Job") };
    assert_eq!(job["metadata"]["annotations"]["smokejumper.dev/execution-id"], KEY);
    assert_eq!(job["metadata"]["ownerReferences"][0]["name"], "backup");
    assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["args"], json!(["quick"]));
    // A second attempt finds the Job of the first.
    end(&world, "Complete", "");
    assert!(applied(world.act(&surveyed.plan).await).contains("is complete"));
    assert!(applied(world.look_back(&surveyed.plan).await).contains("is complete"));
    end(&world, "Failed", "BackoffLimitExceeded");
    let reason = not_applied(world.act(&surveyed.plan).await);
    assert!(reason.contains("ran and failed: BackoffLimitExceeded"), "{reason}");
    assert_eq!(world.effects().len(), 1);
}

#[tokio::test]
async fn a_job_whose_making_was_lost_is_found() {
    let world = mk_world(&[mk_cronjob("Allow")]).await;
    let plan = world.survey(&mk_run(json!({}))).await.plan;
    world.cluster.faults().next("create jobs", Fault::dropped());
    assert!(matches!(world.act(&plan).await, ActionOutcome::Unknown { .. }));
    not_applied(world.look_back(&plan).await);
    world.cluster.faults().next("create jobs", Fault::dropped().after_effect());
    applied(world.act(&plan).await);
    assert_eq!(world.effects().len(), 1);
}

#[tokio::test]
async fn a_cron_job_that_forbids_a_second_run_or_was_changed_is_left_alone() {
    let mut busy = mk_cronjob("Forbid");
    busy["status"]["active"] = json!([{"kind": "Job", "name": "backup-1"}]);
    let world = mk_world(&[busy]).await;
    world.change("cronjobs", "backup", "/status", json!({"active": [{"kind": "Job", "name": "backup-1"}]}));
    assert!(world.refusal(&mk_run(json!({}))).await.contains("forbids a second"));
    let world = mk_world(&[mk_cronjob("Allow")]).await;
    let plan = world.survey(&mk_run(json!({}))).await.plan;
    let image = "/spec/jobTemplate/spec/template/spec/containers/0/image";
    world.change("cronjobs", "backup", image, json!("backup:2"));
    let reason = not_applied(world.act(&plan).await);
    assert!(reason.contains("somebody changed CronJob prod/backup"), "{reason}");
    assert_eq!(world.effects(), []);
    assert!(check("k8s.job_run", json!({"name": "backup", "args": ["{{ labels.x }}"]})).is_err());
    assert!(check("k8s.job_run", json!({"name": "backup", "timeout": "10m"})).is_err());
}

#[tokio::test]
async fn a_command_is_one_of_the_settings_and_the_plan_holds_its_arguments() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let surveyed = world.survey(&draft("k8s.exec", json!({"command": "greet"}))).await;
    assert_eq!(
        (surveyed.tier_floor, surveyed.plan.params["argv"].clone()),
        (Tier::T2, json!(["echo", "hello"]))
    );
    assert_eq!(surveyed.plan.repeatability, crate::domain::action::Repeatability::AtMostOnce);
    assert!(surveyed.plan.summary.starts_with("run `echo hello` in prod/api-"), "{}", surveyed.plan.summary);
    let refusal = world.refusal(&draft("k8s.exec", json!({"command": "rm"}))).await;
    assert!(refusal.contains("no command `rm` under `kubernetes.commands`"), "{refusal}");
    let mut other = surveyed.plan.clone();
    other.params["argv"] = json!(["rm", "-rf", "/"]);
    let reason = not_applied(world.act(&other).await);
    assert!(reason.contains("other arguments"), "{reason}");
    let mut gone = surveyed.plan.clone();
    gone.params["uid"] = json!("another");
    assert!(not_applied(world.act(&gone).await).contains("replaced by another"));
    assert!(check("k8s.exec", json!({"command": "{{ labels.command }}"})).is_err());
    assert!(matches!(world.look_back(&surveyed.plan).await, ActionOutcome::Unknown { .. }));
}
