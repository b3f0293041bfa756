//! `k8s.job_run`: runs a job now, that of a CronJob or one of a stored manifest, waits a while for its end, and shows its
//! last lines.
//!
//! The name of the Job comes from the attempt, so that a second attempt finds the Job of the first and makes no other.
//! That holds only while the Job is there, so it is made to stay: no CronJob owns it, whose history limit would collect
//! it, and it is kept for an hour after its end at least, whatever the template says. Then a Job that is not found soon
//! after the survey was never made, or somebody took it away on purpose; later nobody can tell, and people decide.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cluster::declared::Declared;
use super::cluster::edit::REHEARSAL;
use super::cluster::jobs::{Progress, progress, running};
use super::cluster::manifest::{MANIFEST, Setup, refuse_secrets};
use super::cluster::plan::{fixed_values, outlined};
use super::cluster::setting;
use super::cluster::subject::{Naming, Subject};
use super::cluster::words::{denied, sentence, unseen};
use super::cluster::workload::Workload;
use super::cluster::{EXECUTION_ID, drafted, hand, object_of, refused};
use super::outcome::{failed, not_applied, unknown};
use super::request::fixed_name;
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::logs::LogQuery;
use crate::clients::kubernetes::owner::CRON_JOB;
use crate::clients::kubernetes::{ActHandle, Failure, KubernetesError, ListQuery, Resource};
use crate::domain::action::{ActionOutcome, ActionPlan, Tier};
use crate::domain::catalog::{AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject};
use crate::domain::manifest::{JOB, Stored, kind_of, name_of};
use crate::domain::rule::TargetSpec;
use crate::domain::survey::{Impact, SurveyOutcome, Surveyed};
use crate::domain::timeline::{digest_of, digest_of_bytes};
use crate::engine::ports::{ActionContext, SurveyContext};
use crate::params;
use crate::period::Period;

const KIND: &str = "CronJob";

/// Longest wait for the end: an attempt has a minute in all. What takes longer runs on, and `k8s.job` looks at it.
const WAIT_MAX: Period = Period::from_secs(35);

/// How long a Job is kept after its end at least.
const KEPT_SECS_MIN: u64 = 60 * 60;

/// How long that of a CronJob is kept which says nothing: the history limit of a CronJob does not count it.
const KEPT_SECS: u64 = 24 * 60 * 60;

/// How long after the survey the absence of a Job proves that it was not made: well below [`KEPT_SECS_MIN`], so that
/// clocks that differ do no harm.
const ABSENCE_PROVES_FOR: Duration = Duration::from_secs(30 * 60);

/// Time between two looks at the Job.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Characters of the CronJob's name in that of the Job, which pods add to: names of pods have 63 at most.
const NAME_CHARS_MAX: usize = 40;

/// Lines of the log that are read, and their bytes: a server counts those from the first line on.
const LOG_LINES: u64 = 20;
const LOG_BYTES_MAX: u64 = 64 * 1024;

/// What is shown of it, from its end, where a failure stands. A line of the timeline holds it with its reason.
const SHOWN_BYTES_MAX: usize = 1_400;

/// Longest value of a label, by which the jobs of a manifest are found again.
const LABEL_BYTES_MAX: usize = 63;

/// Most arguments, as a command line has them.
const ARGS_MAX: usize = 32;

pub(super) const ENTRY: Entry = Declared {
    name: "k8s.job_run",
    summary: "Runs the job of a CronJob now, or the Job of a `StoredManifest`, waits up to 35s for its end and shows its \
              last lines. A Job that fails counts as a remedy that did not help; one that takes longer runs on, and none \
              begins beside it where the CronJob forbids that. There is no way back: give the remedy, or the \
              manifest, the tier that the job deserves.",
    tier_floor: Tier::T1,
    inverse: Inverse::FromRule,
    check,
    schema: params::schema::<Params>,
    access,
    outline,
    survey: |hands, draft, context| Box::pin(survey(hands, draft, context)),
}
.with(
    |hands, plan, context| Box::pin(act(hands, plan, context)),
    |hands, plan, context| Box::pin(look_back(hands, plan, context)),
);

