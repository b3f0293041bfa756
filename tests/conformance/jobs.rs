//! Jobs: made, done, failed, deleted with and without what they made.

use serde_json::{Value, json};

use super::cluster::{Ground, condition, count, on_ground, text, until};
use super::objects::{image, shell_image, shell_pod, started};

fn job(name: &str, script: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name },
        "spec": {
            "backoffLimit": 0,
            "template": { "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "containers": [{ "name": "app", "image": shell_image(), "command": ["sh", "-c", script] }],
            } },
        },
    })
}

/// A Job that runs until somebody ends it, without a shell.
fn endless(name: &str) -> Value {
    let mut endless = job(name, "");
    endless["spec"]["template"]["spec"]["containers"] = json!([{ "name": "app", "image": image() }]);
    endless
}

fn jobs(ground: &Ground) -> String {
    ground.group("batch/v1", "jobs")
}

async fn pods_of(ground: &Ground, job: &str) -> Vec<Value> {
    ground.items(&ground.core(&format!("pods?labelSelector=batch.kubernetes.io%2Fjob-name%3D{job}"))).await
}

async fn until_pod(ground: &Ground, job: &str) -> Value {
    until("the job has a pod", async || {
        let mut pods = pods_of(ground, job).await;
        if pods.len() == 1 { Ok(pods.remove(0)) } else { Err(json!(pods)) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_well_or_says_why_not() {
    on_ground(async |ground| {
        if started(ground, &shell_pod("probe", "sleep 3600")).await.is_none() {
            return;
        }
        ground.post(&jobs(ground), &job("good", "exit 0")).await.good();
        ground.post(&jobs(ground), &job("bad", "echo no; exit 3")).await.good();
        let is_done = |job: &Value| condition(job, "Complete").0 == "True";
        let good = ground.until(&format!("{}/good", jobs(ground)), "the job is done", is_done).await;
        assert_eq!(count(&good, "/status/succeeded"), 1);
        assert!(!text(&good, "/status/completionTime").is_empty());
        let has_failed = |job: &Value| condition(job, "Failed") == ("True", "BackoffLimitExceeded");
        let bad = ground.until(&format!("{}/bad", jobs(ground)), "the job has failed", has_failed).await;
        assert_eq!((count(&bad, "/status/failed"), count(&bad, "/status/succeeded")), (1, 0));
        let pod = pods_of(ground, "bad").await.remove(0);
        assert_eq!(text(&pod, "/status/phase"), "Failed");
        assert_eq!(count(&pod, "/status/containerStatuses/0/state/terminated/exitCode"), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_job_takes_its_pods_along_only_where_that_is_said() {
    on_ground(async |ground| {
        ground.post(&jobs(ground), &endless("kept")).await.good();
        ground.post(&jobs(ground), &endless("gone")).await.good();
        let (kept, gone) = (until_pod(ground, "kept").await, until_pod(ground, "gone").await);
        let background = json!({ "propagationPolicy": "Background" });
        ground.delete(&format!("{}/gone", jobs(ground)), &background).await.good();
        ground.until_gone(&format!("{}/gone", jobs(ground))).await;
        ground.until_gone(&ground.core(&format!("pods/{}", text(&gone, "/metadata/name")))).await;

        ground.delete(&format!("{}/kept", jobs(ground)), &Value::Null).await.good();
        ground.until_gone(&format!("{}/kept", jobs(ground))).await;
        let path = ground.core(&format!("pods/{}", text(&kept, "/metadata/name")));
        let is_free = |pod: &Value| pod.pointer("/metadata/ownerReferences").is_none();
        ground.until(&path, "the pod is left to itself", is_free).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_template_stays_as_it_is_and_a_copy_needs_an_identity_of_its_own() {
    on_ground(async |ground| {
        let made = ground.post(&jobs(ground), &endless("one")).await.good();
        let uid = text(&made, "/metadata/uid");
        let own = "/spec/selector/matchLabels/batch.kubernetes.io~1controller-uid";
        assert_eq!(text(&made, own), uid);
        let other = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "app", "image": "other:1" }] } } } });
        let said = ground.strategic(&format!("{}/one", jobs(ground)), &other).await.refused(422, "Invalid");
        assert_eq!(text(&said, "/details/causes/0/field"), "spec.template");

        let mut copy = made.clone();
        copy["metadata"] = json!({ "generateName": "one-again-" });
        let spec = copy["spec"].as_object_mut().expect("a spec");
        spec.remove("selector");
        let labels = copy.pointer_mut("/spec/template/metadata/labels").and_then(Value::as_object_mut);
        let labels = labels.expect("the labels that the server set");
        labels.retain(|key, _| !key.contains("controller-uid") && !key.contains("job-name"));
        copy.as_object_mut().map(|copy| copy.remove("status"));
        let first = ground.post(&jobs(ground), &copy).await.good();
        let second = ground.post(&jobs(ground), &copy).await.good();
        assert!(text(&first, "/metadata/name").starts_with("one-again-"));
        assert_ne!(first["metadata"]["name"], second["metadata"]["name"]);
        assert_eq!(text(&first, own), text(&first, "/metadata/uid"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_job_makes_no_pods_until_it_is_let_go() {
    on_ground(async |ground| {
        let mut held = endless("held");
        held["spec"]["suspend"] = true.into();
        ground.post(&jobs(ground), &held).await.good();
        let path = format!("{}/held", jobs(ground));
        let is_held = |job: &Value| condition(job, "Suspended").0 == "True";
        ground.until(&path, "the job is held", is_held).await;
        assert!(pods_of(ground, "held").await.is_empty());
        ground.merge(&path, &json!({ "spec": { "suspend": false } })).await.good();
        until_pod(ground, "held").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_rehearsed_is_judged_and_not_made_and_a_name_is_taken_once() {
    on_ground(async |ground| {
        let dry = format!("{}?dryRun=All", jobs(ground));
        assert_eq!(ground.post(&dry, &endless("one")).await.code, 201);
        ground.get(&format!("{}/one", jobs(ground))).await.refused(404, "NotFound");
        let mut bad = endless("one");
        bad["spec"]["template"]["spec"]["restartPolicy"] = "Always".into();
        ground.post(&dry, &bad).await.refused(422, "Invalid");
        let mut kept = endless("one");
        kept["spec"]["ttlSecondsAfterFinished"] = 3600.into();
        kept["metadata"]["annotations"] = json!({ "cronjob.kubernetes.io/instantiate": "manual" });
        let made = ground.post(&jobs(ground), &kept).await.good();
        assert_eq!(count(&made, "/spec/ttlSecondsAfterFinished"), 3600);
        ground.post(&jobs(ground), &kept).await.refused(409, "AlreadyExists");
        let pod = until_pod(ground, "one").await;
        for label in ["job-name", "batch.kubernetes.io~1job-name"] {
            assert_eq!(text(&pod, &format!("/metadata/labels/{label}")), "one", "{label}");
        }
        let owner = &pod["metadata"]["ownerReferences"][0];
        assert_eq!((text(owner, "/kind"), &owner["uid"]), ("Job", &made["metadata"]["uid"]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cron_job_owns_what_it_makes_and_tells_of_what_runs() {
    on_ground(async |ground| {
        let template = json!({ "spec": endless("any")["spec"] });
        let mut nightly = json!({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": { "name": "nightly" },
            "spec": { "schedule": "* * * * *", "concurrencyPolicy": "Forbid", "jobTemplate": template },
        });
        let made = ground.post(&ground.group("batch/v1", "cronjobs"), &nightly).await.good();
        let made_by = |job: &Value, of: &Value| {
            let owner = &job["metadata"]["ownerReferences"][0];
            owner["uid"] == of["metadata"]["uid"]
                && (text(owner, "/kind"), &owner["controller"]) == ("CronJob", &json!(true))
        };
        let job = until("its time comes", async || {
            let there = ground.items(&jobs(ground)).await;
            there.iter().find(|job| made_by(job, &made)).cloned().ok_or(Value::Array(there))
        })
        .await;
        assert!(text(&job, "/metadata/name").starts_with("nightly-"), "{job}");
        let at = text(&job, "/metadata/annotations/batch.kubernetes.io~1cronjob-scheduled-timestamp");
        assert!(at.parse::<jiff::Timestamp>().is_ok(), "{job}");
        let path = ground.group("batch/v1", "cronjobs/nightly");
        let tells = |found: &Value| !text(found, "/status/lastScheduleTime").is_empty();
        ground.until(&path, "it tells when that was", tells).await;

        nightly["metadata"]["name"] = "held".into();
        nightly["spec"]["suspend"] = true.into();
        ground.post(&ground.group("batch/v1", "cronjobs"), &nightly).await.good();
        nightly["spec"]["schedule"] = "often".into();
        nightly["metadata"]["name"] = "wrong".into();
        ground.post(&ground.group("batch/v1", "cronjobs"), &nightly).await.refused(422, "Invalid");
    })
    .await;
}
