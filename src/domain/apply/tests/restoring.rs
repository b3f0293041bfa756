//! Changes for a limited time, and what sets them back.

use super::world::{World, denies, minutes, mk_candidate, mk_plan, mk_remedy};
use crate::action::{ActionId, ActionOutcome, ActionStatus, Repeatability, Task, Tier};
use crate::apply::Transition;
use crate::catalog::Performer;
use crate::decision::Candidate;
use crate::diagnosis::ConditionOutcome;
use crate::effect::{Effect, Wake};
use crate::event::Event;
use crate::guardrail::{Guardrail, StartEnd, StartResult};
use crate::rule::OnFail;
use crate::survey::{Impact, SurveyStanding};
use crate::temporary::{PUT_OFF_MAX, PUT_OFF_WAIT_MAX, RESTORE_RETRY, ROLLBACK_RETRY, TemporaryChange};
use jiff::SignedDuration;

/// A remedy that stands for four hours is carried out.
fn mk_world(on_fail: Option<OnFail>) -> (World, Transition) {
    let mut candidate = mk_candidate("limit", Tier::T1);
    candidate.plan.as_mut().expect("planned").ttl = Some(SignedDuration::from_hours(4));
    candidate.inverse = Some(mk_plan("unlimit", Repeatability::Idempotent));
    let affects = vec!["Deployment/shop/web".to_owned()];
    let impact = Impact { affects, ..Impact::on("HorizontalPodAutoscaler") };
    let at = World::new(Vec::new()).now;
    candidate.survey = SurveyStanding::Done { at, impact, notes: Vec::new() };
    let mut world = World::decided(vec![candidate], vec![mk_remedy("limit", Tier::T1, on_fail)]);
    let applied = world.act(World::applied());
    (world, applied)
}

fn restore_due(world: &mut World) -> Transition {
    world.wake(|wake| matches!(wake, Wake::Restore(_)))
}

fn begun(transition: &Transition) -> usize {
    transition.temporary.iter().filter(|change| matches!(change, TemporaryChange::Begun(_))).count()
}

fn ended(transition: &Transition) -> usize {
    transition.temporary.iter().filter(|change| matches!(change, TemporaryChange::Ended(_))).count()
}

#[test]
fn a_change_for_a_limited_time_is_set_back_even_after_its_incident() {
    let (mut world, applied) = mk_world(None);
    assert_eq!(begun(&applied), 1);
    let until = world.now + SignedDuration::from_hours(4);
    assert_eq!(world.incident.actions[0].temporary_until, Some(until));
    world.end_alert("a");
    assert!(!world.incident.is_open());
    assert_eq!(world.wakes(|wake| matches!(wake, Wake::Restore(_))), [until], "it outlives the incident");
    restore_due(&mut world);
    assert_eq!(world.now, until);
    let restored = world.act(World::applied());
    assert_eq!(ended(&restored), 1);
    let [limit, restore] = &world.incident.actions[..] else { panic!("two actions") };
    assert_eq!((limit.status, limit.temporary_until), (ActionStatus::Succeeded, None));
    assert_eq!((restore.remedy.as_str(), restore.status), ("restore-limit", ActionStatus::Succeeded));
    assert_eq!(restore.plan.summary, "call unlimit");
    assert!(!world.incident.is_open(), "it stays over");
}

#[test]
fn a_pause_or_a_freeze_holds_it_up_and_it_is_tried_again() {
    let (mut world, _) = mk_world(None);
    for guardrail in [Guardrail::Pause, Guardrail::FreezeWindow] {
        restore_due(&mut world);
        world.last_moment = vec![denies(guardrail, None)];
        let effect = world.take_effect(|effect| matches!(effect, Effect::Act { .. }));
        let Effect::Act { action, step } = effect.effect else { panic!("an attempt") };
        let starting = world.happen(Event::ActionStarting { action, step, attempt: 1 });
        assert_eq!(starting.may_start, None);
        let next = world.wakes(|wake| matches!(wake, Wake::Restore(_)));
        assert_eq!(next, [world.now + RESTORE_RETRY]);
        assert!(world.incident.actions[0].temporary_until.is_some(), "it stays on the list");
    }
    assert_eq!(world.incident.actions.len(), 2, "each try is the same action");
    world.last_moment.clear();
    restore_due(&mut world);
    assert_eq!(ended(&world.act(World::applied())), 1);
    assert_eq!(world.incident.actions[1].status, ActionStatus::Succeeded);
}

