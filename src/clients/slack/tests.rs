//! The client against a stand-in, the table line by line, signatures and interactions.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::connector::Fault;
use super::interaction::{Interaction, InteractionError, parse_interaction};
use super::signature::{SignatureError, SigningSecrets, sign, verify_signature};
use super::*;
use crate::clients::http::{HttpOptions, ProxyChoice, StatusCode};
use crate::clients::stand_in::{Play, StandIn, refused_url, vector};

const TOKEN: &str = "xoxb-1-hunter2";

fn mk_client(api_url: &str) -> SlackClient {
    let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
    let http = HttpClient::new(&options).expect("an HTTP client");
    SlackClient::new(http, api_url, SecretString::from(TOKEN)).expect("a Slack client")
}

fn mk_message() -> Message {
    let blocks = json!([
        {"type": "section", "text": {"type": "mrkdwn", "text": "*down*"}, "not_modelled": 1},
        {"type": "block_of_next_year", "rows": [[1, 2]]},
    ]);
    let payload = BTreeMap::from([("incident".to_owned(), "i-1".to_owned())]);
    let metadata = Metadata { event_type: "smokejumper_incident".to_owned(), payload };
    let thread_ts = Some("1.1".to_owned());
    Message {
        text: "down".to_owned(),
        blocks: Some(blocks),
        thread_ts,
        broadcast: false,
        metadata: Some(metadata),
    }
}

async fn post(play: Play) -> Result<Posted, SendError> {
    let server = StandIn::play([play]).await;
    mk_client(&server.url("/api")).post_message("#ops", &mk_message()).await
}

#[tokio::test]
async fn a_post_carries_text_blocks_thread_and_metadata_and_returns_where_it_stands() {
    let answer = Play::json(200, json!({"ok": true, "channel": "C1", "ts": "5.6", "message": {"odd": []}}));
    let server = StandIn::play([answer]).await;
    let posted = mk_client(&server.url("/api/")).post_message("#ops", &mk_message()).await.expect("posted");
    assert_eq!(posted, Posted { channel: "C1".to_owned(), ts: "5.6".to_owned() });
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "POST /api/chat.postMessage HTTP/1.1");
    assert_eq!(seen.header("authorization"), Some("Bearer xoxb-1-hunter2"));
    assert_eq!(seen.header("content-type"), Some("application/json; charset=utf-8"));
    let message = mk_message();
    assert_eq!(
        seen.json(),
        json!({
            "channel": "#ops", "text": "down", "blocks": message.blocks, "thread_ts": "1.1",
            "unfurl_links": false, "unfurl_media": false,
            "metadata": {"event_type": "smokejumper_incident", "event_payload": {"incident": "i-1"}},
        })
    );
}

#[tokio::test]
async fn an_update_replaces_text_and_blocks() {
    let server = StandIn::play([Play::json(200, json!({"ok": true}))]).await;
    let client = mk_client(&server.url("/api"));
    let plain =
        Message { text: "up".to_owned(), blocks: None, thread_ts: None, broadcast: false, metadata: None };
    client.update_message("C1", "5.6", &plain).await.expect("updated");
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "POST /api/chat.update HTTP/1.1");
    assert_eq!(
        seen.json(),
        json!({
            "channel": "C1", "ts": "5.6", "text": "up", "blocks": [], "parse": "none", "unfurl_links": false,
        })
    );
}

#[tokio::test]
async fn auth_test_tells_whose_token_it_is() {
    let answer = json!({"ok": true, "team_id": "T1", "team": "Ops", "user_id": "U1", "bot_id": "B1"});
    let server = StandIn::play([Play::json(200, answer)]).await;
    let identity = mk_client(&server.url("")).auth_test().await.expect("an identity");
    assert_eq!((identity.team_id.as_str(), identity.bot_id.as_str()), ("T1", "B1"));
    assert_eq!(server.seen()[0].line, "POST /auth.test HTTP/1.1");
}

