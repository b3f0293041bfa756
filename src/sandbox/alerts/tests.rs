//! The sender against a receiver on loopback. The world runs fast, so that a group interval is a moment.

use super::*;
use crate::sandbox::test_support::Receiver;

const PATIENCE: Duration = Duration::from_secs(20);

/// A sender whose group wait is 10 ms and whose group interval is `interval`.
fn mk_sender(receiver: &Receiver, interval: Duration) -> AlertSender {
    let options = SenderOptions {
        group_wait: Duration::from_millis(10),
        group_interval: interval,
        ..SenderOptions::default()
    };
    let sender = AlertSender::new(options).expect("a client");
    sender.set_target(Target {
        url: receiver.url("/webhooks/alertmanager?from=test"),
        bearer_token: Some("t0ken".into()),
    });
    sender
}

fn mk_alert(instance: &str) -> Alert {
    let labels = [("instance", instance), ("namespace", "pss-nano"), ("service", "api-gateway")];
    Alert::new("HighErrorRate", &labels, "5xx above 5 %")
}

async fn reasons(sender: &AlertSender, count: usize) -> Vec<(Reason, u32, Option<u16>)> {
    let waited = sender.deliveries().wait_until(PATIENCE, |entries| entries.len() >= count).await;
    let entries = waited.expect("so many deliveries").into_iter();
    entries.map(|entry| (entry.what.reason, entry.what.attempt, entry.what.status)).collect()
}

#[tokio::test]
async fn alerts_of_one_group_travel_together_firing_then_resolved() {
    let receiver = Receiver::start().await;
    let sender = mk_sender(&receiver, Duration::from_millis(100));
    sender.fire(mk_alert("1"));
    sender.fire(mk_alert("2"));
    assert_eq!(reasons(&sender, 1).await, [(Reason::First, 1, Some(200))]);
    assert!(sender.is_firing(&mk_alert("1").labels));
    sender.resolve(&mk_alert("1").labels);
    sender.resolve(&mk_alert("2").labels);
    assert_eq!(reasons(&sender, 2).await[1], (Reason::AllResolved, 1, Some(200)));
    let seen = receiver.seen.entries();
    let first = &seen[0].what;
    assert_eq!(first.headers["authorization"], "Bearer t0ken");
    assert_eq!(first.headers["user-agent"], "Alertmanager/0.33.1");
    let body: Value = serde_json::from_str(&first.body).expect("JSON");
    assert_eq!(body["alerts"].as_array().map(Vec::len), Some(2));
    assert_eq!(body["groupLabels"]["service"], "api-gateway");
    let body: Value = serde_json::from_str(&seen[1].what.body).expect("JSON");
    assert_eq!((&body["status"], &body["alerts"][1]["status"]), (&"resolved".into(), &"resolved".into()));
}

#[tokio::test]
async fn a_server_error_is_retried_within_the_flush() {
    let receiver = Receiver::start().await;
    receiver.answer_next(&[500, 503]);
    let sender = mk_sender(&receiver, Duration::from_secs(60));
    sender.fire(mk_alert("1"));
    let expected =
        [(Reason::First, 1, Some(500)), (Reason::First, 2, Some(503)), (Reason::First, 3, Some(200))];
    assert_eq!(reasons(&sender, 3).await, expected);
    let bodies: Vec<_> = receiver.seen.entries().into_iter().map(|entry| entry.what.body).collect();
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "a retry carries the same body");
}

#[tokio::test]
async fn a_refusal_comes_again_only_at_the_next_group_interval() {
    let receiver = Receiver::start().await;
    receiver.answer_next(&[429, 400]);
    let interval = Duration::from_millis(300);
    let sender = mk_sender(&receiver, interval);
    sender.fire(mk_alert("1"));
    let expected =
        [(Reason::First, 1, Some(429)), (Reason::First, 1, Some(400)), (Reason::First, 1, Some(200))];
    assert_eq!(reasons(&sender, 3).await, expected);
    let times: Vec<_> = receiver.seen.entries().iter().map(|entry| entry.at).collect();
    for pair in times.windows(2) {
        let apart = Duration::try_from(pair[1].duration_since(pair[0])).expect("in order");
        assert!(apart >= interval * 9 / 10, "{apart:?}: no retry within the interval");
    }
}

#[tokio::test]
async fn an_unreachable_receiver_is_retried_like_a_server_error() {
    let receiver = Receiver::start().await;
    let sender = mk_sender(&receiver, Duration::from_secs(60));
    receiver.server.go_down().await;
    sender.fire(mk_alert("1"));
    let tries = sender.deliveries().wait_until(PATIENCE, |entries| !entries.is_empty()).await.expect("a try");
    assert_eq!(tries[0].what.status, None);
    receiver.server.come_back().await.expect("the port is free");
    let done =
        sender.deliveries().wait_until(PATIENCE, |entries| entries.iter().any(|entry| entry.what.accepted()));
    assert!(done.await.is_ok());
}

