//! Keeps probes away from places that a rule must not reach.
//!
//! A probe's URL is rendered from labels, and labels are written by whoever writes alerts. Cloud metadata
//! services hand out credentials to any caller on the machine, and loopback holds services that trust it. The
//! check runs on the addresses that the connection will really use: [`GuardedResolver`] hands the addresses it
//! checked to the connector, so that a name cannot resolve to one address for the check and to another for the
//! connection. Private networks stay reachable; that is where the probed services live.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

/// Names under which clouds serve instance metadata.
const METADATA_NAMES: [&str; 5] =
    ["metadata", "metadata.goog", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"];

/// Metadata and host-agent addresses outside the link-local range: Alibaba Cloud, Azure, Oracle Cloud.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// Metadata addresses of AWS and Google Cloud in IPv6.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// Why an address or a name is out of bounds for probes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Forbidden {
    /// Not `http` or `https`, or without a host.
    #[error("only http and https URLs with a host are probed")]
    Scheme,
    /// A name of a metadata service.
    #[error("{0} is the name of a metadata service")]
    MetadataName(String),
    /// An address in a range that is out of bounds.
    #[error("{address} is {range}")]
    Address {
        /// The address, as resolved or written.
        address: IpAddr,
        /// What the range is.
        range: &'static str,
    },
}

/// A name without an address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the name {name} cannot be resolved: {reason}")]
pub struct Unresolved {
    /// The name.
    pub name: String,
    /// The resolver's words.
    pub reason: String,
}

/// Checks what can be known before resolving: scheme, name, and addresses written into the URL.
pub fn check_url(url: &Url, loopback: bool) -> Result<(), Forbidden> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Forbidden::Scheme);
    }
    let host = url.host_str().ok_or(Forbidden::Scheme)?;
    // The URL parser has already turned forms such as `0x7f.1` or `2130706433` into dotted addresses.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse() {
        Ok(address) => check_address(address, loopback),
        Err(_) => check_name(host),
    }
}

fn check_name(host: &str) -> Result<(), Forbidden> {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    if METADATA_NAMES.contains(&name.as_str()) {
        return Err(Forbidden::MetadataName(name));
    }
    Ok(())
}

/// Checks one address; `loopback` lets the own machine through.
pub fn check_address(address: IpAddr, loopback: bool) -> Result<(), Forbidden> {
    let range = match address {
        IpAddr::V4(v4) => range_of_v4(v4, loopback),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => range_of_v4(v4, loopback),
            None => range_of_v6(v6, loopback),
        },
    };
    range.map_or(Ok(()), |range| Err(Forbidden::Address { address, range }))
}

fn range_of_v4(address: Ipv4Addr, loopback: bool) -> Option<&'static str> {
    if address.is_loopback() {
        return (!loopback).then_some("loopback");
    }
    match address.octets() {
        _ if METADATA_V4.contains(&address) => Some("a metadata service"),
        [169, 254, ..] => Some("link-local, where metadata services live"),
        [0, ..] => Some("unspecified"),
        [224..=239, ..] => Some("multicast"),
        [240..=255, ..] => Some("reserved or broadcast"),
        _ => None,
    }
}

fn range_of_v6(address: Ipv6Addr, loopback: bool) -> Option<&'static str> {
    if address.is_loopback() {
        return (!loopback).then_some("loopback");
    }
    if address.is_unspecified() {
        Some("unspecified")
    } else if METADATA_V6.contains(&address) {
        Some("a metadata service")
    } else if address.is_unicast_link_local() {
        Some("link-local")
    } else if address.is_multicast() {
        Some("multicast")
    } else {
        None
    }
}

/// The IPv4 address inside mapped, compatible, NAT64 and 6to4 addresses: a way around the table otherwise.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        // `::` and `::1` are IPv6's own and not compatible addresses.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// Resolves names and refuses them as soon as one of their addresses is out of bounds.
#[derive(Debug, Clone, Copy)]
pub struct GuardedResolver {
    loopback: bool,
}

