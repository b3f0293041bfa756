//! Carrying out, verifying, undoing, handing over.

use super::world::{World, denies, minutes, mk_candidate, mk_plan, mk_remedy, person};
use crate::action::{ActionOutcome, ActionStatus, Repeatability, Request, Step, Task, TaskItem, Tier};
use crate::apply::{StartAs, Transition};
use crate::catalog::Performer;
use crate::decision::Candidate;
use crate::diagnosis::ConditionOutcome;
use crate::effect::{Effect, Wake};
use crate::event::Event;
use crate::guardrail::Guardrail;
use crate::incident::Phase;
use crate::notification::Notice;
use crate::people::Role;
use crate::rule::OnFail;
use crate::timeline::LineKind;
use jiff::SignedDuration;

fn mk_world(on_fail: Option<OnFail>) -> World {
    let mut candidate = mk_candidate("limit", Tier::T1);
    candidate.inverse = Some(mk_plan("unlimit", Repeatability::AtMostOnce));
    World::decided(vec![candidate], vec![mk_remedy("limit", Tier::T1, on_fail)])
}

fn look(world: &mut World, outcome: ConditionOutcome) -> Transition {
    world.wake(|wake| matches!(wake, Wake::Verify(_)));
    world.checks = vec![outcome];
    world.diagnosed()
}

#[test]
fn an_intent_precedes_every_touch_and_an_outcome_follows() {
    let mut world = mk_world(None);
    world.act(World::applied());
    let kinds: Vec<LineKind> = world.lines.iter().map(|line| line.kind).collect();
    let intent = kinds.iter().position(|kind| *kind == LineKind::Intent).expect("an intent");
    let outcome = kinds.iter().position(|kind| *kind == LineKind::Outcome).expect("an outcome");
    assert!(intent < outcome);
    assert_eq!(world.status(), ActionStatus::Succeeded);
    assert_eq!(world.incident.phase, Phase::Watching);
}

#[test]
fn an_interrupted_attempt_is_never_repeated_blindly() {
    let mut world = mk_world(None);
    let effect = world.take_effect(|effect| matches!(effect, Effect::Act { .. }));
    let Effect::Act { action, step } = effect.effect else { panic!("an attempt") };
    let first = world.happen(Event::ActionStarting { action: action.clone(), step, attempt: 1 });
    assert_eq!(first.may_start, Some(StartAs::Act));
    let second = world.happen(Event::ActionStarting { action, step, attempt: 2 });
    assert_eq!(second.may_start, None);
    assert_eq!(world.status(), ActionStatus::OutcomeUnknown);
    assert_eq!(world.incident.phase, Phase::HandedOver);
    assert!(world.notices().iter().any(|notice| notice == "slack:#incidents reply"), "people are called");
}

#[test]
fn an_interrupted_attempt_that_may_be_repeated_is() {
    let mut world = mk_world(None);
    world.incident.actions[0].plan.repeatability = Repeatability::Idempotent;
    let effect = world.take_effect(|effect| matches!(effect, Effect::Act { .. }));
    let Effect::Act { action, step } = effect.effect else { panic!("an attempt") };
    assert_eq!(
        world.happen(Event::ActionStarting { action: action.clone(), step, attempt: 1 }).may_start,
        Some(StartAs::Act)
    );
    assert_eq!(
        world.happen(Event::ActionStarting { action, step, attempt: 2 }).may_start,
        Some(StartAs::Act)
    );
    let intents = world.lines.iter().filter(|line| line.kind == LineKind::Intent).count();
    let outcomes = world.lines.iter().filter(|line| line.kind == LineKind::Outcome).count();
    assert_eq!((intents, outcomes), (2, 1), "the first attempt has its outcome, the second is under way");
}

#[test]
fn a_claim_that_died_before_its_intent_is_just_claimed_again() {
    let mut world = mk_world(None);
    let effect = world.take_effect(|effect| matches!(effect, Effect::Act { .. }));
    let Effect::Act { action, step } = effect.effect else { panic!("an attempt") };
    assert_eq!(
        world.happen(Event::ActionStarting { action, step, attempt: 2 }).may_start,
        Some(StartAs::Act)
    );
}

