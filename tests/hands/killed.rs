//! SIGKILL between the intent and the outcome of every action that writes to a cluster, before the write arrives and
//! after it: the effect is there exactly once, as the cluster's own record says. What nobody can know is handed to people
//! and not repeated.

use super::servers::{self, Server, eventually, free_port, http_client};
use super::world::{PATIENCE, TOKEN};
use serde_json::{Value, json};
use smokejumper::sandbox::faults::Fault;
use smokejumper::sandbox::kubernetes::KubernetesSandbox;
use smokejumper::sandbox::kubernetes::writes::Write;
use std::collections::BTreeSet;
use std::time::Duration;

/// A second person, for what two must approve.
const SECOND_TOKEN: &str = "second-token-for-tests";

/// How many actions are under way at the same time: below what one process carries out at once, so that all of them
/// hang when it is killed.
const AT_ONCE: usize = 6;

/// Longer than anything here may take.
const FOR_EVER: Duration = Duration::from_secs(120);

/// One use of one kind. The objects that it writes to begin with the name of its case.
struct Case {
    kind: &'static str,
    /// Its parameters; `NAME` stands for the name of the case.
    params: &'static str,
    /// The write that it makes.
    write: &'static str,
    /// Objects that it needs beside a Deployment `NAME` of four replicas in its second revision.
    objects: &'static str,
}

const MAP: &str = "{ apiVersion: v1, kind: ConfigMap, metadata: { name: NAME-map, namespace: shop, annotations: { smokejumper.dev/manifest: NAME } }, data: { a: b } }";
const JOB: &str = "{ apiVersion: batch/v1, kind: Job, metadata: { name: NAME-job, namespace: shop }, spec: { template: { spec: { restartPolicy: Never, containers: [{ name: c, image: 'x:1' }] } } } }";
const CRON_JOB: &str = "{ apiVersion: batch/v1, kind: CronJob, metadata: { name: NAME-cron, namespace: shop }, spec: { schedule: '0 2 * * *', jobTemplate: { spec: { template: { spec: { restartPolicy: Never, containers: [{ name: c, image: 'x:1' }] } } } } } }";
const AUTOSCALER: &str = "{ apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: { name: NAME-hpa, namespace: shop }, spec: { minReplicas: 2, maxReplicas: 6, scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: NAME } } }";
const CERTIFICATE: &str = "{ apiVersion: cert-manager.io/v1, kind: Certificate, metadata: { name: NAME-tls, namespace: shop }, spec: { secretName: NAME-tls }, status: { revision: 3, notAfter: '2026-11-30T00:00:00Z' } }";

const fn case(kind: &'static str, params: &'static str, write: &'static str, objects: &'static str) -> Case {
    Case { kind, params, write, objects }
}

const CASES: [Case; 16] = [
    case("k8s.delete_pod", "{ pick: oldest }", "create pods/eviction", ""),
    case("k8s.rollout_restart", "{}", "patch deployments", ""),
    case("k8s.rollout_undo", "{}", "patch deployments", ""),
    case("k8s.scale", "{ replicas: 5 }", "patch deployments/scale", ""),
    case("k8s.hpa_patch", "{ max: 9 }", "patch horizontalpodautoscalers", AUTOSCALER),
    case("k8s.set_resources", "{ limits: { memory: 1Gi } }", "patch deployments", ""),
    case("k8s.set_env", "{ vars: { A: '1' } }", "patch deployments", ""),
    case("k8s.set_image", "{ image: 'app:3' }", "patch deployments", ""),
    case(
        "k8s.patch",
        "{ allowed_paths: [/metadata/annotations/note], patch: { metadata: { annotations: { note: hi } } } }",
        "patch deployments",
        "",
    ),
    case("k8s.apply", "{ manifest: NAME }", "patch configmaps", ""),
    case("k8s.remove", "{ manifest: NAME }", "delete configmaps", MAP),
    case("k8s.delete", "{ kind: Job, name: NAME-job }", "delete jobs", JOB),
    case("k8s.job_run", "{ name: NAME-cron, timeout: 1s }", "create jobs", CRON_JOB),
    case("k8s.job_run", "{ manifest: NAME-run, timeout: 1s }", "create jobs", ""),
    case("k8s.exec", "{ command: greet, timeout: 40s }", "get pods/exec", ""),
    case("cert.renew", "{ name: NAME-tls }", "patch certificates/status", CERTIFICATE),
];

/// When the process is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    /// The write has been sent and is held up on its way.
    BeforeItArrives,
    /// The write is done, and its answer is held up.
    AfterItArrived,
}

