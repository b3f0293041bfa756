//! The docs: links and paths that resolve, one sentence a line, proofs that exist.

use crate::rust_code::RustFile;
use crate::tree::{Finding, TextFile, Tree};
use std::collections::BTreeSet;

/// Folders whose paths, named in backticks, must exist.
const NAMED_FOLDERS: [&str; 8] =
    ["src/", "tests/", "docs/", "rules/", "deploy/", "examples/", "benches/", ".ci/"];
/// Words that end in a full stop without ending a sentence.
const ABBREVIATIONS: [&str; 5] = ["e.g.", "i.e.", "vs.", "etc.", "a.m."];

/// A line of a Markdown file outside of code blocks.
struct Line<'a> {
    number: usize,
    text: &'a str,
}

fn lines_outside_code(text: &str) -> Vec<Line<'_>> {
    let mut in_code = false;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let is_fence = line.trim_start().starts_with("```");
        if is_fence {
            in_code = !in_code;
        }
        if !in_code && !is_fence {
            lines.push(Line { number: index + 1, text: line });
        }
    }
    lines
}

/// Links and named paths that lead nowhere.
pub fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.ending(".md") {
        for line in lines_outside_code(&file.text) {
            let text = without_code(line.text);
            for target in link_targets(&text) {
                if let Some(why) = broken(tree, file, target) {
                    findings.push(Finding::at(
                        &file.path,
                        line.number,
                        format!("the link `{target}`: {why}"),
                    ));
                }
            }
            for path in named_paths(line.text).filter(|path| !tree.exists(path)) {
                let message = format!("there is no `{path}`: correct the path, or say it without backticks");
                findings.push(Finding::at(&file.path, line.number, message));
            }
        }
    }
    findings
}

/// Paths that comments of Rust code name and that do not exist; in the product and the benchmarks, which print where to
/// read on, also those in texts.
pub fn paths_in_code(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.ending(".rs") {
        let prints = ["src/", "benches/"].iter().any(|folder| file.path.starts_with(folder));
        for (index, line) in file.text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            let paths =
                words_that_are_files(line).filter(|path| is_comment || (prints && path.ends_with(".md")));
            for path in paths.filter(|path| !tree.exists(path)) {
                findings.push(Finding::at(
                    &file.path,
                    index + 1,
                    format!("there is no `{path}`: correct the path"),
                ));
            }
        }
    }
    findings
}

/// Words that begin with a folder of the repository and end as a file does.
fn words_that_are_files(line: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '*');
    line.split(move |c| !is_part(c)).map(|word| word.trim_end_matches('.')).filter(|word| {
        NAMED_FOLDERS.iter().any(|folder| word.starts_with(folder))
            && [".rs", ".md", ".sql", ".yaml", ".yml"].iter().any(|ending| word.ends_with(ending))
            && !word.contains('*')
    })
}

/// The line with the insides of backticks blanked.
fn without_code(line: &str) -> String {
    let parts = line.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 0 { part.to_owned() } else { "x".repeat(part.len()) }).collect()
}

fn link_targets(line: &str) -> Vec<&str> {
    let starts = line.match_indices("](").map(|(at, _)| at + 2);
    starts
        .filter_map(|at| line[at..].split(')').next())
        .filter_map(|target| target.split(' ').next())
        .collect()
}

/// Paths in backticks that begin with a folder of the repository, without patterns and line numbers.
fn named_paths(line: &str) -> impl Iterator<Item = &str> {
    let inside = line.split('`').skip(1).step_by(2);
    let is_path = |text: &&str| {
        // A folder's name alone may be a room of the map, such as `rules/`.
        NAMED_FOLDERS.iter().any(|folder| text.starts_with(folder) && text != folder)
            && !text.contains(['*', '{', '<', ' ', '…', '$'])
    };
    inside.filter(is_path).map(|text| text.split(':').next().unwrap_or(text))
}

fn broken(tree: &Tree, from: &TextFile, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let resolved = if path.is_empty() { from.path.clone() } else { resolve(&from.path, path)? };
    if !tree.exists(&resolved) {
        return Some(format!("there is no `{resolved}`"));
    }
    let anchor = anchor?;
    let headings = headings(tree.file(&resolved).map_or("", |file| file.text.as_str()));
    (!headings.contains(anchor)).then(|| format!("`{resolved}` has no heading `#{anchor}`"))
}

