//! PagerDuty both ways: what people do there happens here, also what they did while the product was down.

use crate::servers::{self, eventually, free_port, http_client};
use crate::{API_TOKEN, PATIENCE, RECEIVER_TOKEN};
use serde_json::{Value, json};
use smokejumper::sandbox::pagerduty::webhooks::Delivered;
use smokejumper::sandbox::pagerduty::{Deed, PagerDutyOptions, PagerDutySandbox, Service, Status};

const RULES: &str = r##"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: down }
spec: { matchers: ['alertname="ServiceDown"'], severity: P1, groupBy: [service], escalation: default }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: default }
spec:
  levels: [{ name: on-call, after: 0s, destinations: [{ pagerduty: { service: pss-nano } }] }]
  fallback: [{ pagerduty: { service: pss-nano } }]
"##;

struct Story {
    folder: tempfile::TempDir,
    pagerduty: PagerDutySandbox,
    port: u16,
    server: servers::Server,
}

impl Story {
    async fn begin() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("rules.yaml"), RULES).expect("a file");
        let options =
            PagerDutyOptions { services: vec![Service::new("pss-nano")], ..PagerDutyOptions::default() };
        let pagerduty = PagerDutySandbox::start(options).await.expect("pagerduty");
        let port = free_port();
        let server = start(&folder, &pagerduty, port).await;
        pagerduty.subscribe(format!("http://127.0.0.1:{port}/webhooks/pagerduty"));
        Self { folder, pagerduty, port, server }
    }

    async fn fire(&self) {
        let labels = json!({ "alertname": "ServiceDown", "service": "api" });
        let alert = json!({ "status": "firing", "labels": labels, "annotations": {},
            "startsAt": jiff::Timestamp::now().to_string() });
        let url = format!("{}/webhooks/alertmanager", self.server.url());
        let body = json!({ "version": "4", "alerts": [alert] });
        let answer = http_client().post(url).bearer_auth(RECEIVER_TOKEN).json(&body).send().await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }

    async fn incident(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        eventually(what, PATIENCE, async || {
            let get = async |path: &str| {
                let url = format!("{}{path}", self.server.url());
                let answer = http_client().get(url).bearer_auth(API_TOKEN).send().await.ok()?;
                answer.json::<Value>().await.ok()
            };
            let id = get("/api/v1/incidents").await?["incidents"].get(0)?["id"].as_str()?.to_owned();
            get(&format!("/api/v1/incidents/{id}")).await.filter(|incident| fits(incident))
        })
        .await
    }

    /// The incident there, once it stands so.
    async fn paged(&self, status: Status) {
        eventually("PagerDuty stands so", PATIENCE, async || {
            self.pagerduty.incidents().first().filter(|incident| incident.status == status).map(drop)
        })
        .await;
    }
}

async fn start(folder: &tempfile::TempDir, pagerduty: &PagerDutySandbox, port: u16) -> servers::Server {
    let settings = format!(
        r##"
server: {{ listen: "127.0.0.1:{port}" }}
store: {{ url: "sqlite://pagerduty.db" }}
receivers: {{ alertmanager: {{ bearer_tokens: [{{ env: AM_TOKEN }}] }} }}
api: {{ tokens: [{{ name: tester, role: admin, token: {{ env: API_TOKEN }} }}] }}
people: [{{ name: una, pagerduty: PUNA, role: responder }}]
pagerduty:
  events_url: "{0}"
  api: {{ url: "{0}", token: {{ env: PD_API }}, from: smokejumper@example.com }}
  services: {{ pss-nano: {{ routing_key: {{ env: PD_KEY }}, webhook_secret: {{ env: PD_WEBHOOKS }} }} }}
rules: ["rules.yaml"]
"##,
        pagerduty.events_url(),
    );
    let environment = [
        ("AM_TOKEN", RECEIVER_TOKEN),
        ("API_TOKEN", API_TOKEN),
        ("PD_KEY", pagerduty.services()[0].routing_key.as_str()),
        ("PD_WEBHOOKS", pagerduty.webhook_secret()),
        ("PD_API", pagerduty.api_token()),
    ];
    servers::smokejumper(folder.path(), &settings, port, &environment).await
}

fn lines(incident: &Value) -> Vec<&str> {
    let lines = incident["timeline"].as_array().expect("a timeline").iter();
    lines.filter_map(|line| line["text"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pagerduty_and_the_product_tell_the_same_story_and_a_kill_loses_no_word_of_it() {
    let mut story = Story::begin().await;
    story.fire().await;
    story.paged(Status::Triggered).await;

    // While the product is down, PagerDuty repeats what it cannot deliver.
    story.server.kill();
    story.pagerduty.act(1, "una", &Deed::Acknowledge).expect("open");
    story.pagerduty.act(1, "una", &Deed::Note { text: "looks like the pool".to_owned() }).expect("open");
    let again = |entries: &[_]| {
        entries.iter().any(|entry: &smokejumper::sandbox::record::Entry<_>| {
            let attempt: &smokejumper::sandbox::pagerduty::webhooks::WebhookAttempt = &entry.what;
            attempt.event_type == "incident.acknowledged" && attempt.delivered == Delivered::Again
        })
    };
    story.pagerduty.webhooks().wait_until(PATIENCE, again).await.expect("a try in vain");
    story.server = start(&story.folder, &story.pagerduty, story.port).await;
    let note = "note in PagerDuty by una: looks like the pool";
    let incident = story.incident("una has it, and has said what she knows", |incident| {
        incident["status"] == "acknowledged" && lines(incident).contains(&note)
    });
    let incident = incident.await;
    assert_eq!(incident["acknowledged_by"], "una");

    // Our own word that comes back is no news: nothing goes round in circles.
    let sent = story.pagerduty.events().total();
    story.pagerduty.act(1, "una", &Deed::Unacknowledge).expect("hers");
    let released = story.incident("nobody has it", |incident| incident["status"] == "triggered").await;
    assert!(lines(&released).contains(&"given back by una"), "{:?}", lines(&released));
    story.pagerduty.act(1, "ben", &Deed::Reassign { to: "mei".to_owned() }).expect("open");
    // Whoever takes it here stands there by name, in a note that does not come back as news.
    let id = released["id"].as_str().expect("an identity");
    let url = format!("{}/api/v1/incidents/{id}/acknowledge", story.server.url());
    let taken = http_client().post(url).bearer_auth(API_TOKEN).json(&json!({})).send().await;
    assert!(taken.expect("an answer").status().is_success());
    eventually("the note is there", PATIENCE, async || {
        let notes = story.pagerduty.incidents()[0].notes.clone();
        (notes == ["[smokejumper] tester has it (api)"]).then_some(())
    })
    .await;
    let given = "given in PagerDuty by ben to mei";
    story.incident("it is known who has it now", |incident| lines(incident).contains(&given)).await;
    // The settings do not name Mei: what she calls herself there must not read as somebody here.
    story.pagerduty.act(1, "mei", &Deed::Resolve).expect("open");
    let resolved = story.incident("it is over", |incident| incident["status"] == "resolved").await;
    assert!(lines(&resolved).contains(&"resolved by pagerduty:mei"), "{:?}", lines(&resolved));
    assert_eq!(story.pagerduty.incidents().len(), 1, "nobody was paged anew");
    let more = story.pagerduty.events().total() - sent;
    assert!(more <= 4, "{more} events went out for four deeds");
    let all = lines(&resolved);
    assert!(!all.iter().any(|line| line.contains("[smokejumper]")), "{all:?}");
}
