//! Who is calling: credentials of senders, tokens of the API, and doors that ask for nothing.
//!
//! Comparisons take the same time whatever is wrong, an answer never says which part was wrong, and no credential
//! reaches a log. Roles are checked by the handlers, through [`Principal::require`].

mod credentials;
mod failures;
mod origin;
mod session;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use smokejumper_domain::people::{Actor, Role, Via};

use super::listener::Peer;
use super::meter::DoorMeter;
use super::problem::Problem;
use crate::secret::SecretSet;
pub use credentials::Credential;
use failures::FailureLog;
use jiff::Timestamp;
pub use origin::Hosts;
use session::Session;

/// The name under which calls are recorded that come in through a door that asks for nothing.
const ANONYMOUS: &str = "anonymous";

/// The door of one receiver.
#[derive(Debug)]
pub struct ReceiverAuth {
    credentials: Vec<Credential>,
    hosts: Hosts,
    failures: FailureLog,
}

impl ReceiverAuth {
    /// A door that any one of the credentials opens; without credentials it stands open to every program, though not
    /// to other people's web pages. `door` names it in logs and metrics.
    pub fn new(door: &'static str, credentials: Vec<Credential>, hosts: Hosts, meter: DoorMeter) -> Self {
        Self { credentials, hosts, failures: FailureLog::new(door, meter) }
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        if self.credentials.is_empty() {
            return origin::refuse_web_pages(request, &self.hosts);
        }
        // All of them are compared, so that the time does not tell which one came close.
        let accepted =
            self.credentials.iter().map(|one| one.accepts(request.headers())).fold(false, |a, b| a | b);
        if accepted {
            return Ok(());
        }
        self.failures.note(peer_ip(request), shows_credentials(request.headers(), &self.credentials));
        Err(Problem::unauthorized())
    }

    /// What a caller may try, for the header `WWW-Authenticate`.
    fn challenge(&self) -> HeaderValue {
        let basic = self.credentials.iter().any(|one| matches!(one, Credential::Basic { .. }));
        HeaderValue::from_static(if basic {
            r#"Basic realm="smokejumper""#
        } else {
            r#"Bearer realm="smokejumper""#
        })
    }
}

/// Middleware: lets a request to a receiver pass that shows a valid credential.
pub async fn require_credentials(
    State(auth): State<Arc<ReceiverAuth>>,
    request: Request,
    next: Next,
) -> Response {
    match auth.check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => refuse(problem, auth.challenge()),
    }
}

/// One token of the API with its holder.
#[derive(Debug)]
pub struct TokenHolder {
    /// The name in the audit trail.
    pub name: String,
    /// Whether that is the name of a person whom the settings name.
    pub is_person: bool,
    /// What the holder may do.
    pub role: Role,
    /// The token: one value, or two while it is being rotated.
    pub token: SecretSet,
}

/// The door of the API.
#[derive(Debug)]
pub struct ApiAuth {
    holders: Vec<TokenHolder>,
    hosts: Hosts,
    failures: FailureLog,
    only_encrypted: bool,
}

impl ApiAuth {
    /// A door that the tokens open; without tokens it stands open to every program with the role admin.
    pub fn new(holders: Vec<TokenHolder>, hosts: Hosts, meter: DoorMeter) -> Self {
        Self { holders, hosts, failures: FailureLog::new("api", meter), only_encrypted: false }
    }

    /// Whether browsers keep sessions for encrypted connections alone, which is right where people come over HTTPS.
    #[must_use]
    pub fn with_encrypted_sessions(self, only_encrypted: bool) -> Self {
        Self { only_encrypted, ..self }
    }

    /// Who is calling.
    ///
    /// # Errors
    /// 401 without a valid token; 403 for a web page of another site where no token is asked for.
    pub fn principal(&self, request: &Request) -> Result<Principal, Problem> {
        if self.holders.is_empty() {
            origin::refuse_web_pages(request, &self.hosts)?;
            return Ok(Principal { name: ANONYMOUS.to_owned(), role: Role::Admin, is_person: false });
        }
        let presented = credentials::bearer_token(request.headers());
        let found =
            self.holder(|holder| presented.is_some_and(|token| credentials::is_one_of(&holder.token, token)));
        found.map(TokenHolder::principal).ok_or_else(|| {
            self.failures.note(peer_ip(request), request.headers().contains_key(header::AUTHORIZATION));
            Problem::unauthorized()
        })
    }

