//! The real binary with hands on the simulated cluster: from the alert over the plan and the approval to what the
//! cluster's own record says was done.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test starts the service, and says why it did not start"
)]

#[path = "../support/servers.rs"]
mod servers;

use serde_json::{Value, json};
use servers::{Server, eventually, free_port, http_client};
use smokejumper::sandbox::faults::Fault;
use smokejumper::sandbox::kubernetes::KubernetesSandbox;
use smokejumper::sandbox::kubernetes::behaviour::Behaviour;
use std::time::Duration;

const TOKEN: &str = "admin-token-for-tests";

/// Longest wait for what the service does by itself; generous, since machines that test are busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// How much faster the cluster's time runs than ours.
const CLUSTER_SPEED: u32 = 10;

const RULES: &str = r#"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: crash-loop }
spec:
  matchers: ['alertname="KubePodCrashLooping"']
  severity: P1
  target: { kind: Deployment, namespace: '{{ labels.namespace }}', name: '{{ labels.deployment }}' }
  diagnostics:
    - { name: workload, k8s.workload: {} }
    - { name: pods, k8s.pods: { selector: 'app={{ labels.deployment }}' } }
  remedies:
    - name: undo
      when: findings.workload.unavailable > 0
      action: { k8s.rollout_undo: {} }
      verify: { settle: 1s, hold: 2s, within: 60s, checks: ['findings.workload.unavailable == 0', 'findings.workload.rollout == "done"'], onFail: rollback }
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: hung }
spec:
  matchers: ['alertname="Hung"']
  severity: P1
  target: { kind: Deployment, namespace: '{{ labels.namespace }}', name: '{{ labels.deployment }}' }
  diagnostics: [{ name: workload, k8s.workload: {} }]
  remedies:
    - name: restart
      tier: T1
      action: { k8s.rollout_restart: {} }
      verify: { settle: 1s, hold: 2s, within: 60s, checks: ['findings.workload.rollout == "done"'], onFail: escalate }
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: ladder }
spec:
  matchers: ['alertname="Ladder"']
  severity: P1
  target: { kind: Deployment, namespace: '{{ labels.namespace }}', name: '{{ labels.deployment }}' }
  diagnostics: [{ name: workload, k8s.workload: {} }]
  remedies:
    - name: more
      tier: T1
      action: { k8s.scale: { replicas: 5, min: 1, max: 6 } }
      verify: { settle: 3s, hold: 1s, within: 6s, checks: ['findings.workload.desired > 100'], onFail: rollback }
    # Another workload: the first one's own rollout must not hold it up.
    - name: restart
      tier: T1
      action: { k8s.rollout_restart: { name: web } }
      verify: { settle: 1s, hold: 1s, within: 6s, checks: ['findings.workload.desired > 100'], onFail: next }
"#;

struct World {
    cluster: KubernetesSandbox,
    service: Server,
    settings: String,
    port: u16,
    folder: tempfile::TempDir,
}

fn deployment(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": "shop" },
        "spec": {
            "replicas": 4,
            "progressDeadlineSeconds": 20,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": name, "image": image }] },
            },
        },
    })
}

