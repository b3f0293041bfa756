//! Presses that must not count, and those that count once however often they come.

use crate::servers::{eventually, http_client};
use crate::world::{PATIENCE, Transport, World};
use reqwest::Method;
use serde_json::{Value, json};
use smokejumper::sandbox::slack::{Message, SignedInteraction};

const APPROVE: &str = "smokejumper.approve";
const COPIES: usize = 100;

/// What is changed in a payload.
type Change = fn(&mut Value);

async fn waiting() -> (World, Message) {
    let world = World::start(Transport::Https).await;
    world.fire("api").await;
    let card = world.card_with(APPROVE).await;
    (world, card)
}

impl World {
    fn genuine(&self, card: &Message, user: &str) -> SignedInteraction {
        self.slack.prepare_click(&card.channel, &card.ts, APPROVE, user).expect("a button")
    }

    async fn answer(&self, sent: &SignedInteraction) -> Option<u16> {
        self.slack.deliver(sent).await.expect("it is sent").status
    }

    /// Waits until everything that was stored is judged.
    async fn judged(&self) {
        eventually("nothing waits to be judged", PATIENCE, async || {
            let metrics = self.metrics().await;
            let depth = metrics.lines().find_map(|line| line.strip_prefix("smokejumper_inbox_depth "))?;
            (depth.trim() == "0").then_some(())
        })
        .await;
    }

    async fn judge_undecided(&self, what: &str) {
        self.judged().await;
        let incident = self.incident().await.expect("an incident");
        assert_eq!(
            incident["actions"][0]["status"], "awaiting_approval",
            "{what}: {}",
            incident["actions"][0]
        );
        assert!(incident["actions"][0]["approvals"].as_array().is_none_or(Vec::is_empty), "{what}");
        assert!(self.recorder.calls().is_empty(), "{what}: {:?}", self.recorder.calls());
    }

