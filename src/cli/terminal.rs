//! Makes texts from outside fit for a terminal: tables, and nothing in them that a terminal would obey.
//!
//! Labels, findings and error texts come from elsewhere. An escape sequence in one of them could clear the screen or
//! forge lines, and a character that turns the reading direction could make one word look like another.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

/// Columns between two cells.
const GAP: &str = "  ";

/// A text as one line that only shows: what a terminal would obey is written as an escape.
pub(super) fn line(text: &str) -> String {
    clean(text, |_| false)
}

/// A text that keeps its lines, each behind `indent`; otherwise as `line`.
pub(super) fn block(text: &str, indent: &str) -> String {
    let cleaned = clean(text.trim_end(), |char| char == '\n' || char == '\t');
    cleaned.lines().map(|line| format!("{indent}{line}\n")).collect()
}

fn clean(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for char in text.chars() {
        if (char.is_control() || is_invisible(char)) && !keep(char) {
            cleaned.extend(char.escape_default());
        } else {
            cleaned.push(char);
        }
    }
    cleaned
}

/// Characters that show nothing, or that change how others are shown: direction marks, joiners, byte order marks.
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Rows under their headings, aligned, without trailing blanks. Cells may come from outside.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    /// Adds a row; an empty cell shows as `-`, so that columns can still be counted.
    pub(super) fn row<'c>(&mut self, cells: impl IntoIterator<Item = &'c str>) {
        let shown = |cell: &str| if cell.is_empty() { "-".to_owned() } else { line(cell) };
        self.rows.push(cells.into_iter().map(shown).collect());
    }

    pub(super) fn show(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width_of = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width_of).collect();
        self.rows.iter().fold(String::new(), |mut shown, row| {
            let padded = row.iter().zip(&widths).map(|(cell, width)| {
                // `{:<width}` counts characters, not columns.
                format!("{cell}{}", " ".repeat(width - cell.width()))
            });
            let joined = padded.collect::<Vec<_>>().join(GAP);
            writeln!(shown, "{}", joined.trim_end()).expect("writing to a string cannot fail");
            shown
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_only_shown() {
        assert_eq!(line("a\u{1b}[2Jb\nc\u{9b}d"), "a\\u{1b}[2Jb\\nc\\u{9b}d");
        assert_eq!(line("api\u{202e}dorp\u{200b}"), "api\\u{202e}dorp\\u{200b}");
        assert_eq!(line("Überlast 東京 🚒"), "Überlast 東京 🚒");
    }

    #[test]
    fn a_block_keeps_its_lines_and_nothing_else() {
        assert_eq!(block("a\n\tb\r\n\u{7}c\n\n", "  "), "  a\n  \tb\\r\n  \\u{7}c\n");
    }

    #[test]
    fn a_table_is_aligned_by_columns_on_the_screen() {
        let mut table = Table::new(&["NAME", "WHAT"]);
        table.row(["東京", "wide"]);
        table.row(["", "no name"]);
        table.row(["a-long-name", ""]);
        assert_eq!(
            table.show(),
            "NAME         WHAT\n東京         wide\n-            no name\na-long-name  -\n"
        );
    }
}
