//! Each shape of secret is found, and what stands around it stays.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn mask(text: &str) -> String {
    Redactor::default().redact(text).into_owned()
}

#[test]
fn each_shape_is_taken_and_its_surroundings_stay() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N";
    let table: &[(&str, &str)] = &[
        ("token xoxb-1234567890-abcdefgh in use", "token [redacted] in use"),
        ("xoxe.xoxp-1-Mi0yLTEyMzQ1", "[redacted]"),
        ("xapp-1-A0123456789-42-abcdef", "[redacted]"),
        (
            "POST https://hooks.slack.com/services/T0/B0/abc done",
            "POST https://hooks.slack.com/services/[redacted] done",
        ),
        ("got Bearer abcdefghijkl, refused", "got Bearer [redacted], refused"),
        ("got basic dXNlcjpwYXNz, refused", "got basic [redacted], refused"),
        ("Authorization: Digest username=\"x\"\nHost: a", "Authorization: [redacted]\"x\"\nHost: a"),
        ("authorization: Bearer x1\r\nhost: a", "authorization: [redacted]\r\nhost: a"),
        ("Cookie: session=abc; other=def\nX: y", "Cookie: [redacted]\nX: y"),
        ("routing_key=0123456789abcdef0123456789abcdef&x=1", "routing_key=[redacted]&x=1"),
        (
            r#"{"routing_key":"R0123","event_action":"trigger"}"#,
            r#"{"routing_key":"[redacted]","event_action":"trigger"}"#,
        ),
        (r#"msg="{\"password\":\"two words\",\"n\":1}""#, r#"msg="{\"password\":\"[redacted]\",\"n\":1}""#),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=[redacted] psql"),
        ("password: 'two words' next", "password: '[redacted]' next"),
        ("client_secret: s3cr3t, id: 7", "client_secret: [redacted], id: 7"),
        (
            "\u{1b}[3mpassword\u{1b}[0m\u{1b}[2m=\u{1b}[0mhunter2\u{1b}[0m x",
            "\u{1b}[3mpassword\u{1b}[0m\u{1b}[2m=\u{1b}[0m[redacted]\u{1b}[0m x",
        ),
        ("--password hunter2 --host db", "--password [redacted] --host db"),
        ("requirepass foobared\nport 6379", "requirepass [redacted]\nport 6379"),
        ("postgres://app:p@ss@db:5432/x", "postgres://[redacted]@db:5432/x"),
        ("https://ghp-token@example.com/a?b=c@d", "https://[redacted]@example.com/a?b=c@d"),
        ("id AKIAIOSFODNN7EXAMPLE.", "id [redacted]."),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "aws_secret_access_key = [redacted]"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "[redacted]"),
        ("github_pat_11ABCDEFG0123456789_abcdef", "[redacted]"),
        ("glpat-0123456789abcdefghij", "[redacted]"),
        (jwt, "[redacted]"),
        ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nx\n-----END RSA PRIVATE KEY-----\nb", "a\n[redacted]\nb"),
        ("cut -----BEGIN PRIVATE KEY-----\nMIIE", "cut [redacted]"),
        ("key: MIIEpA\nAAK=\n-----END RSA PRIVATE KEY-----\nb", "key: [redacted]\nb"),
        (r#""AAK=\n-----END PRIVATE KEY-----\n""#, r#""[redacted]\n""#),
        ("DB_PASS=hunter2 smtp-pass: hunter3", "DB_PASS=[redacted] smtp-pass: [redacted]"),
        ("dial app:p/w:1@tcp(db:3306)/shop", "dial [redacted]db:3306)/shop"),
    ];
    for (text, expected) in table {
        assert_eq!(mask(text), *expected, "for {text}");
    }
}

#[test]
fn ordinary_text_is_handed_back_without_a_copy() {
    let texts = [
        "bearer authentication failed for user una",
        "max_tokens=500 secretName: tls, tokens: 3",
        "password authentication failed",
        "see https://example.com/a@b and mail una@example.com",
        "token: null, secret: none",
        "pod pss-nano-5d4f8 restarted 3 times in 10m",
    ];
    for text in texts {
        assert_eq!(mask(text), text);
    }
    assert!(matches!(Redactor::default().redact(texts[5]), Cow::Borrowed(_)));
}

