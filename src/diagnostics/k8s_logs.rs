//! `k8s.logs`: what containers wrote, filtered line by line while it streams.
//!
//! A log is never in memory: of each container only the newest lines that pass the filters are kept, within a fixed
//! number of bytes, whatever is read to find them.

mod sieve;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::evidence::{Evidence, Unknown};
use super::k8s::{By, PodChoice, Scene, checked, fields, need, need_pods, one_of};
use super::{Entry, Moment, Tools, k8s};
use crate::clients::kubernetes::container::default_in;
use crate::clients::kubernetes::logs::LogQuery;
use crate::clients::kubernetes::{Failure, KubernetesError, Resource};
use crate::domain::catalog::{AccessNeed, CheckedParams, DiagnosticKind, ParamsError};
use crate::domain::counted::counted;
use crate::domain::diagnosis::FINDING_TEXT_BYTES_MAX;
use crate::domain::redact::Redactor;
use crate::domain::rule::TargetSpec;
use crate::domain::timeline::one_line;
use crate::params;
use crate::period::Period;

use sieve::{Filter, Sieve};

/// Most lines from the end of a log that may be asked for.
const TAIL_MAX: u64 = 10_000_000;

/// Most bytes of one log that may be read: what a second or so of a busy line carries.
const BYTES_MAX: u64 = 2 << 30;

/// Most pods whose logs are read.
const PODS_MAX: usize = 50;

/// Logs that are read at the same time.
const STREAMS_MAX: usize = 8;

/// What is said where the run before the present one is wanted, and all containers are in their first.
const NONE_ENDED: &str = "no container ended before";

/// Characters of a line for people.
const LINE_CHARS_MAX: usize = 600;

/// Largest size of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 256 << 10;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.logs",
        summary: "Reads logs of pods and keeps the newest lines that pass the filters. Logs stream and are never held.",
        fields: &[
            ("lines", "How many lines passed the filters."),
            ("read_lines", "How many lines were read."),
            ("pods", "How many pods were read."),
            ("failed_pods", "How many could not be read, such as those whose container has not started."),
            ("truncated", "Whether a log was longer than `max_bytes`, so that its newest lines are missing."),
            ("last", "The newest line that passed. Left out where none did."),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `k8s.logs`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Namespace. Default: that of the incident's target. May hold templates.
    namespace: Option<String>,
    /// Selector over labels: the logs of all its pods. Default: the pods of the incident's target. May hold templates.
    #[schemars(length(min = 1, max = 2048))]
    selector: Option<String>,
    /// One pod instead. May hold templates.
    pod: Option<String>,
    /// Container. Default: the one that the pod names as its default, or its first. May hold templates.
    container: Option<String>,
    /// Whether to read the run before the present one, as after a crash.
    #[serde(default)]
    previous: bool,
    /// Lines to read from the end of each log, before any filter. Default: 500.
    #[serde(default = "default_tail")]
    #[schemars(range(min = 1, max = 10_000_000))]
    tail: u64,
    /// Only what is younger than this. Default: any age.
    since: Option<Period>,
    /// Regular expression: only lines that it is found in.
    #[schemars(length(min = 1, max = 500))]
    grep: Option<String>,
    /// Only lines that are JSON and hold these values: JSON pointer and value, such as `/level: error`.
    #[serde(default)]
    json: Map<String, Value>,
    /// Bytes to read of each log at most. Default: 4 MiB.
    #[serde(default = "default_bytes")]
    #[schemars(range(min = 1024, max = 2_147_483_648u64))]
    max_bytes: u64,
}

fn default_tail() -> u64 {
    500
}

fn default_bytes() -> u64 {
    4 << 20
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let read: Params = params::read(params)?;
    params::within("/tail", read.tail, 1, TAIL_MAX)?;
    params::within("/max_bytes", read.max_bytes, 1024, BYTES_MAX)?;
    params::period_within("/since", read.since, Period::from_secs(1), Period::from_days(30))?;
    filter(&read)?;
    one_of(&[("pod", read.pod.is_some()), ("selector", read.selector.is_some())])?;
    let names = [("namespace", &read.namespace), ("pod", &read.pod), ("container", &read.container)];
    checked(&names.map(|(key, text)| (key, text.as_deref())), read.selector.as_deref())
}