#[test]
fn every_kind_that_writes_to_a_cluster_is_in_the_table() {
    let of_cluster = |name: &&str| name.starts_with("k8s.") || name.starts_with("cert.");
    let all: BTreeSet<&str> =
        smokejumper::actions::kinds().into_iter().map(|kind| kind.name).filter(of_cluster).collect();
    assert_eq!(CASES.iter().map(|case| case.kind).collect::<BTreeSet<_>>(), all);
}

#[tokio::test]
async fn killed_before_the_write_arrives_each_action_is_carried_out_once() {
    all_of(Moment::BeforeItArrives).await;
}

#[tokio::test]
async fn killed_after_the_write_arrived_no_action_is_carried_out_again() {
    all_of(Moment::AfterItArrived).await;
}

async fn all_of(moment: Moment) {
    let named: Vec<Named> =
        CASES.iter().enumerate().map(|(at, case)| Named { name: format!("c{at:02}"), case }).collect();
    for some in named.chunks(AT_ONCE) {
        killed(some, moment).await;
    }
}

struct Named {
    name: String,
    case: &'static Case,
}

impl Named {
    fn text(&self, text: &str) -> String {
        text.replace("NAME", &self.name)
    }

    fn rule(&self) -> String {
        let Self { name, case } = self;
        let params = self.text(case.params);
        format!(
            "---\napiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: {name} }}\nspec:\n  \
             matchers: ['alertname=\"{name}\"']\n  severity: P2\n  \
             target: {{ kind: Deployment, namespace: shop, name: {name} }}\n  \
             remedies: [{{ name: it, action: {{ {}: {params} }} }}]\n\
             ---\napiVersion: smokejumper.dev/v1\nkind: StoredManifest\nmetadata: {{ name: {name} }}\n\
             spec: {{ objects: [{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: '{{{{ labels.alertname }}}}-map' }}, \
             data: {{ a: '{{{{ labels.alertname }}}}: on' }} }}] }}\n\
             ---\napiVersion: smokejumper.dev/v1\nkind: StoredManifest\nmetadata: {{ name: {name}-run }}\n\
             spec: {{ objects: [{{ apiVersion: batch/v1, kind: Job, metadata: {{ name: {name}-run }}, spec: {{ template: {{ spec: {{ restartPolicy: Never, containers: [{{ name: c, image: 'x:1' }}] }} }} }} }}] }}\n",
            case.kind
        )
    }

    fn deployment(&self, image: &str) -> Value {
        let name = &self.name;
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": name, "namespace": "shop" },
            "spec": {
                "replicas": 4,
                "selector": { "matchLabels": { "app": name } },
                "template": {
                    "metadata": { "labels": { "app": name } },
                    "spec": { "containers": [{ "name": "app", "image": image }] },
                },
            },
        })
    }

    /// What the cluster recorded of it.
    fn effects(&self, cluster: &KubernetesSandbox) -> Vec<Write> {
        let all = cluster.writes().entries().into_iter().map(|entry| entry.what);
        all.filter(|write| write.took_effect && write.name.starts_with(&self.name)).collect()
    }

    /// A command leaves no mark: whether it ran can only be told by people.
    fn can_be_known(&self) -> bool {
        self.case.kind != "k8s.exec"
    }
}

async fn mk_cluster(cases: &[Named]) -> KubernetesSandbox {
    let cluster = KubernetesSandbox::start(0).await.expect("a free port");
    cluster.load("{ apiVersion: v1, kind: Namespace, metadata: { name: shop } }").expect("a namespace");
    for image in ["app:1", "app:2"] {
        for named in cases {
            cluster.put(named.deployment(image)).expect("a Deployment");
        }
        cluster.step(Duration::from_secs(60));
    }
    for named in cases {
        cluster.load(&named.text(named.case.objects)).expect("objects that are played");
    }
    cluster
}

struct World {
    folder: tempfile::TempDir,
    settings: String,
    service: Server,
}

impl World {
    async fn start(cluster: &KubernetesSandbox, cases: &[Named]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let rules: String = cases.iter().map(Named::rule).collect();
        std::fs::write(folder.path().join("rules.yaml"), rules).expect("written");
        std::fs::write(folder.path().join("kubeconfig"), cluster.kubeconfig()).expect("written");
        let port = free_port();
        let settings = format!(
            "server: {{ listen: '127.0.0.1:{port}' }}\n\
             people: [{{ name: una, role: approver, slack: U1 }}, {{ name: bob, role: approver, slack: U2 }}]\n\
             api:\n  tokens:\n    - {{ name: una, person: una, role: admin, token: {{ env: UNA }} }}\n    \
             - {{ name: bob, person: bob, role: admin, token: {{ env: BOB }} }}\n\
             kubernetes: {{ kubeconfig: kubeconfig, timeout: 60s, commands: {{ greet: [echo, hello] }} }}\n\
             guardrails:\n  boot_hold: 0s\n  rates: {{ per_target: [], per_namespace: [], global: [] }}\n  \
             correlation: {{ targets: 0, targets_in_namespace: 0, targets_in_all: 0 }}\n\
             rules: [rules.yaml]\nmode: enforce\n"
        );
        let service = Self::service(folder.path(), &settings, port).await;
        Self { folder, settings, service }
    }

