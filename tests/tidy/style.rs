//! The form of files: sizes, headers, what product code must not say, white space.

use crate::rust_code::RustFile;
use crate::tree::{Finding, TextFile, Tree};

/// Longest file, test code not counted. Beyond it a file tells more than one story.
const LINES_MAX: usize = 500;
/// Longest file of tests. Beyond it nobody finds the test that broke.
const TEST_LINES_MAX: usize = 900;
/// Files that may be longer, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// What code of the product must not say, and the way out.
const WORDS: &[(&str, &str)] = &[
    (".unwrap()", "say why it cannot be with `expect(\"…\")`, or return an error"),
    (".unwrap_err()", "match on the result"),
    ("todo!", "finish it, or leave it out"),
    ("unimplemented!", "finish it, or leave it out"),
    ("dbg!", "remove it, or log with `tracing`"),
    ("#![allow", "allow at the one place that needs it"),
];

/// What no code may say, tests included.
const WORDS_ANYWHERE: &[(&str, &str)] =
    &[("#[ignore", "a test that does not run proves nothing: make it run, or remove it")];

/// Everything about the form of Rust files.
pub fn check(files: &[RustFile]) -> Vec<Finding> {
    files.iter().flat_map(|file| [header(file), size(file), words(file), attributes(file)].concat()).collect()
}

fn header(file: &RustFile) -> Vec<Finding> {
    if file.text.starts_with("//! ") {
        return Vec::new();
    }
    let message = "the file does not begin with `//! `: say what it is for and what it must never do";
    vec![Finding::at(&file.path, 1, message)]
}

fn size(file: &RustFile) -> Vec<Finding> {
    if LONG_FILES.iter().any(|(path, _)| *path == file.path) {
        return Vec::new();
    }
    let (lines, most) = match file.lines_without_tests() {
        0 => (file.text.lines().count(), TEST_LINES_MAX),
        lines => (lines, LINES_MAX),
    };
    if lines <= most {
        return Vec::new();
    }
    let message = format!("{lines} lines, and {most} is the most: give a part of it a file of its own");
    vec![Finding::at(&file.path, most + 1, message)]
}

fn words(file: &RustFile) -> Vec<Finding> {
    let in_product = WORDS.iter().map(|word| (word, false));
    let anywhere = WORDS_ANYWHERE.iter().map(|word| (word, true));
    let mut findings = Vec::new();
    for ((word, way_out), in_tests) in in_product.chain(anywhere) {
        for position in file.positions(word).filter(|at| in_tests || !file.is_test_at(*at)) {
            let message = format!("`{word}`: {way_out}");
            findings.push(Finding::in_text(&file.path, &file.code, position, message));
        }
    }
    findings
}

/// Attributes that switch a lint off without saying why.
fn attributes(file: &RustFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for word in ["#[allow(", "#[expect(", "#![allow("] {
        for position in file.positions(word) {
            let rest = &file.code[position..];
            let attribute = &rest[..rest.find(")]").unwrap_or(rest.len())];
            if !attribute.contains("reason =") {
                let message = format!("`{word}…)]` without a reason: add `, reason = \"…\"`");
                findings.push(Finding::in_text(&file.path, &file.code, position, message));
            }
        }
    }
    findings
}

/// White space at line ends, tabs in Rust, wrong line ends, a missing last line end.
pub fn whitespace(tree: &Tree) -> Vec<Finding> {
    // Snapshots and recorded requests are kept as they came.
    let kept = |file: &&TextFile| !file.path.ends_with(".snap") && !file.path.contains("/fixtures/");
    tree.files.iter().filter(kept).flat_map(|file| whitespace_of(&file.path, &file.text)).collect()
}

fn whitespace_of(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        if line.ends_with('\r') {
            findings.push(Finding::at(path, index + 1, "a carriage return: save with line ends of Unix"));
        } else if line.ends_with([' ', '\t']) {
            findings.push(Finding::at(path, index + 1, "white space at the end of the line: remove it"));
        }
        if path.ends_with(".rs") && line.contains('\t') {
            findings.push(Finding::at(path, index + 1, "a tab: run `cargo fmt`"));
        }
        if let Some(hidden) = line.chars().find(|c| is_hidden(*c)) {
            let message =
                format!("the invisible character {}: write it as an escape", hidden.escape_unicode());
            findings.push(Finding::at(path, index + 1, message));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        let last = text.lines().count();
        findings.push(Finding::at(path, last, "no line end at the end of the file: add one"));
    }
    findings
}

/// Characters that change how text looks or reads without being seen; those that join letters and pictures are fine.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&[RustFile::sample(path, text)]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_word_is_found_in_the_product_and_not_in_comments() {
        for word in ["a.unwrap();", "todo!();", "unimplemented!();", "dbg!(x);", "a.unwrap_err();"] {
            assert_eq!(findings("src/a.rs", &format!("//! Head.\n{word}\n")).len(), 1, "{word}");
            assert!(findings("src/a.rs", &format!("//! Head.\n// {word}\nlet a = \"{word}\";\n")).is_empty());
            assert!(findings("tests/a.rs", &format!("//! Head.\n{word}\n")).is_empty(), "{word}");
        }
        assert!(findings("src/a.rs", "//! Head.\na.unwrap_or_default();\n").is_empty());
    }

    #[test]
    fn a_test_that_does_not_run_is_found() {
        assert_eq!(findings("tests/a.rs", "//! Head.\n#[test]\n#[ignore]\nfn f() {}\n").len(), 1);
    }

    #[test]
    fn an_allow_needs_a_reason() {
        assert_eq!(findings("src/a.rs", "//! Head.\n#[allow(dead_code)]\nfn f() {}\n").len(), 1);
        let fine = "//! Head.\n#[allow(\n    clippy::x,\n    reason = \"why\"\n)]\nfn f() {}\n";
        assert!(findings("src/a.rs", fine).is_empty());
    }

    #[test]
    fn a_file_needs_a_head_and_an_end() {
        assert_eq!(findings("src/a.rs", "fn f() {}\n").len(), 1);
        let long = format!("//! Head.\n{}", "let a = 1;\n".repeat(LINES_MAX));
        assert!(findings("src/a.rs", &long)[0].contains("501 lines"), "{:?}", findings("src/a.rs", &long));
        let tests = format!("//! Head.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "a();\n".repeat(LINES_MAX));
        assert!(findings("src/a.rs", &tests).is_empty());
    }

    #[test]
    fn white_space_is_found() {
        for (text, count) in [("a \n", 1), ("a\r\n", 1), ("a", 1), ("a\tb\n", 1), ("a\n", 0), ("", 0)] {
            assert_eq!(whitespace_of("a.rs", text).len(), count, "{text:?}");
        }
        assert_eq!(whitespace_of("a.md", "a\u{202e}b\n").len(), 1);
    }
}
