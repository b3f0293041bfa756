//! Finds test files and reads them; every mistake is shown at its place.

use super::format::{Document, Head, KIND, OneOrMany, Test};
use super::platform::patterns;
use crate::rules::load::{Platforms, TESTS, blank_out, documents, sources};
use crate::rules::{API_VERSION, schema};
use crate::yaml::{self, KnownPlaces, Partly, Place, Places, Problem, nearest};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Largest test file, in bytes: thousands of tests. Anything larger is the wrong file.
pub const FILE_BYTES_MAX: usize = 4 << 20;

/// Most tests of one document.
pub const TESTS_MAX: usize = 2_000;

/// Most entries of `input` and of `expect` of one test.
pub const ENTRIES_MAX: usize = 1_000;

/// Longest test, in hours: two months. A story of years would tell the fallback of an incident a hundred thousand times.
pub const HOURS_MAX: i64 = 61 * 24;

/// One document with tests.
#[derive(Debug, Clone)]
pub struct Suite {
    /// The file, as it is shown to people.
    pub file: String,
    /// The text of the document, other documents of the file blanked.
    pub text: String,
    /// What it says.
    pub document: Document,
    places: KnownPlaces,
}

impl Suite {
    /// Relative paths in it start here.
    pub fn folder(&self) -> PathBuf {
        Path::new(&self.file).parent().map(Path::to_path_buf).unwrap_or_default()
    }

    /// A problem at a place in it, such as `["spec", "tests", "0"]`.
    pub fn problem(&self, path: &[&str], message: impl Into<String>) -> Problem {
        self.places.of(&self.file, &self.text).problem(path, message)
    }

    /// Where something stands.
    pub fn place(&self, path: &[&str]) -> Place {
        self.problem(path, "").place
    }
}

/// What was found under the paths.
#[derive(Debug, Default)]
pub struct Found {
    /// The documents that can be used.
    pub suites: Vec<Suite>,
    /// Why others cannot.
    pub problems: Vec<Problem>,
}

/// Reads the test files: a folder stands for all `*.test.yaml` in it and below it.
pub fn read(paths: &[String]) -> Found {
    let mut found = Found::default();
    for path in paths {
        let is_folder = Path::new(path).is_dir();
        let folder = path.trim_end_matches('/');
        let patterns = match is_folder {
            true => TESTS.map(|ending| format!("{folder}/**/*{ending}")).to_vec(),
            false => vec![path.clone()],
        };
        let (files, problems) = sources(&patterns);
        let is_empty = files.is_empty() && problems.is_empty();
        found.problems.extend(problems);
        if is_empty {
            let what = if is_folder { "no file called *.test.yaml is in it" } else { "no file matches" };
            found.problems.push(Problem::in_file(path, what));
        }
        for file in files {
            if found.suites.iter().any(|suite| suite.file == file.name) {
                continue;
            }
            read_file(&file.name, &file.text, is_folder, &mut found);
        }
    }
    found
}

fn read_file(file: &str, text: &str, is_found: bool, found: &mut Found) {
    if text.len() > FILE_BYTES_MAX {
        let message =
            format!("{} bytes are more than the {FILE_BYTES_MAX} that a test file may have", text.len());
        found.problems.push(Problem::in_file(file, message));
        return;
    }
    let mut has_tests = false;
    for text in documents(text) {
        let text = match fill_in(file, text) {
            Ok(text) => text,
            Err(problems) => {
                has_tests = true;
                found.problems.extend(problems);
                continue;
            }
        };
        match read_document(file, text) {
            Ok(Some(suite)) => {
                has_tests = true;
                found.suites.push(suite);
            }
            Ok(None) => {}
            Err(problems) => {
                has_tests = true;
                found.problems.extend(problems);
            }
        }
    }
    if !has_tests {
        let help = match is_found {
            true => format!("it begins with `apiVersion: {API_VERSION}` and `kind: {KIND}`"),
            false => format!("name a file with documents of the kind `{KIND}`, or a folder"),
        };
        found.problems.push(Problem::in_file(file, "there are no tests in it").with_help(help));
    }
}

/// The document with the values of the platforms that its rules stand on.
fn fill_in(file: &str, text: String) -> Result<String, Vec<Problem>> {
    if !text.contains("${") {
        return Ok(text);
    }
    // Which rules those are stands in the document itself.
    let rules = match yaml::read_partly::<Stands>(file, &blank_out(&text)) {
        Ok(stands) | Err(Partly { rest: Some((stands, _)), .. }) => stands.spec.rules,
        Err(_) => OneOrMany::default(),
    };
    let folder = Path::new(file).parent().map(Path::to_path_buf).unwrap_or_default();
    let (text, problems) = Platforms::read(&patterns(&folder, &rules)).fill_in(file, &text);
    if problems.is_empty() { Ok(text) } else { Err(problems) }
}

