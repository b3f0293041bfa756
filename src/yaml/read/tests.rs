//! Mistakes in YAML are all shown, each at its place.

use serde::Deserialize;

use super::*;

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct House {
    server: Server,
    tokens: Vec<Token>,
    mode: Mode,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Server {
    port: u16,
    name: String,
    open: bool,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Token {
    name: String,
    role: Mode,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    DryRun,
    Enforce,
}

fn shown(text: &str) -> String {
    let problems = read::<House>("house.yaml", text).expect_err("the text has mistakes");
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn an_empty_document_is_an_empty_mapping() {
    for text in ["", "# nothing yet\n", "server:\n"] {
        assert_eq!(read::<House>("house.yaml", text), Ok(House::default()));
    }
}

#[test]
fn independent_mistakes_are_all_shown_in_one_go() {
    let text = "\
sever:
  port: 1
server:
  port: 70000
  name: [a]
  opne: true
tokens:
  - name: a
    role: enforced
  - nam: b
mode: dry-run
";
    insta::assert_snapshot!(shown(text));
}

#[test]
fn what_only_follows_from_another_mistake_is_left_out() {
    // Without the line the parent is empty and the key is missing; neither is the reader's mistake.
    assert_eq!(read::<House>("f", "tokens:\n  - {name: [], role: enforce}\n").map_err(|p| p.len()), Err(1));
    assert_eq!(read::<House>("f", "tokens:\n  - role: enforce\n    name: []\n").map_err(|p| p.len()), Err(1));
    assert_eq!(read::<House>("f", "server:\n  name:\n    a: b\n").map_err(|p| p.len()), Err(1));
}

#[test]
fn broken_yaml_gives_one_problem_with_its_place() {
    insta::assert_snapshot!(shown("server:\n  port: 1\n name: x\n"));
    insta::assert_snapshot!(shown("mode: *dry\n"), @r"
    error: a value that begins with `*` is an alias in YAML, and there is no such anchor
     --> house.yaml:1:7
      |
    1 | mode: *dry
      |       ^^^^
      |
      = help: put the value in quotes; what follows in this document was not looked at
    ");
}

#[test]
fn a_flood_of_mistakes_is_cut_off() {
    let text: String = (0..100).map(|n| format!("k{n}: 1\n")).collect();
    assert_eq!(read::<House>("f", &text).map_err(|problems| problems.len()), Err(PROBLEMS_MAX));
}

#[test]
fn a_yaml_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let before = n - 1;
        text += &format!(
            "a{n}: &a{n} [*a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}]\n"
        );
    }
    text += "server: {name: *a11}\n";
    assert!(read::<serde_json::Value>("f", &text).is_err());
    assert!(read::<serde_json::Value>("f", &"[".repeat(100_000)).is_err());
}

#[test]
fn the_line_shown_holds_no_secret() {
    let text = "server: {port: x, name: xoxb-1234567890-secret}\n";
    let shown = shown(text);
    assert!(!shown.contains("1234567890"), "{shown}");
}

#[test]
fn nearest_suggests_only_what_is_close() {
    assert_eq!(nearest("bot_tokn", ["bot_token", "team_id"]), Some("bot_token"));
    assert_eq!(nearest("Mode", ["mode"]), Some("mode"));
    assert_eq!(nearest("colour", ["mode", "rules"]), None);
    assert_eq!(nearest("x", []), None);
}
