//! `smokejumper explain`: what the service would make of an alert, by the service's own rules and functions.
//!
//! Nothing is stored, and nobody is told. No network is touched either, unless the caller asks for a look: then the
//! rule's diagnostics run, which only read, and the targets of its remedies are looked at, where the cluster rehearses the
//! write. What nobody looks at is assumed, and said to be. What a store would know is taken as empty: nothing is paused,
//! and no action has started before.

use super::rulebook::{self, engine_settings};
use super::{adapters, own};
use crate::actions::{Actions, ActionsOptions};
use crate::clients::http::{ProxyChoice, install_crypto_provider};
use crate::diagnostics::Diagnostics;
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::diagnosis::{Finding, FindingStatus};
use crate::domain::rule::DiagnosticSpec;
use crate::domain::survey::Survey;
use crate::domain::vitals::Vitals;
use crate::engine::EngineSettings;
use crate::engine::gathering::{gather, survey, vitals};
use crate::engine::playbook::{KeptRule, Playbook};
use crate::engine::ports::{Clock, Diagnoser, DiagnosisContext, Ledger, PortFuture};
use crate::engine::step::rehearsal::{Rehearsal, Stage};
use crate::rules::book::{RuleBook, UNMATCHED};
use crate::secret::Keyring;
use crate::settings::Settings;
use anyhow::Context;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why a finding is unknown that nobody asked for.
const NOT_GATHERED: &str = "it was not gathered";

/// Where findings come from; those that come from nowhere are unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// From the caller, by the names that the rules give them: nobody looks for these.
    pub given: BTreeMap<String, GivenFinding>,
    /// Whether the rule's diagnostics are really run for the others, and targets looked at.
    pub is_diagnosed: bool,
}

/// A finding as a caller tells it: the fields that conditions read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GivenFinding {
    /// Why it is unknown; none for a known one.
    pub unknown: Option<String>,
    /// Its fields.
    pub fields: Map<String, Value>,
    /// What people would read.
    pub text: String,
}

/// What `explain` was told.
#[derive(Debug, Clone)]
pub struct ExplainOptions {
    /// The settings file; none means defaults and environment only.
    pub config: Option<PathBuf>,
    /// The time at which the alert arrives.
    pub now: Timestamp,
    /// Where findings come from.
    pub evidence: Evidence,
}

/// Settings and rules, ready to explain alerts.
pub struct Explainer {
    book: Arc<RuleBook>,
    settings: EngineSettings,
    ledger: Ledger,
    now: Timestamp,
    evidence: Evidence,
    /// Who looks, where somebody does.
    eyes: Option<Eyes>,
    /// Has neither endpoints nor a cluster, so that it cannot reach anything.
    actor: Actions,
}

/// Looks at the world for a rehearsal.
struct Eyes {
    diagnoser: Diagnostics,
    /// Looks at targets, and is asked for nothing else.
    surveyor: Actions,
}

/// Looks for whatever the caller does not take for granted.
struct Granted<'e> {
    given: &'e BTreeMap<String, GivenFinding>,
    eyes: &'e Diagnostics,
}

impl Diagnoser for Granted<'_> {
    fn diagnose<'a>(
        &'a self,
        spec: &'a DiagnosticSpec,
        params: Value,
        context: DiagnosisContext,
        timeout: Duration,
    ) -> PortFuture<'a, Finding> {
        match self.given.get(&spec.name) {
            Some(given) => Box::pin(std::future::ready(given.finding(&spec.name, &spec.kind, context.now))),
            None => self.eyes.diagnose(spec, params, context, timeout),
        }
    }
}

/// What would be made of one alert.
pub struct Explained<'e> {
    /// The rules that answer it, in order; never empty.
    pub rules: Vec<Arc<KeptRule>>,
    /// What each of them would do; empty for an alert that has ended, as it opens nothing.
    pub rehearsals: Vec<Rehearsal<'e>>,
    /// Rules that match as well and are not reached.
    pub not_reached: Vec<String>,
}

/// The time that the caller said.
struct StoppedClock(Timestamp);

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

impl Explainer {
    /// Reads settings and rules. Secrets are only needed, and only those of Prometheus, for a look.
    ///
    /// # Errors
    /// Settings or rules that cannot be used, or a secret that is missing for the look.
    pub fn new(options: ExplainOptions, environment: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        install_crypto_provider();
        let mut settings = Settings::load(options.config.as_deref(), environment)?;
        own::fill_in(&mut settings, environment);
        let book = rulebook::open(&settings)?;
        let keyring = Keyring::new(environment.clone());
        let eyes = match options.evidence.is_diagnosed {
            true => Some(Eyes {
                diagnoser: adapters::diagnostics(&settings, &keyring)?,
                surveyor: adapters::surveyor(&settings, &keyring)?,
            }),
            false => None,
        };
        let actor = ActionsOptions {
            endpoints: BTreeMap::new(),
            proxy: ProxyChoice::default(),
            kubernetes: None,
            connections: Default::default(),
            keyring,
        };
        Ok(Self {
            book,
            settings: engine_settings(&settings),
            ledger: Ledger::default(),
            now: options.now,
            evidence: options.evidence,
            eyes,
            actor: Actions::new(actor).context("the actions cannot be built")?,
        })
    }

