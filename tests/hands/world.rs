//! The real binary, a simulated cluster, Prometheus and Slack around it, and what tests ask of all of them.

use crate::rules::{hopeless_ladder, remedy, rule, rule_seeing, undo};
use crate::servers::{self, Server, eventually, free_port, http_client};
use serde_json::{Value, json};
use smokejumper::sandbox::kubernetes::KubernetesSandbox;
use smokejumper::sandbox::kubernetes::behaviour::Behaviour;
use smokejumper::sandbox::prometheus::PrometheusSandbox;
use smokejumper::sandbox::prometheus::series::{Series, Signal};
use smokejumper::sandbox::slack::{SlackOptions, SlackSandbox};
use std::cell::RefCell;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub const TOKEN: &str = "admin-token-for-tests";

/// Longest wait for what the service does by itself; generous, since machines that test are busy.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How much faster the cluster's time runs than ours.
pub const CLUSTER_SPEED: u32 = 10;

/// The rules of the stories that need none of their own.
fn rules() -> String {
    const SEEN: &str = "{ name: workload, k8s.workload: {} }, \
                        { name: pods, k8s.pods: { selector: 'app={{ labels.deployment }}' } }";
    let undo = undo(", when: findings.workload.unavailable > 0", "settle: 1s, hold: 2s, within: 60s");
    let restart = remedy(
        "restart",
        "k8s.rollout_restart: {}",
        "settle: 1s, hold: 2s, within: 60s, checks: ['findings.workload.rollout == \"done\"'], onFail: escalate",
    );
    [
        rule_seeing("crash-loop", "KubePodCrashLooping", SEEN, &[&undo]),
        rule("hung", "Hung", &[&restart]),
        hopeless_ladder("settle: 3s, hold: 1s, within: 6s", "settle: 1s, hold: 1s, within: 6s"),
    ]
    .concat()
}

/// The service with everything around it.
pub struct World {
    pub cluster: KubernetesSandbox,
    pub prometheus: PrometheusSandbox,
    pub slack: SlackSandbox,
    pub service: Server,
    pub settings: String,
    pub port: u16,
    pub folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// A Deployment of four replicas.
pub fn deployment(namespace: &str, name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "replicas": 4,
            "progressDeadlineSeconds": 20,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{
                    "name": name, "image": image,
                    "resources": { "requests": { "cpu": "100m" } },
                }] },
            },
        },
    })
}

impl World {
    /// Under these guardrails, with rules that most stories need. The look after the start is left out, since no story
    /// waits two minutes for it.
    pub async fn start(guardrails: &str) -> Self {
        Self::under(&rules(), guardrails, "").await
    }

    /// Under these rules and guardrails, with more settings.
    pub async fn under(rules: &str, guardrails: &str, more: &str) -> Self {
        Self::with_environment(rules, guardrails, more, &[]).await
    }

