//! What is wrong with a test itself, seen once it was played: a finding that a decision needed and the test does not say,
//! and findings or fields that nobody reads.

use super::format::{CannedFinding, Findings, Short, Spec, Test};
use super::report::Mismatch;
use super::world::NOT_SAID;
use crate::domain::catalog::Catalog;
use crate::domain::rule::DiagnosticSpec;
use crate::domain::timeline::LineKind;
use crate::engine::playbook::Playbook;
use crate::engine::ports::IncidentView;
use crate::rules::RuleBook;
use crate::rules::vocabulary::FINDING_FIELDS;
use crate::yaml::nearest;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A complaint: where it stands below the test, what time it is about, and what it says.
pub type Complaint = (Vec<String>, Option<Timestamp>, Mismatch);

/// All that is wrong with a test.
pub fn complaints(
    spec: &Spec,
    test: &Test,
    asked: &BTreeSet<String>,
    views: &[IncidentView],
    book: &RuleBook,
) -> Vec<Complaint> {
    let mut found = not_said(views);
    let read: Vec<DiagnosticSpec> = views
        .iter()
        .filter_map(|view| book.rule_by_hash(&view.incident.rule_hash))
        .flat_map(|kept| kept.rule.diagnostics.clone())
        .collect();
    let first = (vec!["findings".to_owned()], &test.findings);
    let later = test.input.iter().enumerate().map(|(number, input)| {
        (vec!["input".to_owned(), number.to_string(), "findings".to_owned()], &input.findings)
    });
    for (place, findings) in std::iter::once(first).chain(later) {
        found.extend(unread(&place, findings, asked));
        found.extend(unknown_fields(&place, findings, &read, book.catalog()));
    }
    // Findings of the whole file are for whichever test reads them; their fields must be right all the same.
    found.extend(unknown_fields(&["findings".to_owned()], &spec.findings, &read, book.catalog()));
    found
}

/// A decision that went as it went because the test says nothing of a finding proves nothing.
fn not_said(views: &[IncidentView]) -> Vec<Complaint> {
    let mut first: BTreeMap<String, (Timestamp, &str)> = BTreeMap::new();
    for line in views.iter().flat_map(|view| &view.timeline) {
        let is_judged = matches!(line.kind, LineKind::Decision | LineKind::Verification | LineKind::Outcome);
        let Some((_, rest)) = line.text.split_once(NOT_SAID).filter(|_| is_judged) else { continue };
        let name = rest.trim_start().split([' ', ',', ';']).next().unwrap_or_default();
        first.entry(name.to_owned()).or_insert((line.at, &line.text));
    }
    let complaint = |(name, (at, text)): (String, (Timestamp, &str))| {
        let help = format!("say under `findings` what it finds: `{name}: {{ … }}`, or `{name}: unknown`");
        let told = text.split(NOT_SAID).next().unwrap_or_default().trim_end_matches([' ', ':']);
        let said = format!("the test does not say what `{name}` finds, and a decision needs it ({told})");
        (vec!["findings".to_owned()], Some(at), Mismatch::said(said).with_help(help))
    };
    first.into_iter().map(complaint).collect()
}

/// A finding that no rule which answered asks for is a slip of the pen.
fn unread(place: &[String], findings: &Findings, asked: &BTreeSet<String>) -> Vec<Complaint> {
    if asked.is_empty() {
        return Vec::new();
    }
    let unread = findings.keys().filter(|name| !asked.contains(*name));
    let complaint = |name: &String| {
        let help = match nearest(name, asked.iter().map(String::as_str)) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("they have: {}", asked.iter().cloned().collect::<Vec<_>>().join(", ")),
        };
        let said = Mismatch::said(format!("no rule that answers has a diagnostic `{name}`"));
        ([place, std::slice::from_ref(name)].concat(), None, said.with_help(help))
    };
    unread.map(complaint).collect()
}

/// A field that its diagnostic never has.
fn unknown_fields(
    place: &[String],
    findings: &Findings,
    read: &[DiagnosticSpec],
    catalog: &Catalog,
) -> Vec<Complaint> {
    let mut found = Vec::new();
    for (name, Short(finding)) in findings {
        let CannedFinding::Known { fields, .. } = finding else { continue };
        // Where several rules use the name, each may have fields of its own.
        let known: Vec<Vec<String>> = read
            .iter()
            .filter(|spec| spec.name == *name)
            .filter_map(|spec| fields_of(spec, catalog))
            .collect();
        if known.is_empty() || known.iter().any(Vec::is_empty) {
            continue;
        }
        let known: BTreeSet<&str> = known.iter().flatten().map(String::as_str).collect();
        for field in fields.keys().filter(|field| !known.contains(field.as_str())) {
            let help = match nearest(field, known.iter().copied()) {
                Some(close) => format!("did you mean `{close}`?"),
                None => format!("its fields: {}", known.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            let said = Mismatch::said(format!("the finding `{name}` has no field `{field}`"));
            found.push(([place, &[name.clone(), field.clone()]].concat(), None, said.with_help(help)));
        }
    }
    found
}

fn fields_of(spec: &DiagnosticSpec, catalog: &Catalog) -> Option<Vec<String>> {
    let kind = catalog.diagnostic(&spec.kind)?;
    let own = kind.fields.iter().map(|(name, _)| (*name).to_owned());
    let named = (kind.check)(&spec.params).ok()?.fields;
    let all: Vec<String> = own.chain(named).collect();
    if all.is_empty() {
        return Some(all);
    }
    Some(all.into_iter().chain(FINDING_FIELDS.map(str::to_owned)).collect())
}
