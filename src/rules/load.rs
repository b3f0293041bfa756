//! Rule files to a checked [`RuleSet`], or to all the mistakes in them at once.
//!
//! Loading is all or nothing: a set with one error is no set. Every mistake is shown with file, line, column, the
//! line itself and a way out. [`files`] finds and splits, [`platform`] fills in names and numbers, [`rule`],
//! [`remedies`], [`policy`], [`contact`], [`schedule`], [`scheduled`] and [`manifest`] give the documents their meaning, [`uses`] checks
//! what the catalog and the settings must know, [`set`] looks at all of it together.

mod contact;
mod files;
mod manifest;
mod platform;
mod policy;
mod remedies;
mod report;
mod rule;
mod schedule;
mod scheduled;
mod set;
mod uses;

pub use files::{FILE_BYTES_MAX, FILES_MAX, SourceFile, TESTS, documents};
pub use platform::{Platforms, blank_out};

pub(super) use files::read as read_files;

use super::condition::on_parser_stack;
use super::known::Known;
use super::raw;
use super::ruleset::RuleSet;
use crate::domain::catalog::Catalog;
use crate::domain::escalation::EscalationPolicy;
use crate::domain::manifest::Stored;
use crate::domain::rule::ResponseRule;
use crate::domain::schedule::{Holiday, Schedule};
use crate::yaml::{self, Partly, Problem, Remainder, nearest};
use contact::Told;
use report::Report;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Kinds of documents that a rule file may hold. `ResponseTest` belongs to the rule tester and is skipped here.
const KINDS: [&str; 9] = [
    "ResponseRule",
    "EscalationPolicy",
    "Contact",
    "Schedule",
    "Calendar",
    "ScheduledCheck",
    "StoredManifest",
    "Platform",
    "ResponseTest",
];

/// Why rules cannot be used: every mistake that was found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, thiserror::Error)]
pub struct RuleErrors {
    /// The mistakes, in the order of files and lines.
    pub errors: Vec<Problem>,
    /// What is doubtful beside them.
    pub warnings: Vec<Problem>,
}

/// Every mistake as a compiler would show it, and their number.
impl fmt::Display for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.errors {
            writeln!(f, "{error}\n")?;
        }
        let plural = if self.errors.len() == 1 { "" } else { "s" };
        write!(f, "{} error{plural} in the rules", self.errors.len())
    }
}

/// What a look at rule files found, whether or not they can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// How many files were read.
    pub files: usize,
    /// How many rules were found, broken ones included; likewise the others.
    pub rules: usize,
    /// Names of the escalation policies.
    pub policies: BTreeSet<String>,
    /// How many schedules.
    pub schedules: usize,
    /// The mistakes, in the order of files and lines.
    pub errors: Vec<Problem>,
    /// What is doubtful beside them.
    pub warnings: Vec<Problem>,
}

/// The files that match the patterns, each once, and why others cannot be read.
pub fn sources(patterns: &[String]) -> (Vec<SourceFile>, Vec<Problem>) {
    let files::Found { files, problems, .. } = files::read(patterns);
    (files, problems)
}

/// Looks at all rule files that match the patterns.
pub fn survey(patterns: &[String], catalog: &Catalog, known: &Known) -> Survey {
    let found = files::read(patterns);
    let Checked { names, set } = check_found(&found, catalog, known);
    let (errors, warnings) = match set {
        Ok(set) => (Vec::new(), set.warnings().to_vec()),
        Err(RuleErrors { errors, warnings }) => (errors, warnings),
    };
    Survey {
        files: found.rules().count(),
        rules: names.rules,
        policies: names.policies,
        schedules: names.schedules.len(),
        errors,
        warnings,
    }
}

/// Why there is no such escalation policy, and the way out.
pub fn no_policy<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> (String, String) {
    uses::unnamed(name, known, "escalation policy", "EscalationPolicy")
}

/// Loads all rule files that match the patterns.
///
/// # Errors
/// With every mistake found, also where files cannot be read.
pub fn load(patterns: &[String], catalog: &Catalog, known: &Known) -> Result<RuleSet, RuleErrors> {
    let found = files::read(patterns);
    load_found(found, catalog, known)
}

/// Loads rules from texts that are at hand already.
///
/// # Errors
/// With every mistake found.
pub fn load_texts(files: Vec<SourceFile>, catalog: &Catalog, known: &Known) -> Result<RuleSet, RuleErrors> {
    load_found(files::Found { files, ..files::Found::default() }, catalog, known)
}

pub(super) fn load_found(
    found: files::Found,
    catalog: &Catalog,
    known: &Known,
) -> Result<RuleSet, RuleErrors> {
    check_found(&found, catalog, known).set
}

fn check_found(found: &files::Found, catalog: &Catalog, known: &Known) -> Checked {
    // Conditions are parsed on a large stack; one thread for all of them.
    on_parser_stack(|| check(found, catalog, known)).unwrap_or_else(|| {
        let problem = Problem::in_file("rules", "loading the rules died; this is a defect, please report it");
        let set = Err(RuleErrors { errors: vec![problem], warnings: Vec::new() });
        Checked { names: Names::default(), set }
    })
}

