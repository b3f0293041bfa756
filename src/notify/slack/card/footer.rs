//! Where to read on.

use super::Frame;
use crate::engine::ports::IncidentView;
use crate::notify::slack::markup::Scribe;

/// UTF-16 units of the host that is named in a link to a place that an alert chose.
const HOST_UNITS_MAX: usize = 60;

/// Links, and the incident's identity for the command line.
pub(super) fn links(view: &IncidentView, frame: &Frame<'_>, scribe: Scribe<'_>) -> String {
    let incident = &view.incident;
    let mut parts = Vec::new();
    if let Some(base) = frame.external_url {
        let address = format!("{}/incidents/{}", base.trim_end_matches('/'), incident.id);
        parts.extend(scribe.link(&address, "Open in Smokejumper"));
    }
    if let Some(runbook) = &incident.runbook {
        parts.extend(scribe.link(runbook, "Runbook"));
    }
    // Prometheus writes this address, and so may anyone who can raise an alert: its host is shown.
    if let Some(address) = view.alerts.first().and_then(|(_, alert)| alert.generator_url.as_deref())
        && let Some(host) = scribe.host(address, HOST_UNITS_MAX)
    {
        parts.extend(scribe.link(address, &format!("Expression at {host}")));
    }
    parts.push(format!("Incident {}", scribe.code(&incident.id.0, 80)));
    parts.join(" · ")
}
