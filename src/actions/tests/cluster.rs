//! Actions on the simulated cluster, as the engine calls them: outlined, surveyed, carried out. What the cluster records
//! of writes is the judge.

mod access;
mod certificates;
mod faults;
mod fields;
mod jobs;
mod keepers;
mod manifests;
mod pods;
mod refusals;
mod restarts;
mod scaling;
mod undoing;
mod waiting;

use super::*;
use crate::clients::kubernetes::ConnectOptions;
use crate::domain::action::Tier;
use crate::domain::correlate::{CorrelationKey, Target};
use crate::domain::incident::{Incident, IncidentId, Opening};
use crate::domain::rule::RuleHash;
use crate::domain::severity::Severity;
use crate::domain::survey::Surveyed;
use crate::sandbox::faults::Fault;
use crate::sandbox::kubernetes::KubernetesSandbox;
use crate::sandbox::kubernetes::writes::Write;

/// The key of the first attempt that the tests make.
const KEY: &str = "01-a1-apply";

/// Time for an answer, where its absence is no part of the story.
const PATIENCE: Duration = Duration::from_secs(30);

/// The simulated cluster, and hands on it.
struct World {
    cluster: KubernetesSandbox,
    actions: Actions,
    /// The last write that belongs to the story before the test.
    before: u64,
}

/// A cluster with these objects, in which everything has settled.
async fn mk_world(objects: &[Value]) -> World {
    let cluster = KubernetesSandbox::start(0).await.expect("a free port");
    for object in objects {
        cluster.put(object.clone()).expect("an object that is played");
    }
    settle(&cluster);
    let actions = mk_actions_on(&cluster, PATIENCE).await;
    World { cluster, actions, before: 0 }
}

/// Hands on a cluster that wait so long for an answer.
async fn mk_actions_on(cluster: &KubernetesSandbox, timeout: Duration) -> Actions {
    mk_actions_by(&cluster.kubeconfig(), timeout).await
}

/// Hands on the cluster of a kubeconfig, as whom it says.
async fn mk_actions_by(kubeconfig: &str, timeout: Duration) -> Actions {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kubeconfig");
    std::fs::write(&path, kubeconfig).expect("written");
    let connect = ConnectOptions { kubeconfig: Some(path), context: None, impersonate: None, timeout };
    let hand = ActHandle::new(connect);
    hand.connect().await.expect("a line to the cluster");
    let keyring = mk_keyring();
    keyring.open(&SecretSource::Env("PLANTED".to_owned())).expect("the variable is set");
    let options = ActionsOptions {
        endpoints: BTreeMap::new(),
        proxy: ProxyChoice::Direct,
        kubernetes: Some(ClusterAccess { acts: hand, commands: mk_commands() }),
        connections: Default::default(),
        keyring,
    };
    Actions::new(options).expect("actions")
}

fn mk_commands() -> BTreeMap<String, Vec<String>> {
    [("greet", "echo hello"), ("fail", "false")]
        .map(|(name, words)| (name.to_owned(), words.split(' ').map(str::to_owned).collect()))
        .into()
}

/// Lets controllers and nodes come to rest.
fn settle(cluster: &KubernetesSandbox) {
    cluster.step(Duration::from_secs(60));
}

/// A Deployment `prod/api` of three replicas of an image.
fn mk_api(image: &str) -> Value {
    mk_workload("Deployment", "api", image)
}

fn mk_workload(kind: &str, name: &str, image: &str) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": name, "namespace": "prod"},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": name, "image": image, "env": [{"name": "LEVEL", "value": "info"}]}]},
            },
        },
    });
    if kind != "DaemonSet" {
        object["spec"]["replicas"] = json!(3);
    }
    if kind == "StatefulSet" {
        object["spec"]["serviceName"] = json!(name);
    }
    object
}

fn mk_target(kind: &str, name: &str) -> Target {
    Target { kind: kind.to_owned(), namespace: "prod".to_owned(), name: name.to_owned() }
}

fn mk_incident(target: Option<Target>) -> Incident {
    let opening = Opening {
        id: IncidentId("01".to_owned()),
        key: CorrelationKey("errors|api".to_owned()),
        rule: "errors".to_owned(),
        rule_hash: RuleHash("ab12".to_owned()),
        mode: Default::default(),
        severity: Severity::P1,
        summary: "errors".to_owned(),
        runbook: None,
        target,
        labels: Default::default(),
        annotations: Default::default(),
    };
    Incident::open(opening, mk_now())
}