/// Parameters of `k8s.job_run`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// `CronJob`, which it is without this.
    kind: Option<String>,
    /// Namespace, as it stands in the rule. Default: the target's.
    namespace: Option<String>,
    /// Name of the CronJob. Default: the target's, where that is one. May hold templates.
    name: Option<String>,
    /// Name of a `StoredManifest` that holds one Job, instead of a CronJob. While one of its jobs runs, no other begins.
    #[schemars(length(min = 1, max = 63))]
    manifest: Option<String>,
    /// Arguments of its first container instead of its own. No templates.
    #[schemars(length(min = 1, max = 32))]
    args: Option<Vec<String>>,
    /// How long is waited for its end, at most 35s. Default: 35s.
    timeout: Option<Period>,
    /// What the manifest holds; put in when rules are loaded.
    #[schemars(skip)]
    stored: Option<Stored>,
}

/// A plan with its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    namespace: String,
    source: Source,
    args: Option<Vec<String>>,
    wait_ms: u64,
    /// The Job is not older than this.
    surveyed_at: Timestamp,
}

/// Where the Job comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// The template of a CronJob.
    CronJob {
        name: String,
        uid: String,
        /// Digest of the job template that this was planned over.
        template: String,
    },
    /// A stored manifest, with the Job that it holds.
    Manifest { name: String, job: Value },
}

/// The one Job that a manifest holds.
fn job_of(stored: &Stored) -> Option<&Value> {
    match stored.objects.as_slice() {
        [job] if kind_of(job) == JOB => Some(job),
        _ => None,
    }
}

fn naming(params: &Value) -> Naming<'_> {
    Naming { kind: Some(KIND), ..Naming::in_params(params) }
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind, namespace, name, manifest, args, timeout, stored } = params::read(params)?;
    params::period_within("/timeout", timeout, Period::from_secs(1), WAIT_MAX)?;
    if let Some(args) = args {
        params::count_within("/args", args.len(), ARGS_MAX, "arguments")?;
        for (index, argument) in args.iter().enumerate() {
            fixed_name(&format!("/args/{index}"), argument, "an argument")?;
        }
    }
    let Some(manifest) = manifest else { return Naming::of(&kind, &namespace, &name).checked(&[KIND]) };
    if kind.is_some() || name.is_some() {
        return Err(ParamsError::at("/manifest", "give either `manifest`, or the name of a CronJob"));
    }
    params::text_within("/manifest", &manifest, LABEL_BYTES_MAX)?;
    if stored.as_ref().is_some_and(|stored| job_of(stored).is_none()) {
        return Err(ParamsError::at(
            "/manifest",
            format!("`{manifest}` does not hold one Job and nothing else"),
        ));
    }
    setting::check(&manifest, &namespace, stored.as_ref())
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let naming = naming(params);
    let needs = |naming: &Naming<'_>| {
        let jobs = naming.need_all("batch", "jobs", &["create", "get", "list"]);
        vec![jobs, naming.need_all("", "pods", &["list"]), naming.need_all("", "pods/log", &["get"])]
    };
    if params.get("manifest").is_some() {
        let stored = setting::stored(params);
        let own = stored.as_ref().and_then(Stored::namespace);
        return needs(&Naming { namespace: naming.namespace.or(own), ..naming });
    }
    let cronjob = naming.need("batch", "cronjobs", &["get"], target);
    [vec![cronjob], needs(&naming)].concat()
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { args, manifest, .. } = params::read(params)?;
    let with = args.map(|args| format!(" with {}", args.join(" "))).unwrap_or_default();
    if let Some(manifest) = manifest {
        let outline = setting::outline("run", params, plan)?;
        let namespace = outline.namespace.as_deref().unwrap_or_default();
        let summary = format!("run the job of manifest {manifest} in {namespace} now{with}");
        return Ok(PlanOutline { summary, ..outline });
    }
    let subject = naming(params).subject(&[KIND], plan.target)?;
    let summary = format!("run the job of {} now{with}", subject.shown());
    Ok(PlanOutline { touches: vec!["Job".to_owned()], ..outlined(&subject, params, summary) })
}

