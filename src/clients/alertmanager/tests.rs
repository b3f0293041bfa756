//! Recorded bodies, odd bodies, bad alerts among good ones, and what is written reads back.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const RECEIVED: &str = "2026-11-21T12:00:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn mk_body(alerts: &Value) -> Vec<u8> {
    json!({"version": "4", "receiver": "r", "groupKey": "{}", "status": "firing", "alerts": alerts})
        .to_string()
        .into_bytes()
}

fn mk_alert() -> Value {
    json!({
        "status": "firing", "labels": {"alertname": "HighErrorRate", "namespace": "prod"},
        "annotations": {"summary": "12 %"}, "startsAt": "2026-11-21T11:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prom/graph", "fingerprint": "9bf73e34e857f71c",
    })
}

/// The alert with changes; a null removes a field.
fn mk_alert_with(changes: Value) -> Value {
    let mut alert = mk_alert();
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(alert.as_object_mut().expect("an object").remove(name)),
            value => alert[name] = value.clone(),
        }
    }
    alert
}

/// Reads one alert out of a body of its own.
fn read_alert(alert: Value) -> Alert {
    let body = mk_body(&json!([alert]));
    let payload = parse(&body).expect("a payload");
    assert_eq!(payload.refused, []);
    payload.alerts[0].to_alert(time(RECEIVED))
}

fn labels(pairs: &[(&str, &str)]) -> crate::domain::Labels {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// The bodies that real Alertmanagers of 0.25, 0.28.1 and 0.33.1 sent, by file name.
fn recorded() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/alertmanager");
    let mut found: Vec<(String, Value)> = std::fs::read_dir(folder)
        .expect("the fixtures")
        .map(|entry| {
            let path = entry.expect("a file").path();
            let request: Value =
                serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("a recorded request");
            (path.file_stem().expect("a name").to_string_lossy().into_owned(), request["body"].clone())
        })
        .collect();
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}

#[test]
fn recorded_webhooks_are_read_whole() {
    let recorded = recorded();
    assert_eq!(recorded.len(), 13);
    for (name, body) in recorded {
        let bytes = body.to_string().into_bytes();
        let payload = parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(payload.refused.is_empty() && !payload.is_garbage(), "{name}");
        assert_eq!(payload.receiver, body["receiver"].as_str().expect("a name"), "{name}");
        assert_eq!(payload.group_key, body["groupKey"].as_str().expect("a key"), "{name}");
        assert_eq!(payload.external_url, body["externalURL"].as_str().expect("a URL"), "{name}");
        assert_eq!(payload.notification_reason, body["notification_reason"].as_str().unwrap_or(""), "{name}");
        assert_eq!(payload.truncated_alerts, body["truncatedAlerts"].as_u64().expect("a count"), "{name}");
        let sent = body["alerts"].as_array().expect("alerts");
        let alerts = payload.to_alerts(time(RECEIVED));
        assert_eq!(alerts.len(), sent.len(), "{name}");
        for (alert, sent) in alerts.iter().zip(sent) {
            assert_eq!(alert.status.as_str(), sent["status"], "{name}");
            assert_eq!(json!(alert.labels), sent["labels"], "{name}");
            assert_eq!(json!(alert.annotations), sent["annotations"], "{name}");
            assert_eq!(alert.starts_at, time(sent["startsAt"].as_str().expect("a time")), "{name}");
            assert_eq!(alert.ends_at.is_some(), sent["status"] == "resolved", "{name}");
            assert_eq!(alert.generator_url.as_deref(), sent["generatorURL"].as_str(), "{name}");
            assert_eq!(alert.fingerprint.to_string(), sent["fingerprint"], "{name}");
            assert_eq!(
                alert.fingerprint,
                Fingerprint::of_labels(&alert.labels),
                "{name}: Alertmanager's hash"
            );
        }
    }
}

#[test]
fn text_is_borrowed_from_the_body() {
    let body = mk_body(&json!([mk_alert()]));
    let payload = parse(&body).expect("a payload");
    let alert = &payload.alerts[0];
    let texts = alert.labels.iter().chain(&alert.annotations).flat_map(|(name, value)| [name, value]);
    assert!(texts.chain(&alert.generator_url).all(|text| matches!(text, Cow::Borrowed(_))));
}