#[test]
fn known_values_are_found_plain_in_json_of_any_depth_and_in_urls() {
    let redactor = Redactor::new(["p\"w/ 1", "abcd", "abcdefgh", "abc"]);
    assert_eq!(redactor.redact("x p\"w/ 1 y"), "x [redacted] y");
    assert_eq!(redactor.redact(r#"{"a":"p\"w/ 1"}"#), r#"{"a":"[redacted]"}"#);
    assert_eq!(redactor.redact(r#"{"log":"{\"a\":\"p\\\"w/ 1\"}"}"#), r#"{"log":"{\"a\":\"[redacted]\"}"}"#);
    assert_eq!(redactor.redact("/q?a=p%22w%2F%201"), "/q?a=[redacted]");
    assert_eq!(
        redactor.redact("abcdefgh abcd abc"),
        "[redacted] [redacted] abc",
        "the longest wins, the shortest is no secret"
    );
}

#[test]
fn the_half_of_a_known_value_that_a_cut_leaves_is_taken() {
    let redactor = Redactor::new(["hunter2-hunter2-x", "p\"w/ 1"]);
    for (cut, expected) in [
        ("login hunt…", "login [redacted]…"),
        ("login hunter2-hunter2…, then hunter2-h…", "login [redacted]…, then [redacted]…"),
        ("login hunter2-hunter2-x…", "login [redacted]…"),
        ("/q?a=p%22w%…", "/q?a=[redacted]…"),
        (r#"{"a":"p\"w…"}"#, r#"{"a":"[redacted]…"}"#),
        ("the hunter2-hunter of… and hun…", "the hunter2-hunter of… and hun…"),
        ("dial postgres://app:hun…", "dial postgres://[redacted]@"),
    ] {
        assert_eq!(redactor.redact(cut), expected, "for {cut}");
    }
    assert_eq!(
        Redactor::new(["abcdxabcd"]).redact("abcdxabcd…"),
        "[redacted]…",
        "its end looks like its start"
    );
}

#[test]
fn a_known_value_of_several_lines_is_found_on_one() {
    assert_eq!(
        Redactor::new(["first half\nsecond half"]).redact("a first half second half b"),
        "a [redacted] b"
    );
}

#[test]
fn debug_output_hides_the_values() {
    assert_eq!(format!("{:?}", Redactor::new(["hunter2hunter2"])), "Redactor { .. }");
}

#[test]
fn a_megabyte_made_to_hurt_takes_linear_time() {
    let unit_texts = [
        "eyJ",
        "://",
        "://a",
        "token=\"",
        "token='",
        "token=\\\"",
        "password: ",
        "bearer ",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "AAK=\n",
        "a:b@",
        "authorization: ",
        "xoxb-",
        "AKIA",
        "://a@",
        "secret=\"\\",
        "a",
        "--password ",
        "://a:",
        "known-secret-valu…",
        "know…",
    ];
    let redactor = Redactor::new(["known-secret-value"]);
    for unit in unit_texts {
        let text = unit.repeat(1_000_000 / unit.len());
        let started = Instant::now();
        let _ = redactor.redact(&text);
        // A quadratic walk over a megabyte would need minutes; an unoptimised linear one stays far below this.
        assert!(started.elapsed() < Duration::from_secs(20), "{unit:?} took {:?}", started.elapsed());
    }
}

proptest! {
    #[test]
    fn no_known_secret_survives_in_any_text(
        secret in "[!-~]{6,24}",
        before in ".{0,40}",
        after in ".{0,40}",
    ) {
        let redactor = Redactor::new([secret.as_str()]);
        let out = redactor.redact(&format!("{before}{secret}{after}")).into_owned();
        // The mask itself may spell a secret such as `acted]`.
        prop_assert!(!out.replace(REDACTED, "\u{0}").contains(&secret), "{out}");
    }

    #[test]
    fn redacting_twice_changes_nothing_more(text in ".{0,200}") {
        let redactor = Redactor::default();
        let once = redactor.redact(&text).into_owned();
        prop_assert_eq!(redactor.redact(&once).into_owned(), once.clone());
    }
}
