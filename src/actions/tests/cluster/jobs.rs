//! `k8s.delete` of Jobs, `k8s.job_run`, and `k8s.exec`.

use super::*;
use crate::domain::manifest::STORED;
use crate::sandbox::kubernetes::behaviour::Behaviour;
use crate::sandbox::kubernetes::exec::ExecAnswer;

pub(super) fn mk_job(name: &str) -> Value {
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

pub(super) fn mk_cronjob(policy: &str) -> Value {
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
    assert_eq!(job["metadata"]["ownerReferences"], Value::Null, "the CronJob would collect it");
    assert_eq!(job["spec"]["ttlSecondsAfterFinished"], 86_400);
    assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["args"], json!(["quick"]));
    // A second attempt finds the Job of the first.
    end(&world, "Complete", "");
    assert!(applied(world.act(&surveyed.plan).await).contains("is complete"));
    assert!(applied(world.look_back(&surveyed.plan).await).contains("is complete"));
    end(&world, "Failed", "");
    for outcome in [world.act(&surveyed.plan).await, world.look_back(&surveyed.plan).await] {
        assert!(failed(outcome).contains("ran and failed"), "whoever looks sees the same");
    }
    assert_eq!(world.effects().len(), 1);
}

#[tokio::test]
async fn a_job_that_ran_and_failed_says_why_and_what_it_said_last() {
    let lines = ["restoring", &"x".repeat(3_000), "no space left on device"];
    let limits = [
        ("backoffLimit", "exit code=3", "BackoffLimitExceeded: Job has reached the specified backoff limit"),
        ("activeDeadlineSeconds", "ready", "DeadlineExceeded: Job was active longer than specified deadline"),
    ];
    for (limit, fate, why) in limits {
        let mut cronjob = mk_cronjob("Allow");
        let spec = &mut cronjob["spec"]["jobTemplate"]["spec"];
        spec[limit] = json!(if limit == "backoffLimit" { 0 } else { 2 });
        let containers = json!([{"name": "c", "image": "backup:1"}, {"name": "sidecar", "image": "log:1"}]);
        spec["template"]["spec"]["containers"] = containers;
        let world = mk_world(&[cronjob]).await;
        world.cluster.behave("backup:1", Behaviour::read(fate).expect("a fate").saying(&lines));
        world.cluster.behave("log:1", Behaviour::read("exit code=0").expect("a fate"));
        let plan = world.survey(&mk_run(json!({}))).await.plan;
        applied(world.act(&plan).await);
        settle(&world.cluster);
        let reason = failed(world.look_back(&plan).await);
        assert!(reason.contains(&format!("ran and failed ({why})")), "{reason}");
        if limit == "backoffLimit" {
            assert!(reason.ends_with("no space left on device"), "the end of its log is shown: {reason}");
        }
    }
}

#[tokio::test]
async fn what_a_job_and_a_command_say_is_redacted_before_it_is_cut() {
    let mut cronjob = mk_cronjob("Allow");
    cronjob["spec"]["jobTemplate"]["spec"]["backoffLimit"] = json!(0);
    let world = mk_world(&[cronjob, mk_api("api:1")]).await;
    let printed = format!("PASSWORD={}", "hunter2".repeat(400));
    let fate = Behaviour::read("exit code=3").expect("a fate");
    world.cluster.behave("backup:1", fate.saying(&[&printed, "no space left on device"]));
    let plan = world.survey(&mk_run(json!({}))).await.plan;
    applied(world.act(&plan).await);
    settle(&world.cluster);
    let reason = failed(world.look_back(&plan).await);
    assert!(reason.ends_with("PASSWORD=[redacted]\nno space left on device"), "{reason}");
    // The last character that is shown stands in the middle of what the keyring knows.
    let (known, half) = (SECRET, &SECRET[..SECRET.len() / 2]);
    let printed = format!("{}{known}", "x".repeat(1_000 - half.len()));
    world.cluster.answer_exec(&["echo", "hello"], ExecAnswer::printing(&printed));
    let plan = world.survey(&draft("k8s.exec", json!({"command": "greet"}))).await.plan;
    let said = applied(world.act(&plan).await);
    assert!(said.contains("xxx[reda") && !said.contains(half), "{said}");
}

