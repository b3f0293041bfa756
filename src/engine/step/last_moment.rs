//! What must hold when an attempt begins: the limits were counted when the start was allowed.
//!
//! What sets something back was never judged before, so that it is asked here whether somebody is at work on its target.

use super::batch::Batch;
use super::working::Working;
use crate::domain::action::{Action, ActionId};
use crate::domain::guardrail::{self, GuardrailVerdict, Standing, Subject};
use crate::domain::survey::Touch;

impl Batch<'_> {
    /// The guardrails of the last moment.
    pub(super) fn last_moment(&self, working: &Working, id: &ActionId) -> Vec<GuardrailVerdict> {
        let action = working.incident.action(id);
        let namespace = action
            .and_then(|action| action.plan.namespace.clone())
            .or_else(|| working.incident.namespace().map(str::to_owned));
        let pauses = self.ledger.as_ref().map(|ledger| ledger.pauses.as_slice()).unwrap_or_default();
        let freeze = self.stepper.settings.open_freeze(self.now);
        // The mode may be another one since the start was allowed: a restart changes it.
        let dry_run = self.stepper.settings.dry_run || working.rule.rule.dry_run;
        let mut verdicts = vec![
            guardrail::pause(namespace.as_deref(), pauses),
            guardrail::freeze(freeze.as_ref()),
            guardrail::dry_run(dry_run),
        ];
        verdicts.extend(guardrail::shadow(working.rule.rule.mode));
        verdicts
            .extend(action.filter(|action| action.restores.is_some()).map(|restore| self.in_flight(restore)));
        verdicts
    }

    /// Whether another action is under way on anything that would be set back.
    fn in_flight(&self, restore: &Action) -> GuardrailVerdict {
        let subject = Subject {
            remedy: &restore.remedy,
            target: &restore.plan.target,
            namespace: restore.plan.namespace.as_deref(),
            cooldown: None,
            tier: restore.tier,
            touch: if restore.beside.is_empty() { Touch::Nothing } else { Touch::Unseen(&restore.beside) },
            action: Some(&restore.id),
            standing: Standing::default(),
        };
        let starts = self.ledger.as_ref().map(|ledger| ledger.starts.as_slice()).unwrap_or_default();
        guardrail::in_flight(subject, starts, self.now)
    }
}
