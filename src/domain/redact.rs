//! Takes secrets out of text before it is stored, logged or shown to anybody.
//!
//! Findings quote logs, error texts quote URLs, and both end up in a database, in Slack and on a dashboard.
//! Two nets are drawn through each text: the exact values of the secrets that this installation knows, and the
//! shapes that common credentials have. It errs towards taking too much: a masked word costs a glance, a leaked
//! token costs a rotation. It must never need more than linear time, as the text comes from outside.
//!
//! Rooms that know no secrets cut texts before they come here. So the beginning of a known value is taken too where it
//! stands before the mark of a cut: whoever cuts a text from outside ends it with [`CUT`].

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::{Captures, Regex};
use regex_automata::meta;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::{Input, PatternSet};

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Shortest known value that is searched for. A shorter one would hit ordinary words all over the text.
pub const KNOWN_SECRET_CHARS_MIN: usize = 4;

/// What stands where a text was cut.
pub const CUT: char = '…';

/// Characters of a known value whose loss to a cut is recognised. Nothing that is cut before it comes here is shown
/// longer to people, and a keyring may hold whole files.
const BEGINNING_CHARS_MAX: usize = 1_024;

/// One shape of a credential. The capture `keep`, where there is one, stays in the text: it names what was taken.
struct Shape {
    pattern: &'static str,
    /// Says for a hit whether it is harmless after all; sees the capture `value`.
    harmless: fn(&str) -> bool,
}

const fn always(pattern: &'static str) -> Shape {
    Shape { pattern, harmless: |_| false }
}

