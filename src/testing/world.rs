//! The world of a rule test: it answers what the test file says, and nothing else is there.
//!
//! What only asks the engine or people is really carried out, by actions that can reach nothing. A finding that the test
//! does not name is unknown, with a reason by which the test is told that it lacks something.

use super::format::{CannedFinding, CannedOutcome, CannedTarget, Findings, Short};
use crate::actions::{Actions, ActionsOptions};
use crate::clients::http::{HttpError, ProxyChoice, install_crypto_provider};
use crate::diagnostics::{Diagnostics, DiagnosticsOptions, VitalsOptions};
use crate::domain::action::{ActionOutcome, ActionPlan, Step, Tier};
use crate::domain::catalog::{Inverse, Performer};
use crate::domain::diagnosis::{Finding, FindingStatus};
use crate::domain::incident::Incident;
use crate::domain::rule::DiagnosticSpec;
use crate::domain::survey::{Impact, Rollout, SurveyOutcome, Surveyed};
use crate::domain::vitals::{Sign, Vitals};
use crate::engine::playbook::Playbook;
use crate::engine::ports::{
    ActionContext, Actor, Alerting, Diagnoser, DiagnosisContext, Kept, Peer, PortFuture, Sentinel,
    SilenceOrder, SilenceRefused, SurveyContext, Surveyor,
};
use crate::rules::RuleBook;
use crate::secret::Keyring;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Begins the reason of a finding that the test does not say.
pub const NOT_SAID: &str = "the test does not say what this finds:";

/// Diagnostics that need nothing from outside, and are really run where a test says nothing of them.
const RUN_FOR_REAL: [&str; 1] = ["links.render"];

/// Replicas of a target of which a test says nothing.
const REPLICAS: u32 = 3;

/// Diagnostics and actions that can reach nothing. Made once: their clients take a while.
pub struct Tools {
    diagnostics: Diagnostics,
    actions: Actions,
}

impl Tools {
    /// Makes them.
    ///
    /// # Errors
    /// Where the machine cannot make an HTTP client.
    pub fn new() -> Result<Self, HttpError> {
        install_crypto_provider();
        let keyring = Keyring::new(BTreeMap::new());
        let diagnostics = DiagnosticsOptions {
            prometheus: None,
            kubernetes: None,
            connections: Default::default(),
            vitals: VitalsOptions::default(),
            probe_loopback: false,
            keyring: keyring.clone(),
        };
        let actions = ActionsOptions {
            endpoints: BTreeMap::new(),
            proxy: ProxyChoice::default(),
            kubernetes: None,
            connections: Default::default(),
            keyring,
        };
        Ok(Self { diagnostics: Diagnostics::new(diagnostics)?, actions: Actions::new(actions)? })
    }
}

/// What the test file says of the world, as it stands now.
#[derive(Debug, Clone, Default)]
struct Said {
    findings: BTreeMap<String, CannedFinding>,
    targets: BTreeMap<String, CannedTarget>,
    outcomes: BTreeMap<String, CannedOutcome>,
    blind: Option<String>,
    /// Names of findings that were asked for.
    asked: BTreeSet<String>,
}

/// The world of one test.
pub struct World {
    said: Mutex<Said>,
    book: Arc<RuleBook>,
    tools: Arc<Tools>,
}

impl World {
    /// A world of which nothing is said yet.
    pub fn new(book: Arc<RuleBook>, tools: Arc<Tools>) -> Self {
        Self { said: Mutex::default(), book, tools }
    }

    /// Diagnostics find this from now on.
    pub fn find(&self, findings: &Findings) {
        let found = findings.iter().map(|(name, Short(finding))| (name.clone(), finding.clone()));
        self.said().findings.extend(found);
    }

    /// Looks at targets see this from now on.
    pub fn show(&self, targets: &BTreeMap<String, Short<CannedTarget>>) {
        let shown = targets.iter().map(|(name, Short(target))| (name.clone(), target.clone()));
        self.said().targets.extend(shown);
    }

