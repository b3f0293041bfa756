//! One rule as a value: a T1 remedy that may not be repeated, verified, with a rollback; a policy with two levels.

use jiff::SignedDuration;
use serde_json::{Value, json};
use smokejumper::domain::action::{ActionPlan, Repeatability, Tier};
use smokejumper::domain::alert::Alert;
use smokejumper::domain::catalog::Performer;
use smokejumper::domain::correlate::{CorrelationKey, group_labels};
use smokejumper::domain::decision::Candidate;
use smokejumper::domain::diagnosis::{ConditionOutcome, Finding};
use smokejumper::domain::escalation::{EscalationPolicy, Level, Repeat};
use smokejumper::domain::incident::Incident;
use smokejumper::domain::notification::Destination;
use smokejumper::domain::rule::{
    ActionSpec, Condition, DiagnosticSpec, OnFail, RemedySpec, ResponseRule, RuleHash, SeveritySpec,
    VerifySpec,
};
use smokejumper::domain::schedule::Schedule;
use smokejumper::domain::severity::Severity;
use smokejumper::domain::survey::SurveyStanding;
use smokejumper::engine::playbook::{KeptPolicy, KeptRule, Outline, Playbook, ReadyDiagnostic, RuleRole};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub struct OneRule {
    rule: Arc<KeptRule>,
    policy: Arc<KeptPolicy>,
    schedules: Arc<BTreeMap<String, Schedule>>,
    /// So many targets at once are about something larger; 0 for any number.
    pub crowd: u32,
    /// Whether the process only watches.
    pub dry_run: bool,
}

pub fn first_level() -> Destination {
    Destination::PagerDuty { service: "first".to_owned() }
}

pub fn second_level() -> Destination {
    Destination::Slack { channel: "#second".to_owned() }
}

pub const SECOND_AFTER: SignedDuration = SignedDuration::from_mins(15);

impl OneRule {
    pub fn new() -> Self {
        Self::with_cooldown(SignedDuration::ZERO)
    }

    /// One remedy that asks, has a condition, and carries what was found in its values.
    pub fn asking() -> Self {
        let mut rules = Self::new();
        let mut rule = rules.rule.rule.clone();
        rule.remedies.retain(|remedy| remedy.tier == Tier::T2);
        for remedy in &mut rule.remedies {
            remedy.when = Some(Condition("findings.ratio.ok || !findings.ratio.ok".to_owned()));
        }
        rules.rule = Arc::new(KeptRule::new(rule));
        rules
    }

    /// One remedy that asks as soon as an alert arrives, of one incident where there are two.
    pub fn asking_once() -> Self {
        let mut rules = Self::new();
        let mut rule = rules.rule.rule.clone();
        rule.diagnostics.clear();
        rule.remedies.retain(|remedy| remedy.tier == Tier::T2);
        for remedy in &mut rule.remedies {
            remedy.verify = None;
        }
        rules.rule = Arc::new(KeptRule::new(rule));
        rules.crowd = 2;
        rules
    }

    pub fn with_cooldown(cooldown: SignedDuration) -> Self {
        let action = |endpoint: &str| ActionSpec {
            kind: "http.call".to_owned(),
            params: json!({ "endpoint": endpoint }),
        };
        let remedy = |name: &str, tier| RemedySpec {
            name: name.to_owned(),
            when: None,
            tier,
            action: action(name),
            verify: Some(VerifySpec {
                settle: SignedDuration::from_secs(10),
                hold: SignedDuration::from_secs(20),
                within: SignedDuration::from_mins(3),
                checks: vec![Condition("findings.ratio.ok".to_owned())],
                on_fail: OnFail::Rollback,
            }),
            rollback: Some(action("undo")),
            approval_expires: SignedDuration::from_mins(15),
            cooldown: Some(cooldown),
        };
        let rule = ResponseRule {
            name: "errors".to_owned(),
            procedures: Vec::new(),
            runbook: None,
            summary: None,
            priority: 0,
            continues: false,
            matchers: Default::default(),
            severity: SeveritySpec::Fixed(Severity::P0),
            target: None,
            group_by: vec!["service".to_owned()],
            escalation: Some("night".to_owned()),
            diagnostics: vec![DiagnosticSpec {
                name: "ratio".to_owned(),
                kind: "prom.query".to_owned(),
                params: json!({}),
            }],
            remedies: vec![remedy("limit", Tier::T1), remedy("fail-over", Tier::T2)],
            on_resolve: Vec::new(),
            dry_run: false,
            mode: Default::default(),
            reopen_within: SignedDuration::from_mins(30),
        };
        let level = |name: &str, after, destination| Level {
            name: name.to_owned(),
            after,
            hours: None,
            destinations: vec![destination],
            on_call: Vec::new(),
        };
        let policy = EscalationPolicy {
            name: "night".to_owned(),
            selector: None,
            acknowledge_within: None,
            acknowledgement_expires_after: None,
            defer_until: None,
            objectives: None,
            levels: vec![
                level("first", SignedDuration::ZERO, first_level()),
                level("second", SECOND_AFTER, second_level()),
            ],
            repeat: Some(Repeat { every: SignedDuration::from_mins(30), times: 2 }),
            fallback: vec![Destination::Slack { channel: "#last".to_owned() }],
        };
        Self {
            rule: Arc::new(KeptRule::new(rule)),
            policy: Arc::new(KeptPolicy::new(policy)),
            schedules: Arc::default(),
            crowd: 0,
            dry_run: false,
        }
    }
}

