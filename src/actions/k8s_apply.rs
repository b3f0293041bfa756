//! `k8s.apply`: puts the objects of a stored manifest in place, by server-side apply as the field manager `smokejumper`.
//!
//! The rule names the manifest, and the plan holds what it says, rendered, so that people approve exactly that. Fields
//! that others manage stay theirs, unless the rule says `force`. The way back deletes what was made and sets back what
//! was changed.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::cluster::autoscaler::{AUTOSCALER, Autoscaler};
use super::cluster::declared::Declared;
use super::cluster::manifest::{Part, Put, Setup, Take, as_written, refuse_secrets};
use super::cluster::setting::{self, Sum};
use super::cluster::subject::{Naming, Subject};
use super::cluster::words::unseen;
use super::cluster::workload::{SCALABLE, WORKLOADS, Workload, owned_floor, why_two_people};
use super::cluster::{drafted, hand, nothing_to_do, refused, ttl};
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::changes::{Change, FieldPath, compare};
use crate::clients::kubernetes::{ActHandle, Resource};
use crate::domain::action::{ActionPlan, Tier};
use crate::domain::catalog::{AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject};
use crate::domain::manifest::{JOB, Stored, kind_of, name_of};
use crate::domain::rule::TargetSpec;
use crate::domain::survey::{Rollout, SurveyOutcome};
use crate::engine::ports::SurveyContext;
use crate::params;
use crate::period::Period;

pub(super) const ENTRY: Entry = Declared {
    name: "k8s.apply",
    summary: "Puts the objects of a `StoredManifest` in place by server-side apply, and marks them with its name. What \
              others manage stays theirs, unless `force` is true (T3). A NetworkPolicy or PodDisruptionBudget is T3, \
              and so is an object that GitOps or Helm owns, and a workload that is left without replicas. `spec.replicas` \
              beside a HorizontalPodAutoscaler is refused, and so is a Job, which `k8s.job_run` runs. With `ttl` it is taken back after that time: what was made is deleted, and what was \
              changed is set back.",
    tier_floor: Tier::T2,
    inverse: Inverse::Recorded,
    check,
    schema: params::schema::<Params>,
    access,
    outline,
    survey: |hands, draft, context| Box::pin(survey(hands, draft, context)),
}
.by_setup();

/// Parameters of `k8s.apply`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Name of a `StoredManifest`.
    #[schemars(length(min = 1, max = 200))]
    manifest: String,
    /// Namespace, as it stands in the rule. Default: the manifest's own, or else the target's.
    namespace: Option<String>,
    /// Takes over fields that others manage. They are told nothing of it, and may take them back. Default: false.
    #[serde(default)]
    force: bool,
    /// How long it is to stand, from 1m to 7d; then it is taken back. Default: for good.
    ttl: Option<Period>,
    /// What the manifest holds; put in when rules are loaded.
    #[schemars(skip)]
    stored: Option<Stored>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { manifest, namespace, ttl: lasts, stored, .. } = params::read(params)?;
    ttl::check(lasts)?;
    if let Some(why) = stored.as_ref().and_then(|stored| why_not(&manifest, stored)) {
        return Err(ParamsError::at("/manifest", why));
    }
    setting::check(&manifest, &namespace, stored.as_ref())
}

/// Why a manifest is not applied. A Job that has run to its end may be collected before anybody has seen it: after a crash
/// nothing would tell it from one that was never made, and it would run twice.
fn why_not(manifest: &str, stored: &Stored) -> Option<String> {
    let job = stored.objects.iter().find(|object| kind_of(object) == JOB)?;
    Some(format!(
        "`{manifest}` holds the Job {}, which `k8s.job_run` runs: it would not run once for certain",
        name_of(job)
    ))
}

