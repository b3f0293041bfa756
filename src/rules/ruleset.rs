//! A loaded set of rules, policies and schedules: checked, in matching order, immutable.

use super::index::RuleIndex;
use crate::domain::escalation::EscalationPolicy;
use crate::domain::matcher::LabelSource;
use crate::domain::rule::{ResponseRule, RuleHash};
use crate::domain::schedule::Schedule;
use crate::domain::scheduled::ScheduledCheck;
use crate::engine::playbook::{KeptCheck, KeptPolicy, KeptRule};
use crate::yaml::Problem;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Everything that one load of the rule files gave.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Arc<KeptRule>>,
    index: RuleIndex,
    by_hash: HashMap<RuleHash, usize>,
    by_name: HashMap<String, usize>,
    policies: BTreeMap<String, EscalationPolicy>,
    kept_policies: BTreeMap<String, Arc<KeptPolicy>>,
    schedules: Arc<BTreeMap<String, Schedule>>,
    checks: Arc<BTreeMap<String, Arc<KeptCheck>>>,
    warnings: Vec<Problem>,
    hash: String,
}

impl RuleSet {
    /// A set of rules in matching order.
    pub(super) fn new(
        rules: Vec<ResponseRule>,
        policies: BTreeMap<String, EscalationPolicy>,
        schedules: BTreeMap<String, Schedule>,
        warnings: Vec<Problem>,
        hash: String,
    ) -> Self {
        let index = RuleIndex::new(rules.iter().map(|rule| &rule.matchers));
        let rules: Vec<_> = rules.into_iter().map(|rule| Arc::new(KeptRule::new(rule))).collect();
        let by_hash =
            rules.iter().enumerate().map(|(position, kept)| (kept.hash.clone(), position)).collect();
        let by_name =
            rules.iter().enumerate().map(|(position, kept)| (kept.rule.name.clone(), position)).collect();
        let kept_policies = policies
            .iter()
            .map(|(name, policy)| (name.clone(), Arc::new(KeptPolicy::new(policy.clone()))))
            .collect();
        Self {
            rules,
            index,
            by_hash,
            by_name,
            policies,
            kept_policies,
            schedules: Arc::new(schedules),
            checks: Arc::default(),
            warnings,
            hash,
        }
    }

    /// The same with scheduled checks.
    pub(super) fn with_checks(mut self, checks: BTreeMap<String, ScheduledCheck>) -> Self {
        let kept = checks.into_iter().map(|(name, check)| (name, Arc::new(KeptCheck::new(check))));
        self.checks = Arc::new(kept.collect());
        self
    }

    /// All rules, in matching order: by falling priority, then by file and place.
    pub fn rules(&self) -> &[Arc<KeptRule>] {
        &self.rules
    }

    /// The rules for an alert with these labels: the first that matches, and the ones after it for as long as they
    /// say `continue` or are in shadow.
    pub fn matching<'s>(
        &'s self,
        labels: &'s (impl LabelSource + ?Sized),
    ) -> impl Iterator<Item = &'s Arc<KeptRule>> {
        self.matching_among(labels, |_| true)
    }

    /// The same among the rules that `fits` lets through: the others are as if they were not there.
    pub(super) fn matching_among<'s>(
        &'s self,
        labels: &'s (impl LabelSource + ?Sized),
        fits: impl Fn(&KeptRule) -> bool + 's,
    ) -> impl Iterator<Item = &'s Arc<KeptRule>> {
        let mut ended = false;
        self.index
            .candidates(labels)
            .map(|position| &self.rules[position])
            .filter(move |kept| fits(kept) && kept.rule.matchers.matches(labels))
            .take_while(move |kept| {
                let wanted = !ended;
                ended |= kept.rule.ends_the_search();
                wanted
            })
    }

    /// All escalation policies by name.
    pub fn policies(&self) -> &BTreeMap<String, EscalationPolicy> {
        &self.policies
    }

    /// A policy with its digest.
    pub fn kept_policy(&self, name: &str) -> Option<&Arc<KeptPolicy>> {
        self.kept_policies.get(name)
    }

    /// A rule by the digest of its text.
    pub fn rule_by_hash(&self, hash: &RuleHash) -> Option<&Arc<KeptRule>> {
        self.by_hash.get(hash).map(|position| &self.rules[*position])
    }

    /// A rule by its name.
    pub fn rule_by_name(&self, name: &str) -> Option<&Arc<KeptRule>> {
        self.by_name.get(name).map(|position| &self.rules[*position])
    }

    /// A policy by the digest of its text.
    pub fn policy_by_hash(&self, hash: &RuleHash) -> Option<&Arc<KeptPolicy>> {
        self.kept_policies.values().find(|kept| kept.hash == *hash)
    }

    /// All schedules by name.
    pub fn schedules(&self) -> &Arc<BTreeMap<String, Schedule>> {
        &self.schedules
    }

    /// All scheduled checks by name.
    pub fn checks(&self) -> &Arc<BTreeMap<String, Arc<KeptCheck>>> {
        &self.checks
    }

    /// The rules, and what scheduled checks look at as if they were rules: everything that reads or acts.
    pub fn looking(&self) -> impl Iterator<Item = &ResponseRule> {
        let rules = self.rules.iter().map(|kept| &kept.rule);
        rules.chain(self.checks.values().map(|kept| &kept.looks.rule))
    }

    /// What is doubtful about the rules, in the order of files and lines.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Digest of the names and texts of all files, in hex.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}
