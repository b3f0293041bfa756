//! Which remedy, and who has a say.

use super::world::{World, allows, denies, minutes, mk_candidate, mk_plan, mk_remedy, person};
use crate::action::{ActionStatus, PlanDigest, Repeatability, Tier};
use crate::apply::Refused;
use crate::approval::{ApprovalRefused, Ballot, Verdict};
use crate::decision::{Candidate, Reason};
use crate::diagnosis::ConditionOutcome;
use crate::effect::{Effect, Wake};
use crate::event::Event;
use crate::guardrail::Guardrail;
use crate::incident::Phase;
use crate::people::Role;
use crate::rule::Condition;

fn acts(world: &World) -> bool {
    world.has_effect(|effect| matches!(effect, Effect::Act { .. }))
}

#[test]
fn t1_runs_alone_and_counts_against_the_limits() {
    let mut world = World::new(vec![mk_remedy("limit", Tier::T1, None)]);
    world.candidates = vec![mk_candidate("limit", Tier::T1)];
    world.fire("a");
    let decided = world.diagnosed();
    assert!(decided.start.is_some());
    assert!(acts(&world));
    assert_eq!(world.status(), ActionStatus::Approved);
}

#[test]
fn the_first_remedy_that_applies_is_taken() {
    let mut first = mk_candidate("first", Tier::T1);
    first.condition = ConditionOutcome::Fails;
    let mut second = mk_candidate("second", Tier::T1);
    second.condition = ConditionOutcome::Unknown("no answer".to_owned());
    let mut unequipped = mk_candidate("unequipped", Tier::T1);
    unequipped.condition = ConditionOutcome::Unknown("no answer".to_owned());
    unequipped.not_set_up = Some("there is no endpoint `waf` in the settings".to_owned());
    let world = World::decided(
        vec![first, second, unequipped, mk_candidate("third", Tier::T1), mk_candidate("fourth", Tier::T1)],
        vec![],
    );
    assert_eq!(world.incident.actions.len(), 1);
    assert_eq!(world.incident.actions[0].remedy, "third");
    assert!(world.reasons().contains(&"not_set_up"));
    assert!(world.reasons().contains(&"condition_fails"));
    assert!(world.reasons().contains(&"condition_unknown"));
}

#[test]
fn a_blocked_remedy_stops_the_ladder() {
    let mut first = mk_candidate("first", Tier::T1);
    first.guardrails = vec![denies(Guardrail::RateTarget, None)];
    let world = World::decided(vec![first, mk_candidate("second", Tier::T1)], vec![]);
    assert_eq!(world.status(), ActionStatus::Blocked);
    assert_eq!(world.incident.phase, Phase::HandedOver);
    assert!(!acts(&world));
}

#[test]
fn the_trail_holds_every_verdict_on_what_was_chosen() {
    let mut first = mk_candidate("first", Tier::T1);
    first.guardrails = vec![allows(), denies(Guardrail::RateTarget, None)];
    let world = World::decided(vec![first], vec![]);
    let line = world.lines.iter().find(|line| line.reason.as_deref() == Some("guardrails")).expect("a line");
    assert_eq!(line.text, "first: pause: not paused; rate_target forbids it: no");
}

#[test]
fn a_blocked_remedy_is_judged_again_when_the_guardrail_would_let_it_pass() {
    let mut world = World::new(vec![mk_remedy("limit", Tier::T1, None)]);
    let until = world.now.checked_add(minutes(15)).expect("in range");
    let mut candidate = mk_candidate("limit", Tier::T1);
    candidate.guardrails = vec![denies(Guardrail::Cooldown, Some(until))];
    world.candidates = vec![candidate];
    world.fire("a");
    world.diagnosed();
    assert_eq!(world.wakes(|wake| *wake == Wake::Decide), [until]);
    world.candidates = vec![mk_candidate("limit", Tier::T1)];
    world.wake(|wake| *wake == Wake::Decide);
    world.diagnosed();
    assert_eq!(world.status(), ActionStatus::Approved);
}

#[test]
fn looks_at_what_nobody_knows_the_end_of_grow_apart_and_end() {
    let mut world = World::new(vec![mk_remedy("limit", Tier::T1, None)]);
    let began = world.now;
    let candidate = |world: &World| {
        let until = world.now.checked_add(minutes(2)).expect("in range");
        let guardrails = vec![denies(Guardrail::Rollout, Some(until))];
        vec![Candidate { guardrails, ..mk_candidate("limit", Tier::T1) }]
    };
    world.candidates = candidate(&world);
    world.fire("a");
    world.diagnosed();
    let mut waits = Vec::new();
    while let [due] = world.wakes(|wake| *wake == Wake::Decide)[..] {
        waits.push(due.duration_since(world.now).as_mins());
        world.now = due;
        world.candidates = candidate(&world);
        world.wake(|wake| *wake == Wake::Decide);
        world.diagnosed();
    }
    assert_eq!(waits, [2, 2, 2, 2, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60, 60]);
    assert!(world.now.duration_since(began) > minutes(8 * 60));
    assert_eq!(world.reasons().iter().filter(|reason| **reason == "judged_enough").count(), 1);
    assert_eq!(world.incident.phase, Phase::HandedOver);
}