#[test]
fn nothing_starts_after_pause_freeze_or_the_end() {
    for guardrail in [Guardrail::Pause, Guardrail::FreezeWindow] {
        let mut world = mk_world(None);
        world.last_moment = vec![denies(guardrail, None)];
        let effect = world.take_effect(|effect| matches!(effect, Effect::Act { .. }));
        let Effect::Act { action, step } = effect.effect else { panic!("an attempt") };
        let starting = world.happen(Event::ActionStarting { action, step, attempt: 1 });
        assert_eq!(starting.may_start, None);
        assert_eq!(world.status(), ActionStatus::Blocked);
    }
    let mut world = mk_world(None);
    let effect = world.take_effect(|effect| matches!(effect, Effect::Act { .. }));
    world.end_alert("a");
    let Effect::Act { action, step } = effect.effect else { panic!("an attempt") };
    let starting = world.happen(Event::ActionStarting { action, step, attempt: 1 });
    assert_eq!(starting.may_start, None);
    assert_eq!(world.status(), ActionStatus::Cancelled);
}

#[test]
fn a_decision_that_has_waited_too_long_is_made_anew() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T1)], vec![mk_remedy("limit", Tier::T1, None)]);
    world.now = world.now.checked_add(minutes(6)).expect("in range");
    let effect = world.take_effect(|effect| matches!(effect, Effect::Act { .. }));
    let Effect::Act { action, step } = effect.effect else { panic!("an attempt") };
    let starting = world.happen(Event::ActionStarting { action, step, attempt: 1 });
    assert_eq!((starting.may_start, world.status()), (None, ActionStatus::Cancelled));
    assert!(world.reasons().contains(&"stale"), "{:?}", world.reasons());
    assert_eq!(world.incident.phase, Phase::Diagnosing);
    world.diagnosed();
    let (action, step) = world.start_act();
    assert_eq!((action, step, world.status()), (world.last_action(), Step::Apply, ActionStatus::Running));
}

#[test]
fn people_are_asked_whatever_the_machine_may_not_do() {
    for guardrail in [Guardrail::Pause, Guardrail::FreezeWindow] {
        let by_hand = Candidate {
            performer: Performer::People,
            guardrails: Vec::new(),
            ..mk_candidate("by-hand", Tier::T3)
        };
        let mut world = World::decided(vec![by_hand], vec![mk_remedy("by-hand", Tier::T3, None)]);
        world.last_moment = vec![denies(guardrail, None)];
        let effect = world.take_effect(|effect| matches!(effect, Effect::Act { .. }));
        let Effect::Act { action, step } = effect.effect else { panic!("an attempt") };
        let starting = world.happen(Event::ActionStarting { action, step, attempt: 1 });
        assert_eq!(starting.may_start, Some(StartAs::Act));
    }
}

#[test]
fn a_remedy_that_helps_is_watched_until_its_checks_held() {
    let mut world = mk_world(Some(OnFail::Rollback));
    world.act(World::applied());
    assert_eq!(world.status(), ActionStatus::Verifying);
    look(&mut world, ConditionOutcome::Fails);
    look(&mut world, ConditionOutcome::Holds);
    assert_eq!(world.status(), ActionStatus::Verifying, "it has not held long enough");
    for _ in 0..8 {
        if world.status() != ActionStatus::Verifying {
            break;
        }
        look(&mut world, ConditionOutcome::Holds);
    }
    assert_eq!(world.status(), ActionStatus::Succeeded);
    assert!(world.reasons().contains(&"verified"));
}

#[test]
fn when_a_remedy_was_watched_the_charts_are_shown_again_with_it_marked() {
    let charts = |world: &mut World| {
        let all = world.notices();
        all.into_iter().filter(|notice| notice.ends_with(" charts")).collect::<Vec<_>>()
    };
    for outcome in [ConditionOutcome::Holds, ConditionOutcome::Fails, ConditionOutcome::Unknown("?".into())] {
        for has_chart in [true, false] {
            let mut world = mk_world(Some(OnFail::Rollback));
            world.has_chart = has_chart;
            world.act(World::applied());
            assert_eq!(charts(&mut world), [""; 0]);
            while world.status() == ActionStatus::Verifying {
                look(&mut world, outcome.clone());
            }
            let wanted: &[&str] = if has_chart { &["slack:#incidents charts"] } else { &[] };
            assert_eq!(charts(&mut world), wanted, "{outcome:?}");
        }
    }
}

