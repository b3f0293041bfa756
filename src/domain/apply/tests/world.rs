//! A small world for the stories: one incident, its facts, a clock, and what came out so far.

use crate::Labels;
use crate::action::{ActionId, ActionOutcome, ActionPlan, ActionStatus, Repeatability, Step, Tier};
use crate::alert::{Alert, AlertStatus, Observation};
use crate::apply::{Facts, Refused, StartAs, Transition, apply};
use crate::approval::{Ballot, Verdict};
use crate::catalog::Performer;
use crate::chart::Chart;
use crate::correlate::CorrelationKey;
use crate::decision::Candidate;
use crate::diagnosis::{ConditionOutcome, Finding, FindingStatus};
use crate::effect::{Effect, NewEffect, Wake};
use crate::escalation::{EscalationPolicy, Level, Repeat};
use crate::event::Event;
use crate::fingerprint::Fingerprint;
use crate::guardrail::{Guardrail, GuardrailVerdict};
use crate::incident::{Incident, IncidentId, Opening};
use crate::notification::{Destination, Notice};
use crate::people::{Actor, Role, Via};
use crate::rule::{
    ActionSpec, Condition, DiagnosticSpec, OnFail, RemedySpec, ResponseRule, RuleMode, SeveritySpec,
    VerifySpec,
};
use crate::schedule::Schedule;
use crate::severity::Severity;
use crate::survey::SurveyStanding;
use crate::timeline::{TimelineLine, verify_chain};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) struct World {
    pub(super) incident: Incident,
    pub(super) now: Timestamp,
    pub(super) rule: ResponseRule,
    pub(super) policy: Option<EscalationPolicy>,
    pub(super) schedules: BTreeMap<String, Schedule>,
    pub(super) defaults: Vec<Destination>,
    pub(super) last_resorts: Vec<Destination>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) checks: Vec<ConditionOutcome>,
    pub(super) last_moment: Vec<GuardrailVerdict>,
    pub(super) on_resolve: Vec<Candidate>,
    pub(super) looks_first: bool,
    pub(super) has_chart: bool,
    pub(super) told_by: Option<&'static str>,
    pub(super) notes: Vec<String>,
    pub(super) effects: Vec<NewEffect>,
    pub(super) lines: Vec<TimelineLine>,
}

pub(super) fn slack(channel: &str) -> Destination {
    Destination::Slack { channel: channel.to_owned() }
}

pub(super) fn pagerduty(service: &str) -> Destination {
    Destination::PagerDuty { service: service.to_owned() }
}

pub(super) fn person(name: &str, role: Role) -> Actor {
    Actor { name: name.to_owned(), via: Via::Slack, role }
}

pub(super) fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

pub(super) fn mk_alert(status: AlertStatus, instance: &str, now: Timestamp) -> Alert {
    let labels = Labels::from([
        ("alertname".to_owned(), "HighErrorRate".to_owned()),
        ("instance".to_owned(), instance.to_owned()),
    ]);
    Alert {
        fingerprint: Fingerprint::of_labels(&labels),
        status,
        labels,
        annotations: Labels::new(),
        starts_at: now,
        ends_at: (status == AlertStatus::Resolved).then_some(now),
        generator_url: None,
    }
}

pub(super) fn mk_policy() -> EscalationPolicy {
    let level = |name: &str, after, destinations| Level {
        name: name.to_owned(),
        after,
        hours: None,
        destinations,
        on_call: Vec::new(),
    };
    EscalationPolicy {
        name: "shop".to_owned(),
        selector: None,
        acknowledge_within: None,
        acknowledgement_expires_after: None,
        defer_until: None,
        objectives: None,
        levels: vec![
            level("on-call", SignedDuration::ZERO, vec![pagerduty("shop"), slack("#incidents")]),
            level("lead", minutes(15), vec![slack("#leads")]),
        ],
        repeat: Some(Repeat { every: minutes(30), times: 1 }),
        fallback: vec![pagerduty("last")],
    }
}

