//! People go on by hand, and call the next level.

use super::world::{World, minutes, mk_candidate, mk_plan, mk_remedy, pagerduty, person, slack};
use crate::action::{ActionOutcome, ActionStatus, Repeatability, Task, Tier};
use crate::apply::{Refused, Transition};
use crate::approval::Verdict;
use crate::decision::{Candidate, Reason};
use crate::diagnosis::ConditionOutcome;
use crate::effect::{Effect, Wake};
use crate::event::Event;
use crate::incident::{IncidentStatus, Phase};
use crate::notification::Notice;
use crate::people::Role;
use crate::rule::OnFail;

fn take_over(world: &mut World) -> Transition {
    world.happen(Event::TakeOver { actor: person("una", Role::Responder), reason: None })
}

fn escalate_seen(world: &mut World, seen: Option<String>) -> Result<Transition, Refused> {
    world.try_happen(Event::Escalate { actor: person("una", Role::Responder), seen, reason: None })
}

fn escalate(world: &mut World) -> Vec<String> {
    world.notices();
    escalate_seen(world, None).expect("not refused");
    world.notices()
}

fn with_inverse(name: &str) -> Candidate {
    let inverse = Some(mk_plan("back", Repeatability::Idempotent));
    Candidate { inverse, ..mk_candidate(name, Tier::T1) }
}

/// A remedy that was carried out, and is looked at; the next one would follow it.
fn verifying() -> World {
    let remedies =
        vec![mk_remedy("raise", Tier::T1, Some(OnFail::Rollback)), mk_remedy("next", Tier::T1, None)];
    let mut world = World::decided(vec![with_inverse("raise"), mk_candidate("next", Tier::T1)], remedies);
    world.act(World::applied());
    assert_eq!(world.status(), ActionStatus::Verifying);
    world
}

#[test]
fn what_waits_is_called_off_and_nothing_is_decided_any_more() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T2)], vec![mk_remedy("limit", Tier::T2, None)]);
    take_over(&mut world);
    let action = world.incident.actions.last().expect("an action");
    assert_eq!((action.status, action.reason.word()), (ActionStatus::Cancelled, "taken_over"));
    assert_eq!(
        (world.incident.phase, world.incident.status),
        (Phase::HandedOver, IncidentStatus::Acknowledged)
    );
    assert!(world.wakes(|wake| !matches!(wake, Wake::TaskDue(_) | Wake::Restore(_))).is_empty());
    world.vote(Verdict::Approve, "ben").expect_err("nobody is asked any more");
    world.fire("b");
    world.happen(Event::Decide);
    assert_eq!(world.incident.actions.len(), 1);
    assert!(!world.has_effect(|effect| matches!(effect, Effect::Act { .. })));
}

#[test]
fn evidence_that_arrives_later_is_shown_and_leads_to_nothing() {
    let mut world = World::new(vec![mk_remedy("limit", Tier::T1, None)]);
    world.candidates = vec![mk_candidate("limit", Tier::T1)];
    world.fire("a");
    take_over(&mut world);
    world.diagnosed();
    assert!(world.incident.actions.is_empty());
    assert_eq!(world.incident.phase, Phase::HandedOver);
}

#[test]
fn an_attempt_that_waits_for_its_worker_does_not_start() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T1)], vec![mk_remedy("limit", Tier::T1, None)]);
    let effect = world.take_effect(|effect| matches!(effect, Effect::Act { .. }));
    let Effect::Act { action, step } = effect.effect else { panic!("an attempt") };
    take_over(&mut world);
    let starting = world.happen(Event::ActionStarting { action, step, attempt: 1 });
    assert_eq!(starting.may_start, None);
}

#[test]
fn an_attempt_under_way_comes_to_its_end_and_no_other_follows() {
    for (outcome, status) in [
        (World::applied(), ActionStatus::Succeeded),
        (ActionOutcome::NotApplied { reason: "409".into() }, ActionStatus::Failed),
        (ActionOutcome::Failed { reason: "exit 1".into() }, ActionStatus::Failed),
        (ActionOutcome::Unknown { reason: "cut".into() }, ActionStatus::OutcomeUnknown),
    ] {
        let remedies = vec![mk_remedy("limit", Tier::T1, None), mk_remedy("next", Tier::T1, None)];
        let mut world =
            World::decided(vec![mk_candidate("limit", Tier::T1), mk_candidate("next", Tier::T1)], remedies);
        let (action, step) = world.start_act();
        take_over(&mut world);
        assert_eq!(world.status(), ActionStatus::Running);
        world.happen(Event::ActionEnded { action, step, outcome });
        assert_eq!((world.status(), world.incident.phase), (status, Phase::HandedOver));
        assert!(!world.has_effect(|effect| matches!(effect, Effect::Act { .. } | Effect::Diagnose { .. })));
        world.end_alert("a");
        assert_eq!(world.incident.status, IncidentStatus::Resolved);
    }
}

