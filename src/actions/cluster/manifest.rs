//! The objects of one stored manifest: put in place or taken away one after the other, and undone the other way round.
//!
//! All objects are looked at before the first is written: where one is not as it was when people read the plan, nothing is
//! done at all. What then goes wrong in the middle is told as what it is, half of it, for people to look at. Objects
//! are put in place by server-side apply, so that what others manage in them stays theirs; they are set back by it as
//! well, since a field that was set back in another way would be in our own way the next time. Reading order:
//! [`Setup`], then `put` and `take`.

mod put;
mod take;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::edit::{OFFERS_MAX, READ_BACK_WAIT, READ_BACKS_MAX, REHEARSAL, mark, version};
use super::plan::fixed_values;
use super::waiting::held_up;
use super::words::{denied, sentence};
use super::{EXECUTION_ID, refused};
use crate::actions::Hands;
use crate::actions::outcome::{not_applied, not_now, unknown};
use crate::clients::kubernetes::changes::Change;
use crate::clients::kubernetes::confidential::{change_holds_secret, holds_secret};
use crate::clients::kubernetes::{ActHandle, Failure, KubernetesError, Resource};
use crate::domain::action::{ActionOutcome, ActionPlan, Step};
use crate::domain::manifest::{kind_of, name_of};
use crate::domain::survey::SurveyOutcome;
use crate::engine::ports::ActionContext;

pub(in crate::actions) use put::Put;
pub(in crate::actions) use take::Take;

/// The mark of an object that a stored manifest brought: its name.
pub(in crate::actions) const MANIFEST: &str = "smokejumper.dev/manifest";

/// Written by the controller of Deployments.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// A plan with all its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::actions) struct Setup {
    /// Name of the manifest.
    pub(in crate::actions) manifest: String,
    /// Namespace of all its objects.
    pub(in crate::actions) namespace: String,
    /// Whether this is a way back: what is so already is done then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::actions) restores: bool,
    /// What is done, in this order.
    pub(in crate::actions) parts: Vec<Part>,
}

/// What is done to one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::actions) enum Part {
    /// It is put in place.
    Put(Put),
    /// It is taken away.
    Take(Take),
}

/// How an object stands to its part.
enum Standing {
    /// The write may be made.
    Open,
    /// It was made, and bears our mark.
    Ours,
    /// It is so already; says how.
    Already(&'static str),
    /// The plan is void; says why.
    Void(String),
}

/// How one part ended.
enum End {
    Done(String),
    /// It was certainly not done.
    Left(String),
    /// Nor was this, for a reason that passes by itself; the server may have said how long that takes.
    NotNow(String, Option<Duration>),
    Unclear(String),
}

impl End {
    /// A write that certainly was not made.
    fn denied(error: &KubernetesError) -> Self {
        let why = sentence(error);
        if error.is_passing() { Self::NotNow(why, error.wait()) } else { Self::Left(why) }
    }
}

/// An object as a person would write it: without what the server and its controllers add, and without our marks.
pub(in crate::actions) fn as_written(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return object };
    metadata.retain(|key, _| matches!(key.as_str(), "name" | "namespace" | "labels" | "annotations"));
    // Always there, so that two are compared one by one.
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.retain(|key, _| ![EXECUTION_ID, MANIFEST, REVISION].contains(&key.as_str()));
    }
    object
}

/// The manifest that brought an object, as it says itself.
pub(in crate::actions) fn origin(object: &Value) -> Option<&str> {
    object.pointer("/metadata/annotations")?.get(MANIFEST)?.as_str()
}

/// A plan is kept and shown, so nothing that looks like a secret may stand in what it holds.
pub(in crate::actions) fn refuse_secrets(
    hands: &Hands,
    object: &Value,
    changes: &[Change],
) -> Result<(), SurveyOutcome> {
    let redactor = hands.keyring.redactor();
    let is_in_changes = || changes.iter().any(|change| change_holds_secret(&redactor, change));
    if !holds_secret(&redactor, object) && !is_in_changes() {
        return Ok(());
    }
    let (kind, name) = (kind_of(object), name_of(object));
    Err(refused(format!("{kind} {name} holds a secret, which is kept nowhere: do this by hand")))
}

/// Where the API keeps an object of a manifest.
pub(in crate::actions) fn resource_of(object: &Value) -> &'static Resource {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    Resource::of_manifest(version, kind_of(object)).expect("what a manifest may hold is known")
}

impl Part {
    /// What says which object is meant.
    fn head(&self) -> &Value {
        match self {
            Self::Put(put) => &put.object,
            Self::Take(take) => &take.head,
        }
    }

    /// For people: `ConfigMap prod/maintenance`.
    fn shown(&self, setup: &Setup) -> String {
        format!("{} {}/{}", kind_of(self.head()), setup.namespace, name_of(self.head()))
    }