#[test]
fn it_is_judged_again_when_all_that_denies_would_let_pass() {
    let wakes = |verdicts: &[(Guardrail, Option<i64>)]| {
        let mut world = World::new(vec![mk_remedy("limit", Tier::T1, None)]);
        let now = world.now;
        let verdict = |(guardrail, until): &(Guardrail, Option<i64>)| {
            denies(*guardrail, until.map(|until| now.checked_add(minutes(until)).expect("in range")))
        };
        let guardrails = verdicts.iter().map(verdict).collect();
        world.candidates = vec![Candidate { guardrails, ..mk_candidate("limit", Tier::T1) }];
        world.fire("a");
        world.diagnosed();
        let wakes = world.wakes(|wake| *wake == Wake::Decide).into_iter();
        wakes.map(|at| at.duration_since(now).as_mins()).collect::<Vec<_>>()
    };
    assert_eq!(wakes(&[(Guardrail::Rollout, Some(2)), (Guardrail::RateTarget, Some(15))]), [15]);
    assert_eq!(wakes(&[(Guardrail::RateTarget, Some(1))]), [1]);
    // What only a person lifts is not waited for.
    let for_people = [
        Guardrail::Pause,
        Guardrail::AllowList,
        Guardrail::OwnWorkload,
        Guardrail::BlastRadius,
        Guardrail::Acknowledged,
    ];
    for guardrail in for_people {
        assert_eq!(wakes(&[(Guardrail::Rollout, Some(2)), (guardrail, None)]), Vec::<i64>::new());
    }
}

#[test]
fn a_freeze_that_begins_at_the_last_moment_is_waited_for() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T1)], vec![mk_remedy("limit", Tier::T1, None)]);
    let until = world.now.checked_add(minutes(30)).expect("in range");
    world.last_moment = vec![denies(Guardrail::FreezeWindow, Some(until))];
    let effect = world.take_effect(|effect| matches!(effect, Effect::Act { .. }));
    let Effect::Act { action, step } = effect.effect else { panic!("an attempt") };
    world.happen(Event::ActionStarting { action, step, attempt: 1 });
    assert_eq!((world.status(), world.incident.phase), (ActionStatus::Blocked, Phase::HandedOver));
    assert_eq!(world.wakes(|wake| *wake == Wake::Decide), [until]);
}

#[test]
fn what_the_guardrails_forbid_at_the_click_is_asked_for_anew_when_they_let_it_pass() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T2)], vec![mk_remedy("limit", Tier::T2, None)]);
    let until = world.now.checked_add(minutes(15)).expect("in range");
    world.candidates[0].guardrails = vec![denies(Guardrail::RateTarget, Some(until))];
    world.vote(Verdict::Approve, "una").expect("counts");
    assert_eq!(world.status(), ActionStatus::Blocked);
    assert_eq!(world.wakes(|wake| *wake == Wake::Decide), [until]);
    world.now = until;
    world.candidates = vec![mk_candidate("limit", Tier::T2)];
    world.wake(|wake| *wake == Wake::Decide);
    world.diagnosed();
    assert_eq!(world.status(), ActionStatus::AwaitingApproval);
}

#[test]
fn no_verdict_at_all_means_no_action() {
    let mut candidate = mk_candidate("limit", Tier::T1);
    candidate.guardrails.clear();
    let world = World::decided(vec![candidate], vec![]);
    assert!(!acts(&world));
    assert_eq!(world.status(), ActionStatus::Blocked);
}

#[test]
fn dry_run_records_and_touches_nothing() {
    let mut candidate = mk_candidate("limit", Tier::T2);
    candidate.guardrails = vec![allows(), denies(Guardrail::DryRun, None)];
    let world = World::decided(vec![candidate], vec![]);
    assert_eq!(world.status(), ActionStatus::Simulated);
    assert!(!acts(&world));
    assert_eq!(world.incident.actions[0].reason, Reason::DryRun(Tier::T2));
}

#[test]
fn t2_needs_one_approval() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T2)], vec![mk_remedy("limit", Tier::T2, None)]);
    assert_eq!(world.incident.phase, Phase::AwaitingApproval);
    assert!(!acts(&world));
    world.vote(Verdict::Approve, "una").expect("counts");
    assert_eq!(world.status(), ActionStatus::Approved);
    assert!(acts(&world));
}