#[test]
fn a_missing_or_unusable_fingerprint_is_computed() {
    let expected = Fingerprint::of_labels([("alertname", "HighErrorRate"), ("namespace", "prod")]);
    for fingerprint in [Value::Null, json!(""), json!("xyz"), json!([1]), json!("00000000000000000")] {
        let alert = read_alert(mk_alert_with(json!({"fingerprint": fingerprint})));
        assert_eq!(alert.fingerprint, expected, "{fingerprint}");
    }
    let grafana = read_alert(mk_alert_with(json!({"fingerprint": "00000000000000ab"})));
    assert_eq!(grafana.fingerprint.as_u64(), 0xab, "a sent one is kept, though it differs");
}

#[test]
fn labels_with_empty_values_are_as_good_as_missing() {
    let sent = json!({"alertname": "A", "zone": ""});
    let alert = read_alert(mk_alert_with(json!({"labels": sent, "fingerprint": null})));
    assert_eq!(alert.labels, labels(&[("alertname", "A")]));
    assert_eq!(alert.fingerprint, Fingerprint::of_labels([("alertname", "A")]));
}

#[test]
fn odd_times_never_cost_an_alert() {
    for odd in
        [json!("0001-01-01T00:00:00Z"), json!(""), json!("yesterday"), json!(5), json!({}), Value::Null]
    {
        let alert = read_alert(mk_alert_with(json!({"startsAt": odd, "endsAt": odd})));
        assert_eq!((alert.starts_at, alert.ends_at), (time(RECEIVED), None), "{odd}");
    }
    let offset = json!({"status": "resolved", "startsAt": "2020-01-01T01:00:00+01:00"});
    assert_eq!(read_alert(mk_alert_with(offset)).starts_at, time("2020-01-01T00:00:00Z"));
    for zoneless in ["2020-01-01T00:00:00", "2020-01-01 00:00:00", "2020-01-01"] {
        let alert = read_alert(mk_alert_with(json!({"startsAt": zoneless})));
        assert_eq!(alert.starts_at, time(RECEIVED), "{zoneless}: nobody knows which zone is meant");
    }
    for future in ["2030-01-01T00:00:00Z", "9999-12-30T21:59:59Z"] {
        let told = json!({"status": "resolved", "startsAt": future, "endsAt": future});
        let alert = read_alert(mk_alert_with(told));
        let now = time(RECEIVED);
        assert_eq!((alert.starts_at, alert.ends_at), (now, Some(now)), "{future}: it has not happened yet");
    }
    let endless = json!({"startsAt": "9999-12-31T23:59:59Z", "endsAt": "+12345-01-01T00:00:00Z"});
    assert_eq!(read_alert(mk_alert_with(endless)).starts_at, time(RECEIVED), "beyond what a time can be");
    let backwards = json!({"status": "resolved", "endsAt": "2020-01-01T00:00:00Z"});
    assert_eq!(read_alert(mk_alert_with(backwards)).ends_at, Some(time("2020-01-01T00:00:00Z")));
    let future = "2030-01-01T00:00:00Z";
    let firing = read_alert(mk_alert_with(json!({"endsAt": future})));
    assert_eq!(firing.ends_at, None, "an alert that fires has no end yet");
}

#[test]
fn an_alert_without_a_usable_status_fires_unless_its_end_has_passed() {
    for status in [Value::Null, json!("unknown"), json!(1), json!("FIRING")] {
        let open = read_alert(mk_alert_with(json!({"status": status})));
        assert_eq!(open.status, AlertStatus::Firing, "{status}");
        let past = mk_alert_with(json!({"status": status, "endsAt": "2026-11-21T11:59:59Z"}));
        assert_eq!(read_alert(past).status, AlertStatus::Resolved, "{status}");
        let future = mk_alert_with(json!({"status": status, "endsAt": "2026-11-21T12:05:00Z"}));
        assert_eq!(read_alert(future).status, AlertStatus::Firing, "{status}");
    }
}

