//! What waits: mild incidents for the morning, and everybody for whoever has acknowledged.

use super::world::{World, minutes, pagerduty, person, slack};
use crate::apply::Refused;
use crate::effect::{Effect, Wake};
use crate::event::Event;
use crate::incident::IncidentStatus;
use crate::notification::Notice;
use crate::people::Role;
use crate::schedule::Schedule;
use crate::severity::Severity;
use jiff::{SignedDuration, Timestamp};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A world in which an acknowledgement counts for 30 minutes.
fn mk_expiring() -> World {
    let mut world = World::new(vec![]);
    if let Some(policy) = &mut world.policy {
        policy.acknowledgement_expires_after = Some(minutes(30));
    }
    world
}

fn acknowledge(world: &mut World, name: &str) -> Result<(), Refused> {
    let actor = person(name, Role::Responder);
    world.try_happen(Event::Acknowledge { actor, reason: None }).map(|_| ())
}

fn expire(world: &mut World) -> Vec<String> {
    world.notices();
    world.wake(|wake| *wake == Wake::AcknowledgementExpires);
    world.notices()
}

fn next(world: &World) -> Option<Timestamp> {
    world.incident.next_escalation_at()
}

#[test]
fn when_an_acknowledgement_ends_the_escalation_goes_on_where_it_was() {
    let mut world = mk_expiring();
    let started_at = world.now;
    world.fire("a");
    world.now = started_at + minutes(3);
    acknowledge(&mut world, "una").expect("taken");
    assert_eq!(next(&world), None);
    let told = expire(&mut world);
    assert_eq!(world.now, started_at + minutes(33));
    assert_eq!(world.incident.status, IncidentStatus::Triggered);
    // PagerDuty rings nobody for what somebody has there: the alert is ended and opened under a new name.
    for expected in ["pagerduty:shop resolve", "pagerduty:shop trigger", "slack:#incidents reply"] {
        assert!(told.contains(&expected.to_owned()), "{expected}: {told:?}");
    }
    assert!(world.reasons().contains(&"acknowledgement_expired"));
    // The next level keeps its distance from the one that heard again.
    assert_eq!(next(&world), Some(world.now + minutes(15)));
}

#[test]
fn people_are_told_whose_acknowledgement_ended() {
    let mut world = mk_expiring();
    world.fire("a");
    acknowledge(&mut world, "una").expect("taken");
    world.notices();
    world.wake(|wake| *wake == Wake::AcknowledgementExpires);
    let texts: Vec<String> = world
        .effects
        .iter()
        .filter_map(|effect| match &effect.effect {
            Effect::Notify {
                notice: Notice::Reply { text, .. } | Notice::Trigger { note: text, .. },
                ..
            } => Some(text.clone()),
            _ => None,
        })
        .collect();
    assert!(texts.iter().all(|text| text.contains("the acknowledgement of una has expired")), "{texts:?}");
    assert!(texts.len() >= 2, "{texts:?}");
}

#[test]
fn a_level_reached_before_is_not_begun_anew_from_the_first() {
    let mut world = mk_expiring();
    world.fire("a");
    world.wake(|wake| *wake == Wake::Escalate);
    acknowledge(&mut world, "una").expect("taken");
    let told = expire(&mut world);
    assert!(told.contains(&"slack:#leads reply".to_owned()), "{told:?}");
    assert!(!told.iter().any(|notice| notice.starts_with("slack:#incidents reply")), "{told:?}");
}

#[test]
fn whoever_has_it_says_so_again_and_it_counts_anew() {
    let mut world = mk_expiring();
    let started_at = world.now;
    world.fire("a");
    acknowledge(&mut world, "una").expect("taken");
    world.now = started_at + minutes(20);
    assert_eq!(acknowledge(&mut world, "ben"), Err(Refused::AlreadyAcknowledged("una".to_owned())));
    acknowledge(&mut world, "una").expect("again");
    assert_eq!(world.wakes(|wake| *wake == Wake::AcknowledgementExpires).len(), 1);
    expire(&mut world);
    assert_eq!(world.now, started_at + minutes(50));
    assert_eq!(world.incident.status, IncidentStatus::Triggered);
    // Anybody may take what nobody has any more.
    acknowledge(&mut world, "ben").expect("taken");
}

#[test]
fn without_an_end_an_acknowledgement_counts_until_the_end() {
    let mut world = World::new(vec![]);
    world.fire("a");
    acknowledge(&mut world, "una").expect("taken");
    assert!(world.wakes(|wake| *wake == Wake::AcknowledgementExpires).is_empty());
    assert_eq!(acknowledge(&mut world, "una"), Err(Refused::AlreadyAcknowledged("una".to_owned())));
}

#[test]
fn the_end_of_an_acknowledgement_that_no_longer_counts_wakes_nobody() {
    // Resolved, and called further by hand: the timer is gone, and one that a worker holds already does nothing.
    let stale = |event: Event| {
        let mut world = mk_expiring();
        world.fire("a");
        acknowledge(&mut world, "una").expect("taken");
        let wake = world.take_effect(|effect| *effect == Effect::Wake(Wake::AcknowledgementExpires));
        world.effects.push(wake.clone());
        world.happen(event);
        assert!(world.wakes(|wake| *wake == Wake::AcknowledgementExpires).is_empty());
        world.happen(Event::Woken { effect: wake.id, wake: Wake::AcknowledgementExpires }).effects
    };
    let actor = person("una", Role::Responder);
    assert_eq!(stale(Event::Resolve { actor: actor.clone(), episode: None, reason: None }), []);
    assert_eq!(stale(Event::Escalate { actor, seen: None, reason: None }), []);
}