/// The shapes, in the order in which they are applied: whole blocks first, then pairs, then bare tokens.
const SHAPES: &[Shape] = &[
    // A private key in PEM; a cut-off one is taken to the end of the text.
    always(r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)"),
    // The end of one whose beginning was cut off, with the lines before it.
    always(r"(?:[A-Za-z0-9+/=]+(?:\\r|\\n|\s)+)*-----END [A-Z0-9 ]*PRIVATE KEY-----"),
    // User and password of a URL. The user goes too: tokens are often given as the user.
    always(r#"(?P<keep>://)[^/\s"'<>?#]+@"#),
    // The same without a scheme, as Go's drivers for databases take it: `user:password@tcp(host)/name`.
    always(r#"[^\s"'<>:@/=]+:[^\s"'<>@]+@(?:tcp|unix)\("#),
    // The same with a password that was cut off.
    always(r#"(?P<keep>://)[^/\s"'<>?#@:…]+:[^/\s"'<>?#@…]*…"#),
    // Headers whose whole value is a credential, up to the end of the line or the closing quote.
    always(concat!(
        r#"(?i-u:(?P<keep>\b(?:proxy-)?authorization(?:\\?["'])?[ \t]*[:=][ \t]*(?:\\?["'])?|"#,
        r#"\b(?:set-)?cookie(?:\\?["'])?[ \t]*[:=][ \t]*(?:\\?["'])?))[^\r\n"'\\]+"#
    )),
    // Schemes of the Authorization header, wherever they are quoted.
    Shape {
        pattern: r"(?P<keep>(?i-u:\b(?:bearer|basic))[ \t]+)(?P<value>[A-Za-z0-9._~+/=\-]{8,})",
        harmless: is_word_after_scheme,
    },
    // `password=…`, `"api_key": "…"`, `routing_key: …`, also inside an escaped JSON string.
    Shape {
        pattern: concat!(
            r"(?P<keep>(?i-u:passw(?:or)?d|passphrase|\bpwd|[_\-]pass|secret|token|api[_\-]?key|access[_\-]?key|",
            r"routing[_\-]?key|service[_\-]?key|integration[_\-]?key|private[_\-]?key|credentials?)",
            // Terminal colours may stand around the sign.
            r#"(?:\\?["'])?(?:\x1b\[[0-9;]*m)*[ \t]*[:=][ \t]*(?:\x1b\[[0-9;]*m)*)"#,
            r#"(?P<value>\\"[^"\\]+\\"|"(?:[^"\\]|\\.)+"|'[^']+'|[^\s"'\\,;&<>{}()\[\]\x1b]+)"#
        ),
        harmless: is_no_value,
    },
    // `--password …` on a command line, `requirepass …` in a Redis configuration.
    always(
        r"(?P<keep>(?i-u:--(?:[a-z\-]*)(?:password|token|secret|api-key)|\brequirepass|\bmasterauth)[ \t]+)\S+",
    ),
    // Slack: tokens of all kinds, and incoming webhook addresses.
    always(r"(?-u:\bx(?:ox[a-z]|app)(?:\.xox[a-z])?-[A-Za-z0-9\-]{8,})"),
    always(r"(?P<keep>hooks\.slack\.com/(?:services|workflows|triggers)/)[A-Za-z0-9_/\-]+"),
    // GitHub, GitLab, AWS, Google, Stripe, Vault.
    always(r"(?-u:\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_\-]{16,}))"),
    always(r"(?-u:\b(?:AKIA|ASIA|AGPA|AROA|AIDA|ANPA)[A-Z0-9]{16}\b)"),
    always(
        r"(?-u:\bAIza[0-9A-Za-z_\-]{30,}|\b[rs]k_(?:live|test)_[0-9A-Za-z]{16,}|\bhv[sb]\.[A-Za-z0-9_\-]{16,})",
    ),
    // JSON Web Tokens, with or without a signature.
    always(r"(?-u:\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*)?)"),
];

/// One pass over the text that says which shapes occur at all: nearly always none. What would look for their first
/// letters beforehand takes two megabytes, for words that are in every other line.
static SHAPE_SET: LazyLock<meta::Regex> = LazyLock::new(|| {
    let patterns: Vec<&str> = SHAPES.iter().map(|shape| shape.pattern).collect();
    let all = meta::Config::new()
        .match_kind(regex_automata::MatchKind::All)
        .which_captures(WhichCaptures::None)
        .auto_prefilter(false);
    let set = meta::Builder::new().configure(all).build_many(&patterns);
    set.expect("the shapes are constants covered by tests")
});

static SHAPE_REGEXES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let compile =
        |shape: &Shape| Regex::new(shape.pattern).expect("the shapes are constants covered by tests");
    SHAPES.iter().map(compile).collect()
});

/// Words that follow "bearer" or "basic" in prose.
fn is_word_after_scheme(value: &str) -> bool {
    const PROSE: &[&str] =
        &["authentication", "authorization", "authenticated", "credential", "credentials", "challenge"];
    PROSE.contains(&value.trim_end_matches(['.', '/', '-']).to_ascii_lowercase().as_str())
}

/// Values that say that there is none.
fn is_no_value(value: &str) -> bool {
    matches!(
        value.trim_matches(['"', '\'', '\\']),
        "null" | "none" | "None" | "nil" | "true" | "false" | REDACTED
    )
}

/// Masks secrets in text. Cheap to use, costly to build: keep one, and build anew when the known secrets change.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Option<AhoCorasick>,
    /// Beginnings of the known values, each with the mark of a cut after it.
    beginnings: Option<AhoCorasick>,
}

impl Redactor {
    /// Knows the common shapes and the given exact values.
    ///
    /// Each value is also found as it looks inside a JSON string and percent-encoded in a URL. Values shorter than
    /// [`KNOWN_SECRET_CHARS_MIN`] are left out.
    pub fn new<S: AsRef<str>>(known_secrets: impl IntoIterator<Item = S>) -> Self {
        let forms: BTreeSet<String> = known_secrets
            .into_iter()
            .filter(|secret| secret.as_ref().chars().count() >= KNOWN_SECRET_CHARS_MIN)
            .flat_map(|secret| spellings(secret.as_ref()))
            .collect();
        if forms.is_empty() {
            return Self::default();
        }
        let beginnings = forms.iter().flat_map(|form| beginnings(form));
        Self { beginnings: Some(finder(beginnings)), known: Some(finder(&forms)) }
    }