fn filter(params: &Params) -> Result<Filter, ParamsError> {
    let mut wanted = Vec::new();
    for (pointer, value) in &params.json {
        let place = params::pointer(&["json", pointer]);
        if !pointer.starts_with('/') {
            return Err(ParamsError::at(place, "this is no JSON pointer: write it like `/level`"));
        }
        if value.is_object() || value.is_array() {
            return Err(ParamsError::at(
                place,
                "only a text, a number, true, false or null can be looked for",
            ));
        }
        wanted.push((pointer.clone(), value.clone()));
    }
    let compile = |pattern: &String| {
        params::text_within("/grep", pattern, 500)?;
        let built = regex::RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
        built.map_err(|error| ParamsError::at("/grep", format!("this is no regular expression: {error}")))
    };
    let grep: Option<Regex> = params.grep.as_ref().map(compile).transpose()?;
    Ok(Filter { grep, json: wanted })
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let logs = need(params, &Resource::PODS, "log", &["get"]).named(k8s::text(params, "pod"));
    need_pods(params, target).into_iter().chain([logs]).collect()
}

/// A container to read.
struct Source {
    pod: String,
    container: Option<String>,
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let params: Params = params::read(params)?;
    let filter = filter(&params)?;
    let scene = Scene::of(tools, moment)?;
    let choice = PodChoice {
        namespace: params.namespace.as_deref(),
        selector: params.selector.as_deref(),
        pod: params.pod.as_deref(),
    };
    let selection = scene.selection(choice).await?;
    let mut sources: Vec<Source> = Vec::new();
    let mut all = 0;
    scene
        .each_pod(&selection, |pod| {
            all += 1;
            sources.push(Source::of(&pod, params.container.as_deref()));
        })
        .await?;
    if sources.is_empty() {
        return Err(Unknown::new("no pod is selected, so there are no logs"));
    }
    if all > PODS_MAX && matches!(selection.by, By::Labels(_)) {
        return Err(Unknown::new(format!("{all} pods are selected: more than {PODS_MAX} logs are not read")));
    }
    let namespace = selection.namespace.as_str();
    let reads: Vec<_> =
        sources.iter().map(|source| read(scene, namespace, source, &params, &filter)).collect();
    let results: Vec<Result<Option<Sieve>, KubernetesError>> =
        futures::stream::iter(reads).buffered(STREAMS_MAX).collect().await;
    evidence(&sources, results, &tools.keyring.redactor())
}

impl Source {
    fn of(pod: &Pod, container: Option<&str>) -> Self {
        Self {
            pod: pod.metadata.name.clone().unwrap_or_default(),
            container: container.map(str::to_owned).or_else(|| default_in(pod)),
        }
    }
}

/// None where the run before the present one is wanted, and there was none.
async fn read(
    scene: Scene<'_>,
    namespace: &str,
    source: &Source,
    params: &Params,
    filter: &Filter,
) -> Result<Option<Sieve>, KubernetesError> {
    let query = LogQuery {
        container: source.container.clone(),
        previous: params.previous,
        since: params.since.map(Period::get),
        tail_lines: params.tail,
        bytes_max: params.max_bytes,
    };
    let mut log = match scene.reads.logs(namespace, &source.pod, &query).await {
        Err(error) if params.previous && has_no_previous(&error) => return Ok(None),
        log => log?,
    };
    let mut sieve = Sieve::default();
    while let Some(part) = log.part().await? {
        sieve.take(&part, filter);
        // A log that never waits must not keep others from running.
        tokio::task::consume_budget().await;
    }
    sieve.end(filter);
    sieve.truncated = log.reached_limit();
    Ok(Some(sieve))
}

