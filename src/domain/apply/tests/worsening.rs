//! An incident that began mildly gets worse.

use super::world::{World, minutes, pagerduty, person, slack};
use crate::effect::Wake;
use crate::escalation::EscalationPolicy;
use crate::event::Event;
use crate::incident::IncidentStatus;
use crate::people::Role;
use crate::schedule::Schedule;
use crate::severity::Severity;

fn worsen(world: &mut World, severity: Severity) -> Vec<String> {
    world.notices();
    world.happen(Event::Worsened { severity, title: "DiskFull".to_owned() });
    world.notices()
}

/// A mild incident whose policy waits for hours that are far away.
fn deferred() -> World {
    let mut world = World::new(vec![]);
    world.incident.severity = Severity::P2;
    let spec = serde_json::json!({ "timeIntervals": [{ "months": ["july"] }], "holidays": [] });
    let spec = serde_json::from_value(spec).expect("a spec");
    world.schedules.insert("july".to_owned(), Schedule { name: "july".to_owned(), spec, on_call: None });
    world.policy =
        world.policy.map(|policy| EscalationPolicy { defer_until: Some("july".to_owned()), ..policy });
    world.fire("a");
    world
}

#[test]
fn what_waits_for_the_morning_pages_at_once_when_it_gets_urgent() {
    let mut world = deferred();
    assert_eq!(world.notices(), ["slack:#incidents card"]);
    let told = worsen(&mut world, Severity::P1);
    for expected in ["pagerduty:shop trigger", "slack:#incidents reply"] {
        assert!(told.contains(&expected.to_owned()), "{told:?}");
    }
    assert_eq!(world.incident.deferred_until(), None);
    let next = world.incident.next_escalation_at().expect("it goes on");
    assert_eq!(next.duration_since(world.now), minutes(15));
    assert_eq!(world.wakes(|wake| *wake == Wake::Escalate).len(), 1);
    assert!(world.lines.iter().any(|line| line.text == "it is P1 from now on, and was P2: DiskFull fires"));
}

#[test]
fn what_was_told_for_the_last_time_goes_on_when_it_gets_urgent() {
    let mut world = World::new(vec![]);
    world.incident.severity = Severity::P3;
    world.fire("a");
    for _ in 0..3 {
        world.wake(|wake| *wake == Wake::Escalate);
    }
    assert_eq!(world.incident.next_escalation_at(), None, "a mild incident is told once by the fallback");
    let episode = world.incident.episode;
    let told = worsen(&mut world, Severity::P0);
    // Whoever was rung for a mild alert is rung again: that one ends, and a new one begins.
    assert!(told.contains(&"pagerduty:shop resolve".to_owned()), "{told:?}");
    assert!(told.contains(&"pagerduty:shop trigger".to_owned()), "{told:?}");
    assert_eq!(world.incident.episode, episode + 1);
    assert!(world.incident.next_escalation_at().is_some());
}

#[test]
fn it_goes_over_to_the_policy_of_its_severity() {
    let mut world = World::new(vec![]);
    world.fire("a");
    let mut other = world.policy.clone().expect("a policy");
    other.name = "worst".to_owned();
    other.levels[0].destinations = vec![pagerduty("worst"), slack("#incidents")];
    world.policy = Some(other.clone());
    let told = worsen(&mut world, Severity::P0);
    assert!(told.contains(&"pagerduty:worst trigger".to_owned()), "{told:?}");
    let state = world.incident.escalation.clone().expect("it escalates");
    assert_eq!((state.policy.as_str(), state.hash), ("worst", other.hash()));
}

#[test]
fn what_is_urgent_already_is_said_and_keeps_its_times() {
    let mut world = World::new(vec![]);
    world.fire("a");
    let before = world.incident.next_escalation_at();
    world.now = world.now.checked_add(minutes(10)).expect("in range");
    let told = worsen(&mut world, Severity::P0);
    assert!(told.contains(&"slack:#incidents reply".to_owned()), "{told:?}");
    assert_eq!(world.incident.next_escalation_at(), before);
}

#[test]
fn whoever_has_it_keeps_it_and_hears_that_it_is_more() {
    let mut world = deferred();
    world.happen(Event::Acknowledge { actor: person("una", Role::Responder), reason: None });
    let told = worsen(&mut world, Severity::P0);
    assert!(told.contains(&"slack:#incidents reply".to_owned()), "{told:?}");
    assert_eq!(
        (world.incident.status, world.incident.severity),
        (IncidentStatus::Acknowledged, Severity::P0)
    );
    assert_eq!(world.incident.next_escalation_at(), None);
}

#[test]
fn it_never_gets_milder_and_what_is_over_is_only_graded() {
    let mut world = World::new(vec![]);
    world.fire("a");
    let version = world.incident.version;
    for severity in [Severity::P1, Severity::P2, Severity::P3] {
        assert_eq!(worsen(&mut world, severity), Vec::<String>::new());
    }
    assert_eq!((world.incident.severity, world.incident.version), (Severity::P1, version));
    world.end_alert("a");
    let told = worsen(&mut world, Severity::P0);
    assert_eq!(told, Vec::<String>::new(), "whoever opens it again tells of it");
    assert_eq!((world.incident.status, world.incident.severity), (IncidentStatus::Resolved, Severity::P0));
}
