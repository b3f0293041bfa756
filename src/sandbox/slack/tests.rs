//! The workspace over real HTTP: every rule once kept and once broken.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::sandbox::form;
use crate::sandbox::test_support::{Receiver, mk_client, vectors};

async fn mk_slack() -> SlackSandbox {
    SlackSandbox::start(SlackOptions::default()).await.expect("a free port")
}

/// Calls a method as JSON with the right token; returns status, headers and body.
async fn call(slack: &SlackSandbox, method: &str, args: Value) -> (u16, http::HeaderMap, Value) {
    call_with(slack, method, args, Some(&slack.options().bot_token)).await
}

async fn call_with(
    slack: &SlackSandbox,
    method: &str,
    args: Value,
    token: Option<&str>,
) -> (u16, http::HeaderMap, Value) {
    let mut request = mk_client()
        .post(format!("{}/{method}", slack.api_url()))
        .header("content-type", "application/json; charset=utf-8")
        .body(args.to_string());
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.json().await.unwrap_or(Value::Null))
}

async fn error_of(slack: &SlackSandbox, method: &str, args: Value) -> String {
    let (status, _, body) = call(slack, method, args).await;
    assert_eq!((status, &body["ok"]), (200, &json!(false)), "{body}");
    body["error"].as_str().expect("an error name").to_owned()
}

fn mk_question() -> Value {
    json!({"channel": "#incidents", "text": "Approve?", "blocks": [
        {"type": "section", "text": {"type": "mrkdwn", "text": "Approve?"}},
        {"type": "actions", "block_id": "decision", "elements": [
            {"type": "button", "action_id": "approve", "value": "opaque-1", "style": "primary",
             "text": {"type": "plain_text", "text": "Approve"}},
            {"type": "button", "action_id": "reject", "value": "opaque-2",
             "text": {"type": "plain_text", "text": "Reject"}}]}]})
}

async fn mk_posted_question(slack: &SlackSandbox) -> (String, String) {
    let (_, _, body) = call(slack, "chat.postMessage", mk_question()).await;
    assert_eq!(body["ok"], true, "{body}");
    (body["channel"].as_str().expect("id").to_owned(), body["ts"].as_str().expect("ts").to_owned())
}

#[tokio::test]
async fn only_the_right_token_with_the_right_scope_gets_in() {
    let slack = mk_slack().await;
    let (_, _, body) = call_with(&slack, "auth.test", json!({}), None).await;
    assert_eq!(body["error"], "not_authed");
    let (_, _, body) = call_with(&slack, "auth.test", json!({}), Some("xoxb-other")).await;
    assert_eq!(body["error"], "invalid_auth");
    let (_, _, body) = call(&slack, "auth.test", json!({})).await;
    assert_eq!(
        (&body["ok"], &body["team_id"], &body["user_id"]),
        (&json!(true), &json!("T0SANDBOX"), &json!("U0SMOKEJUMPER"))
    );
    slack.set_scopes(&["channels:read"]);
    let (_, _, body) = call(&slack, "chat.postMessage", json!({"channel": "#incidents", "text": "x"})).await;
    assert_eq!(
        (&body["error"], &body["needed"], &body["provided"]),
        (&json!("missing_scope"), &json!("chat:write"), &json!("channels:read"))
    );
    assert!(slack.messages("#incidents").is_empty());
}

