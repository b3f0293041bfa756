//! Builds the adapters from settings and secrets: evidence, actions, notifiers, and who may click.

pub(super) mod connections;
mod kubernetes;
mod messengers;

use super::permissions::Permissions;
use crate::actions::{Actions, ActionsOptions, Endpoint};
use crate::alerting::Alertmanagers;
use crate::clients::alertmanager::api::AlertmanagerClient;
use crate::clients::answer::SendError;
use crate::clients::http::{Credentials, HttpClient, HttpOptions, Method, ProxyChoice, Url};
use crate::clients::prometheus::PrometheusClient;
use crate::clients::slack::socket::SocketClient;
use crate::diagnostics::{Diagnostics, DiagnosticsOptions, PrometheusAccess, SignIn, VitalsOptions};
use crate::engine::clock::LastJump;
use crate::engine::ports::Reader;
use crate::engine::watchdogs::Sight;
use crate::http::receive::slack::socket::Connect;
use crate::metrics::Metrics;
use crate::notify::Notifiers;
use crate::notify::pagerduty::news::PagerDutyDecoder;
use crate::notify::pagerduty::{NotesOptions, PagerDutyNotifier, PagerDutyOptions};
use crate::notify::slack::click::{People, Person, SlackDecoder};
use crate::notify::slack::directory::{Directory, Wanted};
use crate::notify::slack::{SlackNotifier, SlackOptions};
use crate::rules::book::RuleBook;
use crate::secret::{Keyring, LiveText, SecretError, SecretSet, SecretSources};
use crate::settings::{BasicAuth, HttpUrl, PagerDutyApi, Period, PlainOrSecret, Prometheus, Settings};
use anyhow::Context;
use kubernetes::Cluster;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// What others notice and those who act must know.
#[derive(Debug, Clone, Default)]
pub(super) struct Watches {
    /// When the wall clock was set.
    pub(super) last_jump: LastJump,
    /// Which watchdogs stay away.
    pub(super) sight: Sight,
}

/// Everything that reaches out.
pub(super) struct Adapters {
    pub(super) diagnostics: Arc<Diagnostics>,
    pub(super) actions: Arc<Actions>,
    pub(super) notifiers: Arc<Notifiers>,
    pub(super) slack_decoder: SlackDecoder,
    pub(super) slack_secrets: SecretSet,
    /// Opens connections of Socket Mode; none where it is not set up.
    pub(super) slack_socket: Option<Arc<Connect>>,
    pub(super) alertmanagers: Option<Arc<Alertmanagers>>,
    pub(super) pagerduty_decoder: PagerDutyDecoder,
    pub(super) pagerduty_secrets: SecretSet,
    cluster: Option<Cluster>,
    looks_at_nodes: bool,
}

impl Adapters {
    /// Builds them all; nothing is sent yet. Links in messages lead to the address that was bound, unless the settings
    /// name another.
    pub(super) fn build(
        settings: &Settings,
        keyring: &Keyring,
        bound: SocketAddr,
        watches: Watches,
        past: Option<Arc<dyn Reader>>,
    ) -> anyhow::Result<Self> {
        let links = settings.server.public_url(bound);
        let cluster = Cluster::of(settings);
        let mut diagnostics = diagnostics_with(cluster.as_ref(), settings, keyring, watches)?;
        if let Some(past) = past {
            diagnostics = diagnostics.with_past(past);
        }
        Ok(Self {
            diagnostics: Arc::new(diagnostics),
            actions: Arc::new(actions(cluster.as_ref(), settings, keyring)?),
            notifiers: Arc::new(Notifiers {
                slack: slack(settings, keyring, &links)?,
                pagerduty: pagerduty(settings, keyring, &links)?,
                webhooks: messengers::webhooks(settings, keyring, &links)?,
                email: messengers::email(settings, keyring, &links)?,
                teams: messengers::teams(settings, keyring, &links)?,
            }),
            slack_decoder: SlackDecoder { people: people(settings) },
            slack_secrets: match &settings.slack {
                Some(slack) => keyring.open_all(&slack.signing_secret)?,
                None => SecretSet::default(),
            },
            slack_socket: slack_socket(settings, keyring)?,
            alertmanagers: alertmanagers(settings, keyring)?.map(Arc::new),
            pagerduty_decoder: PagerDutyDecoder { people: people_in_pagerduty(settings) },
            pagerduty_secrets: webhook_secrets(settings, keyring)?,
            cluster,
            looks_at_nodes: settings.guardrails.looks_at_nodes(),
        })
    }

