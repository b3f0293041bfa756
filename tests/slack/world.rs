//! The service between a Slack workspace and the one thing that its remedy touches.

use crate::recorder::Recorder;
use crate::servers::{self, Server, eventually, free_port, http_client};
use serde_json::{Value, json};
use smokejumper::sandbox::slack::{Interaction, Message, RateLimits, SlackOptions, SlackSandbox, User};
use std::sync::Arc;
use std::time::Duration;

/// Generous: a loaded machine with two cores runs everything at once.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const API_TOKEN: &str = "admin-token-for-tests";

/// Of the same person who clicks as Una.
pub const UNAS_TOKEN: &str = "token-of-una-for-tests";

const RULES: &str = r##"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: errors }
spec:
  matchers: ['alertname="Errors"']
  severity: P1
  groupBy: [service]
  escalation: night
  remedies:
    - name: limit
      tier: T2
      action: { http.call: { endpoint: limiter, path: "/{{ labels.service }}" } }
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: hasty }
spec:
  matchers: ['alertname="Hasty"']
  severity: P1
  groupBy: [service]
  escalation: night
  remedies:
    - name: limit
      tier: T2
      approvalExpires: 10s
      action: { http.call: { endpoint: limiter, path: "/{{ labels.service }}" } }
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: grave }
spec:
  matchers: ['alertname="Grave"']
  severity: P1
  groupBy: [service]
  escalation: night
  remedies:
    - name: limit
      tier: T3
      action: { http.call: { endpoint: limiter, path: "/{{ labels.service }}" } }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  levels:
    - { name: first, after: 0s, destinations: [{ slack: { channel: "#incidents" } }] }
  fallback: [{ slack: { channel: "#leads" } }]
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: called }
spec:
  matchers: ['alertname="Called"']
  severity: P1
  groupBy: [service]
  escalation: duty
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: duty }
spec:
  levels:
    - { name: whoever is on call, after: 0s, destinations: [{ on_call: watch }] }
  fallback: [{ slack: { channel: "#leads" } }]
---
apiVersion: smokejumper.dev/v1
kind: Schedule
metadata: { name: watch }
spec:
  rotations:
    - { name: always, people: [ravi], start: '2026-01-05', handover: '09:00', every: weekly, weekday: monday }
---
apiVersion: smokejumper.dev/v1
kind: Schedule
metadata: { name: primary }
spec:
  location: Europe/Berlin
  rotations:
    - { name: week, people: [una, ravi], start: '2026-01-05', handover: '09:00', every: weekly, weekday: monday }
"##;

/// How what people press reaches the service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Transport {
    Https,
    SocketMode,
}

/// Both ways.
pub const TRANSPORTS: [Transport; 2] = [Transport::Https, Transport::SocketMode];

pub struct World {
    folder: tempfile::TempDir,
    settings: String,
    pub slack: Arc<SlackSandbox>,
    pub recorder: Recorder,
    pub service: Server,
}

impl World {
    pub async fn start(transport: Transport) -> Self {
        Self::with(transport, "", |_| {}).await
    }