#[test]
fn t3_needs_two_different_people() {
    let mut world =
        World::decided(vec![mk_candidate("restore", Tier::T3)], vec![mk_remedy("restore", Tier::T3, None)]);
    world.vote(Verdict::Approve, "una").expect("counts");
    assert!(!acts(&world));
    let again = world.vote(Verdict::Approve, "una");
    assert_eq!(again, Err(Refused::Approval(ApprovalRefused::SamePerson("una".to_owned()))));
    world.vote(Verdict::Approve, "ravi").expect("counts");
    assert!(acts(&world));
    assert_eq!(world.incident.actions[0].reason, Reason::Approved("una and ravi".to_owned()));
}

#[test]
fn a_second_click_changes_nothing_and_names_who_decided() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T2)], vec![mk_remedy("limit", Tier::T2, None)]);
    world.vote(Verdict::Approve, "una").expect("counts");
    let late = world.vote(Verdict::Reject, "ravi");
    let expected = ApprovalRefused::AlreadyDecided { verdict: "approved", who: "una".to_owned() };
    assert_eq!(late, Err(Refused::Approval(expected)));
    assert_eq!(world.status(), ActionStatus::Approved);
}

#[test]
fn an_approval_of_another_plan_does_not_count() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T2)], vec![mk_remedy("limit", Tier::T2, None)]);
    let ballot = Ballot {
        actor: person("una", Role::Approver),
        member: None,
        is_named: true,
        verdict: Verdict::Approve,
        digest: Some(PlanDigest("other".to_owned())),
        reason: None,
    };
    let action = world.last_action();
    let refused = world.try_happen(Event::Ballot { action, ballot });
    assert_eq!(refused, Err(Refused::Approval(ApprovalRefused::PlanChanged)));
    assert!(!acts(&world));
}

#[test]
fn one_person_under_two_names_is_one_person() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T3)], vec![mk_remedy("limit", Tier::T3, None)]);
    let action = world.last_action();
    let mut approve = |name: &str, member: Option<&str>| {
        let ballot = Ballot {
            actor: person(name, Role::Approver),
            member: member.map(str::to_owned),
            is_named: member.is_none(),
            verdict: Verdict::Approve,
            digest: None,
            reason: None,
        };
        world.try_happen(Event::Ballot { action: action.clone(), ballot }).map(|_| ())
    };
    approve("una", Some("U0UNA")).expect("the first");
    let again = approve("slack:U0UNA", Some("U0UNA"));
    assert!(matches!(again, Err(Refused::Approval(ApprovalRefused::SamePerson(_)))), "{again:?}");
    // Nobody is the same for that nothing is known of both.
    approve("ravi", None).expect("a second person");
    assert!(acts(&world));
}

#[test]
fn where_two_must_approve_each_is_known_and_known_to_be_another_one() {
    let approve = |world: &mut World, name: &str, member: Option<&str>, is_named: bool| {
        let action = world.last_action();
        let ballot = Ballot {
            actor: person(name, Role::Approver),
            member: member.map(str::to_owned),
            is_named,
            verdict: Verdict::Approve,
            digest: None,
            reason: None,
        };
        match world.try_happen(Event::Ballot { action, ballot }) {
            Err(Refused::Approval(refused)) => Err(refused),
            Err(other) => panic!("{other:?}"),
            Ok(_) => Ok(()),
        }
    };
    let world =
        |tier| World::decided(vec![mk_candidate("limit", tier)], vec![mk_remedy("limit", tier, None)]);
    let mut grave = world(Tier::T3);
    // A token may be anybody's, and so may a door that asks for nothing.
    for name in ["cli", "anonymous"] {
        let refused = approve(&mut grave, name, None, false);
        assert_eq!(refused, Err(ApprovalRefused::Unnamed(name.to_owned())));
    }
    // Slack knows the one by an identity only, and the API the other by a name only: they may be one.
    approve(&mut grave, "slack:U0UNA", Some("U0UNA"), false).expect("the first");
    assert_eq!(approve(&mut grave, "una", None, true), Err(ApprovalRefused::Alike("una".to_owned())));
    assert!(!acts(&grave));
    approve(&mut grave, "slack:U0RAVI", Some("U0RAVI"), false).expect("Slack tells two members apart");
    assert!(acts(&grave));

    let mut grave = world(Tier::T3);
    approve(&mut grave, "una", None, true).expect("the first");
    let refused = approve(&mut grave, "slack:U0UNA", Some("U0UNA"), false);
    assert_eq!(refused, Err(ApprovalRefused::Alike("slack:U0UNA".to_owned())));
    approve(&mut grave, "ravi", Some("U0RAVI"), false).expect("one whom the settings name");
    assert!(acts(&grave));

    let mut mild = world(Tier::T2);
    approve(&mut mild, "cli", None, false).expect("one approval may come from any token");
}

