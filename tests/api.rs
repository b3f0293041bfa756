//! `docs/api.md` is held to the service: its table of routes to the OpenAPI document and to the router, and each of
//! its examples to what the built binary answers.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test starts the service, and says why it did not start"
)]

#[path = "support/servers.rs"]
mod servers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use servers::{Server, eventually, free_port, http_client};
use smokejumper::clients::signing::sign_hex;
use smokejumper::http::api::description;

const PAGE: &str = include_str!("../docs/api.md");
const ROUTER: &str = include_str!("../src/http/routes.rs");

const TOKEN: &str = "admin-token-for-tests";
const PAGERDUTY_SECRET: &str = "pagerduty-secret-for-tests";
const GRAFANA_SECRET: &str = "grafana-secret-for-tests";
const RECEIVER_TOKEN: &str = "alertmanager-token-for-tests";

/// Longest wait for what the service does by itself; generous, since machines that test are busy.
const PATIENCE: Duration = Duration::from_secs(60);

const RULES: &str = r#"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: shop-high-error-rate }
spec:
  matchers: ['alertname="HighErrorRate"']
  severity: P1
  groupBy: [service]
  escalation: night
  diagnostics: [{ name: error_ratio, prom.query: { expr: up } }]
  remedies:
    - { name: shed-load, action: { http.call: { endpoint: waf, path: '/limits/{{ labels.service }}' } } }
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: by-hand }
spec:
  matchers: ['alertname="ByHand"']
  severity: P2
  groupBy: [service]
  remedies: [{ name: mend, action: { human.task: { title: 'Mend {{ labels.service }}', steps: [Look, Mend] } } }]
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  levels:
    - { name: on-call, after: 0s, destinations: [{ slack: { channel: '#night' } }] }
    - { name: lead, after: 15m, destinations: [{ slack: { channel: '#leads' } }] }
  fallback: [{ slack: { channel: '#night' } }]
---
apiVersion: smokejumper.dev/v1
kind: Schedule
metadata: { name: shop }
spec:
  location: Europe/Berlin
  rotations:
    - { name: primary, people: [ben, una], start: 2026-02-16, handover: '09:00', every: weekly }
"#;

fn settings(port: u16) -> String {
    format!(
        "server: {{ listen: '127.0.0.1:{port}' }}\n\
         receivers:\n  alertmanager: {{ bearer_tokens: [{{ env: AM }}] }}\n\
         \x20 grafana: {{ bearer_tokens: [{{ env: AM }}], hmac: {{ secret: {{ env: GRAFANA }}, timestamp_header: X-Time }} }}\n\
         people: [{{ name: una, role: approver, slack: U0123456789, pagerduty: PU1 }}, {{ name: ben, role: responder }}]\n\
         pagerduty: {{ webhook_secret: {{ env: PD }} }}\n\
         api: {{ tokens: [{{ name: laptop, person: una, role: admin, token: {{ env: API }} }}] }}\n\
         endpoints: {{ waf: {{ url: 'http://127.0.0.1:9', method: PUT }} }}\n\
         rules: [rules.yaml]\nmode: enforce\n\
         guardrails: {{ correlation: {{ targets: 0, targets_in_namespace: 0, targets_in_all: 0 }} }}\n"
    )
}

/// The service with an incident for each example that changes one.
struct Service {
    server: Server,
    folder: tempfile::TempDir,
}