#[test]
fn annotations_of_any_kind_are_tolerated() {
    let odd = json!({"summary": "s", "count": 3, "on": true, "none": null, "list": [1, {"a": [2]}], "map": {"a": 1}});
    let alert = read_alert(mk_alert_with(json!({"annotations": odd})));
    assert_eq!(alert.annotations, labels(&[("count", "3"), ("on", "true"), ("summary", "s")]));
    assert!(read_alert(mk_alert_with(json!({"annotations": null}))).annotations.is_empty());
    let long = json!({"a": "ä".repeat(5_000), "b": "b".repeat(8 * 1024)});
    let alert = read_alert(mk_alert_with(json!({"annotations": long})));
    assert_eq!(alert.annotations["a"], format!("{}… (10000 bytes)", "ä".repeat(4 * 1024)));
    assert_eq!(alert.annotations["b"].len(), 8 * 1024, "what fits stays whole");
    let twice = String::from_utf8(mk_body(&json!([mk_alert()]))).expect("text");
    let twice =
        twice.replace("\"summary\":\"12 %\"", "\"summary\":\"first\",\"a\":\"b\",\"summary\":\"last\"");
    let payload = parse(twice.as_bytes()).expect("a payload");
    assert_eq!(payload.alerts[0].annotations, [("a".into(), "b".into()), ("summary".into(), "last".into())]);
}

#[test]
fn a_bad_alert_is_refused_with_its_place_and_the_good_ones_are_kept() {
    let bad = [
        (json!({"status": "firing"}), "missing field `labels`"),
        (mk_alert_with(json!({"labels": {}})), "without labels"),
        (mk_alert_with(json!({"labels": {"alertname": ""}})), "without labels"),
        (mk_alert_with(json!({"labels": {"alertname": "A", "code": 500}})), "label \"code\" is not text"),
        (mk_alert_with(json!({"labels": {"alertname": null}})), "label \"alertname\" is not text"),
        (mk_alert_with(json!({"labels": {"alertname": ["A"]}})), "label \"alertname\" is not text"),
        (mk_alert_with(json!({"labels": {"": "A"}})), "has no name"),
        (mk_alert_with(json!({"labels": [["alertname", "A"]]})), "labels, which are a JSON object"),
        (mk_alert_with(json!({"annotations": "text"})), "annotations, which are a JSON object"),
        (json!("alert"), "an alert, which is a JSON object"),
        (json!(null), "an alert, which is a JSON object"),
        (json!([[]]), "a list, where an alert is an object"),
    ];
    for (alert, reason) in bad {
        let body = mk_body(&json!([mk_alert(), alert, mk_alert()]));
        let payload = parse(&body).expect("a payload");
        assert_eq!(payload.alerts.iter().map(|alert| alert.index).collect::<Vec<_>>(), [0, 2], "{alert}");
        assert_eq!(payload.refused.len(), 1);
        assert_eq!(payload.refused[0].index, 1);
        assert!(payload.refused[0].reason.contains(reason), "{}", payload.refused[0]);
        assert!(!payload.is_garbage());
        let alone = mk_body(&json!([alert]));
        assert!(parse(&alone).expect("a payload").is_garbage());
    }
}

#[test]
fn a_key_that_occurs_twice_is_refused() {
    let label = br#"{"alerts": [{"labels": {"alertname": "A", "x": "1", "x": "2"}}, {"labels": {"alertname": "A"}}]}"#;
    let payload = parse(label).expect("a payload");
    assert_eq!((payload.alerts.len(), payload.refused[0].reason.as_str()), (1, "label \"x\" occurs twice"));
    let status = br#"{"alerts": [{"status": "firing", "status": "resolved", "labels": {"alertname": "A"}}]}"#;
    let payload = parse(status).expect("a payload");
    assert_eq!(payload.refused[0].reason, "duplicate field `status`");
    let top = br#"{"alerts": [], "alerts": [{"labels": {"alertname": "A"}}]}"#;
    let error = parse(top).expect_err("two lists");
    assert!(error.to_string().ends_with("duplicate field `alerts`"), "{error}");
}