    /// The text with every secret replaced by [`REDACTED`]; the same text, not copied, where there is none.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        if let Some(beginnings) = self.beginnings.as_ref().filter(|_| text.contains(CUT)) {
            text = apply(text, |text| mask_known(beginnings, text));
        }
        if let Some(known) = &self.known {
            text = apply(text, |text| mask_known(known, text));
        }
        let mut hits = PatternSet::new(SHAPES.len());
        SHAPE_SET.which_overlapping_matches(&Input::new(text.as_ref()), &mut hits);
        for index in hits.iter() {
            let (shape, regex) = (&SHAPES[index], &SHAPE_REGEXES[index]);
            text = apply(text, |text| regex.replace_all(text, |hit: &Captures<'_>| replacement(shape, hit)));
        }
        text
    }
}

/// Finds any of these; the longest wins, so that a secret which begins with another one is taken whole.
fn finder<S: AsRef<[u8]>>(forms: impl IntoIterator<Item = S>) -> AhoCorasick {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(forms)
        .expect("only billions of states could fail, and the keyring bounds number and length of secrets")
}

/// What a cut leaves of a value, with the mark of the cut. The whole value is among it, since its end may look like its
/// beginning.
fn beginnings(form: &str) -> impl Iterator<Item = String> {
    let ends = form.char_indices().map(|(start, c)| start + c.len_utf8());
    let ends = ends.take(BEGINNING_CHARS_MAX).skip(KNOWN_SECRET_CHARS_MIN - 1);
    ends.map(|end| format!("{}{CUT}", &form[..end]))
}

fn mask_known<'t>(known: &AhoCorasick, text: &'t str) -> Cow<'t, str> {
    if !known.is_match(text) {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    known.replace_all_with(text, &mut masked, |_, found, out| {
        out.push_str(REDACTED);
        if found.ends_with(CUT) {
            out.push(CUT);
        }
        true
    });
    Cow::Owned(masked)
}

/// Never shows the values.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

fn replacement(shape: &Shape, hit: &Captures<'_>) -> String {
    if hit.name("value").is_some_and(|value| (shape.harmless)(value.as_str())) {
        return hit[0].to_owned();
    }
    let keep = hit.name("keep").map_or("", |kept| kept.as_str());
    let host_mark = if keep == "://" { "@" } else { "" };
    // Quotes around the value stay, so that JSON remains JSON.
    let (open, close) = hit.name("value").map_or(("", ""), |value| quotes(value.as_str()));
    format!("{keep}{open}{REDACTED}{close}{host_mark}")
}

fn quotes(value: &str) -> (&'static str, &'static str) {
    match value {
        v if v.starts_with("\\\"") => ("\\\"", "\\\""),
        v if v.starts_with('"') => ("\"", "\""),
        v if v.starts_with('\'') => ("'", "'"),
        _ => ("", ""),
    }
}

/// Runs one replacement, and keeps the borrow where nothing was replaced.
fn apply<'t>(text: Cow<'t, str>, replace: impl for<'a> Fn(&'a str) -> Cow<'a, str>) -> Cow<'t, str> {
    let replaced = match replace(&text) {
        Cow::Borrowed(_) => None,
        Cow::Owned(new) => Some(new),
    };
    replaced.map_or(text, Cow::Owned)
}

/// The ways in which a value is written: as it is, on one line, inside a JSON string, inside a JSON string that quotes
/// another one, inside a URL.
fn spellings(secret: &str) -> [String; 5] {
    let json = in_json(secret);
    let json_in_json = in_json(&json);
    let mut url = String::with_capacity(secret.len());
    for byte in secret.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
            _ => write!(url, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    let line = secret.split_whitespace().collect::<Vec<_>>().join(" ");
    [secret.to_owned(), line, json, json_in_json, url]
}

/// The text as it stands between the quotes of a JSON string.
fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests;