#[tokio::test]
async fn ok_is_read_on_every_200() {
    let refused = post(Play::json(200, json!({"ok": false, "error": "is_archived"}))).await;
    assert!(matches!(refused, Err(SendError::Permanent { code, .. }) if code == "is_archived"));
    let unnamed = post(Play::json(200, json!({"ok": false, "channel": "C1", "ts": "5.6"}))).await;
    assert!(matches!(unnamed, Err(SendError::Permanent { code, .. }) if code == "unnamed_error"));
    for not_slack in ["", "<html>login</html>", "{}", "[]", "{\"ok\":\"yes\"}"] {
        let outcome = post(Play::text(200, not_slack)).await;
        assert!(matches!(outcome, Err(SendError::Ambiguous { .. })), "{not_slack}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_post_without_a_place_in_the_answer_is_ambiguous_and_not_lost() {
    let outcome = post(Play::json(200, json!({"ok": true, "channel": "C1"}))).await;
    assert!(matches!(outcome, Err(SendError::Ambiguous { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_refused_connection_is_not_sent_and_a_broken_one_is_ambiguous() {
    let client = mk_client(&refused_url().await);
    let refused = client.post_message("C1", &mk_message()).await;
    assert!(matches!(refused, Err(SendError::Retry { after: None, .. })), "{refused:?}");
    for play in [Play::Close, Play::Half] {
        let outcome = post(play.clone()).await;
        assert!(matches!(outcome, Err(SendError::Ambiguous { .. })), "{play:?}: {outcome:?}");
        let server = StandIn::play([play.clone()]).await;
        let update = mk_client(&server.url("")).update_message("C1", "5.6", &mk_message()).await;
        assert!(matches!(update, Err(SendError::Retry { .. })), "{play:?}: {update:?}");
    }
}

#[tokio::test]
async fn a_retry_after_is_obeyed_by_the_next_call_without_asking_slack() {
    let limited = Play::json(429, json!({"ok": false, "error": "ratelimited"})).with("retry-after", "7");
    let server = StandIn::play([limited]).await;
    let client = mk_client(&server.url(""));
    let first = client.post_message("C1", &mk_message()).await;
    assert!(
        matches!(first, Err(SendError::Retry { after: Some(wait), .. }) if wait.as_secs() == 7),
        "{first:?}"
    );
    let second = client.post_message("C2", &mk_message()).await;
    let Err(SendError::Paced { wait }) = second else { panic!("{second:?}") };
    assert!(wait > Duration::from_secs(6) && wait <= Duration::from_secs(7));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_burst_for_one_channel_is_paced_and_other_channels_are_not() {
    let server = StandIn::play([Play::json(200, json!({"ok": true, "ts": "1.2"}))]).await;
    let client = mk_client(&server.url(""));
    let mut paced = 0;
    for _ in 0..10 {
        match client.post_message("C1", &mk_message()).await {
            Ok(_) => {}
            Err(SendError::Paced { wait }) => {
                assert!(wait <= Duration::from_secs(1));
                paced += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(paced >= 5, "only {paced} of ten were held back");
    client.post_message("C2", &mk_message()).await.expect("another channel");
}

#[tokio::test]
async fn what_cannot_be_accepted_is_refused_before_it_is_sent() {
    let server = StandIn::play([Play::json(200, json!({"ok": true}))]).await;
    let client = mk_client(&server.url(""));
    let no_text = Message { text: " ".to_owned(), ..mk_message() };
    let no_array = Message { blocks: Some(json!({"type": "section"})), ..mk_message() };
    for (message, expected) in [(no_text, "no_text"), (no_array, "invalid_blocks")] {
        let outcome = client.post_message("C1", &message).await;
        assert!(
            matches!(&outcome, Err(SendError::Permanent { code, .. }) if code == expected),
            "{outcome:?}"
        );
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn the_token_is_never_shown() {
    let client = mk_client("http://127.0.0.1:1");
    let error = client.auth_test().await.expect_err("refused");
    let echo = Play::json(200, json!({"ok": false, "error": "invalid_auth"}));
    let server = StandIn::play([echo]).await;
    let told = mk_client(&server.url("")).auth_test().await.expect_err("invalid_auth");
    for text in [format!("{client:?}"), format!("{error:?} {error}"), format!("{told:?} {told}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let options = HttpOptions::configured();
    let http = HttpClient::new(&options).expect("an HTTP client");
    assert!(SlackClient::new(http.clone(), API_URL, SecretString::from(" ")).is_err());
    assert!(SlackClient::new(http, "slack.com", SecretString::from(TOKEN)).is_err());
}

/// One line for each way an exchange can end, for a post and for an update.
#[test]
fn the_table_of_answers() {
    let http = |error: HttpError| Fault::Http(error);
    let place = || "https://slack.com/api".to_owned();
    let status = |code: u16| Fault::Status {
        status: StatusCode::from_u16(code).expect("a status"),
        retry_after: Some(Duration::from_secs(3)),
    };
    let refused =
        |code: &str| Fault::Refused { code: code.to_owned(), detail: String::new(), retry_after: None };
    let why = || "x".to_owned();
    type Line<'a> = (&'a dyn Fn() -> Fault, &'a str, &'a str);
    let lines: [Line; 25] = [
        (&|| http(HttpError::NotSent { place: place(), reason: why() }), "retry", "retry"),
        (&|| http(HttpError::TimedOut { place: place(), timeout: Duration::ZERO }), "ambiguous", "retry"),
        (&|| http(HttpError::Broken { place: place(), reason: why() }), "ambiguous", "retry"),
        (&|| http(HttpError::Invalid { place: place(), reason: why() }), "permanent", "permanent"),
        (&|| http(HttpError::Denied { place: place(), reason: why() }), "permanent", "permanent"),
        (&|| status(429), "retry", "retry"),
        (&|| status(500), "ambiguous", "retry"),
        (&|| status(502), "ambiguous", "retry"),
        (&|| status(503), "ambiguous", "retry"),
        (&|| status(302), "permanent", "permanent"),
        (&|| status(403), "permanent", "permanent"),
        (&|| status(404), "permanent", "permanent"),
        (&|| refused("ratelimited"), "retry", "retry"),
        (&|| refused("service_unavailable"), "retry", "retry"),
        (&|| refused("fatal_error"), "ambiguous", "retry"),
        (&|| refused("internal_error"), "ambiguous", "retry"),
        (&|| refused("not_in_channel"), "permanent", "permanent"),
        (&|| refused("channel_not_found"), "permanent", "permanent"),
        (&|| refused("is_archived"), "permanent", "permanent"),
        (&|| refused("invalid_blocks"), "permanent", "permanent"),
        (&|| refused("msg_blocks_too_long"), "permanent", "permanent"),
        (&|| refused("invalid_auth"), "permanent", "permanent"),
        (&|| refused("missing_scope"), "permanent", "permanent"),
        (&|| refused("a_code_of_next_year"), "permanent", "permanent"),
        (&|| Fault::Garbled { reason: why() }, "ambiguous", "retry"),
    ];
    for (fault, post, update) in lines {
        let name = fault().to_string();
        assert_eq!(table::classify("chat.postMessage", fault(), Repeat::Harmful).kind(), post, "{name}");
        assert_eq!(table::classify("chat.update", fault(), Repeat::Harmless).kind(), update, "{name}");
    }
    let limited = table::classify("chat.postMessage", status(429), Repeat::Harmful);
    assert!(matches!(limited, SendError::Retry { after: Some(wait), .. } if wait.as_secs() == 3));
}

#[tokio::test]
async fn slacks_explanation_of_invalid_blocks_is_kept() {
    let messages = json!(["[ERROR] must be more than 0 characters [json-pointer:/blocks/0/text]"]);
    let answer = json!({"ok": false, "error": "invalid_blocks", "response_metadata": {"messages": messages}});
    let outcome = post(Play::json(200, answer)).await;
    let Err(SendError::Permanent { code, reason }) = outcome else { panic!("{outcome:?}") };
    assert!(MESSAGE_FAULTS.contains(&code.as_str()));
    assert!(reason.contains("json-pointer:/blocks/0/text"), "{reason}");
}

fn mk_secrets(texts: &[&str]) -> Result<SigningSecrets, SignatureError> {
    SigningSecrets::new(&texts.iter().map(|text| SecretString::from(*text)).collect::<Vec<_>>())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

#[test]
fn a_signature_is_taken_from_either_of_two_secrets() {
    let signature = sign(&SecretString::from("new"), "1000", b"payload=1");
    let both = mk_secrets(&["old", "new"]).expect("secrets");
    assert_eq!(verify_signature(&both, "1000", b"payload=1", &signature, at(1000)), Ok(()));
    let swapped = mk_secrets(&["new", "old"]).expect("secrets");
    assert_eq!(verify_signature(&swapped, "1000", b"payload=1", &signature, at(1000)), Ok(()));
    let old = mk_secrets(&["old"]).expect("secrets");
    let mismatch = Err(SignatureError::Mismatch);
    assert_eq!(verify_signature(&old, "1000", b"payload=1", &signature, at(1000)), mismatch);
    assert_eq!(verify_signature(&both, "1000", b"payload=2", &signature, at(1000)), mismatch);
    assert_eq!(verify_signature(&both, "1001", b"payload=1", &signature, at(1000)), mismatch);
}

#[test]
fn blank_missing_or_too_many_secrets_are_refused() {
    for secrets in [&[][..], &[""], &["  "], &["good", ""], &["a", "b", "c"]] {
        assert_eq!(mk_secrets(secrets).err(), Some(SignatureError::Secrets), "{secrets:?}");
    }
    assert!(!format!("{:?}", mk_secrets(&["hunter2"])).contains("hunter2"));
}

#[test]
fn requests_outside_five_minutes_are_stale_on_both_sides() {
    let secrets = mk_secrets(&["s"]).expect("secrets");
    let signature = sign(&SecretString::from("s"), "10000", b"");
    for (now, expected) in [
        (10_300, Ok(())),
        (9_700, Ok(())),
        (10_301, Err(SignatureError::Stale)),
        (9_699, Err(SignatureError::Stale)),
    ] {
        assert_eq!(verify_signature(&secrets, "10000", b"", &signature, at(now)), expected, "at {now}");
    }
}

#[test]
fn slacks_own_signature_example_and_its_negatives() {
    let Some(table) = vector("slack_signature.json") else { return };
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let published = &table["published"];
    let (timestamp, body) = (text(&published["timestamp"]), text(&published["body"]));
    let signature = text(&published["signature"]);
    let secrets = mk_secrets(&[&text(&published["signing_secret"])]).expect("secrets");
    let check = |timestamp: &str, body: &str, signature: &str, now: i64| {
        verify_signature(&secrets, timestamp, body.as_bytes(), signature, at(now)).is_ok()
    };
    let signed_at: i64 = timestamp.parse().expect("seconds");
    assert!(check(&timestamp, &body, &signature, signed_at));
    let mut cases = 0;
    let negatives = table["negative_published"].as_array().expect("cases");
    let derived = table["derived_by_us"].as_array().expect("cases");
    for case in negatives.iter().chain(derived) {
        let valid = case["valid"].as_bool().expect("a verdict");
        if let Some(secret) = case["signing_secret"].as_str() {
            assert!(!valid && mk_secrets(&[secret]).is_err());
        } else if let Some(signatures) = case["signatures"].as_array() {
            for other in signatures {
                assert_eq!(check(&timestamp, &body, &text(other), signed_at), valid, "{other}");
            }
        } else if let Some(timestamps) = case["timestamps"].as_array() {
            for other in timestamps {
                assert_eq!(check(&text(other), &body, &signature, signed_at), valid, "{other}");
            }
        } else if let Some(now) = case["now"].as_i64() {
            let body = case["body"].as_str().unwrap_or(&body);
            assert_eq!(check(&timestamp, body, &signature, now), valid, "{case}");
        } else {
            assert!(!valid && !check("", "", "", signed_at));
        }
        cases += 1;
    }
    assert_eq!(cases, 9, "the table has changed: look at it");
}

fn mk_form(payload: &Value) -> Vec<u8> {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload.to_string())
        .finish()
        .into_bytes()
}

fn mk_click() -> Value {
    json!({
        "type": "block_actions", "api_app_id": "A1", "trigger_id": "1.2.x",
        "team": {"id": "T1", "domain": "d"}, "channel": {"id": "C1", "name": "ops"},
        "user": {"id": "U1", "username": "una", "team_id": "T1"},
        "container": {"type": "message", "message_ts": "5.6", "channel_id": "C1", "is_ephemeral": false},
        "response_url": "https://hooks.slack.com/actions/T1/hunter2",
        "actions": [{"action_id": "approve", "block_id": "b", "value": "a-1", "type": "button", "action_ts": "7.8"}],
    })
}

fn read_click(payload: &Value) -> super::interaction::BlockActions {
    match parse_interaction(&mk_form(payload)) {
        Ok(Interaction::BlockActions(actions)) => actions,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_click_is_read_with_all_that_a_decision_needs() {
    let click = read_click(&mk_click());
    assert_eq!((click.team_id.as_deref(), click.app_id.as_deref()), (Some("T1"), Some("A1")));
    assert_eq!((click.channel_id.as_deref(), click.message_ts.as_deref()), (Some("C1"), Some("5.6")));
    assert_eq!((click.user_id.as_str(), click.user_name.as_deref()), ("U1", Some("una")));
    assert_eq!(click.trigger_id.as_deref(), Some("1.2.x"));
    let action = &click.actions[0];
    assert_eq!((action.action_id.as_str(), action.value.as_deref()), ("approve", Some("a-1")));
    assert!(!format!("{click:?}").contains("hunter2"), "the response URL is a secret");
}

#[test]
fn a_click_survives_unknown_and_missing_parts() {
    let mut payload = mk_click();
    payload["message"] = json!({"metadata": {"event_payload": {"n": 1}}, "attachments": [{"color": 5}]});
    payload["container"]["type"] = json!("container_of_next_year");
    payload["actions"][0]["type"] = json!("element_of_next_year");
    payload["state"] = json!({"values": [[[]]]});
    payload["team"] = Value::Null;
    payload["channel"] = Value::Null;
    payload["user"]["username"] = Value::Null;
    payload["user"]["name"] = json!("Una");
    let click = read_click(&payload);
    assert_eq!(click.team_id.as_deref(), Some("T1"), "the person's team stands in");
    assert_eq!(click.channel_id.as_deref(), Some("C1"), "the container's channel stands in");
    assert_eq!(click.user_name.as_deref(), Some("Una"));
}

#[test]
fn other_kinds_are_named_and_garbage_is_refused() {
    let other = parse_interaction(&mk_form(&json!({"type": "view_closed", "view": {}})));
    assert!(matches!(other, Ok(Interaction::Other { kind }) if kind == "view_closed"));
    let mut nobody = mk_click();
    nobody["user"] = Value::Null;
    assert!(matches!(parse_interaction(&mk_form(&nobody)), Err(InteractionError::User)));
    let mut nothing = mk_click();
    nothing["actions"] = json!([]);
    assert!(matches!(parse_interaction(&mk_form(&nothing)), Err(InteractionError::Actions(0))));
    let twice = [mk_form(&mk_click()), b"&".to_vec(), mk_form(&mk_click())].concat();
    for body in [&b""[..], b"payload", b"other=1", b"\xff\xfe", &twice] {
        assert!(parse_interaction(body).is_err(), "{body:?}");
    }
    let deep = format!("payload={}", "[".repeat(100_000));
    assert!(matches!(parse_interaction(deep.as_bytes()), Err(InteractionError::Payload(_))));
    let deep = json!({"type": "block_actions", "x": 1}).to_string().replace('1', &"[".repeat(100_000));
    assert!(parse_interaction(format!("payload={deep}").as_bytes()).is_err());
}

#[test]
fn a_recorded_interaction_is_read_from_both_encodings() {
    let Some(table) = vector("slack_block_actions.json") else { return };
    for name in ["form_body_quote", "form_body_quote_plus"] {
        let body = table[name].as_str().expect("a body");
        let Ok(Interaction::BlockActions(click)) = parse_interaction(body.as_bytes()) else {
            panic!("{name}")
        };
        let payload = &table["payload"];
        assert_eq!(click.team_id.as_deref(), payload["team"]["id"].as_str());
        assert_eq!(click.user_id, payload["user"]["id"]);
        assert_eq!(click.message_ts.as_deref(), payload["container"]["message_ts"].as_str());
        assert_eq!(click.actions[0].value.as_deref(), payload["actions"][0]["value"].as_str());
        assert!(click.is_ephemeral && click.response_url.is_some());
    }
    let signed = &table["signed_by_us"];
    let secrets = mk_secrets(&[signed["signing_secret"].as_str().expect("a secret")]).expect("secrets");
    let timestamp = signed["timestamp"].as_str().expect("seconds");
    for (body, signature) in [("body", "signature"), ("body_plus", "signature_plus")] {
        let body = signed[body].as_str().expect("a body").as_bytes();
        let signature = signed[signature].as_str().expect("a signature");
        let now = at(timestamp.parse().expect("seconds"));
        assert_eq!(verify_signature(&secrets, timestamp, body, signature, now), Ok(()));
    }
}
