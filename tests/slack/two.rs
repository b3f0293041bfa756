//! What two different people have to approve, on every way that an approval comes: the button, the API, and a person of whom
//! the settings know the mail address only.

use crate::servers::{eventually, http_client};
use crate::world::{PATIENCE, TRANSPORTS, Transport, World};
use serde_json::{Value, json};
use smokejumper::sandbox::faults::Fault;
use smokejumper::sandbox::slack::Message;

/// What two people decide asks each of them why.
const APPROVE: &str = "smokejumper.approve_why";

/// Presses the button and sends the form off that it opens, once it is open.
async fn approve_by_form(world: &World, card: &Message, user: &str, why: &str) {
    world.slack.click(&card.channel, &card.ts, APPROVE, user).await.expect("the button is there");
    let form = eventually("the form is open", PATIENCE, async || world.slack.views().pop()).await;
    assert_eq!(form.view["title"]["text"], "Approve this plan?");
    world.slack.submit(&form.id, &[("reason", why)]).await.expect("sent");
}

/// Approves the first action of the newest incident as whoever has this token.
async fn approve(world: &World, token: &str) -> (u16, Value) {
    let incident = world.incident().await.expect("one");
    let id = incident["actions"][0]["id"].as_str().expect("an id");
    let url = format!("{}/api/v1/actions/{id}/approve", world.service.url());
    let answer = http_client().post(url).bearer_auth(token).json(&json!({})).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_different_people_approve_what_is_of_the_highest_tier_and_one_by_two_ways_is_one() {
    for transport in TRANSPORTS {
        let world = World::start(transport).await;
        world.fire_as("Grave", "api").await;
        let card = world.card_with(APPROVE).await;
        approve_by_form(&world, &card, "una", "the backup is good").await;
        let is_one = |it: &Value| it["actions"][0]["approvals"] == json!(["una: approved"]);
        let incident = world.incident_where("Una's press counts", is_one).await;
        assert_eq!(incident["actions"][0]["status"], "awaiting_approval");

        // Again by the button, and by a token of hers that bears another name.
        let card = world.card_with(APPROVE).await;
        approve_by_form(&world, &card, "una", "once more").await;
        let told = eventually("Una is told", PATIENCE, async || {
            let messages = world.slack.messages("#incidents");
            messages.into_iter().find(|message| message.only_for.as_deref() == Some("U0UNA"))
        })
        .await;
        assert!(told.text.contains("una") && told.text.contains("approved"), "{}", told.text);
        let (status, answer) = approve(&world, crate::world::UNAS_TOKEN).await;
        assert_eq!(status, 409, "{answer}");
        // A token that does not say whose it is may be hers as well.
        let (status, answer) = approve(&world, crate::world::API_TOKEN).await;
        assert!(
            status == 409 && answer["detail"].as_str().is_some_and(|it| it.contains("may be anybody")),
            "{answer}"
        );
        assert!(world.recorder.calls().is_empty(), "one person is not two");

        // The second one stands under `people` with a mail address only.
        let card = world.card_with(APPROVE).await;
        eventually("Li is known, and has a form to fill in", PATIENCE, async || {
            let _ = world.slack.click(&card.channel, &card.ts, APPROVE, "li").await;
            (!world.slack.views().is_empty()).then_some(())
        })
        .await;
        approve_by_form(&world, &card, "li", "seen it too").await;
        world.incident_where("Li's approval counts", |it| it["actions"][0]["status"] == "succeeded").await;
        let (status, answer) = approve(&world, crate::world::API_TOKEN).await;
        assert_eq!(status, 409, "what was carried out is not approved again: {answer}");
        let incident = world.incident().await.expect("one");
        assert_eq!(incident["actions"][0]["approvals"], json!(["una: approved", "li: approved"]));
        assert_eq!(incident["actions"].as_array().map(Vec::len), Some(1));
        assert_eq!(world.recorder.calls().values().sum::<u64>(), 1, "one effect");
        let lines = incident["timeline"].as_array().expect("lines");
        for why in ["approved by una: the backup is good", "approved by li: seen it too"] {
            let says = |line: &Value| line["text"].as_str().is_some_and(|text| text.contains(why));
            assert!(lines.iter().any(says), "{why}: {lines:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_form_that_asks_why_does_not_open_nothing_is_approved() {
    let world = World::start(Transport::Https).await;
    world.fire_as("Grave", "api").await;
    let card = world.card_with(APPROVE).await;
    world.slack.faults().next("views.open", Fault::vendor_error("expired_trigger_id"));
    assert_eq!(world.press(&card, APPROVE, "una").await.status, Some(200));
    let told = eventually("Una is told", PATIENCE, async || {
        world.slack.follow_ups().entries().pop().map(|entry| entry.what)
    })
    .await;
    assert!(told.body["text"].as_str().is_some_and(|it| it.starts_with("Nothing is approved")), "{told:?}");
    let incident = world.incident().await.expect("one");
    assert_eq!(incident["actions"][0]["approvals"], json!([]));
}
