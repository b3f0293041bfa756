//! Request parameters as Prometheus reads them: from the query string and, in a POST, from the form body as well.
//!
//! Rules and messages: prometheus.io/docs/prometheus/latest/querying/api and observed answers of Prometheus 2.

use std::collections::HashMap;

use axum::body::Bytes;
use http::{HeaderMap, Uri, header};
use jiff::Timestamp;

use crate::sandbox::form;

/// Points that one series of a range query may have.
pub(super) const MAX_POINTS: f64 = 11_000.0;
/// Characters of an expression that are looked at.
const MAX_QUERY_CHARS: usize = 10_000;

/// A parameter that cannot be used: HTTP 400, `bad_data`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadParameter(pub String);

/// The parameters of one request.
pub(super) struct Params(HashMap<String, String>);

impl Params {
    pub(super) fn of(uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Self {
        let mut values: HashMap<_, _> = form::decode(uri.query().unwrap_or_default()).into_iter().collect();
        let content_type =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if content_type.starts_with("application/x-www-form-urlencoded") {
            values.extend(form::decode(&String::from_utf8_lossy(body)));
        }
        Self(values)
    }

    pub(super) fn query(&self) -> Result<&str, BadParameter> {
        let query = self.0.get("query").map(String::as_str).unwrap_or_default();
        if query.chars().count() > MAX_QUERY_CHARS {
            return Err(BadParameter(format!(
                "invalid parameter \"query\": longer than {MAX_QUERY_CHARS} characters"
            )));
        }
        if query.trim().is_empty() {
            let text =
                "invalid parameter \"query\": unknown position: parse error: no expression found in input";
            return Err(BadParameter(text.to_owned()));
        }
        Ok(query)
    }

    /// The instant asked for, or now; in seconds since 1970.
    pub(super) fn time(&self, now: f64) -> Result<f64, BadParameter> {
        self.0.get("time").map_or(Ok(now), |text| instant("time", text))
    }

    /// Start, end and step of a range, in seconds.
    pub(super) fn range(&self) -> Result<(f64, f64, f64), BadParameter> {
        let text = |name: &str| self.0.get(name).map(String::as_str).unwrap_or_default();
        let (start, end) = (instant("start", text("start"))?, instant("end", text("end"))?);
        if end < start {
            return Err(BadParameter(
                "invalid parameter \"end\": end timestamp must not be before start time".into(),
            ));
        }
        let step = duration("step", text("step"))?;
        if step <= 0.0 {
            let text = "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. \
                        Try a positive integer";
            return Err(BadParameter(text.into()));
        }
        if (end - start) / step > MAX_POINTS {
            let text = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query \
                        resolution (?step=XX)";
            return Err(BadParameter(text.into()));
        }
        Ok((start, end, step))
    }

    /// How many series may come back; 0 is no limit.
    pub(super) fn limit(&self) -> Result<usize, BadParameter> {
        let Some(text) = self.0.get("limit") else { return Ok(0) };
        text.parse().map_err(|_| BadParameter(format!("invalid parameter \"limit\": cannot parse {text:?}")))
    }

    /// Checks `timeout`, which the stand-in needs not obey.
    pub(super) fn check_timeout(&self) -> Result<(), BadParameter> {
        self.0.get("timeout").map_or(Ok(()), |text| duration("timeout", text).map(drop))
    }
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 are exact in a double")]
fn instant(name: &str, text: &str) -> Result<f64, BadParameter> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    let rfc3339 = || text.parse::<Timestamp>().ok().map(|time| time.as_millisecond() as f64 / 1_000.0);
    number.or_else(rfc3339).ok_or_else(|| {
        BadParameter(format!("invalid parameter {name:?}: cannot parse {text:?} to a valid timestamp"))
    })
}

fn duration(name: &str, text: &str) -> Result<f64, BadParameter> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    let written = || promql_parser::util::parse_duration(text).ok().map(|duration| duration.as_secs_f64());
    number.or_else(written).ok_or_else(|| {
        BadParameter(format!("invalid parameter {name:?}: cannot parse {text:?} to a valid duration"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_params(query: &str) -> Params {
        let uri: Uri = format!("/api/v1/query_range?{query}").parse().expect("a URI");
        Params::of(&uri, &HeaderMap::new(), &Bytes::new())
    }

    #[test]
    fn times_are_seconds_or_rfc_3339_and_steps_numbers_or_durations() {
        let params = mk_params("start=1800000000.5&end=2027-01-15T08:00:10Z&step=1m30s");
        assert_eq!(params.range(), Ok((1_800_000_000.5, 1_800_000_010.0, 90.0)));
        assert_eq!(mk_params("start=1&end=2&step=0.5").range(), Ok((1.0, 2.0, 0.5)));
    }

    #[test]
    fn impossible_ranges_are_refused() {
        for query in [
            "",
            "start=1&end=2",
            "start=2&end=1&step=1",
            "start=1&end=2&step=0",
            "start=x&end=2&step=1",
            "start=0&end=11001&step=1",
        ] {
            assert!(mk_params(query).range().is_err(), "{query}");
        }
        assert!(mk_params("start=0&end=11000&step=1").range().is_ok());
        assert!(mk_params("limit=x").limit().is_err() && mk_params("timeout=soon").check_timeout().is_err());
    }

    #[test]
    fn a_form_body_adds_to_the_query_string() {
        let uri: Uri = "/api/v1/query?time=5".parse().expect("a URI");
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/x-www-form-urlencoded".parse().expect("a header"));
        let params = Params::of(&uri, &headers, &Bytes::from_static(b"query=up%7Bjob%3D%22a+b%22%7D"));
        assert_eq!((params.query(), params.time(0.0)), (Ok(r#"up{job="a b"}"#), Ok(5.0)));
        assert!(mk_params("query=+").query().is_err());
    }
}
