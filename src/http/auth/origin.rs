//! Keeps other people's web pages out of doors that ask for no credentials.
//!
//! A service on loopback without tokens trusts every program of its machine. The browser is one of them, and runs
//! pages of strangers: such a page may post to loopback blindly, or point its own host name there to read as well.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

use crate::http::problem::Problem;

/// Which host names a request may be addressed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Any: something in front of the service looks after that.
    Any,
    /// IP addresses, `localhost`, and these names.
    LocalAnd(Vec<String>),
}

/// Refuses what only a browser on somebody else's page would send.
pub(super) fn refuse_web_pages(request: &Request, hosts: &Hosts) -> Result<(), Problem> {
    let host = host_of(request);
    if let (Hosts::LocalAnd(names), Some(host)) = (hosts, host.as_deref()) {
        let name = without_port(host);
        let is_local = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok();
        if !is_local && !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(Problem::forbidden(
                "this host name is not ours: set `server.external_url`, or use tokens",
            ));
        }
    }
    if request.method().is_safe() {
        return Ok(());
    }
    refuse_other_sites(request.headers())?;
    let origin = request.headers().get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let came_from_elsewhere = origin.is_some_and(|origin| {
        let named = origin.split_once("://").map(|(_, rest)| rest);
        named.is_none() || named != host.as_deref()
    });
    if came_from_elsewhere { Err(from_elsewhere()) } else { Ok(()) }
}

/// Refuses what a browser says that a page of another site sent. It says so on encrypted connections and on loopback.
pub(super) fn refuse_other_sites(headers: &HeaderMap) -> Result<(), Problem> {
    let site = headers.get("sec-fetch-site").map(|value| value.as_bytes());
    let is_other = site.is_some_and(|site| site != b"same-origin" && site != b"none");
    if is_other { Err(from_elsewhere()) } else { Ok(()) }
}

fn from_elsewhere() -> Problem {
    Problem::forbidden("requests from web pages of other sites are refused")
}

/// The host the request is addressed to: in HTTP/2 it stands in the address, before that in a header.
fn host_of(request: &Request) -> Option<String> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.as_str().to_owned());
    }
    // A host that is no text is no host of ours.
    request.headers().get(HOST).map(|host| host.to_str().unwrap_or("?").to_owned())
}

/// `[::1]:9119` → `::1`, `localhost:9119` → `localhost`.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}
