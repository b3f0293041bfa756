//! What must hold for every text.

use proptest::prelude::*;

use crate::matcher::pattern::Pattern;
use crate::matcher::*;

/// Texts full of what the syntaxes care about.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), r#"[a-z{}!=~,"'`\\ \n\t🙂éx0-9\[\]()|.*+?^$-]{0,24}"#]
}

fn any_op() -> impl Strategy<Value = MatchOp> {
    prop_oneof![Just(MatchOp::Equal), Just(MatchOp::NotEqual), Just(MatchOp::Regex), Just(MatchOp::NotRegex)]
}

fn any_matcher() -> impl Strategy<Value = Matcher> {
    (prop_oneof!["[a-zA-Z_:][a-zA-Z0-9_:]{0,6}", any_text()], any_op(), any_text())
        .prop_filter_map("names are not empty and expressions compile", |(name, op, value)| {
            Matcher::new(name, op, value).ok()
        })
}

/// Expressions that read alike in RE2 and in the `regex` crate without Unicode classes.
fn plain_expression() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        "[a-c]",
        "\\[[a-c]{1,3}\\]",
        "\\[\\^[a-c]\\]",
        Just(".".to_owned()),
        Just("\\.".to_owned())
    ];
    atom.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), prop_oneof!["", "[*+?]", "\\{[0-3]\\}", "\\{1,3\\}\\?"])
                .prop_map(|(item, operator)| format!("({item}){operator}")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("{left}{right}")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("(?:{left}|{right})")),
            inner.prop_map(|item| format!("(?i:{item})")),
        ]
    })
}

proptest! {
    #[test]
    fn parsers_never_panic_and_point_inside_the_text(input in any_text()) {
        for parsed in [parse_classic(&input), parse_utf8(&input), parse(&input, ParseMode::Fallback)] {
            if let Err(error) = parsed {
                prop_assert!(error.offset <= input.len(), "{error} in {input:?}");
                prop_assert!(error.column <= input.chars().count() + 1, "{error} in {input:?}");
            }
        }
        for mode in [ParseMode::Fallback, ParseMode::Classic, ParseMode::Utf8Strict] {
            let _ = parse_matcher(&input, mode);
        }
    }

    #[test]
    fn a_printed_matcher_reads_back_the_same(matcher in any_matcher()) {
        let printed = matcher.to_string();
        for mode in [ParseMode::Fallback, ParseMode::Utf8Strict] {
            let read = parse_matcher(&printed, mode);
            prop_assert_eq!(read.as_ref(), Ok(&matcher), "{}", printed);
        }
        let json = serde_json::to_string(&matcher).expect("serializes");
        prop_assert_eq!(&serde_json::from_str::<Matcher>(&json).expect("reads back"), &matcher);
    }

    #[test]
    fn a_printed_list_reads_back_the_same(list in prop::collection::vec(any_matcher(), 0..5)) {
        let matchers = Matchers::from(list);
        let printed = matchers.to_string();
        // A name that needs quotes switches the classic syntax off for the whole text, and with it any disagreement.
        let read = parse(&printed, ParseMode::Utf8Strict).expect("reads back");
        prop_assert_eq!(&read, &matchers, "{}", printed);
        let json = serde_json::to_string(&matchers).expect("serializes");
        prop_assert_eq!(&serde_json::from_str::<Matchers>(&json).expect("reads back"), &matchers);
    }

    #[test]
    fn expressions_never_panic(expression in any_text()) {
        let _ = Pattern::compile(&expression);
    }

    #[test]
    fn translation_changes_nothing_where_both_engines_read_alike(
        expression in plain_expression(),
        texts in prop::collection::vec("[a-dA-D.\n]{0,6}", 8),
    ) {
        let plain = regex::Regex::new(&format!("^(?:{expression})$")).expect("a plain expression");
        let translated = Pattern::compile(&expression).expect("a plain expression");
        for text in texts {
            prop_assert_eq!(translated.is_match(&text), plain.is_match(&text), "{} on {:?}", expression, text);
        }
    }

    #[test]
    fn a_list_of_plain_texts_matches_as_the_engine_would(
        words in prop::collection::vec("[a-c]{0,2}", 1..4),
        text in "[a-c|]{0,3}",
    ) {
        let joined = words.join("|");
        let fast = Pattern::compile(&joined).expect("plain texts");
        let engine = Pattern::compile(&format!("(?:{joined})")).expect("plain texts in a group");
        prop_assert_eq!(fast.is_match(&text), engine.is_match(&text), "{} on {}", joined, text);
    }
}
