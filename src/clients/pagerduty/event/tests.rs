//! Bodies: what goes over the wire, and how it is kept within PagerDuty's limits.

use serde_json::from_slice;

use super::*;

fn mk_key() -> SecretString {
    SecretString::from("R0UT1NGKEY")
}

fn mk_trigger() -> Trigger {
    Trigger {
        dedup_key: "incident-1".to_owned(),
        summary: "down".to_owned(),
        source: "prod/api".to_owned(),
        severity: Severity::Critical,
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

fn body_of(trigger: &Trigger) -> Value {
    from_slice(&trigger.body(&mk_key()).expect("a body")).expect("JSON")
}

#[test]
fn a_small_event_has_only_what_was_given() {
    assert_eq!(
        body_of(&mk_trigger()),
        json!({
            "routing_key": "R0UT1NGKEY", "event_action": "trigger", "dedup_key": "incident-1",
            "payload": {"summary": "down", "source": "prod/api", "severity": "critical"},
        })
    );
}

#[test]
fn a_follow_up_is_the_key_and_the_action_alone() {
    for (action, word) in [(Action::Acknowledge, "acknowledge"), (Action::Resolve, "resolve")] {
        let body: Value = from_slice(&follow_up_body(&mk_key(), action, "k").expect("a body")).expect("JSON");
        assert_eq!(body, json!({"routing_key": "R0UT1NGKEY", "event_action": word, "dedup_key": "k"}));
    }
}

#[test]
fn long_fields_are_cut_between_characters() {
    let trigger = Trigger { summary: "ü".repeat(2000), source: "日".repeat(2000), ..mk_trigger() };
    let body = body_of(&trigger);
    for (field, start) in [("summary", "ü"), ("source", "日")] {
        let text = body["payload"][field].as_str().expect("text");
        assert_eq!(text.chars().count(), SUMMARY_CHARS_MAX);
        assert!(text.starts_with(start) && text.ends_with('…'), "{field}");
    }
}

#[test]
fn long_dedup_keys_stay_distinct_stable_and_within_the_limit() {
    let key = |last: &str| "k".repeat(300) + last;
    let body = |key: String| body_of(&Trigger { dedup_key: key, ..mk_trigger() })["dedup_key"].clone();
    let (a, b) = (body(key("a")), body(key("b")));
    assert_ne!(a, b);
    assert_eq!(a, body(key("a")));
    assert!(a.as_str().expect("text").len() <= DEDUP_KEY_CHARS_MAX);
    let longest = "k".repeat(DEDUP_KEY_CHARS_MAX);
    assert_eq!(body(longest.clone()), longest.as_str());
}

#[test]
fn an_event_without_a_dedup_key_is_refused() {
    let error = Trigger { dedup_key: String::new(), ..mk_trigger() }.body(&mk_key()).expect_err("no key");
    assert!(matches!(error, SendError::Permanent { code, .. } if code == "no_dedup_key"));
}

#[test]
fn details_over_the_limit_give_way_to_a_note() {
    let fits = Trigger { custom_details: Some(json!({"log": "x".repeat(500_000)})), ..mk_trigger() };
    assert_eq!(body_of(&fits)["payload"]["custom_details"]["log"].as_str().expect("text").len(), 500_000);
    let over = Trigger { custom_details: Some(json!({"log": "x".repeat(600_000)})), ..mk_trigger() };
    let body = body_of(&over);
    let note = body["payload"]["custom_details"]["note"].as_str().expect("a note");
    assert!(note.contains("512000 are allowed"), "{note}");
    assert_eq!(body["payload"]["summary"], "down");
}

#[test]
fn links_and_images_are_the_last_to_go() {
    let link = |n: usize| Link { href: format!("https://example.com/{n}/{}", "y".repeat(1000)), text: None };
    let trigger = Trigger { links: (0..600).map(link).collect(), ..mk_trigger() };
    let bytes = trigger.body(&mk_key()).expect("a body");
    assert!(bytes.len() <= EVENT_BYTES_MAX);
    assert_eq!(body_of(&trigger).get("links"), None);
    let hopeless = Trigger { client: Some("z".repeat(600_000)), ..mk_trigger() };
    let error = hopeless.body(&mk_key()).expect_err("too large");
    assert!(matches!(error, SendError::Permanent { code, .. } if code == "too_large"));
}

#[test]
fn pictures_without_https_are_left_out() {
    let image = |src: &str| Image { src: src.to_owned(), href: None, alt: None };
    let images = vec![image("http://example.com/a.png"), image("https://example.com/b.png")];
    let body = body_of(&Trigger { images, ..mk_trigger() });
    assert_eq!(body["images"], json!([{"src": "https://example.com/b.png"}]));
}

#[test]
fn a_change_has_neither_action_nor_dedup_key() {
    let change = Change {
        summary: "pool raised".to_owned(),
        source: "smokejumper".to_owned(),
        timestamp: Some("2026-11-21T00:00:00Z".parse().expect("a time")),
        custom_details: Some(json!({"to": 50})),
        links: vec![Link { href: "https://example.com/".to_owned(), text: Some("incident".to_owned()) }],
    };
    let body: Value = from_slice(&change.body(&mk_key()).expect("a body")).expect("JSON");
    assert_eq!(
        body,
        json!({
            "routing_key": "R0UT1NGKEY",
            "payload": {
                "summary": "pool raised", "source": "smokejumper",
                "timestamp": "2026-11-21T00:00:00Z", "custom_details": {"to": 50},
            },
            "links": [{"href": "https://example.com/", "text": "incident"}],
        })
    );
}
