//! Connections of Socket Mode: one follows another, what is unknown is acknowledged, and nothing secret is logged.

use crate::servers::eventually;
use crate::world::{PATIENCE, Transport, World};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than anything here takes.
const FOR_EVER: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_a_connection_ends_the_next_one_is_open_and_no_press_is_lost() {
    let world = World::start(Transport::SocketMode).await;
    world.fire("api").await;
    let card = world.card_with("smokejumper.approve").await;
    assert_eq!(world.slack.announce_disconnect("warning", FOR_EVER), 1);
    world.connected(2).await;
    let pressed = world.press(&card, "smokejumper.approve", "una").await;
    assert_eq!(pressed.status, Some(200), "{pressed:?}");
    world.judge_approved_once().await;
    // Now the new one, and at once.
    world.slack.announce_disconnect("refresh_requested", Duration::ZERO);
    eventually("a third one", PATIENCE, async || (world.slack.connections_opened() == 3).then_some(())).await;
    world.connected(1).await;
    let metrics = world.metrics().await;
    assert!(
        metrics.contains("\nsmokejumper_slack_socket_connects_total{outcome=\"connected\"} 3\n"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_is_opened_again() {
    let world = World::start(Transport::SocketMode).await;
    world.slack.server().go_down().await;
    world.slack.cut_connections();
    world.connected(0).await;
    let ready = eventually("it says so", PATIENCE, async || {
        Some(world.get("/ready").await).filter(|ready| ready["slack"] != "ok")
    })
    .await;
    assert_eq!(ready["status"], "ready", "alerts are still taken in");
    world.slack.server().come_back().await.expect("the same port");
    world.connected(1).await;
    eventually("it is ready", PATIENCE, async || (world.get("/ready").await["slack"] == "ok").then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_before_it_is_stored() {
    let world = World::start(Transport::SocketMode).await;
    world.fire("api").await;
    let card = world.card_with("smokejumper.approve").await;
    let other = world.database();
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let (pressed, ()) = tokio::join!(world.press(&card, "smokejumper.approve", "una"), async {
        eventually("it is sent again", PATIENCE, async || {
            (world.slack.envelopes().total() >= 2).then_some(())
        })
        .await;
        // The store has given up on the first one by now.
        eventually("it could not be stored", PATIENCE, async || {
            let unavailable = "envelopes_total{kind=\"interactive\",outcome=\"unavailable\"} ";
            let metrics = world.metrics().await;
            let count = metrics.lines().find_map(|line| Some(line.split_once(unavailable)?.1.to_owned()))?;
            (count != "0").then_some(())
        })
        .await;
        assert_eq!(world.slack.acknowledgements().total(), 0);
        other.execute_batch("ROLLBACK").expect("they may again");
    });
    assert_eq!(pressed.status, Some(200), "{pressed:?}");
    world.judge_approved_once().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_known_is_acknowledged_and_counted() {
    let world = World::start(Transport::SocketMode).await;
    let answer = world.slack.send_envelope("thing_of_next_year", &json!({ "a": 1 })).await;
    assert_eq!(answer, Some(Value::Null), "acknowledged without an answer");
    // Not an interaction at all: nobody could ever read it, so it must not come again.
    let answer = world.slack.send_envelope("interactive", &json!({ "no": "type" })).await;
    assert_eq!(answer, Some(Value::Null));
    let metrics = world.metrics().await;
    for (kind, outcome) in [("other", "unknown"), ("interactive", "malformed")] {
        let line =
            format!("smokejumper_slack_socket_envelopes_total{{kind=\"{kind}\",outcome=\"{outcome}\"}} 1\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_tokens_nor_tickets_reach_the_log() {
    let mut world = World::start(Transport::SocketMode).await;
    world.slack.announce_disconnect("warning", Duration::ZERO);
    eventually("the next one", PATIENCE, async || (world.slack.connections_opened() == 2).then_some(()))
        .await;
    world.slack.set_socket_mode(false);
    world.slack.announce_disconnect("link_disabled", Duration::ZERO);
    eventually("it fails", PATIENCE, async || {
        world.metrics().await.contains("connects_total{outcome=\"failed\"} 1").then_some(())
    })
    .await;
    assert_eq!(world.service.terminate(), Some(0), "a clean stop");
    let log = world.service.log();
    assert!(log.contains("socket_mode_disabled"), "why it is not connected: {log}");
    for secret in [world.slack.options().app_token.as_str(), "xapp-", "ticket=", "/link"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
