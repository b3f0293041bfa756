//! News from PagerDuty.

use super::world::{World, minutes, person};
use crate::bridge::{BridgeNews, BridgeWhat};
use crate::event::Event;
use crate::incident::IncidentStatus;
use crate::people::{Actor, Role, Via};
use jiff::SignedDuration;

fn ben() -> Option<Actor> {
    Some(Actor { name: "ben".to_owned(), via: Via::PagerDuty, role: Role::Responder })
}

/// News of this second of the story.
fn news(world: &World, second: i64, actor: Option<Actor>, what: BridgeWhat) -> BridgeNews {
    let at = world.incident.started_at.checked_add(SignedDuration::from_secs(second)).expect("in range");
    BridgeNews { id: format!("n{second}"), at, thing: "P1".to_owned(), episode: Some(0), actor, what }
}

fn fired() -> World {
    let mut world = World::new(Vec::new());
    world.fire("a");
    world.notices();
    world
}

fn hear(world: &mut World, second: i64, actor: Option<Actor>, what: BridgeWhat) {
    let news = news(world, second, actor, what);
    world.happen(Event::Heard(news));
}

#[test]
fn who_takes_it_there_has_it_here_and_our_own_word_is_no_news() {
    let mut world = fired();
    hear(&mut world, 1, None, BridgeWhat::Acknowledged);
    assert_eq!(world.incident.status, IncidentStatus::Triggered);
    hear(&mut world, 2, ben(), BridgeWhat::Acknowledged);
    assert_eq!(world.incident.status, IncidentStatus::Acknowledged);
    assert!(world.lines.iter().any(|line| line.text == "acknowledged by ben"));
    hear(&mut world, 3, ben(), BridgeWhat::Resolved);
    assert_eq!(world.incident.status, IncidentStatus::Resolved);
}

#[test]
fn who_took_it_before_it_was_passed_on_does_not_hold_it_up() {
    let mut world = fired();
    world.now = world.now.checked_add(minutes(5)).expect("in range");
    let escalates = Event::Escalate { actor: person("una", Role::Responder), seen: None, reason: None };
    world.happen(escalates);
    // It happened before that, and comes now.
    hear(&mut world, 60, ben(), BridgeWhat::Acknowledged);
    assert_eq!(world.incident.status, IncidentStatus::Triggered);
    assert!(
        world.lines.iter().any(|line| line.text.contains("before it was passed on")),
        "it is told all the same"
    );
    hear(&mut world, 301, ben(), BridgeWhat::Acknowledged);
    assert_eq!(world.incident.status, IncidentStatus::Acknowledged);
}

#[test]
fn what_nobody_has_any_more_is_told_again_from_where_it_stood() {
    let mut world = fired();
    hear(&mut world, 1, ben(), BridgeWhat::Acknowledged);
    world.now = world.now.checked_add(minutes(30)).expect("in range");
    world.notices();
    hear(&mut world, 1800, None, BridgeWhat::Unacknowledged);
    assert_eq!(
        (world.incident.status, world.incident.acknowledged.clone()),
        (IncidentStatus::Triggered, None)
    );
    assert!(world.notices().contains(&"slack:#incidents reply".to_owned()));
    let next = world.incident.next_escalation_at().expect("it goes on");
    assert_eq!(next.duration_since(world.now), minutes(15), "the lead hears as after the first page");
}

#[test]
fn who_took_it_here_since_keeps_it() {
    let mut world = fired();
    hear(&mut world, 1, ben(), BridgeWhat::Acknowledged);
    hear(&mut world, 2, ben(), BridgeWhat::Unacknowledged);
    world.now = world.now.checked_add(minutes(10)).expect("in range");
    world.happen(Event::Acknowledge { actor: person("una", Role::Responder), reason: None });
    hear(&mut world, 599, None, BridgeWhat::Unacknowledged);
    assert_eq!(world.incident.status, IncidentStatus::Acknowledged, "it happened before una took it");
    hear(&mut world, 601, None, BridgeWhat::Unacknowledged);
    assert_eq!(world.incident.status, IncidentStatus::Triggered);
}

