//! Forms that ask why: what was written stands in the decision, the trail and the thread, whichever way it came; and a
//! form that does not open, comes late or was edited changes nothing that it should not.

use crate::servers::eventually;
use crate::world::{PATIENCE, TRANSPORTS, Transport, World};
use serde_json::{Value, json};
use smokejumper::sandbox::faults::Fault;
use smokejumper::sandbox::slack::View;
use std::time::Duration;

const REJECT: &str = "smokejumper.reject";

/// Presses a button that opens a form, and returns the form.
async fn opened(world: &World, action_id: &str, user: &str) -> View {
    let card = world.card_with(action_id).await;
    let pressed = world.press(&card, action_id, user).await;
    assert_eq!(pressed.status, Some(200), "{pressed:?}");
    world.slack.views().pop().expect("a form is open")
}

fn has_line(incident: &Value, words: &str) -> bool {
    let lines = incident["timeline"].as_array().expect("lines");
    lines.iter().any(|line| line["text"].as_str().is_some_and(|text| text.contains(words)))
}

/// Waits until the thread of the card says so.
async fn thread_says(world: &World, words: &str) {
    eventually(&format!("the thread says: {words}"), PATIENCE, async || {
        let messages = world.slack.messages("#incidents");
        let below = messages.iter().filter(|message| message.thread_ts.is_some());
        below.into_iter().any(|message| message.text.contains(words)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_rejected_with_a_reason_that_everybody_can_read() {
    for transport in TRANSPORTS {
        let world = World::start(transport).await;
        world.fire("api").await;
        let form = opened(&world, REJECT, "una").await;
        assert_eq!(form.view["title"]["text"], "Reject this plan?");
        let before = world.incident().await.expect("an incident");
        assert_eq!(
            before["actions"][0]["status"], "awaiting_approval",
            "a form that is open decides nothing"
        );
        let sent = world.slack.submit(&form.id, &[("reason", "the *last* one <!channel> hurt")]).await;
        assert_eq!(sent.expect("sent").status, Some(200), "{transport:?}");
        let incident = world.incident_where("rejected", |it| it["actions"][0]["status"] == "rejected").await;
        let words = "the *last* one <!channel> hurt";
        assert!(
            incident["actions"][0]["reason"].as_str().is_some_and(|it| it.contains(words)),
            "{incident:#}"
        );
        assert!(has_line(&incident, words), "the trail has it");
        thread_says(&world, "one &lt;!channel&gt; hurt").await;
        assert_eq!(world.recorder.calls().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_on_by_hand_or_ends_it_says_why() {
    let world = World::start(Transport::Https).await;
    world.fire("api").await;
    let form = opened(&world, "smokejumper.take_over", "una").await;
    world.slack.submit(&form.id, &[("reason", "looks like the new proxy")]).await.expect("sent");
    let taken = world.incident_where("taken over", |it| has_line(it, "taken over by una")).await;
    assert!(has_line(&taken, "taken over by una: looks like the new proxy"), "{taken:#}");
    let form = opened(&world, "smokejumper.resolve", "ravi").await;
    // Left empty: that is fine.
    world.slack.submit(&form.id, &[("reason", "  ")]).await.expect("sent");
    let ended = world.incident_where("resolved", |it| it["status"] == "resolved").await;
    assert!(
        ended["timeline"].as_array().expect("lines").iter().any(|line| line["text"] == "resolved by ravi")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_press_counts_without_a_reason_where_the_form_does_not_open() {
    let slow = Fault::slow(Duration::from_secs(60));
    for (name, fault) in [("refused", Fault::vendor_error("expired_trigger_id")), ("slow", slow)] {
        let world = World::start(Transport::Https).await;
        world.fire("api").await;
        let card = world.card_with(REJECT).await;
        world.slack.faults().next("views.open", fault);
        let pressed = world.press(&card, REJECT, "una").await;
        assert_eq!(pressed.status, Some(200), "{name}: {pressed:?}");
        let incident = world.incident_where(name, |it| it["actions"][0]["status"] == "rejected").await;
        assert_eq!(incident["actions"][0]["approvals"], json!(["una: rejected"]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_press_that_comes_too_late_for_a_form_counts_without_one() {
    let world = World::start(Transport::SocketMode).await;
    world.fire("api").await;
    let card = world.card_with(REJECT).await;
    let press = world.slack.prepare_click(&card.channel, &card.ts, REJECT, "una").expect("a button");
    world.slack.expire_triggers();
    assert_eq!(world.slack.deliver(&press).await.expect("delivered").status, Some(200));
    assert_eq!(world.slack.views(), []);
    world.incident_where("rejected", |it| it["actions"][0]["status"] == "rejected").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_writes_a_reason_for_what_they_may_not_do() {
    let world = World::start(Transport::Https).await;
    world.fire("api").await;
    let card = world.card_with(REJECT).await;
    world.press(&card, REJECT, "sam").await;
    assert_eq!(world.slack.views(), []);
    let told = eventually("Sam is told", PATIENCE, async || {
        let messages = world.slack.messages("#incidents");
        messages.into_iter().find(|message| message.only_for.as_deref() == Some("U0SAM"))
    })
    .await;
    assert!(told.text.contains("needs approver"), "{}", told.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_form_decides_only_what_its_sender_could_decide_anyway() {
    let world = World::start(Transport::Https).await;
    world.fire("api").await;
    let form = opened(&world, REJECT, "una").await;
    let secret = world.slack.options().signing_secret.clone();
    let edited = |change: &dyn Fn(&mut Value)| {
        let sent = world.slack.prepare_submission(&form.id, &[].into()).expect("open");
        sent.with_payload(&secret, |payload| change(payload))
    };
    let metadata = form.view["private_metadata"].as_str().expect("metadata").to_owned();
    let digest = metadata.split(['|', '\n']).nth(2).expect("a digest").to_owned();
    // Another plan than the one that stands, a person without the right, another app.
    let other_plan =
        edited(&|payload| payload["view"]["private_metadata"] = json!(metadata.replace(&digest, "ab12")));
    let other_person = edited(&|payload| payload["user"]["id"] = json!("U0SAM"));
    let other_app = edited(&|payload| payload["api_app_id"] = json!("A0OTHER"));
    let no_form = edited(&|payload| payload["view"]["private_metadata"] = json!("v1|x"));
    for sent in [other_plan, other_person, other_app, no_form] {
        assert_eq!(world.slack.deliver(&sent).await.expect("delivered").status, Some(200));
    }
    for (user, words) in [("U0UNA", "the plan has changed"), ("U0SAM", "needs approver")] {
        eventually("they are told", PATIENCE, async || {
            let messages = world.slack.messages("#incidents");
            let to = |message: &&_| matches!(message, smokejumper::sandbox::slack::Message { only_for: Some(id), .. } if id == user);
            messages.iter().find(to).filter(|message| message.text.contains(words)).map(|_| ())
        })
        .await;
    }
    let metrics = eventually("what nobody can read is put aside", PATIENCE, async || {
        Some(world.metrics().await).filter(|page| page.contains("smokejumper_dead_letters_total 2"))
    })
    .await;
    drop(metrics);
    let incident = world.incident().await.expect("an incident");
    assert_eq!(incident["actions"][0]["status"], "awaiting_approval");
    // Unsigned, it does not even come in.
    let unsigned = edited(&|_| {}).unsigned();
    assert_eq!(world.slack.deliver(&unsigned).await.expect("delivered").status, Some(401));
}
