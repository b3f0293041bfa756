//! Makes text from outside fit to be shown: without anything that hides, reorders or piles up, and never too long.
//!
//! Labels, annotations, findings and error texts are written by whoever can raise an alert. What comes out of here is
//! plain text that is what it looks like; each destination escapes it for its own markup. Secrets are taken out
//! first, before anything is cut, since half a secret is no longer recognised as one.

use std::sync::LazyLock;

use regex::Regex;

use crate::domain::redact::Redactor;

/// Marks on one letter that are kept: three are enough for every written language, dozens are meant to cover the
/// lines above and below.
const MARKS_MAX: usize = 3;

/// Bytes of a text that are looked at. Nothing shows more than a fifth of it, and a flood of long labels must not make
/// every card slow.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Characters without a shape of their own: zero-width ones, direction controls, fillers, private use, controls.
/// Line breaks and tabs are among them and are turned into something visible before.
static SHAPELESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{Co}\u{2800}]").expect("a constant pattern")
});

/// White space and line breaks of every kind.
static SPACES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[\s\u{85}]+").expect("a constant pattern"));

/// What may stand for a line break.
static BREAKS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\r\n|[\n\r\u{0b}\u{0c}\u{85}\u{2028}\u{2029}]").expect("a constant pattern")
});

/// Piles of marks on one letter; the first few are kept.
static PILES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!(r"(\p{{M}}{{{MARKS_MAX}}})\p{{M}}+")).expect("a constant pattern"));

/// Reads text from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<'a> {
    redactor: &'a Redactor,
}

impl<'a> Words<'a> {
    pub(crate) fn new(redactor: &'a Redactor) -> Self {
        Self { redactor }
    }

    /// The text as one line.
    pub(crate) fn line(self, text: &str) -> String {
        let text = self.redactor.redact(beginning(text));
        tidy(SPACES.replace_all(&text, " ").trim())
    }

    /// The text with its line breaks, without empty lines at its ends. Tabs become spaces.
    pub(crate) fn lines(self, text: &str) -> Vec<String> {
        let text = self.redactor.redact(beginning(text));
        let text = text.replace('\t', "    ");
        let mut lines: Vec<String> = BREAKS.split(&text).map(|line| tidy(line.trim_end())).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        let first = lines.iter().position(|line| !line.is_empty()).unwrap_or(0);
        lines.split_off(first)
    }
}

/// The part of a text that is looked at. It ends between two words, so that no secret is cut in half before it is found.
fn beginning(text: &str) -> &str {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let part = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    part.rfind(char::is_whitespace).map_or(part, |end| &part[..end])
}

/// Drops what cannot be seen, and puts text that runs from right to left into a frame of its own, so that it does
/// not turn the words around it.
fn tidy(line: &str) -> String {
    let line = SHAPELESS.replace_all(line, "");
    let line = PILES.replace_all(&line, "$1");
    if line.chars().any(runs_from_the_right) {
        return format!("{ISOLATE}{line}{END_OF_ISOLATE}");
    }
    line.into_owned()
}

/// First strong isolate: what follows has the direction of its own first letter.
pub(crate) const ISOLATE: char = '\u{2068}';
/// Ends what [`ISOLATE`] began.
pub(crate) const END_OF_ISOLATE: char = '\u{2069}';

/// Whether a character belongs to a script that is written from right to left (the blocks that Unicode keeps for
/// them, assigned or not).
fn runs_from_the_right(c: char) -> bool {
    matches!(u32::from(c),
        0x0590..=0x08FF | 0xFB1D..=0xFDFF | 0xFE70..=0xFEFF | 0x1_0800..=0x1_0FFF | 0x1_E800..=0x1_EFFF)
}

/// Length as Slack and browsers count it: UTF-16 units. Never less than the number of characters.
pub(crate) fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Cuts to at most `units_max` UTF-16 units after `escape` was applied to each character; a cut is marked. An isolate
/// that was cut open is closed again.
pub(crate) fn cut_escaped(text: &str, units_max: usize, escape: fn(char) -> Escaped) -> String {
    let sum: usize = text.chars().map(|c| escape(c).units()).sum();
    let mut out = String::with_capacity(sum.min(units_max));
    // Room for the mark of the cut and the end of an isolate.
    let room = if sum <= units_max { units_max } else { units_max.saturating_sub(2) };
    let (mut used, mut open) = (0, 0_u32);
    for c in text.chars() {
        let escaped = escape(c);
        used += escaped.units();
        if used > room {
            out.push('…');
            if open > 0 {
                out.push(END_OF_ISOLATE);
            }
            break;
        }
        match c {
            ISOLATE => open += 1,
            END_OF_ISOLATE => open = open.saturating_sub(1),
            _ => {}
        }
        escaped.push_to(&mut out);
    }
    out
}

