//! Commands that ask a running service: what they ask, what they print, how they fail.

use crate::program::{EXIT_USAGE, Outcome, smokejumper};
use crate::stand_in::{ID, StandIn, mk_detail, mk_summary};
use http::StatusCode;
use serde_json::{Value, json};

const LIST: &str = "GET /api/v1/incidents";

fn run(service: &StandIn, arguments: &[&str]) -> Outcome {
    smokejumper(arguments).env("SMOKEJUMPER_URL", &service.url).run()
}

fn mk_page() -> Value {
    let hostile = "x\u{1b}]0;owned\u{7}";
    let mut second = mk_summary("019532f0a1b27c3d8e4f0000aaaa0001");
    second.status = "acknowledged".to_owned();
    second.summary = hostile.to_owned();
    second.target = None;
    second.next_escalation_at = None;
    let mut page = json!({ "incidents": [mk_summary(ID), second], "next_cursor": ID });
    page["from_a_newer_version"] = json!(true);
    page
}

#[test]
fn the_list_is_a_table_for_people() {
    let service = StandIn::start().json(LIST, &mk_page());
    insta::assert_snapshot!(run(&service, &["incidents", "list"]).good());
    assert_eq!(service.last().line, "GET /api/v1/incidents?status=open&limit=50");
    // Without a word, too.
    run(&service, &["incidents"]).good();
}

#[test]
fn json_is_what_the_service_said() {
    let page = mk_page();
    let service = StandIn::start().json(LIST, &page);
    assert_eq!(run(&service, &["incidents", "list", "--output", "json"]).json(), page);
    assert_eq!(run(&service, &["--output", "json", "incidents", "list"]).json(), page);
}

#[test]
fn filters_reach_the_service() {
    let service = StandIn::start().json(LIST, &json!({ "incidents": [], "next_cursor": null }));
    let printed =
        run(&service, &["incidents", "list", "--status", "all", "--limit", "5", "--cursor", ID]).good();
    assert_eq!(printed, "there are no incidents\n");
    assert_eq!(service.last().line, format!("GET /api/v1/incidents?limit=5&cursor={ID}"));
    let printed = run(&service, &["incidents", "list", "--status", "resolved,triggered"]).good();
    assert_eq!(printed, "no incidents are resolved or triggered\n");
    let refused = run(&service, &["incidents", "list", "--limit", "501"]).refused(EXIT_USAGE);
    assert!(refused.contains("500"), "{refused}");
}

#[test]
fn one_incident_is_a_page_that_nobody_can_forge() {
    let path = format!("GET /api/v1/incidents/{ID}");
    let service = StandIn::start().json(&path, &json!(mk_detail()));
    let page = run(&service, &["incidents", "show", ID]).good();
    // Times are of today, except those of the timeline.
    let today = regex::Regex::new(r"\d{4}-\S+Z \(").expect("a pattern");
    insta::assert_snapshot!(today.replace_all(&page, "[time] ("));
}

