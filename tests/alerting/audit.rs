//! The audit of the own store: what is broken by hand is seen, told and mended.

use crate::desk::{Desk, mk_alert};
use jiff::SignedDuration;
use smokejumper::domain::incident::IncidentStatus;
use smokejumper::engine::auditing::FAILED;
use smokejumper::engine::ports::Delivered;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

async fn mk_desk() -> Desk {
    let desk = Desk::new().await;
    desk.post(&[mk_alert("api", desk.now())]).await;
    desk
}

#[tokio::test]
async fn a_store_in_order_passes_whoever_has_what() {
    let desk = mk_desk().await;
    assert!(!desk.audit_passed(), "an audit that was not made has not passed");
    assert!(desk.audit().await.is_clean());
    assert!(desk.audit_passed());
    desk.pass(100 * MINUTE).await;
    assert!(!desk.audit_passed(), "it was long ago");
    assert!(desk.audit().await.is_clean(), "after every level as well");
    let all = desk.incidents().await;
    assert_eq!(all.len(), 1, "nothing is raised: {all:?}");
}

#[tokio::test]
async fn a_step_that_is_gone_from_the_store_is_seen_told_and_set_anew() {
    for damage in [
        "DELETE FROM effect WHERE kind = 'wake'",
        "UPDATE incident SET next_escalation_at = NULL, body = json_remove(body, '$.escalation.next'); \
         DELETE FROM effect WHERE kind = 'wake'",
    ] {
        let desk = mk_desk().await;
        desk.damage(damage);
        let found = desk.audit().await;
        assert_eq!(found.without_step, [desk.incident_of("errors").await.id], "{damage}");
        assert!(!desk.audit_passed());
        let alarm = desk.incident_of("(smokejumper)").await;
        assert_eq!((alarm.labels["alertname"].as_str(), alarm.severity.as_str()), (FAILED, "P1"));
        assert!(alarm.annotations["summary"].starts_with("incidents without a next step: 1"), "{alarm:?}");
        // Mended: the next audit passes, and the alarm is over.
        assert!(desk.audit().await.is_clean(), "{damage}");
        assert!(desk.audit_passed());
        desk.settle().await;
        assert_eq!(desk.incident_of("(smokejumper)").await.status, IncidentStatus::Resolved);
        desk.pass(16 * MINUTE).await;
        assert!(desk.told().iter().any(|told| told.starts_with("slack:#leads")), "the next level hears");
    }
}

#[tokio::test]
async fn a_mild_incident_needs_its_next_step_until_everybody_was_told() {
    const MILD: &str = "UPDATE incident SET severity = 'P2', body = json_set(body, '$.severity', 'P2')";
    let desk = mk_desk().await;
    desk.damage(MILD);
    desk.damage(
        "UPDATE incident SET next_escalation_at = NULL, body = json_remove(body, '$.escalation.next'); \
         DELETE FROM effect WHERE kind = 'wake'",
    );
    assert_eq!(desk.audit().await.without_step, [desk.incident_of("errors").await.id]);
    assert!(desk.audit().await.is_clean(), "it was set anew");

    let desk = mk_desk().await;
    desk.damage(MILD);
    desk.pass(600 * MINUTE).await;
    let incident = desk.incident_of("errors").await;
    let state = incident.escalation.as_ref().expect("a policy");
    assert_eq!((state.next, state.used_up, incident.status), (None, true, IncidentStatus::Triggered));
    assert!(desk.told().iter().any(|told| told.starts_with("slack:#last")), "down to the fallback");
    assert!(desk.audit().await.is_clean(), "nothing is left to tell");
}

#[tokio::test]
async fn what_is_due_and_not_worked_on_is_seen() {
    let desk = mk_desk().await;
    desk.leap(20 * MINUTE);
    let found = desk.audit().await;
    assert_eq!((found.overdue_wakes, found.without_step.len()), (1, 0));
    assert!(!desk.audit_passed());
    desk.settle().await;
    assert!(desk.audit().await.is_clean());
}

#[tokio::test]
async fn a_delivery_that_nobody_takes_in_is_seen() {
    let desk = mk_desk().await;
    // Nobody is told of it, as where the task that takes in stands still.
    desk.damage(
        "INSERT INTO inbox (id, source, received_at, body) VALUES ('ffff', 'alertmanager', 1, CAST('[]' AS BLOB))",
    );
    let found = desk.audit().await;
    assert_eq!((found.overdue_deliveries, found.overdue_wakes, found.without_step.len()), (1, 0, 0));
    assert!(!desk.audit_passed());
}