#[test]
fn it_holds_its_target_while_it_runs_and_uses_up_no_limit() {
    let (mut world, _) = mk_world(None);
    let beside = vec!["Deployment/shop/web".to_owned()];
    assert_eq!(world.incident.actions[0].beside, beside, "it is kept for as long as the change stands");
    for (outcome, is_held_up) in [(not_now(), false), (not_now(), true), (World::applied(), false)] {
        restore_due(&mut world);
        world.last_moment.clear();
        if is_held_up {
            world.last_moment.push(denies(Guardrail::InFlight, None));
        }
        let effect = world.take_effect(|effect| matches!(effect, Effect::Act { .. }));
        let Effect::Act { action, step } = effect.effect else { panic!("an attempt") };
        let starting = world.happen(Event::ActionStarting { action: action.clone(), step, attempt: 1 });
        if is_held_up {
            assert_eq!((starting.may_start, starting.start, starting.ends), (None, None, vec![]));
            assert_eq!(world.wakes(|wake| matches!(wake, Wake::Restore(_))), [world.now + RESTORE_RETRY]);
            continue;
        }
        let start = starting.start.expect("it is counted");
        assert_eq!((start.action, start.end), (Some(action.clone()), None));
        assert_eq!(
            (start.target, start.others),
            (world.incident.actions[1].plan.target.clone(), beside.clone())
        );
        let done = world.happen(Event::ActionEnded { action: action.clone(), step, outcome });
        let end = StartEnd { at: world.now, result: StartResult::NotStarted };
        assert_eq!(done.ends, [(action, end)]);
    }
}

#[test]
fn what_was_rolled_back_is_not_set_back_once_more() {
    let (mut world, _) = mk_world(Some(OnFail::Rollback));
    verification_fails(&mut world);
    let ends = ended(&world.act(World::applied()));
    assert_eq!(world.status(), ActionStatus::RolledBack);
    assert_eq!(ends, 1);
    assert!(world.wakes(|wake| matches!(wake, Wake::Restore(_))).is_empty());
}

#[test]
fn it_waits_while_it_is_still_being_watched() {
    let (mut world, _) = mk_world(Some(OnFail::Rollback));
    restore_due(&mut world);
    assert_eq!(world.incident.actions.len(), 1, "nothing is set back yet");
    assert_eq!(world.wakes(|wake| matches!(wake, Wake::Restore(_))), [world.now + minutes(5)]);
}

#[test]
fn people_are_called_when_it_cannot_be_set_back() {
    let (mut world, _) = mk_world(None);
    restore_due(&mut world);
    world.notices();
    let outcome = ActionOutcome::NotApplied { reason: "somebody changed it".to_owned() };
    let failed = world.act(outcome);
    assert_eq!(ended(&failed), 0, "it stays on the list");
    assert!(world.notices().iter().any(|notice| notice == "slack:#incidents reply"), "people are called");
    assert_eq!(world.incident.actions[1].status, ActionStatus::Failed);
}

fn not_now() -> ActionOutcome {
    ActionOutcome::NotNow { reason: "the API server is busy (429)".to_owned(), wait: None }
}

#[test]
fn what_passes_puts_it_off_and_people_are_called_when_it_does_not() {
    let (mut world, _) = mk_world(None);
    world.notices();
    for _ in 0..PUT_OFF_MAX {
        restore_due(&mut world);
        world.act(not_now());
        assert_eq!(world.wakes(|wake| matches!(wake, Wake::Restore(_))), [world.now + RESTORE_RETRY]);
        assert!(!world.notices().iter().any(|notice| notice.ends_with("reply")), "nobody is called yet");
    }
    assert_eq!(world.incident.actions.len(), 2, "each try is the same action");
    restore_due(&mut world);
    world.act(not_now());
    assert_eq!(world.status(), ActionStatus::Failed);
    assert!(world.notices().iter().any(|notice| notice == "slack:#incidents reply"), "people are called");
    assert!(world.wakes(|wake| matches!(wake, Wake::Restore(_))).is_empty());
}