/// One character as it goes out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Escaped {
    /// As it is, or another character in its place.
    Char(char),
    /// Several characters in its place.
    Text(&'static str),
}

impl Escaped {
    fn units(self) -> usize {
        match self {
            Self::Char(c) => c.len_utf16(),
            Self::Text(text) => text.len(),
        }
    }

    fn push_to(self, out: &mut String) {
        match self {
            Self::Char(c) => out.push(c),
            Self::Text(text) => out.push_str(text),
        }
    }
}

/// For destinations without markup.
pub(crate) fn as_it_is(c: char) -> Escaped {
    Escaped::Char(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        Words::new(&Redactor::default()).line(text)
    }

    #[test]
    fn a_line_has_no_breaks_and_nothing_hidden() {
        assert_eq!(line(" a\r\n\tb\u{2028}c\u{0}d "), "a b cd");
        assert_eq!(line("pay\u{200b}ment\u{2060}\u{feff}\u{ad}"), "payment");
        assert_eq!(line("safe\u{202e}gnp.exe\u{2066}"), "safegnp.exe");
        assert_eq!(line("\u{3164}\u{2800}\u{e0041}\u{e000}x"), "x");
    }

    #[test]
    fn words_of_all_languages_stay() {
        assert_eq!(line("größer als Ελλάδα 日本語 ไม่ 🙂"), "größer als Ελλάδα 日本語 ไม่ 🙂");
        assert_eq!(line("שלום"), "\u{2068}שלום\u{2069}");
    }

    #[test]
    fn piles_of_marks_are_cut_down() {
        let zalgo = format!("a{}b", "\u{301}".repeat(50));
        assert_eq!(line(&zalgo), format!("a{}b", "\u{301}".repeat(MARKS_MAX)));
    }

    #[test]
    fn lines_keep_their_breaks_and_lose_empty_ends() {
        let redactor = Redactor::default();
        let lines = Words::new(&redactor).lines("\n\na\tb  \r\n\nc\u{85}d\n\n");
        assert_eq!(lines, ["a    b", "", "c", "d"]);
        assert_eq!(Words::new(&redactor).lines("\n \n"), Vec::<String>::new());
    }

    #[test]
    fn secrets_go_before_anything_else() {
        let redactor = Redactor::new(["hunter-two-and-a-half"]);
        let text = format!("{}hunter-two-and-a-half", "x".repeat(100));
        let line = cut_escaped(&Words::new(&redactor).line(&text), 110, as_it_is);
        assert!(!line.contains("hunter"), "{line}");
    }

    #[test]
    fn a_text_without_end_is_looked_at_up_to_the_end_of_a_word() {
        let secret = "hunter-two-and-a-half";
        let redactor = Redactor::new([secret]);
        // What is hidden takes up room, so the secret stands where the text is cut.
        let text = format!("{} {secret} and more", "\u{200b}".repeat((TEXT_BYTES_MAX - 10) / 3));
        assert_eq!(Words::new(&redactor).line(&text), "");
        assert_eq!(line(&"a ".repeat(100_000)).len(), TEXT_BYTES_MAX - 1);
    }

    #[test]
    fn a_cut_counts_units_marks_itself_and_closes_what_it_cut_open() {
        assert_eq!(cut_escaped("four", 4, as_it_is), "four");
        assert_eq!(cut_escaped("four!", 4, as_it_is), "fo…");
        assert_eq!(units(&cut_escaped("🙂🙂🙂🙂", 6, as_it_is)), 5);
        let rtl = line(&"ש".repeat(50));
        let cut = cut_escaped(&rtl, 10, as_it_is);
        assert!(cut.ends_with("…\u{2069}") && units(&cut) <= 10, "{cut:?}");
    }
}
