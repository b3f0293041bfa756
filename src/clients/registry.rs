//! Container registries by the OCI distribution API, as far as it has to be known whether an image is there.
//!
//! Only registries of the settings are asked. One that wants a token says where to get it; credentials and questions go there
//! only where that is the registry itself or a host that the settings name beside it. Redirects are not followed, so what
//! lies at another host, such as a blob in a bucket, is not read.

pub mod reference;

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::answer::cut_chars;
use super::http::{Credentials, HttpAnswer, HttpClient, HttpError, HttpRequest, Method, StatusCode, Url};
use crate::domain::timeline::digest_of_bytes;
use reference::ImageReference;

/// Bytes of a manifest that are read: registries must take manifests of 4 MiB.
const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of an image's configuration that are read; common ones have a few kilobytes.
const CONFIG_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of an answer with a token.
const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// Characters of a registry's explanation that are kept.
const DETAIL_CHARS_MAX: usize = 300;
/// Every form of manifest that a cluster can run: of OCI and of Docker, of one platform and of several.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.docker.distribution.manifest.v2+json";

/// Why there is no answer to go by.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// No connection, or one that broke.
    #[error(transparent)]
    Unreachable(#[from] HttpError),
    /// It cannot answer now (429 and 5xx), and may have said until when.
    #[error("the registry cannot answer now: {words}")]
    Unavailable {
        /// Its words.
        words: String,
        /// How long it asks to wait.
        wait: Option<Duration>,
    },
    /// The credentials are not accepted, or there are none (401, 403). Many registries say so of what is not there, too.
    #[error("the registry refuses: {0}")]
    Denied(String),
    /// It sends us for a token to a host that the settings do not name.
    #[error(
        "the registry wants a token of {0}: name that host under `token_hosts` if it may see the credentials"
    )]
    Elsewhere(String),
    /// The answer is not one of a registry.
    #[error("not an answer of a registry: {0}")]
    Garbled(String),
}

/// What a registry holds under a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Digest of what came.
    pub digest: String,
    /// Bytes to pull; none for an image of several platforms.
    pub bytes: Option<u64>,
    /// Platforms of an image that has several, such as `linux/arm64`.
    pub platforms: Vec<String>,
    /// When it says that it was built.
    pub created: Option<String>,
    config: Option<String>,
}

/// One registry.
#[derive(Debug, Clone)]
pub struct RegistryClient {
    http: HttpClient,
    base: Url,
    token_hosts: Vec<String>,
    credentials: Credentials,
}

impl RegistryClient {
    /// A client for the registry at `url`. `token_hosts` may hand out tokens beside it.
    ///
    /// # Errors
    /// Where `url` is not an http or https URL.
    pub fn new(http: HttpClient, url: &str, token_hosts: Vec<String>) -> Result<Self, HttpError> {
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = parsed.ok_or_else(|| HttpError::setup("this is not an http or https URL"))?;
        Ok(Self { http, base, token_hosts, credentials: Credentials::None })
    }

    /// The same client with other credentials. Cheap: connections are shared.
    #[must_use]
    pub fn signed_in(&self, credentials: Credentials) -> Self {
        Self { credentials, ..self.clone() }
    }

