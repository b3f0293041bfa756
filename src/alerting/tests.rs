//! What is asked of an Alertmanager for one wish, by what it knows already.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::clients::http::{HttpClient, HttpOptions, ProxyChoice};
use crate::clients::stand_in::{Play, Seen, StandIn, refused_url};
use crate::domain::Labels;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn now() -> Timestamp {
    "2026-11-22T06:00:00Z".parse().expect("a time")
}

fn mk_order(held_until: Option<Timestamp>) -> SilenceOrder {
    let labels = [("alertname", "HighErrorRate"), ("service", "cart")];
    let labels: Labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    SilenceOrder {
        key: "i1-s1".to_owned(),
        alerts: vec![labels],
        now: now(),
        until: now() + HOUR,
        held_until,
        by: "una".to_owned(),
        why: Some("moving it".to_owned()),
    }
}

fn mk_alertmanagers(urls: &[String]) -> Alertmanagers {
    let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
    let http = HttpClient::new(&options).expect("a client");
    let peer = |url: &String| AlertmanagerClient::new(http.clone(), url).expect("a URL");
    Alertmanagers {
        peers: urls.iter().map(peer).collect(),
        sign_in: Arc::new(|| (Credentials::None, Vec::new())),
        keyring: Keyring::new(BTreeMap::new()),
    }
}

/// One of ours for the alert of the order, as Alertmanager lists it.
fn mk_listed(state: &str, ends_at: Timestamp) -> Value {
    let matcher = |(name, value)| json!({ "name": name, "value": value, "isRegex": false, "isEqual": true });
    let matchers = [("alertname", "HighErrorRate"), ("service", "cart")].map(matcher);
    json!({
        "id": "s1", "matchers": matchers, "startsAt": (now() - HOUR).to_string(), "endsAt": ends_at.to_string(),
        "createdBy": "una by Smokejumper", "comment": "moving it [smokejumper i1-s1]",
        "status": { "state": state }, "updatedAt": now().to_string(),
    })
}

/// What comes of it where these silences are known, and what was asked after the list.
async fn keep(order: &SilenceOrder, known: Vec<Value>) -> (Result<Kept, SilenceRefused>, Vec<Seen>) {
    let made = Play::json(200, json!({ "silenceID": "s2" }));
    let server = StandIn::play([Play::json(200, Value::Array(known)), made]).await;
    let kept = mk_alertmanagers(&[server.url("")]).silence(order).await;
    (kept, server.seen().split_off(1))
}

#[tokio::test]
async fn a_silence_is_for_exactly_the_labels_and_begins_before_our_clock() {
    let (kept, asked) = keep(&mk_order(None), vec![]).await;
    assert_eq!(kept, Ok(Kept::Stands));
    let made = asked[0].json();
    assert_eq!(made["matchers"], mk_listed("active", now())["matchers"]);
    // Alertmanager would wait where our clock is ahead of its own.
    assert_eq!(made["startsAt"], (now() - SignedDuration::from_mins(5)).to_string());
    assert_eq!(made["endsAt"], (now() + HOUR).to_string());
    assert_eq!(made["comment"], "moving it [smokejumper i1-s1]");
}

#[tokio::test]
async fn one_that_stands_is_left_or_extended_in_place() {
    let order = mk_order(None);
    let (kept, asked) = keep(&order, vec![mk_listed("active", order.until)]).await;
    assert_eq!((kept, asked.len()), (Ok(Kept::Stands), 0));
    let (kept, asked) = keep(&order, vec![mk_listed("active", now() + HOUR / 2)]).await;
    assert_eq!(kept, Ok(Kept::Stands));
    assert_eq!((&asked[0].json()["id"], &asked[0].json()["endsAt"]), (&json!("s1"), &json!(order.until)));
}

#[tokio::test]
async fn one_that_a_person_has_lifted_is_not_set_again() {
    let held_until = now() + HOUR / 2;
    let lifted = mk_listed("expired", now() - HOUR / 4);
    let (kept, asked) = keep(&mk_order(Some(held_until)), vec![lifted.clone()]).await;
    assert_eq!((kept, asked.len()), (Ok(Kept::Lifted), 0));
    // What has ended when it was to end, as after an outage of ours, is.
    let (kept, asked) = keep(&mk_order(Some(now() - HOUR / 4)), vec![lifted]).await;
    assert_eq!((kept, asked.len()), (Ok(Kept::Stands), 1));
}

#[tokio::test]
async fn what_is_for_more_or_for_less_or_of_others_is_not_ours() {
    let order = mk_order(None);
    let change = |what: fn(&mut Value)| {
        let mut listed = mk_listed("active", now() + HOUR);
        what(&mut listed);
        listed
    };
    for other in [
        change(|listed| listed["matchers"][1]["isRegex"] = json!(true)),
        change(|listed| listed["matchers"][1]["isEqual"] = json!(false)),
        change(|listed| drop(listed["matchers"].as_array_mut().map(Vec::pop))),
        change(|listed| listed["comment"] = json!("moving it [smokejumper i1-s10]")),
    ] {
        let (kept, asked) = keep(&order, vec![other.clone()]).await;
        assert_eq!((kept, asked.len()), (Ok(Kept::Stands), 1), "{other}");
        assert_eq!(asked[0].json()["id"], Value::Null, "a new one: {other}");
    }
}

#[tokio::test]
async fn the_first_peer_that_answers_is_asked_and_a_refusal_is_one() {
    let answers =
        StandIn::play([Play::json(200, json!([])), Play::json(200, json!({ "silenceID": "s" }))]).await;
    let peers = [refused_url().await, answers.url("")];
    assert_eq!(mk_alertmanagers(&peers).silence(&mk_order(None)).await, Ok(Kept::Stands));
    assert_eq!(answers.seen().len(), 2);
    let refuses = StandIn::play([Play::text(403, "no")]).await;
    let peers = [refuses.url(""), answers.url("")];
    let refused = mk_alertmanagers(&peers).silence(&mk_order(None)).await.expect_err("refused");
    assert!(!refused.retryable && refused.reason.contains("credentials"), "{refused:?}");
}

#[tokio::test]
async fn only_what_stands_is_ended_and_what_is_forgotten_is_ended_already() {
    let known = vec![mk_listed("active", now() + HOUR), mk_listed("expired", now() - HOUR)];
    for end in [Play::text(200, ""), Play::text(404, "silence not found")] {
        let server = StandIn::play([Play::json(200, json!(known)), end]).await;
        mk_alertmanagers(&[server.url("")]).end_silence(&mk_order(None)).await.expect("ended");
        let asked: Vec<String> = server.seen().split_off(1).into_iter().map(|seen| seen.line).collect();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert!(asked[0].starts_with("DELETE /api/v2/silence/s1"), "{asked:?}");
    }
}
