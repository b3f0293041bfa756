//! `explain`: what the service would make of an alert, and why. Decides nothing itself: the engine rehearses.

mod document;
pub(super) mod evidence;
mod page;
mod payload;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::alert::AlertArgs;
use super::answer::Answer;
use super::failure::{EXIT_FAILURE, Failure};
use super::remote::wait;
use super::settings_file;
use super::time::now;
use crate::app::explain::{Evidence, ExplainOptions, Explainer};
use crate::domain::alert::Alert;
use crate::settings::process_environment;
use document::{AlertEntry, Document};
use payload::Payload;

const EXAMPLES: &str = "\
Examples:
  What would a made-up alert come to?
    $ smokejumper explain --config smokejumper.yaml --alertname HighErrorRate --label service=api
    HighErrorRate fires (16a2aa972dd3a7bb)
      rule  service-high-error-rate
      …

  A payload that Alertmanager sent, with the evidence and the plans of right now:
    $ smokejumper explain --config smokejumper.yaml payload.json --diagnose

  With evidence of your own, such as {\"error_ratio\": {\"last\": 0.31, \"text\": \"rising\"}}:
    $ smokejumper explain --config smokejumper.yaml payload.json --findings findings.json

  Who would be reached on a Sunday night? As JSON, for scripts:
    $ smokejumper explain --config smokejumper.yaml payload.json --at 2026-03-01T03:00:00Z \\
        --output json | jq '.alerts[].escalation'

By default nothing is asked over the network and no store is opened: findings are unknown, targets
in a cluster are assumed to allow what is planned, nothing is paused, and no action has started
before. Findings are a JSON object: the name of a diagnostic, and the fields that conditions read;
`text` is what people read, and {\"status\": \"unknown\", \"reason\": \"…\"} makes one unknown.

Exit codes: 0 explained, 1 a payload or an alert in it that cannot be read, 64 bad usage, settings
or rules that cannot be used.";

/// Explain what would be done about an alert, and why.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ExplainArgs {
    /// The settings file. Without it, defaults and `SMOKEJUMPER__…` variables hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File with a webhook of Alertmanager; `-` reads it from stdin.
    #[arg(value_name = "PAYLOAD", conflicts_with_all = ["alertname", "label", "annotation", "resolved"])]
    payload: Option<PathBuf>,
    #[command(flatten)]
    alert: AlertArgs,
    /// When the alert arrives, such as 2026-03-01T03:00:00Z. Default: now.
    #[arg(long, value_name = "TIME", value_parser = super::time::parse)]
    at: Option<Timestamp>,
    /// Run the diagnostics of the rules, and look at the targets of their remedies. Nothing is changed: a cluster
    /// rehearses what would be written (dry run).
    #[arg(long)]
    diagnose: bool,
    /// File with findings to take for granted, as JSON; `-` reads it from stdin. With --diagnose only the others are
    /// looked for.
    #[arg(long, value_name = "FILE")]
    findings: Option<PathBuf>,
}

pub(super) fn run(args: ExplainArgs) -> Result<Answer, Failure> {
    let now = args.at.unwrap_or_else(now);
    let payload = match &args.payload {
        Some(path) => payload::read(path, now)?,
        None => Payload { alerts: vec![Ok(made_up(&args.alert, now)?)], truncated_alerts: 0 },
    };
    let given = args.findings.as_deref().map(evidence::read).transpose()?.unwrap_or_default();
    let evidence = Evidence { given, is_diagnosed: args.diagnose };
    let options =
        ExplainOptions { config: settings_file::told(args.config), now, evidence: evidence.clone() };
    let explainer = Explainer::new(options, &process_environment()).map_err(Failure::of)?;
    let document = wait(async { Ok(explain(&explainer, payload, now).await) })?;
    evidence::require_used(&evidence.given, &document)?;
    let answer = Answer::new(page::write(&document, &evidence), &document);
    Ok(if document.is_whole() { answer } else { answer.with_exit(EXIT_FAILURE) })
}

fn made_up(args: &AlertArgs, now: Timestamp) -> Result<Alert, Failure> {
    args.alert(now)?.ok_or_else(|| {
        Failure::usage("there is nothing to explain")
            .with_help("name a file with a webhook, or describe an alert with --alertname and --label")
    })
}

async fn explain(explainer: &Explainer, payload: Payload, now: Timestamp) -> Document {
    let mut alerts = Vec::new();
    // Alerts of one key meet in one incident: each is explained as if it came first, and says where it would join.
    let mut first_of: BTreeMap<String, usize> = BTreeMap::new();
    for (index, alert) in payload.alerts.into_iter().enumerate() {
        let entry = match alert {
            Ok(alert) => {
                let explained = explainer.explain(&alert).await;
                let mut entry = AlertEntry::of(&alert, &explained);
                for answer in entry.answers_mut() {
                    answer.joins(&mut first_of, index);
                }
                entry
            }
            Err(unread) => AlertEntry::unread(unread),
        };
        alerts.push(entry);
    }
    Document { at: now, truncated_alerts: payload.truncated_alerts, alerts }
}