#[test]
fn whether_it_helped_is_still_looked_at_and_nothing_is_undone() {
    let mut world = verifying();
    take_over(&mut world);
    assert_eq!(world.status(), ActionStatus::Verifying);
    world.checks = vec![ConditionOutcome::Fails];
    while world.status() == ActionStatus::Verifying {
        world.wake(|wake| matches!(wake, Wake::Verify(_)));
        world.diagnosed();
    }
    assert_eq!((world.status(), world.incident.phase), (ActionStatus::Failed, Phase::HandedOver));
    assert!(!world.has_effect(|effect| matches!(effect, Effect::Act { .. } | Effect::Diagnose { .. })));
}

#[test]
fn a_rollback_that_waits_is_called_off_and_says_so() {
    let mut world = verifying();
    world.checks = vec![ConditionOutcome::Fails];
    while world.status() == ActionStatus::Verifying {
        world.wake(|wake| matches!(wake, Wake::Verify(_)));
        world.diagnosed();
    }
    assert_eq!(world.incident.phase, Phase::RollingBack);
    take_over(&mut world);
    let action = world.incident.actions.last().expect("an action");
    assert_eq!((action.status, action.reason.word()), (ActionStatus::Failed, "rollback_failed"));
    assert!(action.reason.to_string().contains("una has taken over"), "{}", action.reason);
}

#[test]
fn what_people_were_asked_to_do_stays_theirs() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T1)], vec![mk_remedy("limit", Tier::T1, None)]);
    let task = Task { title: "look".into(), owner: None, items: Vec::new(), due_at: None, action: None };
    world.act(ActionOutcome::HandedToPeople { task });
    take_over(&mut world);
    assert_eq!(world.status(), ActionStatus::Running);
}

#[test]
fn it_is_taken_over_once_and_a_new_episode_is_the_machines_again() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    take_over(&mut world);
    let again = world.try_happen(Event::TakeOver { actor: person("ben", Role::Responder), reason: None });
    assert_eq!(again, Err(Refused::AlreadyTakenOver("una".into())));
    world.end_alert("a");
    let late = world.try_happen(Event::TakeOver { actor: person("ben", Role::Responder), reason: None });
    assert_eq!(late, Err(Refused::AlreadyResolved));
    world.fire_again("a");
    assert_eq!((world.incident.taken_over.clone(), world.incident.phase), (None, Phase::Diagnosing));
}

#[test]
fn what_was_called_off_may_be_tried_in_a_new_episode() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T2)], vec![mk_remedy("limit", Tier::T2, None)]);
    take_over(&mut world);
    assert_eq!(world.incident.tried_remedies().count(), 0);
    assert_eq!(world.incident.actions[0].reason, Reason::TakenOver("una".into()));
}

#[test]
fn the_next_level_hears_at_once_and_those_above_keep_their_time() {
    let mut world = World::new(Vec::new());
    let started_at = world.now;
    world.fire("a");
    world.now = started_at.checked_add(minutes(2)).expect("in range");
    assert!(escalate(&mut world).contains(&"slack:#leads card".to_owned()));
    assert_eq!(world.incident.status, IncidentStatus::Triggered);
    assert_eq!(world.wakes(|wake| *wake == Wake::Escalate).len(), 1);
}

#[test]
fn whoever_has_it_may_call_the_next_level_which_has_to_acknowledge() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    world.happen(Event::Acknowledge { actor: person("una", Role::Responder), reason: None });
    world.now = world.now.checked_add(minutes(120)).expect("in range");
    let told = escalate(&mut world);
    assert_eq!(told, ["slack:#leads card", "slack:#leads evidence"]);
    assert_eq!(world.incident.status, IncidentStatus::Triggered);
    let next = world.incident.next_escalation_at().expect("it goes on");
    assert_eq!(next.duration_since(world.now), minutes(30), "as after this level at its own time");
    assert_eq!(world.incident.standing().acknowledged_by, Some("una"), "nothing runs alone beside them");
    world.happen(Event::Acknowledge { actor: person("ben", Role::Responder), reason: None });
    assert_eq!(world.incident.next_escalation_at(), None);
}

