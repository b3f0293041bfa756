//! `k8s.job`: how a Job or the Jobs of a CronJob went.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown, table, whole_list};
use super::k8s::{Scene, ago, checked, fields, need, one_of};
use super::{Entry, Moment, Tools, k8s};
use crate::clients::kubernetes::owner::CRON_JOB;
use crate::clients::kubernetes::{ListQuery, Resource};
use crate::domain::catalog::{AccessNeed, CheckedParams, DiagnosticKind, ParamsError};
use crate::domain::rule::TargetSpec;
use crate::domain::timeline::one_line;
use crate::params;

/// Jobs of a CronJob that are shown: it keeps three and one by default.
const JOBS_SHOWN_MAX: usize = 10;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.job",
        summary: "Shows how a Job went, or the newest Jobs of a CronJob.",
        fields: &[
            ("name", "Name of the Job: of a CronJob the newest. Left out where there is none yet."),
            ("state", "`running`, `complete`, `failed` or `suspended`. Left out where there is none yet."),
            ("active", "Pods of it that run."),
            ("succeeded", "Pods of it that succeeded."),
            ("failed", "Pods of it that failed."),
            ("reason", "Why it failed. Left out where it did not."),
            ("started_seconds", "How long ago it started."),
            ("finished_seconds", "How long ago it ended. Left out while it runs."),
            ("duration_seconds", "How long it took, or has taken until now."),
            ("suspended", "Whether the CronJob or Job is suspended."),
            ("schedule", "When the CronJob runs. Left out for a Job."),
            ("last_scheduled_seconds", "How long ago the CronJob last began a Job."),
            ("last_success_seconds", "How long ago a Job of it last succeeded."),
            (
                "jobs",
                "Jobs of the CronJob, newest first, each with `name`, `state`, `started_seconds`, `duration_seconds`.",
            ),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `k8s.job`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Namespace. Default: that of the incident's target. May hold templates.
    namespace: Option<String>,
    /// Name of a Job. Default: the incident's target. May hold templates.
    name: Option<String>,
    /// Name of a CronJob instead. May hold templates.
    cronjob: Option<String>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { namespace, name, cronjob } = params::read(params)?;
    one_of(&[("name", name.is_some()), ("cronjob", cronjob.is_some())])?;
    let names = [("namespace", &namespace), ("name", &name), ("cronjob", &cronjob)];
    checked(&names.map(|(key, text)| (key, text.as_deref())), None)
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let cronjob = k8s::text(params, "cronjob");
    let of_target =
        |kind: &str| target.filter(|target| target.kind == kind).map(|target| target.name.0.as_str());
    let name = k8s::text(params, "name");
    match cronjob.or_else(|| of_target("CronJob").filter(|_| name.is_none())) {
        Some(cronjob) => vec![
            need(params, &Resource::CRON_JOBS, "", &["get"]).named(Some(cronjob)),
            need(params, &Resource::JOBS, "", &["list"]),
        ],
        None => {
            let name = name.or_else(|| of_target("Job"));
            vec![need(params, &Resource::JOBS, "", &["get"]).named(name)]
        }
    }
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { namespace, name, cronjob } = params::read(params)?;
    let scene = Scene::of(tools, moment)?;
    let kind = match (&name, &cronjob) {
        (Some(_), _) => Some("Job"),
        (_, Some(_)) => Some("CronJob"),
        _ => None,
    };
    let of = scene.object(kind, namespace.as_deref(), name.as_deref().or(cronjob.as_deref()))?;
    let place = of.namespace.as_deref();
    match of.resource.kind.as_ref() {
        "Job" => {
            let job: Job = scene.reads.get(of.resource, place, &of.name).await?;
            let run = Run::of(&job);
            let text = run.row(scene);
            Ok(Evidence { fields: run.fields(scene), text, chart: None })
        }
        "CronJob" => {
            let cron: CronJob = scene.reads.get(of.resource, place, &of.name).await?;
            let mut runs = runs_of(scene, place, &of.name).await?;
            runs.sort_by_key(|run| std::cmp::Reverse(run.began));
            Ok(of_cron(scene, &of.name, &cron, &runs))
        }
        kind => Err(Unknown::new(format!("a {kind} is no Job: name a `name` or a `cronjob`"))),
    }
}

/// The Jobs of a CronJob: those that it owns, and those that we made of it.
pub(super) async fn runs_of(
    scene: Scene<'_>,
    place: Option<&str>,
    cronjob: &str,
) -> Result<Vec<Run>, Unknown> {
    let mut runs = Vec::new();
    let take = |job: Job| {
        let owners = job.metadata.owner_references.as_deref().unwrap_or_default();
        let owns = owners.iter().any(|owner| owner.kind == "CronJob" && owner.name == cronjob);
        let label = job.metadata.labels.as_ref().and_then(|labels| labels.get(CRON_JOB));
        if owns || label.is_some_and(|of| of == cronjob) {
            runs.push(Run::of(&job));
        }
    };
    scene.reads.each(&Resource::JOBS, place, ListQuery::default(), take).await?;
    Ok(runs)
}