/// The draft that the rules would make of rendered parameters for this target.
fn draft_for(kind: &str, params: Value, target: Option<&Target>) -> Result<ActionPlan, ParamsError> {
    let catalog = Catalog::new(Vec::new(), kinds());
    let kind = catalog.action(kind).expect("a kind");
    (kind.check)(&params)?;
    let outline = catalog.outline(kind, &params, target)?;
    Ok(ActionPlan {
        kind: kind.name.to_owned(),
        params: outline.params.unwrap_or(params),
        target: outline.target.expect("actions on a cluster name their target"),
        namespace: outline.namespace,
        summary: outline.summary,
        repeatability: outline.repeatability,
        basis: None,
        ttl: outline.ttl,
    })
}

/// The draft for `prod/api`.
fn draft(kind: &str, params: Value) -> ActionPlan {
    draft_for(kind, params, Some(&mk_target("Deployment", "api"))).expect("a draft")
}

impl World {
    async fn look(&self, draft: &ActionPlan) -> SurveyOutcome {
        self.look_in(draft, mk_incident(Some(mk_target("Deployment", "api")))).await
    }

    async fn look_in(&self, draft: &ActionPlan, incident: Incident) -> SurveyOutcome {
        let context = SurveyContext { now: mk_now(), incident: Box::new(incident) };
        self.actions.survey(draft, context).await
    }

    /// The survey of what can be done.
    async fn survey(&self, draft: &ActionPlan) -> Surveyed {
        match self.look(draft).await {
            SurveyOutcome::Ready(surveyed) => *surveyed,
            other => panic!("not ready: {other:?}"),
        }
    }

    /// Why it cannot be done.
    async fn refusal(&self, draft: &ActionPlan) -> String {
        match self.look(draft).await {
            SurveyOutcome::Refused { reason } | SurveyOutcome::NotNow { reason, .. } => reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Why there is nothing to do.
    async fn nothing(&self, draft: &ActionPlan) -> String {
        match self.look(draft).await {
            SurveyOutcome::NothingToDo { reason } => reason,
            other => panic!("something to do: {other:?}"),
        }
    }

    async fn act(&self, plan: &ActionPlan) -> ActionOutcome {
        act(&self.actions, plan, None).await
    }

    async fn act_as(&self, plan: &ActionPlan, key: &str) -> ActionOutcome {
        let step = if key.ends_with("-rollback") { Step::Rollback } else { Step::Apply };
        let context = ActionContext { key: key.to_owned(), step, ..mk_context(None) };
        self.actions.act(plan, context).await
    }

    async fn look_back(&self, plan: &ActionPlan) -> ActionOutcome {
        self.actions.look_back(plan, &mk_context(None)).await
    }

    /// The writes that changed the cluster.
    fn effects(&self) -> Vec<Write> {
        let writes = self.cluster.writes().after(self.before).into_iter().map(|entry| entry.what);
        writes.filter(|write| write.took_effect).collect()
    }

    fn deployment(&self) -> Value {
        self.cluster.get("deployments", "prod", "api").expect("it is there")
    }

    fn image(&self) -> String {
        let image = &self.deployment()["spec"]["template"]["spec"]["containers"][0]["image"];
        image.as_str().expect("an image").to_owned()
    }

    /// A person changes an object by hand.
    fn change(&self, plural: &str, name: &str, pointer: &str, value: Value) {
        let mut object = self.cluster.get(plural, "prod", name).expect("it is there");
        let place = object.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}"));
        *place = value;
        self.cluster.put(object).expect("an object that is played");
    }

    /// A new version is rolled out by hand, to its end.
    fn roll_out(&self, image: &str) {
        self.change("deployments", "api", "/spec/template/spec/containers/0/image", json!(image));
        settle(&self.cluster);
    }
}

fn applied(outcome: ActionOutcome) -> String {
    match outcome {
        ActionOutcome::Applied { detail, .. } => detail,
        other => panic!("not applied: {other:?}"),
    }
}

fn failed(outcome: ActionOutcome) -> String {
    match outcome {
        ActionOutcome::Failed { reason } => reason,
        other => panic!("not failed: {other:?}"),
    }
}

fn not_applied(outcome: ActionOutcome) -> String {
    match outcome {
        ActionOutcome::NotApplied { reason } | ActionOutcome::NotNow { reason, .. } => reason,
        other => panic!("not refused: {other:?}"),
    }
}