/// What a document stands on, as far as that can be seen before its values are filled in.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Stands {
    spec: RulesOf,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct RulesOf {
    rules: OneOrMany<String>,
}

/// One document; none where it is of another kind.
fn read_document(file: &str, text: String) -> Result<Option<Suite>, Vec<Problem>> {
    let at = |path: &[&str], message: String| Places::of(file, &text).problem(path, message);
    let head: Head = match yaml::read_partly(file, &text) {
        Ok(head) => head,
        Err(Partly { rest: Some((head, _)), .. }) => head,
        Err(Partly { problems, .. }) => return Err(problems),
    };
    let version_help = format!("write `apiVersion: {API_VERSION}`");
    match head.kind.as_deref() {
        Some(KIND) => {}
        Some(other) if !schema::KINDS.contains(&other) && nearest(other, [KIND]).is_some() => {
            let problem = at(&["kind"], format!("the kind `{other}` is not known"));
            return Err(vec![problem.with_help(format!("did you mean `{KIND}`?"))]);
        }
        _ => return Ok(None),
    }
    match head.api_version.as_deref() {
        Some(API_VERSION) => {}
        Some(other) => {
            let problem = at(&["apiVersion"], format!("the version `{other}` is not supported"));
            return Err(vec![problem.with_help(version_help)]);
        }
        None => {
            let problem = at(&["kind"], "this document does not say its `apiVersion`".to_owned());
            return Err(vec![problem.with_help(version_help)]);
        }
    }
    let (document, mut problems) = match yaml::read_partly::<Document>(file, &text) {
        Ok(document) => (document, Vec::new()),
        Err(Partly { problems, .. }) => return Err(problems),
    };
    problems.extend(check(&document).into_iter().map(|(path, message)| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        at(&path, message)
    }));
    match problems.is_empty() {
        true => Ok(Some(Suite { file: file.to_owned(), text, document, places: KnownPlaces::default() })),
        false => Err(problems),
    }
}

/// What the shapes alone do not say.
fn check(document: &Document) -> Vec<(Vec<String>, String)> {
    let place = |path: &[&str]| {
        let path = ["spec", "tests"].iter().chain(path);
        path.map(|step| (*step).to_owned()).collect::<Vec<_>>()
    };
    let tests = &document.spec.tests;
    let mut problems = Vec::new();
    if tests.is_empty() {
        problems.push((place(&[]), "there are no tests".to_owned()));
    }
    if tests.len() > TESTS_MAX {
        problems.push((place(&[]), format!("more than {TESTS_MAX} tests are in one document")));
    }
    let mut names = BTreeSet::new();
    for (index, test) in tests.iter().enumerate() {
        let index = index.to_string();
        let mut complain = |path: &[&str], message: String| {
            problems.push((place(&[&[index.as_str()], path].concat()), message))
        };
        if test.name.trim().is_empty() {
            complain(&["name"], "the name is empty: say the behaviour in a sentence".to_owned());
        }
        if !names.insert(test.name.as_str()) {
            complain(&["name"], "another test has the same name".to_owned());
        }
        check_test(test, &mut complain);
    }
    problems
}

fn check_test(test: &Test, complain: &mut impl FnMut(&[&str], String)) {
    let expect = &test.expect.0;
    if expect.is_empty() {
        complain(
            &["expect"],
            "it expects nothing: say what has to come of it, or `nothing: true`".to_owned(),
        );
    }
    for (name, count) in [("input", test.input.len()), ("expect", expect.len())] {
        if count > ENTRIES_MAX {
            complain(&[name], format!("more than {ENTRIES_MAX} entries are in one test"));
        }
    }
    let inputs = test.input.iter().map(|input| input.at).enumerate().map(|(index, at)| ("input", index, at));
    let expected = expect.iter().map(|expect| expect.at).enumerate().map(|(index, at)| ("expect", index, at));
    for (name, index, at) in inputs.chain(expected) {
        if at.signed().as_hours() > HOURS_MAX {
            complain(&[name, &index.to_string(), "at"], format!("a test ends after {} days", HOURS_MAX / 24));
        }
    }
    for (index, one) in expect.iter().enumerate() {
        if one.says_nothing() {
            let message = "this expectation holds whatever happens: say what has to be the case";
            complain(&["expect", &index.to_string()], message.to_owned());
        }
    }
    for (index, input) in test.input.iter().enumerate() {
        if input.says_nothing() {
            complain(&["input", &index.to_string()], "nothing happens here".to_owned());
        }
    }
}