impl Service {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("rules.yaml"), RULES).expect("written");
        let port = free_port();
        let environment =
            [("AM", RECEIVER_TOKEN), ("API", TOKEN), ("GRAFANA", GRAFANA_SECRET), ("PD", PAGERDUTY_SECRET)];
        let server = servers::smokejumper(folder.path(), &settings(port), port, &environment).await;
        Self { server, folder }
    }

    async fn fire(&self, alertname: &str, service: &str) {
        let alert = json!({ "status": "firing", "labels": { "alertname": alertname, "service": service } });
        let url = format!("{}/webhooks/alertmanager", self.server.url());
        let body = json!({ "version": "4", "alerts": [alert] }).to_string();
        let answer =
            http_client().post(url).bearer_auth(RECEIVER_TOKEN).body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.server.url());
        http_client().get(url).bearer_auth(TOKEN).send().await.expect("an answer").json().await.expect("JSON")
    }

    /// The incident of a service, once it waits for people.
    async fn waiting(&self, service: &str) -> Value {
        eventually("the incident waits for people", PATIENCE, async || {
            for listed in self.get("/api/v1/incidents").await["incidents"].as_array().expect("incidents") {
                let incident = self.get(&format!("/api/v1/incidents/{}", text(&listed["id"]))).await;
                let waits = incident["actions"][0]["status"] == "awaiting_approval"
                    || incident["tasks"][0].is_object();
                if incident["labels"]["service"] == service && waits {
                    return Some(incident);
                }
            }
            None
        })
        .await
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// The rows of the table of routes: method and path.
fn routes_of_the_page() -> BTreeSet<(String, String)> {
    let rows = PAGE
        .lines()
        .filter(|line| ["| GET ", "| POST ", "| PUT "].iter().any(|start| line.starts_with(start)));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        (cells[1].to_owned(), cells[2].trim_matches('`').to_owned())
    })
    .collect()
}

fn document() -> Value {
    serde_json::to_value(description()).expect("JSON")
}

#[test]
fn the_routes_of_the_page_are_those_of_the_openapi_document() {
    let document = document();
    let paths = document["paths"].as_object().expect("paths").iter();
    let described: BTreeSet<(String, String)> = paths
        .flat_map(|(path, item)| {
            item.as_object().expect("methods").keys().map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    assert_eq!(routes_of_the_page(), described);
}

#[test]
fn every_route_of_the_router_is_on_the_page() {
    let routes: Vec<&str> =
        ROUTER.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(routes.len() > 15, "{routes:?}");
    for route in routes {
        assert!(PAGE.contains(&format!("`{route}`")), "docs/api.md does not name {route}");
    }
}

#[test]
fn the_openapi_document_is_sound() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut identities = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            assert!(
                identities.insert(text(&operation["operationId"]).to_owned()),
                "{method} {path} has another's identity"
            );
            hold_words(operation, &format!("{method} {path}"), &document);
            let needs_token = operation["security"].is_array();
            assert_eq!(needs_token, path.starts_with("/api/v1/") || path == "/-/reload", "{path}");
            assert_eq!(
                operation["responses"]["401"].is_object(),
                needs_token || path.starts_with("/webhooks/"),
                "{path}"
            );
        }
    }
}

/// Every part of an operation is described, and every error is a problem.
fn hold_words(operation: &Value, place: &str, document: &Value) {
    let said = |value: &Value, what: &str| {
        assert!(value.as_str().is_some_and(|words| words.len() > 5), "{place}: {what} says nothing: {value}");
    };
    said(&operation["summary"], "the summary");
    assert!(!operation.to_string().contains("# Errors"), "{place}: a doc comment's heading shows");
    let known: Vec<&Value> =
        document["tags"].as_array().expect("tags").iter().map(|tag| &tag["name"]).collect();
    let tags = operation["tags"].as_array().unwrap_or_else(|| panic!("{place} has no tag"));
    assert!(tags.len() == 1 && known.contains(&&tags[0]), "{place}: {tags:?} is not one of {known:?}");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        said(&parameter["description"], text(&parameter["name"]));
    }
    if operation["requestBody"].is_object() {
        said(&operation["requestBody"]["description"], "the body");
    }
    for (status, answer) in operation["responses"].as_object().expect("responses") {
        said(&answer["description"], status);
        let forms: Vec<&String> =
            answer["content"].as_object().into_iter().flat_map(|all| all.keys()).collect();
        let form = match (status.as_str(), place) {
            // Whoever asks whether it is ready reads one form either way.
            ("503", "get /ready") => "application/json",
            ("200", "get /metrics") => "application/openmetrics-text",
            // Senders want no body.
            ("200", place) if place.starts_with("post /webhooks/") => continue,
            ("200", _) => "application/json",
            _ => "application/problem+json",
        };
        assert_eq!(forms, [form], "{place}: {status}");
    }
}

