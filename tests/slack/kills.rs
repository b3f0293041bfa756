//! SIGKILL around the moment at which an approval comes in.

use crate::servers::eventually;
use crate::world::{PATIENCE, TRANSPORTS, Transport, World};
use smokejumper::sandbox::faults::Fault;
use std::sync::Arc;
use std::time::Duration;

const APPROVE: &str = "smokejumper.approve";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_is_one_decision_and_one_effect_whichever_way_it_comes() {
    for transport in TRANSPORTS {
        let world = World::start(transport).await;
        world.fire("api").await;
        let card = world.card_with(APPROVE).await;
        let pressed = world.press(&card, APPROVE, "una").await;
        assert_eq!(pressed.status, Some(200), "{transport:?}: {pressed:?}");
        // The second one comes too late, and its sender alone is told so.
        world.press(&card, APPROVE, "ravi").await;
        world.judge_approved_once().await;
        let told = eventually("Ravi is told", PATIENCE, async || {
            let messages = world.slack.messages("#incidents");
            messages.into_iter().find(|message| message.only_for.as_deref() == Some("U0RAVI"))
        })
        .await;
        assert!(told.text.contains("already approved by una"), "{}", told.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_that_was_acknowledged_survives_a_kill() {
    for transport in TRANSPORTS {
        let mut world = World::start(transport).await;
        world.fire("api").await;
        let card = world.card_with(APPROVE).await;
        let pressed = world.press(&card, APPROVE, "una").await;
        world.kill_and_restart().await;
        assert_eq!(pressed.status, Some(200), "{transport:?}: {pressed:?}");
        world.judge_approved_once().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_whose_process_is_killed_as_it_arrives_comes_again_and_counts_once() {
    let mut world = World::start(Transport::SocketMode).await;
    world.fire("api").await;
    let card = world.card_with(APPROVE).await;
    let slack = Arc::clone(&world.slack);
    let sent = slack.prepare_click(&card.channel, &card.ts, APPROVE, "una").expect("a button");
    let (pressed, ()) = tokio::join!(slack.deliver(&sent), async {
        eventually("the envelope is on its way", PATIENCE, async || {
            (slack.envelopes().total() == 1).then_some(())
        })
        .await;
        world.service.kill();
        world.kill_and_restart().await;
    });
    assert_eq!(pressed.expect("delivered").status, Some(200));
    world.judge_approved_once().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_that_is_stored_and_whose_acknowledgement_is_lost_counts_once() {
    let mut world = World::start(Transport::SocketMode).await;
    world.fire("api").await;
    let card = world.card_with(APPROVE).await;
    world.slack.lose_acknowledgements(1);
    let slack = Arc::clone(&world.slack);
    let sent = slack.prepare_click(&card.channel, &card.ts, APPROVE, "una").expect("a button");
    let (pressed, ()) = tokio::join!(slack.deliver(&sent), async {
        eventually("it is stored and its acknowledgement lost", PATIENCE, async || {
            (slack.acknowledgements().total() == 1).then_some(())
        })
        .await;
        world.service.kill();
        world.kill_and_restart().await;
    });
    assert_eq!(pressed.expect("delivered").status, Some(200));
    assert!(world.slack.envelopes().total() >= 2, "it came twice");
    world.judge_approved_once().await;
    let whispers = world.slack.messages("#incidents").into_iter().filter(|it| it.only_for.is_some());
    assert_eq!(whispers.count(), 0, "whose press counted is not told that it came twice");
}

/// Slack takes a message, and its answer does not come before the kill.
fn taken_and_not_answered() -> Fault {
    Fault::slow(Duration::from_secs(20)).after_effect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_whose_process_is_killed_while_slack_answers_stands_there_once() {
    for transport in TRANSPORTS {
        let mut world = World::start(transport).await;
        world.slack.faults().next("chat.postMessage", taken_and_not_answered());
        world.fire("api").await;
        let card = world.card_with(APPROVE).await;
        world.kill_and_restart().await;
        if transport == Transport::SocketMode {
            world.connected(1).await;
        }
        // The card that stands there is the one that is kept up to date.
        world.adopted(&card).await;
        world.press(&card, APPROVE, "una").await;
        world.judge_approved_once().await;
        eventually("the card says how it ended", PATIENCE, async || {
            let messages = world.slack.messages("#incidents");
            messages.into_iter().find(|it| it.ts == card.ts && it.blocks != card.blocks)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_below_the_card_whose_process_is_killed_while_slack_answers_stands_there_once() {
    let mut world = World::start(Transport::SocketMode).await;
    world.fire("api").await;
    let card = world.card_with(APPROVE).await;
    world.slack.faults().next("chat.postMessage", taken_and_not_answered());
    world.press(&card, APPROVE, "una").await;
    eventually("a line below the card", PATIENCE, async || {
        let messages = world.slack.messages("#incidents");
        messages.into_iter().find(|it| it.thread_ts.as_deref() == Some(card.ts.as_str()))
    })
    .await;
    world.kill_and_restart().await;
    world.judge_approved_once().await;
    world.all_told().await;
    let messages = world.slack.messages("#incidents");
    let mut lines: Vec<&str> =
        messages.iter().filter(|it| it.thread_ts.is_some()).map(|it| it.text.as_str()).collect();
    let said = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), said, "each line once: {messages:#?}");
}
