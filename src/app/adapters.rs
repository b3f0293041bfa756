//! Builds the adapters from settings and secrets: evidence, actions, notifiers, and who may click.

use crate::actions::{Actions, ActionsOptions, Endpoint};
use crate::clients::http::{Credentials, HttpClient, HttpOptions, Method, ProxyChoice, Url};
use crate::clients::prometheus::PrometheusClient;
use crate::diagnostics::{Diagnostics, DiagnosticsOptions, PrometheusAccess, SignIn};
use crate::notify::Notifiers;
use crate::notify::pagerduty::{PagerDutyNotifier, PagerDutyOptions};
use crate::notify::slack::click::{People, Person, SlackDecoder};
use crate::notify::slack::{SlackNotifier, SlackOptions};
use crate::secret::{Keyring, LiveText, SecretSet};
use crate::settings::{PlainOrSecret, Settings, Upstream};
use anyhow::Context;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that reaches out.
pub(super) struct Adapters {
    pub(super) diagnostics: Arc<Diagnostics>,
    pub(super) actions: Arc<Actions>,
    pub(super) notifiers: Arc<Notifiers>,
    pub(super) slack_decoder: SlackDecoder,
    pub(super) slack_secrets: SecretSet,
}

impl Adapters {
    /// Builds them all; nothing is sent yet.
    pub(super) fn build(settings: &Settings, keyring: &Keyring) -> anyhow::Result<Self> {
        let http = HttpClient::new(&HttpOptions::configured()).context("the HTTP client cannot be built")?;
        Ok(Self {
            diagnostics: Arc::new(diagnostics(settings, keyring)?),
            actions: Arc::new(actions(settings, keyring)?),
            notifiers: Arc::new(Notifiers {
                slack: slack(settings, keyring, &http)?,
                pagerduty: pagerduty(settings, keyring, &http)?,
            }),
            slack_decoder: SlackDecoder { people: people(settings) },
            slack_secrets: match &settings.slack {
                Some(slack) => keyring.open_all(&slack.signing_secret)?,
                None => SecretSet::default(),
            },
        })
    }
}

pub(super) fn diagnostics(settings: &Settings, keyring: &Keyring) -> anyhow::Result<Diagnostics> {
    let prometheus =
        settings.prometheus.as_ref().map(|upstream| prometheus(upstream, keyring)).transpose()?;
    let options = DiagnosticsOptions {
        prometheus,
        probe_loopback: settings.probes.allow_loopback,
        keyring: keyring.clone(),
    };
    Diagnostics::new(options).context("the diagnostics cannot be built")
}

fn prometheus(upstream: &Upstream, keyring: &Keyring) -> anyhow::Result<PrometheusAccess> {
    let authorities_pem = match &upstream.ca_file {
        None => None,
        Some(path) => {
            let place = || format!("`prometheus.ca_file`: {} cannot be read", path.display());
            Some(std::fs::read(path).with_context(place)?)
        }
    };
    let http = HttpClient::new(&HttpOptions { authorities_pem, ..HttpOptions::configured() })
        .context("the HTTP client for `prometheus` cannot be built")?;
    Ok(PrometheusAccess {
        client: PrometheusClient::new(http, upstream.url.as_str(), Credentials::None)?,
        sign_in: sign_in(upstream, keyring)?,
        headers: headers(&upstream.headers, keyring).context("`prometheus.headers`")?,
        timeout: upstream.timeout.get(),
    })
}

fn sign_in(upstream: &Upstream, keyring: &Keyring) -> anyhow::Result<SignIn> {
    if let Some(token) = keyring.open_all(&upstream.bearer_token)?.first() {
        return Ok(SignIn::Bearer(token.clone()));
    }
    let Some(basic) = &upstream.basic_auth else { return Ok(SignIn::Anonymous) };
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

fn actions(settings: &Settings, keyring: &Keyring) -> anyhow::Result<Actions> {
    let endpoints = endpoints(settings, keyring)?;
    let options = ActionsOptions { endpoints, proxy: ProxyChoice::default(), keyring: keyring.clone() };
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

fn slack(settings: &Settings, keyring: &Keyring, http: &HttpClient) -> anyhow::Result<Option<SlackNotifier>> {
    let Some(slack) = &settings.slack else { return Ok(None) };
    let tokens = keyring.open_all(&slack.bot_token)?;
    let bot_token = tokens.first().context("`slack.bot_token` is not set")?.clone();
    let options = SlackOptions {
        api_url: slack.api_url.as_str().to_owned(),
        bot_token,
        external_url: Some(settings.server.public_url()),
    };
    Ok(Some(SlackNotifier::new(options, http.clone(), keyring.clone())?))
}

fn pagerduty(
    settings: &Settings,
    keyring: &Keyring,
    http: &HttpClient,
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
        external_url: Some(settings.server.public_url()),
    };
    Ok(Some(PagerDutyNotifier::new(options, http.clone(), keyring.clone())?))
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
    }
}
