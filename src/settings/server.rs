//! The door: where the service listens, with which certificate, and how much it lets in.

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::values::HttpUrl;
use crate::period::Period;

/// Port of a new installation, in the range that Prometheus' exporters and tools share.
const PORT_DEFAULT: u16 = 9119;

/// Where the service listens and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port to listen on.
    #[serde(deserialize_with = "address_with_port")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Address under which people reach the service, for links in messages. Default: built from `listen`.
    pub external_url: Option<HttpUrl>,
    /// TLS, and client certificates. Default: plain HTTP.
    pub tls: Option<Tls>,
    /// Lets anybody in from other machines, where something in front of the service authenticates callers. Callers
    /// without a token then have the role `admin`.
    pub allow_unauthenticated: bool,
}

fn address_with_port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text: Cow<'de, str> = Deserialize::deserialize(deserializer)?;
    text.parse()
        .map_err(|_| de::Error::custom("expected an IP address with a port, such as `127.0.0.1:9119`"))
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, PORT_DEFAULT)),
            external_url: None,
            tls: None,
            allow_unauthenticated: false,
        }
    }
}

impl Server {
    /// Whether only this machine can reach the service.
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    /// Whether no connection comes about without a certificate of a trusted client.
    pub fn requires_client_certificate(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| {
            tls.client_ca_file.is_some() && tls.client_certificate == ClientCertificate::Required
        })
    }
}

/// Certificate and key of the service. The files are read again when they change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Certificate chain in PEM, the service's own certificate first.
    #[schemars(required)]
    pub cert_file: PathBuf,
    /// Private key in PEM.
    #[schemars(required)]
    pub key_file: PathBuf,
    /// Certificates in PEM that issue client certificates. Set it to turn on mutual TLS.
    pub client_ca_file: Option<PathBuf>,
    /// Whether a client must show a certificate, once `client_ca_file` is set.
    pub client_certificate: ClientCertificate,
}

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificate {
    /// No certificate, no connection. A certificate then stands for the receivers' own authentication.
    #[default]
    Required,
    /// A certificate is checked where one is shown; other authentication is still asked for.
    Optional,
}

/// Limits at the door. Each protects memory or time that belongs to other callers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections open at once. A connection costs some tens of kilobytes, so this bounds idle memory. When it is
    /// reached, the connection that has waited longest without a request is closed in favour of the new one.
    pub connections: usize,
    /// Connections open at once from one address, so that one caller cannot use up all of them. Behind a proxy all
    /// callers share the proxy's address: raise it there to the value of `connections`.
    pub connections_per_ip: usize,
    /// Time for the TLS handshake: a client that does not finish holds a connection and nothing else.
    pub tls_handshake_timeout: Period,
    /// Time from the start of a connection to the end of the request's head. Honest clients send it in one packet;
    /// slow ones on purpose are cut off.
    pub header_timeout: Period,
    /// Size of a request's head in bytes, 8192 at least. Tokens and cookies of proxies fit into far less.
    pub header_bytes: usize,
    /// Number of header lines of a request.
    pub headers: usize,
    /// Time for the whole body of a request, once its head is there.
    pub body_timeout: Period,
    /// Size of one body in bytes. A group of 20,000 alerts has about 18 MB; beyond this limit the answer is 413.
    pub body_bytes: usize,
    /// Size of all bodies in memory at once, in bytes. When it is used up the answer is 503, which Alertmanager
    /// repeats within a second.
    pub bodies_bytes: usize,
    /// Time that a connection may wait for its next request. Longer than the five minutes after which Alertmanager
    /// closes its side, so that a request never meets a connection that is just being closed.
    pub idle_timeout: Period,
    /// Time that a response may wait for its reader to take the next bytes.
    pub write_timeout: Period,
    /// Time for open requests to end when the service stops; what is still open then is cut.
    pub shutdown_grace: Period,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_ip: 256,
            tls_handshake_timeout: Period::from_secs(10),
            header_timeout: Period::from_secs(5),
            header_bytes: 32 * 1024,
            headers: 100,
            body_timeout: Period::from_secs(10),
            body_bytes: 32 * 1024 * 1024,
            bodies_bytes: 128 * 1024 * 1024,
            idle_timeout: Period::from_mins(6),
            write_timeout: Period::from_secs(30),
            shutdown_grace: Period::from_secs(10),
        }
    }
}
