//! Every published limit, at its edge and one beyond.

use serde_json::{Value, json};

use super::*;

fn mk_section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
}

fn mk_button(changes: Value) -> Value {
    let mut button =
        json!({"type": "button", "text": {"type": "plain_text", "text": "Go"}, "action_id": "go"});
    for (key, value) in changes.as_object().expect("an object") {
        button[key] = value.clone();
    }
    json!({"type": "actions", "elements": [button]})
}

fn faults_of(blocks: Value) -> Vec<String> {
    match checked_blocks(&blocks) {
        Ok(_) => Vec::new(),
        Err(BlockError::Invalid(lines)) => lines,
        Err(other) => vec![format!("{other:?}")],
    }
}

/// Asserts that `mk(limit)` is fine and `mk(limit + 1)` is refused at `pointer`.
fn assert_edge(limit: usize, pointer: &str, mk: impl Fn(usize) -> Value) {
    assert_eq!(faults_of(json!([mk(limit)])), Vec::<String>::new(), "{limit} at {pointer} must pass");
    let faults = faults_of(json!([mk(limit + 1)]));
    assert_eq!(faults.len(), 1, "one more at {pointer}: {faults:?}");
    assert!(faults[0].ends_with(&format!("[json-pointer:{pointer}]")), "{faults:?}");
}

#[test]
fn text_limits_hold_to_the_character() {
    // "ü" is two bytes: limits count characters.
    let text = |n: usize| "ü".repeat(n);
    assert_edge(3_000, "/blocks/0/text/text", |n| mk_section(&text(n)));
    assert_edge(
        150,
        "/blocks/0/text/text",
        |n| json!({"type": "header", "text": {"type": "plain_text", "text": text(n)}}),
    );
    assert_edge(
        2_000,
        "/blocks/0/fields/0/text",
        |n| json!({"type": "section", "fields": [{"type": "mrkdwn", "text": text(n)}]}),
    );
    assert_edge(75, "/blocks/0/elements/0/text/text", |n| {
        mk_button(json!({"text": {"type": "plain_text", "text": text(n)}}))
    });
    assert_edge(2_000, "/blocks/0/elements/0/value", |n| mk_button(json!({"value": text(n)})));
    assert_edge(3_000, "/blocks/0/elements/0/url", |n| mk_button(json!({"url": text(n)})));
    assert_edge(255, "/blocks/0/elements/0/action_id", |n| mk_button(json!({"action_id": text(n)})));
    assert_edge(255, "/blocks/0/block_id", |n| json!({"type": "divider", "block_id": text(n)}));
    assert_edge(12_000, "/blocks/0/text", |n| json!({"type": "markdown", "text": text(n)}));
    let part = |name: &str, n: usize| {
        let mut confirm = json!({"text": {"type": "plain_text", "text": "sure?"}});
        confirm[name] = json!({"type": "plain_text", "text": text(n)});
        mk_button(json!({ "confirm": confirm }))
    };
    for (name, limit) in [("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)] {
        assert_edge(limit, &format!("/blocks/0/elements/0/confirm/{name}/text"), |n| part(name, n));
    }
}

#[test]
fn count_limits_hold() {
    let dividers = |n: usize| Value::from(vec![json!({"type": "divider"}); n]);
    assert_eq!(faults_of(dividers(50)), Vec::<String>::new());
    assert_eq!(faults_of(dividers(51)), ["no more than 50 items allowed [json-pointer:/blocks]"]);
    let text = json!({"type": "mrkdwn", "text": "x"});
    assert_edge(10, "/blocks/0/fields", |n| json!({"type": "section", "fields": vec![text.clone(); n]}));
    assert_edge(10, "/blocks/0/elements", |n| json!({"type": "context", "elements": vec![text.clone(); n]}));
    assert_edge(25, "/blocks/0/elements", |n| {
        let button = |i: usize| mk_button(json!({"action_id": format!("b{i}")}))["elements"][0].clone();
        json!({"type": "actions", "elements": (0..n).map(button).collect::<Vec<_>>()})
    });
}

#[test]
fn all_blocks_together_have_a_limit_of_their_own() {
    let blocks = |texts: usize| Value::from(vec![mk_section(&"x".repeat(2_900)); texts]);
    assert!(checked_blocks(&blocks(4)).is_ok());
    assert_eq!(checked_blocks(&blocks(5)), Err(BlockError::TooLong));
    // What others measured: (characters, blocks, accepted).
    for (chars, count, accepted) in
        [(9_597, 50, true), (6_020, 33, true), (4_649, 28, true), (11_341, 45, false)]
    {
        let each = chars / count;
        let mut blocks = vec![mk_section(&"x".repeat(each)); count - 1];
        blocks.push(mk_section(&"x".repeat(chars - each * (count - 1))));
        assert_eq!(weight(&blocks) <= MAX_TOTAL_WEIGHT, accepted, "{chars} characters in {count} blocks");
    }
}

#[test]
fn empty_missing_and_unknown_parts_are_named_with_their_place() {
    assert_eq!(
        faults_of(json!([mk_section("")])),
        ["must be more than 0 characters [json-pointer:/blocks/0/text/text]"]
    );
    assert_eq!(
        faults_of(json!([{"type": "section"}])),
        ["missing required field: text [json-pointer:/blocks/0]"]
    );
    assert_eq!(
        faults_of(json!([{"type": "carousel"}])),
        ["unsupported type: carousel [json-pointer:/blocks/0/type]"]
    );
    assert_eq!(
        faults_of(json!([{"type": "divider", "colour": "red"}])),
        ["invalid additional property: colour [json-pointer:/blocks/0]"]
    );
    assert_eq!(
        faults_of(json!([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}])),
        ["failed to match all allowed schemas [json-pointer:/blocks/0/text]"]
    );
    assert_eq!(
        faults_of(json!([mk_button(json!({"style": "default"}))])),
        ["must be a valid enum value [json-pointer:/blocks/0/elements/0/style]"]
    );
    assert_eq!(
        faults_of(json!([{"type": "context", "elements": []}])),
        ["no fewer than 1 items allowed [json-pointer:/blocks/0/elements]"]
    );
}

#[test]
fn identities_within_a_message_are_unique() {
    let twice = json!([{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}]);
    assert_eq!(faults_of(twice).len(), 1);
    let button = mk_button(json!({}))["elements"][0].clone();
    assert_eq!(faults_of(json!([{"type": "actions", "elements": [button, button]}])).len(), 1);
}

#[test]
fn what_is_not_a_list_of_objects_has_the_wrong_format() {
    for blocks in [json!({}), json!("text"), json!([1]), json!(["divider"]), Value::Null] {
        assert_eq!(checked_blocks(&blocks), Err(BlockError::Format), "{blocks}");
    }
}

#[test]
fn preformatted_rich_text_passes_and_its_leaves_are_checked() {
    let block = |leaf: Value| json!([{"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [leaf]}]}]);
    assert_eq!(
        faults_of(block(json!({"type": "text", "text": "ERROR ``` <!channel>"}))),
        Vec::<String>::new()
    );
    assert_eq!(faults_of(block(json!({"type": "text", "text": ""}))).len(), 1);
    assert_eq!(faults_of(block(json!({"type": "script"}))).len(), 1);
}