#[tokio::test]
async fn the_token_is_never_part_of_the_record() {
    let slack = mk_slack().await;
    let body = format!("token={}&channel=C0INCIDENTS&text=hello", slack.options().bot_token);
    let request = mk_client()
        .post(format!("{}/chat.postMessage", slack.api_url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let answer: Value = request.send().await.expect("answer").json().await.expect("JSON");
    assert_eq!(answer["ok"], true, "a token in a form is accepted: {answer}");
    let recorded = serde_json::to_string(&slack.calls().entries()).expect("JSON");
    assert!(!recorded.contains(&slack.options().bot_token), "{recorded}");
}

#[tokio::test]
async fn a_message_is_posted_edited_in_place_and_answered_in_its_thread() {
    let slack = mk_slack().await;
    let metadata = json!({"event_type": "incident", "event_payload": {"id": "i-1"}});
    let args = json!({"channel": "#incidents", "text": "triggered", "metadata": metadata});
    let (_, _, posted) = call(&slack, "chat.postMessage", args).await;
    let (channel, ts) = (posted["channel"].as_str().expect("id"), posted["ts"].as_str().expect("ts"));
    assert_eq!(channel, "C0INCIDENTS");
    let (_, _, reply) =
        call(&slack, "chat.postMessage", json!({"channel": channel, "text": "detail", "thread_ts": ts}))
            .await;
    assert_eq!(reply["message"]["thread_ts"], ts);
    let (_, _, edited) =
        call(&slack, "chat.update", json!({"channel": channel, "ts": ts, "text": "resolved"})).await;
    assert_eq!((&edited["ok"], &edited["ts"]), (&json!(true), &json!(ts)));
    let messages = slack.messages("incidents");
    let seen: Vec<_> = messages
        .iter()
        .map(|message| (message.text.as_str(), message.thread_ts.as_deref(), message.edits))
        .collect();
    assert_eq!(seen, [("resolved", None, 1), ("detail", Some(ts), 0)]);
    let ambiguous = json!({"channel": channel, "include_all_metadata": true});
    let (_, _, history) = call(&slack, "conversations.history", ambiguous).await;
    assert_eq!(history["messages"][0]["metadata"], metadata);
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(1), "replies are not in the history");
    let (_, _, thread) = call(&slack, "conversations.replies", json!({"channel": channel, "ts": ts})).await;
    assert_eq!(thread["messages"][1]["text"], "detail");
    assert_eq!(thread["messages"][0].get("metadata"), None, "metadata comes only where asked for");
}

#[tokio::test]
async fn refusals_bear_slacks_names() {
    let mut options = SlackOptions::default();
    options.channels.push(Channel { archived: true, ..Channel::new("C0OLD", "old") });
    options.channels.push(Channel { bot_is_member: false, ..Channel::new("C0OTHER", "other") });
    options.rate_limits = RateLimits::Off;
    let slack = SlackSandbox::start(options).await.expect("a free port");
    let post = |channel: &str| json!({"channel": channel, "text": "x"});
    for (error, method, args) in [
        ("channel_not_found", "chat.postMessage", post("#nowhere")),
        ("is_archived", "chat.postMessage", post("#old")),
        ("not_in_channel", "chat.postMessage", post("#other")),
        ("no_text", "chat.postMessage", json!({"channel": "#incidents"})),
        ("invalid_arguments", "chat.postMessage", json!({"text": "x"})),
        ("invalid_arguments", "chat.postMessage", json!({"channel": "#incidents", "text": 7})),
        (
            "thread_not_found",
            "chat.postMessage",
            json!({"channel": "#incidents", "text": "x", "thread_ts": "1.2"}),
        ),
        ("invalid_blocks_format", "chat.postMessage", json!({"channel": "#incidents", "blocks": "{"})),
        (
            "invalid_metadata_format",
            "chat.postMessage",
            json!({"channel": "#incidents", "text": "x", "metadata": {"a": 1}}),
        ),
        ("message_not_found", "chat.update", json!({"channel": "C0INCIDENTS", "ts": "1.2", "text": "x"})),
        ("channel_not_found", "chat.update", json!({"channel": "#incidents", "ts": "1.2", "text": "x"})),
        ("channel_not_found", "conversations.info", json!({"channel": "C0NOWHERE"})),
        ("unknown_method", "chat.shout", json!({})),
    ] {
        assert_eq!(error_of(&slack, method, args.clone()).await, error, "{method} {args}");
    }
    let long = "x".repeat(MAX_UPDATE_TEXT_CHARS + 1);
    let args = json!({"channel": "C0INCIDENTS", "ts": "1.2", "text": long});
    assert_eq!(error_of(&slack, "chat.update", args).await, "msg_too_long");
    let big = json!({"event_type": "e", "event_payload": {"x": "x".repeat(20_000)}});
    let args = json!({"channel": "#incidents", "text": "x", "metadata": big});
    assert_eq!(error_of(&slack, "chat.postMessage", args).await, "metadata_too_large");
    assert_eq!(slack.messages("#incidents"), []);
}

#[tokio::test]
async fn a_member_is_written_to_directly_and_what_stands_there_takes_scopes_of_its_own() {
    let mut options = SlackOptions::default();
    options.users.push(User { deleted: true, ..User::new("U0GONE", "gone", "Gone", "Left") });
    let slack = SlackSandbox::start(options).await.expect("a free port");
    let (_, _, posted) = call(&slack, "chat.postMessage", json!({"channel": "U0UNA", "text": "x"})).await;
    assert_eq!(posted["channel"], "D0UNA");
    let (_, _, opened) = call(&slack, "conversations.open", json!({"users": "U0UNA"})).await;
    assert_eq!(opened["channel"]["id"], "D0UNA");
    assert_eq!(slack.messages("U0UNA").len(), 1);
    let (_, _, listed) = call(&slack, "conversations.list", json!({})).await;
    assert!(!listed.to_string().contains("D0UNA"), "no channel: {listed}");
    for (error, method, args) in [
        ("channel_not_found", "chat.postMessage", json!({"channel": "U0NOBODY", "text": "x"})),
        ("channel_not_found", "chat.postMessage", json!({"channel": "U0GONE", "text": "x"})),
        ("channel_not_found", "chat.update", json!({"channel": "U0UNA", "ts": posted["ts"], "text": "x"})),
        ("user_disabled", "conversations.open", json!({"users": "U0GONE"})),
        ("user_not_found", "conversations.open", json!({"users": "U0NOBODY"})),
        ("users_list_not_supplied", "conversations.open", json!({})),
        (
            "user_not_in_channel",
            "chat.postEphemeral",
            json!({"channel": "D0UNA", "user": "U0RAVI", "text": "x"}),
        ),
    ] {
        assert_eq!(error_of(&slack, method, args.clone()).await, error, "{method} {args}");
    }
    slack.set_scopes(&["chat:write", "channels:history"]);
    let history = json!({"channel": "D0UNA"});
    let (_, _, refused) = call(&slack, "conversations.history", history).await;
    assert_eq!((&refused["error"], &refused["needed"]), (&json!("missing_scope"), &json!("im:history")));
    let options = SlackOptions { messages_tab: false, ..SlackOptions::default() };
    let slack = SlackSandbox::start(options).await.expect("a free port");
    let args = json!({"channel": "U0UNA", "text": "x"});
    assert_eq!(error_of(&slack, "chat.postMessage", args).await, "messages_tab_disabled");
}

#[tokio::test]
async fn history_and_threads_are_read_a_page_at_a_time() {
    let slack = mk_slack().await;
    slack.set_rate_limits(RateLimits::Off);
    let say = async |text: &str, thread: Option<&Value>| {
        let args = json!({"channel": "C0INCIDENTS", "text": text, "thread_ts": thread});
        call(&slack, "chat.postMessage", args).await.2["ts"].clone()
    };
    let root = say("1", None).await;
    for text in ["2", "3"] {
        say(text, None).await;
        say(&format!("below {text}"), Some(&root)).await;
    }
    for (method, pages) in [
        ("conversations.history", [["3", "2"].as_slice(), &["1"]]),
        ("conversations.replies", [["1", "below 2"].as_slice(), &["below 3"]]),
    ] {
        let mut cursor = json!(null);
        for page in pages {
            let args =
                json!({"channel": "C0INCIDENTS", "ts": root, "limit": 2, "cursor": cursor, "oldest": "0"});
            let (_, _, read) = call(&slack, method, args).await;
            let texts: Vec<&str> = read["messages"]
                .as_array()
                .expect("messages")
                .iter()
                .filter_map(|it| it["text"].as_str())
                .collect();
            assert_eq!(texts, page, "{method}");
            cursor = read["response_metadata"]["next_cursor"].clone();
        }
        assert_eq!(cursor, "", "{method}: that was all");
    }
}

#[tokio::test]
async fn bad_blocks_come_back_with_explanations_and_leave_nothing() {
    let slack = mk_slack().await;
    let section = |n: usize| json!({"type": "section", "text": {"type": "mrkdwn", "text": "x".repeat(n)}});
    let args = json!({"channel": "#incidents", "text": "x", "blocks": [section(3_001)]});
    let (_, _, body) = call(&slack, "chat.postMessage", args).await;
    assert_eq!(body["error"], "invalid_blocks");
    let line = "must be less than 3001 characters [json-pointer:/blocks/0/text/text]";
    assert_eq!(body["response_metadata"]["messages"], json!([format!("[ERROR] {line}")]));
    assert_eq!(body["errors"], json!([line]));
    let args = json!({"channel": "#incidents", "text": "x", "blocks": vec![section(2_900); 5]});
    assert_eq!(error_of(&slack, "chat.postMessage", args).await, "msg_blocks_too_long");
    assert_eq!(slack.messages("#incidents"), []);
}

#[tokio::test]
async fn bad_bodies_and_a_missing_charset_are_told() {
    let slack = mk_slack().await;
    for (body, error) in [("{", "invalid_json"), ("[]", "json_not_object")] {
        let request = mk_client()
            .post(format!("{}/chat.postMessage", slack.api_url()))
            .bearer_auth(&slack.options().bot_token)
            .header("content-type", "application/json")
            .body(body);
        let answer: Value = request.send().await.expect("answer").json().await.expect("JSON");
        assert_eq!((&answer["error"], &answer["warning"]), (&json!(error), &json!("missing_charset")));
    }
}

#[tokio::test]
async fn a_channel_is_limited_to_a_burst_and_tells_when_to_come_again() {
    let slack = mk_slack().await;
    let args = json!({"channel": "#incidents", "text": "x"});
    for _ in 0..CHANNEL_BURST {
        assert_eq!(call(&slack, "chat.postMessage", args.clone()).await.2["ok"], true);
    }
    // A slow machine earns a message a second meanwhile; the limit must show all the same.
    let mut limited = None;
    for _ in 0..50 {
        let (status, headers, body) = call(&slack, "chat.postMessage", args.clone()).await;
        if status == 429 {
            limited = Some((headers["retry-after"].clone(), body["error"].clone()));
            break;
        }
    }
    assert_eq!(limited, Some(("1".parse().expect("a header"), json!("ratelimited"))));
    slack.set_rate_limits(RateLimits::Off);
    assert_eq!(call(&slack, "chat.postMessage", args).await.2["ok"], true);
}

#[tokio::test]
async fn a_fault_may_lose_the_request_or_only_the_answer() {
    let slack = mk_slack().await;
    let post = |text: &'static str| {
        let request = mk_client()
            .post(format!("{}/chat.postMessage", slack.api_url()))
            .bearer_auth(&slack.options().bot_token)
            .header("content-type", "application/json; charset=utf-8")
            .body(json!({"channel": "#incidents", "text": text}).to_string());
        async move { request.send().await }
    };
    slack.faults().next("chat.postMessage", Fault::dropped());
    slack.faults().next("chat.postMessage", Fault::dropped().after_effect());
    slack.faults().next("chat.postMessage", Fault::vendor_error("fatal_error").after_effect());
    slack.faults().next("chat.postMessage", Fault::rate_limited(30));
    assert!(post("lost").await.is_err());
    assert!(post("only the answer lost").await.is_err());
    let fatal: Value = post("half").await.expect("answer").json().await.expect("JSON");
    assert_eq!(fatal["error"], "fatal_error");
    assert_eq!(post("limited").await.expect("answer").headers()["retry-after"], "30");
    assert_eq!(post("fine").await.expect("answer").status(), 200);
    let texts: Vec<_> = slack.messages("#incidents").into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["only the answer lost", "half", "fine"]);
    let calls: Vec<_> =
        slack.calls().entries().iter().map(|call| (call.what.ok, call.what.fault.is_some())).collect();
    assert_eq!(calls, [(false, true), (true, true), (true, true), (false, true), (true, false)]);
}

