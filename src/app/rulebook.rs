//! Rules from settings: what they may name, where they lie, and how they are kept up to date.

use super::adapters;
use crate::actions::{self, endpoint::outline};
use crate::diagnostics;
use crate::domain::catalog::Catalog;
use crate::domain::notification::Destination;
use crate::domain::schedule::Contact;
use crate::engine::EngineSettings;
use crate::engine::watchdogs::Watchdog;
use crate::metrics::Metrics;
use crate::rules::RuleErrors;
use crate::rules::book::{BookSource, Reload, RuleBook};
use crate::rules::known::Known;
use crate::rules::last_resort::LastResort;
use crate::rules::watch;
use crate::settings::{Endpoint, Mode, Person, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Every diagnostic and action that this build can carry out, with the endpoints that the settings name. Needs none
/// of their secrets: a plan holds no header.
pub fn catalog(settings: &Settings) -> Catalog {
    let outline = |endpoint: &Endpoint| outline(&adapters::method(endpoint.method), endpoint.idempotent);
    let endpoints = &settings.endpoints;
    kinds()
        .with_endpoints(endpoints.iter().map(|(name, endpoint)| (name.clone(), outline(endpoint))).collect())
}

/// Every diagnostic and action that this build can carry out.
pub fn kinds() -> Catalog {
    Catalog::new(diagnostics::kinds(), actions::kinds())
}

/// Names that the settings define.
pub fn known(settings: &Settings) -> Known {
    let services = settings.pagerduty.as_ref().map(|pagerduty| pagerduty.services.keys().cloned().collect());
    let kubernetes = settings.kubernetes.as_ref();
    let read_commands = kubernetes.map(|kubernetes| kubernetes.read_commands.keys().cloned().collect());
    let commands = kubernetes.map(|kubernetes| kubernetes.commands.keys().cloned().collect());
    Known {
        endpoints: Some(settings.endpoints.keys().cloned().collect()),
        pagerduty_services: Some(services.unwrap_or_default()),
        webhooks: Some(settings.webhooks.keys().cloned().collect()),
        teams_channels: Some(
            settings.teams.iter().flat_map(|teams| teams.channels.keys().cloned()).collect(),
        ),
        email: settings.email.is_some(),
        slack: settings.slack.is_some(),
        slack_channels: None,
        prometheus: settings.prometheus.is_some(),
        alertmanager: settings.alertmanager.is_some(),
        loki: settings.loki.is_some(),
        kubernetes: settings.kubernetes.is_some(),
        read_commands: Some(read_commands.unwrap_or_default()),
        commands: Some(commands.unwrap_or_default()),
        connections: Some(connections(settings)),
        queries: Some(queries(settings)),
        people: Some(
            settings.people.iter().map(|person| (person.name.clone(), contact(settings, person))).collect(),
        ),
        default_told: settings.escalation.default_policy.is_some() || default_channel(settings).is_some(),
    }
}

/// Names of the connections, and whether something may be changed there.
fn connections(settings: &Settings) -> BTreeMap<&'static str, BTreeMap<String, bool>> {
    let redis = settings.connections.redis.iter().map(|(name, redis)| (name.clone(), redis.act.is_some()));
    let postgres = settings.connections.postgres.iter();
    let postgres = postgres.map(|(name, postgres)| (name.clone(), postgres.act.is_some()));
    let rabbitmq = settings.connections.rabbitmq.keys().map(|name| (name.clone(), false));
    BTreeMap::from([
        ("connections.redis", redis.collect()),
        ("connections.postgres", postgres.collect()),
        ("connections.rabbitmq", rabbitmq.collect()),
    ])
}

/// Names of queries by their databases.
fn queries(settings: &Settings) -> BTreeMap<String, BTreeSet<String>> {
    let postgres = settings.connections.postgres.iter();
    postgres.map(|(name, postgres)| (name.clone(), postgres.queries.keys().cloned().collect())).collect()
}

/// How a person is reached, with what the settings have set up.
fn contact(settings: &Settings, person: &Person) -> Contact {
    Contact {
        slack: person.slack.clone().filter(|_| settings.slack.is_some()),
        email: person.email.clone().filter(|_| settings.email.is_some()),
    }
}

