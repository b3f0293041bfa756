//! Whether an alert has data behind it. Grafana raises alerts of its own where a query fails or gives nothing, and they say
//! nothing about what the rule of the alert is about (Grafana documentation, "No Data and Error states").

use crate::Labels;

/// The annotation in which Grafana says why an alert is in its state.
pub const STATE_REASON: &str = "grafana_state_reason";

/// Grafana's names for alerts without data behind them.
const NAMES: [&str; 2] = ["DatasourceNoData", "DatasourceError"];

/// What says that there is no data: Grafana's name for such alerts, or the reason of the state where its rule lets them keep
/// their own name.
pub fn without_data<'l>(labels: &'l Labels, annotations: &'l Labels) -> Option<&'l str> {
    let name = labels.get("alertname").map(String::as_str).filter(|name| NAMES.contains(name));
    let is_missing = |word: &str| matches!(word, "NoData" | "Error") || NAMES.contains(&word);
    let reason = annotations.get(STATE_REASON).map(String::as_str);
    name.or_else(|| reason.filter(|reason| reason.split(',').any(|word| is_missing(word.trim()))))
}
