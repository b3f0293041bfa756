//! Webhooks over real HTTP: signed, in order, repeated, given up.

use serde_json::json;

use super::webhooks::{Delivered, signature};
use super::*;
use crate::sandbox::test_support::{Receiver, mk_client, vectors};

const SOON: Duration = Duration::from_secs(20);

async fn subscribed() -> (PagerDutySandbox, Receiver) {
    let account = PagerDutySandbox::start(PagerDutyOptions::default()).await.expect("a free port");
    let receiver = Receiver::start().await;
    account.subscribe(receiver.url("/webhooks/pagerduty"));
    (account, receiver)
}

async fn enqueue(account: &PagerDutySandbox, action: &str) {
    let key = &account.services()[0].routing_key;
    let payload = json!({"summary": "5xx above 5 %", "source": "pss-nano", "severity": "critical"});
    let event = json!({"routing_key": key, "event_action": action, "dedup_key": "i-1", "payload": payload});
    let url = format!("{}{ENQUEUE}", account.events_url());
    assert_eq!(mk_client().post(url).json(&event).send().await.expect("an answer").status(), 202);
}

async fn attempts(account: &PagerDutySandbox, count: usize) -> Vec<(String, Option<u16>, Delivered)> {
    account.webhooks().wait_until(SOON, |entries| entries.len() >= count).await.expect("attempts");
    let attempts = account.webhooks().entries().into_iter().map(|entry| entry.what);
    attempts.map(|attempt| (attempt.event_type, attempt.status, attempt.delivered)).collect()
}

#[tokio::test]
async fn what_happens_is_told_in_order_and_signed_and_says_who_did_it() {
    let (account, receiver) = subscribed().await;
    enqueue(&account, "trigger").await;
    account.act(1, "una", &Deed::Acknowledge).expect("open");
    account.act(1, "una", &Deed::Note { text: "the pool".to_owned() }).expect("open");
    account.act(1, "una", &Deed::Unacknowledge).expect("hers");
    enqueue(&account, "acknowledge").await;
    enqueue(&account, "resolve").await;
    let told: Vec<String> = attempts(&account, 6).await.into_iter().map(|(event, ..)| event).collect();
    let after = |verb: &str| format!("incident.{verb}");
    assert_eq!(
        told,
        ["triggered", "acknowledged", "annotated", "unacknowledged", "acknowledged", "resolved"].map(after)
    );
    let seen = receiver.seen.entries();
    let of =
        |index: usize| serde_json::from_str::<Value>(&seen[index].what.body).expect("JSON")["event"].clone();
    let agents: Vec<Value> = (0..6).map(|index| of(index)["agent"]["type"].clone()).collect();
    let (person, integration) = (json!("user_reference"), json!("inbound_integration_reference"));
    assert_eq!(
        agents,
        [Value::Null, person.clone(), person.clone(), person, integration.clone(), integration]
    );
    assert_eq!((&of(1)["data"]["incident_key"], &of(1)["agent"]["id"]), (&json!("i-1"), &json!("PUNA")));
    assert_eq!(of(2)["data"]["incident"]["id"], of(1)["data"]["id"]);
    assert_eq!(of(2)["data"]["incident_key"], Value::Null);
    for one in &seen {
        let header = one.what.headers["x-pagerduty-signature"].to_str().expect("a text");
        assert_eq!(header, signature(account.webhook_secret(), one.what.body.as_bytes()));
    }
    assert_eq!(account.act(1, "una", &Deed::Acknowledge), Err(DeedError::NotNow(Status::Resolved)));
    assert_eq!(account.act(7, "una", &Deed::Resolve), Err(DeedError::NoSuchIncident(7)));
}

#[tokio::test]
async fn what_is_busy_hears_again_and_three_refusals_in_a_row_switch_it_off() {
    let (account, receiver) = subscribed().await;
    receiver.answer_next(&[503, 429, 200, 401, 400, 200, 404, 302, 410]);
    enqueue(&account, "trigger").await;
    for _ in 0..7 {
        account.act(1, "una", &Deed::Escalate).expect("open");
    }
    let results: Vec<_> =
        attempts(&account, 10).await.into_iter().map(|(_, status, end)| (status, end)).collect();
    let expected = [
        (Some(503), Delivered::Again),
        (Some(429), Delivered::Again),
        (Some(200), Delivered::Taken),
        (Some(401), Delivered::Dropped),
        (Some(400), Delivered::Dropped),
        (Some(200), Delivered::Taken),
        (Some(404), Delivered::Dropped),
        (Some(302), Delivered::Dropped),
        (Some(410), Delivered::Dropped),
        (None, Delivered::SwitchedOff),
    ];
    assert_eq!(results, expected);
    let ids: Vec<String> =
        account.webhooks().entries().into_iter().map(|entry| entry.what.event_id).collect();
    assert!(
        ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3],
        "a repetition is the same event: {ids:?}"
    );
}

#[tokio::test]
async fn events_look_as_documented_and_are_signed_as_documented() {
    let Some(table) = vectors("pagerduty_webhook_v3_bodies.json") else { return };
    let documented = table["events"][0]["event"].as_object().expect("an event");
    let (account, receiver) = subscribed().await;
    enqueue(&account, "trigger").await;
    account.act(1, "una", &Deed::Prioritise { priority: "P1".to_owned() }).expect("open");
    attempts(&account, 2).await;
    let body: Value = serde_json::from_str(&receiver.seen.entries()[1].what.body).expect("JSON");
    let ours = body["event"].as_object().expect("an event");
    assert_eq!(ours.keys().collect::<Vec<_>>(), documented.keys().collect::<Vec<_>>());
    for (key, value) in ours["data"].as_object().expect("data") {
        let theirs = documented["data"].get(key).unwrap_or_else(|| panic!("{key} is not documented"));
        let kinds = (value.is_object(), value.is_array(), value.is_string());
        assert_eq!(kinds, (theirs.is_object(), theirs.is_array(), theirs.is_string()), "{key}");
    }
    let Some(table) = vectors("pagerduty_webhook_v3_signature.json") else { return };
    let text = |key: &str| table[key].as_str().expect("a text");
    let signed = json!(signature(text("secret"), text("body").as_bytes()));
    let cases = table["cases"].as_array().expect("cases");
    assert!(cases.iter().any(|case| case["signature"] == signed && case["valid"] == true));
}
