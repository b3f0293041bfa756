//! Presses by known and unknown people, from the right and the wrong place, as Slack sends them.

use serde_json::{Value, json};

use super::*;
use crate::clients::stand_in::vector;
use crate::engine::ports::ClickVerb;

const DIGEST: &str = "629bcb872d5d";

fn mk_people() -> People {
    let una = Person { name: "una".to_owned(), slack: "U0UNA".to_owned(), role: Role::Approver };
    People {
        known: vec![una],
        anyone_may_acknowledge: true,
        team_id: Some("T1".to_owned()),
        app_id: Some("A1".to_owned()),
        directory: Directory::default(),
    }
}

fn mk_payload(user: &str, action_id: &str, value: &str) -> Value {
    json!({
        "type": "block_actions", "user": {"id": user, "username": "una", "team_id": "T1"}, "api_app_id": "A1",
        "team": {"id": "T1"}, "channel": {"id": "C1"}, "container": {"message_ts": "1.2", "channel_id": "C1"},
        "actions": [{"action_id": action_id, "value": value, "type": "button", "action_ts": "1.3"}],
    })
}

fn body(payload: &Value) -> Vec<u8> {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload.to_string())
        .finish()
        .into_bytes()
}

fn read(payload: &Value, people: People) -> Result<Vec<Click>, ClickRefused> {
    match (SlackDecoder { people }).read(&body(payload))? {
        Decoded::Clicks(clicks) => Ok(clicks),
        other => panic!("not clicks: {other:?}"),
    }
}

#[test]
fn a_known_person_approves_under_the_name_and_role_of_the_settings() {
    let payload = mk_payload("U0UNA", "smokejumper.approve", &format!("v1|i1-a1|{DIGEST}"));
    let clicks = read(&payload, mk_people()).expect("a click");
    let actor = Actor { name: "una".to_owned(), via: Via::Slack, role: Role::Approver };
    let expected = Click {
        subject: "i1-a1".to_owned(),
        verb: ClickVerb::Approve,
        actor,
        member: Some("U0UNA".to_owned()),
        press: clicks[0].press.clone(),
        digest: Some(DIGEST.to_owned()),
        reason: None,
        spot: Some(Spot { channel: "C1".to_owned(), user: "U0UNA".to_owned() }),
    };
    assert_eq!(clicks, [expected]);
}

#[test]
fn an_unknown_person_may_take_an_incident_at_most_and_never_has_a_known_name() {
    // The handle says "una": it is chosen freely and must not be believed.
    let payload = mk_payload("U0EVIL", "smokejumper.acknowledge", "v1|i1");
    let role_of = |people: People| read(&payload, people).expect("a click").remove(0).actor;
    let actor = role_of(mk_people());
    assert_eq!((actor.name.as_str(), actor.role), ("slack:U0EVIL", Role::Responder));
    assert_eq!(unknown_user_id(&actor.name), Some("U0EVIL"));
    let strict = People { anyone_may_acknowledge: false, ..mk_people() };
    assert_eq!(role_of(strict).role, Role::Viewer);
    let approve = mk_payload("U0EVIL", "smokejumper.approve", &format!("v1|i1-a1|{DIGEST}"));
    assert!(read(&approve, mk_people()).expect("a click")[0].actor.role < Role::Approver);
}

#[test]
fn who_is_not_known_may_call_the_next_level_and_neither_take_over_nor_end_it() {
    let role = |user: &str, verb: &str, value: &str| {
        let payload = mk_payload(user, &format!("smokejumper.{verb}"), value);
        read(&payload, mk_people()).expect("a click").remove(0).actor.role
    };
    let seen = format!("v1|i1|{DIGEST}");
    assert_eq!(role("U0EVIL", "escalate", &seen), Role::Responder);
    for verb in ["take_over", "resolve"] {
        assert_eq!(role("U0EVIL", verb, "v1|i1"), Role::Viewer);
        assert_eq!(role("U0UNA", verb, "v1|i1"), Role::Approver);
    }
}

#[test]
fn guests_of_a_shared_channel_are_not_everybody_in_the_workspace() {
    let role = |user: &str, own: &str| {
        let mut payload = mk_payload(user, "smokejumper.acknowledge", "v1|i1");
        payload["user"]["team_id"] = json!(own);
        read(&payload, mk_people()).expect("a click").remove(0).actor.role
    };
    assert_eq!(role("U0EVIL", "T1"), Role::Responder);
    assert_eq!(role("U0EVIL", "T0OTHER"), Role::Viewer, "a guest looks on");
    assert_eq!(role("U0UNA", "T0OTHER"), Role::Approver, "whom the settings name counts wherever they work");
}

#[test]
fn another_workspace_or_app_does_not_count() {
    let mut payload = mk_payload("U0UNA", "smokejumper.acknowledge", "v1|i1");
    payload["api_app_id"] = json!("A2");
    assert!(matches!(read(&payload, mk_people()), Err(ClickRefused::OtherApp { .. })));
    payload["team"]["id"] = json!("T2");
    let refused = read(&payload, mk_people()).expect_err("refused");
    assert_eq!(
        refused.to_string(),
        r#"it comes from workspace Some("T2"), and slack.team_id allows only T1"#
    );
    let open = People { team_id: None, app_id: None, ..mk_people() };
    assert_eq!(read(&payload, open).expect("a click").len(), 1);
}

#[test]
fn edited_values_and_odd_users_are_refused() {
    let refused = |user: &str, value: &str| {
        read(&mk_payload(user, "smokejumper.approve", value), mk_people()).expect_err("refused")
    };
    assert!(matches!(refused("U0UNA", "v1|i1-a1"), ClickRefused::Value(ValueError::Digest)));
    assert!(matches!(refused("U0UNA", "click_me_123"), ClickRefused::Value(ValueError::Form)));
    assert!(matches!(refused("<!channel>", &format!("v1|i1-a1|{DIGEST}")), ClickRefused::NoUser));
    let decoder = SlackDecoder { people: mk_people() };
    assert!(matches!(decoder.read(b"nothing"), Err(ClickRefused::Unreadable(_))));
}

#[test]
fn what_is_not_ours_means_nothing() {
    let clicks = read(&mk_payload("U0UNA", "someone.elses", "x"), mk_people()).expect("no refusal");
    assert_eq!(clicks, []);
    let modal =
        json!({"type": "view_submission", "user": {"id": "U0UNA"}, "view": {"callback_id": "someone.elses"}});
    assert_eq!(read(&modal, mk_people()).expect("no refusal"), []);
}

#[test]
fn the_decoder_reads_slacks_deliveries_alone() {
    let payload = mk_payload("U0UNA", "smokejumper.acknowledge", "v1|i1");
    let delivery = |source| Delivery {
        id: "d1".to_owned(),
        source,
        received_at: jiff::Timestamp::UNIX_EPOCH,
        body: body(&payload).into(),
    };
    let decoder = SlackDecoder { people: mk_people() };
    assert!(
        matches!(decoder.decode(&delivery(Source::Slack)), Ok(Decoded::Clicks(clicks)) if clicks.len() == 1)
    );
    assert!(decoder.decode(&delivery(Source::Alertmanager)).is_err());
}

#[test]
fn slacks_own_example_is_read_and_is_not_ours() {
    let Some(table) = vector("slack_block_actions.json") else { return };
    for form in ["form_body_quote", "form_body_quote_plus"] {
        let body = table[form].as_str().expect("a body");
        let decoded = SlackDecoder::default().read(body.as_bytes()).expect("readable");
        assert_eq!(decoded, Decoded::Clicks(Vec::new()));
    }
}
