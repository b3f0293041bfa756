//! `k8s.exec`: runs a command of the settings in one container. Once: nobody knows what a command does that was
//! interrupted.
//!
//! The settings hold whole lists of arguments, and a rule names one of them; no label and no shell comes near it. The
//! plan holds the arguments themselves, so that people approve what is run.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cluster::container::names;
use super::cluster::declared::Declared;
use super::cluster::plan::{fixed_values, outlined};
use super::cluster::pods::{Keeper, is_ready};
use super::cluster::subject::{Naming, Subject};
use super::cluster::words::{denied, sentence, unseen};
use super::cluster::workload::{mounts_claims, one_higher};
use super::cluster::{drafted, hand, object_of, refused};
use super::outcome::{failed, not_applied, unknown};
use super::request::fixed_name;
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::container::default_in_object;
use crate::clients::kubernetes::exec::ExecQuery;
use crate::clients::kubernetes::{ActHandle, Resource};
use crate::domain::action::{ActionOutcome, ActionPlan, Repeatability, Tier};
use crate::domain::catalog::{
    AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject, Reference,
};
use crate::domain::rule::TargetSpec;
use crate::domain::survey::{Impact, Rollout, SurveyOutcome, Surveyed};
use crate::domain::timeline::one_line;
use crate::engine::ports::{ActionContext, SurveyContext};
use crate::params;
use crate::period::Period;

/// A workload, in one of whose pods it runs, or a pod itself.
const KINDS: [&str; 4] = ["Deployment", "StatefulSet", "DaemonSet", "Pod"];

/// Longest time of a command: an attempt has a minute in all.
const TIMEOUT_MAX: Period = Period::from_secs(40);

/// Time of a command where the rule says nothing.
const TIMEOUT: Period = Period::from_secs(10);

/// Characters of its output that are shown.
const OUTPUT_CHARS_MAX: usize = 1_000;

pub(super) const ENTRY: Entry = Declared {
    name: "k8s.exec",
    summary: "Runs one of the commands under `kubernetes.commands` in a container: in the pod that is named, or in the \
              first ready one of a workload. No shell, and never twice. Exit code 0 counts as carried out, any other \
              as a remedy that did not help, and none at all as unknown.",
    tier_floor: Tier::T2,
    inverse: Inverse::FromRule,
    check,
    schema: params::schema::<Params>,
    access,
    outline,
    survey: |hands, draft, context| Box::pin(survey(hands, draft, context)),
}
.once(|hands, plan, context| Box::pin(act(hands, plan, context)));

/// Parameters of `k8s.exec`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Name of a command in the settings, under `kubernetes.commands`.
    #[schemars(length(min = 1, max = 200))]
    command: String,
    /// `Deployment`, `StatefulSet`, `DaemonSet` or `Pod`. Default: the target's.
    kind: Option<String>,
    /// Namespace, as it stands in the rule. Default: the target's.
    namespace: Option<String>,
    /// Name of the workload or pod. Default: the target's. May hold templates.
    name: Option<String>,
    /// Name of the container. Default: the one that the pod names as its default, or its first.
    container: Option<String>,
    /// How long it may run, at most 40s. Default: 10s.
    timeout: Option<Period>,
}

/// A plan with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    namespace: String,
    pod: String,
    uid: String,
    container: String,
    command: String,
    argv: Vec<String>,
    timeout_ms: u64,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind, namespace, name, command, timeout, .. } = params::read(params)?;
    fixed_name("/command", &command, "a command")?;
    params::period_within("/timeout", timeout, Period::from_secs(1), TIMEOUT_MAX)?;
    let mut checked = Naming::of(&kind, &namespace, &name).checked(&KINDS)?;
    checked.references.push(Reference::Command(command));
    Ok(checked)
}

/// The newer way to exec is authorised as `get`, the older one as `create`.
fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let naming = Naming::in_params(params);
    let whose = naming.need_keeper(target);
    let pods = naming.need_all("", "pods", &["get", "list"]);
    whose.into_iter().chain([pods, naming.need_all("", "pods/exec", &["create", "get"])]).collect()
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { command, .. } = params::read(params)?;
    let subject = Naming::in_params(params).subject(&KINDS, plan.target)?;
    let outline = outlined(&subject, params, format!("run {command} in {}", subject.shown()));
    let touches = vec!["Pod".to_owned()];
    Ok(PlanOutline { repeatability: Repeatability::AtMostOnce, touches, ..outline })
}

fn argv<'h>(hands: &'h Hands, command: &str) -> Result<&'h Vec<String>, String> {
    let missing = || format!("there is no command `{command}` under `kubernetes.commands` in the settings");
    hands.commands.get(command).ok_or_else(missing)
}