    /// The look at what the cluster permits; none without a cluster.
    pub(super) fn permissions(&self, book: Arc<RuleBook>, metrics: Metrics) -> Option<Permissions> {
        let (reads, acts) = self.cluster.as_ref()?.identities();
        Some(Permissions { reads, acts, book, metrics, looks_at_nodes: self.looks_at_nodes })
    }

    /// Looks at what must be there before anything starts, and is only known by trying.
    pub(super) async fn connect(&self) -> anyhow::Result<()> {
        match &self.cluster {
            Some(cluster) => cluster.connect().await,
            None => Ok(()),
        }
    }
}

fn vitals(settings: &Settings, watches: Watches) -> anyhow::Result<VitalsOptions> {
    let blind = &settings.guardrails.blind;
    let alertmanager = blind.alertmanager.as_ref().map(|url| Url::parse(url.as_str())).transpose();
    Ok(VitalsOptions {
        watchdog: blind.watchdog.clone(),
        alertmanager: alertmanager.context("`guardrails.blind.alertmanager`")?,
        down_percent: settings.guardrails.correlation.down_percent,
        nodes_percent: settings.guardrails.correlation.nodes_percent,
        last_jump: watches.last_jump,
        sight: watches.sight,
    })
}

/// The diagnostics by themselves, for a look at what they would find.
pub(super) fn diagnostics(settings: &Settings, keyring: &Keyring) -> anyhow::Result<Diagnostics> {
    diagnostics_with(Cluster::of(settings).as_ref(), settings, keyring, Watches::default())
}

/// What looks at the targets of remedies, for a look at what they would do: no endpoint can be called with it.
pub(super) fn surveyor(settings: &Settings, keyring: &Keyring) -> anyhow::Result<Actions> {
    let connections = connections::acting(settings, keyring)?;
    actions_with(BTreeMap::new(), Cluster::of(settings).as_ref(), connections, keyring)
}

fn diagnostics_with(
    cluster: Option<&Cluster>,
    settings: &Settings,
    keyring: &Keyring,
    watches: Watches,
) -> anyhow::Result<Diagnostics> {
    let prometheus =
        settings.prometheus.as_ref().map(|upstream| prometheus(upstream, keyring)).transpose()?;
    let options = DiagnosticsOptions {
        prometheus,
        kubernetes: cluster.map(Cluster::for_diagnostics),
        connections: connections::reading(settings, keyring)?,
        vitals: vitals(settings, watches)?,
        probe_loopback: settings.probes.allow_loopback,
        keyring: keyring.clone(),
    };
    Diagnostics::new(options).context("the diagnostics cannot be built")
}

/// Certificates of a file, to trust besides the system's.
fn authorities(ca_file: Option<&Path>, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(path) = ca_file else { return Ok(None) };
    let place = || format!("`{key}`: {} cannot be read", path.display());
    Ok(Some(std::fs::read(path).with_context(place)?))
}

/// The Alertmanager of the settings, all peers of it.
pub(super) fn alertmanagers(settings: &Settings, keyring: &Keyring) -> anyhow::Result<Option<Alertmanagers>> {
    let Some(upstream) = &settings.alertmanager else { return Ok(None) };
    let authorities_pem = authorities(upstream.ca_file.as_deref(), "alertmanager.ca_file")?;
    let request_timeout = upstream.timeout.get();
    let http =
        HttpClient::new(&HttpOptions { authorities_pem, request_timeout, ..HttpOptions::configured() })
            .context("the HTTP client for `alertmanager` cannot be built")?;
    let client = |url: &HttpUrl| AlertmanagerClient::new(http.clone(), url.as_str());
    let peers = upstream.asked().iter().map(client).collect::<Result<_, _>>().context("`alertmanager`")?;
    let sign_in = sign_in(&upstream.bearer_token, upstream.basic_auth.as_ref(), keyring)?;
    let headers = headers(&upstream.headers, keyring).context("`alertmanager.headers`")?;
    let sign_in = Arc::new(move || {
        let headers = headers.iter().map(|(name, text)| (name.clone(), text.current())).collect();
        (sign_in.credentials(), headers)
    });
    Ok(Some(Alertmanagers { peers, sign_in, keyring: keyring.clone() }))
}

