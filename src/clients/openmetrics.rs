//! Reads the text that `/metrics` pages serve, for `http.metrics`.
//!
//! Written here because none of the crates fits: `prometheus-parse` 0.2 cuts labels at every comma, equals sign
//! and closing brace, quoted or not, and drops such series silently; `prometheus-scrape` stands still since
//! 2018; `openmetrics-parser` is LGPL. Only what picking a value needs is read: series with labels and values,
//! of Prometheus' text format and of OpenMetrics, with quoted UTF-8 names. Comments, types, timestamps and
//! exemplars are skipped. A line that cannot be read is counted and the others are kept, because a probe of a
//! half-broken page should still find its number.

use std::collections::BTreeMap;
use std::fmt;

use crate::domain::matcher::{LabelSource, Matchers};

/// Series that are kept of one page; a large exporter has some ten thousand.
pub const SERIES_MAX: usize = 50_000;

/// A page of metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposition {
    /// The series in the page's order.
    pub series: Vec<Series>,
    /// Lines that could not be read.
    pub bad_lines: usize,
    /// Whether there were more than [`SERIES_MAX`] series.
    pub truncated: bool,
}

/// A series and its value. Matchers see its name as the label `__name__`.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The name of the metric.
    pub name: String,
    /// The labels; where a name occurs twice, the last one counts.
    pub labels: BTreeMap<String, String>,
    /// The value; may be NaN or infinite.
    pub value: f64,
}

impl LabelSource for Series {
    fn label(&self, name: &str) -> Option<&str> {
        match name {
            "__name__" => Some(&self.name),
            _ => self.labels.get(name).map(String::as_str),
        }
    }
}

/// As the page writes it: `name{label="value"}`, labels sorted.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (index, (name, value)) in self.labels.iter().enumerate() {
            let open = if index == 0 { "{" } else { "," };
            let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            write!(f, "{open}{name}=\"{escaped}\"")?;
        }
        f.write_str(if self.labels.is_empty() { "" } else { "}" })
    }
}

impl Exposition {
    /// The series that all matchers match, in the page's order.
    pub fn select<'a>(&'a self, matchers: &'a Matchers) -> impl Iterator<Item = &'a Series> {
        self.series.iter().filter(|series| matchers.matches(*series))
    }
}

/// Reads a page.
pub fn parse(page: &str) -> Exposition {
    let mut exposition = Exposition::default();
    for line in page.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_line(line) {
            None => exposition.bad_lines += 1,
            Some(_) if exposition.series.len() == SERIES_MAX => exposition.truncated = true,
            Some(series) => exposition.series.push(series),
        }
    }
    exposition
}

/// `name{labels} value [timestamp] [# exemplar]`, or `{"name",labels} value …`.
fn parse_line(line: &str) -> Option<Series> {
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let mut name = line[..end].to_owned();
    let mut rest = line[end..].trim_start();
    let mut labels = BTreeMap::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            inside = inside.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if let Some(after) = inside.strip_prefix('}') {
                rest = after;
                break;
            }
            let (key, after) = parse_key(inside)?;
            let after = after.trim_start();
            inside = match after.strip_prefix('=') {
                Some(after) => {
                    let (value, after) = parse_quoted(after.trim_start())?;
                    labels.insert(key, value);
                    after
                }
                // A quoted name without a value is the metric's own name.
                None if name.is_empty() => {
                    name = key;
                    after
                }
                None => return None,
            };
        }
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    (!name.is_empty()).then_some(Series { name, labels, value })
}

fn parse_key(text: &str) -> Option<(String, &str)> {
    if text.starts_with('"') {
        return parse_quoted(text);
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

/// A text in double quotes with the escapes `\\`, `\"` and `\n`, and what follows it.
fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let inside = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut chars = inside.char_indices();
    while let Some((index, char)) = chars.next() {
        match char {
            '"' => return Some((value, &inside[index + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('"' | '\\') => value.push(escaped),
                // Prometheus takes an unknown escape as it stands.
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::domain::matcher::{ParseMode, parse as parse_matchers};

    use super::*;

    const PAGE: &str = r#"# HELP http_requests_total Requests by path, code.
# TYPE http_requests_total counter
http_requests_total{path="/a,b",query="x=1",code="200"} 1027 1395066363000
http_requests_total{path="/re{2}", code="500",} 3
cache_hit_ratio 0.97
latency_bucket{le="+Inf"} 144320 # {trace_id="x"} 0.5 1520879607.789
weird{msg="say \"hi\" \\ and\nnew\t"} NaN
{"utf8.name",tier="gold"} +Inf
# EOF
"#;

    fn select(matchers: &str) -> Vec<String> {
        let page = parse(PAGE);
        let matchers = parse_matchers(matchers, ParseMode::Fallback).expect("matchers");
        page.select(&matchers).map(|series| format!("{series} {}", series.value)).collect()
    }

    #[test]
    fn quoted_separators_do_not_cut_labels() {
        assert_eq!(
            select(r#"{path="/a,b"}"#),
            [r#"http_requests_total{code="200",path="/a,b",query="x=1"} 1027"#]
        );
        assert_eq!(select(r#"{path=~"/re.*"}"#), [r#"http_requests_total{code="500",path="/re{2}"} 3"#]);
    }

    #[test]
    fn series_are_picked_by_name_and_by_label_regex() {
        assert_eq!(select(r#"{__name__=~"cache_.*"}"#), ["cache_hit_ratio 0.97"]);
        assert_eq!(select(r#"{__name__="http_requests_total",code=~"5.."}"#).len(), 1);
        assert_eq!(select(r#"{__name__="utf8.name",tier="gold"}"#), [r#"utf8.name{tier="gold"} inf"#]);
        assert_eq!(select(r#"{__name__="latency_bucket"}"#), [r#"latency_bucket{le="+Inf"} 144320"#]);
    }

    #[test]
    fn escapes_are_undone_when_read_and_redone_when_shown() {
        let page = parse(PAGE);
        let weird = page.series.iter().find(|series| series.name == "weird").expect("a series");
        assert_eq!(weird.labels["msg"], "say \"hi\" \\ and\nnew\\t");
        assert!(weird.value.is_nan());
        assert_eq!(weird.to_string(), r#"weird{msg="say \"hi\" \\ and\nnew\\t"}"#);
    }

    #[test]
    fn a_broken_line_is_counted_and_the_others_are_kept() {
        let page = parse(
            "good 1\nno_value\nno_number x\nopen{a=\"b\nopen{a\nopen{a=b} 1\n{} 1\n{a=\"b\"} 1\nü{=\"\"} 2\nalso_good{} 2\r\n",
        );
        let names: Vec<_> = page.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!((names, page.bad_lines), (vec!["good", "also_good"], 8));
        assert_eq!(parse(""), Exposition::default());
    }

    #[test]
    fn a_page_without_end_is_cut() {
        let page = parse(&"x 1\n".repeat(SERIES_MAX + 5));
        assert_eq!((page.series.len(), page.truncated), (SERIES_MAX, true));
    }
}
