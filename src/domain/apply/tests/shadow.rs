//! Rules in shadow: they decide and record, and whatever anybody does nothing is carried out and nobody is asked.

use super::world::{World, allows, denies, mk_candidate, mk_remedy, pagerduty, person, slack};
use crate::action::{ActionStatus, Step, Tier};
use crate::apply::Refused;
use crate::approval::{ApprovalRefused, Ballot, Verdict};
use crate::catalog::Performer;
use crate::decision::{Candidate, Decision, Reason, Would};
use crate::diagnosis::ConditionOutcome;
use crate::effect::{Effect, Wake};
use crate::event::Event;
use crate::guardrail::{self, Guardrail};
use crate::incident::{Incident, IncidentStatus, Phase};
use crate::people::Role;
use crate::rule::{RemedySpec, RuleMode};
use proptest::prelude::*;

fn in_shadow(candidates: Vec<Candidate>, remedies: Vec<RemedySpec>) -> World {
    let mut world = World::new(remedies);
    world.rule.mode = RuleMode::Shadow;
    world.incident.mode = RuleMode::Shadow;
    world.candidates = candidates;
    world
}

fn decided(candidates: Vec<Candidate>) -> World {
    let mut world = in_shadow(candidates, vec![]);
    world.fire("a");
    world.diagnosed();
    world
}

fn acts(world: &World) -> bool {
    world.has_effect(|effect| matches!(effect, Effect::Act { .. }))
}

fn by_people(name: &str) -> Candidate {
    Candidate { performer: Performer::People, guardrails: Vec::new(), ..mk_candidate(name, Tier::T3) }
}

#[test]
fn what_would_be_done_is_recorded_with_its_plan_and_verdicts_and_nobody_is_asked() {
    for (candidate, would) in [
        (mk_candidate("limit", Tier::T1), Would::Run(Tier::T1)),
        (mk_candidate("limit", Tier::T2), Would::Ask(Tier::T2)),
        (mk_candidate("limit", Tier::T3), Would::Ask(Tier::T3)),
        (by_people("limit"), Would::HandToPeople),
    ] {
        let world = decided(vec![candidate.clone()]);
        let action = world.incident.actions.last().expect("it is recorded");
        assert_eq!((action.status, &action.reason), (ActionStatus::Simulated, &Reason::Shadow(would)));
        assert_eq!(Ok(&action.plan), candidate.plan.as_ref());
        assert_eq!(action.guardrails, candidate.guardrails);
        assert_eq!(world.incident.phase, Phase::HandedOver);
        assert!(world.incident.tasks.is_empty() && !acts(&world));
        assert!(world.wakes(|wake| matches!(wake, Wake::ApprovalExpires(_))).is_empty());
        assert!(world.reasons().contains(&"shadow"));
    }
}

#[test]
fn a_guardrail_forbids_in_shadow_as_it_does_alive() {
    let refused = Candidate {
        guardrails: vec![denies(Guardrail::RateTarget, None), denies(Guardrail::Shadow, None)],
        ..mk_candidate("limit", Tier::T1)
    };
    let world = decided(vec![refused]);
    let action = world.incident.actions.last().expect("it is recorded");
    assert_eq!((action.status, action.reason.word()), (ActionStatus::Blocked, "rate_target"));
}

#[test]
fn a_dry_run_of_the_service_does_not_hide_the_shadow() {
    let guardrails = vec![denies(Guardrail::DryRun, None), denies(Guardrail::Shadow, None)];
    let world = decided(vec![Candidate { guardrails, ..mk_candidate("limit", Tier::T2) }]);
    assert_eq!(world.incident.actions[0].reason, Reason::Shadow(Would::Ask(Tier::T2)));
}

#[test]
fn the_ladder_goes_on_behind_what_would_only_have_told() {
    let tell = Candidate { guardrails: Vec::new(), ..mk_candidate("tell", Tier::T0) };
    let mut world = in_shadow(vec![tell, mk_candidate("limit", Tier::T2)], vec![]);
    world.looks_first = true;
    world.fire("a");
    world.diagnosed();
    assert_eq!(world.incident.actions[0].reason, Reason::Shadow(Would::Tell));
    assert_eq!(world.incident.tried_remedies().collect::<Vec<_>>(), ["tell"]);
    world.candidates[0].tried = true;
    world.diagnosed();
    assert_eq!(world.incident.actions[1].reason, Reason::Shadow(Would::Ask(Tier::T2)));
    assert!(!acts(&world));
}

#[test]
fn people_are_told_by_the_policy_as_ever() {
    let mut world = decided(vec![mk_candidate("limit", Tier::T2)]);
    assert!(world.incident.destination(&pagerduty("shop")).is_some(), "the page goes out");
    assert!(world.incident.destination(&slack("#incidents")).is_some());
    world.wake(|wake| *wake == Wake::Escalate);
    assert!(world.incident.destination(&slack("#leads")).is_some(), "and so does the next level");
    assert!(world.reasons().contains(&"in_shadow"));
}