impl GuardedResolver {
    /// `loopback` lets the own machine through.
    pub fn new(loopback: bool) -> Self {
        Self { loopback }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let loopback = self.loopback;
        Box::pin(async move {
            check_name(name.as_str())?;
            // The port is put in by the connector.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0))
                .await
                .map_err(|error| Unresolved { name: name.as_str().to_owned(), reason: error.to_string() })?
                .collect();
            screen(&found, loopback)?;
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// Why a host is not reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is out of bounds.
    Forbidden(Forbidden),
    /// Its name has no address.
    Unresolved(Unresolved),
}

/// The addresses of a host for a connection of our own, all of them let through; `loopback` lets the own machine through.
///
/// # Errors
/// [`Refusal`].
pub async fn resolve(host: &str, port: u16, loopback: bool) -> Result<Vec<SocketAddr>, Refusal> {
    check_name(host).map_err(Refusal::Forbidden)?;
    let unresolved = |reason: String| Refusal::Unresolved(Unresolved { name: host.to_owned(), reason });
    let found = tokio::net::lookup_host((host, port)).await;
    let found: Vec<SocketAddr> = found.map_err(|error| unresolved(error.to_string()))?.collect();
    screen(&found, loopback).map_err(Refusal::Forbidden)?;
    if found.is_empty() { Err(unresolved("it has no address".to_owned())) } else { Ok(found) }
}

/// All or nothing: a name with one forbidden address among good ones is a trick or a mistake.
fn screen(found: &[SocketAddr], loopback: bool) -> Result<(), Forbidden> {
    found.iter().try_for_each(|socket| check_address(socket.ip(), loopback))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().expect("a URL")
    }

    #[test]
    fn places_that_hand_out_credentials_are_out_of_bounds() {
        for text in [
            "http://169.254.169.254/latest/meta-data/",
            "http://169.254.170.2/v2/credentials",
            "http://[::ffff:169.254.169.254]/",
            "http://[::169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[2002:a9fe:a9fe::1]/",
            "http://[fd00:ec2::254]/",
            "http://[fe80::1]/",
            "http://metadata.google.internal/computeMetadata/v1/",
            "http://METADATA.google.internal./",
            "http://metadata/",
            "http://instance-data/",
            "http://100.100.100.200/",
            "http://168.63.129.16/",
            "http://0.0.0.0:9090/",
            "http://0/",
            "http://[::]/",
            "http://255.255.255.255/",
            "http://224.0.0.1/",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "ftp://example.com/",
            "file:///etc/passwd",
        ] {
            assert!(check_url(&url(text), true).is_err(), "{text} was let through");
        }
    }

    #[test]
    fn loopback_needs_the_setting() {
        for text in ["http://127.0.0.1/", "http://127.9.9.9/", "http://[::1]/", "http://[::ffff:127.0.0.1]/"]
        {
            assert!(check_url(&url(text), false).is_err(), "{text} was let through");
            assert_eq!(check_url(&url(text), true), Ok(()), "{text} was refused");
        }
    }

    #[test]
    fn services_in_the_cluster_and_outside_stay_reachable() {
        for text in [
            "http://10.0.0.7:8080/health",
            "http://192.168.1.1/",
            "http://172.16.0.1/",
            "https://example.com/",
            "http://api.prod.svc.cluster.local/",
            "http://[2001:db8::1]/",
            "http://[fd12:3456::1]/",
        ] {
            assert_eq!(check_url(&url(text), false), Ok(()), "{text} was refused");
        }
    }

    #[test]
    fn one_forbidden_address_among_good_ones_refuses_the_name() {
        let good: SocketAddr = "10.0.0.1:0".parse().expect("an address");
        let bad: SocketAddr = "169.254.169.254:0".parse().expect("an address");
        assert_eq!(screen(&[good], false), Ok(()));
        assert!(screen(&[good, bad], false).is_err());
    }
}