    /// Who looks at a page: by a token as for the API, or by the session that a sign-in began. A session only looks.
    ///
    /// # Errors
    /// As [`Self::principal`].
    pub fn reader(&self, request: &Request, now: Timestamp) -> Result<Reader, Problem> {
        let sessions = Session::shown(request.headers(), now);
        let found = sessions.iter().find_map(|session| self.holder(|holder| session.is_of(&holder.token)));
        match found {
            Some(holder) if !request.headers().contains_key(header::AUTHORIZATION) => {
                let principal = Principal { role: Role::Viewer, ..holder.principal() };
                Ok(Reader { principal, in_session: true })
            }
            _ => self.principal(request).map(|principal| Reader { principal, in_session: false }),
        }
    }

    /// Begins a session with a token that somebody typed into our own page: the value of `Set-Cookie`.
    ///
    /// # Errors
    /// 401 for a token that is none; 403 for a page of another site.
    pub fn sign_in(&self, parts: &Parts, token: &[u8], now: Timestamp) -> Result<String, Problem> {
        origin::refuse_other_sites(&parts.headers)?;
        if self.holder(|holder| credentials::is_one_of(&holder.token, token)).is_some() {
            return Ok(session::begin(token, now, self.only_encrypted));
        }
        self.failures.note(parts.extensions.get::<Peer>().map(|peer| peer.address.ip()), true);
        Err(Problem::unauthorized())
    }

    /// Ends a session: the value of `Set-Cookie`.
    ///
    /// # Errors
    /// 403 for a page of another site.
    pub fn sign_out(&self, headers: &HeaderMap) -> Result<String, Problem> {
        origin::refuse_other_sites(headers)?;
        Ok(session::end(self.only_encrypted))
    }

    /// The first holder that fits. All of them are asked, so that the time does not tell which one it was.
    fn holder(&self, fits: impl Fn(&TokenHolder) -> bool) -> Option<&TokenHolder> {
        self.holders.iter().fold(None, |found, holder| {
            let fits = fits(holder);
            found.or_else(|| fits.then_some(holder))
        })
    }
}

impl TokenHolder {
    fn principal(&self) -> Principal {
        Principal { name: self.name.clone(), role: self.role, is_person: self.is_person }
    }
}

/// Somebody who looks at a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Who.
    pub principal: Principal,
    /// Whether they are signed in, so that they can sign out.
    pub in_session: bool,
}

/// Middleware: finds out who is calling and puts the [`Principal`] into the request's extensions.
pub async fn require_principal(
    State(auth): State<Arc<ApiAuth>>,
    mut request: Request,
    next: Next,
) -> Response {
    match auth.principal(&request) {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(problem) => refuse(problem, HeaderValue::from_static(r#"Bearer realm="smokejumper""#)),
    }
}

/// A caller of the API: who, and what they may do. Handlers take it as an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The name in the audit trail.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether the settings say which person this is.
    pub is_person: bool,
}

impl Principal {
    /// Refuses callers below a role.
    ///
    /// # Errors
    /// 403, with the role that is needed.
    pub fn require(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            return Ok(());
        }
        Err(Problem::forbidden(format!(
            "this needs the role {}, and {} is {}",
            role.as_str(),
            self.name,
            self.role.as_str()
        )))
    }

    /// As the audit trail and the engine name callers of the API.
    pub fn actor(&self) -> Actor {
        Actor { name: self.name.clone(), via: Via::Api, role: self.role }
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    /// A route without [`require_principal`] lets nobody in.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::unauthorized)
    }
}

fn refuse(problem: Problem, challenge: HeaderValue) -> Response {
    let mut response = problem.into_response();
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn peer_ip(request: &Request) -> Option<std::net::IpAddr> {
    request.extensions().get::<Peer>().map(|peer| peer.address.ip())
}

/// Whether the caller tried at all; tells a forgotten setting from a wrong one in the log.
fn shows_credentials(headers: &HeaderMap, credentials: &[Credential]) -> bool {
    headers.contains_key(header::AUTHORIZATION)
        || credentials
            .iter()
            .any(|one| matches!(one, Credential::Header { name, .. } if headers.contains_key(name)))
}

#[cfg(test)]
mod tests;
