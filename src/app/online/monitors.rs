//! Alertmanager and Prometheus: whether they answer, what they are, whether their clocks agree with ours, whether alerts
//! are sent here, and whether the queries of the rules are understood.

use super::{Looker, Report, Seen};
use crate::app::adapters;
use crate::clients::alertmanager::api::{ApiError, Standing};
use crate::clients::prometheus::answer::Data;
use crate::clients::prometheus::{PrometheusClient, PrometheusError, QueryLimits};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;

/// Where our receiver's address ends.
const OUR_PATH: &str = "/webhooks/alertmanager";

/// Queries of rules that are asked.
const QUERIES_MAX: usize = 200;

const ADDRESS_HELP: &str = "look at the address, and whether this machine may reach it";
const CREDENTIALS_HELP: &str =
    "set bearer_token or basic_auth of the section; a page to sign in at cannot be used";

impl Looker<'_> {
    pub(super) async fn alertmanager(&self) -> Vec<Seen> {
        let mut report = Report::default();
        let alertmanagers = match adapters::alertmanagers(self.settings, &self.keyring) {
            Ok(None) => return Vec::new(),
            Ok(Some(alertmanagers)) => alertmanagers,
            Err(error) => {
                report.bad("alertmanager", format!("{error:#}"), "set what it names where the service runs");
                return report.0;
            }
        };
        for peer in alertmanagers.signed_in().collect::<Vec<_>>() {
            let setting = format!("alertmanager {}", peer.address());
            match peer.status().await {
                Ok(standing) => self.standing(&setting, &standing, &mut report),
                Err(error) => {
                    let help = match &error {
                        ApiError::Refused(_) => CREDENTIALS_HELP,
                        ApiError::NotFound(_) | ApiError::Garbled(_) => {
                            "this is no Alertmanager: write its base address, without /api, and with its path prefix if it \
                             has one"
                        }
                        _ => ADDRESS_HELP,
                    };
                    report.bad(&setting, error.to_string(), help);
                }
            }
        }
        report.0
    }

    fn standing(&self, setting: &str, standing: &Standing, report: &mut Report) {
        report.good(setting, format!("Alertmanager {} answers", standing.version));
        report.clocks(setting, "Alertmanager", standing.clock);
        let wanted = self.settings.alertmanager.as_ref().and_then(|it| it.reconcile.receiver.clone());
        let Ok(config) = crate::yaml::read::<Value>("alertmanager.yml", &standing.config) else {
            return report.doubtful(
                setting,
                "its configuration cannot be read",
                "look by yourself whether it sends here",
            );
        };
        let receivers: Vec<&Value> = config["receivers"].as_array().into_iter().flatten().collect();
        if let Some(name) = wanted
            && !receivers.iter().any(|receiver| receiver["name"] == *name)
        {
            let message = format!("it has no receiver called {name}");
            report.bad(
                "alertmanager.reconcile.receiver",
                message,
                "write the name as it stands in its `receivers`",
            );
        }
        let hooks = receivers.iter().flat_map(|receiver| {
            let hooks = receiver["webhook_configs"].as_array().into_iter().flatten();
            hooks.map(|hook| (receiver["name"].as_str().unwrap_or_default(), hook))
        });
        let hooks: Vec<(&str, &Value)> = hooks.collect();
        // Newer ones hide the addresses of webhooks, which may carry a token.
        let is_hidden = |hook: &Value| hook["url"].as_str().is_none_or(|url| url == "<secret>");
        let is_ours = |hook: &Value| {
            hook["url"]
                .as_str()
                .is_some_and(|url| url.split('?').next().is_some_and(|url| url.ends_with(OUR_PATH)))
        };
        let ours: Vec<&(&str, &Value)> = hooks.iter().filter(|(_, hook)| is_ours(hook)).collect();
        if ours.is_empty() && hooks.iter().any(|(_, hook)| is_hidden(hook)) {
            let message = "it hides the addresses of its webhooks, so it is not known whether one leads here";
            return report.doubtful(
                setting,
                message,
                "send a test alert with amtool, and look whether it arrives",
            );
        }
        if ours.is_empty() {
            let message = format!("none of its receivers posts to {OUR_PATH}, so no alert arrives from it");
            let help = "give it the receiver of deploy/alertmanager/receiver.yml, and a route to it";
            return report.bad(setting, message, help);
        }
        for (name, hook) in ours {
            if hook["send_resolved"] == false {
                let message = format!("its receiver {name} does not tell of ends (send_resolved: false)");
                let help = "take that line out; until then ends are only found by asking it";
                report.doubtful(setting, message, help);
            } else {
                report.good(setting, format!("its receiver {name} sends alerts and their ends here"));
            }
        }
    }

    pub(super) async fn prometheus(&self) -> Vec<Seen> {
        let Some(upstream) = &self.settings.prometheus else { return Vec::new() };
        let setting = "prometheus.url";
        let mut report = Report::default();
        let access = match adapters::prometheus(upstream, &self.keyring) {
            Ok(access) => access,
            Err(error) => {
                report.bad("prometheus", format!("{error:#}"), "set what it names where the service runs");
                return report.0;
            }
        };
        let client = access.client_now();
        let limits = QueryLimits { timeout: access.timeout, series_max: 10 };
        match client.query("time()", None, limits).await {
            Ok(answer) => {
                let version = client.version().await;
                let version = version.map(|version| format!(" {version}")).unwrap_or_default();
                report.good(setting, format!("Prometheus{version} answers queries"));
                report.clocks(setting, "Prometheus", now_of(&answer.data));
            }
            Err(error) => {
                let help = match &error {
                    PrometheusError::Refused(_) => CREDENTIALS_HELP,
                    PrometheusError::Garbled(_) => {
                        "this is no Prometheus: write its base address, without /api, and with its path prefix if it has one"
                    }
                    _ => ADDRESS_HELP,
                };
                report.bad(setting, error.to_string(), help);
                return report.0;
            }
        }
        self.queries(&client, limits, &mut report).await;
        report.0
    }

    /// The queries of the rules that need no alert to be written out.
    async fn queries(&self, client: &PrometheusClient, limits: QueryLimits, report: &mut Report) {
        let Some(book) = &self.book else { return };
        let set = book.current();
        let mut asked = BTreeSet::new();
        let (mut good, mut templated) = (0, 0);
        for rule in set.looking() {
            for spec in rule.diagnostics.iter().filter(|spec| spec.kind.starts_with("prom.")) {
                let Some(expr) = spec.params["expr"].as_str() else { continue };
                if expr.contains("{{") || expr.contains("{%") {
                    templated += 1;
                    continue;
                }
                if asked.len() >= QUERIES_MAX || !asked.insert(expr.to_owned()) {
                    continue;
                }
                let setting = format!("rule {}, diagnostic {}", rule.name, spec.name);
                match client.query(expr, None, limits).await {
                    Ok(answer) if is_empty(&answer.data) => {
                        let help = "look whether its metrics are scraped; while it gives nothing, its finding is unknown";
                        report.doubtful(&setting, "the query gives nothing now", help);
                    }
                    Ok(_) => good += 1,
                    Err(error) => {
                        report.bad(&setting, error.to_string(), "try the expression in Prometheus' own page")
                    }
                }
            }
        }
        if good > 0 {
            report.good("rules", format!("{good} queries of the rules are answered"));
        }
        if templated > 0 {
            let message =
                format!("{templated} queries of the rules need the labels of an alert, and were not asked");
            report.good("rules", message);
        }
    }
}

fn now_of(data: &Data) -> Option<Timestamp> {
    match data {
        // Seconds since 1970 are far below the 2^52 at which a float loses whole numbers.
        Data::Scalar(point) => Timestamp::from_second(point.value as i64).ok(),
        _ => None,
    }
}

fn is_empty(data: &Data) -> bool {
    match data {
        Data::Vector(samples) => samples.is_empty(),
        Data::Matrix(series) => series.is_empty(),
        Data::Scalar(_) | Data::Text(_) => false,
    }
}
