//! What an action on the cluster says of itself, and what is the same for all of them: the machine performs it, it is
//! surveyed, it has the time of one write with its looks, and twice is as good as once unless it says otherwise.

use serde_json::Value;

use super::{edit, manifest};
use crate::actions::{Act, Entry, Look};
use crate::domain::action::{Repeatability, Tier};
use crate::domain::catalog::{AccessOf, ActionKind, Inverse, ParamsCheck, Performer, PlanOutliner};

/// What differs from one action to the next.
pub(in crate::actions) struct Declared {
    pub(in crate::actions) name: &'static str,
    pub(in crate::actions) summary: &'static str,
    pub(in crate::actions) tier_floor: Tier,
    pub(in crate::actions) inverse: Inverse,
    pub(in crate::actions) check: ParamsCheck,
    pub(in crate::actions) schema: fn() -> Value,
    pub(in crate::actions) access: AccessOf,
    pub(in crate::actions) outline: PlanOutliner,
    pub(in crate::actions) survey: Look,
}

impl Declared {
    /// Its plan is one [`edit::Edit`].
    pub(in crate::actions) const fn by_edit(self) -> Entry {
        self.with(
            |hands, plan, context| Box::pin(edit::act(hands, plan, context)),
            |hands, plan, context| Box::pin(edit::look_back(hands, plan, context)),
        )
    }

    /// Its plan is a [`manifest::Setup`].
    pub(in crate::actions) const fn by_setup(self) -> Entry {
        self.with(
            |hands, plan, context| Box::pin(manifest::act(hands, plan, context)),
            |hands, plan, context| Box::pin(manifest::look_back(hands, plan, context)),
        )
    }

    /// It has a plan of its own, and sees afterwards what became of an attempt.
    pub(in crate::actions) const fn with(self, act: Act, look_back: Act) -> Entry {
        let kind = self.kind(Repeatability::Idempotent);
        Entry { kind, act, survey: Some(self.survey), look_back: Some(look_back) }
    }

    /// It leaves no mark of ours, so that nobody can tell whether it happened: it is never carried out again.
    pub(in crate::actions) const fn once(self, act: Act) -> Entry {
        Entry { kind: self.kind(Repeatability::AtMostOnce), act, survey: Some(self.survey), look_back: None }
    }

    const fn kind(&self, repeatability: Repeatability) -> ActionKind {
        ActionKind {
            name: self.name,
            summary: self.summary,
            tier_floor: self.tier_floor,
            repeatability,
            performer: Performer::Machine,
            inverse: self.inverse,
            timeout: edit::TIMEOUT,
            is_surveyed: true,
            check: self.check,
            schema: self.schema,
            access: self.access,
            outline: self.outline,
        }
    }
}
