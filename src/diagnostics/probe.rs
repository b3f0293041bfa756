//! What the diagnostics that probe over HTTP share: which URLs are allowed, one bounded request, what is expected.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::evidence::{Unknown, one_line};
use super::{Moment, Tools};
use crate::clients::http::{HttpAnswer, HttpError, HttpRequest, Method, Url};
use crate::domain::catalog::{ParamsError, Slot, SlotLanguage};
use crate::params;

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
    moment: Moment,
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
    moment: Moment,
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

/// Which status codes are good: `200`, `2xx`, or a list of such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statuses(Vec<StatusPattern>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatusPattern {
    /// Exactly this code.
    Code(u16),
    /// All codes that begin with this digit.
    Class(u16),
}

impl Statuses {
    pub(super) fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|pattern| match pattern {
            StatusPattern::Code(code) => *code == status,
            StatusPattern::Class(class) => status / 100 == *class,
        })
    }
}

/// Any 2xx. A redirect is not followed and is not good by itself: it may lead to a login page.
impl Default for Statuses {
    fn default() -> Self {
        Self(vec![StatusPattern::Class(2)])
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { " or " })?;
            match pattern {
                StatusPattern::Code(code) => write!(f, "{code}")?,
                StatusPattern::Class(class) => write!(f, "{class}xx")?,
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusesVisitor)
    }
}

impl<'de> Deserialize<'de> for StatusPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let statuses = Statuses::deserialize(deserializer)?;
        statuses.0.first().copied().ok_or_else(|| de::Error::custom("an empty list is no status"))
    }
}

struct StatusesVisitor;

impl<'de> Visitor<'de> for StatusesVisitor {
    type Value = Statuses;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a status such as 200 or `2xx`, or a list of them")
    }

    fn visit_u64<E: de::Error>(self, code: u64) -> Result<Statuses, E> {
        match u16::try_from(code) {
            Ok(code @ 100..=599) => Ok(Statuses(vec![StatusPattern::Code(code)])),
            _ => Err(E::custom(format!("{code} is no HTTP status: use 100 to 599"))),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Statuses, E> {
        match text.to_ascii_lowercase().as_bytes() {
            [digit @ b'1'..=b'5', b'x', b'x'] => {
                Ok(Statuses(vec![StatusPattern::Class(u16::from(digit - b'0'))]))
            }
            _ => text
                .parse()
                .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
                .and_then(|code| self.visit_u64(code)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Statuses, A::Error> {
        let mut patterns = Vec::new();
        while let Some(pattern) = list.next_element()? {
            patterns.push(pattern);
        }
        match patterns.len() {
            1..=16 => Ok(Statuses(patterns)),
            count => Err(de::Error::invalid_length(count, &"1 to 16 statuses")),
        }
    }
}

impl JsonSchema for Statuses {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Statuses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": "^[1-5][xX]{2}$|^[1-5][0-9]{2}$" },
        ] });
        json_schema!({
            "description": "A status such as 200 or `2xx`, or a list of them.",
            "anyOf": [one, { "type": "array", "items": one, "minItems": 1, "maxItems": 16 }],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn statuses(value: Value) -> Result<Statuses, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn statuses_are_codes_classes_or_lists() {
        let read = |value| statuses(value).expect("statuses");
        assert!(read(json!(200)).contains(200) && !read(json!(200)).contains(204));
        assert!(read(json!("2xx")).contains(204) && read(json!("2XX")).contains(299));
        let several = read(json!([200, "503", "3xx"]));
        assert!([200, 503, 301].iter().all(|code| several.contains(*code)) && !several.contains(500));
        assert_eq!(several.to_string(), "200 or 503 or 3xx");
        assert!(Statuses::default().contains(204) && !Statuses::default().contains(302));
        for bad in
            [json!(99), json!(600), json!("6xx"), json!("ok"), json!([]), json!([[]]), json!(-1), json!(null)]
        {
            assert!(statuses(bad.clone()).is_err(), "{bad}");
        }
    }

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
