//! Opening, joining, ending, reopening.

use super::world::{World, minutes, mk_alert, mk_candidate, mk_plan, mk_remedy, person, slack};
use crate::action::{ActionOutcome, ActionStatus, Repeatability, Task, TaskItem, Tier};
use crate::alert::{AlertStatus, Observation};
use crate::apply::Refused;
use crate::diagnosis::ConditionOutcome;
use crate::effect::{Effect, Wake};
use crate::event::Event;
use crate::incident::{IncidentStatus, Phase};
use crate::people::Role;
use crate::rule::OnFail;
use jiff::SignedDuration;
use std::sync::Arc;

#[test]
fn an_alert_opens_tells_and_diagnoses() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    assert_eq!(world.incident.status, IncidentStatus::Triggered);
    assert_eq!(world.incident.phase, Phase::Diagnosing);
    assert!(world.has_effect(|effect| matches!(effect, Effect::Diagnose { .. })));
    assert_eq!(world.notices(), ["pagerduty:shop trigger", "slack:#incidents card"]);
}

#[test]
fn a_rule_without_diagnostics_decides_at_once() {
    let mut world = World::new(Vec::new());
    world.rule.diagnostics.clear();
    world.fire("a");
    assert_eq!(world.incident.phase, Phase::HandedOver);
    assert!(world.reasons().contains(&"handed_over"));
}

#[test]
fn what_the_rule_could_not_say_stands_in_the_first_lines() {
    let mut world = World::new(Vec::new());
    world.notes = vec!["severity taken as P1: `urgent` is no severity".to_owned()];
    world.fire("a");
    world.fire("b");
    let noted: Vec<&str> = world
        .lines
        .iter()
        .filter(|line| line.reason.as_deref() == Some("noted"))
        .map(|line| line.text.as_str())
        .collect();
    assert_eq!(noted, ["severity taken as P1: `urgent` is no severity"]);
    assert_eq!(world.lines[1].seq, 2);
}

#[test]
fn it_closes_only_when_the_last_alert_ended() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    world.fire("b");
    world.end_alert("a");
    assert_eq!(world.incident.status, IncidentStatus::Triggered);
    world.notices();
    world.end_alert("b");
    assert_eq!(world.incident.status, IncidentStatus::Resolved);
    assert_eq!(world.incident.phase, Phase::Closed);
    assert!(world.notices().contains(&"pagerduty:shop resolve".to_owned()));
    assert!(world.wakes(|_| true).is_empty(), "nothing is outstanding after the end");
}

#[test]
fn a_repeat_of_a_firing_alert_changes_nothing() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    let version = world.incident.version;
    let alert = Arc::new(mk_alert(AlertStatus::Firing, "a", world.now));
    let transition = world.happen(Event::AlertSeen {
        alert,
        observation: Observation::Repeated,
        counted: true,
        found: false,
    });
    assert!(!transition.changed);
    assert_eq!(world.incident.version, version);
}

#[test]
fn reopening_starts_a_new_episode_with_a_new_dedup_key_and_pages_again() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    world.happen(Event::Acknowledge { actor: person("una", Role::Responder), reason: None });
    let key = world.incident.dedup_key();
    world.end_alert("a");
    world.notices();
    world.now = world.now.checked_add(minutes(5)).expect("in range");
    world.fire_again("a");
    assert_eq!(world.incident.status, IncidentStatus::Triggered);
    assert_ne!(world.incident.dedup_key(), key);
    assert_eq!(world.incident.alerts.firing, 1);
    assert_eq!(world.incident.alerts.resolved, 0);
    assert!(world.notices().contains(&"pagerduty:shop trigger".to_owned()));
    assert_eq!(world.wakes(|wake| *wake == Wake::Escalate).len(), 1);
}

