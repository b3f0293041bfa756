//! The chain holds, and shows when it does not.

use super::*;

fn mk_chain(count: u64) -> Vec<TimelineLine> {
    let mut head = TimelineHead::default();
    (0..count)
        .map(|n| {
            head.append(
                Timestamp::UNIX_EPOCH,
                LineKind::Alert,
                &Actor::machine(),
                Some("x"),
                format!("line {n}"),
            )
        })
        .collect()
}

#[test]
fn an_untouched_chain_verifies() {
    assert_eq!(verify_chain(&mk_chain(5)), Ok(()));
    assert_eq!(verify_chain(&[]), Ok(()));
}

#[test]
fn a_changed_line_shows() {
    let change: [fn(&mut TimelineLine); 5] = [
        |line| line.text.push('!'),
        |line| line.at = Timestamp::MAX,
        |line| line.kind = LineKind::Intent,
        |line| line.actor.name = "eve".to_owned(),
        |line| line.reason = None,
    ];
    for change in change {
        let mut chain = mk_chain(4);
        change(&mut chain[2]);
        assert_eq!(verify_chain(&chain), Err(ChainBroken::Hash(3)));
    }
}

#[test]
fn a_missing_or_moved_line_shows() {
    let mut chain = mk_chain(4);
    chain.remove(1);
    assert_eq!(verify_chain(&chain), Err(ChainBroken::Sequence { expected: 2, found: 3 }));
    let mut chain = mk_chain(4);
    chain.swap(1, 2);
    assert!(verify_chain(&chain).is_err());
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let mut head = TimelineHead::default();
    let line =
        head.append(Timestamp::UNIX_EPOCH, LineKind::Alert, &Actor::machine(), None, "ü".repeat(5_000));
    assert!(line.text.len() <= LINE_TEXT_BYTES_MAX);
    assert!(line.text.ends_with('…'));
}

#[test]
fn the_digest_does_not_depend_on_the_order_of_keys() {
    let one: serde_json::Value = serde_json::from_str(r#"{"a":1,"b":{"c":2,"d":3}}"#).expect("JSON");
    let other: serde_json::Value = serde_json::from_str(r#"{"b":{"d":3,"c":2},"a":1}"#).expect("JSON");
    assert_eq!(digest_of(&one), digest_of(&other));
}

#[test]
fn a_text_from_outside_stays_on_one_line() {
    assert_eq!(one_line(" a\n\tb\u{0} c\u{1b}[31m ", 20), "a b c [31m");
    assert_eq!(one_line("日本語です", 2), "日本…");
    assert_eq!(one_line("", 5), "");
}
