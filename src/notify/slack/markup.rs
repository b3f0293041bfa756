//! Slack's own markup ("mrkdwn"): the one door through which text from outside comes into a message.
//!
//! Slack reads `<`, `>` and `&` as control characters and wants exactly these three written as entities ("Formatting
//! text for app surfaces", docs.slack.dev). It has no way to escape `*`, `_`, `~` and backticks, so in running text
//! those are exchanged for characters that look alike; in code they stay, except the backtick, which would end it.
//! Text objects are sent `verbatim`, so that no bare word or address in them becomes a link or a mention.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clients::http::Url;
use crate::domain::redact::Redactor;
use crate::notify::words::{Escaped, Words, cut_escaped, units};

/// Longest address that is linked. Slack allows 3,000; an address of this length is no use to anybody at night.
const URL_UNITS_MAX: usize = 500;

/// Writes text from outside as mrkdwn. All limits count UTF-16 units of the escaped text, the strictest reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scribe<'a> {
    words: Words<'a>,
}

/// Lines of a code block, and whether something was left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CodeBlock {
    /// The block with its fences.
    pub(super) text: String,
    /// How many lines are not shown, or not whole.
    pub(super) lines_left_out: usize,
}

impl<'a> Scribe<'a> {
    pub(super) fn new(redactor: &'a Redactor) -> Self {
        Self { words: Words::new(redactor) }
    }

    /// Running text on one line. Never empty, so that it can stand between marks for bold.
    pub(super) fn prose(self, text: &str, units_max: usize) -> String {
        let line = soften(&self.words.line(text));
        match cut_escaped(&line, units_max, escape) {
            empty if empty.trim().is_empty() => "–".to_owned(),
            prose => prose,
        }
    }

    /// Running text with its line breaks, at most `lines_max` lines and each cut to `units_max`.
    pub(super) fn prose_lines(self, text: &str, lines_max: usize, units_max: usize) -> Vec<String> {
        let lines = self.words.lines(text);
        let left_out = lines.len().saturating_sub(lines_max);
        let mut written: Vec<String> =
            lines.iter().take(lines_max).map(|line| cut_escaped(&soften(line), units_max, escape)).collect();
        if left_out > 0 {
            written.push(format!("… {left_out} more lines"));
        }
        written
    }

    /// Inline code on one line: names and values that people copy.
    pub(super) fn code(self, text: &str, units_max: usize) -> String {
        let line = self.words.line(text);
        let code = cut_escaped(&line, units_max.saturating_sub(2), escape_in_code);
        if code.trim().is_empty() { "–".to_owned() } else { format!("`{code}`") }
    }

    /// A code block of at most `lines_max` lines and `units_max` units with its fences. `None` for nothing to show.
    pub(super) fn code_block(self, text: &str, lines_max: usize, units_max: usize) -> Option<CodeBlock> {
        const FENCES: usize = "```\n\n```".len();
        let lines = self.words.lines(text);
        let mut room = units_max.saturating_sub(FENCES);
        let mut shown = Vec::new();
        let mut whole = 0;
        for line in lines.iter().take(lines_max) {
            let escaped = cut_escaped(line, usize::MAX, escape_in_code);
            if units(&escaped) < room {
                room -= units(&escaped) + 1;
                whole += 1;
                shown.push(escaped);
            } else {
                // A single long line is better cut than left out.
                if room > 20 {
                    shown.push(cut_escaped(line, room - 1, escape_in_code));
                }
                break;
            }
        }
        if shown.is_empty() {
            return None;
        }
        let text = format!("```\n{}\n```", shown.join("\n"));
        Some(CodeBlock { text, lines_left_out: lines.len() - whole })
    }

    /// The lines of a text for a file, in which nothing is markup. Redacted like everything else.
    pub(super) fn plain_lines(self, text: &str) -> Vec<String> {
        self.words.lines(text)
    }

    /// A link under words of our own, or `None` for what is no plain web address.
    pub(super) fn link(self, address: &str, label: &str) -> Option<String> {
        let url = Url::parse(address.trim()).ok()?;
        let safe =
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        // The parser has percent-encoded spaces and control characters, and these four only in some places.
        let mut written = self.words.line(url.as_str());
        for (c, encoded) in [("|", "%7C"), ("<", "%3C"), (">", "%3E"), ("`", "%60"), ("&", "&amp;")] {
            written = written.replace(c, encoded);
        }
        (safe && units(&written) <= URL_UNITS_MAX).then(|| format!("<{written}|{label}>"))
    }

    /// The host of an address, for the words of a link to a place that we did not choose.
    pub(super) fn host(self, address: &str, units_max: usize) -> Option<String> {
        let url = Url::parse(address.trim()).ok()?;
        Some(cut_escaped(&self.words.line(url.host_str()?), units_max, escape))
    }
}