async fn survey(hands: &Hands, draft: &ActionPlan, _: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let params: Params = drafted(draft)?;
    let subject = object_of(draft)?;
    let argv = argv(hands, &params.command).map_err(refused)?.clone();
    let (pods, keeper, rollout) = pods(cluster, &subject).await?;
    let fits = |pod: &&Value| subject.kind == "Pod" || is_ready(pod);
    let pod = pods.iter().filter(fits).min_by_key(|pod| pod["metadata"]["name"].as_str());
    let pod = pod.ok_or_else(|| refused(format!("{} has no ready pod to run it in", subject.shown())))?;
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = text("/metadata/name");
    let all = pod.pointer("/spec/containers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut containers = all.iter().filter_map(|container| container["name"].as_str());
    let container = match &params.container {
        None => default_in_object(pod),
        Some(wanted) => containers.find(|name| name == wanted),
    };
    let container = container.ok_or_else(|| {
        let wanted = params.container.as_deref().unwrap_or_default();
        refused(format!("pod {name} has no container `{wanted}`, but {}", names(all)))
    })?;
    let container = container.to_owned();
    let command = Command {
        namespace: subject.namespace.clone(),
        pod: name.clone(),
        uid: text("/metadata/uid"),
        container,
        command: params.command,
        argv,
        timeout_ms: u64::try_from(params.timeout.unwrap_or(TIMEOUT).get().as_millis()).unwrap_or_default(),
    };
    let is_stateful = mounts_claims(pod) || pod["metadata"]["ownerReferences"][0]["kind"] == "StatefulSet";
    let mut notes = vec!["a command cannot be rehearsed, and is never run twice".to_owned()];
    if is_stateful {
        notes.push(format!("pod {name} keeps state: one tier higher"));
    }
    let plan = ActionPlan {
        summary: format!("run `{}` in {}/{name}", command.argv.join(" "), command.namespace),
        basis: Some(json!({"pod": command.uid, "container": command.container, "argv": command.argv})),
        params: serde_json::to_value(&command).expect("a command is made of texts"),
        // Limits hold for the workload, in whatever way its pod is named.
        target: keeper.target(),
        ..draft.clone()
    };
    let impact = Impact { rollout, ..Impact::on("Pod") };
    let tier_floor = if is_stateful { one_higher(Tier::T2) } else { Tier::T2 };
    Ok(SurveyOutcome::Ready(Box::new(Surveyed { plan, inverse: None, tier_floor, notes, impact })))
}

/// The pods in one of which it may run, and the workload whose they are, with its rollout. A pod that nobody keeps stands
/// for itself.
async fn pods(
    cluster: &ActHandle,
    subject: &Subject,
) -> Result<(Vec<Value>, Subject, Rollout), SurveyOutcome> {
    if subject.kind != "Pod" {
        let Keeper { subject, pods, rollout, .. } = Keeper::read(cluster, subject.clone()).await?;
        return Ok((pods, subject, rollout));
    }
    let pod: Option<Value> = cluster
        .find(&Resource::PODS, Some(&subject.namespace), &subject.name)
        .await
        .map_err(|error| unseen(&error))?;
    let pod = pod.ok_or_else(|| refused(format!("there is no {}", subject.shown())))?;
    let keepers = Keeper::of_pods(cluster, &subject.namespace, &[&pod], &[]).await?;
    let nobody = || (subject.clone(), Rollout::Settled);
    let (keeper, rollout) =
        keepers.into_iter().next().map_or_else(nobody, |keeper| (keeper.subject, keeper.rollout));
    Ok((vec![pod], keeper, rollout))
}

async fn act(hands: &Hands, plan: &ActionPlan, _: &ActionContext) -> ActionOutcome {
    let (cluster, command) = match fixed_values::<Command>(hands, plan) {
        Ok(both) => both,
        Err(why) => return not_applied(why),
    };
    // People approved these arguments; the settings may have changed since.
    match argv(hands, &command.command) {
        Ok(now) if *now == command.argv => {}
        Ok(_) => return not_applied("the settings have other arguments for it since this was planned"),
        Err(why) => return not_applied(why),
    }
    let pod: Value = match cluster.get(&Resource::PODS, Some(&command.namespace), &command.pod).await {
        Ok(pod) => pod,
        Err(error) => return denied(&error),
    };
    if pod["metadata"]["uid"] != command.uid.as_str() {
        return not_applied(format!(
            "pod {} was replaced by another of that name since this was planned",
            command.pod
        ));
    }
    let query = ExecQuery {
        namespace: &command.namespace,
        pod: &command.pod,
        container: Some(&command.container),
        argv: &command.argv,
        timeout: Duration::from_millis(command.timeout_ms).min(TIMEOUT_MAX.get()),
    };
    let output = match cluster.exec(query).await {
        Ok(output) => output,
        Err(error) if error.maybe_sent() => return unknown(sentence(&error)),
        Err(error) => return denied(&error),
    };
    // Redacted before it is cut: half a secret is no longer known as one.
    let redactor = hands.keyring.redactor();
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| redactor.redact(text.trim()));
    let said = one_line(&format!("{stdout} {stderr}"), OUTPUT_CHARS_MAX);
    match output.exit_code {
        Some(0) => ActionOutcome::Applied {
            detail: format!("{} in {}: {said}", command.command, command.pod),
            inverse: None,
            requests: Vec::new(),
        },
        Some(code) => {
            failed(format!("{} in {} ended with exit code {code}: {said}", command.command, command.pod))
        }
        None => unknown(format!(
            "the cluster does not say how {} in {} ended: {said}",
            command.command, command.pod
        )),
    }
}
