//! Policies made of the settings, for urgent incidents that no policy of the files is for.
//!
//! A message in the default channel alone would be told once and never again: whoever sleeps would not hear of it. So an urgent
//! incident goes on to the fallback of the settings, again and again, until somebody has it. What the service raises about itself
//! goes to both at once, since the channel may be what does not work.

use crate::domain::escalation::{EscalationPolicy, Level};
use crate::domain::notification::Destination;
use crate::domain::rule::RuleHash;
use crate::domain::severity::Severity;
use crate::engine::playbook::{KeptPolicy, OWN_RULE};
use jiff::SignedDuration;
use std::sync::Arc;

/// Name of the policy of rules that have none. Not a name that a file could use.
pub const BY_SETTINGS: &str = "(settings)";

/// The policies.
#[derive(Debug, Clone)]
pub struct LastResort {
    urgent: Arc<KeptPolicy>,
    own: Arc<KeptPolicy>,
}

impl LastResort {
    /// From the default destinations of the settings and their fallback; none where nobody is named at all.
    pub fn new(told: &[Destination], fallback: &[Destination]) -> Option<Self> {
        let told = if told.is_empty() { fallback } else { told };
        let fallback = if fallback.is_empty() { told } else { fallback };
        if told.is_empty() {
            return None;
        }
        let both = || told.iter().chain(fallback.iter().filter(|one| !told.contains(one))).cloned().collect();
        Some(Self {
            urgent: policy(BY_SETTINGS, told.to_vec(), fallback),
            own: policy(OWN_RULE, both(), fallback),
        })
    }

    /// The policy for an incident without one.
    pub fn policy(&self, is_own: bool, severity: Severity) -> Option<Arc<KeptPolicy>> {
        let policy = if is_own { &self.own } else { &self.urgent };
        severity.is_urgent().then(|| Arc::clone(policy))
    }

    /// One of them, by its digest.
    pub fn by_hash(&self, hash: &RuleHash) -> Option<Arc<KeptPolicy>> {
        [&self.urgent, &self.own].into_iter().find(|kept| kept.hash == *hash).cloned()
    }
}

fn policy(name: &str, destinations: Vec<Destination>, fallback: &[Destination]) -> Arc<KeptPolicy> {
    let level = Level {
        name: "default destinations".to_owned(),
        after: SignedDuration::ZERO,
        hours: None,
        destinations,
        on_call: Vec::new(),
    };
    Arc::new(KeptPolicy::new(EscalationPolicy {
        name: name.to_owned(),
        selector: None,
        acknowledge_within: None,
        acknowledgement_expires_after: None,
        defer_until: None,
        objectives: None,
        levels: vec![level],
        repeat: None,
        fallback: fallback.to_vec(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slack(channel: &str) -> Destination {
        Destination::Slack { channel: channel.to_owned() }
    }

    #[test]
    fn an_urgent_incident_without_a_policy_goes_on_to_the_fallback() {
        let resort = LastResort::new(&[slack("#ops")], &[slack("#leads")]).expect("somebody is named");
        let urgent = resort.policy(false, Severity::P1).expect("a policy");
        assert_eq!(urgent.policy.levels[0].destinations, [slack("#ops")]);
        assert_eq!(urgent.policy.fallback, [slack("#leads")]);
        assert!(resort.policy(false, Severity::P2).is_none(), "a mild one is told once");
        assert!(resort.by_hash(&urgent.hash).is_some_and(|kept| kept.policy.name == BY_SETTINGS));
    }

    #[test]
    fn what_the_service_raises_about_itself_goes_to_both_at_once() {
        let resort = LastResort::new(&[slack("#ops")], &[slack("#ops"), slack("#leads")]).expect("somebody");
        let own = resort.policy(true, Severity::P0).expect("a policy");
        assert_eq!(own.policy.levels[0].destinations, [slack("#ops"), slack("#leads")]);
        assert!(resort.by_hash(&own.hash).is_some_and(|kept| kept.policy.name == OWN_RULE));
    }

    #[test]
    fn where_only_one_of_them_is_named_it_is_both_and_without_any_there_is_no_policy() {
        let resort = LastResort::new(&[], &[slack("#leads")]).expect("somebody is named");
        let urgent = resort.policy(false, Severity::P0).expect("a policy").policy.clone();
        assert_eq!(
            (&urgent.levels[0].destinations, &urgent.fallback),
            (&vec![slack("#leads")], &vec![slack("#leads")])
        );
        assert!(LastResort::new(&[], &[]).is_none());
    }
}
