//! Plans that rest on a look at their target.

use super::world::{World, allows, mk_candidate, mk_remedy};
use crate::action::{ActionOutcome, ActionStatus, Repeatability, Step, Tier};
use crate::apply::{StartAs, Transition};
use crate::approval::Verdict;
use crate::decision::Candidate;
use crate::effect::{Effect, Wake};
use crate::event::Event;
use crate::incident::Phase;
use crate::survey::{Impact, Rollout, SURVEY_AGE_MAX, Survey, SurveyOutcome, SurveyStanding, Surveyed};
use crate::timeline::LineKind;
use jiff::SignedDuration;
use serde_json::{Value, json};

/// A draft as the rule gives it.
fn mk_draft(tier: Tier) -> Candidate {
    Candidate { survey: SurveyStanding::Missing, guardrails: Vec::new(), ..mk_candidate("undo", tier) }
}

/// The survey of that draft, based on this.
fn mk_survey(draft: &Candidate, at: jiff::Timestamp, basis: Value, tier_floor: Tier) -> Survey {
    let plan = draft.plan.clone().expect("planned");
    let digest = plan.digest();
    let mut plan = plan;
    plan.repeatability = Repeatability::Idempotent;
    plan.summary = format!("go back to {basis}");
    plan.params = json!({ "set": basis, "at": at });
    plan.basis = Some(basis);
    let impact = Impact {
        kind: "Deployment".to_owned(),
        workloads: 1,
        replicas: 4,
        available: 4,
        disrupted: 1,
        rollout: Rollout::Settled,
        ends_rollout: false,
        objects: Vec::new(),
        affects: Vec::new(),
    };
    let notes = vec!["owned by Argo CD".to_owned()];
    let surveyed = Surveyed { plan, inverse: None, tier_floor, notes, impact };
    Survey {
        remedy: draft.remedy.clone(),
        draft: digest,
        at,
        outcome: SurveyOutcome::Ready(Box::new(surveyed)),
    }
}

/// The draft with its survey and guardrails that let it pass.
fn looked_at(world: &World, tier: Tier, basis: Value) -> Candidate {
    let mut candidate = mk_draft(tier);
    let survey = mk_survey(&candidate, world.now, basis, Tier::T1);
    candidate.take_survey(&[survey]);
    assert!(candidate.is_guarded());
    candidate.guardrails = vec![allows()];
    candidate
}

fn mk_world(tier: Tier) -> World {
    let mut world = World::new(vec![mk_remedy("undo", tier, None)]);
    world.looks_first = true;
    world.candidates = vec![looked_at(&world, tier, json!({ "revision": 6 }))];
    world.fire("a");
    world.diagnosed();
    world
}

fn starting(world: &mut World, attempt: u32) -> Transition {
    let effect = world.effects.iter().find(|effect| matches!(effect.effect, Effect::Act { .. }));
    let Some(Effect::Act { action, step }) = effect.map(|effect| effect.effect.clone()) else {
        panic!("an attempt is wished");
    };
    world.happen(Event::ActionStarting { action, step, attempt })
}

#[test]
fn a_draft_that_nobody_looked_at_is_never_carried_out() {
    let mut world = World::new(vec![mk_remedy("undo", Tier::T1, None)]);
    world.looks_first = true;
    world.candidates = vec![mk_draft(Tier::T1)];
    world.fire("a");
    world.diagnosed();
    assert!(world.reasons().contains(&"survey_refused"));
    assert_eq!(world.incident.phase, Phase::HandedOver);
    assert!(world.effects.iter().all(|effect| !matches!(effect.effect, Effect::Act { .. })));
}

#[test]
fn a_survey_of_another_draft_counts_for_nothing() {
    let mut candidate = mk_draft(Tier::T1);
    let mut other = mk_draft(Tier::T1);
    other.plan.as_mut().expect("planned").params = json!({ "endpoint": "another" });
    let at = jiff::Timestamp::UNIX_EPOCH;
    candidate.take_survey(&[mk_survey(&other, at, json!(1), Tier::T1)]);
    assert_eq!(candidate.survey, SurveyStanding::Missing);
    assert!(!candidate.is_guarded());
}

