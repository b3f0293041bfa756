//! Checks of the services around us: what each needs, and that no credential stands in plain text.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use super::{Findings, require_time};
use crate::period::Period;
use crate::settings::Settings;
use crate::settings::access::BasicAuth;
use crate::settings::messengers::EmailSecurity;
use crate::settings::services::{Alertmanager, Loki, Prometheus};
use crate::settings::values::PlainOrSecret;

/// Longest time for one call to a messenger. A page must reach somebody within half a minute; what takes longer is
/// tried again, or told elsewhere.
const MESSENGER_TIMEOUT_MAX: Period = Period::from_secs(10);

/// Longest time for one call to an endpoint, below the minute that the engine gives an attempt.
const ENDPOINT_TIMEOUT_MAX: Period = Period::from_secs(55);

pub(super) fn check_services(settings: &Settings, out: &mut Findings) {
    if let Some(prometheus) = &settings.prometheus {
        check_prometheus(prometheus, out);
    }
    if let Some(Loki { url, bearer_token, basic_auth, headers, timeout, ca_file: _ }) = &settings.loki {
        out.require(url.is_set(), &["loki", "url"]);
        require_time(*timeout, &["loki", "timeout"], out);
        check_headers(headers, &["loki"], out);
        check_basic_auth("loki", basic_auth.as_ref(), bearer_token.is_set(), out);
    }
    if let Some(alertmanager) = &settings.alertmanager {
        check_alertmanager(alertmanager, out);
    }
    for (name, watchdog) in &settings.watchdogs {
        let path = ["watchdogs", name, "matchers"];
        out.require(!watchdog.matchers.is_empty(), &path);
        if let Err((index, error)) = watchdog.parsed() {
            out.add(&["watchdogs", name, "matchers", &index.to_string()], error);
        }
        require_time(watchdog.within, &["watchdogs", name, "within"], out);
    }
    if let Some(heartbeat) = &settings.heartbeat {
        out.require(heartbeat.url.is_set(), &["heartbeat", "url"]);
        require_time(heartbeat.every, &["heartbeat", "every"], out);
        require_time_up_to(MESSENGER_TIMEOUT_MAX, heartbeat.timeout, &["heartbeat", "timeout"], out);
    }
    if let Some(slack) = &settings.slack {
        out.require(slack.api_url.is_set(), &["slack", "api_url"]);
        out.require(slack.bot_token.is_set(), &["slack", "bot_token"]);
        require_time_up_to(MESSENGER_TIMEOUT_MAX, slack.timeout, &["slack", "timeout"], out);
        for (index, group) in slack.groups.iter().enumerate() {
            let good = group.id.len() > 1
                && group.id.starts_with('S')
                && group.id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            if !good {
                let index = index.to_string();
                out.add(
                    &["slack", "groups", &index, "id"],
                    "expected the id of a user group, such as `S0123456789`",
                )
                .help("its name can be changed; the id is in the address of the group in a browser");
            }
        }
    }
    if let Some(pagerduty) = &settings.pagerduty {
        out.require(pagerduty.events_url.is_set(), &["pagerduty", "events_url"]);
        require_time_up_to(MESSENGER_TIMEOUT_MAX, pagerduty.timeout, &["pagerduty", "timeout"], out);
        for (name, service) in &pagerduty.services {
            out.require(service.routing_key.is_set(), &["pagerduty", "services", name, "routing_key"]);
        }
        if let Some(api) = &pagerduty.api {
            out.require(api.url.is_set(), &["pagerduty", "api", "url"]);
            out.require(api.token.is_set(), &["pagerduty", "api", "token"]);
            out.require(!api.from.is_empty(), &["pagerduty", "api", "from"]);
            let is_address = api.from.parse::<lettre::Address>().is_ok();
            if !api.from.is_empty() && !is_address {
                out.add(
                    &["pagerduty", "api", "from"],
                    "this is not a mail address; notes are written in the name of a user in PagerDuty",
                );
            }
        }
    }
    check_messengers(settings, out);
    for (name, endpoint) in &settings.endpoints {
        out.require(endpoint.url.is_set(), &["endpoints", name, "url"]);
        require_time_up_to(ENDPOINT_TIMEOUT_MAX, endpoint.timeout, &["endpoints", name, "timeout"], out);
        check_headers(&endpoint.headers, &["endpoints", name], out);
    }
}

fn check_messengers(settings: &Settings, out: &mut Findings) {
    for (name, webhook) in &settings.webhooks {
        check_address(&webhook.url, &["webhooks", name, "url"], out);
        check_headers(&webhook.headers, &["webhooks", name], out);
        require_time_up_to(MESSENGER_TIMEOUT_MAX, webhook.timeout, &["webhooks", name, "timeout"], out);
        if let Some(Err(error)) = webhook.body.as_deref().map(check_body) {
            out.add(&["webhooks", name, "body"], format!("this template cannot be used: {error}"));
        }
    }
    if let Some(teams) = &settings.teams {
        require_time_up_to(MESSENGER_TIMEOUT_MAX, teams.timeout, &["teams", "timeout"], out);
        for (name, channel) in &teams.channels {
            check_address(&channel.url, &["teams", "channels", name, "url"], out);
        }
    }
    let Some(email) = &settings.email else { return };
    out.require(!email.host.is_empty(), &["email", "host"]);
    out.require(!email.from.is_empty(), &["email", "from"]);
    require_time_up_to(MESSENGER_TIMEOUT_MAX, email.timeout, &["email", "timeout"], out);
    if !email.from.is_empty() && email.from.parse::<lettre::message::Mailbox>().is_err() {
        out.add(&["email", "from"], "this is no mail address")
            .help("write such as `Smokejumper <smokejumper@example.com>`");
    }
    if email.username.is_some() != email.password.is_set() {
        out.add(&["email", "username"], "a user name and a password go together");
    }
    if email.security == EmailSecurity::Plain && email.password.is_set() {
        out.add(&["email", "security"], "without TLS the password could be read on the way")
            .help("write `starttls` or `tls`");
    }
}

