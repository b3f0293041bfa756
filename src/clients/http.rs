//! Outgoing HTTP: the one place where `reqwest` clients are built and where an exchange happens.
//!
//! Every client gets the same ground rules: ring as TLS provider, no redirects (a redirect could carry a
//! credential elsewhere, and no vendor API needs one), a connect and a total deadline, an answer that is read
//! up to a limit, and our own user agent. A client either reaches what an operator configured, or is a
//! *probe* client, whose URLs come out of rules and templates and which [`guard`] keeps away from metadata
//! services and the like. The request and answer types are in [`exchange`], the errors in [`error`].

pub mod error;
pub mod exchange;
pub mod guard;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

pub use error::HttpError;
pub use exchange::{Credentials, HttpAnswer, HttpRequest};
pub use reqwest::header::HeaderMap;
pub use reqwest::{Method, StatusCode, Upgraded, Url};

use error::place_of;
use guard::GuardedResolver;

/// What every request calls itself.
pub const USER_AGENT: &str = concat!("Smokejumper/", env!("CARGO_PKG_VERSION"));

/// Time to find the address and finish the TCP and TLS handshakes. Shorter than any request deadline, so that
/// a dead host is seen as *not reached* (safe to send again) and not as *no answer* (perhaps carried out).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Default time for a whole exchange, body included: long for an API call, short against an effect's lease.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Default limit of an answer that is kept; vendor answers are a few kilobytes.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Idle connections are dropped before common servers and load balancers drop them (60 s), because a request
/// written into a closing connection ends with an unknown outcome.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Idle connections kept for each host; more only costs memory at our request rates.
const POOL_IDLE_PER_HOST_MAX: usize = 4;

/// Which hosts a client may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Any host: the URL stands in the settings, so an operator chose it.
    Configured,
    /// Only hosts that [`guard`] lets through: the URL comes out of a rule or a template.
    Probes {
        /// Lets loopback through as well, for the demo, tests and sidecars.
        loopback: bool,
    },
}

/// Through which proxy a client with [`Reach::Configured`] goes.
#[derive(Debug, Clone, Default)]
pub enum ProxyChoice {
    /// What `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say.
    #[default]
    Environment,
    /// None.
    Direct,
    /// This proxy for everything; its URL may hold a password.
    Through(SecretString),
}

/// How to build an [`HttpClient`].
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Which hosts may be reached.
    pub reach: Reach,
    /// The proxy. A probe client never uses one: behind a proxy the guard could not pin the address.
    pub proxy: ProxyChoice,
    /// Time for name, TCP and TLS; see [`CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// Certificates in PEM to trust besides the system's.
    pub authorities_pem: Option<Vec<u8>>,
    /// Time for one exchange, where the request sets none itself; see [`REQUEST_TIMEOUT`].
    pub request_timeout: Duration,
    /// Speaks HTTP/1.1 only, which [`HttpClient::upgrade`] needs.
    pub http1_only: bool,
}

impl HttpOptions {
    /// For hosts that the settings name.
    pub fn configured() -> Self {
        Self {
            reach: Reach::Configured,
            proxy: ProxyChoice::Environment,
            connect_timeout: CONNECT_TIMEOUT,
            authorities_pem: None,
            request_timeout: REQUEST_TIMEOUT,
            http1_only: false,
        }
    }

    /// For URLs out of rules; `loopback` lets the own machine through.
    pub fn probes(loopback: bool) -> Self {
        let reach = Reach::Probes { loopback };
        Self { reach, proxy: ProxyChoice::Direct, ..Self::configured() }
    }
}

