//! What `k8s.apply` and `k8s.remove` share: how a rule names a manifest, what that needs in the cluster, and what a survey
//! of several objects comes to.

use serde_json::{Value, json};

use super::manifest::{Setup, resource_of};
use super::refused;
use super::subject::Naming;
use crate::actions::request::fixed_name;
use crate::clients::kubernetes::changes::Change;
use crate::domain::action::{ActionPlan, Tier};
use crate::domain::catalog::{
    AccessNeed, CheckedParams, ParamsError, PlanOutline, PlanSubject, Reference, Slot,
};
use crate::domain::dns::is_dns_subdomain;
use crate::domain::manifest::{STORED, Stored, kind_of, name_of};
use crate::domain::rule::is_template;
use crate::domain::survey::{Impact, SurveyOutcome, Surveyed};

/// The kind of a plan's target.
const KIND: &str = "StoredManifest";

/// Changes that people are shown of all objects together.
const NOTES_MAX: usize = 20;

/// Making, changing and deleting: each way is the other's way back.
const VERBS: [&str; 4] = ["get", "create", "patch", "delete"];

/// Checks how a rule names a manifest, and what the manifest holds where it is there already.
pub(in crate::actions) fn check(
    manifest: &str,
    namespace: &Option<String>,
    stored: Option<&Stored>,
) -> Result<CheckedParams, ParamsError> {
    fixed_name("/manifest", manifest, "a manifest")?;
    let mut checked = Naming::of(&None, namespace, &None).checked(&[])?;
    checked.references.push(Reference::Manifest(manifest.to_owned()));
    if let Some(stored) = stored {
        checked.slots.extend(slots(stored)?);
        if let (Some(said), Some(own)) = (namespace.as_deref(), stored.namespace())
            && said != own
        {
            let message = format!("the objects of `{manifest}` lie in `{own}` and nowhere else");
            return Err(ParamsError::at("/namespace", message));
        }
    }
    Ok(checked)
}

/// Where templates stand in the objects of a manifest.
pub(in crate::actions) fn slots(stored: &Stored) -> Result<Vec<Slot>, ParamsError> {
    let below = |pointer: &str| format!("/{STORED}/objects{pointer}");
    match stored.check() {
        Ok(slots) => {
            Ok(slots.into_iter().map(|slot| Slot::new(below(&slot.pointer), slot.language)).collect())
        }
        Err(error) => Err(ParamsError { pointer: below(&error.pointer), ..error }),
    }
}

/// The manifest that the loader put into parameters.
pub(in crate::actions) fn stored(params: &Value) -> Option<Stored> {
    serde_json::from_value(params.get(STORED)?.clone()).ok()
}

/// What the objects of a manifest need in the cluster. Whoever applies one must be permitted to create it under its
/// name, so that even this verb is held to names, as it is not for other ways to create.
pub(in crate::actions) fn access(params: &Value) -> Vec<AccessNeed> {
    let Some(stored) = stored(params) else { return Vec::new() };
    let namespace = params.get("namespace").and_then(Value::as_str).or(stored.namespace());
    let need = |object: &Value| {
        let resource = resource_of(object);
        let need = AccessNeed::namespaced(&resource.group, &resource.plural, &VERBS).in_namespace(namespace);
        let name = name_of(object);
        let names = if is_template(name) { Vec::new() } else { vec![name.to_owned()] };
        AccessNeed { names, ..need }
    };
    stored.objects.iter().filter(|_| stored.check().is_ok()).map(need).collect()
}

