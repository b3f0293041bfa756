//! Levels that tell whoever is on call: by their name in a channel, by a message of their own, or not at all.

use super::world::{World, minutes, slack};
use crate::effect::{Effect, Wake};
use crate::notification::Notice;
use crate::schedule::{Contact, OnCall, Rotation, Schedule, ScheduleSpec, TimeInterval};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

const SCHEDULE: &str = "pss-nano";

/// Una and ben take turns of ten minutes from the beginning of the story on.
fn mk_schedule(from: Timestamp, people: &[(&str, Option<&str>)]) -> Schedule {
    let rotation = Rotation {
        name: "primary".to_owned(),
        people: people.iter().map(|(name, _)| (*name).to_owned()).collect(),
        start: from.to_zoned(TimeZone::UTC).datetime(),
        turn: SignedDuration::from_hours(1),
        time_intervals: Vec::new(),
        location: "UTC".parse().expect("a zone"),
    };
    let contact = |slack: &Option<&str>| Contact { slack: slack.map(str::to_owned), email: None };
    let people = people.iter().map(|(name, slack)| ((*name).to_owned(), contact(slack))).collect();
    let spec = ScheduleSpec {
        time_intervals: vec![TimeInterval::default()],
        holidays: Vec::new(),
        location: "UTC".parse().expect("a zone"),
    };
    let on_call = OnCall { rotations: vec![rotation], overrides: Vec::new(), people };
    Schedule { name: SCHEDULE.to_owned(), spec, on_call: Some(on_call) }
}

/// A world whose second level, after two hours, tells whoever is on call.
fn mk_world(people: &[(&str, Option<&str>)], channel: Option<&str>) -> World {
    let mut world = World::new(vec![]);
    world.schedules.insert(SCHEDULE.to_owned(), mk_schedule(world.now, people));
    if let Some(policy) = &mut world.policy {
        policy.levels[1].after = minutes(90);
        policy.levels[1].on_call = vec![SCHEDULE.to_owned()];
        policy.levels[1].destinations = channel.map(slack).into_iter().collect();
    }
    world.fire("a");
    world.notices();
    world
}

/// Lets the next level come, and says who was called where.
fn calls(world: &mut World) -> Vec<String> {
    world.wake(|wake| *wake == Wake::Escalate);
    let shown = |effect: &Effect| match effect {
        Effect::Notify { destination, notice: Notice::Call { text, users } } => {
            Some(format!("{destination}: {text} {}", users.join(",")))
        }
        _ => None,
    };
    world.effects.iter().filter_map(|effect| shown(&effect.effect)).collect()
}

const BOTH: [(&str, Option<&str>); 2] = [("una", Some("U1")), ("ben", Some("U2"))];

#[test]
fn whoever_is_on_call_when_the_level_is_due_is_called_by_name_in_its_channel() {
    let mut world = mk_world(&BOTH, Some("#leads"));
    assert_eq!(calls(&mut world), ["slack:#leads: lead U2"]);
    assert!(world.notices().contains(&"slack:#leads card".to_owned()));
    let line = world.lines.iter().rev().find(|line| line.reason.as_deref() == Some("level_reached"));
    assert_eq!(line.map(|line| line.text.as_str()), Some("lead is told: slack:#leads (on call: ben)"));
}

#[test]
fn without_a_channel_they_get_a_message_of_their_own() {
    let mut world = mk_world(&BOTH, None);
    assert_eq!(calls(&mut world), ["slack:U2: lead U2"]);
    assert!(world.notices().contains(&"slack:U2 card".to_owned()));
}

#[test]
fn whoever_has_no_slack_gets_a_mail() {
    let mut world = mk_world(&[("una", None), ("ben", None)], Some("#leads"));
    let people = world.schedules.get_mut(SCHEDULE).and_then(|schedule| schedule.on_call.as_mut());
    for (name, contact) in people.into_iter().flat_map(|on_call| &mut on_call.people) {
        contact.email = Some(format!("{name}@example.com"));
    }
    assert_eq!(calls(&mut world), Vec::<String>::new());
    assert!(world.notices().contains(&"email:ben@example.com trigger".to_owned()));
}

#[test]
fn a_level_whose_person_cannot_be_reached_is_skipped_for_the_next() {
    let mut world = mk_world(&[("una", None), ("ben", None)], None);
    assert_eq!(calls(&mut world), Vec::<String>::new());
    // The only level after it is none: the fallback hears at once.
    assert!(world.notices().contains(&"pagerduty:last trigger".to_owned()));
    assert!(world.reasons().contains(&"nobody_on_call"));
}

#[test]
fn a_level_with_a_channel_is_told_even_if_nobody_is_on_call() {
    let mut world = mk_world(&BOTH, Some("#leads"));
    world.schedules.clear();
    assert_eq!(calls(&mut world), Vec::<String>::new());
    assert!(world.notices().contains(&"slack:#leads card".to_owned()));
    assert!(world.reasons().contains(&"nobody_on_call"));
}