/// HMAC-SHA256 from its definition (RFC 2104), so that the check shares no code with the signer.
fn hmac_by_definition(secret: &[u8], message: &[u8]) -> String {
    use ring::digest::{SHA256, digest};
    let mut key = [0_u8; 64];
    if secret.len() > 64 {
        key[..32].copy_from_slice(digest(&SHA256, secret).as_ref());
    } else {
        key[..secret.len()].copy_from_slice(secret);
    }
    let pad = |byte: u8, rest: &[u8]| {
        let mut input: Vec<u8> = key.iter().map(|key| key ^ byte).collect();
        input.extend_from_slice(rest);
        digest(&SHA256, &input)
    };
    hex::encode(pad(0x5c, pad(0x36, message).as_ref()))
}

#[tokio::test]
async fn a_click_arrives_signed_over_the_exact_body() {
    let (slack, receiver) = (mk_slack().await, Receiver::start().await);
    slack.set_interactivity_url(receiver.url("/webhooks/slack"));
    let (channel, ts) = mk_posted_question(&slack).await;
    let done = slack.click(&channel, &ts, "approve", "una").await.expect("sent");
    assert_eq!((done.status, done.problem), (Some(200), None));
    let seen = receiver.seen.entries().pop().expect("one request").what;
    assert_eq!(seen.headers["content-type"], "application/x-www-form-urlencoded");
    let timestamp = seen.headers["x-slack-request-timestamp"].to_str().expect("text");
    let base = format!("v0:{timestamp}:{}", seen.body);
    let expected =
        format!("v0={}", hmac_by_definition(slack.options().signing_secret.as_bytes(), base.as_bytes()));
    assert_eq!(seen.headers["x-slack-signature"], expected.as_str());
    let payload = form::decode(&seen.body).remove(0).1;
    let payload: Value = serde_json::from_str(&payload).expect("JSON");
    assert_eq!(payload["type"], "block_actions");
    assert_eq!(payload["user"]["id"], "U0UNA");
    assert_eq!(
        (&payload["container"]["message_ts"], &payload["container"]["channel_id"]),
        (&json!(ts), &json!(channel))
    );
    let action = &payload["actions"][0];
    assert_eq!(
        (&action["action_id"], &action["block_id"], &action["value"], &action["type"]),
        (&json!("approve"), &json!("decision"), &json!("opaque-1"), &json!("button"))
    );
    assert_eq!(slack.interactions().total(), 1);
}