#[test]
fn what_passed_in_time_is_set_back_without_people() {
    let (mut world, _) = mk_world(None);
    restore_due(&mut world);
    world.act(not_now());
    restore_due(&mut world);
    assert_eq!(ended(&world.act(World::applied())), 1);
    assert_eq!(world.status(), ActionStatus::Succeeded);
}

/// Lets a remedy that is being watched fail its verification.
fn verification_fails(world: &mut World) {
    for _ in 0..100 {
        if world.status() != ActionStatus::Verifying {
            return;
        }
        world.wake(|wake| matches!(wake, Wake::Verify(_)));
        world.checks = vec![ConditionOutcome::Fails];
        world.diagnosed();
    }
    panic!("it is watched for ever");
}

#[test]
fn a_rollback_that_meets_what_passes_is_tried_again() {
    for passes in [true, false] {
        let (mut world, _) = mk_world(Some(OnFail::Rollback));
        verification_fails(&mut world);
        world.notices();
        for _ in 0..PUT_OFF_MAX {
            world.act(not_now());
            assert_eq!(world.status(), ActionStatus::Approved);
            assert!(!world.notices().iter().any(|notice| notice.ends_with("reply")), "nobody is called yet");
        }
        world.act(if passes { World::applied() } else { not_now() });
        let status = if passes { ActionStatus::RolledBack } else { ActionStatus::Failed };
        assert_eq!(world.status(), status);
    }
}

#[test]
fn a_server_that_asks_for_time_is_given_it_within_bounds() {
    let ask = |wait| ActionOutcome::NotNow { reason: "busy".to_owned(), wait: Some(wait) };
    let day = SignedDuration::from_hours(24);
    for (asked, waits) in
        [(SignedDuration::from_secs(1), ROLLBACK_RETRY), (minutes(2), minutes(2)), (day, PUT_OFF_WAIT_MAX)]
    {
        let (mut world, _) = mk_world(Some(OnFail::Rollback));
        verification_fails(&mut world);
        world.act(ask(asked));
        let again = world.take_effect(|effect| matches!(effect, Effect::Act { .. }));
        assert_eq!(again.due_at, world.now + waits, "asked for {asked}");
    }
    for (asked, waits) in [(minutes(1), RESTORE_RETRY), (minutes(7), minutes(7)), (day, PUT_OFF_WAIT_MAX)] {
        let (mut world, _) = mk_world(None);
        restore_due(&mut world);
        world.act(ask(asked));
        assert_eq!(world.wakes(|wake| matches!(wake, Wake::Restore(_))), [world.now + waits]);
    }
}

#[test]
fn fixes_on_one_target_are_set_back_in_reverse_order() {
    // The first did not help and stays; the second was made over it.
    let (mut world, _) = mk_world(Some(OnFail::Next));
    verification_fails(&mut world);
    let mut second = mk_candidate("second", Tier::T1);
    let plan = second.plan.as_mut().expect("planned");
    plan.ttl = Some(SignedDuration::from_hours(4));
    plan.target = world.incident.actions[0].plan.target.clone();
    second.inverse = Some(mk_plan("unsecond", Repeatability::Idempotent));
    world.candidates = vec![second];
    world.diagnosed();
    // The clock of the tests stands still between two wakes.
    world.now += minutes(1);
    world.act(World::applied());
    let until =
        |world: &World, index: usize| world.incident.actions[index].temporary_until.expect("in force");
    assert!(until(&world, 1) > until(&world, 0));
    world.end_alert("a");
    // The older one is due first, and waits.
    let younger = world.incident.actions[1].id.clone();
    let older = world.incident.actions[0].id.clone();
    world.wake(|wake| *wake == Wake::Restore(older.clone()));
    assert_eq!(world.incident.actions.len(), 2, "what lies under another fix is left alone");
    world.wake(|wake| *wake == Wake::Restore(younger.clone()));
    assert_eq!(ended(&world.act(World::applied())), 1);
    assert_eq!(world.wakes(|wake| matches!(wake, Wake::Restore(_))), [world.now], "the older one is next");
    restore_due(&mut world);
    assert_eq!(ended(&world.act(World::applied())), 1);
    let remedies: Vec<&str> =
        world.incident.actions[2..].iter().map(|action| action.remedy.as_str()).collect();
    assert_eq!(remedies, ["restore-second", "restore-limit"]);
}