    /// Attempts end like this from now on.
    pub fn answer(&self, outcomes: &BTreeMap<String, Short<CannedOutcome>>) {
        let answered = outcomes.iter().map(|(name, Short(outcome))| (name.clone(), outcome.clone()));
        self.said().outcomes.extend(answered);
    }

    /// Monitoring cannot be trusted from now on, for this reason; an empty one ends that.
    pub fn blind(&self, why: &str) {
        self.said().blind = Some(why.to_owned()).filter(|why| !why.is_empty());
    }

    /// Names of findings that were asked for.
    pub fn asked(&self) -> BTreeSet<String> {
        self.said().asked.clone()
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finding(&self, spec: &DiagnosticSpec, now: Timestamp) -> Option<Finding> {
        let mut said = self.said();
        said.asked.insert(spec.name.clone());
        let unknown = |why: &str| Finding::unknown(&spec.name, &spec.kind, why, now, 0);
        Some(match said.findings.get(&spec.name)? {
            CannedFinding::Unknown(why) => unknown(why),
            CannedFinding::Known { fields, text } => Finding {
                status: FindingStatus::Known,
                fields: fields.clone(),
                text: text.clone(),
                ..unknown("")
            },
        })
    }

    /// The remedy that a draft is of.
    fn remedy_of(&self, draft: &ActionPlan, incident: &Incident) -> Option<String> {
        let kept = self.book.rule_by_hash(&incident.rule_hash)?;
        let now = incident.updated_at;
        let findings: Vec<Finding> =
            kept.rule.diagnostics.iter().filter_map(|spec| self.finding(spec, now)).collect();
        let candidates = self.book.candidates(&kept, incident, &findings);
        let is_meant = |plan: &Result<ActionPlan, String>| plan.as_ref().is_ok_and(|plan| plan == draft);
        candidates.into_iter().find(|candidate| is_meant(&candidate.plan)).map(|candidate| candidate.remedy)
    }

    fn look(&self, draft: &ActionPlan, incident: &Incident) -> SurveyOutcome {
        let has_targets = !self.said().targets.is_empty();
        let remedy = has_targets.then(|| self.remedy_of(draft, incident)).flatten();
        let target = remedy.and_then(|remedy| self.said().targets.get(&remedy).cloned()).unwrap_or_default();
        if let Some(reason) = target.nothing_to_do {
            return SurveyOutcome::NothingToDo { reason };
        }
        if let Some(reason) = target.refused {
            return SurveyOutcome::Refused { reason };
        }
        if let Some(reason) = target.not_now {
            return SurveyOutcome::NotNow { reason, wait: None };
        }
        let kind = self.book.catalog().action(&draft.kind);
        let plan = ActionPlan {
            basis: Some(json!({ "draft": draft.digest().0, "state": target.state })),
            ..draft.clone()
        };
        let is_undone = kind.is_some_and(|kind| kind.inverse == Inverse::Recorded);
        let inverse = is_undone.then(|| ActionPlan {
            summary: format!("undo: {}", plan.summary),
            ttl: None,
            ..plan.clone()
        });
        let replicas = target.replicas.or(target.available).unwrap_or(REPLICAS);
        let rollout = match (target.rollout, target.stuck) {
            (Some(status), _) => Rollout::UnderWay { status },
            (None, Some(reason)) => Rollout::Stuck { reason },
            (None, None) => Rollout::Settled,
        };
        let impact = Impact {
            workloads: target.workloads.unwrap_or(1),
            replicas,
            available: target.available.unwrap_or(replicas),
            disrupted: target.disrupted,
            rollout,
            ends_rollout: draft.kind == "k8s.rollout_undo",
            ..Impact::on(draft.target.split('/').next().unwrap_or_default())
        };
        let surveyed = Surveyed {
            plan,
            inverse,
            tier_floor: target.tier.unwrap_or(Tier::T0),
            notes: target.note.into_iter().collect(),
            impact,
        };
        SurveyOutcome::Ready(Box::new(surveyed))
    }

    fn outcome(&self, context: &ActionContext) -> ActionOutcome {
        let own = context.view.as_ref().map(|view| &view.incident.actions);
        let step = format!("-{}", context.step.as_str());
        let id = context.key.strip_suffix(&step).unwrap_or(&context.key);
        let remedy = own.and_then(|actions| actions.iter().find(|action| action.id.0 == id));
        let remedy = remedy.map_or("", |action| action.remedy.as_str());
        let name = match context.step {
            Step::Apply => remedy.to_owned(),
            Step::Rollback => format!("{remedy}/rollback"),
        };
        match self.said().outcomes.get(&name).cloned() {
            None => applied("done"),
            Some(CannedOutcome::Applied(detail)) => applied(&detail),
            Some(CannedOutcome::AlreadySo(detail)) => ActionOutcome::AlreadySo { detail },
            Some(CannedOutcome::NotApplied(reason)) => ActionOutcome::NotApplied { reason },
            Some(CannedOutcome::NotNow(reason)) => ActionOutcome::NotNow { reason, wait: None },
            Some(CannedOutcome::Failed(reason)) => ActionOutcome::Failed { reason },
            Some(CannedOutcome::Unknown(reason)) => ActionOutcome::Unknown { reason },
        }
    }
}

fn applied(detail: &str) -> ActionOutcome {
    ActionOutcome::Applied { detail: detail.to_owned(), inverse: None, requests: Vec::new() }
}

impl Diagnoser for World {
    fn diagnose<'a>(
        &'a self,
        spec: &'a DiagnosticSpec,
        params: Value,
        context: DiagnosisContext,
        timeout: Duration,
    ) -> PortFuture<'a, Finding> {
        if let Some(finding) = self.finding(spec, context.now) {
            return Box::pin(std::future::ready(finding));
        }
        if RUN_FOR_REAL.contains(&spec.kind.as_str()) {
            return self.tools.diagnostics.diagnose(spec, params, context, timeout);
        }
        let why = format!("{NOT_SAID} {} ({})", spec.name, spec.kind);
        Box::pin(std::future::ready(Finding::unknown(&spec.name, &spec.kind, why, context.now, 0)))
    }
}