#[test]
fn the_signature_is_the_one_published() {
    // Own case: a key and body chosen here, checked against the definition.
    let own = sign("secret", "1700000000", "payload=%7B%7D");
    assert_eq!(own, format!("v0={}", hmac_by_definition(b"secret", b"v0:1700000000:payload=%7B%7D")));
    let Some(table) = vectors("slack_signature.json") else { return };
    let published = &table["published"];
    let text = |name: &str| published[name].as_str().expect("text");
    assert_eq!(sign(text("signing_secret"), text("timestamp"), text("body")), text("signature"));
    let Some(table) = vectors("slack_block_actions.json") else { return };
    let signed = &table["signed_by_us"];
    let text = |name: &str| signed[name].as_str().expect("text");
    for (body, signature) in [("body", "signature"), ("body_plus", "signature_plus")] {
        assert_eq!(sign(text("signing_secret"), text("timestamp"), text(body)), text(signature));
    }
}

#[tokio::test]
async fn a_click_has_every_member_that_slacks_own_fixture_has() {
    let Some(table) = vectors("slack_block_actions.json") else { return };
    let slack = mk_slack().await;
    let (channel, ts) = mk_posted_question(&slack).await;
    let ours = slack.prepare_click(&channel, &ts, "approve", "una").expect("a button").payload();
    let fixture = table["payload"].as_object().expect("an object");
    for (name, value) in fixture {
        assert!(ours.get(name).is_some(), "no {name} in {ours}");
        if let (Some(fixture), Some(ours)) = (value.as_object(), ours[name].as_object()) {
            let optional = ["enterprise_id", "enterprise_name"];
            for name in fixture.keys().filter(|name| !optional.contains(&name.as_str())) {
                assert!(ours.contains_key(name), "no {name} in {ours:?}");
            }
        }
    }
}