#[test]
fn places_are_told_by_line_and_column_of_the_body() {
    let body = "{\n  \"alerts\": [\n    {\"labels\": {\"alertname\": \"A\"}},\n    {\n      \"labels\": {\"b\": 5}\n    },\n  {\"labels\": 1}]\n}";
    let payload = parse(body.as_bytes()).expect("a payload");
    let places: Vec<_> = payload.refused.iter().map(|refused| refused.position.line).collect();
    assert_eq!(places, [5, 7]);
    assert_eq!(
        payload.refused[1].to_string(),
        "alert 2, line 7, column 14: invalid type: integer `1`, expected labels, which are a JSON object of texts"
    );
}

#[test]
fn bodies_that_are_no_payload_are_refused_with_a_reason() {
    let deep_list = "[".repeat(100_000);
    let deep_field = format!("{{\"x\":{}{},\"alerts\":[]}}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let deep_alert = format!("{{\"alerts\":[{{\"labels\":{{\"a\":\"b\"}},\"x\":{deep_list}");
    let cases: Vec<(&[u8], &str)> = vec![
        (b"", "line 1, column 0: EOF while parsing a value"),
        (b"hello", "line 1, column 1: expected value"),
        (b"\n []", "line 2, column 2: a list, where an Alertmanager webhook is an object"),
        (b"{}", "line 1, column 2: missing field `alerts`"),
        (b"null", "expected an Alertmanager webhook, which is a JSON object"),
        (b"{\"alerts\":\n 5}", "line 2, column 2: invalid type: integer `5`"),
        (b"{\"alerts\":null}", "invalid type: null"),
        (b"{\"alerts\":[{\"labels\":{\"a\":\"b\"", "EOF while parsing an object"),
        (b"{\"alerts\":[]} x", "trailing characters"),
        (b"{\"alerts\":[\n\xff]}", "line 2, column 1: the body is not UTF-8 text"),
        (deep_list.as_bytes(), "line 1, column 65: nested deeper than 64 levels"),
        (deep_field.as_bytes(), "nested deeper than 64 levels"),
        (deep_alert.as_bytes(), "nested deeper than 64 levels"),
    ];
    for (body, words) in cases {
        let error = parse(body).expect_err("no payload").to_string();
        assert!(error.contains(words), "{error} does not say {words}");
        assert!(error.len() < 300, "a reason is short: {error}");
    }
}

#[test]
fn a_long_text_in_the_wrong_place_does_not_make_a_long_reason() {
    let body = mk_body(&json!([{"labels": "x".repeat(1_000_000)}]));
    assert!(parse(&body).expect("a payload").refused[0].reason.len() < 300);
}

#[test]
fn a_flood_of_bad_alerts_is_read_in_one_walk_and_too_many_are_refused() {
    let flood = |count: usize| format!("{{\"alerts\":[\n{}]}}", vec!["1"; count].join(",\n"));
    let body = flood(ALERTS_MAX);
    let payload = parse(body.as_bytes()).expect("a payload");
    assert_eq!(payload.refused.len(), ALERTS_MAX);
    assert_eq!(payload.refused[ALERTS_MAX - 1].position, Position { line: ALERTS_MAX + 1, column: 1 });
    let error = parse(flood(ALERTS_MAX + 1).as_bytes()).expect_err("too many").to_string();
    assert!(error.contains("more than 50000 alerts"), "{error}");
}

#[test]
fn brackets_within_text_are_no_nesting() {
    let brackets = "[{\\\"".repeat(1000);
    let body = format!("{{\"alerts\":[{{\"labels\":{{\"alertname\":\"{brackets}\"}}}}]}}");
    assert_eq!(parse(body.as_bytes()).expect("a payload").alerts.len(), 1);
}

#[test]
fn other_versions_and_unknown_fields_are_read() {
    let body = json!({
        "version": 1, "orgId": 7, "title": "t", "state": "alerting", "message": ["odd"], "truncatedAlerts": null,
        "routeLabels": {"a": "b"}, "receiver": 5,
        "alerts": [mk_alert_with(json!({"values": {"A": 0.1}, "silenceURL": "x", "generatorURL": ""}))],
    });
    let bytes = body.to_string().into_bytes();
    let payload = parse(&bytes).expect("a payload");
    assert_eq!((payload.alerts.len(), payload.truncated_alerts, &*payload.receiver), (1, 0, "5"));
    assert_eq!(payload.alerts[0].generator_url, None);
}

#[test]
fn a_count_of_truncated_alerts_that_cannot_be_read_still_says_that_some_are_missing() {
    for (sent, count) in [
        ("0", 0),
        ("3", 3),
        ("\"3\"", 3),
        ("null", 0),
        ("-1", 1),
        ("1.5", 1),
        ("\"many\"", 1),
        ("[]", 1),
        ("{}", 1),
    ] {
        let body = format!("{{\"alerts\":[],\"truncatedAlerts\":{sent}}}");
        assert_eq!(parse(body.as_bytes()).expect("a payload").truncated_alerts, count, "{sent}");
    }
}

#[test]
fn the_receivers_name_is_freed_from_regexp_quoting() {
    for (sent, name) in [(r"team\\.ops\\(eu\\)", "team.ops(eu)"), (r"a\\\\b", r"a\b"), (r"a\\d", r"a\d")] {
        let body = format!("{{\"alerts\":[],\"receiver\":\"{sent}\"}}");
        assert_eq!(parse(body.as_bytes()).expect("a payload").receiver, name);
    }
}

#[test]
fn a_written_webhook_has_the_shape_that_alertmanager_sends() {
    let (_, recorded) =
        recorded().into_iter().find(|(name, _)| name == "am025-mixed-firing-and-resolved").expect("recorded");
    let bytes = recorded.to_string().into_bytes();
    let alerts = parse(&bytes).expect("a payload").to_alerts(time(RECEIVED));
    let webhook = Webhook::new("all", &alerts).external_url("http://vm:19093");
    let mut written: Value = serde_json::from_slice(&webhook.to_body()).expect("JSON");
    // Only the grouping differs: the recorded one was grouped by cluster.
    written["groupKey"] = recorded["groupKey"].clone();
    written["groupLabels"] = recorded["groupLabels"].clone();
    assert_eq!(written, recorded);
}

#[test]
fn a_written_webhook_tells_group_status_and_truncation() {
    let mut alert = read_alert(mk_alert());
    alert.status = AlertStatus::Resolved;
    let alerts = [alert];
    let webhook = Webhook::new("team.ops", &alerts).truncated_alerts(2);
    let written: Value = serde_json::from_slice(&webhook.to_body()).expect("JSON");
    assert_eq!((&written["status"], &written["truncatedAlerts"]), (&json!("resolved"), &json!(2)));
    assert_eq!(written["receiver"], r"team\.ops");
    assert_eq!(written["groupKey"], "{}:{alertname=\"HighErrorRate\"}");
    let body = webhook.to_body();
    assert_eq!(parse(&body).expect("a payload").receiver, "team.ops");
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        texts in prop::collection::btree_map(".{1,20}", ".{1,40}", 1..6),
        notes in prop::collection::btree_map(".{0,20}", ".{0,40}", 0..4),
        second in 0_i64..4_000_000_000,
        resolved: bool,
    ) {
        let starts_at = Timestamp::from_second(second).expect("a time");
        let alert = Alert {
            fingerprint: Fingerprint::of_labels(&texts),
            status: if resolved { AlertStatus::Resolved } else { AlertStatus::Firing },
            labels: texts,
            annotations: notes,
            starts_at,
            ends_at: resolved.then_some(starts_at),
            generator_url: None,
        };
        let alerts = [alert];
        let body = Webhook::new("r", &alerts).to_body();
        let payload = parse(&body).expect("a payload");
        prop_assert_eq!(&payload.refused, &[]);
        prop_assert_eq!(payload.to_alerts(starts_at), alerts);
    }

    #[test]
    fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&body);
    }

    #[test]
    fn no_mutilated_body_makes_it_panic(at in 0_usize..1000, byte: u8, cut in 0_usize..1000) {
        let mut body = mk_body(&json!([mk_alert(), mk_alert()]));
        let length = body.len();
        body[at % length] = byte;
        body.truncate(cut.max(1) % length);
        let _ = parse(&body);
    }
}
