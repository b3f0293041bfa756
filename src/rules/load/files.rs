//! Finds rule files by pattern, reads them within limits, and splits them into YAML documents.

use crate::domain::timeline::digest_of_bytes;
use crate::yaml::Problem;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Most rule files. A pattern that finds more has caught something else.
pub const FILES_MAX: usize = 10_000;
/// Largest rule file, in bytes. Ten thousand rules take about five million.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

/// How files with tests of rules are called.
pub const TESTS: [&str; 2] = [".test.yaml", ".test.yml"];

/// One rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path as it is shown to people.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// What was found under the patterns.
#[derive(Debug, Default)]
pub(in crate::rules) struct Found {
    pub(in crate::rules) files: Vec<SourceFile>,
    pub(in crate::rules) problems: Vec<Problem>,
    pub(in crate::rules) warnings: Vec<Problem>,
}

impl Found {
    /// The files without tests of rules, which stand beside them: what is wrong with a test must not keep a service from
    /// its rules.
    pub(super) fn rules(&self) -> impl Iterator<Item = &SourceFile> {
        let is_test = |file: &&SourceFile| TESTS.iter().any(|ending| file.name.ends_with(ending));
        self.files.iter().filter(move |file| !is_test(file))
    }

    /// Digest of names and texts, and of what could not be read: equal exactly when nothing has changed.
    pub(in crate::rules) fn hash(&self) -> String {
        let mut bytes = Vec::new();
        let mut add = |part: &str| {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        };
        for file in &self.files {
            add(&file.name);
            add(&file.text);
        }
        for problem in &self.problems {
            add(&problem.to_string());
        }
        digest_of_bytes(&bytes)
    }
}

/// Reads all files that match, in the order of the patterns and by path within each; each file once.
pub(in crate::rules) fn read(patterns: &[String]) -> Found {
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    for pattern in patterns {
        let paths = match paths(pattern) {
            Ok(paths) => paths,
            Err(problem) => {
                found.problems.push(*problem);
                continue;
            }
        };
        if paths.is_empty() {
            none_found(pattern, &mut found);
        }
        for path in paths {
            if seen.len() >= FILES_MAX {
                let message = format!("more than {FILES_MAX} files match");
                let problem = Problem::in_file(pattern, message).with_help("use a narrower pattern");
                found.problems.push(problem);
                return found;
            }
            // Two patterns, or two links, may lead to one file.
            let identity = path.canonicalize().unwrap_or_else(|_| path.clone());
            if seen.insert(identity) {
                match read_file(&path) {
                    Ok(file) => found.files.push(file),
                    Err(problem) => found.problems.push(*problem),
                }
            }
        }
    }
    found
}

fn none_found(pattern: &str, found: &mut Found) {
    let is_pattern = pattern.contains(['*', '?', '[']);
    if is_pattern {
        found.warnings.push(Problem::in_file(pattern, "no file matches this pattern"));
    } else {
        found.problems.push(Problem::in_file(pattern, "there is no such file"));
    }
}

/// The files that match a pattern, sorted. Hidden files and directories are left out: a mounted ConfigMap keeps its
/// generations in them, and its visible names link there.
fn paths(pattern: &str) -> Result<Vec<PathBuf>, Box<Problem>> {
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let matches = glob::glob_with(pattern, options)
        .map_err(|error| Box::new(Problem::in_file(pattern, format!("this is no pattern: {}", error.msg))))?;
    // Directories that cannot be read are the business of whoever wrote the pattern; the files in them are missed.
    let mut paths: Vec<PathBuf> = matches.filter_map(Result::ok).filter(|path| path.is_file()).collect();
    paths.sort();
    Ok(paths)
}

fn read_file(path: &Path) -> Result<SourceFile, Box<Problem>> {
    let name = path.display().to_string();
    let fail = |why: String| Box::new(Problem::in_file(&name, why));
    let size = path.metadata().map_err(|error| fail(format!("cannot be read: {error}")))?.len();
    if size > FILE_BYTES_MAX {
        return Err(fail(format!(
            "{size} bytes are more than the {FILE_BYTES_MAX} that a rule file may have"
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| fail("is not UTF-8 text".to_owned()))?;
    Ok(SourceFile { name, text })
}

/// Splits a file into its YAML documents. Each keeps its place: lines of other documents are empty in it.
/// Documents without content are left out.
pub fn documents(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    let mut current = String::new();
    for (lines_before, line) in text.lines().enumerate() {
        if is_marker(line, "---") || is_marker(line, "...") {
            documents.push(std::mem::replace(&mut current, "\n".repeat(lines_before)));
            // What follows on the marker's own line belongs to the new document.
            current.push_str("   ");
            current.push_str(&line[3..]);
        } else {
            current.push_str(line);
        }
        current.push('\n');
    }
    documents.push(current);
    let has_content = |document: &String| {
        document.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
    };
    documents.retain(has_content);
    documents
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_their_lines() {
        let text = "# head\na: 1\n---\n# only a comment\n--- # next\nb: |\n  ---\n...\n---\nc: 1";
        let found = documents(text);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].lines().nth(1), Some("a: 1"));
        assert_eq!(found[1].lines().nth(5), Some("b: |"));
        assert_eq!(found[1].lines().nth(6), Some("  ---"));
        assert_eq!(found[2].lines().nth(9), Some("c: 1"));
        assert_eq!(documents("\u{feff}a: 1").len(), 1);
        assert_eq!(documents("--- {a: 1}\n")[0].trim(), "{a: 1}");
        assert!(documents("---\n---\n").is_empty());
    }

    #[test]
    fn files_come_sorted_once_and_without_hidden_ones() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            std::fs::write(path, "x: 1\n").expect("written");
        };
        for name in ["b.yaml", "a.yaml", "sub/c.yaml", "..data/a.yaml", ".hidden.yaml", "notes.txt"] {
            write(name);
        }
        let root = dir.path().display();
        let found = read(&[format!("{root}/b.yaml"), format!("{root}/**/*.yaml"), format!("{root}/none*")]);
        let names: Vec<String> =
            found.files.iter().map(|file| file.name.replace(&format!("{root}/"), "")).collect();
        assert_eq!(names, ["b.yaml", "a.yaml", "sub/c.yaml"]);
        assert_eq!((found.problems.len(), found.warnings.len()), (0, 1));
        let missing = read(&[format!("{root}/missing.yaml"), "a/***/b".to_owned()]);
        assert_eq!(missing.problems.len(), 2);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_problem_and_not_a_panic() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("binary.yaml"), [0xff, 0xfe, 0x00]).expect("written");
        let large = std::fs::File::create(dir.path().join("large.yaml")).expect("created");
        large.set_len(FILE_BYTES_MAX + 1).expect("grown");
        let found = read(&[format!("{}/*.yaml", dir.path().display())]);
        let shown: String = found.problems.iter().map(ToString::to_string).collect();
        assert!(shown.contains("is not UTF-8 text") && shown.contains("more than the"), "{shown}");
    }
}
