//! The account over real HTTP: every rule once kept and once broken.

use serde_json::json;

use super::*;
use crate::sandbox::test_support::{mk_client, vectors};

async fn mk_account() -> PagerDutySandbox {
    PagerDutySandbox::start(PagerDutyOptions::default()).await.expect("a free port")
}

async fn send(account: &PagerDutySandbox, path: &str, body: String) -> (u16, Value) {
    let request = mk_client().post(format!("{}{path}", account.events_url()));
    let response =
        request.header("content-type", "application/json").body(body).send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

fn mk_event(account: &PagerDutySandbox, action: &str, dedup_key: &str) -> Value {
    let key = &account.services()[0].routing_key;
    let mut event = json!({"routing_key": key, "event_action": action, "dedup_key": dedup_key});
    if action == "trigger" {
        event["payload"] = json!({"summary": "5xx above 5 %", "source": "pss-nano", "severity": "critical"});
    }
    event
}

async fn enqueue(account: &PagerDutySandbox, event: &Value) -> (u16, Value) {
    send(account, ENQUEUE, event.to_string()).await
}

fn effects(account: &PagerDutySandbox) -> Vec<Effect> {
    account.events().entries().iter().map(|entry| entry.what.effect).collect()
}

#[tokio::test]
async fn an_incident_goes_from_triggered_over_acknowledged_to_resolved() {
    let account = mk_account().await;
    for (action, status) in
        [("trigger", Status::Triggered), ("acknowledge", Status::Acknowledged), ("resolve", Status::Resolved)]
    {
        let (code, body) = enqueue(&account, &mk_event(&account, action, "i-1")).await;
        assert_eq!((code, &body["status"], &body["dedup_key"]), (202, &json!("success"), &json!("i-1")));
        assert_eq!(account.incident("i-1").map(|incident| incident.status), Some(status));
    }
    let incident = account.incident("i-1").expect("opened");
    assert_eq!((incident.service.as_str(), incident.title.as_str()), ("pss-nano", "5xx above 5 %"));
    assert!(incident.acknowledged_at.is_some() && incident.resolved_at.is_some());
    assert_eq!(effects(&account), [Effect::Opened, Effect::Acknowledged, Effect::Resolved]);
}

#[tokio::test]
async fn accepted_is_not_done_what_finds_no_open_alert_is_dropped_with_202() {
    let account = mk_account().await;
    assert_eq!(enqueue(&account, &mk_event(&account, "acknowledge", "i-1")).await.0, 202);
    assert_eq!(enqueue(&account, &mk_event(&account, "trigger", "i-1")).await.0, 202);
    let mut other_key = mk_event(&account, "resolve", "i-1");
    other_key["routing_key"] = json!(account.services()[1].routing_key);
    assert_eq!(enqueue(&account, &other_key).await.0, 202);
    assert_eq!(account.incident("i-1").map(|incident| incident.status), Some(Status::Triggered));
    assert_eq!(effects(&account), [Effect::Dropped, Effect::Opened, Effect::Dropped]);
}

#[tokio::test]
async fn a_trigger_joins_the_open_incident_and_opens_another_after_resolve() {
    let account = mk_account().await;
    for action in ["trigger", "acknowledge", "trigger", "acknowledge", "resolve", "trigger"] {
        enqueue(&account, &mk_event(&account, action, "i-1")).await;
    }
    assert_eq!(
        effects(&account),
        [
            Effect::Opened,
            Effect::Acknowledged,
            Effect::Joined,
            Effect::AcknowledgedBefore,
            Effect::Resolved,
            Effect::Opened
        ]
    );
    let statuses: Vec<_> =
        account.incidents().iter().map(|incident| (incident.number, incident.status)).collect();
    assert_eq!(statuses, [(1, Status::Resolved), (2, Status::Triggered)]);
}

#[tokio::test]
async fn a_trigger_without_a_dedup_key_is_given_one() {
    let account = mk_account().await;
    let mut event = mk_event(&account, "trigger", "");
    event.as_object_mut().expect("an object").remove("dedup_key");
    let (first, second) = (enqueue(&account, &event).await.1, enqueue(&account, &event).await.1);
    assert_ne!(first["dedup_key"], second["dedup_key"]);
    assert!(account.incident(first["dedup_key"].as_str().expect("a key")).is_some());
    assert_eq!(account.incidents().len(), 2);
}

#[tokio::test]
async fn bad_events_are_refused_with_every_reason() {
    let account = mk_account().await;
    let good = mk_event(&account, "trigger", "i-1");
    let with = |pointer: &str, value: Value| {
        let mut event = good.clone();
        match event.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => event[&pointer[1..]] = value,
        }
        event
    };
    for (event, reason) in [
        (json!({}), "'routing_key' is missing or blank"),
        (json!([]), "not a JSON object"),
        (with("/routing_key", json!("short")), "should be 32 characters"),
        (with("/routing_key", json!("e".repeat(31) + "!")), "non-alphanumeric"),
        (with("/routing_key", json!("f".repeat(32))), "Invalid routing key"),
        (with("/event_action", json!("shout")), "'event_action' must be one of"),
        (with("/dedup_key", json!("d".repeat(256))), "'dedup_key' is too long"),
        (with("/payload", Value::Null), "'payload' is missing"),
        (with("/payload/summary", json!(" ")), "'payload.summary' is missing or blank"),
        (with("/payload/summary", json!("s".repeat(1_025))), "'payload.summary' is too long"),
        (with("/payload/source", json!("")), "'payload.source' is missing or blank"),
        (with("/payload/severity", json!("fatal")), "'payload.severity' must be one of"),
        (with("/images", json!([{"src": "http://example.com/a.png"}])), "must be served via HTTPS"),
        (with("/links", json!([{"text": "no href"}])), "'links.href' is missing"),
        (
            with("/payload", json!({"summary": "s", "source": "s", "severity": "info", "timestamp": "noon"})),
            "ISO 8601",
        ),
        (
            with(
                "/payload",
                json!({"summary": "s", "source": "s", "severity": "info", "custom_details": "x"}),
            ),
            "an object",
        ),
        (json!({"routing_key": good["routing_key"], "event_action": "resolve"}), "'dedup_key' is missing"),
    ] {
        let (code, body) = enqueue(&account, &event).await;
        assert_eq!((code, &body["status"]), (400, &json!("invalid event")), "{event}");
        assert!(body["errors"].to_string().contains(reason), "{reason}: {body}");
    }
    let (code, _) = send(&account, ENQUEUE, "{".into()).await;
    assert_eq!(code, 400);
    assert_eq!(account.incidents(), []);
    assert!(effects(&account).iter().all(|&effect| effect == Effect::Refused));
}