#[test]
fn the_limits_are_the_published_ones() {
    assert_eq!((limits::MAX_BLOCKS, limits::MAX_TEXT_CHARS, limits::MAX_HEADER_CHARS), (50, 3_000, 150));
    let Some(table) = vectors("slack_limits.json") else { return };
    let chars = |name: &str| table["chars"][name].as_u64().expect("a number") as usize;
    let counts = |name: &str| table["counts"][name].as_u64().expect("a number") as usize;
    for (ours, published) in [
        (limits::MAX_TEXT_CHARS, chars("section.text")),
        (limits::MAX_FIELD_CHARS, chars("section.field")),
        (limits::MAX_HEADER_CHARS, chars("header.text")),
        (limits::MAX_BUTTON_CHARS, chars("button.text")),
        (limits::MAX_VALUE_CHARS, chars("button.value")),
        (limits::MAX_URL_CHARS, chars("button.url")),
        (limits::MAX_ID_CHARS, chars("action_id")),
        (limits::MAX_ALT_CHARS, chars("image.alt_text")),
        (limits::MAX_MARKDOWN_CHARS, chars("markdown_block")),
        (TEXT_CUT_CHARS, chars("message_text_truncated_at")),
        (limits::MAX_BLOCKS, counts("blocks_per_message")),
        (limits::MAX_ACTION_ELEMENTS, counts("actions.elements")),
        (limits::MAX_FIELDS, counts("section.fields")),
        (limits::MAX_CONTEXT_ELEMENTS, counts("context.elements")),
    ] {
        assert_eq!(ours, published);
    }
}