    /// `more` is added to the settings of Slack, a line each, indented by two.
    /// `prepare` is done to the workspace before the service starts.
    pub async fn with(transport: Transport, more: &str, prepare: impl FnOnce(&SlackSandbox)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("rules.yaml"), RULES).expect("a file");
        let socket_mode = transport == Transport::SocketMode;
        let mut options =
            SlackOptions { socket_mode, rate_limits: RateLimits::Off, ..SlackOptions::default() };
        options.users.push(User::new("U0LI", "li", "Li Wei", "On-call engineer"));
        let guest = User::new("U0GIL", "gil", "Gil Amar", "Contractor");
        options.users.push(User { is_guest: true, ..guest });
        let stranger = User::new("U0OLA", "ola", "Ola Berg", "At a customer");
        options.users.push(User { other_team: Some("T0OTHER".to_owned()), ..stranger });
        let slack = Arc::new(SlackSandbox::start(options).await.expect("slack"));
        prepare(&slack);
        let recorder = Recorder::start().await;
        let port = free_port();
        slack.set_interactivity_url(format!("http://127.0.0.1:{port}/webhooks/slack"));
        let proof = match transport {
            Transport::Https => "signing_secret: { env: SLACK_SIGNING_SECRET }",
            Transport::SocketMode => "app_token: { env: SLACK_APP_TOKEN }",
        };
        let settings = format!(
            r##"
server: {{ listen: "127.0.0.1:{port}" }}
store: {{ url: "sqlite://{store}" }}
api:
  tokens:
    - {{ name: tester, role: admin, token: {{ env: API_TOKEN }} }}
    - {{ name: laptop, role: approver, person: una, token: {{ env: UNAS_TOKEN }} }}
receivers: {{ alertmanager: {{ bearer_tokens: [{{ env: API_TOKEN }}] }} }}
slack:
  api_url: "{api}"
  bot_token: {{ env: SLACK_BOT_TOKEN }}
  team_id: "{team}"
  app_id: "{app}"
  {proof}
{more}
people:
  - {{ name: una, slack: U0UNA, role: approver }}
  - {{ name: li, email: li@example.com, role: approver }}
  - {{ name: ravi, slack: U0RAVI, role: approver }}
  - {{ name: mei, slack: U0MEI, role: admin }}
endpoints: {{ limiter: {{ url: "{limiter}", method: POST }} }}
rules: ["rules.yaml"]
mode: enforce
guardrails: {{ boot_hold: 0s, cooldown: 0s, correlation: {{ targets: 0, targets_in_namespace: 0, targets_in_all: 0 }} }}
"##,
            store = folder.path().join("slack.db").display(),
            api = slack.api_url(),
            team = slack.options().team_id,
            app = slack.options().app_id,
            limiter = recorder.url(),
        );
        let service = serve(folder.path(), &settings, port, &slack).await;
        let world = Self { folder, settings, slack, recorder, service };
        if socket_mode {
            world.connected(1).await;
        }
        world
    }

    pub async fn kill_and_restart(&mut self) {
        self.service.kill();
        let (folder, port) = (self.folder.path(), self.service.port);
        self.service = serve(folder, &self.settings, port, &self.slack).await;
    }

    /// Another hand on the database of the service.
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("slack.db")).expect("it opens")
    }

    /// Waits until so many connections of Socket Mode are open.
    pub async fn connected(&self, count: usize) {
        eventually(&format!("{count} connections"), PATIENCE, async || {
            (self.slack.connections() == count).then_some(())
        })
        .await;
    }

    pub async fn fire(&self, service: &str) {
        self.fire_as("Errors", service).await;
    }

    pub async fn fire_as(&self, alertname: &str, service: &str) {
        self.fire_all(alertname, &[service.to_owned()]).await;
    }

    /// One webhook with an alert for each service.
    pub async fn fire_all(&self, alertname: &str, services: &[String]) {
        let starts_at = jiff::Timestamp::now().to_string();
        let alert = |service: &String| {
            json!({
                "status": "firing", "startsAt": starts_at,
                "labels": { "alertname": alertname, "service": service },
            })
        };
        let body = json!({ "version": "4", "alerts": services.iter().map(alert).collect::<Vec<_>>() });
        let url = format!("{}/webhooks/alertmanager", self.service.url());
        let sent = http_client().post(url).bearer_auth(API_TOKEN).body(body.to_string()).send().await;
        assert_eq!(sent.expect("an answer").status(), 200);
    }

    pub async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.service.url());
        let sent = http_client().get(url).bearer_auth(API_TOKEN).send().await;
        sent.expect("an answer").json().await.expect("JSON")
    }

    pub async fn metrics(&self) -> String {
        let sent = http_client().get(format!("{}/metrics", self.service.url())).send().await;
        sent.expect("an answer").text().await.expect("text")
    }

    /// The newest incident.
    pub async fn incident(&self) -> Option<Value> {
        let page = self.get("/api/v1/incidents").await;
        let id = page["incidents"].get(0)?["id"].as_str()?.to_owned();
        Some(self.get(&format!("/api/v1/incidents/{id}")).await)
    }

    /// The newest incident, once it is as it should be.
    pub async fn incident_where(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        eventually(what, PATIENCE, async || self.incident().await.filter(|incident| fits(incident))).await
    }

    /// The card, once it has this button.
    pub async fn card_with(&self, action_id: &str) -> Message {
        eventually(&format!("a card with {action_id}"), PATIENCE, async || {
            let messages = self.slack.messages("#incidents");
            messages.into_iter().find(|message| format!("{:?}", message.blocks).contains(action_id))
        })
        .await
    }

    /// Waits until the service knows of this message as the incident's own.
    pub async fn adopted(&self, card: &Message) {
        eventually("the card is known", PATIENCE, async || {
            let known: String = self
                .database()
                .query_row("SELECT body FROM incident", [], |row| row.get(0))
                .expect("one incident");
            known.contains(&card.ts).then_some(())
        })
        .await;
    }

    /// Waits until nothing is left to be told.
    pub async fn all_told(&self) {
        eventually("everything is told", PATIENCE, async || {
            let waiting: i64 = self
                .database()
                .query_row("SELECT COUNT(*) FROM effect WHERE kind = 'notify'", [], |row| row.get(0))
                .expect("a count");
            (waiting == 0).then_some(())
        })
        .await;
    }

    pub async fn press(&self, card: &Message, action_id: &str, user: &str) -> Interaction {
        self.slack.click(&card.channel, &card.ts, action_id, user).await.expect("the button is there")
    }

    /// One decision, one message, and one effect; none where a kill met the call itself, whose end nobody knows then.
    pub async fn judge_approved_once(&self) {
        let is_over =
            |it: &Value| matches!(it["actions"][0]["status"].as_str(), Some("succeeded" | "outcome_unknown"));
        let incident = self.incident_where("the action has come to its end", is_over).await;
        assert_eq!(incident["actions"][0]["approvals"], json!(["una: approved"]), "one decision");
        assert_eq!(incident["actions"].as_array().map(Vec::len), Some(1));
        let approved = incident["timeline"].as_array().expect("lines").iter();
        assert_eq!(approved.filter(|line| line["reason"] == "approved").count(), 1);
        let calls = self.recorder.calls();
        let count: u64 = calls.values().sum();
        let least = u64::from(incident["actions"][0]["status"] == "succeeded");
        assert!((least..=1).contains(&count), "one effect: {calls:?}");
        let messages = self.slack.messages("#incidents");
        let top = messages.iter().filter(|it| it.thread_ts.is_none() && it.only_for.is_none()).count();
        assert_eq!(top, 1, "one message: {messages:#?}");
    }
}

async fn serve(folder: &std::path::Path, settings: &str, port: u16, slack: &SlackSandbox) -> Server {
    let options = slack.options();
    let environment = [
        ("API_TOKEN", API_TOKEN),
        ("UNAS_TOKEN", UNAS_TOKEN),
        ("SLACK_BOT_TOKEN", options.bot_token.as_str()),
        ("SLACK_APP_TOKEN", options.app_token.as_str()),
        ("SLACK_SIGNING_SECRET", options.signing_secret.as_str()),
    ];
    servers::smokejumper(folder, settings, port, &environment).await
}
