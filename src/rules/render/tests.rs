//! Labels stay data in every language that a text is used as.

use super::*;
use crate::domain::Labels;
use proptest::prelude::*;

/// What a hostile sender would put into a label.
fn hostile_values() -> Vec<String> {
    let mut values: Vec<String> = [
        "{{7*7}}",
        "{{ labels.other }}",
        "{% for x in range(end=9) %}x{% endfor %}",
        "\"} or vector(1)",
        "\"} or vector(1) #",
        "\\\"} or vector(1)",
        "\\",
        "') or vector(1)",
        ".*",
        "a|b",
        ";rm -rf /",
        "$(reboot)",
        "<!channel>",
        "../../etc/passwd",
        "..",
        "%2e%2e",
        "@evil.example.com/",
        "?admin=true&x=",
        "#",
        "line\nbreak",
        "tab\tnul\0bell\u{7}",
        "\u{1}marks\u{2}",
        "\u{202e}rtl",
        "ünïcödé 🧨",
        "\",\"admin\":true,\"x\":\"",
        "'; DROP TABLE incidents; --",
        "-",
        "UPPER",
    ]
    .map(str::to_owned)
    .into();
    values.push("x".repeat(64 << 10));
    values.push("\"\\".repeat(32 << 10));
    values
}

fn mk_scope(pairs: &[(&str, &str)]) -> Scope {
    let labels: Labels = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Scope::of_alert(&labels, &Labels::new())
}

fn render(text: &str, language: SlotLanguage, pairs: &[(&str, &str)]) -> Result<String, RenderError> {
    Templates::compile([text]).expect("compiles").render(text, language, &mk_scope(pairs))
}

/// The label matchers of the only selector of an expression, as name, operator and value.
fn matchers_of(expression: &str) -> Vec<(String, String, String)> {
    use promql_parser::parser::Expr;
    let parsed = promql_parser::parser::parse(expression).expect("parses");
    let Expr::VectorSelector(selector) = parsed else { panic!("{expression} became {parsed:?}") };
    let matchers = &selector.matchers.matchers;
    matchers.iter().map(|m| (m.name.clone(), m.op.to_string(), m.value.clone())).collect()
}

#[test]
fn no_label_can_leave_its_promql_string() {
    for value in hostile_values() {
        for text in ["up{job=\"{{ labels.x }}\"}", "up{job='{{ labels.x }}'}"] {
            match render(text, SlotLanguage::Promql, &[("x", &value)]) {
                Ok(expression) => {
                    let matchers = matchers_of(&expression);
                    let expected = value.replace(['\u{1}', '\u{2}'], "\u{fffd}");
                    assert_eq!(matchers, [("job".to_owned(), "=".to_owned(), expected)]);
                }
                Err(error) => assert_eq!(error, RenderError::TooLong(16 << 10), "{value:?}"),
            }
        }
    }
}

