//! The rules in force: one [`RuleSet`] at a time, replaced as a whole or not at all.
//!
//! A reload that finds mistakes leaves the last good set in force. Incidents keep their own rules by digest, so a
//! reload changes only later incidents; whatever rule an incident brings along is compiled here. Reading files
//! blocks: callers within the runtime use a blocking thread, as [`super::watch`] does.

use super::compiled::CompiledRule;
use super::known::Known;
use super::last_resort::LastResort;
use super::load::{self, RuleErrors};
use super::ruleset::RuleSet;
use crate::domain::catalog::Catalog;
use crate::domain::rule::{ResponseRule, RuleHash, SeveritySpec, Template, default_reopen_within};
use crate::engine::playbook::{KeptPolicy, KeptRule, OWN_RULE};
use crate::yaml::Problem;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Name of the rule for alerts that no rule matches. Not a name that a file could use.
pub const UNMATCHED: &str = "(unmatched)";

/// Where the settings name the default policy.
pub const DEFAULT_POLICY_KEY: &str = "escalation.default_policy";

/// Most compiled or adopted rules that are kept at hand. When there are more, all are forgotten and compiled anew as
/// they are needed: a rule takes some 50 µs to compile and some 10 KiB to keep.
const CACHED_MAX: usize = 1024;

/// What a reload came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// The files are the same as at the last attempt.
    Unchanged,
    /// A new set is in force.
    Loaded {
        /// How many rules.
        rules: usize,
        /// How many policies.
        policies: usize,
        /// How many schedules.
        schedules: usize,
        /// How many doubtful things.
        warnings: usize,
    },
    /// The files have mistakes; the last good set stays in force.
    Refused(Arc<RuleErrors>),
}

impl Reload {
    /// The word for metrics and logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Loaded { .. } => "loaded",
            Self::Refused(_) => "refused",
        }
    }
}

/// What a rule book is made of.
#[derive(Debug, Clone)]
pub struct BookSource {
    /// Files with rules, as patterns with absolute paths or relative to the working directory.
    pub patterns: Vec<String>,
    /// The kinds that this build can carry out.
    pub catalog: Arc<Catalog>,
    /// Names that the settings define.
    pub known: Known,
    /// The policy for incidents that no rule and no selector gives one.
    pub default_policy: Option<String>,
}

/// The rules in force, and the rules that incidents keep.
#[derive(Debug)]
pub struct RuleBook {
    pub(super) source: BookSource,
    pub(super) own: Arc<KeptRule>,
    pub(super) unmatched: Arc<KeptRule>,
    pub(super) last_resort: Option<LastResort>,
    current: ArcSwap<RuleSet>,
    /// Digest of the files at the last attempt, good or bad. Held while a reload runs, so that two never interleave.
    attempted: Mutex<String>,
    refusal: ArcSwap<Option<Arc<RuleErrors>>>,
    compiled: Mutex<HashMap<RuleHash, Arc<CompiledRule>>>,
    adopted_rules: Mutex<HashMap<RuleHash, Arc<KeptRule>>>,
    adopted_policies: Mutex<HashMap<RuleHash, Arc<KeptPolicy>>>,
}

impl RuleBook {
    /// Loads the files for the first time.
    ///
    /// # Errors
    /// With every mistake in them: a service does not start with broken rules.
    pub fn open(source: BookSource) -> Result<Self, RuleErrors> {
        let set = load::load(&source.patterns, &source.catalog, &source.known)?;
        let set = require_default_policy(&source, set)?;
        Ok(Self::with_set(source, set))
    }

    /// A book with a set that is loaded already.
    pub fn with_set(source: BookSource, set: RuleSet) -> Self {
        Self {
            source,
            unmatched: Arc::new(KeptRule::new(unmatched())),
            last_resort: None,
            own: Arc::new(KeptRule::new(own())),
            attempted: Mutex::new(set.hash().to_owned()),
            current: ArcSwap::from_pointee(set),
            refusal: ArcSwap::from_pointee(None),
            compiled: Mutex::default(),
            adopted_rules: Mutex::default(),
            adopted_policies: Mutex::default(),
        }
    }

    /// The same book with what the settings say of urgent incidents that no policy is for.
    #[must_use]
    pub fn with_last_resort(self, last_resort: Option<LastResort>) -> Self {
        Self { last_resort, ..self }
    }

    /// The set in force.
    pub fn current(&self) -> Arc<RuleSet> {
        self.current.load_full()
    }

