//! What the diagnostics that probe over HTTP share: which URLs are allowed, one bounded request, what is expected.

use std::time::Duration;

use super::evidence::Unknown;
use super::{Moment, Tools};
use crate::clients::http::{HttpAnswer, HttpError, HttpRequest, Method, Url};
use crate::domain::catalog::{ParamsError, Slot, SlotLanguage};
use crate::domain::timeline::one_line;
use crate::params::{self, Statuses};

/// Longest time for one probe: a service that takes longer is not well either way.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// Kept back from the diagnostic's time, so that the probe's own error, which is the better one, comes first.
const ERROR_MARGIN: Duration = Duration::from_millis(250);

/// Longest URL in a rule.
const URL_BYTES_MAX: usize = 2_048;

/// Most values that one use may pick.
const PICKS_MAX: usize = 32;

/// Characters of an answer that are shown to people.
const EXCERPT_CHARS_MAX: usize = 300;

/// Names of fields that every finding has, and that probes have.
const TAKEN_NAMES: [&str; 5] = ["status", "text", "reason", "http_status", "latency_ms"];

/// Checks the `url` of a rule. The host stands in the rule: a label may never choose where a request goes.
pub(super) fn check_url(pointer: &str, url: &str) -> Result<Slot, ParamsError> {
    let fail = |message: &str| Err(ParamsError::at(pointer, message));
    params::text_within(pointer, url, URL_BYTES_MAX)?;
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return fail("a URL begins with `http://` or `https://`");
    };
    let host = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if params::is_template(host) {
        return fail("the host of a URL must stand in the rule: a label must not choose it");
    }
    if host.contains('@') {
        return fail("a URL in a rule holds no user or password: probe an address that needs none");
    }
    if !params::is_template(url) && Url::parse(url).is_err() {
        return fail("this is no URL");
    }
    Ok(Slot::new(pointer, SlotLanguage::Url))
}

/// Checks the names of picked values, which conditions read as fields.
pub(super) fn check_names<'n>(
    pointer: &str,
    names: impl ExactSizeIterator<Item = &'n String>,
) -> Result<Vec<String>, ParamsError> {
    params::count_within(pointer, names.len(), PICKS_MAX, "picks")?;
    let mut seen: Vec<String> = Vec::new();
    for name in names {
        let mut chars = name.chars();
        let first_fits = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
        let fits = first_fits && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let problem = match name {
            _ if !fits || name.len() > 64 => "is no name: use a to z, 0 to 9 and `_`, at most 64",
            name if TAKEN_NAMES.contains(&name.as_str()) => "is a field that the finding has already",
            name if seen.contains(name) => "is picked twice",
            name => {
                seen.push(name.clone());
                continue;
            }
        };
        return Err(ParamsError::at(pointer, format!("`{}` {problem}", one_line(name, 64))));
    }
    Ok(seen)
}

/// One request, whatever it answers.
pub(super) async fn send(
    tools: &Tools,
    method: Method,
    url: &str,
    answer_bytes_max: usize,
    moment: Moment<'_>,
) -> Result<HttpAnswer, HttpError> {
    let url = Url::parse(url).map_err(|_| HttpError::setup("the rendered URL is no URL"))?;
    let timeout = moment.timeout.saturating_sub(ERROR_MARGIN).max(ERROR_MARGIN);
    tools.probes.send(HttpRequest::new(method, url).timeout(timeout).answer_bytes_max(answer_bytes_max)).await
}

/// The whole body of an answer with an expected status; anything else is unknown.
pub(super) async fn document(
    tools: &Tools,
    url: &str,
    expected: &Statuses,
    bytes_max: usize,
    moment: Moment<'_>,
) -> Result<HttpAnswer, Unknown> {
    let answer = send(tools, Method::GET, url, bytes_max, moment).await?;
    let status = answer.status.as_u16();
    if !expected.contains(status) {
        return Err(Unknown::new(format!(
            "HTTP {status} where {expected} was expected: {}",
            excerpt(&answer)
        )));
    }
    if answer.truncated {
        return Err(Unknown::new(format!("the answer is longer than the {bytes_max} bytes that are read")));
    }
    Ok(answer)
}

/// The beginning of an answer, for people.
pub(super) fn excerpt(answer: &HttpAnswer) -> String {
    // Four bytes are the most that one character takes.
    let head = &answer.body[..answer.body.len().min(EXCERPT_CHARS_MAX * 4)];
    one_line(&String::from_utf8_lossy(head), EXCERPT_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_url_stands_in_the_rule() {
        for good in
            ["http://api.prod.svc/health", "https://[::1]:8080", "http://h/{{ labels.pod }}?a={{ labels.x }}"]
        {
            assert_eq!(check_url("/url", good), Ok(Slot::new("/url", SlotLanguage::Url)), "{good}");
        }
        for bad in [
            "",
            "api.prod.svc/health",
            "file:///etc/passwd",
            "http://{{ labels.instance }}/health",
            "http://h{% if labels.a %}x{% endif %}/",
            "http://u:p@h/",
            "https://{{ labels.user }}@h/",
            "http://",
            "http://h:99999/",
            &format!("http://h/{}", "x".repeat(3_000)),
        ] {
            assert!(check_url("/url", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_picks_can_be_read_by_conditions() {
        let check = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            check_names("/pick", names.iter()).map_err(|error| error.message)
        };
        assert_eq!(check(&["hit_ratio", "_x1"]), Ok(vec!["hit_ratio".to_owned(), "_x1".to_owned()]));
        for bad in [&["Upper"][..], &["1st"], &["a-b"], &[""], &["text"], &["http_status"], &["a", "a"], &[]]
        {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert!(check(&["ä\u{1b}b"]).is_err_and(|message| !message.contains('\u{1b}')));
        let many: Vec<String> = (0..40).map(|nth| format!("p{nth}")).collect();
        assert!(check_names("/pick", many.iter()).is_err());
    }
}