    pub(in crate::actions) async fn find(
        &self,
        cluster: &ActHandle,
        setup: &Setup,
    ) -> Result<Option<Value>, KubernetesError> {
        let head = self.head();
        cluster.find(resource_of(head), Some(&setup.namespace), name_of(head)).await
    }

    /// Lets the server rehearse it over the object as it is now.
    pub(in crate::actions) async fn rehearse(
        &self,
        cluster: &ActHandle,
        now: Option<&Value>,
        setup: &Setup,
    ) -> Result<Value, KubernetesError> {
        self.send(cluster, now, setup, REHEARSAL, true).await
    }

    async fn send(
        &self,
        cluster: &ActHandle,
        now: Option<&Value>,
        setup: &Setup,
        key: &str,
        dry_run: bool,
    ) -> Result<Value, KubernetesError> {
        match self {
            Self::Put(put) => put.send(cluster, now, setup, key, dry_run).await,
            Self::Take(take) => take.send(cluster, now, setup, dry_run).await,
        }
    }

    fn standing(&self, now: Option<&Value>, setup: &Setup, key: &str) -> Standing {
        match self {
            Self::Put(_) if now.and_then(mark) == Some(key) => Standing::Ours,
            Self::Put(put) => put.standing(now, &self.shown(setup), setup.restores),
            Self::Take(take) => take.standing(now, &self.shown(setup), &setup.manifest),
        }
    }

    /// Whether the object shows that this was done.
    fn is_done(&self, now: Option<&Value>, key: &str) -> bool {
        match self {
            Self::Put(_) => now.and_then(mark) == Some(key),
            Self::Take(take) => take.is_done(now),
        }
    }

    async fn carry_out(&self, cluster: &ActHandle, setup: &Setup, key: &str) -> End {
        for _ in 0..OFFERS_MAX {
            let now = match self.find(cluster, setup).await {
                Ok(now) => now,
                Err(error) => return End::denied(&error),
            };
            match self.standing(now.as_ref(), setup, key) {
                Standing::Open => {}
                Standing::Ours => return self.done(setup, "before"),
                Standing::Already(how) => return self.done(setup, how),
                Standing::Void(why) => return End::Left(why),
            }
            match self.send(cluster, now.as_ref(), setup, key, false).await {
                Ok(_) => return self.done(setup, "done"),
                Err(error) if matches!(error.failure, Failure::Conflict(_)) => {}
                Err(error) if error.maybe_sent() => {
                    return self.read_back(cluster, setup, now.as_ref(), key, &error).await;
                }
                Err(error) => return End::denied(&error),
            }
        }
        let shown = self.shown(setup);
        let why = format!("{shown} was changed by others again and again while this was tried (409)");
        End::NotNow(why, None)
    }

    /// What became of a write whose end is unclear.
    async fn read_back(
        &self,
        cluster: &ActHandle,
        setup: &Setup,
        sent_over: Option<&Value>,
        key: &str,
        error: &KubernetesError,
    ) -> End {
        let said = sentence(error);
        let mut seen = Ok(());
        for _ in 0..READ_BACKS_MAX {
            tokio::time::sleep(READ_BACK_WAIT).await;
            match self.find(cluster, setup).await {
                Ok(now) if self.is_done(now.as_ref(), key) => {
                    return self.done(setup, "the answer was lost, but it arrived");
                }
                Ok(now) if now.as_ref().and_then(version) != sent_over.and_then(version) => {
                    return End::Left(format!("{said}; the object has moved on without it"));
                }
                Ok(_) => seen = Ok(()),
                Err(failed) => seen = Err(failed),
            }
        }
        match seen {
            Ok(()) if error.gave_up() => {
                End::NotNow(format!("{said}; the object does not show it"), error.wait())
            }
            Ok(()) => End::Unclear(format!("{said}; the object does not show it, and it may still arrive")),
            Err(failed) => End::Unclear(format!("{said}; and it cannot be looked at: {failed}")),
        }
    }

    fn done(&self, setup: &Setup, how: &str) -> End {
        let verb = match self {
            Self::Put(_) => "put in place",
            Self::Take(_) => "taken away",
        };
        End::Done(format!("{}: {verb} ({how})", self.shown(setup)))
    }
}

impl Setup {
    /// Every object, as guardrails know it.
    pub(in crate::actions) fn objects(&self) -> Vec<String> {
        self.parts.iter().map(|part| part.shown(self).replacen(' ', "/", 1)).collect()
    }

