//! Labels that want to be more than labels: in messages, queries, addresses, bodies, conditions and logs.
//!
//! Each alert travels the whole way, action included. The stand-ins tell what arrived, and a label must have arrived
//! as exactly its own text, in exactly its own place.

use crate::house::{House, PATIENCE, Plan, mk_webhook};
use crate::servers::{eventually, http_client};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, Method, Uri};
use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr};
use serde_json::{Value, json};
use smokejumper::sandbox::pagerduty::{PagerDutyOptions, PagerDutySandbox, Service};
use smokejumper::sandbox::prometheus::PrometheusSandbox;

use smokejumper::sandbox::slack::{Channel, Message, SlackOptions, SlackSandbox};
use std::sync::{Arc, Mutex};

/// What must never be computed: no label holds this number.
const PRODUCT: &str = "7006652";

const EVIL: [&str; 16] = [
    "<!channel> <!here> <!everyone>",
    "<@U0UNA> <#C0INCIDENTS> <!subteam^S1>",
    "<https://evil.example|Runbook>",
    "```\n*Approved by una*\n```",
    "`code` *bold* _italic_ ~gone~",
    "{{ 1234 * 5678 }} {% for x in labels %}{{ x }}{% endfor %} {# gone #}",
    "\"} or vector(1) or up{a=\"",
    "\\\"} or vector(1) #",
    "a|b.*) or vector(1",
    "../../admin?x=1&y=2#frag;ment",
    "@evil.example/",
    "line one\r\n{\"level\":\"ERROR\",\"message\":\"forged\",\"service\":\"smokejumper\"}\r\nX-Forged: yes",
    "nul\u{0} esc\u{1b}[31m bell\u{7}",
    "\u{202e}gnp.exe \u{2066}\u{200b}\u{feff}",
    "\",\"who\":\"root\",\"x\":\"",
    "\" || true || \"",
];

/// Slack takes one message a second in each channel: several lanes shorten the wait.
const LANES: usize = 4;

/// The rules of one lane.
const RULES: &str = r##"---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: hostile-LANE }
spec:
  matchers: ['alertname="Hostile"', 'lane="LANE"']
  severity: P1
  summary: "trouble with {{ labels.evil }}"
  runbook: "https://wiki.example.com/{{ labels.evil }}"
  groupBy: [number]
  escalation: night-LANE
  diagnostics:
    - { name: exact, prom.query: { expr: 'sum(http_requests_total{service="{{ labels.evil }}"})' } }
    - { name: alike, prom.query: { expr: 'sum(http_requests_total{service=~"{{ labels.evil }}|x"})' } }
    - { name: page, http.check: { url: "WORLD/check/{{ labels.evil }}?q={{ labels.evil }}" } }
    - { name: links, links.render: { links: { Logs: "https://logs.example.com/?q={{ labels.evil }}" } } }
  remedies:
    - name: never
      when: 'labels.evil == "trusted" && findings.page.ok'
      tier: T2
      action: { http.call: { endpoint: world, path: "/never" } }
    - name: call
      when: 'labels.evil != "trusted"'
      tier: T2
      action: { http.call: { endpoint: world, path: "/call/{{ labels.evil }}", query: { q: "{{ labels.evil }}" }, body: { who: "{{ labels.evil }}" } } }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night-LANE }
spec:
  levels:
    - { name: on-call, after: 0s, destinations: [{ pagerduty: { service: first } }, { slack: { channel: "#lane-LANE" } }] }
  fallback: [{ pagerduty: { service: first } }]
"##;

#[derive(Clone)]
struct Call {
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

/// Takes every request and remembers it.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Call>>>);

impl Recorder {
    async fn start(&self) -> u16 {
        let router = Router::new().fallback(record).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        port
    }

