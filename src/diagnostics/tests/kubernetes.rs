//! Diagnostics against a small cluster: healthy and sick workloads, refusals, hostile names, and secrets that stay there.

use jiff::SignedDuration;
use serde_json::json;

use super::kubernetes_logs::{ask, mk_observer};
use super::*;
use crate::clients::kubernetes::fake::Answer;
use crate::clients::kubernetes::{ConnectOptions, ReadHandle};
use crate::domain::catalog::{Reference, Slot, SlotLanguage};
use crate::domain::correlate::Target;
use crate::domain::rule::{TargetSpec, Template};
use crate::sandbox::faults::Fault;
use crate::sandbox::kubernetes::KubernetesSandbox;

/// Diagnostics, the cluster that they look at, and what the incident is about.
pub(super) struct Scenery {
    pub(super) cluster: KubernetesSandbox,
    diagnostics: Diagnostics,
    target: Option<Target>,
    _kubeconfig: tempfile::TempDir,
}

pub(super) async fn mk_scenery(objects: &str) -> Scenery {
    crate::clients::http::install_crypto_provider();
    let cluster = KubernetesSandbox::start(0).await.expect("a cluster");
    cluster.load(objects).unwrap_or_else(|error| panic!("{error}"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kubeconfig");
    std::fs::write(&path, cluster.kubeconfig()).expect("written");
    let options = ConnectOptions { kubeconfig: Some(path), timeout: TIMEOUT, ..ConnectOptions::default() };
    let commands = BTreeMap::from([("ping".to_owned(), vec!["redis-cli".to_owned(), "ping".to_owned()])]);
    let access = KubernetesAccess { reads: ReadHandle::new(options), commands };
    let options = DiagnosticsOptions {
        prometheus: None,
        vitals: VitalsOptions::default(),
        kubernetes: Some(access),
        connections: Default::default(),
        probe_loopback: false,
        keyring: mk_keyring(),
    };
    Scenery {
        cluster,
        diagnostics: Diagnostics::new(options).expect("diagnostics"),
        target: Some(mk_target("Deployment", "api")),
        _kubeconfig: folder,
    }
}

fn mk_target(kind: &str, name: &str) -> Target {
    Target { kind: kind.to_owned(), namespace: "prod".to_owned(), name: name.to_owned() }
}

impl Scenery {
    pub(super) async fn ask(&self, kind: &str, params: Value) -> Finding {
        let context =
            DiagnosisContext { now: self.cluster.now(), target: self.target.clone(), ..mk_context() };
        let spec = DiagnosticSpec { name: "evidence".to_owned(), kind: kind.to_owned(), params: Value::Null };
        let finding = self.diagnostics.diagnose(&spec, params, context, TIMEOUT).await;
        let shown = format!("{finding:?}");
        assert!(!shown.contains(SECRET), "a secret shows: {shown}");
        finding
    }

    pub(super) async fn known(&self, kind: &str, params: Value) -> Finding {
        let finding = self.ask(kind, params).await;
        assert_known(&finding);
        finding
    }
}

/// A Deployment as people write it.
pub(super) fn mk_deployment(name: &str, replicas: u32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": "prod", "name": name, "labels": {"app.kubernetes.io/managed-by": "Helm"}},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{
                "name": "main", "image": image,
                "env": [{"name": "DB_PASSWORD", "value": SECRET}],
                "resources": {"limits": {"cpu": "1", "memory": "512Mi"}},
            }]}},
        },
    })
}

