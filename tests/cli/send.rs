//! `send`: what arrives at the receiver is what Alertmanager would have sent.

use crate::program::{EXIT_USAGE, smokejumper};
use crate::stand_in::StandIn;
use http::StatusCode;
use smokejumper::clients::alertmanager;
use smokejumper::domain::alert::AlertStatus;
use smokejumper::domain::fingerprint::Fingerprint;

const RECEIVE: &str = "POST /webhooks/alertmanager";
const ALERT: [&str; 5] = ["send", "--alertname", "HighErrorRate", "--label", "service=api"];

fn mk_service() -> StandIn {
    StandIn::start().answer(RECEIVE, StatusCode::OK, "text/plain", "")
}

#[test]
fn a_made_up_alert_arrives_as_a_webhook() {
    let service = mk_service();
    let more = ["--annotation", "summary=5 % = too much", "--url", &service.url];
    let printed = smokejumper(ALERT.iter().chain(&more)).env("SMOKEJUMPER_TOKEN", "am-token").run().good();
    let fingerprint = Fingerprint::of_labels([("alertname", "HighErrorRate"), ("service", "api")]);
    let expected = format!("accepted by {}: 1 alert\n  firing  HighErrorRate  {fingerprint}\n", service.url);
    assert_eq!(printed, expected);

    let asked = service.last();
    assert_eq!((asked.line.as_str(), asked.authorization.as_deref()), (RECEIVE, Some("Bearer am-token")));
    let payload = alertmanager::parse(asked.body.as_bytes()).expect("a payload");
    assert_eq!((payload.alerts.len(), payload.refused.len()), (1, 0));
    let alert = payload.alerts[0].to_alert(jiff::Timestamp::UNIX_EPOCH);
    assert_eq!((alert.fingerprint, alert.status), (fingerprint, AlertStatus::Firing));
    assert_eq!(alert.annotations["summary"], "5 % = too much");
}

#[test]
fn the_same_alert_ends_with_the_same_fingerprint() {
    let printed = smokejumper(ALERT.iter().chain(&["--resolved", "--dry-run"])).run().good();
    let payload = alertmanager::parse(printed.as_bytes()).expect("a payload");
    let alert = payload.alerts[0].to_alert(jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(alert.status, AlertStatus::Resolved);
    assert!(alert.ends_at.is_some());
    assert_eq!(
        alert.fingerprint,
        Fingerprint::of_labels([("alertname", "HighErrorRate"), ("service", "api")])
    );
}

#[test]
fn a_recorded_body_is_sent_as_it_is() {
    let recording = include_str!("../fixtures/alertmanager/am025-firing-group-of-3.json");
    let recording: serde_json::Value = serde_json::from_str(recording).expect("a recording");
    let recorded = format!("{:#}\n", recording["body"]);
    let service = mk_service();
    let program = smokejumper(["send", "--file", "-", "--output", "json", "--url", &service.url]);
    let json = program.input(recorded.as_str()).run().json();
    assert_eq!(json["alerts"].as_array().map(Vec::len), Some(3));
    assert_eq!(json["accepted"], true);
    assert_eq!(service.last().body, recorded);
}

#[test]
fn what_the_receiver_refuses_is_a_failure_with_its_words() {
    let service =
        StandIn::start().problem(RECEIVE, StatusCode::BAD_REQUEST, "line 1, column 2: expected value");
    let program = smokejumper(["send", "--file", "-", "--url", &service.url]);
    let said = program.input("no json").run().refused(1);
    assert_eq!(said, "error: line 1, column 2: expected value (400 Bad Request)\n");
}

#[test]
fn arguments_that_make_no_alert_are_bad_usage() {
    let refusal = |arguments: &[&str]| smokejumper(arguments).run().refused(EXIT_USAGE);
    assert!(refusal(&["send"]).contains("nothing to send"));
    assert!(refusal(&["send", "--resolved"]).contains("at least one label"));
    assert!(refusal(&["send", "--label", "service"]).contains("NAME=VALUE"));
    assert!(refusal(&["send", "--file", "/none/payload.json"]).contains("/none/payload.json cannot be read"));
    assert!(refusal(&["send", "--file", "/"]).contains("cannot be read"));
    assert!(refusal(&["send", "--file", "x", "--alertname", "Y"]).contains("cannot be used with"));
}