#[tokio::test]
async fn an_unchanged_group_is_told_again_only_after_the_repeat_interval() {
    let receiver = Receiver::start().await;
    let options = SenderOptions {
        group_wait: Duration::from_secs(1),
        group_interval: Duration::from_secs(5),
        repeat_interval: Duration::from_secs(60),
        speed: 100.0,
        ..SenderOptions::default()
    };
    let sender = AlertSender::new(options).expect("a client");
    sender.set_target(Target { url: receiver.url("/"), bearer_token: None });
    sender.fire(mk_alert("1"));
    let told = reasons(&sender, 2).await;
    assert_eq!((told[0].0, told[1].0), (Reason::First, Reason::Repeat));
    let times: Vec<_> = receiver.seen.entries().iter().map(|entry| entry.at).collect();
    let apart = Duration::try_from(times[1].duration_since(times[0])).expect("in order");
    assert!(
        apart >= Duration::from_millis(590),
        "sixty seconds of a world a hundred times faster: {apart:?}"
    );
    assert!(!receiver.seen.entries()[0].what.headers.contains_key("authorization"));
}

#[tokio::test]
async fn without_resolved_only_firing_alerts_are_sent() {
    let receiver = Receiver::start().await;
    let options = SenderOptions {
        send_resolved: false,
        group_wait: Duration::from_millis(10),
        group_interval: Duration::from_millis(50),
        ..SenderOptions::default()
    };
    let sender = AlertSender::new(options).expect("a client");
    sender.set_target(Target { url: receiver.url("/"), bearer_token: None });
    sender.fire(mk_alert("1"));
    sender.fire(mk_alert("2"));
    reasons(&sender, 1).await;
    sender.resolve(&mk_alert("1").labels);
    sender.fire(mk_alert("3"));
    reasons(&sender, 2).await;
    let bodies = receiver.seen.entries();
    let body: Value = serde_json::from_str(&bodies[1].what.body).expect("JSON");
    let statuses: Vec<_> =
        body["alerts"].as_array().expect("alerts").iter().map(|alert| &alert["status"]).collect();
    assert_eq!(statuses, ["firing", "firing"]);
}

/// Asks the sender's own API.
async fn asked(server: &Server, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let client = loopback_client(PATIENCE).expect("a client");
    let mut request = client.request(method, format!("{}/api/v2/{path}", server.base_url()));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.expect("text")).unwrap_or_default())
}

fn mk_silence(instance: &str) -> Value {
    let ends_at = Timestamp::now() + jiff::SignedDuration::from_hours(1);
    serde_json::json!({
        "matchers": [{ "name": "instance", "value": instance, "isRegex": false, "isEqual": true }],
        "startsAt": Timestamp::now().to_string(), "endsAt": ends_at.to_string(),
        "createdBy": "una", "comment": "known",
    })
}

#[tokio::test]
async fn what_is_silenced_is_told_when_the_silence_is_over() {
    use reqwest::Method;
    let receiver = Receiver::start().await;
    let sender = mk_sender(&receiver, Duration::from_millis(50));
    let server = sender.serve(0).await.expect("a free port");
    let (status, made) = asked(&server, Method::POST, "silences", Some(mk_silence("1"))).await;
    assert_eq!(status, 200);
    let id = made["silenceID"].as_str().expect("an identity").to_owned();
    sender.fire(mk_alert("1"));
    sender.fire(mk_alert("2"));
    reasons(&sender, 1).await;
    let first: Value = serde_json::from_str(&receiver.seen.entries()[0].what.body).expect("JSON");
    assert_eq!(first["alerts"].as_array().map(Vec::len), Some(1));
    assert_eq!(first["alerts"][0]["labels"]["instance"], "2");
    let (_, held) = asked(&server, Method::GET, "alerts?active=true", None).await;
    let quiet: Vec<&Value> = held
        .as_array()
        .expect("alerts")
        .iter()
        .filter(|one| one["status"]["state"] == "suppressed")
        .collect();
    assert_eq!((quiet.len(), &quiet[0]["status"]["silencedBy"][0]), (1, &made["silenceID"]));
    let (_, listed) = asked(&server, Method::GET, "silences?filter=instance%3D%221%22", None).await;
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["status"]["state"]), (Some(1), &"active".into()));
    let path = format!("silence/{id}");
    assert_eq!(asked(&server, Method::DELETE, &path, None).await.0, 200);
    assert_eq!(asked(&server, Method::DELETE, &path, None).await.0, 500, "as Alertmanager answers");
    assert_eq!(asked(&server, Method::GET, &path, None).await.1["status"]["state"], "expired");
    assert_eq!(asked(&server, Method::DELETE, "silence/none", None).await.0, 404);
    assert_eq!(asked(&server, Method::POST, "silences", Some(mk_silence(""))).await.0, 400);
    assert_eq!(reasons(&sender, 2).await[1].0, Reason::NewAlerts);
    let (_, standing) = asked(&server, Method::GET, "status", None).await;
    assert!(standing["uptime"].as_str().is_some_and(|at| at.parse::<Timestamp>().is_ok()), "{standing}");
}