#[test]
fn every_field_of_every_shape_is_described() {
    let document = document();
    let mut fields = 0;
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        assert!(schema["description"].is_string(), "{name} says nothing");
        let parts = schema["allOf"].as_array().map_or_else(|| vec![schema], |parts| parts.iter().collect());
        for (field, shape) in parts.iter().flat_map(|part| part["properties"].as_object()).flatten() {
            assert!(shape["description"].is_string(), "{name}.{field} says nothing");
            fields += 1;
        }
    }
    assert!(fields > 80, "{fields} fields");
    for tag in document["tags"].as_array().expect("tags") {
        assert!(tag["description"].is_string(), "{tag}");
    }
}

/// A request of the page, and the answer that is shown below it.
struct Example {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    answer: Option<Value>,
}

/// All requests of the page with the JSON that follows each.
fn examples() -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("```") {
        let Some((block, behind)) = after.split_once("```") else { break };
        if let Some(script) = block.strip_prefix("sh\n").filter(|script| script.starts_with("curl ")) {
            examples.push(request(script));
        } else if let Some(json) = block.strip_prefix("json\n") {
            assert!(before.trim().is_empty(), "an answer follows its request at once: {json}");
            let answer = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
            examples.last_mut().expect("a request").answer = Some(answer);
        }
        rest = behind;
    }
    examples
}

fn request(script: &str) -> Example {
    let mut words = words(&script.replace("\\\n", " ")).into_iter().skip(1);
    let mut example = Example {
        method: "GET".to_owned(),
        url: String::new(),
        headers: Vec::new(),
        body: None,
        answer: None,
    };
    while let Some(word) = words.next() {
        let mut next = || words.next().expect("an argument");
        match word.as_str() {
            "-s" => {}
            "-X" => example.method = next(),
            "-d" => example.body = Some(next()),
            "-H" => {
                let header = next();
                let (name, value) = header.split_once(": ").expect("a header");
                example.headers.push((name.to_owned(), value.to_owned()));
            }
            url => example.url = url.to_owned(),
        }
    }
    example
}

/// Splits as a shell does, as far as the page needs it.
fn words(script: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for char in script.chars() {
        match (char, quote) {
            (' ' | '\n', None) => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()))
            }
            ('\'' | '"', None) => quote = Some(char),
            (char, Some(open)) if char == open => quote = None,
            (char, _) => word.push(char),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// Keys whose words are a contract: what the page shows is what comes.
const EXACT: [&str; 9] =
    ["status", "phase", "severity", "rule", "tier", "kind", "remedy", "reason_code", "alerts_firing"];

/// Whether the answer has everything that the page shows, in the same form.
fn fits(shown: &Value, came: &Value, place: &str) {
    match (shown, came) {
        (Value::Object(shown), Value::Object(came)) => {
            for (key, value) in shown {
                let place = format!("{place}.{key}");
                let other = came.get(key).unwrap_or_else(|| panic!("{place} is not in the answer: {came:?}"));
                if EXACT.contains(&key.as_str()) {
                    assert_eq!(value, other, "{place}");
                }
                fits(value, other, &place);
            }
        }
        (Value::Array(shown), Value::Array(came)) => {
            if let Some(first) = shown.first() {
                fits(
                    first,
                    came.first().unwrap_or_else(|| panic!("{place} is empty")),
                    &format!("{place}[0]"),
                );
            }
        }
        // What is null in one incident has a value in another.
        (Value::Null, _) => {}
        (shown, came) => {
            let same_kind = std::mem::discriminant(shown) == std::mem::discriminant(came);
            assert!(same_kind, "{place}: {shown} is shown and {came} came");
        }
    }
}

