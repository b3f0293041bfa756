//! Words that do not belong in the repository: it speaks of the product alone.
//!
//! The words are put together from two halves, so that this file does not hold them.

use crate::tree::{Finding, Tree};

/// What must not be said, in two halves, and why.
const WORDS: &[(&str, &str, &str)] = &[
    ("/wo", "rk/", "a path of one machine"),
    ("/ho", "me/", "a path of one machine"),
    ("/Us", "ers/", "a path of one machine"),
    ("SESSION", "_ID", "the way in which something was made"),
    ("sub", "agent", "the way in which something was made"),
    ("lang", "uage model", "the way in which something was made"),
    ("anth", "ropic", "the way in which something was made"),
    ("clau", "de", "the way in which something was made"),
    ("open", "ai", "the way in which something was made"),
    ("chat", "gpt", "the way in which something was made"),
    ("copi", "lot", "the way in which something was made"),
    ("issue", " 2", "a number that readers cannot look up"),
    ("crates", ".io", "a package registry: name the package alone"),
    ("pypi", ".org", "a package registry: name the package alone"),
    ("npmjs", ".", "a package registry: name the package alone"),
    ("FIX", "ME", "fix it, or write down as a sentence what is missing and why"),
    ("XX", "X:", "fix it, or write down as a sentence what is missing and why"),
    ("TO", "DO:", "do it, or write down as a sentence what is missing and why"),
];

/// Files that are written by tools and hold such words for good reason.
const WRITTEN_BY_TOOLS: [&str; 1] = ["Cargo.lock"];

/// Lines that hold such words.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let files = tree.files.iter().filter(|file| !WRITTEN_BY_TOOLS.contains(&file.path.as_str()));
    files.flat_map(|file| words_of(&file.path, &file.text)).collect()
}

fn words_of(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        for (first, second, why) in WORDS {
            let word = format!("{first}{second}");
            if is_said(&lower, &word.to_lowercase()) {
                let message = format!("`{word}` does not belong here ({why}): say it without");
                findings.push(Finding::at(path, index + 1, message));
            }
        }
    }
    findings
}

/// Whether a word stands in a line by itself, not as part of a longer one.
fn is_said(line: &str, word: &str) -> bool {
    let borders = |at: usize| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric());
        let begins = word.starts_with('/') || !is_letter(before);
        let ends = !word.ends_with(char::is_alphanumeric) || !is_letter(after);
        begins && ends
    };
    line.match_indices(word).any(|(at, _)| borders(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_found_whatever_its_case_and_only_by_itself() {
        for (first, second, _) in WORDS {
            let line = format!("see {}{} there", first.to_uppercase(), second);
            assert!(!words_of("a.md", &line).is_empty(), "{first}…{second}");
        }
        for line in ["a tissue 2", "an open aim", "to do: nothing", "copilots of a plane"] {
            assert_eq!(words_of("a.md", line), [], "{line}");
        }
    }
}