    /// What only this person was told.
    async fn whisper_to(&self, user: &str) -> String {
        eventually("somebody is told why", PATIENCE, async || {
            let mut messages = self.slack.messages("#incidents").into_iter();
            messages.rfind(|message| message.only_for.as_deref() == Some(user)).map(|told| told.text)
        })
        .await
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> u16 {
        let url = format!("{}{path}", self.service.url());
        let request = http_client().request(method, url).bearer_auth(crate::world::API_TOKEN).json(&body);
        request.send().await.expect("an answer").status().as_u16()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_slack_did_not_sign_just_now_is_refused_and_changes_nothing() {
    let (world, card) = waiting().await;
    let secret = world.slack.options().signing_secret.clone();
    let genuine = world.genuine(&card, "U0UNA");
    let spaced =
        SignedInteraction { body: genuine.body.replace("payload=", "payload=%20"), ..genuine.clone() };
    let padded = SignedInteraction { body: format!("{}&x=1", genuine.body), ..genuine.clone() };
    let cheats = [
        ("unsigned", genuine.clone().unsigned()),
        ("forged", genuine.clone().signed_with("another secret of somebody")),
        ("six minutes old", genuine.clone().signed_at_offset(&secret, -360)),
        ("six minutes early", genuine.clone().signed_at_offset(&secret, 360)),
        ("edited", genuine.clone().tampered(|payload| payload["user"]["id"] = json!("U0RAVI"))),
        ("another time", SignedInteraction { timestamp: Some("1770793469".to_owned()), ..genuine.clone() }),
        ("re-encoded", spaced),
        ("padded", padded),
    ];
    for (what, cheat) in cheats {
        assert_eq!(world.answer(&cheat).await, Some(401), "{what}");
        world.judge_undecided(what).await;
    }
    assert_eq!(world.answer(&genuine).await, Some(200));
    world.judge_approved_once().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_from_another_team_app_or_person_decides_nothing() {
    let (world, card) = waiting().await;
    let secret = world.slack.options().signing_secret.clone();
    let other = |change: Change| world.genuine(&card, "U0UNA").with_payload(&secret, change);
    let digest = "0".repeat(64);
    world
        .incident_where("where the card stands is known", |incident| {
            incident["timeline"]
                .as_array()
                .is_some_and(|lines| lines.iter().any(|line| line["reason"] == "sent"))
        })
        .await;
    let changes: [(&str, Change); 6] = [
        ("another channel", |payload| {
            payload["channel"]["id"] = json!("C0OTHER");
            payload["container"]["channel_id"] = json!("C0OTHER");
        }),
        ("another team", |payload| payload["team"]["id"] = json!("T0OTHER")),
        ("another app", |payload| payload["api_app_id"] = json!("A0OTHER")),
        ("no person", |payload| payload["user"]["id"] = json!("not a user")),
        ("another incident", |payload| {
            let value = payload["actions"][0]["value"].as_str().expect("a value").to_owned();
            let changed = value.replacen(|c: char| c.is_ascii_hexdigit(), "0", 30);
            payload["actions"][0]["value"] = json!(changed);
        }),
        ("no value", |payload| payload["actions"][0]["value"] = Value::Null),
    ];
    for (what, change) in changes {
        assert_eq!(world.answer(&other(change)).await, Some(200), "{what}: nobody learns what was wrong");
        world.judge_undecided(what).await;
    }
    // Who presses a copy is told so, by the address that came with the press: we may not be where it stands.
    let told = eventually("a copy is answered", PATIENCE, async || {
        world.slack.follow_ups().entries().pop().map(|entry| entry.what)
    })
    .await;
    assert!(
        told.accepted && told.body["text"].as_str().is_some_and(|it| it.contains("this is a copy")),
        "{told:?}"
    );
    assert_eq!(told.body["response_type"], "ephemeral");
    assert_eq!(world.slack.follow_ups().total(), 1, "only the copy is: {told:?}");
    // Somebody whom only Slack knows is told that this is for others.
    assert_eq!(world.answer(&world.genuine(&card, "U0SAM")).await, Some(200));
    assert!(world.whisper_to("U0SAM").await.contains("approver"));
    world.judge_undecided("a person without the role").await;
    // The plan that was shown is the plan that is approved.
    let of_another_plan = world.genuine(&card, "U0UNA").with_payload(&secret, |payload| {
        let value = payload["actions"][0]["value"].as_str().expect("a value").to_owned();
        let shown = value.rsplit('|').next().expect("a digest");
        payload["actions"][0]["value"] = json!(value.replace(shown, &digest));
    });
    assert_eq!(world.answer(&of_another_plan).await, Some(200));
    assert!(world.whisper_to("U0UNA").await.contains("the plan has changed"));
    world.judge_undecided("another plan").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_copies_at_once_are_one_decision_and_one_effect() {
    let (world, card) = waiting().await;
    let sent = world.genuine(&card, "U0UNA");
    let copies = (0..COPIES).map(|_| world.answer(&sent));
    let answers = futures::future::join_all(copies).await;
    // What cannot be stored for now is 503; whatever is answered with 200 is stored.
    assert!(answers.contains(&Some(200)), "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, Some(200 | 503))), "{answers:?}");
    world.judge_approved_once().await;
    world.judged().await;
    // Again, later, when all is done.
    assert_eq!(world.answer(&sent).await, Some(200));
    world.judged().await;
    world.judge_approved_once().await;
    let whispers =
        world.slack.messages("#incidents").into_iter().filter(|message| message.only_for.is_some());
    assert_eq!(whispers.count(), 0, "whose press counted is told nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_during_a_pause_does_not_act() {
    let (world, card) = waiting().await;
    assert_eq!(
        world.send(Method::PUT, "/api/v1/pause", json!({ "paused": true, "reason": "a migration" })).await,
        200
    );
    assert_eq!(world.answer(&world.genuine(&card, "U0UNA")).await, Some(200));
    let held = world.incident_where("it was approved, and does not start", |incident| {
        incident["timeline"].as_array().is_some_and(|lines| {
            lines.iter().any(|line| line["text"].as_str().is_some_and(|text| text.contains("paused")))
        })
    });
    held.await;
    world.judged().await;
    assert!(world.recorder.calls().is_empty(), "{:?}", world.recorder.calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_after_the_end_does_not_act() {
    let (world, card) = waiting().await;
    let approval = world.genuine(&card, "U0UNA");
    let incident = world.incident().await.expect("an incident");
    let id = incident["id"].as_str().expect("an id");
    assert_eq!(world.send(Method::POST, &format!("/api/v1/incidents/{id}/resolve"), json!({})).await, 200);
    world.incident_where("it is over", |incident| incident["status"] == "resolved").await;
    assert_eq!(world.answer(&approval).await, Some(200));
    assert!(!world.whisper_to("U0UNA").await.is_empty());
    world.judged().await;
    assert!(world.recorder.calls().is_empty(), "{:?}", world.recorder.calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_that_comes_too_late_does_not_act() {
    let world = World::start(Transport::Https).await;
    world.fire_as("Hasty", "api").await;
    let card = world.card_with(APPROVE).await;
    let approval = world.genuine(&card, "U0UNA");
    world
        .incident_where("nobody answered in time", |incident| incident["actions"][0]["status"] == "expired")
        .await;
    assert_eq!(world.answer(&approval).await, Some(200));
    assert!(!world.whisper_to("U0UNA").await.is_empty());
    world.judged().await;
    assert!(world.recorder.calls().is_empty(), "{:?}", world.recorder.calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_press_that_counted_counts_no_more_when_it_would_fit_again() {
    let (world, card) = waiting().await;
    let taken = world
        .slack
        .prepare_click(&card.channel, &card.ts, "smokejumper.acknowledge", "U0UNA")
        .expect("a button");
    assert_eq!(world.answer(&taken).await, Some(200));
    let incident = world.incident_where("una has it", |incident| incident["status"] == "acknowledged").await;
    let id = incident["id"].as_str().expect("an id");
    assert_eq!(world.send(Method::POST, &format!("/api/v1/incidents/{id}/escalate"), json!({})).await, 200);
    world.incident_where("she wants help", |incident| incident["status"] == "triggered").await;
    // The same press, as somebody recorded it: it must not stop the escalation.
    assert_eq!(world.answer(&taken).await, Some(200));
    world.judged().await;
    let incident = world.incident().await.expect("an incident");
    assert_eq!(incident["status"], "triggered", "{}", incident["timeline"]);
    // A new press counts.
    world.press(&card, "smokejumper.acknowledge", "U0UNA").await;
    world.incident_where("she has it again", |incident| incident["status"] == "acknowledged").await;
}