/// Loads the rules that the settings name.
///
/// # Errors
/// Every mistake in them, at its place.
pub(super) fn open(settings: &Settings) -> Result<Arc<RuleBook>, RuleErrors> {
    let source = BookSource {
        patterns: settings.rules.0.clone(),
        catalog: Arc::new(catalog(settings)),
        known: known(settings),
        default_policy: settings.escalation.default_policy.clone(),
    };
    let told = engine_settings(settings);
    let last_resort = LastResort::new(&told.default_destinations, &told.fallback_destinations);
    Ok(Arc::new(RuleBook::open(source)?.with_last_resort(last_resort)))
}

fn default_channel(settings: &Settings) -> Option<Destination> {
    let channel = settings.slack.as_ref()?.default_channel.clone()?;
    Some(Destination::Slack { channel })
}

/// What the engine is told by the settings.
pub fn engine_settings(settings: &Settings) -> EngineSettings {
    let default_channel: Vec<Destination> = default_channel(settings).into_iter().collect();
    let fallback = &settings.escalation.fallback;
    let fallback = if fallback.is_empty() { &default_channel } else { fallback }.clone();
    let unmatched = settings.escalation.unmatched.as_ref().unwrap_or(&default_channel).clone();
    EngineSettings {
        dry_run: settings.mode == Mode::DryRun,
        limits: settings.guardrails.limits(),
        scope: settings.guardrails.scope(),
        radius: settings.guardrails.radius(),
        alone: settings.guardrails.alone(),
        booted_at: None,
        freezes: settings.guardrails.freezes(),
        default_destinations: default_channel,
        unmatched_destinations: unmatched,
        fallback_destinations: fallback,
        watchdogs: watchdogs(settings),
        silence_max: settings.alertmanager.as_ref().map(|alertmanager| alertmanager.silence_max.signed()),
        retention: settings.retention.resolved_incidents.signed(),
    }
}

/// The watchdogs of the settings, whose matchers were checked.
pub(super) fn watchdogs(settings: &Settings) -> Vec<Watchdog> {
    let watchdog = |(name, it): (&String, &crate::settings::Watchdog)| {
        let matchers = it.parsed().ok().filter(|_| !it.matchers.is_empty())?;
        Some(Watchdog { name: name.clone(), matchers, within: it.within.signed(), severity: it.severity })
    };
    settings.watchdogs.iter().filter_map(watchdog).collect()
}

/// Reloads on demand; answers with a sentence, or with every mistake.
pub(super) fn reloader(book: Arc<RuleBook>, metrics: Metrics) -> Arc<crate::http::services::Reload> {
    Arc::new(move || {
        let reload = book.reload();
        report(&book, &metrics, &reload);
        match reload {
            Reload::Unchanged => Ok("the rules are the same as before".to_owned()),
            Reload::Loaded { rules, policies, schedules, warnings } => Ok(format!(
                "{rules} rules, {policies} policies and {schedules} schedules are in force, with {warnings} warnings"
            )),
            Reload::Refused(errors) => Err(errors.to_string()),
        }
    })
}

/// Whether the newest files have mistakes, so that older rules are in force.
pub(super) fn refused(book: Arc<RuleBook>) -> Arc<dyn Fn() -> bool + Send + Sync> {
    Arc::new(move || book.refusal().is_some())
}

/// Follows changes of the files, and SIGHUP, until `stop`.
pub(super) async fn follow(book: Arc<RuleBook>, metrics: Metrics, stop: CancellationToken) {
    metrics.set_rules_loaded(book.current().rules().len());
    let watched = Arc::clone(&book);
    let watched_metrics = metrics.clone();
    let watching = watch::watch(Arc::clone(&book), stop.clone(), move |reload| {
        report(&watched, &watched_metrics, reload);
    });
    tokio::join!(watching, on_hangup(book, metrics, stop));
}

async fn on_hangup(book: Arc<RuleBook>, metrics: Metrics, stop: CancellationToken) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::error!(
            "SIGHUP cannot be listened to; rules are reloaded by /-/reload and by file changes only"
        );
        stop.cancelled().await;
        return;
    };
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            () = stop.cancelled() => return,
        }
        let reloader = reloader(Arc::clone(&book), metrics.clone());
        // The outcome is in the log and the metrics.
        let _ = tokio::task::spawn_blocking(move || reloader()).await;
    }
}

