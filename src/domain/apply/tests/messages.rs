//! Messages that keep up to date, and messengers that fail.

use super::world::{World, minutes, pagerduty, person, slack};
use crate::effect::{Effect, Wake};
use crate::event::Event;
use crate::notification::Notice;
use crate::people::Role;

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

/// PagerDuty took a page of the current episode.
fn page_sent(world: &mut World) {
    let notice = Notice::Trigger { note: "on-call".to_owned(), episode: world.incident.episode };
    let destination = pagerduty("shop");
    world.happen(Event::NoticeSent { destination, notice, message: None, shown_version: 0 });
}

fn is_confirm(effect: &Effect) -> bool {
    matches!(effect, Effect::Notify { notice: Notice::Confirm { .. }, .. })
}

#[test]
fn whether_an_urgent_page_stands_is_looked_at_once_an_episode_and_holds_nothing_up() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    page_sent(&mut world);
    page_sent(&mut world);
    let look = world.take_effect(is_confirm);
    assert_eq!((look.due_at, look.lane), (world.now + minutes(3), None));
    assert!(!world.has_effect(is_confirm), "once is enough");

    let mut mild = World::new(Vec::new());
    mild.incident.severity = crate::severity::Severity::P2;
    mild.fire("a");
    page_sent(&mut mild);
    let mut taken = World::new(Vec::new());
    taken.fire("a");
    taken.happen(Event::Acknowledge { actor: person("una", Role::Responder), reason: None });
    page_sent(&mut taken);
    assert!(!mild.has_effect(is_confirm) && !taken.has_effect(is_confirm));
}

#[test]
fn a_page_that_pagerduty_lost_is_told_to_the_next_destination_until_it_stands_there() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    page_sent(&mut world);
    world.notices();
    let (destination, notice) = (pagerduty("shop"), Notice::Confirm { episode: 0 });
    let error = "it has no incident of it; it is sent again".to_owned();
    world.happen(Event::NoticeFailed {
        destination: destination.clone(),
        notice: notice.clone(),
        error,
        given_up: false,
    });
    assert!(world.notices().contains(&"pagerduty:last trigger".to_owned()));
    let said = world.lines.iter().find(|line| line.reason.as_deref() == Some("delayed")).expect("a line");
    assert!(said.text.starts_with("pagerduty:shop lost the page: it has no incident"), "{}", said.text);
    world.happen(Event::NoticeSent {
        destination: destination.clone(),
        notice,
        message: None,
        shown_version: 0,
    });
    let state = world.incident.destination(&destination).expect("it is told");
    assert_eq!((state.replaced, &state.failure), (false, &None));
    // The next level hears at its time all the same.
    world.wake(|wake| *wake == Wake::Escalate);
    assert!(world.notices().contains(&"slack:#leads card".to_owned()));
}
