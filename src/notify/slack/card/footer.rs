//! Where to read on.

use super::Frame;
use crate::domain::Labels;
use crate::domain::incident::Incident;
use crate::domain::matcher::{MatchOp, Matcher};
use crate::engine::ports::IncidentView;
use crate::notify::slack::markup::Scribe;

/// UTF-16 units of the host that is named in a link to a place that an alert chose.
const HOST_UNITS_MAX: usize = 60;

/// Alertmanager's form for a silence, filled in for exactly the alert that opened the incident. `None` where a label
/// holds a secret: the silence would be for another alert, and the address would be in everybody's browser.
fn silence(base: &str, labels: &Labels, frame: &Frame<'_>) -> Option<String> {
    let matchers = labels
        .iter()
        .map(|(name, value)| Some(Matcher::new(name, MatchOp::Equal, value).ok()?.to_string()))
        .collect::<Option<Vec<_>>>()?;
    let filter = format!("{{{}}}", matchers.join(","));
    if frame.redactor.redact(&filter) != filter {
        return None;
    }
    // In a fragment a plus sign would stay one.
    let encoded = form_urlencoded::byte_serialize(filter.as_bytes()).collect::<String>().replace('+', "%20");
    Some(format!("{}/#/silences/new?filter={encoded}", base.trim_end_matches('/')))
}

/// The page of an incident.
pub(super) fn page_of(incident: &Incident, frame: &Frame<'_>, scribe: Scribe<'_>) -> Option<String> {
    let base = frame.external_url?;
    let address = format!("{}/incidents/{}", base.trim_end_matches('/'), incident.id);
    scribe.link(&address, "Open in Smokejumper")
}

/// Links, and the incident's identity for the command line.
pub(super) fn links(view: &IncidentView, frame: &Frame<'_>, scribe: Scribe<'_>) -> String {
    let incident = &view.incident;
    let mut parts = Vec::new();
    parts.extend(page_of(incident, frame, scribe));
    if let Some(runbook) = &incident.runbook {
        parts.extend(scribe.link(runbook, "Runbook"));
    }
    // Prometheus writes this address, and so may anyone who can raise an alert: its host is shown.
    if let Some(address) = view.alerts.first().and_then(|(_, alert)| alert.generator_url.as_deref())
        && let Some(host) = scribe.host(address, HOST_UNITS_MAX)
    {
        parts.extend(scribe.link(address, &format!("Expression at {host}")));
    }
    if let Some(base) = frame.alertmanager_url.filter(|_| incident.is_open()) {
        parts.extend(
            silence(base, &incident.labels, frame).and_then(|address| scribe.link(&address, "Silence")),
        );
    }
    parts.push(format!("Incident {}", scribe.code(&incident.id.0, 80)));
    parts.join(" · ")
}