pub(super) fn prometheus(upstream: &Prometheus, keyring: &Keyring) -> anyhow::Result<PrometheusAccess> {
    let authorities_pem = authorities(upstream.ca_file.as_deref(), "prometheus.ca_file")?;
    let http = HttpClient::new(&HttpOptions { authorities_pem, ..HttpOptions::configured() })
        .context("the HTTP client for `prometheus` cannot be built")?;
    Ok(PrometheusAccess {
        client: PrometheusClient::new(http, upstream.url.as_str(), Credentials::None)?,
        sign_in: sign_in(&upstream.bearer_token, upstream.basic_auth.as_ref(), keyring)?,
        headers: headers(&upstream.headers, keyring).context("`prometheus.headers`")?,
        timeout: upstream.timeout.get(),
    })
}

fn sign_in(
    bearer_token: &SecretSources,
    basic_auth: Option<&BasicAuth>,
    keyring: &Keyring,
) -> anyhow::Result<SignIn> {
    if let Some(token) = keyring.open_all(bearer_token)?.first() {
        return Ok(SignIn::Bearer(token.clone()));
    }
    let Some(basic) = basic_auth else { return Ok(SignIn::Anonymous) };
    let passwords = keyring.open_all(&basic.password)?;
    let password = passwords.first().context("`basic_auth.password` is not set")?.clone();
    Ok(SignIn::Basic { username: basic.username.clone(), password })
}

/// Headers of the settings, with their secrets resolved.
fn headers(
    headers: &BTreeMap<String, PlainOrSecret>,
    keyring: &Keyring,
) -> anyhow::Result<Vec<(String, LiveText)>> {
    let live = |value: &PlainOrSecret| -> anyhow::Result<LiveText> {
        Ok(match value {
            PlainOrSecret::Plain(text) => LiveText::Plain(text.clone()),
            PlainOrSecret::Secret(source) => LiveText::Secret(keyring.open(source)?),
        })
    };
    headers.iter().map(|(name, value)| Ok((name.clone(), live(value)?))).collect()
}

/// The address of the store, which may be a secret as a whole.
pub(super) fn store_url(settings: &Settings, keyring: &Keyring) -> anyhow::Result<String> {
    match &settings.store.url {
        PlainOrSecret::Plain(url) => Ok(url.clone()),
        PlainOrSecret::Secret(source) => Ok(keyring.open(source)?.current().expose_secret().to_owned()),
    }
}

fn actions(cluster: Option<&Cluster>, settings: &Settings, keyring: &Keyring) -> anyhow::Result<Actions> {
    actions_with(endpoints(settings, keyring)?, cluster, connections::acting(settings, keyring)?, keyring)
}

fn actions_with(
    endpoints: BTreeMap<String, Endpoint>,
    cluster: Option<&Cluster>,
    connections: crate::actions::Connections,
    keyring: &Keyring,
) -> anyhow::Result<Actions> {
    let options = ActionsOptions {
        endpoints,
        proxy: ProxyChoice::default(),
        kubernetes: cluster.map(Cluster::for_actions),
        connections,
        keyring: keyring.clone(),
    };
    Actions::new(options).context("the actions cannot be built")
}

/// A method of the settings as the HTTP client knows it.
pub(super) fn method(method: crate::settings::Method) -> Method {
    method.as_str().parse().expect("the settings know only methods that HTTP has")
}

/// The endpoints that `http.call` may call, with their secrets resolved.
fn endpoints(settings: &Settings, keyring: &Keyring) -> anyhow::Result<BTreeMap<String, Endpoint>> {
    settings
        .endpoints
        .iter()
        .map(|(name, endpoint)| {
            let place = || format!("`endpoints.{name}`");
            let built = Endpoint {
                method: method(endpoint.method),
                url: Url::parse(endpoint.url.as_str()).with_context(place)?,
                headers: headers(&endpoint.headers, keyring).with_context(place)?,
                idempotent: endpoint.idempotent,
                timeout: endpoint.timeout.get(),
            };
            Ok((name.clone(), built))
        })
        .collect()
}

