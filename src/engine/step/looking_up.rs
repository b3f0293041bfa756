//! What a batch looks up in the store because an event needs it: starts and pauses, who else is in trouble, findings.

use super::batch::Batch;
use super::crowds::{Crowds, Member};
use super::touched::Touched;
use crate::domain::diagnosis::{DiagnosisPurpose, Finding};
use crate::domain::event::Event;
use crate::domain::incident::IncidentId;
use crate::engine::ports::{Neighbour, Neighbours, StoreError};
use jiff::Timestamp;

/// Whether an event is judged over starts and pauses.
pub(super) fn needs_ledger(event: &Event) -> bool {
    matches!(
        event,
        Event::Decide
            | Event::Ballot { .. }
            | Event::ActionStarting { .. }
            | Event::DiagnosisDone { purpose: DiagnosisPurpose::Recheck(_), .. }
    )
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

    /// Counts the targets that are in trouble beside the incident's own.
    pub(super) async fn ensure_peers(&mut self, id: &IncidentId) -> Result<(), StoreError> {
        if self.working.get(id).is_none_or(|working| working.peers.is_some()) {
            return Ok(());
        }
        if self.crowds.is_none() {
            self.crowds = Some(self.crowds_now().await?);
        }
        let (Some(crowds), Some(working)) = (&mut self.crowds, self.working.get_mut(id)) else {
            return Ok(());
        };
        let incident = &working.incident;
        if let Some(limit) = crowds.wants_keys(&incident.rule) {
            let keys = self.stepper.store.keys_of_rule(&incident.rule, limit).await?;
            crowds.add_keys(&incident.rule, keys);
        }
        working.peers = Some(crowds.peers(Member::of(incident)));
        Ok(())
    }

    /// Open incidents: of the store, of the step that is being written, and of this batch so far.
    async fn crowds_now(&self) -> Result<Crowds, StoreError> {
        let limits = self.stepper.settings.alone;
        let role_of = |rule: &str| self.stepper.playbook.role(rule);
        let Some(since) = Crowds::since(limits, self.now) else {
            return Ok(Crowds::new(limits, self.now));
        };
        let Neighbours { incidents, known_from, is_storm } = self.stepper.store.neighbours(since).await?;
        let mut crowds = Crowds::new(limits, self.now);
        crowds.known_from(known_from, is_storm);
        let ahead = self.ahead.map(Touched::opened).unwrap_or_default();
        for Neighbour { id, rule, key, started_at } in incidents.iter().chain(ahead) {
            crowds.add(role_of, Member { id, rule, key, started_at: *started_at });
        }
        for incident in self.working.values().map(|working| &working.incident).filter(|it| it.is_open()) {
            crowds.add(role_of, Member::of(incident));
        }
        Ok(crowds)
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