#[test]
fn a_fix_that_only_people_can_take_away_holds_up_none_below() {
    let (mut world, _) = mk_world(None);
    let mut above = world.incident.actions[0].clone();
    above.id = ActionId("i1-a2".to_owned());
    above.started_at = Some(world.now + minutes(1));
    let mut failed = above.clone();
    failed.id = ActionId("i1-a3".to_owned());
    failed.restores = Some(above.id.clone());
    failed.temporary_until = None;
    failed.status = ActionStatus::Failed;
    world.incident.actions.extend([above, failed]);
    restore_due(&mut world);
    assert_eq!(world.incident.actions.last().map(|last| last.remedy.as_str()), Some("restore-limit"));
}

#[test]
fn a_remedy_is_decided_while_something_is_set_back() {
    let (mut world, _) = mk_world(None);
    restore_due(&mut world);
    assert!(world.incident.current_action().is_none(), "what is set back holds no remedy up");
}

#[test]
fn what_people_were_asked_to_do_does_not_hold_it_up() {
    let (mut world, _) = mk_world(None);
    // The alert still fires, and the next remedy is a task for people, which may take them days.
    let mut by_hand = mk_candidate("by-hand", Tier::T3);
    by_hand.performer = Performer::People;
    by_hand.guardrails.clear();
    let tried = Candidate { tried: true, ..mk_candidate("limit", Tier::T1) };
    world.candidates = vec![tried, by_hand];
    world.happen(Event::Decide);
    let task = Task { title: "Mend".to_owned(), owner: None, items: vec![], due_at: None, action: None };
    world.act(ActionOutcome::HandedToPeople { task });
    assert_eq!(world.status(), ActionStatus::Running, "people are at it");
    restore_due(&mut world);
    let restore = world.incident.actions.last().expect("an action");
    assert_eq!((restore.remedy.as_str(), restore.status), ("restore-limit", ActionStatus::Approved));
    assert_eq!(ended(&world.act(World::applied())), 1);
    // A machine's own attempt does.
    let (mut world, _) = mk_world(None);
    world.candidates = vec![mk_candidate("second", Tier::T1)];
    world.happen(Event::Decide);
    world.start_act();
    restore_due(&mut world);
    assert_eq!(world.incident.actions.last().map(|action| action.remedy.as_str()), Some("second"));
    assert_eq!(world.wakes(|wake| matches!(wake, Wake::Restore(_))), [world.now + RESTORE_RETRY]);
}

#[test]
fn what_somebody_has_set_back_is_over_and_says_so() {
    let (mut world, _) = mk_world(None);
    restore_due(&mut world);
    let over = world.act(ActionOutcome::AlreadySo { detail: "replicas 4".to_owned() });
    assert_eq!(ended(&over), 1);
    let restore = &world.incident.actions[1];
    assert_eq!((restore.status, restore.reason.word()), (ActionStatus::Succeeded, "set_back"));
    assert_eq!(restore.reason.to_string(), "somebody has set it back: replicas 4");
}

#[test]
fn a_look_that_finds_it_set_back_takes_it_off_the_list() {
    let (mut world, _) = mk_world(None);
    let found =
        || Event::FoundSetBack { action: ActionId("i1-a1".to_owned()), detail: "replicas 4".to_owned() };
    assert_eq!(ended(&world.happen(found())), 1);
    assert!(world.reasons().contains(&"set_back"));
    assert!(world.wakes(|wake| matches!(wake, Wake::Restore(_))).is_empty(), "nothing is left to do");
    assert!(!world.happen(found()).changed, "once is enough");
    // What is being set back right now ends by itself.
    let (mut world, _) = mk_world(None);
    restore_due(&mut world);
    assert!(!world.happen(found()).changed);
    assert_eq!(ended(&world.act(World::applied())), 1);
}