#[test]
fn beside_a_live_rule_nobody_is_told_twice_until_an_alert_is_its_own() {
    let mut world = in_shadow(vec![mk_candidate("limit", Tier::T2)], vec![]);
    world.told_by = Some("live");
    world.fire("a");
    world.diagnosed();
    assert_eq!(world.incident.told_by.as_deref(), Some("live"));
    assert_eq!(world.notices(), Vec::<String>::new());
    assert!(world.incident.destinations.is_empty() && world.wakes(|_| true).is_empty());
    assert_eq!(world.incident.actions.len(), 1, "it is decided all the same");
    world.fire("b");
    assert_eq!(world.notices(), Vec::<String>::new());
    world.told_by = None;
    world.fire("c");
    assert_eq!(world.incident.told_by, None);
    assert!(world.incident.destination(&pagerduty("shop")).is_some(), "nothing is lost in a shadow");
    assert_eq!(world.wakes(|wake| *wake == Wake::Escalate).len(), 1);
}

#[test]
fn a_live_rule_takes_no_notice_of_who_else_tells() {
    let mut world = World::new(vec![]);
    world.told_by = Some("live");
    world.fire("a");
    assert_eq!(world.incident.told_by, None);
    assert!(world.incident.destination(&pagerduty("shop")).is_some());
}

#[test]
fn an_alert_that_gets_worse_beside_a_live_rule_is_that_rules_to_tell() {
    let mut world = in_shadow(vec![], vec![]);
    world.told_by = Some("live");
    world.fire("a");
    let severity = crate::severity::Severity::P0;
    world.happen(Event::Worsened { severity, title: "a".to_owned() });
    assert_eq!(world.incident.severity, severity);
    assert_eq!(world.notices(), Vec::<String>::new());
}

#[test]
fn nobody_can_approve_what_is_in_shadow() {
    let mut world = decided(vec![mk_candidate("limit", Tier::T2)]);
    let refused = world.vote(Verdict::Approve, "una").expect_err("nobody was asked");
    assert_eq!(refused, Refused::Approval(ApprovalRefused::NotAsked("simulated")));
    assert!(!acts(&world));
}

#[test]
fn an_attempt_that_a_defect_wishes_is_stopped_at_the_last_moment() {
    // The rule's text says shadow, whatever the incident holds.
    for tier in [Tier::T0, Tier::T1, Tier::T2] {
        let mut world =
            World::decided(vec![mk_candidate("limit", Tier::T1)], vec![mk_remedy("limit", Tier::T1, None)]);
        world.incident.actions[0].tier = tier;
        world.rule.mode = RuleMode::Shadow;
        let action = world.last_action();
        let starting = world.happen(Event::ActionStarting { action, step: Step::Apply, attempt: 1 });
        assert_eq!(starting.may_start, None);
        let ended = world.incident.actions.last().expect("an action");
        assert_eq!((ended.status, ended.reason.word()), (ActionStatus::Simulated, "shadow"));
    }
}

#[test]
fn what_follows_the_end_is_recorded_too() {
    let mut world = decided(vec![]);
    world.on_resolve = vec![Candidate { guardrails: Vec::new(), ..mk_candidate("on-resolve-1", Tier::T0) }];
    world.end_alert("a");
    assert_eq!(world.incident.status, IncidentStatus::Resolved);
    assert!(world.incident.actions.is_empty() && !acts(&world));
    assert!(world.lines.iter().any(|line| line.text.starts_with("on-resolve-1: simulate; in shadow")));
}

#[test]
fn the_verdict_of_the_shadow_is_given_for_no_live_rule() {
    assert_eq!(guardrail::shadow(RuleMode::Live), None);
    let verdict = guardrail::shadow(RuleMode::Shadow).expect("a verdict");
    assert_eq!((verdict.guardrail.as_str(), verdict.allowed), ("shadow", false));
}

/// Something that happens to an incident.
#[derive(Debug, Clone)]
enum Happening {
    Fires(u8, bool),
    Ends(u8),
    Diagnosed,
    Votes(bool, u8),
    Acknowledged,
    TakenOver,
    Escalated,
    Resolved,
    Woken,
    StepMissing,
    Decide,
    Starts(u8),
    TaskDone,
    Restarted,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (0_u8..3, any::<bool>()).prop_map(|(instance, told)| Happening::Fires(instance, told)),
        (0_u8..3).prop_map(Happening::Ends),
        Just(Happening::Diagnosed),
        (any::<bool>(), 0_u8..4).prop_map(|(approves, action)| Happening::Votes(approves, action)),
        Just(Happening::Acknowledged),
        Just(Happening::TakenOver),
        Just(Happening::Escalated),
        Just(Happening::Resolved),
        Just(Happening::Woken),
        Just(Happening::StepMissing),
        Just(Happening::Decide),
        (0_u8..4).prop_map(Happening::Starts),
        Just(Happening::TaskDone),
        Just(Happening::Restarted),
    ]
}

