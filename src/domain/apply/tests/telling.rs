//! Escalation as time passes, and messages that do not arrive.

use super::world::{World, minutes, pagerduty, person, slack};
use crate::apply::{Told, Transition};
use crate::effect::{Effect, Wake};
use crate::event::Event;
use crate::incident::IncidentStatus;
use crate::notification::{Destination, Notice};
use crate::people::Role;
use crate::severity::Severity;
use jiff::SignedDuration;

fn escalate(world: &mut World) -> Vec<String> {
    world.notices();
    world.wake(|wake| *wake == Wake::Escalate);
    world.notices()
}

#[test]
fn levels_are_reached_at_their_minute_counted_from_the_start() {
    let mut world = World::new(vec![]);
    let started_at = world.now;
    world.fire("a");
    let told = escalate(&mut world);
    assert_eq!(world.now.duration_since(started_at), minutes(15));
    assert!(told.contains(&"slack:#leads card".to_owned()), "{told:?}");
}

#[test]
fn after_the_last_level_everybody_hears_again_and_then_the_fallback_for_ever() {
    let mut world = World::new(vec![]);
    world.fire("a");
    escalate(&mut world);
    let repeat = escalate(&mut world);
    assert!(repeat.contains(&"pagerduty:shop trigger".to_owned()), "{repeat:?}");
    assert!(repeat.contains(&"slack:#leads reply".to_owned()), "{repeat:?}");
    for _ in 0..5 {
        let told = escalate(&mut world);
        assert!(told.contains(&"pagerduty:last trigger".to_owned()), "{told:?}");
    }
    assert_eq!(world.wakes(|wake| *wake == Wake::Escalate).len(), 1, "an urgent incident is never forgotten");
}

#[test]
fn whom_the_escalation_tells_is_what_it_says() {
    let mut world = World::new(vec![]);
    let opened = world.fire("a");
    let wake = world.take_effect(|effect| matches!(effect, Effect::Wake(Wake::Escalate)));
    let due = world.happen(Event::Woken { effect: wake.id, wake: Wake::Escalate });
    let told = |transition: &Transition| -> Vec<String> {
        let shown = |told: &Told| {
            let whom: Vec<String> = told.destinations.iter().map(ToString::to_string).collect();
            format!("{}: {}", told.name, whom.join(", "))
        };
        transition.told.iter().map(shown).collect()
    };
    assert_eq!(told(&opened), ["on-call: pagerduty:shop, slack:#incidents"]);
    assert_eq!(told(&due), ["lead: slack:#leads"]);
}

#[test]
fn where_messages_are_not_edited_each_thing_that_happens_is_told() {
    let mut world = World::new(vec![]);
    let kinds = [
        Destination::Webhook { name: "room".to_owned() },
        Destination::Email { to: "ops@example.com".to_owned() },
        Destination::Teams { channel: "ops".to_owned() },
    ];
    if let Some(policy) = &mut world.policy {
        policy.levels[0].destinations = kinds.to_vec();
    }
    let told = |world: &mut World, word: &str| {
        let notices = world.notices();
        for kind in &kinds {
            assert!(notices.contains(&format!("{kind} {word}")), "{word}: {notices:?}");
        }
    };
    world.fire("a");
    told(&mut world, "trigger");
    let una = person("una", Role::Responder);
    world.happen(Event::Acknowledge { actor: una.clone(), reason: None });
    told(&mut world, "acknowledge");
    world.happen(Event::Resolve { actor: una, episode: None, reason: None });
    told(&mut world, "resolve");
}

#[test]
fn without_a_policy_the_default_destinations_are_told() {
    let mut world = World::new(vec![]);
    world.policy = None;
    let opened = world.fire("a");
    assert_eq!(opened.told.len(), 1);
    assert_eq!(opened.told[0].destinations, [slack("#default")]);
    assert_eq!(world.notices(), ["slack:#default card"]);
}