#[tokio::test]
async fn cheating_is_possible_in_every_way_a_test_needs() {
    let (slack, receiver) = (mk_slack().await, Receiver::start().await);
    slack.set_interactivity_url(receiver.url("/"));
    let (channel, ts) = mk_posted_question(&slack).await;
    let genuine = slack.prepare_click(&channel, &ts, "approve", "U0UNA").expect("a button");
    let secret = &slack.options().signing_secret;
    let forged = genuine.clone().signed_with("wrong");
    assert!(forged.signature != genuine.signature && forged.body == genuine.body);
    let old = genuine.clone().signed_at_offset(secret, -301);
    let (then, now) = (old.timestamp.clone().expect("set"), genuine.timestamp.clone().expect("set"));
    assert!(then.parse::<i64>().expect("number") <= now.parse::<i64>().expect("number") - 300);
    assert_eq!(old.signature, Some(sign(secret, &then, &old.body)));
    let tampered = genuine.clone().tampered(|payload| payload["actions"][0]["value"] = json!("other"));
    assert!(tampered.signature == genuine.signature && tampered.body != genuine.body);
    let other_user = genuine.clone().with_payload(secret, |payload| payload["user"]["id"] = json!("U0SAM"));
    assert_eq!(other_user.payload()["user"]["id"], "U0SAM");
    for interaction in [&genuine, &genuine, &genuine.clone().unsigned()] {
        slack.deliver(interaction).await.expect("sent");
    }
    let seen = receiver.seen.entries();
    assert_eq!(seen[0].what.body, seen[1].what.body, "a replay is the same body");
    assert!(!seen[2].what.headers.contains_key("x-slack-signature"));
}

