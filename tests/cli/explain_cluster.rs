//! `explain` of remedies on a cluster: what would be decided is assumed where nobody looks, and is what a look finds
//! where somebody does. Neither changes anything.

use std::time::Duration;

use serde_json::{Value, json};
use smokejumper::sandbox::kubernetes::KubernetesSandbox;
use smokejumper::sandbox::kubernetes::behaviour::Behaviour;

use crate::program::smokejumper;

const RULES: &str = r#"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: crash-loop }
spec:
  matchers: ['alertname="KubePodCrashLooping"']
  severity: P1
  target: { kind: Deployment, namespace: '{{ labels.namespace }}', name: '{{ labels.deployment }}' }
  diagnostics: [{ name: workload, k8s.workload: {} }]
  remedies:
    - { name: undo, when: findings.workload.unavailable > 0, action: { k8s.rollout_undo: {} } }
    - { name: restart, tier: T1, action: { k8s.rollout_restart: {} } }
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: maintenance }
spec:
  matchers: ['alertname="Overloaded"']
  severity: P1
  target: { kind: Deployment, namespace: '{{ labels.namespace }}', name: '{{ labels.deployment }}' }
  remedies:
    - { name: page, action: { k8s.apply: { manifest: maintenance } } }
    - { name: take, action: { k8s.delete_pod: { selector: 'tier={{ labels.deployment }}' } } }
    - { name: more, action: { k8s.hpa_patch: { max: 9 } } }
---
apiVersion: smokejumper.dev/v1
kind: StoredManifest
metadata: { name: maintenance }
spec:
  objects:
    - { apiVersion: v1, kind: ConfigMap, metadata: { name: words }, data: { text: back soon } }
    - { apiVersion: v1, kind: Service, metadata: { name: page }, spec: { ports: [{ port: 80 }] } }
"#;

struct World {
    cluster: KubernetesSandbox,
    folder: tempfile::TempDir,
}

impl World {
    /// A rollout of what crashes hangs.
    async fn start() -> Self {
        let cluster = KubernetesSandbox::start(0).await.expect("a free port");
        cluster.behave("api:2", Behaviour::crash_loop());
        let deployment = |image: &str| {
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": "api", "namespace": "shop" },
                "spec": {
                    "replicas": 4, "progressDeadlineSeconds": 20,
                    "selector": { "matchLabels": { "app": "api" } },
                    "template": {
                        "metadata": { "labels": { "app": "api" } },
                        "spec": { "containers": [{ "name": "api", "image": image }] },
                    },
                },
            })
        };
        for image in ["api:1", "api:2"] {
            cluster.put(deployment(image)).expect("a deployment");
            for _ in 0..30 {
                cluster.step(Duration::from_secs(2));
            }
        }
        let folder = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("written");
        };
        put("kubeconfig", &cluster.kubeconfig());
        put("rules.yaml", RULES);
        put("s.yaml", "kubernetes: { kubeconfig: kubeconfig }\nrules: [rules.yaml]\nmode: enforce\n");
        put("f.json", r#"{"workload": {"unavailable": 1}}"#);
        Self { cluster, folder }
    }

    fn explain(&self, deployment: &str, more: &[&str]) -> crate::program::Outcome {
        self.explain_alert("KubePodCrashLooping", deployment, more)
    }

    fn explain_alert(&self, alertname: &str, deployment: &str, more: &[&str]) -> crate::program::Outcome {
        let (alertname, name) =
            (format!("--alertname={alertname}"), format!("--label=deployment={deployment}"));
        let alert = [&alertname, "--label=namespace=shop", &name];
        let arguments = ["explain", "--config", "s.yaml"];
        let all = arguments.iter().chain(&alert).chain(more);
        smokejumper(all).in_folder(self.folder.path()).run()
    }

    fn decisions(&self, deployment: &str, more: &[&str]) -> Vec<Value> {
        let document = self.explain(deployment, &[more, &["--output", "json"]].concat()).json();
        document["alerts"][0]["decisions"].as_array().expect("decisions").clone()
    }

    fn changed(&self) -> usize {
        self.cluster.writes().entries().iter().filter(|write| write.what.took_effect).count()
    }
}

fn said(decision: &Value) -> String {
    let word = |key: &str| decision[key].as_str().expect("a text").to_owned();
    format!("{}: {}; {}", word("remedy"), word("decision"), word("reason"))
}

