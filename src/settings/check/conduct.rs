//! Checks of how the service behaves: store, rules, guardrails, and whom it tells.

use std::collections::BTreeMap;

use smokejumper_domain::notification::Destination;

use super::{Findings, require_time};
use crate::settings::values::PlainOrSecret;
use crate::settings::{Guardrails, Rate, Settings};
use crate::yaml::nearest;

pub(super) fn check_store(settings: &Settings, out: &mut Findings) {
    let PlainOrSecret::Plain(url) = &settings.store.url else { return };
    let path = &["store", "url"];
    if !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        out.add(path, "expected an address that begins with `sqlite://` or `postgres://`");
    }
    let authority =
        url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
    let has_password =
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) || url.contains("password=");
    if has_password {
        out.add(path, "the address holds a password").help(
            "put the whole address into an environment variable and write `url: { env: DATABASE_URL }`",
        );
    }
}

pub(super) fn check_conduct(settings: &Settings, out: &mut Findings) {
    if settings.rules.0.is_empty() {
        out.add(&["rules"], "the list is empty: without rules no alert is answered");
    }
    for (index, pattern) in settings.rules.0.iter().enumerate() {
        if let Err(error) = glob::Pattern::new(pattern) {
            out.add(&["rules", &index.to_string()], format!("this is no pattern: {}", error.msg));
        }
    }
    let rates = &settings.guardrails.rates;
    for (name, rates) in [
        ("per_target", &rates.per_target),
        ("per_namespace", &rates.per_namespace),
        ("global", &rates.global),
    ] {
        for (index, Rate { count, window }) in rates.iter().enumerate() {
            let index = index.to_string();
            if *count == 0 {
                out.add(&["guardrails", "rates", name, &index, "count"], "with 0 nothing could ever start")
                    .help("say `mode: dry_run` to touch nothing, or use `smokejumper pause`");
            }
            require_time(*window, &["guardrails", "rates", name, &index, "window"], out);
        }
    }
    check_guardrails(&settings.guardrails, out);
    require_time(settings.retention.resolved_incidents, &["retention", "resolved_incidents"], out);
    if tracing_subscriber::EnvFilter::try_new(&settings.telemetry.log_level).is_err() {
        out.add(&["telemetry", "log_level"], "expected error, warn, info, debug or trace")
            .help("exceptions by module follow after commas: `info,smokejumper::http=debug`");
    }
}

fn check_guardrails(guardrails: &Guardrails, out: &mut Findings) {
    for (key, name) in [("namespace", &guardrails.own.namespace), ("name", &guardrails.own.name)] {
        if name.as_deref().is_some_and(|name| name.trim().is_empty()) {
            out.add(&["guardrails", "own", key], "an empty name names nothing");
        }
    }
    for (name, list) in [("namespaces", &guardrails.namespaces), ("kinds", &guardrails.kinds)] {
        for (index, entry) in list.iter().enumerate() {
            if entry.trim().is_empty() {
                out.add(&["guardrails", name, &index.to_string()], "an empty name names nothing");
            }
        }
    }
    for (name, percent) in [
        ("blast_radius", guardrails.blast_radius.replicas_percent),
        ("correlation", guardrails.correlation.down_percent),
    ] {
        let key = if name == "correlation" { "down_percent" } else { "replicas_percent" };
        if percent > 100 {
            out.add(&["guardrails", name, key], format!("{percent} % are more than all of them"));
        }
    }
    if guardrails.blast_radius.workloads == 0 {
        out.add(&["guardrails", "blast_radius", "workloads"], "with 0 nothing could ever start")
            .help("say `mode: dry_run` to touch nothing, or use `smokejumper pause`");
    }
    if let Some(Err(error)) = guardrails.blind.watchdog.as_deref().map(promql_parser::parser::parse) {
        out.add(&["guardrails", "blind", "watchdog"], format!("this is no PromQL: {error}"));
    }
}

pub(super) fn check_destinations(settings: &Settings, out: &mut Findings) {
    let escalation = &settings.escalation;
    let unmatched = escalation.unmatched.as_deref().unwrap_or_default();
    for (name, list) in [("fallback", escalation.fallback.as_slice()), ("unmatched", unmatched)] {
        for (index, destination) in list.iter().enumerate() {
            check_destination(settings, destination, &["escalation", name, &index.to_string()], out);
        }
    }
}

fn check_destination(settings: &Settings, destination: &Destination, path: &[&str], out: &mut Findings) {
    match destination {
        Destination::Slack { .. } if settings.slack.is_none() => {
            out.add(path, "there is no section `slack` to send this with");
        }
        Destination::Slack { channel } if channel.trim().is_empty() => {
            out.add(path, "the channel is empty");
        }
        Destination::Slack { .. } => {}
        Destination::PagerDuty { service } => {
            let services = settings.pagerduty.as_ref().map(|pagerduty| &pagerduty.services);
            if services.is_some_and(|services| services.contains_key(service)) {
                return;
            }
            let known = services.into_iter().flat_map(BTreeMap::keys).map(String::as_str);
            let close = nearest(service, known).map(str::to_owned);
            let finding = out.add(path, format!("`pagerduty.services` has no `{service}`"));
            if let Some(close) = close {
                finding.help(format!("did you mean `{close}`?"));
            }
        }
        Destination::Webhook { name } if !settings.webhooks.contains_key(name) => {
            out.add(path, format!("`webhooks` has no `{name}`"));
        }
        Destination::Teams { channel }
            if !settings.teams.as_ref().is_some_and(|teams| teams.channels.contains_key(channel)) =>
        {
            out.add(path, format!("`teams.channels` has no `{channel}`"));
        }
        Destination::Email { .. } if settings.email.is_none() => {
            out.add(path, "there is no section `email` to send this with");
        }
        Destination::Email { to } if to.parse::<lettre::Address>().is_err() => {
            out.add(path, format!("`{to}` is no mail address"));
        }
        Destination::Webhook { .. } | Destination::Teams { .. } | Destination::Email { .. } => {}
    }
}