impl World {
    async fn start(guardrails: &str) -> Self {
        let cluster = KubernetesSandbox::start(0).await.expect("a free port");
        cluster.load("{ apiVersion: v1, kind: Namespace, metadata: { name: shop } }").expect("a namespace");
        cluster.behave("api:2", Behaviour::crash_loop());
        cluster.put(deployment("api", "api:1")).expect("a deployment");
        cluster.put(deployment("web", "web:1")).expect("another one");
        for _ in 0..30 {
            cluster.step(Duration::from_secs(2));
        }
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("rules.yaml"), RULES).expect("written");
        std::fs::write(folder.path().join("kubeconfig"), cluster.kubeconfig()).expect("written");
        let port = free_port();
        let settings = format!(
            "server: {{ listen: '127.0.0.1:{port}' }}\n\
             people: [{{ name: una, role: approver, slack: U0123456789 }}]\n\
             api: {{ tokens: [{{ name: laptop, person: una, role: admin, token: {{ env: API }} }}] }}\n\
             kubernetes: {{ kubeconfig: kubeconfig }}\n\
             guardrails: {{ {guardrails} }}\n\
             rules: [rules.yaml]\nmode: enforce\n"
        );
        let service = servers::smokejumper(folder.path(), &settings, port, &[("API", TOKEN)]).await;
        Self { cluster, service, settings, port, folder }
    }

    /// The process is killed, and another one takes over.
    async fn kill_and_restart(&mut self) {
        self.service.kill();
        let environment = [("API", TOKEN)];
        self.service =
            servers::smokejumper(self.folder.path(), &self.settings, self.port, &environment).await;
    }

    async fn approve(&self, incident: &Value) {
        let id = incident["actions"][0]["id"].as_str().expect("an id");
        let url = format!("{}/api/v1/actions/{id}/approve", self.service.url());
        let answer = http_client().post(url).bearer_auth(TOKEN).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    }

    /// Somebody rolls out what crashes, and the rollout hangs.
    fn roll_out_badly(&self) {
        let mut bad = self.cluster.get("deployments", "shop", "api").expect("it is there");
        bad["spec"]["template"]["spec"]["containers"][0]["image"] = json!("api:2");
        self.cluster.put(bad).expect("a new revision");
        for _ in 0..30 {
            self.cluster.step(Duration::from_secs(2));
        }
    }

    async fn alert(&self, name: &str, status: &str) {
        let labels =
            json!({ "alertname": name, "namespace": "shop", "deployment": "api", "severity": "critical" });
        let mut alert = json!({ "status": status, "labels": labels, "startsAt": "2026-01-01T00:00:00Z" });
        if status == "resolved" {
            alert["endsAt"] = json!("2026-01-01T01:00:00Z");
        }
        let url = format!("{}/webhooks/alertmanager", self.service.url());
        let body = json!({ "version": "4", "alerts": [alert] }).to_string();
        let answer = http_client().post(url).body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.service.url());
        http_client().get(url).bearer_auth(TOKEN).send().await.expect("an answer").json().await.expect("JSON")
    }

    async fn incident(&self) -> Option<Value> {
        let list = self.get("/api/v1/incidents").await;
        let id = list["incidents"][0]["id"].as_str()?.to_owned();
        Some(self.get(&format!("/api/v1/incidents/{id}")).await)
    }

    /// The incident, once its newest action stands so.
    async fn once(&self, status: &str) -> Value {
        let mut last = Value::Null;
        let found = eventually(&format!("the action is {status}"), PATIENCE, async || {
            let incident = self.incident().await?;
            let newest = incident["actions"].as_array().and_then(|actions| actions.last()).cloned();
            let newest = newest.unwrap_or_default();
            if newest["status"] != last["status"] || newest["reason"] != last["reason"] {
                eprintln!("{}: {} ({})", newest["remedy"], newest["status"], newest["reason"]);
            }
            (newest["status"] == status).then_some(incident)
        })
        .await;
        last = found["actions"].as_array().and_then(|actions| actions.last()).cloned().unwrap_or_default();
        assert_eq!(last["status"], status);
        found
    }

    fn image(&self) -> Value {
        let deployment = self.cluster.get("deployments", "shop", "api").expect("it is there");
        deployment["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    }

    /// Writes that changed something, as the cluster recorded them.
    fn writes(&self) -> Vec<String> {
        let entries = self.cluster.writes().entries();
        let real = entries
            .iter()
            .filter(|write| !write.what.dry_run && !write.what.resource.starts_with("selfsubject"));
        real.map(|write| format!("{} {}", write.what.verb, write.what.path)).collect()
    }
}

#[tokio::test]
async fn a_bad_rollout_is_undone_after_an_approval_verified_and_closed() {
    let world = World::start("boot_hold: 0s").await;
    world.roll_out_badly();
    world.alert("KubePodCrashLooping", "firing").await;
    let asked = world.once("awaiting_approval").await;
    let action = &asked["actions"][0];
    assert_eq!((action["tier"].as_str(), action["kind"].as_str()), (Some("T2"), Some("k8s.rollout_undo")));
    let summary = action["summary"].as_str().expect("a summary");
    assert!(
        summary.contains("shop/api") && summary.contains("api:1"),
        "what exactly would be done: {summary}"
    );
    assert_eq!(world.writes(), Vec::<String>::new(), "nothing is touched before anybody approves");
    assert_eq!(world.image(), "api:2");

    world.approve(&asked).await;
    world.cluster.run(CLUSTER_SPEED);
    let helped = world.once("succeeded").await;
    assert_eq!(helped["actions"][0]["reason_code"], "verified");
    assert_eq!(world.image(), "api:1");
    assert_eq!(world.writes().len(), 1, "one write is all it took: {:?}", world.writes());

    world.alert("KubePodCrashLooping", "resolved").await;
    eventually("the incident is closed", PATIENCE, async || {
        world.incident().await.filter(|incident| incident["status"] == "resolved")
    })
    .await;
}

#[tokio::test]
async fn what_a_person_changes_between_question_and_answer_is_not_overwritten() {
    let world = World::start("boot_hold: 0s").await;
    world.roll_out_badly();
    world.alert("KubePodCrashLooping", "firing").await;
    let asked = world.once("awaiting_approval").await;
    let mut mended = world.cluster.get("deployments", "shop", "api").expect("it is there");
    mended["spec"]["template"]["spec"]["containers"][0]["image"] = json!("api:3");
    world.cluster.put(mended).expect("a person's revision");
    for _ in 0..30 {
        world.cluster.step(Duration::from_secs(2));
    }
    world.approve(&asked).await;
    let incident = eventually("the approved action is given up", PATIENCE, async || {
        let incident = world.incident().await?;
        (incident["actions"][0]["status"] == "cancelled").then_some(incident)
    })
    .await;
    let reason = incident["actions"][0]["reason"].as_str().expect("a reason");
    assert!(!reason.is_empty());
    assert_eq!(world.image(), "api:3", "the person's image stands");
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_process_that_is_killed_before_it_hears_the_answer_does_not_do_it_twice() {
    let mut world = World::start("boot_hold: 0s").await;
    world.roll_out_badly();
    world.alert("KubePodCrashLooping", "firing").await;
    let asked = world.once("awaiting_approval").await;
    // The look at the click is rehearsed with a dry run; the write itself is done and not answered.
    world.cluster.faults().next_honest("patch deployments");
    world.cluster.faults().next("patch deployments", Fault::slow(Duration::from_secs(60)).after_effect());
    world.approve(&asked).await;
    eventually("the cluster has done it", PATIENCE, async || (world.writes().len() == 1).then_some(())).await;
    assert_eq!(world.image(), "api:1");
    world.kill_and_restart().await;
    world.cluster.run(CLUSTER_SPEED);
    let helped = world.once("succeeded").await;
    assert_eq!(world.writes().len(), 1, "the cluster is the judge: {:?}", world.writes());
    let timeline = helped["timeline"].as_array().expect("lines");
    let words: Vec<&str> = timeline.iter().filter_map(|line| line["reason"].as_str()).collect();
    assert!(words.contains(&"outcome_unknown") && words.contains(&"applied"), "{words:?}");
}

#[tokio::test]
async fn a_remedy_that_does_not_help_is_rolled_back_then_the_next_then_people() {
    let world = World::start("boot_hold: 0s, rates: { per_target: [] }").await;
    world.cluster.run(CLUSTER_SPEED);
    world.alert("Ladder", "firing").await;
    let incident = eventually("people go on", PATIENCE, async || {
        world.incident().await.filter(|incident| incident["phase"] == "handed_over")
    })
    .await;
    let actions = incident["actions"].as_array().expect("actions").iter();
    let ended: Vec<(&str, &str)> = actions
        .map(|action| {
            (action["remedy"].as_str().expect("a name"), action["status"].as_str().expect("a status"))
        })
        .collect();
    assert_eq!(ended, [("more", "rolled_back"), ("restart", "failed")]);
    let deployment = world.cluster.get("deployments", "shop", "api").expect("it is there");
    assert_eq!(deployment["spec"]["replicas"], 4, "as it was before");
    assert_eq!(world.writes().len(), 3, "scaled, scaled back, restarted: {:?}", world.writes());
}

#[tokio::test]
async fn the_machine_restarts_alone_and_only_where_it_may() {
    let world = World::start("boot_hold: 0s, namespaces: [bank]").await;
    world.alert("Hung", "firing").await;
    let blocked = world.once("blocked").await;
    assert_eq!(blocked["actions"][0]["reason_code"], "allow_list");
    assert_eq!(world.writes(), Vec::<String>::new());

    let world = World::start("boot_hold: 0s").await;
    world.cluster.run(CLUSTER_SPEED);
    world.alert("Hung", "firing").await;
    world.once("succeeded").await;
    assert_eq!(world.writes().len(), 1, "{:?}", world.writes());
    let restarted = world.cluster.get("deployments", "shop", "api").expect("it is there");
    let annotations = &restarted["spec"]["template"]["metadata"]["annotations"];
    assert!(annotations["kubectl.kubernetes.io/restartedAt"].is_string(), "{annotations}");
}