#[test]
fn the_end_of_an_identity_is_enough() {
    let service = StandIn::start()
        .json(LIST, &mk_page())
        .json(&format!("POST /api/v1/incidents/{ID}/resolve"), &json!(mk_detail()));
    let printed = run(&service, &["incidents", "resolve", "6b1f03aa", "--reason", "load test"]).good();
    assert_eq!(printed, "6b1f03aa high-error-rate: triggered\n");
    assert_eq!(service.last().body, r#"{"reason":"load test"}"#);

    let ambiguous = run(&service, &["incidents", "ack", "019532f0"]).refused(1);
    assert!(ambiguous.contains("2 incidents begin or end with `019532f0`"), "{ambiguous}");
    let unknown = run(&service, &["incidents", "ack", "ffffffff"]).refused(1);
    assert!(unknown.contains("none of the newest 500 incidents"), "{unknown}");
    let short = run(&service, &["incidents", "ack", "a"]).refused(EXIT_USAGE);
    assert!(short.contains("too short"), "{short}");
}

#[test]
fn an_acknowledgement_names_who_took_it() {
    let mut detail = mk_detail();
    detail.summary.status = "acknowledged".to_owned();
    detail.summary.acknowledged_by = Some("una".to_owned());
    let line = format!("POST /api/v1/incidents/{ID}/acknowledge");
    let service = StandIn::start().json(&line, &json!(detail));
    for word in ["ack", "acknowledge"] {
        let printed = run(&service, &["incidents", word, ID]).good();
        assert_eq!(printed, "6b1f03aa high-error-rate: acknowledged by una\n");
        assert_eq!((service.last().line, service.last().body), (line.clone(), String::new()));
    }
    run(&service, &["incidents", "ack", ID, "--reason", "looking at the pool"]).good();
    assert_eq!(service.last().body, r#"{"reason":"looking at the pool"}"#);
}

#[test]
fn people_go_on_by_hand_and_call_the_next_level() {
    let mut detail = mk_detail();
    detail.summary.taken_over_by = Some("una".to_owned());
    let service = StandIn::start()
        .json(&format!("POST /api/v1/incidents/{ID}/take-over"), &json!(detail))
        .json(&format!("POST /api/v1/incidents/{ID}/escalate"), &json!(mk_detail()));
    let printed = run(&service, &["incidents", "take-over", ID, "--reason", "by hand"]).good();
    assert_eq!(printed, "6b1f03aa high-error-rate: taken over by una\n");
    assert_eq!(service.last().body, r#"{"reason":"by hand"}"#);
    let printed = run(&service, &["incidents", "escalate", ID]).good();
    assert_eq!(printed, "6b1f03aa high-error-rate: triggered\n");
}

#[test]
fn people_silence_an_incident_for_a_time_or_until_it_is_over() {
    let mut detail = mk_detail();
    detail.summary.silenced_by = Some("una".to_owned());
    let service = StandIn::start()
        .json(&format!("POST /api/v1/incidents/{ID}/silence"), &json!(detail))
        .json(&format!("POST /api/v1/incidents/{ID}/unsilence"), &json!(mk_detail()));
    let printed = run(&service, &["incidents", "silence", ID]).good();
    assert_eq!(printed, "6b1f03aa high-error-rate: triggered, silenced by una until it is resolved\n");
    assert_eq!(service.last().body, "{}");
    run(&service, &["incidents", "silence", ID, "--for", "4h", "--reason", "moving"]).good();
    assert_eq!(service.last().body, r#"{"for":"4h","reason":"moving"}"#);
    run(&service, &["incidents", "unsilence", ID]).good();
    assert_eq!(service.last().line, format!("POST /api/v1/incidents/{ID}/unsilence"));
}

#[test]
fn actions_that_wait_are_listed_approved_and_rejected() {
    let action = &mk_detail().actions[0];
    let mut listed = json!(action);
    listed["incident"] = json!(ID);
    let mut rejected = mk_detail();
    rejected.actions[0].status = "rejected".to_owned();
    let service = StandIn::start()
        .json(LIST, &mk_page())
        .json("GET /api/v1/actions", &json!({ "actions": [listed] }))
        .json(&format!("POST /api/v1/actions/{ID}-a1/approve"), &json!(mk_detail()))
        .json(&format!("POST /api/v1/actions/{ID}-a1/reject"), &json!(rejected));

    insta::assert_snapshot!(run(&service, &["actions", "list"]).good());
    assert_eq!(service.last().line, "GET /api/v1/actions?status=awaiting_approval");
    run(&service, &["actions", "list", "--status", "all"]).good();
    assert_eq!(service.last().line, "GET /api/v1/actions");

    let printed = run(&service, &["actions", "approve", "6b1f03aa-a1", "--digest", "4be1c2"]).good();
    assert_eq!(printed, "6b1f03aa-a1 raise-connection-pool: awaiting_approval (una: approved)\n");
    assert_eq!(service.last().line, format!("POST /api/v1/actions/{ID}-a1/approve?digest=4be1c2"));
    let printed = run(&service, &["actions", "reject", &format!("{ID}-a1"), "--reason", "no"]).good();
    assert_eq!(printed, "6b1f03aa-a1 raise-connection-pool: rejected\n");
    assert_eq!(service.last().body, r#"{"reason":"no"}"#);
}

#[test]
fn the_kill_switch_is_set_shown_and_lifted() {
    let pauses = json!({ "paused": true, "pauses": [
        { "namespace": null, "by": "una", "reason": "deploying", "since": crate::stand_in::in_seconds(-90) },
        { "namespace": "db", "by": "ben", "reason": "fail-over", "since": crate::stand_in::in_seconds(-7_300) },
    ]});
    let service = StandIn::start()
        .json("PUT /api/v1/pause", &pauses)
        .json("GET /api/v1/pause", &json!({ "paused": false, "pauses": [] }));
    let printed = run(&service, &["pause", "--reason", "deploying", "--namespace", "db"]).good();
    assert_eq!(
        printed,
        "SCOPE         BY   SINCE   REASON\neverything    una  1m ago  deploying\nnamespace db  ben  2h ago  fail-over\n"
    );
    let sent: Value = serde_json::from_str(&service.last().body).expect("JSON");
    assert_eq!(sent, json!({ "paused": true, "namespace": "db", "reason": "deploying" }));
    run(&service, &["resume"]).good();
    let sent: Value = serde_json::from_str(&service.last().body).expect("JSON");
    assert_eq!(sent, json!({ "paused": false, "namespace": null }));
    assert_eq!(run(&service, &["pause", "--show"]).good(), "nothing is paused\n");
    assert!(run(&service, &["pause"]).refused(EXIT_USAGE).contains("--reason"));
    let bad = run(&service, &["pause", "--reason", "r", "--namespace", "Bad Name"]).refused(EXIT_USAGE);
    assert!(bad.contains("\"Bad Name\" is no name of a namespace"), "{bad}");
}

#[test]
fn who_is_on_call_is_a_table_for_people() {
    let duty = |schedule: &str,
                person: Option<&str>,
                is_override: bool,
                until: Option<String>,
                next: Option<&str>| {
        json!({ "schedule": schedule, "person": person, "slack": null, "rotation": (!is_override).then_some("primary"),
            "override": is_override, "until": until, "next": next })
    };
    let later = crate::stand_in::in_seconds(7_290);
    let schedules = [
        duty("leads", Some("ben"), true, Some(later.clone()), None),
        duty("pss-nano", Some("una"), false, Some(later.clone()), Some("ben")),
        duty("shop", None, false, None, None),
    ];
    let service =
        StandIn::start().json("GET /api/v1/oncall", &json!({ "at": later, "schedules": schedules }));
    let printed = run(&service, &["oncall"]).good().replace(&later, "LATER");
    let rows: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["SCHEDULE", "ON", "CALL", "BY", "UNTIL", "NEXT"]);
    assert_eq!(rows[1], ["leads", "ben", "override", "LATER", "(in", "2h)", "nobody"]);
    assert_eq!(rows[2], ["pss-nano", "una", "primary", "LATER", "(in", "2h)", "ben"]);
    assert_eq!(rows[3], ["shop", "nobody", "primary", "-", "-"]);
    assert_eq!(service.last().line, "GET /api/v1/oncall");
    run(&service, &["oncall", "shop", "--at", "2026-12-31T23:00:00Z"]).good();
    assert_eq!(service.last().line, "GET /api/v1/oncall?at=2026-12-31T23%3A00%3A00Z&schedule=shop");
    let refused = run(&service, &["oncall", "--at", "tomorrow"]).refused(EXIT_USAGE);
    assert!(refused.contains("tomorrow"), "{refused}");
}

#[test]
fn a_token_comes_from_the_environment_or_a_file() {
    let service = StandIn::start().json("GET /api/v1/pause", &json!({ "paused": false, "pauses": [] }));
    run(&service, &["pause", "--show"]).good();
    assert_eq!(service.last().authorization, None);

    let call = || smokejumper(["pause", "--show"]).env("SMOKEJUMPER_URL", &service.url);
    call().env("SMOKEJUMPER_TOKEN", "of-the-environment\n").run().good();
    assert_eq!(service.last().authorization.as_deref(), Some("Bearer of-the-environment"));

    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "of-the-file\n").expect("written");
    let path = file.path().to_str().expect("a path");
    run(&service, &["pause", "--show", "--token-file", path]).good();
    assert_eq!(service.last().authorization.as_deref(), Some("Bearer of-the-file"));

    std::fs::write(file.path(), "\n").expect("written");
    assert!(
        run(&service, &["pause", "--show", "--token-file", path]).refused(EXIT_USAGE).contains("is empty")
    );
    assert!(
        run(&service, &["pause", "--show", "--token-file", "/none"]).refused(EXIT_USAGE).contains("/none")
    );
}

#[test]
fn a_refusal_is_one_line_and_a_failure() {
    let line = format!("POST /api/v1/incidents/{ID}/acknowledge");
    let service =
        StandIn::start().problem(&line, StatusCode::CONFLICT, "already acknowledged by ben\u{1b}[1m");
    let said = run(&service, &["incidents", "ack", ID]).refused(1);
    assert_eq!(said, "error: already acknowledged by ben\\u{1b}[1m (409 Conflict)\n");
}

#[test]
fn a_missing_or_wrong_token_says_what_to_do() {
    let service = StandIn::start().problem(LIST, StatusCode::UNAUTHORIZED, "valid credentials are required");
    let said = run(&service, &["incidents", "list"]).refused(1);
    assert!(said.contains("help: set SMOKEJUMPER_TOKEN, or name a file"), "{said}");
    let with_token = smokejumper(["incidents"])
        .env("SMOKEJUMPER_URL", &service.url)
        .env("SMOKEJUMPER_TOKEN", "wrong-token");
    let said = with_token.run().refused(1);
    assert!(said.contains("not one that the service knows") && !said.contains("wrong-token"), "{said}");
}

#[test]
fn a_token_of_the_api_at_the_door_of_the_receivers_is_told_which_one_it_takes() {
    let door = "POST /webhooks/alertmanager";
    let service = StandIn::start().problem(door, StatusCode::UNAUTHORIZED, "valid credentials are required");
    let sent = smokejumper(["send", "--alertname", "A"]).env("SMOKEJUMPER_URL", &service.url);
    let said = sent.env("SMOKEJUMPER_TOKEN", "token-of-the-api").run().refused(1);
    assert!(said.contains("`receivers.alertmanager`") && !said.contains("token-of-the-api"), "{said}");
}

#[test]
fn something_else_at_the_address_is_told_apart() {
    let html = "<html>Bad Gateway</html>";
    let service = StandIn::start().answer(LIST, StatusCode::BAD_GATEWAY, "text/html", html);
    let said = run(&service, &["incidents"]).refused(1);
    assert!(said.contains("502 Bad Gateway: <html>") && said.contains("is this the address"), "{said}");
    let service = StandIn::start().answer(LIST, StatusCode::OK, "text/html", "hello");
    assert!(run(&service, &["incidents"]).refused(1).contains("is this the address"));
    let service = StandIn::start().json(LIST, &json!({ "incidents": 7 }));
    assert!(run(&service, &["incidents"]).refused(1).contains("same version"));
}

#[test]
fn nobody_at_the_address_says_how_to_start_the_service() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a port")
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let said = smokejumper(["incidents", "list", "--url", &url]).run().refused(1);
    assert!(said.contains("was not reached") && said.contains("smokejumper serve --config FILE"), "{said}");
}

#[test]
fn an_address_that_is_none_is_bad_usage() {
    for url in ["localhost", "ftp://x", "http://una:hunter2@x"] {
        let said = smokejumper(["incidents", "--url", url]).run().refused(EXIT_USAGE);
        assert!(said.contains("--url"), "{said}");
    }
}