#[test]
fn a_survey_fixes_the_plan_and_may_raise_the_tier() {
    let mut candidate = mk_draft(Tier::T1);
    let at = jiff::Timestamp::UNIX_EPOCH;
    let survey = mk_survey(&candidate, at, json!({ "revision": 6 }), Tier::T2);
    candidate.take_survey(&[survey]);
    assert_eq!((candidate.tier, candidate.surveyed_at()), (Tier::T2, Some(at)));
    assert_eq!(candidate.notes(), ["owned by Argo CD"]);
    assert_eq!(candidate.plan.expect("planned").basis, Some(json!({ "revision": 6 })));
}

#[test]
fn a_remedy_with_nothing_to_do_is_passed_over_and_one_that_is_refused_stops_the_ladder() {
    for (outcome, taken, reason) in [
        (SurveyStanding::NothingToDo("no older revision".to_owned()), Some("limit"), "nothing_to_do"),
        (SurveyStanding::Refused("it is paused".to_owned()), None, "survey_refused"),
    ] {
        let mut world =
            World::new(vec![mk_remedy("undo", Tier::T1, None), mk_remedy("limit", Tier::T1, None)]);
        world.looks_first = true;
        let undo = Candidate { survey: outcome, ..mk_draft(Tier::T1) };
        world.candidates = vec![undo, mk_candidate("limit", Tier::T1)];
        world.fire("a");
        world.diagnosed();
        assert!(world.reasons().contains(&reason), "{:?}", world.reasons());
        let running = world.incident.current_action().map(|action| action.remedy.as_str());
        assert_eq!(running, taken);
    }
}

#[test]
fn a_rule_that_needs_surveys_gathers_evidence_before_every_decision() {
    let mut world = World::new(vec![mk_remedy("tell", Tier::T0, None), mk_remedy("undo", Tier::T1, None)]);
    world.rule.diagnostics.clear();
    world.looks_first = true;
    let undo = looked_at(&world, Tier::T1, json!(1));
    world.candidates = vec![Candidate { guardrails: Vec::new(), ..mk_candidate("tell", Tier::T0) }, undo];
    world.fire("a");
    world.diagnosed();
    world.act(World::applied());
    world.candidates[0].tried = true;
    assert_eq!(world.incident.phase, Phase::Diagnosing, "the ladder goes on with a fresh look");
    world.diagnosed();
    assert_eq!(world.incident.current_action().map(|action| action.remedy.as_str()), Some("undo"));
}

#[test]
fn an_approved_plan_starts_as_it_was_approved_where_its_basis_stands() {
    let mut world = mk_world(Tier::T2);
    let approved = world.incident.actions[0].plan.clone();
    assert_eq!(world.incident.actions[0].notes, ["owned by Argo CD"]);
    world.now += SignedDuration::from_mins(10);
    world.vote(Verdict::Approve, "una").expect("it counts");
    assert_eq!(world.incident.phase, Phase::Diagnosing, "its target is looked at again");
    world.candidates = vec![looked_at(&world, Tier::T2, json!({ "revision": 6 }))];
    assert_ne!(world.candidates[0].plan.as_ref().expect("planned").digest(), approved.digest());
    world.diagnosed();
    assert_eq!(starting(&mut world, 1).may_start, Some(StartAs::Act));
    assert_eq!(world.incident.actions[0].plan, approved, "what was approved, with its values");
}