#[test]
fn a_mild_incident_is_left_alone_after_the_fallback() {
    let mut world = World::new(vec![]);
    world.incident.severity = Severity::P3;
    world.fire("a");
    escalate(&mut world);
    escalate(&mut world);
    escalate(&mut world);
    assert!(world.wakes(|wake| *wake == Wake::Escalate).is_empty());
}

#[test]
fn nothing_escalates_after_an_acknowledgement() {
    let mut world = World::new(vec![]);
    world.fire("a");
    let stale = world.take_effect(|effect| matches!(effect, Effect::Wake(Wake::Escalate)));
    world.effects.push(stale.clone());
    world.notices();
    world.happen(Event::Acknowledge { actor: person("una", Role::Responder), reason: None });
    assert_eq!(world.incident.status, IncidentStatus::Acknowledged);
    assert!(world.notices().contains(&"pagerduty:shop acknowledge".to_owned()));
    assert!(world.wakes(|wake| *wake == Wake::Escalate).is_empty(), "the timer is cancelled");
    // A worker may have claimed the timer just before: it must find nothing to do.
    let woken = world.happen(Event::Woken { effect: stale.id, wake: Wake::Escalate });
    assert!(woken.effects.is_empty());
}

#[test]
fn a_level_that_does_not_answer_is_told_again_within_its_time() {
    let mut world = World::new(vec![]);
    if let Some(policy) = &mut world.policy {
        policy.acknowledge_within = Some(minutes(5));
    }
    let started_at = world.now;
    world.fire("a");
    let told = escalate(&mut world);
    assert_eq!(world.now.duration_since(started_at), minutes(5));
    assert!(told.contains(&"pagerduty:shop trigger".to_owned()), "{told:?}");
    escalate(&mut world);
    escalate(&mut world);
    assert_eq!(world.now.duration_since(started_at), minutes(15));
    assert!(world.incident.escalation.as_ref().is_some_and(|state| state.reached == Some(1)));
}

#[test]
fn reminders_of_the_last_level_do_not_put_off_what_follows() {
    let mut world = World::new(vec![]);
    if let Some(policy) = &mut world.policy {
        policy.acknowledge_within = Some(minutes(5));
    }
    let started_at = world.now;
    world.fire("a");
    // The lead after 15 minutes, again at 20, 25 and 30, and everybody 30 minutes after the lead.
    let mut at = Vec::new();
    for _ in 0..7 {
        escalate(&mut world);
        at.push(world.now.duration_since(started_at).as_mins());
    }
    assert_eq!(at, [5, 10, 15, 20, 25, 30, 45]);
    assert!(world.reasons().contains(&"repeated"));
}

#[test]
fn a_level_off_hours_is_skipped_at_once() {
    let mut world = World::new(vec![]);
    // A year long gone: never active now.
    let spec = serde_json::json!({ "timeIntervals": [{ "years": ["2001"] }] });
    let spec = serde_json::from_value(spec).expect("a schedule");
    let never = crate::schedule::Schedule { name: "never".to_owned(), spec, on_call: None };
    world.schedules.insert("never".to_owned(), never);
    if let Some(policy) = &mut world.policy {
        let mut manager = policy.levels[1].clone();
        manager.name = "manager".to_owned();
        manager.after = minutes(60);
        manager.destinations = vec![slack("#managers")];
        policy.levels[1].hours = Some("never".to_owned());
        policy.levels.push(manager);
    }
    let started_at = world.now;
    world.fire("a");
    let told = escalate(&mut world);
    assert_eq!(world.now.duration_since(started_at), minutes(15), "it does not wait for its own hour");
    assert!(told.contains(&"slack:#managers card".to_owned()), "{told:?}");
    assert!(world.reasons().contains(&"off_hours"));
}

#[test]
fn without_a_policy_the_default_destinations_hear() {
    let mut world = World::new(vec![]);
    world.policy = None;
    world.fire("a");
    assert_eq!(world.notices(), ["slack:#default card"]);
}