/// Makes ring the process's TLS provider, once; later calls change nothing.
///
/// `main` calls it first, since tracing exporters build clients of their own before any of ours.
pub fn install_crypto_provider() {
    // An error only says that a provider is already there.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client for plain HTTP exchanges; cheap to clone, connections are shared among clones.
#[derive(Debug, Clone)]
pub struct HttpClient {
    inner: reqwest::Client,
    reach: Reach,
    request_timeout: Duration,
}

impl HttpClient {
    /// Builds a client.
    ///
    /// Fails where the proxy URL is not one, where the authorities are no certificates in PEM, or where the machine has no certificate authorities at all.
    #[allow(clippy::disallowed_methods, reason = "this is the one builder")]
    pub fn new(options: &HttpOptions) -> Result<Self, HttpError> {
        install_crypto_provider();
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .connect_timeout(options.connect_timeout)
            .timeout(options.request_timeout)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(POOL_IDLE_PER_HOST_MAX);
        builder = match (options.reach, &options.proxy) {
            (Reach::Probes { loopback }, _) => {
                builder.no_proxy().dns_resolver(Arc::new(GuardedResolver::new(loopback)))
            }
            (Reach::Configured, ProxyChoice::Environment) => builder,
            (Reach::Configured, ProxyChoice::Direct) => builder.no_proxy(),
            (Reach::Configured, ProxyChoice::Through(url)) => {
                let proxy = reqwest::Proxy::all(url.expose_secret());
                builder.proxy(proxy.map_err(|_| HttpError::setup("the proxy URL is not a URL"))?)
            }
        };
        if let Some(pem) = &options.authorities_pem {
            builder = builder.tls_certs_merge(authorities(pem)?);
        }
        if options.http1_only {
            builder = builder.http1_only();
        }
        let inner =
            builder.build().map_err(|error| HttpError::setup(error::chain_of(&error.without_url())))?;
        Ok(Self { inner, reach: options.reach, request_timeout: options.request_timeout })
    }

    /// Sends one request and reads its answer, whatever the status.
    ///
    /// # Errors
    /// [`HttpError`], which says whether the request may have been carried out.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        let place = place_of(&request.url);
        let timeout = request.timeout.unwrap_or(self.request_timeout);
        let answer_bytes_max = request.answer_bytes_max;
        let started = Instant::now();
        let response = self.begin(request, &place, timeout).await?;
        let status = response.status();
        let headers = response.headers().clone();
        let (body, truncated) = read_up_to(response, answer_bytes_max)
            .await
            .map_err(|error| HttpError::from_reqwest(place, timeout, error))?;
        Ok(HttpAnswer { status, headers, body, truncated, latency: started.elapsed() })
    }

    /// Sends a request after which the connection speaks another protocol, and hands the connection over with the
    /// headers of the answer. The deadline holds until then.
    ///
    /// # Errors
    /// As [`Self::send`], and where the other side does not switch.
    pub async fn upgrade(&self, request: HttpRequest) -> Result<(HeaderMap, Upgraded), HttpError> {
        let place = place_of(&request.url);
        let timeout = request.timeout.unwrap_or(self.request_timeout);
        let response = self.begin(request, &place, timeout).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let reason = format!("HTTP {} instead of a switch of protocols", response.status().as_u16());
            return Err(HttpError::Broken { place, reason });
        }
        let headers = response.headers().clone();
        let upgraded = response.upgrade().await;
        Ok((headers, upgraded.map_err(|error| HttpError::from_reqwest(place, timeout, error))?))
    }

    /// Sends a request and reads the head of its answer.
    async fn begin(
        &self,
        request: HttpRequest,
        place: &str,
        timeout: Duration,
    ) -> Result<reqwest::Response, HttpError> {
        if let Reach::Probes { loopback } = self.reach {
            guard::check_url(&request.url, loopback)
                .map_err(|why| HttpError::Denied { place: place.to_owned(), reason: why.to_string() })?;
        }
        let mut outgoing = self.inner.request(request.method, request.url).headers(request.headers);
        if let Some(body) = request.body {
            outgoing = outgoing.body(body);
        }
        let sent = outgoing.timeout(timeout).send().await;
        sent.map_err(|error| HttpError::from_reqwest(place.to_owned(), timeout, error))
    }
}

/// The certificates of a PEM file, at least one.
fn authorities(pem: &[u8]) -> Result<Vec<reqwest::Certificate>, HttpError> {
    let found = reqwest::Certificate::from_pem_bundle(pem).ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| HttpError::setup("the file with certificates to trust holds none in PEM"))
}

/// Reads at most `bytes_max` bytes of the decoded body; the rest is not read, and the connection is dropped.
async fn read_up_to(mut response: reqwest::Response, bytes_max: usize) -> reqwest::Result<(Bytes, bool)> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        let room = bytes_max - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return Ok((body.freeze(), true));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body.freeze(), false))
}
