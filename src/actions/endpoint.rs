//! Endpoints: the named addresses of the settings, all that `http.call` can reach.

use std::time::Duration;

use crate::clients::http::{HttpError, HttpRequest, Method, Url};
use crate::domain::action::Repeatability;
use crate::domain::catalog::EndpointOutline;
use crate::secret::LiveText;

/// A named address, as an operator configured it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Method of its requests.
    pub method: Method,
    /// Where requests go; a rule may only add to the path and the query.
    pub url: Url,
    /// Headers to send.
    pub headers: Vec<(String, LiveText)>,
    /// Whether the operator says that a second request does no harm, where the method does not say so itself.
    pub idempotent: bool,
    /// Time for one call.
    pub timeout: Duration,
}

/// What a plan must know of an endpoint; no secret is among it.
///
/// GET, HEAD, PUT and DELETE are idempotent by their definition (RFC 9110, 9.2.2); of the others only the operator
/// knows.
pub fn outline(method: &Method, idempotent: bool) -> EndpointOutline {
    let by_method = [Method::GET, Method::HEAD, Method::PUT, Method::DELETE].contains(method);
    let repeatability =
        if by_method || idempotent { Repeatability::Idempotent } else { Repeatability::AtMostOnce };
    EndpointOutline { method: method.as_str().to_owned(), repeatability }
}

impl Endpoint {
    /// What a plan must know of it.
    pub fn outline(&self) -> EndpointOutline {
        outline(&self.method, self.idempotent)
    }

    /// A request to it; see [`Self::address`].
    ///
    /// # Errors
    /// Where the path would leave the endpoint's own, or a header cannot be sent.
    pub(super) fn request<'q>(
        &self,
        path: &str,
        query: impl Iterator<Item = (&'q String, String)>,
    ) -> Result<HttpRequest, HttpError> {
        let url = self.address(path, query)?;
        let request = HttpRequest::new(self.method.clone(), url).timeout(self.timeout);
        self.headers
            .iter()
            .try_fold(request, |request, (name, text)| request.secret_header(name, &text.current()))
    }

    /// Where a request goes. The path is added to the endpoint's own as it is, percent-encoding included; query values
    /// are encoded here.
    ///
    /// # Errors
    /// Where the path would leave the endpoint's own.
    pub(super) fn address<'q>(
        &self,
        path: &str,
        query: impl Iterator<Item = (&'q String, String)>,
    ) -> Result<Url, HttpError> {
        let base = self.url.path().trim_end_matches('/').to_owned();
        let mut url = self.url.clone();
        if !path.is_empty() {
            url.set_path(&format!("{base}{path}"));
        }
        // The path was checked before; this is for what the URL parser may make of it nevertheless.
        if !url.path().starts_with(&base) {
            return Err(HttpError::setup("the path leads out of the endpoint's own"));
        }
        let pairs: Vec<_> = query.collect();
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        Ok(url)
    }
}