#[test]
fn edits_that_wait_are_one_message() {
    let mut world = World::new(vec![]);
    world.fire("a");
    world.fire("b");
    world.fire("c");
    let cards = world.notices().into_iter().filter(|notice| notice == "slack:#incidents card").count();
    assert_eq!(cards, 1);
    world.card_sent(&slack("#incidents"));
    assert!(world.notices().is_empty(), "the card showed the newest state");
    world.fire("d");
    assert_eq!(world.notices(), ["slack:#incidents card"]);
}

#[test]
fn a_card_that_showed_an_old_state_is_followed_by_another() {
    let mut world = World::new(vec![]);
    world.fire("a");
    world.notices();
    let shown_version = world.incident.visible_version;
    world.fire("b");
    world.happen(Event::NoticeSent {
        destination: slack("#incidents"),
        notice: Notice::Card,
        message: None,
        shown_version,
    });
    assert_eq!(world.notices(), ["slack:#incidents card"]);
}

#[test]
fn a_messenger_that_fails_hands_the_notice_to_the_next_destination() {
    let mut world = World::new(vec![]);
    world.fire("a");
    world.notices();
    let fail = |world: &mut World, destination| {
        world.happen(Event::NoticeFailed {
            destination,
            notice: Notice::Card,
            error: "channel_not_found".to_owned(),
            given_up: true,
        });
        world.notices()
    };
    let told = fail(&mut world, slack("#incidents"));
    assert!(told.contains(&"pagerduty:last trigger".to_owned()), "{told:?}");
    let told = fail(&mut world, pagerduty("last"));
    assert!(told.contains(&"slack:#last card".to_owned()), "{told:?}");
    fail(&mut world, slack("#last"));
    assert!(world.reasons().contains(&"unreachable"));
}

#[test]
fn a_slow_messenger_is_replaced_once() {
    let mut world = World::new(vec![]);
    world.fire("a");
    world.notices();
    let slow = Event::NoticeFailed {
        destination: slack("#incidents"),
        notice: Notice::Card,
        error: "503".to_owned(),
        given_up: false,
    };
    world.happen(slow.clone());
    assert!(world.notices().contains(&"pagerduty:last trigger".to_owned()));
    world.now = world.now.checked_add(SignedDuration::from_secs(60)).expect("in range");
    world.happen(slow);
    assert!(!world.notices().iter().any(|notice| notice.contains("trigger")));
}

fn mk_failure(destination: &Destination, notice: Notice) -> Event {
    let error = "channel_not_found".to_owned();
    Event::NoticeFailed { destination: destination.clone(), notice, error, given_up: true }
}

#[test]
fn nobody_else_is_told_when_a_message_fails_after_an_acknowledgement() {
    let mut world = World::new(vec![]);
    world.fire("a");
    world.happen(Event::Acknowledge { actor: person("una", Role::Responder), reason: None });
    world.notices();
    world.happen(mk_failure(&slack("#incidents"), Notice::Card));
    assert!(!world.reasons().contains(&"rerouted"), "una has it: {:?}", world.reasons());
    assert_eq!(world.notices(), [""; 0]);
}

#[test]
fn an_edit_that_fails_sends_nobody_else_the_message_that_stands() {
    let mut world = World::new(vec![]);
    world.fire("a");
    world.card_sent(&slack("#incidents"));
    world.happen(mk_failure(&slack("#incidents"), Notice::Card));
    assert!(!world.reasons().contains(&"rerouted"), "{:?}", world.reasons());
}

#[test]
fn a_page_of_an_episode_that_is_over_is_not_told_to_others() {
    let mut world = World::new(vec![]);
    world.fire("a");
    world.end_alert("a");
    world.fire_again("a");
    world.happen(mk_failure(&pagerduty("shop"), Notice::Trigger { note: "on-call".to_owned(), episode: 0 }));
    assert!(!world.reasons().contains(&"rerouted"), "{:?}", world.reasons());
}