#[test]
fn a_service_of_pagerdutys_that_somebody_has_is_paged_under_a_new_name() {
    let mut world = World::new(Vec::new());
    let policy = world.policy.as_mut().expect("a policy");
    policy.levels[1].destinations = vec![pagerduty("shop")];
    world.fire("a");
    world.happen(Event::Acknowledge { actor: person("una", Role::Responder), reason: None });
    world.notices();
    escalate_seen(&mut world, None).expect("not refused");
    let said: Vec<Notice> = world
        .effects
        .iter()
        .filter_map(|effect| match &effect.effect {
            Effect::Notify { destination, notice } if *destination == pagerduty("shop") => {
                Some(notice.clone())
            }
            _ => None,
        })
        .collect();
    assert_eq!(said, [Notice::Resolve { episode: 0 }, Notice::Trigger { note: "lead".into(), episode: 1 }]);
}

#[test]
fn of_two_wishes_for_the_same_step_the_second_moves_nothing() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    let seen = Some(world.incident.escalation_mark());
    escalate_seen(&mut world, seen.clone()).expect("the first counts");
    let version = world.incident.version;
    assert_eq!(escalate_seen(&mut world, seen), Err(Refused::AlreadyEscalated));
    assert_eq!(world.incident.version, version);
}

#[test]
fn a_press_that_does_not_count_is_answered_where_it_was_made_and_says_nothing_of_the_channel() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    let channel = slack("#incidents");
    world.card_sent(&channel);
    world.notices();
    let press = |channel: &str| Event::PressRefused {
        channel: channel.to_owned(),
        user: "U1".to_owned(),
        why: "already acknowledged by una".to_owned(),
    };
    world.happen(press("C2"));
    assert!(world.notices().is_empty(), "it was no message of ours");
    world.happen(press("C1"));
    let whisper = world.take_effect(|effect| matches!(effect, Effect::Notify { .. }));
    assert_ne!(whisper.queue.as_deref(), Some("slack:#incidents known"), "it holds nobody up");
    let Effect::Notify { destination, notice } = whisper.effect else { panic!("a notice") };
    let text = "already acknowledged by una".to_owned();
    assert_eq!((&destination, &notice), (&channel, &Notice::Whisper { user: "U1".to_owned(), text }));
    let error = "user_not_in_channel".to_owned();
    world.happen(Event::NoticeFailed { destination, notice, error, given_up: true });
    assert_eq!(world.incident.destination(&channel).expect("it is known").failure, None);
    assert!(world.notices().is_empty());
}

#[test]
fn without_a_policy_the_last_resort_hears() {
    let mut world = World::new(Vec::new());
    world.policy = None;
    world.fire("a");
    assert!(escalate(&mut world).contains(&format!("{} card", slack("#last"))));
}

#[test]
fn viewers_neither_take_over_nor_escalate() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    let actor = person("eve", Role::Viewer);
    for event in [
        Event::TakeOver { actor: actor.clone(), reason: None },
        Event::Escalate { actor: actor.clone(), seen: None, reason: None },
    ] {
        assert!(matches!(world.try_happen(event), Err(Refused::NotAllowed { .. })));
    }
}

#[test]
fn a_form_that_stood_open_over_an_end_does_not_end_what_began_again() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    let una = || person("una", Role::Responder);
    let resolve = |episode| Event::Resolve { actor: una(), episode, reason: None };
    world.end_alert("a");
    assert_eq!(world.incident.status, IncidentStatus::Resolved);
    world.fire("a");
    assert_eq!((world.incident.status, world.incident.episode), (IncidentStatus::Triggered, 1));
    assert_eq!(world.try_happen(resolve(Some(0))), Err(Refused::BeganAgain));
    assert_eq!(world.incident.status, IncidentStatus::Triggered);
    world.try_happen(resolve(Some(1))).expect("this one is meant");
    assert_eq!(world.incident.status, IncidentStatus::Resolved);
}