#[tokio::test]
async fn every_example_of_the_page_is_answered_as_it_says() {
    let service = Service::start().await;
    for name in ["taken", "by-hand", "called", "ended", "approved", "rejected"] {
        service.fire("HighErrorRate", name).await;
    }
    service.fire("ByHand", "cart-by-hand").await;
    let mut by_part: BTreeMap<&str, Value> = BTreeMap::new();
    let changed = [
        ("/acknowledge", "taken"),
        ("/take-over", "by-hand"),
        ("/escalate", "called"),
        ("/resolve", "ended"),
        ("/approve", "approved"),
        ("/reject", "rejected"),
        ("/tasks/", "cart-by-hand"),
    ];
    for (part, name) in changed {
        by_part.insert(part, service.waiting(name).await);
    }
    let examples = examples();
    assert!(examples.len() > 15, "only {} examples were found", examples.len());
    for example in examples {
        let incident = match by_part.iter().find(|(part, _)| example.url.contains(*part)) {
            Some((_, incident)) => incident.clone(),
            // The alert that the page itself sends.
            None if example.url.contains("$ID")
                || example.url.contains("/incidents?")
                || example.url.contains("/actions") =>
            {
                service.waiting("cart").await
            }
            None => Value::Null,
        };
        let action = &incident["actions"][0];
        let fill = |words: &str| {
            words
                .replace("$URL", &service.server.url())
                .replace("$TOKEN", TOKEN)
                .replace("$RECEIVER_TOKEN", RECEIVER_TOKEN)
                .replace("$ID", incident["id"].as_str().unwrap_or_default())
                .replace("$ACTION", action["id"].as_str().unwrap_or_default())
                .replace("$DIGEST", action["digest"].as_str().unwrap_or_default())
        };
        let method = example.method.parse().expect("a method");
        let mut request = http_client().request(method, fill(&example.url));
        for (name, value) in &example.headers {
            request = request.header(name, fill(value));
        }
        if let Some(body) = &example.body {
            request = request.body(body.clone());
        }
        let answer = request.send().await.expect("an answer");
        let what = format!("{} {}", example.method, example.url);
        let wanted = example.answer.as_ref().and_then(|shown| shown["status"].as_u64()).unwrap_or(200);
        assert_eq!(u64::from(answer.status().as_u16()), wanted, "{what}");
        if let Some(shown) = &example.answer {
            fits(shown, &answer.json().await.expect("JSON"), &what);
        }
    }
}

