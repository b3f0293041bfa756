//! Alerts out of arguments and files, for the commands that take some: `send` and `explain`.

use std::io::Read;
use std::path::Path;

use clap::Args;
use jiff::Timestamp;

use super::failure::Failure;
use crate::domain::Labels;
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::fingerprint::Fingerprint;

/// Largest body that is read from a file, well above what the service takes by default: refusing is its part.
const BODY_BYTES_MAX: u64 = 256 << 20;

/// The label that names an alert.
const ALERTNAME: &str = "alertname";

/// An alert, label by label.
#[derive(Debug, Clone, Args)]
pub(super) struct AlertArgs {
    /// Name of the alert: its label `alertname`.
    #[arg(long, value_name = "NAME")]
    pub(super) alertname: Option<String>,
    /// A label of the alert; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// An annotation of the alert; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    annotation: Vec<(String, String)>,
    /// The alert has ended. Default: it fires.
    #[arg(long)]
    resolved: bool,
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE, such as service=api".to_owned()),
    }
}

impl AlertArgs {
    /// The alert as it would be at `now`; none where no argument describes one.
    pub(super) fn alert(&self, now: Timestamp) -> Result<Option<Alert>, Failure> {
        let name = self.alertname.iter().map(|name| (ALERTNAME.to_owned(), name.clone()));
        let labels = collect("label", name.chain(self.label.iter().cloned()))?;
        let annotations = collect("annotation", self.annotation.iter().cloned())?;
        if labels.is_empty() {
            let describes = !annotations.is_empty() || self.resolved;
            let help = "add --alertname NAME or --label NAME=VALUE";
            return if describes {
                Err(Failure::usage("an alert has at least one label").with_help(help))
            } else {
                Ok(None)
            };
        }
        let status = if self.resolved { AlertStatus::Resolved } else { AlertStatus::Firing };
        Ok(Some(Alert {
            fingerprint: Fingerprint::of_labels(&labels),
            status,
            labels,
            annotations,
            starts_at: now,
            ends_at: self.resolved.then_some(now),
            generator_url: None,
        }))
    }
}

fn collect(what: &str, pairs: impl Iterator<Item = (String, String)>) -> Result<Labels, Failure> {
    let mut labels = Labels::new();
    for (name, value) in pairs {
        if value.is_empty() && what == "label" {
            return Err(Failure::usage(format!("the {what} `{name}` is empty"))
                .with_help("to Prometheus, a label with an empty value is no label: leave it out"));
        }
        if labels.insert(name.clone(), value).is_some() {
            return Err(Failure::usage(format!("the {what} `{name}` is given twice")));
        }
    }
    Ok(labels)
}

/// A path as it is shown; `-` is stdin.
pub(super) fn name_of(path: &Path) -> String {
    if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() }
}

/// Reads a whole file, or stdin for `-`.
pub(super) fn read_body(path: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |why: String| Failure::usage(format!("{} cannot be read: {why}", name_of(path)));
    let mut body = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(BODY_BYTES_MAX + 1).read_to_end(&mut body)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(BODY_BYTES_MAX + 1).read_to_end(&mut body))
    };
    read.map_err(|error| fail(error.to_string()))?;
    if body.len() as u64 > BODY_BYTES_MAX {
        return Err(fail(format!("it has more than {BODY_BYTES_MAX} bytes")));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_args(labels: &[(&str, &str)]) -> AlertArgs {
        let label = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        AlertArgs {
            alertname: Some("HighErrorRate".to_owned()),
            label,
            annotation: Vec::new(),
            resolved: false,
        }
    }

    #[test]
    fn arguments_become_an_alert_with_its_fingerprint() {
        let now: Timestamp = "2026-03-01T03:00:00Z".parse().expect("a time");
        let alert = mk_args(&[("service", "api")]).alert(now).expect("good").expect("an alert");
        let labels = [("alertname", "HighErrorRate"), ("service", "api")];
        assert_eq!(alert.fingerprint, Fingerprint::of_labels(labels));
        assert_eq!((alert.status, alert.starts_at, alert.ends_at), (AlertStatus::Firing, now, None));
    }

    #[test]
    fn an_alert_that_could_not_exist_is_refused() {
        let refusal = |args: AlertArgs| args.alert(Timestamp::UNIX_EPOCH).expect_err("refused").to_string();
        assert!(refusal(mk_args(&[("alertname", "Other")])).contains("given twice"));
        assert!(refusal(mk_args(&[("service", "")])).contains("is empty"));
        let nameless = AlertArgs { alertname: None, resolved: true, ..mk_args(&[]) };
        assert!(refusal(nameless).contains("at least one label"));
        let none = AlertArgs { alertname: None, ..mk_args(&[]) };
        assert_eq!(none.alert(Timestamp::UNIX_EPOCH), Ok(None));
    }
}