#[test]
fn people_are_asked_anew_when_the_target_has_changed_since() {
    let mut world = mk_world(Tier::T2);
    world.vote(Verdict::Approve, "una").expect("it counts");
    world.candidates = vec![looked_at(&world, Tier::T2, json!({ "revision": 7 }))];
    world.diagnosed();
    let first = &world.incident.actions[0];
    assert_eq!((first.status, first.reason.word()), (ActionStatus::Cancelled, "stale"));
    assert!(first.reason.to_string().contains("go back to {\"revision\":7}"), "{}", first.reason);
    assert_eq!(world.incident.phase, Phase::Diagnosing);
    world.diagnosed();
    let second = &world.incident.actions[1];
    assert_eq!((second.remedy.as_str(), second.status), ("undo", ActionStatus::AwaitingApproval));
    assert_ne!(world.incident.actions[0].digest, second.digest);
}

#[test]
fn a_plan_that_has_become_more_dangerous_is_asked_for_anew() {
    let mut world = mk_world(Tier::T2);
    world.vote(Verdict::Approve, "una").expect("it counts");
    world.candidates = vec![looked_at(&world, Tier::T3, json!({ "revision": 6 }))];
    world.diagnosed();
    assert_eq!(world.incident.actions[0].reason.word(), "stale");
}

#[test]
fn a_look_that_says_no_at_the_click_stops_what_was_approved() {
    let mut world = mk_world(Tier::T2);
    world.vote(Verdict::Approve, "una").expect("it counts");
    let refused = SurveyStanding::Refused("it is paused".to_owned());
    world.candidates = vec![Candidate { survey: refused, ..mk_draft(Tier::T2) }];
    world.diagnosed();
    let action = &world.incident.actions[0];
    assert_eq!((action.status, action.reason.word()), (ActionStatus::Blocked, "survey_refused"));
    assert_eq!(world.incident.phase, Phase::HandedOver);
}

/// A draft whose target a busy server did not show.
fn not_seen(world: &World, tier: Tier) -> Candidate {
    let mut candidate = mk_draft(tier);
    let mut survey = mk_survey(&candidate, world.now, json!(1), tier);
    let wait = Some(SignedDuration::from_mins(1));
    survey.outcome = SurveyOutcome::NotNow { reason: "the API server is busy (429)".to_owned(), wait };
    candidate.take_survey(&[survey]);
    candidate
}

#[test]
fn what_could_not_be_looked_at_is_decided_anew_when_the_server_says() {
    let mut world = World::new(vec![mk_remedy("undo", Tier::T1, None)]);
    world.looks_first = true;
    world.candidates = vec![not_seen(&world, Tier::T1)];
    world.fire("a");
    world.diagnosed();
    assert_eq!(world.incident.phase, Phase::HandedOver);
    assert!(world.incident.actions[0].reason.to_string().contains("busy (429)"));
    let again = world.now + SignedDuration::from_mins(1);
    assert_eq!(world.wakes(|wake| *wake == Wake::Decide), [again]);
    // The same after an approval: people are asked anew.
    let mut world = mk_world(Tier::T2);
    world.vote(Verdict::Approve, "una").expect("it counts");
    world.candidates = vec![not_seen(&world, Tier::T2)];
    world.diagnosed();
    assert_eq!(world.incident.actions[0].status, ActionStatus::Blocked);
    world.candidates = vec![looked_at(&world, Tier::T2, json!({ "revision": 6 }))];
    world.wake(|wake| *wake == Wake::Decide);
    world.diagnosed();
    assert_eq!(world.status(), ActionStatus::AwaitingApproval);
}

#[test]
fn a_plan_that_waited_too_long_for_a_worker_is_not_started() {
    let mut world = mk_world(Tier::T1);
    world.now += SURVEY_AGE_MAX + SignedDuration::from_secs(1);
    assert_eq!(starting(&mut world, 1).may_start, None);
    assert_eq!(world.incident.actions[0].reason.word(), "stale");
    assert_eq!(world.incident.phase, Phase::Diagnosing, "the world is looked at again");
}

