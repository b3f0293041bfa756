//! What the repository must have, and what must not be left lying in it.

use crate::tree::{Finding, Tree};

/// Files that a reader expects, with what each must hold.
const EXPECTED: &[(&str, &str)] = &[
    ("README.md", "tests/run"),
    ("LICENSE", "Apache License"),
    ("CHANGELOG.md", "## [Unreleased]"),
    ("CONTRIBUTING.md", "tests/run"),
    ("SECURITY.md", "Report"),
    ("docs/architecture.md", "Invariant:"),
    ("docs/decisions/README.md", "0001"),
    ("clippy.toml", "disallowed-methods"),
    ("deny.toml", "[licenses]"),
    ("rustfmt.toml", "max_width"),
];

/// Files that are run.
const RUN: [&str; 2] = ["tests/run", ".ci/run"];

/// Endings of files that tools leave behind.
const LEFT_BEHIND: [&str; 3] = [".snap.new", ".orig", ".rej"];

/// Everything that is missing or left over.
pub fn check(tree: &Tree) -> Vec<Finding> {
    [expected(tree), run(tree), rooms(tree), decisions(tree), left_behind(tree)].concat()
}

fn expected(tree: &Tree) -> Vec<Finding> {
    let missing = |(path, words): &(&str, &str)| match tree.file(path) {
        None => Some(Finding::at(path, 1, "the file is missing: every reader looks for it")),
        Some(file) if !file.text.contains(words) => {
            Some(Finding::at(path, 1, format!("it does not hold `{words}`, which readers look for")))
        }
        Some(_) => None,
    };
    EXPECTED.iter().filter_map(missing).collect()
}

fn run(tree: &Tree) -> Vec<Finding> {
    let wrong = |path: &&str| match tree.file(path) {
        None => Some(Finding::at(path, 1, "the file is missing")),
        Some(file) if !file.executable => {
            Some(Finding::at(path, 1, format!("it cannot be run: `git update-index --chmod=+x {path}`")))
        }
        Some(_) => None,
    };
    RUN.iter().filter_map(wrong).collect()
}

/// The map must show every room of the house.
fn rooms(tree: &Tree) -> Vec<Finding> {
    let map = "docs/architecture.md";
    let text = tree.file(map).map_or("", |file| file.text.as_str());
    let mut findings = Vec::new();
    for file in tree.ending(".rs") {
        let Some(name) = file.path.strip_prefix("src/").and_then(|inside| inside.strip_suffix(".rs")) else {
            continue;
        };
        let is_room = !name.contains('/') && !["lib", "main"].contains(&name);
        if is_room && !text.contains(&format!("`{name}/`")) && !text.contains(&format!("`{name}`")) {
            findings.push(Finding::at(map, 1, format!("the map does not show `{name}`: add a row for it")));
        }
    }
    findings
}

/// The index of the decisions must list every record.
fn decisions(tree: &Tree) -> Vec<Finding> {
    let index = "docs/decisions/README.md";
    let text = tree.file(index).map_or("", |file| file.text.as_str());
    let records = tree.ending(".md").filter_map(|file| file.path.strip_prefix("docs/decisions/"));
    records
        .filter(|name| *name != "README.md" && !text.contains(&format!("({name})")))
        .map(|name| Finding::at(index, 1, format!("the index does not list `{name}`: add a line for it")))
        .collect()
}

fn left_behind(tree: &Tree) -> Vec<Finding> {
    let is_left = |path: &str| LEFT_BEHIND.iter().any(|ending| path.ends_with(ending));
    let left = tree.files.iter().filter(|file| is_left(&file.path));
    left.map(|file| Finding::at(&file.path, 1, "a tool left this behind: accept or remove it")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_house_is_found_wanting() {
        let found: Vec<String> = check(&Tree::of(&[])).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), EXPECTED.len() + RUN.len(), "{found:#?}");
    }

    #[test]
    fn rooms_and_decisions_that_no_page_names_are_found() {
        let tree = Tree::of(&[
            ("src/attic.rs", ""),
            ("src/engine.rs", ""),
            ("docs/architecture.md", "| `engine/` | steps |"),
            ("docs/decisions/0001-a.md", ""),
            ("docs/decisions/0002-b.md", ""),
            ("docs/decisions/README.md", "- [a](0001-a.md)"),
        ]);
        assert_eq!(rooms(&tree).len(), 1);
        assert_eq!(decisions(&tree).len(), 1);
    }

    #[test]
    fn a_script_that_cannot_be_run_and_a_leftover_are_found() {
        let tree = Tree::of(&[("tests/run", "#!"), (".ci/run", "#!"), ("a.snap.new", "")]);
        assert_eq!(run(&tree).len(), 2);
        assert_eq!(left_behind(&tree).len(), 1);
    }
}