#[test]
fn unknown_checks_neither_count_as_helped_nor_undo_anything() {
    for on_fail in [OnFail::Escalate, OnFail::Rollback, OnFail::Next] {
        let mut world = mk_world(Some(on_fail));
        world.act(World::applied());
        for _ in 0..200 {
            if world.status() != ActionStatus::Verifying {
                break;
            }
            look(&mut world, ConditionOutcome::Unknown("no answer".to_owned()));
        }
        assert_eq!(world.status(), ActionStatus::Failed, "{on_fail:?}");
        assert_eq!(world.incident.phase, Phase::HandedOver, "{on_fail:?}");
        assert!(world.reasons().contains(&"unproven"), "{on_fail:?}");
    }
}

#[test]
fn a_remedy_that_does_not_help_is_undone_once_and_the_next_is_tried() {
    let mut world = mk_world(Some(OnFail::Rollback));
    world.act(World::applied());
    while world.status() == ActionStatus::Verifying {
        look(&mut world, ConditionOutcome::Fails);
    }
    assert_eq!(world.incident.phase, Phase::RollingBack);
    let mut tried = mk_candidate("limit", Tier::T1);
    tried.tried = true;
    world.candidates = vec![tried, mk_candidate("scale", Tier::T1)];
    world.act(World::applied());
    assert_eq!(world.incident.actions[0].status, ActionStatus::RolledBack);
    world.diagnosed();
    assert_eq!(world.incident.actions[1].remedy, "scale");
    assert_eq!(world.incident.actions.len(), 2);
}

#[test]
fn a_rollback_that_fails_calls_people() {
    let mut world = mk_world(Some(OnFail::Rollback));
    world.act(World::applied());
    while world.status() == ActionStatus::Verifying {
        look(&mut world, ConditionOutcome::Fails);
    }
    world.notices();
    world.act(ActionOutcome::NotApplied { reason: "403".to_owned() });
    assert_eq!(world.status(), ActionStatus::Failed);
    assert_eq!(world.incident.phase, Phase::HandedOver);
    assert!(world.notices().contains(&"pagerduty:shop trigger".to_owned()));
}

#[test]
fn a_remedy_that_cannot_be_carried_out_makes_room_for_the_next() {
    let mut world = mk_world(None);
    let mut tried = mk_candidate("limit", Tier::T1);
    tried.tried = true;
    world.candidates = vec![tried, mk_candidate("scale", Tier::T1)];
    world.act(ActionOutcome::NotApplied { reason: "404".to_owned() });
    world.diagnosed();
    assert_eq!(world.incident.actions[1].remedy, "scale");
}

fn ran_and_failed() -> ActionOutcome {
    ActionOutcome::Failed { reason: "BackoffLimitExceeded: no space left".to_owned() }
}

#[test]
fn a_remedy_that_was_carried_out_and_failed_says_so_and_the_ladder_goes_on() {
    let mut world = mk_world(None);
    world.notices();
    let tried = Candidate { tried: true, ..mk_candidate("limit", Tier::T1) };
    world.candidates = vec![tried, mk_candidate("scale", Tier::T1)];
    world.act(ran_and_failed());
    let action = &world.incident.actions[0];
    assert_eq!((action.status, action.reason.word()), (ActionStatus::Failed, "failed"));
    let words = action.reason.to_string();
    assert_eq!(words, "it was carried out, and failed: BackoffLimitExceeded: no space left");
    let line = world.lines.iter().find(|line| line.kind == LineKind::Outcome).expect("an outcome");
    assert!(line.text.contains(&words) && !line.text.contains("not carried out"), "{}", line.text);
    let told = world.effects.iter().find_map(|effect| match &effect.effect {
        Effect::Notify { notice: Notice::Reply { text, .. }, .. } => Some(text.clone()),
        _ => None,
    });
    assert!(told.is_some_and(|text| text.contains("it failed: BackoffLimitExceeded")), "people hear it");
    world.diagnosed();
    assert_eq!(world.incident.actions[1].remedy, "scale");
}

