//! How far Jobs are, and which of ours run.

use serde_json::Value;

use super::words::unseen;
use crate::clients::kubernetes::{ActHandle, ListQuery, Resource};
use crate::domain::survey::SurveyOutcome;

/// The Jobs of ours with this label that have not come to their end.
pub(in crate::actions) async fn running(
    cluster: &ActHandle,
    namespace: &str,
    label: &str,
    value: &str,
) -> Result<Vec<Value>, SurveyOutcome> {
    let selector = format!("{label}={value}");
    let query = ListQuery { labels: Some(&selector), ..ListQuery::default() };
    let all: Vec<Value> =
        cluster.list(&Resource::JOBS, Some(namespace), query).await.map_err(|error| unseen(&error))?;
    Ok(all.into_iter().filter(|job| matches!(progress(job), Progress::Runs)).collect())
}

/// How far a Job is.
pub(in crate::actions) enum Progress {
    /// It has not come to its end.
    Runs,
    /// It ended well.
    Complete,
    /// It ended badly; says why.
    Failed(String),
}

/// How far a Job is, by its conditions.
pub(in crate::actions) fn progress(job: &Value) -> Progress {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
    let holds = |kind: &str| {
        let mut all = conditions.into_iter().flatten();
        all.find(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    match (holds("Complete"), holds("Failed")) {
        (Some(_), _) => Progress::Complete,
        (None, Some(failed)) => {
            let said: Vec<&str> =
                ["reason", "message"].iter().filter_map(|key| failed[key].as_str()).collect();
            Progress::Failed(if said.is_empty() { "it says no reason".to_owned() } else { said.join(": ") })
        }
        (None, None) => Progress::Runs,
    }
}