#[test]
fn its_identity_there_is_kept_and_notes_that_name_only_that_are_taken() {
    let mut world = fired();
    hear(&mut world, 1, None, BridgeWhat::Opened);
    assert_eq!(world.incident.bridge.as_deref(), Some("P1"));
    let mut note = news(&world, 2, ben(), BridgeWhat::Noted("note in PagerDuty by ben: the pool".to_owned()));
    (note.episode, note.thing) = (None, "PN1".to_owned());
    world.happen(Event::Heard(note));
    assert_eq!(world.incident.bridge.as_deref(), Some("P1"));
    assert!(world.lines.iter().any(|line| line.text == "note in PagerDuty by ben: the pool"));
}

#[test]
fn a_priority_that_people_set_there_is_kept_beside_the_severity() {
    let mut world = fired();
    let severity = world.incident.severity;
    let set = |priority: Option<&str>| BridgeWhat::Prioritised {
        priority: priority.map(str::to_owned),
        text: format!("priority set in PagerDuty by ben: {}", priority.unwrap_or("none")),
    };
    hear(&mut world, 1, ben(), set(Some("P2")));
    assert_eq!((world.incident.bridge_priority.as_deref(), world.incident.severity), (Some("P2"), severity));
    assert!(world.lines.iter().any(|line| line.text == "priority set in PagerDuty by ben: P2"));
    hear(&mut world, 2, ben(), set(None));
    assert_eq!(world.incident.bridge_priority, None);
}

#[test]
fn a_repetition_or_what_comes_late_does_not_count() {
    let mut world = fired();
    hear(&mut world, 1, ben(), BridgeWhat::Acknowledged);
    hear(&mut world, 2, None, BridgeWhat::Unacknowledged);
    let version = world.incident.version;
    for second in [1, 2] {
        hear(&mut world, second, ben(), BridgeWhat::Acknowledged);
    }
    assert_eq!((world.incident.status, world.incident.version), (IncidentStatus::Triggered, version));
    let mut later = news(&world, 3, ben(), BridgeWhat::Acknowledged);
    later.episode = Some(7);
    world.happen(Event::Heard(later));
    assert_eq!(world.incident.status, IncidentStatus::Triggered, "of another episode");
    world.now = world.now.checked_add(SignedDuration::from_hours(49)).expect("in range");
    hear(&mut world, 4, ben(), BridgeWhat::Acknowledged);
    assert_eq!(world.incident.status, IncidentStatus::Triggered, "two days old");
}

#[test]
fn what_changes_nothing_here_is_told_and_an_end_by_itself_is_none() {
    let mut world = fired();
    hear(&mut world, 1, ben(), BridgeWhat::Noted("ben has given it to una".to_owned()));
    hear(&mut world, 2, None, BridgeWhat::Resolved);
    assert_eq!(world.incident.status, IncidentStatus::Triggered);
    let told: Vec<&str> = world.lines.iter().rev().take(2).map(|line| line.text.as_str()).collect();
    assert_eq!(told, ["PagerDuty ended it by itself, and its alerts fire on", "ben has given it to una"]);
    world.happen(Event::Resolve { actor: person("una", Role::Responder), episode: None, reason: None });
    let version = world.incident.version;
    hear(&mut world, 3, ben(), BridgeWhat::Noted("late".to_owned()));
    assert_eq!(world.incident.version, version);
}

#[test]
fn who_gives_it_to_somebody_else_leaves_it_with_nobody_until_they_take_it() {
    let mut world = fired();
    hear(&mut world, 1, ben(), BridgeWhat::Acknowledged);
    world.notices();
    let passed = || BridgeWhat::PassedOn("given in PagerDuty by ben to ravi".to_owned());
    hear(&mut world, 2, ben(), passed());
    assert_eq!(world.incident.status, IncidentStatus::Triggered);
    assert!(world.incident.next_escalation_at().is_some(), "no page falls between two chairs");
    assert!(world.notices().contains(&"slack:#incidents reply".to_owned()));
    // Who has taken it here since keeps it.
    world.now = world.now.checked_add(minutes(10)).expect("in range");
    world.happen(Event::Acknowledge { actor: person("una", Role::Responder), reason: None });
    hear(&mut world, 599, ben(), passed());
    assert_eq!(world.incident.status, IncidentStatus::Acknowledged, "it happened before una took it");
    let told = world.lines.iter().filter(|line| line.text == "given in PagerDuty by ben to ravi");
    assert_eq!(told.count(), 2);
}
