//! Messages that keep up to date, and messengers that fail.

use super::world::{World, slack};
use crate::effect::Effect;
use crate::event::Event;
use crate::notification::Notice;

fn queue_of(world: &mut World) -> Option<String> {
    let is_card = |effect: &Effect| matches!(effect, Effect::Notify { notice: Notice::Card, .. });
    world.take_effect(is_card).queue
}

#[test]
fn what_keeps_a_card_up_to_date_does_not_wait_behind_a_flood_of_new_ones() {
    let mut world = World::new(vec![]);
    world.fire("a");
    let first = queue_of(&mut world);
    assert_eq!(first.as_deref(), Some("slack:#incidents"));
    world.card_sent(&slack("#incidents"));
    world.notices();
    world.fire("b");
    assert_eq!(queue_of(&mut world).as_deref(), Some("slack:#incidents known"));
}

#[test]
fn a_destination_that_fails_shows_why_until_it_is_reached_again() {
    let mut world = World::new(vec![]);
    world.fire("a");
    let failed = Event::NoticeFailed {
        destination: slack("#incidents"),
        notice: Notice::Card,
        error: "channel_not_found".to_owned(),
        given_up: true,
    };
    world.happen(failed);
    let failure = |world: &World| {
        let state = world.incident.destination(&slack("#incidents")).expect("it is known");
        state.failure.clone()
    };
    assert_eq!(failure(&world).as_deref(), Some("channel_not_found"));
    assert!(world.reasons().contains(&"given_up"));
    world.card_sent(&slack("#incidents"));
    assert_eq!(failure(&world), None);
    let recovered = world.lines.iter().any(|line| line.text == "card reached slack:#incidents");
    assert!(recovered, "the trail says that it works again");
}