impl Playbook for OneRule {
    fn matching(&self, _: &Alert) -> Vec<Arc<KeptRule>> {
        vec![Arc::clone(&self.rule)]
    }
    fn is_unmatched(&self, _kept: &KeptRule) -> bool {
        false
    }

    fn role(&self, _: &str) -> RuleRole {
        RuleRole::Acts
    }

    fn key(&self, kept: &KeptRule, alert: &Alert) -> CorrelationKey {
        CorrelationKey::for_group(&kept.rule.name, &group_labels(&kept.rule.group_by, &alert.labels))
    }
    fn outline(&self, _: &KeptRule, alert: &Alert) -> Outline {
        let (severity, summary) = (Severity::P0, alert.name().to_owned());
        Outline { severity, summary, runbook: None, target: None, notes: Vec::new() }
    }
    fn policy(&self, _: &KeptRule, _: Severity, _: &Alert) -> Option<Arc<KeptPolicy>> {
        Some(Arc::clone(&self.policy))
    }
    fn schedules(&self) -> Arc<BTreeMap<String, Schedule>> {
        Arc::clone(&self.schedules)
    }
    /// A restarted process must find the texts that incidents keep in the store, so nothing is known by digest.
    fn rule_by_hash(&self, _: &RuleHash) -> Option<Arc<KeptRule>> {
        None
    }
    fn policy_by_hash(&self, _: &RuleHash) -> Option<Arc<KeptPolicy>> {
        None
    }
    fn adopt_rule(&self, text: Value) -> Result<Arc<KeptRule>, String> {
        serde_json::from_value(text)
            .map(|rule| Arc::new(KeptRule::new(rule)))
            .map_err(|error| error.to_string())
    }
    fn adopt_policy(&self, text: Value) -> Result<Arc<KeptPolicy>, String> {
        serde_json::from_value(text)
            .map(|policy| Arc::new(KeptPolicy::new(policy)))
            .map_err(|error| error.to_string())
    }
    fn diagnostics(&self, kept: &KeptRule, _: &Incident) -> Vec<ReadyDiagnostic> {
        let ready = |spec: &DiagnosticSpec| ReadyDiagnostic {
            spec: spec.clone(),
            params: Ok(json!({})),
            timeout: Duration::from_secs(5),
        };
        kept.rule.diagnostics.iter().map(ready).collect()
    }
    fn is_surveyed(&self, _: &KeptRule) -> bool {
        false
    }
    fn candidates(&self, kept: &KeptRule, incident: &Incident, findings: &[Finding]) -> Vec<Candidate> {
        let is_conditional = kept.rule.remedies.iter().any(|remedy| remedy.when.is_some());
        let found_at = findings.first().filter(|_| is_conditional).map(|finding| finding.taken_at);
        let service = incident.labels.get("service");
        let plan = |endpoint: &str| ActionPlan {
            kind: "http.call".to_owned(),
            params: json!({ "endpoint": endpoint, "service": service, "found_at": found_at }),
            target: format!("service:{}", incident.labels.get("service").map_or("", String::as_str)),
            namespace: None,
            summary: format!("call {endpoint}"),
            repeatability: Repeatability::AtMostOnce,
            basis: None,
            ttl: None,
        };
        kept.rule
            .remedies
            .iter()
            .map(|remedy| Candidate {
                remedy: remedy.name.clone(),
                tier: remedy.tier,
                performer: Performer::Machine,
                condition: ConditionOutcome::Holds,
                not_set_up: None,
                plan: Ok(plan(&remedy.name)),
                inverse: Some(plan("undo")),
                touches: Vec::new(),
                survey: SurveyStanding::NotNeeded,
                guardrails: Vec::new(),
                tried: incident.tried_remedies().any(|tried| tried == remedy.name),
            })
            .collect()
    }
    fn on_resolve(&self, _: &KeptRule, _: &Incident, _: &[Finding]) -> Vec<Candidate> {
        Vec::new()
    }
    fn checks(&self, _: &KeptRule, _: &str, _: &Incident, findings: &[Finding]) -> Vec<ConditionOutcome> {
        let holds = findings.iter().any(|finding| finding.fields.get("ok") == Some(&Value::Bool(true)));
        vec![if holds { ConditionOutcome::Holds } else { ConditionOutcome::Fails }]
    }
}
