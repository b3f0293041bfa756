//! `k8s.exec_ro`: what a command that only reads says in a container.
//!
//! The commands stand in the settings, each a program with its arguments. A rule names one and can add nothing to it.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown};
use super::k8s::pod::PodGlance;
use super::k8s::{By, PodChoice, Scene, checked, fields, need, need_pods, one_of};
use super::{Entry, Moment, Tools, k8s};
use crate::clients::kubernetes::Resource;
use crate::clients::kubernetes::container::default_in;
use crate::clients::kubernetes::exec::{ExecOutput, ExecQuery};
use crate::domain::catalog::{AccessNeed, CheckedParams, DiagnosticKind, ParamsError, Reference};
use crate::domain::diagnosis::FINDING_TEXT_BYTES_MAX;
use crate::domain::rule::TargetSpec;
use crate::domain::timeline::cut;
use crate::params;
use crate::period::Period;

/// Longest time that a command may be given, below the time of the diagnostic.
const TIMEOUT_MAX: Period = Period::from_secs(12);

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.exec_ro",
        summary: "Runs one of the commands under `kubernetes.read_commands` in a container and shows what it says. No shell.",
        fields: &[
            ("ok", "Whether it ended with 0."),
            ("exit_code", "Its exit code."),
            ("stdout", "What it wrote, at most 8000 bytes."),
            ("stderr", "What it wrote to standard error, likewise."),
            ("pod", "The pod that it ran in."),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `k8s.exec_ro`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Name of a command in the settings, under `kubernetes.read_commands`.
    #[schemars(length(min = 1, max = 253))]
    command: String,
    /// Namespace. Default: that of the incident's target. May hold templates.
    namespace: Option<String>,
    /// Pod to run it in. May hold templates.
    pod: Option<String>,
    /// Selector over labels: it runs in the first ready pod. Default: the pods of the incident's target. May hold
    /// templates.
    #[schemars(length(min = 1, max = 2048))]
    selector: Option<String>,
    /// Container. Default: the one that the pod names as its default, or its first.
    container: Option<String>,
    /// Longest time that it may run, at most 12s. Default: 5s.
    #[serde(default = "default_timeout")]
    timeout: Period,
}

fn default_timeout() -> Period {
    Period::from_secs(5)
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { command, namespace, pod, selector, container, timeout } = params::read(params)?;
    params::text_within("/command", &command, 253)?;
    params::within("/timeout", timeout, Period::from_secs(1), TIMEOUT_MAX)?;
    one_of(&[("pod", pod.is_some()), ("selector", selector.is_some())])?;
    let names = [("namespace", &namespace), ("pod", &pod), ("container", &container)];
    let mut checked = checked(&names.map(|(key, text)| (key, text.as_deref())), selector.as_deref())?;
    checked.references.push(Reference::ReadCommand(command));
    Ok(checked)
}

/// The newer way to exec is authorised as `get`, the older one as `create`.
fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let exec = need(params, &Resource::PODS, "exec", &["get", "create"]);
    need_pods(params, target).into_iter().chain([exec]).collect()
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { command, namespace, pod, selector, container, timeout } = params::read(params)?;
    let scene = Scene::of(tools, moment)?;
    let argv = scene.access.commands.get(&command).ok_or_else(|| {
        Unknown::new(format!(
            "there is no command `{command}` under `kubernetes.read_commands` in the settings"
        ))
    })?;
    let choice =
        PodChoice { namespace: namespace.as_deref(), selector: selector.as_deref(), pod: pod.as_deref() };
    let selection = scene.selection(choice).await?;
    let mut first: Option<(String, Option<String>)> = None;
    scene
        .each_pod(&selection, |pod| {
            let glance = PodGlance::of(scene, &pod);
            let named = matches!(selection.by, By::Name(_));
            let fits = named || (glance.ready && !glance.terminating);
            if fits && first.as_ref().is_none_or(|(name, _)| glance.name < *name) {
                first = Some((glance.name, default_in(&pod)));
            }
        })
        .await?;
    let (pod, default) =
        first.ok_or_else(|| Unknown::new("no ready pod is selected to run the command in"))?;
    let container = container.or(default);
    let query = ExecQuery {
        namespace: &selection.namespace,
        pod: &pod,
        container: container.as_deref(),
        argv,
        timeout: timeout.get().min(moment.timeout),
    };
    let output = scene.reads.exec(query).await?;
    let Some(code) = output.exit_code else {
        return Err(Unknown::new(format!("the cluster does not say how `{command}` ended in {pod}")));
    };
    Ok(evidence(pod, code, output, tools))
}

fn evidence(pod: String, code: i32, output: ExecOutput, tools: &Tools) -> Evidence {
    // Redacted before it is cut: half a secret is no longer known as one.
    let redactor = tools.keyring.redactor();
    let [stdout, stderr] = [&output.stdout, &output.stderr]
        .map(|text| cut(redactor.redact(text.trim_end()).into_owned(), FINDING_TEXT_BYTES_MAX));
    let mut text = format!("exit code {code} in {pod}");
    for said in [&stdout, &stderr] {
        if !said.is_empty() {
            text += &format!("\n{said}");
        }
    }
    let found = fields(json!({
        "ok": code == 0,
        "exit_code": code,
        "stdout": stdout,
        "stderr": stderr,
        "pod": pod,
    }));
    Evidence { fields: found, text, chart: None }
}