fn access(params: &Value, _: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let mut needs = setting::access(params);
    let autoscaler = needs.iter().find(|need| need.resource == Resource::AUTOSCALERS.plural);
    if let Some(scope) = autoscaler.map(|need| need.scope.clone()) {
        let scaled = Naming::default().need_scaled().map(|need| AccessNeed { scope: scope.clone(), ..need });
        needs.extend(scaled);
    }
    let counts = |stored: &Stored| stored.objects.iter().any(says_replicas);
    if let (true, Some(first)) = (setting::stored(params).is_some_and(|it| counts(&it)), needs.first()) {
        let Resource { group, plural, .. } = Resource::AUTOSCALERS;
        let scope = first.scope.clone();
        needs.push(AccessNeed { scope, ..AccessNeed::namespaced(&group, &plural, &["list"]) });
    }
    needs
}

/// Whether an object says how many replicas there are to be.
fn says_replicas(object: &Value) -> bool {
    SCALABLE.contains(&kind_of(object)) && object.pointer("/spec/replicas").is_some()
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { ttl, force, .. } = params::read(params)?;
    let verb = if force { "apply by force" } else { "apply" };
    Ok(PlanOutline { ttl: ttl.map(Period::signed), ..setting::outline(verb, params, plan)? })
}

async fn survey(hands: &Hands, draft: &ActionPlan, _: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let Params { force, .. } = drafted(draft)?;
    let (stored, mut setup) = setting::of_draft(draft)?;
    if let Some(why) = why_not(&setup.manifest, &stored) {
        return Err(refused(why));
    }
    let mut back = Setup { restores: true, ..setup.clone() };
    let mut sum = Sum::of(&stored, Tier::T2);
    if force {
        sum.raise(Tier::T3, "by force: fields that others manage are taken over".to_owned());
    }
    for object in &stored.objects {
        let look = Look { hands, cluster, setup: &setup, object, all: &stored.objects };
        let Some((put, way_back)) = look.look(force, &mut sum).await? else { continue };
        setup.parts.push(Part::Put(put));
        // The last one is undone first.
        back.parts.insert(0, way_back);
    }
    if setup.parts.is_empty() {
        return Err(nothing_to_do(format!("manifest {} is in place already", setup.manifest)));
    }
    let summary = format!("apply manifest {} in {}: {}", setup.manifest, setup.namespace, sum.told());
    let take_back = format!("take back manifest {} in {}", setup.manifest, setup.namespace);
    let inverse = setting::plan(draft, &back, take_back);
    let inverse = ActionPlan { ttl: None, ..inverse };
    Ok(sum.ready(setting::plan(draft, &setup, summary), Some(inverse), &setup))
}

/// The look at one object.
struct Look<'l> {
    hands: &'l Hands,
    cluster: &'l ActHandle,
    setup: &'l Setup,
    object: &'l Value,
    /// All objects of the manifest.
    all: &'l [Value],
}