async fn survey(hands: &Hands, draft: &ActionPlan, context: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let params: Params = drafted(draft)?;
    let mut notes = Vec::new();
    let (namespace, source, template, tier_floor) = match &params.manifest {
        Some(_) => of_manifest(hands, cluster, draft).await?,
        None => of_cron_job(cluster, draft, &mut notes).await?,
    };
    let wait_ms = u64::try_from(params.timeout.unwrap_or(WAIT_MAX).get().as_millis()).unwrap_or_default();
    let run = Run { namespace, source, args: params.args, wait_ms, surveyed_at: context.now };
    let job = run.job(&template, REHEARSAL);
    let made: Result<Value, _> = cluster.create(&Resource::JOBS, Some(&run.namespace), &job, true).await;
    made.map_err(|error| unseen(&error))?;
    let plan = ActionPlan {
        basis: Some(json!({"source": run.source, "args": run.args})),
        params: serde_json::to_value(&run).expect("a run is made of JSON"),
        ..draft.clone()
    };
    let impact = Impact::on("Job");
    Ok(SurveyOutcome::Ready(Box::new(Surveyed { plan, inverse: None, tier_floor, notes, impact })))
}

/// Namespace, source and template of a Job, and the lowest tier at which it may run.
type Found = (String, Source, Value, Tier);

async fn of_cron_job(
    cluster: &ActHandle,
    draft: &ActionPlan,
    notes: &mut Vec<String>,
) -> Result<Found, SurveyOutcome> {
    let cronjob = Workload::read(cluster, object_of(draft)?).await?;
    let (shown, Subject { namespace, name, .. }) = (cronjob.subject.shown(), cronjob.subject);
    let listed = cronjob.object.pointer("/status/active").and_then(Value::as_array).map_or(0, Vec::len);
    // A CronJob lists what it made itself.
    let active = listed + running(cluster, &namespace, CRON_JOB, &name).await?.len();
    if active > 0 && cronjob.object["spec"]["concurrencyPolicy"] == "Forbid" {
        return Err(refused(format!("a job of {shown} runs already, and it forbids a second")));
    }
    if active > 0 {
        notes.push(format!("{active} other jobs of {shown} run at this moment"));
    }
    let is_suspended = cronjob.object["spec"]["suspend"] == true;
    if is_suspended {
        notes.push(format!("{shown} is suspended: somebody does not want it to run by itself"));
    }
    let template = cronjob.object["spec"]["jobTemplate"].clone();
    let source = Source::CronJob { name, uid: cronjob.uid, template: digest_of(&template) };
    Ok((namespace, source, template, if is_suspended { Tier::T2 } else { Tier::T1 }))
}

async fn of_manifest(hands: &Hands, cluster: &ActHandle, draft: &ActionPlan) -> Result<Found, SurveyOutcome> {
    let (stored, Setup { manifest, namespace, .. }) = setting::of_draft(draft)?;
    let job = job_of(&stored).ok_or_else(|| refused(format!("manifest {manifest} does not hold one Job")))?;
    refuse_secrets(hands, job, &[])?;
    // A restore beside another one is worse than none.
    if let Some(other) = running(cluster, &namespace, MANIFEST, &manifest).await?.first() {
        return Err(refused(format!(
            "Job {namespace}/{} of manifest {manifest} runs already",
            name_of(other)
        )));
    }
    let source = Source::Manifest { name: manifest, job: job.clone() };
    Ok((namespace, source, job.clone(), stored.tier.unwrap_or(Tier::T1)))
}

impl Run {
    /// The name of the Job of one attempt's plan: always the same.
    fn name(&self, key: &str) -> String {
        let base = match &self.source {
            Source::CronJob { name, .. } => name,
            Source::Manifest { job, .. } => name_of(job),
        };
        let start: String = base.chars().take(NAME_CHARS_MAX).collect();
        format!("{}-{}", start.trim_end_matches(['-', '.']), &digest_of_bytes(key.as_bytes())[..10])
    }