pub(super) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test]
async fn pods_tell_what_is_wrong_with_them() {
    let scenery = mk_scenery(&mk_deployment("api", 2, "api:1").to_string()).await;
    let mut sick = mk_deployment("sick", 1, "api:2");
    let behaviour = json!({"sandbox.smokejumper.dev/behaviour": "crash-loop after=1s exit=3"});
    sick["spec"]["template"]["metadata"]["annotations"] = behaviour;
    scenery.cluster.put(sick).expect("put");
    let mut starved = mk_deployment("starved", 1, "gone:1");
    starved["spec"]["template"]["metadata"]["annotations"] =
        json!({"sandbox.smokejumper.dev/behaviour": "image-pull-back-off"});
    scenery.cluster.put(starved).expect("put");
    for _ in 0..3 {
        scenery.cluster.step(seconds(20));
    }

    let well = scenery.known("k8s.pods", json!({})).await;
    let of = |name: &str| well.fields[name].clone();
    assert_eq!((of("count"), of("ready"), of("not_ready")), (json!(2), json!(2), json!(0)));
    assert!(well.text.starts_with("2 of 2 pods are ready, 0 need a look"), "{}", well.text);

    let sick = scenery.known("k8s.pods", json!({"selector": "app=sick"})).await;
    assert_eq!(
        (&sick.fields["crash_looping"], &sick.fields["not_ready"]),
        (&json!(1), &json!(1)),
        "{sick:?}"
    );
    assert!(sick.fields["restarts_max"].as_i64() > Some(1), "{sick:?}");
    assert!(sick.text.contains("CrashLoopBackOff") && sick.text.contains("restarts"), "{}", sick.text);

    let starved = scenery.known("k8s.pods", json!({"selector": "app in (starved)"})).await;
    assert_eq!((&starved.fields["image_failing"], &starved.fields["pending"]), (&json!(1), &json!(1)));

    let all = scenery.known("k8s.pods", json!({"selector": "app"})).await;
    assert_eq!(all.fields["count"], json!(4));
    let first = all.text.lines().nth(1).expect("a row");
    assert!(!first.starts_with("api-"), "what is wrong comes first: {}", all.text);

    let nobody = scenery.known("k8s.pods", json!({"selector": "app=nobody"})).await;
    assert_eq!((&nobody.fields["count"], nobody.text.as_str()), (&json!(0), "no pod is selected"));
}

#[tokio::test]
async fn a_workload_tells_how_its_rollout_stands() {
    let scenery = mk_scenery(&mk_deployment("api", 3, "api:1").to_string()).await;
    scenery.cluster.step(seconds(30));
    let done = scenery.known("k8s.workload", json!({})).await;
    assert_eq!((&done.fields["rollout"], &done.fields["available"]), (&json!("done"), &json!(3)), "{done:?}");
    assert_eq!(done.fields["images"], json!({"main": "api:1"}));
    assert_eq!(done.fields["managed_by"], json!("helm"));
    assert!(done.text.contains("3 of 3 replicas are available"), "{}", done.text);

    let mut next = scenery.cluster.get("deployments", "prod", "api").expect("is there");
    next["spec"]["template"]["spec"]["containers"][0]["image"] = json!("api:2");
    next["spec"]["template"]["metadata"]["annotations"] =
        json!({"sandbox.smokejumper.dev/behaviour": "never-ready"});
    next["metadata"]["generation"] = json!(2);
    scenery.cluster.put(next).expect("put");
    scenery.cluster.step(seconds(30));
    let under_way = scenery.known("k8s.workload", json!({"kind": "Deployment", "name": "api"})).await;
    assert_eq!(under_way.fields["rollout"], json!("progressing"), "{under_way:?}");
    assert_eq!(under_way.fields["images"]["main"], json!("api:2"));

    let missing = scenery.ask("k8s.workload", json!({"name": "gone"})).await;
    assert!(reason(&missing).contains("get deployments.apps prod/gone: there is none"), "{missing:?}");
    let wrong = scenery.ask("k8s.workload", json!({"kind": "Pod", "name": "x"})).await;
    assert!(reason(&wrong).contains("unknown variant"), "{wrong:?}");
}

#[tokio::test]
async fn a_history_goes_back_past_restarts_and_shows_no_values() {
    let scenery = mk_scenery(&mk_deployment("api", 1, "api:1").to_string()).await;
    scenery.cluster.step(seconds(10));
    let change = |edit: &dyn Fn(&mut Value)| {
        let mut object = scenery.cluster.get("deployments", "prod", "api").expect("is there");
        edit(&mut object);
        object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap_or(1) + 1);
        scenery.cluster.put(object).expect("put");
        scenery.cluster.step(seconds(60));
    };
    change(&|object| {
        let container = &mut object["spec"]["template"]["spec"]["containers"][0];
        container["image"] = json!("api:2");
        container["env"][0]["value"] = json!("another-hidden-value");
    });
    change(&|object| {
        object["spec"]["template"]["metadata"]["annotations"] =
            json!({"kubectl.kubernetes.io/restartedAt": "2026-11-21T12:00:00Z"});
    });
    let history = scenery.known("k8s.rollout_history", json!({})).await;
    let of = |name: &str| history.fields[name].clone();
    assert_eq!((of("count"), of("current"), of("previous")), (json!(3), json!(3), json!(1)), "{history:?}");
    assert_eq!((of("images_changed"), of("previous_images")), (json!(true), json!({"main": "api:1"})));
    assert!(history.text.contains("api:1 → api:2"), "{}", history.text);
    assert!(history.text.contains("env[DB_PASSWORD]"), "{}", history.text);
    let shown = format!("{history:?}");
    assert!(!shown.contains("another-hidden-value"), "{shown}");
    let plain = scenery.known("k8s.rollout_history", json!({"diff": false})).await;
    assert!(!plain.fields.contains_key("changes") && !plain.text.contains('→'), "{plain:?}");
}

