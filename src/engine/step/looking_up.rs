//! What a batch looks up in the store because an event needs it: starts and pauses, other incidents of a rule, findings.

use super::batch::Batch;
use crate::domain::diagnosis::Finding;
use crate::domain::guardrail::Peers;
use crate::domain::incident::IncidentId;
use crate::engine::ports::{OpenOfRule, StoreError};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Open incidents of one rule, as far as they matter to the others.
pub(super) struct OpenIncidents {
    pub(super) ids: BTreeSet<IncidentId>,
    is_storm: bool,
}

impl Batch<'_> {
    /// Makes sure that the ledger reaches as far back as the limits and the cooldowns of the incident's rule do.
    pub(super) async fn ensure_ledger(&mut self, id: &IncidentId) -> Result<(), StoreError> {
        let cooldowns = self.working.get(id).and_then(|working| working.rule.rule.longest_cooldown());
        let window = self.stepper.settings.limits.longest_window().max(cooldowns.unwrap_or_default());
        let since = self.now.checked_sub(window).unwrap_or(Timestamp::MIN);
        if self.ledger.as_ref().is_some_and(|_| self.ledger_since <= since) {
            return Ok(());
        }
        let mut ledger = self.stepper.store.ledger(since).await?;
        if self.commit.ledger_version.is_some_and(|judged_over| judged_over != ledger.version) {
            return Err(StoreError::Conflict);
        }
        ledger.starts.extend(self.commit.starts.iter().cloned());
        self.ledger = Some(ledger);
        self.ledger_since = since;
        Ok(())
    }

    /// Counts the targets that the incident's rule has open incidents on.
    pub(super) async fn ensure_peers(&mut self, id: &IncidentId) -> Result<(), StoreError> {
        let Some(working) = self.working.get(id).filter(|working| working.peers.is_none()) else {
            return Ok(());
        };
        let alone = self.stepper.settings.alone;
        if alone.targets == 0 {
            if let Some(working) = self.working.get_mut(id) {
                working.peers = Some(Peers { targets: 1, is_first: true });
            }
            return Ok(());
        }
        let rule = working.incident.rule.clone();
        if !self.open_of_rule.contains_key(&rule) {
            let known = self.open_incidents(&rule).await?;
            self.open_of_rule.insert(rule.clone(), known);
        }
        let Some(known) = self.open_of_rule.get(&rule) else { return Ok(()) };
        let counted = known.ids.len() + usize::from(!known.ids.contains(id));
        let counted = u32::try_from(counted).unwrap_or(u32::MAX);
        let targets = if known.is_storm { counted.max(alone.targets) } else { counted };
        let is_first = known.ids.first().is_none_or(|first| first >= id);
        if let Some(working) = self.working.get_mut(id) {
            working.peers = Some(Peers { targets, is_first });
        }
        Ok(())
    }

    /// Open incidents of a rule that began lately: of the store, and of this batch so far.
    async fn open_incidents(&self, rule: &str) -> Result<OpenIncidents, StoreError> {
        let alone = self.stepper.settings.alone;
        let since = self.now.checked_sub(alone.targets_within).unwrap_or(Timestamp::MIN);
        let OpenOfRule { incidents, is_storm } =
            self.stepper.store.open_of_rule(rule, since, alone.targets).await?;
        let here = self.working.values().map(|other| &other.incident);
        let young = here.filter(|it| it.is_open() && it.rule == rule && it.started_at >= since);
        let ids = incidents.into_iter().chain(young.map(|it| it.id.clone())).collect();
        Ok(OpenIncidents { ids, is_storm })
    }

    pub(super) async fn ensure_findings(&mut self, id: &IncidentId) -> Result<(), StoreError> {
        let missing = self.working.get(id).is_some_and(|working| working.findings.is_none());
        if missing {
            let findings: Vec<Finding> = self.stepper.store.findings(id).await?;
            if let Some(working) = self.working.get_mut(id) {
                working.findings = Some(findings);
            }
        }
        Ok(())
    }
}
