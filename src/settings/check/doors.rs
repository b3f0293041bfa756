//! Checks of the doors: addresses, certificates, credentials, limits.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use super::{Findings, require_time};
use crate::settings::access::{GrafanaReceiver, Receiver};
use crate::settings::{ClientCertificate, Limits, Settings};

/// Least room for a request's head that the HTTP library works with.
const HEADER_BYTES_MIN: usize = 8192;

/// Most credentials a receiver compares a request with. Each costs a hash for every request that comes in.
const CREDENTIALS_MAX: usize = 32;

/// Longest mail address that mail servers take.
const MAIL_ADDRESS_BYTES_MAX: usize = 254;

pub(super) fn check_server(settings: &Settings, out: &mut Findings) {
    let Some(tls) = &settings.server.tls else { return };
    out.require(!tls.cert_file.as_os_str().is_empty(), &["server", "tls", "cert_file"]);
    out.require(!tls.key_file.as_os_str().is_empty(), &["server", "tls", "key_file"]);
    if tls.client_ca_file.is_none() && tls.client_certificate == ClientCertificate::Optional {
        out.add(
            &["server", "tls", "client_certificate"],
            "without `client_ca_file` no client certificate is asked for",
        );
    }
}

/// A service that acts on a cluster must not take orders from strangers.
pub(super) fn check_open_doors(settings: &Settings, out: &mut Findings) {
    let server = &settings.server;
    if server.is_loopback() || server.allow_unauthenticated {
        return;
    }
    let reachable = format!("{} can be reached from other machines", server.listen);
    let way_out = "or listen on 127.0.0.1, or say `server.allow_unauthenticated: true` if something in front of the \
                   service authenticates callers";
    let behind_certificates = server.requires_client_certificate();
    if !settings.receivers.alertmanager.asks_for_credentials() && !behind_certificates {
        out.add(
            &["server", "listen"],
            format!("{reachable}, and `receivers.alertmanager` asks for no credentials"),
        )
        .help(format!("set `receivers.alertmanager.bearer_tokens: [{{ env: NAME }}]`, {way_out}"));
    }
    let grafana = settings.receivers.grafana.as_ref();
    let is_open =
        |grafana: &GrafanaReceiver| !grafana.credentials().asks_for_credentials() && grafana.hmac.is_none();
    if grafana.is_some_and(is_open) && !behind_certificates {
        out.add(
            &["server", "listen"],
            format!("{reachable}, and `receivers.grafana` asks for no credentials"),
        )
        .help(format!("set `receivers.grafana.hmac: {{ secret: {{ env: NAME }} }}`, {way_out}"));
    }
    if settings.api.tokens.is_empty() {
        out.add(&["server", "listen"], format!("{reachable}, and the API has no tokens")).help(format!(
            "set `api.tokens: [{{ name: me, role: admin, token: {{ env: NAME }} }}]`, {way_out}"
        ));
    }
}

pub(super) fn check_grafana(settings: &Settings, out: &mut Findings) {
    let Some(grafana) = &settings.receivers.grafana else { return };
    let path = ["receivers", "grafana"];
    check_receiver(&grafana.credentials(), &path, out);
    let Some(hmac) = &grafana.hmac else { return };
    out.require(hmac.secret.is_set(), &["receivers", "grafana", "hmac", "secret"]);
    for (key, name) in [("header", &hmac.header), ("timestamp_header", &hmac.timestamp_header)] {
        if name.as_ref().is_some_and(|name| http::HeaderName::from_str(name).is_err()) {
            out.add(
                &["receivers", "grafana", "hmac", key],
                "expected the name of a header, such as `X-Time`",
            );
        }
    }
}

pub(super) fn check_receiver(receiver: &Receiver, path: &[&str], out: &mut Findings) {
    let at = |rest: &[&'static str], index: &str| -> Vec<String> {
        let steps = path.iter().copied().chain([rest[0], index]).chain(rest[1..].iter().copied());
        steps.map(str::to_owned).collect()
    };
    for (index, token) in receiver.bearer_tokens.iter().enumerate() {
        out.require(token.is_set(), &as_refs(&at(&["bearer_tokens"], &index.to_string())));
    }
    for (index, basic) in receiver.basic_auth.iter().enumerate() {
        let index = index.to_string();
        out.require(!basic.username.is_empty(), &as_refs(&at(&["basic_auth", "username"], &index)));
        out.require(basic.password.is_set(), &as_refs(&at(&["basic_auth", "password"], &index)));
        if basic.username.contains(':') {
            out.add(&as_refs(&at(&["basic_auth", "username"], &index)), "a user name cannot contain a colon");
        }
    }
    for (index, header) in receiver.headers.iter().enumerate() {
        let index = index.to_string();
        out.require(header.value.is_set(), &as_refs(&at(&["headers", "value"], &index)));
        out.require(!header.name.is_empty(), &as_refs(&at(&["headers", "name"], &index)));
        if !header.name.is_empty() && http::HeaderName::from_str(&header.name).is_err() {
            out.add(
                &as_refs(&at(&["headers", "name"], &index)),
                "expected the name of a header, such as `X-Token`",
            );
        }
    }
    let count = receiver.bearer_tokens.len() + receiver.basic_auth.len() + receiver.headers.len();
    if count > CREDENTIALS_MAX {
        out.add(
            path,
            format!("{count} credentials; at most {CREDENTIALS_MAX} are compared with each request"),
        );
    }
}