#[tokio::test]
async fn events_are_counted_whatever_api_wrote_them() {
    let scenery = mk_scenery(&mk_deployment("api", 1, "api:1").to_string()).await;
    let now = scenery.cluster.now();
    let at = |ago: i64| now.checked_sub(SignedDuration::from_secs(ago)).expect("a time").to_string();
    let event = |name: &str, more: Value| {
        let mut event = json!({"apiVersion": "v1", "kind": "Event",
            "metadata": {"namespace": "prod", "name": name},
            "involvedObject": {"kind": "Pod", "namespace": "prod", "name": "api-1"}});
        event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        scenery.cluster.put(event).expect("put");
    };
    event("old", json!({"type": "Warning", "reason": "BackOff", "count": 7, "lastTimestamp": at(7_200)}));
    event(
        "core",
        json!({"type": "Warning", "reason": "BackOff", "message": "password=hunter2hunter2", "count": 7,
            "lastTimestamp": at(60)}),
    );
    event(
        "new",
        json!({"type": "Warning", "reason": "FailedScheduling", "lastTimestamp": null, "eventTime": at(300),
            "series": {"count": 3, "lastObservedTime": at(30)}}),
    );
    event("calm", json!({"type": "Normal", "reason": "Pulled", "count": 1, "lastTimestamp": at(10)}));
    let all = scenery.known("k8s.events", json!({"name": "api-1"})).await;
    let of = |name: &str| all.fields[name].clone();
    assert_eq!((of("count"), of("warnings"), of("occurrences")), (json!(3), json!(2), json!(11)), "{all:?}");
    assert_eq!(of("reasons"), json!({"BackOff": 7, "FailedScheduling": 3, "Pulled": 1}));
    let rows: Vec<&str> = all.text.lines().collect();
    assert!(rows[1].starts_with("Warning FailedScheduling x3 Pod/api-1 30s ago"), "{}", all.text);
    assert!(!all.text.contains("hunter2"), "{}", all.text);

    let warnings = json!({"prefix": "api", "warnings_only": true, "reason": "BackOff", "since": "3h"});
    assert_eq!(scenery.known("k8s.events", warnings).await.fields["count"], json!(2));

    // Where the core API is not permitted, the newer one is asked.
    scenery.cluster.faults().next("list events", Fault::status(403));
    let newer = scenery.known("k8s.events", json!({"name": "api-1"})).await;
    assert_eq!(
        (&newer.fields["warnings"], &newer.fields["occurrences"]),
        (&json!(2), &json!(11)),
        "{newer:?}"
    );
}

#[tokio::test]
async fn an_object_is_described_without_its_values() {
    let objects = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "prod", "name": "settings"}, "data": {"key": "planted-in-a-config-map"}});
    let scenery = mk_scenery(&objects.to_string()).await;
    scenery.cluster.put(mk_deployment("api", 1, "api:1")).expect("put");
    scenery.cluster.step(seconds(10));
    let described = scenery.known("k8s.describe", json!({})).await;
    assert_eq!(described.fields["conditions"]["Available"]["status"], json!("True"), "{described:?}");
    assert_eq!(described.fields["managed_by"], json!("helm"));
    let variables = &described.fields["object"]["spec"]["template"]["spec"]["containers"][0]["env"];
    assert_eq!(variables, &json!([{"name": "DB_PASSWORD", "value": "[redacted]"}]));
    assert!(described.text.contains("Available=True"), "{}", described.text);

    let settings = scenery.known("k8s.describe", json!({"kind": "ConfigMap", "name": "settings"})).await;
    assert_eq!(settings.fields["object"]["data"], json!({"key": "[redacted]"}));
    assert!(!format!("{settings:?}").contains("planted-in-a-config-map"));
    let refused = scenery.ask("k8s.describe", json!({"kind": "Secret", "name": "x"})).await;
    assert!(reason(&refused).contains("k8s.secret_meta"), "{refused:?}");
}