#[tokio::test]
async fn whoever_takes_an_incident_may_say_why_in_words_that_are_read() {
    let service = Service::start().await;
    service.fire("ByHand", "cart").await;
    let id = text(&service.waiting("cart").await["id"]).to_owned();
    let take = async |body: &'static str| {
        let url = format!("{}/api/v1/incidents/{id}/acknowledge", service.server.url());
        http_client().post(url).bearer_auth(TOKEN).body(body).send().await.expect("an answer")
    };
    for garbage in ["garbage", "[]", r#"{ "why": "x" }"#, r#"{ "reason": 7 }"#] {
        let answer = take(garbage).await;
        assert_eq!(answer.status(), 400, "{garbage}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    let answer = take(r#"{ "reason": "looking at the pool" }"#).await;
    assert_eq!(answer.status(), 200);
    let incident: Value = answer.json().await.expect("JSON");
    let lines: Vec<&str> =
        incident["timeline"].as_array().expect("lines").iter().map(|line| text(&line["text"])).collect();
    // By the name of the person who holds the token, as a click in Slack would be.
    assert!(lines.contains(&"acknowledged by una: looking at the pool"), "{lines:?}");
}

/// A webhook as Grafana sends it, with what it adds to Alertmanager's.
fn mk_grafana_body(labels: &Value, annotations: &Value) -> String {
    let alert = json!({
        "status": "firing", "labels": labels, "annotations": annotations, "startsAt": "2026-11-22T06:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z", "values": { "B": 0.3 }, "valueString": "[ var='B' value=0.3 ]",
        "silenceURL": "http://grafana/alerting/silence/new", "dashboardURL": "", "panelURL": "",
        "fingerprint": "57c6d9296de2ad39", "ruleUID": "abc",
    });
    json!({ "version": "1", "orgId": 1, "state": "alerting", "title": "[FIRING:1]", "message": "", "receiver": "sj",
        "status": "firing", "groupKey": "{}", "truncatedAlerts": 0, "alerts": [alert] })
    .to_string()
}

#[tokio::test]
async fn grafana_signs_what_it_sends_and_what_has_no_data_behind_it_leads_to_nothing() {
    let service = Service::start().await;
    let url = format!("{}/webhooks/grafana", service.server.url());
    let send = async |method: reqwest::Method, body: &str, secret: &str, age: i64, token: &str| {
        let time = (jiff::Timestamp::now().as_second() - age).to_string();
        let signature = sign_hex(&SecretString::from(secret), format!("{time}:{body}").as_bytes());
        let request = http_client().request(method, &url).bearer_auth(token).header("X-Time", time);
        let request = request.header("X-Grafana-Alerting-Signature", signature).body(body.to_owned());
        request.send().await.expect("an answer").status().as_u16()
    };
    let real = mk_grafana_body(&json!({ "alertname": "HighErrorRate", "service": "cart" }), &json!({}));
    let post = reqwest::Method::POST;
    assert_eq!(send(post.clone(), &real, "another secret", 0, RECEIVER_TOKEN).await, 401);
    assert_eq!(send(post.clone(), &real, GRAFANA_SECRET, 400, RECEIVER_TOKEN).await, 401, "it is old");
    assert_eq!(send(post.clone(), &real, GRAFANA_SECRET, 0, "another token").await, 401);
    assert_eq!(send(post.clone(), "{}", GRAFANA_SECRET, 0, RECEIVER_TOKEN).await, 400);
    assert_eq!(service.get("/api/v1/incidents").await["incidents"], json!([]));
    assert_eq!(send(post, &real, GRAFANA_SECRET, 0, RECEIVER_TOKEN).await, 200);
    service.waiting("cart").await;
    let reason = json!({ "grafana_state_reason": "NoData, KeepLast" });
    let blind = mk_grafana_body(&json!({ "alertname": "HighErrorRate", "service": "blind" }), &reason)
        .replace("57c6d9296de2ad39", "57c6d9296de2ad40");
    assert_eq!(send(reqwest::Method::PUT, &blind, GRAFANA_SECRET, 0, RECEIVER_TOKEN).await, 200);
    let action = eventually("it is blocked", PATIENCE, async || {
        let listed = service.get("/api/v1/actions?status=blocked").await;
        listed["actions"].as_array().and_then(|actions| actions.first().cloned())
    })
    .await;
    let why = "its alert says that data is missing (NoData, KeepLast), and not that something is wrong";
    assert_eq!((text(&action["reason_code"]), text(&action["reason"])), ("blind", why));
}

/// Posts a body as PagerDuty signs it; returns the status.
async fn post_signed(url: &str, body: String, secret: &str) -> u16 {
    let signature = format!("v1={}", sign_hex(&SecretString::from(secret), body.as_bytes()));
    let request = http_client().post(url).header("X-PagerDuty-Signature", signature).body(body);
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn whoever_takes_an_incident_in_pagerduty_has_it_here() {
    let service = Service::start().await;
    service.fire("HighErrorRate", "cart").await;
    let id = text(&service.waiting("cart").await["id"]).to_owned();
    let url = format!("{}/webhooks/pagerduty", service.server.url());
    let send = async |event: &str, number: u32, secret: &str| {
        let now = jiff::Timestamp::now();
        let una = json!({ "id": "PU1", "summary": "Somebody else", "type": "user_reference" });
        let data = match event {
            "incident.annotated" => {
                json!({ "id": "PN1", "type": "incident_note", "content": "it is the *pool*",
                "incident": { "id": "P1", "type": "incident_reference" } })
            }
            _ => {
                json!({ "id": "P1", "type": "incident", "incident_key": format!("smokejumper/{id}/0"), "assignees": [una] })
            }
        };
        let body = json!({ "event": { "id": format!("01B{number}"), "event_type": event, "resource_type": "incident",
            "occurred_at": now.to_string(), "agent": una, "client": null, "data": data } });
        post_signed(&url, body.to_string(), secret).await
    };
    let status = async |wanted: &str| {
        eventually(wanted, PATIENCE, async || {
            let incident = service.get(&format!("/api/v1/incidents/{id}")).await;
            (incident["status"] == wanted).then_some(incident)
        })
        .await
    };
    assert_eq!(send("incident.acknowledged", 1, "another secret").await, 401);
    assert_eq!(send("pagey.ping", 2, PAGERDUTY_SECRET).await, 200);
    // Refused three times in a row, PagerDuty would switch the subscription off for a day.
    for unreadable in ["", "garbage", "[]", r#"{ "event": { "id": 7 } }"#] {
        assert_eq!(post_signed(&url, unreadable.to_owned(), PAGERDUTY_SECRET).await, 200, "{unreadable}");
    }
    assert_eq!(send("incident.acknowledged", 3, PAGERDUTY_SECRET).await, 200);
    assert_eq!(text(&status("acknowledged").await["acknowledged_by"]), "una");
    assert_eq!(send("incident.unacknowledged", 4, PAGERDUTY_SECRET).await, 200);
    assert!(status("triggered").await["acknowledged_by"].is_null());
    assert_eq!(send("incident.annotated", 5, PAGERDUTY_SECRET).await, 200);
    assert_eq!(send("incident.resolved", 6, PAGERDUTY_SECRET).await, 200);
    let resolved = status("resolved").await;
    let line = resolved["timeline"].as_array().expect("lines").iter().find(|line| line["kind"] == "resolved");
    assert_eq!(text(&line.expect("a line")["text"]), "resolved by una");
    let note = "note in PagerDuty by Somebody else: it is the *pool*";
    assert!(resolved["timeline"].as_array().expect("lines").iter().any(|line| line["text"] == note));
}

#[tokio::test]
async fn whoever_goes_on_by_hand_stops_the_automation_and_may_still_call_for_help() {
    let service = Service::start().await;
    service.fire("HighErrorRate", "cart").await;
    let id = text(&service.waiting("cart").await["id"]).to_owned();
    let post = async |verb: &str| {
        let url = format!("{}/api/v1/incidents/{id}/{verb}", service.server.url());
        let answer = http_client().post(url).bearer_auth(TOKEN).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    let (status, taken) = post("take-over").await;
    assert_eq!((status, text(&taken["taken_over_by"]), text(&taken["status"])), (200, "una", "acknowledged"));
    assert_eq!(text(&taken["actions"][0]["status"]), "cancelled");
    assert_eq!(text(&taken["actions"][0]["reason"]), "una has taken over");
    let (status, again) = post("take-over").await;
    assert_eq!((status, text(&again["detail"])), (409, "una has taken over already"));
    let (status, called) = post("escalate").await;
    assert_eq!((status, text(&called["status"]), text(&called["phase"])), (200, "triggered", "handed_over"));
}

#[tokio::test]
async fn rules_that_were_refused_are_said_by_ready_until_they_are_mended() {
    let service = Service::start().await;
    let reload = async |rules: &str| {
        std::fs::write(service.folder.path().join("rules.yaml"), rules).expect("written");
        let url = format!("{}/-/reload", service.server.url());
        let answer = http_client().post(url).bearer_auth(TOKEN).send().await.expect("an answer");
        (answer.status().as_u16(), service.get("/ready").await["rules"].clone())
    };
    assert_eq!(service.get("/ready").await["rules"], "ok");
    let (status, said) = reload("kind: ResponseRule").await;
    assert_eq!(status, 422);
    assert!(text(&said).contains("refused"), "{said}");
    let url = format!("{}/metrics", service.server.url());
    let metrics = http_client().get(url).send().await.expect("an answer").text().await.expect("a text");
    assert!(metrics.contains("\nsmokejumper_rules_refused 1\n"), "{metrics}");
    assert_eq!(reload(RULES).await, (200, json!("ok")));
}

#[tokio::test]
async fn an_action_that_is_not_there_is_called_an_action() {
    let service = Service::start().await;
    service.fire("HighErrorRate", "cart").await;
    let id = text(&service.waiting("cart").await["id"]).to_owned();
    for action in [format!("{id}-a9"), "x-a1".to_owned(), "x".to_owned()] {
        let url = format!("{}/api/v1/actions/{action}/approve", service.server.url());
        let answer = http_client().post(url).bearer_auth(TOKEN).send().await.expect("an answer");
        assert_eq!(answer.status(), 404);
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(text(&problem["detail"]), format!("there is no action `{action}`"));
    }
}

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let service = Service::start().await;
    for (method, path, status) in [
        ("GET", "/api/v1/incidents?limit=0", 400),
        ("GET", "/api/v1/incidents?bogus=1", 400),
        ("GET", "/api/v1/incidents?cursor=the-second-page", 400),
        ("GET", "/api/v1/incidents?cursor=", 400),
        ("GET", "/api/v1/actions?status=fine", 400),
        ("POST", "/api/v1/actions/x-a1/approve?bogus=1", 400),
        ("POST", "/api/v1/actions/x-a1/reject?digest=1&digest=2", 400),
        ("POST", "/api/v1/actions/x-a1/approve", 404),
        ("POST", "/api/v1/incidents/x/tasks/first/done", 400),
        ("POST", "/api/v1/incidents/x/tasks/0/done?item=first", 400),
        ("POST", "/api/v1/incidents/x/acknowledge", 404),
        ("PUT", "/api/v1/pause", 400),
        ("DELETE", "/api/v1/pause", 405),
        ("GET", "/api/v1/nothing", 404),
    ] {
        let url = format!("{}{path}", service.server.url());
        let request = http_client().request(method.parse().expect("a method"), url).bearer_auth(TOKEN);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{method} {path}");
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(problem["status"], status, "{method} {path}");
        assert!(!text(&problem["detail"]).is_empty());
    }
}

#[tokio::test]
async fn a_pause_is_for_a_namespace_that_there_can_be() {
    let service = Service::start().await;
    let put = async |body: Value| {
        let url = format!("{}/api/v1/pause", service.server.url());
        let answer = http_client().put(url).bearer_auth(TOKEN).json(&body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    for name in ["Bad Name", "shop/api", "Shop", "-", "{{ labels.namespace }}"] {
        let (status, problem) = put(json!({ "paused": true, "namespace": name, "reason": "r" })).await;
        assert_eq!(status, 400, "{name}");
        assert!(text(&problem["detail"]).contains("is no name of a namespace"), "{problem}");
    }
    assert_eq!(service.get("/api/v1/pause").await["pauses"], json!([]), "nothing is paused");
    assert_eq!(put(json!({ "paused": true, "namespace": "shop-2", "reason": "r" })).await.0, 200);
    // What an earlier version took can still be lifted.
    assert_eq!(put(json!({ "paused": false, "namespace": "Bad Name" })).await.0, 200);
}

/// A page for people: status, headers, and what it says.
async fn page(
    service: &Service,
    path: &str,
    token: Option<&str>,
) -> (u16, reqwest::header::HeaderMap, String) {
    let mut request = http_client().get(format!("{}{path}", service.server.url()));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.headers().clone(), answer.text().await.expect("a text"))
}

#[tokio::test]
async fn the_page_of_an_incident_shows_it_and_no_label_can_become_markup() {
    let service = Service::start().await;
    let hostile = "<img src=x onerror=alert(1)>\"' {{ 7 * 7 }}";
    service.fire("ByHand", hostile).await;
    let incident = service.waiting(hostile).await;
    let (status, headers, html) =
        page(&service, &format!("/incidents/{}", text(&incident["id"])), Some(TOKEN)).await;
    assert_eq!(status, 200, "{html}");
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    let policy = headers["content-security-policy"].to_str().expect("a policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("script-src") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(headers["cache-control"], "no-store");
    for shown in ["P2", "triggered", "ByHand", "by-hand", "&lt;img src=x onerror=alert(1)&gt;", "{{ 7 * 7 }}"]
    {
        assert!(html.contains(shown), "`{shown}` is not in {html}");
    }
    for line in incident["timeline"].as_array().expect("a timeline") {
        assert!(html.contains(text(&line["at"])), "{line} is not in {html}");
    }
    assert!(!html.contains("<img") && !html.contains("<script"), "{html}");
    let place =
        |label: &str| html.find(&format!("<code>{label}=")).unwrap_or_else(|| panic!("no {label}: {html}"));
    assert!(place("alertname") < place("service"), "labels stand in their order");
}

#[tokio::test]
async fn a_browser_without_a_token_is_told_how_to_see_an_incident_and_nothing_of_it() {
    let service = Service::start().await;
    service.fire("ByHand", "cart").await;
    let incident = service.waiting("cart").await;
    let path = format!("/incidents/{}", text(&incident["id"]));
    for token in [None, Some("wrong-token")] {
        let (status, headers, html) = page(&service, &path, token).await;
        assert_eq!(status, 401);
        assert_eq!(headers["www-authenticate"], "Bearer realm=\"smokejumper\"");
        assert!(html.contains(&format!("smokejumper incidents show {}", text(&incident["id"]))), "{html}");
        assert!(!html.contains("by-hand") && !html.contains("cart"), "{html}");
        // Nothing tells whether there is such an incident.
        let (other, _, unknown) = page(&service, "/incidents/0123456789abcdef", token).await;
        assert_eq!((other, unknown), (401, html.replace(text(&incident["id"]), "0123456789abcdef")));
        let (_, _, echoed) = page(&service, "/incidents/%3Cb%3E", token).await;
        assert!(echoed.contains("smokejumper incidents show ID"), "{echoed}");
    }
    let (status, _, html) = page(&service, "/incidents/nothing", Some(TOKEN)).await;
    assert_eq!(status, 404);
    assert!(html.contains("There is no incident"), "{html}");
}

/// The action of the only form of a page, seen from where the page is.
fn form(html: &str, from: &str, base: &str) -> reqwest::Url {
    let action = html.split("<form method=\"post\" action=\"").nth(1).expect("a form");
    let action = action.split('"').next().expect("an address");
    let page = reqwest::Url::parse(base).and_then(|base| base.join(from)).expect("an address");
    page.join(action).expect("an address")
}

#[tokio::test]
async fn a_browser_signs_in_looks_does_nothing_else_and_signs_out() {
    let service = Service::start().await;
    service.fire("ByHand", "cart").await;
    let incident = service.waiting("cart").await;
    let path = format!("/incidents/{}", text(&incident["id"]));
    let base = service.server.url();
    let browser = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let browser = browser.build().expect("a client");
    let (_, headers, html) = page(&service, &path, None).await;
    let policy = headers["content-security-policy"].to_str().expect("a policy");
    assert!(policy.contains("form-action 'self'"), "{policy}");
    let door = form(&html, &path, &base);
    let fields =
        |token: &str| vec![("token", token.to_owned()), ("incident", text(&incident["id"]).to_owned())];

    let wrong = browser.post(door.clone()).form(&fields("wrong")).send().await.expect("an answer");
    assert_eq!((wrong.status().as_u16(), wrong.headers().get("set-cookie")), (401, None));
    let html = wrong.text().await.expect("a text");
    assert!(html.contains("This token is not accepted") && !html.contains("by-hand"), "{html}");
    assert_eq!(form(&html, "/sign-in", &base), door, "and can be tried again");
    let long = browser.post(door.clone()).form(&fields(&"x".repeat(5_000))).send().await.expect("an answer");
    assert_eq!(long.status(), 413);
    let elsewhere = browser.post(door.clone()).header("sec-fetch-site", "cross-site");
    let elsewhere = elsewhere.form(&fields(TOKEN)).send().await.expect("an answer");
    assert_eq!((elsewhere.status().as_u16(), elsewhere.headers().get("set-cookie")), (403, None));

    let signed =
        browser.post(door.clone()).form(&fields(&format!(" {TOKEN}\n"))).send().await.expect("an answer");
    assert_eq!(signed.status(), 303);
    let shown = door.join(signed.headers()["location"].to_str().expect("a place")).expect("an address");
    assert_eq!(shown.path(), path);
    let cookie = signed.headers()["set-cookie"].to_str().expect("a cookie").to_owned();
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let look = async |cookie: &str| {
        let answer = browser.get(shown.clone()).header("cookie", cookie).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    let (status, html) = look(&cookie).await;
    assert_eq!(status, 200, "{html}");
    assert!(html.contains("by-hand") && html.contains("Signed in with the token of una"), "{html}");
    for (method, path) in [("GET", "/api/v1/incidents"), ("PUT", "/api/v1/pause"), ("POST", "/-/reload")] {
        let request = browser.request(method.parse().expect("a method"), format!("{base}{path}"));
        let answer = request.header("cookie", &cookie).send().await.expect("an answer");
        assert_eq!(answer.status(), 401, "the API takes no cookie: {method} {path}");
    }

    let out = form(&html, &path, &base);
    let signed_out = browser.post(out).header("cookie", &cookie).send().await.expect("an answer");
    assert_eq!(signed_out.status(), 200);
    let ended = signed_out.headers()["set-cookie"].to_str().expect("a cookie").to_owned();
    assert!(ended.starts_with("smokejumper_session=; Max-Age=0"), "{ended}");
    assert_eq!(look(ended.split(';').next().expect("a pair")).await.0, 401);
}