#[tokio::test]
async fn a_refused_or_unanswered_click_is_recorded_as_such() {
    let (slack, receiver) = (mk_slack().await, Receiver::start().await);
    let (channel, ts) = mk_posted_question(&slack).await;
    assert_eq!(slack.click(&channel, &ts, "approve", "una").await, Err(ClickError::NoUrl));
    slack.set_interactivity_url(receiver.url("/"));
    receiver.answer_next(&[503]);
    let refused = slack.click(&channel, &ts, "approve", "una").await.expect("sent");
    assert_eq!((refused.status, refused.problem.is_some()), (Some(503), true));
    receiver.server.go_down().await;
    let unreachable = slack.click(&channel, &ts, "approve", "una").await.expect("sent");
    assert_eq!((unreachable.status, unreachable.problem.is_some()), (None, true));
    for (what, action, user) in [("button", "nothing", "una"), ("user", "approve", "nobody")] {
        let error = slack.click(&channel, &ts, action, user).await.expect_err("nothing to press");
        assert!(matches!(error, ClickError::NotThere { what: missing, .. } if missing == what), "{error}");
    }
}

#[tokio::test]
async fn a_response_url_works_five_times() {
    let slack = mk_slack().await;
    let (channel, ts) = mk_posted_question(&slack).await;
    let payload = slack.prepare_click(&channel, &ts, "approve", "una").expect("a button").payload();
    let url = payload["response_url"].as_str().expect("a URL");
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let request =
            mk_client().post(url).header("content-type", "application/json").body(r#"{"text":"done"}"#);
        statuses.push(request.send().await.expect("answer").status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 404]);
    assert_eq!(slack.follow_ups().entries().iter().filter(|entry| entry.what.accepted).count(), 5);
}

#[tokio::test]
async fn the_ground_truth_is_told_over_http_and_orders_need_json() {
    let (slack, receiver) = (mk_slack().await, Receiver::start().await);
    slack.set_interactivity_url(receiver.url("/"));
    let (channel, ts) = mk_posted_question(&slack).await;
    let (client, base) = (mk_client(), slack.base_url());
    let get = |path: &str| {
        let request = client.get(format!("{base}/_sandbox/{path}"));
        async move { request.send().await.expect("answer").json::<Value>().await.expect("JSON") }
    };
    let state = get("state").await;
    assert_eq!(state["users"][0]["real_name"], "Una Okafor");
    assert!(!state.to_string().contains(&slack.options().signing_secret), "no secrets");
    assert_eq!(get("messages?channel=incidents").await["messages"][0]["ts"], json!(ts));
    assert_eq!(get("messages?channel=leads").await["messages"], json!([]));
    assert_eq!(get("calls").await["calls"][0]["method"], "chat.postMessage");
    assert_eq!(get("calls?after=1").await["calls"], json!([]));
    let order =
        json!({"channel": channel, "message_ts": ts, "action_id": "reject", "user": "U0RAVI"}).to_string();
    let click = |content_type: &'static str| {
        let request = client.post(format!("{base}/_sandbox/click")).header("content-type", content_type);
        let request = request.body(order.clone());
        async move { request.send().await.expect("answer").status().as_u16() }
    };
    assert_eq!(click("text/plain").await, 415, "what a foreign page could send without asking is refused");
    assert_eq!(click("application/json").await, 200);
    assert_eq!(get("interactions").await["interactions"][0]["sent"]["about"]["value"], "opaque-2");
    let waited = receiver.seen.wait_until(Duration::from_secs(5), |seen| seen.len() == 1).await;
    assert!(waited.is_ok(), "exactly the JSON order was carried out");
}