    /// Explains one alert.
    pub async fn explain(&self, alert: &Alert) -> Explained<'_> {
        let rules = self.book.matching(alert);
        let answering: BTreeSet<&str> = rules.iter().map(|kept| kept.rule.name.as_str()).collect();
        let set = self.book.current();
        let not_reached = set
            .rules()
            .iter()
            .filter(|kept| kept.rule.matchers.matches(&alert.labels))
            .map(|kept| kept.rule.name.clone())
            .filter(|name| !answering.contains(name.as_str()))
            .collect();
        let mut rehearsals = Vec::new();
        if alert.status == AlertStatus::Firing {
            for rule in &rules {
                rehearsals.push(self.rehearse(rule, alert).await);
            }
        }
        Explained { rules, rehearsals, not_reached }
    }

    async fn rehearse(&self, rule: &Arc<KeptRule>, alert: &Alert) -> Rehearsal<'_> {
        let stage = Stage {
            playbook: self.book.as_ref(),
            settings: &self.settings,
            ledger: &self.ledger,
            assumes_targets: self.eyes.is_none(),
            now: self.now,
        };
        let mut rehearsal = Rehearsal::open(stage, Arc::clone(rule), alert);
        let findings = self.findings(&rehearsal).await;
        let (surveys, vitals) = match &self.eyes {
            Some(eyes) => {
                let signs = vitals(&eyes.diagnoser, &StoppedClock(self.now)).await;
                (self.look(eyes, &rehearsal, &findings).await, signs)
            }
            // Nobody looks: what monitoring would say is taken as good, as findings are taken as they are given.
            None => (Vec::new(), Vitals::none(self.now)),
        };
        rehearsal.diagnosed(findings, surveys, Some(vitals));
        rehearsal.carry_out_what_touches_nothing(&self.actor).await;
        rehearsal.escalate();
        rehearsal
    }

    /// Looks at the targets of all remedies, since each is shown by itself; the service looks down the ladder only to
    /// the first that has something to do.
    async fn look(&self, eyes: &Eyes, rehearsal: &Rehearsal<'_>, findings: &[Finding]) -> Vec<Survey> {
        let (rule, incident) = (rehearsal.rule(), rehearsal.incident());
        let (book, clock) = (self.book.as_ref(), StoppedClock(self.now));
        let mut surveys = Vec::new();
        for remedy in &rule.rule.remedies {
            let only = Some(remedy.name.as_str());
            surveys.extend(survey(book, &eyes.surveyor, &clock, rule, incident, findings, only).await);
        }
        surveys
    }

    async fn findings(&self, rehearsal: &Rehearsal<'_>) -> Vec<Finding> {
        let given = &self.evidence.given;
        if let Some(Eyes { diagnoser, .. }) = &self.eyes {
            let (eyes, clock) = (Granted { given, eyes: diagnoser }, StoppedClock(self.now));
            return gather(self.book.as_ref(), &eyes, &clock, rehearsal.rule(), rehearsal.incident()).await;
        }
        let finding = |name: &str, kind: &str| {
            given.get(name).map_or_else(
                || Finding::unknown(name, kind, NOT_GATHERED, self.now, 0),
                |given| given.finding(name, kind, self.now),
            )
        };
        let diagnostics = &rehearsal.rule().rule.diagnostics;
        diagnostics.iter().map(|spec| finding(&spec.name, &spec.kind)).collect()
    }
}

impl GivenFinding {
    fn finding(&self, name: &str, kind: &str, now: Timestamp) -> Finding {
        let unknown = Finding::unknown(name, kind, self.unknown.as_deref().unwrap_or_default(), now, 0);
        if self.unknown.is_some() {
            return unknown;
        }
        let (fields, text) = (self.fields.clone(), self.text.clone());
        Finding { status: FindingStatus::Known, fields, text, ..unknown }
    }
}

impl Explained<'_> {
    /// Whether no rule of the files matches, so that the implicit last rule answers.
    pub fn is_unmatched(&self) -> bool {
        self.rules.iter().all(|kept| kept.rule.name == UNMATCHED)
    }
}