pub(super) fn mk_remedy(name: &str, tier: Tier, on_fail: Option<OnFail>) -> RemedySpec {
    RemedySpec {
        name: name.to_owned(),
        when: None,
        tier,
        action: ActionSpec { kind: "http.call".to_owned(), params: json!({"endpoint": name}) },
        verify: on_fail.map(|on_fail| VerifySpec {
            settle: SignedDuration::from_secs(60),
            hold: SignedDuration::from_secs(40),
            within: minutes(10),
            checks: vec![Condition("findings.ratio.last < 0.05".to_owned())],
            on_fail,
        }),
        rollback: None,
        approval_expires: minutes(15),
        cooldown: None,
    }
}

pub(super) fn mk_plan(name: &str, repeatability: Repeatability) -> ActionPlan {
    ActionPlan {
        kind: "http.call".to_owned(),
        params: json!({"endpoint": name}),
        target: format!("endpoint:{name}"),
        namespace: None,
        summary: format!("call {name}"),
        repeatability,
        basis: None,
        ttl: None,
    }
}

pub(super) fn allows() -> GuardrailVerdict {
    GuardrailVerdict { guardrail: Guardrail::Pause, allowed: true, reason: "not paused".into(), until: None }
}

pub(super) fn denies(guardrail: Guardrail, until: Option<Timestamp>) -> GuardrailVerdict {
    GuardrailVerdict { guardrail, allowed: false, reason: "no".into(), until }
}

pub(super) fn mk_candidate(name: &str, tier: Tier) -> Candidate {
    Candidate {
        remedy: name.to_owned(),
        tier,
        performer: Performer::Machine,
        condition: ConditionOutcome::Holds,
        not_set_up: None,
        plan: Ok(mk_plan(name, Repeatability::AtMostOnce)),
        inverse: None,
        touches: Vec::new(),
        survey: SurveyStanding::NotNeeded,
        guardrails: vec![allows()],
        tried: false,
    }
}

pub(super) fn mk_finding(name: &str) -> Finding {
    Finding {
        name: name.to_owned(),
        kind: "prom.range".to_owned(),
        status: FindingStatus::Known,
        fields: serde_json::Map::new(),
        text: "0.12".to_owned(),
        chart: None,
        taken_at: Timestamp::UNIX_EPOCH,
        duration_ms: 3,
    }
}

fn mk_chart(from: Timestamp) -> Chart {
    Chart { from, step_ms: 1, threshold: None, lines: Vec::new(), left_out: 0, asked_for: false }
}

impl World {
    /// An incident that is about to open under a rule with one diagnostic.
    pub(super) fn new(remedies: Vec<RemedySpec>) -> Self {
        let now: Timestamp = "2026-03-02T03:00:00Z".parse().expect("a time");
        let rule = ResponseRule {
            name: "errors".to_owned(),
            procedures: Vec::new(),
            runbook: None,
            summary: None,
            priority: 0,
            continues: false,
            matchers: Default::default(),
            severity: SeveritySpec::Fixed(Severity::P1),
            target: None,
            group_by: vec!["alertname".to_owned()],
            escalation: None,
            diagnostics: vec![DiagnosticSpec {
                name: "ratio".to_owned(),
                kind: "prom.range".to_owned(),
                params: json!({}),
            }],
            remedies,
            on_resolve: Vec::new(),
            dry_run: false,
            mode: RuleMode::Live,
            reopen_within: minutes(30),
        };
        let opening = Opening {
            id: IncidentId("i1".to_owned()),
            key: CorrelationKey("errors|x".to_owned()),
            rule: rule.name.clone(),
            rule_hash: rule.hash(),
            mode: rule.mode,
            severity: Severity::P1,
            summary: "errors".to_owned(),
            runbook: None,
            target: None,
            labels: Labels::new(),
            annotations: Labels::new(),
        };
        Self {
            incident: Incident::open(opening, now),
            now,
            rule,
            policy: Some(mk_policy()),
            schedules: BTreeMap::new(),
            defaults: vec![slack("#default")],
            last_resorts: vec![slack("#last")],
            candidates: Vec::new(),
            checks: Vec::new(),
            last_moment: Vec::new(),
            on_resolve: Vec::new(),
            looks_first: false,
            has_chart: false,
            told_by: None,
            notes: Vec::new(),
            effects: Vec::new(),
            lines: Vec::new(),
        }
    }