    async fn carry_out(&self, cluster: &ActHandle, context: &ActionContext) -> ActionOutcome {
        let key = context.key.as_str();
        let waits = self.restores && context.step == Step::Apply;
        let mut has_work = false;
        for part in &self.parts {
            let now = match part.find(cluster, self).await {
                Ok(now) => now,
                Err(error) => return denied(&error),
            };
            match part.standing(now.as_ref(), self, key) {
                Standing::Open => {
                    has_work = true;
                    // What we brought ourselves is taken away whatever it does.
                    if let (true, Part::Put(put), Some(now)) = (waits, part, &now)
                        && let Some(later) = held_up(cluster, put.subject(self), now, None).await
                    {
                        return later;
                    }
                }
                // What an earlier attempt of ours did is no reason to say that somebody else did it.
                Standing::Ours => has_work = true,
                Standing::Already(_) => {}
                Standing::Void(why) => return not_applied(why),
            }
        }
        if !has_work && self.restores {
            return ActionOutcome::AlreadySo { detail: self.told_as_it_is() };
        }
        if !has_work {
            return not_applied("it is so already: somebody else did it since this was planned");
        }
        let mut tally = Tally::default();
        for part in &self.parts {
            if tally.is_good() {
                tally.take(part.carry_out(cluster, self, key).await);
            } else {
                tally.untried.push(part.shown(self));
            }
        }
        tally.outcome(self)
    }

    /// Whether all objects are as this way back would make them. Where that cannot be seen, they are not.
    async fn is_so(&self, cluster: &ActHandle) -> bool {
        for part in &self.parts {
            let Ok(now) = part.find(cluster, self).await else { return false };
            if !matches!(part.standing(now.as_ref(), self, ""), Standing::Already(_)) {
                return false;
            }
        }
        self.restores
    }

    fn told_as_it_is(&self) -> String {
        format!("{}: it is so already", self.objects().join(", "))
    }

    async fn look_back(&self, cluster: &ActHandle, key: &str) -> ActionOutcome {
        let mut tally = Tally::default();
        for part in &self.parts {
            tally.take(match part.find(cluster, self).await {
                Ok(now) if part.is_done(now.as_ref(), key) => part.done(self, "the cluster shows it"),
                Ok(_) => End::Left(format!("{} does not show it", part.shown(self))),
                Err(failed) => End::Unclear(format!("{} cannot be looked at: {failed}", part.shown(self))),
            });
        }
        tally.outcome(self)
    }
}

/// What became of the parts.
#[derive(Default)]
struct Tally {
    done: Vec<String>,
    left: Vec<String>,
    unclear: Vec<String>,
    untried: Vec<String>,
    /// Whether what was left met something that passes, and how long the server asks to wait.
    passes: Option<Option<Duration>>,
}

impl Tally {
    fn take(&mut self, end: End) {
        match end {
            End::Done(detail) => self.done.push(detail),
            End::Left(why) => self.left.push(why),
            End::NotNow(why, wait) => {
                self.left.push(why);
                self.passes = Some(wait);
            }
            End::Unclear(why) => self.unclear.push(why),
        }
    }

    fn is_good(&self) -> bool {
        self.left.is_empty() && self.unclear.is_empty()
    }

    fn outcome(self, setup: &Setup) -> ActionOutcome {
        let (done, all) = (self.done.len(), setup.parts.len());
        if done == all {
            let detail = self.done.join("; ");
            return ActionOutcome::Applied { detail, inverse: None, requests: Vec::new() };
        }
        let told = self.told(all);
        match self.passes {
            // Half of a way back is gone the rest of the way; half of a remedy is nothing that a later decision knows.
            Some(wait) if done == 0 || setup.restores => not_now(told, wait),
            None if done == 0 && self.unclear.is_empty() => not_applied(told),
            _ => unknown(told),
        }
    }

    /// For people: which is which.
    fn told(&self, all: usize) -> String {
        let Self { done, left, unclear, untried, .. } = self;
        let failed = [left.as_slice(), unclear.as_slice()].concat().join("; ");
        if done.is_empty() {
            return failed;
        }
        let untried = match untried.as_slice() {
            [] => String::new(),
            some => format!("; not tried: {}", some.join(", ")),
        };
        format!("{} of {all} objects are done: {}; not done: {failed}{untried}", done.len(), done.join("; "))
    }
}

/// The act half of every action whose plan is a [`Setup`].
pub(in crate::actions) async fn act(
    hands: &Hands,
    plan: &ActionPlan,
    context: &ActionContext,
) -> ActionOutcome {
    match fixed_values::<Setup>(hands, plan) {
        Ok((cluster, setup)) => setup.carry_out(cluster, context).await,
        Err(why) => not_applied(why),
    }
}

/// The look back at every action whose plan is a [`Setup`].
pub(in crate::actions) async fn look_back(
    hands: &Hands,
    plan: &ActionPlan,
    context: &ActionContext,
) -> ActionOutcome {
    match fixed_values::<Setup>(hands, plan) {
        Ok((cluster, setup)) => setup.look_back(cluster, &context.key).await,
        Err(why) => unknown(why),
    }
}

/// Whether the world is as this way back would make it, though not by us; says what is so.
pub(in crate::actions) async fn is_so(hands: &Hands, plan: &ActionPlan) -> Option<String> {
    let (cluster, setup) = fixed_values::<Setup>(hands, plan).ok()?;
    setup.is_so(cluster).await.then(|| setup.told_as_it_is())
}