#[tokio::test]
async fn a_secret_is_measured_and_its_value_is_nowhere() {
    let value = "cGxhbnRlZC1pbi1hLXNlY3JldA==";
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"namespace": "prod", "name": "db", "annotations":
            {"kubectl.kubernetes.io/last-applied-configuration": format!("{{\"data\":{{\"password\":\"{value}\"}}}}")}},
        "data": {"password": value, "empty": ""}});
    let scenery = mk_scenery(&secret.to_string()).await;
    scenery.cluster.step(seconds(3_600));
    let found = scenery.known("k8s.secret_meta", json!({"name": "db", "key": "password"})).await;
    let of = |name: &str| found.fields[name].clone();
    assert_eq!(
        (of("exists"), of("key_exists"), of("length")),
        (json!(true), json!(true), json!(19)),
        "{found:?}"
    );
    assert_eq!(of("lengths"), json!({"empty": 0, "password": 19}));
    assert!(found.fields["age_seconds"].as_i64() >= Some(3_600), "{found:?}");
    let shown = format!("{found:?}");
    assert!(!shown.contains(value) && !shown.contains("planted-in-a-secret"), "{shown}");

    let other = scenery.known("k8s.secret_meta", json!({"name": "db", "key": "user"})).await;
    assert_eq!(other.fields["key_exists"], json!(false));
    let gone = scenery.known("k8s.secret_meta", json!({"name": "gone", "key": "user"})).await;
    assert_eq!(gone.fields["exists"], json!(false));
}

#[tokio::test]
async fn an_autoscaler_at_its_end_shows() {
    let hpa = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"namespace": "prod", "name": "api-hpa"},
        "spec": {"minReplicas": 2, "maxReplicas": 6, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}]},
        "status": {"currentReplicas": 6, "desiredReplicas": 6,
            "conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": ""}],
            "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 93, "averageValue": "930m"}}}]}});
    let scenery = mk_scenery(&hpa.to_string()).await;
    for params in [json!({}), json!({"name": "api-hpa"})] {
        let found = scenery.known("k8s.hpa", params).await;
        let of = |name: &str| found.fields[name].clone();
        assert_eq!((of("at_max"), of("max"), of("desired")), (json!(true), json!(6), json!(6)), "{found:?}");
        assert_eq!(
            of("metrics"),
            json!([{"name": "cpu", "kind": "Resource", "current": "93%", "target": "70%"}])
        );
        assert!(found.text.contains("wants as many as it may have"), "{}", found.text);
    }
    let none = scenery.known("k8s.hpa", json!({"name": "other"})).await;
    assert_eq!(none.fields, *json!({"exists": false}).as_object().expect("an object"));
}

#[tokio::test]
async fn nodes_tell_what_they_are_short_of() {
    let scenery = mk_scenery("{ apiVersion: v1, kind: Namespace, metadata: { name: prod } }").await;
    let mut node = scenery.cluster.get("nodes", "", "node-2").expect("a node");
    node["spec"]["unschedulable"] = json!(true);
    node["status"]["conditions"] = json!([
        {"type": "DiskPressure", "status": "True", "reason": "KubeletHasDiskPressure"},
        {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting"},
    ]);
    scenery.cluster.put(node).expect("put");
    let found = scenery.known("k8s.nodes", json!({})).await;
    let of = |name: &str| found.fields[name].clone();
    assert_eq!((of("count"), of("ready"), of("not_ready")), (json!(3), json!(2), json!(1)), "{found:?}");
    assert_eq!(
        (of("disk_pressure"), of("memory_pressure"), of("unschedulable")),
        (json!(1), json!(0), json!(1))
    );
    let row = found.text.lines().nth(1).expect("a row");
    assert!(row.starts_with("node-2  NotReady  cordoned  short of disk"), "{}", found.text);
    assert!(row.contains("Kubelet stopped posting"), "{row}");
}

#[tokio::test]
async fn a_service_without_anybody_behind_it_shows() {
    let objects = [
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "prod", "name": "api"},
            "spec": {"selector": {"app": "api"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"namespace": "prod", "name": "web"},
            "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["x.example.com"], "secretName": "tls"}],
                "rules": [{"host": "x.example.com", "http": {"paths": [
                    {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "api", "port": {"number": 80}}}},
                    {"path": "/old", "pathType": "Prefix", "backend": {"service": {"name": "gone", "port": {"name": "http"}}}}]}}]}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"namespace": "prod", "name": "deny"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}),
    ];
    let scenery = mk_scenery(&objects.map(|object| object.to_string()).join("\n---\n")).await;
    let nobody = scenery.known("k8s.network", json!({"service": "api"})).await;
    assert_eq!(
        (&nobody.fields["ready_endpoints"], &nobody.fields["ports"]),
        (&json!(0), &json!(["http 80→8080"]))
    );
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": "prod", "name": "api-x", "labels": {"kubernetes.io/service-name": "api"}},
        "endpoints": [{"addresses": ["192.0.2.7"], "conditions": {"ready": true}}, {"addresses": ["192.0.2.8"]},
            {"addresses": ["192.0.2.9"], "conditions": {"ready": false}}]});
    scenery.cluster.put(slice).expect("put");
    let service = scenery.known("k8s.network", json!({"service": "api"})).await;
    let of = |name: &str| service.fields[name].clone();
    assert_eq!((of("ready_endpoints"), of("not_ready_endpoints")), (json!(2), json!(1)), "{service:?}");
    let ingress = scenery.known("k8s.network", json!({"ingress": "web"})).await;
    assert_eq!(ingress.fields["backends"], json!({"api": 2, "gone": 0}), "{ingress:?}");
    assert_eq!(
        (
            &ingress.fields["ready_endpoints"],
            &ingress.fields["missing_backends"],
            &ingress.fields["tls_secrets"]
        ),
        (&json!(0), &json!(["gone"]), &json!(["tls"]))
    );
    let policy = scenery.known("k8s.network", json!({"networkpolicy": "deny"})).await;
    assert!(policy.text.contains("all pods of the namespace: 0 rules for traffic in"), "{}", policy.text);
    let nothing = scenery.ask("k8s.network", json!({"namespace": "prod"})).await;
    assert!(reason(&nothing).contains("name a `service`"), "{nothing:?}");
}

