//! Alertmanager's own test tables.

use serde_json::Value;

use crate::matcher::*;
use crate::vectors::{load, rows, text};

const FILE: &str = "alertmanager_matchers.json";

fn op(sign: &str) -> MatchOp {
    [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex]
        .into_iter()
        .find(|op| op.as_str() == sign)
        .expect("one of the four operators")
}

fn expected(row: &Value) -> Vec<(MatchOp, String, String)> {
    rows(row, "matchers")
        .iter()
        .map(|m| (op(text(m, "op")), text(m, "name").to_owned(), text(m, "value").to_owned()))
        .collect()
}

fn plain(matchers: &[Matcher]) -> Vec<(MatchOp, String, String)> {
    matchers.iter().map(|m| (m.op(), m.name().to_owned(), m.value().to_owned())).collect()
}

/// Holds each row of a table to `parse`; how many rows there are is part of the check, so that none is lost.
fn check(table: &[Value], count: usize, parse: impl Fn(&str) -> Result<Vec<Matcher>, MatcherError>) {
    assert_eq!(table.len(), count);
    let mut failures = Vec::new();
    for row in table {
        let found = parse(text(row, "input"));
        match (found, row.get("error")) {
            (Ok(found), None) if plain(&found) == expected(row) => {}
            (Err(_), Some(_)) => {}
            (found, _) => failures.push(format!("{row}\n    is {found:?}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn list(parsed: Result<Matchers, MatcherError>) -> Result<Vec<Matcher>, MatcherError> {
    parsed.map(|matchers| matchers.iter().cloned().collect())
}

#[test]
fn the_utf8_syntax_agrees_with_alertmanager() {
    let Some(tables) = load(FILE) else { return };
    let table = &tables["utf8_parser"];
    check(rows(table, "matchers"), 45, |input| list(parse_utf8(input)));
    // Alertmanager tests its single form below the check for braces, which fallback and strict mode put before it.
    check(rows(table, "single"), 31, |input| {
        let matchers = list(parse_utf8(input))?;
        let problem = match matchers.len() {
            1 => return Ok(matchers),
            0 => MatcherProblem::NoMatcher,
            count => MatcherProblem::TooMany(count),
        };
        Err(MatcherError::at(input, 0, problem))
    });
}

#[test]
fn the_single_form_of_the_utf8_syntax_agrees_where_no_braces_are() {
    let Some(tables) = load(FILE) else { return };
    let all = rows(&tables["utf8_parser"], "single");
    let bare: Vec<Value> = all.iter().filter(|row| !text(row, "input").starts_with('{')).cloned().collect();
    check(&bare, 10, |input| parse_matcher(input, ParseMode::Utf8Strict).map(|one| vec![one]));
}

#[test]
fn the_classic_syntax_agrees_with_alertmanager() {
    let Some(tables) = load(FILE) else { return };
    check(rows(&tables["classic_parser"], "matchers"), 53, |input| list(parse_classic(input)));
}

#[test]
fn the_utf8_syntax_complies_where_alertmanagers_does() {
    let Some(tables) = load(FILE) else { return };
    let all = rows(&tables["compliance"], "matchers");
    let (skipped, held): (Vec<Value>, Vec<Value>) =
        all.iter().cloned().partition(|row| row["skip_in_utf8"] == Value::Bool(true));
    check(&held, 35, |input| list(parse_utf8(input)));
    // These are classic expectations that the UTF-8 syntax gives up on purpose; the classic syntax meets them.
    check(&skipped, 19, |input| list(parse_classic(input)));
}

#[test]
fn fallback_mode_agrees_with_alertmanager() {
    let Some(tables) = load(FILE) else { return };
    let table = &tables["fallback_mode"];
    check(rows(table, "single"), 5, |input| parse_matcher(input, ParseMode::Fallback).map(|one| vec![one]));
    check(rows(table, "many"), 5, |input| list(parse(input, ParseMode::Fallback)));
}

#[test]
fn matching_agrees_with_alertmanager() {
    let Some(tables) = load(FILE) else { return };
    let cases = rows(&tables["matching"], "cases");
    assert_eq!(cases.len(), 17);
    for case in cases {
        let matcher = Matcher::new("label", op(text(case, "op")), text(case, "pattern")).expect("a matcher");
        assert_eq!(Value::Bool(matcher.matches_value(text(case, "value"))), case["match"], "{case}");
    }
}

#[test]
fn printing_agrees_with_alertmanager() {
    let Some(tables) = load(FILE) else { return };
    let cases = rows(&tables["stringify"], "cases");
    assert_eq!(cases.len(), 12);
    for case in cases {
        let matcher =
            Matcher::new(text(case, "name"), op(text(case, "op")), text(case, "value")).expect("a matcher");
        assert_eq!(matcher.to_string(), text(case, "want"));
    }
}

#[test]
fn label_names_agree_with_alertmanager() {
    let Some(tables) = load(FILE) else { return };
    for (table, rule) in
        [("classic", is_classic_label_name as fn(&str) -> bool), ("utf8", is_utf8_label_name)]
    {
        let pairs = rows(&tables["label_names"], table);
        assert_eq!(pairs.len(), 5);
        for pair in pairs {
            let name = pair[0].as_str().expect("a name");
            assert_eq!(Value::Bool(rule(name)), pair[1], "{table} {name:?}");
        }
    }
}