impl Look<'_> {
    /// What is written, and its way back; none where the object is so already.
    async fn look(&self, force: bool, sum: &mut Sum) -> Result<Option<(Put, Part)>, SurveyOutcome> {
        let Self { cluster, setup, object, .. } = *self;
        let mut put = Put::of(object.clone(), force);
        let (kind, name) = (kind_of(object), name_of(object));
        let part = Part::Put(put.clone());
        let now = part.find(cluster, setup).await.map_err(|error| unseen(&error))?;
        let made = part.rehearse(cluster, now.as_ref(), setup).await.map_err(|error| unseen(&error))?;
        if let Some(why) = why_two_people(kind) {
            sum.raise(Tier::T3, format!("{name}: {why}"));
        }
        let Some(now) = now else {
            refuse_secrets(self.hands, object, &[])?;
            self.refuse_autoscaled().await?;
            sum.step(format!("{kind}/{name} (new)"));
            return Ok(Some((put, Part::Take(Take::brought(object)))));
        };
        let changes = compare(&as_written(&now), &as_written(&made));
        if changes.is_empty() {
            return Ok(None);
        }
        refuse_secrets(self.hands, object, &changes)?;
        if changes.iter().any(|change| change.path == replicas()) {
            self.refuse_autoscaled().await?;
        }
        let uid = now["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let subject =
            Subject { kind: kind.to_owned(), namespace: setup.namespace.clone(), name: name.to_owned() };
        self.weigh(&now, &subject, &uid, &changes, sum).await?;
        let count = changes.len();
        sum.step(format!("{kind}/{name} ({count} change{})", if count == 1 { "" } else { "s" }));
        sum.note_all(&changes);
        (put.uid, put.changes) = (Some(uid), changes);
        let way_back = Part::Put(put.inverse());
        Ok(Some((put, way_back)))
    }

    /// Refuses a number of replicas beside an autoscaler: it would not last, as with `k8s.scale`.
    async fn refuse_autoscaled(&self) -> Result<(), SurveyOutcome> {
        let Self { cluster, setup, object, .. } = *self;
        if !says_replicas(object) {
            return Ok(());
        }
        let (kind, namespace) = (kind_of(object).to_owned(), setup.namespace.clone());
        let subject = Subject { kind, namespace, name: name_of(object).to_owned() };
        let is_its = |other: &&Value| kind_of(other) == AUTOSCALER && Autoscaler::scales(other, &subject);
        let scaler = match self.all.iter().find(is_its) {
            Some(own) => Some(format!("{AUTOSCALER} {} of the same manifest", name_of(own))),
            None => Autoscaler::of(cluster, &subject).await?.map(|found| found.subject.shown()),
        };
        match scaler {
            None => Ok(()),
            Some(scaler) => Err(refused(format!(
                "{scaler} scales {}: leave `spec.replicas` out of the manifest, since a number would not last",
                subject.shown()
            ))),
        }
    }

    /// What the change of an object that is there takes away, and who owns it.
    async fn weigh(
        &self,
        now: &Value,
        subject: &Subject,
        uid: &str,
        changes: &[Change],
        sum: &mut Sum,
    ) -> Result<(), SurveyOutcome> {
        let mut notes = Vec::new();
        owned_floor(now, Tier::T2, &mut notes);
        notes.into_iter().for_each(|note| sum.raise(Tier::T3, format!("{}: {note}", subject.name)));
        if subject.kind == AUTOSCALER {
            let autoscaler = Autoscaler::read(now.clone(), &subject.namespace)?;
            let workload = autoscaler.scaled(self.cluster).await.map_err(|error| unseen(&error))?;
            sum.add(match &workload {
                Some(workload) => autoscaler.impact_with(workload, changes),
                None => autoscaler.impact_of(changes),
            });
        }
        if WORKLOADS.contains(&subject.kind.as_str()) {
            let workload = Workload { subject: subject.clone(), uid: uid.to_owned(), object: now.clone() };
            let rolls_out = changes.iter().any(Change::is_in_template);
            if rolls_out {
                workload.refuse_paused()?;
            }
            let hangs = matches!(workload.rollout(), Rollout::Stuck { .. });
            let by_rollout = if rolls_out { workload.disrupted_by_rollout() } else { 0 };
            let disrupted = by_rollout.max(lost(&workload, changes, sum));
            sum.add(workload.impact(disrupted, rolls_out && hangs));
        }
        Ok(())
    }
}

fn replicas() -> FieldPath {
    FieldPath::fields(["spec", "replicas"])
}

/// How many replicas are taken away, weighed as `k8s.scale` weighs them.
fn lost(workload: &Workload, changes: &[Change], sum: &mut Sum) -> u32 {
    let Some(change) = changes.iter().find(|change| change.path == replicas()) else { return 0 };
    // Where nobody says a number, one is meant.
    let wanted = change.to.as_u64().map_or(1, |wanted| u32::try_from(wanted).unwrap_or(u32::MAX));
    let now = workload.replicas();
    let name = &workload.subject.name;
    if wanted == 0 && now > 0 {
        sum.raise(Tier::T3, format!("{name}: nothing of it is left to answer"));
    } else if wanted < now {
        let mut notes = Vec::new();
        let tier = workload.floor(Tier::T2, &mut notes);
        sum.raise(tier, format!("{name}: {} replicas fewer", now - wanted));
    }
    now.saturating_sub(wanted)
}
