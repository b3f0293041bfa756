//! `send`: posts a webhook as Alertmanager would, to try a rule or to see that the door is open.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::alert::{AlertArgs, read_body};
use super::answer::Answer;
use super::failure::Failure;
use super::remote::{Call, Remote, RemoteArgs, wait};
use super::terminal;
use super::time::now;
use crate::clients::alertmanager::{self, Webhook};
use crate::domain::alert::Alert;

/// The receiver's name that the webhook carries.
const RECEIVER: &str = "smokejumper";

const EXAMPLES: &str = "\
Examples:
  Let an alert fire:
    $ smokejumper send --alertname HighErrorRate --label service=api
    accepted by http://127.0.0.1:9119: 1 alert
      firing  HighErrorRate  16a2aa972dd3a7bb

  End it again: the same labels make the same alert.
    $ smokejumper send --alertname HighErrorRate --label service=api --resolved

  Send a body that was recorded before, with the receiver's token out of a file:
    $ smokejumper send --file payload.json --token-file receiver-token

  Keep the body instead of sending it, to change it by hand:
    $ smokejumper send --alertname HighErrorRate --annotation summary='5 %' --dry-run > payload.json

The token is one of `receivers.alertmanager.bearer_tokens` in the settings; tokens of the API do
not count here.";

/// Send a made-up alert to a running service, as Alertmanager would.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct SendArgs {
    #[command(flatten)]
    alert: AlertArgs,
    /// Send this body as it is; `-` reads it from stdin.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["alertname", "label", "annotation", "resolved"])]
    file: Option<PathBuf>,
    /// Print the body instead of sending it.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(super) fn run(args: &SendArgs) -> Result<Answer, Failure> {
    let now = now();
    let body = match &args.file {
        Some(path) => read_body(path)?,
        None => match args.alert.alert(now)? {
            Some(alert) => Webhook::new(RECEIVER, &[alert]).to_body(),
            None => {
                return Err(Failure::usage("there is nothing to send").with_help(
                    "describe an alert with --alertname and --label, or name a body with --file",
                ));
            }
        },
    };
    if args.dry_run {
        return Ok(dry(&body));
    }
    let remote = Remote::new(&args.remote)?.at_receivers();
    let path = ["webhooks", "alertmanager"];
    // Whether it is a payload is for the service to say; what is shown afterwards is only for people.
    let alerts = alertmanager::parse(&body).map(|payload| payload.to_alerts(now)).unwrap_or_default();
    wait(remote.ask(Call::post(&path).body(body)))?;
    Ok(sent(&remote, &alerts))
}

/// The body itself, whatever the format: it is what would be sent.
fn dry(body: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(body).into_owned();
    match serde_json::from_slice::<Value>(body) {
        Ok(json) => Answer::new(text, &json),
        Err(_) => Answer::verbatim(text),
    }
}

fn sent(remote: &Remote, alerts: &[Alert]) -> Answer {
    let plural = if alerts.len() == 1 { "" } else { "s" };
    let mut text = format!("accepted by {}: {} alert{plural}\n", remote.place(), alerts.len());
    for alert in alerts {
        let (status, name) = (alert.status.as_str(), terminal::line(alert.name()));
        text.push_str(&format!("  {status}  {name}  {}\n", alert.fingerprint));
    }
    let alerts: Vec<Value> = alerts
        .iter()
        .map(|alert| {
            json!({ "fingerprint": alert.fingerprint, "status": alert.status, "alertname": alert.name() })
        })
        .collect();
    Answer::new(text, &json!({ "accepted": true, "url": remote.place(), "alerts": alerts }))
}
