//! Text from outside, made fit for a drawing: one line, cut, of characters that our font has, and escaped.

use crate::domain::timeline::one_line;

/// Stands for a character that our font does not have.
const UNKNOWN: char = '\u{fffd}';

/// Ranges of characters that the font has; the test holds them to the file.
pub(super) const KNOWN: [(char, char); 15] = [
    (' ', '~'),
    ('\u{a0}', '\u{17f}'),
    ('\u{391}', '\u{3a1}'),
    ('\u{3a3}', '\u{3a9}'),
    ('\u{3b1}', '\u{3c9}'),
    ('\u{400}', '\u{45f}'),
    ('\u{2010}', '\u{2015}'),
    ('\u{2018}', '\u{201e}'),
    ('\u{2022}', '\u{2022}'),
    ('\u{2026}', '\u{2026}'),
    ('\u{2030}', '\u{2030}'),
    ('\u{20ac}', '\u{20ac}'),
    ('\u{2190}', '\u{2193}'),
    ('\u{2212}', '\u{2212}'),
    ('\u{fffd}', '\u{fffd}'),
];

/// A text of at most so many characters, ready to stand between tags or in an attribute. What the font does not have,
/// and with it whatever XML forbids or would turn the direction of writing, becomes a mark of its own.
pub(super) fn escaped(text: &str, chars_max: usize) -> String {
    one_line(text, chars_max).chars().map(|c| if is_known(c) { c } else { UNKNOWN }).fold(
        String::new(),
        |mut escaped, c| {
            match c {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&#39;"),
                // It shows nothing, and shows where a word was cut in two.
                '\u{ad}' => escaped.push('-'),
                other => escaped.push(other),
            }
            escaped
        },
    )
}

fn is_known(c: char) -> bool {
    KNOWN.iter().any(|(first, last)| (*first..=*last).contains(&c))
}
