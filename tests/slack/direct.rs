//! Whoever is on call is written to directly where a level has no channel.

use crate::servers::eventually;
use crate::world::{PATIENCE, Transport, World};
use smokejumper::sandbox::slack::Message;

const ACKNOWLEDGE: &str = "smokejumper.acknowledge";

async fn card_to(world: &World, whom: &str) -> Message {
    eventually(&format!("a card for {whom}"), PATIENCE, async || {
        let messages = world.slack.messages(whom);
        messages.into_iter().find(|message| format!("{:?}", message.blocks).contains(ACKNOWLEDGE))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_on_call_is_written_to_and_takes_it_there() {
    let world = World::start(Transport::SocketMode).await;
    world.fire_as("Called", "api").await;
    let card = card_to(&world, "U0RAVI").await;
    assert!(card.channel.starts_with('D'), "a direct message: {}", card.channel);
    world.adopted(&card).await;
    world.press(&card, ACKNOWLEDGE, "ravi").await;
    world.incident_where("taken by ravi", |it| it["status"] == "acknowledged").await;
    eventually("the direct message says who has it", PATIENCE, async || {
        let messages = world.slack.messages("U0RAVI");
        messages.into_iter().find(|it| it.ts == card.ts && format!("{:?}", it.blocks).contains("*ravi*"))
    })
    .await;
    assert!(world.slack.messages("#leads").is_empty(), "nobody else was told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_can_be_written_to_directly_the_next_destination_hears_at_once() {
    let world = World::with(Transport::SocketMode, "", |slack| slack.set_messages_tab(false)).await;
    world.fire_as("Called", "api").await;
    card_to(&world, "#leads").await;
    let incident = world
        .incident_where("the trail says why", |it| {
            let lines = it["timeline"].as_array().cloned().unwrap_or_default();
            let text = |line: &serde_json::Value| line["text"].as_str().unwrap_or_default().to_owned();
            lines.iter().any(|line| text(line).contains("messages_tab_disabled"))
                && lines.iter().any(|line| text(line).contains("slack:#leads is told instead"))
        })
        .await;
    assert_eq!(incident["status"], "triggered");
    assert!(world.slack.messages("U0RAVI").is_empty());
}