/// A client for a service that people are told by.
fn messenger(timeout: Period) -> anyhow::Result<HttpClient> {
    let options = HttpOptions { request_timeout: timeout.get(), ..HttpOptions::configured() };
    HttpClient::new(&options).context("the HTTP client cannot be built")
}

fn slack(settings: &Settings, keyring: &Keyring, links: &str) -> anyhow::Result<Option<SlackNotifier>> {
    let Some(slack) = &settings.slack else { return Ok(None) };
    let tokens = keyring.open_all(&slack.bot_token)?;
    let bot_token = tokens.first().context("`slack.bot_token` is not set")?.clone();
    let options = SlackOptions {
        api_url: slack.api_url.as_str().to_owned(),
        bot_token,
        external_url: Some(links.to_owned()),
        alertmanager_url: settings.alertmanager.as_ref().map(|alertmanager| alertmanager.url.to_string()),
    };
    Ok(Some(SlackNotifier::new(options, messenger(slack.timeout)?, keyring.clone())?))
}

/// Opens connections of Socket Mode, each with the token as it is then.
fn slack_socket(settings: &Settings, keyring: &Keyring) -> anyhow::Result<Option<Arc<Connect>>> {
    let Some(slack) = &settings.slack else { return Ok(None) };
    let tokens = keyring.open_all(&slack.app_token)?;
    let Some(token) = tokens.first().cloned() else { return Ok(None) };
    let options =
        HttpOptions { request_timeout: slack.timeout.get(), http1_only: true, ..HttpOptions::configured() };
    let http = HttpClient::new(&options).context("the HTTP client cannot be built")?;
    let api_url = slack.api_url.as_str().to_owned();
    Ok(Some(Arc::new(move || {
        let client = SocketClient::new(http.clone(), &api_url, token.current());
        Box::pin(async move {
            let client =
                client.map_err(|error| SendError::Retry { after: None, reason: error.to_string() })?;
            client.connect().await
        })
    })))
}

fn pagerduty(
    settings: &Settings,
    keyring: &Keyring,
    links: &str,
) -> anyhow::Result<Option<PagerDutyNotifier>> {
    let Some(pagerduty) = &settings.pagerduty else { return Ok(None) };
    let mut services = BTreeMap::new();
    for (name, service) in &pagerduty.services {
        let keys = keyring.open_all(&service.routing_key)?;
        let key =
            keys.first().with_context(|| format!("`pagerduty.services.{name}.routing_key` is not set"))?;
        services.insert(name.clone(), key.clone());
    }
    let options = PagerDutyOptions {
        events_url: pagerduty.events_url.as_str().to_owned(),
        services,
        notes: pagerduty.api.as_ref().map(|api| notes_options(api, keyring)).transpose()?,
        external_url: Some(links.to_owned()),
    };
    Ok(Some(PagerDutyNotifier::new(options, messenger(pagerduty.timeout)?, keyring.clone())?))
}

fn notes_options(api: &PagerDutyApi, keyring: &Keyring) -> anyhow::Result<NotesOptions> {
    let tokens = keyring.open_all(&api.token)?;
    let token = tokens.first().context("`pagerduty.api.token` is not set")?.clone();
    Ok(NotesOptions {
        url: api.url.as_str().to_owned(),
        token,
        from: api.from.clone(),
        confirms: api.confirm,
    })
}

/// Secrets of every subscription of PagerDuty's that may lead here: the account's, and those of its services.
fn webhook_secrets(settings: &Settings, keyring: &Keyring) -> Result<SecretSet, SecretError> {
    let Some(pagerduty) = &settings.pagerduty else { return Ok(SecretSet::default()) };
    let of_services = pagerduty.services.values().map(|service| &service.webhook_secret);
    let all = std::iter::once(&pagerduty.webhook_secret).chain(of_services);
    all.map(|sources| keyring.open_all(sources)).collect()
}

/// Names in the audit trail by identity in PagerDuty.
fn people_in_pagerduty(settings: &Settings) -> Vec<(String, String)> {
    let named = |person: &crate::settings::Person| Some((person.pagerduty.clone()?, person.name.clone()));
    settings.people.iter().filter_map(named).collect()
}