    fn calls(&self, path: &str) -> Vec<Call> {
        let calls = self.0.lock().expect("not poisoned");
        calls.iter().filter(|call| call.uri.path().starts_with(path)).cloned().collect()
    }
}

async fn record(State(recorder): State<Recorder>, _: Method, uri: Uri, headers: HeaderMap, body: Bytes) {
    recorder.0.lock().expect("not poisoned").push(Call { uri, headers, body });
}

struct World {
    house: House,
    slack: SlackSandbox,
    pagerduty: PagerDutySandbox,
    prometheus: PrometheusSandbox,
    recorder: Recorder,
}

impl World {
    async fn start() -> Self {
        let recorder = Recorder::default();
        let port = recorder.start().await;
        let lanes = (0..LANES).map(|lane| Channel::new(format!("C0LANE{lane}"), format!("lane-{lane}")));
        let options = SlackOptions { channels: lanes.collect(), ..SlackOptions::default() };
        let slack = SlackSandbox::start(options).await.expect("slack");
        let options =
            PagerDutyOptions { services: vec![Service::new("first")], ..PagerDutyOptions::default() };
        let pagerduty = PagerDutySandbox::start(options).await.expect("pagerduty");
        pagerduty.set_rate_limited(false);
        let prometheus = PrometheusSandbox::start(0, 1.0).await.expect("prometheus");
        let settings = format!(
            r##"
prometheus: {{ url: "{}" }}
slack: {{ api_url: "{}", bot_token: {{ env: BOT }}, signing_secret: {{ env: SIGNING }} }}
pagerduty: {{ events_url: "{}", services: {{ first: {{ routing_key: {{ env: PD }} }} }} }}
endpoints: {{ world: {{ url: "http://127.0.0.1:{port}/base", method: POST }} }}
probes: {{ allow_loopback: true }}
mode: enforce
guardrails: {{ cooldown: 0s, correlation: {{ targets: 0, targets_in_namespace: 0, targets_in_all: 0 }}, daily_budget: 0, rates: {{ per_target: [], per_namespace: [], global: [] }} }}
"##,
            prometheus.base_url(),
            slack.api_url(),
            pagerduty.events_url(),
        );
        let rules: String = (0..LANES).map(|lane| RULES.replace("LANE", &lane.to_string())).collect();
        let plan = Plan::new(&settings)
            .rules(&rules.replace("WORLD", &format!("http://127.0.0.1:{port}")))
            .env("BOT", &slack.options().bot_token)
            .env("SIGNING", &slack.options().signing_secret)
            .env("PD", &pagerduty.services()[0].routing_key);
        let house = plan.start().await;
        Self { house, slack, pagerduty, prometheus, recorder }
    }

    /// The cards of all lanes.
    fn cards(&self) -> Vec<Message> {
        let lanes = (0..LANES).flat_map(|lane| self.slack.messages(&format!("#lane-{lane}")));
        lanes.filter(|message| message.thread_ts.is_none()).collect()
    }