    async fn service(folder: &std::path::Path, settings: &str, port: u16) -> Server {
        servers::smokejumper(folder, settings, port, &[("UNA", TOKEN), ("BOB", SECOND_TOKEN)]).await
    }

    /// The process is killed, and another one takes over.
    async fn kill_and_restart(&mut self) {
        self.service.kill();
        self.service = Self::service(self.folder.path(), &self.settings, self.service.port).await;
    }

    async fn fire(&self, cases: &[Named]) {
        let alert = |named: &Named| json!({ "status": "firing", "labels": { "alertname": named.name }, "startsAt": "2026-01-01T00:00:00Z" });
        let body = json!({ "version": "4", "alerts": cases.iter().map(alert).collect::<Vec<_>>() });
        let url = format!("{}/webhooks/alertmanager", self.service.url());
        let answer = http_client().post(url).body(body.to_string()).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.service.url());
        http_client().get(url).bearer_auth(TOKEN).send().await.expect("an answer").json().await.expect("JSON")
    }

    /// The newest action of each incident, with the name of its rule.
    async fn actions(&self) -> Vec<(String, Value)> {
        let list = self.get("/api/v1/incidents?limit=50").await;
        let mut all = Vec::new();
        for incident in list["incidents"].as_array().expect("incidents") {
            let id = incident["id"].as_str().expect("an id");
            let incident = self.get(&format!("/api/v1/incidents/{id}")).await;
            let newest = incident["actions"].as_array().and_then(|actions| actions.last()).cloned();
            let rule = incident["rule"].as_str().expect("a rule").to_owned();
            all.extend(newest.map(|action| (rule, action)));
        }
        all
    }

    /// Says yes to whatever waits for it, as two people.
    async fn approve_all(&self) {
        for (rule, action) in self.actions().await {
            assert_ne!(action["status"], "blocked", "{rule}: {}", action["reason"]);
            if action["status"] != "awaiting_approval" {
                continue;
            }
            let id = action["id"].as_str().expect("an id");
            let url = format!("{}/api/v1/actions/{id}/approve", self.service.url());
            for token in [TOKEN, SECOND_TOKEN] {
                // One approval may be enough; the second comes late then.
                http_client().post(&url).bearer_auth(token).send().await.expect("an answer");
            }
        }
    }
}

async fn killed(cases: &[Named], moment: Moment) {
    let cluster = mk_cluster(cases).await;
    let mut world = World::start(&cluster, cases).await;
    let held = match moment {
        Moment::BeforeItArrives => Fault::slow(FOR_EVER),
        Moment::AfterItArrived => Fault::slow(FOR_EVER).after_effect(),
    };
    for named in cases {
        cluster.faults().next(&format!("real {}", named.case.write), held.clone());
    }
    world.fire(cases).await;
    eventually("each action has sent its write", PATIENCE, async || {
        world.approve_all().await;
        let are_done =
            moment == Moment::BeforeItArrives || cases.iter().all(|named| named.effects(&cluster).len() == 1);
        (cluster.faults().queued() == 0 && are_done).then_some(())
    })
    .await;
    world.kill_and_restart().await;
    let ended = eventually("each action has come to its end", PATIENCE, async || {
        let actions = world.actions().await;
        let is_over = |action: &Value| !matches!(action["status"].as_str(), Some("running" | "approved"));
        (actions.len() == cases.len() && actions.iter().all(|(_, action)| is_over(action))).then_some(actions)
    })
    .await;
    for named in cases {
        let (_, action) = ended.iter().find(|(rule, _)| *rule == named.name).expect("an action");
        let told = format!("{} {moment:?}: {} ({})", named.case.kind, action["status"], action["reason"]);
        let effects = named.effects(&cluster).len();
        if named.case.kind == "k8s.apply" {
            let map = cluster.get("configmaps", "shop", &format!("{}-map", named.name)).expect("it was made");
            assert_eq!(
                map["data"]["a"],
                format!("{}: on", named.name),
                "a label is a value and nothing else"
            );
        }
        if named.can_be_known() {
            assert_eq!((action["status"].as_str(), effects), (Some("succeeded"), 1), "{told}");
        } else {
            let ran = usize::from(moment == Moment::AfterItArrived);
            assert_eq!((action["status"].as_str(), effects), (Some("outcome_unknown"), ran), "{told}");
        }
    }
}
