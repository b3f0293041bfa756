//! Actions: one file for each thing that a remedy can do.
//!
//! This is the only room that is given a handle that changes the world, and all it can reach are the endpoints, the
//! cluster and the connections that the settings name. Most actions touch nothing: they ask the engine to tell people, to escalate or to keep a
//! document. An action never retries and never decides; it makes one attempt and says how that ended: applied, not
//! applied, or unknown. Unknown is the honest word whenever the request may have arrived. Everything that leaves here
//! is bounded and has passed the redactor.
//!
//! To add one: a file with its parameters and its `ENTRY`, a line in [`ENTRIES`], a test, and
//! `UPDATE_DOCS=1 cargo test --test reference`. Reading order: [`Actions`], [`endpoint`], then any action.

pub mod access;
mod am_silence;
mod cert_renew;
mod checklist_start;
mod cluster;
pub mod endpoint;
mod escalate;
mod http_call;
mod human_task;
mod incident_postmortem;
mod k8s_apply;
mod k8s_delete;
mod k8s_delete_pod;
mod k8s_exec;
mod k8s_hpa_patch;
mod k8s_job_run;
mod k8s_patch;
mod k8s_remove;
mod k8s_rollout_restart;
mod k8s_rollout_undo;
mod k8s_scale;
mod k8s_set_env;
mod k8s_set_image;
mod k8s_set_resources;
mod markdown;
mod notify_pagerduty;
mod notify_slack;
mod outcome;
mod pg;
mod pg_maintain;
mod pg_terminate_idle;
mod redis_op;
mod request;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::clients::http::{HttpClient, HttpError, HttpOptions, ProxyChoice};
use crate::clients::kubernetes::ActHandle;
use crate::domain::action::{ActionOutcome, ActionPlan};
use crate::domain::catalog::ActionKind;
use crate::domain::survey::SurveyOutcome;
use crate::engine::ports::{ActionContext, Actor, PortFuture, SurveyContext, Surveyor};
use crate::secret::Keyring;

pub use access::Connections;
pub use endpoint::Endpoint;
pub use incident_postmortem::record as record_of;

/// All actions, in the order of the reference.
const ENTRIES: [Entry; 26] = [
    k8s_delete_pod::ENTRY,
    k8s_rollout_restart::ENTRY,
    k8s_rollout_undo::ENTRY,
    k8s_scale::ENTRY,
    k8s_hpa_patch::ENTRY,
    k8s_set_resources::ENTRY,
    k8s_set_env::ENTRY,
    k8s_set_image::ENTRY,
    k8s_patch::ENTRY,
    k8s_apply::ENTRY,
    k8s_remove::ENTRY,
    k8s_delete::ENTRY,
    k8s_job_run::ENTRY,
    k8s_exec::ENTRY,
    cert_renew::ENTRY,
    redis_op::ENTRY,
    pg_terminate_idle::ENTRY,
    pg_maintain::ENTRY,
    am_silence::ENTRY,
    http_call::ENTRY,
    human_task::ENTRY,
    checklist_start::ENTRY,
    notify_slack::ENTRY,
    notify_pagerduty::ENTRY,
    escalate::ENTRY,
    incident_postmortem::ENTRY,
];

/// An action: what it is, and how it is carried out.
struct Entry {
    kind: ActionKind,
    act: Act,
    /// Looks at the object before, for kinds that say so.
    survey: Option<Look>,
    /// Looks at the object after an attempt that was interrupted; without it nobody knows.
    look_back: Option<Act>,
}

type Act = for<'a> fn(&'a Hands, &'a ActionPlan, &'a ActionContext) -> PortFuture<'a, ActionOutcome>;
type Look = for<'a> fn(&'a Hands, &'a ActionPlan, &'a SurveyContext) -> PortFuture<'a, Looked>;

/// What a survey came to. One that ended early says why on the other side: both are answers.
type Looked = Result<SurveyOutcome, SurveyOutcome>;

/// What actions may use.
struct Hands {
    endpoints: BTreeMap<String, Endpoint>,
    http: HttpClient,
    cluster: Option<ActHandle>,
    /// Commands that `k8s.exec` may run.
    commands: BTreeMap<String, Vec<String>>,
    connections: Connections,
    keyring: Keyring,
}