    /// The same, with variables that the settings name.
    pub async fn with_environment(
        rules: &str,
        guardrails: &str,
        more: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        let cluster = KubernetesSandbox::start(0).await.expect("a free port");
        for name in ["shop", "bank"] {
            let namespace = format!("{{ apiVersion: v1, kind: Namespace, metadata: {{ name: {name} }} }}");
            cluster.load(&namespace).expect("a namespace");
        }
        cluster.behave("api:2", Behaviour::crash_loop());
        for (namespace, name) in [("shop", "api"), ("shop", "web"), ("shop", "db"), ("bank", "api")] {
            cluster.put(deployment(namespace, name, &format!("{name}:1"))).expect("a deployment");
        }
        cluster.put(deployment("kube-system", "dns", "dns:1")).expect("a deployment of the cluster's own");
        let prometheus = PrometheusSandbox::start(0, 1.0).await.expect("a free port");
        // One that scrapes nothing sees nothing.
        prometheus.add([Series::new("up", &[("job", "prometheus")], Signal::Constant(1.0))]);
        let slack = SlackSandbox::start(SlackOptions::default()).await.expect("a free port");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("rules.yaml"), rules).expect("written");
        std::fs::write(folder.path().join("kubeconfig"), cluster.kubeconfig()).expect("written");
        let port = free_port();
        let settings = format!(
            "server: {{ listen: '127.0.0.1:{port}' }}\n\
             people: [{{ name: una, role: approver, slack: U0UNA }}]\n\
             api: {{ tokens: [{{ name: laptop, person: una, role: admin, token: {{ env: API }} }}] }}\n\
             kubernetes: {{ kubeconfig: kubeconfig }}\n\
             prometheus: {{ url: '{}' }}\n\
             slack: {{ api_url: '{}', bot_token: {{ env: BOT }}, signing_secret: {{ env: SIGNING }}, team_id: {}, app_id: {}, default_channel: '#incidents' }}\n\
             guardrails: {{ {guardrails} }}\n\
             rules: [rules.yaml]\nmode: enforce\n{more}\n",
            prometheus.base_url(),
            slack.api_url(),
            slack.options().team_id,
            slack.options().app_id,
        );
        slack.set_interactivity_url(format!("http://127.0.0.1:{port}/webhooks/slack"));
        let options = slack.options();
        let own = [("API", TOKEN), ("BOT", &options.bot_token), ("SIGNING", &options.signing_secret)];
        let own = own.into_iter().chain(variables.iter().copied());
        let environment: Vec<_> = own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let service = serve(folder.path(), &settings, port, &environment).await;
        let world = Self { cluster, prometheus, slack, service, settings, port, folder, environment };
        world.settle();
        world
    }

    /// A minute of the cluster passes, in which controllers come to rest.
    pub fn settle(&self) {
        for _ in 0..30 {
            self.cluster.step(Duration::from_secs(2));
        }
    }

    /// The process is killed, and another one takes over.
    pub async fn kill_and_restart(&mut self) {
        self.service.kill();
        self.service = serve(self.folder.path(), &self.settings, self.port, &self.environment).await;
    }

    /// Another replica of the service.
    pub async fn replica(&self) -> Server {
        let port = free_port();
        let folder = self.folder.path().join(format!("replica-{port}"));
        std::fs::create_dir(&folder).expect("a folder");
        for name in ["rules.yaml", "kubeconfig"] {
            std::fs::copy(self.folder.path().join(name), folder.join(name)).expect("copied");
        }
        let settings =
            self.settings.replace(&format!("127.0.0.1:{}", self.port), &format!("127.0.0.1:{port}"));
        serve(&folder, &settings, port, &self.environment).await
    }

    /// Approves the newest action.
    pub async fn approve(&self, incident: &Value) {
        let id = newest(incident)["id"].as_str().expect("an id").to_owned();
        let answer = self.post(&format!("/api/v1/actions/{id}/approve")).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    }

    /// Asks something of the API in Una's name.
    pub async fn post(&self, path: &str) -> reqwest::Response {
        let url = format!("{}{path}", self.service.url());
        http_client().post(url).bearer_auth(TOKEN).send().await.expect("an answer")
    }

    /// Somebody puts another image into `shop/api`.
    pub fn roll_out(&self, image: &str) {
        let mut changed = self.deployment("api");
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        self.cluster.put(changed).expect("a new revision");
    }

    /// Somebody rolls out what crashes, and the rollout hangs.
    pub fn roll_out_badly(&self) {
        self.roll_out("api:2");
        self.settle();
    }

    /// An alert about `shop/api`.
    pub async fn alert(&self, name: &str, status: &str) {
        self.alerts(&self.service.url(), &[about(name, "shop", "api", status)]).await;
    }

    /// An alert about `shop/api` ends and begins anew, in this month.
    pub async fn alert_anew(&self, name: &str, month: u32) {
        let mut ended = about(name, "shop", "api", "resolved");
        ended["endsAt"] = json!(format!("2026-{month:02}-01T00:00:00Z"));
        self.alerts(&self.service.url(), &[ended]).await;
        let mut begun = about(name, "shop", "api", "firing");
        begun["startsAt"] = json!(format!("2026-{month:02}-02T00:00:00Z"));
        self.alerts(&self.service.url(), &[begun]).await;
    }

    /// Alerts in one webhook, to a service at this address.
    pub async fn alerts(&self, service: &str, alerts: &[Value]) {
        let body = json!({ "version": "4", "alerts": alerts }).to_string();
        let url = format!("{service}/webhooks/alertmanager");
        let answer = http_client().post(url).body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.service.url());
        http_client().get(url).bearer_auth(TOKEN).send().await.expect("an answer").json().await.expect("JSON")
    }

    /// The newest incident.
    pub async fn incident(&self) -> Option<Value> {
        self.incidents().await.pop()
    }

    /// All incidents, oldest first.
    pub async fn incidents(&self) -> Vec<Value> {
        let list = self.get("/api/v1/incidents").await;
        let mut all = Vec::new();
        for one in list["incidents"].as_array().expect("a list").iter().rev() {
            all.push(self.get(&format!("/api/v1/incidents/{}", one["id"].as_str().expect("an id"))).await);
        }
        all
    }

    /// The newest incident, once its newest action stands so.
    pub async fn once(&self, status: &str) -> Value {
        self.once_that(status, |action| action["status"] == status).await
    }

    /// The newest incident, once its newest action is as it should be.
    pub async fn once_that(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let seen = RefCell::new(String::new());
        eventually(&format!("the action is {what}"), PATIENCE, async || {
            let incident = self.incident().await?;
            let action = newest(&incident);
            let stand = format!("{}: {} ({})", action["remedy"], action["status"], action["reason"]);
            if *seen.borrow() != stand {
                eprintln!("{stand}");
                seen.replace(stand);
            }
            fits(action).then_some(incident)
        })
        .await
    }

    pub fn deployment(&self, name: &str) -> Value {
        self.cluster.get("deployments", "shop", name).expect("it is there")
    }

    pub fn image(&self) -> Value {
        self.deployment("api")["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    }

    /// Writes that changed something, as the cluster recorded them.
    pub fn writes(&self) -> Vec<String> {
        let entries = self.cluster.writes().entries();
        let real = entries
            .iter()
            .filter(|write| !write.what.dry_run && !write.what.resource.starts_with("selfsubject"));
        real.map(|write| format!("{} {}", write.what.verb, write.what.path)).collect()
    }

    /// Waits until people read these words in Slack.
    pub async fn people_read(&self, words: &str) {
        eventually(&format!("Slack says: {words}"), PATIENCE, async || {
            let messages = self.slack.messages("#incidents");
            messages.iter().any(|message| format!("{message:?}").contains(words)).then_some(())
        })
        .await;
    }

    /// A guardrail stopped the newest action of an incident, with these words in its reason, its timeline and Slack.
    pub async fn is_stopped(&self, incident: &Value, guardrail: &str, words: &str) {
        let action = newest(incident);
        assert_eq!(action["status"], "blocked", "{action}");
        assert_eq!(action["reason_code"], guardrail, "{action}");
        assert!(action["reason"].as_str().is_some_and(|reason| reason.contains(words)), "{action}");
        let timeline = incident["timeline"].as_array().expect("lines");
        let told = timeline.iter().any(|line| {
            line["reason"] == guardrail && line["text"].as_str().is_some_and(|text| text.contains(words))
        });
        assert!(told, "the timeline says why: {timeline:?}");
        self.people_read(words).await;
    }

    /// What `explain` says of the first remedy for such an alert, with a look at the world.
    pub async fn explain(&self, name: &str, namespace: &str, deployment: &str) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smokejumper"));
        command.args(["explain", "--config", "smokejumper.yaml", "--diagnose", "--output", "json"]);
        command.arg(format!("--alertname={name}"));
        for (name, value) in [("namespace", namespace), ("deployment", deployment)] {
            // A label without a value is none.
            if !value.is_empty() {
                command.arg(format!("--label={name}={value}"));
            }
        }
        command.current_dir(self.folder.path()).envs(self.environment.iter().cloned());
        // Whom it asks are servers of this very runtime.
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
        let output = output.expect("it runs");
        let document: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        document["alerts"][0]["decisions"][0].clone()
    }
}

/// An alert as Alertmanager sends it.
pub fn about(name: &str, namespace: &str, deployment: &str, status: &str) -> Value {
    let labels = json!({
        "alertname": name, "namespace": namespace, "deployment": deployment, "severity": "critical",
    });
    let mut alert = json!({ "status": status, "labels": labels, "startsAt": "2026-01-01T00:00:00Z" });
    if status == "resolved" {
        alert["endsAt"] = json!("2026-01-01T01:00:00Z");
    }
    alert
}

/// The newest action of an incident; null where there is none.
pub fn newest(incident: &Value) -> &Value {
    incident["actions"].as_array().and_then(|actions| actions.last()).unwrap_or(&Value::Null)
}

async fn serve(folder: &Path, settings: &str, port: u16, environment: &[(String, String)]) -> Server {
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    servers::smokejumper(folder, settings, port, &environment).await
}
