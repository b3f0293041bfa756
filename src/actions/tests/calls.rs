//! `http.call`: what is sent, and what may be said about the world afterwards.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::clients::stand_in::{Play, Seen, StandIn, refused_url};
use crate::domain::action::Repeatability;
use crate::domain::catalog::{Reference, Slot, SlotLanguage};

async fn call(play: Play, method: Method, params: Value) -> (ActionOutcome, Vec<Seen>) {
    let server = StandIn::play([play]).await;
    let endpoint = mk_endpoint(&server.url(""), method);
    let plan = mk_plan("http.call", params, &endpoint).expect("a plan");
    let outcome = act(&mk_actions(endpoint), &plan, None).await;
    (outcome, server.seen())
}

async fn answered(play: Play) -> ActionOutcome {
    call(play, Method::POST, json!({"endpoint": "waf"})).await.0
}

fn detail(outcome: ActionOutcome) -> String {
    match outcome {
        ActionOutcome::Applied { detail, inverse: None, requests } if requests.is_empty() => detail,
        other => panic!("not applied: {other:?}"),
    }
}

fn refusal(outcome: ActionOutcome) -> String {
    match outcome {
        ActionOutcome::NotApplied { reason } => reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn doubt(outcome: ActionOutcome) -> String {
    match outcome {
        ActionOutcome::Unknown { reason } => reason,
        other => panic!("not unknown: {other:?}"),
    }
}

#[tokio::test]
async fn a_call_carries_path_query_body_headers_and_its_key() {
    let params = json!({
        "endpoint": "waf",
        "path": "/limits/a%2Fb",
        "query": {"service": "api&x=1#", "limit": 5, "on": true},
        "body": {"reason": "say \"hi\"\n", "limit": 5},
    });
    let (outcome, seen) = call(Play::text(200, "enabled"), Method::PUT, params).await;
    assert!(detail(outcome).ends_with(" ms: enabled"));
    let seen = &seen[0];
    assert_eq!(seen.line, "PUT /api/limits/a%2Fb?v=2&limit=5&on=true&service=api%26x%3D1%23 HTTP/1.1");
    assert_eq!(seen.header("idempotency-key"), Some("01-a1-apply"));
    assert_eq!((seen.header("x-team"), seen.header("authorization")), (Some("ops"), Some(SECRET)));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.json(), json!({"reason": "say \"hi\"\n", "limit": 5}));
}

#[tokio::test]
async fn without_path_and_body_the_endpoint_stands_as_it_is() {
    let (_, seen) = call(Play::text(204, ""), Method::POST, json!({"endpoint": "waf"})).await;
    assert_eq!(seen[0].line, "POST /api?v=2 HTTP/1.1");
    assert!(seen[0].body.is_empty() && seen[0].header("content-type").is_none());
    let (_, seen) = call(Play::text(200, ""), Method::POST, json!({"endpoint": "waf", "body": "[1]"})).await;
    assert_eq!(seen[0].json(), json!([1]));
}

#[tokio::test]
async fn the_answer_says_whether_it_was_carried_out() {
    for status in [200, 201, 202, 204] {
        assert!(detail(answered(Play::text(status, "")).await).starts_with(&format!("HTTP {status} in ")));
    }
    for status in [400, 401, 403, 404, 408, 409, 422, 429] {
        let reason = refusal(answered(Play::text(status, "no\nway")).await);
        assert!(
            reason.starts_with(&format!("HTTP {status} in ")) && reason.ends_with(": no way"),
            "{reason}"
        );
    }
    for status in [500, 502, 503, 504, 301, 302, 303, 304] {
        let reason = doubt(answered(Play::text(status, "")).await);
        assert!(
            reason.contains(&format!("HTTP {status} in ")) && reason.ends_with("(expected 2xx)"),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn a_rule_may_say_which_answers_count() {
    let with = |expected: Value| json!({"endpoint": "waf", "expect": {"status": expected}});
    let ends = |play, expected| async move { call(play, Method::POST, with(expected)).await.0 };
    detail(ends(Play::text(409, "was on"), json!(["2xx", 409])).await);
    detail(ends(Play::text(303, ""), json!(303)).await);
    assert!(doubt(ends(Play::text(202, ""), json!(201)).await).ends_with("(expected 201)"));
    refusal(ends(Play::text(404, ""), json!(201)).await);
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_the_outcome_unknown() {
    for play in [Play::Close, Play::Half, Play::Silence] {
        let (outcome, seen) = call(play.clone(), Method::POST, json!({"endpoint": "waf"})).await;
        assert!(!doubt(outcome).is_empty());
        assert_eq!(seen.len(), 1, "it must not be sent again: {play:?}");
    }
}

#[tokio::test]
async fn a_body_that_trickles_leaves_the_outcome_unknown_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let endpoint =
        mk_endpoint(&format!("http://{}", listener.local_addr().expect("an address")), Method::POST);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.read_buf(&mut Vec::new()).await.expect("a request");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let plan = mk_plan("http.call", json!({"endpoint": "waf"}), &endpoint).expect("a plan");
    assert!(doubt(act(&mk_actions(endpoint), &plan, None).await).contains("did not answer within 800 ms"));
}

#[tokio::test]
async fn what_was_never_sent_was_not_carried_out() {
    let endpoint = mk_endpoint(&refused_url().await, Method::POST);
    let plan = mk_plan("http.call", json!({"endpoint": "waf"}), &endpoint).expect("a plan");
    assert!(refusal(act(&mk_actions(endpoint.clone()), &plan, None).await).contains("was not reached"));
    let nowhere = mk_endpoint(&format!("http://{}.example", "x".repeat(70)), Method::POST);
    assert!(refusal(act(&mk_actions(nowhere), &plan, None).await).contains("was not reached"));
    let mut gone = plan.clone();
    gone.params = json!({"endpoint": "gone"});
    assert!(
        refusal(act(&mk_actions(endpoint.clone()), &gone, None).await)
            .contains("no endpoint `gone` any more")
    );
    let mut climbing = plan;
    climbing.params = json!({"endpoint": "waf", "path": "/%2e%2E/admin"});
    assert!(refusal(act(&mk_actions(endpoint), &climbing, None).await).contains("/path"));
}

#[tokio::test]
async fn an_endpoint_that_changed_since_the_approval_is_not_called() {
    let server = StandIn::play([Play::text(200, "")]).await;
    let planned = mk_endpoint(&server.url(""), Method::PUT);
    let plan = mk_plan("http.call", json!({"endpoint": "waf"}), &planned).expect("a plan");
    let changed = mk_endpoint(&server.url(""), Method::POST);
    assert!(refusal(act(&mk_actions(changed), &plan, None).await).contains("was changed in the settings"));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_carries_no_credential_elsewhere() {
    let canary = StandIn::play([Play::text(200, "")]).await;
    doubt(answered(Play::text(307, "").with("location", canary.url("/"))).await);
    assert!(canary.seen().is_empty(), "{:?}", canary.seen());
}

#[tokio::test]
async fn long_answers_are_cut_and_secrets_in_them_are_taken_out() {
    let reason =
        refusal(answered(Play::text(400, &format!("bad token {SECRET} {}", "y".repeat(1 << 20)))).await);
    assert!(reason.contains("bad [redacted]") || reason.contains("token [redacted]"), "{reason}");
    assert!(reason.len() < 500, "{}", reason.len());
    detail(answered(Play::text(200, &"y".repeat(1 << 20))).await);
}

#[test]
fn the_plan_says_what_is_sent_and_whether_it_may_be_repeated() {
    let plan = |endpoint: &Endpoint, params| mk_plan("http.call", params, endpoint).expect("a plan");
    let post = mk_endpoint("http://h", Method::POST);
    let params = json!({"endpoint": "waf", "path": "/enable", "query": {"a": "x y"}, "body": {"limit": 5}});
    let enable = plan(&post, params.clone());
    assert_eq!(enable.summary, "POST waf /enable?a=x+y {\"limit\":5}");
    assert_eq!((enable.target.as_str(), enable.repeatability), ("endpoint:waf", Repeatability::AtMostOnce));
    let declared = Endpoint { idempotent: true, ..post.clone() };
    assert_eq!(plan(&declared, params.clone()).repeatability, Repeatability::Idempotent);
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let repeatability = plan(&mk_endpoint("http://h", method), params.clone()).repeatability;
        assert_eq!(repeatability, Repeatability::Idempotent);
    }
    assert_eq!(
        plan(&mk_endpoint("http://h", Method::PATCH), params).repeatability,
        Repeatability::AtMostOnce
    );
    let error = mk_plan("http.call", json!({"endpoint": "wav"}), &post).expect_err("an unknown endpoint");
    assert!(error.message.contains("add it under `endpoints`"), "{error}");
    assert!(mk_plan("http.call", json!({"endpoint": "waf", "path": "/a?b"}), &post).is_err());
}

#[test]
fn templated_texts_are_found_in_path_query_and_body() {
    let params = json!({
        "endpoint": "waf",
        "path": "/l/{{ labels.service }}",
        "query": {"a/b": "{{ labels.x }}", "n": 1},
        "body": {"list": ["{{ labels.y }}", 1, null], "o": {"k": "v"}},
    });
    let checked = check("http.call", params).expect("good parameters");
    let expected = [
        Slot::new("/path", SlotLanguage::Url),
        Slot::new("/query/a~1b", SlotLanguage::Text),
        Slot::new("/body/list/0", SlotLanguage::Text),
        Slot::new("/body/o/k", SlotLanguage::Text),
    ];
    assert_eq!(checked.slots, expected);
    assert_eq!(checked.references, [Reference::Endpoint("waf".to_owned())]);
    let text = json!({"endpoint": "waf", "body": "{\"n\": {{ findings.x.last }}}"});
    assert_eq!(check("http.call", text).expect("good").slots, [Slot::new("/body", SlotLanguage::JsonString)]);
}

#[test]
fn a_rule_cannot_leave_the_endpoint() {
    for (params, place) in [
        (json!({"endpoint": "{{ labels.endpoint }}"}), "/endpoint"),
        (json!({"endpoint": ""}), "/endpoint"),
        (json!({"endpoint": "waf", "path": "limits"}), "/path"),
        (json!({"endpoint": "waf", "path": "{{ labels.path }}"}), "/path"),
        (json!({"endpoint": "waf", "path": "//evil.example/x"}), "/path"),
        (json!({"endpoint": "waf", "path": "/a/../../x"}), "/path"),
        (json!({"endpoint": "waf", "path": "/a/%2E./x"}), "/path"),
        (json!({"endpoint": "waf", "path": "/a?x=1"}), "/path"),
        (json!({"endpoint": "waf", "query": {"{{ labels.key }}": "1"}}), "/query/{{ labels.key }}"),
        (json!({"endpoint": "waf", "query": {"a": [1]}}), "/query/a"),
        (json!({"endpoint": "waf", "body": 5}), "/body"),
        (json!({"endpoint": "waf", "expect": {"status": "ok"}}), "/expect/status"),
    ] {
        assert_eq!(
            check("http.call", params.clone()).map_err(|error| error.pointer),
            Err(place.to_owned()),
            "{params}"
        );
    }
    for bad in [json!({"endpoint": "waf", "url": "http://evil"}), json!({"endpoint": "waf", "headers": {}})] {
        assert!(check("http.call", bad).is_err());
    }
}

#[test]
fn hostile_values_stay_within_their_place() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    let endpoint = mk_endpoint("http://h:8080", Method::POST);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let values = ("[%a-z0-9.;:@&=+~_ -]{1,30}", any::<String>());
    runner
        .run(&values, |(segment, value)| {
            let path = format!("/limits/{segment}/on");
            prop_assume!(check("http.call", json!({"endpoint": "waf", "path": path})).is_ok());
            let name = "service".to_owned();
            let url = endpoint.address(&path, [(&name, value.clone())].into_iter()).expect("an address");
            prop_assert_eq!((url.host_str(), url.port(), url.scheme()), (Some("h"), Some(8080), "http"));
            prop_assert!(url.path().starts_with("/api/limits/") && url.path().ends_with("/on"), "{}", url);
            let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(pairs, [("v".to_owned(), "2".to_owned()), (name, value)]);
            prop_assert!(url.fragment().is_none() && url.username().is_empty());
            Ok(())
        })
        .expect("no value leaves its place");
}