#[tokio::test]
async fn limits_hold_to_the_byte_and_character() {
    let account = mk_account().await;
    let mut event = mk_event(&account, "trigger", &"d".repeat(255));
    event["payload"]["summary"] = json!("ü".repeat(1_024));
    event["payload"]["custom_details"] = json!({"pad": ""});
    let pad = events::MAX_EVENT_BYTES - event.to_string().len();
    event["payload"]["custom_details"]["pad"] = json!("x".repeat(pad));
    assert_eq!(event.to_string().len(), events::MAX_EVENT_BYTES);
    assert_eq!(enqueue(&account, &event).await.0, 202);
    event["payload"]["custom_details"]["pad"] = json!("x".repeat(pad + 1));
    assert_eq!(enqueue(&account, &event).await.0, 413);
}

#[tokio::test(start_paused = true)]
async fn a_routing_key_has_120_events_in_a_sliding_minute() {
    let shared = PagerDutySandbox::start(PagerDutyOptions::default()).await.expect("a free port").shared;
    assert_eq!((0..200).filter(|_| shared.take_rate("pss-nano")).count(), MAX_EVENTS_PER_WINDOW);
    assert!(shared.take_rate("platform"), "another key, another window");
    tokio::time::advance(RATE_WINDOW - Duration::from_millis(1)).await;
    assert!(!shared.take_rate("pss-nano"));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(shared.take_rate("pss-nano"));
}