#[test]
fn a_page_that_fails_after_an_edit_failed_is_told_elsewhere() {
    let mut world = World::new(vec![]);
    world.fire("a");
    world.card_sent(&slack("#incidents"));
    world.happen(mk_failure(&slack("#incidents"), Notice::Card));
    world.notices();
    let page = Notice::Reply { text: "Not acknowledged yet".to_owned(), page: true };
    world.happen(mk_failure(&slack("#incidents"), page.clone()));
    let told = world.notices();
    assert!(told.contains(&"pagerduty:last trigger".to_owned()), "{told:?}");
    world.happen(mk_failure(&slack("#incidents"), page));
    assert!(!world.notices().contains(&"slack:#last card".to_owned()), "it is replaced already");
}

#[test]
fn a_page_does_not_wait_behind_an_edit() {
    let mut world = World::new(vec![]);
    world.fire("a");
    world.card_sent(&slack("#incidents"));
    world.notices();
    world.wake(|wake| *wake == Wake::Escalate);
    world.wake(|wake| *wake == Wake::Escalate);
    let lanes: Vec<(Option<String>, &'static str)> = world
        .effects
        .iter()
        .filter_map(|effect| match &effect.effect {
            Effect::Notify { destination, notice } if *destination == slack("#incidents") => {
                Some((effect.lane.clone(), notice.kind()))
            }
            _ => None,
        })
        .collect();
    let lane_of = |kind: &str| lanes.iter().find(|(_, of)| *of == kind).map(|(lane, _)| lane.clone());
    assert!(lane_of("reply").is_some() && lane_of("card").is_some(), "{lanes:?}");
    assert_ne!(lane_of("reply"), lane_of("card"));
}

#[test]
fn a_destination_does_not_stand_in_for_itself() {
    let mut world = World::new(vec![]);
    world.fire("a");
    world.happen(mk_failure(&slack("#incidents"), Notice::Card));
    world.end_alert("a");
    world.fire_again("a");
    world.notices();
    world.happen(mk_failure(&pagerduty("last"), Notice::Trigger { note: "x".to_owned(), episode: 1 }));
    let told = world.notices();
    assert!(told.contains(&"slack:#last card".to_owned()), "{told:?}");
}

#[test]
fn a_new_episode_finds_another_destination_for_what_fails_again() {
    let mut world = World::new(vec![]);
    world.fire("a");
    world.happen(mk_failure(&slack("#incidents"), Notice::Card));
    world.end_alert("a");
    world.fire_again("a");
    world.notices();
    world.happen(mk_failure(&slack("#incidents"), Notice::Card));
    let told = world.notices();
    assert!(told.contains(&"pagerduty:last trigger".to_owned()), "told in this episode as well: {told:?}");
}

#[test]
fn evidence_of_many_lines_is_shown_at_length_below_the_card() {
    let mut world = World::new(vec![]);
    world.fire("a");
    world.notices();
    world.diagnosed_with("0.12");
    assert!(
        !world.notices().contains(&"slack:#incidents evidence".to_owned()),
        "one line has room on the card"
    );
    let mut world = World::new(vec![]);
    world.fire("a");
    world.notices();
    world.diagnosed_with("12:00 ERROR\n12:01 ERROR");
    let told = world.notices();
    assert!(told.contains(&"slack:#incidents evidence".to_owned()), "{told:?}");
    let told = escalate(&mut world);
    assert!(told.contains(&"slack:#leads evidence".to_owned()), "who joins later sees it as well: {told:?}");
}

#[test]
fn a_page_speaks_of_its_own_episode_even_when_it_is_sent_later() {
    let mut world = World::new(vec![]);
    world.fire("a");
    world.end_alert("a");
    world.now = world.now.checked_add(minutes(5)).expect("in range");
    world.fire_again("a");
    let episodes: Vec<(&str, u32)> = world
        .effects
        .iter()
        .filter_map(|effect| match &effect.effect {
            Effect::Notify { notice: Notice::Trigger { episode, .. }, .. } => Some(("trigger", *episode)),
            Effect::Notify { notice: Notice::Resolve { episode }, .. } => Some(("resolve", *episode)),
            _ => None,
        })
        .collect();
    assert_eq!(episodes, [("trigger", 0), ("resolve", 0), ("trigger", 1)]);
}

/// The world of the other tests with a third level at half an hour.
fn mk_three_levels() -> World {
    let mut world = World::new(vec![]);
    if let Some(policy) = &mut world.policy {
        let mut third = policy.levels[1].clone();
        third.name = "head".to_owned();
        third.after = minutes(30);
        third.destinations = vec![slack("#heads")];
        policy.levels.push(third);
    }
    world
}

#[test]
fn a_clock_that_is_set_back_does_not_move_the_later_levels_away() {
    let mut world = mk_three_levels();
    world.fire("a");
    let timer = world.take_effect(|effect| matches!(effect, Effect::Wake(Wake::Escalate)));
    world.notices();
    // The timer moves with the clock, and comes due a quarter of an hour after the incident's real start.
    let set_back_by = SignedDuration::from_hours(24);
    world.now = timer.due_at.checked_sub(set_back_by).expect("in range");
    world.happen(Event::Woken { effect: timer.id, wake: Wake::Escalate });
    assert!(world.notices().contains(&"slack:#leads card".to_owned()));
    assert!(world.reasons().contains(&"clock_set_back"));
    let second_at = world.now;
    let told = escalate(&mut world);
    assert!(told.contains(&"slack:#heads card".to_owned()), "{told:?}");
    assert_eq!(world.now.duration_since(second_at), minutes(15), "the levels keep their distance");
    assert_eq!(world.reasons().iter().filter(|reason| **reason == "clock_set_back").count(), 1);
}

#[test]
fn a_clock_that_is_set_forward_skips_no_level_and_tells_each_once() {
    let mut world = mk_three_levels();
    world.fire("a");
    world.notices();
    world.now = world.now.checked_add(SignedDuration::from_hours(24)).expect("in range");
    let mut told = Vec::new();
    for _ in 0..2 {
        let now = world.now;
        told.extend(escalate(&mut world));
        assert_eq!(world.now, now, "what is overdue is due at once");
    }
    for level in ["slack:#leads card", "slack:#heads card"] {
        assert_eq!(told.iter().filter(|notice| *notice == level).count(), 1, "{level}: {told:?}");
    }
    assert!(world.wakes(|wake| *wake == Wake::Escalate)[0] > world.now, "then it waits again");
}

#[test]
fn a_timer_of_an_earlier_episode_that_a_worker_still_holds_wakes_nobody() {
    let mut world = World::new(vec![]);
    world.fire("a");
    let stale = world.take_effect(|effect| matches!(effect, Effect::Wake(Wake::Escalate)));
    world.effects.push(stale.clone());
    world.end_alert("a");
    assert_eq!(world.incident.status, IncidentStatus::Resolved);
    world.now = world.now.checked_add(minutes(1)).expect("in range");
    world.fire_again("a");
    assert_eq!(world.incident.status, IncidentStatus::Triggered, "a new episode of the same incident");
    world.notices();
    let woken = world.happen(Event::Woken { effect: stale.id, wake: Wake::Escalate });
    assert!(woken.effects.is_empty() && woken.lines.is_empty(), "{woken:#?}");
    assert_eq!(world.wakes(|wake| *wake == Wake::Escalate).len(), 1, "the new one stands");
}

#[test]
fn a_timer_that_was_not_cancelled_wakes_nobody_after_an_acknowledgement() {
    let mut world = World::new(vec![]);
    world.fire("a");
    world.notices();
    let timer = world.take_effect(|effect| matches!(effect, Effect::Wake(Wake::Escalate)));
    // As a version with a defect might have left it.
    world.incident.status = IncidentStatus::Acknowledged;
    let woken = world.happen(Event::Woken { effect: timer.id, wake: Wake::Escalate });
    assert!(woken.effects.is_empty() && world.notices().is_empty(), "{woken:#?}");
}