#[tokio::test]
async fn jobs_and_backups_tell_when_they_last_went_well() {
    let scenery = mk_scenery("{ apiVersion: v1, kind: Namespace, metadata: { name: prod } }").await;
    let now = scenery.cluster.now();
    let at = |ago: i64| now.checked_sub(SignedDuration::from_secs(ago)).expect("a time").to_string();
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"namespace": "prod", "name": "backup"},
        "spec": {"schedule": "0 2 * * *", "suspend": true, "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "b", "image": "b"}]}}}}},
        "status": {"lastScheduleTime": at(3_600), "lastSuccessfulTime": at(90_000)}});
    scenery.cluster.put(cron).expect("put");
    let job = |name: &str, began: i64, condition: Value, done: Value| {
        let job = json!({"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"namespace": "prod", "name": name, "labels": {"job": "backup"},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "backup", "uid": "u", "controller": true}]},
            "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "b", "image": "b"}]}}},
            "status": {"startTime": at(began), "completionTime": done, "conditions": [condition], "failed": 1}});
        scenery.cluster.put(job).expect("put");
    };
    job("good", 90_600, json!({"type": "Complete", "status": "True"}), json!(at(90_000)));
    let deadline = json!({"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "lastTransitionTime": at(3_000)});
    job("bad", 3_600, deadline, Value::Null);

    let one = scenery.known("k8s.job", json!({"name": "bad"})).await;
    assert_eq!(
        (&one.fields["state"], &one.fields["duration_seconds"]),
        (&json!("failed"), &json!(600)),
        "{one:?}"
    );
    assert!(one.text.contains("DeadlineExceeded"), "{}", one.text);
    let cron = scenery.known("k8s.job", json!({"cronjob": "backup"})).await;
    assert_eq!(
        (&cron.fields["name"], &cron.fields["last_success_seconds"], &cron.fields["suspended"]),
        (&json!("bad"), &json!(90_000), &json!(true)),
        "{cron:?}"
    );
    for params in
        [json!({"cronjob": "backup", "max_age": "26h"}), json!({"selector": "job=backup", "max_age": "26h"})]
    {
        let backup = scenery.known("backup.freshness", params).await;
        let of = |name: &str| backup.fields[name].clone();
        assert_eq!(
            (of("fresh"), of("age_seconds"), of("name")),
            (json!(true), json!(90_000), json!("good")),
            "{backup:?}"
        );
        assert_eq!(of("failed_since"), json!(1));
    }
    let strict = json!({"cronjob": "backup", "max_age": "24h"});
    assert_eq!(scenery.known("backup.freshness", strict.clone()).await.fields["fresh"], json!(false));
    // One that `k8s.job_run` made has no owner, and counts.
    let ours = json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"namespace": "prod", "name": "ours", "labels": {"smokejumper.dev/cronjob": "backup"}},
        "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "b", "image": "b"}]}}},
        "status": {"startTime": at(120), "completionTime": at(60), "conditions": [{"type": "Complete", "status": "True"}]}});
    scenery.cluster.put(ours).expect("put");
    let backup = scenery.known("backup.freshness", strict).await;
    assert_eq!(
        (&backup.fields["fresh"], &backup.fields["name"]),
        (&json!(true), &json!("ours")),
        "{backup:?}"
    );
    let cron = scenery.known("k8s.job", json!({"cronjob": "backup"})).await;
    assert_eq!(
        (&cron.fields["name"], &cron.fields["last_success_seconds"]),
        (&json!("ours"), &json!(60)),
        "{cron:?}"
    );
    let none = scenery.known("backup.freshness", json!({"cronjob": "other", "max_age": "24h"})).await;
    assert_eq!((&none.fields["fresh"], &none.fields["found"]), (&json!(false), &json!(false)));
    let certificates = json!({"group": "cert-manager.io", "version": "v1", "resource": "certificates"});
    let tool = scenery.known("backup.freshness", json!({"objects": certificates, "max_age": "1h"})).await;
    assert_eq!(tool.fields["found"], json!(false));
}

