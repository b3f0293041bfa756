//! The client against a stand-in, and PagerDuty's documented examples and answers.

use std::time::Duration;

use serde_json::{Value, json};

use super::event::{DEDUP_KEY_CHARS_MAX, EVENT_BYTES_MAX, Image, Link, SUMMARY_CHARS_MAX, Severity};
use super::*;
use crate::clients::http::{HttpOptions, ProxyChoice};
use crate::clients::stand_in::{Play, StandIn, refused_url, vector};

const KEY: &str = "hunter2hunter2hunter2hunter2hunt";

fn mk_client(url: &str) -> PagerDutyClient {
    let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
    PagerDutyClient::new(HttpClient::new(&options).expect("an HTTP client"), url).expect("a client")
}

fn mk_key() -> SecretString {
    SecretString::from(KEY)
}

fn mk_trigger() -> Trigger {
    Trigger {
        dedup_key: "incident-1".to_owned(),
        summary: "down".to_owned(),
        source: "prod/api".to_owned(),
        severity: Severity::Error,
        timestamp: None,
        component: None,
        group: None,
        class: None,
        custom_details: None,
        images: Vec::new(),
        links: Vec::new(),
        client: None,
        client_url: None,
    }
}

fn mk_change() -> Change {
    let (summary, source) = ("changed".to_owned(), "smokejumper".to_owned());
    Change { summary, source, timestamp: None, custom_details: None, links: Vec::new() }
}

fn accepted() -> Play {
    Play::json(202, json!({"status": "success", "message": "Event processed", "dedup_key": "incident-1"}))
}

#[tokio::test]
async fn the_four_events_go_to_their_paths_in_their_words() {
    let server = StandIn::play([accepted()]).await;
    let client = mk_client(&server.url("/"));
    let taken = client.trigger(&mk_key(), &mk_trigger()).await.expect("accepted");
    assert_eq!(taken.dedup_key.as_deref(), Some("incident-1"));
    client.acknowledge(&mk_key(), "incident-1").await.expect("accepted");
    client.resolve(&mk_key(), "incident-1").await.expect("accepted");
    client.change(&mk_key(), &mk_change()).await.expect("accepted");
    let seen = server.seen();
    let lines: Vec<_> = seen.iter().map(|request| request.line.as_str()).collect();
    let (enqueue, change) = ("POST /v2/enqueue HTTP/1.1", "POST /v2/change/enqueue HTTP/1.1");
    assert_eq!(lines, [enqueue, enqueue, enqueue, change]);
    let actions: Vec<_> = seen.iter().map(|request| request.json()["event_action"].clone()).collect();
    assert_eq!(actions, [json!("trigger"), json!("acknowledge"), json!("resolve"), Value::Null]);
    assert!(seen.iter().all(|request| request.json()["routing_key"] == KEY));
}

/// One line for each status: for an event with a dedup key, and for a change event.
#[tokio::test]
async fn the_table_of_answers() {
    for (status, event, change) in [
        (200, "done", "done"),
        (202, "done", "done"),
        (302, "permanent", "permanent"),
        (400, "permanent", "permanent"),
        (403, "permanent", "permanent"),
        (404, "permanent", "permanent"),
        (408, "retry", "retry"),
        (413, "permanent", "permanent"),
        (429, "retry", "retry"),
        (500, "retry", "retry"),
        (503, "retry", "retry"),
    ] {
        let server = StandIn::play([Play::text(status, "not JSON")]).await;
        let client = mk_client(&server.url(""));
        let kind = |outcome: Result<Accepted, SendError>| outcome.map_or_else(|e| e.kind(), |_| "done");
        assert_eq!(kind(client.trigger(&mk_key(), &mk_trigger()).await), event, "trigger, {status}");
        assert_eq!(kind(client.resolve(&mk_key(), "k").await), event, "resolve, {status}");
        assert_eq!(kind(client.change(&mk_key(), &mk_change()).await), change, "change, {status}");
    }
}

#[tokio::test]
async fn without_an_answer_events_come_again_and_changes_are_ambiguous() {
    for play in [Play::Close, Play::Half] {
        let server = StandIn::play([play.clone()]).await;
        let client = mk_client(&server.url(""));
        // Half an answer still has its status, but the exchange did not end.
        let trigger = client.trigger(&mk_key(), &mk_trigger()).await.expect_err("broken");
        let change = client.change(&mk_key(), &mk_change()).await.expect_err("broken");
        assert_eq!((trigger.kind(), change.kind()), ("retry", "ambiguous"), "{play:?}");
    }
    let client = mk_client(&refused_url().await);
    let change = client.change(&mk_key(), &mk_change()).await.expect_err("refused");
    assert_eq!(change.kind(), "retry");
}