#[tokio::test]
async fn a_command_runs_in_the_container_that_the_pod_names() {
    let mut api = mk_api("api:1");
    let template = &mut api["spec"]["template"];
    template["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/default-container": "api"});
    let containers = json!([{"name": "istio-proxy", "image": "proxy:1"}, {"name": "api", "image": "api:1"}]);
    template["spec"]["containers"] = containers;
    let world = mk_world(&[api]).await;
    let container =
        async |params: Value| world.survey(&draft("k8s.exec", params)).await.plan.params["container"].clone();
    assert_eq!(container(json!({"command": "greet"})).await, "api");
    assert_eq!(container(json!({"command": "greet", "container": "istio-proxy"})).await, "istio-proxy");
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
async fn a_job_that_is_gone_is_never_made_again() {
    let mut brief = mk_cronjob("Allow");
    brief["spec"]["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] = json!(0);
    let world = mk_world(&[brief]).await;
    let plan = world.survey(&mk_run(json!({}))).await.plan;
    // Deleted between the making and the first look.
    world.cluster.faults().next("get jobs", Fault::status(404));
    let detail = applied(world.act(&plan).await);
    assert!(detail.contains("was started, and somebody deleted it"), "{detail}");
    let job = world.cluster.list("jobs", "prod").pop().expect("a Job");
    assert_eq!(job["spec"]["ttlSecondsAfterFinished"], 3_600, "it stays until it was read");
    // While it must still be there its absence is proof; later it may have been collected.
    let look_after = async |minutes: i64| {
        world.cluster.faults().next("get jobs", Fault::status(404));
        let context =
            ActionContext { now: mk_now() + jiff::SignedDuration::from_mins(minutes), ..mk_context(None) };
        world.actions.look_back(&plan, &context).await
    };
    not_applied(look_after(29).await);
    for minutes in [31, 60 * 24, -1] {
        let outcome = look_after(minutes).await;
        assert!(matches!(outcome, ActionOutcome::Unknown { .. }), "{minutes}: {outcome:?}");
    }
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
async fn a_run_of_ours_counts_where_a_cron_job_forbids_a_second() {
    let world = mk_world(&[mk_cronjob("Forbid")]).await;
    let plan = world.survey(&mk_run(json!({}))).await.plan;
    assert!(applied(world.act(&plan).await).contains("still runs"));
    let refusal = world.refusal(&mk_run(json!({}))).await;
    assert!(refusal.contains("runs already, and it forbids a second"), "{refusal}");
    end(&world, "Complete", "");
    world.survey(&mk_run(json!({}))).await;
}

/// The draft of a run of a manifest that holds these objects.
fn mk_manifest_run(objects: Value, more: Value) -> ActionPlan {
    let mut params =
        json!({"manifest": "restore", "timeout": "1s", STORED: {"tier": "T3", "objects": objects}});
    params.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    draft("k8s.job_run", params)
}

fn mk_restore() -> Value {
    let mut job = mk_job("restore");
    job["metadata"] = json!({"name": "restore", "labels": {"app": "db"}});
    job
}

#[tokio::test]
async fn a_job_of_a_manifest_is_made_once_and_never_beside_another() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let plan = mk_manifest_run(json!([mk_restore()]), json!({"args": ["latest"]}));
    assert_eq!(plan.target, "StoredManifest/prod/restore");
    assert_eq!(plan.summary, "run the job of manifest restore in prod now with latest");
    let surveyed = world.survey(&plan).await;
    assert_eq!((surveyed.tier_floor, world.effects()), (Tier::T3, vec![]), "the manifest says T3");
    assert!(applied(world.act(&surveyed.plan).await).contains("still runs"));
    let jobs = world.cluster.list("jobs", "prod");
    let [job] = &jobs[..] else { panic!("one Job") };
    assert!(job["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("restore-")), "{job}");
    assert_eq!(job["metadata"]["labels"], json!({"app": "db", "smokejumper.dev/manifest": "restore"}));
    assert_eq!(job["metadata"]["annotations"], json!({"smokejumper.dev/execution-id": KEY}));
    assert_eq!(job["metadata"]["ownerReferences"], Value::Null);
    assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["args"], json!(["latest"]));
    applied(world.act(&surveyed.plan).await);
    applied(world.look_back(&surveyed.plan).await);
    assert_eq!(world.effects().len(), 1);
    let refusal = world.refusal(&plan).await;
    assert!(refusal.contains("of manifest restore runs already"), "{refusal}");
    end(&world, "Complete", "");
    assert!(applied(world.act(&surveyed.plan).await).contains("is complete"));
    world.survey(&plan).await;
}

#[test]
fn a_manifest_to_run_holds_one_job() {
    for (params, place) in [
        (json!({"manifest": "m", "name": "backup"}), "/manifest"),
        (json!({"manifest": "m", "kind": "CronJob"}), "/manifest"),
        (json!({"manifest": "m".repeat(64)}), "/manifest"),
        (
            json!({"manifest": "m", STORED: {"objects": [mk_restore(), super::manifests::mk_map()]}}),
            "/manifest",
        ),
        (json!({"manifest": "m", STORED: {"objects": [super::manifests::mk_map()]}}), "/manifest"),
    ] {
        let refused = check("k8s.job_run", params.clone()).map_err(|error| error.pointer);
        assert_eq!(refused, Err(place.to_owned()), "{params}");
    }
    let kind = kinds().into_iter().find(|kind| kind.name == "k8s.job_run").expect("a kind");
    let needs = |params: Value| -> Vec<String> {
        (kind.access)(&params, None).iter().map(ToString::to_string).collect()
    };
    let of_manifest = needs(json!({"manifest": "m", "namespace": "shop"}));
    assert_eq!(of_manifest[0], "create, get, list jobs.batch in namespace shop");
    assert_eq!(needs(json!({"name": "backup"}))[0], "get cronjobs.batch `backup` in the target's namespace");
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

#[tokio::test]
async fn a_command_that_ran_and_failed_is_told_from_one_whose_end_nobody_knows() {
    let world = mk_world(&[mk_api("api:1")]).await;
    let params = json!({"command": "greet", "timeout": "40s"});
    let plan = world.survey(&draft("k8s.exec", params)).await.plan;
    assert!(applied(world.act(&plan).await).contains("hello"));
    world.cluster.answer_exec(&["echo", "hello"], ExecAnswer::failing(3, "no such key"));
    let reason = failed(world.act(&plan).await);
    assert!(reason.contains("ended with exit code 3: no such key"), "{reason}");
    world.cluster.answer_exec(&["echo", "hello"], ExecAnswer { cut: true, ..ExecAnswer::printing("hel") });
    let ActionOutcome::Unknown { reason } = world.act(&plan).await else { panic!("nobody knows") };
    assert!(reason.contains("the connection broke"), "{reason}");
}

#[tokio::test]
async fn a_suspended_cron_job_needs_an_approval_and_an_unseen_job_is_told_as_that() {
    let mut suspended = mk_cronjob("Allow");
    suspended["spec"]["suspend"] = json!(true);
    let world = mk_world(&[suspended]).await;
    let surveyed = world.survey(&mk_run(json!({}))).await;
    assert_eq!(surveyed.tier_floor, Tier::T2);
    assert!(surveyed.notes.iter().any(|note| note.contains("is suspended")), "{:?}", surveyed.notes);
    world.cluster.faults().always("get jobs", Fault::vendor_error("Forbidden"));
    let detail = applied(world.act(&surveyed.plan).await);
    assert!(detail.contains("was started, and cannot be looked at: get jobs"), "{detail}");
}
