//! People whom only Slack knows: members of a user group, and those whom the settings name by mail
//! address.

use crate::servers::eventually;
use crate::world::{PATIENCE, Transport, World};
use serde_json::json;
use smokejumper::sandbox::faults::Fault;

const APPROVE: &str = "smokejumper.approve";
const GROUPS: &str = "  groups: [{ id: S0ONCALL, role: approver }]";

/// Waits until Slack has been asked who is in the group.
async fn asked(world: &World) {
    eventually("Slack is asked", PATIENCE, async || {
        let calls = world.slack.calls().entries();
        calls.iter().any(|call| call.what.method == "usergroups.users.list").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_a_group_of_approvers_approves() {
    let world =
        World::with(Transport::SocketMode, GROUPS, |slack| slack.set_group("S0ONCALL", &["U0SAM"])).await;
    asked(&world).await;
    world.fire("api").await;
    let card = world.card_with(APPROVE).await;
    // Who is asked last has the answer of Slack behind them: the press is judged by what is known then.
    let incident = eventually("Sam's press counts", PATIENCE, async || {
        // The one before may count in between, and its button is gone then.
        let _ = world.slack.click(&card.channel, &card.ts, APPROVE, "sam").await;
        world.incident().await.filter(|it| it["actions"][0]["approvals"] == json!(["slack:U0SAM: approved"]))
    })
    .await;
    assert_eq!(incident["actions"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_approves_as_a_member_of_a_group_that_slack_does_not_show() {
    for fault in [Fault::vendor_error("missing_scope"), Fault::status(500)] {
        let world = World::with(Transport::SocketMode, GROUPS, |slack| {
            slack.set_group("S0ONCALL", &["U0SAM"]);
            slack.faults().always("usergroups.users.list", fault);
        })
        .await;
        asked(&world).await;
        world.fire("api").await;
        let card = world.card_with(APPROVE).await;
        world.press(&card, APPROVE, "sam").await;
        let told = eventually("Sam is told", PATIENCE, async || {
            let messages = world.slack.messages("#incidents");
            messages.into_iter().find(|message| message.only_for.as_deref() == Some("U0SAM"))
        })
        .await;
        assert!(told.text.contains("needs approver"), "{}", told.text);
        assert_eq!(world.incident().await.expect("one")["actions"][0]["status"], "awaiting_approval");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_of_whom_the_settings_know_the_mail_address_has_their_name_and_role() {
    let world = World::start(Transport::SocketMode).await;
    world.fire("api").await;
    let card = world.card_with(APPROVE).await;
    // Li stands under `people` with a mail address only.
    eventually("Li's press counts", PATIENCE, async || {
        // The one before may count in between, and its button is gone then.
        let _ = world.slack.click(&card.channel, &card.ts, APPROVE, "li").await;
        world.incident().await.filter(|it| it["actions"][0]["approvals"] == json!(["li: approved"]))
    })
    .await;
}