    /// The Job: that of a CronJob as `kubectl create job --from` makes it, but without an owner and kept for a while.
    fn job(&self, template: &Value, key: &str) -> Value {
        let marks = |field: &str| match &template["metadata"][field] {
            marks @ Value::Object(_) => marks.clone(),
            _ => json!({}),
        };
        let mut metadata = json!({
            "name": self.name(key),
            "namespace": self.namespace,
            "labels": marks("labels"),
            "annotations": marks("annotations"),
        });
        metadata["annotations"][EXECUTION_ID] = json!(key);
        match &self.source {
            Source::CronJob { name, .. } => {
                metadata["annotations"]["cronjob.kubernetes.io/instantiate"] = json!("manual");
                metadata["labels"][CRON_JOB] = json!(name);
            }
            Source::Manifest { name, .. } => metadata["labels"][MANIFEST] = json!(name),
        }
        let mut spec = template["spec"].clone();
        if let (Some(args), Some(container)) = (&self.args, spec.pointer_mut("/template/spec/containers/0")) {
            container["args"] = json!(args);
        }
        match (spec["ttlSecondsAfterFinished"].as_u64(), &self.source) {
            (Some(secs), _) => spec["ttlSecondsAfterFinished"] = json!(secs.max(KEPT_SECS_MIN)),
            (None, Source::CronJob { .. }) => spec["ttlSecondsAfterFinished"] = json!(KEPT_SECS),
            // It stays until somebody deletes it.
            (None, Source::Manifest { .. }) => {}
        }
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
    }

    /// The template as it was planned, or why there is none any more.
    async fn template(&self, cluster: &ActHandle) -> Result<Value, ActionOutcome> {
        let (name, uid, digest) = match &self.source {
            Source::Manifest { job, .. } => return Ok(job.clone()),
            Source::CronJob { name, uid, template } => (name, uid, template),
        };
        let found = cluster.get(&Resource::CRON_JOBS, Some(&self.namespace), name).await;
        let cronjob: Value = found.map_err(|error| denied(&error))?;
        let template = &cronjob["spec"]["jobTemplate"];
        if cronjob["metadata"]["uid"] != uid.as_str() || digest_of(template) != *digest {
            let namespace = &self.namespace;
            return Err(not_applied(format!(
                "somebody changed CronJob {namespace}/{name} since this was planned"
            )));
        }
        Ok(template.clone())
    }

    async fn find(&self, cluster: &ActHandle, key: &str) -> Result<Option<Value>, KubernetesError> {
        let job: Option<Value> =
            cluster.find(&Resource::JOBS, Some(&self.namespace), &self.name(key)).await?;
        Ok(job.filter(|job| job["metadata"]["annotations"][EXECUTION_ID] == key))
    }