#[test]
fn a_persons_resolve_holds_against_repeats_for_an_hour() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    world.happen(Event::Resolve { actor: person("una", Role::Responder), episode: None, reason: None });
    let repeat = |world: &mut World| {
        let alert = Arc::new(mk_alert(AlertStatus::Firing, "a", world.now));
        world.happen(Event::AlertSeen {
            alert,
            observation: Observation::Repeated,
            counted: true,
            found: false,
        });
    };
    world.now = world.now.checked_add(minutes(59)).expect("in range");
    repeat(&mut world);
    assert_eq!(world.incident.status, IncidentStatus::Resolved);
    world.now = world.now.checked_add(minutes(1)).expect("in range");
    repeat(&mut world);
    assert_eq!(
        world.incident.status,
        IncidentStatus::Triggered,
        "a still firing alert must not be forgotten"
    );
}

#[test]
fn the_end_calls_off_what_waits() {
    let remedy = mk_remedy("limit", Tier::T2, None);
    let mut world = World::decided(vec![mk_candidate("limit", Tier::T2)], vec![remedy]);
    assert_eq!(world.status(), ActionStatus::AwaitingApproval);
    world.end_alert("a");
    assert_eq!(world.status(), ActionStatus::Cancelled);
    assert_eq!(world.incident.status, IncidentStatus::Resolved);
}

#[test]
fn the_end_waits_for_an_attempt_under_way() {
    let remedy = mk_remedy("limit", Tier::T1, None);
    let mut world = World::decided(vec![mk_candidate("limit", Tier::T1)], vec![remedy]);
    let (action, step) = world.start_act();
    world.end_alert("a");
    assert_eq!(world.incident.status, IncidentStatus::Triggered, "its answer is still out");
    world.happen(Event::ActionEnded { action, step, outcome: World::applied() });
    assert_eq!(world.incident.status, IncidentStatus::Resolved);
}

#[test]
fn viewers_change_nothing() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    let refused = world.try_happen(Event::Acknowledge { actor: person("eve", Role::Viewer), reason: None });
    assert!(matches!(refused, Err(Refused::NotAllowed { .. })));
    let refused =
        world.try_happen(Event::Resolve { actor: person("eve", Role::Viewer), episode: None, reason: None });
    assert!(matches!(refused, Err(Refused::NotAllowed { .. })));
    assert_eq!(world.incident.status, IncidentStatus::Triggered);
}

#[test]
fn observing_actions_follow_the_end_and_touching_ones_do_not() {
    let mut world = World::new(Vec::new());
    let mut telling = mk_candidate("postmortem", Tier::T0);
    telling.guardrails.clear();
    world.on_resolve = vec![telling, mk_candidate("restart", Tier::T1)];
    world.fire("a");
    world.now = world.now.checked_add(SignedDuration::from_secs(9)).expect("in range");
    world.end_alert("a");
    let names: Vec<&str> = world.incident.actions.iter().map(|action| action.remedy.as_str()).collect();
    assert_eq!(names, ["postmortem"]);
    world.act(World::applied());
    assert_eq!(world.status(), ActionStatus::Succeeded);
    assert_eq!(world.incident.phase, Phase::Closed);
}

#[test]
fn an_alert_without_a_name_is_told_of_in_words() {
    let mut world = World::new(Vec::new());
    let mut alert = mk_alert(AlertStatus::Firing, "a", world.now);
    alert.labels.remove("alertname");
    world.happen(Event::AlertSeen {
        alert: Arc::new(alert),
        observation: Observation::Started,
        counted: false,
        found: false,
    });
    let opened = &world.lines[0].text;
    assert!(opened.contains("opened by an alert without a name under rule"), "{opened}");
    let mut named = World::new(Vec::new());
    named.fire("a");
    assert!(named.lines[0].text.contains("opened by alert HighErrorRate under rule"), "{:?}", named.lines[0]);
}