/// One document of one file, as far as it could be read.
struct Parsed<'t> {
    file: &'t str,
    kind: String,
    name: Option<String>,
    content: Option<Content>,
    /// Where a part of it could not be read: the rest, which the content comes from.
    rest: Option<Remainder>,
}

enum Content {
    Rule(Box<raw::Rule>),
    Policy(raw::Policy),
    Contact(raw::Contact),
    Schedule(raw::Schedule),
    Calendar(raw::Calendar),
    Check(Box<raw::ScheduledCheck>),
    Manifest(raw::Manifest),
    Platform(raw::Platform),
}

/// What all documents together came to.
struct Checked {
    names: Names,
    set: Result<RuleSet, RuleErrors>,
}

/// Names that documents may refer to, with broken documents included: one mistake should not look like two.
#[derive(Default)]
struct Names {
    rules: usize,
    policies: BTreeSet<String>,
    contacts: BTreeSet<String>,
    schedules: BTreeSet<String>,
    /// Schedules of which it is certain that they do not say who is on call.
    without_rotations: BTreeSet<String>,
    calendars: BTreeSet<String>,
    manifests: BTreeSet<String>,
    /// Texts of documents that do not even say what they are: a name that stands there may be theirs.
    unreadable: String,
}

/// What the checks of one document look at.
struct Surroundings<'c> {
    catalog: &'c Catalog,
    known: &'c Known,
    names: Names,
    manifests: BTreeMap<String, Stored>,
    calendars: BTreeMap<String, Vec<Holiday>>,
    contacts: BTreeMap<String, Told>,
}

fn check(found: &files::Found, catalog: &Catalog, known: &Known) -> Checked {
    let (texts, misplaced) = texts(found);
    let mut reports: Vec<Report<'_>> = texts.iter().map(|(file, text)| Report::new(file, text)).collect();
    for (report, problems) in reports.iter_mut().zip(misplaced) {
        report.problems = problems;
    }
    let mut parsed: Vec<Parsed<'_>> =
        texts.iter().zip(&mut reports).map(|((file, text), report)| parse(file, text, report)).collect();
    // Where a part of a document could not be read, the rest is looked at in its own places.
    let rests: Vec<Option<Remainder>> = parsed.iter_mut().map(|document| document.rest.take()).collect();
    for ((report, rest), (file, _)) in reports.iter_mut().zip(&rests).zip(&texts) {
        if let Some(rest) = rest {
            report.go_on_with(file, rest);
        }
    }
    set::duplicates(&parsed, &mut reports);

    let names = names(&parsed, &texts);
    platform::take(&mut parsed, &mut reports);
    let manifests = manifest::take(&mut parsed, &mut reports);
    let calendars = schedule::take_calendars(&mut parsed, &mut reports);
    let mut surroundings =
        Surroundings { catalog, known, names, manifests, calendars, contacts: BTreeMap::new() };
    surroundings.contacts = contact::take(&mut parsed, &surroundings, &mut reports);
    let mut rules: Vec<(usize, ResponseRule)> = Vec::new();
    let mut policies = BTreeMap::new();
    let mut schedules = BTreeMap::new();
    let mut checks = BTreeMap::new();
    for (at, document) in parsed.into_iter().enumerate() {
        let report = &mut reports[at];
        let Some(name) = document.name else { continue };
        match document.content {
            Some(Content::Rule(raw)) => rules.push((at, rule::convert(name, *raw, &surroundings, report))),
            Some(Content::Policy(raw)) => {
                let policy: EscalationPolicy = policy::convert(name.clone(), raw, &surroundings, report);
                policies.insert(name, policy);
            }
            Some(Content::Schedule(raw)) => {
                let schedule: Schedule = schedule::convert(name.clone(), raw, &surroundings, report);
                schedules.insert(name, schedule);
            }
            Some(Content::Check(raw)) => {
                checks.insert(name.clone(), scheduled::convert(name, *raw, &surroundings, report));
            }
            Some(
                Content::Contact(_) | Content::Calendar(_) | Content::Manifest(_) | Content::Platform(_),
            )
            | None => {}
        }
    }
    rules.sort_by_key(|(_, rule)| std::cmp::Reverse(rule.priority));
    set::shadowed(&rules, &mut reports);
    set::unindexed(&rules, &mut reports);
    set::wide_secrets(&rules, catalog, &mut reports);
    if !known.default_told {
        set::untold(&rules, policies.values(), &mut reports);
    }

    let mut errors = found.problems.clone();
    let mut warnings = found.warnings.clone();
    for report in reports {
        errors.extend(sorted(report.problems));
        warnings.extend(sorted(report.warnings));
    }
    let rules = rules.into_iter().map(|(_, rule)| rule).collect();
    let set = if errors.is_empty() {
        Ok(RuleSet::new(rules, policies, schedules, warnings, found.hash()).with_checks(checks))
    } else {
        Err(RuleErrors { errors, warnings })
    };
    Checked { names: surroundings.names, set }
}