fn verdict<'v>(decision: &'v Value, guardrail: &str) -> &'v str {
    let verdicts = decision["guardrails"].as_array().expect("verdicts");
    let found = verdicts.iter().find(|verdict| verdict["guardrail"] == guardrail);
    found.expect("every guardrail speaks")["reason"].as_str().expect("a sentence")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_has_looked_at_is_assumed_and_said_to_be() {
    let world = World::start().await;
    let unknown = world.decisions("api", &[]);
    assert!(said(&unknown[0]).starts_with("undo: skip; its condition cannot be judged"), "{}", unknown[0]);
    assert_eq!(unknown[0]["if_it_applied"]["decision"], "ask");
    assert_eq!(said(&unknown[1]), "restart: run; T1 runs alone");
    let given = world.decisions("api", &["--findings", "f.json"]);
    assert_eq!(said(&given[0]), "undo: ask; T2 needs one approval");
    for decision in [&unknown[1], &given[0], &given[1]] {
        let assumed = &decision["assumed"];
        assert_eq!(assumed["not_judged"], json!(["blast_radius", "rollout"]), "{decision}");
        assert!(
            assumed["reason"]
                .as_str()
                .expect("a sentence")
                .contains("nobody has looked at Deployment/shop/api")
        );
        assert!(assumed["tier"].as_str().expect("a sentence").contains("Argo CD"));
        assert!(verdict(decision, "blast_radius").starts_with("not judged"));
        assert!(
            verdict(decision, "allow_list").contains("Deployment in shop"),
            "what needs no look is judged"
        );
    }
    let page = world.explain("api", &[]).good();
    assert!(page.contains("assumed     nobody has looked at Deployment/shop/api"), "{page}");
    assert!(page.contains("not judged without a look: blast_radius, rollout"), "{page}");
    assert!(page.contains("--diagnose looks at it"), "{page}");
    assert_eq!(world.cluster.calls().entries().len(), 0, "the cluster was not asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_shows_what_would_really_be_done_and_changes_nothing() {
    let world = World::start().await;
    let seen = world.decisions("api", &["--diagnose"]);
    assert_eq!(said(&seen[0]), "undo: ask; T2 needs one approval");
    let summary = seen[0]["plan"]["summary"].as_str().expect("a summary");
    assert!(summary.contains("shop/api") && summary.contains("api:1"), "{summary}");
    assert!(
        seen[0]["rollback"]["summary"].as_str().is_some_and(|back| back.contains("api:2")),
        "{}",
        seen[0]
    );
    assert_eq!(seen[0]["assumed"], Value::Null);
    assert!(
        verdict(&seen[0], "blast_radius").contains("of 3 available"),
        "{}",
        verdict(&seen[0], "blast_radius")
    );
    assert!(verdict(&seen[0], "rollout").contains("hangs"), "{}", verdict(&seen[0], "rollout"));
    assert!(
        seen[1]["if_it_applied"]["reason"].as_str().is_some_and(|why| !why.contains("looked")),
        "{}",
        seen[1]
    );
    assert!(!world.explain("api", &["--diagnose"]).good().contains("assumed"));
    let none = world.decisions("nothing", &["--diagnose"]);
    assert!(said(&none[1]).contains("there is no Deployment shop/nothing"), "{}", none[1]);
    let rehearsed = world.cluster.writes().entries().iter().filter(|write| write.what.dry_run).count();
    assert!(rehearsed > 0, "the cluster rehearses what would be written");
    assert_eq!(world.changed(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_that_may_be_touched_are_those_of_what_would_be_written() {
    let world = World::start().await;
    let settings = |kinds: &str| {
        let text = format!(
            "kubernetes: {{ kubeconfig: kubeconfig }}\nrules: [rules.yaml]\nmode: enforce\nguardrails: {{ kinds: [{kinds}] }}\n"
        );
        std::fs::write(world.folder.path().join("s.yaml"), text).expect("written");
    };
    let decisions = || {
        let document = world.explain_alert("Overloaded", "api", &["--output", "json"]).json();
        document["alerts"][0]["decisions"].as_array().expect("decisions").clone()
    };
    settings("ConfigMap, Service, Pod, Deployment, HorizontalPodAutoscaler");
    let all = decisions();
    let allowed: Vec<&str> = all.iter().map(|decision| verdict(decision, "allow_list")).collect();
    assert_eq!(
        allowed,
        [
            "ConfigMap, Service in shop may be touched",
            "Pod in shop may be touched",
            "Deployment, HorizontalPodAutoscaler in shop may be touched"
        ]
    );
    let assumed = all[0]["assumed"]["reason"].as_str().expect("a sentence");
    assert!(
        assumed.starts_with("nobody has looked at ConfigMap/shop/words, Service/shop/page:"),
        "{assumed}"
    );
    let page = world.explain_alert("Overloaded", "api", &[]).good();
    assert!(page.contains("blast_radius    assumed: not judged"), "{page}");
    assert!(page.contains("monitoring worked, no other incident were open"), "{page}");

    settings("ConfigMap, Deployment, StoredManifest");
    let all = decisions();
    let denied: Vec<&str> = all.iter().map(|decision| verdict(decision, "allow_list")).collect();
    assert_eq!(
        denied,
        [
            "Service is not among the kinds that actions may touch",
            "Pod is not among the kinds that actions may touch",
            "HorizontalPodAutoscaler is not among the kinds that actions may touch"
        ]
    );
}