#[test]
fn a_persons_end_stops_a_verification_and_the_next_episode_goes_its_whole_way() {
    let remedy = mk_remedy("limit", Tier::T1, Some(OnFail::Rollback));
    let mut world = World::decided(vec![mk_candidate("limit", Tier::T1)], vec![remedy]);
    world.act(World::applied());
    assert_eq!(world.status(), ActionStatus::Verifying);
    world.happen(Event::Resolve { actor: person("una", Role::Responder), episode: None, reason: None });
    assert_eq!(world.status(), ActionStatus::Succeeded);
    assert!(world.reasons().contains(&"not_verified"), "{:?}", world.reasons());
    world.now = world.now.checked_add(minutes(60)).expect("in range");
    let alert = Arc::new(mk_alert(AlertStatus::Firing, "a", world.now));
    world.happen(Event::AlertSeen { alert, observation: Observation::Repeated, counted: true, found: false });
    world.candidates = vec![mk_candidate("again", Tier::T2)];
    world.diagnosed();
    assert_eq!(world.incident.phase, Phase::AwaitingApproval, "the new episode is decided");
    world.end_alert("a");
    assert_eq!(world.incident.status, IncidentStatus::Resolved, "and closes");
}

#[test]
fn a_task_of_people_does_not_keep_open_what_is_over() {
    let mut world =
        World::decided(vec![mk_candidate("ask", Tier::T1)], vec![mk_remedy("ask", Tier::T1, None)]);
    let items = vec![TaskItem { text: "look".to_owned(), done_by: None, done_at: None }];
    let task = Task { title: "Look".to_owned(), owner: None, items, due_at: None, action: None };
    world.act(ActionOutcome::HandedToPeople { task });
    assert_eq!(world.status(), ActionStatus::Running);
    world.end_alert("a");
    assert_eq!(world.incident.status, IncidentStatus::Resolved);
    assert_eq!(world.status(), ActionStatus::Cancelled);
    let done = Event::TaskItemDone { task: 0, item: None, actor: person("una", Role::Responder) };
    world.happen(done);
    assert_eq!(world.status(), ActionStatus::Cancelled, "what is ticked off later is only noted");
}

#[test]
fn the_end_leaves_what_was_carried_out_and_not_undone_as_failed() {
    let remedy = mk_remedy("limit", Tier::T1, Some(OnFail::Rollback));
    let mut candidate = mk_candidate("limit", Tier::T1);
    candidate.inverse = Some(mk_plan("undo", Repeatability::AtMostOnce));
    let mut world = World::decided(vec![candidate], vec![remedy]);
    world.act(World::applied());
    world.checks = vec![ConditionOutcome::Fails];
    while world.status() == ActionStatus::Verifying {
        world.wake(|wake| matches!(wake, Wake::Verify(_)));
        world.diagnosed();
    }
    assert_eq!((world.status(), world.incident.phase), (ActionStatus::Approved, Phase::RollingBack));
    world.end_alert("a");
    assert_eq!(world.incident.status, IncidentStatus::Resolved);
    assert_eq!(world.status(), ActionStatus::Failed, "it was carried out, so it was not called off");
}

#[test]
fn an_unclear_end_after_the_incident_is_told_in_the_channels_and_opens_nothing() {
    let remedy = mk_remedy("limit", Tier::T1, None);
    let mut world = World::decided(vec![mk_candidate("limit", Tier::T1)], vec![remedy]);
    let (action, step) = world.start_act();
    world.happen(Event::Resolve { actor: person("una", Role::Responder), episode: None, reason: None });
    world.notices();
    let outcome = ActionOutcome::Unknown { reason: "timeout".to_owned() };
    world.happen(Event::ActionEnded { action, step, outcome });
    let notices = world.notices();
    assert!(notices.iter().any(|notice| notice.ends_with("reply")), "{notices:?}");
    assert!(!notices.iter().any(|notice| notice.ends_with("trigger")), "{notices:?}");
    assert_eq!(world.incident.phase, Phase::Closed);
}

