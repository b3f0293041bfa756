//! Texts from outside within Markdown: labels and answers can neither format, link, embed HTML nor break out.

use std::fmt::Write as _;

/// Characters of one text on a line.
const LINE_CHARS_MAX: usize = 300;

/// Characters that begin formatting, links, HTML, entities or table cells (CommonMark with GitHub's tables).
const SPECIAL: [char; 13] = ['\\', '`', '*', '_', '[', ']', '<', '>', '|', '~', '&', '#', '!'];

/// A text on one line, with everything that Markdown would read escaped. Not for the beginning of a line, where digits
/// and dashes would begin a list.
pub(super) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in crate::domain::timeline::one_line(text, LINE_CHARS_MAX).chars().filter(|c| !is_deceptive(*c)) {
        if SPECIAL.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A text of several lines, word for word, within a fence that it cannot close.
pub(super) fn block(text: &str) -> String {
    let text: String =
        text.chars().filter(|c| matches!(c, '\n' | '\t') || !(c.is_control() || is_deceptive(*c))).collect();
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}text\n{}\n{fence}", text.trim_end())
}

/// A table; cells are Markdown already.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for row in rows {
        writeln!(out, "| {} |", row.join(" | ")).expect("writing to a string cannot fail");
    }
    out
}

/// Characters without width, and those that turn the direction of text: they show something else than what is there.
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hostile_text_stays_a_text() {
        assert_eq!(line("a|b\n# c"), r"a\|b \# c");
        assert_eq!(line("<img src=x>"), r"\<img src=x\>");
        assert_eq!(line("[x](http://e) **b** `c`"), r"\[x\](http://e) \*\*b\*\* \`c\`");
        assert_eq!(line("![x](y)&amp;\\"), r"\!\[x\](y)\&amp;\\");
        assert_eq!(line("user\u{202e}gpj.exe\u{200b}"), "usergpj.exe");
    }

    #[test]
    fn a_fence_is_longer_than_any_within() {
        assert_eq!(block("a\nb\n"), "```text\na\nb\n```");
        assert_eq!(block("x\n`````\ny"), "``````text\nx\n`````\ny\n``````");
        assert_eq!(block("a\u{1b}[2Jb\u{202e}"), "```text\na[2Jb\n```");
    }

    proptest! {
        #[test]
        fn no_special_character_stands_bare(text in "\\PC{0,80}") {
            let escaped = line(&text);
            prop_assert!(!escaped.contains('\n'));
            let mut escaped_next = false;
            for c in escaped.chars() {
                prop_assert!(escaped_next || c == '\\' || !SPECIAL.contains(&c), "{escaped}");
                escaped_next = c == '\\' && !escaped_next;
            }
            prop_assert!(!escaped_next, "nothing ends in an open escape: {escaped}");
        }

        #[test]
        fn no_text_closes_its_fence(text in "[a`\n~]{0,200}") {
            let block = block(&text);
            let fence = block.split('t').next().expect("a fence").to_owned();
            let lines: Vec<&str> = block.lines().collect();
            let inside = &lines[1..lines.len() - 1];
            prop_assert!(inside.iter().all(|line| !line.trim_start().starts_with(&fence)), "{block}");
        }
    }
}