#[test]
fn responders_may_not_approve() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T2)], vec![mk_remedy("limit", Tier::T2, None)]);
    let ballot = Ballot {
        actor: person("sam", Role::Responder),
        member: None,
        is_named: true,
        verdict: Verdict::Approve,
        digest: None,
        reason: None,
    };
    let action = world.last_action();
    let refused = world.try_happen(Event::Ballot { action, ballot });
    assert!(matches!(refused, Err(Refused::Approval(ApprovalRefused::NotAllowed { .. }))));
    assert!(!acts(&world));
}

#[test]
fn nobody_answering_hands_over() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T2)], vec![mk_remedy("limit", Tier::T2, None)]);
    world.wake(|wake| matches!(wake, Wake::ApprovalExpires(_)));
    assert_eq!(world.status(), ActionStatus::Expired);
    assert_eq!(world.incident.phase, Phase::HandedOver);
    let late = world.vote(Verdict::Approve, "una");
    assert!(matches!(late, Err(Refused::Approval(ApprovalRefused::Expired(_)))));
    assert!(!acts(&world));
}

#[test]
fn a_rejection_hands_over_with_the_persons_words() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T2)], vec![mk_remedy("limit", Tier::T2, None)]);
    world.vote(Verdict::Reject, "una").expect("counts");
    assert_eq!(world.status(), ActionStatus::Rejected);
    assert_eq!(world.incident.phase, Phase::HandedOver);
    assert!(world.wakes(|wake| matches!(wake, Wake::ApprovalExpires(_))).is_empty());
}

#[test]
fn conditions_guardrails_and_values_are_judged_again_at_the_click() {
    type Change = fn(&mut crate::decision::Candidate);
    let cases: [(&str, Change, ActionStatus); 4] = [
        ("condition", |candidate| candidate.condition = ConditionOutcome::Fails, ActionStatus::Cancelled),
        (
            "pause",
            |candidate| candidate.guardrails = vec![denies(Guardrail::Pause, None)],
            ActionStatus::Blocked,
        ),
        (
            "values",
            |candidate| candidate.plan = Ok(mk_plan("other", Repeatability::AtMostOnce)),
            ActionStatus::Cancelled,
        ),
        (
            "dry run",
            |candidate| candidate.guardrails = vec![denies(Guardrail::DryRun, None)],
            ActionStatus::Simulated,
        ),
    ];
    for (what, change, expected) in cases {
        let mut world =
            World::decided(vec![mk_candidate("limit", Tier::T2)], vec![mk_remedy("limit", Tier::T2, None)]);
        change(&mut world.candidates[0]);
        world.vote(Verdict::Approve, "una").expect("the click is recorded");
        assert_eq!(world.status(), expected, "{what}");
        assert!(!acts(&world), "{what}");
    }
}

fn mk_conditional() -> World {
    let mut remedy = mk_remedy("limit", Tier::T2, None);
    remedy.when = Some(Condition("findings.ratio.last > 0.05".to_owned()));
    World::decided(vec![mk_candidate("limit", Tier::T2)], vec![remedy])
}

#[test]
fn a_condition_is_judged_over_fresh_evidence_at_the_click() {
    let mut world = mk_conditional();
    world.vote(Verdict::Approve, "una").expect("counts");
    assert!(!acts(&world), "the evidence that was asked over may be old");
    world.diagnosed();
    assert!(acts(&world));

    let mut world = mk_conditional();
    world.vote(Verdict::Approve, "una").expect("counts");
    world.candidates[0].condition = ConditionOutcome::Unknown("no answer".to_owned());
    world.diagnosed();
    assert!(!acts(&world), "act fails closed");
    assert_eq!((world.status(), world.incident.phase), (ActionStatus::Cancelled, Phase::HandedOver));
}

#[test]
fn an_end_between_the_click_and_the_evidence_calls_the_action_off() {
    let mut world = mk_conditional();
    world.vote(Verdict::Approve, "una").expect("counts");
    world.end_alert("a");
    assert_eq!(world.status(), ActionStatus::Cancelled);
    world.diagnosed();
    assert!(!acts(&world));
}

#[test]
fn a_click_whose_facts_are_missing_starts_nothing() {
    let mut world =
        World::decided(vec![mk_candidate("limit", Tier::T2)], vec![mk_remedy("limit", Tier::T2, None)]);
    world.candidates.clear();
    world.vote(Verdict::Approve, "una").expect("the click is recorded");
    assert_eq!(world.status(), ActionStatus::Blocked);
    assert!(!acts(&world));
}