    /// The kinds that this build can carry out.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.source.catalog
    }

    /// Where the rules come from.
    pub fn patterns(&self) -> &[String] {
        &self.source.patterns
    }

    /// The mistakes that keep the newest files from being used, while they stand.
    pub fn refusal(&self) -> Option<Arc<RuleErrors>> {
        self.refusal.load().as_ref().clone()
    }

    /// Loads the files again, whether or not they have changed: all of them, or nothing.
    pub fn reload(&self) -> Reload {
        self.load_again(true)
    }

    /// Loads the files again if they have changed since the last attempt.
    pub fn reload_if_changed(&self) -> Reload {
        self.load_again(false)
    }

    fn load_again(&self, always: bool) -> Reload {
        let mut attempted = lock(&self.attempted);
        let found = load::read_files(&self.source.patterns);
        let hash = found.hash();
        if !always && *attempted == hash {
            return Reload::Unchanged;
        }
        *attempted = hash;
        let loaded = load::load_found(found, &self.source.catalog, &self.source.known);
        let loaded = loaded.and_then(|set| require_default_policy(&self.source, set));
        match loaded.and_then(|set| self.refuse_nothing(set)) {
            Ok(set) => {
                let reload = Reload::Loaded {
                    rules: set.rules().len(),
                    policies: set.policies().len(),
                    schedules: set.schedules().len(),
                    warnings: set.warnings().len(),
                };
                self.current.store(Arc::new(set));
                self.refusal.store(Arc::new(None));
                reload
            }
            Err(errors) => {
                let errors = Arc::new(errors);
                self.refusal.store(Arc::new(Some(Arc::clone(&errors))));
                Reload::Refused(errors)
            }
        }
    }

    /// A directory that is being replaced, or a file that is being written, looks empty for a moment. Falling from
    /// some rules to none is taken for that.
    fn refuse_nothing(&self, set: RuleSet) -> Result<RuleSet, RuleErrors> {
        if !set.rules().is_empty() || self.current.load().rules().is_empty() {
            return Ok(set);
        }
        let place = self.source.patterns.join(", ");
        let problem = Problem::in_file(&place, "no rule is left, so the last good rules stay in force")
            .with_help("to run without rules, restart the service");
        Err(RuleErrors { errors: vec![problem], warnings: set.warnings().to_vec() })
    }

    /// The compiled form of a rule, wherever it comes from.
    pub fn compiled(&self, kept: &KeptRule) -> Arc<CompiledRule> {
        if let Some(compiled) = lock(&self.compiled).get(&kept.hash) {
            return Arc::clone(compiled);
        }
        // Compiled outside of the lock: two threads may do it twice, none waits.
        let compiled = Arc::new(CompiledRule::new(&kept.rule));
        keep(&self.compiled, &kept.hash, &compiled);
        compiled
    }

    /// A rule of the set in force, or one that was taken back before.
    pub(super) fn find_rule(&self, hash: &RuleHash) -> Option<Arc<KeptRule>> {
        if self.unmatched.hash == *hash {
            return Some(Arc::clone(&self.unmatched));
        }
        if self.own.hash == *hash {
            return Some(Arc::clone(&self.own));
        }
        let in_force = self.current.load().rule_by_hash(hash).cloned();
        in_force.or_else(|| lock(&self.adopted_rules).get(hash).cloned())
    }

    /// A policy of the set in force, or one that was taken back before.
    pub(super) fn find_policy(&self, hash: &RuleHash) -> Option<Arc<KeptPolicy>> {
        let in_force = self.current.load().policy_by_hash(hash).cloned();
        let resort = || self.last_resort.as_ref().and_then(|resort| resort.by_hash(hash));
        in_force.or_else(resort).or_else(|| lock(&self.adopted_policies).get(hash).cloned())
    }

    pub(super) fn remember_rule(&self, kept: &Arc<KeptRule>) {
        keep(&self.adopted_rules, &kept.hash, kept);
    }

    pub(super) fn remember_policy(&self, kept: &Arc<KeptPolicy>) {
        keep(&self.adopted_policies, &kept.hash, kept);
    }
}

/// A default policy that is not there would mean that nobody is told of most incidents.
fn require_default_policy(source: &BookSource, set: RuleSet) -> Result<RuleSet, RuleErrors> {
    let Some(name) = source.default_policy.as_ref().filter(|name| !set.policies().contains_key(*name)) else {
        return Ok(set);
    };
    let (message, help) = load::no_policy(name, set.policies().keys().map(String::as_str));
    let problem = Problem::in_file(DEFAULT_POLICY_KEY, message).with_help(help);
    Err(RuleErrors { errors: vec![problem], warnings: set.warnings().to_vec() })
}

fn keep<T>(cache: &Mutex<HashMap<RuleHash, Arc<T>>>, hash: &RuleHash, value: &Arc<T>) {
    let mut cache = lock(cache);
    if cache.len() >= CACHED_MAX {
        cache.clear();
    }
    cache.insert(hash.clone(), Arc::clone(value));
}

/// A thread that panicked while it held a cache leaves nothing half-written behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The rule for alerts that no rule matches: recorded and shown, by name and namespace, and told where the settings
/// say.
fn unmatched() -> ResponseRule {
    ResponseRule {
        name: UNMATCHED.to_owned(),
        procedures: Vec::new(),
        runbook: None,
        summary: None,
        priority: i32::MIN,
        continues: false,
        matchers: crate::domain::matcher::Matchers::default(),
        severity: SeveritySpec::Template(Template("{{ labels.severity }}".to_owned())),
        target: None,
        group_by: vec!["alertname".to_owned(), "namespace".to_owned()],
        escalation: None,
        diagnostics: Vec::new(),
        remedies: Vec::new(),
        on_resolve: Vec::new(),
        dry_run: false,
        mode: Default::default(),
        reopen_within: default_reopen_within(),
    }
}

/// The rule for what the service raises about itself, where no rule of the files matches it. Unlike the one above it has a
/// policy, as any rule that names none.
fn own() -> ResponseRule {
    let group_by = ["alertname", "watchdog", "check", "item"].map(str::to_owned).to_vec();
    ResponseRule { name: OWN_RULE.to_owned(), group_by, ..unmatched() }
}

#[cfg(test)]
mod tests;