    /// What there is under a reference; none where the registry knows it not.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn manifest(
        &self,
        image: &ImageReference,
        timeout: Duration,
    ) -> Result<Option<Manifest>, RegistryError> {
        let name = image.digest.as_deref().unwrap_or(&image.tag);
        let asked = Asked {
            path: format!("/v2/{}/manifests/{name}", image.repository),
            repository: Some(&image.repository),
            bytes_max: MANIFEST_BYTES_MAX,
            timeout,
        };
        let Some((answer, shown)) = self.get(&asked).await? else { return Ok(None) };
        let digest = format!("sha256:{}", digest_of_bytes(&answer.body));
        if image.digest.as_ref().is_some_and(|wanted| wanted.starts_with("sha256:") && *wanted != digest) {
            return Err(RegistryError::Garbled(format!("what came has the digest {digest}")));
        }
        let mut manifest = read_manifest(&answer, digest)?;
        if let (None, Some(config)) = (&manifest.created, &manifest.config) {
            manifest.created = self.created(image, config, shown, timeout).await;
        }
        Ok(Some(manifest))
    }

    /// Whether it answers as a registry, and takes our credentials.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn ping(&self, timeout: Duration) -> Result<(), RegistryError> {
        let asked = Asked { path: "/v2/".to_owned(), repository: None, bytes_max: TOKEN_BYTES_MAX, timeout };
        match self.get(&asked).await? {
            Some(_) => Ok(()),
            None => Err(RegistryError::Garbled("there is nothing at /v2/".to_owned())),
        }
    }

    /// What is there, asked without credentials first, and with what was shown in the end.
    async fn get(&self, asked: &Asked<'_>) -> Result<Option<(HttpAnswer, Credentials)>, RegistryError> {
        let answer = self.send(asked, &Credentials::None).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(judged(answer)?.map(|answer| (answer, Credentials::None)));
        }
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        let shown = match Challenge::read(challenge) {
            Some(Challenge::Basic) if !matches!(self.credentials, Credentials::None) => {
                self.credentials.clone()
            }
            Some(Challenge::Bearer { realm, service }) => {
                Credentials::Bearer(self.token(&realm, service.as_deref(), asked).await?)
            }
            _ => return Err(RegistryError::Denied(words_of(&answer))),
        };
        let answer = self.send(asked, &shown).await?;
        Ok(judged(answer)?.map(|answer| (answer, shown)))
    }

    async fn send(&self, asked: &Asked<'_>, shown: &Credentials) -> Result<HttpAnswer, RegistryError> {
        let url = self.base.join(&asked.path).map_err(|error| HttpError::setup(error.to_string()))?;
        let request = HttpRequest::new(Method::GET, url)
            .timeout(asked.timeout)
            .answer_bytes_max(asked.bytes_max)
            .header("accept", ACCEPT)?
            .credentials(shown)?;
        Ok(self.http.send(request).await?)
    }

    /// A token to pull from one repository, or from none. What the registry says of the scope is not taken up.
    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        asked: &Asked<'_>,
    ) -> Result<SecretString, RegistryError> {
        let mut url = self.realm(realm)?;
        let scope = asked.repository.map(|repository| ("scope", format!("repository:{repository}:pull")));
        let service = service.map(|service| ("service", service.to_owned()));
        url.query_pairs_mut().extend_pairs(service.into_iter().chain(scope));
        let request = HttpRequest::new(Method::GET, url)
            .timeout(asked.timeout)
            .answer_bytes_max(TOKEN_BYTES_MAX)
            .credentials(&self.credentials)?;
        let Some(answer) = judged(self.http.send(request).await?)? else {
            return Err(RegistryError::Denied("there is nothing where it hands out tokens".to_owned()));
        };
        let answer: TokenAnswer = serde_json::from_slice(&answer.body).map_err(|_| no_token())?;
        answer
            .token
            .or(answer.access_token)
            .filter(|token| !token.is_empty())
            .map(SecretString::from)
            .ok_or_else(no_token)
    }

    /// Where tokens are handed out, as far as it may be asked.
    fn realm(&self, realm: &str) -> Result<Url, RegistryError> {
        let url =
            Url::parse(realm).map_err(|_| RegistryError::Garbled("its realm is no address".to_owned()))?;
        let place = place_of(&url);
        let is_known = place == place_of(&self.base) || self.token_hosts.contains(&place);
        // A registry with TLS must not lead credentials onto a way without it.
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && self.base.scheme() == "http");
        if is_known && is_safe { Ok(url) } else { Err(RegistryError::Elsewhere(place)) }
    }

    /// When an image says that it was built. Nobody's answer depends on it: where it cannot be had, it is left out.
    async fn created(
        &self,
        image: &ImageReference,
        config: &str,
        shown: Credentials,
        timeout: Duration,
    ) -> Option<String> {
        let asked = Asked {
            path: format!("/v2/{}/blobs/{}", image.repository, reference::digest(config)?),
            repository: Some(&image.repository),
            bytes_max: CONFIG_BYTES_MAX,
            timeout,
        };
        let answer = judged(self.send(&asked, &shown).await.ok()?).ok()??;
        let config: Value = serde_json::from_slice(&answer.body).ok()?;
        Some(config.get("created")?.as_str()?.to_owned())
    }
}