/// All kinds of actions, for the catalog.
pub fn kinds() -> Vec<ActionKind> {
    ENTRIES.into_iter().map(|entry| entry.kind).collect()
}

/// The cluster that actions change.
#[derive(Debug, Clone)]
pub struct ClusterAccess {
    /// The handle that writes.
    pub acts: ActHandle,
    /// Commands that `k8s.exec` may run, by their names.
    pub commands: BTreeMap<String, Vec<String>>,
}

/// How to build [`Actions`].
#[derive(Debug)]
pub struct ActionsOptions {
    /// The endpoints of the settings, by name: all that `http.call` can reach.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Through which proxy they are reached.
    pub proxy: ProxyChoice,
    /// The cluster of the settings, under the identity that may write.
    pub kubernetes: Option<ClusterAccess>,
    /// The connections of the settings at which something may be changed.
    pub connections: Connections,
    /// Knows the secrets that must not show.
    pub keyring: Keyring,
}

/// Carries plans out: the engine's [`Actor`].
pub struct Actions {
    hands: Hands,
}

impl Actions {
    /// Ready to act.
    ///
    /// # Errors
    /// Where the machine cannot make an HTTP client, or the proxy's URL is not one.
    pub fn new(options: ActionsOptions) -> Result<Self, HttpError> {
        let http = HttpClient::new(&HttpOptions { proxy: options.proxy, ..HttpOptions::configured() })?;
        let ActionsOptions { endpoints, kubernetes, connections, keyring, .. } = options;
        let (cluster, commands) = kubernetes.map(|cluster| (cluster.acts, cluster.commands)).unzip();
        let commands = commands.unwrap_or_default();
        Ok(Self { hands: Hands { endpoints, http, cluster, commands, connections, keyring } })
    }
}

impl Actor for Actions {
    fn act<'a>(&'a self, plan: &'a ActionPlan, context: ActionContext) -> PortFuture<'a, ActionOutcome> {
        Box::pin(async move {
            let outcome = match ENTRIES.into_iter().find(|entry| entry.kind.name == plan.kind) {
                Some(entry) => (entry.act)(&self.hands, plan, &context).await,
                None => outcome::not_applied(format!("this version has no action `{}`", plan.kind)),
            };
            outcome::finish(outcome, &self.hands.keyring.redactor())
        })
    }

    fn look_back<'a>(
        &'a self,
        plan: &'a ActionPlan,
        context: &'a ActionContext,
    ) -> PortFuture<'a, ActionOutcome> {
        Box::pin(async move {
            let entry = ENTRIES.into_iter().find(|entry| entry.kind.name == plan.kind);
            let outcome = match entry.and_then(|entry| entry.look_back) {
                Some(look_back) => look_back(&self.hands, plan, context).await,
                None => outcome::unknown(
                    "the attempt was interrupted, and there is no way to look what became of it",
                ),
            };
            outcome::finish(outcome, &self.hands.keyring.redactor())
        })
    }
}

impl Surveyor for Actions {
    fn survey<'a>(&'a self, draft: &'a ActionPlan, context: SurveyContext) -> PortFuture<'a, SurveyOutcome> {
        Box::pin(async move {
            let entry = ENTRIES.into_iter().find(|entry| entry.kind.name == draft.kind);
            let outcome = match entry.and_then(|entry| entry.survey) {
                Some(survey) => survey(&self.hands, draft, &context).await.unwrap_or_else(|early| early),
                None => {
                    let reason = format!("this version has no way to look at the target of `{}`", draft.kind);
                    SurveyOutcome::Refused { reason }
                }
            };
            outcome::finish_survey(outcome, &self.hands.keyring.redactor())
        })
    }

    fn is_so<'a>(&'a self, way_back: &'a ActionPlan) -> PortFuture<'a, Option<String>> {
        Box::pin(async move {
            let hands = &self.hands;
            let detail = match way_back.kind.as_str() {
                redis_op::NAME => redis_op::is_so(hands, way_back).await?,
                _ => match cluster::edit::is_so(hands, way_back).await {
                    Some(detail) => detail,
                    None => cluster::manifest::is_so(hands, way_back).await?,
                },
            };
            Some(outcome::line(detail, &self.hands.keyring.redactor()))
        })
    }
}