#[tokio::test]
async fn a_retry_after_closes_the_gate_of_that_routing_key_only() {
    let server = StandIn::play([Play::text(429, "").with("retry-after", "60"), accepted()]).await;
    let client = mk_client(&server.url(""));
    let limited = client.trigger(&mk_key(), &mk_trigger()).await.expect_err("limited");
    assert!(matches!(limited, SendError::Retry { after: Some(wait), .. } if wait.as_secs() == 60));
    let held = client.trigger(&mk_key(), &mk_trigger()).await.expect_err("held");
    assert!(matches!(held, SendError::Paced { wait } if wait > Duration::from_secs(59)));
    client.trigger(&SecretString::from("another"), &mk_trigger()).await.expect("another service");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_flood_for_one_service_is_paced() {
    let server = StandIn::play([accepted()]).await;
    let client = mk_client(&server.url(""));
    let mut held = 0;
    for _ in 0..40 {
        held += u32::from(client.trigger(&mk_key(), &mk_trigger()).await.is_err());
    }
    assert!(held >= 10, "only {held} of forty were held back");
}

#[tokio::test]
async fn the_routing_key_is_never_shown() {
    let complaint = json!({
        "status": "invalid event", "message": "Event object is invalid",
        "errors": [format!("'{KEY}' is not a routing key")],
    });
    let server = StandIn::play([Play::json(400, complaint)]).await;
    let client = mk_client(&server.url(""));
    let error = client.trigger(&mk_key(), &mk_trigger()).await.expect_err("refused");
    let SendError::Permanent { code, reason } = &error else { panic!("{error:?}") };
    assert_eq!(code, "http_400");
    assert_eq!(reason, "HTTP 400 Event object is invalid; '[routing key]' is not a routing key");
    let unreached = mk_client(&refused_url().await).resolve(&mk_key(), "k").await.expect_err("refused");
    for text in [format!("{client:?}"), format!("{error:?}"), format!("{unreached:?} {unreached}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn documented_examples_are_sent_as_documented() {
    let Some(table) = vector("pagerduty_events_v2.json") else { return };
    let limits = &table["limits"];
    assert_eq!(limits["summary_chars"], SUMMARY_CHARS_MAX);
    assert_eq!(limits["dedup_key_chars"], DEDUP_KEY_CHARS_MAX);
    assert_eq!(limits["body_bytes"], EVENT_BYTES_MAX);
    let server = StandIn::play([accepted()]).await;
    let client = mk_client(&server.url(""));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let key_of = |event: &Value| SecretString::from(text(&event["routing_key"]).expect("a key"));

    let [trigger, acknowledge, resolve] = &table["examples"].as_array().expect("examples")[..] else {
        panic!()
    };
    let (payload, image, link) = (&trigger["payload"], &trigger["images"][0], &trigger["links"][0]);
    let event = Trigger {
        dedup_key: text(&trigger["dedup_key"]).expect("a key"),
        summary: text(&payload["summary"]).expect("a summary"),
        source: text(&payload["source"]).expect("a source"),
        severity: Severity::Info,
        timestamp: Some("2015-07-17T08:42:58.315Z".parse().expect("a time")),
        component: text(&payload["component"]),
        group: text(&payload["group"]),
        class: text(&payload["class"]),
        custom_details: Some(payload["custom_details"].clone()),
        images: vec![Image {
            src: text(&image["src"]).expect("a source"),
            href: text(&image["href"]),
            alt: text(&image["alt"]),
        }],
        links: vec![Link { href: text(&link["href"]).expect("a link"), text: text(&link["text"]) }],
        client: text(&trigger["client"]),
        client_url: text(&trigger["client_url"]),
    };
    client.trigger(&key_of(trigger), &event).await.expect("accepted");
    let follow_up = text(&acknowledge["dedup_key"]).expect("a key");
    client.acknowledge(&key_of(acknowledge), &follow_up).await.expect("accepted");
    client.resolve(&key_of(resolve), &follow_up).await.expect("accepted");

    let mut expected = trigger.clone();
    // The same instant; the example writes the offset as `+0000`.
    expected["payload"]["timestamp"] = json!("2015-07-17T08:42:58.315Z");
    let sent: Vec<_> = server.seen().iter().map(|request| request.json()).collect();
    assert_eq!(sent, [expected, acknowledge.clone(), resolve.clone()]);
}

#[tokio::test]
async fn documented_answers_are_classified_as_documented() {
    let Some(table) = vector("pagerduty_events_v2.json") else { return };
    for line in table["responses"].as_array().expect("answers") {
        let play = match (&line["status"], line["status"].as_u64()) {
            (_, Some(status)) => Play::text(u16::try_from(status).expect("a status"), ""),
            (Value::String(name), _) if name == "5xx" => Play::text(502, ""),
            _ => Play::Close,
        };
        let server = StandIn::play([play]).await;
        let outcome = mk_client(&server.url("")).trigger(&mk_key(), &mk_trigger()).await;
        let retried = matches!(outcome, Err(SendError::Retry { .. }));
        assert_eq!(retried, line["retry"] == true, "{line}: {outcome:?}");
    }
}
