//! The matcher language against its own cases; the tables of Alertmanager stand in `tables`, the expressions in `re2`,
//! and what must hold for every text in `properties`.

mod properties;
mod re2;
mod tables;

use std::collections::BTreeMap;

use super::*;

fn mk_labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn mk_matchers(input: &str) -> Matchers {
    input.parse().unwrap_or_else(|error| panic!("{input}: {error}"))
}

#[test]
fn a_list_matches_when_every_matcher_does() {
    let matchers = mk_matchers(r#"{alertname="HighErrorRate",severity=~"critical|page",env!="dev"}"#);
    assert!(matchers.matches(&mk_labels(&[("alertname", "HighErrorRate"), ("severity", "page")])));
    assert!(!matchers.matches(&mk_labels(&[("alertname", "HighErrorRate"), ("severity", "info")])));
    assert!(!matchers.matches(&mk_labels(&[
        ("alertname", "HighErrorRate"),
        ("severity", "page"),
        ("env", "dev")
    ])));
}

#[test]
fn a_missing_label_equals_the_empty_text() {
    let none = mk_labels(&[]);
    for (input, expected) in [
        (r#"team="""#, true),
        (r#"team!="""#, false),
        (r#"team=~".*""#, true),
        (r#"team=~".+""#, false),
        (r#"team!~".+""#, true),
        (r#"team=~"a|""#, true),
        (r#"team!="a""#, true),
        ("", true),
    ] {
        assert_eq!(mk_matchers(input).matches(&none), expected, "{input}");
    }
}

#[test]
fn labels_come_from_maps_and_from_pairs() {
    let matchers = mk_matchers("a=b");
    let pairs = [("a", "b")];
    assert!(matchers.matches(pairs.as_slice()));
    assert!(matchers.matches(&HashMap::from([("a".to_owned(), "b".to_owned())])));
}

#[test]
fn only_an_equality_with_a_value_is_required() {
    let matchers = mk_matchers(r#"a=~"x",b!="y",c="",d="z",d="w""#);
    assert_eq!(matchers.required_equal("d"), Some("z"));
    for name in ["a", "b", "c", "e"] {
        assert_eq!(matchers.required_equal(name), None, "{name}");
    }
}

#[test]
fn errors_point_at_the_place_and_say_the_way_out() {
    for (input, column, part) in [
        ("foo", 4, "expected an operator: `=`"),
        ("{foo=bar", 9, "expected `}`"),
        ("foo=bar}x", 8, "expected `{`"),
        ("ü!x=y", 2, "put a value that holds `!` in double quotes"),
        ("a=b,c=\"", 7, "never closed"),
        ("a=b c", 5, "put a value with blanks"),
        (r#"foo🙂="a\q""#, 6, "write a backslash as"),
        (r#"a="b", ,"#, 8, "another matcher"),
        (r#"a=~"b[""#, 4, "regular expression of `a` is not usable: at its character 2: this bracket"),
        (r#"""="x""#, 1, "label name is empty"),
        ("{a=b} c", 7, "expected nothing more"),
    ] {
        let error = parse_utf8(input).expect_err(input);
        assert_eq!(error.column, column, "{input}: {error}");
        assert!(error.to_string().contains(part), "{input}: {error}");
    }
}

#[test]
fn classic_errors_point_at_the_place() {
    for (input, column, part) in [
        ("a=b, c-d=e", 6, "needs the UTF-8 syntax"),
        ("a=b,c=\"d", 7, "double quote"),
        ("{a=b,c=d\"e", 9, "double quote"),
        ("a=b,,c=d", 5, "expected a label name"),
        ("x=~(", 4, "never closed"),
    ] {
        let error = parse_classic(input).expect_err(input);
        assert_eq!(error.column, column, "{input}: {error}");
        assert!(error.to_string().contains(part), "{input}: {error}");
    }
}

#[test]
fn fallback_warns_about_what_only_the_classic_syntax_reads() {
    let matchers = mk_matchers("foo=!bar\\n");
    let [ParseWarning::ClassicOnly { suggestion, .. }] = matchers.warnings() else {
        panic!("{:?}", matchers.warnings());
    };
    assert_eq!(suggestion, r#"foo="!bar\n""#);
    assert!(mk_matchers(suggestion).warnings().is_empty());
    assert_eq!(mk_matchers(suggestion), matchers);
}

#[test]
fn fallback_warns_when_both_syntaxes_read_and_differ() {
    let matchers = mk_matchers(r#"foo="\x41""#);
    assert_eq!(matchers.iter().next().map(Matcher::value), Some(r"\x41"));
    let [warning @ ParseWarning::Disagreement { .. }] = matchers.warnings() else {
        panic!("{:?}", matchers.warnings());
    };
    let text = warning.to_string();
    assert!(text.contains(r#"`foo="\\x41"`"#) && text.contains(r#"`foo="A"`"#), "{text}");
}

#[test]
fn a_single_matcher_has_no_braces_and_is_alone() {
    for (input, part) in [("{a=b}", "no braces"), ("a=b,c=d", "2 matchers"), ("", "no matcher")] {
        let error = parse_matcher(input, ParseMode::Utf8Strict).expect_err(input);
        assert!(error.to_string().contains(part), "{input}: {error}");
    }
    // The classic syntax takes everything after the operator for the value, and fallback mode follows it.
    let single = parse_matcher("a=b,c=d", ParseMode::Fallback).expect("classic reads it");
    assert_eq!((single.name(), single.value()), ("a", "b,c=d"));
}

#[test]
fn a_comma_after_a_backslash_splits_as_in_alertmanager() {
    let matchers = parse_classic(r#"foo=\,bar="x""#).expect("two matchers");
    assert_eq!(matchers.to_string(), r#"{foo="\\",bar="x"}"#);
    let quoted = parse_classic(r#"foo="\,bar=x""#).expect("one matcher");
    assert_eq!(quoted.to_string(), r#"{foo="\\,bar=x"}"#);
}

#[test]
fn json_holds_the_printed_text_and_takes_lists_and_strings() {
    let matchers: Matchers =
        serde_json::from_str(r#"["a=\"b\"", "{c!=\"d\", \"e f\"=~\"g.*\"}"]"#).expect("a list");
    assert_eq!(matchers.len(), 3);
    let text = serde_json::to_string(&matchers).expect("serializes");
    assert_eq!(text, r#"["a=\"b\"","c!=\"d\"","\"e f\"=~\"g.*\""]"#);
    assert_eq!(serde_json::from_str::<Matchers>(&text).expect("reads back"), matchers);
    assert_eq!(serde_json::from_str::<Matchers>(r#""a=b,c!=d""#).expect("a string").len(), 2);
    let single: Matcher = serde_json::from_str(r#""a!~\"b\"""#).expect("a matcher");
    assert_eq!(serde_json::to_string(&single).expect("serializes"), r#""a!~\"b\"""#);
    let error = serde_json::from_str::<Matchers>(r#"["a=b", "c"]"#).expect_err("no operator").to_string();
    assert!(error.contains("expected an operator"), "{error}");
    let error = serde_json::from_str::<Matchers>("7").expect_err("a number").to_string();
    assert!(error.contains("matchers as text"), "{error}");
}

#[test]
fn warnings_survive_deserialization_for_whoever_lints() {
    let matchers: Matchers = serde_json::from_str(r#"["a=b", "c="]"#).expect("a list");
    assert_eq!(matchers.warnings().len(), 1);
}

#[test]
fn matchers_sort_by_name_value_and_operator() {
    let mut list: Vec<Matcher> =
        ["b=a", "a!=b", "a=b", "a=a"].iter().map(|input| input.parse().expect("a matcher")).collect();
    list.sort();
    assert_eq!(Matchers::from(list).to_string(), r#"{a="a",a="b",a!="b",b="a"}"#);
}

#[test]
fn the_schema_names_a_string_or_a_list_of_strings() {
    let schema = schemars::schema_for!(Matchers).to_value();
    assert_eq!(schema["anyOf"][1]["type"], "array");
    assert_eq!(schema["$defs"]["Matcher"]["type"], "string");
}