#[tokio::test]
async fn whoever_has_an_incident_needs_no_next_step_but_the_end_of_their_acknowledgement() {
    use smokejumper::domain::people::{Actor, Role, Via};
    let desk = Desk::under("  acknowledgement: { expiresAfter: 2h }\n").await;
    desk.post(&[mk_alert("api", desk.now())]).await;
    let id = desk.incident_of("errors").await.id;
    let una = Actor { name: "una".to_owned(), via: Via::Api, role: Role::Responder };
    desk.commands.acknowledge(id, una, None).await.expect("taken");
    assert!(desk.audit().await.is_clean());
    // An acknowledgement that is to expire has a step as well.
    desk.damage("DELETE FROM effect WHERE kind = 'wake'");
    assert_eq!(desk.audit().await.without_step.len(), 1);
    assert!(desk.audit().await.is_clean());
    desk.pass(300 * MINUTE).await;
    assert_eq!(desk.incident_of("errors").await.status, IncidentStatus::Triggered);
}

#[tokio::test]
async fn a_silence_that_is_to_end_has_a_step_as_well() {
    use smokejumper::domain::people::{Actor, Role, Via};
    let desk = mk_desk().await;
    let id = desk.incident_of("errors").await.id;
    let una = Actor { name: "una".to_owned(), via: Via::Api, role: Role::Responder };
    desk.commands.silence(id, una, Some(60 * MINUTE), None).await.expect("silenced");
    desk.settle().await;
    assert!(desk.audit().await.is_clean());
    desk.damage("DELETE FROM effect WHERE kind = 'wake'");
    assert_eq!(desk.audit().await.without_step.len(), 1, "nobody would be called when it ends");
    assert!(desk.audit().await.is_clean());
    desk.pass(70 * MINUTE).await;
    assert_eq!(desk.incident_of("errors").await.status, IncidentStatus::Triggered);
}

/// A channel that does not answer.
fn hangs() -> Delivered {
    Delivered::Later { wait: None, reason: "no answer within 15s".to_owned(), failed: true }
}

#[tokio::test]
async fn an_urgent_incident_of_which_nobody_has_heard_fails_the_audit_until_somebody_has() {
    let desk = Desk::new().await;
    for channel in ["slack:#incidents", "slack:#leads", "slack:#last"] {
        desk.refuses(channel, hangs());
    }
    desk.post(&[mk_alert("api", desk.now())]).await;
    let id = desk.incident_of("errors").await.id;
    desk.pass(3 * MINUTE).await;
    assert!(desk.audit().await.is_clean(), "the next destination is being told");
    desk.pass(4 * MINUTE).await;
    let found = desk.audit().await;
    assert_eq!((&found.untold, found.without_step.len()), (&vec![id], 0));
    assert!(!desk.audit_passed(), "the heartbeat stays away");
    let alarm = desk.incident_of("(smokejumper)").await;
    assert!(
        alarm.annotations["summary"].contains("urgent incidents of which no destination has heard: 1 ("),
        "{alarm:?}"
    );
    for channel in ["slack:#incidents", "slack:#last"] {
        desk.answers_again(channel);
    }
    desk.pass(2 * MINUTE).await;
    assert!(desk.audit().await.is_clean(), "it was tried all the time");
}

#[tokio::test]
async fn what_was_given_up_everywhere_fails_the_audit_at_once_and_an_acknowledgement_is_enough() {
    use smokejumper::domain::people::{Actor, Role, Via};
    let desk = Desk::new().await;
    for channel in ["slack:#incidents", "slack:#leads", "slack:#last"] {
        desk.refuses(channel, Delivered::Never { reason: "channel_not_found".to_owned() });
    }
    desk.post(&[mk_alert("api", desk.now())]).await;
    let id = desk.incident_of("errors").await.id;
    assert_eq!(desk.audit().await.untold, std::slice::from_ref(&id));
    let una = Actor { name: "una".to_owned(), via: Via::Api, role: Role::Responder };
    desk.commands.acknowledge(id, una, None).await.expect("taken");
    assert!(!desk.audit().await.untold.contains(&desk.incident_of("errors").await.id));
}

#[tokio::test]
async fn who_was_told_elsewhere_was_told() {
    let desk = Desk::new().await;
    desk.refuses("slack:#incidents", hangs());
    desk.post(&[mk_alert("api", desk.now())]).await;
    desk.pass(10 * MINUTE).await;
    assert!(desk.audit().await.is_clean(), "the fallback has heard");
}

#[tokio::test]
async fn an_urgent_notice_that_nobody_sends_is_seen() {
    let desk = mk_desk().await;
    let id = desk.incident_of("errors").await.id;
    // As where the workers that tell people stand still.
    desk.damage(&format!(
        "UPDATE incident SET body = json_remove(body, '$.destinations[0].message'); \
         INSERT INTO effect (id, kind, seq, urgent, ready_at, created_at, due_at, body) VALUES \
         ('{id}-e90', 'notify', 90, 1, 1, 1, 1, \
         '{{\"notify\":{{\"destination\":{{\"slack\":{{\"channel\":\"#incidents\"}}}},\"notice\":\"card\"}}}}')",
        id = id.0
    ));
    let found = desk.audit().await;
    assert_eq!((&found.untold, found.overdue_wakes), (&vec![id], 0));
    desk.settle().await;
    assert!(desk.audit().await.is_clean(), "it is sent");
}