#[test]
fn a_label_within_a_regular_expression_matches_only_itself() {
    let expression = render("up{job=~\"web-{{ labels.x }}|db\"}", SlotLanguage::Promql, &[("x", "a.b|.*\"")])
        .expect("renders");
    assert_eq!(expression, r#"up{job=~"web-a\\.b\\|\\.\\*\"|db"}"#);
    for value in hostile_values() {
        let Ok(expression) = render("up{job!~ \"{{ labels.x }}\"}", SlotLanguage::Promql, &[("x", &value)])
        else {
            continue;
        };
        let pattern = matchers_of(&expression)[0].2.clone();
        let value = value.replace(['\u{1}', '\u{2}'], "\u{fffd}");
        let matcher =
            crate::domain::matcher::Matcher::new("x", crate::domain::matcher::MatchOp::Regex, pattern)
                .expect("a regular expression");
        assert!(matcher.matches_value(&value), "{value:?}");
        assert!(!matcher.matches_value(&format!("{value}x")), "{value:?}");
    }
}

#[test]
fn a_label_outside_of_promql_strings_is_a_number_or_a_duration_or_refused() {
    let bare = |value: &str| render("rate(x[{{ labels.x }}])", SlotLanguage::Promql, &[("x", value)]);
    assert_eq!(bare("5m"), Ok("rate(x[5m])".to_owned()));
    assert_eq!(bare("1h30m"), Ok("rate(x[1h30m])".to_owned()));
    let compared = |value: &str| render("x > {{ labels.x }}", SlotLanguage::Promql, &[("x", value)]);
    assert_eq!(compared("0.05"), Ok("x > 0.05".to_owned()));
    assert_eq!(compared("-3e2"), Ok("x > -3e2".to_owned()));
    for value in hostile_values().iter().map(String::as_str).chain(["0 or vector(1)", "inf", "NaN", "", "up"])
    {
        assert!(compared(value).is_err(), "{value:?}");
        assert!(bare(value).is_err(), "{value:?}");
        assert!(render("x{a=`{{ labels.x }}`}", SlotLanguage::Promql, &[("x", value)]).is_err(), "{value:?}");
    }
}

#[test]
fn an_empty_label_never_widens_a_selection() {
    let empty = &[("x", "")];
    assert_eq!(
        render("up{job=\"{{ labels.x }}\"}", SlotLanguage::Promql, empty),
        Err(RenderError::EmptyValue)
    );
    assert_eq!(render("/jobs/{{ labels.x }}", SlotLanguage::Url, empty), Err(RenderError::EmptyValue));
    assert_eq!(render("{{ labels.x }}", SlotLanguage::KubernetesName, empty), Err(RenderError::Empty));
    assert!(render("{{ labels.x }}", SlotLanguage::Promql, empty).is_err());
    assert_eq!(render("{{ labels.x }}", SlotLanguage::Text, empty), Ok(String::new()));
}

/// The text in double quotes that an expression goes on with, and what stands after it.
fn next_text(expression: &str) -> (String, &str) {
    let mut texts = serde_json::Deserializer::from_str(expression).into_iter::<String>();
    let text = texts.next().expect("a text").unwrap_or_else(|error| panic!("{error}: {expression}"));
    (text, &expression[texts.byte_offset()..])
}

#[test]
fn no_label_can_leave_its_logql_string() {
    for value in hostile_values() {
        let text = "{app=\"{{ labels.x }}\"} |= \"{{ labels.x }}\" |~ \"id={{ labels.x }}\"";
        match render(text, SlotLanguage::Logql, &[("x", &value)]) {
            Ok(query) => {
                let expected = value.replace(['\u{1}', '\u{2}'], "\u{fffd}");
                let (stream, rest) = next_text(query.strip_prefix("{app=").expect("the streams"));
                let (line, rest) = next_text(rest.strip_prefix("} |= ").expect("a filter"));
                assert_eq!((stream.as_str(), line.as_str()), (expected.as_str(), expected.as_str()));
                let (pattern, rest) = next_text(rest.strip_prefix(" |~ ").expect("another filter"));
                assert_eq!(rest, "");
                let pattern = regex::Regex::new(&format!("^{pattern}$")).expect("a regular expression");
                assert!(pattern.is_match(&format!("id={expected}")), "{pattern} {expected:?}");
                assert!(!pattern.is_match(&format!("id={expected}x")), "{pattern} {expected:?}");
            }
            Err(error) => assert_eq!(error, RenderError::TooLong(16 << 10), "{value:?}"),
        }
        for open in ["{app=`{{ labels.x }}`}", "{app={{ labels.x }}}", "{app=\"a\"} |= {{ labels.x }}"] {
            assert!(render(open, SlotLanguage::Logql, &[("x", &value)]).is_err(), "{open} {value:?}");
        }
    }
    let empty = render("{app=\"{{ labels.x }}\"}", SlotLanguage::Logql, &[("x", "")]);
    assert_eq!(empty, Err(RenderError::EmptyValue));
    assert!(render("{app=\"a} |= \"b\"", SlotLanguage::Logql, &[]).is_err(), "a text that does not end");
}

#[test]
fn no_label_can_change_where_a_url_leads() {
    for value in hostile_values() {
        let url = "https://api.example.com/v1/{{ labels.x }}/cache?key={{ labels.x }}#top";
        let rendered = match render(url, SlotLanguage::Url, &[("x", &value)]) {
            Ok(rendered) => rendered,
            Err(error) => {
                assert!(value == ".." || matches!(error, RenderError::TooLong(_)), "{value:?}: {error}");
                continue;
            }
        };
        let parsed = reqwest::Url::parse(&rendered).expect("a URL");
        assert_eq!(parsed.host_str(), Some("api.example.com"));
        assert_eq!(parsed.username(), "");
        assert_eq!(parsed.path_segments().expect("a path").count(), 3, "{rendered}");
        let queries: Vec<_> = parsed.query_pairs().collect();
        let expected = value.replace(['\u{1}', '\u{2}'], "\u{fffd}");
        assert_eq!(queries, [("key".into(), expected.into())]);
        assert_eq!(parsed.fragment(), Some("top"));
    }
}

#[test]
fn a_label_never_chooses_a_host() {
    for text in [
        "{{ labels.x }}://host/",
        "https://{{ labels.x }}/health",
        "https://x.{{ labels.x }}/health",
        "https://user:{{ labels.x }}@host/",
        "https:{{ labels.x }}",
        "//{{ labels.x }}/a",
    ] {
        assert!(render(text, SlotLanguage::Url, &[("x", "evil.example.com")]).is_err(), "{text}");
    }
    assert_eq!(render("/a/{{ labels.x }}", SlotLanguage::Url, &[("x", "b c")]), Ok("/a/b%20c".to_owned()));
    assert_eq!(render("{{ labels.x }}/a", SlotLanguage::Url, &[("x", "http:")]), Ok("http%3A/a".to_owned()));
    for bad in ["ftp://host/", "file:///etc/passwd", "https://host/../a", "https://host/a b", "//host/", ""] {
        assert!(render(bad, SlotLanguage::Url, &[]).is_err(), "{bad}");
    }
}

#[test]
fn json_stays_the_document_that_the_rule_wrote() {
    for value in hostile_values() {
        let text = "{\"summary\": \"x {{ labels.x }}\", \"n\": 1}";
        match render(text, SlotLanguage::JsonString, &[("x", &value)]) {
            Ok(rendered) => {
                let parsed: Value = serde_json::from_str(&rendered).expect("JSON");
                let expected = value.replace(['\u{1}', '\u{2}'], "\u{fffd}");
                assert_eq!(parsed, serde_json::json!({ "summary": format!("x {expected}"), "n": 1 }));
            }
            Err(error) => assert_eq!(error, RenderError::TooLong(128 << 10)),
        }
    }
    let bare = |value: &str| render("{\"n\": {{ labels.x }}}", SlotLanguage::JsonString, &[("x", value)]);
    assert_eq!(bare("7"), Ok("{\"n\": 7}".to_owned()));
    assert!(bare("1, \"admin\": true").is_err());
}

#[test]
fn a_kubernetes_name_is_valid_or_refused() {
    for value in hostile_values() {
        let rendered = render("{{ labels.x }}", SlotLanguage::KubernetesName, &[("x", &value)]);
        assert!(rendered.is_err(), "{value:?} became {rendered:?}");
    }
    let named = |value: &str| render("{{ labels.x }}", SlotLanguage::KubernetesName, &[("x", value)]).is_ok();
    assert!(named("api-gateway") && named("redis-0") && named("a.b.c") && named(&"a".repeat(63)));
    assert!(!named("-a") && !named("a-") && !named("a..b") && !named(&"a".repeat(64)) && !named("Api"));
}

#[test]
fn a_value_in_a_selector_is_one_value_and_never_another_condition() {
    let render = |text: &str, value: &str| render(text, SlotLanguage::KubernetesSelector, &[("x", value)]);
    // A word in capitals is a good value of a label.
    for value in hostile_values().into_iter().filter(|value| value != "UPPER") {
        let rendered = render("app={{ labels.x }}", &value);
        assert!(rendered.is_err(), "{value:?} became {rendered:?}");
    }
    for value in ["", "a,b=c", "a)", "!a", "a=b", "a in (b)", " ", "-"] {
        assert!(render("app={{ labels.x }},tier=web", value).is_err(), "{value:?}");
    }
    assert_eq!(render("app={{ labels.x }}", "Api_v2.1"), Ok("app=Api_v2.1".to_owned()));
    assert_eq!(render("app in ({{ labels.x }}, b)", "a"), Ok("app in (a, b)".to_owned()));
    assert!(render("{{ labels.x }}=", "app").is_err(), "an empty value selects what nobody meant");
}

#[test]
fn text_for_people_is_cut_and_shows_control_characters() {
    for value in hostile_values() {
        let text = render("say {{ labels.x }}", SlotLanguage::Text, &[("x", &value)]).expect("text is text");
        assert!(text.len() < 10_000);
        assert!(!text.contains("49") && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
    }
}

#[test]
fn an_undefined_name_is_an_error_with_its_name() {
    let error = render("{{ labels.nothing }}", SlotLanguage::Text, &[]).expect_err("undefined").to_string();
    assert!(error.contains("nothing"), "{error}");
    let text = "{{ labels?.nothing | default(value=\"?\") }}";
    assert_eq!(render(text, SlotLanguage::Text, &[]), Ok("?".to_owned()));
}

#[test]
fn output_is_bounded_whatever_the_template_repeats() {
    let text = "{{ labels.x }}".repeat(200);
    let error = render(&text, SlotLanguage::Text, &[("x", &"x".repeat(64 << 10))]).expect_err("too long");
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[test]
fn even_a_template_that_nobody_checked_cannot_switch_escaping_off() {
    for text in ["{{ labels.x | safe }}", "{{ labels.x | escape_html }}", "{{ labels.x | newlines_to_br }}"] {
        assert!(render(text, SlotLanguage::Promql, &[("x", "1 or vector(1)")]).is_err(), "{text}");
    }
}

#[test]
fn filters_for_numbers() {
    let mk = |filter: &str, value: f64| {
        let text = format!("{{{{ labels.x | float | {filter} }}}}");
        render(&text, SlotLanguage::Text, &[("x", &value.to_string())]).expect("renders")
    };
    assert_eq!(mk("percent", 0.0523), "5.23 %");
    assert_eq!(mk("percent", 1.0), "100 %");
    assert_eq!(mk("duration", 5400.0), "1h 30m");
    assert_eq!(mk("duration", 0.25), "0.25s");
    assert_eq!(mk("duration", 90_061.0), "1d 1h");
    assert_eq!(mk("duration", -60.0), "-1m");
}

#[test]
fn params_are_rendered_at_their_slots_only() {
    let params = serde_json::json!({ "expr": "up{job=\"{{ labels.x }}\"}", "links": { "a/b": "/{{ labels.x }}" }, "n": 3 });
    let slots = [Slot::new("/expr", SlotLanguage::Promql), Slot::new("/links/a~1b", SlotLanguage::Url)];
    let texts = ["up{job=\"{{ labels.x }}\"}", "/{{ labels.x }}"];
    let templates = Templates::compile(texts).expect("compiles");
    let rendered = templates.render_params(&slots, &params, &mk_scope(&[("x", "a\"b")])).expect("renders");
    assert_eq!(
        rendered,
        serde_json::json!({ "expr": "up{job=\"a\\\"b\"}", "links": { "a/b": "/a%22b" }, "n": 3 })
    );
    let error = templates.render_params(&slots, &params, &mk_scope(&[])).expect_err("undefined");
    assert_eq!(error.pointer, "/expr");
    let missing = [Slot::new("/nothing", SlotLanguage::Text)];
    assert!(templates.render_params(&missing, &params, &mk_scope(&[])).is_err());
}

proptest! {
    #[test]
    fn any_label_stays_a_value_in_promql(value in ".{1,60}") {
        let expression = render("up{job=\"{{ labels.x }}\"}", SlotLanguage::Promql, &[("x", &value)]);
        if let Ok(expression) = expression {
            let expected = value.replace(['\u{1}', '\u{2}'], "\u{fffd}");
            prop_assert_eq!(matchers_of(&expression), vec![("job".to_owned(), "=".to_owned(), expected)]);
        }
    }

    #[test]
    fn any_label_stays_a_segment_in_a_url(value in "\\PC{1,40}") {
        if let Ok(url) = render("https://h/a/{{ labels.x }}?q=1", SlotLanguage::Url, &[("x", &value)]) {
            let parsed = reqwest::Url::parse(&url).expect("a URL");
            prop_assert_eq!(parsed.path_segments().expect("a path").count(), 2);
            prop_assert_eq!(parsed.query(), Some("q=1"));
        }
    }
}