/// How one Job went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) name: String,
    pub(super) state: &'static str,
    began: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
    counts: [i64; 3],
    reason: Option<String>,
}

impl Run {
    pub(super) fn of(job: &Job) -> Self {
        let status = job.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let holding = |kind: &str| conditions.iter().find(|c| c.type_ == kind && c.status == "True");
        let failed = holding("Failed");
        let state = match (holding("Complete"), failed, holding("Suspended")) {
            (Some(_), _, _) => "complete",
            (_, Some(_), _) => "failed",
            (_, _, Some(_)) => "suspended",
            _ => "running",
        };
        let reason = failed.map(|c| {
            let [reason, message] = [&c.reason, &c.message].map(|text| text.as_deref().unwrap_or_default());
            one_line(format!("{reason} {message}").trim(), 300)
        });
        // Only success has a time of completion; a failure has that of its condition.
        let failed_at = failed.and_then(|c| c.last_transition_time.as_ref()).map(|at| at.0);
        let began = status.start_time.as_ref().or(job.metadata.creation_timestamp.as_ref()).map(|at| at.0);
        Self {
            name: job.metadata.name.clone().unwrap_or_default(),
            state,
            began,
            ended: status.completion_time.map(|at| at.0).or(failed_at),
            counts: [status.active, status.succeeded, status.failed].map(k8s::count),
            reason,
        }
    }

    fn seconds(scene: Scene<'_>, at: Option<Timestamp>) -> Option<i64> {
        at.map(|at| scene.now.duration_since(at).as_secs().max(0))
    }

    fn duration(&self, scene: Scene<'_>) -> Option<i64> {
        let end = self.ended.unwrap_or(scene.now);
        self.began.map(|began| end.duration_since(began).as_secs().max(0))
    }

    fn fields(&self, scene: Scene<'_>) -> serde_json::Map<String, Value> {
        let [active, succeeded, failed] = self.counts;
        fields(json!({
            "name": self.name,
            "state": self.state,
            "active": active,
            "succeeded": succeeded,
            "failed": failed,
            "reason": self.reason,
            "started_seconds": Self::seconds(scene, self.began),
            "finished_seconds": Self::seconds(scene, self.ended),
            "duration_seconds": self.duration(scene),
            "suspended": self.state == "suspended",
        }))
    }

    fn row(&self, scene: Scene<'_>) -> String {
        let [active, succeeded, failed] = self.counts;
        let mut row =
            format!("{}  {}  active {active}, succeeded {succeeded}, failed {failed}", self.name, self.state);
        if let Some(seconds) = Self::seconds(scene, self.began) {
            row += &format!("  started {} ago", ago(seconds));
        }
        if let Some(seconds) = self.duration(scene) {
            row += &format!("  took {}", ago(seconds));
        }
        if let Some(reason) = &self.reason {
            row += &format!("  ({reason})");
        }
        row
    }
}

fn of_cron(scene: Scene<'_>, name: &str, cron: &CronJob, runs: &[Run]) -> Evidence {
    let spec = cron.spec.clone().unwrap_or_default();
    let status = cron.status.clone().unwrap_or_default();
    let suspended = spec.suspend.unwrap_or(false);
    let scheduled = scene.age_seconds(status.last_schedule_time.as_ref());
    // Its status knows nothing of what we made of it.
    let good = runs.iter().filter(|run| run.state == "complete").filter_map(|run| run.ended).max();
    let succeeded = Run::seconds(scene, good.max(status.last_successful_time.map(|at| at.0)));
    let mut found = runs.first().map(|run| run.fields(scene)).unwrap_or_default();
    let short = |run: &Run| {
        Value::Object(fields(json!({
            "name": run.name,
            "state": run.state,
            "started_seconds": Run::seconds(scene, run.began),
            "duration_seconds": run.duration(scene),
        })))
    };
    found.extend(fields(json!({
        "suspended": suspended,
        "schedule": spec.schedule,
        "last_scheduled_seconds": scheduled,
        "last_success_seconds": succeeded,
        "jobs": whole_list(runs.iter().take(JOBS_SHOWN_MAX).map(short).collect()),
    })));
    let mut head = format!("CronJob {name} ({})", spec.schedule);
    if suspended {
        head += ", suspended";
    }
    head += &match succeeded {
        Some(seconds) => format!(", last success {} ago", ago(seconds)),
        None => ", no success known".to_owned(),
    };
    let rows: Vec<String> = runs.iter().take(JOBS_SHOWN_MAX).map(|run| run.row(scene)).collect();
    Evidence { fields: found, text: [head, table(&rows)].join("\n").trim_end().to_owned(), chart: None }
}