/// The documents with the values of their platforms, and what is wrong with the placeholders of each.
fn texts(found: &files::Found) -> (Vec<(&str, String)>, Vec<Vec<Problem>>) {
    let raw: Vec<(&str, String)> = found
        .rules()
        .flat_map(|file| files::documents(&file.text).into_iter().map(|text| (file.name.as_str(), text)))
        .collect();
    let platforms = Platforms::of(raw.iter().map(|(_, text)| text.as_str()));
    let fill_in = |(file, text): (_, String)| {
        let (text, problems) = platforms.fill_in(file, &text);
        ((file, text), problems)
    };
    raw.into_iter().map(fill_in).unzip()
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(Problem::position);
    problems.dedup();
    problems
}

fn parse<'t>(file: &'t str, text: &str, report: &mut Report<'_>) -> Parsed<'t> {
    let head: raw::Head = match yaml::read_partly(file, text) {
        Ok(head) => head,
        // What the document is can be read; the same mistakes are found again with the whole of it.
        Err(Partly { problems, rest: Some((head @ raw::Head { kind: Some(_), .. }, _)) }) => {
            report.problems.extend(problems);
            head
        }
        Err(Partly { problems, .. }) => {
            report.problems.extend(problems);
            return Parsed { file, kind: String::new(), name: None, content: None, rest: None };
        }
    };
    let kind = head.kind.unwrap_or_default();
    let mut parsed = Parsed { file, kind, name: head.metadata.name, content: None, rest: None };
    if !check_head(&parsed.kind, head.api_version.as_deref(), report) {
        return parsed;
    }
    match parsed.kind.as_str() {
        "ResponseRule" => read(&mut parsed, text, report, |rule| Content::Rule(Box::new(rule))),
        "EscalationPolicy" => read(&mut parsed, text, report, Content::Policy),
        "Contact" => read(&mut parsed, text, report, Content::Contact),
        "Schedule" => read(&mut parsed, text, report, Content::Schedule),
        "Calendar" => read(&mut parsed, text, report, Content::Calendar),
        "ScheduledCheck" => read(&mut parsed, text, report, |check| Content::Check(Box::new(check))),
        "StoredManifest" => read(&mut parsed, text, report, Content::Manifest),
        platform::KIND => read(&mut parsed, text, report, Content::Platform),
        _ => {}
    }
    parsed
}

fn read<S: serde::de::DeserializeOwned>(
    parsed: &mut Parsed<'_>,
    text: &str,
    report: &mut Report<'_>,
    content: impl FnOnce(S) -> Content,
) {
    let document = match yaml::read_partly::<raw::Document<S>>(parsed.file, text) {
        Ok(document) => Some(document),
        Err(partly) => {
            report.problems.extend(partly.problems);
            partly.rest.map(|(document, rest)| {
                parsed.rest = Some(rest);
                document
            })
        }
    };
    if let Some(document) = document {
        parsed.name = Some(document.metadata.name);
        parsed.content = Some(content(document.spec));
    }
}

/// Reads one document by its shape alone.
#[cfg(test)]
pub(super) fn read_shape(file: &str, text: &str) -> Result<(), Vec<Problem>> {
    let mut report = Report::new(file, text);
    parse(file, text, &mut report);
    if report.problems.is_empty() { Ok(()) } else { Err(report.problems) }
}

fn check_head(kind: &str, api_version: Option<&str>, report: &mut Report<'_>) -> bool {
    let version_help = || Some(format!("write `apiVersion: {}`", raw::API_VERSION));
    match api_version {
        Some(raw::API_VERSION) => {}
        Some(other) => {
            report.error("/apiVersion", format!("the version `{other}` is not supported"), version_help());
            return false;
        }
        None => {
            report.error("", "this document does not say its `apiVersion`", version_help());
            return false;
        }
    }
    if !KINDS.contains(&kind) {
        let help = match nearest(kind, KINDS) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("there are: {}", KINDS.join(", ")),
        };
        report.error("/kind", format!("the kind `{kind}` is not known"), Some(help));
        return false;
    }
    true
}

fn names(parsed: &[Parsed<'_>], texts: &[(&str, String)]) -> Names {
    let mut names = Names::default();
    for (document, (_, text)) in parsed.iter().zip(texts) {
        if !KINDS.contains(&document.kind.as_str()) {
            names.unreadable.push_str(text);
        }
        if document.kind == "ResponseRule" {
            names.rules += 1;
        }
        let Some(name) = document.name.clone() else { continue };
        match document.kind.as_str() {
            "EscalationPolicy" => names.policies.insert(name),
            "Contact" => names.contacts.insert(name),
            "Schedule" => {
                if matches!(&document.content, Some(Content::Schedule(raw)) if !raw.says_who()) {
                    names.without_rotations.insert(name.clone());
                }
                names.schedules.insert(name)
            }
            "Calendar" => names.calendars.insert(name),
            "StoredManifest" => names.manifests.insert(name),
            _ => false,
        };
    }
    names
}

#[cfg(test)]
mod tests;