#[tokio::test]
async fn a_certificate_tells_when_it_ends() {
    let scenery = mk_scenery("{ apiVersion: v1, kind: Namespace, metadata: { name: prod } }").await;
    let now = scenery.cluster.now();
    let at = |ahead: i64| now.checked_add(SignedDuration::from_secs(ahead)).expect("a time").to_string();
    let certificate = json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": {"namespace": "prod", "name": "web"},
        "spec": {"secretName": "web-tls", "dnsNames": ["x.example.com"], "issuerRef": {"kind": "ClusterIssuer", "name": "acme"}},
        "status": {"notAfter": at(86_400), "renewalTime": at(-86_400), "failedIssuanceAttempts": 3,
            "conditions": [{"type": "Ready", "status": "False", "reason": "Failed", "message": "the order is invalid"}]}});
    scenery.cluster.put(certificate).expect("put");
    let found = scenery.known("k8s.certificate", json!({"name": "web"})).await;
    let of = |name: &str| found.fields[name].clone();
    assert_eq!(
        (of("ready"), of("renewal_overdue"), of("failed_attempts")),
        (json!(false), json!(true), json!(3)),
        "{found:?}"
    );
    assert!((86_390..=86_400).contains(&of("expires_seconds").as_i64().expect("a number")), "{found:?}");
    assert_eq!((of("issuer"), of("secret")), (json!("ClusterIssuer/acme"), json!("web-tls")));
    assert!(found.text.contains("the order is invalid"), "{}", found.text);
    assert_eq!(
        (of("issuer_ready"), of("issuer_reason")),
        (json!(false), json!("there is none of that name"))
    );
    let gone = scenery.known("k8s.certificate", json!({"name": "gone"})).await;
    assert_eq!(gone.fields["exists"], json!(false));
    let issuer = |ready: &str| {
        json!({"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": "acme"}, "spec": {},
            "status": {"conditions": [{"type": "Ready", "status": ready, "reason": "Err", "message": "no account"}]}})
    };
    scenery.cluster.put(issuer("False")).expect("put");
    let found = scenery.known("k8s.certificate", json!({"name": "web"})).await;
    assert_eq!(found.fields["issuer_reason"], json!("Err no account"), "{found:?}");
    assert!(
        found.text.contains("its issuer ClusterIssuer/acme is not ready: Err no account"),
        "{}",
        found.text
    );
    scenery.cluster.put(issuer("True")).expect("put");
    let found = scenery.known("k8s.certificate", json!({"name": "web"})).await;
    assert_eq!((&found.fields["issuer_ready"], found.fields.get("issuer_reason")), (&json!(true), None));
    scenery.cluster.faults().next("get clusterissuers", Fault::status(403));
    let found = scenery.known("k8s.certificate", json!({"name": "web"})).await;
    assert_eq!(found.fields.get("issuer_ready"), None, "what cannot be seen is left out");
    assert!(
        found.text.contains("whether its issuer is ready cannot be seen: not permitted (403)"),
        "{}",
        found.text
    );
}