/// A moment in the reader's own time zone; where a client cannot show that, in UTC.
pub(super) fn moment(at: Timestamp) -> String {
    let fallback = at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC");
    format!("<!date^{}^{{date_short_pretty}} at {{time}}|{fallback}>", at.as_second())
}

/// The same with how long it is until then, or since, which Slack works out when it shows the message.
pub(super) fn moment_and_distance(at: Timestamp) -> String {
    let fallback = at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC");
    format!("<!date^{}^{{date_short_pretty}} at {{time}} ({{ago}})|{fallback}>", at.as_second())
}

/// Takes from running text what would format it. An underscore within a word does nothing, and names are full of
/// them, so only those at the edge of a word are exchanged.
fn soften(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut before: Option<char> = None;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        let inside =
            before.is_some_and(char::is_alphanumeric) && rest.peek().is_some_and(|c| c.is_alphanumeric());
        out.push(match c {
            '*' => '∗',
            '~' => '∼',
            '`' => 'ˋ',
            '_' if !inside => 'ˍ',
            other => other,
        });
        before = Some(c);
    }
    out
}

fn escape(c: char) -> Escaped {
    match c {
        '&' => Escaped::Text("&amp;"),
        '<' => Escaped::Text("&lt;"),
        '>' => Escaped::Text("&gt;"),
        c => Escaped::Char(c),
    }
}

fn escape_in_code(c: char) -> Escaped {
    match c {
        '`' => Escaped::Char('ˋ'),
        c => escape(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_scribe<T>(test: impl FnOnce(Scribe<'_>) -> T) -> T {
        test(Scribe::new(&Redactor::default()))
    }

    #[test]
    fn control_sequences_become_text() {
        let text = "<!channel> <@U123> <https://evil.example|https://bank.example> a && b";
        let prose = with_scribe(|scribe| scribe.prose(text, 500));
        let expected =
            "&lt;!channel&gt; &lt;@U123&gt; &lt;https://evil.example|https://bank.example&gt; a &amp;&amp; b";
        assert_eq!(prose, expected);
    }

    #[test]
    fn running_text_formats_nothing() {
        let prose = with_scribe(|scribe| scribe.prose("*x* _y_ ~z~ `c` error_ratio __name__", 500));
        assert_eq!(prose, "∗x∗ ˍyˍ ∼z∼ ˋcˋ error_ratio ˍˍnameˍˍ");
        assert_eq!(with_scribe(|scribe| scribe.prose(" \u{200b} ", 10)), "–");
    }

    #[test]
    fn code_keeps_everything_but_the_backtick() {
        assert_eq!(
            with_scribe(|scribe| scribe.code("rate(x[5m]) * 2 < `1`", 99)),
            "`rate(x[5m]) * 2 &lt; ˋ1ˋ`"
        );
        assert_eq!(with_scribe(|scribe| scribe.code("", 99)), "–");
        assert_eq!(with_scribe(|scribe| scribe.code("abcdef", 6)), "`ab…`");
    }

    #[test]
    fn a_code_block_cannot_be_left_and_says_what_is_missing() {
        let block = with_scribe(|scribe| scribe.code_block("a\n```\n*b*\nc\nd", 3, 100)).expect("a block");
        assert_eq!(block, CodeBlock { text: "```\na\nˋˋˋ\n*b*\n```".to_owned(), lines_left_out: 2 });
        let long = with_scribe(|scribe| scribe.code_block(&"<".repeat(1_000), 3, 100)).expect("a block");
        assert!(units(&long.text) <= 100 && long.lines_left_out == 1, "{long:?}");
        assert_eq!(with_scribe(|scribe| scribe.code_block("\n\u{200b}\n", 3, 100)), None);
    }

    #[test]
    fn a_link_leads_to_a_plain_web_address_or_nowhere() {
        let link = |address: &str| with_scribe(|scribe| scribe.link(address, "Runbook"));
        assert_eq!(
            link("https://wiki.example/a?b=1&c=|x>`#p").as_deref(),
            Some("<https://wiki.example/a?b=1&amp;c=%7Cx%3E%60#p|Runbook>")
        );
        assert_eq!(link("https://user:secret@wiki.example/"), None);
        assert_eq!(link("javascript:alert(1)"), None);
        assert_eq!(link("wiki"), None);
        assert_eq!(link(&format!("https://wiki.example/{}", "x".repeat(600))), None);
    }

    #[test]
    fn a_moment_has_a_fallback_in_utc() {
        let at: Timestamp = "2026-11-21T14:02:31Z".parse().expect("a time");
        assert_eq!(moment(at), "<!date^1795269751^{date_short_pretty} at {time}|2026-11-21 14:02 UTC>");
    }
}