    pub(super) fn try_happen(&mut self, event: Event) -> Result<Transition, Refused> {
        let facts = Facts {
            rule: &self.rule,
            policy: self.policy.as_ref(),
            policy_hash: None,
            schedules: &self.schedules,
            default_destinations: &self.defaults,
            fallback_destinations: &self.last_resorts,
            candidates: &self.candidates,
            checks: &self.checks,
            last_moment: &self.last_moment,
            on_resolve: &self.on_resolve,
            looks_first: self.looks_first,
            silence_max: Some(SignedDuration::from_hours(7 * 24)),
            told_by: self.told_by,
            notes: &self.notes,
        };
        let transition = apply(self.incident.clone(), event, &facts, self.now)?;
        self.incident = transition.incident.clone();
        self.lines.extend(transition.lines.iter().cloned());
        self.effects.retain(|effect| !transition.cancelled.contains(&effect.id));
        self.effects.extend(transition.effects.iter().cloned());
        verify_chain(&self.lines).expect("the trail stays whole");
        if transition.wants_decision {
            return self.try_happen(Event::Decide);
        }
        Ok(transition)
    }

    pub(super) fn happen(&mut self, event: Event) -> Transition {
        self.try_happen(event).expect("not refused")
    }

    pub(super) fn fire(&mut self, instance: &str) -> Transition {
        let alert = Arc::new(mk_alert(AlertStatus::Firing, instance, self.now));
        self.happen(Event::AlertSeen {
            alert,
            observation: Observation::Started,
            counted: false,
            found: false,
        })
    }

    pub(super) fn fire_again(&mut self, instance: &str) -> Transition {
        let alert = Arc::new(mk_alert(AlertStatus::Firing, instance, self.now));
        self.happen(Event::AlertSeen {
            alert,
            observation: Observation::Started,
            counted: true,
            found: false,
        })
    }

    pub(super) fn end_alert(&mut self, instance: &str) -> Transition {
        let alert = Arc::new(mk_alert(AlertStatus::Resolved, instance, self.now));
        self.happen(Event::AlertSeen { alert, observation: Observation::Ended, counted: true, found: false })
    }

    /// Finishes the diagnosis that is wished.
    pub(super) fn diagnosed(&mut self) -> Transition {
        self.diagnosed_with("0.12")
    }

    /// The same, with this text in the finding.
    pub(super) fn diagnosed_with(&mut self, text: &str) -> Transition {
        let effect = self.take_effect(|effect| matches!(effect, Effect::Diagnose { .. }));
        let Effect::Diagnose { purpose, round } = effect.effect else { panic!("a diagnosis") };
        let chart = self.has_chart.then(|| Box::new(mk_chart(self.now)));
        let finding = Finding { text: text.to_owned(), chart, ..mk_finding("ratio") };
        self.happen(Event::DiagnosisDone {
            purpose,
            round,
            findings: vec![finding],
            surveys: Vec::new(),
            vitals: None,
        })
    }

    /// Brings the incident to the decision over `candidates`.
    pub(super) fn decided(candidates: Vec<Candidate>, remedies: Vec<RemedySpec>) -> Self {
        let mut world = Self::new(remedies);
        world.candidates = candidates;
        world.fire("a");
        world.diagnosed();
        world
    }