#[test]
fn an_interrupted_attempt_is_looked_up_before_anything_else() {
    let mut world = mk_world(Tier::T1);
    assert_eq!(starting(&mut world, 1).may_start, Some(StartAs::Act));
    assert_eq!(starting(&mut world, 2).may_start, Some(StartAs::LookFirst));
    // Whatever must not be carried out any more can still be looked up.
    world.end_alert("a");
    assert_eq!(starting(&mut world, 3).may_start, Some(StartAs::LookOnly));
    let (action, step) = (world.incident.actions[0].id.clone(), Step::Apply);
    world.happen(Event::ActionEnded { action, step, outcome: World::applied() });
    assert_eq!(world.incident.actions[0].status, ActionStatus::Succeeded);
    let count = |kind| world.lines.iter().filter(|line| line.kind == kind).count();
    assert_eq!((count(LineKind::Intent), count(LineKind::Outcome)), (2, 3));
}

#[test]
fn an_attempt_without_a_mark_is_not_looked_up_but_told_to_people() {
    let mut world = mk_world(Tier::T1);
    world.incident.actions[0].plan.repeatability = Repeatability::AtMostOnce;
    assert_eq!(starting(&mut world, 1).may_start, Some(StartAs::Act));
    assert_eq!(starting(&mut world, 2).may_start, None);
    assert_eq!(world.incident.actions[0].status, ActionStatus::OutcomeUnknown);
    assert_eq!(world.incident.phase, Phase::HandedOver);
}

#[test]
fn what_was_known_of_an_unclear_end_is_kept_while_it_is_looked_up() {
    let mut world = mk_world(Tier::T1);
    starting(&mut world, 1);
    let (action, step) = (world.incident.actions[0].id.clone(), Step::Apply);
    let unclear = |world: &mut World, reason: &str| {
        let reason = reason.to_owned();
        world.happen(Event::ActionUnclear { action: action.clone(), step, reason });
    };
    let known = |world: &World, text: &str| {
        world.lines.iter().any(|line| line.kind == LineKind::Outcome && line.text.contains(text))
    };
    unclear(&mut world, "the connection broke");
    assert!(known(&world, "nobody knows whether it was carried out: the connection broke"));
    assert_eq!(starting(&mut world, 2).may_start, Some(StartAs::LookFirst));
    assert!(!known(&world, "no answer was recorded"), "its answer is known");
    unclear(&mut world, "it cannot be looked at");
    // The process is killed during the next look, which has no answer.
    assert_eq!(starting(&mut world, 3).may_start, Some(StartAs::LookFirst));
    assert_eq!(starting(&mut world, 4).may_start, Some(StartAs::LookFirst));
    assert!(known(&world, "no answer was recorded"));
    let outcome = ActionOutcome::Unknown { reason: "it cannot be looked at".to_owned() };
    world.happen(Event::ActionEnded { action: action.clone(), step, outcome });
    let stored = &world.incident.actions[0];
    assert_eq!(
        stored.reason.to_string(),
        "nobody knows whether it was carried out: the connection broke; after that: it cannot be looked at"
    );
    assert_eq!((stored.status, stored.unclear.clone()), (ActionStatus::OutcomeUnknown, None));
    let count = |kind| world.lines.iter().filter(|line| line.kind == kind).count();
    assert_eq!((count(LineKind::Intent), count(LineKind::Outcome)), (4, 4), "each intent has its outcome");
}

#[test]
fn an_attempt_that_certainly_did_nothing_leads_to_the_next_remedy() {
    let mut world = mk_world(Tier::T1);
    starting(&mut world, 1);
    let (action, step) = (world.incident.actions[0].id.clone(), Step::Apply);
    let outcome = ActionOutcome::NotApplied { reason: "somebody changed it meanwhile".to_owned() };
    world.happen(Event::ActionEnded { action, step, outcome });
    assert_eq!(world.incident.phase, Phase::Diagnosing);
}

#[test]
fn a_person_may_not_approve_what_is_being_looked_at() {
    let mut world = mk_world(Tier::T2);
    world.vote(Verdict::Approve, "una").expect("it counts");
    let again = world.vote(Verdict::Approve, "bo").expect_err("it was decided");
    assert!(again.to_string().contains("una"), "{again}");
}