/// An address that may be a secret as a whole.
fn check_address(url: &PlainOrSecret, path: &[&str], out: &mut Findings) {
    let PlainOrSecret::Plain(text) = url else { return };
    out.require(!text.is_empty(), path);
    let parsed = crate::clients::http::Url::parse(text);
    let is_web = parsed.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !text.is_empty() && !is_web {
        out.add(path, "expected an http or https address");
    } else if text.contains('@') {
        out.add(path, "an address that may hold a password must be a secret")
            .help("write `{ env: NAME }` and set that variable to the whole address, or `{ file: PATH }`")
            .hide_value();
    }
}

/// Whether a body is a template that comes to JSON; what it names is only known when it is used.
fn check_body(text: &str) -> Result<(), String> {
    crate::rules::render::Templates::compile([text]).map(drop).map_err(|error| error.to_string())
}

fn require_time_up_to(most: Period, period: Period, path: &[&str], out: &mut Findings) {
    require_time(period, path, out);
    if period > most {
        out.add(path, format!("this time is at most {most}"));
    }
}

fn check_alertmanager(alertmanager: &Alertmanager, out: &mut Findings) {
    let name = "alertmanager";
    let Alertmanager {
        url,
        peers,
        bearer_token,
        basic_auth,
        headers,
        timeout,
        silence_max,
        reconcile,
        ca_file: _,
    } = alertmanager;
    out.require(url.is_set(), &[name, "url"]);
    for (index, peer) in peers.iter().enumerate() {
        out.require(peer.is_set(), &[name, "peers", &index.to_string()]);
    }
    require_time_up_to(MESSENGER_TIMEOUT_MAX, *timeout, &[name, "timeout"], out);
    require_time(*silence_max, &[name, "silence_max"], out);
    check_headers(headers, &[name], out);
    check_basic_auth(name, basic_auth.as_ref(), bearer_token.is_set(), out);
    for (key, period) in
        [("every", reconcile.every), ("grace", reconcile.grace), ("missed_after", reconcile.missed_after)]
    {
        require_time(period, &[name, "reconcile", key], out);
    }
    if reconcile.take_in_missed && reconcile.receiver.is_none() {
        out.add(
            &[name, "reconcile", "take_in_missed"],
            "this needs the name of our receiver in Alertmanager",
        )
        .help("write `receiver: NAME` beside it, as it stands in Alertmanager's configuration");
    }
}

fn check_prometheus(prometheus: &Prometheus, out: &mut Findings) {
    let name = "prometheus";
    let Prometheus { url, bearer_token, basic_auth, headers, timeout, ca_file: _ } = prometheus;
    out.require(url.is_set(), &[name, "url"]);
    require_time(*timeout, &[name, "timeout"], out);
    check_headers(headers, &[name], out);
    check_basic_auth(name, basic_auth.as_ref(), bearer_token.is_set(), out);
}

fn check_basic_auth(name: &str, basic_auth: Option<&BasicAuth>, has_token: bool, out: &mut Findings) {
    if let Some(BasicAuth { username, password }) = basic_auth {
        out.require(!username.is_empty(), &[name, "basic_auth", "username"]);
        out.require(password.is_set(), &[name, "basic_auth", "password"]);
        if has_token {
            out.add(
                &[name, "bearer_token"],
                "a request carries one `Authorization`: keep this or `basic_auth`",
            );
        }
    }
}

fn check_headers(headers: &BTreeMap<String, PlainOrSecret>, path: &[&str], out: &mut Findings) {
    for (name, value) in headers {
        let at: Vec<&str> = path.iter().copied().chain(["headers", name.as_str()]).collect();
        if http::HeaderName::from_str(name).is_err() {
            out.add(&at, format!("`{name}` is no name of a header"));
        }
        let PlainOrSecret::Plain(text) = value else { continue };
        if http::HeaderValue::from_str(text).is_err() {
            out.add(&at, "a header value is one line of visible characters");
        }
        let name = name.to_ascii_lowercase();
        let carries_credentials =
            ["authorization", "cookie", "token", "secret", "password", "api-key", "apikey"].iter();
        if carries_credentials.clone().any(|word| name.contains(word)) {
            out.add(&at, "this header carries a credential and must be a secret")
                .help("write `{ env: NAME }` and set that variable to the whole value, or `{ file: PATH }`")
                .hide_value();
        }
    }
}
