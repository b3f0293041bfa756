//! From settings to the doors of `http`: limits, certificates, credentials.

use std::net::SocketAddr;
use std::str::FromStr as _;
use std::sync::Arc;

use http::HeaderName;

use super::access::Receiver;
use super::{Limits, Server, Settings};
use crate::clients::grafana::SIGNATURE_HEADER;
use crate::http::auth::{ApiAuth, Credential, Hosts, ReceiverAuth, TokenHolder};
use crate::http::body::BodyLimits;
use crate::http::listener::{ConnectionLimits, TlsFiles};
use crate::http::meter::DoorMeter;
use crate::http::receive::grafana::{GrafanaDoor, GrafanaHmac};
use crate::http::receive::slack::{INTERACTION_BYTES_MAX, INTERACTIONS_BYTES_MAX};
use crate::secret::{Keyring, SecretError};

impl Limits {
    /// What the listener bounds.
    pub fn of_connections(&self) -> ConnectionLimits {
        ConnectionLimits {
            connections: self.connections,
            connections_per_ip: self.connections_per_ip,
            tls_handshake_timeout: self.tls_handshake_timeout.get(),
            header_timeout: self.header_timeout.get(),
            header_bytes: self.header_bytes,
            headers: self.headers,
            idle_timeout: self.idle_timeout.get(),
            write_timeout: self.write_timeout.get(),
            shutdown_grace: self.shutdown_grace.get(),
        }
    }

    /// What the gate for bodies bounds.
    pub fn of_bodies(&self) -> BodyLimits {
        BodyLimits {
            body_bytes: self.body_bytes,
            bodies_bytes: self.bodies_bytes,
            body_timeout: self.body_timeout.get(),
        }
    }

    /// What the gate for Slack's interactions bounds.
    pub fn of_interactions(&self) -> BodyLimits {
        BodyLimits {
            body_bytes: self.body_bytes.min(INTERACTION_BYTES_MAX),
            bodies_bytes: self.bodies_bytes.min(INTERACTIONS_BYTES_MAX),
            body_timeout: self.body_timeout.get(),
        }
    }
}

impl Server {
    /// The files of the TLS door; `None` for plain HTTP.
    pub fn tls_files(&self) -> Option<TlsFiles> {
        let tls = self.tls.as_ref()?;
        Some(TlsFiles {
            certificate: tls.cert_file.clone(),
            key: tls.key_file.clone(),
            client_ca: tls.client_ca_file.clone(),
            client_certificate_required: self.requires_client_certificate(),
        })
    }

    /// Which host names a door without credentials answers to: on loopback only ours, so that no web page can point
    /// a name of its own there.
    pub fn hosts(&self) -> Hosts {
        if !self.is_loopback() || self.allow_unauthenticated {
            return Hosts::Any;
        }
        let url = self.external_url.as_ref().and_then(|url| reqwest::Url::parse(url.as_str()).ok());
        Hosts::LocalAnd(url.and_then(|url| url.host_str().map(str::to_owned)).into_iter().collect())
    }

    /// Whether links in messages lead nowhere: to the address that stands for all addresses of a machine.
    pub fn links_lead_nowhere(&self) -> bool {
        self.external_url.is_none() && self.listen.ip().is_unspecified()
    }

    /// Whether people come over HTTPS, here or at what stands in front of the service.
    fn is_reached_over_https(&self) -> bool {
        match &self.external_url {
            Some(url) => url.as_str().starts_with("https://"),
            None => self.tls.is_some(),
        }
    }

    /// The address for links in messages, without a slash at its end. `bound` is where the service listens: with
    /// port 0 in the settings, the system chooses.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.external_url
            .as_ref()
            .map_or_else(|| format!("{scheme}://{bound}"), |url| url.as_str().to_owned())
    }
}

impl Settings {
    /// The door of `POST /webhooks/alertmanager`.
    ///
    /// # Errors
    /// Where a secret cannot be resolved.
    pub fn alertmanager_auth(
        &self,
        keyring: &Keyring,
        meter: DoorMeter,
    ) -> Result<ReceiverAuth, SecretError> {
        let credentials = credentials(&self.receivers.alertmanager, keyring)?;
        Ok(ReceiverAuth::new("alertmanager", credentials, self.server.hosts(), meter))
    }

    /// The door of `POST /webhooks/grafana`; none where it stays closed.
    ///
    /// # Errors
    /// Where a secret cannot be resolved.
    pub fn grafana_door(
        &self,
        keyring: &Keyring,
        meter: DoorMeter,
    ) -> Result<Option<GrafanaDoor>, SecretError> {
        let Some(grafana) = &self.receivers.grafana else { return Ok(None) };
        let receiver = grafana.credentials();
        let credentials = credentials(&receiver, keyring)?;
        let hmac = match &grafana.hmac {
            None => None,
            Some(hmac) => Some(GrafanaHmac {
                secrets: keyring.open_all(&hmac.secret)?,
                header: hmac.header.clone().unwrap_or_else(|| SIGNATURE_HEADER.to_owned()),
                timestamp_header: hmac.timestamp_header.clone(),
            }),
        };
        let shows_credentials = receiver.asks_for_credentials() || hmac.is_none();
        let auth = ReceiverAuth::new("grafana", credentials, self.server.hosts(), meter);
        Ok(Some(GrafanaDoor { auth: Arc::new(auth), shows_credentials, hmac: hmac.map(Arc::new) }))
    }