#[tokio::test]
async fn no_half_of_a_known_secret_shows_where_an_event_or_a_refusal_is_cut() {
    let half = &SECRET[..SECRET.len() / 2];
    let scenery = mk_scenery(&mk_deployment("api", 1, "api:1").to_string()).await;
    // The last character that is kept stands in the middle of what the keyring knows.
    let said = |kept: usize| format!("{} {SECRET} and more", "x".repeat(kept - half.len() - 1));
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "prod"},
        "involvedObject": {"kind": "Pod", "name": "api-1"}, "type": "Warning", "reason": "Failed",
        "message": said(240)});
    scenery.cluster.put(event).expect("put");
    let found = scenery.known("k8s.events", json!({"name": "api-1"})).await;
    assert!(found.fields["events"][0]["message"].as_str().is_some_and(|said| said.ends_with("[redacted]…")));
    assert!(!format!("{found:?}").contains(half), "{found:?}");

    let refusal = json!({"kind": "Status", "message": said(400)}).to_string();
    let diagnostics = mk_observer(move |_| Answer::Says(403, refusal.clone()));
    let unknown = ask(&diagnostics, "k8s.describe", json!({})).await;
    assert!(reason(&unknown).ends_with("[redacted]…"), "{unknown:?}");
}

/// One good use of each kind that needs a cluster.
fn uses() -> Vec<(&'static str, Value)> {
    vec![
        ("k8s.pods", json!({})),
        ("k8s.describe", json!({})),
        ("k8s.events", json!({})),
        ("k8s.logs", json!({"selector": "app=api"})),
        ("k8s.workload", json!({})),
        ("k8s.rollout_history", json!({})),
        ("k8s.hpa", json!({})),
        ("k8s.top", json!({})),
        ("k8s.nodes", json!({})),
        ("k8s.network", json!({"service": "api"})),
        ("k8s.job", json!({"cronjob": "backup"})),
        ("k8s.secret_meta", json!({"name": "db"})),
        ("k8s.certificate", json!({"name": "web"})),
        ("k8s.exec_ro", json!({"command": "ping"})),
        ("backup.freshness", json!({"cronjob": "backup", "max_age": "1d"})),
    ]
}

