//! What types alone cannot say: keys that need each other, names that must exist, doors that must not stand open.

mod conduct;
mod connections;
mod doors;
mod kubernetes;
mod services;

use super::{Period, Settings};

/// One contradiction: at which key, what, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) path: Vec<String>,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// Whether the value is a secret in the wrong place.
    pub(super) hide_value: bool,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, path: &[&str], message: impl Into<String>) -> &mut Finding {
        let path = path.iter().map(|step| (*step).to_owned()).collect();
        self.0.push(Finding { path, message: message.into(), help: None, hide_value: false });
        self.0.last_mut().expect("one was just added")
    }

    fn require(&mut self, there: bool, path: &[&str]) {
        if !there {
            self.add(path, "this key is required");
        }
    }
}

impl Finding {
    fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    fn hide_value(&mut self) {
        self.hide_value = true;
    }
}

/// All contradictions in the settings.
pub(super) fn check(settings: &Settings) -> Vec<Finding> {
    let mut findings = Findings::default();
    let out = &mut findings;
    doors::check_server(settings, out);
    doors::check_open_doors(settings, out);
    doors::check_receiver(&settings.receivers.alertmanager, &["receivers", "alertmanager"], out);
    doors::check_grafana(settings, out);
    doors::check_tokens_and_people(settings, out);
    doors::check_limits(&settings.limits, out);
    conduct::check_store(settings, out);
    conduct::check_conduct(settings, out);
    conduct::check_destinations(settings, out);
    services::check_services(settings, out);
    kubernetes::check_kubernetes(settings, out);
    connections::check_connections(settings, out);
    findings.0
}

fn require_time(period: Period, path: &[&str], out: &mut Findings) {
    if period.get().is_zero() {
        out.add(path, "this time must be longer than 0s");
    }
}