/// The kubelet's words for a container that has not ended yet. It has no code of its own for this.
fn has_no_previous(error: &KubernetesError) -> bool {
    matches!(&error.failure, Failure::Invalid { reason, .. }
        if reason.starts_with("previous terminated container") && reason.ends_with("not found"))
}

fn evidence(
    sources: &[Source],
    results: Vec<Result<Option<Sieve>, KubernetesError>>,
    redactor: &Redactor,
) -> Result<Evidence, Unknown> {
    let mut read: Vec<(&Source, Sieve)> = Vec::new();
    let mut failures: Vec<String> = Vec::new();
    let mut first_runs = 0;
    for (source, result) in sources.iter().zip(results) {
        match result {
            Ok(Some(sieve)) => read.push((source, sieve)),
            Ok(None) => first_runs += 1,
            Err(error) => failures.push(error.to_string()),
        }
    }
    if let (true, Some(first)) = (read.is_empty() && first_runs == 0, failures.first()) {
        let rest = failures.len() - 1;
        let more = if rest > 0 { format!(" (and {rest} more)") } else { String::new() };
        return Err(Unknown::new(format!("{first}{more}")));
    }
    let sum = |of: fn(&Sieve) -> u64| read.iter().map(|(_, sieve)| of(sieve)).sum::<u64>();
    let truncated = read.iter().any(|(_, sieve)| sieve.truncated);
    let texts: Vec<(&Source, String)> =
        read.iter().map(|(source, sieve)| (*source, redactor.redact(&sieve.text()).into_owned())).collect();
    let last = texts.iter().filter_map(|(_, text)| text.lines().next_back()).next_back();
    let found = fields(json!({
        "lines": sum(|sieve| sieve.passed),
        "read_lines": sum(|sieve| sieve.read),
        "pods": read.len() + first_runs,
        "failed_pods": failures.len(),
        "truncated": truncated,
        "last": last.map(|line| one_line(line, LINE_CHARS_MAX)),
    }));
    let mut notes: Vec<String> = Vec::new();
    if first_runs > 0 && !(read.is_empty() && failures.is_empty()) {
        notes.push(format!("of {}, no container ended before", counted(first_runs, "pod")));
    }
    if truncated {
        notes.push("a log was longer than `max_bytes`: lower `tail` or `since`, or raise it".to_owned());
    }
    notes.extend(failures.iter().take(3).map(|failure| one_line(failure, 300)));
    if read.is_empty() {
        if notes.is_empty() {
            notes.push(NONE_ENDED.to_owned());
        }
        return Ok(Evidence { fields: found, text: notes.join("\n"), chart: None });
    }
    Ok(Evidence { fields: found, text: page(&texts, sources.len() > 1, &notes), chart: None })
}

/// The newest lines of each log, as many as fit, each log with an equal share. Where others are meant as well, each says
/// whose it is.
fn page(texts: &[(&Source, String)], has_others: bool, notes: &[String]) -> String {
    let notes = notes.join("\n");
    let with_lines: Vec<&(&Source, String)> = texts.iter().filter(|(_, text)| !text.is_empty()).collect();
    let room = FINDING_TEXT_BYTES_MAX.saturating_sub(notes.len() + 1);
    let share = room / with_lines.len().max(1);
    let mut parts: Vec<String> = Vec::new();
    for (source, text) in &with_lines {
        let head = if has_others { format!("== {} ==\n", source.pod) } else { String::new() };
        let mut left = share.saturating_sub(head.len() + 1);
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines().rev() {
            let line = one_line(line, LINE_CHARS_MAX);
            if line.len() + 1 > left {
                break;
            }
            left -= line.len() + 1;
            lines.push(line);
        }
        lines.reverse();
        if !lines.is_empty() {
            parts.push(head + &lines.join("\n"));
        }
    }
    if parts.is_empty() {
        parts.push("no line passed".to_owned());
    }
    if !notes.is_empty() {
        parts.push(notes);
    }
    parts.join("\n")
}