#[tokio::test]
async fn whatever_a_cluster_refuses_is_unknown_and_says_why() {
    let scenery = mk_scenery(&mk_deployment("api", 1, "api:1").to_string()).await;
    scenery.cluster.step(seconds(10));
    for (fault, words) in [
        (Fault::status(403), "not permitted (403)"),
        (Fault::status(500), "the API server failed (500)"),
        (Fault::rate_limited(5), "the API server is busy (429)"),
        (Fault::dropped(), "the connection broke"),
    ] {
        scenery.cluster.faults().always("*", fault);
        for (kind, params) in uses() {
            let finding = scenery.ask(kind, params).await;
            assert!(reason(&finding).contains(words), "{kind}: {finding:?}");
        }
        scenery.cluster.faults().clear();
    }
    assert_eq!(scenery.cluster.writes().entries().len(), 0, "diagnostics write nothing");
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says_where_that_is_in_time() {
    let scenery = mk_scenery(&mk_deployment("api", 1, "api:1").to_string()).await;
    scenery.cluster.step(seconds(10));
    scenery.cluster.faults().next("get deployments", Fault::rate_limited(1));
    let asked = || scenery.cluster.calls().entries().len();
    let before = asked();
    scenery.known("k8s.workload", json!({})).await;
    assert_eq!(asked() - before, 2, "once more, after its second");
    scenery.cluster.faults().next("get deployments", Fault::rate_limited(60));
    let finding = scenery.ask("k8s.workload", json!({})).await;
    assert!(reason(&finding).contains("the API server is busy (429)"), "{finding:?}");
}

#[tokio::test]
async fn without_a_cluster_or_a_target_there_is_a_way_out() {
    let without = mk_diagnostics(None);
    let mut scenery = mk_scenery("{ apiVersion: v1, kind: Namespace, metadata: { name: prod } }").await;
    scenery.target = None;
    for (kind, params) in uses() {
        let finding = diagnose(&without, kind, params.clone(), TIMEOUT).await;
        assert_eq!(reason(&finding), "no cluster is configured: set `kubernetes` in the settings", "{kind}");
        if kind != "k8s.nodes" {
            let finding = scenery.ask(kind, params).await;
            assert!(reason(&finding).contains("no Kubernetes target"), "{kind}: {finding:?}");
        }
    }
    scenery.target = Some(mk_target("Service", "api"));
    let pods = scenery.ask("k8s.pods", json!({})).await;
    assert_eq!(reason(&pods), "the target is a Service, which has no pods: name a `selector`");
}

#[tokio::test]
async fn a_hostile_name_is_refused_and_nothing_is_asked() {
    let scenery = mk_scenery("{ apiVersion: v1, kind: Namespace, metadata: { name: prod } }").await;
    let asked = scenery.cluster.calls().entries().len();
    for name in ["../secrets/db", "", " ", "a/b", "a?b", "A", "x\ny", "..", "a%2fb"] {
        for (kind, params) in [
            ("k8s.workload", json!({"name": name})),
            ("k8s.pods", json!({"namespace": name})),
            ("k8s.pods", json!({"selector": format!("app={name}")})),
            ("k8s.logs", json!({"pod": name})),
            ("k8s.secret_meta", json!({"name": name})),
            ("k8s.network", json!({"service": name})),
            ("backup.freshness", json!({"cronjob": name, "max_age": "1d"})),
        ] {
            // A label's value may have capitals, and a dot.
            if name == "A" && kind == "k8s.pods" && params.get("selector").is_some() {
                continue;
            }
            let finding = scenery.ask(kind, params.clone()).await;
            assert!(!reason(&finding).is_empty(), "{kind} {params}");
        }
    }
    assert_eq!(scenery.cluster.calls().entries().len(), asked, "nothing was asked");
}

#[test]
fn names_and_selectors_are_slots_and_the_section_is_needed() {
    let checked = |kind: &str, params: Value| {
        let kind = kinds().into_iter().find(|known| known.name == kind).expect("a kind");
        (kind.check)(&params).unwrap_or_else(|error| panic!("{error}"))
    };
    for (kind, params) in uses() {
        let references = checked(kind, params).references;
        assert!(references.contains(&Reference::Kubernetes), "{kind}");
    }
    let logs =
        checked("k8s.logs", json!({"namespace": "{{ labels.ns }}", "selector": "app={{ labels.service }}"}));
    let expected = [
        Slot::new("/namespace", SlotLanguage::KubernetesName),
        Slot::new("/selector", SlotLanguage::KubernetesSelector),
    ];
    assert_eq!(logs.slots, expected);
    let exec = checked("k8s.exec_ro", json!({"command": "ping"}));
    assert!(exec.references.contains(&Reference::ReadCommand("ping".to_owned())));
}

#[test]
fn each_use_says_which_permissions_it_needs() {
    let target = TargetSpec {
        kind: "Deployment".to_owned(),
        namespace: Template("{{ labels.namespace }}".to_owned()),
        name: Template("api".to_owned()),
    };
    let needs = |kind: &str, params: Value| -> Vec<String> {
        let kind = kinds().into_iter().find(|known| known.name == kind).expect("a kind");
        (kind.access)(&params, Some(&target)).iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        needs("k8s.pods", json!({})),
        ["get deployments.apps `api` in the target's namespace", "list pods in the target's namespace"]
    );
    assert_eq!(needs("k8s.pods", json!({"namespace": "a", "selector": "x=y"})), ["list pods in namespace a"]);
    assert_eq!(
        needs("k8s.logs", json!({"pod": "redis-0"})),
        ["get pods `redis-0` in the target's namespace", "get pods/log `redis-0` in the target's namespace"]
    );
    assert_eq!(
        needs("k8s.rollout_history", json!({"kind": "StatefulSet", "name": "{{ labels.set }}"})),
        [
            "get statefulsets.apps in the target's namespace",
            "list controllerrevisions.apps in the target's namespace"
        ]
    );
    assert_eq!(
        needs("k8s.describe", json!({"kind": "Node", "name": "n"})),
        ["get nodes `n` in the cluster", "list events in namespace default"]
    );
    assert_eq!(needs("k8s.nodes", json!({})), ["list nodes in the cluster"]);
    // Both APIs that show events, and both verbs under which servers of different ages permit a command.
    assert_eq!(
        needs("k8s.events", json!({})),
        ["list events in the target's namespace", "list events.events.k8s.io in the target's namespace"]
    );
    let command = needs("k8s.exec_ro", json!({"command": "ping", "pod": "redis-0"}));
    assert_eq!(command.last().map(String::as_str), Some("get, create pods/exec in the target's namespace"));
    assert_eq!(
        needs("k8s.secret_meta", json!({"name": "db"})),
        ["get secrets `db` in the target's namespace"]
    );
    for (kind, params) in uses() {
        assert!(!needs(kind, params).is_empty(), "{kind}");
    }
}