/// The path from the root that a relative link leads to.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Headings as the anchors that code hosts make of them.
fn headings(text: &str) -> BTreeSet<String> {
    let lines = lines_outside_code(text);
    let titles = lines.iter().filter(|line| line.text.starts_with('#'));
    titles
        .map(|line| {
            let title = line.text.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// Lines that hold more than one sentence, or less than one. Tables, headings and code are left alone.
pub fn sentences(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.ending(".md").filter(|file| !file.path.contains("/fixtures/")) {
        let mut open = false;
        let mut last = 0;
        for line in lines_outside_code(&file.text) {
            let follows = line.number == last + 1;
            last = line.number;
            let text = without_code(line.text.trim());
            if text.is_empty() || text.starts_with(['#', '|', '<', '!']) {
                open = false;
                continue;
            }
            let (text, begins) = without_marker(&text);
            if open && follows && !begins {
                let message = "the sentence before goes on here: join the lines, one sentence a line";
                findings.push(Finding::at(&file.path, line.number, message));
            }
            if let Some(second) = second_sentence(text) {
                let message = format!("a second sentence begins at `{second}`: give it a line of its own");
                findings.push(Finding::at(&file.path, line.number, message));
            }
            open = !ends_sentence(text);
        }
    }
    findings
}

/// The text of a list item without its marker, and whether it had one.
fn without_marker(line: &str) -> (&str, bool) {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0
        && let Some(rest) = line[digits..].strip_prefix(". ")
    {
        return (rest, true);
    }
    for marker in ["- [ ] ", "- [x] ", "- ", "* ", "> "] {
        if let Some(rest) = line.strip_prefix(marker) {
            return (rest, true);
        }
    }
    (line, line.starts_with('['))
}

fn ends_sentence(text: &str) -> bool {
    text.trim_end_matches([')', '*', '_', '"', 'x']).ends_with(['.', ':', '!', '?', ';'])
        || text.trim_end_matches(['*', '_']).ends_with(['.', ':', '!', '?', ';'])
}

/// The word that begins a second sentence, where there is one.
fn second_sentence(text: &str) -> Option<&str> {
    let words: Vec<&str> = text.split(' ').collect();
    words.windows(2).find_map(|pair| {
        let ends = pair[0].trim_end_matches([')', '*', '"', '_']);
        let ended = ends.ends_with(['.', '!', '?']) && !ABBREVIATIONS.contains(&ends) && ends.len() > 1;
        let first = pair[1].trim_start_matches(['(', '*', '"', '[', '_']).chars().next()?;
        (ended && first.is_uppercase()).then_some(pair[1])
    })
}

/// Tests that the table of invariants names and that do not exist.
pub fn proofs(tree: &Tree, files: &[RustFile]) -> Vec<Finding> {
    let path = "docs/architecture.md";
    let Some(page) = tree.file(path) else { return Vec::new() };
    let mut findings = Vec::new();
    for line in lines_outside_code(&page.text).iter().filter(|line| line.text.starts_with("| **I")) {
        let proof = line.text.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        for name in proof.split('`').skip(1).step_by(2).filter(|name| !name.contains(['/', ' '])) {
            let name = name.rsplit("::").next().unwrap_or(name);
            let declared = format!("fn {name}");
            if !files.iter().any(|file| file.positions(&declared).next().is_some()) {
                let message = format!("there is no test `{name}`: name the test that holds this invariant");
                findings.push(Finding::at(path, line.number, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let tree = Tree::of(&[
            (
                "README.md",
                "[a](docs/a.md) [b](docs/b.md) [c](docs/a.md#the-end) [d](docs/a.md#no) [e](https://e.example)",
            ),
            (
                "docs/a.md",
                "# The end\n[up](../README.md) [out](../../x.md) `src/gone.rs` `src/*.rs` `[x](y)`\n",
            ),
        ]);
        let found: Vec<String> = links(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(found[0].contains("there is no `docs/b.md`") && found[1].contains("no heading `#no`"));
        assert!(found[2].contains("docs/a.md:2: there is no `src/gone.rs`"));
    }

    #[test]
    fn a_path_that_code_names_and_that_does_not_exist_is_found() {
        let tree = Tree::of(&[
            ("docs/a.md", ""),
            ("benches/b.rs", "//! See docs/a.md and `docs/gone.md`.\nprint(\"docs/lost.md\"); // src/x.rs\n"),
            ("tests/t.rs", "// read tests/none.rs.\nlet sample = \"docs/sample.md src/*.rs\";\n"),
        ]);
        let found: Vec<String> = paths_in_code(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(found[0].contains("benches/b.rs:1: there is no `docs/gone.md`"), "{found:#?}");
        assert!(found[1].contains("benches/b.rs:2: there is no `docs/lost.md`"), "{found:#?}");
        assert!(found[2].contains("tests/t.rs:1: there is no `tests/none.rs`"), "{found:#?}");
    }

    #[test]
    fn two_sentences_in_a_line_and_one_over_two_lines_are_found() {
        let count = |text: &str| sentences(&Tree::of(&[("a.md", text)])).len();
        assert_eq!(count("One sentence. Another one.\n"), 1);
        assert_eq!(count("One sentence that\ngoes on.\n"), 1);
        assert_eq!(
            count("One, e.g. `x. Y`, for SQLite 3. x only (see I1).\nAnother.\n\n- item\n- Item two\n"),
            0
        );
        assert_eq!(count("1. First.\n2. Second\n\n| A. B | c |\n```\nA. B\n```\n# A. B\n"), 0);
    }

    #[test]
    fn a_proof_that_does_not_exist_is_found() {
        let tree =
            Tree::of(&[("docs/architecture.md", "| **I1** | held | `a::it_holds`, `it_does_not` |\n")]);
        let files = [RustFile::sample("tests/a.rs", "fn it_holds() {}")];
        let found = proofs(&tree, &files);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().contains("no test `it_does_not`"));
    }
}