fn candidate() -> impl Strategy<Value = Candidate> {
    let tier = prop_oneof![Just(Tier::T0), Just(Tier::T1), Just(Tier::T2), Just(Tier::T3)];
    (tier, any::<bool>(), any::<bool>(), 0_u8..4, 0_u8..3).prop_map(|(tier, people, tried, guard, holds)| {
        let guardrails = match guard {
            0 => vec![],
            1 => vec![allows()],
            2 => vec![allows(), denies(Guardrail::Shadow, None)],
            _ => vec![denies(Guardrail::Rollout, None)],
        };
        let condition = match holds {
            0 => ConditionOutcome::Fails,
            _ => ConditionOutcome::Holds,
        };
        let performer = if people { Performer::People } else { Performer::Machine };
        Candidate { performer, tried, guardrails, condition, ..mk_candidate("limit", tier) }
    })
}

/// Lets it happen, as far as it can; returns whether an attempt may start.
fn happen(world: &mut World, happening: &Happening, firing: &mut [bool; 3]) -> bool {
    let name = |instance: u8| ["a", "b", "c"][usize::from(instance)];
    let una = || person("una", Role::Admin);
    let action = |world: &World, index: u8| {
        let actions = &world.incident.actions;
        actions.get(usize::from(index) % actions.len().max(1)).map(|action| action.id.clone())
    };
    let event = match happening {
        Happening::Fires(instance, told) => {
            world.told_by = told.then_some("live");
            if !std::mem::replace(&mut firing[usize::from(*instance)], true) {
                world.fire(name(*instance));
            }
            return false;
        }
        Happening::Ends(instance) => {
            if std::mem::replace(&mut firing[usize::from(*instance)], false) {
                world.end_alert(name(*instance));
            }
            return false;
        }
        Happening::Diagnosed => {
            if world.has_effect(|effect| matches!(effect, Effect::Diagnose { .. })) {
                world.diagnosed();
            }
            return false;
        }
        Happening::Woken => {
            if !world.wakes(|_| true).is_empty() {
                world.wake(|_| true);
            }
            return false;
        }
        Happening::Restarted => {
            let text = serde_json::to_string(&world.incident).expect("JSON");
            world.incident = serde_json::from_str::<Incident>(&text).expect("the same");
            return false;
        }
        Happening::Votes(approves, index) => {
            let Some(action) = action(world, *index) else { return false };
            let verdict = if *approves { Verdict::Approve } else { Verdict::Reject };
            let ballot =
                Ballot { actor: una(), member: None, is_named: true, verdict, digest: None, reason: None };
            Event::Ballot { action, ballot }
        }
        Happening::Starts(index) => {
            let Some(action) = action(world, *index) else { return false };
            Event::ActionStarting { action, step: Step::Apply, attempt: 1 }
        }
        Happening::Acknowledged => Event::Acknowledge { actor: una(), reason: None },
        Happening::TakenOver => Event::TakeOver { actor: una(), reason: None },
        Happening::Escalated => Event::Escalate { actor: una(), seen: None, reason: None },
        Happening::Resolved => Event::Resolve { actor: una(), episode: None, reason: None },
        Happening::StepMissing => Event::StepMissing,
        Happening::Decide => Event::Decide,
        Happening::TaskDone => Event::TaskItemDone { task: 0, item: None, actor: una() },
    };
    world.try_happen(event).is_ok_and(|transition| transition.may_start.is_some())
}

proptest! {
    #[test]
    fn a_rule_in_shadow_never_acts_and_never_leaves_people_untold(
        candidates in prop::collection::vec(candidate(), 0..3),
        happenings in prop::collection::vec(happening(), 1..30),
    ) {
        let mut world = in_shadow(candidates, vec![mk_remedy("limit", Tier::T2, None)]);
        world.on_resolve = vec![Candidate { guardrails: vec![], ..mk_candidate("on-resolve-1", Tier::T0) }];
        let mut firing = [true, false, false];
        world.fire("a");
        for happening in &happenings {
            let may_start = happen(&mut world, happening, &mut firing);
            prop_assert!(!may_start && !acts(&world), "{happening:?} led to an attempt");
            prop_assert!(world.incident.tasks.is_empty(), "people were given something to do");
            let recorded = |status| matches!(status, ActionStatus::Simulated | ActionStatus::Blocked);
            prop_assert!(world.incident.actions.iter().all(|action| recorded(action.status)));
            let told = !world.incident.destinations.is_empty() || world.incident.told_by.is_some();
            prop_assert!(told || !world.incident.is_open(), "nobody hears of it after {happening:?}");
        }
    }

    #[test]
    fn whatever_would_be_done_is_simulated_in_shadow_and_all_else_is_as_it_is_alive(candidate in candidate()) {
        let (live, _) = crate::decision::judge(&candidate, RuleMode::Live);
        let (shadow, reason) = crate::decision::judge(&candidate, RuleMode::Shadow);
        match live {
            Decision::Run | Decision::Ask | Decision::Simulate => {
                prop_assert_eq!((shadow, reason.word()), (Decision::Simulate, "shadow"));
            }
            other => prop_assert_eq!(shadow, other),
        }
    }
}