    /// The door of the API.
    ///
    /// # Errors
    /// Where a secret cannot be resolved.
    pub fn api_auth(&self, keyring: &Keyring, meter: DoorMeter) -> Result<ApiAuth, SecretError> {
        let holders = self.api.tokens.iter().map(|token| {
            Ok(TokenHolder {
                name: token.person.as_ref().unwrap_or(&token.name).clone(),
                is_person: token.person.is_some(),
                role: token.role,
                token: keyring.open_all(&token.token)?,
            })
        });
        let auth = ApiAuth::new(holders.collect::<Result<_, _>>()?, self.server.hosts(), meter);
        Ok(auth.with_encrypted_sessions(self.server.is_reached_over_https()))
    }
}

fn credentials(receiver: &Receiver, keyring: &Keyring) -> Result<Vec<Credential>, SecretError> {
    let mut credentials = Vec::new();
    for token in &receiver.bearer_tokens {
        credentials.push(Credential::Bearer(keyring.open_all(token)?));
    }
    for basic in &receiver.basic_auth {
        let password = keyring.open_all(&basic.password)?;
        credentials.push(Credential::Basic { username: basic.username.clone(), password });
    }
    for header in &receiver.headers {
        let name =
            HeaderName::from_str(&header.name).expect("the checks refuse names that are no header names");
        credentials.push(Credential::Header { name, value: keyring.open_all(&header.value)? });
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    fn load(text: &str) -> Settings {
        Settings::from_text("f", text, Path::new(""), &BTreeMap::new())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_loopback_door_answers_only_to_its_own_names() {
        let local = load("server: { external_url: 'https://sj.example.com/x' }");
        assert_eq!(local.server.hosts(), Hosts::LocalAnd(vec!["sj.example.com".to_owned()]));
        assert_eq!(load("").server.hosts(), Hosts::LocalAnd(Vec::new()));
        let fronted = load("server: { listen: '0.0.0.0:1', allow_unauthenticated: true }");
        assert_eq!(fronted.server.hosts(), Hosts::Any);
    }

    #[test]
    fn links_point_to_the_external_url_or_to_the_address() {
        let bound: SocketAddr = "127.0.0.1:4711".parse().expect("an address");
        assert_eq!(load("").server.public_url(bound), "http://127.0.0.1:4711");
        assert_eq!(
            load("server: { listen: '127.0.0.1:0' }").server.public_url(bound),
            "http://127.0.0.1:4711"
        );
        assert_eq!(load("server: { external_url: 'https://sj/' }").server.public_url(bound), "https://sj");
        let tls = load("server: { tls: { cert_file: a, key_file: b } }").server;
        assert_eq!(tls.public_url(bound), "https://127.0.0.1:4711");
        assert_eq!(tls.tls_files().map(|files| files.client_certificate_required), Some(false));
    }

    #[test]
    fn grafanas_door_is_closed_until_it_is_set_up_and_never_open_to_strangers() {
        let keyring = Keyring::new(BTreeMap::from([("S".to_owned(), "secret".to_owned())]));
        let door = |text: &str| load(text).grafana_door(&keyring, DoorMeter::default()).expect("secrets");
        assert!(door("").is_none());
        let signed = door("receivers: { grafana: { hmac: { secret: { env: S } } } }").expect("a door");
        assert!(!signed.shows_credentials, "whoever only signs is a stranger until the body is read");
        assert_eq!(signed.hmac.expect("a signature").header, SIGNATURE_HEADER);
        let both = "receivers: { grafana: { bearer_tokens: [{ env: S }], hmac: { secret: { env: S } } } }";
        assert!(door(both).expect("a door").shows_credentials);
        let refused = |text: &str| {
            let read = Settings::from_text("f", text, Path::new(""), &BTreeMap::new());
            read.expect_err("a contradiction").to_string()
        };
        let open = "server: { listen: '0.0.0.0:1' }\nreceivers: { grafana: {} }\n";
        assert!(refused(open).contains("`receivers.grafana` asks for no credentials"), "{}", refused(open));
        let unnamed = "receivers: { grafana: { hmac: { secret: { env: S }, timestamp_header: 'no name' } } }";
        assert!(refused(unnamed).contains("expected the name of a header"), "{}", refused(unnamed));
    }

    #[test]
    fn a_missing_secret_closes_the_door_instead_of_opening_it() {
        let settings = load(
            "receivers: { alertmanager: { headers: [{ name: X-T, value: { env: GONE } }] } }\n\
             api: { tokens: [{ name: a, role: admin, token: { env: GONE } }] }",
        );
        let keyring = Keyring::new(BTreeMap::new());
        assert!(settings.alertmanager_auth(&keyring, DoorMeter::default()).is_err());
        assert!(settings.api_auth(&keyring, DoorMeter::default()).is_err());
    }
}