#[tokio::test]
async fn too_many_events_are_answered_429_and_do_nothing() {
    let account = mk_account().await;
    let event = mk_event(&account, "acknowledge", "i-1");
    for _ in 0..MAX_EVENTS_PER_WINDOW {
        assert!(account.shared.take_rate("pss-nano"));
    }
    let (code, body) = enqueue(&account, &event).await;
    assert_eq!((code, &body["status"]), (429, &json!("throttle exceeded")));
    account.set_rate_limited(false);
    assert_eq!(enqueue(&account, &event).await.0, 202);
    assert_eq!(effects(&account), [Effect::Limited, Effect::Dropped]);
}

#[tokio::test]
async fn a_change_event_is_noted_at_the_open_incident_and_pages_nobody() {
    let account = mk_account().await;
    enqueue(&account, &mk_event(&account, "trigger", "i-1")).await;
    let key = &account.services()[0].routing_key;
    let change = json!({"routing_key": key, "payload": {"summary": "rate limit switched on"}});
    let (code, body) = send(&account, CHANGE_ENQUEUE, change.to_string()).await;
    assert_eq!((code, &body["status"]), (202, &json!("success")));
    assert_eq!(account.incidents().len(), 1);
    let log = account.incident("i-1").expect("open").log;
    assert_eq!(log.last().map(|line| line.text.as_str()), Some("Change: rate limit switched on"));
    let (code, body) =
        send(&account, CHANGE_ENQUEUE, json!({"routing_key": key, "payload": {}}).to_string()).await;
    assert_eq!((code, &body["errors"]), (400, &json!(["'payload.summary' is missing or blank"])));
}

#[tokio::test]
async fn faults_lose_the_event_or_only_the_answer() {
    let account = mk_account().await;
    let event = mk_event(&account, "trigger", "i-1");
    account.faults().next(ENQUEUE, Fault::status(500));
    account.faults().next(ENQUEUE, Fault::dropped().after_effect());
    assert_eq!(enqueue(&account, &event).await.0, 500);
    assert!(account.incidents().is_empty());
    let request = mk_client().post(format!("{}{ENQUEUE}", account.events_url())).body(event.to_string());
    assert!(request.send().await.is_err());
    assert_eq!(enqueue(&account, &event).await.0, 202, "a replay under the same dedup key is harmless");
    assert_eq!(effects(&account), [Effect::Lost, Effect::Opened, Effect::Joined]);
    assert_eq!(account.incidents().len(), 1);
}

#[tokio::test]
async fn the_ground_truth_holds_no_routing_key() {
    let account = mk_account().await;
    enqueue(&account, &mk_event(&account, "trigger", "i-1")).await;
    for path in ["incidents", "events"] {
        let url = format!("{}/_sandbox/{path}", account.events_url());
        let text = mk_client().get(url).send().await.expect("answer").text().await.expect("text");
        assert!(text.contains("i-1") && !text.contains(&account.services()[0].routing_key), "{text}");
    }
}

#[tokio::test]
async fn the_documented_examples_pass_but_for_their_placeholder_keys() {
    let Some(table) = vectors("pagerduty_events_v2.json") else { return };
    let account = mk_account().await;
    for (path, list) in [(ENQUEUE, "examples"), (CHANGE_ENQUEUE, "change_example")] {
        for example in table[list].as_array().expect("a list") {
            let mut event = example.clone();
            assert_eq!(
                send(&account, path, event.to_string()).await.0,
                400,
                "the placeholder key is too short"
            );
            event["routing_key"] = json!(account.services()[0].routing_key);
            assert_eq!(send(&account, path, event.to_string()).await.0, 202, "{event}");
        }
    }
    let limits = &table["limits"];
    let number = |name: &str| limits[name].as_u64().expect("a number") as usize;
    assert_eq!(number("body_bytes"), events::MAX_EVENT_BYTES);
    assert_eq!(number("summary_chars"), events::MAX_SUMMARY_CHARS);
    assert_eq!(number("dedup_key_chars"), events::MAX_DEDUP_KEY_CHARS);
    assert_eq!(number("routing_key_chars"), events::ROUTING_KEY_CHARS);
    assert_eq!(limits["severity"], json!(events::SEVERITIES));
}