#[test]
fn what_failed_is_undone_or_left_to_people_as_its_rule_says() {
    let mut world = mk_world(Some(OnFail::Rollback));
    world.act(ran_and_failed());
    assert_eq!((world.status(), world.incident.phase), (ActionStatus::Approved, Phase::RollingBack));
    world.act(World::applied());
    assert_eq!(world.status(), ActionStatus::RolledBack);
    assert!(world.incident.actions[0].reason.to_string().contains("did not help (BackoffLimitExceeded"));
    let mut world = mk_world(Some(OnFail::Escalate));
    world.act(ran_and_failed());
    assert_eq!((world.status(), world.incident.phase), (ActionStatus::Failed, Phase::HandedOver));
    // What was to lead back and failed stands: people are called.
    let mut world = mk_world(Some(OnFail::Rollback));
    world.act(ran_and_failed());
    world.notices();
    world.act(ran_and_failed());
    assert_eq!((world.status(), world.incident.phase), (ActionStatus::Failed, Phase::HandedOver));
    assert!(world.notices().contains(&"pagerduty:shop trigger".to_owned()));
}

#[test]
fn nothing_is_undone_of_an_attempt_that_fails_after_the_end() {
    let mut world = mk_world(Some(OnFail::Rollback));
    let (action, step) = world.start_act();
    world.end_alert("a");
    world.happen(Event::ActionEnded { action, step, outcome: ran_and_failed() });
    assert_eq!(world.status(), ActionStatus::Failed);
    assert!(!world.has_effect(|effect| matches!(effect, Effect::Act { .. })), "nothing more is done");
}

#[test]
fn a_late_answer_of_an_earlier_round_is_ignored() {
    let mut world = World::new(vec![]);
    world.candidates = vec![mk_candidate("limit", Tier::T1)];
    world.fire("a");
    let effect = world.take_effect(|effect| matches!(effect, Effect::Diagnose { .. }));
    let Effect::Diagnose { purpose, .. } = effect.effect else { panic!("a diagnosis") };
    let late = world.happen(Event::DiagnosisDone {
        purpose,
        round: 0,
        findings: vec![],
        surveys: vec![],
        vitals: None,
    });
    assert!(!late.changed);
    assert!(world.incident.actions.is_empty());
}

#[test]
fn telling_goes_on_down_the_ladder() {
    let mut telling = mk_candidate("tell", Tier::T0);
    telling.guardrails.clear();
    let mut world = World::decided(vec![telling, mk_candidate("limit", Tier::T2)], vec![]);
    let mut tried = mk_candidate("tell", Tier::T0);
    tried.tried = true;
    world.candidates[0] = tried;
    let requests =
        vec![Request::Notify { destination: super::world::slack("#extra"), text: "look".to_owned() }];
    world.notices();
    world.act(ActionOutcome::Applied { detail: "told".to_owned(), inverse: None, requests });
    assert_eq!(world.incident.actions[1].status, ActionStatus::AwaitingApproval);
    let notices = world.notices();
    assert!(notices.contains(&"slack:#extra card".to_owned()), "{notices:?}");
    assert!(notices.contains(&"slack:#extra reply".to_owned()), "{notices:?}");
}

#[test]
fn people_carry_out_their_task_and_say_so() {
    let mut candidate = mk_candidate("restore", Tier::T3);
    candidate.performer = Performer::People;
    candidate.guardrails.clear();
    let mut world = World::decided(vec![candidate], vec![mk_remedy("restore", Tier::T3, None)]);
    let item = |text: &str| TaskItem { text: text.to_owned(), done_by: None, done_at: None };
    let due_at = world.now.checked_add(SignedDuration::from_hours(1)).ok();
    let task = Task {
        title: "Restore".to_owned(),
        owner: None,
        items: vec![item("stop writes"), item("restore")],
        due_at,
        action: None,
    };
    world.act(ActionOutcome::HandedToPeople { task });
    assert_eq!(world.status(), ActionStatus::Running);
    let done =
        |item| Event::TaskItemDone { task: 0, item: Some(item), actor: person("una", Role::Responder) };
    world.happen(done(0));
    assert_eq!(world.status(), ActionStatus::Running);
    world.happen(done(1));
    assert_eq!(world.status(), ActionStatus::Succeeded);
    assert!(world.wakes(|wake| matches!(wake, Wake::TaskDue(_))).is_empty());
}

#[test]
fn a_remedy_is_told_to_pagerduty_as_a_change() {
    let mut world = mk_world(None);
    world.notices();
    world.act(World::applied());
    assert!(world.notices().contains(&"pagerduty:shop change".to_owned()));
    assert_eq!(world.incident.actions[0].step, Step::Apply);
}
