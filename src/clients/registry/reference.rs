//! References to images, as pods write them: `registry.example.com:5000/team/api:1.2@sha256:…`.
//!
//! A reference becomes part of an address, so that only what the grammar of references allows gets through.

use thiserror::Error;

/// The registry of a reference that names none, and where its images without an owner lie.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_LIBRARY: &str = "library";
/// Longest name of a repository, tag and reference, as the distribution specification has them.
const REPOSITORY_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;
const REFERENCE_BYTES_MAX: usize = 1_000;

/// Which image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    /// Host of the registry, with its port where it has one; `docker.io` where none is named.
    pub registry: String,
    /// Path within the registry.
    pub repository: String,
    /// The tag; `latest` where none is named.
    pub tag: String,
    /// The digest, which goes before the tag.
    pub digest: Option<String>,
}

/// This is no reference to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is no reference to an image, such as `registry.example.com/team/api:1.2`")]
pub struct NoReference;

impl ImageReference {
    /// Reads a reference.
    ///
    /// # Errors
    /// [`NoReference`].
    pub fn read(text: &str) -> Result<Self, NoReference> {
        if text.len() > REFERENCE_BYTES_MAX {
            return Err(NoReference);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, found)) => (rest, Some(digest(found).ok_or(NoReference)?.to_owned())),
            None => (text, None),
        };
        // A colon after the last slash begins a tag; one before it is that of a port.
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        let (registry, repository) = match path.split_once('/') {
            Some((first, repository)) if is_host(first) => (first.to_owned(), repository.to_owned()),
            Some(_) => (DOCKER_HUB.to_owned(), path.to_owned()),
            None => (DOCKER_HUB.to_owned(), format!("{DOCKER_LIBRARY}/{path}")),
        };
        let repository_fits =
            repository.len() <= REPOSITORY_BYTES_MAX && repository.split('/').all(is_component);
        let tag = tag.unwrap_or("latest");
        if !repository_fits || !is_tag(tag) {
            return Err(NoReference);
        }
        Ok(Self { registry, repository, tag: tag.to_owned(), digest })
    }
}

/// A digest, if it is one.
pub(super) fn digest(text: &str) -> Option<&str> {
    let (algorithm, hex) = text.split_once(':')?;
    let length = match algorithm {
        "sha256" => 64,
        "sha512" => 128,
        _ => return None,
    };
    let is_hex = hex.len() == length && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_hex.then_some(text)
}

/// Whether the first part of a path is a registry: only that has a dot or a port, or is the own machine.
fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "1"));
    let is_name = host
        .split('.')
        .all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    let looks_so = text.contains(['.', ':']) || text == "localhost";
    looks_so && is_name && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
}

/// Lower case letters and digits, with single separators between them.
fn is_component(text: &str) -> bool {
    let is_letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    is_letter(*first)
        && is_letter(*last)
        && !text.contains("..")
        && bytes.iter().all(|b| is_letter(*b) || matches!(b, b'.' | b'_' | b'-'))
}

fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|b| is_word(*b))
        && bytes.len() <= TAG_BYTES_MAX
        && bytes.iter().all(|b| is_word(*b) || matches!(b, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_pods_write_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let whole = format!("registry.example.com:5000/team/api:1.2@{digest}");
        for (text, registry, repository, tag) in [
            ("nginx", "docker.io", "library/nginx", "latest"),
            ("grafana/loki:3.1.0", "docker.io", "grafana/loki", "3.1.0"),
            ("quay.io/prometheus/prometheus:v3", "quay.io", "prometheus/prometheus", "v3"),
            ("localhost/api", "localhost", "api", "latest"),
            ("localhost:5000/api:x", "localhost:5000", "api", "x"),
            (&whole, "registry.example.com:5000", "team/api", "1.2"),
        ] {
            let read = ImageReference::read(text).expect(text);
            assert_eq!(
                (read.registry.as_str(), read.repository.as_str(), read.tag.as_str()),
                (registry, repository, tag)
            );
            assert_eq!(read.digest.is_some(), text.contains('@'));
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_reference() {
        for text in [
            "",
            "quay.io/",
            "quay.io/../admin",
            "quay.io/a/../../b",
            "quay.io/a?b=c",
            "quay.io/a#b",
            "quay.io/a%2fb",
            "quay.io//a",
            "user@quay.io/a",
            "quay.io/A",
            "quay.io/a:b c",
            "quay.io/a:",
            "quay.io/a@sha256:short",
            "https://quay.io/a",
            "quay.io:port/a",
            "a\nb",
            &"a/".repeat(600),
        ] {
            assert_eq!(ImageReference::read(text), Err(NoReference), "{text}");
        }
    }
}