    /// Waits for the end of the Job that this attempt made, and says what became of it.
    async fn watch(&self, hands: &Hands, cluster: &ActHandle, key: &str, wait: Duration) -> ActionOutcome {
        let name = self.name(key);
        let shown = format!("Job {}/{name}", self.namespace);
        let looks = 1 + wait.as_secs();
        let mut unseen = None;
        for look in 0..looks {
            match self.find(cluster, key).await.map(|job| job.as_ref().map(progress)) {
                Ok(Some(Progress::Complete)) => {
                    let said = self.last_lines(hands, cluster, &name).await;
                    return applied(format!("{shown} is complete{said}"));
                }
                Ok(Some(Progress::Failed(why))) => {
                    let said = self.last_lines(hands, cluster, &name).await;
                    return failed(format!("{shown} ran and failed ({why}){said}"));
                }
                // It was made, that much is certain: unknown would have it tried again.
                Ok(None) => {
                    return applied(format!(
                        "{shown} was started, and somebody deleted it before its end was seen"
                    ));
                }
                Ok(Some(Progress::Runs)) => unseen = None,
                Err(failed) => unseen = Some(failed),
            }
            if look + 1 < looks {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        if let Some(failed) = unseen {
            return applied(format!("{shown} was started, and cannot be looked at: {failed}"));
        }
        if wait.is_zero() {
            return applied(format!("{shown} was started, and runs"));
        }
        applied(format!("{shown} was started, and still runs after {}", Period::from_secs(wait.as_secs())))
    }

    /// The last lines of its pod, after a colon; nothing where they cannot be had.
    async fn last_lines(&self, hands: &Hands, cluster: &ActHandle, job: &str) -> String {
        let selector = format!("job-name={job}");
        let query = ListQuery { labels: Some(&selector), ..ListQuery::default() };
        let pods: Vec<Value> =
            cluster.list(&Resource::PODS, Some(&self.namespace), query).await.unwrap_or_default();
        let newest = pods.iter().max_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str());
        let Some(newest) = newest else { return String::new() };
        let Some(pod) = newest["metadata"]["name"].as_str() else { return String::new() };
        let query = LogQuery {
            // The server answers for one container only, and does not choose among several.
            container: newest["spec"]["containers"][0]["name"].as_str().map(str::to_owned),
            previous: false,
            since: None,
            tail_lines: LOG_LINES,
            bytes_max: LOG_BYTES_MAX,
        };
        let Ok(mut log) = cluster.logs(&self.namespace, pod, &query).await else { return String::new() };
        let mut bytes = Vec::new();
        while let Ok(Some(part)) = log.part().await {
            bytes.extend_from_slice(&part);
        }
        let text = String::from_utf8_lossy(&bytes);
        // Redacted before it is cut: half a secret is no longer known as one.
        let text = hands.keyring.redactor().redact(text.trim()).into_owned();
        let text = last_bytes(&text, SHOWN_BYTES_MAX);
        if text.is_empty() { text } else { format!(": {text}") }
    }
}

/// The end of a text, within so many bytes.
fn last_bytes(text: &str, bytes_max: usize) -> String {
    let Some(from) = text.len().checked_sub(bytes_max).filter(|from| *from > 0) else {
        return text.to_owned();
    };
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    format!("…{}", &text[from..])
}

fn applied(detail: String) -> ActionOutcome {
    ActionOutcome::Applied { detail, inverse: None, requests: Vec::new() }
}

async fn act(hands: &Hands, plan: &ActionPlan, context: &ActionContext) -> ActionOutcome {
    let (cluster, run) = match fixed_values::<Run>(hands, plan) {
        Ok(both) => both,
        Err(why) => return not_applied(why),
    };
    let template = match run.template(cluster).await {
        Ok(template) => template,
        Err(why) => return why,
    };
    let wait = Duration::from_millis(run.wait_ms).min(WAIT_MAX.get());
    let job = run.job(&template, &context.key);
    let made: Result<Value, _> = cluster.create(&Resource::JOBS, Some(&run.namespace), &job, false).await;
    match made {
        Ok(_) => run.watch(hands, cluster, &context.key, wait).await,
        Err(error) if error.maybe_sent() || matches!(error.failure, Failure::Exists(_)) => {
            match run.find(cluster, &context.key).await {
                Ok(Some(_)) => run.watch(hands, cluster, &context.key, wait).await,
                Ok(None) if error.maybe_sent() => {
                    unknown(format!("{}; there is no such Job yet", sentence(&error)))
                }
                Ok(None) => denied(&error),
                Err(failed) => unknown(format!("{}; and it cannot be looked at: {failed}", sentence(&error))),
            }
        }
        Err(error) => denied(&error),
    }
}

async fn look_back(hands: &Hands, plan: &ActionPlan, context: &ActionContext) -> ActionOutcome {
    let (cluster, run) = match fixed_values::<Run>(hands, plan) {
        Ok(both) => both,
        Err(why) => return unknown(why),
    };
    match run.find(cluster, &context.key).await {
        Ok(Some(_)) => run.watch(hands, cluster, &context.key, Duration::ZERO).await,
        Ok(None) if is_proof(run.surveyed_at, context.now) => not_applied("there is no Job of this attempt"),
        Ok(None) => {
            unknown("there is no Job of this attempt, and one that had ended may be collected by now")
        }
        Err(failed) => unknown(format!("it cannot be looked at: {failed}")),
    }
}

/// Whether a Job that is not there was never made.
fn is_proof(surveyed_at: Timestamp, now: Timestamp) -> bool {
    let since = now.duration_since(surveyed_at);
    !since.is_negative() && since.unsigned_abs() <= ABSENCE_PROVES_FOR
}