#[test]
fn what_follows_the_end_does_not_decide_before_the_evidence_of_the_next_episode() {
    let mut world = World::new(Vec::new());
    let mut telling = mk_candidate("postmortem", Tier::T0);
    telling.guardrails.clear();
    world.on_resolve = vec![telling];
    world.fire("a");
    world.diagnosed();
    world.end_alert("a");
    let (action, step) = world.start_act();
    world.fire_again("a");
    assert_eq!(world.incident.phase, Phase::Diagnosing);
    world.happen(Event::ActionEnded { action, step, outcome: World::applied() });
    assert_eq!(world.incident.phase, Phase::Diagnosing, "the decision waits for the evidence");
}

#[test]
fn a_remedy_that_ends_in_the_next_episode_does_not_take_its_decision_away() {
    let remedy = mk_remedy("limit", Tier::T1, None);
    let mut world = World::decided(vec![mk_candidate("limit", Tier::T1)], vec![remedy]);
    let (action, step) = world.start_act();
    world.happen(Event::Resolve { actor: person("una", Role::Responder), episode: None, reason: None });
    world.fire("b");
    world.happen(Event::ActionEnded { action, step, outcome: World::applied() });
    world.candidates.clear();
    world.diagnosed();
    assert_eq!(world.incident.phase, Phase::HandedOver, "it was decided, if only that people go on");
}

#[test]
fn an_unclear_end_after_the_incident_is_told_somewhere_even_without_a_channel_of_its_own() {
    let remedy = mk_remedy("limit", Tier::T1, None);
    let mut world = World::new(vec![remedy]);
    for level in &mut world.policy.as_mut().expect("a policy").levels {
        level.destinations.retain(|one| one.kind() == "pagerduty");
    }
    world.defaults.clear();
    world.last_resorts = vec![slack("#last"), slack("#other"), slack("#last")];
    world.candidates = vec![mk_candidate("limit", Tier::T1)];
    world.fire("a");
    world.diagnosed();
    let (action, step) = world.start_act();
    world.happen(Event::Resolve { actor: person("una", Role::Responder), episode: None, reason: None });
    world.notices();
    let outcome = ActionOutcome::Unknown { reason: "timeout".to_owned() };
    world.happen(Event::ActionEnded { action, step, outcome });
    let notices = world.notices();
    assert!(notices.contains(&"slack:#last card".to_owned()), "{notices:?}");
    let pages = notices.iter().filter(|notice| *notice == "slack:#last reply").count();
    assert_eq!(pages, 1, "once, although it is named twice: {notices:?}");
}

#[test]
fn a_remedy_that_was_called_off_by_the_end_may_be_taken_in_the_next_episode() {
    let remedy = mk_remedy("limit", Tier::T2, None);
    let mut world = World::decided(vec![mk_candidate("limit", Tier::T2)], vec![remedy]);
    assert_eq!(world.incident.tried_remedies().collect::<Vec<_>>(), ["limit"]);
    world.end_alert("a");
    assert_eq!(world.status(), ActionStatus::Cancelled);
    assert_eq!(world.incident.tried_remedies().count(), 0, "it never began");
}

#[test]
fn what_opens_it_again_says_whether_there_is_data_behind_it() {
    let mut world = World::new(Vec::new());
    world.fire("a");
    let again = |world: &mut World, annotations: &[(&str, &str)], name: Option<&str>| {
        world.end_alert("a");
        let mut alert = mk_alert(AlertStatus::Firing, "a", world.now);
        alert.annotations =
            annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        if let Some(name) = name {
            alert.labels.insert("alertname".to_owned(), name.to_owned());
        }
        world.happen(Event::AlertSeen {
            alert: Arc::new(alert),
            observation: Observation::Started,
            counted: true,
            found: false,
        });
        world.incident.standing().without_data.map(str::to_owned)
    };
    let reason = ("grafana_state_reason", "Error, KeepLast");
    assert_eq!(again(&mut world, &[reason], None).as_deref(), Some("Error, KeepLast"));
    assert_eq!(again(&mut world, &[], None), None, "there is data again");
    assert_eq!(again(&mut world, &[], Some("DatasourceNoData")).as_deref(), Some("DatasourceNoData"));
    assert_eq!(again(&mut world, &[], None), None);
}
