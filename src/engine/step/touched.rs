//! What a step reads and writes, so that the next one may be judged while this one is still being written.

use crate::domain::correlate::CorrelationKey;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::incident::{Incident, IncidentId};
use crate::engine::ports::{Neighbour, Wanted};
use std::collections::HashSet;

/// Incidents, keys and alerts of one step. Two steps that have none in common do not notice each other; whatever this
/// overlooks, such as the ledger, fails at the versions that the commit compares, and is judged again.
#[derive(Debug, Default)]
pub struct Touched {
    ids: HashSet<IncidentId>,
    keys: HashSet<CorrelationKey>,
    fingerprints: HashSet<Fingerprint>,
    opened: Vec<Neighbour>,
}

impl Touched {
    /// What a step asks for touches it as well, whether it is there or not.
    pub(super) fn asked(wanted: &Wanted) -> Self {
        Self {
            ids: wanted.ids.iter().cloned().collect(),
            keys: wanted.keys.iter().cloned().collect(),
            fingerprints: wanted.fingerprints.iter().copied().collect(),
            opened: Vec::new(),
        }
    }

    /// Adds an incident that was loaded or opened.
    pub(super) fn add(&mut self, incident: &Incident) {
        self.ids.insert(incident.id.clone());
        self.keys.insert(incident.key.clone());
    }

    /// Adds an incident that this step opens and that is open when it ends. Who counts neighbours counts it before it
    /// can be read.
    pub(super) fn open(&mut self, incident: &Incident) {
        let Incident { id, rule, key, started_at, .. } = incident;
        let (id, rule, key) = (id.clone(), rule.clone(), key.clone());
        self.opened.push(Neighbour { id, rule, key, started_at: *started_at });
    }

    /// The incidents that this step opens.
    pub(super) fn opened(&self) -> &[Neighbour] {
        &self.opened
    }

    /// Whether a step that asks for this would meet it.
    pub(super) fn meets(&self, wanted: &Wanted) -> bool {
        // Which incident stands for an identity elsewhere is known only once the step ahead is written.
        (!wanted.bridges.is_empty() && !self.ids.is_empty())
            || wanted.ids.iter().any(|id| self.ids.contains(id))
            || wanted.keys.iter().any(|key| self.keys.contains(key))
            || wanted.fingerprints.iter().any(|fingerprint| self.fingerprints.contains(fingerprint))
    }

    /// Whether a step that has loaded this incident would meet it.
    pub(super) fn meets_incident(&self, incident: &Incident) -> bool {
        self.ids.contains(&incident.id) || self.keys.contains(&incident.key)
    }
}