    /// Starts the wished attempt of the newest action, whose answer is then out.
    pub(super) fn start_act(&mut self) -> (ActionId, Step) {
        let effect = self.take_effect(|effect| matches!(effect, Effect::Act { .. }));
        let Effect::Act { action, step } = effect.effect else { panic!("an attempt") };
        let starting = self.happen(Event::ActionStarting { action: action.clone(), step, attempt: 1 });
        assert_eq!(starting.may_start, Some(StartAs::Act), "the attempt may start");
        (action, step)
    }

    /// Carries out the wished attempt of the newest action.
    pub(super) fn act(&mut self, outcome: ActionOutcome) -> Transition {
        let (action, step) = self.start_act();
        self.happen(Event::ActionEnded { action, step, outcome })
    }

    pub(super) fn applied() -> ActionOutcome {
        ActionOutcome::Applied { detail: "200".to_owned(), inverse: None, requests: Vec::new() }
    }

    pub(super) fn vote(&mut self, verdict: Verdict, name: &str) -> Result<Transition, Refused> {
        let action = self.last_action();
        let ballot = Ballot {
            actor: person(name, Role::Approver),
            member: None,
            is_named: true,
            verdict,
            digest: None,
            reason: None,
        };
        self.try_happen(Event::Ballot { action, ballot })
    }

    pub(super) fn last_action(&self) -> ActionId {
        self.incident.actions.last().expect("an action").id.clone()
    }

    pub(super) fn status(&self) -> ActionStatus {
        self.incident.actions.last().expect("an action").status
    }

    /// Moves the clock to the next outstanding wake of a kind and lets it come due.
    pub(super) fn wake(&mut self, fits: impl Fn(&Wake) -> bool) -> Transition {
        let effect = self.take_effect(|effect| matches!(effect, Effect::Wake(wake) if fits(wake)));
        self.now = self.now.max(effect.due_at);
        let Effect::Wake(wake) = effect.effect else { panic!("a wake") };
        self.happen(Event::Woken { effect: effect.id, wake })
    }

    pub(super) fn wakes(&self, fits: impl Fn(&Wake) -> bool) -> Vec<Timestamp> {
        let due = |effect: &NewEffect| match &effect.effect {
            Effect::Wake(wake) if fits(wake) => Some(effect.due_at),
            _ => None,
        };
        self.effects.iter().filter_map(due).collect()
    }

    pub(super) fn take_effect(&mut self, fits: impl Fn(&Effect) -> bool) -> NewEffect {
        let index =
            self.effects.iter().position(|effect| fits(&effect.effect)).expect("such an effect is wished");
        self.effects.remove(index)
    }

    pub(super) fn has_effect(&self, fits: impl Fn(&Effect) -> bool) -> bool {
        self.effects.iter().any(|effect| fits(&effect.effect))
    }

    /// Notices wished since the last call, as `destination kind`.
    pub(super) fn notices(&mut self) -> Vec<String> {
        let (notices, rest) = std::mem::take(&mut self.effects)
            .into_iter()
            .partition(|e| matches!(e.effect, Effect::Notify { .. }));
        self.effects = rest;
        let told = |effect: NewEffect| match effect.effect {
            Effect::Notify { destination, notice } => format!("{destination} {}", notice.kind()),
            _ => String::new(),
        };
        Vec::into_iter(notices).map(told).collect()
    }

    /// Says that a card reached its channel.
    pub(super) fn card_sent(&mut self, destination: &Destination) -> Transition {
        let shown_version = self.incident.visible_version;
        self.happen(Event::NoticeSent {
            destination: destination.clone(),
            notice: Notice::Card,
            message: Some(crate::notification::MessageRef { channel: "C1".to_owned(), ts: "1.1".to_owned() }),
            shown_version,
        })
    }

    pub(super) fn reasons(&self) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line.reason.as_deref()).collect()
    }
}