/// The draft: the manifest as a whole is the target, in the namespace of its objects.
pub(in crate::actions) fn outline(
    verb: &str,
    params: &Value,
    plan: &PlanSubject<'_>,
) -> Result<PlanOutline, ParamsError> {
    let manifest = params.get("manifest").and_then(Value::as_str).unwrap_or_default();
    let missing = || ParamsError::at("/manifest", format!("there is no stored manifest `{manifest}`"));
    let stored = stored(params).ok_or_else(missing)?;
    for (index, object) in stored.objects.iter().enumerate() {
        let name = name_of(object);
        if !is_dns_subdomain(name) {
            let place = format!("/{STORED}/objects/{index}/metadata/name");
            return Err(ParamsError::at(place, format!("{name:?} is no name of an object")));
        }
    }
    let said = params.get("namespace").and_then(Value::as_str).or(stored.namespace());
    let namespace = Naming { namespace: said, ..Naming::default() }.namespace(plan.target)?;
    let mut complete = params.clone();
    complete["namespace"] = json!(namespace);
    let count = stored.objects.len();
    Ok(PlanOutline {
        target: Some(format!("{KIND}/{namespace}/{manifest}")),
        summary: format!(
            "{verb} manifest {manifest} in {namespace}: {count} object{}",
            if count == 1 { "" } else { "s" }
        ),
        touches: stored.objects.iter().map(|object| in_namespace(object, &namespace)).collect(),
        namespace: Some(namespace),
        params: Some(complete),
        ..PlanOutline::default()
    })
}

/// An object of a manifest, as guardrails know it.
fn in_namespace(object: &Value, namespace: &str) -> String {
    format!("{}/{namespace}/{}", kind_of(object), name_of(object))
}

/// The manifest of a draft, and a plan in which nothing is done yet.
pub(in crate::actions) fn of_draft(draft: &ActionPlan) -> Result<(Stored, Setup), SurveyOutcome> {
    let text = |key: &str| draft.params.get(key).and_then(Value::as_str).map(str::to_owned);
    match (stored(&draft.params), text("manifest"), text("namespace")) {
        (Some(stored), Some(manifest), Some(namespace)) if stored.check().is_ok() => {
            Ok((stored, Setup { manifest, namespace, restores: false, parts: Vec::new() }))
        }
        _ => Err(refused("the draft holds no manifest")),
    }
}

/// The plan that carries out `setup`. None of it changes by itself, so all of it is what people approve.
pub(in crate::actions) fn plan(draft: &ActionPlan, setup: &Setup, summary: String) -> ActionPlan {
    let params = serde_json::to_value(setup).expect("a plan is made of JSON");
    ActionPlan { basis: Some(params.clone()), params, summary, ..draft.clone() }
}

/// What the look at several objects comes to.
pub(in crate::actions) struct Sum {
    tier_floor: Tier,
    notes: Vec<String>,
    steps: Vec<String>,
    impact: Impact,
}

impl Sum {
    /// Nothing yet, at the floor of the action and of the manifest.
    pub(in crate::actions) fn of(stored: &Stored, floor: Tier) -> Self {
        let kind = stored.objects.first().map(kind_of).unwrap_or_default();
        let tier_floor = stored.tier.unwrap_or(floor).max(floor);
        Self { tier_floor, notes: Vec::new(), steps: Vec::new(), impact: Impact::on(kind) }
    }

    /// At least this tier, and why.
    pub(in crate::actions) fn raise(&mut self, tier: Tier, why: String) {
        self.tier_floor = self.tier_floor.max(tier);
        self.note(why);
    }

    /// Something that people should know.
    pub(in crate::actions) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// The changes of one object, as far as people read them.
    pub(in crate::actions) fn note_all(&mut self, changes: &[Change]) {
        let room = NOTES_MAX.saturating_sub(self.notes.len());
        self.notes.extend(changes.iter().take(room).map(ToString::to_string));
        if let Some(more @ 1..) = changes.len().checked_sub(room) {
            self.notes.push(format!("and {more} more changes"));
        }
    }

    /// What is done to one object, in few words.
    pub(in crate::actions) fn step(&mut self, step: String) {
        self.steps.push(step);
    }

    /// All steps.
    pub(in crate::actions) fn told(&self) -> String {
        self.steps.join(", ")
    }

    /// A workload that is touched.
    pub(in crate::actions) fn add(&mut self, other: Impact) {
        self.impact.join(other);
    }

    /// The survey that found what would be done.
    pub(in crate::actions) fn ready(
        self,
        plan: ActionPlan,
        inverse: Option<ActionPlan>,
        setup: &Setup,
    ) -> SurveyOutcome {
        let Self { tier_floor, notes, mut impact, .. } = self;
        impact.objects = setup.objects();
        SurveyOutcome::Ready(Box::new(Surveyed { plan, inverse, tier_floor, notes, impact }))
    }
}