/// A world whose mild incidents wait for a schedule that begins in nine hours.
fn mk_night(severity: Severity) -> World {
    let mut world = World::new(vec![]);
    world.incident.severity = severity;
    let start = world.now + SignedDuration::from_hours(9);
    let spec = serde_json::json!({ "timeIntervals": [{}], "holidays": [] });
    let mut schedule = Schedule {
        name: "business".to_owned(),
        spec: serde_json::from_value(spec).expect("a spec"),
        on_call: None,
    };
    // Active from that hour of the day until midnight, in UTC.
    let hour = start.to_zoned(jiff::tz::TimeZone::UTC).hour();
    let interval =
        serde_json::json!({ "times": [{ "start_time": format!("{hour:02}:00"), "end_time": "24:00" }] });
    schedule.spec.time_intervals = vec![serde_json::from_value(interval).expect("an interval")];
    world.schedules.insert("business".to_owned(), schedule);
    if let Some(policy) = &mut world.policy {
        policy.defer_until = Some("business".to_owned());
    }
    world
}

#[test]
fn a_mild_incident_of_the_night_is_shown_at_once_and_told_in_the_morning() {
    for severity in [Severity::P2, Severity::P3] {
        let mut world = mk_night(severity);
        let opened_at = world.now;
        world.fire("a");
        assert_eq!(world.notices(), ["slack:#incidents card"], "nobody is paged");
        assert!(world.reasons().contains(&"deferred"));
        let morning = next(&world).expect("a next step");
        assert_eq!(world.incident.deferred_until(), Some(morning));
        assert!(morning > opened_at + SignedDuration::from_hours(8));
        world.wake(|wake| *wake == Wake::Escalate);
        assert_eq!(world.now, morning);
        let told = world.notices();
        for expected in ["pagerduty:shop trigger", "slack:#incidents reply"] {
            assert!(told.contains(&expected.to_owned()), "{told:?}");
        }
        assert_eq!(world.incident.deferred_until(), None);
        // The levels keep their distance from the morning.
        assert_eq!(next(&world), Some(morning + minutes(15)));
    }
}

#[test]
fn an_urgent_incident_never_waits() {
    for severity in [Severity::P0, Severity::P1] {
        let mut world = mk_night(severity);
        world.fire("a");
        let told = world.notices();
        assert!(told.contains(&"pagerduty:shop trigger".to_owned()), "{told:?}");
        assert_eq!(world.incident.deferred_until(), None);
    }
}

#[test]
fn a_level_that_would_come_after_work_waits_as_well() {
    let mut world = mk_night(Severity::P2);
    // Ten minutes before midnight, when the schedule ends for the day.
    let midnight = world.now + SignedDuration::from_hours(24);
    let midnight = midnight.round(jiff::Unit::Hour).expect("a time");
    let zoned = midnight.to_zoned(jiff::tz::TimeZone::UTC).start_of_day().expect("a day").timestamp();
    world.now = zoned - minutes(10);
    world.fire("a");
    assert!(world.notices().contains(&"pagerduty:shop trigger".to_owned()), "it is still working time");
    world.wake(|wake| *wake == Wake::Escalate);
    assert_eq!(world.notices(), Vec::<String>::new(), "nobody hears at midnight");
    let morning = next(&world).expect("a next step");
    assert!(morning >= zoned + HOUR, "{morning}");
    world.wake(|wake| *wake == Wake::Escalate);
    assert!(world.notices().contains(&"slack:#leads card".to_owned()));
}

#[test]
fn a_person_calls_the_next_level_of_what_waits() {
    let mut world = mk_night(Severity::P3);
    world.fire("a");
    world.notices();
    let actor = person("una", Role::Responder);
    world.happen(Event::Escalate { actor, seen: None, reason: None });
    assert!(world.notices().contains(&"pagerduty:shop trigger".to_owned()));
    assert_eq!(world.incident.deferred_until(), None);
}

#[test]
fn nobody_is_woken_because_the_quiet_card_of_the_night_does_not_arrive() {
    let mut world = mk_night(Severity::P3);
    world.fire("a");
    world.notices();
    let failed = Event::NoticeFailed {
        destination: slack("#incidents"),
        notice: Notice::Card,
        error: "channel_not_found".to_owned(),
        given_up: true,
    };
    world.happen(failed);
    assert!(world.incident.destination(&pagerduty("last")).is_none());
    assert_eq!(world.notices(), Vec::<String>::new());
}

#[test]
fn a_schedule_that_never_begins_holds_nothing_back() {
    let mut world = mk_night(Severity::P3);
    if let Some(schedule) = world.schedules.get_mut("business") {
        let never = serde_json::json!([{ "years": ["2001"] }]);
        schedule.spec.time_intervals = serde_json::from_value(never).expect("intervals");
    }
    world.fire("a");
    assert!(world.notices().contains(&"pagerduty:shop trigger".to_owned()));
}