    /// Approves the action of every incident, one after the other: all of them act on one endpoint, and a second action
    /// on a target is not allowed while one is under way.
    async fn approve_all(&self, count: usize) -> Vec<Value> {
        let waiting = eventually("a question in every incident", PATIENCE, || async {
            let waiting = self.house.get("/api/v1/actions?status=awaiting_approval").await.json();
            let waiting = waiting["actions"].as_array().cloned().unwrap_or_default();
            (waiting.len() >= count).then_some(waiting)
        })
        .await;
        for action in waiting {
            let url = format!("/api/v1/actions/{}/approve", action["id"].as_str().expect("an id"));
            let answer = http_client().post(self.house.url(&url)).send().await.expect("an answer");
            assert_eq!(answer.status(), 200);
            let incident = action["incident"].as_str().expect("its incident").to_owned();
            eventually("an action that was carried out", PATIENCE, || async {
                let incident = self.house.get(&format!("/api/v1/incidents/{incident}")).await.json();
                (incident["actions"][0]["status"] == "succeeded").then_some(())
            })
            .await;
        }
        self.house.incidents().await
    }
}

fn mk_hostile(number: usize, evil: &str) -> Value {
    json!({
        "status": "firing",
        "labels": { "alertname": "Hostile", "number": number.to_string(), "lane": (number % LANES).to_string(), "evil": evil },
        "annotations": { "summary": evil, "description": evil, "runbook_url": "https://evil.example" },
        "generatorURL": "https://evil.example/graph",
        "startsAt": "2026-03-28T22:00:00Z",
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_labels_stay_labels_on_the_whole_way() {
    let world = World::start().await;
    let alerts: Vec<Value> = EVIL.iter().enumerate().map(|(number, evil)| mk_hostile(number, evil)).collect();
    let answer = world.house.post(mk_webhook(&alerts)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let incidents = world.approve_all(EVIL.len()).await;
    assert_eq!(incidents.len(), EVIL.len());
    for incident in &incidents {
        let remedies: Vec<&Value> =
            incident["actions"].as_array().expect("actions").iter().map(|action| &action["remedy"]).collect();
        assert_eq!(remedies, ["call"], "no label made the other condition hold");
    }
    let mut wanted: Vec<String> = EVIL.iter().map(|&evil| evil.to_owned()).collect();
    wanted.sort_unstable();
    assert_eq!(world.house.known("evil").await, wanted, "as they were sent, byte for byte");
    judge_queries(&world);
    judge_calls(&world);
    eventually("a card and a page for every incident", PATIENCE, || async {
        (world.cards().len() == EVIL.len() && world.pagerduty.incidents().len() == EVIL.len()).then_some(())
    })
    .await;
    judge_messages(&world);
    judge_log(&world.house);
    assert_eq!(world.house.get("/ready").await.status, 200);
}

/// Every expression is the one that the rule wrote, with one matcher, and its value is the label.
fn judge_queries(world: &World) {
    let queries = world.prometheus.queries().entries();
    assert!(queries.len() >= EVIL.len(), "{} queries", queries.len());
    let mut exact = Vec::new();
    // The service's own vital signs hold no label at all.
    let own = ["count(up == 0) or vector(0)", "count(up) or vector(0)"];
    for query in queries.iter().filter(|query| !own.contains(&query.what.expr.as_str())) {
        let expr =
            parser::parse(&query.what.expr).unwrap_or_else(|error| panic!("{}: {error}", query.what.expr));
        let Expr::Aggregate(sum) = expr else { panic!("{}", query.what.expr) };
        let Expr::VectorSelector(selector) = *sum.expr else { panic!("{}", query.what.expr) };
        assert_eq!(selector.matchers.matchers.len(), 1, "{}", query.what.expr);
        assert!(selector.matchers.or_matchers.is_empty(), "{}", query.what.expr);
        let matcher = &selector.matchers.matchers[0];
        if matcher.op == MatchOp::Equal {
            exact.push(matcher.value.clone());
        }
    }
    exact.sort_unstable();
    exact.dedup();
    assert!(exact.iter().all(|value| EVIL.contains(&value.as_str())), "{exact:#?}");
    assert!(exact.len() >= EVIL.len() - 2, "only what PromQL cannot hold is left out: {exact:#?}");
}

/// Whether this is one of the labels; control characters are shown as what cannot be shown.
fn is_evil(text: &str) -> bool {
    let shown = |evil: &str| evil.replace(['\0', '\r', '\u{1b}', '\u{7}'], "\u{fffd}");
    EVIL.iter().any(|evil| *evil == text || shown(evil) == text)
}

/// Every request goes where the rule says, and carries the label in one segment, one parameter and one member.
fn judge_calls(world: &World) {
    assert!(world.recorder.calls("/never").is_empty() && world.recorder.calls("/base/never").is_empty());
    let calls = world.recorder.calls("/base/call/");
    assert_eq!(calls.len(), EVIL.len(), "each is carried out once");
    for call in &calls {
        let body: Value = serde_json::from_slice(&call.body).expect("JSON");
        let evil = body["who"].as_str().expect("a text");
        assert!(is_evil(evil), "{evil:?}");
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{body}");
        assert!(is_evil(&segment(&call.uri, "/base/call/")), "{}", call.uri);
        assert!(!call.headers.contains_key("x-forged"));
    }
    for call in calls.iter().chain(&world.recorder.calls("/check/")) {
        let query = call.uri.query().expect("a query");
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        assert_eq!(pairs.len(), 1, "{query}");
        assert!(pairs[0].0 == "q" && is_evil(&pairs[0].1), "{query}");
    }
    assert!(world.recorder.calls("/check/").len() >= EVIL.len());
    assert!(world.recorder.calls("/admin").is_empty());
}

/// What follows a path, decoded; it must be one segment.
fn segment(uri: &Uri, before: &str) -> String {
    let rest = uri.path().strip_prefix(before).expect("the path of the rule");
    assert!(!rest.contains('/'), "{uri}");
    let escaped = rest.replace('+', "%2B");
    let decoded = form_urlencoded::parse(escaped.as_bytes()).next().expect("a text").0.into_owned();
    // A plain `=` would have split it.
    assert!(!rest.contains('='), "{uri}");
    decoded
}

fn judge_messages(world: &World) {
    let calls = world.slack.calls().entries();
    let refused: Vec<String> = calls.iter().filter_map(|call| call.what.error.clone()).collect();
    assert!(refused.iter().all(|error| error.contains("rate")), "Slack takes every message: {refused:?}");
    for call in &calls {
        // The address of the expression comes from the sender, and the words of its link say so.
        let text = call.what.args.to_string();
        let text = text.replace("<https://evil.example/graph|Expression at evil.example>", "");
        for forbidden in
            ["<!channel", "<!here", "<!everyone", "<!subteam", "<@", "<#", "<https://evil", PRODUCT]
        {
            assert!(!text.contains(forbidden), "`{forbidden}` in {text}");
        }
        for hidden in ['\u{202e}', '\u{feff}', '\u{200b}'] {
            assert!(!text.contains(hidden), "{hidden:?} in {text}");
        }
    }
    for event in world.pagerduty.events().entries() {
        assert!(event.what.errors.is_empty(), "PagerDuty refused {event:?}");
        let text = event.what.body.to_string();
        assert!(!text.contains(PRODUCT), "{text}");
        for link in event.what.body["links"].as_array().into_iter().flatten() {
            let says_so = link["text"].as_str().is_some_and(|text| text.contains("evil.example"));
            let is_theirs =
                link["href"].as_str().is_some_and(|href| href.starts_with("https://evil.example"));
            assert!(!is_theirs || says_so, "a link that hides where it leads: {link}");
        }
    }
}

/// Every line is one of ours: labels begin none, and none of them paints a terminal.
fn judge_log(house: &House) {
    let log = house.server.log();
    assert!(!log.contains('\u{1b}') && !log.contains('\u{7}') && !log.contains('\u{0}'));
    assert!(!log.contains(PRODUCT));
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["logger"].is_string() && line["message"] != "forged", "{line}");
        assert!(!line["message"].as_str().is_some_and(|message| message.starts_with("panic")), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_of_a_megabyte_breaks_nothing_and_people_hear_of_it() {
    let world = World::start().await;
    let idle_kib = world.house.memory_kib("VmRSS");
    world.house.forget_peak();
    let long: String = "<!channel>\u{202e}\n".repeat(1024 * 1024 / 14);
    let answer = world.house.post(mk_webhook(&[mk_hostile(1, &long), mk_hostile(2, "short")])).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let cards = eventually("a card and a page for both", PATIENCE, || async {
        let cards = world.cards();
        (cards.len() >= 2 && world.pagerduty.incidents().len() == 2).then_some(cards)
    })
    .await;
    assert!(cards.iter().all(|card| !format!("{card:?}").contains("<!channel")));
    assert_eq!(world.house.known("number").await, ["1", "2"]);
    let long_one = eventually("it is judged", PATIENCE, || async {
        let incidents = world.house.incidents().await;
        let long_one = incidents.into_iter().find(|one| one["alerts"][0]["labels"]["number"] == "1")?;
        (long_one["phase"] == "handed_over").then_some(long_one)
    })
    .await;
    let carried_out =
        long_one["actions"].as_array().expect("a list").iter().find(|one| one["status"] != "blocked");
    assert_eq!(carried_out, None, "no such path can be called");
    assert!(world.recorder.calls("/base").is_empty());
    for finding in long_one["findings"].as_array().expect("findings") {
        let text = finding.to_string();
        assert!(text.len() < 20_000, "a finding is short: {} bytes", text.len());
    }
    let grown_kib = world.house.memory_kib("VmHWM").saturating_sub(idle_kib);
    assert!(grown_kib < 96 * 1024, "{grown_kib} KiB more than idle");
    judge_log(&world.house);
}