pub(super) fn check_tokens_and_people(settings: &Settings, out: &mut Findings) {
    let mut names = BTreeSet::new();
    for (index, token) in settings.api.tokens.iter().enumerate() {
        let index = index.to_string();
        out.require(!token.name.trim().is_empty(), &["api", "tokens", &index, "name"]);
        out.require(token.token.is_set(), &["api", "tokens", &index, "token"]);
        if !names.insert(&token.name) {
            out.add(&["api", "tokens", &index, "name"], format!("a second token is named `{}`", token.name))
                .help(
                    "to rotate a token, give one entry a list of two: `token: [{ env: NEW }, { env: OLD }]`",
                );
        }
        if let Some(person) = &token.person
            && !settings.people.iter().any(|known| &known.name == person)
        {
            out.add(
                &["api", "tokens", &index, "person"],
                format!("nobody under `people` is named `{person}`"),
            )
            .help("add the person, or leave this out for a token of a program");
        }
    }
    check_people(settings, out);
}

/// Whether somebody could be meant by it: who, and where. More than that only a mail server knows.
fn is_mail_address(text: &str) -> bool {
    let is_plain = |part: &str| {
        !part.is_empty() && !part.contains(|c: char| c == '@' || c.is_whitespace() || c.is_control())
    };
    text.len() <= MAIL_ADDRESS_BYTES_MAX
        && text.split_once('@').is_some_and(|(who, place)| {
            is_plain(who) && is_plain(place) && !place.starts_with('.') && !place.ends_with('.')
        })
}

fn check_people(settings: &Settings, out: &mut Findings) {
    let (mut names, mut slack_ids, mut emails) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, person) in settings.people.iter().enumerate() {
        let index = index.to_string();
        out.require(!person.name.trim().is_empty(), &["people", &index, "name"]);
        if !names.insert(&person.name) {
            out.add(&["people", &index, "name"], format!("a second person is named `{}`", person.name));
        }
        if let Some(email) = &person.email {
            if !is_mail_address(email) {
                out.add(&["people", &index, "email"], "expected a mail address, such as `una@example.com`");
            }
            // Hardly any mail server tells capital letters apart.
            if !emails.insert(email.to_lowercase()) {
                out.add(&["people", &index, "email"], "this address belongs to another person as well");
            }
        }
        let Some(id) = &person.slack else { continue };
        let well_formed =
            id.len() > 1 && id.starts_with(['U', 'W']) && id.chars().all(|c| c.is_ascii_alphanumeric());
        if !well_formed {
            out.add(&["people", &index, "slack"], "expected a member id of Slack, such as `U0123456789`")
                .help("names can be changed by anybody; the id is under \"Copy member ID\" in the profile");
        }
        if !slack_ids.insert(id) {
            out.add(&["people", &index, "slack"], "this member id belongs to another person as well");
        }
    }
}

pub(super) fn check_limits(limits: &Limits, out: &mut Findings) {
    let times = [
        ("tls_handshake_timeout", limits.tls_handshake_timeout),
        ("header_timeout", limits.header_timeout),
        ("body_timeout", limits.body_timeout),
        ("idle_timeout", limits.idle_timeout),
        ("write_timeout", limits.write_timeout),
    ];
    for (name, time) in times {
        require_time(time, &["limits", name], out);
    }
    for (name, count) in [
        ("connections", limits.connections),
        ("connections_per_ip", limits.connections_per_ip),
        ("headers", limits.headers),
        ("body_bytes", limits.body_bytes),
    ] {
        if count == 0 {
            out.add(&["limits", name], "with 0 nobody could come in");
        }
    }
    if limits.header_bytes < HEADER_BYTES_MIN {
        out.add(&["limits", "header_bytes"], format!("expected {HEADER_BYTES_MIN} at least"));
    }
    if limits.bodies_bytes < limits.body_bytes {
        out.add(&["limits", "bodies_bytes"], "it must leave room for one body of `body_bytes`");
    }
}

fn as_refs(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}