/// One question.
struct Asked<'a> {
    path: String,
    /// The repository that has to be read for it.
    repository: Option<&'a str>,
    bytes_max: usize,
    timeout: Duration,
}

/// Host and port of an address, as image references write it.
fn place_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn no_token() -> RegistryError {
    RegistryError::Garbled("no token came".to_owned())
}

/// The table from status to what happened; none where there is nothing.
fn judged(answer: HttpAnswer) -> Result<Option<HttpAnswer>, RegistryError> {
    match answer.status {
        status if status.is_success() => match answer.truncated {
            true => Err(RegistryError::Garbled("it is larger than a manifest may be".to_owned())),
            false => Ok(Some(answer)),
        },
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Err(RegistryError::Denied(words_of(&answer)))
        }
        status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
            Err(RegistryError::Unavailable { words: words_of(&answer), wait: answer.retry_after() })
        }
        _ => Err(RegistryError::Garbled(words_of(&answer))),
    }
}

/// The status, and the registry's own word for it.
fn words_of(answer: &HttpAnswer) -> String {
    let said: Option<ErrorAnswer> = serde_json::from_slice(&answer.body).ok();
    let said = said.and_then(|said| said.errors.into_iter().next());
    let words = said.map(|error| format!(" {} {}", error.code, error.message)).unwrap_or_default();
    cut_chars(format!("HTTP {}{words}", answer.status.as_u16()).trim_end(), DETAIL_CHARS_MAX)
}

fn read_manifest(answer: &HttpAnswer, digest: String) -> Result<Manifest, RegistryError> {
    let read: ManifestAnswer =
        serde_json::from_slice(&answer.body).map_err(|error| RegistryError::Garbled(error.to_string()))?;
    let created = read.annotations.get("org.opencontainers.image.created").and_then(Value::as_str);
    let created = created.map(str::to_owned);
    let platforms: Vec<String> =
        read.manifests.iter().filter_map(|one| one.platform.as_ref()).filter_map(Platform::name).collect();
    let (bytes, config) = match (read.config, read.manifests.is_empty()) {
        (Some(config), true) => {
            let layers = read.layers.iter().map(|layer| layer.size);
            let bytes = layers.fold(config.size, u64::saturating_add);
            (Some(bytes), Some(config.digest))
        }
        (None, false) => (None, None),
        _ => return Err(RegistryError::Garbled("this is no manifest of an image".to_owned())),
    };
    Ok(Manifest { digest, bytes, platforms, created, config })
}

/// How a registry wants to be shown who asks.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    /// The first challenge of `WWW-Authenticate`.
    fn read(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        Some(Self::Bearer { realm: parameter(rest, "realm")?, service: parameter(rest, "service") })
    }
}

/// A quoted parameter of a challenge.
fn parameter(rest: &str, wanted: &str) -> Option<String> {
    let mut rest = rest;
    while let Some((name, after)) = rest.split_once("=\"") {
        let (value, next) = after.split_once('"')?;
        if name.trim_start_matches([',', ' ']).eq_ignore_ascii_case(wanted) {
            return Some(value.to_owned());
        }
        rest = next;
    }
    None
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct ManifestAnswer {
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Part>,
    #[serde(default)]
    annotations: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct Descriptor {
    #[serde(default)]
    digest: String,
    #[serde(default)]
    size: u64,
}

#[derive(Deserialize)]
struct Part {
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

impl Platform {
    /// None for what is no platform, such as attestations beside an image.
    fn name(&self) -> Option<String> {
        let is_known = !self.os.is_empty() && self.os != "unknown";
        is_known.then(|| format!("{}/{}", self.os, self.architecture))
    }
}