fn report(book: &RuleBook, metrics: &Metrics, reload: &Reload) {
    match reload {
        Reload::Unchanged => {}
        Reload::Loaded { rules, warnings, .. } => {
            tracing::info!(rules, warnings, "the rules were reloaded");
            metrics.rules_reloaded(true, *rules);
        }
        Reload::Refused(errors) => {
            tracing::error!(errors = %errors, "the new rules cannot be used; the old ones stay in force");
            metrics.rules_reloaded(false, book.current().rules().len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Labels;
    use crate::domain::alert::{Alert, AlertStatus};
    use crate::domain::fingerprint::Fingerprint;
    use crate::domain::severity::Severity;
    use crate::engine::playbook::Playbook;
    use jiff::Timestamp;
    use std::path::Path;

    /// Whom rules without a policy tell, who hears of unmatched alerts, and who is reached in the end.
    fn destinations(text: &str) -> [Vec<String>; 3] {
        let settings = Settings::from_text("s.yaml", text, Path::new(""), &BTreeMap::new())
            .unwrap_or_else(|error| panic!("{error}"));
        let settings = engine_settings(&settings);
        let shown = |all: &Vec<Destination>| -> Vec<String> { all.iter().map(ToString::to_string).collect() };
        [&settings.default_destinations, &settings.unmatched_destinations, &settings.fallback_destinations]
            .map(shown)
    }

    #[test]
    fn the_default_channel_hears_what_nobody_else_would() {
        let slack = "slack: { bot_token: { env: BOT }, default_channel: '#all' }\n";
        let named = |name: &str| vec![format!("slack:#{name}")];
        assert_eq!(destinations(slack), [named("all"), named("all"), named("all")]);
        let own = format!(
            "{slack}escalation: {{ fallback: [{{ slack: {{ channel: '#last' }} }}], unmatched: [{{ slack: {{ channel: '#strays' }} }}] }}"
        );
        assert_eq!(destinations(&own), [named("all"), named("strays"), named("last")]);
        let nobody = format!("{slack}escalation: {{ unmatched: [] }}");
        assert_eq!(destinations(&nobody), [named("all"), vec![], named("all")]);
        assert_eq!(destinations("").concat(), Vec::<String>::new());
    }

    #[test]
    fn what_nobody_wrote_a_policy_for_still_reaches_the_fallback() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(
            folder.path().join("rules.yaml"),
            "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: { name: down }\n\
             spec: { matchers: ['alertname=\"Down\"'], severity: P1 }\n",
        )
        .expect("written");
        let text = "slack: { bot_token: { env: BOT }, default_channel: '#all' }\nrules: [rules.yaml]\n\
                    escalation: { fallback: [{ slack: { channel: '#last' } }] }\n";
        let settings = Settings::from_text("s.yaml", text, folder.path(), &BTreeMap::new())
            .unwrap_or_else(|error| panic!("{error}"));
        let book = open(&settings).unwrap_or_else(|errors| panic!("{errors}"));
        let told = |alertname: &str, severity: Severity| {
            let labels = Labels::from([("alertname".to_owned(), alertname.to_owned())]);
            let alert = Alert {
                fingerprint: Fingerprint::of_labels(&labels),
                status: AlertStatus::Firing,
                labels,
                annotations: Labels::new(),
                starts_at: Timestamp::UNIX_EPOCH,
                ends_at: None,
                generator_url: None,
            };
            let rule = book.matching(&alert).remove(0);
            let policy = book.policy(&rule, severity, &alert)?;
            assert!(book.policy_by_hash(&policy.hash).is_some(), "an incident finds its policy again");
            let shown =
                |all: &[Destination]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            Some((shown(&policy.policy.levels[0].destinations), shown(&policy.policy.fallback)))
        };
        let both = |first: &str| Some((first.to_owned(), "slack:#last".to_owned()));
        assert_eq!(told("Down", Severity::P1), both("slack:#all"));
        assert_eq!(told("Down", Severity::P2), None, "a mild one is told once");
        assert_eq!(told(crate::engine::watchdogs::MISSING, Severity::P0), both("slack:#all slack:#last"));
        assert_eq!(told("Stray", Severity::P0), None, "whom strays are told to, the settings say");
    }
}
