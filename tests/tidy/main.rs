//! Holds what neither the compiler nor clippy holds: the walls between the floors, the form of files, the docs.
//!
//! An ordinary test without dependencies, so that it runs with every `cargo test`. Each rule is a function from
//! texts to findings and is itself tested on small samples, so that no rule can pass because it sees nothing. A
//! finding names file and line, what is wrong, and the way out. To change a rule, change its table here in the
//! same commit as the code that needs it, with the reason beside the entry.
//!
//! Reading order: [`tree`] reads the files, [`rust_code`] makes Rust readable for the rules; then the rules:
//! [`walls`], [`style`], [`docs`], [`words`], [`house`].

mod docs;
mod house;
mod rust_code;
mod style;
mod tree;
mod walls;
mod words;

use rust_code::RustFile;
use tree::{Finding, Tree};

fn no_findings(what: &str, findings: Vec<Finding>) {
    let shown: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{what}: {} finding(s)\n{}\n", shown.len(), shown.join("\n"));
}

fn rust_files() -> Vec<RustFile> {
    let files = RustFile::all(&Tree::load());
    assert!(files.len() > 100, "only {} Rust files were found: is the tree read from its root?", files.len());
    files
}

#[test]
fn imports_only_go_down() {
    no_findings("walls between the floors", walls::imports(&rust_files()));
}

#[test]
fn external_crates_stay_on_their_floor() {
    no_findings("crates outside their floor", walls::external_crates(&rust_files()));
}

#[test]
fn handles_that_change_the_world_stay_where_they_belong() {
    no_findings("handles outside their folder", walls::handles(&rust_files()));
}

#[test]
fn the_domain_does_no_io() {
    no_findings("the ground floor", walls::ground(&rust_files(), &Tree::load()));
}

#[test]
fn rust_files_keep_the_form() {
    no_findings("form of Rust files", style::check(&rust_files()));
}

#[test]
fn text_files_keep_the_form() {
    no_findings("form of text files", style::whitespace(&Tree::load()));
}

#[test]
fn links_and_paths_in_the_docs_resolve() {
    no_findings("links", docs::links(&Tree::load()));
    no_findings("paths in code", docs::paths_in_code(&Tree::load()));
}

#[test]
fn docs_hold_one_sentence_a_line() {
    no_findings("sentences", docs::sentences(&Tree::load()));
}

#[test]
fn docs_name_only_tests_that_exist() {
    no_findings("proofs", docs::proofs(&Tree::load(), &rust_files()));
}

#[test]
fn the_repository_speaks_of_the_product_alone() {
    no_findings("words", words::check(&Tree::load()));
}

#[test]
fn the_house_is_complete() {
    no_findings("files", house::check(&Tree::load()));
}