impl Sentinel for World {
    fn vitals(&self, now: Timestamp) -> PortFuture<'_, Vitals> {
        let mut vitals = Vitals::none(now);
        if let Some(why) = self.said().blind.clone() {
            vitals.signs.insert("monitoring".to_owned(), Sign::Blind(why));
        }
        Box::pin(std::future::ready(vitals))
    }
}

impl Surveyor for World {
    fn survey<'a>(&'a self, draft: &'a ActionPlan, context: SurveyContext) -> PortFuture<'a, SurveyOutcome> {
        Box::pin(std::future::ready(self.look(draft, &context.incident)))
    }

    fn is_so<'a>(&'a self, _: &'a ActionPlan) -> PortFuture<'a, Option<String>> {
        Box::pin(std::future::ready(None))
    }
}

impl Actor for World {
    fn act<'a>(&'a self, plan: &'a ActionPlan, context: ActionContext) -> PortFuture<'a, ActionOutcome> {
        let kind = self.book.catalog().action(&plan.kind);
        let touches =
            kind.is_none_or(|kind| kind.tier_floor > Tier::T0 && kind.performer == Performer::Machine);
        match touches {
            true => Box::pin(std::future::ready(self.outcome(&context))),
            false => self.tools.actions.act(plan, context),
        }
    }

    fn look_back<'a>(
        &'a self,
        _: &'a ActionPlan,
        context: &'a ActionContext,
    ) -> PortFuture<'a, ActionOutcome> {
        Box::pin(std::future::ready(self.outcome(context)))
    }
}

/// An Alertmanager that takes whatever it is told.
impl Alerting for World {
    fn held(&self) -> PortFuture<'_, Vec<Peer>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn silence<'a>(&'a self, _: &'a SilenceOrder) -> PortFuture<'a, Result<Kept, SilenceRefused>> {
        Box::pin(std::future::ready(Ok(Kept::Stands)))
    }

    fn end_silence<'a>(&'a self, _: &'a SilenceOrder) -> PortFuture<'a, Result<(), SilenceRefused>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