fn people(settings: &Settings) -> People {
    let person = |person: &crate::settings::Person| {
        let slack = person.slack.clone()?;
        Some(Person { name: person.name.clone(), slack, role: person.role })
    };
    People {
        known: settings.people.iter().filter_map(person).collect(),
        anyone_may_acknowledge: settings.slack.as_ref().is_none_or(|slack| slack.anyone_may_acknowledge),
        team_id: settings.slack.as_ref().and_then(|slack| slack.team_id.clone()),
        app_id: settings.slack.as_ref().and_then(|slack| slack.app_id.clone()),
        directory: Directory::new(wanted(settings)),
    }
}

/// Whom only Slack can tell.
fn wanted(settings: &Settings) -> Wanted {
    let Some(slack) = &settings.slack else { return Wanted::default() };
    let by_email = |person: &crate::settings::Person| {
        let email = person.email.clone().filter(|_| person.slack.is_none())?;
        Some((email, (person.name.clone(), person.role)))
    };
    Wanted {
        groups: slack.groups.iter().map(|group| (group.id.clone(), group.role)).collect(),
        emails: settings.people.iter().filter_map(by_email).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::stand_in::{Play, StandIn};
    use crate::domain::notification::{Destination, Notice};
    use crate::engine::ports::{Delivered, Notifier};
    use crate::notify::stories;

    fn mk_adapters(text: &str) -> Adapters {
        let environment = ["BOT", "KEY"].map(|name| (name.to_owned(), "a-secret-of-some-length".to_owned()));
        let environment = BTreeMap::from(environment);
        let settings = Settings::from_text("s.yaml", text, Path::new(""), &environment)
            .unwrap_or_else(|error| panic!("{error}"));
        Adapters::build(
            &settings,
            &Keyring::new(environment),
            settings.server.listen,
            Watches::default(),
            None,
        )
        .expect("adapters")
    }

    async fn tell(adapters: &Adapters, destination: Destination, notice: Notice) -> Delivered {
        let now = stories::minutes(5);
        adapters.notifiers.notify(&destination, &notice, &stories::opened(), now).await
    }

    #[tokio::test]
    async fn messengers_get_the_time_that_the_settings_say() {
        let silent = StandIn::play([Play::Silence]).await;
        let url = silent.url("");
        let adapters = mk_adapters(&format!(
            "slack: {{ api_url: '{url}', bot_token: {{ env: BOT }}, timeout: 50ms }}\n\
             pagerduty: {{ events_url: '{url}', timeout: 60ms, services: {{ shop: {{ routing_key: {{ env: KEY }} }} }} }}"
        ));
        let slack = Destination::Slack { channel: "#x".to_owned() };
        let pagerduty = Destination::PagerDuty { service: "shop".to_owned() };
        let trigger = Notice::Trigger { note: "opened".to_owned(), episode: 0 };
        for (destination, notice, time) in
            [(slack, Notice::Card, "within 50 ms"), (pagerduty, trigger, "within 60 ms")]
        {
            let told = tell(&adapters, destination, notice).await;
            let Delivered::Later { reason, failed: true, .. } = told else { panic!("{told:?}") };
            assert!(reason.contains(time), "{reason}");
        }
    }

    #[tokio::test]
    async fn cards_link_to_the_alertmanager_of_the_settings() {
        let posted = r#"{"ok": true, "channel": "C1", "ts": "1.1"}"#;
        let slack = StandIn::play([Play::text(200, posted), Play::text(200, posted)]).await;
        let settings = format!("slack: {{ api_url: '{}', bot_token: {{ env: BOT }} }}\n", slack.url(""));
        let with = format!("{settings}alertmanager: {{ url: 'https://alertmanager.example.com' }}\n");
        for text in [&settings, &with] {
            let told =
                tell(&mk_adapters(text), Destination::Slack { channel: "#x".to_owned() }, Notice::Card).await;
            assert!(matches!(told, Delivered::Yes { .. }), "{told:?}");
        }
        let bodies: Vec<bool> = slack
            .seen()
            .iter()
            .map(|request| {
                String::from_utf8_lossy(&request.body).contains("alertmanager.example.com/#/silences/new")
            })
            .collect();
        assert_eq!(bodies, [false, true]);
    }
}
